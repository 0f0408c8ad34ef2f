"""Build the pseudonymised zone of one purpose: allowlisted, transformed columns of eligible subjects, nothing else.

A zone is a function of raw, vault, rules and the instant of the build; in which steps it is made does not change it. Datasets that are laid
out by day are carried on from the last build (pipelines/pseudonymisation/increment.py), the others, of which a row is replaced by its
latest state or which are small, are made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.home import Home
from pipelines.lake.store import tables_of
from pipelines.policy.types import Purpose, Rulebook
from pipelines.policy.vocabulary import DAY
from pipelines.pseudonymisation import increment, state
from pipelines.pseudonymisation.rows import ENDS, PASSED, VALUES_END, Rows, technical_columns, zone_columns
from pipelines.pseudonymisation.state import ZONE
from pipelines.pseudonymisation.subjects import identify, standing
from pipelines.pseudonymisation.transforms import prepare

__all__ = ["ENDS", "VALUES_END", "ZONE", "ZoneResult", "build_zone", "technical_columns", "zone_columns"]


@dataclass(frozen=True)
class ZoneResult:
    """What entered: members by verdict of the gate, and per dataset its rows that passed. `whole` datasets also say why others did not; of one that
    was carried on, how many rows came and went."""

    members: dict[str, int]
    rows: dict[str, dict[str, int]]
    whole: tuple[str, ...]


def build_zone(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, whole: bool = False) -> ZoneResult:
    """Fill the zone attached as `zone` from the raw lake (`lake`) and the vault (`vault`), in one transaction of the zone."""
    members = identify(connection, home, rulebook, purpose, as_of, give=True)
    rules = state.fingerprint(connection, rulebook, purpose)
    connection.execute(f"create or replace temp table standing as {standing(rulebook, purpose)}")
    before = None if whole else increment.usable(connection, home, rulebook, purpose, as_of, rules)
    state.digest(connection, "from standing", as_of)
    connection.execute("set preserve_insertion_order = false")  # rows of a zone have no order: keeping one would cost memory
    filled, counts = [], {}
    connection.execute("begin")
    try:
        for contract in rulebook.entering(purpose.name):
            rows = Rows(contract, purpose, rulebook.policy, as_of)
            if before and increment.carried_on(rows):
                counts[contract.name] = increment.carry_on(connection, rows, before)
            else:
                counts[contract.name] = _fill(connection, rows)
                filled.append(contract.name)
        for stale in _stale_tables(connection, list(counts)):
            connection.execute(f"drop table {ZONE}.main.{quote_name(stale)}")
        state.write(connection, home, rulebook, purpose, as_of, rules)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return ZoneResult(members, counts, tuple(filled))


def _fill(connection: Connection, rows: Rows) -> dict[str, int]:
    """Make the dataset's table in the zone anew; returns counts of its raw rows by what became of them."""
    table, types = f"{ZONE}.main.{quote_name(rows.contract.name)}", zone_columns(rows.contract, rows.purpose.name)
    connection.execute(f"create or replace table {table} ({', '.join(f'{quote_name(c)} {kind}' for c, kind in types.items())})")
    if increment.carried_on(rows):
        connection.execute(f"alter table {table} set partitioned by ({DAY})")
    prepare(connection, rows.agents())
    connection.execute(f"insert into {table} by name {rows.select()} where {rows.verdict()} = '{PASSED}'")
    return dict(connection.execute(f"select {rows.verdict()} as verdict, count(*) from {rows.joined(every=True)} group by 1 order by 1").fetchall())


def _stale_tables(connection: Connection, names: list[str]) -> list[str]:
    return sorted(name for schema, name in tables_of(connection, ZONE) if schema == "main" and name not in names)
