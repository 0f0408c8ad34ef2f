"""Separation (C-3.3b, C-4): every role file against every store, as the commands open it and as a stranger would; and no two domains share a key.

The stranger has the files of the home, DuckDB and the keys of one role. What a role opens must be what the policy gives it, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path

import house
import pytest
from small_market import Market, copy_home, fill_zone, new_home, pseudonyms, query

from pipelines.engines.duckdb_engine import Error, connect
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import device_pseudonym, pseudonym, set_domain, visitor_pseudonym
from pipelines.identity.vault import give_visitor_salts, opened_vault
from pipelines.keys.keyring import key_names
from pipelines.pseudonymisation.transforms import hashed
from pipelines.workflows.rules import rules

DAY = "2026-03-10"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A home with every store filled: raw, vault, each zone, each mart."""
    home, market = new_home(tmp_path_factory.mktemp("separation") / "home"), Market()
    for name in ("a", "b", "c"):
        market.member(name).sale(f"t-{name}", name, "a" if name != "a" else "b").line(name, "2026-03-01 10:00")
        for kind, cookie in (("analytics_cookies", "analytics"), ("targeting_cookies", "targeting"), ("functional_cookies", "functional")):
            market.consent(name, f"d-{name}", "granted", "2026-02-01", kind).event("seen", name, f"d-{name}", "2026-03-01 10:00", cookie)
        market.consent(None, f"v-{name}", "granted", "2026-02-01").event("seen", None, f"v-{name}", "2026-03-01 10:00")
    market.load(home, DAY)
    for name in rules().policy.built:
        fill_zone(home, name, DAY)
        house.make_mart(home.root, name, "create table people as select 1 as n")
    return home


@pytest.fixture(scope="module")
def role_files(whole, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("roles")
    for role in rules().policy.roles:
        assert house.kampeky("keys", "role", role, "--to", folder / role, "--home", whole.root).code == 0
    return {role: folder / role for role in rules().policy.roles}


def stores() -> dict[str, str | None]:
    """Every store of a home: its name → the key that opens it; none: it is plain."""
    policy = rules().policy
    found: dict[str, str | None] = {"raw": "raw", "vault": "vault"}
    for name, purpose in policy.built.items():
        found |= {f"pseudonymised/{name}": f"zone_{name}", f"marts/{name}": f"mart_{name}" if purpose.published == "encrypted" else None}
    return found


def file_of(home: Home, store: str) -> Path:
    if store == "vault":
        return home.vault
    kind, _, purpose = store.partition("/")
    return home.mart(purpose) if kind == "marts" else home.lake(store) / "catalog.duckdb"


def opens(home: Home, store: str, keys: list[str]) -> bool:
    """Whether DuckDB opens the store's file, or one of its data files, with any of the keys or without one."""
    connection = connect(home.tmp)
    path = file_of(home, store)
    try:
        for key in [None, *keys]:
            options = f", encryption_key '{key}'" if key else ""
            try:
                connection.execute(f"attach '{path}' as tried (read_only{options})")
                connection.execute("detach tried")
                return True
            except Error:
                pass
            for data in sorted(path.parent.rglob("*.parquet")) if path.name == "catalog.duckdb" else []:
                given = f", encryption_config = {{footer_key_value: from_hex('{key}')}}" if key else ""
                try:
                    connection.execute(f"select * from read_parquet('{data}'{given})").fetchall()
                    return True
                except Error:
                    pass
        return False
    finally:
        connection.close()


ROLES = (*rules().policy.roles, "nobody")


@pytest.mark.parametrize("role", ROLES)
def test_with_the_keys_of_a_role_a_stranger_opens_what_the_policy_gives_it_and_the_plain_marts(whole, role_files, role):
    held = [] if role == "nobody" else list(json.loads(role_files[role].read_text())["keys"].values())
    given = () if role == "nobody" else rules().policy.roles[role]
    for store, key in stores().items():
        assert opens(whole, store, held) == (key is None or key in given), (role, store)


def test_who_keeps_every_key_opens_every_store(whole):
    """The control: the stranger's way of opening works."""
    keys = [path.read_text().strip() for path in whole.keys.iterdir()]
    assert [store for store in stores() if not opens(whole, store, keys)] == []


@pytest.mark.parametrize("role", ROLES[:-1])
def test_through_sql_a_role_reads_the_marts_that_are_for_it_also_of_the_plain_ones(whole, role_files, monkeypatch, role):
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(role_files[role]))
    for name, purpose in rules().policy.built.items():
        answer = house.kampeky("sql", name, "select n from people", "--home", whole.root, "--json")
        assert (answer.code == 0) == (purpose.audience == role), (role, name, answer.err)


# command → the keys without which it does nothing
COMMANDS = {
    ("status",): {"raw", "vault"},
    ("request", "list"): {"vault"},
    ("hold", "list"): {"vault"},
    ("quarantine", "list"): {"raw"},
    ("ingest", "members", "FILE"): {"raw"},
    ("build",): {"raw", "vault", "zone"},
    ("retention", "plan"): {"raw", "vault", "zone"},
    ("request", "open", "portability", "--member", "a"): {"raw", "vault"},
}


@pytest.mark.parametrize("words", [*COMMANDS], ids=" ".join)
@pytest.mark.parametrize("role", ROLES[:-1])
def test_a_command_does_nothing_for_a_role_that_lacks_a_key_and_names_the_role(whole, role_files, tmp_path, monkeypatch, role, words):
    home = copy_home(whole, tmp_path / "home") if words[:2] == ("request", "open") else whole
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(role_files[role]))
    file = house.put(tmp_path / "members", house.ndjson([house.member()]))
    answer = house.kampeky(*(word.replace("FILE", str(file)) for word in words), "--home", home.root,
                           *(["--as-of", DAY] if words[0] in ("ingest", "build", "retention", "request") and words[1:2] != ("list",) else []))
    allowed = COMMANDS[words] <= set(rules().policy.roles[role])
    assert answer.code == (0 if allowed else 3), answer.err
    if not allowed:
        assert f"Your role '{role}' does not hold the key" in answer.sentence
        assert all(home.mart(name).exists() for name in rules().policy.built), "who begins nothing takes nothing away"


def test_no_role_holds_keys_of_two_purposes_nor_of_raw_or_vault_beside_a_purpose_nor_any_secret():
    for role, keys in rules().policy.roles.items():
        purposes = {key.partition("_")[2] for key in keys if "_" in key}
        assert len(purposes) <= 1, role
        assert not (purposes and {"raw", "vault"} & set(keys)), role
        assert not [key for key in keys if key.startswith(("domain_", "zone_"))], role


def test_every_store_has_a_key_of_its_own(whole):
    keys = {name: (whole.keys / f"{name}.key").read_text() for name in key_names(rules().policy)}
    assert len(set(keys.values())) == len(keys)


# ---------------------------------------------------------------- pseudonym domains


def uuids_of(home: Home, purpose: str) -> dict[str, set]:
    """Every value that tells persons or devices apart in the purpose's zone, by table and column."""
    columns = query(home, f"pseudonymised/{purpose}", "select table_name, column_name from duckdb_columns() where database_name = 'lake' "
                                                      "and schema_name = 'main' and data_type = 'UUID'")
    return {f"{table}.{column}": {value for (value,) in query(home, f"pseudonymised/{purpose}",
                                                              f'select "{column}" from lake.main."{table}" where "{column}" is not null')}
            for table, column in columns}


def test_two_domains_share_no_pseudonym_no_device_and_no_keyed_hash(whole):
    found = {name: set().union(*uuids_of(whole, name).values()) for name in rules().policy.built}
    assert all(found[name] for name in ("analytics", "advertising")), "nothing to compare"
    seen: set = set()
    for name, values in found.items():
        assert not values & seen, name
        seen |= values


def test_the_same_members_stand_behind_them_so_the_comparison_says_something(whole):
    for name in ("analytics", "advertising"):
        assert set(pseudonyms(whole, name).values()) & set().union(*uuids_of(whole, name).values())


def test_whatever_is_made_of_one_name_in_any_way_in_any_domain_is_never_the_same(whole, tmp_path):
    """One and the same text as member, visitor, device in the hands of a member, and keyed hash of any column, in every domain."""
    home, values = copy_home(whole, tmp_path / "home"), []
    with opened_vault(home, "test", write=True) as connection:
        give_visitor_salts(connection, "select 'a' as device_id")
        for name in rules().policy.built:
            set_domain(connection, home, name)
            values += connection.execute(f"""
                select {pseudonym('s.salt', "'a'")}, {visitor_pseudonym('v.salt', "'a'")}, {device_pseudonym('s.salt', "'a'", "'a'")},
                       {hashed("'device_id'", "'a'")}, {hashed("'ip'", "'a'")}
                from vault.subjects as s, vault.visitors as v where s.member_id = 'a' and v.device_id = 'a'""").fetchall()[0]
    assert len(values) == len(set(values)) == 5 * len(rules().policy.built)
