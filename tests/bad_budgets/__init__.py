"""The table of wrong budgets, in the form of the wrong tables."""

from __future__ import annotations

from pathlib import Path

import bad_tables
from bad_tables import Case

__all__ = ["Case", "cases"]


def cases(table: str, section: str = "cases") -> list[Case]:
    """The cases of `create`."""
    return bad_tables.cases(table, section, Path(__file__).parent)
