"""Words of texts, and where a run of them is one that is looked for (C-2.6).

A text is cut into words and what stands between them, and nothing is lost by it: pieces joined are the text. A run of words is found in
any letter case, with accents, without them or with combining ones, and across a hyphen where a space was; every other mark between two words
must be the same. So a name is never a pattern: whatever somebody is called, it is compared, not run.

It decides nothing: whether a run found is the person or the flower is `name_rules`.
"""

from __future__ import annotations

import unicodedata

import polars as pl

_UNSEEN = "\u00ad\u200b-\u200f\u2060\ufeff"  # soft hyphen, zero width, direction marks: inside of a word they are no edge
_MARK = rf"[\u0300-\u036f{_UNSEEN}]"
# underscores and unseen marks belong to a word where a letter follows; %2F in an address is an edge as / is
WORD = rf"[\p{{L}}\p{{N}}](?:[\p{{L}}\p{{M}}\p{{N}}]|_+[\p{{L}}\p{{N}}]|[{_UNSEEN}]+[\p{{L}}\p{{N}}])*"
PIECE = rf"(?:%[0-9A-Fa-f]{{2}}|[^\p{{L}}\p{{N}}])+|{WORD}"
_LETTERS = {"œ": "oe", "æ": "ae", "ø": "o", "ß": "ss", "ł": "l", "đ": "d"}
_STREETS = {"av": "avenue", "ave": "avenue", "bd": "boulevard", "bld": "boulevard", "bvd": "boulevard", "pl": "place", "r": "rue", "ch": "chemin",
            "all": "allee", "imp": "impasse", "st": "saint", "ste": "sainte", "rte": "route", "sq": "square", "fbg": "faubourg"}
LONGEST = 8  # words of a run; of a longer one the first eight
_FEW = 200  # words that one pattern looks for before texts are cut
_ENOUGH = 24  # letters of a word that this pattern looks for


def folded(text: pl.Expr) -> pl.Expr:
    """In small letters, without accents and unseen marks."""
    return text.str.to_lowercase().str.normalize("NFD").str.replace_all(_MARK, "").str.replace_many(_LETTERS)


def _word(text: pl.Expr, loose: bool) -> pl.Expr:
    return folded(text).replace(_STREETS) if loose else folded(text)


def gap(text: pl.Expr, loose: bool) -> pl.Expr:
    """What stands between two words, made one where it means one; `loose`, for addresses: any marks."""
    if loose:
        return pl.when(text.str.contains(r"^[\s,;:'’()./-]+$")).then(pl.lit("-")).otherwise(text)
    return (pl.when(text.str.contains(r"^(?:[^\S\r\n]+|[-\u2010\u2011]|[^\S\r\n]*\r?\n[^\S\r\n]*|%20)$")).then(pl.lit("-"))
            .when(text.str.contains("^ ?['’\u02bc\u2018`\u00b4] ?$")).then(pl.lit("'")).otherwise(text))


def cut(texts: pl.DataFrame, pattern: str = PIECE) -> pl.DataFrame:
    """`index`, `text` -> one row per piece, in the order of the text: index, piece, at and ends (in characters)."""
    pieces = texts.select("index", piece=pl.col("text").str.extract_all(pattern)).explode("piece").filter(pl.col("piece").is_not_null())
    length = pl.col("piece").str.len_chars()
    pieces = pieces.with_columns(ends=length.cum_sum())
    first = pl.col("ends").first().over("index") - length.first().over("index")
    return pieces.with_columns(ends=(pl.col("ends") - first).cast(pl.UInt32), at=(pl.col("ends") - length - first).cast(pl.UInt32))


def keys(values: pl.DataFrame, loose: bool = False, pattern: str = PIECE) -> pl.DataFrame:
    """`index`, `text` (a name, an address) -> index, key, parts (its words and gaps, as they are compared), prefix and suffix (marks around it).
    A value without a letter or digit has no row."""
    pieces = cut(values, pattern).with_columns(word=pl.col("piece").str.contains(r"^[\p{L}\p{N}]"), place=pl.int_range(pl.len()).over("index"))
    bounds = pieces.filter("word").group_by("index").agg(first=pl.col("place").min(), last=pl.col("place").max())
    bounds = bounds.with_columns(last=pl.min_horizontal("last", pl.col("first") + 2 * (LONGEST - 1)))
    placed = pieces.join(bounds, on="index", maintain_order="left")
    part = pl.when("word").then(_word(pl.col("piece"), loose)).otherwise(gap(pl.col("piece"), loose))
    return placed.with_columns(part=part).group_by("index", maintain_order=True).agg(
        parts=pl.col("part").filter(pl.col("place").is_between(pl.col("first"), pl.col("last"))),
        prefix=pl.col("piece").filter(pl.col("place") < pl.col("first")).first().str.strip_chars_start(),
        suffix=pl.col("piece").filter(pl.col("place") > pl.col("last")).first().str.strip_chars_end(),
    ).with_columns(key=pl.col("parts").list.join(""), prefix=pl.col("prefix").fill_null(""), suffix=pl.col("suffix").fill_null(""))


def runs(pieces: pl.DataFrame, parts: pl.Series, loose: bool = False) -> pl.DataFrame:
    """Where the runs stand that `parts` (of `keys`) name, overlapping ones too: index, at, ends, key."""
    wanted = pl.DataFrame({"parts": parts}).with_columns(key=pl.col("parts").list.join("")).unique("key")
    heads = wanted.select(pl.col("parts").list.first().alias("head")).unique()
    spelled = pieces.select(pl.col("piece").unique()).with_columns(head=_word(pl.col("piece"), loose)).join(heads, on="head", how="semi")
    numbered = pieces.with_row_index("place")
    open_runs = numbered.select("place", "index", "at", "piece").join(spelled, on="piece").rename({"head": "key"}).drop("piece")
    found = []
    for words in range(1, LONGEST + 1):
        found.append(_ending(open_runs, numbered, 2 * words - 2).join(wanted.select("key"), on="key", how="semi"))
        longer = wanted.filter(pl.col("parts").list.len() > 2 * words - 1)
        if open_runs.is_empty() or longer.is_empty():
            break
        begun = longer.select(key=pl.col("parts").list.head(2 * words + 1).list.join("")).unique()
        between, word = (_behind(open_runs, numbered, 2 * words - 1 + n) for n in (0, 1))
        known = open_runs.with_columns(between=between, word=word).filter(pl.col("word").is_not_null())
        open_runs = known.select("place", "index", "at", key=pl.concat_str("key", gap(pl.col("between"), loose), _word(pl.col("word"), loose))).join(
            begun, on="key", how="semi")
    return pl.concat(found)


def _behind(open_runs: pl.DataFrame, numbered: pl.DataFrame, pieces: int) -> pl.Series:
    """The piece so many places behind the beginning of each run, null where the text ends before."""
    place = open_runs["place"] + pieces
    place = place.set(place >= numbered.height, None)
    there, text = numbered["index"].gather(place), numbered["piece"].gather(place)
    return text.set((there != open_runs["index"]).fill_null(True), None)


def _ending(open_runs: pl.DataFrame, numbered: pl.DataFrame, pieces: int) -> pl.DataFrame:
    return open_runs.select("index", "at", numbered["ends"].gather(open_runs["place"] + pieces).alias("ends"), "key")


def longest(parts: pl.Series) -> list[str]:
    """The longest word of each of the runs."""
    names = pl.DataFrame({"parts": parts}).with_row_index("name").explode("parts").filter(pl.col("parts").str.contains(r"[\p{L}\p{N}]"))
    return sorted(set(names.group_by("name").agg(pl.col("parts").sort_by(pl.col("parts").str.len_chars()).last())["parts"]))


def may_hold(texts: pl.DataFrame, parts: pl.Series) -> pl.DataFrame:
    """The texts in which one of the runs may stand, found by the longest word of each; all of them where a word is not of ASCII's letters."""
    wanted = longest(parts)
    if not wanted:
        return texts.clear()
    if not all(map(str.isascii, wanted)):
        return texts
    if len(wanted) <= _FEW:
        return texts.filter(pl.col("text").str.contains(f"(?i){'|'.join(map(_any_accents, wanted))}"))
    text = pl.col("text")
    plain = text.str.len_bytes() == text.str.len_chars()
    return pl.concat([texts.filter(plain).filter(text.str.contains_any(wanted, ascii_case_insensitive=True)),
                      texts.filter(~plain).filter(folded(text).str.contains_any(wanted))]).sort("index")


def _accented() -> dict[str, str]:
    """For each letter, those that are it with an accent."""
    found: dict[str, str] = {}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = unicodedata.normalize("NFD", chr(code).lower())[0]
        base = _LETTERS.get(base, base)
        if len(base) == 1 and base.isascii():
            found[base] = found.get(base, "") + chr(code)
    return found


_ACCENTED = _accented()


def _any_accents(word: str) -> str:
    """A pattern that finds a word of ASCII letters and digits however it is accented."""
    letters = "".join(f"[{c}{_ACCENTED.get(c, '')}]{_MARK}*" if c.isalnum() else c if c == "_" else f"\\{c}" for c in word[:_ENOUGH])
    for one, two in (("œ", "oe"), ("æ", "ae"), ("ß", "ss")):
        pair = "".join(f"[{c}{_ACCENTED.get(c, '')}]{_MARK}*" for c in two)
        letters = letters.replace(pair, f"(?:{pair}|{one}{_MARK}*)")
    return letters


def changed(texts: pl.DataFrame, by: pl.DataFrame) -> pl.DataFrame:
    """The texts in their order, those in `by` (index, text) as they are there."""
    joined = texts.join(by.select("index", after="text"), on="index", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("after", "text").alias("text")).drop("after")


def replaced(texts: pl.DataFrame, spans: pl.DataFrame, by: str) -> pl.DataFrame:
    """`index`, `text` without the spans (index, at, ends), each of which becomes `by`; overlapping ones become one. Only changed texts: index, text,
    count."""
    ordered = spans.sort("index", "at").with_columns(before=pl.col("ends").cum_max().shift().over("index"))
    merged = ordered.with_columns(run=((pl.col("at") >= pl.col("before")).fill_null(True)).cum_sum()).group_by("run", maintain_order=True).agg(
        pl.col("index").first(), pl.col("at").min(), pl.col("ends").max())
    kept = merged.with_columns(begins=pl.col("ends").shift(fill_value=0).over("index")).join(
        texts.select("index", "text"), on="index", maintain_order="left")
    kept = kept.with_columns(piece=pl.col("text").str.slice(pl.col("begins"), pl.col("at") - pl.col("begins")))
    return kept.group_by("index", maintain_order=True).agg(
        pl.concat_str(pl.col("piece"), pl.lit(by)).str.join("").alias("head"),
        pl.col("text").last().str.slice(pl.col("ends").last()).alias("tail"), pl.len().cast(pl.UInt32).alias("count"),
    ).select("index", text=pl.col("head") + pl.col("tail"), count="count")
