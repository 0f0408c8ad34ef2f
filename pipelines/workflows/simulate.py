"""`kampeky simulate`: a small French marketplace, generated."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.foundation.errors import Misuse
from pipelines.workflows.rules import rules


def simulate(out: Path, members: int, days: int, seed: int, end: date) -> dict[str, int]:
    """Write OUT/<dataset>/…; returns rows per dataset."""
    from pipelines.simulation.marketplace import ConsentWords
    from pipelines.simulation.marketplace import simulate as generate

    if members < 1 or days < 1:
        raise Misuse("A simulation needs at least one member and one day.")
    if out.exists() and not out.is_dir():
        raise Misuse(f"{out} is a file; name a folder to write into.")
    policy = rules().policy
    words = ConsentWords(kinds=tuple(policy.consent_kinds), express_methods=policy.express_methods,
                         never_consent_methods=policy.never_consent, versions=tuple(v.id for v in policy.versions),
                         of_devices=tuple(name for name, kind in policy.consent_kinds.items() if kind.scope == "device"))
    return generate(out, members, days, seed, end, words)
