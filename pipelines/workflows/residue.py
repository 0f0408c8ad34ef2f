"""The proof that what was deleted is gone: as the last step of an erasure, with what is still known of who was erased; and later, by the
tombstones and by what somebody asks for (C-10.4, C-11.3)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from pipelines.assurance.residue import tombs
from pipelines.assurance.residue.duckdb_live import scan_duckdb
from pipelines.assurance.residue.home import Looked, Residue, data_files, judged, look
from pipelines.assurance.residue.places import foreign
from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.evidence import ledger
from pipelines.evidence.provenance import check as check_origins
from pipelines.evidence.provenance import holders
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.files import sha256_of
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity import erased_since, tombstones
from pipelines.identity.pseudonyms import set_domain
from pipelines.identity.tombstones import names_of
from pipelines.identity.vault import opened_vault
from pipelines.lake import backups
from pipelines.lake.store import opened, raw_lake, tables_of
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook
from pipelines.pseudonymisation.state import EXPLAINED
from pipelines.retention.plan import in_vault
from pipelines.retention.scope import DUE_ACCOUNTS
from pipelines.retention.subjects import KNOWN_BY, PSEUDONYM, mark_devices, mark_known, mark_pseudonyms, same
from pipelines.rights.certificate import CANNOT_KNOW

BEGUN = (erased_since.BEGUN, EXPLAINED)
MANY = 5_000  # needles; each takes a few milliseconds to be made ready
SHOWN = 20  # places that are told one by one
VAULT = "zones/vault/vault.duckdb"
_NOT_LOOKED_FOR = ("first_name", "last_name", "member_name", "postcode", "city")  # words that others are called by, too: texts.py takes them out
# what others may write for reasons of their own, and where others live too; it stands in raw's texts by right (C-2.6), and a word alone says nothing
_OTHERS_WORDS, _SAYS = ("street", "other"), re.compile(r"(?=.{8})(?:.*\d.*[^\W\d_]|.*[^\W\d_].*\d|.*://)", re.DOTALL)


@dataclass(frozen=True)
class Known:
    """What the members of an erasure are known by, for as long as it runs: (kind, value), never shown."""

    values: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, connection: Connection, request_id: str) -> Known:
        """As the erasure wrote it down; the vault is attached."""
        return cls(tuple(connection.execute("select distinct kind, value from vault.erasing where request_id = ? order by all",
                                            [request_id]).fetchall()))

    @classmethod
    def of_ending(cls, connection: Connection, home: Home, rulebook: Rulebook, run: str, stopped: Sequence[str]) -> Known:
        """What the accounts in `due_accounts` are known by, as raw and vault have them before the retention run `run` removes it, and what runs knew
        that were `stopped` before. It is written into the vault for as long as the run lasts: one that finishes it has to know what to look for."""
        connection.execute("begin")
        connection.execute("update vault.erasing set request_id = ? where request_id in (select unnest(?::varchar[]))", [run, list(stopped)])
        if connection.execute(f"select 1 from {DUE_ACCOUNTS} limit 1").fetchone():
            mark_known(connection, rulebook)
            mark_devices(connection)
            connection.execute(f"insert into vault.erasing select distinct ?, '', kind, value from {KNOWN_BY}", [run])
            for purpose in rulebook.policy.built:
                if in_vault(connection, "domains") and connection.execute("select 1 from vault.domains where purpose = ?", [purpose]).fetchone():
                    set_domain(connection, home, purpose)
                    mark_pseudonyms(connection)
                    connection.execute(f"insert into vault.erasing select distinct ?, '', '{PSEUDONYM}', pseudonym::varchar from due_pseudonyms "
                                       "where pseudonym is not null", [run])
        connection.execute("commit")
        return cls.of(connection, run)

    @property
    def many(self) -> bool:
        """Whether they are too many to look for each in some thirty forms: then every value of every zone is asked for by its keyed hash instead."""
        return len(self.values) > MANY

    def looked(self, home: Home, rulebook: Rulebook) -> Looked:
        """The needles, and which of them a record that stays in raw still names; of very many members none (`many`)."""
        if self.many:
            return Looked(())
        values = tuple((kind, value) for kind, value in self.values if kind not in (PSEUDONYM, *_NOT_LOOKED_FOR)
                       and (kind not in _OTHERS_WORDS or _SAYS.match(value)))
        pseudonyms = tuple(uuid.UUID(value).bytes for kind, value in self.values if kind == PSEUDONYM)
        by_right = (number for number, (kind, _) in enumerate(values) if kind in _OTHERS_WORDS)
        return Looked(values, pseudonyms, frozenset([*_standing(home, rulebook, values), *by_right]))


@dataclass(frozen=True)
class Proof:
    """The residue of an erasure: of all files, and of the vault once it knows nothing any more."""

    residue: Residue
    looked: Looked = field(repr=False)
    since: int = 0

    @property
    def ok(self) -> bool:
        return self.residue.ok

    @classmethod
    def of(cls, told: dict[str, Any], since: int) -> Proof:
        """As it was written down when the members were forgotten."""
        return cls(Residue(told["files"], told["bytes"], told["formats"], tuple(told["found"]), told["kept"], tuple(told["wrong"]),
                           tuple(told["pending"]), told["controls"], told["too_short"], told["hashed"]), Looked(()), since)

    def wrong(self) -> list[str]:
        """What is wrong, in words without a value."""
        return [*(f"{one['what']} in {one['file']} ({one['place']})" for one in self.residue.found), *self.residue.wrong]

    def as_dict(self) -> dict[str, Any]:
        return self.residue.as_dict()

    def of_vault(self, connection: Connection) -> Proof:
        """What the vault, attached, would tell of them as it is now, in the transaction under way."""
        result = scan_duckdb(connection, "vault", self.looked.needles(), VAULT)
        return replace(self, residue=Residue(found=judged(self.looked, result.findings)[0]))

    def with_vault(self, home: Home, rulebook: Rulebook) -> Proof:
        """The vault in place of what it was while the erasure ran and stood in it."""
        vault = look(home, rulebook, self.looked, self.since, only=(VAULT,))
        return replace(self, residue=replace(self.residue, found=(*self.residue.found, *vault.found), wrong=(*self.residue.wrong, *vault.wrong),
                                             pending=vault.pending))  # of all files, and of the vault's predecessor too


def prove(home: Home, rulebook: Rulebook, known: Known) -> Proof:
    """Look for what the members were known by in every file but the vault, in which the erasure itself still stands."""
    looked, since = known.looked(home, rulebook), last_deletion(home)
    residue = look(home, rulebook, looked, since, sealed(home))
    if known.many:
        asked, hits, kept = tombs.search(home, rulebook)
        told = tuple({"file": place, "place": "values", "what": "somebody erased", "as": "keyed hash", "count": count} for place, count in hits)
        residue = replace(residue, found=(*residue.found, *told), hashed=asked, kept=residue.kept + sum(count for _, count in kept))
    without = tuple(one for one in residue.found if one["file"] != VAULT)
    origin = tuple(why for why in residue.wrong if not why.startswith(f"{VAULT}:"))
    return Proof(replace(residue, found=without, wrong=origin), looked, since)


@dataclass(frozen=True)
class Checked:
    """A proof in words: (name, ok, detail) of each check, and what ends by itself."""

    checks: list[tuple[str, bool, str]]
    pending: bool

    @property
    def ok(self) -> bool:
        return all(ok for _, ok, _ in self.checks)


def after_retention(home: Home, rulebook: Rulebook, known: Known, whole: Sequence[tuple[str, bool, str]]) -> Checked:
    """That what a retention run deleted is gone: each file of a lake holds what its catalog says is alive and nothing more, each DuckDB file was
    made after the deletion; and of accounts that ended, what they were known by stands in no file but in what others wrote. `whole`: of the lakes,
    as they were before marts were built from them again."""
    checks = [*whole, *((f"origin of {name}", ok, why) for name, ok, why in check_origins(home, last_deletion(home)))]
    if known.values and not known.many:  # of many, each file holds what is alive, and marts and zones were counted
        looked = known.looked(home, rulebook)
        looked = replace(looked, standing=frozenset(range(len(looked.values))))  # in raw others' texts may name them, where only their name goes
        residue = look(home, rulebook, looked, last_deletion(home), sealed(home))
        residue = replace(residue, found=tuple(one for one in residue.found if one["file"] != VAULT))  # where the run itself still stands
        told = f"{len(known.values):,} values looked for in {residue.files:,} files, {residue.read:,} bytes"
        wrong = [*(f"{one['what']} in {one['file']}" for one in residue.found), *residue.wrong]
        checks.append(("accounts that ended", residue.ok, "; ".join([told, *wrong])))
    return Checked(checks, bool(holders(home)))


def forget_ending(home: Home, rulebook: Rulebook, known: Known, run: str, told: str, as_of: datetime) -> None:
    """What the accounts of a retention run were known by is known nowhere any more, but that it was proved, `told`; raises, and forgets nothing, if
    the vault names them even so."""
    with opened_vault(home, "retention apply", write=True) as connection:
        connection.execute("begin")
        connection.execute("delete from vault.erasing where request_id = ?", [run])
        connection.execute("insert or replace into vault.approvals values (?, 'proved', '', ?, ?)", [run, as_of, told])
        found = Proof(Residue(), known.looked(home, rulebook)).of_vault(connection)
        if not found.ok:
            raise KampekyError(f"The vault still names somebody whose account ended: {'; '.join(found.wrong())}. Run it again.")
        connection.execute("commit")


def vault_is_fresh(home: Home, rulebook: Rulebook) -> tuple[str, bool, str]:
    """(name, ok, words): whether the vault was made anew after that."""
    wrong = look(home, rulebook, Looked(()), last_deletion(home), only=(VAULT,)).wrong
    return "vault", not wrong, "; ".join(wrong) or "made anew after they were forgotten"


def last_deletion(home: Home) -> int:
    """The entry of the ledger with which the last deletion began."""
    return max((entry.seq for entry in ledger.read(home) if entry.act in BEGUN), default=0)


def _packages(home: Home) -> list[str]:
    """Names of the files in the outbox that a request or a disclosure made."""
    with opened_vault(home, "verify residue") as connection:
        return [row[0] for row in connection.execute("select package from vault.requests where package is not null union all "
                                                     "select package from vault.handovers where package is not null").fetchall()]


def sealed(home: Home) -> list[str]:
    """Names of the sealed files that were made for recipients and do not hold the erased; backups are known by themselves."""
    with opened_vault(home, "verify residue") as connection:
        packages = [row[0] for row in connection.execute("select package from vault.handovers").fetchall()]
    return [f"outbox/{name}" for name in packages]


def _standing(home: Home, rulebook: Rulebook, values: Sequence[tuple[str, str]]) -> list[int]:
    """Which of the values (kind, value) a row of raw still names as its own: a record that a hold keeps, somebody who shares an address."""
    if not raw_lake(home).catalog.exists() or not values:
        return []
    with opened(raw_lake(home), "verify residue") as connection:
        there = {name for schema, name in tables_of(connection, "lake") if schema == "main"}
        queries = [f"select distinct {quote_text(kind)} as kind, {quote_name(column)}::varchar as value from {raw_table(contract)}"
                   for contract in rulebook.contracts.values() if contract.name in there
                   for column, kind in (*names_of(contract), *((c.name, c.identifies) for c in contract.columns if c.identifies))]
        connection.execute("create or replace temp table asked (n bigint, kind varchar, value varchar)")
        connection.executemany("insert into asked values (?, ?, ?)", [(n, kind, value) for n, (kind, value) in enumerate(values)])
        found = connection.execute(f"""select distinct a.n from asked as a join ({' union all '.join(queries)}) as r
            on r.kind = a.kind and {same('r.kind', 'r.value')} = {same('a.kind', 'a.value')}""").fetchall()
        return [row[0] for row in found]


def by_identifiers(home: Home, rulebook: Rulebook, identifiers: Sequence[str]) -> list[tuple[str, bool, str]]:
    """What somebody asks for, searched in every file of the home; of whom they are nothing is kept. Words are looked for as they are given, and told
    of by their place among them."""
    looked = Looked(tuple((f"identifier {n}", value) for n, value in enumerate(identifiers, 1)), everywhere=True)
    found = look(home, rulebook, looked, last_deletion(home), sealed(home))
    places = sorted({f"{one['what']} in {one['file']} ({one['place']}, as {one['as']})" for one in found.found})
    told = ", ".join(places[:SHOWN]) + (f" and {len(places) - SHOWN:,} places more" if len(places) > SHOWN else "")
    return [*_told(found), ("identifiers", not found.found, f"{len(identifiers)} looked for; found: {told or 'none'}")]


def by_tombstones(home: Home, rulebook: Rulebook) -> list[tuple[str, bool, str]]:
    """Every value that could name somebody, in every zone and every text file, held against the keyed hashes of who was erased; and every file
    read, so that none is left of which nobody knows what it holds."""
    found = look(home, rulebook, Looked(()), last_deletion(home), sealed(home))
    strange = foreign(home, data_files(home, rulebook), _packages(home))
    told = [*_told(found), ("places", not strange, "every file is one that the platform made, in its place" if not strange else
                            f"files that the platform did not make, or that a run at work has not finished: {', '.join(strange)}. Nobody knows what "
                            "stands in them: remove them, or ask again when the run is over")]
    try:
        asked, hits, kept = tombs.search(home, rulebook)
    except engine.Error:  # its text could quote a value
        return [*told, ("tombstones", False, ("a data file is missing or damaged, so its values could not be asked about. See the check of files; "
                                              "restore a backup"))]
    with opened_vault(home, "verify residue") as connection:
        lost = tombstones.missing(connection)
    if lost:
        words = f"{lost} certified erasures have none: they were taken out of the vault, so an old extract would bring back whom they name."
        told.append(("tombstones of the erased", False, f"{words} Restore a backup"))
    by_law = f"; kept for a law (C-10.8): {_places(kept)}" if kept else ""
    return [*told, ("tombstones", not hits, f"{asked:,} values compared; of somebody who was erased: {_places(hits) or 'none'}{by_law}")]


def _places(found: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} in {place}" for place, count in found)


def of_backups(home: Home, day: date | None) -> list[tuple[str, bool, str]]:
    """Each backup is whole, is the file that was made, and lives; with when the last one ends: what was erased is in it until then (C-10.6)."""
    with locked(home, backups.LOCK, "verify residue", exclusive=False):
        wrong, there = backups.wrong(home, day), backups.stock(home).whole
        wrong += [f"{backup.name} is not the file that was made: it was changed" for backup in there
                  if sha256_of(backups.sealed_file(home, backup.name)) != backup.sha256]
    last = max((backup.expires_on for backup in there), default=None)
    told = f"{len(there)} sealed, each with its key; the last one ends on {last.isoformat()}" if last else "none"
    return [("backups", not wrong, "; ".join([told, *wrong]))]


def _told(found: Residue) -> list[tuple[str, bool, str]]:
    formats = ", ".join(f"{count:,} {name}" for name, count in sorted(found.formats.items()))
    return [("files", not found.wrong, f"{found.files:,} files, {found.read:,} bytes read and decoded ({formats})"
             + (f"; {'; '.join(found.wrong)}" if found.wrong else "")),
            ("controls", True, f"{found.controls} planted values, each in a format and place of its own, were seen, and their neighbours were not"),
            ("holders", not found.pending, "; ".join(found.pending) or "no process has a replaced file open"),
            ("beyond", True, CANNOT_KNOW)]
