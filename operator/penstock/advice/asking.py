"""Asks CloudWatch, once a day for every object and for many at a time, and hands each object's metrics to whoever advises.

GetMetricData costs $0.01 for each 1,000 metrics, and once more for each page: batches are so small that an answer is one page.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from penstock.advice.measures import WINDOW
from penstock.advice.report import NOTHING_YET, Findings, told
from penstock.aws.account import Account
from penstock.aws.cloudwatch import BATCH, Metrics
from penstock.aws.series import Point, Query
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key, Object, Report
from penstock.engine.queue import Priority

log = logging.getLogger(__name__)

DAY: Final = 86_400.0
# Seconds between two looks at who is due.
TICK: Final = 15.0
# Seconds until a new object is asked for: whoever makes a thousand, or restarts with them, has more urgent work, and a new one has no metrics.
FIRST: Final = 60.0
# Values that CloudWatch puts on a page (API reference, GetMetricData).
_VALUES = 100_800
# Seconds until another try: a denial is mended by people, throttling by itself.
_LATER: Final = {Meaning.DENIED: 3600.0}
_SOON = 60.0

Series = Mapping[Query, Sequence[Point]]


@dataclass
class Standing:
    """What is known of one object's advice.

    due: when it is asked for again, by the monotonic clock. asked: the generation of the spec that was asked for last; generation: the one for which
    there is an answer. seen: what its kind wanted and observed, kept no longer than until it is answered: of thousands of objects it would be most of
    the memory.
    """

    due: float = field(default_factory=lambda: time.monotonic() + FIRST)
    asked: int = -1
    generation: int = -1
    found: Findings | None = None
    seen: tuple[Any, Any] | None = None

    @property
    def saving(self) -> Decimal:
        return self.found.saving if self.found is not None else Decimal(0)

    def status(self, known: Mapping[str, Any] | None, generation: int) -> dict[str, Any]:
        """status.advice: what stands there until this very spec was advised on."""
        if self.found is None or self.generation != generation:
            return dict(known) if known else told(NOTHING_YET, None)
        return told(self.found, known)


@dataclass(frozen=True)
class Subject:
    """An object that is due. answer: takes its metrics and says what is advised; for a thread."""

    key: Key
    region: str
    generation: int
    standing: Standing
    queries: tuple[Query, ...]
    answer: Callable[[Series, datetime], Findings] = field(repr=False)


class Advisor:
    """every: seconds between two looks at an object; 0 for none at all. subjects: those that are due."""

    def __init__(self, account: Account, every: float, subjects: Callable[[], Iterable[Subject]]) -> None:
        self._metrics = Metrics(account)
        self._every = every
        self._subjects = subjects

    @property
    def asks(self) -> bool:
        """Whether anything is asked at all."""
        return self._every > 0

    def onto(
        self,
        report: Report,
        obj: Object,
        standing: Standing,
        generation: int,
        seen: tuple[Any, Any] | None,
        *,
        there: bool,
    ) -> Report:
        """The report with status.advice. seen: (desired, observed) of this pass, None without a look. there: whether it is in AWS, and stays."""
        if seen is not None and self.asks and due(standing, generation, time.monotonic()):
            standing.seen = seen
        known = (obj.get("status") or {}).get("advice")
        if not known and not (there and self.asks):
            return report
        return replace(report, fields={**report.fields, "advice": standing.status(known, generation)})

    async def run(self, wake: Callable[[Key], None]) -> None:
        """Ask for ever; wake(key) puts an object whose advice may be another on the queue."""
        if not self.asks:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(TICK * random.uniform(0.8, 1.2))
            try:
                await self.once(wake, datetime.now(UTC))
            except Exception:
                log.exception("advice was not looked for")

    async def once(self, wake: Callable[[Key], None], now: datetime) -> None:
        """Ask for all that are due."""
        waiting: dict[tuple[str, int], list[Subject]] = defaultdict(list)
        for subject in self._subjects():
            subject.standing.asked = subject.generation
            # Also after an error that nobody foresaw: what fails each time must not be asked first each time.
            subject.standing.due = time.monotonic() + _SOON
            waiting[subject.region, subject.queries[0].period].append(subject)
        for (region, period), subjects in waiting.items():
            for batch in _batches(subjects, period):
                await self._ask(region, batch, now, wake)

    async def _ask(self, region: str, batch: Sequence[Subject], now: datetime, wake: Callable[[Key], None]) -> None:
        end = now.replace(minute=0, second=0, microsecond=0)
        queries = [query for subject in batch for query in subject.queries]
        try:
            series: Series = await self._metrics.read(region, queries, end - WINDOW, end, priority=Priority.BACKGROUND)
        except Trouble as trouble:
            log.info("no metrics were read for advice: %s", trouble.sentence)
            for subject in batch:
                subject.standing.due = time.monotonic() + _LATER.get(trouble.meaning, _SOON)
                if trouble.meaning is Meaning.DENIED:
                    self._take(subject, Findings("", why=f"Nothing is advised: {trouble.sentence}"), wake)
            return
        for subject in batch:
            subject.standing.due = time.monotonic() + self._every * random.uniform(0.95, 1.05)
            try:
                # A search takes tens of milliseconds, and some hundreds for a large cluster: not on the event loop.
                found = await asyncio.to_thread(subject.answer, series, end)
            except Exception:
                # An object must never keep the others from their advice.
                log.exception("no advice for %s", subject.key)
                continue
            self._take(subject, found, wake)

    @staticmethod
    def _take(subject: Subject, found: Findings, wake: Callable[[Key], None]) -> None:
        standing = subject.standing
        before = standing.found
        changed = before != found or standing.generation != subject.generation
        standing.found, standing.generation = found, subject.generation
        # That there is nothing yet stands on the object already.
        if changed and not (before is None and found == NOTHING_YET):
            wake(subject.key)


def subjects(
    standings: Iterable[tuple[Key, Standing]],
    queries: Callable[[Any, Any], tuple[Query, ...]],
    findings: Callable[[Any, Any], Callable[[Series, datetime], Findings]],
) -> Iterator[Subject]:
    """The objects whose metrics are to be asked for now.

    queries(desired, observed): which. findings(desired, observed): how to say what comes of them; called now, and its result in a thread.
    """
    now = time.monotonic()
    for key, standing in list(standings):
        if standing.seen is None or not due(standing, standing.seen[0].generation, now):
            continue
        desired, observed = standing.seen
        asked = queries(desired, observed)
        if asked:
            answer = partial(_answer, standing, findings(desired, observed))
            yield Subject(key, desired.region, desired.generation, standing, asked, answer)


def _answer(
    standing: Standing, findings: Callable[[Series, datetime], Findings], series: Series, now: datetime
) -> Findings:
    standing.seen = None
    return findings(series, now)


def _batches(subjects: Sequence[Subject], period: int) -> Iterable[list[Subject]]:
    """So many at a time that the answer is one page of one call; an object alone may be more."""
    most = min(BATCH, _VALUES // (int(WINDOW.total_seconds()) // period))
    batch: list[Subject] = []
    size = 0
    for subject in subjects:
        if batch and size + len(subject.queries) > most:
            yield batch
            batch, size = [], 0
        batch.append(subject)
        size += len(subject.queries)
    if batch:
        yield batch


def due(standing: Standing, generation: int, now: float) -> bool:
    """Whether an object is to be asked for: its day is over, or its spec is another than the one that was advised on."""
    return now >= standing.due or (standing.found is not None and standing.asked != generation)
