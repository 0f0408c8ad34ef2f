"""What a purpose's zone holds: pseudonyms of that purpose alone, columns that its contract lists, values made coarser (C-3.3a, C-3.3b)."""

from __future__ import annotations

import hmac
import uuid
from datetime import date, datetime
from itertools import product
from pathlib import Path

import pytest
import yaml
from small_market import (
    PURPOSES,
    Market,
    at,
    contents,
    copy_home,
    device_key,
    fill_zone,
    iban,
    key,
    marks,
    members_in,
    new_home,
    pseudonyms,
    query,
    stamp,
    undrawn,
    vault,
    zone,
)

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Refused, Unavailable
from pipelines.foundation.home import PROJECT
from pipelines.identity.vault import opened_vault
from pipelines.pseudonymisation import zone as zone_module
from pipelines.pseudonymisation.zone import technical_columns
from pipelines.workflows.rules import rules

BUILD = "2026-03-10 12:00"
TODAY = date(2026, 3, 10)
CANARY = "kqx"  # begins every direct value of one member, and of nobody else

# member: (birthday, band on 10 March 2026)
BANDS = {
    "b18": ("2008-03-10", "18-24"), "b24": ("2001-03-11", "18-24"), "b25": ("2001-03-10", "25-34"), "b34": ("1991-03-11", "25-34"),
    "b35": ("1991-03-10", "35-44"), "b44": ("1981-03-11", "35-44"), "b45": ("1981-03-10", "45-54"), "b54": ("1971-03-11", "45-54"),
    "b55": ("1971-03-10", "55-64"), "b64": ("1961-03-11", "55-64"), "b65": ("1961-03-10", "65+"), "b106": ("1920-01-01", "65+"),
    "leap": ("2000-02-29", "25-34"), "none": (None, None),
}
ROUTES = {  # page: what may pass of it
    "https://www.kampeky.fr/offre/12345?ref=kqx": "offre", "/recherche?q=kqx+kqx": "recherche", "/MEMBRE/kqx": "membre", "/forum#kqx": "forum",
    "/panier": "panier", "/compte/": "compte", "/favoris": "favoris", "/categorie/shoes": "categorie", "/aide": "aide", "/": "home",
    "/kqx": "other", "/offres/1": "other", "/offre%20kqx": "other", "/offre.kqx": "other", "//offre": "other", "kqx": "other",
    "https://www.kampeky.fr": "other", None: None,
}
AGENTS = {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit Mobile/15E148": "mobile",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120 Mobile Safari": "mobile", "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X)": "tablet",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/120": "desktop", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0)": "desktop",
    "Mozilla/5.0 (X11; Linux x86_64)": "desktop", "Mozilla/5.0 (compatible; Googlebot/2.1)": "bot", "curl/8.4.0": "bot",
    "kqx of my own": "other", None: None,
}
REGISTERED = {  # when: its month in Paris
    "2025-12-31T22:59:59+00:00": date(2025, 12, 1), "2025-12-31T23:00:00+00:00": date(2026, 1, 1),
    "2025-06-30T21:59:59+00:00": date(2025, 6, 1), "2025-06-30T22:00:00+00:00": date(2025, 7, 1),
}


def allowlist(purpose: str) -> dict[str, set[str]]:
    """Dataset → columns of its zone table, read from the contracts' YAML: what has no transform for the purpose is not in it."""
    found: dict[str, set[str]] = {}
    for path in (PROJECT / "data_contracts").glob("*.odcs.yaml"):
        table = yaml.safe_load(path.read_text())["schema"][0]
        for column in table["properties"]:
            words = {p["property"]: p["value"] for p in column["customProperties"]}
            transform = words.get("transforms", {}).get(purpose)
            if transform is not None:
                use, given = (transform, {}) if isinstance(transform, str) else (transform["use"], transform)
                name = given.get("as") or {"keep": column["name"], "moment": column["name"]}.get(use, use)
                found.setdefault(table["name"], set()).add(name)
        if table["name"] in found:  # and the days that say when a row ends
            found[table["name"]] |= set(technical_columns(rules().contracts[table["name"]], purpose))
    return found


def moments(purpose: str) -> set[tuple[str, str]]:
    """(table, column) of each time of day that the contracts let into the zone."""
    return {(name, t.output) for name, c in rules().contracts.items() for _, t in c.entering(purpose) if t.use == "moment"}


def structure(home, purpose: str) -> dict[str, dict[str, str]]:
    rows = query(home, f"pseudonymised/{purpose}", "select table_name, column_name, data_type from duckdb_columns() where database_name = 'lake' "
                                                   "and schema_name = 'main'")
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def everything(home, purpose: str) -> dict[str, list[tuple]]:
    return {table: zone(home, purpose, table) for table in structure(home, purpose)}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home, market, early = new_home(tmp_path_factory.mktemp("pseudonyms") / "home"), Market(), Market("early")
    for member, (birthday, _) in BANDS.items():
        market.member(member, birthday=birthday)
    for n, when in enumerate(REGISTERED):
        market.member(f"r{n}", registered_at=when)
    market.member(f"{CANARY}-id", member_name=f"{CANARY} name", email=f"{CANARY}@kqx.example", first_name=f"{CANARY} first",
                  last_name=f"{CANARY} last", picture_url=f"https://img.example/{CANARY}.jpg", about=f"{CANARY} about me",
                  street=f"1 rue {CANARY}", postcode=f"{CANARY}75001", city=f"{CANARY}ville", country="FR",
                  account_holder=f"{CANARY} holder", iban=iban(CANARY), friends_count=424242,
                  gender="female", last_active_on="2026-02-14", birthday="1987-11-23", registered_at=stamp("2024-05-06 07:08"))
    # under functional cookies a device is known to be a member's; b25 gave none on the other's device
    market.consent(f"{CANARY}-id", f"{CANARY}-device", "granted", "2026-01-01", "functional_cookies")
    early.consent("b25", "d-b25", "granted", "2025-12-01", "functional_cookies")
    for purpose, cookie, kind in (("analytics", "analytics", "analytics_cookies"), ("advertising", "targeting", "targeting_cookies")):
        market.consent(f"{CANARY}-id", f"{CANARY}-device", "granted", "2026-01-01", kind, user_agent=f"{CANARY} agent")
        market.consent("b25", f"{CANARY}-device", "granted", "2026-01-01", kind)
        early.consent("b25", "d-b25", "granted", "2025-12-01", kind)
        for member in (f"{CANARY}-id", "b25"):
            market.event(f"{purpose} {member == 'b25'}", member, f"{CANARY}-device", "2026-03-01 10:00", cookie, page=f"/{CANARY}",
                         user_agent=f"{CANARY} agent")
        early.event(f"old {purpose}", "b25", "d-b25", "2026-02-08", cookie, page="/aide", user_agent="curl/8")
        early.event(f"kept {purpose}", "b25", "d-b25", "2026-02-09 00:00", cookie, page="/aide", user_agent="curl/8")
        market.event(f"night {purpose}", "b25", "d-b25", "2026-02-28T23:30:00+00:00", cookie)
    for n, page in enumerate(ROUTES):
        market.event(f"route {n}", "b25", "d-b25", "2026-03-02", page=page)
    for n, agent in enumerate(AGENTS):
        market.event(f"agent {n}", "b25", "d-b25", "2026-03-02", user_agent=agent)
    market.post(f"{CANARY}-post", f"{CANARY}-id", f"{CANARY}-thread", "2026-01-01 00:30", body=f"{CANARY} body", forum_category="coats")
    market.sale(f"{CANARY}-sale", f"{CANARY}-id", "b25", offer_id=f"{CANARY}-offer", item_category=f"{CANARY}-goods", card_last4="4242",
                price_eur="987.65")
    market.consent(f"{CANARY}-id", None, "granted", "2026-01-01", "log_profiling", method="settings_page")
    market.line(f"{CANARY}-id", "2026-03-05 10:00", f"/compte/{CANARY}?a={CANARY}", f"{CANARY}.example.net", f"{CANARY} agent")
    early.load(home, "2026-02-10")  # when their access data were young: no retention has run since
    balances = market.load(home, BUILD)
    assert not [b for b in balances.values() if b["loaded"] != b["read"]]
    for purpose in PURPOSES:
        fill_zone(home, purpose, BUILD)
    return home


def by_member(home, purpose: str, column: str) -> dict[str, object]:
    names = {value: member for member, value in pseudonyms(home, purpose).items()}
    return {names[p]: value for p, value in zone(home, purpose, "members", f"pseudonym, {column}")}


# ---------------------------------------------------------------- pseudonyms


def test_a_pseudonym_is_the_hmac_of_salt_and_id_under_the_purposes_own_secret(home):
    for purpose in PURPOSES:
        made = pseudonyms(home, purpose)  # with Python's hmac
        assert {p for (p,) in zone(home, purpose, "members", "pseudonym")} == set(made.values())
        assert len(set(made.values())) == len(made) == len(BANDS) + len(REGISTERED) + 1
        assert {p for (p,) in zone(home, purpose, "forum_posts", "pseudonym")} == {made[f"{CANARY}-id"]}
        keys = {k for (k,) in zone(home, purpose, "usage_events", "device_key")}
        assert keys == {None, device_key(home, purpose, f"{CANARY}-device", f"{CANARY}-id"), device_key(home, purpose, "d-b25", "b25")}
    assert {len(salt) for (salt,) in vault(home, "select salt from db.subjects")} == {16}


def test_the_two_purposes_know_every_member_and_device_under_another_name(home):
    one, other = pseudonyms(home, "analytics"), pseudonyms(home, "advertising")
    assert one.keys() == other.keys() and all(one[m] != other[m] for m in one)
    assert not set(one.values()) & set(other.values())


def test_no_pair_of_columns_joins_the_two_purposes_but_coarse_facts(home):
    columns = {purpose: [(t, c, k) for t, cs in structure(home, purpose).items() for c, k in cs.items()] for purpose in PURPOSES}
    values = {(purpose, t, c): {str(v).lower() for (v,) in zone(home, purpose, t, f'"{c}"') if v is not None}
              for purpose in PURPOSES for t, c, _ in columns[purpose]}
    identifying = {c for purpose in PURPOSES for _, c, kind in columns[purpose] if kind == "UUID"}
    assert identifying == {"pseudonym", "device_key"}
    compared = 0
    for (t1, c1, k1), (t2, c2, k2) in product(columns["analytics"], columns["advertising"]):
        shared = values["analytics", t1, c1] & values["advertising", t2, c2]
        compared += 1
        if "UUID" in (k1, k2):
            assert not shared, f"analytics.{t1}.{c1} and advertising.{t2}.{c2} share {len(shared)} values"
        elif c1 != "item_category":  # of this test, its marks
            assert len(shared) <= 8, f"analytics.{t1}.{c1} and advertising.{t2}.{c2} share {len(shared)} values: fine enough to link"
    assert compared > 100


def test_neither_zone_holds_a_pseudonym_of_the_other_anywhere(home):
    told = contents(home)
    for purpose, other in (PURPOSES, PURPOSES[::-1]):
        inside = [c.text for c in told if c.place.startswith(f"zones/pseudonymised/{purpose}/")]
        foreign = [*pseudonyms(home, other).values(), device_key(home, other, "d-b25", "b25")]
        assert not [v for v in foreign for text in inside if str(v) in text or v.hex in text]
        assert any(str(v) in text for v in pseudonyms(home, purpose).values() for text in inside)  # its own are found by the same look


def test_pseudonyms_are_the_same_in_every_build(home, tmp_path):
    again = copy_home(home, tmp_path / "home")
    for purpose in PURPOSES:
        before = everything(again, purpose)
        fill_zone(again, purpose, BUILD)
        assert everything(again, purpose) == before


def test_without_the_salt_a_pseudonym_cannot_be_made_again_and_the_same_id_becomes_somebody_else(home, tmp_path):
    again = copy_home(home, tmp_path / "home")
    before = pseudonyms(again, "analytics")
    with opened_vault(again, "test", write=True) as connection:
        connection.execute("delete from vault.subjects where member_id = 'b25'")
    secret = hmac.digest(bytes.fromhex(key(again, "domain_analytics")), b"pseudonyms", "sha256")
    assert uuid.UUID(bytes=hmac.digest(secret, b"b25", "sha256")[:16]) != before["b25"]
    fill_zone(again, "analytics", BUILD)
    after = pseudonyms(again, "analytics")
    assert after.pop("b25") != before.pop("b25")
    assert after == before
    assert members_in(again, "analytics") == {*before, "b25"}


def test_another_secret_is_refused_and_changes_nothing(home, tmp_path):
    again = copy_home(home, tmp_path / "home")
    before = everything(again, "analytics")
    (again.keys / "domain_analytics.key").write_text("ab" * 32)
    with pytest.raises(KampekyError, match="domain_analytics") as refused:
        fill_zone(again, "analytics", BUILD)
    assert "ab" * 32 not in str(refused.value)
    assert everything(again, "analytics") == before


# ---------------------------------------------------------------- what is in a zone


def test_a_zone_has_exactly_the_columns_that_the_contracts_list(home):
    for purpose in PURPOSES:
        assert {table: set(columns) for table, columns in structure(home, purpose).items()} == allowlist(purpose)
    assert "transactions" not in allowlist("analytics") and "consents" not in allowlist("analytics")
    assert "access_logs" not in allowlist("advertising")


def test_no_value_that_names_a_member_is_anywhere_in_a_zone(home):
    told = contents(home)
    zones = [c for c in told if c.place.startswith("zones/pseudonymised/")]
    raw = "\n".join(c.text for c in told if c.place.startswith("zones/raw/data")).lower()
    needles = {"names, ids and texts": CANARY, "friends": "424242", "price": "987.65", "card": "4242", "birthday": "1987-11-23",
               "registration": "2024-05-06", "last activity": "2026-02-14"}
    for what, needle in needles.items():
        assert needle in raw, f"{what}: the look cannot see"
        assert not [c.place for c in zones if needle in undrawn(c.text).lower()], what
    assert {c.kind for c in zones} == {"table", "data"} and len(zones) > 40


def test_what_left_the_zone_left_its_files_too(home, tmp_path):
    again = copy_home(home, tmp_path / "home")
    gone = {purpose: str(pseudonyms(again, purpose)["b25"]) for purpose in PURPOSES}
    stays = {purpose: str(pseudonyms(again, purpose)["b35"]) for purpose in PURPOSES}
    Market().member("b25", deleted_at=stamp("2026-03-09"), updated_at=stamp("2026-03-09")).load(again, "2026-03-10")
    for purpose in PURPOSES:
        fill_zone(again, purpose, BUILD)
        assert members_in(again, purpose) == {*pseudonyms(again, purpose)} - {"b25"}
    told = [c for c in contents(again) if c.place.startswith("zones/pseudonymised/")]
    for purpose in PURPOSES:
        assert not [c.place for c in told if gone[purpose] in c.text]
        assert [c.place for c in told if stays[purpose] in c.text]


def test_a_build_that_breaks_leaves_the_zone_as_it_was(home, tmp_path, monkeypatch):
    again = copy_home(home, tmp_path / "home")
    before, made, fill = everything(again, "analytics"), [], zone_module._fill

    def breaks(*given):
        made.append(given)
        if len(made) == 2:
            raise RuntimeError("stopped")
        return fill(*given)

    monkeypatch.setattr(zone_module, "_fill", breaks)
    Market().member("late").load(again, "2026-03-10")
    with pytest.raises(RuntimeError, match="stopped"):
        fill_zone(again, "analytics", BUILD)
    assert everything(again, "analytics") == before
    monkeypatch.undo()
    fill_zone(again, "analytics", BUILD)
    assert members_in(again, "analytics") == {*BANDS, *(f"r{n}" for n in range(len(REGISTERED))), f"{CANARY}-id", "late"}


# ---------------------------------------------------------------- transforms


def test_a_birthday_becomes_a_band_that_changes_on_the_very_day(home):
    for purpose in PURPOSES:
        found = by_member(home, purpose, "age_band")
        assert {m: found[m] for m in BANDS} == {m: band for m, (_, band) in BANDS.items()}


def test_times_become_months_and_days_of_the_calendar_in_paris(home):
    for purpose in PURPOSES:
        found = by_member(home, purpose, "registered_month")
        assert [found[f"r{n}"] for n in range(len(REGISTERED))] == list(REGISTERED.values())
        assert by_member(home, purpose, "last_active_month")[f"{CANARY}-id"] == date(2026, 2, 1)
        assert query(home, f"pseudonymised/{purpose}", "select paris_day from lake.main.usage_events where item_category = ?",
                     f"night {purpose}") == [(date(2026, 3, 1),)]
        assert zone(home, purpose, "forum_posts", "forum_category, paris_day") == [("coats", date(2026, 1, 1))]
        times = {(table, c) for table, columns in structure(home, purpose).items() for c, kind in columns.items() if "TIME" in kind}
        assert times == moments(purpose), "a time of day enters a zone only where the contract says so"


def test_of_a_page_only_a_listed_first_word_passes(home):
    found = dict(zone(home, "analytics", "usage_events", "item_category, route"))
    assert [found[f"route {n}"] for n in range(len(ROUTES))] == list(ROUTES.values())
    assert zone(home, "analytics", "access_logs", "route, device_class, paris_day") == [("compte", "other", date(2026, 3, 5))]


def test_of_a_browser_only_its_class_passes(home):
    found = dict(zone(home, "analytics", "usage_events", "item_category, device_class"))
    assert [found[f"agent {n}"] for n in range(len(AGENTS))] == list(AGENTS.values())
    assert dict(zone(home, "advertising", "usage_events", "item_category, device_class"))["kept advertising"] == "bot"


def test_a_picture_is_there_or_not(home):
    found = by_member(home, "analytics", "has_picture")
    assert found.pop(f"{CANARY}-id") is True and set(found.values()) == {False}


def test_what_came_from_access_data_is_empty_30_days_after_its_day_and_the_event_stays(home):
    """C-10.1: 8 February and 30 days is the day of the build; 9 February is due tomorrow."""
    assert query(home, "raw", "select count(user_agent) from lake.main.usage_events where item_category like 'old %'") == [(2,)]
    for purpose in PURPOSES:
        found = dict(zone(home, purpose, "usage_events", "item_category, device_class"))
        assert found[f"old {purpose}"] is None and found[f"kept {purpose}"] == "bot"
    assert dict(zone(home, "analytics", "usage_events", "item_category, route"))["old analytics"] is None
    assert f"old {PURPOSES[1]}" in marks(home, PURPOSES[1])


def test_the_bands_above_are_right_on_the_calendar():
    """The expectations of this file, checked by counting birthdays."""
    for birthday, band in BANDS.values():
        if birthday:
            born = date.fromisoformat(birthday)
            age = sum(1 for year in range(born.year + 1, TODAY.year + 1) if (TODAY.year, TODAY.month, TODAY.day) >= (year, born.month, born.day))
            low = int(str(band)[:2])
            assert age >= low and (band == "65+" or age <= int(str(band)[3:]))
    assert at(BUILD).date() == TODAY and isinstance(at(BUILD), datetime) and Path(PROJECT).is_dir()


# ---------------------------------------------------------------- what must not be forgotten, and keys that must differ


def test_two_purposes_with_one_key_are_refused(tmp_path):
    """Both would know a member by one pseudonym (C-3.3b)."""
    home = new_home(tmp_path / "home")
    Market().member("m1").load(home, BUILD)
    fill_zone(home, "analytics", at(BUILD))
    right = (home.keys / "domain_advertising.key").read_text()
    (home.keys / "domain_advertising.key").write_text((home.keys / "domain_analytics.key").read_text())
    with pytest.raises(Refused, match=r"are the same.*C-3\.3b"):
        fill_zone(home, "advertising", at(BUILD))
    (home.keys / "domain_advertising.key").write_text(right)
    fill_zone(home, "advertising", at(BUILD))
    assert set(pseudonyms(home, "analytics").values()) & set(pseudonyms(home, "advertising").values()) == set()


def test_a_vault_that_is_gone_is_not_made_anew_once_it_held_something(tmp_path):
    """Objections and holds stood in it; a home that never had one gets it."""
    home = new_home(tmp_path / "home")
    with opened_vault(home, "test"):
        pass
    ledger.append(home, "request received", at(BUILD), {"request": "R-0"})
    vault_file = home.vault.read_bytes()
    home.vault.unlink()
    with pytest.raises(Unavailable, match="is gone"), opened_vault(home, "test", write=True):
        pass
    assert not home.vault.exists()
    home.vault.write_bytes(vault_file)
    with opened_vault(home, "test"):
        pass
