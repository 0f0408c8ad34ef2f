"""A star holds in every mart of a purpose: what is hidden of a member in one of them does not stand in another (C-3.3b).

Marts of one purpose have one pseudonym per member, so whoever holds both reads beside a star of the one what the other says. Two columns say the same
where they have one name and their values come from the same contract columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.assurance.classes import STAR, types_of
from pipelines.assurance.exposure import Exposed
from pipelines.engines.duckdb_engine import Connection, quote_name


def carry_stars(connection: Connection, alias: str, marts: Sequence[Exposed]) -> dict[str, dict[str, int]]:
    """Hide in each of `marts` (tables of the attached `alias`) what another one hides of the same member. Returns the cells hidden by this, per table
    and column."""
    same: dict[tuple[str, tuple[str, ...]], list[Exposed]] = {}
    for mart in marts:
        for column, origins in mart.built.items():
            if mart.member and origins and types_of(connection, mart.profile(alias).place)[column] == "VARCHAR":
                same.setdefault((column, tuple(sorted(origins))), []).append(mart)
    hidden: dict[str, dict[str, int]] = {}
    for (column, _), having in same.items():
        if len(having) < 2:
            continue
        name = quote_name(column)
        places = [(mart.table, mart.profile(alias).place, quote_name(mart.member or "")) for mart in having]
        stars = " union ".join(f"select {member} as member from {place} where {name} = '{STAR}'" for _, place, member in places)
        connection.execute(f"create or replace temp table hidden_of as {stars}")
        for table, place, member in places:
            row = connection.execute(f"update {place} set {name} = '{STAR}' where {name} <> '{STAR}' "
                                     f"and {member} in (select member from hidden_of)").fetchone()
            if row and row[0]:
                hidden.setdefault(table, {})[column] = int(row[0])
    return hidden
