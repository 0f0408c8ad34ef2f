"""A local Airflow with these DAGs in it, on 127.0.0.1 only: `make airflow`. Ctrl-C stops all of it.

For trying out, not for production: SQLite, one user, one machine. Like `airflow standalone`, but that one listens to the
whole network, leaves its password readable to everybody, and leaves processes behind unless it is stopped in one certain way.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dags.local import DAGS, settings

ROOT = DAGS.parent
FOLDER = ROOT / ".airflow"
PASSWORDS = FOLDER / "passwords.json"
AIRFLOW = str(Path(sys.executable).with_name("airflow"))
PATIENCE_SECONDS = 120
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal


def main(port: int) -> int:
    """Serve until one of ENDINGS; 0 after a stop that was asked for."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            print(f"Port {port} is in use, perhaps by another 'make airflow'. Choose one: make airflow PORT={port + 1}", file=sys.stderr)
            return 2
    for number in ENDINGS:
        signal.signal(number, signal.default_int_handler)
    (FOLDER / "logs").mkdir(parents=True, exist_ok=True)
    environment = os.environ | settings(FOLDER) | _server(port)
    running: list[subprocess.Popen[bytes]] = []
    try:
        print("starting Airflow (half a minute) …", file=sys.stderr)
        if _start(["db", "migrate"], environment).wait() != 0:
            print(f"Airflow could not make its database. See {FOLDER / 'logs' / 'db.log'}; removing {FOLDER} starts anew.", file=sys.stderr)
            return 1
        if subprocess.run([sys.executable, "-m", "dags.forget"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
            print("Runs that are long over could not be forgotten: python -m dags.forget says why.", file=sys.stderr)
        for words in _parts(port):
            running.append(_start(words, environment))
        if not _ready(port, running):
            print(f"Airflow did not come up. Its words are in {FOLDER / 'logs'}.", file=sys.stderr)
            return 1
        print(f"Airflow: http://127.0.0.1:{port}   user: admin   password: in {PASSWORDS.relative_to(ROOT)}", file=sys.stderr)
        print(f"It works on the home {environment['KAMPEKY_HOME']}. DAGs start paused: nothing runs by itself. Ctrl-C stops.", file=sys.stderr)
        while all(process.poll() is None for process in running):
            time.sleep(0.5)
        print(f"A part of Airflow ended by itself. Its words are in {FOLDER / 'logs'}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(running)


def _parts(port: int) -> tuple[list[str], ...]:
    """The programs that make an Airflow. No triggerer: no task here defers. No log server: it would listen to the whole network."""
    return (
        ["api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        ["dag-processor"],
        ["scheduler", "--skip-serve-logs"],
    )


def _server(port: int) -> dict[str, str]:
    """What a served Airflow needs beyond the settings of one process: addresses, secrets that outlive a restart, the home."""
    _kept(PASSWORDS, lambda: json.dumps({"admin": secrets.token_urlsafe(12)}))
    return {
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": _kept(FOLDER / "jwt_secret", lambda: secrets.token_hex(64)),
        "AIRFLOW__API__SECRET_KEY": _kept(FOLDER / "session_secret", lambda: secrets.token_hex(32)),
        "AIRFLOW__CORE__FERNET_KEY": _kept(FOLDER / "fernet_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(PASSWORDS),
        "KAMPEKY_HOME": str(Path(os.environ.get("KAMPEKY_HOME") or ROOT / ".kampeky").absolute()),
    }


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made on first use and readable by its owner alone."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(make())
    return path.read_text().strip()


def _start(words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start one part of Airflow in a process group of its own, so that Ctrl-C reaches it once and only through `_stop`."""
    with (FOLDER / "logs" / f"{words[0]}.log").open("ab") as log:
        return subprocess.Popen(
            [AIRFLOW, *words], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _ready(port: int, running: list[subprocess.Popen[bytes]]) -> bool:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and all(process.poll() is None for process in running):
        with suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
            if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")):
                return True
        time.sleep(0.5)
    return False


def _stop(running: list[subprocess.Popen[bytes]]) -> None:
    """Ask each part to end, then end what is left of its process group. A second Ctrl-C cannot cut this short."""
    if not running:
        return
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    print("stopping Airflow …", file=sys.stderr)
    for process in reversed(running):
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + 15
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "8080"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        sys.exit(f"'{given}' is no port. Example: make airflow PORT=8081")
    sys.exit(main(int(given)))
