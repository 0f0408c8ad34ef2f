"""Stage a file and check every row of it: one pass of SQL, after which each row has a verdict and, if bad, its reasons.

Refused rows are those that must not be stored at all; they are counted and their values go no further. Bad rows go to
quarantine with the first check they fail. A field that no contract names stops the file before anything is staged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import Refused
from pipelines.policy import due
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Policy
from pipelines.policy.vocabulary import DAY
from pipelines.quality.forbidden import forbidden
from pipelines.quality.forms import register
from pipelines.quality.predicates import checks, typed
from pipelines.sources.access_log import stage_access_log
from pipelines.sources.declared import check_source, encoding
from pipelines.sources.files import is_parquet
from pipelines.sources.log_format import log_format
from pipelines.sources.records import fields_of, odd_columns, stage_records, standing_once

STAGED, CHECKED = "staged", "checked"
SOME_ROWS = 10  # of fewer, all may well be broken


def check_fields(connection: Connection, contract: Contract, path: Path) -> None:
    """Refuse a file with fields that the contract does not name, or without columns that it requires."""
    if contract.format != "records" and not is_parquet(path):
        return
    names = [c.name for c in contract.columns]
    found = fields_of(connection, path, names, encoding(contract))
    found = [name for name in found if name not in contract.counted.values()]
    check_names(contract, found, str(path), "Remove it from the file", lambda strange: standing_once(connection, path, names, strange))
    odd = {name: kind for name, kind in odd_columns(connection, path).items() if name not in contract.counted.values()}
    if odd:
        told = " ".join(f"Column {name} holds {kind}." for name, kind in odd.items())
        raise Refused(f"{path}: {told} A column has one value a row, as text, number, day, time or truth value: write the file so. Nothing of it "
                      "was loaded.", f"{contract.path}")


def check_names(contract: Contract, found: Sequence[str], where: str, instead: str,
                standing_alone: Callable[[Sequence[str]], dict[str, int]] = lambda names: {}) -> None:
    """Refuse fields that the contract does not name, and the lack of columns that it requires. `instead`: what may be done with such a
    field; `standing_alone`: the line of each that stands in one record only."""
    names = [c.name for c in contract.columns]
    strange = sorted(set(found) - set(names))
    if strange and len(strange) == len(found):
        raise Refused(f"{where}: none of its fields is a column of '{contract.name}'. Is it another dataset's file? Nothing of it was loaded.",
                      f"{contract.path}")
    if strange:
        # names come from outside: where one may itself be data, it is not repeated
        once = standing_alone(strange[:5])
        told = [f"(its name not repeated) of line {once[n]:,}" if n in once else n if n.isidentifier() and n.isascii() and len(n) <= 40
                else "(a name not repeated here)" for n in strange[:5]]
        raise Refused(f"{where}: field{'s' if len(strange) > 1 else ''} {', '.join(told)} {'are' if len(strange) > 1 else 'is'} named by no "
                      f"contract, and what has no rule is not collected. {instead}, or add it to {contract.path}; nothing was loaded.",
                      "coverage rule")
    missing = [c.name for c in contract.columns if c.required and c.name not in found]
    if missing and found:
        raise Refused(f"{where}: required column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of '{contract.name}' missing. "
                      "Nothing of it was loaded.", f"{contract.path}")


def stage(connection: Connection, contract: Contract, path: Path, after: int = 0, until: int | None = None) -> None:
    """Read `path` into the temporary table `staged`: of a log, the lines behind line `after`, to line `until`."""
    if contract.format == "access_log" and not is_parquet(path):
        stage_access_log(connection, path, STAGED, [c.name for c in contract.columns], log_format(contract), after, until)
    else:
        stage_records(connection, path, [c.name for c in contract.columns], STAGED, encoding(contract), contract.counted)


def check_rows(connection: Connection, contract: Contract, policy: Policy, as_of: date) -> None:
    """Make `checked`: _line, _verdict (good, quarantined, refused), _reason, _failed (every failing check), _record (JSON, of
    quarantined rows only), the typed columns and the event's Paris day."""
    register(connection, contract)
    columns = contract.columns
    texts = ", ".join(f"{_at_the_door(c)} as {quote_name(c.name)}" for c in columns)
    values = ", ".join(f"{quote_name(c.name)} := {typed(c)}" for c in columns)
    found = ", ".join(f"case when {check.failing} then {quote_text(check.name)} end" for check in checks(contract, policy, as_of))
    day = f"({quote_name(contract.clock)})::date" if contract.clock else "null::date"
    fields = ", ".join(f"{quote_text(c.name)}: t.{quote_name(c.name)}" for c in columns)
    record = f"case when _problem is not null then json_object('line', _raw) else to_json({{{fields}}}) end"
    connection.execute(f"""create or replace temp table {CHECKED} as
        with t as (select _line, _raw, _problem, {texts} from {STAGED}),
        v as (select _line, _raw, _problem, t, struct_pack({values}) as v from t),
        judged as (
            select *, {day} as _day,
                   {forbidden(contract)} as _forbidden,
                   case when _problem is not null then [_problem] else list_filter([{found}], lambda x: x is not null) end as _failed
            from (select *, unnest(v) from v)
        ),
        verdicts as (
            select *, coalesce(_forbidden, _due, _failed[1]) as _reason,
                   case when _forbidden is not null or _due is not null then 'refused'
                        when len(_failed) > 0 then 'quarantined' else 'good' end as _verdict
            from (select *, {_due(contract, policy, as_of)} as _due from judged)
        )
        select _line, _verdict, _reason, _failed, case when _verdict = 'quarantined' then {record} end as _record,
               {', '.join(quote_name(c.name) for c in columns)}, _day as {DAY}
        from verdicts""")


def _at_the_door(column: Column) -> str:
    """SQL: the text of a value as it may come in at all: rounded, kept only while another column says so (C-2.7, C-2.2a, C-3.5). What cannot be
    rounded comes in as a word that no number is, for the type check to set aside: its digits would be too exact."""
    text = f"nullif({quote_name(column.name)}, '')"
    if column.door.round is not None:
        number = f"regexp_full_match({text}, '[+-]?[0-9]{{1,9}}(?:[.][0-9]{{1,30}})?')"
        text = (f"case when {number} then round({text}::double, {column.door.round})::{column.type}::varchar "
                f"when {text} is not null then 'not a number' end")
    if column.door.only_while:
        other, values = column.door.only_while
        text = f"case when {quote_name(other)} in ({', '.join(map(quote_text, values))}) then {text} end"
    return text


def dry_run(connection: Connection, contract: Contract, policy: Policy, as_of: date) -> None:
    """Compile every check of the contract over no rows: a row rule that names no column, or is no SQL, is refused here and not at night;
    so is a log format that is none."""
    check_source(contract)
    columns = ", ".join(f"null::varchar as {quote_name(c.name)}" for c in contract.columns)
    connection.execute(f"create or replace temp table {STAGED} as "
                       f"select 0::bigint as _line, null::varchar as _raw, null::varchar as _problem, {columns} limit 0")
    try:
        check_rows(connection, contract, policy, as_of)
    except engine.Error:
        raise Refused(f"{contract.path}: a check of it is no SQL over its columns. Look at its rowRules and patterns.", contract.path) from None


def held_back(connection: Connection, contract: Contract, where: str, of: int | None = None) -> None:
    """Refuse a batch of which more rows would be quarantined than its contract allows, or of more or fewer rows than it says: it is rather a
    wrong file than wrong rows. `of`: how many rows it has, where not all of them are in `checked`."""
    bad, rows = connection.execute(f"select count(*) filter (_verdict = 'quarantined'), count(*) from {CHECKED}").fetchall()[0]
    rows = of or rows
    unread = connection.execute(f"select count(*) from {CHECKED} where starts_with(_reason, 'line.')").fetchall()[0][0]
    if rows >= SOME_ROWS and unread == rows:
        raise Refused(f"{where}: none of its {rows:,} rows can be read as '{contract.name}'. Is it another dataset's file, or of another format? "
                      "Nothing of it was loaded.", contract.path)
    least, most = contract.volume
    if not least <= rows <= most:
        raise Refused(f"{where}: {rows:,} rows, where a batch of '{contract.name}' has {least:,} to {most:,}, so it is held back whole. Split the "
                      f"file, or mend rowCount in {contract.path}; nothing of it was loaded.", contract.path)
    limit = contract.bad_rows
    if bad > max(limit.rows, rows * limit.percent / 100) or (rows >= SOME_ROWS and bad == rows):
        reasons = connection.execute(f"select _reason, count(*) from {CHECKED} where _verdict = 'quarantined' "
                                     "group by 1 order by 2 desc, 1 limit 3").fetchall()
        raise Refused(f"{where}: {bad:,} of {rows:,} rows would be quarantined ({', '.join(f'{n:,} {reason}' for reason, n in reasons)}), more than "
                      f"'{contract.name}' allows, so the batch is held back whole. Mend the file, or badRows in {contract.path}; nothing of it was "
                      "loaded.", contract.path)


def _due(contract: Contract, policy: Policy, as_of: date) -> str:
    """SQL: the rule under which a row is due on arrival (C-10.0), null if it may be kept."""
    cases = [f"when {due.is_due(day, as_of)} then {quote_text(f'due_on_arrival.{rule}')}"
             for rule, day in due.event_dues(contract, policy, "_day", due.no_member(contract))]
    if contract.account:
        cases += [f"when {due.is_due(due.due_from_account(rule, contract.account), as_of)} then {quote_text(f'due_on_arrival.{rule.id}')}"
                  for rule in due.account_rules(contract, policy)]
    return f"case {' '.join(cases)} end" if cases else "null::varchar"
