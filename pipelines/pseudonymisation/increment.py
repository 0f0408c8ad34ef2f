"""Carry a zone on from its last build: what came, what ran out, and the rows of whoever's status changed.

A row of a dataset that is laid out by day depends on itself, on whom it names, and on the instant of the build. So between two builds only
these change: rows that are new in raw; rows that lay after the last instant; days on which rows, values or times run out; a line that was
not finished; and all rows of a subject who came, left, or rests on other grants. Anything else that may have happened (an earlier instant,
other rules, rows gone from raw that nothing explains) is a reason to build the zone whole. That both ways give the same zone is tested by hash.
"""

from __future__ import annotations

from datetime import date, datetime

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.foundation.home import Home
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Purpose, Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.pseudonymisation import state
from pipelines.pseudonymisation.rows import ENDS, PASSED, Rows
from pipelines.pseudonymisation.state import ZONE, State
from pipelines.pseudonymisation.transforms import prepare

MOST = 5  # if more than one in so many subjects changed, building the zone whole is less work
_DEPENDS_ON_TODAY = ("age_band",)


def carried_on(rows: Rows) -> bool:
    """Whether the dataset is carried on at all: laid out by day, each row there once for good, and everybody in it found again."""
    contract, entering = rows.contract, rows.contract.entering(rows.purpose.name)
    findable = not (rows.by_pair and rows.base.visitors) or any(t.use == "device" for _, t in entering)
    return (contract.by_day and contract.latest_by is None and findable
            and not any(t.use in _DEPENDS_ON_TODAY for _, t in entering))


def usable(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, rules: str) -> State | None:
    """The last build, if the zone can be carried on from it; makes `changed` (pseudonym). Needs `standing`."""
    before = state.read(connection)
    if before is None or before.rules != rules or as_of < before.as_of:
        return None
    for contract in rulebook.entering(purpose.name):
        if carried_on(Rows(contract, purpose, rulebook.policy, as_of)):
            then, now = before.sources.get(contract.name), state.source(connection, contract)
            if then is None or then.identity != now.identity or then.next_row > now.next_row:
                return None
            days = state.days_of_files_since(connection, contract, then.next_row)
            gone = then.rows - (now.rows - _new_rows(connection, raw_table(contract), days, then.next_row))
            if gone < 0 or (gone > len(before.open_days.get(contract.name, ())) and not state.explained(home, before, as_of)):
                return None
    state.digest(connection, "from standing", before.as_of)
    changed, everybody = state.mark_changed(connection)
    return before if changed * MOST <= everybody else None


def carry_on(connection: Connection, rows: Rows, before: State) -> dict[str, int]:
    """Change the dataset's table in the zone to what it is now; returns how many rows it has, and how many came and went."""
    table, raw = f"{ZONE}.main.{quote_name(rows.contract.name)}", raw_table(rows.contract)
    next_row = before.sources[rows.contract.name].next_row
    again = before.open_days.get(rows.contract.name, set()) | _turned(connection, table, rows, paris_day(before.as_of))
    gone = [f"coalesce(z.{ENDS} <= date '{rows.today}', false)", *([f"z.{DAY} in {_days(again)}"] if again else []),
            *(f"z.{quote_name(name)} in (select pseudonym from changed)" for name in _people(rows))]
    went = _count(connection.execute(f"delete from {table} as z where {' or '.join(gone)}"))
    new = _days_with(connection, raw, state.days_of_files_since(connection, rows.contract, next_row), next_row)
    touched = sorted(again | new | _later(connection, raw, rows, before.as_of))
    came = 0
    prepare(connection, rows.agents(f"r.{DAY} in {_days(touched)}") if touched else ())
    if touched:
        fresh = " or ".join([f"r.rowid >= {next_row}", rows.later(before.as_of), *([f"r.{DAY} in {_days(again)}"] if again else [])])
        others = " and ".join(f"coalesce({who} not in (select pseudonym from changed), true)" for who in _subjects(rows))
        came += _count(connection.execute(f"insert into {table} by name {rows.select()} where r.{DAY} in {_days(touched)} and ({fresh}) "
                                          f"and {others} and {rows.verdict()} = '{PASSED}'"))
    if connection.execute("select 1 from changed limit 1").fetchone():
        theirs = " or ".join(f"coalesce({who} in (select pseudonym from changed), false)" for who in _subjects(rows))
        came += _count(connection.execute(f"insert into {table} by name {rows.select()} where ({theirs}) and {rows.verdict()} = '{PASSED}'"))
    return {PASSED: connection.execute(f"select count(*) from {table}").fetchall()[0][0], "came": came, "went": went}


def _people(rows: Rows) -> list[str]:
    """The columns of the zone that hold a pseudonym of a member, or of a visitor."""
    return [t.output for _, t in rows.contract.entering(rows.purpose.name) if t.use in ("pseudonym", "device")]


def _subjects(rows: Rows) -> list[str]:
    """SQL of the pseudonym of each subject of a row, before it is known whether it passes."""
    return ["coalesce(s0.pseudonym, s0.device)"] if rows.by_pair else [f"s{n}.pseudonym" for n, _ in enumerate(rows.named)]


def _turned(connection: Connection, table: str, rows: Rows, since: date) -> set[date]:
    """The days of which values or times ran out after the day `since`: they are made again."""
    ends = rows.own_ends(f"z.{DAY}", clock=True)
    ran_out = " or ".join(f"({end} > date '{since}' and {end} <= date '{rows.today}')" for end in ends)
    return {row[0] for row in connection.execute(f"select distinct z.{DAY} from {table} as z where {ran_out}").fetchall()} if ends else set()


def _later(connection: Connection, raw: str, rows: Rows, instant: datetime) -> set[date]:
    """The days on which rows lay after the last build."""
    return {row[0] for row in connection.execute(f"select distinct r.{DAY} from {raw} as r where r.{DAY} >= date '{paris_day(instant)}' "
                                                 f"and {rows.later(instant)}").fetchall()}


def _days_with(connection: Connection, raw: str, candidates: list[date], next_row: int) -> set[date]:
    """Of the days that may, those that do hold new rows."""
    if not candidates:
        return set()
    return {row[0] for row in connection.execute(f"select distinct r.{DAY} from {raw} as r where r.{DAY} in {_days(candidates)} "
                                                 f"and r.rowid >= {next_row}").fetchall()}


def _new_rows(connection: Connection, raw: str, candidates: list[date], next_row: int) -> int:
    if not candidates:
        return 0
    return connection.execute(f"select count(*) from {raw} as r where r.{DAY} in {_days(candidates)} and r.rowid >= {next_row}").fetchall()[0][0]


def _days(days: set[date] | list[date]) -> str:
    return f"({', '.join(f'date {quote_text(day.isoformat())}' for day in sorted(days))})"


def _count(result: Connection) -> int:
    """How many rows a statement changed."""
    row = result.fetchone()
    return int(row[0]) if row else 0
