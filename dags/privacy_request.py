"""# Privacy request: carry out one request of a member that is open and ready

Started by hand or by whatever receives requests, with the id that `kampeky request open` printed.

**When it fails.** The task's log ends with one sentence. A request that waits for an approval, or that a rule refuses, is
left as it is: `kampeky request show ID`. A request that is done stays done, so a repeated run is harmless.

**What it does not do.** It takes no member's id, name or address: a DAG's parameters are kept in Airflow's database and its logs
long after the member was erased. It opens no request and approves none. It sends nothing: an export waits in the outbox.
"""

from __future__ import annotations

import wiring
from airflow.sdk import Param, dag, task


@dag(
    doc_md=__doc__,
    schedule=None,
    tags=["kampeky", "rights"],
    default_args=wiring.OWNED,
    params={"request_id": Param(type="string", minLength=1, maxLength=64, pattern="^R-[0-9a-f]{12}$", title="Request",
                                description="The id that `kampeky request open` printed; never a member's.")},
    max_active_runs=1,
    max_active_tasks=1,
    catchup=False,
)
def privacy_request():
    @task
    def process():
        """Carry the request out. By hand: `kampeky request process ID --as-of DAY`"""
        from pipelines.workflows.requests import process as process_request

        return process_request(wiring.home(), wiring.given("request_id"), wiring.as_of())

    process()


privacy_request()
