"""Ingestion: rows read = loaded + quarantined + refused + already known; a file counts once; what must not be stored is stored nowhere."""

from __future__ import annotations

import gzip
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import house
import pytest
from house import counts, ingest, put, raw

from pipelines.engines.duckdb_engine import Connection
from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.foundation.home import Home
from pipelines.ingestion import ingest as ingest_module
from pipelines.ingestion import run
from pipelines.ingestion.balance import Balance, total
from pipelines.ingestion.batches import batch_id


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return house.new_home(tmp_path)


@pytest.fixture
def both_opinions() -> None:
    """Asked for by the tests whose rows Great Expectations judges too."""


@pytest.fixture(autouse=True)
def second_opinion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it is left out: it takes a quarter of a second per file, and has tests of its own."""
    if "both_opinions" not in request.fixturenames:
        monkeypatch.setattr(ingest_module, "compare", lambda *_args, **_named: 0)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for tests that look at keys of their own only."""
    return house.new_home(tmp_path_factory.mktemp("shared"))


def written(tmp_path: Path, *rows: dict[str, Any], name: str = "rows.ndjson") -> Path:
    return put(tmp_path / name, house.ndjson(rows))


# --- the balance ---


def test_a_balance_that_does_not_add_up_cannot_be_made_and_one_that_does_adds_up_with_others():
    with pytest.raises(KampekyError, match="do not balance"):
        Balance("members", read=3, loaded=1, refused=1)
    sum_of_two = total("members", [Balance("members", 3, 1, 1, 1, 0, {"a": 1, "b": 1}), Balance("members", 2, 0, 1, 0, 1, {"a": 1})])
    assert (counts(sum_of_two), sum_of_two.reasons) == ((5, 1, 2, 1, 1), {"a": 2, "b": 1})


REAL = pytest.mark.skipif(not house.REAL_LOG.exists(), reason="the real access log stands beside the checkout only: ../shared/data/weblogs")
COMBINED = re.compile(
    rb'(\S+) \S+ \S+ \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?:[^"\\]|\\.)*" \d{3} (?:\d+|-)(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?\r?\n'
)


@REAL
def test_the_real_log_balances_line_for_line_with_a_reader_of_our_own(both_opinions, home, tmp_path):
    """On a day on which its first days are due and its last are not; the expected counts come from the file, read here without the product."""
    as_of = date(2015, 6, 18)
    expected, good = Counter(), []
    for line in house.REAL_LOG.read_bytes().splitlines(keepends=True):
        found = COMBINED.fullmatch(line)
        if not found:
            expected["quarantined"] += 1
            continue
        instant = datetime.strptime(found[2].decode(), "%d/%b/%Y:%H:%M:%S %z")
        due = instant.astimezone(ZoneInfo("Europe/Paris")).date() + timedelta(days=30)
        expected["refused" if due <= as_of else "loaded"] += 1
        if due > as_of:
            good.append((found[1].decode(), instant.astimezone(UTC)))
    assert set(expected) == {"loaded", "quarantined", "refused"}, "the log no longer has lines of each kind"
    (balance,) = ingest(home, ("access_logs", house.REAL_LOG), as_of=as_of.isoformat())
    assert counts(balance) == (sum(expected.values()), expected["loaded"], expected["quarantined"], expected["refused"], 0)
    assert balance.reasons["due_on_arrival.C-10.1"] == expected["refused"]
    stored, aside = house.queries(home, "select ip, epoch(requested_at) from lake.main.access_logs", "select _line from lake.quarantine.access_logs")
    assert Counter((ip, datetime.fromtimestamp(at, UTC)) for ip, at in stored) == Counter(good)  # repeated lines stay repeated
    assert len(aside) == expected["quarantined"]
    again = ingest(home, ("access_logs", put(tmp_path / "other-name.gz", gzip.compress(house.REAL_LOG.read_bytes()))), as_of=as_of.isoformat())
    assert counts(again[0]) == (balance.read, 0, 0, 0, balance.read)
    assert len(raw(home, "from lake.main.access_logs")) == len(stored)


def test_each_kind_of_row_is_counted_once_with_its_reason_and_stands_where_it_belongs(both_opinions, home, tmp_path):
    path = written(
        tmp_path,
        house.transaction(1),
        house.transaction(2, price_eur="dear"),
        house.transaction(3, status="sold", price_eur=-1),
        house.transaction(4, started_at=datetime(2014, 4, 20, 10, tzinfo=UTC)),
        house.transaction(5, item_category=f"card {house.CARD}"),
        house.transaction(1, item_category="again"),
        house.transaction(7, seller_id="m000001"),
        house.transaction(8),
    )
    (balance,) = ingest(home, ("transactions", path))
    assert counts(balance) == (8, 2, 3, 2, 1)
    assert balance.reasons == {
        "price_eur.type": 1,
        "price_eur.minimum": 1,
        "row.two_parties": 1,
        "due_on_arrival.C-10.2": 1,
        "forbidden.card_number": 1,
    }
    kept, aside = house.queries(
        home,
        "select transaction_id, item_category from lake.main.transactions order by 1",
        "select _line, reason, received_on::varchar, paris_day::varchar from lake.quarantine.transactions order by 1",
    )
    assert kept == [("t1", "shoes"), ("t8", "shoes")]
    assert aside == [
        (2, "price_eur.type", house.AS_OF, "2015-05-17"),
        (3, "price_eur.minimum", house.AS_OF, "2015-05-17"),
        (7, "row.two_parties", house.AS_OF, "2015-05-17"),
    ]
    entry = ledger.read(Home(home))[-1]
    assert (entry.act, {k: entry.facts[k] for k in ("read", "loaded", "quarantined", "refused", "already_known")}) == (
        "ingest",
        {"read": 8, "loaded": 2, "quarantined": 3, "refused": 2, "already_known": 1},
    )


def test_every_dataset_loads_the_same_rows_from_any_form(home, tmp_path):
    """Typed as the contract says; what a file does not say is empty."""
    given, inputs = {}, []
    for dataset, build in house.BUILDERS.items():
        for first, (form, write) in zip((100, 200, 300), house.FORMS.items(), strict=True):
            rows = [build(n) for n in range(first, first + 3)]
            given.setdefault(dataset, []).extend(rows)
            inputs.append((dataset, put(tmp_path / f"{dataset}.{form}", write(dataset, rows))))
    assert {counts(balance) for balance in ingest(home, *inputs)} == {(3, 3, 0, 0, 0)}
    columns = {
        dataset: [*rows[0], *(c.name for c in house.rulebook().contract(dataset).columns if c.name not in rows[0])] for dataset, rows in given.items()
    }
    stored = house.queries(
        home,
        *(
            f"""select {", ".join(f"epoch({n})" if n.endswith("_at") else n for n in names)} from lake.main.{dataset}"""
            for dataset, names in columns.items()
        ),
    )
    for (dataset, rows), found in zip(given.items(), stored, strict=True):
        expected = [tuple(v.timestamp() if isinstance(v, datetime) else v for v in (row.get(name) for name in columns[dataset])) for row in rows]
        assert sorted(found, key=str) == sorted(expected, key=str), dataset


# --- once ---


def test_a_file_counts_once_under_any_name_and_compression_and_another_file_counts_too(home, tmp_path):
    content = house.lines(house.log_line(ip="10.0.0.1"), "broken", house.log_line(ip="10.0.0.1"))
    first, *others = (
        put(tmp_path / name, pack(content)) for name, pack in (("a.log", bytes), ("a.log.1", bytes), ("b", gzip.compress), ("c.txt", house.zstd))
    )
    other = put(tmp_path / "other.log", house.lines(house.log_line(ip="10.0.0.2")) + content)
    balances = ingest(home, *(("access_logs", path) for path in (first, *others, first, other)))
    assert [counts(balance) for balance in balances] == [(3, 2, 1, 0, 0), *[(3, 0, 0, 0, 3)] * 4, (4, 3, 1, 0, 0)]
    assert counts(ingest(home, ("access_logs", others[0]))[0]) == (3, 0, 0, 0, 3)
    kept, aside = house.queries(home, "from lake.main.access_logs", "from lake.quarantine.access_logs")
    assert (len(kept), len(aside)) == (5, 2)  # identical lines of one file are rows of their own


def test_a_row_known_by_its_key_counts_once_from_any_file_and_form(shared_home, tmp_path):
    rows = [house.event(n) for n in range(900, 903)]
    files = [("usage_events", put(tmp_path / form, write("usage_events", rows))) for form, write in house.FORMS.items()]
    more = ("usage_events", written(tmp_path, *rows, house.event(903)))
    assert [counts(b) for b in ingest(shared_home, *files, more)] == [(3, 3, 0, 0, 0), (3, 0, 0, 0, 3), (3, 0, 0, 0, 3), (4, 1, 0, 0, 3)]


def test_a_file_refused_as_due_loads_when_it_is_replayed_for_its_own_day(shared_home, tmp_path):
    path = put(tmp_path / "access.log", house.lines(house.log_line(agent="replayed")))
    assert counts(ingest(shared_home, ("access_logs", path), as_of="2026-01-01")[0]) == (1, 0, 0, 1, 0)
    assert counts(ingest(shared_home, ("access_logs", path), as_of="2015-05-18")[0]) == (1, 1, 0, 0, 0)


def test_a_batchs_name_says_nothing_about_its_file():
    """It is keyed: without the key nobody can tell whether a file they hold was ingested (evidence holds it)."""
    assert batch_id(b"k" * 32, "members", "f" * 64) != batch_id(b"l" * 32, "members", "f" * 64)
    assert batch_id(b"k" * 32, "members", "f" * 64) != batch_id(b"k" * 32, "consents", "f" * 64)


# --- newer states ---


def test_a_newer_state_takes_the_place_of_the_older_and_an_older_one_does_not(home, tmp_path):
    first = written(tmp_path, *(house.member(n, member_name="first", updated_at=datetime(2015, 5, 1, tzinfo=UTC)) for n in (1, 2, 3, 4)), name="1")
    second = written(
        tmp_path,
        house.member(1, member_name="newer", updated_at=datetime(2015, 5, 2, tzinfo=UTC)),
        house.member(2, member_name="older", updated_at=datetime(2015, 4, 2, tzinfo=UTC)),
        house.member(3, member_name="as old", updated_at=datetime(2015, 5, 1, tzinfo=UTC)),
        name="2",
    )
    late = written(tmp_path, house.member(1, member_name="late", updated_at=datetime(2015, 5, 1, 23, tzinfo=UTC)), name="3")
    assert [counts(b) for b in ingest(home, *(("members", path) for path in (first, second, late)))] == [
        (4, 4, 0, 0, 0),
        (3, 1, 0, 0, 2),
        (1, 0, 0, 0, 1),
    ]
    assert raw(home, "select member_id, member_name from lake.main.members order by 1") == [
        ("m000001", "newer"),
        ("m000002", "first"),
        ("m000003", "first"),
        ("m000004", "first"),
    ]


def test_of_several_states_in_one_file_the_newest_good_one_is_loaded(home, tmp_path):
    path = written(
        tmp_path,
        *(house.member(1, member_name=f"day {day}", updated_at=datetime(2015, 5, day, tzinfo=UTC)) for day in (2, 9, 4)),
        house.member(1, member_name="broken", email="none", updated_at=datetime(2015, 5, 10, tzinfo=UTC)),
        house.member(2),
    )
    assert counts(ingest(home, ("members", path))[0]) == (5, 2, 1, 0, 2)
    assert raw(home, "select member_id, member_name from lake.main.members order by 1") == [("m000001", "day 9"), ("m000002", "Vendeur 2")]


def test_a_newer_state_does_not_bring_back_a_party_that_retention_severed(home, tmp_path):
    """C-10.2: the leaver's side stays severed, the other party's side lives on."""
    ingest(home, ("transactions", written(tmp_path, house.transaction(1), house.transaction(2), name="1")))
    with house.opened(house.raw_lake(Home(home)), "test", write=True) as connection:
        connection.execute("update lake.main.transactions set buyer_id = null where transaction_id = 't1'")
    newer = {"status": "completed", "updated_at": datetime(2015, 5, 18, tzinfo=UTC)}
    assert counts(ingest(home, ("transactions", written(tmp_path, house.transaction(1, **newer), house.transaction(2, **newer), name="2")))[0]) == (
        2,
        2,
        0,
        0,
        0,
    )
    assert raw(home, "select transaction_id, buyer_id, seller_id, status from lake.main.transactions order by 1") == [
        ("t1", None, "m000002", "completed"),
        ("t2", "m000001", "m000002", "completed"),
    ]


def test_a_newer_state_that_is_due_on_arrival_ends_the_older_one(shared_home, tmp_path):
    """C-10.3: the account was deleted four months ago; the platform's extract of before said nothing of it."""
    ingest(shared_home, ("members", written(tmp_path, house.member(801), house.member(802), name="1")))
    gone = house.member(801, deleted_at=datetime(2015, 1, 10, tzinfo=UTC), updated_at=datetime(2015, 5, 10, tzinfo=UTC))
    assert counts(ingest(shared_home, ("members", written(tmp_path, gone, name="2")))[0]) == (1, 0, 0, 1, 0)
    assert raw(shared_home, "select member_id from lake.main.members where member_id in ('m000801', 'm000802')") == [("m000802",)]


def test_a_newer_state_that_is_refused_for_a_card_number_leaves_the_older_one(shared_home, tmp_path):
    """The account lives: of its new state nothing is stored, and the old one stays until a better comes."""
    ingest(shared_home, ("members", written(tmp_path, house.member(811, member_name="before"), name="1")))
    card = house.member(811, about=house.CARD, updated_at=datetime(2015, 5, 10, tzinfo=UTC))
    assert counts(ingest(shared_home, ("members", written(tmp_path, card, name="2")))[0]) == (1, 0, 0, 1, 0)
    assert raw(shared_home, "select member_name from lake.main.members where member_id = 'm000811'") == [("before",)]


def test_a_state_that_is_due_on_arrival_ends_an_older_one_of_its_own_file(shared_home, tmp_path):
    gone = {"deleted_at": datetime(2015, 1, 10, tzinfo=UTC), "updated_at": datetime(2015, 5, 10, tzinfo=UTC)}
    path = written(tmp_path, house.member(821), house.member(821, **gone), house.member(822))
    assert counts(ingest(shared_home, ("members", path))[0])[0:2] == (3, 1)
    assert raw(shared_home, "select member_id from lake.main.members where member_id in ('m000821', 'm000822')") == [("m000822",)]


# --- due on arrival (C-10.0) ---


def test_a_log_line_is_kept_on_its_29th_day_and_refused_on_its_30th(tmp_path):
    """A line of 1 May 23:30 in Paris; 30 days from collection are over on 31 May."""
    path = put(tmp_path / "log", house.lines(house.log_line("01/May/2015:21:30:00 +0000"), house.log_line("01/May/2015:22:30:00 +0000")))
    assert house.verdicts("access_logs", path, "2015-05-30") == ["good", "good"]
    assert house.verdicts("access_logs", path, "2015-05-31") == ["refused: due_on_arrival.C-10.1", "good"]  # the second is of 2 May in Paris
    assert house.verdicts("access_logs", path, "2015-06-01") == ["refused: due_on_arrival.C-10.1"] * 2


BOUNDARIES = [  # dataset, row, last day on which it may come, rule
    ("transactions", house.transaction(started_at=datetime(2014, 1, 31, 12, tzinfo=UTC)), "2015-02-27", "C-10.2"),
    ("usage_events", house.event(occurred_at=datetime(2014, 1, 31, 12, tzinfo=UTC)), "2015-02-27", "C-10.9"),
    ("consents", house.consent(member_id=None, recorded_at=datetime(2014, 1, 31, 12, tzinfo=UTC)), "2015-02-27", "C-10.9"),
    ("members", house.member(deleted_at=datetime(2014, 11, 30, 12, tzinfo=UTC)), "2015-02-27", "C-10.3"),
    ("members", house.member(last_active_on=date(2016, 2, 29)), "2021-05-27", "C-10.3"),
]


@pytest.mark.parametrize(("dataset", "row", "last", "rule"), BOUNDARIES, ids=[f"{case[0]}-{case[3]}-{case[2]}" for case in BOUNDARIES])
def test_a_row_may_come_until_the_day_before_it_is_due(tmp_path, dataset, row, last, rule):
    path = written(tmp_path, row)
    assert house.verdicts(dataset, path, last) == ["good"]
    day_after = (date.fromisoformat(last) + timedelta(days=1)).isoformat()
    assert house.verdicts(dataset, path, day_after) == [f"refused: due_on_arrival.{rule}"]


def test_what_runs_from_the_account_is_not_refused_for_its_own_age(tmp_path):
    """C-10.3: old posts and members' consents live as long as the account does."""
    old = datetime(2010, 1, 1, tzinfo=UTC)
    assert house.verdicts("forum_posts", written(tmp_path, house.post(posted_at=old))) == ["good"]
    assert house.verdicts("consents", written(tmp_path, house.consent(recorded_at=old), house.consent(2, recorded_at=old, member_id=None))) == [
        "good",
        "refused: due_on_arrival.C-10.9",
    ]


def test_refused_rows_are_counted_and_their_values_stand_nowhere(home, tmp_path):
    path = written(
        tmp_path,
        house.transaction(1, item_category="zzz-due", started_at=datetime(2013, 1, 1, tzinfo=UTC)),
        house.transaction(2, item_category="zzz-kept"),
    )
    assert counts(ingest(home, ("transactions", path))[0]) == (2, 1, 0, 1, 0)
    stored = " ".join(text for _, text in house.everything(home))
    assert ("zzz-kept" in stored, "zzz-due" in stored) == (True, False)


def test_a_broken_row_that_is_due_on_arrival_is_refused_too(tmp_path):
    path = put(tmp_path / "log", house.lines(house.log_line("01/Jan/2015:10:00:00 +0000", status="-"), house.log_line(status="-")))
    assert house.verdicts("access_logs", path) == ["refused: due_on_arrival.C-10.1", "quarantined: status.required"]


def test_a_column_that_is_due_on_arrival_is_empty_to_both_opinions(both_opinions, shared_home, tmp_path):
    """Usage events of the last 13 months are every platform's ordinary file."""
    path = written(tmp_path, house.event(711, occurred_at=datetime(2015, 4, 1, tzinfo=UTC)), house.event(712))
    assert counts(ingest(shared_home, ("usage_events", path))[0]) == (2, 2, 0, 0, 0)


def test_a_column_that_is_due_on_arrival_comes_in_empty_and_the_rest_of_its_row_stays(shared_home, tmp_path):
    row = house.event(701, occurred_at=datetime(2015, 4, 1, tzinfo=UTC), page="/offre/9", user_agent="Mozilla/5.0", item_category="shoes")
    assert counts(ingest(shared_home, ("usage_events", written(tmp_path, row)))[0]) == (1, 1, 0, 0, 0)
    assert raw(shared_home, "select page, user_agent, item_category from lake.main.usage_events where event_id = 'e701'") == [(None, None, "shoes")]


@pytest.mark.parametrize("year", [2016, 9999])
def test_an_event_of_the_future_is_set_aside(tmp_path, year):
    assert house.verdicts("access_logs", put(tmp_path / "log", house.lines(house.log_line(f"17/Dec/{year}:10:05:03 +0000"), house.log_line()))) == [
        "quarantined: requested_at.future",
        "good",
    ]


def test_a_consent_of_a_kind_that_the_policy_does_not_know_is_set_aside(tmp_path):
    """A misspelled withdrawal would otherwise be no withdrawal, and nobody would see it."""
    path = written(tmp_path, house.consent(1, decision="withdrawn", kind="analytic_cookies"), house.consent(2))
    assert house.verdicts("consents", path) == ["quarantined: kind.allowed", "good"]


@pytest.mark.parametrize("column", ["method", "policy_version"])
def test_a_withdrawal_by_an_unknown_method_is_loaded_for_it_must_count(tmp_path, column):
    """Set aside it would leave the grant before it in force; the gate takes what it does not know for no consent."""
    path = written(tmp_path, house.consent(1, decision="withdrawn", **{column: "by telephone"}))
    assert house.verdicts("consents", path) == ["good"]


# --- card numbers (C-2.5) ---

CARDS = {
    "Visa": "4111111111111111",
    "Mastercard": "5105105105105100",
    "Mastercard 2": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners": "30569309025904",
    "JCB": "3530111333300000",
    "Visa of 13": "4222222222222",
    "of 19": "6304000000000000000",
}


@pytest.mark.parametrize("number", CARDS.values(), ids=[*CARDS])
def test_a_full_card_number_is_refused_however_it_is_grouped_and_its_neighbours_load(tmp_path, number):
    grouped = [number, *(sep.join(re.findall(".{1,4}", number)) for sep in (" ", "-"))]
    texts = [
        shape.format(card) for card in grouped for shape in ("{}", "carte:{}.", "n°{}!", "x{}y", "({})", "a\n{}\nb", "{},{}".format("{}", number))
    ]
    rows = [
        row
        for n, text in enumerate(texts)
        for row in (house.post(2 * n, body=text), house.post(2 * n + 1, body=text[:-4].replace(number, "")[:12] + "x"))
    ]
    found = house.verdicts("forum_posts", written(tmp_path, *rows))
    assert found[0::2] == ["refused: forbidden.card_number"] * len(texts)
    assert found[1::2] == ["good"] * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "1431867903123",
        "0612345678",
        "FR7630006000011234567890189",
        "id 9999999999999995",
        "20150517100503",
        "4111 1111 1111",
        "3000000000000000000000",
        "10.3.0.4.111.111.111.111.1.1.1",
        "gs_l=partner.3..0.9832.10273.0.10386.4.2.0.2.2.0.128.162.1j1.2.0",
    ],
)
def test_numbers_that_are_no_cards_are_not_taken_for_one(tmp_path, text):
    """A wrong check digit, milliseconds, a phone, an IBAN, an order number of a series without cards, too few and too many digits, dotted digits."""
    assert house.verdicts("forum_posts", written(tmp_path, house.post(body=text))) == ["good"]


def test_hardly_any_random_number_in_an_address_is_taken_for_a_card(tmp_path):
    """Pages add such numbers to their addresses by the thousand, and a refused line is lost."""
    chance = random.Random(4)
    path = put(tmp_path / "log", house.lines(*(house.log_line(request=f"GET /pixel?cb={chance.random()} HTTP/1.1") for _ in range(4_000))))
    refused = [verdict for verdict in house.verdicts("access_logs", path) if verdict != "good"]
    assert set(refused) <= {"refused: forbidden.card_number"}
    assert len(refused) < 80


@REAL
def test_no_line_of_the_real_log_is_taken_for_a_card_number():
    assert Counter(house.verdicts("access_logs", house.REAL_LOG, "2015-05-21")) == {"good": 9_999, "quarantined: line.not_combined_format": 1}


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111 12/27",
        "4111111111111111 123",
        "carte 4 4111111111111111",
        "le 17-05-2015 4111111111111111",
        "4111111111111112 4111111111111111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111  1111  1111  1111",
        "12 4111-1111-1111-1111 27",
        "4111+1111+1111+1111",
        "4111%201111%201111%201111",
    ],
)
def test_a_card_number_beside_other_digits_or_with_other_blanks_is_refused(tmp_path, text):
    assert house.verdicts("forum_posts", written(tmp_path, house.post(body=text))) == ["refused: forbidden.card_number"]


@pytest.mark.parametrize(
    ("dataset", "column"),
    [
        ("members", "friends_count"),
        ("members", "birthday"),
        ("members", "age_confirmed"),
        ("members", "deleted_at"),
        ("transactions", "price_eur"),
        ("transactions", "started_at"),
    ],
)
def test_a_card_number_in_a_column_of_any_type_is_refused(tmp_path, dataset, column):
    rows = [house.BUILDERS[dataset](1, **{column: house.CARD}), house.BUILDERS[dataset](2)]
    assert house.verdicts(dataset, written(tmp_path, *rows)) == ["refused: forbidden.card_number", "good"]


def test_no_card_number_is_found_under_the_home_in_clear_or_decoded_while_the_other_rows_are(home, tmp_path):
    """In a good row, a broken row, an unreadable line, a CSV row of too few cells, a log's URL; searched in every table and every file."""
    spaced = " ".join(re.findall("....", house.CARD))
    inputs = [
        (
            "forum_posts",
            put(
                tmp_path / "1",
                house.ndjson([house.post(1, body=f"ma carte {spaced}"), house.post(2), house.post(3, body=spaced, forum_category=None)])
                + house.lines(f'{{"post_id": "{house.CARD}', '{"post_id": "broken'),
            ),
        ),
        (
            "transactions",
            put(
                tmp_path / "2",
                house.as_csv([house.transaction(1), house.transaction(2, status=house.CARD)]) + f"t3,{house.CARD}\nt4,broken\n".encode(),
            ),
        ),
        ("members", put(tmp_path / "3", house.as_parquet("members", [house.member(1, iban=house.CARD), house.member(2)]))),
        (
            "access_logs",
            put(
                tmp_path / "4", house.lines(house.log_line(request=f"GET /p?c={house.CARD} HTTP/1.1"), house.log_line(), f"broken {spaced}", "broken")
            ),
        ),
    ]
    answers = [house.kampeky("ingest", dataset, path, "--home", home, "--as-of", house.AS_OF) for dataset, path in inputs]
    assert [(answer.code, "card_number" in answer.err) for answer in answers] == [(0, True)] * 4
    tables = house.everything(home)
    batches = {row[0]: row[1:] for row in raw(home, "select dataset, read, loaded, quarantined, refused from lake.platform.batches where read > 0")}
    assert batches == {"forum_posts": (5, 1, 1, 3), "transactions": (4, 1, 1, 2), "members": (2, 1, 0, 1), "access_logs": (4, 1, 1, 2)}
    assert sum(table.startswith("quarantine.") for table, _ in tables) == 3
    outside = [(str(name.relative_to(home)), content) for name, content in house.bytes_below(home)]
    said = [(f"answer {n}", (answer.out + answer.err).encode()) for n, answer in enumerate(answers)]
    for place, text in [*((table, text.encode()) for table, text in tables), *outside, *said]:
        assert house.CARD.encode() not in text.replace(b" ", b"").replace(b"-", b""), place


# --- all or nothing ---


class Killed:
    """A connection that breaks off in a transaction, before the first statement that begins with `at`."""

    def __init__(self, connection: Connection, at: str) -> None:
        self.connection, self.at, self.begun = connection, at, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if self.begun and sql.startswith(self.at):
            raise KeyboardInterrupt
        self.begun = self.begun or sql == "begin"
        return self.connection.execute(sql, *values)


def test_a_run_killed_in_the_middle_of_a_batch_leaves_nothing_of_it_and_the_next_run_loads_it_all(home, tmp_path, monkeypatch):
    ingest(home, ("members", written(tmp_path, house.member(1), house.member(2), name="kept")))
    before, opened = house.state(home), run.opened
    path = written(
        tmp_path,
        house.member(1, member_name="newer", updated_at=datetime(2015, 5, 9, tzinfo=UTC)),
        house.member(3),
        house.member(4, email="none"),
        name="next",
    )
    for at in ("insert into lake.quarantine", "commit"):

        @contextmanager
        def killed(*given: Any, at: str = at, **named: Any) -> Iterator[Killed]:
            with opened(*given, **named) as connection:
                yield Killed(connection, at)

        with monkeypatch.context() as patch:
            patch.setattr(run, "opened", killed)
            with pytest.raises(KeyboardInterrupt):
                ingest(home, ("members", path))
        assert house.state(home) == before, at
    assert counts(ingest(home, ("members", path))[0]) == (3, 2, 1, 0, 0)
    assert raw(home, "select member_id, member_name from lake.main.members order by 1") == [
        ("m000001", "newer"),
        ("m000002", "Vendeur 2"),
        ("m000003", "Vendeur 3"),
    ]


def strange_header(path: Path) -> Path:
    return put(path, "post_id,shoe_size\np1,39\n")


def test_what_is_loaded_stands_in_the_ledger_whenever_the_run_was_killed(home, tmp_path, monkeypatch):
    path = written(tmp_path, house.member(1))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ingest(home, ("members", path))
    ingest(home, ("members", path))
    told = sum(entry.facts["loaded"] for entry in ledger.read(Home(home)) if entry.act == "ingest")
    assert told == len(raw(home, "from lake.main.members")) == 1


STOPPING: dict[str, tuple[Callable[[Path], Path], type[KampekyError], str]] = {
    "unknown field": (strange_header, Refused, "another dataset|named by no"),
    "missing column": (lambda path: put(path, "post_id,thread_id\np1,f1\n"), Refused, "required columns"),
    "damaged archive": (lambda path: put(path, gzip.compress(house.ndjson([house.post(9)]))[:-9]), KampekyError, "damaged archive"),
    "damaged Parquet": (lambda path: put(path, house.as_parquet("forum_posts", [house.post(9)])[:-9]), KampekyError, "cannot be read as parquet"),
    "no file": (lambda path: path, KampekyError, "no such file"),
    "a folder": (lambda path: path.parent, KampekyError, "is a folder"),
}


def test_a_file_that_cannot_be_taken_stops_the_run_before_the_good_ones_before_it_are_loaded(shared_home, tmp_path):
    before = house.state(shared_home)
    for kind, (make, error, words) in STOPPING.items():
        good, bad = written(tmp_path, house.post(1, body=f"before {kind}")), make(tmp_path / kind)
        with pytest.raises(error, match=words):
            ingest(shared_home, ("forum_posts", good), ("forum_posts", bad))
    assert house.state(shared_home) == before
    assert counts(ingest(shared_home, ("forum_posts", good))[0]) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    "content",
    [b"post_id,post_id,thread_id,author_id,forum_category,posted_at,body\n", house.as_parquet("forum_posts", [house.post(9)])],
    ids=["doubled column", "damaged pages"],
)
def test_damage_behind_the_head_of_a_file_stops_the_run_before_the_good_ones_before_it_are_loaded(shared_home, tmp_path, content):
    if content.startswith(b"PAR1"):
        content = content[:8] + b"\xff" * 40 + content[48:]
    good, bad = written(tmp_path, house.post(600 + len(content))), put(tmp_path / "bad", content)
    with pytest.raises(KampekyError):
        ingest(shared_home, ("forum_posts", good), ("forum_posts", bad))
    assert raw(shared_home, f"select 1 from lake.main.forum_posts where post_id = '{house.post(600 + len(content))['post_id']}'") == []


def test_a_file_that_may_not_be_read_is_one_sentence(home, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    path = written(tmp_path, house.member())
    path.chmod(0)
    with pytest.raises(KampekyError, match="cannot be read"):
        ingest(home, ("members", path))


# --- a folder of datasets ---


def test_a_folder_is_ingested_dataset_by_dataset_with_one_balance_each(home, tmp_path):
    source = tmp_path / "source"
    written(source / "members", house.member(1), house.member(2), name="a.ndjson")
    put(source / "members" / "b.csv", house.as_csv([house.member(2), house.member(3)]))
    put(source / "access_logs" / "access.log.gz", gzip.compress(house.lines(house.log_line())))
    put(source / "members" / ".hidden", "not a record")
    answer = house.kampeky("ingest", "--all", "--from", source, "--home", home, "--as-of", house.AS_OF, "--json")
    assert (answer.code, {a["source"]: (a["files"], a["read"], a["loaded"], a["already_known"]) for a in answer.json}) == (
        0,
        {"access_logs": (1, 1, 1, 0), "members": (2, 4, 3, 1)},
    )


def test_a_folder_that_holds_what_is_no_dataset_is_misuse_and_nothing_is_loaded(home, tmp_path):
    source = tmp_path / "source"
    written(source / "members", house.member())
    written(source / "membres", house.member())
    answer = house.kampeky("ingest", "--all", "--from", source, "--home", home, "--as-of", house.AS_OF)
    assert (answer.code, "(membres) named like no dataset" in answer.sentence, "forum_posts" in answer.sentence) == (2, True, True)
    assert raw(home, "select 1 from lake.main.members") == []
    empty = house.kampeky("ingest", "--all", "--from", put(tmp_path / "empty" / "members" / ".keep", "").parents[1], "--home", home)
    assert (empty.code, "holds no file of a dataset" in empty.sentence) == (2, True)


@pytest.mark.parametrize("place", ["members/2015/05.ndjson", "members"])
def test_a_file_in_a_place_that_is_not_read_is_not_passed_over_in_silence(home, tmp_path, place):
    source = tmp_path / "source"
    written(source, house.member(), name=place)
    put(source / "access_logs" / "access.log", house.lines(house.log_line()))
    answer = house.kampeky("ingest", "--all", "--from", source, "--home", home, "--as-of", house.AS_OF, "--json")
    assert answer.code != 0 or any(a["source"] == "members" for a in answer.json)


@pytest.mark.parametrize("content", [house.ndjson([house.member(n) for n in range(12)]), bytes(range(128, 256)) + b"\n" + b"\xff\n" * 12])
def test_a_log_of_which_no_line_is_one_is_refused_whole(shared_home, tmp_path, content):
    """Otherwise the members of a file that was given under the wrong name would stand in the quarantine of logs."""
    before = house.state(shared_home)
    with pytest.raises(Refused, match=r"none of its 1[23] rows can be read as 'access_logs'"):
        ingest(shared_home, ("access_logs", put(tmp_path / "some.log", content)))
    assert house.state(shared_home) == before


def test_one_nested_value_costs_its_record_and_no_other(both_opinions, shared_home, tmp_path):
    rows = [house.member(n) for n in range(7_000, 7_030)] + [house.member(7_030, email=["a@b.fr", "c@d.fr"])]
    balance = ingest(shared_home, ("members", put(tmp_path / "members.ndjson", house.ndjson(rows))))[0]
    assert (counts(balance), dict(balance.reasons)) == ((31, 30, 1, 0, 0), {"line.nested_email": 1})
