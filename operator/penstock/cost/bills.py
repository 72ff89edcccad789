"""What AWS billed for each object this month, by the owner tag: asked once a day for the whole account, and only where somebody wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from penstock.api import meta
from penstock.aws import costexplorer
from penstock.aws.account import Account
from penstock.cost.estimate import amount_told, money, moved
from penstock.cost.spend import month_of
from penstock.engine.errors import Trouble

log = logging.getLogger(__name__)

EVERY: Final = timedelta(days=1)
# Seconds: until then the objects are known, which tell when AWS was last asked.
_SETTLED = 60.0


def asked_at(cost: Mapping[str, Any]) -> datetime | None:
    """When Cost Explorer was asked for what status.cost tells; None when it does not say."""
    try:
        found = datetime.fromisoformat(str(cost.get("billedAt")))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Bills:
    """account: None where nobody wants it. newest: when AWS was last asked as the objects tell it; a restart costs no request."""

    def __init__(
        self,
        account: Account | None,
        newest: Callable[[], datetime | None],
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._account = account
        self._newest = newest
        self._clock = clock or (lambda: datetime.now(UTC))
        self._amounts: dict[str, Decimal] = {}
        self._at: datetime | None = None
        self._keeper = ""
        self.note = ""

    def onto(self, cost: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """status.cost with what AWS billed for the owner tag. It is told anew when it moved by more than 1 %, or the month is another.

        One object tells it anew in any case: it keeps when AWS was last asked, so that a restart does not ask again.
        """
        amount = self._amounts.get(owner)
        if self._at is None or amount is None:
            return dict(cost)
        before, at = amount_told(cost.get("billed")), asked_at(cost)
        self._keeper = self._keeper or owner
        known = before is not None and at is not None and month_of(at) == month_of(self._at)
        stands = known and not moved(before, amount)
        if stands and self._keeper != owner:
            return dict(cost)
        return {**cost, "billed": money(amount), "billedAt": f"{self._at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}

    async def run(self) -> None:
        """Ask once a day, for ever."""
        if self._account is None:
            await asyncio.Event().wait()
        await asyncio.sleep(_SETTLED)
        last = self._newest()
        while True:
            now = self._clock()
            wait = (last + EVERY - now).total_seconds() if last is not None else 0.0
            await asyncio.sleep(min(max(0.0, wait), EVERY.total_seconds()))
            await self.ask()
            last = self._clock()

    async def ask(self) -> None:
        """Ask AWS now; what fails is noted and asked again a day later, since a request that is refused costs as much."""
        assert self._account is not None
        now = self._clock()
        first, end = month_of(now)
        until = min((now.astimezone(UTC) + EVERY).date(), end.date())
        try:
            self._amounts = await costexplorer.billed(self._account, meta.OWNER_TAG, first.date(), until)
            self._at, self.note, self._keeper = now, "", ""
        except Trouble as trouble:
            self.note = f"Cost Explorer could not be read: {trouble.cause}"
            log.warning("what AWS billed was not read: %s", trouble.sentence)
        except Exception as error:
            # Begun anew, the task would ask again soon, and each request is paid for.
            self.note = f"Cost Explorer could not be read: {error!r}"
            log.exception("what AWS billed was not read")
