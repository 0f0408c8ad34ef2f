"""policy.yaml → Policy."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipelines.foundation.dates import PARIS, Period
from pipelines.policy import documents, floors
from pipelines.policy.documents import Reader
from pipelines.policy.legal_archive import load_archives
from pipelines.policy.resolving import load_resolving
from pipelines.policy.types import (
    Category,
    ConsentKind,
    Controller,
    Guard,
    Policy,
    PolicyVersion,
    Purpose,
    Recipient,
    RetentionRule,
    Right,
    RiskLimits,
    Source,
)
from pipelines.policy.vocabulary import BASES, CLOCKS, DESPITE, GROUNDS, OWN, RECIPIENT_KINDS, RIGHTS, SAFEGUARDS

SECTIONS = ("controller", "versions", "identifiability", "visibility", "categories", "consent_kinds", "consent_methods", "purposes",
            "risk", "cell", "recipients", "resolving", "retention", "quarantine", "late_consents", "outbox", "extracts", "tool_logs", "backups",
            "tombstones", "guard", "legal_archive", "roles", "rights")
# the European Economic Area, and where the Commission found the protection adequate (Art. 45), as ISO 3166-1 alpha-2
EEA = ("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO",
       "PL", "PT", "RO", "SE", "SI", "SK")
ADEQUATE = ("AD", "AR", "CA", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "US", "UY")


def load_policy(path: Path, read: dict[str, Any] | None = None) -> Policy:
    """The policy in `path`, each word looked up in its vocabulary; `read` is its document, where the caller has read it already."""
    top = Reader(documents.read(path) if read is None else read, path.name).only(SECTIONS)
    controller = top.inner("controller").only(("clause", "name", "address", "contact", "timezone"))
    if controller.text("timezone") != PARIS.key:
        raise controller.fail(f"timezone must be {PARIS.key}: every period of the policy runs on its calendar (C-10.0).")
    categories = {name: Category(name, entry.text("clause"), entry.text("description"))
                  for name, entry in ((name, entry.only(("clause", "description"))) for name, entry in top.each("categories"))}
    kinds = {name: _consent_kind(name, entry) for name, entry in top.each("consent_kinds")}
    tying = [kind.name for kind in kinds.values() if kind.ties_devices]
    if len(tying) > 1 or any(kinds[name].scope != "device" for name in tying):
        raise top.fail("at most one consent kind has 'ties_devices', and it is given per device (C-8).")
    purposes = {name: _purpose(name, entry, categories, kinds) for name, entry in top.each("purposes")}
    for _, entry in top.each("purposes"):
        entry.word("audience", top.inner("roles").content)
    recipients = MappingProxyType({name: _recipient(name, entry, categories) for name, entry in top.each("recipients")})
    methods = top.inner("consent_methods").only(("clause", "express", "never_consent"))
    return Policy(
        controller=Controller(controller.text("name"), controller.text("address"), controller.text("contact")), timezone=controller.text("timezone"),
        versions=_versions(top, purposes),
        identifiability=tuple(top.items("identifiability")), visibility=tuple(top.items("visibility")),
        categories=MappingProxyType(categories), consent_kinds=MappingProxyType(kinds),
        express_methods=methods.words("express"), never_consent=_apart(methods),
        purposes=MappingProxyType(purposes),
        retention=MappingProxyType({name: _rule(name, entry) for name, entry in top.each("retention")}),
        quarantine=_period(top.inner("quarantine").only(("clause", "period")), "period"),
        late_consents=_period(top.inner("late_consents").only(("clause", "period")), "period"),
        outbox_hours=_hours(top.inner("outbox").only(("clause", "hours"))),
        **{word: _period(top.inner(word).only(("clause", "period")), "period") for word in ("extracts", "tool_logs", "backups", "tombstones")},
        guard=_guard(top.inner("guard")),
        roles=MappingProxyType({name: _role(entry, purposes) for name, entry in top.each("roles")}),
        recipients=recipients, resolving=load_resolving(top, purposes, kinds, recipients),
        risk=_risk(top.inner("risk")), cell=_cell(top.inner("cell")), legal_archive=load_archives(top, purposes),
        rights=MappingProxyType({top.known("right", name, RIGHTS): _right(name, entry) for name, entry in top.each("rights")}),
    )


def _versions(top: Reader, purposes: dict[str, Purpose]) -> tuple[PolicyVersion, ...]:
    made = []
    for position, entry in enumerate(top.items("versions")):
        at = Reader(entry, f"{top.where}: versions[{position}]").only(("clause", "id", "from", "widens"))
        if not isinstance(at.need("from"), date):
            raise at.fail("'from' must be a day such as 2014-06-01.")
        made.append(PolicyVersion(at.text("id"), at.need("from"), tuple(at.known("widens", p, purposes) for p in at.items("widens"))))
    if not made or [v.since for v in made] != sorted({v.since for v in made}):
        raise top.fail("versions must name at least one version, oldest first, each with a day of its own.")
    return tuple(made)


def _consent_kind(name: str, entry: Reader) -> ConsentKind:
    entry.only(("clause", "scope", "expires", "ties_devices"))
    return ConsentKind(name, entry.text("clause"), entry.word("scope", ("device", "member")),
                       _period(entry, "expires") if entry.get("expires") else None, bool(entry.get("ties_devices", False)))


def _purpose(name: str, entry: Reader, categories: dict[str, Category], kinds: dict[str, ConsentKind]) -> Purpose:
    entry.only(("clause", "description", "published", "audience", "identified", "despite", "sources", "marts"))
    sources = {}
    for category, source in entry.each("sources"):
        source.only(("basis", "kind", "rows", "visitors"))
        entry.known("category", category, categories)
        basis = source.word("basis", BASES)
        if (basis == "consent") != ("kind" in source.content):
            raise source.fail("a basis of consent names its kind of consent, and no other basis does.")
        own = source.get("kind") == OWN
        kind = source.word("kind", kinds) if basis == "consent" and not own else None
        limits = Reader(source.get("rows") or {}, f"{source.where}: rows")
        rows = tuple((column, limits.words(column)) for column in limits.content)
        if own and (len(rows) != 1 or any(kinds[entry.known("kind of consent", word, kinds)].scope != "member" for word in rows[0][1])):
            raise source.fail(f"kind '{OWN}' names in 'rows' the one column that says the kind, with kinds that each member gives.")
        sources[category] = Source(basis, kind, rows, _yes(source, "visitors"), own)
    identified = _yes(entry, "identified")
    if identified and entry.get("published") != "encrypted":
        raise entry.fail("marts that name persons are published encrypted.")
    return Purpose(name, entry.text("clause"), entry.text("description"), entry.word("published", ("plain", "encrypted")),
                   entry.text("audience"), MappingProxyType(sources), tuple(map(str, entry.items("marts"))), identified,
                   tuple(entry.known("state", state, DESPITE) for state in entry.items("despite")))


def _risk(entry: Reader) -> RiskLimits:
    """C-3.3b: limits that no policy may loosen below the floor."""
    entry.only(("clause", "k", "l", "t", "shared_class", "linking"))
    limits = {word: entry.need(word) for word in ("k", "l", "t", "shared_class", "linking")}
    for word, limit in limits.items():
        floor = getattr(floors.RISK, word)
        whole = isinstance(floor, int)
        if isinstance(limit, bool) or not isinstance(limit, int if whole else int | float) or limit < 0:
            raise entry.fail(f"'{word}' must be a {'whole number' if whole else 'number'}.")
        if limit < floor if whole else limit > floor:
            raise entry.fail(f"'{word}' is {limit}, looser than the floor of {floor}: limits of risk can only be tightened (C-3.3b).")
    return RiskLimits(**limits)


def _cell(entry: Reader) -> int:
    members = entry.only(("clause", "members")).need("members")
    if isinstance(members, bool) or not isinstance(members, int) or members < floors.CELL:
        raise entry.fail(f"'members' must be a whole number of {floors.CELL} or more: no smaller cell is anonymous (C-10.7).")
    return members


def _yes(entry: Reader, word: str) -> bool:
    said = entry.get(word, False)
    if not isinstance(said, bool):
        raise entry.fail(f"'{word}' is true or false.")
    return said


def _recipient(name: str, entry: Reader, categories: dict[str, Category]) -> Recipient:
    """C-1.1: a ground and no consideration; C-5, C-7: a country and, outside the area, a safeguard with its document."""
    entry.only(("clause", "kind", "ground", "country", "safeguard", "document", "until", "receives"))
    made = Recipient(
        name=name, clause=entry.text("clause"), kind=entry.word("kind", RECIPIENT_KINDS), ground=entry.word("ground", GROUNDS),
        country=entry.text("country"), safeguard=entry.word("safeguard", SAFEGUARDS), document=entry.get("document"), until=entry.get("until"),
        receives=tuple(entry.known("category", word, categories) for word in entry.words("receives")))
    if (made.kind == "processor") != (made.ground == "processor"):
        raise entry.fail("a processor's ground is 'processor', and nobody else's is (C-5).")
    if made.safeguard == "clauses" and not (made.document and isinstance(made.until, date)):
        raise entry.fail("clauses name their document and the day until which they run (C-7).")
    where = {"eea": EEA, "adequacy": ADEQUATE}.get(made.safeguard)
    if where is not None and made.country not in where:
        raise entry.fail(f"{made.country} is not covered by the safeguard '{made.safeguard}' (C-5, C-7). Covered: {', '.join(where)}.")
    return made


def _rule(name: str, entry: Reader) -> RetentionRule:
    clock = entry.word("clock", CLOCKS)
    if clock == "event_day":
        entry.only(("description", "clock", "periods"))
        return RetentionRule(name, entry.text("description"), clock, periods=_periods(entry, "periods"))
    entry.only(("description", "clock", "after_deletion", "after_last_activity"))
    return RetentionRule(name, entry.text("description"), clock, after_deletion=_periods(entry, "after_deletion"),
                         after_last_activity=_periods(entry, "after_last_activity"))


def _right(name: str, entry: Reader) -> Right:
    entry.only(("clause", "deadline", "per", "people"))
    per = entry.word("per", ("purpose",)) if entry.get("per") is not None else None
    people = entry.get("people", 1)
    if isinstance(people, bool) or not isinstance(people, int) or not 1 <= people <= 2:
        raise entry.fail("'people' is 1, or 2: who opens a request, and somebody else who approves it.")
    return Right(name, entry.text("clause"), _period(entry, "deadline"), per == "purpose", people)


def _guard(entry: Reader) -> Guard:
    percent, rows = entry.only(("clause", "percent", "rows")).need("percent"), entry.need("rows")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100 or not isinstance(rows, int) or rows < 0:
        raise entry.fail("'percent' must be a number above 0, at most 100, and 'rows' a whole number.")
    return Guard(float(percent), rows)


def _apart(methods: Reader) -> tuple[str, ...]:
    never = methods.words("never_consent")
    if set(never) & set(methods.words("express")):
        raise methods.fail("a method cannot be express consent and never consent at once (C-8).")
    return never


def _hours(entry: Reader) -> int:
    hours = entry.need("hours")
    if not isinstance(hours, int) or hours < 1:
        raise entry.fail("'hours' must be a whole number above 0.")
    return hours


def _role(entry: Reader, purposes: dict[str, Purpose]) -> tuple[str, ...]:
    """The role's keys: of stores that exist, and never of two sides that C-3.3b keeps apart."""
    stores = ["raw", "vault", "tombstones", *(f"{store}_{name}" for name in purposes for store in ("zone", "domain"))]
    stores += [f"mart_{name}" for name, purpose in purposes.items() if purpose.published == "encrypted"]
    keys = tuple(entry.known("key", key, stores) for key in entry.only(("clause", "keys")).items("keys"))
    opened = {key.partition("_")[2] for key in keys if "_" in key}
    if len(opened) > 1 or (opened and {"raw", "vault"} & set(keys)):
        raise entry.fail("a role must not open two pseudonym domains, nor raw or vault and a profile zone or mart (C-3.3b).")
    return keys


def _period(entry: Reader, key: str) -> Period:
    return entry.period(entry.need(key))


def _periods(entry: Reader, key: str) -> tuple[Period, ...]:
    return tuple(entry.period(text) for text in entry.words(key))
