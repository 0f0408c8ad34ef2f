"""Small worlds, written by hand: a few members, what they decided and did, loaded through the product's own ingestion.

A test says who is there and what happened; `load` writes it down as the platform would and lands it. What a home holds afterwards is
read here without the product's rooms: keys come from the key files, tables are opened and decoded as anybody with the keys could.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import io
import json
import logging
import os
import re
import shutil
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.engines.duckdb_engine import Connection, connect, quote_text
from pipelines.foundation.home import Home
from pipelines.policy.contract_types import Holding
from pipelines.pseudonymisation.run import pseudonymise
from pipelines.workflows import requests
from pipelines.workflows.build import build
from pipelines.workflows.ingest import ingest_folder
from pipelines.workflows.init import init
from pipelines.workflows.retention import apply as apply_plan
from pipelines.workflows.retention import plan as make_plan
from pipelines.workflows.risk import treat_build
from pipelines.workflows.rules import rules

PARIS = ZoneInfo("Europe/Paris")
PURPOSES = ("analytics", "advertising")
KIND_OF = {"analytics": "analytics_cookies", "advertising": "targeting_cookies"}
COOKIE_OF = {"analytics": "analytics", "advertising": "targeting"}


def at(text: str) -> datetime:
    """'2026-02-01' (midnight in Paris), '2026-02-01 10:30' (Paris), or a time with its offset."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=PARIS)


def stamp(moment: str | datetime) -> str:
    """How the platform writes a time: RFC 3339 in UTC."""
    found = at(moment) if isinstance(moment, str) else moment
    return found.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def months_later(day: date, months: int) -> date:
    """Calendar months with the day clipped to the month's end, counted day by day from the first of the month."""
    first = day.replace(day=1)
    for _ in range(months):
        first = (first + timedelta(days=32)).replace(day=1)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return min(first + timedelta(days=day.day - 1), last)


@dataclass
class Market:
    """What is to be loaded. Every row has good defaults, so that a test names only what it is about."""

    name: str = ""  # begins the ids it gives out: two markets of one home have two names
    rows: dict[str, list[dict[str, Any] | str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def add(self, dataset: str, **row: Any) -> Market:
        self.rows.setdefault(dataset, []).append({key: value for key, value in row.items() if value is not None})
        return self

    def broken(self, dataset: str, line: str) -> Market:
        """A line that is no record."""
        self.rows.setdefault(dataset, []).append(line)
        return self

    def member(self, member_id: str, **given: Any) -> Market:
        """An adult who registered directly, confirmed their age and was active on 1 February 2026."""
        row = {"member_name": f"name-{member_id}", "email": f"{member_id}@exemple.fr", "registration_channel": "direct", "age_confirmed": True,
               "registered_at": stamp("2025-01-15 12:00"), "last_active_on": "2026-02-01", "updated_at": stamp("2026-02-01")} | given
        return self.add("members", member_id=member_id, **row)

    def consent(self, member: str | None, device: str | None, decision: str, when: str | datetime, kind: str = "analytics_cookies",
                **given: Any) -> Market:
        """A decision by a button of the banner, under the newest policy."""
        row = {"consent_id": f"c{self.name}{next(self._number)}", "method": "banner_button", "policy_version": "2014-2"} | given
        return self.add("consents", member_id=member, device_id=device, kind=kind, decision=decision,
                        recorded_at=stamp(when), **row)

    def event(self, mark: str, member: str | None, device: str, when: str | datetime, cookie: str = "analytics", **given: Any) -> Market:
        """An event whose item category is `mark`, which the zones keep: so a test sees which events passed."""
        row = {"event_id": f"e{self.name}{next(self._number)}", "occurred_at": stamp(when), "event_type": "item_view", "item_category": mark} | given
        return self.add("usage_events", member_id=member, device_id=device, cookie_category=cookie, **row)

    def post(self, post_id: str, author: str | None, thread: str = "thread1", when: str | datetime = "2026-01-10 10:00", **given: Any) -> Market:
        return self.add("forum_posts", **({"post_id": post_id, "thread_id": thread, "author_id": author, "forum_category": "shoes",
                                           "posted_at": stamp(when), "body": "bonjour"} | given))

    def sale(self, transaction_id: str, buyer: str, seller: str, when: str | datetime = "2026-01-10 10:00", **given: Any) -> Market:
        row = {"item_category": "shoes", "price_eur": "12.50", "status": "completed", "started_at": stamp(when), "updated_at": stamp(when)} | given
        return self.add("transactions", transaction_id=transaction_id, buyer_id=buyer, seller_id=seller, **row)

    def line(self, member: str | None, when: str | datetime, path: str = "/offre/1", ip: str = "192.0.2.7",
             agent: str = "Mozilla/5.0 (X11; Linux)", status: int = 200, came_from: str = "-") -> Market:
        """One line of the access log."""
        moment = at(when) if isinstance(when, str) else when
        written = moment.astimezone(PARIS).strftime("%d/%b/%Y:%H:%M:%S %z")
        self.log.append(f'{ip} - {member or "-"} [{written}] "GET {path} HTTP/1.1" {status} 512 "{came_from}" "{agent}"')
        return self

    def load(self, home: Home, as_of: str | datetime, door: bool = True) -> dict[str, dict[str, Any]]:
        """Land everything as of that instant; returns the balance per dataset and forgets what was landed. Without the `door` also what had no
        consent at its time: so that behind it, where a grant may be found missing later, the gate is tried with everything."""
        folder = home.root.with_name(f"{home.root.name}-source")
        for dataset, rows in self.rows.items():
            (folder / dataset).mkdir(parents=True)
            lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
            (folder / dataset / "a.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.log:
            (folder / "access_logs").mkdir(parents=True)
            (folder / "access_logs" / "access.log").write_text("\n".join(self.log) + "\n", encoding="utf-8")
        try:
            with nullcontext() if door else without_the_door(), without_the_second_opinion():
                balances = ingest_folder(home, folder, at(as_of) if isinstance(as_of, str) else as_of)
        finally:
            shutil.rmtree(folder)  # made by this very call
        self.rows.clear()
        self.log.clear()
        return {balance["source"]: balance for balance in balances}


@contextmanager
def built_before_treatment(folder: Path) -> Iterator[dict[str, tuple[Path, str]]]:
    """Purpose → file and key of its marts as their models make them, of each build meanwhile: what a mart of so few may show is treated
    afterwards (test_risk.py)."""
    built: dict[str, tuple[Path, str]] = {}

    def kept(rulebook: Any, purpose: Any, lineage: Any, build_file: Path, build_key: str, tables: Any, tmp: Path) -> Any:
        built[purpose.name] = (Path(shutil.copy(build_file, folder / f"{purpose.name}.duckdb")), build_key)
        return treat_build(rulebook, purpose, lineage, build_file, build_key, tables, tmp)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.workflows.build.treat_build", kept)
        yield built


@contextmanager
def without_the_second_opinion() -> Iterator[None]:
    """Ingestion without Great Expectations, which takes a fifth of a second for a batch of one row (test_quality.py and test_sources.py ask it)."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("ingest", "replay"):
            patch.setattr(f"pipelines.ingestion.{module}.compare", lambda *_, **__: 0)
        yield


@contextmanager
def without_the_door() -> Iterator[None]:
    """Ingestion under contracts that hold everything by contract."""
    book = rules()
    contracts = {name: replace(c, holding=Holding("contract", c.holding.clause, c.holding.origin)) for name, c in book.contracts.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.workflows.ingest.rules", lambda: replace(book, contracts=contracts))
        yield


def new_home(folder: Path) -> Home:
    """A home with its keys, holding nothing."""
    home = Home(folder)
    init(home)
    return home


def copy_home(home: Home, folder: Path) -> Home:
    """The same home at another place: a world that several tests go on from, each on its own."""
    shutil.copytree(home.root, folder)
    return Home(folder)


def fill_zone(home: Home, purpose: str, as_of: str | datetime, rulebook: Any = None, whole: bool = False) -> Any:
    """Gate and pseudonymise, without dbt."""
    book = rulebook or rules()
    return pseudonymise(home, book, book.policy.purpose(purpose), at(as_of) if isinstance(as_of, str) else as_of, whole)


def run_retention(home: Home, day: str) -> dict[str, Any]:
    """Plan and apply as of `day`."""
    return apply_plan(home, Path(make_plan(home, at(day))["plan"]))


# a town of seven: who stays, who left, who fell silent; each direct value begins with the member's own word

BUILT = "2026-01-09 12:00"
END = "2026-04-10"  # the day of the retention run
MINE = ("Salut kqxothername (kqxother-id) ! Écris à kqxother@exemple.fr, appelle le 06 12 34 56 78 ou verse sur "
        "FR76 3000 6000 0112 3456 7890 189. Moi : kqxstay@exemple.fr, kqxstayname.")


def iban(word: str) -> str:
    """A French account number that holds the word, with its check digits (ISO 7064)."""
    account = f"3000600001{word.upper()[:11]:0<11}89"
    return f"FR{98 - int(''.join(str(int(sign, 36)) for sign in account + 'FR00')) % 97:02}{account}"


def person(word: str, **given: Any) -> dict[str, Any]:
    """Every column of a member that names or locates them, filled with `word`."""
    return {"member_id": f"{word}-id", "member_name": f"{word}name", "email": f"{word}@exemple.fr", "first_name": f"{word}first",
            "last_name": f"{word}last", "gender": "other", "picture_url": f"https://img.example/{word}.jpg", "about": f"about {word}",
            "street": f"1 rue {word}", "postcode": f"{word[3:]}75", "city": f"{word}ville", "country": "FR", "account_holder": f"{word}holder",
            "iban": iban(word), "friends_count": 7, "last_active_on": "2026-01-08"} | given


def town(home: Home) -> Home:
    """Load the town, as it was before anybody's time had come, and build analytics and advertising as of BUILT, of the other purposes the zones."""
    market, march, april = Market("a"), Market("b"), Market("c")  # what was there when it was built, and what came later
    days = defaultdict(lambda: market, {"2026-03-11": march, "2026-03-12": march, "2026-04-09": april})
    gone, silent, stay, other = "kqxgone-id", "kqxsilent-id", "kqxstay-id", "kqxother-id"
    leaving, waits, broken = "kqxleaving-id", "kqxwaits-id", "kqxbroken-id"
    for word, given in (
            ("kqxstay", {"about": "=HYPERLINK(1)"}), ("kqxother", {}),
            ("kqxgone", {"deleted_at": stamp("2026-01-10 10:00")}), ("kqxleaving", {"deleted_at": stamp("2026-01-11 00:00")}),
            ("kqxsilent", {"last_active_on": "2020-12-15"}), ("kqxwaits", {"last_active_on": "2021-01-11"}),
            ("kqxbroken", {"deleted_at": stamp("2026-01-10 23:59")})):
        market.member(**person(word, **given))
    for member in (stay, gone, silent, leaving):
        word = member.removesuffix("-id")
        for kind in ("analytics_cookies", "targeting_cookies"):
            market.consent(member, f"{word}-device", "granted", "2025-06-01", kind, user_agent=f"{word}-agent")
        market.consent(member, None, "granted", "2025-12-01", "log_profiling", method="settings_page")
        for cookie in ("analytics", "targeting"):
            market.event(f"{cookie} of 2025", member, f"{word}-device", "2025-12-20 12:00", cookie, page=f"/{word}", user_agent=f"{word}-agent")
        market.line(member, "2026-01-02 12:00", f"/offre/{word}", f"{word}.example", f"{word}-agent")
    # C-10.9 and C-10.1, each on the day it is due and a day later
    for name, member, when in (("13 months", stay, "2025-03-10 12:00"), ("13 months less a day", stay, "2025-03-11 12:00"),
                               ("visitor 13 months", None, "2025-03-10 12:00"), ("visitor 13 months less a day", None, "2025-03-11 12:00"),
                               ("30 days", stay, "2026-03-11 23:59"), ("29 days", stay, "2026-03-12 00:00"), ("late", gone, "2026-04-09 12:00")):
        days[when[:10]].event(name, member, f"{member or 'visitor'}-second-device", when, "necessary", page="/aide", user_agent="agent")
    for member, when in ((stay, "2026-03-11 23:59"), (stay, "2026-03-12 00:00"), (gone, "2026-04-09 12:00"), (None, "2026-03-12 12:00"),
                         (None, "2026-01-02 12:00")):
        days[when[:10]].line(member, when, "/aide", "198.51.100.9")
    for device, when in (("v-old", "2025-03-10 12:00"), ("v-new", "2025-03-11 12:00")):
        market.consent(None, device, "refused", when)
    market.consent(stay, None, "granted", "2024-01-01", "email_marketing", user_agent="older agent")
    market.consent(stay, None, "granted", "2025-12-20", "mailbox_marketing", user_agent="old agent")
    days["2026-03-12"].consent(stay, None, "withdrawn", "2026-03-12 12:00", "email_marketing", user_agent="new agent")
    # a thread with somebody left in it, one that all left, one whose last author has a day to go
    market.post("p1", gone, "mixed", body="a text that stays").post("p2", stay, "mixed", body=MINE).post("p3", silent, "mixed")
    market.post("p4", gone, "left").post("p5", silent, "left").post("p6", gone, "soon").post("p7", leaving, "soon")
    market.post("p8", stay, "formulas", body="+33 est un préfixe").post("p9", None, "mixed", author_deleted=True)
    for n, (buyer, seller, when) in enumerate((
            (gone, stay, "2026-01-05"), (stay, gone, "2026-01-05"), (gone, silent, "2026-01-05"), (stay, other, "2026-01-05"),
            (gone, leaving, "2026-01-05"), (stay, other, "2025-03-10 23:59"), (other, stay, "2025-03-11 00:00"), (stay, leaving, "2026-01-05"),
            (waits, stay, "2026-01-05"), (stay, silent, "2026-01-05"), (broken, stay, "2026-01-05"), (other, waits, "2026-01-05")), 1):
        market.sale(f"s{n}", buyer, seller, when, offer_id=f"offer{n}", card_last4="4242")
    market.post("q1", stay, "bad", posted_at="yesterday")
    market.load(home, BUILT)
    build(home, at(BUILT), PURPOSES)
    for purpose in set(rules().policy.built) - set(PURPOSES):  # zones as any other, and their models are tested in test_marts_people.py
        fill_zone(home, purpose, BUILT)
    for member, purpose in ((gone, "analytics"), (other, "advertising")):
        requests.open_request(home, "objection", member, purpose, at("2026-01-09 13:00"))
    market.post("q2", stay, "bad", posted_at="yesterday").load(home, "2026-03-11")  # quarantined 30 days before END
    march.post("q3", stay, "bad", posted_at="yesterday").post("q4", gone, "bad", posted_at="yesterday")
    march.sale("q5", gone, stay, status="nonsense").event("q6", stay, "d", "2026-03-01 12:00", event_type="nonsense", user_agent="kqxquarantined")
    march.line(stay, "2026-03-11 12:00", "/q7", "x" * 300).line(stay, "2026-03-12 12:00", "/q8", "x" * 300)
    march.broken("forum_posts", '{"post_id": "q9", "author_id": "kqxbroken-id", "body": "the end is missing"').load(home, "2026-03-12")
    april.load(home, "2026-04-09")
    return home


SAID = "said.txt"  # beside the town's home: what was logged and printed while it was built


def shared_town(folders: Any) -> Home:
    """The town, built once per run of pytest, by whichever of its processes comes first; whoever changes it takes a copy."""
    base = folders.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "the-town"
    folder.mkdir(exist_ok=True)
    home = Home(folder / "home")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / SAID).exists():
            (folder / SAID).write_text(_aloud(lambda: town(new_home(home.root))))
    return home


def _aloud(act: Callable[[], object]) -> str:
    """What is logged and printed meanwhile."""
    heard, logger = io.StringIO(), logging.getLogger("kampeky")
    handler, level = logging.StreamHandler(heard), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(heard), redirect_stderr(heard):
            act()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return heard.getvalue()


# what a home holds, read with nothing but its keys


def key(home: Home, name: str) -> str:
    return (home.keys / f"{name}.key").read_text().strip()


_SPILL = TemporaryDirectory(prefix="small-market-")  # removed when the process ends


@cache
def _reader() -> Connection:
    """One connection for all reading: loading DuckDB's extensions anew takes longer than any query here."""
    return connect(Path(_SPILL.name))


def _key_of(name: str) -> str:
    kind, _, of = name.partition("/")
    return {"raw": "raw", "pseudonymised": f"zone_{of}", "archive": f"archive_{of}"}[kind]


@contextmanager
def lake(home: Home, name: str) -> Iterator[Connection]:
    """The lake `raw`, `pseudonymised/<purpose>` or `archive/<rule>`, attached read-only as `lake`."""
    secret = key(home, _key_of(name))
    folder, connection = home.root / "zones" / name, _reader()
    connection.execute(f"attach {quote_text(f'ducklake:{folder}/catalog.duckdb')} as lake (read_only, data_path {quote_text(f'{folder}/data/')}, "
                       f"override_data_path true, meta_encryption_key {quote_text(secret)})")
    try:
        yield connection
    finally:
        connection.execute("detach lake")


@contextmanager
def database(path: Path, secret: str | None) -> Iterator[Connection]:
    """A DuckDB file, attached read-only as `db`."""
    connection = _reader()
    connection.execute(f"attach {quote_text(str(path))} as db (read_only{f', encryption_key {quote_text(secret)}' if secret else ''})")
    try:
        yield connection
    finally:
        connection.execute("detach db")


def query(home: Home, name: str, sql: str, *values: Any) -> list[tuple]:
    """Rows of a query over a lake; tables are `lake.main.<dataset>`."""
    with lake(home, name) as connection:
        return connection.execute(sql, list(values)).fetchall()


def raw(home: Home, dataset: str, columns: str = "*", schema: str = "main") -> list[tuple]:
    return query(home, "raw", f"select {columns} from lake.{schema}.{dataset} order by all")


def zone(home: Home, purpose: str, dataset: str, columns: str = "*") -> list[tuple]:
    return query(home, f"pseudonymised/{purpose}", f"select {columns} from lake.main.{dataset} order by all")


def zone_hash(home: Home, purpose: str) -> dict[str, tuple]:
    """Table of the purpose's zone, and what it says of its subjects → number of rows, and one digest over all of them, whatever their order."""
    with lake(home, f"pseudonymised/{purpose}") as connection:
        tables = connection.execute("select schema_name || '.' || table_name from duckdb_tables() where database_name = 'lake' "
                                    "and (schema_name = 'main' or table_name = 'subjects') order by 1").fetchall()
        return {name: connection.execute(f"select count(*), sum(hash(t::varchar)) from lake.{name} as t").fetchall()[0] for (name,) in tables}


def marks(home: Home, purpose: str) -> set[str]:
    """Which events stand in the purpose's zone, by their marks."""
    return {mark for (mark,) in zone(home, purpose, "usage_events", "item_category")}


def vault(home: Home, sql: str, *values: Any) -> list[tuple]:
    """Rows of a query over the vault; tables are `db.<table>`."""
    with database(home.root / "zones" / "vault" / "vault.duckdb", key(home, "vault")) as connection:
        return connection.execute(sql, list(values)).fetchall()


def pseudonyms(home: Home, purpose: str) -> dict[str, uuid.UUID]:
    """Member → pseudonym, computed with the standard library from the purpose's secret and the members' salts."""
    secret = hmac.digest(bytes.fromhex(key(home, f"domain_{purpose}")), b"pseudonyms", "sha256")
    return {member: uuid.UUID(bytes=hmac.digest(secret, salt + member.encode(), "sha256")[:16])
            for member, salt in vault(home, "select member_id, salt from db.subjects")}


def device_key(home: Home, purpose: str, device: str, member: str | None = None) -> uuid.UUID:
    """The pseudonym of a device in the hands of that member, or of the visitor on it."""
    secret = hmac.digest(bytes.fromhex(key(home, f"domain_{purpose}")), b"pseudonyms", "sha256")
    if member is None:
        ((salt,),) = vault(home, "select salt from db.visitors where device_id = ?", device)
        return uuid.UUID(bytes=hmac.digest(secret, salt + f"visitor:{device}".encode(), "sha256")[:16])
    ((salt,),) = vault(home, "select salt from db.subjects where member_id = ?", member)
    return uuid.UUID(bytes=hmac.digest(secret, salt + f"device:{member}:{device}".encode(), "sha256")[:16])


def members_in(home: Home, purpose: str) -> set[str]:
    """Which members stand in the purpose's zone, by their recomputed pseudonyms; a row that is nobody's is named by its pseudonym."""
    names = {value: member for member, value in pseudonyms(home, purpose).items()}
    return {names.get(value, str(value)) for (value,) in zone(home, purpose, "members", "pseudonym")}


@dataclass(frozen=True)
class Content:
    """Everything that can be read in one place of a home: a file's text, or every value of one table or data file."""

    place: str
    kind: str  # file, table, data
    text: str


# keys of files and ids, drawn at random
DRAWN = re.compile(r"[A-Za-z0-9+/]{43}=|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def undrawn(text: str) -> str:
    """Without what was drawn at random, in which three letters or four digits stand by chance."""
    return DRAWN.sub("", text)


def contents(home: Home) -> list[Content]:
    """Everything on disk under a home, decoded with its keys. A file that no rule here can open fails the test that asks."""
    found: list[Content] = []
    for path in sorted(p for p in home.root.rglob("*") if p.is_file()):
        inside = path.relative_to(home.root)
        if inside.parts[0] == "zones" and path.suffix == ".parquet":
            continue  # read through its catalog, below
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as package:
                found += [Content(f"{inside}!{name}", "file", package.read(name).decode()) for name in package.namelist()]
        elif path.suffix == ".duckdb" and inside.parts[0] == "marts":
            secret = key(home, f"mart_{path.stem}") if rules().policy.purposes[path.stem].published == "encrypted" else None
            found += _tables(path, secret, str(inside))
        elif path.name == "vault.duckdb":
            found += _tables(path, key(home, "vault"), str(inside))
        elif inside.parts[:2] == ("zones", "frozen"):
            found += _tables(path, None, str(inside))
        elif path.parent.name == "published":
            found += _tables(path, key(home, f"zone_{path.parts[-3]}"), str(inside))
        elif path.name == "catalog.duckdb":
            found += _lake(home, path)
        else:
            found.append(Content(str(inside), "file", path.read_text(encoding="utf-8")))
    return found


def _tables(path: Path, secret: str | None, place: str) -> list[Content]:
    with database(path, secret) as connection:
        names = connection.execute("select schema_name, table_name from duckdb_tables() where database_name = 'db'").fetchall()
        return [Content(f"{place}/{schema}.{table}", "table", _all_values(connection, f'db."{schema}"."{table}"')) for schema, table in names]


def _lake(home: Home, catalog: Path) -> list[Content]:
    """The catalog's own tables (they hold column minima and maxima), and each data file on disk, whether the catalog knows it or not."""
    name = str(catalog.parent.relative_to(home.root / "zones"))
    secret = key(home, _key_of(name))
    found = _tables(catalog, secret, f"zones/{name}/catalog.duckdb")
    with database(catalog, secret) as connection:
        keys = dict(connection.execute("select parse_filename(path), encryption_key from db.ducklake_data_file "
                                       "union all select parse_filename(path), encryption_key from db.ducklake_delete_file").fetchall())
        for path in sorted(catalog.parent.rglob("*.parquet")):
            inside = f"zones/{name}/{path.relative_to(catalog.parent)}"
            assert path.name in keys, f"{inside} is known to no catalog: nobody will ever delete it"
            source = f"read_parquet({quote_text(str(path))}, encryption_config = {{footer_key_value: from_base64({quote_text(keys[path.name])})}})"
            found.append(Content(inside, "data", _all_values(connection, source)))
    return found


def _all_values(connection: Connection, source: str) -> str:
    return "\n".join(str(value) for row in connection.execute(f"select * from {source}").fetchall() for value in row)


def where_found(home: Home, needles: dict[str, str]) -> dict[str, set[str]]:
    """Needle's name → the places of the home that hold its value, in any case of letters."""
    found: dict[str, set[str]] = {name: set() for name in needles}
    for content in contents(home):
        text = content.text.lower()
        for name, value in needles.items():
            if value.lower() in text:
                found[name].add(content.place)
    return found


def fingerprint(home: Home) -> str:
    """One digest over names and bytes of every file of a home but the locks, which name their last holder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in home.root.rglob("*") if p.is_file() and "locks" not in p.parts):
        digest.update(str(path.relative_to(home.root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
