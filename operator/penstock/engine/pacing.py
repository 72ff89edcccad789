"""Token buckets: AWS's limits are shared by everybody in the account, so the operator spends well under them and leaves writes a reserve."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass

from penstock.engine.queue import Priority


@dataclass(frozen=True)
class Limit:
    """A bucket's refill in requests per second, its size in requests, and the share of it that only writes and urgent reads may use."""

    rate: float
    burst: float
    reserve: float = 0.25


class TokenBucket:
    """One account, region and service (or one operation with a cap of its own).

    take() returns when the caller may send; callers are served by priority, then by arrival. try_take() never waits. slow_down() halves the refill
    after a throttle answer; it recovers by a tenth of the nominal rate with every second that passes without another (AIMD, as TCP does).
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._tokens = limit.burst
        self._rate = limit.rate
        self._stamp = asyncio.get_running_loop().time()
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._counter = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float:
        """The present refill in requests per second."""
        return self._rate

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def affords_background(self) -> bool:
        """Whether a background request could be sent at once."""
        self._refill()
        return not self._waiting and self._affords(Priority.BACKGROUND)

    def try_take(self, priority: Priority = Priority.BACKGROUND) -> bool:
        self._refill()
        if self._waiting or not self._affords(priority):
            return False
        self._tokens -= 1
        return True

    async def take(self, priority: Priority = Priority.NORMAL) -> None:
        if self.try_take(priority):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._counter), future))
        if self._timer is not None:
            # The newcomer may stand first, and need fewer tokens than the one that the timer was set for.
            self._timer.cancel()
            self._timer = None
        self._arm()
        await future

    def slow_down(self) -> None:
        self._refill()
        self._rate = max(self.limit.rate / 16, self._rate / 2)
        self._tokens = min(self._tokens, 0.0)

    def _affords(self, priority: Priority) -> bool:
        floor = self.limit.burst * self.limit.reserve if priority is Priority.BACKGROUND else 0.0
        return self._tokens - 1 >= floor - 1e-9

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        elapsed = now - self._stamp
        self._stamp = now
        self._tokens = min(self.limit.burst, self._tokens + elapsed * self._rate)
        self._rate = min(self.limit.rate, self._rate + elapsed * self.limit.rate / 10)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            priority = self._waiting[0][0]
            floor = self.limit.burst * self.limit.reserve if priority is Priority.BACKGROUND else 0.0
            shortfall = max(0.0, floor + 1 - self._tokens)
            self._timer = loop.call_later(max(0.001, shortfall / self._rate), self._serve)

    def _serve(self) -> None:
        self._timer = None
        self._refill()
        while self._waiting and self._affords(self._waiting[0][0]):
            _, _, future = heapq.heappop(self._waiting)
            # A cancelled caller spends nothing.
            if not future.done():
                self._tokens -= 1
                future.set_result(None)
        self._arm()
