"""Commands of the analyst: sql; and of everybody: status."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant
from pipelines.cli.output import say, write_csv, write_json, write_records, write_table
from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home


def register(app: typer.Typer) -> None:
    app.command()(sql)
    app.command()(status)


def sql(purpose: Annotated[str, typer.Argument(help="Whose marts: a purpose of the policy, such as analytics.")],
        query: Annotated[str | None, typer.Argument(help="One SQL statement. Without it: a prompt.")] = None,
        csv: Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write CSV. A name alone is a file of the home's extracts/; a path "
                                                "outside takes figures over groups only; - is stdout.")] = None,
        parquet: Annotated[str | None, typer.Option("--parquet", metavar="FILE", help="Write Parquet, to the same places.")] = None,
        home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Query the published marts of a purpose, or type queries at a prompt. Example: kampeky sql analytics "select * from user_profiles limit 5" """
    from pipelines.workflows.sql import sql as run_query
    from pipelines.workflows.sql import write

    if [csv is not None, parquet is not None, as_json].count(True) > 1 or parquet == "-":
        raise Misuse("Choose one of --json, --csv FILE and --parquet FILE; only CSV can go to stdout: --csv -")
    place = home_of(home)
    if query is None:
        if csv or parquet or as_json:
            raise Misuse('Write the statement, too: kampeky sql PURPOSE "QUERY". Without one there is a prompt, which writes no file.')
        _prompt(place, purpose)
        return
    if csv not in (None, "-") or parquet:
        done = write(place, purpose, query, str(csv or parquet), "csv" if csv else "parquet", instant(as_of))
        ends = f"; it ends on {done['ends_on']} (C-10.4)" if done["ends_on"] else ""
        say(f"{done['rows']:,} rows in {done['path']}{ends}")
        return
    columns, rows = run_query(home_of(home), purpose, query)
    if csv:
        write_csv(columns, rows)
    elif as_json:
        write_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        write_table(columns, [list(row) for row in rows])


def _prompt(home: Home, purpose: str) -> None:
    from pipelines.cli.prompt import run
    from pipelines.workflows.rules import rules

    run(home, purpose, rules().policy.built_purpose(purpose).identified)


def status(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """What the home holds and what was done last. Example: kampeky status"""
    from pipelines.workflows.status import status as read

    found = read(home_of(home), instant(as_of))
    if as_json:
        write_json(found)
        return
    say(f"Home {found['home']}, policy {found['policy_version']}")
    write_records(found["sources"], ("source", "files", "read", "loaded", "quarantined", "refused", "already_known"), "Rows per source")
    write_records(found["late"], ("source", "last", "every"), "Late: no batch since the last one was due")
    reasons = [[s["source"], reason, count] for s in found["sources"] for reason, count in s["reasons"].items()]
    write_table(["source", "reason", "rows"], reasons, "Why rows were quarantined or refused")
    for name, build in found["builds"].items():
        _write_build(name, build)
    retention = found["retention"]
    write_records(retention["removed"], ("zone", "dataset", "rule", "action", "rows"),
                  f"What retention deleted as of {retention['as_of'][:10]}" if retention["as_of"] else "Retention has not run yet")
    for purpose in found["rotations"]:
        say(f"New keys of {purpose} were begun to be put in place and are not; until they are, nothing of it opens: kampeky keys rotate {purpose}")
    if found["backups"]:
        write_records(found["backups"], ("backup", "made_at", "expires_on", "bytes"), "Backups")
    for sentence in found["backups_wrong"]:
        say(sentence)
    if found["unfinished"]:
        say(f"{len(found['unfinished'])} retention run was begun and stopped: apply its plan again (evidence/plans), until then nothing is proved.")
    if found["overdue"]:
        say(f"Retention is overdue: a run of {found['overdue'][:10]} was stopped and not made up for. Due rows have left the marts and are still "
            "in the zones. Make a plan and carry it out: kampeky retention plan")
    for request in found["erasures"]:
        say(f"The erasure of {request} was begun and is not finished: kampeky request process {request}")
    write_records(found["packages"], ("request_id", "package", "expires"), "Packages in the outbox: of requests (R-), for recipients (D-)")


def _write_build(name: str, build: dict[str, Any]) -> None:
    title = f"Purpose {name}, built as of {build['as_of'][:10]}" + ("" if build["published"] else " (not published)")
    write_table(["members", "count"], [[verdict.replace("_", " "), count] for verdict, count in build["members"].items()], title)
    write_table(["dataset", "of its rows", "count"], [[dataset, verdict.replace("_", " "), count] for dataset, verdicts in build["rows"].items()
                                                      for verdict, count in verdicts.items()])
    for mart, rows in build["marts"].items():
        say(f"  mart {mart}: {rows:,} rows")
