"""What each mart exposes, by lineage: who its rows are about, which columns could tell persons apart, and which another purpose has, too (C-3.3b).

It is written down with each build's measurements, so that what is published can be measured again, and compared with another purpose's build,
without the SQL that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.assurance.classes import ENDS_ON, Profile
from pipelines.assurance.lineage import Leaf, Lineage, MartColumn, identifying
from pipelines.assurance.linkage import Column, Side
from pipelines.engines.duckdb_engine import quote_name
from pipelines.policy.types import Rulebook


@dataclass(frozen=True)
class Exposed:
    """One mart. `member` is the column with the members' pseudonyms (None: it has none); without any person column it is an aggregate. `shared`: per
    other purpose the columns built from what flows into that one, too."""

    purpose: str
    table: str
    member: str | None
    person: tuple[str, ...]
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]
    built: Mapping[str, tuple[str, ...]]  # column → contract columns of its values
    counted: Mapping[str, tuple[str, ...]]  # column that is a number of rows → the datasets of these
    shared: Mapping[str, tuple[str, ...]]

    def profile(self, alias: str) -> Profile:
        return Profile(f"{alias}.main.{quote_name(self.table)}", self.table, self.person, self.quasi, self.sensitive)

    def side(self, alias: str, types: Mapping[str, str], identified: bool) -> Side | None:
        """The mart as an attacker sees it, one row or several per member; None without members."""
        if self.member is None:
            return None
        columns = tuple(Column(name, kind, frozenset(self.built.get(name, ())), frozenset(self.counted.get(name, ())))
                        for name, kind in types.items() if name not in self.person)
        return Side(self.purpose, self.table, self.profile(alias).place, (self.member,), columns, identified)

    def as_dict(self) -> dict[str, Any]:
        return {"table": self.table, "member": self.member, "person": list(self.person), "quasi_identifiers": list(self.quasi),
                "sensitive": list(self.sensitive), "built": {k: list(v) for k, v in self.built.items()},
                "counted": {k: list(v) for k, v in self.counted.items()}, "shared": {k: list(v) for k, v in self.shared.items()}}


def from_dict(purpose: str, facts: Mapping[str, Any]) -> Exposed:
    """What `as_dict` wrote down."""
    def listed(name: str) -> dict[str, tuple[str, ...]]:
        return {key: tuple(values) for key, values in facts[name].items()}

    return Exposed(purpose, facts["table"], facts["member"], tuple(facts["person"]), tuple(facts["quasi_identifiers"]), tuple(facts["sensitive"]),
                   listed("built"), listed("counted"), listed("shared"))


def exposed(lineage: Lineage, rulebook: Rulebook, purpose: str, mart: str) -> Exposed:
    """What `mart` exposes, as the lineage of its columns says."""
    found = identifying(lineage, rulebook, purpose, mart)
    columns = {name: column for name, column in lineage[mart].items() if name not in (*found.person, ENDS_ON)}
    member = next((name for name in found.person if _is_member(lineage[mart][name], rulebook, purpose)), None)
    others = [name for name in rulebook.policy.built if name != purpose]
    built = {name: _built(column, rulebook) for name, column in columns.items()}
    shared = {other: tuple(name for name, origins in built.items() if any(other in rulebook.contract(d).column(c).transforms for d, c in origins))
              for other in others}
    return Exposed(
        purpose, mart, member, _first(member, found.person), *(tuple(n for n in names if n != ENDS_ON) for names in (found.quasi, found.sensitive)),
        {name: tuple(f"{dataset}.{column}" for dataset, column in origins) for name, origins in built.items()},
        {name: tuple(sorted({leaf.dataset for leaf in column.values | column.conditions})) for name, column in columns.items() if column.counted},
        {other: names for other, names in shared.items() if names})


def _built(column: MartColumn, rulebook: Rulebook) -> list[tuple[str, str]]:
    """The contract columns that the values are: those that it shows, or the one that it is a band of. A number of rows is none of them, and neither
    is a verdict on several (a segment, a score)."""
    shown = _facts(column.shown, rulebook)
    banded = _facts(column.told, rulebook)
    return [] if column.counted else shown or (banded if len(banded) == 1 else [])


def _facts(leaves: Iterable[Leaf], rulebook: Rulebook) -> list[tuple[str, str]]:
    """(dataset, column) of each leaf that is not the person itself."""
    return sorted({(leaf.dataset, leaf.column) for leaf in leaves if leaf.column not in rulebook.contract(leaf.dataset).person_columns})


def _is_member(column: MartColumn, rulebook: Rulebook, purpose: str) -> bool:
    made = [rulebook.contract(leaf.dataset).column(leaf.column).transforms.get(purpose) for leaf in column.shown]
    return any(transform is not None and transform.use == "pseudonym" for transform in made)


def _first(member: str | None, person: tuple[str, ...]) -> tuple[str, ...]:
    return person if member is None else (member, *(name for name in person if name != member))
