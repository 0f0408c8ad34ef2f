"""Forum posts: French sentences with commas, quotes, new lines, emoji, and what people should not write in public.

A CSV as RFC 4180 has it. Some posts name another member, some give the author's own address or a telephone number,
and in a world of a thousand members exactly one gives a full card number, which ingestion must refuse (C-2.5).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.engines.duckdb_engine import quote_text
from pipelines.foundation.errors import KampekyError
from pipelines.simulation import cases, vocabulary
from pipelines.simulation.dice import chosen, literals, log_normal
from pipelines.simulation.lines import cell, csv_line, sentence
from pipelines.simulation.members import email, public_name
from pipelines.simulation.world import World, at_utc, awake, member_id

SENTENCES_PER_TOPIC = len(vocabulary.FORUM_SENTENCES) // len(vocabulary.FORUM_TOPICS)
WRITERS_SHARE = 0.7  # roughly who of all members is there in the period, so that the mean holds


def prepare(world: World) -> int:
    """Table `post`: one row per post in the order of time."""
    dice = world.dice
    eagerness = literals(log_normal(cases.POSTS_PER_MEMBER / WRITERS_SHARE, 1.3))
    threads = max(round(cases.THREADS_PER_MEMBER * world.members), 1)
    return world.build("post", f"""
with present as (
    select *, greatest(from_us, {world.start_us}) as acts_from_us, least(until_us, {world.end_us}) as acts_until_us from member
),
writing as (
    select *, {eagerness}[1 + {dice.below(128, "eagerness", "m")}] as posts from present where acts_from_us < acts_until_us
),
listed as (select *, unnest(range({dice.about("posts", "posts", "m")})) as k from writing),
keyed as (select *, m * 4096 + k as key from listed),
timed as (select *, {dice.within("acts_from_us", "acts_until_us", "posted", "key")} as raw_us from keyed),
placed as (select *, {awake("raw_us", "acts_until_us")} as us, 1 + {dice.below(threads, "thread", "key")} as thread from timed)
select us, key, m, thread, {dice.below(len(vocabulary.FORUM_TOPICS), "topic", "thread")} as topic, given_name, {email(world)} as email
from placed order by us, key
""")


def _body(world: World) -> str:
    """SQL: one or two sentences of the thread's topic, filled in."""
    dice = world.dice
    telephone = (f"concat('06 39 98 ', lpad({dice.below(100, 'telephone', 'key')}::varchar, 2, '0'), ' ',"
                 f" lpad({dice.below(100, 'line', 'key')}::varchar, 2, '0'))")
    blanks = {
        "objet": dice.pick(vocabulary.OBJECTS, "object", "key"), "prenom": "given_name",
        "membre": public_name(dice.below(world.members, "mentioned", "key")),
        "ville": dice.pick([city for _, city in vocabulary.COMMUNES], "town", "key"), "prix": f"(5 + {dice.below(195, 'asked', 'key')})::varchar",
    }

    def one(name: str) -> str:
        return sentence(vocabulary.FORUM_SENTENCES, f"(topic * {SENTENCES_PER_TOPIC} + {dice.below(SENTENCES_PER_TOPIC, name, 'key')})", **blanks)

    contact = sentence(vocabulary.CONTACTS, dice.below(len(vocabulary.CONTACTS), "contact", "key"), email="email", telephone=telephone)
    return f"""concat({one("first")}, case when {dice.chance(0.3, "two sentences", "key")} then concat(' ', {one("second")}) end,
        case when {dice.chance(cases.CONTACT_IN_TEXT, "gives contact", "key")} then concat(' ', {contact}) end)"""


def write(world: World, folder: Path) -> int:
    """forum_posts.csv: in the order of time; repeated rows at the end."""
    if len(vocabulary.FORUM_SENTENCES) % len(vocabulary.FORUM_TOPICS):
        raise KampekyError("vocabulary.FORUM_SENTENCES must hold the same number of sentences for each of FORUM_TOPICS.")
    dice = world.dice
    card = f"when position = 0 then {quote_text(vocabulary.CARD_SENTENCE)}" if world.members >= cases.ENOUGH else ""
    gone = dice.chance(cases.AUTHOR_GONE, "author gone", "key")
    line = csv_line(
        post_id=dice.identifier("p", f"post {world.end}", "key"),
        thread_id="case when defect = 'thread_id_missing' then null else concat('t', thread) end",
        author_id=f"case when not {gone} then {member_id('m')} end", author_deleted=f"({gone})::varchar",
        forum_category=chosen(vocabulary.FORUM_TOPICS, "topic"),
        posted_at=f"case when defect = 'posted_at_is_text' then '{cases.TEXT_IN_PLACE_OF_A_VALUE}' else {at_utc('us')} end",
        body=cell(f"case when defect = 'body_missing' then null {card} else {_body(world)} end"),
    )
    return world.write_lines(line, world.delivered("post", "forum_posts"), folder / "forum_posts.csv")
