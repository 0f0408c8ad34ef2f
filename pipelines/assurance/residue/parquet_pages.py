"""What a page of Parquet holds: its levels walked to their end, its values decoded by their encoding.

An encoding that is not read for a type raises Unreadable: unknown is not clean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.assurance.residue import encodings
from pipelines.assurance.residue.encodings import Texts, View
from pipelines.assurance.residue.thrift import Unreadable

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
PLAIN, PLAIN_DICTIONARY, RLE, DELTA_NUMBERS, DELTA_LENGTHS, DELTA_TEXTS, RLE_DICTIONARY, SPLIT = 0, 2, 3, 5, 6, 7, 8, 9

NUMBERS = {INT32: "<i4", INT64: "<i8", FLOAT: "<f4", DOUBLE: "<f8"}
_WIDTHS = {INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8}


@dataclass(frozen=True)
class Column:
    """A leaf of the schema. `scale` of a decimal: digits after the point."""

    name: str
    kind: int
    width: int
    most_repeated: int
    most_defined: int
    decimal: bool = False
    scale: int = 0


@dataclass(frozen=True)
class Values:
    """Of one page: the bytes that the automaton reads and where each value stands in them, or an array of numbers; of indices and truth values only
    what a run is filled up with."""

    data: View = b""
    texts: Callable[[], Texts] | None = None
    numbers: np.ndarray | None = None
    indices: bool = False

    def as_texts(self, column: Column) -> Texts:
        """Every value as the bytes that a filter hashes."""
        if self.texts is not None:
            return self.texts()
        if self.numbers is not None:
            return encodings.fixed_texts(self.numbers.tobytes(), self.numbers.dtype.itemsize)
        raise Unreadable(f"values of column {column.name} cannot be held against its filter")


def page_values(column: Column, encoding: int, data: View, count: int) -> Values:
    """The `count` values (without nulls) of a page."""
    if encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY):
        return _indices(data, count)
    if column.kind == BOOLEAN:
        return _booleans(encoding, data, count)
    if column.kind in _WIDTHS:
        return _fixed(column, encoding, data, count)
    if column.kind == FIXED and encoding in (PLAIN, SPLIT):
        rows = data if encoding == PLAIN else encodings.split_back(data, column.width)
        if len(rows) != count * column.width:
            raise Unreadable("a page holds more or less than its values")
        return Values(rows, lambda: encodings.fixed_texts(rows, column.width))
    if column.kind == BYTE_ARRAY and encoding == PLAIN:
        return Values(data, lambda: encodings.plain_texts(data, count))
    if column.kind == BYTE_ARRAY and encoding == DELTA_LENGTHS:
        return _counted(encodings.delta_length_texts(data), count)
    if column.kind in (BYTE_ARRAY, FIXED) and encoding == DELTA_TEXTS:
        return _counted(encodings.delta_texts(data), count)
    raise Unreadable(f"encoded in a way that is not read (number {encoding})")


def levels(column: Column, data: View, count: int, sizes: tuple[int, int] | None) -> tuple[int, int, bytes]:
    """Walk the levels before a page's values. `sizes` in bytes where the header tells them (version 2), else each stands before its levels.
    Returns where the values begin, how many there are without nulls, and what runs are filled up with."""
    at, present, filling = 0, count, b""
    for n, most in enumerate((column.most_repeated, column.most_defined)):
        if not most:
            if sizes and sizes[n]:
                raise Unreadable("a page has levels that its column has not")
            continue
        size = sizes[n] if sizes else int.from_bytes(data[at:at + 4], "little")
        at += 0 if sizes else 4
        if at + size > len(data):
            raise Unreadable("levels are cut off")
        walked = encodings.hybrid(data[at:at + size], 0, most.bit_length(), count, most if n else None)
        if encodings.filled(data[at + walked.end:at + size]):
            raise Unreadable("bytes stand behind the levels of a page")
        at += size
        present, filling = walked.seen if n else present, filling + walked.filling
    return at, present, filling


def numbers_in(column: Column, value: bytes) -> np.ndarray | None:
    """A minimum or maximum of a numeric column, as an array of one."""
    kind = NUMBERS.get(column.kind)
    return np.frombuffer(value, kind) if kind and len(value) == _WIDTHS[column.kind] else None


def _fixed(column: Column, encoding: int, data: View, count: int) -> Values:
    kind, width = NUMBERS.get(column.kind), _WIDTHS[column.kind]
    if encoding == DELTA_NUMBERS and column.kind in (INT32, INT64):
        values, end = encodings.delta_numbers(data)
        if end != len(data) or len(values) != count:
            raise Unreadable("a page holds more or less than its values")
        return Values(numbers=values.astype(kind) if column.kind == INT32 else values)  # 32 bits wrap, as they were written
    if encoding not in (PLAIN, SPLIT):
        raise Unreadable(f"encoded in a way that is not read (number {encoding})")
    if len(data) != count * width:
        raise Unreadable("a page holds more or less than its values")
    rows = data if encoding == PLAIN else encodings.split_back(data, width)
    if kind is None:  # 96 bits: a time, which is no identifier; looked at as bytes
        return Values(rows, lambda: encodings.fixed_texts(rows, width))
    return Values(numbers=np.frombuffer(rows, kind))


def _booleans(encoding: int, data: View, count: int) -> Values:
    if encoding == PLAIN and len(data) == (count + 7) // 8:
        return Values(indices=True)
    if encoding == RLE and int.from_bytes(data[:4], "little") == len(data) - 4:
        walked = encodings.hybrid(data, 4, 1, count)
        if walked.end == len(data):
            return Values(walked.filling, indices=True)
    raise Unreadable("truth values do not end where their page does")


def _indices(data: View, count: int) -> Values:
    """Numbers of entries in the dictionary, which is read by itself: only that they fill the page."""
    if not count and len(data) <= 1:
        return Values(indices=True)
    if not len(data) or data[0] > 32:
        raise Unreadable("a page of indices has no width")
    walked = encodings.hybrid(data, 1, data[0], count)
    if walked.end != len(data):
        raise Unreadable("bytes stand behind the indices of a page")
    return Values(walked.filling, indices=True)


def _counted(texts: Texts, count: int) -> Values:
    if len(texts.starts) != count:
        raise Unreadable("a page holds more or less than its values")
    return Values(texts.data, lambda: texts)
