"""Our own backups: which there are, what of them is not whole, and when the last of them dies (C-10.6).

A backup is four files under one opaque name: `backups/NAME.age`, a copy of the stores sealed under a key of its own; `keys/backup_NAME.key`, that
key; `NAME.json`, which says when it was made and until when it lives; and `NAME.erased.age`, sealed under the same key, which says what was erased
since (identity/erased_since.py). A file of one that is not whole is a stray: nobody could say when it dies, so the next retention removes it. The
key is destroyed first; from then on nobody opens what is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove, sync, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys import rotation

LOCK = "backups"  # taken after the locks of all stores and before the ledger's
MADE = "backup"  # the act in the ledger
FORMAT = 1
_NAME = re.compile(r"B-[0-9a-f]{12}")
_KEY = "backup_"


@dataclass(frozen=True)
class Backup:
    """One backup; `expires_on` is the first day on which it is no more, `seq` and `head` the last entry of the ledger that is in it, and its hash."""

    name: str
    made_at: str
    expires_on: date
    sha256: str
    bytes: int
    seq: int
    head: str
    recipient: str
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"expires_on": self.expires_on.isoformat()}

    @classmethod
    def read(cls, told: Any) -> Backup:
        """From what `as_dict` gave; ValueError where it is none."""
        try:
            found = cls(**told | {"expires_on": date.fromisoformat(told["expires_on"])})
            if not _NAME.fullmatch(found.name) or not isinstance(found.seq, int) or not isinstance(found.bytes, int):
                raise ValueError(found.name)
            return found
        except (KeyError, TypeError, AttributeError):
            raise ValueError from None


@dataclass(frozen=True)
class Stock:
    """What stands in `backups/` and among the keys: whole backups, oldest first, and files of none."""

    whole: tuple[Backup, ...]
    strays: tuple[Path, ...]

    def due(self, day: date) -> list[Backup]:
        return [backup for backup in self.whole if backup.expires_on <= day]


def sealed_file(home: Home, name: str) -> Path:
    return home.backups / f"{name}.age"


def about_file(home: Home, name: str) -> Path:
    return home.backups / f"{name}.json"


def erased_file(home: Home, name: str) -> Path:
    return home.backups / f"{name}.erased.age"


def key_file(home: Home, name: str) -> Path:
    return home.keys / f"{_KEY}{name}.key"


def files_of(home: Home, name: str) -> tuple[Path, ...]:
    """The four files of a backup, the key first: in that order they are destroyed."""
    return key_file(home, name), sealed_file(home, name), erased_file(home, name), about_file(home, name)


def stock(home: Home) -> Stock:
    """Everything that is there; one that is being made is none yet, so the caller holds the lock or does not mind."""
    told = {entry.facts["backup"]: entry.facts for entry in ledger.read(home) if entry.act == MADE}
    there = set(_present(home))
    whole = []
    for name in sorted({path.stem for path in there if path.suffix == ".json" and _NAME.fullmatch(path.stem)}):
        backup = _read(home, name)
        facts = told.get(name)  # none where it was made under a ledger that is lost
        if backup and there.issuperset(files_of(home, name)) and (facts is None or _fits(backup, facts)):
            whole.append(backup)
    known = {path for backup in whole for path in files_of(home, backup.name)}
    return Stock(tuple(sorted(whole, key=lambda backup: (backup.made_at, backup.name))), tuple(sorted(there - known)))


def stock_locked(home: Home, why: str) -> Stock:
    """The same once no backup is being made; the caller may hold locks of stores."""
    with locked(home, LOCK, why, exclusive=False):
        return stock(home)


def last_end(home: Home, why: str) -> date | None:
    """When the last of the backups that are there is no more; none: there is none. One that is being made is waited for."""
    return max((backup.expires_on for backup in stock_locked(home, why).whole), default=None)


def positions(home: Home) -> dict[str, int]:
    """Name of a backup → its entry in the ledger. One that is missing was made under a ledger that is lost: before everything that this one tells."""
    return {entry.facts["backup"]: entry.seq for entry in ledger.read(home) if entry.act == MADE}


def left_from_before(home: Home, seq: int) -> list[str]:
    """Names of files that may be a copy made before that entry of the ledger; the caller holds the lock. A
    stray is one too, unless the ledger has it as younger: somebody may still hold its key."""
    at = positions(home)
    return [path.name for path in _present(home) if path.parent == home.backups and ".age" in path.name
            and ".erased." not in path.name and at.get(_name_of(path), 0) < seq]


def wrong(home: Home, day: date | None) -> list[str]:
    """What is wrong with what stands there, a sentence each."""
    found = stock(home)
    remedy = "Run: kampeky retention plan, and apply it"
    return [*(f"{path.name} is of no backup that is whole, so nobody can say when it ends. {remedy}" for path in found.strays),
            *(f"{backup.name} should be no more since {backup.expires_on.isoformat()} (C-10.6). {remedy}" for backup in found.whole
              if day and backup.expires_on <= day)]


def write_about(home: Home, backup: Backup) -> None:
    write_atomically(about_file(home, backup.name), json.dumps(backup.as_dict(), indent=1, sort_keys=True) + "\n")


def destroy_due(home: Home, day: date, why: str) -> list[str]:
    """Destroy what is due on that day and every stray; names of the backups that went. The caller may hold locks of stores."""
    with locked(home, LOCK, why):
        found = stock(home)
        due = found.due(day)
        destroy(home, [*found.strays, *(path for backup in due for path in files_of(home, backup.name))])
        left = stock(home)
    if left.strays or left.due(day):
        raise KampekyError("Backups that are due could not be removed. Remove their files from backups/ and keys/, then run the retention again.")
    return [backup.name for backup in due]


def destroy(home: Home, paths: Iterable[Path]) -> None:
    """Keys first, overwritten before they are removed: a kill in between leaves what nobody opens, and it is a stray."""
    for path in sorted(paths, key=lambda path: (path.parent != home.keys, path.name)):
        if path.parent == home.keys:
            rotation.destroy(path)
        else:
            remove(path)
    if home.backups.is_dir():
        sync(home.backups)


def _present(home: Home) -> Iterator[Path]:
    """Every file that is a backup's or stands where only those do."""
    if home.backups.is_dir():
        yield from sorted(home.backups.iterdir())
    if home.keys.is_dir():
        yield from sorted([*home.keys.glob(f"{_KEY}*"), *home.keys.glob(f".{_KEY}*")])


def _name_of(path: Path) -> str:
    return path.name.lstrip(".").removeprefix(_KEY).partition(".")[0]


def _read(home: Home, name: str) -> Backup | None:
    try:
        found = Backup.read(json.loads(about_file(home, name).read_text()))
        return found if found.name == name and sealed_file(home, name).stat().st_size == found.bytes else None
    except (OSError, ValueError):
        return None


def _fits(backup: Backup, facts: dict[str, Any]) -> bool:
    return (backup.expires_on.isoformat(), backup.sha256) == (facts.get("expires_on"), facts.get("sha256"))
