"""What is really in each store of a home, against what the rules declare: the coverage rule's second half.

Reads names and types of tables and columns; of rows only whether an undeclared table, whose columns may be called anything, holds a
value that stands for a member. Nothing is written, and each store is opened alone: no connection sees two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.home import Home
from pipelines.identity.vault import TABLES, opened_vault
from pipelines.keys.keyring import ARCHIVE, Keyring, mart_key
from pipelines.lake.store import ALIAS, archive_lake, explain, opened, purpose_lake, raw_lake
from pipelines.lake.tables import declared_tables
from pipelines.policy.coverage import Difference, Shape, compare
from pipelines.policy.legal_archive import ARCHIVED_ON, ENDS_ON
from pipelines.policy.types import LegalArchive, Rulebook
from pipelines.pseudonymisation import state
from pipelines.pseudonymisation.zone import zone_columns

PSEUDONYM_TYPE = "UUID"  # of no column in the raw zone or the vault


@dataclass(frozen=True)
class Compared:
    """A store that was looked into (or was never written: no tables), and what differs."""

    store: str
    tables: int
    columns: int
    differences: tuple[Difference, ...]


def sources(home: Home, rulebook: Rulebook) -> list[Compared]:
    """What a build reads: the raw zone with quarantine and the platform's own tables, and the vault."""
    return [_raw(home, rulebook), _vault(home, rulebook)]


def derived(home: Home, rulebook: Rulebook, marts: Mapping[str, Shape]) -> list[Compared]:
    """What builds have made: the pseudonymised zones, and the published marts. `marts`: purpose → table → column → type, as dbt declares."""
    found = [_strange(home, rulebook), *(_archive(home, rulebook, rule) for rule in rulebook.policy.archives.values())]
    for purpose in rulebook.policy.built:
        found.append(_zone(home, rulebook, purpose))
        found.append(_mart(home, rulebook, purpose, marts[purpose]))
    return found


def person_names(rulebook: Rulebook) -> frozenset[str]:
    """Names that a column has where it tells members apart: subject and device columns, and what they are called in a purpose."""
    names = {column for c in rulebook.contracts.values() for column in c.person_columns}
    keyed = {t.output for c in rulebook.contracts.values() for column in c.columns for t in column.transforms.values()
             if t.use in ("pseudonym", "keyed_hash", "device")}
    return frozenset(names | keyed)


def shape(connection: Connection, database: str, main: bool = False) -> Shape:
    """Every table and view of an attached database: 'schema.table', or in `main` alone the plain name."""
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() where database_name = ? and not internal "
            "order by schema_name, table_name, column_index", [database]).fetchall():
        found.setdefault(table if main and schema == "main" else f"{schema}.{table}", {})[column] = kind
    return found


def _raw(home: Home, rulebook: Rulebook) -> Compared:
    if not raw_lake(home).catalog.exists():
        return Compared("raw", 0, 0, ())
    with opened(raw_lake(home), "contracts check") as connection:
        found = shape(connection, ALIAS)
        known = [(f"{ALIAS}.main.{quote_name(c.name)}", s.column) for c in rulebook.contracts.values() for s in c.subjects
                 if s.column in found.get(f"main.{c.name}", {})]
        return _compared("raw", ALIAS, declared_tables(rulebook), found, rulebook, connection, known)


def _vault(home: Home, rulebook: Rulebook) -> Compared:
    if not home.vault.exists():
        return Compared("vault", 0, 0, ())
    with opened_vault(home, "contracts check") as connection:
        found = shape(connection, "vault", main=True)
        known = [("vault.subjects", "member_id")] if "member_id" in found.get("subjects", {}) else []
        return _compared("vault", "vault", _vault_as_made(), found, rulebook, connection, known)


def _vault_as_made() -> Shape:
    """The vault's own statements, carried out in memory: its list stands once."""
    connection = engine.connect(Path(), extensions=())
    try:
        connection.execute("attach ':memory:' as vault")
        connection.execute(TABLES)
        return shape(connection, "vault", main=True)
    finally:
        connection.close()


def _zone(home: Home, rulebook: Rulebook, purpose: str) -> Compared:
    lake, store = purpose_lake(home, purpose), f"pseudonymised/{purpose}"
    if not lake.catalog.exists():
        return Compared(store, 0, 0, ())
    declared = {c.name: zone_columns(c, purpose) for c in rulebook.entering(purpose)}
    declared |= {f"{state.SCHEMA}.{name}": columns for name, columns in state.TABLES.items()}
    with opened(lake, "contracts check") as connection:
        found = shape(connection, ALIAS, main=True)
        known = [(f"{ALIAS}.{table if '.' in table else f'main.{quote_name(table)}'}", "pseudonym") for table in declared
                 if "pseudonym" in found.get(table, {})]
        return _compared(store, ALIAS, declared, found, rulebook, connection, known)


def _archive(home: Home, rulebook: Rulebook, rule: LegalArchive) -> Compared:
    lake, contract = archive_lake(home, rule.name), rulebook.contracts[rule.dataset]
    if not lake.catalog.exists():
        return Compared(lake.name, 0, 0, ())
    declared = {rule.dataset: {name: contract.column(name).type for name in rule.columns} | {ARCHIVED_ON: "DATE", ENDS_ON: "DATE"}}
    with opened(lake, "contracts check") as connection:
        found = shape(connection, ALIAS, main=True)
        known = [(f"{ALIAS}.main.{quote_name(rule.dataset)}", s.column) for s in contract.subjects if s.column in found.get(rule.dataset, {})]
        return _compared(lake.name, ALIAS, declared, found, rulebook, connection, known)


def _mart(home: Home, rulebook: Rulebook, purpose: str, declared: Shape) -> Compared:
    store, file = f"marts/{purpose}", home.mart(purpose)
    if not file.exists():
        return Compared(store, 0, 0, ())
    options = ["read_only"]
    if rulebook.policy.purposes[purpose].published == "encrypted":
        options.append(f"encryption_key {quote_text(Keyring(home).get(mart_key(purpose)))}")
    connection = engine.connect(home.tmp, extensions=("httpfs",) if len(options) > 1 else ())
    try:
        try:
            connection.execute(f"attach {quote_text(str(file))} as mart ({', '.join(options)})")
        except engine.Error as error:
            raise explain(error, file, mart_key(purpose)) from None
        found = shape(connection, "mart", main=True)
        known = [(f"mart.main.{quote_name(table)}", "pseudonym") for table in declared if "pseudonym" in found.get(table, {})]
        return _compared(store, "mart", declared, found, rulebook, connection, known)
    finally:
        connection.close()


def _strange(home: Home, rulebook: Rulebook) -> Compared:
    """Stores that no purpose of the policy has: a zone or mart of a purpose that was taken out keeps data that nobody may use."""
    built = rulebook.policy.built
    strange = [*(f"zones/{name}" for name in _names(home.lake("")) if name not in ("raw", "vault", "pseudonymised", "frozen", ARCHIVE)),
               *(f"pseudonymised/{name}" for name in _names(home.lake("pseudonymised")) if name not in built),
               *(f"marts/{name}" for name in _names(home.mart("").parent) if name.removesuffix(".duckdb") not in built)]
    over = [f"{ARCHIVE}/{name}" for name in _names(home.lake(ARCHIVE)) if name not in rulebook.policy.archives]
    return Compared("stores", 0, 0, (
        *(Difference(store, "the whole store", None, "undeclared", "no purpose of the policy has it") for store in strange),
        *(Difference(store, "the whole store", None, "undeclared", "its rule is off, and the next run of retention destroys it") for store in over)))


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _compared(store: str, database: str, declared: Shape, found: Shape, rulebook: Rulebook, connection: Connection,
              known: Sequence[tuple[str, str]]) -> Compared:
    """`known`: (table, column) of the store where its members' ids or pseudonyms stand."""
    types = {kind: _canonical(connection, kind) for kind in {kind for columns in declared.values() for kind in columns.values()}}
    wanted = {table: {column: types[kind] for column, kind in columns.items()} for table, columns in declared.items()}
    names = person_names(rulebook)
    keys = {}
    for table, columns in found.items():
        loose = {column: kind for column, kind in columns.items() if column not in wanted.get(table, {})}
        schema, _, name = table.rpartition(".")
        place = f"{database}.{quote_name(schema or 'main')}.{quote_name(name)}"
        keys[table] = frozenset(column for column, kind in loose.items()
                                if column in names or kind == PSEUDONYM_TYPE or (kind == "VARCHAR" and _stands_for(connection, place, column, known)))
    return Compared(store, len(found), sum(map(len, found.values())), tuple(compare(store, wanted, found, keys)))


def _stands_for(connection: Connection, table: str, column: str, known: Sequence[tuple[str, str]]) -> bool:
    """Whether the column holds a value that stands for a member elsewhere in its store."""
    return any(connection.execute(f"select 1 from {table} where {quote_name(column)} in "
                                  f"(select {quote_name(key)}::varchar from {other}) limit 1").fetchone() for other, key in known)


def _canonical(connection: Connection, kind: str) -> str:
    """The type as DuckDB writes it."""
    row = connection.execute(f"select typeof(null::{kind})").fetchone()
    return str(row[0]) if row else kind
