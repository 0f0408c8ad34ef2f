"""Whether a form stands by itself: m000077 does not stand in m0000770, whatever both are written in.

A boundary is anything that is no letter or digit, of whatever script: an underscore, a quotation mark, a blank of several bytes.
Of an encoded form the neighbour is decoded first. Where that cannot be told the answer is yes: rather one alarm too many than a value not seen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from pipelines.assurance.residue.forms import BASE64, HEX, TEXT, UTF16BE, UTF16LE, Form

Bytes = bytes | memoryview

_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") | frozenset(range(0x80, 0x100))
_HEX = {code: int(chr(code), 16) for code in b"0123456789abcdefABCDEF"}
_BASE64 = {code: n for n, code in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")} | {ord("-"): 62, ord("_"): 63}
_ESCAPES = frozenset(b"nrtbfv0")


def stands_alone(form: Form, data: Bytes, start: int, end: int, low: int, high: int) -> bool:
    """Whether the form found at data[start:end] is no part of a longer word; nothing before `low` and from `high` on belongs to its value."""
    rule = _RULES.get(form.edges)
    return rule is None or rule(form, data, start, end, low, high)


def _text(form: Form, data: Bytes, start: int, end: int, low: int, high: int) -> bool:
    if start > low and form.pattern[0] in _WORD and _letter_before(data, start, low) and not _escape_before(data, start, low):
        return False
    return not (end < high and form.pattern[-1] in _WORD and _letter_after(data, end, high))


def _letter_before(data: Bytes, start: int, low: int) -> bool:
    byte = data[start - 1]
    if byte < 0x80:
        return byte in _WORD
    begin = start - 1
    while begin > low and start - begin < 4 and 0x80 <= data[begin] < 0xC0:
        begin -= 1
    return _is_letter(bytes(data[begin:start]), byte)


def _letter_after(data: Bytes, end: int, high: int) -> bool:
    byte = data[end]
    if byte < 0x80:
        return byte in _WORD
    size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
    return _is_letter(bytes(data[end:min(end + size, high)]), byte)


def _is_letter(encoded: bytes, byte: int) -> bool:
    """Of a sign of several bytes; where they are no UTF-8, of the nearest byte as an older encoding has it. A combining accent is of a letter."""
    try:
        sign = encoded.decode()
    except UnicodeDecodeError:
        sign = chr(byte)
    return any(one.isalnum() or unicodedata.combining(one) for one in sign)


def _escape_before(data: Bytes, start: int, low: int) -> bool:
    """Whether what looks like a letter before a text is the end of an escaped blank or sign: %20, \\n, \\u0020."""
    if start - 2 >= low and data[start - 2] == 0x5C and data[start - 1] in _ESCAPES:
        return True
    if start - 3 >= low and data[start - 3] == 0x25:
        code = _hex_number(data[start - 2:start])
        return code is None or code >= 0x80 or code not in _WORD  # the last byte of a sign of several tells nothing
    if start - 6 >= low and data[start - 6] == 0x5C and data[start - 5] in b"uU":
        code = _hex_number(data[start - 4:start])
        return code is None or not chr(code).isalnum()
    return False


def _hex_number(digits: Sequence[int]) -> int | None:
    number = 0
    for digit in digits:
        if digit not in _HEX:
            return None
        number = number * 16 + _HEX[digit]
    return number


def _utf16(little: bool) -> Callable[[Form, Bytes, int, int, int, int], bool]:
    def judge(form: Form, data: Bytes, start: int, end: int, low: int, high: int) -> bool:
        first, last = (form.pattern[:2], form.pattern[-2:]) if little else (form.pattern[1::-1], form.pattern[:-3:-1])
        if start - 2 >= low and _letter(*first) and _letter(*_unit(data, start - 2, little)):
            return False
        return not (end + 2 <= high and _letter(*last) and _letter(*_unit(data, end, little)))
    return judge


def _unit(data: Bytes, at: int, little: bool) -> tuple[int, int]:
    return (data[at], data[at + 1]) if little else (data[at + 1], data[at])


def _letter(small: int, great: int) -> bool:
    """Of a 16-bit unit: ASCII, or a letter of Latin with an accent; bytes that are no text look like letters of some script or other."""
    code = great << 8 | small
    return (code < 0x80 and code in _WORD) or 0xC0 <= code < 0x250


def _hex(form: Form, data: Bytes, start: int, end: int, low: int, high: int) -> bool:
    if start - 2 >= low and _is_word(form, 0) and _hex_number(data[start - 2:start]) in _WORD:
        return False
    return not (end + 2 <= high and _is_word(form, -1) and _hex_number(data[end:end + 2]) in _WORD)


def _is_word(form: Form, at: int) -> bool:
    return bytes.fromhex(form.pattern.decode())[at] in _WORD


def _base64(form: Form, data: Bytes, start: int, end: int, low: int, high: int) -> bool:
    """The characters beside the pattern hold bits of the value as well as its neighbours: both are held against the value."""
    owned = (0, 4, 2)[form.shift]  # bits of the value's first byte in the character before
    if start - 2 >= low:
        pair = _BASE64.get(data[start - 2]), _BASE64.get(data[start - 1])
        if pair[0] is not None and pair[1] is not None:
            bits = pair[0] << 6 | pair[1]
            if owned and bits & ((1 << owned) - 1) != form.value[0] >> (8 - owned):
                return False
            if form.word and form.value[0] in _WORD and bits >> owned & 0xFF in _WORD:
                return False
    left = 8 * (form.shift + len(form.value)) % 6  # bits of the value's last byte in the character after
    following = _BASE64.get(data[end]) if end < high else None
    if following is None:
        return True
    if left and following >> (6 - left) != form.value[-1] & ((1 << left) - 1):
        return False
    after = _BASE64.get(data[end + 1]) if end + 1 < high else None
    return after is None or not form.word or form.value[-1] not in _WORD or (following << 6 | after) >> (4 - left) & 0xFF not in _WORD


_RULES = {TEXT: _text, UTF16LE: _utf16(True), UTF16BE: _utf16(False), HEX: _hex, BASE64: _base64}

