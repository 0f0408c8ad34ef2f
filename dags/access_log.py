"""The last day of an access log, because the demo's dates follow the log that it is given. Reads; changes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError
from pipelines.sources.access_log import LINE
from pipelines.sources.files import check_readable, fingerprint, uncompressed

LONGEST_LINE = 1 << 16
_LINE = re.compile(LINE)


@dataclass(frozen=True)
class Log:
    """A log that was read to its end: the fingerprint of its content, and its last day (Europe/Paris)."""

    path: Path
    fingerprint: str
    last_day: date


def look_at(path: Path) -> Log:
    """Read `path`, compressed or not; KampekyError if it is missing, unreadable, damaged, or holds no access-log line."""
    check_readable(path)
    last = None
    with uncompressed(path) as lines:
        while line := lines.readline(LONGEST_LINE):
            # Not the last line's: a server writes a line when its request ends, and logs are put together by hand.
            day = _day(line)
            if day and (last is None or day > last):
                last = day
    if last is None:
        raise KampekyError(f"{path} holds no line of an access log. Expected lines such as: "
                           '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 512 "-" "Mozilla/5.0"')
    return Log(path, fingerprint(path), last)


def _day(line: bytes) -> date | None:
    try:
        found = _LINE.match(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        return None
    return _paris_day(found[3][:17], found[3][20:]) if found else None


@lru_cache(1024)
def _paris_day(minute: str, offset: str) -> date | None:
    """The day of `17/May/2015:10:05` at an offset such as ` +0200`; None where it is no time, or none that days can be added to."""
    try:
        day = paris_day(datetime.strptime(minute + offset, "%d/%b/%Y:%H:%M %z"))
    except (ValueError, OverflowError):
        return None
    return day if day.year < 9999 else None
