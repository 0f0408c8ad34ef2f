"""What every dataset of the simulation shares: the period, the dice, the connection; and how a moment is written.

Moments are microseconds since 1970 (BIGINT) until the last step; days are Europe/Paris days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.foundation.dates import Period, plus, start_of_day
from pipelines.simulation import cases, vocabulary
from pipelines.simulation.cases import DUE_SOON_DAYS
from pipelines.simulation.dice import Dice
from pipelines.simulation.lines import PLAIN

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
TRANSACTION_PERIOD = (Period(months=13),)                    # C-10.2
DELETION_PERIOD = (Period(months=3),)                        # C-10.3
VISITOR_PERIOD = (Period(months=13),)                        # C-10.9
INACTIVITY_PERIOD = (Period(years=5), Period(months=3))      # C-10.3


@dataclass(frozen=True)
class ConsentWords:
    """The policy's words for consents, and for the purposes that a member can object to. Kinds ending in `_cookies` and `of_devices` are decided
    per device, all others per member; versions newest last."""

    kinds: tuple[str, ...]
    express_methods: tuple[str, ...]
    never_consent_methods: tuple[str, ...]
    versions: tuple[str, ...]
    of_devices: tuple[str, ...] = ()  # kinds beside the cookies that are decided per device
    purposes: tuple[str, ...] = ()

    @property
    def device_kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.kinds if kind.endswith("_cookies") or kind in self.of_devices)

    @property
    def member_kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.kinds if kind not in self.device_kinds)

    def method(self, preferred: str) -> str:
        """That express method if the policy has it, else its first."""
        return preferred if preferred in self.express_methods else self.express_methods[0]


@dataclass(frozen=True)
class World:
    """One simulation under way: its size, its period, its dice, and the connection that holds its tables."""

    connection: Connection
    members: int
    days: int
    end: date
    dice: Dice
    words: ConsentWords

    @property
    def start(self) -> date:
        """First day of the period."""
        return self.end - timedelta(days=self.days - 1)

    @property
    def start_us(self) -> int:
        return midnight_us(self.start)

    @property
    def end_us(self) -> int:
        """The moment after the period's last."""
        return midnight_us(self.end + timedelta(days=1))

    def due_soon(self, periods: Sequence[Period]) -> list[date]:
        """Days whose clock runs out shortly after the end."""
        return days_due(periods, self.end + timedelta(days=DUE_SOON_DAYS[0]), self.end + timedelta(days=DUE_SOON_DAYS[1]))

    def apart(self) -> World:
        """The same world on a connection of its own, for a thread of its own."""
        return replace(self, connection=self.connection.cursor())

    def build(self, table: str, query: str) -> int:
        """Create `table` from `query` and return its number of rows."""
        self.connection.execute(f"create table {table} as {query}")
        return self.count(table)

    def count(self, table: str) -> int:
        row = self.connection.execute(f"select count(*) from {table}").fetchone()
        assert row is not None
        return int(row[0])

    def write(self, query: str, path: Path, options: str) -> int:
        """Write the rows of `query` in their order, and return how many they were."""
        row = self.connection.execute(f"copy ({query}) to {quote_text(str(path))} ({options})").fetchone()
        assert row is not None
        return int(row[0])

    def write_lines(self, line: str, rows: str, path: Path) -> int:
        """Write one line for each of `rows` (SQL: a table and its joins), in their order; below the names of the columns if it is a CSV."""
        return self.write(f"select {line} from {rows} {self.in_order}", path, f"{PLAIN}, header {path.suffix == '.csv'}")

    def delivered(self, table: str, dataset: str) -> str:
        """SQL for the rows of a dataset with `position` and `defect`, in their order; those that are delivered twice stand at the end again."""
        rows = self.count(table)
        marked = f"select *, rowid as position, {cases.defect(dataset, rows, 'rowid')} as defect from {table}"
        return f"({marked} union all select * replace (position + {rows} as position) from ({marked}) where defect = 'repeated')"

    @property
    def in_order(self) -> str:
        """SQL behind delivered rows and their joins: nothing where a look-up goes by place and so keeps the order of the rows. The engine does that
        below a million numbers, of which a member takes up to five; where it must search, it may exchange neighbours."""
        return "order by position" if 5 * self.members > 1_000_000 else ""

    def first_kept(self, periods: Sequence[Period]) -> date:
        """The first day that is not yet due shortly after the end: rows of an earlier one would be refused on arrival."""
        due = self.end + timedelta(days=DUE_SOON_DAYS[0])
        return days_due(periods, due, due + timedelta(days=31))[0]


def days_due(periods: Sequence[Period], first: date, last: date) -> list[date]:
    """The days to which adding `periods` gives a day from `first` to `last`. Month ends share a due day, so some due days have none."""
    length = plus(first, periods) - first
    candidates = (first - length + timedelta(days=shift) for shift in range(-7, (last - first).days + 8))
    return [day for day in candidates if first <= plus(day, periods) <= last]


def midnight_us(day: date) -> int:
    return int(start_of_day(day).timestamp()) * 1_000_000


def midnight(day: str) -> str:
    """SQL: the moment at which a Paris day (SQL for a DATE) begins."""
    return f"epoch_us(({day})::timestamp::timestamptz)"


def days(values: Sequence[date]) -> str:
    """A SQL list of dates."""
    return "[" + ", ".join(f"date '{value}'" for value in values) + "]"


def at_utc(us: str) -> str:
    """SQL: RFC 3339 in UTC, such as 2015-05-17T10:05:03Z."""
    return f"strftime(make_timestamp({us}), '%Y-%m-%dT%H:%M:%SZ')"


def awake(us: str, latest: str) -> str:
    """SQL: `us`, moved eleven hours on where it falls in the night and `latest` allows (two moments in SQL)."""
    return f"case when ({us} // {HOUR_US} + 1) % 24 < 6 and {us} + {11 * HOUR_US} < {latest} then {us} + {11 * HOUR_US} else {us} end"


def member_id(number: str) -> str:
    """SQL: m000001 …; null for no member."""
    return f"case when {number} is not null then printf('m%06d', {number}) end"


def offer_category(offer: str, dice: Dice) -> str:
    """SQL: the kind of goods of an offer (its number), the same wherever the offer appears, as its place in the vocabulary."""
    return dice.below(len(vocabulary.ITEM_CATEGORIES), "offer category", offer)
