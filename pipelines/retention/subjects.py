"""Whose data an erasure concerns, and by what they are known: read from raw once, before anything goes (C-11.3).

What is found is written into the vault for as long as the erasure runs (`vault.erasing`), so that one that is stopped is finished by the next run
with the same knowledge; afterwards it is known nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import device_pseudonym, pseudonym, set_domain, visitor_pseudonym
from pipelines.identity.tombstones import DEVICE, EMAIL, MEMBER, SOCIAL, names_of, words_of
from pipelines.lake.store import attach, purpose_lake
from pipelines.lake.tables import quarantine_table, raw_table
from pipelines.policy.types import Purpose, Rulebook
from pipelines.retention.scope import DUE_ACCOUNTS, ERASING_DEVICES, named_table

KNOWN_BY = "known_by"  # (member_id, kind, value)
_SHARED = ("phone", "iban")  # a household has one of them, too
PSEUDONYM = "pseudonym"  # a kind: what they were called in a zone, written down as long as an erasure runs


def mark_subjects(connection: Connection, rulebook: Rulebook, members: str) -> None:
    """Make `due_accounts` of the query `members` (member_id), `known_by` and `erasing_devices`; raw and vault are attached."""
    connection.execute(f"create or replace temp table {DUE_ACCOUNTS} as select distinct member_id from ({members})")
    mark_known(connection, rulebook)
    mark_devices(connection)


def mark_known(connection: Connection, rulebook: Rulebook) -> None:
    """Make `known_by` of the members in `due_accounts`."""
    connection.execute(f"create or replace temp table {KNOWN_BY} as {' union '.join(_known_by(rulebook))}")


def mark_devices(connection: Connection) -> None:
    """Make `erasing_devices` (value) of `known_by`."""
    connection.execute(f"create or replace temp table {ERASING_DEVICES} as select distinct value from {KNOWN_BY} where kind = '{DEVICE}'")


def mark_named(connection: Connection, rulebook: Rulebook) -> None:
    """Make for each dataset the table of its quarantined rows that name, in whatever field, who is erased: of a broken line nobody knows the
    columns."""
    connection.execute(f"create or replace temp table erasing_words as select distinct lower(value) as word from {KNOWN_BY} "
                       f"where kind in ('{MEMBER}', '{DEVICE}', '{EMAIL}', '{SOCIAL}', 'iban', 'phone')")
    for contract in rulebook.contracts.values():
        table = quarantine_table(contract)
        connection.execute(f"""create or replace temp table {named_table(contract)} as select distinct _batch, _line from (
            select _batch, _line, unnest(list_concat({', '.join(words for _, words in words_of('lower(record)'))})) as word from {table})
            where word in (select word from erasing_words)""")


@contextmanager
def zone_of(connection: Connection, home: Home, purpose: Purpose, write: bool) -> Iterator[bool]:
    """Attach the purpose's zone as `zone`, with `due_pseudonyms` (pseudonym) of whom the erasure concerns beside it: as members, and as the visitors
    of their devices. Yields whether there is one."""
    zone = purpose_lake(home, purpose.name)
    if not zone.catalog.exists():
        yield False
        return
    set_domain(connection, home, purpose.name)
    mark_pseudonyms(connection)
    attach(connection, zone, write=write, alias="zone")
    try:
        yield True
    finally:
        connection.execute("detach zone")


def mark_pseudonyms(connection: Connection) -> None:
    """Make `due_pseudonyms` in the domain that is set, and `due_devices` (pseudonym) of their devices in it."""
    visitors = (f"union select {visitor_pseudonym('v.salt', 'v.device_id')} from vault.visitors as v join {ERASING_DEVICES} as d "
                "on d.value = v.device_id" if has_table(connection, "vault", "visitors") else "")
    connection.execute(f"create or replace temp table due_pseudonyms as select {pseudonym('s.salt', 's.member_id')} as pseudonym "
                       f"from vault.subjects as s join {DUE_ACCOUNTS} as d using (member_id) {visitors} "
                       f"union select try_cast(value as uuid) from {KNOWN_BY} where kind = '{PSEUDONYM}'")  # of a run that destroyed the salts
    connection.execute(f"create or replace temp table due_devices as select {device_pseudonym('s.salt', 's.member_id', 'k.value')} as pseudonym "
                       f"from vault.subjects as s join {KNOWN_BY} as k on k.member_id = s.member_id and k.kind = '{DEVICE}'")


def _known_by(rulebook: Rulebook) -> Iterator[str]:
    """Queries (member_id, kind, value): ids, addresses and devices that are nobody else's too; and what else names the person."""
    yield f"select member_id, '{MEMBER}' as kind, member_id as value from {DUE_ACCOUNTS}"
    yield f"select member_id, '{DEVICE}', device_id from ({_devices(rulebook)})"
    for contract in rulebook.contracts.values():
        for column in contract.columns:
            if column.identifies is None or len(contract.subjects) != 1:
                continue
            who, name, table = f"r.{quote_name(contract.subjects[0].column)}", f"r.{quote_name(column.name)}", raw_table(contract)
            kind, other = quote_text(column.identifies), f"o.{quote_name(column.name)}"
            alone = (f"and not exists (select 1 from {table} as o where {same(kind, other)} = {same(kind, name)} and "
                     f"o.{quote_name(contract.subjects[0].column)} <> {who})") if column.join_key or column.identifies in _SHARED else ""
            yield (f"select distinct {who}, {quote_text(column.identifies)}, {name}::varchar from {table} as r where {who} in "
                   f"(select member_id from {DUE_ACCOUNTS}) and {name} is not null and {name}::varchar <> '' {alone}")


def same(kind: str, value: str) -> str:
    """SQL: a value (text) of a kind (SQL) as it is compared: addresses in small letters, numbers by their last nine digits, accounts without
    marks."""
    text = f"{value}::varchar"
    return (f"case {kind} when '{EMAIL}' then lower(trim({text})) when 'phone' then right(regexp_replace({text}, '[^0-9]', '', 'g'), 9) "
            f"when 'iban' then upper(regexp_replace({text}, '[^A-Za-z0-9]', '', 'g')) else {text} end")


def _devices(rulebook: Rulebook) -> str:
    """SQL (member_id, device_id): devices on which the subjects were and no other member was."""
    seen = []
    for contract in rulebook.contracts.values():
        for column, kind in names_of(contract):
            if kind == DEVICE:
                seen += [f"select {quote_name(s.column)} as member_id, {quote_name(column)} as device_id from {raw_table(contract)} "
                         f"where {quote_name(column)} is not null and {quote_name(s.column)} is not null" for s in contract.subjects]
    pairs = " union ".join(seen) or "select null::varchar as member_id, null::varchar as device_id where false"
    mine = f"select device_id from pairs where member_id in (select member_id from {DUE_ACCOUNTS})"
    return (f"with pairs as materialized ({pairs}) select member_id, device_id from pairs where device_id in ({mine}) and device_id not in "
            f"(select device_id from pairs where member_id not in (select member_id from {DUE_ACCOUNTS}))")
