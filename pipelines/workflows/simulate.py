"""`kampeky simulate`: a small French marketplace, generated."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from pipelines.foundation.dates import FIRST_YEAR, LAST_YEAR
from pipelines.foundation.errors import Misuse
from pipelines.foundation.files import remove, write_atomically
from pipelines.workflows.ingest import TRUTH
from pipelines.workflows.rules import rules

LONGEST_DAYS = 10_000
ACTS = "acts.ndjson"  # what members and compliance do by command


def simulate(out: Path, members: int, days: int, seed: int, end: date, truth: bool = False) -> dict[str, int]:
    """Write OUT/<dataset>/…; returns rows per dataset. With `truth` also OUT/truth/…: what must become of them, computed row by row, so slowly."""
    from pipelines.simulation.marketplace import ConsentWords
    from pipelines.simulation.marketplace import simulate as generate

    if members < 1 or days < 1:
        raise Misuse("A simulation needs at least one member and one day.")
    if out.exists() and not out.is_dir():
        raise Misuse(f"{out} is a file; name a folder to write into.")
    policy = rules().policy
    words = ConsentWords(kinds=tuple(policy.consent_kinds), express_methods=policy.express_methods,
                         never_consent_methods=policy.never_consent, versions=tuple(v.id for v in policy.versions),
                         of_devices=tuple(name for name, kind in policy.consent_kinds.items() if kind.scope == "device"),
                         purposes=tuple(policy.built))
    if not FIRST_YEAR + 50 <= end.year <= LAST_YEAR - 10 or days >= LONGEST_DAYS:
        raise Misuse(f"A simulation lies between {FIRST_YEAR + 50} and {LAST_YEAR - 10} and takes fewer than {LONGEST_DAYS:,} days.")
    rows = generate(out, members, days, seed, end, words, told=f"{TRUTH}/{ACTS}" if truth else None)
    if not truth:
        remove(out / TRUTH)  # that of an earlier marketplace does not fit this one
    if truth:
        _write_truth(out, end, seed)
    return rows


def _write_truth(out: Path, end: date, seed: int) -> None:
    from pipelines.simulation.truth import compute

    for name, content in compute(out, end, seed).items():
        write_atomically(out / TRUTH / f"{name}.json", json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
