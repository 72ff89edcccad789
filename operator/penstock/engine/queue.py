"""The keyed work queue: never two passes on one key, bounded workers, delays, and urgent keys first.

The semantics are those of client-go's workqueue (a key added while it is being worked on is handed out again afterwards, and only once), with a due
time and a priority of its own for every key. Of one priority the key that was due first goes first.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Priority(IntEnum):
    """Lower goes first. Urgent: failovers and deletions. Normal: somebody changed something. Background: the periodic look."""

    URGENT = 0
    NORMAL = 1
    BACKGROUND = 2


class WorkQueue(Generic[K]):
    """A queue of keys, each at most once, that become due at a time of the event loop's clock.

    add() with a shorter delay or a higher priority than what is scheduled wins; a longer delay never postpones. get() waits for the next due key
    and marks it as being worked on; done() must follow. A key that is added as begun can also be had by get(begun=True), which sees no others: so
    that what was begun is finished while a thousand others wait to begin. Lives in one event loop; not thread-safe.
    """

    def __init__(self) -> None:
        self._ready: list[tuple[Priority, float, int, K]] = []
        self._ready_begun: list[tuple[Priority, float, int, K]] = []
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, tuple[float, Priority]] = {}
        self._active: set[K] = set()
        self._begun: set[K] = set()
        self._again: dict[K, tuple[float, Priority]] = {}
        self._wake = asyncio.Event()
        self._counter = itertools.count()
        self.last_activity = asyncio.get_running_loop().time()

    def __len__(self) -> int:
        return len(self._due) + len(self._again)

    @property
    def overdue(self) -> int:
        """How many keys are due and not yet handed out."""
        now = self._now()
        return sum(1 for due, _ in self._due.values() if due <= now)

    @property
    def oldest_wait(self) -> float:
        """Seconds for which the longest-waiting due key has been due; 0 when none is."""
        now = self._now()
        return max((now - due for due, _ in self._due.values() if due <= now), default=0.0)

    def add(self, key: K, delay: float = 0.0, priority: Priority = Priority.NORMAL, *, begun: bool = False) -> None:
        due = self._now() + max(0.0, delay)
        if begun:
            self._begun.add(key)
        if key in self._active:
            known = self._again.get(key)
            self._again[key] = (due, priority) if known is None else (min(due, known[0]), min(priority, known[1]))
            return
        known = self._due.get(key)
        if known is not None:
            if known[0] <= due and known[1] <= priority:
                return
            due, priority = min(due, known[0]), min(priority, known[1])
        self._schedule(key, due, priority)

    def forget(self, key: K) -> None:
        """Drop a key that no longer has an object. A pass that is running goes on, but is not repeated."""
        self._due.pop(key, None)
        self._again.pop(key, None)
        self._begun.discard(key)

    async def get(self, *, begun: bool = False) -> tuple[K, Priority]:
        ready = self._ready_begun if begun else self._ready
        while True:
            self._promote()
            while ready:
                priority, _, _, key = heapq.heappop(ready)
                entry = self._due.get(key)
                if entry is None or entry[1] != priority or entry[0] > self._now() or key in self._active:
                    continue
                if begun and key not in self._begun:
                    continue
                del self._due[key]
                self._begun.discard(key)
                self._active.add(key)
                self.last_activity = self._now()
                return key, priority
            self._wake.clear()
            timeout = max(0.0, self._later[0][0] - self._now()) if self._later else None
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def done(self, key: K) -> None:
        self._active.discard(key)
        self.last_activity = self._now()
        again = self._again.pop(key, None)
        if again is not None:
            self._schedule(key, *again)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _schedule(self, key: K, due: float, priority: Priority) -> None:
        self._due[key] = (due, priority)
        if due <= self._now():
            self._push(key, due, priority)
        else:
            heapq.heappush(self._later, (due, next(self._counter), key))
        self._wake.set()

    def _promote(self) -> None:
        now = self._now()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            entry = self._due.get(key)
            # Superseded entries stay in the heap until they surface; the map says which one counts.
            if entry is not None and entry[0] == due:
                self._push(key, due, entry[1])

    def _push(self, key: K, due: float, priority: Priority) -> None:
        entry = (priority, due, next(self._counter), key)
        heapq.heappush(self._ready, entry)
        if key in self._begun:
            heapq.heappush(self._ready_begun, entry)
