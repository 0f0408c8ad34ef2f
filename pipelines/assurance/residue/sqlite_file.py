"""SQLite files: every value that a query sees, and every byte that none does.

Values of a row stand without a gap in the file, so a form that is deleted may have a letter of another value beside it. Boundaries are
judged in live values only; in the bytes themselves a form counts wherever there are more of it than in a fresh copy of what is alive.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable

import numpy as np

from pipelines.assurance.residue.encodings import Texts
from pipelines.assurance.residue.needles import Needles
from pipelines.assurance.residue.record import Record

MAGIC = b"SQLite format 3\0"
LARGEST = 1 << 30  # bytes; it is read into memory

_ROWS = 2000


def scan_sqlite(data: memoryview, needles: Needles) -> Record:
    """Look for `needles` in a whole SQLite database."""
    record = Record(needles)
    if len(data) > LARGEST:
        record.unreadable.append("it is larger than what is read into memory")
        return record
    image = bytearray(data)
    image[18:20] = b"\1\1"  # a database with a write-ahead log does not open from memory; the log is a file of its own
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(bytes(image))
        if connection.execute("pragma integrity_check(1)").fetchall() != [("ok",)]:
            record.unreadable.append("the database is damaged")
        connection.text_factory = bytes
        tables = [row[0].decode() for row in connection.execute("select name from sqlite_master where type = 'table'").fetchall()]
        for table in ["sqlite_master", *tables]:
            _look_at_rows(record, connection.execute(f"select * from {_quoted(table)}"))
        _look_at_the_rest(record, bytes(image), connection)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError):
        record.unreadable.append("the database cannot be read")
        record.look("bytes of the file", data)
    finally:
        connection.close()
    return record


def scan_log(data: memoryview, needles: Needles) -> Record:
    """A write-ahead log or a rollback journal: copies of pages, old ones too, in which nobody tells values apart."""
    record = Record(needles)
    record.look_closely("pages of a log", data)
    for needle, count in _integers(bytes(data), needles).items():
        record.hits["pages of a log", needle, "number"] += count
    return record


def _look_at_rows(record: Record, cursor: sqlite3.Cursor) -> None:
    while rows := cursor.fetchmany(_ROWS):
        values = [value for row in rows for value in row]
        look_at_values(record, "value of a table", [value for value in values if isinstance(value, bytes)])
        for kind in (int, float):
            numbers = [value for value in values if isinstance(value, kind)]
            if numbers:
                record.look_at_numbers("value of a table", np.array(numbers, np.int64 if kind is int else np.float64))


def look_at_values(record: Record, place: str, values: Iterable[bytes]) -> None:
    """Texts, each a value of its own."""
    texts = list(values)
    data = b"".join(texts)
    candidates = record.needles.candidates(data)
    if candidates:
        ends = np.cumsum(np.array([len(text) for text in texts], np.int64))
        record.look_among(place, Texts(data, ends - np.array([len(text) for text in texts], np.int64), ends), candidates)


def _look_at_the_rest(record: Record, image: bytes, connection: sqlite3.Connection) -> None:
    needles = record.needles
    every, numbers = Counter(_names(needles, image)), _integers(image, needles)
    if not every and not numbers:
        return
    connection.execute("vacuum")
    fresh = connection.serialize()
    for (needle, representation), count in (every - Counter(_names(needles, fresh))).items():
        record.hits["bytes that no row has", needle, representation] += count
    for needle, count in (numbers - _integers(fresh, needles)).items():
        record.hits["bytes that no row has", needle, "number"] += count


def _names(needles: Needles, data: bytes) -> list[tuple[int, str]]:
    return [(hit.form.needle, hit.form.representation) for hit in needles.candidates(data)]


def _integers(data: bytes, needles: Needles) -> Counter[int]:
    """Numbers as SQLite writes them: in 4, 6 or 8 bytes, whichever is enough, or as a floating number; the greatest byte first."""
    found: Counter[int] = Counter()
    for number, needle in needles.numbers.items():
        size = next((size for size in (4, 6, 8) if number < 1 << (8 * size - 1)), None)
        patterns = [struct.pack(">d", float(number)), *([number.to_bytes(size, "big")] if size else [])]
        count = sum(data.count(pattern) for pattern in patterns)
        if count:
            found[needle] += count
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
