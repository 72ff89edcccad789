"""What AWS said happened to clusters and instances, as far as it was read: deduplicated, bounded, and found by cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from penstock.aws.rds import Event

# Events are told late at times; this much of what was read already is read again. The guide promises no bound ("best effort").
OVERLAP = timedelta(minutes=5)
_OF_A_SOURCE = 50
_OF_A_CLUSTER = 100
_SOURCES = 4096


class EventLog:
    """The events of one region. latest: the time of the newest event of any source, None before the first."""

    def __init__(self) -> None:
        self.latest: datetime | None = None
        self._seen: set[Event] = set()
        self._by_source: dict[tuple[str, str], deque[Event]] = {}
        # Instances are remembered beyond their end: their last events come when they are gone.
        self._cluster_of: dict[str, str] = {}
        self._instances_of: dict[str, set[str]] = {}

    @property
    def since(self) -> datetime | None:
        """From when on to read again."""
        return None if self.latest is None else self.latest - OVERLAP

    def add(self, events: Iterable[Event]) -> set[str]:
        """Keep what is new. Returns the clusters that it is about, as far as it is known whose instances they are."""
        since, clusters = self.since, set()
        for event in sorted(events, key=lambda e: e.time):
            # What is older was read in its time, whatever the endpoint makes of StartTime.
            if event in self._seen or (since is not None and event.time < since):
                continue
            self._seen.add(event)
            self.latest = event.time if self.latest is None else max(self.latest, event.time)
            if event.source_type not in ("db-cluster", "db-instance"):
                continue
            place = (event.source_type, event.source.lower())
            self._by_source.setdefault(place, deque(maxlen=_OF_A_SOURCE)).append(event)
            cluster = place[1] if event.source_type == "db-cluster" else self._cluster_of.get(place[1])
            if cluster is not None:
                clusters.add(cluster)
        self._trim()
        return clusters

    def place(self, instances: Iterable[tuple[str, str]]) -> set[str]:
        """Learn which cluster an instance belongs to (instance, cluster). Returns the clusters that get events by it."""
        clusters = set()
        for instance, cluster in instances:
            before = self._cluster_of.get(instance)
            if before != cluster:
                self._cluster_of[instance] = cluster
                self._instances_of.setdefault(cluster, set()).add(instance)
                if before is not None:
                    self._instances_of[before].discard(instance)
                if ("db-instance", instance) in self._by_source:
                    clusters.add(cluster)
        return clusters

    def of(self, cluster: str) -> tuple[Event, ...]:
        """The events of the cluster and of all its instances that were ever known, oldest first, at most the last hundred."""
        found = list(self._by_source.get(("db-cluster", cluster), ()))
        for instance in self._instances_of.get(cluster, ()):
            found.extend(self._by_source.get(("db-instance", instance), ()))
        return tuple(sorted(found, key=lambda e: (e.time, e.source_type, e.source))[-_OF_A_CLUSTER:])

    def _trim(self) -> None:
        since = self.since
        if since is not None:
            self._seen = {e for e in self._seen if e.time >= since}
        surplus = len(self._by_source) - _SOURCES
        if surplus > 0:
            oldest = sorted(self._by_source, key=lambda place: self._by_source[place][-1].time)[:surplus]
            for place in oldest:
                del self._by_source[place]
        if len(self._cluster_of) > 2 * _SOURCES:
            kept = [(i, c) for i, c in self._cluster_of.items() if ("db-instance", i) in self._by_source]
            self._cluster_of.clear()
            self._instances_of.clear()
            self.place(kept)
