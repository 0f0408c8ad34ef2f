"""`kampeky`: the command line.

Each command says what it does, takes its dates as options and ends with an exit code that means something: 0 done, 1 failed,
2 misuse, 3 refused by a rule. No traceback without --debug: a person gets one sentence.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from pipelines.cli import backups, data, desk, disclose, keys, marts
from pipelines.foundation.errors import KampekyError

INTERRUPTED = 130
app = typer.Typer(name="kampeky", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Pseudonymised profiles, provable deletion and members' rights for a marketplace's data. --debug shows tracebacks.")
for commands in (data, marts, desk, disclose, keys, backups):
    commands.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _speak(debug)
    try:
        ended = app([a for a in given if a != "--debug"], standalone_mode=False)
        code = ended if isinstance(ended, int) else 0
        if code == INTERRUPTED:  # Typer takes Ctrl-C for an exit with this code
            sys.stderr.write("kampeky: stopped\n")
    except KampekyError as error:
        code = _end(str(error), error.exit_code, debug)
    except typer.Exit as stop:  # --help, or a command that chose its code
        code = stop.exit_code
    except typer._click.exceptions.ClickException as error:
        code = _end(error.format_message() + " See: kampeky --help", 2, debug)
    except (KeyboardInterrupt, typer.Abort):
        code = _end("stopped", INTERRUPTED, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _end(f"{error.filename or 'A file'}: {error.strerror or 'input or output failed'}.", 1, debug)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # so DuckDB ends a statement on Ctrl-C
            sys.exit(_end("stopped", INTERRUPTED, debug))
        if type(error).__name__ in ("IOException", "OutOfMemoryException"):  # of DuckDB, which is not loaded for its name
            sys.exit(_end("A store could not be read or written. Is the disk full, or was a file taken away? Make room, then run "
                          "the command again: it finishes what was begun, or begins anew.", 1, debug))
        # its text may hold a row's values
        code = _end(f"Unexpected failure ({type(error).__name__}). Run the command again with --debug and report what it prints.", 1, debug)
    sys.exit(code)


def _end(sentence: str, code: int, debug: bool) -> int:
    if debug:
        raise  # noqa: PLE0704 - called while handling
    sys.stderr.write(f"kampeky: {sentence}\n")
    return code


def _speak(debug: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("kampeky: %(message)s"))
    log = logging.getLogger("kampeky")
    log.handlers.clear()
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.INFO)


if __name__ == "__main__":
    main()
