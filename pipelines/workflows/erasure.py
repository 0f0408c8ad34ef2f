"""Erasure of one member or of many: plan, a second person's approval, and what becomes of every store, with its proof (C-11.3)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.identity.vault import opened_vault, rewrite_vault
from pipelines.lake.backups import last_end
from pipelines.lake.purge import purge
from pipelines.lake.store import purpose_lake, raw_lake
from pipelines.policy.types import Rulebook
from pipelines.retention.texts import names_left
from pipelines.rights import certificate, erasure, requests
from pipelines.workflows.build import build, forget_unpublished, unpublish_all
from pipelines.workflows.residue import Known, prove
from pipelines.workflows.rules import rules

BEGUN, DONE = "erasure begun", "erasure"
FEW = 10  # of fewer members not even a number stands in the ledger


def plan(home: Home, request_id: str, as_of: datetime) -> dict[str, Any]:
    """What carrying out the request as of then would do; nothing is written."""
    return erasure.make_plan(home.require(), rules(), request_id, as_of)


def approve(home: Home, request_id: str, by: str, as_of: datetime) -> dict[str, Any]:
    """A second person agrees to a request, having been shown what it will do; returns the request and, of an erasure, its plan."""
    rulebook = rules()
    request = requests.find_request(home.require(), request_id)
    if request.state == "done":
        raise requests.closed(request)
    requests.refuse_opener(home, rulebook, request, by)
    made = erasure.make_plan(home, rulebook, request_id, as_of) if request.right == "erasure" and request.state != "erasing" else None
    request = requests.approve(home, rulebook, request, by, json.dumps(made, sort_keys=True) if made else None, as_of)
    ledger.append(home, "request approved", as_of, {"request": request_id, "right": request.right} | ({"plan": made["hash"]} if made else {}))
    return request.shown() | {"plan": made}


def erase(home: Home, request: requests.Request, as_of: datetime) -> requests.Request:
    """Carry an approved erasure out, or finish one that was stopped. It is done when nothing of the members is left, counted and decoded; until
    then no mart stands in which they may be."""
    rulebook = rules()
    requests.refuse_unapproved(rulebook, request)
    published = _published(home, rulebook, request.request_id)
    try:
        made, known = _act(home, rulebook, request, as_of)
        for name in rulebook.policy.built:
            purge(purpose_lake(home, name), erasure.WHY)
        purge(raw_lake(home), erasure.WHY)
        rebuilt = build(home, as_of, published) if published else []
        forget_unpublished(home, rulebook)
        left, names = _left(home, rulebook, request, as_of)
        if left:
            raise KampekyError(f"{left} rows of the members are still there after the run, so it is not done. Run it again: "
                               f"kampeky request process {request.request_id}")
        found = prove(home, rulebook, known)
        with opened_vault(home, erasure.WHY, write=True) as connection:
            erasure.forget(connection, request.request_id)
        rewrite_vault(home, erasure.WHY)
        found = found.with_vault(home, rulebook)
    except BaseException:
        if request.request_id in unfinished(home):
            unpublish_all(home, rulebook)
        raise
    told = certificate.compose(rulebook, made, found.as_dict() | {"names": names}, [r["purpose"] for r in rebuilt], last_end(home), as_of)
    with opened_vault(home, erasure.WHY, write=True) as connection:
        certificate.keep(connection, request.request_id, told, rulebook, as_of)
    if not found.ok:
        raise KampekyError("What was erased is still found in files, or a file could not be read, so the erasure is not certified: "
                           f"{'; '.join(found.wrong())}. Mend that, then run: kampeky request process {request.request_id}")
    request = requests.close_request(home, request, None, as_of, 0)
    ledger.append(home, DONE, as_of, {"request": request.request_id, "plan": made["hash"], "certificate": certificate.digest(told),
                                      "complete": told["complete"]} | _size(made))
    return request


def unfinished(home: Home) -> list[str]:
    """Requests of which the ledger says that their erasure was begun, and not that it was done."""
    entries = ledger.read(home)
    done = {entry.facts["request"] for entry in entries if entry.act == DONE}
    return list(dict.fromkeys(entry.facts["request"] for entry in entries if entry.act == BEGUN and entry.facts["request"] not in done))


def _act(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> tuple[dict[str, Any], Known]:
    """Everything that happens under the locks of all stores: the plan as of now, the tombstones, and the deletion."""
    with erasure.erasing_stores(home, rulebook, request.request_id, write=True) as connection:
        made = erasure.kept_plan(connection, request.request_id)
        if request.state != "erasing" or made is None:
            erasure.refuse_unanswered(connection)
            made = erasure.content(connection, home, rulebook, request.request_id, as_of, erasure.token(connection, request.request_id))
            ledger.append(home, BEGUN, as_of, {"request": request.request_id, "plan": made["hash"]} | _size(made))
            unpublish_all(home, rulebook)
            erasure.begin(connection, home, rulebook, request.request_id, made, as_of)
        known = Known.of(connection, request.request_id)
        erasure.act(connection, home, rulebook, request.request_id)
    return made, known


def _left(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> tuple[int, dict[str, int]]:
    """How many rows are still there, and how often their names still stand in texts."""
    with erasure.erasing_stores(home, rulebook, request.request_id, write=False) as connection:
        again = erasure.content(connection, home, rulebook, request.request_id, as_of, "")
        return sum(entry["due"] for entry in again["datasets"]), names_left(connection, rulebook)


def _published(home: Home, rulebook: Rulebook, request_id: str) -> list[str]:
    """The purposes whose marts are to stand afterwards: those that do now; of an erasure that was stopped, those that did when it began."""
    with opened_vault(home, erasure.WHY) as connection:
        made = erasure.kept_plan(connection, request_id)
    return list(made["published"]) if made else [name for name in rulebook.policy.built if home.mart(name).exists()]


def _size(made: dict[str, Any]) -> dict[str, Any]:
    return {"subjects": made["subjects"]} if made["subjects"] >= FEW else {}




def certificate_of(home: Home, request_id: str) -> tuple[dict[str, Any], str]:
    """The certificate of a request that was carried out, and the page of it for the member."""
    requests.find_request(home.require(), request_id)
    with opened_vault(home, "request certificate") as connection:
        told = certificate.find(connection, request_id)
    return told, certificate.page(told)
