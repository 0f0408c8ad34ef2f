"""Thrift's compact protocol, read without a schema: field numbers and values as they stand, and where they end.

A structure becomes a dictionary {field number: value}, a list a list, a text bytes. Nothing is skipped: fields that nobody knows are read too,
so their texts can be looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

Structure = dict[int, Any]

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(14)
_DEEPEST = 32


class Unreadable(Exception):
    """What stands there is not what the format says; the reason names no value."""


def structure(data: bytes | memoryview, at: int = 0) -> tuple[Structure, int]:
    """The structure that begins at `at`, and where it ends. Raises Unreadable where it is none or is cut off."""
    try:
        return _structure(data, at, 0)
    except (IndexError, struct.error):
        raise Unreadable("a structure is cut off") from None


def texts(value: Any) -> Iterator[bytes]:
    """Every text in it, however deep."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise Unreadable("a number does not end")


def zigzag(number: int) -> int:
    """A signed number out of an unsigned one."""
    return number >> 1 ^ -(number & 1)


def _structure(data: bytes | memoryview, at: int, depth: int) -> tuple[Structure, int]:
    if depth > _DEEPEST:
        raise Unreadable("structures stand in each other too deep")
    found: Structure = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == _STOP:
            return found, at
        kind = head & 0x0F
        if head >> 4:
            number += head >> 4
        else:
            raw, at = varint(data, at)
            number = zigzag(raw)
        if number in found:
            raise Unreadable("a structure has a field twice")
        if kind in (_TRUE, _FALSE):
            found[number] = kind == _TRUE
        else:
            found[number], at = _value(data, at, kind, depth)


def _value(data: bytes | memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_I16, _I32, _I64):
        raw, at = varint(data, at)
        return zigzag(raw), at
    if kind == _BINARY:
        size, at = varint(data, at)
        if at + size > len(data):
            raise Unreadable("a text is cut off")
        return bytes(data[at:at + size]), at + size
    if kind == _STRUCT:
        return _structure(data, at, depth + 1)
    if kind in (_LIST, _SET):
        return _list(data, at, depth)
    if kind == _MAP:
        return _map(data, at, depth)
    if kind in (_BYTE, _TRUE, _FALSE):
        return data[at], at + 1
    if kind == _DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == _UUID:
        return bytes(data[at:at + 16]), at + 16
    raise Unreadable("a field is of a type that Thrift does not have")


def _list(data: bytes | memoryview, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > _DEEPEST:
        raise Unreadable("structures stand in each other too deep")
    head = data[at]
    size, at = (head >> 4, at + 1) if head >> 4 < 15 else varint(data, at + 1)
    if size > len(data) - at:  # every element takes a byte at least
        raise Unreadable("a list is cut off")
    found = []
    for _ in range(size):
        value, at = _value(data, at, head & 0x0F, depth + 1)
        found.append(value)
    return found, at


def _map(data: bytes | memoryview, at: int, depth: int) -> tuple[list[Any], int]:
    size, at = varint(data, at)
    if not size:
        return [], at
    kinds, at, found = data[at], at + 1, []
    if size > len(data) - at:
        raise Unreadable("a map is cut off")
    for _ in range(size):
        for kind in (kinds >> 4, kinds & 0x0F):
            value, at = _value(data, at, kind, depth + 1)
            found.append(value)
    return found, at
