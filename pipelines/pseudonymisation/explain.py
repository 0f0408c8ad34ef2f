"""Why one member is in a purpose or not, in words: which rule decided, and of each consented source which decision did (`build --explain`).

The gate itself is asked, for this member and those whom their rows name. Nothing is written. What is said is of this member alone: of others
who decided on the same device it is said that somebody did, not who, when or what; devices are numbered, for their ids may be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.eligibility.members import judge_members
from pipelines.eligibility.table import CONSENTS, ELIGIBLE, Status, status_of
from pipelines.engines.duckdb_engine import Connection, quote_name
from pipelines.foundation.dates import PARIS, paris_day, plus
from pipelines.lake.tables import raw_table
from pipelines.policy.types import ConsentKind, Purpose, Rulebook
from pipelines.pseudonymisation.rows import PASSED, Rows
from pipelines.pseudonymisation.subjects import decide, kinds

_MEMBER = "getvariable('member')"
_STATUS = {status.name: status for status in CONSENTS}
_REASONS = {"member_not_eligible": "another member whom the row names may not be in", "due": "due", "after_as_of": "made after the build",
            "other_source": "of another kind than the purpose takes", "no_consent": "no running grant covers them", "no_member": "name nobody"}


@dataclass(frozen=True)
class _Decision:
    """One line of the register that concerns the member: their own, or one on a device of theirs."""

    own: bool
    nobody: bool
    at: datetime
    decision: str
    express: bool
    valid: bool

    @property
    def grants(self) -> bool:
        return self.decision == "granted" and self.express and self.valid


def explain(connection: Connection, rulebook: Rulebook, purpose: Purpose, member: str, as_of: datetime) -> dict[str, Any]:
    """What the gate of `purpose` says of the member as of `as_of`; needs lake and vault attached."""
    _ask_for(connection, rulebook, purpose, member)
    judge_members(connection, rulebook, purpose, as_of, "asked")
    found = connection.execute("select verdict from gate_members where member_id = ?", [member]).fetchone()
    verdict = found[0] if found else "unknown_member"
    passes = verdict == ELIGIBLE
    status = None if passes else status_of(verdict)
    told = {"purpose": purpose.name, "passes": passes, "rule": verdict, "clause": status.clause if status else "Gate",
            "words": status.words if status else "the account is in order: nothing refuses it whatever the basis"}
    return told | {"sources": _sources(connection, rulebook, purpose, member, as_of) if passes else []}


def _ask_for(connection: Connection, rulebook: Rulebook, purpose: Purpose, member: str) -> None:
    """Make `asked` (member_id): the member, and whom rows name beside them."""
    connection.execute("set variable member = $1", [member])  # its value stands in no statement
    beside = []
    for contract in rulebook.entering(purpose.name):
        names = [quote_name(c.name) for c, _ in contract.named_in(purpose.name)]
        if len(names) > 1:
            together = f"from {raw_table(contract)} where {_MEMBER} in ({', '.join(names)})"
            beside += [f"select {name} {together}" for name in names]
    connection.execute("create or replace temp table asked as select distinct member_id from "
                       f"({' union all '.join([f'select {_MEMBER} as member_id', *beside])})")


def _sources(connection: Connection, rulebook: Rulebook, purpose: Purpose, member: str, as_of: datetime) -> list[dict[str, Any]]:
    of_members, of_devices = kinds(rulebook, purpose, "member"), kinds(rulebook, purpose, "device")
    decide(connection, rulebook, purpose, as_of, of_members, of_devices, visitors=False)
    for table, columns, source, names, on in (
            ("subjects", "q.member_id", "gate_members", of_members, "g_{0}.member_id = q.member_id"),
            ("pairs", "q.member_id, q.device_id", "seen", [*of_members, *of_devices], None)):
        joins = [f"left join granted_{kind} as g_{kind} on " + (on or "g_{0}.member_id = q.member_id" + (
            "" if kind in of_members else " and g_{0}.device_id = q.device_id")).format(kind) for kind in names]
        since = "".join(f", g_{kind}.granted_since as since_{kind}" for kind in names)
        only = f"where q.verdict = '{ELIGIBLE}'" if source == "gate_members" else ""
        connection.execute(f"create or replace temp table {table} as select {columns} {since} from {source} as q {' '.join(joins)} {only}")
    return [_dataset(connection, rulebook, Rows(contract, purpose, rulebook.policy, as_of), member) for contract in rulebook.entering(purpose.name)]


def _dataset(connection: Connection, rulebook: Rulebook, rows: Rows, member: str) -> dict[str, Any]:
    """One dataset: how many rows of the member there are, how many pass, why others do not, and which decisions say so."""
    theirs = f"{_MEMBER} in ({', '.join(rows.named)})"
    counts = dict(connection.execute(f"select {rows.verdict()} as verdict, count(*) from {rows.joined(every=True)} where {theirs} "
                                     "group by 1 order by 1").fetchall())
    kind = rulebook.policy.consent_kinds[rows.base.kind] if rows.base.kind else None
    return {"dataset": rows.contract.name, "basis": rows.base.basis, "kind": kind.name if kind else None, "rows": sum(counts.values()),
            "passed": counts.get(PASSED, 0), "others": {_REASONS[reason]: n for reason, n in counts.items() if reason != PASSED},
            "decided": _decided(connection, rulebook, rows, kind, member) if kind else []}


def _decided(connection: Connection, rulebook: Rulebook, rows: Rows, kind: ConsentKind, member: str) -> list[dict[str, Any]]:
    """For a kind that is given by the member the one decision that decides; for one given per device one for each of the member's devices."""
    if kind.scope == "member":
        since = connection.execute(f"select epoch_us(since_{kind.name}) from subjects where member_id = ?", [member]).fetchone()
        return [_words(connection, rulebook, rows, kind, member, None, since[0] if since else None)]
    device, first = quote_name(str(rows.contract.device)), quote_name(str(rows.contract.clock))
    order = f"select {device} as device_id, min({first}) as at from {raw_table(rows.contract)} where {rows.named[0][2:]} = ? group by 1"
    pairs = connection.execute(f"select o.device_id, epoch_us(p.since_{kind.name}) from ({order}) as o left join pairs as p "
                               "on p.device_id = o.device_id and p.member_id = ? order by o.at, o.device_id", [member, member]).fetchall()
    return [{"device": n} | _words(connection, rulebook, rows, kind, member, found, since) for n, (found, since) in enumerate(pairs, 1)]


def _words(connection: Connection, rulebook: Rulebook, rows: Rows, kind: ConsentKind, member: str, device: str | None,
           since: int | None) -> dict[str, Any]:
    own = [d for d in _register(connection, rulebook, rows, kind, member, device) if d.own or d.nobody or not d.grants]
    status, when = _deciding(own, kind, since is not None, rows.as_of, _unread(connection, rulebook, kind, member, device))
    told = {"rule": status.name, "clause": status.clause, "words": status.words}
    if since is not None:
        start = datetime.fromtimestamp(since / 1e6, PARIS)
        return told | {"since": start.isoformat(), "words": f"granted on {start:%Y-%m-%d at %H:%M}, and not broken since; rows from then on pass"}
    return told | {"decided_on": when.astimezone(PARIS).date().isoformat() if when else None}


def _deciding(known: Sequence[_Decision], kind: ConsentKind, runs: bool, as_of: datetime, unread: bool) -> tuple[Status, datetime | None]:
    """Which of the table's cases it is, and when it was decided where the member may be told: their own decisions, and those of nobody."""
    last = max(known, key=lambda d: (d.at, not d.grants), default=None)
    if runs:
        return _STATUS["granted"], None
    if unread:
        return _STATUS["unread_decision"], None
    if last is None:
        return _STATUS["no_consent"], None
    if last.grants:
        over = kind.expires is not None and plus(paris_day(last.at), [kind.expires]) <= paris_day(as_of)
        return _STATUS["expired" if over else "no_consent"], last.at
    if not last.own:
        return _STATUS["visitors_refusal" if last.nobody else "others_refusal"], last.at if last.nobody else None
    if last.decision == "granted":
        return _STATUS["widened_version" if last.express else "unknown_method"], last.at
    return _STATUS["refused" if last.decision == "refused" else "withdrawn"], last.at


def _register(connection: Connection, rulebook: Rulebook, rows: Rows, kind: ConsentKind, member: str, device: str | None) -> list[_Decision]:
    """The decisions that concern the member on this kind, and on this device where it is given per device."""
    register, policy = rulebook.consents.consent_register, rulebook.policy
    assert register is not None
    c = {field: f"c.{quote_name(getattr(register, field))}" for field in register.__dataclass_fields__}
    on = f"{c['member']} = $member" if device is None else f"({c['device']} = $device or ({c['device']} is null and {c['member']} = $member))"
    columns = f"{c['member']} = $member, {c['member']} is null, epoch_us({c['at']}), {c['decision']}, {c['method']}, {c['version']}"
    found = connection.execute(f"""select {columns}
        from {raw_table(rulebook.consents)} as c where {c['kind']} = $kind and {c['at']} <= $as_of and {on}""",
                               {"member": member, "kind": kind.name, "as_of": rows.as_of} | ({"device": device} if device else {})).fetchall()
    valid = policy.versions_valid_for(rows.purpose.name)
    return [_Decision(bool(own), nobody, datetime.fromtimestamp(at / 1e6, PARIS), decision, method in policy.express_methods, version in valid)
            for own, nobody, at, decision, method, version in found]


def _unread(connection: Connection, rulebook: Rulebook, kind: ConsentKind, member: str, device: str | None) -> bool:
    """Whether something stands in quarantine that counts as a no to it."""
    from pipelines.eligibility.consents import decisions

    mine = "member_id = $member" + (" or device_id = $device" if device else "")
    return connection.execute(f"select 1 from ({decisions(rulebook, [kind.name], [])}) where unread and ({mine}) limit 1",
                              {"member": member} | ({"device": device} if device else {})).fetchone() is not None
