"""Evidence: a chain in which a change shows, and in which nothing stands that may ever have to be erased."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import house
import pytest

from pipelines.evidence import ledger
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home

AT = datetime(2015, 5, 20, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    for number in range(6):
        ledger.append(made, f"act {number}", AT, {"rows": number, "words": "é\u2028 \r\n"})
    return made


def whole(home: Home) -> bool:
    ((name, ok, detail),) = ledger.check(home)
    assert name == "chain"
    assert detail
    return ok


def test_acts_stand_in_order_each_with_the_hash_of_the_one_before(home):
    entries = ledger.read(home)
    assert [(e.seq, e.act, e.facts["rows"]) for e in entries] == [(n + 1, f"act {n}", n) for n in range(6)]
    assert [e.previous for e in entries] == ["0" * 64, *(e.hash for e in entries[:-1])]
    assert whole(home)
    assert stat.S_IMODE(home.ledger.stat().st_mode) == 0o600


def test_appending_changes_no_byte_of_what_stands(home):
    before = home.ledger.read_bytes()
    ledger.append(home, "next", AT, {})
    after = home.ledger.read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == before.count(b"\n") + 1
    assert whole(home)


def edited(line: bytes, forge: bool = False) -> bytes:
    """The line with one fact changed; forged: with a hash of its own that fits."""
    entry = json.loads(line)
    entry["facts"]["rows"] = 77
    if forge:
        body = {k: entry[k] for k in ("seq", "act", "as_of", "facts", "previous")}
        entry["hash"] = hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n"


TAMPERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edited": lambda lines: [*lines[:2], edited(lines[2]), *lines[3:]],
    "edited first": lambda lines: [edited(lines[0]), *lines[1:]],
    "edited last": lambda lines: [*lines[:-1], edited(lines[-1])],
    "edited with a fitting hash": lambda lines: [*lines[:2], edited(lines[2], forge=True), *lines[3:]],
    "one cut out": lambda lines: [*lines[:2], *lines[3:]],
    "the first cut off": lambda lines: lines[1:],
    "two swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "all reversed": lambda lines: lines[::-1],
    "one twice": lambda lines: [*lines[:3], *lines[2:]],
    "the last twice": lambda lines: [*lines, lines[-1]],
    "cut in a line": lambda lines: [*lines[:-1], lines[-1][:40]],
    "a line of another kind": lambda lines: [*lines, b"3\n"],
    "a blank line": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "bytes that are no text": lambda lines: [*lines, b"\xff\xfe\n"],
    "a word twice, of which the last is read": lambda lines: [*lines[:-1], lines[-1].replace(b'"facts"', b'"facts": {"rows": 9}, "facts"')],
    "a new key in an entry": lambda lines: [*lines[:-1], lines[-1].replace(b'"act"', b'"x": 1, "act"')],
}


@pytest.mark.parametrize("kind", [*TAMPERED])
def test_a_ledger_that_was_tampered_with_fails_its_check_and_restored_it_passes(home, kind):
    lines = home.ledger.read_bytes().splitlines(keepends=True)
    home.ledger.write_bytes(b"".join(TAMPERED[kind](lines)))
    assert not whole(home)
    answer = house.kampeky("verify", "ledger", "--home", home.root, "--json")
    assert (answer.code, answer.json["ok"], [c["name"] for c in answer.json["checks"]]) == (1, False, ["chain"])
    home.ledger.write_bytes(b"".join(lines))
    answer = house.kampeky("verify", "ledger", "--home", home.root, "--json")
    assert (answer.code, answer.json["ok"]) == (0, True)


def test_of_a_ledger_with_an_entry_that_cannot_be_read_the_check_of_everything_says_which_and_that_the_rest_was_not_checked(tmp_path):
    home = house.new_home(tmp_path / "home")
    file = Home(home).ledger
    file.write_bytes(file.read_bytes() + b"3\n")
    answer = house.kampeky("verify", "all", "--home", home, "--json")
    assert (answer.code, [(c["name"], c["ok"]) for c in answer.json["checks"]]) == (1, [("chain", False), ("the rest", False)])
    assert "entry 2" in answer.json["checks"][0]["detail"]


@pytest.mark.parametrize("left", [5, 1, 0])
def test_a_ledger_whose_end_was_cut_off_fails_its_check(home, left):
    home.ledger.write_bytes(b"".join(home.ledger.read_bytes().splitlines(keepends=True)[:left]))
    assert not whole(home)


def test_a_ledger_that_is_gone_fails_its_check(home):
    home.ledger.unlink()
    assert not whole(home)


def test_a_ledger_that_is_gone_with_its_head_fails_its_check_for_the_raw_zone_knows_its_batches(tmp_path):
    home = house.new_home(tmp_path / "home")
    house.ingest(home, ("members", house.put(tmp_path / "members.ndjson", house.ndjson([house.member()]))))
    assert house.kampeky("verify", "ledger", "--home", home, "--json").json["ok"]
    for file in Home(home).evidence.glob("ledger*"):
        file.unlink()
    answer = house.kampeky("verify", "ledger", "--home", home, "--json")
    assert (answer.code, [c["name"] for c in answer.json["checks"] if not c["ok"]]) == (1, ["batches"])


def test_a_home_without_acts_has_a_whole_ledger(tmp_path):
    fresh = Home(tmp_path / "fresh")
    fresh.create()
    assert whole(fresh)


def test_a_line_that_a_crash_cut_short_is_removed_by_the_next_act_and_the_removal_is_written_down(home):
    """It was never confirmed; the acts before it stay."""
    before = home.ledger.read_bytes()
    home.ledger.write_bytes(before + b'{"act": "half')
    ledger.append(home, "next", AT, {})
    assert home.ledger.read_bytes().startswith(before)
    assert [e.act for e in ledger.read(home)][6:] == ["ledger repaired", "next"]
    assert whole(home)


def test_a_ledger_with_a_damaged_last_line_is_not_continued(home):
    home.ledger.write_bytes(home.ledger.read_bytes() + b"garbage\n")
    with pytest.raises(KampekyError, match="damaged"):
        ledger.append(home, "next", AT, {})
    assert not whole(home)


@pytest.mark.parametrize("forged", [1, 2, 5])
def test_entries_forged_behind_the_end_fail_the_check_but_for_the_one_that_a_crash_may_leave(home, forged):
    """A crash between a line and the head leaves one line more than the head tells of; nothing leaves two."""
    head = (home.evidence / "ledger.head").read_bytes()
    for number in range(forged):
        ledger.append(home, f"forged {number}", AT, {})
    (home.evidence / "ledger.head").write_bytes(head)
    assert whole(home) == (forged == 1)


def test_nothing_is_written_behind_an_end_that_was_cut_off_so_that_it_cannot_look_whole_again(home):
    lines = home.ledger.read_bytes().splitlines(keepends=True)
    home.ledger.write_bytes(b"".join(lines[:-2]))
    with pytest.raises(KampekyError, match="the end was cut off"):
        ledger.append(home, "next", AT, {})
    assert home.ledger.read_bytes() == b"".join(lines[:-2])
    assert not whole(home)
    home.ledger.write_bytes(b"".join(lines))
    ledger.append(home, "next", AT, {})
    assert whole(home)


# --- nothing personal outside the stores ---

PLANTED = {
    "member": "m-Zebulon77",
    "seller": "m-Quetsche88",
    "name": "Zebulon Quetsche",
    "e-mail": "zebulon.quetsche@exemple.fr",
    "address": "198.51.100.77",
    "IBAN": "FR7630006000011234567890189",
    "street": "17 rue du Planté",
    "text": "mon texte planté",
    "device": "dev-Mirabelle99",
    "URL": "/offre/plantee-4242",
    "agent": "Planted/7.7",
    "card": house.CARD,
    "birthday": "1977-07-17",
    "number": "776655443322",
}


def put_planted_files(folder: Path) -> None:
    """A file of every dataset, in several forms, in which the planted values stand in good, broken, refused and unreadable rows."""
    p = PLANTED
    person = house.member(
        1,
        member_id=p["member"],
        member_name=p["name"],
        email=p["e-mail"],
        iban=p["IBAN"],
        street=p["street"],
        birthday=p["birthday"],
        friends_count=p["number"],
    )
    members = [
        person,
        person | {"member_id": p["seller"], "email": p["name"]},
        person | {"member_id": p["e-mail"]},
        person | {"member_id": "m-due", "deleted_at": datetime(2014, 1, 1, tzinfo=UTC)},
        person | {"member_id": "m-card", "about": p["card"]},
        person | {"member_id": "m-number", "friends_count": p["e-mail"]},
        person | {"member_id": "m-channel", "registration_channel": p["name"]},
    ]
    sale = {"buyer_id": p["member"], "seller_id": p["seller"]}
    deals = [
        house.transaction(1, **sale),
        house.transaction(2, **sale, status=p["name"]),
        house.transaction(3, **sale, price_eur=p["e-mail"]),
        house.transaction(4, **sale, started_at=datetime(2013, 1, 1, tzinfo=UTC)),
        house.transaction(5, **sale | {"seller_id": p["member"]}),
    ]
    seen = {"member_id": p["member"], "device_id": p["device"], "user_agent": p["agent"]}
    line = house.log_line(ip=p["address"], member=p["member"], request=f"GET {p['URL']} HTTP/1.1", agent=p["agent"])
    logs = house.lines(
        line,
        line[:-3],
        line.replace(" 200 ", " - "),
        line.replace("May/2015", "Jan/2015"),
        f"{p['e-mail']} {p['card']}",
        line.replace(p["agent"], p["card"]),
    )
    contents = {
        "members": house.ndjson(members) + house.lines(json.dumps(person, default=str)[:-9], f'["{p["e-mail"]}"]'),
        "transactions": house.as_csv(deals) + house.lines(f"t9,{p['member']},{p['seller']}", f't10,"{p["name"]}" x,{p["e-mail"]}'),
        "consents": house.as_parquet(
            "consents", [house.consent(1, **seen), house.consent(2, **seen, kind=p["name"]), house.consent(3, **seen, decision=p["e-mail"])]
        ),
        "usage_events": gzip.compress(house.ndjson([house.event(1, **seen, page=p["URL"]), house.event(2, **seen, event_type=p["text"])])),
        "forum_posts": house.ndjson(
            [
                house.post(1, author_id=p["member"], body=p["text"]),
                house.post(2, author_id=p["member"], body=f"{p['text']} {p['card']}"),
                house.post(3, author_id=p["e-mail"], body=p["text"]),
            ]
        ),
        "access_logs": logs,
    }
    for dataset, content in contents.items():
        house.put(folder / dataset / "input", content)


def stopped_files(folder: Path) -> list[tuple[str, Path]]:
    """Files that stop their command, with planted values near what is wrong."""
    p = PLANTED
    return [
        ("members", house.put(folder / name, content))
        for name, content in {
            "unknown": house.ndjson([house.member(1, member_name=p["name"], **{p["e-mail"]: p["IBAN"], "shoe_size": p["text"]})]),
            "other": house.lines(f"{p['name']},{p['e-mail']}", f"{p['member']},{p['IBAN']}"),
            "cut": gzip.compress(house.ndjson([house.member(1, member_name=p["name"])] * 99))[:-9],
            "parquet": house.as_parquet("members", [house.member(1, member_name=p["name"], email=p["e-mail"])])[:-12],
            "mixed": house.as_csv([house.member(1, member_name=p["name"], email=p["e-mail"])]) + b'x\r\ny"\n',
        }.items()
    ]


def test_no_planted_value_stands_in_evidence_logs_or_answers_or_in_clear_under_the_home(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    home = house.new_home(tmp_path)
    put_planted_files(tmp_path / "in")
    good = [house.kampeky("ingest", "--all", "--from", tmp_path / "in", "--home", home, "--as-of", house.AS_OF, *way) for way in ([], ["--json"])]
    assert [answer.code for answer in good] == [0, 0]
    assert [a["source"] for a in good[1].json] == [name for name in house.rulebook().contracts if (tmp_path / "in" / name).exists()]
    stopped = [house.kampeky("ingest", dataset, path, "--home", home, "--as-of", house.AS_OF) for dataset, path in stopped_files(tmp_path / "bad")]
    assert {answer.code for answer in stopped} <= {1, 3}
    wrong = house.put(tmp_path / "wrong.ndjson", house.ndjson([{"_row": PLANTED["e-mail"], **house.member(1, email=PLANTED["e-mail"])}]))
    asked = [
        house.kampeky(*words, "--home", home)
        for words in (
            ["status"],
            ["status", "--json"],
            ["quarantine", "list"],
            ["quarantine", "write", "members", tmp_path / "mend.ndjson", "--as-of", house.AS_OF],
            ["quarantine", "replay", "--as-of", house.AS_OF, "--json"],
            ["quarantine", "replay", "members", "--from", wrong, "--as-of", house.AS_OF],
            ["contracts", "check"],
            ["request", "open", "portability", "--member", PLANTED["member"], "--as-of", house.AS_OF, "--json"],
            ["request", "list"],
            ["request", "open", "portability", "--member", PLANTED["e-mail"]],
            ["hold", "place", "members", PLANTED["seller"] + "x", "--reason", "claim", "--review-on", "2016-01-01"],
            ["retention", "plan", "--as-of", house.AS_OF],
            ["verify", "all"],
        )
    ]
    assert [answer.code for answer in asked] == [0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 2, 0, 0]
    # the stores do hold them, so that this search could find them
    stored = "\n".join(text for _, text in house.everything(home))
    assert [what for what, value in PLANTED.items() if value not in stored and what != "card"] == []
    places = [(str(path.relative_to(home)), path.name.encode() + content) for path, content in house.bytes_below(home)]
    assert {"evidence/ledger.jsonl", "locks/raw.lock"} <= {name for name, _ in places}
    places += [(f"answer {n}", (answer.out + answer.err).encode()) for n, answer in enumerate([*good, *stopped, *asked])]
    said = capfd.readouterr()
    places += [("log", caplog.text.encode()), ("stdout", said.out.encode()), ("stderr", said.err.encode())]
    found = [
        (what, place) for what, value in PLANTED.items() for place, content in places if value.encode() in content or _hashes(value) & _words(content)
    ]
    assert found == []


def _hashes(value: str) -> set[bytes]:
    """A hash of an identifier is an identifier."""
    return {hashlib.new(name, value.encode()).hexdigest().encode() for name in ("md5", "sha1", "sha256")}


def _words(content: bytes) -> set[bytes]:
    return set(content.replace(b'"', b" ").split()) if len(content) < 1_000_000 else set()


def test_the_ledger_says_of_an_ingestion_what_was_counted_and_nothing_else(tmp_path):
    home = house.new_home(tmp_path)
    house.ingest(
        home, ("members", house.put(tmp_path / "durand@exemple.fr.ndjson", house.ndjson([house.member(1), house.member(2, email="durand")])))
    )
    entry = ledger.read(Home(home))[-1]
    assert (entry.act, entry.as_of) == ("ingest", "2015-05-20T00:00:00+02:00")
    batch = entry.facts.pop("batch")
    assert entry.facts == {
        "source": "members",
        "read": 2,
        "loaded": 1,
        "quarantined": 1,
        "refused": 0,
        "already_known": 0,
        "reasons": {"email.pattern": 1},
    }
    assert len(batch) == 24
    assert b"durand" not in Home(home).ledger.read_bytes()
