"""Forms that a pattern does not tell: e-mail addresses, IBANs, telephone numbers, countries. The libraries that are kept for them decide (C-2.3c).

They look at one value after the other, at 0.1 ms each, so DuckDB first lets through what a rule of its own surely knows as good (French
accounts, plain addresses, the countries nearby); the libraries are asked about the rest, about each value of a vector once. That
no quick rule lets through what its library refuses is compared in the tests, over many values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from pipelines.engines.duckdb_engine import Connection, quote_text, text_predicate
from pipelines.policy.contract_types import Contract

_LABEL = "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}"
_ADDRESS = rf"[A-Za-z0-9_+-]{{1,30}}(?:[.][A-Za-z0-9_+-]{{1,30}})?@(?:{_LABEL}[.]){{1,3}}[A-Za-z]{{2,12}}"
_NO_MAIL = "(?i)[.](?:arpa|invalid|local|localhost|onion|test)$"  # of which email-validator knows that nobody has mail there
_NEARBY = ("FR", "BE", "CH", "LU", "DE", "ES", "IT", "PT", "NL", "GB", "MC", "AD")


def failing(form: str, value: str) -> str:
    """SQL: whether a text expression is not of that form; null for null."""
    quick = _QUICK.get(form)
    asked = f"{_function(form)}({value})"
    return f"not case when {value} is null then null when {quick(value)} then true else {asked} end" if quick else f"not {asked}"


def register(connection: Connection, contract: Contract) -> None:
    """Make the libraries known to the connection, those that the contract's columns need; each is imported when it is first asked."""
    for form in {column.form for column in contract.columns if column.form}:
        text_predicate(connection, _function(form), ASK[form])


def mod_97(code: str) -> str:
    """SQL: the remainder of an IBAN without blanks, in capitals; 1 if its check digits are right (ISO 7064)."""
    values = (f"list_transform(string_split({code}[5:] || {code}[:4], ''), "
              "lambda c: case when c between '0' and '9' then c::int else unicode(c) - 55 end)")
    return f"list_reduce({values}, lambda a, b: (a * case when b > 9 then 100 else 10 end + b) % 97)"


def _function(form: str) -> str:
    return f"is_{form}"


def _quick_email(value: str) -> str:
    return f"regexp_full_match({value}, {quote_text(_ADDRESS)}) and not regexp_matches({value}, {quote_text(_NO_MAIL)})"


def _quick_iban(value: str) -> str:
    return f"case when regexp_full_match({value}, 'FR[0-9]{{12}}[A-Z0-9]{{11}}[0-9]{{2}}') then {mod_97(value)} = 1 else false end"


def _quick_country(value: str) -> str:
    return f"{value} in ({', '.join(map(quote_text, _NEARBY))})"


def _email(text: str) -> bool:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _iban(text: str) -> bool:
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    try:
        IBAN(text)
    except SchwiftyException:
        return False
    return True


def _phone(text: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text))
    except phonenumbers.NumberParseException:
        return False


def _country(text: str) -> bool:
    return text in _countries()


@cache
def _countries() -> frozenset[str]:
    import pycountry

    return frozenset(country.alpha_2 for country in pycountry.countries)


_QUICK: Mapping[str, Callable[[str], str]] = {"email": _quick_email, "iban": _quick_iban, "country": _quick_country}
ASK: Mapping[str, Callable[[str], bool]] = {"email": _email, "iban": _iban, "phone": _phone, "country": _country}
