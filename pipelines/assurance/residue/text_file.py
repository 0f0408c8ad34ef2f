"""Text of any kind (JSON, logs, CSV, SQL, YAML, HTML, Markdown): its bytes as they stand, and once more with escapes resolved."""

from __future__ import annotations

import codecs
import html
import re

from pipelines.assurance.residue.needles import Needles
from pipelines.assurance.residue.record import Record

_CONTROLS = bytes(n for n in range(32) if n not in b"\t\n\r\f\v\x1b") + b"\x7f"  # that no text has
_PRINTABLE = 0.7  # of a text in an older encoding, the part that is ASCII
_HEAD = 1 << 16
_BLOCK, _OVERLAP = 1 << 22, 1 << 13  # bytes of which escapes are resolved at once, and that two such blocks share
_ROUNDS = 3  # a JSON text within a JSON text within a URL

_BACKSLASH = re.compile(rb"((?:\\u[0-9a-fA-F]{4})+)|\\x([0-9a-fA-F]{2})|\\([nrtbf\"'/\\])")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_ENTITY = re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def text_encoding(data: memoryview) -> str | None:
    """How the text that begins here is encoded, or None: it is no text."""
    head = bytes(data[:_HEAD])
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return None if encoding == "utf-32" else encoding
    if not _is_text(head):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(data) <= _HEAD)
    except UnicodeDecodeError:
        letters = sum(1 for byte in head if byte < 0x80)
        return "latin-1" if letters >= _PRINTABLE * len(head) else None
    return "utf-8"


def scan_text(data: memoryview, needles: Needles, encoding: str) -> Record:
    """Look for `needles` in a text. What turns out to be no text after all is said to be unreadable."""
    record = Record(needles)
    record.look("text", data)
    for begin in range(0, len(data), _BLOCK):
        block = bytes(data[max(0, begin - _OVERLAP):begin + _BLOCK])
        if encoding.startswith("utf-16"):
            decoded = block.decode(encoding, "replace")
            block = decoded.encode() if "\ufffd" not in decoded[1:-1] and not len(data) % 2 else b"\0"
            _resolved(record, block, "text, decoded", True)
        if not _is_text(block):
            record.unreadable.append("unknown format: it begins as a text and goes on as something else")
            return record
        if not encoding.startswith("utf-16"):
            _resolved(record, block, "text, escapes resolved", False)
    return record


def unescape(text: bytes) -> bytes:
    """One round of escapes resolved: of JSON, of URLs, of HTML."""
    if b"\\" in text:
        text = _BACKSLASH.sub(_unescaped, text)
    if b"%" in text:
        text = _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), text)
    if b"&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0].decode()).encode("utf-8", "replace"), text)
    return text


def _resolved(record: Record, block: bytes, place: str, anew: bool) -> None:
    if anew:
        record.look(place, block)
    known = {needle for _, needle, _ in record.hits}
    for _ in range(_ROUNDS):
        plain = unescape(block)
        if plain == block:
            return
        record.add(place, [hit for hit in record.needles.find(plain) if hit.form.needle not in known])
        block = plain


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        units = bytes.fromhex(found[1].replace(b"\\u", b"").decode())
        return units.decode("utf-16-be", "replace").encode()
    if found[2]:
        return bytes([int(found[2], 16)])
    return _PLAIN.get(found[3], found[3])


def _is_text(block: bytes) -> bool:
    return len(block.translate(None, _CONTROLS)) == len(block)
