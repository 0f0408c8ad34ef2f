"""Readers: each line and record of any file is accounted for, whatever it holds, and the form of a file changes nothing of what it says."""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import house
import pyarrow as pa
import pytest
from house import put
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.sources import files, lines
from pipelines.sources.files import check_readable, fingerprint, uncompressed
from pipelines.sources.lines import read_lines

GOOD = house.log_line()


def log(tmp_path: Path, *texts: str | bytes, name: str = "access.log") -> Path:
    return put(tmp_path / name, b"".join((t if isinstance(t, bytes) else t.encode()) + b"\n" for t in texts))


def only(rows: list[house.Judged]) -> dict[str, Any]:
    """The values of the one good row."""
    (row,) = rows
    assert (row.verdict, row.reason) == ("good", None)
    return row.values


# --- lines ---


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"\r")), max_size=9), st.booleans(), st.integers(1, 12))
def test_the_lines_are_what_stands_between_line_feeds_each_once_and_numbered(tmp_path_factory, texts, ended, block):
    """Whatever the bytes and wherever a block of the file ends."""
    content = b"\n".join(texts) + (b"\n" if ended and texts else b"")
    assume(not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))  # an archive is seen through
    expected = content.removesuffix(b"\n").split(b"\n") if content else []
    path = put(tmp_path_factory.getbasetemp() / "lines", content)
    before = files.BLOCK
    files.BLOCK = block
    try:
        table = read_lines(path).read_all()
    finally:
        files.BLOCK = before
    assert table["bytes"].to_pylist() == expected
    assert table["_line"].to_pylist() == list(range(1, len(expected) + 1))


# --- compression ---


@pytest.mark.parametrize(
    "packed",
    [bytes, gzip.compress, house.zstd, lambda c: gzip.compress(c[:40]) + gzip.compress(c[40:]), lambda c: house.zstd(c[:40]) + house.zstd(c[40:])],
    ids=["plain", "gzip", "zstd", "two gzip members", "two zstd frames"],
)
def test_the_same_content_is_the_same_file_under_any_name_and_compression(tmp_path, packed):
    content = house.lines(*(house.log_line(ip=f"10.0.0.{n}") for n in range(50)))
    path = put(tmp_path / "any.name", packed(content))
    assert fingerprint(path) == fingerprint(put(tmp_path / "plain", content))
    assert fingerprint(path) != fingerprint(put(tmp_path / "other", content + b"x"))
    assert [row.values["ip"] for row in house.judged("access_logs", path)] == [f"10.0.0.{n}" for n in range(50)]


@pytest.mark.parametrize("packed", [gzip.compress, house.zstd], ids=["gzip", "zstd"])
def test_an_archive_that_ends_early_is_one_sentence_wherever_it_was_cut(tmp_path, packed):
    chance = random.Random(5)
    whole = packed(house.lines(*(house.log_line(agent=chance.randbytes(12).hex()) for _ in range(400))))
    for cut in (5, 12, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path = put(tmp_path / "cut", whole[:cut])
        with pytest.raises(KampekyError, match=r"damaged archive.*Nothing of it was loaded") as failed:
            fingerprint(path)
        assert failed.value.exit_code == 1
    assert len(fingerprint(put(tmp_path / "cut", whole))) == 64


def test_an_archive_with_other_bytes_behind_it_is_damaged(tmp_path):
    for packed in (gzip.compress, house.zstd):
        with pytest.raises(KampekyError, match="damaged archive"):
            fingerprint(put(tmp_path / "trailing", packed(house.lines(GOOD)) + b"trailing"))


def test_a_file_that_is_not_there_or_is_a_folder_is_misuse_and_one_that_is_there_is_not(tmp_path):
    with pytest.raises(Misuse, match="there is no such file"):
        check_readable(tmp_path / "none.log")
    with pytest.raises(Misuse, match="is a folder"):
        check_readable(tmp_path)
    check_readable(put(tmp_path / "some.log", b""))


def test_a_pipe_is_refused_because_it_can_be_read_only_once(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    handle = os.open(tmp_path / "pipe", os.O_RDWR)  # so that nobody waits for the other end
    os.write(handle, house.lines(GOOD))
    try:
        with pytest.raises(KampekyError):
            check_readable(tmp_path / "pipe")
    finally:
        os.close(handle)


def test_reading_a_damaged_archive_names_the_file_and_nothing_of_its_content(tmp_path):
    path = put(tmp_path / "cut.gz", gzip.compress(house.lines(GOOD) * 100)[:60])
    with pytest.raises(KampekyError) as failed, uncompressed(path) as stream:
        stream.read()
    assert str(path) in str(failed.value)
    assert "83.149" not in str(failed.value)


# --- access logs ---


def test_a_combined_line_becomes_its_columns(tmp_path):
    line = house.log_line(
        "17/May/2015:10:05:03 +0200", "83.149.9.216", "m000042", "GET /offre/1?q=a%20b HTTP/1.1", "304", "203", "https://a.fr/x", "Mozilla/5.0 (X11)"
    )
    values = only(house.judged("access_logs", log(tmp_path, line)))
    assert values == {
        "ip": "83.149.9.216",
        "member_id": "m000042",
        "requested_at": "2015-05-17 10:05:03+02",
        "method": "GET",
        "path": "/offre/1?q=a%20b",
        "protocol": "HTTP/1.1",
        "status": 304,
        "bytes": 203,
        "referer": "https://a.fr/x",
        "user_agent": "Mozilla/5.0 (X11)",
        "paris_day": date(2015, 5, 17),
    }


def test_a_common_format_line_has_no_referer_and_no_browser(tmp_path):
    values = only(house.judged("access_logs", log(tmp_path, '127.0.0.1 - frank [17/May/2015:23:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326')))
    assert (values["referer"], values["user_agent"], values["member_id"], values["bytes"]) == (None, None, "frank", 2326)
    assert (values["requested_at"], values["paris_day"]) == ("2015-05-18 08:55:36+02", date(2015, 5, 18))


def test_fields_after_the_browser_are_read_over(tmp_path):
    values = only(house.judged("access_logs", log(tmp_path, GOOD + ' 0.012 "example.fr" -')))
    assert values["user_agent"] == "Mozilla/5.0"
    assert "example.fr" not in map(str, values.values())


@pytest.mark.parametrize("address", ["2001:db8::1", "::ffff:10.0.0.1", "fe80::1%eth0", "proxy.example.fr"])
def test_an_address_of_any_kind_stays_whole(tmp_path, address):
    assert only(house.judged("access_logs", log(tmp_path, house.log_line(ip=address))))["ip"] == address


@pytest.mark.parametrize(("user", "member"), [("-", None), ('""', None), ("m000001", "m000001"), ("frank smith", "frank smith"), ("-x", "-x")])
def test_an_empty_user_names_no_member(tmp_path, user, member):
    assert only(house.judged("access_logs", log(tmp_path, house.log_line(member=user))))["member_id"] == member


@pytest.mark.parametrize(
    ("agent", "referer"),
    [(r"a \"quoted\" browser", "-"), (r"ends with a backslash \\", "-"), ("-", r"https://a.fr/\"x\""), (r"\x22\x5c", "-"), ('[17/May/2015] "', "-")],
)
def test_quotes_inside_a_field_are_escaped_and_join_nothing(tmp_path, agent, referer):
    rows = house.judged("access_logs", log(tmp_path, GOOD, house.log_line(agent=agent.replace(' "', r" \""), referer=referer), GOOD))
    assert [row.verdict for row in rows] == ["good"] * 3
    assert rows[1].values["user_agent"] == (None if agent == "-" else agent.replace(' "', r" \""))
    assert rows[1].values["referer"] == (None if referer == "-" else referer)


@pytest.mark.parametrize("request_line", [r"\x16\x03\x01\x00", "-", "", "GET", "GET /a b HTTP/1.1 x", "SSH-2.0-Go", r"{\"id\":1}", "get / http/1.1"])
def test_a_request_that_is_not_http_is_kept_whole_as_the_path(tmp_path, request_line):
    values = only(house.judged("access_logs", log(tmp_path, house.log_line(request=request_line, status="400", size="-"))))
    assert (values["path"] or "", values["method"], values["protocol"], values["bytes"]) == (request_line, None, None, None)


@pytest.mark.parametrize(
    ("request_line", "method", "path", "protocol"),
    [
        ("GET /a b HTTP/1.1", "GET", "/a b", "HTTP/1.1"),
        ("POST * HTTP/1.0", "POST", "*", "HTTP/1.0"),
        ("PRI * HTTP/2.0", "PRI", "*", "HTTP/2.0"),
        ("GET /x HTTP/2", "GET", "/x", "HTTP/2"),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", "HTTP/1.1"),
    ],
)
def test_a_request_is_method_path_and_protocol(tmp_path, request_line, method, path, protocol):
    values = only(house.judged("access_logs", log(tmp_path, house.log_line(request=request_line))))
    assert (values["method"], values["path"], values["protocol"]) == (method, path, protocol)


@pytest.mark.parametrize(
    "content", ["{0}\r\n{0}\r\n", "{0}\n{0}", "\n\n{0}\n\r\n\n{0}\n\n", "{0}\r\n{0}\n"], ids=["crlf", "no last line end", "blank lines", "mixed"]
)
def test_line_ends_and_blank_lines_make_and_lose_no_row(tmp_path, content):
    rows = house.judged("access_logs", put(tmp_path / "log", content.format(GOOD)))
    assert [row.verdict for row in rows] == ["good", "good"]
    assert {row.values["user_agent"] for row in rows} == {"Mozilla/5.0"}


def test_an_empty_file_and_one_of_blank_lines_hold_no_rows(tmp_path):
    for content in (b"", b"\n\r\n\n", gzip.compress(b""), house.zstd(b"")):
        assert house.judged("access_logs", put(tmp_path / "log", content)) == []
        if b"\n" not in content:
            for dataset in house.BUILDERS:
                assert house.judged(dataset, put(tmp_path / "records", content)) == []


BAD_LINES = {
    "cut short": GOOD[:60],
    "unclosed quote": GOOD[:-1],
    "a word": "hello",
    "spaces": "   ",
    "no time": house.log_line(time=""),
    "two lines in one": GOOD + " " + GOOD[:40] + '"',
    "vhost_combined": "www.exemple.fr:443 " + house.log_line(member="m000001"),
    "vhost_combined of a visitor": "www.exemple.fr:443 " + GOOD,
    "error log": "[Sun May 17 10:05:03 2015] [error] [client 1.2.3.4] File does not exist",
}


@pytest.mark.parametrize("bad", [*BAD_LINES.values()], ids=[*BAD_LINES])
def test_a_broken_line_is_set_aside_alone_with_its_text(tmp_path, bad):
    rows = house.judged("access_logs", log(tmp_path, GOOD, bad, GOOD))
    found = [(row.line, row.verdict, row.reason) for row in rows]
    if bad.startswith(GOOD):  # what follows the browser is read over
        assert found[1][1] == "good"
        return
    assert found == [(1, "good", None), (2, "quarantined", "line.not_combined_format"), (3, "good", None)]
    assert rows[1].record == {"line": bad}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": "17/May/2015:10:05:03"}, "requested_at.type"),
        ({"time": "31/Feb/2015:10:05:03 +0000"}, "requested_at.type"),
        ({"time": "x"}, "requested_at.type"),
        ({"status": "099"}, "status.minimum"),
        ({"status": "-"}, "status.required"),
        ({"member": "m" * 65}, "member_id.max_length"),
        ({"ip": "h" * 256}, "ip.max_length"),
        ({"size": "9" * 30}, "bytes.type"),
    ],
)
def test_a_line_whose_field_breaks_the_contract_names_the_field_and_its_neighbours_load(tmp_path, change, reason):
    assert house.verdicts("access_logs", log(tmp_path, GOOD, house.log_line(**change), GOOD)) == ["good", f"quarantined: {reason}", "good"]


def test_bytes_that_are_not_text_cost_one_row_and_nul_bytes_none(tmp_path):
    path = log(tmp_path, GOOD, house.log_line(agent="caf\xe9").encode("latin-1"), house.log_line(agent="a\0b"), GOOD)
    assert house.verdicts("access_logs", path) == ["good", "quarantined: line.not_utf8", "good", "good"]
    assert house.judged("access_logs", path)[2].values["user_agent"] == "a\0b"


def test_a_very_long_line_is_one_row(tmp_path):
    rows = house.judged("access_logs", log(tmp_path, GOOD, house.log_line(request=f"GET /{'x' * 3_000_000} HTTP/1.1"), GOOD))
    assert [(row.verdict, len(row.values["path"])) for row in rows] == [("good", 8), ("good", 3_000_001), ("good", 8)]


def test_a_line_longer_than_a_block_of_the_file_is_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 64)
    assert lines.blocks is files.blocks
    assert house.verdicts("access_logs", log(tmp_path, GOOD, house.log_line(agent="x" * 500), GOOD)) == ["good"] * 3


# --- NDJSON ---


def records(*rows: str) -> bytes:
    return house.lines(*rows)


def one(number: int = 1, **changes: Any) -> str:
    return house.ndjson([house.post(number, **changes)]).decode().rstrip("\n")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (one(2)[:40], "line.not_json"),
        (one(2) + ",", "line.not_json"),
        (one(2) + one(3), "line.not_json"),
        ("[1, 2]", "line.not_an_object"),
        ("3", "line.not_an_object"),
        ("null", "line.not_an_object"),
        ('"text"', "line.not_an_object"),
        (one(2).replace("Bonjour", "a\0b"), "line.not_json"),
        (one(2).replace("Bonjour", "\\ud800"), "line.not_json"),
        ("{}", "post_id.required"),
        ('{"post_id": "p2"}', "thread_id.required"),
    ],
)
def test_a_line_that_holds_no_record_is_set_aside_alone(tmp_path, bad, reason):
    path = put(tmp_path / "posts.ndjson", records(one(1), bad, one(3)))
    rows = house.judged("forum_posts", path)
    assert [(row.line, row.verdict, row.reason) for row in rows] == [(1, "good", None), (2, "quarantined", reason), (3, "good", None)]
    if reason.startswith("line."):
        assert rows[1].record == {"line": bad}
    assert [row.values["post_id"] for row in rows if row.verdict == "good"] == ["p1", "p3"]


def test_a_line_of_json_that_is_not_utf8_is_set_aside_alone(tmp_path):
    path = put(tmp_path / "posts", records(one(1)) + one(2, body="caf\xe9").encode("latin-1") + b"\n" + records(one(3)))
    good, lost, _ = house.judged("forum_posts", path)
    assert house.verdicts("forum_posts", path) == ["good", "quarantined: line.not_utf8", "good"]
    assert good.record is None and "caf\\xE9" in lost.record["line"], "the bytes are there to be mended"


@pytest.mark.parametrize(
    "content", ["\ufeff{0}\n{1}\n", "{0}\r\n{1}\r\n", "{0}\n\n \n{1}", "  {0}\n\t{1}\n"], ids=["bom", "crlf", "blank lines", "indented"]
)
def test_marks_and_line_ends_around_records_change_nothing(tmp_path, content):
    rows = house.judged("forum_posts", put(tmp_path / "posts", content.format(one(1), one(2))))
    assert [(row.verdict, row.values["post_id"]) for row in rows] == [("good", "p1"), ("good", "p2")]


@pytest.mark.parametrize("before", ["\ufeff\n", "\ufeff\r\n", "\n\n", "\ufeff"])
def test_a_byte_order_mark_alone_on_a_line_is_a_blank_line(tmp_path, before):
    content = before + house.as_csv([house.post(n) for n in range(3)]).decode()
    assert house.verdicts("forum_posts", put(tmp_path / "posts.csv", content)) == ["good"] * 3


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_blank_first_line_loses_no_row(tmp_path, form):
    content = house.FORMS[form]("forum_posts", [house.post(1), house.post(2)])
    assert house.verdicts("forum_posts", put(tmp_path / "posts", b"\n" + content)) == ["good", "good"]


def test_a_broken_first_line_is_set_aside_alone(tmp_path):
    path = put(tmp_path / "posts", records(one(1)[9:], one(2)))
    assert house.verdicts("forum_posts", path) == ["quarantined: line.not_json", "good"]


@pytest.mark.parametrize("value", [{"first": "Anna"}, ["a", "b"]], ids=["object", "list"])
def test_a_nested_value_where_the_contract_has_a_text_is_set_aside(tmp_path, value):
    assert house.verdicts("forum_posts", put(tmp_path / "posts", records(one(1, body=value), one(2)))) == ["quarantined: line.nested_body", "good"]


# --- CSV ---

HEADER = "post_id,thread_id,author_id,forum_category,posted_at,body"


def cells(number: int, body: str = "Bonjour") -> str:
    return f"p{number},f1,m000001,help,2015-05-17T10:00:00Z,{body}"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_any_usual_delimiter_and_line_end_give_the_same_rows(tmp_path, delimiter, end):
    rows = [house.post(n, body=f"a{d}b") for n, d in enumerate(',;\t|"\n')]
    content = b"\xef\xbb\xbf" + house.as_csv(rows, delimiter, end)
    found = house.judged("forum_posts", put(tmp_path / "posts.csv", content))
    assert [(row.verdict, row.values["body"]) for row in found] == [("good", row["body"]) for row in rows]
    without_end = house.judged("forum_posts", put(tmp_path / "posts.csv", content.rstrip(b"\r\n")))
    assert [row.values for row in without_end] == [row.values for row in found]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("p2,f1", "line.missing_columns"),
        (cells(2) + ",x,y", "line.too_many_columns"),
        (cells(2, '"a" b'), "line.unquoted_value"),
        (cells(2, '"a \\" b"'), "line.unquoted_value"),
        (cells(2, ""), "body.required"),
        (cells(2, '""'), "body.required"),
        ("  ", "line.missing_columns"),
    ],
)
def test_a_row_that_breaks_the_form_is_set_aside_alone(tmp_path, bad, reason):
    path = put(tmp_path / "posts.csv", house.lines(HEADER, cells(1), bad, cells(3)))
    rows = house.judged("forum_posts", path)
    assert sorted((row.verdict, row.reason) for row in rows if row.verdict != "good") == [("quarantined", reason)]
    assert [row.values["post_id"] for row in rows if row.verdict == "good"] == ["p1", "p3"]
    if reason.startswith("line."):
        assert [row.record["line"].strip() for row in rows if row.reason] == [bad.strip()]


def test_latin1_bytes_cost_the_rows_that_hold_them(tmp_path):
    content = house.lines(HEADER, cells(1), cells(2, "café"), cells(3), cells(4, "é"), cells(5)).decode().encode("latin-1")
    rows = house.judged("forum_posts", put(tmp_path / "posts.csv", content))
    assert [row.values["post_id"] for row in rows if row.verdict == "good"] == ["p1", "p3", "p5"]
    assert [row.reason for row in rows if row.verdict == "quarantined"] == ["line.invalid_encoding"] * 2


def test_blank_lines_between_rows_are_no_rows(tmp_path):
    path = put(tmp_path / "posts.csv", f"{HEADER}\n{cells(1)}\n\n\n{cells(2)}\n\n")
    assert house.verdicts("forum_posts", path) == ["good", "good"]


@pytest.mark.parametrize("behind", [0, 1, 4])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_each_line_that_an_unclosed_quote_swallows_is_set_aside_with_its_text_and_those_before_it_load(tmp_path, behind, end):
    swallowed = [cells(2, '"abc'), *(cells(n) for n in range(3, 3 + behind))]
    rows = house.judged("forum_posts", put(tmp_path / "posts.csv", end.join([HEADER, cells(1), *swallowed, ""])))
    assert len({row.line for row in rows}) == len(rows)
    assert [(row.verdict, row.reason) for row in rows] == [("good", None), *[("quarantined", "line.unquoted_value")] * len(swallowed)]
    assert (rows[0].values["post_id"], [row.record["line"].strip() for row in rows[1:]]) == ("p1", swallowed)


def test_an_unclosed_quote_swallows_no_further_than_to_the_next_quote(tmp_path):
    path = put(tmp_path / "posts.csv", house.lines(HEADER, cells(1), cells(2, '"abc'), cells(3), cells(4, '"x"'), cells(5), cells(6)))
    rows = house.judged("forum_posts", path)
    assert [row.values["post_id"] for row in rows if row.verdict == "good"] == ["p1", "p5", "p6"]
    assert len(rows) == 6


def test_a_name_that_stands_twice_in_one_record_sets_it_aside(tmp_path):
    """Readers differ in which of the two they take."""
    twice = one(2).removesuffix("}") + ', "body": "other"}'
    assert house.verdicts("forum_posts", put(tmp_path / "posts.ndjson", records(one(1), twice))) == ["good", "quarantined: line.field_twice"]


@pytest.mark.parametrize("name", ["posts.json", "posts.ndjson.gz", "posts"])
def test_content_that_says_what_it_is_wins_over_the_name(tmp_path, name):
    assert house.verdicts("forum_posts", put(tmp_path / name, house.lines(HEADER, cells(1)))) == ["good"]
    assert house.verdicts("forum_posts", put(tmp_path / name.replace("json", "csv"), records(one(1)))) == ["good"]


@pytest.mark.parametrize(("magic", "name"), [(b"BZh91AY&SY", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip")])
def test_an_archive_of_a_kind_that_is_not_read_is_one_sentence(tmp_path, magic, name):
    with pytest.raises(Misuse, match=f"packed as {name}; files are read plain, as gzip or as zstd"):
        check_readable(put(tmp_path / "some.log", magic + b"..."))


def test_no_two_rows_of_a_file_share_a_number(tmp_path):
    """Batch and line are the identity of a row that has no key: good rows are numbered first, those set aside after them."""
    path = put(tmp_path / "posts.csv", house.lines(HEADER, cells(1), "p2,f1", cells(3), "p4", cells(5, "")))
    rows = house.judged("forum_posts", path)
    assert sorted((row.line, row.values["post_id"]) for row in rows) == [(1, "p1"), (2, "p3"), (3, "p5"), (4, None), (5, None)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"{HEADER},body\n{cells(1)},x\n".encode(), "a column stands twice"),
        (f"{HEADER},caf\xe9\n".encode("latin-1"), "header that is not UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_read_at_all_is_one_sentence(tmp_path, content, sentence):
    with pytest.raises(KampekyError, match=sentence) as failed:
        house.judged("forum_posts", put(tmp_path / "posts.csv", content))
    assert "m000001" not in str(failed.value)


def test_a_csv_with_line_ends_of_an_old_mac_is_one_sentence(tmp_path):
    with pytest.raises(KampekyError):
        house.judged("forum_posts", put(tmp_path / "posts.csv", house.lines(HEADER, cells(1)).replace(b"\n", b"\r")))


def test_a_file_name_with_a_star_is_that_file_alone(tmp_path):
    put(tmp_path / "posts-1.csv", house.lines(HEADER, cells(1)))
    path = put(tmp_path / "posts-*.csv", house.lines(HEADER, cells(2)))
    assert [row.values["post_id"] for row in house.judged("forum_posts", path)] == ["p2"]


# --- Parquet ---


def parquet(tmp_path: Path, rows: list[dict[str, Any]], **types: pa.DataType) -> Path:
    return put(tmp_path / "some.parquet", house.as_parquet("transactions", rows, **types))


@pytest.mark.parametrize(
    ("kind", "paris"),
    [
        (pa.timestamp("us", "UTC"), "2015-05-18 00:30:00+02"),
        (pa.timestamp("ns", "America/New_York"), "2015-05-18 00:30:00+02"),
        (pa.timestamp("ms", "+05:30"), "2015-05-18 00:30:00+02"),
        (pa.timestamp("s", "Europe/Paris"), "2015-05-18 00:30:00+02"),
    ],
)
def test_a_time_with_a_zone_is_its_instant_and_falls_on_its_paris_day(tmp_path, kind, paris):
    rows = [house.transaction(started_at=datetime(2015, 5, 17, 22, 30, tzinfo=UTC))]
    values = only(house.judged("transactions", parquet(tmp_path, rows, started_at=kind)))
    assert (values["started_at"], values["paris_day"]) == (paris, date(2015, 5, 18))


def test_a_time_without_a_zone_is_set_aside_in_every_form(tmp_path):
    naive = datetime(2015, 5, 17, 10)  # noqa: DTZ001 - that is the point
    rows = [house.transaction(1, started_at=naive), house.transaction(2)]
    for content in (house.ndjson(rows), house.as_csv(rows)):
        assert house.verdicts("transactions", put(tmp_path / "some", content)) == ["quarantined: started_at.type", "good"]
    path = parquet(tmp_path, [house.transaction(1, started_at=naive)], started_at=pa.timestamp("us"))
    assert house.verdicts("transactions", path) == ["quarantined: started_at.type"]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_a_day_where_a_time_belongs_is_set_aside(tmp_path, form):
    rows = [house.transaction(started_at=date(2015, 5, 17))]
    content = house.as_parquet("transactions", rows, started_at=pa.date32()) if form == "parquet" else house.FORMS[form]("transactions", rows)
    assert house.verdicts("transactions", put(tmp_path / "some", content)) == ["quarantined: started_at.type"]


@pytest.mark.parametrize(
    ("kind", "given", "price"),
    [
        (pa.decimal128(12, 2), Decimal("12.50"), "12.50"),
        pytest.param(pa.decimal128(20, 4), Decimal("12.5000"), "12.50"),
        (pa.float64(), 0.1, "0.10"),
        (pa.int32(), 7, "7.00"),
        (pa.string(), "12.50", "12.50"),
    ],
)
def test_a_price_in_any_numeric_type_is_the_same_price(tmp_path, kind, given, price):
    assert str(only(house.judged("transactions", parquet(tmp_path, [house.transaction(price_eur=given)], price_eur=kind)))["price_eur"]) == price


@pytest.mark.parametrize("price", ["12.505", "0.001", "1e-7"])
def test_a_price_with_a_third_decimal_is_not_rounded_silently(tmp_path, price):
    path = put(tmp_path / "some.csv", house.as_csv([house.transaction(price_eur=price)]))
    assert house.verdicts("transactions", path) == ["quarantined: price_eur.type"]


def test_dictionaries_days_and_whole_numbers_are_read_as_their_texts(tmp_path):
    rows = [house.transaction(1, card_last4=1234), house.transaction(2, card_last4=12)]
    path = parquet(tmp_path, rows, card_last4=pa.int64(), status=pa.dictionary(pa.int32(), pa.string()))
    assert house.verdicts("transactions", path) == ["good", "quarantined: card_last4.pattern"]
    members = put(tmp_path / "members", house.as_parquet("members", [house.member()]))
    assert only(house.judged("members", members))["birthday"] == date(1980, 2, 29)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-20], lambda b: b[:4], lambda b: b[:10] + b"\xff" * 50 + b[60:], lambda b: b[:-8] + b"\xff" * 4 + b[-4:]],
    ids=["cut", "magic only", "pages", "footer length"],
)
def test_a_damaged_parquet_file_is_one_sentence(tmp_path, damage):
    content = house.as_parquet("transactions", [house.transaction(n) for n in range(50)])
    path = put(tmp_path / "some.parquet", damage(content))
    with pytest.raises(KampekyError, match=r"cannot be read as parquet.*Nothing of it was loaded") as failed:
        house.judged("transactions", path)
    assert failed.value.exit_code == 1
    assert len(house.judged("transactions", put(tmp_path / "whole.parquet", content))) == 50


# --- fields (C-10.0: what has no rule is not collected) ---


@pytest.mark.parametrize("form", [*house.FORMS])
def test_an_unknown_field_stops_the_file_and_names_field_and_contract(tmp_path, form):
    rows = [house.post(1), house.post(2, body="secret-value")]
    content = house.FORMS[form]("forum_posts", rows)
    if form == "parquet":
        table = pa.parquet.read_table(pa.BufferReader(content)).append_column("shoe_size", pa.array(["secret-value", "39"]))
        out = pa.BufferOutputStream()
        pa.parquet.write_table(table, out)
        strange = out.getvalue().to_pybytes()
    else:
        strange = house.FORMS[form]("forum_posts", [row | {"shoe_size": "secret-value"} for row in rows])
    with pytest.raises(Refused, match="field shoe_size is named by no contract") as refused:
        house.judged("forum_posts", put(tmp_path / "posts", strange))
    assert (refused.value.exit_code, "forum_posts.odcs.yaml" in str(refused.value), "secret" in str(refused.value)) == (3, True, False)
    assert house.verdicts("forum_posts", put(tmp_path / "posts", content)) == ["good", "good"]


def test_an_unknown_field_in_one_late_line_of_json_is_found(tmp_path):
    """Its name may be data (a map of members, say), so it is named only if it stands in more than one record."""
    content = house.ndjson([house.post(n) for n in range(300)] + [house.post(300, durand=39)])
    with pytest.raises(Refused, match=r"field \(its name not repeated\) of line 301 is named by no contract"):
        house.judged("forum_posts", put(tmp_path / "posts", content))
    often = house.ndjson([house.post(n, shoe_size=39) for n in range(2)])
    with pytest.raises(Refused, match="field shoe_size is"):
        house.judged("forum_posts", put(tmp_path / "posts", often))


@pytest.mark.parametrize("form", [*house.FORMS])
def test_a_missing_required_column_stops_the_file_and_a_missing_optional_one_does_not(tmp_path, form):
    rows = [{k: v for k, v in house.transaction(n).items() if k != "price_eur"} for n in range(3)]
    with pytest.raises(Refused, match="required column price_eur of 'transactions' missing") as refused:
        house.judged("transactions", put(tmp_path / "some", house.FORMS[form]("transactions", rows)))
    assert refused.value.exit_code == 3
    assert all("card_last4" not in row for row in rows)  # optional
    assert house.verdicts("transactions", put(tmp_path / "some", house.FORMS[form]("transactions", [house.transaction()]))) == ["good"]


@pytest.mark.parametrize("form", [*house.FORMS])
def test_a_file_of_another_dataset_is_refused_without_naming_its_fields(tmp_path, form):
    rows = [{"zzz": "durand@exemple.fr", "durand": "1"}]
    if form == "parquet":
        out = pa.BufferOutputStream()
        pa.parquet.write_table(pa.Table.from_pylist(rows), out)
        content = out.getvalue().to_pybytes()
    else:
        content = house.FORMS[form]("members", rows)
    with pytest.raises(Refused, match="another dataset's file") as refused:
        house.judged("members", put(tmp_path / "some", content))
    assert "durand" not in str(refused.value)


# --- one content, three forms ---

PIECES = [
    "",
    " ",
    "é",
    "e\u0301",
    "😀",
    "\n",
    "\r\n",
    "\t",
    '"',
    "'",
    ",",
    ";",
    "|",
    "\\",
    "\\n",
    "{}",
    "[1]",
    "null",
    "NULL",
    "0",
    "-1",
    "true",
    "=1+1",
    "%20",
    "\u00a0",
    "\u2028",
    "\ufeff",
    "İ",
    "ß",
    "a",
    "Z",
    "_",
    "'; drop table x; --",
    "<b>",
]


def any_row(dataset: str, chance: random.Random, number: int) -> dict[str, Any]:
    """A valid or broken row with anything in its columns."""
    row = house.BUILDERS[dataset](number)
    for column in house.rulebook().contract(dataset).columns:
        if column.primary_key or chance.random() < 0.4:
            continue
        text = "".join(chance.choices(PIECES, k=chance.randrange(4)))
        row[column.name] = {
            "VARCHAR": chance.choice([*column.allowed, text, text, None]),
            "BOOLEAN": chance.choice([True, False, None]),
            "BIGINT": chance.choice([0, -1, 2**63 - 1, -(2**63), None]),
            "DECIMAL(12,2)": Decimal(chance.randrange(-(10**11), 10**11)) / 100,
            "DATE": date(1900, 1, 1) + timedelta(days=chance.randrange(42_000)),
            "TIMESTAMPTZ": datetime(1980, 1, 1, tzinfo=UTC) + timedelta(microseconds=chance.randrange(35 * 365 * 86_400 * 10**6)),
        }[column.type]
    return row


@pytest.mark.parametrize("dataset", [*house.BUILDERS])
def test_the_same_rows_in_any_form_get_the_same_verdicts_and_values(tmp_path, dataset):
    chance = random.Random(dataset)
    rows = [any_row(dataset, chance, number) for number in range(120)] + [house.BUILDERS[dataset](number) for number in range(200, 210)]
    found = {
        form: [(row.verdict, row.reason, row.values) for row in house.judged(dataset, put(tmp_path / form, write(dataset, rows)))]
        for form, write in house.FORMS.items()
    }
    assert found["csv"] == found["ndjson"]
    assert found["parquet"] == found["ndjson"]
    kept = [values for verdict, _, values in found["ndjson"] if verdict == "good"]
    assert 10 <= len(kept) < len(rows)
    key = house.rulebook().contract(dataset).key[0]
    given = {row[key]: row for row in rows}
    for values in kept:  # and the values are those that were written, an empty text standing for none
        for name, value in given[values[key]].items():
            if not isinstance(value, datetime):
                assert values[name] == (None if value == "" else value), name
            else:
                assert datetime.fromisoformat(values[name]) == value


def test_json_in_any_spelling_of_the_same_values_is_the_same_row(tmp_path):
    plain = json.loads(one(1))
    spelled = [
        json.dumps(plain),
        json.dumps(plain, ensure_ascii=True, separators=(",", ":")),
        json.dumps(dict(reversed(plain.items()))),
        json.dumps({"post_id": "p1", **plain, "body": "\\u0042onjour"}).replace("\\\\u", "\\u"),
    ]
    rows = house.judged("forum_posts", put(tmp_path / "posts", house.lines(*spelled)))
    assert [row.values for row in rows] == [rows[0].values] * 4
    assert rows[0].values["body"] == "Bonjour"
