"""What stands in quarantine is looked at again: under mended rules, or as somebody corrected it, and each row counts once all the while."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import house
import pytest
from house import counts, lines, ndjson, put, raw

from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import Misuse, Refused
from pipelines.foundation.home import Home
from pipelines.ingestion.replay import replay
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.workflows import quarantine

AT = parse_as_of(house.AS_OF)


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


def changed(dataset: str, column: str, **values: Any) -> tuple[Rulebook, Contract]:
    """The rules with one column's constraints mended."""
    book = house.rulebook()
    contract = book.contract(dataset)
    mended = replace(contract, columns=tuple(replace(c, **values) if c.name == column else c for c in contract.columns))
    return replace(book, contracts=book.contracts | {dataset: mended}), mended


def again(home: Path, book: Rulebook, *contracts: Contract, **given: Any) -> list[dict[str, Any]]:
    return [vars(done) for done in replay(Home(home), book, contracts, AT, **given)]


def register(home: Path, dataset: str) -> list[tuple]:
    columns = "read, loaded, quarantined, refused, already_known, reasons"
    return raw(home, f"select {columns} from lake.platform.batches where dataset = '{dataset}' order by 1")


def test_rows_that_a_mended_rule_lets_pass_are_loaded_as_rows_of_their_own_batch(home, tmp_path):
    rows = [house.member(1), house.member(2, registration_channel="apple"), house.member(3, email="none"),
            house.member(4, registration_channel="fax")]
    house.ingest(home, ("members", put(tmp_path / "in", ndjson(rows))))
    book, members = changed("members", "registration_channel", allowed=("direct", "apple"))
    assert again(home, book, members) == [
        {"source": "members", "replayed": 3, "loaded": 1, "quarantined": 2, "refused": 0, "already_known": 0}]
    assert raw(home, "select member_id, registration_channel, _line from lake.main.members order by 1") == [
        ("m000001", "direct", 1), ("m000002", "apple", 2)]
    assert raw(home, "select reason, count(*) from lake.quarantine.members group by 1 order by 1") == [
        ("email.pattern", 1), ("registration_channel.allowed", 1)]
    assert [(*row[:5], json.loads(row[5])) for row in register(home, "members")] == [
        (4, 2, 2, 0, 0, {"email.pattern": 1, "registration_channel.allowed": 1})]
    assert again(home, book, members)[0]["loaded"] == 0, "twice is as good as once"
    assert house.kampeky("verify", "ledger", "--home", home).code == 0
    assert house.ingest(home, ("members", put(tmp_path / "in", ndjson(rows))))[0].already_known == 4


def test_of_a_log_lines_that_could_not_be_read_are_read_again(home, tmp_path):
    bad = b'192.0.2.9 caf\xe9 [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1\n'
    path = put(tmp_path / "log", lines(house.log_line(), "junk", house.log_line(ip="192.0.2.8").replace(" - - ", " ")) + bad)
    assert counts(house.ingest(home, ("access_logs", path))[0]) == (4, 1, 3, 0, 0)
    book = house.rulebook()
    assert again(home, book, book.contract("access_logs"))[0]["loaded"] == 0
    mended = replace(book.contract("access_logs"), source={"logFormat": {"pattern": '%h %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'}})
    made = again(home, replace(book, contracts=book.contracts | {"access_logs": mended}), mended)[0]
    assert (made["replayed"], made["loaded"], made["quarantined"]) == (3, 1, 2)
    assert raw(home, "select ip, _line from lake.main.access_logs order by _line") == [("83.149.9.216", 1), ("192.0.2.8", 3)]
    assert raw(home, "select reason from lake.quarantine.access_logs order by 1") == [("line.not_log_format",), ("line.not_utf8",)]


def test_a_newer_state_that_came_meanwhile_is_not_undone(home, tmp_path):
    old = house.member(1, registration_channel="apple", updated_at=house._at(2015, 5, 1))
    house.ingest(home, ("members", put(tmp_path / "1", ndjson([old]))))
    house.ingest(home, ("members", put(tmp_path / "2", ndjson([house.member(1, updated_at=house._at(2015, 5, 2))]))))
    book, members = changed("members", "registration_channel", allowed=("direct", "apple"))
    assert again(home, book, members)[0] == {
        "source": "members", "replayed": 1, "loaded": 0, "quarantined": 0, "refused": 0, "already_known": 1}
    assert raw(home, "select registration_channel from lake.main.members") == [("direct",)]
    assert not raw(home, "select 1 from lake.quarantine.members")


def test_rows_that_are_due_meanwhile_are_refused_and_not_kept(home, tmp_path):
    house.ingest(home, ("transactions", put(tmp_path / "in", ndjson([house.transaction(1, status="nonsense")]))))
    book = house.rulebook()
    [done] = replay(Home(home), book, [book.contract("transactions")], parse_as_of("2016-07-01"))
    assert (done.refused, done.quarantined) == (1, 0)
    assert not raw(home, "select 1 from lake.quarantine.transactions")


# ---------------------------------------------------------------- corrections


@pytest.fixture
def broken(home, tmp_path):
    rows = [house.member(1, email="none"), house.member(2, email="nobody"), house.member(3)]
    house.ingest(home, ("members", put(tmp_path / "in", ndjson(rows) + lines('{"member_id": "m9"'))))
    return home


def written(home: Path, folder: Path, dataset: str = "members") -> list[dict[str, Any]]:
    quarantine.write(Home(home), dataset, folder / "mend.ndjson", AT)
    return [json.loads(line) for line in (folder / "mend.ndjson").read_text().splitlines()]


def test_corrected_rows_are_loaded_and_the_others_stay(broken, tmp_path):
    rows = written(broken, tmp_path)
    assert stat.S_IMODE((tmp_path / "mend.ndjson").stat().st_mode) == 0o600
    assert [row["_reason"] for row in rows] == ["email.pattern", "email.pattern", "line.not_json"]
    rows[0]["email"] = "anna@exemple.fr"
    put(tmp_path / "mend.ndjson", ndjson(rows[:1]))
    [done] = quarantine.replay(Home(broken), "members", AT, corrected=tmp_path / "mend.ndjson")
    assert (done["replayed"], done["loaded"]) == (1, 1)
    assert raw(broken, "select member_id, email from lake.main.members order by 1") == [
        ("m000001", "anna@exemple.fr"), ("m000003", "vendeur3@exemple.fr")]
    assert len(raw(broken, "select 1 from lake.quarantine.members")) == 2
    assert [row[:5] for row in register(broken, "members")] == [(4, 2, 2, 0, 0)]


def test_a_correction_that_is_still_wrong_stays_with_its_new_reason(broken, tmp_path):
    rows = written(broken, tmp_path)
    put(tmp_path / "mend.ndjson", ndjson([rows[0] | {"email": "anna@exemple.fr", "registration_channel": "fax"}]))
    quarantine.replay(Home(broken), "members", AT, corrected=tmp_path / "mend.ndjson")
    assert raw(broken, "select reason from lake.quarantine.members order by 1") == [
        ("email.pattern",), ("line.not_json",), ("registration_channel.allowed",)]


def test_a_line_of_a_log_is_corrected_as_a_line(home, tmp_path):
    house.ingest(home, ("access_logs", put(tmp_path / "log", lines(house.log_line(), "junk"))))
    [row] = written(home, tmp_path, "access_logs")
    put(tmp_path / "mend.ndjson", ndjson([row | {"_text": house.log_line(ip="192.0.2.44")}]))
    [done] = quarantine.replay(Home(home), "access_logs", AT, corrected=tmp_path / "mend.ndjson")
    assert done["loaded"] == 1
    assert raw(home, "select ip, _line from lake.main.access_logs order by 2")[1] == ("192.0.2.44", 2)


@pytest.mark.parametrize(("change", "says"), [
    (lambda row: row | {"_row": "0000:1"}, "line 1 corrects a row that does not stand in quarantine"),
    (lambda row: {k: v for k, v in row.items() if k != "_row"}, "line 1 does not say which row it corrects"),
    (lambda row: row | {"shoe_size": 44}, "shoe_size is named by no contract"),
    (lambda row: row | {"about": {"nested": 1}}, "line 1 is no record")], ids=["another row", "no row", "another field", "a nested value"])
def test_a_file_of_corrections_that_does_not_fit_is_refused_and_changes_nothing(broken, tmp_path, change, says):
    rows = written(broken, tmp_path)
    put(tmp_path / "mend.ndjson", ndjson([change(rows[0] | {"email": "anna@exemple.fr"})]))
    with pytest.raises(Refused, match=says):
        quarantine.replay(Home(broken), "members", AT, corrected=tmp_path / "mend.ndjson")
    assert len(raw(broken, "select 1 from lake.quarantine.members")) == 3


def test_two_corrections_of_one_row_are_refused_and_change_nothing(broken, tmp_path):
    row = written(broken, tmp_path)[0] | {"email": "anna@exemple.fr"}
    put(tmp_path / "mend.ndjson", ndjson([row, row | {"email": "lea@exemple.fr"}]))
    with pytest.raises(Refused, match="corrects a row that another line corrects"):
        quarantine.replay(Home(broken), "members", AT, corrected=tmp_path / "mend.ndjson")
    assert len(raw(broken, "select 1 from lake.quarantine.members")) == 3


def test_a_file_that_is_there_is_not_written_over(broken, tmp_path):
    put(tmp_path / "mend.ndjson", "mine")
    with pytest.raises(Misuse, match="is there already"):
        quarantine.write(Home(broken), "members", tmp_path / "mend.ndjson", AT)
    assert (tmp_path / "mend.ndjson").read_text() == "mine"
