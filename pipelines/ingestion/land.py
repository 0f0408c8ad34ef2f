"""Land a checked batch: one transaction that loads, quarantines and registers it, or does nothing at all.

Rows of a dataset with a key arrive once: an equal or older state is already known, a newer one takes its place, and no earlier
state is kept (C-11.8). Of what has no key, ingestion/batches.py says which lines are new.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, datetime

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Reading, register
from pipelines.ingestion.check import CHECKED
from pipelines.ingestion.plain import Plain, by_values
from pipelines.ingestion.reasons import WAITING
from pipelines.lake.tables import QUARANTINE, bucket, quarantine_table, raw_columns, raw_table
from pipelines.policy import due
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy
from pipelines.policy.vocabulary import BUCKET, DAY

_WITH_VERDICTS = (f"{CHECKED} as c join verdicts as v using (_line)", "v._verdict")


def land(connection: Connection, contract: Contract, policy: Policy, given: Reading, as_of: datetime, plain: Plain | None = None) -> Balance:
    """Write the rows of `checked`, and those that are plainly good, into the raw zone and register the batch, within the transaction that the
    caller began."""
    rows, verdict = choose(connection, contract, given)
    counts: dict[str, int] = dict(connection.execute(f"select {verdict}, count(*) from {rows} group by 1").fetchall())
    reasons: dict[str, int] = dict(connection.execute(
        f"select c._reason, count(*) from {rows} where {verdict} in ('quarantined', 'refused') group by 1").fetchall())
    good = rows
    if plain:
        counts["good"] = counts.get("good", 0) + plain.good
        good = f"(select * exclude (_failed) from {CHECKED} union all {plain.rows}) as c"
        plain.open(connection)
    balance = Balance(contract.name, read=sum(counts.values()) + given.known, loaded=counts.get("good", 0), quarantined=counts.get("quarantined", 0),
                      refused=counts.get("refused", 0), already_known=counts.get("already_known", 0) + given.known,
                      reasons=reasons)
    with told_if_full(contract):
        if contract.key:
            connection.execute(f"delete from {quarantine_table(contract)} where _batch = ?", [given.batch])  # of one that is replayed
        with by_values(connection) if plain else nullcontext():
            landed = write_good(connection, contract, policy, paris_day(as_of), good, f"{verdict} = 'good'", quote_text(given.batch), "c._line",
                                balance.loaded)
        if landed != balance.loaded:
            raise KampekyError(f"{contract.name}: {landed:,} rows were landed where {balance.loaded:,} are good: the file is damaged, or changed "
                               "while it was read. Nothing of it was loaded; run it again.")
        connection.execute(f"insert into {quarantine_table(contract)} ({', '.join(QUARANTINE)}) "
                           f"select ?, c._line, c._reason, ?, {DAY}, _record from {rows} where {verdict} = 'quarantined' order by c._line",
                           [given.batch, paris_day(as_of)])
        register(connection, given, balance, as_of)
    return balance


@contextmanager
def told_if_full(contract: Contract) -> Iterator[None]:
    try:
        yield
    except engine.Error as error:
        if isinstance(error, engine.PROGRAMMING):
            raise
        raise KampekyError(f"{contract.name}: the batch could not be written; nothing of it was loaded. Is the disk full? Make room, then run it "
                           "again.") from None


def write_good(connection: Connection, contract: Contract, policy: Policy, today: date, rows: str, where: str, batch: str, line: str,
               expected: int = 0) -> int:
    """Put the chosen rows (alias c) into the raw table, as rows `line` of `batch` (both SQL), in place of older states of the same keys; how many.
    `expected`: about so many, by which they are laid out."""
    columns = raw_columns(contract)
    values = {"_batch": batch, "_line": line} | {name: f"c.{quote_name(name)}" for name in columns if not name.startswith("_")}
    if contract.by_day:
        values[BUCKET] = bucket(contract, "c", expected)
    for column in contract.columns:
        if column.retention:  # a column whose own rule is over on arrival (C-10.1) comes in empty; its row may stay
            over = due.is_due(due.chained(f"c.{DAY}", policy.retention[column.retention].periods), today)
            values[column.name] = f"case when not {over} then c.{quote_name(column.name)} end"
    for column in _severable(contract):
        values[column] = f"case when not v._severed_{column} then c.{quote_name(column)} end"
    if contract.key:
        keys = " and ".join(f"r.{quote_name(k)} = v.{quote_name(k)}" for k in contract.key)
        connection.execute(f"delete from {raw_table(contract)} as r "
                           f"where exists (select 1 from verdicts as v where (v._verdict = 'good' or v._ends) and {keys})")
    made = connection.execute(f"insert into {raw_table(contract)} ({', '.join(map(quote_name, columns))}) "
                       f"select {', '.join(values[c] for c in columns)} from {rows} where {where} "
                       f"{f'order by c.{DAY}, c._line' if contract.key and contract.clock else ''}").fetchall()
    return int(made[0][0])


def choose(connection: Connection, contract: Contract, given: Reading) -> tuple[str, str]:
    """SQL of the rows (alias c) and of their final verdict: rows that are already known are marked as such. A state that is refused because it
    is due (an account that ended long ago) still ends the older ones (`_ends`): they must not live on without it."""
    if not contract.key:
        _forget_unfinished(connection, contract, given)
        if not given.replay:  # all that was read is new, and comes in the order of the file
            return f"{CHECKED} as c", "c._verdict"
        stored = " union all ".join(f"select _line from {table} where _batch in (select unnest(?::varchar[]))"
                                    for table in (raw_table(contract), quarantine_table(contract)))
        parts = [part.id for part in given.parts]
        connection.execute(f"""create or replace temp table verdicts as
            select c._line, case when k._line is not null then 'already_known' else c._verdict end as _verdict, c._reason
            from {CHECKED} as c left join ({stored}) as k using (_line)""", [parts, parts])
        return _WITH_VERDICTS
    keys = ", ".join(map(quote_name, contract.key))
    newest = f"{quote_name(contract.latest_by)} desc nulls last, " if contract.latest_by else ""
    newer = (f"r.{quote_name(contract.latest_by)} is null or c.{quote_name(contract.latest_by)} > r.{quote_name(contract.latest_by)}"
             if contract.latest_by else "false")
    severed = "".join(f", r._batch is not null and r.{quote_name(column)} is null as _severed_{column}" for column in _severable(contract))
    # the verdict stands inside the keys: as a condition beside them it made DuckDB compare every row with every other (50,000 rows: 16 s)
    known = " and ".join(f"case when c._verdict in ('good', 'refused') then c.{quote_name(k)} end = r.{quote_name(k)}" for k in contract.key)
    # what stands in quarantine already, where the source is known to repeat its rows; and what waits there, or it would wait anew with each copy
    aside = f"select distinct record, reason from {quarantine_table(contract)} where (? or (? and reason = '{WAITING}')) and _batch <> ?"
    connection.execute(f"""create or replace temp table verdicts as
        with c as (
            select *, row_number() over (partition by _state, {keys} order by {newest}_line) as _turn
            from (select *, _verdict = 'good' or coalesce(_reason like 'due_on_arrival.%', false) as _state from {CHECKED})
        )
        select c._line, case when q.record is not null then 'already_known' when c._verdict <> 'good' then c._verdict
                             when c._turn > 1 or (r._batch is not null and not ({newer})) then 'already_known'
                             else 'good' end as _verdict,
               c._reason, c._verdict = 'refused' and c._state and r._batch is not null and ({newer}) as _ends,
               {', '.join(f'c.{quote_name(k)}' for k in contract.key)} {severed}
        from c left join {raw_table(contract)} as r on {known}
        left join ({aside}) as q on q.record = c._record and q.reason = c._reason""", [given.repeats, bool(given.batch), given.batch])
    return _WITH_VERDICTS


def _severable(contract: Contract) -> list[str]:
    """Subject columns that a later state must not fill again once retention has emptied them (C-2.6, C-10.3)."""
    return [s.column for s in contract.subjects] if contract.erasure == "sever" and contract.key and contract.latest_by else []


def _forget_unfinished(connection: Connection, contract: Contract, given: Reading) -> None:
    """The half of a line that an earlier reading of the growing file took for a whole one makes way."""
    if given.unfinished:
        for table in (raw_table(contract), quarantine_table(contract)):
            connection.execute(f"delete from {table} where _batch = ? and _line = ?", [given.unfinished.id, given.unfinished.lines])
