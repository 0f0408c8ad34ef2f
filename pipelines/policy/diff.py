"""What changes between two sets of rules, and whom it concerns (C-9).

Each change concerns *producers* (who deliver batches: one that passed may be refused now), *consumers* (who read marts: what they read changes
shape or meaning), *members* (who must be told: a purpose is wider, a recipient new, a period longer, a right or protection weaker), or nobody.
Where it cannot be decided whether a change is to a member's disadvantage, they are told. Wording, order and layout of the files are no change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass

from pipelines.foundation.dates import Period, compare_periods
from pipelines.policy.archive_diff import archive_changes
from pipelines.policy.changes import CONSUMERS, MEMBERS, PRODUCERS, Change
from pipelines.policy.contract_types import Column, Contract, Transform
from pipelines.policy.types import Policy, Purpose, Recipient, Resolving, RetentionRule, Rulebook, Source
from pipelines.policy.vocabulary import OWN

_VISIBILITY = ("nobody", "counterpart", "members", "public")
_EXPORT = ("none", "access_only", "portability")
_ERASURE = ("keep", "redact", "empty", "delete")
# how much of a value a transform leaves
REVEALS = {"presence": 0, "month": 1, "age_band": 1, "region": 1, "degree": 1, "route": 1, "device_class": 1, "browser": 2, "paris_day": 2,
           "moment": 3, "keyed_hash": 3, "device": 3, "pseudonym": 3, "keep": 4}


def compare_rules(old: Rulebook, new: Rulebook) -> list[Change]:
    """Every change from `old` to `new`: the policy's first, then dataset by dataset."""
    found = [*_policy(old.policy, new.policy)]
    held = {c.category for contract in old.contracts.values() for c in contract.columns}
    for name in _names(old.contracts, new.contracts):
        found += _dataset(name, old.contracts.get(name), new.contracts.get(name), new.policy, held)
    return found


# --- policy ---


def _policy(old: Policy, new: Policy) -> Iterator[Change]:
    if old.controller != new.controller:
        yield Change("policy: controller", "changed", old.controller.name, new.controller.name, (MEMBERS,))
    for name in _names(old.purposes, new.purposes):
        yield from _purpose(f"policy: purposes.{name}", old.purposes.get(name), new.purposes.get(name))
    for name in _names(old.recipients, new.recipients):
        yield from _recipient(f"policy: recipients.{name}", old.recipients.get(name), new.recipients.get(name))
    for name in _names(old.resolving, new.resolving):
        yield from _resolving(f"policy: resolving.{name}", old.resolving.get(name), new.resolving.get(name))
    for name in _names(old.retention, new.retention):
        one, other = old.retention.get(name), new.retention.get(name)
        if one and other and (verdict := _ends(one, other)) != "same":
            concerns = MEMBERS if verdict == "longer" else CONSUMERS
            yield Change(f"policy: retention.{name}", f"retention {verdict}", _told(one), _told(other), (concerns,))
        elif not (one and other):
            yield Change(f"policy: retention.{name}", "added" if other else "removed", _told(one), _told(other), ())
    for name in _names(old.consent_kinds, new.consent_kinds):
        kind, then = old.consent_kinds.get(name), new.consent_kinds.get(name)
        if not (kind and then):
            told = () if then else (PRODUCERS, CONSUMERS)
            yield Change(f"policy: consent_kinds.{name}", "added" if then else "removed", "", "", told)
            continue
        if kind.scope != then.scope:
            yield Change(f"policy: consent_kinds.{name}", "given by another", kind.scope, then.scope, (CONSUMERS, MEMBERS))
        if kind.ties_devices != then.ties_devices:
            yield Change(f"policy: consent_kinds.{name}", f"{'ties' if then.ties_devices else 'no longer ties'} devices to members", "", "",
                         (CONSUMERS, MEMBERS) if then.ties_devices else (CONSUMERS,))
        if kind.expires != then.expires:
            longer = then.expires is None or (kind.expires is not None and compare_periods([kind.expires], [then.expires]) == "longer")
            yield Change(f"policy: consent_kinds.{name}", f"lasts {'longer' if longer else 'shorter'}", _or(kind.expires, "withdrawal"),
                         _or(then.expires, "withdrawal"), (MEMBERS if longer else CONSUMERS,))
    yield from _set("policy: consent_methods.express", old.express_methods, new.express_methods, more=(MEMBERS,), less=(CONSUMERS,))
    yield from _set("policy: consent_methods.never_consent", old.never_consent, new.never_consent, more=(CONSUMERS,), less=(MEMBERS,))
    yield from _length("policy: quarantine", old.quarantine, new.quarantine)
    yield from _length("policy: late_consents", old.late_consents, new.late_consents)
    yield from _length("policy: extracts", old.extracts, new.extracts)
    yield from _length("policy: tool_logs", old.tool_logs, new.tool_logs)
    yield from _length("policy: backups", old.backups, new.backups)
    yield from _length("policy: tombstones", old.tombstones, new.tombstones)
    yield from archive_changes(old, new)
    if old.guard != new.guard:
        yield Change("policy: guard", "limit changed", f"{old.guard.percent:g} %, {old.guard.rows}", f"{new.guard.percent:g} %, {new.guard.rows}", ())
    if old.outbox_hours != new.outbox_hours:
        told = (MEMBERS,) if new.outbox_hours > old.outbox_hours else ()
        yield Change("policy: outbox", "hours changed", str(old.outbox_hours), str(new.outbox_hours), told)
    for name in _names(old.rights, new.rights):
        right, then_right = old.rights.get(name), new.rights.get(name)
        if right and then_right:
            yield from _length(f"policy: rights.{name}", right.deadline, then_right.deadline)
            if right.people != then_right.people:
                yield Change(f"policy: rights.{name}", "agreed by", str(right.people), str(then_right.people), ())
        else:
            yield Change(f"policy: rights.{name}", "added" if then_right else "removed", "", "", () if then_right else (MEMBERS,))
    for name in _names(old.roles, new.roles):
        yield from _set(f"policy: roles.{name}", old.roles.get(name, ()), new.roles.get(name, ()), more=(), less=())
    if old.version != new.version:
        yield Change("policy: versions", "in force", old.version, new.version, ())


def _purpose(where: str, old: Purpose | None, new: Purpose | None) -> Iterator[Change]:
    if not (old and new):
        yield Change(where, "purpose added" if new else "purpose removed", _listed(old.sources if old else ()), _listed(new.sources if new else ()),
                     (MEMBERS,) if new else (CONSUMERS,))
        return
    for category in _names(old.sources, new.sources):
        yield from _source(f"{where}.sources.{category}", old.sources.get(category), new.sources.get(category))
    yield from _set(f"{where}.marts", old.marts, new.marts, more=(), less=(CONSUMERS,))
    yield from _set(f"{where}.despite", old.despite, new.despite, more=(CONSUMERS, MEMBERS), less=(CONSUMERS,))
    if old.audience != new.audience:
        yield Change(f"{where}.audience", "read by another role", old.audience, new.audience, (CONSUMERS,))
    if old.published != new.published:
        yield Change(f"{where}.published", "published in another way", old.published, new.published, (CONSUMERS,))
    if old.identified != new.identified:
        yield Change(f"{where}.identified", "persons are named" if new.identified else "persons are no longer named", "", "",
                     (CONSUMERS, MEMBERS) if new.identified else (CONSUMERS,))


def _source(where: str, old: Source | None, new: Source | None) -> Iterator[Change]:
    if not (old and new):
        yield Change(where, "source added" if new else "source removed", _basis(old), _basis(new), (MEMBERS,) if new else (CONSUMERS,))
        return
    if (old.basis, old.kind, old.own) != (new.basis, new.kind, new.own):
        told = (CONSUMERS,) if new.basis == "consent" and old.basis != "consent" else (CONSUMERS, MEMBERS)
        yield Change(where, "basis changed", _basis(old), _basis(new), told)
    if old.visitors != new.visitors:
        yield Change(where, "visitors flow in" if new.visitors else "visitors flow in no longer", "", "",
                     (CONSUMERS, MEMBERS) if new.visitors else (CONSUMERS,))
    if old.rows != new.rows:
        narrower = bool(new.rows) and (not old.rows or _within(dict(new.rows), dict(old.rows)))
        yield Change(where, "narrower" if narrower else "wider", _rows(old), _rows(new), (CONSUMERS,) if narrower else (CONSUMERS, MEMBERS))


def _recipient(where: str, old: Recipient | None, new: Recipient | None) -> Iterator[Change]:
    if not (old and new):
        yield Change(where, "recipient added" if new else "recipient removed", _listed(old.receives if old else ()),
                     _listed(new.receives if new else ()), (MEMBERS,) if new else ())
        return
    yield from _set(f"{where}.receives", old.receives, new.receives, more=(MEMBERS,), less=())
    for word in ("kind", "ground", "country", "safeguard"):
        if getattr(old, word) != getattr(new, word):
            yield Change(f"{where}.{word}", "changed", getattr(old, word), getattr(new, word), (MEMBERS,))
    for word in ("document", "until"):
        if getattr(old, word) != getattr(new, word):
            yield Change(f"{where}.{word}", "changed", _or(getattr(old, word)), _or(getattr(new, word)), ())


def _resolving(where: str, old: Resolving | None, new: Resolving | None) -> Iterator[Change]:
    """Whoever may be found behind a pseudonym is told of each way that is new or leads elsewhere."""
    if not (old and new):
        yield Change(where, "pseudonyms are resolved" if new else "pseudonyms are resolved no longer", _listed(old.channels if old else ()),
                     _listed(new.channels if new else ()), (MEMBERS,) if new else (CONSUMERS,))
        return
    if old.mart != new.mart:
        yield Change(f"{where}.mart", "changed", _or(old.mart), _or(new.mart), (CONSUMERS, MEMBERS))
    yield from _set(f"{where}.channels", tuple(old.channels), tuple(new.channels), more=(MEMBERS,), less=(CONSUMERS,))
    for name in sorted(set(old.channels) & set(new.channels)):
        for word in ("kind", "address", "recipient"):
            before, after = getattr(old.channels[name], word), getattr(new.channels[name], word)
            if before != after:
                yield Change(f"{where}.channels.{name}.{word}", "changed", before, after, (MEMBERS,))


# --- datasets ---


def _dataset(name: str, old: Contract | None, new: Contract | None, policy: Policy, held: set[str]) -> Iterator[Change]:
    if not (old and new):
        there = new or old
        assert there is not None
        entered = any(there.entering(purpose) for purpose in policy.purposes)
        fresh = [c.category for c in there.columns if c.category not in held]
        personal = any(c.identifiability != "none" for c in there.columns)
        told = ((MEMBERS,) if fresh or entered or personal else ()) if new else (PRODUCERS, *((CONSUMERS,) if entered else ()))
        yield Change(name, "dataset added" if new else "dataset removed", "", ", ".join(sorted(set(fresh))) if new else "", told)
        return
    enters = any(old.entering(purpose) for purpose in policy.purposes)
    before, after = ({c.name: c for c in contract.columns} for contract in (old, new))
    categories = {c.category for c in old.columns}
    for column in _names(before, after):
        yield from _column(f"{name}.{column}", before.get(column), after.get(column), old, new, policy, categories)
    yield from _whole(name, old, new)
    yield from _retention(name, old, new, policy, (CONSUMERS,) if enters else ())


def _whole(name: str, old: Contract, new: Contract) -> Iterator[Change]:
    for word, told in (("format", (PRODUCERS,)), ("source", (PRODUCERS,)), ("key", (PRODUCERS,)),
                       ("latest_by", (PRODUCERS,)), ("clock", (CONSUMERS, MEMBERS)),
                       ("device", (CONSUMERS, MEMBERS)), ("sever_group", (MEMBERS,)), ("account", (CONSUMERS, MEMBERS)),
                       ("consent_register", (CONSUMERS, MEMBERS)), ("recipient", ())):
        if getattr(old, word) != getattr(new, word):
            yield Change(name, f"{word.replace('_', ' ')} changed", _or(getattr(old, word)), _or(getattr(new, word)), told)
    if old.erasure != new.erasure:
        yield Change(name, "erasure changed", old.erasure, new.erasure, (MEMBERS,) if new.erasure == "sever" else ())
    for word in ("basis", "kind", "by", "kinds", "origin"):
        if getattr(old.holding, word) != getattr(new.holding, word):
            yield Change(f"{name}: holding.{word}", "held for another reason", _or(getattr(old.holding, word)), _or(getattr(new.holding, word)),
                         (MEMBERS,))
    parts, then = ({s.column: s for s in contract.subjects} for contract in (old, new))
    for column in _names(parts, then):
        if parts.get(column) != then.get(column):
            what = "added" if column not in parts else "removed" if column not in then else "part or mark changed"
            yield Change(f"{name}: subjects.{column}", what, _or(parts.get(column)), _or(then.get(column)), (MEMBERS,) if column in parts else ())
    checks, now = ({r.name: r.expression for r in contract.row_rules} for contract in (old, new))
    for rule in _names(checks, now):
        if checks.get(rule) != now.get(rule):
            yield Change(f"{name}: rowRules.{rule}", "removed" if rule not in now else "stricter", "", "", (PRODUCERS,) if rule in now else ())
    if old.bad_rows != new.bad_rows:
        stricter = new.bad_rows.percent < old.bad_rows.percent or new.bad_rows.rows < old.bad_rows.rows
        yield Change(f"{name}: badRows", "stricter" if stricter else "looser", f"{old.bad_rows.percent:g} %, {old.bad_rows.rows}",
                     f"{new.bad_rows.percent:g} %, {new.bad_rows.rows}", (PRODUCERS,) if stricter else ())
    if old.volume != new.volume:
        stricter = new.volume[0] > old.volume[0] or new.volume[1] < old.volume[1]
        yield Change(f"{name}: volume", "stricter" if stricter else "looser", "{} to {}".format(*old.volume), "{} to {}".format(*new.volume),
                     (PRODUCERS,) if stricter else ())
    if old.every != new.every:
        sooner = compare_periods([old.every], [new.every]) == "shorter"
        yield Change(f"{name}: frequency", "due more often" if sooner else "due less often", str(old.every), str(new.every),
                     (PRODUCERS,) if sooner else (CONSUMERS,))


def _retention(name: str, old: Contract, new: Contract, policy: Policy, shorter: tuple[str, ...]) -> Iterator[Change]:
    """Rules of the rows: of several the earliest ends them, so one more is shorter and one less is longer."""
    before, after = ({e.rule: e.visitors_only for e in contract.retention} for contract in (old, new))
    gone, come = [r for r in before if r not in after], [r for r in after if r not in before]
    if len(gone) == len(come) == 1 and gone[0] in policy.retention and before[gone[0]] == after[come[0]]:
        verdict = _ends(policy.retention[gone[0]], policy.retention[come[0]])
        if verdict != "same":
            yield Change(name, f"retention {verdict}", gone[0], come[0], (MEMBERS,) if verdict == "longer" else shorter)
    else:
        yield from (Change(name, "retention longer", rule, "", (MEMBERS,)) for rule in gone)
        yield from (Change(name, "retention shorter", "", rule, shorter) for rule in come)
    for rule in before:
        if rule in after and before[rule] != after[rule]:
            longer = after[rule]
            yield Change(name, f"retention {'longer' if longer else 'shorter'}", f"{rule} {'for visitors' if before[rule] else 'for all rows'}",
                         f"{rule} {'for visitors' if after[rule] else 'for all rows'}", (MEMBERS,) if longer else shorter)


def _column(where: str, old: Column | None, new: Column | None, was: Contract, now: Contract, policy: Policy,
            categories: set[str]) -> Iterator[Change]:
    if not (old and new):
        there = new or old
        assert there is not None
        entered = bool(there.transforms)
        if new:
            told = (*((PRODUCERS,) if new.required else ()), *((MEMBERS,) if entered or new.category not in categories else ()))
            yield Change(where, "required column added" if new.required else "column added", "", new.type, told)
        else:
            yield Change(where, "column removed", there.type, "", (PRODUCERS, *((CONSUMERS,) if entered else ())))
        return
    kept = [t for t in old.transforms.values() if t.use == "keep"]
    if old.type != new.type:
        yield Change(where, "type changed", old.type, new.type, (PRODUCERS, *((CONSUMERS,) if old.transforms else ())))
    yield from _requirements(where, old, new, (CONSUMERS,) if kept else ())
    if old.category != new.category:
        yield Change(where, "category changed", old.category, new.category, (MEMBERS,))
    if old.identifiability != new.identifiability:
        yield Change(where, "identifiability changed", old.identifiability, new.identifiability, ())
    yield from _rank(where, "visibility", old.visibility, new.visibility, _VISIBILITY, higher=(MEMBERS,), lower=())
    yield from _rank(where, "export", old.export.kind, new.export.kind, _EXPORT, higher=(), lower=(MEMBERS,))
    if was.erasure == now.erasure:  # else it is told of the dataset as a whole
        yield from _rank(where, "erasure", old.erasure, new.erasure, _ERASURE, higher=(), lower=(MEMBERS,))
    if old.identifies != new.identifies:
        yield Change(where, "identifies something else", _or(old.identifies), _or(new.identifies), (MEMBERS,) if old.identifies else ())
    if old.retention != new.retention:
        one, other = policy.retention.get(old.retention or ""), policy.retention.get(new.retention or "")
        verdict = "longer" if other is None else "shorter" if old.retention is None else _ends(one, other) if one else "longer"
        if verdict != "same":
            shorter = (CONSUMERS,) if old.transforms else ()
            yield Change(where, f"retention {verdict}", _or(old.retention, "the row's"), _or(new.retention, "the row's"),
                         (MEMBERS,) if verdict == "longer" else shorter)
    if old.door != new.door:
        finer = new.door.only_while is None and old.door.only_while is not None
        finer = finer or (old.door.round is not None and (new.door.round is None or new.door.round > old.door.round))
        yield Change(where, "more is kept at the door" if finer else "less is kept at the door", _or(old.door.round), _or(new.door.round),
                     (MEMBERS,) if finer else (CONSUMERS,))
    for purpose in _names(old.transforms, new.transforms):
        yield from _transform(f"{where} → {purpose}", old.transforms.get(purpose), new.transforms.get(purpose))


def _requirements(where: str, old: Column, new: Column, loosened: tuple[str, ...]) -> Iterator[Change]:
    """What a value must be like; `loosened`: whom it concerns if more may come than before."""
    limits: tuple[tuple[str, Callable[[Column], object], Callable[[object, object], bool]], ...] = (
        ("required", lambda c: c.required, lambda one, other: bool(other)),
        ("at least", lambda c: c.minimum, _raised), ("minLength", lambda c: c.min_length, _raised),
        ("at most", lambda c: c.maximum, lambda one, other: _raised(_minus(one), _minus(other))),
        ("maxLength", lambda c: c.max_length, lambda one, other: _raised(_minus(one), _minus(other))),
        ("pattern", lambda c: c.pattern, lambda one, other: other is not None),
        ("format", lambda c: c.form, lambda one, other: other is not None),
        ("values", lambda c: frozenset(c.allowed) or None, lambda one, other: bool(_beyond(one, other)) or one is None),
    )
    for word, of, stricter in limits:
        one, other = of(old), of(new)
        if one != other:
            tightened = stricter(one, other)
            wider = word == "values" and bool(_beyond(other, one))
            told = (*((PRODUCERS,) if tightened else ()), *(loosened if not tightened or wider else ()))
            yield Change(where, f"{word}: {'stricter' if tightened else 'looser'}", _limit(one), _limit(other), told)


def _transform(where: str, old: Transform | None, new: Transform | None) -> Iterator[Change]:
    if not (old and new):
        yield Change(where, "flows in" if new else "flows in no longer", old.use if old else "", new.use if new else "",
                     (MEMBERS,) if new else (CONSUMERS,))
        return
    if old != new:
        more = REVEALS[new.use] > REVEALS[old.use] or bool(set(new.values) - set(old.values))
        yield Change(where, "transform changed", f"{old.use} as {old.output}", f"{new.use} as {new.output}",
                     (CONSUMERS, *((MEMBERS,) if more else ())))


# --- small words ---


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _set(where: str, old: Sequence[str], new: Sequence[str], more: tuple[str, ...], less: tuple[str, ...]) -> Iterator[Change]:
    yield from (Change(where, "added", "", word, more) for word in new if word not in old)
    yield from (Change(where, "removed", word, "", less) for word in old if word not in new)


def _length(where: str, old: Period, new: Period) -> Iterator[Change]:
    verdict = compare_periods([old], [new])
    if verdict != "same":
        yield Change(where, verdict, str(old), str(new), (MEMBERS,) if verdict == "longer" else ())


def _rank(where: str, what: str, old: str, new: str, order: Sequence[str], higher: tuple[str, ...], lower: tuple[str, ...]) -> Iterator[Change]:
    if old != new:
        known = old in order and new in order
        up = known and order.index(new) > order.index(old)
        yield Change(where, f"{what} changed", old, new, (higher if up else lower) if known else (MEMBERS,))


def _ends(old: RetentionRule, new: RetentionRule) -> str:
    """Whether what follows the rule ends at the same time, earlier or (in any case) later. Two clocks cannot be compared: members are told."""
    if old.clock != new.clock:
        return "longer"
    pairs = ((old.periods, new.periods), (old.after_deletion, new.after_deletion), (old.after_last_activity, new.after_last_activity))
    verdicts = {compare_periods(one, other) for one, other in pairs}
    return "longer" if "longer" in verdicts else "shorter" if "shorter" in verdicts else "same"


def _told(rule: RetentionRule | None) -> str:
    return "" if rule is None else " / ".join(" + ".join(map(str, p)) for p in (rule.periods, rule.after_deletion, rule.after_last_activity) if p)


def _within(new: Mapping[str, Sequence[str]], old: Mapping[str, Sequence[str]]) -> bool:
    """Every row that `new` lets in, `old` did."""
    return all(column in new and set(new[column]) <= set(values) for column, values in old.items())


def _basis(source: Source | None) -> str:
    return "" if source is None else source.basis + (f" {source.kind or OWN}" if source.kinds else "")


def _rows(source: Source) -> str:
    return "; ".join(f"{column}: {', '.join(values)}" for column, values in source.rows) or "all rows"


def _raised(old: object, new: object) -> bool:
    return new is not None and (old is None or float(str(new)) > float(str(old)))


def _minus(value: object) -> object:
    return None if value is None else -float(str(value))


def _beyond(some: object, others: object) -> set[str]:
    """Of listed values those that the others do not list; where nothing is listed, everything is allowed."""
    return set(some) - set(others) if isinstance(some, frozenset) and isinstance(others, frozenset) else set()


def _limit(value: object) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else _or(value)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _or(value: object, otherwise: str = "none") -> str:
    if value is None:
        return otherwise
    if is_dataclass(value) and not isinstance(value, Period):
        return ", ".join(f"{f.name} {getattr(value, f.name)}" for f in fields(value) if getattr(value, f.name))
    if isinstance(value, Mapping):
        return "; ".join(f"{word}: {said}" for word, said in value.items()) or otherwise
    return ", ".join(value) if isinstance(value, tuple) else str(value)
