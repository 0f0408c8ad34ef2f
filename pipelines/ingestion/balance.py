"""The balance of a batch: read = loaded + quarantined + refused + already known, always."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.foundation.errors import KampekyError


@dataclass(frozen=True)
class Balance:
    """What became of the rows of one batch. `reasons` counts quarantined and refused rows by check or rule."""

    source: str
    read: int = 0
    loaded: int = 0
    quarantined: int = 0
    refused: int = 0
    already_known: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.read != self.loaded + self.quarantined + self.refused + self.already_known:
            raise KampekyError(f"{self.source}: the rows do not balance: {self.read} read, {self.loaded} loaded, {self.quarantined} "
                               f"quarantined, {self.refused} refused, {self.already_known} already known. Nothing was loaded; please report this.")

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source, "read": self.read, "loaded": self.loaded, "quarantined": self.quarantined,
                "refused": self.refused, "already_known": self.already_known, "reasons": dict(sorted(self.reasons.items()))}


def total(source: str, parts: Iterable[Balance]) -> Balance:
    """The sum of several batches of one source."""
    sums, reasons = {"read": 0, "loaded": 0, "quarantined": 0, "refused": 0, "already_known": 0}, dict[str, int]()
    for part in parts:
        for name in sums:
            sums[name] += getattr(part, name)
        for reason, count in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return Balance(source, **sums, reasons=reasons)
