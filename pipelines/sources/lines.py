"""Text lines as Arrow batches: exact line numbers, any bytes, no parser that could join or swallow a line.

A CSV reader given log lines silently swallows the line after an unclosed quote. Here a line is what stands between two
line feeds, nothing else; what is not UTF-8 stays bytes until SQL says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.sources.files import BOM, blocks, uncompressed

if TYPE_CHECKING:
    import pyarrow as pa

LOST = "bytes::varchar"  # SQL: the text of `bytes` that are not UTF-8, those outside ASCII as \\xE9; a cast to BLOB gives them back


@dataclass(frozen=True)
class Outline:
    """What a text file is, its lines ended by LF or CRLF alike: SHA-256 of the whole and of its first finished line that
    says something ('' if none does), bytes, lines (an unfinished last one counts), and whether the last one is finished."""

    digest: str
    head: str
    size: int
    lines: int
    finished: bool


def outline(path: Path) -> Outline:
    digest, size, lines, last, head = hashlib.sha256(), 0, 0, b"\n", b""
    for block in _with_line_feeds(path):
        digest.update(block)
        size, lines, last = size + len(block), lines + block.count(b"\n"), block[-1:]
        head = head or next((line for line in block[:1 << 20].split(b"\n")[:-1] if line.strip() and not line.startswith(b"#")), b"")
    finished = last == b"\n"
    return Outline(digest.hexdigest(), hashlib.sha256(head).hexdigest() if head else "", size, lines + (not finished), finished)


def digests_at(path: Path, sizes: Iterable[int]) -> dict[int, str]:
    """The digest that `outline` would give a file of the first `size` bytes of this one, for each size that it reaches."""
    digest, done, found = hashlib.sha256(), 0, {}
    ahead = sorted(set(sizes), reverse=True)
    for block in _with_line_feeds(path):
        view, start = memoryview(block), 0
        while ahead and ahead[-1] <= done + len(block):
            end = ahead[-1] - done
            digest.update(view[start:end])
            found[ahead.pop()] = digest.copy().hexdigest()
            start = end
        digest.update(view[start:])
        done += len(block)
    return found


def _with_line_feeds(path: Path) -> Iterator[bytes]:
    """The content without a byte order mark and with CRLF as LF; a CR at its very end is the half of a line end to come."""
    held, mark = b"", BOM
    with uncompressed(path) as stream:
        for block in blocks(stream):
            whole, mark = held + block.removeprefix(mark), b""
            held = b"\r" if whole.endswith(b"\r") else b""
            if text := whole[:len(whole) - len(held)]:
                yield text.replace(b"\r\n", b"\n") if b"\r" in text else text


def read_lines(path: Path, after: int = 0, until: int | None = None) -> pa.RecordBatchReader:
    """Batches of (_line BIGINT from 1, bytes BLOB) for every line of `path` behind line `after`, compressed or not, without line ends.
    No further than line `until`: a server may be writing more of them meanwhile."""
    import pyarrow as pa

    schema = pa.schema([("_line", pa.int64()), ("bytes", pa.large_binary())])
    return pa.RecordBatchReader.from_batches(schema, _between(_batches(path, schema), after, until))


def _between(batches: Iterator[pa.RecordBatch], after: int, until: int | None) -> Iterator[pa.RecordBatch]:
    number = 0
    for batch in batches:
        if until is not None and number >= until:
            return
        end = batch.num_rows if until is None else min(batch.num_rows, until - number)
        if number + end > after:
            start = max(after - number, 0)
            yield batch.slice(start, end - start)
        number += batch.num_rows


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rest, number = b"", 1
    with uncompressed(path) as stream:
        for block in blocks(stream):
            end = block.rfind(b"\n") + 1
            if end == 0:
                rest += block
                continue
            batch = _batch(rest + block[:end], number, schema)
            rest, number = block[end:], number + batch.num_rows
            yield batch
    if rest:
        yield _batch(rest + b"\n", number, schema)


def _batch(text: bytes, number: int, schema: pa.Schema) -> pa.RecordBatch:
    """Lines of `text`, which ends with a line feed; offsets by scanning the buffer in one go, not line by line."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    buffer = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(buffer == 10)
    offsets = np.concatenate(([0], ends + 1)).astype(np.int64)
    whole = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    lines = pc.call_function("binary_slice", [whole], pc.SliceOptions(0, -1))  # without the line feed
    numbers = pa.array(np.arange(number, number + len(ends), dtype=np.int64))
    return pa.RecordBatch.from_arrays([numbers, lines], schema=schema)
