"""What was decided, and whether a grant reaches from one moment to another: one history at a time, read from its beginning (Gate, C-8, C-10.9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from pipelines.simulation.truth.days import CONSENT_MONTHS, midnight, months_later, paris_day
from pipelines.simulation.truth.files import Row

OF_DEVICES = ("functional_cookies", "analytics_cookies", "targeting_cookies", "location")
OF_MEMBERS = ("log_profiling", "email_marketing", "mailbox_marketing", "notification_marketing")
EXPRESS = ("banner_button", "settings_page", "registration_checkbox", "unsubscribe_link")
VERSIONS = ("2013-1", "2014-2")  # the newer widened no purpose


@dataclass(frozen=True)
class Decision:
    """One decision. What it does not say is None; `at` too, where no time could be read."""

    kind: str | None
    member: str | None
    device: str | None
    at: datetime | None
    decision: str | None
    grants: bool

    @classmethod
    def of(cls, row: Row, at: datetime | None) -> Decision:
        """A grant is one by an express act under a version that still says the same; everything else is a no, for *unknown* never passes."""
        grants = row.get("decision") == "granted" and row.get("method") in EXPRESS and row.get("policy_version") in VERSIONS
        return cls(row.get("kind"), row.get("member_id"), row.get("device_id"), at, row.get("decision"), grants)


@dataclass
class Register:
    """Decisions by whom and what they may concern. What stands in quarantine is no grant, and a no to all that it may be one to: of any kind if it
    names none, at any time if it has none."""

    _by_device: dict[str, list[Decision]] = field(default_factory=dict)
    _by_member: dict[str, list[Decision]] = field(default_factory=dict)

    def add_all(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            if decision.device is not None:
                self._by_device.setdefault(decision.device, []).append(decision)
            if decision.member is not None:
                self._by_member.setdefault(decision.member, []).append(decision)

    def add_unread(self, decision: Decision) -> None:
        kind = decision.kind if decision.kind in (*OF_DEVICES, *OF_MEMBERS) else None
        self.add_all([Decision(kind, decision.member, decision.device, decision.at, None, False)])

    def concerning(self, kind: str, device: str | None, member: str | None, visitors_own: bool = False) -> list[Decision]:
        """What was decided on `kind` for that member on that device: yes on this device, by this member or while nobody was logged in; no on this
        device by anybody, or in the member's account, which covers all devices. For whoever is not logged in the device's own history counts,
        or with `visitors_own` of its grants those alone that were made while nobody was logged in. Of a kind that members decide on, their own
        decisions count."""
        if kind in OF_MEMBERS:
            return [d for d in self._by_member.get(member or "", ()) if d.kind in (kind, None)]
        here = [d for d in self._by_device.get(device or "", ()) if d.kind in (kind, None)]
        of_account = [d for d in self._by_member.get(member or "", ()) if d.kind in (kind, None) and d.device is None and not d.grants]
        anybodys = member is None and not visitors_own
        return [d for d in here if not d.grants or anybodys or d.member in (None, member)] + of_account

    def granted_at(self, kind: str, device: str | None, member: str | None, at: datetime) -> bool:
        return self.unbroken(kind, device, member, at, at)

    def unbroken(self, kind: str, device: str | None, member: str | None, since: datetime, until: datetime, visitors_own: bool = False) -> bool:
        """Whether one grant covers all from `since` to `until`. The history up to `until` is gone through once: a no ends the grant, a yes begins
        one, or renews it if it has not run out; a visitor's decision is gone after thirteen months. At one instant the no counts."""
        today = paris_day(until)
        history = [d for d in self.concerning(kind, device, member, visitors_own) if d.at is None or d.at <= until]
        if any(d.at is None for d in history):
            return False
        begun: datetime | None = None
        last: datetime | None = None
        for at, is_no in sorted((d.at, not d.grants) for d in history if d.at is not None and not self._gone(d, until)):
            if is_no:
                begun = last = None
                continue
            if begun is None or (last is not None and self._run_out(kind, last, at)):
                begun = at
            last = at
        return begun is not None and last is not None and begun <= since and not self._run_out(kind, last, midnight(today))

    @staticmethod
    def _run_out(kind: str, given: datetime, now: datetime) -> bool:
        return kind in OF_DEVICES and months_later(paris_day(given), CONSENT_MONTHS) <= paris_day(now)

    @staticmethod
    def _gone(decision: Decision, until: datetime) -> bool:
        return decision.member is None and decision.at is not None and months_later(paris_day(decision.at), CONSENT_MONTHS) <= paris_day(until)

    def withdrawn(self, kind: str, device: str | None, member: str | None, since: datetime, until: date) -> bool:
        """Whether somebody said no, at `since` or after and by the end of the day `until`, to what a row of that time rests on (Gate, C-10.9)."""
        said_no = (d.at for d in self.concerning(kind, device, member) if d.decision in ("refused", "withdrawn"))
        return any(at is not None and since <= at and paris_day(at) <= until for at in said_no)
