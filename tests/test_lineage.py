"""Lineage: each mart column comes from contract columns that its purpose may use, filters and keys included; what cannot be followed is refused."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from house import kampeky
from small_market import Market, at, new_home

from pipelines.assurance.lineage import Leaf, identifying, trace
from pipelines.assurance.lineage_check import judge, refuse_forbidden
from pipelines.foundation.errors import Refused
from pipelines.foundation.home import PROJECT, Home, project_folder
from pipelines.policy.contract_types import Transform
from pipelines.policy.types import Rulebook, Source
from pipelines.transformation.dbt_build import compiled
from pipelines.workflows.build import build
from pipelines.workflows.contracts import refuse_undeclared
from pipelines.workflows.rules import rules
from pipelines.workflows.verify import verify

MEMBERS, POSTS, EVENTS = '"zone"."main"."members"', '"zone"."main"."forum_posts"', '"zone"."main"."usage_events"'
GENDER = Leaf("members", "gender", "gender")
PSEUDONYM = Leaf("members", "member_id", "pseudonym")
POSTED = Leaf("forum_posts", "posted_at", "paris_day")
TOPIC = Leaf("forum_posts", "forum_category", "forum_category")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> dict[str, Any]:
    return compiled(project_folder() / "dbt_project", tmp_path_factory.mktemp("compiled"), tuple(rules().policy.built))


def slipped(manifest: dict[str, Any], sql: str, mart: str = "user_profiles", **changes: Any) -> dict[str, Any]:
    """The project with another query in the place of a mart's."""
    key = f"model.kampeky.{mart}"
    return manifest | {"nodes": manifest["nodes"] | {key: manifest["nodes"][key] | {"compiled_code": sql, "columns": {}} | changes}}


def traced(manifest: dict[str, Any], sql: str, book: Rulebook | None = None, **changes: Any) -> dict[str, Any]:
    """Column → lineage of a mart that is this query."""
    return dict(trace(slipped(manifest, sql, **changes), book or rules(), "analytics")["user_profiles"])


def kinds(manifest: dict[str, Any], sql: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(person columns, quasi-identifiers) of a mart that is this query."""
    found = identifying(trace(slipped(manifest, sql), rules(), "analytics"), rules(), "analytics", "user_profiles")
    return found.person, found.quasi


def with_transform(dataset: str, column: str, transform: Transform | None, purpose: str = "analytics") -> Rulebook:
    """The rules with another word about how one column enters a purpose."""
    book = rules()
    contract = book.contract(dataset)
    columns = []
    for one in contract.columns:
        kept = {name: t for name, t in one.transforms.items() if name != purpose or one.name != column}
        columns.append(replace(one, transforms=kept | ({purpose: transform} if transform and one.name == column else {})))
    return replace(book, contracts=dict(book.contracts) | {dataset: replace(contract, columns=tuple(columns))})


def with_sources(purpose: str, add: dict[str, Source] | None = None, without: str | None = None) -> Rulebook:
    """The rules with another row of the purpose matrix."""
    book = rules()
    old = book.policy.purposes[purpose]
    sources = {name: source for name, source in old.sources.items() if name != without} | (add or {})
    return replace(book, policy=replace(book.policy, purposes=dict(book.policy.purposes) | {purpose: replace(old, sources=sources)}))


# --- the project as it is ---


def test_consents_say_whom_an_audience_reaches_and_no_profile_knows_of_them(manifest):
    """C-3.3a: a profile comes from exactly five kinds of data; C-3.4: a channel from the consent to it."""
    found = trace(manifest, rules(), "advertising")
    leaves = {mart: {leaf.dataset for c in columns.values() for leaf in c.values | c.conditions} for mart, columns in found.items()}
    knowing = {mart for mart, datasets in leaves.items() if "consents" in datasets}
    assert knowing == {"email_audience"}
    assert Leaf("consents", "kind", "kind") in found["email_audience"]["channel"].values


def test_every_mart_of_every_purpose_is_proved_and_no_column_lacks_its_line(manifest):
    for purpose in rules().policy.built:
        lineage = trace(manifest, rules(), purpose)
        assert set(lineage) >= set(rules().policy.built[purpose].marts)
        refuse_forbidden(lineage, rules(), purpose)
        judged = judge(lineage, rules(), purpose)
        declared = {(mart, column) for mart in lineage for column in manifest["nodes"][f"model.kampeky.{mart}"]["columns"]}
        assert {(j.mart, j.column) for j in judged} == declared
        assert all(j.origin and not j.wrong for j in judged)


def test_no_transaction_column_reaches_a_profile(manifest):
    for purpose in ("analytics", "advertising"):
        for columns in trace(manifest, rules(), purpose).values():
            for column in columns.values():
                assert not [leaf for leaf in column.values | column.conditions if leaf.dataset == "transactions"]


# --- what is followed ---


def test_filters_join_keys_groups_windows_and_orders_are_conditions(manifest):
    found = traced(manifest, f"""
        with posts as (select pseudonym, count(*) as n, max(paris_day) as last_on from {POSTS} where forum_category = 'x' group by pseudonym),
        ranked as (select pseudonym, gender from {MEMBERS} qualify row_number() over (partition by age_band order by registered_month) = 1)
        select ranked.pseudonym, ranked.gender, posts.n, posts.last_on from ranked left join posts on ranked.pseudonym = posts.pseudonym""")
    needed = {TOPIC, Leaf("members", "birthday", "age_band"), Leaf("members", "registered_at", "registered_month"), PSEUDONYM,
              Leaf("forum_posts", "author_id", "pseudonym")}
    assert found["gender"].values == {GENDER} and found["gender"].conditions >= needed
    assert found["n"].values == frozenset() and found["n"].counted and found["n"].conditions >= needed
    assert found["last_on"].values == {POSTED} and not found["last_on"].counted


@pytest.mark.parametrize("expression", [
    "gender", "coalesce(gender, 'none')", "upper(gender)", "cast(gender as varchar)", "gender || age_band", "case when true then gender end",
    "case gender when 'female' then gender else 'x' end", "lag(gender) over (order by pseudonym)", "first(gender) over (partition by age_band)",
    "nullif(gender, 'x')", "gender = 'female'", "gender in ('female', 'male')", "gender like 'f%'", "struct_pack(a := gender)['a']",
    "[gender][1]", "md5(gender)", "gender is not null", "if(true, gender, 'x')"])
def test_a_column_under_an_innocent_name_is_still_that_column(manifest, expression):
    steps = f"with a as (select pseudonym, {expression} as colour from {MEMBERS}), b as (select colour as shade from a)"
    found = traced(manifest, f"{steps} select shade as hue from b")
    assert GENDER in found["hue"].values
    assert kinds(manifest, f"select {expression} as hue from {MEMBERS}")[1] == ("hue",)


def test_a_case_over_a_column_tells_it_though_it_shows_only_words(manifest):
    sql = f"select pseudonym, case when gender = 'female' then 'a' else 'b' end as colour from {MEMBERS}"
    found = traced(manifest, sql)["colour"]
    assert found.values == frozenset() and found.conditions >= {GENDER} and found.told >= {GENDER}
    assert kinds(manifest, sql) == (("pseudonym",), ("colour",))


def test_a_name_of_the_same_list_is_followed_and_so_are_stars_and_numbers(manifest):
    found = traced(manifest, f"""select g as h, * exclude (age_band) from (select gender as g, g || 'x' as i, age_band, count(*) as n
        from {MEMBERS} group by 1, 2, 3)""")
    assert list(found) == ["h", "g", "i", "n"]
    assert found["i"].values == {GENDER}
    assert Leaf("members", "birthday", "age_band") in found["n"].conditions


def test_sides_of_a_union_are_taken_by_position_and_tell_apart_what_filters_them(manifest):
    sql = f"""select pseudonym, 'a' as side, gender as x from {MEMBERS} where age_band = '18-24'
              union all select pseudonym, 'b' as side, registration_channel from {MEMBERS} where age_band <> '18-24'"""
    found = traced(manifest, sql)
    assert found["x"].values == {GENDER, Leaf("members", "registration_channel", "registration_channel")}
    assert kinds(manifest, sql)[1] == ("side", "x")


def test_a_filter_that_all_rows_passed_tells_nothing_and_one_that_some_passed_tells(manifest):
    women = f"women as (select pseudonym, 'yes' as mark from {MEMBERS} where gender = 'female')"
    assert kinds(manifest, f"with {women} select pseudonym, mark from women") == (("pseudonym",), ())
    assert kinds(manifest, f"with {women} select m.pseudonym, women.mark from {MEMBERS} as m left join women on m.pseudonym = women.pseudonym") \
        == (("pseudonym",), ("mark",))
    assert kinds(manifest, f"""with {women} select m.pseudonym, women.pseudonym is not null as known
        from {MEMBERS} as m left join women on m.pseudonym = women.pseudonym""") == (("pseudonym",), ("known",))


def test_what_is_looked_up_by_a_value_tells_that_value_and_what_is_looked_up_by_a_pseudonym_does_not(manifest):
    seed = "(values ('female', 'a'), ('male', 'b')) as words(gender, word)"
    for join in (f"{MEMBERS} as m left join {seed} on m.gender = words.gender", f"{seed} inner join {MEMBERS} as m on m.gender = words.gender",
                 f"{MEMBERS} as m left join {seed} using (gender)"):
        assert kinds(manifest, f"select m.pseudonym, words.word from {join}") == (("pseudonym",), ("word",)), join
    assert kinds(manifest, f"select m.pseudonym, words.word from {MEMBERS} as m, {seed} where m.gender = words.gender")[1] == ("word",)
    days = f"(select pseudonym, paris_day, count(*) as n from {POSTS} group by all) as {{}}"
    assert kinds(manifest, f"select a.pseudonym, b.n from {days.format('a')} left join {days.format('b')} "
                 "on a.pseudonym = b.pseudonym and a.paris_day = b.paris_day") == (("pseudonym",), ())


def test_numbers_of_rows_are_no_quasi_identifiers_and_numbers_of_values_and_bands_of_them_are(manifest):
    sql = f"""select pseudonym, count(*) as posts, count(paris_day) as posts_again, count(distinct paris_day) as days,
        count(distinct forum_category) as topics,
        case when count(*) > 3 then 'many' else 'few' end as band, case when count(distinct paris_day) > 3 then 'many' end as day_band,
        count(*) filter (where forum_category = 'x') as some, max(paris_day) as last_on from {POSTS} group by pseudonym"""
    assert kinds(manifest, sql) == (("pseudonym",), ("days", "topics", "day_band", "some", "last_on"))
    found = traced(manifest, sql)
    assert [name for name, column in found.items() if column.counted] == ["posts", "posts_again", "days", "topics", "some"]
    assert POSTED in found["posts_again"].values


AS_A_NUMBER = {  # a quasi-identifier that comes out as a number of rows
    "a number of rows alike": "select pseudonym, count(*) over (partition by gender) as n from {members}",
    "a sum of ones alike": "select pseudonym, sum(1) over (partition by gender) as n from {members}",
    "a running sum of ones": "select pseudonym, sum(1) over (order by gender) as n from {members}",
    "a list as long as the rows before": "select pseudonym, len(list('x') over (order by gender)) as n from {members}",
    "a row number within what is alike": "select pseudonym, row_number() over (partition by gender) as n from {members}",
    "rows made by an inequality": "select pseudonym, count(*) as n from {members} inner join {rows} on i <= length(gender) group by all",
    "a sum over such rows": "select pseudonym, sum(1) as n from {members} inner join {rows} on i <= length(gender) group by all",
    "rows made by where": "select pseudonym, count(*) as n from {members}, {rows} where i <= length(gender) group by all",
    "rows made in a step before": "with more as (select m.pseudonym from {members} as m left join {rows} on i <= length(m.gender)) "
                                  "select pseudonym, count(*) as n from more group by all",
    "rows made by a union": "with more as (select pseudonym from {members} union all select pseudonym from {members} where gender = 'female') "
                            "select pseudonym, count(*) as n from more group by all",
    "rows of those alike": "select m.pseudonym, count(*) as n from {members} as m inner join {members} as o on m.gender = o.gender group by all",
    "a function that sqlglot does not know": "select pseudonym, kurtosis_pop(1) over (partition by gender) as n from {members}",
}


@pytest.mark.parametrize("what", AS_A_NUMBER)
def test_a_quasi_identifier_that_comes_out_as_a_number_of_rows_is_one(manifest, what):
    assert kinds(manifest, AS_A_NUMBER[what].format(members=MEMBERS, rows="generate_series(1, 9) as g(i)")) == (("pseudonym",), ("n",))


def test_a_number_within_one_persons_own_rows_or_over_those_found_by_the_pseudonym_is_none(manifest):
    own = "count(*) over (partition by pseudonym) as n, row_number() over (partition by pseudonym order by paris_day) as r"
    assert kinds(manifest, f"select pseudonym, {own} from {POSTS}") == (("pseudonym",), ())
    found = f"select m.pseudonym, count(*) as n from {MEMBERS} as m inner join {POSTS} as p on m.pseudonym = p.pseudonym group by all"
    assert kinds(manifest, found) == (("pseudonym",), ())


def test_a_pseudonym_is_a_person_column_under_any_name_and_a_number_of_persons_is_none(manifest):
    assert kinds(manifest, f"select cast(pseudonym as varchar) as label, min(pseudonym) as one from {MEMBERS} group by 1")[0] == ("label", "one")
    assert kinds(manifest, f"select count(distinct pseudonym) as member_count, count(pseudonym) as n from {MEMBERS}") == ((), ())
    assert kinds(manifest, f"select device_key from {EVENTS}")[0] == ("device_key",)


def test_a_count_carries_the_rows_that_it_counts(manifest):
    counted = traced(manifest, f"select count(*) as n from {POSTS}")["n"]
    assert counted.conditions == {Leaf("forum_posts", "author_id", "pseudonym")}
    with pytest.raises(Refused, match=r"user_profiles\.n depends on forum_posts\.author_id, of category forum, which purpose"):
        refuse_forbidden(trace(slipped(manifest, f"select count(*) as n from {POSTS}"), with_sources("analytics", without="forum"), "analytics"),
                         with_sources("analytics", without="forum"), "analytics")


def test_a_column_wins_over_a_relation_of_its_name_as_in_duckdb(manifest):
    assert traced(manifest, f"select gender from (select gender from {MEMBERS}) as gender")["gender"].values == {GENDER}


# --- what is refused because it cannot be followed ---

REFUSED = {
    "a column that is in no contract": (f"select email from {MEMBERS}", r"column email: 'email' is no column of what it reads.*a contract names"),
    "a column of nothing": (f"select m.gender, x.gender as g from {MEMBERS} as m", r"'x\.gender' is no column"),
    "a whole row": (f"select m as everything from {MEMBERS} as m", r"column everything: 'm' is a whole row"),
    "a whole row as JSON": (f"select to_json(m) as everything from {MEMBERS} as m", r"'m' is a whole row"),
    "a whole row counted": (f"select count(m) as n from {MEMBERS} as m", r"'m' is a whole row"),
    "a row packed by star": (f"select struct_pack(*columns(*)) as s from {MEMBERS}", r"cannot be read|\* within|columns|Star|differently"),
    "columns by pattern": (f"select columns('g.*') from {MEMBERS}", r"has no name|columns\(…\)"),
    "columns in an expression": (f"select coalesce(*columns(*)) as x from {MEMBERS}", r"columns|Star|within|cannot be read|not followed"),
    "a star with a pattern": (f"select * like 'g%' from {MEMBERS}", r"has no name"),
    "a star with replacements": (f"select * replace ('x' as gender) from {MEMBERS}", r"a clause \(replace\)"),
    "a star of nothing": (f"select x.* from {MEMBERS} as m", r"x\.\* from nothing"),
    "a union by name": (f"select gender as a, age_band as b from {MEMBERS} union all by name select age_band as b, gender as a from {MEMBERS}",
                        r"union by name.*Write union all"),
    "in (select)": (f"select gender from {MEMBERS} where pseudonym in (select pseudonym from {POSTS})", r"a subquery stands in an.*join it"),
    "exists": (f"select gender from {MEMBERS} as m where exists (select 1 from {POSTS} as p where p.pseudonym = m.pseudonym)", r"a subquery stands"),
    "any": (f"select gender from {MEMBERS} where pseudonym = any(select pseudonym from {POSTS})", r"a subquery stands"),
    "a scalar subquery": (f"select gender, (select max(paris_day) from {POSTS}) as d from {MEMBERS}", r"a subquery stands"),
    "a list of a subquery": (f"select array(select pseudonym from {POSTS}) as d from {MEMBERS}", r"subquery|not followed|whole row"),
    "a file": ("select a from 'people.csv'", r"'people\.csv', which is no table of this purpose"),
    "a table function over a file": ("select a from read_csv('people.csv')", r"reads from (ReadCSV|read_csv)"),
    "a Parquet file": ("select a from read_parquet('people.parquet') as t(a)", r"reads from (ReadParquet|read_parquet)"),
    "another database": ('select ip from "raw"."main"."access_logs"', r"'raw\.main\.access_logs', which is no table"),
    "a table of the zone that does not enter": ('select gender from "zone"."main"."wallets"', r"'zone\.main\.wallets', which is no table"),
    "another schema of the zone": ('select gender from "zone"."other"."members"', r"no table of this purpose"),
    "a model of another purpose": ('select gender from "mart"."main"."ad_profiles"', r"'mart\.main\.ad_profiles', which is no table"),
    "a name without a database": ("select gender from members", r"'members', which is no table"),
    "the catalog of the database": ("select column_name from information_schema.columns", r"information_schema\.columns"),
    "a recursive step": ("with recursive r as (select 1 as x union all select x + 1 from r where x < 3) select x from r", r"is recursive"),
    "itself": ('select gender from "mart"."main"."user_profiles"', r"reads from itself"),
    "a column as a unit": (f"select date_diff(gender, registered_month, last_active_month) as n from {MEMBERS}", r"read it differently \(gender\)"),
    "a natural join": (f"select gender from {MEMBERS} natural join (select pseudonym from {POSTS}) as p", r"a clause \(method\)"),
    "a positional join": (f"select gender from {MEMBERS} positional join (select forum_category from {POSTS}) as p", r"clause \(method\)|positional"),
    "an unnested column": (f"select x from {MEMBERS} as m, unnest([m.gender]) as u(x)", r"takes more than literals"),
    "an unnested column in the list": (f"select unnest([gender]) as x from {MEMBERS}", r"Explode|Unnest"),
    "a lateral subquery": (f"select x from {MEMBERS} as m, lateral (select m.gender as x) as l", r"Lateral|no column|not followed"),
    "a subquery that looks outside": (f"select x from {MEMBERS} as m, (select m.gender as x) as l", r"'m\.gender' is no column"),
    "a pivot": (f"pivot {MEMBERS} on gender using count(*)", r"not one select|Pivot"),
    "a pivot in from": (f"select * from {MEMBERS} pivot (count(*) for gender in ('female'))", r"pivot|read it differently|not one select"),
    "a column by number": (f"select #1 as x from {MEMBERS}", r"a column by its number"),
    "a function of its own": (f"select list_transform([gender], g -> g || 'x') as x from {MEMBERS}", r"function of its own|differently \(g\)"),
    "a list comprehension": (f"select [g || 'x' for g in [gender]] as x from {MEMBERS}", r"not followed|differently|a function of its own|no column"),
    "a variable": ("select getvariable('x') as x", r"getvariable\(…\) comes from elsewhere"),
    "a setting": ("select current_setting('x') as x", r"comes from elsewhere"),
    "the environment": ("select getenv('HOME') as x", r"comes from elsewhere"),
    "a column without a name": (f"select upper(gender) from {MEMBERS}", r"has no name.*as a_name"),
    "two columns of one name": (f"select gender as x, age_band as x from {MEMBERS}", r"two of its columns are called x"),
    "a part of a nested value": (f"select m.gender.x as y from {MEMBERS} as m", r"a whole row or a part of a nested value"),
    "sides of different length": (f"select gender from {MEMBERS} union all select gender, age_band from {MEMBERS}", r"different numbers of columns"),
    "two statements": (f"select gender from {MEMBERS}; select age_band from {MEMBERS}", r"not one select"),
    "no select": ("create table x as select 1 as y", r"not one select|written with"),
    "a sample": (f"select gender from {MEMBERS} using sample 10%", r"a clause \(sample\)"),
    "a table sample": (f"select gender from {MEMBERS} tablesample 10%", r"a clause \(sample\)"),
    "a table by its name in a text": ("select gender from query_table('members')", r"reads from query_table"),
    "a query in a text": ("select gender from query('select 1 as gender')", r"reads from query"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_followed_is_refused_with_model_and_remedy(manifest, what):
    sql, reason = REFUSED[what]
    with pytest.raises(Refused, match=reason) as refused:
        traced(manifest, sql)
    assert str(refused.value).startswith("models/analytics/marts/user_profiles.sql")
    assert refused.value.rule == "C-3.3a"


@pytest.mark.parametrize(("changes", "reason"), [
    ({"language": "python"}, "written in Python"),
    ({"config": {"materialized": "incremental"}}, "materialised as incremental"),
    ({"config": {"materialized": "external"}}, "materialised as external"),
    ({"config": {"materialized": "table", "pre-hook": [{"sql": "select 1"}]}}, "has a hook"),
    ({"config": {"materialized": "table", "post-hook": [{"sql": "select 1"}]}}, "has a hook"),
    ({"config": {"materialized": "table", "sql_header": "create macro x() as 1"}}, "has a hook or a header"),
    ({"raw_code": "{% call set_sql_header(config) %} create macro x() as 1; {% endcall %} select 1 as x"}, "its template uses"),
    ({"raw_code": "{{ context['run_' ~ 'query']('select 1') }} select 1 as x"}, "its template uses"),
    ({"raw_code": "{% do run_query('select 1') %} select 1 as x"}, "its template uses"),
    ({"raw_code": "{% if execute %}{% do run_hooks([{'sql': 'select 1'}]) %}{% endif %} select 1 as x"}, "its template uses"),
    ({"raw_code": "{% if flags.WHICH == 'build' %}{{ ref('x') }}{% endif %} select 1 as x"}, "its template uses an attribute .WHICH."),
    ({"raw_code": "{{ ref('x').api.relation() }} select 1 as x"}, "an attribute"),
    ({"raw_code": "{{ rename_relation(ref('x'), ref('y')) }} select 1 as x"}, "its template uses rename_relation"),
    ({"raw_code": "{% import 'x' as y %} select 1 as x"}, "its template uses a"),
    ({"raw_code": "{% if %} select 1 as x"}, "its template cannot be read"),
    ({"config": {"materialized": "table", "grants": {"select": ["x; drop table y"]}}}, "it sets grants"),
    ({"columns": {"gender": {"data_type": "varchar); copy (select 1) to 'x'; create table y (z int"}}}, "a name, type or constraint"),
    ({"columns": {"gender": {"constraints": [{"type": "check", "expression": "true)); copy (select 1) to 'x'"}]}}}, "a name, type or constraint"),
    ({"alias": 'x" as select 1; --'}, "its name is none"),
    ({"compiled_code": None}, "was not compiled")])
def test_what_compiled_sql_would_not_show_is_refused(manifest, changes, reason):
    with pytest.raises(Refused, match=reason):
        traced(manifest, f"select gender from {MEMBERS}", **changes)


@pytest.mark.parametrize(("name", "sql", "reason"), [
    ("ref", "{% macro ref(m) %}{% endmacro %}", "takes the place of one of dbt's own"),
    ("duckdb__create_table_as", "{% macro duckdb__create_table_as() %}{% endmacro %}", "takes the place"),
    ("materialization_table_duckdb", "{% materialization table %}{% endmaterialization %}", "takes the place"),
    ("generate_alias_name", "{% macro generate_alias_name(a, n) %}x{% endmacro %}", "takes the place"),
    ("quiet", "{% macro quiet() %}{{ adapter.execute('x') }}{% endmacro %}", "its template uses"),
    ("quiet", "{% macro quiet() %}{% do run_query('x') %}{% endmacro %}", "its template uses"),
    ("quiet", "{% macro quiet() %}{% call statement('x') %}select 1{% endcall %}{% endmacro %}", "its template uses")])
def test_a_macro_that_acts_is_refused(manifest, name, sql, reason):
    macro = {"name": name, "package_name": "kampeky", "macro_sql": sql, "original_file_path": "macros/x.sql"}
    other = manifest | {"macros": manifest["macros"] | {f"macro.kampeky.{name}": macro}}
    with pytest.raises(Refused, match=reason):
        trace(other, rules(), "analytics")


CLOSES = "select 1 as x) as t; copy (select 1) to 'x.csv'; select 0 as failures from (select 1"


@pytest.mark.parametrize(("changes", "reason"), [
    ({}, None),
    ({"compiled_code": CLOSES}, "is not one select"),
    ({"compiled_code": "create table x as select 1"}, "is not one select"),
    ({"compiled_code": f"with m as (from {MEMBERS}) select 1 from m where pseudonym in (select pseudonym from {POSTS}) and range(2)[1] = 0"}, None),
    ({"compiled_code": "select 1 from read_text('keys/raw.key') where length(content) > 0"}, r"reads from read_text\(…\).*Read from ref"),
    ({"compiled_code": "select 1 where (select count(*) from read_duckdb('other.duckdb', table_name := 'x')) > 3"}, r"reads from read_duckdb\(…\)"),
    ({"compiled_code": "select 1 from 'people.csv'"}, r"reads from people\.csv"),
    ({"compiled_code": "select 1 from duckdb_databases()"}, r"reads from duckdb_databases\(…\)"),
    ({"compiled_code": "select 1 from information_schema.tables"}, r"reads from information_schema\.tables"),
    ({"compiled_code": "select 1 from raw.main.members"}, r"reads from raw\.main\.members"),
    ({"compiled_code": "select 1 from members"}, r"reads from members"),
    ({"compiled_code": "select 1 where getenv('HOME') > ''"}, r"reads from getenv\(…\)"),
    ({"test_metadata": None, "raw_code": "{% do run_hooks([]) %} select 1"}, "its template uses run_hooks"),
    ({"test_metadata": {"name": "accepted_values", "kwargs": {"values": ["a", "{{ run_hooks([]) }}"]}}}, "its template uses run_hooks"),
    ({"test_metadata": {"name": "unique", "kwargs": {"column_name": "x", "model": "{{ get_where_subquery(ref('x')) }}"}}}, None),
    ({"test_metadata": {"name": "of_a_package"}}, "a test of the kind of_a_package"),
    ({"config": {"where": "1=1) as t; copy (select 1) to 'x.csv'; --"}}, "sets where"),
    ({"config": {"fail_calc": "1 from x; drop table y"}}, "sets fail_calc"),
    ({"config": {"store_failures": True}}, "sets store_failures"),
    ({"resource_type": "operation"}, "the project has a operation"),
    ({"resource_type": "snapshot"}, "the project has a snapshot")])
def test_a_test_is_one_select_and_nothing_else(manifest, changes, reason):
    config = {"fail_calc": "count(*)", "warn_if": "!= 0", "error_if": "!= 0"} | changes.get("config", {})
    made = {"resource_type": "test", "name": "t", "original_file_path": "tests/t.sql", "test_metadata": {"name": "unique"},
            "raw_code": "{{ test_unique(**_dbt_generic_test_kwargs) }}", "compiled_code": "select 1 as x"} | changes | {"config": config}
    other = manifest | {"nodes": manifest["nodes"] | {"test.kampeky.t": made}}
    if reason is None:
        assert trace(other, rules(), "analytics")
    else:
        with pytest.raises(Refused, match=reason):
            trace(other, rules(), "analytics")


def test_a_mart_that_was_not_compiled_or_that_its_yaml_does_not_declare_is_refused(manifest):
    kept = {key: node for key, node in manifest["nodes"].items() if key != "model.kampeky.user_profiles" and node["resource_type"] != "test"}
    other = manifest | {"nodes": kept}
    with pytest.raises(Refused, match="'user_profiles' of 'analytics' has no model"):
        trace(other, rules(), "analytics")
    with pytest.raises(Refused, match=r"other columns than its YAML declares \(age_band, gender\)"):
        traced(manifest, f"select age_band from {MEMBERS}", columns={"gender": {}})


def test_a_seed_holds_no_contract_column_and_must_say_which_columns_it_has(manifest):
    other = slipped(manifest, 'select m.pseudonym, s.word from ' + MEMBERS + ' as m cross join "mart"."main"."words" as s')
    seed = {"resource_type": "seed", "original_file_path": "seeds/analytics/words.csv", "database": "mart", "schema": "main", "name": "words"}
    other["nodes"]["seed.kampeky.words"] = seed | {"columns": {"word": {}}}
    assert trace(other, rules(), "analytics")["user_profiles"]["word"].values == frozenset()
    other["nodes"]["seed.kampeky.words"] = seed | {"columns": {"word": {}}, "original_file_path": "seeds/advertising/words.csv"}
    with pytest.raises(Refused, match=r"'mart\.main\.words', which is no table of this purpose"):
        trace(other, rules(), "analytics")
    other["nodes"]["seed.kampeky.words"] = seed | {"columns": {}}
    with pytest.raises(Refused, match="names no columns"):
        trace(other, rules(), "analytics")


# --- a key meets keys alone ---

WORDS = "(values ('6f1d9c1e-0000-4000-8000-000000000000'::uuid, 'rich')) as w(pseudonym, word)"
SOMEBODY = "'6f1d9c1e-0000-4000-8000-000000000000'"
ABOUT_ONE = {  # a model that says something about one person, or makes of a pseudonym what could be written in one
    "a case": f"select case when pseudonym = {SOMEBODY} then 'rich' else 'poor' end as word from {MEMBERS}",
    "a case of it": f"select case pseudonym when {SOMEBODY} then 'rich' else 'poor' end as word from {MEMBERS}",
    "a case with a pseudonym for nobody": f"select case when gender = 'female' then pseudonym else {SOMEBODY} end as p from {MEMBERS}",
    "a filter": f"select gender from {MEMBERS} where pseudonym = {SOMEBODY}",
    "a list": f"select gender from {MEMBERS} where pseudonym in ({SOMEBODY})",
    "a stretch": f"select gender from {MEMBERS} where pseudonym between {SOMEBODY} and {SOMEBODY}",
    "one side of a stretch": f"select gender from {MEMBERS} where pseudonym > {SOMEBODY}",
    "a part of it": f"select left(pseudonym::varchar, 8) as p from {MEMBERS}",
    "a hash of it": f"select md5(pseudonym::varchar) as p from {MEMBERS}",
    "a number of it": f"select hash(pseudonym) as p from {MEMBERS}",
    "a text with it": f"select pseudonym || '' as p from {MEMBERS}",
    "a pattern": f"select gender from {MEMBERS} where pseudonym::varchar like '6f1d%'",
    "a list with it": f"select [pseudonym] as p from {MEMBERS}",
    "a struct with it": f"select {{'p': pseudonym}} as p from {MEMBERS}",
    "a pair": f"select gender from {MEMBERS} where (pseudonym, gender) = ({SOMEBODY}, 'female')",
    "a default": f"select coalesce(pseudonym, {SOMEBODY}) as p from {MEMBERS}",
    "a default of the row before": f"select lag(pseudonym, 1, {SOMEBODY}::uuid) over (order by gender) as p from {MEMBERS}",
    "a null in its place": f"select nullif(pseudonym, {SOMEBODY}) as p from {MEMBERS}",
    "its rank": f"select row_number() over (order by pseudonym) = 17 as word from {MEMBERS}",
    "a join": f"select w.word from {MEMBERS} as m inner join {WORDS} on m.pseudonym = w.pseudonym",
    "a left join": f"select w.word from {MEMBERS} as m left join {WORDS} on m.pseudonym is not distinct from w.pseudonym",
    "a join of one name": f"select w.word from {MEMBERS} as m inner join {WORDS} using (pseudonym)",
    "a union": f"select pseudonym, gender from {MEMBERS} union all select {SOMEBODY}::uuid as pseudonym, 'rich' as word",
    "a union the other way round": f"select {SOMEBODY}::uuid as pseudonym, 'rich' as word union all select pseudonym, gender from {MEMBERS}",
    "one for all that are alike": f"select pseudonym, min(pseudonym) over (partition by gender) as p from {MEMBERS}",
    "the one before": f"select pseudonym, lag(pseudonym) over (order by gender) as p from {MEMBERS}",
    "a device": f"select gender from {MEMBERS} as m inner join {EVENTS} as e on m.pseudonym = e.pseudonym where e.device_key = {SOMEBODY}",
}


@pytest.mark.parametrize("what", ABOUT_ONE)
def test_a_pseudonym_meets_no_written_value_so_nothing_can_be_said_about_one_person(manifest, what):
    with pytest.raises(Refused, match=r"a pseudonym or another key (meets in .* what is none.*Compare keys with keys|of other rows.*own)"):
        traced(manifest, ABOUT_ONE[what])


def test_a_seed_cannot_be_looked_up_by_a_pseudonym(manifest):
    other = slipped(manifest, f'select s.word from {MEMBERS} as m inner join "mart"."main"."words" as s on m.pseudonym = s.pseudonym')
    other["nodes"]["seed.kampeky.words"] = {"resource_type": "seed", "original_file_path": "seeds/analytics/words.csv", "database": "mart",
                                            "schema": "main", "name": "words", "columns": {"pseudonym": {}, "word": {}}}
    with pytest.raises(Refused, match=r"a pseudonym or another key meets in EQ what is none"):
        trace(other, rules(), "analytics")


def test_keys_meet_keys_and_are_handed_on(manifest):
    found = traced(manifest, f"""
        select
            coalesce(e.pseudonym, e.device_key) as person, lag(e.device_key, 1, null) over (partition by e.pseudonym order by e.paris_day) as before,
            case when e.pseudonym is null then e.device_key else e.pseudonym end as other,
            min(e.pseudonym) over (partition by e.pseudonym) as smallest,
            e.pseudonym is null as is_visitor, e.pseudonym < m.pseudonym as smaller
        from {EVENTS} as e inner join {MEMBERS} as m on e.pseudonym = m.pseudonym and e.device_key <> m.pseudonym
        union all select null::uuid as a, null as b, pseudonym as c, pseudonym as d, true as e, false as f from {POSTS}""")
    shown = {name for name, column in found.items() if {"pseudonym", "device_key"} & {leaf.output for leaf in column.shown}}
    assert shown == {"person", "before", "other", "smallest"}


# --- what is refused because it may not be ---


def test_a_category_that_the_matrix_no_longer_names_is_refused_wherever_it_comes_in(manifest):
    book = with_sources("analytics", without="profile")
    with pytest.raises(Refused, match=r"user_profiles\.gender is computed from members\.gender, of category profile, which purpose") as refused:
        refuse_forbidden(trace(manifest, book, "analytics"), book, "analytics")
    assert "C-3.3a" in str(refused.value)


SALES = with_transform("transactions", "buyer_id", Transform("pseudonym", "pseudonym", "transactions"))
SALES = replace(SALES, contracts=dict(SALES.contracts) | {"transactions": replace(SALES.contract("transactions"), columns=tuple(
    replace(c, transforms=dict(c.transforms) | {"analytics": Transform("keep", "price_eur", "transactions")}) if c.name == "price_eur" else c
    for c in SALES.contract("transactions").columns))})
TRANSACTIONS = '"zone"."main"."transactions"'


PAID = "transactions.price_eur"


@pytest.mark.parametrize(("sql", "how"), [
    ("select t.price_eur as innocent from {T} as t", f"is computed from {PAID}"),
    ("select m.gender as innocent from {M} as m left join {T} as t on m.pseudonym = t.pseudonym", "depends on transactions.buyer_id"),
    ("select m.gender as innocent from {M} as m semi join {T} as t on m.pseudonym = t.pseudonym and t.price_eur > 3", f"depends on {PAID}"),
    ("select case when t.price_eur > 3 then 'a' end as innocent from {T} as t", f"depends on {PAID}"),
    ("select 'x' as innocent from {T} as t where t.price_eur > 3", f"depends on {PAID}"),
    ("select count(*) as innocent from {T} as t", "depends on transactions.buyer_id"),
    ("select rank() over (order by price_eur) as innocent from {T}", f"is computed from {PAID}"),
    ("select 'x' as innocent from {T} group by price_eur", f"depends on {PAID}"),
    ("select 'x' as innocent from {T} group by pseudonym having sum(price_eur) > 3", f"depends on {PAID}"),
    ("select distinct on (price_eur) 'x' as innocent from {T}", f"depends on {PAID}"),
    ("select 'x' as innocent from {T} order by price_eur limit 3", f"depends on {PAID}"),
    ("select 'x' as innocent from {T} qualify row_number() over (partition by price_eur) = 1", f"depends on {PAID}"),
    ("select sum(1) over w as innocent from {T} window w as (order by price_eur)", f"depends on {PAID}"),
    ("select gender as innocent from {M} except select 'x' as innocent from {T} where price_eur > 3", f"depends on {PAID}"),
    ("select string_agg('x', ',' order by price_eur) as innocent from {T}", f"depends on {PAID}"),
    ("select arg_max('x', price_eur) as innocent from {T}", f"depends on {PAID}"),
    ("select count(*) filter (where price_eur > 3) as innocent from {T}", f"depends on {PAID}"),
    ("with u as (select 1 as x from {T} where price_eur > 3) select m.gender as innocent from {M} as m cross join u", f"depends on {PAID}"),
])
def test_a_transaction_column_is_seen_in_every_clause_and_never_flows_into_a_profile(manifest, sql, how):
    lineage = trace(slipped(manifest, sql.format(M=MEMBERS, T=TRANSACTIONS)), SALES, "analytics")
    with pytest.raises(Refused, match=rf"user_profiles\.innocent {re.escape(how)}, of category transactions, which purpose analytics does not name"):
        refuse_forbidden(lineage, SALES, "analytics")


def test_a_transaction_column_flows_into_no_profile_even_if_the_matrix_is_made_to_name_it(manifest):
    named = replace(SALES, policy=with_sources("analytics", add={"transactions": Source("legitimate_interest")}).policy)
    with pytest.raises(Refused, match=r"of category transactions, which flows into service, security, improvement alone \(C-3\.3a\)"):
        refuse_forbidden(trace(slipped(manifest, f"select price_eur as x from {TRANSACTIONS}"), named, "analytics"), named, "analytics")


@pytest.mark.parametrize(("dataset", "column", "transform", "words"), [
    ("members", "picture_url", Transform("keep", "has_picture", "profile"), "a direct identifier that enters by keep"),
    ("access_logs", "path", Transform("keep", "route", "log_files"), "a free text that enters by keep")])
def test_a_direct_identifier_or_a_text_enters_veiled_or_not_at_all(manifest, dataset, column, transform, words):
    book = with_transform(dataset, column, transform)
    lineage = trace(slipped(manifest, f'select {transform.output} as x from "zone"."main"."{dataset}"'), book, "analytics")
    with pytest.raises(Refused, match=words):
        refuse_forbidden(lineage, book, "analytics")


def test_a_column_whose_transform_was_taken_away_is_no_column_any_more(manifest):
    with pytest.raises(Refused, match=r"stg_analytics__members\.sql.*'gender' is no column of what it reads from.*transforms"):
        trace(manifest, with_transform("members", "gender", None), "analytics")


# --- a copy of the project, changed by a stranger ---


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of contracts and models that a test may change; KAMPEKY_PROJECT names it."""
    for folder in ("data_contracts", "dbt_project"):
        shutil.copytree(project_folder() / folder, tmp_path / "project" / folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("KAMPEKY_PROJECT", str(tmp_path / "project"))
    return tmp_path / "project"


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


SLIPPED = """
select members.* exclude (paid), members.paid as tenure_word
from (select p.*, s.paid from user_profiles as p left join
      (select pseudonym, max(price_eur) as paid from "zone"."main"."transactions" group by pseudonym) as s on p.pseudonym = s.pseudonym) as members
"""


def test_a_leaking_model_and_a_matrix_that_was_made_to_allow_it_publish_nothing(project, tmp_path, monkeypatch):
    basis = "{basis: legitimate_interest}\n"
    changed(project / "data_contracts" / "policy.yaml", f"      forum:        {basis}", f"      forum: {basis}      transactions: {basis}")
    contract = project / "data_contracts" / "transactions.odcs.yaml"
    text = yaml.safe_load(contract.read_text(encoding="utf-8"))
    for column in text["schema"][0]["properties"]:
        use = {"buyer_id": "pseudonym", "price_eur": "keep", "started_at": "paris_day"}.get(column["name"])
        if use:
            said = column["customProperties"]
            column["customProperties"] = [one for one in said if one["property"] != "transforms"] + [
                {"property": "transforms", "value": {"analytics": use} | next((o["value"] for o in said if o["property"] == "transforms"), {})}]
    contract.write_text(yaml.safe_dump(text, allow_unicode=True, sort_keys=False), encoding="utf-8")
    marts = project / "dbt_project" / "models" / "analytics" / "marts"
    changed(marts / "user_profiles.sql", "\nselect * from user_profiles", SLIPPED)
    changed(marts / "_marts__models.yml", "      - name: pseudonym\n",
            "      - name: tenure_word\n        description: Innocent.\n        data_type: decimal(12,2)\n      - name: pseudonym\n")
    with pytest.raises(Refused, match=r"purposes\.analytics\.sources\.transactions: transactions must not flow in.*C-3\.3a"):
        verify(Home(tmp_path / "none"), "lineage", "analytics")
    monkeypatch.setattr("pipelines.policy.rulebook.refuse_looser", lambda _: None)  # and the second wall holds without the first
    said = {c["name"]: c for c in verify(Home(tmp_path / "none"), "lineage", "analytics")["checks"]}
    assert not said["analytics.user_profiles.tenure_word"]["ok"]
    assert "is computed from transactions.price_eur, of category transactions, which flows into service, security, improvement alone (C-3.3a)" in \
        said["analytics.user_profiles.tenure_word"]["detail"]
    home, market = new_home(tmp_path / "home"), Market()
    market.member("one").sale("t1", "one", "two").load(home, "2026-02-11")
    with pytest.raises(Refused, match=r"tenure_word is computed from transactions\.price_eur.*C-3\.3a"):
        build(home, at("2026-02-11"), ["analytics"])
    assert not home.mart("analytics").exists()


def test_verify_lineage_needs_no_home_and_prints_a_line_for_each_column(tmp_path):
    said = kampeky("verify", "lineage", "advertising", "--json", "--home", tmp_path / "none").json
    marts = {f"advertising.{mart}" for mart in rules().policy.built["advertising"].marts}
    assert said["ok"] and {c["name"].rpartition(".")[0] for c in said["checks"]} == marts
    assert not (tmp_path / "none").exists()
    assert kampeky("verify", "lineage", "nothing", "--home", tmp_path / "none").code == 2


def test_the_mart_that_the_engineers_page_adds_as_an_example_is_proved(project, tmp_path):
    page = (PROJECT / "docs" / "engineers.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"```\w+\n(?:--|#) (dbt_project/\S+)\n(.*?)```", page, re.DOTALL))
    assert len(written) == 2
    for name, text in written.items():
        (project / name).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"members_by_age must stand in policy\.yaml"):
        refuse_undeclared(Home(tmp_path / "none"), rules())
    changed(project / "data_contracts" / "policy.yaml", "    marts: [user_profiles", "    marts: [members_by_age, user_profiles")
    said = {c["name"]: c for c in verify(Home(tmp_path / "none"), "lineage", "analytics")["checks"]}
    assert said["analytics.members_by_age.age_band"]["ok"] and said["analytics.members_by_age.member_count"]["ok"]
