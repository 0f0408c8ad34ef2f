"""`make bench`: every measurement as a ratio within one run on one machine; the table is printed, and kept in benchmarks/last.json."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks import access_logs, build, deletion, simulator

KEPT = Path(__file__).with_name("last.json")


def main(rows: int, members: int, build_members: int, build_events: int) -> None:
    table = []
    for measured in access_logs.main(rows):
        table.append(measured)
        print(f"{measured['what']:26} {rows:>12,} rows  {measured['seconds']:>8} s  yardstick {measured['yardstick_s']:>8} s  "
              f"ratio {measured['ratio']:>6} (at most {measured['target']})  peak {measured['peak_mb']:,} MB", flush=True)
    made = simulator.main(members)
    table.append(made)
    print(f"{made['what']:26} {made['rows']:>12,} rows  {made['seconds']:>8} s  {made['a_second']:,} a second (at least {made['target']:,})")
    for measured in (*deletion.main(build_events, build_members), *build.main(build_members, build_events)):
        table.append(measured)
        print(f"{measured['what']:26} {measured['rows']:>12,} rows  {measured['seconds']:>8} s  yardstick {measured['yardstick_s']:>8} s  "
              f"ratio {measured['ratio']:>6} (at most {measured['target'] or 'any'})  peak {measured['peak_mb']:,} MB", flush=True)
    KEPT.write_text(json.dumps({"cpus": os.cpu_count(), "measured": table}, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
