"""Forget what Airflow keeps of runs that are long over: its rows and its logs (C-10.4). `python -m dags.forget`, nightly, where the scheduler runs.

Runs are known by opaque ids and counts, so nothing here names a member; even so, what was told of data does not outlive them for ever. How long it
lives says `tool_logs` of the policy. No task can do this: Airflow lets none near its own database. `make airflow` does it when it starts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.foundation.dates import paris_day, start_of_day
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import remove

DAGS = Path(__file__).resolve().parent


def forget(before: datetime, dag_ids: Sequence[str] | None = None) -> int:
    """Remove runs of these DAGs (by default all of this folder) that began before, and logs not written to since; the number of log files."""
    import pendulum
    from airflow.configuration import conf
    from airflow.models import Log, TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.db_cleanup import run_cleanup
    from airflow.utils.session import create_session
    from sqlalchemy import func, select, text

    ids = sorted(dag_ids or (path.stem for path in DAGS.glob("*.py") if "@dag(" in path.read_text(encoding="utf-8")))
    run_cleanup(clean_before_timestamp=pendulum.instance(before), dag_ids=ids, confirm=False, skip_archive=True)
    with create_session() as session:
        # of single DAGs Airflow 3.3 cannot clean tables without a column for them; their rows go with the runs', so what counts is counted here
        left = sum(session.scalar(select(func.count()).select_from(kept).where(kept.dag_id.in_(ids), when < before)) or 0
                   for kept, when in ((XComModel, XComModel.timestamp), (Log, Log.dttm), (TaskInstance, TaskInstance.start_date)))
        if left:
            raise KampekyError(f"Airflow still has {left} rows of runs before {before:%Y-%m-%d}. Its own words: airflow db clean --help")
        if session.get_bind().dialect.name == "sqlite":  # its free pages still hold what was deleted
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"}).execute(text("vacuum"))
    logs = Path(str(conf.get("logging", "base_log_folder")))
    old = [path for dag_id in ids for path in logs.glob(f"dag_id={dag_id}/**/*") if path.is_file() and path.stat().st_mtime < before.timestamp()]
    for path in old:
        remove(path)
    for folder in sorted((path for dag_id in ids for path in logs.glob(f"dag_id={dag_id}/**/")), reverse=True):  # what is within first
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(old)


def main() -> int:
    from pipelines.cli.options import instant
    from pipelines.policy.due import last_day_due
    from pipelines.workflows.rules import rules

    last = last_day_due((rules().policy.tool_logs,), paris_day(instant(None)))
    print(f"Forgotten: runs of {last} and before, and {forget(start_of_day(last + timedelta(days=1)))} log files of theirs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
