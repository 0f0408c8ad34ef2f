"""What is generated from the rules says what the rules say: the pages people read, dbt's sources and staging schema, the export schemas."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import house
import jsonschema
import pytest
import yaml
from small_market import Market, copy_home, shared_town

from pipelines.foundation.errors import Refused
from pipelines.foundation.home import PROJECT
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.rights.schemas import schema
from pipelines.transformation.dbt_schema import dbt_files, refuse_other_marts
from pipelines.workflows import requests
from pipelines.workflows.contracts import leftovers, pages

BOOK = house.rulebook()
PAGES = pages(BOOK)


# --- stale or left over ---


def test_every_generated_page_says_what_the_rules_say_and_none_is_left_over():
    stale = [path for path, text in PAGES.items() if not (PROJECT / path).is_file() or (PROJECT / path).read_bytes() != text.encode()]
    assert (stale, leftovers(PROJECT, PAGES)) == ([], []), "run: make docs"


def test_in_the_folders_of_generated_pages_stands_nothing_else():
    for folder in ("docs/datasets", "docs/schemas"):
        assert {path.relative_to(PROJECT).as_posix() for path in (PROJECT / folder).iterdir()} == {p for p in PAGES if p.startswith(f"{folder}/")}


def test_the_same_rules_give_the_same_bytes():
    assert pages(load_rulebook(house.RULES)) == PAGES


def test_a_stale_page_is_refused_and_named_and_written_anew(tmp_path):
    written = house.kampeky("contracts", "docs", "--out", tmp_path, "--json").json
    assert sorted(written["written"]) == sorted(PAGES) and written["removed"] == []
    assert house.kampeky("contracts", "docs", "--out", tmp_path, "--check").code == 0
    (tmp_path / "docs" / "retention.md").write_text("we keep everything\n")
    gone = house.put(tmp_path / "docs" / "datasets" / "gone.md", PAGES["docs/datasets/members.md"])
    mine = house.put(tmp_path / "docs" / "datasets" / "mine.md", "a note of my own")
    refused = house.kampeky("contracts", "docs", "--out", tmp_path, "--check")
    assert refused.code == 3 and "docs/retention.md, docs/datasets/gone.md. Run: kampeky contracts docs" in refused.sentence
    again = house.kampeky("contracts", "docs", "--out", tmp_path, "--json").json
    assert (again["written"], again["removed"]) == (["docs/retention.md"], ["docs/datasets/gone.md"])
    assert not gone.exists() and mine.exists()
    assert house.kampeky("contracts", "docs", "--out", tmp_path, "--json").json["written"] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("policy.yaml", "periods: [P30D]", "periods: [P20D]", {"docs/retention.md", "docs/art30.md", "docs/datasets/access_logs.md"}),
        ("policy.yaml", "country: IE", "country: FR", {"docs/recipients.md"}),
        ("policy.yaml", "contact: 1 Impasse", "contact: 2 Impasse", {"docs/art30.md"}),
        ("members.odcs.yaml", "{use: age_band, as: age_band}", "{use: age_band, as: ages}",
         {"docs/purposes.md", "docs/datasets/members.md", "dbt_project/models/analytics/staging/_sources.yml"}),
        ("members.odcs.yaml", "E-mail address of the account.", "Where mail goes.", {"docs/datasets/members.md", "docs/schemas/members.1.0.0.json"}),
        ("members.odcs.yaml", "version: 1.0.0", "version: 1.1.0", {"docs/schemas/members.1.1.0.json", "docs/datasets/members.md"}),
    ],
)
def test_a_changed_rule_changes_every_page_that_tells_it(tmp_path, file, old, new, changes):
    folder = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    made = pages(load_rulebook(folder))
    assert changes <= {path for path, content in made.items() if PAGES.get(path) != content}
    assert len(changes) < len(PAGES) / 2


# --- what the pages say ---


def rows(page: str, heading: str | None = None) -> list[list[str]]:
    """The cells of the first table below the heading."""
    text = PAGES[page] if heading is None else PAGES[page].split(f"## {heading}", 1)[1]
    lines = text[text.index("|"):].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in [lines[0], *lines[2:]]]


@pytest.mark.parametrize("page", [path for path in PAGES if path.endswith(".md")])
def test_every_table_has_as_many_cells_as_columns_and_every_link_leads_somewhere(page):
    for table in re.findall(r"(?:^\|.*\n?)+", PAGES[page], re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        assert ((PROJECT / page).parent / link).resolve().is_file(), link


@pytest.mark.parametrize("contract", BOOK.contracts.values(), ids=BOOK.contracts)
def test_the_page_of_a_dataset_names_each_column_and_every_rule_that_ends_it(contract):
    page = f"docs/datasets/{contract.name}.md"
    assert [row[0].strip("`") for row in rows(page, "Columns")[1:]] == [c.name for c in contract.columns]
    told = PAGES[page].split("## How long")[1].split("##")[0]
    assert all(f"({entry.rule})" in told for entry in contract.retention)
    assert all(f"`{c.name}` is emptied" in told for c in contract.columns if c.retention)
    assert contract.holding.clause in PAGES[page] and contract.purpose in PAGES[page]


def test_the_purpose_matrix_says_of_each_category_what_the_policy_says():
    header, *body = rows("docs/purposes.md")
    assert header[2:] == list(BOOK.policy.purposes)
    for category, _, *cells in body:
        name = category.split(" ")[0]
        for purpose, cell in zip(BOOK.policy.purposes.values(), cells, strict=True):
            assert (cell != "–") is (name in purpose.sources), (name, purpose.name)
    forbidden = PAGES["docs/purposes.md"].split("## analytics")[1].split("Never flows in: ")[1].splitlines()[0]
    assert {"transactions", "card_digits", "bank_account", "address", "location", "telephone"} <= set(re.split(r"[, .]+", forbidden))


def test_the_retention_table_has_every_rule_once_with_its_period_in_words():
    body = rows("docs/retention.md")[1:]
    rules, others = body[:len(BOOK.policy.retention)], body[len(BOOK.policy.retention):]
    assert [row[0] for row in rules] == [*BOOK.policy.retention]
    assert [(row[0], row[3]) for row in others] == [
        ("C-10.4", "quarantine of every dataset"), ("C-2.7", "`locations`"), ("C-8", "`usage_events`"),
        ("C-8", "quarantine of `locations`, `usage_events`"), ("C-10.4", "outbox"), ("C-10.4", "extracts")]
    assert others[3][2].startswith("3 days after")
    due = {row[0]: row[2] for row in rules}
    assert due["C-10.1"].startswith("30 days after") and due["C-10.2"].startswith("13 months after")
    assert due["C-10.3"] == ("3 months after the account is deleted, or 5 years and then 3 months after its last activity, whichever is earlier")


def test_the_record_holds_what_art_30_1_asks_for():
    """(a) to (g): controller and contact, purposes, subjects and data, recipients, transfers with safeguards, time limits, security."""
    page = PAGES["docs/art30.md"]
    assert [letter for letter in "abcdefg" if f"({letter})" not in page] == []
    assert BOOK.policy.controller.address in page and BOOK.policy.controller.contact in page
    assert [name for name in (*BOOK.contracts, *BOOK.policy.purposes, *BOOK.policy.recipients, *BOOK.policy.categories) if name not in page] == []
    outside = {row[0].strip("`"): row for row in rows("docs/art30.md", "(e)")[1:]}
    assert {name for name, r in BOOK.policy.recipients.items() if r.safeguard != "eea"} == outside.keys()
    assert all(row[3] != "–" for row in outside.values())


def test_the_page_of_recipients_names_each_with_its_safeguard_and_every_column_that_is_public():
    """C-5, C-7: the register; C-6: what stands on the internet."""
    told = {row[0].strip("`"): row for row in rows("docs/recipients.md", "Processors")[1:]}
    assert told.keys() == BOOK.policy.recipients.keys()
    assert all(told[name][4] == r.country and told[name][8] == ", ".join(r.receives) for name, r in BOOK.policy.recipients.items())
    public = {f"{dataset[1:].split(']')[0]}.{column}" for dataset, columns in rows("docs/recipients.md", "Public")[1:]
              for column in re.findall(r"`(.*?)`", columns)}
    assert public == {f"{c.name}.{column.name}" for c in BOOK.contracts.values() for column in c.columns if column.visibility == "public"}


# --- dbt ---


@pytest.mark.parametrize("purpose", BOOK.policy.built)
def test_the_staging_schema_names_the_columns_that_the_staging_sql_selects(purpose):
    for model in yaml.safe_load(dbt_files(BOOK)[f"dbt_project/models/{purpose}/staging/_staging__models.yml"])["models"]:
        sql = (PROJECT / "dbt_project" / "models" / purpose / "staging" / f"{model['name']}.sql").read_text()
        selected = re.search(r"renamed as \(\s*select(.*?)\bfrom source", sql, re.DOTALL)
        assert selected
        names = {re.split(r"\s+", line.strip())[-1] for line in re.split(r",\s*\n", selected[1].strip())}
        assert names == {column["name"] for column in model["columns"]}, model["name"]


def test_a_mart_that_policy_models_and_yaml_do_not_all_name_is_refused(tmp_path):
    folder = Path(shutil.copytree(PROJECT / "dbt_project", tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs")))
    assert set(refuse_other_marts(BOOK, folder)["analytics"]) == {"user_profiles", "sessions", "member_activity_daily", "forum_activity",
                                                                    "cohorts"}
    (folder / "models" / "analytics" / "marts" / "ages.sql").write_text("select 1\n")
    with pytest.raises(Refused, match=r"Marts of 'analytics': ages must stand in policy\.yaml"):
        refuse_other_marts(BOOK, folder)
    widened = replace(BOOK.policy.purposes["analytics"], marts=(*BOOK.policy.purposes["analytics"].marts, "ages"))
    book = replace(BOOK, policy=replace(BOOK.policy, purposes={**BOOK.policy.purposes, "analytics": widened}))
    with pytest.raises(Refused, match="ages"):  # its YAML is still missing
        refuse_other_marts(book, folder)
    yml = folder / "models" / "analytics" / "marts" / "_marts__models.yml"
    yml.write_text(yml.read_text().replace("        data_type: varchar\n", "", 1))
    with pytest.raises(Refused, match="each of its columns with its data_type"):
        refuse_other_marts(BOOK, folder)


# --- export schemas ---


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A member's package, as JSON per dataset: one row at least of what the small market can hold."""
    home = copy_home(shared_town(tmp_path_factory), tmp_path_factory.mktemp("schemas") / "home")
    market = Market("s").post("s1", "kqxstay-id", when="2026-01-08 10:00").sale("s2", "kqxstay-id", "kqxother-id", when="2026-01-08 10:00")
    market.add("locations", device_id="s3", member_id="kqxstay-id", latitude="48.86", longitude="2.35", origin="gps", fixed_at="2026-01-09T10:00:00Z")
    market.add("ratings", rating_id="s4", transaction_id="s2", rater_id="kqxstay-id", rated_id="kqxother-id", stars=5, body="Parfait",
               rated_at="2026-01-08T10:00:00.5Z")
    market.add("messages", message_id="s5", conversation_id="c1", sender_id="kqxstay-id", recipient_id="kqxother-id", body="Bonjour",
               sent_at="2026-01-08T10:00:00Z")
    market.load(home, "2026-01-09 13:00")
    opened = requests.open_request(home, "portability", "kqxstay-id", None, house.parse_as_of("2026-01-09T14:00:00+01:00"))
    done = requests.process(home, opened["request_id"], house.parse_as_of("2026-01-09T14:00:00+01:00"))
    with zipfile.ZipFile(home.outbox / Path(done["package"]).name) as archive:
        return {name.removesuffix(".json"): json.loads(archive.read(name)) for name in archive.namelist()
                if name.removesuffix(".json") in BOOK.contracts}


def test_a_package_holds_what_its_schemas_say(package):
    assert len([name for name, content in package.items() if content]) >= 7
    for name, content in package.items():
        contract = BOOK.contracts[name]
        published = json.loads(PAGES[f"docs/schemas/{name}.{contract.version}.json"])
        jsonschema.Draft202012Validator.check_schema(published)
        jsonschema.validate(content, published, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("item_category"),
        lambda row: row.update(surprise=1),
        lambda row: row.update(price_eur="12.50"),
        lambda row: row.update(item_category=None),
        lambda row: row.update(status="sold"),
        lambda row: row.update(price_eur=-1),
    ],
)
def test_a_package_with_another_row_is_no_package_of_that_schema(package, change):
    contract, content = BOOK.contracts["transactions"], [dict(row) for row in package["transactions"]]
    change(content[0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema(contract, "x"), jsonschema.Draft202012Validator)


def test_what_the_platform_may_have_emptied_may_be_null():
    fields = schema(BOOK.contracts["usage_events"], "x")["items"]["properties"]
    assert fields["occurred_at"]["type"] == ["string", "null"] and fields[DAY]["format"] == "date"
    assert fields["event_type"]["type"] == "string"
    assert schema(BOOK.contracts["transactions"], "x")["items"]["properties"]["buyer_id"]["type"] == ["string", "null"]
