"""Other people in a member's own data: named "member A, B" by labels made anew for each package, without id or contact (C-11.5)."""

from __future__ import annotations

from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.lake.tables import raw_table
from pipelines.policy.types import Rulebook

ME = "you"
REMOVED = "[contact removed]"
_EMAIL = r"[\p{L}\p{N}._%+-]+(?:@|%40)[\p{L}\p{N}.-]+\.\p{L}{2,}"
_IBAN = r"(?i)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"
_PHONE = ("(?:\\+|\\b00)[0-9]{1,3}(?:[ .()/\u00a0\u202f-]*[0-9]){8,12}|\\b0[1-9](?:[ ./\u00a0\u202f-]*[0-9]{2}){4}\\b")
_WORD = r"[\p{L}\p{N}_]+"
_EDGE = r"[^\p{L}\p{N}_]"
_LONGEST_NAME = 4  # words


def label_others(connection: Connection, rulebook: Rulebook, member: str, package: str) -> None:
    """Make `labels` (member_id, label) for everybody who shares a row with `member`; the order is the package's own."""
    parts = []
    for contract in rulebook.contracts.values():
        columns = [quote_name(s.column) for s in contract.subjects]
        if len(columns) > 1:
            mine = " or ".join(f"{c} = $member" for c in columns)
            parts += [f"select {c} as member_id from {raw_table(contract)} where {mine}" for c in columns]
    others = " union ".join(parts) or "select null::varchar as member_id"
    letter = "case when n < 26 then chr(65 + n) when n < 702 then chr(64 + n // 26) || chr(65 + n % 26) else (n + 1)::varchar end"
    connection.execute(f"""create or replace temp table labels as
        select member_id, 'member ' || {letter} as label
        from (select member_id, (row_number() over (order by sha256($package || member_id)) - 1)::int as n
              from ({others}) where member_id is not null and member_id <> $member)""",
                       {"member": member, "package": package} if parts else {"package": package, "member": member})


def labelled(column: str) -> str:
    """SQL: a subject column of row `r` as the member may see it."""
    return (f"case when r.{quote_name(column)} = $member then {quote_text(ME)} "
            f"else (select label from labels where member_id = r.{quote_name(column)}) end")


def without_others(text: str, names: list[str], own: list[str]) -> str:
    """SQL: the text without e-mail addresses, telephone numbers and bank accounts other than the member's own (`own`, from `own_contacts`),
    and without the ids and names of others (`names`, from `others_named`)."""
    for position, value in enumerate(own):  # set aside the member's own, so that only others' are removed
        text = _twice(text, rf"(^|[^\p{{L}}\p{{N}}._%+-]){_literal(value)}($|[^\p{{L}}\p{{N}}@._-]|\.(?:\s|$))", f"\\1{_mark(position)}\\2")
    for pattern in (_EMAIL, _IBAN, _PHONE):
        text = f"regexp_replace({text}, {quote_text(pattern)}, {quote_text(REMOVED)}, 'g')"
    for name in names:
        words = f"{_EDGE}+".join(map(_literal, name.split(" ")))
        text = _twice(text, f"(?i)(^|{_EDGE}){words}($|{_EDGE})", "\\1another member\\2")
    for position, value in enumerate(own):
        text = f"replace({text}, {quote_text(_mark(position))}, {quote_text(value)})"
    return text


def name_others(connection: Connection, rulebook: Rulebook, member: str) -> None:
    """Make `other_names` (name): ids and names of all other members, as words in small letters; once for a package."""
    accounts = rulebook.accounts
    names = [quote_name(accounts.key[0]), *(quote_name(c.name) for c in accounts.columns
                                            if c.visibility == "public" and c.identifiability == "direct" and c.category == "contact")]
    # a real name is one by two of its parts, in either order: a first name alone is a word like others
    private = [quote_name(c.name) for c in accounts.columns if c.visibility == "nobody" and c.identifiability == "direct" and c.category == "contact"]
    names += [f"({one} || ' ' || {two})" for one in private for two in private if one != two]
    others = " union ".join(f"select array_to_string({_words(name)}, ' ') as name from {raw_table(accounts)} "
                            f"where {quote_name(accounts.key[0])} <> $member" for name in names)
    connection.execute(f"create or replace temp table other_names as select name from ({others}) where length(name) > 1", {"member": member})


def others_named(connection: Connection, member: str, texts: str) -> list[str]:
    """Ids and names of other members (`other_names`) that occur in the query `texts` (one column, text), as words in small letters, the longest
    first; written in other letters, or with other marks between their words, they are the same name."""
    runs = " union ".join(f"select array_to_string(w[i:i + {n}], ' ') as name from (select w, unnest(range(1, len(w) + 1)) as i from said)"
                          for n in range(_LONGEST_NAME))
    rows = connection.execute(f"""with said as (select {_words('text')} as w from ({texts}))
        select distinct name from other_names join ({runs}) using (name) order by length(name) desc, name""", {"member": member}).fetchall()
    return [row[0] for row in rows]


def own_contacts(connection: Connection, rulebook: Rulebook, member: str) -> list[str]:
    """The member's own address and account: they stay in their own texts."""
    accounts = rulebook.accounts
    columns = [c.name for c in accounts.columns
               if c.identifiability == "direct" and c.category in ("contact", "bank_account") and c.visibility == "nobody"]
    row = connection.execute(f"select {', '.join(map(quote_name, columns))} from {raw_table(accounts)} "
                             f"where {quote_name(accounts.key[0])} = ?", [member]).fetchone()
    return sorted({v for v in row or () if v and len(v) > 3}, key=len, reverse=True)


def _words(text: str) -> str:
    """SQL: the text's words in small letters, as a list."""
    return f"regexp_extract_all(lower({text}), {quote_text(_WORD)})"


def _twice(text: str, pattern: str, by: str) -> str:
    """SQL: replaced twice, for two that stand side by side share the edge between them."""
    for _ in range(2):
        text = f"regexp_replace({text}, {quote_text(pattern)}, {quote_text(by)}, 'g')"
    return text


def _mark(position: int) -> str:
    return f"\ue000{position}\ue001"


def _literal(text: str) -> str:
    """The text as a pattern that means itself."""
    return "".join(c if c.isalnum() or c == "_" else "\\" + c if c.isascii() else c for c in text)
