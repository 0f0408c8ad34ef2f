"""What was erased does not come back: rows that were collected before an erasure are treated at the door as the erasure treated those in raw
(C-11.3), and so are those of an account that ended since (C-10.3).

Rows of datasets that go with their member are refused and counted, and so is a text of which the erased one is a party, for nobody knows any more
which name to take out of it. A shared record of another kind comes in without the erased side. In other people's texts the ids and addresses of who
was erased make way; so none of it is written anywhere, quarantine included. What was collected afterwards is somebody new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import Refused
from pipelines.identity import tombstones
from pipelines.identity.tombstones import EMAIL, MEMBER, collected, erased_rows, is_erased, names_of, words_of
from pipelines.ingestion.check import CHECKED
from pipelines.ingestion.reasons import ERASED
from pipelines.lake.tables import raw_table
from pipelines.policy.contract_types import Contract
from pipelines.policy.types import Rulebook
from pipelines.policy.vocabulary import CONTACT_REMOVED


def doubts(connection: Connection, contract: Contract, columns: Sequence[str], source: str, day: date) -> dict[str, str]:
    """Column → SQL of whether a value of it may be of somebody who was erased, for those of `columns` where there is one; `source` is read once."""
    if not tombstones.any_left(connection):
        return {}
    named = [(column, kind) for column, kind in names_of(contract) if column in columns]
    texts = [c.name for c in contract.columns if c.identifiability == "free_text" and c.name in columns]
    parts = [f"{{k: {quote_text(kind)}, v: {quote_name(column)}::varchar}}" for column, kind in (*named, *((text, "text") for text in texts))]
    connection.execute(f"create or replace temp table at_the_door as select distinct k as kind, v as value from "
                       f"(select unnest([{', '.join(parts)}], recursive := true) from {source}) where v is not null")
    told = tombstones.mark_erased(connection, "select kind, value from at_the_door where kind <> 'text'", day, ended=True)
    found = {column: f"list_contains(getvariable('erased_here'), {quote_name(column)}::varchar)" for column, _ in named} if told else {}
    connection.execute(f"set variable erased_here = (select list(distinct value) from {tombstones.ERASED})")
    if tombstones.mark_erased(connection, _words("select value as text from at_the_door where kind = 'text'"), day):
        connection.execute(f"set variable erased_words = (select list(distinct value) from {tombstones.ERASED})")
        found |= {text: f"list_has_any(getvariable('erased_words'), list_concat({', '.join(words)}))" for text in texts
                  for words in [[words for _, words in words_of(f"{quote_name(text)}::varchar")]]}
    return found


def refuse_forgotten(connection: Connection, contract: Contract, rows: str, day: date, where: str) -> None:
    """Refuse an extract that is older than what is still known of erasures: somebody who was erased may stand in it. Its age is that of its newest
    row; `rows`: SQL of it."""
    before = tombstones.forgotten_before(connection, day)
    moments = [name for name in (contract.latest_by, contract.clock, contract.account.registered if contract.account else None) if name]
    if before is None or not moments:
        return
    newest = connection.execute(f"select max(greatest({', '.join(f'{quote_name(m)}::timestamptz' for m in moments)})) from {rows}").fetchall()[0][0]
    if newest is not None and newest < before:
        raise Refused(f"{where}: its newest row is older than an erasure of which nobody knows any more whom it concerned, so what was erased could "
                      "come back with it. Take a new extract from the source. Nothing of it was loaded.", "C-11.3")


def set_aside(connection: Connection, rulebook: Rulebook, contract: Contract, day: date) -> None:
    """Judge the rows in `checked` by the tombstones in the vault, which is attached, under the key in use."""
    if not tombstones.any_left(connection):
        return
    if tombstones.mark_erased(connection, " union all ".join(_asked(contract)), day, ended=True):
        _refuse(connection, contract, f"select {quote_name(rulebook.accounts.key[0])} from {raw_table(rulebook.accounts)}")
    _clean_texts(connection, contract, day)


def _asked(contract: Contract) -> Iterator[str]:
    """Queries (kind, value) of what names somebody in the rows."""
    for column, kind in names_of(contract):
        yield f"select {quote_text(kind)} as kind, {quote_name(column)} as value from {CHECKED}"


def _refuse(connection: Connection, contract: Contract, accounts: str) -> None:
    at = collected(contract, "c")
    gone = {s.column: is_erased(MEMBER, f"c.{quote_name(s.column)}", at) for s in contract.subjects}
    if contract.erasure == "delete":
        refused = erased_rows(contract, "c", accounts)
    else:
        parties = list(gone.values())
        texts = any(c.identifiability == "free_text" for c in contract.columns)
        ending = [gone[s.column] for s in contract.subjects if s.ends_row]
        refused = " or ".join(parties if texts else [*ending, "(" + " and ".join(parties) + ")"])
    connection.execute(f"""update {CHECKED} as c set _verdict = 'refused', _reason = '{ERASED}', _record = null
        where c._verdict <> 'refused' and ({refused})""")
    if contract.erasure != "delete":
        sides = ", ".join(f"{quote_name(column)} = case when {erased} then null else c.{quote_name(column)} end" for column, erased in gone.items())
        connection.execute(f"update {CHECKED} as c set {sides} where c._verdict = 'good' and ({' or '.join(gone.values())})")


def _clean_texts(connection: Connection, contract: Contract, day: date) -> None:
    """Ids and addresses of who was erased in other people's texts, and in records that are set aside: those go whole, nobody knows what else they
    say."""
    at, texts = collected(contract, "c"), [c.name for c in contract.columns if c.identifiability == "free_text"]
    sources = [f"select {quote_name(name)}::varchar as text from {CHECKED} where _verdict = 'good'" for name in texts]
    sources.append(f"select _record::varchar as text from {CHECKED} where _verdict = 'quarantined'")
    if not tombstones.mark_erased(connection, _words(" union all ".join(sources)), day):
        return
    found = connection.execute("select kind, value, max(erased_at) from erased_values group by all order by 1, 2").fetchall()
    for kind, value, erased_at in found:
        _take_out(connection, at, texts, kind, value, erased_at)


def _words(texts: str) -> str:
    """SQL (kind, value): the words of the query `texts` (text) that could name somebody."""
    return " union all ".join(f"select {quote_text(kind)} as kind, unnest({words}) as value from (select distinct text from ({texts}) "
                              "where text is not null)" for kind, words in words_of("text"))


def _take_out(connection: Connection, at: str, texts: list[str], kind: str, value: str, erased_at: datetime) -> None:
    edge = "[^A-Za-z0-9]"
    pattern = f"{'(?i)' if kind == EMAIL else ''}(^|{edge}){''.join(c if c.isalnum() or c == '_' else chr(92) + c for c in value)}($|{edge})"
    before = f"coalesce({at} < $at, true)"
    for name in texts:
        for _ in range(2):  # two side by side share the edge between them
            connection.execute(f"update {CHECKED} as c set {quote_name(name)} = regexp_replace({quote_name(name)}, $pattern, $by, 'g') "
                               f"where c._verdict = 'good' and {before} and regexp_matches({quote_name(name)}, $pattern)",
                               {"pattern": pattern, "by": rf"\1{CONTACT_REMOVED}\2", "at": erased_at})
    connection.execute(f"update {CHECKED} as c set _verdict = 'refused', _reason = '{ERASED}', _record = null where c._verdict = 'quarantined' "
                       f"and {before} and regexp_matches(_record::varchar, $pattern)", {"pattern": pattern, "at": erased_at})
