"""`kampeky restore`: a home from a backup, whole or not at all, and never with what was erased since (C-10.6, C-11.3).

Two halves. Placing: everything is unpacked beside and checked before anything is put in place, into an empty folder or over a home whose stores are
lost. Clearing (workflows/clearing.py): until it is done the home refuses every other command.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_text
from pipelines.evidence import ledger
from pipelines.evidence.ledger import Entry
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError, Misuse, Refused, Unavailable
from pipelines.foundation.files import remove, sha256_of, sync, write_atomically
from pipelines.foundation.home import FORMAT, Home
from pipelines.foundation.locks import locked
from pipelines.identity import erased_since
from pipelines.identity.erased_since import Since
from pipelines.keys.keyring import Keyring, key_names
from pipelines.lake import backups, sealing
from pipelines.lake.backups import Backup
from pipelines.lake.store import Lake, archive_lake, explain, purpose_lake, raw_lake
from pipelines.policy.types import Rulebook
from pipelines.workflows.clearing import clear
from pipelines.workflows.rules import rules

WHY = "restore"
STAGE = ".restoring"  # below the home: what is unpacked and not in place yet
_OURS = {"keys", "locks", "evidence", "outbox", "extracts", "backups", "history", "tmp", "zones", "build", "marts", "home.json", STAGE}


@dataclass(frozen=True)
class _Chosen:
    """What is restored, with its key, which is in no text."""

    backup: Backup
    since: Since
    key: str


def restore(home: Home, file: Path, as_of: datetime, key: Path | None = None, keys_of: Home | None = None) -> dict[str, Any]:
    """Restore the backup `file` into `home`, and clear it of what was erased since. `key`: the file of the backup's key; `keys_of`: a home whose keys
    are the restored one's. Returns {backup, home, from_seq, erased, retention, missing}."""
    rulebook = rules()
    Keyring(home).refuse_role("A home is restored")
    _refuse_living(home)
    chosen = _choose(home, file, as_of, key, keys_of)
    ring = Keyring(keys_of or home)
    names = _needed_keys(ring, rulebook)
    fresh = not home.root.exists()
    for folder in (home.root, home.locks):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stage = Home(home.root / STAGE)
    with locked(home, WHY, WHY):
        remove(stage.root)
        try:
            _refuse_living(home)
            stage.root.mkdir(mode=0o700)
            _unpack(chosen, file, stage)
            _check(home, rulebook, chosen, stage, ring, file)
            _bring_in(rulebook, chosen, stage, ring)
        except Exception:
            remove(stage.root)
            if fresh and {path.name for path in home.root.iterdir()} <= {"locks"}:
                remove(home.root)
            raise
        _place(home, chosen, stage, {name: ring.get(name) for name in names} if keys_of else {})
    return resume(home, as_of)


def resume(home: Home, as_of: datetime) -> dict[str, Any]:
    """Clear a restored home of what was erased since, or go on with that."""
    Keyring(home).refuse_role("A home is restored")
    told = home.restored()
    if told is None:
        home.require()
        raise Misuse(f"The home at {home.root} is no restored one that waits for anything. See: kampeky status")
    if told.get("stage") != "clearing":
        home.require()
    done = clear(Home(home.root, clearing=True), rules(), told, as_of)
    return {"backup": told["backup"], "home": str(home.root), "from_seq": told["from_seq"], **done}


def _refuse_living(home: Home) -> None:
    """A home is restored where there is none, or where its stores are lost; never over one that lives, nor into a folder of something else."""
    if not home.root.exists():
        return
    stopped = home.restored()
    if stopped and stopped.get("stage") == "clearing":
        home.require()
    if {path.name for path in home.root.iterdir()} - _OURS:
        raise Refused(f"{home.root} holds other files. Name an empty or new folder, or a home whose stores are lost: kampeky restore FILE --home "
                      "FOLDER", "C-10.6")
    if stopped is None and any(path.is_file() for path in (home.root / "zones").rglob("*")):
        raise Refused(f"The home at {home.root} has stores, and a restore never writes over a living home. Restore into a new folder; if they are "
                      "damaged, move zones/ away first.", "C-10.6")


def _choose(home: Home, file: Path, as_of: datetime, key: Path | None, keys_of: Home | None) -> _Chosen:
    """The backup with its key, if it may be restored: it is what its json says, and it lives."""
    if not file.is_file():
        raise Misuse(f"{file}: there is no such file. A backup is backups/NAME.age, with NAME.json and NAME.erased.age beside it.")
    beside = Home(file.absolute().parent.parent)  # where a file of the same folder would stand if that is a home's backups/
    name = file.name.removesuffix(".age")
    about, since = file.with_name(f"{name}.json"), file.with_name(f"{name}.erased.age")
    for part, what in ((about, "which says until when the backup lives"), (since, "which says what was erased since it was made")):
        if not part.is_file():
            raise Unavailable(f"{part.name} is not beside {file.name}, {what}. Without it nothing is restored: copy the backup's files together "
                              "(C-10.6, C-11.3).")
    try:
        backup = Backup.read(json.loads(about.read_text()))
    except ValueError:
        backup = None
    if backup is None or backup.name != name:
        raise KampekyError(f"{about.name} is damaged or another backup's. Nothing was restored. Take another copy of it, or another backup.")
    if backup.expires_on <= paris_day(as_of):
        raise Refused(f"{file.name} was to be no more from {backup.expires_on.isoformat()} on, and is restored no more. Take a younger backup.",
                      "C-10.6")
    if backup.format != backups.FORMAT:
        raise KampekyError(f"{file.name} has format {backup.format}; this version restores format {backups.FORMAT}.")
    if sha256_of(file) != backup.sha256:
        raise KampekyError(f"{file.name} is not the file that was made: its SHA-256 is another. Nothing was restored. Take another copy or backup.")
    places = [backups.key_file(place, name) for place in (keys_of, home, beside) if place]
    secret = sealing.read_key(key or next((path for path in places if path.is_file()), places[0]))
    return _Chosen(backup, Since.read(sealing.open_text(secret, since.read_bytes(), since.name), name), secret)


def _needed_keys(ring: Keyring, rulebook: Rulebook) -> list[str]:
    """Names of the keys that stand in files; all the home's are there, or one sentence says what is missing."""
    names = key_names(rulebook.policy)
    missing = [name for name in names if ring.origin(name) == "file" and not (ring.home.keys / f"{name}.key").is_file()]
    if missing:
        raise Unavailable(f"Keys of the home are missing in {ring.home.keys}: {', '.join(missing)}. They are in no backup: put your copy of keys/ "
                          "there, or name the home that has them: --keys-of HOME")
    for name in names:
        ring.get(name)
    return [name for name in names if ring.origin(name) == "file"]


def _unpack(chosen: _Chosen, file: Path, stage: Home) -> None:
    def accept(told: dict[str, Any]) -> None:
        try:
            inside = Backup.read(told)
        except ValueError:
            inside = None
        alike = ("name", "made_at", "expires_on", "seq", "head", "recipient", "format")
        if inside is None or [getattr(inside, word) for word in alike] != [getattr(chosen.backup, word) for word in alike]:
            raise KampekyError(f"{chosen.backup.name}.json does not say what the backup itself says: it was changed. Nothing was restored. Take "
                               "another copy of it, or another backup.")

    sealing.unseal(chosen.key, file, lambda plain: sealing.unpack(plain, stage.root, accept))


def _check(home: Home, rulebook: Rulebook, chosen: _Chosen, stage: Home, ring: Keyring, file: Path) -> None:
    """The stage is a home of this format whose ledger is whole and whose stores open with the keys at hand; and no ledger that survives tells of an
    erasure that the backup's files do not know."""
    try:
        found = json.loads(stage.marker.read_text())["format"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != FORMAT:
        raise KampekyError(f"The backup is of a home of format {found}; this version reads format {FORMAT}. Nothing was restored.")
    ((_, whole, why),) = ledger.check(stage)
    entries = ledger.read(stage) if whole else []
    if not whole or (len(entries), entries[-1].hash if entries else ledger.START) != (chosen.backup.seq, chosen.backup.head):
        raise KampekyError(f"The ledger in the backup is not whole ({why}). Nothing was restored. Take another backup.")
    for path, key_name in _stores(stage, rulebook):
        if path.exists():
            _open(path, ring, key_name, stage.root)
    for elsewhere in (home, Home(file.absolute().parent.parent)):
        _refuse_unknown_erasures(elsewhere, chosen, entries, own=elsewhere is home)


def _stores(stage: Home, rulebook: Rulebook) -> list[tuple[Path, str]]:
    lakes: list[Lake] = [raw_lake(stage), *(purpose_lake(stage, name) for name in rulebook.policy.built),
                         *(archive_lake(stage, name) for name in rulebook.policy.archives)]
    return [(stage.vault, "vault"), *((lake.catalog, lake.key_name) for lake in lakes)]


def _open(path: Path, ring: Keyring, key_name: str, tmp: Path) -> None:
    connection = engine.connect(tmp, extensions=("httpfs",))
    try:
        connection.execute(f"attach {quote_text(str(path))} as store (encryption_key {quote_text(ring.get(key_name))}, read_only)")
    except engine.Error as error:
        raise explain(error, path, key_name) from None
    finally:
        connection.close()


def _surviving(place: Home, entries: list[Entry], own: bool) -> list[Entry]:
    """The ledger of `place` if it goes on where the backup's ends, else nothing. That of the home itself is never written over by a shorter or
    another one."""
    stopped = place.restored() if own else None
    if not place.ledger.exists() or (stopped and stopped.get("keeps_ledger") is False):  # judged by the restore that was stopped while it replaced it
        return []
    ((_, whole, why),) = ledger.check(place)
    there = ledger.read(place) if whole else []
    both = min(len(there), len(entries))
    same = whole and [e.hash for e in there[:both]] == [e.hash for e in entries[:both]]
    if own and not same:
        raise Refused(f"{place.ledger} is evidence of another course than the backup's{'' if whole else f', or damaged ({why})'}, and is not written "
                      "over. Move evidence/ away and keep it, then restore again.", "C-11.3")
    return there if same and len(there) > len(entries) else []


def _refuse_unknown_erasures(place: Home, chosen: _Chosen, entries: list[Entry], own: bool) -> None:
    later = _surviving(place, entries, own)[len(entries):]
    told = [entry for entry in later if entry.act == backups.MADE and entry.facts["backup"] == chosen.backup.name]
    if told and told[0].facts["sha256"] != chosen.backup.sha256:
        raise KampekyError("The ledger names another SHA-256 for this backup: the file is not the one that was made. Nothing was restored.")
    done = {entry.facts["request"] for entry in later if entry.act == erased_since.DONE}
    unknown = {entry.facts["request"] for entry in later if entry.act == erased_since.BEGUN} & done - chosen.since.requests
    if unknown:
        raise Refused(f"{len(unknown)} erasures after this backup stand in the ledger and not in {chosen.backup.name}.erased.age, so what they took "
                      f"away would come back. Take the newest copy of that file: {', '.join(sorted(unknown))}", "C-11.3")


def _bring_in(rulebook: Rulebook, chosen: _Chosen, stage: Home, ring: Keyring) -> None:
    """The tombstones of what was erased since, into the vault that is about to be put in place: so there is no moment at which it lacks them."""
    if not stage.vault.exists():
        if chosen.since.tombstones:
            raise KampekyError("The backup holds no vault, and members were erased since. Nothing was restored. Take another backup.")
        return
    connection = engine.connect(stage.root, extensions=("httpfs",))
    try:
        connection.execute(f"attach {quote_text(str(stage.vault))} as vault (encryption_key {quote_text(ring.get('vault'))})")
        from pipelines.identity.vault import TABLES

        connection.execute(TABLES)
        erased_since.bring_in(connection, chosen.since)
        connection.execute("checkpoint vault")
    finally:
        connection.close()


def _place(home: Home, chosen: _Chosen, stage: Home, keys: dict[str, str]) -> None:
    """Everything into place; a kill in between leaves a home that refuses every command but this one, which begins again."""
    told = {"backup": chosen.backup.name, "from_seq": chosen.backup.seq, "token": secrets.token_hex(8)}
    longer = _surviving(home, ledger.read(stage), own=True)
    home.mark(told | {"stage": "placing", "keeps_ledger": bool(longer)})
    for folder in (home.keys, home.evidence, home.plans, home.outbox, home.extracts, home.backups, home.history, home.tmp, home.root / "build",
                   home.root / "marts"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o750 if folder.name == "marts" else 0o700)
    for name, key in keys.items():
        write_atomically(home.keys / f"{name}.key", key + "\n", 0o600)
    for derived in (home.root / "build", home.tmp, *((home.root / "marts").iterdir())):  # of the stores that are lost
        remove(derived)
    for folder in (home.root / "build", home.tmp):
        folder.mkdir(mode=0o700)
    for path in sorted(path for path in stage.evidence.rglob("*") if path.is_file()):
        target = home.evidence / path.relative_to(stage.evidence)
        # a ledger that goes on after the backup stays, and what belongs to it; of where the stores' files come from the backup knows
        if not (longer and target.exists() and target.name != "files.jsonl"):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.replace(path, target)
            sync(target.parent)
    remove(home.root / "zones")
    (stage.root / "zones").mkdir(exist_ok=True, mode=0o700)
    (stage.root / "zones" / "vault").mkdir(exist_ok=True, mode=0o700)
    os.replace(stage.root / "zones", home.root / "zones")
    sync(home.root)
    home.mark(told | {"stage": "clearing"})
    remove(stage.root)
