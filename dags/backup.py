"""# Backup: one sealed copy of stores and evidence, for seven days

Runs each night at 04:00 (Europe/Paris), after the retention run, so that nothing that was due lives on in it. The result is the file, its size and
the day on which it ends; its key stands in the home's `keys/`.

**When it fails.** There is no backup of that night, and what it left is removed by the next retention run. It waits ten minutes for a build or a
writer to end, then gives up: clear the task.

**What it does not do.** It takes nothing elsewhere, and it ends no backup: `retention` does. It restores nothing: `kampeky restore` is for a person.
"""

from __future__ import annotations

import wiring
from airflow.sdk import CronTriggerTimetable, dag, task


@dag(
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 4 * * *", timezone="Europe/Paris"),
    tags=["kampeky"],
    default_args=wiring.OWNED,
    params={"as_of": wiring.AS_OF},
    max_active_runs=1,
    max_active_tasks=1,
    catchup=False,
)
def backup():
    @task(multiple_outputs=False)
    def make():
        """The copy. By hand: `kampeky backup`"""
        from pipelines.workflows import backup as workflow

        return workflow.make(wiring.home(), wiring.as_of())

    make()


backup()
