"""How long checked, encrypted, partitioned loading takes, as a ratio to a plain copy of the same rows in the same run.

Yardsticks: for Parquet, DuckDB copying the same files Parquet → Parquet (zstd); for text, DuckDB reading the same lines into one
column and writing it. Each measurement is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

FIRST, DAYS = date(2026, 1, 1), 30
AS_OF = (FIRST + timedelta(days=DAYS - 1)).isoformat()


def rows_sql(rows: int, first: int = 0, last: int | None = None, members: int = 1_000_003) -> str:
    """`rows` distinct rows as a server would log them over 30 days, in the order of time, ~200 bytes each as text; of them those from number `first`
    to before `last`. Every third names one of so many members."""
    return f"""
        select concat_ws('.', 1 + h % 223, (h >> 8) % 256, (h >> 16) % 256, (h >> 24) % 256) as ip,
               case when h % 3 = 0 then 'm' || lpad((h % {members})::varchar, 7, '0') end as member_id,
               timestamptz '{FIRST} 00:00:00+01' + to_microseconds(i * ({DAYS} * 86400000000 // {rows})) as requested_at,
               case when h % 10 < 8 then 'GET' else 'POST' end as method,
               '/' || ['offre', 'recherche', 'membre', 'forum', 'panier'][1 + h % 5] || '/' || i || '?s=' || (h % 100000) as path,
               'HTTP/1.1' as protocol, ['200', '200', '200', '304', '404'][1 + (h >> 5) % 5] as status, (h % 100000)::varchar as bytes,
               case when h % 2 = 0 then 'https://www.exemple.fr/' || (h % 9973) end as referer,
               'Mozilla/5.0 (X11; Linux x86_64; rv:' || (h % 120) || '.0) Gecko/20100101 Firefox/' || (h % 120) || '.0' as user_agent
        from (select i, (hash(i) >> 1)::bigint as h from range({first}, {rows if last is None else last}) as t(i))"""


LINE = """ip || ' - ' || coalesce(member_id, '-') || ' [' || strftime(requested_at at time zone 'UTC', '%d/%b/%Y:%H:%M:%S +0000') || '] "'
    || method || ' ' || path || ' ' || protocol || '" ' || status || ' ' || bytes || ' "' || coalesce(referer, '-') || '" "' || user_agent || '"'"""
PLAIN = r"format csv, header false, quote '', escape '', delimiter E'\x01'"
ONE_COLUMN = r"read_csv('{}', header = false, columns = {{'line': 'VARCHAR'}}, quote = '', escape = '', delim = E'\x01', auto_detect = false)"


def generate(folder: Path, rows: int) -> None:
    import duckdb

    connection = duckdb.connect()
    connection.execute("set timezone = 'Europe/Paris'")
    (folder / "days").mkdir(parents=True)
    connection.execute(f"copy ({rows_sql(rows)}) to '{folder}/month.parquet' (format parquet, compression zstd)")
    for n in range(DAYS):
        day = FIRST + timedelta(days=n)
        connection.execute(f"copy (select * from '{folder}/month.parquet' where requested_at::date = date '{day}') "
                           f"to '{folder}/days/{day}.parquet' (format parquet, compression zstd)")
    connection.execute(f"copy (select {LINE} as line from '{folder}/month.parquet') to '{folder}/access.log' ({PLAIN})")


def copy_parquet(folder: Path, *files: str) -> None:
    import duckdb

    for n, file in enumerate(files):
        duckdb.connect().execute(f"copy (from '{file}') to '{folder}/copy-{n}.parquet' (format parquet, compression zstd)")


def copy_lines(folder: Path, file: str) -> None:
    import duckdb

    duckdb.connect().execute(f"copy (from {ONE_COLUMN.format(file)}) to '{folder}/lines.parquet' (format parquet, compression zstd)")


def ingest(folder: Path, *files: str) -> None:
    """Each file a run of its own, as a scheduler would have it."""
    from pipelines.cli.main import main

    for words in (["init"], *(["ingest", "access_logs", file, "--as-of", AS_OF] for file in files)):
        try:
            main([*words, "--home", str(folder / "home")])
        except SystemExit as ended:
            if ended.code:
                raise


def measured(step: str, folder: Path, *files: Path) -> dict[str, float]:
    """Run one step in a process of its own: seconds, and peak memory in MB. What it takes to start is not the step's."""
    work = folder / f"work-{step}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    out = subprocess.run([sys.executable, "-m", "benchmarks.access_logs", "--step", step, str(work), *map(str, files)],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    shutil.rmtree(work)
    return json.loads(out.stdout.splitlines()[-1])


def main(rows: int) -> Iterator[dict[str, object]]:
    """A row of the table for each measurement, with its yardstick, ratio and target."""
    with tempfile.TemporaryDirectory(prefix="kampeky-bench-") as name:
        folder = Path(name)
        generate(folder, rows)
        days, month, log = sorted((folder / "days").iterdir()), folder / "month.parquet", folder / "access.log"
        for what, target, yardstick, files in (("Parquet, day by day", 2, "copy_parquet", days),
                                               ("Parquet, a month at once", 4, "copy_parquet", [month]), ("combined text", 6, "copy_lines", [log])):
            copy, loaded = measured(yardstick, folder, *files), measured("ingest", folder, *files)
            yield {"what": what, "rows": rows, "yardstick_s": copy["seconds"], "seconds": loaded["seconds"],
                   "ratio": round(loaded["seconds"] / copy["seconds"], 2), "target": target, "peak_mb": loaded["peak_mb"]}


if __name__ == "__main__":  # one step, in a process of its own: --step STEP FOLDER FILE…
    step, folder, files = sys.argv[2], Path(sys.argv[3]), sys.argv[4:]
    import duckdb  # noqa: F401 - loaded before the clock starts, for both sides

    start = time.perf_counter()
    {"copy_parquet": copy_parquet, "copy_lines": copy_lines, "ingest": ingest}[step](folder, *files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(peak)}))
