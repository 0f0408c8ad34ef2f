"""Which members may enter a purpose at all: the refusals that hold whatever the basis is (CLAUSES, Gate).

Where the basis is contract or legitimate interest, all pass but the objected, the restricted, those who asked for
erasure, deleted accounts, those of unknown age, and those whose newer state stands in quarantine and may be one of these.
Consent is asked for afterwards, per source.
"""

from __future__ import annotations

from datetime import datetime

from pipelines.eligibility.table import ELIGIBLE, REASONS
from pipelines.eligibility.unread import unread_rows
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.lake.tables import raw_table
from pipelines.policy import due
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Purpose, Rulebook

ADULT_YEARS = 18


def judge_members(connection: Connection, rulebook: Rulebook, purpose: Purpose, as_of: datetime, only: str | None = None) -> dict[str, int]:
    """Make `gate_members` (member_id, verdict) with one row per account, or of those in the table `only` (member_id); returns verdict → members.
    Needs lake and vault attached."""
    accounts = rulebook.accounts
    key = f"a.{quote_name(accounts.key[0])}"
    holds = _holds(rulebook, purpose, as_of)
    cases = " ".join(f"when {holds[reason]} then {quote_text(reason)}" for reason in REASONS if reason not in purpose.despite)
    connection.execute(f"""create or replace temp table gate_members as
        with unread as ({_unread(accounts)})
        select {key} as member_id, case {cases} else '{ELIGIBLE}' end as verdict
        from {raw_table(accounts)} as a {f'where {key} in (select member_id from {only})' if only else ''}""")
    return dict(connection.execute("select verdict, count(*) from gate_members group by 1 order by 1").fetchall())


def _unread(accounts: Contract) -> str:
    """SQL: (member_id) of the accounts of which a newer state stands in quarantine that may end them or change their age."""
    account, key = accounts.account, quote_name(accounts.key[0])
    assert account is not None
    ages = [(quote_name(name), accounts.column(name).type) for name in (account.age_confirmed, account.birthday)]
    other = [f"coalesce(try_cast(u.{c} as {kind})::varchar, u.{c}) is distinct from a.{c}::varchar" for c, kind in ages]
    return (f"select u.{key} as member_id from {unread_rows(accounts)} as u join {raw_table(accounts)} as a on a.{key} = u.{key} "
            f"where {' or '.join((f'u.{quote_name(account.deleted)} is not null', *other))}")


def _holds(rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> dict[str, str]:
    """SQL over account `a` for each reason of the table: whether it holds. The first that does is the verdict, so one that a purpose is served
    despite must not be asked at all: behind a deletion may stand an objection."""
    accounts = rulebook.accounts
    account = accounts.account
    assert account is not None
    key, deleted = f"a.{quote_name(accounts.key[0])}", quote_name(account.deleted)
    birthday, confirmed = f"a.{quote_name(account.birthday)}", f"a.{quote_name(account.age_confirmed)}"
    today = f"date {quote_text(paris_day(as_of).isoformat())}"
    over = [due.is_due(due.due_from_account(rule, account, "a."), paris_day(as_of)) for rule in due.account_rules(accounts, rulebook.policy)]

    def refused(kind: str) -> str:
        # a refusal counts from its receipt, also for a day replayed afterwards: what is published now must not hold who objected meanwhile
        return f"{key} in (select member_id from vault.refusals where kind = '{kind}' and (purpose is null or purpose = {quote_text(purpose.name)}))"

    return {
        "erasure_requested": refused("erasure"),
        "account_deleted": f"a.{deleted} <= timestamptz {quote_text(as_of.isoformat())}",
        "account_due": " or ".join(over) or "false",
        "unread_state": f"{key} in (select member_id from unread)",
        "restricted": refused("restriction"),
        "objected": refused("objection"),
        "unknown_age": f"{confirmed} is not true or date_sub('year', {birthday}, {today}) < {ADULT_YEARS}",
    }
