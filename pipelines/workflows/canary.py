"""`kampeky verify canary`, and its proof before each publication: planted subjects run through gate, pseudonymisation, dbt and publication, and the
models through their unit tests.

What it proves depends on rules, dbt project and code, and on no data: so it runs when one of them has changed since the last proof, which the
ledger names by their hash, in a scratch home of its own with keys of its own. What is found is told by where it was planted, never by its value.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day, start_of_day
from pipelines.foundation.errors import Refused
from pipelines.foundation.files import remove, write_atomically
from pipelines.foundation.home import PROJECT, Home, project_folder
from pipelines.foundation.locks import locked
from pipelines.keys.keyring import Keyring, key_names, mart_key
from pipelines.lake.store import ALIAS, opened, purpose_lake, raw_lake
from pipelines.lake.tables import create_raw_tables, raw_columns, raw_table
from pipelines.policy.types import Purpose, Rulebook
from pipelines.policy.vocabulary import BUCKET
from pipelines.workflows.rules import rules

if TYPE_CHECKING:
    from pipelines.assurance.canary import Planted, Search, Seen

ACT = "canary"
Found = tuple[str, bool, str]
log = logging.getLogger("kampeky")


def ensure_proved(home: Home, rulebook: Rulebook, as_of: datetime) -> None:
    """Before a publication: rules, models and code as they are now were proved, or are now; refused if what was planted comes out."""
    if proved(home):
        return
    wrong = [f"{name}: {detail}" for name, ok, detail in prove(home, rulebook, as_of) if not ok]
    if wrong:
        raise Refused(f"Planted identifiers come out of a build of these rules and models: {'; '.join(wrong)}. Nothing is published "
                      "until they do not. See all with: kampeky verify canary", "C-3.3b")


def proved(home: Home) -> bool:
    """Whether the ledger names a proof of exactly these rules, models and code."""
    state = fingerprint()
    return any(entry.act == ACT and entry.facts.get("fingerprint") == state and entry.facts.get("ok") for entry in ledger.read(home))


def proof_found(home: Home) -> Found:
    """For `verify all`, which runs no build: whether there is a proof. A home that has published nothing needs none."""
    if not any(home.mart(name).exists() for name in rules().policy.built):
        return "canary", True, "nothing is published that it would have to prove"
    there = proved(home)
    return "canary", there, f"{'proved' if there else 'not proved'} for these rules, models and code{'' if there else '; run: kampeky verify canary'}"


def fingerprint() -> str:
    """The hash of everything that decides what comes out of a build, beside the data."""
    digest = hashlib.sha256()
    for folder in (project_folder() / "data_contracts", project_folder() / "dbt_project", PROJECT / "pipelines"):
        written = [folder / name for name in ("target", "logs")] if folder.name == "dbt_project" else []  # by dbt, at a developer's prompt
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts
                           and not any(p.is_relative_to(place) for place in written)):
            digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    digest.update("".join(version(name) for name in ("duckdb", "dbt-core", "dbt-duckdb", "sqlglot")).encode())
    return digest.hexdigest()


def prove(home: Home, rulebook: Rulebook, as_of: datetime) -> list[Found]:
    """Run it and write down what was found, in evidence and ledger. A scratch home that a kill left is swept by the next run."""
    with locked(home, ACT, "verify canary"):
        for left in home.tmp.glob(f"{ACT}-*"):
            remove(left)
        _refuse_leaks(home, rulebook)
        state, scratch = fingerprint(), Home(home.tmp / f"{ACT}-{secrets.token_hex(4)}")
        log.info("canary: planted subjects go through a build of their own, because rules, models or code have changed")
        try:
            with _own_keys():
                found = _Run(scratch, rulebook, start_of_day(paris_day(as_of)) + timedelta(hours=12)).checks()
        finally:
            remove(scratch.root)
        ok = all(good for _, good, _ in found)
        (home.evidence / ACT).mkdir(mode=0o700, exist_ok=True)
        write_atomically(home.evidence / ACT / f"{state}.json", json.dumps({
            "fingerprint": state, "as_of": as_of.isoformat(), "policy_version": rulebook.policy.version, "ok": ok,
            "checks": [{"name": name, "ok": good, "detail": detail} for name, good, detail in found]}, indent=1) + "\n")
        ledger.append(home, ACT, as_of, {"fingerprint": state, "ok": ok, "checks": len(found)})
    return found


def _refuse_leaks(home: Home, rulebook: Rulebook) -> None:
    """What can be refused by reading it is refused before any of it runs, were it over planted rows: it may write elsewhere than into a build."""
    from pipelines.workflows.lineage import proof

    wrong = dict.fromkeys(detail for _, ok, detail in proof(home, rulebook) if not ok)  # of the whole project the same for each purpose
    if wrong:
        raise Refused(f"{'; '.join(wrong)} Nothing was run.", "C-3.3a")


@contextmanager
def _own_keys() -> Iterator[None]:
    """No key of the real home: those that stand in the environment are out of sight meanwhile."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("KAMPEKY_KEY", "KAMPEKY_ROLE"))}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _overheard(into: io.StringIO) -> Iterator[None]:
    """Everything that is logged meanwhile, by whatever library; what this program says itself is heard here alone."""
    handler, logger = logging.StreamHandler(into), logging.getLogger()
    level, own, told, passed_on = logger.level, log.level, list(log.handlers), log.propagate
    logger.addHandler(handler)
    log.handlers[:], log.propagate = [handler], False
    logger.setLevel(logging.INFO)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        log.handlers[:], log.propagate = told, passed_on
        logger.setLevel(level)
        log.setLevel(own)


@dataclass
class _Run:
    """One run in a scratch home, and what was seen in it."""

    home: Home
    rulebook: Rulebook
    as_of: datetime
    seen: list[Seen] = field(default_factory=list)
    problems: list[Found] = field(default_factory=list)

    def checks(self) -> list[Found]:
        from pipelines.assurance.canary import Search, control, new_mark, plant

        planted = plant(self.rulebook, self.as_of, new_mark())
        search, let = Search(planted), control(planted.mark)
        self.home.create()
        Keyring(self.home).make(key_names(self.rulebook.policy))
        said = io.StringIO()
        with _overheard(said):
            self._load(planted)
            for purpose in self.rulebook.policy.built.values():
                self._build(purpose)
            log.debug("canary: %s", let)
        found: list[Found] = []
        for purpose in self.rulebook.policy.built.values():
            found += self._looked(purpose, search, let)
        found.append(self._verdict("log", search.in_text("log", said.getvalue()), None))
        return found

    def _load(self, planted: Planted) -> None:
        """Into the raw zone, as ingestion would have it."""
        import pyarrow as pa

        with opened(raw_lake(self.home), ACT, write=True) as connection:
            create_raw_tables(connection, self.rulebook)
            for contract in self.rulebook.contracts.values():
                connection.register("planted", pa.Table.from_pylist(planted.rows[contract.name]))
                columns = {name: kind for name, kind in raw_columns(contract).items() if name != BUCKET}
                values = ", ".join(f"{quote_name(name)}::{kind}" for name, kind in columns.items())
                connection.execute(f"insert into {raw_table(contract)} ({', '.join(map(quote_name, columns))}) select {values} from planted")
                connection.unregister("planted")

    def _build(self, purpose: Purpose) -> None:
        from pipelines.pseudonymisation.run import pseudonymise
        from pipelines.transformation.dbt_build import UNIT_TESTS, build_models
        from pipelines.transformation.publish import mart_tables, publish

        pseudonymise(self.home, self.rulebook, purpose, self.as_of)
        zone, workdir, project = purpose_lake(self.home, purpose.name), self.home.build(purpose.name), project_folder() / "dbt_project"
        workdir.mkdir(parents=True, mode=0o700)
        key = secrets.token_hex(32)
        with locked(self.home, zone.lock, ACT, exclusive=False):
            build_models(purpose.name, zone.catalog, zone.key(), workdir / "build.duckdb", key, paris_day(self.as_of), workdir, project,
                         cell=self.rulebook.policy.cell, tests=(UNIT_TESTS,))
        publish(workdir / "build.duckdb", key, self.home.mart(purpose.name), self._mart_key(purpose), mart_tables(project, purpose.name),
                {"run": ACT, "policy_version": self.rulebook.policy.version, "as_of": self.as_of.isoformat()}, self.home.tmp)

    def _mart_key(self, purpose: Purpose) -> str | None:
        return Keyring(self.home).get(mart_key(purpose.name)) if purpose.published == "encrypted" else None

    # --- looking ---

    def _looked(self, purpose: Purpose, search: Search, control: str) -> list[Found]:
        """Zone, mart and artefacts of one purpose, into each of which the control is put first: what does not find it there sees nothing."""
        from pipelines.assurance.canary import ELIGIBLE

        found: list[Found] = []
        with opened(purpose_lake(self.home, purpose.name), ACT, write=True) as connection:
            connection.execute(f"create table {ALIAS}.main.canary_control as select ? as value", [control])
            seen = [one for place, text in _values(connection, ALIAS) for one in search.in_text(place, text)]
            found.append(self._verdict(f"{purpose.name}: zone", seen, purpose))
            for contract in self.rulebook.entering(purpose.name):
                rows = _number(connection, f"select count(*) from {ALIAS}.main.{quote_name(contract.name)}")
                if not rows:
                    found.append((f"{purpose.name}: {contract.name}", False, "no planted row passed the gate, so nothing of it is proved"))
            accounts = self.rulebook.accounts
            if accounts in self.rulebook.entering(purpose.name):
                key = next(t.output for _, t in accounts.entering(purpose.name) if t.use == "pseudonym")
                members = _number(connection, f"select count(distinct {quote_name(key)}) from {ALIAS}.main.{quote_name(accounts.name)}")
                found.append((f"{purpose.name}: members", members == ELIGIBLE, f"{members} of {ELIGIBLE} who may appear"))
        with self._mart(purpose) as connection:
            connection.execute("create table mart.main.canary_control as select ? as value", [control])
            seen = [one for place, text in _values(connection, "mart") for one in search.in_text(place, text)]
            found.append(self._verdict(f"{purpose.name}: marts", seen, purpose))
        workdir = self.home.build(purpose.name)
        write_atomically(workdir / "target" / "canary_control.txt", control)
        seen = []
        for path in sorted(workdir.rglob("*")):
            name = str(path.relative_to(workdir))
            seen += search.in_text("the name of a file", name)
            # the build file is encrypted, and its tables stand in the mart; what is linked to are DuckDB's extensions, as they were installed
            if path.is_file() and not path.is_symlink() and path.suffix != ".duckdb":
                seen += search.in_bytes(name, path.read_bytes())
        found.append(self._verdict(f"{purpose.name}: artefacts", seen, None))
        return found

    @contextmanager
    def _mart(self, purpose: Purpose) -> Iterator[Connection]:
        key = self._mart_key(purpose)
        connection = engine.connect(self.home.tmp, extensions=("httpfs",))
        try:
            options = f" (encryption_key {quote_text(key)})" if key else ""
            connection.execute(f"attach {quote_text(str(self.home.mart(purpose.name)))} as mart{options}")
            yield connection
        finally:
            connection.close()

    def _verdict(self, name: str, seen: Iterable[Seen], purpose: Purpose | None) -> Found:
        """`purpose`: in a store of it what the contracts keep for it may stand; in files and logs nothing may."""
        from pipelines.assurance.canary import CONTROL, let_through

        wrong, control = [], False
        for one in seen:
            if one.dataset == CONTROL:
                control = True
            elif purpose is None or not let_through(self.rulebook, purpose.name, one):
                wrong.append(f"{one.dataset}.{one.column}{' of somebody refused' if one.refused else ''} in {one.place}")
        if not control:
            return name, False, "the control that was let through was not found: the search is blind there"
        return name, not wrong, f"found: {', '.join(sorted(set(wrong)))}" if wrong else "nothing planted was found but the control"


def _values(connection: Connection, database: str) -> Iterator[tuple[str, str]]:
    """Every different value of every column of every table, as text, with the place where it stands; names and comments of the columns, too."""
    columns = connection.execute("select schema_name, table_name, column_name, coalesce(comment, '') from duckdb_columns() "
                                 "where database_name = ? and not internal", [database]).fetchall()
    for schema, table, column, comment in columns:
        place = f"{database}.{quote_name(schema)}.{quote_name(table)}"
        yield f"{table}.{column}", f"{table} {column} {comment}"
        name = quote_name(column)
        for (value,) in connection.execute(f"select distinct {name}::varchar from {place} where {name} is not null").fetchall():
            yield f"{table}.{column}", value


def _number(connection: Connection, sql: str) -> int:
    row: Any = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
