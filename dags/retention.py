"""# Retention: what is due today is planned, deleted, and proved gone

Runs each night at 03:00 (Europe/Paris), or by hand for another day. The plan is a file with a hash in the home's evidence;
the second task carries out that very plan and refuses any other.

**When it fails.** After `plan`: nothing was deleted. In `apply`: clear the task; what is deleted already stays deleted, the rest follows, and as the
marts were taken away meanwhile, run `build` after it. A plan that would delete more of a dataset than the policy lets pass without a person is
refused: look at it, then run `kampeky retention apply PLAN --confirm HASH` by hand. If the data changed before anything was deleted, the plan is
refused: clear both tasks. A night that was missed needs no catching up: the next plan holds all that is due by then.

**What it does not do.** It decides nothing: the periods stand in `data_contracts/policy.yaml` (C-10). It deletes nobody on
request: that is `privacy_request`. It leaves alone what a legal hold keeps, and says so in the plan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wiring
from airflow.sdk import CronTriggerTimetable, dag, task


@dag(
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 3 * * *", timezone="Europe/Paris"),
    tags=["kampeky", "deletion"],
    default_args=wiring.OWNED,
    params={"as_of": wiring.AS_OF},
    max_active_runs=1,
    max_active_tasks=1,
    catchup=False,
)
def retention():
    @task(multiple_outputs=False)
    def plan():
        """What is due, counted. By hand: `kampeky retention plan --as-of DAY --json`"""
        from pipelines.workflows import retention as workflow

        return workflow.plan_alone(wiring.home(), wiring.as_of())

    @task
    def apply(planned: Any):
        """Delete exactly what the plan says. By hand: `kampeky retention apply PLAN`"""
        from pipelines.workflows import retention as workflow

        return workflow.apply(wiring.home(), Path(planned["plan"]))

    planned = plan()
    planned >> apply(planned)


retention()
