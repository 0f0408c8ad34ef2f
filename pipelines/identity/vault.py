"""The vault: one encrypted DuckDB file with each subject's salt, refusals and requests, apart from every lake (C-3.3b).

Destroying a subject's salt makes every pseudonym of theirs impossible to compute again. Visitors have salts of their own, by the cookie of
their device, so nothing that is made of one can be joined to what is made of a member's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.evidence import ledger, provenance
from pipelines.foundation.errors import Unavailable
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import Keyring
from pipelines.lake.purge import rewrite_file
from pipelines.lake.store import explain

SALT_BYTES = 16
# acts after which the vault holds what must not be forgotten
_WRITTEN = ("build", "request received", "hold placed", "disclosure begun", "erasure begun")
TABLES = """
create table if not exists vault.subjects (member_id varchar primary key, salt blob not null);
create table if not exists vault.visitors (device_id varchar primary key, salt blob not null);
create table if not exists vault.refusals (request_id varchar, member_id varchar not null, kind varchar not null, purpose varchar,
    since timestamptz not null);
create table if not exists vault.requests (request_id varchar primary key, "right" varchar not null, member_id varchar not null, purpose varchar,
    received_at timestamptz not null, due date not null, state varchar not null, package varchar, package_expires timestamptz);
create table if not exists vault.domains (purpose varchar primary key, key_check varchar not null);
create table if not exists vault.addresses (member_id varchar not null, channel varchar not null, consent_at timestamptz not null,
    address varchar, primary key (member_id, channel));
create table if not exists vault.handovers (disclosure_id varchar primary key, purpose varchar not null, package varchar not null,
    package_expires timestamptz not null);
create table if not exists vault.holds (hold_id varchar primary key, dataset varchar not null, record_key varchar not null, reason varchar not null,
    placed_at timestamptz not null, review_on date not null, lifted_at timestamptz);
create table if not exists vault.tombstones (kind varchar not null, hash uuid not null, erased_at timestamptz not null, expires_on date not null,
    primary key (kind, hash));
create table if not exists vault.forgotten (before timestamptz not null);
create table if not exists vault.approvals (request_id varchar not null, part varchar not null, name varchar not null, given_at timestamptz not null,
    plan varchar, primary key (request_id, part));
create table if not exists vault.erasing (request_id varchar not null, member_id varchar not null, kind varchar not null, value varchar not null);
create table if not exists vault.batches (request_id varchar not null, member_id varchar not null, primary key (request_id, member_id));
create table if not exists vault.certificates (request_id varchar primary key, content varchar not null, made_at timestamptz not null,
    expires_on date not null);
"""


@contextmanager
def opened_vault(home: Home, why: str, write: bool = False) -> Iterator[Connection]:
    """A connection with the vault attached as `vault`, under its lock."""
    home.require()
    with locked(home, "vault", why, exclusive=write):
        connection = engine.connect(home.tmp, extensions=("httpfs",))
        try:
            attach_vault(connection, home, write)
            yield connection
        finally:
            connection.close()


def attach_vault(connection: Connection, home: Home, write: bool) -> None:
    """Attach the vault as `vault`; the caller holds its lock. A writer makes it where it is missing, a reader makes it empty."""
    key = Keyring(home).get("vault")
    fresh = not home.vault.exists()
    if fresh and any(entry.act in _WRITTEN for entry in ledger.read(home)):
        raise Unavailable(f"{home.vault} is gone: salts, objections, restrictions and holds stood in it, and without them nobody may be profiled or "
                          "deleted. Restore it from a backup (C-3.3b, C-10.5).")
    options = f"encryption_key {quote_text(key)}" + ("" if write or fresh else ", read_only")
    try:
        connection.execute(f"attach {quote_text(str(home.vault))} as vault ({options})")
        if write or fresh:
            connection.execute(TABLES)
    except engine.Error as error:
        raise explain(error, home.vault, "vault") from None
    if fresh:
        home.vault.chmod(0o600)
        connection.execute("checkpoint vault")
        provenance.made(home.vault, whole=False)


def give_salts(connection: Connection, members: str) -> int:
    """Give a random salt to each member of the query `members` (one column member_id) that has none; returns how many were new."""
    return _give(connection, "subjects", "member_id", members)


def give_visitor_salts(connection: Connection, devices: str) -> int:
    """The same for visitors: the query `devices` (one column device_id) names the devices of rows without a member."""
    return _give(connection, "visitors", "device_id", devices)


def _give(connection: Connection, table: str, column: str, query: str) -> int:
    import pyarrow as pa

    connection.execute(f"create or replace temp table saltless as select distinct q.{column} as id from ({query}) as q "
                       f"where q.{column} is not null and not exists (select 1 from vault.{table} as s where s.{column} = q.{column})")
    count = _count(connection, "saltless")
    # the system's generator, in one draw: DuckDB's random functions are not made for secrets
    salts = pa.Array.from_buffers(pa.binary(SALT_BYTES), count, [None, pa.py_buffer(os.urandom(SALT_BYTES * count))])
    connection.register("salts", pa.table({"n": pa.array(range(1, count + 1), pa.int64()), "salt": salts}))
    connection.execute(f"insert into vault.{table} select m.id, s.salt from "
                       "(select id, row_number() over (order by id) as n from saltless) as m join salts as s using (n)")
    connection.execute("drop table saltless")
    connection.unregister("salts")
    return count


def rewrite_vault(home: Home, why: str) -> None:
    """Copy the vault into a fresh file, so that what was deleted from it leaves the disk."""
    if home.vault.exists():
        with locked(home, "vault", why):
            connection = engine.connect(home.tmp, extensions=("httpfs",))
            try:
                rewrite_file(connection, home.vault, Keyring(home).get("vault"))
            finally:
                connection.close()


def _count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
