"""FailoverDrill as the loop knows it: what ties observe, plan, act and report to the objects, and keeps the runs of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from penstock.api.failoverdrill import FailoverDrill
from penstock.api.failoverdrill_status import FailoverDrillStatus, Phase, Run, Verdict
from penstock.api.model import Problem
from penstock.api.parsing import parse_as
from penstock.api.schedules import Schedule
from penstock.aws.account import Account
from penstock.drill import act
from penstock.drill import plan as planning
from penstock.drill import report as reporting
from penstock.drill.act import Actor, cluster_key
from penstock.drill.clusters import Clusters
from penstock.drill.state import Desired, Inspection, Observed
from penstock.drill.trial import Trial
from penstock.engine import metrics
from penstock.engine.kind import Invalid, Key, Look, Money, Object, Outcome, Report
from penstock.engine.kube import Kube
from penstock.engine.plan import Plan, Step
from penstock.proof.drillbook import RUNNING, DrillBook, DrillResult

NAME = "FailoverDrill"
RESOURCE = act.RESOURCE

# Seconds for which the database counts as looked into, and for which a cluster is kept for a drill that does not begin.
INSPECTED = 15.0
RESERVED = 30.0


@dataclass
class Entry:
    """What this process remembers of one drill. Times are of the event loop. cleaned: the run whose schema was dropped. counted: the run of which the
    metrics have the end."""

    uid: str = ""
    inspection: tuple[Inspection, float] | None = None
    trial: Trial | None = None
    cleaned: str = ""
    counted: str = ""


class FailoverDrills:
    """All FailoverDrills of one operator. clusters: the way to what is drilled. book: where results go."""

    name = NAME
    resource = RESOURCE

    def __init__(self, account: Account, clusters: Clusters, book: DrillBook, kube: Kube | None = None) -> None:
        self._clusters = clusters
        self._book = book
        self._entries: dict[Key, Entry] = {}
        self._running: dict[Key, dict[Key, str]] = {}
        self._reserved: dict[Key, tuple[Key, float]] = {}
        self._orphans: set[Trial] = set()
        self._wake: Callable[[Key], None] = lambda _: None
        self._actor = Actor(account, clusters, kube, self._reserve, lambda key: self._wake(key))

    def desired(self, obj: Object) -> Desired:
        metadata = obj["metadata"]
        found = parse_as(FailoverDrill, {**obj, "status": {}})
        if isinstance(found, list):
            raise Invalid(found)
        absent, status = "deletionTimestamp" in metadata, parse_status(obj.get("status") or {})
        schedule = None
        if found.spec.schedule is not None and not absent:
            try:
                schedule = Schedule(found.spec.schedule, found.spec.timezone or "")
            except ValueError as error:
                # A run that goes on is carried to its end: else its writers, its table and its hold on the cluster would stay.
                if status.run is None:
                    raise Invalid([Problem("spec.schedule", str(error))]) from error
        desired = Desired(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            spec=found.spec,
            status=status,
            cluster=found.spec.cluster_ref.name,
            schedule=schedule,
            created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
            generation=metadata.get("generation", 0),
            absent=absent,
        )
        self._remember(desired)
        return desired

    def owns_nothing(self, obj: Object) -> bool:
        return not (obj.get("status") or {}).get("run")

    async def observe(self, desired: Desired, look: Look) -> Observed:
        key, now = self._key(desired), asyncio.get_running_loop().time()
        entry, run = self._entry(desired), desired.status.run
        going = (
            entry.trial.going if entry.trial is not None and run is not None and entry.trial.uid == run.uid else None
        )
        asks = going is not None and going.phase is Phase.WRITING and going.ready and not going.asked
        found = await self._clusters.subject(cluster_key(desired), newer=asks or look.fresh)
        running = {drill for drill in self._running.get(cluster_key(desired), {}) if drill != key}
        holder = self._reserved.get(cluster_key(desired))
        if holder is not None and holder[0] != key and now - holder[1] < RESERVED:
            running.add(holder[0])
        inspection = entry.inspection
        ended = [r.finished_at or r.started_at for r in self._book.of(cluster_key(desired)) if r.verdict != RUNNING]
        return Observed(
            subject=found,
            going=going,
            others=tuple(sorted(drill.name for drill in running)),
            reserved=holder is not None and holder[0] == key and now - holder[1] < RESERVED,
            inspection=inspection[0] if inspection is not None and now - inspection[1] < INSPECTED else None,
            cleaned=run is not None and entry.cleaned == run.uid,
            last_drill=max(ended, default=None),
        )

    def plan(self, desired: Desired, observed: Observed, now: datetime) -> Plan:
        return planning.plan(desired, observed, now)

    async def act(self, desired: Desired, step: Step) -> str | None:
        return await self._actor.act(self._key(desired), desired, self._entry(desired), step)

    def report(self, obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime) -> Report:
        written = reporting.report(obj, desired, outcome, now)
        ended, entry = written.ended, self._entry(desired)
        if ended is not None and entry.counted != ended.uid:
            entry.counted = ended.uid
            metrics.DRILLS.labels(str(ended.verdict)).inc()
            if ended.outage_seconds is not None:
                metrics.DRILL_OUTAGE.observe(ended.outage_seconds)
            if ended.commits_lost:
                metrics.DRILL_COMMITS_LOST.inc(ended.commits_lost)
        return written.told

    def money(self, desired: Desired, observed: Observed, now: datetime) -> Money | None:  # noqa: ARG002
        return None

    def forget(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        for cluster, drills in self._running.items():
            uid = drills.pop(key, None)
            running = next((r for r in self._book.of(cluster) if r.uid == uid and r.verdict == RUNNING), None)
            if running is not None:
                self._book.record(
                    cluster, replace(running, verdict=str(Verdict.ABORTED), finished_at=datetime.now(UTC))
                )
        for cluster, (drill, _) in list(self._reserved.items()):
            if drill == key:
                del self._reserved[cluster]
        if entry is not None and entry.trial is not None and entry.trial.going.result is None:
            # Gone without a deletion that was waited for: it ends by itself and cleans up.
            self._orphans = {t for t in self._orphans if t.going.result is None} | {entry.trial}
            entry.trial.stop("the drill was deleted")

    async def watch(self, wake: Callable[[Key], None]) -> None:
        """For ever: runs put their drill on the queue when they come further. Cancelled, they end at once."""
        self._wake = wake
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for trial in (*(e.trial for e in self._entries.values() if e.trial is not None), *self._orphans):
                trial.cancel()

    def _reserve(self, cluster: Key, drill: Key, *, found: dict[Key, str] | None = None) -> bool:
        """Keep the cluster for a drill; False when another has it. found: what the API server says of runs, which is taken over."""
        now = asyncio.get_running_loop().time()
        if found is not None:
            self._running.setdefault(cluster, {}).update(found)
        holder = self._reserved.get(cluster)
        if any(other != drill for other in self._running.get(cluster, {})):
            if holder is not None and holder[0] == drill:
                del self._reserved[cluster]
            return False
        if holder is not None and holder[0] != drill and now - holder[1] < RESERVED:
            return False
        self._reserved[cluster] = (drill, now)
        return True

    def _remember(self, desired: Desired) -> None:
        """Keep step with the status: which drill runs on which cluster, and what runs came to."""
        key, entry, run, cluster = self._key(desired), self._entry(desired), desired.status.run, cluster_key(desired)
        if run is not None:
            self._running.setdefault(cluster, {})[key] = run.uid
            self._book.record(cluster, _running(desired, run))
        elif self._running.get(cluster, {}).pop(key, None) is not None:
            self._reserved.pop(cluster, None)
        if entry.trial is not None and (run is None or run.uid != entry.trial.uid):
            entry.trial = None
        for past in desired.status.history:
            if past.verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.ABORTED):
                self._book.record(
                    cluster,
                    DrillResult(
                        drill=desired.name,
                        uid=past.uid,
                        started_at=past.started_at,
                        finished_at=past.finished_at,
                        verdict=str(past.verdict),
                        from_=past.from_ or "",
                        to=past.to or "",
                        outage_seconds=past.outage_seconds,
                        commits_lost=past.commits_lost,
                    ),
                )

    def _entry(self, desired: Desired) -> Entry:
        entry = self._entries.setdefault(self._key(desired), Entry(desired.uid))
        if entry.uid != desired.uid:
            self.forget(self._key(desired))
            entry = self._entries[self._key(desired)] = Entry(desired.uid)
        return entry

    @staticmethod
    def _key(desired: Desired) -> Key:
        return Key(NAME, desired.namespace, desired.name)


def _running(desired: Desired, run: Run) -> DrillResult:
    return DrillResult(desired.name, run.uid, run.started_at, None, RUNNING, from_=run.from_ or "")


def parse_status(status: dict[str, Any]) -> FailoverDrillStatus:
    """The status as a model. One that does not fit (another version wrote it) counts as absent, but for the run, which must be cleaned up."""
    known = {k: v for k, v in status.items() if k not in ("conditions", "plan")}
    for kept in (known, {"run": known.get("run")}):
        try:
            return FailoverDrillStatus.model_validate(kept)
        except ValidationError:
            continue
    return FailoverDrillStatus()
