"""No direct identifier in a mart: every text of every mart table is compared with those of the raw zone (C-3.3b).

Values are compared, not names of columns: a column called `label` may hold an e-mail address. What is looked for are the ids that the platform
gave out (members, devices); what a contract calls direct, where it is unmistakable (an address, a number, an account, or a text that is long); and
everything that looks like an e-mail address, a telephone number or an account number. A UUID is compared as the text that it is written as; a list,
a structure or bytes could hold a text that is compared with nothing, so a mart has none. A word that the rules write into marts for everybody
(direct, 18-24, mobile) tells nothing of a device that bears it as its id, and a name that several members write as something else, such as a
brand, tells nothing of who bears it: whoever names themself or their device so stops no build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.errors import Refused
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation.transforms import words

PLAIN = ("BOOLEAN", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "DATE", "TIMESTAMP WITH TIME ZONE")  # hold no text, and no identifier is one
LONG = 10  # letters of a name that is nobody else's word
EVERYBODYS = 2  # members who write a name as something else, such as a brand
_FORMS = ("contains(value, '@') or regexp_full_match(value, '[+][0-9 .()-]{8,24}') "
          "or regexp_full_match(value, '[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{2,4}){3,8}')")


def refuse_identifiers(connection: Connection, rulebook: Rulebook, alias: str, tables: Sequence[str], purpose: str | None = None) -> int:
    """Refuse a build attached as `alias` if a text in it is an identifier in the raw lake (`lake`); returns the texts compared. What an identified
    `purpose` keeps as it is (security: addresses) is not looked for in it."""
    _gather(connection, alias, tables)
    everybodys = {word for c in rulebook.contracts.values() for column in c.columns for t in column.transforms.values() for word in words(column, t)}
    connection.execute(f"create or replace temp table hits as select place, value, false as name from mart_texts where {_FORMS}")
    for contract, column, name in _identifiers(rulebook, purpose):
        raw = quote_name(column.name)
        connection.execute(f"""insert into hits select t.place, t.value, {name} from mart_texts as t semi join {raw_table(contract)} as r
            on r.{raw} = t.value where length(t.value) >= {LONG if name else 1} and not list_contains(?, t.value)""", [sorted(everybodys)])
    for place, ids, names in connection.execute("""select place, list(distinct value) filter (not name), list(distinct value) filter (name)
            from hits group by place order by place""").fetchall():
        told = {*(ids or ()), *(value for value in names or () if not _everybodys(connection, rulebook, value))}
        if told:
            raise Refused(f"Mart column {place} holds {len(told)} direct identifier{'s' if len(told) > 1 else ''}; the build is not published. "
                          "Find the model that lets it through in dbt_project/models.", "C-3.3b")
    row = connection.execute("select count(*) from mart_texts").fetchone()
    return int(row[0]) if row else 0


def _gather(connection: Connection, alias: str, tables: Sequence[str]) -> None:
    """Make `mart_texts` (place, value): each different text of each column; few, beside the rows of the raw zone that they are held against."""
    connection.execute("create or replace temp table mart_texts (place varchar, value varchar)")
    for table in tables:
        for column in _texts(connection, alias, table):
            connection.execute(f"insert into mart_texts select ?, v from (select distinct {quote_name(column)}::varchar as v from "
                               f"{alias}.main.{quote_name(table)}) where v is not null", [f"{table}.{column}"])


def _identifiers(rulebook: Rulebook, purpose: str | None) -> Iterator[tuple[Contract, Column, bool]]:
    """Columns whose values may stand in no mart; true: a name, which may also be a word."""
    identified = purpose is not None and rulebook.policy.purposes[purpose].identified
    for contract in rulebook.contracts.values():
        for column in contract.columns:
            made = column.transforms.get(purpose or "")
            if column.type != "VARCHAR" or column.allowed or (identified and made is not None and made.use == "keep"):
                continue
            if column.name in contract.person_columns:
                yield contract, column, False
            elif column.identifiability == "direct":
                yield contract, column, column.form not in ("email", "iban", "phone")


def _everybodys(connection: Connection, rulebook: Rulebook, value: str) -> bool:
    """Whether several members use the text as a value of a column that is kept for some purpose: then it names none of them."""
    for contract in rulebook.contracts.values():
        for column in contract.columns:
            if column.type != "VARCHAR" or column.name in contract.person_columns or all(t.use != "keep" for t in column.transforms.values()):
                continue
            row = connection.execute(f"select count(distinct {quote_name(contract.subjects[0].column)}) from {raw_table(contract)} "
                                     f"where {quote_name(column.name)} = ?", [value]).fetchone()
            if row and row[0] >= EVERYBODYS:
                return True
    return False


def _texts(connection: Connection, alias: str, table: str) -> list[str]:
    """The columns of texts; refused is a type that may hold one and is none."""
    rows = connection.execute("select column_name, data_type from duckdb_columns() where database_name = ? and table_name = ? order by column_index",
                              [alias, table]).fetchall()
    for column, kind in rows:
        if kind not in ("VARCHAR", "UUID", *PLAIN) and not re.fullmatch(r"DECIMAL\(\d+,\d+\)", kind):
            raise Refused(f"Mart column {table}.{column} is of a type in which no identifier can be looked for; the build is not published. "
                          "Make it a text, a number, a date, a truth value or a uuid.", "C-3.3b")
    return [column for column, kind in rows if kind in ("VARCHAR", "UUID")]
