"""The keyring: which keys there are, where they come from, and one clear line when one is missing.

A key is 32 random bytes as 64 hexadecimal digits. Who has a role file (KAMPEKY_ROLE_FILE) has its keys and no others. Else a key stands in the
environment as KAMPEKY_KEY_<NAME>, which wins; or is what KAMPEKY_KEY_COMMAND prints, where there is such a command; or stands in
`keys/<name>.key` (0600). Keys are never printed, logged or passed on a command line.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass

from pipelines.foundation.errors import Refused, Unavailable
from pipelines.foundation.files import write_atomically
from pipelines.foundation.home import Home
from pipelines.keys import sources
from pipelines.policy.types import Policy, Purpose

ARCHIVE = "archive"
TOMBSTONES = "tombstones"  # of the hashes that keep who was erased from coming back; never made anew (C-11.3)


def key_names(policy: Policy) -> tuple[str, ...]:
    """The keys that a home needs under `policy`: a zone's, per purpose its zone's, its pseudonym domain's, its mart's, and of each legal archive
    that is on."""
    return ("raw", "vault", TOMBSTONES, *(name for purpose in policy.built.values() for name in purpose_keys(purpose)),
            *map(archive_key, policy.archives))


def purpose_keys(purpose: Purpose) -> tuple[str, ...]:
    """The keys of one purpose, which are made anew together."""
    return (zone_key(purpose.name), domain_key(purpose.name), *((mart_key(purpose.name),) if purpose.published == "encrypted" else ()))


def zone_key(purpose: str) -> str:
    """Opens the purpose's pseudonymised zone."""
    return f"zone_{purpose}"


def domain_key(purpose: str) -> str:
    """The secret of the purpose's pseudonym domain (C-3.3b)."""
    return f"domain_{purpose}"


def mart_key(purpose: str) -> str:
    """Opens the purpose's published mart, where the policy has it encrypted."""
    return f"mart_{purpose}"


def archive_key(rule: str) -> str:
    """Opens the zone of a legal archive (C-10.8); no role has it, and it ends with the rule."""
    return f"{ARCHIVE}_{rule}"


@dataclass(frozen=True)
class Keyring:
    """Gives out keys by name; holds none in memory longer than the caller does."""

    home: Home

    @property
    def role(self) -> str | None:
        """The role whose keys these are; none: of a job, or of whoever keeps the home."""
        held = sources.role_file()
        return held.role if held else None

    def get(self, name: str) -> str:
        """The key as 64 hexadecimal digits."""
        held = sources.role_file()
        if held:
            return held.get(name)
        self._refuse_pending(name)
        return self.fetch(name)

    def fetch(self, name: str) -> str:
        """The key as it stands in the environment, the secret manager or its file, also while new ones are put in place: for a rotation."""
        origin = self.origin(name)
        if origin == "environment":
            return sources.checked(os.environ[sources.variable(name)], sources.variable(name))
        if origin == "command":
            return sources.from_command(name)
        return sources.from_file(self.home.keys / f"{name}.key", name)

    def origin(self, name: str) -> str:
        """Where the key is looked for: role, environment, command or file."""
        if sources.ROLE_FILE in os.environ:
            return "role"
        if sources.variable(name) in os.environ:
            return "environment"
        return "command" if sources.COMMAND in os.environ else "file"

    def derive(self, name: str, use: str) -> bytes:
        """A key of its own for `use`, derived from the key `name`, so that no key serves two ends."""
        return derived(self.get(name), use)

    def make(self, names: tuple[str, ...]) -> list[str]:
        """Make the keys that are neither on disk nor come from elsewhere; returns the names of those made."""
        self.refuse_role("Keys are made")
        made = []
        for name in names:
            path = self.home.keys / f"{name}.key"
            self._refuse_pending(name)
            if self.origin(name) == "file" and not path.exists():
                write_atomically(path, secrets.token_hex(32) + "\n", 0o600)
                made.append(name)
        return made

    def refuse_role(self, what: str) -> None:
        """What a person in a role does not do, for it takes or gives keys of others."""
        role = self.role
        if role is not None:
            raise Refused(f"{what} by whoever keeps the home, and your role is '{role}'. Run this without {sources.ROLE_FILE}, as that user.", "C-4")

    def refuse_lacking(self, names: tuple[str, ...]) -> None:
        """Before anything is begun: a person in a role that lacks one of these keys has not started what needs them. Of a job that has lost a key
        this says nothing, for its run did begin, and fails as such."""
        held = sources.role_file()
        if held:
            for name in names:
                held.get(name)

    def refuse_other_audience(self, purpose: Purpose) -> None:
        """A person in a role reads the marts that are that role's, also the plain ones, which no key closes (C-4)."""
        role = self.role
        if role is not None and role != purpose.audience:
            raise Refused(f"The marts of {purpose.name} are for the role '{purpose.audience}', and your role is '{role}'.", "C-4")

    def rotations(self) -> list[str]:
        """Purposes of which new keys were begun to be put in place and not all are."""
        return sorted(path.stem for path in self.home.keys.glob("*.rotation"))

    def _refuse_pending(self, name: str) -> None:
        """Between old keys and new ones none is given out: a zone under two secrets would be the end of both (C-3.3b)."""
        purpose = name.partition("_")[2]
        if purpose and (self.home.keys / f"{purpose}.rotation").exists():
            raise Unavailable(f"New keys of '{purpose}' were begun to be put in place, and that was not finished; until it is, nothing of it "
                              f"can be opened or built. Run: kampeky keys rotate {purpose}")


def derived(key: str, use: str) -> bytes:
    return hmac.new(bytes.fromhex(key), use.encode(), hashlib.sha256).digest()


def remedy(name: str) -> str:
    """What to do where the key in hand is not the right one."""
    if sources.ROLE_FILE in os.environ:
        return "If keys were made anew since, have your role file written anew: kampeky keys role ROLE --to FILE"
    purpose = "" if name.startswith(f"{ARCHIVE}_") else name.partition("_")[2]
    elsewhere = sources.variable(name) in os.environ or sources.COMMAND in os.environ
    anew = f" If it was replaced on purpose, run: kampeky keys rotate {purpose} --replaced" if purpose and elsewhere else ""
    return f"Put the right key into keys/{name}.key or {sources.variable(name)}.{anew}"
