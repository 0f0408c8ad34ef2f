"""What changes in the legal archives between two policies, and of what members are told (C-9, C-10.8).

A candidate that is off keeps nobody's data, so whatever changes in it concerns nobody until it is turned on.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.foundation.dates import compare_periods
from pipelines.policy.changes import MEMBERS, Change
from pipelines.policy.types import LegalArchive, Policy


def archive_changes(old: Policy, new: Policy) -> Iterator[Change]:
    """Every change of a rule of `legal_archive`: members are told of what is kept longer, of more of it, and of a law that is another one."""
    for name in dict.fromkeys([*old.legal_archive, *new.legal_archive]):
        yield from _rule(f"policy: legal_archive.{name}", old.legal_archive.get(name), new.legal_archive.get(name))


def _rule(where: str, old: LegalArchive | None, new: LegalArchive | None) -> Iterator[Change]:
    was, now = old is not None and old.on, new is not None and new.on
    if was != now:
        yield Change(where, "turned on" if now else "turned off", _told(old), _told(new), (MEMBERS,) if now else ())
        return
    if not (old and new):
        yield Change(where, "candidate added" if new else "candidate removed", _told(old), _told(new), ())
        return
    told = (MEMBERS,) if now else ()
    if old.dataset != new.dataset:
        yield Change(where, "another dataset", old.dataset, new.dataset, told)
    if old.law != new.law:
        yield Change(where, "another law", old.law, new.law, told)
    for column in (column for column in new.columns if column not in old.columns):
        yield Change(f"{where}.columns", "added", "", column, told)
    for column in (column for column in old.columns if column not in new.columns):
        yield Change(f"{where}.columns", "removed", column, "", ())
    verdict = compare_periods([old.period], [new.period])
    if verdict != "same":
        yield Change(where, verdict, str(old.period), str(new.period), told if verdict == "longer" else ())


def _told(rule: LegalArchive | None) -> str:
    return "" if rule is None else f"{rule.dataset} for {rule.period}: {', '.join(rule.columns)}"
