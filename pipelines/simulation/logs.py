r"""The web server's access log in Apache's combined format: members, visitors, crawlers, and the noise of the internet.

Lines are in the order of time, as a server writes them. A request that is not HTTP stands there as Apache escapes it
(`\x16\x03\x01`), without a member.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, clock, vocabulary
from pipelines.simulation.devices import MACHINES, first_machine
from pipelines.simulation.dice import chosen
from pipelines.simulation.events import page
from pipelines.simulation.lines import filled
from pipelines.simulation.world import World, awake

PERSON, BOT, NOISE = 0, 1, 2
REQUESTS_PER_VISIT = 3
STATUSES = ("200",) * 14 + ("304", "304", "302", "404", "403", "500")
PROTOCOLS = ("HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/1.0")
PAGE_TYPES = ("page_view", "page_view", "search", "item_view")


def prepare(world: World) -> int:
    """Table `request`: one row per request in the order of time."""
    dice = world.dice
    expected = f"case when m is null then {cases.REQUESTS_PER_VISITOR} else {cases.REQUESTS_PER_MEMBER} * part end * presence"
    visit = f"(use_no * 65536 + k // {REQUESTS_PER_VISIT})"
    bots, noise = round(cases.BOT_REQUESTS_PER_MEMBER * world.members), cases.promised(cases.NOISE_PER_MEMBER, world.members)
    first_free = f"(1::bigint << 45) + {world.members} * 8"
    return world.build("request", f"""
with shared as (
    select *, case when is_first then 1.0 else 0.35 end as part from device_use where presence > 0
),
counted as (select *, {dice.about(expected, "requests", "use_no")} as requests from shared),
listed as (select *, unnest(range(requests)) as k from counted),
begun as (
    select *, use_no * 65536 + k as key, {dice.within("acts_from_us", "acts_until_us - 600_000_000", "visit", visit)} as begins_us from listed
),
timed as (
    select *, least({awake("begins_us", "acts_until_us")} + (k % {REQUESTS_PER_VISIT}) * 45_000_000 + {dice.below(40_000_000, "read for", "key")},
                    acts_until_us - 1_000_000) as us from begun
),
people as (
    select us, key, {PERSON} as sort, device,
           case when {dice.chance(cases.REQUEST_LOGGED_IN, "logged in", visit)} then coalesce(m, 0) else 0 end as m from timed
),
others as (
    select {dice.within(str(world.start_us), str(world.end_us), "machine at", f"{first_free} + i")} as us, {first_free} + i as key,
           case when i < {bots} then {BOT} else {NOISE} end as sort, {first_machine(world)} + i % {MACHINES} as device, 0 as m
    from range({bots + noise}) as r(i)
),
together as (select * from people union all select * from others)
select us - us % 1_000_000 as second_us, * from together order by second_us, key
""")


def write(world: World, folder: Path) -> int:
    """access.log: one request per line, a few of them damaged."""
    dice = world.dice
    noise = {name: chosen([entry[index] for entry in vocabulary.NOISE], f"key % {len(vocabulary.NOISE)}")
             for index, name in enumerate(("request", "status", "bytes"))}
    method = f"case when {dice.chance(0.06, 'form', 'key')} then 'POST ' else 'GET ' end"
    path = f"case when sort = {BOT} and {dice.chance(0.3, 'robots', 'key')} then '/robots.txt' else {page(world, 'page_type', 'key')} end"
    asked = f"concat({method}, {path}, {dice.pick([f' {protocol}' for protocol in PROTOCOLS], 'protocol', 'key')})"
    agent = (f"case sort when {BOT} then {dice.pick((*vocabulary.BOT_AGENTS, vocabulary.AGENT_WITH_QUOTES), 'bot', 'device')}"
             f" when {NOISE} then '-' else browser.agent end")
    size = f"case when code in ('304', '302') then '-' else (300 + {dice.below(60_000, 'bytes', 'key')})::varchar end"
    line = filled(
        '<client> - <member> [<received>] "<asked>" <answered> <size> "<came_from>" "<agent>"',
        client="used.address", member="coalesce(named.id, '-')",
        received=f"case when defect = 'impossible_date' then received_hour.impossible else received_hour.logged end, {clock.logged('received')}",
        asked=f"case when sort = {NOISE} then {noise['request']} else {asked} end",
        answered=f"case when defect = 'status_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else code end",
        size=f"case when sort = {NOISE} then {noise['bytes']} else {size} end",
        came_from=f"case when sort = {PERSON} then {dice.pick(vocabulary.REFERERS, 'referer', 'key')} else '-' end", agent=agent)
    return world.write_lines("case when defect = 'truncated' then left(line, 40) else line end", f"""(
    select position, defect, {line} as line from (
        select *, {dice.pick(PAGE_TYPES, "page type", "key")} as page_type,
               case when sort = {NOISE} then {noise["status"]} else {dice.pick(STATUSES, "status", "key")} end as code
        from {world.delivered("request", "access_logs")}
    ) as asked_for join named on named.no = m join device as used on used.no = device join browser on browser.no = used.browser
    {clock.joined("received", "second_us")}
)""", folder / "access.log")
