"""The frame of every run that changes the raw zone: open it, repair what a killed one left, all or nothing, and the ledger at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import Any

from pipelines.engines.duckdb_engine import Connection, Error
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity import tombstones
from pipelines.identity.vault import attach_vault
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import registered
from pipelines.lake.store import ALIAS, opened, raw_lake
from pipelines.lake.tables import create_raw_tables
from pipelines.policy.types import Rulebook

log = logging.getLogger("kampeky")
ORPHANS = f"call ducklake_delete_orphaned_files('{ALIAS}', cleanup_all => true)"


@contextmanager
def raw_zone(home: Home, rulebook: Rulebook, as_of: datetime, vault: bool = True) -> Iterator[Connection]:
    """The raw zone open for writing, its tables made, what a killed run left untold entered, and the vault beside it, for what was erased does not
    come back (C-11.3). `vault`: unless the caller holds that one's lock, and attaches it."""
    under_way = home.tmp / "ingest-under-way"
    with ExitStack() as stack:
        if vault:  # first, in the order that all commands use: no erasure begins while rows come in
            stack.enter_context(locked(home, "vault", "ingest", exclusive=not home.vault.exists()))
        connection = stack.enter_context(opened(raw_lake(home), "ingest", write=True))
        if vault:
            attach_vault(connection, home, write=False)
            if tombstones.any_left(connection):
                tombstones.use_key(connection, home)
        create_raw_tables(connection, rulebook)
        if under_way.exists():
            for left in home.tmp.glob("text-*"):  # what it had decoded
                remove(left)
            connection.execute(ORPHANS).fetchall()
            log.info("the run before was stopped: what it had written and not finished is cleared away; what it had finished counts once")
        write_down_what_a_kill_left(home, connection, as_of)
        under_way.touch()
        try:
            yield connection
        except KampekyError:  # it ended by itself, and rolled back: files that a full disk kept it from removing go now, or with the next run
            with suppress(Error):
                connection.execute(ORPHANS).fetchall()
                remove(under_way)
            raise
        remove(under_way)


@contextmanager
def one_transaction(connection: Connection) -> Iterator[None]:
    """Of the whole run: an input that proves damaged half-way leaves nothing of the others behind."""
    connection.execute("begin")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def write_down(home: Home, as_of: datetime, done: Sequence[tuple[str, Balance]]) -> None:
    """An entry of the ledger for each batch."""
    for batch, balance in done:
        ledger.append(home, "ingest", as_of, {"batch": batch, **balance.as_dict()})


def not_before_retention(home: Home, as_of: datetime) -> datetime:
    """What a retention run deleted does not come back because a file is ingested as of an earlier day (C-10.0)."""
    ran = max((datetime.fromisoformat(entry.as_of) for entry in ledger.read(home)
               if entry.act in ("retention begun", "retention")), default=as_of)
    if ran > as_of:
        log.info("retention ran as of %s: what was due then is due on arrival, also as of an earlier day", paris_day(ran))
    return max(as_of, ran)


def write_down_what_a_kill_left(home: Home, connection: Connection, as_of: datetime) -> None:
    """A run that was killed between its commit and the ledger left batches that no entry tells of as they are: they are entered now."""
    told = {(entry.facts["batch"], _counts(entry.facts)) for entry in ledger.read(home) if entry.act == "ingest"}
    for batch in registered(connection):
        if (batch.id, _counts(batch.balance.as_dict())) not in told:
            ledger.append(home, "ingest", as_of, {"batch": batch.id, **batch.balance.as_dict(), "recovered": True})


def _counts(facts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(facts[name] for name in ("read", "loaded", "quarantined", "refused", "already_known"))
