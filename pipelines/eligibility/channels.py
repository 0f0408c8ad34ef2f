"""Who may be written to, on which channel, at which address (C-3.3c, C-3.4): each channel rests on a running grant of its own kind.

A consent was given for the address that the member had. The vault remembers that one, as a keyed hash, from the first build or disclosure that sees
the consent: an address that has changed since is *unknown*, until the member consents anew. What was withdrawn is forgotten with it.
"""

from __future__ import annotations

from datetime import datetime

from pipelines.eligibility.consents import grant_records, member_grants
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.pseudonyms import keyed, set_key
from pipelines.identity.vault import attach_vault
from pipelines.keys.keyring import Keyring
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Channel, Purpose, Resolving, Rulebook

GRANTS = "channel_grants"


def remember_addresses(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> None:
    """What a build of `purpose` does about its channels, if it has any."""
    resolving, why = rulebook.policy.resolving.get(purpose.name), f"build {purpose.name}"
    if resolving and resolving.channels:
        with locked(home, "vault", why), opened(raw_lake(home), why) as connection:
            attach_vault(connection, home, write=True)
            judge_channels(connection, home, rulebook, resolving, as_of)


def judge_channels(connection: Connection, home: Home, rulebook: Rulebook, resolving: Resolving, as_of: datetime) -> None:
    """Make `channel_grants` (member_id, channel, consent_at, address, known): who has a running grant, when it was last given, the address now, and
    whether that is the one the vault remembers. Needs raw and vault, the latter to write."""
    connection.execute(f"create or replace temp table {GRANTS} (member_id varchar, channel varchar, consent_at timestamptz, address varchar, "
                       "hashed varchar, known boolean)")
    set_key(connection, Keyring(home).derive("vault", "addresses"))
    for channel in resolving.channels.values():
        _grants(connection, rulebook, resolving.purpose, channel, as_of)
    same = "v.member_id = g.member_id and v.channel = g.channel"
    connection.execute(f"""insert or replace into vault.addresses
        select g.member_id, g.channel, g.consent_at, g.hashed from {GRANTS} as g left join vault.addresses as v on {same}
        where v.member_id is null or v.consent_at < g.consent_at""")
    connection.execute(f"update {GRANTS} as g set known = exists (select 1 from vault.addresses as v where {same} and v.address = g.hashed)")


def _grants(connection: Connection, rulebook: Rulebook, purpose: str, channel: Channel, as_of: datetime) -> None:
    accounts, kind, name = rulebook.accounts, rulebook.policy.consent_kinds[channel.kind], quote_text(channel.name)
    grant_records(connection, rulebook, kind, purpose, as_of)
    member_grants(connection, "granted_channel", kind, as_of)
    key, address = quote_name(accounts.key[0]), f"a.{quote_name(channel.address)}::varchar"
    connection.execute(f"""insert into {GRANTS}
        with given as (select member_id, max(decided_at) as consent_at from consent_records where granted and member_id is not null group by 1)
        select g.member_id, {name}, given.consent_at, {address}, {keyed(f"encode({name} || ':' || g.member_id || ':' || {address})")}::varchar, false
        from granted_channel as g join given on given.member_id = g.member_id join {raw_table(accounts)} as a on a.{key} = g.member_id""")
    connection.execute(f"""delete from vault.addresses as v where v.channel = {name} and exists (
        select 1 from consent_records as c where c.member_id = v.member_id and not c.granted and c.decided_at >= v.consent_at)""")
