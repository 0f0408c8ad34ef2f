"""Rules change while a home holds data: a column that a contract is given is there with the next run, and a file read anew is read anew."""

from __future__ import annotations

from dataclasses import replace

import house
import pytest
from house import counts, ingest, put, raw

from pipelines.foundation.errors import Refused


def with_column(name):
    """The rules, in which forum posts have one column more."""
    book = house.rulebook()
    posts = book.contract("forum_posts")
    column = replace(posts.column("body"), name=name, required=False, description="another")
    return replace(book, contracts={**book.contracts, "forum_posts": replace(posts, columns=(*posts.columns, column))})


def test_a_column_that_a_contract_is_given_is_there_with_the_next_run_and_empty_in_the_rows_before(tmp_path, monkeypatch):
    home = house.new_home(tmp_path)
    ingest(home, ("forum_posts", put(tmp_path / "before", house.ndjson([house.post(1)]))))
    book = with_column("mood")
    monkeypatch.setattr(house, "rulebook", lambda: book)
    assert counts(ingest(home, ("forum_posts", put(tmp_path / "after", house.ndjson([house.post(2, mood="gai")]))))[0]) == (1, 1, 0, 0, 0)
    assert raw(home, "select post_id, mood from lake.main.forum_posts order by 1") == [("p1", None), ("p2", "gai")]


def test_a_file_whose_encoding_is_declared_later_is_read_again_and_no_row_counts_twice(tmp_path, monkeypatch):
    home, book = house.new_home(tmp_path), house.rulebook()
    text = house.ndjson([house.post(1, body="plain"), house.post(2, body="été")]).decode().encode("cp1252")
    path = put(tmp_path / "posts", text)
    assert counts(ingest(home, ("forum_posts", path))[0]) == (2, 1, 1, 0, 0)
    assert counts(ingest(home, ("forum_posts", path))[0]) == (2, 0, 0, 0, 2)
    posts = replace(book.contract("forum_posts"), source={"encoding": "windows-1252"})
    monkeypatch.setattr(house, "rulebook", lambda: replace(book, contracts={**book.contracts, "forum_posts": posts}))
    assert counts(ingest(home, ("forum_posts", path))[0]) == (2, 1, 0, 0, 1)
    assert raw(home, "select body from lake.main.forum_posts order by 1") == [("plain",), ("été",)]


@pytest.mark.parametrize(("rows", "loads"), [(9, True), (10, False)])
def test_a_batch_of_which_every_row_is_bad_is_held_back_however_small(tmp_path, rows, loads):
    home = house.new_home(tmp_path)
    path = put(tmp_path / "posts", house.ndjson([house.post(n, posted_at="2015-05-17 10:00:00") for n in range(rows)]))
    if loads:
        assert counts(ingest(home, ("forum_posts", path))[0]) == (rows, 0, rows, 0, 0)
        return
    with pytest.raises(Refused, match=r"10 of 10 rows would be quarantined \(10 posted_at\.type\)"):
        ingest(home, ("forum_posts", path))


def test_after_a_run_that_was_stopped_the_next_says_so_and_clears_its_files_away(tmp_path, caplog):
    home = house.new_home(tmp_path)
    ingest(home, ("forum_posts", put(tmp_path / "first", house.ndjson([house.post(1)]))))
    orphan = home / "zones" / "raw" / "data" / "main" / "forum_posts" / "ducklake-orphan.parquet"
    assert orphan.parent.is_dir()
    orphan.write_bytes(b"what a kill left")
    (home / "tmp" / "ingest-under-way").touch()  # as a killed run leaves it
    caplog.set_level("INFO", logger="kampeky")
    assert counts(ingest(home, ("forum_posts", put(tmp_path / "second", house.ndjson([house.post(2)]))))[0]) == (1, 1, 0, 0, 0)
    assert "the run before was stopped" in caplog.text
    assert not orphan.exists()
    assert raw(home, "select count(*) from lake.main.forum_posts") == [(2,)]
    caplog.clear()
    ingest(home, ("forum_posts", put(tmp_path / "third", house.ndjson([house.post(3)]))))
    assert "stopped" not in caplog.text
