"""Land a checked batch: one transaction that loads, quarantines and registers it, or does nothing at all.

A batch is known by a keyed digest of its content, so the same file counts once under any name and however often it is
tried. Rows of a dataset with a key arrive once: an equal or older state is already known, a newer one takes its place,
and no earlier state is kept (C-11.8).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.check import CHECKED
from pipelines.lake.tables import BATCHES, QUARANTINE, batches_table, quarantine_table, raw_columns, raw_table
from pipelines.policy import due
from pipelines.policy.types import DAY, Contract, Policy


def batch_id(secret: bytes, dataset: str, fingerprint: str) -> str:
    """The opaque id of a batch: a keyed digest, so that it says nothing about a file to who has no key."""
    return hmac.new(secret, f"{dataset}\0{fingerprint}".encode(), hashlib.sha256).hexdigest()[:24]


def known_batch(connection: Connection, dataset: str, batch: str, as_of: datetime) -> Balance | None:
    """The balance of a batch that was landed before: all of its rows are already known.

    Not so a batch of which no row was loaded, replayed for an earlier day: what was due then need not be due on its own day.
    """
    row = connection.execute(f"select read, loaded + already_known, refused, as_of > ? from {batches_table()} where batch = ?",
                             [as_of, batch]).fetchone()
    if row is None or (row[1] == 0 and row[2] > 0 and row[3]):
        return None
    return Balance(dataset, read=row[0], already_known=row[0])


def registered(connection: Connection) -> list[tuple[str, Balance]]:
    """Every batch that was landed, with its balance, the oldest first."""
    return [(batch, Balance(dataset, read, loaded, quarantined, refused, known, json.loads(reasons)))
            for batch, dataset, read, loaded, quarantined, refused, known, reasons in connection.execute(
                f"select batch, dataset, read, loaded, quarantined, refused, already_known, reasons from {batches_table()} "
                "order by as_of, batch").fetchall()]


def land(connection: Connection, contract: Contract, policy: Policy, batch: str, as_of: datetime) -> Balance:
    """Write the rows of `checked` into the raw zone and register the batch, within the transaction that the caller began."""
    _choose(connection, contract)
    columns = raw_columns(contract)
    counts: dict[str, int] = dict(connection.execute("select _verdict, count(*) from verdicts group by 1").fetchall())
    reasons: dict[str, int] = dict(connection.execute(
        "select _reason, count(*) from verdicts where _verdict in ('quarantined', 'refused') group by 1").fetchall())
    balance = Balance(contract.name, read=sum(counts.values()), loaded=counts.get("good", 0), quarantined=counts.get("quarantined", 0),
                      refused=counts.get("refused", 0), already_known=counts.get("already_known", 0), reasons=reasons)
    values = {"_batch": "?", "_line": "c._line"} | {name: f"c.{quote_name(name)}" for name in columns if not name.startswith("_")}
    for column in contract.columns:
        if column.retention:  # a column whose own rule is over on arrival (C-10.1) comes in empty; its row may stay
            over = due.is_due(due.chained(f"c.{DAY}", policy.retention[column.retention].periods), paris_day(as_of))
            values[column.name] = f"case when not {over} then c.{quote_name(column.name)} end"
    for column in _severable(contract):
        values[column] = f"case when not v._severed_{column} then c.{quote_name(column)} end"
    try:
        for table in (quarantine_table(contract), batches_table()):  # of a batch that is replayed for an earlier day
            connection.execute(f"delete from {table} where {'batch' if table == batches_table() else '_batch'} = ?", [batch])
        if contract.key:
            keys = " and ".join(f"r.{quote_name(k)} = v.{quote_name(k)}" for k in contract.key)
            connection.execute(f"delete from {raw_table(contract)} as r "
                               f"where exists (select 1 from verdicts as v where (v._verdict = 'good' or v._ends) and {keys})")
        connection.execute(f"insert into {raw_table(contract)} ({', '.join(map(quote_name, columns))}) "
                           f"select {', '.join(values[c] for c in columns)} from {CHECKED} as c join verdicts as v using (_line, _verdict) "
                           f"where v._verdict = 'good' "
                           f"order by {f'c.{DAY}, ' if contract.clock else ''}c._line", [batch])
        connection.execute(f"insert into {quarantine_table(contract)} ({', '.join(QUARANTINE)}) "
                           f"select ?, _line, _reason, ?, {DAY}, _record from {CHECKED} where _verdict = 'quarantined' order by _line",
                           [batch, paris_day(as_of)])
        connection.execute(f"insert into {batches_table()} ({', '.join(BATCHES)}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           [batch, contract.name, as_of, balance.read, balance.loaded, balance.quarantined, balance.refused,
                            balance.already_known, json.dumps(balance.as_dict()["reasons"])])
    except engine.Error:
        raise KampekyError(f"{contract.name}: the batch could not be written; nothing of it was loaded. Is the disk full? Make room, then run it "
                           "again.") from None
    return balance


def _choose(connection: Connection, contract: Contract) -> None:
    """Make `verdicts`: the final verdict of each line, rows that are already known marked as such. A state that is refused because it
    is due (an account that ended long ago) still ends the older ones (`_ends`): they must not live on without it."""
    if not contract.key:
        connection.execute(f"create or replace temp table verdicts as select _line, _verdict, _reason from {CHECKED}")
        return
    keys = ", ".join(map(quote_name, contract.key))
    newest = f"{quote_name(contract.latest_by)} desc nulls last, " if contract.latest_by else ""
    newer = (f"r.{quote_name(contract.latest_by)} is null or c.{quote_name(contract.latest_by)} > r.{quote_name(contract.latest_by)}"
             if contract.latest_by else "false")
    severed = "".join(f", r._batch is not null and r.{quote_name(column)} is null as _severed_{column}" for column in _severable(contract))
    known = " and ".join(f"c.{quote_name(k)} = r.{quote_name(k)}" for k in contract.key)
    connection.execute(f"""create or replace temp table verdicts as
        with c as (
            select *, row_number() over (partition by _state, {keys} order by {newest}_line) as _turn
            from (select *, _verdict = 'good' or coalesce(_reason like 'due_on_arrival.%', false) as _state from {CHECKED})
        )
        select c._line, case when c._verdict <> 'good' then c._verdict
                             when c._turn > 1 or (r._batch is not null and not ({newer})) then 'already_known'
                             else 'good' end as _verdict,
               c._reason, c._verdict = 'refused' and c._state and r._batch is not null and ({newer}) as _ends,
               {', '.join(f'c.{quote_name(k)}' for k in contract.key)} {severed}
        from c left join {raw_table(contract)} as r on c._verdict in ('good', 'refused') and {known}""")


def _severable(contract: Contract) -> list[str]:
    """Subject columns that a later state must not fill again once retention has emptied them (C-2.6, C-10.3)."""
    return [s.column for s in contract.subjects] if contract.erasure == "sever" and contract.key and contract.latest_by else []
