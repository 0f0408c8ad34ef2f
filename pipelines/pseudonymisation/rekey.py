"""Take a purpose's zone away and let the vault know the purpose by another secret: what a rotation of its keys does between old and new."""

from __future__ import annotations

from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_text
from pipelines.foundation.files import remove, sync
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.pseudonyms import is_domain, replace_domain
from pipelines.identity.vault import opened_vault
from pipelines.keys.keyring import Keyring, domain_key, mart_key, zone_key
from pipelines.lake.store import purpose_lake


def drop_zone(home: Home, purpose: str, why: str) -> None:
    """Remove the zone whole: a build makes it anew from raw. Its key is destroyed afterwards, so not even its bytes say anything."""
    zone = purpose_lake(home, purpose)
    with locked(home, zone.lock, why):
        remove(zone.folder)
        if zone.folder.parent.is_dir():
            sync(zone.folder.parent)


def know_by(home: Home, purpose: str, secret: str, why: str) -> None:
    """The vault checks the purpose's pseudonyms against `secret` from now on."""
    with opened_vault(home, why, write=True) as connection:
        replace_domain(connection, purpose, secret)


def not_replaced(home: Home, purpose: str, names: list[str], why: str) -> list[str]:
    """Those of the purpose's keys `names` that still open what is there, or are still its secret."""
    zone, ring = purpose_lake(home, purpose), Keyring(home)
    same = []
    if domain_key(purpose) in names:
        with opened_vault(home, why, write=True) as connection:
            same += [domain_key(purpose)] if is_domain(connection, purpose, ring.get(domain_key(purpose))) else []
    with locked(home, zone.lock, why):
        for name, file in ((zone_key(purpose), zone.catalog), (mart_key(purpose), home.mart(purpose))):
            if name in names and file.exists() and _opens(home, file, ring.get(name)):
                same.append(name)
    return same


def _opens(home: Home, file: Path, key: str) -> bool:
    connection = engine.connect(home.tmp, extensions=("httpfs",))
    try:
        connection.execute(f"attach {quote_text(str(file))} as tried (read_only, encryption_key {quote_text(key)})")
        return True
    except engine.Error:
        return False
    finally:
        connection.close()
