"""New clusters from a snapshot or from another cluster's past. Neither has instances until somebody adds them."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import clusters, parametergroups, snapshots, windows
from .dataplane import Origin
from .refusals import bad_combination, bad_value, cluster_state, fault
from .store import Backups, Cluster, Store, short_name


def restore_from_snapshot(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    snapshot = snapshots.find(store, spec["SnapshotIdentifier"])
    if snapshot.status != "available":
        raise fault(
            "InvalidDBClusterSnapshotStateFault", f"Snapshot {snapshot.identifier} is currently {snapshot.status}."
        )
    source = snapshot.cluster
    if spec["Engine"] != source.engine:
        raise bad_combination(f"The snapshot is of engine {source.engine}; it cannot be restored to {spec['Engine']}.")
    version = spec.get("EngineVersion") or source.version
    target = clusters.engine_of(source.engine, version)
    if target.version != source.version:
        known = clusters.engine_of(source.engine, source.version)
        if not any(way.version == target.version for way in known.upgrade_targets):
            raise bad_combination(
                f"Cannot restore a snapshot of {source.engine} {source.version} with version {target.version}."
            )
    origin = Origin(snapshot=snapshot.identifier, cluster_resource=source.resource, time=snapshot.time)
    cluster = _restored(store, request, source, target.version, origin, settings.rds_restore_s)
    return {"DBCluster": clusters.describe(store, cluster)}


def restore_to_point_in_time(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    source, earliest, latest = _source(store, spec)
    at, newest = spec.get("RestoreToTime"), bool(spec.get("UseLatestRestorableTime"))
    mode = spec.get("RestoreType") or "full-copy"
    if mode not in ("full-copy", "copy-on-write"):
        raise bad_value(f"Invalid RestoreType: {mode}. Valid values are full-copy, copy-on-write.")
    if at is not None and newest:
        raise bad_combination("RestoreToTime can't be specified when UseLatestRestorableTime is true.")
    if mode == "copy-on-write":
        if at is not None:
            raise bad_combination("RestoreToTime can't be specified for a copy-on-write restore.")
        if not newest:
            raise bad_combination("UseLatestRestorableTime must be true for a copy-on-write restore.")
        if isinstance(source, Backups):
            raise bad_combination("A copy-on-write restore needs a DB cluster that is there.")
    elif at is None and not newest:
        raise bad_combination("Either RestoreToTime or UseLatestRestorableTime must be specified.")
    if at is not None and not earliest <= at <= latest:
        raise bad_value(
            f"The specified restore time {windows.moment(at)} is not within the restorable window "
            f"{windows.moment(earliest)} to {windows.moment(latest)}."
        )
    cluster = source.cluster if isinstance(source, Backups) else source
    origin = Origin(
        cluster_resource=cluster.resource,
        time=clock.now() if mode == "copy-on-write" else latest if at is None else at,
        mode=mode,
    )
    seconds = settings.rds_clone_s if mode == "copy-on-write" else settings.rds_restore_s
    restored = _restored(store, request, cluster, cluster.version, origin, seconds)
    if mode == "copy-on-write":
        cluster.clone_group = restored.clone_group = (
            cluster.clone_group or cluster.resource.removeprefix("cluster-").lower()
        )
    return {"DBCluster": clusters.describe(store, restored)}


def _source(store: Store, spec: dict[str, Any]) -> tuple[Cluster | Backups, float, float]:
    """What to restore from, and its restorable window."""
    name, resource = spec.get("SourceDBClusterIdentifier"), spec.get("SourceDbClusterResourceId")
    if bool(name) == bool(resource):
        raise bad_combination("Specify either SourceDBClusterIdentifier or SourceDbClusterResourceId.")
    if resource:
        kept = store.kept_backups.get(resource)
        if kept is not None:
            return kept, kept.earliest, kept.latest
        cluster = next((one for one in store.clusters.values() if one.resource == resource), None)
        if cluster is None:
            raise fault("DBClusterAutomatedBackupNotFoundFault", f"DB cluster automated backup not found: {resource}")
    else:
        cluster = store.clusters.get(short_name(str(name)))
        if cluster is None:
            raise fault(
                "DBClusterNotFoundFault", f"The source cluster could not be found or cannot be accessed: {name}"
            )
    if cluster.status in ("creating", "deleting"):
        raise cluster_state(f"DB cluster {cluster.identifier} is in {cluster.status} state.")
    earliest, latest = clusters.restorable(store, cluster, clock.now())
    if earliest is None or latest is None:
        raise fault("InvalidRestoreFault", f"DB cluster {cluster.identifier} has no backup yet.")
    return cluster, earliest, latest


def _restored(store: Store, request: Request, source: Cluster, version: str, origin: Origin, seconds: float) -> Cluster:
    """Port and retention are the source's unless given, groups and other settings the defaults (API reference)."""
    spec = request.parameters or {}
    name = clusters.new_name(store, spec["DBClusterIdentifier"])
    target = clusters.engine_of(source.engine, version)
    request.parameters = {"Port": source.port, "BackupRetentionPeriod": source.retention, **spec}
    cluster = clusters.build(store, request, name, target, source.username, source.password)
    parametergroups.check_table_names(source, cluster.table_names)
    cluster.database = spec.get("DatabaseName") or source.database
    cluster.encrypted = source.encrypted or bool(spec.get("KmsKeyId"))
    if cluster.encrypted:
        cluster.key = clusters.key_of(store, spec["KmsKeyId"]) if spec.get("KmsKeyId") else source.key
    clusters.begin(store, cluster, seconds, origin)
    return cluster
