"""Risk in each build, and `kampeky verify risk`: treat, measure, link, keep the figures (C-3.3b, C-10.7).

A build's own marts are treated before they are published and are then linked with what other purposes have published. Only this job sees marts
of two purposes and the truth of who is who, in memory and for as long as it measures; no role does (C-3.3b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.evidence import ledger, measurements
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import pseudonym, set_domain
from pipelines.identity.vault import opened_vault
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import explain
from pipelines.policy.types import Purpose, Rulebook
from pipelines.workflows.rules import rules

if TYPE_CHECKING:
    from pipelines.assurance.exposure import Exposed
    from pipelines.assurance.lineage import Lineage
    from pipelines.assurance.linkage import Linked, Side
    from pipelines.assurance.treatment import Treated

Found = tuple[str, bool, str]


@dataclass(frozen=True)
class Assessed:
    """What a build measured of its marts, as its ledger entry and its line of measurements say it."""

    risk: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    exposed: list[Exposed]

    @property
    def worst(self) -> dict[str, float]:
        """The figures of the worst mart, as the published file carries them."""
        return {"smallest_class": min((r["smallest_class"] for r in self.risk if r["rows"]), default=0),
                "unique_share": max((r["unique_share"] for r in self.risk), default=0.0)}


def treat_build(rulebook: Rulebook, purpose: Purpose, lineage: Lineage, build_file: Path, build_key: str, tables: Sequence[str],
                tmp: Path) -> Assessed:
    """Treat each mart of the build file in place and measure it again; refused if it cannot keep the limits of the policy."""
    from pipelines.assurance.cells import refuse_small_cells
    from pipelines.assurance.exposure import exposed
    from pipelines.assurance.stars import carry_stars
    from pipelines.assurance.treatment import treat

    found = Assessed([], [], [])
    treated: dict[str, Treated] = {}
    connection = engine.connect(tmp, extensions=("httpfs",))
    try:
        connection.execute(f"attach {quote_text(str(build_file))} as built (encryption_key {quote_text(build_key)})")
        for table in tables:
            mart = exposed(lineage, rulebook, purpose.name, table)
            found.exposed.append(mart)
            if not mart.person:
                place = mart.profile("built").place
                written = {column.name for column in lineage[table].values() if not column.values}
                found.cells.append(refuse_small_cells(connection, place, table, rulebook.policy.cell, written).as_dict())
                continue
            treated[table] = treat(connection, mart.profile("built"), rulebook.policy.risk, list(mart.shared.values()), purpose.identified)
        persons = {mart.table: mart for mart in found.exposed if mart.person}
        while not purpose.identified and (hidden := carry_stars(connection, "built", list(persons.values()))):
            for table, counts in hidden.items():  # what is left may be further from the whole table: measured, and treated, once more
                again = treat(connection, persons[table].profile("built"), rulebook.policy.risk, list(persons[table].shared.values()))
                treated[table] = treated[table].then(counts, again)
        found.risk.extend(done.after.as_dict() | {
            "generalised": done.generalised, "suppressed": done.suppressed, "smallest_class_before": done.before.smallest_class,
            "unique_share_before": done.before.unique_share, "limited": not purpose.identified} for done in treated.values())
        connection.execute("checkpoint built; detach built")
    finally:
        connection.close()
    return found


def link_build(home: Home, rulebook: Rulebook, purpose: Purpose, marts: Sequence[Exposed], build_file: Path, build_key: str) -> list[dict[str, Any]]:
    """Link each mart of a build with each published one of another purpose; refused if a pair is beyond the limits."""
    others = [name for name in rulebook.policy.built if name != purpose.name and home.mart(name).exists()]
    if not others or not any(mart.member for mart in marts):
        return []
    with opened_vault(home, f"build {purpose.name}") as connection:
        connection.execute(f"attach {quote_text(str(build_file))} as built (encryption_key {quote_text(build_key)}, read_only)")
        own = _sides(connection, rulebook, "built", marts)
        linked = [found for other in others for found in _linked(connection, home, rulebook, (purpose.name, own), other)]
    wrong = [f"{found.left} with {found.right}: {'; '.join(words)}" for found in linked if (words := found.beyond(rulebook.policy.risk))]
    if wrong:
        raise Refused(f"Marts of two purposes could be linked: {'. '.join(wrong)}. Show less in the model: wider bands, no exact counts of the "
                      "same things.", "C-3.3b")
    return [found.as_dict() for found in linked]


def keep(home: Home, rulebook: Rulebook, purpose: str, run: str, as_of: str, assessed: Assessed, linking: list[dict[str, Any]]) -> str:
    """Write a build's measurements down once it is published; returns the hash that goes into the ledger."""
    return measurements.append(home, {
        "purpose": purpose, "run": run, "as_of": as_of, "policy_version": rulebook.policy.version,
        "marts": [mart.as_dict() for mart in assessed.exposed], "risk": assessed.risk, "cells": assessed.cells, "linking": linking,
        "limits": asdict(rulebook.policy.risk) | {"cell": rulebook.policy.cell}})


def verify_risk(home: Home) -> list[Found]:
    """Measure what is published anew: each mart, and each pair of two purposes' marts, against the limits of the policy in force."""
    from pipelines.assurance.risk import measure

    rulebook = rules()
    limits, found = rulebook.policy.risk, _kept(home)
    published = [name for name in rulebook.policy.built if home.require().mart(name).exists()]
    with opened_vault(home, "verify risk") as connection:
        sides: dict[str, list[Side]] = {}
        for name in published:
            purpose = rulebook.policy.purposes[name]
            alias = _attach(connection, home, purpose)
            marts = _exposed(connection, home, name, alias)
            if marts is None:
                found.append((name, False, "nothing says what its columns are built from: build it again"))
                continue
            sides[name] = _sides(connection, rulebook, alias, marts)
            for mart in marts:
                if mart.person:
                    risk = measure(connection, mart.profile(alias))
                    beyond = [] if purpose.identified else risk.beyond(limits)
                    found.append((f"{name}.{mart.table}", not beyond, "; ".join(beyond) or _words(risk.as_dict(), purpose.identified)))
                else:
                    found.append(_aggregate(connection, f"{name}.{mart.table}", mart.profile(alias).place, rulebook.policy.cell))
        for number, left in enumerate(sides):
            for right in list(sides)[number + 1:]:
                for pair in _linked(connection, home, rulebook, (left, sides[left]), right, sides[right]):
                    beyond = pair.beyond(limits)
                    found.append((f"{pair.left} × {pair.right}", not beyond, "; ".join(beyond) or linking_words(pair.as_dict())))
    return found


def linking_words(pair: Mapping[str, Any]) -> str:
    """One pair's figures for a person."""
    shared = f"smallest class over {len(pair['shared'])} shared columns {pair['smallest_class']}" if pair["shared"] else "no shared columns"
    if not pair["sample"]:
        return f"{shared}; no member in both"
    told = f"{shared}; best match {pair['ratio']} × chance ({pair['sample']} members sought, {pair['compared']} columns compared)"
    seen_from = pair.get("seen_from")  # builds of before did not keep it
    return f"{told}; so many members show a link from {seen_from:.1f} × chance on" if seen_from else told


def _words(risk: Mapping[str, Any], identified: bool) -> str:
    if not risk["rows"]:
        return "no row is published"
    told = f"k = {risk['smallest_class']}, unique {100 * risk['unique_share']:.1f} %"
    told += "".join(f", {name}: l = {risk['diversity'][name]}, t = {risk['closeness'][name]:.3f}" for name in risk["sensitive"])
    told += f"; {risk['rows']} rows of {risk['persons']} persons"
    return told + ("; names persons by policy, so k, l and t do not limit it" if identified else "")


def _aggregate(connection: Connection, name: str, place: str, cell: int) -> Found:
    from pipelines.assurance.cells import refuse_small_cells

    try:
        # which numbers somebody wrote the build knew by lineage, and judged
        columns = connection.execute(f"select column_name from (describe {place})").fetchall()
        cells = refuse_small_cells(connection, place, name, cell, [column for (column,) in columns])
    except Refused as error:
        return name, False, str(error)
    return name, True, f"smallest cell {cells.smallest_cell} members; {cells.rows} rows, {cells.totals} totals compared with their parts"


def _kept(home: Home) -> list[Found]:
    known = [digest for entry in ledger.read(home) if entry.act == "build" and (digest := entry.facts.get("measurements"))]
    lost = measurements.changed(home, known)
    return [("measurements", not lost, f"{len(known)} builds in the ledger, {lost} of their measurements changed or gone")]


def _attach(connection: Connection, home: Home, purpose: Purpose) -> str:
    """Attach the published mart of a purpose read-only; returns its alias."""
    alias = f"mart_{purpose.name}"
    options = ["read_only"]
    if purpose.published == "encrypted":
        options.append(f"encryption_key {quote_text(Keyring(home).get(mart_key(purpose.name)))}")
    try:
        connection.execute(f"attach {quote_text(str(home.mart(purpose.name)))} as {quote_name(alias)} ({', '.join(options)})")
    except engine.Error as error:
        raise explain(error, home.mart(purpose.name), mart_key(purpose.name)) from None
    return alias


def _exposed(connection: Connection, home: Home, purpose: str, alias: str) -> list[Exposed] | None:
    """What the published marts expose, as their own build wrote down; None if it did not."""
    from pipelines.assurance.exposure import from_dict

    try:
        row = connection.execute(f"select run from {alias}.main._build").fetchone()
    except engine.Error:
        return None
    record = measurements.last(home, purpose, str(row[0])) if row else None
    return None if record is None else [from_dict(purpose, facts) for facts in record["marts"]]


def _sides(connection: Connection, rulebook: Rulebook, alias: str, marts: Sequence[Exposed]) -> list[Side]:
    from pipelines.assurance.classes import ENDS_ON, types_of

    found = []
    for mart in marts:
        types = {name: kind for name, kind in types_of(connection, mart.profile(alias).place).items() if name != ENDS_ON}
        side = mart.side(alias, types, rulebook.policy.purposes[mart.purpose].identified)
        if side is not None:
            found.append(side)
    return found


def _linked(connection: Connection, home: Home, rulebook: Rulebook, one: tuple[str, list[Side]], other: str,
            sides: list[Side] | None = None) -> list[Linked]:
    """Each mart of one purpose against each of the other's."""
    from pipelines.assurance.linkage import link

    if sides is None:
        alias = _attach(connection, home, rulebook.policy.purposes[other])
        marts = _exposed(connection, home, other, alias)
        sides = _sides(connection, rulebook, alias, _by_name(connection, other, alias) if marts is None else marts)
    if not sides or not one[1]:
        return []
    _pairs(connection, home, one[0], other)
    return [link(connection, left, right) for left in one[1] for right in sides]


def _by_name(connection: Connection, purpose: str, alias: str) -> list[Exposed]:
    """What was published before anything was measured: only names tell what its columns have in common with others."""
    from pipelines.assurance.exposure import Exposed

    tables = connection.execute("select table_name from duckdb_columns() where database_name = ? and column_name = 'pseudonym' order by 1",
                                [alias]).fetchall()
    return [Exposed(purpose, table, "pseudonym", ("pseudonym",), (), (), {}, {}, {}) for (table,) in tables]


def _pairs(connection: Connection, home: Home, one: str, other: str) -> None:
    """The truth: the two pseudonyms of each member, as a temporary table of this connection, which holds the vault."""
    from pipelines.assurance.linkage import PAIRS

    for name, table in ((one, "link_one"), (other, "link_other")):
        set_domain(connection, home, name)
        connection.execute(f"create or replace temp table {table} as "
                           f"select member_id, {pseudonym('salt', 'member_id')}::varchar as p from vault.subjects")
    connection.execute(f"create or replace temp table {PAIRS} as select a.p as a, b.p as b from link_one as a join link_other as b using (member_id)")
    connection.execute("drop table link_one; drop table link_other")
