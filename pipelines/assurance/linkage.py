"""Linkability: can somebody who holds marts of two purposes tell which rows are one person's (C-3.3b)? Measured, not assumed.

Two questions per pair of marts about persons. Are the classes over the columns that both have, by lineage and not by name alone, large
enough in both? And does an attacker who compares everything comparable find more persons than one who only knows those classes?

The attacker takes one row per person (of several rows: their number, first and last day, sums, most frequent words), pairs up what is built from
the same columns of a contract or bears the same name, and takes the nearest row of the other mart within the class. There are two of them, and the
better one counts: one adds up differences (a star is half a difference, numbers and days differ by their rank), the other has learnt from persons
it knows how much more often each agreement occurs in one person's rows than in two strangers', so that one exact number among noise does not
escape. Ties share the success.

The truth, which pseudonyms belong together, is a temporary table in the memory of the job that publishes; no result names anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Any

from pipelines.assurance.classes import STAR
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.policy.types import RiskLimits

PAIRS = "link_pairs"  # (a, b): pseudonyms of one member in the two purposes
COMPARISONS = 5e7     # of values with values, at most: of very large marts fewer persons are looked for, never fewer than LEAST
LEAST = 100
ALIKE = 0.95          # of persons in whose two rows a shared word agrees: else it is one more thing to compare, and no class to look within
CONFIDENCE = 2.326    # standard errors: a build fails if the ratio is beyond the limit with 99 % confidence, so that noise in a sample fails none
RANKS = (0.0, 0.01, 0.05, 0.2)  # how far apart two ranks are: the classes of agreement of numbers and days
STRANGERS = 100_000   # pairs of two persons from which is learnt how often chance agrees; of at least 20 persons
SEEN = 0.1            # added to what was counted: an agreement that was seen of nobody is worth nothing
HIDDEN = f"hash('{STAR}')"  # words are compared by their hash: many comparisons, and numbers are faster
_COUNTABLE = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "DATE", "TIMESTAMP", "BOOLEAN")


@dataclass(frozen=True)
class Column:
    """A mart column as an attacker sees it: `built` names the contract columns (dataset.column) of its values. A number of rows shows none: of it
    `counted` names the datasets."""

    name: str
    type: str
    built: frozenset[str]
    counted: frozenset[str] = frozenset()

    @property
    def countable(self) -> bool:
        return any(word in self.type for word in _COUNTABLE)


@dataclass(frozen=True)
class Side:
    """One mart: where it is, whose rows they are, and its columns but those that tell persons apart. An `identified` one names persons by policy (its
    few rows of a day are what it is for), so it is the class in the other mart that must be large."""

    purpose: str
    table: str
    place: str
    person: tuple[str, ...]
    columns: tuple[Column, ...]
    identified: bool = False

    @property
    def who(self) -> str:
        return f"coalesce({', '.join(f'{quote_name(c)}::varchar' for c in self.person)})"

    @property
    def name(self) -> str:
        return f"{self.purpose}.{self.table}"


@dataclass(frozen=True)
class Linked:
    """What was measured for a pair: the smallest class over the shared columns in each mart (None: nothing is shared), and how often the attacker
    was right (`success`) against knowing the class alone (`chance`); `certain` is the ratio that is exceeded with 99 % confidence."""

    left: str
    right: str
    shared: tuple[str, ...]
    smallest: int | None
    compared: int
    sample: int
    success: float
    chance: float
    ratio: float
    certain: float

    def beyond(self, limits: RiskLimits) -> list[str]:
        """The limits that the pair does not keep, in words; empty: it keeps both."""
        found = []
        if self.smallest is not None and self.smallest < limits.shared_class:
            found.append(f"a class over the columns that both have ({', '.join(self.shared)}) has {self.smallest} persons "
                         f"(at least {limits.shared_class})")
        if self.certain > limits.linking:
            found.append(f"the best match finds a person {self.ratio:.1f} times as often as chance (at most {limits.linking:g}; beyond "
                         f"{self.certain:.1f} with 99 % confidence)")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {"left": self.left, "right": self.right, "shared": list(self.shared), "smallest_class": self.smallest, "compared": self.compared,
                "sample": self.sample, "success": round(self.success, 6), "chance": round(self.chance, 6), "ratio": _finite(self.ratio),
                "certain": _finite(self.certain), "seen_from": _finite(self.seen_from)}

    @property
    def seen_from(self) -> float:
        """The ratio from which on so few persons can tell, with that confidence, that a limit of twice chance is exceeded: a small home has little
        power to find a link, and says so."""
        if not self.sample or not self.chance:
            return inf
        error = CONFIDENCE / sqrt(self.sample)  # of a share p about error * sqrt(p): the smallest p with p - error * sqrt(p) = 2 * chance
        return ((error + sqrt(error * error + 8 * self.chance)) / 2) ** 2 / self.chance


@dataclass(frozen=True)
class _Pair:
    """Two comparable columns: `shared` if both are built from the same columns of a contract."""

    left: Column
    right: Column
    shared: bool


@dataclass(frozen=True)
class _Compared:
    """A pair of columns in the tables of persons: `x` of the left one with `y` of the right one; what has an order has ranks, too (`rx`, `ry`)."""

    x: str
    y: str
    ordered: bool
    shared: bool

    def difference(self) -> str:
        """SQL: minus the difference, from 0 to 1."""
        if self.ordered:
            return f"-coalesce(abs(s.r{self.x} - b.r{self.y}), 0.5)"
        return self.agreement(("0e0", "-0.5e0", "-1e0"))

    @property
    def kinds(self) -> int:
        return len(RANKS) + 3 if self.ordered else 3

    def agreement(self, worth: Sequence[object]) -> str:
        """SQL: what the kind of agreement is worth. With an exponent it is a double: sums of DuckDB's decimals grow wide, and slow."""
        x, y = f"s.{self.x}", f"b.{self.y}"
        if not self.ordered:
            return f"case when {x} = {HIDDEN} or {y} = {HIDDEN} then {worth[1]} when {x} = {y} then {worth[0]} else {worth[2]} end"
        ranks = " ".join(f"when abs(s.r{self.x} - b.r{self.y}) <= {width} then {w}" for width, w in zip(RANKS, worth[1:], strict=False))
        return f"case when {x} is null or {y} is null then {worth[-1]} when {x} = {y} then {worth[0]} {ranks} else {worth[-2]} end"


def link(connection: Connection, left: Side, right: Side) -> Linked:
    """Attack `left` with `right`; the truth stands in the temporary table `link_pairs`."""
    pairs = comparable(left.columns, right.columns)
    shared = [pair for pair in pairs if pair.shared]
    smallest = [_smallest(connection, side, [getattr(pair, which) for pair in shared]) for side, which in ((left, "left"), (right, "right"))]
    names = tuple(dict.fromkeys(pair.left.name for pair in shared))
    found = _attack(connection, left, right, pairs)
    return Linked(left.name, right.name, names, min((n for n in smallest if n is not None), default=None), len(pairs), *found)


def comparable(left: Sequence[Column], right: Sequence[Column]) -> list[_Pair]:
    """Each column with its counterparts: built from the same contract columns, counted in the same datasets, or of one name; words with words,
    numbers and days with their like."""
    found = []
    for a in left:
        for b in right:
            same, alike = a.name == b.name, bool(a.built & b.built)
            kinds = a.countable == b.countable and (not a.countable or _temporal(a) == _temporal(b))
            if kinds and (same or alike or a.counted & b.counted):
                unknown = same and not a.countable and not (a.built and b.built)  # where nobody knows what a column is built from its name counts
                found.append(_Pair(a, b, shared=alike or unknown))
    return found


def _temporal(column: Column) -> bool:
    return column.type.startswith(("DATE", "TIMESTAMP"))


def _smallest(connection: Connection, side: Side, columns: Sequence[Column]) -> int | None:
    """Persons in the smallest class over these columns; days of times."""
    if not columns or side.identified:
        return None
    by = ", ".join(dict.fromkeys(f"{quote_name(c.name)}::date" if _temporal(c) else quote_name(c.name) for c in columns))
    row = connection.execute(f"select min(n) from (select count(distinct {side.who}) as n from {side.place} group by {by})").fetchone()
    return int(row[0]) if row and row[0] is not None else None


def _attack(connection: Connection, left: Side, right: Side, pairs: list[_Pair]) -> tuple[int, float, float, float, float]:
    """(sample, success, chance, ratio, certain) of the better attacker."""
    compared = _persons(connection, left, right, pairs)
    compared = _blocks(connection, compared)
    known, comparisons = (_number(connection, sql) for sql in (
        "select count(*) from link_known", "select sum(b.size) from link_known as s join link_blocks as b on b.x = s.block"))
    if not known or not comparisons:
        return 0, 0.0, 0.0, 0.0, 0.0
    size = int(max(LEAST, min(known, COMPARISONS * known // (comparisons * max(len(pairs), 1)))))
    connection.execute(f"create or replace temp table link_sought as from link_known where i <= {size} and (i % 2 = 1 or {known} < {2 * LEAST})")
    chance = connection.execute("""select count(*), avg(case when k.x is null then 0 else 1.0 / b.size end) from link_sought as s
        join link_blocks as b on b.x = s.block left join link_compatible as k on k.x = s.block and k.y = s.true_block""").fetchone()
    assert chance is not None
    attackers = [" + ".join(pair.difference() for pair in compared) or "0", _learnt(connection, compared, int(STRANGERS * known / comparisons))]
    return max((_found(connection, score, int(chance[0]), float(chance[1])) for score in attackers), key=lambda found: (found[4], found[3]))


def _blocks(connection: Connection, pairs: list[_Compared]) -> list[_Compared]:
    """Number the classes of what both marts show alike: the words that agree (or are hidden) in nearly all rows of one person. Tables: link_known
    (a person in both, with both classes), link_compatible (classes of left and right that could be one person's), link_blocks (how many
    candidates each has). Returns what is left to compare within them."""
    words = [pair for pair in pairs if pair.shared and not pair.ordered]
    agree = {pair: f"({pair.x} = {pair.y} or {pair.x} = {HIDDEN} or {pair.y} = {HIDDEN})" for pair in words}
    shares = connection.execute(f"select {', '.join([f'coalesce(avg({sql}::int), 0)' for sql in agree.values()] or ['0'])} from {PAIRS} as p "
                                "join link_left as l on l.who = p.a join link_right as r on r.who = p.b").fetchone()
    alike = [pair for pair, share in zip(words, shares or (), strict=False) if share >= ALIKE]
    classes = {}
    for side, columns in (("left", [pair.x for pair in alike]), ("right", [pair.y for pair in alike])):
        columns = list(dict.fromkeys(columns))
        connection.execute(f"create or replace temp table link_{side} as select *, dense_rank() over (order by {', '.join(columns) or '1'}) as block "
                           f"from link_{side}")
        classes[side] = f"(select block{''.join(f', any_value({c}) as {c}' for c in columns)}, count(*) as n from link_{side} group by block)"
    connection.execute(f"""create or replace temp table link_compatible as select l.block as x, r.block as y, r.n from {classes['left']} as l
        join {classes['right']} as r on {' and '.join(agree[pair] for pair in alike) or 'true'}""")
    connection.execute("create or replace temp table link_blocks as select x, sum(n) as size from link_compatible group by x")
    connection.execute(f"""create or replace temp table link_known as
        select l.*, p.b as other, r.block as true_block, row_number() over (order by hash(p.a), p.a) as i
        from {PAIRS} as p join link_left as l on l.who = p.a join link_right as r on r.who = p.b""")
    rest = [pair for pair in pairs if pair not in alike]
    kinds = connection.execute(f"select {', '.join([f'count(distinct {pair.y})' for pair in rest] or ['0'])} from link_right").fetchone() or ()
    return [pair for pair, n in zip(rest, kinds, strict=False) if n > 1]  # what is the same of everybody tells nobody apart


def _found(connection: Connection, score: str, sought: int, chance: float) -> tuple[int, float, float, float, float]:
    scored = f"""select s.i, b.who = s.other as hit, round({score}, 6)::float as score from {{}} as s
        join link_compatible as k on k.x = s.block join link_right as b on b.block = k.y"""
    # nothing is kept of all who were compared; how many are as near as the right one is counted only where that one is nearest
    connection.execute(f"""create or replace temp table link_found as select s.*, f.nearest from link_sought as s join (
        select i, max(score) as nearest, max(score) filter (hit) as mine from ({scored.format('link_sought')}) group by i
    ) as f on f.i = s.i and f.mine = f.nearest""")
    row = connection.execute(f"""select sum(success), sum(success * success) from (
        select 1.0 / count(*) as success from ({scored.format('link_found')}) as s join link_found as f on f.i = s.i and f.nearest = s.score
        group by s.i)""").fetchone()
    assert row is not None
    success = float(row[0] or 0) / sought
    error = sqrt(max(float(row[1] or 0) / sought - success * success, 0.0) / sought)
    return sought, success, chance, _ratio(success, chance), _ratio(max(success - CONFIDENCE * error, 0.0), chance)


def _ratio(success: float, chance: float) -> float:
    return success / chance if chance else (inf if success else 0.0)


def _persons(connection: Connection, left: Side, right: Side, pairs: list[_Pair]) -> list[_Compared]:
    """Both marts with one row per person: x0, x1 … of the left one (`link_left`), y0, y1 … of the right one (`link_right`), and ranks of what has an
    order. Several rows per person add their number, and of days the last one beside the first."""
    several = [_number(connection, f"select count({side.who}) - count(distinct {side.who}) from {side.place}") > 0 for side in (left, right)]
    wanted: list[tuple[str, str, _Pair]] = []
    for pair in pairs:
        a, b = quote_name(pair.left.name), quote_name(pair.right.name)
        if not pair.left.countable:
            wanted.append((f"hash(mode({a} order by {a}))", f"hash(mode({b} order by {b}))", pair))
        elif _temporal(pair.left):
            wanted += [(f"epoch({end}({a}::date))", f"epoch({end}({b}::date))", pair) for end in ("min", "max")[:1 + any(several)]]
        else:
            wanted.append((f"sum({a}::double)", f"sum({b}::double)", pair))
    if all(several):
        number = Column("rows", "BIGINT", frozenset())
        wanted.append(("count(*)::double", "count(*)::double", _Pair(number, number, shared=False)))
    named = list[dict[str, str]]()
    for name, side, letter, which in (("link_left", left, "x", 0), ("link_right", right, "y", 1)):
        made = {w[which]: w[2].left.countable for w in wanted}  # a column is compared with several
        names = {sql: f"{letter}{i}" for i, sql in enumerate(made)}
        values = "".join(f", {sql} as {column}" for sql, column in names.items())
        ranks = "".join(f", percent_rank() over (order by {names[sql]}) as r{names[sql]}" for sql, ordered in made.items() if ordered)
        connection.execute(f"create or replace temp table {name} as select *{ranks} from (select {side.who} as who{values} from {side.place} "
                           f"where {side.who} is not null group by 1)")
        named.append(names)
    return [_Compared(named[0][a], named[1][b], pair.left.countable, pair.shared) for a, b, pair in wanted]


def _learnt(connection: Connection, pairs: Sequence[_Compared], persons: int) -> str:
    """SQL: the sum of what each agreement is worth, learnt from known persons that are not sought, and from strangers of the same class: those of
    20 to 300 `persons`."""
    connection.execute("""create or replace temp table link_taught as select * from link_known where i not in (select i from link_sought)
        order by i limit 5000""")
    if not pairs or not _number(connection, "select count(*) from link_taught"):
        return "0"
    strangers = f"""(from link_taught order by i limit {max(20, min(persons, 300))}) as s
        join link_compatible as k on k.x = s.block join link_right as b on b.block = k.y"""
    one, two = (_counted(connection, pairs, among) for among in ("link_taught as s join link_right as b on b.who = s.other", strangers))
    return " + ".join(pair.agreement([f"{log((a + SEEN) / (b + SEEN)):.6f}e0" for a, b in zip(*counts, strict=True)])
                      for pair, counts in zip(pairs, zip(one, two, strict=True), strict=True))


def _counted(connection: Connection, pairs: Sequence[_Compared], among: str) -> list[list[float]]:
    """Per pair how often each kind of agreement occurs `among` rows s and b, of 1,000."""
    kinds = [pair.agreement(range(pair.kinds)) for pair in pairs]
    row = connection.execute(f"select count(*), {', '.join(f'histogram({sql})' for sql in kinds)} from {among}").fetchone()
    assert row is not None
    return [[1000 * (found or {}).get(kind, 0) / max(row[0], 1) for kind in range(pair.kinds)] for pair, found in zip(pairs, row[1:], strict=True)]


def _number(connection: Connection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _finite(value: float) -> float | None:
    return None if value == inf else round(value, 4)
