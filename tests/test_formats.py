"""Formats that the contract or the file itself declares: log formats, JSON logs and arrays, encodings, line ends, odd Parquet types."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from datetime import date
from typing import Any

import house
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from house import declaring, put

from pipelines.foundation.errors import KampekyError, Refused
from pipelines.sources import files
from pipelines.sources.declared import check_source

# --- log formats ---

APACHE = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "%{session}C" %D'
NGINX = ('$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
         '"$cookie_member" $request_time')
LINE = house.log_line(member="m000001", referer="https://a.fr/", agent='A \\"b\\"', size="-")


def read(tmp_path, lines: str, *more: str, **form: Any) -> list[house.Judged]:
    contract = declaring("access_logs", *more, logFormat=form)
    return house.judged("access_logs", put(tmp_path / "access.log", lines), contract=contract)


def values(rows: list[house.Judged]) -> dict[str, Any]:
    (row,) = rows
    assert (row.verdict, row.reason) == ("good", None), row.record
    return row.values


def test_a_combined_format_written_out_reads_as_the_combined_format_does(tmp_path):
    usual = values(house.judged("access_logs", put(tmp_path / "usual.log", LINE + "\n")))
    assert usual["referer"] == "https://a.fr/"
    for pattern in ('%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"', '%h %l %u %t \\"%r\\" %s %O \\"%{referer}i\\" \\"%{User-Agent}i\\"'):
        columns = {"bytes": "%O"} if "%O" in pattern else None
        assert values(read(tmp_path, LINE + "\n", pattern=pattern, columns=columns)) == usual


def test_a_cookie_feeds_the_column_that_the_contract_says_and_what_no_column_takes_is_not_kept(tmp_path):
    line = LINE + ' "secret-session" 1234\n'
    found = values(read(tmp_path, line, "device_id", pattern=APACHE, columns={"device_id": "%{session}C"}))
    assert (found["device_id"], found["member_id"]) == ("secret-session", "m000001")
    rows = read(tmp_path, line, pattern=APACHE)
    assert "secret-session" not in str(rows) and "1234" not in str(rows)
    assert values(read(tmp_path, line, pattern=APACHE, columns={"member_id": "%{session}C"}))["member_id"] == "secret-session"


def test_a_pattern_of_nginx_reads_its_lines(tmp_path):
    found = values(read(tmp_path, LINE.replace("m000001", "web-user") + ' "m000042" 0.003\n', pattern=NGINX, columns={"member_id": "$cookie_member"}))
    assert (found["member_id"], found["method"], found["path"], found["bytes"]) == ("m000042", "GET", "/offre/1", None)
    assert "web-user" not in str(found)
    own = '$msec|${remote_addr}|$request_method|$request_uri|$status'
    found = values(read(tmp_path, "1431857103.123|::1|GET|/a b|200\n", pattern=own))
    assert (found["requested_at"], found["path"], found["ip"], found["protocol"]) == ("2015-05-17 12:05:03.123+02", "/a b", "::1", None)
    tabs = "$remote_addr\\t$time_iso8601\\t$status\\t$request"
    found = values(read(tmp_path, "::1\t2015-05-17T12:05:03+02:00\t200\tGET /x y HTTP/2.0\n", pattern=tabs))
    assert (found["requested_at"], found["path"], found["protocol"]) == ("2015-05-17 12:05:03+02", "/x y", "HTTP/2.0")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("%{%Y-%m-%dT%H:%M:%S%z}t", "2015-05-17T12:05:03+0200"),
        ("%{sec}t", "1431857103"),
        ("%{msec}t", "1431857103000"),
        ("%{usec}t", "1431857103000000"),
        ("%{begin:sec}t", "1431857103"),
        ("[%{%d/%b/%Y %T %z}t]", "[17/May/2015 12:05:03 +0200]"),
    ],
)
def test_a_time_in_any_form_that_says_its_instant_is_that_instant(tmp_path, field, text):
    found = values(read(tmp_path, f'::1 {text} "GET / HTTP/1.1" 200\n', pattern=f'%a {field} "%r" %s'))
    assert found["requested_at"] == "2015-05-17 12:05:03+02"
    (row,) = read(tmp_path, '::1 [yesterday] "GET / HTTP/1.1" 200\n', pattern='%a [%{%d/%b/%Y %T %z}t] "%r" %s')
    assert row.reason == "requested_at.type"


def test_a_line_that_is_not_in_the_format_is_set_aside_alone_with_its_text(tmp_path):
    good = LINE + ' "-" 1\n'
    bad = ["hello", LINE, LINE + ' "-" 1 2 "', ' "-" 1', "\x00"]
    rows = read(tmp_path, good + "\n".join(bad) + "\n" + good, pattern=APACHE)
    assert [row.reason for row in rows] == [None, *["line.not_log_format"] * len(bad), None]
    assert [row.line for row in rows] == list(range(1, len(bad) + 3))
    assert [row.record["line"] for row in rows[1:-1]] == bad


def test_blanks_and_quotes_in_a_field_end_it_nowhere_else(tmp_path):
    found = values(read(tmp_path, LINE.replace("m000001", "jean du pont") + ' "a \\" 200" 5\n', "device_id", pattern=APACHE,
                        columns={"device_id": "%{session}C"}))
    assert (found["member_id"], found["device_id"], found["status"]) == ("jean du pont", 'a \\" 200', 200)
    found = values(read(tmp_path, "'a b' ::1 [17/May/2015:10:05:03 +0000] 200 the rest, \"all\" of it\n", pattern="'%{x}i' %h %t %s %{User-Agent}i"))
    assert (found["user_agent"], found["path"]) == ('the rest, "all" of it', None)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "expected either 'pattern'"),
        ({"pattern": APACHE, "json": {}}, "expected either 'pattern'"),
        ({"pattern": APACHE, "colums": {}}, "'colums' is unknown. Known: columns, json, pattern"),
        ({"pattern": "words only"}, "holds no field"),
        ({"pattern": '%h %t "%r" %s %Y'}, "'%Y', which is no field of Apache's LogFormat"),
        ({"pattern": '%h %t "%r" %s %{x}D'}, "which is no field of Apache's"),
        ({"pattern": '%h %t "%r" %s 100% sure'}, "begins no field"),
        ({"pattern": '%h%l %t "%r" %s'}, "%h and %l stand side by side"),
        ({"pattern": '%h %t "%r" %s $status'}, "mixes Apache's fields"),
        ({"pattern": '%t "%r" %s'}, "feeds no ip, which 'access_logs' requires"),
        ({"pattern": '%h %a %t "%r" %s'}, "%h and %a both feed ip"),
        ({"pattern": '%h %{%d/%b/%Y %T}t "%r" %s'}, "has no offset"),
        ({"pattern": '%h %t "%r" %s', "columns": {"shoe": "%h"}}, "'shoe' is unknown"),
        ({"pattern": '%h %t "%r" %s', "columns": {"member_id": "%{x}C"}}, "which is no field of the pattern. Fields: %h, %t, %r, %s"),
        ({"pattern": "%h\n%t"}, "must be one line"),
        ({"pattern": ["%h"]}, "'pattern' must be text"),
        ({"json": {"ip": "a"}}, "feeds no requested_at, status"),
        ({"json": {"ip": "a", "requested_at": "t", "status": "s", "x": "y"}}, "'x' is unknown"),
        ({"json": {"ip": "a", "requested_at": "t", "status": "s", "request": "r", "path": "p"}}, "feeds method, path, protocol already"),
        ({"json": {"ip": "a", "requested_at": "t", "status": "T"}}, "differ only in"),
        ({"json": {"ip": 3}}, "'ip' must be text"),
    ],
)
def test_a_wrong_log_format_is_one_sentence_before_any_line_is_read(form, sentence):
    with pytest.raises(Refused, match=r"access_logs\.odcs\.yaml: logFormat") as refused:
        check_source(declaring("access_logs", logFormat=form))
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    check_source(declaring("access_logs", logFormat={"pattern": '%h %t "%r" %s'}))


def test_only_a_log_has_a_log_format():
    with pytest.raises(Refused, match="'forum_posts' has format records"):
        check_source(declaring("forum_posts", logFormat={"pattern": APACHE}))


# --- JSON logs ---

KEYS = {"ip": "remote_addr", "requested_at": "time", "request": "request", "status": "status", "bytes": "sent", "user_agent": "agent",
        "member_id": "cookie member"}
LOGGED = {"remote_addr": "::1", "time": "2015-05-17T12:05:03+02:00", "request": "GET /a HTTP/1.1", "status": "200", "sent": "12", "agent": "é \"x\"",
          "cookie member": "m000001", "upstream": "secret"}


def logged(**changes: Any) -> str:
    return json.dumps(LOGGED | changes) + "\n"


def test_a_json_log_is_read_by_its_keys_and_other_keys_are_not_kept(tmp_path):
    rows = read(tmp_path, logged(), json=KEYS)
    found = values(rows)
    assert found == {"ip": "::1", "member_id": "m000001", "requested_at": "2015-05-17 12:05:03+02", "method": "GET", "path": "/a",
                     "protocol": "HTTP/1.1", "status": 200, "bytes": 12, "referer": None, "user_agent": 'é "x"', "paris_day": date(2015, 5, 17)}
    assert "secret" not in str(rows)


@pytest.mark.parametrize("time", [1431857103, 1431857103.0, "1431857103", "1431857103.000", 1431857103000, "17/May/2015:10:05:03 +0000",
                                  "2015-05-17T10:05:03Z"])
def test_a_json_time_is_iso_or_seconds_or_thousandths_since_1970(tmp_path, time):
    assert values(read(tmp_path, logged(time=time), json=KEYS))["requested_at"] == "2015-05-17 12:05:03+02"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "line.not_json"), ("[1]", "line.not_an_object"), ('{"a":1,"a":2}', "line.field_twice"), ("hello", "line.not_json"),
        ("{}", "ip.required"), (logged(time="2015-05-17T12:05:03").strip(), "requested_at.type"), (logged(time=12).strip(), "requested_at.type"),
        (logged(agent={"a": 1}).strip(), "line.nested_user_agent"), (logged(status="OK").strip(), "status.type"),
    ],
)
def test_a_line_of_a_json_log_that_is_no_record_is_set_aside_alone(tmp_path, bad, reason):
    rows = read(tmp_path, logged() + bad + "\n" + logged(), json=KEYS)
    assert [(row.line, row.reason) for row in rows] == [(1, None), (2, reason), (3, None)]


def test_a_list_under_a_key_that_feeds_nothing_harms_nothing(tmp_path):
    assert values(read(tmp_path, logged(upstream=["a", {"b": 1}]), json=KEYS))["path"] == "/a"


# --- JSON arrays ---


def posts(*numbers: int) -> list[str]:
    return [house.ndjson([house.post(n)]).decode().strip() for n in numbers]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, house.zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("text", ["[{0},{1}]", "[\n  {0},\n  {1}\n]\n", "\ufeff[ {0} , {1} ]", "\n[{0},\n{1}]"])
def test_an_array_of_records_gives_the_rows_that_ndjson_gives(tmp_path, text, packed):
    rows = house.judged("forum_posts", put(tmp_path / "posts", packed(text.format(*posts(1, 2)).encode())))
    assert [(row.line, row.verdict, row.values["post_id"]) for row in rows] == [(1, "good", "p1"), (2, "good", "p2")]


def test_an_element_that_is_no_record_is_set_aside_alone_and_counted(tmp_path):
    twice = posts(2)[0].removesuffix("}") + ', "body": "other"}'
    path = put(tmp_path / "posts.json", f"[{posts(1)[0]}, 3, null, [1], {twice}, {{}}, {posts(3)[0]}]")
    found = [row.reason for row in house.judged("forum_posts", path)]
    assert found == [None, *["line.not_an_object"] * 3, "line.field_twice", "post_id.required", None]


@pytest.mark.parametrize("text", ["[{0},{1}", "[{0},{1},]", "[{0} {1}]", "["])
def test_an_array_that_is_damaged_is_one_sentence(tmp_path, text):
    with pytest.raises(KampekyError, match=r"cannot be read as a JSON array of records.*Nothing of it was loaded") as failed:
        house.judged("forum_posts", put(tmp_path / "posts", text.format(*posts(1, 2))))
    assert "m000001" not in str(failed.value)
    assert house.judged("forum_posts", put(tmp_path / "posts", "[]")) == []


def test_a_line_with_an_array_among_records_is_one_bad_line(tmp_path):
    assert house.verdicts("forum_posts", put(tmp_path / "posts", house.lines("[1, 2]", *posts(1)))) == ["quarantined: line.not_an_object", "good"]


def test_a_field_of_an_array_that_no_contract_names_stops_the_file(tmp_path):
    strange = house.ndjson([house.post(n, shoe_size=39) for n in range(2)]).decode().strip().replace("\n", ",")
    with pytest.raises(Refused, match="field shoe_size is named by no contract"):
        house.judged("forum_posts", put(tmp_path / "posts", f"[{strange}]"))


def test_the_same_rows_in_an_array_get_the_same_values(tmp_path):
    rows = [house.transaction(n, price_eur=price) for n, price in enumerate(["12.50", 0.1, 7, 123456789, "1e3", -3, 99999999999999999999])]
    texts = [json.dumps(row, default=str) for row in rows]
    lines, array = (house.judged("transactions", put(tmp_path / n, t)) for n, t in (("lines", "\n".join(texts)), ("array", f"[{','.join(texts)}]")))
    assert [(row.reason, row.values) for row in lines] == [(row.reason, row.values) for row in array]


# --- encodings ---

HEADER = "post_id,thread_id,author_id,forum_category,posted_at,body"


def cells(number: int, body: str = "Bonjour") -> str:
    return f"p{number},f1,m000001,help,2015-05-17T10:00:00Z,{body}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["csv", "ndjson", "array"])
def test_a_file_that_marks_its_encoding_reads_as_utf8_does(tmp_path, encoding, packed, form):
    rows = [house.post(n, body=body) for n, body in enumerate(["Élodie 😀", "a\nb", "œuf, €"])]
    lines = house.ndjson(rows)
    text = {"csv": house.as_csv(rows), "ndjson": lines, "array": b"[" + lines.strip().replace(b"\n", b",") + b"]"}[form].decode()
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    found = house.judged("forum_posts", put(tmp_path / "posts", packed(mark + text.encode(encoding))))
    assert [(row.verdict, row.values["body"]) for row in found] == [("good", row["body"]) for row in rows]


def test_a_file_in_another_encoding_is_read_by_it_only_if_the_contract_says_so(tmp_path):
    path = put(tmp_path / "posts.csv", house.lines(HEADER, cells(1), cells(2, "Zoë paie 5 €")).decode().encode("windows-1252"))
    assert house.verdicts("forum_posts", path) == ["good", "quarantined: line.invalid_encoding"]
    found = house.judged("forum_posts", path, contract=declaring("forum_posts", encoding="windows-1252"))
    assert [row.values["body"] for row in found] == ["Bonjour", "Zoë paie 5 €"]
    plain = put(tmp_path / "plain.csv", house.lines(HEADER, cells(2, "Zoë paie 5 €")))
    assert house.judged("forum_posts", plain, contract=declaring("forum_posts", encoding="windows-1252"))[0].values["body"] == "Zoë paie 5 €"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (house.lines(HEADER, cells(1, "Élodie")) + cells(2, "Zoë\n").encode("latin-1"), "letters in UTF-8 and others"),
        (house.lines(HEADER) + cells(2).encode() + b"\x81\n", "no whole text in WINDOWS-1252"),
        (f"{HEADER}\n".encode("utf-16") + b"x", "no whole text in UTF-16"),
        (f"{HEADER}\n".encode("utf-32"), "is UTF-32"),
    ],
)
def test_a_file_whose_encoding_cannot_be_told_is_one_sentence_with_its_own_name(tmp_path, content, sentence):
    path = put(tmp_path / "posts.csv", content)
    with pytest.raises(KampekyError, match=sentence) as failed:
        house.judged("forum_posts", path, contract=declaring("forum_posts", encoding="windows-1252"))
    assert str(path) in str(failed.value) and "Zo" not in str(failed.value)


def test_an_encoding_that_is_not_known_is_one_sentence():
    with pytest.raises(Refused, match=r"encoding 'latin' is unknown. Known: iso-8859-1, iso-8859-15, windows-1252"):
        check_source(declaring("forum_posts", encoding="latin"))


# --- line ends and quotes of CSV ---


def test_lines_that_end_differently_are_the_same_rows_and_line_ends_in_quotes_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 37)
    chance = random.Random(3)
    for _ in range(20):
        bodies = ["".join(chance.choices(["a", "\n", "\r\n", '""', ",", "é", " "], k=4)) + "x" for _ in range(8)]
        ends = chance.choices(["\n", "\r\n"], k=9)
        text = HEADER + ends[0] + "".join(cells(n, f'"{body}"') + end for n, (body, end) in enumerate(zip(bodies, ends[1:], strict=True)))
        found = house.judged("forum_posts", put(tmp_path / "posts.csv", text))
        assert [(row.line, row.verdict, row.values["body"]) for row in found] == [
            (n, "good", body.replace('""', '"')) for n, body in enumerate(bodies, 1)]


@pytest.mark.parametrize("ends", [("\n", "\r\n", "\n"), ("\r\n", "\n", "\n"), ("\n", "\n", "\r\n"), ("\r\n", "\r\n", "\n")])
def test_a_mix_of_line_ends_loses_no_row_and_a_bad_one_among_them_is_set_aside_alone(tmp_path, ends):
    text = HEADER + ends[0] + cells(1) + ends[1] + "p2,f1" + ends[2] + cells(3) + "\n"
    rows = house.judged("forum_posts", put(tmp_path / "posts.csv", text))
    assert [row.values["post_id"] for row in rows if row.verdict == "good"] == ["p1", "p3"]
    assert [row.reason for row in rows if row.verdict != "good"] == ["line.missing_columns"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "mixed"])
def test_stray_quotes_lose_no_line_whatever_its_end(tmp_path, ends):
    """Each line is loaded or stands in a row that was set aside; only where ends are mixed and quotes stray may the file be refused instead."""
    chance, refused = random.Random(1), 0
    for _ in range(60):
        bodies = chance.choices(["a", "a", '"b"', 'b"c', '"c', '"d" e', "", '"x""y"'], k=chance.randrange(1, 9))
        ended = [chance.choice(["\n", "\r\n"]) if ends == "mixed" else ends for _ in range(len(bodies) + 1)]
        text = "".join(line + end for line, end in zip([HEADER, *(cells(n, body) for n, body in enumerate(bodies))], ended, strict=True))
        try:
            rows = house.judged("forum_posts", put(tmp_path / "posts.csv", text))
        except KampekyError:
            refused += 1
            continue
        seen = {row.values["post_id"] for row in rows}
        aside = "\n".join(row.record["line"] for row in rows if row.record and "line" in row.record)
        assert [n for n in range(len(bodies)) if f"p{n}" not in seen and f"p{n}," not in aside] == []
    assert 0 < refused < 45 if ends == "mixed" else refused == 0


def test_a_header_in_single_quotes_says_that_single_quotes_quote(tmp_path):
    rows = [house.post(n, body=body) for n, body in enumerate(["it's, so", 'a "b"', "\n"])]
    out = io.StringIO(newline="")
    writer = csv.writer(out, quotechar="'", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([house._text(value) for value in row.values()] for row in rows)
    assert [row.values["body"] for row in house.judged("forum_posts", put(tmp_path / "posts.csv", out.getvalue()))] == [row["body"] for row in rows]
    doubled = house.judged("forum_posts", put(tmp_path / "posts.csv", house.lines(HEADER, cells(1, "'l''été'"))))
    assert doubled[0].values["body"] == "'l''été'", "a header that shows no single quote says nothing of them"


# --- Parquet ---


def test_columns_of_odd_types_are_told_each_in_a_sentence_and_nothing_is_loaded(tmp_path):
    rows = {name: [value] for name, value in house.post(1).items()}
    odd = {"body": pa.array([["a"]]), "forum_category": pa.array([{"a": 1}]), "thread_id": pa.array([b"f1"], pa.binary())}
    out = io.BytesIO()
    parquet.write_table(pa.table(rows | odd), out)
    with pytest.raises(Refused) as refused:
        house.judged("forum_posts", put(tmp_path / "posts.parquet", out.getvalue()))
    for sentence in ("Column body holds a list in each row.", "Column forum_category holds several fields in each row.",
                     "Column thread_id holds bytes that are not marked as text."):
        assert sentence in str(refused.value)
    assert "post_id" not in str(refused.value)
    out = io.BytesIO()
    parquet.write_table(pa.table(rows | {"body": pa.array(["a"], pa.large_string())}), out)
    assert house.verdicts("forum_posts", put(tmp_path / "posts.parquet", out.getvalue())) == ["good"]
