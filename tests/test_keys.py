"""Keys: made private, kept, taken from the environment first; one that is wrong, missing or malformed is one line that shows none."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import house
import pytest

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
    names = {"raw", "vault", "zone_analytics", "domain_analytics", "zone_advertising", "domain_advertising", "mart_advertising"}
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
    assert len(keys) == 7
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
