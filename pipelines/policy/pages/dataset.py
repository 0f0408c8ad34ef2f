"""One page per dataset: what it is, why it is held, how long, who sees it, column by column."""

from __future__ import annotations

from pipelines.policy.contract_types import Contract
from pipelines.policy.pages import words
from pipelines.policy.types import Rulebook

_COPIES = "Copies made from a row (pseudonymised, marts, exports) never outlive it; a rejected row waits in quarantine for at most {} (C-10.4)."


def dataset_page(rulebook: Rulebook, contract: Contract) -> str:
    """The page of one dataset."""
    return words.page(
        contract.name,
        f"{contract.purpose} {contract.grain} Version {contract.version}; the rule itself: [{contract.path}](../../data_contracts/{contract.path}).",
        contract.limitations,
        words.table(("question", "answer"), [
            ("Whose data", _whose(contract)),
            ("Why held", words.holding(contract.holding)),
            ("Where from", words.ORIGINS[contract.holding.origin]),
            ("A new batch", _batch(contract)),
            ("Told apart by", words.code(contract.key) if contract.key else "batch and line"),
        ]),
        "## How long", _how_long(rulebook, contract),
        "## When a member is erased", _erased(contract),
        "## Who sees it", _who(rulebook, contract),
        "## Columns", "\"Purposes\" lists what leaves the raw zone, and how: a column that names no purpose enters none.",
        _columns(contract),
        *(["## Checks across columns", [f"- `{r.name}`: {r.description}" for r in contract.row_rules]] if contract.row_rules else []))


def _batch(contract: Contract) -> str:
    least, most, limit = *contract.volume, contract.bad_rows
    return (f"every {words.period(contract.every)}, {least:,} to {most:,} rows, or it is held back whole; one with more than "
            f"{limit.percent:g} % bad rows, and more than {limit.rows:,} of them, too")


def _whose(contract: Contract) -> str:
    subjects = words.listed(f"the {s.role} (`{s.column}`)" for s in contract.subjects)
    return subjects + (f"; of visitors the device (`{contract.device}`)" if contract.device else "")


def _how_long(rulebook: Rulebook, contract: Contract) -> list[str]:
    rows = [f"- {words.follows(rulebook, contract, entry)}" for entry in contract.retention]
    for column in contract.columns:
        if column.retention:
            rule = rulebook.policy.retention[column.retention]
            stays = "; the day itself stays" if column.name == contract.clock else ""
            rows.append(f"- `{column.name}` is emptied {words.rule(rule, f'the day of `{contract.clock}`')} ({rule.id}){stays}.")
        if column.door.only_while:
            other, values = column.door.only_while
            rows.append(f"- `{column.name}` is kept only while `{other}` is {words.listed(values)}.")
    if contract.sever_group:
        rows.append(f"- Rows with the same `{contract.sever_group}` end together, with the last live account among their authors (C-2.6).")
    if contract.holding.consents:
        rows.append(f"- What has no grant at its time waits in quarantine for {words.period(rulebook.policy.late_consents)}, for a record that comes "
                    f"late, and is then refused; a row goes with the first retention run after its consent was withdrawn "
                    f"({contract.holding.clause}).")
    rows += [f"- {sentence}" for sentence in words.archived(rulebook, contract)]
    return [*rows, f"- {_COPIES.format(words.period(rulebook.policy.quarantine))}"]


def _erased(contract: Contract) -> str:
    if contract.erasure == "delete":
        return "The whole row goes, with any of its members."
    ends = words.listed(f"the {s.role}" for s in contract.subjects if s.ends_row)
    marks = words.listed(f"`{s.mark}`" for s in contract.subjects if s.mark)
    told = "The row stays for the other party and is severed from the one who leaves: what becomes of each column stands below."
    if ends != "–":
        told += f" It goes whole with {ends}."
    return told + (f" It is marked as from a member who left in {marks} (C-2.6)." if marks != "–" else "")


def _who(rulebook: Rulebook, contract: Contract) -> list[str]:
    rows = [f"- On the platform: {words.VISIBILITY[level]}: {words.code(names)}" for level in rulebook.policy.visibility
            if (names := [c.name for c in contract.columns if c.visibility == level])]
    held = {c.category for c in contract.columns}
    for purpose in rulebook.policy.purposes.values():
        if contract.entering(purpose.name):
            state = f"marts {words.code(purpose.marts)}, read by the role {purpose.audience}" if purpose.marts else "no mart built yet"
            rows.append(f"- Purpose {purpose.name} ({purpose.clause}), under pseudonyms: {state}." if not purpose.identified
                        else f"- Purpose {purpose.name} ({purpose.clause}), identified: {state}.")
    if not any(contract.entering(name) for name in rulebook.policy.purposes):
        rows.append("- No purpose: it enters no profile and no mart.")
    given = [r.name for r in rulebook.policy.recipients.values() if held & set(r.receives)]
    rows.append(f"- Recipients of categories in it ([recipients](../recipients.md)): {words.code(given)}.")
    return rows


def _columns(contract: Contract) -> list[str]:
    rows = []
    for c in contract.columns:
        door = f" Rounded to {c.door.round} digits before it is written." if c.door.round is not None else ""
        door += f" Of a list in the source's field `{c.door.count}` only the length is taken." if c.door.count else ""
        enters = "<br>".join(f"{purpose}: {words.transform(t)}" for purpose, t in c.transforms.items())
        rows.append((f"`{c.name}`", c.description + door, c.type, words.checks(c), c.category, c.identifiability.replace("_", " "), c.visibility,
                     enters, words.export(c), words.ERASURE[c.erasure]))
    return words.table(("column", "what", "type", "checks", "category", "identifies", "visible to", "purposes", "export", "on erasure"), rows)
