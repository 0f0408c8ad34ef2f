"""policy.yaml, `resolving` → where a pseudonym becomes a person again, and nowhere else (C-3.3b, C-3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.foundation.errors import Refused
from pipelines.policy.contract_types import Contract
from pipelines.policy.documents import RULE, Reader
from pipelines.policy.types import Channel, ConsentKind, Purpose, Recipient, Resolving


def load_resolving(top: Reader, purposes: Mapping[str, Purpose], kinds: Mapping[str, ConsentKind],
                   recipients: Mapping[str, Recipient]) -> Mapping[str, Resolving]:
    """Each purpose that resolves: by channels with an address, or to the member's id. A policy that names none lets nobody resolve."""
    found = {}
    for name, entry in top.each("resolving") if top.get("resolving") is not None else ():
        top.known("resolving", name, purposes)
        if purposes[name].published != "encrypted":
            raise entry.fail("a mart that is published plain is read without a key, so nobody may turn its pseudonyms into persons (C-3.3b).")
        entry.only(("clause", "mart", "channels"))
        if ("mart" in entry.content) != ("channels" in entry.content):
            raise entry.fail("'mart' names the table of whom to reach, and 'channels' says how: both, or neither.")
        channels = {word: _channel(word, at, kinds, recipients) for word, at in entry.each("channels")} if "channels" in entry.content else {}
        asked = [channel.kind for channel in channels.values()]
        if len(set(asked)) != len(asked):
            raise entry.fail("each channel rests on a consent of its own kind (C-3.3c).")
        found[name] = Resolving(name, entry.text("clause"), entry.text("mart") if channels else None, MappingProxyType(channels))
    return MappingProxyType(found)


def _channel(name: str, entry: Reader, kinds: Mapping[str, ConsentKind], recipients: Mapping[str, Recipient]) -> Channel:
    entry.only(("clause", "kind", "address", "recipient"))
    kind = entry.word("kind", kinds)
    if kinds[kind].scope != "member":
        raise entry.fail(f"{kind} is given per device; who is written to must have said so themselves (C-3.4).")
    return Channel(name, entry.text("clause"), kind, entry.text("address"), entry.word("recipient", recipients))


def check_resolving(resolving: Mapping[str, Resolving], recipients: Mapping[str, Recipient], accounts: Contract) -> None:
    """An address is a column of the accounts, and the recipient may be given what it is about (C-5)."""
    for one in resolving.values():
        for channel in one.channels.values():
            where, columns = f"policy.yaml: resolving.{one.purpose}.channels.{channel.name}", {c.name: c for c in accounts.columns}
            if channel.address not in columns:
                raise Refused(f"{where}: '{channel.address}' is no column of {accounts.path}.", RULE)
            category = columns[channel.address].category
            if category not in recipients[channel.recipient].receives:
                raise Refused(f"{where}: {channel.recipient} may not be given data of category {category}; recipients.{channel.recipient}.receives "
                              "does not name it.", RULE)
