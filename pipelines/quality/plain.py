"""What of a typed column is plainly good: SQL over one column at a time, as it stands in a Parquet file, without making a text of it.

A value is doubtful where it breaks a check, where it could be something forbidden, and where its text could be read in any other way than
the value itself; a doubtful row is judged from its texts like any other (predicates.py, forbidden.py). So this may doubt too much,
never too little. Each expression is one opaque condition of one column: DuckDB hands it to the reader, which asks it once for each
word of a dictionary; and no minimum or maximum that a file's footer claims answers it instead of the values.
"""

from __future__ import annotations

from datetime import date, timedelta

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.foundation.dates import start_of_day
from pipelines.policy import due
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Policy
from pipelines.quality.forbidden import SHORTEST, SHORTEST_NUMBER, suspicious
from pipelines.quality.predicates import column_checks, latest_day, typed

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_AS_IT_IS = {"BIGINT": _WHOLE, "TIMESTAMPTZ": ("TIMESTAMP WITH TIME ZONE",), "DATE": ("DATE",), "BOOLEAN": ("BOOLEAN",)}
# within these a text tells the value and its type alike; before 1911 Paris had an offset of seconds
_SURE = {"BIGINT": f"between {-10 ** (SHORTEST_NUMBER - 2) + 1} and {10 ** (SHORTEST_NUMBER - 1) - 1}",
         "TIMESTAMPTZ": "between timestamptz '1970-01-01 00:00:00+00' and timestamptz '9999-01-01 00:00:00+00'",
         "DATE": "between date '1900-01-01' and date '9999-12-31'", "BOOLEAN": "in (true, false)"}


def can_be_plain(contract: Contract) -> bool:
    """Whether a row of the contract can be judged column by column, and landed without looking at any other row."""
    doors = any(c.door.round is not None or c.door.only_while or c.door.count or c.form for c in contract.columns)
    return not (contract.key or contract.row_rules or contract.account or contract.consent_register or doors
                or contract.holding.basis == "consent")


def as_it_is(column: Column, kind: str) -> bool:
    """Whether a value of that type is the column's, and no text is to be made of it first."""
    return kind in _AS_IT_IS[column.type] if column.type in _AS_IT_IS else kind in ("TEXT", "VARCHAR") and column.type == "VARCHAR"


def doubtful(contract: Contract, policy: Policy, as_of: date, column: Column, kind: str | None) -> str:
    """SQL: whether a value of a column is not plainly good; `kind`: the type that the file gives it, TEXT if
    it gives texts of which none is empty, None if it lacks it."""
    text, read = _text_and_value(column, kind)
    failing = [check.failing for check in column_checks(column, text, read)]
    if kind in _AS_IT_IS.get(column.type, ()):
        failing.append(f"not {read} {_SURE[column.type]}")
    elif column.type == "VARCHAR":
        failing.append(f"strlen({text}) >= {SHORTEST} and {suspicious(text)}")
    elif column.type == "BIGINT" or column.type.startswith("DECIMAL"):
        failing.append(f"strlen({text}) >= {SHORTEST_NUMBER}")
    if column.name == contract.clock:
        first, behind = due.first_day_kept(contract, policy, as_of), latest_day(as_of) + timedelta(days=1)
        failing.append(f"not ({read} >= {_midnight(first)} and {read} < {_midnight(behind)})")
    return f"case {' '.join(f'when {condition} then true' for condition in failing)} else false end" if failing else "false"


def value(column: Column, kind: str | None) -> str:
    """SQL: the typed value of a column that is plainly good."""
    return _text_and_value(column, kind)[1]


def _text_and_value(column: Column, kind: str | None) -> tuple[str, str]:
    name = quote_name(column.name)
    if kind is None:
        return "null::varchar", f"null::{column.type}"
    if kind in _AS_IT_IS.get(column.type, ()):
        return name, f"{name}::{column.type}"
    text = name if kind == "TEXT" else f"nullif({name}::varchar, '')"
    return text, typed(column, text)


def _midnight(day: date) -> str:
    return f"timestamptz {quote_text(start_of_day(day).isoformat())}"

