r"""The web server's access log in Apache's combined format: members, visitors, crawlers, and the noise of the internet.

Lines are in the order of time, as a server writes them. A request that is not HTTP stands there as Apache escapes it
(`\x16\x03\x01`), without a member.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, vocabulary
from pipelines.simulation.devices import address, user_agent
from pipelines.simulation.dice import chosen
from pipelines.simulation.events import page
from pipelines.simulation.world import World, awake, member_id

PERSON, BOT, NOISE = 0, 1, 2
REQUESTS_PER_VISIT = 3
STATUSES = ("200",) * 14 + ("304", "304", "302", "404", "403", "500")
PROTOCOLS = ("HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/1.0")
PAGE_TYPES = ("page_view", "page_view", "search", "item_view")
# the one-column CSV that is no CSV: nothing quoted, nothing escaped
PLAIN_LINES = r"format csv, header false, quote '', escape '', delimiter E'\x01'"


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
    select us, key, {PERSON} as sort, device, case when {dice.chance(cases.REQUEST_LOGGED_IN, "logged in", visit)} then m end as m from timed
),
others as (
    select {dice.within(str(world.start_us), str(world.end_us), "machine at", f"{first_free} + i")} as us, {first_free} + i as key,
           case when i < {bots} then {BOT} else {NOISE} end as sort, {first_free} + i % 50 as device, null::bigint as m
    from range({bots + noise}) as r(i)
),
together as (select * from people union all select * from others)
select us - us % 1_000_000 as second_us, * from together order by second_us, key
""")


def write(world: World, folder: Path) -> int:
    """access.log: one request per line, a few of them damaged."""
    dice, rows = world.dice, world.count("request")
    noise = {name: chosen([entry[index] for entry in vocabulary.NOISE], f"key % {len(vocabulary.NOISE)}")
             for index, name in enumerate(("request", "status", "bytes"))}
    method = f"case when {dice.chance(0.06, 'form', 'key')} then 'POST' else 'GET' end"
    path = f"case when sort = {BOT} and {dice.chance(0.3, 'robots', 'key')} then '/robots.txt' else {page(world, 'page_type', 'key')} end"
    asked = f"concat({method}, ' ', {path}, ' ', {dice.pick(PROTOCOLS, 'protocol', 'key')})"
    agent = (f"case sort when {BOT} then {dice.pick((*vocabulary.BOT_AGENTS, vocabulary.AGENT_WITH_QUOTES), 'bot', 'device')}"
             f" when {NOISE} then '-' else {user_agent(world, 'device')} end")
    size = f"case when code in ('304', '302') then '-' else (300 + {dice.below(60_000, 'bytes', 'key')})::varchar end"
    query = f"""
with marked as (
    select *, {cases.defect("access_logs", rows, "rowid")} as defect, {dice.pick(PAGE_TYPES, "page type", "key")} as page_type,
           case when sort = {NOISE} then {noise["status"]} else {dice.pick(STATUSES, "status", "key")} end as code
    from request
),
written as (
    select defect, {address(world, "device")} as client, coalesce({member_id("m")}, '-') as logged_in,
           case when defect = 'impossible_date' then strftime(make_timestamptz(second_us), '32/%b/%Y:%H:%M:%S %z00')
                else strftime(make_timestamptz(second_us), '%d/%b/%Y:%H:%M:%S %z00') end as received,
           case when sort = {NOISE} then {noise["request"]} else {asked} end as asked,
           case when defect = 'status_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else code end as answered,
           case when sort = {NOISE} then {noise["bytes"]} else {size} end as size,
           case when sort = {PERSON} then {dice.pick(vocabulary.REFERERS, "referer", "key")} else '-' end as came_from, {agent} as agent
    from marked
),
lines as (
    select defect,
           concat(client, ' - ', logged_in, ' [', received, '] "', asked, '" ', answered, ' ', size, ' "', came_from, '" "', agent, '"') as line
    from written
)
select case when defect = 'truncated' then left(line, 40) else line end as line from lines"""
    return world.write(query, folder / "access.log", PLAIN_LINES)
