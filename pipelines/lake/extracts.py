"""Rows that somebody took out of a mart, as files in the home's `extracts/`: who made them knows the mart's key alone, so what must be known to end
them in time stands beside each (C-10.4).

An extract is `NAME`, `.NAME.json` (from which publication of which marts, when, until when) and `.NAME.members` (the pseudonyms that may stand
in it, so that it goes, whole, with the first of them). A file without these two belongs to nobody and goes with the next retention run.
Whoever makes one holds the lock shared from before the mart is opened; whoever removes lost ones takes it alone, after the new mart stands.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection, Error, quote_text
from pipelines.foundation.errors import Misuse
from pipelines.foundation.files import put_in_place, remove, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked

LOCK = "extracts"


@dataclass(frozen=True)
class Extract:
    """One extract. `run` is the publication that it was made from, or was last held against; `ends_on` the first day on which it is due, an earlier
    one as soon as the rows of its marts are known to be (C-10.1)."""

    name: str
    purpose: str
    run: str
    marts: tuple[str, ...]
    made_on: date
    ends_on: date


@contextmanager
def extracts_locked(home: Home, why: str, alone: bool) -> Iterator[None]:
    with locked(home, LOCK, why, exclusive=alone):
        yield


def checked_name(name: str) -> str:
    """A file name in `extracts/`: no folder, and none of the names that stand beside an extract."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise Misuse("An extract is named by a file name that begins with no dot, such as active.csv: it is written into the home's extracts/.")
    return name


def keep(home: Home, extract: Extract, write: Callable[[Path], object], members: Callable[[Path], object]) -> Path:
    """Write an extract; what is said beside it is on disk first. One of the same name is replaced."""
    checked_name(extract.name)
    home.extracts.mkdir(mode=0o700, exist_ok=True)
    home.extracts.chmod(0o700)
    beside = [(home.extracts / extract.name, write), (_members(home, extract.name), members)]
    made = []
    try:
        for target, fill in beside:
            part = target.with_name(f".part-{secrets.token_hex(4)}")
            part.touch(0o600)
            made.append((part, target))
            fill(part)
            part.chmod(0o600)
        remove_extract(home, extract.name)
        put_in_place(*made.pop())
        _write_down(home, extract)
        put_in_place(*made.pop())
    finally:
        for part, _ in made:
            remove(part)
    return home.extracts / extract.name


def listed(home: Home) -> list[Extract]:
    """The extracts that are there and known."""
    found = []
    for path in _visible(home):
        try:
            told = json.loads(_about(home, path.name).read_text())
            found.append(Extract(path.name, str(told["purpose"]), str(told["run"]), tuple(map(str, told["marts"])),
                                 date.fromisoformat(told["made_on"]), date.fromisoformat(told["ends_on"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def strays(home: Home) -> list[str]:
    """Names of files of which nothing is known: left by a kill, or put there by hand."""
    known = {extract.name for extract in listed(home) if _members(home, extract.name).is_file()}
    beside = {path.name for name in known for path in (_about(home, name), _members(home, name))}
    return sorted({path.name for path in home.extracts.iterdir()} - known - beside) if home.extracts.is_dir() else []


def holding(connection: Connection, home: Home, extract: Extract, lost: str) -> bool:
    """Whether a pseudonym of the query `lost` may stand in the extract; one of which that cannot be read is taken to hold it."""
    try:
        connection.execute(f"select max(pseudonym) from {members_table(home, extract)}")
    except Error:
        return True
    return connection.execute(f"select 1 from {members_table(home, extract)} where pseudonym in ({lost}) limit 1").fetchone() is not None


def members_table(home: Home, extract: Extract) -> str:
    """SQL: (pseudonym) of who may stand in the extract."""
    return f"(select pseudonym::uuid as pseudonym from read_parquet({quote_text(str(_members(home, extract.name)))}))"


def held_against(home: Home, extract: Extract, run: str, ends_on: date | None) -> None:
    """Write down that an extract holds nobody who is not in publication `run`, and lets it end on `ends_on` if that is earlier."""
    _write_down(home, replace(extract, run=run, ends_on=min(extract.ends_on, ends_on or extract.ends_on)))


def remove_extract(home: Home, name: str) -> None:
    """The rows first: what is left by a kill between holds nobody's."""
    for path in (home.extracts / name, _about(home, name), _members(home, name)):
        remove(path)


def _write_down(home: Home, extract: Extract) -> None:
    told: dict[str, Any] = asdict(extract) | {"made_on": extract.made_on.isoformat(), "ends_on": extract.ends_on.isoformat()}
    write_atomically(_about(home, extract.name), json.dumps(told, sort_keys=True) + "\n")


def _visible(home: Home) -> list[Path]:
    return sorted(p for p in home.extracts.iterdir() if not p.name.startswith(".")) if home.extracts.is_dir() else []


def _about(home: Home, name: str) -> Path:
    return home.extracts / f".{name}.json"


def _members(home: Home, name: str) -> Path:
    return home.extracts / f".{name}.members"
