"""Commands of whoever keeps the home: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant
from pipelines.cli.output import say, write_json, write_records
from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Copy stores and evidence into one file under a key of its own, for as long as the policy says. Example: kampeky backup"""
    from pipelines.workflows.backup import make

    made = make(home_of(home), instant(as_of), instant(None))
    if as_json:
        write_json(made)
        return
    write_records([made], ("backup", "file", "expires_on", "bytes"))
    say(f"It ends on {made['expires_on']} with the retention of that day. Keep copies of its three files together, and of keys/ apart from them; a "
        "copy elsewhere is yours to destroy by then.")


def restore(file: Annotated[Path | None, typer.Argument(help="The backup: backups/NAME.age, its other files beside it.")] = None,
            key: Annotated[Path | None, typer.Option("--key", help="The backup's key file. Default: keys/backup_NAME.key of the home.")] = None,
            keys_of: Annotated[Path | None, typer.Option("--keys-of", help="A home whose keys the restored one has. Default: its own keys/.")] = None,
            resume: Annotated[bool, typer.Option("--resume", help="Go on with one that was stopped while it cleared the home.")] = False,
            home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make a home from a backup, without what was erased since. Example: kampeky restore backups/B-0123456789ab.age --home new"""
    from pipelines.workflows import restore as workflow

    if resume == (file is not None):
        raise Misuse("Name the backup's file: kampeky restore FILE --home FOLDER; or go on with one that was stopped: kampeky restore --resume "
                     "--home FOLDER.")
    where, now = home_of(home), instant(None)
    done = (workflow.restore(where, file, now, key, Home(keys_of.absolute()) if keys_of else None) if file else workflow.resume(where, now))
    if as_json:
        write_json(done)
        return
    say(f"{done['home']} is as {done['backup']} has it" + (f"; what was erased since went again ({done['erased']})" if done["erased"] else "")
        + f"; {done['retention']['removed']:,} rows were due by now and went.")
    if done["retention"]["waits"]:
        say(f"So much is due that it waits for a person: kampeky retention apply {done['retention']['waits']}")
    if done["missing"]:
        say(f"Requests that came after the backup are not in it; open them again: {', '.join(done['missing'])}")
    say("Load again what came since, place holds, objections and restrictions of that time again, then run: kampeky build")
