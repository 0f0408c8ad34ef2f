"""Which files of a home belong there: of any other nobody knows what stands in it, and a search by keyed hashes reads no code that it could be
written in (C-10.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pipelines.evidence.provenance import SPILLED
from pipelines.foundation.home import Home
from pipelines.lake import backups, extracts

# where the platform itself writes, below a home; files of lakes, packages, extracts and backups are known one by one
_OWN = ("home.json", "keys/*.key", "locks/*.lock", "evidence/ledger.jsonl", "evidence/ledger.head", "evidence/files.jsonl",
        "evidence/measurements.jsonl", "evidence/plans/*.json", "evidence/canary/*.json", "evidence/certificates/*.json",
        "evidence/certificates/*.html", "marts/*.duckdb", "zones/vault/vault.duckdb", "zones/raw/catalog.duckdb",
        "zones/pseudonymised/*/catalog.duckdb", "zones/pseudonymised/*/published/*.duckdb", "zones/archive/*/catalog.duckdb",
        "zones/frozen/*.duckdb", "history/*")
_AT_WORK = ("build", "tmp")  # of runs: texts of their tools, and what they have not finished


def foreign(home: Home, data: Collection[Path], packages: Collection[str]) -> list[str]:
    """Where files stand that the platform did not make, in words without their names, which may name somebody. `data`: the files of lakes;
    `packages`: the names of those in the outbox that a request or a disclosure made."""
    root = home.root.resolve()
    known = {path.resolve() for path in data} | {home.outbox.resolve() / name for name in packages}
    stock = backups.stock(home)
    known |= {path.resolve() for backup in stock.whole for path in backups.files_of(home, backup.name)}
    strange = set(extracts.strays(home))
    known |= {path.resolve() for path in home.extracts.glob("*") if path.name not in strange} if home.extracts.is_dir() else set()
    found = Counter[str]()
    for path in root.rglob("*"):
        inside = PurePosixPath(path.relative_to(root))
        ours = any(inside.match(pattern) and len(inside.parts) == pattern.count("/") + 1 for pattern in _OWN)
        if (path.is_dir() and not path.is_symlink()) or path in known or ours:
            continue
        if fnmatch(str(inside), f"tmp/{SPILLED}/*"):  # encrypted, under a key that nobody but the process has
            continue
        if inside.parts[0] not in _AT_WORK or not _plain(path):
            found[f"{inside.parent if str(inside.parent) != '.' else 'the home itself'} ({path.suffix or 'no ending'})"] += 1
    return [f"{count:,} in {place}" for place, count in sorted(found.items())]


def _plain(path: Path) -> bool:
    """Whether it is what a run has open or a text: that is read word by word."""
    try:
        with path.open("rb") as content:
            start = content.read(1 << 16)
    except OSError:  # it ended meanwhile
        return True
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(start) - 3  # cut within a letter
    return b"\0" not in start
