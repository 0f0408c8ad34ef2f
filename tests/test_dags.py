"""The DAGs: wiring only, and the real thing from delivered files to one member's export."""

from __future__ import annotations

import ast
import gzip
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from dags import demo, local
from dags.access_log import look_at
from dags.forget import forget
from pipelines.evidence import ledger
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home, resolve_home
from pipelines.transformation.publish import unpublish
from pipelines.workflows.init import init
from pipelines.workflows.requests import open_request
from pipelines.workflows.rules import rules
from pipelines.workflows.simulate import simulate

FOLDER = Path(local.__file__).parent
DAG_IDS = ("backup", "build", "ingest", "privacy_request", "retention")
LIGHT = {"__future__", "os", "pathlib", "typing", "wiring", "airflow.sdk"}
TODAY, LATER = "2026-03-02", "2026-03-12"
LINE = '192.0.2.77 - - [01/Mar/2026:{time}:00 +0100] "GET /aide HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'
LAST_DAY = (
    (LINE.format(time="10:00"), date(2026, 3, 1)),
    (LINE.format(time="10:00").replace("+0100", "-1800"), date(2026, 3, 2)),
    ("junk\n\n" + LINE.format(time="10:00").replace("\n", "\r\n") + "192.0.2.1 - - [cut", date(2026, 3, 1)),
    (LINE.format(time="10:00") + LINE.format(time="10:00").replace("01/Mar/2026", "31/Dec/9999"), date(2026, 3, 1)),
    (LINE.format(time="10:00") + LINE.format(time="10:00").replace("01/Mar/2026", "28/Feb/2026"), date(2026, 3, 1)),
)


# ── what is in the files ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bag(airflow_home: Path):
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(FOLDER, bundle_path=FOLDER, bundle_name="dags-folder")


def test_the_folder_holds_these_dags_and_no_file_of_it_fails_to_load(bag):
    assert bag.import_errors == {}
    assert tuple(sorted(bag.dags)) == DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_is_its_own_runbook_and_runs_alone(bag, dag_id):
    dag = bag.dags[dag_id]
    assert "When it fails" in dag.doc_md
    assert "does not do" in dag.doc_md
    assert "kampeky" in dag.tags
    assert (dag.max_active_runs, dag.max_active_tasks, dag.catchup) == (1, 1, False)
    assert all("By hand: `kampeky " in task.doc_md for task in dag.tasks)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_task_is_one_call_of_a_workflow_and_loading_the_file_imports_nothing_heavy(dag_id):
    tree = ast.parse((FOLDER / f"{dag_id}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert name in LIGHT or name.startswith(("pipelines.foundation.", "pipelines.policy."))
    tasks = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name != dag_id]
    assert tasks
    for task in tasks:
        words, imported, call = task.body
        assert isinstance(words, ast.Expr)
        assert isinstance(imported, ast.ImportFrom)
        assert imported.module.startswith("pipelines.workflows")
        assert isinstance(call, ast.Return)
        assert isinstance(call.value, ast.Call)


def test_parameters_name_files_days_and_opaque_ids_only(bag):
    assert {dag_id: sorted(bag.dags[dag_id].params) for dag_id in DAG_IDS} == {
        "backup": ["as_of"], "build": ["as_of"], "ingest": ["as_of", "folder", "log"], "privacy_request": ["request_id"], "retention": ["as_of"],
    }


@pytest.mark.parametrize("request_id", [None, "", "someone@example.org", "a b", "x" * 65])
def test_a_request_id_is_an_id_and_nothing_that_could_be_a_person(run_dag, request_id):
    with pytest.raises(Exception, match="request_id"):
        run_dag("privacy_request", {"request_id": request_id}, datetime(2026, 3, 2, tzinfo=UTC))


def test_ingestion_tells_the_build_that_raw_is_new(bag):
    assert {asset.name for task in bag.dags["ingest"].tasks for asset in task.outlets} == {"kampeky-raw"}
    assert [asset.name for asset in bag.dags["build"].schedule] == ["kampeky-raw"]


@pytest.mark.parametrize(
    ("params", "due", "expected"),
    [
        ({}, "2026-03-01T23:30:00+00:00", "2026-03-02T00:00:00+01:00"),  # half past midnight in Paris: the new day
        ({"as_of": None}, "2026-03-01T22:30:00+00:00", "2026-03-01T00:00:00+01:00"),
        ({"as_of": "2026-07-14"}, "2026-03-01T23:30:00+00:00", "2026-07-14T00:00:00+02:00"),
    ],
)
def test_a_run_stands_for_the_paris_day_on_which_it_was_due(airflow_home, monkeypatch, params, due, expected):
    from dags import wiring

    run = SimpleNamespace(data_interval_end=None, logical_date=None, run_after=datetime.fromisoformat(due))
    monkeypatch.setattr(wiring, "get_current_context", lambda: {"params": params, "dag_run": run})
    assert wiring.as_of().isoformat() == expected


# ── what a run does ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def ran(run_dag, kampeky_home: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small marketplace through all five DAGs, as `make demo` does it."""
    delivered = tmp_path_factory.mktemp("delivered")
    simulate(delivered / "source", members=300, days=45, seed=3, end=date(2026, 3, 1))
    log = delivered / "access.log.gz"
    log.write_bytes(gzip.compress("".join(LINE.format(time=f"10:{minute:02}") for minute in range(40)).encode()))
    home, today, later = resolve_home(None), parse_as_of(TODAY), parse_as_of(LATER)
    init(home)
    runs = SimpleNamespace(home=home, source=delivered / "source", member="m000001")
    runs.ingest = run_dag("ingest", {"folder": str(runs.source), "log": str(log), "as_of": TODAY}, today)
    runs.again = run_dag("ingest", {"folder": str(runs.source), "as_of": TODAY}, today)
    runs.build = run_dag("build", {}, today)
    for purpose in set(rules().policy.built) - {"analytics"}:  # a run makes anew what is published, and of one purpose is enough here
        unpublish(home.mart(purpose))
    runs.retention = run_dag("retention", {"as_of": LATER}, later)
    runs.backup = run_dag("backup", {}, later)
    runs.request_id = open_request(home, "portability", runs.member, None, later)["request_id"]
    runs.privacy_request = run_dag("privacy_request", {"request_id": runs.request_id}, later)
    return runs


def test_every_row_that_was_read_is_accounted_for(ran):
    for source in (*ran.ingest.values["folder"], *ran.ingest.values["log"]):
        assert source["read"] == source["loaded"] + source["quarantined"] + source["refused"] + source["already_known"] > 0
    assert [source["loaded"] for source in ran.ingest.values["log"]] == [40]


def test_a_second_delivery_of_the_same_files_loads_nothing(ran):
    assert ran.again.states == {"folder": "success", "log": "skipped"}
    assert {source["loaded"] for source in ran.again.values["folder"]} == {0}


def test_each_purpose_is_built_by_a_task_of_its_own_as_of_the_day_of_the_run(ran):
    assert ran.build.states == dict.fromkeys(rules().policy.built, "success")
    assert ran.build.values["analytics"][0]["as_of"].startswith(TODAY)
    assert ran.home.mart("analytics").exists()


def test_a_backup_is_made_that_ends_by_itself(ran):
    made = ran.backup.values["make"]
    assert made["expires_on"] == "2026-03-19" and Path(made["file"]).parent == ran.home.backups


def test_retention_applies_the_plan_that_it_made(ran):
    planned, applied = ran.retention.values["plan"], ran.retention.values["apply"]
    assert planned["as_of"].startswith(LATER)
    assert planned["due"] > 0
    assert applied["left"] == 0


def test_a_request_ends_with_a_package_in_the_outbox(ran):
    answer = ran.privacy_request.values["process"]
    assert answer["state"] == "done"
    assert Path(answer["package"]).parent == ran.home.outbox
    assert Path(answer["package"]).stat().st_mode & 0o077 == 0


def test_airflow_knows_the_request_and_never_the_member(ran, airflow_home):
    kept = b"".join(path.read_bytes() for path in airflow_home.rglob("*") if path.is_file())
    assert ran.request_id.encode() in kept  # the search can see
    assert ran.member.encode() not in kept
    assert b"@example" not in kept
    assert b"192.0.2.77" not in kept


def test_what_airflow_keeps_of_runs_that_are_long_over_goes_with_its_logs_and_what_is_younger_stays(ran, airflow_home):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def known() -> dict[str, list[str]]:
        with create_session() as session:
            return {dag_id: [*session.scalars(select(DagRun.run_id).where(DagRun.dag_id == dag_id))] for dag_id in DAG_IDS}

    def log(dag_id: str, run_id: str, day: datetime) -> Path:
        path = airflow_home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / "task_id=x" / "attempt=1.log"
        path.parent.mkdir(parents=True)
        path.write_text("done")
        os.utime(path, (day.timestamp(), day.timestamp()))
        return path

    before, now, long_ago = known(), datetime.now(UTC), datetime(2019, 1, 1, tzinfo=UTC)  # an Airflow in one process dates runs as they say
    assert before["backup"] and before["ingest"]
    old, young, others = log("backup", "old", long_ago), log("backup", "young", now), log("ingest", "old", long_ago)
    assert forget(long_ago + timedelta(days=30), ["backup"]) == 1
    assert known() == before and not old.exists() and young.exists() and others.exists()
    forget(now + timedelta(minutes=1), ["backup"])
    assert known() == before | {"backup": []} and not young.exists() and not (airflow_home / "logs" / "dag_id=backup").exists() and others.exists()
    kept = (airflow_home / "airflow.db").read_bytes()
    assert before["ingest"][0].encode() in kept and before["backup"][0].encode() not in kept, "not in the file's free pages either"


@pytest.mark.parametrize(
    ("dag_id", "conf", "words"),
    [
        ("ingest", {"folder": "no-such-folder"}, "no such folder"),
        ("privacy_request", {"request_id": "R-000000000000"}, "no request with that id"),
        ("retention", {"as_of": "yesterday"}, "is not a date"),
    ],
)
def test_a_dag_that_fails_says_why_in_one_sentence(ran, run_dag, dag_id, conf, words):
    with pytest.raises(local.DagFailed, match=words):
        run_dag(dag_id, conf, parse_as_of(LATER))


# ── the demo's own decisions ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("text", "day"), LAST_DAY)
def test_the_demo_finds_the_last_day_of_a_log(tmp_path, text, day, packed):
    log = tmp_path / "access.log"
    log.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert look_at(log).last_day == day


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "holds no line of an access log"),
        (b"timestamp,value\n1,2\n" * 50, "holds no line of an access log"),
        (bytes(range(256)) * 400, "holds no line of an access log"),
        (gzip.compress(LINE.encode() * 900)[:-20], "damaged archive"),
    ],
)
def test_the_demo_refuses_what_is_no_access_log_before_it_makes_anything(tmp_path, monkeypatch, capsys, content, words):
    log, home = tmp_path / "access.log", tmp_path / "home"
    if content is not None:
        log.write_bytes(content)
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("KAMPEKY_HOME", str(home))
    assert demo.main() != 0
    assert words in capsys.readouterr().err
    assert not home.exists()


def test_the_demo_leaves_a_home_alone_that_it_did_not_make(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    home.create()
    before = sorted(home.root.rglob("*"))
    monkeypatch.setattr(demo, "WORK", tmp_path / "work")
    with pytest.raises(KampekyError, match="was not made by the demo"):
        demo._own_home(home, {"log": "a"})
    assert sorted(home.root.rglob("*")) == before


def test_the_demo_takes_up_its_home_for_the_same_log_and_makes_it_anew_for_another(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    monkeypatch.setattr(demo, "WORK", tmp_path / "work")
    monkeypatch.setattr(demo, "_kampeky", lambda word: home.create())
    demo._own_home(home, {"log": "a"})
    (home.root / "kept").touch()
    assert demo._own_home(home, {"log": "a"}) == {"made_of": {"log": "a"}}
    assert (home.root / "kept").exists()
    demo._own_home(home, {"log": "b"})
    assert not (home.root / "kept").exists()
    assert home.marker.exists()


def test_the_demo_leaves_its_home_alone_once_somebody_used_it_and_asks_for_another(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    monkeypatch.setattr(demo, "WORK", tmp_path / "work")
    monkeypatch.setattr(demo, "_kampeky", lambda word: home.create())
    state = demo._own_home(home, {"log": "a"})
    ledger.append(home, "ingest", parse_as_of(TODAY), {})
    demo._write(demo._mark(home), state | {"acts": 1})
    ledger.append(home, "request received", parse_as_of(TODAY), {})
    with pytest.raises(KampekyError, match="has been used since"):
        demo._own_home(home, {"log": "b"})
    assert len(ledger.read(home)) == 2
    assert demo._own_home(home, {"log": "a"})["acts"] == 1, "of the same log it is taken up as before"
