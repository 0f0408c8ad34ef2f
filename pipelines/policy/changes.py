"""One change between two sets of rules, and whom it may concern (C-9)."""

from __future__ import annotations

from dataclasses import dataclass

PRODUCERS, CONSUMERS, MEMBERS = "producers", "consumers", "members"
BREAKING = frozenset({PRODUCERS, CONSUMERS})


@dataclass(frozen=True)
class Change:
    """One change at one place, and whom it concerns: of `producers`, `consumers`, `members`, or none."""

    where: str
    change: str
    before: str
    after: str
    concerns: tuple[str, ...]
