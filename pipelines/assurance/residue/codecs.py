"""Compressed pages made plain, to the last byte: what stands behind the end of a compressed stream is a place to hide in."""

from __future__ import annotations

import zlib

import pyarrow as pa

from pipelines.assurance.residue.thrift import Unreadable

UNCOMPRESSED = 0
NAMES = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}

_ZSTD = b"\x28\xb5\x2f\xfd"


def decompressed(codec: int, body: bytes | memoryview, size: int) -> bytes | memoryview:
    """The `size` bytes that a page of that codec (Parquet's number) holds. Raises Unreadable: another codec, damage, or bytes behind the end."""
    if codec == UNCOMPRESSED:
        if len(body) != size:
            raise Unreadable("an uncompressed page is not as long as its header says")
        return body
    if codec not in NAMES:
        raise Unreadable(f"compressed with a codec that is not read (number {codec})")
    if not size:  # an empty page is written as nothing, or as a stream of nothing
        return _empty(codec, body)
    if codec == 2:
        return _gzip(body, size)
    name = NAMES[codec]
    if codec == 6 and zstd_end(body) != len(body):
        raise Unreadable("bytes stand behind the end of a compressed page")
    try:
        plain = memoryview(pa.Codec(name).decompress(pa.py_buffer(body), decompressed_size=size)).cast("B")  # Arrow's bytes have signs
    except (OSError, pa.ArrowException):
        raise Unreadable(f"a page does not decompress ({name})") from None
    if len(plain) != size:
        raise Unreadable("a page is not as long as its header says")
    if codec == 4:
        _refuse_behind(body, size)
    return plain


def _gzip(body: bytes | memoryview, size: int) -> bytes:
    stream = zlib.decompressobj(47)  # gzip or zlib, whichever begins there
    try:
        plain = stream.decompress(body, size + 1)
    except zlib.error:
        raise Unreadable("a page does not decompress (gzip)") from None
    if len(plain) != size or not stream.eof:
        raise Unreadable("a page is not as long as its header says")
    if stream.unused_data:
        raise Unreadable("bytes stand behind the end of a compressed page")
    if body[:2] == b"\x1f\x8b" and body[3]:
        raise Unreadable("a compressed page has a name or a comment of its own")
    return plain


def _empty(codec: int, body: bytes | memoryview) -> bytes:
    if len(body) > 32 or (codec == 2 and body and _gzip(body, 0)):
        raise Unreadable("an empty page holds bytes")
    return b""


def _refuse_behind(body: bytes | memoryview, size: int) -> None:
    """Brotli's decoder says nothing of bytes behind the end: if the stream ends before the last byte, it is whole without it."""
    try:
        shorter = pa.Codec("brotli").decompress(pa.py_buffer(body[:-1]), decompressed_size=size)
    except (OSError, pa.ArrowException):
        return
    if len(memoryview(shorter)) == size:
        raise Unreadable("bytes stand behind the end of a compressed page")


def zstd_end(body: bytes | memoryview) -> int:
    """Where the one frame that begins `body` ends, by its blocks' sizes; the decoder itself passes over frames that hold anything at all."""
    if bytes(body[:4]) != _ZSTD:
        raise Unreadable("a page does not decompress (zstd)")
    try:
        flags = body[4]
        single = flags >> 5 & 1
        at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + (1 if single and not flags >> 6 else (0, 2, 4, 8)[flags >> 6])
        while True:
            head = body[at] | body[at + 1] << 8 | body[at + 2] << 16
            at += 3 + (1 if head >> 1 & 3 == 1 else head >> 3)  # a run of one byte is written as that byte
            if head & 1:
                return at + (4 if flags & 4 else 0)
    except IndexError:
        raise Unreadable("a page does not decompress (zstd)") from None
