"""Classes of rows that nobody can tell apart by their quasi-identifiers: what k, l and t say of them, as SQL (C-3.3b).

k: persons in the class. l: distinct values of a sensitive column in it. t: the distance of the column's distribution in the class from the
one in the whole table: for words the share that would have to be another word (equal distances), for numbers the earth mover's distance
over their order, as pycanon has both. Counts are compared as whole numbers, so no rounding decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import Refused

STAR = "*"  # stands in a mart for a value that is not shown
ENDS_ON = "ends_on"  # a technical column that no published table has
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "BOOLEAN")


@dataclass(frozen=True)
class Profile:
    """A table of rows about persons: the SQL name of the table, whose rows they are (None: nobody's), and what could tell them apart."""

    place: str
    table: str
    person: tuple[str, ...]
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]

    @property
    def who(self) -> str | None:
        """SQL of whom a row is about: the first of its person columns that is not empty."""
        return f"coalesce({', '.join(f'{quote_name(c)}::varchar' for c in self.person)})" if self.person else None


def types_of(connection: Connection, place: str) -> dict[str, str]:
    """Column → type of a table, in its order."""
    return {row[0]: row[1] for row in connection.execute(f"select column_name, column_type from (describe {place})").fetchall()}


def is_numeric(kind: str) -> bool:
    return kind in NUMERIC or kind.startswith("DECIMAL")


def closeness(numeric: bool, least: int = 1) -> str:
    """SQL: (cls, distinct_values, distance) over the tables `counted` (cls, value, n) and `whole` (value, n), which must be in scope. Distinct are
    values with at least `least` rows; those with fewer are one value together, if they have as many."""
    hidden = f" + (coalesce(sum(n) filter (n < {least}), 0) >= {least})::int" if least > 1 else ""
    totals = f"(select cls, sum(n)::hugeint as size, count(value) filter (n >= {least}){hidden} as distinct_values from counted group by cls)"
    if numeric:
        return f"""select c.cls, any_value(c.distinct_values) as distinct_values, coalesce(sum(abs(c.above * w.total - w.above * c.size))
                       / (any_value(c.size)::double * any_value(w.total) * nullif(any_value(w.steps), 0)), 0) as distance
            from (select t.cls, v.value, t.size, t.distinct_values, sum(coalesce(k.n, 0)) over (partition by t.cls order by v.value)::hugeint as above
                  from {totals} as t cross join whole as v left join counted as k on k.cls = t.cls and k.value is not distinct from v.value) as c
            join (select value, sum(n) over (order by value)::hugeint as above, sum(n) over ()::hugeint as total, count(*) over () - 1 as steps
                  from whole) as w on w.value is not distinct from c.value group by c.cls"""
    return f"""select k.cls, any_value(t.distinct_values) as distinct_values,
               (sum(abs(k.n * g.total - w.n * t.size)) + any_value(t.size) * (any_value(g.total) - sum(w.n)))
                   / (2.0 * any_value(t.size)::double * any_value(g.total)) as distance
        from counted as k join {totals} as t on t.cls = k.cls join whole as w on w.value is not distinct from k.value
        cross join (select sum(n)::hugeint as total from whole) as g group by k.cls"""


def refuse_missing(connection: Connection, profile: Profile) -> None:
    """A missing value is a class that the usual measures leave out: in these columns what is not known has a word."""
    columns = (*profile.quasi, *profile.sensitive)
    if not columns:
        return
    found = connection.execute(f"select {', '.join(f'count(*) - count({quote_name(c)})' for c in columns)} from {profile.place}").fetchone()
    missing = [name for name, count in zip(columns, found or (), strict=True) if count]
    if missing:
        raise Refused(f"{profile.table}: {_are(missing)} empty in some rows, and a row without a quasi-identifier or sensitive value escapes every "
                      "measure of risk. Give the empty value a word in the model, such as 'unknown' or 'none'.", "C-3.3b")


def _are(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
