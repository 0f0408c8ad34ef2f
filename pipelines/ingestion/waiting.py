"""What rests on a consent and comes without one waits in quarantine for a record that comes late, as long as the policy says and no longer;
then it is refused: counted, its values not kept (CLAUSES, Gate; C-2.7, C-8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pipelines.eligibility.held import without_grant
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.ingestion.balance import Balance
from pipelines.ingestion.batches import Batch, registered, restate
from pipelines.ingestion.check import CHECKED
from pipelines.ingestion.reasons import MISSING, WAITING
from pipelines.lake.tables import quarantine_table, raw_table
from pipelines.policy import due
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Policy, Rulebook


def set_aside(connection: Connection, rulebook: Rulebook, contract: Contract, over: str = "false") -> None:
    """Of the good rows in `checked` let those wait that lack their grant, and refuse those of which `over` (SQL of row c) is true. A row that is
    stored already has been judged."""
    if not contract.holding.consents:
        return
    without_grant(connection, rulebook, contract, f"(select c.* from {CHECKED} as c where c._verdict = 'good' and not {_stored(contract)})",
                  "without_a_grant")
    fields = ", ".join(f"{quote_text(c.name)}: c.{quote_name(c.name)}::varchar" for c in contract.columns)
    connection.execute(f"""update {CHECKED} as c set
            _verdict = case when {over} then 'refused' else 'quarantined' end,
            _reason = case when {over} then '{MISSING}' else '{WAITING}' end,
            _record = case when not ({over}) then to_json({{{fields}}})::varchar end
        where c._line in (select _line from without_a_grant)""")


def is_over(policy: Policy, received: str, as_of: date) -> str:
    """SQL: whether what came on the day `received` has waited long enough."""
    return due.is_due(policy.late_consents.sql(received), as_of)


def waiting(connection: Connection, rulebook: Rulebook, as_of: date) -> dict[str, tuple[int, int]]:
    """Dataset → rows that wait, and how many of them long enough."""
    found = {}
    for contract in rulebook.contracts.values():
        if contract.holding.consents:
            rows, overdue = connection.execute(
                f"select count(*), count(*) filter ({is_over(rulebook.policy, 'received_on', as_of)}) from {quarantine_table(contract)} "
                "where reason = ?", [WAITING]).fetchall()[0]
            if rows:
                found[contract.name] = rows, overdue
    return found


def refuse(connection: Connection, contract: Contract, where: Sequence[str]) -> list[Batch]:
    """Count as refused what waits of `contract` where any of the conditions (SQL of row r) is true, for the caller deletes it; the batches as
    they are registered now."""
    gone = connection.execute(f"select _batch, count(*) from {quarantine_table(contract)} as r where reason = '{WAITING}' and "
                              f"({' or '.join(f'({condition})' for condition in where)}) group by 1").fetchall() if where else []
    known = {batch.id: batch for batch in registered(connection, contract.name)} if gone else {}
    return [restate(connection, known[batch], refused(known[batch].balance, rows)) for batch, rows in sorted(gone)]


def refused(balance: Balance, rows: int) -> Balance:
    """The balance after `rows` that waited are refused."""
    reasons = {**balance.reasons, WAITING: balance.reasons.get(WAITING, 0) - rows, MISSING: balance.reasons.get(MISSING, 0) + rows}
    return Balance(balance.source, balance.read, balance.loaded, balance.quarantined - rows, balance.refused + rows, balance.already_known,
                   {reason: count for reason, count in reasons.items() if count > 0})


def _stored(contract: Contract) -> str:
    """SQL: whether the raw table holds row c already, or a newer state of it."""
    if not contract.key:
        return "false"
    same = " and ".join(f"r.{quote_name(k)} = c.{quote_name(k)}" for k in contract.key)
    newer = f" and r.{quote_name(contract.latest_by)} >= c.{quote_name(contract.latest_by)}" if contract.latest_by else ""
    return f"exists (select 1 from {raw_table(contract)} as r where {same}{newer})"
