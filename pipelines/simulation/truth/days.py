"""The calendar of the promises: Paris days, calendar months clipped to the month's end, and the periods themselves (C-10.0)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
LOG_DAYS = 30              # C-10.1, from the day of the access
SALE_MONTHS = 13           # C-10.2, from the start of the transaction
AFTER_DELETION_MONTHS = 3  # C-10.3
INACTIVE_YEARS = 5         # C-10.3, and then the three months of a deletion
PLACE_DAYS = 1             # C-2.7: 24 hours, and a day is what the clock counts
PHONE_DAYS = 7             # C-3.5
VISITOR_MONTHS = 13        # C-10.9: visitors and devices
CONSENT_MONTHS = 13        # C-10.9: what was decided on a device, afterwards unknown
ADULT_YEARS = 18           # C-2.2b


def midnight(day: date) -> datetime:
    """When the day begins in Paris."""
    return datetime(day.year, day.month, day.day, tzinfo=PARIS)


def paris_day(moment: datetime) -> date:
    return moment.astimezone(PARIS).date()


def days_later(day: date, days: int) -> date:
    return day + timedelta(days=days)


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    count = day.year * 12 + day.month - 1 + months
    following = date((count + 1) // 12, (count + 1) % 12 + 1, 1)
    last = following - timedelta(days=1)
    return min(last, last.replace(day=1) + timedelta(days=day.day - 1))


def account_end(deleted: datetime | None, last_active: date) -> date:
    """The day on which what belongs to an account is due: the earlier of deletion and inactivity (C-10.3)."""
    ends = [months_later(months_later(last_active, 12 * INACTIVE_YEARS), AFTER_DELETION_MONTHS)]
    if deleted:
        ends.append(months_later(paris_day(deleted), AFTER_DELETION_MONTHS))
    return min(ends)


def of_age(birthday: date | None, today: date) -> bool:
    """Whether nothing says that somebody is under 18."""
    return birthday is None or (birthday.year + ADULT_YEARS, birthday.month, birthday.day) <= (today.year, today.month, today.day)
