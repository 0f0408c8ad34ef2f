"""`kampeky disclose`: from pseudonyms to addresses or members, where the policy lets a purpose resolve, and nowhere else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import Misuse, Refused, one_of
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring
from pipelines.keys.sources import ROLE_FILE
from pipelines.policy.types import Resolving, Rulebook
from pipelines.workflows.rules import rules

_TEMPLATE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def to_channel(home: Home, purpose: str, channel: str | None, template: str | None, segment: str | None, recipient_key: str | None, by: str,
               reason: str, as_of: datetime, now: datetime) -> dict[str, Any]:
    """Addresses of those who may be written to, encrypted into the outbox; counts of who was left out, by reason."""
    from pipelines.rights.disclosure import Asked, Message, disclose

    rulebook, resolving = _allowed(home, purpose)
    if not resolving.channels:
        raise Misuse(f"In {purpose} pseudonyms are resolved to members, not to addresses: kampeky disclose {purpose} --pseudonym - --by NAME "
                     "--reason TEXT")
    if not (channel and template and recipient_key):
        raise Misuse(f"Say on which channel, which template and for whose key: kampeky disclose {purpose} --channel "
                     f"{' or '.join(resolving.channels)} --template NAME --recipient-key age1… --by NAME --reason TEXT")
    if channel not in resolving.channels:
        raise one_of("Channel", channel, resolving.channels)
    if not _TEMPLATE.fullmatch(template):
        raise Misuse("A template is named by letters, digits, _, . and -, at most 64 of them.")
    if as_of > now:
        raise Refused("A disclosure is made for the moment at which it is made, and that one is still to come.", "C-3.4")
    return disclose(home, rulebook, resolving, Message(resolving.channels[channel], template, segment), _key(recipient_key),
                    Asked(_said(by, "--by NAME"), _said(reason, "--reason TEXT")), as_of)


def to_members(home: Home, purpose: str, pseudonyms: Sequence[str], by: str, reason: str, as_of: datetime) -> list[dict[str, Any]]:
    """The member's id behind each pseudonym; null where there is none who may be named."""
    from pipelines.rights.disclosure import Asked, resolve

    rulebook, resolving = _allowed(home, purpose)
    if resolving.channels:
        raise Refused(f"In {purpose} a pseudonym becomes an address for one of {', '.join(resolving.channels)}, and no member is named: kampeky "
                      f"disclose {purpose} --channel … --template … --recipient-key …", resolving.clause)
    return resolve(home, rulebook, resolving, [_pseudonym(text) for text in pseudonyms],
                   Asked(_said(by, "--by NAME"), _said(reason, "--reason TEXT")), as_of)


def _allowed(home: Home, purpose: str) -> tuple[Rulebook, Resolving]:
    """Where the policy resolves, a job does it on behalf of the role that reads the marts: no role's keys open vault and mart together."""
    rulebook, role = rules(), Keyring(home.require()).role
    chosen = rulebook.policy.purpose(purpose)
    resolving = rulebook.policy.resolving.get(purpose)
    if resolving is None:
        raise Refused(f"Pseudonyms of {purpose} are resolved by nobody: who is behind a profile stays unknown. Purposes of which the policy lets "
                      f"them be resolved: {', '.join(rulebook.policy.resolving) or 'none'}.", "C-3.3b")
    rulebook.policy.built_purpose(purpose)
    Keyring(home).refuse_other_audience(chosen)
    if role is not None:
        raise Refused(f"The role '{role}' may have this done, and no person holds the keys for it: they open the vault. Have the job that holds "
                      f"them run it, without {ROLE_FILE}.", "C-3.3b")
    return rulebook, resolving


def _key(given: str) -> str:
    """The key itself, or the first line of the file that holds it which is no comment."""
    try:
        path = Path(given)
        if not path.is_file():
            return given.strip()
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return given.strip()
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def _said(text: str, option: str) -> str:
    if not text.strip() or len(text) > 500 or not text.isprintable():
        raise Misuse(f"Who asks and why stands in the ledger: {option}, in one line.")
    return text.strip()


def _pseudonym(text: str) -> str:
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        raise Misuse("One of the pseudonyms is none: each is written as in the mart, such as 0f8fad5b-d9cb-469f-a165-70867728950e, one a "
                     "line.") from None
