"""Legal archives: what a law keeps of records that would go, for as long as it says and no longer (C-10.8).

A rule that is on has a zone and a key of its own, which no role holds and no purpose reads. Before a run of retention or an erasure takes anything
away, the rule's columns of each record that goes or loses a side are copied into it, by the very targets that take it. The copy is committed first:
a kill between the two is made up for by the next run, which finds the record there by its key. What a hold keeps is not copied, for it does not go.
A record of the archive ends with its day. The zone of a rule that is off again, and its key, end with the next run of retention.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys import rotation
from pipelines.keys.keyring import archive_key
from pipelines.lake.store import archive_lake, archives_there, attach, tables_of
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.legal_archive import ARCHIVED_ON, CLAUSE, ENDS_ON
from pipelines.policy.types import LegalArchive, Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.retention.scope import DUE_ACCOUNTS, Target, slices
from pipelines.retention.stores import who_is_named

ALIAS = "archive"
ACTION = "archive"  # of a plan's line: so many records are copied, and none goes by it
_TAKEN = "taken_into_archive"
_ENDED = "its rule is off"


def going(entries: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The lines of a plan by which something goes: all but those that copy."""
    return [entry for entry in entries if entry["action"] != ACTION]


def copied(entries: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The lines of a plan by which records are copied into an archive."""
    return [entry for entry in entries if entry["action"] == ACTION]


# --- what a plan says ---


def taking(connection: Connection, home: Home, rulebook: Rulebook, targets: Sequence[Target], as_of: date) -> list[dict[str, Any]]:
    """A line per rule that is on: how many records the targets would have copied. Raw and vault are attached, as for the targets."""
    found = []
    for rule, contract in _on(rulebook):
        with _zone(connection, home, rule.name, write=False) as there:
            due = _number(connection, f"select count(*) from ({_records(connection, rule, contract, targets, as_of, there)})")
        found.append(_entry(rule.name, rule.dataset, due, action=ACTION))
    return found


def ending(connection: Connection, home: Home, rulebook: Rulebook, as_of: date) -> list[dict[str, Any]]:
    """What goes from the archives themselves: records whose day has come, and all of a rule that is off or keeps another dataset now."""
    found = []
    for rule, _ in _on(rulebook):
        with _zone(connection, home, rule.name, write=False) as there:
            stored = {rule.dataset, *(_tables(connection) if there else ())}
            for table in sorted(stored):
                of = _number(connection, f"select count(*) from {_table(table)}") if there and table in _tables(connection) else 0
                due = _number(connection, f"select count(*) from {_table(table)} where {_over(table, rule, as_of)}") if of else 0
                found.append(_entry(rule.name, table, due) | {"of": of, "going": due})
    for name in turned_off(home, rulebook):
        rows = _rows_of(connection, home, name)
        of = {"of": rows, "going": rows} if rows else {}
        found.append(_entry(name, "all of it, with its key", rows or len(_files(home, name))) | of | {"why": _ENDED})
    return found


def kept(connection: Connection, home: Home, rulebook: Rulebook, targets: Sequence[Target], as_of: date) -> list[dict[str, Any]]:
    """What the archives keep of the members in `due_accounts`: which law, of which dataset, how many records, those that the targets have copied
    and those that are there already; and until when the last of them is kept."""
    found = []
    for rule, contract in _on(rulebook):
        named = [f"r.{quote_name(s.column)} in (select member_id from {DUE_ACCOUNTS})" for s in contract.subjects if s.column in rule.columns]
        with _zone(connection, home, rule.name, write=False) as there:
            records = f"select {ENDS_ON} from ({_records(connection, rule, contract, targets, as_of, there)})"
            if there and named and rule.dataset in _tables(connection):
                lives = f"not {_over(rule.dataset, rule, as_of)} and ({' or '.join(named)})"
                records += f" union all select r.{ENDS_ON} from {_table(rule.dataset)} as r where {lives}"
            count, until = connection.execute(f"select count(*), max({ENDS_ON}) from ({records})").fetchall()[0]
        if count:
            found.append({"archive": rule.name, "law": rule.law, "dataset": rule.dataset, "records": count, "until": until.isoformat()})
    return found


def turned_off(home: Home, rulebook: Rulebook) -> list[str]:
    """Archives that are there, or of which a key is, and that no rule of the policy keeps any more."""
    return [name for name in archives_there(home) if name not in rulebook.policy.archives]


def refuse_turned_off(home: Home, rulebook: Rulebook) -> None:
    """An erasure leaves what a law keeps and nothing else: an archive that no rule keeps any more goes first. A restore, which alone works on its
    home, has its own run of retention."""
    names = [] if home.clearing else [name for name in turned_off(home, rulebook) if archive_lake(home, name).folder.exists()]
    if names:
        raise Refused(f"The rules of legal_archive for {', '.join(names)} are off, and what was kept by them is still there. First: kampeky "
                      "retention plan, and apply it", CLAUSE)


# --- the doing ---


def take(connection: Connection, home: Home, rulebook: Rulebook, targets: Sequence[Target], as_of: date) -> None:
    """Copy what the targets take away, before they do, and commit it: DuckDB writes to one database in a transaction."""
    for rule, contract in _on(rulebook):
        with _zone(connection, home, rule.name, write=False) as there:
            records = _records(connection, rule, contract, targets, as_of, there)
            connection.execute(f"create or replace temp table {_TAKEN} as {records}")
        if _number(connection, f"select count(*) from {_TAKEN}"):
            with _zone(connection, home, rule.name, write=True):
                columns = ", ".join(map(quote_name, _columns(rule, contract)))
                _commit(connection, [*_fitting(connection, rule, contract),
                                     f"insert into {_table(rule.dataset)} ({columns}) select {columns} from {_TAKEN}"])
        connection.execute(f"drop table {_TAKEN}")


def expire(connection: Connection, home: Home, rulebook: Rulebook, as_of: date) -> None:
    """Remove records whose day has come, and what a rule keeps no more: columns and datasets that it named before."""
    for rule, contract in _on(rulebook):
        if archive_lake(home, rule.name).catalog.exists():
            with _zone(connection, home, rule.name, write=True):
                _commit(connection, _fitting(connection, rule, contract))
                _commit(connection, [f"delete from {_table(rule.dataset)} where {_over(rule.dataset, rule, as_of)}",
                                     *(f"drop table {_table(name)}" for name in sorted(_tables(connection)) if name != rule.dataset)])


def destroy_turned_off(home: Home, rulebook: Rulebook) -> None:
    """The key first, then the files: from the first step on nobody opens what is left. The caller holds the locks of all stores."""
    for name in turned_off(home, rulebook):
        _destroy(home, name)


def destroy_keyless(home: Home, rulebook: Rulebook, why: str) -> None:
    """Of archives that no rule keeps those that nobody can open: a backup brought back the files of one whose key was destroyed."""
    for name in turned_off(home, rulebook):
        try:
            archive_lake(home, name).key()
        except KampekyError:
            with locked(home, archive_lake(home, name).lock, why):
                _destroy(home, name)


def _destroy(home: Home, name: str) -> None:
    rotation.destroy(home.keys / f"{archive_key(name)}.key")
    remove(archive_lake(home, name).folder)
    folder = archive_lake(home, name).folder.parent
    if folder.is_dir() and not any(folder.iterdir()):
        remove(folder)


# --- records ---


def _on(rulebook: Rulebook) -> list[tuple[LegalArchive, Contract]]:
    return [(rule, rulebook.contracts[rule.dataset]) for rule in rulebook.policy.archives.values() if rule.dataset in rulebook.contracts]


def _records(connection: Connection, rule: LegalArchive, contract: Contract, targets: Sequence[Target], as_of: date, there: bool) -> str:
    """SQL: the rule's columns of each record that one of the targets deletes or severs, which the law still keeps and the archive does not have.
    `there`: whether the archive is attached."""
    mine = [t for t in targets if t.table == raw_table(contract) and (t.update is None or t.action.startswith("sever "))]
    key, ends, today = quote_name(contract.key[0]), _ends(rule, contract, as_of), f"date '{as_of.isoformat()}'"
    known = f" and r.{key} not in (select {key} from {_table(rule.dataset)})" if there and rule.dataset in _tables(connection) else ""
    columns = ", ".join(f"r.{quote_name(name)}" for name in rule.columns)
    parts = slices(mine, who_is_named(connection, mine)) if mine else []
    found = [f"select {columns}, {today} as {ARCHIVED_ON}, {ends} as {ENDS_ON} from {raw_table(contract)} as r where ({part}) and {ends} > {today}"
             f"{known} and ({' or '.join(f'(({t.where}) and not ({t.held}))' for t in asked) or 'false'})" for part, asked in parts]
    none = ", ".join(f"null::{kind} as {quote_name(name)}" for name, kind in _columns(rule, contract).items())
    return " union all ".join(found) or f"select {none} where false"  # a dataset that was never loaded


def _ends(rule: LegalArchive, contract: Contract, as_of: date) -> str:
    """SQL: the first day on which the law does not keep record `r` any more. Of an account the day is that of its end: when it was deleted, else
    this one, on which it goes."""
    if contract.clock:
        return rule.period.sql(f"r.{DAY}")
    assert contract.account is not None
    return rule.period.sql(f"coalesce(r.{quote_name(contract.account.deleted)}::date, date '{as_of.isoformat()}')")


def _over(table: str, rule: LegalArchive, as_of: date) -> str:
    return f"{ENDS_ON} <= date '{as_of.isoformat()}'" if table == rule.dataset else "true"


def _columns(rule: LegalArchive, contract: Contract) -> dict[str, str]:
    """Column → type of the rule's table."""
    return {name: contract.column(name).type for name in rule.columns} | {ARCHIVED_ON: "DATE", ENDS_ON: "DATE"}


def _fitting(connection: Connection, rule: LegalArchive, contract: Contract) -> Iterator[str]:
    """SQL that makes the table what the rule says now: what it does not name any more goes, what it names since is empty in older records."""
    wanted, before = _columns(rule, contract), f"{rule.dataset} before"
    columns = ", ".join(f"{quote_name(name)} {kind}" for name, kind in wanted.items())
    if rule.dataset not in _tables(connection):
        yield f"create table {_table(rule.dataset)} ({columns})"
        return
    stored = [row[0] for row in connection.execute("select column_name from duckdb_columns() where database_name = ? and schema_name = 'main' and "
                                                   "table_name = ? order by column_index", [ALIAS, rule.dataset]).fetchall()]
    if set(stored) != set(wanted):
        both = ", ".join(quote_name(name) for name in wanted if name in stored)
        yield f"alter table {_table(rule.dataset)} rename to {quote_name(before)}"
        yield f"create table {_table(rule.dataset)} ({columns})"
        yield f"insert into {_table(rule.dataset)} ({both}) select {both} from {_table(before)}"
        yield f"drop table {_table(before)}"


# --- the zone ---


@contextmanager
def _zone(connection: Connection, home: Home, name: str, write: bool) -> Iterator[bool]:
    """Attach the archive as `archive`; a writer makes it, to a reader it is said whether there is one. The caller holds its lock."""
    lake = archive_lake(home, name)
    if not write and not lake.catalog.exists():
        yield False
        return
    attach(connection, lake, write=write, alias=ALIAS)
    try:
        yield True
    finally:
        connection.execute(f"detach {ALIAS}")


def _commit(connection: Connection, statements: Iterable[str]) -> None:
    listed = list(statements)
    connection.execute("begin")
    try:
        for statement in listed:
            connection.execute(statement)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _rows_of(connection: Connection, home: Home, name: str) -> int:
    """How many records an archive has that no rule keeps any more; 0 also where nobody can open it."""
    try:
        with _zone(connection, home, name, write=False) as there:
            return sum(_number(connection, f"select count(*) from {_table(table)}") for table in _tables(connection)) if there else 0
    except KampekyError:
        return 0


def _files(home: Home, name: str) -> list[Any]:
    key = home.keys / f"{archive_key(name)}.key"
    return [*archive_lake(home, name).folder.rglob("*"), *([key] if key.exists() else []), archive_lake(home, name).folder]


def _tables(connection: Connection) -> set[str]:
    return {table for schema, table in tables_of(connection, ALIAS) if schema == "main"}


def _table(dataset: str) -> str:
    return f"{ALIAS}.main.{quote_name(dataset)}"


def _entry(name: str, dataset: str, due: int, action: str = "delete") -> dict[str, Any]:
    return {"zone": f"{ALIAS}/{name}", "dataset": dataset, "rule": CLAUSE, "action": action, "due": due, "held": 0}


def _number(connection: Connection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
