"""policy.yaml → Policy."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import MappingProxyType

from pipelines.foundation.dates import PARIS, Period
from pipelines.policy import documents
from pipelines.policy.documents import Reader
from pipelines.policy.types import BASES, CLOCKS, ConsentKind, Policy, PolicyVersion, Purpose, RetentionRule, Right, Source

SECTIONS = ("controller", "versions", "identifiability", "visibility", "categories", "consent_kinds", "consent_methods", "purposes",
            "retention", "quarantine", "outbox", "roles", "rights")


def load_policy(path: Path) -> Policy:
    """The policy in `path`, each word looked up in its vocabulary."""
    top = Reader(documents.read(path), path.name).only(SECTIONS)
    controller = top.inner("controller").only(("name", "address", "timezone"))
    if controller.text("timezone") != PARIS.key:
        raise controller.fail(f"timezone must be {PARIS.key}: every period of the policy runs on its calendar (C-10.0).")
    categories = {name: entry.only(("clause", "description")).text("clause") for name, entry in top.each("categories")}
    kinds = {name: _consent_kind(name, entry) for name, entry in top.each("consent_kinds")}
    purposes = {name: _purpose(name, entry, categories, kinds) for name, entry in top.each("purposes")}
    methods = top.inner("consent_methods").only(("express", "never_consent"))
    return Policy(
        controller=controller.text("name"), timezone=controller.text("timezone"),
        versions=_versions(top, purposes),
        identifiability=tuple(top.items("identifiability")), visibility=tuple(top.items("visibility")),
        categories=MappingProxyType(categories), consent_kinds=MappingProxyType(kinds),
        express_methods=tuple(methods.need("express")), never_consent=tuple(methods.need("never_consent")),
        purposes=MappingProxyType(purposes),
        retention=MappingProxyType({name: _rule(name, entry) for name, entry in top.each("retention")}),
        quarantine=_period(top.inner("quarantine").only(("clause", "period")), "period"),
        outbox_hours=int(top.inner("outbox").only(("clause", "hours")).need("hours")),
        roles=MappingProxyType({name: tuple(entry.only(("clause", "keys")).items("keys")) for name, entry in top.each("roles")}),
        rights=MappingProxyType({name: _right(name, entry) for name, entry in top.each("rights")}),
    )


def _versions(top: Reader, purposes: dict[str, Purpose]) -> tuple[PolicyVersion, ...]:
    made = []
    for position, entry in enumerate(top.items("versions")):
        at = Reader(entry, f"{top.where}: versions[{position}]").only(("id", "from", "widens"))
        if not isinstance(at.need("from"), date):
            raise at.fail("'from' must be a day such as 2014-06-01.")
        made.append(PolicyVersion(at.text("id"), at.need("from"), tuple(at.known("widens", p, purposes) for p in at.items("widens"))))
    if not made or [v.since for v in made] != sorted({v.since for v in made}):
        raise top.fail("versions must name at least one version, oldest first, each with a day of its own.")
    return tuple(made)


def _consent_kind(name: str, entry: Reader) -> ConsentKind:
    entry.only(("clause", "scope", "expires"))
    return ConsentKind(name, entry.text("clause"), entry.word("scope", ("device", "member")),
                       _period(entry, "expires") if entry.get("expires") else None)


def _purpose(name: str, entry: Reader, categories: dict[str, str], kinds: dict[str, ConsentKind]) -> Purpose:
    entry.only(("clause", "description", "published", "audience", "sources"))
    sources = {}
    for category, source in entry.each("sources"):
        source.only(("basis", "kind", "rows"))
        entry.known("category", category, categories)
        basis = source.word("basis", BASES)
        if (basis == "consent") != ("kind" in source.content):
            raise source.fail("a basis of consent names its kind of consent, and no other basis does.")
        kind = source.word("kind", kinds) if basis == "consent" else None
        rows = tuple((column, tuple(values)) for column, values in (source.get("rows") or {}).items())
        sources[category] = Source(basis, kind, rows)
    return Purpose(name, entry.text("clause"), entry.text("description"), entry.word("published", ("plain", "encrypted")),
                   entry.text("audience"), MappingProxyType(sources))


def _rule(name: str, entry: Reader) -> RetentionRule:
    clock = entry.word("clock", CLOCKS)
    if clock == "event_day":
        entry.only(("description", "clock", "periods"))
        return RetentionRule(name, entry.text("description"), clock, periods=_periods(entry, "periods"))
    entry.only(("description", "clock", "after_deletion", "after_last_activity"))
    return RetentionRule(name, entry.text("description"), clock, after_deletion=_periods(entry, "after_deletion"),
                         after_last_activity=_periods(entry, "after_last_activity"))


def _right(name: str, entry: Reader) -> Right:
    entry.only(("clause", "deadline", "per"))
    return Right(name, entry.text("clause"), _period(entry, "deadline"), entry.get("per") == "purpose")


def _period(entry: Reader, key: str) -> Period:
    return Period.parse(entry.text(key))


def _periods(entry: Reader, key: str) -> tuple[Period, ...]:
    return tuple(Period.parse(str(text)) for text in entry.need(key))
