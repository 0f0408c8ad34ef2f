"""What must not be written anywhere, quarantine included: full card numbers, in whatever column they stand (C-2.5).

A card number is 13 to 19 digits that an issuer gives out and that pass the Luhn check, whole or in groups with blanks or dashes
between them (not dots: addresses in real logs are full of dotted digits). Other digits may stand beside it
(`4111 1111 1111 1111 12/27`), so every run of neighbouring groups is tried; a number inside a longer unbroken one (a bank
account) is not taken for one.
"""

from __future__ import annotations

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.policy.types import Contract

_BETWEEN = "[ \\t\u00a0\u2007\u2009\u202f\u2010\u2011\u2013+-]"
_LIKELY = f"[0-9](?:{_BETWEEN}{{0,3}}[0-9]){{12}}"
_RUN = f"[0-9]+(?:{_BETWEEN}{{1,3}}[0-9]+)*"
_LONGEST = 19
_PIECE = f"(?:[0-9]+{_BETWEEN}{{1,3}}){{0,{2 * _LONGEST - 1}}}[0-9]+"
_HALF = f"^(?:[0-9]+{_BETWEEN}{{1,3}}){{1,{_LONGEST}}}"
# Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay, Maestro
_ISSUED = (r"^(?:4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}|3[47][0-9]{13}"
           r"|3(?:0[0-5]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}(?:[0-9]{3})?"
           r"|62[0-9]{14,17}|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,15})$")


def holds_card_number(text: str) -> str:
    """SQL: whether the text expression holds a full card number; false for null."""
    text = f"replace({text}, '%20', ' ')"  # as an address writes a blank
    doubled = "(2 * x::int) // 10 + (2 * x::int) % 10"
    luhn = f"list_sum(list_transform(string_split(reverse(n), ''), lambda x, i: case when i % 2 = 0 then {doubled} else x::int end)) % 10 = 0"
    # every stretch of neighbouring groups, at most 19 of them; long runs are cut into pieces of 38 groups, twice, the second time 19
    # groups further on, so that each stretch lies whole in some piece and the work grows with the text, not with its square
    pieces = (f"list_concat(regexp_extract_all(r, {quote_text(_PIECE)}), "
              f"regexp_extract_all(regexp_replace(r, {quote_text(_HALF)}, ''), {quote_text(_PIECE)}))")
    stretches = (f"flatten(list_transform(range(1, len(g) + 1), lambda i: list_transform(range(i, least(i + {_LONGEST}, len(g) + 1)), "
                 "lambda j: array_to_string(g[i:j], ''))))")
    card = f"length(n) between 13 and {_LONGEST} and regexp_matches(n, {quote_text(_ISSUED)}) and {luhn}"
    runs = f"regexp_extract_all({text}, {quote_text(_RUN)})"
    groups = f"list_transform(flatten(list_transform({runs}, lambda r: {pieces})), lambda p: regexp_extract_all(p, '[0-9]+'))"
    found = f"len(list_filter(flatten(list_transform({groups}, lambda g: {stretches})), lambda n: {card})) > 0"
    return f"case when regexp_matches({text}, {quote_text(_LIKELY)}) then {found} else false end"


def forbidden(contract: Contract) -> str:
    """SQL: the name of what is forbidden in a row of texts (`t`), null if nothing is."""
    row = f"concat_ws('|', {', '.join(f't.{quote_name(c.name)}' for c in contract.columns)})"
    return f"case when {holds_card_number(row)} then 'forbidden.card_number' end"
