"""Open a lake: an encrypted DuckLake whose catalog is an encrypted DuckDB file, one writer or many readers at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.errors import Unavailable
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import ARCHIVE, Keyring, archive_key, remedy, zone_key
from pipelines.policy.types import Policy

ALIAS = "lake"


@dataclass(frozen=True)
class Lake:
    """Where a lake stands and which key opens it."""

    home: Home
    name: str
    key_name: str

    @property
    def folder(self) -> Path:
        return self.home.lake(self.name)

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.duckdb"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def lock(self) -> str:
        return self.name.replace("/", "-")

    def key(self) -> str:
        return Keyring(self.home).get(self.key_name)


def raw_lake(home: Home) -> Lake:
    """Data as collected, with its quarantine."""
    return Lake(home, "raw", "raw")


def purpose_lake(home: Home, purpose: str) -> Lake:
    """The pseudonymised zone of one purpose: a catalog and a key of its own (C-3.3b)."""
    return Lake(home, f"pseudonymised/{purpose}", zone_key(purpose))


def archive_lake(home: Home, rule: str) -> Lake:
    """What is kept for one law alone (C-10.8): a catalog and a key of its own."""
    return Lake(home, f"{ARCHIVE}/{rule}", archive_key(rule))


def archives_there(home: Home) -> list[str]:
    """Names of the legal archives that have a zone or a key in this home, whatever the policy says of them now."""
    keys = (path.stem.removeprefix(f"{ARCHIVE}_") for path in home.keys.glob(f"{ARCHIVE}_*.key"))
    zones = (path.name for path in home.lake(ARCHIVE).iterdir()) if home.lake(ARCHIVE).is_dir() else ()
    return sorted({*keys, *zones})


def stored_lakes(home: Home, policy: Policy) -> list[Lake]:
    """Every lake that the home may have, in the order in which they are locked: raw, the purposes' zones, and the legal archives that are on or still
    there."""
    archives = sorted({*policy.archives, *archives_there(home)})
    return [raw_lake(home), *(purpose_lake(home, name) for name in policy.built), *(archive_lake(home, name) for name in archives)]


@contextmanager
def opened(lake: Lake, why: str, write: bool = False) -> Iterator[Connection]:
    """A connection with the lake attached as `lake`. Writers are alone; readers share and see it read-only."""
    lake.home.require()
    with locked(lake.home, lake.lock, why, exclusive=write):
        connection = engine.connect(lake.home.tmp)
        try:
            attach(connection, lake, write)
            yield connection
        finally:
            connection.close()


def tables_of(connection: Connection, alias: str) -> set[tuple[str, str]]:
    """(schema, table) of an attached lake, as it was committed. From its catalog: for its own list DuckDB estimates how many rows each table has,
    twenty times as long."""
    meta = f"__ducklake_metadata_{alias}"
    return {(row[0], row[1]) for row in connection.execute(
        f"select s.schema_name, t.table_name from {meta}.ducklake_table as t join {meta}.ducklake_schema as s using (schema_id) "
        "where t.end_snapshot is null and s.end_snapshot is null").fetchall()}


def filled_tables(connection: Connection, alias: str) -> set[str]:
    """'alias.schema.table' of those that may hold a row, as it was committed; the others are empty, and asking each takes longer than all else."""
    meta = f"__ducklake_metadata_{alias}"
    return {f"{alias}.{schema}.{table}" for schema, table in connection.execute(
        f"select s.schema_name, t.table_name from {meta}.ducklake_table as t join {meta}.ducklake_schema as s using (schema_id) "
        "where t.end_snapshot is null and s.end_snapshot is null and t.table_id in ("
        f"select table_id from {meta}.ducklake_data_file where end_snapshot is null union all "
        f"select table_id from {meta}.ducklake_inlined_data_tables)").fetchall()}


def attach(connection: Connection, lake: Lake, write: bool, alias: str = ALIAS) -> None:
    """Attach `lake` under `alias`; the caller holds its lock. A lake that does not exist is made only by a writer."""
    key, fresh = lake.key(), not lake.catalog.exists()
    if fresh:
        if any(lake.data.glob("**/*.parquet")):  # a new catalog would leave them there unknown, beyond every deletion
            made = "Restore it from a backup" if lake.name == "raw" else f"Restore it from a backup, or remove {lake.folder}: a build makes it anew"
            raise Unavailable(f"The catalog of the {lake.name} zone is gone ({lake.catalog}), and its data files are there. {made}.")
        if not write:
            raise Unavailable(f"The {lake.name} zone is empty: nothing was loaded into it yet. "
                               f"{'Run: kampeky ingest' if lake.name == 'raw' else 'Run: kampeky build'}")
        lake.data.mkdir(parents=True, exist_ok=True)
        lake.folder.chmod(0o700)
    # inlining off: small changes would stand in the catalog instead of an encrypted file that can be destroyed
    options = [f"data_path {quote_text(str(lake.data) + '/')}", "encrypted true", f"meta_encryption_key {quote_text(key)}",
               "data_inlining_row_limit 0", "override_data_path true",  # a restored home stands elsewhere
               *([] if write else ["read_only"])]
    try:
        connection.execute(f"attach {quote_text(f'ducklake:{lake.catalog}')} as {alias} ({', '.join(options)})")
    except engine.Error as error:
        raise explain(error, lake.catalog, lake.key_name) from None
    if fresh:
        provenance.made(lake.catalog, whole=False)


def explain(error: Exception, file: Path, key_name: str) -> Unavailable:
    """One clear line for a store that does not open; the driver's own text may quote the statement, so it is not repeated."""
    text = str(error).lower()
    if "encryption key" in text or "without a key" in text:
        return Unavailable(f"The key '{key_name}' does not open {file.name} in {file.parent}. {remedy(key_name)}")
    if "set lock" in text:  # a damaged block has a lock in its name
        return Unavailable(f"{file} is open in another program. Close it, then try again.")
    return Unavailable(f"{file} cannot be opened: it is damaged or not a catalog of this platform. Restore it from a backup.")
