"""Members: who they are, how long they live on the platform, and what of it they tell.

The table `member` decides each member's life first (ranks, so that the rare lives have exact counts), and whether the
account is another one of the same `person`; every other
dataset lets a member act only between `from_us` and `until_us`, so that nobody acts after an account's end or after
`last_active_on`.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from pathlib import Path

from pipelines.simulation import cases, vocabulary
from pipelines.simulation.dice import chosen
from pipelines.simulation.lines import bare, escaped, json_line, quoted, word
from pipelines.simulation.world import (
    DELETION_PERIOD,
    HOUR_US,
    INACTIVITY_PERIOD,
    World,
    at_utc,
    days,
    days_due,
    member_id,
    midnight,
)

NAMES = (*vocabulary.FEMALE_NAMES, *vocabulary.MALE_NAMES)
IBAN_FRANCE = 152700  # "FR00" as digits: F is 15, R is 27


def prepare(world: World) -> None:
    """Tables `member`: one row per member, in the order of the numbers; and `named`: how each is written, null for 0, which is nobody."""
    world.build("member", f"""
with numbered as (
    select i::bigint as m, i::bigint - case when i % {cases.RING_EVERY} < {cases.RING_ACCOUNTS} and i > {cases.RING_EVERY} then i % {cases.RING_EVERY}
           else 0 end as person
    from range(1, {world.members + 1}) as r(i)
),
ranked as (
    select m, person, row_number() over (order by {world.dice.bits("life", "m")}) - 1 as life_rank,
           row_number() over (order by {world.dice.bits("name", "m")}) - 1 as name_rank
    from numbered
),
living as (select *, {_life(world)} as life from ranked),
dated as (select *, {_deleted_on(world)} as deleted_on from living),
active as (select *, coalesce(deleted_on, {_last_active_on(world)}) as last_active_on from dated),
registered as (select *, {_registered_on(world)} as registered_on from active),
timed as (
    select *, {midnight("registered_on")} + {world.dice.within(str(7 * HOUR_US), str(22 * HOUR_US), "registered", "m")} as registered_us,
           {midnight("deleted_on")} + {world.dice.within(str(8 * HOUR_US), str(21 * HOUR_US), "deleted", "m")} as deleted_us,
           {midnight("last_active_on + 1")} as last_active_end_us
    from registered
),
told as (select *, registered_us as from_us, coalesce(deleted_us, last_active_end_us) as until_us, {_told(world)} from timed)
select * exclude (last_active_end_us) from told order by m
""")
    numbered = f"select i as no, case when i > 0 then {member_id('i')} end as id from range({world.members + 1}) as r(i)"
    world.build("named", f"select *, {quoted('id')} as json from ({numbered})")


def _life(world: World) -> str:
    """The life of a rank: the rare ones first, in exact numbers; null for the ordinary."""
    cut, branches = 0, []
    for life, share in cases.LIVES.items():
        cut += cases.promised(share, world.members) if life in cases.PROMISED_LIVES else round(share * world.members)
        branches.append(f"when life_rank < {cut} then '{life}'")
    return f"case {' '.join(branches)} end"


def _deleted_on(world: World) -> str:
    past_due = days_due(DELETION_PERIOD, world.end - timedelta(days=40), world.end)
    return f"""case life
        when 'due_on_arrival' then {_pick_day(world, past_due, "past due")}
        when 'deleted_due_soon' then {_pick_day(world, world.due_soon(DELETION_PERIOD), "deletion due soon")}
        when 'deleted' then date '{world.end}' - {world.dice.below(75, "deleted on", "m")}::int
    end"""


def _last_active_on(world: World) -> str:
    recent = min(world.days, 45)
    lapse, recency = world.dice.unit("lapse", "m"), world.dice.unit("recent", "m")
    return f"""case life
        when 'sleeper_due_soon' then {_pick_day(world, world.due_soon(INACTIVITY_PERIOD), "inactivity due soon")}
        when 'sleeper' then date '{world.end}' - 1464 - {world.dice.below(360, "sleep", "m")}::int
        when 'lapsed' then date '{world.end}' - 60 - floor({lapse} * {lapse} * 1380)::int
        else date '{world.end}' - floor({" * ".join([recency] * 6)} * {recent})::int
    end"""


def _registered_on(world: World) -> str:
    """Spread over the years before the end; newcomers within the period; always before the last act."""
    oldest = min(world.end - timedelta(days=cases.HISTORY_DAYS), world.start - timedelta(days=60))
    newest = f"least(last_active_on, date '{world.start}') - 1"
    early = f"date '{oldest}' + {world.dice.below(f'greatest({newest} - date {chr(39)}{oldest}{chr(39)}, 1)', 'registered on', 'm')}::int"
    late = f"last_active_on - {world.dice.below(f'last_active_on - date {chr(39)}{world.start}{chr(39)} + 1', 'newcomer', 'm')}::int"
    return f"case when life = 'newcomer' then {late} else {early} end"


def _pick_day(world: World, choice: list, name: str) -> str:
    return f"{days(choice)}[1 + {world.dice.below(len(choice), name, 'm')}]"


def _told(world: World) -> str:
    """Columns of the profile. Names are told apart by `name_rank`, so that a member name and an address are unique."""
    dice, name_index = world.dice, f"(name_rank % {len(NAMES)})"
    female = f"{name_index} < {len(vocabulary.FEMALE_NAMES)}"
    social = f"({dice.chance(cases.SOCIAL_SHARE, 'social', 'm')})"
    adult = f"registered_on - 6580 - {dice.below(9000, 'age', 'm')}::int - {dice.below(9000, 'more age', 'm')}::int"
    minor = f"date '{world.end}' - 5110 - {dice.below(1400, 'young', 'm')}::int"
    place = dice.below(len(vocabulary.COMMUNES), "place", "m")
    confirmed = f"case when {dice.chance(0.5, 'unconfirmed', 'm')} then false end"
    return f"""
    case when {social} then {dice.pick(cases.SOCIAL_CHANNELS, "channel", "m")} else 'direct' end as registration_channel,
    {social} as is_social,
    case when {social} then null when {dice.chance(cases.DIRECT_UNCONFIRMED, "confirmed", "m")} then {confirmed} else true end as age_confirmed,
    case when {dice.chance(cases.MINOR, "minor", "m")} then {minor}
         when {social} and {dice.chance(cases.SOCIAL_BIRTHDAY, "birthday", "m")} then {adult}
         when not {social} and {dice.chance(cases.DIRECT_BIRTHDAY, "birthday", "m")}
              and not {dice.chance(cases.DIRECT_UNCONFIRMED, "confirmed", "m")} then {adult} end as birthday,
    {chosen(NAMES, name_index)} as given_name, {chosen(vocabulary.LAST_NAMES, _last_name(world))} as family_name,
    {dice.chance(cases.NAMES_GIVEN, "names given", "m")} as tells_names,
    case when {dice.chance(cases.GENDER_GIVEN, "gender given", "m")}
         then case when {dice.chance(0.03, "other gender", "m")} then 'other' when {female} then 'female' else 'male' end end as gender,
    case when {dice.chance(cases.PLACE, "place given", "m")} then {place} end as place"""


def public_name(rank: str) -> str:
    """SQL: the member name that belongs to a name rank, such as Rose42."""
    return f"concat({chosen(NAMES, f'({rank} % {len(NAMES)})')}, {rank} // {len(NAMES)} + 1)"


def email(world: World) -> str:
    """SQL: prenom.nom.000123@example.fr, over the columns of `member`."""
    given, family = (chosen([_mail_name(name) for name in names], number)
                     for names, number in ((NAMES, f"(name_rank % {len(NAMES)})"), (vocabulary.LAST_NAMES, _last_name(world))))
    return f"concat({given}, '.', {family}, printf('.%06d@', m), {world.dice.pick(vocabulary.MAIL_DOMAINS, 'mail domain', 'm')})"


def _mail_name(name: str) -> str:
    plain = unicodedata.normalize("NFD", name.lower()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z]+", "-", plain)


def _last_name(world: World) -> str:
    return world.dice.below(len(vocabulary.LAST_NAMES), "last name", "m")


def _iban(world: World) -> str:
    """SQL: a French IBAN with its national key and its check digits (ISO 13616, mod 97); a few are mistyped."""
    dice = world.dice
    bank, branch, account = "99999", dice.below(100_000, "branch", "person"), dice.below(10**11, "account", "person")
    key = f"(97 - (89 * {bank} + 15 * {branch} + 3 * {account}) % 97)"
    # 26 digits are summed by their remainders: bank, branch, account, key, then FR00
    remainder = (f"(({bank} * {10**24 % 97} + {branch} * {10**19 % 97} + ({account} % 97) * {10**8 % 97} + {key} * {10**6 % 97}"
                 f" + {IBAN_FRANCE % 97}) % 97)")
    mistyped = f"case when {dice.chance(cases.IBAN_MISTYPED, 'mistyped', 'person')} then 1 else 0 end"
    digits = f"((98 - {remainder} + {mistyped}) % 100)"
    return f"printf('FR%02d{bank}%05d%011d%02d', {digits}, {branch}, {account}, {key})"


def write(world: World, folder: Path) -> int:
    """members.ndjson: one JSON object per line, in the order of the numbers; repeated rows at the end."""
    dice = world.dice
    place, street = "place", dice.pick(vocabulary.STREETS, "street", "m")
    city = chosen([name for _, name in vocabulary.COMMUNES], place)
    about = dice.pick(escaped(vocabulary.ABOUTS), "about", "m")
    about = f"replace(replace({about}, '{{prenom}}', given_name), '{{ville}}', coalesce({city}, 'Paris'))"
    house = f"1 + {dice.below(180, 'house', 'm')}, case when {dice.chance(0.08, 'bis', 'm')} then ' bis' else '' end"
    at = f"case when defect = 'email_without_at' then replace({email(world)}, '@', '.') else {email(world)} end"
    bank = dice.chance(cases.IBAN, "bank", "person")
    line = json_line(
        member_id=word("id"),
        member_name=quoted(f"case when defect is distinct from 'member_name_missing' then {public_name('name_rank')} end"),
        email=word(at),
        registration_channel=word("case when defect = 'unknown_channel' then 'minitel' else registration_channel end"),
        registered_at=word(at_utc("registered_us")), age_confirmed=bare("age_confirmed"),
        first_name=quoted("case when tells_names then given_name end"), last_name=quoted("case when tells_names then family_name end"),
        gender=quoted("gender"), birthday=quoted("birthday::varchar"),
        picture_url=quoted(f"""case when {dice.chance(cases.PICTURE, "picture", "m")}
            then concat('https://images.kampeky.example/', {dice.identifier("p", "picture name", "m")}, '.jpg') end"""),
        about=quoted(f"case when {dice.chance(cases.ABOUT, 'about given', 'm')} then {about} end"),
        street=quoted(f"""case when place is not null and {dice.chance(cases.STREET / cases.PLACE, "street given", "m")}
            then concat({house}, ', ', {street}) end"""),
        postcode=quoted(chosen([code for code, _ in vocabulary.COMMUNES], place)), city=quoted(city),
        country="case when place is not null then '\"FR\"' else 'null' end",
        account_holder=quoted(f"case when {bank} then given_name || ' ' || family_name end"),
        iban=quoted(f"case when {bank} then {_iban(world)} end"),
        friends_count=f"""case when defect = 'friends_count_is_text' then '"{cases.TEXT_IN_PLACE_OF_A_VALUE}"'
            when is_social then {dice.below(800, "friends", "m")}::varchar else 'null' end""",
        last_active_on=word("last_active_on"), deleted_at=quoted(at_utc("deleted_us")),
        updated_at=word(at_utc(f"coalesce(deleted_us, {dice.within('registered_us', 'until_us', 'updated', 'm')})")),
    )
    defect = cases.defect("members", world.members, f"{world.members} - 1 - life_rank", spread=False)  # the last ranks: ordinary lives
    marked = f"select *, m as position, {defect} as defect from member join named on named.no = m"
    again = f"select * replace (position + {world.members} as position) from ({marked}) where defect = 'repeated'"
    return world.write_lines(line, f"({marked} union all {again})", folder / "members.ndjson")
