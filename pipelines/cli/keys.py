"""Commands of whoever keeps the home: keys list, role, rotate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import AsOfOption, HomeOption, JsonOption, home_of, instant
from pipelines.cli.output import say, write_json, write_records


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The keys of the home.", no_args_is_help=True, rich_markup_mode=None)
    for word, command in (("list", keys_list), ("role", keys_role), ("rotate", keys_rotate)):
        group.command(word)(command)
    app.add_typer(group, name="keys")


def keys_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Which keys there are and where each comes from; never a key itself. Example: kampeky keys list"""
    from pipelines.workflows.keys import list_keys

    found = list_keys(home_of(home))
    if as_json:
        write_json(found)
    else:
        write_records(found, ("key", "from"), "Keys")


def keys_role(role: Annotated[str, typer.Argument(help="A role of the policy, such as marketing.")],
              to: Annotated[Path, typer.Option("--to", help="The new file, readable by its owner only.")],
              home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Write the file of a role: its keys and no others; KAMPEKY_ROLE_FILE names it. Example: kampeky keys role marketing --to marketing.role"""
    from pipelines.workflows.keys import write_role

    made = write_role(home_of(home), role, to, instant(as_of))
    if as_json:
        write_json(made)
        return
    reads = f"reads the marts of {', '.join(made['reads'])} and nothing else" if made["reads"] else "reads no mart"
    say(f"{made['file']} holds {', '.join(made['keys']) or 'no key'}. With it a person {reads}: "
        f"export KAMPEKY_ROLE_FILE={made['file']}")


def keys_rotate(purpose: Annotated[str, typer.Argument(help="Whose secret and keys are made anew.")],
                replaced: Annotated[bool, typer.Option("--replaced", help="Those from the environment or a command were made anew there.")] = False,
                home: HomeOption = None, as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """New keys for a purpose; its zone and marts are made anew under other pseudonyms. Example: kampeky keys rotate analytics"""
    from pipelines.workflows.keys import rotate

    done = rotate(home_of(home), purpose, instant(as_of), replaced)
    if as_json:
        write_json(done)
        return
    made = "Zone and marts were made anew." if done["build"] else "There was nothing to build yet."
    say(f"{', '.join(done['keys'])} are new. {made} Keep a copy of keys/ in a safe place, and destroy the copies of the old ones.")
    for role in done["role_files_to_renew"]:
        say(f"The role file of {role} opens nothing any more: kampeky keys role {role} --to FILE")
