"""Who asked for their data is answered before the account ends (C-11.9), and is out of every purpose all the same."""

from __future__ import annotations

from pathlib import Path

from small_market import Market, at, fill_zone, members_in, new_home, raw, run_retention, stamp, vault

from pipelines.workflows import erasure, requests
from pipelines.workflows.retention import plan


def test_an_account_that_asked_for_its_erasure_waits_for_it_and_leaves_a_certificate(tmp_path):
    """By themselves or among many: a retention run would take less, and leave nobody to certify it."""
    home, market = new_home(tmp_path / "home"), Market()
    for member in ("alone", "of-two", "of-two-as-well", "did-not"):
        market.member(member, deleted_at=stamp("2026-01-05 10:00")).post(f"p-{member}", member, thread=member)
    market.member("stays").post("p", "stays", thread="mixed").load(home, "2026-02-01")
    asked = [requests.open_request(home, "erasure", who, None, at("2026-04-01"), "opener")["request_id"]
             for who in ("alone", ["of-two", "of-two-as-well"])]
    run_retention(home, "2026-04-10")
    assert {m for (m,) in raw(home, "members", "member_id")} == {"alone", "of-two", "of-two-as-well", "stays"}
    for request in asked:
        erasure.approve(home, request, "second", at("2026-04-10"))
        assert requests.process(home, request, at("2026-04-10"))["state"] == "done"
        assert erasure.certificate_of(home, request)[0]["complete"]
    run_retention(home, "2026-04-11")
    assert {m for (m,) in raw(home, "members", "member_id")} == {"stays"}


def test_an_account_with_an_open_request_ends_with_the_first_run_after_its_answer(tmp_path):
    home, market = new_home(tmp_path / "home"), Market()
    for member in ("asked", "did-not", "stays"):
        gone = {} if member == "stays" else {"deleted_at": stamp("2026-01-05 10:00")}
        market.member(member, **gone).post(f"p-{member}", member, thread=member)
    market.load(home, "2026-02-01")
    request = requests.open_request(home, "portability", "asked", None, at("2026-04-01"))["request_id"]
    fill_zone(home, "analytics", "2026-04-10")
    assert members_in(home, "analytics") == {"stays"}
    entries = {entry["dataset"]: entry for entry in plan(home, at("2026-04-10"))["datasets"]
               if (entry["zone"], entry["rule"]) == ("vault", "C-10.3")}
    assert (entries["requests"]["due"], entries["requests"]["held"]) == (0, 1)
    run_retention(home, "2026-04-10")
    assert {m for (m,) in raw(home, "members", "member_id")} == {"asked", "stays"}
    assert {m for (m,) in raw(home, "forum_posts", "author_id")} == {"asked", "stays"}
    assert Path(requests.process(home, request, at("2026-04-10"))["package"]).exists()
    run_retention(home, "2026-04-11")
    assert {m for (m,) in raw(home, "members", "member_id")} == {"stays"}
    assert not vault(home, "select 1 from db.requests")
    assert not list(home.outbox.iterdir())
