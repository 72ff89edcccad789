"""What objects used, read from CloudWatch for all of them together, once an hour by default: a metric costs a thousandth of a cent each time.

A reading covers the whole month in days, so that it costs as much as one of an hour would, and nothing has to be kept over a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from penstock.aws.account import Account
from penstock.aws.cloudwatch import Metrics, Query
from penstock.cost import estimate as estimates
from penstock.cost import spend
from penstock.cost.bills import Bills
from penstock.cost.book import PriceBook
from penstock.cost.estimate import Estimate
from penstock.cost.prices import HOURS
from penstock.cost.spend import Ledger, Meter, Reading, Spend
from penstock.engine import metrics
from penstock.engine.errors import Trouble
from penstock.engine.kind import Key
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)

SOURCE: Final = "CloudWatch"
# Seconds: new objects of a burst are read together. CloudWatch shows the last minutes late; what is missing comes with the next reading.
_FIRST = 20.0
_SLACK = timedelta(minutes=5)


@dataclass
class _Account:
    region: str
    meters: tuple[Meter, ...] = ()
    ledger: Ledger | None = None
    reading: Reading | None = None
    note: str = ""


class Meters:
    """What every object spends. every: seconds between readings; 0 reads nothing, and nothing is told of spend. clock: for tests. bills: of AWS."""

    def __init__(
        self,
        account: Account | None,
        prices: PriceBook,
        every: float = 3600.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        bills: Bills | None = None,
    ) -> None:
        self.bills = bills or Bills(None, lambda: None)
        self._metrics = Metrics(account) if account is not None and every > 0 else None
        self.prices = prices
        self._every = every
        self._clock = clock
        self._known: dict[Key, _Account] = {}
        self._new = asyncio.Event()

    def spend(
        self,
        key: Key,
        region: str,
        created: datetime | None,
        running: Estimate,
        meters: Sequence[Meter],
        cost: Mapping[str, Any],
        now: datetime,
    ) -> Spend | None:
        """What an object spent and will have spent, now that it runs as the estimate says; None when spend is not watched.

        created: in AWS. meters: what it is used by. cost: status.cost, from which a new process goes on.
        """
        if self._metrics is None:
            return None
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Account(region, ledger=spend.remembered(cost, now))
        if known.meters != tuple(meters):
            known.region, known.meters = region, tuple(meters)
            if not _read(known):
                self._new.set()
        rate = spend.hourly(running, now)
        known.ledger = spend.advanced(known.ledger, created, now, rate)
        if known.meters and known.reading is None and not known.note:
            # Half of the truth would be told as all of it.
            return None
        found = spend.spend(known.ledger, rate, known.meters, known.reading, self.prices.of(region), created)
        return _with_source(found, known, self.bills.note)

    def onto(
        self,
        key: Key,
        status: Mapping[str, Any],
        generation: int,
        owner: str,
        estimate: Estimate,
        spent: Spend | None,
        *,
        asked: bool,
    ) -> dict[str, Any]:
        """status.cost: the estimate, what was spent and what AWS billed. owner: the owner tag. asked: somebody asked for a look."""
        cost = estimates.told(estimate, status, generation)
        if spent is not None:
            cost = spend.told(cost, status.get("cost") or {}, spent, self.watching(key), now=asked)
        return self.bills.onto(cost, owner)

    def watching(self, key: Key) -> Decimal:
        """US dollars a month that reading the object's metrics costs; 0 without a known price."""
        known = self._known.get(key)
        return (
            self._cost(len(_queries(known.meters))) if known is not None and self._metrics is not None else spend.ZERO
        )

    async def refresh(self, key: Key) -> None:
        """Read one object's metrics now, because somebody asked for a look at it."""
        known = self._known.get(key)
        if self._metrics is not None and known is not None and known.meters:
            await self.read({key: known}, Priority.NORMAL)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._known.pop(key, None)

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        asked = sum(len(_queries(known.meters)) for known in self._known.values())
        metrics.WATCHING.set(float(self._cost(asked)))

    async def run(self) -> None:
        """Read for ever: everything every so often, and what is new soon after it came."""
        if self._metrics is None:
            await asyncio.Event().wait()
        due = asyncio.get_running_loop().time() + min(_FIRST, self._every)
        while True:
            self._new.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._new.wait()
                await asyncio.sleep(min(_FIRST, self._every))
                fresh = {k: a for k, a in self._known.items() if not _read(a)}
            except TimeoutError:
                fresh = dict(self._known)
                due = asyncio.get_running_loop().time() + self._every
            await self.read(fresh)

    async def read(
        self, accounts: Mapping[Key, _Account] | None = None, priority: Priority = Priority.BACKGROUND
    ) -> None:
        """Read the metrics of these objects, of all by default, region by region; what fails is told on the objects and read again later."""
        assert self._metrics is not None
        chosen = self._known if accounts is None else accounts
        now = self._clock()
        # Whole minutes: AWS rounds anyway. A little ahead, so that the minute that runs is in it.
        end = now.replace(second=0, microsecond=0) + _SLACK
        for region in sorted({a.region for a in chosen.values()}):
            some = [a for a in chosen.values() if a.region == region]
            queries = list(dict.fromkeys(q for a in some for q in sorted(_queries(a.meters), key=repr)))
            try:
                begin = spend.window(now)
                found = await self._metrics.read(region, queries, begin, end, priority=priority) if queries else {}
            except Exception as error:
                # Also what nobody foresaw: of one region, and the others are read all the same.
                cause = error.cause if isinstance(error, Trouble) else repr(error)
                unforeseen = None if isinstance(error, Trouble) else error
                log.warning("what objects of %s used was not read: %s", region, cause, exc_info=unforeseen)
                for account in some:
                    account.note = f"{SOURCE} could not be read: {cause}" if account.meters else ""
                continue
            for account in some:
                wanted = _queries(account.meters)
                # The object may have got other meters while AWS answered.
                if wanted <= set(queries):
                    account.reading = Reading(now, {q: found[q] for q in wanted})
                    account.note = ""

    def _cost(self, asked: int) -> Decimal:
        price = self.prices.of("us-east-1").price("cloudwatch.get-metric-data")
        if price is None:
            return spend.ZERO
        return asked * (HOURS * 3600 / Decimal(str(self._every))) * price.each


def _read(known: _Account) -> bool:
    """Whether all of an object's metrics were read once."""
    return known.reading is not None and _queries(known.meters) <= set(known.reading.points)


def _queries(meters: Sequence[Meter]) -> set[Query]:
    return {q for meter in meters for q in meter.queries}


def _with_source(found: Spend, known: _Account, bills: str) -> Spend:
    used = (known.note or SOURCE) if known.meters else "Hours"
    return replace(
        found,
        source=f"{used}; {bills}" if bills else used,
        unread=bool(known.meters) and known.reading is None,
    )
