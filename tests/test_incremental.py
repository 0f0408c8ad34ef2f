"""A zone that is carried on from build to build is exactly the zone that one build makes from nothing, compared by hash over all rows.

One small market lives through what happens to a platform, a step at a time: each step is built twice, once carried on and once whole in a copy of
the home (with the same salts), and the step says whether the carrying on could be done, or must not be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import pytest
from small_market import Market, at, contents, copy_home, fill_zone, new_home, pseudonyms, query, run_retention, stamp, zone, zone_hash

from pipelines.evidence import ledger
from pipelines.keys.keyring import Keyring, domain_key, zone_key
from pipelines.lake.purge import purge, rows_to_rewrite
from pipelines.lake.store import opened, purpose_lake, raw_lake
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation import increment, run
from pipelines.pseudonymisation.state import table
from pipelines.retention.apply import apply_plan
from pipelines.retention.plan import make_plan
from pipelines.workflows import requests
from pipelines.workflows.ingest import ingest_files
from pipelines.workflows.quarantine import replay
from pipelines.workflows.rules import rules

BOOK = rules()
FIRST = "2026-02-10"
MEMBERS = ("a", "b", "c", "e", "f", "g")
LINE = '192.0.2.7 - {} [{} +0100] "GET /offre/1 HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux)"'


def start(home) -> None:
    """Six members, two of whom share a device, a visitor, and events of a year: some are due soon, some lose their times."""
    market, early = Market("start"), Market("early")
    for member in MEMBERS:
        market.member(member, birthday="1990-01-01", gender="female", postcode="75001")
    for device in ("d1", "d2", "d3", "v1"):
        early.consent(None, device, "granted", "2025-01-20", "analytics_cookies").consent(None, device, "granted", "2025-01-20", "functional_cookies")
        market.consent(None, device, "granted", "2026-01-20").consent(None, device, "granted", "2026-01-20", "functional_cookies")
        market.consent(None, device, "granted", "2026-01-20", "targeting_cookies")
    for member in MEMBERS:
        market.consent(member, None, "granted", "2026-01-01", "log_profiling", method="settings_page").line(member, "2026-02-05 10:00")
        market.post(f"p-{member}", member, when="2026-01-10 10:00")
    for n, when in enumerate(("2025-01-25 10:00", "2025-02-01 12:00", "2025-06-01 10:00", "2025-12-24 23:30")):
        early.event(f"old {n}", "a", "d1", when, page="/aide", user_agent="curl/8")
    for n, when in enumerate(("2026-01-13 09:00", "2026-01-22 10:00", "2026-01-22 23:59", "2026-02-05 10:00", "2026-02-09 10:00")):
        for member, device in (("a", "d1"), ("b", "d1"), ("b", "d2"), ("c", "d3"), (None, "v1"), ("ghost", "d2"), ("f", "d2"), ("g", "d3")):
            for cookie in ("analytics", "targeting"):
                market.event(f"{cookie} {n}", member, device, when, cookie, page="/offre/1", user_agent="curl/8")
    early.load(home, "2025-12-26")
    market.load(home, FIRST)


def build_both(home, purpose: str, as_of: str, rulebook: Rulebook | None = None, name: str = "copy"):
    """Carry the zone on, and make it whole in a copy: the result of the first, and both hashes."""
    result = fill_zone(home, purpose, as_of, rulebook)
    again = copy_home(home, home.root.with_name(f"{home.root.name}-{name}"))  # afterwards: who came now was given a salt
    fill_zone(again, purpose, as_of, rulebook, whole=True)
    return result, zone_hash(home, purpose), zone_hash(again, purpose)


@dataclass(frozen=True)
class Step:
    """What happens before the build of `as_of`; `carried`: whether the zone may be carried on over it."""

    as_of: str
    happens: Callable[[object], object]
    carried: bool = True


def nothing(_home) -> None:
    pass


def market(name: str, when: str, make: Callable[[Market], Market], door: bool = True) -> Callable[[object], object]:
    return lambda home: make(Market(name)).load(home, when, door)


def unfinished(home, text: str, when: str) -> None:
    path = home.root.with_name("growing.log")
    path.write_text(text)
    ingest_files(home, "access_logs", [str(path)], at(when))


def held_back(home) -> None:
    """A row that stood in quarantine comes in after the rule was mended: here by correcting it."""
    path = home.root.with_name("mend.ndjson")
    path.unlink(missing_ok=True)
    from pipelines.workflows.quarantine import write

    write(home, "usage_events", path, at("2026-02-16"))
    path.write_text(path.read_text().replace("nonsense", "item_view"))
    replay(home, "usage_events", at("2026-02-16"), corrected=path)


def retention_and_build(home) -> None:
    """A retention run as it is where the purpose has a mart, but for dbt."""
    home.mart("analytics").touch()
    plan = make_plan(home, BOOK, at("2026-02-17"))
    assert {(e["dataset"], e["action"]) for e in plan["datasets"] if e["zone"] == "raw" and e["due"]} >= {
        ("usage_events", "delete withdrawn"), ("usage_events", "empty occurred_at")}
    facts = {"hash": plan["hash"], "datasets": []}
    apply_plan(home, BOOK, plan, begun=lambda _: ledger.append(home, "retention begun", at("2026-02-17"), facts))
    ledger.append(home, "retention", at("2026-02-17"), facts)
    home.mart("analytics").unlink()
    assert query(home, "raw", "select count(*) from lake.main.usage_events where item_category = 'analytics 4' and member_id = 'b'") == [(1,)]


def widened() -> Rulebook:
    older, newer = BOOK.policy.versions
    return replace(BOOK, policy=replace(BOOK.policy, versions=(older, replace(newer, since=date(2014, 6, 2)))))


HALF = LINE.format("a", "14/Feb/2026:10:00:00")
STEPS = {
    "nothing happens, and the same instant again": Step(FIRST, nothing),
    "a new day": Step("2026-02-11", market("n1", "2026-02-11", lambda m: m.event("new", "a", "d1", "2026-02-10 10:00")
                                           .event("new", None, "v1", "2026-02-10 11:00").line("b", "2026-02-10 12:00"))),
    "events of many days come late, and one of tomorrow": Step("2026-02-12", market("n2", "2026-02-11 20:00", lambda m: m.event(
        "late", "c", "d3", "2026-01-25 10:00").event("late", "b", "d2", "2026-02-01 10:00").event("soon", "a", "d1", "2026-02-12 09:00"))),
    "time passes over an event that lay after the build; a day loses its times, and what rests on a grant in its course": Step("2026-02-13", nothing),
    "a withdrawal on a shared device": Step("2026-02-13 12:00", market("n3", "2026-02-13 10:00", lambda m: m.consent(
        "b", "d1", "withdrawn", "2026-02-13 09:00"))),
    "a refusal in the account; a device no longer known to be the member's; a consent that events waited for": Step("2026-02-14 12:00", lambda home: (
        Market("n6").event("waits", "e", "d9", "2026-02-13 10:00").load(home, "2026-02-13 15:00"),
        Market("n4").consent("c", None, "withdrawn", "2026-02-13 19:00").consent(
            "c", None, "withdrawn", "2026-02-13 19:00", "log_profiling", method="settings_page").consent(
            "b", "d2", "withdrawn", "2026-02-14 04:00", "functional_cookies").consent(
            "e", "d9", "granted", "2026-02-13 09:00").load(home, "2026-02-14 08:00"))),
    "an objection; an account is deleted, and one comes of which events were there": Step("2026-02-14 14:00", lambda home: (
        requests.open_request(home, "objection", "f", "analytics", at("2026-02-14 12:30")),
        Market("n8").member("e", deleted_at=stamp("2026-02-14 13:00"), updated_at=stamp("2026-02-14 13:00")).member("ghost").load(
            home, "2026-02-14 13:30"))),
    "a log is read in the middle of a line": Step("2026-02-15", lambda home: unfinished(home, f"{HALF}\n{HALF[:-9]}", "2026-02-15")),
    "the line is finished": Step("2026-02-15 12:00", lambda home: unfinished(home, f"{HALF}\n{HALF}\n", "2026-02-15 11:00")),
    "a row comes in from quarantine": Step("2026-02-16", lambda home: (
        Market("n9").event("bad", "a", "d1", "2026-02-15 10:00", event_type="nonsense").load(home, "2026-02-16"), held_back(home))),
    "retention runs, and takes days, values and withdrawn rows out of raw; the mart is made anew after it": Step("2026-02-17", retention_and_build),
    "retention runs, and no mart is made anew": Step("2026-02-21", lambda home: run_retention(home, "2026-02-21"), False),
    "a grant runs out, a day is due": Step("2026-02-25", nothing),
    "a build of an earlier day": Step("2026-02-24", nothing, False),
    "a day again": Step("2026-02-26", market("n10", "2026-02-26", lambda m: m.event("again", "a", "d1", "2026-02-25 10:00"))),
    "retention runs for a later day than the build's": Step("2026-02-27", lambda home: run_retention(home, "2026-03-20"), False),
}


@pytest.fixture(scope="module", autouse=True)
def however_many_changed():
    """Of so few members, any change is a change of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(increment, "MOST", 0)
        yield


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    home = new_home(tmp_path_factory.mktemp("lived") / "home")
    start(home)
    fill_zone(home, "analytics", FIRST)
    told = {}
    for number, (name, step) in enumerate(STEPS.items()):
        step.happens(home)
        told[name] = build_both(home, "analytics", step.as_of, name=str(number))
    return home, told


@pytest.mark.parametrize("name", STEPS)
def test_after(lived, name):
    _, told = lived
    result, carried, whole = told[name]
    assert carried == whole
    assert ({"usage_events", "access_logs"} & set(result.whole) == set()) == STEPS[name].carried, "carried on where it can be, and only there"


def test_something_came_and_went_on_the_way(lived):
    """What a test compares must have happened: rows came with a day, went with a withdrawal, and the zone is not empty."""
    _, told = lived
    assert told["a new day"][0].rows["usage_events"]["came"] == 2
    assert told["nothing happens, and the same instant again"][0].rows["usage_events"] | {"passed": 0} == {"passed": 0, "came": 0, "went": 0}
    moved = told["a withdrawal on a shared device"][0].rows["usage_events"]
    assert moved["went"] > moved["came"]
    assert told["an objection; an account is deleted, and one comes of which events were there"][0].rows["usage_events"]["came"] > 0
    assert all(told[name][1]["main.usage_events"][0] > 5 for name in STEPS)


@pytest.mark.parametrize("purpose", ["advertising", *(pytest.param(name, marks=pytest.mark.long) for name in ("improvement", "security"))])
def test_the_other_purposes_are_carried_on_as_well(tmp_path, purpose):
    home = new_home(tmp_path / "home")
    Keyring(home).make((zone_key(purpose), domain_key(purpose)))
    start(home)
    Market("sale").sale("s1", "a", "b", "2026-02-01").sale("s2", "a", "c", "2026-02-01").load(home, FIRST)
    fill_zone(home, purpose, FIRST)
    Market("next").event("new", "a", "d1", "2026-02-10 10:00", "targeting").event("new", None, "v1", "2026-02-10 10:00").consent(
        "b", "d1", "withdrawn", "2026-02-11", "targeting_cookies").sale("s3", "b", "c", "2026-02-10").load(home, "2026-02-12")
    requests.open_request(home, "objection", "c", purpose, at("2026-02-12"))
    _, carried, whole = build_both(home, purpose, "2026-02-13")
    assert carried == whole and sum(rows for rows, _ in carried.values()) > 8


def test_other_rules_and_rows_that_went_without_a_reason_make_the_zone_whole(tmp_path):
    home = new_home(tmp_path / "home")
    start(home)
    fill_zone(home, "analytics", FIRST)
    result, carried, whole = build_both(home, "analytics", FIRST, widened(), "rules")
    assert carried == whole and "usage_events" in result.whole
    fill_zone(home, "analytics", FIRST)
    with opened(raw_lake(home), "test", write=True) as connection:
        connection.execute("delete from lake.main.usage_events where member_id = 'a' and occurred_at > timestamptz '2026-02-09'")
    result, carried, whole = build_both(home, "analytics", "2026-02-11", name="gone")
    assert carried == whole and "usage_events" in result.whole
    ledger.append(home, "retention begun", at("2026-02-11"), {"hash": "0", "datasets": []})
    assert "usage_events" not in fill_zone(home, "analytics", "2026-02-12").whole


def test_when_most_of_the_members_changed_the_zone_is_made_whole(tmp_path, monkeypatch):
    home = new_home(tmp_path / "home")
    start(home)
    fill_zone(home, "analytics", FIRST)
    requests.open_request(home, "objection", "b", "analytics", at(FIRST))
    monkeypatch.setattr(increment, "MOST", 5)
    assert "usage_events" not in fill_zone(home, "analytics", FIRST).whole
    for member in ("c", "e"):
        requests.open_request(home, "objection", member, "analytics", at(FIRST))
    result, carried, whole = build_both(home, "analytics", FIRST)
    assert carried == whole and "usage_events" in result.whole


def test_the_state_names_nobody_but_by_pseudonym_and_forgets_who_leaves(lived, tmp_path):
    home, _ = lived
    known = set(pseudonyms(home, "analytics").values())
    held = {p for (p,) in query(home, "pseudonymised/analytics", "select pseudonym from lake.state.subjects")}
    members = {p for (p,) in zone(home, "analytics", "members", "pseudonym")}
    assert members <= held and held & known == members
    told = [c for c in contents(home) if c.place.startswith("zones/pseudonymised/analytics") and "state" in c.place]
    assert told and not [c for c in told if {"ghost", "d1", "v1"} & set(c.text.split())]


def test_of_a_large_zone_what_was_taken_out_leaves_the_disk_with_the_next_purge(tmp_path, monkeypatch):
    """docs/decisions/0011: a build does not write large files anew for a few rows; retention does, on the same day."""
    home = new_home(tmp_path / "home")
    start(home)
    fill_zone(home, "analytics", FIRST)
    gone = str(pseudonyms(home, "analytics")["b"])
    requests.open_request(home, "objection", "b", "analytics", at(FIRST))
    monkeypatch.setattr(run, "AT_ONCE", 0)
    fill_zone(home, "analytics", FIRST)

    def found() -> list[str]:
        return [c.place for c in contents(home) if c.place.startswith("zones/pseudonymised/analytics/data") and gone in c.text]

    assert not zone(home, "analytics", "usage_events", "*") or gone not in str(zone(home, "analytics", "usage_events", "pseudonym"))
    assert found(), "deleted, and still in the files of its days"
    with opened(purpose_lake(home, "analytics"), "test") as connection:
        assert rows_to_rewrite(connection) > 0
    purge(purpose_lake(home, "analytics"), "test")
    assert found() == []
    assert table("build") == "zone.state.build"
