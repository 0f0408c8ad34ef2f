"""Aggregates without a person column: no cell of few members, read off or found by subtraction (C-10.7).

An aggregate says in `member_count` how many distinct members stand behind each row; one that tells no number (a segment that is refused) has none
there. A row whose dimension is 'all' is a total over that dimension. Whoever subtracts the published rows from a total finds what was left out:
so what is left out, taken together, must again be many members. It is seen in whole numbers and decimals: where all of them come to the total
(or to more, as members do who stand in several rows), nothing was left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.assurance.classes import ENDS_ON, types_of
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import Refused

MEMBERS = "member_count"
NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "UBIGINT", "UINTEGER", "DECIMAL", "DOUBLE", "FLOAT")
TOTAL = "all"  # a dimension's value in rows that are totals over it


@dataclass(frozen=True)
class Cells:
    """What was checked of one aggregate: its rows, the members behind the smallest, and how many totals were compared with their parts."""

    table: str
    rows: int
    smallest_cell: int
    totals: int

    def as_dict(self) -> dict[str, Any]:
        return {"table": self.table, "rows": self.rows, "smallest_cell": self.smallest_cell, "totals": self.totals}


def refuse_small_cells(connection: Connection, place: str, table: str, cell: int, written: Collection[str] = ()) -> Cells:
    """Refuse an aggregate in which fewer than `cell` members stand behind a row, or behind what a total has more than its rows. `written`: columns
    that somebody wrote and nothing was computed for; a row without a number of members may hold a number in these alone."""
    types = {name: kind for name, kind in types_of(connection, place).items() if name != ENDS_ON}
    if MEMBERS not in types:
        raise Refused(f"{table} tells no persons apart and has no column '{MEMBERS}', so nobody can see how many stand behind a row. Count the "
                      f"distinct members as {MEMBERS} in the model.", "C-10.7")
    numbers = [name for name, kind in types.items() if name not in (MEMBERS, *written) and kind.startswith(NUMBERS)]
    told = " or ".join(f"{quote_name(name)} is not null" for name in numbers) or "false"
    row = connection.execute(f"select count(*), coalesce(min({MEMBERS}), 0), count(*) filter ({MEMBERS} < {cell} or {MEMBERS} is null and ({told})) "
                             f"from {place}").fetchone()
    assert row is not None
    if row[2]:
        raise Refused(f"{table}: {row[2]} rows rest on fewer than {cell} members. Leave them out of the model, or put them together with others.",
                      "C-10.7")
    dimensions = [name for name, kind in types.items() if kind in ("VARCHAR", "DATE", "BOOLEAN") or kind.startswith("TIMESTAMP")]
    measures = [name for name, kind in types.items() if name != MEMBERS and (kind.endswith("INT") or kind.startswith("DECIMAL"))]
    totals = 0
    for name in dimensions:
        if types[name] == "VARCHAR":
            compared, found = _short(connection, place, name, [d for d in dimensions if d != name], measures, cell)
            totals += compared
            if found:
                raise Refused(f"{table}: {found} totals over {name} minus their published rows leave values of fewer than {cell} members, or of "
                              "nobody knows how many. Put what is too small together in a row of its own ('other'), or leave out a second row or the "
                              "total.", "C-10.7")
    return Cells(table, int(row[0]), int(row[1]), totals)


def _short(connection: Connection, place: str, dimension: str, others: Sequence[str], measures: Sequence[str], cell: int) -> tuple[int, int]:
    """(totals compared, totals that give something away) over one dimension. Something is left out where a number of the total
    is greater than its parts' sum; that is safe if at least `cell` members are certain to be in it. Where members stand in several rows and so
    come to more than the total, nothing certain follows from the figures, and the model alone answers for what it left out."""
    name = quote_name(dimension)
    on = " and ".join(f"t.{quote_name(o)} is not distinct from p.{quote_name(o)}" for o in others) or "true"
    by = ", ".join(["1", *map(quote_name, others)])
    sums = "".join(f", sum({quote_name(m)}) as {quote_name(m)}" for m in [MEMBERS, *measures])
    more = " or ".join(f"t.{quote_name(m)} > coalesce(p.{quote_name(m)}, 0)" for m in [MEMBERS, *measures])
    row = connection.execute(f"""select count(p.one), count(p.one) filter (({more}) and t.{MEMBERS} - p.{MEMBERS} between 0 and {cell - 1})
        from (select * from {place} where {name} = {quote_text(TOTAL)}) as t
        left join (select 1 as one{''.join(f', {quote_name(o)}' for o in others)}{sums} from {place}
                   where {name} is distinct from {quote_text(TOTAL)} group by {by}) as p on {on}""").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
