"""Where inputs lie: files, globs, folders and s3:// addresses, all of them found before any is read.

An object of a store is copied below the home's temporary folder first (0600, gone after the run), because a file is known by its
content and so is read more than once. The secret of the store comes from the environment, goes into one connection's memory and
into no message.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text
from pipelines.foundation.errors import Misuse, Unavailable
from pipelines.foundation.files import remove
from pipelines.foundation.home import Home

S3 = "s3://"
LARGEST = 2 << 30  # DuckDB holds an object in memory while it copies it
_PATTERN = "*?["


def expand(words: Sequence[str | Path]) -> list[Path]:
    """The local files that are meant, in order: a file itself, what a pattern matches (`**` any folders), all files below a folder.
    Hidden ones are skipped unless named."""
    found: list[Path] = []
    for word in map(str, words):
        path = Path(word)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts))
            if not below:
                raise Misuse(f"{path} is a folder without any file in it.")
            found += below
        elif any(mark in word for mark in _PATTERN) and not path.exists():
            matching = [Path(name) for name in sorted(glob.glob(word, recursive=True)) if Path(name).is_file()]  # noqa: PTH207 - takes ../ and /
            if not matching:
                raise Misuse(f"{word} matches no file. In a shell, write patterns with ** in quotes.")
            found += matching
        else:
            found.append(path)
    return found


@dataclass(frozen=True)
class Store:
    """How an S3 store is reached, from KAMPEKY_S3_* or else AWS_*."""

    endpoint: str
    tls: bool
    region: str
    key_id: str
    secret: str
    token: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Store:
        def first(*names: str) -> str:
            return next((environment[name] for name in names if environment.get(name)), "")

        key_id, secret = first("KAMPEKY_S3_KEY_ID", "AWS_ACCESS_KEY_ID"), first("KAMPEKY_S3_SECRET", "AWS_SECRET_ACCESS_KEY")
        address = first("KAMPEKY_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        needed = {"KAMPEKY_S3_ENDPOINT": address, "KAMPEKY_S3_KEY_ID": key_id, "KAMPEKY_S3_SECRET": secret}
        lacking = [name for name, given in needed.items() if not given]
        if lacking:
            raise Misuse(f"To read from {S3} set {', '.join(lacking)} in the environment (or the AWS_ names for them). The endpoint is named, such "
                         "as https://s3.eu-west-3.amazonaws.com, so that nobody else is ever asked.")
        parts = urlsplit(address if "://" in address else f"https://{address}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.username:
            raise Misuse("KAMPEKY_S3_ENDPOINT is no address such as https://s3.eu-west-3.amazonaws.com.")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise Misuse("KAMPEKY_S3_ENDPOINT is not encrypted (http://), so personal data would travel in clear. Use https://.")
        return cls(parts.netloc, parts.scheme == "https", first("KAMPEKY_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
                   key_id, secret, first("KAMPEKY_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"))


@contextmanager
def gathered(home: Home, words: Sequence[str | Path], environment: Mapping[str, str]) -> Iterator[list[tuple[Path, str]]]:
    """(path, name) of each file that `words` mean; the path of an object from a store is that of its copy, until the block ends."""
    remote = [str(word) for word in words if str(word).startswith(S3)]
    if not remote:
        yield _local(home, words)
        return
    with _folder(home) as folder:
        connection = engine.connect(home.tmp, extensions=("httpfs",))
        try:
            _open(connection, Store.of(environment))
            found: list[tuple[Path, str]] = []
            for word in map(str, words):
                found += _fetched(connection, word, folder) if word in remote else _local(home, [word])
        finally:
            connection.close()
        yield found


def _local(home: Home, words: Sequence[str | Path]) -> list[tuple[Path, str]]:
    found = expand(words)
    for path in found:
        if path.resolve().is_relative_to(home.root.resolve()):
            raise Misuse(f"{path} lies in the home, whose files are nobody's input. Name the files that were delivered.")
    return [(path, str(path)) for path in found]


def _open(connection: Connection, store: Store) -> None:
    given = {"key_id": store.key_id, "secret": store.secret, "region": store.region, "endpoint": store.endpoint, "url_style": "path",
             **({"session_token": store.token} if store.token else {})}
    options = ", ".join(f"{name} {quote_text(value)}" for name, value in given.items())
    try:
        connection.execute("set http_timeout = 30; set http_retries = 2")
        connection.execute(f"create temporary secret store (type s3, provider config, {options}, use_ssl {str(store.tls).lower()})")
    except engine.Error:  # its text quotes the statement
        raise Misuse("The S3 settings in the environment cannot be used. Look at KAMPEKY_S3_ENDPOINT and KAMPEKY_S3_REGION.") from None


def _fetched(connection: Connection, address: str, folder: Path) -> list[tuple[Path, str]]:
    """A copy of each object that the address means: a key, a pattern, or everything below a key that ends with a slash."""
    bucket, _, key = address.removeprefix(S3).partition("/")
    if not bucket or any(mark in bucket for mark in _PATTERN):
        raise Misuse(f"{address} names no bucket. Write s3://bucket/key, s3://bucket/folder/ or s3://bucket/folder/*.gz.")
    pattern = any(mark in key for mark in _PATTERN) or key.endswith("/") or not key
    wanted = address.rstrip("/") + "/**" if pattern and not any(mark in key for mark in _PATTERN) else address
    names = [address]
    if pattern:
        names = [row[0] for row in _ask(connection, address, f"select file from glob({quote_text(wanted)}) order by file")]
        names = [name for name in names if not name.endswith("/") and not any(part.startswith(".") for part in name.split("/"))]
        if not names:
            raise Misuse(f"{address} matches no object.")
    return [(_copied(connection, name, folder / f"{n:06}-{secrets.token_hex(4)}"), name) for n, name in enumerate(names)]


def _copied(connection: Connection, name: str, path: Path) -> Path:
    exactly = quote_text("".join(f"[{c}]" if c in _PATTERN else c for c in name))
    for (size,) in _ask(connection, name, f"select size from read_blob({exactly})"):
        if size > LARGEST:
            raise Misuse(f"{name} is larger than {LARGEST >> 30} GiB. Fetch it to a disk first, then name the file.")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    _ask(connection, name, f"copy (select content from read_blob({exactly})) to {quote_text(str(path))} (format blob, use_tmp_file false)")
    path.chmod(0o600)
    return path


def _ask(connection: Connection, name: str, sql: str) -> list[tuple]:
    try:
        return connection.execute(sql).fetchall()
    except engine.Error as error:
        text = str(error)
        if "404" in text:
            raise Misuse(f"{name}: there is no such object or bucket.") from None
        if "403" in text or "401" in text:
            raise Unavailable(f"{name} may not be read: the store refuses the key, or the key has no right to it. Look at KAMPEKY_S3_KEY_ID and "
                              "KAMPEKY_S3_SECRET.") from None
        raise Unavailable(f"{name} cannot be read: the store does not answer, or broke off. Look at KAMPEKY_S3_ENDPOINT, then run it again; "
                          "nothing was loaded.") from None


@contextmanager
def _folder(home: Home) -> Iterator[Path]:
    """A folder of this run's own below the home's temporary one; those that killed runs left are removed first."""
    for left in home.require().tmp.glob("inputs-*"):
        with _held(left) as free:
            if free:
                remove(left)
    folder = home.tmp / f"inputs-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        with _held(folder):
            yield folder
    finally:
        remove(folder)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds the folder; while the block runs, this process does. A killed one holds nothing."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
