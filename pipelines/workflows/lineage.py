"""`kampeky verify lineage`: the proof, column by column, from the project itself; and the same check in every build."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home, project_folder
from pipelines.policy.types import Rulebook

if TYPE_CHECKING:
    from pipelines.assurance.lineage import Lineage

Found = tuple[str, bool, str]


def proof(home: Home, rulebook: Rulebook, purpose: str | None = None) -> list[Found]:
    """One line per column of each mart (of `purpose`, or of all): from which contract columns, by which transforms, under which bases. The models
    are compiled here, so that no store, key or row is needed; a home serves as the place for dbt's files, where there is one."""
    from pipelines.assurance.lineage import trace
    from pipelines.assurance.lineage_check import judge
    from pipelines.transformation.dbt_build import compiled

    chosen = [rulebook.policy.built_purpose(purpose).name] if purpose else list(rulebook.policy.built)
    with tempfile.TemporaryDirectory(prefix="lineage-", dir=home.tmp if home.tmp.is_dir() else None) as workdir:
        try:
            manifest = compiled(project_folder() / "dbt_project", Path(workdir), chosen)
        except Refused as error:  # of the whole project
            return [(name, False, str(error)) for name in chosen]
    found: list[Found] = []
    for name in chosen:
        try:
            judged = judge(trace(manifest, rulebook, name), rulebook, name)
        except Refused as error:
            found.append((name, False, str(error)))
            continue
        found += [(f"{name}.{one.mart}.{one.column}", not one.wrong, "; ".join(one.wrong) or one.origin) for one in judged]
    return found


def proved(workdir: Path, rulebook: Rulebook, purpose: str, tables: Sequence[str]) -> Lineage:
    """The lineage of what a build has just made, from the SQL that it ran; refused unless all of it may be, for every table."""
    from pipelines.assurance.lineage import trace
    from pipelines.assurance.lineage_check import refuse_forbidden
    from pipelines.transformation.dbt_build import read_manifest

    lineage = trace(read_manifest(workdir), rulebook, purpose)
    missing = sorted(set(tables) - lineage.keys())
    if missing:
        raise Refused(f"Of {', '.join(missing)} there is no lineage, so the build of '{purpose}' is not published.", "C-3.3a")
    refuse_forbidden(lineage, rulebook, purpose)
    return lineage
