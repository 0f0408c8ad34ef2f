"""A value-level canary: planted subjects whose identifiers cannot be mistaken, and a search for them in everything that a build makes (C-3.3b).

Lineage reasons about SQL; this looks. The rows are generated from the contracts, so a new column is covered without a word here. Each text that
names, describes or narrows down a person (direct, free text, quasi) gets a token of its own, in whatever dress the column takes (an address, a
telephone number, an account number). Two more kinds of subjects may not appear at all: some who are refused in every purpose, of whom even a kept
value carries a token, and a control whose token is let through on purpose, because a search that finds nothing proves nothing unless it can find.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pipelines.foundation.dates import paris_day
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Rulebook
from pipelines.policy.vocabulary import DAY

ELIGIBLE, REFUSED, VISITORS = 12, 3, 2  # of each kind: more than one row of everything
TELLING = 8  # a shorter text could stand anywhere
WORD = "{}[0-9a-df-z]*e"  # of a token, given its mark
UNMISTAKABLE = ("direct", "free_text")
NAMING = (*UNMISTAKABLE, "quasi")
CONTROL = "control"
Row = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """A planted value: where it was planted; `refused`: it is of somebody who may not appear at all."""

    dataset: str
    column: str
    refused: bool


@dataclass
class Planted:
    """What was planted: rows per dataset, and tokens by their value (in lower case, as they are looked for). `mark` begins every word of it."""

    mark: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A token found in a place (a column of a table, a file, a log), named by where it was planted, never by its value."""

    place: str
    dataset: str
    column: str
    refused: bool


def new_mark() -> str:
    """A random word, so that no two runs have the same; without an e, which ends every token."""
    return "zq" + "".join(secrets.choice("0123456789abcdf") for _ in range(8))


def control(mark: str) -> str:
    """The token that is let through on purpose."""
    return f"{mark}0e"


def plant(rulebook: Rulebook, as_of: datetime, mark: str) -> Planted:
    """Rows of every dataset, all of the day of `as_of`."""
    made = Planted(mark)
    for number, contract in enumerate(rulebook.contracts.values()):
        sower = _Sower(rulebook, contract, number, made, as_of, mark)
        made.rows[contract.name] = [row for n in range(ELIGIBLE + REFUSED + VISITORS) for row in sower.rows(n)]
    made.tokens[control(mark)] = Token(CONTROL, CONTROL, False)
    return made


@dataclass(frozen=True)
class _Sower:
    """Makes the rows of one dataset: of the eligible, then of the refused, then of visitors, who have a device and no account."""

    rulebook: Rulebook
    contract: Contract
    number: int
    made: Planted
    as_of: datetime
    mark: str

    def rows(self, n: int) -> Iterator[Row]:
        """The rows of number `n`: one of an account, else so many that each value of a list stands in one."""
        visitor = n >= ELIGIBLE + REFUSED
        named = [self.contract.column(subject.column) for subject in self.contract.subjects]
        if visitor and (self.contract.account or not self.contract.device or any(column.required for column in named)):
            return
        if self.contract.consent_register:
            yield from (self._consent(n, position, kind) for position, kind in enumerate(self.rulebook.policy.consent_kinds))
            return
        once = self.contract.account or set(self.contract.key) & set(self.contract.person_columns)
        for position in range(1 if once else max(2, *(len(self._listed(column)) for column in self.contract.columns))):
            yield self._row(n, position)

    def _listed(self, column: Column) -> tuple[str, ...]:
        """The values that a contract or the purpose matrix lists."""
        named = [value for purpose in self.rulebook.policy.purposes.values() for source in purpose.sources.values()
                 for name, values in source.rows if name == column.name for value in values]
        return tuple(dict.fromkeys((*column.allowed, *(named if not column.allowed else ()))))

    def _row(self, n: int, position: int) -> Row:
        moment = self.as_of - timedelta(minutes=7 * position)
        parties = {subject.column: (n + at) % ELIGIBLE if at else n for at, subject in enumerate(self.contract.subjects)}
        marks = {subject.mark for subject in self.contract.subjects if subject.mark}
        row: Row = {}
        for place, column in enumerate(self.contract.columns):
            who = parties.get(column.name, n)
            if column.name in parties:
                row[column.name] = _member(self.mark, who)
            elif column.name in (self.contract.device, self._register_device):
                row[column.name] = f"{self.mark}d{n}e"
            elif column.name in marks:
                row[column.name] = False
            elif column.primary_key:
                row[column.name] = f"{self.mark}k{self.number}n{n}p{position}e"
            else:
                row[column.name] = self._value(column, place, moment, n, position)
            self._remember(column, row[column.name], ELIGIBLE <= who < ELIGIBLE + REFUSED)
        if self.contract.account:
            row |= self._account(n)
        return row | self._technical(row, n, position)

    @property
    def _register_device(self) -> str | None:
        return self.contract.consent_register.device if self.contract.consent_register else None

    def _technical(self, row: Row, n: int, position: int) -> Row:
        day = {DAY: paris_day(row[self.contract.clock])} if self.contract.clock else {}
        return {"_batch": "canary", "_line": n * 100 + position} | day

    def _account(self, n: int) -> Row:
        """A living account of an adult, or, for the refused, of somebody whose age is not known, whom no purpose may have (C-2.2b)."""
        account, adult = self.contract.account, n < ELIGIBLE
        assert account is not None
        return {account.deleted: None, account.last_activity: paris_day(self.as_of), account.age_confirmed: adult,
                account.birthday: date(paris_day(self.as_of).year - (35 if adult else 10), 6, 15)}

    def _consent(self, n: int, position: int, kind: str) -> Row:
        """A grant by a clear act, before anything else happened: what may pass does pass."""
        register = self.contract.consent_register
        assert register is not None
        said = {register.kind: kind, register.decision: "granted", register.at: self.as_of - timedelta(days=10),
                register.method: self.rulebook.policy.express_methods[0], register.version: self.rulebook.policy.version}
        row = self._row(n, position) | said
        return row | self._technical(row, n, position)

    def _value(self, column: Column, place: int, moment: datetime, n: int, position: int) -> Any:
        listed = self._listed(column)
        if listed:
            return listed[(n + position) % len(listed)]
        if column.type == "VARCHAR":
            return _dressed(column, f"{self.mark}t{self.number}c{place}n{n}e", f"+336{_number(self.mark)}{self.number:02}{place:02}{n:02}")
        if column.type == "BOOLEAN":
            return False
        if column.type == "DATE":
            return paris_day(moment)
        return moment if column.type == "TIMESTAMPTZ" else max(1, int(column.minimum or 0))

    def _remember(self, column: Column, value: Any, refused: bool) -> None:
        """A text that can be looked for: of everybody what names, describes or narrows them down, of the refused every one."""
        if isinstance(value, str) and not self._listed(column) and len(value) >= TELLING and (refused or column.identifiability in NAMING):
            self.made.tokens.setdefault(value.lower(), Token(self.contract.name, column.name, refused))


def _member(mark: str, n: int) -> str | None:
    return f"{mark}m{n}e" if n < ELIGIBLE + REFUSED else None


def _number(mark: str) -> int:
    """Three digits of a run's own, for what must be a number."""
    return 100 + int(hashlib.sha256(mark.encode()).hexdigest(), 16) % 900


def _dressed(column: Column, token: str, digits: str) -> str:
    """The token in the first dress that the column takes: as it is, in an address, in an account number; or a telephone number, or its end."""
    text = f"/{token}/{token}?q={token}" if column.identifiability == "free_text" else token
    forms = {"email": [f"{token}@canary.example"], "iban": [f"FR76{token.upper():0<23}"[:27]], "phone": [digits], "country": ["FR"]}
    for value in forms.get(column.form or "", [text, token, token.upper(), digits, digits[-4:]]):
        if len(value) <= (column.max_length or len(value)) and (not column.pattern or re.fullmatch(column.pattern, value)):
            return value
    return token[:column.max_length]


# --- looking ---


class Search:
    """Looks for tokens in texts: as they are, in any case, within other words, and as the plain digest or the encoding that somebody may take for
    a disguise."""

    def __init__(self, planted: Planted) -> None:
        mark = planted.mark
        self._word = re.compile(WORD.format(mark))
        self._hexadecimal, self._base64 = re.compile(rf"{mark.encode().hex()}(?:[0-9a-f]{{2}})*"), re.compile(rf"{_base64(mark[:9])}[0-9a-zA-Z+/]*")
        self._words = {core: token for value, token in planted.tokens.items() for core in self._word.findall(value)}
        others = {value: token for value, token in planted.tokens.items() if not self._word.search(value)}
        self._others, self._other = others, re.compile("|".join(map(re.escape, others)) or "(?!)")
        self._begins = {value[:TELLING] for value in others}  # few, and quickly looked for: the rest only where one of them stands
        self._digests = {digest: token for value, token in planted.tokens.items() for digest in _digests((value, *self._word.findall(value)))}

    def in_text(self, place: str, text: str) -> list[Seen]:
        """Every token in it once."""
        plain, found = text.lower(), []
        words = self._word.findall(plain)
        for encoded in self._hexadecimal.findall(plain):
            words += self._word.findall(bytes.fromhex(encoded).decode(errors="replace"))
        for encoded in self._base64.findall(text):
            whole = encoded[:-1] if len(encoded) % 4 == 1 else encoded
            words += self._word.findall(base64.b64decode(whole + "=" * (-len(whole) % 4)).decode(errors="replace").lower())
        found += [self._words[word] for word in words if word in self._words]
        found += [self._others[value] for value in (self._other.findall(plain) if any(begin in plain for begin in self._begins) else ())]
        for run in _digits(plain.replace("-", "")):
            found += [self._digests[run[:size]] for size in (32, 40, 64) if run[:size] in self._digests]
        return [Seen(place, token.dataset, token.column, token.refused) for token in dict.fromkeys(found)]

    def in_bytes(self, place: str, content: bytes) -> list[Seen]:
        """A file of whatever kind, read as text of one byte or of two to a letter."""
        texts = [content, content.replace(b"\0", b"")] if b"\0" in content else [content]
        return list(dict.fromkeys(one for data in texts for one in self.in_text(place, data.decode("latin-1"))))


# a digit of a hexadecimal number is x, anything else a blank: thirty-two in a row are found in a hundredth of the time that a pattern takes
_SHAPE = bytes(ord("x") if chr(n) in "0123456789abcdef" else ord(" ") for n in range(256))
_SHORTEST = b"x" * 32


def _digits(plain: str) -> Iterator[str]:
    """Each run of hexadecimal digits that is as long as a digest."""
    letters = plain.encode("latin-1", "replace")
    shape = letters.translate(_SHAPE)
    start = shape.find(_SHORTEST)
    while start >= 0:
        end = shape.find(b" ", start)
        end = len(shape) if end < 0 else end
        yield letters[start:end].decode("latin-1")
        start = shape.find(_SHORTEST, end)


def _digests(values: Iterable[str]) -> Iterator[str]:
    for plain in {dress for value in values for dress in (value, value.upper())}:
        for name in ("md5", "sha1", "sha256"):
            yield hashlib.new(name, plain.encode(), usedforsecurity=False).hexdigest()


def _base64(text: str) -> str:
    return re.escape(base64.b64encode(text.encode()).decode())


def let_through(rulebook: Rulebook, purpose: str, seen: Seen) -> bool:
    """Whether the rules let this value into the zone and marts of the purpose as it is: a contract says `keep` of its column, which in a purpose
    that is not identified may be no direct identifier and no text, and it is of nobody who may not appear."""
    if seen.refused or seen.dataset == CONTROL:
        return False
    column = rulebook.contract(seen.dataset).column(seen.column)
    made = column.transforms.get(purpose)
    return made is not None and made.use == "keep" and (rulebook.policy.purposes[purpose].identified or column.identifiability not in UNMISTAKABLE)
