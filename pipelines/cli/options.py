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
