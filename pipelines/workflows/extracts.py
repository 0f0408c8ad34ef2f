"""What becomes of extracts when a publication takes the place of another: those that hold somebody who is lost go, the others learn when they end."""

from __future__ import annotations

from datetime import date

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.home import Home
from pipelines.lake.extracts import extracts_locked, holding, listed, remove_extract, shorten
from pipelines.transformation.memory import ALIAS, Memory, first_end


def settle(connection: Connection, home: Home, memory: Memory, lost: str, day: date, before: str = ALIAS) -> int:
    """With the `memory` that ends attached as `before`: remove extracts of its purpose that hold a pseudonym of the query `lost` or are due on `day`;
    of those made from it write down when the first of their rows is due. Returns how many were removed."""
    with extracts_locked(home, f"build {memory.purpose}", alone=True):
        removed = 0
        for extract in listed(home):
            if extract.purpose != memory.purpose:
                continue
            ends_on = first_end(connection, home, extract, before) if extract.run == memory.publication else None
            if (ends_on or extract.ends_on) <= day or holding(connection, home, extract, lost):
                remove_extract(home, extract.name)
                removed += 1
            elif ends_on:
                shorten(home, extract, ends_on)
        return removed


def remove_of(home: Home, purpose: str) -> int:
    """Remove every extract of the purpose: nobody can say any more whom they may not hold."""
    with extracts_locked(home, f"build {purpose}", alone=True):
        names = [extract.name for extract in listed(home) if extract.purpose == purpose]
        for name in names:
            remove_extract(home, name)
    return len(names)
