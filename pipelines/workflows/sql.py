"""`kampeky sql`: a query over the published marts of one purpose, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_text
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import explain
from pipelines.workflows.rules import rules


def sql(home: Home, purpose: str, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows. The connection is read-only and can open no other file; it is made anew for each statement, because
    a mart is replaced by renaming and an open one would show the old rows."""
    chosen = rules().policy.built_purpose(purpose)
    Keyring(home).refuse_other_audience(chosen)
    mart = home.require().mart(purpose)
    if not mart.exists():
        raise KampekyError(f"The mart of {purpose} is not published. Build it with: kampeky build --purpose {purpose}")
    options = ["read_only"]
    if chosen.published == "encrypted":
        options.append(f"encryption_key {quote_text(Keyring(home).get(mart_key(purpose)))}")
    # DuckDB lets a query read and write wherever it spills: a folder of this statement's own, empty and gone afterwards
    spill = Path(tempfile.mkdtemp(prefix="sql-", dir=home.tmp))
    connection = engine.connect(spill, extensions=("httpfs",) if len(options) > 1 else ())
    try:
        try:
            connection.execute(f"attach {quote_text(str(mart))} as mart ({', '.join(options)})")
        except engine.Error as error:
            raise explain(error, mart, mart_key(purpose)) from None
        connection.execute("use mart; set enable_external_access = false; set lock_configuration = true")
        try:
            kinds = engine.kinds_of_statements(connection, query)
            if len(kinds) != 1:
                raise Misuse("Write one SQL statement, such as: select * from user_profiles limit 5")
            if kinds[0] not in ("SELECT", "EXPLAIN"):
                raise Refused(f"Only the published marts of {purpose} can be read, and nothing can be written: a statement of kind {kinds[0]} is no "
                              "query.", "C-4")
            result = connection.execute(query)
            return _distinct([column[0] for column in result.description or []]), result.fetchall()
        except engine.Error as error:
            told = str(error).splitlines()[0]
            if "disabled" in told or "locked" in told or "read-only" in told.lower():
                raise Refused(f"Only the published marts of {purpose} can be read, and nothing can be written: {told}", "C-4") from None
            raise Misuse(f"The query was not understood: {told}") from None
    finally:
        connection.close()
        remove(spill)


def _distinct(names: list[str]) -> list[str]:
    """Names of which no two are equal, so that each column has its place in a JSON row."""
    made: list[str] = []
    for name in names:
        number, given = 2, name
        while name in made:
            name, number = f"{given}_{number}", number + 1
        made.append(name)
    return made
