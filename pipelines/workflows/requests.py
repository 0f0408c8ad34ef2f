"""`kampeky request …`: rights, by opaque ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.foundation.files import sha256_of
from pipelines.foundation.home import Home
from pipelines.rights import requests
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules


def open_request(home: Home, right: str, member: str | Sequence[str], purpose: str | None, as_of: datetime, by: str = "") -> dict[str, Any]:
    """Record a request, opened by the person `by`; its member stands in the vault only."""
    request = requests.open_request(home.require(), rules(), right, member, purpose, as_of, by)
    ledger.append(home, "request received", as_of, {"request": request.request_id, "right": right, "due": request.due.isoformat()})
    return request.shown() | {"needs_approval": rules().policy.rights[right].people > 1}


def list_requests(home: Home) -> list[dict[str, Any]]:
    """Every request without its member, the most urgent first."""
    return [_shown(home, request) for request in requests.list_requests(home.require())]


def show(home: Home, request_id: str, as_of: datetime | None = None) -> dict[str, Any]:
    """One request without its member. With `as_of` an erasure is completed of which the last backup is gone (C-10.6)."""
    if as_of:
        from pipelines.workflows.completion import complete_erasures

        complete_erasures(home.require(), as_of)
    return _shown(home, requests.find_request(home.require(), request_id))


def _shown(home: Home, request: requests.Request) -> dict[str, Any]:
    there = request.package and (home.outbox / request.package).exists()  # somebody may have taken it away before its hours were over
    return request.shown() | {"package": str(home.outbox / str(request.package)) if there else None}


def process(home: Home, request_id: str, as_of: datetime, now: datetime | None = None) -> dict[str, Any]:
    """Answer the request: write the package, or rebuild the purposes that the member leaves. A request that is done stays so."""
    from pipelines.rights.portability import export_member

    rulebook = rules()
    request = requests.find_request(home.require(), request_id)
    write_down_receipt(home, request)
    write_down_approval(home, request)
    as_of = max(as_of, request.received_at)  # an answer is of a time after the question: at midnight before it the member was still in
    if request.right == "erasure":
        if now and as_of > now:
            raise Refused("An erasure is of now, not of a day to come: what is collected until then would be refused at the door.", "C-11.3")
        from pipelines.workflows.erasure import erase

        return _shown(home, erase(home, request, as_of))
    if request.state != "done":
        package = None
        if request.right == "portability":
            package = export_member(home, rulebook, request.member_id, request.request_id, as_of)
        else:
            affected = [name for name in rulebook.policy.built if request.purpose == name or (request.purpose is None and home.mart(name).exists())]
            if affected:
                build(home, as_of, affected)
        request = requests.close_request(home, request, package, as_of, rulebook.policy.outbox_hours)
    if not _told(home, "request done", request_id):  # also of one that was answered by a run that was killed before this
        made = home.outbox / request.package if request.package else None
        facts = {"package_sha256": sha256_of(made)} if made and made.exists() else {}
        ledger.append(home, "request done", as_of, {"request": request.request_id, "right": request.right, **facts})
    return _shown(home, request)


def write_down_receipt(home: Home, request: requests.Request) -> None:
    """A request that stands in the vault and, because a run was killed in between, not in the ledger, is entered now."""
    if not _told(home, "request received", request.request_id):
        ledger.append(home, "request received", request.received_at,
                      {"request": request.request_id, "right": request.right, "due": request.due.isoformat(), "recovered": True})


def write_down_approval(home: Home, request: requests.Request) -> None:
    """The same of an approval."""
    given = requests.approval(home, request.request_id)
    if given is None:
        return
    at, plan = given
    facts = {"request": request.request_id, "right": request.right} | ({"plan": plan} if plan else {})
    if not any(entry.act == "request approved" and facts.items() <= entry.facts.items() for entry in ledger.read(home)):
        ledger.append(home, "request approved", at, facts | {"recovered": True})


def _told(home: Home, act: str, request_id: str) -> bool:
    return any(entry.act == act and entry.facts.get("request") == request_id for entry in ledger.read(home))
