"""Moments in the time of Paris, looked up: the engine needs its calendar for each, and most rows share their hour with others."""

from __future__ import annotations

from datetime import timedelta

from pipelines.simulation.cases import HISTORY_DAYS
from pipelines.simulation.world import HOUR_US, World, midnight_us


def prepare(world: World) -> None:
    """Tables `hour` (counted from 1970) and `second` (of the hour): the parts of a moment's text, over all days on which anything can happen."""
    first = min(world.end - timedelta(days=HISTORY_DAYS), world.start - timedelta(days=400)) - timedelta(days=31)
    low, high = midnight_us(first) // HOUR_US, world.end_us // HOUR_US + 24
    world.build("hour", f"""
with told as (select no, make_timestamptz(no * {HOUR_US})::timestamp as local from range({low}, {high}) as r(no)),
moved as (select *, epoch_us(local) // {HOUR_US} - no as ahead from told)
select no, strftime(local, '%Y-%m-%dT%H') as written, concat('+0', ahead, ':00') as zone,
       strftime(local, '%d/%b/%Y:%H') as logged, concat(' +0', ahead, '00') as log_zone, strftime(local, '32/%b/%Y:%H') as impossible
from moved
""")
    world.build("second", "select no, printf(':%02d:%02d', no // 60, no % 60) as written from range(3600) as r(no)")


def joined(name: str, us: str) -> str:
    """SQL for the joins that `paris` and `logged` need for the moment `us`, told apart by `name`."""
    return (f"join hour as {name}_hour on {name}_hour.no = {us} // {HOUR_US} "
            f"join second as {name}_second on {name}_second.no = {us} // 1_000_000 % 3600")


def paris(name: str) -> str:
    """SQL, three texts in a row: RFC 3339 with the offset of Paris, such as 2015-05-17T12:05:03+02:00."""
    return f"{name}_hour.written, {name}_second.written, {name}_hour.zone"


def logged(name: str) -> str:
    """SQL, two texts in a row that follow the hour: what a web server writes of a moment after 17/May/2015:12, such as :05:03 +0200."""
    return f"{name}_second.written, {name}_hour.log_zone"
