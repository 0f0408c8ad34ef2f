"""How an identifier may be written down: as text in several encodings and escapes, as digests of it, as a number.

Each form is a pattern of bytes and a way to tell whether it stands there by itself. Forms hold personal data: they print as what they are,
never as what they hold.
"""

from __future__ import annotations

import base64
import hashlib
import html
import html.entities
import json
import re
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

MINIMUM = 4  # characters; a shorter identifier stands by chance in any file, so it cannot be looked for
NUMBER_DIGITS = 8  # a number of fewer digits stands by chance in any column of numbers: amounts, sizes, rows
TEXT, UTF16LE, UTF16BE, HEX, BASE64, RAW = "text", "utf-16le", "utf-16be", "hex", "base64", "raw"  # how a form ends: see boundaries.py

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PHONE = re.compile(r"\+?[0-9][0-9 .()/-]{7,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.IGNORECASE)


@dataclass(frozen=True, repr=False)
class Form:
    """One pattern. `any_case`: ASCII letters in either case; the pattern is lower case then. Of base64: the value's bytes, how many bytes of
    its first group of three stand before them, and whether the value is a word (a digest ends where it ends)."""

    needle: int
    representation: str
    edges: str
    pattern: bytes
    any_case: bool = False
    value: bytes = field(default=b"")
    shift: int = 0
    word: bool = True

    def __repr__(self) -> str:
        return f"Form(needle {self.needle}, {self.representation})"


def forms_of(needle: int, identifier: str) -> Iterator[Form]:
    """Every form of an identifier but the numbers."""
    seen: set[tuple[str, bytes]] = set()
    for form in _forms_of(needle, identifier):
        if (form.edges, form.pattern) not in seen:
            seen.add((form.edges, form.pattern))
            yield form


def forms_of_bytes(needle: int, value: bytes) -> Iterator[Form]:
    """Every form of a pseudonym (16 bytes) or a keyed hash (32 bytes)."""
    yield Form(needle, "raw bytes", RAW, value)
    yield Form(needle, "hexadecimal", RAW, value.hex().encode(), any_case=True)
    yield from _utf16(needle, "hexadecimal", value.hex())
    yield Form(needle, "escaped bytes", RAW, _escaped_bytes(value).encode().lower(), any_case=True)
    if len(value) == 16:
        yield Form(needle, "UUID", RAW, str(uuid.UUID(bytes=value)).encode(), any_case=True)
        yield from _utf16(needle, "UUID", str(uuid.UUID(bytes=value)))
    yield from _base64(needle, "base64", value)


def numbers_of(identifier: str) -> tuple[set[int], bool]:
    """The numbers that an identifier may be stored as, and whether it is one that is too short to be looked for as a number."""
    compact = re.sub(r"[ .()/-]", "", identifier)
    if not re.fullmatch(r"\+?[0-9]+", compact):
        return set(), False
    found = {int(compact.removeprefix("+"))}
    phone = _phone(identifier)
    if phone:
        country, national = phone
        found |= {int(national), int(country + national)}
    long = {n for n in found if len(str(n)) >= NUMBER_DIGITS and n < 1 << 64}
    return long, not long


def spellings(identifier: str) -> list[str]:
    """An identifier as it may be spelled: Unicode composed or not, in either case; a phone number and an IBAN with and without groups."""
    texts = {identifier: None, identifier.strip(): None}
    compact = identifier.replace(" ", "")
    if _IBAN.fullmatch(compact):
        texts |= {compact: None, " ".join(compact[n:n + 4] for n in range(0, len(compact), 4)): None}
    phone = _phone(identifier)
    if phone:
        country, national = phone
        pairs = [national[n:n + 2] for n in range(1, len(national), 2)]
        texts |= {f"+{country}{national}": None, f"00{country}{national}": None, f"0{national}": None, f"{country}{national}": None}
        for mark in (" ", ".", "-"):
            grouped = mark.join([national[:1], *pairs])
            texts |= {f"0{grouped}": None, f"+{country}{mark}{grouped}": None, f"+{country}{mark}0{grouped}": None,
                      f"+{country}{mark}(0){grouped}": None, f"00{country}{mark}{grouped}": None}
    if not identifier.isascii():
        texts |= {change(text): None for text in list(texts) for change in (str.lower, str.upper, str.title)}
        texts |= {unicodedata.normalize(way, text): None for text in list(texts) for way in ("NFC", "NFD")}
    return [text for text in texts if text]


def _forms_of(needle: int, identifier: str) -> Iterator[Form]:
    for text in spellings(identifier):
        plain = text.encode()
        yield Form(needle, "text", TEXT, plain.lower(), any_case=True)
        yield from _utf16(needle, "text", text, TEXT)
        yield Form(needle, "hexadecimal", HEX, plain.hex().encode(), any_case=True)
        yield from _base64(needle, "base64", plain, word=True)
        for name, escaped in _escaped(text):
            if escaped != text:
                yield Form(needle, name, TEXT, escaped.encode().lower(), any_case=True)
        if not text.isascii():
            with suppress(UnicodeEncodeError):  # it cannot be written so
                yield Form(needle, "Latin-1 text", TEXT, text.encode("cp1252").lower(), any_case=True)
    for number in sorted(numbers_of(identifier)[0]):  # as a text tells it: in JSON, or out of a typed column
        yield Form(needle, "number in a text", TEXT, str(number).encode())
    for written in dict.fromkeys((identifier, identifier.strip(), identifier.lower(), identifier.upper(), identifier.replace(" ", ""),
                                  *[text for text in spellings(identifier) if text.startswith("+") and text[1:].isdigit()])):
        for name in ("md5", "sha1", "sha256"):
            digest, shown = hashlib.new(name, written.encode(), usedforsecurity=False).digest(), {"md5": "MD5", "sha1": "SHA-1"}.get(name, "SHA-256")
            yield Form(needle, f"{shown}, raw bytes", RAW, digest)
            yield Form(needle, f"{shown}, hexadecimal", RAW, digest.hex().encode(), any_case=True)
            yield from _base64(needle, f"{shown}, base64", digest, shifts=(0,))
    if _UUID.fullmatch(identifier):  # such as a device's: a text for one program, a type of 16 bytes for another
        yield from forms_of_bytes(needle, uuid.UUID(identifier).bytes)


def _escaped(text: str) -> Iterator[tuple[str, str]]:
    yield "percent-encoded", quote(text, safe="")
    yield "percent-encoded", quote(text, safe="@+/:")
    yield "percent-encoded", quote_plus(text)
    yield "JSON-escaped", json.dumps(text)[1:-1]
    yield "JSON-escaped", json.dumps(text)[1:-1].replace("/", "\\/")
    yield "JSON-escaped", json.dumps(text, ensure_ascii=False)[1:-1]
    yield "JSON-escaped", "".join(f"\\u{ord(c):04x}" if c in "'<>&+@=" else json.dumps(c)[1:-1] for c in text)
    yield "HTML-escaped", html.escape(text)
    yield "HTML-escaped", html.escape(text).replace("&#x27;", "&#39;")
    for shape in ("&#{};", "&#x{:x};"):
        for special in ("", "@", "@.", "+@"):
            yield "HTML-escaped", "".join(shape.format(ord(c)) if not c.isascii() or c in special or c in "&<>\"'" else c for c in text)
    names = html.entities.codepoint2name
    yield "HTML-escaped", "".join(f"&{names[ord(c)]};" if ord(c) in names else c for c in text)
    yield "quoted-printable", "".join(chr(byte) if byte < 0x80 and byte != ord("=") else f"={byte:02X}" for byte in text.encode())
    yield "escaped bytes", _escaped_bytes(text.encode())
    yield "SQL-quoted", text.replace("'", "''")
    yield "SQL-quoted", text.replace("'", "\\'")
    yield "CSV-quoted", text.replace('"', '""')


def _escaped_bytes(value: bytes) -> str:
    """As DuckDB and Python write bytes as a text."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\"\\" else f"\\x{byte:02X}" for byte in value)


def _utf16(needle: int, name: str, text: str, edges: str = RAW) -> Iterator[Form]:
    for order, kind in (("le", UTF16LE), ("be", UTF16BE)):
        yield Form(needle, f"{name}, UTF-16{order.upper()}", kind if edges == TEXT else RAW, text.encode(f"utf-16-{order}").lower(), any_case=True)


def _base64(needle: int, name: str, value: bytes, shifts: tuple[int, ...] = (0, 1, 2), word: bool = False) -> Iterator[Form]:
    """The characters that the value determines alone, for each number of bytes that may stand before it in a group of three."""
    for shift in shifts:
        encoded = base64.b64encode(bytes(shift) + value)
        inner = encoded[-(-8 * shift // 6):8 * (shift + len(value)) // 6]
        yield Form(needle, name, BASE64, inner, value=value, shift=shift, word=word)
        if inner.translate(_URL_SAFE) != inner:
            yield Form(needle, f"{name}, URL-safe", BASE64, inner.translate(_URL_SAFE), value=value, shift=shift, word=word)


def _phone(identifier: str) -> tuple[str, str] | None:
    """(country, national number without its leading zero) of a telephone number, French where it does not say."""
    text = identifier.strip()
    if not _PHONE.fullmatch(text) or not (text.startswith(("+", "0"))):
        return None
    import phonenumbers  # takes a tenth of a second, and few identifiers need it

    try:
        number = phonenumbers.parse(text, "FR")
    except phonenumbers.NumberParseException:
        return None
    return str(number.country_code), str(number.national_number)
