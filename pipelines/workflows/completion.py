"""An erasure is complete when the last backup that was made before it is gone (C-10.6), and no process holds a file open that it replaced: then its
certificate is completed, and the ledger says so."""

from __future__ import annotations

from datetime import datetime

from pipelines.evidence import ledger
from pipelines.evidence.provenance import holders, remove_spilled
from pipelines.foundation.dates import paris_day
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.erased_since import DONE
from pipelines.identity.vault import opened_vault
from pipelines.lake import backups
from pipelines.rights import certificate

COMPLETE = "erasure complete"
WHY = "erasure complete"


def complete_erasures(home: Home, as_of: datetime) -> list[str]:
    """Complete the certificate of each erasure of which no copy is left; the requests of those. A kill between the certificate and the ledger is
    made up for by the next call."""
    if not home.vault.exists():
        return []
    with opened_vault(home, WHY) as connection:  # most of the time there is nothing to write
        if not _open(home, certificate.waiting(connection)):
            return []
    done = []
    with opened_vault(home, WHY, write=True) as connection:
        for request, told in _open(home, certificate.waiting(connection)):
            made = told if told["complete"] else certificate.complete(connection, request, told, paris_day(as_of))
            done.append((request, certificate.digest(made)))
    for request, digest in done:
        ledger.append(home, COMPLETE, as_of, {"request": request, "certificate": digest})
    return [request for request, _ in done]


def _open(home: Home, waiting: list[tuple[str, dict]]) -> list[tuple[str, dict]]:
    """Those of which the last copy is gone, and the ledger does not say so."""
    if not waiting:
        return []
    entries = ledger.read(home)
    told = {entry.facts["request"] for entry in entries if entry.act == COMPLETE}
    ended = {entry.facts["request"]: entry.seq for entry in entries if entry.act == DONE}
    held = bool(holders(home) or remove_spilled(home))
    with locked(home, backups.LOCK, WHY, exclusive=False):
        return [(request, content) for request, content in waiting if request not in told and request in ended
                and content["residue"]["ok"] and not (content["residue"]["pending"] and held) and not backups.left_from_before(home, ended[request])]
