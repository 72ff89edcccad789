"""What the lab's databases did, by the minute: the source of the CloudWatch metrics."""

from __future__ import annotations

import collections
import itertools
import threading
from typing import Any

Key = tuple[str, str, str, tuple[tuple[str, str], ...]]  # region, namespace, metric, sorted dimensions

# Samples kept a minute for percentiles; beyond that the distribution is thinned, sum and count stay exact.
_SAMPLES = 256
# Minutes that keep their samples, and minutes that are kept at all.
_DETAILED = 180
_MINUTES = 40 * 24 * 60


class Minute:
    """The samples of one metric in one minute."""

    __slots__ = ("count", "high", "low", "samples", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low = float("inf")
        self.high = float("-inf")
        self.samples: list[float] = []

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        if len(self.samples) < _SAMPLES:
            self.samples.append(value)
        else:
            self.samples[(self.count * 2654435761) % _SAMPLES] = value


class Metrics:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._series: dict[Key, collections.OrderedDict[int, Minute]] = {}

    def add(self, region: str, namespace: str, name: str, dimensions: dict[str, str], value: float, at: float) -> None:
        key = (region, namespace, name, tuple(sorted(dimensions.items())))
        minute = int(at // 60)
        with self.lock:
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = collections.OrderedDict()
            slot = series.get(minute)
            if slot is None:
                slot = series[minute] = Minute()
                if len(series) > _DETAILED:
                    series[next(itertools.islice(reversed(series), _DETAILED, None))].samples = []
                while len(series) > _MINUTES:
                    series.popitem(last=False)
            slot.add(value)

    def series(self, key: Key) -> list[tuple[int, Minute]]:
        """(epoch minute, samples) in order of time."""
        with self.lock:
            return sorted(self._series.get(key, {}).items())

    def keys(self, region: str) -> list[Key]:
        with self.lock:
            return [key for key in self._series if key[0] == region]

    def total(self, region: str, namespace: str, name: str, dimensions: dict[str, str], minute: int) -> float:
        """The sum of one minute, 0 without samples."""
        with self.lock:
            slot: Any = self._series.get((region, namespace, name, tuple(sorted(dimensions.items()))), {}).get(minute)
            return slot.total if slot else 0.0


metrics = Metrics()
