"""Our own backups: which there are and when the last of them dies (C-10.6).

A backup is `NAME.age` in the home's `backups/`, encrypted under a key of its own (`keys/backup_NAME.key`), with `NAME.json` beside it, which says
when it was made and until when it lives. When its time is over the key is destroyed, then the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home


@dataclass(frozen=True)
class Backup:
    """One backup; `expires_on` is the first day on which it is no more."""

    name: str
    made_at: str
    expires_on: date


def listed(home: Home) -> list[Backup]:
    """The backups that are there, oldest first; one of which nothing is known is an error, for nobody could say when it dies."""
    if not home.backups.is_dir():
        return []
    found = []
    for file in sorted(home.backups.glob("*.age")):
        try:
            told = json.loads(_about(file).read_text())
            found.append(Backup(file.stem, str(told["made_at"]), date.fromisoformat(told["expires_on"])))
        except (OSError, ValueError, KeyError, TypeError):
            raise KampekyError(f"{file} is a backup of which nobody can say when it ends: {_about(file).name} is missing or damaged. Remove both, or "
                               "restore it.") from None
    return sorted(found, key=lambda backup: backup.made_at)


def last_end(home: Home) -> date | None:
    """When the last of the backups that are there is no more; none: there is none."""
    return max((backup.expires_on for backup in listed(home)), default=None)


def _about(file: Path) -> Path:
    return file.with_suffix(".json")
