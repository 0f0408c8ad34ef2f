"""What every DAG file here needs and no command has: which home, and which day an Airflow run stands for.

Airflow starts a run at an instant; the policy counts Europe/Paris days (C-10.0). A run stands for the day on which it was
due, whatever the hour at which a worker gets to it, so that a run repeated next week does what it should have done today.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, get_current_context

from pipelines.foundation.dates import paris_day, parse_as_of, start_of_day
from pipelines.foundation.home import Home, resolve_home

OWNED = {"owner": "data-platform", "retries": 1, "retry_delay": timedelta(minutes=1)}

AS_OF = Param(None, type=["null", "string"], title="As of",
              description="A day such as 2026-01-31, or an RFC 3339 time. Empty: the Europe/Paris day on which the run was due.")


def home() -> Home:
    """The home that KAMPEKY_HOME names on the worker."""
    return resolve_home(None)


def given(name: str) -> str:
    """The run's parameter `name`."""
    return get_current_context()["params"][name]


def as_of() -> datetime:
    """The run's parameter `as_of`, else midnight (Europe/Paris) of the day on which the run was due."""
    context = get_current_context()
    if written := context["params"].get("as_of"):
        return parse_as_of(written)
    run = context["dag_run"]
    return start_of_day(paris_day(run.data_interval_end or run.logical_date or run.run_after))
