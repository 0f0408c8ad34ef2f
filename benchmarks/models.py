"""How long dbt takes over the models and tests of a purpose, as a ratio to the same SQL run bare by DuckDB over the same zone.

Both include opening the zone, dbt's side also reading the project, as the first build of a process does. The SQL that is run bare is
what dbt compiled in the step before.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

DAY, KEY = "2026-01-31", "0" * 64


def dbt(folder: Path, purpose: str) -> None:
    from datetime import date

    from pipelines.foundation.home import PROJECT, Home
    from pipelines.lake.store import purpose_lake
    from pipelines.transformation.dbt_build import DATA_TESTS, build_models
    from pipelines.workflows.rules import rules

    zone, workdir = purpose_lake(Home(folder / "home"), purpose), folder / "dbt" / purpose
    build_models(purpose, zone.catalog, zone.key(), folder / f"{purpose}.duckdb", KEY, date.fromisoformat(DAY), workdir, PROJECT / "dbt_project",
                 cell=rules().policy.cell, tests=(DATA_TESTS,))


def bare(folder: Path, purpose: str) -> None:
    from pipelines.engines.duckdb_engine import connect
    from pipelines.foundation.home import PROJECT, Home
    from pipelines.lake.store import attach, purpose_lake
    from pipelines.transformation.dbt_build import read_manifest

    target = folder / f"bare-{purpose}.duckdb"
    target.unlink(missing_ok=True)
    connection = connect(folder / "home" / "tmp")
    attach(connection, purpose_lake(Home(folder / "home"), purpose), write=False, alias="zone")
    connection.execute(f"attach '{target}' as mart (encryption_key '{KEY}'); use mart")
    for node in _in_order(read_manifest(folder / "dbt" / purpose), purpose):
        if node["resource_type"] == "seed":
            connection.execute(f"create table {node['relation_name']} as from read_csv('{PROJECT / 'dbt_project' / node['original_file_path']}')")
        elif node["resource_type"] == "model":
            connection.execute(f"create {node['config']['materialized']} {node['relation_name']} as {node['compiled_code']}")
        else:
            connection.execute(f"select count(*) from ({node['compiled_code']})").fetchall()
    connection.close()


def _in_order(manifest: dict[str, Any], purpose: str) -> list[dict[str, Any]]:
    """Seeds, models and tests of the purpose, each after what it reads."""
    inside = (f"models/{purpose}/", f"seeds/{purpose}/")
    nodes = {name: node for name, node in manifest["nodes"].items() if node["original_file_path"].startswith(inside)}
    graph = {name: [parent for parent in node["depends_on"].get("nodes", ()) if parent in nodes] for name, node in nodes.items()}
    return [nodes[name] for name in TopologicalSorter(graph).static_order()]
