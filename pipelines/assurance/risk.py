"""Re-identification risk of a profile table, measured on every build: how many rows share their quasi-identifiers (C-3.3b).

Quasi-identifiers are the mart columns that carry a column which a contract marks `quasi`, under the name it has in the zone.
This measures and records; limits that block are the contracts' to set.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.policy.types import Rulebook


@dataclass(frozen=True)
class Risk:
    """Over the classes of rows with equal quasi-identifiers: the smallest (k), and the share of rows alone in theirs."""

    table: str
    columns: tuple[str, ...]
    rows: int
    smallest_class: int
    unique_share: float


def measure(connection: Connection, rulebook: Rulebook, purpose: str, alias: str, table: str) -> Risk:
    """The risk of `table` in the build attached as `alias`."""
    quasi = {t.output for c, t in rulebook.accounts.entering(purpose) if c.identifiability in ("quasi", "sensitive")}
    columns = tuple(row[0] for row in connection.execute(
        "select column_name from duckdb_columns() where database_name = ? and table_name = ? order by column_index", [alias, table]).fetchall()
        if row[0] in quasi)
    by = ", ".join(map(quote_name, columns)) or "()"
    row = connection.execute(f"""select coalesce(sum(n), 0), coalesce(min(n), 0), coalesce(sum(n) filter (n = 1) / sum(n), 0)
        from (select count(*) as n from {alias}.main.{quote_name(table)} group by {by})""").fetchone()
    assert row is not None
    return Risk(table, columns, int(row[0]), int(row[1]), round(float(row[2]), 4))
