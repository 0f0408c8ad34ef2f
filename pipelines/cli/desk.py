"""Commands of compliance: request, hold, verify, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant, value_or_stdin
from pipelines.cli.output import say, write_json, write_records, write_table
from pipelines.foundation.errors import KampekyError, one_of

SHOWN = ("request_id", "right", "purpose", "state", "due", "package")


def register(app: typer.Typer) -> None:
    request, hold = (typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None) for words in
                     ("Members' requests.", "Legal holds on single records."))
    for word, command in (("open", request_open), ("list", request_list), ("show", request_show), ("process", request_process)):
        request.command(word)(command)
    for word, command in (("place", hold_place), ("lift", hold_lift), ("list", hold_list)):
        hold.command(word)(command)
    app.add_typer(request, name="request")
    app.add_typer(hold, name="hold")
    app.command()(verify)
    app.command()(report)


def request_open(right: Annotated[str, typer.Argument(help="portability, objection or restriction.")],
                 member: Annotated[str, typer.Option("--member", help="The member's id; - reads it from stdin.")],
                 purpose: Annotated[str | None, typer.Option("--purpose", help="For an objection: the purpose.")] = None,
                 home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Record a request. Example: echo m000123 | kampeky request open portability --member -"""
    from pipelines.workflows.requests import open_request

    made = open_request(home_of(home), right, value_or_stdin(member, "--member"), purpose, instant(as_of))
    if as_json:
        write_json(made)
    else:
        write_records([made], SHOWN)
        say(f"Next: kampeky request process {made['request_id']}")


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

    found = show(home_of(home), request_id)
    if as_json:
        write_json(found)
    else:
        write_records([found], SHOWN)


def request_process(request_id: Annotated[str, typer.Argument()], home: HomeOption = None, as_of: AsOfOption = None,
                    as_json: JsonOption = False) -> None:
    """Answer a request: write the package, or take the member out. Example: kampeky request process R-0123456789ab"""
    from pipelines.workflows.requests import process

    done = process(home_of(home), request_id, instant(as_of))
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


def verify(what: Annotated[str, typer.Argument(help="ledger, export, lineage, canary, risk or all.")],
           of: Annotated[str | None, typer.Argument(help="For export: the package. For lineage: a purpose; default all.")] = None,
           home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Prove something. Example: kampeky verify export .kampeky/outbox/R-0123456789ab.zip"""
    from pipelines.workflows.verify import verify as check

    found = check(home_of(home), what, of, instant(None))
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
