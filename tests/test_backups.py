"""Backups: one key each, seven days, and nothing that comes back with them (C-10.6, C-11.3).

A small market is backed up, a member is erased, and the stores are lost. What is restored is compared with what was there, value by value; files are
damaged, swapped and made by hand, and processes are killed in the middle.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import house
import pytest
from small_market import Market, at, copy_home, fill_zone, key, new_home, raw, run_retention, stamp, vault, zone, zone_hash

from pipelines.assurance.residue.controls import controls
from pipelines.evidence import ledger
from pipelines.foundation import files
from pipelines.foundation.errors import KampekyError, Misuse, Refused, Unavailable
from pipelines.foundation.home import Home
from pipelines.identity.erased_since import Since
from pipelines.keys.keyring import Keyring, key_names
from pipelines.lake import backups, sealing
from pipelines.retention.scope import DUE_ACCOUNTS
from pipelines.retention.stores import locked_stores
from pipelines.retention.subjects import KNOWN_BY
from pipelines.workflows import backup, clearing, erasure, requests
from pipelines.workflows import restore as restoring
from pipelines.workflows import verify as checks
from pipelines.workflows.completion import complete_erasures
from pipelines.workflows.residue import of_backups
from pipelines.workflows.rules import rules
from pipelines.workflows.status import status

ME, OTHER = "kqxstay-id", "kqxother-id"
LOADED, MADE, ERASED, LOST, ENDS = "2026-03-01", "2026-03-04 02:00", "2026-03-05 12:00", "2026-03-06 09:00", "2026-03-11"
EVERYWHERE = ("members", "consents", "usage_events", "transactions", "forum_posts", "social_links")


def market(home: Home) -> Home:
    """Two members, one of whom has a part everywhere, and a visitor on her device."""
    (Market("b").member(ME, email="kqxstay@exemple.fr", member_name="kqxstayname").member(OTHER)
     .consent(ME, "kqxstay-device", "granted", "2026-02-01", "functional_cookies").sale("t1", ME, OTHER, "2026-02-10")
     .sale("t2", OTHER, "m3", "2026-02-10").event("e", ME, "kqxstay-device", "2026-02-20", "necessary")
     .event("v", None, "kqxstay-device", "2026-02-21", "necessary")
     .event("o", OTHER, "other-device", "2026-02-21", "necessary").post("p1", ME, when="2026-02-10")
     .post("p2", OTHER, when="2026-02-10", body=f"voir {ME} ou kqxstay@exemple.fr").post("p3", ME, "alone", when="2026-02-10")
     .add("social_links", link_id="l1", member_id=ME, provider="google", status="linked", social_id="kqxstay-social",
          linked_at=stamp("2026-01-01"), updated_at=stamp("2026-01-01"))).load(home, LOADED)
    fill_zone(home, "analytics", LOADED)
    return home


@pytest.fixture(scope="module", autouse=True)
def looked_once():
    """The planted values of the proof are looked for once here and not at each erasure (test_residue.py tries them)."""
    with pytest.MonkeyPatch.context() as patch:
        seen = cache(lambda: controls(Path(tempfile.gettempdir())))
        patch.setattr("pipelines.assurance.residue.home.controls", lambda _: seen())
        yield


@pytest.fixture(scope="module")
def backed(tmp_path_factory):
    """A home with one backup; the name of that."""
    home = market(new_home(tmp_path_factory.mktemp("backups") / "home"))
    return home, backup.make(home, at(MADE))["backup"]


@pytest.fixture(scope="module")
def erased(backed, tmp_path_factory):
    """The same, and the member erased afterwards; the request."""
    home = copy_home(backed[0], tmp_path_factory.mktemp("erased") / "home")
    request = requests.open_request(home, "erasure", ME, None, at(ERASED), "opener")["request_id"]
    erasure.approve(home, request, "second person", at(ERASED))
    requests.process(home, request, at(ERASED))
    return home, backed[1], request


def content(home: Home) -> dict:
    """Every dataset's rows, every zone's digest, the vault's rows."""
    rows = {name: raw(home, name) for name in EVERYWHERE}
    told = {table: vault(home, f"select * from db.{table} order by all") for table in ("subjects", "visitors", "requests", "tombstones", "holds")}
    return rows | told | {"zone": zone_hash(home, "analytics")}


def lost(home: Home, folder: Path) -> Home:
    """A copy of the home whose stores are gone."""
    copy = copy_home(home, folder)
    shutil.rmtree(copy.root / "zones")
    return copy


def restore(home: Home, name: str, into: Home, when: str = LOST, **given: object) -> dict:
    return restoring.restore(into, backups.sealed_file(home, name), at(when), **({"keys_of": home} | given))  # ty: ignore[invalid-argument-type]


# --- what a backup is ---


def test_a_restored_home_holds_what_the_backup_had_zone_by_zone_also_if_a_kill_came_between(backed, tmp_path):
    home, name = backed
    new = Home(tmp_path / "new")
    killed(home, name, new, "placing")
    refuses_all(new, "kampeky restore FILE")
    with pytest.raises(Unavailable, match="restore FILE"):
        restoring.resume(new, at(LOST))
    done = restore(home, name, new)
    assert not (new.root / ".restoring").exists()
    assert content(new) == content(home)
    assert done["erased"] is None and done["missing"] == [] and new.restored() is None
    assert {path.name for path in new.keys.iterdir()} == {f"{n}.key" for n in key_names(rules().policy)}, "its own keys, and no backup's"
    whole = home.ledger.read_bytes().splitlines()
    assert new.ledger.read_bytes().splitlines()[:done["from_seq"]] == whole[:done["from_seq"]]
    entry = next(e for e in ledger.read(new) if e.seq == done["from_seq"] + 1)
    assert (entry.act, entry.facts["backup"], entry.facts["from_seq"]) == ("restored", name, done["from_seq"])
    assert ledger.check(new)[0][1] and not [c for c in checks.verify(new, "ledger", None)["checks"] if not c["ok"]]


def test_nothing_in_a_backups_files_can_be_read_and_nobody_else_may_open_them(backed):
    home, name = backed
    key_file, sealed, since, about = backups.files_of(home, name)
    assert [oct(path.stat().st_mode & 0o777) for path in (key_file, sealed, since, about)] == ["0o600"] * 4
    inside = sealed.read_bytes()
    assert not [word for word in (b"kqxstay", b"zones/", b"DUCK", b"PAR1", b"home.json", key(home, "raw").encode()) if word in inside]
    told = json.loads(about.read_text())
    assert set(told) == {"name", "made_at", "expires_on", "sha256", "bytes", "seq", "head", "recipient", "format"}
    assert (told["expires_on"], told["sha256"], told["bytes"]) == (ENDS, files.sha256_of(sealed), len(inside))
    entry = [e for e in ledger.read(home) if e.act == "backup"][-1]
    assert entry.facts == {"backup": name, "expires_on": ENDS, "sha256": told["sha256"]} and entry.seq == told["seq"] + 1


def test_a_backup_holds_stores_and_evidence_and_no_key_mart_extract_or_package(backed, tmp_path):
    home, name = backed
    (home.extracts / "x.csv").write_text("a\n")
    (home.root / "marts" / "x.duckdb").write_text("a\n")
    made = backup.make(home, at(MADE))["backup"]
    sealing.unseal(sealing.read_key(backups.key_file(home, made)), backups.sealed_file(home, made),
                   lambda plain: sealing.unpack(plain, tmp_path / "out", lambda told: None))
    inside = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path.split("/")[0] for path in inside} == {"home.json", "zones", "evidence"}
    assert {"zones/vault/vault.duckdb", "zones/raw/catalog.duckdb", "zones/pseudonymised/analytics/catalog.duckdb",
            "evidence/ledger.jsonl", "evidence/ledger.head"} <= inside
    there = {str(p.relative_to(home.root)) for p in (home.root / "zones").rglob("*") if p.is_file()}
    assert {path for path in inside if path.startswith("zones/")} == there
    for path in (home.extracts / "x.csv", home.root / "marts" / "x.duckdb"):
        path.unlink()
    backups.destroy(home, backups.files_of(home, made))
    assert [b.name for b in backups.stock(home).whole] == [name]


def test_a_backup_of_a_day_to_come_is_refused_for_it_would_live_too_long(backed):
    with pytest.raises(Refused, match="live longer") as refused:
        backup.make(backed[0], at("2026-03-05"), at(MADE))
    assert refused.value.rule == "C-10.6"


def test_who_has_a_role_file_neither_backs_up_nor_restores(backed, tmp_path, monkeypatch):
    home, name = backed
    (tmp_path / "role").write_text(json.dumps({"role": "compliance", "keys": {"vault": key(home, "vault"), "raw": key(home, "raw")}}))
    (tmp_path / "role").chmod(0o600)
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "role"))
    for act in (lambda: backup.make(home, at(MADE)), lambda: restore(home, name, Home(tmp_path / "new")),
                lambda: restoring.resume(Home(tmp_path / "new"), at(LOST))):
        with pytest.raises(Refused, match="by whoever keeps the home"):
            act()
    assert not (tmp_path / "new").exists() and [b.name for b in backups.stock(home).whole] == [name]


# --- its end ---


def test_a_backup_ends_on_its_day_key_and_file_and_younger_ones_stay_and_the_erasure_is_complete_then(erased, tmp_path):
    home, first, request = copy_home(erased[0], tmp_path / "home"), *erased[1:]
    second = backup.make(home, at("2026-03-06 02:00"))["backup"]
    told = erasure.certificate_of(home, request)[0]
    assert (told["last_backup_ends"], told["complete"]) == (ENDS, False)
    stray = home.backups / ".B-0123456789ab.age.part"
    stray.write_bytes(b"x")
    (home.keys / "backup_B-0123456789ab.key").write_text("k")
    run_retention(home, "2026-03-10")
    assert {b.name for b in backups.stock(home).whole} == {first, second} and not stray.exists()
    assert requests.show(home, request, at("2026-03-10"))["state"] == "done"
    assert erasure.certificate_of(home, request)[0] == told, "nothing is complete while a backup lives in which she is"
    done = run_retention(home, ENDS)
    assert [r["due"] for r in done["datasets"] if r["zone"] == "backups"] == [1] and done["erasures_completed"] == [request]
    assert not [path for path in backups.files_of(home, first) if path.exists()]
    assert all(path.exists() for path in backups.files_of(home, second)), "a younger one, made after the erasure, lives on"
    now, page = erasure.certificate_of(home, request)
    assert now == told | {"complete": True, "completed_on": ENDS} and "The erasure is complete" in page
    (entry,) = [e for e in ledger.read(home) if e.act == "erasure complete"]
    assert entry.facts == {"request": request, "certificate": erasure.certificate.digest(now)}
    assert complete_erasures(home, at("2026-03-12")) == [], "once"


def test_an_expired_backup_is_not_restored_even_before_the_retention_run(backed, tmp_path):
    for day, allowed in (("2026-03-10", True), (ENDS, False), ("2026-03-12", False)):
        chosen = lambda day=day: restoring._choose(Home(tmp_path), backups.sealed_file(*backed), at(day), None, backed[0])  # noqa: E731
        if allowed:
            assert chosen().backup.name == backed[1]
        else:
            with pytest.raises(Refused, match="restored no more") as refused:
                chosen()
            assert refused.value.rule == "C-10.6"


def test_a_key_is_overwritten_before_it_goes_and_the_file_after_it(backed, tmp_path, monkeypatch):
    home, order = copy_home(backed[0], tmp_path / "home"), []
    monkeypatch.setattr(backups.rotation, "destroy", lambda path: (order.append(path.suffix), path.unlink()))
    monkeypatch.setattr(backups, "remove", lambda path: (order.append(path.suffix), path.unlink()))
    assert backups.destroy_due(home, at(ENDS).date(), "test") == [backed[1]]
    assert order[0] == ".key" and sorted(order) == [".age", ".age", ".json", ".key"]


@pytest.mark.parametrize("which", range(4), ids=["key", "file", "erased", "json"])
def test_what_is_not_whole_is_told_counts_as_wrong_and_goes_with_the_next_retention(backed, tmp_path, which):
    home, name = copy_home(backed[0], tmp_path / "home"), backed[1]
    assert status(home, at(LOST))["backups_wrong"] == [] and of_backups(home, at(LOST).date())[0][1]
    backups.files_of(home, name)[which].unlink()
    told = status(home, at(LOST))
    assert told["backups"] == [] and len(told["backups_wrong"]) == 3 and not of_backups(home, at(LOST).date())[0][1]
    later = len(ledger.read(home)) + 1
    assert backups.left_from_before(home, later) == ([] if which == 1 else [f"{name}.age"]), "a later erasure is not complete beside it"
    backups.destroy_due(home, at(LOST).date(), "test")
    assert list(home.backups.iterdir()) == [] and not list(home.keys.glob("*backup*")) and (home.keys / "raw.key").exists()


@pytest.mark.parametrize(("change", "says"), [
    (lambda told: told | {"expires_on": "2026-04-11"}, "of no backup that is whole"),
    (lambda told: told | {"bytes": 5}, "of no backup that is whole"),
    (lambda told: "[]", "of no backup that is whole"),
], ids=["a longer life", "another size", "no record"])
def test_a_changed_json_makes_a_backup_a_stray(backed, tmp_path, change, says):
    home, name = copy_home(backed[0], tmp_path / "home"), backed[1]
    about = backups.about_file(home, name)
    about.write_text(json.dumps(change(json.loads(about.read_text()))))
    assert backups.wrong(home, None) and all(says in sentence for sentence in backups.wrong(home, None))


def test_status_and_residue_tell_which_backups_live_and_when_the_last_one_ends(backed):
    home, name = backed
    (told,) = status(home, at(LOST))["backups"]
    assert (told["backup"], told["made_at"], told["expires_on"]) == (name, at(MADE).isoformat(), ENDS)
    assert of_backups(home, at(LOST).date()) == [("backups", True, f"1 sealed, each with its key; the last one ends on {ENDS}")]
    ((_, ok, detail),) = of_backups(home, at(ENDS).date())
    assert not ok and f"should be no more since {ENDS}" in detail
    found = {c["name"]: c for c in checks.verify(home, "residue", None, at(LOST))["checks"]}
    assert found["files"]["ok"] and "2 sealed" in found["files"]["detail"] and found["backups"]["ok"]


# --- nothing that was erased comes back ---


def zone_of_both(backed: tuple[Home, str]) -> list[tuple]:
    rows = zone(backed[0], "analytics", "members")
    assert len(rows) == 2
    return rows


def test_what_was_erased_after_the_backup_is_gone_again_from_a_home_whose_stores_were_lost(erased, backed, tmp_path):
    before, name, _ = erased
    home = lost(before, tmp_path / "home")
    entries = len(ledger.read(home))
    done = restore(home, name, home, keys_of=None)
    assert done["erased"] and done["missing"] == []
    assert not [text for _, text in house.everything(home.root) if "kqxstay" in text]
    for dataset in EVERYWHERE:
        assert raw(home, dataset) == raw(before, dataset), f"{dataset} is as the erasure left it"
    assert vault(home, "select kind, hash, erased_at, expires_on from db.tombstones order by all") == vault(
        before, "select kind, hash, erased_at, expires_on from db.tombstones order by all")
    assert zone(home, "analytics", "members") == zone(before, "analytics", "members") != zone_of_both(backed)
    assert vault(home, "select member_id from db.subjects") == vault(before, "select member_id from db.subjects") != []
    told = ledger.read(home)
    assert [e.hash for e in told[:entries]] == [e.hash for e in ledger.read(before)], "the longer ledger, which survived, goes on"
    assert [e.act for e in told[entries:entries + 2]] == ["restored", "erasure begun"] and ledger.check(home)[0][1]
    certificate = erasure.certificate_of(home, done["erased"])[0]
    assert certificate["residue"]["ok"] and certificate["subjects"] == 1 and certificate["last_backup_ends"] == ENDS
    assert status(home, at(LOST))["erasures"] == [] and status(home, at(LOST))["unfinished"] == []
    found = checks.verify(home, "residue", None, at(LOST))
    assert found["ok"], found
    assert "vault.restored" not in {row[0] for row in vault(home, "select table_schema || '.' || table_name from information_schema.tables")}
    with pytest.raises(Refused, match="never writes over a living home"):
        restore(home, name, home, keys_of=None)


def test_the_file_beside_a_backup_says_what_was_erased_and_dies_with_its_key(erased, backed):
    home, name, request = erased
    secret = sealing.read_key(backups.key_file(home, name))
    since = Since.read(sealing.open_text(secret, backups.erased_file(home, name).read_bytes(), "it"), name)
    assert since.requests == {request}
    assert {(kind, hashed) for kind, hashed, _, _ in since.tombstones} == set(vault(home, "select kind, hash::varchar from db.tombstones"))
    assert b"kqxstay" not in backups.erased_file(home, name).read_bytes()
    empty = sealing.open_text(secret, backups.erased_file(backed[0], name).read_bytes(), "it")
    assert Since.read(empty, name) == Since()


def test_a_copy_of_that_file_from_before_an_erasure_is_refused_where_a_ledger_tells_of_it(erased, backed, tmp_path):
    home, name, request = erased
    copy = lost(home, tmp_path / "home")
    shutil.copy(backups.erased_file(backed[0], name), backups.erased_file(copy, name))
    before = copy.ledger.read_bytes()
    for into in (copy, Home(tmp_path / "new")):
        with pytest.raises(Refused, match=request) as refused:
            restore(copy, name, into)
        assert refused.value.rule == "C-11.3"
    assert copy.ledger.read_bytes() == before and not (copy.root / "zones").exists() and not (tmp_path / "new").exists()


# --- what is refused before anything is put in place ---


def test_a_living_home_and_a_folder_of_something_else_are_left_alone(backed, tmp_path):
    home, name = backed
    copy = copy_home(home, tmp_path / "home")
    with pytest.raises(Refused, match="never writes over a living home"):
        restore(home, name, copy)
    assert content(copy) == content(home)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(Refused, match="holds other files"):
        restore(home, name, Home(tmp_path / "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_evidence_of_another_course_is_not_written_over(backed, tmp_path):
    home, name = backed
    other = new_home(tmp_path / "other")
    for n in range(12):
        ledger.append(other, "role file written", at(MADE), {"n": n})
    before = other.ledger.read_bytes()
    with pytest.raises(Refused, match="another course"):
        restore(home, name, other)
    assert other.ledger.read_bytes() == before and not any(path.is_file() for path in (other.root / "zones").rglob("*"))


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _rehash(home: Home, name: str, **changed: object) -> None:
    sealed, about = backups.sealed_file(home, name), backups.about_file(home, name)
    told = json.loads(about.read_text()) | {"sha256": files.sha256_of(sealed), "bytes": sealed.stat().st_size} | changed
    about.write_text(json.dumps(told))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100_000])


@pytest.mark.parametrize(("change", "error", "says"), [
    (lambda h, n: _flipped(backups.sealed_file(h, n)), KampekyError, "its SHA-256 is another"),
    (lambda h, n: (_flipped(backups.sealed_file(h, n)), _rehash(h, n)), KampekyError, "the file is damaged"),
    (lambda h, n: (_cut(backups.sealed_file(h, n)), _rehash(h, n)), KampekyError, "the file is damaged"),
    (lambda h, n: _rehash(h, n, expires_on="2026-05-01"), KampekyError, "does not say what the backup itself says"),
    (lambda h, n: _rehash(h, n, seq=1), KampekyError, "does not say what the backup itself says"),
    (lambda h, n: _rehash(h, n, format=2), KampekyError, "has format 2"),
    (lambda h, n: backups.about_file(h, n).write_text("{"), KampekyError, "is damaged or another backup's"),
    (lambda h, n: backups.about_file(h, n).unlink(), Unavailable, "until when the backup lives"),
    (lambda h, n: backups.erased_file(h, n).unlink(), Unavailable, "what was erased since"),
    (lambda h, n: _flipped(backups.erased_file(h, n)), KampekyError, "does not open"),
    (lambda h, n: backups.erased_file(h, n).write_bytes(sealing.seal_text(json.loads(backups.about_file(h, n).read_text())["recipient"], "{}")),
     KampekyError, "does not say what was erased"),
    (lambda h, n: backups.key_file(h, n).write_text(sealing.new_key()[0]), KampekyError, "does not open"),
    (lambda h, n: backups.key_file(h, n).write_text("no key"), Unavailable, "is no backup's key"),
    (lambda h, n: backups.key_file(h, n).unlink(), Unavailable, "opens with its own key alone"),
    (lambda h, n: backups.key_file(h, n).chmod(0o644), Unavailable, "may be read by others"),
    (lambda h, n: (h.keys / "zone_analytics.key").unlink(), Unavailable, "missing .*zone_analytics.*in no backup"),
    (lambda h, n: (h.keys / "vault.key").write_text("ab" * 32), Unavailable, "'vault' does not open"),
    (lambda h, n: backups.sealed_file(h, n).unlink(), Misuse, "no such file"),
], ids=["a bit", "a bit, and its hash", "the end", "a longer life", "another place in the ledger", "a later format", "json", "no json", "no erased",
        "damaged erased", "erased of nobody", "another key", "no key", "key gone", "key for all", "home's key gone", "home's key another", "no file"])
def test_what_is_not_as_it_was_made_is_refused_with_nothing_put_in_place(backed, tmp_path, change, error, says):
    home, name = copy_home(backed[0], tmp_path / "home"), backed[1]
    change(home, name)
    with pytest.raises(error, match=f"(?s){says}") as told:
        restore(home, name, Home(tmp_path / "new"))
    assert not (tmp_path / "new").exists() and "kqxstay" not in str(told.value) and "AGE-SECRET" not in str(told.value)


def _tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _file(name: str, data: bytes = b"x", **given: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for word, value in given.items():
        setattr(info, word, value)
    return info, data if info.isreg() else b""


def _list(**listed: bytes) -> tuple[tarfile.TarInfo, bytes]:
    import hashlib

    told = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in listed.items()}
    return _file("manifest.json", json.dumps(told).encode())


ABOUT = _file("backup.json", b"{}")


@pytest.mark.parametrize(("members", "form", "says"), [
    ([_file("/etc/passwd")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("../out")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones/../../out")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones//out")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones/.hidden")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("keys/raw.key")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones/" + "a/" * 20 + "x")], tarfile.USTAR_FORMAT, "belongs to no folder"),
    ([_file("zones/link", type=tarfile.SYMTYPE, linkname="/etc/passwd")], tarfile.USTAR_FORMAT, "no regular file"),
    ([_file("zones/link", type=tarfile.LNKTYPE, linkname="home.json")], tarfile.USTAR_FORMAT, "no regular file"),
    ([_file("zones/device", type=tarfile.CHRTYPE)], tarfile.USTAR_FORMAT, "no regular file"),
    ([_file("zones/fifo", type=tarfile.FIFOTYPE)], tarfile.USTAR_FORMAT, "no regular file"),
    ([_file("zones/folder", type=tarfile.DIRTYPE)], tarfile.USTAR_FORMAT, "no regular file"),
    ([_file("zones/" + "n" * 1_000_000)], tarfile.PAX_FORMAT, "no regular file"),
    ([_file("zones/" + "n" * 1_000_000)], tarfile.GNU_FORMAT, "no regular file"),
    ([_file("zones/a"), _file("zones/a"), _list(**{"zones/a": b"x"})], tarfile.USTAR_FORMAT, "stands in it twice"),
    ([_file("zones/a")], tarfile.USTAR_FORMAT, "the files that it lists"),
    ([_file("zones/a"), _list(**{"zones/a": b"y"})], tarfile.USTAR_FORMAT, "the files that it lists"),
    ([_file("zones/a"), _list(**{"zones/a": b"x", "zones/b": b"x"})], tarfile.USTAR_FORMAT, "the files that it lists"),
    ([_list(), _file("zones/a")], tarfile.USTAR_FORMAT, "not in their order"),
], ids=["absolute", "out", "out through zones", "empty part", "hidden", "a folder's name", "a key", "deep", "symlink", "hard link", "device", "fifo",
        "folder", "a huge name (pax)", "a huge name (gnu)", "twice", "no list", "other bytes", "one missing", "after the list"])
def test_a_tar_that_holds_anything_else_is_refused_and_writes_nothing_outside(tmp_path, members, form, says):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    with pytest.raises(KampekyError, match=says):
        sealing.unpack(io.BytesIO(_tar(ABOUT, *members, form=form)), out, lambda told: None)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} <= {"deep/out/zones/a"}
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


def test_the_same_reading_takes_a_tar_as_it_is_made_and_none_that_is_cut_off(tmp_path):
    out = io.BytesIO()
    sealing.pack(out, {"a": 1}, [("zones/a", io.BytesIO(b"x"), 1), ("evidence/b", io.BytesIO(b"yy"), 2)])
    seen = []
    sealing.unpack(io.BytesIO(out.getvalue()), tmp_path / "whole", seen.append)
    assert seen == [{"a": 1}] and (tmp_path / "whole/zones/a").read_bytes() == b"x" and (tmp_path / "whole/evidence/b").read_bytes() == b"yy"
    for length in (0, 100, 512, 1100, 2048, 3000):
        with pytest.raises(KampekyError):
            sealing.unpack(io.BytesIO(out.getvalue()[:length]), tmp_path / f"cut{length}", lambda told: None)
    foreign = bytearray(out.getvalue())
    foreign[2048:2148] = b"\xff" * 100  # a header that is none ends some readers' tars in silence
    with pytest.raises(KampekyError):
        sealing.unpack(io.BytesIO(bytes(foreign)), tmp_path / "foreign", lambda told: None)


# --- kills ---


@pytest.mark.parametrize("point", ["sealing.seal_text", "ledger.append", "put_in_place", "backups.write_about"])
def test_a_kill_while_backing_up_leaves_a_whole_backup_or_strays_that_go(backed, tmp_path, point):
    home, name = copy_home(backed[0], tmp_path / "home"), backed[1]
    child = os.fork()  # a backup opens no database, so a fork of this process can make one
    if not child:
        owner = backup
        *path, word = point.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, word, lambda *_, **__: os._exit(9))
        try:
            backup.make(home, at(MADE))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    found = backups.stock(home)
    assert [b.name for b in found.whole] == [name] and found.strays
    backups.destroy_due(home, at(LOST).date(), "test")
    assert [b.name for b in backups.stock(home).whole] == [name] and not backups.stock(home).strays
    assert backup.make(home, at(MADE))["backup"] in {b.name for b in backups.stock(home).whole}


def test_a_failure_while_backing_up_leaves_nothing(backed, tmp_path):
    home, name = copy_home(backed[0], tmp_path / "home"), backed[1]
    (home.root / "zones" / "raw" / "elsewhere").symlink_to("/etc/passwd")
    with pytest.raises(KampekyError, match="is no regular file"):
        backup.make(home, at(MADE))
    assert [b.name for b in backups.stock(home).whole] == [name] and not backups.stock(home).strays


KILLED = """
import os, sys
from pathlib import Path
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.home import Home
from pipelines.workflows import clearing, restore
home, file, into, point = sys.argv[1:]
def stop(*_, **__): os._exit(9)
if point == "placing":
    real = os.replace
    restore.os.replace = lambda a, b: stop() if str(b).endswith("zones") else real(a, b)
else:
    setattr(clearing, point, stop)
restore.restore(Home(Path(into)), Path(file), parse_as_of("2026-03-06T09:00:00+01:00"), None, Home(Path(home)))
"""


def killed(home: Home, name: str, into: Home, point: str) -> None:
    """A restore in a process of its own, which ends in the middle."""
    given = [sys.executable, "-c", KILLED, home.root, backups.sealed_file(home, name), into.root, point]
    assert subprocess.run(list(map(str, given)), check=False, capture_output=True).returncode == 9


def refuses_all(home: Home, sentence: str) -> None:
    for words in (["status"], ["build"], ["ingest", "members", home.root], ["sql", "analytics", "select 1"], ["backup"], ["init"],
                  ["request", "list"], ["keys", "list"], ["verify", "all"], ["retention", "plan"]):
        assert sentence in house.kampeky(*words, "--home", home.root).sentence


def test_a_home_whose_clearing_was_killed_refuses_all_else_until_it_is_finished(erased, tmp_path):
    home, name, _ = erased
    new = Home(tmp_path / "new")
    killed(home, name, new, "erase")
    refuses_all(new, "kampeky restore --resume")
    with pytest.raises(Unavailable, match="--resume"):
        restore(home, name, new)
    restoring.resume(new, at(LOST))
    assert {dataset: raw(new, dataset) for dataset in EVERYWHERE} == {dataset: raw(home, dataset) for dataset in EVERYWHERE}
    assert status(new, at(LOST))["erasures"] == []
    with pytest.raises(Misuse, match="waits for anything"):
        restoring.resume(new, at(LOST))


# --- what a restore decides ---


def test_an_address_that_another_member_gave_up_since_is_taken_from_their_row_and_they_stay(backed, tmp_path):
    home = copy_home(backed[0], tmp_path / "home")
    before = dict(raw(home, "members", "member_id, email"))
    with locked_stores(home, rules(), "test", write=True) as connection:
        connection.execute(f"create temp table {DUE_ACCOUNTS} as select 'nobody' as member_id")
        connection.execute(f"create temp table {KNOWN_BY} as select '' as member_id, 'email' as kind, 'KQXother-id@exemple.fr' as value")
        clearing._take_from_others(connection, rules())
    assert dict(raw(home, "members", "member_id, email")) == before | {OTHER: None}


def test_a_retention_that_waits_for_a_person_waits_after_a_restore_too(backed, tmp_path, monkeypatch):
    def waits(*_: object, **__: object) -> None:
        raise Refused("too much", "guard")

    home = copy_home(backed[0], tmp_path / "home")
    monkeypatch.setattr(clearing.retention, "apply", waits)
    told = clearing._retention(home, at(LOST))
    assert told["removed"] == 0 and Path(told["waits"]).is_file()


def test_requests_that_came_after_the_backup_are_named_for_their_vault_is_lost(tmp_path):
    home = new_home(tmp_path / "home")
    for n, (act, request) in enumerate([("request received", "R-1"), ("request received", "R-2"), ("request received", "R-3"), ("erasure", "R-3")]):
        ledger.append(home, act, at(MADE), {"request": request, "n": n})
    ledger.append(home, "restored", at(LOST), {"restore": "t", "backup": "B", "from_seq": 1})
    assert clearing._missing(home, {"token": "t", "from_seq": 1}) == ["R-2"]


def test_what_was_begun_between_a_backup_and_its_restore_is_not_unfinished_any_more(tmp_path):
    home = new_home(tmp_path / "home")
    for act, facts in (("erasure begun", {"request": "R-1"}), ("erasure begun", {"request": "R-2"}),
                       ("restored", {"restore": "t", "backup": "B", "from_seq": 1}), ("erasure begun", {"request": "R-4"})):
        ledger.append(home, act, at(MADE), facts)
    assert erasure.unfinished(home) == ["R-1", "R-4"]


# --- the commands ---


def test_the_commands_say_what_was_made_and_ask_for_one_thing(tmp_path):
    home = new_home(tmp_path / "home")
    made = house.kampeky("backup", "--home", home.root, "--json").json
    assert set(made) == {"backup", "file", "expires_on", "bytes"} and Path(made["file"]).is_file()
    assert house.kampeky("backup", "--home", home.root, "--as-of", "2190-01-01").code == 3
    assert house.kampeky("restore", "--home", tmp_path / "new").code == 2
    assert house.kampeky("restore", made["file"], "--resume", "--home", tmp_path / "new").code == 2
    done = house.kampeky("restore", made["file"], "--home", tmp_path / "new", "--keys-of", home.root, "--json").json
    assert done["backup"] == made["backup"] and Keyring(Home(tmp_path / "new")).get("raw") == key(home, "raw")
    assert house.kampeky("status", "--home", tmp_path / "new").code == 0
