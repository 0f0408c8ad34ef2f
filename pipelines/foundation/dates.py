"""Calendar arithmetic of the policy: Europe/Paris days, ISO-8601 periods, month ends (C-10.0).

Nothing here reads a clock. A period is added to a *day*: years and months first, clipped to the month's end, then
weeks and days. 13 months are not 390 days, and 31 January plus one month is the last day of February.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from pipelines.foundation.errors import Misuse

PARIS = ZoneInfo("Europe/Paris")
FIRST_YEAR, LAST_YEAR = 1900, 2200  # a period added to any day between them is a day too
_PERIOD = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")


@dataclass(frozen=True)
class Period:
    """An ISO-8601 duration in calendar units, such as P1Y1M, P4W or P30D."""

    years: int = 0
    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> Period:
        found = _PERIOD.fullmatch(text)
        if not found or text == "P":
            raise Misuse(f"'{text}' is not an ISO-8601 period of years, months, weeks and days. Examples: P30D, P13M, P5Y3M, P4W.")
        years, months, weeks, days = (int(part or 0) for part in found.groups())
        return cls(years, months, 7 * weeks + days)

    def sql(self, day: str) -> str:
        """DuckDB expression for `day` (a DATE expression) plus this period; DuckDB clips months to their end as `plus` does."""
        return f"({day} + interval {12 * self.years + self.months} month + interval {self.days} day)::date"

    def __str__(self) -> str:
        parts = [f"{n}{unit}" for n, unit in ((self.years, "Y"), (self.months, "M"), (self.days, "D")) if n]
        return "P" + ("".join(parts) or "0D")


def plus(day: date, periods: Sequence[Period]) -> date:
    """`day` with each period added in turn: chained periods are steps, not one sum (C-10.0)."""
    for period in periods:
        months = day.month - 1 + period.months
        year, month = day.year + period.years + months // 12, months % 12 + 1
        day = date(year, month, min(day.day, calendar.monthrange(year, month)[1])) + timedelta(days=period.days)
    return day


@cache
def _calendar() -> tuple[date, ...]:
    """Every day of four years, a leap year among them."""
    return tuple(date(2023, 1, 1) + timedelta(days=n) for n in range(1461))


def compare_periods(old: Sequence[Period], new: Sequence[Period]) -> str:
    """'same', 'shorter', or 'longer' if it ends later from any day of the calendar: a month has no number of days."""
    if tuple(old) == tuple(new):
        return "same"
    gaps = [(plus(day, new) - plus(day, old)).days for day in _calendar()]
    return "longer" if max(gaps) > 0 else "shorter" if min(gaps) < 0 else "same"


def parse_as_of(text: str) -> datetime:
    """An instant from a date (00:00 Europe/Paris of that day) or an RFC 3339 time with its offset."""
    try:
        day_alone = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)
        instant = start_of_day(date.fromisoformat(text)) if day_alone else datetime.fromisoformat(text)
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise ValueError
    except ValueError:
        raise Misuse(f"'{text}' is not a date. Write a day such as 2026-01-31, or a time such as 2026-01-31T09:00:00+01:00.") from None
    if instant.tzinfo is None:
        raise Misuse(f"'{text}' has no offset. Write 2026-01-31T09:00:00+01:00, or the day alone for midnight in Paris.")
    return instant.astimezone(PARIS)


def parse_day(text: str) -> date:
    """A calendar day such as 2026-01-31."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise Misuse(f"'{text}' is not a day. Write one such as 2026-01-31.")


def start_of_day(day: date) -> datetime:
    """Midnight of `day` in Paris: the day may have 23, 24 or 25 hours after it."""
    return datetime.combine(day, time(0), PARIS)


def paris_day_sql(instant: str, around: date) -> str:
    """DuckDB expression for the day in Paris on which `instant` (a TIMESTAMPTZ expression) falls. From two years before `around` to the end of its
    year it is counted from the offset of each half-year, which takes a tenth of the time of a cast; any other is cast."""
    cases = "".join(f" when {instant} >= timestamptz '{start.isoformat()}' and {instant} < timestamptz '{end.isoformat()}' "
                    f"then make_timestamp(epoch_us({instant}) + {_offset(start) // timedelta(microseconds=1)})::date"
                    for start, end in _half_years(around.year))
    return f"case when {instant} is null then null{cases} else ({instant})::date end"


@cache
def _half_years(last: int) -> tuple[tuple[datetime, datetime], ...]:
    """Stretches of time from one change of the clocks to the next, the latest first, in each of which every day has one offset."""
    changes = [datetime(year, month, 31 - (date(year, month, 31).weekday() + 1) % 7, 1, tzinfo=UTC)
               for year in range(last + 1, last - 3, -1) for month in (10, 3)][1:]
    return tuple((start, end) for end, start in pairwise(changes)
                 if all(_offset(start + timedelta(days=n)) == _offset(start) for n in range((end - start).days)))


def _offset(instant: datetime) -> timedelta:
    return instant.astimezone(PARIS).utcoffset() or timedelta()


def paris_day(instant: datetime) -> date:
    """The calendar day in Paris on which `instant` falls."""
    return instant.astimezone(PARIS).date()
