"""One stage of the treatment: which values of which classes become `*`. Called by treatment.py, which says why.

A unit is a combination of values that occurs in the table. Its class is a number written in digits of mixed radix: one digit per column, 0 for
a star, over the number of its fixed values. So to hide a column is a subtraction, and to compare classes is to compare numbers.

1. Every value is shown. From the last column to the first: units whose class is beyond a limit hide that column.
2. On the way, what is left takes the smallest classes in that show the same in the columns before, until the limits are kept; with nothing shown
   whatever helps, before that only what costs few rows.
3. From the first column to the last: hidden values are shown again where their class and what stays hidden beside it keep the limits.

The union of two classes that keep the limits keeps them, too: it has more persons, no fewer values, and its distance is no greater than the
greater one. So no step undoes what another has reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.assurance.classes import STAR, Profile, closeness, is_numeric
from pipelines.assurance.risk import MARGIN
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import Refused
from pipelines.policy.types import RiskLimits

LOST = 0.1  # of the rows of a class of persons that may be lost to days on which too few of them did anything
TAKEN = 5   # times as many rows may lose a later column as would lose an earlier one instead
_LARGEST = 2**126


@dataclass(frozen=True)
class Made:
    generalised: dict[str, int]
    suppressed: int


@dataclass(frozen=True)
class Generalisation:
    """`columns` may become stars, first the last; `fixed` ones never. `per_person`: units are persons' attributes in a table with several rows per
    person, and a class that would lose rows on too many of its `days` hides more. `shared`: a person may stand in several units. `rare`: sensitive
    columns of which values with fewer rows in a class are going to be hidden afterwards, so that they are no different values there."""

    connection: Connection
    profile: Profile
    columns: Sequence[str]
    fixed: Sequence[str]
    types: dict[str, str]
    per_person: bool = False
    shared: bool = False
    days: Sequence[str] = ()
    rare: Mapping[str, int] = field(default_factory=dict)

    def run(self, limits: RiskLimits) -> Made:
        """Treat the table in place; returns the cells hidden per column and the rows taken out."""
        radix = self._read()
        for step in range(len(self.columns), -1, -1):
            self._do(f"update risk_units set open = false where open and cls not in ({self._bad('open', 'cls', limits, lost=step > 0)})")
            if step < len(self.columns) or not step:
                self._take_in(step, radix, limits)
            if step:
                self._do(f"update risk_units set cls = cls - c{step} * {radix[step]}, c{step} = 0 where open")
        self._do("update risk_units set gone = true, open = false where open")
        for step in range(1, len(self.columns) + 1):
            self._show_again(step, radix[step], limits)
        return self._apply()

    def _do(self, sql: str) -> None:
        self.connection.execute(sql)

    def _number(self, sql: str) -> int:
        row = self.connection.execute(sql).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _read(self) -> list[int]:
        """Make the tables of units; returns the weight of each column's digit, from place 1."""
        place, who = self.profile.place, self.profile.who
        columns, fixed = [quote_name(c) for c in self.columns], [quote_name(c) for c in self.fixed]
        for number, column in enumerate(columns, 1):
            self._do(f"""create or replace temp table risk_words_{number} as
                select {column} as word, row_number() over (order by {column}) as code
                from (select distinct {column} from {place} where {column} <> '{STAR}')""")
        keys = [*fixed, *columns]
        by = ", ".join(keys) or "1"
        persons = f"count(distinct {who})" if who and (self.per_person or self.shared) else "count(*)"
        self._do(f"""create or replace temp table risk_raw as select row_number() over (order by {by}) as unit, * from (
            select {', '.join([*keys, ''])} count(*) as n, {persons} as persons from {place} group by all)""")
        base = f"dense_rank() over (order by {', '.join(fixed)})" if fixed else "1"
        codes = "".join(f", coalesce(w{i}.code, 0) as o{i}" for i in range(1, len(columns) + 1))
        joins = " ".join(f"left join risk_words_{i} as w{i} on w{i}.word = r.{column}" for i, column in enumerate(columns, 1))
        radix, weight = [1], self._number(f"select count(*) + 1 from (select distinct {', '.join(fixed)} from risk_raw)") if fixed else 2
        for number in range(1, len(columns) + 1):
            radix.append(weight)
            weight *= self._number(f"select count(*) + 1 from risk_words_{number}")
        if weight > _LARGEST:
            raise Refused(f"{self.profile.table}: its quasi-identifiers have too many values for classes of any size. Write wider bands in the "
                          "model.", "C-3.3b")
        kind = "bigint" if weight < 2**62 else "hugeint"
        cls = " + ".join(["base", *(f"o{i} * {radix[i]}::{kind}" for i in range(1, len(columns) + 1))])
        same = "".join(f", o{i} as c{i}" for i in range(1, len(columns) + 1))
        self._do(f"""create or replace temp table risk_units as
            select *, ({cls})::{kind} as cls{same}, true as open, false as gone from (
            select r.unit, r.n, r.persons, ({base})::{kind} as base{codes} from risk_raw as r {joins})""")
        self._read_sensitive(keys)
        return radix

    def _read_sensitive(self, keys: list[str]) -> None:
        place, who = self.profile.place, self.profile.who
        on = " and ".join(f"r.{key} = t.{key}" for key in keys) or "true"
        for number, name in enumerate(self.profile.sensitive):
            column = quote_name(name)
            self._do(f"create or replace temp table risk_values_{number} as select r.unit, t.{column} as value, count(*) as n "
                     f"from {place} as t join risk_raw as r on {on} group by all")
            self._do(f"create or replace temp table risk_whole_{number} as select value, sum(n)::bigint as n from risk_values_{number} group by 1")
        if self.shared:
            self._do(f"create or replace temp table risk_persons as select distinct r.unit, {who} as person "
                     f"from {place} as t join risk_raw as r on {on}")
        if self.days:
            days = ", ".join(f"t.{quote_name(day)}" for day in self.days)
            self._do(f"create or replace temp table risk_days as select r.unit, {days}, count(distinct {who}) as persons, count(*) as n "
                     f"from {place} as t join risk_raw as r on {on} group by all")

    def _bad(self, which: str, cls: str, limits: RiskLimits, lost: bool = False) -> str:
        """SQL: the classes, among the units that `which` selects and under the class that `cls` computes, that are beyond a limit."""
        units = f"(select unit, n, persons, ({cls}) as cls from risk_units where {which} and not gone)"
        if self.shared:
            few = f"select u.cls from {units} as u join risk_persons as p using (unit) group by u.cls having count(distinct p.person) < {limits.k}"
        else:
            few = f"select cls from {units} group by cls having sum(persons) < {limits.k}"
        parts = [few]
        for number, name in enumerate(self.profile.sensitive):
            found = closeness(is_numeric(self.types[name]), self.rare.get(name, 1))
            parts.append(f"""select cls from (with counted as (select u.cls, v.value, sum(v.n)::hugeint as n from {units} as u
                    join risk_values_{number} as v using (unit) group by all), whole as (from risk_whole_{number})
                select * from ({found})) where distinct_values < {limits.l} or distance > {limits.t - MARGIN}""")
        if lost and self.days:
            days = ", ".join(f"d.{quote_name(day)}" for day in self.days)
            parts.append(f"""select cls from (select u.cls, sum(d.n) as n, sum(d.persons) as persons
                from {units} as u join risk_days as d using (unit) group by u.cls, {days})
                group by cls having coalesce(sum(n) filter (persons < {limits.k}), 0) > {LOST} * sum(n)""")
        return " union ".join(parts)

    def _take_in(self, step: int, radix: list[int], limits: RiskLimits) -> None:
        """What is left where the first `step` columns are shown takes in 1, 2, 4 … of the smallest classes that show the same in these: those then
        show no more, either. Not more than some times as many rows, but with nothing shown whatever helps."""
        prefix = " - ".join(["cls", *(f"c{i} * {radix[i]}" for i in range(step + 1, len(self.columns) + 1))])
        self._do(f"""create or replace temp table risk_ranks as
            select base, cls, row_number() over same as place, sum(n) over same <= {TAKEN} * left_over as cheap
            from (select {prefix} as base, cls, sum(n) as n from risk_units where not open group by all) as c
            join (select cls as base, sum(n) as left_over from risk_units where open group by 1) as o using (base)
            window same as (partition by base order by n, cls)""")
        if step:
            self._do("delete from risk_ranks where not cheap")
        most, taken = self._number("select max(place) from risk_ranks"), 1
        hidden = ", ".join([f"cls = {prefix}", "open = false", *(f"c{i} = 0" for i in range(step + 1, len(self.columns) + 1))])
        while taken <= most:
            self._do("""create or replace temp table risk_left as select distinct cls from risk_units
                where open and cls in (select base from risk_ranks)""")
            chosen = f"(open or cls in (select cls from risk_ranks where place <= {taken})) and ({prefix}) in (from risk_left)"
            self._do(f"update risk_units set {hidden} where {chosen} and ({prefix}) not in ({self._bad(chosen, prefix, limits, lost=step > 0)})")
            taken = taken * 2 if taken == most or taken * 2 <= most else most

    def _show_again(self, step: int, weight: int, limits: RiskLimits) -> None:
        """Step 3 for one column: per class with a star in it, the values that can stand alone, if what stays can, too."""
        if not self._number(f"select count(*) from risk_units where c{step} = 0 and o{step} > 0 and not gone"):
            return
        shown, starred = f"cls + o{step} * {weight}", f"c{step} = 0"
        hidden = f"{starred} and o{step} > 0 and not gone"
        self._do(f"""create or replace temp table risk_shown as select cls, ({shown}) as made, sum(n) as n from risk_units
            where {hidden} and ({shown}) not in ({self._bad(hidden, shown, limits)}) group by all""")
        staying = f"{starred} and ({shown}) not in (select made from risk_shown)"
        while self._number("select count(*) from risk_shown"):
            self._do(f"create or replace temp table risk_short as {self._bad(staying, 'cls', limits)}")
            if not self._number("select count(*) from risk_shown where cls in (from risk_short)"):
                break
            self._do("""delete from risk_shown where made in (select arg_min(made, (n, made)) from risk_shown
                where cls in (from risk_short) group by cls)""")
        self._do(f"update risk_units set cls = {shown}, c{step} = o{step} where {hidden} and ({shown}) in (select made from risk_shown)")

    def _apply(self) -> Made:
        place, count = self.profile.place, range(1, len(self.columns) + 1)
        keys = [quote_name(c) for c in (*self.fixed, *self.columns)]
        same = " and ".join(f"t.{key} = r.{key}" for key in keys) or "true"
        hidden = {name: self._number(f"select sum(n) from risk_units where c{i} = 0 and o{i} > 0 and not gone")
                  for i, name in enumerate(self.columns, 1)}
        gone = self._number("select sum(n) from risk_units where gone")
        if gone:
            self._do(f"delete from {place} as t using (select r.* from risk_raw as r join risk_units as u using (unit) where u.gone) as r "
                     f"where {same}")
        if any(hidden.values()):
            changed = " or ".join(f"c{i} <> o{i}" for i in count)
            sets = ", ".join(f"{quote_name(name)} = case when r.c{i} = 0 then '{STAR}' else t.{quote_name(name)} end"
                             for i, name in enumerate(self.columns, 1))
            self._do(f"""update {place} as t set {sets} from (select r.*, {', '.join(f'u.c{i}' for i in count)} from risk_raw as r
                join risk_units as u using (unit) where not u.gone and ({changed})) as r where {same}""")
        return Made({name: n for name, n in hidden.items() if n}, gone)
