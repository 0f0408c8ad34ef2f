"""`kampeky init`: a home with its folders and keys."""

from __future__ import annotations

from typing import Any

from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, key_names
from pipelines.workflows.rules import rules


def init(home: Home) -> dict[str, Any]:
    """Make the home and the keys that it lacks; what is there stays."""
    names = key_names(rules().policy)
    home.create()
    return {"home": str(home.root), "keys_made": Keyring(home).make(names), "keys": list(names)}
