"""Pseudonyms: HMAC-SHA-256 under the purpose's secret over the subject's salt and id, 128 bits of it (C-3.3b).

DuckDB has no HMAC, so it is written out over sha256 with the key's pads. The pads are session variables, never SQL text:
text could reach a log. Two purposes have two secrets, so their pseudonyms of one member have nothing in common.
"""

from __future__ import annotations

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.errors import Refused, Unavailable
from pipelines.foundation.home import Home
from pipelines.keys.keyring import Keyring, derived, domain_key, remedy

_BLOCK = 64


def set_domain(connection: Connection, home: Home, purpose: str, first: bool = False) -> None:
    """Give the connection, which has the vault attached, the pads of the purpose's secret.

    With another secret every pseudonym would change without a word, so the vault keeps a check value of it; the first build
    (`first`) writes it down.
    """
    name = domain_key(purpose)
    secret = Keyring(home).get(name)
    check = _check(connection, purpose, secret)
    known = _known(connection, purpose)
    if known is None and first:
        connection.execute("insert into vault.domains values (?, ?)", [purpose, check])
    elif known is not None and known != check:
        raise Unavailable(f"The key '{name}' is not the one that this home's pseudonyms were made with. {remedy(name)}")
    set_key(connection, derived(secret, "pseudonyms"))


def set_key(connection: Connection, key: bytes) -> None:
    """Let `keyed` use this key of 32 bytes from now on."""
    padded = key.ljust(_BLOCK, b"\0")
    connection.execute("set variable hmac_inner = $1::blob", [bytes(b ^ 0x36 for b in padded)])
    connection.execute("set variable hmac_outer = $1::blob", [bytes(b ^ 0x5C for b in padded)])


def replace_domain(connection: Connection, purpose: str, secret: str) -> None:
    """Let the vault, attached to write, know the purpose by `secret` from now on. There must be no zone and no mart left of the old one."""
    connection.execute("insert or replace into vault.domains values (?, ?)", [purpose, _check(connection, purpose, secret)])


def is_domain(connection: Connection, purpose: str, secret: str) -> bool:
    """Whether the purpose's pseudonyms are made with `secret` already."""
    return _known(connection, purpose) == _check(connection, purpose, secret)


def _check(connection: Connection, purpose: str, secret: str) -> str:
    """The check value of a secret, which no other purpose may have."""
    check = derived(secret, "key check").hex()
    twin = connection.execute("select purpose from vault.domains where key_check = ? and purpose <> ?", [check, purpose]).fetchone()
    if twin:
        raise Refused(f"The keys '{domain_key(purpose)}' and '{domain_key(twin[0])}' are the same, so both purposes would know a member by one "
                      "pseudonym. Give each a key of its own.", "C-3.3b")
    return check


def _known(connection: Connection, purpose: str) -> str | None:
    row = connection.execute("select key_check from vault.domains where purpose = ?", [purpose]).fetchone()
    return row[0] if row else None


def keyed(message: str) -> str:
    """SQL: 128 bits of the HMAC of `message` (a BLOB expression) as UUID; null for null."""
    inner = f"unhex(sha256(getvariable('hmac_inner') || {message}))"
    return f"substr(sha256(getvariable('hmac_outer') || {inner}), 1, 32)::uuid"


def pseudonym(salt: str, member: str) -> str:
    """SQL: the member's pseudonym in the domain of the connection."""
    return keyed(f"({salt} || encode({member}))")


def visitor_pseudonym(salt: str, device: str) -> str:
    """SQL: the pseudonym of a visitor in the domain of the connection, from the salt of the device's own (vault.visitors)."""
    return keyed(f"({salt} || encode('visitor:' || {device}))")


def device_pseudonym(salt: str, member: str, device: str) -> str:
    """SQL: the pseudonym of a device in the hands of a member, from the member's salt. Another member's on the same device, and the visitor's
    before login, have nothing in common with it; ids hold no colon, so no message is another one's."""
    return keyed(f"({salt} || encode('device:' || {member} || ':' || {device}))")
