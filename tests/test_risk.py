"""k, l, t and linkability are what an outside witness computes; what is beyond a limit is treated, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest
from house import kampeky, rulebook
from hypothesis import given, settings
from hypothesis import strategies as st
from pycanon import anonymity

from pipelines.assurance.cells import refuse_small_cells
from pipelines.assurance.classes import Profile
from pipelines.assurance.exposure import Exposed
from pipelines.assurance.linkage import Column, Linked, Side, link
from pipelines.assurance.risk import measure
from pipelines.assurance.stars import carry_stars
from pipelines.assurance.treatment import treat
from pipelines.engines.duckdb_engine import connect
from pipelines.evidence import ledger
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import Home
from pipelines.policy.types import RiskLimits
from pipelines.workflows.risk import linking_words

LIMITS = RiskLimits(k=5, l=2, t=0.3, shared_class=10, linking=2.0)
QUASI = ("age_band", "gender", "region")


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    made = connect(tmp_path_factory.mktemp("risk"), extensions=())
    yield made
    made.close()


def table(connection, rows: list[dict], **types: str) -> Profile:
    """Rows as a table `mart`; the columns are text but those of `types`. Quasi-identifiers and sensitive columns by their names."""
    names = list(rows[0]) if rows else ["pseudonym", *QUASI, "interest"]
    columns = ", ".join(f"{name} {types.get(name, 'varchar')}" for name in names)
    connection.execute(f"create or replace table mart ({columns})")
    frame = pd.DataFrame(rows, columns=names)
    connection.register("given", frame)
    connection.execute("insert into mart select * from given")
    connection.unregister("given")
    quasi = tuple(name for name in names if name in (*QUASI, "day", "device"))
    return Profile("mart", "mart", ("pseudonym",) if "pseudonym" in names else (), quasi, tuple(n for n in names if n.startswith("interest")))


def published(connection) -> pd.DataFrame:
    return connection.execute("select * from mart order by all").df()


# --- the outside witness ---

words = st.sampled_from(["a", "b", "c"])
row_of_mart = st.fixed_dictionaries({"age_band": words, "gender": st.sampled_from(["f", "m"]), "region": words,
                                     "interest": st.sampled_from(["none", "shoes", "coats"]), "interest_second": words})
marts = st.lists(row_of_mart, min_size=1, max_size=80).map(
    lambda rows: [{"pseudonym": f"p{n}"} | {name: row[name] for name in sorted(row)} for n, row in enumerate(rows)])


def assert_pycanon_agrees(connection, profile: Profile) -> None:
    found, frame = measure(connection, profile), published(connection)
    quasi = list(profile.quasi)
    assert found.smallest_class == (anonymity.k_anonymity(frame, quasi) if found.persons == found.rows
                                    else frame.groupby(quasi)["pseudonym"].nunique().min())
    for name in profile.sensitive:
        assert found.diversity[name] == anonymity.l_diversity(frame, quasi, [name])
        assert found.closeness[name] == pytest.approx(anonymity.t_closeness(frame, quasi, [name]), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(marts)
def test_k_l_and_t_are_what_pycanon_computes(connection, rows):
    assert_pycanon_agrees(connection, table(connection, rows))


def test_a_sensitive_number_is_measured_along_its_order_as_pycanon_does(connection):
    rows = [{"pseudonym": f"p{n}", "age_band": "ab"[n % 2], "interest": n * n % 7, "interest_flag": n % 3 == 0} for n in range(40)]
    profile = table(connection, rows, interest="bigint", interest_flag="boolean")
    assert_pycanon_agrees(connection, profile)
    assert measure(connection, profile).closeness["interest"] > 0


def test_a_missing_quasi_identifier_is_a_class_of_its_own_where_pycanon_leaves_it_out(connection):
    rows = [{"pseudonym": f"p{n}", "age_band": None if n == 0 else "a", "interest": "shoes"} for n in range(9)]
    profile = table(connection, rows)
    assert (measure(connection, profile).smallest_class, anonymity.k_anonymity(published(connection), ["age_band"])) == (1, 8)
    with pytest.raises(Refused, match=r"mart: age_band is empty in some rows.*Give the empty value a word"):
        treat(connection, profile, LIMITS)


def test_several_rows_of_one_person_are_one_person(connection):
    rows = [{"pseudonym": f"p{n % 3}", "age_band": "a", "interest": "xy"[n % 2]} for n in range(30)]
    found = measure(connection, table(connection, rows))
    assert (found.rows, found.persons, found.smallest_class, found.unique_share) == (30, 3, 3, 0)


def test_who_is_alone_in_a_class_is_a_unique_record(connection):
    rows = [{"pseudonym": f"p{n}", "age_band": "a" if n else "b", "interest": "x"} for n in range(10)]
    assert measure(connection, table(connection, rows)).unique_share == 0.1


# --- treatment ---


def assert_within(connection, profile: Profile, limits: RiskLimits = LIMITS) -> None:
    frame = published(connection)
    if len(frame):
        assert_pycanon_agrees(connection, profile)
        assert anonymity.k_anonymity(frame, list(profile.quasi)) >= limits.k
        if profile.sensitive:
            assert anonymity.l_diversity(frame, list(profile.quasi), list(profile.sensitive)) >= limits.l
            assert anonymity.t_closeness(frame, list(profile.quasi), list(profile.sensitive)) <= limits.t


@settings(max_examples=25, deadline=None)
@given(marts)
def test_a_treated_mart_keeps_the_limits_and_loses_no_row_that_need_not_go(connection, rows):
    profile = table(connection, rows)
    treated = treat(connection, profile, LIMITS)
    after = published(connection)
    assert_within(connection, profile)
    publishable = len(rows) >= LIMITS.k and all(len({row[name] for row in rows}) >= LIMITS.l for name in profile.sensitive)
    assert len(after) == (len(rows) if publishable else 0) == len(rows) - treated.suppressed
    before = {row["pseudonym"]: row for row in rows}
    shown: dict[tuple, tuple] = {}
    for row in after.to_dict("records"):
        given_row = before[row["pseudonym"]]
        assert all(row[name] in (given_row[name], "*" if name in profile.quasi else None) for name in row), "only quasi-identifiers become stars"
        values, made = (tuple(r[name] for name in profile.quasi) for r in (given_row, row))
        assert shown.setdefault(values, made) == made, "equals are treated equally"
    assert treated.generalised == {name: n for name in profile.quasi if (n := int((after[name] == "*").sum()))}


@settings(max_examples=10, deadline=None)
@given(marts, st.randoms(use_true_random=False))
def test_the_same_rows_in_another_order_are_treated_alike(connection, rows, random):
    treat(connection, table(connection, rows), LIMITS)
    once = published(connection)
    random.shuffle(rows)
    treat(connection, table(connection, rows), LIMITS)
    pd.testing.assert_frame_equal(once, published(connection))


def test_a_mart_within_the_limits_stays_as_it_is(connection):
    rows = [{"pseudonym": f"p{n:02}", "age_band": "ab"[n % 2], "gender": "f", "interest": "xy"[n // 2 % 2]} for n in range(40)]
    treated = treat(connection, table(connection, rows), LIMITS)
    assert (treated.generalised, treated.suppressed, treated.before) == ({}, 0, treated.after)
    assert published(connection).to_dict("records") == rows


def test_a_rare_value_alone_is_hidden_in_the_company_of_the_smallest_other(connection):
    """Two rows of 'c' cannot be stars alone: whoever knows the three values would know what the star is."""
    rows = [{"pseudonym": f"p{n:02}", "age_band": "a" if n < 12 else "b" if n < 18 else "c", "interest": "xy"[n % 2]} for n in range(20)]
    assert treat(connection, table(connection, rows), LIMITS).generalised == {"age_band": 8}
    assert set(published(connection)["age_band"]) == {"a", "*"}


def test_what_is_rare_in_each_band_is_shown_without_the_band(connection):
    """A first column is kept for nearly everybody, and who gives it up keeps what can be shown of the others."""
    rows = [{"pseudonym": f"p{n:03}", "age_band": f"{n % 3}", "gender": "other" if n < 9 else "fm"[n // 3 % 2], "interest": "xy"[n // 6 % 2]}
            for n in range(300)]
    assert treat(connection, table(connection, rows), LIMITS).generalised == {"age_band": 9}
    shown = {(row["age_band"], row["gender"]) for row in published(connection).to_dict("records")}
    assert shown == {("*", "other")} | {(band, gender) for band in "012" for gender in "fm"}


def test_a_sensitive_value_that_all_of_a_class_have_hides_the_class(connection):
    rows = [{"pseudonym": f"p{n:02}", "age_band": "abc"[n % 3], "interest": "shoes" if n % 3 == 0 else "xy"[n // 3 % 2]} for n in range(60)]
    profile = table(connection, rows)
    assert measure(connection, profile).diversity == {"interest": 1}
    treat(connection, profile, LIMITS)
    assert_within(connection, profile)
    assert set(published(connection)["age_band"]) != {"a", "b", "c"}


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_mart_of_fewer_persons_than_k_publishes_nobody(connection, rows):
    profile = table(connection, [{"pseudonym": f"p{n}", "age_band": "a", "interest": f"i{n}"} for n in range(rows)])
    assert treat(connection, profile, LIMITS).suppressed == rows
    assert published(connection).empty


def test_one_class_without_any_quasi_identifier_is_the_whole_mart(connection):
    profile = replace(table(connection, [{"pseudonym": f"p{n}", "interest": "xy"[n % 2]} for n in range(6)]), quasi=())
    assert treat(connection, profile, LIMITS).after.smallest_class == 6
    assert len(published(connection)) == 6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), words, st.sampled_from(["f", "m"])), min_size=1, max_size=60))
def test_a_day_cannot_be_a_star_so_the_rows_of_a_day_with_few_persons_go_and_no_others(connection, given_rows):
    rows = [{"pseudonym": f"p{n}", "day": date(2026, 1, 1) + timedelta(days), "age_band": band, "gender": gender}
            for n, (days, band, gender) in enumerate(given_rows)]
    profile = table(connection, rows, day="date")
    treat(connection, profile, LIMITS)
    assert_within(connection, profile)
    sizes = pd.Series([row["day"] for row in rows]).value_counts()
    assert sorted(published(connection)["pseudonym"]) == sorted(row["pseudonym"] for row in rows if sizes[row["day"]] >= LIMITS.k)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 2), words, st.sampled_from(["x", "y"])), min_size=1, max_size=150))
def test_a_value_hidden_in_one_row_of_a_person_stands_in_no_other(connection, visits):
    rows = [{"pseudonym": f"p{who:02}", "age_band": "aaabbc"[who % 6], "gender": "fm"[who // 13], "device": device, "interest": interest,
             "day": date(2026, 1, 1) + timedelta(days)} for who, days, device, interest in visits]
    profile = table(connection, rows, day="date")
    treat(connection, profile, LIMITS)
    assert_within(connection, profile)
    frame = published(connection)
    assert (frame.groupby("pseudonym")[["age_band", "gender"]].nunique() <= 1).all().all()
    if len(frame):
        assert frame.groupby(list(profile.quasi))["pseudonym"].nunique().min() >= LIMITS.k


def test_a_number_that_tells_persons_apart_is_refused_with_what_to_write_instead(connection):
    rows = [{"pseudonym": f"p{n}", "region": n, "interest": "x"} for n in range(9)]
    with pytest.raises(Refused, match=r"mart: region can tell persons apart, and BIGINT has no value for 'not shown'\. Write bands in words"):
        treat(connection, table(connection, rows, region="bigint"), LIMITS)


def test_what_another_purpose_shows_too_is_shown_to_ten_persons_or_hidden(connection):
    """`label` is no quasi-identifier, but a mart of another purpose has it, too."""
    rows = [{"pseudonym": f"p{n:02}", "age_band": "ab"[n % 2], "label": "rare" if n < 16 and n % 2 else "often"} for n in range(60)]
    profile = table(connection, rows)
    assert treat(connection, profile, LIMITS).generalised == {}
    assert treat(connection, profile, LIMITS, shared=[("age_band", "label")]).generalised == {"label": 30}
    treated = treat(connection, table(connection, rows), LIMITS, shared=[("label",)], identified=True)
    assert (treated.generalised, treated.suppressed) == ({}, 0), "a mart that names persons by policy stays as it is"


# --- linkage ---

MEMBERS = 1200
PAIRED = f"create or replace temp table link_pairs as select md5('one' || i) as a, md5('two' || i) as b from range({MEMBERS}) as r(i)"


def side(connection, purpose: str, name: str, **columns: str) -> Side:
    """A mart of `MEMBERS` persons: column → SQL over i."""
    values = ", ".join(f"{sql} as {column}" for column, sql in columns.items())
    connection.execute(f"create or replace table {name} as select md5('{purpose}' || i) as pseudonym, {values} from range({MEMBERS}) as r(i)")
    connection.execute(PAIRED)
    built = {"age_band": {"members.birthday"}, "gender": {"members.gender"}}
    return Side(purpose, name, name, ("pseudonym",), tuple(
        Column(c, "VARCHAR" if c in built else "BIGINT", frozenset(built.get(c, ()))) for c in columns))


BANDS = {"age_band": "['a', 'b', 'c'][(1 + hash(i * 3 + 1) % 3)::int]", "gender": "['f', 'm'][(1 + hash(i * 3 + 2) % 2)::int]"}


def test_an_exact_count_in_both_marts_is_found_and_refused(connection):
    noise = {f"n{k}": f"(hash(i * 31 + {k}) % 50)::bigint" for k in range(4)}
    other = {name: sql.replace("31", "37") for name, sql in noise.items()}
    planted = {"posts": "(hash(i * 41) % 300)::bigint"}
    found = link(connection, side(connection, "one", "a", **BANDS, **noise, **planted), side(connection, "two", "b", **BANDS, **other, **planted))
    assert found.smallest >= 10
    assert found.ratio > 20
    assert [words.split(" finds")[0] for words in found.beyond(LIMITS)] == ["the best match"]


def test_marts_that_share_only_wide_bands_pass(connection):
    counts = {"posts": "(hash(i * 41) % 300)::bigint", "visits": "(hash(i * 43) % 30)::bigint"}
    others = {name: sql.replace("4", "6") for name, sql in counts.items()}
    found = link(connection, side(connection, "one", "a", **BANDS, **counts), side(connection, "two", "b", **BANDS, **others))
    assert (found.shared, found.beyond(LIMITS)) == (("age_band", "gender"), [])
    assert 0 < found.chance < 1 / 100
    assert found.sample == MEMBERS / 2


def test_a_small_sample_says_from_where_on_it_sees_a_link():
    few, many = (Linked("a", "b", (), None, 1, sample, 0.001, 0.001, 1.0, 0.0) for sample in (240, 1_000_000))
    assert few.seen_from > 20 and 2 < many.seen_from < 2.3
    for found in (few, many):  # just there the certain ratio is the limit
        share = found.seen_from * found.chance
        assert abs((share - 2.326 * (share / found.sample) ** 0.5) / found.chance - 2) < 0.01
    assert f"so many members show a link from {few.seen_from:.1f} × chance on" in linking_words(few.as_dict())
    assert linking_words({**few.as_dict(), "seen_from": None}).endswith("columns compared)")


def test_a_small_class_over_shared_columns_is_refused_under_whatever_name(connection):
    rare = {"age_band": "case when i < 4 then 'rare' else 'often' end"}
    left, right = side(connection, "one", "a", **rare), side(connection, "two", "b", years="case when i < 4 then '90+' else '-' end")
    right = replace(right, columns=(Column("years", "VARCHAR", frozenset({"members.birthday"})),))
    assert link(connection, left, right).beyond(LIMITS) == ["a class over the columns that both have (age_band) has 4 persons (at least 10)"]
    wide = side(connection, "one", "a", age_band="'often'")
    assert link(connection, wide, right).beyond(LIMITS) != []
    assert link(connection, wide, replace(right, identified=True)).beyond(LIMITS) == [], "who is named anyway is looked for in the other mart"


def test_several_rows_of_a_person_are_put_together_before_they_are_linked(connection):
    """Nobody may join two domains by how many rows somebody has, either."""
    for purpose, name in (("one", "a"), ("two", "b")):
        connection.execute(f"create or replace table {name} as select md5('{purpose}' || i) as pseudonym, date '2026-01-01' + (j % 20)::int as day "
                           f"from range({MEMBERS}) as r(i), range(1 + (hash(i * 5) % 200)::bigint) as s(j)")
    connection.execute(PAIRED)
    sides = [Side(purpose, name, name, ("pseudonym",), (Column("day", "DATE", frozenset()),)) for purpose, name in (("one", "a"), ("two", "b"))]
    assert any("the best match" in words for words in link(connection, *sides).beyond(LIMITS))


def test_marts_of_nobody_in_common_cannot_be_linked(connection):
    left, right = side(connection, "one", "a", **BANDS), side(connection, "two", "b", **BANDS)
    connection.execute("delete from link_pairs")
    assert (link(connection, left, right).sample, link(connection, left, right).beyond(LIMITS)) == (0, [])


# --- aggregates ---


def cells(connection, *rows: tuple) -> int:
    connection.execute("create or replace table sales (day date, category varchar, sales bigint, member_count bigint)")
    connection.executemany("insert into sales values (?, ?, ?, ?)", [list(row) for row in rows])
    return refuse_small_cells(connection, "sales", "sales", 10).totals


def test_a_cell_of_nine_members_is_refused_and_one_of_ten_is_not(connection):
    assert cells(connection, ("2026-01-01", "shoes", 12, 10)) == 0
    with pytest.raises(Refused, match=r"sales: 1 rows rest on fewer than 10 members.*C-10\.7"):
        cells(connection, ("2026-01-01", "shoes", 12, 10), ("2026-01-01", "coats", 12, 9))


def test_a_row_that_tells_no_number_needs_no_members_and_hides_none(connection):
    """A segment that is refused says so without its size; a number that somebody wrote, such as its rank, is nobody's."""
    connection.execute("create or replace table sales as select * from (values ('few', null::bigint, 3::bigint), ('many', 12, 1)) "
                       "as t(segment, member_count, priority)")
    assert refuse_small_cells(connection, "sales", "sales", 10, written=["segment", "priority"]).smallest_cell == 12
    with pytest.raises(Refused, match="1 rows rest on fewer than 10 members"):  # computed, so it may be the size under another name
        refuse_small_cells(connection, "sales", "sales", 10, written=["segment"])


def test_a_cell_that_was_left_out_cannot_be_found_by_subtraction(connection):
    total, shoes = ("2026-01-01", "all", 40, 33), ("2026-01-01", "shoes", 30, 30)
    with pytest.raises(Refused, match="1 totals over category minus their published rows leave values of fewer than 10 members"):
        cells(connection, total, shoes)
    assert cells(connection, ("2026-01-01", "all", 44, 40), shoes) == 1, "ten members are left out together"
    assert cells(connection, total, shoes, ("2026-01-02", "coats", 10, 10), ("2026-01-01", "coats", 10, 10)) == 1, "nothing is left out"
    with pytest.raises(Refused, match="minus their published rows"):  # the members add up, but one sale is left out
        cells(connection, total, ("2026-01-01", "shoes", 39, 33))


def test_an_aggregate_says_how_many_members_stand_behind_a_row(connection):
    connection.execute("create or replace table sales as select 'shoes' as category, 12::bigint as sales")
    with pytest.raises(Refused, match="has no column 'member_count'"):
        refuse_small_cells(connection, "sales", "sales", 10)


# --- builds: the whole way, over a simulated marketplace ---

DAY = "2026-02-01"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("risk-builds")
    source, made = folder / "source", folder / "home"
    for words in (("simulate", "--members", 1500, "--days", 40, "--seed", 7, "--end", "2026-01-31", source), ("init", "--home", made),
                  ("ingest", "--all", "--from", source, "--home", made, "--as-of", DAY),
                  ("build", "--purpose", "analytics", "--purpose", "advertising", "--home", made, "--as-of", DAY)):
        answer = kampeky(*words)
        assert answer.code == 0, answer.err
    return made


def entry(home) -> dict:
    return {e.facts["purpose"]: e.facts for e in ledger.read(Home(home)) if e.act == "build"}


@pytest.mark.parametrize(("purpose", "mart"), [("analytics", "user_profiles"), ("advertising", "ad_profiles")])
def test_pycanon_finds_the_limits_kept_in_what_is_published(home, purpose, mart):
    told = next(risk for risk in entry(home)[purpose]["risk"] if risk["table"] == mart)
    frame = pd.DataFrame(kampeky("sql", purpose, f"select * from {mart}", "--home", home, "--json").json)
    quasi, sensitive, limits = told["quasi_identifiers"], told["sensitive"], rulebook().policy.risk
    assert quasi and sensitive
    assert anonymity.k_anonymity(frame, quasi) == told["smallest_class"] >= limits.k
    assert anonymity.l_diversity(frame, quasi, sensitive) == min(told["diversity"].values()) >= limits.l
    assert anonymity.t_closeness(frame, quasi, sensitive) == pytest.approx(max(told["closeness"].values()), abs=1e-6)
    assert max(told["closeness"].values()) <= limits.t
    assert told["suppressed"] == 0
    assert told["smallest_class_before"] < limits.k
    assert (frame[["age_band", "gender"]] == "*").mean().max() < 0.5, "the first columns are shown for most"


def test_marts_of_two_purposes_are_linked_in_the_build_of_the_second(home):
    built = entry(home)
    assert built["analytics"]["linking"] == []
    pairs = built["advertising"]["linking"]
    assert {"advertising.ad_profiles", "analytics.user_profiles"} in [{pair["left"], pair["right"]} for pair in pairs]
    assert all(pair["certain"] <= 2 and (pair["smallest_class"] or 10) >= 10 for pair in pairs)


def test_verify_risk_measures_what_is_published_and_its_file_says_nothing_of_anybody(home):
    answer = kampeky("verify", "risk", "--home", home, "--json")
    assert answer.code == 0, answer.err
    names = [check["name"] for check in answer.json["checks"]]
    assert {"measurements", "analytics.user_profiles", "advertising.ad_profiles", "analytics.user_profiles × advertising.ad_profiles"} <= set(names)
    written = (home / "evidence" / "measurements.jsonl").read_text()
    pseudonyms = {row["pseudonym"] for row in kampeky("sql", "analytics", "select pseudonym from user_profiles", "--home", home, "--json").json}
    assert not any(pseudonym in written for pseudonym in pseudonyms)


def test_the_figures_of_each_build_are_drawn_without_loading_anything(home, tmp_path):
    page = tmp_path / "risk.html"
    answer = kampeky("report", "risk", "--home", home, "--html", page)
    assert "analytics.user_profiles" in answer.out and "at least 10" in answer.out
    drawn = page.read_text()
    assert drawn.count("<svg") == len(kampeky("report", "risk", "--home", home, "--json").json)
    assert not any(word in drawn for word in ("<script", "http:", "https:", "url(", "@import", "<link", "<img"))


def test_measurements_that_were_changed_afterwards_show(home):
    path = home / "evidence" / "measurements.jsonl"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"smallest_class": ', b'"smallest_class": 9', 1))
    try:
        answer = kampeky("verify", "risk", "--home", home)
        assert "1 of their measurements changed or gone" in answer.out
        assert answer.code == 1
    finally:
        path.write_bytes(before)


# --- the marts of one purpose, beside each other ---


def exposed(name: str, built: dict[str, tuple[str, ...]], member: str | None = "pseudonym") -> Exposed:
    return Exposed("advertising", name, member, (member,) if member else (), (), (), built, {}, {})


def test_what_one_mart_hides_of_a_member_no_other_mart_of_its_purpose_shows(connection):
    connection.execute("attach or replace ':memory:' as together")
    connection.execute("""create table together.main.profiles as
            from (values ('a', 'shoes', '*', 1), ('b', '*', 'x', 2)) as t(pseudonym, interest, word, n);
        create table together.main.audience as from (values ('a', 'mail', 'shoes', 'y'), ('b', 'mail', 'bags', 'z'), ('b', 'push', 'bags', 'z'),
            ('c', 'mail', '*', 'z')) as t(pseudonym, channel, interest, word);
        create table together.main.totals as from (values ('bags', 2)) as t(interest, n)""")
    origin = ("usage_events.item_category",)
    marts = [exposed("profiles", {"interest": origin, "word": ("members.gender",), "n": origin}),
             exposed("audience", {"interest": origin, "word": ("members.birthday",)}), exposed("totals", {"interest": origin}, None)]
    assert carry_stars(connection, "together", marts) == {"audience": {"interest": 2}}
    assert connection.execute("from together.main.audience").fetchall() == [
        ("a", "mail", "shoes", "y"), ("b", "mail", "*", "z"), ("b", "push", "*", "z"), ("c", "mail", "*", "z")], "a word of another origin stays"
    assert connection.execute("from together.main.profiles").fetchall() == [("a", "shoes", "*", 1), ("b", "*", "x", 2)]
    assert connection.execute("from together.main.totals").fetchall() == [("bags", 2)]
    assert carry_stars(connection, "together", marts) == {}


def test_no_published_audience_shows_what_the_profiles_hide_nor_the_other_way_round(home):
    joined = "from ad_profiles as p join email_audience as e using (pseudonym)"
    told = {words: kampeky("sql", "advertising", f"select count(*) as n {joined} where {words}", "--json", "--home", home).json[0]["n"] for words in (
        "p.top_item_category <> e.top_item_category", "p.top_item_category = '*'", "p.top_item_category <> '*'")}
    assert told["p.top_item_category <> e.top_item_category"] == 0
    assert told["p.top_item_category = '*'"] > 0 and told["p.top_item_category <> '*'"] > 0
