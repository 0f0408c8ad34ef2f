"""`kampeky quarantine list`: what is set aside and why, in counts."""

from __future__ import annotations

from typing import Any

from pipelines.foundation.home import Home
from pipelines.lake.store import opened, raw_lake
from pipelines.lake.tables import quarantine_table
from pipelines.workflows.rules import rules


def list_reasons(home: Home) -> list[dict[str, Any]]:
    """Per dataset and reason the rows, and the day since when; no values."""
    found = []
    with opened(raw_lake(home.require()), "quarantine list") as connection:
        for name, contract in rules().contracts.items():
            found += [{"dataset": name, "reason": reason, "rows": rows, "since": since.isoformat()} for reason, rows, since in connection.execute(
                f"select reason, count(*), min(received_on) from {quarantine_table(contract)} group by 1 order by 2 desc, 1").fetchall()]
    return found
