"""Parquet's encodings made values: numbers as arrays, texts as one buffer with the offsets of each value.

Every function takes a page's bytes from where its values begin and reads to the page's end. What is left over raises Unreadable: a page holds
its values and nothing else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pipelines.assurance.residue.thrift import Unreadable, varint, zigzag

View = bytes | memoryview

_LENGTH = struct.Struct("<I")
_FILLED = 511  # numbers that a run may be longer than its page


@dataclass(frozen=True)
class Texts:
    """Values of one page: the value n is data[starts[n]:ends[n]]."""

    data: View
    starts: np.ndarray
    ends: np.ndarray


def filled(data: View) -> bool:
    """Whether anything but zeros stands in it."""
    return bool(np.frombuffer(data, np.uint8).any())


def plain_texts(data: View, count: int | None = None) -> Texts:
    """PLAIN byte arrays: each with its length before it, so that one is found only from the one before."""
    starts, at, end, read = [], 0, len(data), _LENGTH.unpack_from
    ends = []
    append_start, append_end = starts.append, ends.append
    while at + 4 <= end:
        size = read(data, at)[0]
        at += 4
        append_start(at)
        at += size
        append_end(at)
    if at != end or (count is not None and len(starts) != count):
        raise Unreadable("a page of texts does not end where its last text does")
    return Texts(data, np.array(starts, np.int64), np.array(ends, np.int64))


def delta_numbers(data: View, at: int = 0) -> tuple[np.ndarray, int]:
    """DELTA_BINARY_PACKED as 64-bit numbers (a 32-bit one wraps as it was written), and where they end."""
    try:
        block, at = varint(data, at)
        minis, at = varint(data, at)
        total, at = varint(data, at)
        first, at = varint(data, at)
        if not minis or block % minis or not block or block // minis % 8 or total > len(data) * block:
            raise Unreadable("differences of numbers are packed in no way that is known")
        per = block // minis
        deltas = np.zeros(-(-max(total - 1, 0) // per) * per, np.uint64)
        packed: dict[int, list[tuple[int, int]]] = {}
        done = 0
        while done < total - 1:
            least, at = varint(data, at)
            widths, at = data[at:at + minis], at + minis
            if len(widths) < minis:
                raise Unreadable("a page of numbers is cut off")
            for width in widths:
                if done >= total - 1:
                    break  # a block that is not full names widths of what is not there
                deltas[done:done + per] = np.uint64(zigzag(least) & 0xFFFFFFFFFFFFFFFF)
                if width:
                    packed.setdefault(width, []).append((done, at))
                at += per * width // 8
                done += per
        if at > len(data):
            raise Unreadable("a page of numbers is cut off")
    except IndexError:
        raise Unreadable("a page of numbers is cut off") from None
    _add_packed(data, deltas, packed, per, total)
    values = np.empty(total, np.uint64)
    if total:
        values[0] = np.uint64(zigzag(first) & 0xFFFFFFFFFFFFFFFF)
        np.add(np.cumsum(deltas[:total - 1], dtype=np.uint64), values[0], out=values[1:])
    return values.view(np.int64), at


def _add_packed(data: View, deltas: np.ndarray, packed: dict[int, list[tuple[int, int]]], per: int, total: int) -> None:
    every = np.frombuffer(data, np.uint8)
    for width, places in packed.items():
        if width > 64:
            raise Unreadable("a number is wider than 64 bits")
        size = per * width // 8
        rows = np.stack([every[at:at + size] for _, at in places])
        bits = np.unpackbits(rows, axis=1, bitorder="little").reshape(len(places), per, width)
        room = np.zeros((len(places), per, -(-width // 8) * 8), np.uint8)
        room[:, :, :width] = bits
        bytes_ = np.zeros((len(places), per, 8), np.uint8)
        bytes_[:, :, :room.shape[2] // 8] = np.packbits(room, axis=2, bitorder="little")
        values = bytes_.view("<u8").reshape(len(places), per)
        for row, (done, _) in enumerate(places):
            deltas[done:done + per] += values[row]
            if done + per > total - 1 and values[row, total - 1 - done:].any():
                raise Unreadable("bytes stand behind the last number of a page")


def delta_length_texts(data: View) -> Texts:
    """DELTA_LENGTH_BYTE_ARRAY: all lengths, then all texts without a gap."""
    lengths, at = delta_numbers(data)
    ends = np.cumsum(lengths)
    if (lengths < 0).any() or int(lengths.sum()) != len(data) - at:
        raise Unreadable("a page of texts does not end where its last text does")
    return Texts(data[at:], ends - lengths, ends)


def delta_texts(data: View) -> Texts:
    """DELTA_BYTE_ARRAY: each text shares its beginning with the one before, so that none stands there whole; they are put together again."""
    shared, at = delta_numbers(data)
    rest = delta_length_texts(data[at:])
    if len(shared) != len(rest.starts):
        raise Unreadable("a page of texts has not as many beginnings as ends")
    before, whole, own = b"", [], bytes(rest.data)
    for size, start, end in zip(shared.tolist(), rest.starts.tolist(), rest.ends.tolist(), strict=True):
        if not 0 <= size <= len(before):
            raise Unreadable("a text shares more than the one before has")
        before = before[:size] + own[start:end]
        whole.append(before)
    ends = np.cumsum(np.array([len(text) for text in whole], np.int64))
    return Texts(b"".join(whole), ends - np.array([len(text) for text in whole], np.int64), ends)


def fixed_texts(data: View, width: int) -> Texts:
    """PLAIN byte arrays of one length."""
    if width <= 0 or len(data) % width:
        raise Unreadable("a page of values of one length does not end with a value")
    starts = np.arange(0, len(data), width, dtype=np.int64)
    return Texts(data, starts, starts + width)


def split_back(data: View, width: int) -> bytes:
    """BYTE_STREAM_SPLIT: the first bytes of all values, then all the second ones, …; put back into values."""
    if width <= 0 or len(data) % width:
        raise Unreadable("a page of values of one length does not end with a value")
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, -1).T).tobytes()


@dataclass(frozen=True)
class Walked:
    """Where runs end, how often the wanted number stands in them, and the bytes behind the last number with which its run was filled up."""

    end: int
    seen: int
    filling: bytes


def hybrid(data: View, at: int, width: int, count: int, wanted: int | None = None) -> Walked:
    """Walk `count` run-length or bit-packed numbers of `width` bits. The last packed run is filled up to a multiple of eight; DuckDB fills up to
    256 with what it packed before, so the filling is given back to be looked at."""
    seen, done, size, filling = 0, 0, (width + 7) // 8, b""
    try:
        while done < count:
            head, at = varint(data, at)
            if head & 1:
                numbers, length = (head >> 1) * 8, (head >> 1) * width
                if wanted is not None:
                    seen += _count_packed(data[at:at + length], width, min(numbers, count - done), wanted)
                if numbers > count - done:
                    filling = bytes(data[at + (count - done) * width // 8:at + length])
                at += length
            else:
                numbers = head >> 1
                value = int.from_bytes(data[at:at + size], "little")
                at += size
                if value == wanted:
                    seen += min(numbers, count - done)
            if not numbers or numbers - (count - done) > _FILLED:
                raise Unreadable("a run is of nothing, or longer than its page")
            done += numbers
    except IndexError:
        raise Unreadable("a page of runs is cut off") from None
    return Walked(min(at, len(data)), seen, filling)  # the last bits of a run that is not full may be left out


def _count_packed(data: View, width: int, count: int, wanted: int) -> int:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:count * width]
    if width == 1:
        ones = int(np.count_nonzero(bits))
        return ones if wanted else len(bits) - ones
    bits = bits[:len(bits) // width * width].reshape(-1, width)
    pattern = np.array([wanted >> n & 1 for n in range(width)], np.uint8)
    return int(np.count_nonzero((bits == pattern).all(axis=1)))
