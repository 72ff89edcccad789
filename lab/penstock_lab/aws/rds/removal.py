"""The end of a cluster: protection, final snapshot, instances first, and what stays of its backups."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import clusters, snapshots, validate
from .refusals import bad_combination, cluster_state
from .secrets import MasterSecrets
from .store import Cluster, Store


def delete_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    cluster = store.cluster(spec["DBClusterIdentifier"])
    final, skip = spec.get("FinalDBSnapshotIdentifier"), bool(spec.get("SkipFinalSnapshot"))
    if skip and final:
        raise bad_combination("FinalDBSnapshotIdentifier can't be specified when SkipFinalSnapshot is true.")
    if not skip and not final:
        raise bad_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if final:
        final = validate.identifier("FinalDBSnapshotIdentifier", final)
    if cluster.deletion_protection:
        raise bad_combination("Cannot delete protected Cluster, please disable deletion protection and try again.")
    if cluster.status in ("stopped", "stopping", "starting"):
        raise cluster_state(f"Db cluster {cluster.identifier} is in {cluster.status} state")
    if cluster.status == "deleting":
        raise cluster_state(f"Db cluster {cluster.identifier} is already being deleted.")
    if any(member.status != "deleting" for member in store.members(cluster)):
        raise cluster_state("Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
    if cluster.status != "available":
        raise cluster_state(
            f"Can't create a snapshot because the database cluster {cluster.identifier} isn't currently in the available state."
            if final
            else f"DB cluster {cluster.identifier} is not in available state."
        )
    seconds = settings.rds_cluster_delete_s
    if final:
        snapshots.check_new(store, final)
        snapshots.take(store, cluster, final, "manual", clock.now(), seconds=settings.rds_backup_s)
        seconds += settings.rds_backup_s
    keep = spec.get("DeleteAutomatedBackups") is False
    store.window_closed(cluster)
    cluster.pending.clear()
    store.during(cluster, "deleting", seconds, lambda at: gone(store, cluster, at, keep=keep), after="deleting")
    return {"DBCluster": clusters.describe(store, cluster)}


def gone(store: Store, cluster: Cluster, at: float, *, keep: bool) -> None:
    """The end of the deletion, once the last instance is gone."""
    if cluster.members:
        cluster.when_empty = lambda due: gone(store, cluster, due, keep=keep)
        return
    snapshots.cluster_gone(store, cluster, at, keep=keep)
    del store.clusters[cluster.identifier]
    if cluster.secret:
        MasterSecrets(store.account, store.region).delete(cluster.secret.arn)
    store.plane.cluster_deleted(cluster, keep_backups=keep)
    store.events.emit("RDS-EVENT-0171", cluster.identifier, at, tags=cluster.tags)
