"""Requests: opened with a member's id, known by an opaque one ever after.

The member's id stands in the vault only; ledger, Airflow, logs and file names carry the request's. An objection or a
restriction counts from its receipt: the gate sees it at once (C-11.7, C-11.4).
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import Misuse, Refused, one_of
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


def open_request(home: Home, rulebook: Rulebook, right: str, member: str | Sequence[str], purpose: str | None, as_of: datetime,
                 by: str = "") -> Request:
    """Record a request received at `as_of`, opened by the person `by`. An erasure may be of many members at once."""
    policy = rulebook.policy
    if right not in policy.rights:
        raise one_of("Right", right, policy.rights)
    if policy.rights[right].per_purpose and purpose is None:
        raise Misuse(f"A request of {right} names its purpose: --purpose {' or '.join(policy.purposes)}.")
    if purpose is not None:
        policy.purpose(purpose)
        if not policy.rights[right].per_purpose:
            raise Misuse(f"A request of {right} concerns every purpose: leave --purpose out.")
    given = [member] if isinstance(member, str) else list(member)
    asked = sorted(set(given))
    if policy.rights[right].people > 1 and not by.strip():
        raise Misuse(f"A request of {right} takes two people, so it names who opens it: --by NAME")
    if len(asked) != 1 and right != "erasure":
        raise Misuse(f"A request of {right} is one member's: open one for each.")
    _check_members(home, rulebook, given)
    request = Request(f"R-{secrets.token_hex(6)}", right, asked[0] if len(asked) == 1 else "", purpose, as_of,
                      plus(paris_day(as_of), [policy.rights[right].deadline]), "received", None, None)
    with opened_vault(home, f"request {right}", write=True) as connection:
        connection.execute("begin")
        connection.execute("insert into vault.requests values (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(request.__dict__.values()))
        if len(asked) > 1:
            connection.execute("insert into vault.batches select ?, unnest(?::varchar[])", [request.request_id, asked])
        if right in ("objection", "restriction", "erasure"):  # from now on they are out (C-10.3, C-11.4, C-11.7)
            connection.execute("insert into vault.refusals select ?, unnest(?::varchar[]), ?, ?, ?",
                               [request.request_id, asked, right, purpose, as_of])
        if policy.rights[right].people > 1:
            connection.execute("insert into vault.approvals values (?, 'opened', ?, ?, null)", [request.request_id, by, as_of])
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


def approve(home: Home, rulebook: Rulebook, request: Request, by: str, plan: str | None, as_of: datetime) -> Request:
    """Write down that the person `by` agrees, and to which plan; whoever opened the request is not the one who approves it (C-11.3)."""
    name = _name(by)
    if as_of < request.received_at:
        raise Misuse("A request is not approved before it was received. Is --as-of the right day?")
    with opened_vault(home, "request approve", write=True) as connection:
        _refuse_opener(connection, rulebook, request, name)
        connection.execute("begin")
        connection.execute("insert or replace into vault.approvals values (?, 'approved', ?, ?, ?)", [request.request_id, name, as_of, plan])
        connection.execute("update vault.requests set state = 'approved' where request_id = ? and state = 'received'", [request.request_id])
        connection.execute("commit")
    return find_request(home, request.request_id)


def approval(home: Home, request_id: str) -> tuple[datetime, str | None] | None:
    """When the request was approved last, and the hash of the plan that was approved, if it has one; None if nobody approved it."""
    with opened_vault(home, "request process") as connection:
        row = connection.execute("select given_at, plan from vault.approvals where request_id = ? and part = 'approved'", [request_id]).fetchone() \
            if has_table(connection, "vault", "approvals") else None
    return (row[0], json.loads(row[1])["hash"] if row[1] else None) if row else None


def refuse_opener(home: Home, rulebook: Rulebook, request: Request, by: str) -> None:
    """The same, asked before anything else is done."""
    with opened_vault(home, "request approve") as connection:
        _refuse_opener(connection, rulebook, request, _name(by))


def _name(by: str) -> str:
    name = " ".join(by.split())
    if not name:
        raise Misuse("An approval names the person who gives it: --by NAME")
    return name


def _refuse_opener(connection: Connection, rulebook: Rulebook, request: Request, name: str) -> None:
    row = connection.execute("select name from vault.approvals where request_id = ? and part = 'opened'", [request.request_id]).fetchone()
    if rulebook.policy.rights[request.right].people > 1 and (row is None or _person(row[0]) == _person(name)):
        raise Refused("Whoever opened a request does not approve it too: somebody else runs kampeky request approve "
                      f"{request.request_id} --by NAME", "C-11.3")


def _person(name: str) -> list[str]:
    """The words of a name as they are compared: without accents, marks and order ("B. Ánn" is "ann b")."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return sorted("".join(c if c.isalnum() else " " for c in plain).split()) or [name]


def closed(request: Request) -> Misuse:
    return Misuse(f"{request.request_id} is done already. See: kampeky request show {request.request_id}")


def refuse_unapproved(rulebook: Rulebook, request: Request) -> None:
    """What takes two people is not done by one."""
    if rulebook.policy.rights[request.right].people > 1 and request.state == "received":
        raise Refused(f"A request of {request.right} is carried out when a second person has approved it: kampeky request approve "
                      f"{request.request_id} --by NAME", "C-11.3")


def _check_members(home: Home, rulebook: Rulebook, members: Sequence[str]) -> None:
    accounts = rulebook.accounts
    with opened(raw_lake(home), "request open") as connection:
        missing = [row[0] for row in connection.execute(
            f"select place from (select unnest($1::varchar[]) as given, generate_subscripts($1::varchar[], 1) as place) where given not in "
            f"(select {quote_name(accounts.key[0])} from {raw_table(accounts)}) order by 1", [list(members)]).fetchall()]
    if missing or not members:
        which = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")  # by their places: an id is nobody's to print
        raise Misuse("No account has that member id. Check it in the platform's back office; ids are case-sensitive." if len(members) == 1 else
                     f"{len(missing):,} of the {len(members):,} member ids are no account's (number {which} of them). Nothing was opened. Ids are "
                     "case-sensitive." if members else "No member id was given.")


def has_account(connection: Connection, rulebook: Rulebook, member: str) -> bool:
    accounts = rulebook.accounts
    return connection.execute(f"select 1 from {raw_table(accounts)} where {quote_name(accounts.key[0])} = ?", [member]).fetchone() is not None
