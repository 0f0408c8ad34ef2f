"""The models of one purpose as dbt compiled them, each with its relation; everything else that a build could do is refused.

What may feed a mart are tables of the purpose's own zone, models in the purpose's own folder, and seeds (a file of rules that holds no contract
column). Compiled SQL alone would not be enough: a hook, a query of a macro or a macro put in the place of one of dbt's own changes what the SQL
does, so none of them may be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp

from pipelines.assurance.lineage_acts import ZONE, refuse_acts, relation
from pipelines.assurance.lineage_sql import QueryReader
from pipelines.assurance.lineage_trace import RULE, Leaf, Place, Relation, Trace
from pipelines.assurance.lineage_witness import Witness
from pipelines.foundation.errors import Refused
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation.zone import zone_columns

TELLS_APART = ("pseudonym", "keyed_hash", "device")  # transforms whose output tells one person or device from another
MATERIALIZED = ("table", "view", "ephemeral")


class Models:
    """The lineage of each model is made when it is asked for, once."""

    def __init__(self, manifest: Mapping[str, Any], rulebook: Rulebook, purpose: str) -> None:
        self.rulebook, self.purpose = rulebook, purpose
        self._zone = {c.name: c for c in rulebook.entering(purpose)}
        self._nodes, self._seeds, self._by_name = {}, {}, {}
        inside = f"models/{purpose}/"
        for node in manifest["nodes"].values():
            if node["resource_type"] == "model" and node["original_file_path"].startswith(inside):
                self._nodes[relation(node)] = node
                self._by_name[node["name"]] = relation(node)
            elif node["resource_type"] == "seed" and node["original_file_path"].startswith(f"seeds/{purpose}/"):
                self._seeds[relation(node)] = node
        refuse_acts(manifest)
        self._witness = Witness()
        self._made: dict[tuple[str, str, str], Relation] = {}
        self._open: list[tuple[str, str, str]] = []

    def marts(self) -> tuple[str, ...]:
        """The policy's marts of the purpose, and whatever else stands in its folder of marts."""
        folder = f"models/{self.purpose}/marts/"
        found = [name for name, key in self._by_name.items() if self._nodes[key]["original_file_path"].startswith(folder)]
        return tuple(dict.fromkeys((*self.rulebook.policy.purposes[self.purpose].marts, *sorted(found))))

    def mart(self, name: str) -> Mapping[str, Trace]:
        """The columns of one mart, which are those that its contract in YAML declares, in their order."""
        if name not in self._by_name:
            raise Refused(f"Mart '{name}' of '{self.purpose}' has no model that was compiled, so its lineage cannot be proved.", RULE)
        node, found = self._nodes[self._by_name[name]], self._model(self._by_name[name]).columns
        declared = [column.lower() for column in node.get("columns") or {}]
        if declared and sorted(declared) != sorted(found):
            raise Refused(f"{node['original_file_path']}: its lineage has other columns than its YAML declares "
                          f"({', '.join(sorted(set(declared) ^ set(found)))}).", RULE)
        return {column: found[column] for column in declared or found}

    def _lookup(self, catalog: str, schema: str, name: str) -> Relation | None:
        if (catalog, schema) == ZONE:
            return self._dataset(self._zone[name]) if name in self._zone else None
        key = (catalog, schema, name)
        if key in self._seeds:
            return Relation({column.lower(): Trace() for column in self._seed_columns(self._seeds[key])})
        return self._model(key) if key in self._nodes else None

    def _dataset(self, contract: Contract) -> Relation:
        """A table of the zone. Its rows stand by whose they are; a column that the platform adds stands for the clock that it was counted from."""
        entering = contract.entering(self.purpose)
        keys = frozenset(Leaf(contract.name, column.name, t.output) for column, t in entering if t.use in TELLS_APART)
        clock = contract.clock or (contract.account.last_activity if contract.account else next(iter(contract.person_columns)))
        leaves: dict[str, set[Leaf]] = {}
        for column, t in entering:
            leaves.setdefault(t.output.lower(), set()).add(Leaf(contract.name, column.name, t.output))
        for name in zone_columns(contract, self.purpose):
            leaves.setdefault(name.lower(), {Leaf(contract.name, clock, name)})
        return Relation({name: Trace(shown=frozenset(found), conditions=keys, bare=self._never_empty(contract, found))
                         for name, found in leaves.items()}, keys)

    def _never_empty(self, contract: Contract, found: set[Leaf]) -> bool:
        columns = [contract.column(leaf.column) for leaf in found]
        return all(column.required and (not column.retention or column.name == contract.clock) for column in columns)

    def _model(self, key: tuple[str, str, str]) -> Relation:
        if key in self._made:
            return self._made[key]
        node = self._nodes[key]
        place = Place(node["original_file_path"])
        if key in self._open:
            raise place.refuse("it reads from itself", "Write the steps one after another.")
        self._refuse_kind(node, place)
        self._open.append(key)
        sql = node["compiled_code"]
        query = _parsed(place, sql)
        self._witness.confirm(place, sql, query)
        self._made[key] = QueryReader(place, self._lookup, self._is_person, self._is_key, self._is_clock).read(query)
        self._open.remove(key)
        return self._made[key]

    def _is_person(self, leaf: Leaf) -> bool:
        """A member's pseudonym."""
        return self._made_by(leaf) == "pseudonym"

    def _is_key(self, leaf: Leaf) -> bool:
        """Tells one person or device from another."""
        return self._made_by(leaf) in TELLS_APART

    def _made_by(self, leaf: Leaf) -> str | None:
        """The transform that made what stands under this name in the zone."""
        t = self.rulebook.contract(leaf.dataset).column(leaf.column).transforms.get(self.purpose)
        return t.use if t is not None and t.output == leaf.output else None

    def _is_clock(self, leaf: Leaf) -> bool:
        return leaf.column == self.rulebook.contract(leaf.dataset).clock

    def _refuse_kind(self, node: Mapping[str, Any], place: Place) -> None:
        config = node.get("config") or {}
        if node.get("language", "sql") != "sql":
            raise place.refuse("it is written in Python", "Write it in SQL.")
        if config.get("materialized") not in MATERIALIZED:
            raise place.refuse(f"it is materialised as {config.get('materialized')}", f"Use {', '.join(MATERIALIZED)}.")
        if not node.get("compiled_code"):
            raise place.refuse("it was not compiled", "Run: kampeky build, or kampeky verify lineage")

    def _seed_columns(self, seed: Mapping[str, Any]) -> list[str]:
        """What its YAML declares: a build that finds other columns in the file fails by itself."""
        columns = list(seed.get("columns") or {})
        if not columns:
            raise Place(seed["original_file_path"]).refuse("its YAML names no columns", "Declare each column in the YAML beside it.")
        return columns


def _parsed(place: Place, sql: str) -> exp.Expr:
    try:
        found = [statement for statement in sqlglot.parse(sql, dialect="duckdb") if statement is not None]
    except sqlglot.errors.SqlglotError:
        raise place.refuse("it cannot be read", "Write it more plainly.") from None
    if len(found) != 1:
        raise place.refuse("it is not one select", "Write one select statement.")
    return found[0]
