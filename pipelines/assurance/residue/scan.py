"""Files held against needles: every file read whole, and every reason why one could not be.

A result says what was found, in which file and where in it, by the needle's place in the list. A file that was not read is no clean file, nor is
one whose bytes are not all accounted for, nor one that others must prove until they have.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.assurance.residue.formats import ELSEWHERE, EMPTY, UNKNOWN, look_into
from pipelines.assurance.residue.needles import Needles
from pipelines.assurance.residue.parquet_file import Each
from pipelines.assurance.residue.record import Record


@dataclass(frozen=True)
class Subjectfile:
    """A file to be read. `name`: as it is shown, relative to the home. `key`: base64, of an encrypted Parquet file; without one it is unreadable."""

    path: Path
    name: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Finding:
    """A needle that stands in a file. `place`: in words, such as "dictionary page of column member_id, row group 2"."""

    file: str
    place: str
    needle: int
    representation: str
    count: int


@dataclass(frozen=True)
class Unread:
    """A file, or a part of one, that was not read or whose bytes are not all accounted for."""

    file: str
    why: str


@dataclass(frozen=True)
class Result:
    """What a scan showed. `read`: bytes. `elsewhere`: files of formats that the caller proves, (name, format); their bytes alone prove nothing."""

    files: int
    read: int
    formats: Mapping[str, int]
    findings: tuple[Finding, ...]
    unreadable: tuple[Unread, ...]
    unaccounted: tuple[Unread, ...]
    elsewhere: tuple[tuple[str, str], ...]
    refused: tuple[tuple[int, str], ...]  # needles that were not looked for, and why
    skipped: tuple[tuple[int, str], ...]  # needles that were not looked for in one form, and why

    def clean(self, proved: Collection[str] = ()) -> bool:
        """Whether nothing was found where everything was looked at. `proved`: names of files out of `elsewhere` that the caller proved."""
        return not (self.findings or self.unreadable or self.unaccounted or self.refused) and all(name in proved for name, _ in self.elsewhere)


def scan(files: Iterable[Subjectfile], needles: Needles, workers: int = 2) -> Result:
    """Look for `needles` in every file and its name. Files are mapped and read page by page, on `workers` threads: decompression, decryption and
    the automaton run beside each other. The caller holds the locks that keep the files as they are."""
    total, read = 0, 0
    formats: Counter[str] = Counter()
    findings: list[Finding] = []
    unreadable: list[Unread] = []
    unaccounted: list[Unread] = []
    elsewhere: list[tuple[str, str]] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        each: Each = pool.map if workers > 1 else map
        for file in files:
            total += 1
            name = needles.masked(file.name)
            size, kind, record = _look_into_file(file, needles, each)
            _look_at_name(record, file.name)
            read += size
            formats[kind] += 1
            findings += [Finding(name, *place, count) for place, count in sorted(record.hits.items())]
            unreadable += [Unread(name, why) for why in record.unreadable]
            unaccounted += [Unread(name, why) for why in record.unaccounted]
            if kind in ELSEWHERE:
                elsewhere.append((name, kind))
    return Result(total, read, dict(formats), tuple(findings), tuple(unreadable), tuple(unaccounted), tuple(elsewhere),
                  needles.refused, needles.skipped)


def _look_into_file(file: Subjectfile, needles: Needles, each: Each) -> tuple[int, str, Record]:
    record = Record(needles)
    try:
        if file.path.is_symlink():
            record.look("target of a link", os.fsencode(file.path.readlink()))
            record.unreadable.append("it is a link; what it leads to is not read by this name")
            return 0, UNKNOWN, record
        before = file.path.stat()
        if not stat.S_ISREG(before.st_mode):
            record.unreadable.append("it is no file")
            return 0, UNKNOWN, record
        if not before.st_size:
            return 0, EMPTY, record
        with file.path.open("rb") as handle:
            data = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))  # unmapped when the last view of it is gone
        kind, record = look_into(data, needles, file.key, each)
        size = len(data)
        after = file.path.stat()
        if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
            record.unreadable.append("it was changed while it was read")
        return size, kind, record
    except OSError as error:
        record.unreadable.append(f"it cannot be opened ({type(error).__name__})")
        return 0, UNKNOWN, record
    except Exception as error:  # its text could quote a value
        record.unreadable.append(f"its reader failed ({type(error).__name__})")
        return 0, UNKNOWN, record


def _look_at_name(record: Record, name: str) -> None:
    """A name joins words with signs that are letters elsewhere: export_m000077.csv."""
    hits = record.needles.find(name.encode("utf-8", "surrogateescape"))
    record.add("name of the file", hits or record.needles.find(name.replace("_", " ").encode("utf-8", "surrogateescape")))
