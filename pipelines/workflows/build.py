"""`kampeky build`: gate, pseudonyms, dbt, assurance, publication, one purpose after another."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError, Unavailable
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home, project_folder
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import attach, purpose_lake, raw_lake
from pipelines.policy.types import Purpose, Rulebook
from pipelines.workflows.canary import ensure_proved
from pipelines.workflows.contracts import refuse_undeclared
from pipelines.workflows.lineage import proved
from pipelines.workflows.rules import rules

log = logging.getLogger("kampeky")


def build(home: Home, as_of: datetime, purposes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Build and publish the marts of `purposes` (all of the policy's by default) as of `as_of`."""
    rulebook = rules()
    chosen = [rulebook.policy.built_purpose(name) for name in purposes or rulebook.policy.built]
    home.require()
    return [_build_one(home, rulebook, purpose, as_of) for purpose in chosen]


def unpublish_all(home: Home, rulebook: Rulebook) -> None:
    """Take every mart away: nobody can say any more that it holds nothing that is due or refused (fail closed)."""
    from pipelines.transformation.publish import unpublish

    for name in rulebook.policy.built:
        unpublish(home.mart(name))


def _build_one(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> dict[str, Any]:
    from pipelines.eligibility.channels import remember_addresses
    from pipelines.pseudonymisation.run import pseudonymise
    from pipelines.transformation.publish import unpublish

    target, workdir = home.mart(purpose.name), home.build(purpose.name)
    with locked(home, f"build-{purpose.name}", f"build {purpose.name}"):
        try:
            refuse_undeclared(home, rulebook)
            zone = pseudonymise(home, rulebook, purpose, as_of)
            remember_addresses(home, rulebook, purpose, as_of)
            log.info("%s: %s members pass the gate", purpose.name, zone.members.get("eligible", 0))
            marts = _publish(home, rulebook, purpose, as_of)
        except Unavailable:
            raise
        except BaseException as error:
            # the published mart may hold somebody who has to be out by now: without a good build there is none (fail closed)
            unpublish(target)
            ledger.append(home, "build failed", as_of, {"purpose": purpose.name, "error": type(error).__name__, "published": False})
            if isinstance(error, KampekyError):
                error.args = (f"{error} The mart of {purpose.name} is unpublished until a build succeeds.",)
            raise
        finally:
            remove(workdir)
    result = {"purpose": purpose.name, "as_of": as_of.isoformat(), "policy_version": rulebook.policy.version,
              "members": zone.members, "rows": zone.rows, **marts}
    ledger.append(home, "build", as_of, result)
    return result


def _publish(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> dict[str, Any]:
    """dbt over the zone, then what blocks, then the mart: returns rows per mart and the risk measured."""
    from pipelines.assurance.exposure import exposed
    from pipelines.assurance.identifiers import refuse_identifiers
    from pipelines.assurance.risk import measure
    from pipelines.transformation.dbt_build import build_models
    from pipelines.transformation.publish import mart_tables, publish

    zone, project, keys = purpose_lake(home, purpose.name), project_folder() / "dbt_project", Keyring(home)
    workdir, day = home.build(purpose.name), paris_day(as_of)
    remove(workdir)
    workdir.mkdir(parents=True, mode=0o700)
    build_file, build_key = workdir / "build.duckdb", secrets.token_hex(32)
    key = keys.get(mart_key(purpose.name)) if purpose.published == "encrypted" else None
    with locked(home, zone.lock, f"build {purpose.name}", exclusive=False):
        models = build_models(purpose.name, zone.catalog, zone.key(), build_file, build_key, day, workdir, project,
                              cell=rulebook.policy.cell)
    tables, run = mart_tables(project, purpose.name), f"{purpose.name}@{as_of.isoformat()}"
    lineage = proved(workdir, rulebook, purpose.name, tables)
    ensure_proved(home, rulebook, as_of)
    raw = raw_lake(home)
    with locked(home, raw.lock, f"build {purpose.name}", exclusive=False):
        connection = engine.connect(home.tmp)
        try:
            attach(connection, raw, write=False)
            connection.execute(f"attach {quote_text(str(build_file))} as built (encryption_key {quote_text(build_key)}, read_only)")
            risks = [measure(connection, exposed(lineage, rulebook, purpose.name, table).profile("built")) for table in tables]
            compared = refuse_identifiers(connection, rulebook, "built", tables, purpose.name)
        finally:
            connection.close()
    rows = publish(build_file, build_key, home.mart(purpose.name), key, tables, {
        "run": run, "policy_version": rulebook.policy.version, "as_of": as_of.isoformat(),
        "smallest_class": min((r.smallest_class for r in risks), default=0),
        "unique_share": max((r.unique_share for r in risks), default=0.0)}, home.tmp)
    return {"marts": rows, "tests": models.tests + models.unit_tests, "texts_compared": compared, "risk": [r.as_dict() for r in risks]}
