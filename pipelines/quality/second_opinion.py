"""Judge a sample of a checked batch once more, with Great Expectations on pandas, and stop the batch if DuckDB saw it otherwise.

Two engines that read one contract and count alike are a reason to trust either; where they differ, one of them is wrong
and nothing may be loaded until somebody knows which. Only counts leave this module: results are asked for without
values, what Great Expectations logs or raises is not passed on, and it is left holding no row. It writes no file.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING, Any

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.policy.contract_types import Column, Contract
from pipelines.quality.expectations import suite
from pipelines.quality.predicates import checks

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = "second_opinion_sample"
SAMPLE_ROWS = 5_000  # two engines that read one rule differently differ on some of so many rows; more would cost most of a small batch's time
COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0, "include_unexpected_rows": False}


def drawn(line: str, seed: str, rows: int, wanted: int = SAMPLE_ROWS) -> str:
    """SQL: whether a row is one of some more than `wanted` of `rows`, by the number of its line: of a seed always the same."""
    return f"hash({line}, {quote_text(seed)}) % {max(1, rows * 2 // (wanted * 3))} = 0"


def compare(connection: Connection, table: str, contract: Contract, seed: str, sample_rows: int = SAMPLE_ROWS, of: int | None = None) -> int:
    """Check a sample of `table` (made by ingestion/check.py) again; rows compared. The same seed takes the same rows; `of`: among how many, where
    the table holds no others than those `drawn` and some more.

    Raises Refused, naming checks and both counts, where Great Expectations does not find what `_failed` says."""
    wanted = suite(contract)
    if not wanted:
        return 0
    try:
        rows = _sample(connection, table, contract, seed, sample_rows, of)
        if rows == 0:
            return 0
        by_duckdb = dict(connection.execute(
            f"select name, count(*) from (select unnest(_failed) as name from {SAMPLE}) group by name").fetchall())
        by_gx = _counts(wanted, _frame(connection, contract, wanted))
    finally:
        connection.execute(f"drop table if exists {SAMPLE}")
    differing = []
    for entry in wanted:
        names, found = entry["meta"]["counts"], by_gx.get(entry["meta"]["check"])
        said = sum(by_duckdb.get(name, 0) for name in names)
        if found != said:
            differing.append(f"{' or '.join(names)}: DuckDB {said}, Great Expectations {'no count' if found is None else found}")
    if differing:
        raise Refused(f"The two checks of '{contract.name}' disagree on how many of {rows} rows fail ({'; '.join(differing)}). Nothing of the "
                      "file was loaded. One of them reads the contract wrongly: compare pipelines/quality/predicates.py with expectations.py "
                      "for the checks named.", contract.path)
    return rows


def _sample(connection: Connection, table: str, contract: Contract, seed: str, sample_rows: int, of: int | None = None) -> int:
    """Make the sample table, of all rows or of `sample_rows` of them; its size. Lines that held no record have nothing to compare."""
    known = ", ".join(quote_text(check.name) for check in checks(contract))
    readable = f"not coalesce(_failed[1] like 'line.%' and _failed[1] not in ({known}), false)"
    names = ", ".join(quote_name(column.name) for column in contract.columns)
    counted = connection.execute(f"select count(*) from {table} where {readable}").fetchone()
    rows = of or (counted[0] if counted else 0)
    if rows > sample_rows:  # those with the lowest hashes of some more, so that little is sorted, and row numbers only
        readable = (f"rowid in (select rowid from {table} where {readable} and {drawn('_line', seed, rows, sample_rows)} "
                    f"order by hash(_line, {quote_text(seed)}), _line limit {int(sample_rows)})")
    made = connection.execute(f"create or replace temp table {SAMPLE} as select _failed, {names} from {table} where {readable}").fetchone()
    return int(made[0]) if made else 0


def _frame(connection: Connection, contract: Contract, wanted: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The sampled columns that the suite looks at, in types that pandas compares as DuckDB does: whole numbers stay whole beside nulls,
    decimals become doubles (of twelve digits, so none changes sides of a bound); of days, times and truth values only presence is asked."""
    import pandas as pd
    import pyarrow as pa

    used = {entry["kwargs"]["column"] for entry in wanted}
    parts = [f"{_handed_over(column)} as {quote_name(column.name)}" for column in contract.columns if column.name in used]
    table = connection.execute(f"select {', '.join(parts)} from {SAMPLE}").to_arrow_table()
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)


def _handed_over(column: Column) -> str:
    name = quote_name(column.name)
    if column.type in ("VARCHAR", "BIGINT"):
        return name
    return f"{name}::double" if column.type.startswith("DECIMAL") else f"case when {name} is not null then true end"


def _counts(wanted: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> dict[str, int | None]:
    """How many rows fail each check by Great Expectations; None where it gave no count. What it raises is not passed on but as the name of
    its kind: the text may quote values."""
    gx = _great_expectations()
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    # a new context takes 13 ms and shares nothing with the last; these defaults keep it from making a temporary folder
    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(), progress_bars=ProgressBarsConfig(globally=False), analytics_enabled=False))
    rows = context.data_sources.add_pandas("sample").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = rows.get_batch({"dataframe": frame})
            results = batch.validate(gx.ExpectationSuite(name="contract", expectations=[dict(entry) for entry in wanted]),
                                     result_format=COUNTS_ONLY).results
        return {result.expectation_config.meta["check"]: result.result.get("unexpected_count") for result in results}
    except Exception as error:
        stopped = type(error).__name__
    finally:
        context.data_sources.delete("sample")  # or it would hold the rows until the process ends
    raise KampekyError(f"Great Expectations stopped with {stopped} on a sample of {len(frame)} rows. Nothing of the file was loaded. "
                       "See that the installed version is the one in requirements/all.txt: run make again.")


@cache
def _great_expectations() -> Any:
    """The package, imported when first needed, then silenced: an error that it logs may quote a value."""
    with _on_first_use("altair", "scipy.stats"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations
    for name in ("great_expectations", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "great_expectations":  # each by name: several set a level of their own
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return great_expectations


@contextmanager
def _on_first_use(*names: str) -> Iterator[None]:
    """Import the named modules only when something of theirs is used. Great Expectations imports a charting library and all of
    scipy's statistics for expectations that no contract makes: 40 % of its import, 2 to 3 seconds of every command that ingests."""

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
            spec = PathFinder.find_spec(name, path, target) if name in names else None
            if spec is not None and spec.loader is not None:
                spec.loader = LazyLoader(spec.loader)
            return spec

    sys.meta_path.insert(0, Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(Finder)
