"""One shared/exclusive file lock per store, taken before the store is opened.

A DuckDB-file catalog refuses a second process, and two deleting writers corrupt a DuckLake without a word: writers
are alone, readers share. Who waits says for whom: the holder writes its command and process id into the lock file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.foundation.errors import Unavailable
from pipelines.foundation.home import Home

log = logging.getLogger("kampeky")
PATIENCE_SECONDS = 600


@contextmanager
def locked(home: Home, store: str, why: str, exclusive: bool = True, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of `store` ('raw', 'vault', 'pseudonymised-analytics', …); `why` is a command's name, nothing personal."""
    path = home.locks / f"{store}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(handle, store, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{why} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, store: str, kind: int, patience: float) -> None:
    until, told = time.monotonic() + patience, False
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
            if not told:
                log.info("waiting for %s, which holds %s", holder, store)
                told = True
            if time.monotonic() > until:
                raise Unavailable(f"{store} is in use by {holder}. Wait for it to end, then try again.") from None
            time.sleep(0.05)
