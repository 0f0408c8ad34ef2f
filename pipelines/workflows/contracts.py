"""`kampeky contracts check`, `docs` and `diff`: the rules are whole and fit together, stores have their shape, pages say what they say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import Misuse, Refused
from pipelines.foundation.files import write_atomically
from pipelines.foundation.home import Home, project_folder
from pipelines.policy.changes import BREAKING
from pipelines.policy.coverage import RULE, refuse_differences
from pipelines.policy.diff import compare_rules
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.types import Rulebook
from pipelines.workflows.rules import rules

if TYPE_CHECKING:
    from pipelines.assurance.stores import Compared

GENERATED = ("docs/datasets/*.md", "docs/marts/*.md", "docs/schemas/*.json",
             *(f"dbt_project/models/*/staging/{name}.yml" for name in ("_sources", "_staging__models")))
FAIL_ON = ("breaking", "members")


def check(home: Home | None, as_of: datetime) -> dict[str, Any]:
    """Load every rule (which refuses what is missing or does not fit), refuse a recipient whose safeguard has lapsed by the day of `as_of`, and
    compare every store of `home`, if there is one, both ways."""
    from pipelines.ingestion.check import dry_run
    from pipelines.quality.expectations import suite

    rulebook = rules()
    _refuse_lapsed(rulebook, paris_day(as_of))
    connection = engine.connect(Path(), extensions=())
    for contract in rulebook.contracts.values():
        suite(contract)  # refuses a constraint that the two checking engines would read differently
        dry_run(connection, contract, rulebook.policy, rulebook.policy.versions[-1].since)
    connection.close()
    found = check_stores(home, rulebook)
    return {"ok": True, "policy_version": rulebook.policy.version, "datasets": list(rulebook.contracts), "purposes": list(rulebook.policy.purposes),
            "columns": sum(len(c.columns) for c in rulebook.contracts.values()), "stored_columns_compared": sum(store.columns for store in found),
            "stores": [{"store": store.store, "tables": store.tables, "columns": store.columns} for store in found if store.tables]}


def _refuse_lapsed(rulebook: Rulebook, day: date) -> None:
    """C-5, C-7: a safeguard that has run out is none."""
    lapsed = [f"{r.name} ({r.document}, until {r.until})" for r in rulebook.policy.recipients.values() if r.lapsed(day)]
    if lapsed:
        raise Refused(f"policy.yaml: the safeguard of {', '.join(lapsed)} has lapsed by {day}: nothing may be given to a recipient without one. "
                      "Renew the document, or take the recipient out.", "C-5, C-7")


def check_stores(home: Home | None, rulebook: Rulebook) -> list[Compared]:
    """Compare every store of the home with the rules, both ways; refuses once, naming each difference."""
    from pipelines.assurance.stores import derived, sources
    from pipelines.transformation.dbt_schema import refuse_other_marts
    from pipelines.transformation.publish import BUILD_COLUMNS, BUILD_TABLE, ENDS_ON

    marts = {purpose: {mart: {name: kind for name, kind in columns.items() if name != ENDS_ON} for mart, columns in tables.items()}
             | {BUILD_TABLE: BUILD_COLUMNS} for purpose, tables in refuse_other_marts(rulebook, project_folder() / "dbt_project").items()}
    found = [*sources(home, rulebook), *derived(home, rulebook, marts)] if home and home.marker.exists() else []
    refuse_differences(d for store in found for d in store.differences)
    return found


def refuse_undeclared(home: Home, rulebook: Rulebook) -> None:
    """Before a build: what it reads holds exactly what the contracts declare, and what it publishes the policy names. What a build makes itself is
    made anew by it; a table that the vault lacks is made when the build opens it."""
    from pipelines.assurance.stores import sources
    from pipelines.transformation.dbt_schema import refuse_other_marts

    refuse_other_marts(rulebook, project_folder() / "dbt_project")
    refuse_differences(d for store in sources(home, rulebook) for d in store.differences if (store.store, d.kind) != ("vault", "missing"))


def pages(rulebook: Rulebook) -> dict[str, str]:
    """Everything that is generated from the rules, by its path below the project."""
    from pipelines.eligibility.page import gate_pages
    from pipelines.policy.pages import pages as for_people
    from pipelines.rights.schemas import schema_files
    from pipelines.transformation.dbt_schema import dbt_files
    from pipelines.transformation.mart_pages import mart_pages

    return (for_people(rulebook) | gate_pages(rulebook) | schema_files(rulebook) | dbt_files(rulebook)
            | mart_pages(rulebook, project_folder()))


def site(file: Path) -> dict[str, Any]:
    """Write dbt's own documentation as one HTML file, which opens without a network. Returns {site, bytes}."""
    import tempfile

    from pipelines.transformation.dbt_build import site as made

    if not file.absolute().parent.is_dir():
        raise Misuse(f"{file.absolute().parent}: there is no such folder.")
    with tempfile.TemporaryDirectory(prefix="site-") as workdir:
        page = made(project_folder() / "dbt_project", Path(workdir))
    write_atomically(file, page, 0o644)
    return {"site": str(file), "bytes": len(page.encode())}


def docs(out: Path | None, only_check: bool = False) -> dict[str, Any]:
    """Write every generated page below `out` (the project by default), and take away those of datasets that are gone; with `only_check`
    write nothing and refuse what is stale."""
    folder, made = out or project_folder(), pages(rules())
    stale = [path for path, text in made.items() if not _says(folder / path, text)]
    left = leftovers(folder, made)
    if only_check:
        if stale or left:
            raise Refused(f"Generated pages no longer say what the rules say: {', '.join([*stale, *left])}. Run: kampeky contracts docs", RULE)
    else:
        for path in stale:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path], encoding="utf-8", newline="\n")
        for path in left:
            (folder / path).unlink()
    return {"folder": str(folder), "pages": list(made), "written": [] if only_check else stale, "removed": [] if only_check else left}


def leftovers(folder: Path, made: Iterable[str]) -> list[str]:
    """Pages that were generated once and belong to nothing now. A file there that nobody generated is left alone."""
    known = set(made)
    found = (path for pattern in GENERATED for path in sorted(folder.glob(pattern)))
    return [name for path in found if (name := path.relative_to(folder).as_posix()) not in known
            and "Written by `kampeky contracts docs`" in path.read_text(encoding="utf-8", errors="replace")[:1000]]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def diff(old: Path, new: Path, fail_on: str | None = None) -> dict[str, Any]:
    """What changes between two folders of rules, and for whom. With `fail_on` refused if there is such a change."""
    if fail_on not in (None, *FAIL_ON):
        raise Misuse(f"--fail-on '{fail_on}' is unknown. Known: {', '.join(FAIL_ON)}.")
    changes = compare_rules(*(_rules_in(folder) for folder in (old, new)))
    rows = [{"where": c.where, "change": c.change, "before": c.before, "after": c.after, "for": list(c.concerns)} for c in changes]
    breaking = sum(bool(BREAKING & set(c.concerns)) for c in changes)
    told = sum("members" in c.concerns for c in changes)
    return {"changes": rows, "breaking": breaking, "members_to_be_told": told,
            "refused": (fail_on == "breaking" and breaking > 0) or (fail_on == "members" and told > 0)}


def _rules_in(folder: Path) -> Rulebook:
    if not folder.is_dir():
        raise Misuse(f"{folder}: there is no such folder of rules.")
    try:
        return load_rulebook(folder, draft=True)
    except Refused as error:
        raise Refused(f"{folder}: {str(error).removesuffix(f' [{error.rule}]')}", error.rule) from None
