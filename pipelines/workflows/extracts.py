"""What becomes of extracts when a publication takes the place of another: those that hold somebody who is lost go, the others learn when they end."""

from __future__ import annotations

from datetime import date

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.home import Home
from pipelines.lake.extracts import extracts_locked, held_against, holding, listed, remove_extract
from pipelines.transformation.memory import ALIAS, Memory, first_end


def settle(connection: Connection, home: Home, memory: Memory, now: Memory, lost: str, day: date, before: str = ALIAS) -> int:
    """With the `memory` that ends attached as `before`: remove extracts of its purpose that hold a pseudonym of the query `lost` or are due on `day`;
    of the others write down when the first of their rows is due, and that they are as `now`. One of another publication goes: nobody can say who was
    lost since (a build was killed after it published). Returns how many were removed."""
    with extracts_locked(home, f"build {memory.purpose}", alone=True):
        removed = 0
        for extract in listed(home):
            if extract.purpose != memory.purpose:
                continue
            if extract.run == now.publication != memory.publication:
                continue  # made from what stands
            goes = extract.run != memory.publication or holding(connection, home, extract, lost)
            ends_on = None if goes else first_end(connection, home, extract, before)
            if goes or min(extract.ends_on, ends_on or extract.ends_on) <= day:
                remove_extract(home, extract.name)
                removed += 1
            else:
                held_against(home, extract, now.publication, ends_on)
        return removed


def remove_of(home: Home, purpose: str) -> int:
    """Remove every extract of the purpose: nobody can say any more whom they may not hold."""
    with extracts_locked(home, f"build {purpose}", alone=True):
        names = [extract.name for extract in listed(home) if extract.purpose == purpose]
        for name in names:
            remove_extract(home, name)
    return len(names)
