"""`kampeky status`: what the home holds and what was done last, from the batches register and the ledger."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.home import Home
from pipelines.identity.vault import opened_vault
from pipelines.ingestion.balance import total
from pipelines.ingestion.batches import Batch, registered
from pipelines.keys.keyring import Keyring
from pipelines.lake import backups
from pipelines.lake.store import opened, raw_lake
from pipelines.retention.archive import going
from pipelines.retention.plan import in_vault
from pipelines.workflows.erasure import unfinished as erasures
from pipelines.workflows.retention import overdue, unfinished
from pipelines.workflows.rules import rules


def status(home: Home, as_of: datetime) -> dict[str, Any]:
    """Rows per source over all batches, sources of which a batch is late on the day of `as_of`, the last build per purpose, the last retention
    run per day, packages in the outbox, and what was begun and not finished."""
    home.require()
    entries = ledger.read(home)
    builds = {entry.facts["purpose"]: entry.facts for entry in entries if entry.act == "build"}
    removed: dict[tuple[str, str, str, str], int] = {}
    last = max((entry.as_of for entry in entries if entry.act == "retention"), default=None)
    for entry in entries:
        if entry.act == "retention" and entry.as_of == last:  # a repeated run of the same day finds nothing more: the day's sum stays
            for row in going(entry.facts["datasets"]):
                place = (row["zone"], row["dataset"], row["rule"], row["action"])
                removed[place] = removed.get(place, 0) + row["due"]
    return {
        "home": str(home.root), "policy_version": rules().policy.version, **_sources(home, paris_day(as_of)),
        "builds": {name: {k: facts[k] for k in ("as_of", "members", "rows", "marts", "risk")} | {"published": home.mart(name).exists()}
                   for name, facts in ((p, builds[p]) for p in rules().policy.built if p in builds)},
        "retention": {"as_of": last, "removed": [{"zone": z, "dataset": d, "rule": r, "action": a, "rows": n}
                                                 for (z, d, r, a), n in removed.items() if n]},
        "overdue": overdue(home), "packages": _packages(home), "unfinished": unfinished(home), "erasures": erasures(home),
        "rotations": Keyring(home).rotations(), **_backups(home, paris_day(as_of)),
    }


def _sources(home: Home, today: date) -> dict[str, Any]:
    if not raw_lake(home).catalog.exists():
        return {"sources": [], "late": []}
    parts: dict[str, list[Batch]] = {}
    with opened(raw_lake(home), "status") as connection:
        for batch in registered(connection):
            parts.setdefault(batch.balance.source, []).append(batch)
    known = {name: contract for name, contract in rules().contracts.items() if name in parts}
    last = {name: paris_day(max(batch.as_of for batch in parts[name])) for name in known}
    return {"sources": [total(name, [batch.balance for batch in parts[name]]).as_dict() | {"files": len(parts[name])} for name in known],
            "late": [{"source": name, "last": last[name].isoformat(), "every": str(contract.every)} for name, contract in known.items()
                     if plus(last[name], [contract.every]) < today]}


def _backups(home: Home, today: date) -> dict[str, Any]:
    """Backups that are there, oldest first, and what is wrong with files beside them (C-10.6)."""
    found = backups.stock_locked(home, "status")
    return {"backups": [{"backup": b.name, "made_at": b.made_at, "expires_on": b.expires_on.isoformat(), "bytes": b.bytes} for b in found.whole],
            "backups_wrong": backups.wrong(home, today)}


def _packages(home: Home) -> list[dict[str, Any]]:
    if not home.vault.exists():
        return []
    with opened_vault(home, "status") as connection:
        made = "select disclosure_id, package, package_expires from vault.handovers union all " if in_vault(connection, "handovers") else ""
        rows = connection.execute(f"{made}select request_id, package, package_expires from vault.requests "
                                  "where package is not null order by 3, 1").fetchall()
    return [{"request_id": made_for, "package": str(home.outbox / package), "expires": expires.isoformat()} for made_for, package, expires in rows]
