"""The page that prints the gate's table: docs/gate.md."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.eligibility.table import CONSENTS, UNKNOWN_MEMBER, VERDICTS, VISITORS, Status, passing
from pipelines.policy.pages import words
from pipelines.policy.types import Purpose, Rulebook

PATH = "docs/gate.md"
_INTRODUCTION = (
    "Each cell says which categories of data of that purpose ([purposes](purposes.md)) pass the gate in that situation: *everything* that the "
    "purpose may have at all, *nothing*, or the ones named. The tests carry out every cell on a home (tests/test_gate_table.py), and "
    "`kampeky build --explain MEMBER` says which row decided for one member.")
_ORDER = (
    "Asked first. The first that holds is the one that is named; no consent overcomes it, and a row that names several members passes only if each "
    "of them does. Receipt of a request is enough (C-11.3, C-11.4, C-11.7), also for a build of an earlier day.")
_CONSENT = (
    "Asked for each row whose category rests on consent, of the kind that [purposes](purposes.md) names. One unbroken grant covers the row's time "
    "and the build's. A row whose time is due (C-10.1) must be covered from the beginning of its day. A value of another category than its row's is "
    "empty where its own grant is missing; the device of a member's row is known (under a pseudonym of that member's device) only under the "
    "consent that ties devices to members.")
_VISITORS = (
    "Rows that name no member. They are known, if at all, under a pseudonym of the visitor's own, which nothing joins to a member's; what somebody "
    "did before logging in is never theirs (C-3.3b).")


def gate_pages(rulebook: Rulebook) -> dict[str, str]:
    """The page by its path below the project."""
    purposes = list(rulebook.policy.purposes.values())

    def table(statuses: Iterable[Status]) -> list[str]:
        rows = [(f"{s.words[0].upper()}{s.words[1:]} (`{s.name}`, {s.clause})", *(_cell(rulebook, p, s) for p in purposes)) for s in statuses]
        return words.table(("status", *(p.name for p in purposes)), rows)

    return {PATH: words.page(
        "The gate", f"Policy version {rulebook.policy.version}. {_INTRODUCTION}", "## The account", _ORDER, table((*VERDICTS, UNKNOWN_MEMBER)),
        "## What was decided", _CONSENT, table(CONSENTS), "## Visitors", _VISITORS, table(VISITORS))}


def _cell(rulebook: Rulebook, purpose: Purpose, status: Status) -> str:
    passes = passing(rulebook.policy, purpose, status)
    stopped = [name for name in purpose.sources if name not in passes]
    if not passes:
        return "nothing"
    if not stopped:
        return "everything"
    return f"only {words.code(passes)}" if len(passes) <= len(stopped) else f"all but {words.code(stopped)}"
