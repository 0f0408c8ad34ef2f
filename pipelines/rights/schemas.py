"""The JSON Schema of each dataset's file in a portability package, one per contract version: what another controller can rely on (C-11.5).

Compiled from the same contract by which the package is written. A value is nullable where the contract lets it be empty, and where the platform
may have emptied it: by its own retention, or because the one it named has left.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.rights.portability import DAY_STAYS, portable

_TYPES: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": "string"}, "BIGINT": {"type": "integer"}, "DECIMAL(12,2)": {"type": "number"}, "BOOLEAN": {"type": "boolean"},
    "DATE": {"type": "string", "format": "date"}, "TIMESTAMPTZ": {"type": "string", "format": "date-time"},
}


def schema_files(rulebook: Rulebook) -> dict[str, str]:
    """Path below the project → JSON Schema, for each dataset that has something portable."""
    return {f"docs/schemas/{c.name}.{c.version}.json": json.dumps(schema(c, rulebook.policy.controller.name), indent=2, ensure_ascii=False) + "\n"
            for c in rulebook.contracts.values() if portable(c)}


def schema(contract: Contract, controller: str) -> dict[str, Any]:
    """The schema (draft 2020-12) of `<dataset>.json` in a package."""
    fields = {c.name: _field(contract, c) for c in portable(contract)}
    if any(c.name == contract.clock and c.retention for c in portable(contract)):
        fields[DAY] = _nullable({"description": DAY_STAYS} | _TYPES["DATE"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:{controller.lower()}:portability:{contract.name}:{contract.version}",
            "$comment": "Written by `kampeky contracts docs` from data_contracts/.", "title": contract.name,
            "description": f"{contract.purpose} {contract.grain}", "type": "array",
            "items": {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}}


def _field(contract: Contract, column: Column) -> dict[str, Any]:
    made = {"description": column.description} | _TYPES[column.type]
    if column.allowed:
        made["enum"] = list(column.allowed)
    made |= {word: value for word, value in (("minimum", column.minimum), ("maximum", column.maximum)) if value is not None}
    subject = column.name in [s.column for s in contract.subjects]
    if subject and len(contract.subjects) > 1:
        made["description"] += " Other people appear as “member A, B”, new in each package."
    emptied = column.retention or column.erasure == "empty" or column.door.only_while or subject
    return _nullable(made) if emptied or not column.required else made


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    return field | {"type": [field["type"], "null"]} | ({"enum": [*field["enum"], None]} if "enum" in field else {})
