"""policy.yaml, `legal_archive` → what a law may oblige the controller to keep beyond every other rule, and nothing of it unless counsel decided so
(C-10.8).

A candidate is checked like a rule that is on: who turns it on only says who decided it and when.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from pipelines.foundation.dates import compare_periods
from pipelines.foundation.errors import Refused
from pipelines.policy import floors
from pipelines.policy.contract_types import Contract
from pipelines.policy.documents import Reader
from pipelines.policy.types import LegalArchive, Policy, Purpose

CLAUSE = "C-10.8"
ARCHIVED_ON, ENDS_ON = "archived_on", "ends_on"  # what an archive adds to a record's own columns
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def load_archives(top: Reader, purposes: Mapping[str, Purpose]) -> Mapping[str, LegalArchive]:
    """The candidates, each with whether it is on. A policy that names none archives nothing."""
    entries = top.each("legal_archive") if top.get("legal_archive") is not None else ()
    return MappingProxyType({name: _archive(name, entry, purposes) for name, entry in entries})


def _archive(name: str, entry: Reader, purposes: Mapping[str, Purpose]) -> LegalArchive:
    if not _NAME.fullmatch(name) or name in purposes:
        raise _refused(entry.where, f"'{name}' names a folder and a key: small letters, digits and _, and not what a purpose is called.")
    entry.only(("clause", "law", "dataset", "columns", "period", "on", "decided"))
    if entry.text("clause") != CLAUSE:
        raise _refused(entry.where, f"its clause is {CLAUSE}.")
    on, decided = entry.get("on"), entry.get("decided")
    if not isinstance(on, bool):
        raise _refused(entry.where, "'on' is missing or no yes or no: write on: false, or on: true with who decided it and when.")
    if decided is not None and not (isinstance(decided, str) and decided.strip()):
        raise _refused(entry.where, "'decided' says in words who decided it and when.")
    if on and decided is None:
        raise _refused(entry.where, "it is on, and 'decided' is missing: the controller's counsel decides, so write who did and when.")
    columns = entry.words("columns")
    if len(set(columns)) != len(columns):
        raise _refused(entry.where, "a column stands twice.")
    return LegalArchive(name, entry.text("law"), entry.text("dataset"), columns, entry.period(entry.need("period")), on, decided)


def check_archives(policy: Policy, contracts: Mapping[str, Contract]) -> None:
    """Each archive fits its dataset's contract, and keeps nothing that has a limit of its own (C-3.0)."""
    for rule in policy.legal_archive.values():
        where = f"policy.yaml: legal_archive.{rule.name}"
        if rule.dataset not in contracts:
            raise _refused(where, f"dataset '{rule.dataset}' is unknown. Known: {', '.join(sorted(contracts))}.")
        contract = contracts[rule.dataset]
        for wrong in chain(_of_dataset(contract), _of_columns(rule, contract), _of_period(rule, contract, policy)):
            raise _refused(where, wrong)


def _of_dataset(contract: Contract) -> Iterator[str]:
    if not contract.clock and not contract.account:
        yield f"dataset '{contract.name}' has no clock, so nobody could say from which day its records are kept."
    if len(contract.key) != 1:
        yield f"dataset '{contract.name}' has no single key column, so nobody could say whether a record is in the archive already."


def _of_columns(rule: LegalArchive, contract: Contract) -> Iterator[str]:
    columns = {column.name: column for column in contract.columns}
    for name in rule.columns:
        if name not in columns:
            yield f"column '{name}' is no column of '{contract.name}'. Its columns: {', '.join(columns)}."
        elif name in (ARCHIVED_ON, ENDS_ON):
            yield f"column '{name}' is called as what the archive itself adds."
        elif columns[name].identifiability == "free_text":
            yield f"column '{name}' is free text, in which anybody may be named: no archive takes it."
        elif columns[name].retention or columns[name].category in floors.OWN_LIMIT:
            yield f"column '{name}' has a limit of its own, which no archive lengthens (C-3.0)."
    if contract.key[0] not in rule.columns:
        yield f"the key '{contract.key[0]}' is not among the columns."


def _of_period(rule: LegalArchive, contract: Contract, policy: Policy) -> Iterator[str]:
    """An archive that ends with the dataset's own rule, or before it after some day, would keep what is due or nothing at all."""
    for entry in contract.retention:
        own = policy.retention[entry.rule]
        if compare_periods([rule.period], own.periods or own.after_deletion) != "shorter":
            yield f"its period {rule.period} is not longer than what {own.id} gives '{contract.name}' anyway."


def _refused(where: str, message: str) -> Refused:
    return Refused(f"{where}: {message} ({CLAUSE}: data are kept for a law only as counsel decides, column by column)", CLAUSE)
