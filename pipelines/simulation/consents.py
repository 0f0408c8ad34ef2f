"""Consents: what was answered to the cookie banner on each device, and what members decided for themselves.

`answer` holds up to three answers of one device use or member to one kind, in order; `grant_of_use` the times during
which a device use was granted each cookie kind, which the usage events read so that most of them are lawful.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.engines.duckdb_engine import quote_text
from pipelines.simulation import cases
from pipelines.simulation.devices import device_id, user_agent
from pipelines.simulation.dice import literals
from pipelines.simulation.world import DAY_US, VISITOR_PERIOD, World, at_paris, member_id, midnight_us

ANSWER = """create temp table answer (use_no bigint, m bigint, device bigint, kind varchar,
    t1 bigint, d1 varchar, how1 varchar, t2 bigint, d2 varchar, how2 varchar, t3 bigint, d3 varchar, how3 varchar)"""
MINUTE_US = 60_000_000


def prepare(world: World) -> None:
    """Tables `answer` and `grant_of_use`."""
    world.connection.execute(ANSWER)
    for number, kind in enumerate(world.words.device_kinds):
        world.connection.execute(f"insert into answer {_on_device(world, kind, number)}")
    for kind in world.words.member_kinds:
        world.connection.execute(f"insert into answer {_by_member(world, kind)}")
    never = literals(world.words.never_consent_methods)
    spans = ", ".join(
        f"max({moment}) filter (where kind = {quote_text(kind)} and {which}) as grant{number}_{name}"
        for number, kind in enumerate(world.words.device_kinds)
        for name, moment, which in (
            ("from1", "t1", f"d1 = 'granted' and not list_contains({never}::varchar[], how1)"), ("to1", "t2", "d1 = 'granted' and d2 = 'withdrawn'"),
            ("from2", "case when d3 = 'granted' then t3 else t2 end", "(d3 = 'granted' or d2 = 'granted')")))
    world.build("grant_of_use", f"select use_no as granted_use{', ' + spans if spans else ''} from answer where use_no is not null group by use_no")


def granted(world: World, kind: str) -> str:
    """SQL over `grant_of_use`: was this kind granted to the device use at `us`?"""
    if kind not in world.words.device_kinds:
        return "false"
    own = f"grant{world.words.device_kinds.index(kind)}"
    return f"coalesce((us >= {own}_from1 and us < coalesce({own}_to1, us + 1)) or us >= {own}_from2, false)"


def _on_device(world: World, kind: str, number: int) -> str:
    """Answers of each device use to one cookie kind: the first one for all kinds at once, later ones kind by kind."""
    dice, words = world.dice, world.words
    own = f"use_no * 16 + {number}"
    all_, none = cases.ACCEPT_ALL, cases.ACCEPT_ALL + cases.REFUSE_ALL
    style = dice.unit("banner", "use_no")
    never = f"{dice.chance(cases.NEVER_CONSENT, 'no act', 'use_no')}" if words.never_consent_methods else "false"
    early = f"least(until_us, {world.start_us})"
    in_period = f"acts_from_us < acts_until_us and ({dice.chance(cases.ANSWERED_IN_PERIOD, 'banner time', 'use_no')} or from_us >= {world.start_us})"
    recent = f"greatest(from_us, {early} - {300 * DAY_US})"
    first = f"""case when {in_period} then {dice.within("acts_from_us", "acts_until_us", "banner at", "use_no")}
        when {dice.chance(cases.ANSWERED_LONG_AGO, "banner long ago", "use_no")} then {dice.within("from_us", early, "banner at", "use_no")}
        else {dice.within(recent, early, "banner at", "use_no")} end"""
    later = dice.within(f"t1 + {MINUTE_US}", f"until_us - {MINUTE_US}", "second answer", own)
    again = dice.within(f"t2 + {MINUTE_US}", "until_us", "third answer", own)
    withdrawn = f"d1 = 'granted' and {dice.chance(cases.WITHDRAWN, 'withdrawn', own)}"
    reconsidered = f"d1 = 'refused' and {dice.chance(cases.GRANTED_LATER, 'granted later', own)}"
    banner, settings = quote_text(words.method("banner_button")), quote_text(words.method("settings_page"))
    never_words = dice.pick(words.never_consent_methods, "never method", "use_no") if words.never_consent_methods else "null"
    return f"""
with answered as (
    select *, case when {style} < {all_} then 'granted' when {style} < {none} then 'refused'
                   when {dice.chance(0.5, "mixed", own)} then 'granted' else 'refused' end as d1, {first} as t1
    from device_use where {style} < {none + cases.MIXED} and until_us > from_us
),
changed as (
    select *, case when t1 + {2 * MINUTE_US} >= until_us then null
                   when {withdrawn} then 'withdrawn' when {reconsidered} then 'granted' end as d2, {later} as t2 from answered
),
settled as (
    select *, case when d2 = 'withdrawn' and t2 + {2 * MINUTE_US} < until_us and {dice.chance(cases.GRANTED_AGAIN, "granted again", own)}
                   then 'granted' end as d3, {again} as t3 from changed
)
select use_no, m, device, {quote_text(kind)}, t1, d1, case when d1 = 'granted' and {never} then {never_words} else {banner} end,
       case when d2 is not null then t2 end, d2, {settings}, case when d3 is not null then t3 end, d3,
       case when {dice.chance(0.5, "third method", own)} then {banner} else {settings} end
from settled
"""


def _by_member(world: World, kind: str) -> str:
    """Answers of members in their settings, or in the registration form."""
    dice, words = world.dice, world.words
    granted, refused = cases.MEMBER_KINDS.get(kind, cases.OTHER_MEMBER_KIND)
    at_registration = kind in cases.AT_REGISTRATION
    roll, end = dice.unit(f"{kind} answer", "m"), f"least(until_us, {world.end_us})"
    in_period = f"{end} > {world.start_us} and {dice.chance(0.5, f'{kind} time', 'm')}"
    settings_time = f"""case when {in_period} then {dice.within(f"greatest(from_us, {world.start_us})", end, f"{kind} at", "m")}
        else {dice.within("from_us", end, f"{kind} at", "m")} end"""
    settings = quote_text(words.method("settings_page"))
    express = quote_text(words.method("registration_checkbox")) if at_registration else settings
    leave = quote_text(words.method("unsubscribe_link")) if at_registration else settings
    never = dice.chance(2 * cases.NEVER_CONSENT, f"{kind} no act", "m") if at_registration and words.never_consent_methods else "false"
    pre_ticked = quote_text(words.never_consent_methods[1 % len(words.never_consent_methods)]) if words.never_consent_methods else express
    return f"""
with answered as (
    select *, case when {roll} < {granted} then 'granted' else 'refused' end as d1,
           {"registered_us" if at_registration else settings_time} as t1
    from member where {roll} < {granted + refused}
),
changed as (
    select *, case when d1 = 'granted' and t1 + {2 * MINUTE_US} < {end} and {dice.chance(cases.WITHDRAWN, f"{kind} withdrawn", "m")}
                   then 'withdrawn' end as d2,
           {dice.within(f"t1 + {MINUTE_US}", f"{end} - {MINUTE_US}", f"{kind} second", "m")} as t2 from answered
),
settled as (
    select *, case when d2 = 'withdrawn' and t2 + {2 * MINUTE_US} < {end} and {dice.chance(cases.GRANTED_AGAIN, f"{kind} again", "m")}
                   then 'granted' end as d3,
           {dice.within(f"t2 + {MINUTE_US}", end, f"{kind} third", "m")} as t3 from changed
)
select null, m, null, {quote_text(kind)}, t1, d1, case when d1 = 'granted' and {never} then {pre_ticked} else {express} end,
       case when d2 is not null then t2 end, d2, {leave}, case when d3 is not null then t3 end, d3, {settings}
from settled
"""


def write(world: World, folder: Path) -> int:
    """consents.ndjson: one decision per line, in the order of time; repeated rows at the end."""
    dice, versions = world.dice, world.words.versions
    kinds = literals(world.words.kinds)
    rows = world.build("decision", f"""
with listed as (
    select use_no, m, device, kind, 1 as step, t1 as us, d1 as decision, how1 as method from answer
    union all select use_no, m, device, kind, 2, t2, d2, how2 from answer where d2 is not null
    union all select use_no, m, device, kind, 3, t3, d3, how3 from answer where d3 is not null
),
keyed as (
    select *, (coalesce(use_no, m) * 64 + list_position({kinds}::varchar[], kind)) * 8 + step * 2 + (use_no is null)::bigint as key from listed
)
select *, {dice.bits("consent order", "key")} as tie from keyed order by us, tie
""")
    long_ago = f"us < {world.start_us - cases.OLD_DAYS * DAY_US} and {dice.chance(cases.OLDER_VERSION_LONG_AGO, 'old version', 'key')}"
    older = f"{dice.chance(cases.OLDER_VERSION, 'version', 'key')} or ({long_ago})"
    version = f"case when {older} then {dice.pick(versions[:-1] or versions, 'which version', 'key')} else {quote_text(versions[-1])} end"
    # an old answer that names no member would be due on arrival (C-10.9)
    old = f"us < {midnight_us(world.first_kept(VISITOR_PERIOD))}"
    logged_in = f"(use_no is null or {old} or not {dice.chance(cases.ANSWERED_LOGGED_OUT, 'answered logged out', 'coalesce(use_no, m)')})"
    world.build("decision_row", f"""
with marked as (select *, rowid as position, {cases.defect("consents", rows, "rowid")} as defect from decision)
select position, defect, {dice.identifier("c", f"consent {world.end}", "key")} as consent_id,
       case when {logged_in} and defect is distinct from 'nobody_decided' then {member_id("m")} end as member_id,
       case when device is not null and defect is distinct from 'nobody_decided' then {device_id(world, "device")} end as device_id,
       case when defect = 'kind_missing' then null else kind end as kind,
       case when defect = 'unknown_decision' then 'peut-être' else decision end as decision,
       case when defect = 'recorded_at_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else {at_paris("us")} end as recorded_at,
       method, {version} as policy_version,
       case when device is not null then {user_agent(world, "device")} end as user_agent
from marked order by position
""")
    return world.deliver("decision_row", folder / "consents.ndjson", "format json")
