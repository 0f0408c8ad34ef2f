"""From a pseudonym to a person: only where the policy lets it, the gate asked again at that moment, recorded, and nothing of it in clear (C-3.4)."""

from __future__ import annotations

import csv
import io
import json
import stat
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import house
import pyrage
import pytest
import yaml
from small_market import Market, at, copy_home, fill_zone, new_home, pseudonyms, raw, run_retention, stamp, vault

from pipelines.eligibility.channels import remember_addresses
from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import PROJECT, Home
from pipelines.policy.rulebook import load_rulebook
from pipelines.retention.plan import make_plan
from pipelines.workflows import requests
from pipelines.workflows.rules import rules

GRANTED, BUILT, NOW = "2026-02-01 12:00", "2026-03-01 12:00", "2026-03-05 12:00"
CHANNELS = ("email", "mailbox", "notification")
MARKED = "kqx"  # begins everything that names a member
IDENTITY = pyrage.x25519.Identity.generate()
KEY = str(IDENTITY.to_public())
ASK = ("--by", "A. Martin", "--reason", "spring campaign", "--template", "spring")


def id_of(name: str) -> str:
    return f"{MARKED}-{name}"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Members who granted each channel and are in the published audience of each, as it was on the day of the build."""
    home, market = new_home(tmp_path_factory.mktemp("disclose") / "home"), Market()
    for name in ("stays", "also", "leaves"):
        market.member(id_of(name))
        for channel in CHANNELS:
            market.consent(id_of(name), None, "granted", GRANTED, f"{channel}_marketing", method="settings_page")
    market.member(id_of("silent"))  # in the audience by a fault of whoever built it: never granted anything
    for name in ("stays", "leaves"):
        market.consent(id_of(name), f"{MARKED}-{name}-device", "granted", GRANTED, "targeting_cookies")
        market.event("shoes", id_of(name), f"{MARKED}-{name}-device", "2026-02-20 10:00", "targeting")
    market.load(home, BUILT)
    fill_zone(home, "advertising", BUILT)
    remember_addresses(home, rules(), rules().policy.purposes["advertising"], at(BUILT))
    publish(home)
    return home


@pytest.fixture
def home(town, tmp_path):
    return copy_home(town, tmp_path / "home")


def publish(home: Home) -> None:
    """The audience of the build: everybody on every channel, two segments."""
    rows = [f"('{p}', '{channel}', '{'shoes' if 'also' not in member else 'general'}')" for member, p in pseudonyms(home, "advertising").items()
            for channel in CHANNELS]
    home.mart("advertising").unlink(missing_ok=True)
    house.make_mart(home.root, "advertising", "create table email_audience (pseudonym uuid, channel varchar, segment varchar)",
                    f"insert into email_audience values {', '.join(rows)}", f"create table _build as select '{at(BUILT).isoformat()}' as as_of")


def disclose(home: Home, *more: object, channel: str = "email", key: object = KEY, as_of: str = NOW) -> house.Answer:
    return house.kampeky("disclose", "advertising", "--channel", channel, "--recipient-key", key, *ASK, "--home", home.root, "--as-of",
                         at(as_of).isoformat(), "--json", *more)


def opened(answer: house.Answer) -> list[dict[str, str]]:
    """What the recipient reads."""
    return list(csv.DictReader(io.StringIO(pyrage.decrypt(Path(answer.json["package"]).read_bytes(), [IDENTITY]).decode())))


def names(answer: house.Answer) -> set[str]:
    return {row["address"].partition("@")[0].removeprefix(f"{MARKED}-") for row in opened(answer)}


def told(home: Home, act: str) -> list[dict]:
    return [entry.facts for entry in ledger.read(home) if entry.act == act]


# ---------------------------------------------------------------- what is given


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_file_opens_with_the_identity_and_holds_address_channel_and_template_alone(home, channel):
    answer = disclose(home, channel=channel)
    assert answer.code == 0, answer.err
    address = "{}@exemple.fr" if channel == "email" else "{}"
    assert opened(answer) == [{"address": address.format(id_of(name)), "channel": channel, "template": "spring"}
                              for name in ("also", "leaves", "stays")]
    assert (answer.json["given"], answer.json["left_out"]) == (3, {"no_consent": 1})
    package = Path(answer.json["package"])
    assert (stat.S_IMODE(package.stat().st_mode), package.parent) == (0o600, home.outbox)


def test_another_identity_opens_nothing(home):
    package = Path(disclose(home).json["package"]).read_bytes()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(package, [pyrage.x25519.Identity.generate()])


def test_the_key_may_stand_in_a_file_as_age_writes_it(home, tmp_path):
    assert disclose(home, key=house.put(tmp_path / "key.txt", f"# public key: of mailing\n{KEY}\n")).code == 0


def test_a_segment_gives_its_members_alone(home):
    assert names(disclose(home, "--segment", "shoes")) == {"stays", "leaves"}
    assert names(disclose(home, "--segment", "general")) == {"also"}
    answer = disclose(home, "--segment", "hats")
    assert (answer.code, "Segments: general, shoes" in answer.sentence) == (2, True)


def test_each_member_has_a_record_of_it_and_the_batch_stands_in_the_ledger(home):
    answer = disclose(home).json
    rows = raw(home, "disclosures", "member_id, recipient, categories, ground, reference, disclosed_at = timestamptz '2026-03-05 12:00:00+01', "
                                    "paris_day")
    assert [row[:6] for row in rows] == [(id_of(name), "mailing", "contact", "processor", answer["disclosure"], True)
                                         for name in ("also", "leaves", "stays")]
    assert len({key for (key,) in raw(home, "disclosures", "disclosure_id")}) == 3
    assert all(row[6].isoformat() == "2026-03-05" for row in rows)
    assert house.kampeky("verify", "ledger", "--home", home.root).code == 0
    disclose(home, channel="mailbox")
    assert set(raw(home, "disclosures", "recipient, categories")) == {("mailing", "contact"), ("mailing", "registration")}
    home.mart("advertising").unlink()  # made by hand, for these tests
    assert house.kampeky("contracts", "check", "--home", home.root, "--as-of", NOW[:10]).code == 0


def test_the_ledger_says_who_why_how_many_and_who_was_left_out_before_and_what_was_made_after(home):
    answer = disclose(home, "--segment", "shoes").json
    assert told(home, "disclosure begun") == [{
        "disclosure": answer["disclosure"], "purpose": "advertising", "channel": "email", "template": "spring", "segment": "shoes",
        "recipient": "mailing", "key": KEY, "by": "A. Martin", "reason": "spring campaign", "given": 2, "left_out": {"no_consent": 1}}]
    done = told(home, "disclosure")
    assert [set(entry) for entry in done] == [{"disclosure", "package_sha256", "expires"}]
    assert done[0]["expires"] == at("2026-03-06 12:00").isoformat()


def test_nothing_that_names_a_member_stands_in_ledger_answers_or_file_names_nor_in_any_file_in_clear(home):
    answers = [disclose(home, channel=channel) for channel in CHANNELS]
    for answer in answers:
        assert MARKED not in answer.out + answer.err
    for path, content in house.bytes_below(home.root):
        assert MARKED not in path.name, path
        assert not [word for word in (*map(id_of, ("stays", "also", "leaves", "silent")), "@exemple.fr") if word.encode() in content], path


def test_the_file_ends_after_its_hours_with_the_next_run_and_status_knows_of_it_until_then(home):
    answer = disclose(home).json
    package, name = Path(answer["package"]), Path(answer["package"]).name
    shown = house.kampeky("status", "--home", home.root, "--json").json["packages"]
    assert [(row["request_id"], Path(row["package"]).name) for row in shown] == [(answer["disclosure"], name)]
    early = {e["zone"]: e["due"] for e in make_plan(home, rules(), at("2026-03-06 11:59"))["datasets"] if e["zone"] == "outbox"}
    assert early == {"outbox": 0}
    run_retention(home, "2026-03-06 11:59")
    assert package.exists()
    assert {e["zone"]: e["due"] for e in make_plan(home, rules(), at("2026-03-06 12:00"))["datasets"] if e["zone"] == "outbox"} == {"outbox": 1}
    run_retention(home, "2026-03-06 12:00")
    assert not package.exists()
    assert vault(home, "from db.handovers") == []
    assert house.kampeky("status", "--home", home.root, "--json").json["packages"] == []
    assert len(raw(home, "disclosures")) == 3  # the record of it stays


def test_the_file_ends_before_its_hours_with_the_account_of_one_who_stands_in_it(home):
    Market("end").member(id_of("leaves"), deleted_at=stamp("2026-03-04"), updated_at=stamp("2026-03-04")).load(home, "2026-03-04 12:00")
    package = Path(disclose(home, as_of="2026-03-05 12:00").json["package"])
    other = Path(disclose(home, "--segment", "general").json["package"])
    with_leaver = _of_the_past(home, package)
    run_retention(home, "2026-03-05 13:00")
    assert (package.exists(), other.exists(), with_leaver) == (True, True, False)


def _of_the_past(home: Home, package: Path) -> bool:
    return any(id_of("leaves") in row["address"] for row in csv.DictReader(io.StringIO(pyrage.decrypt(package.read_bytes(), [IDENTITY]).decode())))


def test_a_file_that_no_disclosure_made_goes_and_one_that_one_made_stays(home):
    package = Path(disclose(home).json["package"])
    stray = house.put(home.outbox / "D-000000000000.csv.age", b"left by a kill")
    run_retention(home, "2026-03-05 13:00")
    assert (package.exists(), stray.exists()) == (True, False)


# ---------------------------------------------------------------- the gate, asked at that moment


SINCE = {  # what happened since the build: (what the platform then says, why the member is left out)
    "withdrew the channel": (lambda m: m.consent(id_of("leaves"), None, "withdrawn", "2026-03-04", "email_marketing"), "no_consent"),
    "refused the channel on a device": (lambda m: m.consent(id_of("leaves"), "d9", "refused", "2026-03-04", "email_marketing"), "no_consent"),
    "withdrew by a record with a mistake": (lambda m: m.consent(id_of("leaves"), None, "no more", "2026-03-04", "email_marketing"), "no_consent"),
    "deleted the account": (lambda m: m.member(id_of("leaves"), deleted_at=stamp("2026-03-04"), updated_at=stamp("2026-03-04")), "account_deleted"),
    "is no longer of age": (lambda m: m.member(id_of("leaves"), birthday="2015-01-01", updated_at=stamp("2026-03-04")), "unknown_age"),
    "changed the address": (lambda m: m.member(id_of("leaves"), email=f"{MARKED}-new@exemple.fr", updated_at=stamp("2026-03-04")),
                            "changed_address"),
}


@pytest.mark.parametrize("what", [*SINCE])
def test_who_may_not_be_written_to_any_more_is_left_out_and_the_others_are_not(home, what):
    happened, why = SINCE[what]
    happened(Market("since")).load(home, "2026-03-04 12:00")
    answer = disclose(home)
    assert names(answer) == {"stays", "also"}
    assert answer.json["left_out"] == {"no_consent": 1 + (why == "no_consent")} | ({why: 1} if why != "no_consent" else {})
    if why in ("no_consent", "changed_address"):  # of the other channels nothing changed
        assert disclose(home, channel="mailbox").json["given"] == 3


@pytest.mark.parametrize(("right", "purpose", "why"), [("objection", "advertising", "objected"), ("restriction", None, "restricted")])
def test_who_objected_is_left_out_from_receipt_on(home, right, purpose, why):
    requests.open_request(home, right, id_of("leaves"), purpose, at("2026-03-05 11:00"))
    answer = disclose(home)
    assert (names(answer), answer.json["left_out"]) == ({"stays", "also"}, {"no_consent": 1, why: 1})


def test_an_objection_to_another_purpose_leaves_nobody_out(home):
    requests.open_request(home, "objection", id_of("leaves"), "analytics", at("2026-03-05 11:00"))
    assert disclose(home).json["given"] == 3


def test_a_withdrawal_counts_though_the_disclosure_is_for_an_earlier_day(home):
    Market("since").consent(id_of("leaves"), None, "withdrawn", "2026-03-04", "email_marketing").load(home, "2026-03-04 12:00")
    assert names(disclose(home, as_of="2026-03-02")) == {"stays", "also"}


def test_a_moment_to_come_is_refused(home):
    answer = disclose(home, as_of=(datetime.now(UTC) + timedelta(days=2)).isoformat())
    assert (answer.code, "C-3.4" in answer.sentence) == (3, True)


def test_after_a_newer_consent_the_new_address_is_the_one_that_counts(home):
    Market("a").member(id_of("leaves"), email=f"{MARKED}-new@exemple.fr", updated_at=stamp("2026-03-02")).load(home, "2026-03-02 12:00")
    assert names(disclose(home)) == {"stays", "also"}
    Market("b").consent(id_of("leaves"), None, "granted", "2026-03-04", "email_marketing", method="settings_page").load(home, "2026-03-04 12:00")
    assert names(disclose(home)) == {"stays", "also", "new"}
    Market("c").member(id_of("leaves"), email=f"{MARKED}-newer@exemple.fr", updated_at=stamp("2026-03-05")).load(home, "2026-03-05 10:00")
    assert names(disclose(home)) == {"stays", "also"}


def test_the_vault_remembers_no_address_but_a_keyed_hash_and_forgets_it_with_the_consent(home):
    remembered = vault(home, "select member_id, channel, address from db.addresses order by all")
    assert [(member, channel) for member, channel, _ in remembered] == [(id_of(n), c) for n in ("also", "leaves", "stays") for c in CHANNELS]
    assert len({uuid.UUID(value) for _, _, value in remembered}) == 9
    Market("a").consent(id_of("leaves"), None, "withdrawn", "2026-03-04", "email_marketing").load(home, "2026-03-04 12:00")
    remember_addresses(home, rules(), rules().policy.purposes["advertising"], at("2026-03-04 12:00"))
    assert {(m, c) for m, c, _ in remembered} - set(vault(home, "select member_id, channel from db.addresses")) == {(id_of("leaves"), "email")}


def test_with_an_account_its_remembered_addresses_end(home):
    Market("end").member(id_of("leaves"), deleted_at=stamp("2026-03-04"), updated_at=stamp("2026-03-04")).load(home, "2026-03-04 12:00")
    home.mart("advertising").unlink()
    run_retention(home, "2026-06-05")
    assert {member for (member,) in vault(home, "select member_id from db.addresses")} == {id_of("stays"), id_of("also")}


@pytest.mark.parametrize("device", [f"{MARKED}-leaves-device", None])
def test_a_segment_chooses_nobody_who_withdrew_since_from_usage(home, device):
    Market("since").consent(id_of("leaves") if device is None else None, device, "withdrawn", "2026-03-04", "targeting_cookies").load(
        home, "2026-03-04 12:00")
    answer = disclose(home, "--segment", "shoes")
    assert (names(answer), answer.json["left_out"]) == ({"stays"}, {"no_consent": 1, "usage_withdrawn": 1})
    assert names(disclose(home)) == {"stays", "also", "leaves"}  # without a segment nothing that is sent rests on usage


def test_a_pseudonym_of_another_purpose_or_before_a_rotation_is_nobodys(home, monkeypatch):
    fill_zone(home, "analytics", BUILT)
    home.mart("advertising").unlink()
    house.make_mart(home.root, "advertising", "create table email_audience (pseudonym uuid, channel varchar)",
                    *(f"insert into email_audience values ('{p}', 'email')" for p in pseudonyms(home, "analytics").values()),
                    f"create table _build as select '{at(BUILT).isoformat()}' as as_of")
    answer = disclose(home)
    assert (answer.json["given"], answer.json["left_out"], answer.json["package"]) == (0, {"unknown_pseudonym": 4}, None)
    assert raw(home, "disclosures") == []
    assert list(home.outbox.iterdir()) == []
    assert [entry["given"] for entry in told(home, "disclosure begun")] == [0]


# ---------------------------------------------------------------- what is refused


def refused(home: Home, answer: house.Answer, code: int, *words: str) -> None:
    """One sentence, and nothing was written."""
    assert (answer.code, [word for word in words if word not in answer.sentence]) == (code, []), answer.err
    assert list(home.outbox.iterdir()) == []
    assert raw(home, "disclosures") == []


@pytest.mark.parametrize("key", ["", "age1", "age1notakey", "ssh-ed25519 AAAA", str(IDENTITY), "/nowhere/key"],
                         ids=["empty", "a beginning", "no key", "of ssh", "the secret half", "no file"])
def test_a_key_that_is_none_is_misuse_and_is_not_repeated(home, key):
    answer = disclose(home, key=key)
    refused(home, answer, 2)
    assert not (key and len(key) > 5) or key not in answer.err


def test_an_unknown_channel_is_refused(home):
    refused(home, disclose(home, channel="telephone"), 2, "Channel 'telephone' is unknown", "email, mailbox, notification")


@pytest.mark.parametrize("left_out", ["--channel", "--template", "--recipient-key"])
def test_without_channel_template_or_key_it_says_what_to_say(home, left_out):
    words = ["disclose", "advertising", "--channel", "email", "--template", "spring", "--recipient-key", KEY, "--by", "x", "--reason", "y"]
    place = words.index(left_out)
    refused(home, house.kampeky(*words[:place], *words[place + 2:], "--home", home.root), 2, "--channel", "--template", "--recipient-key")


@pytest.mark.parametrize(("option", "value"), [("--by", " "), ("--reason", ""), ("--reason", "two\nlines"), ("--template", "a b"),
                                               ("--template", "x" * 65), ("--reason", "ask vendeur@exemple.fr"),
                                               ("--reason", f"about ({MARKED}-stays)."), ("--by", f"{MARKED}-stays")])
def test_who_asks_and_why_must_be_said_and_name_no_member(home, option, value):
    answer = disclose(home, option, value)
    refused(home, answer, 2)
    assert not value.strip() or value.strip() not in answer.err


@pytest.mark.parametrize("purpose", ["analytics", "improvement", "service"])
@pytest.mark.parametrize("words", [["--pseudonym", str(uuid.UUID(int=1))], ["--channel", "email", "--template", "t", "--recipient-key", KEY], []])
def test_elsewhere_nobody_resolves_a_pseudonym(home, purpose, words):
    refused(home, house.kampeky("disclose", purpose, *words, "--by", "x", "--reason", "y", "--home", home.root), 3, "C-3.3b", "resolved by nobody")


def test_of_advertising_no_member_is_named_by_a_pseudonym(home):
    answer = house.kampeky("disclose", "advertising", "--pseudonym", str(uuid.UUID(int=1)), "--by", "x", "--reason", "y", "--home", home.root)
    refused(home, answer, 3, "C-3.4", "no member is named")


@pytest.mark.parametrize("role", [*rules().policy.roles])
def test_no_role_file_opens_this_way_whoever_it_is(home, tmp_path, monkeypatch, role):
    assert house.kampeky("keys", "role", role, "--to", tmp_path / "role", "--home", home.root).code == 0
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "role"))
    answer = disclose(home)
    monkeypatch.delenv("KAMPEKY_ROLE_FILE")
    says = ("may have this done", "C-3.3b") if role == "marketing" else (f"your role is '{role}'", "C-4")
    refused(home, answer, 3, *says)


def test_without_a_published_audience_nothing_is_given(home):
    home.mart("advertising").unlink()
    refused(home, disclose(home), 1, "kampeky build --purpose advertising")
    house.make_mart(home.root, "advertising", "create table ad_profiles (pseudonym uuid)")
    refused(home, disclose(home), 1, "email_audience", "kampeky build --purpose advertising")


@pytest.fixture
def other_rules(tmp_path, monkeypatch):
    """The project's rules with another word in the policy."""

    def change(old: str, new: str) -> Path:
        folder = tmp_path / "project" / "data_contracts"
        folder.mkdir(parents=True)
        for path in (PROJECT / "data_contracts").iterdir():
            text = path.read_text()
            assert path.name != "policy.yaml" or old in text
            (folder / path.name).write_text(text.replace(old, new) if path.name == "policy.yaml" else text)
        monkeypatch.setenv("KAMPEKY_PROJECT", str(folder.parent))
        return folder

    return change


MAILING = "mailing:          {clause: C-3.4, kind: processor, ground: processor, country: FR, safeguard: eea,"
ABROAD = MAILING.replace("FR, safeguard: eea,", 'US, safeguard: clauses, document: "SCC 9", until: 2026-03-04,')


def test_a_recipient_whose_safeguard_has_lapsed_is_given_nothing(home, other_rules):
    other_rules(MAILING, ABROAD)
    refused(home, disclose(home), 3, "SCC 9, until 2026-03-04", "C-5, C-7")
    assert disclose(home, as_of="2026-03-04").code == 0


WRONG_RULES = {
    "a recipient that may not be given an address": ("receives: [registration, contact]}", "receives: [registration]}",
                                                     "may not be given data of category contact"),
    "a recipient that is none": ("address: email, recipient: mailing", "address: email, recipient: nobody", "recipient 'nobody' is unknown"),
    "a consent of no kind": ("kind: email_marketing, address", "kind: leaflets, address", "kind 'leaflets' is unknown"),
    "a consent of a device": ("kind: email_marketing, address", "kind: targeting_cookies, address", "given per device"),
    "one consent for two channels": ("kind: mailbox_marketing, address", "kind: email_marketing, address", "a consent of its own kind (C-3.3c)"),
    "an address that is no column": ("address: email,", "address: telex,", "'telex' is no column"),
    "channels without whom to reach": ("    mart: email_audience\n", "", "both, or neither"),
    "a purpose that is published plain": ("  security: {clause: C-3.5}", "  analytics: {clause: C-3.3}", "published plain"),
}


@pytest.mark.parametrize("kind", [*WRONG_RULES])
def test_a_policy_that_would_give_too_much_is_refused(other_rules, kind):
    old, new, words = WRONG_RULES[kind]
    with pytest.raises(Refused, match="resolving") as error:
        load_rulebook(other_rules(old, new))
    assert words in str(error.value)


def test_a_policy_that_resolves_nothing_lets_nobody_resolve(home, other_rules):
    folder = other_rules("resolving:", "resolving_:")
    document = yaml.safe_load((folder / "policy.yaml").read_text())
    del document["resolving_"]
    (folder / "policy.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    refused(home, disclose(home), 3, "resolved by nobody", "C-3.3b")


# ---------------------------------------------------------------- the trust role in security


@pytest.fixture
def guarded(home):
    """A home with the keys of security; what is resolved there needs the vault, not the zone."""
    house.kampeky("init", "--home", home.root)
    return home


def resolve(home: Home, monkeypatch, *given: object) -> house.Answer:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{value}\n" for value in given)))
    return house.kampeky("disclose", "security", "--pseudonym", "-", "--by", "B. Petit", "--reason", "case 12", "--home", home.root, "--as-of",
                         at(NOW).isoformat(), "--json")


def test_trust_learns_who_is_behind_a_pseudonym_of_security_and_the_ledger_says_who_asked_and_why(guarded, monkeypatch):
    known = pseudonyms(guarded, "security")
    files = {path: content for path, content in house.bytes_below(guarded.root) if "locks" not in path.parts and "evidence" not in path.parts}
    strange = uuid.UUID(int=7)
    answer = resolve(guarded, monkeypatch, known[id_of("leaves")], strange, known[id_of("stays")])
    assert answer.json == [{"pseudonym": str(known[id_of("leaves")]), "member_id": id_of("leaves")}, {"pseudonym": str(strange), "member_id": None},
                           {"pseudonym": str(known[id_of("stays")]), "member_id": id_of("stays")}]
    assert told(guarded, "pseudonyms resolved") == [{"purpose": "security", "by": "B. Petit", "reason": "case 12", "asked": 3, "resolved": 2}]
    after = {path: content for path, content in house.bytes_below(guarded.root) if "locks" not in path.parts and "evidence" not in path.parts}
    assert after == files  # nothing of it on disk
    text = guarded.ledger.read_text()
    assert not [value for value in (MARKED, str(known[id_of("leaves")]), str(strange)) if value in text]


def test_pseudonyms_of_other_purposes_are_nobodys_in_security(guarded, monkeypatch):
    answer = resolve(guarded, monkeypatch, *pseudonyms(guarded, "advertising").values())
    assert {row["member_id"] for row in answer.json} == {None}


def test_who_objected_to_security_is_not_named(guarded, monkeypatch):
    known = pseudonyms(guarded, "security")
    requests.open_request(guarded, "objection", id_of("leaves"), "security", at("2026-03-05 11:00"))
    answer = resolve(guarded, monkeypatch, known[id_of("leaves")], known[id_of("stays")])
    assert [row["member_id"] for row in answer.json] == [None, id_of("stays")]


@pytest.mark.parametrize("text", ["kqx-stays", "12zz", "' or true --"])
def test_what_is_no_pseudonym_is_misuse_and_is_not_repeated(guarded, monkeypatch, text):
    answer = resolve(guarded, monkeypatch, text)
    assert (answer.code, text in answer.err) == (2, False)
    assert told(guarded, "pseudonyms resolved") == []


@pytest.mark.parametrize("role", [*rules().policy.roles])
def test_no_role_file_resolves_in_security_not_even_that_of_trust(guarded, tmp_path, monkeypatch, role):
    house.kampeky("keys", "role", role, "--to", tmp_path / "role", "--home", guarded.root)
    monkeypatch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "role"))
    answer = resolve(guarded, monkeypatch, uuid.UUID(int=7))
    assert (answer.code, ("may have this done" if role == "trust" else f"your role is '{role}'") in answer.sentence) == (3, True)


def test_in_security_no_address_is_given(guarded):
    answer = house.kampeky("disclose", "security", "--channel", "email", "--template", "t", "--recipient-key", KEY, "--by", "x", "--reason", "y",
                           "--home", guarded.root)
    assert (answer.code, "--pseudonym -" in answer.sentence) == (2, True)


def test_the_answer_for_scripts_has_stable_keys(home):
    answer = json.loads(disclose(home).out)
    assert {"disclosure", "purpose", "channel", "template", "segment", "recipient", "given", "left_out", "package", "expires"} <= answer.keys()
