"""The second half of a restore: what was erased after the backup goes again, by the machinery of every erasure, and what is due by now goes too
(C-11.3, C-10.0). Only then is the restored home one that other commands open. Every step can be done again: `kampeky restore --resume`."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.assurance.residue.tombs import MOMENT, places
from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.identity import erased_since, tombstones
from pipelines.identity.erased_since import BEGUN, NAMED, RESTORED
from pipelines.identity.tombstones import DEVICE, EMAIL, MEMBER, names_of
from pipelines.identity.vault import opened_vault, rewrite_vault
from pipelines.lake.store import ALIAS, raw_lake, tables_of
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook
from pipelines.retention import archive
from pipelines.retention.scope import DUE_ACCOUNTS
from pipelines.retention.stores import locked_stores
from pipelines.retention.subjects import KNOWN_BY, mark_named, mark_subjects
from pipelines.rights import erasure as erasing
from pipelines.rights import requests
from pipelines.workflows import retention
from pipelines.workflows.build import unpublish_all
from pipelines.workflows.erasure import erase

WHY = "restore"
PART = "restored"  # of vault.approvals: which request makes up for the erasures since the backup


def clear(home: Home, rulebook: Rulebook, told: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    """Clear the home that `told` (its marker) says was restored; returns {erased, retention, missing}: the request of who had come back and went
    again, what the retention removed, and requests that came after the backup and are lost with the old vault."""
    _write_down(home, told, as_of)
    archive.destroy_keyless(home, rulebook, WHY)
    if raw_lake(home).catalog.exists():
        unpublish_all(home, rulebook)
        request = _again(home, rulebook, told, as_of)
        for left in [r for r in requests.list_requests(home) if r.right == "erasure" and r.state == "erasing"]:
            erase(home, left, as_of)
        found = {"erased": request, "retention": _retention(home, as_of)}
    else:
        found = {"erased": None, "retention": {"removed": 0, "waits": None}}
    if home.vault.exists():
        with opened_vault(home, WHY, write=True) as connection:
            erased_since.settle(connection)
        rewrite_vault(home, WHY)
    missing = _missing(home, told)
    home.mark(None)
    return found | {"missing": missing}


def _write_down(home: Home, told: dict[str, Any], as_of: datetime) -> None:
    """That it was restored, once."""
    if not any(entry.act == RESTORED and entry.facts["restore"] == told["token"] for entry in ledger.read(home)):
        ledger.append(home, RESTORED, as_of, {"restore": told["token"], "backup": told["backup"], "from_seq": told["from_seq"]})


def _again(home: Home, rulebook: Rulebook, told: dict[str, Any], as_of: datetime) -> str | None:
    """The erasure of everybody whom the backup brought back: one request, opened and approved by the restore, for two people agreed to each of them
    before. Its id; None: nobody came back."""
    with opened_vault(home, WHY, write=True) as connection:
        if not has_table(connection, "vault", "restored"):
            return None
        erased_since.again(connection)
        row = connection.execute("select request_id from vault.approvals where part = ? and plan = ?", [PART, told["token"]]).fetchone()
    request_id = str(row[0]) if row else f"R-{secrets.token_hex(6)}"
    state = requests.find_request(home, request_id).state if row else "received"
    if state not in ("erasing", "done") and not _begin(home, rulebook, request_id, told, as_of):
        return None
    if state != "done":
        erase(home, requests.find_request(home, request_id), as_of)
    return request_id


def _begin(home: Home, rulebook: Rulebook, request_id: str, told: dict[str, Any], as_of: datetime) -> bool:
    """From the tombstones to an erasure that is begun; whether there is anything to erase."""
    with locked_stores(home, rulebook, WHY, write=True) as connection:
        moment = erased_since.last_moment(connection)
        tombstones.use_key(connection, home)
        if moment is None or not erased_since.mark_named(connection, _asked(connection, rulebook)):
            return False
        mark_subjects(connection, rulebook, f"select value as member_id from {NAMED} where kind = '{MEMBER}'")
        connection.execute(f"insert into {KNOWN_BY} select '', kind, value from {NAMED} as n where not exists (select 1 from {KNOWN_BY} as k "
                           "where k.kind = n.kind and k.value = n.value)")
        connection.execute(f"create or replace temp table erasing_devices as select distinct value from {KNOWN_BY} where kind = '{DEVICE}'")
        mark_named(connection, rulebook)
        _open_request(connection, rulebook, request_id, told, as_of)
        made = erasing.content(connection, home, rulebook, request_id, moment, secrets.token_hex(16), erasing.in_texts(connection, rulebook))
        ledger.append(home, BEGUN, moment, {"request": request_id, "plan": made["hash"], "restore": told["token"]})
        _take_from_others(connection, rulebook)
        erasing.begin(connection, home, rulebook, request_id, made, moment)
        erased_since.again(connection)
    return True


def _asked(connection: Connection, rulebook: Rulebook) -> str:
    """SQL (kind, value): every value in raw, in the quarantine and in the vault that could name somebody."""
    there = {f"{schema}.{name}" for schema, name in tables_of(connection, ALIAS)}
    parts = [words.replace(MOMENT, "") for contract in rulebook.contracts.values() for _, words, _ in places(contract, there)]
    parts += [f"select '{MEMBER}', member_id from vault.{table}" for table in ("subjects", "refusals", "addresses", "requests", "batches")]
    return " union all ".join([*parts, f"select '{DEVICE}', device_id from vault.visitors",
                               f"select '{EMAIL}', lower(address) from vault.addresses where address is not null"])


def _open_request(connection: Connection, rulebook: Rulebook, request_id: str, told: dict[str, Any], as_of: datetime) -> None:
    connection.execute("begin")
    connection.execute("insert or replace into vault.requests values (?, 'erasure', '', null, ?, ?, 'approved', null, null)",
                       [request_id, as_of, plus(paris_day(as_of), [rulebook.policy.rights["erasure"].deadline])])
    connection.execute(f"insert or replace into vault.batches select ?, member_id from {DUE_ACCOUNTS}", [request_id])
    for part in ("opened", "approved", PART):
        connection.execute("insert or replace into vault.approvals values (?, ?, ?, ?, ?)",
                           [request_id, part, f"the restore of {told['backup']}", as_of, told["token"] if part == PART else None])
    connection.execute("commit")


def _take_from_others(connection: Connection, rulebook: Rulebook) -> None:
    """An address or social id of who was erased that the backup knows as somebody else's, who changed it since: that one keeps the row without it."""
    there = {name for schema, name in tables_of(connection, ALIAS) if schema == "main"}
    for contract in rulebook.contracts.values():
        members = {s.column for s in contract.subjects}
        for column, kind in names_of(contract) if contract.name in there else ():
            if kind not in (MEMBER, DEVICE) and column not in members:
                value = f"lower(trim(r.{quote_name(column)}))" if kind == EMAIL else f"r.{quote_name(column)}"
                mine = f"select {'lower(trim(value))' if kind == EMAIL else 'value'} from {KNOWN_BY} where kind = {quote_text(kind)}"
                theirs = " and ".join(f"r.{quote_name(s)} not in (select member_id from {DUE_ACCOUNTS})" for s in sorted(members)) or "true"
                connection.execute(f"update {raw_table(contract)} as r set {quote_name(column)} = null where {value} in ({mine}) and {theirs}")
    connection.execute(f"update vault.addresses set address = null where lower(trim(address)) in (select lower(trim(value)) from {KNOWN_BY} where "
                       f"kind = '{EMAIL}') and member_id not in (select member_id from {DUE_ACCOUNTS})")


def _retention(home: Home, as_of: datetime) -> dict[str, Any]:
    """What is due by now goes, as it went from the stores that were lost; one that was begun is finished first. A plan that waits for a person
    (guard of policy.yaml) waits here too, with nothing published meanwhile."""
    for begun in retention.unfinished(home):
        for path in home.plans.glob(f"*-{begun[:16]}.json"):
            retention.apply(home, path)
    made = retention.plan(home, as_of)
    with suppress(Refused):
        done = retention.apply(home, Path(made["plan"]))
        return {"removed": sum(row["due"] for row in archive.going(done["datasets"])), "waits": None}
    return {"removed": 0, "waits": made["plan"]}


def _missing(home: Home, told: dict[str, Any]) -> list[str]:
    """Requests that came after the backup, by a ledger that survived: what they asked stood in the vault that is lost."""
    entries = ledger.read(home)
    end = next(entry.seq for entry in entries if entry.act == RESTORED and entry.facts["restore"] == told["token"])
    came = {entry.facts["request"] for entry in entries if told["from_seq"] < entry.seq < end and entry.act == "request received"}
    done = {entry.facts["request"] for entry in entries if entry.act == erased_since.DONE}
    return sorted(came - done)

