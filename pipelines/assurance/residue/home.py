"""Everything below a home held against needles: each lake through its catalog's keys, each DuckDB file by what is alive in it and by where it comes
from, all else by its bytes (C-10.4, C-11.3).

Needles that a record which stays still names (a held one, a household's address) are told apart: they may stand in the raw zone, where that record
is, and nowhere else; what the records of a legal archive hold may stand in that archive (C-10.8). Packages that were sealed for a recipient cannot be
opened here, so that they are known, and whose they are, is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.assurance.residue.controls import PLANTED, controls
from pipelines.assurance.residue.duckdb_live import scan_duckdb
from pipelines.assurance.residue.formats import SEALED
from pipelines.assurance.residue.lake_files import lake_files, subject_files
from pipelines.assurance.residue.needles import Needles, needles
from pipelines.assurance.residue.scan import Finding, Result, Subjectfile, scan
from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.evidence import provenance
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import ARCHIVE, Keyring, archive_key, key_names, mart_key, zone_key
from pipelines.lake import backups
from pipelines.lake.store import ALIAS, Lake, attach, stored_lakes
from pipelines.policy.types import Rulebook

WHY = "verify residue"
RAW = "zones/raw/"


@dataclass(frozen=True)
class Looked:
    """What was looked for: (kind, value) of each, kept out of every text; `standing`: the numbers of those that a record which stays names."""

    values: tuple[tuple[str, str], ...] = field(repr=False)
    binaries: tuple[bytes, ...] = field(default=(), repr=False)
    standing: frozenset[int] = frozenset()
    everywhere: bool = False  # what a legal archive keeps is told as found, too

    def needles(self) -> Needles:
        return needles([value for _, value in self.values], self.binaries)

    def kind(self, needle: int) -> str:
        return self.values[needle][0] if needle < len(self.values) else "pseudonym"


@dataclass(frozen=True)
class Residue:
    """What was read and what it showed. `found`: traces that must not be; `kept`: of records that stay, where they may; `wrong`: what could not be
    read, proved or seen; `pending`: what ends by itself, with when."""

    files: int = 0
    read: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    found: tuple[dict[str, Any], ...] = ()
    kept: int = 0
    wrong: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    controls: int = 0
    too_short: int = 0
    hashed: int = 0  # values of the zones that were compared by their keyed hashes, of too many members to look for each

    @property
    def ok(self) -> bool:
        return not self.found and not self.wrong

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, "files": self.files, "bytes": self.read, "formats": self.formats, "found": list(self.found), "kept": self.kept,
                "wrong": list(self.wrong), "pending": list(self.pending), "controls": self.controls, "too_short": self.too_short,
                "hashed": self.hashed}


def look(home: Home, rulebook: Rulebook, looked: Looked, since: int, sealed: Collection[str] = (), only: Collection[str] = ()) -> Residue:
    """Read every file below the home, under its locks. `since`: the entry of the ledger after which DuckDB files must have been made; `sealed`:
    names of sealed files that are known; `only`: names of files that alone are looked at."""
    wanted = looked.needles()
    with ExitStack() as stack:
        stack.enter_context(locked(home, "residue", WHY))  # alone: what is planted by one would be found by another
        for left in home.tmp.glob(f"{PLANTED}*"):  # by a look that was killed
            remove(left)
        for lock in ("vault", *(lake.lock for lake in stored_lakes(home, rulebook.policy)), backups.LOCK):
            stack.enter_context(locked(home, lock, WHY, exclusive=False))
        seen = controls(home.tmp)
        spilling = {str(path.relative_to(home.root)) for path in provenance.remove_spilled(home)}
        files = [file for file in _files(home, rulebook) if (not only or file.name in only) and file.name not in spilling]
        archived = {} if looked.everywhere or only else _archived(home, rulebook, wanted)
        results = [scan(files, wanted), *(result for file, result in _live(home, rulebook, wanted) if not only or file in only)]
        origins = [one for one in provenance.check(home, since) if not only or one[0] in only]
    blind = [f"{control.place}: a planted value was not seen" for control in seen if not control.seen]
    sealed = [*sealed, *(str(path.relative_to(home.root)) for backup in backups.stock(home).whole for path in backups.files_of(home, backup.name))]
    found, kept = judged(looked, [finding for result in results for finding in result.findings], archived)
    wrong = [*blind, *(f"{one.file}: {one.why}" for result in results for one in (*result.unreadable, *result.unaccounted)),
             *(f"{name}: {why}" for name, ok, why in origins if not ok), *_unproved(results[0], [name for name, *_ in origins], sealed)]
    return Residue(results[0].files, sum(result.read for result in results), dict(results[0].formats), found, kept, tuple(wrong),
                   (*_pending(home), *(f"{name}: a process that is at work spills into it" for name in sorted(spilling))), len(seen),
                   len(wanted.refused))


def lakes_are_whole(home: Home, rulebook: Rulebook) -> list[tuple[str, bool, str]]:
    """(lake, ok, words): its folder holds the files of its catalog's one snapshot and no other, and no file has a row that was deleted. Reads the
    catalogs and the folders, so that it takes no longer where more is kept."""
    found = []
    for lake in _lakes(home, rulebook):
        with locked(home, lake.lock, WHY, exclusive=False):
            connection = engine.connect(home.tmp)
            try:
                attach(connection, lake, write=False)
                meta = f"__ducklake_metadata_{ALIAS}"
                old, deleted, snapshots = connection.execute(
                    f"select (select count(*) from {meta}.ducklake_data_file where end_snapshot is not null), "
                    f"(select count(*) from {meta}.ducklake_delete_file), (select count(*) from {meta}.ducklake_snapshot)").fetchall()[0]
                known = {file.path for file in lake_files(connection, ALIAS, lake.data)}
            finally:
                connection.close()
        there = {path.resolve() for path in lake.data.rglob("*") if path.is_symlink() or not path.is_dir()}
        ok = not old and not deleted and snapshots == 1 and there == known
        found.append((f"zone {lake.name}", ok, f"{len(known):,} data files, each known and whole" if ok else
                      f"{old:,} old files, {deleted:,} files of deletions, {snapshots:,} snapshots, {len(there - known):,} unknown files, "
                      f"{len(known - there):,} missing"))
    return found


def data_files(home: Home, rulebook: Rulebook) -> set[Path]:
    """The files that the catalogs of the lakes name."""
    return {file.path for lake in _lakes(home, rulebook) for file in _asked(home, lake, lambda c, data: lake_files(c, ALIAS, data))}


def _asked(home: Home, lake: Lake, ask: Callable[[Connection, Path], list[Any]]) -> list[Any]:
    connection = engine.connect(home.tmp)
    try:
        attach(connection, lake, write=False)
        return ask(connection, lake.data.resolve())
    finally:
        connection.close()


def _files(home: Home, rulebook: Rulebook) -> Iterator[Subjectfile]:
    """Every file below the home, those of lakes with their keys."""
    known: dict[Path, Subjectfile] = {
        file.path: file for lake in _lakes(home, rulebook) for file in _asked(home, lake, lambda c, data: subject_files(c, ALIAS, data, home.root))}
    root = home.root.resolve()
    there = {path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}
    yield from (known.get(path) or Subjectfile(path, str(path.relative_to(root))) for path in sorted(there | set(known)))


def _lakes(home: Home, rulebook: Rulebook) -> list[Lake]:
    return [lake for lake in stored_lakes(home, rulebook.policy) if lake.catalog.exists() and _opens(home, rulebook, lake.key_name)]


def _opens(home: Home, rulebook: Rulebook, key: str) -> bool:
    """Whether the key is one that the home has to have, or there all the same: that of an archive whose rule is off may be destroyed already, and
    its files are then such that cannot be read."""
    if key in key_names(rulebook.policy):
        return True
    try:
        Keyring(home).get(key)
    except KampekyError:
        return False
    return True


def _archived(home: Home, rulebook: Rulebook, wanted: Needles) -> dict[str, frozenset[int]]:
    """Folder of a legal archive → the needles that stand in its records, in whatever column and form: there they are kept, and nowhere else."""
    found = {}
    for lake in (lake for lake in _lakes(home, rulebook) if lake.name.startswith(f"{ARCHIVE}/")):
        connection = engine.connect(home.tmp)
        try:
            attach(connection, lake, write=False)
            seen = scan_duckdb(connection, ALIAS, wanted, lake.name)
            found[f"zones/{lake.name}/"] = frozenset(finding.needle for finding in seen.findings)
        finally:
            connection.close()
    return found


def _live(home: Home, rulebook: Rulebook, wanted: Needles) -> Iterator[tuple[str, Result]]:
    """What is alive in each DuckDB file that has a place here; one without a place is of unknown origin, and that is told by it."""
    for file in provenance.stores(home):
        name = str(file.absolute().relative_to(home.root.absolute()))
        key = _key(home, rulebook, file)
        connection = engine.connect(home.tmp, extensions=("httpfs",))
        try:
            options = f"read_only, encryption_key {quote_text(key)}" if key else "read_only"
            connection.execute(f"attach {quote_text(str(file))} as live ({options})")
            yield name, scan_duckdb(connection, "live", wanted, name)
        except engine.Error:  # its text could hold the key
            yield name, scan([Subjectfile(file.with_name(f"{file.name}.cannot-be-opened"), f"{name} (not opened)")], wanted, 1)
        finally:
            connection.close()


def _key(home: Home, rulebook: Rulebook, file: Path) -> str | None:
    parts = file.absolute().relative_to(home.root.absolute()).parts
    ring = Keyring(home)
    if parts[0] == "marts":
        purpose = rulebook.policy.purposes.get(file.stem)
        return ring.get(mart_key(file.stem)) if purpose and purpose.published == "encrypted" else None
    if parts[1] in ("raw", "vault"):
        return ring.get(parts[1])
    if parts[1] == ARCHIVE:
        return ring.get(archive_key(parts[2])) if _opens(home, rulebook, archive_key(parts[2])) else None
    return ring.get(zone_key(parts[2])) if parts[1] == "pseudonymised" else None


def judged(looked: Looked, findings: Sequence[Finding], archived: Mapping[str, Collection[int]] | None = None) -> tuple[
        tuple[dict[str, Any], ...], int]:
    """Traces that must not be, and how many of those that may. `archived`: folder of a legal archive → the needles that its records hold."""
    bad, kept = [], 0
    for finding in findings:
        if (finding.needle in looked.standing and finding.file.startswith(RAW)) or any(
                finding.file.startswith(folder) and finding.needle in needles for folder, needles in (archived or {}).items()):
            kept += finding.count
        else:
            bad.append({"file": finding.file, "place": finding.place, "what": looked.kind(finding.needle), "as": finding.representation,
                        "count": finding.count})
    return tuple(bad), kept


def _unproved(result: Result, proved: Collection[str], sealed: Collection[str]) -> Iterator[str]:
    for name, kind in result.elsewhere:
        if kind == SEALED and name not in sealed:
            yield f"{name}: it is sealed for a recipient, and nobody knows who stands in it. Remove it"
        elif kind != SEALED and name not in proved:
            yield f"{name}: a DuckDB file where none belongs: nobody knows what was deleted from it. Remove it"


def _pending(home: Home) -> tuple[str, ...]:
    return tuple(f"process {process} of this machine still has a replaced file open: its bytes live until it ends" for process in
                 provenance.holders(home))


