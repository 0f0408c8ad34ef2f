"""What no file delivers: objections, restrictions and holds, which members and compliance give by command (`kampeky request`, `kampeky hold`).

One line each, in the order of time: what was done and when, and about whom or what. Whoever tries the platform with the marketplace carries
them out after its files are ingested. It belongs to the truth of a marketplace, for it is no delivery.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pipelines.simulation import cases, transactions
from pipelines.simulation.dice import literals
from pipelines.simulation.lines import PLAIN, json_line, quoted, word
from pipelines.simulation.world import DAY_US, World, at_utc, midnight_us


def write(world: World, path: Path) -> int:
    """One line for each act: of members who were there on the last day, and of disputed sales of the last weeks. Of a member or sale that is not
    loaded (a defect, due on arrival) there is nothing to object to or to hold."""
    dice, last = world.dice, midnight_us(world.end)
    purposes = world.words.purposes
    received = dice.within(str(last - cases.ASKED_DAYS * DAY_US), str(last), "received", "m")
    objected = f"{literals(purposes)}[1 + {dice.below(len(purposes), 'objected to', 'm')}]" if purposes else "null"
    members = f"{world.delivered('member', 'members')} join named on named.no = m where defect is null and life is distinct from 'due_on_arrival'"
    asked = [f"select {received} as us, '{act}' as act, id as member, {purpose} as purpose, null as sale from {members} "
             f"and {dice.chance(share, act, 'm')}"
             for act, share, purpose in (("objection", cases.OBJECTED if purposes else 0, objected), ("restriction", cases.RESTRICTED, "null"))]
    first = max(world.start_us, last - cases.DISPUTED_DAYS * DAY_US)
    held = f"""select {last} as us, 'hold' as act, null as member, null as purpose, {transactions.identifier(world)} as sale
        from {world.delivered('sale', 'transactions')}
        where defect is null and us between {first} and {last} and {transactions.status(world)} = 'disputed'
            and {dice.chance(cases.HELD, 'held', 'key')}"""
    review = world.end + timedelta(days=cases.REVIEWED_AFTER_DAYS)
    line = json_line(
        at=word(at_utc("us")), act=word("act"), member_id=quoted("member"), purpose=quoted("purpose"), dataset=_of_sale("transactions"),
        key=quoted("sale"), reason=_of_sale("dispute"), review_on=_of_sale(review.isoformat()))
    everything = f"(select * from ({' union all '.join([*asked, held])}) order by us, act, member, sale)"
    return world.write(f"select {line} from {everything}", path, f"{PLAIN}, header false")


def _of_sale(text: str) -> str:
    return quoted(f"case when sale is not null then '{text}' end")
