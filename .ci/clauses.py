"""Writes docs/clauses.md: where each clause of the policy is carried, found by its number in rules, code and tests.

Usage: python .ci/clauses.py [--check]. A test runs it with --check, so the page cannot go stale.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "clauses.md"
PLACES = {"Rules": ("data_contracts",), "Code": ("pipelines", "dbt_project/models", "dags"), "Tests": ("tests",)}
CLAUSE = re.compile(r"\bC-\d{1,2}(?:\.\d{1,2})?[a-c]?\b")


def page() -> str:
    found: dict[str, dict[str, set[str]]] = {}
    for kind, folders in PLACES.items():
        for path in sorted(p for folder in folders for p in (TOP / folder).rglob("*") if p.suffix in (".py", ".yaml", ".yml", ".sql")):
            for clause in set(CLAUSE.findall(path.read_text(encoding="utf-8"))):
                found.setdefault(clause, {}).setdefault(kind, set()).add(str(path.relative_to(TOP)))
    lines = ["# Clauses", "",
             "Where each clause of the privacy policy (C-…) is carried. Written by `make docs`; a test fails when it is stale.",
             "A clause without a test is cited by rules or code that a later step deepens.", "",
             "| clause | rules | code | tests |", "|---|---|---|---|"]
    for clause in sorted(found, key=lambda c: [*map(int, re.findall(r"\d+", c)), ord(c[-1])]):
        cells = ["<br>".join(f"`{name}`" for name in sorted(found[clause].get(kind, ()))) or "–" for kind in PLACES]
        lines.append(f"| {clause} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    made = page()
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made else "docs/clauses.md is stale. Run: make docs")
    PAGE.write_text(made, encoding="utf-8")
