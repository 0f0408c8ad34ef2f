"""The ledger: one line of JSON per act, each carrying the hash of the line before it.

Nothing that may ever have to be erased stands here: no identifier, no pseudonym, no hash of one. Facts are counts,
names of datasets, rules and purposes, opaque ids, hashes of plans. Appending syncs to disk before it returns.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked

START = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One act as it stands in the ledger; `as_of` is the day or instant for which it was done."""

    seq: int
    act: str
    as_of: str
    facts: dict[str, Any]
    previous: str
    hash: str


def append(home: Home, act: str, as_of: datetime, facts: dict[str, Any]) -> Entry:
    """Write one act down. A last line that a crash left incomplete was never confirmed: it is cut off, and that is written down too."""
    with locked(home, "ledger", act):
        for left in home.evidence.glob(f".{_head(home).name}.*"):  # what a kill left of a new head
            remove(left)
        _refuse_cut_end(home)
        if _cut_incomplete(home.ledger):
            _write(home, "ledger repaired", as_of, {"incomplete_lines_removed": 1})
        return _write(home, act, as_of, facts)


def _write(home: Home, act: str, as_of: datetime, facts: dict[str, Any]) -> Entry:
    last = _last(home.ledger)
    body = {"seq": last.seq + 1 if last else 1, "act": act, "as_of": as_of.isoformat(), "facts": facts, "previous": last.hash if last else START}
    entry = Entry(**body, hash=_digest(body))
    handle = os.open(home.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "ab") as out:
        out.write(_line(entry) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    # how long the ledger is stands beside it, so that lines cut off its end show; one line more than this is a crash in between
    write_atomically(_head(home), json.dumps({"seq": entry.seq, "hash": entry.hash}) + "\n")
    return entry


def _refuse_cut_end(home: Home) -> None:
    """Nothing is written behind an end that was cut off or replaced: it would then look whole again."""
    wrong = _wrong_end(home)
    if wrong:
        raise KampekyError(f"The ledger does not end where ledger.head says ({wrong}). What was done is done, but nothing more is written behind "
                           "such an end. Restore evidence/ledger.jsonl and ledger.head, then run: kampeky verify ledger")


def _wrong_end(home: Home) -> str | None:
    """What is wrong with the ledger's end, by the head beside it: it names the last line, or, after a crash in between, the one before."""
    written = home.ledger.read_bytes() if home.ledger.exists() else b""
    lines = _whole(written).splitlines()
    if not _head(home).exists():
        return "ledger.head is gone, so nothing says how long the ledger is" if lines else None
    try:
        head = json.loads(_head(home).read_text())
        told = (head["seq"], head["hash"])
    except (ValueError, KeyError, TypeError):
        return "ledger.head is not readable, so nothing says how long the ledger is"
    try:
        last = _parse(lines[-1], len(lines)) if lines else None
    except KampekyError as error:
        return f"{error}: it is damaged"
    if last is None or told not in ((last.seq, last.hash), (last.seq - 1, last.previous)):
        return f"{told[0]} entries were written and {len(lines)} are there: the end was cut off or replaced"
    return None


def _head(home: Home) -> Path:
    return home.evidence / "ledger.head"


def _cut_incomplete(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("r+b") as ledger:
        content = ledger.read()
        if content.endswith(b"\n"):
            return False
        ledger.truncate(content.rfind(b"\n") + 1)
        os.fsync(ledger.fileno())
        return True


def read(home: Home) -> list[Entry]:
    """Every entry in order; use `check` to know that they are whole. A last line that is incomplete was never confirmed, and is none: what reads
    first and writes then would never come to cut it off."""
    if not home.ledger.exists():
        return []
    return [_parse(line, number) for number, line in enumerate(_whole(home.ledger.read_bytes()).splitlines(), 1)]


def _whole(content: bytes) -> bytes:
    return content[:content.rfind(b"\n") + 1]


def length(home: Home) -> int:
    """How many entries were written, by the head beside the ledger."""
    try:
        return int(json.loads(_head(home).read_text())["seq"])
    except (OSError, ValueError, KeyError, TypeError):
        return len(read(home))


def check(home: Home) -> list[tuple[str, bool, str]]:
    """(name, ok, detail) for the chain: names the first entry that was edited, cut out or moved."""
    previous, count = START, 0
    try:
        for entry in read(home):
            body = {"seq": entry.seq, "act": entry.act, "as_of": entry.as_of, "facts": entry.facts, "previous": entry.previous}
            if entry.seq != count + 1 or entry.previous != previous:
                return [("chain", False, f"entry {count + 1} does not follow entry {count}: one was cut out, moved or replaced")]
            if entry.hash != _digest(body):
                return [("chain", False, f"entry {entry.seq} was changed after it was written")]
            previous, count = entry.hash, entry.seq
    except KampekyError as error:
        return [("chain", False, str(error))]
    wrong = _wrong_end(home)
    if wrong:
        return [("chain", False, wrong)]
    return [("chain", True, f"{count} entries, each following the one before")]


def _last(path: Path) -> Entry | None:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return _parse(lines[-1], len(lines)) if lines else None


def _parse(line: bytes, number: int) -> Entry:
    try:
        entry = Entry(**json.loads(line))
        if line != _line(entry):  # a word twice, of which only the last would be read
            raise ValueError(number)
        return entry
    except (ValueError, TypeError):
        raise KampekyError(f"entry {number} of the ledger is not readable") from None


def _line(entry: Entry) -> bytes:
    return json.dumps(entry.__dict__, sort_keys=True, ensure_ascii=False).encode()


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
