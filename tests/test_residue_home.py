"""`kampeky verify residue`: every file of a home is read or fails, and nothing that was erased is in any of them (C-10.4, C-11.3)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import house
import pytest
from small_market import Market, at, copy_home, new_home

from pipelines.engines.duckdb_engine import connect
from pipelines.evidence import ledger, provenance
from pipelines.foundation.errors import Unavailable
from pipelines.identity.vault import opened_vault
from pipelines.lake.store import opened, raw_lake
from pipelines.workflows import erasure, requests, retention
from pipelines.workflows.residue import last_deletion
from pipelines.workflows.verify import verify

GONE, STAYS = "qvxgone77", "qvxstays88"


@pytest.fixture(scope="module")
def erased(tmp_path_factory):
    """A home from which one of two members was erased."""
    home = new_home(tmp_path_factory.mktemp("residue") / "home")
    market = Market("r").member(GONE, email="qvxgone@exemple.fr").member(STAYS)
    market.post("p1", STAYS, body="bonjour").sale("t1", GONE, STAYS).load(home, "2026-03-01")
    opened_request = requests.open_request(home, "erasure", GONE, None, at("2026-03-05"), "one")["request_id"]
    erasure.approve(home, opened_request, "another", at("2026-03-05"))
    assert requests.process(home, opened_request, at("2026-03-05 12:00"))["state"] == "done"
    return home


@pytest.fixture
def home(erased, tmp_path):
    return copy_home(erased, tmp_path / "home")


def failing(home, identifiers=None):
    return {check["name"]: check["detail"] for check in verify(home, "residue", None, None, identifiers)["checks"] if not check["ok"]}


def test_a_home_of_which_every_file_was_read_and_nothing_was_found_passes(home):
    found = {check["name"]: check for check in verify(home, "residue", None)["checks"]}
    assert all(check["ok"] for check in found.values())
    assert "22 planted values" in found["controls"]["detail"] and "SSD" in found["beyond"]["detail"]
    there = sum(path.is_file() for path in home.root.rglob("*"))
    assert f"{there:,} files" in found["files"]["detail"] or f"{there + 1:,} files" in found["files"]["detail"], "locks come and go"


@pytest.mark.parametrize("text", [f"note on {GONE}\n", f"photo_{GONE}.jpg\n", "to QVXGONE@exemple.fr\n", '{"a": "' + GONE + '"}\n'])
def test_an_id_that_somebody_wrote_down_beside_is_found_by_its_hash(home, text):
    (home.evidence / "note.txt").write_text(text)
    assert "evidence/note.txt" in failing(home)["tombstones"]
    (home.evidence / "note.txt").write_text(text.replace("qvxgone", "qvxother").replace("QVXGONE", "QVXOTHER"))
    assert set(failing(home)) == {"places"}, "of whom it is is not known, nor where it comes from"


@pytest.mark.parametrize("name", ["notes.txt", "copy.parquet", "zones/raw/data/main/members/copy.parquet", "outbox/mine.zip", "extracts/mine.csv",
                                  "keys/copy.csv", "evidence/plans/mine.csv", "build/x/copy.parquet", "tmp/copy.parquet", "evidence/.hidden",
                                  f"{GONE}.txt", "history/a/b", "backups/mine.tar", "marts/mine.csv"])
def test_a_file_that_the_platform_did_not_make_is_no_clean_one_whatever_it_is_written_in(home, name):
    """By hashes nobody finds what is written in another code; so of whom a strange file tells is not known."""
    path = home.root / name
    path.parent.mkdir(exist_ok=True, parents=True)
    connection = connect(home.tmp, extensions=())
    connection.execute(f"copy (select 'qvxgone77'::blob as a) to '{path}.written' (format parquet)")
    (home.root / f"{name}.written").rename(path)
    found = failing(home)
    assert "places" in found and GONE not in str(found)
    path.unlink()
    assert "places" not in failing(home)


def test_another_key_for_the_tombstones_is_noticed_at_the_door_and_by_the_check(home, tmp_path):
    """By it nobody would be known who was erased."""
    (home.keys / "tombstones.key").write_text("1" * 64)
    with pytest.raises(Unavailable, match="'tombstones' is not the one"):
        verify(home, "residue", None)
    with pytest.raises(Unavailable, match="'tombstones' is not the one"):
        Market("again").member(GONE).load(home, "2026-03-20")
    assert "tombstones" in house.kampeky("verify", "residue", "--home", home.root, "--json").err


def test_tombstones_that_were_taken_out_are_missed(home):
    with opened_vault(home, "test", write=True) as connection:
        connection.execute("delete from vault.tombstones")
    assert "1 certified erasures have none" in failing(home)["tombstones of the erased"]


def test_an_older_copy_of_the_ledger_with_its_head_is_noticed_by_what_was_made_and_certified_since(home):
    files = [home.ledger, home.ledger.with_suffix(".head")]
    whole, lines = [path.read_bytes() for path in files], home.ledger.read_bytes().splitlines(keepends=True)
    begun = next(n for n, line in enumerate(lines) if b'"erasure begun"' in line)
    entry = json.loads(lines[begun - 1])
    files[0].write_bytes(b"".join(lines[:begun]))
    files[1].write_text(json.dumps(json.loads(whole[1]) | {"seq": entry["seq"], "hash": entry["hash"]}))
    found = {check["name"]: check for check in verify(home, "ledger", None)["checks"]}
    assert found["chain"]["ok"], "by itself it is whole"
    assert not found["newest"]["ok"]
    assert "files were made after" in found["newest"]["detail"] and "1 certificates of erasures" in found["newest"]["detail"]
    for path, content in zip(files, whole, strict=True):
        path.write_bytes(content)
    assert verify(home, "ledger", None)["ok"]


def test_a_plan_or_a_page_that_was_changed_is_noticed(home):
    retention.apply(home, Path(retention.plan(home, at("2026-04-20"))["plan"]))
    assert verify(home, "ledger", None)["ok"]
    for path, check in ((next(home.plans.glob("*.json")), "plans"), (next((home.evidence / "certificates").glob("*.html")), "certificates")):
        was = path.read_text()
        path.write_text(was.replace("2026-04-20", "2026-04-21"))
        assert {c["name"]: c["ok"] for c in verify(home, "ledger", None)["checks"]}[check] is False
        path.write_text(was)
    assert verify(home, "ledger", None)["ok"]


def test_of_a_data_file_that_is_missing_or_damaged_the_check_says_which_and_does_not_end(home):
    for file in sorted((home.lake("raw") / "data" / "main" / "members").glob("*.parquet")):
        was = file.read_bytes()
        for content in (was + b"x" * 100, was[:-50], None):
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
            found = failing(home)
            assert file.name in found["files"] and "missing or damaged" in found["tombstones"]
            file.write_bytes(was)
            file.chmod(0o600)
        assert failing(home) == {}


def test_a_row_that_came_back_around_the_door_is_found_and_a_new_account_with_the_address_is_not(home):
    with opened(raw_lake(home), "test", write=True) as connection:
        connection.execute("insert into lake.main.members (member_id, member_name, email, registered_at) values "
                           "('qvxnew99', 'n', 'qvxgone@exemple.fr', timestamptz '2026-03-06 00:00:00+01')")
    assert "tombstones" not in failing(home)
    with opened(raw_lake(home), "test", write=True) as connection:
        connection.execute(f"insert into lake.main.forum_posts (post_id, author_id, posted_at, body) values "
                           f"('p9', '{STAYS}', timestamptz '2026-03-01 00:00:00+01', 'vu chez {GONE}')")
    assert "raw.forum_posts" in failing(home)["tombstones"]


@pytest.mark.parametrize(("name", "content"), [
    ("evidence/picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4), ("tmp/x.parquet", b"PAR1" + b"\0" * 40),
    ("outbox/x.age", b"age-encryption.org/v1\n-> X25519 abc\n"), ("extracts/y", os.urandom(300))])
def test_what_cannot_be_read_is_not_clean(home, name, content):
    (home.root / name).write_bytes(content)
    assert name in failing(home)["files"]


def test_a_duckdb_file_of_which_nobody_knows_how_it_was_made_fails(home, tmp_path):
    made = tmp_path / "analytics.duckdb"
    connection = connect(tmp_path, database=str(made))
    connection.execute(f"create table t as select '{GONE}' as member; delete from t; checkpoint")
    connection.close()
    shutil.copy(made, home.mart("analytics"))
    assert "marts/analytics.duckdb" in failing(home)["files"], "the engine shows no row of it, and its blocks hold one"
    shutil.move(home.mart("analytics"), home.root / "elsewhere.duckdb")
    assert "elsewhere.duckdb" in failing(home)["files"]


def test_a_file_that_is_older_than_the_last_deletion_fails(home, erased):
    vault = home.vault.read_bytes()
    requests.open_request(home, "erasure", STAYS, None, at("2026-03-06"), "one")
    request = requests.list_requests(home)[0]["request_id"]
    erasure.approve(home, request, "another", at("2026-03-06"))
    assert requests.process(home, request, at("2026-03-06"))["state"] == "done"
    assert failing(home) == {}
    home.vault.write_bytes(vault)  # a copy from before: it is one of ours, and it knows who was erased since
    told = {name: why for name, ok, why in provenance.check(home, last_deletion(home)) if not ok}
    assert "zones/vault/vault.duckdb" in told


def test_a_store_that_was_not_made_anew_since_a_deletion_began_fails(home):
    ledger.append(home, "retention begun", at("2026-03-07"), {"hash": "0" * 64, "datasets": [], "published": []})
    told = failing(home)["files"]
    assert "zones/vault/vault.duckdb: it was made before entry" in told and "zones/raw/catalog.duckdb: it was made before entry" in told


def test_a_process_that_holds_a_replaced_file_is_named_until_it_lets_go(home):
    holder = subprocess.Popen([sys.executable, "-c", f"import sys; f = open({str(home.vault)!r}, 'rb'); print('open', flush=True); sys.stdin.read()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        from pipelines.identity.vault import rewrite_vault

        rewrite_vault(home, "test")
        assert str(holder.pid) in failing(home)["holders"]
    finally:
        holder.communicate(b"")
    assert failing(home) == {}


def test_what_somebody_asks_about_is_looked_for_in_every_file(home):
    assert "zones/raw/" in failing(home, [STAYS])["identifiers"], "a member who is there is found"
    assert failing(home, [GONE, "qvxgone@exemple.fr"]) == {}
    assert GONE not in str(failing(home, [GONE])) and STAYS not in str(failing(home, [STAYS])), "what was asked is not repeated"


def test_the_command_reads_what_to_look_for_from_a_file_or_stdin(home, tmp_path):
    asked = house.put(tmp_path / "asked", f"{STAYS}\n\n")
    answer = house.kampeky("verify", "residue", asked, "--home", home.root, "--json")
    assert answer.code == 1 and STAYS not in answer.out + answer.err
    assert house.kampeky("verify", "residue", house.put(tmp_path / "other", f"{GONE}\n"), "--home", home.root).code == 0
    assert "holds no line" in house.kampeky("verify", "residue", house.put(tmp_path / "none", "\n"), "--home", home.root).err




def test_what_a_killed_process_spilled_goes_and_what_one_spills_now_is_pending(home):
    left, used = (home.tmp / f"spilled-{n}-0a0b" / "duckdb_temp_storage_DEFAULT-0.tmp" for n in range(2))
    for path in (left, used):
        path.parent.mkdir()
    left.write_bytes(os.urandom(500))
    with used.open("wb") as spilling:
        spilling.write(os.urandom(500))
        found = {check["name"]: check for check in verify(home, "residue", None)["checks"]}
        assert not left.exists() and used.exists() and found["files"]["ok"] and used.name in found["holders"]["detail"]
    assert failing(home) == {}
