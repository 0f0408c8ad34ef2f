"""What a rule is: the policy, and with its data contracts (contract_types.py) the rulebook, as immutable values.

These types carry facts and answer questions about them; they never read a file, a clock or a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pipelines.foundation.dates import Period
from pipelines.foundation.errors import Misuse, one_of
from pipelines.policy.contract_types import Contract


@dataclass(frozen=True)
class Controller:
    """Who decides why and how data are processed, and where to reach them (Art. 30(1)(a))."""

    name: str
    address: str
    contact: str


@dataclass(frozen=True)
class Category:
    """What columns are about: the purpose matrix is written in these words."""

    name: str
    clause: str
    description: str


@dataclass(frozen=True)
class PolicyVersion:
    """A published version of the privacy policy, and the purposes that it widened against the one before (C-9)."""

    id: str
    since: date
    widens: tuple[str, ...]


@dataclass(frozen=True)
class ConsentKind:
    name: str
    clause: str
    scope: str  # device or member: who must have given it
    expires: Period | None
    ties_devices: bool = False  # under it a device is known to be a member's, from the grant on (C-8)


@dataclass(frozen=True)
class Source:
    """What lets one category flow into a purpose; `rows` limits it to rows whose column has one of the values. With `visitors` rows that name no
    member flow in, too. `own`: a row of the consent register rests on the very consent that it records, and `rows` names the kinds (C-3.3c)."""

    basis: str
    kind: str | None = None
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()
    visitors: bool = False
    own: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of consent that it asks for; of its own, one by the row."""
        return self.rows[0][1] if self.own else (self.kind,) if self.kind else ()


@dataclass(frozen=True)
class Purpose:
    """What data are used for. `marts` are the tables that are published for it; `identified` ones hold what names a person (security). `despite`
    are the states of an account that do not refuse it here, though they do elsewhere (C-10.3)."""

    name: str
    clause: str
    description: str
    published: str  # plain or encrypted
    audience: str
    sources: Mapping[str, Source]
    marts: tuple[str, ...] = ()
    identified: bool = False
    despite: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipient:
    """Who may be given data (C-1.1, C-5, C-7): on what ground, where, and under which safeguard, which may have lapsed."""

    name: str
    clause: str
    kind: str
    ground: str
    country: str
    safeguard: str
    document: str | None
    until: date | None
    receives: tuple[str, ...]  # categories

    def lapsed(self, day: date) -> bool:
        return self.until is not None and day > self.until


@dataclass(frozen=True)
class Channel:
    """A way to reach a member (C-3.3c, C-3.4): the kind of consent that it rests on, the accounts' column with the address, who is given it."""

    name: str
    clause: str
    kind: str
    address: str
    recipient: str


@dataclass(frozen=True)
class Resolving:
    """A purpose in which a pseudonym becomes a person again (C-3.3b): an address, for those that `mart` names, by one of `channels`; without
    any the member's id."""

    purpose: str
    clause: str
    mart: str | None
    channels: Mapping[str, Channel]


@dataclass(frozen=True)
class RiskLimits:
    """What a mart of persons must satisfy (C-3.3b): persons in each class of equal quasi-identifiers (`k`), distinct values of each sensitive column
    in it (`l`), distance of their distribution from the whole table's (`t`); and between two purposes: persons in each class of the columns that
    both marts have (`shared_class`), and how many times better than chance the best match may find a person (`linking`)."""

    k: int
    l: int  # noqa: E741 - the name that the literature gives it
    t: float
    shared_class: int
    linking: float


@dataclass(frozen=True)
class RetentionRule:
    """A clock and its periods. `event_day`: from the row's day. `account`: from the account's end (C-10.3)."""

    id: str
    description: str
    clock: str
    periods: tuple[Period, ...] = ()
    after_deletion: tuple[Period, ...] = ()
    after_last_activity: tuple[Period, ...] = ()


@dataclass(frozen=True)
class Right:
    name: str
    clause: str
    deadline: Period
    per_purpose: bool
    people: int = 1  # who must agree before it is carried out, the one who opened it among them


@dataclass(frozen=True)
class Guard:
    """How much of a dataset one run may delete before a person has to repeat the plan's hash: `percent` of its rows, but never fewer than `rows`."""

    percent: float
    rows: int


@dataclass(frozen=True)
class LegalArchive:
    """What a law may oblige the controller to keep when it would go (C-10.8): `columns` of `dataset`, until `period` after the day of the event, or
    after the end of an account. Off it is a candidate that keeps nothing; `decided` says who turned it on, and when."""

    name: str
    law: str
    dataset: str
    columns: tuple[str, ...]
    period: Period
    on: bool = False
    decided: str | None = None


@dataclass(frozen=True)
class Policy:
    controller: Controller
    timezone: str
    versions: tuple[PolicyVersion, ...]
    identifiability: tuple[str, ...]
    visibility: tuple[str, ...]
    categories: Mapping[str, Category]
    consent_kinds: Mapping[str, ConsentKind]
    express_methods: tuple[str, ...]
    never_consent: tuple[str, ...]
    purposes: Mapping[str, Purpose]
    retention: Mapping[str, RetentionRule]
    quarantine: Period
    late_consents: Period  # how long what has no grant waits for one whose record comes late
    outbox_hours: int
    extracts: Period  # how long rows that somebody took out of a mart may stand in a file
    tool_logs: Period  # how long the scheduler's rows and logs of a run live (C-10.4)
    backups: Period  # how long our own backups live (C-10.6)
    tombstones: Period  # how long what was erased is kept from coming back (C-11.3)
    guard: Guard
    roles: Mapping[str, tuple[str, ...]]
    rights: Mapping[str, Right]
    recipients: Mapping[str, Recipient]
    resolving: Mapping[str, Resolving]
    risk: RiskLimits
    cell: int  # members in each cell of a published aggregate
    legal_archive: Mapping[str, LegalArchive]

    @property
    def archives(self) -> Mapping[str, LegalArchive]:
        """The legal archives that are on: each has a zone and a key of its own (C-10.8)."""
        return {name: rule for name, rule in self.legal_archive.items() if rule.on}

    @property
    def built(self) -> Mapping[str, Purpose]:
        """The purposes that have a zone and marts of their own."""
        return {name: purpose for name, purpose in self.purposes.items() if purpose.marts}

    @property
    def ties_devices(self) -> str | None:
        """The kind of consent under which a device is known to be a member's; without one none ever is."""
        return next((kind.name for kind in self.consent_kinds.values() if kind.ties_devices), None)

    @property
    def version(self) -> str:
        """The version in force: a build names the one it ran under."""
        return self.versions[-1].id

    def purpose(self, name: str) -> Purpose:
        if name not in self.purposes:
            raise one_of("Purpose", name, self.purposes)
        return self.purposes[name]

    def built_purpose(self, name: str) -> Purpose:
        if not self.purpose(name).marts:
            raise Misuse(f"Purpose '{name}' has no mart to build yet. Purposes that have: {', '.join(self.built)}.")
        return self.purposes[name]

    def versions_valid_for(self, purpose: str) -> tuple[str, ...]:
        """Versions under which a grant still counts for `purpose`: none later has widened it (C-9, Gate)."""
        valid: list[str] = []
        for version in reversed(self.versions):
            valid.append(version.id)
            if purpose in version.widens:
                break
        return tuple(reversed(valid))


@dataclass(frozen=True)
class Rulebook:
    """The policy with all its contracts: what every other room is given."""

    policy: Policy
    contracts: Mapping[str, Contract]

    def contract(self, name: str) -> Contract:
        if name not in self.contracts:
            raise one_of("Dataset", name, self.contracts)
        return self.contracts[name]

    @property
    def accounts(self) -> Contract:
        """The dataset of accounts: whose columns say who lives, who left, who is of age."""
        return next(c for c in self.contracts.values() if c.account)

    @property
    def consents(self) -> Contract:
        """The dataset of decisions on consents."""
        return next(c for c in self.contracts.values() if c.consent_register)

    def entering(self, purpose: str) -> tuple[Contract, ...]:
        """The datasets that flow into `purpose`."""
        return tuple(c for c in self.contracts.values() if c.pseudonymous_key(purpose))
