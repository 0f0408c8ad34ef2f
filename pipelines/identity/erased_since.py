"""What was erased after a backup was made, beside that backup: so that what it brings back goes again (C-11.3, C-10.6).

`backups/NAME.erased.age` holds the tombstones (keyed hashes) of every erasure that was begun since, and their requests, sealed for the backup's own
key: it ends with it. It is written before an erasure takes anything away. In a restored vault `vault.restored` is what is still to go again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pipelines.engines.duckdb_engine import Connection, has_table
from pipelines.evidence import ledger
from pipelines.evidence.ledger import Entry
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import write_atomically
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.tombstones import hashed
from pipelines.lake import backups, sealing
from pipelines.lake.backups import Backup

BEGUN, DONE, RESTORED = "erasure begun", "erasure", "restored"
TABLE = "vault.restored"
NAMED = "restored_names"  # (kind, value): of the values that were asked about, those that a restored backup brought back
Tombstone = tuple[str, str, str, str]  # kind, hash, erased_at, expires_on


@dataclass(frozen=True)
class Since:
    """Requests of the erasures that were begun since a backup was made, and the tombstones of whom they concerned."""

    requests: frozenset[str] = frozenset()
    tombstones: frozenset[Tombstone] = frozenset()

    def text(self, name: str) -> str:
        return json.dumps({"backup": name, "requests": sorted(self.requests), "tombstones": sorted(self.tombstones)})

    @classmethod
    def read(cls, text: str, name: str) -> Since:
        """KampekyError where it is not of that backup."""
        try:
            told = json.loads(text)
            if told["backup"] != name:
                raise ValueError
            found = cls(frozenset(map(str, told["requests"])), frozenset((str(k), str(h), str(e), str(x)) for k, h, e, x in told["tombstones"]))
            for _, _, erased_at, expires_on in found.tombstones:
                datetime.fromisoformat(erased_at), date.fromisoformat(expires_on)
            return found
        except (ValueError, KeyError, TypeError):
            raise KampekyError(f"{name}.erased.age does not say what was erased since that backup was made. Nothing was restored. Take another copy "
                               "of it, or another backup.") from None


def standing(entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries without those of acts that a restore undid: written after the backup was made and before it was restored."""
    gaps = [(entry.facts["from_seq"], entry.seq) for entry in entries if entry.act == RESTORED]
    return (entry for entry in entries if not any(begin < entry.seq < end for begin, end in gaps))


def write(connection: Connection, home: Home, why: str) -> None:
    """Bring the file beside every backup up to date; the vault is attached, and the locks of all stores are held."""
    with locked(home, backups.LOCK, why):
        whole = backups.stock(home).whole
        if not whole:
            return
        begun, at = [entry for entry in ledger.read(home) if entry.act == BEGUN], backups.positions(home)
        for backup in whole:
            new = [entry for entry in begun if entry.seq > at.get(backup.name, 0)]
            known = _known(home, backup)
            since = Since(known.requests | {entry.facts["request"] for entry in new},
                          known.tombstones | _of(connection, [datetime.fromisoformat(entry.as_of) for entry in new]))
            if since != known:
                write_atomically(backups.erased_file(home, backup.name), sealing.seal_text(backup.recipient, since.text(backup.name)), 0o600)


def _known(home: Home, backup: Backup) -> Since:
    """What the file says already: under a ledger that was lost nobody else knows it. One that cannot be read is written anew."""
    try:
        key = sealing.read_key(backups.key_file(home, backup.name))
        return Since.read(sealing.open_text(key, backups.erased_file(home, backup.name).read_bytes(), "it"), backup.name)
    except (KampekyError, OSError):
        return Since()


def _of(connection: Connection, moments: Sequence[datetime]) -> frozenset[Tombstone]:
    """The tombstones of erasures of those moments, and those that a restore under way still has to make up for."""
    again = f"union select kind, hash, erased_at, expires_on from {TABLE}" if has_table(connection, "vault", "restored") else ""
    rows = connection.execute("select kind, hash::varchar, erased_at, expires_on from (select kind, hash, erased_at, expires_on from "
                              f"vault.tombstones where list_contains(?::timestamptz[], erased_at) {again})", [list(moments)]).fetchall()
    return frozenset((kind, name, erased_at.isoformat(), expires_on.isoformat()) for kind, name, erased_at, expires_on in rows)


def bring_in(connection: Connection, since: Since) -> None:
    """Into the vault of a backup, attached to write: from here on nothing of theirs comes in, and what the backup holds of them is to go."""
    connection.execute(f"create table if not exists {TABLE} (kind varchar not null, hash uuid not null, erased_at timestamptz not null, "
                       "expires_on date not null, primary key (kind, hash))")
    connection.execute(f"delete from {TABLE}")
    for tombstone in sorted(since.tombstones):
        connection.execute(f"insert or replace into {TABLE} values (?, ?, ?, ?)", list(tombstone))
    again(connection)


def again(connection: Connection) -> None:
    """The tombstones as they were made: what came after those erasures is new."""
    connection.execute(f"insert or replace into vault.tombstones select kind, hash, erased_at, expires_on from {TABLE}")


def last_moment(connection: Connection) -> datetime | None:
    """When the last of the erasures that are to be made up for was; none: there is none."""
    return connection.execute(f"select max(erased_at) from {TABLE}").fetchall()[0][0]


def mark_named(connection: Connection, asked: str) -> int:
    """Make `restored_names` of the query `asked` (kind, value): those that are to go again; how many. The key of the tombstones is in use."""
    connection.execute(f"""create or replace temp table {NAMED} as select distinct q.kind, q.value from
        (select distinct kind, value from ({asked}) where value is not null) as q join {TABLE} as t on t.kind = q.kind and
        t.hash = {hashed('q.kind', 'q.value')}""")
    return int(connection.execute(f"select count(*) from {NAMED}").fetchall()[0][0])


def settle(connection: Connection) -> None:
    """All of it has gone again."""
    connection.execute(f"drop table if exists {TABLE}")
