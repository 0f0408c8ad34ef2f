"""The gate: consent is one unbroken grant from the event to the build, and nobody who has to be out is in (CLAUSES, Gate).

Two ways of asking. Named cases, one sentence each. And random histories of many members at once, against a reference that is
slow and simple on purpose: it looks at one event at a time, counts months on the calendar and shares no code with the product.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from gate_reference import BUILD, Decision, Event, allowed, day_of, market_of, of_age, random_world
from small_market import (
    COOKIE_OF,
    KIND_OF,
    PURPOSES,
    Market,
    at,
    copy_home,
    fill_zone,
    marks,
    members_in,
    months_later,
    new_home,
    pseudonyms,
    query,
    stamp,
    zone,
)

from pipelines.foundation.errors import Misuse
from pipelines.workflows import requests
from pipelines.workflows.rules import rules

UTC = ZoneInfo("UTC")

def held(event: Event, register: list[Decision]) -> bool:
    """Whether the event's cookie had a grant at its time, by what is kept at the build. Of a visitor the device's own history counts."""
    kept = [d for d in register if not (d.member is None and months_later(day_of(d.when), 13) <= day_of(BUILD))]
    seen = [replace(d, member=None) if d.device else d for d in kept] if event.member is None else kept
    return allowed(event, seen, f"{event.cookie}_cookies", event.when, False)


@pytest.mark.parametrize("seed", [1, 2])
def test_over_random_histories_the_door_lets_in_exactly_what_had_a_grant_at_its_time(tmp_path, seed):
    world, home = replace(random_world(seed), refused=[]), new_home(tmp_path / "home")  # an objection is no matter of the door
    balance = market_of(world).load(home, BUILD)["usage_events"]
    live = [e for e in world.events if months_later(day_of(e.when), 13) > day_of(BUILD)]
    wanted = {e.mark for e in live if held(e, world.register[e.household])}
    found = {mark for (mark,) in query(home, "raw", "select item_category from lake.main.usage_events")}
    events = {e.mark: e for e in world.events}
    assert found == wanted, [(events[mark], world.register[events[mark].household]) for mark in found ^ wanted][:1]
    assert balance["reasons"]["consent.waiting"] == len(live) - len(wanted) > 500
    assert len(wanted) > 300
    fill_zone(home, "analytics", BUILD)
    assert marks(home, "analytics") == world.expected_marks("analytics"), "the door keeps nobody out whom the gate lets in"


def test_the_reference_itself_refuses_and_lets_through():
    yes = Decision("a", "d", "analytics_cookies", "granted", at("2025-06-01"))
    event = Event("e", "a", "d", at("2025-07-01"))
    assert allowed(event, [yes], "analytics_cookies", BUILD, False)
    assert not allowed(event, [yes, replace(yes, decision="withdrawn", when=BUILD)], "analytics_cookies", BUILD, False)
    assert not allowed(event, [replace(yes, when=at("2025-07-02"))], "analytics_cookies", BUILD, False)
    assert not allowed(event, [replace(yes, when=at("2025-07-01 00:01"))], "analytics_cookies", BUILD, True)
    assert not of_age(date(2008, 3, 11), True, day_of(BUILD)) and of_age(date(2008, 3, 10), True, day_of(BUILD))


# ---------------------------------------------------------------- named cases

A, B, VISITOR = "a", "b", None
D1, D2, ACCOUNT = "d1", "d2", None


def yes(who, where, when, **given):
    return {"member": who, "device": where, "decision": "granted", "when": when, **given}


def no(who, where, when, decision="withdrawn", **given):
    return {"member": who, "device": where, "decision": decision, "when": when, **given}


# sentence: (what was decided, events as (who, device, when, whether it may pass))
CASES = {
    "an event without any decision stays out": ([], [(A, D1, "2026-03-01", False)]),
    "a grant lets the events after it in and none before": (
        [yes(A, D1, "2026-03-01 10:00")], [(A, D1, "2026-03-01 09:59", False), (A, D1, "2026-03-01 10:01", True)]),
    "a grant covers the instant at which it was given": ([yes(A, D1, "2026-03-01 10:00")], [(A, D1, "2026-03-01 10:00", True)]),
    "a refusal is no grant": ([no(A, D1, "2026-02-20", "refused")], [(A, D1, "2026-03-01", False)]),
    "a withdrawal takes out what was collected under the grant": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-03-09")], [(A, D1, "2026-03-01", False)]),
    "given, withdrawn and given again does not revive the events before": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-03-02"), yes(A, D1, "2026-03-04")],
        [(A, D1, "2026-03-01", False), (A, D1, "2026-03-03", False), (A, D1, "2026-03-05", True)]),
    "a refusal at the same instant outweighs a grant": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-02-20")], [(A, D1, "2026-03-01", False)]),
    "what is decided after the build is not seen by it": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-03-10 12:01")], [(A, D1, "2026-03-01", True)]),
    "a withdrawal at the very instant of the build is seen": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-03-10 12:00")], [(A, D1, "2026-03-01", False)]),
    "a device's grant covers that device and no other": (
        [yes(A, D1, "2026-02-20")], [(A, D1, "2026-03-01", True), (A, D2, "2026-03-01", False)]),
    "a grant while nobody was logged in covers whoever is on the device": (
        [yes(VISITOR, D1, "2026-02-20")], [(A, D1, "2026-03-01", True), (B, D1, "2026-03-01", True), (A, D2, "2026-03-01", False)]),
    "a grant while A was logged in does not cover B on the same device": (
        [yes(A, D1, "2026-02-20")], [(A, D1, "2026-03-01", True), (B, D1, "2026-03-01", False)]),
    "B's refusal on a shared device removes A's events there": (
        [yes(A, D1, "2026-02-20"), no(B, D1, "2026-03-05", "refused")], [(A, D1, "2026-03-01", False)]),
    "a visitor's refusal on a device removes the events of everybody there": (
        [yes(A, D1, "2026-02-20"), no(VISITOR, D1, "2026-03-05", "refused")], [(A, D1, "2026-03-01", False)]),
    "a refusal on one device leaves the other device alone": (
        [yes(A, D1, "2026-02-20"), yes(A, D2, "2026-02-20"), no(A, D2, "2026-03-05")],
        [(A, D1, "2026-03-01", True), (A, D2, "2026-03-01", False)]),
    "a refusal in the account covers every device of the member": (
        [yes(A, D1, "2026-02-20"), yes(VISITOR, D2, "2026-02-20"), no(A, ACCOUNT, "2026-03-05")],
        [(A, D1, "2026-03-01", False), (A, D2, "2026-03-01", False), (B, D2, "2026-03-01", True)]),
    "a grant in the account opens no device": ([yes(A, ACCOUNT, "2026-02-20")], [(A, D1, "2026-03-01", False)]),
    "continued browsing is never consent": ([yes(A, D1, "2026-02-20", method="continued_browsing")], [(A, D1, "2026-03-01", False)]),
    "a pre-ticked box is never consent": ([yes(A, D1, "2026-02-20", method="pre_ticked_box")], [(A, D1, "2026-03-01", False)]),
    "a default is never consent": ([yes(A, D1, "2026-02-20", method="default")], [(A, D1, "2026-03-01", False)]),
    "a method that the policy does not know is never consent": ([yes(A, D1, "2026-02-20", method="telepathy")], [(A, D1, "2026-03-01", False)]),
    "a withdrawal by a method that the policy does not know is a withdrawal": (
        [yes(A, D1, "2026-02-20"), no(A, D1, "2026-03-05", method="telepathy")], [(A, D1, "2026-03-01", False)]),
    "an unknown answer ends a grant": (
        [yes(A, D1, "2026-02-20"), yes(A, D1, "2026-03-05", method="continued_browsing")],
        [(A, D1, "2026-03-01", False), (A, D1, "2026-03-06", False)]),
    "a decision that is none of the three is set aside and lets nobody in": (
        [{"member": A, "device": D1, "decision": "maybe", "when": "2026-02-20"}], [(A, D1, "2026-03-01", False)]),
    "a policy version that nobody knows is no consent": ([yes(A, D1, "2026-02-20", policy_version="1999-1")], [(A, D1, "2026-03-01", False)]),
    "a consent of another kind is not this one": ([yes(A, D1, "2026-02-20", kind="targeting_cookies")], [(A, D1, "2026-03-01", False)]),
    "a device grant of 13 months ago is unknown today": ([yes(A, D1, "2025-02-10")], [(A, D1, "2026-03-01", False)]),
    "a device grant of 13 months less a day still counts": ([yes(A, D1, "2025-02-11")], [(A, D1, "2026-03-01", True)]),
    "a grant renewed in time is one grant": (
        [yes(A, D1, "2025-01-31"), yes(A, D1, "2026-02-27")], [(A, D1, "2025-03-01", True), (A, D1, "2026-03-01", True)]),
    "a grant renewed on the day it ran out begins anew": (  # 31 January 2025 and 13 months: the month is clipped to its end
        [yes(A, D1, "2025-01-31"), yes(A, D1, "2026-02-28 00:00")], [(A, D1, "2025-03-01", False), (A, D1, "2026-03-01", True)]),
    "what a visitor did before logging in is never the member's": (
        [yes(VISITOR, D1, "2026-02-20"), yes(A, D1, "2026-02-20")], [(VISITOR, D1, "2026-03-01", True), (A, D1, "2026-03-01", True)]),
    "a visitor's own grant covers what visitors do on the device, and a member's does not": (
        [yes(A, D1, "2026-02-20"), yes(VISITOR, D2, "2026-02-20")], [(VISITOR, D1, "2026-03-01", False), (VISITOR, D2, "2026-03-01", True)]),
    "a member's refusal on a device ends the visitor's grant there": (
        [yes(VISITOR, D1, "2026-02-20"), no(A, D1, "2026-03-05")], [(VISITOR, D1, "2026-03-01", False)]),
    "an event after the build does not enter it": (
        [yes(A, D1, "2026-02-20")], [(A, D1, "2026-03-10 12:00", True), (A, D1, "2026-03-10 12:01", False)]),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """One home in which every case has members and devices of its own; gated for both purposes as of BUILD."""
    home, market = new_home(tmp_path_factory.mktemp("gate") / "home"), Market()
    for n, (decided, events) in enumerate(CASES.values()):
        for member in (A, B):
            market.member(f"{n}-{member}")
        for row in decided:
            given = dict(row)
            member, device = given.pop("member"), given.pop("device")
            market.consent(member and f"{n}-{member}", device and f"{n}-{device}", given.pop("decision"), given.pop("when"), **given)
        for e, (member, device, when, _) in enumerate(events):
            market.event(f"{n}/{e}", member and f"{n}-{member}", f"{n}-{device}", when)
    # beside the cases: what rests on other cookies, on the log, or on another purpose's consent
    market.member("all", registered_at=stamp("2025-12-31T23:30:00+00:00")).member("logs").member("quitter").member("late")
    for kind in ("analytics_cookies", "targeting_cookies", "functional_cookies"):
        market.consent("all", "d-all", "granted", "2026-02-01", kind)
    for cookie in ("necessary", "functional", "analytics", "targeting"):
        market.event(f"by {cookie}", "all", "d-all", "2026-03-01", cookie)
    for member, decision, when in (("logs", "granted", "2026-02-15 09:00"), ("quitter", "granted", "2026-02-15"),
                                   ("quitter", "withdrawn", "2026-03-09"), ("late", "granted", "2026-03-02")):
        market.consent(member, None, decision, when, "log_profiling", method="settings_page")
    for member in ("logs", "quitter", "late", "all", None):
        market.line(member, "2026-03-01 08:00")
    market.line("logs", "2026-02-15 08:59").line("late", "2026-03-03 08:00")
    market.member("m-gone")
    for name, device, granted, when in (("same day", "g1", "2026-01-05 10:00", "2026-01-05 12:00"),
                                        ("next day", "g1", "2026-01-05 10:00", "2026-01-06"),
                                        ("from midnight", "g2", "2026-01-05 00:00", "2026-01-05 12:00"),
                                        ("recent", "g3", "2026-02-20 10:00", "2026-02-20 12:00")):
        market.consent("m-gone", device, "granted", granted).event(f"gone/{name}", "m-gone", device, when)
    for version in ("2013-1", "2014-2"):
        market.member(f"v-{version}")
        for purpose in PURPOSES:
            market.consent(f"v-{version}", f"dv-{version}", "granted", "2026-02-01", KIND_OF[purpose], policy_version=version)
            market.event(f"{purpose} under {version}", f"v-{version}", f"dv-{version}", "2026-03-01", COOKIE_OF[purpose])
    balances = market.load(home, BUILD, door=False)
    assert balances["consents"]["quarantined"] == 1, "the decision 'maybe'"
    assert balances["usage_events"]["loaded"] == sum(len(events) for _, events in CASES.values()) + 12
    results = {purpose: fill_zone(home, purpose, BUILD) for purpose in PURPOSES}
    return home, results, marks(home, "analytics")


@pytest.mark.parametrize("sentence", CASES)
def test_case(cases, sentence):
    _, _, passed = cases
    n = list(CASES).index(sentence)
    events = CASES[sentence][1]
    assert [f"{n}/{e}" in passed for e in range(len(events))] == [may for *_, may in events]


def test_necessary_and_functional_cookies_feed_no_profile_and_each_purpose_has_its_own_consent(cases):
    """C-8, C-8.1."""
    home, _, passed = cases
    assert {m for m in passed if m.startswith("by ")} == {"by analytics"}
    assert {m for m in marks(home, "advertising") if m.startswith("by ")} == {"by targeting"}


def test_log_lines_enter_under_their_own_consent_only_and_never_without_a_member(cases):
    home, results, _ = cases
    names = {value: member for member, value in pseudonyms(home, "analytics").items()}
    found = sorted((names[p], day) for p, day in zone(home, "analytics", "access_logs", "pseudonym, paris_day"))
    assert found == [("late", date(2026, 3, 3)), ("logs", date(2026, 3, 1))]
    assert results["analytics"].rows["access_logs"] == {"no_consent": 4, "no_member": 1, "passed": 2}
    assert "access_logs" not in results["advertising"].rows


def test_why_rows_did_not_pass_is_counted_and_adds_up(cases):
    home, results, passed = cases
    for purpose, result in results.items():
        for dataset, verdicts in result.rows.items():
            assert sum(verdicts.values()) == query(home, "raw", f"select count(*) from lake.main.{dataset}")[0][0], dataset
            assert verdicts.get("passed", 0) == len(zone(home, purpose, dataset, "pseudonym")), dataset
    visitors = sum(who is VISITOR for _, events in CASES.values() for who, *_ in events)
    assert results["advertising"].rows["usage_events"]["no_member"] == visitors == 4
    assert "no_member" not in results["analytics"].rows["usage_events"], "a visitor's grant decides there"
    assert results["analytics"].rows["usage_events"]["after_as_of"] == 1
    assert results["analytics"].rows["usage_events"]["passed"] == len(passed)


def test_a_grant_under_a_version_that_was_widened_since_counts_no_more_for_that_purpose_alone(cases, tmp_path):
    home = copy_home(cases[0], tmp_path / "home")
    assert {"analytics under 2013-1", "analytics under 2014-2"} <= marks(home, "analytics")
    book = rules()
    older, newer = book.policy.versions
    widened = replace(book, policy=replace(book.policy, versions=(older, replace(newer, widens=("analytics",)))))
    for purpose in PURPOSES:
        fill_zone(home, purpose, BUILD, widened)
    assert {m for m in marks(home, "analytics") if " under " in m} == {"analytics under 2014-2"}
    assert {m for m in marks(home, "advertising") if " under " in m} == {"advertising under 2013-1", "advertising under 2014-2"}


def test_an_event_whose_time_is_gone_passes_only_if_its_whole_day_is_covered(cases):
    """C-10.1 takes the time 30 days after the event: the grant in the course of its day may have come later that day."""
    home, _, passed = cases
    assert {m for m in passed if m.startswith("gone/")} == {"gone/next day", "gone/from midnight", "gone/recent"}
    times = dict(query(home, "raw", "select item_category, occurred_at is not null from lake.main.usage_events where item_category like 'gone/%'"))
    assert times == {"gone/same day": False, "gone/next day": False, "gone/from midnight": False, "gone/recent": True}


# ---------------------------------------------------------------- who may be in at all

# C-2.2b: no confirmation, or a birthday under 18, is unknown age
ADULT = {"age_confirmed": True}
MEMBERS = {  # name: (row, verdict on 10 March 2026)
    "adult without a birthday": (ADULT, "eligible"),
    "18 on the day of the build": (ADULT | {"birthday": "2008-03-10"}, "eligible"),
    "18 tomorrow": (ADULT | {"birthday": "2008-03-11"}, "unknown_age"),
    "17, confirmed all the same": (ADULT | {"birthday": "2009-01-01"}, "unknown_age"),
    "said no": ({"age_confirmed": False}, "unknown_age"),
    "never asked, by social registration": ({"age_confirmed": None, "registration_channel": "google"}, "unknown_age"),
    "never asked, though old enough": ({"age_confirmed": None, "birthday": "1970-01-01"}, "unknown_age"),
    "deleted yesterday": (ADULT | {"deleted_at": stamp("2026-03-09")}, "account_deleted"),
    "deleted at the instant of the build": (ADULT | {"deleted_at": stamp(BUILD)}, "account_deleted"),
    "deletes tomorrow": (ADULT | {"deleted_at": stamp("2026-03-11")}, "eligible"),
    "objected to advertising": (ADULT, "eligible"),
    "objected to both": (ADULT, "objected"),
    "restricted": (ADULT, "restricted"),
    "restricted, for a build of an earlier hour": (ADULT, "restricted"),
    "exported": (ADULT, "eligible"),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    home, market = new_home(tmp_path_factory.mktemp("people") / "home"), Market()
    ids = {name: f"p{n}" for n, name in enumerate(MEMBERS)}
    for name, (row, _) in MEMBERS.items():
        market.member(ids[name], **row).post(f"post-{ids[name]}", ids[name], forum_category=ids[name])
    market.load(home, BUILD)
    for name, right, purpose, when in (
            ("objected to advertising", "objection", "advertising", "2026-03-10 11:59"),
            ("objected to both", "objection", "advertising", "2026-03-02"), ("objected to both", "objection", "analytics", "2026-03-10 12:00"),
            ("restricted", "restriction", None, "2026-03-09"),
            ("restricted, for a build of an earlier hour", "restriction", None, "2026-03-10 12:01"), ("exported", "portability", None, "2026-03-01")):
        requests.open_request(home, right, ids[name], purpose, at(when))
    return home, ids, {purpose: fill_zone(home, purpose, BUILD) for purpose in PURPOSES}


@pytest.mark.parametrize("name", MEMBERS)
def test_member(people, name):
    home, ids, _ = people
    verdict = MEMBERS[name][1]
    assert (ids[name] in members_in(home, "analytics")) == (verdict == "eligible")
    out_of_ads = name in ("objected to advertising", "objected to both") or verdict != "eligible"
    assert (ids[name] in members_in(home, "advertising")) == (not out_of_ads)


def test_members_are_counted_by_the_reason_that_keeps_them_out(people):
    _, _, results = people
    assert results["analytics"].members == dict(Counter(verdict for _, verdict in MEMBERS.values()))
    assert results["advertising"].members == dict(Counter("objected" if name.startswith("objected") else v for name, (_, v) in MEMBERS.items()))


def test_who_is_out_is_out_of_every_dataset(people):
    home, ids, _ = people
    for purpose in PURPOSES:
        topics = {topic for (topic,) in zone(home, purpose, "forum_posts", "forum_category")}
        assert topics == members_in(home, purpose) and len(topics) < len(ids)


def test_only_members_who_may_be_in_are_given_a_salt(people):
    home, ids, _ = people
    assert set(pseudonyms(home, "analytics")) == {ids[name] for name, (_, verdict) in MEMBERS.items() if verdict == "eligible"}


def test_an_objection_holds_for_a_build_of_an_earlier_day_too(people, tmp_path):
    """C-11.7."""
    home, ids, _ = people
    again = copy_home(home, tmp_path / "home")
    fill_zone(again, "advertising", "2026-03-01")  # a day replayed after all objections were received
    assert not {ids["objected to advertising"], ids["objected to both"]} & members_in(again, "advertising")
    assert ids["adult without a birthday"] in members_in(again, "advertising")


def test_a_restriction_concerns_every_purpose_and_names_none(people):
    """C-11.4."""
    home, ids, _ = people
    with pytest.raises(Misuse, match="every purpose"):
        requests.open_request(home, "restriction", ids["adult without a birthday"], "analytics", at("2026-03-02"))
