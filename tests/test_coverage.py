"""The coverage rule: whatever a rule does not say is named, all of it at once, and a store holds what a contract declares, both ways."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import house
import pytest
import yaml
from small_market import BUILT, at, copy_home, new_home, shared_town

from pipelines.engines.duckdb_engine import quote_name
from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.identity.vault import opened_vault
from pipelines.lake.store import opened, purpose_lake, raw_lake
from pipelines.policy.coverage import Difference, Missing, compare, missing
from pipelines.policy.rulebook import load_rulebook
from pipelines.workflows.build import build
from pipelines.workflows.contracts import check_stores, refuse_undeclared


def documents() -> dict[str, dict[str, Any]]:
    return {path.name: yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in sorted(house.RULES.glob("*.yaml"))}


# --- words ---

MEMBERS = "members.odcs.yaml"
WORDS = {  # what is taken out of the members' contract → how the refusal names it
    "format": (None, "format"),
    "subjects": (None, "subjects"),
    "erasure": (None, "erasure"),
    "holding": (None, "holding"),
    "badRows": (None, "badRows"),
    "retention": (None, "retention (slaProperties)"),
    "frequency": (None, "frequency (slaProperties)"),
    "dataGranularityDescription": (None, "grain (dataGranularityDescription)"),
    "quality": (None, "volume (quality rowCount)"),
}
COLUMN_WORDS = ("category", "identifiability", "visibility", "export")


def without(documents: dict[str, Any], file: str, word: str, column: str | None = None) -> None:
    """Take `word` away from the table, the column, or the file as a whole."""
    table = documents[file]["schema"][0]
    place = table if column is None else next(p for p in table["properties"] if p["name"] == column)
    place.pop(word, None)
    place["customProperties"] = [p for p in place["customProperties"] if p["property"] != word]
    if column is None:
        documents[file]["slaProperties"] = [p for p in documents[file]["slaProperties"] if p["property"] != word]


def test_the_rules_as_they_are_lack_nothing():
    assert missing(documents()) == []


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_a_dataset_does_not_say_is_named(word):
    given = documents()
    without(given, MEMBERS, word)
    assert missing(given) == [Missing(MEMBERS, *WORDS[word])]


@pytest.mark.parametrize("word", ["description", "physicalType", *COLUMN_WORDS])
def test_a_word_that_a_column_does_not_say_is_named_with_the_column(word):
    given = documents()
    without(given, MEMBERS, word, "email")
    assert missing(given) == [Missing(MEMBERS, "column email", word)]


def test_erasure_is_asked_of_a_column_only_where_the_row_stays():
    given = documents()
    without(given, "transactions.odcs.yaml", "erasure", "price_eur")
    assert missing(given) == [Missing("transactions.odcs.yaml", "column price_eur", "erasure")]


def test_a_clock_is_asked_for_where_a_rule_runs_from_the_event():
    given = documents()
    without(given, "usage_events.odcs.yaml", "clock")
    without(given, MEMBERS, "clock")  # its one rule runs from the account's end
    assert [(m.file, m.word[:26]) for m in missing(given)] == [("usage_events.odcs.yaml", "clock (C-10.1, C-10.9 runs")]


@pytest.mark.parametrize("export", ["none", {"access_only": None}, {"none": ""}])
def test_an_export_that_holds_back_says_why(export):
    given = documents()
    without(given, MEMBERS, "export", "email")
    next(p for p in given[MEMBERS]["schema"][0]["properties"] if p["name"] == "email")["customProperties"].append(
        {"property": "export", "value": export})
    assert missing(given) == [Missing(MEMBERS, "column email", "export's reason")]


POLICY_WORDS = [("categories", "profile", "clause"), ("purposes", "analytics", "audience"), ("recipients", "group", "safeguard"),
                ("retention", "C-10.1", "periods"), ("retention", "C-10.3", "after_deletion"), ("consent_kinds", "location", "scope"),
                ("rights", "objection", "deadline")]


@pytest.mark.parametrize(("section", "name", "word"), POLICY_WORDS, ids=lambda value: value)
def test_an_entry_of_the_policy_that_does_not_say_a_word_is_named(section, name, word):
    given = documents()
    del given["policy.yaml"][section][name][word]
    assert missing(given) == [Missing("policy.yaml", f"{section}.{name}", word)]


def test_everything_that_is_missing_is_told_at_once_and_ends_with_3(tmp_path, monkeypatch):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "data_contracts"))
    given = documents()
    without(given, MEMBERS, "holding")
    without(given, MEMBERS, "category", "email")
    without(given, MEMBERS, "export", "email")
    without(given, "wallets.odcs.yaml", "visibility", "member_id")
    for file in (MEMBERS, "wallets.odcs.yaml"):
        house.put(folder / file, yaml.dump(given[file]))
    monkeypatch.setenv("KAMPEKY_PROJECT", str(tmp_path))
    refused = house.kampeky("contracts", "check", "--home", tmp_path / "none", "--json")
    assert refused.code == 3
    assert ("4 words are missing. members.odcs.yaml: lacks holding; column email lacks category, export. "
            "wallets.odcs.yaml: column member_id lacks visibility. Write them") in refused.sentence


@pytest.mark.parametrize("shape", [[], "text", {"schema": "text"}, {"schema": [[]], "slaProperties": {}}, {"schema": [{"properties": [None, 3]}]}])
def test_a_document_of_any_shape_is_looked_through_without_a_crash(tmp_path, shape):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    house.put(folder / "wallets.odcs.yaml", yaml.dump(shape))
    with pytest.raises(Refused):
        load_rulebook(folder)


# --- shapes ---

DECLARED = {"main.members": {"member_id": "VARCHAR", "age": "BIGINT"}, "main.posts": {"author_id": "VARCHAR"}}


@pytest.mark.parametrize(
    ("found", "keys", "differs"),
    [
        (DECLARED, {}, []),
        ({}, {}, []),  # never written
        (DECLARED | {"main.notes": {"x": "BIGINT"}}, {}, [("main.notes", None, "undeclared")]),
        (DECLARED | {"main.notes": {"author_id": "VARCHAR"}}, {"main.notes": frozenset({"author_id"})}, [("main.notes", None, "person_key")]),
        ({"main.members": DECLARED["main.members"]}, {}, [("main.posts", None, "missing")]),
        (DECLARED | {"main.posts": {"author_id": "VARCHAR", "x": "DATE"}}, {}, [("main.posts", "x", "undeclared")]),
        (DECLARED | {"main.posts": {}}, {}, [("main.posts", "author_id", "missing")]),
        (DECLARED | {"main.posts": {"author_id": "UUID"}}, {}, [("main.posts", "author_id", "type")]),
    ],
    ids=["equal", "never written", "table", "table with a person key", "missing table", "column", "missing column", "type"],
)
def test_a_store_is_compared_with_the_rules_both_ways(found, keys, differs):
    assert [(d.table, d.column, d.kind) for d in compare("raw", DECLARED, found, keys)] == differs
    assert all(isinstance(d, Difference) and d.store == "raw" for d in compare("raw", DECLARED, found, keys))


# --- stores ---


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return shared_town(tmp_path_factory)


@pytest.fixture
def home(town, tmp_path):
    return copy_home(town, tmp_path / "home")


def plant(home: Home, store: str, *statements: str) -> None:
    """Run SQL in a store; its tables are lake.main.<table>, of the vault vault.<table>."""
    opening = opened_vault(home, "test", write=True) if store == "vault" else opened(
        raw_lake(home) if store == "raw" else purpose_lake(home, store), "test", write=True)
    with opening as connection:
        for statement in statements:
            connection.execute(statement)


def refusal(home: Home) -> str:
    """What `contracts check` says of the stores, without its checks of the rules alone."""
    with pytest.raises(Refused) as refused:
        check_stores(home, house.rulebook())
    return str(refused.value)


def test_the_command_refuses_with_3(home):
    plant(home, "raw", "create table lake.main.notes (x integer)")
    refused = house.kampeky("contracts", "check", "--home", home.root)
    assert (refused.code, "raw: main.notes: no contract declares it" in refused.sentence) == (3, True)


def test_a_home_after_a_build_has_the_shape_of_its_contracts_in_every_store(home):
    found = house.kampeky("contracts", "check", "--home", home.root, "--json").json
    published = {f"marts/{name}" for name in house.rulebook().policy.built if home.mart(name).exists()}
    assert {store["store"] for store in found["stores"]} == {"raw", "vault", *published, *(
        f"pseudonymised/{name}" for name in house.rulebook().policy.built)} and len(published) > 1
    assert found["stored_columns_compared"] == sum(store["columns"] for store in found["stores"]) > 300


PLANTED = [  # store, SQL, what the refusal says
    ("raw", "create table lake.main.notes (x integer)", "raw: main.notes: no contract declares it"),
    ("raw", "create table lake.quarantine.notes (x integer)", "raw: quarantine.notes: no contract declares it"),
    ("raw", "create table lake.platform.notes (x integer)", "raw: platform.notes: no contract declares it"),
    ("raw", "create schema lake.own; create table lake.own.notes (x integer)", "raw: own.notes: no contract declares it"),
    ("raw", "create table lake.main.notes (seller_id varchar)", "raw: main.notes holds a person key (seller_id) that nobody declared"),
    ("raw", "create table lake.main.notes (x uuid)", "raw: main.notes holds a person key (x) that nobody declared"),
    ("raw", "create table lake.main.notes as select author_id as whoever from lake.main.forum_posts", "holds a person key (whoever)"),
    ("raw", "alter table lake.main.offers add column buyer_id varchar", "raw: main.offers.buyer_id holds a person key (buyer_id)"),
    ("raw", "alter table lake.main.offers add column note varchar", "raw: main.offers.note: no contract declares it"),
    ("raw", "alter table lake.main.offers drop column title", "raw: main.offers.title: declared, but not there"),
    ("raw", "drop table lake.main.wallets", "raw: main.wallets: declared, but not there"),
    ("vault", "create table vault.notes (x integer)", "vault: notes: no contract declares it"),
    ("vault", "create table vault.notes as select member_id as x from vault.subjects", "vault: notes holds a person key (x)"),
    ("vault", "alter table vault.holds add column x integer", "vault: holds.x: no contract declares it"),
    ("analytics", "create table lake.main.copy as select pseudonym::varchar as label from lake.main.members",
     "pseudonymised/analytics: copy holds a person key (label)"),
    ("analytics", "alter table lake.main.members add column email varchar", "pseudonymised/analytics: members.email: no contract declares it"),
    ("advertising", "drop table lake.main.forum_posts", "pseudonymised/advertising: forum_posts: declared, but not there"),
]


# one of each kind in every run, the others with the long ones
SHORT = ("raw: main.notes holds a person key (seller_id)", "holds a person key (whoever)", "raw: main.offers.note:", "raw: main.wallets:",
         "vault: notes:", "pseudonymised/analytics: copy")


@pytest.mark.parametrize(("store", "sql", "says"), [pytest.param(*case, marks=() if case[2].startswith(SHORT) else pytest.mark.long)
                                                    for case in PLANTED], ids=[case[1][:60] for case in PLANTED])
def test_what_a_store_and_the_contracts_differ_in_is_refused(home, store, sql, says):
    plant(home, store, sql)
    assert says in refusal(home)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("create table mart.notes (x integer)", "marts/analytics: notes: no contract declares it"),
        ("create table mart.notes (pseudonym uuid)", "marts/analytics: notes holds a person key (pseudonym)"),
        ("alter table mart.user_profiles alter gender type integer using 1", "marts/analytics: user_profiles.gender: INTEGER, declared as VARCHAR"),
    ],
)
def test_a_published_mart_that_is_not_its_declaration_is_refused(home, table, says):
    connection = house.engine.connect(home.tmp, extensions=())
    connection.execute(f"attach '{home.mart('analytics')}' as mart; {table}; detach mart")
    connection.close()
    assert says in refusal(home)


@pytest.mark.parametrize("place", ["zones/pseudonymised/payments/catalog.duckdb", "marts/payments.duckdb", "zones/scratch/x"])
def test_a_store_that_no_purpose_has_is_refused(home, place):
    house.put(home.root / place, b"x")
    assert "no purpose of the policy has it" in refusal(home)


def test_a_home_that_was_never_written_to_lacks_nothing(tmp_path):
    assert house.kampeky("init", "--home", tmp_path / "home").code == 0
    assert house.kampeky("contracts", "check", "--home", tmp_path / "home", "--json").json["stores"] == []


def test_a_build_is_refused_over_a_person_key_that_nobody_declared_and_publishes_nothing(home):
    plant(home, "raw", "create table lake.main.notes (member_id varchar)")
    with pytest.raises(Refused, match="holds a person key"):
        build(home, at(BUILT), ["analytics"])
    failed = ledger.read(home)[-1]
    assert (failed.act, failed.facts["published"]) == ("build failed", True), "what was published before stays, without who is out by now"
    plant(home, "raw", "drop table lake.main.notes")
    plant(home, "analytics", f"create table lake.main.{quote_name('left over')} (x integer)")  # what a build makes anew does not stop it
    build(home, at(BUILT), ["analytics"])
    assert house.kampeky("contracts", "check", "--home", home.root).code == 0


def test_a_build_is_refused_over_a_mart_that_the_policy_does_not_name(tmp_path):
    book = house.rulebook()
    analytics = book.policy.purposes["analytics"]
    fewer = replace(analytics, marts=tuple(mart for mart in analytics.marts if mart != "cohorts"))
    less = replace(book, policy=replace(book.policy, purposes={**book.policy.purposes, "analytics": fewer}))
    with pytest.raises(Refused, match=r"Marts of 'analytics': cohorts must stand in policy\.yaml"):
        refuse_undeclared(new_home(tmp_path / "home"), less)
