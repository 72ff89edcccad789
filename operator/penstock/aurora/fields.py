"""The fields of an AuroraCluster's status from what was seen: pure, and nothing in it moves by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock.aurora import groups, hibernation, states
from penstock.aurora.ownership import made
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AUTOSCALED, AVAILABLE, Cluster, Instance
from penstock.engine.conditions import timestamp

# The latest restorable time moves with every read, so it is written at most this often.
RESTORABLE_EVERY = timedelta(hours=6)
# What others write, or what is told once: it stays as it is.
_KEPT = (
    "restoreFrom",
    "restore",
    "finalSnapshot",
    "failovers",
    "failoverAsked",
    "probe",
    "availability",
    "objectives",
    "cost",
    "advice",
    "binding",
    "lag",
    "lastReconcileAt",
    "lastFailoverTo",
    "failoverRequest",
)
_SECRETS = ("password",)
_APPLYING = ("in-sync", "applying", "pending-reboot")


def fields(
    desired: Desired,
    status: Mapping[str, Any],
    observed: Observed | None,
    cluster: Cluster | None,
    adopting: bool,
    now: datetime,
) -> dict[str, Any]:
    """All of the status but conditions, observedGeneration and plan. cluster: None when there is none, or none of ours."""
    kept = {k: v for k, v in status.items() if k not in ("conditions", "observedGeneration", "plan")}
    if observed is None:
        return kept
    source = desired.spec.restore_from
    if observed.cluster is None and source is not None and not desired.absent:
        kept["restoreFrom"] = source.model_dump(mode="json", by_alias=True, exclude_none=True)
    if cluster is not None:
        kept = {
            **{k: kept[k] for k in _KEPT if k in kept},
            **_of_cluster(desired, status, observed, cluster, adopting, now),
        }
    snapshot = observed.snapshot
    if snapshot is not None:
        kept["finalSnapshot"] = _without_nothing(
            {
                "identifier": snapshot.identifier,
                "arn": snapshot.arn,
                "createdAt": timestamp(snapshot.created) if snapshot.created else None,
            }
        )
    return kept


def _of_cluster(
    desired: Desired, status: Mapping[str, Any], observed: Observed, cluster: Cluster, adopting: bool, now: datetime
) -> dict[str, Any]:
    return _without_nothing(
        {
            "clusterIdentifier": cluster.identifier,
            "clusterArn": cluster.arn,
            # This id is a claim: a takeover that has not marked the cluster must leave none, since it may be called off, or be another object's.
            "resourceId": None if adopting else cluster.resource_id,
            "region": desired.region,
            "createdAt": timestamp(cluster.created) if cluster.created else None,
            "engineVersion": cluster.version,
            "state": cluster.status,
            "endpoint": _endpoint(cluster.endpoint, cluster.port),
            "readerEndpoint": _endpoint(cluster.reader_endpoint, cluster.port),
            "writer": cluster.writer if _takes_part(observed, cluster.writer) else None,
            "members": _members(desired, observed, cluster),
            "readersReady": _readers_ready(desired, observed, cluster),
            "restorable": _restorable(status, cluster),
            "pending": _pending(observed, cluster),
            "parameterGroups": _parameter_groups(desired, observed, cluster),
            "subnetGroup": cluster.subnet_group,
            "databaseName": cluster.database_name,
            "kmsKeyArn": cluster.kms_key,
            "credentials": _credentials(desired, observed, cluster),
            "observed": _observed(desired, observed, cluster),
            "managed": _managed(desired, observed, cluster, adopting),
            "transition": transition(status, observed, cluster, now),
            "stoppedAt": _stopped_at(desired, status, cluster, now),
            "hibernation": _hibernation(desired, cluster, now),
        }
    )


def _endpoint(host: str, port: int | None) -> dict[str, Any] | None:
    return {"host": host, "port": port} if host and port else None


def _members(desired: Desired, observed: Observed, cluster: Cluster) -> list[dict[str, Any]]:
    """The writer first, then by name; also instances that the cluster does not list yet."""
    names = [m.identifier for m in cluster.members]
    names += sorted(n for n in observed.instances if n not in names)
    return [_member(desired, observed, cluster, name) for name in names]


def _takes_part(observed: Observed, name: str) -> bool:
    """Whether the instance has a part in the cluster: one that is being made is listed as writer or reader, and is neither yet."""
    instance = observed.instances.get(name)
    return instance is None or instance.status != "creating"


def _member(desired: Desired, observed: Observed, cluster: Cluster, name: str) -> dict[str, Any]:
    instance = observed.instances.get(name, Instance(name))
    listed = cluster.member(name)
    tier = listed.tier if listed is not None else instance.tier
    told = [s for s in (listed.parameter_status if listed else "", instance.parameter_apply_status) if s in _APPLYING]
    return _without_nothing(
        {
            "name": name,
            "role": None
            if not _takes_part(observed, name) or listed is None
            else "Writer"
            if listed.writer
            else "Reader",
            "class": instance.instance_class,
            "zone": instance.zone,
            "promotionTier": tier,
            "state": instance.status,
            "ordinal": desired.ordinal(name),
            "parameterStatus": max(told, key=_APPLYING.index, default=None),
        }
    )


def _readers_ready(desired: Desired, observed: Observed, cluster: Cluster) -> str:
    readers = [i for i in observed.instances.values() if i.identifier != cluster.writer]
    serving = sum(1 for i in readers if states.serves(i.status))
    if not cluster.writer and len(readers) == len(observed.instances):
        # While there is no writer one of them is to become it.
        readers = readers[1:]
        serving = min(serving, len(readers))
    wanted = desired.spec.instances.readers
    if wanted is None or desired.spec.instances.reader_autoscaling is not None:
        wanted = max(wanted or 0, len(readers))
    return f"{serving}/{wanted}"


def _restorable(status: Mapping[str, Any], cluster: Cluster) -> dict[str, str] | None:
    """The window moves with every read; it is told anew only now and then, or an idle cluster would be written for ever."""
    before = status.get("restorable")
    if cluster.earliest_restorable is None or cluster.latest_restorable is None:
        return dict(before) if isinstance(before, Mapping) else None
    # The first whole second that can be restored: AWS refuses one that begins before the first backup ends.
    earliest = cluster.earliest_restorable + timedelta(seconds=1) - timedelta.resolution
    fresh = {"earliest": timestamp(earliest), "latest": timestamp(cluster.latest_restorable)}
    if not isinstance(before, Mapping) or "latest" not in before or "earliest" not in before:
        return fresh
    moved = datetime.fromisoformat(fresh["latest"]) - datetime.fromisoformat(before["latest"])
    return dict(before) if timedelta(0) <= moved < RESTORABLE_EVERY else fresh


def _pending(observed: Observed, cluster: Cluster) -> dict[str, str] | None:
    """What AWS holds back, with values as text: the fields of the cluster by their name, those of an instance as instance/field."""
    found = {name: _text(name, value) for name, value in cluster.pending.items()}
    for instance in observed.instances.values():
        found |= {f"{instance.identifier}/{name}": _text(name, value) for name, value in instance.pending.items()}
    return dict(sorted(found.items())) or None


def _text(name: str, value: Any) -> str:
    if any(word in name.lower() for word in _SECRETS):
        return "(not shown)"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _parameter_groups(desired: Desired, observed: Observed, cluster: Cluster) -> dict[str, str] | None:
    names = {i.identifier: i.parameter_group for i in observed.instances.values() if i.parameter_group}
    own = sorted(g for g in names.values() if groups.is_own(desired, observed, groups.INSTANCE, g))
    instance = own[0] if own else names.get(cluster.writer) or next(iter(sorted(names.values())), None)
    before = desired.status.parameter_groups
    if instance is None and before is not None and before.instance:
        # While no instance is there, the group that was made for them still is.
        instance = before.instance
    return _without_nothing({"cluster": cluster.parameter_group, "instance": instance}) or None


def _credentials(desired: Desired, observed: Observed, cluster: Cluster) -> dict[str, Any] | None:
    before = desired.status.credentials
    version = before.secret_version if before is not None and desired.spec.password_secret is not None else None
    if observed.password is not None and observed.password.same and observed.password.version:
        version = observed.password.version
    return (
        _without_nothing(
            {
                "secretArn": cluster.master_secret.arn if cluster.master_secret else None,
                "secretVersion": version,
                "masterUsername": cluster.master_username,
            }
        )
        or None
    )


def _observed(desired: Desired, observed: Observed, cluster: Cluster) -> dict[str, Any] | None:
    """What AWS chose, and where the spec does not say, what it is now."""
    spec = desired.spec
    found: dict[str, Any] = {"kmsKeyArn": cluster.kms_key}
    if spec.backup is None or spec.backup.retention_days is None:
        found["backupRetentionDays"] = cluster.retention_days
    if spec.backup is None or spec.backup.window is None:
        found["backupWindow"] = cluster.backup_window
    if spec.maintenance is None or spec.maintenance.window is None:
        found["maintenanceWindow"] = cluster.maintenance_window
    if spec.network is None or spec.network.security_group_ids is None:
        found["securityGroupIds"] = list(cluster.security_groups)
    if spec.storage is None:
        found["storageType"] = cluster.storage_type
    authorities = sorted({i.ca for i in observed.instances.values() if i.ca})
    if authorities:
        found["certificateAuthority"] = ", ".join(authorities)
    return _without_nothing(found) or None


def _managed(desired: Desired, observed: Observed, cluster: Cluster, adopting: bool) -> dict[str, Any] | None:
    """What came from the spec, or was made for it, and is, or may still be, in AWS."""
    spec, before = desired.spec, desired.status.managed
    tags = {*(spec.tags or ()), *_still(before.tags if before else (), cluster.tags)}
    logs = {*(spec.logs or ()), *_still(before.logs if before else (), cluster.log_exports)}
    set_ones = {name for group in observed.groups.values() for name in group.values}
    parameters = set(spec.parameters or ())
    if spec.requires_tls is not None and spec.engine.tls_parameter[0] in set_ones:
        parameters.add(spec.engine.tls_parameter[0])
    once = before.parameters if before else ()
    parameters |= set(once) if not observed.groups else _still(once, set_ones)
    instances = {i.identifier for i in observed.instances.values() if made(desired, i)}
    # The cluster lists its members before each of them is read; those of the moment of adoption stay ours.
    members = {m.identifier for m in cluster.members if not m.identifier.startswith(AUTOSCALED)}
    instances |= members if adopting else _still(before.instances if before else (), members)
    if (spec.instance_count or 0) > sum(1 for i in observed.instances.values() if i.status != "deleting"):
        # Whoever is gone unasked is named until it is there again, so that its return can be told as one.
        instances |= set(before.instances if before else ()) - set(observed.instances)
    in_force = {*(before.parameter_groups if before else ())}
    for level in (groups.CLUSTER, groups.INSTANCE):
        in_force |= {n for n in groups.in_force(observed, level) if groups.is_own(desired, observed, level, n)}
    scales = spec.instances.reader_autoscaling is not None
    if before is not None and before.reader_autoscaling and not scales:
        # Until AWS was seen without it, it may still be there.
        scales = observed.scaling is None or bool(observed.scaling)
    return (
        _without_nothing(
            {
                "tags": sorted(tags),
                "parameters": sorted(parameters),
                "logs": sorted(logs),
                "readerAutoscaling": True if scales else None,
                "instances": sorted(instances),
                "parameterGroups": sorted(in_force),
            }
        )
        or None
    )


def _still(names: Iterable[str], there: Iterable[str]) -> set[str]:
    return set(names) & set(there)


def transition(status: Mapping[str, Any], observed: Observed, cluster: Cluster, now: datetime) -> dict[str, Any] | None:
    """What the cluster, or else the first of its instances, is in the middle of. The beginning is kept over restarts of the operator."""
    state, member = cluster.status, None
    if not _moving(state):
        moving = sorted((i for i in observed.instances.values() if _moving(i.status)), key=lambda i: i.identifier)
        if not moving or state == "stopped":
            return None
        state, member = moving[0].status, moving[0].identifier
    before = status.get("transition") or {}
    same = before.get("state") == state and before.get("member") == member and "since" in before
    return _without_nothing(
        {
            "state": state,
            "since": before["since"] if same else timestamp(observed.since or now),
            "usual": _duration(states.usual(state)),
            "member": member,
        }
    )


def _moving(state: str) -> bool:
    return bool(state) and state not in (*states.AT_REST, AVAILABLE, "storage-full") and state not in states.BROKEN


def _duration(seconds: float) -> str:
    """Seconds as Kubernetes writes them: 90s, 15m, 1h."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def _stopped_at(desired: Desired, status: Mapping[str, Any], cluster: Cluster, now: datetime) -> str | None:
    before: str | None = status.get("stoppedAt")
    if cluster.status == "stopped":
        return before if before and status.get("state") == "stopped" else timestamp(now)
    # While it must be stopped, AWS starts it every seven days, and when it last stopped is worth knowing.
    return before if hibernation.stopped(desired, now) else None


def _hibernation(desired: Desired, cluster: Cluster, now: datetime) -> dict[str, Any] | None:
    found = hibernation.rest(desired, now)
    if found is not None:
        return found.as_status()
    # Until the cluster runs, that it was hibernation that stopped it must be known.
    before = desired.status.hibernation
    return before.manifest() if before is not None and cluster.status in ("stopped", "stopping") else None


def _without_nothing(found: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if v is not None and v != "" and v != [] and v != {}}
