"""What members are called, made ready to be looked for: runs of words with the level of help that each needs (`name_rules.LEVELS`)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.retention import words
from pipelines.retention.name_rules import BARE, DISTINCT, ORDINARY, PAIR, WORD
from pipelines.retention.ordinary_words import COMMON_WORDS, NAME_WORDS, SMALL_WORDS

_MEASURE = r"^\d+[a-z]{0,4}\d*$"  # 10h30, 4x4, 50cm, 1er
_SHORT = 4  # letters and digits: ps4, a4, j.p are words
_STEM = r"^(\p{L}[\p{L}\p{M}'’ -]{2,}?)[ _.-]?\d+$"  # Rose42 is called Rose


@dataclass(frozen=True)
class Names:
    """`known`, one row per key: key, parts, level, letters (no digit in it), anywhere (in every text, not only in those of a party);
    `persons`: person, key, anywhere; `marks`: key, prefix, suffix (the signs around a name); `signs`: names with such signs or of nothing
    else, looked for as they are written, too."""

    known: pl.DataFrame
    persons: pl.DataFrame
    marks: pl.DataFrame
    signs: list[str]


def spellings(people: pl.DataFrame) -> Names:
    """`people`: person, kind, value. A member name and a full name, in either order, stand anywhere; parts of them only in texts of a party."""
    member, first, last = (people.filter(pl.col("kind") == kind).select("person", "value") for kind in ("member_name", "first_name", "last_name"))
    both = first.join(last, on="person", suffix="_last")
    full = [both.select("person", value=pl.concat_str(parts)) for parts in (
        ["value", pl.lit(" "), "value_last"], ["value_last", pl.lit(" "), "value"], ["value_last", pl.lit(", "), "value"])]
    stem = member.select("person", value=pl.col("value").str.extract(_STEM)).drop_nulls()
    anywhere, party = pl.lit(True).alias("anywhere"), pl.lit(False).alias("anywhere")
    called = pl.concat([part.with_columns(anywhere) for part in (member, *full)] + [part.with_columns(party) for part in (first, last, stem)])
    called = called.with_row_index("index")
    compared = words.keys(called.select("index", text="value"))
    rated = called.join(compared, on="index").with_columns(level=_level(), letters=~pl.col("key").str.contains(r"\d"))
    known = rated.group_by("key", maintain_order=True).agg(
        pl.col("parts").first(), pl.col("level").min().cast(pl.Int32), pl.col("letters").first(), pl.col("anywhere").any())
    written = called.join(rated.filter((pl.col("prefix") == "") & (pl.col("suffix") == "")), on="index", how="anti")
    signs = written.filter("anywhere")["value"].unique(maintain_order=True).to_list()
    marks = rated.filter((pl.col("prefix") != "") | (pl.col("suffix") != "")).select("key", "prefix", "suffix")
    close = marks.with_columns(pl.col("prefix", "suffix").str.strip_chars())  # "Rose 🌹" is written Rose🌹, too
    persons = rated.select("person", "key", "anywhere").unique(maintain_order=True)
    return Names(known, persons, pl.concat([marks, close]).unique(maintain_order=True), signs)


def _level() -> pl.Expr:
    """Over key, parts, value. Whoever is not known to be told apart needs help."""
    spoken = pl.col("parts").list.gather_every(2)
    own = spoken.list.set_difference(list(SMALL_WORDS))  # the words that are no article
    told_apart = own.list.eval(~pl.element().is_in(list(NAME_WORDS))).list.any()
    length = pl.col("key").str.count_matches(r"[\p{L}\p{N}]")
    digit, letter = pl.col("key").str.contains(r"\d"), pl.col("key").str.contains(r"\p{L}")
    other_marks = pl.col("key").str.contains(r"[^\p{L}\p{M}\p{N}'-]")  # le_roux, marie.d; a hyphen, a space or an apostrophe is a word's
    one_word = ~pl.col("value").str.contains(r"\s")  # Jean-Baptiste, too: others are called so
    common = pl.col("key").is_in(list(COMMON_WORDS)) | pl.col("key").str.contains(_MEASURE) | digit & (length < _SHORT)
    return (pl.when(~letter | (length < 2) | (own.list.len() == 0)).then(BARE)
            .when((spoken.list.len() == 1) & common).then(WORD)
            .when(digit | other_marks).then(pl.when(length < _SHORT).then(WORD).otherwise(DISTINCT))
            .when((own.list.len() < 2) | one_word).then(ORDINARY)
            .when(told_apart).then(DISTINCT).otherwise(PAIR))
