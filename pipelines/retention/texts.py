"""The name of who ends, and on erasure their contacts too, in texts that stay: found before anything goes, written with all the rest (C-2.6, C-11.3).

The rules of what is a name in a text are names.py's. Here stands which texts of the raw zone are read, whose they are and who is near; they are read
in parts, so that memory does not grow with them. Records that a hold keeps stay as they are (C-10.5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.identity.tombstones import DEVICE, MEMBER
from pipelines.lake.store import ALIAS, tables_of
from pipelines.lake.tables import quarantine_table, raw_table
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Rulebook
from pipelines.retention.scope import DUE_ACCOUNTS, Target, held_by
from pipelines.retention.subjects import KNOWN_BY, mark_known

if TYPE_CHECKING:
    import polars as pl

RULE = "C-2.6"
_ROWS_AT_ONCE = 200_000
_TEXTS = "texts"  # the category of what members write; of other texts (paths, pages) only identifiers are taken out
_NAMES, _ADDRESS = ("member_name", "first_name", "last_name"), ("street", "postcode", "city")
_IDENTIFIERS = {MEMBER: "identifier", DEVICE: "identifier", "social": "identifier", "email": "email", "phone": "phone", "iban": "iban"}


@dataclass(frozen=True)
class Redaction:
    """The texts of one column of the table `of` that change; `table` (_batch, _line, text) says to what."""

    contract: Contract
    column: str
    table: str
    held: str
    of: str

    @property
    def zone(self) -> str:
        return "quarantine" if self.of == quarantine_table(self.contract) else "raw"

    def act_sql(self) -> str:
        return (f"update {self.of} as r set {quote_name(self.column)} = n.text from {self.table} as n "
                f"where n._batch = r._batch and n._line = r._line and not ({self.held})")

    def count_sql(self, going: Iterable[Target]) -> str:
        """How many rows change that none of the targets `going` takes away."""
        gone = " or ".join(f"({t.where})" for t in going if t.table == self.of and t.update is None) or "false"
        return (f"select count(*) from {self.table} as n join {self.of} as r on n._batch = r._batch and n._line = r._line "
                f"where not coalesce({gone}, false) and not ({self.held})")


def names_in_texts(connection: Connection, rulebook: Rulebook) -> list[Redaction]:
    """What changes in texts of raw because the accounts in `due_accounts` end: their names go (C-2.6)."""
    if not connection.execute(f"select 1 from {DUE_ACCOUNTS} limit 1").fetchone():
        return []
    mark_known(connection, rulebook)
    return redactions(connection, rulebook, {contract.name: held_by(contract) for contract in rulebook.contracts.values()}, contacts=False)


def written_in(rulebook: Rulebook) -> list[tuple[str, str, str]]:
    """(zone, dataset, column) of what members write, also where it is set aside: as it came, it may come in again when it is corrected."""
    written = [(contract.name, column.name) for contract in rulebook.contracts.values() for column in contract.columns
               if column.identifiability == "free_text" and column.category == _TEXTS]
    return [*(("raw", *one) for one in written), *(("quarantine", name, "record") for name in dict.fromkeys(name for name, _ in written))]


def redactions(connection: Connection, rulebook: Rulebook, held: dict[str, str], contacts: bool) -> list[Redaction]:
    """What changes in texts of raw for those in `known_by`; makes the tables that say to what. `held`: SQL per dataset, whether row r is held."""
    people = _people(connection, contacts)
    if people.is_empty():
        return []
    found, tables = [], tables_of(connection, ALIAS)
    there = {name for schema, name in tables if schema == "main"}
    for contract in rulebook.contracts.values() if there else ():
        if ("quarantine", contract.name) in tables and (contacts or _has_texts(contract)):
            table, of = quote_name(f"redacted_quarantine_{contract.name}"), quarantine_table(contract)
            if _redact(connection, _set_aside(connection, contract), table, people, contacts):
                found.append(Redaction(contract, "record", table, "false", of))
        texts = [column for column in contract.columns if column.identifiability == "free_text" and contract.name in there]
        traces = _traces(connection, contract, [c for c in texts if c.category != _TEXTS], _only_identifiers(people)) if contacts else {}
        for column in texts:
            written = column.category == _TEXTS
            if written or contacts:
                table, who = quote_name(f"redacted_{contract.name}_{column.name}"), people if written else _only_identifiers(people)
                parts = traces[column.name] if column.name in traces else _read(connection, contract, column, who)
                if _redact(connection, parts, table, who, contacts):
                    found.append(Redaction(contract, column.name, table, held[contract.name], raw_table(contract)))
    return found


def _has_texts(contract: Contract) -> bool:
    return any(column.identifiability == "free_text" and column.category == _TEXTS for column in contract.columns)


def names_left(connection: Connection, rulebook: Rulebook) -> dict[str, int]:
    """The final scan: how often names of those in `known_by` still stand in texts of raw. `as_names`: as one that is no word, which is left within
    longer names and in records that are held alone; `as_words`: as words that others are called by, or things
    (docs/decisions/0018-names-in-texts.md)."""
    from pipelines.retention.names import occurrences

    people, found = _people(connection, contacts=False), {"as_names": 0, "as_words": 0}
    there = tables_of(connection, ALIAS)
    for zone, dataset, column in written_in(rulebook) if not people.is_empty() else ():
        contract = rulebook.contract(dataset)
        if ("main" if zone == "raw" else zone, dataset) not in there:
            continue
        for texts in _set_aside(connection, contract) if zone == "quarantine" else _read(connection, contract, contract.column(column), people):
            counted = occurrences(texts, people)
            found["as_names"] += int(counted["distinct"].sum())
            found["as_words"] += int(counted["ordinary"].sum())
    return found


def _people(connection: Connection, contacts: bool) -> pl.DataFrame:
    """(person, kind, value) as names.py wants them, and the temporary table `persons` (member_id, person)."""
    connection.execute(f"create or replace temp table persons as select member_id, (row_number() over (order by member_id) - 1)::uinteger as person "
                       f"from (select distinct member_id from {KNOWN_BY})")
    told = " ".join(f"when {quote_text(kind)} then {quote_text(word)}" for kind, word in _IDENTIFIERS.items())
    kinds = ", ".join(quote_text(kind) for kind in (*_NAMES, *((*_IDENTIFIERS, *_ADDRESS) if contacts else ())))
    return connection.execute(f"select distinct p.person, case k.kind {told} else k.kind end as kind, k.value from {KNOWN_BY} as k "
                              f"join persons as p using (member_id) where k.kind in ({kinds}) order by all").pl()


def _only_identifiers(people: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return people.filter(pl.col("kind").is_in(list(set(_IDENTIFIERS.values()))))


def _redact(connection: Connection, parts: Iterable[pl.DataFrame], table: str, people: pl.DataFrame, contacts: bool) -> bool:
    """Make `table` of the texts that change; whether any does."""
    import polars as pl

    from pipelines.retention.names import redact

    connection.execute(f"create or replace temp table {table} (_batch varchar, _line bigint, text varchar)")
    some = False
    for texts in parts:
        changed = redact(texts, people, contacts=contacts)
        if changed.height:
            connection.register("changed", changed.select(pl.col("row").struct.unnest(), "text").to_arrow())
            connection.execute(f"insert into {table} from changed")
            connection.unregister("changed")
            some = True
    return some


def _set_aside(connection: Connection, contract: Contract) -> Iterator[pl.DataFrame]:
    """What the quarantine of a dataset holds, as the text that it is: whose it is and who is near, nobody knows."""
    import polars as pl

    nobody = pl.lit([], pl.List(pl.UInt32))
    connection.execute(f"create or replace temp table records_read as select _batch, _line, record as text from {quarantine_table(contract)} "
                       "where record is not null")
    rows = int(connection.execute("select count(*) from records_read").fetchall()[0][0])
    for first in range(0, rows, _ROWS_AT_ONCE):
        part = connection.execute("from records_read where rowid >= ? and rowid < ?", [first, first + _ROWS_AT_ONCE]).pl()
        yield part.select(pl.struct("_batch", "_line").alias("row"), "text", authors=nobody, near=nobody)


def _traces(connection: Connection, contract: Contract, columns: Sequence[Column], people: pl.DataFrame) -> dict[str, Iterator[pl.DataFrame]]:
    """The same of columns that the platform's own programs write, such as paths: of those, which are many, the few that may name somebody, found in
    one pass; of none where nearly every text may."""
    import polars as pl
    import pyarrow as pa

    from pipelines.retention.traces import Traces

    looked_for, names = Traces(people), [quote_name(column.name) for column in columns]
    if not names or not looked_for.quick:
        return {}
    some = [list[pa.RecordBatch]() for _ in names]
    asked = deque[tuple[int, pa.RecordBatch, Future[Any]]]()

    def settle(but: int) -> None:
        while len(asked) > but:
            number, batch, rows = asked.popleft()
            some[number].append(batch.take(pa.array(rows.result())))

    reader = connection.execute(f"select _batch, _line, {', '.join(names)} from {raw_table(contract)}").to_arrow_reader(_ROWS_AT_ONCE)
    with ThreadPoolExecutor(2) as pool:  # beside the reading, which takes one core
        for batch in reader:  # to the end, before this connection is asked something else
            asked.extend((number, batch.select([0, 1, number + 2]), pool.submit(looked_for.rows, batch.column(number + 2)))
                         for number in range(len(names)))
            settle(but=4)
        settle(but=0)

    def parts(name: str, batches: list[pa.RecordBatch]) -> Iterator[pl.DataFrame]:
        nobody = pl.lit([], pl.List(pl.UInt32))
        for part in pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches))).iter_slices(_ROWS_AT_ONCE) if batches else ():
            yield part.select(pl.struct("_batch", "_line").alias("row"), text=name, authors=nobody, near=nobody)

    return {column.name: parts(column.name, batches) for column, batches in zip(columns, some, strict=True)}


def _read(connection: Connection, contract: Contract, column: Column, people: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The texts of the column in parts: whose each is, and who is near."""
    import polars as pl

    text = f"r.{quote_name(column.name)}"
    author = next((s for s in contract.subjects if s.mark), contract.subjects[0])
    near = [f"[(select p.person from persons as p where p.member_id = r.{quote_name(s.column)})]" for s in contract.subjects if s is not author]
    if contract.sever_group:
        group = quote_name(contract.sever_group)
        connection.execute(f"""create or replace temp table near_groups as select g.{group} as near_group, list(distinct p.person) as near_people
            from {raw_table(contract)} as g join persons as p on p.member_id = g.{quote_name(author.column)} group by all""")
        near.append(f"coalesce((select near_people from near_groups where near_group = r.{group}), [])")
    around = f"list_filter(list_concat({', '.join(near)}), lambda x: x is not null)" if near else "[]::uinteger[]"
    whose = f"list_filter([(select p.person from persons as p where p.member_id = r.{quote_name(author.column)})], lambda x: x is not null)"
    connection.execute(f"""create or replace temp table texts_read as select r._batch, r._line, {text} as text, {whose} as authors, {around} as near
        from {raw_table(contract)} as r where {text} is not null""")
    rows = int(connection.execute("select count(*) from texts_read").fetchall()[0][0])
    for first in range(0, rows, _ROWS_AT_ONCE):
        part = connection.execute("from texts_read where rowid >= ? and rowid < ?", [first, first + _ROWS_AT_ONCE]).pl()
        yield part.select(pl.struct("_batch", "_line").alias("row"), "text", pl.col("authors").cast(pl.List(pl.UInt32)),
                          pl.col("near").cast(pl.List(pl.UInt32)))
