"""The record of processing activities (Art. 30(1) GDPR), from the same rules by which the platform runs."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.policy.contract_types import Contract
from pipelines.policy.pages import words
from pipelines.policy.types import Purpose, Recipient, Rulebook

_MEASURES = (
    "Data as collected, rejected data, the register of subjects, pseudonymised data, published tables and evidence are separate stores.",
    ("Stores are encrypted, each under a key of its own, but for marts that a purpose publishes plain: those hold pseudonyms and no direct "
     "identifier. Files are readable by their owner only, published marts by their group too."),
    "Access is by role, and no role opens two pseudonym domains, nor data as collected together with a profile (C-3.3b, C-4).",
    "Profiles stand under keyed pseudonyms that differ per purpose; a column enters a purpose only if a contract names how.",
    "Every row is checked before it is stored; passwords, full card numbers and fields that no contract names are refused.",
    "Re-identification risk is measured, and direct identifiers are looked for, before anything is published.",
    "Deletion is physical, planned and proved; every act is written to a log that a later change would break.",
)


def records_page(rulebook: Rulebook) -> str:
    """Controller, one activity per dataset held and one per purpose, transfers, time limits, measures."""
    policy, controller = rulebook.policy, rulebook.policy.controller
    return words.page(
        "Record of processing activities (Art. 30(1))",
        f"Under policy version {policy.version} of {policy.versions[-1].since.isoformat()}. A reading by software, not legal advice.",
        "## (a) Controller", words.table(("", ""), [("Name", controller.name), ("Address", controller.address),
                                                      ("Contact for data protection", controller.contact)]),
        "## (b) to (d), (f) What is collected and held",
        words.table(("dataset", "why (b)", "legal basis", "whose data (c)", "categories of data (c)", "from", "recipients (d)", "until (f)"),
                    [_held(rulebook, contract) for contract in rulebook.contracts.values()]),
        "## (b) to (d), (f) What it is used for",
        words.table(("purpose", "what for (b)", "legal basis by category of data (c)", "whose data (c)", "read by (d)", "until (f)"),
                    [_used(rulebook, purpose) for purpose in policy.purposes.values()]),
        "## (c) Categories of data", words.table(("category", "clause", "what", "datasets"), [
            (name, c.clause, c.description, words.code(words.categories(rulebook, [name])[name])) for name, c in policy.categories.items()]),
        "## (d) Recipients", "By kind here; by name, with what each receives, in [recipients](recipients.md).",
        [f"- {words.KINDS[kind]}: {words.code(r.name for r in policy.recipients.values() if r.kind == kind)}" for kind in words.KINDS],
        "## (e) Transfers to third countries", _transfers(policy.recipients.values()),
        "## (f) Time limits", "Stand above in words; the table of rules is [retention](retention.md).",
        "## (g) Security", [f"- {measure}" for measure in _MEASURES],
        words.table(("role", "keys held"), [(name, words.code(keys) if keys else "none") for name, keys in policy.roles.items()]))


def _held(rulebook: Rulebook, contract: Contract) -> tuple[str, ...]:
    held = list(dict.fromkeys(c.category for c in contract.columns))
    given = [r.name for r in rulebook.policy.recipients.values() if set(held) & set(r.receives)]
    emptied: dict[str, list[str]] = {}
    for column in contract.columns:
        if column.retention:
            emptied.setdefault(column.retention, []).append(column.name)
    limits = " ".join([*(words.follows(rulebook, contract, entry) for entry in contract.retention),
                       *(f"Emptied {words.rule(rulebook.policy.retention[rule], f'the day of `{contract.clock}`')}: {words.code(names)} ({rule})."
                         for rule, names in emptied.items()), *words.archived(rulebook, contract)])
    return (f"[{contract.name}](datasets/{contract.name}.md)", contract.purpose, words.holding(contract.holding), _subjects([contract]),
            ", ".join(held), words.ORIGINS[contract.holding.origin], words.code(given), limits)


def _used(rulebook: Rulebook, purpose: Purpose) -> tuple[str, ...]:
    sources = rulebook.entering(purpose.name)
    bases = "<br>".join(f"{category}: {words.basis(source)}" for category, source in purpose.sources.items())
    until = "as long as the rows it is made from (C-10.4)" if sources else "nothing is used yet"
    whose = _subjects(sources, visitors=False) if sources else "–"
    return (f"{purpose.name} ({purpose.clause})", purpose.description, bases, whose, f"role {purpose.audience}", until)


def _subjects(contracts: Iterable[Contract], visitors: bool = True) -> str:
    """Categories of data subjects: members by their part, and visitors where rows need not name one (no such row enters a purpose)."""
    found = list(contracts)
    roles = list(dict.fromkeys(s.role for c in found for s in c.subjects))
    parts = [role for role in roles if role != "member"]
    unnamed = visitors and any(not c.column(s.column).required and c.erasure == "delete" and (c.device or c.format == "access_log" or any(
        e.visitors_only for e in c.retention)) for c in found for s in c.subjects)
    return "members" + (f" (as {', '.join(parts)})" if parts else "") + ("; visitors" if unnamed else "")


def _transfers(recipients: Iterable[Recipient]) -> list[str] | str:
    outside = [(f"`{r.name}`", r.country, words.SAFEGUARDS[r.safeguard], r.document or "–", words.day(r.until), ", ".join(r.receives))
               for r in recipients if r.safeguard != "eea"]
    return words.table(("recipient", "country", "safeguard", "document", "until", "categories"), outside) if outside else "None."
