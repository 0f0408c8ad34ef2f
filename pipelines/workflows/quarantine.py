"""`kampeky quarantine list|write|replay`: what is set aside and why, and a second look at it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home
from pipelines.ingestion import replay as second_look
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


def write(home: Home, dataset: str, target: Path, as_of: datetime, reason: str | None = None) -> dict[str, Any]:
    """Write the dataset's quarantined rows as a file for corrections, for its owner only; it must not be there yet."""
    contract = rules().contract(dataset)
    home.require()
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise Misuse(f"{target} is there already. Name a file that is not.") from None
    try:
        with opened(raw_lake(home), "quarantine write") as connection:
            rows = second_look.write_rows(connection, contract, target, reason)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    ledger.append(home, "quarantine written", as_of, {"dataset": dataset, "rows": rows})
    return {"dataset": dataset, "rows": rows, "file": str(target)}


def replay(home: Home, dataset: str | None, as_of: datetime, reason: str | None = None, corrected: Path | None = None) -> list[dict[str, Any]]:
    """Check quarantined rows again, of one dataset or of all, under the rules as they are now or as the file corrects them."""
    book = rules()
    if corrected and dataset is None:
        raise Misuse("Corrections are of one dataset: kampeky quarantine replay DATASET --from FILE")
    if corrected and not corrected.is_file():
        raise Misuse(f"{corrected}: there is no such file.")
    chosen = [book.contract(dataset)] if dataset else list(book.contracts.values())
    return [vars(done) for done in second_look.replay(home.require(), book, chosen, as_of, reason, corrected) if done.replayed or dataset]
