"""A contract's constraints as SQL predicates over every row: each names what it refuses, none shows a value.

`checks` compiles them; a predicate is true for a row that fails. Texts come in as `t.<column>`, typed values as
`v.<column>`. The names (`price_eur.type`, `email.pattern`) are what quarantine and reports show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Policy
from pipelines.quality.forms import failing

# The forms of a value, so that no cast guesses: a time needs its offset, for a bare one means two instants on the night the
# clocks go back (C-10.0); an amount has at most the places of its type, for a cast would round without a word.
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
FORMS = {
    "TIMESTAMPTZ": _DAY + "[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)? ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)",
    "DATE": _DAY,
    "BIGINT": "[+-]?[0-9]+",
    "BOOLEAN": "(?i)true|false",
    "DECIMAL(12,2)": "[+-]?[0-9]+(?:[.][0-9]{1,2}0*)?",
}


@dataclass(frozen=True)
class Check:
    """One constraint of one column (or row): `failing` is true where a row breaks it."""

    name: str
    column: str | None
    rule: str
    failing: str


def typed(column: Column, text: str | None = None) -> str:
    """SQL: the typed value of a column's text, null where the text is no such value."""
    text = text or f"t.{quote_name(column.name)}"
    if column.type == "VARCHAR":
        return text
    form = f"regexp_full_match({text}, {quote_text(FORMS[column.type])})"
    if column.type == "BIGINT":  # what a number is written as has its form: few need the regular expression, and a cast is cheaper
        form = f"try_cast({text} as bigint)::varchar = {text} or {form}"
    elif column.type in ("TIMESTAMPTZ", "DATE"):
        form += f" and not starts_with({text}, '0000')"
    return f"case when {form} then try_cast({text} as {column.type}) end"


def checks(contract: Contract, policy: Policy | None = None, as_of: date | None = None) -> tuple[Check, ...]:
    """Every check of the contract, in the order in which the first failing one is named; with `policy` and `as_of` also those
    that need them: words that the policy knows, and no event of a day to come."""
    made = [check for column in contract.columns for check in column_checks(column, f"t.{quote_name(column.name)}", f"v.{quote_name(column.name)}")]
    register = contract.consent_register
    if register and policy:
        # a misspelled withdrawal would otherwise be no withdrawal, and unseen. A method or version that is unknown is loaded: the
        # gate takes it for no consent, while set aside it would leave the grant before it in force
        words = ", ".join(map(quote_text, policy.consent_kinds))
        made.append(Check(f"{register.kind}.allowed", register.kind, "allowed", f"coalesce(v.{quote_name(register.kind)} not in ({words}), false)"))
    if contract.clock and as_of:
        # a day's grace, for a run at midnight takes files that are still written; later, its clock would start years from now
        limit = f"date {quote_text(latest_day(as_of).isoformat())}"
        made.append(Check(f"{contract.clock}.future", contract.clock, "future", f"coalesce((v.{quote_name(contract.clock)})::date > {limit}, false)"))
    for rule in contract.row_rules:
        made.append(Check(f"row.{rule.name}", None, rule.name, f"not coalesce(({rule.expression}), false)"))
    return tuple(made)


def latest_day(as_of: date) -> date:
    """The last day of which events are taken."""
    return as_of + timedelta(days=1)


def column_checks(column: Column, text: str, value: str) -> list[Check]:
    """The checks of one column, over the SQL of its text and of its typed value."""
    made: list[tuple[str, str]] = []
    if column.type != "VARCHAR":
        made.append(("type", f"{text} is not null and {value} is null"))
    if column.required:
        made.append(("required", f"{text} is null"))
    if column.min_length is not None:
        made.append(("min_length", f"length({value}) < {int(column.min_length)}"))
    if column.max_length is not None:
        made.append(("max_length", f"length({value}) > {int(column.max_length)}"))
    if column.pattern is not None:
        made.append(("pattern", f"not regexp_matches({value}, {quote_text(column.pattern)})"))
    if column.allowed:
        made.append(("allowed", f"{value} not in ({', '.join(map(quote_text, column.allowed))})"))
    if column.minimum is not None:
        made.append(("minimum", f"{value} < {column.minimum}"))
    if column.maximum is not None:
        made.append(("maximum", f"{value} > {column.maximum}"))
    if column.form:
        # where the pattern has spoken already no library is asked
        asked = f"regexp_matches({value}, {quote_text(column.pattern)})" if column.pattern is not None else "true"
        made.append(("format", f"case when {asked} then {failing(column.form, value)} else false end"))
    return [Check(f"{column.name}.{rule}", column.name, rule, f"coalesce({failing}, false)") for rule, failing in made]
