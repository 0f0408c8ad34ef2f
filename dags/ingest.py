"""# Ingest: what the platform delivered goes into the raw zone

Runs each morning at 04:00 (Europe/Paris), or by hand with other files. Each row ends loaded, quarantined, refused or already
known, and the counts of the four stand in the task's return value and in the home's evidence.

**When it fails.** One sentence at the end of the task's log says what was wrong. A missing folder or an unreadable file: mend
it, clear the task. A file that was loaded is not loaded again, so a repeated run is harmless.

**When rows are quarantined** it does *not* fail: `kampeky quarantine list` shows how many and why.

**What it does not do.** It fetches nothing: whoever delivers puts the files into the folder, one sub-folder per dataset. It
deletes no delivered file. It starts no build itself: the build waits for the asset `kampeky-raw`, which both tasks renew.
"""

from __future__ import annotations

import os
from pathlib import Path

import wiring
from airflow.sdk import Asset, CronTriggerTimetable, Param, dag, task

RAW = Asset("kampeky-raw")


@dag(
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 4 * * *", timezone="Europe/Paris"),
    tags=["kampeky", "raw"],
    default_args=wiring.OWNED,
    params={
        "folder": Param(os.environ.get("KAMPEKY_INBOX", "inbox"), type="string", minLength=1, title="Folder",
                        description="Holds one sub-folder per dataset. Unless told otherwise: KAMPEKY_INBOX of the scheduler, else ./inbox."),
        "log": Param(None, type=["null", "string"], title="Access log", description="One more file of access-log lines, plain or gzip."),
        "as_of": wiring.AS_OF,
    },
    max_active_runs=1,
    max_active_tasks=1,
    catchup=False,
)
def ingest():
    @task(outlets=[RAW])
    def folder():
        """Every dataset delivered. By hand: `kampeky ingest --all --from FOLDER --as-of DAY`"""
        from pipelines.workflows.ingest import ingest_folder

        return ingest_folder(wiring.home(), Path(wiring.given("folder")), wiring.as_of())

    @task.run_if(lambda context: context["params"]["log"], "No access log was named.")
    @task(outlets=[RAW])
    def log():
        """The access log named, if one is. By hand: `kampeky ingest access_logs FILE --as-of DAY`"""
        from pipelines.workflows.ingest import ingest_files

        return ingest_files(wiring.home(), "access_logs", [Path(wiring.given("log"))], wiring.as_of())

    folder() >> log()


ingest()
