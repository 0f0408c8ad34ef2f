"""The keyring: which keys there are, where they come from, and one clear line when one is missing.

A key is 32 random bytes as 64 hexadecimal digits. It stands in `keys/<name>.key` (0600) or in the environment as
KAMPEKY_KEY_<NAME>, which wins. Keys are never printed, logged or passed on a command line.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass

from pipelines.foundation.errors import Unavailable
from pipelines.foundation.files import write_atomically
from pipelines.foundation.home import Home
from pipelines.policy.types import Policy

_HEX = re.compile(r"[0-9a-f]{64}")


def key_names(policy: Policy) -> tuple[str, ...]:
    """The keys that a home needs under `policy`: a zone's, and per purpose its zone's, its pseudonym domain's, its mart's."""
    names = ["raw", "vault"]
    for purpose in policy.built.values():
        names += [zone_key(purpose.name), domain_key(purpose.name)]
        if purpose.published == "encrypted":
            names.append(mart_key(purpose.name))
    return tuple(names)


def zone_key(purpose: str) -> str:
    """Opens the purpose's pseudonymised zone."""
    return f"zone_{purpose}"


def domain_key(purpose: str) -> str:
    """The secret of the purpose's pseudonym domain (C-3.3b)."""
    return f"domain_{purpose}"


def mart_key(purpose: str) -> str:
    """Opens the purpose's published mart, where the policy has it encrypted."""
    return f"mart_{purpose}"


@dataclass(frozen=True)
class Keyring:
    """Gives out keys by name; holds none in memory longer than the caller does."""

    home: Home

    def get(self, name: str) -> str:
        """The key as 64 hexadecimal digits."""
        variable = f"KAMPEKY_KEY_{name.upper()}"
        if variable in os.environ:
            return _checked(os.environ[variable], variable)
        path = self.home.keys / f"{name}.key"
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise Unavailable(f"{path} may be read by others (mode {mode:04o}), so it is no secret (C-4). Run: chmod 600 {path}; if somebody may "
                                  "have seen it, see what it opens with: kampeky keys list")
            return _checked(path.read_text(), str(path))
        except FileNotFoundError:
            raise Unavailable(f"The key '{name}' is missing. Put it into {path} (mode 0600) or into {variable}; "
                               f"it was made by kampeky init.") from None
        except PermissionError:
            raise Unavailable(f"{path} may not be read by this user: your role does not hold the key '{name}' (C-4).") from None
        except UnicodeDecodeError:
            raise _malformed(str(path)) from None

    def derive(self, name: str, use: str) -> bytes:
        """A key of its own for `use`, derived from the key `name`, so that no key serves two ends."""
        return hmac.new(bytes.fromhex(self.get(name)), use.encode(), hashlib.sha256).digest()

    def make(self, names: tuple[str, ...]) -> list[str]:
        """Make the keys that are neither on disk nor in the environment; returns the names of those made."""
        made = []
        for name in names:
            path = self.home.keys / f"{name}.key"
            if f"KAMPEKY_KEY_{name.upper()}" not in os.environ and not path.exists():
                write_atomically(path, secrets.token_hex(32) + "\n", 0o600)
                made.append(name)
        return made


def _checked(text: str, where: str) -> str:
    key = text.strip().lower()
    if not _HEX.fullmatch(key):
        raise _malformed(where)
    return key


def _malformed(where: str) -> Unavailable:
    return Unavailable(f"{where} holds no key: expected 64 hexadecimal digits.")
