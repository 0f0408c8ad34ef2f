"""How many events a second the simulation writes, over every dataset that it makes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1_000_000  # a second, on two cores
DAYS = 30


def main(members: int) -> dict[str, object]:
    """One row of the table; the process takes its start with it."""
    with tempfile.TemporaryDirectory(prefix="kampeky-bench-") as name:
        out, started = Path(name) / "out", time.perf_counter()
        words = ["simulate", "--members", str(members), "--days", str(DAYS), "--seed", "1", "--end", "2026-01-30", str(out), "--json"]
        run = subprocess.run([sys.executable, "-m", "pipelines.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                             text=True)
        seconds, rows = time.perf_counter() - started, sum(json.loads(run.stdout).values())
    return {"what": "simulated rows a second", "rows": rows, "seconds": round(seconds, 2), "a_second": round(rows / seconds), "target": TARGET}
