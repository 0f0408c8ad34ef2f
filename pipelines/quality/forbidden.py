"""What must not be written anywhere, quarantine included, in whatever column it stands: full card numbers (C-2.5), passwords and their
hashes (C-2.2).

**A card number** is 13 to 19 digits of any script that an issuer gives out and that pass the Luhn check, whole or

- in groups of any size with up to three blanks, dashes, `+` or invisible characters between them, plainly or as URLs, HTML, JSON and
  Apache's log write them (`%20`, `%C2%A0`, `&nbsp;`, `\\u00a0`, `\\xc2\\xa0`; encoded twice, too);
- in the groups that are printed on cards (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4) also with `_`, `/`, `.` or a line's end between them. Between
  other groups these are no separators: dates, versions, IP addresses and paths in real logs are full of them.

Other digits may stand beside it (`4111 1111 1111 1111 12/27`), so every stretch of neighbouring groups is tried; a number inside a longer
unbroken one is not taken for one. What looks alike is let pass where its own form and check say what it is: the IBAN of a SEPA country
(length and mod 97), a SIRET grouped 3-3-3-5 or after that word (its first nine digits pass the Luhn check by themselves), an EAN of 13 digits
after that word (its check digit), a UUID, an MD5, SHA-1 or SHA-256 in hex, and a fraction of nine digits or more: after `0.`, or after another
short number where it is a value (`lat=48.85661400000001`). What then still has a card's form is refused, card or not: of random numbers of 16
digits, one in 36.

**A password** is what follows `password=`, `pwd=`, `mot_de_passe=` … in the query of a URL or in a form, `"password":` in JSON, or name and
colon before the host of a URL. In prose it is not looked for (`password: lost`). **A hash of one** names its scheme (`$2b$…`, `$argon2id$…`,
`pbkdf2_sha256$…`, `{SSHA}…`); a bare MD5 or SHA in hex cannot be told from any other identifier and is let pass.

All of it is SQL over columns. One automaton (a regular expression of RE2) reads a row once, for all that could be forbidden; only what it
finds is looked at. No lambda holds a pattern, for DuckDB would compile it again for every 2,048 rows.
"""

from __future__ import annotations

import re
from unicodedata import category, digit

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.policy.contract_types import Contract
from pipelines.quality.forms import mod_97

# --- between and instead of a card number's digits ---------------------------------------------------------------------

# Blanks and dashes: tab, blank, `+` (a blank in a URL), `-`; no-break blank, soft hyphen; typographic blanks, zero-width marks and dashes; marks
# of direction; minus; those of full width. As characters, as bytes of a URL or of Apache's log, and as HTML and JSON write them.
_BLANK = r"[\t +\-\x{A0}\x{AD}\x{2000}-\x{2015}\x{202A}-\x{202F}\x{205F}-\x{2069}\x{2212}\x{3000}\x{FE63}\x{FEFF}\x{FF0B}\x{FF0D}]"
_BYTE = r"(?:%(?:25)*|\\+x)"
_BYTES = ("09|20|2B|2D|A0|AD|C2~A[0D]|E2~80~(?:8[0-9A-F]|9[0-5]|A[A-F])|E2~81~(?:9F|A[0-9])|E2~88~92|E3~80~80|EF~B9~A3|EF~BB~BF|EF~BC~8[BD]"
          .replace("~", _BYTE))
_POINT = "20(?:0[0-9A-F]|1[0-5]|2[A-F]|5F|6[0-9])|2212|3000|FE63|FEFF|FF0[BD]"
_NUMBER = "0*(?:9|32|43|45|160|173)|819[2-9]|820[0-9]|821[0-3]|823[4-9]|828[7-9]|829[0-7]|8722|12288|65123|65279|65291|65293"
_NAME = "Tab|plus|nbsp|shy|(?:en|em|thin|hair|num)sp|emsp1[34]|zwn?j|lrm|rlm|[nm]?dash|hyphen|minus"
_DIGITS = [chr(point) for point in range(0x80, 0x110000) if category(chr(point)) == "Nd"]
_FOREIGN = r"[^\P{Nd}0-9]"
_FOREIGN_BYTES = f"(?i:{_BYTE}(?:EF{_BYTE}BC{_BYTE}9|D9{_BYTE}A|DB{_BYTE}B)|\\\\+u(?:FF1|066|06F))"  # of full width, Arabic, Persian
_FRACTION = r"(?:(^|[^0-9.])0|([=,:;!(\[] ?[-+]?|%(?:25)*(?i:3D|2C|3A|5B)[-+]?)[1-9][0-9]{0,2})[.][0-9]{9,}"
_PAIRS = "(?:[ _]?[0-9][0-9]){4}"
_DATE = "[0-3][0-9][ _][01][0-9][ _](?:19|20)[0-9][0-9]|(?:19|20)[0-9][0-9][ _][01][0-9][ _][0-3][0-9]"
_PHONE_OR_DATE = f"(?:(?:0|(?:00)?33 ?)[1-9]{_PAIRS}|{_DATE})"
_PLAIN = [
    ((rf"(?i:{_BYTE}(?:{_BYTES})|&(?:amp;)?(?:{_NAME}|#(?:{_NUMBER})|#x(?:0*(?:9|20|2B|2D|A0|AD)|{_POINT}));"
      rf"|\\+(?:t|u(?:00(?:09|20|2B|2D|A0|AD)|{_POINT})))"), " "),
    (rf"(?i:{_BYTE}(?:2E|2F|5F|0A|0D))|\\+[nr]", "_"),
    (f"{_BYTE}2[1-9]", "!"),  # `%22` before a number is a quotation mark, and its digits are none of the number's
    (f"{_FOREIGN_BYTES}([0-9])", r"\1"),
    (_FRACTION, r"\1\2|"),
    (_BLANK + "{1,3}", " "),
    (r" ?[_/.\r\n]{1,2} ?", "_"),
    (f"(^|[^0-9 _]) ?{_PHONE_OR_DATE}(?:[ _]{_PHONE_OR_DATE})* ?($|[^0-9 _])", r"\1|\2"),
]

# --- what issuers give out ---------------------------------------------------------------------------------------------

_ISSUED = {  # first digits: how many in all
    "4": (13, 16, 19),  # Visa
    "5[1-5] 222[1-9] 22[3-9] 2[3-6] 27[01] 2720": (16,),  # Mastercard
    "3[47]": (15,),  # American Express
    "30[0-5] 3095 36 3[89]": (14, 16),  # Diners Club
    "35": (16,),  # JCB
    "1800 2131": (15,),  # JCB
    "6011 64[4-9] 65": (16, 19),  # Discover
    "62": (16, 17, 18, 19),  # UnionPay
    "5018 5020 5038 5893 6304 6759 676[1-3]": (13, 14, 15, 16, 17, 18, 19),  # Maestro
    "5019 220[0-4]": (16,),  # Dankort, Mir
}
_STARTS = {"1": "8", "2": "[1-7]", "3": "[04-9]", "4": "[0-9]", "5": "[0-58]", "6": "[02-57]"}  # the first two digits of all these
_SHORTEST, _LONGEST = 13, 19
_PREFIXES = [(re.findall(r"\[.*?\]|\d", prefix), lengths) for prefixes, lengths in _ISSUED.items() for prefix in prefixes.split()]


def _numbers() -> str:
    forms: dict[str, list[str]] = {}
    for prefix, lengths in _PREFIXES:
        rest = [n - len(prefix) for n in lengths]
        many = f"[0-9]{{{rest[0]},{rest[-1]}}}" if rest == [*range(rest[0], rest[-1] + 1)] else "|".join(f"[0-9]{{{n}}}" for n in rest)
        forms.setdefault(many, []).append("".join(prefix))
    return "|".join(f"(?:{'|'.join(prefixes)})(?:{many})" for many, prefixes in forms.items())


# Of lines of digits, blanks and underscores: one that is a number as issued, one that begins with an issuer's digits, in groups of any size
_CARD = f"(?m)^(?:{_numbers()})$"
_ISSUER = f"(?m)^((?:{'|'.join(' ?'.join(prefix) for prefix, _ in _PREFIXES)})(?: ?[0-9]){{9}}(?: ?[0-9])*)"
_PRINTED = [("(?m)^" + "[ _]".join(f"([0-9]{{{n}}})" for n in groups) + "([^0-9]|$)",
             " ".join(f"\\{n + 1}" for n in range(len(groups))) + f"\\{len(groups) + 1}")
            for groups in [(4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4)]]
# a letter for each length from 13 to 19, then that many digits, up to the end of a group
_LETTERS = "abcdefg"
_WHOLE = "(?m)^(?:" + "|".join(f"{letter}[0-9](?: ?[0-9]){{{_SHORTEST + n - 1}}}" for n, letter in enumerate(_LETTERS)) + ")(?: |$)"

# --- numbers that are known for something else -------------------------------------------------------------------------

_LENGTHS = {15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT EE LT LU", 21: "CH HR LI LV", 22: "BG DE GB GE IE ME RS", 23: "GI",
            24: "AD CZ ES MD PK RO SA SE SK TN", 25: "PT", 26: "IS TR", 27: "FR GR IT MC SM", 28: "AL CY HU PL", 31: "MT"}
_IBAN = "|".join(f"(?:{names.replace(' ', '|')})[0-9][0-9](?: ?[A-Z0-9]){{{n - 4}}}" for n, names in _LENGTHS.items())
_SIRET = "siret[^0-9a-z]{1,4}(?:n[°o] ?)?[0-9]{14}|[0-9]{3} [0-9]{3} [0-9]{3} [0-9]{5}|[0-9]{9} [0-9]{5}"
_EAN = "(?:ean|gtin|gencod|barcode|code.barres)[ _]?(?:13)?[^0-9a-z]{1,4}[0-9]{13}"
_HEX = "[0-9a-f]{8} [0-9a-f]{4} [0-9a-f]{4} [0-9a-f]{4} [0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}"
_NAMED = rf"\b({_IBAN}|(?i:{_HEX}|{_SIRET}|{_EAN}))\b"
_LINE = "\n\\1\n"

# --- passwords ---------------------------------------------------------------------------------------------------------

_SIGN = "(?:[$]|%(?:25)*24)"
_COLON = "(?::|%(?:25)*3A)"
_SALT = "[!-#%-~]+"
_HASH = "|".join([
    f"{_SIGN}2[abxy]?{_SIGN}[0-9][0-9]{_SIGN}[./A-Za-z0-9]{{22}}",  # bcrypt
    f"{_SIGN}(?:argon2i?d?|scrypt|pbkdf2(?:-sha[0-9]+)?){_SIGN}[./A-Za-z0-9]",
    f"{_SIGN}(?:[15-9]|md5|sha1|apr1|g?y){_SIGN}{_SALT}{_SIGN}(?:[./A-Za-z0-9]+{_SIGN})?[./A-Za-z0-9]{{22}}",  # crypt
    f"{_SIGN}[PHS]{_SIGN}[./A-Za-z0-9]{{31}}",  # phpass, Drupal
    f"pbkdf2(?:_|{_COLON})sha[0-9]+(?:{_SIGN}|{_COLON})[0-9]+{_SIGN}",  # Django, Werkzeug
    f"scrypt(?:{_SIGN}{_SALT}{_SIGN}|(?:{_COLON}[0-9]+){{3}}{_SIGN})",
    f"(?:md5|sha1|sha256|sha512){_SIGN}{_SALT}{_SIGN}[0-9a-f]{{32}}",
    r"(?:[{]|%(?:25)*7B)(?i:S?SHA(?:224|256|384|512)?|S?MD5|CRYPT|PBKDF2[-_A-Z0-9]*)(?:[}]|%(?:25)*7D)[./+=A-Za-z0-9$%]{13}",  # LDAP
    "(?:[*]|%(?:25)*2A)[0-9A-F]{40}",  # MySQL
])
_WORD = ("(?:(?:user|member|account|login|log|admin|new|old|current|confirm|j)[_.-]?)?"
         "(?:pass|password|passwd|passphrase|passe|pwd|mdp|mot[_.-]?de[_.-]?passe)(?:[_.-]?(?:confirm|confirmation|again|[0-9]))?")
_QUOTE = r"(?:\\*\x22|%(?:25)*22)"
_SECRET = r"[^*\x22\\%]"
_PASSWORD = "(?i:" + "|".join([
    # in a query or a form, also in one that is encoded within another; of stars alone nothing can be learnt
    (rf"(?:^|[\x1f?&;#]|%(?:25)*(?:3F|26|3B|23))(?:[a-z_]+(?:\[|%(?:25)*5B))?{_WORD}(?:\]|%(?:25)*5D)?(?:=|%(?:25)*3D)"
     r"[*]*(?:[^&;#\s*%\x22\x1f]|%(?:25)*(?:[013-9A-F]|2[0-57-9A-F]))"),
    rf"{_QUOTE}{_WORD}{_QUOTE}\s*{_COLON}\s*{_QUOTE}[*]*{_SECRET}",
    r"://[^/\s:@?#\x22&\x1f]+:[^/\s@?#\x22&\x1f]+@[a-z0-9]",
]) + ")"

# --- all that could be meant, in one automaton: what ordinary rows pay for ---------------------------------------------

_ESCAPE = r"%(?:25)*[0-9A-Fa-f][0-9A-Fa-f]|\\+[A-Za-z0-9]+|&(?:amp;)?[#A-Za-z0-9]+;"
_SOME = rf"(?:[\t +\-]|[^\x00-\x7F]|{_ESCAPE})"
_LIKELY_CARD = "|".join([
    # after anything but a digit, and not as a fraction after `0.` …
    rf"(?:^|[^0-9.]|(?:^|[^0])[.]|[0-9.]0[.]|{_ESCAPE})(?:" + "|".join(f"{first}{_SOME}*{second}" for first, second in _STARTS.items())
    + f")(?:{_SOME}*[0-9]){{{_SHORTEST - 2}}}",
    f"0[.][0-9]{{1,8}}{_SOME}+[0-9](?:{_SOME}*[0-9]){{3}}",  # … unless that ends before its ninth digit
    rf"[0-9]{{4}}(?:(?:{_SOME}|[_/.\r\n])+[0-9]{{4,6}}){{2}}",
    _FOREIGN,
    _FOREIGN_BYTES,
])
_LIKELY = f"{_LIKELY_CARD}|{_HASH}|{_PASSWORD}"
_LIKELY_ALONE = f"{_LIKELY_CARD}|{_HASH}|{_PASSWORD.replace(_SECRET, f'(?:{_SECRET}|$)')}"
SHORTEST, SHORTEST_NUMBER = len("pwd=x"), _SHORTEST  # of anything forbidden, and of a card number


def holds_card_number(text: str) -> str:
    """SQL: whether the text expression holds a full card number; false for null."""
    return f"case when regexp_matches({text}, {quote_text(_LIKELY_CARD)}) then {_holds_card(text)} else false end"


def forbidden_in(text: str) -> str:
    """SQL: the name of what is forbidden in a text, null if nothing is."""
    names = (f"case when {_holds_card(text)} then 'forbidden.card_number' "
             f"when regexp_matches({text}, {quote_text(_HASH)}) then 'forbidden.password_hash' "
             f"when regexp_matches({text}, {quote_text(_PASSWORD)}) then 'forbidden.password' end")
    return f"case when regexp_matches({text}, {quote_text(_LIKELY)}) then {names} end"


def forbidden(contract: Contract) -> str:
    """SQL: the name of what is forbidden in a row, null if nothing is: in its texts (`t`) and, of a bad line, in the line itself (`_raw`). A text
    of which a time, a day or a truth was read (`v`) is none of it."""
    texts = []
    for column in contract.columns:
        text = f"t.{quote_name(column.name)}"
        long = f"strlen({text}) >= {SHORTEST if column.type == 'VARCHAR' else _SHORTEST}"
        unread = f"v.{quote_name(column.name)} is null and " if column.type in ("TIMESTAMPTZ", "DATE", "BOOLEAN") else ""
        texts.append(f"case when {unread}{long} then {text} end")
    return forbidden_in(f"concat_ws(chr(31), _raw, {', '.join(texts)})")


def suspicious(text: str) -> str:
    """SQL: whether a column's text by itself could make `forbidden` name anything: true for more than is forbidden, never for less. In a row's
    texts one after the other only the value of a password in JSON can be the mark between two of them."""
    return f"coalesce(regexp_matches({text}, {quote_text(_LIKELY_ALONE)}), false)"


def _holds_card(text: str) -> str:
    """SQL: whether a text, not null, holds a card number. The work grows with the text, not with its square."""
    # a line for each group with the 18 after it: lists side by side, for a list that a lambda refers to is copied for every element
    beside = f"list_zip({', '.join(f'g[{n}:]' for n in range(1, _LONGEST + 1))})"
    joined = f"concat({', '.join(f'z[{n}]' for n in range(1, _LONGEST + 1))})"
    windows = f"list_distinct(list_transform(list_filter({beside}, lambda z: z[1] between '1' and '7'), lambda z: {joined}))"
    groups = f"regexp_extract_all({_groups(text)}, '[0-9]+[ _]?|[^0-9]+')"
    lines = _joined(f"list_transform([{groups}], lambda g: {windows})[1]", "chr(10)")
    # those that begin like a card once for every length, then whole numbers of it
    lines = _replaced(lines, *_PRINTED, (_ISSUER, "".join(f"{letter}\\1\n" for letter in _LETTERS)))
    numbers = f"list_transform(regexp_extract_all({lines}, {quote_text(_WHOLE)}), lambda w: translate(w, '{_LETTERS} ', ''))"
    cards = f"regexp_extract_all({_joined(numbers, 'chr(10)')}, {quote_text(_CARD)})"
    return f"coalesce(len(list_filter({cards}, lambda n: {_luhn('n')})) > 0, false)"


def _groups(text: str) -> str:
    """SQL: the text's groups of ASCII digits, one blank where blanks or dashes stand between two, `_` for what may stand between printed
    groups, something else for everything else; without the numbers that are known for something else."""
    values = "".join(str(digit(d)) for d in _DIGITS)
    latin = f"case when regexp_matches({text}, {quote_text(_FOREIGN)}) then translate({text}, '{''.join(_DIGITS)}', '{values}') else {text} end"
    # every second line is a number that has a name
    lines = f"string_split({_replaced(latin, *_PLAIN, (_NAMED, _LINE))}, chr(10))"
    return _replaced(_joined(f"list_transform({lines}, lambda n, i: case when i % 2 = 0 and {_is_known('n')} then '|' else n end)", "''"),
                     ("[^0-9 _]+", "|"))


def _is_known(n: str) -> str:
    """SQL: whether what has the form of a named number passes its check; those in hex have none."""
    code = f"replace({n}, ' ', '')"
    iban = f"{mod_97(code)} = 1"
    digits = f"translate({n}, translate({n}, '0123456789', ''), '')"
    siret = _luhn(f"left(right({digits}, 14), 9)")
    ean = f"list_sum(list_transform(string_split(right({digits}, 13), ''), lambda x, i: x::int * case when i % 2 = 0 then 3 else 1 end)) % 10 = 0"
    return (f"case when strlen({code}) >= 32 then true when {n}[1] > '9' and {n}[3] between '0' and '9' then {iban} "
            f"when {n}[1] <= '9' or lower({n}[1]) = 's' then {siret} else {ean} end")


def _luhn(number: str) -> str:
    doubled = "(2 * x::int) // 10 + (2 * x::int) % 10"
    return (f"list_sum(list_transform(string_split(reverse({number}), ''), lambda x, i: case when i % 2 = 0 then {doubled} else x::int end)) "
            "% 10 = 0")


def _joined(texts: str, between: str) -> str:
    return f"list_aggregate({texts}, 'string_agg', {between})"  # array_to_string is a macro that writes its list twice


def _replaced(text: str, *steps: tuple[str, str]) -> str:
    for pattern, by in steps:
        text = f"regexp_replace({text}, {quote_text(pattern)}, {quote_text(by)}, 'g')"
    return text
