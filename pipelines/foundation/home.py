"""The home: one folder that holds every store, and the only place where a path of it is written.

Nothing personal stands outside it. Folders are 0700; whoever creates a file below it sets 0600 (marts: 0640).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import KampekyError, Misuse, Unavailable
from pipelines.foundation.files import write_atomically

FORMAT = 1
DELETION = "deletion"  # the lock of what deletes everywhere: an erasure, or a run of retention
EXPORT = "export"  # the lock of exports under way, and how their folders below `tmp` begin
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Home:
    """Paths under one home. Creating the object touches nothing. `clearing`: for the restore itself, which alone works on a home from which what was
    erased since its backup is still to go."""

    root: Path
    clearing: bool = False

    @property
    def marker(self) -> Path:
        return self.root / "home.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def evidence(self) -> Path:
        return self.root / "evidence"

    @property
    def ledger(self) -> Path:
        return self.evidence / "ledger.jsonl"

    @property
    def plans(self) -> Path:
        return self.evidence / "plans"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def extracts(self) -> Path:
        """Rows that somebody took out of a mart: the only place where they may stand in a file (C-10.4)."""
        return self.root / "extracts"

    @property
    def backups(self) -> Path:
        """Our own copies of the stores, each under a key of its own and for a few days (C-10.6)."""
        return self.root / "backups"

    @property
    def history(self) -> Path:
        """What was typed at the prompt of `sql`, a file per purpose."""
        return self.root / "history"

    @property
    def vault(self) -> Path:
        return self.root / "zones" / "vault" / "vault.duckdb"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def lake(self, name: str) -> Path:
        """Folder of a lake: `raw`, or `pseudonymised/<purpose>`."""
        return self.root / "zones" / name

    def frozen(self, purpose: str) -> Path:
        """Rows of aggregates that outlive their sources (C-10.7)."""
        return self.root / "zones" / "frozen" / f"{purpose}.duckdb"

    def build(self, run: str) -> Path:
        return self.root / "build" / run

    def mart(self, purpose: str) -> Path:
        return self.root / "marts" / f"{purpose}.duckdb"

    def create(self) -> None:
        """Make the folders, 0700, and the marker last: a home without it is not one. A folder that holds something else stays as it is."""
        own = {"keys", "locks", "evidence", "outbox", "extracts", "backups", "history", "tmp", "zones", "build", "marts", self.marker.name}
        if not self.marker.exists() and self.root.exists() and {p.name for p in self.root.iterdir()} - own:
            raise Misuse(f"{self.root} holds other files and is no home. Name an empty or new folder: kampeky init --home FOLDER")
        self._refuse_uncleared()
        for folder in (self.root, self.keys, self.locks, self.evidence, self.plans, self.outbox, self.extracts, self.backups, self.history, self.tmp,
                       self.root / "zones", self.root / "zones" / "vault", self.root / "build", self.root / "marts"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        (self.root / "marts").chmod(0o750)
        if not self.marker.exists():
            write_atomically(self.marker, json.dumps({"format": FORMAT}) + "\n")

    def require(self) -> Home:
        """This home, or one sentence if it was never initialised or is of another format."""
        if not self.marker.is_file():
            raise KampekyError(f"There is no Kampeky home at {self.root}. Make one with: kampeky init --home {self.root}")
        try:
            found = json.loads(self.marker.read_text())["format"]
        except (ValueError, KeyError, TypeError, UnicodeDecodeError):
            raise KampekyError(f"{self.marker} cannot be read. Restore it, or make a new home with: kampeky init") from None
        if found != FORMAT:
            raise KampekyError(f"The home at {self.root} has format {found}; this version reads format {FORMAT}.")
        self._refuse_uncleared()
        return self

    def restored(self) -> dict[str, Any] | None:
        """What a restore that is not finished wrote down about itself: its `stage` is 'placing' or 'clearing'. None: there is none."""
        try:
            told = json.loads(self.marker.read_text())["restored"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return told if isinstance(told, dict) else {"stage": "placing"}

    def mark(self, restored: dict[str, Any] | None) -> None:
        """Write the marker: of a home on which a restore works, or, with None, of one that may be used."""
        write_atomically(self.marker, json.dumps({"format": FORMAT} | ({"restored": restored} if restored else {})) + "\n")

    def _refuse_uncleared(self) -> None:
        """A restored home is used only once what was erased after the backup has gone from it again (C-11.3)."""
        told = None if self.clearing else self.restored()
        if told and told.get("stage") == "clearing":
            raise Unavailable(f"The home at {self.root} was restored, and not yet cleared of what was erased since. Run: kampeky restore --resume "
                              f"--home {self.root}")
        if told:
            raise Unavailable(f"A restore into {self.root} was stopped before all was in place. Run it again: kampeky restore FILE --home "
                              f"{self.root}")


def resolve_home(given: Path | None) -> Home:
    """The home named by an option, else by KAMPEKY_HOME, else ./.kampeky."""
    chosen = given or Path(os.environ.get("KAMPEKY_HOME") or ".kampeky")
    if chosen.exists() and not chosen.is_dir():
        raise Misuse(f"{chosen} is a file; a home is a folder.")
    return Home(chosen.absolute())


def project_folder() -> Path:
    """The checkout that holds data_contracts/ and dbt_project/: KAMPEKY_PROJECT, else the one this package stands in."""
    return Path(os.environ.get("KAMPEKY_PROJECT") or PROJECT)
