"""History that stays: rows of days that are over, as they were first published, beyond the life of what they were counted from (C-10.7).

An aggregate whose model says `meta: {frozen: DAY_COLUMN}` keeps its rows of each day from the first publication after that day on. A day is kept
whole: what comes late, what is withdrawn and what ends changes nothing of it, so nobody can subtract two publications of it. Kept is what was
published, which is anonymous (no person column, every cell of enough members), so it stands in a plain file of its own that no rotation of keys
and no end touches.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, Error, quote_name, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.errors import Refused, Unavailable
from pipelines.foundation.files import put_in_place, remove

ALIAS, FRESH = "frozen", "frozen_anew"
RULE = "C-10.7"


def attach(connection: Connection, file: Path) -> dict[str, dict[str, str]]:
    """Attach what is kept as `frozen`, if anything is; returns mart → column → type."""
    found: dict[str, dict[str, str]] = {}
    if file.exists():
        try:
            connection.execute(f"attach {quote_text(str(file))} as {ALIAS} (read_only)")
        except Error:
            raise Unavailable(f"What is kept of days that are over cannot be read ({file}). It cannot be made anew: restore it from a "
                              "backup.") from None
        for table, column, kind in connection.execute("select table_name, column_name, data_type from duckdb_columns() where database_name = ? "
                                                      "order by table_name, column_index", [ALIAS]).fetchall():
            found.setdefault(table, {})[column] = kind
    return found


def refuse_persons(mart: str, person: tuple[str, ...], members: bool) -> None:
    """Only what is anonymous may be kept."""
    if person or not members:
        raise Refused(f"{mart} is to be frozen, but {'it tells persons apart' if person else 'no column says how many members a row has'}: only "
                      "aggregates with a member_count outlive their sources. Take 'frozen' out of its meta, or aggregate.", RULE)


def merged(columns: Mapping[str, str], kept: Mapping[str, str] | None, table: str, day_column: str, day: date) -> str:
    """SQL: rows to publish on `day`, with `ends_on`: what is kept of days before it, and what was built of days of which nothing is kept."""
    shown = {name: kind for name, kind in columns.items() if name != "ends_on"}
    if shown.get(day_column) != "DATE":
        raise Refused(f"{table} is to be frozen by {day_column}, which is no DATE of it.", RULE)
    names, ends = ", ".join(map(quote_name, shown)), "ends_on" if "ends_on" in columns else "null::date as ends_on"
    built = f"select {names}, {ends} from build.main.{quote_name(table)}"
    if kept is None:
        return f"({built})"
    if dict(kept) != shown:
        raise Refused(f"The frozen history of {table} has other columns than the model has now. What is frozen cannot be made anew: give the changed "
                      "model a new name.", RULE)
    history = f"{ALIAS}.main.{quote_name(table)}"
    return (f"({built} where {quote_name(day_column)} not in (select {quote_name(day_column)} from {history}) union all "
            f"select {names}, null::date as ends_on from {history} where {quote_name(day_column)} < date '{day.isoformat()}')")


def keep(connection: Connection, file: Path, kept: Mapping[str, Mapping[str, str]], marts: Mapping[str, str], day: date) -> None:
    """Write a fresh file of what is kept: all that was, and of each of `marts` (mart → day column) what is about to be published of days before
    `day`."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in file.parent.glob(f".{file.name}.*"):
        remove(left)
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    connection.execute(f"attach {quote_text(str(beside))} as {FRESH}")
    for table in sorted({*kept, *marts}):
        name = quote_name(table)
        parts = [f"from {ALIAS}.main.{name}"] if table in kept else []
        if table in marts:
            column = quote_name(marts[table])
            known = f" and {column} not in (select {column} from {ALIAS}.main.{name})" if parts else ""
            parts.append(f"from mart.main.{name} where {column} < date '{day.isoformat()}'{known}")
        connection.execute(f"create table {FRESH}.main.{name} as {' union all '.join(parts)}")
    connection.execute(f"checkpoint {FRESH}; detach {FRESH}")
    beside.chmod(0o600)
    put_in_place(beside, file)
    provenance.made(file, whole=True)
