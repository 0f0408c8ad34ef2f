"""Re-identification risk of a table about persons, measured on every build and on what is published (C-3.3b).

Rows are classes of equal quasi-identifiers. k counts the persons of the smallest one: in a table with several rows per person those are fewer
than its rows. l and t are taken per sensitive column over the rows of each class (classes.py says what they are). A missing value is a value
of its own here, where pycanon leaves such rows out: so k can only come out smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.assurance.classes import Profile, closeness, is_numeric, types_of
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.policy.types import RiskLimits

MARGIN = 1e-9  # what is on a limit for us must not be a hair beyond it for whoever computes with rounded shares


@dataclass(frozen=True)
class Risk:
    """What was measured: `smallest_class` is k; `diversity` and `closeness` say l and t per sensitive column; `unique_share` is the share of rows
    whose person is alone in the class. A table without rows has classes of size 0 and no risk."""

    table: str
    columns: tuple[str, ...]
    rows: int
    persons: int
    smallest_class: int
    classes: int
    unique_share: float
    diversity: Mapping[str, int]
    closeness: Mapping[str, float]

    def beyond(self, limits: RiskLimits) -> list[str]:
        """The limits that the table does not keep, in words; empty: it keeps all."""
        if not self.rows:
            return []
        found = [f"k = {self.smallest_class} (at least {limits.k})"] if self.smallest_class < limits.k else []
        found += [f"l of {name} = {value} (at least {limits.l})" for name, value in self.diversity.items() if value < limits.l]
        return found + [f"t of {name} = {value:.3f} (at most {limits.t})" for name, value in self.closeness.items() if value > limits.t + MARGIN]

    def as_dict(self) -> dict[str, Any]:
        return {"table": self.table, "quasi_identifiers": list(self.columns), "sensitive": list(self.diversity), "rows": self.rows,
                "persons": self.persons, "classes": self.classes, "smallest_class": self.smallest_class, "unique_share": self.unique_share,
                "diversity": dict(self.diversity), "closeness": {name: round(value, 6) for name, value in self.closeness.items()}}


def measure(connection: Connection, profile: Profile) -> Risk:
    """k, l, t and the share of unique records of `profile.place`."""
    keys = ", ".join(map(quote_name, profile.quasi)) or "()"
    persons = f"count(distinct {profile.who})" if profile.who else "count(*)"
    row = connection.execute(f"""select coalesce(sum(n), 0), coalesce(min(persons), 0), count(*), coalesce(sum(n) filter (persons = 1) / sum(n), 0)
        from (select count(*) as n, least(count(*), {persons}) as persons from {profile.place} group by {keys})""").fetchone()
    all_persons = connection.execute(f"select {persons} from {profile.place}").fetchone()
    assert row is not None and all_persons is not None
    rank = f"dense_rank() over (order by {keys})" if profile.quasi else "1"
    types, diversity, distance = types_of(connection, profile.place), {}, {}
    for name in profile.sensitive:
        column = quote_name(name)
        found = connection.execute(f"""with counted as (
                select {rank} as cls, value, n
                from (select {', '.join([*map(quote_name, profile.quasi), f'{column} as value', 'count(*) as n'])}
                      from {profile.place} group by all)),
            whole as (select {column} as value, count(*) as n from {profile.place} group by 1)
            select coalesce(min(distinct_values), 0), coalesce(max(distance), 0) from ({closeness(is_numeric(types[name]))})""").fetchone()
        assert found is not None
        diversity[name], distance[name] = int(found[0]), float(found[1])
    return Risk(profile.table, profile.quasi, int(row[0]), int(all_persons[0]), int(row[1]), int(row[2]), round(float(row[3]), 6),
                diversity, distance)
