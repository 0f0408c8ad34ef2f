"""Where inputs lie: patterns and folders name the files that they say, an object of a store is read like a file, and no secret is told."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import house
import pytest
from house import put

from pipelines.foundation.errors import KampekyError, Misuse
from pipelines.foundation.home import Home
from pipelines.sources.places import Store, expand, gathered

LINES = [house.log_line(agent=f"placed {n}") for n in range(6)]
SECRET_NAMES = ("KAMPEKY_S3_ENDPOINT", "KAMPEKY_S3_KEY_ID", "KAMPEKY_S3_SECRET", "KAMPEKY_S3_REGION")


def log(path: Path, *numbers: int) -> Path:
    return put(path, house.lines(*(LINES[n] for n in numbers)))


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


def stored(home) -> list[str]:
    return [agent for (agent,) in house.raw(home, "select user_agent from lake.main.access_logs where user_agent like 'placed%' order by all")]


# --- files, patterns, folders ---


def test_a_pattern_names_what_it_matches_in_order_and_a_folder_all_below_it_but_the_hidden(tmp_path):
    for name in ("b.log", "a.log", "deep/er/c.log", ".hidden.log", "deep/.git/d.log", "x.txt"):
        log(tmp_path / name, 0)

    def names(word: str) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in expand([f"{tmp_path}/{word}" if word else tmp_path])]

    assert names("*.log") == ["a.log", "b.log"]
    assert names("**/*.log") == ["a.log", "b.log", "deep/er/c.log"]
    assert names("[ab].log") == ["a.log", "b.log"]
    assert names("") == ["a.log", "b.log", "deep/er/c.log", "x.txt"]
    assert names(".hidden.log") == [".hidden.log"]
    with pytest.raises(Misuse, match="matches no file"):
        names("*.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Misuse, match="without any file"):
        names("empty")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    log(tmp_path / "a.log", 0)
    path = log(tmp_path / "[a].log", 1)
    assert expand([path]) == [path]


def test_folders_and_patterns_are_ingested_and_what_lies_in_the_home_is_not(home, tmp_path):
    log(tmp_path / "in" / "a.log", 0, 1)
    put(tmp_path / "in" / "deep" / "b.log.gz", gzip.compress(house.lines(LINES[2])))
    (balance,) = house.kampeky("ingest", "access_logs", tmp_path / "in", "--home", home, "--as-of", house.AS_OF, "--json").json
    assert (balance["read"], balance["loaded"], balance["files"]) == (3, 3, 2)
    (balance,) = house.kampeky("ingest", "access_logs", f"{tmp_path}/in/**/*.gz", "--home", home, "--as-of", house.AS_OF, "--json").json
    assert (balance["read"], balance["already_known"], balance["files"]) == (1, 1, 1)
    before = house.state(home)
    assert "lies in the home" in house.kampeky("ingest", "access_logs", f"{home}/evidence/*", "--home", home).sentence
    assert (house.state(home), stored(home)) == (before, ["placed 0", "placed 1", "placed 2"])


# --- s3:// ---


@pytest.fixture(scope="module")
def store():
    """A real S3 server on this machine that checks signatures; (endpoint, key id, secret, client)."""
    import boto3
    from moto.core.authorization import settings
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    reach = {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-west-3"}
    users = boto3.client("iam", aws_access_key_id="x", aws_secret_access_key="y", **reach)
    users.create_user(UserName="reader")
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    users.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=document)
    key = users.create_access_key(UserName="reader")["AccessKey"]
    client = boto3.client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], **reach)
    client.create_bucket(Bucket="delivered", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    before, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0
    yield reach["endpoint_url"], key["AccessKeyId"], key["SecretAccessKey"], client
    settings.INITIAL_NO_AUTH_ACTION_COUNT = before
    server.stop()


@pytest.fixture
def delivered(store, monkeypatch):
    """put(key, content) into the bucket, with the environment that reads it."""
    endpoint, key_id, secret, client = store
    for name in os.environ:
        if name.startswith(("AWS_", "KAMPEKY_S3_")):
            monkeypatch.delenv(name)
    for name, value in zip(SECRET_NAMES, (endpoint, key_id, secret, "eu-west-3"), strict=True):
        monkeypatch.setenv(name, value)
    return lambda key, content: client.put_object(Bucket="delivered", Key=key, Body=content)


def ingest(home: Path, *words: str) -> house.Answer:
    return house.kampeky("ingest", "access_logs", *words, "--home", home, "--as-of", house.AS_OF, "--json")


def test_objects_are_read_like_files_and_known_again_by_their_content(home, tmp_path, delivered):
    delivered("day/a é.log", house.lines(LINES[0], "broken"))
    delivered("day/deep/b.gz", gzip.compress(house.lines(LINES[1])))
    delivered("other/c.log", house.lines(LINES[2]))
    (balance,) = ingest(home, "s3://delivered/day/").json
    assert (balance["read"], balance["loaded"], balance["quarantined"], balance["files"]) == (3, 2, 1, 2)
    (balance,) = ingest(home, "s3://delivered/*/*.log", log(tmp_path / "copy.log", 1)).json
    assert (balance["read"], balance["loaded"], balance["already_known"], balance["files"]) == (4, 1, 3, 3)
    (balance,) = ingest(home, "s3://delivered/other/c.log").json
    assert balance["already_known"] == 1
    assert stored(home) == ["placed 0", "placed 1", "placed 2"]
    assert list(Home(home).tmp.iterdir()) == []


def test_a_copy_is_for_its_owner_alone_and_gone_afterwards_and_so_is_one_that_a_kill_left(home, delivered):
    delivered("day/a.log", house.lines(LINES[0]))
    left = put(Home(home).tmp / "inputs-dead" / "000", b"personal").parent
    with gathered(Home(home), ["s3://delivered/day/a.log"], os.environ) as ((path, name),):
        assert not left.exists()
        assert (name, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("s3://delivered/day/a.log", 0o600, 0o700)
        with gathered(Home(home), ["s3://delivered/day/a.log"], os.environ):
            assert path.exists(), "another run leaves it alone"
    assert list(Home(home).tmp.iterdir()) == []


def test_what_is_wrong_with_an_object_is_told_under_its_address(home, delivered):
    delivered("bad/a.gz", gzip.compress(house.lines(*LINES))[:40])
    before = house.state(home)
    assert ingest(home, "s3://delivered/bad/a.gz").sentence.startswith("s3://delivered/bad/a.gz is a damaged archive")
    assert house.state(home) == before


@pytest.mark.parametrize(
    ("address", "change", "code", "says"),
    [
        ("s3://delivered/none.log", {}, 2, "no such object or bucket"),
        ("s3://nowhere/*.log", {}, 2, "no such object or bucket"),
        ("s3://delivered/none/*", {}, 2, "matches no object"),
        ("s3:///a", {}, 2, "names no bucket"),
        ("s3://delivered/day/a.log", {"KAMPEKY_S3_SECRET": "wrong-secret"}, 1, "the store refuses the key"),
        ("s3://delivered/day/*", {"KAMPEKY_S3_KEY_ID": "wrong-secret"}, 1, "the store refuses the key"),
        ("s3://delivered/day/a.log", {"KAMPEKY_S3_ENDPOINT": "http://127.0.0.1:9"}, 1, "does not answer"),
        ("s3://delivered/day/a.log", {"KAMPEKY_S3_ENDPOINT": "http://store.example"}, 2, "travel in clear"),
        ("s3://delivered/day/a.log", {"KAMPEKY_S3_ENDPOINT": ""}, 2, "set KAMPEKY_S3_ENDPOINT in the environment"),
        ("s3://delivered/day/a.log", {"KAMPEKY_S3_ENDPOINT": "ftp://store.example"}, 2, "is no address"),
    ],
)
def test_a_store_that_gives_nothing_is_one_sentence_without_a_secret(home, delivered, store, monkeypatch, address, change, code, says):
    delivered("day/a.log", house.lines(LINES[0]))
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    before = house.state(home)
    answer = ingest(home, address)
    assert (answer.code, says in answer.sentence) == (code, True), answer.sentence
    assert not any(secret in answer.err for secret in (store[1], store[2], "wrong-secret"))
    assert house.state(home) == before and list(Home(home).tmp.iterdir()) == []


def test_the_usual_names_of_the_environment_serve_too():
    given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-3", "AWS_ENDPOINT_URL": "https://s3.example:9000"}
    assert Store.of(given) == Store("s3.example:9000", True, "eu-west-3", "a", "b", "")
    assert Store.of(given | {"KAMPEKY_S3_ENDPOINT": "other.example"}).endpoint == "other.example"
    with pytest.raises(KampekyError, match="KAMPEKY_S3_SECRET"):
        Store.of({name: value for name, value in given.items() if name != "AWS_SECRET_ACCESS_KEY"})
