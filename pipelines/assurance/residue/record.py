"""What one file showed: where something stands, what could not be read, which bytes belong to nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pipelines.assurance.residue.boundaries import stands_alone
from pipelines.assurance.residue.encodings import Texts
from pipelines.assurance.residue.needles import Buffer, Hit, Needles


@dataclass
class Record:
    """Filled while a file is read. `hits` counts (place, needle, representation); the other two say why, without a value."""

    needles: Needles
    hits: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    claimed: int = 0  # bytes of a Parquet file that its parts claim

    def add(self, place: str, hits: list[Hit]) -> None:
        """Hits, each counted once."""
        self.hits.update((place, hit.form.needle, hit.form.representation) for hit in hits)

    def look(self, place: str, data: Buffer, least: int = 0) -> None:
        """Look at bytes in which a form stands by itself or not at all."""
        self.add(place, self.needles.find(data, least))

    def look_closely(self, place: str, data: Buffer) -> None:
        """Look at bytes in which values stand without a gap: whatever stands beside a form, it is found."""
        self.add(place, self.needles.candidates(data))

    def look_among(self, place: str, texts: Texts, candidates: list[Hit]) -> None:
        """Of candidates within `texts.data`, those that stand by themselves in one of its values."""
        which = np.searchsorted(texts.starts, [hit.start for hit in candidates], side="right") - 1
        for hit, value in zip(candidates, which.tolist(), strict=True):
            if value < 0:
                continue
            low, high = int(texts.starts[value]), int(texts.ends[value])
            if hit.end <= high and stands_alone(hit.form, texts.data, hit.start, hit.end, low, high):
                self.hits[place, hit.form.needle, hit.form.representation] += 1

    def look_at_numbers(self, place: str, values: np.ndarray, scale: int = 0) -> None:
        """Look at typed numbers."""
        for needle, count in self.needles.number_hits(values, scale):
            self.hits[place, needle, "number"] += count

    def take(self, other: Record, within: str = "") -> None:
        """What a part of the file showed, such as a member of an archive."""
        for (place, needle, representation), count in other.hits.items():
            self.hits[f"{within}{place}", needle, representation] += count
        self.unreadable += [f"{within}{why}" for why in other.unreadable]
        self.unaccounted += [f"{within}{why}" for why in other.unaccounted]
