"""The pages of the marts say what the models say, and every query and example on them runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import house
import pytest

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_name
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import PROJECT, Home
from pipelines.transformation.mart_pages import Question, mart_pages, models, questions
from pipelines.workflows.build import build
from pipelines.workflows.contracts import site
from pipelines.workflows.ingest import ingest_folder
from pipelines.workflows.init import init
from pipelines.workflows.rules import rules
from pipelines.workflows.simulate import simulate
from pipelines.workflows.sql import sql

ASKED = questions(PROJECT)
BUILT = list(house.rulebook().policy.built)
AS_OF = "2026-01-31"


def asked(question: Question) -> str:
    return f"{question.mart}: {question.ask}"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.Connection]:
    """Every mart as its YAML declares it, without a row, each purpose a schema of its own."""
    connection = engine.connect(tmp_path_factory.mktemp("empty"), extensions=())
    for purpose in BUILT:
        connection.execute(f"create schema {purpose}")
        for mart, model in models(PROJECT / "dbt_project", purpose).items():
            columns = ", ".join(f"{quote_name(c['name'])} {c['data_type']}" for c in model["columns"] if c["name"] != "ends_on")
            connection.execute(f"create table {purpose}.{mart} ({columns})")
    yield connection
    connection.close()


@pytest.mark.parametrize("question", ASKED, ids=asked)
def test_every_question_is_answered_by_columns_that_its_mart_has(empty, question):
    empty.execute(f"use {question.purpose}")
    assert empty.execute(question.sql).description


def test_every_mart_has_a_page_with_each_of_its_columns_and_no_other():
    pages = mart_pages(house.rulebook(), PROJECT)
    for purpose in BUILT:
        for mart, model in models(PROJECT / "dbt_project", purpose).items():
            page = pages[f"docs/marts/{mart}.md"]
            shown = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
            assert shown == [c["name"] for c in model["columns"] if c["name"] != "ends_on"], mart
            assert "One row per" in page and f"kampeky sql {purpose}" in page
            assert [q.sql in page and q.ask in page for q in ASKED if q.mart == mart].count(True) >= 2, mart
    assert len(pages) == sum(len(house.rulebook().policy.built[p].marts) for p in BUILT)
    assert all((PROJECT / path).read_text() == text for path, text in pages.items())


def test_a_mart_of_which_nobody_asks_anything_is_refused_by_name():
    book = house.rulebook()
    one = replace(book.policy.purposes["analytics"], marts=(*book.policy.purposes["analytics"].marts, "unasked"))
    policy = replace(book.policy, purposes={**book.policy.purposes, "analytics": one})
    with pytest.raises(Refused, match=r"analytics\.unasked must stand in policy\.yaml and have a question"):
        mart_pages(replace(book, policy=policy), PROJECT)


def test_the_analysts_page_links_every_mart_page():
    page = (PROJECT / "docs" / "analysts.md").read_text()
    assert set(re.findall(r"\(marts/(\w+)\.md\)", page)) == {question.mart for question in ASKED}


def test_dbts_documentation_is_one_file_without_a_value_a_folder_or_a_need_of_the_network(tmp_path):
    done = site(tmp_path / "models.html")
    text = (tmp_path / "models.html").read_text()
    assert done["bytes"] > 1_000_000 and [path.name for path in tmp_path.iterdir()] == ["models.html"]
    assert "user_profiles" in text and "trust_signals" in text and "One row per member that passed the gate" in text
    assert str(PROJECT) not in text and str(tmp_path) not in text
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://", text)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A simulated marketplace, built as the demo builds it."""
    from pipelines.foundation.dates import parse_as_of

    folder = tmp_path_factory.mktemp("market")
    home = Home(folder / "home")
    init(home)
    simulate(folder / "source", members=2500, days=40, seed=7, end=parse_as_of("2026-01-30").date())
    ingest_folder(home, folder / "source", parse_as_of(AS_OF))
    build(home, parse_as_of(AS_OF))
    return home


@pytest.mark.long
def test_every_question_is_answered_with_rows(market):
    silent = [asked(question) for question in ASKED if not sql(market, question.purpose, question.sql)[1]]
    assert len(silent) <= len(ASKED) // 5, silent  # rare things, such as a refused segment, need not be in a small marketplace
    assert not [question for question in silent if question.startswith(("user_profiles", "sessions", "ad_profiles", "offer_matching"))]


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
def test_the_examples_in_other_programs_run_as_they_stand(market, number):
    program = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "analysts.md").read_text(), re.DOTALL)[number]
    assert len(program.splitlines()) <= 10
    out = StringIO()
    with redirect_stdout(out):
        exec(compile(program.replace(".kampeky", str(market.root)), f"example {number}", "exec"), {})
    assert len(out.getvalue().splitlines()) > 3


@pytest.mark.long
def test_the_notebook_runs_from_top_to_bottom_and_keeps_no_output(market, monkeypatch):
    monkeypatch.setenv("KAMPEKY_HOME", str(market.root))
    notebook = json.loads((PROJECT / "docs" / "first-questions.ipynb").read_text())
    space: dict = {}
    for cell in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
    assert len(space["ask"]("from user_profiles")) > 100


def test_examples_open_the_marts_that_a_policy_publishes_plain():
    text = (PROJECT / "docs" / "analysts.md").read_text() + (PROJECT / "docs" / "first-questions.ipynb").read_text()
    opened = set(re.findall(r"marts/(\w+)\.duckdb", text))
    assert {name for name in opened if rules().policy.purposes[name].published != "plain"} == set() and opened
    assert Path(PROJECT / "docs" / "first-questions.ipynb").is_file()
