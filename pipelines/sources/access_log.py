"""Access-log lines → columns of text: Apache's common and combined format, or the format that the contract names.

A line of the usual formats is host, identity, user, [time], "request", status, bytes and, in combined format, "referer" and
"user agent". Inside quotes the server escapes a quote with a backslash. The identity field is not kept. A request that is not HTTP
(probes, binary junk, timeouts) is kept whole as the path, without a method. What no column takes is read over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.sources.lines import LOST, read_lines
from pipelines.sources.log_format import PARTS, REQUEST, USER, LogFormat
from pipelines.sources.records import json_problem, nested

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = r"^(\S+) \S+ " + USER + r" \[([^\]]+)\] " + _QUOTED + r" (\d{3}|-) (\d+|-)(?: " + _QUOTED + " " + _QUOTED + r"(?: .*)?)?$"
FIELDS = ("ip", "member_id", "requested_at", REQUEST, "status", "bytes", "referer", "user_agent")
USUAL = LogFormat(LINE, FIELDS, {name: n for n, name in enumerate(FIELDS)})
TEXT = "TEXT"
REQUEST_LINE = r"^([A-Za-z_-]{1,32}) (.*) (HTTP/\d(?:\.\d)?)$"


def stage_access_log(connection: Connection, path: Path, table: str, columns: Sequence[str], form: LogFormat | None = None, after: int = 0,
                     until: int | None = None) -> None:
    """Make `table` of the lines behind line `after`, to line `until`: _line, _raw (the line, only where it is bad), _problem, and the contract's
    `columns` as text (null where no field feeds one)."""
    stage_lines(connection, read_lines(path, after, until), table, columns, form)


# a line that has no escapes, no blank within a field where none belongs, and whose fields are told by its quotes and blanks alone
_HEAD = r"[!-Z^-~]+ [!-Z^-~]+ [!-Z^-~]+ \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}\] "
_REQUEST = r"[A-Za-z_-]{1,32} \S* HTTP/[0-9](?:[.][0-9])?"
_ANSWER = r" (?:[0-9]{3}|-) (?:[0-9]{1,12}|-)(?: |\r*)"
EASY = {  # column: its type, TEXT where an empty one is null; SQL over halves of the line
    "ip": (TEXT, "h[1]"), "member_id": (TEXT, "nullif(h[3], '-')"),
    "requested_at": ("TIMESTAMP WITH TIME ZONE", "try_strptime(h[4][2:] || ' ' || h[5][:5], '%d/%b/%Y:%H:%M:%S %z')"),
    "method": (TEXT, "r[1]"), "path": (TEXT, "nullif(r[2], '')"), "protocol": (TEXT, "r[3]"),
    "status": ("BIGINT", "try_cast(m[2] as bigint)"), "bytes": ("BIGINT", "try_cast(rtrim(m[3], chr(13)) as bigint)"),
    "referer": (TEXT, "case when s[4] not in ('', '-') then s[4] end"), "user_agent": (TEXT, "case when s[6] not in ('', '-') then s[6] end"),
}  # fmt: skip


def easy_lines(source: str) -> str:
    """SQL: each line of `source` (_line, bytes; here _bytes) with the fields of EASY; `_easy` where they are what `stage_lines` would make of it:
    splitting takes a tenth of the time of a regular expression with groups."""
    halves = ", ".join(f"string_split(s[{n}], ' ') as {name}" for n, name in ((1, "h"), (2, "r"), (3, "m")))
    ends = "case len(s) when 7 then suffix(s[3], ' ') and s[5] = ' ' and s[7] in ('', chr(13)) when 3 then not suffix(s[3], ' ') else false end"
    fields = ", ".join(f"{field} as {quote_name(name)}" for name, (_, field) in EASY.items())
    return f"""select * replace (_easy and requested_at is not null as _easy) from (select _line, bytes as _bytes, {fields},
                   coalesce(not contains(line, chr(92)) and {ends} and regexp_full_match(s[1], {quote_text(_HEAD)})
                            and regexp_full_match(s[2], {quote_text(_REQUEST)}) and regexp_full_match(s[3], {quote_text(_ANSWER)}), false) as _easy
               from (select *, {halves} from (select *, string_split(line, '"') as s
                                              from (select _line, bytes, try(decode(bytes)) as line from {source}))))"""


def stage_lines(connection: Connection, lines: Any, table: str, columns: Sequence[str], form: LogFormat | None = None) -> None:
    """The same of lines that are at hand: an Arrow table or reader of (_line BIGINT, bytes BLOB)."""
    used = form or USUAL
    connection.register("lines", lines)
    parsed = _matched(used) if used.line is not None else _keyed(used)
    request = f"f.{_group(used.takes[REQUEST])}" if REQUEST in used.takes else "null::varchar"
    texts = ", ".join(f"{_text(used, column, request)} as {quote_name(column)}" for column in columns)
    connection.execute(f"""
        create or replace temp table {table} as
        with lines as (select _line, bytes, rtrim(ltrim(try(decode(bytes)), chr(65279)), chr(13)) as line from lines),
        parsed as ({parsed}),
        split as (select *, regexp_extract({request}, {quote_text(REQUEST_LINE)}, ['method', 'path', 'protocol']) as r from parsed)
        select _line, case when _problem is not null then coalesce(line, {LOST}) end as _raw, _problem, {texts}
        from split
    """)


def _matched(form: LogFormat) -> str:
    """SQL: each line with its fields `f` by a pattern; a line is one, if its first field is not empty or all of it matches."""
    groups = ", ".join(quote_text(_group(n)) for n in range(len(form.feeds)))
    bad = "line.not_combined_format" if form is USUAL else "line.not_log_format"
    # a match that is empty in its first field looks like none: only such lines are asked a second time
    matches = f"f.{_group(0)} <> ''" if form is USUAL else f"(f.{_group(0)} <> '' or regexp_matches(line, {quote_text(str(form.line))}))"
    return f"""select _line, bytes, line, f,
                      case when line is null then 'line.not_utf8' when not {matches} then {quote_text(bad)} end as _problem
               from (select _line, bytes, line, regexp_extract(line, {quote_text(str(form.line))}, [{groups}]) as f
                     from lines where line is null or line <> '')"""


def _keyed(form: LogFormat) -> str:
    """SQL: each line with its fields `f` by the keys of a JSON object; keys that feed nothing are never looked at."""
    shape = json.dumps(dict.fromkeys(form.feeds, "VARCHAR"), ensure_ascii=False)
    fields = ", ".join(f"{quote_text(_group(n))}: f.{quote_name(key)}" for n, key in enumerate(form.feeds))
    named = {key: next(column for column, n in form.takes.items() if form.feeds[n] == key) for key in form.feeds}
    return f"""select _line, bytes, line, {{{fields}}} as f, _problem
               from (select *, json_transform(case when _problem is null then line end, {quote_text(shape)}) as f
                     from (select _line, bytes, line, coalesce(_problem, {nested(named)}) as _problem
                           from (select _line, bytes, trim(line, ' ' || chr(9)) as line, {json_problem("line")} as _problem
                                 from lines where line is null or trim(line, ' ' || chr(9)) <> '')))"""


def _text(form: LogFormat, column: str, request: str) -> str:
    if column in PARTS and REQUEST in form.takes and column not in form.takes:
        return f"case when r.method = '' then {request} else r.path end" if column == "path" else f"nullif(r.{column}, '')"
    if column not in form.takes:
        return "null::varchar"
    field = f"f.{_group(form.takes[column])}"
    if column == "requested_at":
        return _time(field, form)
    if column == "path" or column == "ip":
        return field
    return f"case when {field} not in ('-', '\"\"') then {field} end" if column == "member_id" else f"nullif({field}, '-')"


def _group(n: int) -> str:
    return f"f{n}"


def _time(field: str, form: LogFormat) -> str:
    """The log's time as RFC 3339 text, or as it stands where it is none, for the contract's type check to refuse."""
    written = f"strftime(try_strptime({field}, {quote_text(form.times or '%d/%b/%Y:%H:%M:%S %z')}) at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if form is USUAL:
        return f"coalesce({written.replace('.%fZ', 'Z')}, {field})"
    # seconds since 1970 with any decimals, or as many digits as thousandths or millionths of a second have
    point = f"strpos({field}, '.') > 0"
    micros = (f"case when not regexp_full_match({field}, '[0-9]{{9,16}}([.][0-9]{{1,9}})?') then null when {point} or length({field}) <= 10 "
              f"then try_cast({field} as decimal(28, 9)) * 1000000 when length({field}) = 13 then try_cast({field} as decimal(28, 9)) * 1000 "
              f"when length({field}) = 16 then try_cast({field} as decimal(28, 9)) end")
    epoch = f"strftime(make_timestamp(floor({micros})::bigint), '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"coalesce({written}, {epoch}, {field})"
