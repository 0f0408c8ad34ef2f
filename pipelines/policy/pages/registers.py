"""The policy's retention table (C-10) and the register of recipients (C-1.1, C-5 to C-7)."""

from __future__ import annotations

from pipelines.policy.pages import words
from pipelines.policy.types import RetentionRule, Rulebook


def retention_page(rulebook: Rulebook) -> str:
    """Each rule with what follows it, then what ends for other reasons."""
    policy = rulebook.policy
    rows = [(rule.id, rule.description, words.rule(rule), *_followers(rulebook, rule)) for rule in policy.retention.values()]
    rejected = f"{words.period(policy.quarantine)} after they arrived, never later than the dataset's own rules"
    rows.append(("C-10.4", "Rows that were rejected", rejected, "quarantine of every dataset", "–"))
    by_consent = [c for c in rulebook.contracts.values() if c.holding.consents]
    rows += [(clause, "What is held by consent alone", "with the first run after its consent was withdrawn",
              words.code(c.name for c in by_consent if c.holding.clause == clause), "–") for clause in
             dict.fromkeys(c.holding.clause for c in by_consent)]
    rows.append(("C-8", "What has no grant at its time", f"{words.period(policy.late_consents)} after it arrived, for a consent that comes late",
                 f"quarantine of {words.code(c.name for c in by_consent)}", "–"))
    rows.append(("C-10.4", "Finished packages", f"{policy.outbox_hours} hours after they were made", "outbox", "–"))
    taken = f"{words.period(policy.extracts)} after they were taken, never later than a row or a member among them"
    rows.append(("C-10.4", "Rows that somebody took out of a mart", taken, "extracts", "–"))
    consents = [f"- `{k.name}` ({k.clause}): {words.period(k.expires)} after it was given, then *unknown*."
                for k in policy.consent_kinds.values() if k.expires]
    return words.page(
        "Retention",
        "The clock starts on the Europe/Paris day, never on that of ingestion; due is the day plus the period, months clipped to the month's end. "
        "After the run of day T nothing with due ≤ T exists; a row that is due on arrival is refused and counted (C-10.0). "
        "Of several rules the earliest wins.",
        words.table(("rule", "what the policy says", "due", "datasets", "single columns"), rows),
        "Derived data (pseudonymised copies, marts, exports) never outlive their source (C-10.4). A hold suspends deletion of exactly the named "
        "records, with reason and review date (C-10.5).",
        "## Consents that run out", consents, *_archives(rulebook))


def _archives(rulebook: Rulebook) -> tuple[str | list[str], ...]:
    """Which laws may keep what beyond these rules, and whether counsel decided that they do."""
    found = [(f"`{one.name}`", one.law, f"[{one.dataset}](datasets/{one.dataset}.md)", words.code(one.columns), words.period(one.period),
              f"on: {one.decided}" if one.on else "off") for one in rulebook.policy.legal_archive.values()]
    said = ("A rule that is on copies these columns, of each record that goes or loses a side, into a zone with a key of its own, until the period "
            "after the day of the event is over (of an account: after its end). A candidate that is off keeps nothing; the controller's counsel "
            "decides.")
    table = words.table(("rule", "law", "dataset", "columns", "period", "state"), found)
    return ("## Legal archives (C-10.8)", said, table) if found else ()


def _followers(rulebook: Rulebook, rule: RetentionRule) -> tuple[str, str]:
    datasets = [f"`{c.name}`" + (" (rows without a member)" if e.visitors_only else "") for c in rulebook.contracts.values() for e in c.retention
                if e.rule == rule.id]
    columns = [f"{c.name}.{column.name}" for c in rulebook.contracts.values() for column in c.columns if column.retention == rule.id]
    return ", ".join(datasets), words.code(columns)


def recipients_page(rulebook: Rulebook) -> str:
    """Who may be given data, then what is public."""
    policy = rulebook.policy
    rows = [(f"`{r.name}`", r.clause, words.KINDS[r.kind], words.GROUNDS[r.ground], r.country, words.SAFEGUARDS[r.safeguard], r.document or "–",
             words.day(r.until), ", ".join(r.receives)) for r in policy.recipients.values()]
    public = [(f"[{c.name}](datasets/{c.name}.md)", words.code(names)) for c in rulebook.contracts.values()
              if (names := [column.name for column in c.columns if column.visibility == "public"])]
    shared = {name for r in policy.recipients.values() if r.kind != "processor" for name in r.receives}
    return words.page(
        "Recipients",
        "Data are not sold or rented (C-1.1): whoever is given any stands here with a ground and gives nothing for it. Nobody else is a recipient. "
        "Each disclosure is recorded ([disclosures](datasets/disclosures.md)). A safeguard that has lapsed is none.",
        "## Processors, group, third parties and authorities (C-5, C-7)",
        words.table(("recipient", "clause", "what it is", "ground", "country", "safeguard", "document", "until", "categories"), rows),
        f"Given to no one but processors: {', '.join(name for name in policy.categories if name not in shared)}.",
        "## From a pseudonym to a person (C-3.3b, C-3.4)",
        "By `kampeky disclose`, each time recorded with who asked, why and of how many; in no other purpose is there such a command. Of a channel "
        "the gate is asked again at that moment, and address, channel and template are given, nothing else.",
        words.table(("purpose", "clause", "channel", "consent", "address", "recipient"), [
            row for one in policy.resolving.values() for row in
            ([(one.purpose, c.clause, c.name, f"`{c.kind}`", f"`{c.address}`", f"`{c.recipient}`") for c in one.channels.values()]
             or [(one.purpose, one.clause, "–", "–", "the member’s id", f"the role {policy.purposes[one.purpose].audience}")])]),
        "## Public on the internet (C-6)",
        "What members publish is seen by everybody and found by search engines.",
        words.table(("dataset", "columns"), public))
