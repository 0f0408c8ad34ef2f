"""When a row is due, as SQL compiled from the policy's rules (C-10.0 to C-10.9).

due = day + period, the day being the event's Europe/Paris day or the account's end. After the run of day T nothing
with due ≤ T exists. These expressions are the only place where a period meets a column: ingestion (due on arrival),
retention and the marts use them.
"""

from __future__ import annotations

from datetime import date

from pipelines.foundation.dates import Period
from pipelines.policy.types import Account, Contract, Policy, RetentionRule


def event_rules(contract: Contract, policy: Policy) -> tuple[RetentionRule, ...]:
    """The rules of `contract` that run from its event day."""
    return tuple(policy.retention[name] for name in contract.retention if policy.retention[name].clock == "event_day")


def account_rules(contract: Contract, policy: Policy) -> tuple[RetentionRule, ...]:
    """The rules of `contract` that run from the end of the account."""
    return tuple(policy.retention[name] for name in contract.retention if policy.retention[name].clock == "account")


def due_from_day(rule: RetentionRule, day: str) -> str:
    """SQL: the day on which a row of event day `day` (a DATE expression) is due under `rule`."""
    return chained(day, rule.periods)


def due_from_account(rule: RetentionRule, account: Account, prefix: str = "") -> str:
    """SQL: the day on which what belongs to an account is due: the earlier of deletion and inactivity, null if neither runs."""
    deleted = chained(f"{prefix}{account.deleted}::date", rule.after_deletion)
    inactive = chained(f"{prefix}{account.last_activity}", rule.after_last_activity)
    return f"least({deleted}, {inactive})"


def is_due(due: str, as_of: date) -> str:
    """SQL: whether that day has come on the day of the run."""
    return f"coalesce({due} <= date '{as_of.isoformat()}', false)"


def chained(day: str, periods: tuple[Period, ...]) -> str:
    for period in periods:
        day = period.sql(day)
    return day
