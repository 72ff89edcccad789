"""Stopping and starting a whole cluster; AWS starts it again after seven days (event 0153)."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..errors import AwsError
from ..request import Request
from ..settings import settings
from . import clusters, instances
from .refusals import bad_combination, cluster_state, instance_state
from .store import Cluster, Store


def stop_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    cluster = store.cluster((request.parameters or {})["DBClusterIdentifier"])
    if cluster.status != "available":
        raise cluster_state(
            f"DbCluster {cluster.identifier} is in {cluster.status} state but expected it to be one of available."
        )
    for member in store.members(cluster):
        if member.status != "available":
            raise instance_state(f"DB instance {member.identifier} is not in available state.")
    now = clock.now()
    store.plane.stopping(cluster)

    def stopped(at: float) -> None:
        cluster.restart_at = at + settings.rds_stopped_at_most_s
        phase = cluster.phase
        store.events.emit("RDS-EVENT-0150", cluster.identifier, at, tags=cluster.tags)

        def too_long(due: float) -> None:
            if cluster.phase == phase and cluster.status == "stopped":
                store.events.emit("RDS-EVENT-0153", cluster.identifier, due, tags=cluster.tags)
                start(store, cluster, due)

        store.at(cluster.restart_at, too_long)

    cluster.stopped_at = now
    for member in store.members(cluster):
        store.during(member, "stopping", settings.rds_stop_s, now=now, after="stopped")
    store.during(cluster, "stopping", settings.rds_stop_s, stopped, now=now, after="stopped")
    return {"DBCluster": clusters.describe(store, cluster)}


def start_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    cluster = store.cluster((request.parameters or {})["DBClusterIdentifier"])
    if cluster.status != "stopped":
        raise cluster_state(
            f"DbCluster {cluster.identifier} is in {cluster.status} state but expected it to be one of stopped."
        )
    start(store, cluster, clock.now())
    return {"DBCluster": clusters.describe(store, cluster)}


def start(store: Store, cluster: Cluster, now: float) -> None:
    cluster.restart_at = None
    store.plane.starting(cluster)

    def started(at: float) -> None:
        cluster.stopped_at = None
        store.events.emit("RDS-EVENT-0151", cluster.identifier, at, tags=cluster.tags)
        for member in store.members(cluster):
            if member.status == "available":
                instances.restarted(store, member, at)

    for member in store.members(cluster):
        store.during(member, "starting", settings.rds_start_s, now=now)
    store.during(cluster, "starting", settings.rds_start_s, started, now=now)


def reboot_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    store.cluster((request.parameters or {})["DBClusterIdentifier"])
    raise bad_combination("RebootDBCluster is for Multi-AZ DB clusters; reboot the DB instances of an Aurora cluster.")


def refuse_instance_power(store: Store, request: Request) -> dict[str, Any]:
    instance = store.instance((request.parameters or {})["DBInstanceIdentifier"])
    what = "Stop" if request.operation.startswith("Stop") else "Start"
    raise AwsError(
        "InvalidParameterCombination",
        f"{what}DBInstance is not available for DB instances in an Aurora cluster: use {what}DBCluster on "
        f"{instance.cluster}.",
    )
