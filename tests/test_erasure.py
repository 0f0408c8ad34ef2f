"""Erasure: two people, every store, nothing else, and nothing that comes back (C-11.3, C-10.5, C-2.6).

In the town of `small_market` the member who has a part in nearly everything is erased, and what is left is compared with what was there, value by
value. At the door old extracts, late files and replays of the quarantine are tried on both sides of the two dates.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

import house
import pytest
from small_market import (
    END,
    Market,
    at,
    copy_home,
    new_home,
    pseudonyms,
    raw,
    shared_town,
    stamp,
    vault,
    where_found,
    zone,
)

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.home import Home
from pipelines.lake import tables
from pipelines.policy.vocabulary import CONTACT_REMOVED, NAME_REMOVED
from pipelines.rights import certificate
from pipelines.rights import erasure as erasing
from pipelines.workflows import erasure, holds, requests
from pipelines.workflows.rules import rules
from pipelines.workflows.status import status
from pipelines.workflows.verify import verify

ME, ERASED = "kqxstay-id", "2026-04-10 12:00"


def ask(home: Home, *members: str, when: str = ERASED, by: str = "opener") -> str:
    """An erasure opened and approved by two people; its id."""
    opened = requests.open_request(home, "erasure", members[0] if len(members) == 1 else members, None, at(when), by)["request_id"]
    erasure.approve(home, opened, "second person", at(when))
    return opened


def erase(home: Home, *members: str, when: str = ERASED) -> str:
    opened = ask(home, *members, when=when)
    assert requests.process(home, opened, at(when))["state"] == "done"
    return opened


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The town, with one record of the member held, and her words in other people's texts."""
    home = copy_home(shared_town(tmp_path_factory), tmp_path_factory.mktemp("erasing") / "home")
    Market("x").post("x1", "kqxother-id", "mixed", "2026-04-08 10:00", body=f"@kqxstayname écris à kqxstay@exemple.fr ({ME}), merci") \
        .post("x2", ME, "mine", "2026-04-08 11:00", body="ma rue : 1 rue kqxstay. Signé : kqxstayname") \
        .post("x3", "kqxother-id", "mine", "2026-04-08 12:00", body="réponse").line("kqxother-id", "2026-04-08 12:00", f"/membres/{ME}/annonces") \
        .line("kqxother-id", "2026-04-08 12:01", f"/x?de={ME}", came_from=f"https://kampeky.example/membres/{ME}/avis") \
        .event("of both", "kqxother-id", "shared-device", "2026-04-08 10:00", "necessary") \
        .event("of both", ME, "shared-device", "2026-04-08 10:00", "necessary") \
        .event("a visitor on her own device", None, "kqxstay-device", "2026-04-08 09:00", "necessary").load(home, END)
    holds.place(home, "transactions", "s2", "claim 7", date(2027, 1, 1), at(END))
    return home


@pytest.fixture(scope="module")
def after(before, tmp_path_factory):
    home = copy_home(before, tmp_path_factory.mktemp("erased") / "home")
    return home, erase(home, ME)


@pytest.fixture(scope="module")
def words(before):
    """What she is known by: each value begins with her own word."""
    names = {"id": ME, "email": "kqxstay@exemple.fr", "name": "kqxstayname", "picture": "https://img.example/kqxstay.jpg", "street": "1 rue kqxstay",
             "device": "kqxstay-device", "agent": "kqxstay-agent"}
    return names | {f"pseudonym in {purpose}": str(pseudonyms(before, purpose)[ME]) for purpose in rules().policy.built}


def stored(home: Home) -> dict:
    """Dataset → its rows, in the contract's own columns."""
    return {name: raw(home, name, ", ".join(f'"{c.name}"' for c in contract.columns)) for name, contract in rules().contracts.items()}


def rows_of(home: Home, dataset: str) -> dict:
    contract = rules().contract(dataset)
    columns = [c.name for c in contract.columns]
    return {row[columns.index(contract.key[0])]: dict(zip(columns, row, strict=True)) for row in raw(home, dataset,
                                                                                                     ", ".join(f'"{c}"' for c in columns))}


def test_no_file_holds_what_she_was_known_by_but_for_the_record_that_is_held(before, after, words):
    assert all(places for places in where_found(before, words).values()), "the same look finds each of them before"
    found = where_found(after[0], words)
    held = found.pop("id")
    assert not {name: places for name, places in found.items() if places}
    assert held and all("/raw/" in place and ("transactions" in place or "catalog" in place) for place in held), "record s2 is held and names her"


def test_shared_records_lose_her_side_and_nothing_else(before, after):
    was, now = rows_of(before, "transactions"), rows_of(after[0], "transactions")
    sides = ("buyer_id", "seller_id")
    assert set(was) == set(now), "every sale has another party, or is held"
    for key, row in was.items():
        expected = row if key == "s2" else row | {side: None for side in sides if row[side] == ME}
        assert now[key] == expected


def test_a_sale_of_which_both_sides_are_erased_goes(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    both = {key for key, row in rows_of(home, "transactions").items() if {row["buyer_id"], row["seller_id"]} == {ME, "kqxother-id"}}
    assert both
    was = set(rows_of(home, "transactions"))
    erase(home, ME, "kqxother-id")
    assert set(rows_of(home, "transactions")) == was - both


def test_her_posts_stay_without_her_and_texts_of_others_lose_what_names_her(before, after):
    was, now = rows_of(before, "forum_posts"), rows_of(after[0], "forum_posts")
    alone = {key for key, row in was.items() if row["thread_id"] == "formulas"}
    assert set(now) == set(was) - alone, "a thread in which only she wrote ends with her (C-2.6)"
    assert now["x1"]["author_id"] == "kqxother-id" and "kqxstay" not in now["x1"]["body"] and now["x1"]["body"].endswith("), merci")
    assert now["x2"]["author_id"] is None and now["x2"]["author_deleted"] is True and "kqxstay" not in now["x2"]["body"]
    for key in set(now) - {"x1", "x2", "p2"}:
        assert now[key] == was[key]
    paths = [path for (path,) in raw(after[0], "access_logs", "path") if path.startswith("/membres/")]
    both = [row for row in raw(after[0], "access_logs", "path, referer") if row[0].startswith("/x")]
    assert both == [(f"/x?de={CONTACT_REMOVED}", f"https://kampeky.example/membres/{CONTACT_REMOVED}/avis")]
    assert paths and ME not in paths[0] and paths[0].startswith("/membres/") and paths[0].endswith("/annonces")


def test_her_devices_go_with_her_and_one_that_another_used_stays_for_that_one(before, after):
    events = raw(after[0], "usage_events", "member_id, device_id, item_category")
    assert ("kqxother-id", "shared-device", "of both") in events
    assert not [e for e in events if e[0] == ME or e[1] == "kqxstay-device"]
    assert len(raw(before, "usage_events")) - len(events) == len([1 for m, d, _ in raw(before, "usage_events", "member_id, device_id, item_category")
                                                                 if m == ME or (m is None and d == "kqxstay-device")])


def test_everybody_elses_rows_are_what_they_were(before, after):
    for dataset in ("members", "consents", "ratings", "comments", "messages", "wallets", "offers", "disclosures"):
        subjects = [s.column for s in rules().contract(dataset).subjects]
        columns = ", ".join(f'"{c.name}"' for c in rules().contract(dataset).columns)
        others = [row for row, who in zip(raw(before, dataset, columns), raw(before, dataset, f"{columns}, {', '.join(subjects)}"), strict=True)
                  if ME not in who[-len(subjects):]]
        assert raw(after[0], dataset, columns) == others


def test_zones_and_vault_hold_nothing_of_hers_and_marts_are_there_again(before, after):
    home, _ = after
    for purpose in rules().policy.built:
        mine = pseudonyms(before, purpose)[ME]
        for contract in rules().entering(purpose):
            assert mine not in [value for row in zone(home, purpose, contract.name) for value in row]
        assert home.mart(purpose).exists() == before.mart(purpose).exists()
    tables = ("subjects", "refusals", "addresses", "requests", "batches", "erasing")
    assert [vault(home, f"select count(*) from db.{table} where member_id = ?", ME)[0][0] for table in tables] == [0] * len(tables)
    assert {row for (row,) in vault(before, "select member_id from db.subjects")} - {row for (row,) in vault(home, "select member_id from "
        "db.subjects")} == {ME}


def test_what_is_kept_and_why_stands_in_the_certificate_and_the_ledger_has_its_hash_alone(after, words):
    home, request = after
    told, page = erasure.certificate_of(home, request)
    assert told["kept"] == [{"hold": told["kept"][0]["hold"], "dataset": "transactions", "reason": "claim 7", "review_on": "2027-01-01"}]
    assert told["residue"]["ok"] and told["left"] == 0 and told["subjects"] == 1 and told["complete"] is True
    assert {r["dataset"]: r["rows"] for r in told["removed"] if r["action"] == "delete"}["members"] == 1
    entry = [e for e in ledger.read(home) if e.act == "erasure"][-1]
    assert entry.facts == {"request": request, "plan": told["plan"], "certificate": entry.facts["certificate"], "complete": True}
    assert len(entry.facts["certificate"]) == 64 and entry.facts["certificate"] in page
    assert not [word for word in words.values() if word in page + json.dumps(told)]


def test_what_search_engines_are_asked_to_forget_is_listed_before_and_known_nowhere_after(before, after, tmp_path):
    """C-6: her own public records and nobody else's, nor what only the other party or nobody sees."""
    home = copy_home(before, tmp_path / "home")
    asked = requests.open_request(home, "erasure", ME, None, at(ERASED), "opener")["request_id"]
    listed = house.kampeky("request", "public", asked, "--home", home.root, "--json").json
    posts = {key for key, row in rows_of(home, "forum_posts").items() if row["author_id"] == ME}
    assert posts and {r["key"] for r in listed if r["dataset"] == "forum_posts"} == posts
    assert [r["key"] for r in listed if r["dataset"] == "members"] == [ME]
    assert {r["dataset"] for r in listed} <= {name for name, contract in rules().contracts.items()
                                              if any(c.visibility == "public" for c in contract.columns)}
    last = ledger.read(home)[-1]
    assert (last.act, last.facts) == ("public records listed", {"request": asked})
    told, page = erasure.certificate_of(after[0], after[1])
    assert {"dataset": "forum_posts", "records": len(posts)} in told["public"] and f"forum_posts ({len(posts)})" in page
    with pytest.raises(Misuse, match="known nowhere any more"):
        erasure.public(after[0], after[1], at(ERASED))
    other = requests.open_request(home, "portability", "kqxother-id", None, at(ERASED))["request_id"]
    with pytest.raises(Misuse, match="search engines are told of an erasure"):
        erasure.public(home, other, at(ERASED))


def test_an_erasure_takes_two_people_and_is_done_once(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    opened = requests.open_request(home, "erasure", ME, None, at(ERASED), "Jeanne  Doe")["request_id"]
    with pytest.raises(Refused, match="second person"):
        requests.process(home, opened, at(ERASED))
    for same in ("Jeanne Doe", "  jeanne doe ", "DOE, Jeanne", "jéanne-doe."):
        with pytest.raises(Refused, match="somebody else"):
            erasure.approve(home, opened, same, at(ERASED))
    with pytest.raises(Misuse, match="--by NAME"):
        erasure.approve(home, opened, " ", at(ERASED))
    with pytest.raises(Misuse, match="takes two people"):
        requests.open_request(home, "erasure", "kqxother-id", None, at(ERASED))
    made = erasure.approve(home, opened, "somebody else", at(ERASED))["plan"]
    assert ME not in json.dumps(made) and made["kept"] and made["subjects"] == 1
    assert erasing.make_plan(home, rules(), opened, at(ERASED), made["token"]) == made, "the same inputs give the same bytes"
    assert erasing.make_plan(home, rules(), opened, at(ERASED))["hash"] != made["hash"], "the hash covers a random word"


def test_whoever_asked_for_their_data_is_answered_first(before, tmp_path):
    home = copy_home(before, tmp_path / "home")
    export = requests.open_request(home, "portability", ME, None, at(END))["request_id"]
    opened = requests.open_request(home, "erasure", ME, None, at(ERASED), "opener")["request_id"]
    with pytest.raises(Refused, match=f"kampeky request process {export}"):
        erasure.approve(home, opened, "second", at(ERASED))


# --- the door ---

DAY = "2026-03-05"


def source(market: Market, who: str = "m1", registered: str = "2025-01-15 12:00", updated: str = "2026-02-01") -> Market:
    """The extract of a marketplace in which `who` has a part everywhere."""
    return (market.member(who, email="twice@exemple.fr", registered_at=stamp(registered), updated_at=stamp(updated)).member("m2")
            .consent(who, "d1", "granted", "2026-02-01", "functional_cookies").sale("t1", who, "m2", "2026-02-10").sale("t2", "m2", "m3",
                                                                                                                        "2026-02-10")
            .event("e", who, "d1", "2026-02-20", "necessary").event("v", None, "d1", "2026-02-21", "necessary").post("p1", who, when="2026-02-10")
            .post("p2", "m2", when="2026-02-10", body="bonjour").add("social_links", link_id="l1", member_id=who, provider="google", status="linked",
                                                                     social_id="g-111", linked_at=stamp("2026-01-01"),
                                                                     updated_at=stamp("2026-01-01")))


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    """A home from which m1 was erased on DAY at noon."""
    home = new_home(tmp_path_factory.mktemp("door") / "home")
    source(Market("s")).load(home, "2026-03-01")
    erase(home, "m1", when=f"{DAY} 12:00")
    return home


def test_an_old_extract_brings_nothing_back_and_is_counted(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    was = {dataset: raw(home, dataset) for dataset in rules().contracts}
    market = source(Market("s2"))
    for rows in market.rows.values():  # the extract has a row more than the one that was loaded, or it were known as a whole
        rows.append(rows[-1])
    done = market.load(home, "2026-03-20")
    assert {name: balance["reasons"].get("erased_subject", 0) for name, balance in done.items() if balance["reasons"]} == {
        "members": 1, "consents": 2, "usage_events": 3, "forum_posts": 1, "social_links": 2}, "hers, and the one that stands twice"
    assert all(b["read"] == b["loaded"] + b["quarantined"] + b["refused"] + b["already_known"] for b in done.values())
    assert {dataset: raw(home, dataset) for dataset in rules().contracts} == was
    assert not [text for _, text in house.everything(home.root) if any(word in text for word in ('"m1"', '"d1"', 'twice@', 'g-111'))]


def test_a_late_file_loads_shared_records_without_the_erased_side(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    done = Market("n").sale("t9", "m1", "m2", "2026-03-05 11:59").sale("t10", "m2", "m1", "2026-03-05 12:01").load(home, "2026-03-20")
    assert (done["transactions"]["loaded"], done["transactions"]["refused"]) == (2, 0)
    assert {row[0]: row[1:] for row in raw(home, "transactions", "transaction_id, buyer_id, seller_id") if row[0] in ("t9", "t10")} == {
        "t9": (None, "m2"), "t10": ("m2", "m1")}


@pytest.mark.parametrize(("when", "loads"), [("2026-03-05 11:59", False), ("2026-03-05 12:00", True), ("2026-03-06 00:00", True)])
def test_what_was_collected_before_the_erasure_is_refused_and_what_comes_after_loads(gone, tmp_path, when, loads):
    home = copy_home(gone, tmp_path / "home")
    market = Market("o").member("m9", email="Twice@Exemple.fr", registered_at=stamp(when), updated_at=stamp("2026-03-10"))
    done = market.event("e", None, "d1", when, "necessary").line("m1", when).load(home, "2026-03-20")
    expected = (1, 0) if loads else (0, 1)
    assert {name: (b["loaded"], b["reasons"].get("erased_subject", 0)) for name, b in done.items()} == dict.fromkeys(
        ("members", "usage_events", "access_logs"), expected)


def test_a_member_who_lives_and_has_the_address_now_loads_on_and_no_check_takes_it_for_the_erased_ones(gone, tmp_path):
    """Somebody registered before, who was given the address since, or shares it in other letters: their updates come in, their deletion too."""
    home = copy_home(gone, tmp_path / "home")
    shared = Market("a").member("m2", email="Twice@exemple.fr", updated_at=stamp("2026-03-10"))
    assert shared.load(home, "2026-03-20")["members"]["loaded"] == 1
    left = Market("b").member("m2", email="twice@exemple.fr", updated_at=stamp("2026-03-11"), deleted_at=stamp("2026-03-11"))
    assert left.load(home, "2026-03-21")["members"]["loaded"] == 1
    assert {row for row in raw(home, "members", "member_id, deleted_at is not null") if row[0] == "m2"} == {("m2", True)}
    assert all(check["ok"] for check in verify(home, "residue", None)["checks"])


def test_tombstones_live_as_long_as_the_policy_says_and_then_older_extracts_are_refused_whole(gone, tmp_path):
    from pipelines.foundation.dates import plus

    home, ends = copy_home(gone, tmp_path / "home"), plus(date.fromisoformat(DAY), [rules().policy.tombstones])
    assert vault(home, "select distinct expires_on, erased_at from db.tombstones") == [(ends, at(f"{DAY} 12:00"))]
    old = {"last_active_on": (ends - timedelta(days=200)).isoformat(), "registered_at": stamp("2025-01-15")}
    eve, day = (ends - timedelta(days=1)).isoformat(), ends.isoformat()
    done = Market("a").member("m1", updated_at=stamp("2026-03-01"), **old).load(home, eve)
    assert done["members"]["reasons"] == {"erased_subject": 1}
    with pytest.raises(Refused, match="older than an erasure") as refused:
        Market("b").member("m1", updated_at=stamp("2026-03-01 09:00"), **old).load(home, day)
    assert refused.value.rule == "C-11.3" and not [row for row in raw(home, "members", "member_id") if row == ("m1",)]
    assert Market("c").member("m8", updated_at=stamp("2026-03-06"), **old).load(home, day)["members"]["loaded"] == 1, "a newer extract loads"
    market = Market("d").member("m1", updated_at=stamp("2026-03-01"), **old).member("m7", updated_at=stamp("2026-03-06"), **old)
    assert market.load(home, day)["members"]["loaded"] == 2, "of whom nothing is known any more nothing is refused"


def test_a_broken_row_that_names_who_was_erased_is_not_set_aside(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    market = Market("q").post("p7", "m1", when="2026-02-10", posted_at="yesterday").post("p8", "m2", when="2026-02-10", posted_at="yesterday")
    done = market.broken("forum_posts", '{"post_id": "p9", "author_id": "m1", "body": "the end is missing"').load(home, "2026-03-20")
    assert (done["forum_posts"]["refused"], done["forum_posts"]["quarantined"]) == (2, 1)
    assert not [text for _, text in house.everything(home.root) if '"m1"' in text]


def test_ids_of_who_was_erased_make_way_in_late_texts_of_others(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    Market("t").post("p8", "m2", when="2026-02-11", body="voir m1 ou TWICE@exemple.fr, pas m11").line("m2", "2026-03-01", "/membres/m1/x").load(
        home, "2026-03-20")
    body = rows_of(home, "forum_posts")["p8"]["body"]
    assert "m1 " not in body and "exemple" not in body.lower() and body.startswith("voir ") and body.endswith(", pas m11")
    assert all("m1" not in path for (path,) in raw(home, "access_logs", "path"))


def test_rows_that_waited_in_quarantine_are_judged_by_the_tombstones_too(tmp_path):
    home = new_home(tmp_path / "home")
    market = Market("w").member("m1").member("m2").post("p1", "m2", when="2026-02-10", posted_at="yesterday")
    market.load(home, "2026-03-01")
    erase(home, "m1", when=f"{DAY} 12:00")
    assert len(raw(home, "forum_posts", schema="quarantine")) == 1, "another member's row stays there"


def test_ten_members_in_one_batch_and_the_ledger_counts_only_many(tmp_path):
    home, market = new_home(tmp_path / "home"), Market("w")
    for n in range(14):
        market.member(f"m{n:02}").post(f"p{n}", f"m{n:02}", f"t{n % 3}")
    market.load(home, "2026-03-01")
    ids = [f"m{n:02}" for n in range(12)]
    request = erase(home, *ids, when=DAY)
    assert sorted(raw(home, "members", "member_id")) == [("m12",), ("m13",)]
    entry = [e for e in ledger.read(home) if e.act == "erasure"][-1]
    assert entry.facts["request"] == request and entry.facts["subjects"] == 12
    with pytest.raises(Misuse, match="2 of the 3 member ids"):
        requests.open_request(home, "erasure", ["m12", "m00", "m01"], None, at(DAY), "opener")


def test_an_erasure_that_was_stopped_is_told_by_status_and_finished_by_the_next_run(gone, tmp_path, monkeypatch):
    home = new_home(tmp_path / "home")
    source(Market("s")).load(home, "2026-03-01")
    request = ask(home, "m1", when=f"{DAY} 12:00")

    def stopped(*_, **__):
        raise KeyboardInterrupt

    for step in ("purge", "build_or_nothing", "prove", "rewrite_vault"):
        if hasattr(erasure, step):
            with monkeypatch.context() as patch:
                patch.setattr(erasure, step, stopped)
                with pytest.raises(KeyboardInterrupt):
                    requests.process(home, request, at(f"{DAY} 12:00"))
            told = status(home, at(DAY))
            assert told["erasures"] == [request] and requests.show(home, request)["state"] == "erasing"
    assert requests.process(home, request, at(f"{DAY} 13:00"))["state"] == "done"
    assert status(home, at(DAY))["erasures"] == []
    assert stored(home) == stored(gone)
    assert vault(home, "select kind, count(*) from db.tombstones group by 1 order by 1") == vault(
        gone, "select kind, count(*) from db.tombstones group by 1 order by 1")




def test_very_many_members_are_proved_gone_by_keyed_hashes(tmp_path, monkeypatch):
    home, market = new_home(tmp_path / "home"), Market("w")
    for n in range(6):
        market.member(f"m{n:04}").post(f"p{n}", f"m{n:04}", f"t{n % 3}")
    market.load(home, "2026-03-01")
    monkeypatch.setattr("pipelines.workflows.residue.MANY", 3)
    request = erase(home, "m0000", "m0001", when=DAY)
    told = erasure.certificate_of(home, request)[0]["residue"]
    assert told["ok"] and told["hashed"] > 0 and told["files"] > 0
    (home.evidence / "note").write_text("m0002\n")
    again = ask(home, "m0002", "m0003", when=DAY)
    with pytest.raises(KampekyError, match="evidence/note"):
        requests.process(home, again, at(DAY))
    (home.evidence / "note").unlink()
    assert requests.process(home, again, at(DAY))["state"] == "done"


def test_an_erasure_of_a_day_to_come_is_refused_and_takes_nothing(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    request = ask(home, "m2", when="2026-03-20")
    with pytest.raises(Refused, match="not of a day to come"):
        requests.process(home, request, at("2026-04-01"), now=at("2026-03-21"))
    assert ("m2",) in raw(home, "members", "member_id") and requests.show(home, request)["state"] == "approved"


def test_a_request_whose_members_all_went_by_another_is_no_request_any_more(tmp_path):
    home = new_home(tmp_path / "home")
    Market("d").member("m0001").member("m0002").member("m0003").load(home, "2026-03-01")
    twice = [requests.open_request(home, "erasure", ["m0001", "m0002"], None, at(DAY), "opener")["request_id"] for _ in range(2)]
    other = requests.open_request(home, "erasure", ["m0002", "m0003"], None, at(DAY), "opener")["request_id"]
    erasure.approve(home, twice[0], "second", at(DAY))
    assert requests.process(home, twice[0], at(DAY))["state"] == "done"
    assert {r["request_id"]: r["state"] for r in requests.list_requests(home)} == {twice[0]: "done", other: "received"}
    assert vault(home, "select request_id, member_id from db.batches") == [(other, "m0003")]


def test_what_others_say_of_places_and_share_with_the_erased_is_theirs_and_stops_nothing(tmp_path):
    """Her street in another's text, a name of an account that is a word, an address and an account that a household has: none of it is a trace."""
    home, iban = new_home(tmp_path / "home"), "FR7630006000011234567890189"
    Market("d").member("m0001", email="famille@exemple.fr", street="12 rue de la Paix", account_holder="Analytics", iban=iban,
                       picture_url="https://img.exemple.fr/p/m1-77.jpg", member_name="Qzvicnick77") \
        .member("m0002", email="Famille@exemple.fr", iban=iban) \
        .post("p1", "m0002", when="2026-02-10", body=f"RDV demain au 12 rue de la Paix, IBAN {iban}, photo https://img.exemple.fr/p/m1-77.jpg") \
        .post("p2", "m0002", posted_at="yesterday", body="signé Qzvicnick77, au 12 rue de la Paix, +33 6 39 98 12 34") \
        .load(home, "2026-03-01")
    before = raw(home, "forum_posts", "post_id, body")
    done = erase(home, "m0001", when=DAY)
    assert raw(home, "forum_posts", "post_id, body") == before, "not even the account number, which is the other's, too"
    assert erasure.certificate_of(home, done)[0]["complete"]
    ((record,),) = raw(home, "forum_posts", "record", schema="quarantine")
    assert "Qzvicnick77" not in record and f"signé {NAME_REMOVED}, au 12 rue de la Paix" in record, "it would come in when it is corrected"
    assert raw(home, "members", "member_id, email") == [("m0002", "Famille@exemple.fr")]
    assert all(check["ok"] for check in verify(home, "residue", None)["checks"])


def test_kept_messages_of_one_who_left_cannot_be_told_from_anothers_by_where_they_are_stored(tmp_path, monkeypatch):
    """C-2.6: no label replaces the author, the bucket of the file neither; of who stays it stays."""
    monkeypatch.setattr(tables, "ROWS_A_BUCKET", 1)  # else only a large batch has any
    home, market = new_home(tmp_path / "home"), Market("d")
    for n in range(40):
        market.member(f"m{n:04}")
        market.add("messages", message_id=f"x{n}", conversation_id=f"t{n}", sender_id=f"m{n % 10:04}", recipient_id=f"m{n % 10 + 20:04}",
                   sent_at=stamp("2026-02-10"), body="bonjour")
    market.load(home, "2026-03-01")
    def buckets(sender: str) -> set:
        return {b for (s, b) in raw(home, "messages", "sender_id, _bucket") if s == sender}
    stays = buckets("m0005")
    assert 255 not in stays and len({b for (b,) in raw(home, "messages", "_bucket")}) > 3
    erase(home, "m0000", "m0001", when=DAY)
    assert buckets(None) == {255} and buckets("m0005") == stays
    assert len(raw(home, "messages", "message_id")) == 40


def test_a_file_of_members_as_a_spreadsheet_writes_it_is_read_and_of_wrong_ids_the_places_are_told(tmp_path):
    home = new_home(tmp_path / "home")
    Market("d").member("m0001").member("m0002").load(home, "2026-03-01")
    for content, code, words in ((b"\xef\xbb\xbfm0001\r\nm0002\r\n", 0, "R-"), (b"m0001\nnobody-7\nm0002\nm3\n", 2, "number 2, 4 of them")):
        answer = house.kampeky("request", "open", "erasure", "--members", house.put(tmp_path / "ids", content), "--by", "x", "--as-of", "2026-03-02",
                               "--home", home.root)
        assert answer.code == code and words in answer.out + answer.err and "nobody-7" not in answer.out + answer.err


def test_a_certificate_that_waited_for_a_reader_is_completed_once_nobody_holds_the_old_file(tmp_path):
    home = new_home(tmp_path / "home")
    Market("d").member("m0001").member("m0002").load(home, "2026-03-01")
    with home.vault.open("rb"):
        done = erase(home, "m0001", when=DAY)
        for _ in range(2):
            told, page = erasure.certificate_of(home, done)
            assert not told["complete"] and len(told["residue"]["pending"]) == 1 and "a check is still pending" in page
            requests.show(home, done, at(DAY))
    requests.show(home, done, at("2026-04-11"))
    told, page = erasure.certificate_of(home, done)
    assert told["complete"] and told["completed_on"] == "2026-04-11" and "The erasure is complete." in page
    last = ledger.read(home)[-1]
    assert (last.act, last.facts) == ("erasure complete", {"request": done, "certificate": certificate.digest(told)})


def test_an_approval_that_a_kill_kept_out_of_the_ledger_is_entered_by_the_next_command(tmp_path, monkeypatch):
    home = new_home(tmp_path / "home")
    Market("d").member("m0001").member("m0002").load(home, "2026-03-01")
    opened = requests.open_request(home, "erasure", "m0001", None, at(DAY), "opener")["request_id"]
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            erasure.approve(home, opened, "second", at(DAY))
    requests.process(home, opened, at(DAY))
    entered = [e for e in ledger.read(home) if e.facts.get("request") == opened]
    assert [e.act for e in entered][:3] == ["request received", "request approved", "erasure begun"]
    assert entered[1].facts["recovered"] is True and len(entered[1].facts["plan"]) == 64


def test_a_request_is_not_approved_before_it_was_received(gone, tmp_path):
    home = copy_home(gone, tmp_path / "home")
    request = requests.open_request(home, "erasure", "m2", None, at("2026-03-20"), "opener")["request_id"]
    with pytest.raises(Misuse, match="before it was received"):
        erasure.approve(home, request, "second", at("2026-03-19"))
    assert requests.show(home, request)["state"] == "received"
    answer = house.kampeky("request", "open", "erasure", "--member", "m2", "--by", "x", "--as-of", "2199-01-01", "--home", home.root)
    assert answer.code == 2 and "not received on a day to come" in answer.sentence
