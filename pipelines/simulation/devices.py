"""Browsers and phones: which member uses which, when, and how much.

One row of `device_use` is one member on one device, or a visitor's device (no member). Two members may share a device, and accounts of one
person do: the same `device` stands in several rows. A device's browser and address follow from its number; the tables `device` and `browser`
hold them as text, because a look-up costs a tenth of what putting them together costs; number 0 there is no device.
"""

from __future__ import annotations

from pipelines.simulation import cases, vocabulary
from pipelines.simulation.dice import literals, log_normal
from pipelines.simulation.lines import quoted, table_of
from pipelines.simulation.world import DAY_US, VISITOR_PERIOD, World, midnight_us

PER_MEMBER = 4  # device numbers kept free per member: 4m + 1, 2 or 3; visitors' devices come after the last member's, machines after them
MACHINES = 50   # crawlers, and what knocks at every port


def prepare(world: World) -> None:
    """Tables `device_use`, and in it `acts_from_us` .. `acts_until_us`: when within the period the two are seen together; and what is written of a
    device, `device` and `browser`."""
    dice = world.dice
    activity = literals(log_normal(cases.EVENTS_PER_MEMBER, cases.ACTIVITY_SPREAD))
    visitors = round(cases.VISITORS_PER_MEMBER * world.members)
    other = f"((m + {dice.below(max(world.members - 1, 1), 'shared with', 'm')}) % {world.members} + 1)"
    shares = f"k = 2 and {world.members} > 1 and {dice.chance(cases.SHARED_DEVICE / cases.SECOND_DEVICE, 'shared', 'm')}"
    period_us = world.end_us - world.start_us
    visited_from_us = min(world.start_us, max(world.start_us - 300 * DAY_US, midnight_us(world.first_kept(VISITOR_PERIOD))))
    world.build("device_use", f"""
with owned as (
    select *, case when {dice.chance(cases.THIRD_DEVICE, "devices", "m")} then 3
                   when {dice.chance(cases.SECOND_DEVICE, "devices", "m")} then 2 else 1 end as devices,
           {activity}[1 + {dice.below(128, "activity", "m")}] as activity
    from member
),
used as (
    select *, unnest(range(1, devices + 1))::bigint as k from owned
),
linked as (
    select {PER_MEMBER} * m + k as use_no, m, case when {shares} then {PER_MEMBER} * {other} + 1 when k = 1 then {PER_MEMBER} * person + 1
                                                  else {PER_MEMBER} * m + k end as device,
           from_us, until_us, k = 1 as is_first,
           activity * case when devices = 1 then 1.0 when k = 1 then 0.65 else 0.35 / (devices - 1) end as activity
    from used
),
visited as (
    select {PER_MEMBER} * ({world.members} + 1) + i as use_no, null::bigint as m, {PER_MEMBER} * ({world.members} + 1) + i as device,
           {visited_from_us} as from_us, {world.end_us} as until_us,
           false as is_first, {cases.EVENTS_PER_VISITOR}::double as activity
    from range({visitors}) as r(i)
),
together as (select * from linked union all select * from visited),
windowed as (
    select *, greatest(from_us, {world.start_us}) as acts_from_us, least(until_us, {world.end_us}) as acts_until_us from together
),
weighed as (
    select *, greatest(acts_until_us - acts_from_us, 0)::double / {period_us} as presence from windowed
)
select * exclude (activity),
       case when presence > 0 then greatest({dice.about("activity * presence", "events", "use_no")}, is_first::bigint) else 0 end as events
from weighed order by use_no
""")
    browsers = (*vocabulary.DESKTOP_AGENTS, *vocabulary.MOBILE_AGENTS)
    world.build("browser", f"select *, {quoted('agent')} as json from ({table_of(agent=browsers)}) union all select {len(browsers)}, null, 'null'")
    world.build("device", f"""
with known as (select distinct device as no from device_use union all select {first_machine(world)} + i from range({MACHINES}) as r(i)),
told as (
    select no, {dice.identifier("d", "device", "no")} as id, {dice.below(len(browsers), "agent", "no")} as browser, {_address(world, "no")} as address
    from known
)
select *, {quoted("id")} as json from told union all select 0, null, {len(browsers)}, null, 'null' order by no
""")


def first_machine(world: World) -> int:
    """The number of the first of the `MACHINES` that are nobody's device."""
    return PER_MEMBER * (world.members + 1) + round(cases.VISITORS_PER_MEMBER * world.members)


def _address(world: World, device: str) -> str:
    """SQL: an IP address out of the documentation ranges (RFC 5737, RFC 3849), some behind a carrier's 10.0.0.0/8."""
    dice = world.dice
    v6 = f"concat('2001:db8:', hex({dice.below(65_536, 'v6 net', device)}), '::', hex({dice.below(65_536, 'v6 host', device)} + 1))"
    nat = f"concat('10.', {dice.below(256, 'nat a', device)}, '.', {dice.below(256, 'nat b', device)}, '.', 1 + {dice.below(254, 'nat c', device)})"
    v4 = f"concat({dice.pick(('192.0.2.', '198.51.100.', '203.0.113.'), 'v4 net', device)}, 1 + {dice.below(254, 'v4 host', device)})"
    return (f"case when {dice.chance(cases.IPV6_SHARE, 'v6', device)} then lower({v6})"
            f" when {dice.chance(cases.CARRIER_NAT_SHARE, 'nat', device)} then {nat} else {v4} end")
