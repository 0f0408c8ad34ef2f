"""What must be left of every raw dataset after the retention run of a day: nothing with due ≤ that day (C-10.0 to C-10.3, C-10.9, C-2.6)."""

from __future__ import annotations

from datetime import date, timedelta

from pipelines.simulation.truth.datasets import DATASETS, Dataset
from pipelines.simulation.truth.days import AFTER_DELETION_MONTHS, LOG_DAYS, account_end, days_later, midnight, months_later
from pipelines.simulation.truth.door import NEEDS_CONSENT, Market, Record, day, event_end, moment


def truth(market: Market) -> dict[str, object]:
    """Run day → dataset → what is left: `rows`; `values` of the columns that may be empty before their row goes; `people`, values of the columns that
    name a member where a leaver's side is severed; `withdrawn`, how many rows have left because the consent that they rested on was withdrawn since,
    and for no other reason (Gate, C-2.7, C-10.9). Each run finds what the ones before it left, which changes nothing: what is due stays due."""
    return {run.isoformat(): left(market, run) for run in run_days(market.end)}


def run_days(end: date) -> tuple[date, ...]:
    """The last simulated day and days after it. On the last of them, three days short of five years and three months, about every third of the
    members who were active to the end has been silent long enough, so that conversations and threads lose one side, or all."""
    return (end, end + timedelta(days=1), end + timedelta(days=31), months_later(end, 4), months_later(end, 14),
            months_later(end, 63) - timedelta(days=3))


def left(market: Market, run: date) -> dict[str, object]:
    ends = {str(member["member_id"]): _end_of(member) for member in market.stored("members")}
    held = {(act["dataset"], act["key"]) for act in market.acts if act["act"] == "hold"}
    found = {}
    for name, dataset in DATASETS.items():
        free, claimed = list[Record](), list[Record]()  # what is held for a claim is kept as it is (C-10.5)
        for record in market.stored(name):
            (claimed if dataset.key and (name, record[dataset.key]) in held else free).append(record)
        live = [record for record in free if not _is_due(name, dataset, record, ends, run)]
        kept = [record for record in live if not _withdrawn(name, record, market, run)]
        if name == "forum_posts":  # the last live account of the thread takes the others' texts with it
            alive = {post["thread_id"] for post in kept if _lives(post["author_id"], post, ends, run)}
            live = kept = [post for post in kept if post["thread_id"] in alive]
        found[name] = {
            "rows": len(kept) + len(claimed),
            "values": {c: sum(_stands(dataset, r, c, run) for r in kept) + _given(claimed, c)
                       for c in sorted({*dataset.emptied, *dataset.only_while})},
            "people": {c: sum(_lives(r[c], r, ends, run) for r in kept) + _given(claimed, c) for c in dataset.people if dataset.kept_after_leaving},
            "withdrawn": len(live) - len(kept),
        }
    return found


def _given(records: list[Record], column: str) -> int:
    return sum(record[column] is not None for record in records)


def _is_due(name: str, dataset: Dataset, record: Record, ends: dict[str, date], run: date) -> bool:
    named = [column for column in dataset.people if record[column] is not None]
    if event_end(name, record.day, not named) <= run:
        return True
    over = [column for column in named if not _lives(record[column], record, ends, run)]
    if dataset.ends_with:  # with the rated member, with the member whose offer it is
        return dataset.ends_with in over
    if name == "forum_posts":
        return False
    if dataset.kept_after_leaving:  # the text, or the sale, is still the other's
        return len(over) == len(named)
    return bool(over)


def _stands(dataset: Dataset, record: Record, column: str, run: date) -> bool:
    """Whether the row still has a value there."""
    return record[column] is not None and (column not in dataset.emptied or days_later(record.day, dataset.emptied[column]) > run)


def _lives(member: str | None, record: Record, ends: dict[str, date], run: date) -> bool:
    """Whether the account that a row names has not come to its end. One that nobody knows has no end of its own; what names it goes as if it had been
    deleted on the day of the row, or it would stay for ever."""
    if member is None:
        return False
    return ends.get(member, months_later(record.day, AFTER_DELETION_MONTHS)) > run


def _end_of(member: Record) -> date:
    active = day(member["last_active_on"])
    assert active is not None
    return account_end(moment(member["deleted_at"]), active)


def _withdrawn(name: str, record: Record, market: Market, run: date) -> bool:
    kind = "location" if name == "locations" else NEEDS_CONSENT.get(record["cookie_category"] or "") if name == "usage_events" else None
    # of an event whose thirty days are over only the day is left (C-10.1)
    time_is_gone = name == "usage_events" and days_later(record.day, LOG_DAYS) <= run
    since = midnight(record.day) if time_is_gone else record.moment
    return kind is not None and market.register.withdrawn(kind, record["device_id"], record["member_id"], since, run)
