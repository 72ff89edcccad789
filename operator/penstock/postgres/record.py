"""What the probe has seen of one database: outages, and how long it was up and down, by day. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

BUCKETS: Final = 31
"""Days that are kept: thirty, and the one that is not over."""


@dataclass(frozen=True)
class Outage:
    """A time in which the writer endpoint took no write.

    started: the last success before it, or the moment at which the connection was cut; noticed: from when on it is known to have failed, by a cut
    or by a request that then failed. ended: the first success after it; None while it lasts. seconds: its length by a clock that no one sets.
    before, after: the instance that answered as the writer; '' when not known.
    """

    started: datetime
    noticed: datetime
    ended: datetime | None = None
    seconds: float = 0.0
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Day:
    """Seconds of one day that were probed, and those of them without a write."""

    probed: float = 0.0
    down: float = 0.0


Days = Mapping[str, Day]
"""By date in UTC, as datetime.date.isoformat writes it."""


@dataclass
class Uptime:
    """What one process has seen of one database. since: the first success; None before it."""

    since: datetime | None = None
    days: dict[str, Day] = field(default_factory=dict)

    def add(self, until: datetime, seconds: float, *, down: bool) -> None:
        """So many seconds that end at a moment were up or down."""
        for day, part in _parts(until, seconds):
            was = self.days.get(day, Day())
            self.days[day] = Day(was.probed + part, was.down + (part if down else 0.0))
        for day in sorted(self.days)[:-BUCKETS]:
            del self.days[day]


def _parts(until: datetime, seconds: float) -> Iterable[tuple[str, float]]:
    """The seconds before a moment, divided at midnights."""
    end = until.astimezone(UTC)
    left = max(0.0, seconds)
    while left > 0:
        midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
        here = (end - midnight).total_seconds()
        if here <= 0:
            end = midnight - timedelta(microseconds=1)
            continue
        part = min(left, here)
        yield end.date().isoformat(), part
        left -= part
        end = midnight - timedelta(microseconds=1)


@dataclass(frozen=True)
class Picture:
    """What the probe knows of one database at one moment."""

    off: str = ""
    """Why it is not asked, a sentence; '' when it is."""
    problem: str = ""
    """Why nothing can be measured though it is asked, and what to do, a sentence; '' when it can, or is not known yet."""
    reached: bool = False
    """Whether the writer endpoint has answered since it is asked and lets the probe in."""
    trying: bool = False
    """Whether it has not answered yet, and has been asked for less than a minute."""
    outages: tuple[Outage, ...] = ()
    """Of the writer endpoint, oldest first, the last one perhaps lasting."""
    serving: str = ""
    """The instance that takes writes at the writer endpoint, as it calls itself; '' for none."""
    claimed: str = ""
    """The instance that takes writes at its own endpoint; '' for none."""
    uptime: Uptime = field(default_factory=Uptime)
    lags: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each reader is behind: 95 % of the last minute's measurements are within."""
    connect: float | None = None
    """Seconds that a connection to the writer endpoint takes, likewise."""
    query: float | None = None
    """Seconds of a query's round trip, likewise."""
    deaf: frozenset[str] = frozenset()
    """Instances that do not answer at their own endpoints."""
    asked: datetime | None = None
    """When the instances were last asked; None before the first time."""
    lag_problem: str = ""
    """Why replica lag cannot be measured though all else can, a sentence."""
    found_down: datetime | None = None
    """When this process first asked in vain; None when that was not before its first success."""

    @property
    def lasting(self) -> Outage | None:
        """The outage that lasts."""
        return self.outages[-1] if self.outages and self.outages[-1].ended is None else None


_KEPT: Final = 20


class Ledger:
    """What asking one writer endpoint came to: from single answers to outages and uptime. reached, found_down: as Picture's.

    Moments come twice: as seconds of a clock that nobody sets, which lengths are taken from, and as the time of day, which is only told. A success is
    an answer of an instance that takes writes.
    """

    def __init__(self) -> None:
        self.uptime = Uptime()
        self.serving = ""
        self.found_down: datetime | None = None
        self._outages: deque[Outage] = deque(maxlen=_KEPT)
        self._lasting: Outage | None = None
        self._began = 0.0
        self._good: float | None = None
        self._failing: tuple[float, datetime] | None = None
        self.reached = False

    @property
    def outages(self) -> tuple[Outage, ...]:
        """Oldest first, the last one perhaps lasting."""
        return (*self._outages, self._lasting) if self._lasting is not None else tuple(self._outages)

    @property
    def lasting(self) -> Outage | None:
        return self._lasting

    def success(self, moment: float, time: datetime, instance: str) -> bool:
        """A write would have been taken. Returns whether that is news: the first one, the end of an outage, another instance."""
        news = not self.reached or self._lasting is not None or instance != self.serving
        self.reached = True
        self.uptime.since = self.uptime.since or time
        if self._lasting is not None:
            self._end(moment, time, instance)
        elif self._good is not None:
            moved = bool(instance and self.serving and instance != self.serving)
            # Somebody else answers although nobody noticed a cut: no write was taken for at most so long.
            self.uptime.add(time, moment - self._good, down=moved)
            if moved:
                began = time - timedelta(seconds=moment - self._good)
                self._outages.append(Outage(began, began, time, moment - self._good, self.serving, instance))
        elif self._failing is not None:
            # It was down already when this process began to ask: known to a failover, and charged to nobody.
            began = self._failing[1]
            self._outages.append(Outage(began, began, time, moment - self._failing[0], "", instance))
        self._good, self._failing, self.serving = moment, None, instance
        return news

    def failure(self, noticed: float, cut: float | None, moment: float, time: datetime) -> bool:
        """No write is taken. noticed: when what failed was sent. cut: when the connection was cut, None when it was not. Returns whether
        it is news."""
        if self._lasting is not None:
            return False
        if self._good is None:
            self._failing = self._failing or (noticed, time - timedelta(seconds=moment - noticed))
            if self.uptime.since is None:
                self.found_down = self._failing[1]
            return False
        began = self._good if cut is None else max(self._good, cut)
        self._began = began
        started = time - timedelta(seconds=moment - began)
        self.uptime.add(started, began - self._good, down=False)
        seen = cut if cut is not None else noticed
        self._lasting = Outage(started, time - timedelta(seconds=moment - seen), before=self.serving)
        self.serving = ""
        return True

    def blind(self, moment: float, time: datetime) -> bool:
        """Nothing is known from now on: nobody asks, or the database answers that it lets nobody in. Returns whether an outage ended by it."""
        ended = self._lasting is not None
        if ended:
            self._end(moment, time, "")
        elif self._good is not None:
            self.uptime.add(time, max(0.0, moment - self._good), down=False)
        if self.uptime.since is None:
            self.found_down = None
        self._good, self._failing, self.serving, self.reached = None, None, "", False
        return ended

    def resume(self, moment: float) -> None:
        """This process itself was held up: what lies between the last success and now was not probed."""
        if self._good is not None and self._lasting is None:
            self._good = moment

    def _end(self, moment: float, time: datetime, instance: str) -> None:
        assert self._lasting is not None
        seconds = max(0.0, moment - self._began)
        self.uptime.add(time, seconds, down=True)
        self._outages.append(replace(self._lasting, ended=time, seconds=seconds, after=instance))
        self._lasting = None
