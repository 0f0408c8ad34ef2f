"""# Build: from raw to the published marts, one purpose at a time

Runs when ingestion has renewed the asset `kampeky-raw`, or by hand. For each purpose of the policy: gate, pseudonyms, dbt,
the checks that may block, and a mart put in place whole or not at all.

**When it fails.** A purpose that fails does not hold up the others. Nobody who has to be out stays in: the failed purpose's old
mart is cleared of them, or is gone. The task's log ends with one sentence; what a rule refused names the rule. Mend it, clear the task.

**What it does not do.** It reads no source and deletes nothing from raw: that is `retention`. No purpose reads another's data.
"""

from __future__ import annotations

import wiring
from airflow.sdk import Asset, dag, task

from pipelines.foundation.home import project_folder
from pipelines.policy.policy_file import load_policy

PURPOSES = tuple(load_policy(project_folder() / "data_contracts" / "policy.yaml").built)


@dag(
    doc_md=__doc__,
    schedule=[Asset("kampeky-raw")],
    tags=["kampeky", "marts"],
    default_args=wiring.OWNED,
    params={"as_of": wiring.AS_OF},
    max_active_runs=1,
    max_active_tasks=1,
    catchup=False,
)
def build():
    @task
    def one(purpose: str):
        """The marts of one purpose. By hand: `kampeky build --purpose PURPOSE --as-of DAY`"""
        from pipelines.workflows.build import build as build_marts

        return build_marts(wiring.home(), wiring.as_of(), [purpose])

    for purpose in PURPOSES:
        one.override(task_id=purpose)(purpose)


build()
