"""New keys for a purpose: other pseudonyms throughout, whatever stops it on the way, and nothing left under a lost key (C-3.3b)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import house
import pytest
from small_market import Market, built_before_treatment, copy_home, database, fill_zone, key, new_home, pseudonyms, vault, zone

from pipelines.evidence import ledger
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, purpose_keys
from pipelines.workflows.rules import rules

DAY, LATER = "2026-03-10", "2026-03-11"
ROTATED = purpose_keys(rules().policy.purposes["advertising"])
OTHERS = ("raw", "vault", *purpose_keys(rules().policy.purposes["analytics"]))


def filled(folder: Path) -> Home:
    """Three members in two zones, and a mart of advertising."""
    home = new_home(folder)
    Market().member("a").member("b").member("c").load(home, DAY)
    for purpose in ("analytics", "advertising"):
        fill_zone(home, purpose, DAY)
    house.make_mart(home.root, "advertising", "create table ad_profiles (pseudonym uuid)",
                    *(f"insert into ad_profiles values ('{p}')" for p in pseudonyms(home, "advertising").values()))
    return home


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("rotation") / "home")


@pytest.fixture
def home(before, tmp_path):
    return copy_home(before, tmp_path / "home")


@pytest.fixture
def only_the_zone(monkeypatch):
    """A build without dbt: the zone is made anew, the mart is not."""
    def build(home, as_of, purposes):
        fill_zone(home, purposes[0], as_of)
        return [{"purpose": purposes[0]}]

    monkeypatch.setattr("pipelines.workflows.keys.build", build)


def keys(home: Home) -> dict[str, str]:
    return {name: key(home, name) for name in (*ROTATED, *OTHERS)}


def rotate(home: Home, *more: str) -> house.Answer:
    return house.kampeky("keys", "rotate", "advertising", "--home", home.root, "--as-of", LATER, *more)


def in_zone(home: Home, purpose: str) -> set:
    return {value for (value,) in zone(home, purpose, "members", "pseudonym")}


def refuse_old(home: Home, old: dict[str, str]) -> None:
    """No key that was replaced stands in any file any more, in digits or in bytes."""
    for path, content in house.bytes_below(home.root):
        assert not any(old[name].encode() in content or bytes.fromhex(old[name]) in content for name in ROTATED), path


def check_rotated(before: Home, home: Home) -> None:
    """Everything is as after a rotation that nobody stopped."""
    old, new = keys(before), keys(home)
    assert {name for name in new if new[name] != old[name]} == set(ROTATED)
    assert len(set(new.values())) == len(new)
    assert sorted(path.name for path in home.keys.iterdir()) == sorted(path.name for path in before.keys.iterdir())
    assert {path.stat().st_mode & 0o777 for path in home.keys.iterdir()} == {0o600}
    refuse_old(home, old)
    assert in_zone(home, "advertising") == set(pseudonyms(home, "advertising").values())
    assert not in_zone(home, "advertising") & set(pseudonyms(before, "advertising").values())
    assert in_zone(home, "analytics") == in_zone(before, "analytics")
    assert dict(vault(home, "select * from db.domains"))["analytics"] == dict(vault(before, "select * from db.domains"))["analytics"]
    assert vault(home, "select * from db.subjects order by 1") == vault(before, "select * from db.subjects order by 1")
    assert not home.mart("advertising").exists()  # the build of these tests makes none
    assert all(ok for _, ok, _ in ledger.check(home))


def test_every_pseudonym_of_the_purpose_changes_and_nothing_of_another_one(before, home, only_the_zone):
    answer = rotate(home, "--json")
    assert (answer.code, answer.json["keys"], answer.json["role_files_to_renew"]) == (0, list(ROTATED), ["marketing"])
    check_rotated(before, home)


def test_the_ledger_says_that_keys_were_rotated_and_holds_neither_key_nor_hash(before, home, only_the_zone):
    assert rotate(home).code == 0
    told = [entry for entry in ledger.read(home) if "rotat" in entry.act]
    assert [entry.act for entry in told] == ["key rotation begun", "keys rotated"]
    assert [entry.facts for entry in told] == [{"purpose": "advertising", "keys": list(ROTATED)}] * 2


def test_a_second_rotation_begins_a_new_one(before, home, only_the_zone):
    rotate(home)
    once = keys(home)
    rotate(home)
    twice = keys(home)
    assert not {once[name] for name in ROTATED} & {twice[name] for name in ROTATED}
    check_rotated(before, home)


def test_a_lost_domain_key_is_replaced_by_a_rotation_and_by_nothing_else(before, home, only_the_zone):
    (home.keys / "domain_advertising.key").unlink()
    assert house.kampeky("init", "--home", home.root).code == 1
    assert rotate(home).code == 0
    check_rotated(before, home)


def test_without_data_keys_are_rotated_and_nothing_is_built(tmp_path):
    home = new_home(tmp_path / "home")
    old = keys(home)
    answer = rotate(home, "--json")
    assert (answer.code, answer.json["build"]) == (0, None)
    assert {name for name, value in keys(home).items() if value != old[name]} == set(ROTATED)


@pytest.mark.parametrize("purpose", ["raw", "vault", "nonsense", ""])
def test_only_a_purpose_has_keys_that_are_rotated(home, purpose):
    old = keys(home)
    assert house.kampeky("keys", "rotate", purpose, "--home", home.root).code == 2
    assert keys(home) == old


def test_with_a_role_file_keys_are_not_rotated(home, tmp_path, monkeypatch):
    house.kampeky("keys", "role", "marketing", "--to", tmp_path / "marketing.role", "--home", home.root)
    old = keys(home)
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "marketing.role"))
    answer = rotate(home)
    assert (answer.code, "your role is 'marketing'" in answer.sentence) == (3, True)
    assert keys(home) == old


# ---------------------------------------------------------------- killed on the way

KILL = """
import os, signal, sys
from importlib import import_module

place, nth = sys.argv[1], int(sys.argv[2])
module, name = place.rsplit(".", 1)
module, calls = import_module(module), []
real = getattr(module, name)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def killed(*given, **named):
    calls.append(1)
    if len(calls) == nth == 0 or (nth < 0 and len(calls) == -nth):
        die()
    made = real(*given, **named)
    if len(calls) == nth:
        die()
    return made


def half(folder):
    (folder / "catalog.duckdb").unlink()
    die()


setattr(module, name, half if sys.argv[3:4] == ["half"] else killed)
from pipelines.cli.main import main
main(["keys", "rotate", "advertising", "--home", sys.argv[-1], "--as-of", "2026-03-11"])
"""
# where: (function, in its how manieth call: below 0 before it, above after it, what is left there)
STAGES = {
    "before anything": ("pipelines.keys.rotation.begin", "-1"),
    "new keys written down": ("pipelines.keys.rotation.begin", "1"),
    "the mart is gone": ("pipelines.transformation.publish.unpublish", "1"),
    "the zone is half gone": ("pipelines.pseudonymisation.rekey.remove", "1", "half"),
    "the zone is gone": ("pipelines.pseudonymisation.rekey.drop_zone", "1"),
    "the vault knows the new secret": ("pipelines.pseudonymisation.rekey.know_by", "1"),
    "the first old key is destroyed": ("pipelines.keys.rotation.destroy", "1"),
    "the second old key is destroyed": ("pipelines.keys.rotation.destroy", "2"),
    "all keys are in place": ("pipelines.keys.rotation.put_in_place", "1"),
    "it stands in the ledger": ("pipelines.evidence.ledger.append", "2"),
    "the journal is destroyed": ("pipelines.keys.rotation.end", "1"),
    "the build begins": ("pipelines.workflows.keys.build", "-1"),
}


def kill(home: Home, stage: tuple[str, ...]) -> None:
    ended = subprocess.run([sys.executable, "-c", KILL, *stage, str(home.root)], capture_output=True, text=True, cwd=house.ROOT, check=False)
    assert ended.returncode == -9, ended.stderr


def mart_opens(home: Home) -> bool:
    with database(home.mart("advertising"), key(home, "mart_advertising")) as connection:
        return bool(connection.execute("from db.ad_profiles").fetchall())


TELLING = ("new keys written down", "the zone is half gone", "the second old key is destroyed", "the build begins")  # the others in the long run


@pytest.mark.parametrize("stage", [stage if stage in TELLING else pytest.param(stage, marks=pytest.mark.long) for stage in STAGES])
def test_killed_at_any_point_the_next_command_says_what_to_do_or_finishes(before, home, only_the_zone, stage):
    kill(home, STAGES[stage])
    begun, ended = stage != "before anything", stage in ("the journal is destroyed", "the build begins")
    # no mart is left whose key is gone, and no zone under two secrets
    assert not home.mart("advertising").exists() or mart_opens(home)
    pending = begun and not ended
    assert Keyring(home).rotations() == (["advertising"] if pending else [])
    if pending:
        for command in (["build", "--purpose", "advertising"], ["sql", "advertising", "from ad_profiles"], ["contracts", "check"]):
            answer = house.kampeky(*command, "--home", home.root)
            told = answer.err
            said = "kampeky keys rotate advertising" in told or "kampeky build --purpose advertising" in told
            assert said or (command[0] == "contracts" and not (home.lake("pseudonymised/advertising") / "catalog.duckdb").exists()), told
        assert not home.lake("pseudonymised/advertising").exists() or keys(home) == keys(before)
        assert "kampeky keys rotate advertising" in house.kampeky("status", "--home", home.root).err
        # nothing of another purpose is held up
        fill_zone(home, "analytics", DAY)
        house.kampeky("retention", "plan", "--home", home.root, "--as-of", DAY)
    elif ended:
        answer = house.kampeky("sql", "advertising", "from ad_profiles", "--home", home.root)
        assert "kampeky build --purpose advertising" in answer.sentence
        fill_zone(home, "advertising", LATER)
        check_rotated(before, home)
        return
    else:
        assert keys(home) == keys(before)
        assert mart_opens(home)
    assert rotate(home).code == 0
    check_rotated(before, home)


def test_a_kill_in_the_middle_of_writing_a_key_leaves_no_key_beside_it(before, home, only_the_zone):
    kill(home, ("pipelines.foundation.files.put_in_place", "-3"))  # the second key's new file stands beside its place
    assert [path.name for path in home.keys.iterdir() if path.name.startswith(".")]
    assert rotate(home).code == 0
    check_rotated(before, home)


def test_a_journal_that_is_no_journal_is_one_sentence(home):
    house.put(home.keys / "advertising.rotation", "{")
    answer = rotate(home)
    assert (answer.code, "cannot be read" in answer.sentence) == (1, True)


# ---------------------------------------------------------------- keys that come from elsewhere

FRESH = {"zone_advertising": "1" * 64, "domain_advertising": "2" * 64, "mart_advertising": "3" * 64}


@pytest.fixture
def outside(home, monkeypatch):
    """The keys of advertising come from the environment and stand in no file."""
    for name in ROTATED:
        monkeypatch.setenv(f"KAMPEKY_KEY_{name.upper()}", key(home, name))
        (home.keys / f"{name}.key").unlink()
    return home


def put_fresh(monkeypatch, *names: str) -> None:
    for name in names:
        monkeypatch.setenv(f"KAMPEKY_KEY_{name.upper()}", FRESH[name])


def test_keys_of_the_environment_are_replaced_there_and_then_the_purpose_is_made_anew(before, outside, monkeypatch, only_the_zone):
    answer = rotate(outside)
    assert (answer.code, "kampeky keys rotate advertising --replaced" in answer.sentence) == (3, True)
    assert mart_opens(before)
    put_fresh(monkeypatch, *ROTATED)
    assert "kampeky keys rotate advertising --replaced" in house.kampeky("build", "--purpose", "advertising", "--home", outside.root).err
    assert in_zone_with(outside, key(before, "zone_advertising")) == in_zone(before, "advertising")  # a build under the wrong keys changed nothing
    assert rotate(outside, "--replaced").code == 0
    assert not list(outside.keys.glob("*advertising*"))
    made = in_zone_with(outside, FRESH["zone_advertising"])
    assert len(made) == 3
    assert not made & in_zone(before, "advertising")
    assert not outside.mart("advertising").exists()


def in_zone_with(home: Home, secret: str) -> set:
    folder = home.root.with_name("with-key")
    shutil.copytree(home.root, folder)
    house.put(folder / "keys" / "zone_advertising.key", secret)
    try:
        return in_zone(Home(folder), "advertising")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("kept", [*ROTATED])
def test_a_key_that_was_not_replaced_with_the_others_is_named_and_nothing_is_begun(before, outside, monkeypatch, kept):
    if kept == "mart_advertising":
        shutil.copy(before.mart("advertising"), outside.mart("advertising"))
    put_fresh(monkeypatch, *(name for name in ROTATED if name != kept))
    answer = rotate(outside, "--replaced")
    assert (answer.code, f"{kept} still are the keys that were in use" in answer.sentence) == (3, True)
    assert (outside.mart("advertising").exists(), Keyring(outside).rotations()) == (True, [])


def test_the_secret_of_another_purpose_is_no_replacement(home, outside, monkeypatch):
    put_fresh(monkeypatch, *ROTATED)
    monkeypatch.setenv("KAMPEKY_KEY_DOMAIN_ADVERTISING", key(home, "domain_analytics"))
    answer = rotate(outside, "--replaced")
    assert (answer.code, "both purposes would know a member by one pseudonym" in answer.sentence) == (3, True)
    assert outside.mart("advertising").exists()


def test_where_all_keys_stand_in_files_nothing_was_replaced_elsewhere(home):
    assert rotate(home, "--replaced").code == 2


# ---------------------------------------------------------------- the whole way


def test_a_mart_from_before_cannot_be_joined_to_one_after(tmp_path):
    home = new_home(tmp_path / "home")
    market = Market()
    for n in range(12):
        market.member(f"m{n}", gender="female", birthday="1990-05-05")
    market.load(home, DAY)
    with built_before_treatment(tmp_path) as built:
        assert house.kampeky("build", "--purpose", "analytics", "--home", home.root, "--as-of", DAY).code == 0
        old = _pseudonyms(built)
        answer = house.kampeky("keys", "rotate", "analytics", "--home", home.root, "--as-of", DAY, "--json")
        assert answer.code == 0, answer.err
        new = _pseudonyms(built)
    assert len(old) == len(new) > 0
    assert not old & new
    assert json.loads(answer.out)["build"]["purpose"] == "analytics"


def _pseudonyms(built: dict[str, tuple[Path, str]]) -> set:
    with database(*built["analytics"]) as connection:
        return {value for (value,) in connection.execute("select pseudonym from db.user_profiles").fetchall()}
