"""Fixtures that more than one test file uses."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from dags import local


def pytest_configure() -> None:
    """Two workers share two cores, and most tables of tests are small: one thread of DuckDB each takes a sixth less of both. What Airflow, dbt
    and Great Expectations keep in memory is not gone through for garbage every few hundred objects."""
    gc.set_threshold(200_000, 50, 100)
    if "PYTEST_XDIST_WORKER" in os.environ:
        connect = duckdb.connect

        def alone(*given: object, config: dict[str, object] | None = None, **more: object) -> duckdb.DuckDBPyConnection:
            return connect(*given, config={"threads": "1", **(config or {})}, **more)

        duckdb.connect = alone


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow made ready in this process (6 s, once), everything of it below the folder returned. Its settings stay in the environment."""
    folder = tmp_path_factory.mktemp("airflow")
    local.start(folder)
    return folder


@pytest.fixture(scope="session")
def run_dag(airflow_home: Path) -> Callable[..., local.Run]:
    """`run_dag(dag_id, conf, day)`: a real DAG, run here."""
    return local.run


@pytest.fixture(scope="module")
def kampeky_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder that KAMPEKY_HOME names while the tests of one module run."""
    before, folder = os.environ.get("KAMPEKY_HOME"), tmp_path_factory.mktemp("kampeky") / "home"
    os.environ["KAMPEKY_HOME"] = str(folder)
    yield folder
    del os.environ["KAMPEKY_HOME"]
    if before is not None:
        os.environ["KAMPEKY_HOME"] = before


@pytest.fixture(scope="session", autouse=True)
def proved_before() -> Iterator[None]:
    """Builds take rules, models and code for proved by the canary, which is a build of its own in every new home: test_canary.py runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.workflows.build.ensure_proved", lambda *_: None)
        yield
