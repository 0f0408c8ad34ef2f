"""What must not be written anywhere, quarantine included: full card numbers in any text (C-2.5).

A candidate is 13 to 19 digits, spaces and dashes between them allowed, that begins like a card of that length and passes
the Luhn check; so a time in milliseconds or an order number is not taken for one.
"""

from __future__ import annotations

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.policy.types import Contract

_CANDIDATE = r"(?:^|[^0-9])((?:[0-9][ -]?){12,18}[0-9])(?:[^0-9]|$)"
_ISSUED = r"^(?:4[0-9]{12}|3[0689][0-9]{12}|3[47][0-9]{13}|[2-6][0-9]{15,18})$"


def holds_card_number(text: str) -> str:
    """SQL: whether the text expression holds a full card number."""
    digits = f"list_transform(regexp_extract_all({text}, {quote_text(_CANDIDATE)}, 1), lambda c: regexp_replace(c, '[ -]', '', 'g'))"
    doubled = "(2 * x::int) // 10 + (2 * x::int) % 10"
    luhn = (f"list_sum(list_transform(string_split(reverse(n), ''), lambda x, i: case when i % 2 = 0 then {doubled} else x::int end)) % 10 = 0")
    return (f"coalesce(regexp_matches({text}, '[0-9](?:[ -]?[0-9]){{12}}') and "
            f"len(list_filter({digits}, lambda n: regexp_matches(n, {quote_text(_ISSUED)}) and {luhn})) > 0, false)")


def forbidden(contract: Contract) -> str:
    """SQL: the name of what is forbidden in a row (`t`), null if nothing is."""
    texts = [c.name for c in contract.columns if c.type == "VARCHAR"]
    return "case when " + " or ".join(holds_card_number(f"t.{quote_name(name)}") for name in texts) + " then 'forbidden.card_number' end"
