"""What is known of a value on its way through SQL: the columns of the zone that it shows, tests or counts, and what it depends on besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipelines.foundation.errors import Refused

RULE = "C-3.3a"


@dataclass(frozen=True, order=True)
class Leaf:
    """A column of a contract, and the column of the purpose zone (`output`) by which it is read."""

    dataset: str
    column: str
    output: str


Leaves = frozenset[Leaf]
NONE: Leaves = frozenset()


@dataclass(frozen=True)
class Trace:
    """A value: `shown` are leaves that it is, or is a function of; `tested` those that come in as a truth value or a number of distinct ones only;
    `rows` those of which no more than the number of rows is known. `decided` are leaves by which the value was chosen (a case, a filter that others
    did not pass, a key of a look-up); `conditions` all that decide anything on the way. `number`: a count. `bare`: the column itself, untouched.
    `empty`: it is null in every row."""

    shown: Leaves = NONE
    tested: Leaves = NONE
    rows: Leaves = NONE
    decided: Leaves = NONE
    conditions: Leaves = NONE
    number: bool = False
    bare: bool = False
    empty: bool = False

    @property
    def values(self) -> Leaves:
        return self.shown | self.tested | self.rows

    @property
    def told(self) -> Leaves:
        """Of what somebody learns something who sees the value."""
        return self.shown | self.tested | self.decided

    @property
    def everything(self) -> Leaves:
        return self.values | self.conditions

    def as_test(self) -> Trace:
        return replace(self, shown=NONE, tested=self.shown | self.tested, number=False, bare=False, empty=False)

    def as_decision(self) -> Trace:
        """What a case or a filter adds to the value that it chooses."""
        return Trace(decided=self.told, conditions=self.everything)

    def as_condition(self) -> Trace:
        return Trace(conditions=self.everything)


def merged(traces: Iterable[Trace]) -> Trace:
    """A value made of several."""
    found = list(traces)
    return Trace(*(frozenset().union(*(getattr(t, name) for t in found)) for name in ("shown", "tested", "rows", "decided", "conditions")),
                 number=any(t.number for t in found))


@dataclass(frozen=True)
class Relation:
    """A table, a view or a step of a query. `conditions`: what decides which rows it has; `filters`: what a row has in common with all others of it
    because others were left out (it tells something only where this relation is joined to rows that need no partner). `numbers`: what decides how
    many rows there are of somebody, by which a number of them tells it."""

    columns: Mapping[str, Trace]
    conditions: Leaves = NONE
    filters: Leaves = NONE
    numbers: Leaves = NONE


@dataclass
class Place:
    """Where the reader stands, for the sentence of a refusal."""

    path: str
    output: str | None = None
    steps: list[str] = field(default_factory=list)

    def refuse(self, what: str, remedy: str) -> Refused:
        inside = f" in {self.steps[-1]}" if self.steps else ""
        column = f", column {self.output}" if self.output else ""
        return Refused(f"{self.path}{inside}{column}: {what}, so its lineage cannot be proved. {remedy}", RULE)
