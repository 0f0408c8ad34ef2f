"""What a purpose has published: whose rows stand where in the mart's file, when each is due, and on which grants its subjects rested.

The published file says none of it (a reader needs no day on which a row ends), so it stands beside the purpose's zone, encrypted under the zone's
key, a file per publication that ends with it. With it rows can be taken out of a published mart without dbt, and without knowing how they were
built.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from pipelines.assurance.exposure import exposed
from pipelines.assurance.lineage import Lineage
from pipelines.engines.duckdb_engine import Connection, Error, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.files import remove, sync
from pipelines.foundation.home import Home
from pipelines.lake.extracts import Extract, members_table
from pipelines.lake.store import explain, purpose_lake
from pipelines.policy.types import Rulebook

ALIAS = "kept"
_TABLES = f"""
create table {ALIAS}.grants (pseudonym uuid not null, grant_key varchar not null);
create table {ALIAS}.marts (mart varchar not null, about varchar not null);
create table {ALIAS}.rows (mart varchar not null, position bigint not null, ends_on date);
create table {ALIAS}.persons (mart varchar not null, position bigint not null, person uuid not null);
"""


@dataclass(frozen=True)
class Mart:
    """How a mart was judged when it was published: the columns that tell persons apart, the quasi-identifiers, the sensitive ones, and those that
    another purpose's marts may have, too. One without persons is an aggregate."""

    person: tuple[str, ...] = ()
    quasi: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    shared: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Memory:
    """The memory of one publication, which is the name of its file."""

    home: Home
    purpose: str
    publication: str

    @property
    def file(self) -> Path:
        return _folder(self.home, self.purpose) / f"{self.publication}.duckdb"

    def create(self, connection: Connection) -> None:
        """A new one, empty and attached."""
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.attach(connection, write=True)
        connection.execute(f"{_TABLES} checkpoint {ALIAS};")
        self.file.chmod(0o600)
        provenance.made(self.file, whole=False)

    def attach(self, connection: Connection, write: bool, alias: str = ALIAS) -> None:
        """Attach it as `alias`; the caller is alone with the purpose's builds."""
        lake = purpose_lake(self.home, self.purpose)
        options = f"encryption_key {quote_text(lake.key())}" + ("" if write else ", read_only")
        try:
            connection.execute(f"attach {quote_text(str(self.file))} as {alias} ({options})")
        except Error as error:
            raise explain(error, self.file, lake.key_name) from None


def begin(home: Home, purpose: str, connection: Connection, grants: str) -> Memory:
    """A new memory with the grants (pseudonym, grant_key) of the query `grants`: taken at the moment at which the zone is filled, so that it is never
    newer than what will be published."""
    memory = Memory(home, purpose, secrets.token_hex(8))
    memory.create(connection)
    try:
        connection.execute(f"insert into {ALIAS}.grants select pseudonym, grant_key from ({grants})")
    finally:
        connection.execute(f"detach {ALIAS}")
    return memory


def remembered(lineage: Lineage, rulebook: Rulebook, purpose: str) -> dict[str, Mart]:
    """How the lineage of a build judges its marts."""
    found = {mart: exposed(lineage, rulebook, purpose, mart) for mart in lineage}
    return {mart: Mart(told.person, told.quasi, told.sensitive, tuple(told.shared.values())) for mart, told in found.items()}


def write_marts(connection: Connection, marts: Mapping[str, Mart]) -> None:
    """Into the memory that is attached."""
    for name, mart in marts.items():
        connection.execute(f"insert into {ALIAS}.marts values (?, ?)", [name, json.dumps(asdict(mart), sort_keys=True)])


def read_marts(connection: Connection, alias: str = ALIAS) -> dict[str, Mart]:
    return {name: _mart(json.loads(about)) for name, about in connection.execute(f"from {alias}.marts order by mart").fetchall()}


def _mart(told: dict) -> Mart:
    return Mart(tuple(told["person"]), tuple(told["quasi"]), tuple(told["sensitive"]), tuple(map(tuple, told["shared"])))


def readable(connection: Connection, alias: str) -> bool:
    """Read every value of the memory attached as `alias`: a file may be damaged anywhere. True, or the engine's error."""
    for table in ("grants", "marts", "rows", "persons"):
        connection.execute(f"select bit_xor(hash(columns(*))) from {alias}.{table}").fetchall()
    return True


def first_end(connection: Connection, home: Home, extract: Extract, memory: str) -> date | None:
    """When the first row of the extract is due: a row of its marts that is one of its members', or nobody's."""
    marts = ", ".join(map(quote_text, extract.marts)) or "null"
    row = connection.execute(f"""select min(r.ends_on) from {memory}.rows as r left join {memory}.persons as p using (mart, position)
        where r.mart in ({marts}) and (p.person is null or p.person in (select pseudonym from {members_table(home, extract)}))""").fetchone()
    return row[0] if row else None


def forget(home: Home, purpose: str, but: Memory | None = None) -> None:
    """Remove every memory of the purpose `but` one: what is published no longer needs none, and pseudonyms stand in it."""
    folder = _folder(home, purpose)
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if but is None or path != but.file:
            remove(path)
    sync(folder)


def publications(home: Home, purpose: str) -> list[Memory]:
    """The memories that are there: one, but after a kill or while a build runs."""
    folder = _folder(home, purpose)
    return [Memory(home, purpose, path.stem) for path in sorted(folder.glob("*.duckdb"))] if folder.is_dir() else []


def _folder(home: Home, purpose: str) -> Path:
    return purpose_lake(home, purpose).folder / "published"
