"""A member's rights: a package that is complete and nobody else's, an objection that takes out of one purpose, a request that names nobody."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import stat
import zipfile
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from small_market import (
    BUILT,
    Market,
    at,
    built_before_treatment,
    copy_home,
    database,
    fingerprint,
    members_in,
    new_home,
    pseudonyms,
    query,
    raw,
    shared_town,
    vault,
)

from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.home import PROJECT
from pipelines.rights.portability import export_member
from pipelines.workflows import requests
from pipelines.workflows.rules import rules

ME = "kqxstay-id"
OTHERS = ("kqxother", "kqxgone", "kqxsilent", "kqxleaving", "kqxwaits", "kqxbroken")
AS_OF = "2026-01-09 14:00"


EMPTY = {"comments", "locations", "messages", "offers", "ratings", "social_links", "verifications", "wallets"}  # the town has none


def portable() -> dict[str, list[str]]:
    """Dataset → its columns that say `portability`, read from the contracts' YAML."""
    found = {}
    for path in sorted((PROJECT / "data_contracts").glob("*.odcs.yaml")):
        table = yaml.safe_load(path.read_text())["schema"][0]
        found[table["name"]] = [c["name"] for c in table["properties"]
                                if {p["property"]: p["value"] for p in c["customProperties"]}["export"] == "portability"]
    return {name: columns for name, columns in found.items() if columns}


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return copy_home(shared_town(tmp_path_factory), tmp_path_factory.mktemp("rights") / "home")


@pytest.fixture(scope="module")
def package(town):
    """The package of one member: request, path, and every file in it."""
    opened = requests.open_request(town, "portability", ME, None, at(AS_OF))
    done = requests.process(town, opened["request_id"], at(AS_OF))
    return opened, Path(done["package"]), unpacked(Path(done["package"]))


# ---------------------------------------------------------------- what is in a package


def test_a_package_has_each_dataset_as_json_and_csv_a_description_and_a_manifest(package):
    assert set(package[2]) == {f"{name}.{form}" for name in portable() for form in ("json", "csv")} | {"datapackage.json", "manifest.json"}
    assert "access_logs" not in portable()


def rows_in_raw(town, dataset: str, columns: list[str]) -> list[tuple]:
    subjects = {
        "transactions": ("buyer_id", "seller_id"), "forum_posts": ("author_id",), "comments": ("author_id", "seller_id"), "offers": ("seller_id",),
        "messages": ("sender_id", "recipient_id"), "ratings": ("rater_id", "rated_id"),
    }.get(dataset, ("member_id",))
    mine = " or ".join(f"{c} = '{ME}'" for c in subjects)
    return query(town, "raw", f"select {', '.join(columns)} from lake.main.{dataset} where {mine} order by all")


def test_every_row_that_names_the_member_is_in_it_with_every_portable_column_and_no_other(town, package):
    for dataset, portable_columns in portable().items():
        # usage events keep their day when their exact time is deleted (C-10.1)
        columns = [*portable_columns, "paris_day"] if dataset == "usage_events" else portable_columns
        told = json.loads(package[2][f"{dataset}.json"])
        assert {tuple(row) for row in told} == (set() if dataset in EMPTY else {tuple(columns)}), dataset
        wanted = [tuple(shown(name, value) for name, value in zip(columns, row, strict=True)) for row in rows_in_raw(town, dataset, columns)]
        found = [tuple(shown(name, value) for name, value in row.items()) for row in told]
        assert sorted(map(repr, found)) == sorted(map(repr, wanted)) and (len(found) > 0) != (dataset in EMPTY), dataset


def shown(name: str, value: object) -> object:
    """A value as both sides write it; parties and texts are compared by tests of their own."""
    if name in ("buyer_id", "seller_id", "body"):
        return "party or text" if value is not None else None
    if hasattr(value, "astimezone"):
        return value.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if name == "price_eur" else value


def test_json_and_csv_say_the_same(package):
    for dataset, columns in portable().items():
        rows = list(csv.DictReader(io.StringIO(package[2][f"{dataset}.csv"].decode(), newline="")))
        told = json.loads(package[2][f"{dataset}.json"])
        assert len(rows) == len(told)
        for row, value in ((r, t) for r, t in zip(rows, told, strict=True)):
            for column in columns:
                text = row[column].removeprefix("'") if column in ("body", "about") else row[column]
                same = value[column]
                same = "" if same is None else str(same).lower() if isinstance(same, bool) else same
                assert text == same or float(text) == float(same), (dataset, column)


def test_nobody_else_is_in_it_by_id_name_address_or_account(town, package):
    everything = "\n".join(content.decode() for content in package[2].values()).lower()
    columns = "member_id, member_name, email, first_name, last_name, street, city, account_holder, iban, picture_url"
    strangers = [row for row in raw(town, "members", columns) if row[0] != ME]
    assert len(strangers) == len(OTHERS)
    assert not [value for row in strangers for value in row if value.lower() in everything]
    assert not [word for word in OTHERS if word in everything]
    assert all(value.lower() in everything for value in query(town, "raw", f"select {columns} from lake.main.members where member_id = ?", ME)[0])


def test_in_the_members_own_text_others_and_contacts_are_taken_out_and_the_members_own_stay(package):
    texts = {row["post_id"]: row["body"] for row in json.loads(package[2]["forum_posts.json"])}
    assert texts["p2"] == ("Salut another member (another member) ! Écris à [contact removed], appelle le [contact removed] ou verse sur "
                           "[contact removed]. Moi : kqxstay@exemple.fr, kqxstayname.")


def test_the_other_party_is_a_letter_the_member_is_you_and_who_left_is_nobody(town, package):
    told = {row["transaction_id"]: (row["buyer_id"], row["seller_id"]) for row in json.loads(package[2]["transactions.json"])}
    real = {t: (b, s) for t, b, s in raw(town, "transactions", "transaction_id, buyer_id, seller_id") if ME in (b, s)}
    labels: dict[str, set] = {}
    for t, parties in told.items():
        for shown_as, party in zip(parties, real[t], strict=True):
            labels.setdefault(party, set()).add(shown_as)
    assert labels.pop(ME) == {"you"}
    assert all(len(names) == 1 for names in labels.values()), "one person, one letter"
    assert sorted(name for names in labels.values() for name in names) == [f"member {letter}" for letter in "ABCDEF"]


def test_letters_are_given_anew_for_each_package_and_the_same_request_gives_the_same_bytes(town):
    def letters(request_id: str) -> tuple[dict, bytes]:
        path = town.root / "outbox" / export_member(town, rules(), ME, request_id, at(AS_OF))
        content = path.read_bytes()
        told = {row["transaction_id"]: row["seller_id"] for row in json.loads(unpacked(path)["transactions.json"])}
        path.unlink()  # made by this test
        return told, content

    (first, content), (again, same), (second, _) = letters("R-000000000001"), letters("R-000000000001"), letters("R-000000000002")
    assert first == again and content == same
    assert first != second and first.keys() == second.keys()


def test_formulas_are_defused_in_csv_and_left_as_they_are_in_json(package):
    files = package[2]
    about = json.loads(files["members.json"])[0]["about"]
    in_csv = next(csv.DictReader(io.StringIO(files["members.csv"].decode())))["about"]
    assert (about, in_csv) == ("=HYPERLINK(1)", "'=HYPERLINK(1)")
    bodies = {form: {r["post_id"]: r["body"] for r in rows} for form, rows in (
        ("json", json.loads(files["forum_posts.json"])), ("csv", csv.DictReader(io.StringIO(files["forum_posts.csv"].decode()))))}
    assert (bodies["json"]["p8"], bodies["csv"]["p8"]) == ("+33 est un préfixe", "'+33 est un préfixe")
    assert bodies["csv"]["p2"] == bodies["json"]["p2"], "what is no formula has no apostrophe"


def test_the_manifest_has_the_size_and_sum_of_every_file(package):
    manifest = json.loads(package[2]["manifest.json"])
    assert {entry["path"]: (entry["bytes"], entry["sha256"]) for entry in manifest["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in package[2].items() if name != "manifest.json"}
    assert manifest["request"] == package[0]["request_id"]


def test_frictionless_finds_the_package_valid_and_a_broken_one_not(package, tmp_path):
    from frictionless import validate

    for name, content in package[2].items():
        (tmp_path / name).write_bytes(content)
    report = validate(str(tmp_path / "datapackage.json"))
    assert report.valid and report.stats["tasks"] == 2 * len(portable()), report.flatten(["name", "note"])
    broken = package[2]["transactions.csv"].decode().replace("2026-01-04", "not a day", 1)
    (tmp_path / "transactions.csv").write_text(broken)
    assert broken != package[2]["transactions.csv"].decode() and not validate(str(tmp_path / "datapackage.json")).valid


def test_the_package_is_for_its_owner_alone_and_nothing_is_left_beside_it(town, package):
    assert stat.S_IMODE(package[1].stat().st_mode) == 0o600
    with zipfile.ZipFile(package[1]) as archive:
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o600}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list((town.root / "tmp").iterdir()) == []
    assert vault(town, "select package, package_expires from db.requests where request_id = ?", package[0]["request_id"]) == [
        (package[1].name, at("2026-01-10 14:00"))]


# ---------------------------------------------------------------- texts that name others in other ways

LEAKS = {  # sentence: (text, what must not be left of it)
    "a name said twice": ("merci zoe75 zoe75 !", "zoe75"),
    "a name of two words": ("merci Marie Curie", "Marie Curie"),
    "a name in other letters": ("ZOE75 et Zoe75", "zoe75"),
    "a name right before a full stop and a word": ("vu avec marius.Merci", "marius"),
    "an address that begins with the member's own name": ("écris à lulu@autre.fr", "@autre.fr"),
    "an address that holds the member's own last name": ("écris à paul.martin@exemple.fr", "paul."),
    "an address that ends like the member's own": ("écris à joann@exemple.fr", "joann"),
    "a name that begins with the member's own": ("merci Annabelle", "Annabelle"),
    "an address with an accent": ("écris à jean@société.fr", "jean@"),
    "an address in a link": ("https://k.fr/?m=jean%40exemple.fr", "jean%40"),
    "a number with slashes": ("06/12/34/56/78", "06/12"),
    "a number with hard spaces": ("06\u00a012\u00a034\u00a056\u00a078", "34"),
    "an account in small letters": ("fr7630006000011234567890189", "30006000"),
}
CLEAN = {
    "a name": ("merci zoe75, à bientôt", "merci another member, à bientôt"),
    "a name in brackets and with an at": ("(zoe75) @zoe75", "(another member) @another member"),
    "an id": ("c'est o2", "c'est another member"),
    "a word that holds a name": ("zoe750 et azoe75", "zoe750 et azoe75"),
    "a number": ("06 12 34 56 78, 06.12.34.56.78, +33 6 12 34 56 78, +33 (0)6 12 34 56 78, 0033612345678", ", ".join(["[contact removed]"] * 5)),
    "an account": ("FR76 3000 6000 0112 3456 7890 189 et FR7630006000011234567890189", "[contact removed] et [contact removed]"),
    "an address": ("à zoe.b+c@sous.exemple.com.", "à [contact removed]."),
    "the member's own": ("je suis lulu, ann@exemple.fr", "je suis lulu, ann@exemple.fr"),
    "a price and a date": ("12,50 € le 03/02/2026, taille 38", "12,50 € le 03/02/2026, taille 38"),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The posts of a member as their package shows them, by number of the text above."""
    home, market = new_home(tmp_path_factory.mktemp("texts") / "home"), Market()
    market.member("o1", member_name="lulu", first_name="Anna", last_name="martin", email="ann@exemple.fr")
    market.member("o2", member_name="zoe75").member("o3", member_name="Marie Curie", email="jean@société.fr")
    market.member("o4", member_name="Annabelle").member("o5", member_name="marius")
    for n, (text, _) in enumerate([*LEAKS.values(), *CLEAN.values()]):
        market.post(f"p{n}", "o1", body=text)
    market.load(home, "2026-02-01")
    path = home.root / "outbox" / export_member(home, rules(), "o1", "R-000000000001", at("2026-02-01"))
    return {row["post_id"]: row["body"] for row in json.loads(unpacked(path)["forum_posts.json"])}


@pytest.mark.parametrize("sentence", CLEAN)
def test_of_a_text_goes(texts, sentence):
    assert texts[f"p{len(LEAKS) + list(CLEAN).index(sentence)}"] == CLEAN[sentence][1]


@pytest.mark.parametrize("sentence", LEAKS)
def test_of_a_text_goes_too(texts, sentence):
    assert LEAKS[sentence][1].lower() not in texts[f"p{list(LEAKS).index(sentence)}"].lower()


# ---------------------------------------------------------------- requests


def test_a_request_is_known_by_an_opaque_id_and_has_a_month(package):
    """C-11.9: from receipt, in calendar months."""
    assert re.fullmatch(r"R-[0-9a-f]{12}", package[0]["request_id"])
    assert package[0]["due"] == "2026-02-09" and package[0]["state"] == "received" and "kqx" not in json.dumps(package[0])


def test_what_is_unknown_is_one_sentence_without_the_id_and_leaves_no_trace(town):
    before = vault(town, "select count(*) from db.requests"), vault(town, "select count(*) from db.refusals")
    for right, member, purpose, words in (("erase-me", ME, None, "Right 'erase-me' is unknown"), ("portability", "kqxnobody", None, "No account"),
                                          ("objection", ME, "surveillance", "Purpose 'surveillance' is unknown"),
                                          ("objection", ME, None, "names its purpose")):
        with pytest.raises(Misuse, match=re.escape(words)) as refused:
            requests.open_request(town, right, member, purpose, at(AS_OF))
        assert "kqx" not in str(refused.value)
    for answer in (requests.show, lambda home, request_id: requests.process(home, request_id, at(AS_OF))):
        with pytest.raises(Misuse, match="no request with that id"):
            answer(town, "R-000000000000")
    assert (vault(town, "select count(*) from db.requests"), vault(town, "select count(*) from db.refusals")) == before


def test_a_request_that_is_done_stays_done(town, package):
    untouched = fingerprint(town)
    again = requests.process(town, package[0]["request_id"], at("2026-01-09 15:00"))
    assert again["state"] == "done" and Path(again["package"]) == package[1]
    assert fingerprint(town) == untouched


def test_a_member_whose_account_ended_meanwhile_gets_one_sentence(tmp_path):
    home = new_home(tmp_path / "home")
    Market().member("m1").load(home, "2026-02-01")
    with pytest.raises(KampekyError, match="account is gone"):
        export_member(home, rules(), "m2", "R-000000000001", at("2026-02-01"))
    assert list((home.root / "outbox").iterdir()) == [] and list((home.root / "tmp").iterdir()) == []


def test_an_objection_leaves_the_mart_of_its_purpose_once_processed_and_touches_nothing_else(town, tmp_path):
    home = copy_home(town, tmp_path / "home")
    names = {p: member for member, p in pseudonyms(home, "advertising").items()}
    everybody = members_in(home, "advertising")
    analytics = (home.root / "marts" / "analytics.duckdb").read_bytes()

    objection = requests.open_request(home, "objection", ME, "advertising", at(BUILT))
    assert members_in(home, "advertising") == everybody, "the marts are rebuilt when the request is processed"
    with built_before_treatment(tmp_path) as built:
        assert requests.process(home, objection["request_id"], at(AS_OF))["state"] == "done"
    # kqxother objected before, and this is the first build since
    with database(*built["advertising"]) as connection:
        assert {names[p] for (p,) in connection.execute("select pseudonym from db.ad_profiles").fetchall()} == everybody - {ME, "kqxother-id"}
    assert members_in(home, "advertising") == everybody - {ME, "kqxother-id"}
    assert (home.root / "marts" / "analytics.duckdb").read_bytes() == analytics
    assert {ME, "kqxother-id"} < {member for (member,) in raw(home, "members", "member_id")}, "an objection deletes nothing"


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A home of two members, where a build only writes down what it was asked."""
    home = new_home(tmp_path / "home")
    Market().member("m1").member("m2").load(home, "2026-02-01")
    asked = []
    monkeypatch.setattr(requests, "build", lambda _home, as_of, purposes: asked.append((as_of, purposes)))
    return home, requests.open_request(home, "objection", "m1", "advertising", at("2026-02-12 10:00"))["request_id"], asked


def test_a_request_is_not_done_while_its_member_is_still_in(two):
    home, request_id, asked = two
    try:
        requests.process(home, request_id, at("2026-02-12"))  # the day alone: midnight
    except KampekyError:
        return
    assert asked[0][0] >= at("2026-02-12 10:00")


def test_an_objection_publishes_no_mart_of_another_purpose(two):
    home, request_id, asked = two
    requests.process(home, request_id, at("2026-02-12 11:00"))
    assert not [purposes for _, purposes in asked if purposes != ["advertising"]]


def test_a_restriction_is_done_by_rebuilding_every_purpose_that_is_published(two):
    home, _, asked = two
    opened = requests.open_request(home, "restriction", "m2", None, at("2026-02-12 10:00"))
    for purpose in ("analytics", "advertising"):
        (home.root / "marts" / f"{purpose}.duckdb").touch()
    assert requests.process(home, opened["request_id"], at("2026-02-12 11:00"))["state"] == "done"
    assert [sorted(purposes) for _, purposes in asked] == [["advertising", "analytics"]]
