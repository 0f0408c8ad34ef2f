"""DuckDB, opened one way: no silent downloads, spill files encrypted and under the home, errors without values.

The extensions come from their PyPI packages, which ship the signed binaries for exactly this DuckDB version; where a
package is missing, INSTALL fetches it (a machine with internet). This room is the only importer of duckdb.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from duckdb.func import PythonUDFType
from duckdb.sqltypes import BIGINT, BOOLEAN, VARCHAR

from pipelines.foundation.errors import KampekyError

Connection = duckdb.DuckDBPyConnection
Error = duckdb.Error
PROGRAMMING = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)  # a mistake of ours, no disk's and no file's
SPILLED = "spilled-"  # how the folders begin into which connections spill; the engine makes and removes them
EXTENSIONS = ("httpfs", "ducklake")  # httpfs: without it DuckDB refuses to write encrypted files


def connect(tmp: Path, extensions: Sequence[str] = EXTENSIONS, database: str = ":memory:", read_only: bool = False) -> Connection:
    """A connection in the time zone of the policy (C-10.0), spilling encrypted into a folder of its own under `tmp`: with what another process, or
    one that was killed, spilled beside, DuckDB would refuse to encrypt."""
    known = bool(extensions) and all(_identity(extension_binary(name)) in _checked for name in extensions)
    connection = duckdb.connect(database, read_only=read_only, config={
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "allow_unsigned_extensions": str(known).lower(),
        "temp_directory": str(tmp / f"{SPILLED}{os.getpid()}-{secrets.token_hex(4)}")})
    connection.execute("set temp_file_encryption = true; set enable_progress_bar = false; set timezone = 'Europe/Paris'")
    for name in extensions:
        load_extension(connection, name)
    if os.environ.get("KAMPEKY_MEMORY"):  # such as 2GB: slower, and what does not fit is spilled
        connection.execute("set memory_limit = $1", [os.environ["KAMPEKY_MEMORY"]])
    connection.execute("set allow_unsigned_extensions = false")  # and never to be turned on again
    if "ducklake" in extensions:
        # a retried delete corrupts a table without a word (upstream issues 1094, 1215): the caller retries, under a lock
        connection.execute("set ducklake_max_retry_count = 0")
    return connection


def has_table(connection: Connection, database: str, table: str, schema: str = "main") -> bool:
    """Whether an attached database has that table."""
    try:
        connection.execute(f"select 1 from {quote_name(database)}.{quote_name(schema)}.{quote_name(table)} limit 0")
    except duckdb.CatalogException:
        return False
    return True


def text_predicate(connection: Connection, name: str, ask: Callable[[str], bool]) -> None:
    """Let SQL ask `name(text)` of a Python function, about each text of a vector once; null for null. What the function raises is answered
    no: its text could quote a value."""
    _text_function(connection, name, lambda text: _asked(ask, text), BOOLEAN)


def text_number(connection: Connection, name: str, tell: Callable[[str], int]) -> None:
    """Let SQL call `name(text)`, a number that a Python function gives each text of a vector once; null for null. `tell` raises nothing. (A text
    as an answer is not safe in DuckDB 1.5: under `coalesce` it was read after Arrow had let go of it.)"""
    _text_function(connection, name, tell, BIGINT)


def _text_function(connection: Connection, name: str, answer: Callable[[str], Any], kind: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    arrow = pa.bool_() if kind == BOOLEAN else pa.int64()

    def answers(texts: Any) -> Any:
        whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        coded = whole.dictionary_encode()
        return pc.take(pa.array([answer(text) for text in coded.dictionary.to_pylist()], arrow), coded.indices)

    with suppress(duckdb.Error):  # of an earlier contract on this connection
        connection.remove_function(name)
    connection.create_function(name, answers, [VARCHAR], kind, type=PythonUDFType.ARROW)


def _asked(ask: Callable[[str], bool], text: str) -> bool:
    try:
        return bool(ask(text))
    except Exception:
        return False


def temporary_folder(connection: Connection) -> Path:
    """Where files of the connection's own may stand for a while: under the home, beside the folder into which it spills."""
    row = connection.execute("select current_setting('temp_directory')").fetchone()
    return Path(str(row[0] if row else "")).parent


# Binaries whose signature DuckDB checked for this process. That takes nearly all of the time of loading one (0.1 s for 30 MB), so it is done once: a
# file that is still the same one is mapped into the process already
_checked: set[tuple[int, ...]] = set()


def _identity(binary: Path | None) -> tuple[int, ...]:
    """What changes when a file is written or replaced; of no file what no file has."""
    if binary is None:
        return ()
    found = binary.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def load_extension(connection: Connection, name: str) -> None:
    """Load one extension: from its package, else from where INSTALL puts it."""
    binary = extension_binary(name)
    try:
        if binary is not None:
            seen = _identity(binary)
            connection.execute(f"load {quote_text(str(binary))}")
            if not connection.execute("select current_setting('allow_unsigned_extensions')").fetchall()[0][0]:
                _checked.add(seen)
            elif seen not in _checked or _identity(binary) != seen:  # it was changed while it was loaded
                raise duckdb.IOException(name)
        else:
            connection.execute(f"install {name}; load {name}")
    except duckdb.Error:
        raise KampekyError(f"DuckDB's extension '{name}' is not installed. Install the project's requirements again: "
                           f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}") from None


@cache
def extension_binary(name: str) -> Path | None:
    """The signed binary inside the PyPI package of that extension, if installed for this DuckDB version."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return binary if binary.is_file() else None


def extension_directory(folder: Path, extensions: Sequence[str] = EXTENSIONS) -> Path:
    """A folder in which a plain `LOAD name` finds the packaged extensions (dbt opens DuckDB by itself)."""
    probe = duckdb.connect()
    row = probe.execute("pragma platform").fetchone()
    probe.close()
    here = folder / f"v{duckdb.__version__}" / str(row[0] if row else "")
    here.mkdir(parents=True, exist_ok=True)
    for name in extensions:
        binary, link = extension_binary(name), here / f"{name}.duckdb_extension"
        if binary is not None and not link.exists():
            link.symlink_to(binary)
    return folder


def kinds_of_statements(connection: Connection, text: str) -> list[str]:
    """The kind of each SQL statement that a text holds, such as SELECT or COPY; raises Error where it does not parse."""
    return [statement.type.name for statement in connection.extract_statements(text)]


def is_query(connection: Connection, text: str) -> bool:
    """Whether the one statement of a text reads and does nothing else: a select, or the explanation of one. `explain analyze` runs what it explains,
    and DuckDB names only the outer kind, so what stands after these two words is asked for by itself. One table function of a select writes: logs."""
    if "enable_logging" in text.lower():
        return False
    kinds = kinds_of_statements(connection, text)
    explained = re.match(r"\s*explain(\s+analyze)?\s", text, re.IGNORECASE)
    if kinds == ["EXPLAIN"] and explained:
        return kinds_of_statements(connection, text[explained.end():]) == ["SELECT"]
    return kinds == ["SELECT"]


def version() -> str:
    """Of DuckDB."""
    return duckdb.__version__


def quote_text(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
