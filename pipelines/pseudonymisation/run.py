"""Open what pseudonymisation needs, each under its lock in one fixed order, and make the zone of a purpose."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.vault import attach_vault
from pipelines.lake.purge import purge
from pipelines.lake.store import attach, opened, purpose_lake, raw_lake
from pipelines.policy.types import Purpose, Rulebook
from pipelines.pseudonymisation.subjects import make_grants
from pipelines.pseudonymisation.zone import ZONE, ZoneResult, build_zone

# what was taken out of larger files leaves the disk with the next retention run instead (docs/decisions/0011)
AT_ONCE = 2_000_000


def pseudonymise(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, whole: bool = False,
                 judged: Callable[[Connection], object] | None = None) -> ZoneResult:
    """Bring the purpose's zone to what raw and vault say as of `as_of`, from the last build on or (`whole`) from nothing; what is not in it any more
    leaves the disk. `judged` is told when `subject_grants` (subjects.py) are made, of the very moment of the zone."""
    zone, why = purpose_lake(home, purpose.name), f"build {purpose.name}"
    # locks in one order everywhere (vault, raw, zones): two commands cannot wait for each other
    with locked(home, "vault", why), opened(raw_lake(home), why) as connection, locked(home, zone.lock, why):
        attach_vault(connection, home, write=True)
        attach(connection, zone, write=True, alias=ZONE)
        result = build_zone(connection, home, rulebook, purpose, as_of, whole)
        if judged:
            make_grants(connection, rulebook, purpose)
            judged(connection)
    purge(zone, why, AT_ONCE)
    return result
