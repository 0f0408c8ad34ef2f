"""Commands of the data engineer: init, simulate, ingest, build, run, retention, quarantine, contracts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant, value_or_stdin
from pipelines.cli.output import say, write_json, write_records, write_table
from pipelines.foundation.errors import Misuse, Refused

BALANCE = ("source", "read", "loaded", "quarantined", "refused", "already_known")


def register(app: typer.Typer) -> None:
    for command in (init, simulate, ingest, build, run):
        app.command()(command)
    for name, words, commands in (("retention", "What is due, and its deletion.", {"plan": retention_plan, "apply": retention_apply}),
                                  ("quarantine", "Rejected rows.", {"list": quarantine_list, "write": quarantine_write, "replay": quarantine_replay}),
                                  ("contracts", "The rules.", {"check": contracts_check, "docs": contracts_docs, "diff": contracts_diff})):
        group = typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None)
        for word, command in commands.items():
            group.command(word)(command)
        app.add_typer(group, name=name)


def init(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make a home: folders and keys (0600). What is there stays. Example: kampeky init"""
    from pipelines.workflows.init import init as make

    made = make(home_of(home))
    if as_json:
        write_json(made)
        return
    say(f"Home at {made['home']}: {len(made['keys_made'])} keys made, {len(made['keys'])} in all. Keep a copy of keys/ in a safe place.")


def simulate(out: Annotated[Path, typer.Argument(help="Folder to write into.")],
             members: Annotated[int, typer.Option(help="How many members.")] = 5000,
             days: Annotated[int, typer.Option(help="How many days of activity.")] = 60,
             seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
             end: Annotated[str | None, typer.Option(help="The last day. Default: yesterday.")] = None,
             truth: Annotated[bool, typer.Option("--truth", help="Also write truth/: what must become of it. For a few thousand members.")] = False,
             as_json: JsonOption = False) -> None:
    """Generate a small French marketplace. Example: kampeky simulate --members 5000 --days 60 --seed 7 --end 2026-01-31 source"""
    from datetime import timedelta

    from pipelines.foundation.dates import paris_day, parse_day
    from pipelines.workflows.simulate import simulate as generate

    made = generate(out, members, days, seed, parse_day(end) if end else paris_day(instant(None)) - timedelta(days=1), truth)
    if as_json:
        write_json(made)
    else:
        write_table(["dataset", "rows"], [list(row) for row in made.items()])


def ingest(source: Annotated[str | None, typer.Argument(help="The dataset, such as access_logs.")] = None,
           files: Annotated[list[str] | None, typer.Argument(
               help="Its files, folders, patterns in quotes ('logs/**/*.gz') or s3:// addresses.")] = None,
           everything: Annotated[bool, typer.Option("--all", help="Every dataset under the folder given with --from.")] = False,
           folder: Annotated[Path | None, typer.Option("--from", help="A folder with one sub-folder per dataset.")] = None,
           tables: Annotated[bool, typer.Option("--from-postgres", help="From the table that the contract names, new rows only.")] = False,
           whole: Annotated[bool, typer.Option("--whole", help="With --from-postgres: the table from its beginning.")] = False,
           home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Load files into the raw zone, each row checked. Example: kampeky ingest access_logs /var/log/access.log"""
    from pipelines.workflows.ingest import ingest_files, ingest_folder, ingest_tables

    fits = not (folder or files) if tables else (folder is not None) == everything and not whole
    if not fits or everything == (source is not None):
        raise Misuse("Write: kampeky ingest DATASET FILE…, or: kampeky ingest --all --from FOLDER, or for PostgreSQL: kampeky ingest "
                     "DATASET --from-postgres, or --all --from-postgres")
    at = instant(as_of)
    if tables:
        _write_balances(ingest_tables(home_of(home), source, at, whole), as_json)
        return
    done = ingest_folder(home_of(home), folder, at) if folder else ingest_files(home_of(home), str(source), files or [], at)
    _write_balances(done, as_json)


def build(purpose: Annotated[list[str] | None, typer.Option("--purpose", help="A purpose; may be repeated. Default: all.")] = None,
          member: Annotated[str | None, typer.Option("--explain", metavar="MEMBER", help="Build nothing; say for this member (- reads stdin) which "
                                                     "rule decides in each purpose.")] = None,
          begin_history: Annotated[bool, typer.Option("--begin-history", help="Count days anew that were kept of a mart and are lost for good.")
                                   ] = False,
          home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Gate, pseudonymise, run dbt, check and publish the marts. Example: kampeky build --purpose analytics"""
    from pipelines.workflows.build import build as build_marts

    if member is not None:
        from pipelines.workflows.explain import explain

        moment = instant(as_of)
        told = explain(home_of(home), value_or_stdin(member, "The member"), moment, purpose)
        if as_json:
            write_json(told)
        else:
            say(f"as of {moment:%Y-%m-%d %H:%M %Z}; a mart says with `from _build` of which day it is")
            if all(one["rule"] == "unknown_member" for one in told):
                say("Nobody has an account under this id: what follows is what becomes of rows that name it.")
            _write_explained(told)
        return
    done = build_marts(home_of(home), instant(as_of), purpose, begin_history)
    if as_json:
        write_json(done)
    else:
        _write_builds(done)


def run(folder: Annotated[Path, typer.Option("--from", help="A folder with one sub-folder per dataset.")],
        home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Ingest, build and retention in one go, as the DAGs do. Example: kampeky run --from source"""
    from pipelines.workflows.build import build as build_marts
    from pipelines.workflows.ingest import ingest_folder
    from pipelines.workflows.retention import apply, plan

    at, place = instant(as_of), home_of(home)
    loaded = ingest_folder(place, folder, at)
    built = build_marts(place, at)
    removed = apply(place, Path(plan(place, at)["plan"]))
    if as_json:
        write_json({"ingest": loaded, "build": built, "retention": removed})
        return
    _write_balances(loaded, False)
    _write_builds(built)
    _write_removed(removed)


def retention_plan(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Count what is due and keep the plan as a file. Nothing is deleted. Example: kampeky retention plan --as-of 2026-02-01"""
    from pipelines.workflows.retention import plan

    made = plan(home_of(home), instant(as_of))
    if as_json:
        write_json(made)
        return
    rows = [row for row in made["datasets"] if row["due"] or row["held"]]
    write_records(rows, ("zone", "dataset", "rule", "action", "due", "held"), f"Due on {made['as_of']} (would be deleted)")
    say(f"Plan: {made['plan']}\nTo carry it out: kampeky retention apply {made['plan']}")


def retention_apply(plan: Annotated[Path, typer.Argument(help="The plan file.")],
                    confirm: Annotated[str | None, typer.Option("--confirm", help="The plan's hash, where it deletes much of a dataset.")] = None,
                    home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Carry out a plan, physically, and rebuild the marts. Example: kampeky retention apply .kampeky/evidence/plans/PLAN.json"""
    from pipelines.workflows.retention import apply

    done = apply(home_of(home), plan, instant(None), confirm)
    if as_json:
        write_json(done)
    else:
        _write_removed(done)


def quarantine_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Rejected rows by dataset and reason. Example: kampeky quarantine list"""
    from pipelines.workflows.quarantine import list_reasons

    found = list_reasons(home_of(home))
    if as_json:
        write_json(found)
    else:
        write_records(found, ("dataset", "reason", "rows", "since"), "Quarantine")


ReasonOption = Annotated[str | None, typer.Option(help="Only rows that are set aside for this reason, as quarantine list names it.")]


def quarantine_write(dataset: Annotated[str, typer.Argument(help="The dataset.")], file: Annotated[Path, typer.Argument(help="A new file.")],
                     reason: ReasonOption = None, home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Write rejected rows as NDJSON, to be corrected by hand; it holds members' data. Example: kampeky quarantine write members mend.ndjson"""
    from pipelines.workflows.quarantine import write

    done = write(home_of(home), dataset, file, instant(as_of), reason)
    if as_json:
        write_json(done)
    else:
        say(f"{done['rows']} rows of {dataset} in {done['file']}. Correct them there (keep _row), then run: kampeky quarantine replay {dataset} "
            f"--from {done['file']}; then delete the file.")


def quarantine_replay(dataset: Annotated[str | None, typer.Argument(help="The dataset. Default: all.")] = None, reason: ReasonOption = None,
                      corrected: Annotated[Path | None, typer.Option("--from", help="A file from quarantine write, corrected.")] = None,
                      home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Check rejected rows again, under mended rules or as corrected; the good ones are loaded. Example: kampeky quarantine replay members"""
    from pipelines.workflows.quarantine import replay

    done = replay(home_of(home), dataset, instant(as_of), reason, corrected)
    if as_json:
        write_json(done)
    elif done:
        write_records(done, ("source", "replayed", "loaded", "quarantined", "refused", "already_known"))
    else:
        say("Nothing stands in quarantine.")


def contracts_check(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Check that policy and contracts are whole and fit together, and that every store has their shape. Example: kampeky contracts check"""
    from pipelines.workflows.contracts import check

    found = check(home_of(home), instant(as_of))
    if as_json:
        write_json(found)
    else:
        say(f"Policy {found['policy_version']}: {len(found['datasets'])} datasets, {found['columns']} columns, {len(found['purposes'])} purposes; "
            f"{found['stored_columns_compared']} stored columns compared. All fit.")


def contracts_docs(out: Annotated[Path | None, typer.Option(help="The folder to write below. Default: the project.")] = None,
                   only_check: Annotated[bool, typer.Option("--check", help="Write nothing; refuse (exit 3) what is stale.")] = False,
                   site_file: Annotated[Path | None, typer.Option("--site", help="Write dbt's documentation of all models as one file.")] = None,
                   as_json: JsonOption = False) -> None:
    """Write the pages that follow from the rules: datasets, purposes, marts, retention, recipients, schemas. Example: kampeky contracts docs"""
    from pipelines.workflows.contracts import docs, site

    if site_file:
        if out or only_check:
            raise Misuse("--site writes one file and no pages: leave --out and --check out.")
        done = site(site_file)
        if as_json:
            write_json(done)
        else:
            say(f"dbt's documentation stands in {done['site']}: one file, for any browser, without a network.")
        return
    made = docs(out, only_check)
    if as_json:
        write_json(made)
    else:
        say(f"{len(made['pages'])} pages below {made['folder']}: {len(made['written'])} written, {len(made['removed'])} removed; "
            "the others say what the rules say.")


def contracts_diff(old: Annotated[Path, typer.Argument(help="The folder of rules as they were.")],
                   new: Annotated[Path, typer.Argument(help="The folder of rules as they are to be.")],
                   fail_on: Annotated[str | None, typer.Option(help="Exit 3 on such a change: breaking, or members.")] = None,
                   as_json: JsonOption = False) -> None:
    """What changes between two sets of rules, and whom it concerns. Example: kampeky contracts diff before/data_contracts data_contracts"""
    from pipelines.workflows.contracts import diff

    found = diff(old, new, fail_on)
    counted = f"{len(found['changes'])} changes: {found['breaking']} break producers or consumers; members must be told of "
    counted += f"{found['members_to_be_told']} (C-9)"
    if as_json:
        write_json(found)
    elif found["changes"]:
        columns = ("where", "change", "before", "after", "for")
        write_records([row | {"for": ", ".join(row["for"]) or "none"} for row in found["changes"]], columns)
    if found["refused"]:
        raise Refused(f"{counted}.", f"--fail-on {fail_on}")
    if not as_json:
        say(f"{counted}." if found["changes"] else "No rule changes.")


def _write_balances(done: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        write_json(done)
        return
    write_records(done, BALANCE)
    for balance in done:
        if balance["reasons"]:
            say(f"{balance['source']}: " + ", ".join(f"{count:,} {reason}" for reason, count in balance["reasons"].items()))
        if any(reason.startswith("due_on_arrival") for reason in balance["reasons"]):
            say(f"{balance['source']}: due on arrival means that the retention period was over on the day of this run (C-10.0); "
                "to replay a past day, use --as-of.")


def _write_explained(told: list[dict[str, Any]]) -> None:
    """One block a purpose: the rule on the account, then each source."""
    for one in told:
        sys.stdout.write(f"\n{one['purpose']}: {'passes' if one['passes'] else 'out'} – {one['words']} ({one['rule']}, {one['clause']})\n")
        for source in one["sources"]:
            basis = source["basis"].replace("_", " ") + (f" {source['kind']}" if source["kind"] else "")
            others = "".join(f"; {count:,} {reason}" for reason, count in source["others"].items())
            sys.stdout.write(f"  {source['dataset']} ({basis}): {source['passed']:,} of {source['rows']:,} rows pass{others}\n")
            for decided in source["decided"]:
                on = f"device {decided['device']}: " if "device" in decided else ""
                when = f", decided on {decided['decided_on']}" if decided.get("decided_on") else ""
                sys.stdout.write(f"    {on}{decided['words']}{when} ({decided['rule']}, {decided['clause']})\n")


def _write_builds(done: list[dict[str, Any]]) -> None:
    for made in done:
        write_table(["members", "count"], [list(row) for row in made["members"].items()], f"{made['purpose']} as of {made['as_of'][:10]}")
        for mart, rows in made["marts"].items():
            say(f"published {made['purpose']}.{mart}: {rows:,} rows")
        if made["extracts_removed"]:
            say(f"extracts of {made['purpose']} that went, for they held who is out by now or rows that are due (C-10.4): "
                f"{made['extracts_removed']:,}")


def _write_removed(done: dict[str, Any]) -> None:
    write_records(done["datasets"], ("zone", "dataset", "rule", "action", "due", "held"), f"Deleted as of {done['as_of']}")
    say(f"{sum(row['due'] for row in done['datasets'] if row['action'] != 'archive'):,} deletions and emptied values, {done['left']} left; "
        f"marts rebuilt: {', '.join(done['rebuilt']) or 'none'}")
