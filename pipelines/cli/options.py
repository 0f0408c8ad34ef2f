"""Options that many commands share, and the only place that reads the clock."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.foundation.dates import PARIS, parse_as_of
from pipelines.foundation.errors import Misuse
from pipelines.foundation.home import Home, resolve_home

HomeOption = Annotated[Path | None, typer.Option("--home", help="The home folder. Default: KAMPEKY_HOME, else ./.kampeky.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="A day (midnight in Paris) or an RFC 3339 time. Default: now.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def home_of(given: Path | None) -> Home:
    return resolve_home(given)


def instant(given: str | None) -> datetime:
    """The instant that a command works for."""
    return datetime.now(PARIS) if given is None else parse_as_of(given)


def value_or_stdin(given: str, what: str) -> str:
    """The value itself, or the first line of stdin for '-', so that it stands in no process list."""
    value = sys.stdin.readline().strip() if given == "-" else given
    if not value:
        raise Misuse(f"{what} is empty.")
    return value


def lines_or_stdin(given: Path, what: str) -> list[str]:
    """The lines of a file, or of stdin for '-', without empty ones."""
    if str(given) != "-" and not given.is_file():
        raise Misuse(f"{given}: there is no such file.")
    try:
        # what spreadsheets put before the first letter of a file (a byte order mark) is none
        text = sys.stdin.read().removeprefix("\ufeff") if str(given) == "-" else given.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Misuse(f"{given} is no text in UTF-8.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise Misuse(f"{what} holds no line.")
    return lines


def operator(given: str | None) -> str:
    """Who acts: named by an option, else the user of this machine; '' if nobody knows."""
    from getpass import getuser

    try:
        return given or getuser()
    except (OSError, KeyError):  # a container without users
        return ""
