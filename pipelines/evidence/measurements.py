"""What each build measured: one line of JSON per build, kept for good and never rewritten (C-3.3b).

Figures, names of marts and columns, and what these were built from; never a value, a pseudonym or a member. The ledger's entry of the build
carries the SHA-256 of its line, so that a line that was changed afterwards shows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked


def append(home: Home, record: dict[str, Any]) -> str:
    """Write one build's measurements down; returns the SHA-256 of the line. A last line that a crash left incomplete is ended first."""
    line = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    with locked(home, "measurements", "build"):
        handle = os.open(_path(home), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as out:
            if out.seek(0, os.SEEK_END) and (out.seek(-1, os.SEEK_END), out.read(1))[1] != b"\n":
                out.write(b"\n")
            out.write(line + b"\n")
            out.flush()
            os.fsync(out.fileno())
    return hashlib.sha256(line).hexdigest()


def read(home: Home) -> list[dict[str, Any]]:
    """Every build's measurements, oldest first; a line that a crash left incomplete is passed over."""
    return [record for _, record in _lines(home)]


def last(home: Home, purpose: str, run: str | None = None) -> dict[str, Any] | None:
    """The newest measurements of the purpose, or of the build `run` of it."""
    found = [record for record in read(home) if record["purpose"] == purpose and run in (None, record["run"])]
    return found[-1] if found else None


def changed(home: Home, known: Iterable[str]) -> int:
    """How many of the hashes that the ledger knows have no line any more: it was changed or taken out."""
    there = {digest for digest, _ in _lines(home)}
    return sum(digest not in there for digest in known)


def _lines(home: Home) -> list[tuple[str, dict[str, Any]]]:
    if not _path(home).exists():
        return []
    found = []
    for line in _path(home).read_bytes().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict) or not {"purpose", "run", "marts"} <= record.keys():
            raise KampekyError(f"{_path(home)} holds a line that no build wrote. Restore it from a backup.")
        found.append((hashlib.sha256(line).hexdigest(), record))
    return found


def _path(home: Home) -> Path:
    return home.evidence / "measurements.jsonl"
