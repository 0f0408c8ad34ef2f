"""The gate as one table: purpose × status → the categories of data that pass (CLAUSES, Gate).

Pure: compiled from the policy alone, no row is looked at. The docs print it, `build --explain` takes its words from it, and the tests carry out
every cell on a real home and compare, so the SQL of members.py and consents.py is held to it. It is written a second time here on
purpose: as a list of cases, each with its answer, and not as the query that finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.policy.types import ConsentKind, Policy, Purpose, Source

ELIGIBLE = "eligible"


@dataclass(frozen=True)
class Status:
    """A situation that somebody is in. Of a member: `verdict`, what the account's state says before consent is asked for. Of a row: whether what
    was decided covers it, where the consent is given per device (`device`) or by each member (`member`). `later`: what was decided since covers no
    row from before, but is a running grant itself. `grant_is_old`: its kind may have run out. `visitor`: the row names no member."""

    name: str
    clause: str
    words: str
    verdict: str = ELIGIBLE
    device: bool = True
    member: bool = True
    later: bool = False
    grant_is_old: bool = False
    visitor: bool = False


# the account's own states; the first that holds is the one named, and none of these is overcome by a consent
VERDICTS = (
    Status("erasure_requested", "C-11.3", "asked for erasure", "erasure_requested"),
    Status("account_deleted", "C-10.3", "deleted the account", "account_deleted"),
    Status("account_due", "C-10.3", "the account's time is over: deleted three months ago, or silent for five years and three months", "account_due"),
    Status("unread_state", "Gate", "a newer state of the account stands in quarantine and may be one of these", "unread_state"),
    Status("restricted", "C-11.4", "processing is restricted", "restricted"),
    Status("objected", "C-11.7", "objected to this purpose", "objected"),
    Status("unknown_age", "C-2.2b", "never said to be over 18, or has a birthday under 18: unknown age", "unknown_age"),
)
UNKNOWN_MEMBER = Status("unknown_member", "C-2.2b", "the row names a member of whom there is no account", "unknown_member")

# what a member decided on each kind of consent that the purpose asks for; the account itself is in order
CONSENTS = (
    Status("granted", "C-8", "granted by an express act before the row was made, and never broken since"),
    Status("no_consent", "C-8", "nothing was ever decided", device=False, member=False),
    Status("refused", "C-8", "refused", device=False, member=False),
    Status("withdrawn", "C-11.8", "granted, and withdrawn after the row was made", device=False, member=False),
    Status("withdrawn_in_account", "C-8", "granted on the device, and withdrawn in the account for all devices", device=False, member=False),
    Status("given_again", "Gate", "granted, withdrawn and granted again, the row being from before", device=False, member=False, later=True),
    Status("granted_later", "Gate", "granted, but only after the row was made", device=False, member=False, later=True),
    Status("expired", "C-10.9", "granted so long ago that a grant that runs out has run out: unknown", grant_is_old=True),
    Status("unknown_method", "C-8", "continued browsing, a pre-ticked box, a default, or a method that the policy does not know: unknown",
           device=False, member=False),
    Status("unread_decision", "Gate", "granted, and a later decision on it stands in quarantine and cannot be read", device=False, member=False),
    Status("older_version", "C-9", "granted under an older version of the policy, which none later widened for this purpose"),
    Status("widened_version", "C-9", "granted under an older version of the policy, which a later one widened for this purpose",
           device=False, member=False),
    Status("account_only", "C-8", "granted in the account, on no device: opens what is given by the member, no device", device=False),
    Status("another_device", "C-8", "granted on another device of the member", device=False),
    Status("visitors_grant", "C-8", "granted on this device while nobody was logged in: covers whoever is on it", member=False),
    Status("visitors_refusal", "C-8", "granted, and refused on this device while nobody was logged in", device=False),
    Status("others_grant", "Gate", "granted by another member who was logged in on this device", device=False, member=False),
    Status("others_refusal", "Gate", "granted, and refused on this device by another member who was logged in", device=False),
    Status("objected_elsewhere", "C-11.7", "granted; the member objected to another purpose"),
)

# rows that name no member
VISITORS = (
    Status("visitor_granted", "C-8", "a visitor who granted on this device while nobody was logged in", member=False, visitor=True),
    Status("visitor_no_consent", "C-8", "a visitor who decided nothing", device=False, member=False, visitor=True),
    Status("visitor_refused", "C-8", "a visitor who granted and withdrew", device=False, member=False, visitor=True),
    Status("visitor_members_grant", "Gate", "a visitor on a device where a member granted while logged in: nobody knows that it is the same person",
           device=False, member=False, visitor=True),
)

STATUSES = (*VERDICTS, UNKNOWN_MEMBER, *CONSENTS, *VISITORS)
REASONS = tuple(status.verdict for status in VERDICTS)


def gate_table(policy: Policy) -> dict[str, dict[str, tuple[str, ...]]]:
    """Status → purpose → the categories that pass, of those that the purpose has at all; every cell is there."""
    return {status.name: {purpose.name: passing(policy, purpose, status) for purpose in policy.purposes.values()} for status in STATUSES}


def passing(policy: Policy, purpose: Purpose, status: Status) -> tuple[str, ...]:
    """The categories of `purpose` that pass in `status`."""
    if refuses(purpose, status.verdict):
        return ()
    return tuple(category for category, source in purpose.sources.items()
                 if (source.visitors or not status.visitor) and _covered(policy, source, status))


def refuses(purpose: Purpose, verdict: str) -> bool:
    """Whether a state of the account keeps it out of the purpose."""
    return verdict != ELIGIBLE and verdict not in purpose.despite


def status_of(verdict: str) -> Status:
    """The status that a verdict on an account is."""
    return next(status for status in (*VERDICTS, UNKNOWN_MEMBER) if status.verdict == verdict)


def _covered(policy: Policy, source: Source, status: Status) -> bool:
    """Whether the basis holds: anything but consent does by itself, consent where a running grant covers the row, a record of it where it is one."""
    if source.basis != "consent":
        return True
    kinds = [policy.consent_kinds[name] for name in source.kinds]
    members = status.member or (source.own and status.later)
    return all((status.device if kind.scope == "device" else members) and not (status.grant_is_old and _runs_out(kind)) for kind in kinds)


def _runs_out(kind: ConsentKind) -> bool:
    return kind.expires is not None
