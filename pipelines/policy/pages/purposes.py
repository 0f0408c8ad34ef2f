"""The purpose matrix (C-3.0, C-3.3a): which category may flow into which purpose on what basis, and which column does."""

from __future__ import annotations

from pipelines.policy.pages import floors, words
from pipelines.policy.types import Purpose, Rulebook

_RULE = ("A category that is not named for a purpose does not flow in (C-3.3a), whatever column carries it; and of a category that is named only "
         "the columns flow in that name a transform (deny by default). So the limits that part 2 sets for single data win over part 3 (C-3.0): "
         "log files, friends, card digits, location and telephone are categories of their own. A dash is a limit, not a gap.")


def purposes_page(rulebook: Rulebook) -> str:
    """The matrix, then each purpose."""
    policy = rulebook.policy
    matrix = [(f"{name} ({category.clause})", category.description,
               *(words.basis(p.sources[name]) if name in p.sources else "–" for p in policy.purposes.values()))
              for name, category in policy.categories.items()]
    kinds = [(f"`{k.name}`", k.clause, f"the {k.scope}", f"unknown after {words.period(k.expires)}" if k.expires else "until it is withdrawn",
              words.listed(sorted({p.name for p in policy.purposes.values() for s in p.sources.values() if k.name in s.kinds})),
              words.code(c.name for c in rulebook.contracts.values() if k.name in c.holding.consents)) for k in policy.consent_kinds.values()]
    grants = ("Where the basis is consent, only a grant passes that runs unbroken from the event to the build; where it is contract or legitimate "
              "interest, all pass but those who objected, are restricted, left, or whose age is unknown. "
              f"Express are: {', '.join(policy.express_methods)}. Never consent (C-8): {', '.join(policy.never_consent)}.")
    blocks: list[str | list[str]] = [
        f"Policy version {policy.version}. {_RULE}",
        words.table(("category", "what", *policy.purposes), matrix),
        "## Consents",
        grants,
        words.table(("kind", "clause", "given per", "lasts", "basis of purpose", "dataset held under it"), kinds)]
    for purpose in policy.purposes.values():
        blocks += _purpose(rulebook, purpose)
    why = ("The published policy says these plainly; `policy.yaml` and contracts may be tighter. A looser one is refused when it is read, and under "
           "rules that cannot be read nothing stays published.")
    blocks += ["## What no file here may loosen", why, [f"- {sentence}" for sentence in floors.sentences()]]
    return words.page("Purposes", *blocks)


def _purpose(rulebook: Rulebook, purpose: Purpose) -> list[str | list[str]]:
    state = f"Marts: {words.code(purpose.marts)}" if purpose.marts else "Marts: none built yet"
    how = "identified (it names persons), " if purpose.identified else "under pseudonyms of its own domain, "
    shut = [name for name in rulebook.policy.categories if name not in purpose.sources]
    rows = []
    for name, source in purpose.sources.items():
        columns = [f"`{c.name}.{column.name}`: {words.transform(t)}" for c in rulebook.contracts.values() for column, t in c.entering(purpose.name)
                   if t.category == name]
        rows.append((name, words.basis(source), "<br>".join(columns) or "allowed, but no column does"))
    return [f"## {purpose.name} ({purpose.clause})",
            f"{purpose.description}. {state}; {how}published {purpose.published}, read by the role {purpose.audience}.",
            words.table(("category", "basis", "columns that flow in"), rows), f"Never flows in: {', '.join(shut)}."]
