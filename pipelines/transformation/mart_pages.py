"""docs/marts/<mart>.md: what a row is, the columns, and what people ask, compiled from dbt's YAML, the policy and docs/marts/questions.yaml.

The columns and their words stand once, in the models' YAML; questions and their SQL stand in a file of their own, because who asks is not who
builds. A question about a mart that there is not is refused, and so is a mart of which nobody asks anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.foundation.errors import Refused
from pipelines.policy.coverage import RULE
from pipelines.policy.pages import words
from pipelines.policy.types import Purpose, Rulebook
from pipelines.transformation.publish import ENDS_ON

QUESTIONS = "docs/marts/questions.yaml"
READERS = {"plain": "plain: any program that reads DuckDB opens it", "encrypted": "encrypted: `kampeky sql` opens it with the key of the role"}


@dataclass(frozen=True)
class Question:
    """One question of a mart with the query that answers it."""

    purpose: str
    mart: str
    ask: str
    sql: str
    note: str | None = None


def questions(project: Path) -> list[Question]:
    """What is asked, in the order of the file."""
    told = yaml.load((project / QUESTIONS).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
    return [Question(purpose, mart, entry["ask"], entry["sql"], entry.get("note"))
            for purpose, marts in told.items() for mart, entries in marts.items() for entry in entries]


def mart_pages(rulebook: Rulebook, project: Path) -> dict[str, str]:
    """Each page by its path below the project; of a project without questions none."""
    if not (project / QUESTIONS).is_file():
        return {}
    asked = questions(project)
    known = {(name, mart) for name, purpose in rulebook.policy.built.items() for mart in purpose.marts}
    differ = sorted(f"{purpose}.{mart}" for purpose, mart in known ^ {(q.purpose, q.mart) for q in asked})
    if differ:
        raise Refused(f"{QUESTIONS}: {', '.join(differ)} must stand in policy.yaml and have a question here; one of the two does not name it.", RULE)
    made = {}
    for name, purpose in rulebook.policy.built.items():
        for mart, model in models(project / "dbt_project", name).items():
            made[f"docs/marts/{mart}.md"] = _page(purpose, mart, model, [q for q in asked if (q.purpose, q.mart) == (name, mart)])
    return made


def models(dbt: Path, purpose: str) -> dict[str, dict[str, Any]]:
    """Mart → what its YAML says."""
    found = {}
    for path in sorted((dbt / "models" / purpose / "marts").glob("*.yml")):
        for model in (yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}).get("models") or []:
            found[model["name"]] = model
    return dict(sorted(found.items()))


def _page(purpose: Purpose, mart: str, model: dict[str, Any], asked: list[Question]) -> str:
    columns = [column for column in model["columns"] if column["name"] != ENDS_ON]
    persons = any(column["name"] == "pseudonym" for column in columns)
    frozen = ((model.get("config") or {}).get("meta") or {}).get("frozen")
    whose = f"Purpose `{purpose.name}` ({purpose.clause}), for the role {purpose.audience}; published {READERS[purpose.published]}."
    said = [f"{whose} Ask it with `kampeky sql {purpose.name}`."]
    if frozen:
        said.append(f"A day stays as it was first published, by `{frozen}`; it outlives what it was counted from (C-10.7).")
    if any(column["name"] == ENDS_ON for column in model["columns"]):
        said.append("A row ends on the day on which the first of the data that it was built from is due (C-10.1, C-10.4).")
    if persons and not purpose.identified:
        said.append("A `*` stands for a value that is not shown, because too few members have it beside their other values (C-3.3b).")
    rows = [(f"`{column['name']}`", str(column["data_type"]), "" if column.get("constraints") else "may be empty", _described(column))
            for column in columns]
    parts = []
    for question in asked:
        parts.append(f"### {question.ask}")
        parts += [question.note] if question.note else []
        parts.append(f"```sql\n{question.sql}\n```")
    small = ("Before a figure leaves the team, keep groups of ten members or more: `having count(distinct pseudonym) >= 10`. `--csv FILE` elsewhere "
             "refuses others.")
    page = words.page(mart, model["description"], "\n".join(said), "## Columns", words.table(("column", "type", "", "what it says"), rows),
                      "## Questions and their SQL", *parts, *([small] if persons else []))
    return page.replace(words.MARK, "Written by `kampeky contracts docs` from the model's YAML in dbt_project/ and from questions.yaml beside this "
                                    "page; change it there.")


def _described(column: dict[str, Any]) -> str:
    listed = next((test["accepted_values"]["arguments"]["values"] for test in column.get("data_tests") or ()
                   if isinstance(test, dict) and "accepted_values" in test), [])
    return str(column["description"]) + (f" One of: {', '.join(map(str, listed))}." if listed else "")
