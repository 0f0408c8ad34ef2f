"""Runs that are killed: each in a process of its own, at a step that is counted, or from outside amid whatever it does.

A *step* is what may leave a trace on disk: a statement of a DuckDB connection, a rename, a removal, a file opened to be written or cut, a sync.
The product knows nothing of this: its connections are wrapped where they are made, files are told of by Python's own audit events. Before each
step, and after each sync, a run can be killed by SIGKILL, held by SIGSTOP, or told that the disk is full.

Whoever starts this file as a program gets a server: it has imported what runs need, holds no connection and no thread, and forks for every job
it reads (a line of JSON). So a run costs what it does, not the second and a half that imports take. Under a small rulebook, one purpose and few
datasets, it is over in two or three seconds.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

DATASETS = ("members", "consents", "forum_posts", "transactions", "usage_events", "access_logs")
PURPOSE = "analytics"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def small_rules(book: Any) -> Any:
    """Six datasets and one purpose: every store, and a run takes a fifth of the time."""
    policy = replace(book.policy, purposes={PURPOSE: book.policy.purposes[PURPOSE]})
    return replace(book, policy=policy, contracts={name: book.contracts[name] for name in DATASETS})


@dataclass
class Run:
    """How a run ended: `killed`, or with an `answer`, or with the `error` that it told (its kind, and what it said)."""

    killed: bool
    answer: Any
    error: tuple[str, str] | None
    steps: int
    seconds: float
    last: str = ""

    @property
    def ended_well(self) -> bool:
        return not self.killed and self.error is None


class Server:
    """The process that forks runs, of the checkout's project or another; use as a context."""

    def __init__(self, project: Path | None = None) -> None:
        self._project = {"KAMPEKY_PROJECT": str(project)} if project else {}

    def __enter__(self) -> Server:
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=os.environ | self._project)
        self.ask({"do": "warm"})
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, job: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the server of runs has died"
        return json.loads(line)

    def start(self, home: Path, act: str, at: int | None = None, how: str = "kill", **given: Any) -> int:
        """Begin a run; at step `at` it is killed ('kill'), held ('stop'), or finds the disk full from then on ('full'). Its process id."""
        return int(self.ask({"do": "start", "home": str(home), "act": act, "at": at, "how": how, "given": given}))

    def wait(self, run: int, kill_after: float | None = None) -> Run:
        found = self.ask({"do": "wait", "run": run, "kill_after": kill_after})
        return Run(**found | {"error": tuple(found["error"]) if found["error"] else None})

    def run(self, home: Path, act: str, at: int | None = None, how: str = "kill", kill_after: float | None = None, **given: Any) -> Run:
        return self.wait(self.start(home, act, at, how, **given), kill_after)

    def held(self, run: int) -> bool:
        """Whether the run stands still at its step."""
        return state_of(run) == "T"


def state_of(process: int) -> str:
    """R runs, S sleeps, T is stopped, Z has ended."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# ------------------------------------------------------------------ within the server

class Steps:
    """Counts the steps of this process, once it is told to, and does what is to be done at one of them."""

    def __init__(self) -> None:
        self.home, self.at, self.how, self.count, self.full, self.busy, self.last = "", None, "kill", 0, False, False, ""

    def begin(self, home: str, at: int | None, how: str) -> None:
        self.home, self.at, self.how, self.count, self.full = home, at, how, 0, False

    def step(self, what: str) -> None:
        if not self.home or self.busy:
            return
        self.busy = True
        self.last = what
        try:
            if self.count == self.at:
                if self.how == "full":
                    self.full = True
                else:
                    os.kill(os.getpid(), signal.SIGKILL if self.how == "kill" else signal.SIGSTOP)
            self.count += 1
        finally:
            self.busy = False

    def on_disk(self, path: object) -> bool:
        """Whether a path is one of the home's, locks apart: who holds one writes its name into it."""
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        return bool(self.home) and text.startswith(f"{self.home}/") and not text.startswith(f"{self.home}/locks/")

    def heard(self, event: str, given: tuple[Any, ...]) -> None:
        """An audit event, which comes before what it tells of."""
        if not self.home:
            return
        writes = event == "open" and isinstance(given[2], int) and given[2] & _WRITING
        if (writes or event in ("os.rename", "os.remove", "os.truncate", "os.rmdir", "os.mkdir", "shutil.rmtree")) and self.on_disk(given[0]):
            self.step(f"{event} {os.fsdecode(given[0])}")
            if self.full and (writes or event == "os.mkdir"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), given[0])


STEPS = Steps()


class Counting:
    """A DuckDB connection, each statement of which is a step."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, query: str, *given: Any, **more: Any) -> Any:
        STEPS.step(f"execute {query[:60]}")
        if STEPS.full and query.lstrip().lower().startswith(("insert", "update", "delete", "create", "copy", "commit", "checkpoint", "call")):
            import duckdb

            raise duckdb.IOException("No space left on device")
        return self._connection.execute(query, *given, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _wrap() -> None:
    """Before anything else is imported: one thread for each DuckDB, connections that count, the small rulebook, audit events and syncs told of."""
    import duckdb

    from pipelines.engines import duckdb_engine as engine
    from pipelines.workflows import rules as room

    plain, connect, rules, fsync = duckdb.connect, engine.connect, room.rules, os.fsync

    def alone(*given: Any, config: dict[str, Any] | None = None, **more: Any) -> Any:
        return plain(*given, config={"threads": "1", **(config or {})}, **more)

    def synced(handle: int) -> None:
        STEPS.step("fsync")
        if STEPS.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)
        STEPS.step("fsynced")

    small = cache(lambda: small_rules(rules()))
    duckdb.connect = alone  # ty: ignore[invalid-assignment]
    engine.connect = lambda *given, **more: Counting(connect(*given, **more))  # ty: ignore[invalid-assignment]
    room.rules = small
    os.fsync = synced
    sys.addaudithook(STEPS.heard)


def _child(home: str, act: str, at: int | None, how: str, given: dict[str, Any], out: int) -> None:
    """A run: the answer goes to `out`, also of what went wrong."""
    import resource

    from test_faults import ACTS

    from pipelines.foundation.home import Home

    if how == "limit":  # no file may grow over so many bytes: as a full disk does, for DuckDB too
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (at or 0, at or 0))
        at = None
    answer, error, known = None, None, set(sys.modules)
    STEPS.begin(home, at, how)
    try:
        answer = ACTS[act](Home(Path(home)), **given)
    except BaseException as raised:
        error = (type(raised).__name__, str(raised))
    told = {"answer": answer, "error": error, "steps": STEPS.count, "last": STEPS.last, "imported": sorted(set(sys.modules) - known)}
    STEPS.begin("", None, "kill")
    os.write(out, json.dumps(told, default=str).encode())


def _serve() -> None:
    _wrap()
    import duckdb
    import test_faults

    import pipelines.assurance.residue.home  # what a run would import first
    import pipelines.transformation.publish  # noqa: F401
    from pipelines.assurance.residue import controls
    from pipelines.engines import duckdb_engine as engine
    from pipelines.workflows import build

    build.ensure_proved = lambda *_: None  # ty: ignore[invalid-assignment] - as in all tests: test_canary.py runs it
    runs: dict[int, tuple[int, float]] = {}
    for line in sys.stdin:
        job = json.loads(line)
        answer: Any = None
        if job["do"] == "warm":  # what was checked once need not be checked by each run anew: 0.2 s
            test_faults.rules()
            duckdb.connect().execute("select ?", ["what it imports for values, a second's worth"]).fetchall()
            for place in list(controls.PLACES)[2:]:  # that every place is seen is tried in test_residue.py, and takes half a second each time
                del controls.PLACES[place]
            engine._checked.update(engine._identity(engine.extension_binary(name)) for name in engine.EXTENSIONS)
        elif job["do"] == "start":
            reader, writer = os.pipe()
            answer = os.fork()
            if not answer:
                os.close(reader)
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(2, 1)
                _child(job["home"], job["act"], job["at"], job["how"], job["given"], writer)
                os._exit(0)
            os.close(writer)
            runs[answer] = (reader, time.monotonic())
        else:
            answer = _wait(job["run"], *runs.pop(job["run"]), job["kill_after"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _wait(process: int, reader: int, began: float, kill_after: float | None) -> dict[str, Any]:
    if kill_after is not None and not select.select([reader], [], [], max(0.0, began + kill_after - time.monotonic()))[0]:
        os.kill(process, signal.SIGKILL)
    content = b""
    while block := os.read(reader, 1 << 16):
        content += block
    os.close(reader)
    _, status = os.waitpid(process, 0)
    told = {"killed": os.WIFSIGNALED(status), "seconds": time.monotonic() - began, "answer": None, "error": None, "steps": 0, "last": ""}
    told |= json.loads(content) if content else {}
    for module in told.pop("imported", []):  # the next run finds it there: a second less
        with suppress(Exception):
            importlib.import_module(module)
    return told


if __name__ == "__main__":
    sys.modules["faults"] = sys.modules["__main__"]  # one count of steps, whoever imports this
    _serve()
