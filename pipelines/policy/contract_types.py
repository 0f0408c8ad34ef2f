"""What a data contract says of one dataset, as immutable values: its columns, whose they are, when they end and what erasure does to them.

Like the policy's own types (types.py) these carry facts and answer questions about them; they never read a file, a clock or a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.foundation.dates import Period
from pipelines.foundation.errors import one_of
from pipelines.policy.vocabulary import JOIN_KEYS


@dataclass(frozen=True)
class Transform:
    """How one column enters one purpose: `use` names the transform, `output` the column in the purpose zone, `category` what is left of the value
    is about (the region of an address is no address any more, C-2.3b)."""

    use: str
    output: str
    category: str
    values: tuple[str, ...] = ()  # the values that may pass, where the transform lets only named ones through


@dataclass(frozen=True)
class Export:
    """Where a column appears in a member's answers (C-11.1, C-11.5)."""

    kind: str
    reason: str | None = None


@dataclass(frozen=True)
class Door:
    """What happens to a value before anything is written: digits after the point that are kept (C-2.7), the values of another column
    with which alone it is kept (C-2.2a, C-3.5), and the field that holds a list of which only the length comes in (C-2.2a)."""

    round: int | None = None
    only_while: tuple[str, tuple[str, ...]] | None = None
    count: str | None = None


@dataclass(frozen=True)
class Column:
    """One column of a contract; `type` is a DuckDB type. `erasure` says what becomes of it when its member is erased."""

    name: str
    description: str
    type: str
    required: bool
    primary_key: bool
    category: str
    identifiability: str
    visibility: str
    export: Export
    erasure: str
    transforms: Mapping[str, Transform]
    door: Door = Door()
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    form: str | None = None  # email, iban, phone, country: what a library decides
    partitioned: bool = False  # the raw table is partitioned by the Paris day of this column
    retention: str | None = None  # a rule that empties this column before the row itself is due (C-10.1)
    identifies: str | None = None  # what it is to the person whose row it is: email, first_name, iban … (vocabulary.IDENTIFIES)

    @property
    def join_key(self) -> bool:
        """Whether the same person can be named again by it (C-11.3)."""
        return self.identifies in JOIN_KEYS


@dataclass(frozen=True)
class Subject:
    """A column that names a member, and the part the member plays in the row. Where a dataset is severed instead of deleted: `mark` is set when
    this one has left (C-2.6), and with `ends_row` the whole row goes with this member (the rated one, the owner of the offer)."""

    column: str
    role: str
    mark: str | None = None
    ends_row: bool = False


@dataclass(frozen=True)
class Holding:
    """Why a dataset is held at all: its legal basis, the clause that says so, and where the data come from (Art. 14, Art. 30). Where the basis
    is consent, `kind` says which; where that depends on the value of the column `by`, `kinds` says which for each (None: none is needed)."""

    basis: str
    clause: str
    origin: str
    kind: str | None = None
    by: str | None = None
    kinds: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def consents(self) -> tuple[str, ...]:
        """The kinds of consent that rows of the dataset may rest on."""
        found = (self.kind, *self.kinds.values())
        return tuple(dict.fromkeys(kind for kind in found if kind))


@dataclass(frozen=True)
class Limit:
    """How many rows of a batch may be quarantined before it is held back whole: `percent` of them, but never fewer than `rows`."""

    percent: float
    rows: int


@dataclass(frozen=True)
class DatasetRetention:
    """A rule of the policy that a dataset follows; `visitors_only` limits it to rows that name no member (C-10.9)."""

    rule: str
    visitors_only: bool


@dataclass(frozen=True)
class RowRule:
    """A check across columns, as a SQL expression that is true for a good row."""

    name: str
    expression: str
    description: str


@dataclass(frozen=True)
class Account:
    """The columns that say whether an account lives and how old its holder is (C-10.3, C-2.2b)."""

    deleted: str
    last_activity: str
    age_confirmed: str
    birthday: str
    registered: str  # from when on it is this account: what was collected before is somebody else's, or was erased (C-11.3)


@dataclass(frozen=True)
class ConsentRegister:
    """The columns of the dataset that records consents (C-13)."""

    member: str
    device: str
    kind: str
    decision: str
    at: str
    method: str
    version: str


@dataclass(frozen=True)
class Contract:
    """One dataset: its columns, whose data it holds, when it ends and what erasure does to it."""

    name: str
    version: str
    path: str
    purpose: str
    limitations: str
    grain: str
    format: str
    columns: tuple[Column, ...]
    subjects: tuple[Subject, ...]
    retention: tuple[DatasetRetention, ...]
    erasure: str
    holding: Holding
    bad_rows: Limit
    every: Period  # how often a new batch is due
    volume: tuple[int, int]  # rows that a batch is expected to have
    clock: str | None = None
    device: str | None = None
    latest_by: str | None = None
    sever_group: str | None = None  # rows of one group end together, with its last live account (C-2.6)
    row_rules: tuple[RowRule, ...] = ()
    account: Account | None = None
    consent_register: ConsentRegister | None = None
    recipient: str | None = None  # the column that names a recipient of the policy's register
    source: Mapping[str, object] = field(default_factory=dict)  # how its inputs are written, for the readers to understand: logFormat, …

    @property
    def person_columns(self) -> tuple[str, ...]:
        """The columns that tell one person from another: members and devices."""
        register = self.consent_register
        named = (*(s.column for s in self.subjects), self.device, register.device if register else None)
        return tuple(dict.fromkeys(column for column in named if column))

    @property
    def counted(self) -> dict[str, str]:
        """Column → the source's field with the list that it is the length of."""
        return {c.name: c.door.count for c in self.columns if c.door.count}

    @property
    def by_day(self) -> bool:
        """Whether its raw table is laid out by day, and within a day by whom a row names."""
        return any(c.partitioned for c in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row; empty: its batch and line do."""
        return tuple(c.name for c in self.columns if c.primary_key)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise one_of(f"{self.path}: column", name, [c.name for c in self.columns])

    def entering(self, purpose: str) -> tuple[tuple[Column, Transform], ...]:
        """The allowlist: columns with a transform for `purpose`, and nothing else."""
        return tuple((c, c.transforms[purpose]) for c in self.columns if purpose in c.transforms)

    def output(self, column: str, purpose: str) -> str:
        """What the column is called in the purpose's zone, which it enters."""
        return next(t.output for c, t in self.entering(purpose) if c.name == column)

    def pseudonymous_key(self, purpose: str) -> Column | None:
        """The first subject column that enters `purpose` as a pseudonym; without one the dataset does not enter at all."""
        return next((c for c, t in self.entering(purpose) if t.use == "pseudonym"), None)

    def named_in(self, purpose: str) -> tuple[tuple[Column, Transform], ...]:
        """The subject columns that enter `purpose` as pseudonyms: each member that a row names so must pass the gate."""
        return tuple((c, t) for c, t in self.entering(purpose) if t.use == "pseudonym")
