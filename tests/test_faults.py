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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from faults import DATASETS, PURPOSE, Run, Server, state_of, until
from small_market import Market, at, database, fill_zone, key, lake, new_home, pseudonyms, stamp, vault, without_the_second_opinion, zone_hash
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

SEED = int(os.environ.get("FAULTS_SEED") or 20260410)
ME, ALIKE = "kqxgone-id", {"gender": "female", "birthday": "1995-05-05"}
LOADED, FILLED, ASKED, LATER, DUE = "2026-03-01", "2026-03-02", "2026-03-05 12:00", "2026-03-20", "2026-06-20"


# ------------------------------------------------------------------ worlds, and what is run on them: within the server


def market(home: Home) -> None:
    """A member who has a part everywhere, an account that ends, days that are over, records set aside and held, and files taken out."""
    made = Market("s").member(ME, member_name="kqxgonename", email="kqxgone@exemple.fr", **ALIKE).member("stays-id", **ALIKE).member("third-id")
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


def publish(home: Home) -> list[str]:
    """Enough members alike that rows of theirs may be published, in marts that stand."""
    crowd = Market("crowd")
    for number in range(20):
        crowd.member(f"m{number}", **ALIKE).consent(f"m{number}", None, "granted", "2025-12-01")
    crowd.load(home, FILLED)
    return [one["purpose"] for one in building.build(home, at(FILLED), [PURPOSE])]


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


ACTS: dict[str, Callable[..., Any]] = {
    "prepare": prepare, "ask": ask, "process": process, "plan": plan, "apply": apply, "plan_and_apply": plan_and_apply, "ingest": ingest,
    "purge": purge_all, "rewrite_vault": lambda home: rewrite_vault(home, "a test"), "residue": residue, "publish": publish,
    "fill": lambda home, day=FILLED: bool(fill_zone(home, PURPOSE, day)), "status": lambda home: status(home, at(DUE)),
    "certificate": lambda home, request: erasure.certificate_of(home, request)[0],
    "approve": lambda home, request: erasure.approve(home, request, "second person", at(ASKED))["state"],
}


# ------------------------------------------------------------------ what a home holds, and what is left over


def content(home: Home) -> dict[str, Any]:
    """Store → what is in it, but for what chance or the hour gave it."""
    found: dict[str, Any] = {}
    with lake(home, "raw") as connection:
        for name in DATASETS:
            columns = ", ".join(f'"{c.name}"' for c in rules().contract(name).columns)
            found[f"raw {name}"] = connection.execute(f"select {columns} from lake.main.{name} order by all").fetchall()
            found[f"quarantine {name}"] = connection.execute(f"select record, reason from lake.quarantine.{name} order by all").fetchall()
    found["zone"] = zone_hash(home, PURPOSE)
    with database(home.vault, key(home, "vault")) as connection:
        for table in ("subjects", "visitors", "refusals", "requests", "domains", "addresses", "handovers", "holds", "tombstones", "forgotten",
                      "erasing", "batches"):
            found[f"vault {table}"] = connection.execute(f"from db.{table} order by all").fetchall()
        found["approvals"] = connection.execute("select request_id, part, name from db.approvals order by all").fetchall()
        certificates = [json.loads(row[0]) for row in connection.execute("select content from db.certificates order by 1").fetchall()]
    found["certificates"] = [{name: told[name] for name in ("removed", "kept", "left", "complete", "marts_rebuilt", "subjects", "recipients")}
                             | {"residue": told["residue"]["ok"]} for told in certificates]
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
    reporter, capture = (request.config.pluginmanager.get_plugin(name) for name in ("terminalreporter", "capturemanager"))
    if counted and reporter and capture:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"{sum(counted.values())} kills in {time.monotonic() - began:.0f} s, each finished by the next run, content equal "
                                f"unless a test failed: {', '.join(f'{name} {n}' for name, n in counted.items())} (seed {SEED})")


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
    if (world.begun and not begun) or world.name in ("purge", "rewrite_vault", "residue", "plan"):
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
        done = acts(home)[world.done] - acts(world.home)[world.done]
        assert done == 1 or (done == 2 and world.act == "approve"), where  # whoever approves twice has approved twice
    told = server.run(home.root, "status").answer
    assert (told["erasures"], told["unfinished"]) == ([], []), where


def unread(home: Home) -> None:
    """As long as the erasure is begun and not done no mart stands that holds the member."""
    if home.mart(PURPOSE).exists() and vault(home, "select 1 from db.erasing"):
        me = vault(home, "select value from db.erasing where kind = 'pseudonym'")
        assert not {row[0] for row in me} & _shown(home)


def _shown(home: Home) -> set[str]:
    with database(home.mart(PURPOSE), _mart_key(home)) as connection:
        return {row[0] for row in connection.execute("select pseudonym::varchar from db.profiles").fetchall()}


def kill_each(server: Server, killed: Counter[str], world: World, tmp_path: Path, steps: Sequence[int],
              after: Sequence[float] = ()) -> None:
    """One kill after another, each on a home of its own."""
    for number, (step, seconds) in enumerate([*((step, None) for step in steps), *((None, seconds) for seconds in after)]):
        home = Home(Path(shutil.copytree(world.home.root, tmp_path / f"{number}")))
        run = server.run(home.root, world.act, at=step, kill_after=seconds, **world.given)
        where = f"{world.name} killed " + (f"at step {step}" if seconds is None else f"after {seconds:.3f} s") + f" (FAULTS_SEED={SEED})"
        assert run.killed or run.ended_well, (where, run.error)  # the one has some steps more than the other: what is planted is drawn
        killed[world.name] += run.killed
        truthful(server, world, home, where)
        unread(home)
        told = world.act == "apply" and acts(home)["retention"] > 0  # killed after it was done: then the next run says so
        again = server.run(home.root, world.act, **world.given)
        if told:
            assert again.error and again.error[0] == "Refused" and "carried out already" in again.error[1], where
            again = dataclasses.replace(again, error=None, answer=world.answer)
        finished(server, world, home, again, where)
        shutil.rmtree(home.root)


@pytest.mark.parametrize(("name", "kills"), [("process", 3), ("apply", 3), ("ingest", 2), ("purge", 2), ("rewrite_vault", 1), ("approve", 1)])
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


# ------------------------------------------------------------------ with marts


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, World]]:
    """A world with marts, made by a project of small models, from which the member is to be erased."""
    folder = tmp_path_factory.mktemp("published")
    with Server(small_project(folder / "checkout")) as server:
        home, copied = Home(folder / "home"), folder / "undisturbed"
        for act in ("prepare", "publish"):
            made = server.run(home.root, act)
            assert made.ended_well, made.error
        me = str(pseudonyms(home, PURPOSE)[ME])
        assert me in _shown(home)
        given = {"request": server.run(home.root, "ask", members=[ME]).answer}
        world = World("process", home, "process", given, "erasure begun", "erasure", content(home))
        shutil.copytree(home.root, copied)
        world.undisturbed = server.run(copied, "process", **given)
        assert world.undisturbed.ended_well, world.undisturbed.error
        world.after, world.answer = content(Home(copied)), world.undisturbed.answer
        assert world.after["mart"]["profiles"] and me not in _shown(Home(copied)) and left_over(Home(copied)) == []
        yield server, world


@pytest.mark.faults
def test_marts_that_stood_stand_again_after_a_kill_without_the_member(published, killed, tmp_path):
    server, world = published
    kill_each(server, killed, world, tmp_path, spread(world, 16))


@pytest.mark.faults
def test_a_reader_keeps_the_old_mart_and_the_certificate_waits_for_it(published, tmp_path):
    server, world = published
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    reading = ("import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); ask = 'select count(*) from profiles'; "
               "print(c.execute(ask).fetchone()[0], flush=True); sys.stdin.readline(); print(c.execute(ask).fetchone()[0], flush=True)")
    with subprocess.Popen([sys.executable, "-c", reading, str(home.mart(PURPOSE))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as reader:
        assert reader.stdin and reader.stdout
        before = reader.stdout.readline()
        assert server.run(home.root, "process", **world.given).answer == "done"
        told = server.run(home.root, "certificate", **world.given).answer
        assert told["complete"] is False and [str(reader.pid) in words for words in told["residue"]["pending"]] == [True]
        assert provenance.holders(home) == [reader.pid]
        assert content(home)["mart"] == world.after["mart"], "whoever opens it now sees the new one"
        assert server.run(home.root, "residue").answer is False
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == before, "it reads on"
    assert provenance.holders(home) == [] and server.run(home.root, "residue").answer is True


# ------------------------------------------------------------------ a disk that is full


FULL = ("KampekyError", "Unavailable", "Refused", "OSError", "IOException")  # one sentence each: of its own, or the command's (cli/main.py)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["process", "apply", "ingest"])
def test_a_full_disk_is_one_sentence_and_the_next_run_finishes(server, worlds, tmp_path, name):
    world = worlds(name)
    sizes = sorted({path.stat().st_size for path in world.home.root.rglob("*.duckdb")})
    for how, at_step in (*(("full", step) for step in spread(world, 10, SEED + 1)), *(("limit", size) for size in (4096, 100_000, sizes[0] - 1))):
        home = Home(Path(shutil.copytree(world.home.root, tmp_path / f"{how}-{at_step}")))
        run, where = server.run(home.root, world.act, at=at_step, how=how, **world.given), f"{name}: {how} at {at_step} (FAULTS_SEED={SEED})"
        assert not run.killed and (run.ended_well or run.error[0] in FULL), (where, run)
        assert run.ended_well or ("kqx" not in run.error[1] and run.error[1]), where
        if not run.ended_well:
            truthful(server, world, home, where)
        finished(server, world, home, server.run(home.root, world.act, **world.given), where)


# ------------------------------------------------------------------ two at once


def at_once(server: Server, home: Home, first: tuple[str, dict[str, Any], int], second: tuple[str, dict[str, Any]]) -> tuple[Run, Run]:
    """The second begins when the first stands still at a step, and waits for it or ends; then the first goes on."""
    act, given, step = first
    one = server.start(home.root, act, at=step, how="stop", **given)
    until(lambda: state_of(one) in "TZ")
    assert state_of(one) == "T"
    other = server.start(home.root, second[0], **second[1])
    end = time.monotonic() + 1.5
    until(lambda: state_of(other) == "Z" or time.monotonic() > end)
    os.kill(one, signal.SIGCONT)
    return server.wait(one), server.wait(other)


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_two_who_process_the_same_request_at_once_do_it_once(server, worlds, tmp_path, share):
    world = worlds("process")
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    one, other = at_once(server, home, ("process", world.given, int(world.undisturbed.steps * share)), ("process", world.given))
    assert (one.answer, other.answer) == ("done", "done"), (one, other)
    finished(server, world, home, server.run(home.root, "process", **world.given), "two at once")
    assert acts(home)["erasure begun"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_of_two_retention_runs_at_once_one_does_it_and_the_other_says_so(server, worlds, tmp_path, share):
    world = worlds("apply")
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    one, other = at_once(server, home, ("apply", {}, int(world.undisturbed.steps * share)), ("apply", {}))
    assert one.answer == 0 and other.error[0] == "Refused" and "carried out already" in other.error[1], (one, other)
    assert differences(content(home), world.after) == [] and left_over(home) == []
    assert (acts(home)["retention begun"], acts(home)["retention"]) == (1, 1)


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_erasure_and_a_retention_run_at_once_are_both_done(server, worlds, tmp_path, share):
    world = worlds("process")
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    one, other = at_once(server, home, ("process", world.given, int(world.undisturbed.steps * share)), ("plan_and_apply", {}))
    for run in (one, other):
        assert run.ended_well or (run is other and run.error[0] == "Refused"), (one, other)  # its plan was made before the erasure
    assert one.answer == "done"
    assert server.run(home.root, "plan_and_apply").answer == 0
    told = server.run(home.root, "status").answer
    assert (told["erasures"], told["unfinished"], left_over(home)) == ([], [], [])


@pytest.mark.faults
@pytest.mark.parametrize(("act", "given"), [("fill", {"day": DUE}), ("ingest", None)])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_retention_run_waits_for_a_build_or_an_ingest_and_they_for_it(server, worlds, homes, tmp_path, act, given, share):
    world = worlds("apply")
    given = given if given is not None else {"folder": str(_old_extract(tmp_path / "extract"))}
    alone = Home(Path(shutil.copytree(world.home.root, tmp_path / "alone")))
    assert server.run(alone.root, act, **given).ended_well and server.run(alone.root, "plan_and_apply").answer == 0
    steps = server.run(Path(shutil.copytree(world.home.root, tmp_path / "counted")), act, **given).steps
    for name, first, second in (("it first", (act, given, int(steps * share)), ("apply", {})),
                                ("retention first", ("apply", {}, int(world.undisturbed.steps * share)), (act, given))):
        home = Home(Path(shutil.copytree(world.home.root, tmp_path / name.replace(" ", "-"))))
        one, other = at_once(server, home, first, second)
        for run in (one, other):  # a plan that the other has left behind is refused, and nothing is deleted
            assert run.ended_well or (run.error[0] == "Refused" and "plan" in run.error[1]), (name, one, other)
        assert server.run(home.root, "plan_and_apply").answer == 0
        assert server.run(home.root, "status").answer["unfinished"] == [] and left_over(home) == []
        if act == "ingest" and name == "it first":
            assert [key for key in differences(content(home), content(alone)) if key.startswith(("raw", "quarantine"))] == [], name


# ------------------------------------------------------------------ what comes between a kill and the next run


def stopped(server: Server, world: World, home: Path, share: float) -> Home:
    """A copy of the world in which the run was killed at that share of its steps."""
    copied = Home(Path(shutil.copytree(world.home.root, home)))
    assert server.run(copied.root, world.act, at=int(world.undisturbed.steps * share), **world.given).killed
    return copied


def begun_at(server: Server, home: Home, world: World, share: float) -> bool:
    """Whether a run killed at that share of the steps had begun."""
    assert server.run(home.root, "process", at=int(world.undisturbed.steps * share), **world.given).killed
    return acts(home)["erasure begun"] > 0


def test_what_is_still_found_is_not_forgotten_so_no_later_run_certifies_it(server, worlds, tmp_path):
    world = worlds("process")
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    forgotten = home.evidence / "notes.txt"
    forgotten.write_text("kqxgone@exemple.fr has called\n")
    for _ in range(2):
        run = server.run(home.root, "process", **world.given)
        assert run.error and run.error[0] == "KampekyError" and "still found" in run.error[1] and "exemple" not in run.error[1]
        assert acts(home)["erasure"] == 0 and content(home)["certificates"] == []
    forgotten.unlink()
    finished(server, world, home, server.run(home.root, "process", **world.given), "found, and removed")


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.3, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9])
def test_a_retention_run_in_between_takes_nothing_without_which_the_erasure_could_not_be_finished(server, worlds, tmp_path, share):
    world = worlds("process")
    home = stopped(server, world, tmp_path / "home", share)
    run = server.run(home.root, "plan_and_apply")
    assert run.answer == 0, run.error
    assert server.run(home.root, "process", **world.given, day="2026-06-20 12:00").answer == "done"
    told = server.run(home.root, "status").answer
    assert (told["erasures"], told["unfinished"], left_over(home), acts(home)["erasure"]) == ([], [], [], 1)
    assert server.run(home.root, "certificate", **world.given).answer["complete"] and server.run(home.root, "residue").answer
    assert not vault(home, "select 1 from db.erasing union all select 1 from db.subjects where member_id = ?", ME)


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_a_run_stopped_twice_and_finished_weeks_later_has_the_same_tombstones(server, worlds, tmp_path, share):
    world = worlds("process")
    home = stopped(server, world, tmp_path / "home", share)
    server.run(home.root, "process", at=int(world.undisturbed.steps * 0.4), **world.given, day=LATER)
    assert server.run(home.root, "process", **world.given, day="2026-05-01").answer == "done"
    assert differences(content(home), world.after) == [] and left_over(home) == []
    assert acts(home)["erasure"] == 1 and all(ok for _, ok, _ in ledger.check(home))


@pytest.mark.faults
def test_a_second_request_of_the_member_waits_for_the_one_that_was_begun(server, worlds, tmp_path):
    world = worlds("process")
    home = Home(Path(shutil.copytree(world.home.root, tmp_path / "home")))
    second = server.run(home.root, "ask", members=[ME, "third-id"]).answer
    assert any(begun_at(server, home, world, share) for share in (0.14, 0.16, 0.18, 0.2, 0.22, 0.24))
    refused = server.run(home.root, "process", request=second)
    assert refused.error and refused.error[0] == "Refused" and world.given["request"] in refused.error[1]
    assert server.run(home.root, "process", **world.given).answer == "done"
    assert vault(home, "select member_id from db.batches") == [("third-id",)], "what the other asks for her is nobody's any more"
    assert server.run(home.root, "process", request=second).answer == "done"
    assert acts(home)["erasure"] == 2 and server.run(home.root, "status").answer["erasures"] == []


@pytest.mark.faults
def test_a_request_that_is_killed_while_it_is_opened_is_there_whole_or_not_at_all(server, homes, killed, tmp_path):
    base, _ = homes("base")
    steps = server.run(Path(shutil.copytree(base.root, tmp_path / "counted")), "ask", members=[ME], approved=False).steps
    for step in range(0, steps, max(1, steps // 20)):
        home = Home(Path(shutil.copytree(base.root, tmp_path / f"{step}")))
        assert server.run(home.root, "ask", at=step, members=[ME], approved=False).killed, step
        killed["ask"] += 1
        opened = [row[0] for row in vault(home, "select request_id from db.requests where state = 'received'")]
        for table, where in (("refusals", "true"), ("approvals", "part = 'opened'")):
            assert [row[0] for row in vault(home, f"select request_id from db.{table} where {where}")] == opened, step
        request = opened[0] if opened else server.run(home.root, "ask", members=[ME], approved=False).answer
        assert server.run(home.root, "approve", request=request).answer == "approved", step
        assert acts(home)["request received"] == acts(base)["request received"] + 1, step
        assert left_over(home) == [] and all(ok for _, ok, _ in ledger.check(home)), step
