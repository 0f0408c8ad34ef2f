"""The gate once more, slow and simple on purpose: it looks at one event at a time, counts months on the calendar and shares no code with the product.

With it random worlds: households of two members who share two devices, each with a history of its own of consents, objections, restrictions,
deletions, events, visits, sales and places.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from small_market import COOKIE_OF, KIND_OF, PARIS, Market, at, months_later, stamp

# ---------------------------------------------------------------- the reference

EXPRESS = {"banner_button", "settings_page", "registration_checkbox", "unsubscribe_link"}
VERSIONS = {"2013-1", "2014-2"}  # nothing was widened between them
MEMBER_KINDS = {"log_profiling", "email_marketing"}
DECIDED = ("analytics_cookies", "targeting_cookies", "log_profiling", "functional_cookies", "location", "email_marketing")
PURPOSES = ("analytics", "advertising", "security", "service", "improvement")
KINDS = {**KIND_OF, "improvement": "analytics_cookies"}  # of usage events
COOKIES = {**COOKIE_OF, "improvement": "analytics"}
VISITORS = {"analytics", "improvement"}  # purposes whose usage events need not name a member


@dataclass(frozen=True)
class Decision:
    """One line of the consent register, as the member made it."""

    member: str | None
    device: str | None
    kind: str
    decision: str
    when: datetime
    method: str = "banner_button"
    version: str = "2014-2"

    @property
    def grants(self) -> bool:
        """Granted, by a clear affirmative act, under a policy that still says the same; anything else is a no."""
        return self.decision == "granted" and self.method in EXPRESS and self.version in VERSIONS


@dataclass(frozen=True)
class Event:
    mark: str
    member: str | None
    device: str | None
    when: datetime
    cookie: str = "analytics"
    household: int = 0


def day_of(moment: datetime) -> date:
    return moment.astimezone(PARIS).date()


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=PARIS)


def allowed(event: Event, register: list[Decision], kind: str, build: datetime, time_is_gone: bool) -> bool:
    """Whether one unbroken grant reaches from the event to the build. Where only the event's day is left, from the start of that day."""
    since = midnight(day_of(event.when)) if time_is_gone else event.when
    known = [d for d in register if d.kind == kind and d.when <= build
             and not (d.member is None and months_later(day_of(d.when), 13) <= day_of(build))]  # a visitor's decision is gone by then (C-10.9)
    if kind in MEMBER_KINDS:
        grants = [d.when for d in known if d.grants and d.member == event.member]
        breaks = [d.when for d in known if not d.grants and d.member == event.member]
    else:
        grants = [d.when for d in known if d.grants and d.device == event.device and d.member in (None, event.member)]
        breaks = [d.when for d in known if not d.grants and (d.device == event.device or (d.device is None and d.member == event.member))]
    return any(reaches(start, grants, breaks, kind, build) for start in grants if start <= since)


def reaches(start: datetime, grants: list[datetime], breaks: list[datetime], kind: str, build: datetime) -> bool:
    """Whether the grant given at `start` still runs at the build: never broken, and renewed each time before it ran out."""
    if any(no >= start for no in breaks):
        return False
    if kind in MEMBER_KINDS:  # does not run out
        return True
    last_day = months_later(day_of(start), 13)
    for renewal in sorted(g for g in grants if g > start):
        if day_of(renewal) >= last_day:
            return False
        last_day = months_later(day_of(renewal), 13)
    return day_of(build) < last_day


def of_age(birthday: date | None, confirmed: bool | None, today: date) -> bool:
    if confirmed is not True:
        return False
    return birthday is None or (birthday.year + 18, birthday.month, birthday.day) <= (today.year, today.month, today.day)


# ---------------------------------------------------------------- random histories

BUILD = at("2026-03-10 12:00")
HOUSEHOLDS = 300  # of two members each, who share two devices


@dataclass
class World:
    """Members, decisions by household, events, lines of the log, sales, places, and who may be in at all."""

    register: dict[int, list[Decision]]
    events: list[Event]
    lines: list[Event]
    members: dict[str, dict]
    sales: list[tuple[str, str]] = field(default_factory=list)  # buyer, seller
    places: list[Event] = field(default_factory=list)
    refused: list[tuple[str, str | None]] = field(default_factory=list)  # member, purpose of an objection; none: a restriction

    def adult_and_here(self, member: str | None, purpose: str = "analytics") -> bool:
        told = self.members.get(member or "")
        if told is None or (member, None) in self.refused or (member, purpose) in self.refused:
            return False
        # C-10.3: security may still look at a deleted account, until its data end
        here = told["deleted"] is None or told["deleted"] > BUILD or (
            purpose == "security" and months_later(day_of(told["deleted"]), 3) > day_of(BUILD))
        return here and of_age(told["birthday"], told["confirmed"], day_of(BUILD))

    def in_purpose(self, purpose: str) -> set[str]:
        return {member for member in self.members if self.adult_and_here(member, purpose)}

    def may_be_in(self, member: str | None, purpose: str) -> bool:
        return purpose in VISITORS if member is None else self.adult_and_here(member, purpose)

    def passes(self, e: Event, purpose: str) -> bool:
        """Of an event of 30 days ago only the day is left (C-10.1), of one of 13 months nothing."""
        return (self.may_be_in(e.member, purpose) and e.cookie == COOKIES[purpose] and e.when <= BUILD
                and months_later(day_of(e.when), 13) > day_of(BUILD)
                and allowed(e, self.register[e.household], KINDS[purpose], BUILD, time_is_gone(e)))

    def expected_marks(self, purpose: str) -> set[str]:
        return {e.mark for e in self.events if self.passes(e, purpose)}

    def expected_devices(self, purpose: str) -> Counter:
        """Who was seen on which day on which device, by the events that pass; the device of a member only under functional cookies."""
        return Counter((e.member, e.device if e.member is None or allowed(e, self.register[e.household], "functional_cookies", BUILD, time_is_gone(e))
                        else None, day_of(e.when)) for e in self.events if self.passes(e, purpose))

    def expected_audience(self) -> set[str]:
        """Who may be written to: no event is asked for, only a grant that runs now."""
        here = [Event("", member, None, BUILD, household=n) for n in self.register for member in (f"m{n}a", f"m{n}b")]
        return {str(e.member) for e in here if self.adult_and_here(e.member, "advertising")
                and allowed(e, self.register[e.household], "email_marketing", BUILD, False)}

    def expected_lines(self, purpose: str = "analytics") -> Counter:
        if purpose == "security":
            return Counter((line.member, day_of(line.when)) for line in self.lines
                           if line.member is None or self.adult_and_here(line.member, "security"))
        return Counter((line.member, day_of(line.when)) for line in self.lines if self.adult_and_here(line.member, purpose)
                       and allowed(line, self.register[line.household], "log_profiling", BUILD, False))

    def expected_sales(self, purpose: str) -> Counter:
        """Both parties must pass where both are known; the service knows the buyer alone."""
        return Counter((b, None if purpose == "service" else s) for b, s in self.sales
                       if self.adult_and_here(b, purpose) and (purpose == "service" or self.adult_and_here(s, purpose)))

    def expected_places(self) -> set[str]:
        return {str(e.member) for e in self.places if self.adult_and_here(e.member, "service")
                and allowed(e, self.register[e.household], "location", BUILD, False)}


def time_is_gone(e: Event) -> bool:
    return day_of(e.when) + timedelta(days=30) <= day_of(BUILD)


def instants(dice: random.Random) -> list[datetime]:
    """Few enough to meet often: today's hours and tomorrow's, both ends of 30 days, of 13 months, midnights of Paris and of UTC."""
    days = [BUILD - timedelta(days=n) for n in (0, 1, 20, 29, 30, 31, 90, 200)]
    days += [at("2025-02-09"), at("2025-02-10"), at("2025-02-11"), at("2025-03-10"), at("2026-03-11")]
    chosen = [d.replace(hour=h, minute=m) for d in days for h, m in ((0, 0), (0, 30), (10, 0), (23, 30))]
    return [*dice.sample(chosen, 14), BUILD, BUILD - timedelta(seconds=1)]


def random_decision(dice: random.Random, members: list[str], devices: list[str], moments: list[datetime]) -> Decision:
    place = dice.choice(("both", "both", "both", "visitor", "visitor", "account"))
    return Decision(
        member=None if place == "visitor" else dice.choice(members), device=None if place == "account" else dice.choice(devices),
        kind=dice.choices(DECIDED, (5, 4, 3, 3, 1, 2))[0],
        decision=dice.choices(("granted", "refused", "withdrawn"), (14, 1, 1))[0], when=min(dice.choice(moments), dice.choice(moments)),
        method=dice.choices(("banner_button", "settings_page", "continued_browsing", "pre_ticked_box", "default"), (30, 30, 1, 1, 1))[0],
        version=dice.choice(("2014-2", "2014-2", "2013-1")))


def random_world(seed: int, households: int = HOUSEHOLDS) -> World:
    dice = random.Random(seed)
    world = World({}, [], [], {})
    for n in range(households):
        members, devices = [f"m{n}a", f"m{n}b"], [f"d{n}x", f"d{n}y"]
        moments = instants(dice)
        for member in members:
            world.members[member] = {
                "confirmed": dice.choices((True, False, None), (18, 1, 1))[0],
                "birthday": dice.choices((None, date(1980, 5, 5), date(2008, 3, 10), date(2008, 3, 11)), (4, 3, 1, 1))[0],
                "deleted": dice.choices((None, dice.choice(moments), BUILD), (18, 1, 1))[0]}
            if dice.randrange(8) == 0:
                world.refused.append((member, dice.choice((None, *PURPOSES))))
        world.register[n] = [random_decision(dice, members, devices, moments) for _ in range(dice.randrange(14))]
        world.events += [Event(f"e{n}-{i}", dice.choice([*members, *members, None]), dice.choice(devices),
                               max(dice.choice(moments), dice.choice(moments)),
                               dice.choices(("analytics", "targeting", "functional"), (4, 4, 1))[0], n) for i in range(6)]
        days = dice.sample(range(29), 3)
        world.lines += [Event("", m, None, BUILD - timedelta(days=d, hours=dice.randrange(3)), household=n) for d in days for m in (*members, None)]
        world.sales += [(*dice.sample([*members, f"m{dice.randrange(households)}a"], 2),) for _ in range(2)]
        world.places += [Event("", member, device, BUILD - timedelta(hours=2), household=n) for member, device in zip(members, devices, strict=True)]
    world.sales = [(b, s) for b, s in world.sales if b != s]
    return world


def market_of(world: World) -> Market:
    market = Market()
    for member, told in world.members.items():
        market.member(member, age_confirmed=told["confirmed"], birthday=told["birthday"] and told["birthday"].isoformat(),
                      deleted_at=told["deleted"] and stamp(told["deleted"]))
    add_decisions(market, [d for made in world.register.values() for d in made])
    for e in world.events:
        market.event(e.mark, e.member, str(e.device), e.when, e.cookie)
    for line in world.lines:
        market.line(line.member, line.when)
    for number, (buyer, seller) in enumerate(world.sales):
        market.sale(f"s{number}", buyer, seller, BUILD - timedelta(days=40))
    for e in world.places:
        market.add("locations", device_id=e.device, member_id=e.member, latitude="48.85", longitude="2.35", origin="gps", fixed_at=stamp(e.when))
    return market


def add_decisions(market: Market, register: list[Decision], prefix: str = "") -> None:
    for number, d in enumerate(register):
        market.consent(d.member, d.device, d.decision, d.when, d.kind, method=d.method, policy_version=d.version, consent_id=f"{prefix}r{number}")


def differing(world: World, found: set[str], wanted: set[str], purpose: str) -> str:
    """The shortest history among those that the product and the reference see differently."""
    told = []
    for mark in found ^ wanted:
        event = next(e for e in world.events if e.mark == mark)
        history = [d for d in world.register[event.household] if d.kind == KINDS[purpose]]
        told.append((len(history), f"{'let in' if mark in found else 'kept out'}: {event}; decided: {sorted(history, key=lambda d: d.when)}"))
    return min(told)[1] if told else ""
