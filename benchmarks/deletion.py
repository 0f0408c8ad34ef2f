"""How long deletion takes, and the proof of it: a day that expires, one member, a thousand members, residue of forty identifiers (C-10.1, C-11.3).

The world is written straight into the raw zone of a home: members, and thirty days of log lines of which every third names one. Yardsticks: for a
thousand members DuckDB copying the whole dataset out of the same encrypted lake to Parquet (zstd); for the proof DuckDB reading every value of the
same files; for a day the same run over a tenth of the rows. Each step is a process of its own; what it takes to start is not the step's.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.access_logs import DAYS, FIRST, rows_sql

NOON = "2026-01-30T12:00:00+01:00"  # of the last day: nothing is due yet
NEXT = "2026-01-31"  # on which the first day is due (C-10.1)
IDENTIFIERS, BATCH = 40, 1000
TABLE = "lake.main.access_logs"


def generate(folder: Path, rows: int, members: int) -> None:
    from pipelines.foundation.home import Home
    from pipelines.identity.vault import opened_vault
    from pipelines.lake.store import opened, raw_lake
    from pipelines.lake.tables import bucket, create_raw_tables
    from pipelines.workflows.init import init
    from pipelines.workflows.rules import rules

    home, contract = Home(folder / "home"), rules().contract("access_logs")
    init(home)
    with opened(raw_lake(home), "bench", write=True) as c:
        create_raw_tables(c, rules())
        c.execute(f"""insert into lake.main.members by name select 'm' || lpad(i::varchar, 7, '0') as member_id, 'Rose' as member_name,
            'm' || i || '@exemple.fr' as email, 'direct' as registration_channel, timestamptz '2025-01-15 12:00:00+01' as registered_at,
            true as age_confirmed, date '2026-01-20' as last_active_on, timestamptz '2026-01-20 12:00:00+01' as updated_at,
            'b' as _batch, i as _line from range({members}) as t(i)""")
        for n in range(DAYS):  # a day's rows in one load, as a scheduler would have it
            day = rows_sql(rows, n * rows // DAYS, (n + 1) * rows // DAYS, members)
            c.execute(f"""insert into {TABLE} by name select * replace (status::bigint as status, bytes::bigint as bytes), 'b{n}' as _batch,
                {bucket(contract, 'r', rows // DAYS)} as _bucket, date '{FIRST}' + {n} as paris_day, row_number() over () as _line
                from ({day}) as r""")
    with opened_vault(home, "bench", write=True):
        pass


def expire(folder: Path) -> dict[str, Any]:
    """Plan and apply of the day on which the first day of the log is due: its work, proof and certificate with it."""
    from pipelines.foundation.dates import parse_as_of
    from pipelines.foundation.home import Home
    from pipelines.workflows.retention import apply, plan

    home = Home(folder / "home")
    done = apply(home, Path(plan(home, parse_as_of(NEXT))["plan"]))
    return {"deleted": sum(entry["due"] for entry in done["datasets"])}


def erase(folder: Path, number: int) -> dict[str, Any]:
    """Delete so many members from all stores and rewrite the files, without the proof, which is measured apart: bytes of the dataset written anew."""
    from pipelines.foundation.dates import parse_as_of
    from pipelines.foundation.home import Home
    from pipelines.identity.vault import rewrite_vault
    from pipelines.lake.purge import purge
    from pipelines.lake.store import raw_lake
    from pipelines.rights import erasure
    from pipelines.workflows import erasure as workflow
    from pipelines.workflows import requests
    from pipelines.workflows.rules import rules

    home, members = Home(folder / "home"), [f"m{n * 97:07}" for n in range(number)]
    asked = requests.open_request(home, "erasure", members[0] if number == 1 else members, None, parse_as_of(NOON), "one")["request_id"]
    workflow.approve(home, asked, "another", parse_as_of(NOON))
    before, start = _files(home), time.perf_counter()
    request = workflow.requests.find_request(home, asked)
    workflow._act(home, rules(), request, parse_as_of(NOON))
    purge(raw_lake(home), erasure.WHY)
    rewrite_vault(home, erasure.WHY)
    after = _files(home)
    return {"work": time.perf_counter() - start, "rewritten": sum(size for name, size in after.items() if name not in before),
            "bytes": sum(before.values())}


def copy(folder: Path) -> dict[str, Any]:
    with _lake(folder) as c:
        c.execute(f"copy (from {TABLE}) to '{folder}/copy.parquet' (format parquet, compression zstd)")
    return {}


def read(folder: Path) -> dict[str, Any]:
    """Every value of every file, by DuckDB."""
    with _lake(folder) as c:
        c.execute(f"select bit_xor(hash(columns(*))) from {TABLE}").fetchall()
    return {}


def residue(folder: Path) -> dict[str, Any]:
    from pipelines.assurance.residue.lake_files import subject_files
    from pipelines.assurance.residue.needles import needles
    from pipelines.assurance.residue.scan import scan
    from pipelines.foundation.home import Home
    from pipelines.lake.store import ALIAS, raw_lake

    home = Home(folder / "home")
    with _lake(folder) as c:
        files = [file for file in subject_files(c, ALIAS, raw_lake(home).data, home.root) if "access_logs" in file.name]
    found = scan(files, needles([f"x{n:07}y" for n in range(IDENTIFIERS)]))
    assert found.clean() and found.files == len(files), "nothing is there to be found, and all of it is read"
    return {"files": found.files}


def _lake(folder: Path) -> Any:
    from pipelines.foundation.home import Home
    from pipelines.lake.store import opened, raw_lake

    return opened(raw_lake(Home(folder / "home")), "bench")


def _files(home: Any) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in home.lake("raw").rglob("access_logs/**/*.parquet")}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "expire": expire, "erase one": lambda folder: erase(folder, 1), "erase many": lambda folder: erase(folder, BATCH), "copy": copy, "read": read,
    "residue": residue,
}


def measured(step: str, folder: Path) -> dict[str, Any]:
    """Run one step in a process of its own on a copy of the home: seconds, peak memory in MB, and what it says."""
    work = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
    try:
        shutil.copytree(folder / "home", work / "home", copy_function=_link_or_copy)
        out = subprocess.run([sys.executable, "-m", "benchmarks.deletion", "--step", step, str(work)], stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(out.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(work)


def _link_or_copy(source: str, target: str) -> str:
    """Data files are never written to, so that a second name is enough; catalogs are copied."""
    if source.endswith(".parquet"):
        Path(target).hardlink_to(source)
        return target
    return shutil.copy2(source, target)


def main(rows: int, members: int) -> Iterator[dict[str, Any]]:
    """A row of the table for each measurement, with its yardstick, ratio and target."""
    with tempfile.TemporaryDirectory(prefix="kampeky-bench-") as name:
        few, many = Path(name) / "few", Path(name) / "many"
        for folder, size in ((few, rows // 10), (many, rows)):
            folder.mkdir()
            subprocess.run([sys.executable, "-m", "benchmarks.deletion", "--generate", str(folder), str(size), str(members)], check=True)
        small, large = measured("expire", few), measured("expire", many)
        yield _row("a day expires", rows, large, small["seconds"], 1.2)
        one, batch, copied = measured("erase one", many), measured("erase many", many), measured("copy", many)
        yield _row("one member: share of bytes", rows, one, one["bytes"], 0.05, one["rewritten"])
        yield _row(f"{BATCH:,} members", rows, batch | {"seconds": round(batch["work"], 2)}, copied["seconds"], 1.2)
        plain, proof = measured("read", many), measured("residue", many)
        yield _row(f"residue, {IDENTIFIERS} identifiers", rows, proof, plain["seconds"], 5)


def _row(what: str, rows: int, step: dict[str, Any], yardstick: float, target: float, of: float | None = None) -> dict[str, Any]:
    return {"what": what, "rows": rows, "seconds": step["seconds"], "yardstick_s": yardstick,
            "ratio": round((of if of is not None else step["seconds"]) / yardstick, 4 if of is not None else 2), "target": target,
            "peak_mb": step["peak_mb"]}


if __name__ == "__main__":  # one step, in a process of its own: --step STEP FOLDER, or --generate FOLDER ROWS MEMBERS
    if sys.argv[1] == "--generate":
        generate(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        step, folder = sys.argv[2], Path(sys.argv[3])
        import duckdb

        import pipelines.workflows.erasure
        import pipelines.workflows.retention  # noqa: F401 - loaded before the clock starts, for both sides

        duckdb.execute("select $1", [1]).fetchall()  # the same: with its first parameter DuckDB loads pandas
        start = time.perf_counter()
        told = STEPS[step](folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(peak)} | told))
