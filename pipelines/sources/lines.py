"""Text lines as Arrow batches: exact line numbers, any bytes, no parser that could join or swallow a line.

A CSV reader given log lines silently swallows the line after an unclosed quote. Here a line is what stands between two
line feeds, nothing else; what is not UTF-8 stays bytes until SQL says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.sources.files import blocks, uncompressed

if TYPE_CHECKING:
    import pyarrow as pa


def read_lines(path: Path) -> pa.RecordBatchReader:
    """Batches of (_line BIGINT from 1, bytes BLOB) for every line of `path`, compressed or not, without line ends."""
    import pyarrow as pa

    schema = pa.schema([("_line", pa.int64()), ("bytes", pa.large_binary())])
    return pa.RecordBatchReader.from_batches(schema, _batches(path, schema))


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
