"""Money as it stands on an object's status: the words that all kinds share."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from penstock.api.model import StatusModel, Timestamp

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


class SpentItem(StatusModel):
    """One part of what was spent."""

    name: str
    """What was paid for."""
    amount: str
    """In US dollars."""


class CostStatus(StatusModel):
    """Money, in US dollars."""

    monthly_estimate: str | None = None
    """What the declared shape costs a month of 730 hours; absent when no price of it is known."""
    month_to_date: str | None = None
    """What this month (UTC) has cost so far: what is paid by time as it ran, what is paid by use as CloudWatch counted it.
    Told from the first hour on."""
    forecast: str | None = None
    """What this month will have cost at the pace of the last seven days."""
    pace: str | None = None
    """What 730 hours cost at that pace, to be held against monthlyEstimate."""
    against_estimate: str | None = None
    """How far the pace is off the estimate ("+12 %")."""
    measured_at: Timestamp | None = None
    """Until when monthToDate reaches. It is told anew after six hours if it moved by 1 %, after one if it moved by 10 %."""
    spent: tuple[SpentItem, ...] = ()
    """The parts of monthToDate."""
    spend_source: str | None = None
    """CloudWatch, Hours (nothing of it is paid by use), or why CloudWatch could not be read."""
    watching: str | None = None
    """What reading its metrics costs a month; not part of any other amount."""
    billed: str | None = None
    """What AWS billed for it this month so far, by Cost Explorer and the tag penstock.dev/owner; AWS is about a day behind."""
    billed_at: Timestamp | None = None
    """When Cost Explorer was asked."""
    held: str | None = None
    """What a plan that a CostBudget keeps back, or that is not run, would add; a part of monthlyEstimate."""
    held_storage: str | None = None
    """The part of held that AWS bills by the gigabyte and month."""
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
