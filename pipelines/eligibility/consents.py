"""Consent as one unbroken grant from the event to the build: since when, for each member, device and kind (CLAUSES, Gate).

A record counts as a grant only if it was given, by an express act, under a policy version that no later one widened for
the purpose. Any other record of that kind breaks the grant: a refusal, a withdrawal, and what is *unknown*, also one that
stands in quarantine. Given, withdrawn and given again does not revive the events before. At the same instant a refusal outweighs a grant.

A device's grant covers that device: one made while nobody was logged in covers everybody on it, one made while member A was
logged in covers A alone. A refusal on a device covers the device, a refusal in the account covers all devices of
the member. An account-wide grant opens no device: cookies are consented to per browser and device (C-8).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipelines.eligibility.unread import MOMENT, unread_rows
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.lake.tables import raw_table
from pipelines.policy.types import ConsentKind, Rulebook


def grant_records(connection: Connection, rulebook: Rulebook, kind: ConsentKind, purpose: str, as_of: datetime) -> None:
    """Make `consent_records` (member_id, device_id, decided_at, granted): what was decided on `kind` until `as_of`. What stands in quarantine is no
    grant, of whatever kind it may be if that is no word of the policy, and from now on if it has no time."""
    connection.execute(f"""create or replace temp table consent_records as
        select member_id, device_id, case when unread then least(coalesce(decided_at, $as_of), $as_of) else decided_at end as decided_at, granted
        from ({decisions(rulebook, [kind.name], rulebook.policy.versions_valid_for(purpose))}) where unread or decided_at <= $as_of""",
                       {"as_of": as_of})


def decisions(rulebook: Rulebook, kinds: Sequence[str], versions: Sequence[str]) -> str:
    """SQL: (kind, member_id, device_id, decided_at, granted, unread) of all that was decided on `kinds`; a grant is one given by an express act under
    one of `versions`. `unread` are those of the quarantine, of each kind that they may be, without a time where none can be read."""
    register, policy = rulebook.consents.consent_register, rulebook.policy
    assert register is not None
    c = {field: f"c.{quote_name(getattr(register, field))}" for field in register.__dataclass_fields__}
    return f"""select {c['kind']} as kind, {c['member']} as member_id, {c['device']} as device_id, {c['at']} as decided_at,
               {c['decision']} = 'granted' and {c['method']} in {in_words(policy.express_methods)}
                   and {c['version']} in {in_words(versions)} as granted, false as unread
        from {raw_table(rulebook.consents)} as c where {c['kind']} in {in_words(kinds)}
        union all
        select k.kind, {c['member']}, {c['device']}, c.{MOMENT}, false, true
        from {unread_rows(rulebook.consents)} as c join (select unnest([{', '.join(map(quote_text, kinds))}]) as kind) as k
            on coalesce({c['kind']} = k.kind or {c['kind']} not in {in_words(sorted(policy.consent_kinds))}, true)"""


def device_grants(connection: Connection, table: str, pairs: str, kind: ConsentKind, as_of: datetime) -> None:
    """Make `table` (member_id, device_id, granted_since) for each pair of the query `pairs` that has an unbroken grant now. Of a visitor, whose
    member_id is empty text, a grant counts that was made while nobody was logged in: nobody knows that a member's was theirs."""
    connection.execute(f"""create or replace temp table {table} as
        with pairs as ({pairs}),
        relevant as ({concerning("consent_records", visitors_own=True)}),
        {_unbroken('member_id, device_id', kind, as_of)}""")


def concerning(decided: str, more: str = "", same: str = "true", visitors_own: bool = False) -> str:
    """SQL: each row of `pairs` (member_id, device_id) with the decisions of `decided` that concern it, as decided_at, granted and the columns `more`;
    `same`: of which decisions `d` it is asked at all. Of a visitor, whose member_id is empty text, the device's own history counts, or with
    `visitors_own` of its grants those alone that were made while nobody was logged in."""
    columns = f"p.*, d.decided_at, d.granted{more}"
    visitors = "" if visitors_own else "p.member_id = '' or "
    return f"""select {columns} from pairs as p join {decided} as d on d.device_id = p.device_id and {same}
            where not d.granted or {visitors}d.member_id is null or d.member_id = p.member_id
            union all
            select {columns} from pairs as p join {decided} as d on d.member_id = p.member_id and {same}
            where d.device_id is null and not d.granted"""


def member_grants(connection: Connection, table: str, kind: ConsentKind, as_of: datetime) -> None:
    """Make `table` (member_id, granted_since) for each member who has an unbroken grant of `kind` now."""
    connection.execute(f"""create or replace temp table {table} as
        with relevant as (select member_id, decided_at, granted from consent_records where member_id is not null),
        {_unbroken('member_id', kind, as_of)}""")


def _unbroken(who: str, kind: ConsentKind, as_of: datetime) -> str:
    """The steps from `relevant` to the start of the grant that still runs: after the last break, and renewed before each expiry."""
    day = f"date {quote_text(paris_day(as_of).isoformat())}"
    lapsed = f"{kind.expires.sql('previous::date')} <= decided_at::date" if kind.expires else "false"
    alive = f"{kind.expires.sql('max(decided_at)::date')} > {day}" if kind.expires else "true"
    return f"""breaks as (select {who}, max(decided_at) as broken_at from relevant where not granted group by {who}),
        running as (
            select g.*, lag(g.decided_at) over (partition by {', '.join(f'g.{w.strip()}' for w in who.split(','))} order by g.decided_at) as previous
            from relevant as g left join breaks as b on {' and '.join(f'b.{w.strip()} = g.{w.strip()}' for w in who.split(','))}
            where g.granted and (b.broken_at is null or g.decided_at > b.broken_at)
        )
        select {who}, max(decided_at) filter (where previous is null or {lapsed}) as granted_since
        from running group by {who} having {alive}"""


def in_words(words: Sequence[str]) -> str:
    """SQL: the list behind `in`; of no words one in which nothing stands."""
    return f"({', '.join(map(quote_text, words))})" if words else "(null)"
