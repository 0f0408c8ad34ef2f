"""What a dbt project may do beside its selects: nothing. Every word of its templates, tests and settings is one of those listed here, or refused.

A list of what is forbidden would be one short with the next version of dbt: a model that calls a macro of dbt's own can run any SQL while it is
compiled, a test whose text closes dbt's bracket another statement, a constraint or a type another column. So names that a template may call,
settings that a node may have, and forms that a test may take are listed; the rest is refused, whatever it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import jinja2
from jinja2 import nodes

from pipelines.assurance.lineage_trace import Place
from pipelines.assurance.lineage_witness import Witness
from pipelines.assurance.project_files import THEIRS, texts

OWN_WORDS = ("ref", "source", "config", "var", "env_var", "this", "model")  # no macro may take their names
WORDS = ("ref", "source", "config", "var", "loop")  # what a template may name, beside macros of the project and its own variables
FILTERS = ("join", "length", "lower", "upper", "trim", "first", "last", "replace")
ROWS_OF = "get_where_subquery"  # by which dbt hands a test its model
TESTS = ("unique", "not_null", "accepted_values", "relationships")  # of dbt's own
SETTINGS = {  # what a model or a seed may be given; what stands for nothing is None
    "enabled", "database", "group", "materialized", "on_schema_change", "on_configuration_change", "docs", "contract", "access", "persist_docs",
    "meta", "tags", "lookback", "column_types", "delimiter", "quote_columns"}
ZONE = ("zone", "main")  # where the purpose's own tables are attached
SERIES = {"generate_series", "range", "unnest"}
OF_TESTS = {"fail_calc": "count(*)", "warn_if": "!= 0", "error_if": "!= 0", "where": None, "limit": None, "store_failures": False}
_TYPE = re.compile(r"[A-Za-z]\w*(\(\d+(, ?\d+)?\))?")
_NAME = re.compile(r"\w+")
_TEST = re.compile(r"\{%(-?)\s*(end)?test\b([^%]*)%\}")  # dbt's own tag for a macro


def refuse_acts(manifest: Mapping[str, Any], compiled: bool = True) -> None:
    """Judge all of a project: hooks, templates, tests, settings, and macros that take the place of dbt's own. One that is not `compiled` yet has no
    SQL of its tests to judge."""
    own = [m for m in manifest["macros"].values() if m["package_name"] not in THEIRS]
    theirs = {m["name"].split("__", 1)[-1] for m in manifest["macros"].values() if m["package_name"] in THEIRS}
    known = {*WORDS, *(m["name"] for m in own)}
    for macro in own:
        _refuse_macro(macro, theirs, known)
    witness, relations = Witness(), {*map(relation, manifest["nodes"].values())}
    for node in manifest["nodes"].values():
        place, kind = Place(node["original_file_path"]), node["resource_type"]
        if kind == "test":
            _refuse_test(place, node, known, {m["name"] for m in own})
            if compiled:
                _refuse_statements(place, node, witness, relations)
        elif kind in ("model", "seed"):
            _refuse_settings(place, node)
            refuse_template(place, node.get("raw_code") or "", known)
        else:
            raise place.refuse(f"the project has a {kind}", "Use models, seeds and tests only.")


def refuse_template(place: Place, text: str, known: set[str]) -> None:
    """Every name that the template reads is a known one, or a variable of its own."""
    for name in _foreign(place, text, known):
        raise place.refuse(f"its template uses {name}, and may use {', '.join(WORDS)} and macros of the project", "Write a plain select.")


def _foreign(place: Place, text: str, known: set[str]) -> Iterator[str]:
    plain = _TEST.sub(lambda found: f"{{%{found[1]} {found[2] or ''}macro {'' if found[2] else 'test_' + found[3].strip()} %}}", text)
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=True).parse(plain)
    except jinja2.TemplateError:
        raise place.refuse("its template cannot be read", "Write it more plainly.") from None
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    for node in tree.find_all((nodes.Name, nodes.Filter, nodes.Getattr, nodes.CallBlock, nodes.FilterBlock, nodes.Import, nodes.FromImport,
                               nodes.Include, nodes.Extends, nodes.Test)):
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name not in known | own:
                yield node.name
        elif isinstance(node, nodes.Filter):
            if node.name not in FILTERS:
                yield f"the filter {node.name}"
        elif isinstance(node, nodes.Getattr):
            if not (isinstance(node.node, nodes.Name) and node.node.name == "loop"):
                yield f"an attribute ({node.attr})"
        else:
            yield f"a {type(node).__name__}"


def _refuse_macro(macro: Mapping[str, Any], theirs: set[str], known: set[str]) -> None:
    name, place = macro["name"], Place(macro["original_file_path"])
    if not name.startswith("test_") and (name.split("__", 1)[-1] in theirs or name in theirs or name in OWN_WORDS
                                         or name.startswith("materialization_")):
        raise place.refuse(f"macro {name} takes the place of one of dbt's own", "Give it a name of its own.")
    if name.removeprefix("test_") in TESTS:
        raise place.refuse(f"macro {name} takes the place of one of dbt's own tests", "Give it a name of its own.")
    refuse_template(place, macro["macro_sql"], known)


def _refuse_test(place: Place, node: Mapping[str, Any], known: set[str], macros: set[str]) -> None:
    """A test is one select, of dbt's own four kinds, of a kind that the project wrote, or written out; and it is counted as dbt counts."""
    config, kind = node.get("config") or {}, (node.get("test_metadata") or {}).get("name")
    if kind is None:
        refuse_template(place, node.get("raw_code") or "", known)
    for text in texts((node.get("test_metadata") or {}).get("kwargs")):  # dbt fills in templates in the arguments of a test, too
        refuse_template(place, text, known | {ROWS_OF})
    if kind is not None and kind not in TESTS and f"test_{kind}" not in macros:
        raise place.refuse(f"it has a test of the kind {kind}", f"Use {', '.join(TESTS)}, or write one in dbt_project/tests.")
    changed = sorted(name for name, usual in OF_TESTS.items() if (config.get(name) or None) != (usual or None))
    if changed:
        raise place.refuse(f"test {node['name']} sets {', '.join(changed)}", "Write what that does into a test of its own.")


def relation(node: Mapping[str, Any]) -> tuple[str, str, str]:
    """Catalog, schema and name of what a node makes."""
    return str(node.get("database")).lower(), str(node.get("schema")).lower(), str(node.get("alias") or node["name"]).lower()


def _refuse_statements(place: Place, node: Mapping[str, Any], witness: Witness, known: Set[tuple[str, ...]]) -> None:
    """It is one select, from relations of the project: a number of failing rows would tell of a file as well."""
    read = witness.reads(node.get("compiled_code") or "")
    if read is None:
        raise place.refuse(f"test {node['name']} is not one select", "Write one select statement.")
    tables = {".".join(filter(None, name)) for name in read.tables - known if name[:2] != ZONE}
    foreign = sorted(tables | {f"{name}(…)" for name in read.functions - SERIES})
    if foreign:
        raise place.refuse(f"test {node['name']} reads from {', '.join(foreign)}", "Read from ref(…) or source(…).")


def _refuse_settings(place: Place, node: Mapping[str, Any]) -> None:
    """Settings, names and declared columns end up in statements that dbt writes around the select."""
    config = node.get("config") or {}
    if config.get("pre-hook") or config.get("post-hook") or config.get("sql_header"):
        raise place.refuse("it has a hook or a header", "Write what that does into the select.")
    more = sorted(name for name, value in config.items() if value and name not in SETTINGS)
    if more:
        raise place.refuse(f"it sets {', '.join(more)}", f"Known settings: {', '.join(sorted(SETTINGS))}.")
    if not _NAME.fullmatch(str(node.get("alias") or node["name"])):
        raise place.refuse("its name is none", "Use letters, digits and underscores.")
    for name, column in (node.get("columns") or {}).items():
        kinds = [*(c.get("type") for c in column.get("constraints") or () if c.get("type") != "not_null" or c.get("expression"))]
        if kinds or not _NAME.fullmatch(str(name)) or (column.get("data_type") and not _TYPE.fullmatch(column["data_type"])):
            raise place.refuse(f"column {name} has a name, type or constraint that no mart has", "Use plain types, and not_null alone.")
    wrong = [kind for kind in (config.get("column_types") or {}).values() if not _TYPE.fullmatch(str(kind))]
    if wrong or node.get("constraints"):
        raise place.refuse("it has a constraint, or a type that no seed has", "Use plain types, and tests in place of constraints.")
