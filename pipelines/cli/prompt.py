"""The prompt of `kampeky sql`: statements over the marts of one purpose, one after another.

A statement may have many lines and ends with `;`. Each is a reading of its own, of the mart that is published at that moment. What was typed is
remembered under the home, its answers never, nor a statement that could name somebody: one with a pseudonym in it, or over marts that name persons.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from pipelines.cli.output import cell, say
from pipelines.foundation.errors import KampekyError
from pipelines.foundation.home import Home
from pipelines.workflows.sql import MartColumn, columns, published, sql

SHOWN = 200  # rows of an answer
WORDS = ("select", "from", "where", "group by", "group by all", "having", "order by", "order by all", "limit", "join", "left join", "using",
         "count(*)", "count(distinct", "avg(", "sum(", "median(", "round(", "case when", "then", "else", "end", "and", "or", "not", "is null",
         "between", "in", "like", "as", "desc", "distinct", "with", "union all", "describe", "summarize", "explain")
COMMANDS = {".tables": "the marts, and what a row of each is", ".schema [MART]": "columns with their types and descriptions", ".help": "these words",
            ".quit": "leave (also Ctrl-D)"}
_PERSON = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")  # a pseudonym, as a mart shows one
_TEXTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


def run(home: Home, purpose: str, identified: bool) -> None:
    """Answer statements until the end of input: with a prompt where a person types, and without one where they come from a file or a pipe."""
    catalog = Catalog(home, purpose)
    catalog.read()  # a mart that is not published is said at once
    if not sys.stdin.isatty():
        for statement in statements(sys.stdin):
            if _leaves(statement):
                return
            answer(home, purpose, statement, catalog)
        return
    say(f"Marts of {purpose}, read-only. End a statement with ; and see .help for the rest.")
    session: PromptSession[str] = PromptSession(history=history(home, purpose, identified), completer=Words(catalog), multiline=True,
                                                complete_while_typing=False, key_bindings=_keys(), prompt_continuation=_continued)
    while True:
        try:
            typed = session.prompt(f"{purpose}> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if _leaves(typed):
            return
        if typed:
            _answered(home, purpose, typed, catalog)


def finished(text: str) -> bool:
    """Whether Enter ends what was typed: a dot command, nothing at all, or a statement that ends with `;` outside quotes and comments."""
    bare = _TEXTS.sub(lambda found: "" if found[0][0] in "-/" else "''", text).strip()
    return not bare or bare.startswith(".") or (bare.endswith(";") and bare.replace("''", "").count("'") == 0)


def statements(lines: Iterable[str]) -> Iterator[str]:
    """The statements of a file, each whole; what stands behind the last `;` is one, too."""
    kept = ""
    for line in lines:
        kept += line
        if finished(kept):
            if kept.strip():
                yield kept.strip()
            kept = ""
    if kept.strip():
        yield kept.strip()


def answer(home: Home, purpose: str, typed: str, catalog: Catalog) -> None:
    """Write the answer to one statement or dot command."""
    if typed.startswith("."):
        _command(typed.rstrip(";").split(), catalog)
        return
    begun = time.monotonic()
    names, rows = sql(home, purpose, typed, SHOWN + 1)
    more = len(rows) > SHOWN
    write_pretty(names, rows[:SHOWN])
    counted = f"the first {SHOWN} rows; write them all with: kampeky sql {purpose} QUERY --csv FILE" if more else \
        f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
    say(f"{counted} ({time.monotonic() - begun:.2f} s)")


def write_pretty(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table as wide as the terminal, its long cells broken; of values nothing but printable signs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 10_000
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold" if sys.stdout.isatty() else "")
    numeric = [all(isinstance(row[i], int | float) or row[i] is None for row in rows) and bool(rows) for i in range(len(names))]
    for name, right in zip(names, numeric, strict=True):
        table.add_column(Text(cell(name)), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False).print(table)


class Catalog:
    """The marts that are published now with their columns: read again when a build has put others in their place."""

    def __init__(self, home: Home, purpose: str) -> None:
        self.home, self.purpose = home, purpose
        self._seen: object = None
        self._columns: list[MartColumn] = []

    def read(self) -> list[MartColumn]:
        now = published(self.home, self.purpose)
        if now is None or now != self._seen:
            self._columns = columns(self.home, self.purpose)
            self._seen = now
        return self._columns

    def marts(self) -> dict[str, str]:
        """Mart → what a row of it is."""
        return {column.mart: column.mart_description for column in self.read()}


class Words(Completer):
    """Completes marts, columns (behind `mart.` that mart's alone), SQL words, and dot commands."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        word = re.search(r"[\w.]*$", before)
        begun = word[0] if word else ""
        if before.lstrip().startswith(".") and " " not in before.strip():
            yield from (Completion(known, start_position=-len(before.lstrip())) for known in (c.split(" ")[0] for c in COMMANDS)
                        if known.startswith(before.lstrip()))
            return
        try:
            known = self._catalog.read()
        except KampekyError:
            known = []
        mart, dot, rest = begun.rpartition(".")
        for text, kind in self._found(known, mart if dot else None):
            if text.startswith(rest.lower()):
                yield Completion(text, start_position=-len(rest), display_meta=kind)

    @staticmethod
    def _found(known: Sequence[MartColumn], mart: str | None) -> list[tuple[str, str]]:
        if mart is not None:
            own = [column for column in known if column.mart == mart] or known  # an alias may stand for any mart
            return list(dict.fromkeys((column.name, column.type) for column in own))
        marts = dict.fromkeys((column.mart, "mart") for column in known)
        return [*marts, *dict.fromkeys((column.name, column.type) for column in known), *((word, "") for word in WORDS)]


def history(home: Home, purpose: str, identified: bool) -> History:
    """What was typed before, and where it is kept: for the owner alone, and not at all for marts that name persons."""
    if identified:
        return InMemoryHistory()
    home.history.mkdir(mode=0o700, exist_ok=True)
    path = home.history / purpose
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    path.chmod(0o600)
    return Statements(path)


class Statements(FileHistory):
    """Keeps statements, but no dot commands and none that names somebody."""

    def store_string(self, string: str) -> None:
        if not string.startswith(".") and not _PERSON.search(string):
            super().store_string(string)


def _answered(home: Home, purpose: str, typed: str, catalog: Catalog) -> None:
    """Answer; a mistake is said, and the prompt goes on."""
    try:
        answer(home, purpose, typed, catalog)
    except KampekyError as error:
        say(f"kampeky: {error}")
    except KeyboardInterrupt:
        say("stopped")


def _command(words: list[str], catalog: Catalog) -> None:
    match words:
        case [".tables"]:
            write_pretty(["mart", "a row is"], list(catalog.marts().items()))
        case [".schema", *marts] if len(marts) < 2:
            found = [column for column in catalog.read() if not marts or column.mart == marts[0].lower()]
            if not found:
                say(f"There is no mart '{cell(marts[0])}'. Marts: {', '.join(catalog.marts())}.")
            write_pretty(["mart", "column", "type", "description"], [(c.mart, c.name, c.type, c.description) for c in found])
        case [".help"]:
            for name, does in COMMANDS.items():
                say(f"  {name:<16}{does}")
            say("  Anything else is SQL and ends with ; over one or many lines. Tab completes marts and columns.")
        case _:
            say(f"'{cell(words[0])}' is no command of this prompt. See .help")


def _leaves(typed: str) -> bool:
    return typed.rstrip(";").strip() in (".quit", ".exit")


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if finished(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings


def _continued(width: int, _line: int, _wrapped: object) -> str:
    return "…> ".rjust(width)
