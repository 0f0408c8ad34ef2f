"""Look again at what stands in quarantine: under rules that were mended since, or with rows that somebody corrected.

A row that is good now goes to raw as the row of its own batch that it always was, and the batch's balance says so; one that is still bad
stays, and its thirty days do not begin anew. A correction is a line of a file that names its row; no row can come in that way that does
not stand in quarantine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.ingestion import check, erased, waiting
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Batch, Reading, registered, restate
from pipelines.ingestion.land import choose, told_if_full, write_good
from pipelines.ingestion.reasons import WAITING
from pipelines.ingestion.run import not_before_retention, one_transaction, raw_zone, write_down
from pipelines.lake.purge import purge
from pipelines.lake.store import raw_lake
from pipelines.lake.tables import quarantine_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.quality.second_opinion import compare
from pipelines.sources.access_log import stage_lines
from pipelines.sources.log_format import log_format
from pipelines.sources.records import fields_of, stage_records

log = logging.getLogger("kampeky")

ROW, REASON, TEXT = "_row", "_reason", "_text"  # of a file of corrections: which row, why it is set aside, and the line that is no record


@dataclass(frozen=True)
class Replayed:
    """What became of the rows of one dataset that were looked at again."""

    source: str
    replayed: int
    loaded: int = 0
    quarantined: int = 0
    refused: int = 0
    already_known: int = 0


def replay(home: Home, rulebook: Rulebook, contracts: Sequence[Contract], as_of: datetime, reason: str | None = None,
           corrected: Path | None = None) -> list[Replayed]:
    """Check the quarantined rows of `contracts` again (those of `reason`, or those that the file corrects), all datasets or none."""
    done, changed = list[Replayed](), list[Batch]()
    with raw_zone(home, rulebook, as_of) as connection:
        now = not_before_retention(home, as_of)
        with one_transaction(connection):
            for contract in contracts:
                told, batches = _replay(connection, rulebook, contract, now, reason, corrected)
                done.append(told)
                changed += batches
            settled = settle(connection, rulebook, now, any(told.source == rulebook.consents.name and told.loaded for told in done))
    write_down(home, as_of, [*((batch.id, batch.balance) for batch in changed), *settled.changed])
    replace(settled, refused=settled.refused + sum(told.refused for told in done)).clean(home)
    return done


def settle(connection: Connection, rulebook: Rulebook, as_of: datetime, decided: bool) -> Settled:
    """Look again at what waits for a consent, where something was decided since or it has waited long enough. For the end of every run, within
    its transaction."""
    changed, refused = list[tuple[str, Balance]](), 0
    for name, (_, overdue) in waiting.waiting(connection, rulebook, paris_day(as_of)).items():
        if decided or overdue:
            told, batches = _replay(connection, rulebook, rulebook.contract(name), as_of, WAITING, None)
            changed += [(batch.id, batch.balance) for batch in batches]
            refused += told.refused
            log.info("%s: of %s rows that waited for a consent %s loaded, %s refused", name, f"{told.replayed:,}", f"{told.loaded:,}",
                     f"{told.refused:,}")
    return Settled(changed, refused)


@dataclass(frozen=True)
class Settled:
    """The batches whose balance changed, and how many rows were refused: their values are to leave the disk."""

    changed: list[tuple[str, Balance]]
    refused: int

    def clean(self, home: Home) -> None:
        """After the run, for it takes the zone for itself."""
        if self.refused:
            purge(raw_lake(home), "ingest")


def write_rows(connection: Connection, contract: Contract, target: Path, reason: str | None) -> int:
    """Write quarantined rows as a file of corrections to be made, one JSON object a line; how many. The file holds members' data."""
    _look_up(connection, contract, reason)
    unread = f"record::json ->> 'line' as {TEXT}" if contract.format == "access_log" else f"null::varchar as {TEXT}"
    fields = ", ".join(f"record::json ->> {quote_text(c.name)} as {quote_name(c.name)}" for c in contract.columns)
    connection.execute(f"copy (select _batch || ':' || _line as {ROW}, reason as {REASON}, {unread}, {fields} from replayed order by n) "
                       f"to {quote_text(str(target))} (format json, use_tmp_file false)")
    return _count(connection, "replayed")


def _replay(connection: Connection, rulebook: Rulebook, contract: Contract, as_of: datetime, reason: str | None,
            corrected: Path | None) -> tuple[Replayed, list[Batch]]:
    policy = rulebook.policy
    _look_up(connection, contract, reason)
    if corrected:
        _correct(connection, contract, corrected)
    rows = _count(connection, "replayed")
    if not rows:
        return Replayed(contract.name, 0), []
    _stage(connection, contract)
    check.check_rows(connection, contract, policy, paris_day(as_of))
    compare(connection, check.CHECKED, contract, seed="replay")
    erased.set_aside(connection, rulebook, contract, paris_day(as_of))
    waiting.set_aside(connection, rulebook, contract,
                      f"c._line in (select n from replayed where {waiting.is_over(policy, 'received_on', paris_day(as_of))})")
    chosen, verdict = choose(connection, contract, Reading(""))
    connection.execute(f"""create or replace temp table outcome as
        select m._batch, m._line, m.reason as before, coalesce(f.verdict, 'quarantined') as verdict, coalesce(f._reason, m.reason) as reason,
               f._record
        from replayed as m left join (select c._line, {verdict} as verdict, c._reason, c._record from {chosen}) as f on f._line = m.n""")
    with told_if_full(contract):
        write_good(connection, contract, policy, paris_day(as_of), f"{chosen} join replayed as m on m.n = c._line", f"{verdict} = 'good'",
                   "m._batch", "m._line")
        table = quarantine_table(contract)
        mine = "o._batch = q._batch and o._line = q._line"
        connection.execute(f"delete from {table} as q where exists (select 1 from outcome as o where {mine} and o.verdict <> 'quarantined')")
        record = ", record = coalesce(o._record, q.record)" if corrected else ""
        connection.execute(f"update {table} as q set reason = o.reason{record} from outcome as o "
                           f"where {mine} and o.verdict = 'quarantined' and o.reason <> q.reason")
        batches = _restated(connection, contract)
    counts = dict(connection.execute("select verdict, count(*) from outcome group by 1").fetchall())
    return Replayed(contract.name, rows, counts.get("good", 0), counts.get("quarantined", 0), counts.get("refused", 0),
                    counts.get("already_known", 0)), batches


def _look_up(connection: Connection, contract: Contract, reason: str | None) -> None:
    """Make `replayed`: the rows in question, numbered."""
    connection.execute(f"""create or replace temp table replayed as
        select row_number() over (order by _batch, _line) as n, _batch, _line, reason, received_on, record
        from {quarantine_table(contract)} where reason = coalesce(?, reason)""", [reason])


def _correct(connection: Connection, contract: Contract, path: Path) -> None:
    """Leave of `replayed` the rows that the file names, each with the record that the file gives."""
    names = [c.name for c in contract.columns]
    words = [ROW, REASON, TEXT, *names]
    check.check_names(contract, [name for name in fields_of(connection, path, words) if name not in (ROW, REASON, TEXT)], str(path),
                      "Remove it from the file")
    stage_records(connection, path, words, "corrections")
    broken, nameless, strange, twice = connection.execute(f"""
        select min(_line) filter (_problem is not null), min(_line) filter (_problem is null and {ROW} is null),
               min(_line) filter ({ROW} is not null and {ROW} not in (select _batch || ':' || _line from replayed)),
               min(_line) filter ({ROW} in (select {ROW} from corrections group by 1 having count(*) > 1)) from corrections""").fetchall()[0]
    for line, what in ((broken, "is no record"), (nameless, f"does not say which row it corrects ({ROW})"),
                       (strange, f"corrects a row that does not stand in quarantine ({ROW})"), (twice, "corrects a row that another line corrects")):
        if line is not None:
            raise Refused(f"{path}: line {line:,} {what}. Take the file from: kampeky quarantine write {contract.name} FILE. Nothing was changed.",
                          "quarantine")
    fields = ", ".join(f"{quote_text(name)}: c.{quote_name(name)}" for name in names)
    text = f"case when c.{TEXT} is not null then json_object('line', c.{TEXT}) else to_json({{{fields}}}) end"
    connection.execute(f"""create or replace temp table replayed as
        select m.n, m._batch, m._line, m.reason, m.received_on, ({text})::varchar as record
        from replayed as m join corrections as c on c.{ROW} = m._batch || ':' || m._line""")


def _stage(connection: Connection, contract: Contract) -> None:
    """Make `staged` of the rows in `replayed`: their fields, and of a log the lines that could not be read, read again. Records that could not
    be read are left out: what they lack no rule can give them."""
    names = [c.name for c in contract.columns]
    fields = ", ".join(f"record::json ->> {quote_text(name)} as {quote_name(name)}" for name in names)
    unread = "json_keys(record::json) = ['line']"
    if contract.format == "access_log":
        # bytes that are no UTF-8 are written as \\xE9; the cast gives them back
        lines = connection.execute(f"""select n as _line, case when reason = 'line.not_utf8' then (record::json ->> 'line')::blob
                                       else encode(record::json ->> 'line') end as bytes from replayed where {unread} order by n""").to_arrow_table()
        stage_lines(connection, lines, "lines_again", names, log_format(contract))
        again = f"union all select _line, _raw, _problem, {', '.join(map(quote_name, names))} from lines_again"
    else:
        again = ""
    connection.execute(f"""create or replace temp table {check.STAGED} as
        select n as _line, null::varchar as _raw, null::varchar as _problem, {fields} from replayed where not {unread} {again}""")


def _restated(connection: Connection, contract: Contract) -> list[Batch]:
    """The batches whose balance changed, as they are registered now."""
    moves = connection.execute("select _batch, before, verdict, reason, count(*) from outcome where verdict <> 'quarantined' or reason <> before "
                               "group by all").fetchall()
    known, changed = {batch.id: batch for batch in registered(connection, contract.name)}, []
    for id_ in sorted({move[0] for move in moves}):
        balance, reasons = known[id_].balance, dict(known[id_].balance.reasons)
        counts = {"loaded": balance.loaded, "quarantined": balance.quarantined, "refused": balance.refused, "already_known": balance.already_known}
        for _, before, verdict, reason, rows in (move for move in moves if move[0] == id_):
            counts["quarantined"] -= rows
            counts["loaded" if verdict == "good" else verdict] += rows
            reasons[before] = reasons.get(before, 0) - rows
            if verdict in ("quarantined", "refused"):
                reasons[reason] = reasons.get(reason, 0) + rows
        now = Balance(contract.name, balance.read, **counts, reasons={reason: rows for reason, rows in reasons.items() if rows > 0})
        changed.append(restate(connection, known[id_], now))
    return changed


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])
