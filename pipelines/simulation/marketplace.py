"""A French second-hand marketplace, generated: the same arguments give the same bytes, on any number of threads.

The sources come in the formats a platform really leaves behind (NDJSON, CSV, Parquet, an access log), with what goes
wrong in them: `cases.py` lists every share and every defect. No clock is read; `end` is the last simulated day.
It does not know the rules of the policy beyond the calendar that its rare cases aim at, and shares no code with what it tests.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from pipelines.engines.duckdb_engine import connect
from pipelines.foundation.errors import Misuse
from pipelines.foundation.files import remove
from pipelines.simulation import accounts, acts, clock, consents, devices, events, forum, logs, members, offers, transactions
from pipelines.simulation.dice import Dice
from pipelines.simulation.world import ConsentWords, World

__all__ = ["DATASETS", "ConsentWords", "simulate"]

WRITERS: dict[str, Callable[[World, Path], int]] = {
    "members": members.write, "consents": consents.write, "usage_events": events.write,
    "forum_posts": forum.write, "transactions": transactions.write, "access_logs": logs.write,
    "offers": offers.write_offers, "comments": offers.write_comments, "messages": offers.write_messages, "ratings": offers.write_ratings,
    "social_links": accounts.write_social_links, "wallets": accounts.write_wallets, "verifications": accounts.write_verifications,
    "locations": accounts.write_locations, "disclosures": accounts.write_disclosures,
}
DATASETS = tuple(WRITERS)
LONGEST = ("usage_events", "consents")  # begun first, so that no thread is left alone with them
FILES = {
    "members": "members.ndjson", "consents": "consents.ndjson", "usage_events": "usage_events.parquet",
    "forum_posts": "forum_posts.csv", "transactions": "transactions.csv", "access_logs": "access.log",
    "offers": "offers.ndjson", "comments": "comments.csv", "messages": "messages.parquet", "ratings": "ratings.ndjson",
    "social_links": "social_links.ndjson", "wallets": "wallets.csv", "verifications": "verifications.ndjson",
    "locations": "locations.ndjson", "disclosures": "disclosures.csv",
}


OWN = {dataset: (file,) for dataset, file in FILES.items()} | {
    "truth": ("acts.ndjson", "gate.json", "ingest.json", "requests.json", "retention.json")}


def simulate(out: Path, members: int, days: int, seed: int, end: date, consent_words: ConsentWords, threads: int | None = None,
             told: str | None = None) -> dict[str, int]:
    """Write OUT/<dataset>/… for `days` days ending with `end`, and return the rows per dataset, defects and repeats included. With `told`, such as
    folder/file, OUT/folder/file too: what is done by command.

    Dataset folders that are there are replaced, each in one rename; other files under `out` stay. `threads` changes nothing but the time.
    """
    if members < 1 or days < 1:
        raise Misuse(f"A marketplace has at least 1 member and 1 day, not {members} and {days}. Example: kampeky simulate --members 1000 --days 60")
    if out.exists() and not out.is_dir():
        raise Misuse(f"{out} is a file; the datasets need a folder.")
    if not consent_words.express_methods or not consent_words.versions:
        raise Misuse("The policy names no express consent method or no version; the simulation needs one of each. See data_contracts/policy.yaml.")
    others = [path for folder, known in OWN.items() if (out / folder).is_dir() for path in sorted((out / folder).iterdir()) if path.name not in known]
    if others:
        raise Misuse(f"{others[0].parent} holds {len(others)} file{'s' if len(others) > 1 else ''} that no simulation wrote, and would be "
                     "replaced. Name an empty folder.")
    beside = out if out.is_dir() else out.parent  # where a rename stays on one disk, even if `out` is a mount
    beside.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".simulated.", dir=beside))
    try:
        rows = _generate(made, members, days, seed, end, consent_words, threads, told)
        out.mkdir(exist_ok=True)
        for folder in (*DATASETS, *([Path(told).parts[0]] if told else [])):
            _put_in_place(made / folder, out / folder, made / f"old-{folder}")
        return {dataset: rows[dataset] for dataset in DATASETS}
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _generate(made: Path, count: int, days: int, seed: int, end: date, words: ConsentWords, threads: int | None,
              told: str | None) -> dict[str, int]:
    """Write every dataset below `made`."""
    connection = connect(made / "spill", extensions=())
    try:
        # a join keeps the order of its left side, if the optimiser leaves it there
        connection.execute("set preserve_insertion_order = true; set disabled_optimizers = 'join_order,build_side_probe_side'")
        if threads is not None:
            connection.execute(f"set threads = {int(threads)}")
        world = World(connection, count, days, end, Dice(seed), words)
        for room in (clock, members, devices, consents, events, forum, transactions, logs, offers):
            room.prepare(world)
        if told:
            (made / told).parent.mkdir()
            acts.write(world, made / told)
        return _write(world, made)
    finally:
        connection.close()


def _write(world: World, made: Path) -> dict[str, int]:
    """Each dataset by one thread, several at a time: a writer that need not bring the work of many threads into order costs half as much."""
    row = world.connection.execute("select current_setting('threads')").fetchone()
    world.connection.execute("set threads = 1")

    def write(dataset: str) -> tuple[str, int]:
        (made / dataset).mkdir()
        return dataset, WRITERS[dataset](world.apart(), made / dataset)

    with ThreadPoolExecutor(int(row[0]) if row else 1) as pool:
        return dict(pool.map(write, sorted(DATASETS, key=lambda dataset: dataset not in LONGEST)))


def _put_in_place(made: Path, target: Path, aside: Path) -> None:
    """Rename a finished folder to `target`; what stood there goes. Nobody waits for the disk: a marketplace can be made again."""
    if target.exists():
        target.rename(aside)
    made.rename(target)
    remove(aside)
