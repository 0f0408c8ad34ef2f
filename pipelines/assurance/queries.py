"""Whether the answer of a query is rows or only figures about classes of members, decided by reading the query (C-3.3b, C-10.7).

Figures may leave the home; rows may not. A query counts as figures if every part of it is of a shape that is known here: plain selections
from marts, classes by expressions over columns, and aggregates that weigh all members of a class alike. Then its classes can be counted by
running it once more with a count of members beside. Every other shape is taken for rows: an aggregate over an expression could pick out one
member, a smallest value is one member's, a subquery or a total beside its parts lets a class be subtracted.

This module reads and writes SQL; it runs none and decides nothing about files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

PERSON, COUNTED, TECHNICAL = "pseudonym", "member_count", "_build"
MEMBERS = "_members"
Marts = Mapping[str, Sequence[str]]  # mart → its columns

_WEIGHING = (exp.Count, exp.Sum, exp.Avg, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop)
# what an expression over the columns of one row may be made of, so that equal rows are in one class
_PLAIN = (exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Alias, exp.Binary, exp.Unary, exp.Between, exp.In,
          exp.Case, exp.If, exp.Coalesce, exp.Cast, exp.TryCast, exp.DataType, exp.Interval, exp.Var, exp.Floor, exp.Ceil, exp.Round, exp.Lower,
          exp.Upper, exp.TimestampTrunc, exp.DateTrunc, exp.Extract, exp.Year, exp.Month, exp.Quarter, exp.Abs, exp.Greatest, exp.Least, exp.Nullif)
_CLAUSES = {"kind", "expressions", "from", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct", "hint", "with",
            "with_"}


@dataclass(frozen=True)
class Reading:
    """What a query is. `sql` is the query as it was understood, which must be run instead of what was typed where its answer may leave;
    `measured` gives, in its last `counts` columns, the members of each class, and of those of whom its figures tell; both are None for rows, of which
    `rows_because` says what makes them that. `left_out`, of figures with a condition, gives in its last two columns the members of each class whom
    the condition lets in, and whom it leaves out: the same figure without it would tell of these. `holds` gives the pseudonyms among which all
    members of the answer are."""

    rows_because: str | None
    sql: str | None
    measured: str | None
    holds: str
    marts: tuple[str, ...]
    counts: int = 0
    left_out: str | None = None


def read(query: str, marts: Marts, identified: bool = False) -> Reading:
    """What the one statement `query` over `marts` is; of a purpose whose marts are `identified` everything is rows."""
    known = {name.lower(): tuple(column.lower() for column in columns) for name, columns in marts.items()}
    try:
        statements = [s for s in sqlglot.parse(query, read="duckdb") if s is not None]
        tree = statements[0] if len(statements) == 1 else None
        used = None if tree is None else _used(tree, known)
    except (SqlglotError, RecursionError):
        tree, used = None, None
    if tree is None or used is None:
        return Reading("it reads something else than marts, or is of a form that is not known", None, None, _all(known, known), tuple(sorted(known)))
    holds = _holding(tree, used, known) or _all(used, known)
    if identified:
        return Reading("the marts of this purpose name persons", None, None, holds, used)
    if not holds:  # nobody stands in what it reads
        nobody = all(COUNTED in known[mart] for mart in used if mart != TECHNICAL)
        why = None if nobody else f"it reads a mart without {COUNTED}"
        return Reading(why, tree.sql("duckdb") if nobody else None, None, holds, used)
    try:
        measured, counts, left_out = _measured(tree, known)
    except _Rows as rows:
        return Reading(str(rows), None, None, holds, used)
    return Reading(None, tree.sql("duckdb"), measured, holds, used, counts, left_out)


class _Rows(Exception):
    """What makes the answer rows."""


def _used(tree: exp.Expr, known: Marts) -> tuple[str, ...] | None:
    """The marts that the query reads; None if it reads anything else, too."""
    defined = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    used = set()
    for table in tree.find_all(exp.Table):
        name = table.name.lower()
        if not isinstance(table.this, exp.Identifier) or table.catalog.lower() not in ("", "mart") or table.db.lower() not in ("", "main", "mart"):
            return None
        if name in defined and not table.db:
            continue
        if name not in known:
            return None
        used.add(name)
    return tuple(sorted(used)) if isinstance(tree, exp.Query) else None


def _all(used: Iterable[str], known: Marts) -> str:
    """SQL: everybody in the marts."""
    return " union ".join(f'select {PERSON} from mart.main."{mart}"' for mart in used if PERSON in known[mart])


def _holding(tree: exp.Expr, used: Sequence[str], known: Marts) -> str | None:
    """SQL: everybody in the rows that pass the query's joins and conditions; None where something of it could reach beyond them."""
    tables = list(tree.find_all(exp.Table))
    if not isinstance(tree, exp.Select) or len(list(tree.find_all(exp.Query))) > 1:
        return None
    if any(join.kind in ("SEMI", "ANTI") for join in tree.find_all(exp.Join)):
        return None
    if set(tree.args) - {k for k, v in tree.args.items() if not v} - _CLAUSES or tree.find(exp.Lateral, exp.Unnest, exp.Values):
        return None
    parts = []
    for table in tables:
        if PERSON in known[table.name.lower()]:
            part = exp.Select(**{key: value.copy() if isinstance(value, exp.Expr) else [v.copy() for v in value]
                                 for key in ("from", "from_", "joins", "where") if (value := tree.args.get(key))})
            parts.append(part.select(exp.column(PERSON, table.alias_or_name)).sql("duckdb"))
    return " union ".join(parts)


def _measured(tree: exp.Expr, known: Marts) -> tuple[str, int, str | None]:
    """SQL: the query's classes with the number of members in each, of those with a value in each column that is weighed, and of those without one
    where values are counted: the difference to the class would tell of them. How many such numbers; and SQL of whom a condition leaves out."""
    select = _one_selection(tree)
    tables = _joined(select, known)
    columns = {column for table in tables.values() for column in known[table]}
    aliases = {e.alias.lower() for e in select.expressions if e.alias}
    weighed = []
    for projection in select.expressions:
        weighed += _figures(projection.unalias(), columns, tables)
    group, having, where = select.args.get("group"), select.args.get("having"), select.args.get("where")
    if group:
        if any(group.args.get(word) for word in ("rollup", "cube", "grouping_sets", "totals")):
            raise _Rows("totals stand beside their parts")
        for key in group.expressions:
            if not isinstance(key, exp.Literal):
                _row_expression(key, columns | aliases, tables)
    elif not any(projection.find(exp.AggFunc) for projection in select.expressions):
        raise _Rows("it has no classes")
    if where:
        _row_expression(where.this, columns, tables)
    if having:
        _figures(having.this, columns, tables, aliases)
    first = next((name for name, mart in tables.items() if PERSON in known[mart]), None)
    if first is None:
        raise _Rows("nobody can be counted in it")
    counted = select.copy()
    for clause in ("order", "limit", "offset", "distinct"):
        counted.set(clause, None)
    members = f'count(distinct "{first}".{PERSON})'
    left_out = None
    if where:
        whole, condition = counted.copy(), where.this.sql("duckdb")
        whole.set("where", None)
        whole.set("having", None)
        left_out = whole.select(f"{members} filter (where {condition}) as {MEMBERS}_in",
                                f"{members} filter (where not coalesce({condition}, false)) as {MEMBERS}_out", dialect="duckdb").sql("duckdb")
    counted = counted.select(f"{members} as {MEMBERS}", dialect="duckdb")
    told = list(dict.fromkeys(weighed))
    for number, condition in enumerate(told):
        counted = counted.select(f"{members} filter (where {condition}) as {MEMBERS}_{number}", dialect="duckdb")
    return counted.sql("duckdb"), 1 + len(told), left_out


def _one_selection(tree: exp.Expr) -> exp.Select:
    if not isinstance(tree, exp.Select) or len(list(tree.find_all(exp.Query))) > 1:
        raise _Rows("it has a subquery, or is put together of several")
    if unknown := sorted({key for key, value in tree.args.items() if value} - _CLAUSES):
        raise _Rows(f"'{unknown[0]}' is not known to keep classes whole")
    if tree.find(exp.Window, exp.Star) and any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star, exp.Window)):
        raise _Rows("it shows whole rows, or a value beside its neighbours")
    return tree


def _joined(select: exp.Select, known: Marts) -> dict[str, str]:
    """Name in the query → mart, joined by pseudonym only."""
    source = select.args.get("from") or select.args.get("from_")
    if source is None or not isinstance(source.this, exp.Table):
        raise _Rows("it reads no mart")
    tables = {source.this.alias_or_name.lower(): source.this.name.lower()}
    for join in select.args.get("joins") or ():
        on, using = join.args.get("on"), [u.name.lower() for u in join.args.get("using") or ()]
        sides = (on.left, on.right) if isinstance(on, exp.EQ) else ()
        by_person = using == [PERSON] or (bool(sides) and all(isinstance(s, exp.Column) and s.name.lower() == PERSON for s in sides))
        if not isinstance(join.this, exp.Table) or join.side in ("RIGHT", "FULL") or join.kind not in ("", "INNER", "OUTER") or not by_person \
                or join.args.get("method"):
            raise _Rows(f"its marts are not joined by {PERSON}")
        tables[join.this.alias_or_name.lower()] = join.this.name.lower()
    if any(table.args.get(word) for table in select.find_all(exp.Table) for word in ("sample", "pivots", "when", "ordinality")):
        raise _Rows("it reads a part of a mart, or turns it")
    return tables


def _figures(expression: exp.Expr, columns: set[str], tables: Mapping[str, str], aliases: Iterable[str] = ()) -> list[str]:
    """Which members a figure tells of, as conditions; refuses one that is neither a class nor made of aggregates over whole classes."""
    if not expression.find(exp.AggFunc):
        _row_expression(expression, {*columns, *aliases}, tables)
        return []
    copy, weighed = exp.Paren(this=expression.copy()), []
    for aggregate in list(copy.find_all(exp.AggFunc)):
        if not isinstance(aggregate, _WEIGHING):
            raise _Rows(f"{aggregate.key} may show the value of one member")
        of, distinct = aggregate.this, False
        if isinstance(of, exp.Distinct):
            of, distinct = of.expressions[0] if len(of.expressions) == 1 else None, True
        if aggregate.find_ancestor(exp.Filter, exp.AggFunc):
            raise _Rows("an aggregate looks at a part of its class")
        if not (isinstance(of, exp.Star) or (of is None and isinstance(aggregate, exp.Count) and not distinct)):
            if not isinstance(of, exp.Column):
                raise _Rows("an aggregate is made over an expression")
            if of.name.lower() != PERSON:
                _row_expression(of, columns, tables)
                words = ("is not null", "is null") if isinstance(aggregate, exp.Count) else ("is not null",)
                weighed += [f"{of.sql('duckdb')} {word}" for word in words]
            elif not isinstance(aggregate, exp.Count):
                raise _Rows(f"it shows the {PERSON}")
        aggregate.replace(exp.Literal.number(1))
    _row_expression(copy, set(aliases), tables)
    return weighed


def _row_expression(expression: exp.Expr, columns: set[str], tables: Mapping[str, str]) -> None:
    """Refuse an expression that is not made of columns but the pseudonym, and of words that treat equal rows alike."""
    for node in expression.walk():
        if not isinstance(node, _PLAIN):
            raise _Rows(f"'{node.key}' is not known to keep classes whole")
        if isinstance(node, exp.Column):
            name, table = node.name.lower(), node.table.lower()
            if name == PERSON:
                raise _Rows(f"it shows the {PERSON}, or asks for one")
            if name not in columns or (table and table not in tables):
                raise _Rows("it names something that is no column of a mart")
