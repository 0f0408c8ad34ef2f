"""From a pseudonym to a person (C-3.3b, C-3.4): an address for a channel, or a member's id; where the policy lets it resolve, nowhere else.

Of a channel the gate is asked again at that very moment; address, channel and template leave, encrypted for the recipient, and nothing else. Who
asked, why and of how many is in the ledger before anything is written; each member's own record of it stands in raw.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from pipelines.eligibility.channels import GRANTS, judge_channels
from pipelines.eligibility.consents import in_words
from pipelines.eligibility.members import ELIGIBLE, judge_members
from pipelines.eligibility.unread import unread_rows
from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, parse_as_of
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.files import sha256_of, write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.pseudonyms import pseudonym, set_domain
from pipelines.identity.vault import attach_vault
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Reading, batch_id, register
from pipelines.ingestion.run import one_transaction, raw_zone, write_down
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import explain, opened, raw_lake
from pipelines.lake.tables import batches_table, raw_columns, raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Channel, Purpose, Recipient, Resolving, Rulebook
from pipelines.policy.vocabulary import DAY

GIVEN = "given"
BEGUN, DONE, RESOLVED = "disclosure begun", "disclosure", "pseudonyms resolved"


@dataclass(frozen=True)
class Asked:
    """Who wants it and why; both stand in the ledger."""

    by: str
    reason: str


@dataclass(frozen=True)
class Message:
    """What is to be sent: on which channel, which template, to the members of which segment (all of them: none)."""

    channel: Channel
    template: str
    segment: str | None


def disclose(home: Home, rulebook: Rulebook, resolving: Resolving, message: Message, key: str, asked: Asked, as_of: datetime) -> dict[str, Any]:
    """Write the addresses of those who may be written to into the outbox, encrypted for the age key `key`."""
    policy, purpose = rulebook.policy, rulebook.policy.built_purpose(resolving.purpose)
    recipient, contract, why = policy.recipients[message.channel.recipient], _register(rulebook), f"disclose {purpose.name}"
    for_whom, made = _age_recipient(key), f"D-{secrets.token_hex(6)}"
    if recipient.lapsed(paris_day(as_of)):
        raise Refused(f"The safeguard of {recipient.name} ({recipient.document}, until {recipient.until}) has lapsed: nothing may be given to a "
                      "recipient without one. Renew the document in the policy.", "C-5, C-7")
    with locked(home, "vault", why), raw_zone(home, rulebook, as_of, vault=False) as connection:
        attach_vault(connection, home, write=True)
        _refuse_names(connection, rulebook, (asked.by, asked.reason, message.template, message.segment or ""))
        counts = _choose(connection, home, rulebook, resolving, message, _moment(connection, rulebook, as_of))
        given = counts.pop(GIVEN, 0)
        facts = {"disclosure": made, "purpose": purpose.name, "channel": message.channel.name, "template": message.template,
                 "segment": message.segment, "recipient": recipient.name, "key": str(for_whom), "by": asked.by,
                 "reason": asked.reason, "given": given, "left_out": counts}
        ledger.append(home, BEGUN, as_of, facts)
        if not given:
            return facts | {"package": None, "expires": None}
        batch = batch_id(Keyring(home).derive("raw", "batch ids"), contract.name, made)
        balance = Balance(contract.name, read=given, loaded=given)
        with one_transaction(connection):
            _record(connection, rulebook, contract, recipient, message.channel, made, batch, as_of)
            register(connection, Reading(batch), balance, as_of)
        write_down(home, as_of, [(batch, balance)])
        name, expires = f"{made}.csv.age", as_of + timedelta(hours=policy.outbox_hours)
        connection.execute("insert into vault.handovers values (?, ?, ?, ?)", [made, purpose.name, name, expires])
        write_atomically(home.outbox / name, _encrypted(connection, message, for_whom))
    ledger.append(home, DONE, as_of, {"disclosure": made, "package_sha256": sha256_of(home.outbox / name), "expires": expires.isoformat()})
    return facts | {"package": str(home.outbox / name), "expires": expires.isoformat()}


def resolve(home: Home, rulebook: Rulebook, resolving: Resolving, pseudonyms: Sequence[str], asked: Asked, as_of: datetime) -> list[dict[str, Any]]:
    """The member's id behind each pseudonym, for the eyes of who asked alone: nothing of it is written. Of whom the gate refuses now, and of what is
    no pseudonym of this purpose, there is none."""
    purpose, why = rulebook.policy.built_purpose(resolving.purpose), f"disclose {resolving.purpose}"
    with locked(home, "vault", why), opened(raw_lake(home), why) as connection:
        attach_vault(connection, home, write=False)
        _refuse_names(connection, rulebook, (asked.by, asked.reason))
        judge_members(connection, rulebook, purpose, _moment(connection, rulebook, as_of))
        set_domain(connection, home, purpose.name)
        rows = connection.execute(f"""
            with asked as (select unnest($given::uuid[]) as pseudonym, generate_subscripts($given, 1) as n)
            select asked.pseudonym::varchar, m.member_id from asked left join (
                select g.member_id, {pseudonym('s.salt', 's.member_id')} as pseudonym
                from gate_members as g join vault.subjects as s on s.member_id = g.member_id where g.verdict = '{ELIGIBLE}'
            ) as m on m.pseudonym = asked.pseudonym order by asked.n""", {"given": list(pseudonyms)}).fetchall()
    ledger.append(home, RESOLVED, as_of, {"purpose": purpose.name, "by": asked.by, "reason": asked.reason, "asked": len(rows),
                                          "resolved": sum(member is not None for _, member in rows)})
    return [{"pseudonym": given, "member_id": member} for given, member in rows]


def _age_recipient(key: str) -> Any:
    """An age public key. The text of a wrong one is not repeated: it may be a secret one."""
    age = _age()
    if key.upper().startswith("AGE-SECRET-KEY"):
        raise Misuse("That is a secret key; give the public one, which begins with age1. Whoever may have seen the secret one can read what was "
                     "encrypted for it: make a new pair.")
    try:
        return age.x25519.Recipient.from_str(key)
    except age.RecipientError:
        raise Misuse("The recipient's key is no age public key: one begins with age1, as age-keygen prints it. Give the key or a file that holds "
                     "it: --recipient-key age1…") from None


def _age() -> Any:
    """The library, which is compiled and tells no types."""
    return import_module("pyrage")


def _moment(connection: Connection, rulebook: Rulebook, as_of: datetime) -> datetime:
    """The instant for which the gate is asked: never one before the newest decision or deletion that is known, whatever day the command is for."""
    register, accounts = rulebook.consents.consent_register, rulebook.accounts
    assert register is not None and accounts.account is not None
    known = connection.execute(f"""select max(known_at) from (
        select max({quote_name(register.at)}) as known_at from {raw_table(rulebook.consents)}
        union all select max({quote_name(accounts.account.deleted)}) from {raw_table(accounts)})""").fetchone()
    return max(as_of, known[0]) if known and known[0] else as_of


def _refuse_names(connection: Connection, rulebook: Rulebook, texts: Sequence[str]) -> None:
    """What stands in the ledger for ever names no member."""
    accounts, words = rulebook.accounts, {word for text in texts for word in text.replace(",", " ").replace(";", " ").split()}
    key = quote_name(accounts.key[0])
    if any("@" in word for word in words) or connection.execute(
            f"select 1 from {raw_table(accounts)} where {key} in (select unnest($1::varchar[]))", [[w.strip(".:()\"'") for w in words]]).fetchone():
        raise Misuse("Name, reason and template stand in the ledger for ever, so they name no member and hold no address. Name the case instead.")


def _choose(connection: Connection, home: Home, rulebook: Rulebook, resolving: Resolving, message: Message, moment: datetime) -> dict[str, int]:
    """Make `audience` (member_id, address, verdict) of whom the published mart names for the message; how many of each verdict."""
    purpose, channel = rulebook.policy.purposes[resolving.purpose], message.channel
    judge_members(connection, rulebook, purpose, moment)
    judge_channels(connection, home, rulebook, resolving, moment)
    built = _attach_mart(connection, home, purpose, resolving, message)
    _usage_refused(connection, rulebook, resolving, purpose, built)
    set_domain(connection, home, purpose.name)
    chosen = "true" if message.segment is None else "m.segment = $segment"
    # a segment may rest on usage: who withdrew since the build from what the profile was made of is not chosen by it (C-3.4)
    usage = "false" if message.segment is None else "u.member_id is not null"
    connection.execute(f"""create or replace temp table audience as
        with asked as (select distinct m.pseudonym from mart.main.{quote_name(str(resolving.mart))} as m where m.channel = $channel and {chosen}),
        people as (select s.member_id, {pseudonym('s.salt', 's.member_id')} as pseudonym from vault.subjects as s)
        select p.member_id, c.address, case
            when p.member_id is null then 'unknown_pseudonym' when g.verdict is null then 'no_account' when g.verdict <> '{ELIGIBLE}' then g.verdict
            when c.member_id is null then 'no_consent' when {usage} then 'usage_withdrawn'
            when coalesce(c.address, '') = '' then 'no_address' when not c.known then 'changed_address' else '{GIVEN}' end as verdict
        from asked as a left join people as p on p.pseudonym = a.pseudonym left join gate_members as g on g.member_id = p.member_id
        left join {GRANTS} as c on c.member_id = p.member_id and c.channel = $channel
        left join usage_refused as u on u.member_id = p.member_id""",
                       {"channel": channel.name} | ({} if message.segment is None else {"segment": message.segment}))
    connection.execute("detach mart")
    return dict(connection.execute("select verdict, count(*) from audience group by 1 order by 1").fetchall())


def _attach_mart(connection: Connection, home: Home, purpose: Purpose, resolving: Resolving, message: Message) -> datetime:
    """The published mart as `mart`, with the table of whom to reach; the instant of its build."""
    file, name = home.mart(purpose.name), str(resolving.mart)
    if not file.exists():
        raise KampekyError(f"The mart of {purpose.name} is not published. Build it with: kampeky build --purpose {purpose.name}")
    try:
        key = Keyring(home).get(mart_key(purpose.name))
        connection.execute(f"attach {quote_text(str(file))} as mart (read_only, encryption_key {quote_text(key)})")
    except engine.Error as error:
        raise explain(error, file, mart_key(purpose.name)) from None
    columns = {row[0] for row in connection.execute("select column_name from duckdb_columns() where database_name = 'mart' and table_name = ?",
                                                    [name]).fetchall()}
    if not {"pseudonym", "channel"} <= columns:
        raise KampekyError(f"The published mart of {purpose.name} has no table {name} with pseudonym and channel. Build it with: kampeky build "
                           f"--purpose {purpose.name}")
    if message.segment is not None:
        known = [] if "segment" not in columns else [row[0] for row in connection.execute(
            f"select distinct segment from mart.main.{quote_name(name)} order by 1").fetchall()]
        if message.segment not in known:
            raise Misuse(f"{name} has no segment of that name. Segments: {', '.join(known) or 'none'}.")
    row = connection.execute("select as_of from mart.main._build").fetchone()
    return parse_as_of(str(row[0])) if row else parse_as_of("1970-01-01")


def _usage_refused(connection: Connection, rulebook: Rulebook, resolving: Resolving, purpose: Purpose, built: datetime) -> None:
    """Make `usage_refused` (member_id): who said no, since the mart was built or in words that came since, to what else the purpose rests on: in the
    account, or on a device on which they are known; and whose word stands unread in quarantine."""
    register = rulebook.consents.consent_register
    assert register is not None
    c = {field: f"c.{quote_name(getattr(register, field))}" for field in register.__dataclass_fields__}
    own = {channel.kind for channel in resolving.channels.values()}
    kinds = in_words(sorted({source.kind for source in purpose.sources.values() if source.kind} - own))
    pairs = [f"select {quote_name(s.column)} as member_id, {quote_name(contract.device)} as device_id from {raw_table(contract)}"
             for contract in rulebook.entering(purpose.name) if contract.device for s in contract.subjects]
    connection.execute(f"""create or replace temp table usage_refused as
        with said_no as (
            select {c['member']} as member_id, {c['device']} as device_id
            from {raw_table(rulebook.consents)} as c left join {batches_table()} as b on b.batch = c._batch
            where {c['kind']} in {kinds} and {c['decision']} <> 'granted' and (b.as_of is null or greatest({c['at']}, b.as_of) > $built)
            union all select {c['member']}, {c['device']} from {unread_rows(rulebook.consents)} as c
        )
        select member_id from said_no where member_id is not null
        union select p.member_id from ({' union all '.join(pairs) or "select null::varchar as member_id, null::varchar as device_id"}) as p
        join said_no as n on n.device_id = p.device_id where p.member_id is not null""", {"built": built})


def _register(rulebook: Rulebook) -> Contract:
    """The dataset in which each disclosure stands, with all that it asks for."""
    found = next((c for c in rulebook.contracts.values() if c.recipient), None)
    if found is None:
        raise Refused("No contract names a 'recipient' column, so a disclosure could not be recorded, and none is made.", "C-5")
    return found


def _record(connection: Connection, rulebook: Rulebook, contract: Contract, recipient: Recipient, channel: Channel, made: str, batch: str,
            as_of: datetime) -> None:
    """A row per member: to whom, what, on which ground, when."""
    category = rulebook.accounts.column(channel.address).category
    values = {contract.key[0]: f"{quote_text(made)} || '-' || row_number() over (order by member_id)", contract.subjects[0].column: "member_id",
              str(contract.recipient): quote_text(recipient.name), str(contract.clock): "$as_of", "categories": quote_text(category),
              "ground": quote_text(recipient.ground), "reference": quote_text(made), "_batch": quote_text(batch),
              "_line": "row_number() over (order by member_id)", DAY: f"date {quote_text(paris_day(as_of).isoformat())}"}
    columns = [name for name in raw_columns(contract) if name in values]
    lacking = [column.name for column in contract.columns if column.required and column.name not in values]
    if lacking:
        raise Refused(f"{contract.path}: {', '.join(lacking)} is required, and no disclosure can say it; so none is made.", "C-5")
    connection.execute(f"insert into {raw_table(contract)} ({', '.join(map(quote_name, columns))}) "
                       f"select {', '.join(values[name] for name in columns)} from audience where verdict = '{GIVEN}'", {"as_of": as_of})


def _encrypted(connection: Connection, message: Message, for_whom: Any) -> bytes:
    """Address, channel and template, as CSV, encrypted: never on disk in clear."""
    import pyarrow as pa
    import pyarrow.csv

    table = connection.execute(f"select address, $channel as channel, $template as template from audience where verdict = '{GIVEN}' order by address",
                               {"channel": message.channel.name, "template": message.template}).to_arrow_table()
    plain = io.BytesIO()
    pa.csv.write_csv(table, plain)
    return _age().encrypt(plain.getvalue(), [for_whom])
