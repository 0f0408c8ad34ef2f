"""Retention: what is due is planned, counted and removed from the disk; what is not due stays (C-10.0 to C-10.9).

The town of `small_market` is taken to the day on which two accounts and many rows end; a calendar of rows around awkward days is
compared with plain Python dates; and a run is stopped at one stage after another.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import chain, count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from small_market import (
    END,
    PARIS,
    Market,
    at,
    contents,
    copy_home,
    database,
    fill_zone,
    fingerprint,
    key,
    lake,
    members_in,
    months_later,
    new_home,
    pseudonyms,
    query,
    raw,
    shared_town,
    stamp,
    vault,
    where_found,
    zone,
)

from pipelines.engines.duckdb_engine import connect
from pipelines.evidence import ledger
from pipelines.foundation.dates import Period
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.lake import purge as purging
from pipelines.policy.due import chained
from pipelines.retention import apply as applying
from pipelines.retention.plan import counted, make_plan, read_plan
from pipelines.retention.scope import narrowed, raw_targets, statements
from pipelines.retention.stores import all_stores, existing, who_is_named
from pipelines.workflows import holds, requests
from pipelines.workflows import retention as workflow
from pipelines.workflows.rules import rules

DAY = date.fromisoformat(END)
GONE = ("kqxgone", "kqxsilent")  # whose accounts end on END; kqxbroken ends too and stands in one broken line beside


def raw_of(home):
    return {f"{schema}.{name}": raw(home, name, schema=schema) for name in rules().contracts for schema in ("main", "quarantine")}


SMALL = ("members", "forum_posts", "transactions", "consents")


@pytest.fixture(scope="module")
def small_rules():
    """Four datasets and one purpose: enough for every stage, and a run takes a third of the time."""
    book = rules()
    policy = replace(book.policy, purposes={"analytics": book.policy.purposes["analytics"]})
    return replace(book, policy=policy, contracts={name: book.contracts[name] for name in SMALL})


def own_header(path: Path) -> bytes:
    """The first block of an encrypted DuckDB file: its salt stands there, drawn when the file is made and kept whatever is written to it."""
    return path.read_bytes()[:4096]


# ---------------------------------------------------------------- the town on the day its time has come


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The town before the run; of its marts only analytics is published, so that one zone is rebuilt and the other is not."""
    home = copy_home(shared_town(tmp_path_factory), tmp_path_factory.mktemp("before") / "home")
    (home.root / "marts" / "advertising.duckdb").unlink()
    return home


@pytest.fixture(scope="module")
def names(before):
    """Everything that must be nowhere afterwards: words of the members who end, and their pseudonyms."""
    found = {word: word for word in GONE}
    for purpose in ("analytics", "advertising"):
        found |= {f"{purpose} pseudonym of {word}": str(pseudonyms(before, purpose)[f"{word}-id"]) for word in (*GONE, "kqxbroken")}
    return found


@pytest.fixture(scope="module")
def after(before, names, tmp_path_factory):
    """The town after plan and apply as of END."""
    home = copy_home(before, tmp_path_factory.mktemp("after") / "home")
    files = {path: own_header(path) for name in ("catalog", "vault") for path in (home.root / "zones").rglob(f"{name}.duckdb")}
    plan = workflow.plan(home, at(END))
    return home, plan, workflow.apply(home, Path(plan["plan"])), files


def test_a_plan_changes_nothing_and_is_the_same_bytes_each_time(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    untouched = fingerprint(home)
    first = make_plan(home, rules(), at(END))
    assert fingerprint(home) == untouched
    path = Path(workflow.plan(home, at(END))["plan"])
    assert json.loads(path.read_text()) == first == read_plan(path)
    assert not [value for value in ("kqx", *map(str, pseudonyms(home, "analytics").values())) if value in path.read_text()]


def test_the_plan_counts_what_each_rule_says_of_the_town(after):
    plan = {(e["zone"], e["dataset"], e["rule"], e["action"]): e["due"] for e in after[1]["datasets"] if e["due"]}
    assert plan == {
        ("pseudonymised/analytics", "subjects", "C-10.3", "delete"): 3, ("pseudonymised/advertising", "subjects", "C-10.3", "delete"): 3,
        ("raw", "access_logs", "C-10.1", "delete"): 6, ("raw", "access_logs", "C-10.3", "delete"): 3,
        ("raw", "consents", "C-10.9", "delete"): 1, ("raw", "consents", "C-10.3", "delete"): 6, ("raw", "consents", "C-10.1", "empty user_agent"): 1,
        ("raw", "forum_posts", "C-10.3", "sever author_id"): 5, ("raw", "forum_posts", "C-10.3", "delete abandoned"): 2,
        ("raw", "transactions", "C-10.2", "delete"): 1, ("raw", "transactions", "C-10.3", "delete abandoned"): 1,
        ("raw", "transactions", "C-10.3", "sever buyer_id"): 4, ("raw", "transactions", "C-10.3", "sever seller_id"): 3,
        ("raw", "usage_events", "C-10.9", "delete"): 2, ("raw", "usage_events", "C-10.3", "delete"): 5,
        **{("raw", "usage_events", "C-10.1", f"empty {column}"): 9 for column in ("occurred_at", "page", "user_agent")},
        ("raw", "members", "C-10.3", "delete"): 3,
        ("quarantine", "access_logs", "C-10.4", "delete"): 1, ("quarantine", "forum_posts", "C-10.4", "delete"): 4,
        ("quarantine", "transactions", "C-10.4", "delete"): 1, ("quarantine", "usage_events", "C-10.4", "delete"): 1,
        ("pseudonymised/analytics", "access_logs", "C-10.1", "delete"): 4, ("pseudonymised/analytics", "access_logs", "C-10.3", "delete"): 2,
        ("pseudonymised/analytics", "members", "C-10.3", "delete"): 3, ("pseudonymised/analytics", "usage_events", "C-10.3", "delete"): 2,
        ("pseudonymised/analytics", "usage_events", "C-10.1", "empty occurred_at"): 4,
        ("pseudonymised/analytics", "usage_events", "C-10.1", "empty route"): 4,
        ("pseudonymised/analytics", "usage_events", "C-10.1", "empty device_class"): 4,
        ("pseudonymised/advertising", "members", "C-10.3", "delete"): 3, ("pseudonymised/advertising", "usage_events", "C-10.3", "delete"): 2,
        ("pseudonymised/advertising", "usage_events", "C-10.1", "empty device_class"): 4,
        ("pseudonymised/advertising", "consents", "C-3.4", "delete withdrawn"): 1,
        **{(f"pseudonymised/{name}", "subjects", "C-10.3", "delete"): 3 for name in ("security", "service", "improvement")},
        **{(f"pseudonymised/{name}", "members", "C-10.3", "delete"): 3 for name in ("security", "service")},
        **{(f"pseudonymised/{name}", "transactions", "C-10.2", "delete"): 1 for name in ("security", "service", "improvement")},
        # a sale is of both parties, but in service of its buyer alone
        **{(f"pseudonymised/{name}", "transactions", "C-10.3", "delete"): n for name, n in (("security", 6), ("service", 4), ("improvement", 6))},
        ("pseudonymised/security", "access_logs", "C-10.1", "delete"): 5, ("pseudonymised/security", "access_logs", "C-10.3", "delete"): 2,
        ("pseudonymised/improvement", "usage_events", "C-10.3", "delete"): 2,
        **{("pseudonymised/improvement", "usage_events", "C-10.1", f"empty {column}"): 4 for column in ("route", "device_class")},
        ("vault", "subjects", "C-10.3", "delete"): 3, ("vault", "requests", "C-10.3", "delete"): 1, ("vault", "refusals", "C-10.3", "delete"): 1,
    }


def test_accounts_end_on_their_day_and_not_a_day_before(after):
    assert raw(after[0], "members", "member_id") == [("kqxleaving-id",), ("kqxother-id",), ("kqxstay-id",), ("kqxwaits-id",)]


def test_a_sale_goes_after_13_months_or_with_its_last_party_and_otherwise_loses_only_the_side_that_left(after):
    stay, other, leaving, waits = "kqxstay-id", "kqxother-id", "kqxleaving-id", "kqxwaits-id"
    assert set(raw(after[0], "transactions", "transaction_id, buyer_id, seller_id")) == {
        ("s1", None, stay), ("s2", stay, None), ("s4", stay, other), ("s5", None, leaving), ("s7", other, stay), ("s8", stay, leaving),
        ("s9", waits, stay), ("s10", stay, None), ("s11", None, stay), ("s12", other, waits)}
    assert raw(after[0], "transactions", "count(*), count(price_eur), count(card_last4), count(started_at)") == [(10, 10, 10, 10)]


def test_a_post_stays_without_its_author_until_the_last_live_account_of_its_thread_ends(after):
    assert raw(after[0], "forum_posts", "post_id, author_id, author_deleted") == [
        ("p1", None, True), ("p2", "kqxstay-id", None), ("p3", None, True), ("p6", None, True), ("p7", "kqxleaving-id", None),
        ("p8", "kqxstay-id", None), ("p9", None, True)]
    assert query(after[0], "raw", "select body from lake.main.forum_posts where post_id = 'p1'") == [("a text that stays",)]


def test_log_lines_are_there_for_29_days_and_gone_after_the_30th(after):
    assert raw(after[0], "access_logs", "member_id, requested_at") == [("kqxstay-id", at("2026-03-12 00:00")), (None, at("2026-03-12 12:00"))]


def test_events_end_after_13_months_and_lose_their_access_data_after_30_days(after):
    whole = ("29 days", "kqxstay-id", date(2026, 3, 12), at("2026-03-12 00:00"), "/aide", "agent")
    emptied = [("13 months less a day", "kqxstay-id", date(2025, 3, 11)), ("30 days", "kqxstay-id", date(2026, 3, 11)),
               ("visitor 13 months less a day", None, date(2025, 3, 11)),
               *((f"{cookie} of 2025", member, date(2025, 12, 20)) for cookie in ("analytics", "targeting")
                 for member in ("kqxleaving-id", "kqxstay-id"))]
    assert set(raw(after[0], "usage_events", "item_category, member_id, paris_day, occurred_at, page, user_agent")) == {
        whole, *((*row, None, None, None) for row in emptied)}


def test_consents_stay_with_the_account_those_of_a_mere_device_for_13_months_and_browsers_for_30_days(after):
    found = raw(after[0], "consents", "member_id, device_id, kind, user_agent")
    assert Counter(row[0] for row in found) == {"kqxstay-id": 6, "kqxleaving-id": 3, None: 1}
    assert [row[1] for row in found if row[0] is None] == ["v-new"]
    assert [row[3] for row in found if row[3]] == ["new agent"]


def test_quarantine_ends_after_30_days_with_its_datasets_rule_and_with_the_account_it_names(after):
    kept = {name: [json.loads(record) for (record,) in raw(after[0], name, "record", "quarantine")] for name in rules().contracts}
    assert [row["path"] for row in kept["access_logs"]] == ["/q8"]
    assert [row.get("post_id") for row in kept["forum_posts"] if "line" not in row] == ["q3"]
    assert kept["transactions"] == [] and kept["members"] == []


def test_the_vault_forgets_who_ended_and_nobody_else(after):
    home = after[0]
    assert {m for (m,) in vault(home, "select member_id from db.subjects")} == {"kqxleaving-id", "kqxother-id", "kqxstay-id", "kqxwaits-id"}
    for table in ("requests", "refusals"):
        assert vault(home, f"select member_id from db.{table}") == [("kqxother-id",)]


def test_the_zone_that_is_not_rebuilt_loses_exactly_who_ended_and_what_is_due(before, after):
    home, names = after[0], {value: member for member, value in pseudonyms(before, "advertising").items()}
    assert {names[p] for (p,) in zone(home, "advertising", "members", "pseudonym")} == {"kqxleaving-id", "kqxother-id", "kqxstay-id", "kqxwaits-id"}
    found = {(names[p], made) for p, made in zone(home, "advertising", "usage_events", "pseudonym, device_class")}
    assert found == {("kqxleaving-id", None), ("kqxstay-id", None)}
    assert zone(before, "advertising", "usage_events", "count(device_class)") == [(4,)]


def test_what_the_marts_are_made_from_is_rebuilt_without_them(before, after):
    """Of so few members no row of a profile may be published (C-3.3b), so it is looked for in the zone that the marts are made from."""
    home, _, result, _ = after
    assert result["rebuilt"] == ["analytics"] and result["left"] == 0
    counts = {name: {p for (p,) in zone(place, "analytics", "members", "pseudonym")} for name, place in (("before", before), ("after", home))}
    known = pseudonyms(before, "analytics")
    assert counts["before"] == set(known.values())
    assert counts["after"] == {known[f"{word}-id"] for word in ("kqxstay", "kqxother", "kqxwaits")}


def test_nothing_is_due_after_the_run_and_a_day_later_the_next_are(after):
    home, plan, _, _ = after
    again = make_plan(home, rules(), at(END))
    assert {e["due"] for e in again["datasets"]} == {0} and len(again["datasets"]) == len(plan["datasets"])
    tomorrow = {(e["zone"], e["dataset"], e["rule"], e["action"]): e["due"] for e in make_plan(home, rules(), at("2026-04-11"))["datasets"]}
    assert tomorrow["raw", "members", "C-10.3", "delete"] == 2 and tomorrow["raw", "transactions", "C-10.2", "delete"] == 1
    assert tomorrow["raw", "forum_posts", "C-10.3", "delete abandoned"] == 2, "the thread of p6 and p7"


CATALOG = "ducklake_table_column_stats"


def test_no_file_of_the_home_holds_a_value_of_who_ended(before, after, names):
    assert all(places for places in where_found(before, names).values()), "the same look finds each of them before the run"
    found = {name: {p for p in places if CATALOG not in p} for name, places in where_found(after[0], names).items()}
    assert not {name: places for name, places in found.items() if places}


def test_the_catalogs_own_statistics_hold_no_value_of_who_ended(after, names):
    found = {name: {p for p in places if CATALOG in p} for name, places in where_found(after[0], names).items()}
    assert not {name: places for name, places in found.items() if places}


def test_a_broken_line_that_names_who_ended_goes_too(after):
    assert {p for p in where_found(after[0], {"id": "kqxbroken"})["id"] if CATALOG not in p} == set()


def test_access_data_in_quarantine_end_30_days_after_their_day(after):
    assert not where_found(after[0], {"agent": "kqxquarantined"})["agent"]  # of 1 March, quarantined on the 12th


def test_every_data_file_on_disk_is_live_and_holds_no_deleted_row(after):
    """`contents` refuses a file that no catalog knows; what the catalog knows must be of the present, whole, and counted right."""
    home, _, _, files = after
    assert {c.kind for c in contents(home)} == {"file", "table", "data"}
    for catalog in (home.root / "zones").rglob("catalog.duckdb"):
        name = catalog.parent.name
        with database(catalog, key(home, "raw" if name == "raw" else f"zone_{name}")) as connection:
            present = connection.execute("select count(*) from db.ducklake_data_file where end_snapshot is null").fetchone()
            assert connection.execute("select count(*) from db.ducklake_data_file").fetchone() == present
            assert connection.execute("select count(*) from db.ducklake_delete_file").fetchone() == (0,)
            assert connection.execute("select count(*) from db.ducklake_snapshot").fetchone() == (1,)
            assert len(list(catalog.parent.rglob("*.parquet"))) == present[0]
    assert len(files) == 2 + len(rules().policy.built)
    assert [p for p, header in files.items() if own_header(p) == header] == [], "they were copied anew: old blocks are gone"
    assert [str(p) for p in home.root.rglob("*") if p.name.endswith(".wal") or ".fresh" in p.name] == []
    assert list((home.root / "tmp").iterdir()) == [] and list((home.root / "build").iterdir()) == []


def test_after_the_run_and_the_next_load_every_row_is_found_by_its_own_values(after, tmp_path):
    home = copy_home(after[0], tmp_path / "home")
    Market("d").member("zz").sale("zz", "zz", "kqxstay-id", "2026-04-09", price_eur="900").post("zz", "zz", "zz", "2026-04-09").load(home, END)
    for dataset in ("members", "transactions", "forum_posts"):
        with lake(home, "raw") as connection:
            table = f"lake.main.{dataset}"
            for column, kind, *_ in connection.execute(f"describe {table}").fetchall():
                for (value,) in connection.execute(f'select distinct "{column}" from {table} where "{column}" is not null').fetchall():
                    found = connection.execute(f'select count(*) from {table} where "{column}" = ?::{kind}', [value]).fetchone()[0]
                    assert found > 0, f"{dataset}.{column}: {kind}"


def test_whoever_registers_again_under_an_old_id_gets_another_pseudonym(after, names, tmp_path):
    home = copy_home(after[0], tmp_path / "home")
    Market().member("kqxgone-id", registered_at=stamp("2026-04-10 00:01"), updated_at=stamp("2026-04-10 00:01")).load(home, "2026-04-11")
    fill_zone(home, "analytics", "2026-04-10 12:00")
    assert members_in(home, "analytics") == {"kqxgone-id", "kqxother-id", "kqxstay-id", "kqxwaits-id"}
    assert str(pseudonyms(home, "analytics")["kqxgone-id"]) != names["analytics pseudonym of kqxgone"]


def test_an_old_extract_does_not_bring_back_an_account_that_ended(after, tmp_path):
    """Neither the account nor its side of what it shared; others of the extract load, and what others wrote of it may name it."""
    home = copy_home(after[0], tmp_path / "home")
    old = Market("old").member("kqxgone-id", updated_at=stamp("2025-12-01")).member("kqxnew-id", updated_at=stamp("2025-12-01"))
    old.event("old", "kqxgone-id", "dev-9", "2026-03-30 10:00", "necessary").sale("old1", "kqxgone-id", "kqxother-id", "2026-03-01 10:00")
    old.post("old2", "kqxgone-id", "mixed", "2026-03-30 10:00").post("old3", "kqxother-id", "mixed", "2026-03-30 10:00", body="vu kqxgone-id")
    done = old.load(home, END)
    assert {name: balance["reasons"] for name, balance in done.items() if balance["reasons"]} == {
        name: {"erased_subject": 1} for name in ("members", "usage_events", "forum_posts")}
    assert "kqxgone-id" not in {m for (m,) in raw(home, "members", "member_id")} and "kqxnew-id" in {m for (m,) in raw(home, "members", "member_id")}
    assert [row for row in raw(home, "transactions", "transaction_id, buyer_id, seller_id") if row[0] == "old1"] == [("old1", None, "kqxother-id")]
    assert [body for key, body in raw(home, "forum_posts", "post_id, body") if key == "old3"] == ["vu kqxgone-id"]
    assert not sum(entry["due"] for entry in make_plan(home, rules(), at(END))["datasets"])


# ---------------------------------------------------------------- a plan that is not this plan


def test_an_edited_plan_a_stranger_and_a_missing_file_are_refused(after, tmp_path):
    plan = json.loads(Path(after[1]["plan"]).read_text())
    plan["datasets"][0]["due"] += 1
    (tmp_path / "edited.json").write_text(json.dumps(plan))
    (tmp_path / "text.json").write_text("no plan")
    with pytest.raises(KampekyError, match="changed after it was made"):
        workflow.apply(after[0], tmp_path / "edited.json")
    with pytest.raises(KampekyError, match="is no retention plan"):
        workflow.apply(after[0], tmp_path / "text.json")
    with pytest.raises(Misuse, match="no such plan"):
        workflow.apply(after[0], tmp_path / "missing.json")


def test_a_plan_that_the_data_have_left_behind_is_refused_and_nothing_is_deleted(before, small_rules, tmp_path):
    home = copy_home(before, tmp_path / "home")
    plan = make_plan(home, small_rules, at(END))
    Market().sale("s13", "kqxstay-id", "kqxother-id", "2025-03-09").load(home, "2026-04-01")
    untouched = raw_of(home)
    with pytest.raises(Refused, match="nothing was deleted") as refused:
        applying.apply_plan(home, small_rules, plan)
    assert refused.value.exit_code == 3
    assert raw_of(home) == untouched


# ---------------------------------------------------------------- stopped at every stage

def stopping(original, calls: int):
    """A function that works `calls` times and then stops the run."""
    made = []

    def stops(*given, **more):
        made.append(given)
        if len(made) > calls:
            raise RuntimeError("stopped")
        return original(*given, **more)

    return stops


def stopping_statements(calls: int):
    original, made = applying.statements, []

    def statements(targets):
        for statement in original(targets):
            made.append(statement)
            if len(made) > calls:
                raise RuntimeError("stopped")
            yield statement

    return statements


STAGES = {  # stage: what is patched, and after how many calls the run stops there
    "amid the zone": lambda patch: patch.setattr(applying, "statements", stopping_statements(1)),
    "amid raw": lambda patch: patch.setattr(applying, "statements", stopping_statements(5)),
    "amid the vault": lambda patch: patch.setattr(applying, "gone", stopping(applying.gone, 1)),
    "before raw's catalog is copied": lambda patch: patch.setattr(purging, "rewrite_file", stopping(purging.rewrite_file, 1)),
}


@pytest.mark.long
def test_a_run_stopped_at_any_stage_is_finished_by_the_next_and_loses_nothing(before, small_rules, tmp_path, names):
    """One stage after another, each a stage later, in one home: every run goes on from where the last was stopped."""
    home = copy_home(before, tmp_path / "home")
    started = raw_of(home)
    for stage, stop in STAGES.items():
        plan = make_plan(home, small_rules, at(END))
        with pytest.MonkeyPatch.context() as patch:
            stop(patch)
            with pytest.raises(RuntimeError, match="stopped"):
                applying.apply_plan(home, small_rules, plan)
        if stage == "amid raw":
            assert raw_of(home) == started, "raw changes as a whole or not at all"
    applying.apply_plan(home, small_rules, make_plan(home, small_rules, at(END)))
    assert {e["due"] for e in make_plan(home, small_rules, at(END))["datasets"]} == {0}
    assert [m for (m,) in raw(home, "members", "member_id")] == ["kqxleaving-id", "kqxother-id", "kqxstay-id", "kqxwaits-id"]
    assert [t for (t,) in raw(home, "transactions", "transaction_id")] == ["s1", "s10", "s11", "s12", "s2", "s4", "s5", "s7", "s8", "s9"]
    assert [p for (p,) in raw(home, "forum_posts", "post_id")] == ["p1", "p2", "p3", "p6", "p7", "p8", "p9"]
    assert {m for (m,) in vault(home, "select member_id from db.subjects")} == {"kqxleaving-id", "kqxother-id", "kqxstay-id", "kqxwaits-id"}
    finished = raw_of(home)
    others = [name for name in started if name.rpartition(".")[2] not in SMALL]
    assert [finished[name] for name in others] == [started[name] for name in others], "what the small policy does not name stays as it was"
    places = set().union(*where_found(home, names).values())
    mine = [p for p in places if p.startswith(("zones/raw", "zones/pseudonymised/analytics")) and any(f"/{name}/" in p for name in SMALL)]
    assert mine + [p for p in places if "vault" in p] == []


def test_a_run_that_was_stopped_is_in_the_ledger_leaves_no_mart_and_is_finished_by_the_same_plan(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    marts = [home.mart(name) for name in ("analytics", "advertising")]
    for mart in marts:
        mart.parent.mkdir(exist_ok=True)
        mart.touch()
    plan = workflow.plan(home, at(END))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying, "statements", stopping_statements(5))
        with pytest.raises(RuntimeError, match="stopped"):
            workflow.apply(home, Path(plan["plan"]))
    begun = ledger.read(home)[-1]
    assert (begun.act, begun.facts["hash"], [e["due"] for e in begun.facts["datasets"]]) == (
        "retention begun", plan["hash"], [e["due"] for e in plan["datasets"] if e["due"] or e["held"]])
    assert [mart.exists() for mart in marts] == [False, False]
    assert workflow.unfinished(home) == [plan["hash"]]
    assert workflow.apply(home, Path(plan["plan"]))["left"] == 0
    assert (ledger.read(home)[-1].act, workflow.unfinished(home)) == ("retention", [])


def test_what_a_failed_proof_looked_for_is_looked_for_again_until_nothing_is_found(before, tmp_path):
    """By the same plan, and by the plan of the next night; afterwards the vault does not know it any more."""
    home = copy_home(before, tmp_path / "home")
    note = home.root / "notes.txt"
    note.write_text("call kqxgone-id back")
    plan = Path(workflow.plan(home, at(END))["plan"])
    for _ in range(2):
        with pytest.raises(KampekyError, match=r"not proved to be gone: .*notes\.txt"):
            workflow.apply(home, plan)
    other = Path(workflow.plan(home, at(END) + timedelta(hours=3))["plan"])
    assert other != plan
    with pytest.raises(KampekyError, match=r"not proved to be gone: .*notes\.txt"):
        workflow.apply(home, other)
    assert vault(home, "select count(*) > 0 from db.erasing") == [(True,)]
    note.unlink()
    workflow.apply(home, other)
    told = json.loads(max((home.root / "evidence" / "certificates").glob("*.json"), key=lambda path: path.stat().st_mtime).read_text())
    assert {name: ok for name, ok, _ in told["proof"]}["accounts that ended"] and {name: ok for name, ok, _ in told["proof"]}["vault"]
    assert vault(home, "select count(*) from db.erasing") == vault(home, "select count(*) from db.approvals") == [(0,)]


def test_a_run_that_is_killed_leaves_no_mart(before, tmp_path):
    """Nothing gets the chance to take it away afterwards."""
    home = copy_home(before, tmp_path / "home")
    plan = workflow.plan(home, at(END))
    assert home.mart("analytics").exists()

    def killed(*_args, **_named):
        assert not home.mart("analytics").exists()
        raise RuntimeError("killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying, "_expire_packages", killed)
        patch.setattr(workflow, "unfinished", lambda _: [])  # as after a kill: what would take marts away does not
        with pytest.raises(RuntimeError, match="killed"):
            workflow.apply(home, Path(plan["plan"]))
    assert workflow.unfinished(home) == [plan["hash"]]


def test_a_plan_of_a_day_to_come_is_refused_and_deletes_nothing(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    plan = workflow.plan(home, at(END))
    untouched = fingerprint(home)
    with pytest.raises(Refused, match="day to come"):
        workflow.apply(home, Path(plan["plan"]), now=at("2026-01-01"))
    assert fingerprint(home) == untouched


# ---------------------------------------------------------------- the calendar

UTC = ZoneInfo("UTC")
APPLIED = date(2026, 10, 25)  # the night has 25 hours
DAYS = (date(2026, 2, 28), date(2026, 3, 29), date(2026, 10, 25), date(2028, 2, 29))  # a month's end, both clock changes, a leap day


def moments(day: date):
    """Around midnight in Paris and in UTC: 23:30 UTC belongs to the next day of Paris, in summer 22:30 does too."""
    return [datetime.combine(day, t, zone) for t, zone in ((time(0, 0), PARIS), (time(23, 59, 59), PARIS), (time(22, 30), UTC), (time(23, 30), UTC))]


def around(day: date, width: int = 3):
    return [day + timedelta(days=n) for n in range(-width, width + 1)]


def paris(moment: datetime) -> date:
    return moment.astimezone(PARIS).date()


@pytest.fixture(scope="module")
def calendar(tmp_path_factory):
    """A home with rows around each of DAYS, and for each of those rows the day on which its clock starts."""
    home, clocks, numbers = new_home(tmp_path_factory.mktemp("calendar") / "home"), {}, count(1)
    # loaded when they were young enough not to be due on arrival, and old enough not to lie in the future
    loads = {day: Market() for day in ("2026-01-31", "2026-03-02", "2026-09-28", "2028-02-02")}
    first = loads["2026-01-31"]
    for member in ("buyer", "seller", "writer"):
        first.member(member, last_active_on="2028-02-01")
    for end, day_of_lines, market in zip(DAYS, loads, (first, first, *list(loads.values())[2:]), strict=True):
        for moment in chain.from_iterable(map(moments, around(end - timedelta(days=30), 2))):
            path = f"/{next(numbers)}"
            clocks["line", path] = paris(moment)
            loads[day_of_lines].line(None, moment, path)
        for moment in chain.from_iterable(moments(day) for day in around(end - timedelta(days=396), 5) if months_later(day, 13) in around(end, 1)):
            n = next(numbers)
            clocks["sale", f"t{n}"] = clocks["event", f"u{n}"] = clocks["visitor", f"v{n}"] = paris(moment)
            market.sale(f"t{n}", "buyer", "seller", moment).event("x", None, "d", moment, "necessary", event_id=f"u{n}")
            market.consent(None, "d", "refused", moment, consent_id=f"v{n}")
        for moment in chain.from_iterable(moments(day) for day in around(end - timedelta(days=91), 5) if months_later(day, 3) in around(end, 1)):
            n = next(numbers)
            clocks["deleted", f"m{n}"] = paris(moment)
            market.member(f"m{n}", deleted_at=stamp(moment), last_active_on=str(paris(moment)))
        for day in around(end - timedelta(days=1917), 6):
            if months_later(months_later(day, 60), 3) in around(end, 1):
                n = next(numbers)
                clocks["silent", f"m{n}"] = day
                first.member(f"m{n}", last_active_on=str(day))
    held = next(name for (what, name), clock in clocks.items() if what == "silent" and due_day(what, clock) == APPLIED)
    first.post("held-post", held, "held").post("beside-it", held, "held")
    first.post("ghost-post", "ghost", "ghosts").consent("ghost", "d", "refused", "2020-01-01", consent_id="ghost-consent")  # no such account
    made = {"member_id": "ghost", "first_name": "G", "last_name": "H", "updated_at": stamp("2026-01-01")}
    first.add("social_links", link_id="ghost-link", provider="google", status="linked", linked_at=stamp("2020-01-01"), **made)
    first.add("wallets", wallet_id="ghost-wallet", birth_date="1980-01-01", billing_street="1", billing_postcode="75001", billing_city="Paris",
              billing_country="FR", created_at=stamp("2020-01-01"), **made)
    loads["2026-03-02"].event("held", "writer", "d", "2026-02-01 12:00", "necessary", event_id="held-event")
    for day, market in loads.items():
        assert not [b for b in market.load(home, day).values() if b["loaded"] != b["read"]], day
    return home, clocks, held


def due_day(what: str, clock: date) -> date:
    if what == "line":
        return clock + timedelta(days=30)
    if what == "deleted":
        return months_later(clock, 3)
    if what == "silent":
        return months_later(months_later(clock, 60), 3)
    return months_later(clock, 13)


def left_by_python(clocks: dict, what: str, end: date) -> set[str]:
    return {name for (kind, name), clock in clocks.items() if kind == what and due_day(what, clock) > end}


def test_periods_in_sql_are_those_of_the_calendar_for_every_day_of_thirteen_years():
    connection = connect(Path(), extensions=())
    periods = {"P30D": lambda d: d + timedelta(days=30), "P13M": lambda d: months_later(d, 13), "P3M": lambda d: months_later(d, 3),
               "P5Y P3M": lambda d: months_later(months_later(d, 60), 3)}
    for words, by_hand in periods.items():
        sql = chained("d", tuple(Period.parse(word) for word in words.split()))
        rows = connection.execute(f"select d, {sql} from (select unnest(generate_series(date '2019-01-01', date '2032-01-01', interval 1 day))::date "
                                  "as d)").fetchall()
        assert len(rows) == 4749 and [row for row in rows if row[1] != by_hand(row[0])] == [], words
    connection.close()


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), PARIS)


@pytest.mark.parametrize("end", DAYS, ids=str)
def test_on_awkward_days_the_plan_counts_what_python_counts(calendar, end):
    home, clocks, _ = calendar
    plan = make_plan(home, rules(), midnight(end))
    counted = {(e["dataset"], e["rule"]): e["due"] for e in plan["datasets"] if e["action"] == "delete" and e["zone"] == "raw"}
    for whats, dataset, rule in ((["line"], "access_logs", "C-10.1"), (["sale"], "transactions", "C-10.2"), (["event"], "usage_events", "C-10.9"),
                                 (["visitor"], "consents", "C-10.9"), (["deleted", "silent"], "members", "C-10.3")):
        days = [due_day(what, clock) for (what, _), clock in clocks.items() if what in whats]
        if dataset == "usage_events":
            days.append(date(2027, 3, 1))  # of held-event
        assert counted[dataset, rule] == sum(day <= end for day in days), dataset
        assert {day <= end for day in days if abs((day - end).days) <= 3} == {True, False}, "there are rows on both sides of the day"


@pytest.fixture(scope="module")
def run(calendar, tmp_path_factory):
    """Applied on APPLIED with four records on hold, and on the last of DAYS with two of the holds lifted."""
    home, clocks, held = copy_home(calendar[0], tmp_path_factory.mktemp("run") / "home"), calendar[1], calendar[2]
    sale = next(name for (what, name), clock in clocks.items() if what == "sale" and due_day(what, clock) == APPLIED)
    placed = [holds.place(home, dataset, record, "claim 7", date(2027, 1, 1), at("2026-01-01"))["hold_id"] for dataset, record in (
        ("transactions", sale), ("members", held), ("forum_posts", "held-post"), ("usage_events", "held-event"))]
    opened = requests.open_request(home, "portability", "buyer", None, at("2026-10-24 10:00"))  # its 24 hours end after the run
    package = Path(requests.process(home, opened["request_id"], at("2026-10-24 10:00"))["package"])
    (home.root / "outbox" / "stray.zip").write_bytes(b"left by a crash")
    (home.root / "tmp" / "export-R-killed").mkdir()
    (home.root / "tmp" / "export-R-killed" / "members.json").write_text("in plain")
    plan = make_plan(home, rules(), midnight(APPLIED))
    applying.apply_plan(home, rules(), plan)
    first = copy_home(home, home.root.with_name("first"))
    for hold in placed[:2]:
        holds.lift(home, hold, at("2026-10-26"))
    applying.apply_plan(home, rules(), make_plan(home, rules(), midnight(DAYS[-1])))
    return {"plan": plan, "first": first, "last": home, "clocks": clocks, "sale": sale, "held": held, "package": package}


def left(home) -> dict[str, set[str]]:
    columns = {"line": ("access_logs", "path"), "sale": ("transactions", "transaction_id"), "event": ("usage_events", "event_id"),
               "visitor": ("consents", "consent_id"), "member": ("members", "member_id"), "post": ("forum_posts", "post_id")}
    ghosts = {"ghost-post", "ghost-consent"}  # of nobody: a test of their own
    return {what: {value for (value,) in raw(home, dataset, column)} - ghosts for what, (dataset, column) in columns.items()}


def by_python(clocks: dict, end: date) -> dict[str, set[str]]:
    found = {what: {n for (kind, n), clock in clocks.items() if kind == what and due_day(what, clock) > end}
             for what in ("line", "sale", "event", "visitor")}
    accounts = {n for (kind, n), clock in clocks.items() if kind in ("deleted", "silent") and due_day(kind, clock) > end}
    return found | {"member": accounts | {"buyer", "seller", "writer"}, "post": set()}


def test_around_a_clock_change_exactly_what_is_due_goes_and_what_is_held_stays(run):
    expected = by_python(run["clocks"], APPLIED)
    for what, record in (("sale", run["sale"]), ("member", run["held"]), ("post", "held-post"), ("event", "held-event")):
        assert record not in expected[what] or what == "event"
        expected[what].add(record)
    assert left(run["first"]) == expected


def test_a_hold_keeps_the_record_whole_and_nothing_beside_it(run):
    home = run["first"]
    assert query(home, "raw", "select author_id, author_deleted from lake.main.forum_posts where post_id = 'held-post'") == [(run["held"], None)]
    assert query(home, "raw", "select occurred_at from lake.main.usage_events where event_id = 'held-event'") == [(at("2026-02-01 12:00"),)]
    old = by_python(run["clocks"], APPLIED)["event"] & {n for (_, n), clock in run["clocks"].items() if clock <= APPLIED - timedelta(days=30)}
    assert query(home, "raw", "select count(*), count(occurred_at) from lake.main.usage_events where event_id <> 'held-event' "
                              "and paris_day <= date '2026-09-25'") == [(len(old), 0)] != [(0, 0)]
    held = {(e["dataset"], e["action"]): e["held"] for e in run["plan"]["datasets"] if e["held"]}
    assert held == {("transactions", "delete"): 1, ("members", "delete"): 1, ("forum_posts", "sever author_id"): 1,
                    ("forum_posts", "delete abandoned"): 1, ("usage_events", "empty occurred_at"): 1}
    assert applying.count_left(home, rules(), midnight(APPLIED)) == 0, "what is held is not due, so the run is done"


def test_what_a_lifted_hold_kept_goes_with_the_next_run_and_what_is_still_held_stays(run):
    """C-10.5."""
    expected = by_python(run["clocks"], DAYS[-1])
    assert left(run["last"]) == expected | {"post": {"held-post"}, "event": expected["event"] | {"held-event"}}


def test_a_package_goes_when_its_hours_are_over_and_a_stray_file_at_once(run):
    assert [e["due"] for e in run["plan"]["datasets"] if e["zone"] == "outbox"] == [0]
    assert [p.name for p in (run["first"].root / "outbox").iterdir()] == [run["package"].name]
    assert list((run["last"].root / "outbox").iterdir()) == []
    assert [list((run[when].root / "tmp").iterdir()) for when in ("first", "last")] == [[], []], "plain files of a killed export go too"


def test_rows_of_somebody_who_has_no_account_do_not_stay_for_ever(run):
    assert query(run["last"], "raw", "select count(*) from lake.main.consents where member_id = 'ghost'") == [(0,)]
    assert query(run["last"], "raw", "select count(*) from lake.main.forum_posts where author_id = 'ghost'") == [(0,)]
    for name in ("social_links", "wallets"):
        assert query(run["last"], "raw", f"select count(*) from lake.main.{name}") == [(0,)], "a dataset of states has a day to end by, too"


def test_the_vault_keeps_no_id_of_a_hold_that_was_lifted(run):
    assert vault(run["first"], "select count(*) from db.holds where record_key = ?", run["held"]) == [(1,)]
    assert vault(run["last"], "select count(*) from db.holds where record_key = ?", run["held"]) == [(0,)]


@pytest.mark.parametrize("as_of", [DAY, DAY - timedelta(days=40), DAY + timedelta(days=400)], ids=str)
def test_looking_only_where_rows_can_be_due_counts_and_removes_the_same_as_looking_everywhere(before, tmp_path, as_of):
    """Also on a day on which no account ends, when whole files are passed over."""
    home, book = copy_home(before, tmp_path / "home"), rules()
    with all_stores(home, book, "test", as_of, write=True) as connection:
        targets = existing(connection, raw_targets(book, as_of))
        everywhere = [replace(target, last=None) for target in targets]
        found = [*counted(connection, targets)]
        assert found == [*counted(connection, everywhere)]
        assert sum(entry["due"] for entry in found)
        left = []
        for way in (narrowed(targets, who_is_named(connection, targets)), everywhere):
            connection.execute("begin")
            for statement in statements(way):
                connection.execute(statement)
            tables = {target.table for target in targets}
            left.append({table: connection.execute(f"select sum(hash(t)), count(*) from {table} as t").fetchall() for table in tables})
            connection.execute("rollback")
        assert left[0] == left[1]


def test_a_plan_made_in_the_afternoon_fits_when_it_is_applied_and_counts_the_packages_of_its_hour(run, tmp_path):
    home = copy_home(run["first"], tmp_path / "home")
    afternoon = make_plan(home, rules(), at("2026-10-25 15:00"))  # a package ran out at 10:00
    morning = make_plan(home, rules(), at("2026-10-25 09:00"))
    assert [sum(e["due"] for e in p["datasets"] if e["zone"] == "outbox") for p in (morning, afternoon)] == [0, 1]
    applying.apply_plan(home, rules(), afternoon)
    assert list((home.root / "outbox").iterdir()) == []


def test_a_plan_does_not_fit_when_another_account_is_due_instead(calendar, small_rules, tmp_path):
    home, clocks, held = copy_home(calendar[0], tmp_path / "home"), calendar[1], calendar[2]
    waiting = next(n for (what, n), clock in clocks.items() if what == "silent" and due_day(what, clock) == DAYS[-1])
    plan = make_plan(home, small_rules, midnight(APPLIED))
    market = Market().member(held, last_active_on="2026-02-02", updated_at=stamp("2026-02-02"))
    market.member(waiting, last_active_on="2021-07-20", updated_at=stamp("2026-02-02"))
    market.post("other1", waiting, "other").post("other2", waiting, "other").load(home, "2026-02-02")
    assert make_plan(home, small_rules, midnight(APPLIED))["hash"] != plan["hash"]


def test_a_build_before_the_run_leaves_out_whose_account_is_due(calendar, tmp_path):
    home, clocks, held = copy_home(calendar[0], tmp_path / "home"), calendar[1], calendar[2]
    fill_zone(home, "analytics", midnight(APPLIED))
    expected = {n for (what, n), clock in clocks.items() if what == "silent" and due_day(what, clock) > APPLIED}
    assert {m for m in members_in(home, "analytics") if ("silent", m) in clocks} == expected and held not in expected
