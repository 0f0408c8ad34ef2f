"""Column-level lineage of a purpose's marts: from which contract columns each value comes, and on which it depends (C-3.3a).

Read from the SQL that dbt compiled and ran, so that no macro can hide anything. For each mart column there are two sets: `values`, what its
value is computed from, and `conditions`, everything on the way that decides which rows and values there are: filters, join keys, groups,
windows, cases. What cannot be followed is refused, never guessed (lineage_sql.py says what); whether what was found may be is decided in
lineage_check.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.assurance.lineage_models import TELLS_APART, Models
from pipelines.assurance.lineage_trace import Leaf, Trace
from pipelines.policy.contract_types import Column
from pipelines.policy.types import Rulebook

__all__ = ["Identifying", "Leaf", "Lineage", "MartColumn", "identifying", "trace"]


@dataclass(frozen=True)
class MartColumn:
    """One column of a mart.

    `counted`: its value is a number of rows or of distinct values, so it shows none of what it was counted from. `shown` is the part of `values`
    that it shows as it is or as a function of it; `told` that of which a reader of the value learns something: what is shown, tested or counted
    by its different values, and the conditions by which the value was chosen (of a case, of a filter that not every row of the mart passed, the
    key by which it was looked up).
    """

    mart: str
    name: str
    values: frozenset[Leaf]
    conditions: frozenset[Leaf]
    counted: bool
    shown: frozenset[Leaf] = frozenset()
    told: frozenset[Leaf] = frozenset()


Lineage = Mapping[str, Mapping[str, MartColumn]]  # mart → its columns, in their order


@dataclass(frozen=True)
class Identifying:
    """What a mart's columns tell of a person, each in the mart's order: columns that tell persons apart, quasi-identifiers, sensitive ones."""

    person: tuple[str, ...]
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]


def trace(manifest: Mapping[str, Any], rulebook: Rulebook, purpose: str) -> Lineage:
    """The lineage of every mart of `purpose`, from the manifest that a build (or a compilation) left; refused where it cannot be followed."""
    models = Models(manifest, rulebook, purpose)
    return {mart: {name: _column(mart, name, found) for name, found in models.mart(mart).items()} for mart in models.marts()}


def identifying(lineage: Lineage, rulebook: Rulebook, purpose: str, mart: str) -> Identifying:
    """What the columns of `mart` tell of a person, by what their values come from (`identifiability` in the contracts).

    A column that shows a pseudonym (or a direct identifier kept in an identified purpose) is a person column; a number counted from it, or a
    test of whether it is there, is not. A column is quasi or sensitive if its value is built from, or told apart by, a column of that kind:
    bands, cases and look-ups follow. `count(*)` and the plain count of a column that is never empty are neither, because they say how many
    rows there are and nothing of what stands in them; `count(distinct …)` follows the column. A column of both kinds is sensitive.
    """
    person, quasi, sensitive = [], [], []
    for column in lineage[mart].values():
        kinds = {contract_column(rulebook, leaf).identifiability for leaf in column.told}
        if any(_tells_apart(rulebook, purpose, leaf) for leaf in column.shown):
            person.append(column.name)
        elif "sensitive" in kinds:
            sensitive.append(column.name)
        elif "quasi" in kinds:
            quasi.append(column.name)
    return Identifying(tuple(person), tuple(quasi), tuple(sensitive))


def contract_column(rulebook: Rulebook, leaf: Leaf) -> Column:
    return rulebook.contract(leaf.dataset).column(leaf.column)


def _tells_apart(rulebook: Rulebook, purpose: str, leaf: Leaf) -> bool:
    column = contract_column(rulebook, leaf)
    made = column.transforms.get(purpose)
    return made is not None and (made.use in TELLS_APART or (made.use == "keep" and column.identifiability == "direct"))


def _column(mart: str, name: str, found: Trace) -> MartColumn:
    return MartColumn(mart, name, found.values, found.conditions, found.number and not found.shown, found.shown, found.told)
