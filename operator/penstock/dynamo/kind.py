"""DynamoTable as the loop knows it: what ties observe, plan, act and report to the objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from penstock.advice.asking import DAY, Advisor, Series, Standing, Subject, subjects
from penstock.advice.report import Findings
from penstock.api import meta
from penstock.api.conditions import ConditionType
from penstock.api.dynamotable import DynamoTable
from penstock.api.dynamotable_status import DynamoTableStatus
from penstock.api.model import Problem
from penstock.api.parsing import parse_as
from penstock.aws.account import Account
from penstock.cost import spend as spends
from penstock.cost.book import PriceBook
from penstock.cost.meters import Meters
from penstock.cost.spend import Spend
from penstock.dynamo import advising, costing, hibernation, ownership, spending
from penstock.dynamo import plan as planning
from penstock.dynamo import report as reporting
from penstock.dynamo.act import Actor
from penstock.dynamo.inventory import Inventory, InventoryCycles, Known
from penstock.dynamo.memory import Memory
from penstock.dynamo.observe import Cycles, Observer
from penstock.dynamo.state import Desired, Observed
from penstock.engine import conditions, metrics
from penstock.engine.hibernation import problems
from penstock.engine.kind import Invalid, Key, Look, Money, Object, Outcome, Report
from penstock.engine.kube import Resource
from penstock.engine.loop import forced_token
from penstock.engine.owners import owner
from penstock.engine.plan import Plan, Step
from penstock.engine.tenancy import UNENFORCED, Tenancy

log = logging.getLogger(__name__)

NAME = "DynamoTable"
RESOURCE = Resource(meta.GROUP, meta.VERSION, "dynamotables")


@dataclass
class _Entry:
    memory: Memory = field(default_factory=Memory)
    advice: Standing = field(default_factory=Standing)
    uid: str = ""
    generation: int = -1
    parsed: DynamoTable | None = None
    region: str = ""
    arn: str = ""
    table_name: str = ""
    cost: Mapping[str, Any] = field(default_factory=dict)


class DynamoTables:
    """All DynamoTables of one operator. cluster: the cluster's id, part of the owner tag."""

    name = NAME
    resource = RESOURCE

    def __init__(
        self,
        account: Account,
        cluster: str,
        cycles: Cycles | None = None,
        inventory: InventoryCycles | None = None,
        meters: Meters | None = None,
        advice_every: float = DAY,
        tenancy: Tenancy = UNENFORCED,
    ) -> None:
        self._account = account
        self._meters = meters or Meters(None, PriceBook())
        self._prices = self._meters.prices
        self._cluster = cluster
        self._tenancy = tenancy
        self._observer = Observer(account, cycles or Cycles())
        self._actor = Actor(account)
        self._inventory = Inventory(account, inventory or InventoryCycles())
        self._entries: dict[Key, _Entry] = {}
        self._advisor = Advisor(account, advice_every, self._due)
        self._only_printed = False

    def look_always(self) -> None:
        """For a plan that is only printed: never take a table for absent without having looked, nor for another's without having read its mark."""
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
        table = entry.parsed.with_status(parse_status(status))
        synced = conditions.find(status, ConditionType.SYNCED)
        where = ownership.place(table.spec.region or self._account.region, table.table_name)
        if entry.memory.made_name not in ("", where) and not table.status.table_arn:
            # The edit came between the request and the status that names the table.
            sentence = (
                f"table {entry.memory.made_name} was made for this object already; write its name and region back"
            )
            raise Invalid([Problem("spec.tableName", sentence)])
        if ownership.place(entry.region, entry.table_name) != where and not entry.memory.made_name:
            # Nothing is there of what the spec named before.
            entry.memory = Memory()
        entry.region = table.spec.region or self._account.region
        entry.arn = table.status.table_arn or ""
        entry.table_name = table.table_name
        unreachable = self._tenancy.region_problems(entry.region)
        if unreachable:
            raise Invalid(unreachable)
        return Desired(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            region=entry.region,
            table_name=table.table_name,
            owner=owner(self._cluster, NAME, obj),
            spec=table.spec,
            status=table.status,
            generation=metadata.get("generation", 0),
            absent="deletionTimestamp" in metadata,
            deleted_at=metadata.get("deletionTimestamp", ""),
            approved=(metadata.get("annotations") or {}).get(meta.APPROVE, ""),
            wake=(metadata.get("annotations") or {}).get(meta.WAKE, ""),
            mode=(metadata.get("annotations") or {}).get(meta.MODE) or meta.Mode.RECONCILE,
            settled=bool(
                synced
                and synced.get("status") == "True"
                and synced.get("observedGeneration") == metadata.get("generation")
            ),
            tenancy=self._tenancy,
        )

    def owns_nothing(self, obj: Object) -> bool:
        status = obj.get("status") or {}
        asked = (status.get("restore") or {}).get("startedAt")
        made = self._entry(obj).memory.made_name
        return not status.get("tableArn") and not asked and not status.get("adoption") and not made

    async def observe(self, desired: Desired, look: Look) -> Observed:
        if look.fresh:
            await self._meters.refresh(Key(NAME, desired.namespace, desired.name))
            self._entries[self._key(desired)].advice.due = 0.0
        return await self._observer.observe(desired, self._memory(desired), look)

    def plan(self, desired: Desired, observed: Observed, now: datetime) -> Plan:
        if self._only_printed:
            desired = ownership.as_marked(desired, observed)
        found = planning.plan(hibernation.wanted(desired, now), observed, now)
        found = replace(found, notes=(*found.notes, *ownership.doubts(desired, observed)))
        priced = costing.priced(found, desired, observed, self._prices.of(desired.region), now.date())
        return costing.unmoved(priced) if hibernation.changes(desired, now) else priced

    async def act(self, desired: Desired, step: Step) -> str | None:
        return await self._actor.act(desired, self._memory(desired), step)

    def report(self, obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime) -> Report:
        report = reporting.report(obj, desired, outcome, now, self._observer.next_look())
        return self._with_advice(self._with_cost(report, obj, desired, outcome, now), obj, desired, outcome)

    def money(self, desired: Desired, observed: Observed, now: datetime) -> Money | None:
        if desired.absent or observed.partial:
            return None
        found = costing.estimate(desired, observed, self._prices.of(desired.region), now.date())
        return spends.as_money(found, self._spent(desired, observed, now))

    def _spent(self, desired: Desired, observed: Observed, now: datetime) -> Spend | None:
        running = costing.runs(desired, observed, self._prices.of(desired.region), now.date())
        if running is None or observed.table is None:
            return None
        key, table = Key(NAME, desired.namespace, desired.name), observed.table
        entry = self._entries[key]
        return self._meters.spend(
            key, desired.region, table.created_at, running, spending.meters(table), entry.cost, now
        )

    def _with_cost(
        self, report: Report, obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime
    ) -> Report:
        status = obj.get("status") or {}
        known = status.get("cost")
        # What is still to be read may be paid for.
        if outcome.observed is not None and not outcome.observed.partial and not desired.absent:
            found = costing.estimate(desired, outcome.observed, self._prices.of(desired.region), now.date())
            spent, asked = self._spent(desired, outcome.observed, now), forced_token(obj) is not None
            known = self._meters.onto(
                self._key(desired), status, desired.generation, desired.owner, found, spent, asked=asked
            )
        return replace(report, fields={**report.fields, "cost": known}) if known else report

    def _with_advice(self, report: Report, obj: Object, desired: Desired, outcome: Outcome[Observed]) -> Report:
        seen = (desired, outcome.observed) if outcome.observed is not None else None
        there = bool(report.fields.get("tableArn")) and not desired.absent
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
        self._meters.forget(key)

    async def watch(self, wake: Callable[[Key], None]) -> None:
        """Read in batches for ever; wake(key) puts an object whose table is not as remembered on the queue."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cycle(self._inventory.list_once, self._inventory.next_listing, wake))
            tasks.create_task(self._cycle(self._inventory.tags_once, self._inventory.next_tags, wake))
            tasks.create_task(self._advisor.run(wake))

    async def _cycle(self, read: Any, pause: Callable[[], float], wake: Callable[[Key], None]) -> None:
        while True:
            await asyncio.sleep(pause())
            for key in await read(list(self._known())):
                wake(key)

    def _known(self) -> Iterator[Known]:
        for key, entry in self._entries.items():
            if entry.arn:
                yield Known(key, entry.region, entry.table_name, entry.arn, entry.memory)

    def _entry(self, obj: Object) -> _Entry:
        metadata = obj["metadata"]
        key = Key(NAME, metadata["namespace"], metadata["name"])
        entry = self._entries.get(key)
        if entry is None or entry.uid != metadata["uid"]:
            # The same name is another object now; nothing that was known of the old one's table holds.
            entry = self._entries[key] = _Entry(uid=metadata["uid"])
        return entry

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        self._inventory.measure()
        saving = sum((e.advice.saving for e in self._entries.values()), Decimal(0))
        metrics.ADVICE_SAVING.labels(NAME).set(float(saving))

    def _memory(self, desired: Desired) -> Memory:
        return self._entries[self._key(desired)].memory

    @staticmethod
    def _key(desired: Desired) -> Key:
        return Key(NAME, desired.namespace, desired.name)

    @staticmethod
    def _parse(obj: Object) -> DynamoTable:
        found = parse_as(DynamoTable, {**obj, "status": {}})
        wrong = found if isinstance(found, list) else problems(found.spec.hibernation)
        if isinstance(found, list) or wrong:
            raise Invalid(wrong)
        return found


def parse_status(status: dict[str, Any]) -> DynamoTableStatus:
    """The status as a model; one that does not fit (another version wrote it) counts as absent."""
    try:
        return DynamoTableStatus.model_validate({k: v for k, v in status.items() if k not in ("conditions", "plan")})
    except ValidationError:
        return DynamoTableStatus()
