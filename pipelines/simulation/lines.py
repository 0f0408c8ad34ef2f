"""Lines of text, put together by the engine itself.

A row becomes its line in one `concat`, and a writer that quotes nothing writes it: several times cheaper than the
engine's writers of JSON and CSV. So whoever composes a form says what must be quoted in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pipelines.engines.duckdb_engine import quote_text
from pipelines.simulation.dice import chosen

# the one-column CSV that is no CSV: nothing quoted, nothing escaped; its header is the column's name. Told to quote everything, with no quote to do
# it with, the writer does not look at each sign for a reason to quote, which was half of its time
PLAIN = r"format csv, quote '', escape '', delimiter E'\x01', force_quote *"
BLANK = re.compile(r"<(\w+)>")


def filled(form: str, **filling: str) -> str:
    """SQL for `form` with each <name> filled in: SQL for one text or several in a row. Null leaves its blank empty."""
    parts = BLANK.split(form)
    return "concat(" + ", ".join(filling[part] if place % 2 else quote_text(part) for place, part in enumerate(parts) if part) + ")"


def json_line(**fields: str) -> str:
    """SQL for a JSON object on one line; each field is SQL for its JSON: `word`, `quoted` or `bare`."""
    return filled("{" + ",".join(f'"{name}":<{name}>' for name in fields) + "}", **fields)


def csv_line(**fields: str) -> str:
    """SQL for a row of a CSV, named as its header line; each field is SQL for what stands between its commas, null for nothing."""
    return f'{filled(",".join(f"<{name}>" for name in fields), **fields)} as "{",".join(fields)}"'


def word(*texts: str) -> str:
    """A JSON text out of SQL for texts that are never null and hold nothing to escape."""
    return ", ".join(("'\"'", *texts, "'\"'"))


def quoted(text: str) -> str:
    """A JSON text, or null; nothing in it needs to be escaped."""
    return f"coalesce('\"' || {text} || '\"', 'null')"


def bare(value: str) -> str:
    """A JSON number, boolean or null; also for texts that are JSON already."""
    return f"coalesce(({value})::varchar, 'null')"


def cell(text: str) -> str:
    """A CSV field in quotes (RFC 4180), or nothing."""
    return f"'\"' || replace({text}, '\"', '\"\"') || '\"'"


def escaped(texts: Sequence[str]) -> list[str]:
    """Texts as they stand inside the quotes of JSON."""
    return [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts]


def table_of(**texts: Sequence[str]) -> str:
    """SQL for a table: `no` from 0, and a column for each of the equally long lists."""
    size = len(next(iter(texts.values())))
    columns = ", ".join(f"{chosen(words, 'no')} as {name}" for name, words in texts.items())
    return f"select no, {columns} from range({size}) as r(no)"


def sentence(sentences: Sequence[str], number: str, **blanks: str) -> str:
    """SQL, texts in a row, for the sentence of that number (SQL, from 0) with its {blanks} filled in. A blank costs only the rows that have it."""
    parts = [re.split(r"\{(\w+)\}", text) for text in sentences]
    longest = max(map(len, parts))
    names = [None, *blanks]
    filling = " ".join(f"when {place} then {text}" for place, text in enumerate(blanks.values(), 1))
    told = []
    for place in range(longest):
        column = [part[place] if place < len(part) else "" for part in parts]
        told.append(f"case {chosen([names.index(name or None) for name in column], number)} {filling} end" if place % 2 else chosen(column, number))
    return ", ".join(told)
