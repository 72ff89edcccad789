"""When one kind of read of a region is due: in its cycle, faster while something is in transition, soon for whoever waits, slower when it fails.

All objects share each read. Whoever needs an answer that is newer than its own write waits for the next read that begins; however many wait, it is
one read, and those reads are paced: a few close together, then one an interval.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.api.conditions import Reason
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)

NEVER = float("-inf")

# Seconds between two reads that somebody waits for, and how many of them may come so close before they keep to the hurried interval.
_GAP = 0.5
_BURST = 4
# From how many pages on it is cheaper to read the few clusters that matter by their names, and how many names go into one request.
_FEW_PAGES = 3
_MOST_NAMES = 20
# Seconds that a read of the cycle yields to writes before it takes its turn among them.
_PATIENCE = 10.0
_YIELD = 0.5


@dataclass(frozen=True)
class Intervals:
    """Seconds between the beginnings of two reads, by the number of pages that a read has.

    slowest: what an interval that doubles with every failed read ends at; after throttling it halves with every good one.
    """

    idle: Callable[[int], float]
    hurried: Callable[[int], float]
    slowest: float = 60.0


@dataclass
class _Waiter:
    identifier: str
    priority: Priority
    future: asyncio.Future[None]


Fetch = Callable[[frozenset[str] | None, Priority], Awaitable[int]]
"""Reads all, or only what belongs to the named clusters, and keeps it. Returns the number of pages. Raises Trouble."""


class Reader:
    """One kind of read in one region.

    fetch: see Fetch. affords: whether a background read could be sent now. hurrying: the clusters in transition. began: time of the event loop
    at which the last good full read began. trouble: why the last read failed, None when it did not.
    """

    def __init__(
        self,
        name: str,
        intervals: Intervals,
        fetch: Fetch,
        affords: Callable[[], bool],
        hurrying: Callable[[], frozenset[str]],
    ) -> None:
        self.name = name
        self.pages = 1
        self.began = NEVER
        self.trouble: Trouble | None = None
        self._intervals = intervals
        self._fetch = fetch
        self._affords = affords
        self._hurrying = hurrying
        self._made = asyncio.get_running_loop().time()
        self._cycling = False
        self._task: asyncio.Task[None] | None = None
        self._poked = asyncio.Event()
        self._waiting: list[_Waiter] = []
        self._kicked = False
        # The read that is under way: when it began, for whom it is, and which clusters it is about (None: all).
        self._flight: float | None = None
        self._aboard: list[_Waiter] = []
        self._about: frozenset[str] | None = None
        self._by_name: dict[str, float] = {}
        self._tried = NEVER
        self._tried_all = NEVER
        self._spent = NEVER
        self._failures = 0
        self._throttled = False
        self._jitter = 1.0

    def start(self) -> None:
        """Read in cycles until stop()."""
        self._cycling = True
        self._ensure()

    def stop(self) -> None:
        """No more cycles; who waits is still served."""
        self._cycling = False
        self._poked.set()

    def cancel(self) -> None:
        """End what runs, whoever waits."""
        self.stop()
        if self._task is not None:
            self._task.cancel()

    def at(self, identifier: str) -> float:
        """When the last good read that tells of the cluster began; NEVER before the first."""
        return max(self.began, self._by_name.get(identifier, NEVER))

    def age(self) -> float:
        """Seconds since the last good full read began, or since there is something to read."""
        return asyncio.get_running_loop().time() - max(self.began, self._made)

    def poke(self) -> None:
        """Something that the cycle depends on has changed."""
        self._poked.set()

    def kick(self) -> None:
        """Read all as soon as the pace of waited-for reads allows."""
        self._kicked = True
        self._poked.set()

    async def newer(self, identifier: str, than: float, priority: Priority) -> None:
        """Return once a good read tells of the cluster that began after a time of the event loop, or began after this was called. Raises Trouble."""
        if self.at(identifier) > than:
            return
        waiter = _Waiter(identifier, priority, asyncio.get_running_loop().create_future())
        about = self._about
        if self._flight is not None and self._flight > than and (about is None or identifier in about):
            self._aboard.append(waiter)
        else:
            self._waiting.append(waiter)
            self._ensure()
            self._poked.set()
        await waiter.future

    def _ensure(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"inventory-{self.name}")
        self._poked.set()

    async def _work(self) -> None:
        while self._cycling or self._waiting:
            # An impatient one may be gone.
            self._waiting = [w for w in self._waiting if not w.future.done()]
            now = asyncio.get_running_loop().time()
            due = self._due()
            if due > now:
                await self._pause(due - now)
            elif not self._waiting and now - due < _PATIENCE and not self._affords():
                await self._pause(_YIELD)
            else:
                await self._read(overdue=now - due >= _PATIENCE)

    async def _pause(self, seconds: float) -> None:
        self._poked.clear()
        try:
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self._poked.wait()
        except TimeoutError:
            pass

    def _due(self) -> float:
        cycle = self._due_in_cycle() if self._cycling else float("inf")
        if not (self._waiting or self._kicked):
            return cycle
        interval = self._intervals.hurried(self.pages)
        return min(cycle, max(self._tried + _GAP, self._spent - (_BURST - 1) * interval))

    def _due_in_cycle(self) -> float:
        hurrying = self._hurrying()
        if not hurrying:
            return self._tried_all + self._slowed(self._intervals.idle(self.pages))
        if self._names(hurrying) is None:
            return self._tried_all + self._slowed(self._intervals.hurried(self.pages))
        return min(
            self._tried_all + self._slowed(self._intervals.idle(self.pages)),
            self._tried + self._slowed(self._intervals.hurried(1)),
        )

    def _slowed(self, interval: float) -> float:
        slowest = max(interval, self._intervals.slowest)
        return float(min(slowest, interval * 2**self._failures)) * self._jitter

    def _names(self, wanted: frozenset[str]) -> frozenset[str] | None:
        """The clusters to ask for by name; None when all are to be read."""
        return wanted if self.pages > _FEW_PAGES and 0 < len(wanted) <= _MOST_NAMES else None

    async def _read(self, *, overdue: bool) -> None:
        now = self._tried = asyncio.get_running_loop().time()
        aboard, self._waiting = self._waiting, []
        all_due = self._tried_all + self._slowed(self._intervals.idle(self.pages)) <= now
        about = self._names(self._hurrying() | frozenset(w.identifier for w in aboard))
        if all_due or self._kicked:
            about = None
        if about is None:
            self._tried_all = now
            self._kicked = False
        interval = self._intervals.hurried(self.pages if about is None else 1)
        self._spent = max(self._spent, now) + interval
        self._jitter = random.uniform(0.9, 1.1)
        self._flight, self._aboard, self._about = now, aboard, about
        priority = min((w.priority for w in aboard), default=Priority.NORMAL if overdue else Priority.BACKGROUND)
        try:
            pages = await self._fetch(about, priority)
        except Trouble as trouble:
            self._failed(trouble)
            self._land(trouble)
        except Exception as error:
            # A record of the account that nobody foresaw: it fails this read, which is tried again, and neither other regions nor the process.
            log.exception("%s were not read", self.name)
            self._failed(Trouble(Meaning.UNKNOWN, Reason.UNKNOWN, f"What AWS answered cannot be read: {error!r}."))
            self._land(error)
        except BaseException as error:
            self._land(error)
            raise
        else:
            self._succeeded(now, about, pages)
            self._land(None)

    def _succeeded(self, now: float, about: frozenset[str] | None, pages: int) -> None:
        if about is None:
            self.began, self.pages = now, max(1, pages)
            self._by_name.clear()
        else:
            self._by_name.update(dict.fromkeys(about, now))
        if self.trouble is not None:
            log.info("%s are read again", self.name)
        self.trouble = None
        # An outage is over at once; what was too fast is tried a step at a time.
        self._failures = max(0, self._failures - 1) if self._throttled else 0

    def _failed(self, trouble: Trouble) -> None:
        if self.trouble is None or self.trouble.reason != trouble.reason:
            log.warning("%s were not read: %s", self.name, trouble.sentence)
        self.trouble = trouble
        self._throttled = trouble.meaning is Meaning.THROTTLED
        if self._intervals.idle(self.pages) * 2**self._failures < self._intervals.slowest:
            self._failures += 1

    def _land(self, error: BaseException | None) -> None:
        aboard, self._aboard, self._flight, self._about = self._aboard, [], None, None
        for waiter in aboard:
            if waiter.future.done():
                continue
            if error is None:
                waiter.future.set_result(None)
            elif isinstance(error, Exception):
                waiter.future.set_exception(error)
            else:
                waiter.future.cancel()
