"""Which extracts are due on a day: whose time is over, which hold who ended, or of which nobody can say any more whom they hold (C-10.4)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.home import Home
from pipelines.lake.extracts import Extract, extracts_locked, holding, listed, remove_extract, strays
from pipelines.policy.types import Purpose, Rulebook
from pipelines.transformation.memory import ALIAS, first_end, publications

ZONE = "extracts"
_RULE = "C-10.4"


def due_extracts(connection: Connection, home: Home, purpose: Purpose, day: date, published: bool, zone: bool) -> list[str]:
    """Names of the extracts of `purpose` that are due. Of one whose mart is not `published`, or whose publication is not remembered, no build will
    look for lost members. Where there is a `zone`, `due_pseudonyms` must be made."""
    mine = [extract for extract in listed(home) if extract.purpose == purpose.name]
    known = {memory.publication for memory in publications(home, purpose.name)}
    lost = "select pseudonym from due_pseudonyms" if zone else "select null::uuid where false"
    gone = {extract.name for extract in mine if not published or extract.run not in known or holding(connection, home, extract, lost)}
    ends = _ends(connection, home, purpose.name, [extract for extract in mine if extract.name not in gone])
    return [extract.name for extract in mine if extract.name in gone or min(extract.ends_on, ends.get(extract.name, extract.ends_on)) <= day]


def _ends(connection: Connection, home: Home, purpose: str, extracts: list[Extract]) -> dict[str, date]:
    """When the first row is due of those extracts."""
    found: dict[str, date] = {}
    for memory in publications(home, purpose):
        of_it = [extract for extract in extracts if extract.run == memory.publication]
        if of_it:
            memory.attach(connection, write=False)
            for extract in of_it:
                ends_on = first_end(connection, home, extract, ALIAS)
                found |= {extract.name: ends_on} if ends_on else {}
            connection.execute(f"detach {ALIAS}")
    return found


def unknown_extracts(home: Home, rulebook: Rulebook) -> list[str]:
    """Names of files of which nothing is known, and of extracts of a purpose that is none any more."""
    return [*strays(home), *(extract.name for extract in listed(home) if extract.purpose not in rulebook.policy.built)]


def entry(dataset: str, names: Collection[str]) -> dict[str, Any]:
    """The line of a plan."""
    return {"zone": ZONE, "dataset": dataset, "rule": _RULE, "action": "delete", "due": len(names), "held": 0}


def remove_all(home: Home, names: Collection[str], why: str) -> None:
    """Remove extracts whole, alone with the folder."""
    if names:
        with extracts_locked(home, why, alone=True):
            for name in names:
                remove_extract(home, name)
