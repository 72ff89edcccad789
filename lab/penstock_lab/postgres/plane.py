"""The lab's databases as the control plane's hook: each method starts work in the databases' thread and returns at once."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..aws.clock import clock
from ..aws.rds.dataplane import Address, DataPlane, Origin
from ..aws.rds.parametergroups import values_in_force
from ..aws.settings import settings
from ..pki import Authority, Pair
from . import node as nodes
from .archive import Archive
from .binaries import Binaries
from .cluster import TROUBLE, DatabaseCluster, Given, Member
from .configuration import PARAMETERS
from .faults import Faults
from .node import bounded
from .proxy import Proxies, Proxy, listen, reserve
from .takeover import fail_over
from .watch import Watch

if TYPE_CHECKING:
    from ..aws.rds.operations import Regions
    from ..aws.rds.store import Cluster, Instance, Snapshot, Store

_ENGINE = "aurora-postgresql"
# The tag of a cluster that says whether it has databases, whatever the setting rds_databases is.
TAG = "lab/postgres"
# How many are cloned or restored at a time: each takes a core.
_MAKING = 2
_LOOK_S = 0.5
# Longer than the archive itself waits for a segment.
_FLUSH_S = 40.0


class PostgresDataPlane(DataPlane):
    """PostgreSQL behind clusters of Aurora PostgreSQL; those of Aurora MySQL have nothing behind them.

    `folder` is deleted at the end and holds all data; `authority` signs the servers' certificates.
    """

    def __init__(self, folder: Path, authority: Authority, binaries: Binaries) -> None:
        self._folder = folder
        self._authority = authority
        self._binaries = binaries
        self._password = secrets.token_hex(24)
        self._regions: Regions | None = None
        self._guard = threading.Lock()
        self._busy: collections.Counter[str] = collections.Counter()
        self._clusters: dict[str, DatabaseCluster] = {}
        self._addresses: dict[str, list[str]] = {}
        self._archives: dict[str, Archive] = {}
        self._snapshots: dict[str, Path] = {}
        self._numbers = 0
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        self.faults = Faults()
        self._proxies = Proxies()
        self._loop = asyncio.new_event_loop()
        self._making = asyncio.Semaphore(_MAKING)
        self._thread = threading.Thread(target=self._loop.run_forever, name="databases", daemon=True)
        self._thread.start()

    def attach(self, regions: Regions) -> None:
        """Whom a lost instance is told to."""
        self._regions = regions

    def end(self) -> None:
        """Kills all servers and deletes all data."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._proxies.close()
        nodes.clear(self._folder)

    # Work.

    def _do(self, keys: Iterable[str], work: Coroutine[Any, Any, Any], what: str) -> None:
        """Has ``work`` done in the databases' loop; until it is, ``keys`` are not ready."""
        held = list(keys)
        with self._guard:
            self._busy.update(held)

        async def run() -> None:
            try:
                await work
            except Exception as failure:
                print(f"{what}: {failure!r}", file=sys.stderr, flush=True)
            finally:
                with self._guard:
                    self._busy.subtract(held)
                    self._busy += collections.Counter()

        asyncio.run_coroutine_threadsafe(run(), self._loop)

    def wait(self, work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        """What ``work`` gives, from another thread that may wait; not for the hooks."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def ready(self, what: Cluster | Instance | Snapshot) -> bool:
        key = getattr(what, "resource", None) or getattr(what, "arn", "")
        with self._guard:
            return not self._busy[key]

    def database(self, resource: str) -> DatabaseCluster | None:
        return self._clusters.get(resource)

    # Addresses.

    def cluster_address(self, cluster: Cluster, role: Literal["writer", "reader"]) -> Address:
        found = self._clusters.get(cluster.resource)
        if found is None:
            return super().cluster_address(cluster, role)
        proxy = found.writer_proxy if role == "writer" else found.reader_proxy
        return Address(proxy.host, proxy.port)

    def instance_address(self, cluster: Cluster, instance: Instance) -> Address:
        found = self._clusters.get(cluster.resource)
        member = found.members.get(instance.resource) if found else None
        if member is None:
            return super().instance_address(cluster, instance)
        return Address(member.proxy.host, member.proxy.port)

    def addresses_changed(self, cluster: Cluster) -> None:
        found = self._clusters.get(cluster.resource)
        store = self._store(cluster)
        if found is None or store is None:
            return
        found.given.identifier = cluster.identifier
        for instance in store.members(cluster):
            member = found.members.get(instance.resource)
            if member is not None and member.identifier != instance.identifier:
                member.identifier = member.node.configuration.instance = instance.identifier
                self._loop.call_soon_threadsafe(member.node.reload)
        if found.writer_proxy.port != cluster.port:
            self._move_ports(found, cluster.port)

    def _move_ports(self, found: DatabaseCluster, port: int) -> None:
        """The endpoints listen at another port, or stay where they are when somebody else has it."""
        old = [found.writer_proxy, found.reader_proxy, *(one.proxy for one in found.members.values())]
        made: list[socket.socket] = []
        try:
            for proxy in old:
                made.append(listen(proxy.host, port))
        except OSError as taken:
            for one in made:
                one.close()
            print(f"{found.given.identifier} keeps its port: {taken}", file=sys.stderr, flush=True)
            return
        new = [self._open(one, found.pair) for one in made]
        found.writer_proxy, found.reader_proxy = new[:2]
        for member, proxy in zip(list(found.members.values()), new[2:], strict=True):
            member.proxy = proxy
        for proxy in old:
            proxy.close()
        self._loop.call_soon_threadsafe(found.point)

    def _open(self, listening: socket.socket, pair: Pair) -> Proxy:
        return self._proxies.open(listening, None if self._binaries.tls else pair)

    # Clusters.

    def cluster_created(self, cluster: Cluster, origin: Origin | None) -> None:
        if not self._wanted(cluster, origin):
            return
        addresses, sockets = reserve(cluster.port)
        pair = self._authority.issue(
            f"rds-{cluster.resource.lower()}",
            cluster.identifier,
            ips=["127.0.0.1", *addresses],
            names=["localhost", super().cluster_address(cluster, "writer").host],
        )
        archive = Archive(self._folder / "archives" / cluster.resource.lower(), self._binaries)
        found = DatabaseCluster(
            cluster.resource,
            self._folder / cluster.resource.lower(),
            self._binaries,
            self._given(cluster),
            self._password,
            archive,
            pair,
            self._making,
            *(self._open(one, pair) for one in sockets),
        )
        self._clusters[cluster.resource] = found
        self._archives[cluster.resource] = archive
        self._addresses[cluster.resource] = addresses[2:]
        self._do([cluster.resource], self._make(found, origin, cluster), f"creation of {cluster.identifier}")
        watch = Watch(
            found,
            lambda: settings.rds_detect_s,
            self._lost,
            lambda: self._differs(cluster, found),
            lambda: self._reconcile(cluster),
        )
        self._loop.call_soon_threadsafe(lambda: found.background(watch.run(), "watching"))
        self._loop.call_soon_threadsafe(lambda: found.background(self._keep_archiving(found), "archiving"))

    def _wanted(self, cluster: Cluster, origin: Origin | None) -> bool:
        """Whether databases are put behind a new cluster; never where what it is restored from had none."""
        said = cluster.tags.get(TAG)
        if cluster.engine != _ENGINE or said == "none" or not (said == "nodes" or settings.rds_databases):
            return False
        if origin is None:
            return True
        snapshot = _snapshot_arn(cluster, origin.snapshot or "")
        return snapshot in self._snapshots or (origin.cluster_resource or "") in self._archives

    async def _make(self, found: DatabaseCluster, origin: Origin | None, cluster: Cluster) -> None:
        (self._folder / "archives").mkdir(exist_ok=True)
        (self._folder / "archives").chmod(0o711)
        found.dns_delay = settings.rds_dns_s
        if origin is None:
            await found.create()
            return
        backup = self._snapshots.get(_snapshot_arn(cluster, origin.snapshot or ""))
        if backup is not None:
            await found.copy(backup)
        else:
            await self._restore(found, origin)

    async def _restore(self, found: DatabaseCluster, origin: Origin) -> None:
        source = origin.cluster_resource or ""
        archive = self._archives[source]
        real = clock.machine_time(origin.time or clock.now())
        running = self._clusters.get(source)
        if running is not None and (archive.last_commit is None or real >= archive.last_commit):
            # Nothing is archived yet that is later, by which recovery would know where to stop.
            writer = running.current
            if writer is not None and writer.node.running:
                await running.flush(writer.node)
        await found.restore(archive, real)

    async def _keep_archiving(self, found: DatabaseCluster) -> None:
        """Every so often by the lab's clock, which may run fast, or jump."""
        last = clock.now()
        while not found.gone:
            await asyncio.sleep(_LOOK_S)
            writer = found.current
            if 0 <= clock.now() - last < settings.rds_archive_s:
                continue
            if writer is None or not writer.node.running or found.topology.locked() or found.stopped:
                continue
            with contextlib.suppress(*TROUBLE):
                began = clock.now()
                await bounded(found.flush(writer.node), _FLUSH_S)
                last = began

    def latest_restorable(self, cluster: Cluster) -> float | None:
        found = self._clusters.get(cluster.resource)
        if found is None:
            return None
        if found.writer is None or found.stopped:
            # What does not run changes no more, and all of it is in the archive.
            return cluster.stopped_at or clock.now()
        return found.archive.restorable or 0.0

    def cluster_deleted(self, cluster: Cluster, *, keep_backups: bool) -> None:
        found = self._clusters.pop(cluster.resource, None)
        if found is None:
            return
        self._addresses.pop(cluster.resource, None)

        async def delete() -> None:
            await found.close()
            if not keep_backups:
                self._archives.pop(cluster.resource, None)
                await asyncio.to_thread(found.archive.destroy)

        self._do([], delete(), f"deletion of {cluster.identifier}")

    def stopping(self, cluster: Cluster) -> None:
        self._with(cluster, lambda found: found.stop(), "stopping", members=True)

    def starting(self, cluster: Cluster) -> None:
        self._with(cluster, lambda found: found.start(), "starting", members=True)

    def password_changed(self, cluster: Cluster) -> None:
        self._with(cluster, lambda found: found.set_password(cluster.username, cluster.password), "a new password")

    def parameters_changed(self, cluster: Cluster) -> None:
        found = self._clusters.get(cluster.resource)
        if found is None:
            return
        found.given = self._given(cluster)
        store = self._store(cluster)
        for member in found.members.values():
            instance = store.instances.get(member.identifier) if store else None
            member.node.configuration.parameters = self._parameters(cluster, instance)
            member.node.configuration.force_tls = found.given.force_tls
            self._loop.call_soon_threadsafe(member.node.reload)

    def upgrading(self, cluster: Cluster, version: str) -> None:
        """PostgreSQL stays what it is; what it says of Aurora's version changes with the restart that follows."""
        found = self._clusters.get(cluster.resource)
        if found is not None:
            found.given.version = version
            for member in found.members.values():
                member.node.configuration.aurora_version = aurora_version(version)

    def _with(
        self,
        cluster: Cluster,
        work: Callable[[DatabaseCluster], Coroutine[Any, Any, Any]],
        what: str,
        *,
        members: bool = False,
    ) -> None:
        found = self._clusters.get(cluster.resource)
        if found is not None:
            keys = [cluster.resource, *(found.members if members else ())]
            self._do(keys, work(found), f"{cluster.identifier}: {what}")

    def _given(self, cluster: Cluster) -> Given:
        parameters = self._parameters(cluster, None, everything=True)
        default = "1" if int(cluster.version.split(".")[0]) >= 17 else "0"
        return Given(
            cluster.identifier,
            cluster.username,
            cluster.password,
            cluster.database,
            aurora_version(cluster.version),
            parameters.get("rds.force_ssl", default) in ("1", "on", "true"),
            parameters={name: value for name, value in parameters.items() if name in PARAMETERS},
        )

    def _parameters(self, cluster: Cluster, instance: Instance | None, *, everything: bool = False) -> dict[str, str]:
        store = self._store(cluster)
        if store is None:
            return {}
        # A formula over the class's memory says nothing here.
        known = {name: value for name, value in values_in_force(store, cluster, instance).items() if "{" not in value}
        return known if everything else {name: value for name, value in known.items() if name in PARAMETERS}

    def _store(self, cluster: Cluster) -> Store | None:
        return self._regions.get(cluster.account, cluster.region) if self._regions is not None else None

    # Instances.

    def instance_created(self, cluster: Cluster, instance: Instance) -> None:
        found = self._clusters.get(cluster.resource)
        if found is None:
            return
        node = found.node(instance.resource, instance.identifier)
        node.configuration.parameters = self._parameters(cluster, instance)
        member = Member(
            instance.resource,
            instance.identifier,
            instance.tier,
            node,
            self._open(self._listen_for(cluster, found), found.pair),
        )
        found.members = {**found.members, member.key: member}
        self._do([instance.resource], found.add(member), f"creation of {instance.identifier}")

    def _listen_for(self, cluster: Cluster, found: DatabaseCluster) -> socket.socket:
        """The next address of the cluster's block that nobody listens on, at the cluster's port."""
        for address in self._addresses[cluster.resource]:
            with contextlib.suppress(OSError):
                return listen(address, found.writer_proxy.port)
        raise OSError(f"no loopback address is left for another instance of {cluster.identifier}")

    def instance_deleted(self, cluster: Cluster, instance: Instance) -> None:
        self._with(cluster, lambda found: found.remove(instance.resource), f"deletion of {instance.identifier}")

    def instance_restarting(self, cluster: Cluster, instance: Instance) -> None:
        found = self._clusters.get(cluster.resource)
        if found is not None:
            self._do([instance.resource], found.restart(instance.resource), f"restart of {instance.identifier}")

    def instance_crashed(self, cluster: Cluster, instance: Instance) -> None:
        found = self._clusters.get(cluster.resource)
        if found is not None:
            self._do([instance.resource], found.crash(instance.resource), f"crash of {instance.identifier}")

    def failing_over(self, cluster: Cluster, old: Instance | None, new: Instance) -> None:
        self._update_tiers(cluster)
        self._with(cluster, lambda found: self._fail_over(found, new.resource), f"failover to {new.identifier}")

    def writer(self, cluster: Cluster) -> str | None:
        found = self._clusters.get(cluster.resource)
        return found.writer if found is not None and found.current is not None and not found.stopped else None

    def failed_over(self, cluster: Cluster, new: Instance) -> None:
        # The databases went first; where they could not, they follow.
        self._with(cluster, lambda found: self._fail_over(found, new.resource), f"{new.identifier} is the writer")

    @staticmethod
    async def _fail_over(found: DatabaseCluster, wanted: str) -> None:
        found.dns_delay = settings.rds_dns_s
        await fail_over(found, wanted)

    def _update_tiers(self, cluster: Cluster) -> None:
        found, store = self._clusters.get(cluster.resource), self._store(cluster)
        for instance in store.members(cluster) if store else ():
            if found is not None and instance.resource in found.members:
                found.members[instance.resource].tier = instance.tier

    def _lost(self, resource: str) -> None:
        """An instance does not answer any more: AWS notices, and does what it does when one crashes."""
        from ..aws.rds import failover

        for store in self._regions or ():
            with store.lock:
                store.settle(clock.now())
                instance = next((one for one in store.instances.values() if one.resource == resource), None)
                if instance is not None:
                    if instance.status != "deleting":
                        failover.crash(store, instance)
                    return

    def _differs(self, cluster: Cluster, found: DatabaseCluster) -> bool:
        """Whether the control plane names another writer. Looked at without its lock: asked twice a second."""
        store = self._store(cluster)
        named = store.instances.get(cluster.writer or "") if store is not None else None
        return found.current is not None and (named is None or named.resource != found.writer)

    def _reconcile(self, cluster: Cluster) -> None:
        """The control plane takes the writer that there is for the writer, once nothing is under way any more."""
        from ..aws.rds import failover

        store = self._store(cluster)
        if store is None:
            return
        with store.lock:
            store.settle(clock.now())
            if store.clusters.get(cluster.identifier) is cluster and failover.follow(store, cluster):
                print(f"{cluster.identifier}: {cluster.writer} is the writer, as its database says", file=sys.stderr)

    # Backups.

    def snapshot_taken(self, cluster: Cluster, snapshot: Snapshot) -> None:
        found = self._clusters.get(cluster.resource)
        if found is None:
            return
        self._numbers += 1
        target = self._snapshots[snapshot.arn] = self._folder / "snapshots" / str(self._numbers)
        target.parent.mkdir(exist_ok=True)
        target.parent.chmod(0o711)
        self._do([snapshot.arn], found.back_up(target), f"snapshot {snapshot.identifier}")

    def snapshot_deleted(self, snapshot: Snapshot) -> None:
        folder = self._snapshots.pop(snapshot.arn, None)
        if folder is not None and folder not in self._snapshots.values():
            self._do([], asyncio.to_thread(shutil.rmtree, folder, True), f"deletion of {snapshot.identifier}")


def aurora_version(version: str) -> str:
    """What aurora_version() gives: PostgreSQL's version and Aurora's patch level (Aurora guide, "Versioning")."""
    return version if version.count(".") >= 2 else f"{version}.0"


def _snapshot_arn(cluster: Cluster, name: str) -> str:
    return f"arn:aws:rds:{cluster.region}:{cluster.account}:cluster-snapshot:{name}"
