"""`kampeky keys list`: names of keys and where they come from."""

from __future__ import annotations

import os
from typing import Any

from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, key_names
from pipelines.workflows.rules import rules


def list_keys(home: Home) -> list[dict[str, Any]]:
    """Each key the home needs: from the environment, from its file, or why it cannot be had."""
    ring, found = Keyring(home.require()), []
    for name in key_names(rules().policy):
        try:
            ring.get(name)
            origin = "environment" if f"KAMPEKY_KEY_{name.upper()}" in os.environ else "file"
        except KampekyError as error:
            origin = str(error)
        found.append({"key": name, "from": origin})
    return found
