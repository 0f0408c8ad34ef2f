"""How long gate and pseudonymisation take, as a ratio to a plain copy of the same rows in the same run; one more day, to the whole zone; and dbt,
to the same SQL run bare (models.py).

The world is written straight into the raw zone and the vault of a home (how long loading takes is measured elsewhere): members, what they decided
on their devices, and a year of usage events and a month of log lines by day. Yardstick of a purpose: DuckDB copying the raw tables that enter it
out of the same encrypted lake to Parquet (zstd). Each step is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from benchmarks import models

TODAY = date(2026, 1, 31)
EVENT_DAYS, LOG_DAYS = 360, 29
PURPOSES = ("analytics", "advertising", "security", "improvement")
MODELLED = ("analytics", "advertising")
LIMIT = "2GB"
AGENT = "'Mozilla/5.0 (X11; Linux x86_64; rv:' || (h % 60) || '.0) Gecko/20100101 Firefox/' || (h % 60) || '.0'"


def moments(days: int, i: str, rows: int) -> str:
    """SQL: a time of row number `i` of `rows`, in order, over the last `days` before TODAY."""
    return f"timestamptz '{TODAY - timedelta(days=days)} 00:00:00+01' + to_microseconds({i} * ({days} * 86400000000 // {rows}))"


def generate(folder: Path, members: int, events: int) -> None:
    """A home with `members` and `events`, two thirds of them usage events; every third row is a visitor's, one in a hundred devices said no."""
    from pipelines.foundation.home import Home
    from pipelines.identity.vault import opened_vault
    from pipelines.lake.store import opened, raw_lake
    from pipelines.lake.tables import create_raw_tables
    from pipelines.workflows.init import init
    from pipelines.workflows.rules import rules

    home = Home(folder / "home")
    init(home)
    with opened(raw_lake(home), "bench", write=True) as c:
        create_raw_tables(c, rules())
        c.execute(f"""insert into lake.main.members by name select 'm' || i as member_id, 'n' || i as member_name, 'm' || i || '@exemple.fr' as email,
            'direct' as registration_channel, timestamptz '2025-01-15 12:00:00+01' as registered_at, true as age_confirmed,
            ['female', 'male', 'other'][1 + i % 3] as gender, date '1960-01-01' + (i % 16000)::int as birthday,
            (i % 95 + 1)::varchar || '000' as postcode,
            date '{TODAY}' - (i % 300)::int as last_active_on, timestamptz '2026-01-30 12:00:00+01' as updated_at, 'b' as _batch, i as _line
            from range({members}) as t(i)""")
        for n, kind in enumerate(("analytics_cookies", "targeting_cookies", "functional_cookies", "log_profiling")):
            device = "null" if kind == "log_profiling" else "'d' || i"
            c.execute(f"""insert into lake.main.consents by name select 'c{n}-' || i as consent_id, 'm' || i as member_id, {device} as device_id,
                '{kind}' as kind, case when i % 100 = 7 then 'refused' else 'granted' end as decision,
                timestamptz '2025-01-15 12:00:00+01' as recorded_at,
                'banner_button' as method, '2014-2' as policy_version, date '2025-01-15' as paris_day, 'b' as _batch, i as _line
                from range({members}) as t(i) where i % 3 < 2""")
        add_rows(c, members, 0, events, "b", EVENT_DAYS, LOG_DAYS)
    with opened_vault(home, "bench", write=True):
        pass


def add_rows(c, members: int, first: int, rows: int, batch: str, event_days: int, log_days: int) -> None:
    """`rows` numbered from `first`: usage events and log lines, in the order of time, a day's in a file of their own."""
    used = rows * 2 // 3
    for table, count, days, columns in (
            ("usage_events", used, event_days, f"""'e' || i as event_id, 'd' || (h % {members}) as device_id,
                ['analytics', 'analytics', 'targeting', 'necessary'][1 + (h >> 8) % 4] as cookie_category, {{moment}} as occurred_at,
                ['page_view', 'search', 'item_view'][1 + (h >> 10) % 3] as event_type, '/offre/' || i || '?s=' || (h % 100000) as page,
                ['coats', 'shoes', 'bags'][1 + (h >> 12) % 3] as item_category, {AGENT} as user_agent"""),
            ("access_logs", rows - used, log_days, f"""concat_ws('.', 1 + h % 223, (h >> 8) % 256, (h >> 16) % 256, (h >> 24) % 256) as ip,
                {{moment}} as requested_at, 'GET' as method, '/offre/' || i || '?s=' || (h % 100000) as path, 'HTTP/1.1' as protocol,
                200::bigint as status, (h % 100000)::bigint as bytes, 'https://www.exemple.fr/' || (h % 9973) as referer, {AGENT} as user_agent""")):
        moment = moments(days, f"(i - {first})", count)
        c.execute(f"""insert into lake.main.{table} by name
            select * exclude (i, h, made), made::date as paris_day, i as _line, '{batch}' as _batch from (
                select i, h, {moment} as made, case when h % 3 < 2 then 'm' || (h % {members}) end as member_id, {columns.format(moment=moment)}
                from (select i, (hash(i) >> 1)::bigint as h from range({first}, {first + count}) as t(i)))""")


def one_day_more(folder: Path, members: int, events: int) -> None:
    from pipelines.foundation.home import Home
    from pipelines.lake.store import opened, raw_lake

    with opened(raw_lake(Home(folder / "home")), "bench", write=True) as c:
        add_rows(c, members, events, max(events // EVENT_DAYS, 300), "c", 1, 1)


def withdrawals(folder: Path, members: int) -> None:
    """One member in two thousand withdraws on one device: what they did all year is rewritten."""
    from pipelines.foundation.home import Home
    from pipelines.lake.store import opened, raw_lake

    with opened(raw_lake(Home(folder / "home")), "bench", write=True) as c:
        c.execute("insert into lake.main.consents by name select 'late-' || i as consent_id, 'm' || i as member_id, 'd' || i as device_id, "
                  "'analytics_cookies' as kind, 'withdrawn' as decision, timestamptz '2026-01-30 12:00:00+01' as recorded_at, "
                  "'banner_button' as method, '2014-2' as policy_version, date '2026-01-30' as paris_day, 'c' as _batch, i as _line "
                  f"from range(0, {members}, 2000) as t(i)")


def copy(folder: Path, purpose: str) -> None:
    """The raw tables that enter the purpose, row for row."""
    from pipelines.foundation.home import Home
    from pipelines.lake.store import opened, raw_lake
    from pipelines.workflows.rules import rules

    with opened(raw_lake(Home(folder / "home")), "bench") as c:
        for contract in rules().entering(purpose):
            c.execute(f"copy (from lake.main.{contract.name}) to '{folder}/copy-{contract.name}.parquet' (format parquet, compression zstd)")


def pseudonymise(folder: Path, purpose: str, as_of: str, whole: bool) -> None:
    from pipelines.foundation.dates import parse_as_of
    from pipelines.foundation.home import Home
    from pipelines.pseudonymisation.run import pseudonymise as make
    from pipelines.workflows.rules import rules

    make(Home(folder / "home"), rules(), rules().policy.purpose(purpose), parse_as_of(as_of), whole)


def measured(folder: Path, step: str, *words: object, limit: str = "") -> dict[str, float]:
    """Run one step in a process of its own: its seconds, without those of starting, and its peak memory in MB."""
    out = subprocess.run([sys.executable, "-m", "benchmarks.build", "--step", step, str(folder), *map(str, words)], stdout=subprocess.PIPE,
                         check=True, text=True, env={**os.environ, **({"KAMPEKY_MEMORY": limit} if limit else {})})
    return json.loads(out.stdout.splitlines()[-1])


def main(members: int, events: int) -> Iterator[dict[str, object]]:
    """A row of the table for each measurement, with its yardstick, ratio and target."""
    with tempfile.TemporaryDirectory(prefix="kampeky-bench-") as name:
        folder = Path(name)
        measured(folder, "generate", members, events)
        whole, copied = {}, {}
        for purpose in PURPOSES:
            copied[purpose] = measured(folder, "copy", purpose)
            whole[purpose] = measured(folder, "whole", purpose, TODAY - timedelta(days=1))
            yield _row(f"zone of {purpose}", events, whole[purpose], copied[purpose], 2)
        measured(folder, "day", members, events)
        for purpose in PURPOSES:
            yield _row(f"one day more, {purpose}", events, measured(folder, "carry", purpose, TODAY), whole[purpose], 0.1)
        measured(folder, "withdraw", members)
        yield _row("withdrawals, analytics", events, measured(folder, "carry", "analytics", TODAY), whole["analytics"], None)
        for purpose in MODELLED:
            modelled = measured(folder, "dbt", purpose)
            yield _row(f"dbt, {purpose}", events, modelled, measured(folder, "bare", purpose), 1.3)
        small = measured(folder, "whole", "analytics", TODAY, limit=LIMIT)
        yield _row(f"analytics under {LIMIT}", events, small, copied["analytics"], None)


def _row(what: str, rows: int, one: dict[str, float], yardstick: dict[str, float], target: float | None) -> dict[str, object]:
    return {"what": what, "rows": rows, "yardstick_s": yardstick["seconds"], "seconds": one["seconds"],
            "ratio": round(one["seconds"] / max(yardstick["seconds"], 0.01), 2), "target": target, "peak_mb": one["peak_mb"]}


STEPS = {
    "generate": lambda folder, members, events: generate(folder, int(members), int(events)),
    "day": lambda folder, members, events: one_day_more(folder, int(members), int(events)),
    "withdraw": lambda folder, members: withdrawals(folder, int(members)),
    "copy": copy,
    "whole": lambda folder, purpose, as_of: pseudonymise(folder, purpose, as_of, True),
    "carry": lambda folder, purpose, as_of: pseudonymise(folder, purpose, as_of, False),
    "dbt": models.dbt,
    "bare": models.bare,
}

if __name__ == "__main__":  # python -m benchmarks.build MEMBERS EVENTS, or one step in a process of its own: --step STEP FOLDER …
    if sys.argv[1] == "--step":
        import duckdb  # noqa: F401 - loaded before the clock starts, for both sides

        start = time.perf_counter()
        STEPS[sys.argv[2]](Path(sys.argv[3]), *sys.argv[4:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(peak)}))
    else:
        for row in main(int(sys.argv[1]), int(sys.argv[2])):
            print(json.dumps(row), flush=True)
