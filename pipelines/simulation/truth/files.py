"""The written files as rows of text: what a dataset's folder holds, a value missing where the source has none."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as parquet

Row = dict[str, str | None]
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"(\S+) - (\S+) \[([^\]]+)\] {_QUOTED} ([0-9]{{3}}) ([0-9]+|-) {_QUOTED} {_QUOTED}")
_FIELDS = ("ip", "member_id", "requested_at", "request", "status", "bytes", "referer", "user_agent")


def rows(folder: Path) -> Iterator[Row | None]:
    """Every row of a dataset, file by file in the order of the names; None for a line that is none."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".ndjson":
            yield from ndjson(path)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                yield from (_texts(row) for row in csv.DictReader(file))
        elif path.suffix == ".parquet":
            yield from (_texts(row) for row in parquet.read_table(path).to_pylist())
        else:
            with path.open(encoding="utf-8", newline="\n") as lines:
                yield from (_log_line(line.rstrip("\n")) for line in lines)


def ndjson(path: Path) -> Iterator[Row]:
    """Every record of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        yield from (_texts(json.loads(line)) for line in lines)


def _texts(row: dict[str, object]) -> Row:
    return {name: _text(value) for name, value in row.items()}


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def _log_line(line: str) -> Row | None:
    """A line in combined format, its time as RFC 3339 where it is one."""
    found = _LINE.fullmatch(line)
    if not found:
        return None
    row: Row = {name: None if value == "-" else value for name, value in zip(_FIELDS, found.groups(), strict=True)}
    try:
        row["requested_at"] = datetime.strptime(found[3], "%d/%b/%Y:%H:%M:%S %z").isoformat()
    except ValueError:
        row["requested_at"] = found[3]
    return row
