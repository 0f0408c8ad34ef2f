"""Access-log lines in Apache's common and combined format → columns of text.

A line is host, identity, user, [time], "request", status, bytes and, in combined format, "referer" and "user agent".
Inside quotes the server escapes a quote with a backslash. The identity field is not kept. A request that is not HTTP
(probes, binary junk, timeouts) is kept whole as the path, without a method.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.sources.lines import LOST, read_lines

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = r"^(\S+) \S+ (\S(?:.*?\S)?) \[([^\]]+)\] " + _QUOTED + r" (\d{3}|-) (\d+|-)(?: " + _QUOTED + " " + _QUOTED + r"(?: .*)?)?$"
FIELDS = ["ip", "member_id", "requested_at", "request", "status", "bytes", "referer", "user_agent"]
REQUEST = r"^([A-Za-z_-]{1,32}) (.*) (HTTP/\d(?:\.\d)?)$"


def stage_access_log(connection: Connection, path: Path, table: str, after: int = 0) -> None:
    """Make `table` of the lines behind line `after`: _line, _raw (the line, only where it is bad), _problem, and the contract's
    columns as text."""
    connection.register("lines", read_lines(path, after))
    names = ", ".join(quote_text(f) for f in FIELDS)
    connection.execute(f"""
        create or replace temp table {table} as
        with lines as (select _line, bytes, rtrim(try(decode(bytes)), chr(13)) as line from lines),
        parsed as (
            select _line, line, bytes, regexp_extract(line, {quote_text(LINE)}, [{names}]) as f
            from lines where line is null or line <> ''
        ),
        split as (select _line, line, bytes, f, line is not null and f.ip <> '' as good,
                         regexp_extract(f.request, {quote_text(REQUEST)}, ['method', 'path', 'protocol']) as r from parsed)
        select _line, case when not good then coalesce(line, {LOST}) end as _raw,
               case when line is null then 'line.not_utf8' when not good then 'line.not_combined_format' end as _problem,
               f.ip as ip, case when f.member_id not in ('-', '""') then f.member_id end as member_id,
               {_time('f.requested_at')} as requested_at, nullif(r.method, '') as method,
               case when r.method = '' then f.request else r.path end as path,
               nullif(r.protocol, '') as protocol, nullif(f.status, '-') as status, nullif(f.bytes, '-') as bytes,
               nullif(f.referer, '-') as referer, nullif(f.user_agent, '-') as user_agent
        from split
    """)


def _time(field: str) -> str:
    """The log's time as RFC 3339 text, or as it stands where it is none, for the contract's type check to refuse."""
    return (f"coalesce(strftime(try_strptime({field}, '%d/%b/%Y:%H:%M:%S %z') at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ'), {field})")
