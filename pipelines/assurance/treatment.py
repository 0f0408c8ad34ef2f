"""Rows beyond the limits of risk are generalised or suppressed, in the build and before anything is published (C-3.3b).

A value that is not shown becomes `*`. Values are taken from the last column first, so the first columns of a mart are shown longest, and only from
rows whose class is beyond a limit; then each value that the limits allow is shown again. A row goes only where no `*` can help: if its fixed
columns (a day cannot be a star) leave it in too small a company.

Whoever knows how this works learns nothing from a star. It is decided per combination of values, never per row: equal rows are treated
equally, so a person whose true values somebody knows is one of all the persons of exactly one published class, and each class keeps the limits, the
class of stars too. In a table with several rows per person a column that is the same in all of them is treated per person: else a value
hidden in one row would stand in another. Nothing depends on the order of rows or on chance: the same table gives the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.assurance.classes import ENDS_ON, Profile, refuse_missing, types_of
from pipelines.assurance.generalise import Generalisation
from pipelines.assurance.risk import Risk, measure
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import Refused
from pipelines.policy.types import RiskLimits

ROUNDS = 6  # removed rows change the whole table's distribution, so what is left may need another round, each a little stricter
STRICTER = 0.95
TREATABLE = ("VARCHAR", "DATE")


@dataclass(frozen=True)
class Treated:
    """What became of a table: cells made `*` per column, rows taken out, and the risk measured before and afterwards."""

    before: Risk
    after: Risk
    generalised: dict[str, int]
    suppressed: int

    def then(self, hidden: Mapping[str, int], again: Treated) -> Treated:
        """Both treatments as one, and between them the cells `hidden` per column."""
        counts = [self.generalised, hidden, again.generalised]
        names = dict.fromkeys(name for count in counts for name in count)
        return Treated(self.before, again.after, {name: sum(count.get(name, 0) for count in counts) for name in names},
                       self.suppressed + again.suppressed)


def treat(connection: Connection, profile: Profile, limits: RiskLimits, shared: Sequence[Sequence[str]] = (), identified: bool = False) -> Treated:
    """Treat `profile.place` in place until it keeps `limits`; refused if it cannot be made to. `shared`: per other purpose the columns that its
    marts may have, too; a class over those has at least `limits.shared_class` persons. A mart that names persons by policy (`identified`) is
    measured and stays as it is."""
    profile = replace(profile, quasi=_published(profile.quasi), sensitive=_published(profile.sensitive))
    types = types_of(connection, profile.place)
    rules = _rules(profile, types, limits, shared, identified)
    for rule in rules:
        refuse_missing(connection, rule.profile)
    if rules:
        _refuse_untreatable(profile, types)
    before = after = measure(connection, profile)
    generalised: dict[str, int] = {}
    suppressed, tightened = 0, limits.t
    for _ in range(ROUNDS):
        beyond = [words for rule in rules for words in measure(connection, rule.profile).beyond(rule.limits)]
        if not beyond:
            return Treated(before, after, generalised, suppressed)
        for rule in rules:
            for stage in _stages(connection, rule, types):
                made = stage.run(replace(rule.limits, t=tightened))
                suppressed += made.suppressed
                for name, count in made.generalised.items():
                    generalised[name] = generalised.get(name, 0) + count
        after, tightened = measure(connection, profile), tightened * STRICTER
    raise Refused(f"{profile.table} is still beyond the limits of risk after it was treated: {'; '.join(beyond)}. Show less in the model: wider "
                  "bands, or fewer columns that tell persons apart.", "C-3.3b")


@dataclass(frozen=True)
class _Rule:
    """Columns, the limits that classes over them keep, and which of them may be hidden for that; `rare` as in a stage."""

    profile: Profile
    limits: RiskLimits
    hidden: tuple[str, ...]
    rare: Mapping[str, int] = field(default_factory=dict)


def _rules(profile: Profile, types: Mapping[str, str], limits: RiskLimits, shared: Sequence[Sequence[str]], identified: bool) -> list[_Rule]:
    """The mart's own rule first, then one per other purpose. Which quasi-identifiers of a person are stars may not depend on their sensitive values:
    so the second kind hides none, and the first one leaves classes in which something can be shown afterwards."""
    if identified:
        return []
    others = [words for columns in dict.fromkeys(map(_published, shared))
              if (words := tuple(name for name in types if name in columns and types[name] in TREATABLE))]
    rules = [_Rule(replace(profile, quasi=words, sensitive=()), replace(limits, k=limits.shared_class),
                   tuple(w for w in words if w not in profile.quasi))
             for words in others]
    rare = {name: limits.shared_class for name in profile.sensitive if any(name in words for words in others)}
    own = replace(limits, k=max(limits.k, limits.shared_class)) if others else limits
    return [_Rule(profile, own, profile.quasi, rare), *rules]


def _published(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in columns if name != ENDS_ON)


def _refuse_untreatable(profile: Profile, types: dict[str, str]) -> None:
    wrong = [name for name in profile.quasi if types[name] not in TREATABLE]
    if wrong:
        raise Refused(f"{profile.table}: {', '.join(wrong)} can tell persons apart, and {types[wrong[0]]} has no value for 'not shown'. Write bands "
                      "in words (VARCHAR) in the model, or leave it out.", "C-3.3b")


def _stages(connection: Connection, rule: _Rule, types: dict[str, str]) -> list[Generalisation]:
    """One row per person: one stage. Several: first what is the same in all rows of a person, per person; then the rest, within that."""
    profile = rule.profile
    texts = [name for name in profile.quasi if types[name] == "VARCHAR" and name in rule.hidden]
    fixed = [name for name in profile.quasi if name not in texts]
    if not profile.who or _one_row_each(connection, profile):
        return [Generalisation(connection, profile, texts, fixed, types, rare=rule.rare)]
    constant = _constant(connection, profile, texts)
    varying = [name for name in texts if name not in constant]
    still = _constant(connection, profile, fixed)
    days = [name for name in fixed if name not in still]
    return [Generalisation(connection, profile, constant, still, types, per_person=True, days=days, rare=rule.rare),
            Generalisation(connection, profile, varying, [*constant, *fixed], types, shared=True, rare=rule.rare)]


def _one_row_each(connection: Connection, profile: Profile) -> bool:
    row = connection.execute(f"select count(distinct {profile.who}) = count(*) from {profile.place}").fetchone()
    return bool(row and row[0])


def _constant(connection: Connection, profile: Profile, texts: list[str]) -> list[str]:
    """The columns that have one value in all rows of a person."""
    if not texts:
        return []
    tests = ", ".join(f"bool_and(low_{i} = high_{i})" for i in range(len(texts)))
    ends = ", ".join(f"min({quote_name(name)}) as low_{i}, max({quote_name(name)}) as high_{i}" for i, name in enumerate(texts))
    row = connection.execute(f"select {tests} from (select {ends} from {profile.place} group by {profile.who})").fetchone()
    return [name for name, same in zip(texts, row or (), strict=True) if same]
