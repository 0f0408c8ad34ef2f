"""`kampeky backup`: one consistent copy of stores and evidence, sealed under a key of its own, for as many days as the policy says (C-10.6).

Not in it: keys (whoever holds a copy of the home's keys and a backup has the home), and what is made of the stores or ends within a day: marts,
extracts, packages, histories, builds.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import KampekyError, Refused, Unavailable
from pipelines.foundation.files import put_in_place, sha256_of, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.erased_since import Since
from pipelines.keys.keyring import Keyring
from pipelines.lake import backups, sealing
from pipelines.lake.backups import Backup
from pipelines.lake.store import stored_lakes
from pipelines.policy.types import Rulebook
from pipelines.workflows.rules import rules

WHY = "backup"


def make(home: Home, as_of: datetime, now: datetime | None = None) -> dict[str, Any]:
    """Back up the home; returns {backup, file, expires_on, bytes}. With `now`, one of a time to come is refused: it would live too long. Stopped on
    the way it leaves strays, which the next retention removes, and no backup."""
    rulebook, ring = rules(), Keyring(home.require())
    ring.refuse_role("Backups are made")
    if now and as_of > now:
        raise Refused("A backup is of now or of a day that is over: one of a day to come would live longer than the policy says.", "C-10.6")
    if ring.rotations():
        raise Unavailable(f"New keys of {', '.join(ring.rotations())} are being put in place, and nothing of it can be opened meanwhile. Run: "
                          f"kampeky keys rotate {ring.rotations()[0]}")
    name, (key, recipient) = f"B-{secrets.token_hex(6)}", sealing.new_key()
    with stores_at_rest(home, rulebook):
        write_atomically(backups.key_file(home, name), key + "\n", 0o600)
        part = home.backups / f".{name}.age.part"
        try:
            made = _seal(home, rulebook, part, name, recipient, as_of)
            write_atomically(backups.erased_file(home, name), sealing.seal_text(recipient, Since().text(name)), 0o600)
            # first the ledger: a file that nobody wrote down is never called a backup
            ledger.append(home, backups.MADE, as_of, {"backup": name, "expires_on": made.expires_on.isoformat(), "sha256": made.sha256})
            put_in_place(part, backups.sealed_file(home, name))
            backups.write_about(home, made)
        except Exception:  # what a kill leaves is a stray
            backups.destroy(home, [backups.key_file(home, name), part, backups.erased_file(home, name), backups.sealed_file(home, name)])
            raise
    return {"backup": name, "file": str(backups.sealed_file(home, name)), "expires_on": made.expires_on.isoformat(), "bytes": made.bytes}


@contextmanager
def stores_at_rest(home: Home, rulebook: Rulebook) -> Iterator[None]:
    """No build, no writer of any store, no other backup: in the order in which everybody takes these locks."""
    built = rulebook.policy.built
    with ExitStack() as stack:
        for lock in (*(f"build-{name}" for name in built), "vault", *(lake.lock for lake in stored_lakes(home, rulebook.policy))):
            stack.enter_context(locked(home, lock, WHY, exclusive=False))
        stack.enter_context(locked(home, backups.LOCK, WHY))
        yield


def _seal(home: Home, rulebook: Rulebook, part: Path, name: str, recipient: str, as_of: datetime) -> Backup:
    ends = plus(paris_day(as_of), [rulebook.policy.backups])
    found: list[Backup] = []

    def write(out: IO[bytes]) -> None:
        with ExitStack() as ledger_at_rest:  # until it is copied, so that it fits its head
            ledger_at_rest.enter_context(locked(home, "ledger", WHY))
            entries = ledger.read(home)
            last = entries[-1] if entries else None
            seq, head = (last.seq, last.hash) if last else (0, ledger.START)
            found.append(Backup(name, as_of.isoformat(), ends, "", 0, seq, head, recipient))
            sealing.pack(out, found[0].as_dict(), _files(home, ledger_at_rest.close))

    sealing.seal(recipient, part, write)
    return Backup.read(found[0].as_dict() | {"sha256": sha256_of(part), "bytes": part.stat().st_size})


def _files(home: Home, evidence_done: Callable[[], object]) -> Iterator[tuple[str, IO[bytes], int]]:
    """(name, content, size) of every file of a backup, each as long as it is when its turn comes; the evidence first."""
    yield from _open(home, [home.marker, *_below(home.evidence)])
    evidence_done()
    yield from _open(home, _below(home.root / "zones"))


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _open(home: Home, paths: list[Path]) -> Iterator[tuple[str, IO[bytes], int]]:
    for path in paths:
        name = str(path.relative_to(home.root))
        if path.name.startswith("."):  # what a kill left of a file that was written beside
            continue
        if path.is_symlink() or not path.is_file():
            raise KampekyError(f"{name} is no regular file, so what is behind it cannot be backed up. Put the file itself there, then run: "
                               "kampeky backup")
        with path.open("rb") as content:
            yield name, content, _whole_lines(content) if path.suffix == ".jsonl" else os.fstat(content.fileno()).st_size


def _whole_lines(content: IO[bytes]) -> int:
    """How many bytes stand before the end of the last line: one that is being written is no line yet."""
    data = content.read()
    content.seek(0)
    return data.rfind(b"\n") + 1

