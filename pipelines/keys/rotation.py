"""New keys of a purpose, put in place whole or not at all: what is to be is written down first, and from then on it is only ever finished.

The journal `keys/<purpose>.rotation` (0600) holds the new keys until all of them are in place. While it is there the keyring gives out no key of
that purpose. Old keys are overwritten before they are removed; copies of them that stand elsewhere are their keeper's to destroy.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.foundation.errors import Unavailable
from pipelines.foundation.files import remove, sync, write_atomically
from pipelines.foundation.home import Home


def journal(home: Home, purpose: str) -> Path:
    return home.keys / f"{purpose}.rotation"


def begin(home: Home, purpose: str, names: Sequence[str]) -> None:
    """Write down new keys for `names`, those of the purpose that stand in files. From here on there is no way back."""
    write_atomically(journal(home, purpose), json.dumps({name: secrets.token_hex(32) for name in names}) + "\n", 0o600)


def pending(home: Home, purpose: str) -> Mapping[str, str] | None:
    """The new keys that were written down and are not all in place yet; none: no rotation is under way."""
    try:
        found = json.loads(journal(home, purpose).read_text())
        if not isinstance(found, dict):
            raise TypeError
        return found
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise Unavailable(f"{journal(home, purpose)} cannot be read. Restore it from a backup of keys/; if there is none, remove it and run: "
                          f"kampeky keys rotate {purpose}") from None


def put_in_place(home: Home, keys: Mapping[str, str]) -> None:
    """Each new key over its old one. Doing it again does no harm."""
    for name, key in keys.items():
        path = home.keys / f"{name}.key"
        destroy(path)
        write_atomically(path, key + "\n", 0o600)


def end(home: Home, purpose: str) -> None:
    """All is in place: the journal goes, and with it its copy of the keys; and what a kill while writing one left beside them."""
    for left in home.keys.glob(".*"):
        destroy(left)
    destroy(journal(home, purpose))


def destroy(path: Path) -> None:
    """Overwrite a key's file and remove it; one that is not there is no matter."""
    try:
        handle = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.pwrite(handle, os.urandom(os.fstat(handle).st_size), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
    remove(path)
    sync(path.parent)
