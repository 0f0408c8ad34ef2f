"""Usage events: sessions on a device, recorded through cookies of four categories.

A session has up to five events, minutes apart. An event that needs a consent is recorded under the cookie that asked
for it where the device was granted it at that moment; elsewhere it falls back to a necessary cookie, but for the few
(`UNCONSENTED`) that ingestion must refuse.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, consents, vocabulary
from pipelines.simulation.dice import chosen, literals
from pipelines.simulation.world import HOUR_US, World, awake, member_id, offer_category

# what the cookies of each category record, in the order of COOKIE_CATEGORIES
EVENT_TYPES = (
    ("page_view", "page_view", "search", "item_view"), ("page_view", "favourite", "favourite", "search"),
    ("page_view", "page_view", "search", "item_view", "item_view", "favourite"), ("ad_view", "ad_view", "ad_view", "ad_click", "item_view"),
)
FIRST_OFFER, OFFERS = 100_000, 900_000
ON_OFFER = ("item_view", "favourite", "ad_click")
HALF_HOUR_US = HOUR_US // 2


def prepare(world: World) -> int:
    """Table `event`: one row per event in the order of time, numbers only."""
    dice = world.dice
    session = f"(use_no * 1048576 + k // {cases.SESSION_EVENTS})"
    begins = dice.within("acts_from_us", f"acts_until_us - {HALF_HOUR_US}", "session", session)
    weighted = [index for index, weight in enumerate(cases.COOKIE_WEIGHTS) for _ in range(weight)]
    needing = list(enumerate(cases.COOKIE_CATEGORIES))[1:]
    allowed = " ".join(f"when {index} then {consents.granted(world, f'{name}_cookies')}" for index, name in needing)
    return world.build("event", f"""
with listed as (
    select *, unnest(range(events)) as k from use_answer where events > 0
),
keyed as (select *, use_no * 1048576 + k as key, {begins} as begins_us from listed),
begun as (select *, {awake("begins_us", f"acts_until_us - {HALF_HOUR_US}")} as awake_us from keyed),
timed as (
    select *, {dice.below(60_000, "pause", "key")} * 1000 as pause_us,
           least(awake_us + (k % {cases.SESSION_EVENTS}) * 70_000_000 + pause_us, acts_until_us - 1000) as raw_us,
           {literals(weighted)}[1 + {dice.below(len(weighted), "cookie", "key")}] as wanted
    from begun
),
whole as (select *, raw_us - raw_us % 1000 as us from timed),
consented as (
    select *, case wanted when 0 then true {allowed} end or {dice.chance(cases.UNCONSENTED, "unconsented", "key")} as recorded from whole
)
select us, key, device,
       case when k % {cases.SESSION_EVENTS} = 0 and {dice.chance(cases.LOGGED_OUT_START, "logged out", "key")} then 0 else coalesce(m, 0) end as m,
       case when recorded then wanted else 0 end::tinyint as cookie
from consented order by us, key
""")


def page(world: World, event_type: str, key: str) -> str:
    """SQL: the address of the page on which an event of that type happened."""
    dice = world.dice
    paths = f"""case {dice.below(6, "page", key)} when 0 then '/' when 1 then '/offres'
        when 2 then concat('/membre/', {member_id(f"(1 + {dice.below(world.members, 'visited', key)})")})
        when 3 then concat('/forum/sujet/', 1 + {dice.below(max(round(cases.THREADS_PER_MEMBER * world.members), 1), "read", key)})
        when 4 then '/aide/livraison' else concat('/offres/', {dice.pick(vocabulary.ITEM_CATEGORIES, "listed", key)}) end"""
    return (f"case when {event_type} = 'search' then concat('/recherche?q=', {dice.pick(vocabulary.SEARCHES, 'search', key)})"
            f" when {event_type} in {ON_OFFER} then concat('/offre/', {offer(world, key)}) else {paths} end")


def offer(world: World, key: str) -> str:
    """SQL: the number of the offer looked at."""
    return f"({FIRST_OFFER} + {world.dice.below(OFFERS, 'offer', key)})"


def write(world: World, folder: Path) -> int:
    """usage_events.parquet: one file, in the order of time; repeated rows at the end."""
    dice, rows = world.dice, world.count("event")
    types = " ".join(f"when {index} then {dice.pick(words, f'event type {index}', 'key')}" for index, words in enumerate(EVENT_TYPES))
    category = offer_category("offer", dice, vocabulary.ITEM_CATEGORIES)
    identifier, defect = dice.identifier("e", f"event {world.end}", "key"), cases.defect("usage_events", rows, "rowid")
    # one scan of one table: with two, the row groups of the file would depend on the threads
    world.connection.execute(f"insert into event select * exclude (defect) from (select *, {defect} as defect from event) where defect = 'repeated'")
    query = f"""
select case when defect = 'event_id_with_space' then concat(event_id, ' ', 'x') else event_id end as event_id,
       used.id as device_id, named.id as member_id,
       case when defect = 'cookie_category_missing' then null else {chosen(cases.COOKIE_CATEGORIES, "cookie")} end as cookie_category,
       make_timestamptz(us) as occurred_at,
       case when defect = 'unknown_event_type' then 'teleportation' else event_type end as event_type,
       case when defect = 'page_too_long' then concat('/recherche?q=', repeat('a', 2000)) else {page(world, "event_type", "key")} end as page,
       case when event_type in {ON_OFFER} then {category} end as item_category,
       browser.agent as user_agent
from (
    select *, {defect} as defect, {identifier} as event_id, {offer(world, "key")} as offer, case cookie {types} end as event_type from event
) as seen join named on named.no = m join device as used on used.no = device join browser on browser.no = used.browser"""
    return world.write(query, folder / "usage_events.parquet", "format parquet")
