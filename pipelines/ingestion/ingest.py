"""Ingest files: see that all can be read before any is loaded, then land each as one batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.ingestion import check
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Identity, Reading, identify, reading, registered
from pipelines.ingestion.land import land
from pipelines.ingestion.plain import Plain, stage_doubtful, unchanged
from pipelines.keys.keyring import Keyring
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import create_raw_tables
from pipelines.policy.types import Contract, Policy, Rulebook
from pipelines.quality.second_opinion import compare
from pipelines.sources.files import check_readable, told_as

log = logging.getLogger("kampeky")


@dataclass(frozen=True)
class Input:
    """One file of one dataset, and what it is called where it is a copy of something."""

    contract: Contract
    path: Path
    name: str = ""


def ingest(home: Home, rulebook: Rulebook, inputs: Sequence[Input], as_of: datetime) -> list[tuple[Input, Balance]]:
    """Land every input, in order, all of them or none: a file that cannot be read or holds unknown fields stops the whole run."""
    for given in inputs:
        with _told(given):
            check_readable(given.path)
    secret = Keyring(home).derive("raw", "batch ids")
    done: dict[int, Balance] = {}
    with raw_zone(home, rulebook, as_of) as connection:
        for given in inputs:
            with _told(given):
                check.check_fields(connection, given.contract, given.path)
        # of growing copies of one log the shortest comes first, whatever their names: each next one adds its new lines
        known = [_identified(secret, given) for given in inputs]
        now = not_before_retention(home, as_of)
        with one_transaction(connection):
            for n in sorted(range(len(inputs)), key=lambda n: known[n].size):
                with _told(inputs[n]):
                    done[n] = _land(connection, rulebook, secret, inputs[n], known[n], now)
                log.info("%s: %s rows read, %s loaded", inputs[n].contract.name, f"{done[n].read:,}", f"{done[n].loaded:,}")
    write_down(home, as_of, [(known[n].batch, balance) for n, balance in sorted(done.items())])
    return [(given, done[n]) for n, given in enumerate(inputs)]


@contextmanager
def raw_zone(home: Home, rulebook: Rulebook, as_of: datetime) -> Iterator[Connection]:
    """The raw zone open for writing, its tables made, and what a killed run left untold entered."""
    with opened(raw_lake(home), "ingest", write=True) as connection:
        create_raw_tables(connection, rulebook)
        _write_down_what_a_kill_left(home, connection, as_of)
        yield connection


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


def _told(given: Input) -> AbstractContextManager[None]:
    return told_as(given.path, given.name or str(given.path))


def _identified(secret: bytes, given: Input) -> Identity:
    with _told(given):
        return identify(secret, given.contract, given.path)


def not_before_retention(home: Home, as_of: datetime) -> datetime:
    """What a retention run deleted does not come back because a file is ingested as of an earlier day (C-10.0)."""
    ran = max((datetime.fromisoformat(entry.as_of) for entry in ledger.read(home) if entry.act == "retention"), default=as_of)
    if ran > as_of:
        log.info("retention ran as of %s: what was due then is due on arrival, also as of an earlier day", paris_day(ran))
    return max(as_of, ran)


def _write_down_what_a_kill_left(home: Home, connection: Connection, as_of: datetime) -> None:
    """A run that was killed between its commit and the ledger left batches that no entry tells of as they are: they are entered now."""
    told = {(entry.facts["batch"], _counts(entry.facts)) for entry in ledger.read(home) if entry.act == "ingest"}
    for batch in registered(connection):
        if (batch.id, _counts(batch.balance.as_dict())) not in told:
            ledger.append(home, "ingest", as_of, {"batch": batch.id, **batch.balance.as_dict(), "recovered": True})


def _counts(facts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(facts[name] for name in ("read", "loaded", "quarantined", "refused", "already_known"))


def _land(connection: Connection, rulebook: Rulebook, secret: bytes, given: Input, known: Identity, as_of: datetime) -> Balance:
    plan = reading(secret, given.contract, given.path, known, registered(connection, given.contract.name), as_of)
    if isinstance(plan, Balance):
        return plan
    plain = stage_doubtful(connection, given.contract, rulebook.policy, given.path, plan, paris_day(as_of), check.STAGED)
    if plain is None:
        # no further than to the line to which the file is known: it may be growing while it is read
        check.stage(connection, given.contract, given.path, plan.after, plan.outline.lines if plan.outline else None)
    balance = land_staged(connection, given.contract, rulebook.policy, plan, as_of, str(given.path), plain)
    if plain and not unchanged(secret, given.contract, given.path, plan):
        raise KampekyError(f"{given.path} changed while it was read. Nothing of it was loaded; run it again.")
    return balance


def land_staged(connection: Connection, contract: Contract, policy: Policy, plan: Reading, as_of: datetime, where: str,
                plain: Plain | None = None) -> Balance:
    """Check the staged rows, twice, and land them beside those that are `plain`, within the transaction that the caller began."""
    check.check_rows(connection, contract, policy, paris_day(as_of))
    check.held_back(connection, contract, where, plain.all if plain else None)
    compare(connection, check.CHECKED, contract, seed=plan.batch, of=plain.lines if plain else None)
    return land(connection, contract, policy, plan, as_of, plain)
