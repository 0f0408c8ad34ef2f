"""What a zone was built from, kept in its own lake (schema `state`): so that the next build does the work of the days between.

Pseudonyms and counts only, no id. It says as of when and by which rules the zone was built, a digest of what each subject may be in for, and how
far each raw table was read: DuckLake gives every row a number that it keeps when files are rewritten, so rows with a higher one are new.
What the state cannot explain makes it unusable, and the zone is built whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection, version
from pipelines.evidence import ledger
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.home import Home
from pipelines.lake.store import ALIAS, tables_of
from pipelines.lake.tables import batches_table, raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Purpose, Rulebook

SCHEMA, ZONE = "state", "zone"
TABLES = {
    "build": {"as_of": "TIMESTAMPTZ", "rules": "VARCHAR", "acts": "BIGINT"},
    "subjects": {"pseudonym": "UUID", "digest": "UBIGINT"},
    "sources": {"dataset": "VARCHAR", "identity": "VARCHAR", "next_row": "BIGINT", "rows": "BIGINT"},
    "open_days": {"dataset": "VARCHAR", "paris_day": "DATE"},
}
# the act that takes rows out of raw which the gate or the zone's own days leave out, too
EXPLAINED = "retention begun"
_CODE = ("pseudonymisation", "eligibility", "identity/pseudonyms.py", "policy/due.py", "foundation/dates.py")


@dataclass(frozen=True)
class Mark:
    """How far a raw table was read: which table it was, the number of the next row, and how many rows it had."""

    identity: str
    next_row: int
    rows: int


@dataclass(frozen=True)
class State:
    """The last build of a zone; `open_days` per dataset: days of a line that was not finished when it was read."""

    as_of: datetime
    rules: str
    acts: int
    sources: dict[str, Mark]
    open_days: dict[str, set[date]]


def table(name: str) -> str:
    return f"{ZONE}.{SCHEMA}.{name}"


def read(connection: Connection) -> State | None:
    """What the zone says of its last build; None if it says nothing."""
    there = {name for schema, name in tables_of(connection, ZONE) if schema == SCHEMA}
    if not TABLES.keys() <= there:
        return None
    build = connection.execute(f"select epoch_us(as_of), rules, acts from {table('build')}").fetchall()
    if len(build) != 1:
        return None
    (instant, rules, acts), open_days = build[0], dict[str, set[date]]()
    for dataset, day in connection.execute(f"from {table('open_days')}").fetchall():
        open_days.setdefault(dataset, set()).add(day)
    sources = {row[0]: Mark(*row[1:]) for row in connection.execute(f"from {table('sources')}").fetchall()}
    return State(_instant(instant), rules, acts, sources, open_days)


def write(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, rules: str) -> None:
    """Put down what the zone was built from now, within the zone's transaction; needs `digests`, as `digest` makes it."""
    connection.execute(f"create schema if not exists {ZONE}.{SCHEMA}")
    for name, columns in TABLES.items():
        connection.execute(f"create or replace table {table(name)} ({', '.join(f'{c} {kind}' for c, kind in columns.items())})")
    connection.execute(f"insert into {table('build')} values (?, ?, ?)", [as_of, rules, acts(home)])
    connection.execute(f"insert into {table('subjects')} select pseudonym, digest from digests")
    for contract in rulebook.entering(purpose.name):
        mark = source(connection, contract)
        connection.execute(f"insert into {table('sources')} values (?, ?, ?, ?)", [contract.name, mark.identity, mark.next_row, mark.rows])
        if contract.clock and not contract.key:
            connection.execute(f"""insert into {table('open_days')} select distinct {contract.name!r}, r.paris_day from {raw_table(contract)} as r
                join {batches_table()} as b on b.dataset = {contract.name!r} and not b.finished and b.batch = r._batch and b.lines = r._line""")


def forget(connection: Connection) -> None:
    """Make the next build a whole one."""
    if read(connection):
        connection.execute(f"delete from {table('build')}")


def digest(connection: Connection, standing: str, until: datetime) -> None:
    """Make `digests` (pseudonym, digest): of each subject what they may be in for, grants that run since `until` at the latest."""
    connection.execute(f"""create or replace temp table digests as
        select pseudonym, bit_xor(hash(kind, device, epoch_us(since))) as digest from ({standing})
        where pseudonym is not null and (since is null or since <= $until) group by pseudonym""", {"until": until})


def mark_changed(connection: Connection) -> tuple[int, int]:
    """Make `changed` (pseudonym): who came, left, or rests on other grants than `digests` say; returns how many they are, and how many of all."""
    connection.execute(f"""create or replace temp table changed as select coalesce(o.pseudonym, n.pseudonym) as pseudonym
        from {table('subjects')} as o full outer join digests as n on n.pseudonym = o.pseudonym where o.digest is distinct from n.digest""")
    found = connection.execute("select (select count(*) from changed), (select count(*) from digests)").fetchall()[0]
    return found[0], found[1]


def source(connection: Connection, contract: Contract) -> Mark:
    """How far the raw table of the dataset can be read now, by DuckLake's own catalog."""
    meta = f"__ducklake_metadata_{ALIAS}"
    row = connection.execute(f"""
        select t.table_uuid::varchar, coalesce(s.next_row_id, 0),
               coalesce((select sum(f.record_count - coalesce(d.gone, 0)) from {meta}.ducklake_data_file as f
                         left join (select data_file_id, sum(delete_count) as gone from {meta}.ducklake_delete_file
                                    where end_snapshot is null group by 1) as d on d.data_file_id = f.data_file_id
                         where f.table_id = t.table_id and f.end_snapshot is null), 0)::bigint
        from {meta}.ducklake_table as t join {meta}.ducklake_schema as n on n.schema_id = t.schema_id and n.end_snapshot is null
        left join {meta}.ducklake_table_stats as s on s.table_id = t.table_id
        where t.end_snapshot is null and n.schema_name = 'main' and t.table_name = ?""", [contract.name]).fetchall()
    return Mark(*row[0])


def days_of_files_since(connection: Connection, contract: Contract, next_row: int) -> list[date]:
    """The days of those files of a raw table laid out by day that may hold rows with this number or a higher one."""
    meta = f"__ducklake_metadata_{ALIAS}"
    rows = connection.execute(f"""
        select distinct try_cast(v.partition_value as date) from {meta}.ducklake_table as t
        join {meta}.ducklake_schema as n on n.schema_id = t.schema_id and n.end_snapshot is null and n.schema_name = 'main'
        join {meta}.ducklake_data_file as f on f.table_id = t.table_id and f.end_snapshot is null
        left join {meta}.ducklake_file_partition_value as v on v.data_file_id = f.data_file_id
        where t.end_snapshot is null and t.table_name = ? and (f.row_id_start is null or f.row_id_start + f.record_count > ?)""",
                              [contract.name, next_row]).fetchall()
    return sorted(row[0] for row in rows if row[0])


def acts(home: Home) -> int:
    """How many acts the ledger holds."""
    return len(ledger.read(home))


def explained(home: Home, before: State, as_of: datetime) -> bool:
    """Whether the acts since are of the kinds that take rows out of raw which a build as of `as_of` leaves out of the zone, too."""
    since = [entry for entry in ledger.read(home)[before.acts:] if entry.act == EXPLAINED]
    return bool(since) and all(parse_as_of(entry.as_of) <= as_of for entry in since)


def fingerprint(connection: Connection, rulebook: Rulebook, purpose: Purpose) -> str:
    """One digest over the rules, the code and the secret that a zone is made with: another one makes another zone."""
    check = connection.execute("select key_check from vault.domains where purpose = ?", [purpose.name]).fetchone()
    return hashlib.sha256(repr((rulebook, purpose.name, check, version(), _code())).encode()).hexdigest()


@cache
def _code() -> str:
    room = Path(__file__).resolve().parents[1]
    files = sorted(path for name in _CODE for path in ([room / name] if name.endswith(".py") else (room / name).glob("*.py")))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
