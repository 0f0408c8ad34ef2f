"""When a row is due, as SQL compiled from the policy's rules (C-10.0 to C-10.9).

due = day + period, the day being the event's Europe/Paris day or the account's end. After the run of day T nothing
with due ≤ T exists. These expressions are the only place where a period meets a column: ingestion (due on arrival),
retention and the marts use them.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta

from pipelines.foundation.dates import Period, plus
from pipelines.policy.contract_types import Account, Contract
from pipelines.policy.types import Policy, RetentionRule


def event_dues(contract: Contract, policy: Policy, day: str, visitor: str) -> list[tuple[str, str]]:
    """(rule, SQL of the due day) for each rule that runs from the event's day `day`; `visitor` says of a row that it names no member."""
    found = []
    for entry in contract.retention:
        rule = policy.retention[entry.rule]
        if rule.clock == "event_day":
            due = chained(day, rule.periods)
            found.append((rule.id, f"case when {visitor} then {due} end" if entry.visitors_only else due))
    return found


def first_day_kept(contract: Contract, policy: Policy, as_of: date, earliest: date = date(1970, 1, 2)) -> date:
    """The first day, not before `earliest`, from which on no event is due under a rule that runs from its day, whomever it names."""
    periods = [rule.periods for rule in (policy.retention[entry.rule] for entry in contract.retention) if rule.clock == "event_day"]
    return max((last_day_due(chain, as_of, earliest) + timedelta(days=1) for chain in periods), default=earliest)


def last_day_due(periods: tuple[Period, ...], as_of: date, earliest: date = date(1970, 1, 2)) -> date:
    """The last day of an event that is due when `periods` ran from it; none of a later day is. The day before `earliest` if none since then is."""
    days = range(earliest.toordinal(), as_of.toordinal() + 2)
    return date.fromordinal(days.start + bisect_right(days, as_of, key=lambda n: plus(date.fromordinal(n), periods)) - 1)


def no_member(contract: Contract, prefix: str = "") -> str:
    """SQL: whether a row names no member at all."""
    return "(" + " and ".join(f'{prefix}"{s.column}" is null' for s in contract.subjects) + ")"


def account_rules(contract: Contract, policy: Policy) -> tuple[RetentionRule, ...]:
    """The rules of `contract` that run from the end of the account."""
    return tuple(policy.retention[e.rule] for e in contract.retention if policy.retention[e.rule].clock == "account")


def due_from_account(rule: RetentionRule, account: Account, prefix: str = "") -> str:
    """SQL: the day on which what belongs to an account is due: the earlier of deletion and inactivity, null if neither runs."""
    deleted = chained(f"{prefix}{account.deleted}::date", rule.after_deletion)
    inactive = chained(f"{prefix}{account.last_activity}", rule.after_last_activity)
    return f"least({deleted}, {inactive})"


def may_end(rule: RetentionRule, account: Account, as_of: date, prefix: str = "") -> str:
    """SQL that holds for every account which is due by the run of `as_of`, and is quicker to ask of all."""
    return (f"({prefix}{account.deleted}::date <= date '{last_day_due(rule.after_deletion, as_of)}' or "
            f"{prefix}{account.last_activity} <= date '{last_day_due(rule.after_last_activity, as_of)}')")


def is_due(due: str, as_of: date) -> str:
    """SQL: whether that day has come on the day of the run."""
    return f"coalesce({due} <= date '{as_of.isoformat()}', false)"


def chained(day: str, periods: tuple[Period, ...]) -> str:
    for period in periods:
        day = period.sql(day)
    return day
