"""Who and what enters the purposes that are built, as of the last day's midnight (CLAUSES, Gate; C-3.3a)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from pipelines.simulation.truth.days import LOG_DAYS, account_end, midnight, of_age
from pipelines.simulation.truth.door import Market, Record, day, moment

ELIGIBLE = "eligible"
COOKIES = {"analytics": ("analytics", "analytics_cookies"), "advertising": ("targeting", "targeting_cookies")}
VISITORS_IN = ("analytics",)  # under pseudonyms of their own; nobody is advertised to whom nobody knows (C-3.3b)
LOGS_UNDER = {"analytics": "log_profiling"}  # C-2.1: a kind of its own; advertising has no log files at all


def truth(market: Market) -> dict[str, object]:
    """Per purpose: every member's verdict; the events and posts that enter, by id; log lines as a count per member and day."""
    purposes = {}
    for purpose in COOKIES:
        verdicts = {str(member["member_id"]): verdict(member, market, purpose) for member in market.stored("members")}
        eligible = {member for member, word in verdicts.items() if word == ELIGIBLE}
        lines = Counter(f"{line['member_id']} {line.day}" for line in market.stored("access_logs") if _line_enters(line, purpose, eligible, market))
        purposes[purpose] = {
            "eligible": sorted(eligible),
            "not_eligible": {member: word for member, word in verdicts.items() if word != ELIGIBLE},
            "usage_events": sorted(str(e["event_id"]) for e in market.stored("usage_events") if _event_enters(e, purpose, eligible, market)),
            "forum_posts": sorted(str(p["post_id"]) for p in market.stored("forum_posts") if p["author_id"] in eligible and p.moment <= market.as_of),
            "access_logs": dict(lines),
        }
    return {"as_of": market.as_of.isoformat(), "purposes": purposes}


def verdict(member: Record, market: Market, purpose: str) -> str:
    """'eligible', or the first reason that keeps the member out of the purpose. A refusal counts whenever it was received (C-11.4, C-11.7)."""
    deleted, active = moment(member["deleted_at"]), day(member["last_active_on"])
    assert active is not None
    if deleted and deleted <= market.as_of:
        return "account_deleted"
    if account_end(deleted, active) <= market.end:
        return "account_due"
    if any(act["act"] == "restriction" and act["member_id"] == member["member_id"] for act in market.acts):
        return "restricted"
    if any(act["act"] == "objection" and (act["member_id"], act["purpose"]) == (member["member_id"], purpose) for act in market.acts):
        return "objected"
    if member["age_confirmed"] != "true" or not of_age(day(member["birthday"]), market.end):  # C-2.2b
        return "unknown_age"
    return ELIGIBLE


def _event_enters(event: Record, purpose: str, eligible: set[str], market: Market) -> bool:
    """One unbroken grant must reach from the event to the build. Of an event whose thirty days are over only the day is left (C-10.1), and the grant
    must cover all of it."""
    cookie, kind = COOKIES[purpose]
    may_be = purpose in VISITORS_IN if event["member_id"] is None else event["member_id"] in eligible
    if not may_be or event["cookie_category"] != cookie or event.moment > market.as_of:
        return False
    time_is_gone = event.day + timedelta(days=LOG_DAYS) <= market.end
    since = midnight(event.day) if time_is_gone else event.moment
    return market.register.unbroken(kind, event["device_id"], event["member_id"], since, market.as_of, visitors_own=True)


def _line_enters(line: Record, purpose: str, eligible: set[str], market: Market) -> bool:
    kind = LOGS_UNDER.get(purpose)
    if kind is None or line["member_id"] not in eligible or line.moment > market.as_of:
        return False
    return market.register.unbroken(kind, None, line["member_id"], line.moment, market.as_of)
