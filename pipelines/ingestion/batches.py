"""The register of batches, and what of a file is new: each row is loaded once, however often and in however many copies it comes.

A batch is known by a keyed digest of its content. Rows of a dataset with a key are known by it, whatever file they come in. Lines of a
log have no key, and two equal ones may both have happened, so there the file is the measure: one that begins with the whole of a
file loaded before is that file grown, and only what is behind is read; one that only begins like it is refused, because nobody
could say which of its rows were counted already.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipelines.engines.duckdb_engine import Connection
from pipelines.foundation.errors import Refused
from pipelines.ingestion.balance import Balance
from pipelines.lake.tables import BATCHES, batches_table
from pipelines.policy.contract_types import Contract
from pipelines.sources.declared import encoding
from pipelines.sources.files import fingerprint, is_parquet
from pipelines.sources.lines import Outline, digests_at, outline


@dataclass(frozen=True)
class Batch:
    """One landed file. Of a log also what it takes to know it again when it has grown: bytes, lines, whether the last line was finished, and
    a keyed digest of the first."""

    id: str
    as_of: datetime
    balance: Balance
    size: int | None = None
    lines: int | None = None
    finished: bool | None = None
    head: str | None = None


@dataclass(frozen=True)
class Reading:
    """What of a file is to be read. `known` rows before line `after` are; so are those of `parts` (batches whose lines it repeats) that are
    still stored, if the file is replayed for an earlier day; the last line of `unfinished` is read anew and takes that one's place. With
    `repeats` the source is known to give rows again: one that stands in quarantine already is known too."""

    batch: str
    outline: Outline | None = None
    head: str | None = None
    parts: tuple[Batch, ...] = ()
    known: int = 0
    after: int = 0
    replay: bool = False
    repeats: bool = False
    unfinished: Batch | None = None


def batch_id(secret: bytes, dataset: str, digest: str) -> str:
    """The opaque id of a batch: a keyed digest, so that it says nothing about a file to who has no key."""
    return hmac.new(secret, f"{dataset}\0{digest}".encode(), hashlib.sha256).hexdigest()[:24]


@dataclass(frozen=True)
class Identity:
    """A file as the register knows it."""

    batch: str
    outline: Outline | None = None
    head: str | None = None

    @property
    def size(self) -> int:
        return self.outline.size if self.outline else 0


def identify(secret: bytes, contract: Contract, path: Path) -> Identity:
    if contract.key or is_parquet(path):
        # read in another encoding than before, it is another batch: of its rows those that were read are known by their keys
        return Identity(batch_id(secret, contract.name, f"{fingerprint(path)}{encoding(contract) or ''}"))
    seen = outline(path)
    return Identity(batch_id(secret, contract.name, seen.digest), seen, seen.head and batch_id(secret, contract.name, seen.head))


def reading(secret: bytes, contract: Contract, path: Path, given: Identity, landed: Sequence[Batch], as_of: datetime) -> Reading | Balance:
    """What is to be read of `path`, as of `as_of`; the balance of it if there is nothing to read. `landed`: the dataset's batches.

    A file of which rows were refused as due is read again when it is replayed for an earlier day: what was due then need not be on its own.
    """
    parts = _parts(secret, contract, path, given, landed)
    longest = max(parts, key=lambda part: (part.id == given.batch, part.size or 0), default=None)
    if any(part.balance.refused and part.as_of > as_of for part in parts):
        return Reading(given.batch, given.outline, given.head, parts, replay=True, unfinished=_unfinished(longest, given))
    if longest is None:
        return Reading(given.batch, given.outline, given.head)
    if longest.id == given.batch:
        return Balance(contract.name, read=longest.balance.read, already_known=longest.balance.read)
    again = _unfinished(longest, given)
    less = 1 if again else 0
    return Reading(given.batch, given.outline, given.head, parts, longest.balance.read - less, (longest.lines or 0) - less, unfinished=again)


def _unfinished(longest: Batch | None, given: Identity) -> Batch | None:
    return longest if longest and longest.finished is False and longest.id != given.batch else None


def _parts(secret: bytes, contract: Contract, path: Path, given: Identity, landed: Sequence[Batch]) -> tuple[Batch, ...]:
    """The batches whose rows stand in this file again: itself, and of a log each that it begins with."""
    if given.outline is None:
        return tuple(batch for batch in landed if batch.id == given.batch)
    size = given.outline.size
    like = [batch for batch in landed if batch.size and (not batch.head or not given.head or batch.head == given.head)]
    known = {batch.id for batch in like}
    shorter = [batch.size for batch in like if batch.size and batch.size < size]
    starts = {batch_id(secret, contract.name, digest) for digest in digests_at(path, shorter).values()} if shorter else set()
    parts = tuple(batch for batch in like if batch.id == given.batch or batch.id in starts & known)
    strange = [batch for batch in like if given.head and batch.head == given.head and batch not in parts]
    if strange and not any(batch.id == given.batch for batch in parts):
        raise Refused(f"{path} begins like a file of '{contract.name}' that was loaded already, but is not that file grown: it is a shorter copy, or "
                      "differs further on, so rows would count twice. Give the newest copy of that file, or a file of the rows that are "
                      "new; nothing of it was loaded.", "each row once")
    return parts


def register(connection: Connection, given: Reading, balance: Balance, as_of: datetime) -> None:
    """Write the batch down, in place of what stood there if it is replayed."""
    seen = given.outline
    connection.execute(f"delete from {batches_table()} where batch = ?", [given.batch])
    connection.execute(f"insert into {batches_table()} ({', '.join(BATCHES)}) values ({', '.join('?' * len(BATCHES))})",
                       [given.batch, balance.source, as_of, balance.read, balance.loaded, balance.quarantined, balance.refused, balance.already_known,
                        json.dumps(balance.as_dict()["reasons"]), seen.size if seen else None, seen.lines if seen else None,
                        seen.finished if seen else None, given.head])


def restate(connection: Connection, batch: Batch, balance: Balance) -> Batch:
    """Write down another balance of a landed batch."""
    counts = balance.as_dict()
    connection.execute(f"update {batches_table()} set loaded = ?, quarantined = ?, refused = ?, already_known = ?, reasons = ? where batch = ?",
                       [*(counts[name] for name in ("loaded", "quarantined", "refused", "already_known")), json.dumps(counts["reasons"]), batch.id])
    return replace(batch, balance=balance)


def registered(connection: Connection, dataset: str | None = None) -> list[Batch]:
    """Every batch that was landed (of `dataset`), the oldest first."""
    rows: Iterable[tuple] = connection.execute(
        "select batch, as_of, size, lines, finished, head, dataset, read, loaded, quarantined, refused, already_known, reasons "
        f"from {batches_table()} where dataset = coalesce($1, dataset) order by as_of, batch", [dataset]).fetchall()
    return [Batch(batch, as_of, Balance(*counts, json.loads(reasons)), size, lines, finished, head)
            for batch, as_of, size, lines, finished, head, *counts, reasons in rows]
