"""Erasure: what it will do, as a plan with a hash, and the doing (C-11.3). Several members in one go, by the same steps.

The order lets any interruption be finished by running it again. What the members are known by stands in the vault first, then the tombstones, so that
from there on nothing of theirs can come in; then what a law keeps is copied into its archive (C-10.8); then zones, raw and the rest of the vault go,
each in one transaction; then the files are made anew.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import Misuse, Refused
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.identity import tombstones
from pipelines.identity.pseudonyms import set_domain
from pipelines.lake.backups import last_end
from pipelines.lake.extracts import holding, listed, strays
from pipelines.lake.store import ALIAS, tables_of
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation import state
from pipelines.retention import archive
from pipelines.retention.extracts import remove_all
from pipelines.retention.plan import NOBODYS, counted, snapshot
from pipelines.retention.scope import DUE_ACCOUNTS, ERASING_DEVICES, ERASURE, held_by, statements, subject_targets, zone_subject_targets
from pipelines.retention.stores import existing, locked_stores
from pipelines.retention.subjects import KNOWN_BY, PSEUDONYM, mark_devices, mark_named, mark_pseudonyms, mark_subjects, zone_of
from pipelines.retention.texts import Redaction, redactions
from pipelines.rights.public import count_public

WHY = "erasure"
_VAULT = ("subjects", "addresses", "refusals", "requests", "batches")  # the last two of other requests of theirs


@contextmanager
def erasing_stores(home: Home, rulebook: Rulebook, request_id: str, write: bool) -> Iterator[Connection]:
    """Raw and vault attached, every zone locked; `due_accounts`, `known_by` and `erasing_devices` are of the request's members: as an erasure that
    was begun wrote them down, else as raw has them now."""
    with locked_stores(home, rulebook, WHY, write) as connection:
        begun = f"(select member_id, kind, value from vault.erasing where request_id = {quote_text(request_id)})"
        if connection.execute(f"select 1 from {begun} limit 1").fetchone():
            connection.execute(f"create or replace temp table {DUE_ACCOUNTS} as select distinct member_id from {begun} where member_id <> ''")
            connection.execute(f"create or replace temp table {KNOWN_BY} as from {begun}")
            mark_devices(connection)
        else:
            mark_subjects(connection, rulebook, members_of(request_id))
        mark_named(connection, rulebook)
        yield connection


def members_of(request_id: str) -> str:
    """SQL (member_id): whom the request concerns, by the vault that is attached."""
    which = quote_text(request_id)
    return (f"select member_id from vault.requests where request_id = {which} and member_id <> '' "
            f"union select member_id from vault.batches where request_id = {which}")


def refuse_unanswered(connection: Connection) -> None:
    """Whoever asked for their data before is answered first (C-11.9)."""
    row = connection.execute("select min(request_id) from vault.requests where \"right\" = 'portability' and state <> 'done' "
                             f"and member_id in (select member_id from {DUE_ACCOUNTS})").fetchone()
    if row and row[0]:
        raise Refused(f"The same member asked for their data and has no answer yet. First: kampeky request process {row[0]}", "C-11.9")


def refuse_unfinished(connection: Connection, request_id: str, begun: Sequence[str]) -> None:
    """Of a member whose erasure was `begun`, by whichever request, none is begun by another: the first would be forgotten half-way."""
    whose = " union all ".join(f"select request_id, member_id from vault.{table}" for table in ("erasing", "requests", "batches"))
    row = connection.execute(f"select min(request_id) from ({whose}) where request_id <> ? and request_id in (select unnest(?::varchar[])) and "
                             f"member_id in (select member_id from {DUE_ACCOUNTS})", [request_id, list(begun)]).fetchone()
    if row and row[0]:
        raise Refused(f"An erasure of the same member was begun and is not finished. First: kampeky request process {row[0]}", "C-11.3")


def in_texts(connection: Connection, rulebook: Rulebook) -> list[Redaction]:
    """What changes in texts that stay, for `content` and `act`."""
    return redactions(connection, rulebook, _held(rulebook), contacts=True)


def content(connection: Connection, home: Home, rulebook: Rulebook, request_id: str, as_of: datetime, token: str,
            changes: Sequence[Redaction]) -> dict[str, Any]:
    """The plan: what goes, what is taken out of texts (`in_texts`), what stays and why, who was given their data; no value of theirs. `token` is a
    random word of the request's, so that the hash says nothing about a member whom somebody guesses."""
    going, snapshots = list(existing(connection, subject_targets(rulebook))), {"raw": snapshot(connection, ALIAS)}
    rows = [*counted(connection, going)]
    for change in changes:
        rows.append(_entry(change.zone, change.contract.name, f"redact {change.column}", _number(connection, change.count_sql(going))))
    for purpose in rulebook.policy.built.values():
        with zone_of(connection, home, purpose, write=False) as there:
            if there:
                snapshots[purpose.name] = snapshot(connection, "zone")
                rows += counted(connection, existing(connection, zone_subject_targets(rulebook, purpose)))
            rows.append(_entry("extracts", purpose.name, "delete", len(_extracts(connection, home, purpose.name, there))))
    rows += [_entry("vault", table, "delete", _number(connection, f"select count(*) from vault.{table} where {_mine(table, request_id)}"))
             for table in _VAULT]
    rows.append(_entry("vault", "visitors", "delete", _number(connection, f"select count(*) from vault.visitors where {_MY_DEVICE}")))
    rows.append(_entry("extracts", "files", "delete", len(strays(home))))  # of which nobody knows who stands in them
    rows.append(_entry("outbox", "packages", "delete", len(_packages(connection, rulebook))))
    rows += archive.taking(connection, home, rulebook, going, paris_day(as_of))
    ends = last_end(home, WHY)
    body = {"request": request_id, "token": token, "as_of": paris_day(as_of).isoformat(), "at": as_of.isoformat(),
            "policy_version": rulebook.policy.version, "subjects": _number(connection, f"select count(*) from {DUE_ACCOUNTS}"),
            "published": [name for name in rulebook.policy.built if home.mart(name).exists()],
            "rows": _rows(connection, rulebook), "snapshots": snapshots, "datasets": rows,
            "kept": [*_kept(connection, rulebook), *archive.kept(connection, home, rulebook, going, paris_day(as_of))],
            "recipients": _recipients(connection, rulebook), "public": count_public(connection, rulebook),
            "last_backup_ends": ends.isoformat() if ends else None,
            "tombstones_until": plus(paris_day(as_of), [rulebook.policy.tombstones]).isoformat()}
    return body | {"hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}


def make_plan(home: Home, rulebook: Rulebook, request_id: str, as_of: datetime, token: str | None = None) -> dict[str, Any]:
    """The plan's content with its hash; nothing is written."""
    with erasing_stores(home, rulebook, request_id, write=False) as connection:
        if not _number(connection, f"select count(*) from {DUE_ACCOUNTS}"):
            raise Misuse("The request names nobody any more. See: kampeky request list")
        refuse_unanswered(connection)
        archive.refuse_turned_off(home, rulebook)
        return content(connection, home, rulebook, request_id, as_of, token or secrets.token_hex(16), in_texts(connection, rulebook))


def kept_plan(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """The plan by which an erasure was begun, None if it was not."""
    return _plan(connection, request_id, "plan")


def kept_proof(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """What was proved when the members were forgotten, None before."""
    return _plan(connection, request_id, "proved")


def forget_proof(connection: Connection, request_id: str) -> None:
    """It stands in a certificate now; the vault is attached to write."""
    connection.execute("delete from vault.approvals where request_id = ? and part = 'proved'", [request_id])


def token(connection: Connection, request_id: str) -> str:
    """The random word of the request: the one in the plan that was approved."""
    approved = _plan(connection, request_id, "approved")
    return str(approved["token"]) if approved else secrets.token_hex(16)


def _plan(connection: Connection, request_id: str, part: str) -> dict[str, Any] | None:
    if not has_table(connection, "vault", "approvals"):
        return None
    row = connection.execute("select plan from vault.approvals where request_id = ? and part = ?", [request_id, part]).fetchone()
    return json.loads(row[0]) if row and row[0] else None


def begin(connection: Connection, home: Home, rulebook: Rulebook, request_id: str, made: dict[str, Any], as_of: datetime) -> None:
    """From here on there is no way back: what the members are known by is written down for the time of the erasure, and their tombstones stand."""
    day = paris_day(as_of)
    connection.execute("begin")
    connection.execute("delete from vault.erasing where request_id = ?", [request_id])
    connection.execute(f"insert into vault.erasing select ?, member_id, kind, value from {KNOWN_BY}", [request_id])
    for purpose in rulebook.policy.built.values():  # also what they are called there: it can be computed only as long as their salts are there
        set_domain(connection, home, purpose.name, first=True)
        mark_pseudonyms(connection)
        for table in ("due_pseudonyms", "due_devices"):
            connection.execute(f"insert into vault.erasing select ?, '', '{PSEUDONYM}', pseudonym::varchar from {table} where pseudonym is not null",
                               [request_id])
    tombstones.use_key(connection, home, first=True)
    kinds = ", ".join(quote_text(kind) for kind in {kind for c in rulebook.contracts.values() for _, kind in tombstones.names_of(c)})
    tombstones.entomb(connection, f"select kind, value from {KNOWN_BY} where kind in ({kinds})", as_of, plus(day, [rulebook.policy.tombstones]))
    connection.execute("insert or replace into vault.approvals values (?, 'plan', '', ?, ?)", [request_id, as_of, json.dumps(made, sort_keys=True)])
    connection.execute("update vault.requests set state = 'erasing' where request_id = ?", [request_id])
    connection.execute("commit")


def act(connection: Connection, home: Home, rulebook: Rulebook, made: dict[str, Any], changes: Sequence[Redaction]) -> None:
    """Carry out the plan `made`: remove it from every store that is open, after what a law keeps was copied; the files are made anew by the caller.
    Whatever is gone already is no matter."""
    request_id = made["request"]
    archive.take(connection, home, rulebook, existing(connection, subject_targets(rulebook)), date.fromisoformat(made["as_of"]))
    for purpose in rulebook.policy.built.values():
        with zone_of(connection, home, purpose, write=True) as there:
            if there:
                connection.execute("begin")
                state.forget(connection)  # the next build starts from nothing: its marks do not tell of what goes here
                for statement in statements(existing(connection, zone_subject_targets(rulebook, purpose))):
                    connection.execute(statement)
                connection.execute("commit")
            names = _extracts(connection, home, purpose.name, there)
        remove_all(home, names, WHY)
    remove_all(home, strays(home), WHY)
    for name in _packages(connection, rulebook):
        remove(home.outbox / name)
    for path in _typed(connection, home, request_id):
        remove(path)
    _act_on_raw(connection, rulebook, changes)
    connection.execute("begin")
    for table in _VAULT:
        connection.execute(f"delete from vault.{table} where {_mine(table, request_id)}")
    connection.execute(f"delete from vault.visitors where {_MY_DEVICE}")
    connection.execute(f"delete from vault.requests where {NOBODYS} and request_id <> ?", [request_id])
    connection.execute("commit")


def _act_on_raw(connection: Connection, rulebook: Rulebook, changes: Sequence[Redaction]) -> None:
    """Texts, rows and sides in one transaction: who wrote a text is known only as long as its row says so."""
    connection.execute("begin")
    for change in changes:
        connection.execute(change.act_sql())
    for statement in statements(existing(connection, subject_targets(rulebook))):
        connection.execute(statement)
    connection.execute("commit")


def forget(connection: Connection, request_id: str, proof: str, as_of: datetime, refuse_found: Callable[[], object]) -> None:
    """What the members were known by, and that the request was theirs, is known nowhere any more, but that it was proved; the vault is attached to
    write. `refuse_found` raises if the vault names them even so, and then nothing is forgotten."""
    connection.execute("begin")
    connection.execute("delete from vault.erasing where request_id = ?", [request_id])
    connection.execute("delete from vault.batches where request_id = ?", [request_id])
    connection.execute("update vault.requests set member_id = '' where request_id = ?", [request_id])
    connection.execute("insert or replace into vault.approvals values (?, 'proved', '', ?, ?)", [request_id, as_of, proof])
    refuse_found()
    connection.execute("commit")


def _held(rulebook: Rulebook) -> dict[str, str]:
    return {contract.name: held_by(contract) for contract in rulebook.contracts.values()}


def _entry(zone: str, dataset: str, action: str, due: int) -> dict[str, Any]:
    return {"zone": zone, "dataset": dataset, "rule": ERASURE, "action": action, "due": due, "held": 0}


def _number(connection: Connection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])


_MY_DEVICE = f"device_id in (select value from {ERASING_DEVICES})"


def _mine(table: str, request_id: str) -> str:
    """SQL: whether a row of the vault is of the members in question, but for the request itself, which ends without them."""
    itself = f" and request_id <> {quote_text(request_id)}" if table in ("requests", "batches") else ""
    return f"member_id in (select member_id from {DUE_ACCOUNTS}){itself}"


def _extracts(connection: Connection, home: Home, purpose: str, zone: bool) -> list[str]:
    """Names of extracts in which one of the members may stand."""
    lost = "select pseudonym from due_pseudonyms" if zone else "select null::uuid where false"
    return [e.name for e in listed(home) if e.purpose == purpose and holding(connection, home, e, lost)]


def _packages(connection: Connection, rulebook: Rulebook) -> list[str]:
    """Files of the outbox in which one of the members stands: their own, and those made for recipients."""
    queries = [f"select package from vault.requests where package is not null and member_id in (select member_id from {DUE_ACCOUNTS})"]
    record = next((c for c in rulebook.contracts.values() if c.recipient), None)
    if record and "reference" in [c.name for c in record.columns]:
        queries.append(f"select h.package from vault.handovers as h join {raw_table(record)} as d on d.reference = h.disclosure_id "
                       f"where d.{quote_name(record.subjects[0].column)} in (select member_id from {DUE_ACCOUNTS})")
    return sorted({row[0] for query in queries for row in connection.execute(query).fetchall()})


def _rows(connection: Connection, rulebook: Rulebook) -> dict[str, int]:
    """How many rows each dataset of raw has."""
    there = {name for schema, name in tables_of(connection, ALIAS) if schema == "main"}
    return {c.name: _number(connection, f"select count(*) from {raw_table(c)}") for c in rulebook.contracts.values() if c.name in there}


def _typed(connection: Connection, home: Home, request_id: str) -> list[Path]:
    """Files of what somebody typed at the prompt in which one of the members stands, by pseudonym or otherwise: such a file goes whole."""
    files = sorted(path for path in home.history.glob("*") if path.is_file()) if home.history.is_dir() else []
    values = [value.lower() for (value,) in connection.execute("select value from vault.erasing where request_id = ? and length(value) > 3",
                                                               [request_id]).fetchall()] if files else []
    return [path for path in files for text in [path.read_text(errors="replace").lower()] if any(value in text for value in values)]


def _kept(connection: Connection, rulebook: Rulebook) -> list[dict[str, Any]]:
    """Records of the members that a hold keeps: which hold, why, until when it is looked at again (C-10.5)."""
    found = []
    for contract in rulebook.contracts.values():
        if len(contract.key) == 1:
            theirs = " or ".join(f"r.{quote_name(s.column)} in (select member_id from {DUE_ACCOUNTS})" for s in contract.subjects)
            found += connection.execute(
                f"select h.hold_id, h.dataset, h.reason, h.review_on::varchar from vault.holds as h join {raw_table(contract)} as r "
                f"on r.{quote_name(contract.key[0])} = h.record_key where h.lifted_at is null and h.dataset = ? and ({theirs})",
                [contract.name]).fetchall()
    return [{"hold": hold, "dataset": dataset, "reason": reason, "review_on": day} for hold, dataset, reason, day in sorted(found)]


def _recipients(connection: Connection, rulebook: Rulebook) -> list[dict[str, Any]]:
    """To whom data of the members were given (Art. 19), by the record of disclosures."""
    record = next((c for c in rulebook.contracts.values() if c.recipient), None)
    if record is None:
        return []
    theirs = f"{quote_name(record.subjects[0].column)} in (select member_id from {DUE_ACCOUNTS})"
    rows = connection.execute(f"select {quote_name(str(record.recipient))}, count(*) from {raw_table(record)} where {theirs} "
                              "group by 1 order by 1").fetchall()
    return [{"recipient": recipient, "disclosures": count} for recipient, count in rows]
