"""A whole simulated marketplace, ingested, gated, run through retention and exported, against what the simulation says it must yield.

The truth is computed by `pipelines/simulation/truth`, which shares no code with the product. Here the two are compared, number by number; a
difference is a mistake in one of them, and the clause says in which.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from house import kampeky
from small_market import (
    PURPOSES,
    at,
    copy_home,
    device_key,
    fill_zone,
    lake,
    new_home,
    pseudonyms,
    run_retention,
    zone,
)

from pipelines.eligibility.members import judge_members
from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.home import Home
from pipelines.identity.vault import attach_vault
from pipelines.lake.store import opened, raw_lake
from pipelines.retention.scope import mark_due_accounts, raw_targets, statements
from pipelines.retention.stores import all_stores, existing
from pipelines.rights.portability import export_member
from pipelines.simulation.truth import days, door
from pipelines.simulation.truth.consents import Decision, Register
from pipelines.simulation.truth.datasets import DATASETS
from pipelines.workflows import holds, requests
from pipelines.workflows.ingest import ingest_folder
from pipelines.workflows.rules import rules
from pipelines.workflows.simulate import simulate

pytestmark = pytest.mark.long
MEMBERS, DAYS, SEED, END = 1000, 40, 6, date(2026, 3, 1)
AS_OF = at(END.isoformat())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth") / "source"
    simulate(folder, MEMBERS, DAYS, SEED, END, truth=True)
    return folder


@pytest.fixture(scope="module")
def truth(out: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "truth").glob("*.json")}


@pytest.fixture(scope="module")
def market(out: Path) -> door.Market:
    """What the oracle itself worked with: the files with each row's outcome."""
    return door.receive(out, END)


@pytest.fixture(scope="module")
def loaded(out: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, dict]]:
    """The home as it is after ingestion and after what was done by command, and the balances."""
    home = new_home(tmp_path_factory.mktemp("truth") / "home")
    balances = {balance["source"]: balance for balance in ingest_folder(home, out, AS_OF)}
    for act in acts(out):
        if act["act"] == "hold":
            holds.place(home, act["dataset"], act["key"], act["reason"], date.fromisoformat(act["review_on"]), at(act["at"]))
        else:
            requests.open_request(home, act["act"], act["member_id"], act["purpose"], at(act["at"]))
    return home, balances


def acts(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "truth" / "acts.ndjson").read_text().splitlines()]


@pytest.fixture(scope="module")
def home(loaded: tuple[Home, dict]) -> Home:
    return loaded[0]


# ---------------------------------------------------------------- the door


def compared(balance: dict) -> dict[str, int]:
    """The balance in the words of the truth."""
    found = {name: balance[name] for name in ("read", "loaded", "already_known", "quarantined", "refused")}
    return found | {"waiting": balance["reasons"].get("consent.waiting", 0)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_balance_of_a_dataset_is_the_true_one(loaded, truth, dataset):
    assert compared(loaded[1][dataset]) == truth["ingest"][dataset]


def test_what_has_no_grant_waits_for_one_and_nothing_else_does(truth):
    assert {name for name, told in truth["ingest"].items() if told["waiting"]} == {"usage_events", "locations"}


# ---------------------------------------------------------------- the gate


@pytest.fixture(scope="module")
def zones(home: Home) -> dict[str, Any]:
    return {purpose: fill_zone(home, purpose, AS_OF) for purpose in PURPOSES}


@pytest.fixture(scope="module")
def source(out: Path, market: door.Market) -> dict[str, dict[str, dict]]:
    """Events and posts as they were written, by their ids."""
    events = {str(row["event_id"]): row for row in parquet.read_table(out / "usage_events" / "usage_events.parquet").to_pylist()}
    posts = {str(record["post_id"]): record.values | {"day": record.day} for record in market.stored("forum_posts")}
    return {"usage_events": events, "forum_posts": posts}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_member_is_in_or_out_for_the_true_reason(home, truth, zones, purpose):
    wanted = truth["gate"]["purposes"][purpose]
    with opened(raw_lake(home), "test") as connection:
        attach_vault(connection, home, write=False)
        judge_members(connection, rules(), rules().policy.purpose(purpose), AS_OF)
        found = dict(connection.execute("select member_id, verdict from gate_members").fetchall())
    assert found == dict.fromkeys(wanted["eligible"], "eligible") | wanted["not_eligible"]
    assert {"account_deleted", "unknown_age", "objected", "restricted"} == set(wanted["not_eligible"].values())
    in_zone = {member for member, *_ in members_of(home, purpose, zone(home, purpose, "members", "pseudonym"))}
    assert in_zone == set(wanted["eligible"])


def members_of(home: Home, purpose: str, rows: list[tuple]) -> Iterator[tuple]:
    """The rows of a zone with the member (a visitor has none) in place of the pseudonym that stands first."""
    names = {value: member for member, value in pseudonyms(home, purpose).items()} | {None: None}
    return ((names[first], *rest) for first, *rest in rows)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_exactly_the_true_events_enter(home, truth, zones, source, market, purpose):
    wanted = truth["gate"]["purposes"][purpose]["usage_events"]
    rows = zone(home, purpose, "usage_events", "pseudonym, device_key, paris_day, event_type, item_category")
    events = [source["usage_events"][event] for event in wanted]

    def tied(event: dict) -> uuid.UUID | None:
        """The device: of a member from functional consent on and for as long as that runs (C-8); of a visitor a key of its own."""
        device, member = event["device_id"], event["member_id"]
        if member is None:
            return device_key(home, purpose, device)
        grants = market.register.unbroken("functional_cookies", device, member, event["occurred_at"], AS_OF)
        return device_key(home, purpose, device, member) if grants else None

    expected = Counter((e["member_id"], tied(e), door.paris_day(e["occurred_at"]), e["event_type"], e["item_category"]) for e in events)
    assert Counter(members_of(home, purpose, rows)) == expected
    assert len(wanted) > 500
    assert len({key for _, key, *_ in expected}) > 50


@pytest.mark.parametrize("purpose", PURPOSES)
def test_exactly_the_true_posts_enter(home, truth, zones, source, purpose):
    rows = zone(home, purpose, "forum_posts", "pseudonym, paris_day, forum_category")
    posts = [source["forum_posts"][post] for post in truth["gate"]["purposes"][purpose]["forum_posts"]]
    assert Counter(members_of(home, purpose, rows)) == Counter((p["author_id"], p["day"], p["forum_category"]) for p in posts)
    assert len(posts) > 200


def test_exactly_the_true_log_lines_enter(home, truth, zones):
    wanted = truth["gate"]["purposes"]["analytics"]["access_logs"]
    rows = zone(home, "analytics", "access_logs", "pseudonym, paris_day")
    assert Counter(f"{member} {day}" for member, day in members_of(home, "analytics", rows)) == wanted
    assert sum(wanted.values()) > 50
    assert truth["gate"]["purposes"]["advertising"]["access_logs"] == {}


# ---------------------------------------------------------------- retention


def left(connection: Connection, wanted: dict[str, dict]) -> dict[str, dict]:
    """What is left in raw, counted as the truth counts it."""
    found = {}
    for name, told in wanted.items():
        columns = [*told["values"], *told["people"]]
        sql = f"select count(*) {''.join(f', count({column})' for column in columns)} from lake.main.{name}"
        rows, *counts = connection.execute(sql).fetchall()[0]
        values = dict(zip(columns, counts, strict=True))
        found[name] = {"rows": rows, "values": {c: values[c] for c in told["values"]}, "people": {c: values[c] for c in told["people"]}}
    return found


@pytest.fixture(scope="module")
def runs(home: Home, truth, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What is left after each run, one after the other."""
    copy = copy_home(home, tmp_path_factory.mktemp("truth") / "retention")
    found = {}
    *first, last = sorted(truth["retention"])
    with all_stores(copy, rules(), "test", END, write=True) as connection:
        for day in first:  # what a run deletes from raw, without what makes it leave the disk: that takes most of its time and is tested elsewhere
            run = date.fromisoformat(day)
            mark_due_accounts(connection, rules(), run)
            for statement in statements(existing(connection, raw_targets(rules(), run))):
                connection.execute(statement)
            found[day] = left(connection, truth["retention"][day])
    run_retention(copy, last)
    with lake(copy, "raw") as connection:
        return found | {last: left(connection, truth["retention"][last])}


def test_the_runs_are_rich_enough_to_compare(truth, market):
    """Each rule removes something on some day, and leaves something."""
    days = [truth["retention"][day] for day in sorted(truth["retention"])]
    for name in DATASETS:
        rows = [len(market.stored(name)), *(day[name]["rows"] for day in days)]
        assert rows == sorted(rows, reverse=True) and rows[-1] < rows[0], name
    for name, column in (("forum_posts", "author_id"), ("messages", "sender_id"), ("messages", "recipient_id"), ("ratings", "rater_id"),
                         ("comments", "author_id")):
        assert 0 < days[-1][name]["people"][column] < days[-1][name]["rows"], (name, column)
    first, second = ({f"{name}.{column}": value for name in DATASETS for column, value in day[name]["values"].items()} for day in (days[0], days[1]))
    fewer = {column for column in first if second[column] < first[column]}
    assert min(second.values()) > 0
    assert fewer == {"consents.user_agent", "usage_events.occurred_at", "usage_events.page", "usage_events.user_agent", "verifications.phone"}


@pytest.mark.parametrize("number", range(6))
def test_after_each_run_the_true_rows_and_values_are_left(truth, runs, number):
    day = sorted(truth["retention"])[number]
    wanted = {name: {key: told[key] for key in ("rows", "values", "people")} for name, told in truth["retention"][day].items()}
    differing = [name for name in wanted if runs[day][name] != wanted[name]]
    assert {name: runs[day][name] for name in differing} == {name: wanted[name] for name in differing}


def test_in_the_end_only_what_is_held_for_a_claim_is_left_of_the_sales(out, truth):
    holds = [act for act in acts(out) if act["act"] == "hold"]
    assert truth["retention"][max(truth["retention"])]["transactions"]["rows"] == len(holds) > 3


def test_of_what_is_held_by_consent_some_rows_leave_for_its_withdrawal_alone(truth):
    first = truth["retention"][min(truth["retention"])]
    assert {name for name, told in first.items() if told["withdrawn"]} == {"usage_events", "locations"}


# ---------------------------------------------------------------- requests


def test_each_package_holds_the_true_number_of_rows(home, truth, tmp_path):
    copy = copy_home(home, tmp_path / "home")
    first, *others = truth["requests"]
    opened_request = requests.open_request(copy, "portability", first, None, AS_OF)
    packages = {first: Path(requests.process(copy, opened_request["request_id"], AS_OF)["package"])}
    packages |= {member: copy.outbox / export_member(copy, rules(), member, f"R-{member}", AS_OF) for member in others}
    assert {member: rows_in(path) for member, path in packages.items()} == truth["requests"]
    assert len(packages) == 10


def rows_in(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as package:
        return {name.removesuffix(".json"): len(json.loads(package.read(name))) for name in package.namelist()
                if name.endswith(".json") and name not in ("datapackage.json", "manifest.json")}


# ---------------------------------------------------------------- the files


def test_the_same_arguments_give_the_same_truth_and_another_seed_another(out, tmp_path):
    def files(folder: Path, seed: int) -> dict[str, bytes]:
        simulate(folder, 100, 20, seed, END, truth=True)
        return {path.name: path.read_bytes() for path in sorted((folder / "truth").iterdir())}

    first = files(tmp_path / "a", 1)
    assert first == files(tmp_path / "a", 1) == files(tmp_path / "b", 1)
    assert list(first) == ["acts.ndjson", "gate.json", "ingest.json", "requests.json", "retention.json"]
    assert not any(first[name] == content for name, content in files(tmp_path / "b", 2).items())


def test_without_asking_there_is_no_truth_and_that_of_another_marketplace_is_gone(tmp_path):
    simulate(tmp_path, 20, 5, 1, END, truth=True)
    simulate(tmp_path, 20, 5, 2, END)
    assert not (tmp_path / "truth").exists()


def test_the_command_writes_it_and_ingestion_passes_it_over(tmp_path, out, loaded):
    assert kampeky("simulate", "--members", "20", "--days", "5", "--end", END, "--truth", tmp_path / "source").code == 0
    assert set(json.loads((tmp_path / "source" / "truth" / "ingest.json").read_text())) == set(DATASETS)
    assert (out / "truth").is_dir() and set(loaded[1]) == set(DATASETS)


def test_it_holds_no_value_of_a_member_but_ids(out, truth, market):
    texts = "".join(path.read_text() for path in (out / "truth").iterdir())
    columns = ("member_name", "email", "last_name", "iban", "about", "street")
    personal = {str(member[column]) for member in market.stored("members") for column in columns if member[column]}
    assert len(personal) > 1000
    assert not [value for value in personal if json.dumps(value, ensure_ascii=False)[1:-1] in texts]


# ---------------------------------------------------------------- the oracle refuses and lets through


def told(*decisions: tuple[str, str | None, str | None, str]) -> Register:
    """(decision, member, device, when): by a button of the banner."""
    register = Register()
    register.add_all(Decision.of({"kind": "analytics_cookies", "member_id": member, "device_id": device, "decision": decision,
                                  "method": "banner_button", "policy_version": "2014-2"}, at(when)) for decision, member, device, when in decisions)
    return register


@pytest.mark.parametrize(("decisions", "passes"), [
    ([("granted", "a", "d", "2026-01-01")], True),
    ([], False),
    ([("granted", "b", "d", "2026-01-01")], False),
    ([("granted", None, "d", "2026-01-01")], True),
    ([("granted", "a", None, "2026-01-01")], False),
    ([("granted", "a", "d", "2026-01-03")], False),
    ([("granted", "a", "d", "2026-01-01"), ("refused", "b", "d", "2026-01-03")], False),
    ([("granted", "a", "d", "2026-01-01"), ("refused", "a", None, "2026-01-03")], False),
    ([("granted", "a", "d", "2026-01-01"), ("refused", "a", "other", "2026-01-03")], True),
    ([("granted", "a", "d", "2026-01-01"), ("withdrawn", "a", "d", "2026-01-03"), ("granted", "a", "d", "2026-01-04")], False),
    ([("refused", "a", "d", "2026-01-01"), ("granted", "a", "d", "2026-01-01")], False),
    ([("granted", "a", "d", "2024-12-10")], False),
    ([("granted", "a", "d", "2025-01-10"), ("granted", "a", "d", "2025-12-01")], True),
    ([("granted", "a", "d", "2024-11-01"), ("granted", "a", "d", "2026-01-03")], False),
], ids=str)
def test_one_grant_must_reach_from_the_event_to_the_build(decisions, passes):
    assert told(*decisions).unbroken("analytics_cookies", "d", "a", at("2026-01-02"), at("2026-02-10")) is passes


def test_what_stands_in_quarantine_is_a_no_to_all_that_it_may_be():
    for kind, when, device, passes in (
            ("analytics_cookies", "2026-01-03", "d", False), ("location", "2026-01-03", "d", True), (None, "2026-01-03", "d", False),
            ("news", "2026-01-03", "d", False), (None, None, "d", False), (None, "2025-12-01", "d", True), (None, None, "e", True)):
        register = told(("granted", "a", "d", "2026-01-01"))
        register.add_unread(Decision.of({"kind": kind, "device_id": device, "decision": "peut-être"}, at(when) if when else None))
        assert register.unbroken("analytics_cookies", "d", "a", at("2026-01-02"), at("2026-02-10")) is passes, (kind, when, device)


def test_the_calendar_of_the_oracle_clips_months_and_counts_an_account_from_its_earlier_end():
    assert days.months_later(date(2024, 1, 31), 13) == date(2025, 2, 28)
    assert days.months_later(date(2026, 11, 30), 3) == date(2027, 2, 28)
    assert days.account_end(None, date(2020, 11, 29)) == date(2026, 2, 28)  # 29 November 2025, and three months
    assert days.account_end(at("2026-01-31 23:30"), date(2026, 1, 31)) == date(2026, 4, 30)
    assert days.of_age(date(2008, 3, 1), date(2026, 3, 1)) and not days.of_age(date(2008, 3, 2), date(2026, 3, 1))


def test_the_oracle_knows_a_card_and_an_iban():
    assert door.holds_card({"body": "ma carte 4111 1111 1111 1111, une idée ?"})
    assert not door.holds_card({"body": "4111 1111 1111 1112", "telephone": "06 39 98 12 34"})
    assert door.is_iban("FR1420041010050500013M02606") and not door.is_iban("FR1520041010050500013M02606")
