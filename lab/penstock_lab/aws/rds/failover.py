"""Failover: asked for, or because the writer is lost.

Order from the Aurora guide, "Fault tolerance for an Aurora DB cluster": the lowest promotion tier, then the largest
class. The writer flag moves at the end; DescribeDBClusters tells ``failing-over`` until then.
"""

from __future__ import annotations

import re
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from .refusals import cluster_state, fault, instance_state
from .store import Cluster, Instance, Store

# States in which an instance serves, and can become the writer.
SERVING = frozenset(
    (
        "available",
        "backing-up",
        "configuring-enhanced-monitoring",
        "configuring-iam-database-auth",
        "configuring-log-exports",
        "resetting-master-credentials",
    )
)
_AGAIN_S = 0.1
_SIZES = {"small": 0.25, "medium": 0.5, "large": 1.0, "xlarge": 2.0}


def size(db_class: str) -> float:
    """How large a class is, in units of ``large``; a serverless instance can grow to the writer's size."""
    name = db_class.rpartition(".")[2]
    times = re.fullmatch(r"(\d+)xlarge", name)
    if times:
        return 2.0 * int(times[1])
    return _SIZES.get(name, 1.0)


def successor(store: Store, cluster: Cluster) -> Instance | None:
    """The reader that would take over."""
    ready = [one for one in store.readers(cluster) if one.status in SERVING]
    return min(ready, key=lambda one: (one.tier, -size(one.db_class), one.created, one.identifier), default=None)


def failover_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    from . import clusters

    spec = request.parameters or {}
    cluster = store.cluster(spec["DBClusterIdentifier"])
    if cluster.status != "available":
        raise cluster_state(f"DB cluster {cluster.identifier} is in {cluster.status} state; it must be available.")
    wanted = spec.get("TargetDBInstanceIdentifier") or spec.get("TargetDbInstanceIdentifier")
    if wanted:
        target: Instance | None = store.instances.get(wanted.lower())
        if target is None or target.cluster != cluster.identifier:
            raise fault(
                "InvalidDBInstanceStateFault" if target else "DBInstanceNotFoundFault",
                f"DB instance {wanted.lower()} is not a member of the DB cluster {cluster.identifier}."
                if target
                else f"DBInstance {wanted.lower()} not found.",
            )
        if target.identifier == cluster.writer:
            raise instance_state(f"DB instance {target.identifier} is already the writer of {cluster.identifier}.")
        if target.status != "available":
            raise instance_state(f"DB instance {target.identifier} is not in available state.")
    else:
        target = successor(store, cluster)
    if target is None:
        raise cluster_state(
            f"DB cluster {cluster.identifier} doesn't have a DB instance in the available state that can be failed over to."
        )
    start(store, cluster, target)
    return {"DBCluster": clusters.describe(store, cluster)}


def start(store: Store, cluster: Cluster, target: Instance, now: float | None = None) -> None:
    """``target`` becomes the writer after ``rds_failover_s``.

    What else a cluster is in the middle of goes on, and keeps its status.
    """
    now = clock.now() if now is None else now
    old = store.instances.get(cluster.writer or "")
    cluster.failing_to = target.identifier
    store.plane.failing_over(cluster, old, target)
    event = "RDS-EVENT-0072" if old is not None and old.zone == target.zone else "RDS-EVENT-0073"
    store.events.emit(event, cluster.identifier, now, tags=cluster.tags, name=target.identifier)

    def done(at: float) -> None:
        _finish(store, cluster, old, target, at)

    def done_aside(at: float) -> None:
        if store.clusters.get(cluster.identifier) is cluster and not store.plane.ready(cluster):
            store.at(max(at, clock.now()) + _AGAIN_S, done_aside)
            return
        done(at)

    if cluster.status == "available":
        store.during(cluster, "failing-over", settings.rds_failover_s, done, now=now)
    else:
        store.at(now + settings.rds_failover_s, done_aside)


def _finish(store: Store, cluster: Cluster, old: Instance | None, target: Instance, at: float) -> None:
    from . import instances

    cluster.failing_to = None
    if store.instances.get(target.identifier) is not target or target.status == "deleting":
        # It was lost on the way: the next one, or none.
        if old is None or store.instances.get(old.identifier) is not old or old.status == "deleting":
            elect(store, cluster, at)
        return
    writes = _writing(store, cluster)
    if writes is not None and writes is old:
        # The failover did not come about.
        store.events.emit("RDS-EVENT-0070", cluster.identifier, at, tags=cluster.tags, name=old.identifier)
        store.events.emit("RDS-EVENT-0069", cluster.identifier, at, tags=cluster.tags)
        return
    # Whoever took over in its place is the writer, wherever it was to go.
    target = writes or target
    cluster.writer = target.identifier
    for one in (old, target):
        if one is not None and store.instances.get(one.identifier) is one and one.status in SERVING:
            instances.restarted(store, one, at)
    store.plane.failed_over(cluster, target)
    store.events.emit("RDS-EVENT-0071", cluster.identifier, at, tags=cluster.tags, name=target.identifier)


def _writing(store: Store, cluster: Cluster) -> Instance | None:
    """The member whose database takes writes, where there are databases."""
    resource = store.plane.writer(cluster)
    return next((one for one in store.members(cluster) if one.resource == resource), None) if resource else None


def follow(store: Store, cluster: Cluster) -> bool:
    """The writer becomes the one whose database writes, when nothing is under way that would; whether it was another one."""
    writes = _writing(store, cluster)
    if (
        writes is None
        or writes.identifier == cluster.writer
        or cluster.failing_to is not None
        or cluster.status != "available"
        or writes.status == "deleting"
        or not store.plane.ready(cluster)
    ):
        return False
    cluster.writer = writes.identifier
    store.events.emit("RDS-EVENT-0071", cluster.identifier, clock.now(), tags=cluster.tags, name=writes.identifier)
    return True


def writer_leaves(store: Store, cluster: Cluster, writer: Instance) -> None:
    """The writer is being deleted: a reader takes over, if there is one."""
    target = successor(store, cluster)
    if target is not None:
        start(store, cluster, target)


def elect(store: Store, cluster: Cluster, at: float) -> None:
    """The writer is gone. Without a reader that serves, one that is about to becomes the writer by itself."""
    cluster.writer = None
    following = successor(store, cluster)
    if following is not None:
        start(store, cluster, following, at)
        return
    waiting = [one for one in store.members(cluster) if one.status not in ("deleting", "creating", "failed")]
    if waiting:
        adopt(store, cluster, waiting[0], at)


def adopt(store: Store, cluster: Cluster, instance: Instance, at: float) -> None:
    """The first instance that becomes available in a cluster that lost its writer is the writer."""
    cluster.writer = instance.identifier
    store.plane.failed_over(cluster, instance)


def crash(store: Store, instance: Instance) -> str | None:
    """AWS's side: the instance dies. A reader takes over from a writer, else it recovers; gives who takes over."""
    from . import instances

    cluster = store.clusters[instance.cluster]
    if instance.status not in SERVING:
        raise instance_state(f"DB instance {instance.identifier} is {instance.status}: only one that runs can crash.")
    store.plane.instance_crashed(cluster, instance)
    target = successor(store, cluster) if cluster.writer == instance.identifier else None
    if target is None:
        instances.restart(store, cluster, instance, "rebooting", settings.rds_recovery_s)
        return None
    start(store, cluster, target)
    return target.identifier
