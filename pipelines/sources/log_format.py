"""A server's log format, as the contract writes it, compiled into what reads its lines.

`logFormat` of a contract is one of two:

    {pattern: '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{session}C"', columns: {device_id: '%{session}C'}}
    {json: {ip: remote_addr, requested_at: time_iso8601, request: request, status: status}}

A pattern is Apache's LogFormat or nginx's log_format. Fields that every server has feed the column they mean; `columns` says
which field feeds any other, or another one. What no column takes is read over and never kept. A pattern becomes one regular
expression, anchored at both ends; every mistake in it is one sentence, before any line is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.policy.contract_types import Contract
from pipelines.policy.documents import Reader

# a user may have blanks in the name, but none begins with a dash alone: such a line has one field more before it, as vhost_combined has
USER = r"([^\s-]|-|(?:[^\s-]|-\S).*?\S|-\S)"
REQUEST = "request"  # what a field or a key may feed besides columns: method, path and protocol at once
PARTS = ("method", "path", "protocol")

# the column that a field feeds unless the contract says otherwise; every other field feeds none
_APACHE = {"%h": "ip", "%a": "ip", "%u": "member_id", "%t": "requested_at", "%r": REQUEST, "%s": "status", "%b": "bytes", "%B": "bytes",
           "%m": "method", "%U": "path", "%H": "protocol", "%{referer}i": "referer", "%{user-agent}i": "user_agent"}
_NGINX = {"$remote_addr": "ip", "$remote_user": "member_id", "$time_local": "requested_at", "$time_iso8601": "requested_at",
          "$msec": "requested_at", "$request": REQUEST, "$status": "status", "$body_bytes_sent": "bytes", "$request_method": "method",
          "$request_uri": "path", "$server_protocol": "protocol", "$http_referer": "referer", "$http_user_agent": "user_agent"}
_PLAIN, _NAMED = "aABbDfhHIkLlmOPpqRrSsTtUuvVX", "aCehinoPpTt"  # Apache's letters, alone and behind {a name}
_TOKEN = re.compile(r"(?P<apache>%[<>]?(?:!?[0-9]{3}(?:,[0-9]{3})*)?[<>]?(?:\{(?P<name>[^}]*)\})?(?P<letter>\^t[io]|[A-Za-z%]))"
                    r"|(?P<nginx>\$(?:\{(?P<braced>[a-z0-9_]+)\}|(?P<bare>[a-z0-9_]+)))|(?P<wrong>[%$])")
_ESCAPES = {'\\"': '"', "\\t": "\t", "\\\\": "\\", "\\'": "'"}
_WORDS = ("%r", "%U", "%q", "%f", "$http_", "$sent_http_", "$upstream_http_", "$cookie_", "$request", "$uri", "$args", "$arg_")  # may hold blanks
_NUMBERS = {"status": r"(\d{3}|-)", "bytes": r"(\d+|-)"}


@dataclass(frozen=True)
class LogFormat:
    """What reads a line. `line`: the regular expression of a pattern, its groups in the order of `feeds`; None for JSON, where
    `feeds` are keys. `takes`: column (or 'request') → which of the feeds."""

    line: str | None
    feeds: tuple[str, ...]
    takes: Mapping[str, int]
    times: str | None = None  # the strptime form of the time, if it is not one of the usual ones


@dataclass(frozen=True)
class _Field:
    text: str  # as it stands in the pattern
    name: str  # as `columns` may call it: without modifiers, header names in lower case
    column: str | None
    times: str | None = None


def log_format(contract: Contract) -> LogFormat | None:
    """The format that the contract names; None if it names none. Refused, with the place, if it is no format."""
    if "logFormat" not in contract.source:
        return None
    given = Reader(contract.source["logFormat"], f"{contract.path}: logFormat").only(("pattern", "columns", "json"))
    if contract.format != "access_log":
        raise given.fail(f"is for datasets of format access_log; '{contract.name}' has format {contract.format}.")
    names = [c.name for c in contract.columns]
    if (given.get("json") is None) == (given.get("pattern") is None):
        raise given.fail("expected either 'pattern' (the server's format string) or 'json' (which key feeds which column).")
    made = _of_keys(given, names) if given.get("json") is not None else _of_pattern(given, names)
    fed = set(made.takes) | (set(PARTS) if REQUEST in made.takes else set())
    lacking = [c.name for c in contract.columns if c.required and c.name not in fed]
    if lacking:
        raise given.fail(f"feeds no {', '.join(lacking)}, which '{contract.name}' requires. Add the field, or say under 'columns' which one it is.")
    return made


def _of_keys(given: Reader, names: Sequence[str]) -> LogFormat:
    if given.get("columns") is not None:
        raise given.fail("'columns' belongs to a pattern; with 'json' each column names its key.")
    keys = given.inner("json").only([*names, REQUEST])
    if REQUEST in keys.content and set(PARTS) & set(keys.content):
        raise keys.fail(f"'{REQUEST}' feeds {', '.join(PARTS)} already; name either it or them.")
    texts = {column: keys.text(column) for column in keys.content}
    feeds = tuple(dict.fromkeys(texts.values()))
    if len({key.lower() for key in feeds}) < len(feeds):
        raise keys.fail("two of the keys differ only in upper and lower case, which DuckDB does not tell apart.")
    return LogFormat(None, feeds, {column: feeds.index(key) for column, key in texts.items()})


def _of_pattern(given: Reader, names: Sequence[str]) -> LogFormat:
    parts = _split(given, given.text("pattern").strip())
    fields = [part for part in parts if isinstance(part, _Field)]
    if not fields:
        raise given.fail('\'pattern\' holds no field. Expected one such as: %h %l %u %t "%r" %>s %b')
    chosen = Reader(given.get("columns") or {}, f"{given.where}: columns").only([*names, REQUEST])
    takes: dict[str, int] = {}
    for column in chosen.content:
        wanted = _name(chosen.text(column))
        found = [n for n, field in enumerate(fields) if field.name == wanted]
        if not found:
            raise chosen.fail(f"{column} is to come from '{chosen.text(column)}', which is no field of the pattern. "
                              f"Fields: {', '.join(field.text for field in fields)}.")
        takes[column] = found[0]
    for column in dict.fromkeys(field.column for field in fields if field.column in (*names, REQUEST)):
        feeding = [n for n, field in enumerate(fields) if field.column == column and n not in takes.values()]
        if column is None or column in takes or not feeding or (column in PARTS and REQUEST in takes):
            continue
        if len(feeding) > 1:
            raise given.fail(f"{' and '.join(fields[n].text for n in feeding)} both feed {column}. Say under 'columns' which one does.")
        takes[column] = feeding[0]
    if REQUEST in takes:
        takes = {column: n for column, n in takes.items() if column not in PARTS or column in chosen.content}
    times = fields[takes["requested_at"]].times if "requested_at" in takes else None
    return LogFormat(_expression(given, parts), tuple(field.text for field in fields), takes, times)


def _split(given: Reader, pattern: str) -> list[str | _Field]:
    """The pattern as literal texts and fields."""
    if "\n" in pattern:
        raise given.fail("'pattern' must be one line; join the parts of an nginx log_format.")
    for written, meant in _ESCAPES.items():
        pattern = pattern.replace(written, meant)
    parts: list[str | _Field] = []
    at, kinds = 0, set[str]()
    for token in _TOKEN.finditer(pattern):
        parts.append(pattern[at:token.start()])
        at = token.end()
        if token["wrong"]:
            raise given.fail(f"'pattern' has a '{token['wrong']}' that begins no field; a percent sign itself is written %%.")
        if token["letter"] == "%":
            parts.append("%")
            continue
        kinds.add("Apache's" if token["apache"] else "nginx's")
        parts.append(_apache(given, token) if token["apache"] else _nginx(token))
    parts.append(pattern[at:])
    if len(kinds) > 1:
        raise given.fail("'pattern' mixes Apache's fields (%h) with nginx's ($remote_addr).")
    return _joined(parts)


def _joined(parts: list[str | _Field]) -> list[str | _Field]:
    made: list[str | _Field] = [""]
    for part in parts:
        if isinstance(part, str) and isinstance(made[-1], str):
            made[-1] += part
        else:
            made.append(part)
    return made


def _apache(given: Reader, token: re.Match[str]) -> _Field:
    letter, name, plain = token["letter"], token["name"], _name(token[0])
    if letter not in ("^ti", "^to") and letter not in (_PLAIN if name is None else _NAMED):
        raise given.fail(f"'pattern' has '{token[0]}', which is no field of Apache's LogFormat.")
    if letter != "t" or name is None:
        return _Field(token[0], plain, _APACHE.get(plain))
    form = re.sub("^(?:begin|end):?", "", name)
    if form in ("", "sec", "msec", "usec"):
        return _Field(token[0], plain if form else "%t", "requested_at")
    if "%z" not in form:
        raise given.fail(f"the time '{token[0]}' has no offset (%z), and without one an hour of each autumn means two. "
                         "Log %t, or a form such as %{%Y-%m-%dT%H:%M:%S%z}t.")
    return _Field(token[0], plain, "requested_at", form)


def _nginx(token: re.Match[str]) -> _Field:
    name = f"${token['braced'] or token['bare']}"
    return _Field(name, name, _NGINX.get(name))


def _name(field: str) -> str:
    """A field without Apache's modifiers, names of headers in lower case; nginx's without braces."""
    token = _TOKEN.fullmatch(field.strip())
    if not token or not token["apache"]:
        return re.sub(r"^\$\{(.*)\}$", r"$\1", field.strip())
    name = "" if token["name"] is None else f"{{{token['name'].lower() if token['letter'] in 'io' else token['name']}}}"
    return f"%{name}{token['letter']}"


def _expression(given: Reader, parts: list[str | _Field]) -> str:
    """The whole line as a regular expression (RE2), one group for each field. What bounds a field decides what may stand in it."""
    made = "^"
    for n, part in enumerate(parts):
        if isinstance(part, str):
            made += re.escape(part)
            continue
        before, after = str(parts[n - 1]), str(parts[n + 1])
        if not after and n + 2 < len(parts):
            raise given.fail(f"{part.text} and {_text(parts[n + 2])} stand side by side, so nobody can say where one ends. Put a blank or quotes "
                             "between.")
        made += _group(part, before[-1:], after[:1])
    return made + "$"


def _text(part: str | _Field) -> str:
    return part.text if isinstance(part, _Field) else part


def _group(field: _Field, before: str, after: str) -> str:
    if field.name == "%t" and not field.times:
        return r"\[([^\]]*)\]"
    if before == after and before in ('"', "'"):
        return rf"((?:[^{before}\\]|\\.)*)"  # inside quotes the server escapes a quote with a backslash
    if field.column in _NUMBERS:
        return _NUMBERS[field.column]
    if field.column == "requested_at":
        return r"([^\]]*)" if after == "]" else rf"([^{re.escape(after)}]*)" if after else "(.*)"
    if not after and (field.name.startswith(_WORDS) or field.name.endswith(("}i", "}o", "}C", "}n", "}e"))):
        return "(.*)"
    if after in ("", " "):
        return USER if field.column == "member_id" else r"(\S*)"  # a user's name may hold blanks
    return f"([^{re.escape(after)}]*)"
