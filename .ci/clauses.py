"""Writes docs/clauses.md: where each clause of the policy is carried, found by its number in rules, code and tests.

Usage: python .ci/clauses.py [--check]. A test runs it with --check, so the page cannot go stale. It refuses a clause that nothing carries and that
LATER does not name, an entry of LATER that has been overtaken, and a number in rules or code that is no clause.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "clauses.md"
PLACES = {"Rules": ("data_contracts",), "Code": ("pipelines", "dbt_project/models", "dags"), "Tests": ("tests",)}
SUFFIXES = (".py", ".yaml", ".yml", ".sql")
CLAUSE = re.compile(r"\bC-\d{1,2}(?:\.\d{1,2})?[a-c]?\b")
# every clause, in the order of CLAUSES.md; a test compares the two where that file is at hand
CLAUSES = [
    "C-1.1", "C-3.0", "C-2.1", "C-2.2a", "C-2.2b", "C-2.3a", "C-2.3b", "C-2.3c", "C-2.4", "C-2.5", "C-2.6", "C-2.7", "C-8", "C-8.1",
    "C-3.1", "C-3.2", "C-3.3a", "C-3.3b", "C-3.3c", "C-3.4", "C-3.5", "C-4", "C-5", "C-7", "C-6", "C-10.0", "C-10.1", "C-10.2", "C-10.3",
    "C-10.4", "C-10.5", "C-10.6", "C-10.7", "C-10.8", "C-10.9", "C-11.1", "C-11.2", "C-11.3", "C-11.4", "C-11.5", "C-11.6", "C-11.7",
    "C-11.8", "C-11.9", "C-11.10", "C-13", "C-9",
]
# clauses that no test carries yet, and the step of the plan that brings it
LATER = {
    "C-11.1": 5, "C-11.2": 5, "C-11.10": 5, "C-13": 5,
}


def carried() -> dict[str, dict[str, set[str]]]:
    """Clause → kind of place → files that name it. A section (C-10, C-3.3) is none: who carries a part names the part."""
    found: dict[str, dict[str, set[str]]] = {}
    for kind, folders in PLACES.items():
        for path in sorted(p for folder in folders for p in (TOP / folder).rglob("*") if p.suffix in SUFFIXES):
            for clause in set(CLAUSE.findall(path.read_text(encoding="utf-8"))) & set(CLAUSES):
                found.setdefault(clause, {}).setdefault(kind, set()).add(str(path.relative_to(TOP)))
    return found


def unknown() -> list[str]:
    """Numbers in rules and code that are neither a clause nor a section of some (C-10, C-2.3), with the file."""
    found = []
    for path in (p for kind in ("Rules", "Code") for folder in PLACES[kind] for p in sorted((TOP / folder).rglob("*")) if p.suffix in SUFFIXES):
        for named in sorted(set(CLAUSE.findall(path.read_text(encoding="utf-8"))) - set(CLAUSES)):
            if not any(re.fullmatch(rf"{re.escape(named)}(\.\d+)?[a-c]?", clause) for clause in CLAUSES):
                found.append(f"{path.relative_to(TOP)}: {named} is no clause")
    return found


def faults(found: dict[str, dict[str, set[str]]], clauses: list[str], later: dict[str, int]) -> list[str]:
    """What is wrong: a clause that nothing carries, one without a test that no later step is named for, and a later step that has come."""
    told = []
    for clause in clauses:
        if not found.get(clause) and clause not in later:
            told.append(f"{clause} is carried by no rule, code or test, and no later step is named for it")
        elif not found.get(clause, {}).get("Tests") and clause not in later:
            told.append(f"{clause} has no test, and no later step is named for it")
        elif clause in later and all(found.get(clause, {}).get(kind) for kind in PLACES):
            told.append(f"{clause} is carried by rules, code and tests: take it out of LATER")
    return told + [f"{clause} in LATER is no clause" for clause in later if clause not in clauses]


def page(found: dict[str, dict[str, set[str]]]) -> str:
    said = ("Where each clause of the privacy policy (C-…) is carried. Written by `make docs`; a test fails when it is stale, or when a clause has "
            "no test and no later step of the plan is named for it.")
    lines = ["# Clauses", "", said, "", "| clause | rules | code | tests |", "|---|---|---|---|"]
    for clause in sorted(CLAUSES, key=lambda c: [*map(int, re.findall(r"\d+", c)), ord(c[-1])]):
        cells = ["<br>".join(f"`{name}`" for name in sorted(found.get(clause, {}).get(kind, ()))) or "–" for kind in PLACES]
        if clause in LATER:
            cells[-1] = f"{'' if cells[-1] == '–' else cells[-1] + '<br>'}step {LATER[clause]}"
        lines.append(f"| {clause} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    where = carried()
    wrong = [*faults(where, CLAUSES, LATER), *unknown()]
    if wrong:
        sys.exit(".ci/clauses.py: " + "; ".join(wrong))
    made = page(where)
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made else "docs/clauses.md is stale. Run: make docs")
    PAGE.write_text(made, encoding="utf-8")
