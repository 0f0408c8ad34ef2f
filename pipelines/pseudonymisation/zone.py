"""Build the pseudonymised zone of one purpose: allowlisted, transformed columns of eligible subjects, nothing else.

A dataset enters by the basis of its subject column's category; a column whose category rests on another consent is empty
where that consent is missing. Rows and values that are due do not enter even if retention has not run yet (C-10.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pipelines.eligibility.consents import device_grants, grant_records, member_grants
from pipelines.eligibility.members import ELIGIBLE, judge_members
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import pseudonym, set_domain
from pipelines.identity.vault import give_salts
from pipelines.lake.tables import raw_table
from pipelines.policy import due
from pipelines.policy.types import Column, Contract, Purpose, Rulebook, Source, Transform
from pipelines.policy.vocabulary import DAY, TRANSFORMS
from pipelines.pseudonymisation.transforms import expression

ZONE = "zone"
ENDS, VALUES_END = "ends_on", "values_end_on"


@dataclass(frozen=True)
class ZoneResult:
    """What entered: members by verdict of the gate, and per dataset its rows with a member, those that passed, and why others did not."""

    members: dict[str, int]
    rows: dict[str, dict[str, int]]


def build_zone(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> ZoneResult:
    """Fill the zone attached as `zone` from the raw lake (`lake`) and the vault (`vault`), in one transaction of the zone."""
    members = judge_members(connection, rulebook, purpose, as_of)
    give_salts(connection, f"select member_id from gate_members where verdict = '{ELIGIBLE}'")
    set_domain(connection, home, purpose.name, first=True)
    connection.execute(f"""create or replace temp table subjects as
        select g.member_id, {pseudonym('s.salt', 'g.member_id')} as pseudonym
        from gate_members as g join vault.subjects as s using (member_id) where g.verdict = '{ELIGIBLE}'""")
    entering = rulebook.entering(purpose.name)
    for contract in entering:
        _grants(connection, rulebook, contract, purpose, as_of)
    rows = {}
    connection.execute("begin")
    try:
        for contract in entering:
            rows[contract.name] = _fill(connection, rulebook, contract, purpose, as_of)
        for stale in _stale_tables(connection, [c.name for c in entering]):
            connection.execute(f"drop table {ZONE}.main.{quote_name(stale)}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return ZoneResult(members, rows)


def zone_columns(contract: Contract, purpose: str) -> dict[str, str]:
    """Column → DuckDB type of the dataset's table in the zone: what enters, and what tells when it ends (`technical_columns`)."""
    entering = {t.output: TRANSFORMS[t.use] or c.type for c, t in contract.entering(purpose)}
    return entering | dict.fromkeys(technical_columns(contract, purpose), "DATE")


def technical_columns(contract: Contract, purpose: str) -> dict[str, str]:
    """Days that the platform adds to a row of a dataset with a clock, with what each says: the day of the event, the first day on which the row is
    due by its own rules, and the first on which columns with a rule of their own are emptied. An account's end is in neither."""
    if not contract.clock:
        return {}
    own = sorted({c.retention for c, t in contract.entering(purpose) if c.retention and t.use != "paris_day"})
    days = {DAY: f"Day in Paris of {contract.clock}.", ENDS: "First day on which the row is due by its own rules; empty if none runs from its day."}
    return days | ({VALUES_END: f"First day on which the values with a rule of their own ({', '.join(own)}) are emptied."} if own else {})


def _grants(connection: Connection, rulebook: Rulebook, contract: Contract, purpose: Purpose, as_of: datetime) -> None:
    """Make the table of running grants for each consent that the dataset's columns need."""
    key = contract.pseudonymous_key(purpose.name)
    assert key is not None
    for name in _kinds(contract, purpose):
        kind = rulebook.policy.consent_kinds[name]
        grant_records(connection, rulebook, kind, purpose.name, as_of)
        if kind.scope == "member":
            member_grants(connection, _table(contract, name), kind, as_of)
            continue
        if contract.device is None:
            raise Refused(f"{contract.path}: enters '{purpose.name}' under {name}, which is given per device, but names no 'device' column.",
                          contract.path)
        device = quote_name(contract.device)
        device_grants(connection, _table(contract, name), f"select distinct {quote_name(key.name)} as member_id, {device} as device_id "
                      f"from {raw_table(contract)} where {quote_name(key.name)} is not null and {device} is not null", kind, as_of)


def _fill(connection: Connection, rulebook: Rulebook, contract: Contract, purpose: Purpose, as_of: datetime) -> dict[str, int]:
    """Replace the dataset's table in the zone; returns counts of its rows by what became of them."""
    today = paris_day(as_of)
    key = contract.pseudonymous_key(purpose.name)
    assert key is not None
    member, base = f"r.{quote_name(key.name)}", purpose.sources[key.category]
    named = contract.named_in(purpose.name)
    joins = [f"left join subjects as s_{t.output} on s_{t.output}.member_id = r.{quote_name(c.name)}" for c, t in named]
    nobody = " and ".join(f"r.{quote_name(c.name)} is null" for c, _ in named)
    refused = " or ".join(f"(r.{quote_name(c.name)} is not null and s_{t.output}.member_id is null)" for c, t in named)
    for name in _kinds(contract, purpose):
        on = f"g_{name}.member_id = {member}"
        if rulebook.policy.consent_kinds[name].scope == "device":
            on += f" and g_{name}.device_id = r.{quote_name(str(contract.device))}"
        joins.append(f"left join {_table(contract, name)} as g_{name} on {on}")
    columns = ", ".join(f"{_value(rulebook, contract, column, transform, purpose, base, today)} as {quote_name(transform.output)}"
                        for column, transform in contract.entering(purpose.name))
    ends = _ends(rulebook, contract, purpose)
    columns += "".join(f", {sql} as {name}" for name, sql in ends.items())
    dues = due.event_dues(contract, rulebook.policy, f"r.{DAY}", due.no_member(contract, "r."))
    gone = " or ".join([due.is_due(day, today) for _, day in dues] or ["false"])
    later = f"{_time(contract)} > $as_of" if contract.clock else "false"
    connection.execute(f"""create or replace temp table judged as
        select r._batch, r._line, case when {nobody} and not {base.visitors} then 'no_member' when {refused} then 'member_not_eligible'
               when {gone} then 'due' when coalesce({later}, false) then 'after_as_of'
               when not {_rows(base)} then 'other_source' when not {_granted(contract, base)} then 'no_consent' else 'passed' end as verdict
        from {raw_table(contract)} as r {' '.join(joins)}""",
                       {"as_of": as_of} if contract.clock else {})
    outputs = ", ".join(map(quote_name, zone_columns(contract, purpose.name)))
    connection.execute(f"""create or replace table {ZONE}.main.{quote_name(contract.name)} as
        select {columns} from {raw_table(contract)} as r
        join judged as j on j._batch = r._batch and j._line = r._line and j.verdict = 'passed'
        {' '.join(joins)} order by {outputs}""")
    return dict(connection.execute("select verdict, count(*) from judged group by 1 order by 1").fetchall())


def _value(rulebook: Rulebook, contract: Contract, column: Column, transform: Transform, purpose: Purpose, base: Source, today: date) -> str:
    """SQL of one output column: transformed, empty once its own rule is due, and empty without its own category's consent."""
    if transform.use == "pseudonym":
        return f"s_{transform.output}.pseudonym"
    clock = transform.use == "paris_day" and column.name == contract.clock
    made = expression(column, transform, f"r.{DAY}" if clock else f"r.{quote_name(column.name)}", today)
    source = purpose.sources[transform.category]
    conditions = []
    if column.retention and not clock:
        rule = rulebook.policy.retention[column.retention]
        conditions.append(f"not {due.is_due(due.chained(f'r.{DAY}', rule.periods), today)}")
    if source != base:
        conditions.append(f"{_rows(source)} and {_granted(contract, source)}")
    return f"case when {' and '.join(conditions)} then {made} end" if conditions else made


def _ends(rulebook: Rulebook, contract: Contract, purpose: Purpose) -> dict[str, str]:
    """SQL of each technical column of row `r`."""
    policy = rulebook.policy
    dues = [day for _, day in due.event_dues(contract, policy, f"r.{DAY}", due.no_member(contract, "r."))]
    values = [due.chained(f"r.{DAY}", policy.retention[c.retention].periods) for c, t in contract.entering(purpose.name)
              if c.retention and t.use != "paris_day"]
    made = {DAY: f"r.{DAY}", ENDS: f"least({', '.join(dues)})" if dues else "null::date", VALUES_END: f"least({', '.join(values)})" if values else ""}
    return {name: made[name] for name in technical_columns(contract, purpose.name) if name not in
            [t.output for _, t in contract.entering(purpose.name)]}


def _granted(contract: Contract, source: Source) -> str:
    """SQL: whether the source's basis holds for row `r`; a consent must reach back to the event (or the whole of its day)."""
    if source.basis != "consent":
        return "true"
    time = _time(contract) if contract.clock else "$as_of"
    return f"coalesce(g_{source.kind}.granted_since <= {time}, false)"


def _rows(source: Source) -> str:
    """SQL: whether row `r` is of the kind that the source names."""
    limits = [f"coalesce(r.{quote_name(column)} in ({', '.join(map(quote_text, values))}), false)" for column, values in source.rows]
    return " and ".join(limits) or "true"


def _time(contract: Contract) -> str:
    """SQL: the event's time; once that is emptied (C-10.1) the start of its day, so that a grant must cover the whole day."""
    return f"coalesce(r.{quote_name(str(contract.clock))}, r.{DAY}::timestamptz)"


def _kinds(contract: Contract, purpose: Purpose) -> list[str]:
    """The kinds of consent that columns of the dataset enter under."""
    return sorted({kind for _, t in contract.entering(purpose.name) if (kind := purpose.sources[t.category].kind)})


def _table(contract: Contract, kind: str) -> str:
    return f"grants_{contract.name}_{kind}"


def _stale_tables(connection: Connection, names: list[str]) -> list[str]:
    found = connection.execute(f"select table_name from duckdb_tables() where database_name = '{ZONE}' and schema_name = 'main'").fetchall()
    return [row[0] for row in found if row[0] not in names]
