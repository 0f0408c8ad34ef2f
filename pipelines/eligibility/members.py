"""Which members may enter a purpose at all: the refusals that hold whatever the basis is (CLAUSES, Gate).

Where the basis is contract or legitimate interest, all pass but the objected, the restricted, those who asked for
erasure, deleted accounts, those of unknown age, and those whose newer state stands in quarantine and may be one of these.
Consent is asked for afterwards, per source.
"""

from __future__ import annotations

from datetime import datetime

from pipelines.eligibility.unread import unread_rows
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.lake.tables import raw_table
from pipelines.policy import due
from pipelines.policy.types import Purpose, Rulebook

ELIGIBLE = "eligible"
# first that holds is the one named
REASONS = ("erasure_requested", "account_deleted", "account_due", "unread_state", "restricted", "objected", "unknown_age")
ADULT_YEARS = 18


def judge_members(connection: Connection, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> dict[str, int]:
    """Make `gate_members` (member_id, verdict) with one row per account; returns verdict → members. Needs lake and vault attached."""
    accounts = rulebook.accounts
    account = accounts.account
    assert account is not None
    key = quote_name(accounts.key[0])
    today = f"date {quote_text(paris_day(as_of).isoformat())}"
    birthday, confirmed = f"a.{quote_name(account.birthday)}", f"a.{quote_name(account.age_confirmed)}"
    refused = ("exists (select 1 from vault.refusals as r where r.member_id = a.{key} and r.kind = '{kind}' "
               "and (r.purpose is null or r.purpose = $purpose))")
    # a refusal counts from its receipt, also for a day replayed afterwards: what is published now must not hold who objected meanwhile
    ages = [(quote_name(name), accounts.column(name).type) for name in (account.age_confirmed, account.birthday)]
    other = [f"coalesce(try_cast(u.{c} as {kind})::varchar, u.{c}) is distinct from a.{c}::varchar" for c, kind in ages]
    worse = " or ".join((f"u.{quote_name(account.deleted)} is not null", *other))
    over = [due.is_due(due.due_from_account(rule, account, "a."), paris_day(as_of)) for rule in due.account_rules(accounts, rulebook.policy)]
    # security serves disputes and fraud prevention for as long as a deleted account is kept (C-10.3)
    deleted = f"a.{quote_name(account.deleted)} <= $as_of" if "account_deleted" not in purpose.despite else "false"
    connection.execute(f"""create or replace temp table gate_members as
        with unread as {unread_rows(accounts)}
        select a.{key} as member_id, case
            when {refused.format(key=key, kind='erasure')} then 'erasure_requested'
            when {deleted} then 'account_deleted'
            when {' or '.join(over) or 'false'} then 'account_due'
            when exists (select 1 from unread as u where u.{key} = a.{key} and ({worse})) then 'unread_state'
            when {refused.format(key=key, kind='restriction')} then 'restricted'
            when {refused.format(key=key, kind='objection')} then 'objected'
            when {confirmed} is not true or date_sub('year', {birthday}, {today}) < {ADULT_YEARS} then 'unknown_age'
            else '{ELIGIBLE}' end as verdict
        from {raw_table(accounts)} as a""", {"as_of": as_of, "purpose": purpose.name})
    return dict(connection.execute("select verdict, count(*) from gate_members group by 1 order by 1").fetchall())
