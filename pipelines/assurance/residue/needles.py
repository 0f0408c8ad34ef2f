"""What is looked for: identifiers and pseudonyms of whoever was deleted, in every form that they may be written in.

One automaton finds all forms in one pass. It reads bytes with one bit set (0x20), which makes both cases of a letter one; what it proposes is
held against the bytes as they are. A finding names a needle by its place in the list, never by its value.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ahocorasick_rs
import numpy as np

from pipelines.assurance.residue import bloom
from pipelines.assurance.residue.boundaries import stands_alone
from pipelines.assurance.residue.forms import MINIMUM, NUMBER_DIGITS, Form, forms_of, forms_of_bytes, numbers_of

Buffer = bytes | bytearray | memoryview | mmap.mmap

BY_CHANCE = 6  # bytes: in compressed or packed bytes a shorter pattern stands by chance
_PREFIX = 16  # bytes of a form in the automaton: enough to be rare, and few enough for its table to stay small
_CHUNK = 1 << 20  # bytes that are folded at once: they stay in the processor's cache
_LARGE = 200_000  # bytes of all patterns; a table of a full row per state would be too large from there on


class Hit(NamedTuple):
    """A form that stands at [start, end) of what was read."""

    form: Form
    start: int
    end: int


class Needles:
    """What is looked for. It prints as a count."""

    def __init__(self, forms: Sequence[Form], numbers: dict[int, int], wholes: Sequence[tuple[int, str, bytes]], count: int,
                 refused: Sequence[tuple[int, str]], skipped: Sequence[tuple[int, str]]) -> None:
        self.count, self.numbers = count, numbers
        self.refused = tuple(refused)  # (needle, why): not looked for at all, so nothing is clean of it
        self.skipped = tuple(skipped)  # (needle, why): not looked for in one form
        prefixes: dict[bytes, list[Form]] = {}
        for form in forms:
            prefixes.setdefault(_folded(form.pattern[:_PREFIX]).tobytes(), []).append(form)
        self._forms = list(prefixes.values())
        kind = ahocorasick_rs.Implementation.DFA if sum(map(len, prefixes)) < _LARGE else ahocorasick_rs.Implementation.ContiguousNFA
        self._automaton = ahocorasick_rs.BytesAhoCorasick(list(prefixes), implementation=kind) if prefixes else None
        self._hashes = _hashed(wholes)

    def __repr__(self) -> str:
        return f"Needles({self.count})"

    def candidates(self, data: Buffer, least: int = 0) -> list[Hit]:
        """Every form of at least `least` bytes that stands in `data`, whatever stands beside it."""
        if self._automaton is None:
            return []
        view, found = memoryview(data), []
        every = np.frombuffer(view, np.uint8)
        room = np.empty(min(len(every), _CHUNK + _PREFIX), np.uint8)
        for begin in range(0, len(every), _CHUNK):
            part = every[begin:begin + _CHUNK + _PREFIX]
            folded = room[:len(part)]
            np.bitwise_or(part, 0x20, out=folded)
            for which, start, _ in self._automaton.find_matches_as_indexes(folded.data, overlapping=True):
                if start < _CHUNK:  # what begins later is of the next part
                    at = begin + start
                    found += [Hit(form, at, at + len(form.pattern)) for form in self._forms[which]
                              if len(form.pattern) >= least and _is(form, view, at)]
        return found

    def find(self, data: Buffer, least: int = 0) -> list[Hit]:
        """Every form that stands in `data` by itself."""
        view = memoryview(data)
        return [hit for hit in self.candidates(view, least) if stands_alone(hit.form, view, hit.start, hit.end, 0, len(view))]

    def masked(self, text: str) -> str:
        """A name that is shown, such as a file's, without the identifiers that stand in it."""
        shown = bytearray(text.encode())
        for hit in self.candidates(bytes(shown)):
            shown[hit.start:hit.end] = b"*" * (hit.end - hit.start)
        return shown.decode("utf-8", "replace")

    def hashes(self, width: int | None) -> list[tuple[int, str, np.uint64]]:
        """(needle, representation, hash) of each form that a filter of texts may hold; of values of one length only those of it."""
        return [(needle, representation, value) for needle, representation, size, value in self._hashes if width in (None, size)]

    def number_hashes(self, kind: str | None) -> list[tuple[int, str, np.uint64]]:
        """The same for a column of numbers, of NumPy's `kind`."""
        found = []
        for number, needle in self.numbers.items():
            if kind and ("f" in kind or number < 1 << (8 * int(kind[-1]))):
                value = np.array([number], np.uint64).astype(kind)
                found.append((needle, "number", bloom.hashes(value.view(np.uint8).reshape(1, -1))[0]))
        return found

    def number_hits(self, values: np.ndarray, scale: int = 0) -> Iterator[tuple[int, int]]:
        """(needle, count) of numbers among `values`, of an integer or floating type; of decimals by their digits after the point."""
        for number, needle in self.numbers.items():
            wanted = number * 10 ** scale
            if values.dtype.kind == "f":
                count = int(np.count_nonzero(values == float(wanted)))
            elif wanted <= np.iinfo(values.dtype).max:
                count = int(np.count_nonzero(values == values.dtype.type(wanted)))
            elif wanted <= 2 * np.iinfo(values.dtype).max + 1 and values.dtype.kind == "i":  # an unsigned number, kept as a signed one
                unsigned = values.view(f"u{values.dtype.itemsize}")
                count = int(np.count_nonzero(unsigned == unsigned.dtype.type(wanted)))
            else:
                count = 0
            if count:
                yield needle, count


def needles(identifiers: Sequence[str], binaries: Sequence[bytes] = ()) -> Needles:
    """Look for identifiers (needle 0, 1, …) and then binaries: pseudonyms of 16 bytes and keyed hashes of 32, numbered on from there.

    An identifier of fewer than 4 characters, or a binary of fewer than 8 bytes, cannot be told from chance: it is `refused`, and no scan with it
    is clean. A number of fewer than 8 digits is looked for as text only, and listed in `skipped`.
    """
    forms: list[Form] = []
    numbers: dict[int, int] = {}
    refused, skipped = [], []
    for needle, identifier in enumerate(identifiers):
        if len(identifier.strip()) < MINIMUM:
            refused.append((needle, f"an identifier of fewer than {MINIMUM} characters cannot be told from chance"))
            continue
        forms += forms_of(needle, identifier)
        typed, short = numbers_of(identifier)
        numbers |= dict.fromkeys(sorted(typed), needle)
        if short:
            skipped.append((needle, f"as a typed number: it has fewer than {NUMBER_DIGITS} digits"))
    for needle, value in enumerate(binaries, start=len(identifiers)):
        if len(value) < 2 * MINIMUM:
            refused.append((needle, "a binary of fewer than 8 bytes cannot be told from chance"))
            continue
        forms += forms_of_bytes(needle, value)
    wholes = {(form.needle, form.representation, text) for form in forms for text in _as_stored(form, identifiers)}
    return Needles(forms, numbers, sorted(wholes), len(identifiers) + len(binaries), refused, skipped)


def _as_stored(form: Form, identifiers: Sequence[str]) -> Iterator[bytes]:
    """What a filter may hold: whole values, in the spellings that columns have."""
    if form.needle < len(identifiers) and form.representation == "text" and form.edges == "text":
        given = identifiers[form.needle]
        yield form.pattern
        yield from (text.encode() for text in (given, given.strip(), given.upper()))
    elif form.representation in ("raw bytes", "UUID", "hexadecimal") or form.representation.endswith(("raw bytes", "hexadecimal")):
        yield form.pattern


def _hashed(wholes: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str, int, np.uint64]]:
    """(needle, representation, length, hash) of whole values, those of one length at once."""
    sizes: dict[int, list[tuple[int, str, bytes]]] = {}
    for whole in wholes:
        sizes.setdefault(len(whole[2]), []).append(whole)
    return [(needle, representation, size, value) for size, same in sizes.items()
            for (needle, representation, _), value in zip(
                same, bloom.hashes(np.frombuffer(b"".join(text for _, _, text in same), np.uint8).reshape(len(same), size)), strict=True)]


def _folded(pattern: bytes) -> np.ndarray:
    return np.frombuffer(pattern, np.uint8) | np.uint8(0x20)


def _is(form: Form, data: Any, at: int) -> bool:
    piece = bytes(data[at:at + len(form.pattern)])
    return (piece.lower() if form.any_case else piece) == form.pattern
