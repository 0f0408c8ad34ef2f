"""A withdrawal, or an account's end, that came with a mistake in it counts until it is mended, and longer than quarantine lasts."""

from __future__ import annotations

import json

import pytest
from small_market import Market, copy_home, fill_zone, marks, members_in, new_home, raw, run_retention, stamp

LOADED, GRANTED, EVENT, LATER = "2026-02-11 03:00", "2026-02-01 10:00", "2026-02-05 10:00", "2026-02-10 10:00"
MISTAKES = {  # a decision on analytics cookies, of the member who granted them on device and account: (what it says, whether the event still passes)
    "a kind that the policy does not know": ({"kind": "analytics_cookie"}, False),
    "a decision that is none": ({"decision": "withdrwan"}, False),
    "a decision that is none, by an account without a device": ({"decision": "withdrwan", "device_id": None}, False),
    "a decision that is none, by a device without a member": ({"decision": "withdrwan", "member_id": None}, False),
    "no time": ({"recorded_at": "yesterday"}, False),
    "a time without its offset": ({"recorded_at": "2026-02-10 10:00"}, False),
    "no method": ({"method": None}, False),
    "no id": ({"consent_id": None}, False),
    "another kind": ({"kind": "targeting_cookies", "method": None}, True),
    "before the grant": ({"recorded_at": stamp("2026-01-31"), "method": None}, True),
    "nobody's": ({"member_id": None, "device_id": None}, True),
    "without a mistake": ({}, False),
    "no decision at all": (None, True),
}
STATES = {  # a newer state of an account: (what it says, whether the member may still be in)
    "left, with an e-mail address that is none": ({"deleted_at": stamp("2026-02-09"), "email": "none"}, False),
    "left on a day that is none": ({"deleted_at": "yesterday"}, False),
    "left, at a time nobody knows": ({"deleted_at": stamp("2026-02-09"), "updated_at": "yesterday"}, False),
    "of no known age any more": ({"age_confirmed": False, "email": "none"}, False),
    "born on a day that is none": ({"birthday": "1980-02-31"}, False),
    "an e-mail address that is none": ({"email": "none"}, True),
    "left, said an older state": ({"deleted_at": stamp("2026-02-09"), "email": "none", "updated_at": stamp("2026-01-01")}, True),
}


@pytest.fixture(scope="module")
def unread(tmp_path_factory):
    home, good, bad = new_home(tmp_path_factory.mktemp("unread") / "home"), Market("g"), Market("b")
    for n, (said, _) in enumerate(MISTAKES.values()):
        good.member(f"m{n}").consent(f"m{n}", f"d{n}", "granted", GRANTED).event(f"e{n}", f"m{n}", f"d{n}", EVENT)
        if said is not None:
            row = {"consent_id": f"bad{n}", "member_id": f"m{n}", "device_id": f"d{n}", "kind": "analytics_cookies", "decision": "withdrawn",
                   "recorded_at": stamp(LATER), "method": "banner_button", "policy_version": "2014-2", "user_agent": "kqxagent"}
            bad.add("consents", **row | said)
    for n, (said, _) in enumerate(STATES.values()):
        good.member(f"s{n}")
        bad.member(f"s{n}", **{"updated_at": stamp(LATER), "about": "kqxabout"} | said)
    good.load(home, LOADED)
    loaded = bad.load(home, LOADED)
    assert (loaded["consents"]["quarantined"], loaded["members"]["quarantined"]) == (len(MISTAKES) - 2, len(STATES))
    return home, fill_zone(home, "analytics", LOADED)


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_decision_with_a_mistake_in_it_is_no_consent(unread, sentence):
    n = list(MISTAKES).index(sentence)
    assert (f"e{n}" in marks(unread[0], "analytics")) == MISTAKES[sentence][1]


@pytest.mark.parametrize("sentence", STATES)
def test_a_newer_state_that_may_say_that_the_member_left_keeps_them_out(unread, sentence):
    n = list(STATES).index(sentence)
    assert (f"s{n}" in members_in(unread[0], "analytics")) == STATES[sentence][1]


def test_who_is_out_for_it_is_counted(unread):
    assert unread[1].members["unread_state"] == sum(not may for _, may in STATES.values())


def test_once_mended_only_what_the_good_row_says_counts(unread, tmp_path):
    home = copy_home(unread[0], tmp_path / "home")
    [record] = [json.loads(r) for (r,) in raw(home, "consents", "record", "quarantine") if '"m1"' in r]
    market = Market("x").member("s0", updated_at=stamp("2026-02-11"))
    market.add("consents", **record | {"decision": "granted"})
    market.load(home, "2026-02-12")
    fill_zone(home, "analytics", "2026-02-12")
    assert "e1" in marks(home, "analytics") and "e4" not in marks(home, "analytics")
    assert "s0" in members_in(home, "analytics") and "s1" not in members_in(home, "analytics")


def test_when_quarantine_ends_only_the_words_that_refuse_stay_and_they_still_do(unread, tmp_path):
    home = copy_home(unread[0], tmp_path / "home")
    before = {(data, record) for data in ("consents", "members") for (record,) in raw(home, data, "record", "quarantine")}
    assert any("kqxagent" in record for _, record in before) and any("kqxabout" in record for _, record in before)
    run_retention(home, "2026-03-13")
    after = {data: [json.loads(r) for (r,) in raw(home, data, "record", "quarantine")] for data in ("consents", "members")}
    assert {frozenset(record) for record in after["consents"]} == {frozenset(("consent_id", "member_id", "device_id", "kind", "recorded_at"))}
    assert {frozenset(record) for record in after["members"]} == {frozenset(("member_id", "updated_at", "deleted_at", "age_confirmed", "birthday"))}
    assert {r["member_id"] for r in after["consents"] if r["member_id"]} == {f"m{n}" for n, s in enumerate(MISTAKES) if s not in (
        "nobody's", "a decision that is none, by a device without a member", "without a mistake", "no decision at all")}
    fill_zone(home, "analytics", "2026-03-13 12:00")
    assert marks(home, "analytics") == {f"e{n}" for n, (_, may) in enumerate(MISTAKES.values()) if may}
    assert {m for m in members_in(home, "analytics") if m.startswith("s")} == {f"s{n}" for n, (_, may) in enumerate(STATES.values()) if may}
    run_retention(home, "2026-03-14")
    assert len(raw(home, "consents", "record", "quarantine")) == len(after["consents"])  # nothing changes any more
