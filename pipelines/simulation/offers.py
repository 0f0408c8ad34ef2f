"""Offers of goods, the comments below them, the messages about them and the ratings after the sale.

One offer stands behind each sale of the period, by the seller of that sale; the others are still open. Whoever writes had an account at that
moment. Messages are what people write to each other: names, sometimes a telephone number, sometimes a third member's name.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.simulation import cases, vocabulary
from pipelines.simulation.dice import chosen
from pipelines.simulation.events import FIRST_OFFER, OFFERS
from pipelines.simulation.lines import cell, csv_line, json_line, quoted, sentence, word
from pipelines.simulation.members import public_name
from pipelines.simulation.world import DAY_US, HOUR_US, World, at_utc, member_id, offer_category

MINUTE_US = 60_000_000


def prepare(world: World) -> None:
    """Tables `offer`, `comment`, `message` and `rating`, each in the order of time."""
    dice, open_ = world.dice, round(cases.OPEN_OFFERS_PER_MEMBER * world.members)
    sellers = world.build("seller_pool", f"""
select row_number() over (order by m) - 1 as number, m, place, greatest(from_us, {world.start_us}) as from_us,
       least(until_us, {world.end_us}) as until_us from member where from_us < {world.end_us} - {HOUR_US} and until_us > {world.start_us} + {HOUR_US}
""")
    some = max(sellers, 1)
    world.build("offer", f"""
with sold as (
    select {FIRST_OFFER} + {dice.below(OFFERS, "sold offer", "key")} as offer, seller as m, us as ends_us from sale where us >= {world.start_us}
),
first_sold as (select distinct on (offer) * from sold order by offer, ends_us, m),
open_ones as (
    select {FIRST_OFFER} + {dice.below(OFFERS, "open offer", "i")} as offer, p.m, null::bigint as ends_us
    from range({open_ if sellers else 0}) as r(i) join seller_pool as p on p.number = {dice.below(some, "open offer of", "i")}
),
first_open as (select distinct on (offer) * from open_ones where offer not in (select offer from first_sold) order by offer, m),
together as (select *, true as is_sold from first_sold union all select *, false from first_open),
told as (
    select o.*, p.place, p.from_us, least(p.until_us, coalesce(ends_us, p.until_us)) as until_us from together as o join seller_pool as p using (m)
)
select offer, m, is_sold, ends_us, place, {dice.within("from_us", "until_us", "offered at", "offer")} as us from told where from_us < until_us
order by us, offer
""")
    world.build("comment", f"""
with listed as (select *, unnest(range({dice.about(str(cases.COMMENTS_PER_OFFER), "comments", "offer")})) as k from offer),
keyed as (select *, offer * 64 + k as key from listed),
written as (
    select key, offer, o.m as seller, p.m as author, {dice.within("greatest(us, p.from_us)", "p.until_us", "commented at", "key")} as at_us,
           greatest(us, p.from_us) < p.until_us as there
    from keyed as o join seller_pool as p on p.number = {dice.below(some, "comment by", "key")}
)
select key, offer, seller, author, at_us as us from written where there and author <> seller order by us, key
""")
    both = "least(b.until_us, s.until_us)"
    world.build("dealing", f"""
select sale.us, sale.key, sale.buyer, sale.seller, {both} as both_until_us, greatest(b.from_us, s.from_us) as both_from_us,
       b.given_name as buyer_name, s.given_name as seller_name, {FIRST_OFFER} + {dice.below(OFFERS, "sold offer", "sale.key")} as offer
from sale join member as b on b.m = sale.buyer join member as s on s.m = sale.seller where sale.us >= {world.start_us}
""")
    world.build("message", f"""
with listed as (select *, unnest(range(1 + {dice.below(4, "messages", "key")})) as k from dealing),
timed as (select *, key * 8 + k as message_key, us - (6 - k) * (20 + {dice.below(40, "pause", "key")}) * {MINUTE_US} as at_us from listed)
select message_key as key, key as conversation, offer, at_us as us, case when k % 2 = 0 then buyer else seller end as sender,
       case when k % 2 = 0 then seller else buyer end as recipient, case when k % 2 = 0 then seller_name else buyer_name end as to_name
from timed where at_us > both_from_us order by us, key
""")
    world.build("rating", f"""
with given as (
    select *, true as by_buyer from dealing where {dice.chance(cases.RATED_BY_BUYER, "buyer rates", "key")}
    union all select *, false from dealing where {dice.chance(cases.RATED_BY_SELLER, "seller rates", "key")}
),
timed as (select *, key * 2 + by_buyer::bigint as rating_key, us + {DAY_US} + {dice.below(9 * DAY_US, "rated after", "key")} as at_us from given)
select rating_key as key, key as sale_key, at_us as us, case when by_buyer then buyer else seller end as rater,
       case when by_buyer then seller else buyer end as rated
from timed where at_us < least(both_until_us, {world.end_us}) order by us, key
""")


def write_offers(world: World, folder: Path) -> int:
    """offers.ndjson: in the order of time; repeated rows at the end."""
    dice, names = world.dice, vocabulary.ITEM_CATEGORIES
    price = dice.pick(vocabulary.PRICE_SPREAD, "asked spread", "offer")
    median = chosen(vocabulary.MEDIAN_PRICE_EUR, "category")
    line = json_line(
        offer_id=word("'o'", "offer"), seller_id="seller.json", title=quoted("case when defect is distinct from 'title_missing' then thing end"),
        description=word("'Vends '", "thing", "', '", dice.pick(vocabulary.OFFER_WORDS, "words", "offer")),
        item_category=word(chosen(names, "category")), brand=word(dice.pick(vocabulary.BRANDS, "brand", "offer")),
        size=word(dice.pick(("S", "M", "L", "38", "40", "42", ""), "size", "offer")),
        colour=word(dice.pick(("rose", "vert olive", "noir", "bleu", "écru"), "colour", "offer")),
        condition=word(dice.pick(("new", "as_new", "good", "worn"), "condition", "offer")),
        price_eur=word(f"""case when defect = 'price_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}'
            else concat(greatest(1, round({median} * {price}))::int, '.00') end"""),
        payment_methods=word("'carte virement'"), place=quoted(chosen([name for _, name in vocabulary.COMMUNES], "place")),
        picture_urls=word("'https://images.kampeky.example/o'", dice.digits("offer picture", "offer"), "'.jpg'"),
        status=word(f"""case when defect = 'unknown_status' then 'perdu' when is_sold then 'sold'
            when {dice.chance(0.1, "withdrawn offer", "offer")} then 'withdrawn' else 'open' end"""),
        created_at=word(at_utc("us")), updated_at=word(at_utc("coalesce(ends_us, us)")),
    )
    return world.write_lines(line, f"""(
    select *, {dice.pick(vocabulary.OBJECTS, "object", "offer")} as thing, {offer_category("offer", dice)} as category
    from {world.delivered("offer", "offers")}
) as offered join named as seller on seller.no = m""", folder / "offers.ndjson")


def write_comments(world: World, folder: Path) -> int:
    """comments.csv: in the order of time; repeated rows at the end."""
    line = csv_line(
        comment_id=world.dice.identifier("k", f"comment {world.end}", "key"), offer_id="'o', offer", seller_id=member_id("seller"),
        author_id=member_id("author"),
        body=cell(f"case when defect = 'body_missing' then null else concat({_filled(world, vocabulary.COMMENTS, 'comment text')}) end"),
        author_deleted="null",
        posted_at=f"case when defect = 'posted_at_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else {at_utc('us')} end",
    )
    return world.write_lines(line, world.delivered("comment", "comments"), folder / "comments.csv")


def write_messages(world: World, folder: Path) -> int:
    """messages.parquet: in the order of time; repeated rows at the end."""
    dice, text = world.dice, _filled(world, vocabulary.MESSAGES, "message text", prenom="to_name")
    world.build("message_row", f"select * from {world.delivered('message', 'messages')}")  # one scan, as for the events
    return world.write(f"""
select {dice.identifier("x", f"message {world.end}", "key")} as message_id,
       {dice.identifier("v", f"conversation {world.end}", "conversation")} as conversation_id, concat('o', offer) as offer_id,
       s.id as sender_id, case when defect = 'written_to_oneself' then s.id else r.id end as recipient_id,
       case when defect = 'body_missing' then null else concat({text}, {_contact(world)}) end as body, null::boolean as sender_deleted,
       make_timestamptz(us) as sent_at
from message_row join named as s on s.no = sender join named as r on r.no = recipient {world.in_order}
""", folder / "messages.parquet", "format parquet, compression zstd")


def write_ratings(world: World, folder: Path) -> int:
    """ratings.ndjson: in the order of time; repeated rows at the end."""
    dice = world.dice
    line = json_line(
        rating_id=word("'r'", dice.digits(f"rating {world.end}", "key")), transaction_id=word("'t'", dice.digits(f"sale {world.end}", "sale_key")),
        rater_id="rater_name.json", rated_id="rated_name.json",
        stars=f"case when defect = 'six_stars' then 6 else {dice.pick((5, 5, 5, 5, 4, 4, 3, 2, 1), 'stars', 'key')} end",
        body=quoted(f"case when {dice.chance(0.6, 'rated in words', 'key')} then concat({_filled(world, vocabulary.RATINGS, 'rating text')}) end"),
        rater_deleted="'null'", rated_at=quoted(f"case when defect is distinct from 'rated_at_missing' then {at_utc('us')} end"),
    )
    return world.write_lines(line, f"""{world.delivered("rating", "ratings")} as given
join named as rater_name on rater_name.no = rater join named as rated_name on rated_name.no = rated""", folder / "ratings.ndjson")


def _filled(world: World, sentences: tuple[str, ...], name: str, **blanks: str) -> str:
    """SQL, texts in a row: one of the sentences, filled in."""
    dice = world.dice
    return sentence(sentences, dice.below(len(sentences), name, "key"), objet=dice.pick(vocabulary.OBJECTS, f"{name} object", "key"),
                    membre=public_name(dice.below(world.members, f"{name} mentions", "key")),
                    ville=dice.pick([city for _, city in vocabulary.COMMUNES], f"{name} town", "key"), **blanks)


def _contact(world: World) -> str:
    line = f"lpad({world.dice.below(10_000, 'message line', 'key')}::varchar, 4, '0')"
    gives = world.dice.chance(cases.CONTACT_IN_TEXT, "message contact", "key")
    return f"case when {gives} then concat(' Mon numéro : 06 39 98 ', {line}) else '' end"
