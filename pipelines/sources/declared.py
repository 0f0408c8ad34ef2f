"""What a contract says of its sources, read strictly: `logFormat`, `encoding` and `postgres`. A wrong word is one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.foundation.dates import Period
from pipelines.policy.contract_types import Contract
from pipelines.policy.documents import Reader
from pipelines.sources.log_format import log_format

ENCODINGS = ("windows-1252", "iso-8859-1", "iso-8859-15")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True)
class PostgresTable:
    """A table or view of which rows are fetched whose `cursor` (a time) is later than the latest one seen, less `late`."""

    schema: str
    table: str
    cursor: str
    late: Period


def check_source(contract: Contract) -> None:
    """Refuse a contract whose words about its sources cannot be meant."""
    log_format(contract)
    encoding(contract)
    postgres_table(contract)


def encoding(contract: Contract) -> str | None:
    """The encoding of the dataset's text files that are not UTF-8 (None: there are none such)."""
    if "encoding" not in contract.source:
        return None
    return Reader(dict(contract.source), contract.path).word("encoding", ENCODINGS)


def postgres_table(contract: Contract) -> PostgresTable | None:
    """Where PostgreSQL holds the dataset; None if the contract does not say."""
    if "postgres" not in contract.source:
        return None
    given = Reader(contract.source["postgres"], f"{contract.path}: postgres").only(("table", "cursor", "late"))
    names = given.text("table").split(".")
    if len(names) != 2 or not all(map(_NAME.fullmatch, names)):
        raise given.fail("'table' must be schema.table, such as public.members.")
    cursor = given.word("cursor", [c.name for c in contract.columns if c.type == "TIMESTAMPTZ"])
    if not contract.key:
        raise given.fail(f"'{contract.name}' has no primary key, so a row that is fetched twice could not be told from two.")
    return PostgresTable(*names, cursor, given.period(given.get("late", "P0D")))
