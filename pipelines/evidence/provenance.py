"""Where each DuckDB file comes from: a file that was deleted from holds the deleted bytes in blocks that it calls free, so none is trusted that was
not written anew after the deletion (C-10.4).

Whoever makes such a file writes down what it is (a digest of its content, or, of one that is written on, of its header, which holds a random word of
its own) and after which entry of the ledger. `evidence/files.jsonl` holds names of stores, numbers and digests, nothing of anybody's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.files import remove, sha256_of
from pipelines.foundation.home import Home

_HEADER = 4096
SPILLED = "spilled-*"
_ANONYMOUS = "zones/frozen/"  # aggregates that outlive their sources (C-10.7): written anew with each day, never deleted from
STORES = ("zones/**/*.duckdb", "marts/*.duckdb")


def made(file: Path, whole: bool) -> None:
    """Write down that `file`, which stands in a home, was made now. `whole`: it is never written to again. A file outside of a home is nobody's
    matter."""
    root = next((folder for folder in file.absolute().parents if (folder / "home.json").is_file()), None)
    if root is None:
        return
    home = Home(root)
    line = json.dumps({"file": _name(home, file), "digest": _digest(file, whole), "whole": whole, "after": ledger.length(home)}, sort_keys=True)
    handle = os.open(_path(home), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "ab") as out:
        cut = out.tell() and os.pread(handle, 1, out.tell() - 1) != b"\n"  # by a disk that was full: it would swallow this line
        out.write(f"{chr(10) if cut else ''}{line}\n".encode())
        out.flush()
        os.fsync(out.fileno())


def latest(home: Home) -> int:
    """After which entry of the ledger a file was made at the latest: a ledger that is shorter is an older copy."""
    return max((record["after"] for record in _records(home)), default=0)


def stores(home: Home) -> list[Path]:
    """The DuckDB files of the home that are there."""
    return sorted(path for pattern in STORES for path in home.root.glob(pattern) if path.is_file())


def check(home: Home, since: int) -> list[tuple[str, bool, str]]:
    """(file, ok, words) for each DuckDB file: it is the one that was made last under its name, after entry `since` of the ledger, and nothing lies
    beside it that its engine has still to take in."""
    known = {record["file"]: record for record in _records(home)}
    return [(_name(home, file), *_judged(home, file, known.get(_name(home, file)), since)) for file in stores(home)]


def holders(home: Home) -> list[int]:
    """Ids of processes of this machine that hold a DuckDB file of the home open that was replaced: its bytes live until they let go."""
    return sorted({process for process, target in _open_files(home) if target.endswith(" (deleted)") and ".duckdb" in target})


def remove_spilled(home: Home) -> list[Path]:
    """Remove what DuckDB wrote beside its memory for processes that ended; returns what others are writing now. It is encrypted under a key that
    nobody but the process has."""
    folders = sorted(home.tmp.glob(SPILLED))
    used = {str(Path(target).parent) for _, target in _open_files(home)} if folders else set()
    for folder in folders:
        if str(folder) not in used and any(folder.iterdir()):  # an empty one may be about to be used
            remove(folder)
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def _open_files(home: Home) -> Iterator[tuple[int, str]]:
    """(process, file below the home) of what is open on this machine, as far as this user may see."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if target.startswith(f"{home.root}/"):
            yield int(link.parts[2]), target


def _judged(home: Home, file: Path, known: dict[str, Any] | None, since: int) -> tuple[bool, str]:
    if file.with_name(f"{file.name}.wal").exists():
        return False, "a write-ahead log lies beside it: it was not closed properly. Run: kampeky retention plan, and apply it"
    if known is None or _digest(file, known["whole"]) != known["digest"]:
        return False, "nobody knows how it was made, and a file that rows were deleted from keeps them. Remove or restore it, then build"
    if known["after"] < since and not _name(home, file).startswith(_ANONYMOUS):
        return False, f"it was made before entry {since} of the ledger, a deletion, and keeps what was deleted then"
    return True, f"made after entry {since} of the ledger"


def _records(home: Home) -> Iterator[dict[str, Any]]:
    if not _path(home).exists():
        return
    for line in _path(home).read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # a crash left it incomplete: then its file is of unknown origin
            continue


def _digest(file: Path, whole: bool) -> str:
    if whole:
        return sha256_of(file)
    with file.open("rb") as content:
        return hashlib.sha256(content.read(_HEADER)).hexdigest()


def _name(home: Home, file: Path) -> str:
    return str(file.absolute().relative_to(home.root.absolute()))


def _path(home: Home) -> Path:
    return home.evidence / "files.jsonl"
