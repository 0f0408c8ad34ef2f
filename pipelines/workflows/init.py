"""`kampeky init`: a home with its folders and keys."""

from __future__ import annotations

from typing import Any

from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, archive_key, domain_key, key_names, mart_key, zone_key
from pipelines.lake.store import archive_lake, purpose_lake, raw_lake
from pipelines.workflows.rules import rules


def _refuse_lost_keys(home: Home) -> None:
    """A key made anew would open nothing of what its predecessor closed, and change every pseudonym: that must not pass for a repair."""
    needed = {"raw": raw_lake(home).catalog, "vault": home.vault}
    needed |= {archive_key(name): archive_lake(home, name).catalog for name in rules().policy.archives}
    for name, purpose in rules().policy.built.items():
        catalog = purpose_lake(home, name).catalog
        needed |= {zone_key(name): catalog, domain_key(name): catalog}
        if purpose.published == "encrypted":
            needed[mart_key(name)] = home.mart(name)
    for name, store in needed.items():
        if store.exists():
            Keyring(home).get(name)


def init(home: Home) -> dict[str, Any]:
    """Make the home and the keys that it lacks; what is there stays."""
    names = key_names(rules().policy)
    home.create()
    _refuse_lost_keys(home)
    return {"home": str(home.root), "keys_made": Keyring(home).make(names), "keys": list(names)}
