"""What a simulated marketplace must yield at the door, the gate, each retention run and each request: computed anew, slowly, from the written files.

It is there to be compared with the product, so it shares no code with it: it uses the standard library, and pyarrow for the files that are
Parquet, and nothing of `pipelines` (import-linter holds that). It knows the promises by their numbers in CLAUSES.md and the words of
`data_contracts/`, restated here by hand; where a rule is changed there, it has to be changed here too, by somebody who read the clause. Rows are
looked at one by one. It is for marketplaces of some thousand members, so `kampeky simulate` computes it only when asked.

The moment is that of `kampeky build --as-of END`: 00:00 in Paris of the last simulated day. What happened on that day is in the files, is
ingested, and is not yet known to the gate.

Restated are all fifteen datasets, at the door with those checks of form that simulated values can fail, and what is done by command (`acts`).
Personal values stand in no file of it, only ids.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.simulation.truth import door, gate, requests, retention

__all__ = ["compute"]


def compute(out: Path, end: date, seed: int) -> dict[str, object]:
    """Name of the file → its content, of the marketplace written below `out` that ends with the day `end`."""
    market = door.receive(out, end)
    return {
        "ingest": door.balances(market),
        "gate": gate.truth(market),
        "retention": retention.truth(market),
        "requests": requests.truth(market, seed),
    }
