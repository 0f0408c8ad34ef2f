"""Take rows out of a published mart and add none: what a failed build owes to those who have to be out (C-10.4, C-11.8).

Neither dbt nor a model is asked. What was published is remembered (memory.py); who may still be in is judged anew; the whole row of a subject goes
who has lost a grant that they had when it was published, and every row that is due. What is left is treated by the rules of risk once more, and
put in place like any publication: a new file, renamed. If anything does not fit, nothing is put in place and the caller unpublishes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.assurance.classes import Profile
from pipelines.assurance.risk import measure
from pipelines.assurance.treatment import treat
from pipelines.engines.duckdb_engine import Connection, connect, quote_name, quote_text
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.policy.types import Purpose, RiskLimits
from pipelines.transformation import memory as kept
from pipelines.transformation.memory import Mart, Memory
from pipelines.transformation.publish import BUILD_TABLE, ENDS_ON, copy, disagreeing, made_beside, remember, write_build_row

PUBLISHED, BEFORE, LOST, GRANTS = "published", "before", "lost", "current_grants"
PSEUDONYM = "pseudonym"


@dataclass
class Subtracted:
    """What was done, per mart: rows left, rows taken out because of their subject or their day, rows taken out so that no class is too small."""

    rows: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)


def published_memory(home: Home, purpose: Purpose, mart_key: str | None) -> Memory | None:
    """The memory of what is published, if something is and is remembered."""
    target = home.mart(purpose.name)
    if not target.exists():
        return None
    connection = connect(home.tmp, extensions=("httpfs",))
    try:
        _attach(connection, target, mart_key)
        named = connection.execute("select count(*) from duckdb_columns() where database_name = ? and table_name = ? and column_name = 'publication'",
                                   [PUBLISHED, BUILD_TABLE]).fetchone()
        row = connection.execute(f"select publication from {PUBLISHED}.{BUILD_TABLE}").fetchone() if named and named[0] else None
    finally:
        connection.close()
    return next((found for found in kept.publications(home, purpose.name) if row and found.publication == row[0]), None)


def mark_lost(connection: Connection, before: str, now: str) -> None:
    """Make `lost` (pseudonym): who has lost a grant of the query `before` that is not among those of `now`."""
    connection.execute(f"create or replace temp table {LOST} as select distinct pseudonym from "
                       f"(select pseudonym, grant_key from ({before}) except select pseudonym, grant_key from ({now}))")


def subtract(home: Home, purpose: Purpose, memory: Memory, mart_key: str | None, grants: Any, limits: RiskLimits,
             day: date) -> tuple[Subtracted, Memory]:
    """Republish what may stay of the purpose's marts on `day`. `grants`: an Arrow table (pseudonym, grant_key) of all that run now. Returns what was
    done and the memory of what is published now: the same one where nothing had to go."""
    target, done = home.mart(purpose.name), Subtracted()
    probe = connect(home.tmp, extensions=("httpfs",))
    try:
        marts = _prepare(probe, target, mart_key, memory, grants)
        going = {mart: _count(probe, f"select count(*) from ({_rows(mart, marts[mart])}) where goes", [day]) for mart in marts}
        done.rows = {mart: _count(probe, f"select count(*) from {_place(mart)}") for mart in marts}
    finally:
        probe.close()
    done.taken, done.suppressed = dict(going), dict.fromkeys(going, 0)
    if not any(going.values()):
        return done, memory
    with made_beside(target, home.tmp, mart_key, "Nothing was put in its place.") as connection:
        marts = _prepare(connection, target, mart_key, memory, grants)
        left = kept.begin(home, purpose.name, connection, f"select pseudonym, grant_key from {BEFORE}.grants where pseudonym not in (from {LOST})")
        left.attach(connection, write=True)
        kept.write_marts(connection, marts)
        worst = _Worst()
        for mart, about in marts.items():
            connection.execute("create or replace temp table rest as select * exclude (position, goes) "
                               f"from ({_rows(mart, about)}) where not goes", [day])
            if going[mart] and about.person:
                done.suppressed[mart] = 0 if purpose.identified else _suppress(connection, mart, about, limits, worst)
            done.rows[mart] = copy(connection, PUBLISHED, mart, "temp.main.rest")
            remember(connection, mart, about)
        said = connection.execute(f"from {PUBLISHED}.{BUILD_TABLE}")
        row = dict(zip([column[0] for column in said.description or []], said.fetchone() or (), strict=True))
        write_build_row(connection, row | worst.figures(row) | {"publication": left.publication, "subtracted_on": day.isoformat()})
        connection.execute(f"checkpoint {kept.ALIAS}; detach {kept.ALIAS}; detach {BEFORE}; detach {PUBLISHED}")
    return done, left


@dataclass
class _Worst:
    """The risk of the worst mart that was treated: the published file carries it."""

    smallest: list[int] = field(default_factory=list)
    unique: list[float] = field(default_factory=list)

    def figures(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"smallest_class": min([*self.smallest, *([] if self.smallest else [row["smallest_class"]])]),
                "unique_share": max([*self.unique, *([] if self.unique else [row["unique_share"]])])}


def _prepare(connection: Connection, target: Path, mart_key: str | None, memory: Memory, grants: Any) -> dict[str, Mart]:
    """Attach what is published and its memory, make `lost` and `current_grants`; refused unless both agree on every row."""
    _attach(connection, target, mart_key)
    memory.attach(connection, write=False, alias=BEFORE)
    connection.register("given", grants)
    connection.execute(f"create or replace temp table {GRANTS} as select pseudonym::uuid as pseudonym, grant_key from given")
    connection.unregister("given")
    mark_lost(connection, f"from {BEFORE}.grants", f"from {GRANTS}")
    marts = kept.read_marts(connection, BEFORE)
    there = {row[0] for row in connection.execute("select table_name from duckdb_tables() where database_name = ?", [PUBLISHED]).fetchall()}
    if there != {*marts, BUILD_TABLE}:
        raise KampekyError("What is published are not the marts that are remembered.")
    for mart, about in marts.items():
        if _count(connection, disagreeing(mart, about, PUBLISHED, BEFORE)):
            raise KampekyError(f"The rows of {mart} are not those that are remembered.")
    return marts


def _rows(mart: str, about: Mart) -> str:
    """SQL: the published rows with their position, their last day, and whether each goes on the day that is the one parameter."""
    whose = f"select position from {BEFORE}.persons where mart = {quote_text(mart)} and (person in (from {LOST})"
    # a row whose pseudonym is nobody's who may be in now goes, too, whatever was remembered of it
    strangers = (f" or person not in (select pseudonym from {GRANTS}) and person in (select {PSEUDONYM} from {_place(mart)})"
                 if PSEUDONYM in about.person else "")
    return f"""select t.*, r.{ENDS_ON}, r.position, coalesce(r.{ENDS_ON} <= ?, false) or r.position in ({whose}{strangers})) as goes
        from {_place(mart)} as t join {BEFORE}.rows as r on r.mart = {quote_text(mart)} and r.position = t.rowid order by r.position"""


def _suppress(connection: Connection, mart: str, about: Mart, limits: RiskLimits, worst: _Worst) -> int:
    """Take out the classes of the rest that have fewer than k persons; what kept the other limits when it was published is treated if it does not
    keep them any more. Returns how many rows went."""
    before, rest = (Profile(place, mart, about.person, about.quasi, about.sensitive) for place in (_place(mart), "temp.main.rest"))
    keys = ", ".join(map(quote_name, about.quasi))
    persons = f"count(distinct {rest.who}) over ({f'partition by {keys}' if keys else ''})"
    small = f"select rowid from rest qualify {persons} < {limits.k}"
    suppressed = _count(connection, f"select count(*) from ({small})")
    connection.execute(f"delete from rest where rowid in ({small})")
    after = measure(connection, rest)
    if after.beyond(limits) and not measure(connection, before).beyond(limits):
        treated = treat(connection, rest, limits, about.shared)
        suppressed, after = suppressed + treated.suppressed, treated.after
    if after.rows:
        worst.smallest.append(after.smallest_class)
        worst.unique.append(after.unique_share)
    return suppressed


def _place(mart: str) -> str:
    return f"{PUBLISHED}.main.{quote_name(mart)}"


def _attach(connection: Connection, target: Path, mart_key: str | None) -> None:
    options = f", encryption_key {quote_text(mart_key)}" if mart_key else ""
    connection.execute(f"attach {quote_text(str(target))} as {PUBLISHED} (read_only{options})")


def _count(connection: Connection, sql: str, values: list[Any] | None = None) -> int:
    row = connection.execute(sql, values or []).fetchone()
    return int(row[0]) if row else 0
