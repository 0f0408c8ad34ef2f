"""What ingesting a marketplace must store: rows that must not be stored at all are refused, bad ones set aside, of each key one state is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from pipelines.simulation.truth.consents import Decision, Register
from pipelines.simulation.truth.datasets import DATASETS, OPTIONAL_IDS, Dataset
from pipelines.simulation.truth.days import (
    LOG_DAYS,
    PLACE_DAYS,
    SALE_MONTHS,
    VISITOR_MONTHS,
    account_end,
    days_later,
    midnight,
    months_later,
    paris_day,
)
from pipelines.simulation.truth.files import Row, ndjson, rows

IDENTIFIER = re.compile("[A-Za-z0-9_-]{1,64}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
LONGEST_PAGE = 2000
NEEDS_CONSENT = {"functional": "functional_cookies", "analytics": "analytics_cookies", "targeting": "targeting_cookies"}  # C-8, C-8.1


@dataclass
class Record:
    """A stored row. `moment`: when it was made, to the second; `day`: on which Paris day, which starts its clocks."""

    values: Row
    moment: datetime
    day: date

    def __getitem__(self, column: str) -> str | None:
        return self.values.get(column)


@dataclass
class Outcome:
    """What became of a dataset's rows. `without_grant`: waiting in quarantine for a consent record that comes late (Gate)."""

    read: int = 0
    quarantined: int = 0
    refused: int = 0
    already_known: int = 0
    without_grant: list[Row] = field(default_factory=list)
    stored: list[Record] = field(default_factory=list)


@dataclass
class Market:
    """All that was delivered, judged as of the day `end`."""

    end: date
    outcomes: dict[str, Outcome]
    register: Register
    acts: list[Row]  # what members and compliance did by command

    @property
    def as_of(self) -> datetime:
        return midnight(self.end)

    def stored(self, dataset: str) -> list[Record]:
        return self.outcomes[dataset].stored


def receive(out: Path, end: date) -> Market:
    """Judge every row below `out`. Consents come first: events and places are held against them."""
    register = Register()
    outcomes = {}
    for name in sorted(DATASETS, key=lambda name: name != "consents"):
        outcomes[name] = outcome = Outcome()
        for row in rows(out / name):
            outcome.read += 1
            _judge(name, DATASETS[name], row, outcome, register, end)
        _one_state_each(DATASETS[name], outcome)
        if name == "consents":
            register.add_all(Decision.of(record.values, record.moment) for record in outcome.stored)
    return Market(end, outcomes, register, list(ndjson(out / "truth" / "acts.ndjson")))


def balances(market: Market) -> dict[str, dict[str, int]]:
    """read = loaded + quarantined + refused + already_known; `waiting`, those of the quarantined that wait for a consent that comes late."""
    found = {}
    for name, outcome in market.outcomes.items():
        waiting = len(outcome.without_grant)
        found[name] = {"read": outcome.read, "loaded": len(outcome.stored), "already_known": outcome.already_known,
                       "quarantined": outcome.quarantined + waiting, "refused": outcome.refused, "waiting": waiting}
    return found


def _judge(name: str, dataset: Dataset, row: Row | None, outcome: Outcome, register: Register, end: date) -> None:
    if row is None:
        outcome.quarantined += 1
    elif holds_card(row) or due_on_arrival(name, dataset, row, end):  # C-2.5, C-10.0
        outcome.refused += 1
    elif _is_bad(name, dataset, row):
        outcome.quarantined += 1
        if name == "consents":
            register.add_unread(Decision.of(row, moment(row.get("recorded_at"))))
    else:
        at = moment(row[dataset.made])
        assert at is not None
        if without_grant(name, row, at, register):
            outcome.without_grant.append(row)
        else:
            outcome.stored.append(Record(_at_the_door(dataset, row), at, paris_day(at)))


def due_on_arrival(name: str, dataset: Dataset, row: Row, end: date) -> bool:
    """Whether the row's time is over before it comes (C-10.0). An account's is that of its deletion or last act (C-10.3)."""
    if name == "members":
        active = day(row.get("last_active_on"))
        return active is not None and account_end(moment(row.get("deleted_at")), active) <= end
    at = moment(row.get(dataset.made))
    return at is not None and event_end(name, paris_day(at), all(row.get(column) is None for column in dataset.people)) <= end


def event_end(name: str, made: date, of_a_visitor: bool) -> date:
    """The day on which a row is due by its own day alone; the last of all days where only an account ends it."""
    if name == "access_logs":
        return days_later(made, LOG_DAYS)
    if name == "transactions":
        return months_later(made, SALE_MONTHS)
    if name == "locations":
        return days_later(made, PLACE_DAYS)
    if name == "usage_events" or (name == "consents" and of_a_visitor):
        return months_later(made, VISITOR_MONTHS)
    return date.max


def without_grant(name: str, row: Row, at: datetime, register: Register) -> bool:
    """Whether an event of a cookie that is not necessary, or a place, has no grant at its time (Gate)."""
    kind = "location" if name == "locations" else NEEDS_CONSENT.get(row.get("cookie_category") or "") if name == "usage_events" else None
    return kind is not None and not register.granted_at(kind, row["device_id"], row.get("member_id"), at)


def _one_state_each(dataset: Dataset, outcome: Outcome) -> None:
    """Of rows with one key the newest is stored, the first of equals; the others are already known. A log line has no key: two equal ones may
    both have happened."""
    if dataset.key is None:
        return
    kept: dict[str | None, Record] = {}
    for record in outcome.stored:
        other = kept.get(record[dataset.key])
        if other is None or (dataset.newest and _time(record[dataset.newest]) > _time(other[dataset.newest])):
            kept[record[dataset.key]] = record
    outcome.already_known = len(outcome.stored) - len(kept)
    outcome.stored = list(kept.values())


def _at_the_door(dataset: Dataset, row: Row) -> Row:
    """The row without the values that must not be kept: a telephone number once it has served, what came through a link that was cancelled."""
    return row | {column: None for column, statuses in dataset.only_while.items() if row["status"] not in statuses}


def _is_bad(name: str, dataset: Dataset, row: Row) -> bool:
    people = [row.get(column) for column in dataset.people]
    identifiers = [row.get(column) for column in row if column.endswith("_id") and column not in OPTIONAL_IDS]
    return any((
        any(row.get(column) is None for column in dataset.required),
        any(row.get(column) is not None and row[column] not in words for column, words in dataset.words.items()),
        any(row.get(column) is not None and moment(row[column]) is None for column in dataset.times),
        any(row.get(column) is not None and day(row[column]) is None for column in dataset.days),
        any(not re.fullmatch(r"[+-]?[0-9]+", row.get(column) or "0") for column in dataset.whole),
        any(not re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", row.get(column) or "0") for column in dataset.amounts),
        name != "access_logs" and any(not IDENTIFIER.fullmatch(value) for value in identifiers if value),
        len(people) == 2 and name != "comments" and people[0] is not None and people[0] == people[1],  # nobody sells, writes to or rates themself
        name == "consents" and row.get("member_id") is None and row.get("device_id") is None,
        name == "members" and not EMAIL.fullmatch(row.get("email") or ""),
        name == "members" and row.get("iban") is not None and not is_iban(row["iban"] or ""),
        name == "usage_events" and len(row.get("page") or "") > LONGEST_PAGE,
        name == "locations" and (abs(float(row.get("latitude") or 0)) > 90 or abs(float(row.get("longitude") or 0)) > 180),
    ))


def is_iban(text: str) -> bool:
    """ISO 13616: read as a number with the country and the check digits behind, it leaves 1 (C-2.3c)."""
    return re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}", text) is not None and int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def holds_card(row: Row) -> bool:
    """Whether any value holds a full card number: 13 to 19 digits of an issuer, with blanks or dashes between them, that pass the Luhn check."""
    return any(_is_card(re.sub("[ -]", "", found)) for value in row.values() if value for found in DIGITS.findall(value))


def _is_card(digits: str) -> bool:
    doubled = sum(sum(map(int, str(2 * int(digit)))) for digit in digits[-2::-2])
    return digits[0] in "3456" and (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def moment(text: str | None) -> datetime | None:
    """A time with its offset; None where the text is no such time."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _time(text: str | None) -> datetime:
    found = moment(text)
    assert found is not None
    return found
