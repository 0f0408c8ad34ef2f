"""Make deleted data leave the disk: data files rewritten, old snapshots and orphans gone, the catalog copied anew.

DELETE alone leaves rows in old Parquet files, column minima and maxima in the catalog and bytes in freed blocks of
the catalog file. The order below was measured to clear all of them; the old catalog is destroyed only after the new one
is safe on disk.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import put_in_place, remove
from pipelines.foundation.locks import locked
from pipelines.lake.store import ALIAS, Lake, attach

STEPS = (
    f"call ducklake_flush_inlined_data('{ALIAS}')",
    f"call ducklake_rewrite_data_files('{ALIAS}', delete_threshold => 0)",  # the default threshold leaves files with few deletes
    f"call ducklake_expire_snapshots('{ALIAS}', older_than => now())",
    f"call ducklake_cleanup_old_files('{ALIAS}', cleanup_all => true)",
    f"call ducklake_delete_orphaned_files('{ALIAS}', cleanup_all => true)",
)


def purge(lake: Lake, why: str, at_most: int | None = None) -> None:
    """Remove from disk what is deleted in `lake`, alone with it. Safe to run again after a crash at any point. With `at_most` rows are left where
    they are (deleted, but in files of their own day's rows) if the files to be written anew hold more than that: the next purge without
    takes them."""
    lake.home.require()
    if not lake.catalog.exists():
        return
    with locked(lake.home, lake.lock, why):
        connection = engine.connect(lake.home.tmp)
        try:
            attach(connection, lake, write=True)
            clean(connection, at_most)
            connection.execute(f"detach {ALIAS}")
            _renew_extremes(connection, lake)
            rewrite_file(connection, lake.catalog, lake.key())
        finally:
            connection.close()


def clean(connection: Connection, at_most: int | None = None) -> None:
    """The steps within the lake itself."""
    later = at_most is not None and rows_to_rewrite(connection) > at_most
    for step in STEPS:
        if not (later and "rewrite" in step):
            connection.execute(step).fetchall()


def rows_to_rewrite(connection: Connection) -> int:
    """How many rows stand in files from which others were deleted and did not leave the disk yet."""
    meta = f"__ducklake_metadata_{ALIAS}"
    return int(connection.execute(f"""select coalesce(sum(record_count), 0) from {meta}.ducklake_data_file where end_snapshot is null
        and data_file_id in (select data_file_id from {meta}.ducklake_delete_file where end_snapshot is null)""").fetchall()[0][0])


def _renew_extremes(connection: Connection, lake: Lake) -> None:
    """Take the catalog's minima and maxima per table anew from those per file, which are of the rows that are left.

    DuckLake only ever widens them, so values of deleted rows would stay; emptied instead, the next load would set them to its own range and
    queries would pass over every row outside it.
    """
    connection.execute(f"attach {quote_text(str(lake.catalog))} as catalog (encryption_key {quote_text(lake.key())})")
    kinds = [row[0] for row in connection.execute(
        "select distinct column_type from catalog.ducklake_column where end_snapshot is null").fetchall()]
    connection.execute("begin")
    connection.execute("update catalog.ducklake_table_column_stats set min_value = null, max_value = null")
    for kind in kinds:
        typed = f"::{'bigint' if kind == 'int64' else kind}"  # compared as what they are, kept as they are written
        connection.execute(f"""update catalog.ducklake_table_column_stats as t set min_value = f.low, max_value = f.high
            from (select s.table_id, s.column_id, arg_min(s.min_value, s.min_value{typed}) as low,
                         arg_max(s.max_value, s.max_value{typed}) as high
                  from catalog.ducklake_file_column_stats as s
                  join catalog.ducklake_data_file as d on d.data_file_id = s.data_file_id and d.end_snapshot is null
                  join catalog.ducklake_column as c on c.table_id = s.table_id and c.column_id = s.column_id and c.end_snapshot is null
                  where c.column_type = {quote_text(kind)} group by 1, 2) as f
            where t.table_id = f.table_id and t.column_id = f.column_id""")
    connection.execute("commit")
    connection.execute("checkpoint catalog")
    connection.execute("detach catalog")


def rewrite_file(connection: Connection, path: Path, key: str | None) -> None:
    """Copy the live content of a DuckDB file into a new file and rename it over the old one; the caller holds its lock."""
    fresh = path.with_name(f".{path.name}.fresh")
    _forget(fresh)
    options = f"(encryption_key {quote_text(key)})" if key else ""
    try:
        connection.execute(f"attach {quote_text(str(path))} as before {options}")
        connection.execute("checkpoint before")
        connection.execute(f"attach {quote_text(str(fresh))} as after {options}")
        connection.execute("copy from database before to after")
        connection.execute("checkpoint after")
        same = _content(connection, "before") == _content(connection, "after")
        connection.execute("detach before; detach after")
    except engine.Error:
        _forget(fresh)
        raise KampekyError(f"{path.name} could not be copied into a fresh file; it is unchanged. Is the disk full?") from None
    if not same:
        _forget(fresh)
        raise KampekyError(f"{path.name} and its fresh copy do not hold the same rows; it is unchanged. Run the command again.")
    for file in (path, fresh):
        if Path(f"{file}.wal").exists():
            raise KampekyError(f"{file.name} still has a write-ahead log after its checkpoint; nothing was replaced. Run the command again.")
    fresh.chmod(0o600)
    put_in_place(fresh, path)
    provenance.made(path, whole=key is None)  # a plain file has no random word in its header, but nothing is written to it either


def _content(connection: Connection, alias: str) -> dict[str, tuple[int, int]]:
    """Table → number of rows, and one digest over all of them, whatever their order."""
    tables = connection.execute("select schema_name, table_name from duckdb_tables() where database_name = ? and not internal order by all",
                                [alias]).fetchall()
    return {f"{schema}.{table}": connection.execute(
        f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from {alias}.{quote_name(schema)}.{quote_name(table)} as t").fetchall()[0]
            for schema, table in tables}


def _forget(fresh: Path) -> None:
    remove(fresh)
    remove(Path(f"{fresh}.wal"))
