"""Erasure of one member or of many: plan, a second person's approval, and what becomes of every store, with its proof (C-11.3)."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.home import DELETION, Home
from pipelines.foundation.locks import locked
from pipelines.identity import erased_since
from pipelines.identity.erased_since import BEGUN, DONE
from pipelines.identity.vault import opened_vault, rewrite_vault
from pipelines.lake.backups import last_end
from pipelines.lake.purge import purge
from pipelines.lake.store import archive_lake, purpose_lake, raw_lake
from pipelines.policy.types import Rulebook
from pipelines.retention import archive
from pipelines.retention.texts import names_left
from pipelines.rights import certificate, erasure, requests
from pipelines.rights.public import public_records
from pipelines.workflows.build import build, forget_unpublished, no_build, unpublish_all
from pipelines.workflows.requests import write_down_receipt
from pipelines.workflows.residue import Known, Proof, last_deletion, prove
from pipelines.workflows.rules import rules

FEW = 10  # of fewer members not even a number stands in the ledger


def plan(home: Home, request_id: str, as_of: datetime) -> dict[str, Any]:
    """What carrying out the request as of then would do; nothing is written."""
    return erasure.make_plan(home.require(), rules(), request_id, as_of)


def public(home: Home, request_id: str, as_of: datetime) -> list[dict[str, str]]:
    """The records of whom the request concerns that stand on the internet, for search engines (C-6); the ledger says that somebody asked for them."""
    request = requests.find_request(home.require(), request_id)
    if request.right != "erasure":
        raise Misuse(f"{request_id} is a request of {request.right}: search engines are told of an erasure.")
    if request.state in ("erasing", "done"):
        raise Misuse("The erasure was begun: whose the records were is known nowhere any more. The list is made before it.")
    with erasure.erasing_stores(home, rules(), request_id, write=False) as connection:
        found = public_records(connection, rules())
    ledger.append(home, "public records listed", as_of, {"request": request_id})
    return found


def approve(home: Home, request_id: str, by: str, as_of: datetime) -> dict[str, Any]:
    """A second person agrees to a request, having been shown what it will do; returns the request and, of an erasure, its plan."""
    rulebook = rules()
    request = requests.find_request(home.require(), request_id)
    if request.state == "done":
        raise requests.closed(request)
    requests.refuse_opener(home, rulebook, request, by)
    write_down_receipt(home, request)
    made = erasure.make_plan(home, rulebook, request_id, as_of) if request.right == "erasure" and request.state != "erasing" else None
    request = requests.approve(home, rulebook, request, by, json.dumps(made, sort_keys=True) if made else None, as_of)
    ledger.append(home, "request approved", as_of, {"request": request_id, "right": request.right} | ({"plan": made["hash"]} if made else {}))
    return request.shown() | {"plan": made}


def erase(home: Home, request: requests.Request, as_of: datetime) -> requests.Request:
    """Carry an approved erasure out, or finish one that was stopped. It is done when nothing of the members is left, counted and decoded; until
    then no mart stands in which they may be. One deletion at a time: the proof of one asks for files made after it began, and another begins
    anew."""
    rulebook = rules()
    with locked(home, DELETION, erasure.WHY):
        request = requests.find_request(home, request.request_id)  # who had to wait may find it done
        if request.state != "done":
            requests.refuse_unapproved(rulebook, request)
            _carry_out(home, rulebook, request, as_of)
        if request.request_id in unfinished(home):
            _write_down(home, request.request_id)
    return requests.find_request(home, request.request_id)


def _carry_out(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> None:
    with opened_vault(home, erasure.WHY) as connection:
        made, proved = erasure.kept_plan(connection, request.request_id), erasure.kept_proof(connection, request.request_id)
    if made is None or proved is None:
        made, found, rebuilt, names = _delete(home, rulebook, request, as_of)
    else:  # stopped after all was proved and forgotten: who it was about is known nowhere, so nothing can be looked for once more
        found, rebuilt, names = Proof.of(proved["residue"], last_deletion(home)), proved["rebuilt"], proved["names"]
    rewrite_vault(home, erasure.WHY)
    found = found.with_vault(home, rulebook)
    _refuse_found(found, request)
    told = certificate.compose(rulebook, made, found.as_dict() | {"names": names}, rebuilt, last_end(home, erasure.WHY), as_of)
    with opened_vault(home, erasure.WHY, write=True) as connection:
        certificate.keep(connection, request.request_id, told, rulebook, as_of)
    requests.close_request(home, request, None, as_of, 0)


def _delete(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> tuple[dict[str, Any], Proof, list[str], dict[str, int]]:
    """The plan, the proof that it was carried out, the purposes whose marts were made anew, and how often names still stand as words. Only what is
    proved is forgotten: as long as something is found, the next run has to know what to look for."""
    try:
        made, known, published = _act(home, rulebook, request, as_of)
        for name in rulebook.policy.built:
            purge(purpose_lake(home, name), erasure.WHY)
        purge(raw_lake(home), erasure.WHY)
        for name in rulebook.policy.archives:
            purge(archive_lake(home, name), erasure.WHY)
        rebuilt = [r["purpose"] for r in build(home, as_of, published)] if published else []
        forget_unpublished(home, rulebook)
        left, names = _left(home, rulebook, request, as_of)
        if left:
            raise KampekyError(f"{left} rows of the members are still there after the run, so it is not done. Run it again: "
                               f"kampeky request process {request.request_id}")
        found = prove(home, rulebook, known)
        _refuse_found(found, request)
        with opened_vault(home, erasure.WHY, write=True) as connection:
            proof = json.dumps({"residue": found.as_dict(), "rebuilt": rebuilt, "names": names}, sort_keys=True)
            erasure.forget(connection, request.request_id, proof, as_of, lambda: _refuse_found(found.of_vault(connection), request))
    except BaseException:
        if request.request_id in unfinished(home):
            unpublish_all(home, rulebook)
        raise
    return made, found, rebuilt, names


def _refuse_found(found: Proof, request: requests.Request) -> None:
    if not found.ok:
        raise KampekyError("What was erased is still found in files, or a file could not be read, so the erasure is not certified: "
                           f"{'; '.join(found.wrong())}. Mend that, then run: kampeky request process {request.request_id}")


def _write_down(home: Home, request_id: str) -> None:
    """The erasure is done, as its certificate in the vault says. A run that was killed before this is told of by the next."""
    with opened_vault(home, erasure.WHY) as connection:
        told = certificate.find(connection, request_id)
    ledger.append(home, DONE, datetime.fromisoformat(told["as_of"]), {
        "request": request_id, "plan": told["plan"], "certificate": certificate.digest(told), "complete": told["complete"]} | _size(told))


def unfinished(home: Home) -> list[str]:
    """Requests of which the ledger says that their erasure was begun, and not that it was done. What was begun after the backup that was restored
    since is over: the restore did it anew."""
    entries = ledger.read(home)
    done = {entry.facts["request"] for entry in entries if entry.act == DONE}
    return list(dict.fromkeys(entry.facts["request"] for entry in erased_since.standing(entries) if entry.act == BEGUN
                              and entry.facts["request"] not in done))


def _act(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> tuple[dict[str, Any], Known, list[str]]:
    """Everything that happens under the locks of all stores: the plan as of now, the tombstones, and the deletion. No build is under way: it could
    publish what it took from the zones before. Returns also whose marts are to stand afterwards."""
    with ExitStack() as stack:
        no_build(stack, home, rulebook, erasure.WHY)
        published = [] if home.clearing else _published(home, rulebook, request.request_id)
        connection = stack.enter_context(erasure.erasing_stores(home, rulebook, request.request_id, write=True))
        archive.refuse_turned_off(home, rulebook)
        made, changes = erasure.kept_plan(connection, request.request_id), erasure.in_texts(connection, rulebook)
        fresh = request.state != "erasing" or made is None
        if fresh or made is None:
            erasure.refuse_unanswered(connection)
            erasure.refuse_unfinished(connection, request.request_id, unfinished(home))
            made = erasure.content(connection, home, rulebook, request.request_id, as_of, erasure.token(connection, request.request_id), changes)
            ledger.append(home, BEGUN, as_of, {"request": request.request_id, "plan": made["hash"], "published": published} | _size(made))
        unpublish_all(home, rulebook)
        if fresh:
            erasure.begin(connection, home, rulebook, request.request_id, made, as_of)
        erased_since.write(connection, home, erasure.WHY)  # before anything goes: no backup brings back what this takes away
        known = Known.of(connection, request.request_id)
        erasure.act(connection, home, rulebook, made, changes)
    return made, known, published


def _left(home: Home, rulebook: Rulebook, request: requests.Request, as_of: datetime) -> tuple[int, dict[str, int]]:
    """How many rows are still there, and how often their names still stand in texts."""
    with erasure.erasing_stores(home, rulebook, request.request_id, write=False) as connection:
        again = erasure.content(connection, home, rulebook, request.request_id, as_of, "", erasure.in_texts(connection, rulebook))
        return sum(entry["due"] for entry in archive.going(again["datasets"])), names_left(connection, rulebook)


def _published(home: Home, rulebook: Rulebook, request_id: str) -> list[str]:
    """The purposes whose marts are to stand afterwards: those that do now; of an erasure that was stopped, those that did when it began."""
    begun = (entry.facts for entry in ledger.read(home) if entry.act == BEGUN and entry.facts["request"] == request_id)
    stood = next((facts["published"] for facts in begun if "published" in facts), None)
    return [name for name in rulebook.policy.built if (home.mart(name).exists() if stood is None else name in stood)]


def _size(made: dict[str, Any]) -> dict[str, Any]:
    return {"subjects": made["subjects"]} if made["subjects"] >= FEW else {}


def certificate_of(home: Home, request_id: str) -> tuple[dict[str, Any], str]:
    """The certificate of a request that was carried out, and the page of it for the member."""
    requests.find_request(home.require(), request_id)
    with opened_vault(home, "request certificate") as connection:
        told = certificate.find(connection, request_id)
    return told, certificate.page(told)
