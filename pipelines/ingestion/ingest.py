"""Ingest files: see that all can be read before any is loaded, then land each as one batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.home import Home
from pipelines.ingestion import check
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.land import batch_id, known_batch, land, registered
from pipelines.keys.keyring import Keyring
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import create_raw_tables
from pipelines.policy.types import Contract, Rulebook
from pipelines.quality.second_opinion import compare
from pipelines.sources.files import check_readable, fingerprint

log = logging.getLogger("kampeky")


@dataclass(frozen=True)
class Input:
    """One file of one dataset."""

    contract: Contract
    path: Path


def ingest(home: Home, rulebook: Rulebook, inputs: Sequence[Input], as_of: datetime) -> list[tuple[Input, Balance]]:
    """Land every input, in order, all of them or none: a file that cannot be read or holds unknown fields stops the whole run."""
    for given in inputs:
        check_readable(given.path)
    secret = Keyring(home).derive("raw", "batch ids")
    done = []
    with opened(raw_lake(home), "ingest", write=True) as connection:
        create_raw_tables(connection, rulebook)
        _write_down_what_a_kill_left(home, connection, as_of)
        batches = [batch_id(secret, given.contract.name, fingerprint(given.path)) for given in inputs]
        for given in inputs:
            check.check_fields(connection, given.contract, given.path)
        connection.execute("begin")  # of the whole run: a file that proves damaged half-way leaves nothing of the others behind
        try:
            for given, batch in zip(inputs, batches, strict=True):
                balance = known_batch(connection, given.contract.name, batch, as_of) or _land(connection, rulebook, given, batch, as_of)
                done.append((given, balance))
                log.info("%s: %s rows read, %s loaded", given.contract.name, f"{balance.read:,}", f"{balance.loaded:,}")
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
    for (_, balance), batch in zip(done, batches, strict=True):
        ledger.append(home, "ingest", as_of, {"batch": batch, **balance.as_dict()})
    return done


def _write_down_what_a_kill_left(home: Home, connection: Connection, as_of: datetime) -> None:
    """A run that was killed between its commit and the ledger left batches that no entry names: they are entered now."""
    told = {entry.facts.get("batch") for entry in ledger.read(home) if entry.act == "ingest"}
    for batch, balance in registered(connection):
        if batch not in told:
            ledger.append(home, "ingest", as_of, {"batch": batch, **balance.as_dict(), "recovered": True})


def _land(connection: Connection, rulebook: Rulebook, given: Input, batch: str, as_of: datetime) -> Balance:
    check.stage(connection, given.contract, given.path)
    check.check_rows(connection, given.contract, rulebook.policy, paris_day(as_of))
    compare(connection, check.CHECKED, given.contract, seed=batch)
    return land(connection, given.contract, rulebook.policy, batch, as_of)
