"""How rows of one dataset enter one purpose, as SQL: what is joined, the verdict on a row, and the columns that it becomes.

A dataset enters by the basis of the category of its first member column; a column whose category rests on another basis is empty where that is
missing. A row passes only if every member that it names may be in (C-2.6, C-10.2: a side that was severed names nobody). Rows and values
that are due do not enter even if retention has not run yet (C-10.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.foundation.dates import paris_day
from pipelines.lake.tables import raw_table
from pipelines.policy import due
from pipelines.policy.contract_types import Column, Contract, Transform
from pipelines.policy.types import Policy, Purpose, Source
from pipelines.policy.vocabulary import DAY, TRANSFORMS
from pipelines.pseudonymisation.subjects import base, by_pair
from pipelines.pseudonymisation.transforms import expression, reads_agents

PASSED = "passed"
ENDS, VALUES_END = "ends_on", "values_end_on"


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


@dataclass(frozen=True)
class Rows:
    """Rows of `contract` on their way into `purpose`, judged as of `as_of`. Its SQL speaks of the raw row `r`, and of `s0`, `s1` …: a row of
    `subjects` for each member that it names, or where the device counts too, `s0` alone, a row of `pairs`."""

    contract: Contract
    purpose: Purpose
    policy: Policy
    as_of: datetime

    @property
    def today(self) -> date:
        return paris_day(self.as_of)

    @property
    def by_pair(self) -> bool:
        return by_pair(self.contract, self.purpose, self.policy)

    @property
    def named(self) -> tuple[str, ...]:
        """SQL of each column of `r` that names a member and enters."""
        return tuple(f"r.{quote_name(c.name)}" for c, _ in self.contract.named_in(self.purpose.name))

    @property
    def base(self) -> Source:
        return base(self.contract, self.purpose)

    def joined(self, every: bool = False, subjects: str = "subjects", pairs: str = "pairs", rows: str = "") -> str:
        """SQL behind `from`: the rows (of the raw table, or of `rows`), and beside each what is known of whom it names. With `every` also the rows of
        which that is nothing, for counting; without, they are left out where they cannot pass."""
        source = f"{rows or raw_table(self.contract)} as r"
        how = "left " if every or self.base.visitors or len(self.named) > 1 else ""
        if self.by_pair:
            member = f"coalesce({self.named[0]}, '')" if self.base.visitors else self.named[0]
            return f"{source} {how}join {pairs} as s0 on s0.member_id = {member} and s0.device_id = r.{quote_name(str(self.contract.device))}"
        return " ".join([source, *(f"{how}join {subjects} as s{n} on s{n}.member_id = {member}" for n, member in enumerate(self.named))])

    def agents(self, where: str = "true") -> list[str]:
        """Queries for the user agents of rows `r`, of which transforms need to know (`prepare`)."""
        return [f"select distinct r.{quote_name(c.name)} from {raw_table(self.contract)} as r where {where}"
                for c, t in self.contract.entering(self.purpose.name) if reads_agents(t)]

    def select(self) -> str:
        """SQL up to `from` and the joins: the columns of the zone."""
        return f"select {', '.join(f'{sql} as {quote_name(name)}' for name, sql in self.columns().items())} from {self.joined()}"

    def verdict(self) -> str:
        """SQL: 'passed', or the first reason against the row."""
        nobody = " and ".join(f"{member} is null" for member in self.named)
        out = " or ".join(f"({member} is not null and s{n}.member_id is null)" for n, member in enumerate(self.named))
        if self.base.visitors:  # one without a pseudonym does not flow in, but where there is no device that it could be of (C-2.1: log files)
            nobody = f"{nobody} and s0.member_id is null" if self.by_pair and self.base.basis != "consent" else "false"
        return (f"case when {nobody} then 'no_member' when {out} then 'member_not_eligible' when {self.due()} then 'due' "
                f"when {self.later(self.as_of)} then 'after_as_of' when not {_limits(self.base)} then 'other_source' "
                f"when not {self.granted(self.base)} then 'no_consent' else '{PASSED}' end")

    def due(self) -> str:
        """SQL: whether the row is due by a rule that runs from its day."""
        return " or ".join([due.is_due(day, self.today) for day in self._dues()] or ["false"])

    def later(self, instant: datetime) -> str:
        """SQL: whether the row was made after `instant`."""
        return f"coalesce(r.{quote_name(self.contract.clock)} > {moment(instant)}, false)" if self.contract.clock else "false"

    def columns(self) -> dict[str, str]:
        """Output column → SQL of its value, as `zone_columns` lists them."""
        made = {t.output: self._value(c, t) for c, t in self.contract.entering(self.purpose.name)}
        dues, own = self._dues(), self.own_ends()
        days = {DAY: f"r.{DAY}", ENDS: f"least({', '.join(dues)})" if dues else "null::date", VALUES_END: f"least({', '.join(own)})" if own else ""}
        return made | {name: days[name] for name in technical_columns(self.contract, self.purpose.name) if name not in made}

    def own_ends(self, day: str = f"r.{DAY}", clock: bool = False) -> list[str]:
        """SQL of the days on which columns with a rule of their own are emptied; with `clock` also the time that the row is judged by."""
        rules = {c.retention for c, t in self.contract.entering(self.purpose.name)
                 if c.retention and (t.use != "paris_day" or (clock and c.name == self.contract.clock))}
        return [due.chained(day, self.policy.retention[rule].periods) for rule in sorted(rules)]

    def granted(self, source: Source) -> str:
        """SQL: whether the source's basis holds for the row; a consent must reach back to the event, for each member that it names."""
        if source.own:
            cases = " ".join(f"when {quote_text(kind)} then {self._covered(kind)}" for kind in source.kinds)
            return f"case r.{quote_name(source.rows[0][0])} {cases} else false end"
        return self._covered(source.kind) if source.basis == "consent" and source.kind else "true"

    def _covered(self, kind: str) -> str:
        time = self._time()
        if self.by_pair or len(self.named) == 1:
            return f"coalesce(s0.since_{kind} <= {time}, false)"
        return "(" + " and ".join(f"({m} is null or coalesce(s{n}.since_{kind} <= {time}, false))" for n, m in enumerate(self.named)) + ")"

    def _time(self) -> str:
        """SQL: the event's time; once that is due to be emptied (C-10.1) the start of its day, so that a grant must cover the whole day."""
        if not self.contract.clock:
            return moment(self.as_of)
        clock = self.contract.column(self.contract.clock)
        known = f"coalesce(r.{quote_name(clock.name)}, r.{DAY}::timestamptz)"
        if not clock.retention:
            return known
        over = due.is_due(due.chained(f"r.{DAY}", self.policy.retention[clock.retention].periods), self.today)
        return f"case when {over} then r.{DAY}::timestamptz else {known} end"

    def _dues(self) -> list[str]:
        return [day for _, day in due.event_dues(self.contract, self.policy, f"r.{DAY}", due.no_member(self.contract, "r."))] \
            if self.contract.clock else []

    def _value(self, column: Column, transform: Transform) -> str:
        """SQL of one output column: transformed, empty once its own rule is due, and empty without its own category's consent."""
        if transform.use == "pseudonym":
            place = [c.name for c, _ in self.contract.named_in(self.purpose.name)].index(column.name)
            return f"s{place}.pseudonym"
        if transform.use == "device":
            tied = f"{self.named[0]} is null or {self._covered(self.policy.ties_devices)}" if self.policy.ties_devices else f"{self.named[0]} is null"
            return f"case when {tied} then s0.device_key end"
        clock = transform.use == "paris_day" and column.name == self.contract.clock
        made = expression(column, transform, f"r.{DAY}" if clock else f"r.{quote_name(column.name)}", self.today)
        source, conditions = self.purpose.sources[transform.category], []
        if column.retention and not clock:
            rule = self.policy.retention[column.retention]
            conditions.append(f"not {due.is_due(due.chained(f'r.{DAY}', rule.periods), self.today)}")
        if source != self.base:
            conditions += [limit for limit in (_limits(source), self.granted(source)) if limit != "true"]
        return f"case when {' and '.join(conditions)} then {made} end" if conditions else made


def moment(instant: datetime) -> str:
    """SQL: an instant."""
    return f"timestamptz {quote_text(instant.isoformat())}"


def _limits(source: Source) -> str:
    """SQL: whether row `r` is of the kind that the source names."""
    limits = [f"coalesce(r.{quote_name(column)} in ({', '.join(map(quote_text, values))}), false)" for column, values in source.rows]
    return "(" + " and ".join(limits) + ")" if limits else "true"
