"""The errors a person can act on, and the exit code each one ends a command with.

A message says what, what was wrong, what was expected and what to do next. It never holds a row's values,
a member's identifier or a key: whoever raises one builds the sentence from names of things, counts and rules.
"""

from collections.abc import Iterable, Sequence


class KampekyError(Exception):
    """Something failed for a reason the user can read. Exit code 1."""

    exit_code = 1


class Unavailable(KampekyError):
    """A store, its key or its lock cannot be had, so nothing was begun and nothing changed. Exit code 1."""


class Misuse(KampekyError):
    """The command was called with something that cannot be: a date that is none, an unknown dataset. Exit code 2."""

    exit_code = 2


class Refused(KampekyError):
    """A rule of the policy or a contract forbids it; `rule` names the clause or the contract line. Exit code 3."""

    exit_code = 3

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(f"{message} [{rule}]")
        self.rule = rule


class Several(KampekyError):
    """More than one part of a command failed. The exit code is the highest of theirs; of an error that is not ours only the kind is told."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__(" ".join(str(e) if isinstance(e, KampekyError) else f"A part failed ({type(e).__name__})." for e in errors))
        self.exit_code = max(e.exit_code if isinstance(e, KampekyError) else 1 for e in errors)


def one_of(what: str, word: object, known: Iterable[str]) -> Misuse:
    """The same sentence for every word that stands in no vocabulary."""
    return Misuse(f"{what} '{word}' is unknown. Known: {', '.join(sorted(known))}.")
