"""Cluster snapshots, manual and automated, and the backups that outlive a cluster."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import clusters, pages, subnetgroups, tags, validate, windows
from .refusals import bad_combination, bad_value, cluster_state, fault
from .store import Backups, Cluster, Snapshot, Store, short_name

_FILTERS = ("db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine")
_LICENSE = {"aurora-postgresql": "postgresql-license", "aurora-mysql": "general-public-license"}
# A jump of the clock over years takes only the backups that would still be kept.
_LONGEST_RETENTION_S = 36 * windows.DAY


def find(store: Store, identifier: str) -> Snapshot:
    """By name or ARN. Raises AwsError DBClusterSnapshotNotFoundFault."""
    found = store.snapshots.get(short_name(identifier))
    if found is None:
        raise fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot not found: {identifier}")
    return found


def check_new(store: Store, identifier: str) -> None:
    """Raises AwsError when the name is taken or there are too many manual snapshots."""
    if identifier in store.snapshots:
        raise fault(
            "DBClusterSnapshotAlreadyExistsFault",
            f"Cannot create the cluster snapshot because one with the identifier {identifier} already exists.",
        )
    if len([one for one in store.snapshots.values() if one.kind == "manual"]) >= settings.rds_max_snapshots:
        raise fault("SnapshotQuotaExceededFault", "The request would exceed the quota of manual DB cluster snapshots.")


def take(
    store: Store,
    cluster: Cluster,
    identifier: str,
    kind: str,
    at: float,
    *,
    seconds: float,
    given: dict[str, str] | None = None,
) -> Snapshot:
    """A snapshot of the cluster as it is at ``at``, creating for ``seconds``."""
    frozen = dataclasses.replace(
        cluster,
        members=[],
        tags=dict(cluster.tags),
        pending={},
        security_groups=list(cluster.security_groups),
        when_empty=None,
    )
    snapshot = Snapshot(
        identifier,
        kind,
        store.arn("cluster-snapshot", identifier),
        at,
        at,
        frozen,
        tags={**(cluster.tags if cluster.copy_tags else {}), **(given or {})},
    )
    store.snapshots[identifier] = snapshot
    if kind == "automated":
        store.automated.setdefault(cluster.resource, {})[identifier] = snapshot
    store.plane.snapshot_taken(cluster, snapshot)
    started, finished = (
        ("RDS-EVENT-0168", "RDS-EVENT-0169") if kind == "automated" else ("RDS-EVENT-0074", "RDS-EVENT-0075")
    )
    store.events.emit(started, identifier, at, tags=snapshot.tags)

    def done(due: float) -> None:
        store.events.emit(finished, identifier, due, tags=snapshot.tags)

    store.during(snapshot, "creating", seconds, done, now=at)
    return snapshot


def first_backup(store: Store, cluster: Cluster, at: float) -> None:
    """Backups begin with the cluster, and go on in each backup window."""
    take(store, cluster, _automated_name(store, cluster, at), "automated", at, seconds=settings.rds_backup_s)
    store.at(windows.after(cluster.backup_window, at), lambda due: _daily(store, cluster, due))


def _daily(store: Store, cluster: Cluster, due: float) -> None:
    if store.clusters.get(cluster.identifier) is not cluster or cluster.status == "deleting":
        return
    following = windows.after(cluster.backup_window, max(due, store.horizon - _LONGEST_RETENTION_S))
    store.at(following, lambda at: _daily(store, cluster, at))
    oldest = due - cluster.retention * windows.DAY
    for snapshot in [s for s in store.automated.get(cluster.resource, {}).values() if s.created < oldest]:
        drop(store, snapshot)
    if cluster.status == "available":
        take(store, cluster, _automated_name(store, cluster, due), "automated", due, seconds=settings.rds_backup_s)
        _backing_up(store, cluster, due)


def _backing_up(store: Store, cluster: Cluster, at: float) -> None:
    """The cluster and its instances are told to be in a backup while a snapshot is taken."""
    for member in store.members(cluster):
        if member.status == "available":
            store.during(member, "backing-up", settings.rds_backup_s, now=at)
    store.during(cluster, "backing-up", settings.rds_backup_s, now=at)


def _automated_name(store: Store, cluster: Cluster, at: float) -> str:
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    name = f"rds:{cluster.identifier}-{moment:%Y-%m-%d-%H-%M}"
    number = 1
    while name in store.snapshots:
        number += 1
        name = f"rds:{cluster.identifier}-{moment:%Y-%m-%d-%H-%M}-{number}"
    return name


def drop(store: Store, snapshot: Snapshot) -> None:
    snapshot.phase += 1
    snapshot.status = "deleted"
    store.snapshots.pop(snapshot.identifier, None)
    own = store.automated.get(snapshot.cluster.resource, {})
    own.pop(snapshot.identifier, None)
    if not own:
        store.automated.pop(snapshot.cluster.resource, None)
    store.plane.snapshot_deleted(snapshot)


def cluster_gone(store: Store, cluster: Cluster, at: float, *, keep: bool) -> None:
    """Automated snapshots go with their cluster, unless its automated backups are kept until they expire."""
    earliest, latest = clusters.restorable(store, cluster, at)
    own = list(store.automated.get(cluster.resource, {}).values())
    if not keep or earliest is None or latest is None:
        for snapshot in own:
            drop(store, snapshot)
        return
    expires = at + cluster.retention * windows.DAY
    arn = store.arn("cluster-auto-backup", f"ab-{cluster.resource.removeprefix('cluster-').lower()}")
    store.kept_backups[cluster.resource] = Backups(cluster, arn, earliest, latest, expires)
    store.at(expires, lambda _: drop_backups(store, cluster.resource))


def drop_backups(store: Store, resource: str) -> None:
    """The end of kept backups, with their automated snapshots."""
    if store.kept_backups.pop(resource, None) is None:
        return
    for snapshot in list(store.automated.get(resource, {}).values()):
        drop(store, snapshot)


# Operations.


def describe(store: Store, snapshot: Snapshot) -> dict[str, Any]:
    cluster = snapshot.cluster
    group = store.subnet_groups.get(cluster.subnet_group)
    return {
        "AvailabilityZones": cluster.zones,
        "DBClusterSnapshotIdentifier": snapshot.identifier,
        "DBClusterIdentifier": cluster.identifier,
        "SnapshotCreateTime": snapshot.created,
        "Engine": cluster.engine,
        "EngineMode": "provisioned",
        "AllocatedStorage": 1,
        "Status": snapshot.status,
        "Port": cluster.port,
        "VpcId": group.vpc if group else None,
        "ClusterCreateTime": cluster.created,
        "MasterUsername": cluster.username,
        "EngineVersion": cluster.version,
        "LicenseModel": _LICENSE[cluster.engine],
        "SnapshotType": snapshot.kind,
        "PercentProgress": 100 if snapshot.status == "available" else 0,
        "StorageEncrypted": cluster.encrypted,
        "BackupRetentionPeriod": cluster.retention,
        "PreferredBackupWindow": cluster.backup_window,
        "KmsKeyId": cluster.key,
        "DBClusterSnapshotArn": snapshot.arn,
        "IAMDatabaseAuthenticationEnabled": cluster.iam,
        "TagList": tags.to_list(snapshot.tags),
        "StorageType": "aurora-iopt1" if cluster.storage == "aurora-iopt1" else None,
        "DbClusterResourceId": cluster.resource,
    }


def create_db_cluster_snapshot(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    name = validate.identifier("DBClusterSnapshotIdentifier", spec["DBClusterSnapshotIdentifier"])
    given = tags.from_list(spec.get("Tags"))
    cluster = store.cluster(spec["DBClusterIdentifier"])
    check_new(store, name)
    if cluster.status != "available":
        raise cluster_state(f"DB cluster {cluster.identifier} is not in available state.")
    snapshot = take(store, cluster, name, "manual", clock.now(), seconds=settings.rds_backup_s, given=given)
    _backing_up(store, cluster, snapshot.created)
    return {"DBClusterSnapshot": describe(store, snapshot)}


def delete_db_cluster_snapshot(store: Store, request: Request) -> dict[str, Any]:
    snapshot = find(store, (request.parameters or {})["DBClusterSnapshotIdentifier"])
    if snapshot.kind != "manual":
        raise fault("InvalidDBClusterSnapshotStateFault", "Only manual snapshots may be deleted.")
    if snapshot.status != "available":
        raise fault(
            "InvalidDBClusterSnapshotStateFault", f"Snapshot {snapshot.identifier} is currently {snapshot.status}."
        )
    drop(store, snapshot)
    return {"DBClusterSnapshot": describe(store, snapshot)}


def describe_db_cluster_snapshots(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    wanted = pages.filters(spec, _FILTERS)
    kind = spec.get("SnapshotType")
    if kind not in (None, "automated", "manual", "shared", "public", "awsbackup"):
        raise bad_value(f"Invalid snapshot type: {kind}")
    if spec.get("DBClusterSnapshotIdentifier"):
        if spec.get("DBClusterIdentifier"):
            raise bad_combination("DBClusterIdentifier and DBClusterSnapshotIdentifier cannot be used together.")
        names = [find(store, spec["DBClusterSnapshotIdentifier"]).identifier]
    else:
        names = sorted(store.snapshots)
    cluster = short_name(spec["DBClusterIdentifier"]) if spec.get("DBClusterIdentifier") else None
    rows = []
    for name in names:
        snapshot = store.snapshots[name]
        if (
            kind in (None, snapshot.kind)
            and cluster in (None, snapshot.cluster.identifier)
            and (not spec.get("DbClusterResourceId") or snapshot.cluster.resource == spec["DbClusterResourceId"])
            and _fits(snapshot, wanted)
        ):
            rows.append(name)
    shown, marker = pages.named_page(rows, spec)
    return {"Marker": marker, "DBClusterSnapshots": [describe(store, store.snapshots[name]) for name in shown]}


def _fits(snapshot: Snapshot, wanted: dict[str, set[str]]) -> bool:
    own = {
        "db-cluster-id": snapshot.cluster.identifier,
        "db-cluster-snapshot-id": snapshot.identifier,
        "snapshot-type": snapshot.kind,
        "engine": snapshot.cluster.engine,
    }
    return all(own[name] in {short_name(value) for value in values} for name, values in wanted.items())


def describe_automated_backups(store: Store, request: Request) -> dict[str, Any]:
    """Of clusters that are there (``active``) and of those deleted with DeleteAutomatedBackups=false (``retained``)."""
    spec = request.parameters or {}
    wanted = pages.filters(spec, ("status", "db-cluster-id", "db-cluster-resource-id"))
    now = clock.now()
    rows = []
    for cluster in store.clusters.values():
        earliest, latest = clusters.restorable(store, cluster, now)
        if earliest is not None and latest is not None:
            arn = store.arn("cluster-auto-backup", f"ab-{cluster.resource.removeprefix('cluster-').lower()}")
            rows.append(_describe_backups(store, cluster, arn, "active", earliest, latest))
    for kept in store.kept_backups.values():
        earliest = min(kept.latest, max(kept.earliest, now - kept.cluster.retention * windows.DAY))
        rows.append(_describe_backups(store, kept.cluster, kept.arn, "retained", earliest, kept.latest))
    if spec.get("DbClusterResourceId"):
        rows = [row for row in rows if row["DbClusterResourceId"] == spec["DbClusterResourceId"]]
        if not rows:
            raise fault(
                "DBClusterAutomatedBackupNotFoundFault",
                f"DB cluster automated backup not found: {spec['DbClusterResourceId']}",
            )
    if spec.get("DBClusterIdentifier"):
        rows = [row for row in rows if row["DBClusterIdentifier"] == spec["DBClusterIdentifier"].lower()]
    keys = {"status": "Status", "db-cluster-id": "DBClusterIdentifier", "db-cluster-resource-id": "DbClusterResourceId"}
    rows = [row for row in rows if all(str(row[keys[name]]).lower() in values for name, values in wanted.items())]
    shown, marker = pages.page(rows, spec)
    return {"Marker": marker, "DBClusterAutomatedBackups": list(shown)}


def _describe_backups(
    store: Store, cluster: Cluster, arn: str, status: str, earliest: float, latest: float
) -> dict[str, Any]:
    return {
        "Engine": cluster.engine,
        "VpcId": subnetgroups.find(store, cluster.subnet_group).vpc
        if cluster.subnet_group in store.subnet_groups
        else None,
        "DBClusterAutomatedBackupsArn": arn,
        "DBClusterIdentifier": cluster.identifier,
        "RestoreWindow": {"EarliestTime": earliest, "LatestTime": latest},
        "MasterUsername": cluster.username,
        "DbClusterResourceId": cluster.resource,
        "Region": cluster.region,
        "LicenseModel": _LICENSE[cluster.engine],
        "Status": status,
        "IAMDatabaseAuthenticationEnabled": cluster.iam,
        "ClusterCreateTime": cluster.created,
        "StorageEncrypted": cluster.encrypted,
        "AllocatedStorage": 1,
        "EngineVersion": cluster.version,
        "DBClusterArn": cluster.arn,
        "BackupRetentionPeriod": cluster.retention,
        "PreferredBackupWindow": cluster.backup_window,
        "EngineMode": "provisioned",
        "AvailabilityZones": cluster.zones,
        "Port": cluster.port,
        "KmsKeyId": cluster.key,
        "StorageType": "aurora-iopt1" if cluster.storage == "aurora-iopt1" else "aurora",
    }


def delete_automated_backup(store: Store, request: Request) -> dict[str, Any]:
    resource = (request.parameters or {})["DbClusterResourceId"]
    kept = store.kept_backups.get(resource)
    if kept is None:
        if any(cluster.resource == resource for cluster in store.clusters.values()):
            raise fault(
                "InvalidDBClusterAutomatedBackupStateFault",
                "The automated backup of a DB cluster that is there cannot be deleted.",
            )
        raise fault("DBClusterAutomatedBackupNotFoundFault", f"DB cluster automated backup not found: {resource}")
    drop_backups(store, resource)
    row = _describe_backups(store, kept.cluster, kept.arn, "deleting", kept.earliest, kept.latest)
    return {"DBClusterAutomatedBackup": row}
