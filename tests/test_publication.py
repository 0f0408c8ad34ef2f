"""What is published is whole at every moment; a build that fails keeps nobody in (C-10.4, C-11.8); days that are over stay as they were (C-10.7)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import house
import pytest
from small_market import Market, at, contents, copy_home, database, key, new_home, pseudonyms
from small_project import PROFILES, small_project

from pipelines.engines.duckdb_engine import connect, quote_text
from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Refused, Unavailable
from pipelines.foundation.home import Home
from pipelines.lake.extracts import listed
from pipelines.transformation.dbt_build import BuildFailed, BuildResult
from pipelines.transformation.memory import publications
from pipelines.transformation.publish import History, publish
from pipelines.workflows import requests
from pipelines.workflows.build import build
from pipelines.workflows.retention import apply as apply_plan
from pipelines.workflows.retention import plan as make_plan
from pipelines.workflows.rules import rules
from pipelines.workflows.sql import sql, write

BUILT, FAILED = "2026-02-01 12:00", "2026-02-05 12:00"
WITHDREW, OBJECTED, LATE, LEFT = "m3", "m4", "m5", "m6"  # LATE: has log lines that are due by FAILED, and others that are not
YOUNG, OLD = [f"m{n}" for n in range(30)], [f"m{n}" for n in range(30, 41)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAMPEKY_PROJECT", str(small_project(tmp_path_factory.mktemp("project") / "checkout")))
        yield Path(os.environ["KAMPEKY_PROJECT"])


@pytest.fixture(scope="module")
def built(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Forty-one members in two groups, published; afterwards one withdrew, one objected and one deleted the account."""
    home, market = new_home(tmp_path_factory.mktemp("publication") / "home"), Market("a")
    for member in YOUNG + OLD:
        market.member(member, gender="female", birthday="1995-05-05" if member in YOUNG else "1950-05-05")
        market.consent(member, f"{member}-device", "granted", "2026-01-01")
        market.consent(member, None, "granted", "2026-01-01", "log_profiling", method="settings_page")
        market.event("shoes", member, f"{member}-device", "2026-01-20 10:00").line(member, "2026-01-25 10:00")
    market.line(LATE, "2026-01-05 10:00")
    market.load(home, BUILT)
    build(home, at(BUILT), ["analytics"])
    later = Market("b")
    later.consent(WITHDREW, None, "withdrawn", "2026-02-02", "log_profiling", method="settings_page")
    later.member(LEFT, gender="female", birthday="1995-05-05", deleted_at="2026-02-03T10:00:00Z", updated_at="2026-02-03T10:00:00Z")
    later.load(home, "2026-02-04")
    requests.open_request(home, "objection", OBJECTED, "analytics", at("2026-02-03"))
    return home


@pytest.fixture
def home(built: Home, tmp_path: Path) -> Home:
    return copy_home(built, tmp_path / "home")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds fail as they begin: which way they fail is no matter for what is owed afterwards, and this one is quick."""
    monkeypatch.setattr("pipelines.workflows.build.refuse_undeclared", broken_off)


def broken_off(*_args: object) -> None:
    raise BuildFailed("Broken off.", BuildResult(0, 0, 0))


@pytest.fixture
def broken_model(project: Path) -> Iterator[Path]:
    """A model that cannot be built, for the time of one test."""
    model = project / "dbt_project" / "models" / "analytics" / "marts" / "profiles.sql"
    model.write_text(PROFILES.replace("m.gender,", "m.no_such_column,", 1))
    yield model
    model.write_text(PROFILES)


def members(home: Home, mart: str, purpose: str = "analytics") -> set[str]:
    """Who stands in a published mart, by the pseudonyms that the vault's salts give."""
    names = {value: member for member, value in pseudonyms(home, purpose).items()}
    with database(home.mart(purpose), None) as connection:
        return {names[value] for (value,) in connection.execute(f"select pseudonym from db.{mart}").fetchall()}


def fail(home: Home, when: str = FAILED) -> str:
    with pytest.raises(BuildFailed) as failed:
        build(home, at(when), ["analytics"])
    assert failed.value.exit_code == 1
    return str(failed.value)


def said(home: Home) -> dict:
    entry = ledger.read(home)[-1]
    assert entry.act == "build failed"
    return entry.facts


def test_a_publication_remembers_whose_row_stands_where_and_says_nothing_of_it_to_readers(home):
    assert members(home, "profiles") == members(home, "visits") == {*YOUNG, *OLD}
    (memory,) = publications(home, "analytics")
    with database(home.mart("analytics"), None) as mart:
        assert mart.execute("select publication, subtracted_on from db._build").fetchall() == [(memory.publication, None)]
        shown = [row[0] for row in mart.execute("select column_name from duckdb_columns() where database_name = 'db'").fetchall()]
        assert "ends_on" not in shown and "requests" in shown
    with database(memory.file, key(home, "zone_analytics")) as kept:
        assert kept.execute("select mart, count(*), min(ends_on)::varchar from db.rows group by 1 order by 1").fetchall() == [
            ("profiles", 41, None), ("visits", 41, "2026-02-04")]
        assert kept.execute("select count(distinct pseudonym) from db.grants where grant_key = 'member'").fetchone() == (41,)
        assert json.loads(kept.execute("select about from db.marts where mart = 'profiles'").fetchone()[0])["quasi"] == ["gender", "age_band"]
    assert memory.file.stat().st_mode & 0o777 == 0o600
    assert house.kampeky("contracts", "check", "--home", home.root).code == 0


def test_a_build_that_fails_takes_out_who_is_out_and_what_is_due_and_leaves_everybody_else(home, broken_model):
    words = fail(home)
    stay = {*YOUNG, *OLD} - {WITHDREW, OBJECTED, LEFT}
    assert members(home, "profiles") == stay
    assert members(home, "visits") == stay - {LATE}, "a row goes with the first of the days that it was built from"
    assert "What is published of analytics stays, without the 7 rows" in words
    named = home.build("analytics") / "target" / "compiled"
    assert f"The SQL of each stands in {named}" in words and list(named.rglob("profiles.sql")), "what the message names is there to be looked at"
    assert [path.name for path in home.build("analytics").iterdir()] == ["target"], "and nothing else of the build"
    assert {name: said(home)[name] for name in ("published", "error", "marts", "taken_out", "suppressed")} == {
        "published": True, "error": "BuildFailed", "marts": {"profiles": 38, "visits": 37}, "taken_out": {"profiles": 3, "visits": 4},
        "suppressed": {"profiles": 0, "visits": 0}}
    names = pseudonyms(home, "analytics")
    for member in (WITHDREW, OBJECTED, LEFT):
        found = {c.place for c in contents(home) if str(names[member]) in c.text}
        assert not any(place.startswith(("marts", "zones/pseudonymised/analytics/published")) for place in found), member
    with database(home.mart("analytics"), None) as mart:
        assert mart.execute("select subtracted_on, smallest_class from db._build").fetchall() == [("2026-02-05", 11)]
        comments = mart.execute("select comment from duckdb_columns() where database_name = 'db' and table_name = 'visits'").fetchall()
        assert comments and all(row[0] for row in comments)


def test_what_a_failed_build_left_is_what_the_next_one_starts_from(home, broken):
    fail(home)
    published = home.mart("analytics").read_bytes()
    fail(home)
    assert home.mart("analytics").read_bytes() == published and set(said(home)["taken_out"].values()) == {0}, "nothing more had to go"
    Market("c").consent("m7", None, "withdrawn", "2026-02-06", "log_profiling", method="settings_page").load(home, "2026-02-07")
    fail(home, "2026-02-07 12:00")
    assert "m7" not in members(home, "profiles") | members(home, "visits") and "m8" in members(home, "visits")
    assert len(publications(home, "analytics")) == 1


def test_a_group_that_became_too_small_is_not_shown(home, broken):
    market = Market("c")
    for member in OLD[:2]:
        market.consent(member, None, "withdrawn", "2026-02-04", "log_profiling", method="settings_page")
    market.load(home, "2026-02-05")
    fail(home)
    with database(home.mart("analytics"), None) as mart:
        assert mart.execute("select count(*) from db.profiles where age_band = '65+'").fetchone() == (0,), "nine would be fewer than k"
        assert mart.execute("select min(n) from (select count(*) as n from db.profiles group by gender, age_band)").fetchone()[0] >= 10
    assert members(home, "profiles") >= set(YOUNG) - {WITHDREW, OBJECTED, LEFT}


def test_a_build_that_a_rule_refuses_keeps_nobody_in_either(home, monkeypatch):
    def refuse(*_):
        raise Refused("Not this one.", "C-3.3a")

    monkeypatch.setattr("pipelines.workflows.build.proved", refuse)
    with pytest.raises(Refused, match=r"Not this one\..*stays, without the 7 rows"):
        build(home, at(FAILED), ["analytics"])
    assert WITHDREW not in members(home, "profiles") and "m0" in members(home, "profiles")


def unpublished(home: Home, words: str) -> None:
    answer = house.kampeky("build", "--purpose", "analytics", "--home", home.root, "--as-of", "2026-02-05T12:00:00+01:00")
    sentence = answer.err.splitlines()[-1]
    assert answer.code == 3 and words in sentence and "unpublished until a build succeeds" in sentence and "Unexpected" not in sentence
    assert not home.mart("analytics").exists() and not publications(home, "analytics")
    assert list(home.mart("analytics").parent.iterdir()) == []
    assert said(home)["published"] is False and "second_error" in said(home)


@pytest.mark.parametrize("what", ["_suppress", "disagreeing", "put_in_place"])
def test_if_that_fails_too_the_mart_is_unpublished_and_the_command_is_refused(home, broken, monkeypatch, what):
    def no(*_args, **_named):
        raise KampekyError("no") if what != "put_in_place" else OSError(28, "No space left on device")

    monkeypatch.setattr(f"pipelines.transformation.{'publish' if what == 'put_in_place' else 'subtract'}.{what}", no)
    unpublished(home, "could not be taken out of the published mart of analytics")


def test_under_rules_that_cannot_be_read_nothing_stays_and_a_person_in_a_role_takes_nothing_away(home, monkeypatch, tmp_path):
    def unreadable():
        raise Refused("policy.yaml: 'colour' is unknown.", "policy.yaml")

    monkeypatch.setattr("pipelines.workflows.build.rules", unreadable)
    (tmp_path / "role").write_text(json.dumps({"role": "engineer", "keys": {}}))
    (tmp_path / "role").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAMPEKY_ROLE_FILE", str(tmp_path / "role"))
        with pytest.raises(Refused):
            build(home, at(FAILED))
    assert home.mart("analytics").exists()
    with pytest.raises(Refused, match=r"'colour' is unknown.*so what was published of analytics is unpublished") as refused:
        build(home, at(FAILED))
    assert refused.value.exit_code == 3 and not home.mart("analytics").exists() and publications(home, "analytics") == []
    assert said(home) == {"purposes": ["analytics"], "error": "Refused", "published": False}


def test_a_build_of_which_nobody_passes_the_gate_empties_the_mart_and_asks_whether_that_is_the_day(home):
    words = "of 41 members nobody passes the gate as of 2040-01-01, so its marts are empty. Is that the day? Another one: --as-of DAY"
    there = house.kampeky("build", "--purpose", "analytics", "--home", home.root, "--as-of", "2026-02-05")
    assert there.code == 0 and "nobody passes the gate" not in there.err and members(home, "profiles")
    empty = house.kampeky("build", "--purpose", "analytics", "--home", home.root, "--as-of", "2040-01-01")
    assert empty.code == 0 and words in empty.err and not members(home, "profiles") | members(home, "visits")


def test_no_model_runs_over_anybodys_rows_before_its_state_is_proved(home, monkeypatch):
    def unproved(*_args):
        raise Refused("Not proved.", "C-3.3b")

    monkeypatch.setattr("pipelines.workflows.build.ensure_proved", unproved)
    monkeypatch.setattr("pipelines.transformation.dbt_build.build_models", lambda *_, **__: pytest.fail("a model ran"))
    with pytest.raises(Refused, match=r"Not proved"):
        build(home, at(FAILED), ["analytics"])
    stay = {*YOUNG, *OLD} - {WITHDREW, OBJECTED, LEFT}
    assert members(home, "profiles") == stay, "and whoever has to be out is out all the same"


def test_a_template_that_acts_never_runs_over_anybodys_rows_even_where_its_state_is_called_proved(home, broken_model, monkeypatch, tmp_path):
    broken_model.write_text(f"{{% set x = run_query(\"copy zone.main.members to '{tmp_path}/out.csv'\") %}}\n{PROFILES}")
    monkeypatch.setattr("pipelines.workflows.build.ensure_proved", lambda *_: None)
    with pytest.raises(Refused, match=r"its template uses run_query"):
        build(home, at(FAILED), ["analytics"])
    assert not (tmp_path / "out.csv").exists()


def test_a_purpose_that_fails_holds_up_no_other_one(home, monkeypatch):
    tried = []

    def one(_home, _rules, purpose, _as_of, _begin_history):
        tried.append(purpose.name)
        raise Refused("No.", "C-1") if purpose.name == "improvement" else ValueError("a row")

    monkeypatch.setattr("pipelines.workflows.build._build_one", one)
    with pytest.raises(KampekyError, match=re.escape("A part failed (ValueError). No. [C-1]")) as failed:
        build(home, at(FAILED))
    assert tried == [*rules().policy.built] and len(tried) > 1 and failed.value.exit_code == 3
    with pytest.raises(ValueError, match="a row"):
        build(home, at(FAILED), ["analytics"])


def test_a_mart_of_which_nothing_is_remembered_is_unpublished(home, broken):
    publications(home, "analytics")[0].file.unlink()
    unpublished(home, "nothing is remembered of it")


def test_a_mart_that_somebody_changed_is_unpublished(home, broken):
    connection = connect(home.tmp, extensions=())
    connection.execute(f"attach {quote_text(str(home.mart('analytics')))} as mart; delete from mart.profiles where rowid = 1; detach mart")
    connection.close()
    unpublished(home, "rows of profiles are not those that are remembered")


def test_where_nobody_can_be_judged_nothing_stays(home, broken):
    (home.keys / "raw.key").rename(home.root / "away.key")
    unpublished(home, "'raw'")


@pytest.mark.parametrize(("zone", "remedy"), [("raw", "from a backup\\."), ("pseudonymised/analytics", "or remove .*: a build makes it anew")])
def test_a_zone_whose_catalog_is_gone_is_not_begun_anew_beside_its_files(home, zone, remedy):
    lake = home.lake(zone)
    before = sorted(lake.rglob("*.parquet"))
    (lake / "catalog.duckdb").unlink()
    with pytest.raises(KampekyError, match=f"The catalog of the {zone} zone is gone .*, and its data files are there.*{remedy}"):
        build(home, at(FAILED), ["analytics"])
    if zone == "raw":
        with pytest.raises(Unavailable, match=r"catalog of the raw zone is gone"):
            Market("c").member("m0").load(home, FAILED)
    assert before and sorted(lake.rglob("*.parquet")) == before and not (lake / "catalog.duckdb").exists()


def test_a_damaged_file_is_called_damaged_and_one_in_use_is_called_in_use(home):
    mart = home.mart("analytics")
    whole = mart.read_bytes()
    mart.write_bytes(whole[:12288] + bytes(byte ^ 255 for byte in whole[12288:12400]) + whole[12400:])
    answer = house.kampeky("sql", "analytics", "select min(events) from profiles", "--home", home.root)
    assert answer.code != 0 and "damaged" in answer.sentence and "another program" not in answer.sentence
    mart.write_bytes(whole)
    with connect(home.tmp) as other:
        other.execute(f"attach {quote_text(str(mart))} as held")
        done = subprocess.run([sys.executable, "-m", "pipelines.cli.main", "sql", "analytics", "from profiles", "--home", str(home.root)],
                              capture_output=True, text=True, cwd=house.ROOT)
    assert done.returncode == 1 and "is open in another program" in done.stderr


def test_a_damaged_mart_is_replaced_by_a_good_build(home):
    home.mart("analytics").write_bytes(b"no mart")
    build(home, at(FAILED), ["analytics"])
    assert members(home, "profiles") == {*YOUNG, *OLD} - {OBJECTED, LEFT} and len(publications(home, "analytics")) == 1


def test_a_build_that_never_published_says_so_and_ends_as_it_failed(home, broken):
    home.mart("analytics").unlink()
    assert "There is no published mart of analytics until a build succeeds" in fail(home)
    assert said(home)["published"] is False


KILLED = """
import os, sys
from pathlib import Path
from datetime import datetime
sys.path.insert(0, ".")
from test_publication import broken_off
from pipelines.workflows import build as broken
from pipelines.foundation.home import Home
from pipelines.transformation import {module} as module
from pipelines.workflows.build import build
{broken}
module.{function} = lambda *_args, **_named: os._exit(9)
build(Home(Path(sys.argv[1])), datetime.fromisoformat("2026-02-05T12:00:00+01:00"), ["analytics"])
"""


MOMENTS = [("publish", "put_in_place", True), *(pytest.param(*moment, marks=pytest.mark.long) for moment in (
    ("publish", "put_in_place", False), ("publish", "write_build_row", True), ("publish", "write_build_row", False), ("memory", "forget", True),
    ("memory", "forget", False), ("memory", "begin", True), ("memory", "begin", False)))]


@pytest.mark.parametrize(("module", "function", "fails"), MOMENTS)
def test_a_kill_at_any_moment_leaves_a_whole_mart_and_the_next_build_goes_on(home, project, request, module, function, fails):
    before = home.mart("analytics").read_bytes()
    module = "subtract" if function == "write_build_row" and fails else module
    program = KILLED.format(module=module, function=function, broken="broken.refuse_undeclared = broken_off" if fails else "")
    done = subprocess.run([sys.executable, "-c", program, str(home.root)], capture_output=True, text=True, cwd=house.ROOT / "tests")
    assert done.returncode == 9, done.stderr
    if function != "forget":
        assert home.mart("analytics").read_bytes() == before
    assert members(home, "profiles") and members(home, "visits")
    if fails:
        request.getfixturevalue("broken")
        fail(home)
    else:
        build(home, at(FAILED), ["analytics"])
    assert members(home, "profiles") == {*YOUNG, *OLD} - ({WITHDREW, OBJECTED, LEFT} if fails else {OBJECTED, LEFT})
    assert len(publications(home, "analytics")) == 1 and [p.name for p in home.mart("analytics").parent.iterdir()] == ["analytics.duckdb"]


# --- extracts follow the marts they were made from ---


def extract(home: Home, name: str, query: str) -> None:
    write(home, "analytics", query, name, "csv", at(BUILT))


def whose(home: Home, *wanted: str) -> str:
    names = pseudonyms(home, "analytics")
    return f"pseudonym in ({', '.join(quote_text(str(names[member])) for member in wanted)})"


@pytest.mark.parametrize("fails", [True, False])
def test_an_extract_goes_whole_with_the_first_member_that_is_lost_or_row_that_is_due(home, project, fails, request):
    if fails:
        request.getfixturevalue("broken")
    extract(home, "withdrew.csv", f"select pseudonym, events from profiles where {whose(home, WITHDREW, 'm0')}")
    extract(home, "objected.csv", f"select events from profiles where {whose(home, OBJECTED)}")
    extract(home, "due.csv", f"select requests from visits where {whose(home, LATE, 'm0')}")
    extract(home, "profile-of-due.csv", f"select events from profiles where {whose(home, LATE, 'm0')}")
    extract(home, "stays.csv", f"select requests from visits where {whose(home, 'm0', 'm1')}")
    extract(home, "everybody.csv", "select count(*) from (from profiles)")
    if fails:
        fail(home)
    else:
        build(home, at(FAILED), ["analytics"])
    assert [(e.name, e.ends_on.isoformat()) for e in listed(home)] == [("profile-of-due.csv", "2026-02-08"), ("stays.csv", "2026-02-08")]
    assert ledger.read(home)[-1].facts["extracts_removed"] == 4


def test_an_extract_of_rows_that_end_sooner_ends_with_them(home):
    Market("c").line("m9", "2026-02-06 10:00").load(home, "2026-02-06 12:00")
    build(home, at("2026-02-06 12:00"), ["analytics"])
    write(home, "analytics", f"select requests from visits where {whose(home, 'm9')}", "soon.csv", "csv", at("2026-02-20"))
    due = {day: sum(row["due"] for row in make_plan(home, at(day))["datasets"] if row["zone"] == "extracts") for day in ("2026-02-23", "2026-02-24")}
    assert due == {"2026-02-23": 0, "2026-02-24": 1}, "the line of 25 January is due on 24 February, three days before seven are over"
    build(home, at("2026-02-21"), ["analytics"])
    assert [(e.name, e.ends_on.isoformat()) for e in listed(home)] == [("soon.csv", "2026-02-24")], "what is known is not lost with the old mart"


def test_with_an_unpublished_mart_its_extracts_go(home, broken):
    extract(home, "mine.csv", f"select events from profiles where {whose(home, 'm0')}")
    publications(home, "analytics")[0].file.unlink()
    unpublished(home, "nothing is remembered of it")
    assert not list(home.extracts.iterdir())


@pytest.mark.parametrize("what", ["killed", "damaged", "cut"])
def test_an_extract_of_which_nobody_can_say_who_was_lost_since_goes_with_the_next_build(home, project, what, monkeypatch):
    extract(home, "before.csv", f"select pseudonym from profiles where {whose(home, OBJECTED, 'm0')}")
    if what == "killed":  # after the marts were published, and before extracts were held against them
        program = KILLED.format(module="memory", function="no", broken="broken.succeed = lambda *_: os._exit(9)")
        done = subprocess.run([sys.executable, "-c", program, str(home.root)], capture_output=True, text=True, cwd=house.ROOT / "tests")
        assert done.returncode == 9, done.stderr
        assert OBJECTED not in members(home, "profiles") and [e.name for e in listed(home)] == ["before.csv"]
        extract(home, "after.csv", f"select pseudonym from profiles where {whose(home, 'm0')}")
    else:
        memory = publications(home, "analytics")[0].file
        memory.write_bytes(b"" if what == "damaged" else memory.read_bytes()[:8192])
    build(home, at(FAILED), ["analytics"])
    assert OBJECTED not in members(home, "profiles") and "m0" in members(home, "profiles")
    assert [e.name for e in listed(home)] == (["after.csv"] if what == "killed" else [])


def test_a_build_says_how_many_extracts_went(home, project):
    extract(home, "gone.csv", f"select pseudonym from profiles where {whose(home, OBJECTED)}")
    extract(home, "stays.csv", f"select pseudonym from profiles where {whose(home, 'm0')}")
    told = house.kampeky("build", "--purpose", "analytics", "--home", home.root, "--as-of", "2026-02-05T12:00:00+01:00")
    assert told.code == 0 and "extracts of analytics that went, for they held who is out by now or rows that are due (C-10.4): 1" in told.err


def test_an_extract_whose_members_cannot_be_read_goes_with_the_next_build(home, project):
    extract(home, "some.csv", f"select pseudonym from profiles where {whose(home, 'm0')}")
    (home.extracts / ".some.csv.members").write_bytes(b"no table")
    build(home, at(FAILED), ["analytics"])
    assert not list(home.extracts.iterdir())


def test_an_extract_is_held_against_each_publication_and_goes_with_the_one_that_lost_its_member(home, project):
    extract(home, "m1.csv", f"select pseudonym from profiles where {whose(home, 'm1')}")
    build(home, at(FAILED), ["analytics"])
    assert [(e.name, e.run) for e in listed(home)] == [("m1.csv", publications(home, "analytics")[0].publication)]
    requests.open_request(home, "objection", "m1", "analytics", at("2026-02-06"))
    build(home, at("2026-02-06 12:00"), ["analytics"])
    assert not list(home.extracts.iterdir())


def test_retention_leaves_the_extracts_of_who_stays(home):
    build(home, at(FAILED), ["analytics"])
    extract(home, "m0.csv", f"select events from profiles where {whose(home, 'm0')}")
    Market("c").consent("m1", None, "withdrawn", "2026-02-06", "log_profiling", method="settings_page").load(home, "2026-02-06 12:00")
    extract(home, "m1.csv", f"select events from profiles where {whose(home, 'm1')}")
    apply_plan(home, Path(make_plan(home, at("2026-02-07"))["plan"]))
    assert [e.name for e in listed(home)] == ["m0.csv"] and home.mart("analytics").exists()
    home.mart("analytics").unlink()
    apply_plan(home, Path(make_plan(home, at("2026-02-08"))["plan"]))
    assert not publications(home, "analytics") and not listed(home), "of marts that nobody makes anew nothing stays"


# --- readers ---

READER = """
import sys
from pathlib import Path
from pipelines.foundation.home import Home
from pipelines.workflows.sql import sql
home, reads = Home(Path(sys.argv[1])), 0
while not (home.root / "stop").exists():
    (row,) = sql(home, "analytics", "select count(*), count(distinct build), min(build), (select max(run) from _build) from profiles")[1]
    assert row[0] == 1000 and row[1] == 1 and str(row[2]) == row[3], row
    reads += 1
print(reads)
"""


def test_readers_read_on_through_every_publication_and_never_see_half_of_one(built, tmp_path):
    """Two processes ask in a loop, each time anew; each answer is of one publication, whole."""
    home = copy_home(built, tmp_path / "home")
    files = []
    for number in range(2):
        file = tmp_path / f"build{number}.duckdb"
        connection = connect(tmp_path, extensions=("httpfs",))
        connection.execute(f"attach {quote_text(str(file))} as build (encryption_key 'k')")
        connection.execute(f"create table build.profiles as select {number} as build from range(1000); checkpoint build")
        connection.close()
        files.append(file)
    publish(files[0], "k", home.mart("analytics"), None, ["profiles"], {"run": "0"}, home.tmp)
    readers = [subprocess.Popen([sys.executable, "-c", READER, str(home.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                cwd=house.ROOT) for _ in range(2)]
    try:
        time.sleep(2)
        for number in range(40):
            publish(files[number % 2], "k", home.mart("analytics"), None, ["profiles"], {"run": str(number % 2)}, home.tmp)
        (home.root / "stop").touch()
        for reader in readers:
            out, err = reader.communicate(timeout=60)
            assert reader.returncode == 0, err
            assert int(out) > 5
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    assert not list(home.tmp.iterdir())


# --- history that is frozen ---


def sold(folder: Path, day: str, rows: list[tuple]) -> list[tuple]:
    """What is published on that day of a build that holds these (sold_on, sale_count)."""
    build_file = folder / "build"
    build_file.unlink(missing_ok=True)
    connection = connect(folder, extensions=("httpfs",))
    connection.execute(f"attach {quote_text(str(build_file))} as build (encryption_key 'k')")
    connection.execute("create table build.sales_daily (sold_on date not null, sale_count bigint, member_count bigint, ends_on date)")
    for row in rows:
        connection.execute("insert into build.sales_daily select ?::date, ?, 10, date '2027-03-01'", list(row))
    connection.execute("checkpoint build")
    connection.close()
    publish(build_file, "k", folder / "mart.duckdb", None, ["sales_daily"], {"run": day}, folder,
            history=History(folder / "kept" / "frozen.duckdb", {"sales_daily": "sold_on"}, date.fromisoformat(day)))
    with database(folder / "mart.duckdb", None) as mart:
        return mart.execute("select sold_on::varchar, sale_count from db.sales_daily order by 1").fetchall()


def test_days_that_are_over_stay_as_they_were_first_published_and_outlive_their_sources(tmp_path):
    first, second, third = ("2026-01-30", 11), ("2026-02-01", 20), ("2026-02-02", 30)
    assert sold(tmp_path, "2026-02-01", [first, second]) == [first, second]
    assert sold(tmp_path, "2026-02-02", [("2026-01-30", 12), ("2026-02-01", 21)]) == [first, ("2026-02-01", 21)], "a day is over once"
    frozen = [first, ("2026-02-01", 21)]
    assert sold(tmp_path, "2026-02-03", [("2026-01-30", 5), ("2026-02-01", 22), third]) == [*frozen, third], "neither late rows nor lost ones count"
    assert sold(tmp_path, "2027-06-01", []) == [*frozen, third], "the sales are due by then (C-10.2)"
    assert sold(tmp_path, "2026-02-01", [("2026-01-30", 9), second]) == [first], "a replay of a day knows none that came after it"
    assert sold(tmp_path, "2027-06-01", [("2026-01-29", 7)]) == [("2026-01-29", 7), *frozen, third], "a day of which nothing was published comes in"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["frozen.duckdb"]
    assert (tmp_path / "kept" / "frozen.duckdb").stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_a_build_keeps_the_days_of_a_mart_that_says_so_beyond_a_new_zone(project, tmp_path):
    home, market = new_home(tmp_path / "home"), Market("a")
    for number in range(12):
        market.member(f"m{number}").sale(f"one{number}", f"m{number}", f"m{(number + 1) % 12}", "2026-01-30 10:00")
    market.load(home, BUILT)
    build(home, at(BUILT), ["improvement"])
    asked = "select sold_on::varchar, sale_count, member_count from sales_daily order by 1"
    assert sql(home, "improvement", asked)[1] == [("2026-01-30", 12, 12)]
    for member in ("m1", "m2", "m3"):
        requests.open_request(home, "objection", member, "improvement", at("2026-02-03"))
    shutil.rmtree(home.lake("pseudonymised/improvement"))  # as a rotation of keys does
    home.mart("improvement").unlink()
    build(home, at("2026-02-03"), ["improvement"])
    assert sql(home, "improvement", asked)[1] == [("2026-01-30", 12, 12)], "who objects changes nothing of what is anonymous"
    assert {c.place for c in contents(home) if c.place.startswith("zones/frozen")} == {"zones/frozen/improvement.duckdb/main.sales_daily"}
    assert house.kampeky("contracts", "check", "--home", home.root).code == 0
    kept = home.frozen("improvement")
    whole = kept.read_bytes()
    kept.write_bytes(b"damaged")
    with pytest.raises(KampekyError, match=r"kept of days that are over cannot be read .*restore it from a backup"):
        build(home, at("2026-02-04"), ["improvement"])
    kept.unlink()
    lost = house.kampeky("build", "--purpose", "improvement", "--home", home.root, "--as-of", "2026-02-04")
    assert lost.code == 3 and "kept of sales_daily are gone" in lost.sentence and "--begin-history" in lost.sentence
    assert not kept.exists() and sql(home, "improvement", asked)[1] == [("2026-01-30", 12, 12)]
    kept.write_bytes(whole)
    build(home, at("2026-02-04"), ["improvement"])
    kept.unlink()
    again = house.kampeky("build", "--purpose", "improvement", "--begin-history", "--home", home.root, "--as-of", "2026-02-04")
    assert again.code == 0 and kept.exists() and sql(home, "improvement", asked)[1] != [("2026-01-30", 12, 12)]


@pytest.mark.parametrize(("columns", "says"), [
    ("sold_on, sale_count, member_count::double as member_count", "has other columns than the model has now"),
    ("sold_on, sale_count", "no column says how many members"),
    ("sold_on::varchar as sold_on, sale_count, member_count", "no DATE")])
def test_what_cannot_be_kept_is_refused(tmp_path, columns, says):
    connection = connect(tmp_path, extensions=("httpfs",))
    connection.execute(f"attach {quote_text(str(tmp_path / 'build'))} as build (encryption_key 'k')")
    day = "select date '2026-01-01' as sold_on, 11 as sale_count, 11 as member_count"
    connection.execute(f"create table build.sales_daily as select {columns} from ({day}); checkpoint build")
    connection.execute(f"attach {quote_text(str(tmp_path / 'frozen.duckdb'))} as frozen")
    connection.execute(f"create table frozen.sales_daily as {day}; checkpoint frozen")
    connection.close()
    with pytest.raises(Refused, match=says):
        publish(tmp_path / "build", "k", tmp_path / "mart.duckdb", None, ["sales_daily"], {"run": "r"}, tmp_path,
                history=History(tmp_path / "frozen.duckdb", {"sales_daily": "sold_on"}, date(2026, 2, 1)))
    assert not (tmp_path / "mart.duckdb").exists()


def test_the_rules_of_these_tests_are_the_real_ones_but_for_the_marts(project):
    real = house.rulebook().policy
    assert rules().policy.risk == real.risk and rules().policy.retention == real.retention and rules().policy.extracts == real.extracts
