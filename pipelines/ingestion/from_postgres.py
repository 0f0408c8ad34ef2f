"""Ingest tables of PostgreSQL: all of a run from one moment, each one batch, its cursor's mark kept with it or not at all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.errors import Misuse, Refused
from pipelines.foundation.home import Home
from pipelines.ingestion import check
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Reading, batch_id, registered
from pipelines.ingestion.ingest import land_staged
from pipelines.ingestion.replay import settle
from pipelines.ingestion.run import not_before_retention, one_transaction, raw_zone, write_down
from pipelines.keys.keyring import Keyring
from pipelines.lake.tables import CURSORS, cursors_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.sources import postgres
from pipelines.sources.declared import PostgresTable, postgres_table

log = logging.getLogger("kampeky")


def ingest_postgres(home: Home, rulebook: Rulebook, contracts: Sequence[Contract], address: str, as_of: datetime,
                    whole: bool = False) -> list[tuple[Contract, Balance]]:
    """Fetch and land the datasets, all of them or none. With `whole` from the beginning of each table, whatever was seen before."""
    # what rests on a consent is held against all decisions that come with it
    sources = [(contract, _declared(contract)) for contract in sorted(contracts, key=lambda c: c.consent_register is None)]
    secret = Keyring(home).derive("raw", "batch ids")
    with raw_zone(home, rulebook, as_of) as connection:
        since = {contract.name: None if whole else _mark(connection, contract, source) for contract, source in sources}
        fetched: list[postgres.Fetched] = []
        with postgres.snapshot(connection, address):  # ends before anything is landed: the source waits for nobody
            for contract, source in sources:
                _check_columns(connection, contract, source)
                names = [c.name for c in contract.columns]
                fetched.append(postgres.fetch(connection, source, names, f"fetched_{len(fetched)}", since[contract.name]))
        now, done = not_before_retention(home, as_of), list[tuple[str, Balance]]()
        with one_transaction(connection):
            for (contract, source), rows in zip(sources, fetched, strict=True):
                # the window is part of the batch's name: the same rows of a later window are another batch, of known rows
                batch = batch_id(secret, contract.name, f"{_name(source)}\0{since[contract.name]}\0{rows.digest}")
                balance = _land(connection, rulebook, contract, source, rows, batch, now)
                _keep_mark(connection, contract, source, rows, now)
                log.info("%s: %s rows read, %s loaded", contract.name, f"{balance.read:,}", f"{balance.loaded:,}")
                done.append((batch, balance))
            settled = settle(connection, rulebook, now, any(contract.consent_register and balance.loaded
                                                            for (contract, _), (_, balance) in zip(sources, done, strict=True)))
        write_down(home, as_of, [*settled.changed, *done])
    settled.clean(home)
    balances = {contract.name: balance for (contract, _), (_, balance) in zip(sources, done, strict=True)}
    return [(contract, balances[contract.name]) for contract in contracts]


def _declared(contract: Contract) -> PostgresTable:
    source = postgres_table(contract)
    if source is None:
        raise Misuse(f"{contract.path} names no table of PostgreSQL. Add the custom property postgres: {{table: schema.table, cursor: a time, "
                     "late: P3D}, or name files.")
    return source


def _check_columns(connection: Connection, contract: Contract, source: PostgresTable) -> None:
    found, told = postgres.columns_of(connection, source), f"PostgreSQL's {source.schema}.{source.table}"
    check.check_names(contract, list(found), told, f"Leave it out with a view that {contract.path} names")
    odd = [f"Column {name} is of type {kind}." for name, kind in found.items() if kind]
    if odd:
        raise Refused(f"{told}: {' '.join(odd)} A column has one value a row, as text, number, day, time or truth value: cast it in a view. Nothing "
                      "was loaded.", contract.path)
    if not postgres.is_time(connection, source):
        raise Refused(f"{told}: the cursor {source.cursor} is no column of type timestamptz there. Nothing was loaded.", contract.path)


def _land(connection: Connection, rulebook: Rulebook, contract: Contract, source: PostgresTable, fetched: postgres.Fetched, batch: str,
          as_of: datetime) -> Balance:
    before = [known for known in registered(connection, contract.name) if known.id == batch]
    if before and not any(known.balance.refused and known.as_of > as_of for known in before):
        return Balance(contract.name, read=fetched.rows, already_known=fetched.rows)
    connection.execute(f"drop table if exists {check.STAGED}; alter table {fetched.table} rename to {check.STAGED}")
    # a row whose cursor is empty would be fetched for ever and never be late: it is set aside, whatever the contract says of the column
    columns = tuple(replace(c, required=c.required or c.name == source.cursor) for c in contract.columns)
    return land_staged(connection, rulebook, replace(contract, columns=columns),
                       Reading(batch, replay=bool(before), repeats=True), as_of, f"PostgreSQL's {source.schema}.{source.table}")


def _name(source: PostgresTable) -> str:
    return f"{source.schema}.{source.table}.{source.cursor}"


def _mark(connection: Connection, contract: Contract, source: PostgresTable) -> datetime | None:
    """The latest cursor seen of this very table and column; of another one it says nothing."""
    row = connection.execute(f"select max(mark) from {cursors_table()} where dataset = ? and source = ?", [contract.name, _name(source)]).fetchone()
    return row[0] if row else None


def _keep_mark(connection: Connection, contract: Contract, source: PostgresTable, fetched: postgres.Fetched, as_of: datetime) -> None:
    known = _mark(connection, contract, source)
    if fetched.mark is None or (known is not None and known >= fetched.mark):
        return
    connection.execute(f"delete from {cursors_table()} where dataset = ?", [contract.name])
    connection.execute(f"insert into {cursors_table()} ({', '.join(CURSORS)}) values (?, ?, ?, ?)",
                       [contract.name, _name(source), fetched.mark, as_of])
