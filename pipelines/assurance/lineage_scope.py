"""What the names of one select mean: the relations of its FROM, and the columns that its expressions can name. Ambiguity is taken for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from pipelines.assurance.lineage_expressions import ExpressionReader
from pipelines.assurance.lineage_trace import NONE, Leaves, Place, Relation, Trace, merged


@dataclass(eq=False)
class Source:
    """A relation under its name in one FROM. `decided`: what its columns were chosen by in this query; `hidden`: it gives none (semi, anti)."""

    name: str
    relation: Relation
    decided: Leaves = NONE
    hidden: bool = False
    using: set[str] = field(default_factory=set)  # columns that it shares with a source before it

    def column(self, name: str) -> Trace | None:
        found = self.relation.columns.get(name)
        if found is None or not self.decided:
            return found
        return replace(found, decided=found.decided | self.decided, conditions=found.conditions | self.decided)


class Scope:
    """The names that the expressions of one select can use: columns of its relations, and columns of its own list."""

    def __init__(self, place: Place, sources: list[Source], query: exp.Select,
                 reader: Callable[[Callable[[exp.Column], Trace]], ExpressionReader]) -> None:
        self.place, self.sources = place, sources
        self.reader = reader(self.column)
        self.joined: Leaves = NONE
        self.matched: Leaves = NONE  # of joins: what tells something of the rows that find a partner, and how many
        self._aliases = {node.alias.lower(): node.this for node in query.expressions if isinstance(node, exp.Alias)}
        self._open: set[str] = set()

    def column(self, node: exp.Column) -> Trace:
        return self.owned(node, self.sources)[1]

    def owned(self, node: exp.Column, sources: Sequence[Source]) -> tuple[tuple[Source, ...], Trace]:
        """The relations that a column may be of, and what it is."""
        name, table = node.name.lower(), node.table.lower()
        if node.args.get("db") or isinstance(node.this, exp.Star):
            raise self.place.refuse(f"'{node.sql('duckdb')}' is a whole row or a part of a nested value", "Write relation.column.")
        owners = tuple(source for source in sources if name in source.relation.columns and (not table or source.name == table))
        found = [trace for source in owners if (trace := source.column(name))]
        if not table and name in self._aliases and name not in self._open:
            self._open.add(name)
            found.append(self.reader.value(self._aliases[name]))
            self._open.discard(name)
        if not found:
            if not table and any(source.name == name for source in sources):
                raise self.place.refuse(f"'{name}' is a whole row", "Name the columns that are needed.")
            written = f"{table}.{name}" if table else name
            raise self.place.refuse(f"'{written}' is no column of what it reads from", "Read a column that a contract names for this purpose "
                                    "(data_contracts/, transforms), or of a model.")
        return owners, found[0] if len(found) == 1 else merged(found)
