"""Open what pseudonymisation needs, each under its lock in one fixed order, and make the zone of a purpose."""

from __future__ import annotations

from datetime import datetime

from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.vault import attach_vault
from pipelines.lake.purge import purge
from pipelines.lake.store import attach, opened, purpose_lake, raw_lake
from pipelines.policy.types import Purpose, Rulebook
from pipelines.pseudonymisation.zone import ZONE, ZoneResult, build_zone


def pseudonymise(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> ZoneResult:
    """Rebuild the purpose's zone from raw as of `as_of`; what was in it before leaves the disk."""
    zone, why = purpose_lake(home, purpose.name), f"build {purpose.name}"
    # locks in one order everywhere (vault, raw, zones): two commands cannot wait for each other
    with locked(home, "vault", why), opened(raw_lake(home), why) as connection, locked(home, zone.lock, why):
        attach_vault(connection, home, write=True)
        attach(connection, zone, write=True, alias=ZONE)
        result = build_zone(connection, home, rulebook, purpose, as_of)
    purge(zone, why)
    return result
