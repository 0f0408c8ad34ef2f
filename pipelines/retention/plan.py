"""The plan: what is due on a day, counted, as a file with a hash over all of it. No row's values, no identifier.

A pure function of policy, contracts, data and day: the same inputs give the same bytes. It opens the stores read-only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name
from pipelines.foundation.dates import paris_day, parse_as_of
from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.files import remove, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity import tombstones
from pipelines.lake import backups
from pipelines.lake.store import ALIAS, filled_tables
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook
from pipelines.retention import archive
from pipelines.retention.extracts import due_extracts, entry, unknown_extracts
from pipelines.retention.scope import DUE_ACCOUNTS, ENDING_VISITORS, WAITING, Target, counts_sql, raw_targets, slices, zone_targets
from pipelines.retention.stores import all_stores, existing, one_zone, who_is_named
from pipelines.retention.texts import RULE, Redaction, names_in_texts, written_in

LIFTED = "lifted_at is not null"
# SQL per table: what is over of erasures that were carried out, in the order in which it goes
ENDED_ERASURES = {
    "certificates": "expires_on <= $day",
    "requests": "\"right\" = 'erasure' and state = 'done' and request_id in (select request_id from vault.certificates where expires_on <= $day)",
    "approvals": "request_id in (select request_id from vault.certificates where expires_on <= $day) or "
                 "request_id not in (select request_id from vault.requests)",
}
OF_MEMBERS = ("subjects", "requests", "refusals", "addresses", "batches")  # tables of the vault with a member's rows
# SQL: whether a request of many is nobody's any more, for all of them went by another; one that was begun is left to its own end
NOBODYS = "member_id = '' and state in ('received', 'approved') and request_id not in (select request_id from vault.batches)"
HOLD, UNANSWERED = "legal hold (C-10.5)", "a request that has no answer yet (C-11.9)"


def make_plan(home: Home, rulebook: Rulebook, as_of: datetime) -> dict[str, Any]:
    """The plan's content with its hash; nothing is written."""
    with all_stores(home, rulebook, "retention plan", paris_day(as_of), write=False) as connection:
        return content(connection, home, rulebook, as_of, names_in_texts(connection, rulebook))


def content(connection: Connection, home: Home, rulebook: Rulebook, as_of: datetime, names: Sequence[Redaction]) -> dict[str, Any]:
    """The plan from stores that are open already; `names`: what changes in their texts."""
    day, snapshots = paris_day(as_of), {"raw": snapshot(connection, ALIAS)}
    going = [*existing(connection, raw_targets(rulebook, day))]
    rows = [*counted(connection, going)]
    texts = {(change.zone, change.contract.name, change.column): connection.execute(change.count_sql(going)).fetchall()[0][0]
             for change in names}
    rows += [{"zone": zone, "dataset": dataset, "rule": RULE, "action": f"redact {column}", "due": texts.get((zone, dataset, column), 0), "held": 0}
             for zone, dataset, column in written_in(rulebook)]
    for purpose in rulebook.policy.built.values():
        with one_zone(connection, home, rulebook, purpose, write=False) as there:
            if there:
                snapshots[purpose.name] = snapshot(connection, "zone")
                targets = zone_targets(rulebook, purpose, day, rebuilt=home.mart(purpose.name).exists())
                rows += counted(connection, targets)
            rows.append(entry(purpose.name, due_extracts(connection, home, purpose, day, home.mart(purpose.name).exists(), there)))
    rows += [*vault_entries(connection, rulebook, day), outbox_entry(connection, rulebook, as_of), entry("files", unknown_extracts(home, rulebook)),
             backups_entry(home, day), *archive.taking(connection, home, rulebook, going, day), *archive.ending(connection, home, rulebook, day)]
    body = {"as_of": day.isoformat(), "at": as_of.isoformat(), "policy_version": rulebook.policy.version, "snapshots": snapshots,
            "datasets": rows}
    return body | {"hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}


def write_plan(home: Home, plan: dict[str, Any]) -> Path:
    """Keep the plan under its hash."""
    path = home.plans / f"{plan['as_of']}-{plan['hash'][:16]}.json"
    with locked(home, "plans", "retention plan"):
        for left in home.plans.glob(".*.json.*"):  # parts of plans whose run was killed
            remove(left)
        write_atomically(path, json.dumps(plan, indent=1, sort_keys=True) + "\n")
    return path


def read_plan(path: Path) -> dict[str, Any]:
    """A plan file whose hash fits its content."""
    if not path.is_file():
        raise Misuse(f"{path}: there is no such plan. Make one with: kampeky retention plan")
    try:
        plan = json.loads(path.read_bytes())
        body = {key: plan[key] for key in plan if key != "hash"}
        whole = plan["hash"] == hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        parse_as_of(plan["at"])
    except (ValueError, KeyError, TypeError, Misuse):
        raise KampekyError(f"{path} is no retention plan. Make one with: kampeky retention plan") from None
    if not whole:
        raise KampekyError(f"{path} was changed after it was made: its hash does not fit. Make a new plan with: kampeky retention plan")
    return plan


def snapshot(connection: Connection, alias: str) -> int:
    """The lake's latest snapshot: a plan is made from it and fits no other."""
    row = connection.execute(f"select max(snapshot_id) from ducklake_snapshots('{alias}')").fetchone()
    return int(row[0]) if row else 0


def gone(connection: Connection, rulebook: Rulebook) -> str:
    """SQL: whether a row of the vault belongs to an account that ends, or that a run cut short removed already. Of whose erasure was begun and is
    not finished nothing is taken: without their request nobody could finish it."""
    accounts = rulebook.accounts  # no id stands in an erasure's request: it is many members', or was forgotten with its member
    erasing = " and member_id not in (select member_id from vault.erasing)" if in_vault(connection, "erasing") else ""
    return (f"member_id <> ''{erasing} and (member_id in (select member_id from {DUE_ACCOUNTS}) or "
            f"member_id not in (select {quote_name(accounts.key[0])} from {raw_table(accounts)}))")


def vault_entries(connection: Connection, rulebook: Rulebook, day: date) -> list[dict[str, Any]]:
    """The vault's own rows of accounts that end: their salt, requests and refusals; the salts of visitors of whom nothing is left; and what was
    kept of erasures for as long as the policy says."""
    rule = next(r.id for r in rulebook.policy.retention.values() if r.clock == "account")
    entries = []
    for table in OF_MEMBERS:
        if not in_vault(connection, table):
            continue
        due = waiting = 0
        if connection.execute(f"select 1 from vault.{table} limit 1").fetchone():  # else all accounts would be read for nothing
            due = connection.execute(f"select count(*) from vault.{table} where {gone(connection, rulebook)}").fetchall()[0][0]
            waiting = connection.execute(f"select count(*) from vault.{table} where member_id in (select member_id from {WAITING})").fetchall()[0][0]
        entries.append({"zone": "vault", "dataset": table, "rule": rule, "action": "delete", "due": due, "held": waiting}
                       | ({"why": UNANSWERED} if waiting else {}))
    row = connection.execute(f"select count(*) from {ENDING_VISITORS}").fetchone()
    entries.append({"zone": "vault", "dataset": "visitors", "rule": "C-10.9", "action": "delete", "due": row[0] if row else 0, "held": 0})
    row = connection.execute(f"select count(*) from vault.holds where {LIFTED}").fetchone()  # its key may be a member's id
    entries.append({"zone": "vault", "dataset": "holds", "rule": "C-10.5", "action": "delete lifted", "due": row[0] if row else 0, "held": 0})
    over = {"tombstones": tombstones.expired(connection, day)}
    if in_vault(connection, "certificates"):
        over |= {table: connection.execute(f"select count(*) from vault.{table} where {where}", {"day": day}).fetchall()[0][0]
                 for table, where in ENDED_ERASURES.items()}
    return [*entries, *({"zone": "vault", "dataset": table, "rule": "C-11.3", "action": "delete", "due": due, "held": 0}
                        for table, due in over.items())]


def outbox_entry(connection: Connection, rulebook: Rulebook, as_of: datetime) -> dict[str, Any]:
    """Packages whose hours are over, or in which stands a member whose account ends: members' own, and those for recipients."""
    row = connection.execute(f"""select (select count(*) from vault.requests where {over()}) +
        {f"(select count(*) from vault.handovers where {handed_over(rulebook)})" if in_vault(connection, "handovers") else "0"}""",
                             {"as_of": as_of}).fetchone()
    return {"zone": "outbox", "dataset": "packages", "rule": "C-10.4", "action": "delete", "due": row[0] if row else 0, "held": 0}


def backups_entry(home: Home, day: date) -> dict[str, Any]:
    """Backups whose days are over, and files of none that is whole (C-10.6); one that is being made is waited for."""
    found = backups.stock_locked(home, "retention plan")
    return {"zone": "backups", "dataset": "files", "rule": "C-10.6", "action": "delete", "due": len(found.due(day)) + len(found.strays), "held": 0}


def over() -> str:
    """SQL: whether a request's package goes as of `$as_of`."""
    return f"package is not null and (package_expires <= $as_of or member_id in (select member_id from {DUE_ACCOUNTS}))"


def handed_over(rulebook: Rulebook) -> str:
    """SQL: whether what was made for a recipient goes as of `$as_of`; in which one a member stands says the record of disclosures."""
    record = next((c for c in rulebook.contracts.values() if c.recipient), None)
    named = (f" or disclosure_id in (select d.reference from {raw_table(record)} as d where d.{quote_name(record.subjects[0].column)} in "
             f"(select member_id from {DUE_ACCOUNTS}))") if record and "reference" in [c.name for c in record.columns] else ""
    return f"(package_expires <= $as_of{named})"


def in_vault(connection: Connection, table: str) -> bool:
    """Whether the vault has that table: a plan, which writes nothing, may look into one of an earlier version."""
    return has_table(connection, "vault", table)


def counted(connection: Connection, targets: Iterable[Target]) -> Iterator[dict[str, Any]]:
    """The targets counted, all those of a table in one pass over the part of it where their rows can be."""
    listed = existing(connection, targets)
    named = who_is_named(connection, listed)
    filled = {table for alias in {target.table.partition(".")[0] for target in listed} for table in filled_tables(connection, alias)}
    for table, group in groupby(listed, key=lambda target: target.table):
        members = list(group)
        due, held, files, going = [0] * len(members), [0] * len(members), [set[str]() for _ in members], 0
        some = connection.execute(f"select count(*) from {table}").fetchall()[0][0] if table.replace('"', "") in filled else 0
        for part, asked in slices(members, named) if some else ():
            if not connection.execute(f"select 1 from {table} as r where {part} limit 1").fetchone():
                continue  # what the targets ask of other tables need not be made ready
            *found, gone = connection.execute(counts_sql(table, asked, part)).fetchall()[0]
            going += gone
            for target, first in zip(asked, range(0, len(found), 3), strict=True):
                number = members.index(target)
                due[number] += found[first]
                held[number] += found[first + 1]
                files[number].update(found[first + 2] or ())
        for number, target in enumerate(members):
            yield {"zone": target.zone, "dataset": target.dataset, "rule": target.rule, "action": target.action, "due": due[number],
                   "held": held[number], "of": some, "going": going, "files": sorted(files[number])} | ({"why": HOLD} if held[number] else {})
