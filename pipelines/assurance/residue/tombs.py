"""Values that could name somebody, in every place of a home, held against the tombstones: after an erasure nobody knows any more whom it
concerned, but of each value one can ask (C-11.3)."""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity import tombstones
from pipelines.identity.tombstones import DEVICE, EMAIL, ERASED, IDS, MEMBER, SOCIAL, collected, names_of, of_living, words_of
from pipelines.identity.vault import attach_vault
from pipelines.lake.store import ALIAS, archive_lake, attach, opened, raw_lake, tables_of
from pipelines.lake.tables import quarantine_table, raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook

_KINDS = (MEMBER, DEVICE, SOCIAL, EMAIL)
_BYTES = tuple(re.compile(pattern) for pattern in (*(ids.encode() for ids in IDS), rb"[\w.%+-]+@[\w.-]+\w"))
MOMENT = "/*when*/"  # where a query of values takes in when each was collected


def search(home: Home, rulebook: Rulebook) -> tuple[int, list[tuple[str, int]], list[tuple[str, int]]]:
    """How many values were asked about, and (place, count) of those that belong to somebody who was erased, in what was collected before: those that
    must not be there, and those that a legal archive keeps (C-10.8)."""
    if not raw_lake(home).catalog.exists():
        return 0, [], []
    with locked(home, "vault", "verify residue", exclusive=False), opened(raw_lake(home), "verify residue") as connection:
        attach_vault(connection, home, write=False)
        if not tombstones.any_left(connection):
            return 0, [], []
        tombstones.use_key(connection, home)
        there = {f"{schema}.{name}" for schema, name in tables_of(connection, ALIAS)}
        found, asked = list[tuple[str, int]](), 0
        holds = has_table(connection, "vault", "holds")
        accounts = f"select {quote_name(rulebook.accounts.key[0])} from {raw_table(rulebook.accounts)}"
        for contract in rulebook.contracts.values():
            for place, words, at in places(contract, there, holds, accounts):
                connection.execute(f"create or replace temp table asked as select distinct * from ({words.replace(MOMENT, '')})")
                asked += _number(connection, "select count(*) from asked")
                if _marked(connection, "select kind, value from asked"):
                    hits = _number(connection, f"select count(*) from ({words.replace(MOMENT, f', {at} as moment')}) as w join {ERASED} as e using "
                                   f"(kind, value) "
                                   "where coalesce(w.moment < e.erased_at, true)")
                    found += [(place, hits)] if hits else []
        number, hits = _texts(connection, home, rulebook, there)
        archived = [*_archived(connection, home, rulebook)]
        return asked + number + sum(number for _, number, _ in archived), found + hits, [(place, count) for place, _, count in archived if count]


def _archived(connection: Connection, home: Home, rulebook: Rulebook) -> Iterator[tuple[str, int, int]]:
    """(archive, values asked about, how many of them belong to somebody who was erased) of each archive that a rule keeps."""
    for rule in rulebook.policy.archives.values():
        lake = archive_lake(home, rule.name)
        with locked(home, lake.lock, "verify residue", exclusive=False):
            if not lake.catalog.exists():
                continue
            attach(connection, lake, write=False, alias="archive")
            if ("main", rule.dataset) in tables_of(connection, "archive"):
                table = f"archive.main.{quote_name(rule.dataset)}"
                columns = [f"select {quote_text(kind)} as kind, {quote_name(column)} as value from {table}"
                           for column, kind in names_of(rulebook.contracts[rule.dataset]) if column in rule.columns]
                if columns:
                    connection.execute(f"create or replace temp table asked as select distinct * from ({' union all '.join(columns)})")
                    yield lake.name, _number(connection, "select count(*) from asked"), _marked(connection, "select kind, value from asked")
            connection.execute("detach archive")


def places(contract: Contract, there: set[str], holds: bool = False, accounts: str = "") -> Iterator[tuple[str, str, str]]:
    """(place, SQL of (kind, value) with a place for the moment, SQL of when row r was collected) of a dataset and of its quarantine. A record that
    one of the `holds` keeps may name whom it names (C-10.5). Addresses of members who have an account (`accounts`: SQL of their ids) are theirs."""
    if f"main.{contract.name}" in there:
        table, at = raw_table(contract), collected(contract, "r")
        if holds and len(contract.key) == 1:
            table = (f"(from {table} as h where h.{quote_name(contract.key[0])} not in (select record_key from vault.holds "
                     f"where dataset = {quote_text(contract.name)} and lifted_at is null))")
        columns = [f"select {quote_text(kind)} as kind, r.{quote_name(column)} as value{MOMENT} from {table} as r"
                   + (f" where not {of_living(contract, 'r', accounts)}" if accounts and kind in (EMAIL, SOCIAL) else "")
                   for column, kind in names_of(contract)]
        texts = [words for c in contract.columns if c.identifiability == "free_text" for words in _words(f"r.{quote_name(c.name)}", table)]
        yield f"raw.{contract.name}", " union all ".join([*columns, *texts]), at
    if f"quarantine.{contract.name}" in there:
        table = quarantine_table(contract)
        yield f"quarantine.{contract.name}", " union all ".join(_words("r.record", table)), "r.paris_day::timestamptz"


def _words(text: str, table: str) -> list[str]:
    return [f"select {quote_text(kind)} as kind, unnest({words}) as value{MOMENT} from {table} as r" for kind, words in words_of(text)]


def _marked(connection: Connection, asked: str) -> int:
    """Tombstones that are there count, whatever the day: those that are over were removed by a retention run."""
    return tombstones.mark_erased(connection, asked, date.min)


def _texts(connection: Connection, home: Home, rulebook: Rulebook, there: set[str]) -> tuple[int, list[tuple[str, int]]]:
    """Words of the home's text files and of what stands in its packages. They have no day, so that a value counts that nobody has who lives now."""
    names = sorted({(str(path.relative_to(home.root)), word) for path in _text_files(home) for word in _words_of(path)})
    if not names:
        return 0, []
    import pyarrow as pa

    connection.register("words_of_files", pa.table({"file": [name for name, _ in names], "value": [word for _, word in names]}))
    kinds = " union all ".join(f"select {quote_text(kind)} as kind, {'lower(value)' if kind == EMAIL else 'value'} as value, file from words_of_files"
                               for kind in _KINDS)
    found = list[tuple[str, int]]()
    if _marked(connection, f"select kind, value from ({kinds})"):
        living = " union ".join(f"select r.{quote_name(column)} from {raw_table(c)} as r" for c in rulebook.contracts.values()
                                if f"main.{c.name}" in there for column, _ in names_of(c))
        found = connection.execute(f"select file, count(distinct value) from ({kinds}) join {ERASED} using (kind, value) "
                                   f"where value not in (select * from ({living}) as t(v) where v is not null) group by 1 order by 1").fetchall()
        values = [row[0] for row in connection.execute(f"select distinct value from {ERASED}").fetchall()]
        found = [(_masked(file, values), count) for file, count in found]
    connection.unregister("words_of_files")
    return len(names), found


def _masked(name: str, values: list[str]) -> str:
    """A file's name without the values that it may be made of."""
    return re.sub("|".join(map(re.escape, sorted(values, key=len, reverse=True))), "*", name, flags=re.IGNORECASE)


def _text_files(home: Home) -> Iterator[Path]:
    for path in sorted(home.root.rglob("*")):
        if path.is_file() and path.suffix not in (".parquet", ".duckdb", ".age") and path.stat().st_size:
            yield path


def _words_of(path: Path) -> set[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as package:
            return {word for name in package.namelist() for word in _in(package.read(name))}
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _in(content)


def _in(content: bytes | mmap.mmap) -> set[str]:
    return {word.decode("utf-8", "replace") for pattern in _BYTES for word in pattern.findall(content)}


def _number(connection: Connection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
