"""`kampeky hold place|lift|list`: legal holds, each on exactly one record, with reason and review date (C-10.5)."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import Any

from pipelines.engines.duckdb_engine import quote_name
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home
from pipelines.identity.vault import opened_vault
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import raw_table
from pipelines.workflows.rules import rules


def place(home: Home, dataset: str, key: str, reason: str, review_on: date, as_of: datetime) -> dict[str, Any]:
    """Hold the record with that key; it must exist."""
    if not reason.strip():
        raise Misuse("A hold needs its reason, for whoever reviews it: --reason TEXT")
    contract = rules().contract(dataset)
    if len(contract.key) != 1:
        raise Misuse(f"A record of {dataset} has no key of its own, so it cannot be held. Datasets with one: "
                     f"{', '.join(n for n, c in rules().contracts.items() if len(c.key) == 1)}.")
    with opened(raw_lake(home.require()), "hold") as connection:
        if not connection.execute(f"select 1 from {raw_table(contract)} where {quote_name(contract.key[0])} = ?", [key]).fetchone():
            raise Misuse(f"{dataset} holds no record with that key.")
    if review_on < paris_day(as_of):
        raise Misuse("The day of review is over. Name one to come: --review-on DAY")
    hold_id = f"H-{secrets.token_hex(6)}"
    with opened_vault(home, "hold place", write=True) as connection:
        held = connection.execute("select hold_id from vault.holds where dataset = ? and record_key = ? and lifted_at is null",
                                  [dataset, key]).fetchone()
        if held:
            raise Misuse(f"That record is held already, by {held[0]}. Lift it first if its reason or review changes: kampeky hold lift {held[0]}")
        connection.execute("insert into vault.holds values (?, ?, ?, ?, ?, ?, null)", [hold_id, dataset, key, reason, as_of, review_on])
    ledger.append(home, "hold placed", as_of, {"hold": hold_id, "dataset": dataset, "review_on": review_on.isoformat()})
    return {"hold_id": hold_id, "dataset": dataset, "review_on": review_on.isoformat()}


def lift(home: Home, hold_id: str, as_of: datetime) -> dict[str, Any]:
    """End a hold: the record is due again from the next retention run on."""
    with opened_vault(home.require(), "hold lift", write=True) as connection:
        row = connection.execute("update vault.holds set lifted_at = ? where hold_id = ? and lifted_at is null returning dataset",
                                 [as_of, hold_id]).fetchone()
    if row is None:
        raise Misuse("There is no open hold with that id. See: kampeky hold list")
    ledger.append(home, "hold lifted", as_of, {"hold": hold_id})
    return {"hold_id": hold_id, "dataset": row[0], "lifted": True}


def list_holds(home: Home) -> list[dict[str, Any]]:
    """The open holds, the next review first; without the records' keys."""
    with opened_vault(home.require(), "hold list") as connection:
        return [{"hold_id": h, "dataset": d, "reason": r, "review_on": v.isoformat()} for h, d, r, v in connection.execute(
            "select hold_id, dataset, reason, review_on from vault.holds where lifted_at is null order by review_on, hold_id").fetchall()]
