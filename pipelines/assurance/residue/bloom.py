"""Bloom filters of Parquet: whether one still answers "maybe" for a value that was deleted.

A filter of live values answers "maybe" for one value in a hundred by chance. What a filter keeps of a value are eight bits; where the values
that are still in the column set all eight themselves, the filter tells nothing that the column does not. So a maybe is held against the
column's values, and only what they do not explain is a finding.
"""

from __future__ import annotations

import numpy as np

from pipelines.assurance.residue.encodings import Texts

BLOCK = 32  # bytes: eight words of 32 bits, of which each value sets one bit a word

_P1, _P2, _P3, _P4, _P5 = (np.uint64(p) for p in (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5))
_SALT = np.array([0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D, 0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31], np.uint32)


def hashes(values: np.ndarray) -> np.ndarray:
    """XXH64 with seed 0 of each row: `values` is (n, length) of bytes, the answer (n,) of unsigned 64 bits."""
    count, length = values.shape
    with np.errstate(over="ignore"):
        at = 0
        if length >= 32:
            lanes = [np.full(count, start, np.uint64) for start in (_P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1)]
            while at + 32 <= length:
                lanes = [_round(lane, _words(values, at + 8 * n, 8)) for n, lane in enumerate(lanes)]
                at += 32
            total = sum((_turn(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)), np.zeros(count, np.uint64))
            for lane in lanes:
                total = (total ^ _round(np.zeros(count, np.uint64), lane)) * _P1 + _P4
        else:
            total = np.full(count, _P5, np.uint64)
        total = total + np.uint64(length)
        while at + 8 <= length:
            total = _turn(total ^ _round(np.zeros(count, np.uint64), _words(values, at, 8)), 27) * _P1 + _P4
            at += 8
        if at + 4 <= length:
            total = _turn(total ^ _words(values, at, 4) * _P1, 23) * _P2 + _P3
            at += 4
        while at < length:
            total = _turn(total ^ values[:, at].astype(np.uint64) * _P5, 11) * _P1
            at += 1
        total = (total ^ total >> np.uint64(33)) * _P2
        total = (total ^ total >> np.uint64(29)) * _P3
        return total ^ total >> np.uint64(32)


def hashes_of(texts: Texts) -> np.ndarray:
    """XXH64 of every value, in any order."""
    every, lengths, found = np.frombuffer(texts.data, np.uint8), texts.ends - texts.starts, []
    for length in np.unique(lengths).tolist():
        starts = texts.starts[lengths == length]
        found.append(hashes(every[starts[:, None] + np.arange(length)] if length else np.empty((len(starts), 0), np.uint8)))
    return np.concatenate(found) if found else np.empty(0, np.uint64)


def maybe(bits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether the filter, as (blocks, 8) of 32-bit words, answers "maybe" for each hash."""
    mask = masks(values)
    return ((bits[block_of(bits, values)] & mask) == mask).all(axis=1)


def explained(bits: np.ndarray, value: np.uint64, live: np.ndarray) -> bool:
    """Whether values of the hashes `live` alone set every bit that the filter has for `value`."""
    one = np.array([value], np.uint64)
    neighbours = live[block_of(bits, live) == block_of(bits, one)[0]]
    made = np.bitwise_or.reduce(masks(neighbours), axis=0) if len(neighbours) else np.zeros(8, np.uint32)
    wanted = masks(one)[0]
    return bool(((made & wanted) == wanted).all())


def words(bitset: bytes | memoryview) -> np.ndarray:
    """A filter's bytes as (blocks, 8) of 32-bit words."""
    return np.frombuffer(bitset, "<u4").reshape(-1, 8)


def block_of(bits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The block that each hash falls into."""
    return ((values >> np.uint64(32)) * np.uint64(len(bits)) >> np.uint64(32)).astype(np.int64)


def masks(values: np.ndarray) -> np.ndarray:
    """The bits that each hash sets in its block: (n, 8) of 32-bit words."""
    low = (values & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    with np.errstate(over="ignore"):
        return np.uint32(1) << ((low[:, None] * _SALT[None, :]) >> np.uint32(27))


def _words(values: np.ndarray, at: int, size: int) -> np.ndarray:
    return np.ascontiguousarray(values[:, at:at + size]).view(f"<u{size}").reshape(-1).astype(np.uint64)


def _turn(values: np.ndarray, bits: int) -> np.ndarray:
    return values << np.uint64(bits) | values >> np.uint64(64 - bits)


def _round(lane: np.ndarray, word: np.ndarray) -> np.ndarray:
    return _turn(lane + word * _P2, 31) * _P1
