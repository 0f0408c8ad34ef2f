"""What hangs on an account besides its profile: linked social accounts, wallets, verifications, places of devices, disclosures."""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, consents, vocabulary
from pipelines.simulation.dice import chosen
from pipelines.simulation.lines import bare, csv_line, json_line, quoted, table_of, word
from pipelines.simulation.world import DAY_US, HOUR_US, World, at_utc, member_id

# degrees north and east of places in the order of vocabulary.COMMUNES would be one more list to keep: a box over France does
NORTH, EAST = (43.3, 49.9), (-1.5, 7.2)


def write_social_links(world: World, folder: Path) -> int:
    """social_links.ndjson: one link for each member who registered through one; some are cancelled, with their values still in the row."""
    dice = world.dice
    gone = dice.chance(cases.UNLINKED, "unlinked", "m")
    world.build("link", "select * from member where is_social order by m")
    line = json_line(
        link_id=word("'l'", dice.digits("link", "m")), member_id="named.json",
        provider=word("case when defect = 'unknown_provider' then 'minitel' else registration_channel end"),
        status=word(f"case when {gone} then 'unlinked' else 'linked' end"), social_id=word("'s'", dice.digits("social id", "m")),
        first_name=word("given_name"), last_name=word("family_name"), gender=quoted("gender"),
        picture_url=word("'https://images.kampeky.example/q'", dice.digits("social picture", "m"), "'.jpg'"),
        friends_count=bare(f"case when registration_channel = 'facebook' then {dice.below(800, 'friends', 'm')} end"),
        linked_at=quoted(f"case when defect is distinct from 'linked_at_missing' then {at_utc('registered_us')} end"),
        updated_at=word(at_utc(f"case when {gone} then {dice.within('registered_us', 'until_us', 'unlinked at', 'm')} else registered_us end")),
    )
    rows = f"{world.delivered('link', 'social_links')} as linked join named on named.no = m"
    return world.write_lines(line, rows, folder / "social_links.ndjson")


def write_wallets(world: World, folder: Path) -> int:
    """wallets.csv: whoever sold or bought in the period."""
    dice = world.dice
    world.build("wallet", "select * from member where m in (select buyer from sale union select seller from sale) order by m")
    registered = at_utc("registered_us")
    line = csv_line(
        wallet_id=dice.identifier("w", "wallet", "m"), member_id="named.id", first_name="given_name",
        last_name="case when defect = 'last_name_missing' then null else family_name end",
        birth_date=f"""case when defect = 'birth_date_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}'
            else coalesce(birthday, registered_on - 6580 - {dice.below(12_000, "billing age", "m")}::int)::varchar end""",
        billing_street=f"""'"', 1 + {dice.below(180, "billing house", "m")}, ', ', {dice.pick(vocabulary.STREETS, "billing street", "m")}, '"'""",
        billing_postcode=chosen([code for code, _ in vocabulary.COMMUNES], "billing_place"),
        billing_city=chosen([name for _, name in vocabulary.COMMUNES], "billing_place"), billing_country="'FR'",
        created_at=registered, updated_at=registered,
    )
    place = f"coalesce(place, {dice.below(len(vocabulary.COMMUNES), 'billing place', 'm')})"
    return world.write_lines(line, f"""(
    select *, {place} as billing_place from {world.delivered("wallet", "wallets")}
) as held join named on named.no = m""", folder / "wallets.csv")


def write_verifications(world: World, folder: Path) -> int:
    """verifications.ndjson: signs of abuse led to a question; of the confirmed the number is still in the row, and must not come in."""
    dice = world.dice
    there = f"until_us > {world.start_us} + {HOUR_US} and from_us < {world.end_us} - {HOUR_US}"
    world.build("verification", f"""
select m, {dice.within(f"greatest(from_us, {world.start_us})", f"least(until_us, {world.end_us})", "asked at", "m")} as us
from member where {there} and {dice.chance(cases.VERIFIED, "verified", "m")} order by us, m
""")
    line = json_line(
        verification_id=word("'y'", dice.digits(f"verification {world.end}", "m")), member_id=word(member_id("m")),
        phone=word(f"printf('+3319900%04d', {dice.below(10_000, 'number', 'm')})"),
        status=word(dice.pick(("requested", "sent", "sent", "confirmed", "confirmed", "confirmed", "expired"), "verification", "m")),
        requested_at=quoted(f"case when defect is distinct from 'requested_at_missing' then {at_utc('us')} end"), updated_at=word(at_utc("us")),
    )
    return world.write_lines(line, world.delivered("verification", "verifications"), folder / "verifications.ndjson")


def write_locations(world: World, folder: Path) -> int:
    """locations.ndjson: fixes of the last day, as exact as a device gives them; some repeated later, a few without a consent."""
    dice, day = world.dice, world.end_us - DAY_US
    at = dice.within(str(day), f"least(acts_until_us, {world.end_us})", "fixed at", "use_no * 4 + k")
    lawful = f"{consents.granted(world, 'location')} or {dice.chance(cases.UNCONSENTED, 'unconsented fix', 'use_no')}"
    world.build("fix", f"""
with seen as (select *, unnest(range(1 + {dice.below(2, "fixes", "use_no")})) as k from use_answer where acts_until_us > {day} and events > 0),
timed as (select *, use_no * 4 + k as key, {at} as us from seen)
select us, key, coalesce(m, 0) as m, device from timed where {lawful} order by us, key
""")

    def degrees(between: tuple[float, float], name: str) -> str:
        return f"round({between[0]} + {dice.unit(name, 'device')} * {between[1] - between[0]:.1f} + key % 4 * 0.001, 6)"

    line = json_line(
        device_id="used.json", member_id="named.json", latitude=f"case when defect = 'beyond_the_pole' then 123.4 else {degrees(NORTH, 'north')} end",
        longitude=degrees(EAST, "east"), origin=word(dice.pick(("gps", "wifi", "cell"), "fixed by", "key")), fixed_at=word(at_utc("us")),
    )
    return world.write_lines(line, f"""{world.delivered("fix", "locations")} as fixed
join named on named.no = m join device as used on used.no = device""", folder / "locations.ndjson")


def write_disclosures(world: World, folder: Path) -> int:
    """disclosures.csv: wallets given to the payment institution, addresses to the carrier; a few to the authorities."""
    dice = world.dice
    world.build("disclosure", f"""
with given as (
    select us, key * 4 as key, seller as m, 0 as receiver from sale where us >= {world.start_us}
    union all select us, key * 4 + 1, buyer, 1 from sale where us >= {world.start_us}
    union all select us, key * 4 + 2, seller, 2 from sale where us >= {world.start_us} and {dice.chance(cases.TO_AUTHORITIES, "authorities", "key")}
)
select * from given order by us, key
""")
    world.build("receiver", table_of(
        recipient=("mangopay", "shipping", "authorities"), categories=("wallet transactions", "contact address", "registration log_files"),
        ground=("necessary", "processor", "obligation")))
    line = csv_line(
        disclosure_id=dice.identifier("e", f"disclosure {world.end}", "key"), member_id="named.id",
        recipient="case when defect = 'unknown_recipient' then 'anybody' else recipient end", categories="categories", ground="ground",
        reference=dice.identifier("f", f"case {world.end}", "key"), disclosed_at=at_utc("us"),
    )
    return world.write_lines(line, f"""{world.delivered("disclosure", "disclosures")} as given
join named on named.no = m join receiver on receiver.no = given.receiver""", folder / "disclosures.csv")
