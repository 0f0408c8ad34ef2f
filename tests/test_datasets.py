"""What each dataset's contract says happens at its door and at its end, seen in the raw zone."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import house
import pytest
from house import counts, ingest, put, raw

from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.workflows import requests
from pipelines.workflows.rules import rules

DAY = datetime(2015, 5, 18, 10, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


def row(dataset: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "social_links": {"link_id": f"l{number}", "member_id": "m000001", "provider": "facebook", "status": "linked", "social_id": "fb.4711",
                         "first_name": "Zoé", "friends_count": 12, "linked_at": DAY, "updated_at": DAY},
        "verifications": {"verification_id": f"v{number}", "member_id": "m000001", "phone": "+33612345678", "status": "sent", "requested_at": DAY,
                          "updated_at": DAY},
        "locations": {"device_id": f"d{number}", "member_id": "m000001", "latitude": 48.85837, "longitude": 2.294481, "origin": "gps",
                      "fixed_at": DAY},
        "messages": {"message_id": f"x{number}", "conversation_id": "c1", "sender_id": "m000001", "recipient_id": "m000002", "body": "Bonjour",
                     "sent_at": DAY},
        "comments": {"comment_id": f"c{number}", "offer_id": "o1", "author_id": "m000001", "seller_id": "m000002", "body": "Joli", "posted_at": DAY},
        "ratings": {"rating_id": f"r{number}", "transaction_id": "t1", "rater_id": "m000001", "rated_id": "m000002", "stars": 5, "body": "Parfait",
                    "rated_at": DAY},
    }[dataset] | changes


def load(home, tmp_path, dataset: str, *rows: dict[str, Any], as_of: str = house.AS_OF):
    return counts(ingest(home, (dataset, put(tmp_path / dataset, house.ndjson(rows))), as_of=as_of)[0])


def granted(home, tmp_path, *devices: str) -> None:
    """C-2.7: places are held with consent."""
    rows = [house.consent(n, device_id=device, kind="location", recorded_at=datetime(2015, 5, 1, tzinfo=UTC)) for n, device in enumerate(devices)]
    ingest(home, ("consents", put(tmp_path / "consents", house.ndjson(rows))))


# --- at the door ---


@pytest.mark.parametrize(
    ("dataset", "kept", "over", "values"),
    [
        ("social_links", {"status": "linked"}, {"status": "unlinked"}, "social_id, first_name, friends_count"),
        ("verifications", {"status": "sent"}, {"status": "confirmed"}, "phone"),
    ],
)
def test_a_value_that_is_kept_only_while_it_serves_goes_with_the_state_that_ends_it(home, tmp_path, dataset, kept, over, values):
    """C-2.2a: unlinking removes what came through the link; C-3.5: the number goes on confirmation."""
    load(home, tmp_path, dataset, row(dataset, 1, **kept), row(dataset, 2, **kept))
    assert load(home, tmp_path, dataset, row(dataset, 1, **over, updated_at=datetime(2015, 5, 19, 9, tzinfo=UTC))) == (1, 1, 0, 0, 0)
    first, second = raw(home, f"select {values} from lake.main.{dataset} order by all desc")
    assert set(first if first[0] is None else second) == {None}
    assert None not in (second if first[0] is None else first)


def test_a_place_is_rounded_before_it_is_written_and_only_the_last_of_a_device_is_kept(home, tmp_path):
    """C-2.7, in raw and in quarantine: a digit too many stands nowhere."""
    later = {"fixed_at": datetime(2015, 5, 18, 11, tzinfo=UTC)}
    bad = row("locations", 2, origin="guess", latitude=45.764043)
    granted(home, tmp_path, "d1", "d2")
    given = (row("locations"), row("locations", latitude="45.7640", **later), bad)
    assert load(home, tmp_path, "locations", *given, as_of="2015-05-18") == (3, 1, 1, 0, 1)
    assert [(str(a), str(b)) for a, b in raw(home, "select latitude, longitude from lake.main.locations")] == [("45.76", "2.29")]
    everything = str(house.everything(home))
    assert "45.76" in everything
    assert [digits for digits in ("48.858", "2.2944", "45.764") if digits in everything] == []


def test_a_place_that_is_no_number_is_set_aside_without_its_text(home, tmp_path):
    assert load(home, tmp_path, "locations", row("locations", latitude="48°51'29.1\"N"), as_of="2015-05-18") == (1, 0, 1, 0, 0)
    assert raw(home, "select reason from lake.quarantine.locations") == [("latitude.type",)]
    assert "29.1" not in str(house.everything(home))


def test_a_batch_with_more_bad_rows_than_its_contract_allows_is_held_back_whole(home, tmp_path):
    good, bad = [house.post(n) for n in range(20_000)], [house.post(n, posted_at="yesterday") for n in range(20_000, 21_053)]
    before = house.state(home)
    with pytest.raises(Refused, match=r"1,053 of 21,053 rows would be quarantined \(1,053 posted_at\.type\).*held back whole"):
        ingest(home, ("forum_posts", put(tmp_path / "posts", house.ndjson([*good, *bad]))))
    assert house.state(home) == before
    assert counts(ingest(home, ("forum_posts", put(tmp_path / "posts", house.ndjson([*good, *bad[:1_052]]))))[0])[:3] == (21_052, 20_000, 1_052)


@pytest.mark.parametrize(("volume", "loads"), [((2, 3), True), ((0, 1), False), ((3, 9), False)])
def test_a_batch_of_more_or_fewer_rows_than_its_contract_says_is_held_back_whole(home, tmp_path, monkeypatch, volume, loads):
    book = rules()
    contracts = {**book.contracts, "forum_posts": replace(book.contract("forum_posts"), volume=volume)}
    monkeypatch.setattr(house, "rulebook", lambda: replace(book, contracts=contracts))
    before = house.state(home)
    if loads:
        assert load(home, tmp_path, "forum_posts", house.post(1), house.post(2)) == (2, 2, 0, 0, 0)
        return
    with pytest.raises(Refused, match=f"2 rows, where a batch of 'forum_posts' has {volume[0]} to {volume[1]}, so it is held back whole"):
        load(home, tmp_path, "forum_posts", house.post(1), house.post(2))
    assert house.state(home) == before


# --- at the end ---


def test_a_source_of_which_a_batch_is_overdue_is_named(home, tmp_path):
    load(home, tmp_path, "forum_posts", house.post(1), as_of="2015-05-18")
    late = {day: house.kampeky("status", "--home", home, "--as-of", day, "--json").json["late"] for day in ("2015-05-19", "2015-05-20")}
    assert late == {"2015-05-19": [], "2015-05-20": [{"source": "forum_posts", "last": "2015-05-18", "every": "P1D"}]}


def retention(home, as_of: str) -> None:
    plan = house.kampeky("retention", "plan", "--home", home, "--as-of", as_of, "--json").json
    assert house.kampeky("retention", "apply", plan["plan"], "--home", home).code == 0


def test_a_place_lives_one_day_and_a_number_seven(home, tmp_path):
    granted(home, tmp_path, "d1")
    load(home, tmp_path, "locations", row("locations"), as_of="2015-05-18")
    load(home, tmp_path, "verifications", row("verifications"), as_of="2015-05-18")
    ingest(home, ("members", put(tmp_path / "members", house.ndjson([house.member(1)]))))
    left = "select (select count(*) from lake.main.locations), (select count(phone) from lake.main.verifications)"
    seen = []
    for day in ("2015-05-18", "2015-05-19", "2015-05-24", "2015-05-25"):
        retention(home, day)
        seen += raw(home, left)
    assert seen == [(1, 1), (0, 1), (0, 1), (0, 0)]
    assert raw(home, "select status from lake.main.verifications") == [("sent",)], "that one was asked stays until the account ends"


LEFT = {"deleted_at": datetime(2015, 5, 19, 8, tzinfo=UTC), "updated_at": datetime(2015, 5, 19, 8, tzinfo=UTC)}
MEMBERS = [house.member(1, **LEFT), house.member(2), house.member(3)]


@pytest.mark.parametrize(
    ("dataset", "columns", "of_the_leaver", "to_the_leaver"),
    [
        ("messages", "sender_id, recipient_id, sender_deleted", (None, "m000002", True), ("m000003", None, None)),
        pytest.param("comments", "author_id, seller_id, author_deleted", (None, "m000002", True), None, marks=pytest.mark.long),
        pytest.param("ratings", "rater_id, rated_id, rater_deleted", (None, "m000002", True), None, marks=pytest.mark.long),
    ],
)
def test_texts_of_one_who_left_stay_without_the_name_and_end_with_whom_they_are_about(home, tmp_path, dataset, columns, of_the_leaver, to_the_leaver):
    """C-2.6: messages end with the counterpart's clock, comments with the offer's owner, ratings with the rated member."""
    author, other, _ = columns.split(", ")
    rows = [row(dataset, 1), row(dataset, 2, **{author: "m000003", other: "m000001"}), row(dataset, 3, **{author: "m000003", other: "m000002"})]
    ingest(home, ("members", put(tmp_path / "members", house.ndjson(MEMBERS))))
    load(home, tmp_path, dataset, *rows)
    retention(home, "2015-08-18")
    assert len(raw(home, f"select {columns} from lake.main.{dataset}")) == 3
    retention(home, "2015-08-19")
    untouched = ("m000003", "m000002", None)
    wanted = {of_the_leaver, untouched} | ({to_the_leaver} if to_the_leaver else set())
    assert set(raw(home, f"select {columns} from lake.main.{dataset}")) == wanted
    assert {body is not None for (body,) in raw(home, f"select body from lake.main.{dataset}")} == {True}


def test_a_message_goes_when_both_sides_have_left(home, tmp_path):
    ingest(home, ("members", put(tmp_path / "members", house.ndjson([house.member(1, **LEFT), house.member(2, **LEFT), house.member(3)]))))
    load(home, tmp_path, "messages", row("messages", 1), row("messages", 2, recipient_id="m000003"))
    retention(home, "2015-08-19")
    assert raw(home, "select message_id, sender_id, recipient_id from lake.main.messages") == [("x2", None, "m000003")]


# --- to whom data may be given ---


def test_a_recipients_safeguard_lapses_on_the_day_after_its_last():
    sms = house.rulebook().policy.recipients["sms_verification"]
    assert (sms.lapsed(date(2029, 3, 31)), sms.lapsed(date(2029, 4, 1))) == (False, True)
    assert not house.rulebook().policy.recipients["hosting"].lapsed(date(2100, 1, 1))


# --- in a package ---


def test_others_leave_every_text_of_a_package_whatever_its_column_is_and_ones_own_values_stay(home, tmp_path):
    """C-11.5: no id or contact of others in any field; a conversation's id, a place, an address may hold one."""
    given = [house.member(1, street="chez Paul Durand, 1 rue des Lilas", city="Paris", first_name="Zoé", last_name="Petit", email="zoe@exemple.fr"),
             house.member(2, first_name="Paul", last_name="Durand", email="paul@exemple.fr")]
    load(home, tmp_path, "members", *given)
    load(home, tmp_path, "messages", row("messages", conversation_id="conv-m000001-m000002", body="Bonjour paul@exemple.fr, zoe@exemple.fr"))
    requests.open_request(Home(home), "portability", "m000001", None, parse_as_of(house.AS_OF))
    [request] = requests.list_requests(Home(home))
    done = requests.process(Home(home), request["request_id"], parse_as_of(house.AS_OF))
    with zipfile.ZipFile(done["package"]) as package:
        [message], [member] = (json.loads(package.read(f"{name}.json")) for name in ("messages", "members"))
        everything = "\n".join(package.read(name).decode() for name in package.namelist())
    assert [word for word in ("m000002", "Durand", "paul@") if word in everything] == []
    assert message["conversation_id"].count("another member") == 1
    assert message["body"] == "Bonjour [contact removed], zoe@exemple.fr"
    assert (member["street"], member["city"], member["last_name"], member["email"]) == (
        "chez another member, 1 rue des Lilas", "Paris", "Petit", "zoe@exemple.fr")
    Path(done["package"]).unlink()
    assert requests.process(Home(home), request["request_id"], parse_as_of(house.AS_OF))["package"] is None, "what is gone is not named"
