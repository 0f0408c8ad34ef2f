"""Consents: what was answered to the cookie banner on each device, and what members decided for themselves.

`use_answer` holds up to three answers of each device use to each kind, and the times during which it was granted that
kind, which the usage events read so that most of them are lawful; `decision` all answers, numbers only: words have the
number of their place in `DECISIONS`, `kinds` and `methods`.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, clock
from pipelines.simulation.dice import chosen
from pipelines.simulation.lines import escaped, filled
from pipelines.simulation.world import DAY_US, VISITOR_PERIOD, World, midnight_us

DECISIONS = ("granted", "refused", "withdrawn", "peut-être")
GRANTED, REFUSED, WITHDRAWN, UNKNOWN = range(4)
MINUTE_US = 60_000_000
NEVER_US = 1 << 62


def prepare(world: World) -> None:
    """Tables `use_answer` and `decision`."""
    kinds = world.words.kinds
    world.build("use_answer", _on_devices(world))
    answers = [_of_use(world, number, kind) for number, kind in enumerate(world.words.device_kinds)]
    for kind in world.words.member_kinds:
        world.build(f"member_answer_{kinds.index(kind)}", _by_member(world, kind))
        answers.append(_of_member(world, kind))
    nothing = "select 0 as who, 0 as m, 0 as device, 0 as kind, 0 as step, 0 as us, 0 as decision, 0 as method where false"
    world.build("decision", f"""
with listed as ({" union all ".join(answers) or nothing})
select m::bigint as m, device::bigint as device, kind::tinyint as kind, decision::tinyint as decision, method::tinyint as method, us::bigint as us,
       (who * 64 + kind) * 8 + step * 2 + (device = 0)::bigint as key
from listed order by us, key
""")


def granted(world: World, kind: str) -> str:
    """SQL over `use_answer`: was this kind granted to the device use at `us`?"""
    if kind not in world.words.device_kinds:
        return "false"
    own = f"grant{world.words.device_kinds.index(kind)}"
    return f"((us >= {own}_from1 and us < {own}_to1) or us >= {own}_from2)"


def _methods(world: World) -> tuple[str, ...]:
    return (*world.words.express_methods, *world.words.never_consent_methods)


def _method(world: World, preferred: str) -> int:
    return _methods(world).index(world.words.method(preferred))


def _never(world: World, number: str) -> str:
    """SQL: the number of one of the methods that are never consent."""
    return f"{len(world.words.express_methods)} + {number}"


def _on_devices(world: World) -> str:
    """Answers of each device use: the first one to all kinds at once, later ones kind by kind."""
    dice, words = world.dice, world.words
    all_, none = cases.ACCEPT_ALL, cases.ACCEPT_ALL + cases.REFUSE_ALL
    early = f"least(until_us, {world.start_us})"
    in_period = f"acts_from_us < acts_until_us and ({dice.chance(cases.ANSWERED_IN_PERIOD, 'banner time', 'use_no')} or from_us >= {world.start_us})"
    recent = f"greatest(from_us, {early} - {300 * DAY_US})"
    first = f"""case when {in_period} then {dice.within("acts_from_us", "acts_until_us", "banner at", "use_no")}
        when {dice.chance(cases.ANSWERED_LONG_AGO, "banner long ago", "use_no")} then {dice.within("from_us", early, "banner at", "use_no")}
        else {dice.within(recent, early, "banner at", "use_no")} end"""
    never = dice.chance(cases.NEVER_CONSENT, "no act", "use_no") if words.never_consent_methods else "false"
    columns: dict[str, list[str]] = {"first": [], "second": [], "third": [], "spans": []}
    for number in range(len(words.device_kinds)):
        own, d1, d2, t2 = f"use_no * 16 + {number}", f"d1_{number}", f"d2_{number}", f"t2_{number}"
        withdrawn = f"{d1} = {GRANTED} and {dice.chance(cases.WITHDRAWN, 'withdrawn', own)}"
        reconsidered = f"{d1} = {REFUSED} and {dice.chance(cases.GRANTED_LATER, 'granted later', own)}"
        again = f"{d2} = {WITHDRAWN} and {t2} + {2 * MINUTE_US} < until_us and {dice.chance(cases.GRANTED_AGAIN, 'granted again', own)}"
        columns["first"].append(f"""
           case when style < {all_} then {GRANTED} when style < {none} then {REFUSED} when style < {none + cases.MIXED}
                then case when {dice.chance(0.5, "mixed", own)} then {GRANTED} else {REFUSED} end end::tinyint as {d1}""")
        columns["second"].append(f"""
           case when t1 + {2 * MINUTE_US} >= until_us then null
                when {withdrawn} then {WITHDRAWN} when {reconsidered} then {GRANTED} end::tinyint as {d2},
           {dice.within(f"t1 + {MINUTE_US}", f"until_us - {MINUTE_US}", "second answer", own)} as {t2}""")
        columns["third"].append(f"""
           case when {again} then {dice.within(f"{t2} + {MINUTE_US}", "until_us", "third answer", own)} end as t3_{number}""")
        columns["spans"].append(f"""
           case when {d1} = {GRANTED} and is_act then t1 else {NEVER_US} end as grant{number}_from1,
           case when {d2} = {WITHDRAWN} then {t2} else {NEVER_US} end as grant{number}_to1,
           case when {d2} = {GRANTED} then {t2} else coalesce(t3_{number}, {NEVER_US}) end as grant{number}_from2""")
    listed = {name: "".join(f", {column}" for column in kinds) for name, kinds in columns.items()}
    return f"""
with styled as (
    select *, case when until_us > from_us then {dice.unit("banner", "use_no")} end as style, not {never} as is_act, {first} as t1 from device_use
),
answered as (select *{listed["first"]} from styled),
changed as (select *{listed["second"]} from answered),
settled as (select *{listed["third"]} from changed)
select *{listed["spans"]} from settled
"""


def _of_use(world: World, number: int, kind: str) -> str:
    """The answers of device uses to one kind, one row each."""
    dice, own = world.dice, f"use_no * 16 + {number}"
    banner, settings = _method(world, "banner_button"), _method(world, "settings_page")
    not_an_act = _never(world, dice.below(max(len(world.words.never_consent_methods), 1), "never method", "use_no"))
    first = f"case when d1_{number} = {GRANTED} and not is_act then {not_an_act} else {banner} end"
    third = f"case when {dice.chance(0.5, 'third method', own)} then {banner} else {settings} end"
    about = f"select use_no as who, coalesce(m, 0) as m, device, {world.words.kinds.index(kind)} as kind"
    return f"""{about}, 1 as step, t1 as us, d1_{number} as decision, {first} as method from use_answer where d1_{number} is not null
union all {about}, 2, t2_{number}, d2_{number}, {settings} from use_answer where d2_{number} is not null
union all {about}, 3, t3_{number}, {GRANTED}, {third} from use_answer where t3_{number} is not null"""


def _by_member(world: World, kind: str) -> str:
    """Answers of members in their settings, or in the registration form."""
    dice, never_methods = world.dice, world.words.never_consent_methods
    granted, refused = cases.MEMBER_KINDS.get(kind, cases.OTHER_MEMBER_KIND)
    at_registration = kind in cases.AT_REGISTRATION
    roll, end = dice.unit(f"{kind} answer", "m"), f"least(until_us, {world.end_us})"
    in_period = f"{end} > {world.start_us} and {dice.chance(0.5, f'{kind} time', 'm')}"
    settings_time = f"""case when {in_period} then {dice.within(f"greatest(from_us, {world.start_us})", end, f"{kind} at", "m")}
        else {dice.within("from_us", end, f"{kind} at", "m")} end"""
    never = dice.chance(2 * cases.NEVER_CONSENT, f"{kind} no act", "m") if at_registration and never_methods else "false"
    again = f"d2 = {WITHDRAWN} and t2 + {2 * MINUTE_US} < {end} and {dice.chance(cases.GRANTED_AGAIN, f'{kind} again', 'm')}"
    return f"""
with answered as (
    select *, case when {roll} < {granted} then {GRANTED} else {REFUSED} end as d1, not {never} as is_act,
           {"registered_us" if at_registration else settings_time} as t1
    from member where {roll} < {granted + refused}
),
changed as (
    select *, case when d1 = {GRANTED} and t1 + {2 * MINUTE_US} < {end} and {dice.chance(cases.WITHDRAWN, f"{kind} withdrawn", "m")}
                   then {WITHDRAWN} end as d2,
           {dice.within(f"t1 + {MINUTE_US}", f"{end} - {MINUTE_US}", f"{kind} second", "m")} as t2 from answered
)
select m, t1, d1, is_act, t2, d2, case when {again} then {dice.within(f"t2 + {MINUTE_US}", end, f"{kind} third", "m")} end as t3 from changed
"""


def _of_member(world: World, kind: str) -> str:
    """The answers of members to one kind, one row each."""
    number, at_registration = world.words.kinds.index(kind), kind in cases.AT_REGISTRATION
    settings = _method(world, "settings_page")
    express, leave = (_method(world, "registration_checkbox"), _method(world, "unsubscribe_link")) if at_registration else (settings, settings)
    pre_ticked = _never(world, str(1 % max(len(world.words.never_consent_methods), 1)))
    about, table = f"select m as who, m, 0 as device, {number} as kind", f"member_answer_{number}"
    first = f"case when d1 = {GRANTED} and not is_act then {pre_ticked} else {express} end"
    return f"""{about}, 1 as step, t1 as us, d1 as decision, {first} as method from {table}
union all {about}, 2, t2, d2, {leave} from {table} where d2 is not null
union all {about}, 3, t3, {GRANTED}, {settings} from {table} where t3 is not null"""


def write(world: World, folder: Path) -> int:
    """consents.ndjson: one decision per line, in the order of time; repeated rows at the end."""
    dice, versions, kinds, methods = world.dice, world.words.versions, world.words.kinds, _methods(world)
    long_ago = f"us < {world.start_us - cases.OLD_DAYS * DAY_US} and {dice.chance(cases.OLDER_VERSION_LONG_AGO, 'old version', 'key')}"
    older = f"{dice.chance(cases.OLDER_VERSION, 'version', 'key')} or ({long_ago})"
    version = f"case when {older} then {dice.below(max(len(versions) - 1, 1), 'which version', 'key')} else {len(versions) - 1} end"
    # an old answer that names no member would be due on arrival (C-10.9)
    old = f"us < {midnight_us(world.first_kept(VISITOR_PERIOD))}"
    logged_in = f"(device = 0 or {old} or not {dice.chance(cases.ANSWERED_LOGGED_OUT, 'answered logged out', 'key // 512')})"
    # every combination of words is put together once; its number is the row's four numbers in a row
    codes = f"((said.kind::int * {len(DECISIONS)} + said.decision) * {len(methods)} + said.method) * {len(versions)} + said.version"
    world.build("consent_word", f"""
select {codes.replace("said.", "")} as no,
       concat('"kind":', case when kind = {len(kinds)} then 'null' else {chosen([f'"{text}"' for text in escaped([*kinds, ""])], "kind")} end,
              ',"decision":"', {chosen(DECISIONS, "decision")}, '"') as decided,
       concat('"method":"', {chosen(escaped(methods), "method")}, '","policy_version":"', {chosen(escaped(versions), "version")}, '"') as how
from range({len(kinds) + 1}) as k(kind), range({len(DECISIONS)}) as d(decision), range({len(methods)}) as h(method),
     range({len(versions)}) as v(version)
""")
    rows = f"""(
    select * replace (case when defect = 'kind_missing' then {len(kinds)} else kind end as kind,
                      case when defect = 'unknown_decision' then {UNKNOWN} else decision end as decision),
           {version} as version, case when {logged_in} and defect is distinct from 'nobody_decided' then m else 0 end as shown
    from {world.delivered("decision", "consents")}
) as said
join named on named.no = shown join device as used on used.no = device join browser on browser.no = used.browser
join consent_word on consent_word.no = {codes} {clock.joined("decided", "us")}"""
    line = filled(
        '{"consent_id":"c<id>","member_id":<member>,"device_id":<device>,<decided>,"recorded_at":"<at>",<how>,"user_agent":<agent>}',
        id=dice.digits(f"consent {world.end}", "key"), member="named.json",
        device="case when defect = 'nobody_decided' then 'null' else used.json end", decided="decided", how="how", agent="browser.json",
        at=f"case when defect = 'recorded_at_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else concat({clock.paris('decided')}) end")
    return world.write_lines(line, rows, folder / "consents.ndjson")
