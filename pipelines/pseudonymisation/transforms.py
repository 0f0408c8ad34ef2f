"""The SQL of each transform: how a column's value may look once it has entered a purpose.

A column without a transform for the purpose does not enter (deny by default). Each turns a value into something coarser,
or into a keyed hash of the purpose's own domain; nothing can be turned back without the vault and the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from pipelines.engines.duckdb_engine import Connection, quote_text, text_number
from pipelines.identity.pseudonyms import keyed
from pipelines.policy.contract_types import Column, Transform
from pipelines.pseudonymisation import agents

AGE_BANDS = ((18, 24), (25, 34), (35, 44), (45, 54), (55, 64))
OLDEST = f"{AGE_BANDS[-1][1] + 1}+"
# the regions of France as ISO 3166-2, by the first two digits of a postal code, overseas by three; Corsica has 20 in postal codes
REGIONS: Mapping[str, tuple[str, ...]] = {
    "FR-ARA": ("01", "03", "07", "15", "26", "38", "42", "43", "63", "69", "73", "74"),
    "FR-BFC": ("21", "25", "39", "58", "70", "71", "89", "90"),
    "FR-BRE": ("22", "29", "35", "56"),
    "FR-CVL": ("18", "28", "36", "37", "41", "45"),
    "FR-20R": ("20",),
    "FR-GES": ("08", "10", "51", "52", "54", "55", "57", "67", "68", "88"),
    "FR-HDF": ("02", "59", "60", "62", "80"),
    "FR-IDF": ("75", "77", "78", "91", "92", "93", "94", "95"),
    "FR-NOR": ("14", "27", "50", "61", "76"),
    "FR-NAQ": ("16", "17", "19", "23", "24", "33", "40", "47", "64", "79", "86", "87"),
    "FR-OCC": ("09", "11", "12", "30", "31", "32", "34", "46", "48", "65", "66", "81", "82"),
    "FR-PDL": ("44", "49", "53", "72", "85"),
    "FR-PAC": ("04", "05", "06", "13", "83", "84"),
    "FR-971": ("971",), "FR-972": ("972",), "FR-973": ("973",), "FR-974": ("974",), "FR-976": ("976",),
}
_AGENTS, _NUMBER = "known_agents", "agent_number"  # table of the connection: user agent → the number that the function gives it (agents.number)


def prepare(connection: Connection, agents_from: Sequence[str] = ()) -> None:
    """Give the connection what expressions look user agents up in, and work out those of the given queries (each gives one column) beforehand,
    every different one once: a join over all rows costs a tenth of asking Python about each vector of them, which is done for those left out."""
    text_number(connection, _NUMBER, agents.number)
    connection.execute(f"create or replace temp table {_AGENTS} (agent varchar, number bigint)")
    found = " union ".join(f"select agent from ({query}) as q(agent) where agent is not null" for query in agents_from)
    texts = [row[0] for row in connection.execute(found).fetchall()] if found else []
    if texts:  # as two lists: handing over a table of Python's costs DuckDB the import of pandas
        connection.execute(f"insert into {_AGENTS} select unnest($texts::varchar[]), unnest($numbers::bigint[])",
                           {"texts": texts, "numbers": [agents.number(text) for text in texts]})


def reads_agents(transform: Transform) -> bool:
    """Whether the transform's expression looks user agents up, so that the connection must be prepared."""
    return transform.use in ("device_class", "browser")


def expression(column: Column, transform: Transform, value: str, today: date) -> str:
    """SQL for the transformed value of `value` (an expression of the column's type) as of the day `today`."""
    return _SQL[transform.use](column, transform, value, today)


def hashed(column: str, value: str) -> str:
    """SQL: the keyed hash of a value of the column of that name (both SQL), in the domain of the connection."""
    return keyed(f"encode({column} || ':' || {value})")


def _age_band(column: Column, transform: Transform, value: str, today: date) -> str:
    age = f"date_sub('year', {value}, date {quote_text(today.isoformat())})"
    bands = " ".join(f"when {age} between {low} and {high} then '{low}-{high}'" for low, high in AGE_BANDS)
    return f"case {bands} when {age} > {AGE_BANDS[-1][1]} then '{OLDEST}' end"


def _route(column: Column, transform: Transform, value: str, today: date) -> str:
    """The first part of a path if the contract lists it, else 'other': a path may hold a name, a search, an address."""
    first = f"lower(regexp_extract({value}, '^(?:https?://[^/]*)?/([^/?#]*)', 1))"
    known = ", ".join(map(quote_text, transform.values)) or "null"
    return f"case when {value} is null then null when {first} in ({known}) then {first} when {value} = '/' then 'home' else 'other' end"


def _known(value: str) -> str:
    """The number of a user agent: looked up, or else asked for."""
    return f"coalesce((select number from {_AGENTS} where agent = {value}), {_NUMBER}({value}))"


def _word(words: Sequence[str], position: str) -> str:
    return f"([{', '.join(map(quote_text, words))}])[{position} + 1]"


def words(column: Column, transform: Transform) -> tuple[str, ...]:
    """The texts that the transform makes of any value at all; none where they are the column's own and the contract lists none."""
    return {
        "keep": column.allowed,
        "age_band": (*(f"{low}-{high}" for low, high in AGE_BANDS), OLDEST),
        "route": (*transform.values, "home", "other"),
        "device_class": agents.DEVICE_CLASSES,
        "browser": agents.BROWSERS,
        "region": tuple(REGIONS),
    }.get(transform.use, ())


def _region(column: Column, transform: Transform, value: str, today: date) -> str:
    """The region of France of a postal code of five digits (C-2.3b); any other code is none. Corsica and overseas have codes of their own."""
    code = f"case when {value}[:2] in ('97', '98') then {value}[:3] else {value}[:2] end"
    cases = " ".join(f"when {code} in ({', '.join(map(quote_text, departments))}) then {quote_text(name)}" for name, departments in REGIONS.items())
    return f"case when not regexp_full_match({value}, '[0-9]{{5}}') then null {cases} end"


_SQL: Mapping[str, Callable[[Column, Transform, str, date], str]] = {
    "keep": lambda _c, _t, value, _d: value,
    "month": lambda _c, _t, value, _d: f"date_trunc('month', ({value})::date)::date",
    "paris_day": lambda _c, _t, value, _d: f"({value})::date",
    "presence": lambda _c, _t, value, _d: f"{value} is not null",
    "keyed_hash": lambda column, _t, value, _d: hashed(quote_text(column.name), value),
    "age_band": _age_band,
    "route": _route,
    "device_class": lambda _c, _t, value, _d: _word(agents.DEVICE_CLASSES, f"{_known(value)} // {len(agents.BROWSERS)}"),
    "browser": lambda _c, _t, value, _d: _word(agents.BROWSERS, f"{_known(value)} % {len(agents.BROWSERS)}"),
    "region": _region,
    "degree": lambda _c, _t, value, _d: f"floor({value})::bigint",
    "moment": lambda _c, _t, value, _d: value,
}
SUPPORTED = frozenset(_SQL) | {"pseudonym", "device"}  # these two come from the vault, not from the value
