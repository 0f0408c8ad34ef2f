"""Files that grow, shrink and come again: no row of a log is lost and none counts twice, whatever copies of it are given."""

from __future__ import annotations

import gzip
import random

import house
import pytest
from house import counts, ingest, put, raw

from pipelines.foundation.errors import Refused
from pipelines.ingestion import ingest as ingesting

LINES = [house.log_line(ip=f"10.0.{n % 3}.{n % 7}", agent=f"grown {n // 2}") for n in range(40)]  # some stand twice, and happened twice
CONTENT = house.lines(*LINES)


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


def stored(home) -> list[tuple[str, str]]:
    return raw(home, "select ip, user_agent from lake.main.access_logs where user_agent like 'grown%' order by all")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    home = house.new_home(folder)
    ingest(home, ("access_logs", put(folder / "whole.log", CONTENT)))
    return stored(home)


def test_a_log_that_grows_is_read_on_from_where_it_ended(home, tmp_path, undisturbed):
    path, made = tmp_path / "access.log", []
    for lines in (10, 11, 40):
        put(path, house.lines(*LINES[:lines]))
        made.append(counts(ingest(home, ("access_logs", path))[0]))
    assert made == [(10, 10, 0, 0, 0), (11, 1, 0, 0, 10), (40, 29, 0, 0, 11)]
    assert stored(home) == undisturbed
    assert counts(ingest(home, ("access_logs", put(path, house.lines(*LINES[:11]))))[0]) == (11, 0, 0, 0, 11), "an older copy that was loaded"


def test_a_line_that_was_cut_when_it_was_read_gives_way_to_the_whole_one(home, tmp_path, undisturbed):
    cuts = [len(house.lines(*LINES[:5])) - 30, len(house.lines(*LINES[:9])) - 1]  # in the browser's name: no combined line; before its line feed: one
    balances = [counts(ingest(home, ("access_logs", put(tmp_path / "access.log", CONTENT[:cut])))[0]) for cut in [*cuts, len(CONTENT)]]
    assert balances == [(5, 4, 1, 0, 0), (9, 5, 0, 0, 4), (40, 32, 0, 0, 8)]
    assert stored(home) == undisturbed
    assert raw(home, "select count(*) from lake.quarantine.access_logs where reason = 'line.not_combined_format'")[0][0] == 0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
def test_copies_of_a_log_cut_anywhere_and_packed_anyhow_add_up_to_the_log(tmp_path, undisturbed, seed):
    """The longest last; a copy that lies between two others is refused, not counted twice."""
    chance, home, refusals = random.Random(seed), house.new_home(tmp_path), []
    for n in range(5):
        cut = CONTENT[:chance.randrange(1, len(CONTENT))] if n < 4 else CONTENT
        copy = cut.replace(b"\n", b"\r\n") if chance.random() < 0.4 else cut
        copy = b"\xef\xbb\xbf" + copy if chance.random() < 0.3 else copy
        copy = chance.choice([bytes, gzip.compress, house.zstd])(copy)
        try:
            ingest(home, ("access_logs", put(tmp_path / f"copy {n}", copy)))
        except Refused as refused:
            refusals.append((n, str(refused)))
    assert not [said for n, said in refusals if n == 4 or "shorter copy" not in said]
    assert stored(home) == undisturbed


def test_copies_of_a_log_in_one_folder_are_taken_shortest_first_whatever_their_names(home, tmp_path, undisturbed):
    inputs = [("access_logs", put(tmp_path / name, house.lines(*LINES[:lines]))) for name, lines in (("a", 40), ("b", 7), ("c", 22))]
    assert [counts(b) for b in ingest(home, *inputs)] == [(40, 18, 0, 0, 22), (7, 7, 0, 0, 0), (22, 15, 0, 0, 7)]
    assert stored(home) == undisturbed


@pytest.mark.parametrize("content", [house.lines(*LINES[:20]), house.lines(*LINES[:20], house.log_line(agent="grown otherwise"), *LINES[21:])],
                         ids=["shorter", "changed"])
def test_a_log_that_only_begins_like_one_that_was_loaded_is_refused_and_nothing_of_it_is_loaded(home, tmp_path, content, undisturbed):
    ingest(home, ("access_logs", put(tmp_path / "access.log", CONTENT)))
    before = house.state(home)
    with pytest.raises(Refused, match=r"begins like a file of 'access_logs' that was loaded already.*each row once"):
        ingest(home, ("access_logs", put(tmp_path / "copy.log", content)))
    assert house.state(home) == before and stored(home) == undisturbed


def test_two_logs_that_share_lines_but_not_their_beginning_are_two_logs(home, tmp_path):
    """The same request may reach two servers within one second: equal lines are no proof of a copy."""
    both = [("access_logs", put(tmp_path / str(n), house.lines(house.log_line(agent=f"grown {n}"), *LINES[:9]))) for n in range(2)]
    assert [counts(b) for b in ingest(home, *both)] == [(10, 10, 0, 0, 0)] * 2


def test_a_log_that_is_written_to_while_it_is_read_is_read_to_where_it_was_known(home, tmp_path, undisturbed, monkeypatch):
    path = put(tmp_path / "access.log", CONTENT[:len(house.lines(*LINES[:12])) - 20])
    looked_at = ingesting.identify

    def meanwhile(secret, contract, file):
        known = looked_at(secret, contract, file)
        put(path, CONTENT)
        return known

    monkeypatch.setattr(ingesting, "identify", meanwhile)
    assert counts(ingest(home, ("access_logs", path))[0])[0] == 12
    monkeypatch.undo()
    assert counts(ingest(home, ("access_logs", path))[0]) == (40, 29, 0, 0, 11)
    assert stored(home) == undisturbed


# --- replays for an earlier day ---

EARLY = house.log_line(time="01/May/2015:10:00:00 +0200", agent="grown early")
LATE = house.log_line(time="20/May/2015:10:00:00 +0200", agent="grown late")


def test_a_file_refused_in_part_as_due_gives_the_rest_when_it_is_replayed_for_an_earlier_day(home, tmp_path):
    path = ("access_logs", put(tmp_path / "access.log", house.lines(EARLY, LATE, "broken")))
    days = ("2015-06-05", "2015-05-21", "2015-05-21", "2015-06-05")
    assert [counts(ingest(home, path, as_of=day)[0]) for day in days] == [(3, 1, 1, 1, 0), (3, 1, 0, 0, 2), (3, 0, 0, 0, 3), (3, 0, 0, 0, 3)]
    assert stored(home) == sorted((line.split()[0], agent) for line, agent in ((EARLY, "grown early"), (LATE, "grown late")))


def test_what_a_grown_file_was_refused_before_it_grew_comes_in_with_its_replay(home, tmp_path):
    short = ("access_logs", put(tmp_path / "access.log", house.lines(EARLY, LATE)))
    ingest(home, short, as_of="2015-06-05")
    grown = ("access_logs", put(tmp_path / "access.log", house.lines(EARLY, LATE, LATE)))
    assert counts(ingest(home, grown, as_of="2015-05-21")[0]) == (3, 2, 0, 0, 1)


def test_what_retention_deleted_does_not_come_back_as_of_an_earlier_day(home, tmp_path):
    path = ("access_logs", put(tmp_path / "access.log", house.lines(EARLY, LATE)))
    assert counts(ingest(home, path, as_of="2015-05-21")[0]) == (2, 2, 0, 0, 0)
    plan = house.kampeky("retention", "plan", "--home", home, "--as-of", "2015-06-05", "--json").json
    house.kampeky("retention", "apply", plan["plan"], "--home", home)
    again = ("access_logs", put(tmp_path / "again.log", house.lines(house.log_line(agent="grown first"), EARLY, LATE)))
    assert counts(ingest(home, again, as_of="2015-05-21")[0])[3] == 1
    assert "grown early" not in str(stored(home))
