"""Publish a mart: copy the tables of a build into a fresh file and rename it over the published one.

Never in place: whoever has the old file open keeps reading it whole, and a rebuilt DuckDB table would leave the bytes
of removed rows in the file (C-10.4). Tables only: a view would still point to the zone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, Error, connect, quote_name, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.files import put_in_place, remove, sync
from pipelines.transformation import frozen
from pipelines.transformation.memory import ALIAS as KEPT
from pipelines.transformation.memory import Mart, Memory, write_marts

BUILD_TABLE = "_build"  # of every published file: the build that made it
BUILD_COLUMNS = {"run": "VARCHAR", "policy_version": "VARCHAR", "as_of": "VARCHAR", "smallest_class": "BIGINT", "unique_share": "DOUBLE",
                 "publication": "VARCHAR", "subtracted_on": "VARCHAR"}
ENDS_ON = "ends_on"  # of a model: the first day on which its row is due; it is remembered and not published
_MODE = 0o640
Value = str | int | float | None


@dataclass(frozen=True)
class History:
    """Marts of which days that are over stay as first published: where they are kept, by which column, and which day it is."""

    file: Path
    marts: Mapping[str, str]
    day: date




def mart_tables(project: Path, purpose: str) -> tuple[str, ...]:
    """The marts of a purpose: one per file in models/<purpose>/marts/."""
    folder = project / "models" / purpose / "marts"
    tables = tuple(sorted(path.stem for path in folder.glob("*.sql")))
    if not tables:
        raise Misuse(f"There is no mart for purpose '{purpose}': {folder} holds no .sql file.")
    return tables


def publish(build_file: Path, build_key: str, target: Path, mart_key: str | None, tables: Sequence[str],
            build_row: Mapping[str, Value], tmp: Path, memory: Memory | None = None, marts: Mapping[str, Mart] | None = None,
            history: History | None = None) -> dict[str, int]:
    """Write `tables` and the one-row table `_build` to a new file, encrypted under `mart_key` if there is one, and put it in place.

    Rows are ordered by pseudonym, so the same input gives the same content. Columns keep type, not-null and comment; a column `ends_on` is left out.
    Of marts with a `history` days that are over stay as they were. With a `memory` (of which `marts` says who is in them) whose row is whose stands
    there before the file is in place. Returns the rows of each table. One publication of a mart at a time (the caller holds the lock): what an
    earlier, killed one left beside `target` is removed first. `tmp` takes spill files.
    """
    words = ", ".join(tables)
    with made_beside(target, tmp, mart_key, f"Check that {build_file} is there, holds {words} and opens under its key.") as connection:
        connection.execute(f"attach {quote_text(str(build_file))} as build (read_only, encryption_key {quote_text(build_key)})")
        if memory:
            memory.attach(connection, write=True)
            write_marts(connection, marts or {})
        rows, kept = {}, frozen.attach(connection, history.file) if history else {}
        for table in tables:
            about = (marts or {}).get(table, Mart())
            rows[table] = copy(connection, "build", table, _with_history(connection, table, about, history, kept) if history else None)
            if memory:
                remember(connection, table, about)
        write_build_row(connection, {**build_row, "publication": memory.publication if memory else None, "subtracted_on": None})
        if memory:
            connection.execute(f"checkpoint {KEPT}; detach {KEPT}")
        if history:  # before the mart is in place: what is published stays, whatever is killed now
            frozen.keep(connection, history.file, kept, history.marts, history.day)
        connection.execute("detach build")
    return rows


def _with_history(connection: Connection, table: str, about: Mart, history: History, kept: Mapping[str, Mapping[str, str]]) -> str | None:
    if table not in history.marts:
        return None
    columns = dict(connection.execute("select column_name, data_type from duckdb_columns() where database_name = 'build' and table_name = ? "
                                      "order by column_index", [table]).fetchall())
    frozen.refuse_persons(table, about.person, "member_count" in columns)
    return frozen.merged(columns, kept.get(table), table, history.marts[table], history.day)


@contextmanager
def made_beside(target: Path, tmp: Path, mart_key: str | None, look_at: str) -> Iterator[Connection]:
    """A connection with a new, empty file attached as `mart`; whole and closed it is put in place of `target`, or `target` stays as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    beside = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    beside.mkdir(mode=0o700)
    made = beside / target.name
    try:
        try:
            connection = connect(tmp, extensions=("httpfs",))
            try:
                connection.execute(f"attach {quote_text(str(made))} as mart{f' (encryption_key {quote_text(mart_key)})' if mart_key else ''}")
                yield connection
                connection.execute("checkpoint mart; detach mart")
            finally:
                connection.close()
        except Error as error:
            # the text of the error could quote a row or the statement, in which a key stands
            raise KampekyError(f"{target.name} was not published ({type(error).__name__}); what was published before stays. {look_at}") from None
        if made.with_name(made.name + ".wal").exists():
            raise KampekyError(f"{target.name} was not published: the new file was not closed properly. Publish again.")
        made.chmod(_MODE)
        put_in_place(made, target)
        provenance.made(target, whole=True)
    finally:
        remove(beside)


def unpublish(target: Path) -> None:
    """Take a published mart away, with whatever an interrupted publication left beside it."""
    _sweep(target)
    remove(target)
    if target.parent.is_dir():
        sync(target.parent)


def _sweep(target: Path) -> None:
    """Leftovers of a killed publication hold rows that no later run would find."""
    for left in target.parent.glob(f".{target.name}.*"):
        remove(left)
    remove(target.with_name(target.name + ".wal"))


def copy(connection: Connection, database: str, table: str, rows: str | None = None) -> int:
    """Copy main.`table` of the attached `database`, or `rows` in its place, to mart.main.`table`; makes the temporary table `ordered` of what was
    copied, in its order."""
    name, source = f"mart.main.{quote_name(table)}", rows or f"{quote_name(database)}.main.{quote_name(table)}"
    columns = connection.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where database_name = ? and schema_name = 'main' and table_name = ? order by column_index", [database, table]).fetchall()
    if not columns:
        raise KampekyError(f"The build holds no table '{table}'. Build the models first.")
    shown = [column for column in columns if column[0] != ENDS_ON]
    definition = ", ".join(f"{quote_name(column)} {kind}{'' if nullable else ' not null'}" for column, kind, nullable, _ in shown)
    connection.execute(f"create table {name} ({definition})")
    for column, _, _, comment in shown:
        if comment:
            connection.execute(f"comment on column {name}.{quote_name(column)} is {quote_text(comment)}")
    described = connection.execute("select comment from duckdb_tables() where database_name = ? and schema_name = 'main' and table_name = ?",
                                   [database, table]).fetchone()
    if described and described[0]:
        connection.execute(f"comment on table {name} is {quote_text(described[0])}")
    order = sorted((column for column, *_ in shown), key=lambda column: column != "pseudonym")  # stable: the others as they come
    ends = f"{ENDS_ON}::date" if rows or len(shown) < len(columns) else "null::date"
    names = ", ".join(quote_name(column) for column, *_ in shown)
    connection.execute(f"create or replace temp table ordered as select {names}, {ends} as {ENDS_ON} from {source} "
                       f"order by {', '.join(map(quote_name, [*order, ENDS_ON]))}")
    copied = connection.execute(f"insert into {name} select {names} from ordered order by rowid").fetchone()
    return int(copied[0]) if copied else 0


def remember(connection: Connection, table: str, mart: Mart) -> None:
    """Write into the attached memory whose row stands where in the table that was just copied; refused unless it is found there again."""
    connection.execute(f"insert into {KEPT}.rows select ?, rowid, {ENDS_ON} from ordered", [table])
    for column in mart.person:
        connection.execute(f"insert into {KEPT}.persons select ?, rowid, try_cast({quote_name(column)} as uuid) from ordered "
                           f"where try_cast({quote_name(column)} as uuid) is not null", [table])
    found = connection.execute(disagreeing(table, mart)).fetchone()
    if found is None or found[0]:
        raise KampekyError(f"{table} was not published: its rows do not stand where they were written. Publish again.")


def disagreeing(table: str, mart: Mart, database: str = "mart", memory: str = KEPT) -> str:
    """SQL: how many rows of `table` and of the memory do not agree on position and persons. Each is compared with the other."""
    name = f"{database}.main.{quote_name(table)}"
    shown = " union all ".join(f"select rowid as position, try_cast({quote_name(column)} as uuid) as person from {name} "
                               f"where try_cast({quote_name(column)} as uuid) is not null" for column in mart.person)
    persons = f"select position, person from {memory}.persons where mart = {quote_text(table)}"
    positions = f"select position from {memory}.rows where mart = {quote_text(table)}"
    parts = [f"(select count(*) from (from ({positions}) except all select rowid from {name}))",
             f"(select count(*) from (select rowid from {name} except all from ({positions})))"]
    if shown:
        parts += [f"(select count(*) from (from ({one}) except all from ({other})))" for one, other in ((persons, shown), (shown, persons))]
    return f"select {' + '.join(parts)}"


def write_build_row(connection: Connection, build_row: Mapping[str, Value]) -> None:
    kinds = {bool: "boolean", int: "bigint", float: "double"}
    definition = ", ".join(f"{quote_name(name)} {kinds.get(type(value), 'varchar')}" for name, value in build_row.items())
    connection.execute(f"create table mart.main.{BUILD_TABLE} ({definition})")
    connection.execute(f"insert into mart.main.{BUILD_TABLE} values ({', '.join('?' * len(build_row))})", list(build_row.values()))
