"""Which texts may hold an identifier or a contact of somebody, quickly: of millions of paths and pages a few do (C-11.3).

What stands in a text and what does not is for `contacts` to say; nothing that it would take out is passed over here. Texts are looked at as Arrow
has them, one run of bytes for all: identifiers and the marks of an address by one automaton over the bytes; telephone numbers and accounts by one
over the digits, or the letters and digits, that are left when all else is dropped. A text with other letters than ASCII's may always hold some.
"""

from __future__ import annotations

from collections.abc import Iterable

import ahocorasick_rs
import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.retention import contacts

_LEAST = 3  # bytes: what is shorter stands nearly everywhere
_CHUNK = 1 << 20  # bytes that are looked at together: they stay in the processor's cache
_LARGE = 200_000  # bytes of all patterns; a table of a full row per state would be too large from there on
_SMALL = np.uint8(0x20)  # the bit that makes both cases of a letter one; other bytes may become one by it, too, so that more is proposed, never less
_SPACES = " \t\n\v\f\r"
# whatever an address has that is spelled out (contacts): a sign, an opening bracket, the word by itself
_OF_ADDRESS = ("@", "%40", "arobas", "[", "(", "{", "<", *(f"{a}at{b}" for a in _SPACES for b in _SPACES))


class Traces:
    """What is looked for of `people` (person, kind, value). It prints as nothing of theirs."""

    def __init__(self, people: pl.DataFrame) -> None:
        words = contacts.longest_words(people)
        numbers, accounts = contacts.national_numbers(people), contacts.accounts(people)
        self.quick = all(len(word) >= _LEAST and word.isascii() for word in words)  # else nearly every text may hold one
        self._words = _Automaton([*words, *(_OF_ADDRESS if contacts.has_email(people) else ())])
        self._numbers, self._accounts = _Automaton(numbers), _Automaton(accounts)

    def rows(self, texts: pa.StringArray) -> np.ndarray:
        """The places of the texts that may hold one, in order."""
        _, offsets, content = texts.buffers()
        at = np.frombuffer(offsets, np.int32)[texts.offset:texts.offset + len(texts) + 1].astype(np.int64)
        if not len(texts) or content is None or at[0] == at[-1]:
            return np.empty(0, np.int64)
        data, at = np.frombuffer(content, np.uint8)[at[0]:at[-1]], at - at[0]
        found = [_of(at, np.flatnonzero(data > 127)) if data.max() > 127 else np.empty(0, np.int64), self._words.rows(data, at)]
        if self._numbers or self._accounts:
            digit, letter = (data - np.uint8(48)) < 10, ((data | _SMALL) - np.uint8(97)) < 26
            for escaped in np.flatnonzero(data[:-2] == 37):  # %20 and %2B stand between digits, and none of them is one
                if data[escaped + 1] == 50 and data[escaped + 2] in (48, 66, 98):
                    digit[escaped + 1:escaped + 3] = letter[escaped + 2] = False
            streams = ((self._numbers, digit), (self._accounts, digit | letter))
            found += [automaton.rows(*_only(data, kept, at)) for automaton, kept in streams if automaton]
        return np.unique(np.concatenate(found))


class _Automaton:
    """Patterns of ASCII, found in any letter case."""

    def __init__(self, patterns: Iterable[str]) -> None:
        wanted = sorted({bytes(np.frombuffer(pattern.encode(), np.uint8) | _SMALL) for pattern in patterns})
        self._longest = max(map(len, wanted), default=0)
        kind = ahocorasick_rs.Implementation.DFA if sum(map(len, wanted)) < _LARGE else ahocorasick_rs.Implementation.ContiguousNFA
        self._automaton = ahocorasick_rs.BytesAhoCorasick(wanted, implementation=kind) if wanted else None

    def __bool__(self) -> bool:
        return self._automaton is not None

    def rows(self, data: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Of the texts that begin `at` (and end where the next begins) those in which one stands whole."""
        found = [np.empty((0, 2), np.int64)]
        for begin in range(0, len(data) if self._automaton else 0, _CHUNK):
            folded = data[begin:begin + _CHUNK + self._longest] | _SMALL
            hits = self._automaton.find_matches_as_indexes(folded.data, overlapping=True) if self._automaton else []
            if hits:
                found.append(np.array(hits, np.int64)[:, 1:] + begin)
        spans = np.concatenate(found)
        row = _of(at, spans[:, 0])
        return row[spans[:, 1] <= at[row + 1]]


def _of(at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """In which text each place is."""
    return np.searchsorted(at, places, side="right") - 1


def _only(data: np.ndarray, kept: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes that are kept, and where each text begins among them."""
    return data[kept], np.concatenate([[0], np.cumsum(kept.view(np.uint8), dtype=np.int32)])[at]
