"""`kampeky sql`: a query over the published marts of one purpose, and nothing else; and what leaves it as a file.

What is shown or written to stdout is the analyst's to answer for. A file is ours: rows go into the home's `extracts/`, where they end; only figures
of which every class has at least k members may go elsewhere (C-10.4, C-10.7).
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.files import put_in_place, remove
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.extracts import Extract, checked_name, extracts_locked, keep
from pipelines.lake.store import explain
from pipelines.policy.types import Purpose
from pipelines.workflows.rules import rules

if TYPE_CHECKING:
    from pipelines.assurance.queries import Reading

BUILD_TABLE = "_build"
FORMS = ("csv", "parquet")
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class MartColumn:
    """A column of a published mart, as its build described it."""

    mart: str
    mart_description: str
    name: str
    type: str
    description: str


def sql(home: Home, purpose: str, query: str, limit: int | None = None) -> tuple[list[str], Rows]:
    """Column names and rows, at most `limit` of them. The connection is read-only and can open no other file; it is made anew for each statement,
    because a mart is replaced by renaming and an open one would show the old rows."""
    with _opened(home, purpose) as (connection, chosen), _told(chosen):
        _refuse_other_statements(connection, query, chosen)
        result = connection.execute(query)
        return _distinct([column[0] for column in result.description or []]), result.fetchall() if limit is None else result.fetchmany(limit)


def columns(home: Home, purpose: str) -> list[MartColumn]:
    """What the published marts of the purpose hold."""
    with _opened(home, purpose) as (connection, _):
        return [MartColumn(*(str(word or "") for word in row)) for row in connection.execute(
            "select t.table_name, t.comment, c.column_name, c.data_type, c.comment from duckdb_columns() as c join duckdb_tables() as t "
            "on t.database_name = c.database_name and t.schema_name = c.schema_name and t.table_name = c.table_name "
            "where c.database_name = 'mart' and c.schema_name = 'main' "
            "order by starts_with(t.table_name, '_'), t.table_name, c.column_index").fetchall()]


def published(home: Home, purpose: str) -> tuple[int, int] | None:
    """Which file is published now: it changes with each build."""
    try:
        found = home.mart(purpose).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def write(home: Home, purpose: str, query: str, target: str, form: str, as_of: datetime) -> dict[str, Any]:
    """Write the answer to `target` as `form`: a name alone is a file of the home's `extracts/`, a path is one elsewhere, where only figures may
    go. Returns {path, rows, kind, ends_on}; the ledger says that it was done."""
    policy = rules().policy
    k = max(policy.risk.k, policy.cell)
    inside = target.rpartition("/")[2] if Path(target).absolute().parent == home.require().extracts or "/" not in target else None
    if inside is not None:
        checked_name(inside)
    with extracts_locked(home, "sql", alone=False), _opened(home, purpose) as (connection, chosen), _told(chosen):
        _refuse_other_statements(connection, query, chosen)
        from pipelines.assurance.queries import read

        marts: dict[str, list[str]] = {}
        for mart, name in connection.execute("select table_name, column_name from duckdb_columns() where database_name = 'mart'").fetchall():
            marts.setdefault(mart, []).append(name)
        reading = read(query, marts, chosen.identified)
        if inside is None:
            small = reading.rows_because or _too_small(connection, reading, k)
            if small:
                raise Refused(f"This may not be written outside the home: {small}. Rows, and groups of fewer than {k} members, go into "
                              f"its extracts/ (name the file without a folder), where they end after {policy.extracts.days} days.", "C-10.4, C-10.7")
            path = _elsewhere(home, target)
            rows = _write_whole(path, lambda part: _write(connection, str(reading.sql), part, form))
            done = {"path": str(path), "rows": rows, "kind": "figures", "ends_on": None}
        else:
            known = "publication" in marts.get(BUILD_TABLE, ())
            found = connection.execute(f"select publication from mart.{BUILD_TABLE}").fetchone() if known else None
            today = paris_day(as_of)
            extract = Extract(inside, purpose, str(found[0] if found else ""), reading.marts, today, plus(today, [policy.extracts]))
            counted: list[int] = []
            path = keep(home, extract, lambda part: counted.append(_write(connection, query, part, form)),
                        lambda part: _write_members(connection, reading.holds, reading.marts, part))
            done = {"path": str(path), "rows": counted[0], "kind": "rows", "ends_on": extract.ends_on.isoformat()}
    ledger.append(home, "extract", as_of, {"purpose": purpose, "rows": done["rows"], "kind": done["kind"], "form": form, "ends_on": done["ends_on"]})
    return done


@contextmanager
def _opened(home: Home, purpose: str) -> Iterator[tuple[Connection, Purpose]]:
    """The purpose's published mart, attached read-only as `mart`; nothing else can be opened from there."""
    chosen = rules().policy.built_purpose(purpose)
    Keyring(home).refuse_other_audience(chosen)
    mart = home.require().mart(purpose)
    if not mart.exists():
        raise KampekyError(f"The mart of {purpose} is not published. Build it with: kampeky build --purpose {purpose}")
    options = ["read_only"]
    if chosen.published == "encrypted":
        options.append(f"encryption_key {quote_text(Keyring(home).get(mart_key(purpose)))}")
    # DuckDB lets a query read and write wherever it spills: a folder of this statement's own, empty and gone afterwards
    spill = Path(tempfile.mkdtemp(prefix="sql-", dir=home.tmp))
    try:
        connection = engine.connect(spill, extensions=("httpfs",) if len(options) > 1 else ())
        try:
            try:
                connection.execute(f"attach {quote_text(str(mart))} as mart ({', '.join(options)})")
            except engine.Error as error:
                raise explain(error, mart, mart_key(purpose)) from None
            connection.execute("use mart; set enable_external_access = false; set lock_configuration = true")
            yield connection, chosen
        finally:
            connection.close()
    finally:
        remove(spill)


def _refuse_other_statements(connection: Connection, query: str, purpose: Purpose) -> None:
    kinds = engine.kinds_of_statements(connection, query)
    if len(kinds) != 1:
        raise Misuse("Write one SQL statement, such as: select * from user_profiles limit 5")
    if not engine.is_query(connection, query):
        what = {"EXPLAIN": "write explain, or explain analyze, and a select", "SELECT": "a query starts no log"}.get(
            kinds[0], f"a statement of kind {kinds[0]} is no query")
        raise Refused(f"Only the published marts of {purpose.name} can be read, and nothing can be written: {what}.", "C-4")


@contextmanager
def _told(purpose: Purpose) -> Iterator[None]:
    """Mistakes in the query as one sentence."""
    try:
        yield
    except engine.Error as error:
        told = str(error).splitlines()[0]
        if "disabled" in told or "locked" in told or "read-only" in told.lower():
            raise Refused(f"Only the published marts of {purpose.name} can be read, and nothing can be written: {told}", "C-4") from None
        hints = [line.strip() for line in str(error).splitlines()[1:] if line.startswith(("Candidate", "Did you mean"))]
        raise Misuse(f"The query was not understood: {' '.join([told, *hints])}") from None


def _too_small(connection: Connection, reading: Reading, k: int) -> str | None:
    """What is wrong with the classes of figures; nothing if each is of k members or more. Figures of which nobody is a part have none."""
    if reading.measured is None:
        return None
    classes = connection.execute(reading.measured).to_arrow_table()
    for number, column in enumerate(classes.columns[-reading.counts:]):
        members = column.to_numpy()
        if (members < k if number == 0 else (members > 0) & (members < k)).any():
            return "it has a class of too few members" if number == 0 else "a figure is made of the values of too few members"
    if reading.left_out:
        let_in, out = (column.to_numpy() for column in connection.execute(reading.left_out).to_arrow_table().columns[-2:])
        if ((let_in > 0) & (out > 0) & (out < k)).any():
            return "its condition leaves out too few members of a class, of whom the same figure without it would tell"
    return None


def _elsewhere(home: Home, target: str) -> Path:
    """A path outside the home: in it every file belongs to a store."""
    path = Path(target).absolute()
    if home.root.resolve() in path.resolve().parents:
        raise Misuse("Within the home an extract stands in extracts/ alone: name it without a folder.")
    if not path.parent.is_dir():
        raise Misuse(f"{path.parent}: there is no such folder.")
    return path


def _write_whole(path: Path, fill: Callable[[Path], int]) -> int:
    """Fill a file beside and rename it: what is there under that name is never half an answer."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        rows = fill(part)
        put_in_place(part, path)
    finally:
        remove(part)
    return rows


def _write(connection: Connection, query: str, path: Path, form: str) -> int:
    """Write the query's rows; returns how many."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    reader = connection.execute(query).to_arrow_reader()
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, _distinct(reader.schema.names), strict=True)])
    rows = 0
    try:
        with csv.CSVWriter(str(path), schema) if form == "csv" else parquet.ParquetWriter(str(path), schema) as out:
            for batch in reader:
                rows += batch.num_rows
                out.write_batch(batch.rename_columns(schema.names))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # their text may quote a value; what can be done is the same for both
        raise Misuse(f"A column of the answer has a type that {form} cannot hold. Cast it in the query, or write the other form.") from None
    return rows


def _write_members(connection: Connection, holds: str, marts: tuple[str, ...], path: Path) -> None:
    """Write the pseudonyms among which those of the extract are; where the narrow question does not run, those of all its marts."""
    import pyarrow.parquet as parquet

    nobody = "select null::varchar as pseudonym where false"
    everybody = connection.execute("select table_name from duckdb_columns() where database_name = 'mart' and column_name = 'pseudonym'").fetchall()
    wide = " union ".join(f'select pseudonym from mart.main."{mart}"' for (mart,) in everybody if mart in marts)
    try:
        found = connection.execute(f"select distinct pseudonym::varchar as pseudonym from ({holds or nobody}) where pseudonym is not null")
    except engine.Error:
        found = connection.execute(f"select distinct pseudonym::varchar as pseudonym from ({wide or nobody})")
    parquet.write_table(found.to_arrow_table(), str(path))


def _distinct(names: list[str]) -> list[str]:
    """Names of which no two are equal, so that each column has its place in a JSON row."""
    made: list[str] = []
    for name in names:
        number, given = 2, name
        while name in made:
            name, number = f"{given}_{number}", number + 1
        made.append(name)
    return made
