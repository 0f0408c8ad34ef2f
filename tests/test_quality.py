"""DuckDB judges every row, Great Expectations a sample again; they agree or nothing is loaded, and no value is ever told."""

from __future__ import annotations

import csv
import gc
import itertools
import json
import logging
import re
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.engines.duckdb_engine import Connection, connect, quote_text
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.foundation.home import PROJECT
from pipelines.ingestion.check import CHECKED, check_rows, stage
from pipelines.policy.contract_types import Contract
from pipelines.policy.rulebook import load_rulebook
from pipelines.quality import second_opinion
from pipelines.quality.expectations import UNCOVERED, python_pattern, suite
from pipelines.quality.predicates import checks
from pipelines.quality.second_opinion import SAMPLE, compare

RULEBOOK = load_rulebook(PROJECT / "data_contracts")
RECORDS = [name for name, contract in RULEBOOK.contracts.items() if contract.format == "records"]
AS_OF = date(2026, 3, 2)
PLANTED = "zoe.planted@example.test"  # stands in failing rows, and must stand nowhere else

# what a good row of each dataset holds; a column that is not here is empty
GOOD: dict[str, dict[str, str]] = {
    "members": {"member_id": "m-1", "member_name": "anna", "email": "anna@example.com", "registration_channel": "direct",
                "registered_at": "2026-01-05T10:00:00Z", "age_confirmed": "true", "birthday": "1990-04-01", "friends_count": "3", "country": "FR",
                "last_active_on": "2026-02-01", "updated_at": "2026-02-01T08:00:00Z"},
    "transactions": {"transaction_id": "t-1", "buyer_id": "m-1", "seller_id": "m-2", "item_category": "shoes",
                     "price_eur": "19.90", "status": "paid", "started_at": "2026-02-01T10:00:00+01:00", "card_last4": "4242",
                     "updated_at": "2026-02-01T10:00:00+01:00"},
}
ACCESS_LOG = '203.0.113.9 - m-1 [01/Feb/2026:10:00:00 +0100] "GET /items HTTP/1.1" {status} 512 "-" "Mozilla/5.0"'


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Home, temporary folder and working folder while this module runs, empty at its start."""
    places = [tmp_path_factory.mktemp(name) for name in ("home", "tmp", "cwd")]
    with pytest.MonkeyPatch.context() as patch:
        for name, place in zip(("HOME", "TMPDIR"), places, strict=False):
            patch.setenv(name, str(place))
        patch.setattr(tempfile, "tempdir", None)
        patch.chdir(places[2])
        yield places


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    opened = connect(tmp_path / "spill", extensions=())
    yield opened
    opened.close()


@pytest.fixture
def checked(connection: Connection, tmp_path: Path) -> Callable[..., list[list[str]]]:
    """`checked(contract, *rows)`: the failing checks of each row, in order, after the real path from an NDJSON file."""

    def check(contract: Contract, *rows: dict[str, Any] | str) -> list[list[str]]:
        path = tmp_path / f"{contract.name}.ndjson"
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return judged(connection, contract, path)

    return check


def judged(connection: Connection, contract: Contract, path: Path) -> list[list[str]]:
    stage(connection, contract, path)
    check_rows(connection, contract, RULEBOOK.policy, AS_OF)
    return [failed for (failed,) in connection.execute(f"select _failed from {CHECKED} order by _line").fetchall()]


def verdicts(connection: Connection) -> list[tuple[str, str | None]]:
    return connection.execute(f"select _verdict, _reason from {CHECKED} order by _line").fetchall()


# --- every row, by DuckDB ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", GOOD)
def test_a_good_row_fails_nothing(dataset: str, checked: Callable) -> None:
    contract = RULEBOOK.contract(dataset)
    assert set(GOOD[dataset]) <= {c.name for c in contract.columns}
    assert checked(contract, GOOD[dataset]) == [[]]


RULES = [  # dataset, column, a value that breaks the rule, one at its very edge that does not, the check
    ("members", "email", None, "a@b.fr", "email.required"),
    ("members", "email", "", "a@b.fr", "email.required"),
    ("members", "member_name", "n" * 201, "é" * 200, "member_name.max_length"),
    ("members", "email", "a@b", "a@b.fr", "email.pattern"),
    ("members", "email", "a@b.fr\n", "a@b.fr", "email.pattern"),
    ("members", "email", "a..b@exemple.fr", "a.b@exemple.fr", "email.format"),
    ("members", "iban", "FR7630006000011234567890188", "FR7630006000011234567890189", "iban.format"),
    ("members", "country", "FRA", "FR", "country.pattern"),
    ("members", "registration_channel", "Direct", "google", "registration_channel.allowed"),
    ("members", "registered_at", "2026-01-05T10:00:00", "2026-01-05T10:00:00+01:00", "registered_at.type"),
    ("members", "birthday", "2001-02-29", "2000-02-29", "birthday.type"),
    ("members", "birthday", "01/02/2000", "2000-02-01", "birthday.type"),
    ("members", "age_confirmed", "perhaps", "false", "age_confirmed.type"),
    ("members", "friends_count", "2.5", "+2", "friends_count.type"),
    ("members", "friends_count", "-1", "0", "friends_count.minimum"),
    ("transactions", "price_eur", "12,50", "12.50", "price_eur.type"),
    ("transactions", "price_eur", "-0.01", "0.00", "price_eur.minimum"),
    ("transactions", "price_eur", "1000000.01", "1000000.00", "price_eur.maximum"),
    ("transactions", "seller_id", "m-1", "m-2", "row.two_parties"),
]


@pytest.mark.parametrize(("dataset", "column", "bad", "good", "check"), RULES)
def test_a_row_that_breaks_one_rule_is_named_by_it_and_its_neighbour_is_kept(
        dataset: str, column: str, bad: str | None, good: str, check: str, checked: Callable) -> None:
    contract = RULEBOOK.contract(dataset)
    assert check in {c.name for c in checks(contract)}
    assert checked(contract, GOOD[dataset] | {column: bad}, GOOD[dataset] | {column: good}) == [[check], []]


def test_every_kind_of_rule_that_a_contract_uses_is_tried_above() -> None:
    used = {_kind(check.name) for contract in RULEBOOK.contracts.values() for check in checks(contract)}
    assert used - {_kind(rule[4]) for rule in RULES} <= {"min_length"}  # an empty text is null before it is short: the next test


def test_a_text_that_is_too_short_is_named(checked: Callable) -> None:
    contract = _with("members", "member_name", min_length=3)
    row = GOOD["members"]
    assert checked(contract, row | {"member_name": "éé"}, row | {"member_name": "ééé"}) == [["member_name.min_length"], []]


def test_a_row_names_every_check_that_it_fails_and_its_reason_is_the_first(checked: Callable, connection: Connection) -> None:
    contract = RULEBOOK.contract("members")
    bad = GOOD["members"] | {"email": "nobody", "friends_count": "-1", "updated_at": None}
    assert checked(contract, bad) == [["email.pattern", "friends_count.minimum", "updated_at.required"]]
    assert verdicts(connection) == [("quarantined", "email.pattern")]


def test_a_line_that_is_no_record_names_that_and_nothing_else(checked: Callable) -> None:
    assert checked(RULEBOOK.contract("members"), GOOD["members"], "no json", "[1]") == [[], ["line.not_json"], ["line.not_an_object"]]


def test_a_bare_day_is_no_time(checked: Callable) -> None:
    assert checked(RULEBOOK.contract("members"), GOOD["members"] | {"registered_at": "2026-01-05"}) == [["registered_at.type"]]


@pytest.mark.parametrize("price", ["19.999", "-0.001", "1_000"])
def test_an_amount_is_never_rounded_or_read_from_what_is_no_number(price: str, checked: Callable) -> None:
    assert checked(RULEBOOK.contract("transactions"), GOOD["transactions"] | {"price_eur": price}) == [["price_eur.type"]]


# --- card numbers -----------------------------------------------------------------------------------------------------


def test_a_row_with_a_card_number_is_refused_whatever_else_is_wrong_with_it(checked: Callable, connection: Connection) -> None:
    row = GOOD["members"]
    checked(RULEBOOK.contract("members"), row | {"about": "pay to 4111 1111 1111 1111"}, row | {"about": "pay to 4111 1111 1111 1112"},
            row | {"email": "nobody", "about": "4111111111111111"}, '{"about": "4111-1111-1111-1111"')
    assert verdicts(connection) == [("refused", "forbidden.card_number"), ("good", None), *[("refused", "forbidden.card_number")] * 2]


@pytest.mark.parametrize(("column", "value"), [("birthday", "4111 1111 1111 1111"), ("friends_count", "4111111111111111")])
def test_a_card_number_is_refused_in_a_column_of_any_type(column: str, value: str, checked: Callable, connection: Connection) -> None:
    checked(RULEBOOK.contract("members"), GOOD["members"] | {column: value})
    assert verdicts(connection) == [("refused", "forbidden.card_number")]


# --- the suite --------------------------------------------------------------------------------------------------------


def _kind(check: str) -> str:
    return "row" if check.startswith("row.") else check.rpartition(".")[2]


def _with(dataset: str, column: str, **changes: Any) -> Contract:
    contract = RULEBOOK.contract(dataset)
    return replace(contract, columns=tuple(replace(c, **changes) if c.name == column else c for c in contract.columns))


@pytest.mark.parametrize("dataset", RULEBOOK.contracts)
def test_the_suite_repeats_every_check_but_the_uncovered_kinds(dataset: str) -> None:
    contract = RULEBOOK.contract(dataset)
    repeated = [entry["meta"]["check"] for entry in suite(contract)]
    assert repeated == [check.name for check in checks(contract) if _kind(check.name) not in UNCOVERED]


def test_types_and_row_rules_are_all_that_has_no_second_opinion() -> None:
    assert set(UNCOVERED) == {"type", "row", "format"}


def test_making_the_suite_imports_neither_great_expectations_nor_pandas() -> None:
    code = ("import sys, pipelines.quality.second_opinion, pipelines.quality.expectations; "
            "sys.exit(bool({'great_expectations', 'pandas'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.mark.parametrize(("column", "changes", "says"), [
    ("email", {"pattern": "(?i)x"}, r"'email' uses '\(\?'"), ("email", {"pattern": r"\bx"}, "pattern"), ("email", {"pattern": r"\p{L}"}, "pattern"),
    ("email", {"pattern": "[[:alpha:]]"}, "named class"), ("email", {"pattern": "a{,3}"}, "pattern"), ("email", {"pattern": r"[\S]"}, "pattern"),
    ("email", {"pattern": "a**"}, "cannot read"), ("email", {"pattern": "x$a"}, "at an end"), ("email", {"pattern": "a^"}, "at an end"),
    ("birthday", {"pattern": "^1"}, "birthday' is DATE"), ("email", {"minimum": 1}, "minimum"),
    ("birthday", {"max_length": 9}, "max_length"), ("friends_count", {"allowed": ("few",)}, "allowed")])
def test_a_rule_that_two_engines_could_read_differently_is_refused(column: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        suite(_with("members", column, **changes))
    assert refused.value.rule == "members.odcs.yaml"


PATTERNS = [
    *sorted({c.pattern for contract in RULEBOOK.contracts.values() for c in contract.columns if c.pattern}),
    "", "a", "a$", "^$", ".", "^.$", "a|b$", r"\.", r"[.]", "^(?:a|_)+$", r"\s", r"^\S+$", r"\d", r"^\D$", r"\w", r"^\W", r"^[\w.-]+$", r"[\s-z]",
    "[]a]", "[^]a]", "[[&a]", r"[\]-]", r"\Aa\z", "a{2}", "a{1,2}b", r"\x41", r"[\x0b]", "é", "[^a-zé]$", r"\$", "[$]", "^[^@\\s]*$",
    "^a|^b$|(?:^c|d$)"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_the_same_to_duckdb_to_python_and_to_pandas(pattern: str, texts: SimpleNamespace, connection: Connection) -> None:
    words = python_pattern(pattern)
    lists = connection.execute(f"select list_transform($1, lambda x: regexp_matches(x, {quote_text(pattern)}))", [texts.all]).fetchall()[0][0]
    assert lists == [re.search(words, text) is not None for text in texts.all]
    assert lists == texts.series.str.contains(words).tolist()


@pytest.fixture(scope="module")
def texts() -> SimpleNamespace:
    """Every text of up to three signs on which regular-expression engines like to differ."""
    import pandas as pd

    signs = "aA0-_.$@]& \n\x0bé٣\u00a0"
    every = ["".join(text) for size in range(4) for text in itertools.product(signs, repeat=size)]
    return SimpleNamespace(all=every, series=pd.Series(every, dtype="str"))


# --- the second opinion -----------------------------------------------------------------------------------------------


def mixed(contract: Contract) -> list[dict[str, str | None]]:
    """Rows in which every column is once empty, overlong, of another type, just beside a rule, or right."""
    odd = [None, "", "2000000", "x" * 3000, "é" * 200, "-1", "-0.01", "0.30", "9007199254740993", "2026-02-30", "2026-02-01T00:00:00Z",
           "a@b.c\n", "\x0b@b.c", "FR", "true", "٣٣٣٣", "999", *(value for c in contract.columns for value in c.allowed)]
    return [{c.name: odd[(row + 5 * place) % len(odd)] for place, c in enumerate(contract.columns)} for row in range(len(odd))]


@pytest.mark.parametrize("dataset", RECORDS)
def test_both_agree_on_good_and_bad_rows_of_every_dataset(dataset: str, checked: Callable, connection: Connection) -> None:
    contract = RULEBOOK.contract(dataset)
    failed = checked(contract, *mixed(contract), "no record", *([GOOD[dataset]] if dataset in GOOD else []))
    seen = {name for names in failed for name in names}
    # a number that is rounded at the door, or a value that is kept only at times, seldom reaches its other checks
    guarded = [c.name for c in contract.columns if c.door.round or c.door.only_while]
    rare = {f"{name}.{rule}" for name in guarded for rule in ("minimum", "max_length", "allowed", "pattern")}
    assert {entry["meta"]["check"] for entry in suite(contract)} - seen - rare <= {c.name + ".min_length" for c in contract.columns}
    assert compare(connection, CHECKED, contract, seed="batch") == len(failed) - 1  # all but the line without a record


def test_both_agree_on_a_csv_file_with_broken_records(connection: Connection, tmp_path: Path) -> None:
    contract, path = RULEBOOK.contract("transactions"), tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(GOOD["transactions"]), delimiter=";")
        writer.writeheader()
        writer.writerows([GOOD["transactions"], GOOD["transactions"] | {"price_eur": "-1"}, GOOD["transactions"] | {"started_at": "yesterday"}])
        file.write("only;three;fields\r\n")
    failed = judged(connection, contract, path)
    assert sorted(map(len, failed)) == [0, 1, 1, 1]
    assert compare(connection, CHECKED, contract, seed="batch") == 3


def test_both_agree_on_an_access_log(connection: Connection, tmp_path: Path) -> None:
    contract, path = RULEBOOK.contract("access_logs"), tmp_path / "access.log"
    path.write_text("".join(ACCESS_LOG.format(status=status) + "\n" for status in ("200", "099", "-")) + "?\n", encoding="utf-8")
    assert judged(connection, contract, path) == [[], ["status.minimum"], ["status.required"], ["line.not_combined_format"]]
    assert compare(connection, CHECKED, contract, seed="batch") == 3


def test_both_agree_on_lengths_amounts_and_values_at_the_edge(checked: Callable, connection: Connection) -> None:
    contract = _with("transactions", "price_eur", minimum=0.1, maximum=0.3, allowed=("0.10", "0.20", "0.30", "0.31"))
    contract = replace(contract, columns=tuple(replace(c, min_length=2) if c.name == "item_category" else c for c in contract.columns))
    rows = [GOOD["transactions"] | {"price_eur": price, "item_category": text}
            for price in ("0.09", "0.10", "0.20", "0.30", "0.31") for text in ("é", "éé", "\U0001f45f", "\U0001f45f\u200d", None)]
    checked(contract, *rows)
    assert compare(connection, CHECKED, contract, seed="batch") == len(rows)


TAMPERED = ["member_name.max_length", "email.required", "email.pattern", "registration_channel.allowed", "friends_count.minimum",
            "registered_at.type"]


@pytest.mark.parametrize("check", TAMPERED)
@pytest.mark.parametrize("change", ["overlooked", "invented"])
def test_a_check_that_duckdb_overlooked_or_invented_stops_the_batch(check: str, change: str, checked: Callable, connection: Connection) -> None:
    contract = RULEBOOK.contract("members")
    bad = {rule[4]: {rule[1]: rule[2]} for rule in RULES if rule[0] == "members"}[check]
    checked(contract, GOOD["members"] | bad, GOOD["members"] | bad, GOOD["members"])
    made, line = ("[]", 1) if change == "overlooked" else (f"[{quote_text(check)}]", 3)
    connection.execute(f"update {CHECKED} set _failed = {made} where _line = {line}")
    with pytest.raises(Refused, match=f"{re.escape(check)}: DuckDB {1 if change == 'overlooked' else 3}, Great Expectations 2") as refused:
        compare(connection, CHECKED, contract, seed="batch")
    assert refused.value.rule == "members.odcs.yaml"
    assert refused.value.exit_code == 3


def test_a_check_without_a_count_stops_the_batch(checked: Callable, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Great Expectations cannot judge is unknown, and unknown never passes; its own words about it quote values."""
    contract = RULEBOOK.contract("members")
    entry = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "email", "min_value": 1}, "meta": {"check": "x", "counts": ["x"]}}
    monkeypatch.setattr(second_opinion, "suite", lambda _: [entry])
    checked(contract, GOOD["members"])
    with pytest.raises(Refused, match="x: DuckDB 0, Great Expectations no count"):
        compare(connection, CHECKED, contract, seed="batch")


def test_an_error_of_great_expectations_is_told_by_its_kind_only(checked: Callable, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = RULEBOOK.contract("members")

    def broken(**_: Any) -> None:
        raise LookupError(PLANTED)

    monkeypatch.setattr(second_opinion._great_expectations(), "ExpectationSuite", broken)
    checked(contract, GOOD["members"])
    with pytest.raises(KampekyError, match="stopped with LookupError") as stopped:
        compare(connection, CHECKED, contract, seed="batch")
    assert PLANTED not in str(stopped.value)
    assert stopped.value.__cause__ is stopped.value.__context__ is None


@pytest.mark.parametrize("rows", [[], ["[1]", "no record"]])
def test_nothing_to_compare_is_no_reason_to_load_great_expectations(
        rows: list[str], checked: Callable, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "_counts", lambda *_: pytest.fail("was asked"))
    checked(RULEBOOK.contract("members"), *rows)
    assert compare(connection, CHECKED, RULEBOOK.contract("members"), seed="batch") == 0


# --- the sample -------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(connection: Connection, checked: Callable) -> Callable[[str, int], set[str]]:
    """`many(seed, rows)`: the members whom a sample takes from three hundred, half of whom fail a check."""
    contract = RULEBOOK.contract("members")
    checked(contract, *(GOOD["members"] | {"member_id": f"m-{n}", "friends_count": str(n % 2 - 1)} for n in range(300)), "no record")

    def sampled(seed: str, rows: int) -> set[str]:
        second_opinion._sample(connection, CHECKED, contract, seed, rows)
        taken = [member for (member,) in connection.execute(f"select member_id from {SAMPLE}").fetchall()]
        assert len(taken) == len(set(taken)) == min(rows, 300)
        return set(taken)

    return sampled


def test_the_same_seed_takes_the_same_rows_in_whatever_order_they_stand(many: Callable[[str, int], set[str]], connection: Connection) -> None:
    first = many("one", 40)
    connection.execute(f"create temp table turned as from {CHECKED} order by _line desc")
    connection.execute(f"create or replace temp table {CHECKED} as from turned")
    assert many("one", 40) == first


def test_another_seed_takes_other_rows(many: Callable[[str, int], set[str]]) -> None:
    assert many("one", 40) != many("two", 40)


def test_a_batch_that_fits_is_taken_whole(many: Callable[[str, int], set[str]]) -> None:
    assert len(many("one", 300)) == len(many("one", 100_000)) == 300


def test_a_larger_batch_is_compared_on_its_sample_which_is_gone_afterwards(many: Callable, connection: Connection) -> None:
    assert compare(connection, CHECKED, RULEBOOK.contract("members"), seed="one", sample_rows=40) == 40
    assert connection.execute("select count(*) from duckdb_tables() where table_name = $1", [SAMPLE]).fetchall() == [(0,)]


# --- no values --------------------------------------------------------------------------------------------------------


def test_no_value_of_a_failing_row_is_told_logged_or_kept(
        checked: Callable, connection: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    contract, frames, handed = RULEBOOK.contract("members"), [], second_opinion._frame
    rows = [GOOD["members"] | {column: PLANTED} for column in ("registration_channel", "country", "friends_count", "registered_at")]
    checked(contract, *rows, GOOD["members"] | {"email": f"{PLANTED}@", "member_id": PLANTED})

    def frame(*arguments: Any) -> Any:
        made = handed(*arguments)
        assert PLANTED in made.to_string()  # the values do reach the validation: what follows is not true for want of them
        frames.append(weakref.ref(made))
        return made

    monkeypatch.setattr(second_opinion, "_frame", frame)
    connection.execute(f"update {CHECKED} set _failed = [] where _line = 1")
    with pytest.raises(Refused) as refused:
        compare(connection, CHECKED, contract, seed=PLANTED)
    gc.collect()
    out, err = capfd.readouterr()
    told = [str(refused.value), repr(refused.value), caplog.text, out, err, *map(str, vars(refused.value).values())]
    assert not [text for text in told if "planted" in text]
    assert (out, err) == ("", "")
    assert [made() is None for made in frames] == [True]


def test_results_of_great_expectations_hold_counts_and_no_values(checked: Callable, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    second_opinion._great_expectations()
    from great_expectations.datasource.fluent.interfaces import Batch

    seen, validate = [], Batch.validate

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append(validate(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(Batch, "validate", watched)
    checked(RULEBOOK.contract("members"), GOOD["members"] | {"email": PLANTED.replace("@", " "), "country": PLANTED, "friends_count": "-7654321"})
    compare(connection, CHECKED, RULEBOOK.contract("members"), seed="batch")
    told = json.dumps(seen[0].to_json_dict())
    assert "unexpected_count" in told
    assert "planted" not in told and "7654321" not in told


def test_nothing_was_left_in_home_temporary_or_working_folder(surroundings: list[Path]) -> None:
    """Last, after all that Great Expectations has done above."""
    assert "great_expectations" in sys.modules
    assert [path for place in surroundings for path in place.rglob("*")] == []
