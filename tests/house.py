"""What several test files build with: rows, files, small homes, and a way to run `kampeky` in this process."""

from __future__ import annotations

import atexit
import csv
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from pipelines.cli.main import main
from pipelines.engines import duckdb_engine as engine
from pipelines.evidence.provenance import made
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.home import Home
from pipelines.ingestion import check
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.ingest import Input
from pipelines.ingestion.ingest import ingest as land_all
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import opened, raw_lake
from pipelines.policy.contract_types import Column, Contract
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.types import Rulebook

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "data_contracts"
REAL_LOG = ROOT.parent / "shared" / "data" / "weblogs" / "apache_combined_2015.log"
AS_OF = "2015-05-20"  # the builders' rows lie in the days before
CARD = "4111111111111111"  # a test number that passes the Luhn check


@cache
def rulebook() -> Rulebook:
    return load_rulebook(RULES)


def rules_with(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of all rules, in one file of which the first `old` reads `new`."""
    rules = Path(shutil.copytree(RULES, folder / "rules"))
    text = (rules / file).read_text()
    assert old in text, f"{file} no longer says: {old}"
    (rules / file).write_text(text.replace(old, new, 1))
    return rules


# --- rows: valid as they come, typed, any column changed by name ---


def member(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "member_id": f"m{number:06}",
        "member_name": f"Vendeur {number}",
        "email": f"vendeur{number}@exemple.fr",
        "registration_channel": "direct",
        "registered_at": _at(2014, 1, 2),
        "age_confirmed": True,
        "birthday": date(1980, 2, 29),
        "friends_count": 12,
        "last_active_on": date(2015, 5, 1),
        "updated_at": _at(2015, 5, 1),
        **changes,
    }


def transaction(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}",
        "buyer_id": "m000001",
        "seller_id": "m000002",
        "item_category": "shoes",
        "price_eur": Decimal("12.50"),
        "status": "paid",
        "started_at": _at(2015, 5, 17),
        "updated_at": _at(2015, 5, 17),
        **changes,
    }


def consent(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "consent_id": f"c{number}",
        "member_id": "m000001",
        "device_id": "d1",
        "kind": "analytics_cookies",
        "decision": "granted",
        "recorded_at": _at(2015, 5, 1),
        "method": "banner_button",
        "policy_version": "2014-2",
        **changes,
    }


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "device_id": "d1",
        "member_id": "m000001",
        "cookie_category": "necessary",
        "occurred_at": _at(2015, 5, 17),
        "event_type": "page_view",
        "page": "/offre/1",
        **changes,
    }


def post(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "post_id": f"p{number}",
        "thread_id": "f1",
        "author_id": "m000001",
        "forum_category": "help",
        "posted_at": _at(2015, 5, 17),
        "body": "Bonjour",
        **changes,
    }


BUILDERS = {"members": member, "transactions": transaction, "consents": consent, "usage_events": event, "forum_posts": post}


def log_line(
    time: str = "17/May/2015:10:05:03 +0000",
    ip: str = "83.149.9.216",
    member: str = "-",
    request: str = "GET /offre/1 HTTP/1.1",
    status: str = "200",
    size: str = "1234",
    referer: str = "-",
    agent: str = "Mozilla/5.0",
) -> str:
    """One line in combined format, without its end."""
    return f'{ip} - {member} [{time}] "{request}" {status} {size} "{referer}" "{agent}"'


def _at(year: int, month: int, day: int, hour: int = 10) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


# --- files ---


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def ndjson(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return lines(
        *(json.dumps({k: float(v) if isinstance(v, Decimal) else v for k, v in row.items()}, default=_text, ensure_ascii=False) for row in rows)
    )


def as_csv(rows: Sequence[Mapping[str, Any]], delimiter: str = ",", end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(names)
    writer.writerows([_text(row.get(name)) for name in names] for row in rows)
    return out.getvalue().encode()


ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DECIMAL(12,2)": pa.decimal128(12, 2),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}


def as_parquet(dataset: str, rows: Sequence[Mapping[str, Any]], **types: pa.DataType) -> bytes:
    """Typed as the contract says, or as `types` says of a column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrow = {c.name: types.get(c.name, ARROW[c.type]) for c in rulebook().contract(dataset).columns}
    out = io.BytesIO()
    parquet.write_table(pa.table({name: pa.array([row.get(name) for row in rows], arrow[name]) for name in names}), out)
    return out.getvalue()


FORMS = {"ndjson": lambda dataset, rows: ndjson(rows), "csv": lambda dataset, rows: as_csv(rows, quoting=csv.QUOTE_ALL), "parquet": as_parquet}


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return out.getvalue().to_pybytes()


COMPRESSIONS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd}


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600 if path.suffix == ".key" else 0o644)
    return path


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


# --- verdicts without a home ---


def declaring(dataset: str, *more: str, **source: Any) -> Contract:
    """The dataset's contract with other words about its sources, and with more optional text columns."""
    contract = rulebook().contract(dataset)
    text = Column(**(vars(contract.column("referer" if dataset == "access_logs" else contract.key[0])) | {"required": False, "primary_key": False}))
    return replace(contract, source=source, columns=(*contract.columns, *(replace(text, name=name) for name in more)))


@dataclass(frozen=True)
class Judged:
    """What became of one row of a file, and its typed values."""

    line: int
    verdict: str
    reason: str | None
    record: Any
    values: dict[str, Any]


@cache
def memory() -> engine.Connection:
    return engine.connect(Path(_folder()), extensions=())


def judged(dataset: str, path: Path, as_of: str = AS_OF, contract: Contract | None = None) -> list[Judged]:
    """Every row of `path` as ingestion would judge it on that day; nothing is stored. Times come as text in Paris."""
    connection, contract = memory(), contract or rulebook().contract(dataset)
    check.check_fields(connection, contract, path)
    check.stage(connection, contract, path)
    check.check_rows(connection, contract, rulebook().policy, date.fromisoformat(as_of))
    names = [c.name for c in contract.columns]
    values = ", ".join(f'"{c.name}"::varchar' if c.type == "TIMESTAMPTZ" else f'"{c.name}"' for c in contract.columns)
    found = connection.execute(
        f"select _line, _verdict, _reason, _record::varchar, {values}, paris_day from {check.CHECKED} order by _line, _verdict"
    )
    return [
        Judged(row[0], row[1], row[2], json.loads(row[3]) if row[3] else None, dict(zip([*names, "paris_day"], row[4:], strict=True)))
        for row in found.fetchall()
    ]


def verdicts(dataset: str, path: Path, as_of: str = AS_OF) -> list[str]:
    """'good', or the verdict with its reason, row by row."""
    return [row.verdict if row.reason is None else f"{row.verdict}: {row.reason}" for row in judged(dataset, path, as_of)]


# --- homes ---


def new_home(folder: Path) -> Path:
    """A fresh home with its raw tables, copied from one that is made once."""
    return Path(shutil.copytree(_template(), folder / "home"))


@cache
def _template() -> Path:
    home = Path(_folder()) / "home"
    assert kampeky("init", "--home", home).code == 0
    empty = put(home.parent / "empty.log", b"")
    assert kampeky("ingest", "access_logs", empty, "--home", home, "--as-of", AS_OF).code == 0
    return home


@cache
def _folder() -> str:
    made = tempfile.mkdtemp(prefix="kampeky-tests-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def ingest(home: Path, *inputs: tuple[str, Path], as_of: str = AS_OF) -> list[Balance]:
    """Ingest (dataset, file) pairs in one run; the balance of each."""
    given = [Input(rulebook().contract(dataset), path) for dataset, path in inputs]
    return [balance for _, balance in land_all(Home(home), rulebook(), given, parse_as_of(as_of))]


def counts(balance: Balance) -> tuple[int, int, int, int, int]:
    """(read, loaded, quarantined, refused, already known)"""
    return balance.read, balance.loaded, balance.quarantined, balance.refused, balance.already_known


def raw(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query over the raw zone: tables are lake.main.<dataset>, lake.quarantine.<dataset>, lake.platform.batches."""
    return queries(home, sql)[0]


def queries(home: Path, *sqls: str) -> list[list[tuple[Any, ...]]]:
    """The rows of each query, over one opening of the raw zone (a quarter of a second)."""
    with opened(raw_lake(Home(home)), "test") as connection:
        return [connection.execute(sql).fetchall() for sql in sqls]


def state(home: Path) -> tuple[int, bytes]:
    """What changes with any write: the raw zone's snapshots, and the ledger."""
    return raw(home, "select count(*) from lake.snapshots()")[0][0], Home(home).ledger.read_bytes()


def everything(home: Path) -> list[tuple[Any, ...]]:
    """Every value of raw zone and quarantine, decoded, as (table, row as JSON text)."""
    with opened(raw_lake(Home(home)), "test") as connection:
        tables = connection.execute("select schema_name, table_name from duckdb_tables() where database_name = 'lake'").fetchall()
        return [
            (f"{schema}.{table}", text)
            for schema, table in tables
            for (text,) in connection.execute(f'select to_json(t)::varchar from lake."{schema}"."{table}" as t').fetchall()
        ]


def make_mart(home: Path, purpose: str, *statements: str) -> Path:
    """A published mart of that purpose with what the statements make, encrypted where the policy has it so; without a build."""
    path, keys = Home(home).mart(purpose), Keyring(Home(home))
    options = f" (encryption_key '{keys.get(mart_key(purpose))}')" if rulebook().policy.purposes[purpose].published == "encrypted" else ""
    connection = engine.connect(Home(home).tmp, extensions=("httpfs",))
    connection.execute(f"attach '{path}' as mart{options}; use mart")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    made(path, whole=True)
    return path


def bytes_below(folder: Path) -> Iterable[tuple[Path, bytes]]:
    return ((path, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file())


# --- the command line ---


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.code != 0, "the command did not fail"
        assert self.out == "", f"a command that failed wrote data: {self.out}"
        assert self.err.count("\n") == 1, f"expected one line: {self.err}"
        assert self.err.startswith("kampeky: ")
        assert "Traceback" not in self.err
        assert "Unexpected failure" not in self.err, self.err
        return self.err.removeprefix("kampeky: ").rstrip("\n")


def kampeky(*words: object) -> Answer:
    """Run one command here. With --debug its exception comes through."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int), f"exit code {code!r}"
    return Answer(code, out.getvalue(), err.getvalue())
