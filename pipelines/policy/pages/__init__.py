"""The pages people read, written from the rules: Rulebook → path → text.

Pure and complete: the same rules give the same bytes, and nothing stands on a page that a rule does not say. What the law wants of a record
(Art. 30) and what the policy promises (C-…) is so never retold by hand.
"""

from __future__ import annotations

from pipelines.policy.pages.dataset import dataset_page
from pipelines.policy.pages.purposes import purposes_page
from pipelines.policy.pages.records import records_page
from pipelines.policy.pages.registers import recipients_page, retention_page
from pipelines.policy.types import Rulebook

__all__ = ["pages"]


def pages(rulebook: Rulebook) -> dict[str, str]:
    """Every page, by its path below the project."""
    made = {f"docs/datasets/{contract.name}.md": dataset_page(rulebook, contract) for contract in rulebook.contracts.values()}
    return made | {"docs/purposes.md": purposes_page(rulebook), "docs/retention.md": retention_page(rulebook),
                   "docs/recipients.md": recipients_page(rulebook), "docs/art30.md": records_page(rulebook)}
