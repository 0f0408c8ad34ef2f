"""What is held by consent alone: a grant at its time or three days' wait at the door, and gone with the first run after it is withdrawn
(CLAUSES, Gate; C-2.7, C-8, C-8.1, C-10.9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from house import RULES as FOLDER
from small_market import PURPOSES, Market, at, copy_home, marks, new_home, query, raw, run_retention, where_found, zone
from small_market import fill_zone as gate

from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.policy.contract_file import load_contract
from pipelines.policy.rulebook import load_rulebook
from pipelines.retention.plan import make_plan
from pipelines.workflows import holds, quarantine
from pipelines.workflows.rules import rules

NOW = "2026-03-10 12:00"
A, B, VISITOR, D1, D2, ACCOUNT = "a", "b", None, "d1", "d2", None
ANALYTICS, TARGETING = "analytics", "targeting"


def yes(who, where, when, kind="analytics_cookies", **given):
    return (who, where, "granted", when, kind), given


def no(who, where, when, kind="analytics_cookies", **given):
    return (who, where, "refused", when, kind), given


# sentence: (what was decided, events as (who, device, when, cookie, whether it comes in))
CASES = {
    "without a decision nothing is held": ([], [(A, D1, "2026-03-01", ANALYTICS, False)]),
    "necessary cookies need no consent": ([], [(A, D1, "2026-03-01", "necessary", True), (VISITOR, D1, "2026-03-01", "necessary", True)]),
    "a grant holds what comes at its instant and after it": (
        [yes(A, D1, "2026-03-01 10:00")],
        [(A, D1, "2026-03-01 09:59", ANALYTICS, False), (A, D1, "2026-03-01 10:00", ANALYTICS, True), (A, D1, "2026-03-05", ANALYTICS, True)]),
    "each cookie has a consent of its own": (
        [yes(A, D1, "2026-02-01", "targeting_cookies"), yes(A, D2, "2026-02-01", "functional_cookies")],
        [(A, D1, "2026-03-01", ANALYTICS, False), (A, D1, "2026-03-01", TARGETING, True), (A, D2, "2026-03-01", "functional", True),
         (A, D2, "2026-03-01", TARGETING, False)]),
    "the last decision before the event counts": (
        [yes(A, D1, "2026-02-01"), no(A, D1, "2026-02-10"), yes(A, D1, "2026-02-20")],
        [(A, D1, "2026-02-05", ANALYTICS, True), (A, D1, "2026-02-15", ANALYTICS, False), (A, D1, "2026-02-25", ANALYTICS, True)]),
    "at one instant the no outweighs": ([yes(A, D1, "2026-02-01"), no(A, D1, "2026-02-01")], [(A, D1, "2026-03-01", ANALYTICS, False)]),
    "a grant covers its device": ([yes(A, D1, "2026-02-01")], [(A, D2, "2026-03-01", ANALYTICS, False)]),
    "a grant of A covers A, and nobody else who is logged in": (
        [yes(A, D1, "2026-02-01")], [(A, D1, "2026-03-01", ANALYTICS, True), (B, D1, "2026-03-01", ANALYTICS, False),
                                     (VISITOR, D1, "2026-03-01", ANALYTICS, True)]),
    "a visitor's grant covers whoever is on the device": (
        [yes(VISITOR, D1, "2026-02-01")], [(A, D1, "2026-03-01", ANALYTICS, True), (VISITOR, D1, "2026-03-01", ANALYTICS, True)]),
    "anybody's no on the device covers all of it": (
        [yes(A, D1, "2026-02-01"), no(B, D1, "2026-02-20")], [(A, D1, "2026-02-10", ANALYTICS, True), (A, D1, "2026-03-01", ANALYTICS, False)]),
    "a no in the account covers every device of the member, and no visitor": (
        [yes(VISITOR, D1, "2026-02-01"), no(A, ACCOUNT, "2026-02-20", method="settings_page")],
        [(A, D1, "2026-03-01", ANALYTICS, False), (B, D1, "2026-03-01", ANALYTICS, True), (VISITOR, D1, "2026-03-01", ANALYTICS, True)]),
    "a yes in the account opens no device": ([yes(A, ACCOUNT, "2026-02-01")], [(A, D1, "2026-03-01", ANALYTICS, False)]),
    "a grant runs out 13 months after its day": (
        [yes(A, D1, "2025-01-31")], [(A, D1, "2026-02-27", ANALYTICS, True), (A, D1, "2026-02-28 00:00", ANALYTICS, False)]),
    "browsing on is no consent": ([yes(A, D1, "2026-02-01", method="continued_browsing")], [(A, D1, "2026-03-01", ANALYTICS, False)]),
    "nor is one under a policy that nobody knows": ([yes(A, D1, "2026-02-01", policy_version="1999-1")], [(A, D1, "2026-03-01", ANALYTICS, False)]),
    "a no that stands in quarantine is one": (
        [yes(A, D1, "2026-02-01"), no(A, D1, "2026-02-20", policy_version="")],
        [(A, D1, "2026-02-10", ANALYTICS, True), (A, D1, "2026-03-01", ANALYTICS, False)]),
    "without its time it is one at every time": (
        [yes(A, D1, "2026-02-01"), no(A, D1, "2026-02-20", recorded_at="hier")], [(A, D1, "2026-02-10", ANALYTICS, False)]),
}


def decided(market, prefix, decisions):
    for (who, where, decision, when, kind), given in decisions:
        row = {"recorded_at": None, **given}
        stamped = row.pop("recorded_at")
        market.consent(who and f"{prefix}-{who}", where and f"{prefix}-{where}", decision, when, kind, **row)
        if stamped:
            market.rows["consents"][-1]["recorded_at"] = stamped


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """One home in which every case has members and devices of its own; the events come in the same run as the decisions, and before them by name."""
    home, market = new_home(tmp_path_factory.mktemp("door") / "home"), Market()
    for n, (decisions, events) in enumerate(CASES.values()):
        decided(market, n, decisions)
        for e, (who, device, when, cookie, _) in enumerate(events):
            market.event(f"{n}/{e}", who and f"{n}-{who}", f"{n}-{device}", when, cookie)
    return home, market.load(home, NOW)


@pytest.mark.parametrize("sentence", CASES)
def test_case(cases, sentence):
    n, events = list(CASES).index(sentence), CASES[sentence][1]
    stored = {mark for (mark,) in raw(cases[0], "usage_events", "item_category")}
    waiting = {mark for (mark,) in query(cases[0], "raw", "select record::json ->> 'item_category' from lake.quarantine.usage_events")}
    assert [f"{n}/{e}" in stored for e in range(len(events))] == [may for *_, may in events]
    assert [f"{n}/{e}" in waiting for e in range(len(events))] == [not may for *_, may in events]


def test_what_waits_is_counted_by_its_reason_and_held_back_for_it_is_no_batch(cases):
    """However much of a batch lacks consent: the file is not broken."""
    home, balances = cases
    lacking = sum(not may for _, events in CASES.values() for *_, may in events)
    assert balances["usage_events"]["reasons"] == {"consent.waiting": lacking}
    assert balances["usage_events"]["quarantined"] == lacking > 10
    assert {"dataset": "usage_events", "reason": "consent.waiting", "rows": lacking, "since": "2026-03-10"} in quarantine.list_reasons(home)


# ---------------------------------------------------------------- the wait


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """Three events of 10 March without a decision, and one of a cookie that needs none."""
    home = new_home(tmp_path_factory.mktemp("waiting") / "home")
    market = Market()
    for n, device in enumerate(("early", "late", "never")):
        market.event(f"kqx-{device}", A, device, "2026-03-10 10:00", page=f"/kqx-{device}", event_id=f"w{n}")
    market.event("needs none", A, "never", "2026-03-10 10:00", "necessary").load(home, NOW)
    return home


def stored(home):
    return {mark for (mark,) in raw(home, "usage_events", "item_category")}


def aside(home):
    return [reason for (reason,) in raw(home, "usage_events", "reason", "quarantine")]


def registered(home):
    """loaded, quarantined, refused and reasons of the batch, by the ledger's last word and by the register."""
    told = [e.facts for e in ledger.read(home) if e.act == "ingest" and e.facts["source"] == "usage_events"][-1]
    batch = query(home, "raw", "select loaded, quarantined, refused from lake.platform.batches where dataset = 'usage_events'")
    assert batch == [(told["loaded"], told["quarantined"], told["refused"])]
    return *batch[0], told["reasons"]


def test_a_grant_that_comes_late_lets_in_what_waited_for_it(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    assert registered(home) == (1, 3, 0, {"consent.waiting": 3})
    Market("x").consent(A, "early", "granted", "2026-03-10 09:00").load(home, "2026-03-11")
    assert stored(home) == {"needs none", "kqx-early"} and aside(home) == ["consent.waiting"] * 2
    assert registered(home) == (2, 2, 0, {"consent.waiting": 2})
    # the grant is younger than the event
    Market("y").consent(A, "late", "granted", "2026-03-10 11:00").load(home, "2026-03-12")
    assert stored(home) == {"needs none", "kqx-early"} and aside(home) == ["consent.waiting"] * 2


def test_on_the_third_day_what_still_waits_is_refused_and_nothing_of_it_stays(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    Market("x").member("m").load(home, "2026-03-12 23:59")
    assert aside(home) == ["consent.waiting"] * 3
    Market("y").consent(A, "early", "granted", "2026-03-10 09:00").load(home, "2026-03-13")  # with a run of that day it is still in time
    assert stored(home) == {"needs none", "kqx-early"} and aside(home) == []
    assert registered(home) == (2, 0, 2, {"consent.missing": 2})


@pytest.mark.parametrize(("day", "left"), [("2026-03-12", 3), ("2026-03-13", 0)])
def test_retention_refuses_it_where_no_run_did(waiting, tmp_path, day, left):
    home = copy_home(waiting, tmp_path / "home")
    plan = make_plan(home, rules(), at(day))
    assert sum(e["due"] for e in plan["datasets"] if (e["zone"], e["dataset"]) == ("quarantine", "usage_events")) == 3 - left
    run_retention(home, day)
    assert len(aside(home)) == left and stored(home) == {"needs none"}
    assert registered(home) == ((1, 3, 0, {"consent.waiting": 3}) if left else (1, 0, 3, {"consent.missing": 3}))
    found = where_found(home, {device: f"kqx-{device}" for device in ("early", "late", "never")})
    assert {device: bool(places) for device, places in found.items()} == dict.fromkeys(("early", "late", "never"), bool(left))


def test_the_same_event_from_another_file_waits_and_comes_in_once(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    again = Market("again").event("kqx-early", A, "early", "2026-03-10 10:00", event_id="w0").event("more", A, "early", "2026-03-10 10:00")
    assert again.load(home, "2026-03-11")["usage_events"]["reasons"] == {"consent.waiting": 2}
    Market("x").consent(A, "early", "granted", "2026-03-10 09:00").load(home, "2026-03-11 10:00")
    assert sorted(raw(home, "usage_events", "item_category")) == [("kqx-early",), ("more",), ("needs none",)]
    assert aside(home) == ["consent.waiting"] * 2


def test_a_copy_of_what_waits_does_not_begin_the_wait_anew(tmp_path):
    home = new_home(tmp_path / "home")
    for day in ("2026-03-10", "2026-03-11", "2026-03-12"):  # overlapping exports
        market = Market(f"of {day}").event("kqx-copied", A, D1, "2026-03-10 10:00", event_id="w")
        balance = market.event(f"of {day}", A, D1, f"{day} 11:00", "necessary", event_id=f"n{day}").load(home, f"{day} 12:00")["usage_events"]
        assert (balance["quarantined"], balance["already_known"]) == ((1, 0) if day == "2026-03-10" else (0, 1))
    Market("x").member("m").load(home, "2026-03-13")
    assert aside(home) == [] and "kqx-copied" not in stored(home)
    assert where_found(home, {"the event": "kqx-copied"}) == {"the event": set()}, "its values left the disk with the run that refused it"


@pytest.mark.parametrize("time", ["infinity", "-infinity", "epoch", "1970-01-01 00:00", "2062-01-01T00:00:00Z", "hier"])
def test_a_no_in_quarantine_whose_time_is_none_may_be_of_any_time(tmp_path, time):
    home, market = new_home(tmp_path / "home"), Market()
    market.consent(A, D1, "granted", "2026-02-01").consent(A, D1, "withdrawn", "2026-02-02")
    market.rows["consents"][-1]["recorded_at"] = time
    market.consent(A, D2, "granted", "2026-02-01")
    market.event("after it", A, D1, "2026-03-01").event("on another device", A, D2, "2026-03-01").load(home, NOW)
    assert stored(home) == {"on another device"}


def test_what_is_stored_is_known_also_when_its_consent_is_gone(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    Market("x").consent(A, "early", "granted", "2026-03-10 09:00").load(home, "2026-03-11")
    with_it = Market("z").event("kqx-early", A, "early", "2026-03-10 10:00", event_id="w0", user_agent="another")
    broken = Market("n").consent(A, "early", "withdrawn", "2026-03-10 09:30", policy_version="")  # set aside: a no
    broken.load(home, "2026-03-11")
    balance = with_it.load(home, "2026-03-11")["usage_events"]
    assert (balance["already_known"], balance["quarantined"]) == (1, 0)


def test_a_consent_mended_in_quarantine_lets_in_what_waited_for_it(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    Market("x").consent(A, "early", "granted", "2026-03-10 09:00", policy_version="").load(home, "2026-03-11")
    assert stored(home) == {"needs none"}
    file = tmp_path / "corrections.ndjson"
    quarantine.write(home, "consents", file, at("2026-03-11"))
    file.write_text(file.read_text().replace('"policy_version":null', '"policy_version":"2014-2"').replace('"policy_version":""',
                                                                                                             '"policy_version":"2014-2"'))
    assert quarantine.replay(home, "consents", at("2026-03-11"), corrected=file)[0]["loaded"] == 1
    assert stored(home) == {"needs none", "kqx-early"}


def test_what_was_set_aside_for_a_mistake_waits_for_its_consent_when_that_is_mended(tmp_path):
    home = new_home(tmp_path / "home")
    Market().event("kqx-mended", A, D1, "2026-03-10 10:00", event_type="nonsense").load(home, NOW)
    file = tmp_path / "corrections.ndjson"
    quarantine.write(home, "usage_events", file, at(NOW))
    file.write_text(file.read_text().replace("nonsense", "search"))
    assert quarantine.replay(home, "usage_events", at("2026-03-12"), corrected=file)[0] == {
        "source": "usage_events", "replayed": 1, "loaded": 0, "quarantined": 1, "refused": 0, "already_known": 0}
    assert aside(home) == ["consent.waiting"]
    # its three days began when it came, not when it was mended
    assert quarantine.replay(home, "usage_events", at("2026-03-13"))[0]["refused"] == 1
    assert aside(home) == [] and stored(home) == set()
    assert where_found(home, {"the event": "kqx-mended"}) == {"the event": set()}


# ---------------------------------------------------------------- places (C-2.7)


def place(market, device, when, latitude="48.85", member=None):
    return market.add("locations", device_id=device, member_id=member, latitude=latitude, longitude="2.35", origin="gps", fixed_at=f"{when}:00+01:00")


def test_a_place_without_a_grant_takes_no_older_ones_place(tmp_path):
    home, market = new_home(tmp_path / "home"), Market()
    market.consent(None, D1, "granted", "2026-03-01", "location").consent(None, D1, "withdrawn", "2026-03-10 08:00", "location")
    place(place(place(market, D1, "2026-03-10T07:00", "1.00"), D1, "2026-03-10T09:00", "2.00"), D2, "2026-03-10T09:00", "3.00")
    balance = market.load(home, NOW)["locations"]
    assert (balance["loaded"], balance["reasons"]) == (1, {"consent.waiting": 2})
    assert [str(latitude) for (latitude,) in raw(home, "locations", "latitude")] == ["1.00"]


# ---------------------------------------------------------------- withdrawn since (Gate, C-2.7, C-10.9)

STAYS = ("b on another device", "granted again", "by another cookie", "needs none", "held")


@pytest.fixture(scope="module")
def withdrawn(tmp_path_factory):
    home, market = new_home(tmp_path_factory.mktemp("withdrawn") / "home"), Market()
    for member in (A, B):
        market.member(member)
    for device in (D1, D2):
        for kind in ("analytics_cookies", "targeting_cookies", "functional_cookies", "location"):
            market.consent(None, device, "granted", "2026-02-01", kind)
    for mark, member, device, when, cookie in (
            ("a on the device", A, D1, "2026-03-01", "analytics"), ("b on the device", B, D1, "2026-03-01", "analytics"),
            ("visitor on the device", None, D1, "2026-03-01", "analytics"), ("b on another device", B, D2, "2026-03-01", "analytics"),
            ("a on another device", A, D2, "2026-03-01", "targeting"), ("granted again", B, D1, "2026-03-08", "analytics"),
            ("by another cookie", B, D1, "2026-03-01", "targeting"), ("needs none", A, D1, "2026-03-01", "necessary"),
            ("held", A, D1, "2026-03-01", "analytics")):
        market.event(mark, member, device, when, cookie, event_id=mark.replace(" ", "-"), page=f"/kqx/{mark.replace(' ', '-')}")
    market.consent(None, D1, "granted", "2026-03-09", "location")
    place(place(market, D1, "2026-03-09T10:00", "1.00"), D2, "2026-03-09T10:00", "2.00", B)
    market.load(home, "2026-03-09 12:00")
    market.line(A, "2026-03-05 10:00").line(A, "2026-03-08 10:00").line(B, "2026-03-05 10:00")
    for member in (A, B):
        market.consent(member, None, "granted", "2026-02-01", "log_profiling", method="settings_page")
    market.load(home, "2026-03-09 12:00")
    for purpose in PURPOSES:
        gate(home, purpose, "2026-03-09 12:00")
    assert marks(home, "analytics") == {"a on the device", "b on the device", "visitor on the device", "b on another device", "granted again", "held"}
    assert marks(home, "advertising") == {"a on another device", "by another cookie"}
    holds.place(home, "usage_events", "held", "dispute 7", at("2026-09-09").date(), at("2026-03-09"))
    # the withdrawals: of the device by whoever it was, of A in the account for every device
    later = Market("l").consent(None, D1, "withdrawn", "2026-03-05").consent(B, D1, "granted", "2026-03-06")
    later.consent(A, None, "withdrawn", "2026-03-09 18:00", "targeting_cookies", method="settings_page")
    later.consent(None, D1, "withdrawn", "2026-03-09 11:00", "location")
    later.consent(A, None, "withdrawn", "2026-03-06", "log_profiling", method="settings_page")
    later.load(home, "2026-03-09 20:00")
    return home


def test_what_rests_on_a_withdrawn_consent_leaves_with_the_next_run_and_nothing_else(withdrawn, tmp_path):
    home = copy_home(withdrawn, tmp_path / "home")
    plan = make_plan(home, rules(), at("2026-03-09 21:00"))
    told = {(e["zone"], e["dataset"], e["rule"]): (e["due"], e["held"]) for e in plan["datasets"] if e["action"] == "delete withdrawn" and e["due"]}
    assert told == {("raw", "locations", "C-2.7"): (1, 0), ("raw", "usage_events", "C-8"): (4, 1),
                    ("pseudonymised/analytics", "usage_events", "C-8"): (4, 0), ("pseudonymised/analytics", "access_logs", "C-2.1"): (1, 0),
                    ("pseudonymised/advertising", "usage_events", "C-8"): (1, 0)}
    run_retention(home, "2026-03-09")
    assert stored(home) == set(STAYS)
    assert [str(latitude) for (latitude,) in raw(home, "locations", "latitude")] == ["2.00"]
    found = where_found(home, {mark: f"/kqx/{mark.replace(' ', '-')}" for mark in (*STAYS, "a on the device", "visitor on the device")})
    assert {mark for mark, places in found.items() if places} == set(STAYS)
    assert marks(home, "analytics") == {"b on another device", "granted again"} and marks(home, "advertising") == {"by another cookie"}
    assert sorted(day for (day,) in zone(home, "analytics", "access_logs", "paris_day")) == [date(2026, 3, 5), date(2026, 3, 8)]
    assert len(raw(home, "access_logs")) == 3, "held for security, on another ground"
    assert not any(e["due"] for e in make_plan(home, rules(), at("2026-03-09"))["datasets"])


def test_in_whatever_order_the_words_about_it_come_the_same_rows_are_left(tmp_path):
    """A refusal from before the event that comes after it, and one at its very instant."""
    home, market = new_home(tmp_path / "home"), Market()
    for device in ("before", "instant", "again", "other"):
        market.consent(None, device, "granted", "2026-02-01").event(device, None, device, "2026-03-08 10:00")
    market.load(home, "2026-03-09")
    late = Market("l").consent(B, "before", "refused", "2026-02-15").consent(None, "instant", "withdrawn", "2026-03-08 10:00")
    late.consent(None, "again", "withdrawn", "2026-02-15").consent(None, "again", "granted", "2026-02-16").load(home, "2026-03-10")
    assert stored(home) == {"before", "instant", "again", "other"}
    run_retention(home, "2026-03-10")
    assert stored(home) == {"again", "other"}


def test_a_run_of_the_day_before_the_withdrawal_leaves_it(withdrawn):
    told = {e["dataset"]: e["due"] for e in make_plan(withdrawn, rules(), at("2026-03-08"))["datasets"]
            if (e["zone"], e["action"]) == ("raw", "delete withdrawn")}
    assert told == {"locations": 0, "usage_events": 3}  # what was withdrawn on the 5th


# ---------------------------------------------------------------- the rule itself


def contract_with(tmp_path, old, new):
    path = tmp_path / "usage_events.odcs.yaml"
    text = (FOLDER / path.name).read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(("old", "new", "told"), [
    ("targeting: targeting_cookies}", "}", "'targeting' is missing"),
    ("targeting: targeting_cookies}", "targeting: cookies}", "targeting 'cookies' is unknown. Known: analytics_cookies"),
    ("targeting: targeting_cookies}", "targeting: targeting_cookies, other: none}", "'other' is unknown"),
    ("kind: {cookie_category: {", "kind: {page: {", "'page' is unknown. Known: cookie_category, event_type"),
])
def test_a_contract_says_for_each_value_what_it_rests_on(tmp_path, old, new, told):
    with pytest.raises(Refused, match=told):
        load_contract(contract_with(tmp_path, old, new), rules().policy)


def folder_with(tmp_path, name, old, new):
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert path.name != name or text.count(old) == 1
        (tmp_path / path.name).write_text(text.replace(old, new) if path.name == name else text)
    return tmp_path


@pytest.mark.parametrize(("name", "old", "new", "told"), [
    ("locations.odcs.yaml", "      - {property: device, value: device_id}\n", "", "given per device, so it names a 'device'"),
    ("offers.odcs.yaml", "holding, value: {basis: contract, clause: C-2.4", "holding, value: {basis: consent, kind: location, clause: C-2.7",
     "given per device, so it names a 'device'"),
    ("transactions.odcs.yaml", "holding, value: {basis: contract, clause", "holding, value: {basis: consent, kind: log_profiling, clause",
     "names a required 'clock' and one subject"),
    ("usage_events.odcs.yaml", "analytics: {use: device, as: device_key}, ", "",
     "enters purpose 'analytics' under analytics_cookies, which is given per device, so its device enters as device or keyed_hash"),
    ("policy.yaml", "usage:        {basis: consent, kind: targeting_cookies,", "usage:        {basis: consent, kind: analytics_cookies,",
     "advertising.sources.usage asks for analytics_cookies where usage_events.odcs.yaml holds those rows by targeting_cookies"),
])
def test_rules_that_do_not_fit_together_are_refused(tmp_path, name, old, new, told):
    with pytest.raises(Refused, match=told):
        load_rulebook(folder_with(tmp_path, name, old, new))


def test_a_consent_that_a_member_gives_holds_the_members_rows_on_every_device(tmp_path, monkeypatch):
    """No dataset of today is held so; a contract may say it."""
    book = rules()
    events = book.contract("usage_events")
    other = replace(book, contracts={**book.contracts, "usage_events": replace(events, holding=replace(
        events.holding, kinds=dict.fromkeys(events.holding.kinds, "email_marketing")))})
    monkeypatch.setattr("pipelines.workflows.ingest.rules", lambda: other)
    home, market = new_home(tmp_path / "home"), Market()
    market.consent(A, None, "granted", "2026-02-01", "email_marketing").consent(B, D2, "granted", "2026-02-01", "email_marketing")
    for mark, member, device in (("a", A, D1), ("b", B, D1), ("nobody", None, D2)):
        market.event(mark, member, device, "2026-03-01")
    market.load(home, NOW)
    assert stored(home) == {"a", "b"}


def test_what_a_killed_retention_did_not_enter_in_the_ledger_the_next_one_does(waiting, tmp_path):
    home = copy_home(waiting, tmp_path / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.retention.apply.write_down", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_retention(home, "2026-03-13")
    told = [e.facts for e in ledger.read(home) if e.act == "ingest" and e.facts["source"] == "usage_events"][-1]
    assert told["refused"] == 0 and aside(home) == []
    run_retention(home, "2026-03-14")
    assert registered(home) == (1, 0, 3, {"consent.missing": 3})
