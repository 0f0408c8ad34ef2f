"""What stands in quarantine may be a withdrawal, or the end of an account, that came with a mistake in it: the mistake is nobody's consent.

Until such a row is mended (a good one has come in its place), what it says, or may say, counts as a refusal; a value of it that cannot be
read counts as the worst that it could be. Retention leaves the words of it that are needed for this, and nothing else, for as long as a
good row would stay.
"""

from __future__ import annotations

from pipelines.engines.duckdb_engine import quote_name, quote_text
from pipelines.lake.tables import quarantine_table, raw_table
from pipelines.policy.contract_types import Contract
from pipelines.quality.predicates import FORMS

MOMENT = "_moment"


def words(contract: Contract) -> tuple[str, ...]:
    """The columns of a row in quarantine that the gate needs; none: the gate does not read this dataset."""
    register, account = contract.consent_register, contract.account
    if register:
        return (*contract.key, register.member, register.device, register.kind, register.at)
    if account and contract.latest_by:
        return (*contract.key, contract.latest_by, account.deleted, account.age_confirmed, account.birthday)
    return ()


def unread_rows(contract: Contract) -> str:
    """SQL: a table of the rows that still count, with the texts of their `words` and the MOMENT that they say."""
    texts = ", ".join(f"{text(name)} as {quote_name(name)}" for name in words(contract))
    return f"(select {texts}, {moment(contract)} as {MOMENT} from {quarantine_table(contract)} as r where {pending(contract)})"


def moment(contract: Contract) -> str:
    """SQL: when row `r` of the quarantine says that it was made; null where that is no time, or one that was still to come: it may have been any."""
    name = _moment(contract)
    time = f"case when regexp_full_match({text(name)}, {quote_text(FORMS['TIMESTAMPTZ'])}) then try_cast({text(name)} as timestamptz) end"
    return f"case when ({time})::date <= r.received_on + 1 then {time} end"


def _moment(contract: Contract) -> str:
    return contract.consent_register.at if contract.consent_register else str(contract.latest_by)


def pending(contract: Contract) -> str:
    """SQL: whether row `r` of the quarantine still counts: no good row as new as it has come in its place."""
    key, name = quote_name(contract.key[0]), _moment(contract)
    unknown = "true" if contract.consent_register else f"o.{quote_name(name)}::date > r.received_on"
    return (f"not exists (select 1 from {raw_table(contract)} as o where o.{key} = {text(contract.key[0])} "
            f"and coalesce(o.{quote_name(name)} >= try_cast({text(name)} as timestamptz), {unknown}))")


def text(name: str) -> str:
    """SQL: what row `r` of a quarantine says in column `name`; null also where its line could not be read."""
    return f"(r.record::json ->> {quote_text(name)})"
