"""`kampeky ingest`: files into the raw zone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home
from pipelines.ingestion import from_postgres
from pipelines.ingestion.balance import total
from pipelines.ingestion.ingest import Input
from pipelines.ingestion.ingest import ingest as land_all
from pipelines.sources.places import gathered
from pipelines.sources.postgres import VARIABLE
from pipelines.workflows.rules import rules

TRUTH = "truth"  # the folder that a simulation leaves beside its datasets: what is to be made of them, and no delivery


def ingest_files(home: Home, dataset: str, files: Sequence[str | Path], as_of: datetime) -> list[dict[str, Any]]:
    """Ingest files, patterns, folders or s3:// addresses of one dataset; returns one balance, with that of each file in it."""
    contract = rules().contract(dataset)
    if not files:
        raise Misuse(f"Name at least one file of {dataset}.")
    with gathered(home.require(), files, os.environ) as found:
        return _ingest(home, [Input(contract, path, name) for path, name in found], as_of)


def ingest_folder(home: Home, folder: Path, as_of: datetime) -> list[dict[str, Any]]:
    """Ingest every file in FOLDER/<dataset>/; returns one balance per dataset."""
    if not folder.is_dir():
        raise Misuse(f"{folder}: there is no such folder.")
    contracts = rules().contracts
    strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and p.name not in (*contracts, TRUTH))
    if strange:
        named = [name for name in strange if name.isidentifier()][:3]
        told = ", ".join(named) or "names not repeated here"
        raise Misuse(f"{folder} holds {len(strange)} file{'s' if len(strange) > 1 else ''} or folder{'s' if len(strange) > 1 else ''} ({told}) named "
                     f"like no dataset. One folder per dataset: {', '.join(contracts)}.")
    for name in contracts:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise Misuse(f"{folder / name} is a file; put it into a folder of that name.")
    inputs = [Input(contract, path) for name, contract in contracts.items() for path in sorted((folder / name).rglob("*"))
              if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not inputs:
        raise Misuse(f"{folder} holds no file of a dataset. Put files into {folder}/<dataset>/: {', '.join(contracts)}.")
    return _ingest(home, inputs, as_of)


def ingest_tables(home: Home, dataset: str | None, as_of: datetime, whole: bool = False) -> list[dict[str, Any]]:
    """Ingest a dataset from PostgreSQL (KAMPEKY_POSTGRES), or all whose contract names a table there; one balance per dataset."""
    known = rules().contracts.values()
    chosen = [rules().contract(dataset)] if dataset else [contract for contract in known if "postgres" in contract.source]
    if not chosen:
        raise Misuse("No contract names a table of PostgreSQL. Add the custom property postgres: {table: schema.table, cursor: a time, late: P3D}.")
    done = from_postgres.ingest_postgres(home.require(), rules(), chosen, os.environ.get(VARIABLE, ""), as_of, whole)
    return [balance.as_dict() for _, balance in done]


def _ingest(home: Home, inputs: list[Input], as_of: datetime) -> list[dict[str, Any]]:
    done = land_all(home.require(), rules(), inputs, as_of)
    answer = []
    for name in dict.fromkeys(given.contract.name for given, _ in done):
        parts = [balance for given, balance in done if given.contract.name == name]
        answer.append(total(name, parts).as_dict() | {"files": len(parts)})
    return answer
