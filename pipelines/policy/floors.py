"""What the published privacy policy says so plainly that no file here may say less: policy.yaml and contracts can tighten these, never loosen them.

Each floor stands here once, with its clause (docs/clauses.md); docs/purposes.md prints them. They bound what is written in policy.yaml and do
not replace it: a rule that is tighter there is the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.foundation.dates import Period, compare_periods
from pipelines.foundation.errors import Refused
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy, RiskLimits


class Only(NamedTuple):
    """The purposes that a category of data may flow into at all, and the clause that says so."""

    purposes: tuple[str, ...]
    clause: str

    @property
    def told(self) -> str:
        return f"{', '.join(self.purposes)} alone" if self.purposes else "no purpose"


RISK = RiskLimits(k=5, l=2, t=0.3, shared_class=10, linking=2.0)  # C-3.3b; what policy_file.py reads keeps to it, a draft too
CELL = 10  # members in each cell of a published aggregate (C-10.7); the same
ONLY: Mapping[str, Only] = {
    "friends": Only((), "C-2.2a"), "address": Only((), "C-2.3b"), "bank_account": Only((), "C-2.3c"), "wallet": Only((), "C-2.5"),
    "texts": Only((), "C-3.3a"), "contact": Only((), "C-3.3b"), "social": Only((), "C-2.2a"), "telephone": Only((), "C-3.5"),
    "card_digits": Only(("security",), "C-2.5"), "location": Only(("service",), "C-2.7"),
    "transactions": Only(("service", "security", "improvement"), "C-3.3a"),
}
WITHOUT_CONSENT: Mapping[str, Only] = {  # into any other purpose they flow by consent alone
    "log_files": Only(("service", "security"), "C-2.1"), "location": Only((), "C-2.7"), "usage": Only(("service",), "C-8"),
}
NEVER_CONSENT = ("continued_browsing", "pre_ticked_box", "default")  # C-8
NECESSARY = "necessary"  # C-8.1: events of such cookies serve one purpose
LONGEST: Mapping[str, tuple[str, ...]] = {  # periods of the policy's retention rules, as steps
    "C-10.1": ("P30D",), "C-10.2": ("P13M",), "C-2.7": ("P1D",), "C-3.5": ("P7D",), "C-10.9": ("P13M",),
}
LONGEST_ACCOUNT: Mapping[str, tuple[str, ...]] = {"after_deletion": ("P3M",), "after_last_activity": ("P5Y", "P3M")}  # C-10.3
DEVICE_CONSENT, LATE_CONSENTS, EXTRACTS, BACKUPS, OUTBOX_HOURS, DEADLINE = "P13M", "P3D", "P7D", "P7D", 24, "P1M"
TOOL_LOGS = "P30D"  # as long as what tools log of requests (C-10.1)
RULE_OF: Mapping[str, str] = {"log_files": "C-10.1", "location": "C-2.7", "telephone": "C-3.5", "transactions": "C-10.2", "card_digits": "C-10.2"}
SEEN_BY_NOBODY: Mapping[str, str] = {  # category → clause: never shown on the platform
    "bank_account": "C-2.3c", "wallet": "C-2.5", "card_digits": "C-2.5", "telephone": "C-3.5", "log_files": "C-2.1"}
OWN_LIMIT = ("log_files", "friends", "card_digits", "location", "telephone")  # C-3.0: what nothing lengthens, a legal archive neither (C-10.8)
RESOLVED = ("advertising", "security")  # C-3.3b, C-3.4: where a pseudonym may become a person again
NAMING, AFTER_DELETION = ("security",), ("security",)  # C-2.1 and C-10.3: marts that name persons; what goes on after an account's deletion


def refuse_looser(policy: Policy) -> None:
    """Raises Refused with the first thing that `policy` allows and the published policy does not."""
    for where, why, clause in (*_sources(policy), *_consents(policy), *_periods(policy), *_purposes(policy)):
        raise Refused(f"policy.yaml: {where}: {why} The published policy says so; policy.yaml can only be tighter ({clause}).", clause)


def refuse_looser_contract(contract: Contract, policy: Policy) -> None:
    """Raises Refused where a column of the contract does not end by the rule of its category, or is shown to somebody."""
    rows = [rule.rule for rule in contract.retention if not rule.visitors_only]
    for column in contract.columns:
        rule = RULE_OF.get(column.category)
        if rule and all(_longer_than(policy, name, rule) for name in (*rows, column.retention) if name):
            raise Refused(f"{contract.path}: '{column.name}' is of category {column.category}, so it or its row ends by {rule}: name that "
                          "rule, or one that is as short.", rule)
        clause = SEEN_BY_NOBODY.get(column.category)
        if clause and column.visibility != "nobody":
            raise Refused(f"{contract.path}: '{column.name}' is of category {column.category}, which is visible to nobody ({clause}).",
                          clause)


Found = Iterator[tuple[str, str, str]]  # where in the file, what is wrong, by which clause


def _sources(policy: Policy) -> Found:
    of_cookies = {source.kind for purpose in policy.purposes.values() for name, source in purpose.sources.items() if name != "log_files"}
    for purpose in policy.purposes.values():
        for category, source in purpose.sources.items():
            where = f"purposes.{purpose.name}.sources.{category}"
            only, free = ONLY.get(category), WITHOUT_CONSENT.get(category)
            if only and purpose.name not in only.purposes:
                yield where, f"{category} must not flow in: it flows into {only.told}.", only.clause
            if free and purpose.name not in free.purposes and source.basis != "consent":
                yield where, f"without consent {category} must not flow in.", free.clause
            if category == "log_files" and source.basis == "consent" and source.kind in of_cookies:
                yield where, f"{source.kind} is the consent to something else: log files have a kind of their own.", "C-2.1"
            if category == "log_files" and source.visitors and free and purpose.name not in free.purposes:
                yield where, "log lines without a member are never profiled.", "C-2.1"
            if category == "usage" and purpose.name != "service" and any(NECESSARY in values for _, values in source.rows):
                yield where, f"events of {NECESSARY} cookies serve the purpose service alone.", "C-8.1"
            if category == "usage" and not source.rows:
                yield where, "name in 'rows' the categories of cookies whose events flow in.", "C-8"


def _consents(policy: Policy) -> Found:
    for method in NEVER_CONSENT:
        if method not in policy.never_consent:
            yield "consent_methods", f"{method} is never consent.", "C-8"
    for kind in policy.consent_kinds.values():
        if kind.scope == "device" and (kind.expires is None or _longer((kind.expires,), (DEVICE_CONSENT,))):
            yield f"consent_kinds.{kind.name}", f"given per device, it expires after {DEVICE_CONSENT} at the latest.", "C-10.9"


def _periods(policy: Policy) -> Found:
    for rule in policy.retention.values():
        where = f"retention.{rule.id}"
        if rule.id in LONGEST and (rule.clock != "event_day" or _longer(rule.periods, LONGEST[rule.id])):
            yield where, f"these data end {steps(LONGEST[rule.id])} after their day at the latest.", rule.id
        elif rule.clock == "account":
            for name, longest in LONGEST_ACCOUNT.items():
                if _longer(getattr(rule, name), longest):
                    yield where, f"'{name}' is {steps(longest)} at most.", "C-10.3"
        elif rule.id == "C-10.3":
            yield where, "its clock is the account's end.", "C-10.3"
    for where, period, longest, clause in (("late_consents", policy.late_consents, LATE_CONSENTS, "C-8"),
                                           ("extracts", policy.extracts, EXTRACTS, "C-10.4"), ("backups", policy.backups, BACKUPS, "C-10.6"),
                                           ("tool_logs", policy.tool_logs, TOOL_LOGS, "C-10.4"),
                                           *((f"rights.{right.name}", right.deadline, DEADLINE, "C-11.9") for right in policy.rights.values())):
        if _longer((period,), (longest,)):
            yield where, f"{longest} at most.", clause
    for rule in policy.retention.values():
        if rule.clock == "account" and compare_periods((policy.tombstones,), rule.after_last_activity) == "longer":
            yield "tombstones", "what was erased could come back from an old extract before it would be due: as long as C-10.3 at least.", "C-11.3"
    if policy.outbox_hours > OUTBOX_HOURS:
        yield "outbox", f"{OUTBOX_HOURS} hours at most.", "C-3.4"


def _purposes(policy: Policy) -> Found:
    for purpose in policy.purposes.values():
        if purpose.identified and purpose.name not in NAMING:
            yield f"purposes.{purpose.name}", f"marts of {NAMING[0]} alone may name persons.", "C-3.3b"
        if purpose.despite and purpose.name not in AFTER_DELETION:
            yield f"purposes.{purpose.name}.despite", f"from deletion on the data leave every purpose but {AFTER_DELETION[0]}.", "C-10.3"
    for name in policy.resolving:
        if name not in RESOLVED:
            yield f"resolving.{name}", f"a pseudonym becomes a person again in {' and '.join(RESOLVED)} alone.", "C-3.3b"


def _longer(periods: Sequence[Period], longest: Sequence[str]) -> bool:
    return compare_periods([Period.parse(text) for text in longest], periods) == "longer"


def _longer_than(policy: Policy, name: str, rule: str) -> bool:
    """Whether the policy's rule `name` ends later than the floor of `rule`; one of another clock does."""
    return policy.retention[name].clock != "event_day" or _longer(policy.retention[name].periods, LONGEST[rule])


def steps(longest: Sequence[str]) -> str:
    """Periods one after another, in words."""
    return " and then ".join(longest)
