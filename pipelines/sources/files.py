"""Files as bytes: compression seen through, the form recognised, the content fingerprinted.

A file is known by what is in it, not by its name: the fingerprint is over the decompressed bytes, so the same
content under another name, plain or compressed, is the same file.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pipelines.foundation.errors import KampekyError, Misuse

BLOCK = 16 << 20
BOM = b"\xef\xbb\xbf"
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_NOT_READ = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar", b"\x04\x22\x4d\x18": "lz4"}


def check_readable(path: Path) -> None:
    """One sentence for a file that is not there, is a folder, or may not be read."""
    if not path.exists():
        raise Misuse(f"{path}: there is no such file.")
    if path.is_dir():
        raise Misuse(f"{path} is a folder; name a file, or use --all --from {path}.")
    if not path.is_file():
        raise Misuse(f"{path} is no regular file. Save it to one first: a batch is known by its content, which is read more than once.")
    try:
        with path.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise KampekyError(f"{path} cannot be read: {error.strerror or 'input error'}.") from None
    for start, name in _NOT_READ.items():
        if magic.startswith(start):
            raise Misuse(f"{path} is packed as {name}; files are read plain, as gzip or as zstd. Unpack it first.")


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _PARQUET


def compression_of(path: Path) -> str:
    """'gzip', 'zstd' or 'none', by the first bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
    return "gzip" if magic.startswith(_GZIP) else "zstd" if magic == _ZSTD else "none"


@contextmanager
def uncompressed(path: Path) -> Iterator[BinaryIO]:
    """The bytes of `path`, gzip and zstd seen through; a damaged archive is one sentence."""
    compression = compression_of(path)
    with path.open("rb") as file:
        stream: BinaryIO = file
        if compression == "gzip":
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file))
        elif compression == "zstd":
            import pyarrow as pa

            stream = cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file), "zstd"))
        try:
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error, OSError):
            raise KampekyError(f"{path} is a damaged archive: it ends early or does not decompress. Nothing of it was loaded; "
                               "fetch it again.") from None


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield bytes(block)


def fingerprint(path: Path) -> str:
    """SHA-256 of the decompressed content."""
    digest = hashlib.sha256()
    with uncompressed(path) as stream:
        for block in blocks(stream):
            digest.update(block)
    return digest.hexdigest()


def first_line(path: Path) -> tuple[int, bytes]:
    """(blank lines before it, the first line that is not blank without its end), from the first MiB."""
    lines = first_lines(path)
    return next(((blank, line.rstrip(b"\r")) for blank, line in enumerate(lines) if line.strip()), (0, b""))


def first_lines(path: Path) -> list[bytes]:
    """The lines of the first MiB without a byte order mark; the last one may be cut."""
    with uncompressed(path) as stream:
        return bytes(stream.read(1 << 20)).removeprefix(BOM).split(b"\n")


@contextmanager
def told_as(copy: Path, name: str) -> Iterator[None]:
    """What goes wrong with a copy is told of what it was copied from."""
    try:
        yield
    except KampekyError as error:
        error.args = (str(error).replace(str(copy), name),)
        raise
