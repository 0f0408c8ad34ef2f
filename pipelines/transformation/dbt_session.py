"""One dbt command, run inside this process without a trace outside `workdir`.

dbt was made for a terminal: it logs the text of database errors, which quotes values, prints them, keeps connections
and takes its settings from any DBT_ variable around. Here it gets exactly the environment it is given, writes no log,
no result file and nothing to stdout, and every file it held is released when the command ends.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import KampekyError

_PROFILES = Path(__file__).parent  # profiles.yml: what a build opens is said here, whatever stands in the project
_ALONE = threading.Lock()  # environment, umask and stdout belong to the process: one dbt at a time
_QUIET = ("--quiet", "--log-level", "none", "--log-level-file", "none", "--no-print", "--no-use-colors",
          "--no-send-anonymous-usage-stats", "--no-write-json", "--no-partial-parse", "--no-version-check")


@contextlib.contextmanager
def dbt_session(project: Path, workdir: Path, environment: Mapping[str, str]) -> Generator[Any]:
    """Gives `invoke(command, *arguments, manifest=None)`, which returns dbt's own result; files in `workdir` are 0600.

    `environment` holds what profiles.yml asks for, keys among them: it stands in the process environment for the time
    of this block only.
    """
    places = ["--project-dir", str(project), "--profiles-dir", str(_PROFILES),
              "--target-path", str(workdir / "target"), "--log-path", str(workdir / "logs")]

    try:
        from dbt.cli.main import dbtRunner
    except ModuleNotFoundError:
        raise KampekyError("dbt is not installed here. Install the project's requirements, group 'transform'.") from None

    def invoke(command: str, *arguments: str, manifest: Any = None) -> Any:
        return dbtRunner(manifest=manifest).invoke([*command.split(), *places, *_QUIET, *arguments])

    with _ALONE, _environment(environment), _private_files(), _silence():
        try:
            yield invoke
        finally:
            _release()


def _release() -> None:
    """Close what dbt keeps open between commands, and let go of the copy it takes of the environment, keys included.

    An in-memory main database is kept open by dbt-duckdb whatever `keep_open` says, and the attached files with it:
    until it is closed, no other process can open them.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt_common.context import set_invocation_context

    held = DuckDBConnectionManager._ENV
    if held is not None:
        held.close()
    DuckDBConnectionManager.close_all_connections()
    reset_adapters()
    set_invocation_context({})


@contextlib.contextmanager
def _environment(given: Mapping[str, str]) -> Generator[None]:
    """The process environment without any DBT_ variable but those given, without keys, and back as it was afterwards."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("DBT_", "KAMPEKY_KEY")):  # a developer's DBT_TARGET or DBT_DEBUG must not reach a build
            del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _private_files() -> Generator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _silence() -> Generator[None]:
    """What dbt prints goes nowhere: an error text may quote a row, and stdout is for data."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
