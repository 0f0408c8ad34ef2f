"""Over random histories the zones of all purposes hold exactly what the simple reference lets in, and no refusal ever adds a row (CLAUSES, Gate).

Each home holds hundreds of households, each with a history of its own; Hypothesis draws the worlds.
"""

from __future__ import annotations

import hmac
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import date

import pytest
from gate_reference import BUILD, DECIDED, HOUSEHOLDS, PURPOSES, Decision, World, add_decisions, day_of, differing, instants, market_of, random_world
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_market import Market, at, database, fill_zone, key, lake, new_home, query, vault

from pipelines.foundation.home import PROJECT
from pipelines.identity.vault import opened_vault
from pipelines.keys.keyring import Keyring, domain_key, zone_key
from pipelines.lake.store import purpose_lake
from pipelines.transformation.dbt_build import build_models
from pipelines.transformation.publish import mart_tables

SEEDS = st.integers(0, 2**32)
LONG = 17  # worlds of the long run: 17 × 300 histories


def home_of(world: World, folder):
    home = new_home(folder / "home")
    Keyring(home).make(tuple(name for purpose in PURPOSES for name in (zone_key(purpose), domain_key(purpose))))
    market_of(world).load(home, BUILD, door=False)
    refuse(home, world.refused)
    return home


def refuse(home, refused: list[tuple[str, str | None]]) -> None:
    """As requests put them down, all at once."""
    with opened_vault(home, "test", write=True) as connection:
        for member, purpose in refused:
            connection.execute("insert into vault.refusals values ('R-x', ?, ?, ?, ?)",
                               [member, "objection" if purpose else "restriction", purpose, BUILD])


class Seen:
    """The zone of a purpose, with the names of its members and devices put back by recomputing them."""

    def __init__(self, home, world: World, purpose: str) -> None:
        self.home, self.purpose = home, purpose
        secret = hmac.digest(bytes.fromhex(key(home, f"domain_{purpose}")), b"pseudonyms", "sha256")
        salts = dict(vault(home, "select member_id, salt from db.subjects"))
        visitors = dict(vault(home, "select device_id, salt from db.visitors"))

        def made(salt: bytes, message: str) -> uuid.UUID:
            return uuid.UUID(bytes=hmac.digest(secret, salt + message.encode(), "sha256")[:16])

        self.names = {None: None, **{made(salt, member): member for member, salt in salts.items()}}
        self.devices = {None: None, **{made(salt, f"visitor:{device}"): device for device, salt in visitors.items()}}
        self.devices |= {made(salts[e.member], f"device:{e.member}:{e.device}"): e.device for e in world.events if e.member in salts}

    def rows(self, dataset: str, *columns: str) -> list[tuple]:
        return query(self.home, f"pseudonymised/{self.purpose}", f"select {', '.join(columns)} from lake.main.{dataset}")


def check(home, world: World, purpose: str) -> None:
    """Every dataset of the purpose, against the reference."""
    fill_zone(home, purpose, BUILD)
    seen = Seen(home, world, purpose)
    if purpose != "improvement":  # has no members
        assert {seen.names[p] for (p,) in seen.rows("members", "pseudonym")} == world.in_purpose(purpose)
    if purpose == "advertising":  # a record of consent is in if it is the grant that runs (C-3.3c)
        assert {seen.names[p] for (p,) in seen.rows("consents", "pseudonym")} == world.expected_audience() != set()
    if purpose in ("analytics", "advertising"):
        found, wanted = {mark for (mark,) in seen.rows("usage_events", "item_category")}, world.expected_marks(purpose)
        assert found == wanted, differing(world, found, wanted, purpose)
        assert len(wanted) > HOUSEHOLDS // 20, "the histories are rich enough to let something in"
    if purpose in ("analytics", "advertising", "improvement"):
        found = Counter((seen.names[p], seen.devices[d], day) for p, d, day in seen.rows("usage_events", "pseudonym", "device_key", "paris_day"))
        assert found == world.expected_devices(purpose)
        assert sum(device is None for _, device, _ in found) > 0 and sum(bool(who and device) for who, device, _ in found) > 0
    if purpose in ("analytics", "security"):
        lines = Counter((seen.names[p], day) for p, day in seen.rows("access_logs", "pseudonym", "paris_day"))
        assert lines == world.expected_lines(purpose) and sum(lines.values()) > 10
    if purpose in ("security", "improvement"):
        assert Counter((seen.names[b], seen.names[s]) for b, s in seen.rows("transactions", "buyer", "seller")) == world.expected_sales(purpose)
    if purpose == "service":
        assert Counter((seen.names[b], None) for (b,) in seen.rows("transactions", "pseudonym")) == world.expected_sales(purpose)
        assert {seen.names[p] for (p,) in seen.rows("locations", "pseudonym")} == world.expected_places()


@settings(max_examples=1, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
@given(seed=SEEDS)
def test_over_random_histories_every_zone_holds_exactly_what_the_reference_lets_in(tmp_path_factory, seed):
    hold_a_world_to_the_reference(tmp_path_factory.mktemp("random"), seed + 1, ("analytics", "advertising"))


@pytest.mark.long
@settings(max_examples=LONG, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
@given(seed=SEEDS)
def test_over_thousands_of_histories_too(tmp_path_factory, seed):
    hold_a_world_to_the_reference(tmp_path_factory.mktemp("many"), seed + 2, PURPOSES)


def hold_a_world_to_the_reference(folder, seed: int, modelled: Sequence[str]) -> None:
    world = random_world(seed)
    home = home_of(world, folder)
    for purpose in PURPOSES:
        check(home, world, purpose)
    and_no_refusal_adds_a_row(home, world, seed, modelled)


def and_no_refusal_adds_a_row(home, world: World, seed: int, modelled: Sequence[str]) -> None:
    """A no of any kind, by whomever and wherever, takes rows away or empties a device, and never brings one, also in the marts of the purposes
    `modelled`; and the reference still agrees."""
    dice, before = random.Random(seed), {purpose: everything(home, purpose) for purpose in PURPOSES}
    marts = {purpose: marts_of(home, purpose) for purpose in modelled}
    households = dice.sample(range(HOUSEHOLDS), HOUSEHOLDS // 2)
    more = [Decision(*dice.choice(((f"m{n}a", None), (None, f"d{n}x"), (f"m{n}b", f"d{n}y"))), dice.choice(DECIDED),
                     dice.choice(("refused", "withdrawn", "granted")), dice.choice(instants(dice)), dice.choice(("default", "pre_ticked_box")))
            for n in households]
    market = Market("more")
    add_decisions(market, more, "more-")
    gone = {f"m{n}b" for n in dice.sample(households, 20) if world.members[f"m{n}b"]["deleted"] is None}
    for member in gone:
        market.member(member, deleted_at="2026-03-09T00:00:00Z", updated_at="2026-03-09T00:00:00Z", age_confirmed=world.members[member]["confirmed"],
                      birthday=_text(world.members[member]["birthday"]))
        world.members[member]["deleted"] = at("2026-03-09 01:00")
    market.load(home, BUILD)
    refused = [(f"m{n}a", dice.choice((None, *PURPOSES))) for n in dice.sample(households, 20)]
    refuse(home, refused)
    world.refused += refused
    for n, decision in zip(households, more, strict=True):
        world.register[n].append(decision)
    for purpose in PURPOSES:
        check(home, world, purpose)
        after = everything(home, purpose)
        for dataset, rows in after.items():
            assert rows <= before[purpose][dataset], (purpose, dataset)
        assert sum(map(len, after.values())) < sum(map(len, before[purpose].values())), "and some are gone"
    for purpose in modelled:
        for mart, rows in marts_of(home, purpose).items():
            assert rows <= marts[purpose][mart], (purpose, mart)


# what a row of a mart about persons is about, beside the person; and of sessions, which of its requests: those of a device that nothing ties to its
# member stand together with another's of the same kind, so a session may fall in two when that device's are gone
GRAIN = {"user_profiles": "", "ad_profiles": "", "offer_matching": "", "trust_signals": "", "email_audience": "channel", "ip_abuse": "requested_on",
         "member_activity_daily": "active_on", "login_anomalies": "requested_on", "sessions": "source, started_week"}
AGGREGATES = {"forum_activity", "cohorts", "ad_segments", "marketplace_sales_daily", "platform_usage_daily"}  # show a total where nobody is missing


def marts_of(home, purpose: str) -> dict[str, Counter]:
    """Mart about persons → grain → rows, of sessions requests; as the models make them, before so few are treated."""
    zone, workdir, secret = purpose_lake(home, purpose), home.tmp / "models", "0" * 64
    build_models(purpose, zone.catalog, zone.key(), workdir / "build.duckdb", secret, day_of(BUILD), workdir, PROJECT / "dbt_project", cell=10,
                 tests=())
    found = {}
    with database(workdir / "build.duckdb", secret) as connection:
        for mart in set(mart_tables(PROJECT / "dbt_project", purpose)) - AGGREGATES:
            grain = ", ".join(filter(None, ("ip" if mart == "ip_abuse" else "pseudonym::varchar", GRAIN[mart])))
            number = "sum(page_count)" if mart == "sessions" else "count(*)"
            rows = connection.execute(f"select {grain}, {number} from db.{mart} group by all").fetchall()
            found[mart] = Counter({row[:-1]: row[-1] for row in rows})
            assert found[mart] or mart in ("login_anomalies", "ip_abuse"), mart
    return found


def _text(day: date | None) -> str | None:
    return day.isoformat() if day else None


def everything(home, purpose: str) -> dict[str, Counter]:
    """Dataset → its rows in the zone; but for the device, which may be emptied."""
    found = {}
    with lake(home, f"pseudonymised/{purpose}") as connection:
        tables: dict[str, list[str]] = {}
        for name, column in connection.execute("select table_name, column_name from duckdb_columns() where database_name = 'lake' "
                                               "and schema_name = 'main' and column_name <> 'device_key'").fetchall():
            tables.setdefault(name, []).append(column)
        for name, columns in tables.items():
            found[name] = Counter(connection.execute(f"select {', '.join(columns)} from lake.main.{name}").fetchall())
    return found
