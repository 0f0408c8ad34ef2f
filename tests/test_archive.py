"""Legal archives: what a law keeps of what would go, exactly that, apart, and no longer; none of it unless counsel decided (C-10.8).

Rules are turned on in a project of their own. What an archive holds is read with its key file alone, and every file of the home is decoded to see
that what is kept stands nowhere else.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import house
import pytest
import yaml
from small_market import Market, at, copy_home, new_home, query, raw, run_retention, stamp, where_found

from pipelines.assurance.residue import tombs
from pipelines.assurance.residue.controls import controls
from pipelines.assurance.residue.home import Looked, look
from pipelines.assurance.stores import derived
from pipelines.engines.duckdb_engine import Error, connect
from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Refused, Unavailable
from pipelines.foundation.home import PROJECT, Home
from pipelines.keys.keyring import archive_key, key_names
from pipelines.lake import backups
from pipelines.lake.store import archive_lake, opened
from pipelines.policy.diff import compare_rules
from pipelines.policy.pages import pages
from pipelines.policy.rulebook import load_rulebook
from pipelines.retention import apply as applying
from pipelines.retention.plan import make_plan
from pipelines.rights import erasure as erasing
from pipelines.workflows import backup, erasure, holds, requests, retention
from pipelines.workflows import restore as restoring
from pipelines.workflows.init import init
from pipelines.workflows.residue import last_deletion
from pipelines.workflows.rules import rules
from pipelines.workflows.verify import verify

ME, OTHER = "kqxstay-id", "kqxother-id"
LOADED, ERASED, DUE = "2026-04-01", "2026-04-02 12:00", "2026-04-10"  # sale "old" of 10 March 2025 is due on DUE, and archived until ENDS
ENDS = "2035-03-10"
LAW, AUTHORS = "commercial_records", "content_authors"
COLUMNS = ("transaction_id", "buyer_id", "seller_id", "offer_id", "item_category", "price_eur", "status", "started_at")
DECIDED = {"on": True, "decided": "the counsel of the controller, 2 March 2026"}


def project(folder: Path, **changes: dict[str, Any]) -> Path:
    """A checkout of its own in which rules of `legal_archive` say something else."""
    if not folder.exists():
        shutil.copytree(house.RULES, folder / "data_contracts")
        (folder / "dbt_project").symlink_to(PROJECT / "dbt_project")
    file = folder / "data_contracts" / "policy.yaml"
    policy = yaml.safe_load((house.RULES / "policy.yaml").read_text())
    for name, words in changes.items():
        said = policy["legal_archive"].setdefault(name, {})
        said |= words
        for word in [word for word, value in said.items() if value is None]:
            del said[word]
    file.write_text(yaml.safe_dump(policy, sort_keys=False, allow_unicode=True))
    return folder


@contextmanager
def under(folder: Path) -> Iterator[None]:
    """Under the rules of that project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAMPEKY_PROJECT", str(folder))
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return project(tmp_path_factory.mktemp("on") / "project", **{LAW: DECIDED})


@pytest.fixture(scope="module", autouse=True)
def looked_once():
    """The planted values of the proof are looked for once here and not at each erasure (test_residue.py tries them)."""
    with pytest.MonkeyPatch.context() as patch:
        seen = cache(lambda: controls(Path(os.environ.get("TMPDIR", "/tmp"))))
        patch.setattr("pipelines.assurance.residue.home.controls", lambda _: seen())
        yield


def market(home: Home) -> Home:
    """Two members and a third, who trade: a sale of hers, one that is held, one of the others, one that is old."""
    made = Market("a").member(ME, email="kqxstay@exemple.fr", member_name="kqxstayname", first_name="kqxstayfirst", city="kqxstayville").member(OTHER)
    made.member("third").sale("mine", ME, OTHER, "2026-02-10", offer_id="offer1", card_last4="4242").sale("held", ME, "third", "2026-02-11")
    made.sale("others", OTHER, "third", "2026-02-12").sale("old", OTHER, "third", "2025-03-10 23:59", price_eur="99.50", card_last4="7777")
    made.post("p1", ME, when="2026-02-10").post("p2", OTHER, when="2026-02-10", body="merci kqxstayname")
    made.event("e", ME, "kqxstay-device", "2026-02-20", "necessary").load(home, LOADED)
    holds.place(home, "transactions", "held", "claim 7", date(2027, 1, 1), at(LOADED))
    return home


@pytest.fixture(scope="module")
def before(kept, tmp_path_factory) -> Home:
    with under(kept):
        return market(new_home(tmp_path_factory.mktemp("archive") / "home"))


@pytest.fixture
def home(before, kept, tmp_path, monkeypatch) -> Home:
    """The market under the rule that is on."""
    monkeypatch.setenv("KAMPEKY_PROJECT", str(kept))
    return copy_home(before, tmp_path / "home")


def ask(home: Home, *members: str, when: str = ERASED) -> str:
    opened_request = requests.open_request(home, "erasure", members[0] if len(members) == 1 else members, None, at(when), "opener")["request_id"]
    erasure.approve(home, opened_request, "second person", at(when))
    return opened_request


def erase(home: Home, *members: str, when: str = ERASED) -> str:
    request = ask(home, *members, when=when)
    assert requests.process(home, request, at(when))["state"] == "done"
    return request


def archived(home: Home, rule: str = LAW, dataset: str = "transactions") -> dict[str, dict[str, Any]]:
    """Key → record of the archive, by column."""
    columns = [name for (name,) in query(home, f"archive/{rule}", "select column_name from duckdb_columns() where database_name = 'lake' and "
                                         "table_name = ? order by column_index", dataset)]
    rows = query(home, f"archive/{rule}", f"select * from lake.main.{dataset}")
    assert len({row[0] for row in rows}) == len(rows), "each record once"
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def sales(home: Home) -> dict[str, dict[str, Any]]:
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in raw(home, "transactions", ", ".join(COLUMNS))}


def lines(plan: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    """What a plan says of archives."""
    return [(e["zone"], e["dataset"], e["action"], e["due"]) for e in plan["datasets"] if e["rule"] == "C-10.8"]


def all_well(home: Home) -> None:
    found = [check for what in ("residue", "ledger") for check in verify(home, what, None)["checks"] if not check["ok"]]
    assert not found
    assert not [one for one in derived(home, rules(), {name: {} for name in rules().policy.built}) if one.differences and "marts" not in one.store]


def trace(home: Home) -> list[Path]:
    """Files and folders that an archive has, but for locks, which hold nothing."""
    return [path for path in home.root.rglob("*") if "archive" in path.name and path.parent != home.locks]


# --- none is on ---


def test_by_default_no_rule_is_on_and_each_candidate_fits_its_contract():
    policy = house.rulebook().policy
    assert list(policy.legal_archive) == [LAW, "tax_records", AUTHORS] and not policy.archives
    assert not [name for name in key_names(policy) if "archive" in name]


def test_with_none_on_nothing_is_archived_and_no_plan_home_or_certificate_has_a_trace_of_it(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    (home.keys / f"{archive_key(LAW)}.key").unlink()
    assert rules().policy.archives == {}
    request = erase(home, ME)
    plan = make_plan(home, rules(), at(DUE))
    assert lines(plan) == [] and {(e["dataset"], e["action"]) for e in plan["datasets"] if e["due"]} == {("transactions", "delete")}
    run_retention(home, DUE)
    told, page = erasure.certificate_of(home, request)
    assert [k.get("law") for k in told["kept"]] == [None] and "C-10.8" not in page + json.dumps(told)
    assert trace(home) == [] and not [e for e in ledger.read(home) if "C-10.8" in json.dumps(e.facts)]
    assert set(sales(home)) == {"mine", "held", "others"} and sales(home)["mine"]["buyer_id"] is None
    all_well(home)


# --- retention ---


def test_retention_archives_the_listed_columns_of_what_goes_and_nothing_else(home):
    was = sales(home)
    plan = make_plan(home, rules(), at(DUE))
    assert lines(plan) == [(f"archive/{LAW}", "transactions", "archive", 1), (f"archive/{LAW}", "transactions", "delete", 0)]
    done = run_retention(home, DUE)
    assert done["left"] == 0
    found = archived(home)
    assert set(found) == {"old"}, "what does not go stays where it is, alone"
    assert found["old"] == was["old"] | {"archived_on": date(2026, 4, 10), "ends_on": date(2035, 3, 10)}
    assert found["old"]["price_eur"] == Decimal("99.50") and list(found["old"]) == [*COLUMNS, "archived_on", "ends_on"]
    assert set(sales(home)) == {"mine", "held", "others"} and [path.name for path in (home.root / "zones" / "archive").iterdir()] == [LAW]
    assert where_found(home, {"digits of a card": "7777"})["digits of a card"] == set(), "a column that no rule lists is gone from every file"
    told = json.loads((home.evidence / "certificates" / done["certificate"]).read_text())
    assert [(e["action"], e["due"]) for e in told["archived"]] == [("archive", 1)] and not [e for e in told["removed"] if e["action"] == "archive"]
    all_well(home)


def test_what_is_archived_stays_as_it_was_until_its_day_and_goes_on_it_from_every_file(home):
    run_retention(home, DUE)
    was = archived(home)["old"]
    run_retention(home, "2026-04-11")
    assert archived(home) == {"old": was}
    later = make_plan(home, rules(), at("2035-03-09"))
    assert (f"archive/{LAW}", "transactions", "delete", 0) in lines(later)
    retention.apply(home, retention.write_plan(home, later), confirm=later["hash"])
    assert archived(home)["old"] == was and {"mine", "others"} < set(archived(home)), "the day before; the others went meanwhile"
    place = {"the old sale": "99.50"}
    assert all(place.startswith(f"zones/archive/{LAW}/") for place in where_found(home, place)["the old sale"]) and where_found(home, place)[
        "the old sale"]
    plan = make_plan(home, rules(), at(ENDS))
    assert (f"archive/{LAW}", "transactions", "delete", 1) in lines(plan)
    run_retention(home, ENDS)
    assert "old" not in archived(home) and {"mine", "others"} <= set(archived(home))
    assert where_found(home, place)["the old sale"] == set()
    all_well(home)


def test_a_record_that_no_law_keeps_any_more_is_not_archived_when_it_goes(home):
    """Its day would have come already: of a run so late that ten years are over nothing is copied."""
    plan = make_plan(home, rules(), at("2036-02-12"))
    assert (f"archive/{LAW}", "transactions", "archive", 0) in lines(plan) and not archive_lake(home, LAW).catalog.exists()
    eve = make_plan(home, rules(), at("2036-02-11"))
    assert (f"archive/{LAW}", "transactions", "archive", 1) in lines(eve), "the sale of 12 February ends a day later"


# --- erasure ---


@pytest.fixture(scope="module")
def after(before, kept, tmp_path_factory) -> tuple[Home, str]:
    with under(kept):
        home = copy_home(before, tmp_path_factory.mktemp("erased") / "home")
        return home, erase(home, ME)


@pytest.fixture
def erased(after, kept, tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("KAMPEKY_PROJECT", str(kept))
    return copy_home(after[0], tmp_path / "home")


WORDS = {"id": ME, "email": "kqxstay@exemple.fr", "name": "kqxstayname", "first name": "kqxstayfirst", "town": "kqxstayville",
         "device": "kqxstay-device", "digits": "4242"}


def test_a_sale_of_an_erased_member_is_archived_whole_and_everything_else_of_hers_is_gone(before, erased):
    assert archived(erased) == {"mine": sales(before)["mine"] | {"archived_on": date(2026, 4, 2), "ends_on": date(2036, 2, 10)}}
    was, now = sales(before), sales(erased)
    assert now["mine"] == was["mine"] | {"buyer_id": None} and now["others"] == was["others"], "the other party's side stays"
    places = where_found(erased, WORDS)
    hers, digits = places.pop("id"), places.pop("digits")
    assert not {name: found for name, found in places.items() if found}
    assert any(place.startswith(f"zones/archive/{LAW}/") for place in hers) and any(place.startswith("zones/raw/") for place in hers), "one is held"
    assert all(place.startswith((f"zones/archive/{LAW}/", "zones/raw/")) for place in hers)
    assert not [place for place in digits if "archive" in place]
    all_well(erased)


def test_what_a_hold_keeps_is_not_archived_and_stays_whole(before, erased):
    assert sales(erased)["held"] == sales(before)["held"] and "held" not in archived(erased)


def test_the_plan_and_the_certificate_say_which_law_keeps_how_many_records_until_when(after, kept):
    home, request = after
    with under(kept):
        told, page = erasure.certificate_of(home, request)
    law = house.rulebook().policy.legal_archive[LAW].law
    assert told["kept"][1:] == [{"archive": LAW, "law": law, "dataset": "transactions", "records": 1, "until": "2036-02-10"}]
    assert [k["reason"] for k in told["kept"][:1]] == ["claim 7"]
    assert "jusqu’au 2036-02-10" in page and "until 2036-02-10" in page and "Code de commerce" in page
    assert told["residue"]["ok"] and told["residue"]["kept"] > 0 and told["left"] == 0
    assert not [e for e in told["removed"] if e["action"] == "archive"], "what is copied is no removal"
    assert ME not in page + json.dumps(told)


def test_the_approval_shows_it_apart_from_what_goes(home):
    request = requests.open_request(home, "erasure", ME, None, at(ERASED), "opener")["request_id"]
    shown = house.kampeky("request", "approve", request, "--by", "second", "--as-of", ERASED.replace(" ", "T") + ":00+02:00", "--home", home.root)
    assert shown.code == 0 and "Code de commerce" in shown.out and "2036-02-10" in shown.out and "claim 7" in shown.out


def test_the_same_value_in_any_other_place_still_fails_the_proof(home):
    request = ask(home, ME)
    (home.evidence / "note.txt").write_text(f"about {ME}\n")
    with pytest.raises(KampekyError, match=r"evidence/note\.txt"):
        requests.process(home, request, at(ERASED))
    assert set(archived(home)) == {"mine"}
    (home.evidence / "note.txt").unlink()
    assert requests.process(home, request, at(ERASED))["state"] == "done"
    assert set(archived(home)) == {"mine"}
    all_well(home)


def test_afterwards_the_tombstones_tell_what_an_archive_keeps_from_what_came_back(erased):
    found = {check["name"]: check for check in verify(erased, "residue", None)["checks"]}
    assert found["tombstones"]["ok"] and found["tombstones"]["detail"].endswith(f"none; kept for a law (C-10.8): 1 in archive/{LAW}")
    assert tombs.search(erased, rules())[1:] == ([], [(f"archive/{LAW}", 1)])
    erase(erased, OTHER, when="2026-04-03")  # who stands in an archive alone, while a hold names the other one
    (erased.evidence / "note.txt").write_text(f"about {OTHER}\n")
    assert "evidence/note.txt" in {c["name"]: c["detail"] for c in verify(erased, "residue", None)["checks"] if not c["ok"]}["tombstones"]


def test_who_asks_for_an_id_is_told_that_it_stands_in_an_archive(erased):
    answer = {c["name"]: c for c in verify(erased, "residue", None, None, [ME])["checks"]}["identifiers"]
    assert f"zones/archive/{LAW}/" in answer["detail"]
    assert {c["name"]: c for c in verify(erased, "residue", None, None, ["kqxstayname"])["checks"]}["identifiers"]["ok"]


def test_in_an_archive_only_its_records_may_hold_a_value_and_not_what_was_deleted_from_it(erased):
    looked = Looked((("member", ME),))
    found = look(erased, rules(), looked, last_deletion(erased))
    assert {one["file"].split("/")[1] for one in found.found} == {"raw"} and found.kept, "the record that is held, which nobody said may name her"
    with opened(archive_lake(erased, LAW), "test", write=True) as connection:
        connection.execute("delete from lake.main.transactions where transaction_id = 'mine'")
    found = look(erased, rules(), looked, last_deletion(erased))
    assert "archive" in {one["file"].split("/")[1] for one in found.found}


def test_a_second_erasure_tells_of_the_record_too_and_changes_nothing_in_the_archive(erased):
    was = archived(erased)["mine"]
    request = erase(erased, OTHER, when="2026-04-03 12:00")
    found = archived(erased)
    assert found["mine"] == was and set(found) == {"mine", "others", "old"}
    assert [(k["records"], k["until"]) for k in erasure.certificate_of(erased, request)[0]["kept"]] == [(3, "2036-02-12")]
    assert set(sales(erased)) == {"held", "others", "old"}, "of the sale of two who are erased nothing is left but the archive"
    run_retention(erased, "2026-06-01")
    assert archived(erased)["mine"] == was
    all_well(erased)


def test_very_many_members_are_proved_gone_by_hashes_and_what_is_archived_counts_as_kept(home, monkeypatch):
    monkeypatch.setattr("pipelines.workflows.residue.MANY", 3)
    told = erasure.certificate_of(home, erase(home, ME))[0]["residue"]
    assert told["ok"] and told["hashed"] and told["kept"] >= 1


def test_an_account_is_kept_from_its_own_end_on(before, tmp_path):
    """Deleted in March, erased in April: the law's five years run from March. Erased while it lives: from that day."""
    folder = project(tmp_path / "project", **{AUTHORS: DECIDED})
    with under(folder):
        home = copy_home(before, tmp_path / "home")
        shutil.copy(home.keys / f"{archive_key(LAW)}.key", home.keys / f"{archive_key(AUTHORS)}.key")
        (home.keys / f"{archive_key(LAW)}.key").unlink()
        Market("b").member("left", deleted_at=stamp("2026-03-01 12:00"), updated_at=stamp("2026-03-20")).load(home, LOADED)
        erase(home, ME, "left")
        found = archived(home, AUTHORS, "members")
        assert {name: row["ends_on"] for name, row in found.items()} == {"left": date(2031, 3, 1), ME: date(2031, 4, 2)}
        assert (found[ME]["first_name"], found[ME]["email"]) == ("kqxstayfirst", "kqxstay@exemple.fr") and "member_name" not in found[ME]
        places = where_found(home, WORDS)
        assert places["email"] and all(f"zones/archive/{AUTHORS}/" in place for place in places["email"] | places["first name"] | places["town"])
        assert places["name"] == set(), "a name that no rule lists is gone"
        all_well(home)


# --- a kill between the copy and the deletion ---


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_kill_between_archive_and_deletion_leaves_no_duplicate_and_loses_nothing(home, after, monkeypatch):
    request = ask(home, ME)
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "_act_on_raw", stopped)
        with pytest.raises(KeyboardInterrupt):
            requests.process(home, request, at(ERASED))
    was = archived(home)
    assert set(was) == {"mine"} and sales(home)["mine"]["buyer_id"] == ME, "copied, and still there"
    assert requests.process(home, request, at("2026-04-03 12:00"))["state"] == "done"
    assert archived(home) == was == archived(after[0]) and sales(home) == sales(after[0])
    assert erasure.certificate_of(home, request)[0]["kept"][1]["records"] == 1


def test_a_retention_run_that_was_killed_there_is_finished_by_the_same_plan_or_by_a_new_one(home, tmp_path, monkeypatch):
    plan = Path(retention.plan(home, at(DUE))["plan"])
    with monkeypatch.context() as patch:
        patch.setattr(applying, "_act_on_raw", stopped)
        with pytest.raises(KeyboardInterrupt):
            retention.apply(home, plan)
    other = copy_home(home, tmp_path / "other")
    assert set(archived(home)) == {"old"} and "old" in sales(home)
    retention.apply(home, plan)
    made = make_plan(other, rules(), at(DUE))
    assert (f"archive/{LAW}", "transactions", "archive", 0) in lines(made), "it is there already"
    run_retention(other, DUE)
    for one in (home, other):
        assert set(archived(one)) == {"old"} and "old" not in sales(one)


# --- who may open it ---


def test_nobodys_role_opens_an_archive_and_it_opens_with_its_own_key_alone(erased, tmp_path):
    names = key_names(rules().policy)
    assert archive_key(LAW) in names and not [role for role, held in rules().policy.roles.items() if archive_key(LAW) in held]
    rule = house.rules_with(tmp_path, "policy.yaml", "keys: [raw, vault]}", f"keys: [raw, vault, {archive_key(LAW)}]}}")
    with pytest.raises(Refused, match="is unknown"):
        load_rulebook(rule)
    catalog = archive_lake(erased, LAW).catalog
    for name in (name for name in names if name != archive_key(LAW)):
        secret, connection = (erased.keys / f"{name}.key").read_text().strip(), connect(tmp_path)
        with pytest.raises(Error):
            connection.execute(f"attach '{catalog}' as db (read_only, encryption_key '{secret}')")
        connection.close()
    assert [path.stat().st_mode & 0o077 for path in (archive_lake(erased, LAW).folder, erased.keys / f"{archive_key(LAW)}.key")] == [0, 0]


def test_a_lost_key_is_no_reason_to_make_another(erased):
    (erased.keys / f"{archive_key(LAW)}.key").unlink()
    with pytest.raises(Unavailable, match=archive_key(LAW)):
        init(erased)


# --- a rule that is changed, or off again ---


def test_a_rule_that_is_off_again_has_its_records_its_files_and_its_key_destroyed_by_the_next_run(erased, tmp_path, monkeypatch):
    monkeypatch.setenv("KAMPEKY_PROJECT", str(project(tmp_path / "off", **{LAW: {"on": False}})))
    assert lines(make_plan(erased, rules(), at("2026-04-05"))) == [(f"archive/{LAW}", "all of it, with its key", "delete", 1)]
    request = requests.open_request(erased, "erasure", OTHER, None, at("2026-04-04"), "opener")["request_id"]
    with pytest.raises(Refused, match=f"{LAW} are off") as refused:
        erasure.approve(erased, request, "second", at("2026-04-04"))
    assert refused.value.rule == "C-10.8"
    run_retention(erased, "2026-04-05")
    assert trace(erased) == [] and lines(make_plan(erased, rules(), at("2026-04-05"))) == []
    places = where_found(erased, {"id": ME})["id"]
    assert places and all(place.startswith("zones/raw/") for place in places), "the record that is held"
    all_well(erased)
    erasure.approve(erased, request, "second", at("2026-04-05"))


def test_of_two_rules_the_one_that_is_off_again_goes_alone(before, tmp_path):
    with under(project(tmp_path / "two", **{LAW: DECIDED, "tax_records": DECIDED})):
        home = copy_home(before, tmp_path / "home")
        init(home)
        erase(home, ME)
        assert {name: list(archived(home, name)) for name in (LAW, "tax_records")} == {LAW: ["mine"], "tax_records": ["mine"]}
        assert archived(home, "tax_records")["mine"]["ends_on"] == date(2032, 2, 10) and "offer_id" not in archived(home, "tax_records")["mine"]
    with under(project(tmp_path / "one", tax_records=DECIDED)):
        run_retention(home, "2026-04-05")
        assert {path.name for path in trace(home)} == {"archive", "archive_tax_records.key"}
        assert list(archived(home, "tax_records")) == ["mine"]
        all_well(home)


def test_an_archive_of_many_records_does_not_end_by_a_slip_in_the_policy(before, tmp_path):
    """The guard: more than a hundred records, and half of what is there, wait for a person (C-10.4)."""
    with under(project(tmp_path / "on", **{LAW: DECIDED})):
        home, made = copy_home(before, tmp_path / "home"), Market("m")
        for n in range(110):
            made.sale(f"s{n}", ME, OTHER, "2026-02-10")
        made.load(home, LOADED)
        erase(home, ME)
    with under(project(tmp_path / "off", **{LAW: {"on": False}})):
        made_plan = retention.plan(home, at("2026-04-05"))
        with pytest.raises(Refused, match="111 of 111 rows of archive/commercial_records"):
            retention.apply(home, Path(made_plan["plan"]))
        assert len(archived(home)) == 111
        retention.apply(home, Path(made_plan["plan"]), confirm=made_plan["hash"])
        assert trace(home) == []


def test_a_column_that_a_rule_names_no_more_leaves_the_archive_and_one_that_it_names_since_is_empty(erased, tmp_path, monkeypatch):
    less = [column for column in COLUMNS if column != "offer_id"]
    monkeypatch.setenv("KAMPEKY_PROJECT", str(project(tmp_path / "less", **{LAW: DECIDED | {"columns": [*less, "updated_at"]}})))
    assert where_found(erased, {"offer": "offer1"})["offer"] & {f"zones/archive/{LAW}/catalog.duckdb/main.ducklake_file_column_stats"}
    was = archived(erased)["mine"]
    run_retention(erased, DUE)
    found = archived(erased)
    assert list(found["mine"]) == [*less, "updated_at", "archived_on", "ends_on"] and found["mine"]["updated_at"] is None
    assert found["mine"] == {name: value for name, value in was.items() if name != "offer_id"} | {"updated_at": None}
    assert found["old"]["updated_at"] == at("2025-03-10 23:59")
    assert not [place for place in where_found(erased, {"offer": "offer1"})["offer"] if "archive" in place]
    all_well(erased)


# --- backups ---


def test_a_backup_holds_the_archive_and_a_restore_clears_it_of_nothing(erased, tmp_path):
    erase_later = ask(erased, OTHER, when="2026-04-04")
    name = backup.make(erased, at("2026-04-04"))["backup"]
    requests.process(erased, erase_later, at("2026-04-04 12:00"))
    was = archived(erased)
    new = Home(tmp_path / "new")
    done = restoring.restore(new, backups.sealed_file(erased, name), at("2026-04-05"), keys_of=erased)
    assert done["erased"] and set(was) == set(archived(new)) == {"mine", "others", "old"}
    assert archived(new)["mine"] == was["mine"] and (new.keys / f"{archive_key(LAW)}.key").exists()
    assert not [row for row in raw(new, "members", "member_id") if row in ((ME,), (OTHER,))]
    kept_there = [k for k in erasure.certificate_of(new, done["erased"])[0]["kept"] if "law" in k]
    assert [(k["records"], k["until"]) for k in kept_there] == [(3, "2036-02-12")]
    all_well(new)


def test_a_restore_brings_back_no_archive_whose_rule_is_off_and_whose_key_is_destroyed(erased, tmp_path, monkeypatch):
    erase_later = ask(erased, OTHER, when="2026-04-04")
    name = backup.make(erased, at("2026-04-04"))["backup"]
    requests.process(erased, erase_later, at("2026-04-04 12:00"))
    monkeypatch.setenv("KAMPEKY_PROJECT", str(project(tmp_path / "off", **{LAW: {"on": False}})))
    run_retention(erased, "2026-04-05")
    new = Home(tmp_path / "new")
    restoring.restore(new, backups.sealed_file(erased, name), at("2026-04-05"), keys_of=erased)
    assert trace(new) == []
    all_well(new)


# --- the policy file ---

REFUSED = [  # what the rule says instead (None: it does not say it), and what the sentence names
    ({"dataset": "sales"}, "dataset 'sales' is unknown"),
    ({"columns": [*COLUMNS, "colour"]}, "'colour' is no column of 'transactions'"),
    ({"columns": [*COLUMNS, "status"]}, "stands twice"),
    ({"columns": [*COLUMNS[1:]]}, "the key 'transaction_id' is not among the columns"),
    ({"columns": [*COLUMNS, "card_last4"]}, "'card_last4' has a limit of its own"),
    ({"dataset": "usage_events", "columns": ["event_id", "occurred_at"]}, "'occurred_at' has a limit of its own"),
    ({"dataset": "verifications", "columns": ["verification_id", "phone"]}, "'phone' has a limit of its own"),
    ({"dataset": "locations", "columns": ["latitude", "device_id"]}, "'latitude' has a limit of its own"),
    ({"dataset": "members", "columns": ["member_id", "friends_count"]}, "'friends_count' has a limit of its own"),
    ({"dataset": "members", "columns": ["member_id", "about"]}, "'about' is free text"),
    ({"dataset": "access_logs", "columns": ["requested_at"]}, "no single key column"),
    ({"period": "P13M"}, "not longer than what C-10.2 gives"),
    ({"period": "P396D"}, "not longer than what C-10.2 gives"),
    ({"dataset": "members", "columns": ["member_id"], "period": "P3M"}, "not longer than what C-10.3 gives"),
    ({"period": "ten years"}, "ISO-8601"),
    ({"on": None}, "'on' is missing"),
    ({"on": "yes"}, "'on' is missing or no yes or no"),
    ({"on": True}, "'decided' is missing"),
    ({"on": True, "decided": " "}, "'decided' says in words"),
    ({"clause": "C-10.2"}, "its clause is C-10.8"),
    ({"zone": "raw"}, "'zone' is unknown"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_a_rule_that_is_no_good_is_refused_in_one_sentence(tmp_path, words, sentence):
    with pytest.raises(Refused, match="legal_archive") as refused:
        load_rulebook(project(tmp_path / "bad", **{LAW: words}) / "data_contracts")
    assert sentence in str(refused.value)
    assert "C-10.8" in str(refused.value) or sentence in ("ISO-8601", "'zone' is unknown")


def test_the_pages_tell_of_a_rule_that_is_on_where_they_say_how_long_and_of_candidates_as_such(tmp_path):
    off, on = pages(house.rulebook()), pages(load_rulebook(project(tmp_path / "on", **{LAW: DECIDED}) / "data_contracts"))
    changed = {path for path in on if on[path] != off[path]}
    assert changed == {"docs/retention.md", "docs/datasets/transactions.md", "docs/art30.md"}
    for path in changed:
        assert "L123-22" in on[path] and DECIDED["decided"] in on[path] and "10 years" in on[path] and DECIDED["decided"] not in off[path]
    assert off["docs/retention.md"].count("| off |") == 3 and on["docs/retention.md"].count("| off |") == 2


@pytest.mark.parametrize("name", ["Commercial", "../raw", "a-b", "analytics", ""])
def test_a_rule_is_named_as_a_folder_and_a_key_can_be(tmp_path, name):
    rule = yaml.safe_load((house.RULES / "policy.yaml").read_text())["legal_archive"][LAW]
    with pytest.raises(Refused, match="names a folder and a key"):
        load_rulebook(project(tmp_path / "bad", **{name: rule}) / "data_contracts")


def test_a_dataset_of_which_nobody_could_say_from_which_day_is_refused(tmp_path):
    folder = project(tmp_path / "bad", **{LAW: {"dataset": "social_links", "columns": ["link_id"]}}) / "data_contracts"
    text = (folder / "social_links.odcs.yaml").read_text()
    assert "property: clock" in text
    clockless = "\n".join(line for line in text.splitlines() if "property: clock" not in line)
    (folder / "social_links.odcs.yaml").write_text(clockless)
    with pytest.raises(Refused, match="has no clock") as refused:
        load_rulebook(folder)
    assert refused.value.rule == "C-10.8"


def test_the_same_words_with_a_decision_are_taken_and_on_may_be_written_bare(tmp_path):
    folder = project(tmp_path / "good", **{LAW: DECIDED}) / "data_contracts"
    text = (folder / "policy.yaml").read_text()
    assert load_rulebook(folder).policy.archives[LAW].decided == DECIDED["decided"]
    (folder / "policy.yaml").write_text(text.replace("'on': true", "on: true"))
    assert list(load_rulebook(folder).policy.archives) == [LAW]
    without = yaml.safe_load(text)
    del without["legal_archive"]
    (folder / "policy.yaml").write_text(yaml.safe_dump(without, sort_keys=False))
    assert load_rulebook(folder).policy.legal_archive == {}, "a policy without the section archives nothing"


OFF, ON, TOLD = {"on": False}, DECIDED, ("members",)
CHANGES = [  # before, after, (where it stands below the rule, what, whom it concerns) of each change
    (OFF, ON, [("", "turned on", TOLD)]),
    (ON, OFF, [("", "turned off", ())]),
    (ON, ON | {"period": "P11Y"}, [("", "longer", TOLD)]),
    (ON, ON | {"period": "P9Y"}, [("", "shorter", ())]),
    (ON, ON | {"columns": [*COLUMNS, "updated_at"]}, [(".columns", "added", TOLD)]),
    (ON, ON | {"columns": [*COLUMNS[:-1]]}, [(".columns", "removed", ())]),
    (ON, ON | {"law": "another law"}, [("", "another law", TOLD)]),
    (OFF, OFF | {"period": "P11Y", "columns": [*COLUMNS, "updated_at"]}, [(".columns", "added", ()), ("", "longer", ())]),
]


@pytest.mark.parametrize(("old", "new", "changes"), CHANGES)
def test_members_are_told_of_a_rule_that_is_turned_on_lengthened_or_given_more_columns(tmp_path, old, new, changes):
    one, other = (load_rulebook(project(tmp_path / name, **{LAW: words}) / "data_contracts") for name, words in (("old", old), ("new", new)))
    assert [(c.where.removeprefix(f"policy: legal_archive.{LAW}"), c.change, c.concerns) for c in compare_rules(one, other)] == changes
