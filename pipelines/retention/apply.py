"""Apply a plan: remove what it names from every store, make it leave the disk, and count that nothing due is left.

The order lets any interruption be repaired by running it again: first what a law keeps is copied (archive.py), then
pseudonymised rows go (they are found through salts), then raw in one transaction, then salts; what a crash leaves half done
is due again in the next plan. Marts are rebuilt by the caller afterwards, or unpublished.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.dates import paris_day, parse_as_of, plus
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.foundation.files import remove
from pipelines.foundation.home import EXPORT, Home
from pipelines.foundation.locks import locked
from pipelines.identity import tombstones
from pipelines.identity.vault import opened_vault, rewrite_vault
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.run import write_down, write_down_what_a_kill_left
from pipelines.ingestion.waiting import refuse
from pipelines.lake.backups import destroy_due
from pipelines.lake.purge import purge
from pipelines.lake.store import archive_lake, purpose_lake, raw_lake
from pipelines.lake.tables import quarantine_table
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation import state
from pipelines.retention import archive
from pipelines.retention.extracts import due_extracts, remove_all, unknown_extracts
from pipelines.retention.plan import ENDED_ERASURES, LIFTED, NOBODYS, OF_MEMBERS, content, gone, handed_over, over
from pipelines.retention.scope import DUE_ACCOUNTS, ENDING_VISITORS, Target, narrowed, raw_targets, statements, zone_targets
from pipelines.retention.stores import all_stores, existing, one_zone, who_is_named
from pipelines.retention.texts import Redaction, names_in_texts

WHY = "retention apply"


def apply_plan(home: Home, rulebook: Rulebook, plan: dict[str, Any], resumed: bool = False,
               begun: Callable[[list[Any]], object] = len, rebuilding: Collection[str] | None = None,
               ending: Callable[[Connection], object] = id) -> dict[str, Any]:
    """Carry the plan out, if it still is what the data say; `resumed`: it was begun and stopped, so they no longer do. `begun` is told what
    will go before any of it does. `rebuilding`: purposes that the caller builds afterwards, by default those with marts. `ending` is called with
    the stores open, in which `due_accounts` still stand. Returns rows removed or emptied per entry."""
    as_of = parse_as_of(plan["at"])
    published = {name for name in rulebook.policy.built if home.mart(name).exists()} if rebuilding is None else set(rebuilding)
    with all_stores(home, rulebook, WHY, paris_day(as_of), write=True) as connection:
        names = names_in_texts(connection, rulebook)
        if not resumed and content(connection, home, rulebook, as_of, names)["hash"] != plan["hash"]:
            raise Refused("The data or the policy changed since the plan was made, or it was carried out already; nothing was deleted. "
                          f"Make a new one: kampeky retention plan --as-of {plan['as_of']}", "plan = data")
        entries = [entry for entry in plan["datasets"] if entry["due"] or entry["held"]]
        # what the plan found nothing for is not looked for once more; after a run that stopped nobody knows
        idle = set() if resumed else {_name(entry) for entry in plan["datasets"]} - {_name(entry) for entry in entries}
        begun(entries)
        ending(connection)
        if connection.execute(f"select 1 from {DUE_ACCOUNTS} limit 1").fetchone():  # before anything goes: an old extract would bring them back
            tombstones.use_key(connection, home, first=True)
            tombstones.entomb_ended(connection, f"select member_id from {DUE_ACCOUNTS}", as_of, plus(paris_day(as_of), [rulebook.policy.tombstones]))
        archive.take(connection, home, rulebook, existing(connection, raw_targets(rulebook, paris_day(as_of))), paris_day(as_of))
        archive.expire(connection, home, rulebook, paris_day(as_of))
        archive.destroy_turned_off(home, rulebook)
        for purpose in rulebook.policy.built.values():
            with one_zone(connection, home, rulebook, purpose, write=True) as there:
                if there:
                    rebuilt = purpose.name in published
                    # of the whole day of a withdrawal, which goes here, the gate may let something in again: the next build starts from nothing
                    _act(connection, zone_targets(rulebook, purpose, paris_day(as_of), rebuilt), idle,
                         (lambda: None) if rebuilt else partial(state.forget, connection))
                remove_all(home, due_extracts(connection, home, purpose, paris_day(as_of), purpose.name in published, there), WHY)
        remove_all(home, unknown_extracts(home, rulebook), WHY)
        _expire_packages(connection, home, rulebook, as_of)
        destroy_due(home, paris_day(as_of), WHY)
        write_down_what_a_kill_left(home, connection, as_of)
        waited = _act_on_raw(connection, rulebook, paris_day(as_of), idle, names)
        for table in OF_MEMBERS:
            if connection.execute(f"select 1 from vault.{table} limit 1").fetchone():  # else all accounts would be read for nothing
                connection.execute(f"delete from vault.{table} where {gone(connection, rulebook)}")
        connection.execute(f"delete from vault.visitors where device_id in (from {ENDING_VISITORS})")
        connection.execute(f"delete from vault.holds where {LIFTED}")
        connection.execute(f"delete from vault.requests where {NOBODYS}")
        tombstones.expire(connection, paris_day(as_of))
        connection.execute("begin")
        for table, where in reversed(ENDED_ERASURES.items()):  # the certificates last: by them the others are found
            connection.execute(f"delete from vault.{table} where {where}", {"day": paris_day(as_of)})
        connection.execute("commit")
    write_down(home, as_of, waited)
    for name in rulebook.policy.built:
        purge(purpose_lake(home, name), WHY)
    purge(raw_lake(home), WHY)
    for name in rulebook.policy.archives:
        purge(archive_lake(home, name), WHY)
    rewrite_vault(home, WHY)
    _remove_stray_packages(home)
    return {"as_of": plan["as_of"], "hash": plan["hash"], "datasets": entries}


def count_left(home: Home, rulebook: Rulebook, as_of: datetime) -> int:
    """How many rows are still due after the run: anything but 0 means that it is not done."""
    with all_stores(home, rulebook, WHY, paris_day(as_of), write=False) as connection:
        again = content(connection, home, rulebook, as_of, names_in_texts(connection, rulebook))
        return sum(entry["due"] for entry in archive.going(again["datasets"]))


def _name(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry[word] for word in ("zone", "dataset", "rule", "action"))


def _act(connection: Connection, targets: Iterable[Target], idle: Container[tuple[str, ...]], first: Callable[[], object] = lambda: None) -> None:
    """Execute the targets of one store, but for those named in `idle`, in one transaction, which begins with `first`."""
    doing = [t for t in targets if (t.zone, t.dataset, t.rule, t.action) not in idle]
    connection.execute("begin")
    try:
        first()
        there = existing(connection, doing)
        for statement in statements(narrowed(there, who_is_named(connection, there))):
            connection.execute(statement)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _act_on_raw(connection: Connection, rulebook: Rulebook, today: date, idle: Container[tuple[str, ...]],
                texts: Iterable[Redaction]) -> list[tuple[str, Balance]]:
    """Raw and its quarantine. What waited there for a consent that did not come is counted as refused; the batches whose balance changed."""
    targets, changed = list(raw_targets(rulebook, today)), list[tuple[str, Balance]]()

    def count() -> None:
        for text in texts:
            connection.execute(text.act_sql())
        for contract in rulebook.contracts.values():
            gone = [target.where for target in targets if target.table == quarantine_table(contract) and target.update is None]
            if contract.holding.consents:
                changed.extend((batch.id, batch.balance) for batch in refuse(connection, contract, gone))

    _act(connection, targets, idle, count)
    return changed


def _expire_packages(connection: Connection, home: Home, rulebook: Rulebook, as_of: datetime) -> None:
    for table, where in (("requests", over()), ("handovers", handed_over(rulebook))):
        for (name,) in connection.execute(f"select package from vault.{table} where {where}", {"as_of": as_of}).fetchall():
            remove(home.outbox / name)
    connection.execute(f"update vault.requests set package = null, package_expires = null where {over()}", {"as_of": as_of})
    connection.execute(f"delete from vault.handovers where {handed_over(rulebook)}", {"as_of": as_of})


def _remove_stray_packages(home: Home) -> None:
    """Files of the outbox that no request knows, and what a killed export left of one (its plain files), go too."""
    with locked(home, EXPORT, WHY, exclusive=True):
        for folder in home.tmp.glob(f"{EXPORT}-*"):
            remove(folder)
    with opened_vault(home, WHY) as connection:
        known = {row[0] for row in connection.execute("select package from vault.requests where package is not null union all "
                                                      "select package from vault.handovers").fetchall()}
    for path in home.outbox.iterdir():
        if path.name not in known:
            remove(path)
    if {path.name for path in home.outbox.iterdir()} - known:
        raise KampekyError("The outbox holds files that could not be removed. Remove them, then run the retention again.")
