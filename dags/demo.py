"""`make demo`: a small marketplace through the whole of Kampeky, by the real DAGs, in one process and under three minutes.

LOG in the environment names an access log; the dates of everything else follow it. The demo works in a home of its own
(KAMPEKY_HOME, else .kampeky): one that it did not make it leaves alone, and one that it made for another log it makes anew.
What a person wants to see goes to stdout, progress to stderr.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from dags import local
from dags.access_log import look_at
from pipelines.evidence import ledger
from pipelines.foundation.dates import start_of_day
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove, write_atomically
from pipelines.foundation.home import Home, resolve_home

ROOT = local.DAGS.parent
WORK = ROOT / ".demo"
SOURCE = WORK / "source"
KAMPEKY = Path(sys.executable).with_name("kampeky")
NEARBY_LOG = ROOT.parent / "shared" / "data" / "weblogs" / "apache_combined_2015.log"
MARKETPLACE = {"members": 2500, "days": 45, "seed": 7}
END_WITHOUT_LOG = date(2026, 6, 30)
DAYS_LATER = 10  # after which retention runs: enough for some of the log to be due, and not all of it
FIVE_ROWS = """
    select pseudonym, age_band, tenure, forum_activity, usage_event_count, device_count, top_item_category
    from user_profiles where age_band <> 'unknown' and forum_activity <> 'none' order by pseudonym limit 5
"""
STEPS = 8
_done = 0


def main() -> int:
    """Run the demo; the exit code of what went wrong, with one sentence."""
    try:
        _demo()
    except KampekyError as error:
        _say(f"make demo: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("make demo: stopped. Run it again: it goes on from what is there.")
        return 130
    return 0


def _demo() -> None:
    log = _chosen_log()
    seen = look_at(log) if log else None
    end = seen.last_day if seen else END_WITHOUT_LOG
    today, later = start_of_day(end + timedelta(days=1)), start_of_day(end + timedelta(days=1 + DAYS_LATER))
    made_of = {"log": seen.fingerprint if seen else None, "end": end.isoformat(), **MARKETPLACE, "rules": _rules()}
    home = resolve_home(None)
    os.environ["KAMPEKY_HOME"] = str(home.root)
    _say(f"access log: {log or 'the simulated one'}, last day {end}; so today is {today.date()}, and retention runs on {later.date()}")

    with _step("init"):
        state = _own_home(home, made_of)
    with _step("simulate"):
        _simulate(end, made_of)
    with _step("start Airflow in this process"):
        local.start(ROOT / ".airflow" / "demo")
    with _step("DAG ingest"):
        local.run("ingest", {"folder": str(SOURCE), "log": str(log) if log else None, "as_of": today.isoformat()}, today)
    with _step("DAG build"):
        local.run("build", {"as_of": today.isoformat()}, today)
    with _step(f"DAG retention, {DAYS_LATER} days later"):
        local.run("retention", {"as_of": later.isoformat()}, later)
    with _step("open a portability request"):
        if "request_id" not in state:
            opened = _kampeky("request", "open", "portability", "--member", "-", "--as-of", later.isoformat(), "--json", given=_somebody())
            state["request_id"] = json.loads(opened)["request_id"]
            _write(_mark(home), state)
    with _step("DAG privacy_request"):
        local.run("privacy_request", {"request_id": state["request_id"]}, later)

    state["acts"] = len(ledger.read(home))
    _write(_mark(home), state)
    print(_kampeky("status"), flush=True)
    print("Five rows of user_profiles\n")
    print(_kampeky("sql", "analytics", FIVE_ROWS))
    print(_next(later.date()))


def _chosen_log() -> Path | None:
    """LOG, else the real log that may lie beside the checkout, else none: the simulator writes one too."""
    if named := os.environ.get("LOG"):
        return Path(named).expanduser().absolute()
    return NEARBY_LOG if NEARBY_LOG.exists() else None


def _own_home(home: Home, made_of: dict) -> dict:
    """Make the demo's home or take up the one that an earlier demo made; returns the demo's notes about it."""
    mark, making = _mark(home), WORK / "making"
    if home.root.exists() and any(home.root.iterdir()):
        # `making` is there only between the making of a home and its mark: an init that was interrupted
        if not mark.exists() and not (making.exists() and making.read_text() == str(home.root)):
            raise KampekyError(f"The home at {home.root} was not made by the demo, which leaves it alone. "
                               "Choose another for it: KAMPEKY_HOME=/path/of/a/new/home make demo")
        state = json.loads(mark.read_text()) if mark.exists() else {}
        if state.get("made_of") == made_of:
            return state
        if len(ledger.read(home)) > state.get("acts", sys.maxsize):
            raise KampekyError(f"The home at {home.root} was made by an earlier demo from another log, and has been used since; the demo leaves it "
                               "alone. Remove it, or choose another: KAMPEKY_HOME=/path/of/a/new/home make demo")
        remove(home.root)
    WORK.mkdir(exist_ok=True)
    making.write_text(str(home.root))
    _kampeky("init")
    state = {"made_of": made_of}
    _write(mark, state)
    making.unlink()
    return state


def _mark(home: Home) -> Path:
    """The file in a home by which the demo knows it as its own."""
    return home.root / "demo.json"


def _simulate(end: date, made_of: dict) -> None:
    """Write the marketplace below SOURCE, unless it is there from the same arguments."""
    stamp = WORK / "source.json"
    wanted = {name: value for name, value in made_of.items() if name != "log"}
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    stamp.unlink(missing_ok=True)
    remove(SOURCE)
    words = [word for name, value in MARKETPLACE.items() for word in (f"--{name}", str(value))]
    _kampeky("simulate", *words, "--end", end.isoformat(), str(SOURCE), home=False)
    _write(stamp, wanted)


def _somebody() -> str:
    """The simulated member who left most posts and sales, so that the export has something in it."""
    acts: Counter[str] = Counter()
    for name, column in (("forum_posts", "author_id"), ("transactions", "seller_id")):
        with (SOURCE / name / f"{name}.csv").open(encoding="utf-8", errors="replace", newline="") as file:
            acts.update(row[column] or "" for row in csv.DictReader(file))
    with (SOURCE / "members" / "members.ndjson").open(encoding="utf-8", errors="replace") as file:
        members = {member["member_id"] for member in map(_object, file) if member.get("member_id") and not member.get("deleted_at")}
    return max(members, key=lambda member: (acts[member], member))


def _object(line: str) -> dict:
    """A line of NDJSON, or nothing: the simulator damages some."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _rules() -> str:
    """A fingerprint of policy and contracts: a home made under other rules is made anew."""
    files = sorted((ROOT / "data_contracts").glob("*.yaml"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _kampeky(*words: str, given: str | None = None, home: bool = True) -> str:
    """One command as a person would type it; what it says on stderr is shown if it fails."""
    ran = subprocess.run([KAMPEKY, *words, *(("--home", os.environ["KAMPEKY_HOME"]) if home else ())],
                         input=given or "", capture_output=True, text=True, cwd=ROOT, check=False)
    if ran.returncode:
        raise KampekyError(f"kampeky {words[0]} ended with exit code {ran.returncode}. {ran.stderr.strip()}")
    return ran.stdout


def _write(path: Path, content: dict) -> None:
    write_atomically(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    global _done
    _done += 1
    print(f"[{_done}/{STEPS}] {what} … ", end="", file=sys.stderr, flush=True)
    begun, seconds = time.monotonic(), ""
    try:
        yield
        seconds = f"{time.monotonic() - begun:.1f} s"
    finally:
        _say(seconds)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _next(later: date) -> str:
    """Three commands to try, one for each kind of people who use it."""
    kampeky = KAMPEKY.relative_to(ROOT) if KAMPEKY.is_relative_to(ROOT) else KAMPEKY
    return (
        f"What to try next (the demo lives in {later.year}: of commands that judge by the day, such as build, request, disclose and keys rotate, "
        f"say --as-of {later})\n\n"
        f'  {kampeky} sql analytics "select age_band, count(*) as members from user_profiles group by all order by all"\n'
        f"  {kampeky} retention plan --as-of {later + timedelta(days=DAYS_LATER)}\n"
        "  make airflow\n"
    )


if __name__ == "__main__":
    sys.exit(main())
