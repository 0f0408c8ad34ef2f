"""`kampeky build --explain MEMBER`: which rule decided for one member, purpose by purpose. Builds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.vault import attach_vault
from pipelines.lake.store import opened, raw_lake
from pipelines.workflows.rules import rules


def explain(home: Home, member: str, as_of: datetime, purposes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """For each purpose (all that are built by default) what the gate says of the member. That it was asked is in the ledger, for whom is not."""
    from pipelines.pseudonymisation import explain as gate

    rulebook, why = rules(), "build --explain"
    chosen = [rulebook.policy.built_purpose(name) for name in purposes or rulebook.policy.built]
    home.require()
    with locked(home, "vault", why, exclusive=False), opened(raw_lake(home), why) as connection:
        attach_vault(connection, home, write=False)
        told = [gate.explain(connection, rulebook, purpose, member, as_of) for purpose in chosen]
    ledger.append(home, "gate explained", as_of, {"purposes": [purpose.name for purpose in chosen]})
    return told
