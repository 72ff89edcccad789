"""The endpoint's clock: real time that tests may speed up or jump ahead, never back."""

from __future__ import annotations

import bisect
import datetime
import threading
import time


class Clock:
    """``now()`` is in epoch seconds. Everything that takes time in the lab takes it on this clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._base = (time.time(), time.monotonic(), 1.0)
        # Since when, by the machine's clock, it goes on from where at which speed.
        self._history = [(self._base[0], self._base[0], 1.0)]

    def now(self) -> float:
        virtual, real, speed = self._base
        return virtual + (time.monotonic() - real) * speed

    def utcnow(self) -> datetime.datetime:
        """Naive UTC, as moto keeps its timestamps."""
        return datetime.datetime.fromtimestamp(self.now(), datetime.UTC).replace(tzinfo=None)

    @property
    def speed(self) -> float:
        return self._base[2]

    def set(self, *, speed: float | None = None, advance: float = 0.0) -> None:
        """Runs at ``speed`` times real time from now on, after a jump of ``advance`` seconds.

        Raises ValueError for a speed that is not positive or a jump backwards.
        """
        if speed is not None and not 0 < speed <= 1_000_000:
            raise ValueError("speed must be above 0 and at most 1000000")
        if not 0 <= advance <= 100 * 366 * 86400:
            raise ValueError("advance must be between 0 seconds and a hundred years")
        with self._lock:
            now = self.now() + advance
            self._base = (now, time.monotonic(), self._base[2] if speed is None else float(speed))
            self._history = [*self._history, (now, time.time(), self._base[2])]

    def machine_time(self, moment: float) -> float:
        """The machine's time, in epoch seconds, when this clock showed ``moment``; the jump's, of one that was jumped over."""
        history = self._history
        index = max(bisect.bisect_right(history, moment, key=lambda part: part[0]) - 1, 0)
        shown, machine, speed = history[index]
        found = machine + (moment - shown) / speed
        return min(found, history[index + 1][1]) if index + 1 < len(history) else found


clock = Clock()
