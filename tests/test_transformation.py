"""dbt builds each purpose from its own encrypted zone, says nothing about anybody, and marts are replaced whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipelines.engines.duckdb_engine import Error, connect, quote_text
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.home import PROJECT
from pipelines.policy.rulebook import load_rulebook
from pipelines.pseudonymisation.zone import zone_columns
from pipelines.transformation.dbt_build import BuildFailed, _kind, _manifest, build_models
from pipelines.transformation.dbt_session import dbt_session
from pipelines.transformation.publish import mart_tables, publish, unpublish

DBT = PROJECT / "dbt_project"
AS_OF = date(2026, 3, 2)
CELL = 10
ANNA, BEN, CLEO, GONE = (f"{n}a5b6c7d-1111-4222-8333-94445556667{n}" for n in (1, 2, 3, 9))
DEVICES = [f"d{n}a5b6c7-aaaa-4bbb-8ccc-94445556667{n}" for n in (1, 2)]
KEYS = {"zone": "zone-key-0f1e2d3c4b5a", "build": "build-key-5a4b3c2d1e0f", "advertising": "mart-key-77aa88bb99cc"}
PURPOSES = ("analytics", "advertising")
RULES = load_rulebook(PROJECT / "data_contracts")
POSTS = [(ANNA, "shoes", "2025-12-01"), (ANNA, "shoes", "2025-12-01"), (ANNA, "coats", "2026-01-15"), (ANNA, "coats", "2026-01-16"),
         (GONE, "coats", "2026-01-16")]  # who did not pass the gate for registration has no profile
Row = dict[str, object]


def tables_of(purpose: str) -> dict[str, dict[str, str]]:
    """The tables of the purpose's zone, as the contracts say: table → column → type."""
    return {contract.name: zone_columns(contract, purpose) for contract in RULES.entering(purpose)}


def named_rows(columns: str, *rows: tuple) -> list[Row]:
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


def rows_of(purpose: str) -> dict[str, list[Row]]:
    """What stands in the zone; a column that the purpose has not is left out of its rows."""
    return {
        "members": named_rows("pseudonym registration_channel registered_month gender age_band region has_picture last_active_month",
                              (ANNA, "direct", "2024-11-01", "female", "25-34", "FR-BRE", True, "2026-02-01"),
                              (BEN, "google", "2026-03-01", None, None, None, False, "2026-03-01"),
                              (CLEO, "facebook", "2025-03-01", "other", "65+", None, False, "2026-01-01")),
        "forum_posts": named_rows("pseudonym forum_category paris_day", *POSTS),
        "usage_events": named_rows(
            "pseudonym device_key occurred_at paris_day event_type route item_category device_class ends_on values_end_on",
            # due on 2 March, the day of the build: its device class must not be the main one, the event itself stays
            (ANNA, DEVICES[0], "2026-01-31 10:00:00+01", "2026-01-31", "ad_view", "panier", "shoes", "tablet", "2027-02-28", "2026-03-02"),
            (ANNA, DEVICES[0], "2026-01-31 10:01:00+01", "2026-01-31", "ad_view", "panier", "shoes", "tablet", "2027-02-28", "2026-03-02"),
            # due on 3 March
            (ANNA, DEVICES[1], "2026-02-01 10:00:00+01", "2026-02-01", "ad_click", "offre", "coats", "mobile", "2027-03-01", "2026-03-03"),
            (ANNA, DEVICES[1], "2026-02-02 10:00:00+01", "2026-02-02", "item_view", "offre", "coats", "desktop", "2027-03-02", "2026-03-04"),
            (CLEO, DEVICES[0], None, "2025-12-24", "search", None, None, None, "2027-01-24", "2026-01-23"),
            (None, DEVICES[0], "2026-02-20 10:00:00+01", "2026-02-20", "search", "aide", "hats", "bot", "2027-03-20", "2026-03-22")),
        "access_logs": named_rows(
            "pseudonym requested_at paris_day route device_class ends_on",
            (ANNA, "2026-01-31 10:00:00+01", "2026-01-31", "panier", "tablet", "2026-03-02"),
            (ANNA, "2026-02-01 10:00:00+01", "2026-02-01", "forum", "mobile", "2026-03-03"),
            (ANNA, "2026-02-01 10:05:00+01", "2026-02-01", "forum", "mobile", "2026-03-03"),
            (ANNA, "2026-03-01 10:00:00+01", "2026-03-01", "aide", "mobile", "2026-03-31"),
            (CLEO, "2026-01-30 10:00:00+01", "2026-01-30", "panier", "mobile", "2026-03-01")),
        "consents": named_rows("pseudonym kind paris_day", (ANNA, "email_marketing", "2026-01-01"), (CLEO, "mailbox_marketing", "2025-01-01"),
                               (GONE, "email_marketing", "2026-01-01")),
    }


def make_zone(folder: Path, purpose: str, more: str = "") -> Path:
    """A purpose's lake as pseudonymisation leaves it; `more` is SQL run at the end."""
    folder.mkdir(parents=True)
    catalog, connection = folder / "catalog.duckdb", connect(folder)
    connection.execute(f"attach {quote_text(f'ducklake:{catalog}')} as zone (data_path {quote_text(f'{folder}/data/')}, "
                       f"encrypted true, meta_encryption_key {quote_text(KEYS['zone'])})")
    for table, columns in tables_of(purpose).items():
        connection.execute(f"create table zone.main.{table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        for row in rows_of(purpose)[table]:
            found = {name: value for name, value in row.items() if name in columns}
            connection.execute(f"insert into zone.main.{table} ({', '.join(found)}) values ({', '.join('?' * len(found))})", list(found.values()))
    connection.execute(more)
    connection.close()
    return catalog


def build(purpose: str, catalog: Path, folder: Path, project: Path = DBT):
    return build_models(purpose, catalog, KEYS["zone"], folder / f"{purpose}.duckdb", KEYS["build"], AS_OF, folder / "work", project, cell=CELL)


def read(path: Path, key: str | None, query: str) -> list[tuple]:
    connection = connect(path.parent, extensions=())
    try:
        option = f", encryption_key {quote_text(key)}" if key else ""
        connection.execute(f"attach {quote_text(str(path))} as mart (read_only{option}); use mart")
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def told(folder: Path) -> dict[str, bytes]:
    """Every file of a work folder but the extensions, which are links into the environment."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "extensions" not in path.parts}


def assert_says_nothing(texts: dict[str, bytes]) -> None:
    secrets = [*KEYS.values(), ANNA, BEN, CLEO, GONE, *DEVICES]
    secrets += [s.replace("-", "") for s in secrets]
    for name, content in texts.items():
        for number, secret in enumerate(secrets):
            assert secret.encode() not in content, f"secret {number} stands in {name}"


def surroundings() -> tuple:
    return dict(os.environ), Path.cwd(), sorted(DBT.rglob("*"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Both purposes built and published once, from a home restored at another place, among a developer's own dbt settings."""
    root = tmp_path_factory.mktemp("transformation")
    made = SimpleNamespace(root=root, results={}, rows={}, marts={}, builds={}, work={}, catalogs={}, around=[])
    for purpose in PURPOSES:
        make_zone(root / "before" / purpose, purpose)
    (root / "before").rename(root / "zones")
    settings = pytest.MonkeyPatch()
    settings.setenv("DBT_DEBUG", "1")
    settings.setenv("DBT_TARGET", "elsewhere")
    made.around.append(surroundings())
    for purpose in PURPOSES:
        folder = root / "build" / purpose
        made.catalogs[purpose] = root / "zones" / purpose / "catalog.duckdb"
        made.results[purpose] = build(purpose, made.catalogs[purpose], folder)
        made.builds[purpose], made.work[purpose] = folder / f"{purpose}.duckdb", folder / "work"
        made.marts[purpose] = root / "marts" / f"{purpose}.duckdb"
        made.rows[purpose] = publish(made.builds[purpose], KEYS["build"], made.marts[purpose], KEYS.get(purpose), mart_tables(DBT, purpose),
                                     {"run": "r1", "policy_version": "2014-2", "as_of": "2026-03-02", "risk": 0.25, "members": 3}, root)
    made.around.append(surroundings())
    settings.undo()
    return made


def test_every_model_and_test_of_a_purpose_runs(world):
    for purpose, result in world.results.items():
        folder = DBT / "models" / purpose
        assert result.models == len(list(folder.rglob("*.sql")))
        assert result.unit_tests == sum(len(yaml.safe_load(path.read_text()).get("unit_tests", [])) for path in folder.rglob("*.yml"))
        assert result.tests > 10 and result.failures == ()
    assert world.rows == {"analytics": {"user_profiles": 3, "sessions": 5, "member_activity_daily": 5, "forum_activity": 0, "cohorts": 0},
                          "advertising": {"ad_profiles": 3, "ad_segments": 8, "email_audience": 2}}


def test_a_user_profile_holds_what_its_member_did_and_nothing_that_is_due(world):
    assert read(world.marts["analytics"], None, "select * replace (pseudonym::varchar as pseudonym) from user_profiles") == [
        (ANNA, "25-34", "female", "this or last month", "1-2 years", "FR-BRE", "3-9 days", "desktop", "coats", "direct", "coats", 4, 2, 3),
        (BEN, "unknown", "unknown", "this or last month", "under 3 months", "unknown", "none", "unknown", "none", "google", "none", 0, 0, None),
        (CLEO, "65+", "other", "2-5 months ago", "1-2 years", "unknown", "none", "unknown", "none", "facebook", "none", 1, 1, None),
    ]


def test_sessions_end_with_their_times_and_a_visitors_is_marked(world):
    columns = "pseudonym::varchar, is_visitor, source, agent, page_count"
    rows = read(world.marts["analytics"], None, f"select {columns} from sessions order by all")
    assert rows == [
        (ANNA, False, "log", "browser", 1),
        (ANNA, False, "log", "browser", 2),
        (ANNA, False, "usage", "browser", 1),
        (ANNA, False, "usage", "browser", 1),
        (DEVICES[0], True, "usage", "bot", 1),
    ]


def test_an_ad_profile_holds_no_log_and_no_count(world):
    assert read(world.marts["advertising"], KEYS["advertising"], "select * replace (pseudonym::varchar as pseudonym) from ad_profiles") == [
        (ANNA, "25-34", "female", "this or last month", "1-2 years", "3-9 days", "desktop", "coats", "direct", "coats", "shoes", "1-4", "1-4", "1-2"),
        (BEN, "unknown", "unknown", "this or last month", "under 3 months", "none", "unknown", "none", "google", "none", "none", "none", "none",
         "none"),
        (CLEO, "65+", "other", "2-5 months ago", "1-2 years", "none", "unknown", "none", "facebook", "none", "none", "none", "none", "none"),
    ]


def test_an_audience_holds_whom_its_channel_may_reach_and_nobody_else(world):
    mart, key = world.marts["advertising"], KEYS["advertising"]
    assert read(mart, key, "select pseudonym::varchar, channel, segment, top_item_category from email_audience") == [
        (ANNA, "email", "general", "coats"), (CLEO, "mailbox", "general", "none")]
    assert read(mart, key, "select distinct is_usable, member_count, refusal from ad_segments") == [(False, None, "too few members")]


def test_a_mart_says_which_build_it_is_and_what_its_columns_mean(world):
    mart = world.marts["analytics"]
    assert read(mart, None, "select run, policy_version, as_of, risk, members from _build") == [("r1", "2014-2", "2026-03-02", 0.25, 3)]
    columns = read(mart, None, "select is_nullable, comment from duckdb_columns() where database_name = 'mart' and table_name = 'user_profiles'")
    assert len(columns) == 14 and all(comment for _, comment in columns)
    assert "One row per member" in read(mart, None, "select comment from duckdb_tables() where table_name = 'user_profiles'")[0][0]
    assert [nullable for nullable, _ in columns].count(False) == 13


def test_the_advertising_mart_opens_with_its_key_only(world):
    for key in (None, KEYS["build"]):
        with pytest.raises(Error):
            read(world.marts["advertising"], key, "select count(*) from ad_profiles")
    assert b"ad_profiles" not in world.marts["advertising"].read_bytes()
    assert b"user_profiles" in world.marts["analytics"].read_bytes()  # the same look at a plain file sees the name


def test_published_files_are_whole_and_private(world):
    for mart in world.marts.values():
        assert stat.S_IMODE(mart.stat().st_mode) == 0o640
    assert sorted(path.name for path in (world.root / "marts").iterdir()) == ["advertising.duckdb", "analytics.duckdb"]
    for work in world.work.values():
        assert {stat.S_IMODE((work / "target" / name).stat().st_mode) for name in ("manifest.json", "run_results.json")} == {0o600}


def test_artefacts_hold_neither_keys_nor_pseudonyms(world):
    for work in world.work.values():
        texts = told(work)
        assert any("compiled" in name for name in texts) and b"stg_" in texts["target/manifest.json"]  # there is something to look at
        assert_says_nothing(texts)
    with pytest.raises(AssertionError):
        assert_says_nothing({"planted": f"duckdb error: duplicate key {ANNA}".encode()})


def test_the_manifest_holds_the_compiled_sql_for_lineage(world):
    for purpose, mart in (("analytics", "user_profiles"), ("advertising", "ad_profiles")):
        nodes = json.loads((world.work[purpose] / "target" / "manifest.json").read_text())["nodes"]
        assert '"mart"."main"."int_' in nodes[f"model.kampeky.{mart}"]["compiled_code"]
        assert '"zone"."main"."members"' in nodes[f"model.kampeky.stg_{purpose}__members"]["compiled_code"]


def test_after_a_build_another_process_can_open_zone_and_build(world):
    program = ("import sys; from pathlib import Path; from pipelines.engines.duckdb_engine import connect; c = connect(Path(sys.argv[1]));"
               "c.execute(f\"attach 'ducklake:{sys.argv[2]}' as zone (meta_encryption_key '{sys.argv[3]}')\");"
               "c.execute('insert into zone.main.members select * from zone.main.members limit 0');"
               "c.execute(f\"attach '{sys.argv[4]}' as build (encryption_key '{sys.argv[5]}')\");"
               "c.execute('create table build.probe as select 1; drop table build.probe')")
    arguments = [world.root, world.catalogs["analytics"], KEYS["zone"], world.builds["analytics"], KEYS["build"]]
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr


def test_a_build_leaves_environment_folder_and_project_as_they_were(world):
    assert world.around[0] == world.around[1]
    assert "DBT_TARGET" in world.around[0][0] and not any("KAMPEKY_BUILD" in name or "SECRET" in name for name in world.around[1][0])


def test_a_member_twice_fails_the_build_by_name_without_a_value(tmp_path, capfd):
    catalog = make_zone(tmp_path / "zone", "analytics", f"insert into zone.main.members from zone.main.members where pseudonym = '{ANNA}'")
    with pytest.raises(BuildFailed) as failed:
        build("analytics", catalog, tmp_path / "b")
    assert failed.value.result.failures == ("unique_stg_analytics__members_pseudonym",)
    assert "unique_stg_analytics__members_pseudonym (1 failing)" in str(failed.value) and "run_results.json" in str(failed.value)
    assert not list((tmp_path / "b").glob("*.duckdb*")), "a failed build leaves nothing to publish"
    assert_says_nothing({**told(tmp_path / "b" / "work"), "message": repr(failed.value).encode()})
    assert capfd.readouterr() == ("", "")


def test_a_database_error_that_quotes_a_row_is_told_by_its_kind(tmp_path, capfd):
    project = shutil.copytree(DBT, tmp_path / "project")
    model = project / "models" / "advertising" / "staging" / "stg_advertising__forum_posts.sql"
    model.write_text(model.read_text().replace("        forum_category,", "        pseudonym::varchar::integer::varchar as forum_category,"))
    catalog = make_zone(tmp_path / "zone", "advertising")
    with pytest.raises(BuildFailed) as failed:
        build("advertising", catalog, tmp_path / "b", project)
    assert "Conversion Error" in str(failed.value)
    assert_says_nothing({**told(tmp_path / "b" / "work"), "message": repr(failed.value).encode()})
    assert capfd.readouterr() == ("", "")
    assert failed.value.__cause__ is None and failed.value.__context__ is None


@pytest.mark.parametrize(("words", "told"), [
    ('Runtime Error in model m\n  Binder Error: Referenced column "registred" not found in FROM clause!', "no column registred"),
    ("Catalog Error: Table with name profils does not exist!", "no table profils"),
    ('Conversion Error: Could not convert string \'Binder Error: Referenced column "dupont" not found\' to INT32', "Conversion Error"),
    ('Binder Error: Cannot mix values; "Referenced column "dupont" not found"', "Binder Error")])
def test_of_an_error_a_name_is_told_that_the_model_wrote_and_never_words_of_a_value(words, told):
    assert _kind(words) == told


def test_a_model_that_reaches_into_another_purpose_is_refused(world, tmp_path):
    project = shutil.copytree(DBT, tmp_path / "project")
    mart = project / "models" / "analytics" / "marts" / "user_profiles.sql"
    mart.write_text(mart.read_text().replace("ref('stg_analytics__members')", "ref('ad_profiles')"))
    with pytest.raises(Refused, match=r"ad_profiles.*C-3\.3b"):
        build("analytics", world.catalogs["analytics"], tmp_path / "b", project)


def test_a_wrong_key_and_a_missing_zone_are_told_in_a_sentence(world, tmp_path):
    arguments = (KEYS["build"], AS_OF, tmp_path / "work", DBT)
    with pytest.raises(KampekyError, match="its key is the right one") as failed:
        build_models("analytics", world.catalogs["analytics"], "not-the-key", tmp_path / "b.duckdb", *arguments, cell=CELL)
    assert "not-the-key" not in str(failed.value)
    with pytest.raises(KampekyError, match="Pseudonymise first"):
        build_models("analytics", tmp_path / "none.duckdb", KEYS["zone"], tmp_path / "b.duckdb", *arguments, cell=CELL)
    with pytest.raises(Misuse, match="advertising, analytics, improvement"):
        build_models("marketing", world.catalogs["analytics"], KEYS["zone"], tmp_path / "b.duckdb", *arguments, cell=CELL)


def publish_again(world, target: Path, **row) -> dict[str, int]:
    return publish(world.builds["analytics"], KEYS["build"], target, None, mart_tables(DBT, "analytics"), row, world.root)


def test_whoever_reads_a_mart_keeps_reading_it_whole_while_it_is_replaced(world, tmp_path):
    target = tmp_path / "analytics.duckdb"
    publish_again(world, target, run="old")
    reader = connect(tmp_path, extensions=())
    reader.execute(f"attach {quote_text(str(target))} as mart (read_only)")
    publish_again(world, target, run="new")
    assert reader.execute("select run, (select count(*) from mart.user_profiles) from mart._build").fetchall() == [("old", 3)]
    reader.close()
    assert read(target, None, "select run from _build") == [("new",)]
    assert [path.name for path in tmp_path.iterdir()] == ["analytics.duckdb"]


def test_the_same_input_gives_the_same_content(world, tmp_path):
    first, second = tmp_path / "first.duckdb", tmp_path / "second.duckdb"
    publish_again(world, first, run="a")
    publish_again(world, second, run="b")
    content = read(first, None, "select * from user_profiles")
    assert content == read(second, None, "select * from user_profiles")
    assert [str(row[0]) for row in content] == sorted(str(row[0]) for row in content)


def test_a_publication_that_fails_leaves_the_published_mart(world, tmp_path):
    target = tmp_path / "analytics.duckdb"
    publish_again(world, target, run="good")
    for key, tables, words in ((KEYS["build"], ("user_profiles", "no_such"), "no table 'no_such'"), ("wrong-key", ("user_profiles",), "opens under")):
        with pytest.raises(KampekyError, match=words) as failed:
            publish(world.builds["analytics"], key, target, None, tables, {"run": "bad"}, world.root)
        assert key not in str(failed.value)
    assert read(target, None, "select run from _build") == [("good",)]
    assert [path.name for path in tmp_path.iterdir()] == ["analytics.duckdb"]


def test_unpublishing_takes_the_mart_and_what_a_killed_publication_left(world, tmp_path):
    target, other = tmp_path / "analytics.duckdb", tmp_path / "advertising.duckdb"
    publish_again(world, target, run="r")
    other.write_bytes(b"stays")
    left = tmp_path / f".{target.name}.0a1b2c3d"
    left.mkdir()
    (left / target.name).write_bytes(b"rows")
    unpublish(target)
    unpublish(target)  # twice is as good as once
    assert [path.name for path in tmp_path.iterdir()] == ["advertising.duckdb"]


def test_dbt_has_no_key_of_ours_in_its_environment_but_those_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("KAMPEKY_KEY_RAW", "kqxkey")
    monkeypatch.setenv("KAMPEKY_KEY_COMMAND", "kqxcommand")
    with dbt_session(DBT, tmp_path, {"DBT_ENV_SECRET_ZONE_KEY": "given"}):
        assert not [name for name in os.environ if name.startswith("KAMPEKY_KEY")] and os.environ["DBT_ENV_SECRET_ZONE_KEY"] == "given"
    assert (os.environ["KAMPEKY_KEY_RAW"], os.environ["KAMPEKY_KEY_COMMAND"]) == ("kqxkey", "kqxcommand")


def test_the_project_is_read_once_until_a_file_of_it_changes(tmp_path):
    read: list[str] = []
    made = SimpleNamespace(deepcopy=lambda: f"copy {len(read)}", nodes={}, macros={})

    def parse() -> SimpleNamespace:
        read.append("read")
        return made

    model = tmp_path / "models" / "a.sql"
    model.parent.mkdir()
    shutil.copy(DBT / "dbt_project.yml", tmp_path)
    model.write_text("select 1")
    assert [_manifest(tmp_path, parse) for _ in range(2)] == ["copy 1", "copy 1"]
    model.write_text("select 2 as b")
    assert _manifest(tmp_path, parse) == "copy 2"
    (model.parent / "b.yml").write_text("version: 2")
    assert _manifest(tmp_path, parse) == "copy 3"
    assert _manifest(tmp_path, parse) == "copy 3"


def test_marts_are_the_files_of_their_folder():
    assert mart_tables(DBT, "analytics") == ("cohorts", "forum_activity", "member_activity_daily", "sessions", "user_profiles")
    assert mart_tables(DBT, "advertising") == ("ad_profiles", "ad_segments", "email_audience")
    with pytest.raises(Misuse, match="no mart for purpose 'marketing'"):
        mart_tables(DBT, "marketing")


def contracts() -> dict[str, dict]:
    return {path.name.split(".")[0]: yaml.safe_load(path.read_text()) for path in (PROJECT / "data_contracts").glob("*.odcs.yaml")}


def named(column: str, rule: str | dict) -> str:
    """The name under which a transformed column enters a zone."""
    use = rule if isinstance(rule, str) else rule["use"]
    return rule["as"] if isinstance(rule, dict) and "as" in rule else column if use in ("keep", "moment") else use


@pytest.mark.parametrize("purpose", PURPOSES)
def test_sources_are_exactly_what_the_contracts_let_into_the_purpose(purpose):
    allowed: dict[str, set[str]] = {}
    for name, contract in contracts().items():
        for column in contract["schema"][0]["properties"]:
            transforms = next((p["value"] for p in column["customProperties"] if p["property"] == "transforms"), {})
            rule = transforms.get(purpose)
            if rule:
                allowed.setdefault(name, set()).add(named(column["name"], rule))
    source = yaml.safe_load((DBT / "models" / purpose / "staging" / "_sources.yml").read_text())["sources"][0]
    assert (source["name"], source["database"], source["schema"]) == (purpose, "zone", "main")
    technical = {"paris_day", "ends_on", "values_end_on"}
    assert {table["name"]: {column["name"] for column in table["columns"]} - technical for table in source["tables"]} == {
        name: columns - technical for name, columns in allowed.items()}
    assert all(column["description"] and column["data_type"] for table in source["tables"] for column in table["columns"])


def test_no_model_counts_days_of_retention_itself():
    """C-10.1: the zone says when a row and its values end; a period in SQL would be a second copy of the rule."""
    texts = {path: path.read_text() for folder in ("models", "macros") for path in (DBT / folder).rglob("*.sql")}
    period = r"(paris_day|_on|_at) *[+-] *([0-9]|interval '?[0-9]+'? *(day|month))|_days\b.*var\("
    assert not [path.name for path, text in texts.items() if re.search(period, text)]


def test_every_model_says_its_grain_and_every_mart_is_a_contract_of_its_purpose(world):
    nodes = json.loads((world.work["analytics"] / "target" / "manifest.json").read_text())["nodes"].values()
    for model in (node for node in nodes if node["resource_type"] == "model"):
        assert "One row per" in model["description"].strip().split(". ")[-1], model["name"]
        assert model["columns"] and all(column["description"] and column["data_type"] for column in model["columns"].values()), model["name"]
        mart = "/marts/" in model["original_file_path"]
        assert model["access"] == ("public" if mart else "private") and model["config"]["contract"]["enforced"] is mart
        assert model["group"] == model["original_file_path"].split("/")[1] and model["database"] == "mart"
    assert not any("current_date" in path.read_text() or "now()" in path.read_text() for path in DBT.rglob("*.sql"))
