"""`kampeky contracts check`: the rules fit together, and the stores have exactly the contracts' shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.engines import duckdb_engine as engine
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.ingestion.check import dry_run
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import raw_columns, stored_columns
from pipelines.quality.expectations import suite
from pipelines.workflows.rules import rules


def check(home: Home | None) -> dict[str, Any]:
    """Load every rule (which refuses what does not fit), and compare the raw zone of `home`, if it has one, both ways."""
    rulebook = rules()
    connection = engine.connect(Path(), extensions=())
    for contract in rulebook.contracts.values():
        suite(contract)  # refuses a constraint that the two checking engines would read differently
        dry_run(connection, contract, rulebook.policy, rulebook.policy.versions[-1].since)
    connection.close()
    compared = 0
    if home and home.marker.exists() and raw_lake(home).catalog.exists():
        with opened(raw_lake(home), "contracts check") as connection:
            stored = stored_columns(connection)
        for table in sorted(set(stored) - set(rulebook.contracts)):
            raise Refused(f"The raw zone holds a table '{table}' that no contract declares. Write {table}.odcs.yaml or remove the table.",
                          "coverage rule")
        for name, columns in stored.items():
            declared = raw_columns(rulebook.contract(name))
            if columns.keys() != declared.keys():
                differ = ", ".join(sorted(columns.keys() ^ declared.keys()))
                raise Refused(f"The raw table '{name}' and its contract differ in: {differ}.", "coverage rule")
            compared += len(columns)
    return {"ok": True, "policy_version": rulebook.policy.version, "datasets": list(rulebook.contracts), "purposes": list(rulebook.policy.purposes),
            "columns": sum(len(c.columns) for c in rulebook.contracts.values()), "stored_columns_compared": compared}
