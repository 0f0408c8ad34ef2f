"""What hangs on an account besides its profile: linked social accounts, wallets, verifications, places of devices, disclosures."""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, consents, vocabulary
from pipelines.simulation.devices import device_id
from pipelines.simulation.dice import chosen
from pipelines.simulation.world import DAY_US, HOUR_US, World, at_utc, member_id

# degrees north and east of places in the order of vocabulary.COMMUNES would be one more list to keep: a box over France does
NORTH, EAST = (43.3, 49.9), (-1.5, 7.2)


def write_social_links(world: World, folder: Path) -> int:
    """social_links.ndjson: one link for each member who registered through one; some are cancelled, with their values still in the row."""
    dice = world.dice
    gone = dice.chance(cases.UNLINKED, "unlinked", "m")
    rows = world.build("link", "select * from member where is_social order by m")
    world.build("link_row", f"""
with marked as (select *, rowid as position, {cases.defect("social_links", rows, "rowid")} as defect from link)
select position, defect, {dice.identifier("l", "link", "m")} as link_id, {member_id("m")} as member_id,
       case when defect = 'unknown_provider' then 'minitel' else registration_channel end as provider,
       case when {gone} then 'unlinked' else 'linked' end as status, {dice.identifier("s", "social id", "m")} as social_id,
       given_name as first_name, family_name as last_name, gender,
       concat('https://images.kampeky.example/', {dice.identifier("q", "social picture", "m")}, '.jpg') as picture_url,
       case when registration_channel = 'facebook' then {dice.below(800, "friends", "m")} end as friends_count,
       case when defect = 'linked_at_missing' then null else {at_utc("registered_us")} end as linked_at,
       {at_utc(f"case when {gone} then {dice.within('registered_us', 'until_us', 'unlinked at', 'm')} else registered_us end")} as updated_at
from marked order by position
""")
    return world.deliver("link_row", folder / "social_links.ndjson", "format json")


def write_wallets(world: World, folder: Path) -> int:
    """wallets.csv: whoever sold or bought in the period."""
    dice = world.dice
    rows = world.build("wallet", "select * from member where m in (select buyer from sale union select seller from sale) order by m")
    place = f"coalesce(place, {dice.below(len(vocabulary.COMMUNES), 'billing place', 'm')})"
    world.build("wallet_row", f"""
with marked as (select *, rowid as position, {cases.defect("wallets", rows, "rowid")} as defect from wallet)
select position, defect, {dice.identifier("w", "wallet", "m")} as wallet_id, {member_id("m")} as member_id,
       given_name as first_name, case when defect = 'last_name_missing' then null else family_name end as last_name,
       case when defect = 'birth_date_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}'
            else coalesce(birthday, registered_on - 6580 - {dice.below(12_000, "billing age", "m")}::int)::varchar end as birth_date,
       concat(1 + {dice.below(180, "billing house", "m")}, ', ', {dice.pick(vocabulary.STREETS, "billing street", "m")}) as billing_street,
       {chosen([code for code, _ in vocabulary.COMMUNES], place)} as billing_postcode,
       {chosen([name for _, name in vocabulary.COMMUNES], place)} as billing_city, 'FR' as billing_country,
       {at_utc("registered_us")} as created_at, {at_utc("registered_us")} as updated_at
from marked order by position
""")
    return world.deliver("wallet_row", folder / "wallets.csv", "format csv, header")


def write_verifications(world: World, folder: Path) -> int:
    """verifications.ndjson: signs of abuse led to a question; of the confirmed the number is still in the row, and must not come in."""
    dice = world.dice
    there = f"until_us > {world.start_us} + {HOUR_US} and from_us < {world.end_us} - {HOUR_US}"
    rows = world.build("verification", f"""
select m, {dice.within(f"greatest(from_us, {world.start_us})", f"least(until_us, {world.end_us})", "asked at", "m")} as us
from member where {there} and {dice.chance(cases.VERIFIED, "verified", "m")} order by us, m
""")
    status = dice.pick(("requested", "sent", "sent", "confirmed", "confirmed", "confirmed", "expired"), "verification", "m")
    world.build("verification_row", f"""
with marked as (select *, rowid as position, {cases.defect("verifications", rows, "rowid")} as defect from verification)
select position, defect, {dice.identifier("y", f"verification {world.end}", "m")} as verification_id, {member_id("m")} as member_id,
       printf('+3319900%04d', {dice.below(10_000, "number", "m")}) as phone, {status} as status,
       case when defect = 'requested_at_missing' then null else {at_utc("us")} end as requested_at, {at_utc("us")} as updated_at
from marked order by position
""")
    return world.deliver("verification_row", folder / "verifications.ndjson", "format json")


def write_locations(world: World, folder: Path) -> int:
    """locations.ndjson: fixes of the last day, as exact as a device gives them; some repeated later, a few without a consent."""
    dice, day = world.dice, world.end_us - DAY_US
    at = dice.within(str(day), f"least(acts_until_us, {world.end_us})", "fixed at", "use_no * 4 + k")
    lawful = f"{consents.granted(world, 'location')} or {dice.chance(cases.UNCONSENTED, 'unconsented fix', 'use_no')}"
    rows = world.build("fix", f"""
with seen as (select *, unnest(range(1 + {dice.below(2, "fixes", "use_no")})) as k from device_use where acts_until_us > {day} and events > 0),
timed as (select *, use_no * 4 + k as key, {at} as us from seen)
select us, key, m, device from timed left join grant_of_use on granted_use = use_no where {lawful} order by us, key
""")

    def degrees(between: tuple[float, float], name: str) -> str:
        return f"round({between[0]} + {dice.unit(name, 'device')} * {between[1] - between[0]:.1f} + k0 * 0.001, 6)"

    world.build("fix_row", f"""
with marked as (select *, key % 4 as k0, rowid as position, {cases.defect("locations", rows, "rowid")} as defect from fix)
select position, defect, {device_id(world, "device")} as device_id, {member_id("m")} as member_id,
       case when defect = 'beyond_the_pole' then 123.4 else {degrees(NORTH, "north")} end as latitude, {degrees(EAST, "east")} as longitude,
       {dice.pick(("gps", "wifi", "cell"), "fixed by", "key")} as origin, {at_utc("us")} as fixed_at
from marked order by position
""")
    return world.deliver("fix_row", folder / "locations.ndjson", "format json")


def write_disclosures(world: World, folder: Path) -> int:
    """disclosures.csv: wallets given to the payment institution, addresses to the carrier; a few to the authorities."""
    dice = world.dice
    rows = world.build("disclosure", f"""
with given as (
    select us, key * 4 as key, seller as m, 'mangopay' as recipient, 'wallet transactions' as categories, 'necessary' as ground from sale
    where us >= {world.start_us}
    union all select us, key * 4 + 1, buyer, 'shipping', 'contact address', 'processor' from sale where us >= {world.start_us}
    union all select us, key * 4 + 2, seller, 'authorities', 'registration log_files', 'obligation' from sale
    where us >= {world.start_us} and {dice.chance(cases.TO_AUTHORITIES, "authorities", "key")}
)
select * from given order by us, key
""")
    world.build("disclosure_row", f"""
with marked as (select *, rowid as position, {cases.defect("disclosures", rows, "rowid")} as defect from disclosure)
select position, defect, {dice.identifier("e", f"disclosure {world.end}", "key")} as disclosure_id, {member_id("m")} as member_id,
       case when defect = 'unknown_recipient' then 'anybody' else recipient end as recipient, categories, ground,
       {dice.identifier("f", f"case {world.end}", "key")} as reference, {at_utc("us")} as disclosed_at
from marked order by position
""")
    return world.deliver("disclosure_row", folder / "disclosures.csv", "format csv, header")
