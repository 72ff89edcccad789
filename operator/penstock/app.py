"""The operator process: connect, wait for leadership, watch and work, and leave in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from penstock import handlers
from penstock.admission import Admission
from penstock.advice.asking import DAY
from penstock.aurora import costing as aurora_costs
from penstock.aurora import kind as aurora
from penstock.aurora.credentials import CredentialReader
from penstock.aurora.inventory import InventoryCycles as RdsCycles
from penstock.aurora.kind import AuroraClusters
from penstock.aws.account import Account
from penstock.budget.books import Books
from penstock.budget.kind import CostBudgets
from penstock.cost.bills import Bills, asked_at
from penstock.cost.book import PriceBook
from penstock.cost.meters import Meters
from penstock.drill.kind import FailoverDrills
from penstock.drilling import DrilledClusters
from penstock.dynamo import costing as dynamo_costs
from penstock.dynamo import kind as dynamo
from penstock.dynamo.inventory import InventoryCycles
from penstock.dynamo.kind import DynamoTables
from penstock.dynamo.observe import Cycles
from penstock.engine import metrics
from penstock.engine.events import Recorder
from penstock.engine.informer import Informer
from penstock.engine.kind import Key, Kind
from penstock.engine.kube import Kube, KubeError, Resource
from penstock.engine.lease import LeadershipLost, Lease, end_process
from penstock.engine.loop import Loop
from penstock.engine.queue import Priority
from penstock.engine.server import Server, Vitals
from penstock.engine.supervisor import supervised
from penstock.engine.tenancy import AdoptionRule, Tenancy

log = logging.getLogger(__name__)

# A pod has ten seconds between SIGTERM and SIGKILL; passes get half of that, the Lease and the watches the rest.
GRACE = 5.0


@dataclass(frozen=True)
class Options:
    """What `penstock run` was told. cluster: '' means the uid of the namespace kube-system. Cycles are in seconds.

    events_queue: the URL of an SQS queue with RDS events, '' without. database_ca: the PEM file of the authorities that sign the databases'
    certificates, '' for those that the system trusts. live_prices: whether AWS's price list is read. advice_every: seconds between two
    looks at the metrics of an object, 0 for none.
    spend_every: seconds between readings of what objects use, 0 for none. cost_explorer: whether AWS's bill is read.
    allowed_regions: where objects may live, only in `region` where none is named. adoption: what may be taken over without a tag in AWS.
    admission_certificates: a folder with the webhook's tls.crt and tls.key, '' for no webhook.
    """

    region: str
    cluster: str = ""
    namespaces: tuple[str, ...] = ()
    workers: int = 16
    http_host: str = "0.0.0.0"  # noqa: S104  (a pod is reached on its pod IP)
    http_port: int = 8080
    leader_elect: bool = True
    lease_namespace: str = "default"
    lease_name: str = "penstock-operator"
    identity: str = ""
    cycles: Cycles = field(default_factory=Cycles)
    inventory: InventoryCycles = field(default_factory=InventoryCycles)
    rds: RdsCycles = field(default_factory=RdsCycles)
    events_queue: str = ""
    rds_rate: float | None = None
    database_ca: str = ""
    live_prices: bool = True
    advice_every: float = DAY
    spend_every: float = 3600.0
    cost_explorer: bool = False
    allowed_regions: tuple[str, ...] = ()
    adoption: tuple[AdoptionRule, ...] = ()
    admission_host: str = ""
    admission_port: int = 9443
    admission_certificates: str = ""


# What costs something, by kind: where it is listed, and what one costs by its manifest alone.
_COSTED = {dynamo.NAME: dynamo.RESOURCE, aurora.NAME: aurora.RESOURCE}
_DECLARED = {dynamo.NAME: dynamo_costs.declared, aurora.NAME: aurora_costs.declared}


class Operator:
    """One operator process. run() returns the exit code: 0 after SIGTERM or SIGINT, 1 when it had to stop by itself."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stop = asyncio.Event()
        self._watches: handlers.Watches | None = None
        self._leading = False
        self._loop: Loop | None = None
        self._informer: Informer | None = None
        self._measured: tuple[AuroraClusters | DynamoTables, ...] = ()
        self._books: Books | None = None
        self._prices = PriceBook()
        self._account: Account | None = None
        self._meters: Meters | None = None

    async def run(self) -> int:
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop.set)
        kube = await Kube.connect()
        server = Server(self._options.http_host, self._options.http_port, self._vitals, self._measure)
        lease = self._lease(kube)
        certificates = self._options.admission_certificates
        host, port = self._options.admission_host, self._options.admission_port
        admission = Admission(host, port, Path(certificates), partial(self._refusal, kube)) if certificates else None
        renewal = asyncio.create_task(admission.keep(), name="certificates") if admission is not None else None
        try:
            await server.start()
            if admission is not None:
                await admission.start()
            if not await self._or_stop(kube.wait_until_reachable()):
                return 0
            # Before leading: from the moment that the Lease is ours it must be renewed.
            cluster = self._options.cluster or await cluster_id(kube)
            if lease is not None and not await self._or_stop(lease.acquire()):
                return 0
            return await self._lead(kube, lease, cluster)
        finally:
            if lease is not None:
                await self._release(lease)
            if admission is not None and renewal is not None:
                renewal.cancel()
                await admission.stop()
            await server.stop()
            await kube.close()

    async def _lead(self, kube: Kube, lease: Lease | None, cluster: str) -> int:
        options = self._options

        def before_write() -> None:
            if lease is not None and not lease.valid:
                end_process("this process was about to write, and may no longer hold the Lease")

        account = self._account = await asyncio.to_thread(
            Account,
            options.region,
            rds_rate=options.rds_rate,
            before_send=before_write,
            more_regions=options.allowed_regions,
        )
        kube.before_write = before_write
        prices = self._prices = PriceBook(account if options.live_prices else None)
        bills = Bills(account if options.cost_explorer else None, self._last_bill)
        meters = self._meters = Meters(account, prices, options.spend_every, bills=bills)
        tenancy = Tenancy(options.allowed_regions or (options.region,), options.adoption)
        tables = DynamoTables(
            account, cluster, options.cycles, options.inventory, meters, options.advice_every, tenancy=tenancy
        )
        clusters = AuroraClusters(
            account,
            cluster,
            kube,
            options.rds,
            options.events_queue,
            meters,
            database_ca=options.database_ca,
            advice_every=options.advice_every,
            tenancy=tenancy,
        )
        self._measured = (tables, clusters)
        books = self._books = Books(kube, _COSTED)
        drilled = DrilledClusters(
            lambda key: loop.store.get(key), clusters, CredentialReader(account, kube), kube, options.database_ca
        )
        drills = FailoverDrills(account, drilled, clusters.drills, kube)
        kinds: list[Kind[Any, Any]] = [tables, clusters, CostBudgets(books), drills]
        recorder = Recorder(kube, self._identity())
        loop = self._loop = Loop(kube, kinds, recorder, gate=books, workers=options.workers)
        books.attach(loop.store, lambda key, delay: loop.queue.add(key, delay, Priority.NORMAL))
        self._leading = True
        leaving = asyncio.Event()
        watches = self._watches = handlers.Watches(loop, kinds, kube, options.namespaces, self._identity())
        resources = {kind.name: kind.resource for kind in kinds}
        informer = self._informer = Informer(kube, loop.store, resources, options.namespaces)

        def wake(key: Key) -> None:
            loop.queue.add(key, 0, Priority.NORMAL)

        tasks = {
            asyncio.create_task(self._stop.wait(), name="stop"),
            asyncio.create_task(loop.run(leaving, GRACE), name="workers"),
            asyncio.create_task(_watch(kube, kinds, watches, informer), name="watches"),
            asyncio.create_task(drills.watch(wake), name="drills"),
        }
        # What an unrelated record, price or bill can break: without it, or with what is old, everything else goes on.
        optional: dict[str, Callable[[], Awaitable[None]]] = {
            "inventory": lambda: tables.watch(wake),
            "clusters": lambda: clusters.watch(wake),
            "prices": prices.run,
            "spend": meters.run,
            "bills": bills.run,
        }
        tasks |= {asyncio.create_task(supervised(name, run), name=name) for name, run in optional.items()}
        if lease is not None:
            tasks.add(asyncio.create_task(_keep(lease), name="lease"))
        code = 0
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.get_name() == "stop":
                    log.info("stopping")
                    continue
                code = 1
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                log.error(
                    "%s ended (%s), so this process ends and is started again",
                    task.get_name(),
                    error or "without an error",
                )
        finally:
            leaving.set()
            watches.stop()
            # The Lease is renewed meanwhile: what runs is ended as the leader.
            pending = {t for t in tasks if not t.done() and t.get_name() in ("workers", "watches")}
            if pending:
                await asyncio.wait(pending, timeout=GRACE + 1)
            for task in tasks:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.gather(*tasks, return_exceptions=True)
            account.close()
        return code

    async def _release(self, lease: Lease) -> None:
        """Give the Lease back, unless a write to AWS that was sent may still have its effect: then it runs out, and the next process begins later."""
        if self._account is not None and self._account.writing:
            log.warning("%d writes to AWS are not answered, so the Lease is left to run out", self._account.writing)
        else:
            await lease.release()

    async def _or_stop(self, waiting: Any) -> bool:
        """Await something that may take for ever. False when the process was asked to stop first."""
        task, stop = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            task.result()
            return True
        task.cancel()
        return False

    def _lease(self, kube: Kube) -> Lease | None:
        options = self._options
        if not options.leader_elect:
            return None
        return Lease(kube, options.lease_namespace, options.lease_name, self._identity())

    def _identity(self) -> str:
        # Two processes may share a host or pod name; a restarted container must not take itself for its predecessor.
        if not hasattr(self, "_id"):
            self._id = f"{self._options.identity or socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        return self._id

    async def _refusal(self, kube: Kube, kind: str, obj: dict[str, Any]) -> str:
        """Why a budget would hold the creation of an object; '' where none would. Raises KubeError."""
        declared = _DECLARED.get(kind)
        money = declared and declared(obj, datetime.now(UTC).date(), self._prices.of, self._options.region)
        if not money:
            return ""
        metadata = obj["metadata"]
        if self._books is not None and self._synced:
            books = self._books
        else:
            books = await Books.read(kube, _COSTED, metadata["namespace"])
        return books.refuses(Key(kind, metadata["namespace"], metadata["name"]), obj, money)

    def _last_bill(self) -> datetime | None:
        """When Cost Explorer was last asked, as the objects tell it."""
        assert self._loop is not None
        told = ((obj.get("status") or {}).get("cost") or {} for _, obj in self._loop.store)
        moments = (asked_at(c) for c in told)
        return max((moment for moment in moments if moment is not None), default=None)

    @property
    def _synced(self) -> bool:
        """Whether this process watches, and has listed every kind once."""
        return (
            self._watches is not None and self._watches.ready and self._informer is not None and self._informer.listed
        )

    def _vitals(self) -> Vitals:
        loop = self._loop
        if loop is None or not self._leading:
            return Vitals(leading=False, synced=False)
        now = asyncio.get_running_loop().time()
        return Vitals(
            leading=True,
            synced=self._synced,
            echo=loop.store.echo_overdue,
            longest_pass=max((now - began for began in loop.running.values()), default=0.0),
            overdue=loop.queue.overdue,
            since_activity=now - loop.queue.last_activity,
        )

    def _measure(self) -> None:
        loop = self._loop
        if loop is None:
            return
        metrics.QUEUE_DEPTH.set(len(loop.queue))
        metrics.QUEUE_OVERDUE.set(loop.queue.overdue)
        metrics.QUEUE_OLDEST.set(loop.queue.oldest_wait)
        loop.store.measure()
        metrics.INVENTORY_AGE.clear()
        for kind in self._measured:
            kind.measure()
        for part in (self._books, self._prices, self._meters):
            if part is not None:
                part.measure()


async def _keep(lease: Lease) -> None:
    """Renew for ever; with the Lease the process ends."""
    try:
        await lease.keep()
    except LeadershipLost as lost:
        end_process(str(lost))


async def _watch(kube: Kube, kinds: list[Kind[Any, Any]], watches: handlers.Watches, informer: Informer) -> None:
    """Watch and list once every kind's CRD is there: kopf looks for the resources at its start and never again."""
    for kind in kinds:
        await kube.wait_until_served(kind.resource)
    tasks = {asyncio.create_task(watches.serve()), asyncio.create_task(informer.run())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def cluster_id(kube: Kube) -> str:
    """The uid of the namespace kube-system, which is what the community uses for a cluster's identity; 'cluster' where it may not be read."""
    try:
        namespace = await kube.request("GET", Resource("", "v1", "namespaces"), name="kube-system")
        return str(namespace["metadata"]["uid"])
    except KubeError as error:
        log.warning(
            "the cluster's id cannot be read (%s); resources are marked with 'cluster'. Set --cluster-name.", error
        )
        return "cluster"
