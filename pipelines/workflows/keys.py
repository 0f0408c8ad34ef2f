"""`kampeky keys list`, `role` and `rotate`: where keys come from, the keys of a role, and new ones for a purpose."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Misuse, Refused, one_of
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys import rotation
from pipelines.keys.keyring import Keyring, domain_key, key_names, purpose_keys
from pipelines.keys.sources import write_role_file
from pipelines.lake.store import raw_lake
from pipelines.policy.types import Purpose
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules

ROTATED = "keys rotated"


def list_keys(home: Home) -> list[dict[str, Any]]:
    """Each key the home needs: from the role file, the environment, a command, its file, or why it cannot be had."""
    ring, found = Keyring(home.require()), []
    for name in key_names(rules().policy):
        try:
            ring.get(name)
            origin = f"role {ring.role}" if ring.role else ring.origin(name)
        except KampekyError as error:
            origin = str(error)
        found.append({"key": name, "from": origin})
    return found


def write_role(home: Home, role: str, to: Path, as_of: datetime) -> dict[str, Any]:
    """Write the file of a role: the keys that the policy gives it and no others; of a role without keys it says who that is."""
    policy, ring = rules().policy, Keyring(home.require())
    ring.refuse_role("Role files are written")
    if role not in policy.roles:
        raise one_of("Role", role, policy.roles)
    names = [name for name in policy.roles[role] if name in key_names(policy)]
    write_role_file(to, role, {name: ring.get(name) for name in names})
    ledger.append(home, "role file written", as_of, {"role": role, "keys": names})
    reads = [purpose.name for purpose in policy.built.values() if purpose.audience == role]
    return {"role": role, "file": str(to), "keys": names, "reads": reads}


def rotate(home: Home, name: str, as_of: datetime, replaced: bool = False) -> dict[str, Any]:
    """New keys for a purpose: its secret, so that every pseudonym changes, its zone's, and its mart's. Zone and marts are made anew under them, and
    until then there are none: nothing is ever readable under two secrets, nor left behind under a lost one.

    Once begun it is only ever finished: whatever stops it, the next call goes on from there, and the keyring gives out no key of the purpose
    meanwhile. `replaced`: those that come from the environment or a command were made anew there.
    """
    policy, ring = rules().policy, Keyring(home.require())
    purpose = policy.built_purpose(name)
    ring.refuse_role("Keys are made anew")
    names, why = purpose_keys(purpose), f"keys rotate {name}"
    with locked(home, f"build-{name}", why):
        if rotation.pending(home, name) is None:
            outside = [key for key in names if ring.origin(key) != "file"]
            _refuse_outside(home, purpose, outside, replaced)
            ledger.append(home, "key rotation begun", as_of, {"purpose": name, "keys": list(names)})
            rotation.begin(home, name, [key for key in names if key not in outside])
        _finish(home, purpose, as_of)
    built = build(home, as_of, [name]) if raw_lake(home).catalog.exists() else [None]
    concerned = sorted(role for role, held in policy.roles.items() if set(held) & set(names))
    return {"purpose": name, "keys": list(names), "role_files_to_renew": concerned, "build": built[0]}


def _finish(home: Home, purpose: Purpose, as_of: datetime) -> None:
    """From the journal to the end; each step can be done again, so it does not matter after which one an earlier call was stopped."""
    from pipelines.lake.extracts import listed
    from pipelines.pseudonymisation.rekey import drop_zone, know_by
    from pipelines.retention.extracts import remove_all
    from pipelines.transformation.publish import unpublish

    name, why = purpose.name, f"keys rotate {purpose.name}"
    keys = rotation.pending(home, name)
    assert keys is not None
    unpublish(home.mart(name))
    # extracts hold pseudonyms of the old secret, by which no run could find a member in them any more
    remove_all(home, [extract.name for extract in listed(home) if extract.purpose == name], why)
    drop_zone(home, name, why)
    secret = domain_key(name)
    know_by(home, name, keys[secret] if secret in keys else Keyring(home).fetch(secret), why)
    rotation.put_in_place(home, keys)
    ledger.append(home, ROTATED, as_of, {"purpose": name, "keys": list(purpose_keys(purpose))})
    rotation.end(home, name)


def _refuse_outside(home: Home, purpose: Purpose, outside: list[str], replaced: bool) -> None:
    """Keys that stand in no file are replaced where they stand; until all of them are, nothing is begun."""
    from pipelines.pseudonymisation.rekey import not_replaced

    if outside and not replaced:
        raise Refused(f"{', '.join(outside)} come from the environment or a command, where this command cannot replace them. Put new ones of 64 "
                      f"hexadecimal digits there, then run: kampeky keys rotate {purpose.name} --replaced", "C-3.3b")
    if replaced and not outside:
        raise Misuse(f"All keys of {purpose.name} stand in files; leave --replaced out: kampeky keys rotate {purpose.name}")
    same = not_replaced(home, purpose.name, outside, f"keys rotate {purpose.name}")
    if same:
        raise Refused(f"{', '.join(same)} still are the keys that were in use. Put new ones in their place where they come from, then run: "
                      f"kampeky keys rotate {purpose.name} --replaced", "C-3.3b")
