"""The guard of retention: what would delete most of a dataset waits for a person, and what is due leaves the marts all the same (C-10.4); and the
certificate that every run leaves (C-10.0)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import house
import pytest
from small_market import END, PURPOSES, Market, at, copy_home, new_home, raw, run_retention, shared_town

from pipelines.evidence import ledger
from pipelines.foundation.errors import Misuse, Refused
from pipelines.policy.types import Guard
from pipelines.workflows import publication, retention
from pipelines.workflows.rules import rules
from pipelines.workflows.status import status
from pipelines.workflows.verify import verify


@pytest.fixture
def home(tmp_path):
    """120 lines of the log of which 110 are due on 10 March, and one transaction."""
    home, market = new_home(tmp_path / "home"), Market("g").member("m1").member("m2").sale("t1", "m1", "m2", "2026-01-10")
    for n in range(120):
        market.line("m1", "2026-02-05 12:00" if n < 110 else "2026-03-05 12:00", f"/offre/{n}")
    market.load(home, "2026-03-06")
    return home


def planned(home, day="2026-03-10"):
    made = retention.plan(home, at(day))
    return made["plan"], made["hash"], {(e["dataset"], e["rule"]): e for e in made["datasets"] if e["zone"] == "raw"}


def test_a_plan_that_deletes_most_of_a_dataset_waits_for_a_person(home):
    plan, hashed, entries = planned(home)
    logs = entries["access_logs", "C-10.1"]
    assert (logs["due"], logs["of"], logs["held"]) == (110, 120, 0) and logs["files"] and all(name.endswith(".parquet") for name in logs["files"])
    answer = house.kampeky("retention", "apply", plan, "--home", home.root)
    assert answer.code == 3 and "110 of 120 rows of access_logs" in answer.sentence and f"--confirm {hashed}" in answer.sentence
    assert len(raw(home, "access_logs")) == 120 and len(raw(home, "transactions")) == 1, "nothing was deleted"
    assert status(home, at("2026-03-10"))["overdue"] == at("2026-03-10").isoformat()
    with pytest.raises(Misuse, match="another one"):
        retention.apply(home, Path(plan), confirm="0" * 64)
    assert house.kampeky("retention", "apply", plan, "--confirm", hashed, "--home", home.root).code == 0
    assert len(raw(home, "access_logs")) == 10 and len(raw(home, "transactions")) == 1
    assert status(home, at("2026-03-10"))["overdue"] is None


def test_few_rows_and_half_of_a_dataset_pass_without_one(tmp_path):
    for due, stays, waits in ((100, 0, False), (101, 0, True), (110, 110, False), (110, 109, True)):
        home, market = new_home(tmp_path / f"{due}-{stays}"), Market("g").member("m1")
        for n in range(due + stays):
            market.line("m1", "2026-02-05 12:00" if n < due else "2026-03-05 12:00", f"/offre/{n}")
        market.load(home, "2026-03-06")
        if waits:
            with pytest.raises(Refused, match="waits for a person"):
                run_retention(home, "2026-03-10")
        else:
            run_retention(home, "2026-03-10")
        assert len(raw(home, "access_logs")) == (due + stays if waits else stays)


def test_a_run_that_waits_takes_what_is_due_out_of_the_marts_and_leaves_the_plan_good(tmp_path, tmp_path_factory, monkeypatch):
    home, book = copy_home(shared_town(tmp_path_factory), tmp_path / "home"), rules()
    strict = replace(book, policy=replace(book.policy, guard=Guard(1.0, 0)))
    monkeypatch.setattr(retention, "rules", lambda: strict)
    made = retention.plan(home, at(END))
    taken, subtract = [], publication._subtract
    monkeypatch.setattr(publication, "_subtract", lambda _home, _book, purpose, when: taken.append((purpose.name, when)) or subtract(
        _home, _book, purpose, when))
    with pytest.raises(Refused, match="waits for a person"):
        retention.apply(home, Path(made["plan"]))
    entry = [e for e in ledger.read(home) if e.act == "retention stopped"][-1]
    assert all(told["due"] <= told["of"] for told in entry.facts["datasets"].values()), "a row that goes by two rules is one"
    assert taken == [(purpose, at(END)) for purpose in PURPOSES] and all(home.mart(purpose).exists() for purpose in PURPOSES)
    assert retention.plan(home, at(END))["hash"] == made["hash"], "what a person was shown can be carried out"


def test_each_run_leaves_a_certificate_that_a_change_gives_away(home):
    run_retention(home, "2026-03-06")
    (page,) = (home.evidence / "certificates").glob("*.html")
    (file,) = (home.evidence / "certificates").glob("*.json")
    told = json.loads(file.read_text())
    assert told["left"] == 0 and told["complete"] is True and all(ok for _, ok, _ in told["proof"]) and told["plan"] in page.read_text()
    assert {name for name, _, _ in told["proof"]} >= {"zone raw", "origin of zones/raw/catalog.duckdb", "origin of zones/vault/vault.duckdb"}
    assert next(c for c in verify(home, "ledger", None)["checks"] if c["name"] == "certificates")["ok"]
    file.write_text(file.read_text().replace('"left": 0', '"left": 1'))
    assert file.name in next(c for c in verify(home, "ledger", None)["checks"] if c["name"] == "certificates")["detail"]
    assert not verify(home, "ledger", None)["ok"]
    assert [entry.act for entry in ledger.read(home)][-1] == "retention"
