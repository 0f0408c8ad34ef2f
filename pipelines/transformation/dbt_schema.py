"""What dbt is told of a purpose's zone: sources and staging schema, compiled from the contracts; and what its marts declare, read back.

The pure half (Rulebook → path → text) writes what would only repeat a contract: names, types, descriptions, and the tests that follow from a
constraint. Models in SQL, marts and unit tests stay written by hand. By convention a staging model has its source's columns under their names,
but for the day, which is named after the clock: `paris_day` of `posted_at` is `posted_on`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipelines.foundation.errors import Refused
from pipelines.policy.contract_types import Column, Contract, Transform
from pipelines.policy.coverage import RULE
from pipelines.policy.pages import words
from pipelines.policy.types import Purpose, Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.pseudonymisation.transforms import words as made_of
from pipelines.pseudonymisation.zone import technical_columns, zone_columns

_MARK = f"# {words.MARK}\n"


def dbt_files(rulebook: Rulebook) -> dict[str, str]:
    """The generated YAML of every purpose that has marts, by its path below the project."""
    made = {}
    for purpose in rulebook.policy.built.values():
        folder = f"dbt_project/models/{purpose.name}/staging"
        made[f"{folder}/_sources.yml"] = _MARK + _text({"sources": [_source(rulebook, purpose)]})
        made[f"{folder}/_staging__models.yml"] = _MARK + _text({"models": [_staging(rulebook, purpose, c) for c in rulebook.entering(purpose.name)]})
    return made


def mart_columns(project: Path, purpose: str) -> dict[str, dict[str, str]]:
    """Mart → column → type, as the purpose's marts declare them; what declares none is refused."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((project / "models" / purpose / "marts").glob("*.yml")):
        for model in (yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}).get("models") or []:
            columns = model.get("columns") or []
            if not columns or any(not column.get("data_type") for column in columns):
                raise Refused(f"{path.name}: mart '{model['name']}' must declare each of its columns with its data_type.", RULE)
            found[model["name"]] = {column["name"]: str(column["data_type"]) for column in columns}
    return found


def frozen_marts(project: Path, purpose: str) -> dict[str, str]:
    """Mart → the day column by which its history is frozen, where its YAML says `config: {meta: {frozen: COLUMN}}` (C-10.7)."""
    found = {}
    for path in sorted((project / "models" / purpose / "marts").glob("*.yml")):
        for model in (yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}).get("models") or []:
            column = ((model.get("config") or {}).get("meta") or {}).get("frozen")
            if column:
                found[model["name"]] = str(column)
    return found


def refuse_other_marts(rulebook: Rulebook, project: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Purpose → its marts as declared; refused unless policy, models and their YAML name the same ones."""
    declared = {purpose: mart_columns(project, purpose) for purpose in rulebook.policy.built}
    for name, purpose in rulebook.policy.built.items():
        models = {path.stem for path in (project / "models" / name / "marts").glob("*.sql")}
        differ = sorted((set(purpose.marts) ^ models) | (models ^ declared[name].keys()))
        if differ:
            raise Refused(f"Marts of '{name}': {', '.join(differ)} must stand in policy.yaml (purposes.{name}.marts), as a model in "
                          f"dbt_project/models/{name}/marts/, and in the YAML beside it; one of the three does not name it.", RULE)
    return declared


def _source(rulebook: Rulebook, purpose: Purpose) -> dict[str, Any]:
    return {"name": purpose.name, "database": "zone", "schema": "main",
            "description": f"Pseudonymised zone of the purpose {purpose.name}: only eligible members, only the columns that a contract names for it.",
            "tables": [{"name": c.name, "description": _table(purpose, c),
                        "columns": [*(_column(rulebook, purpose, c, column, t, t.output) for column, t in c.entering(purpose.name)),
                                    *_technical(c, purpose)]}
                       for c in rulebook.entering(purpose.name)]}


def _staging(rulebook: Rulebook, purpose: Purpose, contract: Contract) -> dict[str, Any]:
    columns = []
    for column, t in contract.entering(purpose.name):
        made = _column(rulebook, purpose, contract, column, t, _staged(contract, column, t))
        tests = _tests(purpose, contract, column, t)
        columns.append(made | ({"data_tests": tests} if tests else {}))
    columns += _technical(contract, purpose, staged=True)
    return {"name": f"stg_{purpose.name}__{contract.name}", "description": _table(purpose, contract), "columns": columns}


def _table(purpose: Purpose, contract: Contract) -> str:
    """What the rows are; the grain last."""
    key = contract.pseudonymous_key(purpose.name)
    assert key is not None
    return f"{contract.purpose} Of members that passed the gate, on {words.basis(purpose.sources[key.category])}. {contract.grain}"


def _column(rulebook: Rulebook, purpose: Purpose, contract: Contract, column: Column, t: Transform, name: str) -> dict[str, Any]:
    return {"name": name, "data_type": zone_columns(contract, purpose.name)[t.output].lower(),
            "description": words.described(contract, column, t, rulebook, purpose.name)}


def _technical(contract: Contract, purpose: Purpose, staged: bool = False) -> list[dict[str, Any]]:
    """The days that the platform adds; in staging the event's own is named after the clock."""
    entered = {t.output for _, t in contract.entering(purpose.name)}
    return [{"name": _day(contract) if staged and name == DAY else name, "data_type": "date", "description": said}
            for name, said in technical_columns(contract, purpose.name).items() if name not in entered]


def _day(contract: Contract) -> str:
    return f"{str(contract.clock).removesuffix('_at')}_on"


def _staged(contract: Contract, column: Column, t: Transform) -> str:
    return _day(contract) if t.use == "paris_day" and column.name == contract.clock else t.output


def _tests(purpose: Purpose, contract: Contract, column: Column, t: Transform) -> list[Any]:
    """The tests that follow from the contract: a value that must be there and cannot have been emptied, and values that are listed."""
    key, clock = contract.pseudonymous_key(purpose.name), t.use == "paris_day" and column.name == contract.clock
    if t.use == "pseudonym":
        if column.primary_key and len(contract.key) == 1:
            return ["unique", "not_null"]
        always = len(contract.named_in(purpose.name)) == 1 and not purpose.sources[t.category].visitors
        return ["not_null"] if always else []
    if t.use == "device":  # known under the consent that ties devices to members
        return []
    same = key is not None and purpose.sources[t.category] == purpose.sources[key.category]
    tests: list[Any] = ["not_null"] if clock or (column.required and not column.retention and same) else []
    values = made_of(column, t)
    return [*tests, {"accepted_values": {"arguments": {"values": list(values)}}}] if values else tests


def _text(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=150, default_flow_style=None)
