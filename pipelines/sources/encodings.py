"""Text in other encodings and with line ends that differ, made plain UTF-8 before anything parses it.

Nothing is guessed: a file is UTF-8 unless it begins with the mark of UTF-16, or the contract says what its files are when they are
not UTF-8. Where two encodings seem to stand in one file it is refused: a wrong guess garbles names for good. A file that needs
none of this is read as it is; else a copy lies under the connection's temporary folder, 0600, until it is read.
"""

from __future__ import annotations

import codecs
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.engines.duckdb_engine import Connection, temporary_folder
from pipelines.foundation.errors import KampekyError
from pipelines.sources.files import blocks, is_parquet, told_as, uncompressed

if TYPE_CHECKING:
    import numpy as np

_UTF16, _UTF32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF8_LETTER = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}")


@contextmanager
def as_utf8(connection: Connection, path: Path, encoding: str | None,
            dialect: Callable[[Path], tuple[bytes, bytes] | None] | None = None) -> Iterator[Path]:
    """A path that holds the text of `path` in UTF-8: itself, or a copy that is gone afterwards. With `dialect` (which tells delimiter and
    quote of a CSV file) a mix of CRLF and LF becomes LF, but for those inside quotes."""
    made: list[Path] = []
    try:
        here, found = path, encoding_of(path, encoding)
        if found:
            here = _copy(connection, made, _decoded(path, found))
        with told_as(here, str(path)):
            marks = dialect(here) if dialect else None
            if marks and mixes_line_ends(here, *marks):
                here = _copy(connection, made, _even(here, *marks))
        with told_as(here, str(path)):
            yield here
    finally:
        for copy in made:
            copy.unlink(missing_ok=True)


def encoding_of(path: Path, declared: str | None) -> str | None:
    """'utf-16', `declared`, or None: UTF-8, or at least nothing else that somebody vouches for."""
    with uncompressed(path) as stream:
        start = bytes(stream.read(4))
    if start in _UTF32:
        raise KampekyError(f"{path} is UTF-32 text. Convert it to UTF-8; nothing of it was loaded.")
    if start.startswith(_UTF16):
        return "utf-16"
    if declared is None or is_parquet(path) or _is_utf8(path):
        return None
    with uncompressed(path) as stream:
        if any(_UTF8_LETTER.search(block) for block in blocks(stream)):
            raise KampekyError(f"{path} holds letters in UTF-8 and others that are not, so no encoding is right for all of it. Convert it to "
                               "UTF-8; nothing of it was loaded.")
    return declared


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with uncompressed(path) as stream:
            for block in blocks(stream):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _copy(connection: Connection, made: list[Path], content: Iterator[bytes]) -> Path:
    path = temporary_folder(connection) / f"text-{secrets.token_hex(8)}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made.append(path)
    with os.fdopen(handle, "wb") as out:
        for block in content:
            out.write(block)
    return path


def _decoded(path: Path, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with uncompressed(path) as stream:
            for block in blocks(stream):
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise KampekyError(f"{path} is no whole text in {encoding.upper()}: some of its bytes mean nothing there. Convert it to UTF-8; nothing of it "
                           "was loaded.") from None


def mixes_line_ends(path: Path, delimiter: bytes, quote: bytes) -> bool:
    """Whether some records end with CRLF and others with LF alone; line ends inside quotes don't count. DuckDB swallows records of such
    a file without a word, if a quote in it strays: that is refused, for nobody can say which line ends are inside quotes."""
    crlf = lf = 0
    with uncompressed(path) as stream:
        before = b""
        for block in blocks(stream):
            crlf, lf = crlf + block.count(b"\r\n") + (before + block[:1] == b"\r\n"), lf + block.count(b"\n")
            before = block[-1:]
    if not 0 < crlf < lf:
        return False
    bare = carriage = strayed = False
    for part in _quoting(path, delimiter, quote):
        bare, carriage, strayed = bare or bool(part.bare.any()), carriage or bool(part.carriage.any()), strayed or part.strayed
    if strayed:
        raise KampekyError(f"{path} mixes line ends (CRLF and LF), and quotes in it stand where no value begins or ends, so nobody can say which of "
                           "them end a record. Give all of its lines the same end; nothing of it was loaded.")
    return bare and carriage


def _even(path: Path, delimiter: bytes, quote: bytes) -> Iterator[bytes]:
    """The content with LF at the end of each record."""
    for part in _quoting(path, delimiter, quote):
        yield part.content[~part.carriage].tobytes()


@dataclass(frozen=True)
class _Part:
    """A stretch of a CSV file: its bytes, which of them are an LF alone and which the CR of a CRLF (outside quotes), and whether a quote
    opens or closes where no value begins or ends."""

    content: np.ndarray
    bare: np.ndarray
    carriage: np.ndarray
    strayed: bool


def _quoting(path: Path, delimiter: bytes, quote: bytes) -> Iterator[_Part]:
    with uncompressed(path) as stream:
        before, inside, held = b"\n", 0, b""
        for block in chain(blocks(stream), (None,)):
            whole = held if block is None else held + block
            held = b"" if block is None else whole[-2:]  # so that what stands behind each byte is known
            text = whole[:len(whole) - len(held)]
            if text or block is None:
                part, inside = _part(before, text, held[:1] or b"\n", inside, delimiter[0], quote[0], block is None)
                yield part
                before = text[-1:] or before


def _part(before: bytes, text: bytes, behind: bytes, inside: int, delimiter: int, quote: int, last: bool) -> tuple[_Part, int]:
    import numpy as np

    around = np.frombuffer(before + text + behind, dtype=np.uint8)
    earlier, here, later = around[:-2], around[1:-1], around[2:]
    mark = here == quote
    quoted = np.bitwise_xor.accumulate(mark.astype(np.uint8)) ^ np.uint8(inside)
    opens, closes = mark & (quoted == 1), mark & (quoted == 0)
    strayed = bool((opens & (earlier != delimiter) & (earlier != 10) & (earlier != quote)).any()
                   or (closes & (later != delimiter) & (later != 10) & (later != 13) & (later != quote)).any())
    newline, carriage = here == 10, (here == 13) & (later == 10)
    end = int(quoted[-1]) if len(quoted) else inside
    return _Part(here, newline & (earlier != 13) & (quoted == 0), carriage & (quoted == 0), strayed or (last and end == 1)), end
