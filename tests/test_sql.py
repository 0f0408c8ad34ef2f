"""`kampeky sql`: what leaves a mart as a file, where it may stand and until when; and the prompt, typed at by a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import house
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest
from house import kampeky

from pipelines.assurance.queries import read
from pipelines.cli.prompt import finished, statements
from pipelines.engines.duckdb_engine import connect
from pipelines.evidence import ledger
from pipelines.foundation.home import Home
from pipelines.lake.extracts import listed
from pipelines.policy.types import Rulebook
from pipelines.transformation.memory import Memory

K = 10
MARTS = {
    "user_profiles": ["pseudonym", "age_band", "gender", "score", "rare"],
    "sessions": ["pseudonym", "day", "pages"],
    "sales_daily": ["day", "member_count", "sales"],
    "ip_abuse": ["ip", "requests"],
    "_build": ["run"],
}
PROFILES = (
    "create table user_profiles as select ('00000000-0000-0000-0000-' || lpad(n::varchar, 12, '0'))::uuid as pseudonym, "
    "case when n < 3 then '65+' else ['18-24', '25-34', '35-44'][1 + n % 3] end as age_band, n as score, case when n = 9 then 1 end as rare "
    "from range(90) as t(n)"
)
BY_AGE = "select age_band, count(*) as members from user_profiles group by all order by all"
LARGE = "select age_band, count(*) as members from user_profiles group by all having count(*) >= 10 order by all"
SOME_ROWS = "select age_band, score from user_profiles where score < 5"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = house.new_home(tmp_path)
    house.make_mart(made, "analytics", PROFILES, "comment on table user_profiles is 'Profiles. One row per member.'",
                    "comment on column user_profiles.score is 'A score.'", "create table _build as select 'day' as run, 'run one' as publication")
    return made


def sql(home: Path, query: str, *more: object, purpose: str = "analytics") -> house.Answer:
    return kampeky("sql", purpose, query, *more, "--home", home)


# --- what is rows, and what is figures ---

FIGURES = [
    BY_AGE,
    LARGE,
    "from user_profiles select gender, avg(score) group by gender",
    "select score // 12 as years, round(avg(score), 1), count(distinct pseudonym) from user_profiles where gender = 'female' group by 1 limit 5",
    "select case when score > 5 then 'a' else 'b' end as b, count(*) as n from user_profiles group by b having n > 3 order by n desc",
    "select age_band, avg(pages) from user_profiles join sessions using (pseudonym) group by 1",
    "select u.age_band, count(distinct s.pseudonym) from user_profiles u left join sessions s on u.pseudonym = s.pseudonym group by all",
    "select date_trunc('month', day), sum(pages) / count(distinct pseudonym) from sessions group by 1",
    "select count(*) from user_profiles",
    "select * from sales_daily",  # already aggregated
    "with s as (from sales_daily) select max(sales) from s",
    "from _build",
]
ROWS = [
    "from user_profiles",
    "select * from user_profiles limit 5",
    "select age_band from user_profiles",
    "select distinct age_band from user_profiles",
    "select pseudonym, count(*) from sessions group by 1",
    "select left(pseudonym::varchar, 4), count(*) from sessions group by 1",
    "select count(*) from user_profiles where pseudonym = '00000000-0000-0000-0000-000000000001'",
    "select count(*) from sessions group by day having max(pseudonym) is not null",
    "select min(score), max(score) from user_profiles",
    "select age_band, median(score) from user_profiles group by 1",
    "select age_band, any_value(score) from user_profiles group by 1",
    "select age_band, list(score) from user_profiles group by 1",
    "select age_band, histogram(score) from user_profiles group by 1",
    "select age_band, string_agg(gender) from user_profiles group by 1",
    "select age_band, arg_min(score, score), quantile_cont(score, 0.01) from user_profiles group by 1",
    "select sum(case when score = 1 then 1 end) from user_profiles",
    "select sum(score * (gender = 'x')::int) from user_profiles",
    "select count(*) filter (where score = 1) from user_profiles",
    "select age_band, count(*) from user_profiles group by rollup (age_band)",
    "select age_band, count(*) from user_profiles group by grouping sets (age_band, ())",
    "select age_band, count(*) over () from user_profiles",
    "select age_band, count(*) from user_profiles group by 1 qualify row_number() over () = 1",
    "with u as (from user_profiles) select age_band, count(*) from u group by 1",
    "select age_band, count(*) from (from user_profiles limit 1) group by 1",
    "select count(*) from user_profiles where score = (select max(score) from user_profiles)",
    "select 1, count(*) from user_profiles union all select score, 1 from user_profiles",
    "select count(*) from user_profiles using sample 1",
    "select count(*) from user_profiles tablesample 1 percent",
    "select user_profiles, count(*) from user_profiles group by all",
    "select columns(*) from user_profiles",
    "select count(*) from user_profiles, sessions",
    "select count(*) from user_profiles join sessions on score = pages",
    "select age_band, count(*) from query_table('user_profiles') group by 1",
    "select unnest([1, 2]), count(*) from user_profiles group by 1",
    "pivot user_profiles on age_band using count(*)",
    "summarize user_profiles",
    "from ip_abuse",
    "from information_schema.tables",
    "select 1; select 2",
    "selec",
]


@pytest.mark.parametrize("query", FIGURES)
def test_figures_are_known_as_figures(query):
    reading = read(query, MARTS)
    assert reading.rows_because is None
    assert (reading.measured is None) is not any(mart in ("user_profiles", "sessions") for mart in reading.marts)


@pytest.mark.parametrize("query", ROWS)
def test_everything_else_is_rows_with_the_reason_said(query):
    reading = read(query, MARTS)
    assert reading.rows_because and reading.sql is None and reading.measured is None


def test_in_a_purpose_whose_marts_name_persons_everything_is_rows():
    assert read(BY_AGE, MARTS, identified=True).rows_because == "the marts of this purpose name persons"


def test_whom_an_extract_may_hold_is_narrow_where_that_is_plain_and_else_everybody():
    assert read("select score from user_profiles where score < 5 limit 1", MARTS).holds.endswith("WHERE score < 5")
    for query in ("select count(*) from (from user_profiles where score < 5)", "from user_profiles where score in (select pages from sessions)"):
        assert "where" not in read(query, MARTS).holds.lower()
    everybody = read("from query_table('user_profiles')", MARTS).holds
    assert "user_profiles" in everybody and "sessions" in everybody
    assert read("from sales_daily", MARTS).holds == ""


# --- where a file may stand ---


def test_figures_over_groups_of_k_may_go_anywhere(home, tmp_path):
    assert sql(home, LARGE, "--csv", tmp_path / "ages.csv").code == 0
    assert csv.read_csv(tmp_path / "ages.csv").to_pylist() == [{"age_band": a, "members": 29} for a in ("18-24", "25-34", "35-44")]
    assert sql(home, LARGE, "--parquet", tmp_path / "ages.parquet").code == 0
    assert parquet.read_table(tmp_path / "ages.parquet").to_pylist() == csv.read_csv(tmp_path / "ages.csv").to_pylist()
    assert not list((home / "extracts").iterdir())


@pytest.mark.parametrize(("query", "says"), [
    (SOME_ROWS, "no classes"),
    (BY_AGE, "a class of too few members"),  # three are 65 or older
    ("select age_band, avg(rare) from user_profiles where score > 3 group by 1", "the values of too few members"),
    ("select count(rare) from user_profiles", "the values of too few members"),
    ("select age_band, max(score) from user_profiles group by 1", "the value of one member"),
    ("select count(*) from user_profiles where age_band <> '65+'", "leaves out too few members"),
    ("select count(*) from user_profiles where nullif(age_band, '65+') > ''", "leaves out too few members"),
])
def test_rows_and_small_groups_go_nowhere_else(home, tmp_path, query, says):
    for form in ("--csv", "--parquet"):
        answer = sql(home, query, form, tmp_path / "out")
        assert answer.code == 3 and says in answer.sentence and "extracts/" in answer.sentence and "C-10.4" in answer.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_rows_go_into_the_extracts_of_the_home_readable_by_their_owner_alone(home):
    assert sql(home, SOME_ROWS, "--csv", "some.csv", "--as-of", "2026-02-01").code == 0
    assert sql(home, "select pseudonym, score from user_profiles", "--parquet", home / "extracts" / "all.parquet", "--as-of", "2026-02-01").code == 0
    assert csv.read_csv(home / "extracts" / "some.csv").num_rows == 5
    assert parquet.read_table(home / "extracts" / "all.parquet").num_rows == 90
    assert stat.S_IMODE((home / "extracts").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home / "extracts").iterdir()} == {0o600}
    assert [(e.name, e.purpose, e.run, e.marts, e.ends_on.isoformat()) for e in listed(Home(home))] == [
        (name, "analytics", "run one", ("user_profiles",), "2026-02-08") for name in ("all.parquet", "some.csv")]
    assert {name: parquet.read_table(home / "extracts" / f".{name}.members").num_rows for name in ("all.parquet", "some.csv")} == {
        "all.parquet": 90, "some.csv": 5}
    told = ledger.read(Home(home))[-1]
    assert (told.act, told.facts) == ("extract", {"purpose": "analytics", "rows": 90, "kind": "rows", "form": "parquet", "ends_on": "2026-02-08"})


@pytest.mark.parametrize(("target", "code"), [(".hidden", 2), ("marts/x.csv", 2), ("extracts/below/x.csv", 2), ("nowhere/at/all.csv", 2)])
def test_a_name_that_is_none_is_misuse(home, target, code):
    given = target if target.startswith(".") else home / target if not target.startswith("nowhere") else home.parent / target
    assert sql(home, LARGE, "--csv", given).code == code


def test_a_file_that_cannot_be_written_leaves_nothing(home, tmp_path):
    answer = sql(home, "select [1, 2] as pair, count(*) from user_profiles", "--csv", "pairs.csv")
    assert (answer.code, "cannot hold" in answer.sentence) == (2, True)
    assert sql(home, "select cast(age_band as integer) as n from user_profiles", "--csv", "x.csv").code == 2
    assert not list((home / "extracts").iterdir()) and not list((home / "tmp").iterdir())


def test_csv_goes_to_stdout_when_asked_and_one_form_is_chosen(home):
    assert sql(home, LARGE, "--csv", "-").out.splitlines() == ["age_band,members", "18-24,29", "25-34,29", "35-44,29"]
    for more in (["--csv", "-", "--json"], ["--parquet", "-"], ["--csv", "a.csv", "--parquet", "a.parquet"]):
        assert sql(home, LARGE, *more).code == 2


def test_an_extract_says_nothing_of_its_rows_in_the_ledger(home):
    sql(home, "select age_band from user_profiles where score = 77", "--csv", "secret-name.csv")
    assert "secret-name" not in Home(home).ledger.read_text() and "77" not in str(ledger.read(Home(home))[-1].facts)


# --- when it ends ---


def planned(home: Path, day: str) -> tuple[str, dict[str, int]]:
    """The plan's file, and how many extracts are due per purpose."""
    plan = kampeky("retention", "plan", "--home", home, "--as-of", day, "--json").json
    return plan["plan"], {row["dataset"]: row["due"] for row in plan["datasets"] if row["zone"] == "extracts" and row["due"]}


def test_an_extract_ends_after_seven_days_and_a_file_that_nobody_knows_with_the_next_run(home):
    sql(home, SOME_ROWS, "--csv", "first.csv", "--as-of", "2026-02-01")
    sql(home, SOME_ROWS, "--csv", "later.csv", "--as-of", "2026-02-02")
    house.put(home / "extracts" / "by-hand.csv", b"x")
    house.put(home / "extracts" / ".part-0a1b2c3d", b"x")
    Home(home).mart("analytics").rename(home / "away")
    assert planned(home, "2026-02-07")[1] == {"analytics": 2, "files": 2}, "of an extract whose mart is gone nobody would look for lost members"
    (home / "away").rename(Home(home).mart("analytics"))
    assert planned(home, "2026-02-07")[1] == {"analytics": 2, "files": 2}, "and what is not remembered can be held against nobody"
    def remembered():
        with connect(home / "tmp", extensions=("httpfs",)) as connection:
            memory = Memory(Home(home), "analytics", "run one")
            memory.file.unlink(missing_ok=True)
            memory.create(connection)

    def published(*_):
        remembered()
        return house.make_mart(home, "analytics", PROFILES) and []

    remembered()
    assert planned(home, "2026-02-07")[1] == {"files": 2}
    plan, due = planned(home, "2026-02-08")
    assert due == {"analytics": 1, "files": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.workflows.retention.build", published)
        assert kampeky("retention", "apply", plan, "--home", home).code == 0
    assert sorted(path.name for path in (home / "extracts").iterdir()) == [".later.csv.json", ".later.csv.members", "later.csv"]


# --- the prompt ---


@pytest.mark.parametrize(("text", "is_finished"), [
    ("select 1;", True), ("select 1", False), ("select 1\n;", True), ("select ';", False), ("select ';';", True), ("select 1; -- done", True),
    ("select 1 -- not yet;", False), ("select 'it''s;", False), ("", True), (".tables", True), ("  \n", True), ('select ";" ', False),
    ("select /* ; */", False)])
def test_a_statement_is_finished_by_a_semicolon_that_ends_it(text, is_finished):
    assert finished(text) is is_finished


def test_statements_of_a_file_may_have_many_lines():
    assert list(statements(["select 1,\n", "  2;\n", "\n", ".tables\n", "select 3"])) == ["select 1,\n  2;", ".tables", "select 3"]


PROMPT = "\x1b[?2004h"  # what is sent to a terminal where a prompt begins to read


def typed(home: Path, *keys: str, purpose: str = "analytics") -> str:
    """What a terminal of 100 columns shows of a session; each of `keys` is typed when the prompt stands again."""
    parent, child = pty.openpty()
    program = [sys.executable, "-m", "pipelines.cli.main", "sql", purpose, "--home", str(home)]
    process = subprocess.Popen(program, stdin=child, stdout=child, stderr=child, cwd=house.ROOT, close_fds=True,
                               env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "PROMPT_TOOLKIT_NO_CPR": "1"})
    os.close(child)
    shown, asked = "", 0
    try:
        for key in keys:
            shown = _until(parent, shown, PROMPT, asked)
            asked = len(shown)
            for part in re.findall("[^\t]*\t?", key):  # what Tab finds comes a moment later, as for a person
                os.write(parent, part.encode())
                time.sleep(0.5 * part.endswith("\t"))
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            shown += _read(parent)
        assert process.wait(1) == 0
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", shown + _read(parent))
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def _until(terminal: int, shown: str, sign: str, after: int) -> str:
    deadline = time.monotonic() + 30
    while sign not in shown[after:]:
        assert time.monotonic() < deadline, shown
        shown += _read(terminal)
    return shown


def _read(terminal: int) -> str:
    if not select.select([terminal], [], [], 0.2)[0]:
        return ""
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:
        return ""


def test_at_a_terminal_statements_of_many_lines_are_answered_in_a_table(home):
    shown = typed(home, "select age_band, count(*) as members\r from user_profiles\r where score >= 3 group by all order by all;\r", ".quit\r")
    assert re.search(r"age_band +members", shown) and re.search(r"18-24 +29", shown) and "3 rows (" in shown


def test_tab_completes_marts_and_columns_and_mistakes_do_not_end_the_session(home):
    shown = typed(home, "select count(*) + 1000 as n from user_pro\t;\r", "select nonsense from user_profiles;\r", "delete from user_profiles;\r",
                  "select count(*) + 2000 as n from user_profiles where user_profiles.sc\t < 10;\r", "\x04")
    assert "1,090" in shown and "2,010" in shown
    assert "kampeky: The query was not understood" in shown and "Candidate bindings" in shown
    assert "kampeky: Only the published marts of analytics can be read" in shown


def test_dot_commands_show_marts_columns_and_help(home):
    shown = " ".join(typed(home, ".tables\r", ".schema user_profiles\r", ".schema none\r", ".help\r", ".nonsense\r", ".quit\r").split())
    assert "Profiles. One row per member." in shown and "A score." in shown and "There is no mart 'none'" in shown
    assert ".schema [MART]" in shown and "'.nonsense' is no command of this prompt" in shown


def test_history_is_the_owners_alone_holds_no_answer_and_no_statement_that_names_somebody(home):
    somebody = "00000000-0000-0000-0000-000000000007"
    typed(home, "select score + 770000 as remembered from user_profiles limit 1;\r",
          f"select score from user_profiles where pseudonym = '{somebody}';\r", ".quit\r")
    kept = home / "history" / "analytics"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    text = kept.read_text()
    assert "select score + 770000 as remembered" in text and somebody not in text
    assert not re.search(r"77000\d\b(?! as)", text.replace("770000 as", ""))
    assert "remembered" in typed(home, "\x1b[A\r", ".quit\r"), "the last statement comes back with the arrow up"


def test_the_prompt_reads_the_mart_that_stands_at_that_moment(home):
    """A process that keeps a mart open would show the old rows for ever."""
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "pipelines.cli.main", "sql", "analytics", "--home", str(home)], stdin=child, stdout=child,
                               stderr=child, cwd=house.ROOT, close_fds=True, env=os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"})
    os.close(child)
    try:
        shown = _until(parent, "", PROMPT, 0)
        os.write(parent, b"select count(*) + 3000 as n from user_profiles;\r")
        shown = _until(parent, shown, "3,090", 0)
        other = house.new_home(home.parent / "other")
        made = house.make_mart(other, "analytics", PROFILES.replace("range(90)", "range(40)"))
        os.replace(made, home / "marts" / "analytics.duckdb")
        os.write(parent, b"select count(*) + 3000 as n from user_profiles;\r")
        _until(parent, shown, "3,040", len(shown))
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def test_statements_from_a_pipe_are_answered_without_a_prompt(home):
    def piped(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "pipelines.cli.main", "sql", "analytics", "--home", str(home)], input=text, capture_output=True,
                              text=True, cwd=house.ROOT)

    done = piped("select count(*) as n\nfrom user_profiles;\n.tables\nselect 7 as last")
    assert (done.returncode, re.findall(r"\b90\b|user_profiles|\b7\b", done.stdout)) == (0, ["90", "user_profiles", "7"])
    assert "analytics>" not in done.stdout + done.stderr and not (home / "history" / "analytics").exists()
    broken = piped("select 1;\nselec;\nselect 2;")
    assert broken.returncode == 2 and broken.stderr.splitlines()[-1].startswith("kampeky: The query was not understood")


def test_a_long_answer_is_cut_and_says_how_to_have_it_whole(home):
    shown = typed(home, "select t.n from user_profiles, range(10) as t(n);\r", ".quit\r")
    assert "the first 200 rows; write them all with: kampeky sql analytics QUERY --csv FILE" in shown


def test_the_prompt_library_is_loaded_for_the_prompt_alone(home):
    program = "import sys; from pipelines.cli.main import main\ntry: main(sys.argv[1:])\nfinally: print('prompt_toolkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, "sql", "analytics", "select 1 as n", "--home", str(home)], capture_output=True, text=True,
                          cwd=house.ROOT)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False"


def test_k_and_the_period_are_the_policys():
    book: Rulebook = house.rulebook()
    assert str(book.policy.extracts) == "P7D"
