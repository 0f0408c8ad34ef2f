"""Writers: JSON for scripts, tables for people."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def write_json(answer: object) -> None:
    try:
        text = json.dumps(answer, ensure_ascii=False, default=_plain, allow_nan=False)
    except ValueError:  # not a number and infinity are no JSON
        text = json.dumps(_finite(answer), ensure_ascii=False, default=_plain, allow_nan=False)
    sys.stdout.write(text + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Columns aligned with blanks; numbers to the right."""
    texts = [[cell(value) for value in row] for row in rows]
    numeric = [all(isinstance(value, int | float | Decimal) or value is None for value in column) for column in zip(*rows, strict=True)] \
        if isinstance(rows, list) and rows else [False] * len(columns)
    widths = [max([len(name), *(len(row[i]) for row in texts)]) for i, name in enumerate(columns)]
    out = sys.stdout
    if title:
        out.write(f"\n{title}\n")
    for number, line in enumerate([list(columns), ["─" * w for w in widths], *texts]):
        cells = (text.rjust(width) if right and number != 1 else text.ljust(width) for text, width, right in zip(line, widths, numeric, strict=True))
        out.write("  " + "  ".join(cells).rstrip() + "\n")


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """RFC 4180 with line feeds; an empty value is nothing at all."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(columns)
    out.writerows([value if value is None or isinstance(value, str | int | float | Decimal) else _plain(value) for value in row] for row in rows)


def write_records(records: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> None:
    """A table of the named keys of each record."""
    write_table([c.replace("_", " ") for c in columns], [[record.get(c) for c in columns] for record in records], title)


def say(words: str) -> None:
    """Words for a person, on stderr."""
    sys.stderr.write(words + "\n")


def cell(value: object) -> str:
    """A value as one printable line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def _finite(value: Any) -> Any:
    """The answer with null for each number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
