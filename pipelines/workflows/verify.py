"""`kampeky verify`: checks that prove rather than claim; what cannot be read fails."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.evidence import certificates, ledger
from pipelines.evidence.provenance import latest
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError, Misuse, one_of
from pipelines.foundation.files import sha256_of
from pipelines.foundation.home import Home
from pipelines.identity.erased_since import BEGUN, DONE
from pipelines.identity.vault import opened_vault
from pipelines.ingestion.batches import registered
from pipelines.lake.store import opened, raw_lake
from pipelines.retention.plan import read_plan
from pipelines.rights.certificate import digest
from pipelines.rights.certificate import given as given_certificates
from pipelines.workflows import canary
from pipelines.workflows.completion import COMPLETE
from pipelines.workflows.lineage import proof
from pipelines.workflows.risk import verify_risk
from pipelines.workflows.rules import rules

Found = tuple[str, bool, str]


def verify(home: Home, what: str, of: str | None, at: datetime | None = None, identifiers: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the named check (or `all` that need no file); returns {ok, checks: [{name, ok, detail}]}. `of`: the package, or the purpose; `at`: when;
    `identifiers`: of residue, what to look for."""
    if what == "export":
        if of is None:
            raise Misuse("Name the package to verify: kampeky verify export FILE")
        found = export(Path(of), home)
    elif what == "lineage":
        found = proof(home, rules(), of)
    elif what == "risk":
        found = verify_risk(home.require())
    elif what == "residue":
        found = residue(home.require(), identifiers, at)
    elif what == "canary" and at:
        found = canary.prove(home.require(), rules(), at)
    elif what in ("ledger", "all"):
        found = _ledger(home.require())
        if what == "all" and not _readable(home):
            found.append(("the rest", False, "not checked: nothing can be asked of a ledger that cannot be read"))
        elif what == "all":
            found += [(f"{package.name}: {name}", ok, detail) for package in sorted(home.outbox.glob("R-*.zip"))
                      for name, ok, detail in export(package, home) if not ok or name == "files"]
            found += [(f"lineage: {name}", ok, detail) for name, ok, detail in proof(home, rules())]
            found += [(f"risk: {name}", ok, detail) for name, ok, detail in verify_risk(home)]
            found.append(canary.proof_found(home))
            found += [(f"residue: {name}", ok, detail) for name, ok, detail in residue(home, None, at)]
    else:
        raise one_of("Check", what, ("ledger", "export", "lineage", "canary", "risk", "residue", "all"))
    return {"ok": all(ok for _, ok, _ in found), "checks": [{"name": name, "ok": ok, "detail": detail} for name, ok, detail in found]}


def residue(home: Home, identifiers: Sequence[str] | None, at: datetime | None = None) -> list[Found]:
    """Nothing that was deleted is left: by the tombstones of who was erased, or by what somebody asks for. With `at` an erasure is completed of
    which the last backup is gone (C-10.6), and backups are judged by that day."""
    from pipelines.workflows.completion import complete_erasures
    from pipelines.workflows.residue import by_identifiers, by_tombstones, of_backups

    found = by_tombstones(home, rules()) if identifiers is None else by_identifiers(home, rules(), identifiers)
    if at:
        complete_erasures(home, at)
    return [*found, *of_backups(home, paris_day(at) if at else None)]


def _ledger(home: Home) -> list[Found]:
    """The chain, and what its entries name; where an entry cannot be read the chain says which, and nothing can be asked of the others."""
    chain = ledger.check(home)
    if not _readable(home):
        return chain
    entries = ledger.read(home)
    newest = _older(home, entries) if chain[0][1] else []  # of one that is broken the chain says more
    return [*chain, *newest, *_batches(home, entries), *_certificates(home, entries), *_plans(home)]


def _readable(home: Home) -> bool:
    try:
        ledger.read(home)
    except KampekyError:
        return False
    return True


def _certificates(home: Home, entries: Sequence[ledger.Entry]) -> list[Found]:
    """The certificate of every retention run is there as it was written, says the ledger."""
    told = {entry.facts["certificate"]: entry.facts["certificate_sha256"] for entry in entries
            if entry.act == "retention" and "certificate" in entry.facts}
    wrong = certificates.changed(home, told, {entry.facts["hash"] for entry in entries if entry.act == "retention begun"})
    more = f"; changed, gone or of a run that no entry tells of: {', '.join(wrong)}" if wrong else ""
    return [("certificates", not wrong, f"{len(told)} of retention runs{more}")] if told or wrong else []


def _older(home: Home, entries: Sequence[ledger.Entry]) -> list[Found]:
    """An older copy of the ledger is whole by itself; what was made and certified since tells that it is one."""
    wrong = ["files were made after entries that are not there"] if latest(home) > len(entries) else []
    if home.vault.exists():
        with opened_vault(home, "verify ledger") as connection:
            unnamed = [request for request, told in given_certificates(connection) if not _named(entries, request, told)]
        wrong += [f"{len(unnamed)} certificates of erasures are in the vault that no entry names"] if unnamed else []
    return [("newest", not wrong, "it tells of all that was made and certified" if not wrong else
             f"an older copy was put in its place, or the end was cut off with its head: {'; '.join(wrong)}")]


def _named(entries: Sequence[ledger.Entry], request: str, told: dict[str, Any]) -> bool:
    """Whether an entry names the certificate, or tells of its erasure and will when a run that was killed is finished."""
    acts = {entry.act: entry.facts for entry in entries if entry.facts.get("request") == request}
    if digest(told) in (acts.get(act, {}).get("certificate") for act in (DONE, COMPLETE)):
        return True
    return (BEGUN in acts and DONE not in acts) or (DONE in acts and COMPLETE not in acts and "completed_on" in told)


def _plans(home: Home) -> list[Found]:
    """Every plan that is kept is as it was made."""
    paths = sorted(home.plans.glob("*.json"))
    wrong = [path.name for path in paths if not _is_plan(path)]
    told = f"changed: {', '.join(wrong)}" if wrong else f"{len(paths)} kept, each with the hash of its content"
    return [("plans", not wrong, told)] if paths else []


def _is_plan(path: Path) -> bool:
    try:
        read_plan(path)
    except KampekyError:
        return False
    return True


def _batches(home: Home, entries: Sequence[ledger.Entry]) -> list[Found]:
    """Every batch that the raw zone knows stands in the ledger: a ledger that was removed or made anew does not name them."""
    if not raw_lake(home).catalog.exists():
        return []
    told = {entry.facts.get("batch") for entry in entries}
    with opened(raw_lake(home), "verify") as connection:
        missing = sum(batch.id not in told for batch in registered(connection))
    return [("batches", not missing, f"{missing} batches of the raw zone stand in no entry")]


def export(file: Path, home: Home) -> list[Found]:
    """The package holds exactly the files of its manifest, each with its size and SHA-256, and describes each dataset. The manifest is within
    the package, so whoever changes one can change the other: where there is a home, its ledger must say that this package was made."""
    if not file.is_file():
        raise Misuse(f"{file}: there is no such file.")
    try:
        with zipfile.ZipFile(file) as package:
            manifest = json.loads(package.read("manifest.json"))
            described = {r["path"] for r in json.loads(package.read("datapackage.json"))["resources"]}
            listed = {entry["path"]: entry for entry in manifest["files"]}
            found: list[Found] = []
            names = sorted(package.namelist())  # a name that stands twice is seen: programs differ in which of the two they unpack
            names.remove("manifest.json")
            found.append(("files", sorted(listed) == names, f"{len(names)} files, {len(listed)} in the manifest"))
            for name in names:
                digest = hashlib.sha256()
                with package.open(name) as content:
                    while block := content.read(1 << 20):
                        digest.update(block)
                found.append((name, name in listed and listed[name]["sha256"] == digest.hexdigest(), "SHA-256 as in the manifest"))
            found.append(("datapackage", described == set(names) - {"datapackage.json"}, f"{len(described)} resources described"))
            return [*found, *_made_here(file, home, manifest["request"])]
    # whatever a damaged or foreign zip makes the library raise (an unknown method, a password, no JSON) is the answer no, never a crash
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, KeyError, ValueError, TypeError, EOFError, OSError):
        return [("package", False, "it is damaged, or no package of this platform")]


def _made_here(file: Path, home: Home, request: object) -> list[Found]:
    if not home.marker.exists():
        return []
    told = [entry.facts.get("package_sha256") for entry in ledger.read(home) if entry.act == "request done" and entry.facts.get("request") == request]
    return [("package", told[-1:] == [sha256_of(file)], "the one that was made for its request, says the ledger")]
