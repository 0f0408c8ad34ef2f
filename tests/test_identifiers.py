"""No identifier of a member or a device enters a mart, whatever its column is called; a device named like a word of everybody's stops no build."""

from __future__ import annotations

import pytest
from small_market import Market, at, new_home

from pipelines.assurance.identifiers import refuse_identifiers
from pipelines.foundation.errors import Refused
from pipelines.lake.store import opened, raw_lake
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules

WORDS = ("direct", "mobile", "other", "18-24", "offre", "female", "item_view")


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    home, market = new_home(tmp_path_factory.mktemp("identifiers") / "home"), Market()
    market.member("kqx-member").consent(None, "kqx-device", "granted", "2026-02-01").post("post1", "kqx-author")
    for word in WORDS:
        market.consent("kqx-member", word, "refused", "2026-02-01")
    market.load(home, "2026-02-11")
    with opened(raw_lake(home), "test") as connection:
        connection.execute("attach ':memory:' as mart")
        yield connection


def checked(connection, *texts: str) -> int:
    connection.execute("create or replace table mart.main.profiles (label varchar, number integer)")
    connection.executemany("insert into mart.main.profiles values (?, 1)", [[text] for text in texts])
    return refuse_identifiers(connection, rules(), "mart", ["profiles"])


@pytest.mark.parametrize("value", ["kqx-member", "kqx-device", "kqx-author", "somebody@exemple.fr"])
def test_an_identifier_in_a_mart_stops_its_publication_and_is_not_named(connection, value):
    with pytest.raises(Refused, match=r"profiles\.label holds 1 direct identifier;") as refused:
        checked(connection, "shoes", value)
    assert value not in str(refused.value)


def test_a_device_that_bears_a_word_of_the_rules_stops_nothing(connection):
    assert checked(connection, *WORDS, "kqx") == len(WORDS) + 1


def test_a_build_that_holds_one_publishes_nothing(tmp_path):
    home, market = new_home(tmp_path / "home"), Market()
    for member, category in (("kqx-one", "shoes"), ("kqx-two", "kqx-one")):
        market.member(member).consent(member, f"{member}-device", "granted", "2026-02-01")
        market.event(category, member, f"{member}-device", "2026-02-05 10:00")
    market.load(home, "2026-02-11")
    with pytest.raises(Refused, match=r"user_profiles\.top_item_category holds 1 direct identifier;"):
        build(home, at("2026-02-11"), ["analytics"])
    assert not home.mart("analytics").exists()
