"""Lineage against the rules: every contract column that a mart column comes from or depends on may be used for that purpose (C-3.3a).

Deny by default: its category stands in the purpose matrix of the policy and its contract names a transform for the purpose. Conditions are judged
as values are: a filter on a forbidden column tells it, and so does a join.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pipelines.assurance.lineage import Lineage, MartColumn, contract_column
from pipelines.assurance.lineage_trace import RULE, Leaf
from pipelines.foundation.errors import Refused
from pipelines.policy.floors import ONLY
from pipelines.policy.types import Purpose, Rulebook

# how a direct identifier may enter a purpose that is not identified: as a key of its domain, or as no more than that it is there
VEILED = ("pseudonym", "keyed_hash", "device", "presence", "count")
VEILED_TEXT = ("route", "presence", "count", "length")  # and a text that somebody wrote


@dataclass(frozen=True)
class Judged:
    """One mart column: where it comes from, in words, and what is wrong with it (nothing: it may be)."""

    mart: str
    column: str
    origin: str
    wrong: tuple[str, ...]


def judge(lineage: Lineage, rulebook: Rulebook, purpose: str) -> list[Judged]:
    """One row per mart column, with every objection."""
    return [Judged(mart, name, _origin(column, rulebook, purpose), tuple(_objections(column, rulebook, rulebook.policy.purposes[purpose])))
            for mart, columns in lineage.items() for name, column in columns.items()]


def refuse_forbidden(lineage: Lineage, rulebook: Rulebook, purpose: str) -> None:
    """Refuse once, naming each mart column and what it may not come from."""
    wrong = [objection for found in judge(lineage, rulebook, purpose) for objection in found.wrong]
    if wrong:
        raise Refused(f"Lineage of '{purpose}': {'; '.join(dict.fromkeys(wrong))}. Take it out of the model, or have the policy "
                      f"(purposes.{purpose}.sources) and the contract (transforms) name it.", RULE)


def _objections(column: MartColumn, rulebook: Rulebook, purpose: Purpose) -> Iterable[str]:
    for leaf in sorted(column.values | column.conditions):
        how = "is computed from" if leaf in column.values else "depends on"
        for reason in _reasons(leaf, rulebook, purpose):
            yield f"{column.mart}.{column.name} {how} {leaf.dataset}.{leaf.column}, {reason}"


def _reasons(leaf: Leaf, rulebook: Rulebook, purpose: Purpose) -> Iterable[str]:
    column, category = contract_column(rulebook, leaf), category_of(leaf, rulebook, purpose.name)
    made = column.transforms.get(purpose.name)
    technical = rulebook.contract(leaf.dataset).clock == leaf.column
    if category not in purpose.sources:
        yield f"of category {category}, which purpose {purpose.name} does not name"
    elif (only := ONLY.get(category)) and purpose.name not in only.purposes:  # whatever the purpose matrix says
        yield f"of category {category}, which flows into {only.told} ({only.clause})"
    if made is None:
        if not technical:
            yield f"for which its contract names no transform in purpose {purpose.name}"
        return
    if purpose.identified:
        return
    if column.identifiability == "direct" and made.use not in VEILED:
        yield f"a direct identifier that enters by {made.use}"
    if column.identifiability == "free_text" and made.use not in VEILED_TEXT:
        yield f"a free text that enters by {made.use}"


def category_of(leaf: Leaf, rulebook: Rulebook, purpose: str) -> str:
    """The category of what the purpose is given: the column's, or that of what the transform leaves of it (C-2.3b: the region of a postcode)."""
    column = contract_column(rulebook, leaf)
    made = column.transforms.get(purpose)
    return made.category if made else column.category


def _origin(column: MartColumn, rulebook: Rulebook, purpose: str) -> str:
    values = ", ".join(_told(leaf, rulebook, purpose) for leaf in sorted(column.values))
    others = sorted({(leaf.dataset, leaf.column) for leaf in column.conditions - column.values})
    besides = [f"{dataset} ({', '.join(name for _, name in names)})" for dataset, names in groupby(others, key=lambda one: one[0])]
    what = f"{'counted from' if column.counted else 'from'} {values}" if values else "counts rows" if column.counted else "literals"
    return what + (f"; depends on {', '.join(besides)}" if besides else "")


def _told(leaf: Leaf, rulebook: Rulebook, purpose: str) -> str:
    """Column, transform, category and basis."""
    made = contract_column(rulebook, leaf).transforms.get(purpose)
    category = category_of(leaf, rulebook, purpose)
    source = rulebook.policy.purposes[purpose].sources.get(category)
    basis = "no basis" if source is None else f"consent {source.kind}" if source.kind else source.basis.replace("_", " ")
    return f"{leaf.dataset}.{leaf.column} ({made.use if made and made.output == leaf.output else leaf.output}, {category}: {basis})"
