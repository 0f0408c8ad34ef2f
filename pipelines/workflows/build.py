"""`kampeky build`: gate, pseudonyms, dbt, assurance, publication, one purpose after another."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError, Refused, Several
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home, project_folder
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import Keyring, purpose_keys
from pipelines.lake.store import attach, purpose_lake, raw_lake
from pipelines.policy.types import Purpose, Rulebook
from pipelines.workflows.canary import ensure_proved
from pipelines.workflows.contracts import refuse_undeclared
from pipelines.workflows.lineage import proved
from pipelines.workflows.publication import fail, key_of, memory_before, succeed, unreadable
from pipelines.workflows.risk import keep, link_build, treat_build
from pipelines.workflows.rules import rules

if TYPE_CHECKING:
    from pipelines.transformation.memory import Memory

log = logging.getLogger("kampeky")


def build(home: Home, as_of: datetime, purposes: Sequence[str] | None = None, begin_history: bool = False) -> list[dict[str, Any]]:
    """Build and publish the marts of `purposes` (all of the policy's by default) as of `as_of`. All are tried, whatever becomes of the first.
    `begin_history`: days that were kept and are lost for good are counted anew (C-10.7)."""
    try:
        rulebook = rules()
    except KampekyError as error:
        raise unreadable(home, as_of, error) from None
    chosen = [rulebook.policy.built_purpose(name) for name in purposes or rulebook.policy.built]
    home.require()
    Keyring(home).refuse_lacking(("raw", "vault", *(name for purpose in chosen for name in purpose_keys(purpose))))
    results, failed = [], list[Exception]()
    for purpose in chosen:  # one that fails keeps nobody in another one
        try:
            results.append(_build_one(home, rulebook, purpose, as_of, begin_history))
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0] if len(failed) == 1 else Several(failed)
    return results


def no_build(stack: ExitStack, home: Home, rulebook: Rulebook, why: str) -> None:
    """Hold off builds for as long as `stack` is open: one under way ends first, for it would publish what it took from the zones before. What a
    killed one left goes, but for what dbt wrote down."""
    for name in rulebook.policy.built:
        stack.enter_context(locked(home, f"build-{name}", why))
        _clear(home.build(name), keep_sql=True)


def unpublish_all(home: Home, rulebook: Rulebook) -> None:
    """Take every mart away: nobody can say any more that it holds nothing that is due or refused (fail closed). What is remembered of a mart that is
    taken away now stays for the build that makes it anew: it tells whose extracts have to go."""
    from pipelines.transformation.publish import unpublish

    forget_unpublished(home, rulebook)
    for name in rulebook.policy.built:
        unpublish(home.mart(name))


def forget_unpublished(home: Home, rulebook: Rulebook) -> None:
    """Of marts that are not there nothing is remembered: pseudonyms stand in it, and no build of theirs will come."""
    from pipelines.transformation.memory import forget

    for name in rulebook.policy.built:
        if not home.mart(name).exists():
            forget(home, name)


def _build_one(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, begin_history: bool) -> dict[str, Any]:
    from pipelines.eligibility.channels import remember_addresses
    from pipelines.pseudonymisation.run import pseudonymise
    from pipelines.pseudonymisation.subjects import SUBJECT_GRANTS
    from pipelines.transformation import memory
    from pipelines.transformation.dbt_schema import frozen_marts

    workdir, begun = home.build(purpose.name), list[memory.Memory]()
    with locked(home, f"build-{purpose.name}", f"build {purpose.name}"):
        try:
            refuse_undeclared(home, rulebook)
            frozen = frozen_marts(project_folder() / "dbt_project", purpose.name)
            if not begin_history:
                _refuse_lost_history(home, purpose, frozen)
            before = memory_before(home, purpose)
            zone = pseudonymise(home, rulebook, purpose, as_of, judged=lambda connection: begun.append(
                memory.begin(home, purpose.name, connection, f"from {SUBJECT_GRANTS}")))
            remember_addresses(home, rulebook, purpose, as_of)
            log.info("%s: %s members pass the gate", purpose.name, zone.members.get("eligible", 0))
            if zone.members and not zone.members.get("eligible"):
                log.warning("%s: of %s members nobody passes the gate as of %s, so its marts are empty. Is that the day? Another one: --as-of DAY",
                            purpose.name, f"{sum(zone.members.values()):,}", paris_day(as_of))
            marts = _publish(home, rulebook, purpose, as_of, begun[-1], frozen)
            extracts = succeed(home, purpose, before, begun[-1], paris_day(as_of))
            remove(workdir)
        except BaseException as error:
            _clear(workdir, keep_sql=isinstance(error, KampekyError))
            raise fail(home, rulebook, purpose, as_of, error) from None
    result = {"purpose": purpose.name, "as_of": as_of.isoformat(), "policy_version": rulebook.policy.version,
              "members": zone.members, "rows": zone.rows, **marts, "extracts_removed": extracts, "frozen": sorted(frozen)}
    ledger.append(home, "build", as_of, result)
    return result


def _refuse_lost_history(home: Home, purpose: Purpose, frozen: Mapping[str, str]) -> None:
    """Days that are over stay as they were first published: where they are gone they are not made anew in silence."""
    file = home.frozen(purpose.name)
    if not frozen or file.exists():
        return
    builds = (entry.facts for entry in ledger.read(home) if entry.act == "build")
    if any(facts.get("purpose") == purpose.name and facts.get("frozen") for facts in builds):
        raise Refused(f"The days that were kept of {', '.join(sorted(frozen))} are gone ({file}), and counted anew they would not be what was "
                      "published. Restore the file from a backup. If there is none, run once: "
                      f"kampeky build --purpose {purpose.name} --begin-history", "C-10.7")


def _clear(workdir: Path, keep_sql: bool) -> None:
    """What a failed build leaves: with `keep_sql` what dbt wrote down, which its message names, until the next build; it holds SQL, names and
    counts, no value (canary.py looks). Never the build file."""
    for path in workdir.iterdir() if workdir.exists() else ():
        if path.name != "target" or not keep_sql:
            remove(path)


def _publish(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, memory: Memory,
             frozen: Mapping[str, str]) -> dict[str, Any]:
    """dbt over the zone, then what blocks, then the mart: returns rows per mart and the risk measured."""
    from pipelines.assurance.identifiers import refuse_identifiers
    from pipelines.transformation.dbt_build import DATA_TESTS, build_models
    from pipelines.transformation.memory import remembered
    from pipelines.transformation.publish import History, mart_tables, publish

    zone, project = purpose_lake(home, purpose.name), project_folder() / "dbt_project"
    workdir, day = home.build(purpose.name), paris_day(as_of)
    remove(workdir)
    workdir.mkdir(parents=True, mode=0o700)
    build_file, build_key = workdir / "build.duckdb", secrets.token_hex(32)
    key = key_of(home, purpose)
    ensure_proved(home, rulebook, as_of)  # before a model of a state that was never judged runs over anybody's rows
    with locked(home, zone.lock, f"build {purpose.name}", exclusive=False):
        models = build_models(purpose.name, zone.catalog, zone.key(), build_file, build_key, day, workdir, project,
                              cell=rulebook.policy.cell, tests=(DATA_TESTS,))  # those of the models alone the canary runs, once for these
    tables, run = mart_tables(project, purpose.name), f"{purpose.name}@{as_of.isoformat()}"
    lineage = proved(workdir, rulebook, purpose.name, tables)
    raw = raw_lake(home)
    with locked(home, raw.lock, f"build {purpose.name}", exclusive=False):
        connection = engine.connect(home.tmp)
        try:
            attach(connection, raw, write=False)
            connection.execute(f"attach {quote_text(str(build_file))} as built (encryption_key {quote_text(build_key)}, read_only)")
            compared = refuse_identifiers(connection, rulebook, "built", tables, purpose.name)
        finally:
            connection.close()
    assessed = treat_build(rulebook, purpose, lineage, build_file, build_key, tables, home.tmp)
    linking = link_build(home, rulebook, purpose, assessed.exposed, build_file, build_key)
    rows = publish(build_file, build_key, home.mart(purpose.name), key, tables, {
        "run": run, "policy_version": rulebook.policy.version, "as_of": as_of.isoformat(), **assessed.worst}, home.tmp, memory,
        remembered(lineage, rulebook, purpose.name),
        History(home.frozen(purpose.name), frozen, day) if frozen else None)
    kept = keep(home, rulebook, purpose.name, run, as_of.isoformat(), assessed, linking)
    return {"marts": rows, "tests": models.tests, "texts_compared": compared, "risk": assessed.risk, "cells": assessed.cells,
            "linking": linking, "measurements": kept}
