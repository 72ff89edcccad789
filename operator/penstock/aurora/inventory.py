"""What is read of RDS for all clusters of an account and region at once; an object never reads its own.

Each read has 100 records a page. Calls an hour while nothing happens, of an account with 100 clusters and 300 instances:

    DescribeDBClusters    every 5 s                 3600 / 5 × 1 page     = 720
    DescribeDBInstances   every 20 s a page, to 60  3600 / 60 × 3 pages   = 180
    DescribeEvents        every 30 s                3600 / 30 × 1 page    = 120
                                                                           1020

and with one cluster of two instances 720 + 3600 / 20 × 1 page + 120 = 1020 as well. Beyond that the reads grow with the pages, one request a second
each at most: 1,000 clusters are read every 10 s.

While an object says that something is in transition, clusters are read every 2 s, instances every 5 s and events every 10 s: 0.5 + 3 / 5 + 0.1 = 1.2
requests/s with 100 clusters and 300 instances, at most 1 + 1 + 0.1 with any number; events of many pages are read as much more rarely. That, and the
writes beside it, stay under the account's bucket (penstock.aws.account, LIMITS). Where a read has more than three pages and few clusters are in
transition, only those are read, by name. Objects that wait for an answer newer than their own write share the next read; a few such reads may begin
0.5 s after each other, then they keep to the intervals above. Every interval doubles with each failed read, up to 60 s; after throttling it halves
with each good one. All have ±10 % of jitter.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.aurora.eventlog import EventLog
from penstock.aurora.hints import Hints
from penstock.aurora.reading import NEVER, Intervals, Reader
from penstock.aws import rds
from penstock.aws.account import Account
from penstock.aws.rds import Cluster, Event, Instance
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key
from penstock.engine.queue import Priority

Wake = Callable[[Key], None]

_PAGE = 100
# An answer has no more pages than this, or its markers go round in circles.
_PAGES = 1000
# A page that fails in passing is asked for again, so that a read of ten pages does not fail with the first; seconds before the second try.
_TRIES = 3
_AGAIN = 0.5
# How old an answer may be for somebody who asks in a region that nobody watches (a plan that is only printed), in seconds.
_UNWATCHED = 5.0
# RDS API reference, DescribeEvents: kept for 14 days, the last hour without a StartTime. Asking for more than is kept is avoided.
_KEPT = 13 * 86400.0
_WEEK_IN_MINUTES = 7 * 24 * 60


@dataclass(frozen=True)
class InventoryCycles:
    """Seconds between two reads while nothing happens (instances: a page, up to three) and while something is in transition; the slowest when
    reads fail."""

    clusters: float = 5.0
    instances: float = 20.0
    events: float = 30.0
    hurried_clusters: float = 2.0
    hurried_instances: float = 5.0
    hurried_events: float = 10.0
    slowest: float = 60.0


@dataclass(frozen=True)
class View:
    """What is known of one cluster.

    cluster: None when AWS has none of that name. instances: by identifier, all that name the cluster, members or not yet. The two are read apart, so
    each has the time of the event loop at which its read began. events: those read so far, oldest first, which may be of an earlier cluster of that
    name; a hint, as AWS tells them at its best effort. renamed: the cluster that was asked for by its id and has another name.
    """

    cluster: Cluster | None
    instances: Mapping[str, Instance]
    cluster_read_at: float
    instances_read_at: float
    events: tuple[Event, ...] = ()
    renamed: Cluster | None = None
    elsewhere: frozenset[str] = frozenset()
    """Identifiers of the instances of all other clusters of the region."""


class Inventory:
    """One for an operator. Regions come with their first object and go with their last; without objects nothing is called.

    queue_url: an SQS queue that gets RDS events, '' without.
    """

    def __init__(self, account: Account, cycles: InventoryCycles | None = None, queue_url: str = "") -> None:
        self._account = account
        self._cycles = cycles or InventoryCycles()
        self._queue_url = queue_url
        self._interests: dict[Key, tuple[str, str]] = {}
        self._regions: dict[str, _Region] = {}
        self._wake: Wake | None = None

    def watches(self, key: Key, region: str, identifier: str) -> None:
        """An object's interest in a cluster; called with each pass, it replaces the object's earlier one."""
        interest = (region, identifier.lower())
        before = self._interests.get(key)
        if before == interest:
            return
        self._interests[key] = interest
        found = self._region(region)
        found.watchers.setdefault(interest[1], set()).add(key)
        if before is not None:
            self._drop(key, *before)
        if self._wake is not None:
            found.start()

    def forget(self, key: Key) -> None:
        """The object is gone. With the last of a region its reads end."""
        interest = self._interests.pop(key, None)
        if interest is not None:
            self._drop(key, *interest)

    def watched(self, region: str) -> int:
        """How many clusters of the region some object has."""
        found = self._regions.get(region)
        return len(found.watchers) if found is not None else 0

    def hurry(self, region: str, identifier: str, seconds: float) -> None:
        """The cluster is in transition and will be for so long, or until said anew; 0: no longer."""
        found = self._regions.get(region)
        if found is not None:
            found.hurry(identifier.lower(), seconds)

    async def view(
        self,
        region: str,
        identifier: str,
        newer_than: float | None = None,
        fresh: bool = False,
        *,
        clusters_newer_than: float | None = None,
        instances_newer_than: float | None = None,
        priority: Priority = Priority.NORMAL,
        known_as: Callable[[Cluster], bool] = lambda _: False,
    ) -> View:
        """What is known of a cluster.

        newer_than: a time of the event loop; waits for reads of clusters and instances that began after it. clusters_newer_than and
        instances_newer_than ask that of one of them. fresh: as if newer_than were now. Without any, what was read last, however old (see age), or the
        first read. priority: whose tokens a read that this waits for may take. known_as: whether
        a cluster is the very one that is meant, whatever its name. Raises Trouble when that read fails.
        """
        name, now = identifier.lower(), asyncio.get_running_loop().time()
        found = self._region(region)
        least = NEVER if found.cycling else now - _UNWATCHED
        if fresh:
            least = now
            found.events.kick()
        both = least if newer_than is None else max(least, newer_than)
        waits = []
        for reader, asked in ((found.clusters, clusters_newer_than), (found.instances, instances_newer_than)):
            than = both if asked is None else max(both, asked)
            if reader.at(name) <= than:
                waits.append(reader.newer(name, than, priority))
        # When both fail, it is the same one that is told each time: another one would count as a step forward.
        for failed in [e for e in await asyncio.gather(*waits, return_exceptions=True) if e is not None]:
            raise failed
        return found.view(name, known_as)

    async def run(self, wake: Wake) -> None:
        """Read until cancelled; wake(key) for every object whose cluster appeared, changed or vanished, or has new events."""
        self._wake = wake
        for region in self._regions.values():
            if region.watchers:
                region.start()
        try:
            if self._queue_url:
                await Hints(self._account, self._queue_url, lambda: bool(self._interests), self.hint).run()
            await asyncio.Event().wait()
        finally:
            self._wake = None
            for region in self._regions.values():
                region.cancel()

    def age(self, region: str, read: str = "clusters") -> float:
        """Seconds since a read ("clusters", "instances" or "events") that succeeded began, or since the first object came; 0 without any."""
        found = self._regions.get(region)
        return 0.0 if found is None else next(r.age() for r in found.readers if r.name == read)

    def trouble(self, region: str) -> Trouble | None:
        """Why the last read of clusters or of instances failed; None while both succeed."""
        found = self._regions.get(region)
        return None if found is None else found.clusters.trouble or found.instances.trouble

    def events(self, region: str, identifier: str) -> tuple[Event, ...]:
        """The events of a cluster and its instances that were read so far, oldest first. Asks nothing of AWS."""
        found = self._regions.get(region)
        return () if found is None else found.log.of(identifier.lower())

    def users(self, region: str, level: str, name: str) -> tuple[str, ...]:
        """The clusters, or the instances of clusters, that use a group. level: cluster, instance or subnets."""
        found = self._regions.get(region)
        return () if found is None else found.users(level, name)

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        for name, region in self._regions.items():
            for reader in region.readers:
                metrics.INVENTORY_AGE.labels(name, reader.name).set(reader.age())

    def _region(self, name: str) -> _Region:
        if name not in self._regions:
            self._regions[name] = _Region(self._account, name, self._cycles, self._tell)
        return self._regions[name]

    def _drop(self, key: Key, region: str, identifier: str) -> None:
        found = self._regions[region]
        found.watchers[identifier].discard(key)
        if not found.watchers[identifier]:
            del found.watchers[identifier]
            found.hurries.pop(identifier, None)
        if not found.watchers:
            found.stop()
            del self._regions[region]

    def hint(self, region: str, *, events: bool = True) -> None:
        """Something happened there: read all as soon as the pace of waited-for reads allows; events only if AWS has something to tell by now."""
        found = self._regions.get(region)
        if found is not None:
            for reader in found.readers:
                if events or reader is not found.events:
                    reader.kick()

    def _tell(self, key: Key) -> None:
        if self._wake is not None:
            self._wake(key)


@dataclass
class _Region:
    """What is known of one region. watchers: the objects of each cluster. hurries: until when a cluster is in transition, as a time of the event
    loop."""

    account: Account
    name: str
    cycles: InventoryCycles
    tell: Wake
    watchers: dict[str, set[Key]] = field(default_factory=dict)
    hurries: dict[str, float] = field(default_factory=dict)
    cycling: bool = False
    log: EventLog = field(default_factory=EventLog)

    def __post_init__(self) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._instances: dict[str, dict[str, Instance]] = {}
        self._event_seen = NEVER
        cycles = self.cycles
        self.clusters = self._reader(
            "clusters",
            "DescribeDBClusters",
            self._read_clusters,
            idle=lambda pages: max(cycles.clusters, pages),
            hurried=lambda pages: max(cycles.hurried_clusters, pages),
        )
        self.instances = self._reader(
            "instances",
            "DescribeDBInstances",
            self._read_instances,
            idle=lambda pages: max(cycles.instances * min(pages, 3), pages),
            hurried=lambda pages: max(cycles.hurried_instances, pages),
        )
        self.events = self._reader(
            "events",
            "DescribeEvents",
            self._read_events,
            idle=lambda pages: cycles.events * pages,
            hurried=lambda pages: cycles.hurried_events * pages,
        )
        self.readers = (self.clusters, self.instances, self.events)

    def start(self) -> None:
        if not self.cycling:
            self.cycling = True
            for reader in self.readers:
                reader.start()

    def stop(self) -> None:
        self.cycling = False
        for reader in self.readers:
            reader.stop()

    def cancel(self) -> None:
        self.cycling = False
        for reader in self.readers:
            reader.cancel()

    def hurry(self, identifier: str, seconds: float) -> None:
        if identifier not in self.watchers:
            return
        if seconds > 0:
            self.hurries[identifier] = asyncio.get_running_loop().time() + seconds
        else:
            self.hurries.pop(identifier, None)
        for reader in self.readers:
            reader.poke()

    def users(self, level: str, name: str) -> tuple[str, ...]:
        if level == "instance":
            members = (i for instances in self._instances.values() for i in instances.values())
            return tuple(sorted(i.identifier for i in members if i.parameter_group == name))
        clusters = self._clusters.values()
        used = (c for c in clusters if (c.subnet_group if level == "subnets" else c.parameter_group) == name)
        return tuple(sorted(c.identifier for c in used))

    def view(self, identifier: str, known_as: Callable[[Cluster], bool]) -> View:
        there = self._clusters.get(identifier)
        renamed = None
        if there is None or not known_as(there):
            renamed = next((c for name, c in self._clusters.items() if name != identifier and known_as(c)), None)
        return View(
            cluster=self._clusters.get(identifier),
            instances=self._instances.get(identifier, {}),
            cluster_read_at=self.clusters.at(identifier),
            instances_read_at=self.instances.at(identifier),
            events=self.log.of(identifier),
            renamed=renamed,
            elsewhere=frozenset(i for c, found in self._instances.items() if c != identifier for i in found),
        )

    def _reader(
        self,
        name: str,
        operation: str,
        fetch: Callable[[frozenset[str] | None, Priority], Any],
        *,
        idle: Callable[[int], float],
        hurried: Callable[[int], float],
    ) -> Reader:
        return Reader(
            name,
            Intervals(idle, hurried, self.cycles.slowest),
            fetch,
            lambda: self.account.affords("rds", operation, self.name),
            self._hurrying,
        )

    def _hurrying(self) -> frozenset[str]:
        now = asyncio.get_running_loop().time()
        for identifier in [i for i, until in self.hurries.items() if until <= now]:
            del self.hurries[identifier]
        return frozenset(self.hurries)

    async def _read_clusters(self, about: frozenset[str] | None, priority: Priority) -> int:
        found: dict[str, Cluster] = {}
        pages = 0
        async for answer in self._pages("DescribeDBClusters", _filter(about), priority):
            pages += 1
            for description in answer.get("DBClusters") or ():
                cluster = rds.cluster(description)
                found[cluster.identifier.lower()] = cluster
        before = self._clusters
        self._clusters = found if about is None else {**_without(before, about), **found}
        changed = {i for i in self.watchers if self.clusters.at(i) > NEVER and before.get(i) != self._clusters.get(i)}
        placed = ((m.identifier.lower(), i) for i, cluster in found.items() for m in cluster.members)
        changed |= self.log.place(placed)
        if changed:
            # What changed a cluster is often told: a failover, a restart, the end of an upgrade.
            self.events.kick()
        self._woken(changed | self._was_denied(self.clusters))
        return pages

    async def _read_instances(self, about: frozenset[str] | None, priority: Priority) -> int:
        found: dict[str, dict[str, Instance]] = {}
        pages = 0
        async for answer in self._pages("DescribeDBInstances", _filter(about), priority):
            pages += 1
            for description in answer.get("DBInstances") or ():
                instance = rds.instance(description)
                if instance.cluster:
                    found.setdefault(instance.cluster.lower(), {})[instance.identifier] = instance
        before = self._instances
        self._instances = found if about is None else {**_without(before, about), **found}
        changed = {i for i in self.watchers if self.instances.at(i) > NEVER and before.get(i) != self._instances.get(i)}
        changed |= self.log.place((name.lower(), i) for i, instances in found.items() for name in instances)
        self._woken(changed | self._was_denied(self.instances))
        return pages

    def _was_denied(self, reader: Reader) -> set[str]:
        """Every cluster, when AWS denied the read before this one: its object says so, and rests for long."""
        return set(self.watchers) if reader.trouble is not None and reader.trouble.meaning is Meaning.DENIED else set()

    async def _read_events(self, _: frozenset[str] | None, priority: Priority) -> int:
        now = asyncio.get_running_loop().time()
        parameters: dict[str, Any] = {}
        since = self.log.since
        if since is not None and now - self._event_seen < _KEPT:
            parameters["StartTime"] = since
        elif self.events.began > NEVER:
            minutes = math.ceil((now - self.events.began) / 60) + 60
            parameters["Duration"] = min(_WEEK_IN_MINUTES, minutes)
        events, pages, latest = [], 0, self.log.latest
        async for answer in self._pages("DescribeEvents", parameters, priority):
            pages += 1
            events += [e for e in map(rds.event, answer.get("Events") or ()) if e is not None]
        concerned = self.log.add(events)
        if self.log.latest != latest:
            self._event_seen = now
        self._woken(concerned)
        return pages

    async def _pages(
        self, operation: str, parameters: Mapping[str, Any], priority: Priority
    ) -> AsyncIterator[dict[str, Any]]:
        asked = {"MaxRecords": _PAGE, **parameters}
        for _ in range(_PAGES):
            answer = await self._page(operation, asked, priority)
            yield answer
            marker = answer.get("Marker")
            if not marker or marker == asked.get("Marker"):
                return
            asked = {**asked, "Marker": marker}

    async def _page(self, operation: str, parameters: Mapping[str, Any], priority: Priority) -> dict[str, Any]:
        for again in range(1, _TRIES + 1):
            try:
                return await self.account.call("rds", operation, parameters, region=self.name, priority=priority)
            except Trouble as trouble:
                if again == _TRIES or trouble.meaning not in (Meaning.THROTTLED, Meaning.UNAVAILABLE):
                    raise
            await asyncio.sleep(_AGAIN * 2 ** (again - 1) * random.uniform(0.8, 1.2))
        raise AssertionError("the last try returns or raises")

    def _woken(self, identifiers: set[str]) -> None:
        for identifier in identifiers:
            for key in tuple(self.watchers.get(identifier, ())):
                self.tell(key)


def _filter(about: frozenset[str] | None) -> dict[str, Any]:
    """RDS API reference: both describe calls filter by cluster, and answer with an empty list for one that there is not."""
    return {} if about is None else {"Filters": [{"Name": "db-cluster-id", "Values": sorted(about)}]}


def _without(known: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name not in names}
