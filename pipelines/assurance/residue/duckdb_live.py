"""What is alive in a DuckDB database: every value of every column that a query sees, and every name and text of its catalog.

The blocks of a DuckDB file prove nothing, so that no deleted value is left in them is proved by where the file comes from. This reads what such
a fresh copy would hold.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.assurance.residue.encodings import Texts
from pipelines.assurance.residue.needles import Needles
from pipelines.assurance.residue.record import Record
from pipelines.assurance.residue.scan import Finding, Result, Unread
from pipelines.assurance.residue.sqlite_file import look_at_values
from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name

_ROWS = 50_000  # at once
_CATALOG = ("duckdb_schemas", "duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_indexes", "duckdb_sequences", "duckdb_constraints",
            "duckdb_types", "duckdb_functions")


def scan_duckdb(connection: Connection, alias: str, needles: Needles, name: str = "") -> Result:
    """Look for `needles` in the database attached as `alias`; findings name it `name`. Its bytes are proved elsewhere. The catalog of a lake is
    hidden while the lake is attached: attach its file by itself."""
    record, read = Record(needles), 0
    if not connection.execute("select 1 from duckdb_databases() where database_name = ?", [alias]).fetchall():
        record.unreadable.append("DuckDB lists no such database")
    for function in _CATALOG:
        rows = connection.execute(f"select columns(*)::varchar from {function}() where database_name = ?"
                                  + (" and not internal" if function != "duckdb_constraints" and function != "duckdb_indexes"
                                     and function != "duckdb_sequences" else ""), [alias]).fetchall()
        look_at_values(record, "catalog of the database", [str(value).encode() for row in rows for value in row if value])
    tables: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, kind in connection.execute(
            "select c.schema_name, c.table_name, c.column_name, c.data_type from duckdb_columns() as c join duckdb_tables() as t "
            "using (database_name, schema_name, table_name) where c.database_name = ? order by all", [alias]).fetchall():
        tables.setdefault((schema, table), []).append((column, kind))
    for (schema, table), columns in tables.items():
        shown = needles.masked(f"{schema}.{table}")
        for column, kind in columns:
            if "BLOB" in kind and kind != "BLOB":
                record.unreadable.append(f"column {needles.masked(column)} of {shown}: bytes within lists or structures are not read")
        try:
            read += _look_at_table(record, connection, f"{quote_name(alias)}.{quote_name(schema)}.{quote_name(table)}", shown, columns)
        except engine.Error:
            record.unreadable.append(f"table {shown} cannot be read")
    shown = needles.masked(name or alias)
    return Result(1, read, {"duckdb": 1}, tuple(Finding(shown, *place, count) for place, count in sorted(record.hits.items())),
                  tuple(Unread(shown, why) for why in record.unreadable), (), (), needles.refused, needles.skipped)


def _look_at_table(record: Record, connection: Connection, table: str, shown: str, columns: list[tuple[str, str]]) -> int:
    """Returns the bytes looked at. Whatever is no text and no bytes is looked at as the text that it is written as."""
    chosen = ", ".join(quote_name(column) if kind in ("VARCHAR", "BLOB") else f"{quote_name(column)}::varchar" for column, kind in columns)
    read = 0
    for batch in connection.execute(f"select {chosen} from {table}").to_arrow_reader(_ROWS):  # in the caller's transaction, if there is one
        for (column, _), values in zip(columns, batch.columns, strict=True):
            read += _look_at_column(record, f"column {record.needles.masked(column)} of {shown}", values)
    return read


def _look_at_column(record: Record, place: str, values: pa.Array) -> int:
    plain = values.cast(pa.large_binary()) if not isinstance(values, pa.DictionaryArray) else values.dictionary_decode().cast(pa.large_binary())
    _, offsets, content = plain.buffers()
    if content is None or offsets is None or not len(plain):
        return 0
    bounds = np.frombuffer(offsets, np.int64)[plain.offset:plain.offset + len(plain) + 1]
    data = memoryview(content).cast("B")
    data = data[:int(bounds[-1])]
    candidates = record.needles.candidates(data)
    if candidates:
        record.look_among(place, Texts(data, bounds[:-1], bounds[1:]), candidates)
    return len(data)
