"""Runs the real DAGs in this process, without scheduler or server: for the tests and `make demo`.

`start(folder)` once per process, then `run(dag_id, conf, day)` as often as wanted. Airflow's database and all that Airflow
and the tasks say go below `folder`; what a person should read is in the `Run` returned or the `DagFailed` raised. Airflow is
imported in `start` at the earliest, because it reads its settings from the environment while it is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.foundation.errors import KampekyError

DAGS = Path(__file__).resolve().parent
_log: Path | None = None


@dataclass(frozen=True)
class Run:
    """How each task of a finished run ended, and what it returned (counts and ids, never a person's data)."""

    states: dict[str, str]
    values: dict[str, Any]


class DagFailed(KampekyError):
    """Tasks of a run failed; `errors` has the exception of each."""

    def __init__(self, dag_id: str, states: dict[str, str], errors: dict[str, BaseException], log: Path) -> None:
        self.states, self.errors = states, errors
        # The text of an error that is not ours may hold a row's values: it stays in the log.
        told = [f"{task}: {error if isinstance(error, KampekyError) else type(error).__name__}" for task, error in errors.items()]
        super().__init__(f"DAG {dag_id} failed. {' '.join(told) or states} (log: {log})")


def settings(folder: Path) -> dict[str, str]:
    """Airflow's settings for one machine: SQLite, no examples, nothing told to anybody, everything below `folder`."""
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def start(folder: Path) -> None:
    """Make Airflow ready in this process, its database and logs below `folder`. A second call does nothing."""
    global _log
    if _log is not None:
        return
    if "airflow" in sys.modules:
        raise RuntimeError("Airflow was imported before its settings were made: call start() first.")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(settings(folder))
    _log = folder / "runs.log"
    with _said_to(_log):
        from airflow.utils.db import initdb

        initdb()


def run(dag_id: str, conf: dict[str, Any], day: datetime) -> Run:
    """Run one DAG as of `day` with `conf` as its parameters; raises DagFailed if a task does not succeed."""
    assert _log is not None, "call start() first"
    errors: dict[str, BaseException] = {}
    with _said_to(_log):
        dag = _load(dag_id)
        for task in dag.tasks:
            task.retries = 0  # whoever waits in front of a terminal wants to know now
            task.on_failure_callback = [lambda context: errors.update({context["ti"].task_id: context["exception"]})]
        finished = dag.test(logical_date=day, run_conf=conf)
        states = {ti.task_id: str(ti.state) for ti in finished.get_task_instances()}
        values = _returned(finished)
    if str(finished.state) != "success":
        raise DagFailed(dag_id, states, errors, _log)
    return Run(states, values)


def _load(dag_id: str) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(DAGS / f"{dag_id}.py", bundle_path=DAGS, bundle_name="dags-folder")
    if dag_id not in bag.dags:
        raise KampekyError(f"dags/{dag_id}.py does not load: {'; '.join(bag.import_errors.values()) or 'it defines no such DAG'}")
    return bag.dags[dag_id]


def _returned(finished: Any) -> dict[str, Any]:
    from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        rows: Any = session.scalars(XComModel.get_many(run_id=finished.run_id, dag_ids=finished.dag_id, key=XCOM_RETURN_KEY))
        return {row.task_id: XComModel.deserialize_value(row) for row in rows}


@contextmanager
def _said_to(log: Path) -> Iterator[None]:
    """Send what this process and its children write to stdout and stderr to `log`: Airflow writes past sys.stdout."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(to, 1)
        os.dup2(to, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for handle in (*kept, to):
            os.close(handle)
