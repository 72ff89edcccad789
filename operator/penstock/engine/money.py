"""What an object costs, as its kind tells the loop. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Money:
    """What an object costs as it is declared, in US dollars a month.

    monthly: to the cent, None when no price is known. basis: Estimate or Partial. storage: the part of it that AWS bills by the gigabyte and month.
    missing: what is paid for and has no known price. actual: what a month costs at the pace at which it is used; None when that is not known.
    spent, forecast: of this month.
    """

    monthly: Decimal | None
    basis: str
    storage: Decimal = Decimal(0)
    missing: tuple[str, ...] = ()
    actual: Decimal | None = None
    spent: Decimal | None = None
    forecast: Decimal | None = None
