"""Requests: opened with a member's id, known by an opaque one ever after.

The member's id stands in the vault only; ledger, Airflow, logs and file names carry the request's. An objection or a
restriction counts from its receipt: the gate sees it at once (C-11.7, C-11.4).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import Misuse, one_of
from pipelines.foundation.home import Home
from pipelines.identity.vault import opened_vault
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook


@dataclass(frozen=True)
class Request:
    """One request as the vault holds it; `due` is the last day of the answer (C-11.9)."""

    request_id: str
    right: str
    member_id: str
    purpose: str | None
    received_at: datetime
    due: date
    state: str
    package: str | None
    package_expires: datetime | None

    def shown(self) -> dict[str, object]:
        """The request without its member: what commands print."""
        return {"request_id": self.request_id, "right": self.right, "purpose": self.purpose, "received": self.received_at.isoformat(),
                "due": self.due.isoformat(), "state": self.state, "package": self.package}


def open_request(home: Home, rulebook: Rulebook, right: str, member: str, purpose: str | None, as_of: datetime) -> Request:
    """Record a request received at `as_of`."""
    policy = rulebook.policy
    if right not in policy.rights:
        raise one_of("Right", right, policy.rights)
    if policy.rights[right].per_purpose and purpose is None:
        raise Misuse(f"A request of {right} names its purpose: --purpose {' or '.join(policy.purposes)}.")
    if purpose is not None:
        policy.purpose(purpose)
        if not policy.rights[right].per_purpose:
            raise Misuse(f"A request of {right} concerns every purpose: leave --purpose out.")
    _check_member(home, rulebook, member)
    request = Request(f"R-{secrets.token_hex(6)}", right, member, purpose, as_of,
                      plus(paris_day(as_of), [policy.rights[right].deadline]), "received", None, None)
    with opened_vault(home, f"request {right}", write=True) as connection:
        connection.execute("begin")
        connection.execute("insert into vault.requests values (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(request.__dict__.values()))
        if right in ("objection", "restriction"):
            connection.execute("insert into vault.refusals values (?, ?, ?, ?, ?)", [request.request_id, member, right, purpose, as_of])
        connection.execute("commit")
    return request


def list_requests(home: Home) -> list[Request]:
    """Every request, the most urgent first."""
    with opened_vault(home, "request list") as connection:
        return [Request(*row) for row in connection.execute("from vault.requests order by state = 'done', due, request_id").fetchall()]


def find_request(home: Home, request_id: str) -> Request:
    """The request with that id; an unknown id is one sentence."""
    for request in list_requests(home):
        if request.request_id == request_id:
            return request
    raise Misuse("There is no request with that id. See: kampeky request list")


def close_request(home: Home, request: Request, package: str | None, as_of: datetime, hours: int) -> Request:
    """Mark the request done; a package it made expires `hours` after `as_of`."""
    expires = as_of + timedelta(hours=hours) if package else None
    with opened_vault(home, "request process", write=True) as connection:
        connection.execute("update vault.requests set state = 'done', package = ?, package_expires = ? where request_id = ?",
                           [package, expires, request.request_id])
    return find_request(home, request.request_id)


def _check_member(home: Home, rulebook: Rulebook, member: str) -> None:
    with opened(raw_lake(home), "request open") as connection:
        if not has_account(connection, rulebook, member):
            raise Misuse("No account has that member id. Check it in the platform's back office; ids are case-sensitive.")


def has_account(connection: Connection, rulebook: Rulebook, member: str) -> bool:
    accounts = rulebook.accounts
    return connection.execute(f"select 1 from {raw_table(accounts)} where {quote_name(accounts.key[0])} = ?", [member]).fetchone() is not None
