"""The simulated marketplace: the same bytes for the same arguments, and every case that the other tests rely on."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml

from pipelines.foundation.dates import PARIS, Period, paris_day, plus
from pipelines.foundation.errors import Misuse
from pipelines.simulation import cases
from pipelines.simulation.marketplace import DATASETS, FILES, ConsentWords, simulate
from pipelines.workflows.simulate import simulate as run

ROOT = Path(__file__).parents[1]
END = date(2016, 3, 20)  # the period holds 29 February 2016
DAYS = 60
START = END - timedelta(days=DAYS - 1)
MEMBERS = 2000
WORDS = ConsentWords(
    kinds=("functional_cookies", "analytics_cookies", "targeting_cookies", "log_profiling", "email_marketing", "mailbox_marketing", "location"),
    of_devices=("location",),
    express_methods=("banner_button", "settings_page", "registration_checkbox", "unsubscribe_link"),
    never_consent_methods=("continued_browsing", "pre_ticked_box", "default"), versions=("2013-1", "2014-2"))
LOG_LINE = re.compile(r'(\S+) - (\S+) \[([^]]+)\] "((?:[^"\\]|\\.)*)" (\S+) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"')


REST = ("offers", "comments", "messages", "ratings", "social_links", "wallets", "verifications", "locations", "disclosures")


class Made:
    """One simulated marketplace, read with none of the product's readers."""

    def __init__(self, out: Path, rows: dict[str, int]) -> None:
        self.out, self.counts = out, rows
        self.members, self.consents = (self.ndjson(name) for name in ("members", "consents"))
        self.posts, self.sales = (self.csv(name) for name in ("forum_posts", "transactions"))
        self.events = parquet.read_table(out / "usage_events" / FILES["usage_events"]).to_pylist()
        self.rest = {name: self.rows(name) for name in REST}
        self.lines = (out / "access_logs" / FILES["access_logs"]).read_text().splitlines()
        self.requests = [found.groups() for found in map(LOG_LINE.fullmatch, self.lines) if found and not found[3].startswith("32/")]

    def rows(self, name: str) -> list[dict]:
        if FILES[name].endswith("parquet"):
            return parquet.read_table(self.out / name / FILES[name]).to_pylist()
        return self.csv(name) if FILES[name].endswith("csv") else self.ndjson(name)

    def ndjson(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.out / name / FILES[name]).read_text().splitlines()]

    def csv(self, name: str) -> list[dict]:
        with (self.out / name / FILES[name]).open(newline="") as file:
            return [{key: value or None for key, value in row.items()} for row in csv.DictReader(file)]


def make(out: Path, members: int = MEMBERS, days: int = DAYS, seed: int = 7, threads: int | None = None) -> Made:
    return Made(out, simulate(out, members, days, seed, END, WORDS, threads=threads))


def prints(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): sha256(path.read_bytes()).hexdigest() for path in sorted(out.rglob("*")) if path.is_file()}


def moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def due(day: date, *periods: str) -> int:
    """Days after the end on which `day` plus the periods falls."""
    return (plus(day, [Period.parse(period) for period in periods]) - END).days


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("simulated") / "out")


@pytest.fixture(scope="module")
def sound(made: Made) -> list[dict]:
    """Members without a defect, one row each."""
    rows = [row for row in made.members if row["member_name"] and "@" in row["email"] and row["registration_channel"] != "minitel"
            and not isinstance(row["friends_count"], str)]
    return list({row["member_id"]: row for row in rows}.values())


def test_the_same_arguments_give_the_same_bytes_on_one_thread_and_on_two(made: Made, tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", threads=1), make(tmp_path / "two", threads=2)
    assert prints(one.out) == prints(two.out) == prints(made.out)
    assert one.counts == two.counts == made.counts


def test_another_seed_gives_other_bytes_in_every_file(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a", members=200), make(tmp_path / "b", members=200, seed=8)
    same = [name for name, print_ in prints(first.out).items() if prints(second.out)[name] == print_]
    assert same == []


def test_a_second_run_replaces_its_datasets_and_leaves_other_files_and_nothing_beside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, members=30)
    (out / "photos").mkdir()
    before = prints(make(tmp_path / "fresh", members=20, seed=3).out)
    make(out, members=20, seed=3)
    assert prints(out) == before
    assert (out / "photos").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out"]


@pytest.mark.parametrize(("members", "days"), [(1, 1), (2, 1), (10, 1), (1, 60), (7, 500)])
def test_a_small_world_has_every_dataset(tmp_path: Path, members: int, days: int) -> None:
    made = make(tmp_path / "out", members, days)
    assert set(made.counts) == set(DATASETS)
    assert len(made.members) == made.counts["members"] == members
    assert len(made.events) == made.counts["usage_events"]


@pytest.mark.parametrize(("members", "days"), [(0, 1), (1, 0), (-5, 3)])
def test_a_world_without_members_or_days_is_refused(tmp_path: Path, members: int, days: int) -> None:
    with pytest.raises(Misuse, match="at least 1 member and 1 day"):
        simulate(tmp_path / "out", members, days, 1, END, WORDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [
    ConsentWords(("analytics_cookies",), ("click",), (), ("v1",)),
    ConsentWords(("l'accord", "news"), ("d'un clic", "autre"), ("silence",), ("v1", "v2", "v3")),
    ConsentWords((), ("click",), (), ("v1",)),
])
def test_another_policy_with_other_words_for_consent_works(tmp_path: Path, words: ConsentWords) -> None:
    simulate(tmp_path / "out", 60, 30, 1, END, words)
    rows = [json.loads(line) for line in (tmp_path / "out" / "consents" / FILES["consents"]).read_text().splitlines()]
    assert {row["kind"] for row in rows} == set(words.kinds)
    assert {row["method"] for row in rows} <= {*words.express_methods, *words.never_consent_methods}
    assert {row["policy_version"] for row in rows} <= set(words.versions)


def test_a_policy_without_a_way_to_consent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no express consent method"):
        simulate(tmp_path / "out", 5, 5, 1, END, ConsentWords(("analytics_cookies",), (), ("default",), ("v1",)))


@pytest.mark.parametrize("folder", ["members", "truth"])
def test_files_that_no_simulation_wrote_are_not_replaced(tmp_path: Path, folder: str) -> None:
    make(tmp_path, 5, 2)
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "mine.ndjson").write_text("mine")
    before = prints(tmp_path)
    with pytest.raises(Misuse, match="no simulation wrote"):
        make(tmp_path, 5, 2, seed=8)
    assert prints(tmp_path) == before


@pytest.mark.parametrize(("end", "days"), [(date(9999, 12, 31), 2), (date(1, 1, 1), 2), (END, 99_999_999), (END, 9_999)])
def test_a_simulation_of_no_calendar_is_refused_in_a_sentence(tmp_path: Path, end: date, days: int) -> None:
    if days == 9_999:
        assert run(tmp_path, 1, days, 1, end)["members"] >= 1
        return
    with pytest.raises(Misuse, match="lies between 1950 and 2190"):
        run(tmp_path, 1, days, 1, end)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(Misuse, match="is a file"):
        simulate(tmp_path / "out", 1, 1, 1, END, WORDS)
    assert (tmp_path / "out").read_text() == "mine"


def test_every_dataset_has_the_columns_of_its_contract(made: Made) -> None:
    read = {"members": made.members, "consents": made.consents, "forum_posts": made.posts, "transactions": made.sales, "usage_events": made.events}
    for dataset, rows in (read | made.rest).items():
        contract = yaml.safe_load((ROOT / "data_contracts" / f"{dataset}.odcs.yaml").read_text())
        assert list(rows[0]) == [column["name"] for column in contract["schema"][0]["properties"]], dataset


def test_the_counts_are_the_rows_of_the_files(made: Made) -> None:
    assert made.counts == {"members": len(made.members), "consents": len(made.consents), "usage_events": len(made.events),
                           "forum_posts": len(made.posts), "transactions": len(made.sales), "access_logs": len(made.lines),
                           **{name: len(rows) for name, rows in made.rest.items()}}


def test_members_come_by_all_channels_and_their_age_follows_from_it(sound: list[dict]) -> None:
    channels = Counter(row["registration_channel"] for row in sound)
    assert set(channels) == {"direct", "google", "facebook"}
    social = [row for row in sound if row["registration_channel"] != "direct"]
    assert all(row["age_confirmed"] is None and row["friends_count"] is not None for row in social)
    assert all(row["friends_count"] is None for row in sound if row["registration_channel"] == "direct")
    eighteen = plus(END, [Period(years=-18)]).isoformat()
    unknown = [row for row in sound if (row["birthday"] or "") > eighteen or not (row["age_confirmed"] or row["birthday"])]
    assert 0.02 < len(unknown) / len(sound) < 0.1
    assert any(row["birthday"] and row["birthday"] > eighteen for row in sound)


def test_members_are_told_apart_and_tell_little(sound: list[dict]) -> None:
    assert sorted(row["member_id"] for row in sound)[0] == "m000001"
    for unique in ("member_id", "member_name", "email"):
        assert len({row[unique] for row in sound}) == len(sound)
    for optional in ("first_name", "last_name", "gender", "birthday", "picture_url", "about", "street", "postcode", "city", "iban", "account_holder"):
        given = sum(row[optional] is not None for row in sound)
        assert 0 < given < len(sound), optional
    assert {"Rose", "Pierre", "Martin", "Olive"} <= {row["first_name"] for row in sound}
    assert any("\n" in (row["about"] or "") for row in sound)


def test_most_bank_accounts_have_valid_check_digits_and_some_do_not(sound: list[dict]) -> None:
    ibans = [row["iban"] for row in sound if row["iban"]]
    assert all(re.fullmatch(r"FR\d{25}", iban) for iban in ibans)
    remainders = Counter(int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1 for iban in ibans)
    assert 0 < remainders[False] < 0.05 * len(ibans)


def test_accounts_end_before_around_and_after_what_the_policy_allows(made: Made) -> None:
    deleted = [due(paris_day(ended), "P3M") for row in made.members if (ended := moment(row["deleted_at"]))]
    asleep = [due(date.fromisoformat(row["last_active_on"]), "P5Y", "P3M") for row in made.members if not row["deleted_at"]]
    assert sum(days <= 0 for days in deleted) == cases.promised(cases.LIVES["due_on_arrival"], MEMBERS)
    assert sum(2 <= days <= 10 for days in deleted) == cases.promised(cases.LIVES["deleted_due_soon"], MEMBERS)
    assert sum(2 <= days <= 10 for days in asleep) == cases.promised(cases.LIVES["sleeper_due_soon"], MEMBERS)
    assert any(days > 10 for days in deleted)
    assert 1 not in deleted and min(asleep) >= 2
    four_years_ago = plus(END, [Period(years=-4)]).isoformat()
    assert sum(row["last_active_on"] < four_years_ago for row in made.members) > 0.03 * MEMBERS


def test_nobody_acts_before_registration_or_after_the_last_act(made: Made, sound: list[dict]) -> None:
    lives = {row["member_id"]: (moment(row["registered_at"]), date.fromisoformat(row["last_active_on"])) for row in sound}
    acts = [(row["member_id"], row["occurred_at"]) for row in made.events]
    acts += [(row["member_id"], moment(row["recorded_at"])) for row in made.consents]
    acts += [(row["author_id"], moment(row["posted_at"])) for row in made.posts]
    acts += [(row[party], moment(row["started_at"])) for row in made.sales for party in ("buyer_id", "seller_id")]
    acts += [(member, log_time(time)) for _, member, time, *_ in made.requests]
    for member, when in acts:
        if member in lives and when:
            registered, last = lives[member]
            assert registered.replace(microsecond=0) <= when and paris_day(when) <= last
    for row in sound:
        assert moment(row["registered_at"]) <= moment(row["updated_at"])
        assert row["deleted_at"] is None or row["last_active_on"] == paris_day(moment(row["deleted_at"])).isoformat()


def test_consents_are_given_refused_withdrawn_and_given_again(made: Made) -> None:
    assert {row["kind"] for row in made.consents if row["kind"]} == set(WORDS.kinds)
    stories: dict[tuple, list[str]] = {}
    for row in sorted((row for row in made.consents if moment(row["recorded_at"])), key=lambda row: moment(row["recorded_at"])):
        stories.setdefault((row["member_id"], row["device_id"], row["kind"]), []).append(row["decision"])
    told = Counter(tuple(story) for story in stories.values())
    for story in (("granted",), ("refused",), ("granted", "withdrawn"), ("granted", "withdrawn", "granted"), ("refused", "granted")):
        assert told[story] > 0, story
    banner = Counter(row["decision"] for row in made.consents if row["method"] == "banner_button")
    assert 0.5 < banner["granted"] / banner.total() < 0.75


def test_consents_name_a_member_a_device_or_both(made: Made) -> None:
    named = Counter((row["member_id"] is not None, row["device_id"] is not None) for row in made.consents)
    assert all(named[case] > 0 for case in ((True, True), (True, False), (False, True)))
    settings = [row for row in made.consents if row["kind"] in ("log_profiling", "mailbox_marketing")]
    assert all(row["device_id"] is None for row in settings)
    profiling = {row["member_id"] for row in settings if row["kind"] == "log_profiling" and row["decision"] == "granted"}
    assert 0.25 < len(profiling) / MEMBERS < 0.36
    assert {row["method"] for row in made.consents} >= {"banner_button", "settings_page", "registration_checkbox", "unsubscribe_link",
                                                        "continued_browsing", "pre_ticked_box"}
    versions = Counter(row["policy_version"] for row in made.consents)
    assert versions["2014-2"] > versions["2013-1"] > 0
    devices: dict[str, set] = {}
    for row in (*made.consents, *made.events):
        if row["device_id"] and row["member_id"]:
            devices.setdefault(row["device_id"], set()).add(row["member_id"])
    assert any(len(members) > 1 for members in devices.values())
    used = Counter(member for members in devices.values() for member in members)
    assert set(used.values()) >= {1, 2, 3}


def test_consents_fall_before_the_period_and_into_it(made: Made) -> None:
    days = [paris_day(when) for row in made.consents if row["device_id"] and (when := moment(row["recorded_at"]))]
    assert sum(day < START for day in days) > len(days) / 4
    assert sum(START <= day <= END for day in days) > len(days) / 4
    assert max(days) <= END
    assert any(due(day, "P13M") < 0 for day in days)
    nobody = [paris_day(when) for row in made.consents if not row["member_id"] and row["device_id"] and (when := moment(row["recorded_at"]))]
    assert min(due(day, "P13M") for day in nobody) >= 2


def test_events_lie_in_the_period_and_mostly_have_their_grant(made: Made) -> None:
    assert all(START <= paris_day(row["occurred_at"]) <= END for row in made.events)
    active = Counter(row["member_id"] for row in made.events if row["member_id"])
    assert 14 < sum(active.values()) / len(active) < 26
    assert max(active.values()) > 80
    anonymous = sum(row["member_id"] is None for row in made.events) / len(made.events)
    assert 0.1 < anonymous < 0.2
    grants: dict[tuple, list] = {}
    for row in made.consents:
        if row["device_id"] and moment(row["recorded_at"]):
            grants.setdefault((row["device_id"], row["kind"]), []).append((moment(row["recorded_at"]), row["decision"]))
    lawful = Counter()
    for row in made.events:
        if row["cookie_category"] not in ("necessary", None):
            given = grants.get((row["device_id"], f"{row['cookie_category']}_cookies"), [])
            answers = sorted(answer for answer in given if answer[0] <= row["occurred_at"])
            lawful[bool(answers) and answers[-1][1] == "granted"] += 1
    assert 0 < lawful[False] < 0.1 * lawful.total()
    assert lawful[True] > 0.25 * len(made.events)


def test_events_have_the_pages_and_goods_of_a_marketplace(made: Made) -> None:
    pages = "\n".join({row["page"] for row in made.events})
    for page in (r"^/$", r"^/offre/\d{6}$", r"^/recherche\?q=\S+$", r"^/membre/m\d{6}$", r"^/forum/sujet/\d+$"):
        assert re.search(page, pages, re.MULTILINE), page
    assert all((row["item_category"] is not None) == (row["event_type"] in ("item_view", "favourite", "ad_click"))
               for row in made.events if row["event_type"] != "teleportation")
    assert len({row["user_agent"] for row in made.events}) >= 15


def test_events_have_the_types_of_their_contract(made: Made) -> None:
    schema = parquet.read_schema(made.out / "usage_events" / FILES["usage_events"])
    assert schema.field("occurred_at").type == pa.timestamp("us", tz="UTC")
    assert {field.type for field in schema if field.name != "occurred_at"} == {pa.string()}


def test_posts_hold_what_a_csv_and_a_reader_stumble_over(made: Made) -> None:
    bodies = [row["body"] for row in made.posts if row["body"]]
    for sign in ("\n", ",", ";", '"', "é", "🎉", "€", "«"):
        assert any(sign in body for body in bodies), sign
    own = {row["member_id"]: row["email"] for row in made.members}
    assert any(own.get(row["author_id"], "?") in (row["body"] or "") for row in made.posts)
    assert any(re.search(r"06 39 98 \d\d \d\d", body) for body in bodies)
    names = {row["member_name"] for row in made.members}
    assert any(set(re.findall(r"[\w-]+\d+", body)) & names for body in bodies)
    assert not any("{" in body for body in bodies)
    assert 0.3 * MEMBERS < len(made.posts) < 0.8 * MEMBERS
    assert Counter(row["author_deleted"] for row in made.posts)["true"] == sum(row["author_id"] is None for row in made.posts) > 0


def test_exactly_one_text_holds_a_full_card_number(made: Made) -> None:
    assert sum("4111 1111 1111 1111" in (row["body"] or "") for row in made.posts) == 1
    found = 0
    for path in made.out.rglob("*.*"):
        if path.suffix != ".parquet":
            runs = re.findall(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])", path.read_text())
            found += sum(luhn(re.sub(r"\D", "", run)) for run in runs)
    assert found == 1


def log_time(text: str) -> datetime:
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def test_transactions_lie_in_the_period_and_a_year_before_it(made: Made) -> None:
    started = [moment(row["started_at"]) for row in made.sales]
    days = [paris_day(when) for when in started if when]
    left = [due(day, "P13M") for day in days]
    assert sum(START <= day <= END for day in days) > len(days) / 2
    assert sum(2 <= day <= 10 for day in left) > 0.01 * MEMBERS
    assert sum(11 <= day <= 31 for day in left) > 0.1 * MEMBERS
    assert sum(day <= 0 for day in left) == cases.promised(cases.SALES_DUE_ON_ARRIVAL, MEMBERS)
    assert 1 not in left
    assert {date(2016, 1, 31), date(2016, 2, 29), date(2015, 2, 28)} <= set(days)
    for row, when in zip(made.sales, started, strict=True):
        assert when is None or when <= moment(row["updated_at"]) < datetime.combine(END + timedelta(days=1), datetime.min.time(), PARIS)
    assert 0.2 < sum(row["card_last4"] is not None for row in made.sales) / len(made.sales) < 0.6
    assert sum(row["buyer_id"] == row["seller_id"] for row in made.sales) == cases.defects_each("transactions", base(made, "transactions"))


def test_the_access_log_is_in_order_and_covers_the_period(made: Made) -> None:
    times = [log_time(time) for _, _, time, *_ in made.requests]
    assert times == sorted(times)
    assert paris_day(times[0]) == START and paris_day(times[-1]) == END
    assert all(time.utcoffset() == time.astimezone(PARIS).utcoffset() for time in times)
    assert 3 * MEMBERS * 0.7 < len(made.lines) < 5 * MEMBERS


def test_the_access_log_holds_members_visitors_crawlers_and_noise(made: Made) -> None:
    members = [member for _, member, *_ in made.requests]
    assert 0.2 < members.count("-") / len(members) < 0.8
    assert all(re.fullmatch(r"-|m\d{6}", member) for member in members)
    addresses = [address for address, *_ in made.requests]
    assert all(re.match(r"192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|10\.|2001:db8:", address) for address in addresses)
    assert any(":" in address for address in addresses) and any(address.startswith("10.") for address in addresses)
    asked = Counter(request for *_, request, _, _, _, _ in made.requests)
    assert asked["-"] and any(request.startswith(r"\x16\x03\x01") for request in asked)
    assert all(member == "-" for _, member, _, request, *_ in made.requests if not request.startswith(("GET", "POST")))
    assert any("Googlebot" in agent for *_, agent in made.requests) and any(r"\"" in agent for *_, agent in made.requests)


def base(made: Made, dataset: str) -> int:
    """Rows of a dataset without the repeats: what its number of defects was reckoned from."""
    return next(rows for rows in range(made.counts[dataset], 0, -1) if rows + cases.repeats(dataset, rows) == made.counts[dataset])


def test_each_defect_stands_in_as_many_rows_as_written(made: Made) -> None:
    hier = cases.TEXT_IN_PLACE_OF_A_VALUE
    damaged = [line for line in made.lines if not LOG_LINE.fullmatch(line)]
    found = {
        "members": (lambda row: "@" not in row["email"], lambda row: row["registration_channel"] == "minitel", lambda row: row["member_name"] is None,
                    lambda row: row["friends_count"] == hier),
        "consents": (lambda row: row["decision"] == "peut-être", lambda row: row["kind"] is None, lambda row: row["recorded_at"] == hier,
                     lambda row: row["member_id"] is None and row["device_id"] is None),
        "usage_events": (lambda row: row["cookie_category"] is None, lambda row: row["event_type"] == "teleportation",
                         lambda row: " " in row["event_id"], lambda row: len(row["page"]) > 2000),
        "forum_posts": (lambda row: row["body"] is None, lambda row: row["posted_at"] == hier, lambda row: row["thread_id"] is None),
        "transactions": (lambda row: row["status"] == "perdue", lambda row: row["price_eur"] == hier, lambda row: row["started_at"] is None,
                         lambda row: row["buyer_id"] == row["seller_id"]),
    }
    rows = {"members": made.members, "consents": made.consents, "usage_events": made.events, "forum_posts": made.posts, "transactions": made.sales}
    for dataset, kinds in found.items():
        wanted = cases.defects_each(dataset, base(made, dataset))
        assert [sum(map(kind, rows[dataset])) for kind in kinds] == [wanted] * len(kinds), dataset
        keys = Counter(json.dumps(row, default=str) for row in rows[dataset])
        assert sum(times == 2 for times in keys.values()) == cases.repeats(dataset, base(made, dataset)), dataset
    wanted = cases.defects_each("access_logs", len(made.lines))
    assert wanted > 0
    assert len(damaged) == wanted
    assert sum(f'" {hier} ' in line for line in made.lines) == sum("[32/" in line for line in made.lines) == wanted


# --- what hangs on accounts, offers and sales ---


def sound_rows(made: Made, dataset: str, *times: str) -> list[dict]:
    """Rows whose times are times."""
    return [row for row in made.rest[dataset] if all(isinstance(row[name], datetime) or moment(row[name]) for name in times)]


def test_whoever_writes_offers_or_pays_has_an_account_at_that_moment(made: Made, sound: list[dict]) -> None:
    lives = {row["member_id"]: (moment(row["registered_at"]), date.fromisoformat(row["last_active_on"])) for row in sound}
    for dataset, time, actors in (("offers", "created_at", ("seller_id",)), ("comments", "posted_at", ("author_id",)),
                                  ("messages", "sent_at", ("sender_id", "recipient_id")), ("ratings", "rated_at", ("rater_id", "rated_id")),
                                  ("verifications", "requested_at", ("member_id",))):
        seen = 0
        for row in sound_rows(made, dataset, time):
            when = row[time] if isinstance(row[time], datetime) else moment(row[time])
            for actor in actors:
                if row[actor] in lives:
                    registered, last = lives[row[actor]]
                    assert registered <= when.replace(microsecond=0) + timedelta(seconds=1), (dataset, actor)
                    assert paris_day(when) <= last, (dataset, actor)
                    seen += 1
        assert seen > 20, dataset


def test_each_sale_of_the_period_has_its_offer_by_its_seller(made: Made) -> None:
    sellers = {row["offer_id"]: row["seller_id"] for row in made.rest["offers"]}
    sales = [row for row in made.sales if row["started_at"] and (when := moment(row["started_at"])) and paris_day(when) >= START]
    assert len(sales) > 500
    assert sum(sellers.get(row["offer_id"]) == row["seller_id"] for row in sales) / len(sales) > 0.97  # the rest: one offer sold twice, or defects


def test_ratings_belong_to_sales_and_messages_to_their_two_parties(made: Made) -> None:
    parties = {row["transaction_id"]: {row["buyer_id"], row["seller_id"]} for row in made.sales}
    wrong = [row for row in made.rest["ratings"] if {row["rater_id"], row["rated_id"]} != parties[row["transaction_id"]]]
    assert len(wrong) <= 2 * cases.defects_each("transactions", len(made.sales))  # who bought from oneself
    talks: dict[str, set] = {}
    for row in made.rest["messages"]:
        talks.setdefault(row["conversation_id"], set()).update((row["sender_id"], row["recipient_id"]))
    assert {len(talk) for talk in talks.values()} == {2}


def test_some_accounts_are_one_persons_who_buys_from_themself(made: Made, sound: list[dict]) -> None:
    """The same bank account under several names, on one device, and sales between them."""
    by_bank: dict[str, set[str]] = {}
    for member in sound:
        if member["iban"]:
            by_bank.setdefault(member["iban"], set()).add(member["member_id"])
    rings = [accounts for accounts in by_bank.values() if len(accounts) > 1]
    assert rings
    between = [sale for sale in made.rows("transactions") if any({sale["buyer_id"], sale["seller_id"]} <= ring for ring in rings)]
    devices: dict[str, set[str]] = {}
    for event in made.rows("usage_events"):
        devices.setdefault(event["device_id"], set()).add(event["member_id"])
    assert between
    assert any(len(ring & seen) > 1 for ring in rings for seen in devices.values())


def test_messages_name_the_one_they_go_to_and_sometimes_somebody_else(made: Made, sound: list[dict]) -> None:
    public = [row["member_name"] for row in sound]
    bodies = [row["body"] or "" for row in made.rest["messages"]]
    assert sum("06 39 98" in body for body in bodies) > 0
    assert sum(any(word.strip(" ,!?.") in public for word in body.split()) for body in bodies[:300]) > 0


def test_what_must_not_come_in_stands_in_the_rows(made: Made) -> None:
    """So that ingestion has something to drop: values of cancelled links, numbers of confirmed verifications, places that are too exact."""
    gone = [row for row in made.rest["social_links"] if row["status"] == "unlinked"]
    assert gone
    assert all(row["social_id"] for row in gone)
    assert any(row["status"] == "confirmed" and row["phone"] for row in made.rest["verifications"])
    assert max(len(str(row["latitude"]).split(".")[1]) for row in made.rest["locations"]) > 2
    days = {paris_day(when) for row in made.rest["locations"] if (when := moment(row["fixed_at"]))}
    assert days == {END}


def test_each_defect_of_the_rest_stands_in_as_many_rows_as_written(made: Made) -> None:
    hier = cases.TEXT_IN_PLACE_OF_A_VALUE
    found = {
        "offers": (lambda row: row["title"] is None, lambda row: row["price_eur"] == hier, lambda row: row["status"] == "perdu"),
        "comments": (lambda row: row["body"] is None, lambda row: row["posted_at"] == hier),
        "messages": (lambda row: row["body"] is None, lambda row: row["sender_id"] == row["recipient_id"]),
        "ratings": (lambda row: row["stars"] == 6, lambda row: row["rated_at"] is None),
        "social_links": (lambda row: row["provider"] == "minitel", lambda row: row["linked_at"] is None),
        "wallets": (lambda row: row["last_name"] is None, lambda row: row["birth_date"] == hier),
        "locations": (lambda row: row["latitude"] > 90,), "disclosures": (lambda row: row["recipient"] == "anybody",),
    }
    for dataset, kinds in found.items():
        rows = len(made.rest[dataset])
        base_rows = next(n for n in range(rows, 0, -1) if n + cases.repeats(dataset, n) == rows)
        assert [sum(map(kind, made.rest[dataset])) for kind in kinds] == [cases.defects_each(dataset, base_rows)] * len(kinds), dataset
        assert cases.defects_each(dataset, base_rows) > 0 or rows < cases.ENOUGH, dataset
