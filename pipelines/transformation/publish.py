"""Publish a mart: copy the tables of a build into a fresh file and rename it over the published one.

Never in place: whoever has the old file open keeps reading it whole, and a rebuilt DuckDB table would leave the bytes
of removed rows in the file (C-10.4). Tables only: a view would still point to the zone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, Error, connect, quote_name, quote_text
from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.files import put_in_place, remove, sync

BUILD_TABLE = "_build"  # of every published file: the build that made it
BUILD_COLUMNS = {"run": "VARCHAR", "policy_version": "VARCHAR", "as_of": "VARCHAR", "smallest_class": "BIGINT", "unique_share": "DOUBLE"}
_MODE = 0o640
Value = str | int | float | None


def mart_tables(project: Path, purpose: str) -> tuple[str, ...]:
    """The marts of a purpose: one per file in models/<purpose>/marts/."""
    folder = project / "models" / purpose / "marts"
    tables = tuple(sorted(path.stem for path in folder.glob("*.sql")))
    if not tables:
        raise Misuse(f"There is no mart for purpose '{purpose}': {folder} holds no .sql file.")
    return tables


def publish(build_file: Path, build_key: str, target: Path, mart_key: str | None, tables: Sequence[str],
            build_row: Mapping[str, Value], tmp: Path) -> dict[str, int]:
    """Write `tables` and the one-row table `_build` to a new file, encrypted under `mart_key` if there is one, and put it in place.

    Rows are ordered by pseudonym, so the same input gives the same content. Columns keep type, not-null and comment.
    Returns the rows of each table. One publication of a mart at a time (the caller holds the lock): what an earlier, killed
    one left beside `target` is removed first. `tmp` takes spill files.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    beside = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    beside.mkdir(mode=0o700)
    made = beside / target.name
    try:
        try:
            rows = _write(made, mart_key, build_file, build_key, tables, build_row, tmp)
        except Error as error:
            # the text of the error could quote a row or the statement, in which a key stands
            raise KampekyError(f"{target.name} was not published ({type(error).__name__}); what was published before stays. "
                               f"Check that {build_file} is there, holds {', '.join(tables)} and opens under its key.") from None
        if made.with_name(made.name + ".wal").exists():
            raise KampekyError(f"{target.name} was not published: the new file was not closed properly. Publish again.")
        made.chmod(_MODE)
        put_in_place(made, target)
    finally:
        remove(beside)
    return rows


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


def _write(made: Path, mart_key: str | None, build_file: Path, build_key: str, tables: Sequence[str],
           build_row: Mapping[str, Value], tmp: Path) -> dict[str, int]:
    connection = connect(tmp, extensions=("httpfs",))
    try:
        connection.execute(f"attach {quote_text(str(build_file))} as build (read_only, encryption_key {quote_text(build_key)})")
        key = f" (encryption_key {quote_text(mart_key)})" if mart_key else ""
        connection.execute(f"attach {quote_text(str(made))} as mart{key}")
        rows = {table: _copy(connection, table) for table in tables}
        _write_build_row(connection, build_row)
        connection.execute("checkpoint mart; detach mart; detach build")
    finally:
        connection.close()
    return rows


def _copy(connection: Connection, table: str) -> int:
    columns = connection.execute(
        "select column_name, data_type, is_nullable, comment from duckdb_columns() "
        "where database_name = 'build' and schema_name = 'main' and table_name = ? order by column_index", [table]).fetchall()
    if not columns:
        raise KampekyError(f"The build holds no table '{table}'. Build the models first.")
    name = f"mart.main.{quote_name(table)}"
    definition = ", ".join(f"{quote_name(column)} {kind}{'' if nullable else ' not null'}" for column, kind, nullable, _ in columns)
    connection.execute(f"create table {name} ({definition})")
    for column, _, _, comment in columns:
        if comment:
            connection.execute(f"comment on column {name}.{quote_name(column)} is {quote_text(comment)}")
    described = connection.execute("select comment from duckdb_tables() where database_name = 'build' and schema_name = 'main' and table_name = ?",
                                   [table]).fetchone()
    if described and described[0]:
        connection.execute(f"comment on table {name} is {quote_text(described[0])}")
    order = sorted((column for column, *_ in columns), key=lambda column: column != "pseudonym")  # stable: the others as they come
    copied = connection.execute(f"insert into {name} from build.main.{quote_name(table)} order by {', '.join(map(quote_name, order))}").fetchone()
    return int(copied[0]) if copied else 0


def _write_build_row(connection: Connection, build_row: Mapping[str, Value]) -> None:
    kinds = {bool: "boolean", int: "bigint", float: "double"}
    definition = ", ".join(f"{quote_name(name)} {kinds.get(type(value), 'varchar')}" for name, value in build_row.items())
    connection.execute(f"create table mart.main._build ({definition})")
    connection.execute(f"insert into mart.main._build values ({', '.join('?' * len(build_row))})", list(build_row.values()))
