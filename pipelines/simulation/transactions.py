"""Transactions: sales in the period, and those of a year ago whose thirteen months are about to end.

A stretch is a set of days with its own number of sales. Buyer and seller are two members who both had an account
and were still active at that moment.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pipelines.simulation import cases, clock, vocabulary
from pipelines.simulation.dice import chosen
from pipelines.simulation.events import FIRST_OFFER, OFFERS
from pipelines.simulation.lines import csv_line
from pipelines.simulation.world import (
    DAY_US,
    HOUR_US,
    TRANSACTION_PERIOD,
    World,
    days,
    days_due,
    midnight,
    midnight_us,
    offer_category,
)

STATUSES = ("completed", "completed", "completed", "completed", "completed", "shipped", "paid", "started", "cancelled", "disputed")


@dataclass(frozen=True)
class Stretch:
    """`sales` sales start on one of `on`, each as likely as the others."""

    number: int
    on: tuple[date, ...]
    sales: int


def stretches(world: World) -> list[Stretch]:
    """Period, tail of 12 to 13 months, due soon, month ends and leap days in both, and the few that are due on arrival."""
    tail = days_due(TRANSACTION_PERIOD, world.end + timedelta(days=cases.DUE_SOON_DAYS[1] + 1), world.end + timedelta(days=31))
    kept = world.first_kept(TRANSACTION_PERIOD)
    period = [world.start + timedelta(days=shift) for shift in range(world.days) if world.start + timedelta(days=shift) >= kept]
    edges = [day for day in sorted({*tail, *period}) if day.day == calendar.monthrange(day.year, day.month)[1] or (day.month, day.day) == (2, 29)]
    wanted = (
        (period, round(cases.SALES_IN_PERIOD * world.members)), (tail, round(cases.SALES_IN_TAIL * world.members)),
        (world.due_soon(TRANSACTION_PERIOD), cases.promised(cases.SALES_DUE_SOON, world.members)),
        (edges, round(cases.SALES_ON_CALENDAR_EDGES * world.members)),
        (days_due(TRANSACTION_PERIOD, world.end - timedelta(days=20), world.end), cases.promised(cases.SALES_DUE_ON_ARRIVAL, world.members)),
    )
    return [Stretch(number, tuple(on), sales) for number, (on, sales) in enumerate(wanted) if on and sales]


def prepare(world: World) -> int:
    """Table `sale`: one row per transaction in the order of time."""
    dice = world.dice
    world.connection.execute("create table sale_raw (us bigint, key bigint, buyer bigint, seller bigint)")
    for stretch in stretches(world):
        low, high = midnight_us(stretch.on[0]), midnight_us(stretch.on[-1] + timedelta(days=1))
        trader = f"trader_{stretch.number}"
        # a member who was there on the whole stretch; where that leaves too few, the pairing below loses some sales
        whole = len(stretch.on) < 60 and stretch.on[-1] < world.start
        there = f"from_us < {low} and until_us >= {high}" if whole else f"from_us < {high} and until_us > {low}"
        traders = world.build(trader, f"select row_number() over (order by m) - 1 as number, m, from_us, until_us from member where {there}")
        if traders < 2:
            continue
        day = f"{days(stretch.on)}[1 + {dice.below(len(stretch.on), f'sale day {stretch.number}', 'i')}]"
        hour = dice.within(str(7 * HOUR_US), str(22 * HOUR_US), "sale hour", "key")
        world.connection.execute(f"""
insert into sale_raw
with drawn as (
    select {stretch.number} * 1_000_000_000_000 + i as key, {day} as day, {dice.below(traders, f"buyer {stretch.number}", "i")} as buyer_number,
           {dice.below(traders - 1, f"seller {stretch.number}", "i")} as step
    from range({stretch.sales}) as r(i)
),
paired as (select *, (buyer_number + 1 + step) % {traders} as seller_number, {midnight("day")} + {hour} as us from drawn)
select us, key, b.m, s.m from paired
join {trader} as b on b.number = buyer_number join {trader} as s on s.number = seller_number
where us >= greatest(b.from_us, s.from_us) and us < least(b.until_us, s.until_us)
""")
    world.connection.execute(f"""
insert into sale_raw
with pairs as (
    select b.m as buyer, s.m as seller, greatest(b.from_us, s.from_us, {world.start_us}) as low, least(b.until_us, s.until_us, {world.end_us}) as high
    from member as b join member as s on s.m = b.person and s.m <> b.m
),
drawn as (select *, 9_000_000_000_000 + buyer * {cases.RING_SALES} + i as key from pairs, range({cases.RING_SALES}) as r(i) where low < high)
select {dice.within("low", "high", "ring sale", "key")}, key, buyer, seller from drawn
""")
    return world.build("sale", "select * from sale_raw order by us, key")


def identifier(world: World) -> str:
    """SQL: the id of a sale, by its key."""
    return world.dice.identifier("t", f"sale {world.end}", "key")


def status(world: World) -> str:
    """SQL: the status of a sale at the end."""
    older = f"us < {world.end_us - 20 * DAY_US}"
    return f"case when {older} and {world.dice.chance(0.9, 'settled', 'key')} then 'completed' else {world.dice.pick(STATUSES, 'status', 'key')} end"


def write(world: World, folder: Path) -> int:
    """transactions.csv: in the order of time; repeated rows at the end."""
    dice = world.dice
    median = chosen(vocabulary.MEDIAN_PRICE_EUR, "category")
    cents = f"({median} * 100 * {dice.pick(vocabulary.PRICE_SPREAD, 'spread', 'key')})::bigint + {dice.below(50, 'cents', 'key')} * 10"
    changed = f"least(us + {dice.below(15 * 86_400, 'changed', 'key')} * 1_000_000, {world.end_us} - 1_000_000)"
    line = csv_line(
        transaction_id=identifier(world), buyer_id="b.id",
        seller_id="case when defect = 'bought_from_oneself' then b.id else s.id end", offer_id="'o', offer",
        item_category=chosen(vocabulary.ITEM_CATEGORIES, "category"),
        price_eur=f"""case when defect = 'price_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}'
            else printf('%d.%02d', cents // 100, cents % 100) end""",
        status=f"case when defect = 'unknown_status' then 'perdue' else {status(world)} end",
        started_at=f"case when defect = 'started_at_missing' then null else concat({clock.paris('started')}) end",
        card_last4=f"""case when {dice.chance(cases.CARD_SHARE, "by card", "key")}
            then printf('%04d', {dice.below(10_000, "card digits", "key")}) end""",
        updated_at=clock.paris("changed"),
    )
    return world.write_lines(line, f"""(
    select *, {cents} as cents, {changed} as changed_us from (
        select *, {offer_category("offer", dice)} as category from (
            select *, {FIRST_OFFER} + {dice.below(OFFERS, "sold offer", "key")} as offer from {world.delivered("sale", "transactions")}))
) as sold join named as b on b.no = buyer join named as s on s.no = seller
{clock.joined("started", "us")} {clock.joined("changed", "changed_us")}""", folder / "transactions.csv")
