"""Portability (C-11.5): what the member provided or generated, as one zip that machines and people can read.

Per dataset one JSON and one CSV file, a Frictionless `datapackage.json` that describes both, and a manifest with the
SHA-256 of every file. Which columns are in it is the contracts' word (`export: portability`), row by row those that name the member.
"""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import put_in_place, remove, sha256_of
from pipelines.foundation.home import EXPORT, Home
from pipelines.foundation.locks import locked
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.rights.others import label_others, labelled, name_others, others_named, own_contacts, without_others
from pipelines.rights.requests import has_account

_TYPES = {"VARCHAR": "string", "BIGINT": "integer", "DECIMAL(12,2)": "number", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMPTZ": "datetime"}
DAY_STAYS = "Day on which it happened (Europe/Paris); stays when the exact time has been deleted."
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes


def portable(contract: Contract) -> list[Column]:
    """The dataset's columns that a member may take along."""
    return [c for c in contract.columns if c.export.kind == "portability"]


def export_member(home: Home, rulebook: Rulebook, member: str, request_id: str, as_of: datetime) -> str:
    """Write the member's package into the outbox; returns its file name, which is the request's id."""
    with locked(home, EXPORT, "export", exclusive=False):
        return _export(home, rulebook, member, request_id, as_of)


def _export(home: Home, rulebook: Rulebook, member: str, request_id: str, as_of: datetime) -> str:
    folder, name = home.tmp / f"{EXPORT}-{request_id}", f"{request_id}.zip"
    remove(folder)
    folder.mkdir(mode=0o700)
    try:
        with opened(raw_lake(home), "export") as connection:
            if not has_account(connection, rulebook, member):
                raise KampekyError("The member's account is gone since the request was received; there is nothing to export.")
            label_others(connection, rulebook, member, request_id)
            name_others(connection, rulebook, member)
            own = own_contacts(connection, rulebook, member)
            resources = [resource for contract in rulebook.contracts.values() if portable(contract)
                         for resource in _write_dataset(connection, contract, member, folder, own)]
        _write_json(folder / "datapackage.json", {
            "name": "portability", "title": f"Your data at {rulebook.policy.controller.name}", "profile": "data-package",
            "created": as_of.isoformat(), "policy_version": rulebook.policy.version, "resources": resources})
        files = sorted(p for p in folder.iterdir())
        _write_json(folder / "manifest.json", {"request": request_id, "as_of": as_of.isoformat(), "files": [
            {"path": p.name, "bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in files]})
        packed = home.outbox / f".{name}"
        remove(packed)
        _pack(sorted(folder.iterdir()), packed)
        put_in_place(packed, home.outbox / name)
    finally:
        remove(folder)
    return name


def _write_dataset(connection: Connection, contract: Contract, member: str, folder: Path, own: list[str]) -> list[dict[str, Any]]:
    columns = portable(contract)
    subjects = {s.column: s.role for s in contract.subjects}
    mine = " or ".join(f"r.{quote_name(c)} = $member" for c in subjects)
    # others may be named in any text that is not the member's own name, contact or account and not the row's own key; also in an address ("chez …")
    texts = [c.name for c in columns if c.type == "VARCHAR" and not (c.allowed or c.form or c.name in subjects or c.name in contract.key)
             and (c.identifiability != "direct" or c.category == "address")]
    names = others_named(connection, member, " union all ".join(
        f"select {quote_name(t)} as text from {raw_table(contract)} as r where {mine}" for t in texts)) if texts else []

    def shown(column: Column) -> str:
        value = f"r.{quote_name(column.name)}"
        if column.name in subjects and len(subjects) > 1:
            return labelled(column.name)
        if column.name in texts:
            return without_others(value, names, own)
        if column.type == "TIMESTAMPTZ":
            utc = f"{value} at time zone 'UTC'"
            return (f"case when date_part('microsecond', {value}) % 1000000 = 0 then strftime({utc}, '%Y-%m-%dT%H:%M:%SZ') "
                    f"else strftime({utc}, '%Y-%m-%dT%H:%M:%S.%fZ') end")
        return value

    shapes = [(c.name, shown(c), c.type, c.description) for c in columns]
    if any(c.name == contract.clock and c.retention for c in columns):  # the exact time leaves earlier than the row
        shapes.append((DAY, f"r.{DAY}", "DATE", DAY_STAYS))
    order = ", ".join(f"r.{quote_name(c)}" for c in ([contract.clock] if contract.clock else []) + list(contract.key))
    connection.execute(f"create or replace temp table package as select {', '.join(f'{value} as {quote_name(name)}' for name, value, *_ in shapes)} "
                       f"from {raw_table(contract)} as r where {mine} order by {order or '1'}", {"member": member})
    as_json, as_csv = folder / f"{contract.name}.json", folder / f"{contract.name}.csv"
    connection.execute(f"copy package to {quote_text(str(as_json))} (format json, array true)")
    defused = ", ".join(f"{_defused(name)} as {quote_name(name)}" if kind == "VARCHAR" else quote_name(name) for name, _, kind, _ in shapes)
    connection.execute(f"copy (select {defused} from package) to {quote_text(str(as_csv))} (format csv, header true)")
    fields = [{"name": name, "type": _TYPES[kind], "description": description} for name, _, kind, description in shapes]
    described = {"description": f"{contract.purpose} {contract.grain}", "encoding": "utf-8", "schema": {"fields": fields, "missingValues": [""]}}
    return [{"name": f"{contract.name}-{form}", "path": f"{contract.name}.{form}", "format": form, **described} for form in ("csv", "json")]


def _defused(column: str) -> str:
    """SQL: a text that a spreadsheet will not run as a formula: an apostrophe before what begins like one."""
    name = quote_name(column)
    return f"case when regexp_matches({name}, '^[=+@\\t\\r-]') then chr(39) || {name} else {name} end"


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _pack(files: list[Path], target: Path) -> None:
    target.touch(0o600)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            info = zipfile.ZipInfo(path.name, _EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            with path.open("rb") as source, archive.open(info, "w") as out:
                while block := source.read(1 << 20):
                    out.write(block)
