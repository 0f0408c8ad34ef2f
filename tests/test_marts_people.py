"""The marts of security, service and improvement, through the real build: somebody does each thing, and somebody nearly does."""

from __future__ import annotations

import uuid
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.workflows import requests
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules
from tests.small_market import Market, at, built_before_treatment, database, new_home, pseudonyms

AS_OF = "2026-03-10 18:00"  # an evening: the places of the day are known (C-2.7), its sales are not over
DAY, THEN = "2026-03-09", "2026-02-09"  # logs of the second are due on 11 March
PURPOSES = ("security", "service", "improvement")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/131.0.0.0 Mobile Safari/537.36"


def offer(market: Market, offer_id: str, seller: str, size: str | None) -> None:
    market.add("offers", offer_id=offer_id, seller_id=seller, title="une offre", item_category="shoes", size=size, price_eur="12.50", status="sold",
               created_at="2026-01-02T10:00:00Z", updated_at="2026-01-03T10:00:00Z")


def fix(market: Market, device: str, member: str, when: str, latitude: float, longitude: float) -> None:
    market.add("locations", device_id=device, member_id=member, latitude=latitude, longitude=longitude, origin="gps", fixed_at=at(when).isoformat())


def signs(market: Market) -> None:
    """What the security marts are about, in the access log and in sales."""
    for minute, agent in ((0, CHROME), (3, FIREFOX), (6, CHROME)):
        market.line("twofold", f"{DAY} 10:0{minute}", agent=agent, ip="192.0.2.10")
        market.line("objector", f"{DAY} 10:0{minute}", agent=agent, ip="192.0.2.10")
    for minute, agent in ((0, CHROME), (3, CHROME), (6, FIREFOX)):  # changed once
        market.line("steady", f"{DAY} 10:0{minute}", agent=agent, ip="192.0.2.11")
    for n in range(5):
        market.line("wanderer", f"{DAY} 11:0{n}", ip=f"198.51.100.{n}")
        market.line("guesser", f"{DAY} 12:0{n}", path="/connexion", ip="192.0.2.12", status=401)
        market.line("sleepless", f"{THEN} 04:0{n}", ip="192.0.2.13")
        market.line("clumsy", f"{DAY} 12:0{n}", path="/compte", ip="192.0.2.14", status=403)  # no login
    for n in range(30):
        market.line("sleepless", f"{THEN} 03:05:{n:02}", ip="192.0.2.13")
    for n in range(120):
        market.line(None, f"{DAY} 09:00:{n // 2:02}", ip="203.0.113.1", agent="curl/8.0", status=404 if n < 60 else 200)
        market.line(None, f"{DAY} 09:{n // 2:02}:00", ip="203.0.113.2")  # as many, in an hour
    market.line(None, "2026-02-08 09:00", ip="203.0.113.3", status=404)  # due
    # two accounts behind one address that sell to each other; two who share a card at one seller; one who only has the same digits
    for member in ("left_hand", "right_hand"):
        market.line(member, f"{DAY} 13:00", ip="192.0.2.20")
    market.sale("t1", "left_hand", "right_hand", "2026-02-20 10:00", card_last4="1111")
    market.sale("t2", "card_a", "right_hand", "2026-02-21 10:00", card_last4="2222")
    market.sale("t3", "card_b", "right_hand", "2026-02-22 10:00", card_last4="2222")
    market.sale("t4", "steady", "wanderer", "2026-02-22 10:00", card_last4="2222")
    for n in range(2):
        market.sale(f"d{n}", "card_a", "steady", "2026-02-23 10:00", status="disputed")
    for n in range(10):
        market.sale(f"b{n}", "steady", "newcomer", "2026-03-01 10:00")


def likes(market: Market) -> None:
    for n, size in enumerate(("m", "M", "42", "appelez Jeanne Martin", None)):
        offer(market, f"o{n}", "wanderer", size)
        market.sale(f"p{n}", "buyer", "wanderer", "2026-02-24 10:00", offer_id=f"o{n}", item_category="mode" if n else "maison", price_eur="20.00")
    offer(market, "o9", "buyer", "XL")  # what somebody sells is not what they wear
    market.sale("p8", "objector", "gone", "2026-02-24 10:00", offer_id="o9")
    for device, member, when, north in (("d1", "buyer", "2026-03-10 09:00", 48.85), ("d2", "steady", "2026-03-10 09:00", 43.29)):
        fix(market, device, member, when, north, 2.35)
    market.consent("buyer", "d1", "granted", "2026-01-01", "location").consent("steady", "d2", "granted", "2026-01-01", "location")
    market.consent("steady", "d2", "withdrawn", "2026-03-10 12:00", "location")


def figures(market: Market) -> None:
    """Twelve sellers and twelve buyers of shoes; coats among six; hats and jeans among so few that they are no rows; usage of twelve and two."""
    def sales(kind: str, pairs: int, first: int, when: str = "2026-03-05 10:00") -> None:
        for n in range(first, first + pairs):
            market.sale(f"{kind}{when[8:10]}{n}", f"b{n}", f"s{n}", when, item_category=kind, price_eur="10.00")
    sales("shoes", 12, 0)
    sales("boots", 6, 0)   # the next smallest: twelve members
    sales("hats", 2, 0)    # four members
    market.sale("called off", "b0", "s0", "2026-03-05 10:00", item_category="shoes", status="cancelled", price_eur="1000.00")
    sales("shoes", 12, 0, "2026-03-10 10:00")  # the day of the build is not over
    sales("shoes", 2, 0, "2026-03-06 10:00")   # four members and no more
    for n in range(12):
        market.consent(f"b{n}", f"u{n}", "granted", "2026-01-01", "analytics_cookies")
        market.event("x", f"b{n}", f"u{n}", "2026-03-05 10:00", user_agent=PHONE, event_type="page_view")
    for n in range(2):
        market.event("x", f"b{n}", f"u{n}", "2026-03-05 11:00", user_agent=CHROME, event_type="page_view")
        market.event("x", f"b{n}", f"u{n}", "2026-03-05 11:00", user_agent=PHONE, event_type="search")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """The marts as their models make them: what a mart of so few may show is treated afterwards (test_risk.py), and ends_on is not published."""
    folder = tmp_path_factory.mktemp("people")
    home = new_home(folder / "home")
    market = Market()
    people = ("twofold", "steady", "wanderer", "guesser", "sleepless", "clumsy", "objector", "left_hand", "right_hand", "card_a", "card_b", "buyer",
              *(f"{side}{n}" for side in "bs" for n in range(12)))
    for name in people:
        market.member(name, birthday="1990-05-05", gender="female" if name == "buyer" else None)
    market.member("newcomer", registered_at="2026-02-27T10:00:00Z").member("gone", deleted_at="2026-03-01T10:00:00Z")
    market.member("of_unknown_age", age_confirmed=False).line("of_unknown_age", f"{DAY} 10:00")
    signs(market)
    likes(market)
    figures(market)
    market.load(home, AS_OF)
    requests.open_request(home, "objection", "objector", "security", at(AS_OF))
    with built_before_treatment(folder) as built:
        build(home, at(AS_OF), PURPOSES)
    names = {purpose: {value: member for member, value in pseudonyms(home, purpose).items()} for purpose in PURPOSES}
    return SimpleNamespace(home=home, names=names, built=built)


def mart(world: SimpleNamespace, purpose: str, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Rows of a mart in which pseudonyms are members' names again."""
    with database(*world.built[purpose]) as connection:
        rows = connection.execute(f"select {columns} from db.main.{table}").fetchall()
    return sorted(tuple(world.names[purpose].get(value, value) if isinstance(value, uuid.UUID) else value for value in row) for row in rows)


def test_each_sign_of_another_hand_on_an_account_is_a_row_and_what_only_looks_like_one_is_none(world):
    assert mart(world, "security", "login_anomalies", "pseudonym, requested_on, reasons") == [
        ("guesser", date(2026, 3, 9), "failed logins"),
        ("sleepless", date(2026, 2, 9), "night burst"),
        ("twofold", date(2026, 3, 9), "two browsers at once"),
        ("wanderer", date(2026, 3, 9), "many addresses"),
    ]


def test_an_address_is_named_with_what_it_did_and_a_visitors_too(world):
    assert mart(world, "security", "ip_abuse", "ip, requested_on, request_count, error_share, bot_share, largest_minute_request_count, reasons") == [
        ("203.0.113.1", date(2026, 3, 9), 120, 0.5, 1.0, 120, "burst; errors")]


def test_a_score_comes_with_its_reasons_and_proposes_at_most_to_verify(world):
    """C-3.5, C-11.6: nothing is decided."""
    found = {member: rest for member, *rest in mart(world, "security", "trust_signals", "pseudonym, score, proposed_action, reasons")}
    assert {member: rest for member, rest in found.items() if rest != [100, "none", "none"]} == {
        "twofold": [90, "none", "login anomalies"], "guesser": [90, "none", "login anomalies"], "sleepless": [90, "none", "login anomalies"],
        "wanderer": [90, "none", "login anomalies"],
        "left_hand": [70, "none", "sales at a shared address"], "right_hand": [70, "none", "sales at a shared address"],
        "card_a": [50, "verify", "shared card; disputed transactions"], "card_b": [70, "none", "shared card"],
        "steady": [80, "none", "disputed transactions"], "newcomer": [70, "none", "burst of a new account"],
    }
    assert "clumsy" in found and found["gone"] == [100, "none", "none"], "security goes on until a deleted account's data are due (C-10.3)"
    assert not {"objector", "of_unknown_age"} & set(found)


def test_what_was_built_from_logs_ends_with_them_and_what_was_built_from_sales_with_the_sales(world):
    ends = {member: end for member, end in mart(world, "security", "trust_signals", "pseudonym, ends_on")
            if member in ("sleepless", "left_hand", "card_b", "clumsy")}
    # a card that is shared was told by the first of the two sales
    assert ends == {"sleepless": date(2026, 3, 11), "left_hand": date(2026, 4, 8), "card_b": date(2027, 3, 21), "clumsy": None}
    assert {end for (end,) in mart(world, "security", "login_anomalies", "ends_on")} == {date(2026, 3, 11), date(2026, 4, 8)}


def test_offers_are_matched_by_what_was_bought_and_by_a_place_under_a_running_consent(world):
    """C-3.1, C-2.7."""
    found = {member: rest for member, *rest in mart(world, "service", "offer_matching", "pseudonym, gender, favourite_size, age_band, region, "
                                                    "favourite_item_category, second_item_category, price_band, ends_on")}
    assert found["buyer"] == ["female", "M", "35-44", "48 N 2 E", "mode", "maison", "10-25", date(2026, 3, 11)]
    assert found["steady"][3] == "unknown", "the consent is withdrawn"
    assert found["clumsy"] == ["unknown", "unknown", "35-44", "unknown", "none", "none", "unknown", None]
    assert not {"gone", "of_unknown_age"} & set(found) and "objector" in found, "an objection is per purpose, and this one rests on the contract"


def test_no_text_that_a_seller_wrote_is_a_size(world):
    sizes = dict(mart(world, "service", "offer_matching", "pseudonym, favourite_size"))
    assert {member: size for member, size in sizes.items() if size != "unknown"} == {"buyer": "M", "objector": "XL"}


def test_small_cells_of_sales_are_no_rows_nor_is_the_one_that_would_give_them_away(world):
    """C-3.2, C-10.7."""
    rows = mart(world, "improvement", "marketplace_sales_daily", "sold_on, item_category, sale_count, revenue_eur, average_price_eur, member_count")
    # the total of 5 March has no more members than the shoes, so it would tell what the few others sold
    assert [row for row in rows if row[0] >= date(2026, 3, 5)] == [(date(2026, 3, 5), "shoes", 12, 120, 10, 24)]
    assert all(members >= rules().policy.cell for *_, members in rows)


def test_small_cells_of_usage_are_no_rows_either(world):
    assert mart(world, "improvement", "platform_usage_daily", "occurred_on, event_type, device_class, event_count, member_count") == [
        (date(2026, 3, 5), "all", "all", 16, 12)]


def test_marts_of_security_and_service_open_with_their_keys_only(world):
    for purpose in ("security", "service"):
        assert world.home.mart(purpose).read_bytes().count(b"pseudonym") == 0
    assert world.home.mart("improvement").read_bytes().count(b"item_category") > 0
