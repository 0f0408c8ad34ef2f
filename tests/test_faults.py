"""A run that is killed at any moment, or finds the disk full, or is not alone, is finished by the next one; until then nothing is called done.

`faults.py` kills. Here stand the worlds, what is run on them, and what must be true after a kill (nothing says done that is not) and after the next
run: every zone holds what it holds after an undisturbed one, by a digest of its rows, no file is left over, and the ledger tells of it once. Which
steps are tried follows from a seed; a failure names it (FAULTS_SEED=… makes it again). `make test-faults` tries hundreds, `make test` a handful.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from faults import DATASETS, PURPOSE, Run, Server, state_of, until
from small_market import Market, at, database, fill_zone, key, lake, new_home, pseudonyms, query, stamp, vault, without_the_second_opinion, zone_hash
from small_project import small_project

from pipelines.evidence import ledger, provenance
from pipelines.foundation.home import Home
from pipelines.identity.vault import rewrite_vault
from pipelines.lake import extracts
from pipelines.lake.purge import purge
from pipelines.lake.store import purpose_lake, raw_lake
from pipelines.workflows import build as building
from pipelines.workflows import erasure, holds, requests, retention
from pipelines.workflows.ingest import ingest_folder
from pipelines.workflows.rules import rules
from pipelines.workflows.status import status
from pipelines.workflows.verify import verify

SEED = int(os.environ.get("FAULTS_SEED", "20260410"))
ME, MINE = "kqxgone-id", ("kqxgone", "kqxown-device")
LOADED, FILLED, ASKED, LATER, DUE = "2026-03-01", "2026-03-02", "2026-03-05 12:00", "2026-03-20", "2026-06-20"


# ------------------------------------------------------------------ worlds, and what is run on them: within the server


def market(home: Home) -> None:
    """A member who has a part everywhere, an account that ends, days that are over, records set aside and held, and files taken out."""
    made = Market("s").member(ME, member_name="kqxgonename", email="kqxgone@exemple.fr").member("stays-id").member("third-id")
    made.member("ends-id", deleted_at=stamp("2026-02-20"), updated_at=stamp("2026-02-21"))
    for member, device in ((ME, "kqxown-device"), ("stays-id", "d2"), ("ends-id", "d3")):
        made.consent(member, device, "granted", "2025-06-01").event("e", member, device, "2026-02-20")
    made.event("visitor", None, "kqxown-device", "2026-02-21", "necessary").event("old", "stays-id", "d2", "2025-03-10", "necessary")
    made.post("p1", ME, "both", "2026-02-10").post("p2", "stays-id", "both", "2026-02-10", body="@kqxgonename, kqxgone@exemple.fr : salut")
    made.post("p3", ME, "alone", "2026-02-10").post("p4", "ends-id", "ends", "2026-02-10")
    for name, buyer, seller, when in (("t1", ME, "stays-id", "2026-02-10"), ("t2", "ends-id", ME, "2026-02-10"), ("t3", ME, "third-id", "2026-02-11"),
                                      ("t4", "stays-id", "third-id", "2025-03-10"), ("t5", "third-id", "stays-id", "2026-02-11")):
        made.sale(name, buyer, seller, when)
    made.line(ME, "2026-02-20").line("stays-id", "2026-02-20", f"/membres/{ME}").line(None, "2026-02-20")
    made.post("q1", ME, "bad", "2026-02-10", posted_at="yesterday").post("q2", "stays-id", "bad", "2026-02-10", posted_at="yesterday")
    made.broken("forum_posts", f'{{"post_id": "q3", "author_id": "{ME}", "body": "the end is missing').load(home, LOADED)
    fill_zone(home, PURPOSE, FILLED)
    holds.place(home, "transactions", "t3", "claim 7", date(2027, 1, 1), at(LOADED))
    requests.process(home, requests.open_request(home, "portability", ME, None, at(FILLED))["request_id"], at(FILLED))
    for name, member in (("hers.csv", ME), ("others.csv", "stays-id")):
        _extract(home, name, str(pseudonyms(home, PURPOSE)[member]))


def _extract(home: Home, name: str, member: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    extracts.keep(home, extracts.Extract(name, PURPOSE, "a run", ("a mart",), date(2026, 3, 2), date(2027, 1, 1)),
                  lambda path: path.write_text(f"pseudonym\n{member}\n"), lambda path: pq.write_table(pa.table({"pseudonym": [member]}), path))


def prepare(home: Home) -> None:
    market(new_home(home.root))


def ask(home: Home, members: list[str], day: str = ASKED, approved: bool = True) -> str:
    opened = requests.open_request(home, "erasure", members[0] if len(members) == 1 else members, None, at(day), "opener")["request_id"]
    if approved:
        erasure.approve(home, opened, "second person", at(day))
    return opened


def process(home: Home, request: str, day: str = ASKED) -> str:
    return str(requests.process(home, request, at(day))["state"])


def plan(home: Home, day: str = DUE) -> str:
    return str(retention.plan(home, at(day))["hash"])


def apply(home: Home) -> int:
    """The plan that lies in the home."""
    (path,) = home.plans.glob("[!.]*.json")
    return int(retention.apply(home, path)["left"])


def plan_and_apply(home: Home, day: str = DUE) -> int:
    return int(retention.apply(home, Path(retention.plan(home, at(day))["plan"]))["left"])


def ingest(home: Home, folder: str) -> dict[str, int]:
    with without_the_second_opinion():
        return {balance["source"]: balance["loaded"] for balance in ingest_folder(home, Path(folder), at(LATER))}


def purge_all(home: Home) -> None:
    purge(raw_lake(home), "a test")
    purge(purpose_lake(home, PURPOSE), "a test")


def residue(home: Home) -> bool:
    return bool(verify(home, "residue", None)["ok"])


def build(home: Home) -> list[str]:
    return [one["purpose"] for one in building.build(home, at(FILLED), [PURPOSE])]


ACTS: dict[str, Callable[..., Any]] = {
    "prepare": prepare, "ask": ask, "process": process, "plan": plan, "apply": apply, "plan_and_apply": plan_and_apply, "ingest": ingest,
    "purge": purge_all, "rewrite_vault": lambda home: rewrite_vault(home, "a test"), "residue": residue, "build": build,
    "fill": lambda home, day=FILLED: bool(fill_zone(home, PURPOSE, day)), "status": lambda home: status(home, at(DUE)),
    "certificate": lambda home, request: erasure.certificate_of(home, request)[0],
    "approve": lambda home, request: erasure.approve(home, request, "second person", at(ASKED))["state"],
}


# ------------------------------------------------------------------ what a home holds, and what is left over


def content(home: Home) -> dict[str, Any]:
    """Store → what is in it, but for what chance or the hour gave it."""
    found: dict[str, Any] = {}
    for name in DATASETS:
        columns = ", ".join(f'"{c.name}"' for c in rules().contract(name).columns)
        found[f"raw {name}"] = query(home, "raw", f"select {columns} from lake.main.{name} order by all")
        found[f"quarantine {name}"] = query(home, "raw", f"select record, reason from lake.quarantine.{name} order by all")
    found["zone"] = zone_hash(home, PURPOSE)
    for table in ("subjects", "visitors", "refusals", "requests", "domains", "addresses", "handovers", "holds", "tombstones", "forgotten", "erasing",
                  "batches"):
        found[f"vault {table}"] = vault(home, f"from db.{table} order by all")
    found["approvals"] = vault(home, "select request_id, part, name from db.approvals order by all")
    found["certificates"] = [{key: told[key] for key in ("removed", "kept", "left", "complete", "marts_rebuilt", "subjects", "recipients")}
                             | {"residue": told["residue"]["ok"]}
                             for told in (json.loads(row[0]) for row in vault(home, "select content from db.certificates order by 1"))]
    found["files"] = sorted(f"{path.parent.name}/{path.name}" for folder in (home.outbox, home.extracts) for path in folder.iterdir())
    if home.mart(PURPOSE).exists():
        with database(home.mart(PURPOSE), _mart_key(home)) as connection:
            names = connection.execute("select table_name from duckdb_tables() where database_name = 'db' and table_name <> '_build'").fetchall()
            found["mart"] = {name: connection.execute(f"from db.{name} order by all").fetchall() for (name,) in names}
    return found


def _mart_key(home: Home) -> str | None:
    return key(home, f"mart_{PURPOSE}") if rules().policy.purposes[PURPOSE].published == "encrypted" else None


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def left_over(home: Home) -> list[str]:
    """Files that a finished run leaves nowhere: parts, fresh copies, write-ahead logs, spilled rows, data files that no catalog knows."""
    files = [path.relative_to(home.root) for path in home.root.rglob("*") if path.is_file() and "locks" not in path.parts]
    beside = {f".{name.name}{end}" for name in files if name.parts[0] == "extracts" for end in (".json", ".members")}
    found = [str(path) for path in files if path.suffix == ".wal" or path.parts[0] in ("tmp", "build")
             or (path.name.startswith(".") and path.name not in beside)]
    for name in ("raw", f"pseudonymised/{PURPOSE}"):
        folder = home.root / "zones" / name
        with database(folder / "catalog.duckdb", key(home, "raw" if name == "raw" else f"zone_{PURPOSE}")) as connection:
            known = {Path(row[0]).name for row in connection.execute(
                "select path from db.ducklake_data_file union all select path from db.ducklake_delete_file").fetchall()}
        found += [f"{path.name} is in no catalog" for path in folder.rglob("*.parquet") if path.name not in known]
        found += [f"{path} is on no disk" for path in known - {path.name for path in folder.rglob("*.parquet")}]
    return found


def acts(home: Home) -> Counter[str]:
    """How often each act stands in the ledger, also in one whose last line a kill cut."""
    lines = home.ledger.read_bytes().split(b"\n")[:-1]
    return Counter(json.loads(line)["act"] for line in lines)


# ------------------------------------------------------------------ worlds, made once


@dataclass
class World:
    """A home to run an act on, and what it holds before and after an undisturbed run."""

    name: str
    home: Home
    act: str
    given: dict[str, Any]
    begun: str | None  # acts of the ledger
    done: str | None
    before: dict[str, Any] = field(repr=False, default_factory=dict)
    after: dict[str, Any] = field(repr=False, default_factory=dict)
    undisturbed: Run | None = field(repr=False, default=None)
    answer: Any = None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def killed(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Scenario → kills; told at the end in one line."""
    counted: Counter[str] = Counter()
    began = time.monotonic()
    yield counted
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if counted and reporter:
        reporter.ensure_newline()
        reporter.write_line(f"{sum(counted.values())} kills in {time.monotonic() - began:.0f} s, each finished by the next run, content equal: "
                            f"{', '.join(f'{name} {n}' for name, n in counted.items())} (seed {SEED})")


@pytest.fixture(scope="module")
def homes(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Home, dict[str, Any]]]:
    """The homes that acts are run on, each made when it is first asked for, and what the act needs to know of it."""
    folder, made = tmp_path_factory.mktemp("homes"), dict[str, tuple[Home, dict[str, Any]]]()

    def answer(act: str, home: Home, **given: Any) -> Any:
        run = server.run(home.root, act, **given)
        assert run.ended_well, run
        return run.answer

    def home_of(name: str) -> tuple[Home, dict[str, Any]]:
        if name not in made:
            home = Home(folder / name)
            if name == "base":
                answer("prepare", home)
                made[name] = home, {}
                return made[name]
            shutil.copytree(home_of({"erased": "asked", "opened": "base"}.get(name, "base"))[0].root, home.root)
            given: dict[str, Any] = {}
            if name == "asked":
                given = {"request": answer("ask", home, members=[ME])}
            elif name == "opened":
                given = {"request": answer("ask", home, members=[ME], approved=False)}
            elif name == "planned":
                answer("plan", home)
            elif name == "erased":
                answer("process", home, **home_of("asked")[1])
                given = {"folder": str(_old_extract(folder / "extract"))}
            made[name] = home, given
        return made[name]

    return home_of


def _old_extract(folder: Path) -> Path:
    """Files from before the erasure, in which who was erased stands, and something new."""
    old = Market("n").member(ME, email="kqxgone@exemple.fr").member("new-id").post("n1", ME, "both", "2026-02-09")
    old.post("n2", "new-id", "both", "2026-02-09", body=f"bonjour {ME}").sale("n3", ME, "new-id", "2026-02-09").event(
        "e", None, "kqxown-device", "2026-02-20", "necessary")
    for name, rows in old.rows.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "a.ndjson").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


SCENARIOS = {  # home, act, and what the ledger says when it begins and when it is done
    "process": ("asked", "process", "erasure begun", "erasure"), "apply": ("planned", "apply", "retention begun", "retention"),
    "plan": ("base", "plan", None, None), "approve": ("opened", "approve", None, "request approved"), "purge": ("asked", "purge", None, None),
    "rewrite_vault": ("asked", "rewrite_vault", None, None), "residue": ("erased", "residue", None, None), "ingest": ("erased", "ingest", None, None),
}


@pytest.fixture(scope="module")
def worlds(server: Server, homes: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], World]:
    """The worlds by name, each made and run through when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("undisturbed"), dict[str, World]()

    def world(name: str) -> World:
        if name not in made:
            of, act, begun, done = SCENARIOS[name]
            home, known = homes(of)
            given = {key: value for key, value in known.items() if act in ("process", "approve", "ingest")}
            found = World(name, home, act, given, begun, done, content(home))
            copied = Home(Path(shutil.copytree(home.root, folder / name)))
            found.undisturbed = server.run(copied.root, act, **given)
            assert found.undisturbed.ended_well, found.undisturbed
            assert left_over(copied) == []
            found.after, found.answer = content(copied), found.undisturbed.answer
            made[name] = found
        return made[name]

    return world


def spread(world: World, number: int, seed: int = SEED) -> list[int]:
    """So many steps of a run, one by chance in each of as many equal parts."""
    assert world.undisturbed is not None
    chance, steps = random.Random(f"{world.name} {seed}"), world.undisturbed.steps
    number = min(number, steps)
    return [chance.randrange(k * steps // number, max((k + 1) * steps // number, k * steps // number + 1)) for k in range(number)]


def moments(world: World, number: int, seed: int = SEED) -> list[float]:
    """So many moments of a run, in seconds."""
    assert world.undisturbed is not None
    chance = random.Random(f"moments of {world.name} {seed}")
    return [chance.uniform(0.05, world.undisturbed.seconds) for _ in range(number)]


# ------------------------------------------------------------------ what must be true


def truthful(server: Server, world: World, home: Home, where: str) -> None:
    """After a kill nothing says done that is not, and what was begun is told."""
    told = server.run(home.root, "status")
    assert told.ended_well, (where, told.error)
    found, entries = content(home), acts(home)
    was = acts(world.home)
    done = bool(world.done) and entries[str(world.done)] > was[str(world.done)]
    begun = bool(world.begun) and entries[str(world.begun)] > was[str(world.begun)]
    if world.name == "process":
        request = world.given["request"]
        ((state,),) = vault(home, "select state from db.requests where request_id = ?", request)
        assert (request in told.answer["erasures"]) == (begun and not done), where
        if done or state == "done":
            assert differences(found, world.after) == [], where
        elif found["certificates"]:
            assert differences(found, world.after) in ([], ["vault requests"]), where
    elif world.name == "apply":
        assert bool(told.answer["unfinished"]) == (begun and not done), where
        if done:
            assert differences(found, world.after) == [], where
    if world.begun and not begun or world.name in ("purge", "rewrite_vault", "residue", "plan"):
        assert differences(found, world.before) == [], where
    if world.name in ("ingest", "approve"):
        assert differences(found, world.before) == [] or differences(found, world.after) == [], where


def finished(server: Server, world: World, home: Home, run: Run, where: str) -> None:
    """After the next run everything is as it is after one that nothing disturbed."""
    assert run.ended_well, (where, run.error)
    if world.act != "ingest":  # its balance says what that run did
        assert run.answer == world.answer, where
    found = content(home)
    wrong = differences(found, world.after)
    assert not wrong, (where, {name: (found.get(name), world.after.get(name)) for name in wrong})
    assert left_over(home) == [], where
    assert all(ok for _, ok, _ in ledger.check(home)), (where, ledger.check(home))
    if world.done:
        assert acts(home)[world.done] == acts(world.home)[world.done] + 1, where
    told = server.run(home.root, "status").answer
    assert (told["erasures"], told["unfinished"]) == ([], []), where


def kill_each(server: Server, killed: Counter[str], world: World, tmp_path: Path, steps: list[int], after: list[float] = ()) -> None:  # ty: ignore
    """One kill after another, each on a home of its own."""
    for number, (step, seconds) in enumerate([*((step, None) for step in steps), *((None, seconds) for seconds in after)]):
        home = Home(Path(shutil.copytree(world.home.root, tmp_path / f"{number}")))
        run = server.run(home.root, world.act, at=step, kill_after=seconds, **world.given)
        where = f"{world.name} killed " + (f"at step {step}" if seconds is None else f"after {seconds:.3f} s") + f" (FAULTS_SEED={SEED})"
        assert run.killed or seconds is not None, f"{where}: {run}"
        killed[world.name] += run.killed
        truthful(server, world, home, where)
        finished(server, world, home, server.run(home.root, world.act, **world.given), where)
        shutil.rmtree(home.root)


@pytest.mark.parametrize(("name", "kills"), [("process", 4), ("apply", 4), ("ingest", 2), ("purge", 2), ("rewrite_vault", 1), ("approve", 1)])
def test_a_run_that_is_killed_calls_nothing_done_and_the_next_finishes_it(server, worlds, killed, tmp_path, name, kills):
    world = worlds(name)
    kill_each(server, killed, world, tmp_path, spread(world, kills))


MANY = {"process": (110, 20), "apply": (75, 15), "ingest": (30, 6), "purge": (30, 6), "rewrite_vault": (15, 3), "approve": (15, 3), "plan": (10, 2),
        "residue": (10, 3)}


@pytest.mark.faults
@pytest.mark.parametrize("name", MANY)
def test_kills_at_every_step_and_amid_statements(server, worlds, killed, tmp_path, name):
    world, (steps, times) = worlds(name), MANY[name]
    kill_each(server, killed, world, tmp_path, spread(world, steps), moments(world, times))
