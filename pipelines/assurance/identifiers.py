"""No direct identifier in a mart: every text of every mart table is compared with the identifiers of the raw zone (C-3.3b).

Values are compared, not names of columns: a column called `label` may hold an e-mail address. What is looked for are the ids that
the platform gave out (members, devices) and everything that looks like an e-mail address. A word that the rules write into marts for
everybody (direct, 18-24, mobile) tells nothing of a device that bears it as its id: whoever names theirs so stops no build.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import Refused
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation.transforms import words


def refuse_identifiers(connection: Connection, rulebook: Rulebook, alias: str, tables: Sequence[str]) -> int:
    """Refuse a build attached as `alias` if a text in it is an identifier in the raw lake (`lake`); returns the texts compared."""
    identifiers = " union ".join(
        f"select {quote_name(column)} as value from {raw_table(contract)} where {quote_name(column)} is not null"
        for contract in rulebook.contracts.values()
        for column in contract.person_columns)
    everybodys = {word for c in rulebook.contracts.values() for column in c.columns for t in column.transforms.values() for word in words(column, t)}
    connection.execute(f"create or replace temp table identifiers as select value from ({identifiers}) where not list_contains(?, value)",
                       [sorted(everybodys)])
    compared = 0
    for table in tables:
        for column in _texts(connection, alias, table):
            place = f"{alias}.main.{quote_name(table)}"
            row = connection.execute(f"""select count(*), count(*) filter (contains(v, '@') or v in (select value from identifiers))
                from (select distinct {quote_name(column)} as v from {place} where {quote_name(column)} is not null)""").fetchone()
            texts, found = row if row else (0, 0)
            compared += texts
            if found:
                raise Refused(f"Mart column {table}.{column} holds {found} direct identifier{'s' if found > 1 else ''}; the build is not published. "
                              "Find the model that lets it through in dbt_project/models.", "C-3.3b")
    return compared


def _texts(connection: Connection, alias: str, table: str) -> list[str]:
    rows = connection.execute("select column_name from duckdb_columns() where database_name = ? and table_name = ? and data_type like 'VARCHAR%'",
                              [alias, table]).fetchall()
    return [row[0] for row in rows]
