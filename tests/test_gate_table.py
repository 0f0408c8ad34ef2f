"""The gate's table is the oracle: every cell, purpose × status, is carried out on a real home and compared with what the zones hold (CLAUSES, Gate).

Each status is a member (or a visitor) of its own with a row of everything: whatever the table says of a category must be found there, in
exactly the purposes that it names. Nothing of the gate's SQL is used to look.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace

import house
import pytest
from small_market import Market, at, contents, device_key, fill_zone, fingerprint, lake, new_home, pseudonyms, stamp, vault

from pipelines.eligibility.page import gate_pages
from pipelines.eligibility.table import STATUSES, VERDICTS, VISITORS, gate_table, passing
from pipelines.evidence import ledger
from pipelines.identity.vault import opened_vault
from pipelines.keys.keyring import Keyring, domain_key, zone_key
from pipelines.workflows import requests
from pipelines.workflows.explain import explain
from pipelines.workflows.rules import rules

BOOK = rules()
BUILD, ROW, FIX = "2026-03-10 12:00", "2026-03-01 10:00", "2026-03-10 08:00"
PURPOSES = tuple(BOOK.policy.purposes)
BY_NAME = {status.name: status for status in STATUSES}
CONSENTED = [s.name for s in STATUSES if not s.visitor and s.name not in {v.name for v in VERDICTS} and s.name != "objected_elsewhere"]
ACCOUNTS = ("erasure_requested", "account_deleted", "account_due", "unread_state", "restricted", "unknown_age")

# what was decided, of every kind there is: (by whom, where, decision, when, what is unusual about it); me and mine, another member, nobody
ME, OTHER, NOBODY, HERE, THERE, ACCOUNT = "me", "other", None, "d", "e", None
YES, LATER = (ME, HERE, "granted", "2026-01-01", {}), "2026-03-10 09:00"
HISTORIES = {
    "granted": [YES], "unknown_member": [YES],
    "no_consent": [],
    "refused": [(ME, HERE, "refused", "2026-01-01", {})],
    "withdrawn": [YES, (ME, HERE, "withdrawn", LATER, {})],
    "withdrawn_in_account": [YES, (ME, ACCOUNT, "withdrawn", LATER, {})],
    "given_again": [YES, (ME, HERE, "withdrawn", LATER, {}), (ME, HERE, "granted", "2026-03-10 10:00", {})],
    "granted_later": [(ME, HERE, "granted", LATER, {})],
    "expired": [(ME, HERE, "granted", "2025-02-10", {})],
    "unknown_method": [(ME, HERE, "granted", "2026-01-01", {"method": "continued_browsing"})],
    "unread_decision": [YES, (ME, HERE, "maybe", LATER, {})],
    "older_version": [(ME, HERE, "granted", "2026-01-01", {"policy_version": "2013-1"})],
    "account_only": [(ME, ACCOUNT, "granted", "2026-01-01", {})],
    "another_device": [(ME, THERE, "granted", "2026-01-01", {})],
    "visitors_grant": [(NOBODY, HERE, "granted", "2026-01-01", {})],
    "visitors_refusal": [YES, (NOBODY, HERE, "refused", LATER, {})],
    "others_grant": [(OTHER, HERE, "granted", "2026-01-01", {})],
    "others_refusal": [YES, (OTHER, HERE, "refused", LATER, {})],
    "visitor_granted": [(NOBODY, HERE, "granted", "2026-01-01", {})],
    "visitor_no_consent": [],
    "visitor_refused": [(NOBODY, HERE, "granted", "2026-01-01", {}), (NOBODY, HERE, "withdrawn", LATER, {})],
    "visitor_members_grant": [(OTHER, HERE, "granted", "2026-01-01", {})],
}


def decide(market: Market, name: str) -> None:
    who, where = {ME: f"{name}-m", OTHER: f"{name}-o", NOBODY: None}, {HERE: f"{name}-d", THERE: f"{name}-e", ACCOUNT: None}
    for kind in BOOK.policy.consent_kinds:
        for by, place, decision, when, given in HISTORIES.get(name, [YES]):
            market.consent(who[by], where[place], decision, when, kind, **given)


def leave_rows(market: Market, name: str, visitor: bool, number: int) -> None:
    """One row of everything, made by `name`; a visitor leaves what a visitor can."""
    me, device = None if visitor else f"{name}-m", f"{name}-d"
    for cookie in ("necessary", "functional", "analytics", "targeting"):
        market.event(name, me, device, ROW, cookie, page="/offre/1", user_agent="Mozilla/5.0 (Windows NT 10.0) Firefox/120")
    market.line(me, ROW, "/offre/1", f"198.51.100.{number}")
    if me:
        market.post(f"post-{name}", me, when=ROW)
        market.sale(f"sale-{name}", me, "peer-m", ROW, offer_id=f"offer-{name}", card_last4="4242")
        market.sale(f"sold-{name}", "peer-m", me, ROW, offer_id=f"offer-{name}")
        market.add("offers", offer_id=f"offer-{name}", seller_id=me, title="Manteau", item_category="coats", size="M", condition="good",
                   price_eur="9.50", status="open", created_at=stamp(ROW), updated_at=stamp(ROW))
    market.add("locations", device_id=device, member_id=me, latitude="48.85", longitude="2.35", origin="gps", fixed_at=stamp(FIX))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home, early, market = new_home(tmp_path_factory.mktemp("table") / "home"), Market("early"), Market()
    grown = {"birthday": "1980-05-05", "gender": "female", "postcode": "75001", "picture_url": "https://img.example/1.jpg"}
    states = {"account_deleted": {"deleted_at": stamp("2026-03-05")}, "account_due": {"last_active_on": "2020-11-01"},
              "unknown_age": {"age_confirmed": None, "birthday": None, "registration_channel": "google"}}
    names = ["peer", *ACCOUNTS, *(f"objected-{p}" for p in PURPOSES), *CONSENTED]
    for number, name in enumerate([*names, *(v.name for v in VISITORS)]):
        visitor = name in {v.name for v in VISITORS}
        if name != "unknown_member" and not visitor:
            (early if name == "account_due" else market).member(f"{name}-m", **(grown | states.get(name, {})))
        if f"{OTHER}" in {by for by, *_ in HISTORIES.get(name, [])}:
            market.member(f"{name}-o")
        decide(market, name)
        if name != "peer":
            leave_rows(market, name, visitor, number)
    market.member("unread_state-m", registration_channel="nonsense", updated_at=stamp("2026-03-02"), deleted_at=stamp("2026-03-02"))
    early.load(home, "2026-01-10")
    balances = market.load(home, BUILD, door=False)
    assert {name: b["quarantined"] for name, b in balances.items() if b["quarantined"]} == {"members": 1, "consents": len(BOOK.policy.consent_kinds)}
    requests.open_request(home, "restriction", "restricted-m", None, at("2026-03-09"))
    for purpose in PURPOSES:
        requests.open_request(home, "objection", f"objected-{purpose}-m", purpose, at("2026-03-09"))
    with opened_vault(home, "test", write=True) as connection:  # as a request of erasure will put it down
        connection.execute("insert into vault.refusals values ('R-e', 'erasure_requested-m', 'erasure', null, timestamptz '2026-03-09')")
    Keyring(home).make(tuple(name for purpose in PURPOSES for name in (zone_key(purpose), domain_key(purpose))))  # also of one without marts
    for purpose in PURPOSES:
        fill_zone(home, purpose, BUILD)
    return home


READ: dict[tuple, dict[str, list[dict]]] = {}  # (home, purpose, state) → dataset → rows of its zone, read once


def read(home, purpose: str) -> dict[str, list[dict]]:
    state = (home.root, purpose, home.lake(f"pseudonymised/{purpose}").joinpath("catalog.duckdb").stat().st_mtime_ns)
    if state not in READ:
        found: dict[str, list[dict]] = {}
        with lake(home, f"pseudonymised/{purpose}") as connection:
            for contract in BOOK.entering(purpose):
                rows = connection.execute(f"from lake.main.{contract.name}")
                found[contract.name] = [dict(zip([c[0] for c in rows.description], row, strict=True)) for row in rows.fetchall()]
        READ[state] = found
    return READ[state]


def carried_out(home, purpose: str, name: str) -> set[str]:
    """The categories of which the purpose's zone holds something of `name`: rows, and values in them."""
    found, visitor = set(), name in {v.name for v in VISITORS}
    number = [*["peer", *ACCOUNTS, *(f"objected-{p}" for p in PURPOSES), *CONSENTED], *(v.name for v in VISITORS)].index(name)
    mine = pseudonyms(home, purpose).get(f"{name}-m")
    salted = visitor and vault(home, "select 1 from db.visitors where device_id = ?", f"{name}-d")
    device = device_key(home, purpose, f"{name}-d") if salted else None
    for contract in BOOK.entering(purpose):
        people = [t.output for _, t in contract.named_in(purpose)]

        def is_theirs(row: dict, people: list[str] = people) -> bool:
            if not visitor:
                return mine is not None and mine in [row[column] for column in people]
            return not any(row[column] for column in people) and (
                (device is not None and row.get("device_key") == device) or row.get("ip") == f"198.51.100.{number}")

        rows = [row for row in read(home, purpose)[contract.name] if is_theirs(row)]
        found |= {contract.named_in(purpose)[0][1].category} if rows else set()
        found |= {t.category for _, t in contract.entering(purpose) if t.use not in ("pseudonym", "device")
                  and any(row[t.output] is not None for row in rows)}
    return found


def flowing(purpose: str, categories: tuple[str, ...]) -> set[str]:
    """Of these categories those that some column brings into the purpose: others have nothing to be seen by."""
    return set(categories) & {t.category for contract in BOOK.entering(purpose) for _, t in contract.entering(purpose)}


def expected(purpose: str, name: str) -> set[str]:
    return flowing(purpose, gate_table(BOOK.policy)[name][purpose])


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("status", [name for name in BY_NAME if name not in ("objected", "objected_elsewhere", "widened_version")])
def test_cell(home, purpose, status):
    assert carried_out(home, purpose, status) == expected(purpose, status)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_cells_of_an_objection_to_this_purpose_and_to_others(home, purpose):
    for other in PURPOSES:
        status = "objected" if other == purpose else "objected_elsewhere"
        assert carried_out(home, purpose, f"objected-{other}") == expected(purpose, status), other


@pytest.fixture(scope="module")
def widened(home):
    """The same zones under a policy whose last version widened every purpose."""
    older, newer = BOOK.policy.versions
    book = replace(BOOK, policy=replace(BOOK.policy, versions=(older, replace(newer, widens=PURPOSES))))
    for purpose in PURPOSES:
        fill_zone(home, purpose, BUILD, book)
    yield home
    for purpose in PURPOSES:
        fill_zone(home, purpose, BUILD)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_cell_of_a_version_that_was_widened_since(widened, purpose):
    assert carried_out(widened, purpose, "older_version") == expected(purpose, "widened_version")
    assert carried_out(widened, purpose, "granted") == expected(purpose, "granted")


def test_a_row_of_nobodys_is_in_no_zone_but_a_log_line_in_security(home):
    for purpose in PURPOSES:
        for contract in BOOK.entering(purpose):
            names = [t.output for _, t in contract.entering(purpose) if t.use in ("pseudonym", "device")]
            nobodys = [row for row in read(home, purpose)[contract.name] if not any(row[name] for name in names)]
            assert len(nobodys) == (len(VISITORS) if (purpose, contract.name) == ("security", "access_logs") else 0)


def test_every_cell_is_filled_and_the_page_prints_them_all():
    table = gate_table(BOOK.policy)
    assert table.keys() == BY_NAME.keys() and all(row.keys() == BOOK.policy.purposes.keys() for row in table.values())
    (page,) = gate_pages(BOOK).values()
    for status in STATUSES:
        (line,) = [line for line in page.splitlines() if f"(`{status.name}`, " in line]
        assert line.count(" | ") == len(PURPOSES) and " – " not in line


def test_the_looking_itself_sees_each_category_that_can_be_seen(home):
    for purpose in PURPOSES:
        assert carried_out(home, purpose, "granted") == flowing(purpose, tuple(BOOK.policy.purposes[purpose].sources)) != set()


def test_a_state_that_a_purpose_is_served_despite_hides_no_other():
    """C-10.3: who deleted the account and objected to security as well is out of it."""
    security = BOOK.policy.purpose("security")
    assert security.despite == ("account_deleted",)
    assert passing(BOOK.policy, security, BY_NAME["account_deleted"]) and not passing(BOOK.policy, security, BY_NAME["objected"])


# ---------------------------------------------------------------- in words, for one member

# statuses of which --explain names another row of the table: the one that decides about the device as it is now
ALSO = {"withdrawn_in_account": "withdrawn", "given_again": "granted", "granted_later": "granted", "older_version": "granted",
        "account_only": "no_consent", "another_device": "no_consent", "visitors_grant": "granted", "others_grant": "no_consent"}


def explained(home, member: str) -> dict[str, dict]:
    return {one["purpose"]: one for one in explain(home, member, at(BUILD), ["analytics", "advertising"])}


@pytest.mark.parametrize("name", [*ACCOUNTS, "unknown_member"])
def test_explain_names_the_rule_that_keeps_an_account_out(home, name):
    for one in explained(home, f"{name}-m").values():
        assert (one["passes"], one["rule"], one["sources"]) == (False, name, [])
        assert one["clause"] == BY_NAME[name].clause and one["words"] == BY_NAME[name].words


@pytest.mark.parametrize("name", [name for name in CONSENTED if name not in ("unknown_member", "older_version", "widened_version")])
def test_explain_names_the_decision_that_decides_and_how_many_rows_pass(home, name):
    for purpose, one in explained(home, f"{name}-m").items():
        (events,) = [source for source in one["sources"] if source["dataset"] == "usage_events"]
        assert one["passes"] and events["rows"] == 4 and [d["device"] for d in events["decided"]] == [1]
        assert events["decided"][0]["rule"] == ALSO.get(name, name)
        assert events["passed"] == len(zone_rows(home, purpose, f"{name}-m"))
        assert events["others"] == {"of another kind than the purpose takes": 3, **({} if events["passed"] else {"no running grant covers them": 1})}


def zone_rows(home, purpose: str, member: str) -> list[dict]:
    return [row for row in read(home, purpose)["usage_events"] if row["pseudonym"] == pseudonyms(home, purpose)[member]]


def test_explain_says_nothing_of_another_person_and_leaves_no_name_in_the_ledger(home):
    before, acts = fingerprint(home), len(ledger.read(home))
    told = json.dumps([explain(home, f"{name}-m", at(BUILD), ["analytics", "advertising"]) for name in ("others_refusal", "others_grant", "granted")])
    assert "refused on this device by another member" in told
    for foreign in ("-o", "peer", "2026-03-10T09:00", LATER[:10], "-d", "-e", "others_refusal-m"):
        assert foreign not in told, foreign
    (one, *_) = entries = ledger.read(home)[acts:]
    assert len(entries) == 3 and (one.act, one.facts) == ("gate explained", {"purposes": ["analytics", "advertising"]})
    assert fingerprint(home) != before, "the ledger alone grew"
    assert not [c for c in contents(home) if c.place.startswith("evidence") and "others_refusal" in c.text]


def test_explain_reads_the_member_from_stdin_and_prints_words(home, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("withdrawn-m\n"))
    told = house.kampeky("build", "--explain", "-", "--purpose", "analytics", "--home", home.root, "--as-of", "2026-03-10T12:00:00+01:00")
    assert told.code == 0 and "analytics: passes" in told.out and "withdrawn after the row was made" in told.out
    assert "usage_events (consent analytics_cookies): 0 of 4 rows pass" in told.out
    assert "withdrawn-m" not in told.out
    assert "Nobody has an account" not in told.err
    nobody = house.kampeky("build", "--explain", "kqxnobody", "--purpose", "analytics", "--home", home.root, "--as-of", "2026-03-10T12:00:00+01:00")
    assert nobody.code == 0 and "Nobody has an account under this id" in nobody.err and "kqxnobody" not in nobody.out + nobody.err
