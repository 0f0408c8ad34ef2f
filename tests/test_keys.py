"""Keys: made private, kept, taken from the environment first; one that is wrong, missing or malformed is one line that shows none."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

import house
import pytest

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, domain_key, key_names, mart_key, zone_key

POLICY = house.rulebook().policy
HEX = re.compile(r"[0-9a-fA-F]{32,}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return house.new_home(tmp_path)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_init_makes_a_key_per_store_and_domain_that_only_its_owner_reads(tmp_path):
    before = os.umask(0)  # the worst umask there is
    try:
        made = house.kampeky("init", "--home", tmp_path / "home", "--json")
    finally:
        os.umask(before)
    purposes = ("analytics", "advertising", "security", "service", "improvement")
    names = {"raw", "vault", "tombstones", *(f"{kind}_{purpose}" for kind in ("zone", "domain") for purpose in purposes),
             "mart_advertising", "mart_security", "mart_service"}
    assert (made.code, set(made.json["keys"]), set(made.json["keys_made"])) == (0, names, names)
    assert modes(tmp_path / "home" / "keys") == {f"{name}.key": 0o600 for name in names}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert modes(tmp_path / "home")["keys"] == 0o700
    keys = [(tmp_path / "home" / "keys" / f"{name}.key").read_text().strip() for name in names]
    assert all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys)
    assert len(set(keys)) == len(names)


def test_a_purpose_has_a_mart_key_only_where_the_policy_has_its_mart_encrypted():
    encrypted = {name for name, purpose in POLICY.built.items() if purpose.published == "encrypted"}
    assert encrypted
    assert encrypted != set(POLICY.built)
    assert {mart_key(name) for name in POLICY.purposes} & set(key_names(POLICY)) == {mart_key(name) for name in encrypted}
    assert {use(name) for use in (zone_key, domain_key) for name in POLICY.built} <= set(key_names(POLICY))


def test_a_second_init_keeps_every_key_and_makes_only_the_missing(home):
    before = {path.name: path.read_bytes() for path in (home / "keys").iterdir()}
    assert house.kampeky("init", "--home", home, "--json").json["keys_made"] == []
    assert {path.name: path.read_bytes() for path in (home / "keys").iterdir()} == before
    (home / "keys" / "mart_advertising.key").unlink()
    assert house.kampeky("init", "--home", home, "--json").json["keys_made"] == ["mart_advertising"]
    after = {path.name: path.read_bytes() for path in (home / "keys").iterdir()}
    assert {name for name in before if after[name] != before[name]} == {"mart_advertising.key"}


def test_the_environment_wins_and_a_key_in_it_is_not_written_to_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "A" * 64)
    made = house.kampeky("init", "--home", tmp_path / "home", "--json").json
    assert ("raw" in made["keys"], "raw" in made["keys_made"], (tmp_path / "home" / "keys" / "raw.key").exists()) == (True, False, False)
    assert Keyring(Home(tmp_path / "home")).get("raw") == "a" * 64
    house.put(tmp_path / "home" / "keys" / "raw.key", "b" * 64)
    assert Keyring(Home(tmp_path / "home")).get("raw") == "a" * 64
    origins = {row["key"]: row["from"] for row in house.kampeky("keys", "list", "--home", tmp_path / "home", "--json").json}
    assert (origins["raw"], origins["vault"]) == ("environment", "file")
    monkeypatch.delenv("KAMPEKY_KEY_RAW")
    assert Keyring(Home(tmp_path / "home")).get("raw") == "b" * 64


def test_a_derived_key_differs_by_use_and_by_key_and_is_always_the_same(home):
    ring = Keyring(Home(home))
    assert ring.derive("raw", "batch ids") == ring.derive("raw", "batch ids")
    assert len({ring.derive(name, use) for name in ("raw", "vault") for use in ("batch ids", "other")} | {bytes.fromhex(ring.get("raw"))}) == 5


WRONG = {
    "another key": ("c" * 64, "does not open"),
    "too short": ("c" * 63, "holds no key: expected 64 hexadecimal digits"),
    "no hexadecimal": ("g" * 64, "holds no key"),
    "two keys": ("c" * 128, "holds no key"),
    "empty": ("", "holds no key"),
    "bytes that are no text": (b"\xff" * 64, "holds no key"),
    "missing": (None, "is missing"),
}


@pytest.fixture(scope="module")
def lent_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for tests that give it back as it was."""
    return house.new_home(tmp_path_factory.mktemp("lent"))


@pytest.mark.parametrize("kind", [*WRONG])
def test_a_key_that_is_wrong_missing_or_malformed_is_one_line_that_names_it_and_shows_none(lent_home, tmp_path, kind):
    content, words = WRONG[kind]
    file, files = lent_home / "keys" / "raw.key", dict(house.bytes_below(lent_home / "zones"))
    right = file.read_bytes()
    file.unlink()
    if content is not None:
        house.put(file, content)
    path = house.put(tmp_path / "members", house.ndjson([house.member()]))
    try:
        answers = [house.kampeky(*command, "--home", lent_home) for command in (["ingest", "members", path, "--as-of", house.AS_OF], ["status"])]
    finally:
        house.put(file, right)
    for answer in answers:
        assert (answer.code, words in answer.sentence, "raw" in answer.sentence) == (1, True, True)
        assert not HEX.search(answer.sentence.replace(str(lent_home), ""))
    assert dict(house.bytes_below(lent_home / "zones")) == files


def test_the_right_key_opens_what_the_wrong_ones_did_not(lent_home):
    assert house.kampeky("status", "--home", lent_home).code == 0


@pytest.mark.parametrize("value", ["c" * 64, "xyz", ""])
def test_a_wrong_key_in_the_environment_is_named_by_its_variable_though_the_file_is_right(lent_home, monkeypatch, value):
    monkeypatch.setenv("KAMPEKY_KEY_RAW", value)
    answer = house.kampeky("status", "--home", lent_home)
    assert (answer.code, "KAMPEKY_KEY_RAW" in answer.sentence) == (1, True)
    assert not HEX.search(answer.sentence.replace(str(lent_home), ""))


def test_a_wrong_key_of_the_vault_or_of_a_mart_is_one_line_too(home, tmp_path):
    house.ingest(home, ("members", house.put(tmp_path / "members", house.ndjson([house.member()]))))
    asked = ("request", "open", "portability", "--member", "m000001", "--as-of", house.AS_OF, "--home", home)
    query = ("sql", "advertising", "select n from ad_profiles", "--home", home, "--json")
    house.make_mart(home, "advertising", "create table ad_profiles as select 1 as n")
    assert (house.kampeky(*asked).code, house.kampeky(*query).json) == (0, [{"n": 1}])
    for name, command in (("vault", asked), ("mart_advertising", query)):
        house.put(home / "keys" / f"{name}.key", "d" * 64)
        answer = house.kampeky(*command)
        assert (answer.code, f"The key '{name}' does not open" in answer.sentence) == (1, True)
        assert not HEX.search(answer.sentence.replace(str(home), ""))


def test_keys_list_shows_where_keys_come_from_and_never_one(home):
    answer = house.kampeky("keys", "list", "--home", home)
    assert answer.code == 0
    keys = [path.read_text().strip() for path in (home / "keys").iterdir()]
    assert len(keys) == len(key_names(POLICY)) == 16
    assert [key for key in keys if key in answer.out + answer.err] == []


def test_no_key_stands_anywhere_under_the_home_but_in_its_own_file(home, tmp_path):
    house.ingest(home, ("members", house.put(tmp_path / "members", house.ndjson([house.member()]))))
    for name in key_names(POLICY):
        key = Keyring(Home(home)).get(name)
        holders = [
            str(path.relative_to(home)) for path, content in house.bytes_below(home) if key.encode() in content or bytes.fromhex(key) in content
        ]
        assert holders == [f"keys/{name}.key"]


def test_a_key_that_this_user_may_not_read_is_a_matter_of_role(home):
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    (home / "keys" / "raw.key").chmod(0)
    with pytest.raises(KampekyError, match=r"your role does not hold the key 'raw' \(C-4\)"):
        Keyring(Home(home)).get("raw")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_none(home, mode):
    path = home / "keys" / "raw.key"
    path.chmod(mode)
    with pytest.raises(KampekyError, match=rf"raw.key may be read by others \(mode {mode:04o}\).* Run: chmod 600"):
        Keyring(Home(home)).get("raw")
    path.chmod(0o600)
    assert len(Keyring(Home(home)).get("raw")) == 64


def test_init_does_not_make_a_new_key_for_a_store_that_another_one_closed(home):
    (home / "keys" / "raw.key").unlink()
    assert house.kampeky("init", "--home", home, "--json").code != 0


def test_init_leaves_a_folder_alone_that_holds_something_else(tmp_path):
    house.put(tmp_path / "project" / "README.md", "mine")
    (tmp_path / "project").chmod(0o755)
    assert house.kampeky("init", "--home", tmp_path / "project").code == 2
    assert stat.S_IMODE((tmp_path / "project").stat().st_mode) == 0o755


# ---------------------------------------------------------------- the file of a role


@pytest.fixture
def role_of(home, tmp_path, monkeypatch):
    """Write the file of a role and take that role."""

    def take(role: str) -> Path:
        path = tmp_path / f"{role}.role"
        monkeypatch.delenv("KAMPEKY_ROLE_FILE", raising=False)
        assert house.kampeky("keys", "role", role, "--to", path, "--home", home).code == 0
        monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(path))
        return path

    return take


@pytest.mark.parametrize(("role", "says"), [
    ("marketing", "a person reads the marts of advertising and nothing else: "), ("compliance", "a person reads no mart: ")])
def test_what_a_role_file_opens_is_said_as_it_is(home, tmp_path, role, says):
    told = house.kampeky("keys", "role", role, "--to", tmp_path / "it", "--home", home)
    assert told.code == 0 and says in told.err


def test_a_role_file_holds_the_keys_of_its_role_and_only_its_owner_reads_it(home, tmp_path):
    before = os.umask(0)
    try:
        answers = {role: house.kampeky("keys", "role", role, "--to", tmp_path / role, "--home", home, "--json").json for role in POLICY.roles}
    finally:
        os.umask(before)
    for role, answer in answers.items():
        content = json.loads((tmp_path / role).read_text())
        there = [name for name in POLICY.roles[role] if name in key_names(POLICY)]
        assert (answer["keys"], list(content["keys"]), content["role"]) == (there, there, role)
        assert content["keys"] == {name: Keyring(Home(home)).get(name) for name in there}
        assert stat.S_IMODE((tmp_path / role).stat().st_mode) == 0o600
    told = [entry.facts for entry in ledger.read(Home(home)) if entry.act == "role file written"]
    assert [facts["role"] for facts in told] == list(POLICY.roles)
    keys = [path.read_text().strip() for path in (home / "keys").iterdir()]
    assert not [key for key in keys if key in Home(home).ledger.read_text()]


def test_an_unknown_role_and_a_file_that_is_there_are_refused(home, tmp_path):
    assert "marketing" in house.kampeky("keys", "role", "director", "--to", tmp_path / "x", "--home", home).sentence
    there = house.put(tmp_path / "there", "mine")
    answer = house.kampeky("keys", "role", "marketing", "--to", there, "--home", home)
    assert (answer.code, there.read_text(), (tmp_path / "x").exists()) == (2, "mine", False)
    assert house.kampeky("keys", "role", "marketing", "--to", tmp_path / "no" / "x", "--home", home).code == 2


def test_with_a_role_file_only_its_keys_are_given_out_whatever_else_there_is(home, monkeypatch, role_of):
    right = Keyring(Home(home)).get("mart_advertising")
    role_of("marketing")
    for name in key_names(POLICY):
        monkeypatch.setenv(f"KAMPEKY_KEY_{name.upper()}", "e" * 64)
    monkeypatch.setenv("KAMPEKY_KEY_COMMAND", "echo " + "f" * 64)
    ring = Keyring(Home(home))
    assert ring.get("mart_advertising") == right
    for name in set(key_names(POLICY)) - {"mart_advertising"}:
        with pytest.raises(KampekyError, match=rf"Your role 'marketing' does not hold the key '{name}':.*\[C-4\]"):
            ring.get(name)


def test_with_a_role_file_no_key_is_made_and_no_role_written(home, tmp_path, role_of):
    role_of("engineer")
    (home / "keys" / "mart_advertising.key").unlink()
    for command in (["init"], ["keys", "role", "marketing", "--to", tmp_path / "mine"]):
        answer = house.kampeky(*command, "--home", home)
        assert (answer.code in (1, 3), "engineer" in answer.sentence) == (True, True)
    assert not (home / "keys" / "mart_advertising.key").exists()
    assert not (tmp_path / "mine").exists()


def test_keys_list_tells_the_origin_of_each_and_fails_nowhere(home, tmp_path, monkeypatch, role_of):
    def origins() -> dict[str, str]:
        answer = house.kampeky("keys", "list", "--home", home, "--json")
        assert answer.code == 0
        return {row["key"]: row["from"] for row in answer.json}

    role_of("marketing")
    found = origins()
    assert found.pop("mart_advertising") == "role marketing"
    assert all("does not hold the key" in said for said in found.values())
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "nowhere"))
    assert all("KAMPEKY_ROLE_FILE names a file that is not there" in said for said in origins().values())
    monkeypatch.delenv("KAMPEKY_ROLE_FILE")
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "zz")
    (home / "keys" / "vault.key").chmod(0o644)
    (home / "keys" / "zone_analytics.key").unlink()
    found = origins()
    assert "holds no key" in found["raw"]
    assert "may be read by others" in found["vault"]
    assert "is missing" in found["zone_analytics"]
    assert found["domain_analytics"] == "file"


WRONG_ROLES = {
    "no json": "marketing",
    "a list": "[]",
    "no role": '{"keys": {}}',
    "more than a role": '{"role": "marketing", "keys": {}, "also": 1}',
    "keys that are no text": '{"role": "marketing", "keys": {"raw": 1}}',
    "bytes that are no text": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", [*WRONG_ROLES])
def test_a_file_that_is_no_role_file_gives_no_key_and_one_sentence(home, tmp_path, monkeypatch, kind):
    path = house.put(tmp_path / "mine.role", WRONG_ROLES[kind])
    path.chmod(0o600)
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(path))
    answer = house.kampeky("status", "--home", home)
    assert (answer.code, "is no role file" in answer.sentence) == (1, True)


def test_a_role_file_that_others_may_read_is_none(home, role_of):
    role_of("compliance").chmod(0o640)
    assert "may be read by others (mode 0640)" in house.kampeky("status", "--home", home).sentence


@pytest.mark.parametrize("path", ["", "."])
def test_an_empty_role_is_no_way_round_it(home, monkeypatch, path):
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", path)
    assert "names no file" in house.kampeky("status", "--home", home).sentence


def test_a_role_reads_the_marts_that_are_its_own_also_where_no_key_closes_them(home, role_of):
    house.make_mart(home, "analytics", "create table user_profiles as select 1 as n")
    house.make_mart(home, "advertising", "create table ad_profiles as select 1 as n")
    queries = {"analytics": "from user_profiles", "advertising": "from ad_profiles"}
    assert [house.kampeky("sql", purpose, query, "--home", home).code for purpose, query in queries.items()] == [0, 0]
    for role in POLICY.roles:
        role_of(role)
        for purpose, query in queries.items():
            answer = house.kampeky("sql", purpose, query, "--home", home)
            if POLICY.purposes[purpose].audience == role:
                assert answer.code == 0
            else:
                assert (answer.code, f"your role is '{role}'" in answer.sentence) == (3, True)


# ---------------------------------------------------------------- a secret manager


MANAGER = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
echo "a secret of the manager" >&2
{act}
"""


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A secret manager that does what the test says."""

    def stand_for(act: str, words: str = "read --field 'the key'") -> Path:
        program = house.put(tmp_path / "a folder" / "manager", MANAGER.format(act=act))
        program.chmod(0o755)
        monkeypatch.setenv("KAMPEKY_KEY_COMMAND", f"'{program}' {words}")
        return program.with_name("asked")

    return stand_for


def test_a_command_is_asked_for_each_key_by_its_name_and_no_file_is_read_nor_written(tmp_path, manager):
    asked = manager('case "$4" in raw) echo ' + "A" * 64 + ";; *) printf %s " + "b" * 64 + ";; esac")
    made = house.kampeky("init", "--home", tmp_path / "home", "--json").json
    assert made["keys_made"] == []
    assert list((tmp_path / "home" / "keys").iterdir()) == []
    ring = Keyring(Home(tmp_path / "home"))
    house.put(tmp_path / "home" / "keys" / "raw.key", "c" * 64)
    assert (ring.get("raw"), ring.get("zone_analytics")) == ("a" * 64, "b" * 64)
    assert asked.read_text().splitlines()[-2:] == ["read --field the key raw", "read --field the key zone_analytics"]
    origins = {row["key"]: row["from"] for row in house.kampeky("keys", "list", "--home", tmp_path / "home", "--json").json}
    assert set(origins.values()) == {"command"}


def test_the_environment_wins_over_a_command_which_does_not_see_the_keys_in_it(home, manager, monkeypatch):
    asked = manager('env > "$(dirname "$0")/env"; echo ' + "b" * 64)
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "a" * 64)
    assert Keyring(Home(home)).get("raw") == "a" * 64
    assert not asked.exists()
    assert Keyring(Home(home)).get("vault") == "b" * 64
    assert "KAMPEKY_KEY" not in asked.with_name("env").read_text()


FAILURES = {
    "an exit code": ("echo " + "d" * 64 + "; exit 3", "ended with code 3"),
    "no key": ("true", "printed for 'raw' holds no key"),
    "two keys": ("echo " + "d" * 64 + "; echo " + "d" * 64, "printed for 'raw' holds no key"),
    "no text": ("printf '\\377'", "printed for 'raw' holds no key"),
    "a signal": ("kill -9 $$", "ended with code -9"),
}


@pytest.mark.parametrize("kind", [*FAILURES])
def test_a_command_that_gives_no_key_is_one_sentence_without_what_it_printed_and_no_file_steps_in(home, manager, kind):
    act, words = FAILURES[kind]
    manager(act)
    answer = house.kampeky("status", "--home", home)
    assert (answer.code, words in answer.sentence) == (1, True)
    assert "secret of the manager" not in answer.err
    assert not HEX.search(answer.sentence.replace(str(home), ""))


@pytest.mark.parametrize("command", ["", "   ", "/nowhere/at/all", "'unclosed", "/"])
def test_a_command_that_cannot_be_run_is_one_sentence_that_does_not_repeat_it(home, monkeypatch, command):
    monkeypatch.setenv("KAMPEKY_KEY_COMMAND", command)
    answer = house.kampeky("status", "--home", home)
    assert (answer.code, "KAMPEKY_KEY_COMMAND" in answer.sentence, "nowhere" in answer.sentence) == (1, True, False)


def test_no_shell_reads_the_command(home, tmp_path, monkeypatch):
    monkeypatch.setenv("KAMPEKY_KEY_COMMAND", f"/bin/echo {'a' * 64} ; touch {tmp_path / 'made'}")
    assert house.kampeky("status", "--home", home).code == 1
    assert not (tmp_path / "made").exists()


def test_a_command_that_waits_is_ended_with_all_that_it_started(home, tmp_path, manager, monkeypatch):
    monkeypatch.setattr("pipelines.keys.sources.PATIENCE_SECONDS", 1)
    manager(f"sleep 60 & echo $! > '{tmp_path}/child'; sleep 60")
    begun = time.monotonic()
    answer = house.kampeky("status", "--home", home)
    assert (answer.code, "within 1 seconds" in answer.sentence) == (1, True)
    assert time.monotonic() - begun < 20
    state = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
