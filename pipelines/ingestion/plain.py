"""Take in the plainly good rows of a large Parquet file as they stand, so that the work of checking is done on the few others.

Column by column it is found which rows are doubtful (quality/plain.py). They, and the sample that Great Expectations judges, are staged as
texts and checked like any other batch; all others go from the file to the lake without a copy between. What was found out about the file
holds for that content only: after landing the file is identified again, and the rows that were landed are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.dates import paris_day_sql
from pipelines.policy.types import DAY, Contract, Policy
from pipelines.quality.plain import can_be_plain, doubtful, value
from pipelines.quality.second_opinion import SAMPLE_ROWS, drawn
from pipelines.sources.files import is_parquet
from pipelines.sources.records import ROW, parquet_source, parquet_types, readable, stage_rows

DOUBTFUL = "doubtful"
FEW = 3 * SAMPLE_ROWS  # rows of a file that are rather all checked in one go


@dataclass(frozen=True)
class Plain:
    """How many rows a file has, and how many of them are in `staged`; SQL of all others, as `checked` would have them."""

    rows: int
    staged: int
    others: str

    @property
    def good(self) -> int:
        return self.rows - self.staged


def stage_doubtful(connection: Connection, contract: Contract, policy: Policy, path: Path, as_of: date, seed: str, table: str) -> Plain | None:
    """Make `table` (as sources/ do) of the rows that need checking, and of those that are `drawn` with the seed; None, and no table, where all rows
    of the file do."""
    if not is_parquet(path) or not can_be_plain(contract):
        return None
    with readable(path, "parquet"):
        kinds, source = dict(parquet_types(connection, path)), parquet_source(path)
        rows = int(connection.execute(f"select count(*) from {source}").fetchall()[0][0])
        if rows < FEW:
            return None
        # one scan for each column: so each condition reaches the reader
        scans = " union all ".join(f"select {ROW} from {source} where {doubtful(contract, policy, as_of, column, kinds.get(column.name))}"
                                   for column in contract.columns)
        with by_values(connection):
            connection.execute(f"create or replace temp table {DOUBTFUL} as select distinct {ROW} from ({scans})")
        none = connection.execute(f"select count(*) from {DOUBTFUL}").fetchall()[0][0] == 0
        connection.execute(f"insert into {DOUBTFUL} select n from range({rows}) as r(n) where {drawn('n + 1', seed, rows)} "
                           f"and n not in (select {ROW} from {DOUBTFUL})")
    chosen = drawn(f"{ROW} + 1", seed, rows) if none else f"{ROW} in (select {ROW} from {DOUBTFUL})"
    stage_rows(connection, path, [c.name for c in contract.columns], table, chosen)
    staged = int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])
    values = ", ".join(f"{value(c, kinds.get(c.name))} as {quote_name(c.name)}" for c in contract.columns)
    day = paris_day_sql(quote_name(contract.clock), as_of) if contract.clock else "null::date"
    return Plain(rows, staged, f"""select _line, 'good' as _verdict, null::varchar as _reason, null::varchar as _record,
            {', '.join(quote_name(c.name) for c in contract.columns)}, {day} as {DAY}
        from (select {ROW} + 1 as _line, {values} from {source} where {ROW} not in (select {ROW} from {DOUBTFUL}))""")


@contextmanager
def by_values(connection: Connection) -> Iterator[None]:
    """DuckDB would believe what a file's footer says of its values, and answer conditions from that; here it looks at them."""
    connection.execute("set disabled_optimizers = 'statistics_propagation'")
    try:
        yield
    finally:
        connection.execute("reset disabled_optimizers")
