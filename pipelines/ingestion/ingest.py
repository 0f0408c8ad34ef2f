"""Ingest files: see that all can be read before any is loaded, then land each as one batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.ingestion import check, erased, waiting
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Identity, Reading, identify, reading, registered
from pipelines.ingestion.land import land
from pipelines.ingestion.plain import Plain, stage_doubtful, unchanged
from pipelines.ingestion.replay import settle
from pipelines.ingestion.run import not_before_retention, one_transaction, raw_zone, write_down
from pipelines.keys.keyring import Keyring
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
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
        # what rests on a consent is held against all decisions that come with it; of growing copies of one log the shortest comes first,
        # whatever their names: each next one adds its new lines
        known = [_identified(secret, given) for given in inputs]
        now = not_before_retention(home, as_of)
        with one_transaction(connection):
            for n in sorted(range(len(inputs)), key=lambda n: (inputs[n].contract.consent_register is None, known[n].size)):
                with _told(inputs[n]):
                    done[n] = _land(connection, rulebook, secret, inputs[n], known[n], now)
                log.info("%s: %s rows read, %s loaded", inputs[n].contract.name, f"{done[n].read:,}", f"{done[n].loaded:,}")
            settled = settle(connection, rulebook, now, any(inputs[n].contract.consent_register and balance.loaded for n, balance in done.items()))
    write_down(home, as_of, [*settled.changed, *((known[n].batch, balance) for n, balance in sorted(done.items()))])
    settled.clean(home)
    return [(given, done[n]) for n, given in enumerate(inputs)]


def _told(given: Input) -> AbstractContextManager[None]:
    return told_as(given.path, given.name or str(given.path))


def _identified(secret: bytes, given: Input) -> Identity:
    with _told(given):
        return identify(secret, given.contract, given.path)


def _land(connection: Connection, rulebook: Rulebook, secret: bytes, given: Input, known: Identity, as_of: datetime) -> Balance:
    plan = reading(secret, given.contract, given.path, known, registered(connection, given.contract.name), as_of)
    if isinstance(plan, Balance):
        return plan
    plain = stage_doubtful(connection, given.contract, rulebook.policy, given.path, plan, paris_day(as_of), check.STAGED)
    if plain is None:
        # no further than to the line to which the file is known: it may be growing while it is read
        check.stage(connection, given.contract, given.path, plan.after, plan.outline.lines if plan.outline else None)
    balance = land_staged(connection, rulebook, given.contract, plan, as_of, str(given.path), plain)
    if plain and not unchanged(secret, given.contract, given.path, plan):
        raise KampekyError(f"{given.path} changed while it was read. Nothing of it was loaded; run it again.")
    return balance


def land_staged(connection: Connection, rulebook: Rulebook, contract: Contract, plan: Reading, as_of: datetime, where: str,
                plain: Plain | None = None) -> Balance:
    """Check the staged rows, twice, and land them beside those that are `plain`, within the transaction that the caller began."""
    check.check_rows(connection, contract, rulebook.policy, paris_day(as_of))
    check.held_back(connection, contract, where, plain.all if plain else None)
    compare(connection, check.CHECKED, contract, seed=plan.batch, of=plain.lines if plain else None)
    erased.refuse_forgotten(connection, contract, check.CHECKED, paris_day(as_of), where)
    erased.set_aside(connection, rulebook, contract, paris_day(as_of))
    waiting.set_aside(connection, rulebook, contract)
    return land(connection, contract, rulebook.policy, plan, as_of, plain)
