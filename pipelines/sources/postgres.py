"""Rows of PostgreSQL → columns of text, several tables in one consistent snapshot, by DuckDB's postgres extension.

Every value is made text by PostgreSQL itself, so that no driver rounds a number or moves a time. Rows come by a cursor column: those
not older than the latest one seen, less the window in which late ones arrive. A row that was deleted there is not noticed: rows are
deleted by this platform's own rules. The connection string comes from the environment and goes into no message: PostgreSQL's own
errors quote it, so none of them is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import KampekyError, Misuse, Unavailable
from pipelines.sources.declared import PostgresTable

VARIABLE = "KAMPEKY_POSTGRES"
ALIAS = "source_postgres"
# PostgreSQL's categories of types with one value in them: truth, day and time, enumeration, number, text, address; and uuid by name
_SCALARS = ("B", "D", "E", "N", "S", "I")


@dataclass(frozen=True)
class Fetched:
    """What was fetched: into which temporary table, how many rows, a digest of their content in any order, and the new mark."""

    table: str
    rows: int
    digest: str
    mark: datetime | None


@contextmanager
def snapshot(connection: Connection, address: str) -> Iterator[None]:
    """While the block runs, PostgreSQL is attached to the connection, read-only, in one transaction that sees one moment."""
    if not address:
        raise Misuse(f"Set {VARIABLE} in the environment to a connection string, such as postgresql://user:…@host/database?sslmode=verify-full.")
    engine.load_extension(connection, "postgres_scanner")
    try:
        connection.execute(f"attach {quote_text(address)} as {ALIAS} (type postgres, read_only)")
    except engine.Error as error:
        raise _explained(error) from None
    try:
        connection.execute("begin")
        # whatever the server is set to: texts of times that mean one instant
        _ask(connection, "select set_config('datestyle', 'ISO, YMD', false) as a, set_config('timezone', 'UTC', false) as b, "
                         "set_config('extra_float_digits', '1', false) as c, set_config('bytea_output', 'hex', false) as d")
        yield
        connection.execute("commit")
    finally:
        with suppress(engine.Error):
            connection.execute("rollback")
        with suppress(engine.Error):
            connection.execute(f"detach {ALIAS}")


def columns_of(connection: Connection, source: PostgresTable) -> dict[str, str]:
    """Columns of the table, in its order, and the type of those that hold no single value ('' for the others)."""
    name = f"{quote_name(source.schema)}.{quote_name(source.table)}"
    found = _ask(connection, "select a.attname::text as name, case when t.typcategory in ("
                 f"{', '.join(map(quote_text, _SCALARS))}) or t.typname = 'uuid' then '' else format_type(a.atttypid, null) end as kind "
                 f"from pg_attribute as a join pg_type as t on t.oid = a.atttypid where a.attrelid = to_regclass({quote_text(name)}) "
                 "and a.attnum > 0 and not a.attisdropped order by a.attnum")
    if not found:
        raise Misuse(f"PostgreSQL has no table or view {source.schema}.{source.table}, or its reader may not see it.")
    return dict(found)


def is_time(connection: Connection, source: PostgresTable) -> bool:
    """Whether the cursor column says instants: a time with its offset."""
    name = f"{quote_name(source.schema)}.{quote_name(source.table)}"
    return bool(_ask(connection, "select 1 as one from pg_attribute where attrelid = "
                     f"to_regclass({quote_text(name)}) and attname = {quote_text(source.cursor)} and atttypid = 'timestamptz'::regtype"))


def fetch(connection: Connection, source: PostgresTable, columns: Sequence[str], table: str, since: datetime | None) -> Fetched:
    """Make the temporary table `table` (_line, _raw, _problem, and `columns` as text) of the rows whose cursor is not before `since` less
    the late window, or is null; without `since` of all rows."""
    found = columns_of(connection, source)
    cursor = quote_name(source.cursor)
    texts = ", ".join(f"{quote_name(c)}::text as {quote_name(c)}" if c in found else f"null::text as {quote_name(c)}" for c in columns)
    low = ""
    if since is not None:
        months, days = 12 * source.late.years + source.late.months, source.late.days
        row = connection.execute(f"select strftime((?::timestamptz - interval {months} month - interval {days} day) at time zone 'UTC', "
                                 "'%Y-%m-%d %H:%M:%S.%f+00')", [since]).fetchone()
        low = f" where {cursor} >= {quote_text(str(row[0] if row else ''))}::timestamptz or {cursor} is null"
    query = f"select {texts} from {quote_name(source.schema)}.{quote_name(source.table)}{low}"
    try:
        connection.execute(f"create or replace temp table {table} as select row_number() over () as _line, null::varchar as _raw, "
                           f"null::varchar as _problem, * from postgres_query({quote_text(ALIAS)}, {quote_text(query)})")
    except engine.Error as error:
        raise _explained(error, source) from None
    (now,) = _ask(connection, "select now()::text as now")[0]
    instant = f"try_cast({cursor} as timestamptz)"
    # a cursor of a time to come is no mark: what is written until then would never be fetched
    rows, mark = connection.execute(f"select count(*), max({instant}) filter ({instant} <= ?::timestamptz) from {table}", [now]).fetchall()[0]
    return Fetched(table, rows, _digest(connection, table, columns), mark)


def _digest(connection: Connection, table: str, columns: Sequence[str]) -> str:
    """SHA-256 over the rows in any order: of the sorted digests of their parts, so that no part of the work holds all rows."""
    record = "{" + ", ".join(f"{quote_text(c)}: {quote_name(c)}" for c in columns) + "}"
    row = connection.execute(
        f"select sha256(coalesce(string_agg(part, '' order by part), '')) from (select sha256(string_agg(row, '' order by row)) as part "
        f"from (select sha256(to_json({record})::varchar) as row from {table}) group by left(row, 3))").fetchone()
    return str(row[0] if row else "")


def _ask(connection: Connection, query: str) -> list[tuple]:
    try:
        return connection.execute(f"select * from postgres_query({quote_text(ALIAS)}, {quote_text(query)})").fetchall()
    except engine.Error as error:
        raise _explained(error) from None


def _explained(error: Exception, source: PostgresTable | None = None) -> KampekyError:
    text, what = str(error).lower(), f" {source.schema}.{source.table}" if source else ""
    if "authentication failed" in text or "no password supplied" in text or ("role" in text and "does not exist" in text):
        return Unavailable(f"PostgreSQL refuses the user or the password in {VARIABLE}. Put the right ones there; nothing was loaded.")
    if "permission denied" in text:
        return Unavailable(f"The user in {VARIABLE} may not read{what or ' there'}. Grant it select; nothing was loaded.")
    if "database" in text and "does not exist" in text:
        return Unavailable(f"PostgreSQL has no database of the name in {VARIABLE}. Nothing was loaded.")
    if 'missing "="' in text or "invalid connection option" in text or "invalid uri" in text or "invalid port" in text:
        return Misuse(f"{VARIABLE} is no connection string. Write postgresql://user:password@host/database or: host=… dbname=… user=… password=…")
    return Unavailable(f"PostgreSQL cannot be reached, or broke off{' at' + what if what else ''}. Look at the host in {VARIABLE}, then run "
                       "it again; nothing was loaded.")
