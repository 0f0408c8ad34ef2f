"""Usage events: sessions on a device, recorded through cookies of four categories.

A session has up to five events, minutes apart. An event that needs a consent is recorded under the cookie that asked
for it where the device was granted it at that moment; elsewhere it falls back to a necessary cookie, but for the few
(`UNCONSENTED`) that ingestion must refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.engines.duckdb_engine import quote_text
from pipelines.simulation import cases, consents, vocabulary
from pipelines.simulation.dice import literals
from pipelines.simulation.world import HOUR_US, World, awake, member_id, offer_category

# what the cookies of each category record, in the order of COOKIE_CATEGORIES
EVENT_TYPES = (
    ("page_view", "page_view", "search", "item_view"), ("page_view", "favourite", "favourite", "search"),
    ("page_view", "page_view", "search", "item_view", "item_view", "favourite"), ("ad_view", "ad_view", "ad_view", "ad_click", "item_view"),
)
DRAWS = 60  # a multiple of the length of each of them
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
       case when recorded then wanted else 0 end::smallint as cookie
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


def _words(world: World, name: str, column: str, texts: Sequence[str | None]) -> None:
    """A table of words by number, as an enum: so the writer of Parquet has their dictionary at hand and need not find it anew in the rows."""
    kinds = ", ".join(quote_text(text) for text in sorted({text for text in texts if text is not None}))
    listed = "[" + ", ".join("null" if text is None else quote_text(text) for text in texts) + "]"
    world.build(name, f"select no, {listed}[1 + no]::enum ({kinds}) as {column} from range({len(texts)}) as r(no)")


def write(world: World, folder: Path) -> int:
    """usage_events.parquet: one file, in the order of time; repeated rows at the end."""
    dice = world.dice
    types = [words[draw % len(words)] for words in EVENT_TYPES for draw in range(DRAWS)]
    goods = vocabulary.ITEM_CATEGORIES
    _words(world, "event_word", "event_type", (*types, "teleportation"))
    _words(world, "cookie_word", "cookie_category", (*cases.COOKIE_CATEGORIES, None))
    _words(world, "goods_word", "item_category", (*goods, None))
    on_offer = f"list_contains({literals(ON_OFFER)}, event_type::varchar)"
    world.connection.execute(f"alter table event_word add column on_offer boolean; update event_word set on_offer = {on_offer}")
    _words(world, "browser_word", "user_agent", (*vocabulary.DESKTOP_AGENTS, *vocabulary.MOBILE_AGENTS))
    query = f"""
select case when defect = 'event_id_with_space' then concat(event_id, ' ', 'x') else event_id end as event_id,
       used.id as device_id, named.id as member_id, cookie_category, make_timestamptz(us) as occurred_at, told.event_type,
       case when defect = 'page_too_long' then concat('/recherche?q=', repeat('a', 2000)) else {page(world, "drawn.event_type", "key")} end as page,
       item_category, user_agent
from (
    select *, {dice.identifier("e", f"event {world.end}", "key")} as event_id, {offer(world, "key")} as offer,
           cookie * {DRAWS} + {dice.below(DRAWS, "event type", "key")} as drawn_no
    from {world.delivered("event", "usage_events")}
) as seen
join event_word as drawn on drawn.no = drawn_no
join event_word as told on told.no = case when defect = 'unknown_event_type' then {len(types)} else drawn_no end
join cookie_word on cookie_word.no = case when defect = 'cookie_category_missing' then {len(cases.COOKIE_CATEGORIES)} else cookie end
join goods_word on goods_word.no = case when drawn.on_offer then {offer_category("offer", dice)} else {len(goods)} end
join named on named.no = m join device as used on used.no = device join browser_word on browser_word.no = used.browser
{world.in_order}"""
    # identifiers and pages are too many for a dictionary: the writer gives up sooner
    return world.write(query, folder / "usage_events.parquet", "format parquet, dictionary_size_limit 4000")
