"""Nothing personal stands where it should not: the whole of a home is decoded and searched, and what is said aloud is listened to.

The members of the town carry words of their own in every direct column. Those words may stand in raw, in the vault and in the member's
own package; in zones, marts, evidence, logs, names of files, and in the plain bytes of any store they must not.
"""

from __future__ import annotations

import hashlib
import json
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from small_market import SAID, at, contents, copy_home, database, key, pseudonyms, raw, shared_town, undrawn

from pipelines.evidence import ledger
from pipelines.foundation.home import Home
from pipelines.workflows import holds, requests, verify
from pipelines.workflows.status import status

ME = "kqxstay-id"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The town with a package in the outbox, a hold, and everything that was written down on the way."""
    home = copy_home(shared_town(tmp_path_factory), tmp_path_factory.mktemp("privacy") / "home")
    opened = requests.open_request(home, "portability", ME, None, at("2026-01-09 14:00"))
    requests.process(home, opened["request_id"], at("2026-01-09 14:00"))
    holds.place(home, "members", "kqxother-id", "claim 7", at("2026-12-01").date(), at("2026-01-09"))
    return home


def needles(home) -> list[str]:
    made = [str(p) for purpose in ("analytics", "advertising") for p in pseudonyms(home, purpose).values()]
    return ["kqx", *made, *(p.replace("-", "") for p in made)]


def lines(home, content) -> set[str]:
    """What stands in a place, value by value; but of the zone and the mart of security the addresses, by which an attack is seen (C-2.1)."""
    identified = content.place.startswith(("zones/pseudonymised/security", "marts/security"))
    return set(content.text.split("\n")) - ({ip for (ip,) in raw(home, "access_logs", "ip")} if identified else set())


def test_members_words_stand_in_raw_vault_and_outbox_only(home):
    places = {content.place for content in contents(home) if any("kqx" in undrawn(line).lower() for line in lines(home, content))}
    assert {place.split("/")[0] + "/" + place.split("/")[1] for place in places if place.startswith("zones")} == {"zones/raw", "zones/vault"}
    assert {place.split("/")[0] for place in places} == {"zones", "outbox"}


def test_no_direct_value_of_raw_stands_in_a_zone_or_a_mart(home):
    """Value by value: every text of every direct or free column of raw, compared with every text of zones and marts."""
    columns_of = {
        "members": "member_id, member_name, email, first_name, last_name, picture_url, about, street, postcode, city, account_holder, iban",
        "usage_events": "device_id, member_id, page, user_agent", "access_logs": "ip, member_id, path, user_agent",
        "consents": "member_id, device_id, user_agent", "forum_posts": "author_id, body", "transactions": "buyer_id, seller_id, offer_id"}
    direct = set()
    for dataset, columns in columns_of.items():
        direct |= {value for row in raw(home, dataset, columns) for value in row if value is not None and len(value) > 4}
    assert len(direct) > 100
    told = {line for c in contents(home) if c.place.startswith(("zones/pseudonymised", "marts")) for line in lines(home, c)}
    assert not direct & told and len(told) > 100
    assert direct & {line for c in contents(home) if c.place.startswith("zones/raw") for line in c.text.split("\n")} == direct


def test_nothing_of_the_kinds_that_feed_no_profile_is_in_a_mart(home):
    """C-3.3a: transactions, messages, payment, address, place and text do not flow in."""
    columns = set()
    for purpose in ("analytics", "advertising"):
        with database(home.root / "marts" / f"{purpose}.duckdb", None if purpose == "analytics" else key(home, f"mart_{purpose}")) as connection:
            columns |= {c for (c,) in connection.execute("select column_name from duckdb_columns() where database_name = 'db'").fetchall()}
    words = {"price", "transaction", "offer", "card", "city", "street", "postcode", "country", "iban", "email", "mail", "name", "body", "text",
             "about", "friends", "birthday", "member", "ip", "page", "path", "url"}
    assert not [column for column in columns if words & set(column.split("_")) and not column.endswith("_count")]  # how many, of nobody
    assert "age_band" in columns and "forum_activity" in columns


def test_stores_show_nothing_to_who_has_no_key(home):
    words = [needle.encode() for needle in needles(home)[1:]] + [name.encode() for (name,) in raw(home, "members", "member_id")]
    seen = 0
    for path in sorted(p for p in home.root.rglob("*") if p.is_file()):
        if path.suffix in (".parquet", ".duckdb") and path.name != "analytics.duckdb":
            content = path.read_bytes().lower()
            assert not [word for word in words if word in content], path.name
            assert b"member_id" not in content and b"pseudonym" not in content, f"{path.name} shows names of columns"
            seen += 1
    assert seen > 15
    assert b"pseudonym" in (home.root / "marts" / "analytics.duckdb").read_bytes()  # the same look at the one plain mart sees one


def test_evidence_and_names_of_files_hold_no_id_and_no_pseudonym(home):
    words = needles(home)
    evidence = [c for c in contents(home) if c.place.startswith(("evidence", "locks", "home.json"))]
    assert any("request received" in c.text for c in evidence) and any("hold placed" in c.text for c in evidence)
    assert not [c.place for c in evidence for word in words if word in c.text.lower()]
    assert not [p.name for p in home.root.rglob("*") for word in words if word in p.name.lower()]
    assert ledger.check(home)[0][1]


def test_what_is_logged_printed_and_answered_names_nobody(home, tmp_path_factory):
    aloud = (shared_town(tmp_path_factory).root.parent / SAID).read_text()
    answers = [requests.list_requests(home), holds.list_holds(home), status(home, at("2026-04-10"))]
    said = "\n".join([aloud, *map(str, answers)]).replace(str(home.root), "").lower()
    assert "members pass the gate" in said and "objection" in said
    assert not [word for word in needles(home) if word in said]


def test_folders_and_files_are_for_their_owner(home):
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in home.root.rglob("*")}
    assert {mode for path, mode in modes.items() if path.suffix == ".key"} == {0o600}
    assert modes[home.root / "zones" / "vault" / "vault.duckdb"] == modes[home.root / "evidence" / "ledger.jsonl"] == 0o600
    assert {mode for path, mode in modes.items() if path.suffix == ".duckdb" and "marts" in path.parts} == {0o640}
    for name in ("keys", "zones", "evidence", "outbox", "tmp", "zones/vault", "zones/raw"):
        assert modes[home.root / name] == 0o700, name


# ---------------------------------------------------------------- a package that was touched


@pytest.fixture(scope="module")
def package(home):
    return next((home.root / "outbox").glob("R-*.zip"))


def packed(source: Path, target: Path, change) -> Path:
    """A copy of a package whose files went through `change` (name → bytes)."""
    with zipfile.ZipFile(source) as package:
        files = {name: package.read(name) for name in package.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return target


def ok(path: Path, home: Home | None = None) -> bool:
    """Whether the package is whole in itself; with a home, also whether it was made there."""
    return verify.verify(home or Home(path.parent / "no home"), "export", path)["ok"]


def test_a_package_as_it_was_made_is_whole(package, tmp_path):
    assert ok(package)
    assert ok(packed(package, tmp_path / "same.zip", lambda files: None)), "packed anew with the same files it still is"


def test_a_package_that_was_changed_with_its_manifest_is_not_the_one_that_was_made(home, package, tmp_path):
    def change(files):
        files["members.csv"] += b"kqx"
        manifest = json.loads(files["manifest.json"])
        for entry in manifest["files"]:
            entry |= {"sha256": hashlib.sha256(files[entry["path"]]).hexdigest(), "bytes": len(files[entry["path"]])}
        files["manifest.json"] = json.dumps(manifest).encode()

    changed = packed(package, tmp_path / "changed.zip", change)
    assert ok(changed), "in itself it is whole"
    assert not ok(changed, home)
    assert ok(package, home)


@pytest.mark.parametrize("change", [
    lambda files: files.update({"members.json": files["members.json"].replace(b"kqxstayname", b"kqxstaynamf")}),
    lambda files: files.update({"members.json": files["members.json"] + b" "}),
    lambda files: files.update({"more.csv": b"a,b\n"}), lambda files: files.pop("transactions.csv"), lambda files: files.pop("datapackage.json"),
    lambda files: files.pop("manifest.json"), lambda files: files.update({"manifest.json": b"{}"}),
    lambda files: files.update({"members.csv": files["members.json"], "members.json": files["members.csv"]}),
    lambda files: files.update({"datapackage.json": files["datapackage.json"].replace(b"members.csv", b"numbers.csv")})],
    ids=["a byte changed", "a byte added", "a file more", "a file less", "no description", "no manifest", "an empty manifest",
         "two files changed places", "a description of another file"])
def test_a_package_is_not_whole_with(package, tmp_path, change):
    assert not ok(packed(package, tmp_path / "touched.zip", change))


def test_a_package_is_not_whole_with_a_second_file_under_a_name_that_is_there(package, tmp_path):
    """Programs differ in which of the two they unpack."""
    with zipfile.ZipFile(package) as given, zipfile.ZipFile(tmp_path / "twice.zip", "w") as made:
        made.writestr("members.json", "[]")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the duplicate name
            for name in given.namelist():
                made.writestr(name, given.read(name))
    assert not ok(tmp_path / "twice.zip")


def test_a_flipped_byte_anywhere_is_a_no_or_changes_nothing(package, tmp_path):
    content, touched = package.read_bytes(), tmp_path / "touched.zip"
    with zipfile.ZipFile(package) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    refused = 0
    for place in range(0, len(content), 29):
        touched.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1:])
        if ok(touched):
            with zipfile.ZipFile(touched) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == files, f"byte {place}"
        else:
            refused += 1
    assert refused > len(content) / 29 / 2
