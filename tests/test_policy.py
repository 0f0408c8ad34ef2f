"""The policy and its contracts: each word is looked up, what does not fit together is refused, and periods are calendar time."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import house
import pytest
import yaml

from pipelines.foundation.dates import PARIS, Period, paris_day, parse_as_of, parse_day, plus, start_of_day
from pipelines.foundation.errors import Misuse, Refused
from pipelines.policy.contract_file import load_contract
from pipelines.policy.due import chained, due_from_account, event_dues, is_due, no_member
from pipelines.policy.policy_file import load_policy
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.types import Policy, RetentionRule

CONTRACTS = sorted(path.name for path in house.RULES.glob("*.odcs.yaml"))
POLICY = house.rulebook().policy


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of one rule file in which the first `old` reads `new`."""
    text = (house.RULES / file).read_text()
    assert old in text, f"{file} no longer says: {old}"
    return house.put(folder / file, text.replace(old, new, 1))


def load(path: Path) -> Any:
    return load_policy(path) if path.name == "policy.yaml" else load_contract(path, POLICY)


def refusal(path: Path) -> str:
    """The sentence with which the file is refused: exit code 3, the file named first."""
    with pytest.raises(Refused) as refused:
        load(path)
    assert refused.value.exit_code == 3
    assert str(refused.value).startswith(path.name)
    return str(refused.value)


# --- vocabularies ---

MEMBERS, TRANSACTIONS, CONSENTS, EVENTS, POSTS = (
    f"{name}.odcs.yaml" for name in ("members", "transactions", "consents", "usage_events", "forum_posts")
)
MISSPELLED = [  # file, what stands there, what is written instead, the word, words that the sentence must offer
    (MEMBERS, "category, value: profile", "category, value: profil", "profil", ["profile", "forum"]),
    (MEMBERS, "identifiability, value: direct", "identifiability, value: drect", "drect", ["direct", "free_text"]),
    (MEMBERS, "visibility, value: nobody", "visibility, value: nobdy", "nobdy", ["nobody", "public"]),
    (MEMBERS, "export, value: portability", "export, value: portable", "portable", ["portability", "access_only"]),
    (MEMBERS, "value: {analytics: pseudonym", "value: {analytic: pseudonym", "analytic", ["analytics", "advertising"]),
    (MEMBERS, "value: {analytics: pseudonym", "value: {analytics: pseudonim", "pseudonim", ["pseudonym", "keep", "month"]),
    (MEMBERS, "{use: age_band, as: age_band}", "{use: age_bands, as: age_band}", "age_bands", ["age_band", "month"]),
    (MEMBERS, "{use: age_band, as: age_band}", "{use: age_band, az: age_band}", "az", ["as", "use", "values"]),
    (MEMBERS, "value: C-10.3, element", "value: C-10.33, element", "C-10.33", ["C-10.1", "C-10.3"]),
    (MEMBERS, "element: members.last_active_on", "element: members.last_active", "last_active", ["last_active_on", "registered_at"]),
    (MEMBERS, "property: category, value: registration", "property: categorie, value: registration", "categorie", ["category", "export"]),
    (MEMBERS, "property: erasure, value: delete", "property: erasure, value: erase", "erase", ["delete", "sever"]),
    (MEMBERS, "property: erasure, value", "property: erasures, value", "erasures", ["erasure", "format"]),
    (MEMBERS, "format, value: records", "format, value: csv", "csv", ["records", "access_log"]),
    (MEMBERS, "latestBy, value: updated_at", "latestBy, value: update_at", "update_at", ["updated_at"]),
    (MEMBERS, "physicalType: VARCHAR", "physicalType: TEXT", "TEXT", ["VARCHAR", "BIGINT"]),
    (MEMBERS, "deleted: deleted_at", "deletd: deleted_at", "deletd", ["deleted", "birthday"]),
    (MEMBERS, "deleted: deleted_at", "deleted: delete_at", "delete_at", ["deleted_at"]),
    (MEMBERS, "{column: member_id, as: member}", "{column: membre_id, as: member}", "membre_id", ["member_id"]),
    (MEMBERS, "metric: invalidValues", "metric: rowCount", "rowCount", ["invalidValues"]),
    (TRANSACTIONS, "clock, value: started_at", "clock, value: started", "started", ["started_at", "updated_at"]),
    (TRANSACTIONS, "{name: two_parties", "{nam: two_parties", "nam", ["name", "expression"]),
    (CONSENTS, "consentRegister, value: {member: member_id", "consentRegister, value: {membre: member_id", "membre", ["member", "device"]),
    (CONSENTS, "property: visitorsOnly, value: [C-10.9]", "property: visitorsOnly, value: [C-10.8]", "C-10.8", ["C-10.9"]),
    (CONSENTS, "{property: retention, value: C-10.1}", "{property: retention, value: C-10.11}", "C-10.11", ["C-10.1", "C-10.2"]),
    (EVENTS, "device, value: device_id", "device, value: devise_id", "devise_id", ["device_id"]),
    (POSTS, "mark: author_deleted", "mark: author_delete", "author_delete", ["author_deleted"]),
    (POSTS, "basis: contract, clause", "basis: contrat, clause", "contrat", ["contract", "legal_obligation"]),
    (POSTS, "origin: member", "origin: membre", "membre", ["member", "observed", "platform"]),
    (POSTS, "property: erasure, value: redact", "property: erasure, value: redacted", "redacted", ["empty", "keep", "redact"]),
    ("ratings.odcs.yaml", "as: rated, ends: row", "as: rated, ends: rows", "rows", ["row"]),
    ("locations.odcs.yaml", "door, value: {round: 2}", "door, value: {rund: 2}", "rund", ["onlyWhile", "round"]),
    (MEMBERS, "format: email", "format: e-mail", "e-mail", ["email", "iban"]),
    (MEMBERS, "door, value: {count: friends}", "door, value: {cuont: friends}", "cuont", ["count", "round"]),
    ("locations.odcs.yaml", "kind: location", "kind: locations", "locations", ["location", "targeting_cookies"]),
    ("policy.yaml", "ground: obligation", "ground: obligations", "obligations", ["consent", "necessary", "obligation", "processor"]),
    ("policy.yaml", "safeguard: clauses", "safeguard: clause", "clause", ["adequacy", "clauses", "eea"]),
    ("policy.yaml", "receives: [telephone]", "receives: [phone]", "phone", ["telephone", "contact"]),
    (POSTS, "severGroup, value: thread_id", "severGroup, value: thread", "thread", ["thread_id"]),
    ("policy.yaml", "controller:\n", "controllr:\n", "controllr", ["controller", "purposes"]),
    ("policy.yaml", "basis: legitimate_interest", "basis: legitimate_interests", "legitimate_interests", ["legitimate_interest", "consent"]),
    ("policy.yaml", "kind: analytics_cookies", "kind: analytic_cookies", "analytic_cookies", ["analytics_cookies", "log_profiling"]),
    ("policy.yaml", "      registration: {basis", "      registrations: {basis", "registrations", ["registration", "profile"]),
    ("policy.yaml", "published: plain", "published: plaintext", "plaintext", ["plain", "encrypted"]),
    ("policy.yaml", "clock: event_day", "clock: event_date", "event_date", ["event_day", "account"]),
    ("policy.yaml", "scope: device", "scope: browser", "browser", ["device", "member"]),
    ("policy.yaml", "widens: []", "widens: [analytic]", "analytic", ["analytics", "advertising"]),
    ("policy.yaml", "express: [", "expres: [", "expres", ["express", "never_consent"]),
    ("policy.yaml", "hours: 24", "hour: 24", "hour", ["hours"]),
]


@pytest.mark.parametrize(("file", "old", "new", "word", "known"), MISSPELLED, ids=[f"{case[0].split('.')[0]}-{case[3]}" for case in MISSPELLED])
def test_a_misspelled_word_is_refused_with_its_file_and_the_known_words(tmp_path, file, old, new, word, known):
    sentence = refusal(changed(tmp_path, file, old, new))
    assert f"'{word}'" in sentence
    offered = sentence.split(f"'{word}'", 1)[1]
    assert [w for w in known if w not in offered] == []


def test_the_files_as_they_are_load_so_that_each_refusal_is_of_the_change_alone():
    assert [load(house.RULES / file).path for file in CONTRACTS] == CONTRACTS
    assert load(house.RULES / "policy.yaml") == POLICY


BROKEN = [  # file, what stands there, what is written instead, what the sentence says
    (MEMBERS, "status: active\n", "status: active\nstatus: draft\n", "'status' stands twice"),
    ("policy.yaml", "  analytics:\n", "  advertising:\n", "'advertising' stands twice"),
    (MEMBERS, "status: active\n", "status: [active\n", "line"),
    ("policy.yaml", "purposes:  ", "purposes: :", "line"),
    (MEMBERS, "kind: DataContract", "kind: Contract", "not valid ODCS at kind"),
    (MEMBERS, "apiVersion: v3.1.0", "apiVersion: v31", "not valid ODCS at apiVersion"),
    (MEMBERS, "logicalType: string", "logicalType: strin", "not valid ODCS at schema[0].properties[0].logicalType"),
    (MEMBERS, "minLength: 1,", "minLenght: 1,", "minLenght"),
    (MEMBERS, "  - name: members\n", "  - name: member\n", "must be called member.odcs.yaml"),
    (MEMBERS, "      - name: email\n", "      - name: member_name\n", "a column stands twice"),
    (MEMBERS, '{none: "technical column of the platform"}', "none", "needs its reason (C-11.5)"),
    (TRANSACTIONS, "property: retention, value", "property: availability, value", "names no retention"),
    ("policy.yaml", "timezone: Europe/Paris", "timezone: UTC", "Europe/Paris"),
    ("policy.yaml", "from: 2014-06-01", "from: 2012-06-01", "oldest first"),
    ("policy.yaml", "basis: consent, kind: analytics_cookies,", "basis: consent,", "names its kind of consent"),
    (
        "policy.yaml",
        "registration: {basis: legitimate_interest}",
        "registration: {basis: legitimate_interest, kind: log_profiling}",
        "no other basis does",
    ),
    ("policy.yaml", "clause: C-3.3\n", "\n", "'clause' is missing"),
]


@pytest.mark.parametrize(("file", "old", "new", "says"), BROKEN, ids=[f"{case[0].split('.')[0]}-{case[3]}" for case in BROKEN])
def test_a_file_that_cannot_be_taken_at_its_word_is_refused(tmp_path, file, old, new, says):
    assert says in refusal(changed(tmp_path, file, old, new))


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "holds no mapping"), (b"- a\n", "holds no mapping"), (b"\xff\xfea: 1\n", "not UTF-8"), (b"a: \x00", "not valid YAML")]
)
def test_a_file_that_holds_no_document_is_refused(tmp_path, content, says):
    for name in ("policy.yaml", MEMBERS):
        assert says in refusal(house.put(tmp_path / name, content))


def test_a_missing_policy_is_one_sentence(tmp_path):
    with pytest.raises(Refused, match=r"policy.yaml: there is no such file"):
        load_rulebook(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"), [("periods: [P30D]", "periods: [P30]"), ("expires: P13M", "expires: 13M"), ("deadline: P1M", "deadline: 1M")]
)
def test_a_period_that_is_none_is_refused_with_its_file(tmp_path, old, new):
    assert "P30D" in refusal(changed(tmp_path, "policy.yaml", old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("policy.yaml", "from: 2013-01-01", "from: 2013-02-30"),
        ("policy.yaml", "hours: 24", "hours: many"),
        ("policy.yaml", "hours: 24", "hours: -1"),
        ("policy.yaml", "periods: [P30D]", "periods: 30"),
        ("policy.yaml", "periods: [P30D]", "periods: []"),
        ("policy.yaml", "per: purpose", "per: porpose"),
        ("policy.yaml", "objection:", "objecton:"),
        ("policy.yaml", "rows: {cookie_category: [analytics]}", "rows: [cookie_category]"),
        ("policy.yaml", "rows: {cookie_category: [analytics]}", "rows: {cookie_category: analytics}"),
        ("policy.yaml", "never_consent: [", "never_consent: [banner_button, "),
        ("policy.yaml", "express: [banner_button, ", "express: banner_button #"),
        ("policy.yaml", "keys: [mart_advertising]", "keys: [mart_advertisin]"),
        ("policy.yaml", "keys: [mart_advertising]", "keys: [mart_advertising, raw]"),
        (MEMBERS, "value: {analytics: pseudonym, advertising: pseudonym, security: pseudonym, service: pseudonym}", "value: pseudonym"),
        (
            MEMBERS,
            "{property: category, value: registration}",
            "{property: category, value: registration}\n          - {property: category, value: profile}",
        ),
        (MEMBERS, "mustBe: 0", "mustBe: 1"),
        (MEMBERS, 'pattern: "^[A-Za-z0-9_-]+$"', 'pattern: "^[A-Za-z"'),
        (MEMBERS, "deleted: deleted_at", "deleted: member_name"),
        (MEMBERS, "{analytics: {use: presence, as: has_picture}}", "{analytics: month}"),
        (TRANSACTIONS, "element: transactions.started_at", "element: transactions.updated_at"),
        (TRANSACTIONS, 'expression: "buyer_id is null or seller_id is null or buyer_id <> seller_id", ', ""),
        (MEMBERS, "status: active\n", "status: active\n? [a]\n: b\n"),
    ],
    ids=str,
)
def test_a_rule_that_says_nothing_the_software_does_is_refused(tmp_path, file, old, new):
    refusal(changed(tmp_path, file, old, new))


RECIPIENTS = [  # what stands in the register, what is written instead, what the sentence says
    ("ground: necessary, country: LU", "ground: necessary, price: 100, country: LU", "'price' is unknown"),  # C-1.1: nobody pays for data
    ("ground: necessary, country: LU", "country: LU", "'ground' is missing"),
    ("ground: necessary, country: LU", "ground: processor, country: LU", "a processor's ground is 'processor', and nobody else's is (C-5)"),
    ("country: IE, safeguard: eea", "country: IN, safeguard: eea", "IN is not covered by the safeguard 'eea' (C-5, C-7)"),
    ("country: IE, safeguard: eea", "country: IN, safeguard: adequacy", "IN is not covered by the safeguard 'adequacy' (C-5, C-7)"),
    ("until: 2029-03-31, ", "", "clauses name their document and the day until which they run (C-7)"),
]
LIMITS = [
    ("k: 10,", "k: 4,", "'k' is 4, looser than the floor of 5"),
    ("l: 2,", "l: 1,", "'l' is 1, looser than the floor of 2"),
    ("t: 0.3,", "t: 0.4,", "'t' is 0.4, looser than the floor of 0.3"),
    ("shared_class: 10", "shared_class: 9", "'shared_class' is 9, looser than the floor of 10"),
    ("linking: 2.0", "linking: 3", "'linking' is 3, looser than the floor of 2.0"),
    ("k: 10,", "k: many,", "'k' must be a whole number"),
    ("k: 10,", "k: true,", "'k' must be a whole number"),
    ("k: 10, ", "", "'k' is missing"),
    ("cell: {clause: C-10.7, members: 10}", "cell: {clause: C-10.7, members: 9}", "no smaller cell is anonymous (C-10.7)"),
    ("despite: [account_deleted]", "despite: [objected]", "'objected' is unknown. Known: account_deleted"),
    ("log_files:    {basis: legitimate_interest, visitors: true}", "log_files:    {basis: legitimate_interest, visitors: some}", "is true or false"),
]


@pytest.mark.parametrize(("old", "new", "says"), LIMITS, ids=[case[2] for case in LIMITS])
def test_limits_of_risk_can_be_tightened_and_never_loosened(tmp_path, old, new, says):
    assert says in refusal(changed(tmp_path, "policy.yaml", old, new))
    tighter = changed(tmp_path / "tighter", "policy.yaml", "k: 10, l: 2, t: 0.3", "k: 20, l: 3, t: 0.1")
    assert (load_policy(tighter).risk.k, load_policy(tighter).risk.l, load_policy(tighter).risk.t) == (20, 3, 0.1)


@pytest.mark.parametrize(("old", "new", "says"), RECIPIENTS, ids=[case[2] for case in RECIPIENTS])
def test_a_recipient_without_ground_or_safeguard_or_for_money_is_refused(tmp_path, old, new, says):
    assert says in refusal(changed(tmp_path, "policy.yaml", old, new))


# --- the purpose matrix (C-3.0, C-3.3a) ---


def columns_by_category() -> Iterator[tuple[str, str, str]]:
    """One (file, column, category) per category that a contract uses: a column that enters no purpose yet where there is one."""
    found = {}
    for name, contract in house.rulebook().contracts.items():
        for column in sorted(contract.columns, key=lambda c: (bool(c.transforms), c.identifiability in ("direct", "free_text"))):
            found.setdefault(column.category, (f"{name}.odcs.yaml", column.name, column.category))
    return iter(found.values())


def with_transform(folder: Path, file: str, column: str, purpose: str, use: str) -> Path:
    """A copy of the contract in which the column has this transform into the purpose."""
    document = yaml.load((house.RULES / file).read_text(), Loader=yaml.CSafeLoader)
    properties = next(p for p in document["schema"][0]["properties"] if p["name"] == column)["customProperties"]
    transforms = next((p["value"] for p in properties if p["property"] == "transforms"), {})
    properties[:] = [*(p for p in properties if p["property"] != "transforms"), {"property": "transforms", "value": transforms | {purpose: use}}]
    return house.put(folder / file, yaml.dump(document, Dumper=yaml.CSafeDumper))


BY_CATEGORY = [(*column, purpose) for column in columns_by_category() for purpose in POLICY.purposes]
OUTSIDE = [case for case in BY_CATEGORY if case[2] not in POLICY.purposes[case[3]].sources]


@pytest.mark.parametrize(("file", "column", "category", "purpose"), OUTSIDE, ids=[f"{case[2]}-{case[3]}" for case in OUTSIDE])
def test_a_category_outside_the_purpose_matrix_does_not_flow_in_by_any_transform(tmp_path, file, column, category, purpose):
    sentence = refusal(with_transform(tmp_path, file, column, purpose, "presence"))  # the mildest there is
    assert all(word in sentence for word in (column, f"'{category}'", f"'{purpose}'", "C-3.3a"))


def test_what_the_policy_forbids_by_name_stands_outside_the_matrix():
    """C-3.3a: transactions, messages, payment, address and location must not flow into profiles; C-2.1: no log files for advertising."""
    outside = {(category, purpose) for _, _, category, purpose in OUTSIDE}
    forbidden = {
        (category, purpose)
        for category in ("transactions", "offers", "card_digits", "bank_account", "wallet", "address", "location", "telephone", "contact", "social",
                         "friends", "texts", "ratings")
        for purpose in ("analytics", "advertising")
    } | {("log_files", "advertising"), ("log_files", "improvement"), ("card_digits", "service"), ("card_digits", "improvement")}
    assert forbidden - outside == set()


def test_a_category_of_the_matrix_flows_in_with_the_same_transform(tmp_path):
    inside = [case for case in BY_CATEGORY if case not in OUTSIDE]
    assert {case[2] for case in inside if case[3] == "analytics"} == {"registration", "profile", "forum", "usage", "log_files"}
    # consents say whom an audience may reach (C-3.4); that no profile knows of them is lineage's to prove
    assert {case[2] for case in inside if case[3] == "advertising"} == {"registration", "profile", "forum", "usage", "consents"}
    for file, column, _, purpose in inside:
        loaded = load(with_transform(tmp_path, file, column, purpose, "presence"))
        assert loaded.column(column).transforms[purpose].use == "presence"


def direct_columns() -> list[tuple[str, str, str]]:
    return [
        (f"{name}.odcs.yaml", column.name, purpose)
        for name, contract in house.rulebook().contracts.items()
        for column in contract.columns
        for purpose in POLICY.purposes
        if column.identifiability in ("direct", "free_text") and column.category in POLICY.purposes[purpose].sources
    ]


@pytest.mark.parametrize(("file", "column", "purpose"), direct_columns(), ids=lambda value: str(value).removesuffix(".odcs.yaml"))
def test_what_names_a_person_is_kept_as_it_is_in_an_identified_purpose_alone(tmp_path, file, column, purpose):
    if POLICY.purposes[purpose].identified:  # security sees addresses: an attack has no other mark
        assert load(with_transform(tmp_path, file, column, purpose, "keep")).column(column).transforms[purpose].use == "keep"
        return
    assert "C-3.3b" in refusal(with_transform(tmp_path, file, column, purpose, "keep"))
    assert load(with_transform(tmp_path, file, column, purpose, "keyed_hash")).column(column).transforms[purpose].use == "keyed_hash"


# --- rules that must fit together ---

UNFITTING = [  # file, what stands there, what is written instead, what the sentence says
    (POSTS, "{analytics: pseudonym, advertising: pseudonym}", "{analytics: keyed_hash, advertising: pseudonym}", "at least one column"),
    (POSTS, "{analytics: paris_day, advertising: paris_day}", "{analytics: month, advertising: paris_day}", "could not be expired (C-10.4)"),
    (POSTS, "property: erasure, value: sever", "property: erasure, value: delete", "'mark' and 'ends' are for erasure 'sever'"),
    (
        "verifications.odcs.yaml",
        "onlyWhile: {status: [requested, sent]}",
        "onlyWhile: {status: [requested, send]}",
        "'phone' is kept only while 'status' is requested, send",
    ),
    (
        "wallets.odcs.yaml",
        "{property: category, value: wallet}",
        "{property: door, value: {count: friends}}\n          - {property: category, value: wallet}",
        "'count' names the source's field with a list",
    ),
    (
        "disclosures.odcs.yaml",
        "sms_verification, usage_analysis]",
        "sms_verification]",
        "its recipients are not those of the policy's register (C-5)",
    ),
    (
        MEMBERS,
        "transforms, value: {analytics: keep, advertising: keep, security: keep}",
        "transforms, value: {analytics: {use: keep, as: pseudonym}, advertising: keep}",
        "under one name",
    ),
    (MEMBERS, "primaryKey: true", "primaryKey: false", "latestBy needs a primary key"),
    (TRANSACTIONS, "{property: clock, value: started_at}", "{property: device, value: card_last4}", "no 'clock' column is named"),
    (EVENTS, "value: [{column: member_id, as: member}]", "value: []", "names no subject column"),
    (EVENTS, "value: [{column: member_id, as: member}]", "value: [{column: device_id, as: device}]", "is no subject column"),
    (MEMBERS, "physicalType: TIMESTAMPTZ\n", "physicalType: TIMESTAMPTZ\n        partitioned: true\n", "only the clock can be partitioned"),
    (
        MEMBERS,
        ("property: account, value: {deleted: deleted_at, last_activity: last_active_on, age_confirmed: age_confirmed, birthday: birthday, "
        "registered: registered_at}"),
        "property: device, value: member_id",
        "exactly one contract must say 'account', found 0",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "says"), UNFITTING, ids=[case[3] for case in UNFITTING])
def test_rules_that_do_not_fit_together_are_refused(tmp_path, file, old, new, says):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    changed(folder, file, old, new)
    with pytest.raises(Refused) as refused:
        load_rulebook(folder)
    assert says in str(refused.value)
    assert refused.value.exit_code == 3


def test_a_second_account_contract_and_a_stray_rule_file_are_refused_and_a_note_beside_them_is_not(tmp_path):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    house.put(folder / "notes.txt", "not a rule")
    assert set(load_rulebook(folder).contracts) == {name.removesuffix(".odcs.yaml") for name in CONTRACTS}
    stray = house.put(folder / "members.yaml", "a: b")
    with pytest.raises(Refused, match=r"members\.yaml, which no room reads"):
        load_rulebook(folder)
    stray.unlink()
    house.put(
        folder / "sellers.odcs.yaml",
        (folder / MEMBERS).read_text().replace("  - name: members\n", "  - name: sellers\n").replace("element: members.", "element: sellers."),
    )
    with pytest.raises(Refused, match="exactly one contract must say 'account', found 2"):
        load_rulebook(folder)


@pytest.mark.parametrize("rows", ["{cookie_categorie: [analytics]}", "{cookie_category: [analytic]}"])
def test_a_source_limited_to_rows_that_no_contract_knows_is_refused(tmp_path, rows):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    changed(folder, "policy.yaml", "rows: {cookie_category: [analytics]}", f"rows: {rows}")
    with pytest.raises(Refused):
        load_rulebook(folder)


def test_contracts_check_ends_with_3_and_one_sentence_for_a_typo_and_with_0_for_the_real_rules(tmp_path, monkeypatch):
    shutil.copytree(house.RULES, tmp_path / "data_contracts")
    changed(tmp_path / "data_contracts", "policy.yaml", "scope: device", "scope: browser")
    with monkeypatch.context() as patch:
        patch.setenv("KAMPEKY_PROJECT", str(tmp_path))
        refused = house.kampeky("contracts", "check", "--home", tmp_path / "none", "--json")
    assert refused.code == 3
    assert "'browser' is unknown. Known: device, member" in refused.sentence
    good = house.kampeky("contracts", "check", "--home", tmp_path / "none", "--json")
    assert (good.code, good.json["ok"], len(good.json["datasets"])) == (0, True, len(CONTRACTS))


@pytest.mark.parametrize(("day", "code"), [("2029-03-31", 0), ("2029-04-01", 3)])
def test_a_recipient_whose_safeguard_has_lapsed_is_refused_from_the_day_after(tmp_path, day, code):
    """C-5, C-7."""
    answer = house.kampeky("contracts", "check", "--home", tmp_path / "none", "--as-of", day)
    assert answer.code == code
    assert ("the safeguard of sms_verification (SCC-2026-03, module 2, until 2029-03-31) has lapsed" in answer.err) is (code == 3)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (TRANSACTIONS, "or buyer_id <> seller_id", "or buyer_id <> sellr_id"),
        (TRANSACTIONS, "or buyer_id <> seller_id", "or buyer_id <> ("),
        (MEMBERS, "validValues: [direct, google, facebook]", "validValues: []"),
        (MEMBERS, "required: true\n        unique: true", "unique: true"),
        ("policy.yaml", "audience: analyst", "audience: analysts"),
    ],
    ids=["unknown column in a row rule", "broken row rule", "no valid values", "key that may be empty", "unknown audience"],
)
def test_contracts_check_refuses_what_would_fail_or_do_nothing_at_the_next_ingestion(tmp_path, monkeypatch, file, old, new):
    shutil.copytree(house.RULES, tmp_path / "data_contracts")
    changed(tmp_path / "data_contracts", file, old, new)
    monkeypatch.setenv("KAMPEKY_PROJECT", str(tmp_path))
    assert house.kampeky("contracts", "check", "--home", tmp_path / "none").code == 3


# --- the standard's own opinion ---


@pytest.fixture(scope="module")
def lint() -> Any:
    from datacontract.data_contract import DataContract

    return lambda path: DataContract(data_contract_file=str(path)).lint().result.value


@pytest.mark.parametrize("file", CONTRACTS)
def test_datacontract_lint_passes_each_contract(lint, file):
    assert lint(house.RULES / file) == "passed"


def test_datacontract_lint_would_object(lint, tmp_path):
    assert lint(changed(tmp_path, MEMBERS, "logicalType: string", "logicalType: strin")) != "passed"


# --- versions of the policy (C-9) ---


def test_a_grant_counts_until_a_later_version_widens_its_purpose_and_other_purposes_keep_it(tmp_path):
    path = changed(
        tmp_path,
        "policy.yaml",
        '{clause: C-9, id: "2014-2", from: 2014-06-01, widens: []}',
        '{clause: C-9, id: "2014-2", from: 2014-06-01, widens: [advertising]}\n  - {clause: C-9, id: "2015-3", from: 2015-01-01, widens: []}',
    )
    policy = load_policy(path)
    assert policy.versions_valid_for("advertising") == ("2014-2", "2015-3")
    assert policy.versions_valid_for("analytics") == ("2013-1", "2014-2", "2015-3")
    assert policy.version == "2015-3"


# --- periods are calendar time (C-10.0) ---


def periods(*texts: str) -> tuple[Period, ...]:
    return tuple(map(Period.parse, texts))


@pytest.mark.parametrize(
    ("day", "added", "due"),
    [
        ("2015-01-31", ["P1M"], "2015-02-28"),
        ("2016-01-31", ["P1M"], "2016-02-29"),
        ("2015-03-31", ["P1M"], "2015-04-30"),
        ("2016-02-29", ["P1Y"], "2017-02-28"),
        ("2016-02-29", ["P4Y"], "2020-02-29"),
        ("2015-12-31", ["P2M"], "2016-02-29"),
        ("2015-01-01", ["P30D"], "2015-01-31"),
        ("2015-11-30", ["P13M"], "2016-12-30"),
        ("2015-12-15", ["P1M"], "2016-01-15"),
        ("2016-02-29", ["P5Y", "P3M"], "2021-05-28"),
        ("2016-02-29", ["P5Y3M"], "2021-05-29"),  # steps are not a sum
        ("2015-08-31", ["P6M", "P1M"], "2016-03-29"),
        ("2015-08-31", ["P7M"], "2016-03-31"),
        ("2015-05-17", ["P2W"], "2015-05-31"),
        ("2015-01-31", ["P1M1D"], "2015-03-01"),
        ("2015-05-17", [], "2015-05-17"),
    ],
)
def test_a_period_is_added_in_calendar_steps_and_clipped_to_the_months_end(day, added, due):
    assert plus(date.fromisoformat(day), periods(*added)) == date.fromisoformat(due)


def test_thirteen_months_are_not_390_days():
    """C-10.2: from any day of a year, 13 months are 395 to 397 days."""
    days = [date(2015, 1, 1) + timedelta(days=n) for n in range(365)]
    lengths = {(plus(day, periods("P13M")) - day).days for day in days}
    assert 390 not in lengths
    assert lengths <= {394, 395, 396, 397}
    assert {(plus(day, periods("P390D")) - day).days for day in days} == {390}


@pytest.mark.parametrize("text", ["", "P", "30D", "P30", "P1.5M", "PT24H", "p30d", "P-1D", "P1M1Y", "P30D ", "30 days"])
def test_a_text_that_is_no_calendar_period_is_misuse(text):
    with pytest.raises(Misuse, match="Examples: P30D"):
        Period.parse(text)


def policy_chains(policy: Policy) -> list[tuple[Period, ...]]:
    """Every chain of periods that the policy names."""
    chains = [chain for rule in policy.retention.values() for chain in (rule.periods, rule.after_deletion, rule.after_last_activity) if chain]
    single = [
        policy.quarantine,
        *(kind.expires for kind in policy.consent_kinds.values() if kind.expires),
        *(r.deadline for r in policy.rights.values()),
    ]
    return [*chains, *((period,) for period in single)]


def some_days() -> list[date]:
    """2,000 days of two centuries, with the ends of months and leap years among them."""
    chance = random.Random(20150517)
    ends = [date(year, month, 1) - timedelta(days=1) for year in (1999, 2000, 2004, 2015, 2016, 2100) for month in range(1, 13)]
    return ends + [date(1900, 1, 1) + timedelta(days=chance.randrange(73_000)) for _ in range(2_000 - len(ends))]


def test_sql_and_python_add_every_period_of_the_policy_alike():
    connection, days = house.memory(), some_days()
    connection.execute("create or replace temp table days as select unnest(?::date[]) as day", [days])
    chains = [*policy_chains(POLICY), periods("P5Y3M"), periods("P1M"), periods("P2W", "P1M", "P1D")]
    assert len({str(chain) for chain in chains}) >= 6
    for chain in chains:
        rows = connection.execute(f"select day, {chained('day', chain)} from days").fetchall()
        assert len(rows) == 2_000
        assert [row for row in rows if plus(row[0], chain) != row[1]] == []


def test_the_due_day_of_an_account_is_the_earlier_of_deletion_and_inactivity():
    """C-10.3, in SQL against dates worked out by hand; a deletion counts on its Paris day."""
    rule = next(r for r in POLICY.retention.values() if r.clock == "account")
    account = house.rulebook().accounts.account
    assert account is not None
    expression = due_from_account(rule, account)
    cases = [
        (None, "2010-05-31", "2015-08-31"),
        ("2015-01-31T12:00:00Z", "2015-01-31", "2015-04-30"),
        ("2015-01-31T23:30:00Z", "2015-01-31", "2015-05-01"),
        ("2015-01-31T12:00:00Z", "2009-01-01", "2014-04-01"),
        (None, None, None),
    ]
    for deleted, active, due in cases:
        found = (
            house.memory()
            .execute(
                f"select {expression}::varchar from (select ?::timestamptz as {account.deleted}, ?::date as {account.last_activity})",
                [deleted, active],
            )
            .fetchone()
        )
        assert found == (due,)


def test_a_row_is_due_on_its_due_day_and_not_before():
    """After the run of day T nothing with due ≤ T exists; an unknown due day is never one."""
    for day, due in (("2015-05-30", False), ("2015-05-31", True), ("2015-06-01", True)):
        run = date.fromisoformat(day)
        line = is_due(chained(date_of("2015-05-01"), periods("P30D")), run)
        assert house.memory().execute(f"select {line}, {is_due('null::date', run)}").fetchone() == (due, False)


def date_of(text: str) -> str:
    return f"date '{text}'"


def test_a_visitors_rule_leaves_rows_of_members_alone():
    contract = house.rulebook().contract("consents")
    ((rule, due),) = event_dues(contract, POLICY, "day", no_member(contract))
    assert rule == "C-10.9"
    rows = (
        house.memory()
        .execute(f"select {due}::varchar from (values (date '2014-01-31', null), (date '2014-01-31', 'm1')) as t(day, member_id)")
        .fetchall()
    )
    assert rows == [("2015-02-28",), (None,)]


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2015-03-28T22:59:59+00:00", "2015-03-28"),
        ("2015-03-28T23:00:00+00:00", "2015-03-29"),  # before the clocks go forward: UTC+1
        ("2015-03-29T21:59:59+00:00", "2015-03-29"),
        ("2015-03-29T22:00:00+00:00", "2015-03-30"),  # after: UTC+2, a day of 23 hours
        ("2015-10-24T22:00:00+00:00", "2015-10-25"),
        ("2015-10-25T00:30:00+00:00", "2015-10-25"),
        ("2015-10-25T01:30:00+00:00", "2015-10-25"),  # 02:30, twice
        ("2015-10-25T22:59:59+00:00", "2015-10-25"),
        ("2015-10-25T23:00:00+00:00", "2015-10-26"),  # a day of 25 hours
        ("2015-12-31T18:00:00-05:00", "2016-01-01"),
    ],
)
def test_an_instant_belongs_to_its_paris_day_on_both_clock_changes_in_python_and_in_sql(instant, day):
    assert paris_day(datetime.fromisoformat(instant)).isoformat() == day
    assert house.memory().execute("select (?::timestamptz)::date::varchar", [instant]).fetchone() == (day,)


def test_a_day_begins_at_midnight_in_paris_and_has_23_24_or_25_hours():
    hours = {
        day: (start_of_day(date.fromisoformat(day) + timedelta(days=1)).timestamp() - start_of_day(date.fromisoformat(day)).timestamp()) / 3600
        for day in ("2015-03-29", "2015-05-17", "2015-10-25")
    }
    assert hours == {"2015-03-29": 23, "2015-05-17": 24, "2015-10-25": 25}
    assert parse_as_of("2015-05-17") == datetime(2015, 5, 17, tzinfo=PARIS)
    assert paris_day(parse_as_of("2015-05-16T22:30:00Z")) == date(2015, 5, 17)


@pytest.mark.parametrize("text", ["2015-13-01", "2015-02-29", "17/05/2015", "yesterday", "", "2015-05-17T10:00:00", "20150517", "2015-05-17 10:00"])
def test_a_text_that_is_no_instant_is_misuse(text):
    with pytest.raises(Misuse):
        parse_as_of(text)
    if "T" not in text:
        with pytest.raises(Misuse):
            parse_day(text)


def test_every_retention_rule_of_the_policy_can_be_followed():
    for rule in POLICY.retention.values():
        assert isinstance(rule, RetentionRule)
        assert bool(rule.periods) == (rule.clock == "event_day")
        assert bool(rule.after_deletion and rule.after_last_activity) == (rule.clock == "account")


def test_a_purpose_without_marts_is_not_built_and_says_so():
    policy = house.rulebook().policy
    idle = replace(policy, purposes=dict(policy.purposes) | {"service": replace(policy.purposes["service"], marts=())})
    with pytest.raises(Misuse, match=r"'service' has no mart to build yet\. Purposes that have: analytics, advertising, security, improvement"):
        idle.built_purpose("service")
    assert policy.built_purpose("service").marts == ("offer_matching",)
