"""What is due on a day, as a list of targets: each knows how to count its rows and how to remove them.

Targets are compiled from the policy and the contracts alone. The plan counts them, apply executes the very same ones, so a
plan cannot say one thing and apply do another. Accounts that end take with them (C-10.3): rows of datasets with erasure `delete`,
their side of datasets with erasure `sever` (C-2.6, C-10.2), their quarantine, their pseudonymised rows, and last their salt.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

from pipelines.eligibility import held, unread
from pipelines.engines.duckdb_engine import Connection, has_table, quote_name, quote_text
from pipelines.ingestion.reasons import WAITING as NO_GRANT
from pipelines.lake.tables import NOBODY, quarantine_table, raw_table
from pipelines.policy import due
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy, Purpose, Rulebook
from pipelines.policy.vocabulary import BUCKET, DAY
from pipelines.pseudonymisation import state
from pipelines.pseudonymisation.subjects import base

DUE_ACCOUNTS, DUE_PSEUDONYMS = "due_accounts", "due_pseudonyms"
WAITING = "waiting_accounts"
WITHDRAWN_HERE = "withdrawn_here"
STATE_OF_SUBJECTS = state.table("subjects")
ENDING_VISITORS = "ending_visitors"
ERASING_DEVICES = "erasing_devices"
ERASURE = "C-11.3"


@dataclass(frozen=True)
class Target:
    """Rows of one table that are due under one rule. `where` finds them (alias r); `action` is delete, or what `update` sets.
    `held` is true for a row that a hold keeps (C-10.5): such rows are counted apart and left alone. No row of a day after `last` is due, but for
    those of whom the table `but` names; so the files of later days need not be read where that table is empty."""

    zone: str
    dataset: str
    rule: str
    action: str
    table: str
    where: str
    update: str | None = None
    held: str = "false"
    last: date | None = None
    but: str | None = None

    def act_sql(self) -> str:
        where = f"({self.where}) and not ({self.held})"
        if self.update is None:
            return f"delete from {self.table} as r where {where}"
        return f"update {self.table} as r set {self.update} where {where}"


def up_to(day: date) -> str:
    """SQL: whether row `r` is of that day or an earlier one; a lake passes over the files of all others."""
    return f"r.{DAY} <= date '{day.isoformat()}'"


def slices(targets: Sequence[Target], named: Container[str | None]) -> list[tuple[str, list[Target]]]:
    """The rows of a table in parts that share none: (condition, the targets under which rows of that part can be due). `named`: the tables of
    accounts and pseudonyms that are not empty."""
    def due_on(day: date | None) -> list[Target]:
        return [t for t in targets if t.last is None or t.but in named or (day is not None and t.last >= day)]

    days = sorted({t.last for t in targets if t.last is not None})
    parts = [f"not coalesce({up_to(before)}, false)" for before in days]  # later than each of the days
    found = [(" and ".join([*parts[:number][-1:], up_to(day)]), due_on(day)) for number, day in enumerate(days)]
    return [part for part in (*found, (parts[-1] if parts else "true", due_on(None))) if part[1]]


def narrowed(targets: Iterable[Target], named: Container[str | None]) -> Iterator[Target]:
    """The same targets, each looking only where rows can be due under it."""
    for t in targets:
        yield t if t.last is None or t.but in named else replace(t, where=f"{up_to(t.last)} and ({t.where})")


def counts_sql(table: str, targets: Sequence[Target], part: str = "true") -> str:
    """SQL of one row: for each target of the table how many rows of the part are due and not held, how many are due and held, and the data files in
    which the former stand, in one pass; then how many rows go by any of them that deletes."""
    asked = {sql: f"a{number}" for number, sql in enumerate(dict.fromkeys(sql for t in targets for sql in (t.where, t.held)))}
    counts = ", ".join(f"count(*) filter ({asked[t.where]} and not {asked[t.held]}), count(*) filter ({asked[t.where]} and {asked[t.held]}), "
                       f"list(distinct _file) filter ({asked[t.where]} and not {asked[t.held]})" for t in targets)
    gone = " or ".join(f"({asked[t.where]} and not {asked[t.held]})" for t in targets if t.update is None) or "false"
    return (f"select {counts}, count(*) filter ({gone}) from (select parse_filename(r.filename) as _file, "
            f"{', '.join(f'({sql}) as {name}' for sql, name in asked.items())} from {table} as r where {part})")


def statements(targets: Iterable[Target]) -> Iterator[str]:
    """SQL that executes the targets in order; columns of one table that are emptied in a row go in one pass over it."""
    for (table, emptied), group in groupby(targets, key=lambda t: (t.table, t.action.startswith("empty "))):
        members = list(group)
        if not emptied:
            yield from (target.act_sql() for target in members)
            continue
        due = {quote_name(t.action.removeprefix("empty ")): f"({t.where}) and not ({t.held})" for t in members}
        sets = ", ".join(f"{column} = case when {where} then null else r.{column} end" for column, where in due.items())
        yield f"update {table} as r set {sets} where {' or '.join(f'({where})' for where in due.values())}"


def mark_due_accounts(connection: Connection, rulebook: Rulebook, as_of: date) -> None:
    """Make `due_accounts` (member_id): accounts whose time has come (C-10.3). Who asked for their data before that, or for their erasure, which takes
    more and is certified, is answered first: the account ends with the first run after (C-11.9). Needs the vault attached."""
    accounts = rulebook.accounts
    assert accounts.account is not None
    dues = [f"{due.may_end(rule, accounts.account, as_of, 'a.')} and {due.is_due(due.due_from_account(rule, accounts.account, 'a.'), as_of)}"
            for rule in due.account_rules(accounts, rulebook.policy)]
    connection.execute(f"""create or replace temp table ending as select a.{quote_name(accounts.key[0])} as member_id
        from {raw_table(accounts)} as a where {' or '.join(dues) or 'false'}""")
    opened = "\"right\" in ('portability', 'erasure') and state <> 'done'"
    asked = f"select member_id from vault.requests where {opened}"
    if has_table(connection, "vault", "batches"):  # a plan writes nothing: the vault may be an older one
        asked += f" union all select member_id from vault.batches where request_id in (select request_id from vault.requests where {opened})"
    connection.execute(f"create or replace temp table {WAITING} as select member_id from ending where member_id in ({asked})")
    connection.execute(f"create or replace temp table {DUE_ACCOUNTS} as select member_id from ending where member_id not in ({asked})")


def raw_targets(rulebook: Rulebook, as_of: date) -> Iterator[Target]:
    """Raw and quarantine, in the order in which they must be executed: accounts last, for the others are found through them."""
    policy = rulebook.policy
    rule_of_accounts = due.account_rules(rulebook.accounts, policy)[0].id
    for contract in sorted(rulebook.contracts.values(), key=lambda c: (c.account is not None, c.name)):
        targets = [*(_by_day(contract, policy, as_of) if contract.clock else ()), *_by_consent(contract),
                   *_by_account(contract, rulebook, rule_of_accounts, as_of)]
        yield from (replace(target, held=held_by(contract)) for target in targets)
        yield from _quarantine(contract, rulebook, as_of)


def subject_targets(rulebook: Rulebook) -> Iterator[Target]:
    """What an erasure removes from raw, and nothing that is due for another reason: rows of the accounts in `due_accounts`, their side of shared
    rows, rows of the devices in `erasing_devices` that name nobody, and what quarantine says of either (C-11.3). In the order of execution."""
    for contract in sorted(rulebook.contracts.values(), key=lambda c: (c.account is not None, c.name)):
        targets = [*_by_account(contract, rulebook, ERASURE, None), *_by_device(contract)]
        yield from (replace(target, held=held_by(contract)) for target in targets)
        yield Target("quarantine", contract.name, ERASURE, "delete", quarantine_table(contract),
                     f"exists (select 1 from {named_table(contract)} as n where n._batch = r._batch and n._line = r._line)")


def named_table(contract: Contract) -> str:
    """The table (_batch, _line) of quarantined rows that name who is erased."""
    return quote_name(f"named_{contract.name}")


def _by_device(contract: Contract) -> Iterator[Target]:
    register = contract.consent_register
    devices = dict.fromkeys(device for device in (contract.device, register.device if register else None) if device)
    for device in devices if contract.erasure == "delete" else ():
        yield Target("raw", contract.name, ERASURE, "delete of device", raw_table(contract),
                     f"r.{quote_name(device)} in (select value from {ERASING_DEVICES}) and {due.no_member(contract, 'r.')}")


def zone_subject_targets(rulebook: Rulebook, purpose: Purpose) -> Iterator[Target]:
    """What an erasure removes from the zone attached as `zone`: whatever stands under a pseudonym in `due_pseudonyms`."""
    where = f"pseudonymised/{purpose.name}"
    for contract in rulebook.entering(purpose.name):
        named = [f"r.{quote_name(t.output)}" for _, t in contract.named_in(purpose.name)]
        gone = " or ".join(f"{who} in (select pseudonym from due_pseudonyms)" for who in named)
        yield Target(where, contract.name, ERASURE, "delete", f"zone.main.{quote_name(contract.name)}", gone)
    yield Target(where, "subjects", ERASURE, "delete", STATE_OF_SUBJECTS, "r.pseudonym in (select pseudonym from due_pseudonyms)")


def zone_targets(rulebook: Rulebook, purpose: Purpose, as_of: date, rebuilt: bool) -> Iterator[Target]:
    """The pseudonymised zone attached as `zone`, with `due_pseudonyms`, `ending_here` and `withdrawn_here` beside it. One that is `rebuilt` after the
    run has what rests on a withdrawn consent left out by the gate, to the instant; of another one the whole day of the withdrawal goes."""
    rule_of_accounts = due.account_rules(rulebook.accounts, rulebook.policy)[0].id
    for contract in rulebook.entering(purpose.name):
        name, table = contract.name, f"zone.main.{quote_name(contract.name)}"
        where = f"pseudonymised/{purpose.name}"
        if contract.clock:
            for rule, day in due.event_dues(contract, rulebook.policy, f"r.{DAY}", _visitor(contract, purpose)):
                yield Target(where, name, rule, "delete", table, due.is_due(day, as_of), last=_last(rule, rulebook.policy, as_of))
            for column, transform in contract.entering(purpose.name):
                if column.retention and transform.use != "paris_day":
                    output = quote_name(transform.output)
                    day = due.chained(f"r.{DAY}", rulebook.policy.retention[column.retention].periods)
                    yield Target(where, name, column.retention, f"empty {transform.output}", table,
                                 f"r.{output} is not null and {due.is_due(day, as_of)}", f"{output} = null",
                                 last=_last(column.retention, rulebook.policy, as_of))
            if not rebuilt:
                yield from _withdrawn_in_zone(contract, rulebook, purpose)
        gone = " or ".join(f"r.{quote_name(t.output)} in (select pseudonym from due_pseudonyms)" for _, t in contract.named_in(purpose.name))
        yield Target(where, name, rule_of_accounts, "delete", table, gone, last=date.min if contract.clock else None, but=DUE_PSEUDONYMS)
    # what the last build says of its subjects is theirs, too
    yield Target(f"pseudonymised/{purpose.name}", "subjects", rule_of_accounts, "delete", STATE_OF_SUBJECTS,
                 "r.pseudonym in (select pseudonym from due_pseudonyms) or r.pseudonym in (select pseudonym from ending_here)")


def _withdrawn_in_zone(contract: Contract, rulebook: Rulebook, purpose: Purpose) -> Iterator[Target]:
    """What entered under a consent that was withdrawn since (C-10.4, C-11.8)."""
    source, ties, table = base(contract, purpose), rulebook.policy.ties_devices, f"zone.main.{quote_name(contract.name)}"
    members = [f"r.{quote_name(t.output)}" for _, t in contract.named_in(purpose.name)]
    devices = [quote_name(t.output) for _, t in contract.entering(purpose.name) if t.use == "device"]

    def said_no(to: str, people: list[str]) -> str:
        # a member's row of which the device is not known may be of the one that the withdrawal was made on
        there = "".join(f" and (w.device is null or coalesce(r.{device} = w.device, true))" for device in devices)
        return " or ".join(f"exists (select 1 from {WITHDRAWN_HERE} as w where w.kind = {quote_text(to)} and w.who = {who} "
                           f"and w.withdrawn_on >= r.{DAY}{there})" for who in people)

    for kind in source.kinds:
        which = f"r.{quote_name(contract.output(source.rows[0][0], purpose.name))} = {quote_text(kind)} and " if source.own else ""
        yield Target(f"pseudonymised/{purpose.name}", contract.name, rulebook.policy.consent_kinds[kind].clause, "delete withdrawn", table,
                     f"{which}({said_no(kind, [*members, *(f'r.{device}' for device in devices)])})")
    for device in devices if ties else ():
        yield Target(f"pseudonymised/{purpose.name}", contract.name, rulebook.policy.consent_kinds[str(ties)].clause, f"untie {device}", table,
                     f"r.{device} is not null and ({said_no(str(ties), members)})", f"{device} = null")


def _visitor(contract: Contract, purpose: Purpose) -> str:
    """SQL: whether row `r` of the zone names no member at all; where one of its sides does not enter, nobody can say."""
    named = contract.named_in(purpose.name)
    return " and ".join(f"r.{quote_name(t.output)} is null" for _, t in named) if len(named) == len(contract.subjects) else "false"


def held_by(contract: Contract) -> str:
    """SQL: whether a hold names row `r` by its key; needs `holds` (dataset, record_key)."""
    if len(contract.key) != 1:
        return "false"
    return f"r.{quote_name(contract.key[0])} in (select record_key from holds where dataset = {quote_text(contract.name)})"


def _by_day(contract: Contract, policy: Policy, as_of: date) -> Iterator[Target]:
    for rule, day in due.event_dues(contract, policy, f"r.{DAY}", due.no_member(contract, "r.")):
        yield Target("raw", contract.name, rule, "delete", raw_table(contract), due.is_due(day, as_of), last=_last(rule, policy, as_of))
    for column in contract.columns:
        if column.retention:
            day = due.chained(f"r.{DAY}", policy.retention[column.retention].periods)
            yield Target("raw", contract.name, column.retention, f"empty {column.name}", raw_table(contract),
                         f"r.{quote_name(column.name)} is not null and {due.is_due(day, as_of)}", f"{quote_name(column.name)} = null",
                         last=_last(column.retention, policy, as_of))


def _last(rule: str, policy: Policy, as_of: date) -> date:
    return due.last_day_due(policy.retention[rule].periods, as_of)


def _by_consent(contract: Contract) -> Iterator[Target]:
    """What is held by a consent alone goes with it, in whatever order the words about it came (Gate, C-2.7, C-10.9)."""
    if contract.holding.consents:
        yield Target("raw", contract.name, contract.holding.clause, "delete withdrawn", raw_table(contract),
                     f"{held.withdrawn(contract)} or exists (select 1 from {refused_table(contract)} as n "
                     "where n._batch = r._batch and n._line = r._line)")


def refused_table(contract: Contract) -> str:
    """The table of the rows of which it became known after they came that they had no grant."""
    return quote_name(f"refused_{contract.name}")


def _by_account(contract: Contract, rulebook: Rulebook, rule: str, as_of: date | None) -> Iterator[Target]:
    table = raw_table(contract)
    gone = {s.column: _ended(contract, rulebook, rule, f"r.{quote_name(s.column)}", "r", as_of) for s in contract.subjects}
    # of a day that is not over after a deletion only the rows of accounts that end now go
    last = due.last_day_due(rulebook.policy.retention[rule].after_deletion, as_of) if as_of and contract.clock and not contract.account else None
    if contract.erasure == "delete":
        yield Target("raw", contract.name, rule, "delete", table, " or ".join(gone.values()), last=last, but=DUE_ACCOUNTS)
        return
    ending = [gone[s.column] for s in contract.subjects if s.ends_row]
    if ending:
        yield Target("raw", contract.name, rule, "delete", table, " or ".join(ending), last=last, but=DUE_ACCOUNTS)
    for subject in contract.subjects:
        if not subject.ends_row:
            mark = f", {quote_name(subject.mark)} = true" if subject.mark else ""
            if contract.by_day:  # the bucket is of whom the row named: kept, it would still tell rows of one person from another's (C-2.6)
                mark += f", {BUCKET} = {NOBODY}"
            yield Target("raw", contract.name, rule, f"sever {subject.column}", table, gone[subject.column],
                         f"{quote_name(subject.column)} = null{mark}", last=last, but=DUE_ACCOUNTS)
    if ending:
        return
    # what nobody alive has a part in any more goes: a row whose parties all left, or a group (thread) whose authors all left
    group = [contract.sever_group] if contract.sever_group else list(contract.key)
    same = " and ".join(f"o.{quote_name(c)} = r.{quote_name(c)}" for c in group)
    others = [f"o.{quote_name(s.column)}" for s in contract.subjects]
    alive = " or ".join(f"({other} is not null and not ({_ended(contract, rulebook, rule, other, 'o', as_of)}))" for other in others)
    yield Target("raw", contract.name, rule, "delete abandoned", table, f"not exists (select 1 from {table} as o where {same} and ({alive}))")


def _ended(contract: Contract, rulebook: Rulebook, rule: str, member: str, row: str, as_of: date | None) -> str:
    """SQL: whether the account of `member` ends. A member of whom there is no account has none to outlive: what names them ends as after a
    deletion on the day of the event, or it would stay for ever. Without a day the accounts in question are all that end."""
    due_now = f"{member} in (select member_id from {DUE_ACCOUNTS})"
    if contract.account or not contract.clock or as_of is None:
        return due_now
    accounts = rulebook.accounts
    after = due.chained(f"{row}.{DAY}", rulebook.policy.retention[rule].after_deletion)
    unknown = f"{member} not in (select {quote_name(accounts.key[0])} from {raw_table(accounts)})"
    return f"({due_now} or ({member} is not null and {unknown} and {due.is_due(after, as_of)}))"


def _quarantine(contract: Contract, rulebook: Rulebook, as_of: date) -> Iterator[Target]:
    """Quarantined rows end 30 days after they came, or with the first rule of their dataset or of one of its columns, or with the
    account they name anywhere in their text: of a broken line nobody knows the columns. What still refuses something keeps the words that
    say so (eligibility/unread.py): else a withdrawal that came with a mistake in it would be undone by its deletion."""
    policy, table = rulebook.policy, quarantine_table(contract)
    dues = [policy.quarantine.sql("r.received_on"), *(day for _, day in due.event_dues(contract, policy, f"r.{DAY}", "true")),
            *(due.chained(f"r.{DAY}", policy.retention[c.retention].periods) for c in contract.columns if c.retention)]
    named = (f"list_has_any(regexp_extract_all(r.record, '[A-Za-z0-9_-]+'), "
             f"coalesce((select list(member_id) from {DUE_ACCOUNTS}), []::varchar[]))")
    if contract.holding.consents:
        dues.append(f"case when r.reason = '{NO_GRANT}' then {policy.late_consents.sql('r.received_on')} end")
    over = due.is_due(f"least({', '.join(dues)})", as_of)
    words = unread.words(contract)
    if not words:
        yield Target("quarantine", contract.name, "C-10.4", "delete", table, f"{over} or {named}")
        return
    kept, reduced = _refusing(contract, rulebook, as_of), f"to_json({{{', '.join(f'{quote_text(w)}: {unread.text(w)}' for w in words)}}})::varchar"
    yield Target("quarantine", contract.name, "C-10.4", "delete", table, f"{over} and not ({kept}) or {named}")
    yield Target("quarantine", contract.name, "C-10.4", "reduce", table, f"{over} and {kept} and not {named} and r.record <> {reduced}",
                 f"record = {reduced}")


def _refusing(contract: Contract, rulebook: Rulebook, as_of: date) -> str:
    """SQL: whether row `r` of the quarantine refuses something of an account, or of a device as long as a decision on it lives."""
    register, accounts = contract.consent_register, rulebook.accounts
    member = unread.text(register.member if register else contract.key[0])
    living = f"coalesce({member} in (select {quote_name(accounts.key[0])} from {raw_table(accounts)}), false)"
    if register:
        ends = [day for _, day in due.event_dues(contract, rulebook.policy, f"coalesce(r.{DAY}, r.received_on)", "true")]
        living += f" or {unread.text(register.device)} is not null and not ({' or '.join(due.is_due(day, as_of) for day in ends)})"
    return f"({living}) and {unread.pending(contract)}"
