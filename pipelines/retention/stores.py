"""Open every store that retention looks into, each under its lock, in the one order that all commands use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from itertools import groupby

from pipelines.eligibility.held import WITHDRAWALS, mark_withdrawals, refused_before
from pipelines.engines.duckdb_engine import Connection, has_table, quote_name
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.pseudonyms import device_pseudonym, pseudonym, set_domain, visitor_pseudonym
from pipelines.identity.vault import attach_vault
from pipelines.lake.store import attach, opened, purpose_lake, raw_lake, stored_lakes, tables_of
from pipelines.lake.tables import create_raw_tables, raw_table
from pipelines.policy.due import no_member
from pipelines.policy.types import Purpose, Rulebook
from pipelines.retention.scope import DUE_ACCOUNTS, ENDING_VISITORS, WITHDRAWN_HERE, Target, mark_due_accounts, raw_targets, refused_table


@contextmanager
def locked_stores(home: Home, rulebook: Rulebook, why: str, write: bool) -> Iterator[Connection]:
    """A connection with raw (`lake`) and vault attached and every zone and legal archive locked; `holds` is made."""
    with ExitStack() as stack:
        stack.enter_context(locked(home, "vault", why, exclusive=write))
        connection = stack.enter_context(opened(raw_lake(home), why, write=write))
        for zone in stored_lakes(home, rulebook.policy)[1:]:
            stack.enter_context(locked(home, zone.lock, why, exclusive=write))
        attach_vault(connection, home, write)
        if write:
            for left in home.tmp.glob("text-*"):  # rows in clear, of an ingest that was killed: nobody reads now
                remove(left)
            create_raw_tables(connection, rulebook)
        connection.execute("create or replace temp table holds as select dataset, record_key from vault.holds where lifted_at is null")
        yield connection


@contextmanager
def all_stores(home: Home, rulebook: Rulebook, why: str, as_of: date, write: bool) -> Iterator[Connection]:
    """The same, with `due_accounts`, `withdrawals` and what tells of rows that never had a grant."""
    with locked_stores(home, rulebook, why, write) as connection:
        mark_due_accounts(connection, rulebook, as_of)
        mark_withdrawals(connection, rulebook, as_of)
        for contract in rulebook.contracts.values():
            if contract.holding.consents:
                refused_before(connection, rulebook, contract, refused_table(contract))
        _mark_ending_visitors(connection, rulebook, as_of)
        yield connection


@contextmanager
def one_zone(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, write: bool) -> Iterator[bool]:
    """Attach the purpose's zone as `zone`, with `due_pseudonyms` and `withdrawn_here` beside it; yields whether there is one."""
    zone = purpose_lake(home, purpose.name)
    if not zone.catalog.exists():
        yield False
        return
    set_domain(connection, home, purpose.name)
    connection.execute(f"create or replace temp table due_pseudonyms as select {pseudonym('s.salt', 's.member_id')} as pseudonym "
                       f"from vault.subjects as s join {DUE_ACCOUNTS} as d using (member_id)")
    _mark_withdrawn_here(connection, rulebook, purpose)
    attach(connection, zone, write=write, alias="zone")
    try:
        yield True
    finally:
        connection.execute("detach zone")


def _mark_withdrawn_here(connection: Connection, rulebook: Rulebook, purpose: Purpose) -> None:
    """Make `withdrawn_here` (kind, who, device, withdrawn_on) under the pseudonyms of the zone: whoever withdrew in their account, and of a device on
    which somebody did the visitor and each member who was on it, by what raw still holds. And `ending_here` (pseudonym) of visitors whose last
    row goes."""
    visitors = has_table(connection, "vault", "visitors")
    seen = [f"select distinct r.{quote_name(m.name)} as member_id, r.{quote_name(str(c.device))} as device_id from {raw_table(c)} as r "
            f"where r.{quote_name(m.name)} is not null" for c in rulebook.entering(purpose.name) if c.device for m, _ in c.named_in(purpose.name)]
    said = [f"select w.kind, w.who as member_id, null as device_id, w.withdrawn_at from {WITHDRAWALS} as w where w.scope = 'member'",
            *(f"select w.kind, q.member_id, q.device_id, w.withdrawn_at from {WITHDRAWALS} as w join ({pairs}) as q on w.scope = 'device' "
              "and q.device_id = w.who" for pairs in seen)]
    by_visitors = f"""union all select w.kind, {visitor_pseudonym('v.salt', 'v.device_id')}, null, w.withdrawn_at::date
        from {WITHDRAWALS} as w join vault.visitors as v on v.device_id = w.who where w.scope = 'device'""" if visitors else ""
    connection.execute(f"""create or replace temp table {WITHDRAWN_HERE} as
        select w.kind, {pseudonym('s.salt', 's.member_id')} as who, {device_pseudonym('s.salt', 's.member_id', 'w.device_id')} as device,
               w.withdrawn_at::date as withdrawn_on
        from (select kind, member_id, device_id, max(withdrawn_at) as withdrawn_at from ({' union all '.join(said)}) group by all) as w
        join vault.subjects as s on s.member_id = w.member_id {by_visitors}""")
    ending = f"select {visitor_pseudonym('v.salt', 'v.device_id')} as pseudonym from vault.visitors as v join {ENDING_VISITORS} using (device_id)"
    connection.execute(f"create or replace temp table ending_here as {ending if visitors else 'select null::uuid as pseudonym where false'}")


def _mark_ending_visitors(connection: Connection, rulebook: Rulebook, as_of: date) -> None:
    """Make `ending_visitors` (device_id): devices of which the run leaves no row without a member in raw. The salt ends with the visitor's data
    (C-10.9), so nothing can be recomputed for one who is gone."""
    # a plan writes nothing: the vault may be an older one
    if not has_table(connection, "vault", "visitors") or not connection.execute("select 1 from vault.visitors limit 1").fetchone():
        connection.execute(f"create or replace temp table {ENDING_VISITORS} (device_id varchar)")
        return
    stay = []
    for table, group in groupby(existing(connection, raw_targets(rulebook, as_of)), key=lambda t: t.table):
        contract = next((c for c in rulebook.contracts.values() if raw_table(c) == table), None)
        register = contract.consent_register if contract else None
        device = (contract.device or (register.device if register else None)) if contract else None
        if contract and device:
            going = [f"(({t.where}) and not ({t.held}))" for t in group if t.update is None or t.action == f"empty {device}"]
            name = f"r.{quote_name(device)}"
            stay.append(f"select {name} from {table} as r where {name} in (select device_id from vault.visitors) and {no_member(contract, 'r.')} "
                        f"and not coalesce({' or '.join(going) or 'false'}, false)")
    connection.execute(f"create or replace temp table {ENDING_VISITORS} as select device_id from vault.visitors"
                       + (f" where device_id not in ({' union all '.join(stay)})" if stay else ""))


def who_is_named(connection: Connection, targets: Iterable[Target]) -> set[str | None]:
    """Of the tables of accounts and pseudonyms that the targets look into, those that are not empty."""
    return {name for name in {target.but for target in targets} if name and connection.execute(f"select 1 from {name} limit 1").fetchone()}


def existing(connection: Connection, targets: Iterable[Target]) -> list[Target]:
    """The targets whose table is there: a dataset that was never loaded or built has none. The stores are asked once, for all of them."""
    listed = list(targets)
    there = {f"{alias}.{schema}.{name}" for alias in {target.table.partition(".")[0] for target in listed}
             for schema, name in tables_of(connection, alias)}
    return [target for target in listed if target.table.replace('"', "") in there]
