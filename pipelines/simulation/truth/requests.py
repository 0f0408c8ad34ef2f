"""How many rows the portability package of some members must hold: those that name the member, in whatever part (C-11.5)."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from pipelines.simulation.truth.datasets import DATASETS
from pipelines.simulation.truth.door import Market

BUSIEST, QUIETEST, DELETED, OTHERS = 3, 1, 2, 4


def truth(market: Market, seed: int) -> dict[str, dict[str, int]]:
    """Member → dataset → rows, before any retention run: for the busiest, one of whom there is little more than the account, some whose account is
    deleted, and others by the seed."""
    counts = {str(member["member_id"]): Counter[str]() for member in market.stored("members")}
    for name, dataset in DATASETS.items():
        for record in market.stored(name) if dataset.portable else ():
            for member in {record[column] for column in dataset.people}:
                if member in counts:
                    counts[member][name] += 1
    drawn = sorted(counts, key=lambda member: sha256(f"{seed} {member}".encode()).hexdigest())
    by_rows = sorted(drawn, key=lambda member: counts[member].total())
    deleted = {str(m["member_id"]) for m in market.stored("members") if m["deleted_at"] is not None}
    chosen = [*by_rows[-BUSIEST:], *by_rows[:QUIETEST], *[m for m in drawn if m in deleted][:DELETED]]
    chosen += [m for m in drawn if m not in chosen][:OTHERS]
    return {member: {name: counts[member][name] for name, dataset in DATASETS.items() if dataset.portable} for member in chosen}
