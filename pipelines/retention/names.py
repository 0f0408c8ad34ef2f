"""A deleted member's name in texts that stay readable: taken out where it is the name, left where it is a word (C-2.6).

Messages, posts, comments and ratings stay after an account ends, without the member's name. Many names are words or somebody else's name
(Rose, Pierre, Martin, Olive), so how a name reads decides where it goes (`name_rules`; docs/decisions/0018-names-in-texts.md):

* a name that is no word (Rose42, le_roux-75, marie.d, Marie Dupont in either order): everywhere, as a whole word, in any letter case;
* one word of letters: where it is a mention, where somebody is addressed by it, in quote headers and signatures; and in texts that the member
  wrote or is a party to, with a capital letter inside a sentence, unless a longer name or a street goes on there;
* a word of every text ("bonjour"), an article, a number: only as @mention and in quote headers.

A first or last name, and a member name without the number behind it, count only in texts of the member's own or of a party to the row. An
erasure also takes contacts and identifiers (`contacts`, C-11.3). One marker stands for everybody, so two kept texts cannot be joined by it.
"""

from __future__ import annotations

import polars as pl

from pipelines.policy.vocabulary import NAME_REMOVED
from pipelines.retention import contacts as contact_rules
from pipelines.retention import name_rules, words
from pipelines.retention.name_rules import PAIR, WINDOW
from pipelines.retention.spellings import Names, spellings

NAME = NAME_REMOVED
CONTACT = contact_rules.CONTACT
SLICE = 300_000  # texts that are cut into words at a time
# "[membre supprimé]" is ours, also where somebody is called that
_WHOLE = pl.col("before").str.ends_with("[") & pl.col("after").str.starts_with("]")
_OURS = (pl.col("before").str.contains(r"\[(?:membre |coordonnees )?$") & pl.col("after").str.contains(r"^(?: supprime| retirees)?\]")
         & (~_WHOLE | pl.col("key").is_in(["membre-supprime", "coordonnees-retirees"])))


def redact(texts: pl.DataFrame, people: pl.DataFrame, *, contacts: bool) -> pl.DataFrame:
    """The changed texts only: row, text, names and contacts (how many were taken out of it).

    `texts`: row (any type), text, authors and near (lists of persons: who wrote it; who is a party to the row). `people`: person, kind, value,
    with kinds member_name, first_name, last_name and, for `contacts` (an erasure), identifier, email, phone, iban, street, postcode, city.
    Done again to its own result, it finds nothing. Implements C-2.6 and, with `contacts`, C-11.3.
    """
    rows = texts.with_row_index("index")
    current = _current(rows)
    people = _given(people)
    names, counted = spellings(people), []
    while True:  # what is taken out may end the sentence that hid another name; nothing is put in that could be one
        changed = [_redacted(part, people, names, contacts) for part in current.iter_slices(SLICE)]
        done = pl.concat([part for part in changed if part.height] or [_nothing()])
        if done.is_empty():
            break
        counted.append(done)
        current = current.drop("text").join(done.select("index", "text"), on="index")
    if not counted:
        return texts.clear().select("row", "text", names=pl.lit(0, pl.UInt32), contacts=pl.lit(0, pl.UInt32))
    total = pl.concat(counted).group_by("index", maintain_order=True).agg(pl.col("text").last(), pl.col("names", "contacts").sum())
    return rows.select("index", "row").join(total, on="index").sort("index").drop("index")


def occurrences(texts: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """The final scan, one row per person: how often a name of theirs still stands in the texts as a whole word. `distinct`: as a name that is no
    word, which `redact` leaves nowhere but inside longer names; `ordinary`: as a word; `texts`: in how many texts."""
    people = _given(people)
    names = spellings(people)
    found, related = [_standing_nothing()], [pl.DataFrame(schema={"person": pl.UInt32, "index": pl.UInt32, "level": pl.Int32, "times": pl.UInt32})]
    for part in _current(texts.with_row_index("index")).iter_slices(SLICE):
        standing = _found(part, names).filter(~_OURS).group_by("index", "key", "level").agg(pl.len().cast(pl.UInt32).alias("times"))
        found.append(standing)
        parties = _parties(part.join(standing.select("index").unique(), on="index", how="semi"), names).select("index", "person", "key", "anywhere")
        related.append(parties.filter(~pl.col("anywhere")).join(standing, on=["index", "key"]).select("person", "index", "level", "times"))
    anywhere = names.persons.filter("anywhere").join(pl.concat(found), on="key").select("person", "index", "level", "times")
    counted = pl.concat([anywhere, *related]).group_by("person").agg(
        distinct=pl.col("times").filter(pl.col("level") <= PAIR).sum(), ordinary=pl.col("times").filter(pl.col("level") > PAIR).sum(),
        texts=pl.col("index").n_unique().cast(pl.UInt32))
    return people.select(pl.col("person").unique()).sort("person").join(counted, on="person", how="left").with_columns(
        pl.col("distinct", "ordinary", "texts").fill_null(0).cast(pl.UInt32))


def _current(rows: pl.DataFrame) -> pl.DataFrame:
    parties = (pl.col(column).cast(pl.List(pl.UInt32)) for column in ("authors", "near"))
    return rows.select("index", "text", *parties).filter(pl.col("text").is_not_null())


def _given(people: pl.DataFrame) -> pl.DataFrame:
    stripped = people.select(pl.col("person").cast(pl.UInt32), "kind", pl.col("value").str.strip_chars())
    return stripped.filter(pl.col("value").str.len_chars() > 0).unique(maintain_order=True)


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"index": pl.UInt32, "text": pl.String, "names": pl.UInt32, "contacts": pl.UInt32})


def _standing_nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"index": pl.UInt32, "key": pl.String, "level": pl.Int32, "times": pl.UInt32})


def _redacted(texts: pl.DataFrame, people: pl.DataFrame, names: Names, contacts: bool) -> pl.DataFrame:
    """One pass over a slice, contacts first: an address may hold a name."""
    gone = contact_rules.redacted(texts, people) if contacts else _nothing().drop("names").rename({"contacts": "count"})
    now = words.changed(texts, gone)
    signs = _without_signs(now, names.signs)
    now = words.changed(now, signs)
    spans = _found(now, names).filter(~_OURS)
    spans = spans if spans.is_empty() else spans.filter(name_rules.is_the_member())
    named = words.replaced(now, _with_marks(spans, names), NAME)
    steps = [gone.select("index", "text", names=pl.lit(0, pl.UInt32), contacts="count"), *(
        part.select("index", "text", names="count", contacts=pl.lit(0, pl.UInt32)) for part in (signs, named))]
    return pl.concat(steps).group_by("index").agg(pl.col("text").last(), pl.col("names", "contacts").sum())


def _found(texts: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Every run of words that is written like a name that may stand in its text: index, at, ends, key, level, letters, spelled, before, after,
    tail (as it is written), own, near."""
    party = _involved(texts, names)
    elsewhere = texts.join(party.select("index"), on="index", how="anti")
    candidates = pl.concat([words.may_hold(party, names.known["parts"]), words.may_hold(elsewhere, names.known.filter("anywhere")["parts"])])
    standing = words.runs(words.cut(candidates), names.known["parts"]).join(names.known.drop("parts"), on="key")
    there = candidates.join(standing.select("index").unique(), on="index", how="semi")
    parties = _parties(there, names).group_by("index", "key").agg(pl.col("own").any(), near=~pl.col("own").all())
    joined = standing.join(parties, on=["index", "key"], how="left").with_columns(pl.col("own", "near").fill_null(False))
    joined = joined.filter(pl.col("anywhere") | pl.col("own") | pl.col("near")).join(there.select("index", "text"), on="index")
    begin = pl.max_horizontal(pl.col("at").cast(pl.Int64) - WINDOW, 0)
    before, tail = pl.col("text").str.slice(begin, pl.col("at") - begin), pl.col("text").str.slice(pl.col("ends"), WINDOW)
    # where the window ends, a word goes on: neither a text nor a line ends there
    return joined.with_columns(
        spelled=pl.col("text").str.slice(pl.col("at"), pl.col("ends") - pl.col("at")), tail=tail,
        before=name_rules.around(pl.when(begin > 0).then(pl.lit("x")).otherwise(pl.lit("")) + before),
        after=name_rules.around(tail + pl.when(tail.str.len_chars() == WINDOW).then(pl.lit("x")).otherwise(pl.lit(""))),
    ).drop("text")


def _involved(texts: pl.DataFrame, names: Names) -> pl.DataFrame:
    """The texts that one of the people wrote or is a party to."""
    persons = names.persons.select("person").unique()
    there = [texts.select("index", person=column).explode("person").join(persons, on="person", how="semi") for column in ("authors", "near")]
    return texts.join(pl.concat(there).select("index").unique(), on="index", how="semi")


def _parties(texts: pl.DataFrame, names: Names) -> pl.DataFrame:
    """index, person, own, key, anywhere: the names of those who wrote a text or are a party to its row."""
    parts = [texts.select("index", person=pl.col(column), own=pl.lit(own)).explode("person").filter(pl.col("person").is_not_null())
             for column, own in (("authors", True), ("near", False))]
    return pl.concat(parts).join(names.persons, on="person")


def _with_marks(spans: pl.DataFrame, names: Names) -> pl.DataFrame:
    """The signs that belong to a name ("Rose🌹") go with it."""
    if names.marks.is_empty():
        return spans.select("index", "at", "ends")
    marked = spans.join(names.marks, on="key", how="left")
    long = pl.col("prefix").str.len_chars()
    prefixed = pl.col("before").str.ends_with(name_rules.around(pl.col("prefix"))).fill_null(False) & (long <= pl.col("at"))
    suffixed = pl.col("tail").str.starts_with(pl.col("suffix")).fill_null(False)
    return marked.select(
        "index", at=pl.col("at") - pl.when(prefixed).then(long).otherwise(0),
        ends=pl.col("ends") + pl.when(suffixed).then(pl.col("suffix").str.len_chars()).otherwise(0))


def _without_signs(texts: pl.DataFrame, signs: list[str]) -> pl.DataFrame:
    """A name without a letter ("🌹", ".*") as @mention and in quote headers: index, text, count."""
    if not signs:
        return _nothing().drop("names").rename({"contacts": "count"})
    there = texts.filter(pl.col("text").str.contains_any(signs))
    sign = "(?:" + "|".join(map(_escaped, sorted(signs, key=len, reverse=True))) + ")"
    text = pl.col("text")
    mentioned = (r"(?:^|[^\p{L}\p{N}_.%+@-])@|(?i:\[quote\s*=\s*[\"']?)", r"$|[\s\"'\],;:!?]")
    quoted = (r"(?:^|\n)[> \t]*", r"\s+(?:a [ée]crit|a dit|wrote)\b")
    for before, after in (mentioned, quoted):
        text = text.str.replace_all(f"({before}){sign}({after})", f"${{1}}{NAME}${{2}}")
    count = pl.col("text").str.count_matches(NAME, literal=True) - pl.col("old").str.count_matches(NAME, literal=True)
    changed = there.select("index", text=text, old="text").filter(pl.col("old") != pl.col("text"))
    return changed.select("index", "text", count=count.cast(pl.UInt32))


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or ord(c) > 127 else "\\" + c for c in text)
