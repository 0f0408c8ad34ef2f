"""Tombstones: what is kept of who was erased, so that nothing that was collected before can come back (C-11.3).

Keyed hashes of what can name the person again: the member's id, e-mail address, social ids, devices that nobody else used; and of an account that
ended by retention its id (C-10.3). Their key is one of their own, which no rotation touches, and without it nobody can ask whether somebody was
erased. They live as long as the policy says; then all that is known is a moment before which nothing may come from outside any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain

from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.foundation.errors import Unavailable
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import keyed, set_key
from pipelines.keys.keyring import TOMBSTONES, Keyring, remedy
from pipelines.policy.contract_types import Contract

# what in a text could name somebody: ids, which may join words and be joined to others (photo_m000123), and addresses in small letters
IDS, _ADDRESS = ("[A-Za-z0-9_-]{2,128}", "[A-Za-z0-9]{2,128}"), r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]+\p{L}"
ERASED = "erased_values"  # (kind, value, erased_at): of the values that were asked about, those of who was erased
MEMBER, DEVICE, EMAIL, SOCIAL = "member", "device", "email", "social"
ENDED = "ended"  # a member's id, too: of an account that ended without an erasure


def names_of(contract: Contract) -> Iterator[tuple[str, str]]:
    """(column, kind) of what names a person in rows of the contract."""
    register = contract.consent_register
    devices = dict.fromkeys(device for device in (contract.device, register.device if register else None) if device)
    yield from chain(((s.column, MEMBER) for s in contract.subjects), ((device, DEVICE) for device in devices),
                     ((c.name, str(c.identifies)) for c in contract.columns if c.join_key))


def words_of(text: str) -> Iterator[tuple[str, str]]:
    """(kind, SQL of a list) of the words of `text` (a text expression) that could be a value of that kind."""
    for kind in (MEMBER, DEVICE, SOCIAL):
        yield from ((kind, f"regexp_extract_all({text}, {quote_text(pattern)})") for pattern in IDS)
    yield EMAIL, f"regexp_extract_all(lower({text}), {quote_text(_ADDRESS)})"


def collected(contract: Contract, row: str) -> str:
    """SQL: when row `row` was collected; of an account, since when it is one. Null: nobody can say."""
    moment = contract.clock or (contract.account.registered if contract.account else None)
    return f"{row}.{quote_name(moment)}::timestamptz" if moment else "null::timestamptz"


def use_key(connection: Connection, home: Home, first: bool = False) -> None:
    """Let `hashed` use the key of the tombstones from now on. By another key nobody would be known any more, without a word, so the vault keeps a
    check value of it; the first erasure (`first`) writes it down."""
    set_key(connection, Keyring(home).derive(TOMBSTONES, "tombstones"))
    if not has_table(connection, "vault", "domains"):
        return
    known = connection.execute("select key_check from vault.domains where purpose = ?", [TOMBSTONES]).fetchone()
    check = connection.execute(f"select {keyed(f'encode({quote_text(TOMBSTONES)})')}::varchar").fetchall()[0][0]
    if known is None and first:
        connection.execute("insert into vault.domains values (?, ?)", [TOMBSTONES, check])
    elif known is not None and known[0] != check:
        raise Unavailable(f"The key '{TOMBSTONES}' is not the one that this home's tombstones were made with: whoever was erased would come back. "
                          f"{remedy(TOMBSTONES)}")


def missing(connection: Connection) -> int:
    """Of how many erasures that are certified no tombstone is left: somebody took them out of the vault, which is attached."""
    if not all(has_table(connection, "vault", table) for table in ("certificates", "approvals", "tombstones")):
        return 0
    return int(connection.execute("""select count(*) from vault.certificates as c join vault.approvals as a on a.request_id = c.request_id
        and a.part = 'plan' where not exists (select 1 from vault.tombstones as t where t.erased_at >= a.given_at)""").fetchall()[0][0])


def hashed(kind: str, value: str) -> str:
    """SQL: the keyed hash of a value (a text expression) of a kind (SQL); of an address in small letters."""
    text = f"case when {kind} = '{EMAIL}' then lower(trim({value})) else {value} end"
    return keyed(f"encode({kind} || ':' || {text})")


def entomb(connection: Connection, values: str, erased_at: datetime, expires_on: date) -> int:
    """Keep the hashes of the query `values` (kind, value) in the vault that is attached to write, under the key in use; how many there are."""
    connection.execute(f"""insert or replace into vault.tombstones
        select distinct kind, {hashed('kind', 'value')}, ?::timestamptz, ?::date from ({values}) where value is not null""", [erased_at, expires_on])
    return int(connection.execute(f"select count(*) from (select distinct kind, value from ({values}) where value is not null)").fetchall()[0][0])


def entomb_ended(connection: Connection, members: str, ended_at: datetime, expires_on: date) -> None:
    """The same of the query `members` (member_id), whose accounts ended by retention: at the door they are treated alike (C-10.3), but what others
    wrote of them stays, so nobody looks for them there."""
    connection.execute(f"""insert or replace into vault.tombstones select '{ENDED}', {hashed(f"'{MEMBER}'", 'member_id')}, ?::timestamptz, ?::date
        from (select distinct member_id from ({members}))""", [ended_at, expires_on])


def any_left(connection: Connection) -> bool:
    """Whether anybody was erased at all, of whom there is still something to know; the vault may be one of an earlier version."""
    return has_table(connection, "vault", "tombstones") and bool(connection.execute("select 1 from vault.tombstones limit 1").fetchone())


def mark_erased(connection: Connection, asked: str, day: date, ended: bool = False) -> int:
    """Make `erased_values` of the query `asked` (kind, value): those that belong to somebody who was erased, with when, and with `ended` of whom the
    account ended; how many."""
    also = f" or (t.kind = '{ENDED}' and q.kind = '{MEMBER}')" if ended else ""
    connection.execute(f"""create or replace temp table {ERASED} as
        select q.kind, q.value, max(t.erased_at) as erased_at from (select distinct kind, value from ({asked}) where value is not null) as q
        join vault.tombstones as t on t.hash = {hashed('q.kind', 'q.value')} and (t.kind = q.kind{also})
        where t.expires_on > ? group by all""", [day])
    return int(connection.execute(f"select count(*) from {ERASED}").fetchall()[0][0])


def is_erased(kind: str, value: str, collected_at: str) -> str:
    """SQL: whether a value is of somebody who was erased, in what was collected before that (C-11.3: what they do afterwards is new)."""
    return (f"exists (select 1 from {ERASED} as e where e.kind = {quote_text(kind)} and e.value = {value} "
            f"and coalesce({collected_at} < e.erased_at, true))")


def forgotten_before(connection: Connection, day: date) -> datetime | None:
    """The latest erasure of which nothing is known any more on that day: what is older may hold somebody who was erased."""
    if not has_table(connection, "vault", "tombstones"):
        return None
    return connection.execute("select max(moment) from (select before as moment from vault.forgotten union all "
                              "select erased_at from vault.tombstones where expires_on <= ?)", [day]).fetchall()[0][0]


def expired(connection: Connection, day: date) -> int:
    """How many tombstones are over on that day."""
    if not has_table(connection, "vault", "tombstones"):
        return 0
    return int(connection.execute("select count(*) from vault.tombstones where expires_on <= ?", [day]).fetchall()[0][0])


def expire(connection: Connection, day: date) -> None:
    """Remove those that are over from the vault, attached to write; that there were some is known by the last one's moment alone."""
    before = forgotten_before(connection, day)
    if before is not None:
        connection.execute("delete from vault.forgotten")
        connection.execute("insert into vault.forgotten values (?)", [before])
        connection.execute("delete from vault.tombstones where expires_on <= ?", [day])


def erased_rows(contract: Contract, row: str, accounts: str) -> str:
    """SQL: whether row `row` names, as its own, somebody who was erased, by `erased_values`. A device alone says so only where no member is named,
    and an address or a social id only where none is named who has an account (`accounts`: SQL of their ids): it may have a new owner."""
    at = collected(contract, row)
    said = {kind: [is_erased(kind, f"{row}.{quote_name(column)}", at) for column, of in names_of(contract) if of == kind]
            for _, kind in names_of(contract)}
    members, devices, others = said.pop(MEMBER, []), said.pop(DEVICE, []), [*chain.from_iterable(said.values())]
    nobody = " and ".join(f"{row}.{quote_name(s.column)} is null" for s in contract.subjects)
    found = [*members, *(f"(not {of_living(contract, row, accounts)} and {other})" for other in others),
             *(f"({nobody} and {device})" for device in devices)]
    return f"({' or '.join(found)})" if found else "false"


def of_living(contract: Contract, row: str, accounts: str) -> str:
    """SQL: whether row `row` names a member who has an account; whoever was erased has none."""
    named = " or ".join(f"{row}.{quote_name(s.column)} in ({accounts})" for s in contract.subjects)
    return f"coalesce({named or 'false'}, false)"
