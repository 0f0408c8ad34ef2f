"""One SQL expression → the trace of its value. Kinds of expressions that may be used are listed; any other is refused (fail closed)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from pipelines.assurance.lineage_trace import Place, Trace, merged

FOLLOWED = (  # their value is made of the values of what stands in them
    exp.Func, exp.Binary, exp.Unary, exp.Literal, exp.Boolean, exp.Null, exp.DataType, exp.Interval, exp.Var, exp.Tuple, exp.Array, exp.Bracket,
    exp.Slice, exp.Distinct, exp.Case, exp.Between, exp.In, exp.IgnoreNulls, exp.RespectNulls, exp.AtTimeZone, exp.Identifier, exp.IntervalSpan,
    exp.DataTypeParam)
WHOLE = (exp.Star, exp.Columns, exp.Lambda, exp.Parameter, exp.Placeholder, exp.SessionParameter, exp.PositionalColumn, exp.UDTF, exp.Explode,
         exp.Unnest, exp.Dot)
SUBQUERY = (exp.Query, exp.Exists, exp.Any, exp.All, exp.SubqueryPredicate)
# functions whose value comes from elsewhere than their arguments
ELSEWHERE = ("getvariable", "getenv", "current_setting", "current_query", "query", "query_table", "nextval", "currval", "glob", "columns", "unpack",
             "which_secret", "add_parquet_key")
RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile)
TESTS = (exp.Predicate, exp.And, exp.Or, exp.Not)
COUNTS = (exp.Count, exp.CountIf, exp.ApproxDistinct)
# What may be done with a key (a pseudonym, a device's, a keyed hash): hand it on, or hold it against another one. A value that somebody wrote never
# meets it, nor a function that could make a written value of it: else a model or a seed could say something about one person.
HOLDS_AGAINST = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Coalesce)
HANDS_ON = (exp.Is, exp.Distinct, exp.Min, exp.Max, exp.AnyValue, exp.First, exp.Last, exp.FirstValue, exp.LastValue, exp.Lag, exp.Lead)


class ExpressionReader:
    """Reads the expressions of one select; `column` says what a column is, `person` whether a value is a member's pseudonym, `key` whether it tells
    persons or devices apart."""

    def __init__(self, place: Place, column: Callable[[exp.Column], Trace], person: Callable[[Trace], bool], key: Callable[[Trace], bool]) -> None:
        self.place, self.column, self.person, self.key = place, column, person, key

    def value(self, node: exp.Expr) -> Trace:
        """What the value of an expression is made of."""
        if isinstance(node, exp.Column):
            return self.column(node)
        if isinstance(node, exp.Paren):
            return self.value(node.this)
        if isinstance(node, SUBQUERY) or (isinstance(node, exp.In) and node.args.get("query") is not None):
            raise self.place.refuse("a subquery stands in an expression of it", "Make it a step of with, and join it.")
        if isinstance(node, exp.Null):
            return Trace(empty=True)
        if type(node) is exp.Cast and not any(value for name, value in node.args.items() if name not in ("this", "to")):
            return self.value(node.this)
        if isinstance(node, COUNTS):
            return self._count(node)
        if isinstance(node, exp.Anonymous) and node.name.lower() in ELSEWHERE:
            raise self.place.refuse(f"the value of {words(node)} comes from elsewhere", "Read what is needed from a relation of this purpose.")
        if isinstance(node, WHOLE):
            raise self.place.refuse(f"it uses {_called(node)}", "Name each column that is needed, in a join or a function that takes it as it is.")
        if isinstance(node, exp.Case | exp.If):
            return self._case(node)
        if isinstance(node, exp.Filter):
            chosen = self._part(node.expression.this).as_decision()
            return merged((self.value(node.this), chosen))
        if isinstance(node, exp.Window):
            return self._window(node)
        if isinstance(node, exp.WithinGroup):
            return merged((self.value(node.this), self.parts(node.expression)))
        if isinstance(node, exp.Order):  # within an aggregate: which value is first
            ordered = self.parts(node.expressions).as_condition()
            return ordered if node.this is None else merged((self.value(node.this), ordered))
        if isinstance(node, exp.ArgMax | exp.ArgMin):
            return merged((self.value(node.this), self.parts(node.expression, node.args.get("count")).as_condition()))
        if isinstance(node, exp.PropertyEQ):  # a named part of a struct
            return self.value(node.expression)
        if not isinstance(node, FOLLOWED):
            raise self.place.refuse(f"it uses {words(node)}, which is not followed", "Write it with plain functions and cases.")
        parts = [self.value(child) for child in node.iter_expressions()]
        if any(map(self.key, parts)) and (self.mixes(parts) if isinstance(node, HOLDS_AGAINST) else not isinstance(node, HANDS_ON)):
            self.refuse_written(words(node))
        instead = node.args.get("default") if isinstance(node, exp.Lag | exp.Lead) else None
        if instead is not None and self.mixes(map(self.value, (node.this, instead))):
            self.refuse_written(words(node))
        found = merged(parts)
        return found.as_test() if isinstance(node, TESTS) else found

    def mixes(self, traces: Iterable[Trace]) -> bool:
        """Whether some of them are keys and others values of another kind."""
        return len({self.key(trace) for trace in traces if not trace.empty}) > 1

    def refuse_written(self, where: str) -> None:
        """A key meets what is none."""
        raise self.place.refuse(f"a pseudonym or another key meets in {where} what is none", "Compare keys with keys, and hand them on as they are.")

    def parts(self, *nodes: object) -> Trace:
        """Several expressions, or lists of them, taken together."""
        return merged(self._part(node) for node in _flat(nodes))

    def _part(self, node: exp.Expr) -> Trace:
        if isinstance(node, exp.Order):
            return self.parts(*node.expressions)
        return self.value(node.this if isinstance(node, exp.Ordered) else node)

    def _count(self, node: exp.Expr) -> Trace:
        """A number of rows. Of a column that is never empty (which who asks decides by `bare`) it tells no more than that there are rows."""
        if node.this is None or isinstance(node.this, exp.Star):
            if isinstance(node.this, exp.Star) and any(node.this.args.values()):
                raise self.place.refuse("it counts some columns of a row", "Write count(*), or count the column that is meant.")
            return Trace(number=True)
        counted = merged((self.value(node.this), *map(self.value, node.expressions)))
        whole = self.value(node.this) if isinstance(node.this, exp.Column) else counted
        if isinstance(node, exp.Count) and whole.bare:
            return Trace(rows=whole.shown, tested=whole.tested, decided=whole.decided, conditions=whole.conditions, number=True)
        return Trace(tested=counted.shown | counted.tested, rows=counted.rows, decided=counted.decided, conditions=counted.conditions, number=True)

    def _case(self, node: exp.Expr) -> Trace:
        if isinstance(node, exp.If):
            branches, chosen = [node.args.get("true"), node.args.get("false")], [node.this]
        else:
            branches = [*(one.args.get("true") for one in node.args.get("ifs") or ()), node.args.get("default")]
            chosen = [node.this, *(one.this for one in node.args.get("ifs") or ())]
        shown = [self._part(branch) for branch in _flat(branches)]
        if self.mixes(shown) or (isinstance(node, exp.Case) and node.this is not None and self.key(self._part(node.this))):
            self.refuse_written("a case")
        return merged((*shown, self.parts(chosen).as_decision()))

    def _window(self, node: exp.Window) -> Trace:
        """Partition and order decide which rows are taken together. Within one person's own rows they tell nothing of others; else a rank shows its
        order, and any other number may say how many rows are alike, or come before."""
        partition, order = self.parts(node.args.get("partition_by")), self.parts(node.args.get("order"))
        if node.args.get("spec") is not None:
            frame = [part for part in node.args["spec"].args.values() if isinstance(part, exp.Expr)]
            order = merged((order, self.parts(frame)))
        if self.person(partition):
            return merged((self.value(node.this), partition.as_condition(), order.as_condition()))
        found = self.value(node.this)
        if self.key(found):  # it would stand for all that is alike
            raise self.place.refuse("a window gives a pseudonym or another key of other rows", "Partition it by the person's own pseudonym.")
        inner = node.this.this if isinstance(node.this, exp.IgnoreNulls | exp.RespectNulls) else node.this
        return merged((found, partition.as_decision(), order if isinstance(inner, (*RANKS, exp.Anonymous)) else order.as_decision()))


def _flat(nodes: Iterable[object]) -> Iterable[exp.Expr]:
    for node in nodes:
        if isinstance(node, exp.Expr):
            yield node
        elif isinstance(node, list | tuple):
            yield from _flat(node)


def words(node: exp.Expr) -> str:
    """The kind of a piece of SQL, never its text: a literal in it could be somebody's."""
    return f"{node.name.lower()}(…)" if isinstance(node, exp.Anonymous) else type(node).__name__


def _called(node: exp.Expr) -> str:
    return {exp.Star: "* within an expression", exp.Columns: "columns(…)", exp.Lambda: "a function of its own (->)",
            exp.PositionalColumn: "a column by its number"}.get(type(node), words(node))
