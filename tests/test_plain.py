"""Large Parquet files of logs: what is taken in without making a text of it has the verdict, the values and the day that it would have had."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import house
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from house import counts, ingest, put, raw
from test_forbidden import HASHES, PASSWORDS, random_text

from pipelines.foundation.dates import paris_day_sql
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.ingestion import ingest as ingest_module
from pipelines.ingestion import plain
from pipelines.policy import due
from pipelines.quality.forbidden import forbidden_in, suspicious
from pipelines.quality.plain import can_be_plain

AT = datetime(2015, 5, 17, 10, 5, 3, 123456, tzinfo=UTC)
ROW = {"ip": "83.149.9.216", "member_id": None, "requested_at": AT, "method": "GET", "path": "/offre/1", "protocol": "HTTP/1.1", "status": "200",
       "bytes": "1234", "referer": None, "user_agent": "Mozilla/5.0"}  # fmt: skip
TEXTS = ["", " ", "-", "x" * 33, "x" * 65, "x" * 256, "é", "a\x1fb", house.CARD, "4111 1111 1111 1111", "/?password=x", '{"password":"',
         HASHES["SSHA"], "0612345678", "\u0664\u0661\u0661\u0661", None]  # fmt: skip
NUMBERS = ["0", "7", "99", "100", "999", "1000", "-1", "+5", "007", "1.0", "1e3", " 1", "1_000", "", "x", house.CARD, "9" * 12, "9" * 13, "9" * 30,
           None]
TIMES = ["2015-05-17T10:00:00Z", "2015-05-17 10:00:00", "2015-05-17", "1436-05-17 10:00:00+00", "0000-05-17 10:00:00+00", "infinity",
         "2015-02-30 10:00Z", "2015-05-17 10:00:00.123456789+02:00", "2014-04-19 21:59:59+00", "2014-05-19 22:00:00+00", "2015-05-21 21:59:59+00",
         "2015-05-21 22:00:00+00", house.CARD, "", None]  # fmt: skip
EDGES = [datetime(2015, 5, 21, 21, 59, 59, 999999, UTC), datetime(2015, 5, 21, 22, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC), AT,
         datetime(9999, 12, 30, tzinfo=UTC), datetime(1910, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, tzinfo=UTC), None,
         *(datetime(2014, 4, 19, 21, tzinfo=UTC) + timedelta(days=n, hours=h) for n in range(29, 33) for h in (0, 1)),
         datetime(2015, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2015, 3, 29, 1, tzinfo=UTC), datetime(2014, 10, 26, 0, 30, tzinfo=UTC)]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]], /, **types: pa.DataType) -> Path:
    given = {name: pa.string() for name in ROW} | {"requested_at": pa.timestamp("us", "UTC")} | types
    parquet.write_table(pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in given.items() if kind}), path)
    return path


def columns(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in (*ROW, "_line", "paris_day"))


@pytest.fixture
def both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, ...]]:
    """Land a file of which plain rows are taken as they stand, and the same with every row checked from its text; they must be alike."""

    def landed(path: Path, few: int) -> tuple[Any, ...]:
        monkeypatch.setattr(plain, "FEW", few)
        home = house.new_home(tmp_path / f"few-{few}")
        try:
            (balance,) = ingest(home, ("access_logs", path))
        except KampekyError as error:
            return (str(error),)
        rows = [raw(home, f"select {columns('r')} from lake.main.access_logs as r order by _line"),
                raw(home, "select _line, reason, record, paris_day from lake.quarantine.access_logs order by _line")]
        return counts(balance), dict(balance.reasons), rows

    def both(path: Path) -> tuple[Any, ...]:
        one, other = landed(path, 1), landed(path, 1 << 40)
        assert one == other
        return one

    return both


@pytest.fixture(autouse=True)
def few_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that of small files, too, some rows are taken as they stand."""
    monkeypatch.setattr(plain, "drawn", lambda line, seed, rows: f"hash({line}) % 5 = 0")
    monkeypatch.setattr(ingest_module, "compare", lambda *_args, **_named: 0)


def odd_rows(**odd: list[Any]) -> list[dict[str, Any]]:
    """Many good rows, and among them one for each odd value of each column."""
    rows = [ROW | {"path": f"/offre/{n}", "bytes": str(n)} for n in range(600)]
    rows += [ROW | {name: value} for name, values in odd.items() for value in values]
    random.Random(8).shuffle(rows)
    return rows


def test_texts_are_judged_alike(tmp_path: Path, both_ways: Callable) -> None:
    texts = dict.fromkeys(("ip", "member_id", "method", "path", "protocol", "referer", "user_agent"), TEXTS)
    told = both_ways(written(tmp_path / "log.parquet", odd_rows(**texts, status=NUMBERS, bytes=NUMBERS, requested_at=EDGES)))
    assert {reason.partition(".")[2] for reason in told[1]} >= {
        "card_number", "password", "password_hash", "type", "required", "max_length", "pattern"}  # fmt: skip


def test_times_as_text_are_judged_alike(tmp_path: Path, both_ways: Callable) -> None:
    rows = [row | {"requested_at": row["requested_at"].isoformat()} if isinstance(row["requested_at"], datetime) else row
            for row in odd_rows(requested_at=TIMES)]  # fmt: skip
    told = both_ways(written(tmp_path / "log.parquet", rows, requested_at=pa.string()))
    assert {"requested_at.type", "requested_at.required", "requested_at.future", "forbidden.card_number"} <= set(told[1])


WHOLE = [0, 99, 100, 999, 1000, None]
TYPED = {
    "whole numbers": {"status": (pa.int64(), [*WHOLE, -1, 10**11, 10**12 - 1, 10**12, int(house.CARD), -(10**11), -(10**12), 2**63 - 1])},
    "small numbers": {"status": (pa.int16(), WHOLE), "bytes": (pa.uint32(), [0, 2**32 - 1, None])},
    "large numbers": {"bytes": (pa.uint64(), [0, 2**63 - 1, 2**63, 2**64 - 1, int(house.CARD), None])},
    "fractions": {"status": (pa.float64(), [200.0, 200.5, float("inf"), float("nan"), None]),
                  "bytes": (pa.decimal128(12, 2), [Decimal("1.00"), None])},
    "decimals without places": {"bytes": (pa.decimal128(18, 0), [Decimal(7), Decimal(house.CARD), None])},
    "numbers for texts": {"member_id": (pa.int64(), [1, int(house.CARD), None]), "path": (pa.bool_(), [True, None])},
    "truth for a number": {"status": (pa.bool_(), [True, False, None])},
    "times without a zone": {"requested_at": (pa.timestamp("us"), [AT.replace(tzinfo=None), None])},
    "days for times": {"requested_at": (pa.date32(), [AT.date(), None])},
    "times of thousandths": {"requested_at": (pa.timestamp("ms", "UTC"), [AT.replace(microsecond=0), None])},
    "times of another zone": {"requested_at": (pa.timestamp("us", "America/New_York"), [AT, *EDGES[:2]])},
    "days for texts": {"member_id": (pa.date32(), [AT.date(), None])},
    "words of a dictionary": {name: (pa.dictionary(pa.int32(), pa.string()), TEXTS) for name in ("path", "user_agent")},
    "a missing column": {"referer": (None, [])},
}


@pytest.mark.parametrize("kinds", TYPED.values(), ids=[*TYPED])
def test_typed_columns_are_judged_alike(tmp_path: Path, both_ways: Callable, kinds: dict[str, tuple[pa.DataType, list[Any]]]) -> None:
    good = [ROW | {name: next(iter(values), None) for name, (_, values) in kinds.items()} for _ in range(3000)]
    rows = good + [good[0] | {name: value} for name, (_, values) in kinds.items() for value in values]
    random.Random(8).shuffle(rows)
    both_ways(written(tmp_path / "log.parquet", rows, **{name: kind for name, (kind, _) in kinds.items()}))


def test_most_rows_of_a_good_file_are_taken_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    seen = []
    stage = plain.stage_doubtful
    monkeypatch.setattr(ingest_module, "stage_doubtful", lambda *given: seen.append(stage(*given)) or seen[-1])
    rows = odd_rows(path=["/?password=x"])
    home = house.new_home(tmp_path)
    assert counts(ingest(home, ("access_logs", written(tmp_path / "log.parquet", rows)))[0]) == (601, 600, 0, 1, 0)
    assert seen[0].all == 601
    assert seen[0].good > 400
    assert raw(home, "select count(*), count(distinct _line), min(_line), max(_line) <= 601 from lake.main.access_logs") == [(600, 600, 1, True)]


def test_a_footer_that_lies_about_values_is_not_believed(tmp_path: Path, both_ways: Callable) -> None:
    out = io.BytesIO()
    rows = [ROW | {"status": 200} for _ in range(1000)]
    given = {name: pa.string() for name in ROW} | {"requested_at": pa.timestamp("us", "UTC"), "status": pa.int64()}
    parquet.write_table(pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in given.items()}), out, compression="none",
                        use_dictionary=False)  # fmt: skip
    content = bytearray(out.getvalue())
    values = (200).to_bytes(8, "little")
    content[content.index(values * 10) + 8 * 500:][:8] = (5).to_bytes(8, "little")
    place = content.index(values * 10) + 8 * 500
    content[place:place + 8] = (5).to_bytes(8, "little")
    old, due_on = (int(t.timestamp() * 1e6).to_bytes(8, "little") for t in (AT, datetime(2001, 1, 1, tzinfo=UTC)))
    place = content.index(old * 10) + 8 * 700
    content[place:place + 8] = due_on
    path = put(tmp_path / "log.parquet", bytes(content))
    assert parquet.read_metadata(path).row_group(0).column(6).statistics.min == 200
    assert both_ways(path)[1] == {"status.minimum": 1, "due_on_arrival.C-10.1": 1}


def test_a_file_that_changes_while_it_is_read_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    home, path = house.new_home(tmp_path), written(tmp_path / "log.parquet", odd_rows())
    before = house.state(home)
    land = ingest_module.land

    def changed(*given: Any) -> Any:
        written(path, [row | {"path": f"/?card={house.CARD}"} for row in odd_rows()])
        return land(*given)

    monkeypatch.setattr(ingest_module, "land", changed)
    with pytest.raises(KampekyError, match="changed while it was read"):
        ingest(home, ("access_logs", path))
    assert house.state(home) == before


def test_a_damaged_page_of_any_column_is_told_as_damage_and_nothing_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    home = house.new_home(tmp_path)
    before = house.state(home)
    content = written(tmp_path / "good.parquet", odd_rows()).read_bytes()
    chunks = parquet.read_metadata(tmp_path / "good.parquet").row_group(0)
    for n in range(chunks.num_columns):
        start, size = chunks.column(n).data_page_offset, chunks.column(n).total_compressed_size
        damaged = bytearray(content)
        damaged[start:start + 30] = b"\xff" * min(30, size)
        with pytest.raises(KampekyError, match="cannot be read as parquet"):
            ingest(home, ("access_logs", put(tmp_path / "damaged.parquet", bytes(damaged))))
    assert house.state(home) == before


def test_too_many_bad_rows_hold_the_file_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    rows = [ROW | {"status": "x"}] * 1500 + [ROW] * 4000
    with pytest.raises(Refused, match=r"1,500 of 5,500 rows would be quarantined"):
        ingest(house.new_home(tmp_path), ("access_logs", written(tmp_path / "log.parquet", rows)))


def test_only_datasets_whose_rows_stand_alone_can_be_plain() -> None:
    assert [name for name, contract in house.rulebook().contracts.items() if can_be_plain(contract)] == ["access_logs"]


def test_whatever_is_forbidden_in_a_row_is_suspected_in_one_of_its_columns() -> None:
    chance = random.Random(3)
    texts = [*PASSWORDS, *HASHES.values(), *(random_text(chance) for _ in range(2000)), '{"password":"', '"pwd": "**', "x", "", "?a=", "://a:b", "@c"]
    pairs = [(text, "") for text in texts] + [(chance.choice(texts), chance.choice(texts)) for _ in range(4000)]
    found = house.memory().execute(f"""
        select count(*), count(*) filter (forbidden), count(*) filter (forbidden and not suspected), count(*) filter (not suspected) from (
            select {forbidden_in("a || chr(31) || b")} is not null as forbidden, {suspicious("a")} or {suspicious("b")} as suspected
            from (select unnest($1) as a, unnest($2) as b))""", [[a for a, _ in pairs], [b for _, b in pairs]]).fetchall()[0]
    assert found[0] == len(pairs)
    assert found[1] > 1500
    assert found[2] == 0
    assert found[3] > 100


def test_the_day_that_is_counted_is_the_day_that_a_cast_gives() -> None:
    for around in (date(2015, 5, 20), date(2026, 1, 30), date(1990, 7, 1), date(1975, 1, 1), date(2199, 1, 1)):
        years = {n: f"timestamptz '{around.year + n}-01-01 00:00:00+00'" for n in (-4, -1, 1, 3)}
        differing = house.memory().execute(f"""
            select count(*), count(*) filter ({paris_day_sql("t", around)} is distinct from t::date)
            from (select unnest(generate_series({years[-4]}, {years[3]}, interval 30 minute)) as t
                  union all select t - interval 1 microsecond from (select unnest(generate_series({years[-1]}, {years[1]}, interval 1 hour)) as t)
                  union all select unnest([null, timestamptz 'infinity', timestamptz '-infinity', timestamptz '0001-01-01 00:00:00+00']))
            """).fetchall()[0]
        assert differing[0] > 100_000
        assert differing[1] == 0


def test_the_first_day_kept_is_the_first_of_which_no_rule_says_that_it_is_due() -> None:
    rules = house.rulebook()
    for contract in rules.contracts.values():
        for as_of in (date(2015, 5, 20), date(2016, 2, 29), date(2026, 3, 31)):
            first = due.first_day_kept(contract, rules.policy, as_of)
            days = [(first, False), (first - timedelta(days=1), True)]
            for day, is_due in days:
                rules_due = [sql for _, sql in due.event_dues(contract, rules.policy, f"date '{day}'", "true")]
                found = [house.memory().execute(f"select {due.is_due(sql, as_of)}").fetchall()[0][0] for sql in rules_due]
                assert any(found) == (is_due and bool(rules_due))


# --- lines of logs -----------------------------------------------------------------------------------------------------

LINE = house.log_line()
ODD_LINES = [
    "", " ", "x", '"', '"' * 6, '"' * 2, LINE[:-1], LINE + " ", LINE + ' "more"', LINE + " 12", " " + LINE, "\ufeff" + LINE, LINE.replace(" - -",
    " -"),
    LINE.replace(" - -", " - - -"), LINE.replace(" - -", "  - -"), LINE.replace(" - -", " -\t-"), LINE.replace(" - -", " - an na"),
    LINE.replace(" - -", " - [x"), LINE.replace(" - -", " - -x"), LINE.replace(" - -", " - x\\"), LINE.replace("17/May", "17/MAY"),
    LINE.replace("17/May", "31/Feb"), LINE.replace("17/May", "17/Mai"), LINE.replace(":10:05:03", ":24:05:03"), LINE.replace(":10:05:03",
    ":23:59:60"),
    LINE.replace("+0000", "+0930"), LINE.replace("+0000", "+9999"), LINE.replace("+0000", ""), LINE.replace("May/2015", "May/0000"),
    LINE.replace("May/2015", "May/2014"), LINE.replace("May/2015", "Jun/2015"), LINE.replace(" 200 1234 ", "  200 1234 "),
    LINE.replace(" 200 1234 ", " 200 1234"), LINE.replace(" 200 1234 ", "200 1234 "), LINE.replace(" 200 1234 ", " 200 1234  "),
    LINE.replace(" 200 1234 ", " 200 -1 "), LINE.replace(" 200 1234 ", " 2000 1 "), LINE.replace(" 200 1234 ", " 099 1 "),
    LINE.replace('"-" "Mozilla', '"-"  "Mozilla'), LINE.replace('"-" "Mozilla', '"-""Mozilla'),
    LINE.rpartition(' "-"')[0], LINE.rpartition(' "Moz')[0],
    LINE.rpartition(' "-"')[0] + " ", LINE.rpartition(' "-"')[0] + ' ""', LINE + "\r", LINE + "\r\r", LINE.rpartition(' "-"')[0] + "\r",
    LINE + "\x00",
    *(house.log_line(request=request) for request in ("", "-", "GET", "GET /", "GET  HTTP/1.1", "GET /a b HTTP/1.1", "GET / HTTP/1.10",
    "GET / HTTP/2",
      "G?T / HTTP/1.1", "get_it-now / HTTP/1.1", "x" * 33 + " / HTTP/1.1", "GET /\t HTTP/1.1", "GET /\u00a0é HTTP/1.1", r"GET /\"x HTTP/1.1",
      r"GET /\\",
      "GET / http/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", f"GET /{house.CARD} HTTP/1.1", "GET /?pwd=x HTTP/1.1", "\\x16\\x03\\x01")),
    *(house.log_line(**{name: text}) for name in ("ip", "member", "referer", "agent") for text in ("", "-", "é", "a\x1fb", "x" * 300, house.CARD,
      "?password=x", r"a\"b", "\\", "a b", '{"password":"x"}', "m-1", "::1", HASHES["bcrypt"])),
    *(house.log_line(status=status, size=size) for status in ("200", "-", "099", "1000", "") for size in ("0", "-", "007", house.CARD, "9" * 30)),
]  # fmt: skip


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["finished", "unfinished"])
def test_lines_are_judged_alike(tmp_path: Path, both_ways: Callable, start: bytes, end: bytes) -> None:
    texts = [house.log_line(request=f"GET /offre/{n} HTTP/1.1", size=str(n),
                             time=f"{17 + n % 3}/May/2015:{n % 24:02}:59:59 +0200") for n in range(900)]
    rows = [text.encode() for text in texts + ODD_LINES] + [LINE.replace("Mozilla", "Mo\udce9").encode(errors="surrogateescape")]
    random.Random(5).shuffle(rows)
    told = both_ways(put(tmp_path / "access.log", start + b"\n".join([LINE.encode(), *rows]) + end))
    assert {"line.not_combined_format", "line.not_utf8", "forbidden.card_number", "forbidden.password", "requested_at.type", "status.minimum",
            "due_on_arrival.C-10.1", "requested_at.future", "ip.max_length"} <= set(told[1])  # fmt: skip
    assert told[0][1] > 900


def test_easy_lines_are_not_staged_as_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    seen = []
    stage = plain.stage_doubtful
    monkeypatch.setattr(ingest_module, "stage_doubtful", lambda *given: seen.append(stage(*given)) or seen[-1])
    common = [house.log_line(size=str(n)).rpartition(' "-"')[0] for n in range(300)]
    combined = [house.log_line(size=str(n), member=f"m{n}", referer="https://exemple.fr/?x=1") for n in range(300)]
    for n, end in enumerate(("\n", "\r\n")):
        path = put(tmp_path / f"{n}.log", "".join(f"{line}{end}" for line in [*common, *combined]))
        assert counts(ingest(house.new_home(tmp_path / str(n)), ("access_logs", path))[0]) == (600, 600, 0, 0, 0)
        assert seen[n].staged < 200


def test_a_log_that_grew_since_has_its_new_lines_read_and_one_that_grows_meanwhile_is_read_so_far(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "FEW", 1)
    home, path = house.new_home(tmp_path), put(tmp_path / "access.log", house.lines(*(house.log_line(size=str(n)) for n in range(200))))
    assert counts(ingest(home, ("access_logs", path))[0]) == (200, 200, 0, 0, 0)
    put(path, path.read_bytes() + house.lines(*(house.log_line(size=str(n)) for n in range(200, 300))))
    land = ingest_module.land

    def growing(*given: Any) -> Any:
        put(path, path.read_bytes() + house.lines(house.log_line(request="GET /later HTTP/1.1")))
        return land(*given)

    monkeypatch.setattr(ingest_module, "land", growing)
    assert counts(ingest(home, ("access_logs", path))[0]) == (300, 100, 0, 0, 200)
    monkeypatch.setattr(ingest_module, "land", lambda *given: put(path, path.read_bytes().replace(b"GET", b"PUT")) and land(*given))
    before = house.state(home)
    with pytest.raises(KampekyError, match="changed while it was read"):
        ingest(home, ("access_logs", path))
    assert house.state(home) == before
    assert raw(home, "select count(*), count(distinct bytes), count(distinct _batch) from lake.main.access_logs") == [(300, 300, 2)]
