"""What files a dbt project may have, and what may stand in its YAML: plain words. Judged before dbt reads any of it.

dbt fills in templates in descriptions and settings as it parses, takes files by their endings in any case, follows links, and writes the rows of a
unit test into SQL as they are. So the files, and the forms in which their YAML may say things, are listed; the rest is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipelines.assurance.lineage_trace import Place
from pipelines.policy import documents

THEIRS = ("dbt", "dbt_duckdb")  # the packages whose macros are dbt's own
OF_THE_PROJECT = ("name", "version", "config-version", "profile", "flags", "models", "seeds", "data_tests")
PATHS = {"model-paths": ["models"], "macro-paths": ["macros"], "test-paths": ["tests"], "seed-paths": ["seeds"]}
FLAGS = {"send_anonymous_usage_stats", "use_colors", "partial_parse", "require_generic_test_arguments_property"}
WRITTEN = ("target", "logs")  # by dbt, at a developer's prompt
FILES = ("models/*.sql", "models/*.yml", "macros/*.sql", "tests/*.sql", "seeds/*.csv", "seeds/*.yml", "dbt_project.yml", ".sqlfluff")  # at any depth
DESCRIBED = ("models", "seeds", "sources", "groups", "unit_tests", "version")
UNIT_TEST = ("name", "description", "model", "given", "expect", "overrides")
_RELATION = re.compile(r"(ref|source)\('\w+'(, ?'\w+')?\)")
_WORD = re.compile(r"[\w-]+")


def refuse_project(folder: Path) -> None:
    """Refuse a project with a file, a setting or a form of words that is none of those listed."""
    if not (folder / "dbt_project.yml").is_file():
        raise Place("dbt_project.yml").refuse("there is no such file", "A project has its settings in it.")
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        place = Place(name)
        if path.is_symlink():  # dbt follows it, and what stands there changes unseen
            raise place.refuse("it is a link", "Put the file itself there.")
        if path.is_dir():
            continue
        if not any(fnmatchcase(name, form) for form in FILES):
            raise place.refuse("it is no file of a project", f"Remove it. A project has {', '.join(FILES)}; what a build opens the platform says.")
        if path.suffix == ".yml":
            said = documents.read(path)
            if name == "dbt_project.yml":
                _refuse_settings(place, said)
            else:
                _refuse_descriptions(place, said)
            if any(mark in text for text in texts(said) for mark in ("{{", "{%", "{#")):  # dbt would fill it in: with a key from the environment
                raise place.refuse("it holds a template", "Write plain words.")


def files(folder: Path) -> Iterator[Path]:
    """Everything in a project but what dbt writes there; links are given and not followed."""
    for path in sorted(folder.iterdir()):
        if path.name not in WRITTEN:
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from sorted(path.rglob("*"))


def texts(given: Any) -> Iterator[str]:
    """Every text in what YAML holds, however deep, names included."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from (*texts(name), *texts(value))
    elif isinstance(given, list | tuple):
        for value in given:
            yield from texts(value)


def _list(given: Any) -> list[Any]:
    """A list as it is, nothing as an empty one, and anything else as one strange thing."""
    return given if isinstance(given, list) else [] if given is None else [given]


def _refuse_settings(place: Place, said: Mapping[str, Any]) -> None:
    more = sorted(set(said) - {*OF_THE_PROJECT, *PATHS})
    if more or said.get("name") in THEIRS:
        raise place.refuse(f"it sets {', '.join(more) or 'a name of dbt itself'}", f"Known settings: {', '.join((*OF_THE_PROJECT, *PATHS))}.")
    for name, usual in PATHS.items():
        if said.get(name, usual) != usual:
            raise place.refuse(f"{name} is not {', '.join(usual)}", "Leave the folders as they are.")
    flags = said.get("flags") or {}
    if not isinstance(flags, Mapping) or not set(flags) <= FLAGS:
        raise place.refuse("it sets other flags", f"Known: {', '.join(sorted(FLAGS))}.")


def _refuse_descriptions(place: Place, said: Mapping[str, Any]) -> None:
    more = sorted(set(said) - set(DESCRIBED))
    if more:
        raise place.refuse(f"it describes {', '.join(more)}", f"A project has {', '.join(DESCRIBED[:-1])}.")
    for test in _list(said.get("unit_tests")):
        _refuse_unit_test(place, test)


def _refuse_unit_test(place: Place, test: Any) -> None:
    """Its rows are plain values, and its inputs models and sources: dbt writes both into the statement that it runs."""
    if not isinstance(test, Mapping) or not set(test) <= set(UNIT_TEST):
        raise place.refuse("a unit test of it sets something else", f"A unit test has {', '.join(UNIT_TEST)}.")
    given, expected, overrides = _list(test.get("given")), test.get("expect"), test.get("overrides") or {}
    inputs = [one.get("input") if isinstance(one, Mapping) and set(one) <= {"input", "rows"} else None for one in given]
    if not all(isinstance(one, str) and _RELATION.fullmatch(one) for one in inputs):
        raise place.refuse("a unit test of it is given what is none of the project's", "Write input: ref('…'), and rows.")
    if not isinstance(expected, Mapping) or set(expected) != {"rows"}:
        raise place.refuse("a unit test of it expects no rows", "Write expect: {rows: […]}.")
    rows = [row for one in (*given, expected) for row in _list(one.get("rows"))]
    values = [pair for row in rows for pair in (row.items() if isinstance(row, Mapping) else [(None, None)])]
    if not all(isinstance(name, str) and _WORD.fullmatch(name) and isinstance(value, str | int | float | date | None) for name, value in values):
        raise place.refuse("a unit test of it has rows that are none", "Write each row as {column: value}, with plain values.")
    settings = overrides.get("vars") if isinstance(overrides, Mapping) and set(overrides) <= {"vars"} else {"": ""}
    if not isinstance(settings or {}, Mapping) or not all(_WORD.fullmatch(str(word)) for pair in (settings or {}).items() for word in pair):
        raise place.refuse("a unit test of it overrides something else", "Override vars alone, with plain words.")
