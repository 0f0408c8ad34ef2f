"""What is held by consent alone: whether a row had its grant when it was made, and whether that was withdrawn since (CLAUSES, Gate; C-2.7, C-8).

The last decision at or before a row's time counts: a grant that had not run out, by the rules of eligibility/consents.py. Of a visitor the
device's own history counts, whoever was logged in when it was decided. A decision that stands in quarantine without a time is a no at
every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from pipelines.eligibility.consents import concerning, decisions, in_words
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import ConsentKind, Rulebook
from pipelines.policy.vocabulary import DAY

WITHDRAWALS = "withdrawals"


def without_grant(connection: Connection, rulebook: Rulebook, contract: Contract, rows: str, table: str) -> None:
    """Make `table` (_line) of those rows of the table `rows` that rest on a consent and had none at their time."""
    _judge(connection, rulebook, contract, rows, table, "_line", lambda runs: f"n.kind is not null or not coalesce(m.granted and {runs}, false)")


def refused_before(connection: Connection, rulebook: Rulebook, contract: Contract, table: str) -> None:
    """Make `table` (_batch, _line) of those rows of the raw table of which it is known by now that the last word before them was a no. A row whose
    time is emptied is not looked at any more, nor is a grant missed that itself has gone since (C-10.9)."""
    if not connection.execute(f"select 1 from {raw_table(contract)} limit 1").fetchone():
        connection.execute(f"create or replace temp table {table} (_batch varchar, _line bigint)")
        return
    timed = f"(from {raw_table(contract)} where {quote_name(str(contract.clock))} is not null)"
    _judge(connection, rulebook, contract, timed, table, "_batch, _line", lambda _: "m.granted = false and not m.unread")


def _judge(connection: Connection, rulebook: Rulebook, contract: Contract, rows: str, table: str, identity: str, fails: Callable[[str], str]) -> None:
    """Make `table` of the identities of those of `rows` of which `fails` is true: SQL over `m`, the last decision at or before the row, and `n`, if
    there is one without a time; it is given SQL for whether the grant of `m` still ran."""
    kinds = [rulebook.policy.consent_kinds[name] for name in contract.holding.consents]
    versions = [version.id for version in rulebook.policy.versions]  # whether one still says enough is asked again for each purpose
    connection.execute(f"""create or replace temp table {table} as
        with asked as (
            select {identity}, {_kind(contract, 'c')} as kind, coalesce({_device(contract, 'c')}, '') as device_id,
                   coalesce({_member(contract, 'c')}, '') as member_id, c.{quote_name(str(contract.clock))} as made_at
            from {rows} as c where {_kind(contract, 'c')} is not null
        ),
        pairs as (select distinct kind, device_id, member_id from asked),
        decided as ({decisions(rulebook, [kind.name for kind in kinds], versions)}),
        relevant as (
            {concerning("decided", ", d.unread", f"d.kind = p.kind and {_scoped(kinds, 'device')}")}
            union all
            select p.*, d.decided_at, d.granted, d.unread from pairs as p join decided as d on d.kind = p.kind and d.member_id = p.member_id
            where {_scoped(kinds, 'member')}
        ),
        moments as (
            select kind, device_id, member_id, decided_at, bool_and(granted) as granted, bool_and(granted or unread) as unread
            from relevant where decided_at is not null group by all
        ),
        at_any_time as (select distinct kind, device_id, member_id from relevant where decided_at is null)
        select {identity}
        from asked as a asof left join moments as m
            on m.kind = a.kind and m.device_id = a.device_id and m.member_id = a.member_id and m.decided_at <= a.made_at
        left join at_any_time as n on n.kind = a.kind and n.device_id = a.device_id and n.member_id = a.member_id
        where {fails(_runs(kinds))}""")


def mark_withdrawals(connection: Connection, rulebook: Rulebook, as_of: date) -> None:
    """Make `withdrawals` (kind, scope, who, withdrawn_at): of the kinds that data are held or used by, the last no on each device, and in each
    account for all its devices, until the end of that day."""
    register, kinds = rulebook.consents.consent_register, rulebook.policy.consent_kinds
    assert register is not None
    c = {field: f"c.{quote_name(getattr(register, field))}" for field in register.__dataclass_fields__}
    used = {kind for purpose in rulebook.policy.purposes.values() for source in purpose.sources.values() for kind in source.kinds}
    held = sorted(used.union(*(contract.holding.consents for contract in rulebook.contracts.values())))
    of_device = f"{c['device']} is not null and {c['kind']} in {in_words([name for name in held if kinds[name].scope == 'device'])}"
    connection.execute(f"""create or replace temp table {WITHDRAWALS} as
        select {c['kind']} as kind, case when {of_device} then 'device' else 'member' end as scope,
               case when {of_device} then {c['device']} else {c['member']} end as who, max({c['at']}) as withdrawn_at
        from {raw_table(rulebook.consents)} as c
        where {c['kind']} in {in_words(held)} and {c['decision']} <> 'granted' and {c['at']}::date <= date '{as_of.isoformat()}' group by all""")


def withdrawn(contract: Contract) -> str:
    """SQL: whether the consent that row `r` of the raw table rests on was withdrawn when it was made or after. Of a row whose time is emptied
    (C-10.1) the whole day counts as after its beginning."""
    time = f"coalesce(r.{quote_name(str(contract.clock))}, r.{DAY}::timestamptz)"
    said_no = " or ".join(f"exists (select 1 from {WITHDRAWALS} as w where w.kind = {_kind(contract, 'r')} and w.scope = '{scope}' and w.who = {who} "
                          f"and w.withdrawn_at >= {time})" for scope, who in (("device", _device(contract, "r")), ("member", _member(contract, "r"))))
    return f"({said_no})"


def _kind(contract: Contract, row: str) -> str:
    """SQL: the kind of consent that the row rests on; null if on none. A value that the contract does not know is nobody's consent."""
    held = contract.holding
    if held.by is None:
        return quote_text(str(held.kind))
    words = " ".join(f"when {quote_text(value)} then {quote_text(kind) if kind else 'null'}" for value, kind in held.kinds.items())
    return f"case {row}.{quote_name(held.by)} {words} else '' end"


def _device(contract: Contract, row: str) -> str:
    return f"{row}.{quote_name(contract.device)}" if contract.device else "null::varchar"


def _member(contract: Contract, row: str) -> str:
    return f"{row}.{quote_name(contract.subjects[0].column)}"


def _scoped(kinds: Sequence[ConsentKind], scope: str) -> str:
    """SQL: whether decision `d` is on a kind that is given per device, or by each member wherever it is made."""
    return f"coalesce(d.kind in {in_words([kind.name for kind in kinds if kind.scope == scope])}, false)"


def _runs(kinds: Sequence[ConsentKind]) -> str:
    """SQL: whether the grant of `m` had not run out when row `a` was made."""
    cases = "".join(f" when {quote_text(kind.name)} then {kind.expires.sql('m.decided_at::date')} > a.made_at::date"
                    for kind in kinds if kind.expires)
    return f"case m.kind{cases} else true end" if cases else "true"
