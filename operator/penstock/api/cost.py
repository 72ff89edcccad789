"""Money as it stands on an object's status: the words that all kinds share."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from penstock.api.model import StatusModel

MOVED: Final = Decimal("0.01")
"""The part by which an amount must move to be written again: sizes move all the time, and every word on an object is a write."""


class CostItem(StatusModel):
    """One part of the cost."""

    name: str
    """What is paid for."""
    quantity: str | None = None
    """How much of it a month, in its unit."""
    unit: str | None = None
    """What is counted: instance-hour, GB-month, write request unit and so on."""
    price: str | None = None
    """US dollars for one unit, or for as many as it says ("0.625 per 1,000,000")."""
    monthly: str | None = None
    """A month of it, in US dollars."""


class CostStatus(StatusModel):
    """Money, in US dollars."""

    monthly_estimate: str | None = None
    """What the declared shape costs a month of 730 hours; absent when no price of it is known."""
    month_to_date: str | None = None
    """What this month has cost."""
    forecast: str | None = None
    """What this month will have cost."""
    held: str | None = None
    """What a plan that a CostBudget keeps back would add; a part of monthlyEstimate."""
    basis: str | None = None
    """Estimate, or Partial when something that is paid for is not in the sum; see missing."""
    breakdown: tuple[CostItem, ...] = ()
    """The parts, which sum to the estimate."""
    assumptions: tuple[str, ...] = ()
    """What was taken to be so, a sentence each."""
    missing: tuple[str, ...] = ()
    """What is paid for and has no known price."""
    price_source: str | None = None
    """Where the prices come from, and their date: "Bundled 2026-11-23"."""
