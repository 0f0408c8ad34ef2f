"""Which reader a file needs, by what stands in it: a name proves nothing.

Two formats are told to the caller and not read here: a DuckDB file, whose blocks prove nothing (what is alive is read by a query, and where the
file comes from is proved elsewhere), and a file sealed with age, which nobody but its recipient opens.
"""

from __future__ import annotations

from collections.abc import Callable

from pipelines.assurance.residue import sqlite_file
from pipelines.assurance.residue.archives import DEEPEST, scan_gzip, scan_tar, scan_zip
from pipelines.assurance.residue.needles import BY_CHANCE, Needles
from pipelines.assurance.residue.parquet_file import ENCRYPTED_MAGIC, PLAIN_MAGIC, Each, scan_parquet
from pipelines.assurance.residue.record import Record
from pipelines.assurance.residue.text_file import scan_text, text_encoding

EMPTY, PARQUET, TEXT, UTF16, SQLITE, SQLITE_LOG, ZIP, GZIP, TAR = "empty", "parquet", "text", "utf-16", "sqlite", "sqlite-log", "zip", "gzip", "tar"
DUCKDB, SEALED, UNKNOWN = "duckdb", "sealed", "unknown"
ELSEWHERE = (DUCKDB, SEALED)  # proved by the caller

_BEGINNINGS = (
    (PARQUET, (PLAIN_MAGIC, ENCRYPTED_MAGIC)),
    (SQLITE, (sqlite_file.MAGIC,)),
    (SQLITE_LOG, (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")),
    (ZIP, (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")),
    (GZIP, (b"\x1f\x8b",)),
    (SEALED, (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")),
)


def format_of(data: memoryview) -> str:
    """The format of a file's content."""
    head = bytes(data[:512])
    if not head:
        return EMPTY
    for name, beginnings in _BEGINNINGS:
        if head.startswith(beginnings):
            return name
    if head[8:12] == b"DUCK":
        return DUCKDB
    if head[257:262] == b"ustar":
        return TAR
    encoding = text_encoding(data)
    if encoding is None:
        return UNKNOWN
    return UTF16 if encoding.startswith("utf-16") else TEXT


def look_into(data: memoryview, needles: Needles, key: str | None = None, each: Each = map, depth: int = 0) -> tuple[str, Record]:
    """The format of a file's content, and what it shows. `key`: base64, of an encrypted Parquet file; `each`: a `map` that may use threads."""
    name = format_of(data)
    record = Record(needles)
    if name == PARQUET:
        record = scan_parquet(data, needles, key, each)
    elif name in (TEXT, UTF16):
        record = scan_text(data, needles, text_encoding(data) or "utf-8")
    elif name == SQLITE:
        record = sqlite_file.scan_sqlite(data, needles)
    elif name == SQLITE_LOG:
        record = sqlite_file.scan_log(data, needles)
    elif name in (ZIP, GZIP, TAR):
        record = _archive(name)(data, needles, lambda content: _within(content, needles, depth + 1))
    elif name == UNKNOWN:
        record.unreadable.append("unknown format")
        record.look("bytes of the file", data)
    elif name in ELSEWHERE:
        record.look("bytes of the file", data, BY_CHANCE)
    return name, record


def _archive(name: str) -> Callable[[memoryview, Needles, Callable[[memoryview], Record]], Record]:
    return {ZIP: scan_zip, GZIP: scan_gzip, TAR: scan_tar}[name]


def _within(content: memoryview, needles: Needles, depth: int) -> Record:
    if depth > DEEPEST:
        record = Record(needles)
        record.unreadable.append("archives stand in each other too deep")
        return record
    name, record = look_into(content, needles, depth=depth)
    if name in ELSEWHERE:
        record.unreadable.append(f"a file of the format '{name}' inside of an archive cannot be proved")
    return record
