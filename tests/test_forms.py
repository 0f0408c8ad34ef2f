"""E-mail addresses, IBANs, telephone numbers and countries are what their libraries say; a list of friends is counted and comes in nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import house
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from house import lines, ndjson, put, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engines import duckdb_engine as engine
from pipelines.quality import forms

CASES = {  # what each library says, and what is easily mistaken
    "email": (["jean.dupont@exemple.fr", "a@b.fr", "zoé@exemple.fr", "a@exämple.fr", "a.b.c.d@x.y.z.w.fr",
               "o'brien@exemple.ie", "a@xn--exmple-cua.fr"],
              ["a@b", "@exemple.fr", "a@", "a..b@exemple.fr", ".a@exemple.fr", "a.@exemple.fr", "a@exemple..fr", "a@-exemple.fr", "a@exemple-.fr",
               "a@localhost.test", "a@poste.local", "a@x.invalid", "a b@exemple.fr", '"a b"@exemple.fr', "a@[192.0.2.1]", f"{'a' * 250}@exemple.fr",
               f"a@{'b' * 64}.fr", "a@exemple.fr ", "a@exemple.1", "x"]),
    "iban": (["FR7630006000011234567890189", "DE89370400440532013000", "MT84MALT011000012345MTLCAST001S"],
             ["FR7630006000011234567890188", "FR763000600001123456789018", "FR76300060000112345678901890",
              "DE89370400440532013001", "XX89370400440532013000",
              "FR76 ", "3000600001123456789018976", "FRAA30006000011234567890189"]),
    "phone": (["+33199001234", "+33612345678", "+442079460018", "+352621123456"],
              ["+33", "+3312", "+331234567890", "0612345678", "+999123456", "+33012345678", "x"]),
    "country": (["FR", "BE", "RE", "JP", "XK"][:4], ["XX", "fr", "FRA", "UK", "", "F"]),
}


@pytest.fixture(scope="module")
def said():
    """`said(form, texts)`: what the checks answer, and what the library says itself."""
    connection = engine.connect(Path(), extensions=())
    for form in CASES:
        engine.text_predicate(connection, f"is_{form}", forms.ASK[form])

    def ask(form: str, texts: list[str]) -> tuple[list[bool], list[bool]]:
        connection.register("texts", pa.table({"n": range(len(texts)), "v": pa.array(texts, pa.string())}))
        rows = connection.execute(f"select not {forms.failing(form, 'v')} from texts order by n").fetchall()
        return [good for (good,) in rows], [forms.ASK[form](text) for text in texts]

    yield ask
    connection.close()


@pytest.mark.parametrize("form", CASES)
def test_a_form_is_what_its_library_says(said, form):
    good, bad = CASES[form]
    assert said(form, good) == ([True] * len(good),) * 2
    assert said(form, bad) == ([False] * len(bad),) * 2


PIECES = {
    "email": st.lists(st.sampled_from([*"aZ09_+-.@'é ", "@ex.fr", ".test", "xn--", "--", ".local"]), max_size=9).map("".join)
    .flatmap(lambda t: st.sampled_from([t, f"{t}@exemple.fr", f"a@{t}.fr", f"a@b.{t}"])),
    "iban": st.from_regex(r"(FR|DE|GB|XX)[0-9]{2}[A-Z0-9]{18,24}", fullmatch=True),
    "country": st.from_regex(r"[A-Z]{2}", fullmatch=True),
}


@pytest.mark.parametrize("form", PIECES)
def test_the_quick_rule_lets_nothing_through_that_the_library_refuses(said, form):
    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(st.lists(PIECES[form], min_size=30, max_size=30))
    def compare(texts: list[str]) -> None:
        checked, library = said(form, texts)
        assert checked == library

    compare()


def test_french_accounts_of_every_check_digit_are_judged_as_the_library_does(said):
    texts = [f"FR{digits:02}300060000112345678901{key:02}" for digits in range(100) for key in (0, 89)]
    checked, library = said("iban", texts)
    assert checked == library
    assert 2 <= sum(library) <= 6


@pytest.fixture
def home(tmp_path):
    return house.new_home(tmp_path)


@pytest.mark.parametrize(("dataset", "column", "good", "bad"), [
    ("members", "email", "zoé@exemple.fr", "a..b@exemple.fr"), ("members", "iban", "FR7630006000011234567890189", "FR7630006000011234567890188"),
    ("members", "country", "JP", "XX")])
def test_a_value_that_is_not_of_its_form_is_quarantined_by_name(home, tmp_path, dataset, column, good, bad):
    rows = [house.BUILDERS[dataset](1, **{column: good}), house.BUILDERS[dataset](2, **{column: bad})]
    [balance] = house.ingest(home, (dataset, put(tmp_path / "in", ndjson(rows))))
    assert (balance.loaded, balance.quarantined, dict(balance.reasons)) == (1, 1, {f"{column}.format": 1})


# ---------------------------------------------------------------- a list of friends

FRIENDS = ["kqxpaul", "kqxanna", "kqxlea"]


def with_friends(number: int, friends: Any, **changes: Any) -> dict[str, Any]:
    made = house.member(number, **changes) | {"friends": friends}
    del made["friends_count"]
    return made


def known(home: Path) -> dict[str, int | None]:
    return dict(raw(home, "select member_id, friends_count from lake.main.members order by 1"))


def as_list_csv(rows: list[dict[str, Any]]) -> bytes:
    return house.as_csv([row | {"friends": json.dumps(row["friends"]) if row["friends"] is not None else ""} for row in rows])


def as_list_parquet(rows: list[dict[str, Any]]) -> bytes:
    table = parquet.read_table(pa.BufferReader(house.as_parquet("members", [{k: v for k, v in row.items() if k != "friends"} for row in rows])))
    out = pa.BufferOutputStream()
    parquet.write_table(table.append_column("friends", pa.array([row["friends"] for row in rows], pa.list_(pa.string()))), out)
    return out.getvalue().to_pybytes()


WRITTEN = {"ndjson": ndjson, "an array": lambda rows: ("[" + ",\n".join(ndjson(rows).decode().splitlines()) + "]").encode(), "csv": as_list_csv,
           "parquet": as_list_parquet}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_list_of_friends_comes_in_as_its_length_and_in_no_other_way(home, tmp_path, form):
    rows = [with_friends(1, FRIENDS), with_friends(2, []), with_friends(3, None)]
    [balance] = house.ingest(home, ("members", put(tmp_path / "in", WRITTEN[form](rows))))
    assert (balance.loaded, balance.quarantined) == (3, 0)
    assert known(home) == {"m000001": 3, "m000002": 0, "m000003": None}
    assert not [path for path, content in house.bytes_below(home) for friend in FRIENDS if friend.encode() in content]


def test_a_number_of_friends_still_comes_in_as_it_is(home, tmp_path):
    house.ingest(home, ("members", put(tmp_path / "in", ndjson([house.member(1, friends_count=12), with_friends(2, FRIENDS)]))))
    assert known(home) == {"m000001": 12, "m000002": 3}


@pytest.mark.parametrize("friends", ["kqxpaul", {"kqxpaul": 1}, True])
def test_friends_that_are_no_list_are_quarantined_without_them(home, tmp_path, friends):
    [balance] = house.ingest(home, ("members", put(tmp_path / "in", ndjson([with_friends(1, friends), with_friends(2, FRIENDS)]))))
    assert (balance.loaded, dict(balance.reasons)) == (1, {"friends_count.type": 1})
    assert "kqx" not in str(raw(home, "select record from lake.quarantine.members"))


def test_of_a_file_with_such_lists_a_record_that_cannot_be_read_is_not_kept(home, tmp_path):
    whole = ndjson([with_friends(1, FRIENDS)])
    [balance] = house.ingest(home, ("members", put(tmp_path / "in", whole + lines('"kqxcut", "kqxoff"]}', '{"member_id": "m9"'))))
    assert (balance.loaded, balance.quarantined) == (1, 2)
    records = str(raw(home, "select record from lake.quarantine.members"))
    assert "kqx" not in records
    assert records.count("not kept") == 2
