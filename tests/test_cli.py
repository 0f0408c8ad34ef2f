"""The command line: codes that mean something, one sentence for what went wrong, an example in each help, stable keys in JSON."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import house
import pytest
import typer
from house import kampeky, put

from pipelines.cli.main import app
from pipelines.foundation.errors import KampekyError, Misuse, Refused

AS_OF = ("--as-of", house.AS_OF)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two members, a mart made by hand, and nothing else; no test changes what another one reads."""
    made = house.new_home(tmp_path_factory.mktemp("cli"))
    path = put(made.parent / "members", house.ndjson([house.member(1), house.member(2)]))
    house.ingest(made, ("members", path))
    house.make_mart(
        made, "analytics", "create table user_profiles as select 7 as score, date '2015-05-17' as day, 1.50::decimal(4, 2) as price, null as n"
    )
    return made


# --- help ---


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    group = group or typer.main.get_command(app)
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, word))
        else:
            yield (*path, word)


COMMANDS = list(commands())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_says_what_it_does_and_shows_it_at_work(words):
    answer = kampeky(*words, "--help")
    text = " ".join(answer.out.split())
    assert (answer.code, answer.err) == (0, "")
    assert f"kampeky {' '.join(words)}" in text.split("Example: ", 1)[1]
    assert len(text.split("Example: ")[0].split(" ")) > 8


WITHOUT_A_HOME = (("simulate",), ("contracts", "docs"), ("contracts", "diff"))  # they read and write other folders


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_takes_a_home_and_answers_in_json(words):
    answer = kampeky(*words, "--help")
    wanted = {"--json"} if words in WITHOUT_A_HOME else {"--json", "--home"}
    assert wanted - set(re.findall(r"--[a-z-]+", answer.out)) == set()


def test_the_commands_of_this_step_are_there_and_each_group_lists_its_own():
    """The design's list; later steps add to it."""
    design = {
        ("init",),
        ("simulate",),
        ("ingest",),
        ("build",),
        ("run",),
        ("retention", "plan"),
        ("retention", "apply"),
        ("hold", "place"),
        ("hold", "lift"),
        ("hold", "list"),
        ("quarantine", "list"),
        ("quarantine", "write"),
        ("quarantine", "replay"),
        ("request", "open"),
        ("request", "list"),
        ("request", "show"),
        ("request", "process"),
        ("verify",),
        ("contracts", "check"),
        ("contracts", "docs"),
        ("contracts", "diff"),
        ("sql",),
        ("keys", "list"),
        ("status",),
        ("backup",),
        ("restore",),
    }
    assert design - set(COMMANDS) == set()
    answer = kampeky("--help")
    assert answer.code == 0
    assert all(re.search(rf"^  {words[0]}\b", answer.out, re.MULTILINE) for words in COMMANDS)


# --- what misuse gets ---

MISUSED: dict[str, tuple[list[str], int, str]] = {  # words, exit code, what the sentence says; FILE is a good file, HOME the home
    "unknown command": (["ingets"], 2, "No such command 'ingets'"),
    "unknown option": (["status", "--hoem", "x"], 2, "No such option: --hoem"),
    "missing argument": (["sql"], 2, "Missing argument 'purpose'"),
    "a file without a query": (["sql", "analytics", "--csv", "x.csv"], 2, "Write the statement, too"),
    "unknown dataset": (["ingest", "membres", "FILE"], 2, "Dataset 'membres' is unknown. Known: access_logs, comments, consents"),
    "missing file": (["ingest", "members", "FILE.gone"], 2, "FILE.gone: there is no such file"),
    "the home as input": (["ingest", "members", "HOME"], 2, "lies in the home"),
    "nothing matches": (["ingest", "members", "HOME/**/*.csv"], 2, "matches no file"),
    "no such place": (["ingest", "members", "s3://bucket/key"], 2, "KAMPEKY_S3_ENDPOINT"),
    "no file": (["ingest", "members"], 2, "Name at least one file of members"),
    "all and a dataset": (["ingest", "members", "FILE", "--all", "--from", "HOME"], 2, "Write: kampeky ingest DATASET"),
    "all of nothing": (["ingest", "--all"], 2, "kampeky ingest --all --from FOLDER"),
    "missing folder": (["ingest", "--all", "--from", "FILE.gone"], 2, "there is no such folder"),
    "file instead of a folder": (["ingest", "--all", "--from", "FILE"], 2, "there is no such folder"),
    "a date that is none": (["ingest", "members", "FILE", "--as-of", "2015-02-30"], 2, "'2015-02-30' is not a date. Write a day such as"),
    "a time without offset": (["retention", "plan", "--as-of", "2015-05-17T10:00:00"], 2, "has no offset"),
    "a word for a date": (["build", "--as-of", "yesterday"], 2, "'yesterday' is not a date"),
    "a review day that is none": (["hold", "place", "members", "m000001", "--reason", "x", "--review-on", "2015-13-01"], 2, "is not a day"),
    "unknown purpose of a query": (["sql", "analytic", "select 1"], 2, "Purpose 'analytic' is unknown. Known: advertising, analytics"),
    "unknown purpose of a build": (["build", "--purpose", "analytic"], 2, "Purpose 'analytic' is unknown. Known: advertising, analytics"),
    "unknown member": (["request", "open", "portability", "--member", "m999999"], 2, "No account has that member id"),
    "unknown right": (
        ["request", "open", "portabilty", "--member", "m000001"],
        2,
        "Right 'portabilty' is unknown. Known: erasure, objection, portability, restriction",
    ),
    "objection to nothing": (["request", "open", "objection", "--member", "m000001"], 2, "names its purpose: --purpose analytics or advertising"),
    "objection to no purpose": (["request", "open", "objection", "--member", "m000001", "--purpose", "ads"], 2, "Purpose 'ads' is unknown"),
    "empty member": (["request", "open", "portability", "--member", ""], 2, "--member is empty"),
    "unknown request": (["request", "show", "R-000000000000"], 2, "There is no request with that id"),
    "unknown request to process": (["request", "process", "R-000000000000"], 2, "There is no request with that id"),
    "unknown hold": (["hold", "lift", "H-000000000000"], 2, "There is no open hold with that id"),
    "hold on an unknown record": (
        ["hold", "place", "members", "m999999", "--reason", "x", "--review-on", "2016-01-01"],
        2,
        "no record with that key",
    ),
    "corrections of no dataset": (["quarantine", "replay", "--from", "FILE"], 2, "Corrections are of one dataset"),
    "missing corrections": (["quarantine", "replay", "members", "--from", "FILE.gone"], 2, "there is no such file"),
    "hold without a reason": (["hold", "place", "members", "m000001", "--reason", " ", "--review-on", "2016-01-01"], 2, "needs its reason"),
    "hold on a log line": (["hold", "place", "access_logs", "1", "--reason", "x", "--review-on", "2016-01-01"], 2, "has no key of its own"),
    "missing plan": (["retention", "apply", "FILE.gone"], 2, "there is no such plan"),
    "a plan that is none": (["retention", "apply", "FILE"], 1, "is no retention plan"),
    "unknown check": (["verify", "everything"], 2, "Check 'everything' is unknown. Known: all, canary, export, ledger, lineage, residue, risk"),
    "no package": (["verify", "export"], 2, "Name the package to verify"),
    "missing package": (["verify", "export", "FILE.gone"], 2, "there is no such file"),
    "a mart that is not published": (["sql", "advertising", "select 1"], 1, "not published. Build it with: kampeky build --purpose advertising"),
    "no SQL": (["sql", "analytics", "selec 1"], 2, "syntax error"),
    "an unknown table": (["sql", "analytics", "select * from profils"], 2, "profils"),
    "a file of another dataset": (["ingest", "consents", "FILE"], 3, "names by no|named by no|another dataset"),
    "no members to simulate": (["simulate", "HOME/x", "--members", "0"], 2, "at least one member"),
    "a number that is none": (["simulate", "HOME/x", "--members", "many"], 2, "many"),
}


@pytest.mark.parametrize("kind", [*MISUSED])
def test_what_cannot_be_done_is_one_sentence_and_a_code_and_changes_nothing(home, tmp_path, kind):
    words, code, says = MISUSED[kind]
    path = put(tmp_path / "file", house.ndjson([house.member(1)]))
    words = [word.replace("FILE", str(path)).replace("HOME", str(home)) for word in words]
    before = [(p, p.stat().st_mtime_ns) for p in sorted(home.rglob("*")) if p.is_file() and p.parent.name not in ("locks", "tmp")]
    answer = kampeky(*words, *(() if words[0] in ("simulate", "ingets") else ("--home", home)))
    assert answer.code == code
    assert re.search(says.replace("FILE", str(path)) if "|" in says else re.escape(says.replace("FILE", str(path))), answer.sentence)
    assert "m999999" not in answer.sentence
    vault = home / "zones" / "vault" / "vault.duckdb"  # whoever reads it first makes it, empty
    assert [(p, p.stat().st_mtime_ns) for p in sorted(home.rglob("*")) if p.is_file() and p.parent.name not in ("locks", "tmp") and p != vault] == [
        (p, m) for p, m in before if p != vault
    ]


def test_a_mistyped_member_goes_nowhere_but_one_that_exists_is_taken_from_stdin(home, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("m000001\n"))
    opened = kampeky("request", "open", "portability", "--member", "-", "--home", home, *AS_OF, "--json")
    assert (opened.code, opened.json["state"], "m000001" in opened.out + opened.err) == (0, "received", False)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "--member is empty" in kampeky("request", "open", "portability", "--member", "-", "--home", home).sentence


NEEDS_A_HOME = [words for words in COMMANDS if words not in (("init",), ("contracts", "check"), *WITHOUT_A_HOME)]
ARGUMENTS = {
    ("ingest",): ["members", "FILE"],
    ("run",): ["--from", "FOLDER"],
    ("retention", "apply"): ["FILE"],
    ("restore",): ["--resume"],
    ("sql",): ["analytics", "select 1"],
    ("request", "open"): ["portability", "--member", "m000001"],
    ("request", "show"): ["R-1"],
    ("request", "process"): ["R-1"],
    ("request", "approve"): ["R-1", "--by", "somebody"],
    ("request", "certificate"): ["R-1"], ("request", "public"): ["R-1"],
    ("hold", "place"): ["members", "m000001", "--reason", "x", "--review-on", "2016-01-01"],
    ("hold", "lift"): ["H-1"],
    ("quarantine", "write"): ["members", "FILE.new"],
    ("verify",): ["ledger"],
    ("keys", "role"): ["marketing", "--to", "FILE.new"],
    ("keys", "rotate"): ["analytics"],
    ("disclose",): ["security", "--pseudonym", "0f8fad5b-d9cb-469f-a165-70867728950e", "--by", "x", "--reason", "y"],
}


@pytest.mark.parametrize("words", NEEDS_A_HOME, ids=" ".join)
def test_a_home_that_was_never_initialised_is_one_sentence_and_is_not_made(tmp_path, words):
    path = put(tmp_path / "source" / "members" / "file", house.ndjson([house.member(1)]))
    arguments = [a.replace("FILE", str(path)).replace("FOLDER", str(tmp_path / "source")) for a in ARGUMENTS.get(words, [])]
    answer = kampeky(*words, *arguments, "--home", tmp_path / "none")
    assert answer.code == 1
    assert f"There is no Kampeky home at {tmp_path / 'none'}. Make one with: kampeky init --home {tmp_path / 'none'}" in answer.sentence
    assert not (tmp_path / "none").exists()


def test_a_home_that_is_a_file_or_below_one_or_of_another_format_is_one_sentence(tmp_path):
    file = put(tmp_path / "file", "mine")
    for words in (["init"], ["status"]):
        answer = kampeky(*words, "--home", file)
        assert (answer.code, f"{file} is a file; a home is a folder." in answer.sentence) == (2, True)
    assert (kampeky("init", "--home", file / "below").code, file.read_text()) == (1, "mine")
    for marker, says in (('{"format": 99}', "has format 99"), ("{", "cannot be read"), ("[]", "cannot be read")):
        put(tmp_path / "other" / "home.json", marker)
        answer = kampeky("status", "--home", tmp_path / "other")
        assert (answer.code, says in answer.sentence) == (1, True)


def test_the_home_comes_from_the_option_else_from_the_environment_else_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAMPEKY_HOME", raising=False)
    assert kampeky("init", "--json").json["home"] == str(tmp_path / ".kampeky")
    monkeypatch.setenv("KAMPEKY_HOME", str(tmp_path / "of-the-environment"))
    assert kampeky("init", "--json").json["home"] == str(tmp_path / "of-the-environment")
    assert kampeky("init", "--home", "given", "--json").json["home"] == str(tmp_path / "given")


def test_an_empty_zone_says_what_to_run(tmp_path):
    kampeky("init", "--home", tmp_path / "home")
    for words in (["quarantine", "list"], ["request", "open", "portability", "--member", "m000001"], ["build"], ["retention", "plan"]):
        answer = kampeky(*words, "--home", tmp_path / "home")
        assert (answer.code, "Run: kampeky ingest" in answer.sentence) == (1, True), words
    assert kampeky("status", "--home", tmp_path / "home").code == 0


# --- codes and tracebacks ---




@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KampekyError("It failed."), 1, "It failed."),
        (Misuse("No such thing."), 2, "No such thing."),
        (Refused("Not allowed.", "C-3.3a"), 3, "Not allowed. [C-3.3a]"),
        (KeyboardInterrupt(), 130, "stopped"),
        (FileNotFoundError(2, "No such file", "some/file"), 1, "some/file: No such file."),
        (OSError(28, "No space left on device", "some/file"), 1, "some/file: No space left on device."),
    ],
)
def test_an_error_ends_with_its_code_and_its_sentence(monkeypatch, home, error, code, says):
    monkeypatch.setattr("pipelines.workflows.status.status", _raising(error))
    answer = kampeky("status", "--home", home)
    assert (answer.code, answer.sentence) == (code, says)


def test_ctrl_c_within_a_statement_of_duckdb_is_a_stop_too(monkeypatch, home):
    """DuckDB ends the statement with an error of its own, of which the interruption is the cause."""
    interrupted = RuntimeError("Query interrupted")
    interrupted.__cause__ = KeyboardInterrupt()
    monkeypatch.setattr("pipelines.workflows.status.status", _raising(interrupted))
    answer = kampeky("status", "--home", home)
    assert (answer.code, answer.sentence) == (130, "stopped")


def test_a_full_disk_is_one_sentence_without_the_database_s_text(monkeypatch, home):
    monkeypatch.setattr("pipelines.workflows.status.status", _raising(duckdb.IOException("Could not write 'zoe@exemple.fr': No space left")))
    answer = kampeky("status", "--home", home)
    assert (answer.code, answer.out) == (1, "")
    assert answer.sentence.startswith("A store could not be read or written. Is the disk full")
    assert "zoe" not in answer.err


def test_an_error_that_nobody_foresaw_shows_its_kind_and_none_of_its_text(monkeypatch, home):
    """Its text may hold a row's values."""
    monkeypatch.setattr("pipelines.workflows.status.status", _raising(ValueError("could not convert 'zoe@exemple.fr'")))
    answer = kampeky("status", "--home", home)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "kampeky: Unexpected failure (ValueError). Run the command again with --debug and report what it prints.\n"
    with pytest.raises(ValueError, match="zoe"):
        kampeky("status", "--home", home, "--debug")


def test_debug_shows_the_error_itself_and_without_an_error_changes_no_answer(home):
    with pytest.raises(Misuse, match="is unknown"):
        kampeky("sql", "analytic", "select 1", "--home", home, "--debug")
    assert kampeky("--debug", "keys", "list", "--home", home, "--json").json == kampeky("keys", "list", "--home", home, "--json").json


def _raising(error: BaseException) -> Any:
    def stand_in(*_args: object) -> None:
        raise error

    return stand_in


@pytest.mark.parametrize("day", ["0001-01-01T00:00:00+05:00", "9999-12-31"])
def test_a_day_at_the_end_of_the_calendar_is_misuse(home, day):
    answer = kampeky("request", "open", "portability", "--member", "m000001", "--as-of", day, "--home", home)
    assert (answer.code, bool(answer.sentence)) == (2, True)


# --- sql ---


def query(home: Path, text: str, *more: str) -> house.Answer:
    return kampeky("sql", "analytics", text, "--home", home, *more)


NO_QUERIES = ["copy user_profiles to '{}'", "attach '{}'", "export database '{}'", "set threads = 1", "create table t as select 1"]


@pytest.mark.parametrize("text", NO_QUERIES)
def test_a_statement_that_is_no_query_is_refused_and_writes_nothing(home, text):
    target = home / "tmp" / "written.csv"
    answer = query(home, text.format(target))
    assert (answer.code, "nothing can be written" in answer.sentence) == (3, True)
    assert not target.exists()


EXPLAINING = ["explain {}", "explain analyze {}", "EXPLAIN\nANALYZE\t{}", "explain/**/analyze {}", "explain analyze/**/{}", "explain (analyze) {}",
              "-- a remark\nexplain analyze {}", "explain explain analyze {}", "describe {}", "summarize {}", "from ({})"]


@pytest.mark.parametrize("text", EXPLAINING)
def test_what_is_explained_is_a_query_too_for_explain_analyze_runs_it(home, text):
    mart = home / "marts" / "analytics.duckdb"
    before = sorted(home.rglob("*")), mart.read_bytes()
    for target, how in ((f"{mart}.wal.recovery", "format csv"), (mart, "format csv, use_tmp_file false")):
        answer = query(home, text.format(f"copy (from user_profiles) to '{target}' ({how})"))
        assert answer.code in (2, 3) and answer.sentence
    assert (sorted(home.rglob("*")), mart.read_bytes()) == before


def test_a_query_may_be_explained_and_writes_no_log(home):
    for text in ("explain select score from user_profiles", " explain analyze from user_profiles"):
        answer = query(home, text, "--json")
        assert answer.code == 0 and "user_profiles" in answer.out
    before = sorted(home.rglob("*"))
    for text in ("from enable_logging(storage='file')", "from ENABLE_LOGGING ()", 'from "enable_logging"()'):
        assert (answer := query(home, text)).code == 3 and "nothing can be written" in answer.sentence
    assert sorted(home.rglob("*")) == before


def test_a_query_reads_no_file_wherever_it_lies(home):
    put(home / "tmp" / "some.csv", b"a\n1\n")
    for place in (home / "tmp" / "some.csv", home / "evidence" / "ledger.jsonl"):
        assert query(home, f"select * from read_csv('{place}')").code == 3
    (home / "tmp" / "some.csv").unlink()
    assert list((home / "tmp").iterdir()) == []


def test_a_query_answers_with_rows(home):
    assert query(home, "select score, day, price, n from user_profiles", "--json").json == [
        {"score": 7, "day": "2015-05-17", "price": 1.5, "n": None}
    ]
    table = query(home, "select score, n from user_profiles")
    assert [line.split() for line in table.out.splitlines()][0::2] == [["score", "n"], ["7", "–"]]
    assert query(home, "select score from user_profiles where score > 7", "--json").json == []


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('PLANTED')",
        "select * from read_blob('PLANTED')",
        "from 'PLANTED'",
        "select * from parquet_scan('PLANTED')",
        "select * from sniff_csv('PLANTED')",
        "select * from glob('/etc/*')",
        "attach 'PLANTED' as other",
        "attach 'NEW' as other",
        "copy user_profiles to 'NEW'",
        "copy (select 1) to 'NEW'",
        "copy user_profiles from 'PLANTED'",
        "export database 'NEW'",
        "import database 'NEW'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset enable_external_access",
        "set lock_configuration = false",
        "set temp_directory = 'NEW'",
        "create secret s (type s3, key_id 'a', secret 'b')",
        "from duckdb_secrets()",
    ],
)
def test_a_query_reaches_no_other_file(home, tmp_path, text):
    planted = put(tmp_path / "planted.csv", "planted\nplanted-value\n")
    answer = query(home, text.replace("PLANTED", str(planted)).replace("NEW", str(tmp_path / "new")), "--json")
    assert answer.code in (2, 3)
    assert "planted-value" not in answer.sentence
    assert "root:" not in answer.sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["planted.csv"]


@pytest.mark.parametrize(
    "text", ["select * from read_csv('/etc/passwd')", "attach '/tmp/none.duckdb' as other", "copy user_profiles to '/tmp/none.csv'"]
)
def test_a_query_for_another_file_is_refused_by_a_rule(home, text):
    assert query(home, text).code == 3


@pytest.mark.parametrize(
    "text",
    [
        "insert into user_profiles select * from user_profiles",
        "update user_profiles set score = 8",
        "delete from user_profiles",
        "drop table user_profiles",
        "create table more as select 1 as n",
        "alter table user_profiles add column c int",
    ],
)
def test_a_query_changes_nothing(home, text):
    before = (home / "marts" / "analytics.duckdb").read_bytes()
    assert query(home, text).code == 3
    assert (home / "marts" / "analytics.duckdb").read_bytes() == before
    assert query(home, "select score from user_profiles", "--json").json == [{"score": 7}]


def test_a_query_opens_one_purpose_and_shows_no_key(home):
    house.make_mart(home, "advertising", "create or replace table ad_profiles as select 1 as n")
    try:
        for text in (
            f"attach '{home}/marts/advertising.duckdb' as other",
            f"from '{home}/marts/advertising.duckdb'",
            "from advertising.ad_profiles",
            "from ad_profiles",
        ):
            assert query(home, text).code in (2, 3)
        key = (home / "keys" / "mart_advertising.key").read_text().strip()
        for text in ("from duckdb_databases()", "from duckdb_settings()", "from duckdb_logs()", "pragma database_list", "select current_query()"):
            answer = kampeky("sql", "advertising", text, "--home", home, "--json")
            assert (answer.code, key in answer.out + answer.err) == (0, False)
    finally:
        (home / "marts" / "advertising.duckdb").unlink()


@pytest.mark.parametrize("text", ["", " ", ";", "select 1; select 2"])
def test_what_is_not_one_statement_is_misuse(home, text):
    answer = query(home, text)
    assert (answer.code, bool(answer.sentence)) == (2, True)


def test_two_columns_of_one_name_are_both_in_the_answer(home):
    (row,) = query(home, "select 1 as a, 2 as a", "--json").json
    assert sorted(row.values()) == [1, 2]


def test_the_answer_is_json_whatever_the_numbers(home):
    json.loads(
        query(home, "select 'nan'::double as n, 'inf'::double as i", "--json").out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )


# --- stable keys of the design ---


def keys(answer: house.Answer) -> Any:
    assert answer.code == 0
    return answer.json


def test_the_answers_that_scripts_rely_on_have_their_keys(tmp_path, home):
    """DESIGN.md, "The commands": stable keys; more may be added."""
    out = tmp_path / "source"
    assert {"members", "access_logs"} <= keys(
        kampeky("simulate", "--members", "5", "--days", "2", "--seed", "3", "--end", "2015-05-19", out, "--json")
    ).keys()
    assert {folder.name for folder in out.iterdir()} <= set(house.rulebook().contracts)
    fresh = house.new_home(tmp_path)
    ingested = keys(kampeky("ingest", "--all", "--from", out, "--home", fresh, *AS_OF, "--json"))
    assert {a["source"] for a in ingested} == {folder.name for folder in out.iterdir()}
    for balance in ingested:
        assert {"source", "read", "loaded", "quarantined", "refused", "already_known"} <= balance.keys()
        assert balance["read"] == balance["loaded"] + balance["quarantined"] + balance["refused"] + balance["already_known"]
    member = house.raw(fresh, "select min(member_id) from lake.main.members")[0][0]
    asked = keys(kampeky("request", "open", "portability", "--member", member, "--home", fresh, *AS_OF, "--json"))
    assert {"request_id", "right", "state", "due"} <= asked.keys()
    assert (asked["right"], asked["state"], asked["due"]) == ("portability", "received", "2015-06-20")
    done = keys(kampeky("request", "process", asked["request_id"], "--home", fresh, *AS_OF, "--json"))
    assert {"request_id", "state", "package"} <= done.keys()
    assert (done["request_id"], done["state"], Path(done["package"]).is_file()) == (asked["request_id"], "done", True)
    verified = keys(kampeky("verify", "export", done["package"], "--home", fresh, "--json"))
    assert {"ok", "checks"} <= verified.keys()
    assert all({"name", "ok", "detail"} <= check.keys() for check in verified["checks"])
    planned = keys(kampeky("retention", "plan", "--home", fresh, *AS_OF, "--json"))
    assert {"plan", "hash", "as_of", "datasets"} <= planned.keys()
    assert (Path(planned["plan"]).is_file(), planned["as_of"]) == (True, house.AS_OF)
    assert all({"dataset", "zone", "rule", "due", "held"} <= row.keys() for row in planned["datasets"])
    assert isinstance(keys(query(home, "select 1 as n", "--json")), list)


def test_data_go_to_stdout_and_words_to_stderr(home, tmp_path):
    path = put(tmp_path / "log", house.lines("broken"))
    answer = kampeky("ingest", "access_logs", path, "--home", home, *AS_OF)
    assert answer.out.splitlines()[-1].split() == ["access_logs", "1", "0", "1", "0", "0"]
    assert answer.err.splitlines()[-1] == "access_logs: 1 line.not_combined_format"
    assert kampeky("keys", "list", "--home", home, "--json").err == ""


def test_a_terminal_is_sent_no_control_character_from_a_mart(home):
    answer = query(home, "select chr(27) || '[31m' || chr(10) || 'x' as text")
    assert answer.code == 0
    assert [c for c in answer.out if not c.isprintable() and c != "\n"] == []
    assert len(answer.out.splitlines()) == 3
