"""A person's contacts and identifiers in texts, for an erasure (C-2.6, C-11.3): as they are written there, taken out whole.

E-mail addresses, telephone numbers and bank accounts are found by their form and compared with the person's by what they say: 06.12.34.56.78 and
+33 6 12 34 56 78 are one number. Identifiers are words, in any text and in the path of an address. Streets with their number, and a postcode
beside its town, go from the person's own texts only: in others' they are somebody else's, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import phonenumbers
import polars as pl

from pipelines.policy.vocabulary import CONTACT_REMOVED
from pipelines.retention import words
from pipelines.retention.ordinary_words import COMMON_WORDS, NAME_WORDS

CONTACT = CONTACT_REMOVED
_AT = r"(?:@|%40)"
_SPELLED_AT = r"(?:\s?(?:@|%40)\s?|\s?[\[({<]\s?(?:at|arobase|arobas|chez|a|à|@)\s?[\])}>]\s?|\s(?:at|arobase|arobas)\s)"
_SPELLED_DOT = r"(?:\.|\s?[\[({]\s?(?:point|dot|\.)\s?[\])}]\s?|\s(?:point|dot)\s)"
_LOCAL, _LABEL = r"[\p{L}\p{N}][\p{L}\p{M}\p{N}_+-]*", r"[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?"
_EMAIL = rf"(?i:{_LOCAL}(?:\.[\p{{L}}\p{{M}}\p{{N}}_+-]+)*{_AT}{_LABEL}(?:\.{_LABEL})+)"
_SPELLED_EMAIL = rf"(?i:{_LOCAL}(?:{_SPELLED_DOT}[\p{{L}}\p{{M}}\p{{N}}_+-]+)*{_SPELLED_AT}{_LABEL}(?:{_SPELLED_DOT}{_LABEL})+)"
_BETWEEN_DIGITS = r"(?:[ .\-/_()\u00a0\u202f\u2009\u2011]|%20|\+){0,3}"
_CELLS = r"(?:[ .\-\u00a0\u202f]|%20|\+)?"
_OTHER = r"%[0-9A-Fa-f]{2}|[\p{L}\p{N}]+|(?s:.)"  # what no contact begins in the middle of
_ID_PIECE = r"(?:%[0-9A-Fa-f]{2}|[^\p{L}\p{N}])+|[\p{L}\p{N}]+"  # photo_m000123 names m000123
_ID_IN_PATH = r"(?i)(?:/(?:u|users?|membres?|members?|profils?|utilisateurs?)/|[?&;](?:id|user|member|membre|uid)\w*=)$"
_LEAST_DIGITS, _LEAST_LETTERS = 6, 16  # of an identifier without the other; a shorter one is a price or a word


def redacted(texts: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """`index`, `text`, `authors` -> index, text, count: the texts in which contacts of `people` (person, kind, value) stood."""
    now, counted = texts.select("index", "text", "authors"), []
    phones, ibans, emails = _phones(people), _ibans(people), _of(people, "email").select(said=pl.col("value").str.to_lowercase()).unique()
    plain = {**phones, **ibans} | ({_EMAIL: emails} if emails.height else {})
    spelled = {_SPELLED_EMAIL: emails} if emails.height else {}
    for step in (partial(_by_form, forms=plain), partial(_by_form, forms=spelled), partial(_identifiers, people=people),
                 partial(_addresses, people=people)):
        spans = step(now)
        if spans.height:
            changed = words.replaced(now, spans, CONTACT)
            counted.append(changed)
            now = words.changed(now, changed)
    if not counted:
        return pl.DataFrame(schema={"index": pl.UInt32, "text": pl.String, "count": pl.UInt32})
    return pl.concat(counted).group_by("index").agg(pl.col("text").last(), pl.col("count").sum())


def _of(people: pl.DataFrame, kind: str) -> pl.DataFrame:
    return people.filter(pl.col("kind") == kind).select("person", "value")


def _by_form(texts: pl.DataFrame, forms: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Where something stands that has one of the forms and says one of its values (`said`), whole: index, at, ends."""
    if not forms:
        return pl.DataFrame(schema={"index": pl.UInt32, "at": pl.UInt32, "ends": pl.UInt32})
    form = "|".join(forms)
    candidates = texts.filter(pl.col("text").str.contains(form))
    said = pl.concat(forms.values())["said"].unique()
    pieces = words.cut(candidates, f"{form}|{_OTHER}").with_columns(behind=pl.col("piece").shift(-1).over("index"))
    digits = pl.col("piece").str.replace_all("%2B", "+").str.replace_all(r"%20|\(0\)|[^\d+]", "")
    number = pl.when(digits.str.starts_with("+")).then(digits.str.replace_all("+", "", literal=True)).otherwise(
        digits.str.replace_all("+", "", literal=True).str.strip_prefix("00"))
    address = pl.col("piece").str.to_lowercase().str.replace_all(_SPELLED_AT, "@")
    address = address.str.replace_all(_SPELLED_DOT, ".").str.replace_all(r"\s", "")
    account = pl.col("piece").str.to_uppercase().str.replace_all(r"%20|[^A-Z0-9]", "")
    goes_on = pl.col("piece").str.contains(r"\d$") & pl.col("behind").fill_null("").str.contains(r"^[\d]")
    one_of_them = pl.any_horizontal(form.is_in(said.implode()) for form in (number, address, account))
    return pieces.filter(one_of_them & ~goes_on).select("index", "at", "ends")


def has_email(people: pl.DataFrame) -> bool:
    return not _of(people, "email").is_empty()


def longest_words(people: pl.DataFrame) -> list[str]:
    """Of each identifier the longest word, as it is compared: where it does not stand, the identifier does not."""
    return words.longest(_known_identifiers(people)["parts"])


def national_numbers(people: pl.DataFrame) -> list[str]:
    """The digits of each telephone number that all ways of writing it have, one after the other."""
    return [rest for _, rest in _numbers(people)]


def accounts(people: pl.DataFrame) -> list[str]:
    """The bank accounts, without spaces."""
    return [said for form in _ibans(people).values() for said in form["said"]]


def _numbers(people: pl.DataFrame) -> Iterator[tuple[int, str]]:
    for value in _of(people, "phone")["value"].unique(maintain_order=True):
        try:
            number = phonenumbers.parse(value, "FR")
        except phonenumbers.NumberParseException:
            continue
        yield number.country_code or 33, str(number.national_number)


def _phones(people: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A form for each country and length of number, the longest first, with what is said in it: 33612345678, 330612345678 or 0612345678."""
    forms: dict[tuple[int, int], list[str]] = {}
    for country, rest in _numbers(people):
        forms.setdefault((country, len(rest)), []).extend((f"{country}{rest}", f"{country}0{rest}", f"0{rest}"))
    found = {}
    for (country, length), said in sorted(forms.items(), key=lambda form: (-form[0][1], form[0][0])):
        between, code = _BETWEEN_DIGITS, _BETWEEN_DIGITS.join(str(country))
        rest = rf"[1-9](?:{between}[0-9]){{{length - 1}}}"
        found[rf"(?:(?:(?:\+|%2B|00){between})?{code}{between}(?:\(?0\)?{between})?|0{between}){rest}"] = pl.DataFrame({"said": said})
    return found


def _ibans(people: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A form for each country and length of account among the values, so that the word behind it is never taken for a part."""
    said = _of(people, "iban").select(said=pl.col("value").str.to_uppercase().str.replace_all(r"[^A-Z0-9]", "")).unique()
    said = said.filter(pl.col("said").str.contains(r"^[A-Z]{2}\d{2}[A-Z0-9]{8,}$"))
    forms = said.group_by(country=pl.col("said").str.head(2), length=pl.col("said").str.len_chars()).agg("said").sort("country", "length")
    found = {}
    for country, length, values in forms.iter_rows():
        code = _CELLS.join(f"[{letter}{letter.lower()}]" for letter in country)
        found[rf"{code}(?:{_CELLS}[0-9]){{2}}(?:{_CELLS}[A-Za-z0-9]){{{length - 4}}}"] = pl.DataFrame({"said": values})
    return found


def _known_identifiers(people: pl.DataFrame) -> pl.DataFrame:
    return words.keys(_of(people, "identifier").unique("value").with_row_index("index").select("index", text="value"), pattern=_ID_PIECE)


def _identifiers(texts: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    known = _known_identifiers(people)
    if known.is_empty():
        return known.select("index", at="index", ends="index")
    found = words.runs(words.cut(words.may_hold(texts, known["parts"]), _ID_PIECE), known["parts"])
    digits, letters = pl.col("key").str.count_matches(r"\d"), pl.col("key").str.count_matches(r"\p{L}")
    clear = (digits > 0) & (letters > 0) & (digits + letters > 2) | (digits >= _LEAST_DIGITS) | (letters >= _LEAST_LETTERS)
    clear |= pl.col("key").str.contains(r"\p{L}.*[-_]|[-_].*\p{L}") & ~pl.col("key").is_in([*NAME_WORDS, *COMMON_WORDS])  # an id joins its words
    seen = found.join(texts.select("index", "text"), on="index")
    before = pl.col("text").str.head(pl.col("at"))
    return seen.filter(clear | before.str.contains(_ID_IN_PATH)).select("index", "at", "ends")


def _addresses(texts: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Street with number, and postcode beside town in either order, in texts that the person wrote."""
    town = _of(people, "postcode").join(_of(people, "city"), on="person", suffix="_town")
    street = _of(people, "street").filter(pl.col("value").str.contains(r"\d") | (pl.col("value").str.count_matches(r"\p{L}+") > 2))
    values = pl.concat([street, *(town.select("person", value=pl.concat_str(pair, separator=" ")) for pair in (
        ("value", "value_town"), ("value_town", "value")))]).with_row_index("index")
    known = words.keys(values.select("index", text="value"), loose=True).join(values.select("index", "person"), on="index")
    own = texts.select("index", person="authors").explode("person").join(known.select("person").unique(), on="person")
    if known.is_empty() or own.is_empty():
        return pl.DataFrame(schema={"index": pl.UInt32, "at": pl.UInt32, "ends": pl.UInt32})
    mine = texts.join(own.select("index").unique(), on="index", how="semi")
    found = words.runs(words.cut(mine), known["parts"], loose=True)
    theirs = own.join(known.select("person", "key"), on="person").select("index", "key").unique()
    return found.join(theirs, on=["index", "key"], how="semi").select("index", "at", "ends")
