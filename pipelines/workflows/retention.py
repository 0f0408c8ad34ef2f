"""`kampeky retention plan` and `apply`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.evidence import ledger
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.retention.apply import apply_plan, count_left
from pipelines.retention.plan import make_plan, read_plan, write_plan
from pipelines.workflows.build import build
from pipelines.workflows.rules import rules


def plan(home: Home, as_of: datetime) -> dict[str, Any]:
    """Count what is due on the day of `as_of` and keep the plan as a file."""
    made = make_plan(home.require(), rules(), as_of)
    return {"plan": str(write_plan(home, made)), **made}


def apply(home: Home, plan: Path) -> dict[str, Any]:
    """Carry out a plan file, rebuild the marts that are published, and count that nothing due is left."""
    home.require()
    content, rulebook = read_plan(plan), rules()
    as_of = parse_as_of(content["at"])
    published = [name for name in rulebook.policy.built if home.mart(name).exists()]
    result = apply_plan(home, rulebook, content)
    rebuilt = build(home, as_of, published) if published else []
    left = count_left(home, rulebook, as_of)
    if left:
        raise KampekyError(f"{left} rows are still due after the run. Run it again: kampeky retention plan --as-of {content['as_of']}")
    result |= {"rebuilt": [r["purpose"] for r in rebuilt], "left": left}
    ledger.append(home, "retention", as_of, result)
    return result
