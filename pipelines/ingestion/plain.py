"""Take in the plainly good rows of a large file of logs as they stand, so that the work of checking is done on the few others.

Column by column it is found which rows are doubtful (quality/plain.py). They, and the sample that Great Expectations judges, are staged as
texts and checked like any other batch; all others go from the file to the lake without a copy between. What was found out about the file
holds for that content only: after landing the file is identified again, and the rows that were landed are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.dates import paris_day_sql
from pipelines.ingestion import erased
from pipelines.ingestion.batches import Reading, identify
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy
from pipelines.policy.vocabulary import DAY
from pipelines.quality.plain import as_it_is, can_be_plain, doubtful, value
from pipelines.quality.second_opinion import SAMPLE_ROWS, drawn
from pipelines.sources.access_log import EASY, easy_lines, stage_lines
from pipelines.sources.files import is_parquet
from pipelines.sources.lines import Outline, digests_at, read_lines
from pipelines.sources.log_format import log_format
from pipelines.sources.records import ROW, parquet_source, parquet_types, readable, stage_rows

DOUBTFUL = "doubtful"
FEW = 3 * SAMPLE_ROWS  # rows of a file that are rather all checked in one go


@dataclass(frozen=True)
class Plain:
    """How many rows are plainly good, beside how many that are staged, and of how many lines the sample was drawn; SQL of the good ones as `checked`
    would have them, for which the file is opened once more."""

    good: int
    staged: int
    lines: int
    rows: str
    open: Callable[[Connection], object] = lambda _: None

    @property
    def all(self) -> int:
        return self.good + self.staged


def stage_doubtful(connection: Connection, contract: Contract, policy: Policy, path: Path, given: Reading, as_of: date, table: str) -> Plain | None:
    """Make `table` (as sources/ do) of the rows that need checking, and of those that are drawn for the sample; None, and no table, where all rows
    of the file do."""
    if given.replay or not can_be_plain(contract):
        return None
    if is_parquet(path):
        return _of_parquet(connection, contract, policy, path, given, as_of, table)
    if contract.format == "access_log" and log_format(contract) is None and given.outline:
        return _of_log(connection, contract, policy, path, given, given.outline, as_of, table)
    return None


def unchanged(secret: bytes, contract: Contract, path: Path, given: Reading) -> bool:
    """Whether the file still has the content as which it was identified: of a log, begins with it."""
    if given.outline:
        return digests_at(path, [given.outline.size]).get(given.outline.size) == given.outline.digest
    return identify(secret, contract, path).batch == given.batch


def _of_parquet(connection: Connection, contract: Contract, policy: Policy, path: Path, given: Reading, as_of: date, table: str) -> Plain | None:
    with readable(path, "parquet"):
        kinds, source = dict(parquet_types(connection, path)), parquet_source(path)
        lines = int(connection.execute(f"select count(*) from {source}").fetchall()[0][0])
        if lines < FEW:
            return None
        # one scan for each column: so each condition reaches the reader
        back = erased.doubts(connection, contract, list(kinds), source, as_of)
        doubts = [*(doubtful(contract, policy, as_of, column, kinds.get(column.name)) for column in contract.columns), *back.values()]
        scans = " union all ".join(f"select {ROW} + 1 as _line from {source} where {doubt}" for doubt in doubts)
        with by_values(connection):
            connection.execute(f"create or replace temp table {DOUBTFUL} as select distinct _line from ({scans})")
        some = _count(connection, DOUBTFUL)
        connection.execute(f"insert into {DOUBTFUL} select n from range(1, {lines + 1}) as r(n) where {drawn('n', given.batch, lines)} "
                           f"and n not in (select _line from {DOUBTFUL})")
    chosen = f"{ROW} + 1 in (select _line from {DOUBTFUL})" if some else drawn(f"({ROW} + 1)", given.batch, lines)
    stage_rows(connection, path, [c.name for c in contract.columns], table, chosen)
    staged = _count(connection, table)
    return Plain(lines - staged, staged, lines, _rows(contract, as_of, kinds, f"select {ROW} + 1 as _line, * from {source}"))


def _of_log(connection: Connection, contract: Contract, policy: Policy, path: Path, given: Reading, seen: Outline, as_of: date,
            table: str) -> Plain | None:
    lines, kinds = seen.lines - given.after, {name: kind for name, (kind, _) in EASY.items()}
    if lines < FEW or not all(as_it_is(column, kinds[column.name]) for column in contract.columns if column.name in EASY):
        return None

    def opened(connection: Connection) -> None:
        connection.register("lines", read_lines(path, given.after, seen.lines))

    opened(connection)
    back = erased.doubts(connection, contract, list(kinds), f"({easy_lines('lines')})", as_of)
    opened(connection)
    doubts = " or ".join([*(doubtful(contract, policy, as_of, column, kinds.get(column.name)) for column in contract.columns), *back.values()])
    with without(connection, "filter_pushdown"):  # it would put what makes a field in the place of each mention of it
        connection.execute(f"create or replace temp table {DOUBTFUL} as select _line, _bytes as bytes from ({easy_lines('lines')}) "
                           f"where {drawn('_line', given.batch, lines)} or not _easy or {doubts}")
    stage_lines(connection, connection.execute(f"select _line, bytes from {DOUBTFUL} order by _line").to_arrow_table(), table,
                [c.name for c in contract.columns])
    return Plain(lines - _count(connection, DOUBTFUL), _count(connection, table), lines,
                 _rows(contract, as_of, kinds, easy_lines("lines")), opened)


def _rows(contract: Contract, as_of: date, kinds: Mapping[str, str], source: str) -> str:
    values = ", ".join(f"{value(c, kinds.get(c.name))} as {quote_name(c.name)}" for c in contract.columns)
    day = paris_day_sql(quote_name(contract.clock), as_of) if contract.clock else "null::date"
    return f"""select _line, 'good' as _verdict, null::varchar as _reason, null::varchar as _record,
            {', '.join(quote_name(c.name) for c in contract.columns)}, {day} as {DAY}
        from (select _line, {values} from ({source}) where _line not in (select _line from {DOUBTFUL}))"""


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def by_values(connection: Connection) -> AbstractContextManager[None]:
    """DuckDB would believe what a file's footer says of its values, and answer conditions from that; here it looks at them."""
    return without(connection, "statistics_propagation")


@contextmanager
def without(connection: Connection, optimizer: str) -> Iterator[None]:
    connection.execute(f"set disabled_optimizers = '{optimizer}'")
    try:
        yield
    finally:
        connection.execute("reset disabled_optimizers")
