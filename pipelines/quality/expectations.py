"""A contract's constraints as a Great Expectations suite: the second opinion on what `predicates` compiles for DuckDB.

Plain data, made without importing Great Expectations. Each entry names in its meta the check it repeats (`email.pattern`)
and the checks of DuckDB whose failures it must count. Both sides have to mean the same thing, or good batches would be
blocked: a constraint that the two engines read differently is refused here, with the contract's line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipelines.foundation.errors import Refused
from pipelines.policy.contract_types import Column, Contract

# Kinds of checks without a second opinion, and why. A column's kind ends its check's name, a row rule's begins it.
UNCOVERED: Mapping[str, str] = MappingProxyType({
    "type": "the text that the type was read from is gone once a row is good, and the typed value is the check's own outcome. "
            "In a required column it is counted all the same: whatever is empty there must have failed as required or by type.",
    "format": "what DuckDB's own quick rule does not accept is the library's word already, and the two are compared in the tests.",
    "row": "a rule across columns is a SQL expression of the contract; pandas reads no SQL, and running it in DuckDB again "
           "would be the same opinion twice.",
})

# RE2's classes are ASCII and its `$` is the very end; Python's are Unicode and its `$` also stands before a last line feed.
# Each ends in a range, so that a dash written after it stays a dash.
_CLASSES = {"d": "0-9", "w": "_0-9A-Za-z", "s": r" \f-\r\t-\n"}
_ESCAPES = frozenset("tnrfv")
_TOKEN = re.compile(r"\\x[0-9A-Fa-f]{2}|\\.|\(\?:|\(\?|\[\^|\{,|.", re.DOTALL)


def suite(contract: Contract) -> list[dict[str, Any]]:
    """Configurations {type, kwargs, meta} for every check of `predicates.checks` but those of the UNCOVERED kinds, in its order.

    `meta` is {check: name, counts: [names]}: the rows the expectation finds are those where DuckDB names one of `counts`.
    Raises Refused for a constraint that cannot be expressed alike for both engines."""
    return [made for column in contract.columns for made in _of(column, contract)]


def _of(column: Column, contract: Contract) -> list[dict[str, Any]]:
    number, text = column.type == "BIGINT" or column.type.startswith("DECIMAL"), column.type == "VARCHAR"
    made: list[dict[str, Any]] = []

    def expect(rule: str, expectation: str, fits: bool = True, also: tuple[str, ...] = (), **kwargs: Any) -> None:
        if not fits:
            raise Refused(f"{contract.path}: column '{column.name}' is {column.type}, and a rule of kind '{rule}' cannot be checked on that. "
                          "Remove the rule, or give the column another physicalType. Then run: kampeky contracts check", contract.path)
        name = f"{column.name}.{rule}"
        made.append({"type": f"expect_column_{expectation}", "kwargs": {"column": column.name, **kwargs},
                     "meta": {"check": name, "counts": [name, *also]}})

    if column.required:
        expect("required", "values_to_not_be_null", also=() if text else (f"{column.name}.type",))
    if column.min_length is not None:
        expect("min_length", "value_lengths_to_be_between", text, min_value=int(column.min_length))
    if column.max_length is not None:
        expect("max_length", "value_lengths_to_be_between", text, max_value=int(column.max_length))
    if column.pattern is not None:
        expect("pattern", "values_to_match_regex", text, regex=_pattern(column, contract))
    if column.allowed:
        values = _values(column)
        expect("allowed", "values_to_be_in_set", values is not None and (text or number), value_set=values)
    if column.minimum is not None:
        expect("minimum", "values_to_be_between", number, min_value=column.minimum)
    if column.maximum is not None:
        expect("maximum", "values_to_be_between", number, max_value=column.maximum)
    return made


def _values(column: Column) -> list[str] | list[int] | list[float] | None:
    """The allowed values as the column's typed values are; None if one of them is no such value."""
    try:
        if column.type == "BIGINT":
            return [int(value) for value in column.allowed]
        return [float(value) for value in column.allowed] if column.type.startswith("DECIMAL") else list(column.allowed)
    except ValueError:
        return None


def _pattern(column: Column, contract: Contract) -> str:
    try:
        return python_pattern(str(column.pattern))
    except ValueError as error:
        raise Refused(f"{contract.path}: the pattern of column '{column.name}' uses {error}, which not every regular-expression engine reads "
                      "alike. Write it with plain characters, [classes], groups (?:…), ^, $ and counts. Then run: kampeky contracts check",
                      contract.path) from None


def python_pattern(pattern: str) -> str:
    """An RE2 pattern, as DuckDB searches with it, in the words that Python's re, pandas and Arrow all read in that same sense.

    Raises ValueError naming the first construct that has no such words."""
    out: list[str] = []
    inside = first = False  # in a character class; at its first place, where a bracket does not close it
    for found in _TOKEN.finditer(pattern):
        piece, before, after = found.group(), pattern[:found.start()], pattern[found.end():]
        late = piece in ("^", r"\A") and before and not before.endswith(("(", "|", "(?:"))
        early = piece in ("$", r"\z") and after and not after.startswith((")", "|"))
        if not inside and (late or early):
            raise ValueError(f"'{piece}' elsewhere than at an end")  # DuckDB can drop it there: `$a` finds 'a'
        if piece.startswith("\\"):
            out.append(_escape(piece, inside))
        elif inside and piece == "]" and not first:
            inside = False
            out.append(piece)
        elif inside:
            if pattern.startswith("[:", found.start()):
                raise ValueError("a named class such as [:alpha:]")
            out.append(re.sub(r"[\[\]&~|]", r"\\\g<0>", piece))
        elif piece in ("[", "[^"):
            inside = first = True
            out.append(piece)
            continue
        elif piece in ("(?", "{,"):
            raise ValueError(f"'{piece}'")
        else:
            out.append(r"\Z" if piece == "$" else piece)
        first = False
    made = "".join(out)
    try:
        re.compile(made)
    except re.error as error:
        raise ValueError(f"something Python cannot read ({error.msg})") from None
    return made


def _escape(piece: str, inside: bool) -> str:
    letter = piece[1:2]
    if letter.lower() in _CLASSES and not (inside and letter.isupper()):
        ranges = _CLASSES[letter.lower()]
        return ranges if inside else f"[{'^' if letter.isupper() else ''}{ranges}]"
    if letter == "z" and not inside:
        return r"\Z"
    if len(piece) == 4 or letter in _ESCAPES or (letter == "A" and not inside) or (letter.isascii() and not letter.isalnum()):
        return piece
    raise ValueError(f"'{piece}'")
