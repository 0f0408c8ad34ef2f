"""What may hold an identifier or a contact is found quickly, and nothing is passed over that an erasure would take out (C-11.3)."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_names import MARIE, PHONES, people, texts

from pipelines.retention.contacts import redacted
from pipelines.retention.traces import Traces

HERS = people([entry for entry in MARIE if entry[1] in ("identifier", "email", "phone", "iban")])
SPELLED = (
    *PHONES, "06%2039%2098%2012%2034", "%2B33%206%2039981234", "+33(0)639981234", "06.39.98.12.34", "0033.6.39.98.12.34", "06+39+98+12+34",
    "FR7630006000011234567890189", "FR76 3000 6000 0112 3456 7890 189", "fr76-3000-6000-0112-3456-7890-189",
    "FR76%203000%206000%200112%203456%207890%20189",
    "marie.l@example.fr", "MARIE.L%40EXAMPLE.FR", "marie.l [at] example.fr", "marie.l{ a }example.fr", "marie.l <chez> example point fr",
    "marie point l arobase example point fr", "marie.l\tat\texample.fr", "m000123", "M000123", "m77", "fb:48151623", "FB:48151623", "\u1e3f000123",
)
AROUND = ("", "/membres/", "?x=", "&y=1", "/", " ", "%2F", "_", "é", "12", "photo", "http://", "@", "%", "%2", "%C3%A9", "\n")


def rows(some: list[str | None], who: pl.DataFrame = HERS) -> list[int]:
    return Traces(who).rows(pa.array(some, pa.string())).tolist()


@pytest.mark.parametrize("spelled", SPELLED)
def test_each_way_of_writing_one_is_seen_in_a_path_and_by_itself(spelled):
    some = ["/offre/1", f"/a?q={spelled}&b=2", None, "", spelled, "/offre/2"]
    assert redacted(texts(some[1]).rename({"row": "index"}), HERS).height == 1, "else the case says nothing"
    assert rows(some) == [1, 4]


def test_a_text_of_which_the_end_and_the_next_ones_beginning_make_one_is_none():
    assert rows(["/u/m000", "123", "06 39 98", "12 34", "/x?m=marie.l", "example.fr"]) == []


def test_of_paths_that_hold_none_none_is_proposed():
    assert rows([f"/offre/{n}?s={n * 97 % 100000}&t=m{n:07}" for n in range(200, 1200)]) == []


@pytest.mark.parametrize("kind", ["identifier", "email", "phone", "iban"])
def test_who_is_known_by_one_kind_alone_is_found_by_it_and_by_no_other(kind):
    assert rows(["/u/m000123", "?m=marie.l@example.fr", "?t=0639981234", "?i=FR7630006000011234567890189"], HERS.filter(pl.col("kind") == kind)) == [
        ["identifier", "email", "phone", "iban"].index(kind)]


def test_a_part_of_a_column_is_read_where_it_begins():
    column = pa.array(["/u/m000123", "/x", "/u/m77", "/y"], pa.string())
    assert Traces(HERS).rows(column.slice(1, 2)).tolist() == [1]
    assert Traces(HERS).rows(column.slice(1, 1)).tolist() == []
    assert Traces(people([])).rows(column).tolist() == []


def test_whoever_is_known_by_two_letters_is_not_looked_for_like_this():
    assert not Traces(people([(1, "identifier", "m2")])).quick
    assert not Traces(people([(1, "identifier", "мария")])).quick
    assert Traces(HERS.filter(pl.col("value") != "m77")).quick


LETTERS = st.text(st.sampled_from("m7 0639812345%@.FR"), max_size=12)
WRITTEN = st.lists(st.one_of(st.sampled_from(AROUND), st.sampled_from(SPELLED), LETTERS), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(WRITTEN.map("".join), min_size=1, max_size=12))
@example(["m77 ", " 06%2039981234"])
def test_whatever_would_be_taken_out_is_proposed(some):
    would = redacted(texts(*some).rename({"row": "index"}), HERS)["index"].to_list()
    assert set(would) <= set(rows(some))
