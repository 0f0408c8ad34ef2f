"""Files that are either there whole or not there: write beside, sync, rename, sync the folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    data = content.encode() if isinstance(content, str) else content
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        put_in_place(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def put_in_place(made: Path, target: Path) -> None:
    """Rename a finished file over `target` after both file and folder are safe on disk."""
    sync(made)
    os.replace(made, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
