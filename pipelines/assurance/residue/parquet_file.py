"""A Parquet file, plain or encrypted as DuckDB does, read to the last byte.

Footer, page headers, pages, dictionaries, indexes and filters are found from the footer, decrypted, decompressed, decoded and looked at; each
claims its bytes. What nothing claims is looked at as it stands and makes the file one that is not accounted for. Whatever cannot be read is
said so, with the column and row group: unknown is not clean.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipelines.assurance.residue import bloom, thrift
from pipelines.assurance.residue.codecs import decompressed
from pipelines.assurance.residue.encodings import Texts, View, filled
from pipelines.assurance.residue.needles import BY_CHANCE, Needles
from pipelines.assurance.residue.parquet_pages import BYTE_ARRAY, FIXED, NUMBERS, Column, Values, levels, numbers_in, page_values
from pipelines.assurance.residue.record import Record
from pipelines.assurance.residue.schema import leaves
from pipelines.assurance.residue.thrift import Structure, Unreadable

PLAIN_MAGIC, ENCRYPTED_MAGIC = b"PAR1", b"PARE"
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # `map`, or one that uses several threads

_DATA, _INDEX, _DICTIONARY, _DATA_2 = range(4)


@dataclass
class Source:
    """The file's bytes, how to decrypt a part of them, and which of them are claimed by what: [start, end)."""

    data: memoryview
    cipher: AESGCM | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)

    def block(self, at: int, size: int) -> tuple[View, int]:
        """The `size` plain bytes of a module at `at`, and where it ends in the file."""
        if self.cipher is None:
            if at + size > len(self.data):
                raise Unreadable("the file is cut off")
            return self.data[at:at + size], at + size
        plain, end = self._module(at)
        if len(plain) != size:
            raise Unreadable("an encrypted part is not as long as its header says")
        return plain, end

    def structure(self, at: int) -> tuple[Structure, int]:
        """The structure at `at`, and where it ends in the file."""
        if not 4 <= at < len(self.data):
            raise Unreadable("a part stands outside of the file")
        if self.cipher is None:
            return thrift.structure(self.data, at)
        plain, end = self._module(at)
        found, used = thrift.structure(plain)
        if used != len(plain):
            raise Unreadable("bytes stand behind a structure")
        return found, end

    def _module(self, at: int) -> tuple[bytes, int]:
        assert self.cipher is not None
        size = int.from_bytes(self.data[at:at + 4], "little")
        end = at + 4 + size
        if size < 28 or end > len(self.data):
            raise Unreadable("an encrypted part is cut off")
        try:
            return self.cipher.decrypt(self.data[at + 4:at + 16], self.data[at + 16:end], None), end
        except InvalidTag:
            raise Unreadable("a part does not decrypt: another key, or it was changed") from None


def scan_parquet(data: memoryview, needles: Needles, key: str | None = None, each: Each = map) -> Record:
    """Look for `needles` in a whole Parquet file. `key`: base64, of an encrypted one."""
    record, source = Record(needles), Source(data)
    try:
        footer = _footer(source, key, record)
        columns = [replace(column, name=needles.masked(column.name)) for column in leaves(footer)]
        groups: list[Structure] = footer.get(4, [])
        chunks = [(number, column, chunk) for number, group in enumerate(groups) for column, chunk in _chunks(columns, group)]
    except Unreadable as reason:
        record.unreadable.append(str(reason))
        record.look("bytes of the file", data, BY_CHANCE)
        return record
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError):
        record.unreadable.append("its footer is not one of Parquet")
        record.look("bytes of the file", data, BY_CHANCE)
        return record
    _look_at_footer(record, footer)
    for found in each(lambda chunk: _Chunk(Source(data, source.cipher), needles, *chunk).read(), chunks):
        record.take(found.record)
        source.spans += found.source.spans
    _account(record, source)
    return record


def _footer(source: Source, key: str | None, record: Record) -> Structure:
    data = source.data
    if len(data) < 12 or bytes(data[:4]) not in (PLAIN_MAGIC, ENCRYPTED_MAGIC) or bytes(data[-4:]) != bytes(data[:4]):
        raise Unreadable("it is cut off, or no Parquet file")
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    if start < 4:
        raise Unreadable("it is cut off: its footer is longer than the file")
    source.spans += [(0, 4), (start, len(data))]
    if bytes(data[:4]) == PLAIN_MAGIC:
        footer, end = thrift.structure(data, start)
    else:
        if key is None:
            raise Unreadable("it is encrypted, and there is no key for it")
        try:
            source.cipher = AESGCM(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            raise Unreadable("its key is not one") from None
        outer, inner = thrift.structure(data, start)
        _look_at(record, "footer, outside of what is encrypted", outer)
        footer, end = source.structure(inner)
    if end != len(data) - 8:
        raise Unreadable("bytes stand behind its footer")
    if 8 in footer or 9 in footer:
        raise Unreadable("parts of it are encrypted in a way that is not read")
    return footer


def _chunks(columns: list[Column], group: Structure) -> Iterator[tuple[Column, Structure]]:
    if len(group[1]) != len(columns):
        raise Unreadable("a row group has more or fewer columns than the schema")
    return zip(columns, group[1], strict=True)


def _look_at_footer(record: Record, footer: Structure) -> None:
    """Everything but the column chunks, which are looked at one by one."""
    _look_at(record, "name of a column", footer.get(2))
    _look_at(record, "key-value metadata of the file", footer.get(5))
    _look_at(record, "footer", [value for field_, value in footer.items() if field_ not in (2, 4, 5)])
    _look_at(record, "footer, row group", [[value for field_, value in group.items() if field_ != 1] for group in footer.get(4, [])])


def _look_at(record: Record, place: str, value: Any) -> None:
    for text in thrift.texts(value):
        record.look(place, text)


def _account(record: Record, source: Source) -> None:
    """Every byte belongs to one part: what belongs to none is looked at, and said unless it is nothing but zeros."""
    at = 0
    for start, end in [*sorted(source.spans), (len(source.data), len(source.data))]:
        if start < at and not record.unreadable:
            record.unreadable.append("two parts of it claim the same bytes")
        gap = source.data[at:start]
        if filled(gap):
            record.unaccounted.append(f"{len(gap)} bytes belong to no part of it")
            record.look("bytes that belong to no part", gap)
        record.claimed += max(end - max(at, start), 0)
        at = max(at, end)


class _Chunk:
    """One column of one row group."""

    def __init__(self, source: Source, needles: Needles, group: int, column: Column, chunk: Structure) -> None:
        self.source, self.record, self.column, self.chunk = source, Record(needles), column, chunk
        self.where = f"column {column.name}, row group {group}"
        self.pages: list[tuple[int, Structure]] = []  # (where the body begins, header) of pages of values

    def read(self) -> _Chunk:
        """Look at everything of it. What cannot be read is in the record."""
        try:
            self._statistics("footer", self.chunk)
            if 1 in self.chunk or 8 in self.chunk or 9 in self.chunk or 3 not in self.chunk:
                raise Unreadable("it stands in another file, or under another key")
            self._pages()
            for offset, length, what in ((4, 5, "offset index"), (6, 7, "column index")):
                if offset in self.chunk:
                    found, end = self.source.structure(self.chunk[offset])
                    self._claim(self.chunk[offset], end, self.chunk.get(length))
                    self._statistics(what, found)
            if 14 in self.chunk[3]:
                self._filter()
        except Unreadable as reason:
            self.record.unreadable.append(f"{self.where}: {reason}")
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, struct.error, RecursionError):
            self.record.unreadable.append(f"{self.where}: it is not as Parquet says")
        return self

    def _claim(self, start: int, end: int, length: int | None = None) -> None:
        if length is not None and end - start != length:
            raise Unreadable("a part is not as long as the footer says")
        self.source.spans.append((start, end))

    def _statistics(self, what: str, found: Structure) -> None:
        """Texts of a header, an index or the footer, of which minima and maxima are written as the column's values are."""
        for text in thrift.texts(found):
            place = f"{what}, {self.where}"
            self.record.look(place, text)
            numbers = numbers_in(self.column, text)
            if numbers is not None:
                self.record.look_at_numbers(place, numbers, self.column.scale)
            elif self.column.decimal and 4 <= len(text) <= 17:
                self._decimals(place, Texts(text, np.array([0]), np.array([len(text)])))

    def _pages(self) -> None:
        meta = self.chunk[3]
        if meta[1] != self.column.kind:
            raise Unreadable("its type is another than the schema says")
        at = start = min(offset for offset in (meta[9], meta.get(11) or meta[9]) if offset)
        stop, values = start + meta[7], 0
        if stop > len(self.source.data):
            raise Unreadable("the file is cut off")
        while at < stop:
            header, body = self.source.structure(at)
            content, at = self.source.block(body, header[3])
            self._statistics("header of a page", header)
            if 4 in header and zlib.crc32(content) != header[4] & 0xFFFFFFFF:
                raise Unreadable("a page was changed: its checksum is another")
            values += self._page(body, header, content)
        self._claim(start, at, meta[7])
        self._copy(at)
        if values != meta[5]:
            raise Unreadable("its pages hold more or fewer values than the footer says")

    def _copy(self, at: int) -> None:
        """Polars writes what the footer says of the chunk a second time, right behind it (and elsewhere than it says it does)."""
        try:
            found, end = self.source.structure(at)
        except Unreadable:
            return
        if found == self.chunk[3]:
            self._claim(at, end)

    def _page(self, body: int, header: Structure, content: View) -> int:
        """Look at one page; returns how many values it stands for, nulls too, and none of a dictionary."""
        kind = header[1]
        found, count, filling = self._values(header, content)
        filling += bytes(found.data) if found.indices else b""
        if filling:
            self.record.look(f"filling of a page of {self.where}", filling, BY_CHANCE)
        if not found.indices:
            self.pages.append((body, header))
            self._look_at_values(f"{'dictionary page' if kind == _DICTIONARY else 'page'} of {self.where}", found)
        return 0 if kind == _DICTIONARY else count

    def _values(self, header: Structure, content: View) -> tuple[Values, int, bytes]:
        """The values of a page, how many it stands for with nulls, and what its levels are filled up with."""
        kind, codec = header[1], self.chunk[3][4]
        if kind == _DICTIONARY:
            told = header[7]
            encoding = 0 if told[2] in (0, 2) else told[2]
            return page_values(self.column, encoding, decompressed(codec, content, header[2]), told[1]), told[1], b""
        if kind == _DATA:
            told, plain = header[5], decompressed(codec, content, header[2])
            if (self.column.most_defined and told[3] != 3) or (self.column.most_repeated and told[4] != 3):
                raise Unreadable("levels are encoded in a way that is not read")
            at, present, filling = levels(self.column, plain, told[1], None)
            return page_values(self.column, told[2], memoryview(plain)[at:], present), told[1], filling
        if kind == _DATA_2:
            told = header[8]
            at, present, filling = levels(self.column, content, told[1], (told[6], told[5]))
            packed = memoryview(content)[at:]
            plain = decompressed(codec if told.get(7, True) else 0, packed, header[2] - at)
            return page_values(self.column, told[4], plain, present), told[1], filling
        raise Unreadable(f"a page is of a kind that is not read (number {kind})")

    def _look_at_values(self, place: str, found: Values) -> None:
        needles = self.record.needles
        if found.numbers is not None:
            self.record.look_at_numbers(place, found.numbers, self.column.scale)
            return
        candidates = needles.candidates(found.data)
        if candidates and found.texts is not None:
            self.record.look_among(place, found.texts(), candidates)
        if self.column.decimal and found.texts is not None and needles.numbers:
            self._decimals(place, found.texts())

    def _decimals(self, place: str, texts: Texts) -> None:
        """Decimals as bytes: numbers from the greatest byte to the least, filled up in front."""
        for number, needle in self.record.needles.numbers.items():
            digits = number * 10 ** self.column.scale
            for width in {self.column.width} if self.column.kind == FIXED else {digits.bit_length() // 8 + 1}:
                if width and digits.bit_length() < 8 * width:
                    wanted = digits.to_bytes(width, "big")
                    rows = texts.starts[texts.ends - texts.starts == width]
                    every = np.frombuffer(texts.data, np.uint8)
                    count = int((every[rows[:, None] + np.arange(width)] == np.frombuffer(wanted, np.uint8)).all(axis=1).sum()) if len(rows) else 0
                    if count:
                        self.record.hits[place, needle, "number"] += count

    def _filter(self) -> None:
        meta = self.chunk[3]
        header, end = self.source.structure(meta[14])
        bitset, end = self.source.block(end, header[1])
        self._claim(meta[14], end, meta.get(15))
        if [list(header.get(n, {})) for n in (2, 3, 4)] != [[1], [1], [1]] or not len(bitset) or len(bitset) % bloom.BLOCK:
            raise Unreadable("its filter is of a kind that is not read")
        bits = bloom.words(bitset)
        asked = self._asked()
        if not asked:
            return
        values = np.array([value for _, _, value in asked], np.uint64)
        doubtful = np.flatnonzero(bloom.maybe(bits, values)).tolist()
        live = self._live() if doubtful else None
        for n in doubtful:
            if live is None or not bloom.explained(bits, values[n], live):
                self.record.hits[f"bloom filter of {self.where}", asked[n][0], "bloom filter"] += 1

    def _asked(self) -> list[tuple[int, str, np.uint64]]:
        """(needle, representation, hash) of what the filter of such a column is asked."""
        needles = self.record.needles
        if self.column.kind in (BYTE_ARRAY, FIXED):
            return needles.hashes(self.column.width if self.column.kind == FIXED else None)
        return needles.number_hashes(NUMBERS.get(self.column.kind))

    def _live(self) -> np.ndarray:
        """The hashes of every value of the column's pages, dictionary or not."""
        found = []
        for body, header in self.pages:
            content, _ = self.source.block(body, header[3])
            values, _, _ = self._values(header, content)
            found.append(bloom.hashes_of(values.as_texts(self.column)))
        return np.concatenate(found) if found else np.empty(0, np.uint64)
