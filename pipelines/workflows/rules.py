"""The rules that every workflow starts from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipelines.foundation.home import project_folder
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.types import Rulebook


def rules() -> Rulebook:
    """The rulebook of the project's data_contracts/."""
    return _load(project_folder() / "data_contracts")


@cache
def _load(folder: Path) -> Rulebook:
    return load_rulebook(folder)
