"""Whom advertising may write to, and where: each channel enters its zone under a consent of its own that runs at the build (C-3.3c, C-3.4)."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import house
import pytest
from small_market import Market, at, copy_home, fill_zone, new_home, pseudonyms, query, run_retention, zone

from pipelines.foundation.errors import Refused
from pipelines.policy.rulebook import load_rulebook
from pipelines.retention.plan import make_plan
from pipelines.workflows.rules import rules

BUILD = "2026-03-10 12:00"
EMAIL, MAILBOX, NOTIFICATION = "email_marketing", "mailbox_marketing", "notification_marketing"
DECIDED = {  # member: what they decided, in order: (decision, when, kind, more)
    "granted": [("granted", "2026-02-01", EMAIL, {})],
    "each its own": [("granted", "2026-02-01", MAILBOX, {}), ("granted", "2026-02-02", NOTIFICATION, {}), ("refused", "2026-02-01", EMAIL, {})],
    "renewed": [("granted", "2026-02-01", EMAIL, {}), ("granted", "2026-02-20", EMAIL, {})],
    "given again": [("granted", "2026-02-01", EMAIL, {}), ("withdrawn", "2026-02-10", EMAIL, {}), ("granted", "2026-02-20", EMAIL, {})],
    "withdraws later": [("granted", "2026-02-01", EMAIL, {}), ("withdrawn", "2026-03-10 12:01", EMAIL, {})],
    "withdrew": [("granted", "2026-02-01", EMAIL, {}), ("withdrawn", "2026-03-09", EMAIL, {"method": "unsubscribe_link"})],
    "refused": [("refused", "2026-02-01", EMAIL, {})],
    "pre-ticked": [("granted", "2026-02-01", EMAIL, {"method": "pre_ticked_box"})],
    "unknown since": [("granted", "2026-02-01", EMAIL, {}), ("granted", "2026-02-20", EMAIL, {"method": "default"})],
    "another kind": [("granted", "2026-02-01", "log_profiling", {}), ("granted", "2026-02-01", "targeting_cookies", {})],
    "too young": [("granted", "2026-02-01", EMAIL, {})],
    "silent": [],
}
PASSED = {("granted", EMAIL, date(2026, 2, 1)), ("each its own", MAILBOX, date(2026, 2, 1)), ("each its own", NOTIFICATION, date(2026, 2, 2)),
          ("renewed", EMAIL, date(2026, 2, 1)), ("renewed", EMAIL, date(2026, 2, 20)), ("given again", EMAIL, date(2026, 2, 20)),
          ("withdraws later", EMAIL, date(2026, 2, 1))}


def name(member: str) -> str:
    return member.replace(" ", "-")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home, market = new_home(tmp_path_factory.mktemp("channels") / "home"), Market()
    for member, decisions in DECIDED.items():
        market.member(name(member), **({"birthday": "2015-01-01"} if member == "too young" else {}))
        for decision, when, kind, more in decisions:
            device = "d1" if kind == "targeting_cookies" else None
            market.consent(name(member), device, decision, when, kind, **({"method": "settings_page"} | more))
    market.consent(None, "d2", "granted", "2026-02-01", EMAIL)  # of a device nobody was logged in on: no member's consent
    market.load(home, "2026-03-12")
    fill_zone(home, "advertising", BUILD)
    return home


def channels(home) -> set[tuple[str, str, date]]:
    """(member, kind, day) of what stands in the zone."""
    known = {pseudonym: member for member, pseudonym in pseudonyms(home, "advertising").items()}
    members = {name(member): member for member in DECIDED}
    return {(members[known[pseudonym]], kind, day) for pseudonym, kind, day in zone(home, "advertising", "consents", "pseudonym, kind, paris_day")}


def test_a_channel_enters_under_its_own_consent_that_runs_at_the_build_and_no_other(home):
    assert channels(home) == PASSED


def test_whoever_withdraws_is_gone_with_the_next_build_and_keeps_the_other_channels(home, tmp_path):
    copy = copy_home(home, tmp_path / "home")
    Market("l").consent("each-its-own", None, "withdrawn", "2026-03-11", MAILBOX, method="settings_page").load(copy, "2026-03-12")
    fill_zone(copy, "advertising", "2026-03-12")
    assert channels(copy) == PASSED - {("each its own", MAILBOX, date(2026, 2, 1)), ("withdraws later", EMAIL, date(2026, 2, 1))}


def test_no_decision_enters_a_purpose_that_writes_to_nobody(home):
    fill_zone(home, "analytics", BUILD)
    tables = query(home, "pseudonymised/analytics", "select distinct table_name from duckdb_columns() where database_name = 'lake'")
    assert ("members",) in tables and ("consents",) not in tables


def test_a_zone_that_is_not_rebuilt_loses_a_withdrawn_channel_with_the_retention_run(home, tmp_path):
    copy = copy_home(home, tmp_path / "home")
    Market("l").consent("each-its-own", None, "withdrawn", "2026-03-11", MAILBOX, method="settings_page").load(copy, "2026-03-12")
    due = {e["rule"]: e["due"] for e in make_plan(copy, rules(), at("2026-03-12"))["datasets"]
           if (e["zone"], e["dataset"], e["action"]) == ("pseudonymised/advertising", "consents", "delete withdrawn") and e["due"]}
    assert due == {"C-3.4": 1, "C-3.3c": 1}
    run_retention(copy, "2026-03-12")
    assert channels(copy) == PASSED - {("each its own", MAILBOX, date(2026, 2, 1)), ("withdraws later", EMAIL, date(2026, 2, 1))}


@pytest.mark.parametrize(("old", "new", "said"), [
    ("rows: {kind: [email_marketing, ", "rows: {kind: [targeting_cookies, ", "kinds that each member gives"),
    ("rows: {kind: [email_marketing, ", "rows: {kind: [post_marketing, ", "'post_marketing' is unknown"),
    (", rows: {kind: [email_marketing, mailbox_marketing, notification_marketing]}", "", "names in 'rows'"),
    ("rows: {kind: [email_marketing, ", "rows: {decision: [email_marketing, ", "for the consent register"),
    ("      forum:        {basis: legitimate_interest}\n      usage:        {basis: consent, kind: targeting_cookies",
     "      forum:        {basis: consent, kind: own, rows: {kind: [email_marketing]}}\n      usage:        {basis: consent, kind: targeting_cookies",
     "for the consent register"),
])
def test_a_source_of_consents_names_kinds_of_members_in_the_register(tmp_path, old, new, said):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    policy = folder / "policy.yaml"
    text = policy.read_text()
    assert text.count(old) == 1
    policy.write_text(text.replace(old, new))
    with pytest.raises(Refused, match=said):
        load_rulebook(folder)
