"""Ties the probe to the objects: which databases are asked, with whose password, and what becomes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from penstock.api.auroracluster import EngineType
from penstock.api.conditions import Reason
from penstock.aurora import failovers, outcomes, states
from penstock.aurora import zones as zoning
from penstock.aurora.credentials import CredentialReader, Credentials
from penstock.aurora.inventory import Inventory
from penstock.aurora.outcomes import Achieved, Seen
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import Cluster
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key, Object, Report
from penstock.postgres.probe import Endpoint, Prober, Target
from penstock.proof.drillbook import DrillBook

INTERVAL = 1.0
"""Seconds between two questions when the spec says nothing."""

# In these the spec, AWS or nobody has a database to ask: what is stopped or not there yet is neither up nor down.
_NOT_ASKED = ("creating", "starting", "stopping", "stopped", "deleting", "restoring", *states.BROKEN)


@dataclass
class _Watched:
    uid: str
    desired: Desired
    cluster: Cluster | None = None
    zones: dict[str, str] = field(default_factory=dict)
    achieved: Achieved = field(default_factory=Achieved)
    last: Credentials | None = None
    losses: tuple[zoning.Loss, ...] = ()


class Watching:
    """The outcomes of all clusters of one operator. credentials: None where nobody may log in, and nothing is asked. drills: what drills tell."""

    def __init__(self, inventory: Inventory, credentials: CredentialReader | None, database_ca: str) -> None:
        self.drills = DrillBook()
        self._inventory = inventory
        self._credentials = credentials
        self._prober = Prober(database_ca, self._news, self._measured)
        self._watched: dict[Key, _Watched] = {}
        self._wake: Callable[[Key], None] = lambda _: None

    def add(
        self, key: Key, report: Report, obj: Object, desired: Desired, observed: Observed | None, now: datetime
    ) -> Report:
        """The report with failovers, availability, objectives and lags; and whether the database is asked from now on."""
        watched = self._watched.get(key)
        if watched is None or watched.uid != desired.uid:
            # Another object of the same name: what was measured is the outcome of the one before.
            self._prober.forget(key)
            watched = self._watched[key] = _Watched(desired.uid, desired)
        watched.desired = desired
        cluster = observed.cluster if observed is not None else None
        ours = cluster is not None and report.fields.get("resourceId") == cluster.resource_id
        if observed is not None:
            watched.cluster = cluster
            watched.zones = {i.identifier: i.zone for i in observed.instances.values() if i.zone}
            self._ask(key, watched, desired, observed, cluster if ours else None)
        clock = asyncio.get_running_loop().time()
        zone_open = self._zone(key, watched, now)
        seen = Seen(self._prober.picture(key), now, clock, self.drills.of(key), watched.losses, zone_open)
        found, over = outcomes.added(report, obj, desired, observed, seen, watched.achieved)
        for failover in over:
            if (failover.started, failover.from_) not in watched.achieved.counted:
                # A status that could not be written is made again, and must not count twice.
                watched.achieved.counted.add((failover.started, failover.from_))
                metrics.FAILOVERS.labels(failover.cause.value).inc()
                if failover.outage is not None and failover.measured_by is not None:
                    metrics.FAILOVER_SECONDS.labels(failover.measured_by.value).observe(failover.outage)
        return found

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._watched.pop(key, None)
        self._prober.forget(key)

    async def run(self, wake: Callable[[Key], None]) -> None:
        """Ask until cancelled; wake(key) for an object that has something new to tell."""
        self._wake = wake
        await self._prober.run()

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        self._prober.measure()

    def _news(self, key: Key, happened: bool) -> None:
        """What AWS may know of as well is read now and not with the next cycle."""
        watched = self._watched.get(key)
        if watched is not None:
            if happened:
                # Events are worth a read once it is over: before that AWS has little to tell, and their reads are few.
                over = self._prober.picture(key).lasting is None
                self._inventory.hint(watched.desired.region, events=over)
            self._wake(key)

    def _measured(self, key: Key) -> None:
        watched = self._watched.get(key)
        if watched is None:
            return
        picture = self._prober.picture(key)
        if outcomes.moves(watched.desired, picture, watched.achieved, asyncio.get_running_loop().time()):
            self._wake(key)

    def _ask(self, key: Key, watched: _Watched, desired: Desired, observed: Observed, cluster: Cluster | None) -> None:
        found = target(desired, observed, cluster)
        if self._credentials is None or isinstance(found, str):
            self._prober.pause(key, found if isinstance(found, str) else "Nobody may log in.")
            return

        async def credentials(doubted: bool) -> tuple[str, str]:
            assert self._credentials is not None
            if doubted and watched.last is not None:
                self._credentials.doubt(watched.last)
            if watched.cluster is None:
                sentence = f"Cluster {desired.identifier} is not there."
                raise Trouble(Meaning.MISSING, Reason.DATABASE_UNREACHABLE, sentence)
            watched.last = await self._credentials.read(watched.desired, watched.cluster)
            return watched.last.username, watched.last.password

        self._prober.watch(key, found, credentials)

    def _zone(self, key: Key, watched: _Watched, now: datetime) -> bool:
        """Look whether an outage is that of a whole zone, and ask those who may know. Returns whether they have still to answer."""
        outage = zoning.outage(self._prober.picture(key), now)
        writer = (outage.before if outage is not None else "") or watched.desired.status.writer or ""
        zone = watched.zones.get(writer)
        if outage is None or zone is None or any(o.started == outage.started for o in watched.losses):
            return False
        there = dict(islice(self._in_zone(key, watched.desired.region, zone), zoning.MOST))
        found = tuple(there.values())
        if zoning.lost(found, outage.started):
            watched.losses = (*watched.losses, zoning.Loss(writer, outage.started))[-failovers.KEPT :]
            return False
        if not zoning.undecided(found, outage.started):
            return False
        for place in zoning.to_ask(found, outage.started):
            self._prober.ask(tuple(there)[place])
        return True

    def _in_zone(self, first: Key, region: str, zone: str) -> Iterator[tuple[Key, zoning.There]]:
        """The databases with instances in a zone that are asked and once answered, this one first."""
        for key in (first, *(k for k in self._watched if k != first)):
            one = self._watched[key]
            names = frozenset(name for name, place in one.zones.items() if place == zone)
            if not names or one.desired.region != region or one.desired.absent:
                continue
            picture = self._prober.picture(key)
            if picture.reached and not picture.off and not (picture.problem and picture.lasting is None):
                yield key, zoning.There(names, picture)


def target(desired: Desired, observed: Observed, cluster: Cluster | None) -> Target | str:
    """What to ask, or why nobody is asked, as a sentence."""
    spec = desired.spec
    if spec.engine.type is not EngineType.POSTGRESQL:
        return "Clusters of Aurora MySQL are not probed."
    if spec.probe is not None and not spec.probe.enabled:
        return "spec.probe.enabled is false."
    serverless = spec.instances.serverless
    if spec.probe is None and serverless is not None and serverless.auto_pause is not None:
        return "A probe would keep the cluster from pausing; write spec.probe: {enabled: true} to have it all the same."
    if desired.absent or cluster is None or not cluster.endpoint or not cluster.port:
        return "There is no database yet."
    if cluster.status in _NOT_ASKED:
        return f"The cluster is {cluster.status}."
    members = [
        (m.identifier, instance)
        for m in cluster.members
        if (instance := observed.instances.get(m.identifier)) is not None and instance.host
    ]
    if not members or all(i.status == "creating" for _, i in members):
        return "No instance is there yet."
    port = cluster.port
    interval = spec.probe.interval if spec.probe is not None else None
    readers = [i for name, i in members if name != cluster.writer and i.status != "creating"]
    return Target(
        writer=Endpoint(cluster.endpoint, port),
        reader=Endpoint(cluster.reader_endpoint, port) if cluster.reader_endpoint and readers else None,
        instances=tuple((n, Endpoint(i.host, i.port or port)) for n, i in members if i.status not in _NOT_ASKED),
        interval=interval.value.total_seconds() if interval is not None else INTERVAL,
    )
