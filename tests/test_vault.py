"""The vault: salts of members and of visitors, what is made of them, and that nothing is once they are gone (C-3.3b, C-10.9)."""

from __future__ import annotations

import hmac
import uuid
from pathlib import Path

import pytest
from small_market import Market, at, fill_zone, key, members_in, new_home, pseudonyms, run_retention, vault, where_found

from pipelines.engines.duckdb_engine import connect
from pipelines.identity.pseudonyms import device_pseudonym, pseudonym, set_domain, visitor_pseudonym
from pipelines.identity.vault import give_salts, give_visitor_salts, opened_vault
from pipelines.retention.plan import make_plan
from pipelines.workflows import holds
from pipelines.workflows.rules import rules

MARCH, APRIL = "2026-03-10 12:00", "2026-04-12"
DOMAINS = ("analytics", "advertising")


@pytest.fixture
def home(tmp_path):
    return new_home(tmp_path / "home")


def give(home, members=(), devices=()) -> tuple[int, int]:
    """Salts for these; how many of either were new."""
    with opened_vault(home, "test", write=True) as connection:
        return (give_salts(connection, f"select unnest({list(members)}::varchar[]) as member_id"),
                give_visitor_salts(connection, f"select unnest({list(devices)}::varchar[]) as device_id"))


def visitors(home) -> dict[str, bytes]:
    return dict(vault(home, "select device_id, salt from db.visitors"))


def made(home, purpose: str) -> dict[str, uuid.UUID]:
    """Every pseudonym that SQL makes in that domain: of each member, each visitor, and each device in the hands of each member."""
    with opened_vault(home, "test", write=True) as connection:
        set_domain(connection, home, purpose, first=True)
        return dict(connection.execute(f"""
            select 'member ' || member_id, {pseudonym('salt', 'member_id')} from vault.subjects
            union all select 'visitor ' || device_id, {visitor_pseudonym('salt', 'device_id')} from vault.visitors
            union all select member_id || ' on ' || device_id, {device_pseudonym('s.salt', 'member_id', 'device_id')}
            from vault.subjects as s, vault.visitors""").fetchall())


def test_a_device_is_given_one_salt_once_and_a_member_another_even_under_the_same_name(home):
    assert give(home, ["a", "same"], ["same", "same", "d2"]) == (2, 2)
    before = visitors(home)
    assert give(home, ["same"], ["same", "d3"]) == (0, 1)
    assert {name: visitors(home)[name] for name in before} == before
    assert {len(salt) for salt in visitors(home).values()} == {16}
    salts = [*visitors(home).values(), *(salt for (salt,) in vault(home, "select salt from db.subjects"))]
    assert len(set(salts)) == len(salts) == 5


def test_a_row_without_a_device_is_given_no_salt(home):
    with opened_vault(home, "test", write=True) as connection:
        assert give_visitor_salts(connection, "select unnest([null, 'd1', null]) as device_id") == 1
    assert set(visitors(home)) == {"d1"}


def test_visitors_members_and_their_devices_have_pseudonyms_of_which_no_two_are_equal_in_any_domain(home):
    give(home, ["a", "b", "same"], ["same", "d2", "a"])
    found = {(purpose, name): value for purpose in DOMAINS for name, value in made(home, purpose).items()}
    assert len(found) == len(set(found.values())) == 2 * (3 + 3 + 9)


def test_the_pseudonyms_are_the_hmac_of_salt_and_name_under_the_purposes_own_secret(home):
    give(home, ["a"], ["d1"])
    salts = dict(vault(home, "select member_id, salt from db.subjects")) | visitors(home)
    for purpose in DOMAINS:
        secret = hmac.digest(bytes.fromhex(key(home, f"domain_{purpose}")), b"pseudonyms", "sha256")
        by_hand = {name: uuid.UUID(bytes=hmac.digest(secret, salts[salt] + message, "sha256")[:16]) for name, salt, message in (
            ("member a", "a", b"a"), ("visitor d1", "d1", b"visitor:d1"), ("a on d1", "a", b"device:a:d1"))}
        assert made(home, purpose) == by_hand


def test_without_its_salt_a_visitor_cannot_be_recognised_again(home):
    give(home, ["a"], ["d1", "d2"])
    before = made(home, "analytics")
    with opened_vault(home, "test", write=True) as connection:
        connection.execute("delete from vault.visitors where device_id = 'd1'")
    give(home, [], ["d1"])
    after = made(home, "analytics")
    assert {name for name in before if before[name] != after[name]} == {"visitor d1"}
    assert before["visitor d1"] not in after.values()


# ---------------------------------------------------------------- with the data


@pytest.fixture
def market(home):
    """Devices of which, on APRIL, nothing, something, or a member's rows alone are left."""
    market = Market().member("stay").member("other")
    early, late = "2025-03-10 12:00", "2026-04-01 12:00"  # thirteen months are over; they are not
    for device, member, when in (("v-old", None, early), ("v-both", None, early), ("v-both", None, late), ("v-new", None, late),
                                 ("v-held", None, early), ("shared", "stay", late), ("shared", None, early), ("v-waits", None, early)):
        market.event(device, member, device, when, "necessary")
    market.consent(None, "v-waits", "refused", late).consent(None, "v-no", "granted", late)
    market.load(home, "2026-04-02", door=False)
    held = next(event for event, device in _events(home) if device == "v-held")
    holds.place(home, "usage_events", held, "claim 7", at("2026-12-01").date(), at("2026-04-02"))
    give(home, ["stay", "other"], ["v-old", "v-both", "v-new", "v-held", "shared", "v-waits", "v-no", "v-never"])
    return market


def _events(home):
    from small_market import raw

    return raw(home, "usage_events", "event_id, device_id")


def test_a_visitors_salt_ends_with_the_last_row_of_the_visitor_and_the_plan_counts_it(home, market):
    plan = {entry["dataset"]: entry["due"] for entry in make_plan(home, rules(), at(APRIL))["datasets"] if entry["zone"] == "vault"}
    assert plan["visitors"] == 3
    members = vault(home, "select * from db.subjects order by 1")
    salts = visitors(home)
    run_retention(home, APRIL)
    left = visitors(home)
    assert set(left) == {"v-both", "v-new", "v-held", "v-waits", "v-no"}  # gone: v-old, v-never, and shared, of which a member's row is left
    assert left == {device: salts[device] for device in left}
    assert vault(home, "select * from db.subjects order by 1") == members
    again = {entry["dataset"]: entry["due"] for entry in make_plan(home, rules(), at(APRIL))["datasets"] if entry["zone"] == "vault"}
    assert again["visitors"] == 0


def test_a_visitors_salt_ends_with_the_withdrawal_that_takes_the_visitors_rows(home):
    Market().member("a").consent(None, "v1", "granted", "2026-02-01").event("seen", None, "v1", "2026-02-02").load(home, "2026-02-03")
    give(home, [], ["v1"])
    Market("late").consent(None, "v1", "withdrawn", "2026-03-01").load(home, "2026-03-02")
    run_retention(home, "2026-03-05")
    assert _events(home) == []
    assert set(visitors(home)) == {"v1"}  # the record of the withdrawal is the visitor's, too
    run_retention(home, "2027-04-05")
    assert visitors(home) == {}


def test_a_plan_on_a_vault_of_an_earlier_version_counts_no_visitors_and_writes_nothing(home, market):
    with opened_vault(home, "test", write=True) as connection:
        connection.execute("drop table vault.visitors")
    plan = {entry["dataset"]: entry["due"] for entry in make_plan(home, rules(), at(APRIL))["datasets"] if entry["zone"] == "vault"}
    assert plan["visitors"] == 0
    assert vault(home, "select table_name from duckdb_tables() where database_name = 'db' and table_name = 'visitors'") == []
    run_retention(home, APRIL)
    assert visitors(home) == {}


# ---------------------------------------------------------------- what is left when a salt is gone


def test_after_retention_nothing_on_disk_nor_all_keys_together_give_a_gone_members_pseudonym_again(home):
    """Everything that is left is tried as a salt: with all keys in hand and the member's id known, none gives the pseudonym (C-3.3b, C-10.4)."""
    Market().member("stay").member("kqxgone", deleted_at="2026-01-05T10:00:00Z").load(home, "2026-01-04")
    for purpose in DOMAINS:
        fill_zone(home, purpose, "2026-01-04")
    before = {purpose: pseudonyms(home, purpose) for purpose in DOMAINS}
    salt = vault(home, "select salt from db.subjects where member_id = 'kqxgone'")[0][0]
    assert members_in(home, "analytics") == {"stay", "kqxgone"}
    run_retention(home, "2026-04-06")
    assert {member for (member,) in vault(home, "select member_id from db.subjects")} == {"stay"}
    gone = {f"{purpose} pseudonym": str(before[purpose]["kqxgone"]) for purpose in DOMAINS} | {"id": "kqxgone"}
    assert where_found(home, gone) == {name: set() for name in gone}
    assert _holders(home.root, salt) == []
    # the same id given again is somebody else, and the other member is who they were
    Market("again").member("kqxgone", registered_at="2026-04-06T08:00:00Z", updated_at="2026-04-06T08:00:00Z").load(home, "2026-04-07")
    for purpose in DOMAINS:
        fill_zone(home, purpose, "2026-04-07")
        after = pseudonyms(home, purpose)
        assert after["kqxgone"] not in before[purpose].values()
        assert after["stay"] == before[purpose]["stay"]


def _holders(folder: Path, value: bytes) -> list[Path]:
    """Files that hold those bytes: in clear, or as a value of any table of the vault."""
    found = [path for path in folder.rglob("*") if path.is_file() and value in path.read_bytes()]
    connection = connect(folder / "tmp", extensions=("httpfs",))
    secret = (folder / "keys" / "vault.key").read_text().strip()
    for path in (folder / "zones" / "vault").glob("*"):
        connection.execute(f"attach '{path}' as v (read_only, encryption_key '{secret}')")
        columns = connection.execute("select table_name, column_name, data_type from duckdb_columns() where database_name = 'v'").fetchall()
        for table, column, kind in columns:
            written = f'"{column}"' if kind == "BLOB" else f'encode("{column}"::varchar)'
            if connection.execute(f'select 1 from v."{table}" where {written}::varchar = ?::blob::varchar', [value]).fetchone():
                found.append(path)
        connection.execute("detach v")
    return found
