"""Commands of compliance: request, hold, verify, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant, lines_or_stdin, operator, value_or_stdin
from pipelines.cli.output import say, write_json, write_records, write_table
from pipelines.foundation.errors import KampekyError, Misuse, one_of

SHOWN = ("request_id", "right", "purpose", "state", "due", "package")


def register(app: typer.Typer) -> None:
    request, hold = (typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None) for words in
                     ("Members' requests.", "Legal holds on single records."))
    for word, command in (("open", request_open), ("list", request_list), ("show", request_show), ("approve", request_approve),
                          ("process", request_process), ("public", request_public),
                          ("certificate", request_certificate)):
        request.command(word)(command)
    for word, command in (("place", hold_place), ("lift", hold_lift), ("list", hold_list)):
        hold.command(word)(command)
    app.add_typer(request, name="request")
    app.add_typer(hold, name="hold")
    app.command()(verify)
    app.command()(report)


def request_open(right: Annotated[str, typer.Argument(help="portability, objection, restriction or erasure.")],
                 member: Annotated[str | None, typer.Option("--member", help="The member's id; - reads it from stdin.")] = None,
                 members: Annotated[Path | None, typer.Option("--members", help="Of an erasure of many: a file, an id a line; - is stdin.")] = None,
                 purpose: Annotated[str | None, typer.Option("--purpose", help="For an objection: the purpose.")] = None,
                 by: Annotated[str | None, typer.Option("--by", help="Who opens it. Default: your user name.")] = None,
                 home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Record a request. Example: echo m000123 | kampeky request open portability --member -"""
    from pipelines.workflows.requests import open_request

    if (member is None) == (members is None):
        raise Misuse("Name the member: --member ID (- reads it from stdin), or for an erasure of many --members FILE.")
    if instant(as_of) > instant(None):
        raise Misuse("A request was not received on a day to come. Is --as-of the right day?")
    whom = value_or_stdin(str(member), "--member") if members is None else lines_or_stdin(members, "--members")
    made = open_request(home_of(home), right, whom, purpose, instant(as_of), operator(by))
    if as_json:
        write_json(made)
    else:
        write_records([made], SHOWN)
        say(f"Next: kampeky request {'approve' if made['needs_approval'] else 'process'} {made['request_id']}"
            f"{' --by NAME, which is somebody else' if made['needs_approval'] else ''}")


def request_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Every request, the most urgent first. Example: kampeky request list"""
    from pipelines.workflows.requests import list_requests

    found = list_requests(home_of(home))
    if as_json:
        write_json(found)
    else:
        write_records(found, SHOWN)


def request_show(request_id: Annotated[str, typer.Argument()], home: HomeOption = None, as_json: JsonOption = False) -> None:
    """One request. Example: kampeky request show R-0123456789ab"""
    from pipelines.workflows.requests import show

    found = show(home_of(home), request_id, instant(None))
    if as_json:
        write_json(found)
    else:
        write_records([found], SHOWN)


def request_approve(request_id: Annotated[str, typer.Argument()],
                    by: Annotated[str, typer.Option("--by", help="The person who approves: not the one who opened it.")],
                    home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Agree to a request as a second person; shows what it will do. Example: kampeky request approve R-0123456789ab --by martin"""
    from pipelines.workflows.erasure import approve

    done = approve(home_of(home), request_id, by, instant(as_of))
    if as_json:
        write_json(done)
        return
    write_records([done], SHOWN)
    if done["plan"]:
        write_records([row for row in done["plan"]["datasets"] if row["due"] and row["action"] != "archive"],
                      ("zone", "dataset", "rule", "action", "due"), "What goes")
        held, by_law = ([row for row in done["plan"]["kept"] if ("law" in row) is law] for law in (False, True))
        if held:
            write_records(held, ("dataset", "hold", "reason", "review_on"), "What is kept (C-10.5)")
        if by_law:
            write_records(by_law, ("dataset", "archive", "law", "records", "until"), "What is kept for a law alone (C-10.8)")
        if done["plan"]["recipients"]:
            write_records(done["plan"]["recipients"], ("recipient", "disclosures"), "To whom it was given (Art. 19)")
        if done["plan"]["public"]:
            write_records(done["plan"]["public"], ("dataset", "records"), "What is public (C-6)")
            say(f"For search engines, before it is carried out: kampeky request public {request_id}")
        say(f"Plan {done['plan']['hash']}")
    say(f"Next: kampeky request process {request_id}")


def request_public(request_id: Annotated[str, typer.Argument()], home: HomeOption = None, as_of: AsOfOption = None,
                   as_json: JsonOption = False) -> None:
    """What search engines are asked to forget, before an erasure. Example: kampeky request public R-0123456789ab --json > list.json"""
    from pipelines.workflows.erasure import public

    found = public(home_of(home), request_id, instant(as_of))
    if as_json:
        write_json(found)
    else:
        write_records(found, ("dataset", "key"))


def request_certificate(request_id: Annotated[str, typer.Argument()],
                        html: Annotated[Path | None, typer.Option("--html", help="Write the page for the member to this file.")] = None,
                        home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The certificate of an erasure. Example: kampeky request certificate R-0123456789ab --html certificate.html"""
    from pipelines.workflows.erasure import certificate_of

    told, page = certificate_of(home_of(home), request_id)
    if html is not None:
        html.write_text(page, encoding="utf-8")
        say(f"Written to {html}.")
    if as_json or html is None:
        write_json(told)


def request_process(request_id: Annotated[str, typer.Argument()], home: HomeOption = None, as_of: AsOfOption = None,
                    as_json: JsonOption = False) -> None:
    """Answer a request: write the package, or take the member out. Example: kampeky request process R-0123456789ab"""
    from pipelines.workflows.requests import process

    done = process(home_of(home), request_id, instant(as_of), instant(None))
    if as_json:
        write_json({"request_id": done["request_id"], "state": done["state"], "package": done["package"]})
    else:
        write_records([done], SHOWN)


def hold_place(dataset: Annotated[str, typer.Argument()], key: Annotated[str, typer.Argument(help="The record's key; - reads it from stdin.")],
               reason: Annotated[str, typer.Option(help="Why; no personal data.")], review_on: Annotated[str, typer.Option(help="Day of review.")],
               home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Keep one record from deletion. Example: kampeky hold place transactions t000042 --reason "claim 7" --review-on 2026-12-01"""
    from pipelines.foundation.dates import parse_day
    from pipelines.workflows.holds import place

    made = place(home_of(home), dataset, value_or_stdin(key, "The key"), reason, parse_day(review_on), instant(as_of))
    if as_json:
        write_json(made)
    else:
        write_records([made], ("hold_id", "dataset", "review_on"))


def hold_lift(hold_id: Annotated[str, typer.Argument()], home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """End a hold. Example: kampeky hold lift H-0123456789ab"""
    from pipelines.workflows.holds import lift

    done = lift(home_of(home), hold_id, instant(as_of))
    if as_json:
        write_json(done)
    else:
        say(f"{done['hold_id']} lifted: the record is due again from the next retention run on.")


def hold_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Open holds, the next review first. Example: kampeky hold list"""
    from pipelines.workflows.holds import list_holds

    found = list_holds(home_of(home))
    if as_json:
        write_json(found)
    else:
        write_records(found, ("hold_id", "dataset", "reason", "review_on"))


def verify(what: Annotated[str, typer.Argument(help="ledger, export, lineage, canary, risk, residue or all.")],
           of: Annotated[str | None, typer.Argument(help="For export: the package. For lineage: a purpose; default all. For residue: a file of what "
                                                         "to look for, a line each, or - for stdin; default what was erased.")] = None,
           home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Prove something. Example: kampeky verify export .kampeky/outbox/R-0123456789ab.zip"""
    from pipelines.workflows.verify import verify as check

    identifiers = lines_or_stdin(Path(of), "What to look for") if what == "residue" and of else None
    found = check(home_of(home), what, of, instant(None), identifiers)
    if as_json:
        write_json(found)
    else:
        write_records(found["checks"], ("name", "ok", "detail"))
    if not found["ok"]:
        raise KampekyError("The check failed: " + "; ".join(c["name"] for c in found["checks"] if not c["ok"]))


def report(what: Annotated[str, typer.Argument(help="risk.")] = "risk",
           html: Annotated[Path | None, typer.Option("--html", help="Also write a page with drawings to this file; it loads nothing.")] = None,
           home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What the builds measured, over time. Example: kampeky report risk --html risk.html"""
    from pipelines.cli.charts import page, text_rows
    from pipelines.workflows.report import risk_history

    if what != "risk":
        raise one_of("Report", what, ("risk",))
    found = risk_history(home_of(home))
    if html is not None:
        html.write_text(page(found, "Kampeky: re-identification risk of the published marts"), encoding="utf-8")
        say(f"Written to {html}.")
    if as_json:
        write_json([series.as_dict() for series in found])
    else:
        write_table(["mart", "figure", "course", "newest", "limit", "builds"], text_rows(found))
