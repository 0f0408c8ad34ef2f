"""The canary: planted identifiers come out of no build, and a search that would not find them says that it is blind."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import shutil
from dataclasses import replace

import pytest
from small_market import at, new_home

from pipelines.assurance import canary as planting
from pipelines.assurance.canary import Search, Seen, control, let_through, new_mark, plant
from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import PROJECT
from pipelines.policy.contract_types import Transform
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation import transforms
from pipelines.transformation.dbt_build import BuildFailed
from pipelines.workflows import canary
from pipelines.workflows.rules import rules
from pipelines.workflows.verify import verify

AS_OF = at("2026-02-11 12:00")
MARK = "zq12345678"
CLEAN = "nothing planted was found but the control"


@pytest.fixture(scope="module")
def planted():
    return plant(rules(), AS_OF, MARK)


@pytest.fixture
def home(tmp_path):
    return new_home(tmp_path / "home")


@pytest.fixture
def read_before(monkeypatch):
    """What can be judged by reading is taken for judged: it takes most of a run of one purpose, and test_lineage.py is about it."""
    monkeypatch.setattr(canary, "_refuse_leaks", lambda *_: None)


def only(*purposes: str) -> Rulebook:
    """The rules with marts of these purposes alone: a run of one takes a fraction of the time."""
    book = rules()
    chosen = {name: purpose if name in purposes else replace(purpose, marts=()) for name, purpose in book.policy.purposes.items()}
    return replace(book, policy=replace(book.policy, purposes=chosen))


def wrong(found) -> dict[str, str]:
    return {name: detail for name, ok, detail in found if not ok}


# --- what is planted ---


def test_every_direct_identifier_and_every_text_of_every_contract_gets_a_token(planted):
    covered = {(token.dataset, token.column) for token in planted.tokens.values()}
    ids = {name for contract in rules().contracts.values() for name in contract.person_columns}  # the same in every dataset
    for contract in rules().contracts.values():
        for column in contract.columns:
            if column.identifiability in ("direct", "free_text") and column.name not in ids:
                assert (contract.name, column.name) in covered
            assert all(row.keys() >= {column.name} for row in planted.rows[contract.name])
    assert any(token.column in ids for token in planted.tokens.values())


def test_a_column_that_a_contract_is_given_later_is_covered_without_a_word():
    book = rules()
    members = book.contract("members")
    more = replace(members.column("first_name"), name="maiden_name")
    contracts = dict(book.contracts) | {"members": replace(members, columns=(*members.columns, more))}
    tokens = plant(replace(book, contracts=contracts), AS_OF, MARK).tokens
    assert any((token.dataset, token.column) == ("members", "maiden_name") for token in tokens.values())


def test_a_token_takes_the_dress_of_its_column(planted):
    member = planted.rows["members"][0]
    assert member["email"].endswith("@canary.example")
    assert member["iban"].startswith("FR76ZQ") and len(member["iban"]) == 27
    assert planted.rows["verifications"][0]["phone"].startswith("+336")
    assert planted.rows["access_logs"][0]["path"].startswith(f"/{MARK}")
    assert {row["cookie_category"] for row in planted.rows["usage_events"]} == {"necessary", "functional", "analytics", "targeting"}


def test_two_runs_have_no_token_in_common():
    assert not plant(rules(), AS_OF, new_mark()).tokens.keys() & plant(rules(), AS_OF, new_mark()).tokens.keys()


# --- what is found ---


@pytest.mark.parametrize("dress", [
    str, str.upper, lambda v: f"x{v}y", lambda v: hashlib.md5(v.encode()).hexdigest(), lambda v: hashlib.sha256(v.encode()).hexdigest(),
    lambda v: hashlib.sha1(v.encode()).hexdigest().upper(), lambda v: v.encode().hex(), lambda v: base64.b64encode(v.encode()).decode()])
def test_a_token_is_found_in_any_usual_dress(planted, dress):
    word = next(value for value, token in planted.tokens.items() if token.column == "first_name" and not token.refused)
    seen = [Seen("here", "members", "first_name", False)]
    assert Search(planted).in_text("here", f"before {dress(word)} after") == seen
    assert Search(planted).in_bytes("here", b"\x00\xff" + dress(word).encode("utf-16-le")) == seen


def test_a_telephone_number_is_found_and_other_words_are_not(planted):
    search, phone = Search(planted), planted.rows["verifications"][0]["phone"]
    assert [one.column for one in search.in_text("here", f"tel {phone}")] == ["phone"]
    assert search.in_text("here", "shoes 2026-02-11 zq +33612345678 d41d8cd98f00b204e9800998ecf8427e") == []


def test_what_the_contract_keeps_may_stand_in_the_zone_and_a_direct_identifier_or_somebody_refused_never():
    kept = Seen("zone", "offers", "size", False)
    book = rules()
    for purpose in book.policy.built:
        assert let_through(book, purpose, kept) == (book.contract("offers").column("size").transforms.get(purpose, None) is not None)
        assert not let_through(book, purpose, replace(kept, refused=True))
        assert not let_through(book, purpose, Seen("zone", "members", "email", False))
    columns = tuple(replace(c, transforms={"analytics": Transform("keep", "email", "profile")}) if c.name == "email" else c
                    for c in book.contract("members").columns)
    leaky = replace(book, contracts=dict(book.contracts) | {"members": replace(book.contract("members"), columns=columns)})
    assert not let_through(leaky, "analytics", Seen("zone", "members", "email", False))


# --- runs ---


def test_rules_models_and_code_as_they_are_let_nothing_through_and_are_proved_once(home, monkeypatch):
    (home.tmp / "canary-killed").mkdir()
    found = canary.prove(home, rules(), AS_OF)
    assert wrong(found) == {}
    places = {f"{purpose}: {place}" for purpose in rules().policy.built for place in ("zone", "marts", "artefacts")}
    assert {name for name, _, detail in found if detail == CLEAN} == places | {"log"}
    assert list(home.tmp.glob("canary*")) == []  # nor what a kill had left
    written = json.loads((home.evidence / "canary" / f"{canary.fingerprint()}.json").read_text())
    assert written["ok"] and len(written["checks"]) == len(found)
    assert ledger.read(home)[-1].facts["fingerprint"] == canary.fingerprint()
    monkeypatch.setattr(canary, "prove", lambda *_: pytest.fail("it is proved already"))
    canary.ensure_proved(home, rules(), AS_OF)
    assert canary.proof_found(home)[1]


@pytest.mark.parametrize("change", ["data_contracts/policy.yaml", "dbt_project/models/x.sql", "dbt_project/seeds/x.csv",
                                    "dbt_project/models/target/x.sql", "dbt_project/models/x.SQL", "dbt_project/models/x.md"])
def test_another_rule_or_model_needs_another_proof_wherever_the_checkout_is(change, tmp_path, monkeypatch):
    tmp_path = tmp_path / "target"
    monkeypatch.setattr(canary, "project_folder", lambda: tmp_path)
    (tmp_path / change).parent.mkdir(parents=True)
    before = canary.fingerprint()
    (tmp_path / change).write_text("x")
    assert canary.fingerprint() != before


def test_a_transform_that_lets_the_value_through_is_seen_and_nothing_is_published(home, read_before, monkeypatch):
    monkeypatch.setitem(transforms._SQL, "device_class", lambda _c, _t, value, _d: value)
    with pytest.raises(Refused, match=r"advertising: zone: found: usage_events\.user_agent in usage_events\.device_class") as refused:
        canary.ensure_proved(home, only("advertising"), AS_OF)
    assert "advertising: marts: found: usage_events.user_agent in ad_profiles.main_device_class" in str(refused.value)
    assert "zq" not in str(refused.value).replace("sql", "")  # the place, not the value
    assert not canary.proved(home)
    assert "zq" not in (home.evidence / "canary" / f"{canary.fingerprint()}.json").read_text()


def test_somebody_who_may_not_appear_is_seen_by_what_the_contract_keeps(home, read_before, monkeypatch):
    account = planting._Sower._account
    monkeypatch.setattr(planting._Sower, "_account", lambda self, n: account(self, 0))  # the refused are let in
    found = wrong(canary.prove(home, only("advertising"), AS_OF))
    assert "usage_events.item_category of somebody refused in usage_events.item_category" in found["advertising: zone"]
    assert found["advertising: members"] == "15 of 12 who may appear"


def test_a_search_that_does_not_find_the_control_says_that_it_is_blind(home, read_before, monkeypatch):
    monkeypatch.setattr(Search, "in_text", lambda *_: [])
    found = wrong(canary.prove(home, only("advertising"), AS_OF))
    assert set(found) == {"advertising: zone", "advertising: marts", "advertising: artefacts", "log"}
    assert all("the search is blind there" in detail for detail in found.values())


def test_what_can_be_refused_by_reading_is_refused_before_any_of_it_runs(home, monkeypatch):
    monkeypatch.setattr("pipelines.workflows.lineage.proof", lambda *_: [("analytics", False, "it acts"), ("security", False, "it acts")])
    monkeypatch.setattr(canary._Run, "checks", lambda _: pytest.fail("it ran"))
    with pytest.raises(Refused, match=r"^it acts Nothing was run\."):
        canary.ensure_proved(home, rules(), AS_OF)
    assert not canary.proved(home)


def test_a_unit_test_that_fails_is_no_proof(home, tmp_path, monkeypatch):
    for folder in ("data_contracts", "dbt_project"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("target", "logs"))
    model = tmp_path / "dbt_project" / "models" / "security" / "marts" / "ip_abuse.sql"
    model.write_text(model.read_text().replace("member_count >= 10", "member_count >= 11"))
    monkeypatch.setenv("KAMPEKY_PROJECT", str(tmp_path))
    with pytest.raises(BuildFailed, match="unit test"):  # and nothing in the way of lineage before it
        canary.ensure_proved(home, only("security"), AS_OF)
    assert not canary.proved(home) and list(home.tmp.glob("canary*")) == []


def test_a_run_that_fails_leaves_nothing_and_gives_the_keys_back(home, read_before, monkeypatch):
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "a" * 64)
    monkeypatch.setattr(canary._Run, "checks", lambda self: (self.home.create(), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        canary.prove(home, rules(), AS_OF)
    assert list(home.tmp.glob("canary*")) == []
    assert canary.os.environ["KAMPEKY_KEY_RAW"] == "a" * 64


def test_the_control_is_one_of_the_tokens_and_no_rule_lets_it_through(planted):
    assert control(MARK) in planted.tokens
    assert not let_through(rules(), "analytics", Seen("x", "control", "control", False))


def test_what_is_overheard_is_said_to_nobody_else():
    said, heard = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(said)
    canary.log.addHandler(handler)
    try:
        with canary._overheard(heard):
            canary.log.debug("of this program")
            logging.getLogger("library").warning("of another")
        assert heard.getvalue().splitlines() == ["of this program", "of another"]
        assert said.getvalue() == "" and handler in canary.log.handlers
    finally:
        canary.log.removeHandler(handler)


def test_verify_all_says_whether_there_is_a_proof_of_what_is_published(home, monkeypatch):
    assert canary.proof_found(home) == ("canary", True, "nothing is published that it would have to prove")
    home.mart("analytics").write_bytes(b"published")
    name, ok, detail = canary.proof_found(home)
    assert (name, ok) == ("canary", False) and "kampeky verify canary" in detail
    monkeypatch.setattr("pipelines.workflows.verify.verify_risk", lambda home: [])  # which would open the mart
    assert not {c["name"]: c["ok"] for c in verify(home, "all", None)["checks"]}["canary"]
