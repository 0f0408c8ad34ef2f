"""A second reader of the same SQL: DuckDB's own parser says which columns, tables and subqueries a query names, and sqlglot must have seen the same.

sqlglot drops pieces of SQL without a word where it takes them for something else (a column as the unit of date_diff becomes a word). What runs is
what DuckDB reads; a query that the two read differently is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from pipelines.assurance.lineage_expressions import ELSEWHERE
from pipelines.assurance.lineage_trace import Place
from pipelines.engines import duckdb_engine as engine


@dataclass(frozen=True)
class Reads:
    """What a select reads: tables (catalog, schema, name) and functions that give rows, or values from elsewhere than their arguments."""

    tables: frozenset[tuple[str, ...]]
    functions: frozenset[str]


class Witness:
    """Asks DuckDB, in memory, without a database."""

    def __init__(self) -> None:
        self._connection = engine.connect(Path(), extensions=())

    def reads(self, sql: str) -> Reads | None:
        """What a text reads, if it is one select."""
        statement = self._select(sql)
        if statement is None:
            return None
        nodes = list(_nodes(statement))
        steps = {step["key"].lower() for node in nodes for step in (node.get("cte_map") or {}).get("map", ())}
        tables = {tuple(str(node[part]).lower() for part in ("catalog_name", "schema_name", "table_name")) for node in nodes
                  if node.get("type") == "BASE_TABLE"}
        called = {node["function"]["function_name"].lower() for node in nodes if node.get("type") == "TABLE_FUNCTION"}
        called |= {node["function_name"].lower() for node in nodes if node.get("class") == "FUNCTION"} & set(ELSEWHERE)
        return Reads(frozenset(name for name in tables if name[:2] != ("", "") or name[2] not in steps), frozenset(called))

    def _select(self, sql: str) -> list[Any] | None:
        row = self._connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
        told: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
        return None if told["error"] or len(told["statements"]) != 1 else told["statements"]

    def confirm(self, place: Place, sql: str, query: exp.Expr) -> None:
        """Refuse what DuckDB does not take for one select, and what it reads otherwise than sqlglot did."""
        statement = self._select(sql)
        if statement is None:
            raise place.refuse("it is not one select", "Write one select statement.")
        nodes = list(_nodes(statement))
        if any(node.get("class") == "SUBQUERY" for node in nodes):
            raise place.refuse("a subquery stands in an expression of it", "Make it a step of with, and join it.")
        columns = Counter(tuple(map(str.lower, node["column_names"])) for node in nodes if node.get("class") == "COLUMN_REF")
        tables = Counter(node["table_name"].lower() for node in nodes if node.get("type") == "BASE_TABLE")
        seen = _columns(query)
        if columns != seen or tables != _tables(query):
            names = sorted(".".join(name) for name in (columns - seen) + (seen - columns))
            raise place.refuse(f"sqlglot and DuckDB read it differently ({', '.join(names[:3]) or 'tables'})", "Write that part more plainly.")


def _nodes(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield found
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    for part in parts:
        yield from _nodes(part)


def _columns(query: exp.Expr) -> Counter[tuple[str, ...]]:
    """The columns that sqlglot saw. DuckDB writes a named window out wherever it is used, and the operand of a case before each of its conditions."""
    found: Counter[tuple[str, ...]] = Counter()
    for column in query.find_all(exp.Column):
        if isinstance(column.this, exp.Star) or isinstance(column.parent, exp.Star):
            continue
        times, node = 1, column
        while node.parent is not None:
            if isinstance(node.parent, exp.Case) and node.arg_key == "this":
                times *= len(node.parent.args["ifs"])
            node = node.parent
        found[tuple(part.name.lower() for part in column.parts)] += times
    return found


def _tables(query: exp.Expr) -> Counter[str]:
    return Counter(table.name.lower() for table in query.find_all(exp.Table) if isinstance(table.this, exp.Identifier))
