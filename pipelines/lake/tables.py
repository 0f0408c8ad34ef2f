"""Tables of the raw zone, shaped by the contracts: one per dataset, its quarantine, and the register of batches."""

from __future__ import annotations

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.lake.store import ALIAS, tables_of
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.policy.vocabulary import BUCKET, DAY, TECHNICAL

QUARANTINE = {"_batch": "VARCHAR", "_line": "BIGINT", "reason": "VARCHAR", "received_on": "DATE", DAY: "DATE", "record": "VARCHAR"}
BATCHES = {"batch": "VARCHAR", "dataset": "VARCHAR", "as_of": "TIMESTAMPTZ", "read": "BIGINT", "loaded": "BIGINT", "quarantined": "BIGINT",
           "refused": "BIGINT", "already_known": "BIGINT", "reasons": "VARCHAR", "size": "BIGINT", "lines": "BIGINT", "finished": "BOOLEAN",
           "head": "VARCHAR"}
CURSORS = {"dataset": "VARCHAR", "source": "VARCHAR", "mark": "TIMESTAMPTZ", "as_of": "TIMESTAMPTZ"}  # how far a table that grows was read
# measured (make bench): one member's rows stand in at most a day's twenty-fourth of what names members, and files stay large enough to be quick
BUCKETS, NOBODY, ROWS_A_BUCKET = 24, 255, 50_000
PLATFORM = {"batches": BATCHES, "cursors": CURSORS}  # what the platform itself keeps beside the datasets


def raw_table(contract: Contract) -> str:
    return f"{ALIAS}.main.{quote_name(contract.name)}"


def quarantine_table(contract: Contract) -> str:
    return f"{ALIAS}.quarantine.{quote_name(contract.name)}"


def batches_table() -> str:
    return f"{ALIAS}.platform.batches"


def cursors_table() -> str:
    return f"{ALIAS}.platform.cursors"


def raw_columns(contract: Contract) -> dict[str, str]:
    """Column → DuckDB type of a raw table: the contract's, then the platform's own."""
    columns = {c.name: c.type for c in contract.columns} | TECHNICAL | ({BUCKET: "UTINYINT"} if contract.by_day else {})
    return columns | {DAY: "DATE"} if contract.clock else columns


def bucket(contract: Contract, row: str, rows: int) -> str:
    """SQL: the bucket of a row (alias `row`) of a batch of so many rows: by the member it names, else by the device. A row that names nobody stays
    where no erasure of a member comes by; a small batch is not cut up."""
    members = [f"{row}.{quote_name(s.column)}" for s in contract.subjects]
    who = f"coalesce({', '.join([*members, *([f'{row}.{quote_name(contract.device)}'] if contract.device else [])])})"
    return f"case when {who} is null then {NOBODY} else (hash({who}) % {max(1, min(BUCKETS, rows // ROWS_A_BUCKET))}) end::utinyint"


def declared_tables(rulebook: Rulebook) -> dict[str, dict[str, str]]:
    """Every table that the raw zone may hold, as 'schema.table' → column → type."""
    return ({f"main.{c.name}": raw_columns(c) for c in rulebook.contracts.values()}
            | {f"quarantine.{name}": QUARANTINE for name in rulebook.contracts}
            | {f"platform.{name}": columns for name, columns in PLATFORM.items()})


def create_raw_tables(connection: Connection, rulebook: Rulebook) -> None:
    """Make what is missing, in one transaction: tables, and columns that a contract was given since; rows that were there have none of their
    values. What no contract declares any more the coverage rule refuses."""
    there = {f"{schema}.{table}" for schema, table in tables_of(connection, ALIAS)}
    made = [*_made(there, batches_table(), BATCHES, None), *_made(there, cursors_table(), CURSORS, None)]
    if "platform.batches" in there:  # of a home that an earlier version made
        made += _added(batches_table(), BATCHES, stored_columns(connection, "platform")["batches"])
    stored = stored_columns(connection)
    for contract in rulebook.contracts.values():
        # few rows a day spread over years would make thousands of files: the contract says which datasets are laid out by day
        layout = f"{DAY}, {BUCKET}" if contract.by_day else None
        made += _made(there, raw_table(contract), raw_columns(contract), layout)
        added = _added(raw_table(contract), raw_columns(contract), stored.get(contract.name, raw_columns(contract)))
        made += added
        if layout and any(BUCKET in one for one in added):  # of an earlier version: from now on
            made.append(f"alter table {raw_table(contract)} set partitioned by ({layout})")
        made += _made(there, quarantine_table(contract), QUARANTINE, None)
    if made:
        schemas = [f"create schema if not exists {ALIAS}.{name}" for name in ("quarantine", "platform")]
        connection.execute("; ".join(["begin", *schemas, *made, "commit"]))


def _made(there: set[str], table: str, columns: dict[str, str], partition: str | None) -> list[str]:
    if table.replace('"', "").removeprefix(f"{ALIAS}.") in there:
        return []
    created = f"create table {table} ({', '.join(f'{quote_name(c)} {t}' for c, t in columns.items())})"
    return [created, f"alter table {table} set partitioned by ({partition})"] if partition else [created]


def _added(table: str, columns: dict[str, str], stored: dict[str, str]) -> list[str]:
    return [f"alter table {table} add column {quote_name(column)} {kind}" for column, kind in columns.items() if column not in stored]


def stored_columns(connection: Connection, schema: str = "main") -> dict[str, dict[str, str]]:
    """Table → column → type as the lake has them."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() where database_name = ? and schema_name = ? "
            "order by table_name, column_index", [ALIAS, schema]).fetchall():
        found.setdefault(table, {})[column] = kind
    return found
