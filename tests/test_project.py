"""What holds for the project as a whole: its set-up, its top level, the order of its rooms."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.policy.policy_file import load_policy
from pipelines.transformation.dbt_build import purposes
from pipelines.transformation.publish import mart_tables

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "benchmarks", "dags", "data_contracts", "dbt_project", "docs",
    "pipelines", "pyproject.toml", "requirements", "tests",
}
# Written so that these lines do not match themselves.
OF_A_MACHINE = re.compile(
    r"(?:^|[^A-Za-z])/(?:work|farm|root|home/[a-z]+)" + "/"
    "|index" + "-url|find" + "-links"
    r"|https?://[^ ]*/sim" + r"ple\b"
)


def tracked() -> list[Path]:
    """The files that a clone would hold, those about to be added included."""
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(ask, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in names.decode().split("\0") if name and (ROOT / name).is_file()]


def pins(file: str) -> dict[str, str]:
    """Requirement → the lines that belong to it."""
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", " ")
    return {canonicalize_name(Requirement(line.split("--hash")[0]).name): line for line in text.splitlines() if line.strip()}


def test_no_tracked_file_names_a_package_registry_or_a_folder_of_one_machine():
    found = []
    for path in tracked():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}:{number}" for number, line in enumerate(text.splitlines(), 1) if OF_A_MACHINE.search(line)]
    assert found == []


@pytest.mark.parametrize("planted", ["/ro" + "ot/x", "--index" + "-url", "https://host/sim" + "ple", "see /wo" + "rk/main/x"])
def test_the_search_for_machines_would_find_one(planted):
    assert OF_A_MACHINE.search(planted)


@pytest.mark.parametrize("file", ["bootstrap.txt", "all.txt"])
def test_every_requirement_is_pinned_by_version_and_hash(file):
    loose = [name for name, line in pins(file).items() if "==" not in line or "--hash=sha256:" not in line or "://" in line]
    assert pins(file)
    assert loose == []


def test_the_pins_satisfy_what_pyproject_asks_for():
    """`make lock` was run after the last change."""
    grouped = (line for group in PROJECT["dependency-groups"].values() for line in group if isinstance(line, str))
    asked = [*PROJECT["project"]["dependencies"], *grouped]
    pinned, unmet = pins("all.txt"), []
    for requirement in map(Requirement, asked):
        version = re.search(r"==([^ ;]+)", pinned.get(canonicalize_name(requirement.name), ""))
        if not version or not requirement.specifier.contains(version[1], prereleases=True):
            unmet.append(str(requirement))
    assert unmet == []


def test_the_top_level_holds_what_the_design_says():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_import_linter_knows_every_room_of_the_package():
    order = next(contract["layers"] for contract in PROJECT["tool"]["importlinter"]["contracts"] if contract["type"] == "layers")
    rooms = {path.name for path in (ROOT / "pipelines").iterdir() if (path / "__init__.py").exists()}
    assert set(order) | {"simulation"} == rooms
    assert (order[0], order[-1]) == ("cli", "foundation")


def test_every_room_says_why_it_exists():
    silent = [path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py") if not path.read_text().lstrip().startswith(('"""', 'r"""'))]
    assert silent == []


def test_the_page_of_clauses_is_not_stale() -> None:
    made = subprocess.run([sys.executable, ROOT / ".ci" / "clauses.py", "--check"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def clauses_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("clauses", ROOT / ".ci" / "clauses.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_knows_every_clause_of_the_policys_page():
    page = ROOT.parent / "shared" / "policy" / "CLAUSES.md"
    if not page.is_file():
        pytest.skip("the policy's page of clauses is not beside this checkout")
    listed = [clause for line in page.read_text().splitlines() if line.startswith("| C-")
              for clause in line.split("|")[1].replace("†", "").replace(" ", "").split(",")]
    assert listed == clauses_script().CLAUSES


EVERYWHERE = {"Rules": {"a.yaml"}, "Code": {"b.py"}, "Tests": {"c.py"}}


@pytest.mark.parametrize(
    ("found", "later", "says"),
    [
        ({"C-1": EVERYWHERE}, {}, []),
        ({}, {}, ["C-1 is carried by no rule, code or test, and no later step is named for it"]),
        ({}, {"C-1": 4}, []),
        ({"C-1": {"Rules": {"a.yaml"}, "Code": {"b.py"}}}, {}, ["C-1 has no test, and no later step is named for it"]),
        ({"C-1": {"Rules": {"a.yaml"}}}, {"C-1": 4}, []),
        ({"C-1": EVERYWHERE}, {"C-1": 4}, ["C-1 is carried by rules, code and tests: take it out of LATER"]),
        ({"C-1": EVERYWHERE}, {"C-2": 4}, ["C-2 in LATER is no clause"]),
    ],
    ids=["carried", "by nothing", "by a later step", "without a test", "half, and later", "overtaken", "no clause"],
)
def test_a_clause_that_nothing_carries_fails_unless_a_later_step_is_named(found, later, says):
    assert clauses_script().faults(found, ["C-1"], later) == says

def test_each_purpose_has_the_marts_that_the_policy_says_and_no_other() -> None:
    policy = load_policy(ROOT / "data_contracts" / "policy.yaml")
    assert {name: sorted(purpose.marts) for name, purpose in policy.built.items()} == {
        name: sorted(mart_tables(ROOT / "dbt_project", name)) for name in purposes(ROOT / "dbt_project")}
