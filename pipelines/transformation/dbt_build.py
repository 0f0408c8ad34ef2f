"""Build one purpose's models from its pseudonymised zone into a build file, and test them, with dbt.

What fails is told by name and count. The text of a database error is never passed on, because it quotes values:
of it only its kind is kept ("Constraint Error"). For the same reason dbt writes neither log nor run_results.json;
this module writes a run_results.json of its own (names, states, counts) and dbt's manifest with the compiled SQL,
which lineage reads. A build that failed leaves no build file: there is nothing to publish by mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.engines.duckdb_engine import extension_directory
from pipelines.foundation.errors import KampekyError, Refused, one_of
from pipelines.foundation.files import remove, write_atomically
from pipelines.transformation.dbt_session import dbt_session

_KIND = re.compile(r"\b(Binder|Catalog|Compilation|Constraint|Conversion|Dependency|Internal|Invalid Input|IO|Not implemented|"
                   r"Out of Memory|Out of Range|Parser|Permission|Syntax|TransactionContext) Error\b")
_EMPTY = re.compile(r"NOT NULL constraint failed: (\w+[.]\w+)")  # names a column, quotes nothing
_NO_SUCH = re.compile(r' *(?:Referenced (column|table) "(\w+)" not found|(Table) with name (\w+) does not|'
                      r'(?:\w+ )?(Function) with name (\w+) does not)')


DATA_TESTS, UNIT_TESTS = "test", "unit_test"


@dataclass(frozen=True)
class BuildResult:
    """How many of each kind ran, and the names of those that did not pass.

    Of a build that succeeded, `failures` names the tests whose author chose `severity: warn`; others raise BuildFailed.
    """

    models: int
    tests: int
    unit_tests: int
    failures: tuple[str, ...] = ()


class BuildFailed(KampekyError):
    """A model could not be built or a test did not hold; `result.failures` names them."""

    def __init__(self, message: str, result: BuildResult) -> None:
        super().__init__(message)
        self.result = result


def purposes(project: Path) -> tuple[str, ...]:
    """The purposes that have models."""
    if not (project / "models").is_dir():
        raise KampekyError(f"{project} is not a dbt project with models. KAMPEKY_PROJECT names the checkout that holds dbt_project/.")
    return tuple(sorted(folder.name for folder in (project / "models").iterdir() if folder.is_dir()))


def build_models(purpose: str, zone_catalog: Path, zone_key: str, build_file: Path, build_key: str,
                 as_of: date, workdir: Path, project: Path, *, cell: int,
                 tests: Sequence[str] = (DATA_TESTS, UNIT_TESTS)) -> BuildResult:
    """Build `purpose` as of the day `as_of` into `build_file`, made anew and encrypted under `build_key`.

    `zone_catalog` is the catalog of the purpose's lake, its Parquet files in `data/` beside it; opened read-only, under the caller's shared lock.
    `workdir`, under the home, takes compiled SQL, manifest, results and spill files. `tests` says which kinds run beside seeds and models: those of
    the data (DATA_TESTS), and those of the models by rows that they bring themselves (UNIT_TESTS). `cell` are the fewest members that a cell of an
    aggregate may have (C-10.7).
    Raises BuildFailed if a model or a test failed, Refused if a model reaches into another purpose.
    """
    if purpose not in purposes(project):
        raise one_of("purpose", purpose, purposes(project))
    if not zone_catalog.is_file():
        raise KampekyError(f"The pseudonymised zone of '{purpose}' does not exist yet: {zone_catalog}. Pseudonymise first, then build.")
    workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
    _discard(build_file)
    environment = {
        "KAMPEKY_ZONE_CATALOG": str(zone_catalog),
        "KAMPEKY_ZONE_DATA": f"{zone_catalog.parent / 'data'}/",
        "KAMPEKY_BUILD_FILE": str(build_file),
        "KAMPEKY_TMP": str(workdir / "tmp"),
        "KAMPEKY_EXTENSIONS": str(extension_directory(workdir / "extensions")),
        "DBT_ENV_SECRET_ZONE_KEY": zone_key,
        "DBT_ENV_SECRET_BUILD_KEY": build_key,
    }
    done = False
    try:
        with dbt_session(project, workdir, environment) as invoke:
            variables = ("--vars", json.dumps({"as_of": as_of.isoformat(), "cell": cell}))
            manifest = _manifest(project, lambda: _parsed(invoke("parse", *variables), purpose, (zone_key, build_key)))
            _refuse_other_purposes(manifest, purpose)
            only = [word for kind in ("model", "seed", *tests) for word in ("--resource-type", kind)]
            outcome = invoke("build", "--select", f"path:models/{purpose}", f"path:seeds/{purpose}", *only, *variables, manifest=manifest)
            _write_manifest(manifest, project, workdir, purpose)
            remove(workdir / "target" / "partial_parse.msgpack")
        result = _judged(outcome, purpose, workdir)
        done = True
    finally:
        remove(workdir / "tmp")
        if not done:
            _discard(build_file)
    if build_file.with_name(build_file.name + ".wal").exists():
        raise KampekyError(f"The build of '{purpose}' was not closed properly: {build_file.name} has a .wal beside it. Build again.")
    return result


def compiled(project: Path, workdir: Path, purposes: Sequence[str]) -> dict[str, Any]:
    """dbt's manifest with the SQL of every model compiled: what a build would run, without a store, a key or a row.

    `workdir` takes dbt's files and is the caller's to remove. Models that reach into another purpose are refused as a build refuses them.
    """
    environment = _without_stores(str(workdir / "nowhere"))
    variables = ("--vars", json.dumps({"as_of": "2026-01-01", "cell": 1}))  # any: what is read depends on neither
    with dbt_session(project, workdir, environment) as invoke:
        manifest = _manifest(project, lambda: _parsed(invoke("parse", *variables), "all", ()))
        for purpose in purposes:
            _refuse_other_purposes(manifest, purpose)
        outcome = invoke("compile", "--no-introspect", "--no-populate-cache", *variables, manifest=manifest)
        if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
            raise outcome.exception
        if not outcome.success:  # no database was touched, so dbt's own words may be passed on
            told = [outcome.exception, *(found.message for found in getattr(outcome.result, "results", ()) if str(found.status) == "error")]
            raise KampekyError(f"The dbt project cannot be compiled: {' '.join(str(next(filter(None, told), 'no reason given')).split())}")
        _write_manifest(manifest, project, workdir)
    return read_manifest(workdir)


def site(project: Path, workdir: Path) -> str:
    """dbt's own documentation as one HTML file: models, columns, tests and their graph. No store is opened, so no value and no count stands in it."""
    with dbt_session(project, workdir, _without_stores(str(workdir / "nowhere"))) as invoke:
        variables = ("--vars", json.dumps({"as_of": "2026-01-01", "cell": 1}))
        manifest = _manifest(project, lambda: _parsed(invoke("parse", *variables), "all", ()))
        manifest.write(str(workdir / "target" / "manifest.json"))
        outcome = invoke("docs generate", "--static", "--empty-catalog", "--no-compile", "--write-json", *variables, manifest=manifest)
        if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
            raise outcome.exception
        page = workdir / "target" / "static_index.html"
        if not outcome.success or not page.is_file():
            raise KampekyError(f"dbt could not write its documentation: {' '.join(str(outcome.exception or 'no reason given').split())}")
        return page.read_text(encoding="utf-8").replace(str(project), project.name)  # no folder of the machine that it was made on


def _without_stores(nowhere: str) -> dict[str, str]:
    """What profiles.yml asks for, where nothing is opened."""
    return {"KAMPEKY_ZONE_CATALOG": nowhere, "KAMPEKY_ZONE_DATA": f"{nowhere}/", "KAMPEKY_BUILD_FILE": nowhere, "KAMPEKY_TMP": nowhere,
            "KAMPEKY_EXTENSIONS": nowhere, "DBT_ENV_SECRET_ZONE_KEY": "none", "DBT_ENV_SECRET_BUILD_KEY": "none"}


def _write_manifest(manifest: Any, project: Path, workdir: Path, purpose: str | None = None) -> None:
    write_atomically(workdir / "target" / "manifest.json", json.dumps(_facts(manifest, project, purpose), default=str))


def _facts(manifest: Any, project: Path, purpose: str | None = None) -> dict[str, Any]:
    """dbt's manifest in dbt's words, of what says what was built: the nodes (of another purpose none), and the macros, of dbt's own their names. The
    whole of it is ten times as long, and writing and searching it took a third of a small build's time."""
    from pipelines.assurance.project_files import THEIRS

    others = tuple(f"{kind}/{name}/" for kind in ("models", "seeds") for name in purposes(project) if purpose not in (None, name))
    nodes = {key: node.to_dict() for key, node in manifest.nodes.items() if not node.original_file_path.startswith(others)}
    macros = {key: {"name": m.name, "package_name": m.package_name, "original_file_path": m.original_file_path,
                    **({} if m.package_name in THEIRS else {"macro_sql": m.macro_sql})} for key, m in manifest.macros.items()}
    return {"nodes": nodes, "macros": macros}


def read_manifest(workdir: Path) -> dict[str, Any]:
    """What a build or a compilation left in `workdir`."""
    return json.loads((workdir / "target" / "manifest.json").read_text(encoding="utf-8"))


_READ: dict[object, Any] = {}  # the project as it was last read in this process


def _manifest(project: Path, parse: Callable[[], Any]) -> Any:
    """The project's manifest, for this build alone. Reading the project is most of a small build's time and depends on its files only (the day
    is filled in when a model is compiled), so the builds of one process read it once."""
    from pipelines.assurance.lineage_acts import refuse_acts
    from pipelines.assurance.project_files import files, refuse_project

    refuse_project(project)
    stamps = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files(project) if path.is_file()]
    state = (str(project), tuple(stamps))
    if state not in _READ:
        made = parse()
        refuse_acts(_facts(made, project), compiled=False)  # before a template is run: building or compiling runs what it calls
        _READ.clear()
        _READ[state] = made
    return _READ[state].deepcopy()


def _parsed(outcome: Any, purpose: str, keys: tuple[str, ...]) -> Any:
    """The manifest. Reading the project touches no database, so its own words may be passed on (without a key)."""
    if outcome.result is not None and outcome.exception is None:
        return outcome.result
    if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
        raise outcome.exception
    words = " ".join(str(outcome.exception).split())
    for key in filter(None, keys):
        words = words.replace(key, "*****")
    raise KampekyError(f"The dbt project cannot be read, so '{purpose}' was not built: {words}")


def _refuse_other_purposes(manifest: Any, purpose: str) -> None:
    """C-3.3b: every parent of this purpose's models and tests stands in its own folders.

    All zones are attached under the same name, so a foreign source would silently read this purpose's table.
    """
    nodes = {**manifest.nodes, **manifest.unit_tests, **manifest.sources}
    inside = (f"models/{purpose}/", f"seeds/{purpose}/")
    for node in nodes.values():
        if not node.original_file_path.startswith(inside):
            continue
        for parent in getattr(getattr(node, "depends_on", None), "nodes", ()):
            if parent in nodes and not nodes[parent].original_file_path.startswith(inside):
                raise Refused(f"{node.original_file_path}: {node.name} uses {nodes[parent].name}, which is not of purpose '{purpose}'. "
                              f"Use sources and models of models/{purpose}/ and seeds of seeds/{purpose}/ only.", "C-3.3b")


def _judged(outcome: Any, purpose: str, workdir: Path) -> BuildResult:
    """Write down the results without any value, and raise if one is not a pass."""
    if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
        raise outcome.exception
    results = getattr(outcome.result, "results", None)
    if outcome.exception is not None or results is None:
        raise BuildFailed(f"dbt could not run the build of '{purpose}' ({_kind(outcome.exception)}). Check that the zone is complete, "
                          "that its key is the right one, and that there is room on the disk.", BuildResult(0, 0, 0))
    rows = [_row(node_result) for node_result in results]
    write_atomically(workdir / "target" / "run_results.json", json.dumps({"purpose": purpose, "results": rows}, indent=1) + "\n")
    uneasy = [row for row in rows if row["status"] not in ("success", "pass", "skipped", "no-op")]
    failed = [row for row in uneasy if row["status"] != "warn"]
    ran = [row["kind"] for row in rows if row["status"] != "skipped"]
    result = BuildResult(ran.count("model"), ran.count("test"), ran.count("unit_test"), tuple(row["name"] for row in uneasy))
    if failed or not outcome.success or not ran:
        skipped = len(rows) - len(ran)
        raise BuildFailed(
            f"The build of '{purpose}' failed: {'; '.join(map(_sentence, failed)) or 'nothing was built'}. {skipped} not run because of it. "
            f"The SQL of each stands in {workdir / 'target' / 'compiled'}, every state in {workdir / 'target' / 'run_results.json'}.", result)
    return result


def _row(found: Any) -> dict[str, Any]:
    """What may be kept of one node's result."""
    status = str(found.status)
    return {"name": found.node.name, "unique_id": found.node.unique_id, "kind": str(found.node.resource_type), "status": status,
            "seconds": round(found.execution_time, 3), "failing_rows": found.failures or 0,
            "error": _kind(found.message) if status == "error" else None}


def _sentence(row: dict[str, Any]) -> str:
    if row["kind"] == "test" and not row["error"]:
        return f"test {row['name']} ({row['failing_rows']} failing)"
    return f"{row['kind'].replace('_', ' ')} {row['name']} ({row['error'] or row['status']})"


def _kind(words: object) -> str:
    """The kind of an error, from a fixed list, or the column that may not be empty; never the text, which quotes rows."""
    empty = _EMPTY.search(str(words or ""))
    if empty:
        return f"Constraint Error: {empty[1]} is empty"
    found = _KIND.search(str(words or ""))
    if found and found[1] in ("Binder", "Catalog"):  # said of the SQL before a row was read; in any other error these words may stand in a value
        missing = _NO_SUCH.match(str(words), found.end() + 1)
        if missing:
            what, name = [word for word in missing.groups() if word]
            return f"no {what.lower()} {name}"
    return found[0] if found else type(words).__name__ if isinstance(words, BaseException) else "error"


def _discard(build_file: Path) -> None:
    remove(build_file)
    remove(build_file.with_name(build_file.name + ".wal"))
