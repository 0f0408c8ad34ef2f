"""The command disclose: run by the job that holds the keys, on behalf of marketing or trust."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant
from pipelines.cli.output import say, write_json, write_records


def register(app: typer.Typer) -> None:
    app.command()(disclose)


def disclose(purpose: Annotated[str, typer.Argument(help="advertising, or security.")],
             by: Annotated[str, typer.Option("--by", help="Who asks; stands in the ledger.")],
             reason: Annotated[str, typer.Option("--reason", help="Why; names no member.")],
             channel: Annotated[str | None, typer.Option("--channel", help="email, mailbox or notification.")] = None,
             template: Annotated[str | None, typer.Option("--template", help="What is to be sent.")] = None,
             segment: Annotated[str | None, typer.Option("--segment", help="Only members of this segment.")] = None,
             recipient_key: Annotated[str | None, typer.Option("--recipient-key", help="The recipient's age public key, or its file.")] = None,
             pseudonym: Annotated[str | None, typer.Option("--pseudonym", help="For security; - reads them from stdin, one a line.")] = None,
             home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """From pseudonyms to addresses, encrypted, 24 hours. Example: kampeky disclose advertising --channel email --template spring
    --recipient-key age1… --by "A. Martin" --reason "spring campaign" """
    from pipelines.workflows.disclose import to_channel, to_members

    if pseudonym is not None:
        given = [line for line in sys.stdin.read().splitlines() if line.strip()] if pseudonym == "-" else [pseudonym]
        found = to_members(home_of(home), purpose, given, by, reason, instant(as_of))
        if as_json:
            write_json(found)
        else:
            write_records(found, ("pseudonym", "member_id"))
        return
    done = to_channel(home_of(home), purpose, channel, template, segment, recipient_key, by, reason, instant(as_of), instant(None))
    if as_json:
        write_json(done)
        return
    say(f"{done['given']:,} may be written to by {done['channel']}; left out: "
        + (", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in done["left_out"].items()) or "nobody") + ".")
    say(f"{done['package']}, until {done['expires']}" if done["package"] else "Nothing was written.")
