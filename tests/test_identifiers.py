"""No identifier of a member or a device enters a mart, whatever its column is called; a device named like a word of everybody's stops no build."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_market import Market, at, iban, new_home, person, stamp

from pipelines.assurance.identifiers import refuse_identifiers
from pipelines.foundation.errors import Refused
from pipelines.lake.store import opened, raw_lake
from pipelines.policy.contract_types import Transform
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules

NUMBERED = "6f1d9c1e-0000-4000-8000-000000000000"  # an id that a member has
WORDS = ("direct", "mobile", "other", "18-24", "offre", "female", "item_view")


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    home, market = new_home(tmp_path_factory.mktemp("identifiers") / "home"), Market()
    market.member(NUMBERED).member("kqx-member").consent(None, "kqx-device", "granted", "2026-02-01").post("post1", "kqx-author")
    for word in WORDS:
        market.consent("kqx-member", word, "refused", "2026-02-01")
    market.member(**person("kqxperson", member_name="Louis Vuitton", city="Sèvres"))
    for n in range(2):
        market.add("offers", offer_id=f"o{n}", seller_id=f"kqx-seller{n}", title="Sac", item_category="Louis Vuitton", price_eur="9.00",
                   status="open", created_at=stamp("2026-02-01"), updated_at=stamp("2026-02-01"), condition="good")
    market.load(home, "2026-02-11")
    with opened(raw_lake(home), "test") as connection:
        connection.execute("attach ':memory:' as mart")
        yield connection


def checked(connection, *texts: str) -> int:
    connection.execute("create or replace table mart.main.profiles (label varchar, number integer)")
    connection.executemany("insert into mart.main.profiles values (?, 1)", [[text] for text in texts])
    return refuse_identifiers(connection, rules(), "mart", ["profiles"])


@pytest.mark.parametrize("value", [
    "kqx-member", "kqx-device", "kqx-author", "somebody@exemple.fr", iban("kqxperson"), "1 rue kqxperson", "kqxpersonholder",
    "https://img.example/kqxperson.jpg", "+33 6 12 34 56 78", "FR76 3000 6000 0112 3456 7890 189"])
def test_an_identifier_in_a_mart_stops_its_publication_and_is_not_named(connection, value):
    with pytest.raises(Refused, match=r"profiles\.label holds 1 direct identifier;") as refused:
        checked(connection, "shoes", value)
    assert value not in str(refused.value)


HIDING = ["varchar[]", "varchar[2]", "struct(a varchar)", "map(varchar, varchar)", "blob", "json", "bit", "enum('kqx-member')", "time"]


@pytest.mark.parametrize("kind", HIDING)
def test_a_type_that_may_hide_a_text_is_none_of_a_mart(connection, kind):
    connection.execute(f"create or replace table mart.main.profiles (number integer, label {kind})")
    with pytest.raises(Refused, match=r"profiles\.label is of a type in which no identifier can be looked for.*Make it a text"):
        refuse_identifiers(connection, rules(), "mart", ["profiles"])


def test_an_id_that_is_a_uuid_is_found_as_one(connection):
    connection.execute(f"create or replace table mart.main.profiles as select uuid '{NUMBERED}' as pseudonym")
    with pytest.raises(Refused, match=r"profiles\.pseudonym holds 1 direct identifier"):
        refuse_identifiers(connection, rules(), "mart", ["profiles"])
    connection.execute(f"create or replace table mart.main.profiles as select uuid '{NUMBERED[:-1]}1' as pseudonym, 1.5::decimal(9, 2) as n")
    assert refuse_identifiers(connection, rules(), "mart", ["profiles"]) == 1


def test_a_device_that_bears_a_word_of_the_rules_stops_nothing(connection):
    assert checked(connection, *WORDS, "kqx") == len(WORDS) + 1


def test_a_name_that_others_write_as_a_kind_of_goods_a_short_one_and_a_town_stop_nothing(connection):
    assert checked(connection, "Louis Vuitton", "kqxperson"[:9], "Sèvres", "2026-02-11", "AB12", "+", "5e884898da28047151d0e56f8dc6292773603d0d") == 7


def test_what_an_identified_purpose_is_given_as_it_is_is_not_looked_for_in_it(connection):
    members = rules().contract("members")
    kept = {"security": Transform("keep", "holder", "registration"), "analytics": Transform("keep", "holder", "registration")}
    columns = tuple(replace(c, transforms=kept) if c.name == "account_holder" else c for c in members.columns)
    book = replace(rules(), contracts=dict(rules().contracts) | {"members": replace(members, columns=columns)})
    connection.execute("create or replace table mart.main.profiles as select 'kqxpersonholder' as label")
    assert refuse_identifiers(connection, book, "mart", ["profiles"], "security") == 1
    with pytest.raises(Refused, match="1 direct identifier"):
        refuse_identifiers(connection, book, "mart", ["profiles"], "analytics")


def test_a_build_that_holds_one_publishes_nothing(tmp_path):
    home, market = new_home(tmp_path / "home"), Market()
    for member, category in (("kqx-one", "shoes"), ("kqx-two", "kqx-one")):
        market.member(member).consent(member, f"{member}-device", "granted", "2026-02-01")
        market.event(category, member, f"{member}-device", "2026-02-05 10:00")
    market.load(home, "2026-02-11")
    with pytest.raises(Refused, match=r"user_profiles\.top_item_category holds 1 direct identifier;"):
        build(home, at("2026-02-11"), ["analytics"])
    assert not home.mart("analytics").exists()
