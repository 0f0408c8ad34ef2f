"""One compiled query → its columns, each with the leaves that it comes from. What is not understood is refused (fail closed).

sqlglot reads the query; the names are resolved here and not by its own lineage, which leaves out filters and join keys, takes a whole row for a
column, and follows `union by name` by position without a word. Every kind of clause, relation and expression that may be used is listed; any other
is refused with what to write instead. A name that could mean two things is taken for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from pipelines.assurance.lineage_expressions import ExpressionReader, words
from pipelines.assurance.lineage_scope import Scope, Source
from pipelines.assurance.lineage_trace import NONE, Leaf, Leaves, Place, Relation, Trace, merged

CLAUSES = ("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "qualify", "windows", "order", "limit", "offset")
SERIES = (exp.GenerateSeries, exp.Unnest)
Lookup = Callable[[str, str, str], Relation | None]  # catalog, schema, name → the relation, or None


class QueryReader:
    """Reads one compiled model. `lookup` gives the relations that are written with catalog and schema."""

    def __init__(self, place: Place, lookup: Lookup, person: Callable[[Leaf], bool], key: Callable[[Leaf], bool],
                 clock: Callable[[Leaf], bool]) -> None:
        """`person`: whether a leaf is a member's pseudonym; `key`: whether it tells persons or devices apart; `clock`: the time of its row."""
        self.place, self.lookup, self.person, self.key, self.clock = place, lookup, person, key, clock

    def read(self, query: exp.Expr) -> Relation:
        return self._query(query, {})

    # --- queries ---

    def _query(self, query: exp.Expr, steps: Mapping[str, Relation]) -> Relation:
        if isinstance(query, exp.Subquery):
            self._only(query, ("this", "alias"), "a subquery")
            return self._query(query.this, steps)
        if isinstance(query, exp.SetOperation):
            return self._set_operation(query, self._with(query, steps))
        if isinstance(query, exp.Select):
            return self._select(query, self._with(query, steps))
        raise self.place.refuse(f"it is written with {words(query)}", "Write a select.")

    def _with(self, query: exp.Expr, steps: Mapping[str, Relation]) -> Mapping[str, Relation]:
        clause = query.args.get("with_")
        if clause is None:
            return steps
        if clause.args.get("recursive"):
            raise self.place.refuse("it is recursive", "Write the steps one after another.")
        self._only(clause, ("expressions",), "with")
        found = dict(steps)
        for step in clause.expressions:
            self._only(step, ("this", "alias", "materialized"), "a step of with")
            self.place.steps.append(step.alias.lower())
            found[step.alias.lower()] = self._renamed(self._query(step.this, found), step.args["alias"])
            self.place.steps.pop()
        return found

    def _set_operation(self, query: exp.SetOperation, steps: Mapping[str, Relation]) -> Relation:
        if query.args.get("by_name"):
            raise self.place.refuse("it uses union by name", "Write union all, with the columns of both sides in the same order.")
        self._only(query, ("with_", "this", "expression", "distinct", "order", "limit", "offset"), type(query).__name__.lower())
        left, right = self._query(query.this, steps), self._query(query.expression, steps)
        if len(left.columns) != len(right.columns):
            raise self.place.refuse("the two sides of it have different numbers of columns", "List the same columns on both sides.")
        filters = left.filters | right.filters  # a row tells from which side it came
        apart = Trace(decided=filters, conditions=left.conditions | right.conditions)
        pairs = list(zip(left.columns.items(), right.columns.values(), strict=True))
        columns = {name: merged((mine, theirs, apart)) for (name, mine), theirs in pairs}
        conditions = left.conditions | right.conditions
        if query.args.get("distinct") or not isinstance(query, exp.Union):
            conditions |= merged(columns.values()).everything
        if not isinstance(query, exp.Union):
            filters |= merged(right.columns.values()).told
        reader = self._reader(lambda column: self._output(column, columns))
        if any(reader.mixes((mine, theirs)) for (_, mine), theirs in pairs):
            reader.refuse_written("a union")
        conditions |= self._clauses(query, reader, columns)
        return _with_rows(columns, conditions, filters, left.numbers | right.numbers | filters)

    def _select(self, query: exp.Select, steps: Mapping[str, Relation]) -> Relation:
        self._only(query, CLAUSES, "select")
        sources: list[Source] = []
        scope = Scope(self.place, sources, query, self._reader)
        filters = self._from(query, steps, sources, scope)
        reader = scope.reader
        conditions = frozenset().union(*(source.relation.conditions for source in sources)) if sources else NONE
        conditions |= scope.joined
        for name in ("where", "having", "qualify"):
            clause = query.args.get(name)
            if clause is not None:
                self.place.output = None
                found = self._judge(clause.this, sources, scope, sources)
                filters |= found.decided
                conditions |= found.conditions
        numbers = frozenset().union(filters, scope.matched, *(source.relation.numbers for source in sources if not source.hidden))
        columns = self._outputs(query, sources, scope, numbers)
        group = query.args.get("group")
        if group is not None:
            conditions |= self._group(group, reader, columns)
        for window in query.args.get("windows") or ():
            conditions |= reader.parts(window.args.get("partition_by"), window.args.get("order")).everything
        distinct = query.args.get("distinct")
        if distinct is not None:
            conditions |= merged(columns.values()).everything
            if distinct.args.get("on") is not None:
                conditions |= reader.value(distinct.args["on"]).everything
        conditions |= self._clauses(query, reader, columns)
        return _with_rows(columns, conditions | filters, filters, numbers)

    def _clauses(self, query: exp.Expr, reader: ExpressionReader, columns: Mapping[str, Trace]) -> Leaves:
        """Order and limit: which rows come first decides what a first value, or a limit, shows."""
        found = NONE
        for name in ("order", "limit", "offset"):
            clause = query.args.get(name)
            for part in () if clause is None else clause.expressions if name == "order" else [clause.expression]:
                inner = part.this if isinstance(part, exp.Ordered) else part
                if name == "order" and isinstance(inner, exp.Var) and inner.name.lower() == "all":
                    found |= merged(columns.values()).everything
                elif isinstance(inner, exp.Literal) and name == "order":
                    found |= self._numbered(inner, columns).everything
                else:
                    found |= reader.value(inner).everything
            if name == "limit" and clause is not None:
                self._only(clause, ("expression",), "limit")
        return found

    def _group(self, group: exp.Group, reader: ExpressionReader, columns: Mapping[str, Trace]) -> Leaves:
        found = merged(columns.values()).everything if group.args.get("all") else NONE
        self._only(group, ("expressions", "all", "rollup", "cube", "grouping_sets"), "group by")
        sets = (part for name in ("rollup", "cube", "grouping_sets") for part in group.args.get(name) or ())
        for part in (*group.expressions, *sets):
            inner = part.expressions if isinstance(part, exp.Rollup | exp.Cube | exp.GroupingSets | exp.Tuple) else [part]
            for one in inner:
                found |= (self._numbered(one, columns) if isinstance(one, exp.Literal) else reader.value(one)).everything
        return found

    def _numbered(self, literal: exp.Literal, columns: Mapping[str, Trace]) -> Trace:
        """`group by 1`: the first column of the list."""
        if literal.is_string:
            return Trace()
        position = int(literal.name) - 1
        if not 0 <= position < len(columns):
            raise self.place.refuse(f"it names column number {literal.name}, which it does not have", "Write the column's name.")
        return list(columns.values())[position]

    # --- relations ---

    def _from(self, query: exp.Select, steps: Mapping[str, Relation], sources: list[Source], scope: Scope) -> Leaves:
        """Fill `sources`; returns what filters the rows of the whole query."""
        clause, filters = query.args.get("from_"), NONE
        if clause is not None:
            sources.append(self._source(clause.this, steps))
            filters |= sources[0].relation.filters
        for join in query.args.get("joins") or ():
            self._only(join, ("this", "on", "using", "side", "kind"), f"a {join.method.lower()} join".replace("  ", " "))
            added = self._source(join.this, steps)
            side, kind = join.side.upper(), join.kind.upper()
            if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"):
                raise self.place.refuse(f"it uses a {side.lower()} {kind.lower()} join", "Write an inner or a left join.")
            before = list(sources)
            sources.append(added)
            told = self._on(join, before, added, scope, chosen=[added] if side == "LEFT" else [*before, added])
            added.hidden = kind in ("SEMI", "ANTI")
            scope.matched |= told
            if added.hidden:
                filters |= told | added.relation.filters | merged(added.relation.columns.values()).decided
                continue
            if side in ("LEFT", "FULL"):
                added.decided |= told | added.relation.filters
            if side in ("RIGHT", "FULL"):
                for source in before:
                    source.decided |= told | filters
            if side == "RIGHT":
                filters = NONE
            if side in ("", "RIGHT"):
                filters |= added.relation.filters
            if side == "":
                filters |= told
        return filters

    def _on(self, join: exp.Join, before: list[Source], added: Source, scope: Scope, chosen: Sequence[Source]) -> Leaves:
        """The leaves of the join's condition that tell something of the rows that find a partner. `chosen`: relations that may lack one."""
        told = NONE
        if join.args.get("on") is not None:
            found = self._judge(join.args["on"], [*before, added], scope, chosen)
            told |= found.decided
            scope.joined |= found.conditions
        for name in join.args.get("using") or ():
            key, mine = name.name.lower(), added.relation.columns.get(name.name.lower())
            theirs = [source.relation.columns[key] for source in before if key in source.relation.columns and not source.hidden]
            if mine is None or not theirs:
                raise self.place.refuse(f"it joins using {key}, which one side does not have", "Write join … on, each column with its relation.")
            other = merged(theirs)
            if scope.reader.mixes((mine, other)):
                scope.reader.refuse_written("a join")
            scope.joined |= mine.everything | other.everything
            if not self._own(mine, other):
                for source in chosen:
                    source.decided |= other.told if source is added else mine.told
                told |= mine.told | other.told
            added.using.add(key)
        return told

    def _reader(self, column: Callable[[exp.Column], Trace]) -> ExpressionReader:
        return ExpressionReader(self.place, column, lambda trace: any(map(self.person, trace.shown)), lambda trace: any(map(self.key, trace.shown)))

    def _own(self, mine: Trace, other: Trace) -> bool:
        """Both sides of an equation are the same person's pseudonym: what is found by it is that person's own, no look-up of a value."""
        return any(map(self.person, mine.shown)) and any(map(self.person, other.shown))

    def _judge(self, predicate: exp.Expr, sources: Sequence[Source], scope: Scope, chosen: Sequence[Source]) -> Trace:
        """A condition on rows. Beside what it filters by, the columns of each relation in it are chosen by the other relations' columns in it: what
        is looked up by a value tells that value. Not so where both are found by the same person's pseudonym."""
        parts = list(_conjuncts(predicate))
        sides = [[scope.owned(column, sources) for column in part.find_all(exp.Column)] for part in parts]
        equations = [len(found) == 2 and _of_columns(_bare(part)) and found[0][0] != found[1][0] for part, found in zip(parts, sides, strict=True)]
        by_person = any(equation and self._own(found[0][1], found[1][1]) for equation, found in zip(equations, sides, strict=True))
        result = Trace()
        for part, found, equation in zip(parts, sides, equations, strict=True):
            whole = scope.reader.value(part)
            result = merged((result, whole.as_condition()))
            if equation and by_person and found[0][1].values and found[1][1].values:
                continue
            if isinstance(_bare(part), exp.LT | exp.LTE | exp.GT | exp.GTE) and whole.values and all(map(self.clock, whole.told)):
                continue  # a stretch of time: that somebody did something in it is what a count of it says
            result = merged((result, whole.as_decision()))
            for source in chosen:
                if any(source in owners for owners, _ in found):
                    source.decided |= frozenset().union(*(trace.told for owners, trace in found if owners != (source,)))
        return result

    def _source(self, node: exp.Expr, steps: Mapping[str, Relation]) -> Source:
        alias = node.args.get("alias")
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            self._only(node, ("this", "alias", "db", "catalog"), "a table")
            relation = self._table(node, steps)
            return Source((node.alias or node.name).lower(), self._renamed(relation, alias))
        if isinstance(node, exp.Subquery):
            return Source(node.alias.lower(), self._renamed(self._query(node, steps), alias))
        if isinstance(node, exp.Values) and alias is not None and alias.columns:
            self._only(node, ("expressions", "alias"), "values")
            self._literals(node)
            return Source(node.alias.lower(), Relation({column.name.lower(): Trace() for column in alias.columns}))
        function = node.this if isinstance(node, exp.Table) else node
        if isinstance(function, SERIES):
            self._literals(function)
            given = [column.name.lower() for column in alias.columns] if alias is not None else []
            names = given or ["generate_series", "range", "unnest"]
            return Source((node.alias or names[0]).lower(), Relation(dict.fromkeys(names, Trace())))
        raise self.place.refuse(f"it reads from {words(function)}", "Read from ref(…) or source(…) of this purpose, or from a seed.")

    def _literals(self, node: exp.Expr) -> None:
        if node.find(exp.Column, exp.Query, exp.Star, exp.Columns, exp.Anonymous):
            raise self.place.refuse(f"{words(node)} takes more than literals", "Write literals in it, and join what comes from data.")

    def _table(self, node: exp.Table, steps: Mapping[str, Relation]) -> Relation:
        if not node.catalog and not node.db and node.name.lower() in steps:
            return steps[node.name.lower()]
        found = self.lookup(node.catalog.lower(), node.db.lower(), node.name.lower()) if node.catalog and node.db else None
        if found is None:
            name = ".".join(part for part in (node.catalog, node.db, node.name) if part)
            raise self.place.refuse(f"it reads from '{name}', which is no table of this purpose", "Read from ref(…) or source(…) of this purpose, "
                                    "or from a seed.")
        return found

    def _renamed(self, relation: Relation, alias: exp.Expr | None) -> Relation:
        names = [column.name.lower() for column in alias.args.get("columns") or ()] if alias is not None else []
        if not names:
            return relation
        if len(names) > len(relation.columns):
            raise self.place.refuse("it gives a relation more names than it has columns", "Name the columns in the select.")
        old = list(relation.columns)
        return Relation(dict(zip([*names, *old[len(names):]], relation.columns.values(), strict=True)), relation.conditions, relation.filters)

    # --- columns ---

    def _outputs(self, query: exp.Select, sources: Sequence[Source], scope: Scope, numbers: Leaves) -> dict[str, Trace]:
        columns: dict[str, Trace] = {}
        for node in query.expressions:
            for name, found in self._expanded(node, sources, scope):
                if name in columns:
                    raise self.place.refuse(f"two of its columns are called {name}", "Give each a name of its own.")
                columns[name] = replace(found, decided=found.decided | numbers) if _gathers(node) else found
        self.place.output = None
        return columns

    def _expanded(self, node: exp.Expr, sources: Sequence[Source], scope: Scope) -> Iterator[tuple[str, Trace]]:
        star = node if isinstance(node, exp.Star) else node.this if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) else None
        if star is not None:
            yield from self._star(star, node.table.lower() if isinstance(node, exp.Column) else "", sources)
            return
        name = node.alias if isinstance(node, exp.Alias) else node.name if isinstance(node, exp.Column) else ""
        self.place.output = name.lower() or None
        if not name:
            raise self.place.refuse(f"a column of it ({words(node)}) has no name", "Write it as … as a_name.")
        yield name.lower(), scope.reader.value(node.this if isinstance(node, exp.Alias) else node)

    def _star(self, star: exp.Star, table: str, sources: Sequence[Source]) -> Iterator[tuple[str, Trace]]:
        self._only(star, ("except_",), "a star")
        left_out = {column.name.lower() for column in star.args.get("except_") or ()}
        chosen = [source for source in sources if not source.hidden and (not table or source.name == table)]
        if not chosen:
            raise self.place.refuse(f"it selects {table + '.' if table else ''}* from nothing that is known", "List the columns.")
        for source in chosen:
            for name in source.relation.columns:
                if name not in left_out and not (not table and name in source.using):
                    found = [s.column(name) for s in chosen if s is source or name in s.using]
                    yield name, found[0] if len(found) == 1 and found[0] else merged(t for t in found if t)

    def _output(self, column: exp.Column, columns: Mapping[str, Trace]) -> Trace:
        if column.name.lower() not in columns:
            raise self.place.refuse(f"it orders by {column.name}, which is none of its columns", "Order by a column of the result.")
        return columns[column.name.lower()]

    def _only(self, node: exp.Expr, allowed: Sequence[str], what: str) -> None:
        """Refuse a clause that is not followed."""
        for name, value in node.args.items():
            if value and name not in allowed:
                raise self.place.refuse(f"{what} has a clause ({name.strip('_').replace('_', ' ')}) that is not followed", "Write it without.")


def _with_rows(columns: Mapping[str, Trace], conditions: Leaves, filters: Leaves, numbers: Leaves) -> Relation:
    """Every value of a relation depends on what decides its rows."""
    return Relation({name: replace(t, conditions=t.conditions | conditions) for name, t in columns.items()}, conditions, filters, numbers)


def _gathers(node: exp.Expr) -> bool:
    """Whether it is made of several rows, so that it may say how many there are. A function that sqlglot does not know may."""
    return node.find(exp.AggFunc, exp.Window, exp.Anonymous, exp.AnonymousAggFunc, exp.CombinedAggFunc) is not None


def _conjuncts(predicate: exp.Expr) -> Iterator[exp.Expr]:
    bare = _bare(predicate)
    if isinstance(bare, exp.And):
        yield from _conjuncts(bare.left)
        yield from _conjuncts(bare.right)
    else:
        yield predicate


def _of_columns(node: exp.Expr) -> bool:
    return isinstance(node, exp.EQ) and isinstance(_bare(node.left), exp.Column) and isinstance(_bare(node.right), exp.Column)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


