"""What of a member stands on the internet: the records that search engines are asked to forget when the member is erased (C-6, C-11.3).

The platform knows records, not the addresses of pages; who runs the site makes those of the list and hands them to the search engines. It can be
asked for until the erasure begins: afterwards nobody knows whose the records were.
"""

from __future__ import annotations

from typing import Any

from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.lake.store import ALIAS, tables_of
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.retention.scope import DUE_ACCOUNTS


def public_records(connection: Connection, rulebook: Rulebook) -> list[dict[str, str]]:
    """(dataset, key) of each record of those in `due_accounts` that everybody can read; raw is attached."""
    return [{"dataset": contract.name, "key": key} for contract in _public(connection, rulebook)
            for (key,) in connection.execute(f"select {quote_name(contract.key[0])}::varchar {_theirs(contract)} order by 1").fetchall()]


def count_public(connection: Connection, rulebook: Rulebook) -> list[dict[str, Any]]:
    """How many each dataset has, without those that have none."""
    counted = [(contract.name, connection.execute(f"select count(*) {_theirs(contract)}").fetchall()[0][0])
               for contract in _public(connection, rulebook)]
    return [{"dataset": name, "records": count} for name, count in counted if count]


def _public(connection: Connection, rulebook: Rulebook) -> list[Contract]:
    there = {name for schema, name in tables_of(connection, ALIAS) if schema == "main"}
    return [contract for contract in rulebook.contracts.values() if contract.name in there and contract.subjects and len(contract.key) == 1
            and any(column.visibility == "public" for column in contract.columns)]


def _theirs(contract: Contract) -> str:
    named = " or ".join(f"r.{quote_name(subject.column)} in (select member_id from {DUE_ACCOUNTS})" for subject in contract.subjects)
    return f"from {raw_table(contract)} as r where {named}"
