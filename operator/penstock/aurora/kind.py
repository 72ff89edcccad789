"""AuroraCluster as the loop knows it: what ties observe, plan, act and report to the objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from penstock.advice.asking import DAY, Advisor, Series, Standing, Subject, subjects
from penstock.advice.report import Findings
from penstock.api import meta
from penstock.api.auroracluster import AuroraCluster
from penstock.api.auroracluster_status import AuroraClusterStatus
from penstock.api.conditions import ConditionType
from penstock.api.parsing import parse_as
from penstock.aurora import advising, binding, costing, drilled, handover, outcomes, ownership, spending
from penstock.aurora import plan as planning
from penstock.aurora import report as reporting
from penstock.aurora.act import Actor
from penstock.aurora.binder import Binder
from penstock.aurora.credentials import CredentialReader
from penstock.aurora.inventory import Inventory, InventoryCycles
from penstock.aurora.memory import Memory
from penstock.aurora.observe import Observer
from penstock.aurora.proving import Prover
from penstock.aurora.state import Desired, Observed
from penstock.aurora.watching import Watching
from penstock.aws.account import Account
from penstock.cost import spend as spends
from penstock.cost.book import PriceBook
from penstock.cost.meters import Meters
from penstock.cost.spend import Spend
from penstock.engine import conditions, hibernation, metrics
from penstock.engine.events import Note
from penstock.engine.kind import Invalid, Key, Look, Money, Object, Outcome, Report
from penstock.engine.kube import Kube, Resource
from penstock.engine.loop import forced_token
from penstock.engine.owners import owner
from penstock.engine.plan import Plan, Step
from penstock.engine.tenancy import UNENFORCED, Tenancy
from penstock.proof.drillbook import DrillBook

NAME = "AuroraCluster"
RESOURCE = Resource(meta.GROUP, meta.VERSION, "auroraclusters")


@dataclass
class _Entry:
    memory: Memory = field(default_factory=Memory)
    advice: Standing = field(default_factory=Standing)
    uid: str = ""
    created_at: str = ""
    generation: int = -1
    parsed: AuroraCluster | None = None
    settled: int = -1
    cost: Mapping[str, Any] = field(default_factory=dict)


class AuroraClusters:
    """All AuroraClusters of one operator.

    cluster: the Kubernetes cluster's id, part of the owner tag. kube: for Secrets; None without a cluster. database_ca: the PEM file of the
    authorities that sign the databases' certificates, '' for those that the system trusts. advice_every: seconds between two looks at the metrics of
    a cluster, 0 for none.
    """

    name = NAME
    resource = RESOURCE

    def __init__(  # noqa: PLR0913
        self,
        account: Account,
        cluster: str,
        kube: Kube | None = None,
        inventory: InventoryCycles | None = None,
        queue_url: str = "",
        meters: Meters | None = None,
        database_ca: str = "",
        advice_every: float = DAY,
        tenancy: Tenancy = UNENFORCED,
    ) -> None:
        self._account = account
        self._meters = meters or Meters(None, PriceBook())
        self._prices = self._meters.prices
        self._cluster = cluster
        self._tenancy = tenancy
        self._inventory = Inventory(account, inventory, queue_url)
        self._observer = Observer(account, self._inventory, kube)
        self._actor = Actor(account, self._inventory)
        self._wake: Callable[[Key], None] = lambda _: None
        self._binder: Binder | None = None
        credentials = CredentialReader(account, kube) if kube is not None else None
        self._watching = Watching(self._inventory, credentials, database_ca)
        if kube is not None and credentials is not None:
            prover = Prover(lambda name: self._wake(Key(NAME, *name)))
            self._binder = Binder(kube, self._inventory, credentials, prover, database_ca)
        self._entries: dict[Key, _Entry] = {}
        self._advisor = Advisor(account, advice_every, self._due)
        self._only_printed = False

    @property
    def inventory(self) -> Inventory:
        """What is read of RDS for all clusters together."""
        return self._inventory

    @property
    def drills(self) -> DrillBook:
        """Where the results of failover drills are put down, so that failovers and objectives have them."""
        return self._watching.drills

    def look_always(self) -> None:
        """For a plan that is only printed: never take a group for absent without having looked."""
        self._observer.assume_absent = False
        self._only_printed = True

    def desired(self, obj: Object) -> Desired:
        entry = self._entry(obj)
        metadata = obj["metadata"]
        if entry.parsed is None or entry.generation != metadata.get("generation"):
            entry.parsed = self._parse(obj)
            entry.generation = metadata.get("generation", 0)
        status = obj.get("status") or {}
        entry.cost = status.get("cost") or {}
        cluster = entry.parsed
        synced = conditions.find(status, ConditionType.SYNCED) or {}
        if synced.get("status") == "True":
            # For good: while AWS is in the middle of somebody's change the object is not in sync, and what comes of it is drift all the same.
            entry.settled = synced.get("observedGeneration", -1)
        region = cluster.spec.region or self._account.region
        unreachable = self._tenancy.region_problems(region)
        if unreachable:
            raise Invalid(unreachable)
        return Desired(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            region=region,
            identifier=cluster.cluster_identifier.lower(),
            owner=owner(self._cluster, NAME, obj),
            spec=cluster.spec,
            status=parse_status(status),
            generation=metadata.get("generation", 0),
            absent="deletionTimestamp" in metadata,
            created_at=metadata.get("creationTimestamp", ""),
            deleted_at=metadata.get("deletionTimestamp", ""),
            approved=(metadata.get("annotations") or {}).get(meta.APPROVE, ""),
            wake=(metadata.get("annotations") or {}).get(meta.WAKE, ""),
            failover_to=(metadata.get("annotations") or {}).get(meta.FAILOVER_TO, ""),
            mode=(metadata.get("annotations") or {}).get(meta.MODE) or meta.Mode.RECONCILE,
            settled=entry.settled == metadata.get("generation", 0),
            tenancy=self._tenancy,
            rival=self._rival(entry) if not status.get("resourceId") else "",
        )

    def _rival(self, mine: _Entry) -> str:
        """The oldest other object that asks for the same cluster, where it is older: of two that were applied together one waits."""

        def asks_for(entry: _Entry) -> tuple[str, str] | None:
            if entry.parsed is None:
                return None
            return entry.parsed.spec.region or self._account.region, entry.parsed.cluster_identifier.lower()

        older = [
            (entry.created_at, entry.uid, f"{key.namespace}/{key.name}")
            for key, entry in self._entries.items()
            if asks_for(entry) == asks_for(mine) and (entry.created_at, entry.uid) < (mine.created_at, mine.uid)
        ]
        return min(older)[-1] if older else ""

    def owns_nothing(self, obj: Object) -> bool:
        status = obj.get("status") or {}
        return not any(status.get(name) for name in ("clusterArn", "restore", "parameterGroups", "subnetGroup"))

    async def observe(self, desired: Desired, look: Look) -> Observed:
        self._inventory.watches(self._key(desired), desired.region, desired.identifier)
        if look.fresh:
            await self._meters.refresh(self._key(desired))
            self._entries[self._key(desired)].advice.due = 0.0
        memory = self._memory(desired)
        if handover.unanswered(desired) != memory.failover_asked:
            # Whoever asks for a failover now means the cluster as it is now.
            memory.failover_asked = handover.unanswered(desired)
            memory.clusters_written = memory.instances_written = asyncio.get_running_loop().time()
        observed = await self._observer.observe(desired, self._memory(desired), look)
        running = self.drills.running(self._key(desired))
        observed = replace(observed, drill=running.drill if running is not None else "")
        if self._binder is None or self._only_printed:
            return observed
        return replace(observed, binding=await self._binder.look(desired, observed, self._memory(desired), look))

    def plan(self, desired: Desired, observed: Observed, now: datetime) -> Plan:
        if self._only_printed:
            desired = ownership.as_marked(desired, observed)
        found = planning.plan(desired, observed, now)
        steps = tuple(_asking(s, now) if s.operation == "FailoverDBCluster" else s for s in found.steps)
        told = () if desired.absent else outcomes.unattainable(desired, observed)
        found = replace(found, steps=steps, notes=(*found.notes, *ownership.doubts(desired, observed), *told))
        if not desired.absent:
            found = drilled.held(found, observed.drill)
        return costing.priced(found, desired, observed, self._prices.of(desired.region), now.date())

    async def act(self, desired: Desired, step: Step) -> str | None:
        if step.facet == binding.FACET and self._binder is not None:
            return await self._binder.act(desired, self._memory(desired), step)
        return await self._actor.act(desired, self._memory(desired), step)

    def report(self, obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime) -> Report:
        report = reporting.report(obj, desired, outcome, now, self._inventory.trouble(desired.region))
        answer = handover.answer(desired, outcome.observed, now) if outcome.observed is not None else None
        if answer is not None:
            notes = [Note(*answer.warning, warning=True, action="Failover")] if answer.warning else []
            report = replace(report, fields={**report.fields, **answer.fields}, notes=(*report.notes, *notes))
        report = self._watching.add(self._key(desired), report, obj, desired, outcome.observed, now)
        return self._with_advice(self._with_cost(report, obj, desired, outcome, now), obj, desired, outcome)

    def money(self, desired: Desired, observed: Observed, now: datetime) -> Money | None:
        if desired.absent or not costing.whole(observed):
            return None
        found = costing.estimate(desired, observed, self._prices.of(desired.region), now.date())
        return spends.as_money(found, self._spent(desired, observed, now))

    def _spent(self, desired: Desired, observed: Observed, now: datetime) -> Spend | None:
        running = costing.runs(desired, observed, self._prices.of(desired.region), now.date())
        if running is None or observed.cluster is None:
            return None
        key, cluster = self._key(desired), observed.cluster
        meters = spending.meters(cluster, observed.instances.values())
        return self._meters.spend(key, desired.region, cluster.created, running, meters, self._entries[key].cost, now)

    def _with_cost(
        self, report: Report, obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime
    ) -> Report:
        status = obj.get("status") or {}
        known = status.get("cost")
        if outcome.observed is not None and not desired.absent and costing.whole(outcome.observed):
            found = costing.estimate(desired, outcome.observed, self._prices.of(desired.region), now.date())
            spent, asked = self._spent(desired, outcome.observed, now), forced_token(obj) is not None
            known = self._meters.onto(
                self._key(desired), status, desired.generation, desired.owner, found, spent, asked=asked
            )
        return replace(report, fields={**report.fields, "cost": known}) if known else report

    def _with_advice(self, report: Report, obj: Object, desired: Desired, outcome: Outcome[Observed]) -> Report:
        seen = (desired, outcome.observed) if outcome.observed is not None else None
        there = bool(report.fields.get("clusterArn")) and not desired.absent
        standing = self._entries[self._key(desired)].advice
        return self._advisor.onto(report, obj, standing, desired.generation, seen, there=there)

    def _due(self) -> Iterator[Subject]:
        standings = ((key, entry.advice) for key, entry in self._entries.items())
        return subjects(standings, advising.queries, self._findings)

    def _findings(self, desired: Desired, observed: Observed) -> Callable[[Series, datetime], Findings]:
        prices = self._prices.of(desired.region)
        return lambda series, now: advising.findings(desired, observed, series, now, prices)

    def forget(self, key: Key) -> None:
        self._entries.pop(key, None)
        self._inventory.forget(key)
        self._meters.forget(key)
        self._watching.forget(key)
        if self._binder is not None:
            self._binder.forget(key.namespace, key.name)

    async def watch(self, wake: Callable[[Key], None]) -> None:
        """Read in batches for ever; wake(key) puts an object whose cluster changed on the queue."""
        self._wake = wake
        async with asyncio.TaskGroup() as tasks:
            for part in (self._inventory, self._advisor, self._watching):
                tasks.create_task(part.run(wake))

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        self._inventory.measure()
        self._watching.measure()
        saving = sum((e.advice.saving for e in self._entries.values()), Decimal(0))
        metrics.ADVICE_SAVING.labels(NAME).set(float(saving))

    def _entry(self, obj: Object) -> _Entry:
        metadata = obj["metadata"]
        key = Key(NAME, metadata["namespace"], metadata["name"])
        entry = self._entries.get(key)
        if entry is None or entry.uid != metadata["uid"]:
            # The same name is another object now; nothing that was known of the old one's cluster holds.
            entry = self._entries[key] = _Entry(uid=metadata["uid"], created_at=metadata.get("creationTimestamp", ""))
        return entry

    def _memory(self, desired: Desired) -> Memory:
        return self._entries[self._key(desired)].memory

    @staticmethod
    def _key(desired: Desired) -> Key:
        return Key(NAME, desired.namespace, desired.name)

    @staticmethod
    def _parse(obj: Object) -> AuroraCluster:
        found = parse_as(AuroraCluster, {**obj, "status": {}})
        wrong = found if isinstance(found, list) else hibernation.problems(found.spec.hibernation)
        if isinstance(found, list) or wrong:
            raise Invalid(wrong)
        return found


def _asking(step: Step, now: datetime) -> Step:
    """A failover that we ask for is on the object before AWS hears of it."""
    asked = outcomes.by_operator(
        str(step.parameters.get("TargetDBInstanceIdentifier", "")), now, user="lastFailoverTo" in (step.intent or {})
    )
    return replace(step, intent={**asked, **(step.intent or {})})


def parse_status(status: dict[str, Any]) -> AuroraClusterStatus:
    """The status as a model; one that does not fit (another version wrote it) counts as absent."""
    try:
        return AuroraClusterStatus.model_validate({k: v for k, v in status.items() if k not in ("conditions", "plan")})
    except ValidationError:
        return AuroraClusterStatus()
