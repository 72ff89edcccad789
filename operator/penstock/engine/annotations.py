"""The annotations that tell what an object costs: which of them are due. Written at most hourly, and only when the amount moved by more than 1 %.

They are the only metadata that the operator writes beside its finalizer, so that `kubectl get` and tools that know no CRD show money; a GitOps tool
that applies the manifest leaves them alone, because no manifest names them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from penstock.api import meta
from penstock.api.cost import MOVED
from penstock.engine.kind import Key, Money, Object
from penstock.engine.plan import Step, When

EVERY: Final = timedelta(hours=1)
ACTUAL: Final = "Actual"
"""The basis of an amount that is what a month costs at the present pace."""
_WAITING = (When.AFTER_CONSENT, When.MAINTENANCE_WINDOW)


class CostAnnotations:
    """Remembers when each object's annotations were last written by this process."""

    def __init__(self) -> None:
        self._written: dict[Key, datetime] = {}

    def due(self, key: Key, obj: Object, money: Money | None, pending: Decimal, now: datetime) -> dict[str, str | None]:
        """The annotations to write, as a JSON merge patch; {} when none is due. pending: US dollars a month that steps which wait would add."""
        written = self._written.get(key)
        if money is None or (written is not None and now - written < EVERY):
            return {}
        have = obj["metadata"].get("annotations") or {}
        # What it is used for says more than what was expected, as long as all of it has a price.
        actual = money.actual if not money.missing else None
        monthly, basis = (money.monthly, money.basis) if actual is None else (actual, ACTUAL)
        wanted: dict[str, str | None] = {
            meta.MONTHLY_COST: None if monthly is None else f"{monthly:.2f}",
            meta.COST_BASIS: None if monthly is None else basis,
            meta.COST_DELTA: f"{pending:+.2f}" if abs(pending) >= Decimal("0.005") else None,
        }
        amounts = (meta.MONTHLY_COST, meta.COST_DELTA)
        if have.get(meta.COST_BASIS) == wanted[meta.COST_BASIS] and not any(
            _moved(have.get(name), wanted[name]) for name in amounts
        ):
            return {}
        return {name: text for name, text in wanted.items() if have.get(name) != text}

    def wrote(self, key: Key, now: datetime) -> None:
        """They were written."""
        self._written[key] = now

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._written.pop(key, None)


def pending(steps: Iterable[Step], run: bool) -> Decimal:
    """US dollars a month that the steps would add which wait for a window or a person; all of them when the plan is not run."""
    return sum((s.cost_delta or Decimal(0) for s in steps if not run or s.when in _WAITING), Decimal(0))


def _moved(before: str | None, after: str | None) -> bool:
    if before is None or after is None:
        return before is not after
    try:
        was, wanted = Decimal(before), Decimal(after)
    except InvalidOperation:
        # Somebody wrote a word over it.
        return True
    return not was.is_finite() or abs(wanted - was) > abs(was) * MOVED
