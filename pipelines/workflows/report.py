"""`kampeky report risk`: what every build measured, as series over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipelines.evidence import measurements
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home


@dataclass(frozen=True)
class Series:
    """One figure of one mart (or of a pair of them) over its builds: (as of, value), oldest first. `limit` is the newest build's, with `bound` min or
    max; None: it is not limited. `percent`: a share."""

    subject: str
    figure: str
    limit: float | None
    bound: str
    percent: bool = False
    points: list[tuple[str, float]] = field(default_factory=list)

    @property
    def last(self) -> float:
        return self.points[-1][1]

    @property
    def kept(self) -> bool:
        """Whether the newest build kept the limit."""
        return self.limit is None or (self.last >= self.limit if self.bound == "min" else self.last <= self.limit + 1e-9)

    def as_dict(self) -> dict[str, Any]:
        return {"subject": self.subject, "figure": self.figure, "limit": self.limit, "bound": self.bound, "kept": self.kept,
                "points": [{"as_of": at, "value": value} for at, value in self.points]}


def risk_history(home: Home) -> list[Series]:
    """Every figure of every build, by purpose and mart, pairs of marts last."""
    records = measurements.read(home.require())
    if not records:
        raise KampekyError("No build has measured anything yet. Build first: kampeky build")
    found: dict[tuple[str, str], Series] = {}
    for record in records:
        for subject, figure, value, limit, bound, percent in _figures(record):
            known = found.get((subject, figure))
            points = [*(known.points if known else []), (str(record["as_of"])[:10], float(value))]
            found[subject, figure] = Series(subject, figure, limit, bound, percent, points)
    return sorted(found.values(), key=lambda series: " × " in series.subject)


def _figures(record: dict[str, Any]) -> list[tuple[str, str, float, float | None, str, bool]]:
    limits, purpose, found = record["limits"], record["purpose"], []
    for risk in record["risk"]:
        if not risk["rows"]:
            continue
        subject = f"{purpose}.{risk['table']}"
        k, low, t = (limits["k"], limits["l"], limits["t"]) if risk["limited"] else (None, None, None)
        found.append((subject, "k, persons in the smallest class", risk["smallest_class"], k, "min", False))
        if risk["sensitive"]:
            found += [(subject, "l, fewest values of a sensitive column", min(risk["diversity"].values()), low, "min", False),
                      (subject, "t, greatest distance of one", max(risk["closeness"].values()), t, "max", False)]
        cells = risk["rows"] * max(len(risk["quasi_identifiers"]), 1)
        hidden = sum(risk["generalised"].get(name, 0) for name in risk["quasi_identifiers"]) / cells
        found += [(subject, "unique records", risk["unique_share"], None, "max", True),
                  (subject, "quasi-identifiers hidden", hidden, None, "max", True)]
    found += [(f"{purpose}.{cells['table']}", "members in the smallest cell", cells["smallest_cell"], limits["cell"], "min", False)
              for cells in record["cells"] if cells["rows"]]
    for pair in record["linking"]:
        subject = " × ".join(sorted((pair["left"], pair["right"])))
        if pair["smallest_class"] is not None:
            found.append((subject, "persons in the smallest shared class", pair["smallest_class"], limits["shared_class"], "min", False))
        if pair["sample"] and pair["certain"] is not None:
            found.append((subject, "best match, times chance (99 % certain)", pair["certain"], limits["linking"], "max", False))
    return found
