"""How a rule is said in words: the vocabulary of the policy and contracts as a person would read it. Each word is translated here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from pipelines.foundation.dates import Period
from pipelines.policy.contract_types import Account, Column, Contract, DatasetRetention, Holding, Transform
from pipelines.policy.types import RetentionRule, Rulebook, Source

MARK = "Written by `kampeky contracts docs` from data_contracts/; change a rule there, not this file."
BASES = {"consent": "consent (Art. 6(1)(a))", "contract": "contract (Art. 6(1)(b))", "legal_obligation": "legal obligation (Art. 6(1)(c))",
         "legitimate_interest": "legitimate interest (Art. 6(1)(f))"}
ORIGINS = {"member": "the member", "observed": "observed when the platform is used", "social_network": "the linked Google or Facebook account",
           "payment_institution": "the payment institution", "platform": "the platform itself"}
VISIBILITY = {"public": "everybody, search engines too (C-6)", "members": "members", "counterpart": "the other party", "nobody": "nobody"}
ERASURE = {"delete": "goes with its row", "empty": "emptied", "redact": "the member's name and contacts are taken out", "keep": "stays"}
SAFEGUARDS = {"eea": "inside the European Economic Area", "adequacy": "adequacy decision (Art. 45)",
              "clauses": "standard contractual clauses (Art. 46)"}
GROUNDS = {"necessary": "necessary for the service", "consent": "the member's consent", "obligation": "legal obligation",
           "processor": "on our behalf (Art. 28)"}
KINDS = {"processor": "processor", "group": "entity of the group", "authority": "public authority", "third_party": "third party"}
# what a transform leaves of a value, as the end of a sentence about the column
TRANSFORMS = {
    "pseudonym": "pseudonym", "keep": "as it is", "month": "the month", "paris_day": "the day in Paris", "age_band": "an age band of ten years",
    "presence": "whether there is one", "keyed_hash": "a keyed hash of this purpose", "route": "the kind of page",
    "device_class": "the kind of device", "browser": "the name of the browser", "region": "the region", "degree": "the whole degree",
    "moment": "the time", "device": "a pseudonym of the device",
}


def period(one: Period) -> str:
    """'5 years', '1 month and 2 days'."""
    parts = [f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in ((one.years, "year"), (one.months, "month"), (one.days, "day")) if n]
    return " and ".join(parts) or "no time"


def chain(periods: Sequence[Period]) -> str:
    """Periods that are added one after another: 'five years and then 3 months'."""
    return " and then ".join(map(period, periods))


def rule(one: RetentionRule, day: str = "the day of the event", account: Account | None = None) -> str:
    """When what follows the rule is due; `day` says from which day, `account` names the columns of an account's end."""
    if one.clock == "event_day":
        return f"{chain(one.periods)} after {day}"
    deleted, active = (f" (`{account.deleted}`)", f" (`{account.last_activity}`)") if account else ("", "")
    return (f"{chain(one.after_deletion)} after the account is deleted{deleted}, or {chain(one.after_last_activity)} after its last "
            f"activity{active}, whichever is earlier")


def follows(rulebook: Rulebook, contract: Contract, entry: DatasetRetention) -> str:
    """One retention rule of a dataset as a sentence with its clause."""
    found = rulebook.policy.retention[entry.rule]
    rows = "Rows that name no member go" if entry.visitors_only else "A row goes"
    return f"{rows} {rule(found, f'the day of `{contract.clock}`', rulebook.accounts.account)} ({found.id})."


def archived(rulebook: Rulebook, contract: Contract) -> list[str]:
    """A sentence per legal archive that keeps columns of the dataset (C-10.8); none of a candidate that is off."""
    day = "its end" if contract.account else f"the day of `{contract.clock}`"
    return [f"Of what goes, {code(one.columns)} are kept for a law alone until {period(one.period)} after {day}: {one.law} (C-10.8; decided by "
            f"{one.decided})." for one in rulebook.policy.archives.values() if one.dataset == contract.name]


def holding(one: Holding) -> str:
    kind = f", kind `{one.kind}`" if one.kind else ""
    if one.by:
        kind = f", by `{one.by}`: " + ", ".join(f"{value} {f'`{which}`' if which else 'none needed'}" for value, which in one.kinds.items())
    return f"{BASES[one.basis]}{kind} ({one.clause})"


def basis(one: Source) -> str:
    """A source's basis, short enough for a cell."""
    limits = "; ".join(f"only {column} = {' or '.join(values)}" for column, values in one.rows)
    if one.own:
        return f"consent: each of its own kind ({', '.join(f'`{kind}`' for kind in one.kinds)})"
    said = one.basis.replace("_", " ") + (f" `{one.kind}`" if one.kind else "") + (f" ({limits})" if limits else "")
    return f"{said}; visitors, too" if one.visitors else said


def transform(one: Transform) -> str:
    values = f" ({', '.join(one.values)}, else other)" if one.values else ""
    return f"{TRANSFORMS[one.use]}{values} as `{one.output}`"


def export(column: Column) -> str:
    words = {"portability": "portability", "access_only": "access only", "none": "none"}[column.export.kind]
    return f"{words}: {column.export.reason}" if column.export.reason else words


FORM_NAMES = {"email": "e-mail address", "iban": "IBAN", "phone": "telephone number", "country": "country of ISO 3166-1"}


def checks(column: Column) -> str:
    """What a value must be like."""
    limits = [("required", column.required), (f"one of {', '.join(column.allowed)}", column.allowed),
              (f"matches `{column.pattern}`", column.pattern), (f"a valid {FORM_NAMES.get(str(column.form))}", column.form),
              ("not empty" if column.min_length == 1 else f"at least {column.min_length} characters", column.min_length),
              (f"at most {column.max_length} characters", column.max_length is not None),
              (f"from {column.minimum}", column.minimum is not None), (f"to {column.maximum}", column.maximum is not None)]
    return "; ".join(words for words, holds in limits if holds)


def described(contract: Contract, column: Column, one: Transform, rulebook: Rulebook, purpose: str) -> str:
    """A column of a purpose zone in a sentence or two."""
    source = rulebook.policy.purposes[purpose].sources
    key = contract.pseudonymous_key(purpose)
    text = column.description if column.description.endswith(".") else f"{column.description}."
    if one.use == "device":
        text = f"Pseudonym of the device in the domain of {purpose}; of a member's only with functional consent on it."
    elif one.use == "pseudonym":
        role = next(s.role for s in contract.subjects if s.column == column.name)
        text = f"Pseudonym of the {role} in the domain of {purpose}; it means nothing elsewhere."
    elif one.use != "keep":
        text = f"{text} Here {TRANSFORMS[one.use]}."
    if column.retention and column.name != contract.clock:
        text += f" Empty once due ({column.retention})."
    if key and source[one.category] != source[key.category] and source[one.category].kind:
        text += f" Empty without consent {source[one.category].kind}."
    return text


def day(one: date | None) -> str:
    return one.isoformat() if one else "–"


def listed(words: Iterable[str]) -> str:
    """'a, b and c'; a dash for none."""
    found = list(words)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found) or "–"


def code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "–"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, its cells kept in their cells."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(' '.join(str(cell).replace('|', chr(92) + '|').split()) or '–' for cell in row)} |" for row in rows]


def page(title: str, *blocks: str | Sequence[str]) -> str:
    """A page of blocks (paragraphs, or lines of a list or table) with a blank line between them."""
    parts = [f"# {title}", MARK, *(block if isinstance(block, str) else "\n".join(block) for block in blocks if block)]
    return "\n\n".join(parts) + "\n"


def categories(rulebook: Rulebook, names: Iterable[str]) -> Mapping[str, list[str]]:
    """Of these categories, which datasets hold each."""
    return {name: [c.name for c in rulebook.contracts.values() if any(column.category == name for column in c.columns)] for name in names}
