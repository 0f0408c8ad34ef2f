"""Who may be in a purpose, under which name, and on which running grants they rest: everything that one join carries to the rows.

Pseudonyms are computed once per subject and purpose, those of devices and the grants that are given per device once per pair of member and
device (C-3.3b). A visitor has no member: their pair has the empty text in its place, and a pseudonym made of the device's own salt, so
nothing joins it to the member who logs in later. The device of a member is known only under the consent that ties devices to
accounts, from its grant on.
"""

from __future__ import annotations

from datetime import datetime

from pipelines.eligibility.consents import device_grants, grant_records, member_grants
from pipelines.eligibility.members import judge_members
from pipelines.eligibility.table import ELIGIBLE
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.home import Home
from pipelines.identity.pseudonyms import device_pseudonym, pseudonym, set_domain, visitor_pseudonym
from pipelines.identity.vault import give_salts, give_visitor_salts
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy, Purpose, Rulebook, Source

SUBJECT_GRANTS = "subject_grants"


def judge(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> None:
    """The gate alone: nothing is written. Makes the temporary table `subject_grants` (pseudonym, grant_key): for each subject who may be in one
    row 'member' or 'visitor', and one for each running grant they rely on, which names what and since when. Who is in no zone yet, for
    they have no salt, is not in it."""
    identify(connection, home, rulebook, purpose, as_of, give=False)
    make_grants(connection, rulebook, purpose)


def make_grants(connection: Connection, rulebook: Rulebook, purpose: Purpose) -> None:
    """Make `subject_grants` of everybody in `subjects` and `pairs`."""
    connection.execute(f"create or replace temp table {SUBJECT_GRANTS} as select pseudonym, kind || coalesce(':' || device, '') || "
                       f"coalesce('@' || epoch_us(since), '') as grant_key from ({standing(rulebook, purpose)})")


def identify(connection: Connection, home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, give: bool) -> dict[str, int]:
    """Make `subjects` (member_id, pseudonym, since_KIND …) of the members who may be in, and `pairs` (member_id, device_id, pseudonym, device,
    device_key, since_KIND …) of theirs and of visitors' devices; returns verdict → members. Needs lake and vault; with `give` who has no
    salt is given one."""
    members = judge_members(connection, rulebook, purpose, as_of)
    set_domain(connection, home, purpose.name, first=give)
    if give:
        give_salts(connection, f"select member_id from gate_members where verdict = '{ELIGIBLE}'")
    of_members, of_devices = kinds(rulebook, purpose, "member"), kinds(rulebook, purpose, "device")
    decide(connection, rulebook, purpose, as_of, of_members, of_devices)
    since = "".join(f", g_{kind}.granted_since as since_{kind}" for kind in of_members)
    joins = " ".join(f"left join granted_{kind} as g_{kind} on g_{kind}.member_id = g.member_id" for kind in of_members)
    connection.execute(f"""create or replace temp table subjects as
        select g.member_id, s.salt, {pseudonym('s.salt', 'g.member_id')} as pseudonym {since}
        from gate_members as g join vault.subjects as s on s.member_id = g.member_id {joins} where g.verdict = '{ELIGIBLE}'""")
    _pair(connection, rulebook, purpose, of_members, of_devices, give)
    return members


def kinds(rulebook: Rulebook, purpose: Purpose, scope: str) -> list[str]:
    """The kinds of consent, given by the member or per device, that something of the purpose rests on."""
    found = {kind for contract in rulebook.entering(purpose.name) for kind in dataset_kinds(contract, purpose, rulebook.policy)}
    return sorted(kind for kind in found if rulebook.policy.consent_kinds[kind].scope == scope)


def dataset_kinds(contract: Contract, purpose: Purpose, policy: Policy) -> set[str]:
    """The kinds of consent that columns of the dataset enter under."""
    found = {kind for _, t in contract.entering(purpose.name) for kind in purpose.sources[t.category].kinds}
    if policy.ties_devices and any(t.use == "device" for _, t in contract.entering(purpose.name)):
        found.add(policy.ties_devices)
    return found


def base(contract: Contract, purpose: Purpose) -> Source:
    """What lets a row of the dataset in: the basis of the category of the first column that names a member."""
    column, transform = contract.named_in(purpose.name)[0]
    return purpose.sources[transform.category or column.category]


def by_pair(contract: Contract, purpose: Purpose, policy: Policy) -> bool:
    """Whether the dataset's rows need to know the device beside the member."""
    return contract.device is not None and (any(t.use == "device" for _, t in contract.entering(purpose.name)) or any(
        policy.consent_kinds[kind].scope == "device" for kind in dataset_kinds(contract, purpose, policy)))


def standing(rulebook: Rulebook, purpose: Purpose) -> str:
    """SQL: (pseudonym, kind, device, since) of everybody in `subjects` and `pairs`: one row that they may be in, one per running grant."""
    parts = ["select pseudonym, 'member' as kind, null::uuid as device, null::timestamptz as since from subjects",
             "select distinct device_key, 'visitor', null::uuid, null::timestamptz from pairs where member_id = ''"]
    parts += [f"select pseudonym, {quote_text(kind)}, null::uuid, since_{kind} from subjects where since_{kind} is not null"
              for kind in kinds(rulebook, purpose, "member")]
    parts += [f"select coalesce(pseudonym, device_key), {quote_text(kind)}, device, since_{kind} from pairs where since_{kind} is not null"
              for kind in kinds(rulebook, purpose, "device")]
    return " union all ".join(parts)


def decide(connection: Connection, rulebook: Rulebook, purpose: Purpose, as_of: datetime, of_members: list[str], of_devices: list[str],
           visitors: bool = True) -> None:
    """Make `seen` (member_id, device_id), the pairs that rows of the purpose name, and `granted_KIND` for each consent that it asks for. Needs
    `gate_members`."""
    policy = rulebook.policy
    seen = []
    for contract in rulebook.entering(purpose.name):
        if by_pair(contract, purpose, policy):
            member, device = quote_name(contract.named_in(purpose.name)[0][0].name), quote_name(str(contract.device))
            named = f"{member} in (select member_id from gate_members where verdict = '{ELIGIBLE}')"
            only = f"({member} is null or {named})" if visitors and base(contract, purpose).visitors else named
            seen.append(f"select distinct coalesce({member}, '') as member_id, {device} as device_id from {raw_table(contract)} "
                        f"where {device} is not null and {only}")
    connection.execute("create or replace temp table seen as " + (
        " union ".join(seen) or "select null::varchar as member_id, null::varchar as device_id where false"))
    for name in (*of_members, *of_devices):
        kind = policy.consent_kinds[name]
        grant_records(connection, rulebook, kind, purpose.name, as_of)
        if kind.scope == "member":
            member_grants(connection, f"granted_{name}", kind, as_of)
        else:
            device_grants(connection, f"granted_{name}", "from seen", kind, as_of)


def _pair(connection: Connection, rulebook: Rulebook, purpose: Purpose, of_members: list[str], of_devices: list[str], give: bool) -> None:
    """Make `pairs` of what was seen."""
    if give:
        _give_to_visitors(connection, rulebook, purpose)
    ties = rulebook.policy.ties_devices
    since = "".join([*(f", s.since_{kind}" for kind in of_members), *(f", g_{kind}.granted_since as since_{kind}" for kind in of_devices)])
    joins = " ".join(f"left join granted_{kind} as g_{kind} on g_{kind}.member_id = q.member_id and g_{kind}.device_id = q.device_id"
                     for kind in of_devices)
    known = " or ".join(f"g_{kind}.granted_since is not null" for kind in of_devices) or "false"
    tied = f"g_{ties}.granted_since is not null" if ties in of_devices else "false"
    connection.execute(f"""create or replace temp table pairs as
        select * exclude (tied), case when member_id = '' or tied then device end as device_key from (
            select q.member_id, q.device_id, s.pseudonym, {tied} as tied,
                   case when q.member_id = '' then {visitor_pseudonym('v.salt', 'q.device_id')}
                        when {known} then {device_pseudonym('s.salt', 'q.member_id', 'q.device_id')} end as device {since}
            from seen as q left join subjects as s on s.member_id = q.member_id
            left join vault.visitors as v on v.device_id = q.device_id and q.member_id = '' {joins}
            where s.member_id is not null or v.device_id is not null)""")


def _give_to_visitors(connection: Connection, rulebook: Rulebook, purpose: Purpose) -> None:
    """Salts for the visitors who may be in: those with a running grant, or all where none is needed."""
    for contract in rulebook.entering(purpose.name):
        source = base(contract, purpose)
        if source.visitors and by_pair(contract, purpose, rulebook.policy):
            table = f"granted_{source.kind}" if source.kind else "seen"
            give_visitor_salts(connection, f"select device_id from {table} where member_id = ''")
