"""What a dbt project may have: listed files, plain words, plain unit tests; judged before dbt reads or runs any word of it (C-3.3a, C-3.3b)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.assurance.project_files import refuse_project
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import project_folder
from pipelines.transformation.dbt_build import compiled


@pytest.fixture
def dbt(tmp_path):
    """A copy of the dbt project alone."""
    return Path(shutil.copytree(project_folder() / "dbt_project", tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs")))


@pytest.mark.parametrize(("file", "more", "reason"), [
    ("dbt_project.yml", "query-comment: {comment: \"{{ run_query('select 1') }}\"}\n", "it sets query-comment"),
    ("dbt_project.yml", "on-run-start: \"copy (select 1) to 'x'\"\n", "it sets on-run-start"),
    ("dbt_project.yml", "on-run-end: select 1\n", "it sets on-run-end"),
    ("dbt_project.yml", "vars: {as_of: x}\n", "it sets vars"),
    ("dbt_project.yml", "packages-install-path: macros\n", "it sets packages-install-path"),
    *((name, "x: y\n", "it is no file of a project") for name in (
        "profiles.yml", "packages.yml", "dbt_packages/dbt_duckdb/dbt_project.yml", "models/x.SQL", "models/analytics/x.YML", "models/x.yaml",
        "models/x.md", "models/x.py", "macros/x.yml", "seeds/x.CSV", ".dbtignore", "analyses/x.sql", "snapshots/x.sql", "selectors.yml",
        "x/models/y.sql"))])
def test_a_project_says_what_is_built_and_nothing_of_how_it_is_run(dbt, tmp_path, file, more, reason):
    path = dbt / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + more)
    with pytest.raises(Refused, match=f"^{file}: {reason}"):
        compiled(dbt, tmp_path / "work", ("analytics",))


def described(**unit_test: Any) -> str:
    """A YAML file with one unit test, which is a good one but for what is given."""
    good = {"name": "t", "model": "user_profiles", "given": [{"input": "ref('stg_analytics__members')", "rows": [{"gender": "female", "n": 1}]}],
            "expect": {"rows": [{"gender": None}]}, "overrides": {"vars": {"as_of": "2026-01-01", "cell": 1}}}
    return yaml.safe_dump({"unit_tests": [good | unit_test]})


ACTING = [  # what dbt would fill in, or write into a statement as it is
    ("models: [{name: user_profiles, description: \"{{ env_var('KAMPEKY_KEY_RAW') }}\"}]\n", "it holds a template"),
    ("models: [{name: user_profiles, description: \"\\x7b\\x7b env_var('HOME') }}\"}]\n", "it holds a template"),
    ("models: [{name: user_profiles, meta: {a: [b, {c: '{% do x %}'}]}}]\n", "it holds a template"),
    ("exposures: []\n", "it describes exposures"), ("macros: []\n", "it describes macros"), ("snapshots: []\n", "it describes snapshots"),
    ("semantic_models: []\n", "it describes semantic_models"), ("unit_tests: [x]\n", "a unit test of it sets something else"),
    ("unit_tests: 5\n", "a unit test of it sets something else"), (described(given=5), "is given what is none of the project's"),
    (described(given=[{"input": "ref('a')", "format": "sql", "rows": "select 1) ; copy (select 1) to 'x"}]), "is given what is none"),
    (described(given=[{"input": "ref('a')", "rows": 5}]), "has rows that are none"), (described(overrides=5), "overrides something else"),
    (described(given=[{"input": "ref('a')", "fixture": "x"}]), "is given what is none of the project's"),
    (described(given=[{"input": "read_text('x')", "rows": []}]), "is given what is none of the project's"),
    (described(given=[{"input": "ref('a')", "rows": "select 1"}]), "has rows that are none"),
    (described(given=[{"input": "ref('a')", "rows": [{"gender": ["x'); copy y"]}]}]), "has rows that are none"),
    (described(given=[{"input": "ref('a')", "rows": [{"x, y": 1}]}]), "has rows that are none"),
    (described(expect={"format": "sql", "rows": "select 1"}), "expects no rows"),
    (described(expect={"rows": [{"gender": {"a": 1}}]}), "has rows that are none"),
    (described(overrides={"macros": {"as_of": "x"}}), "overrides something else"),
    (described(overrides={"env_vars": {"HOME": "x"}}), "overrides something else"),
    (described(overrides={"vars": {"as_of": "2026-01-01'); copy (select 1) to 'x"}}), "overrides something else"),
    (described(config={"enabled": True}), "sets something else")]


@pytest.mark.parametrize(("text", "reason"), ACTING)
def test_what_dbt_would_fill_in_or_write_into_a_statement_is_refused_before_it_reads_it(dbt, tmp_path, monkeypatch, text, reason):
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "kqxkey")
    (dbt / "models" / "analytics" / "marts" / "more.yml").write_text(text)
    with pytest.raises(Refused, match=f"^models/analytics/marts/more.yml: .*{reason}") as refused:
        compiled(dbt, tmp_path / "work", ("analytics",))
    assert "kqxkey" not in str(refused.value) and "copy" not in str(refused.value)


def test_a_plain_unit_test_is_none_of_that(dbt):
    (dbt / "models" / "analytics" / "marts" / "more.yml").write_text(described())
    refuse_project(dbt)


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("model-paths: [models]", "model-paths: [models, /etc]", "model-paths is not models"),
    ("name: kampeky", "name: dbt_duckdb", "it sets a name of dbt itself"),
    ("use_colors: false", "store_failures: true", "it sets other flags"),
    ("flags:\n", "flags: [{a: b}]\nseeds_of_no_use:\n", "it sets seeds_of_no_use"),
    ("+database: mart", "+database: \"{{ env_var('KAMPEKY_ZONE_CATALOG') }}\"", "it holds a template")])
def test_a_project_that_reads_from_elsewhere_or_takes_dbts_name_is_refused(dbt, tmp_path, old, new, reason):
    path = dbt / "dbt_project.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(Refused, match=f"^dbt_project.yml: {reason}"):
        compiled(dbt, tmp_path / "work", ("analytics",))


def test_a_link_in_a_project_is_refused_for_what_it_names_may_change(dbt, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (dbt / "models" / "analytics" / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=r"^models/analytics/more: it is a link.*Put the file itself there"):
        compiled(dbt, tmp_path / "work", ("analytics",))


def test_a_template_that_acts_is_refused_before_it_is_run(dbt, tmp_path):
    model = dbt / "models" / "analytics" / "marts" / "user_profiles.sql"
    model.write_text(f"{{% set x = run_query(\"copy (select 1) to '{tmp_path}/out.csv'\") %}}\n{model.read_text()}")
    with pytest.raises(Refused, match="its template uses run_query"):
        compiled(dbt, tmp_path / "work", ("analytics",))
    assert not (tmp_path / "out.csv").exists()
