"""ModifyDBCluster: what is refused, what happens now, and what waits for the maintenance window.

Without ApplyImmediately the engine version, IAM authentication, the storage type, the retention period and the
identifier wait (what ClusterPendingModifiedValues has members for); the rest is applied at once (API reference,
ModifyDBCluster).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import catalog, clusters, instances, parametergroups, subnetgroups, validate, windows
from .refusals import bad_combination, cluster_state, fault
from .store import Cluster, Store

_WAITING = (
    "EngineVersion",
    "EnableIAMDatabaseAuthentication",
    "StorageType",
    "BackupRetentionPeriod",
    "NewDBClusterIdentifier",
)
_NOT_OFFERED = (
    "DBClusterInstanceClass",
    "AllocatedStorage",
    "Iops",
    "ScalingConfiguration",
    "Domain",
    "BacktrackWindow",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """The cluster has ``status`` for ``seconds`` and its instances ``members``, unless that is None; then ``done(at)``."""

    status: str
    seconds: float
    done: Callable[[float], None]
    members: str | None = None
    restarts: bool = False


def modify_db_cluster(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    cluster = store.cluster(spec["DBClusterIdentifier"])
    if cluster.status != "available":
        raise cluster_state(f"DB cluster {cluster.identifier} is not in available state.")
    for name in _NOT_OFFERED:
        if spec.get(name) is not None:
            raise bad_combination(f"{name} cannot be specified for an Aurora cluster of the lab.")
    immediately = bool(spec.get("ApplyImmediately"))
    _check_waiting(store, cluster, spec)
    _check_secret(spec, cluster, immediately=immediately)
    apply_now = _prepare(store, cluster, spec)
    steps = _steps_now(store, cluster, spec, apply_now)
    waiting = {name: spec[name] for name in _WAITING if spec.get(name) is not None}
    for name, value in waiting.items():
        if value == current(cluster, name):
            cluster.pending.pop(name, None)
        else:
            cluster.pending[name] = value
    if "EngineVersion" in waiting:
        cluster.pending["EngineVersion"] = clusters.engine_of(cluster.engine, waiting["EngineVersion"]).version
        if cluster.pending["EngineVersion"] == cluster.version:
            del cluster.pending["EngineVersion"]
        cluster.upgrade_groups = (
            (spec.get("DBClusterParameterGroupName") or "").lower() or None,
            (spec.get("DBInstanceParameterGroupName") or "").lower() or None,
        )
    if immediately:
        store.window_closed(cluster)
        steps += pending_steps(store, cluster)
    elif set(_WAITING) & cluster.pending.keys():
        store.in_window(cluster, lambda at: run(store, cluster, pending_steps(store, cluster), at))
    run(store, cluster, steps, clock.now())
    return {"DBCluster": clusters.describe(store, cluster)}


def current(cluster: Cluster, name: str) -> Any:
    return {
        "EngineVersion": cluster.version,
        "EnableIAMDatabaseAuthentication": cluster.iam,
        "StorageType": cluster.storage,
        "BackupRetentionPeriod": cluster.retention,
        "NewDBClusterIdentifier": cluster.identifier,
    }[name]


# What is refused.


def _check_waiting(store: Store, cluster: Cluster, spec: dict[str, Any]) -> None:
    if spec.get("BackupRetentionPeriod") is not None:
        validate.retention(spec["BackupRetentionPeriod"])
    if spec.get("StorageType") is not None:
        spec["StorageType"] = clusters.storage_of(
            clusters.engine_of(cluster.engine, cluster.version), spec["StorageType"]
        )
        changed = cluster.storage_changed
        if (
            spec["StorageType"] == "aurora-iopt1"
            and cluster.storage != "aurora-iopt1"
            and changed is not None
            and clock.now() < changed + settings.rds_iopt_interval_s
        ):
            raise bad_combination(
                "You can switch an existing cluster to aurora-iopt1 once every 30 days. "
                f"The next change is allowed at {windows.moment(changed + settings.rds_iopt_interval_s)}."
            )
    if spec.get("NewDBClusterIdentifier"):
        spec["NewDBClusterIdentifier"] = validate.identifier("NewDBClusterIdentifier", spec["NewDBClusterIdentifier"])
        if spec["NewDBClusterIdentifier"] != cluster.identifier:
            clusters.check_name(store, spec["NewDBClusterIdentifier"])
    if spec.get("EngineVersion"):
        check_upgrade(
            store,
            cluster,
            spec["EngineVersion"],
            major=bool(spec.get("AllowMajorVersionUpgrade")),
            cluster_group=spec.get("DBClusterParameterGroupName"),
            instance_group=spec.get("DBInstanceParameterGroupName"),
        )
    elif spec.get("DBInstanceParameterGroupName"):
        raise bad_combination("DBInstanceParameterGroupName can be specified only for a major version upgrade.")


def check_upgrade(
    store: Store,
    cluster: Cluster,
    wanted: str,
    *,
    major: bool,
    cluster_group: str | None = None,
    instance_group: str | None = None,
) -> catalog.EngineVersion:
    """The version to go to. Raises AwsError for one that the cluster cannot be upgraded to."""
    target = clusters.engine_of(cluster.engine, wanted)
    if target.version == cluster.version:
        return target
    now = catalog.find(cluster.engine, cluster.version)
    way = next((t for t in now.upgrade_targets if t.version == target.version), None) if now else None
    if way is None:
        raise bad_combination(f"Cannot upgrade {cluster.engine} from {cluster.version} to {target.version}")
    if way.major:
        if not major:
            raise bad_combination(
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
            )
        if not cluster_group and not cluster.parameter_group.startswith("default."):
            raise bad_combination(
                f"The current DB cluster parameter group {cluster.parameter_group} is custom. You must explicitly "
                "specify a new DB cluster parameter group, either default or custom, for the engine version upgrade."
            )
        own = next(
            (m.parameter_group for m in store.members(cluster) if not m.parameter_group.startswith("default.")), None
        )
        if own and not instance_group:
            raise bad_combination(
                f"The current DB instance parameter group {own} is custom. You must explicitly specify a new DB "
                "instance parameter group, either default or custom, for the engine version upgrade."
            )
        parametergroups.of_family(store, "cluster", cluster_group, target.family)
        parametergroups.of_family(store, "instance", instance_group, target.family)
    elif instance_group:
        raise bad_combination("DBInstanceParameterGroupName can be specified only for a major version upgrade.")
    for member in store.members(cluster):
        if member.status != "available":
            raise cluster_state(
                f"Unable to upgrade DB cluster {cluster.identifier} because the instance {member.identifier} has a "
                f"status of {member.status}. Resolve the issue or delete the instance and try again."
            )
        offered = {o.db_instance_class for o in catalog.orderable(cluster.engine, target.version, cluster.region)}
        if member.db_class not in offered:
            raise bad_combination(
                f"The DB instance class {member.db_class} of {member.identifier} is not supported by {target.version}."
            )
    return target


def rotate_secret(store: Store, arn: str) -> None:
    """What Secrets Manager asks RDS for when somebody rotates a master secret there."""
    found = next((c for c in store.clusters.values() if c.secret is not None and c.secret.arn == arn), None)
    if found is None:
        raise fault("DBClusterNotFoundFault", f"No DB cluster has the secret {arn}.")
    spec = {"DBClusterIdentifier": found.identifier, "RotateMasterUserPassword": True, "ApplyImmediately": True}
    modify_db_cluster(store, Request("POST", "/", "", {}, b"", service="rds", parameters=spec))


def _check_secret(spec: dict[str, Any], cluster: Cluster, *, immediately: bool) -> None:
    managed, password = spec.get("ManageMasterUserPassword"), spec.get("MasterUserPassword")
    stays = cluster.secret is not None if managed is None else managed
    if password:
        validate.password(password)
        if stays:
            raise bad_combination("You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.")
    if managed is False and cluster.secret is not None and not password:
        raise bad_combination("You must specify MasterUserPassword when you turn ManageMasterUserPassword off.")
    if spec.get("RotateMasterUserPassword"):
        if cluster.secret is None:
            raise bad_combination("You can rotate only a master user password that is managed in Secrets Manager.")
        if not immediately:
            raise bad_combination("You must apply the change immediately when rotating the master user password.")
    if spec.get("MasterUserSecretKmsKeyId") and not managed:
        raise bad_combination("MasterUserSecretKmsKeyId can be specified only with ManageMasterUserPassword.")


def _prepare(store: Store, cluster: Cluster, spec: dict[str, Any]) -> dict[str, Any]:
    """The cluster's attributes that change at once. Raises AwsError before anything has changed."""
    new: dict[str, Any] = {}
    version = clusters.engine_of(cluster.engine, cluster.version)
    major = (
        spec.get("EngineVersion") and clusters.engine_of(cluster.engine, spec["EngineVersion"]).family != cluster.family
    )
    if spec.get("DBClusterParameterGroupName") and not major:
        group = parametergroups.of_family(store, "cluster", spec["DBClusterParameterGroupName"], cluster.family)
        parametergroups.check_table_names(cluster, parametergroups.table_names(group))
        new["parameter_group"] = group.name
    if spec.get("VpcSecurityGroupIds"):
        subnets = subnetgroups.find(store, cluster.subnet_group)
        new["security_groups"] = clusters.security_groups(store, spec["VpcSecurityGroupIds"], subnets)
    if spec.get("Port") is not None:
        validate.port(spec["Port"])
        new["port"] = spec["Port"]
    if spec.get("PreferredBackupWindow") or spec.get("PreferredMaintenanceWindow"):
        new["backup_window"], new["maintenance_window"] = validate.windows(
            spec.get("PreferredBackupWindow") or cluster.backup_window,
            spec.get("PreferredMaintenanceWindow") or cluster.maintenance_window,
        )
    exports = spec.get("CloudwatchLogsExportConfiguration") or {}
    if exports:
        on = clusters.logs_of(version, exports.get("EnableLogTypes"))
        off = clusters.logs_of(version, exports.get("DisableLogTypes"))
        new["logs"] = sorted((set(cluster.logs) | set(on)) - set(off))
    if spec.get("ServerlessV2ScalingConfiguration"):
        new["serverless"] = clusters.scaling_of(version, spec["ServerlessV2ScalingConfiguration"], cluster.serverless)
    insights = ("EnablePerformanceInsights", "PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId")
    if any(spec.get(name) is not None for name in insights):
        new["insights"], new["insights_days"], new["insights_key"] = clusters.insights_of(
            store,
            spec.get("EnablePerformanceInsights"),
            spec.get("PerformanceInsightsRetentionPeriod"),
            spec.get("PerformanceInsightsKMSKeyId"),
            cluster,
        )
        for member in store.members(cluster):
            instances.check_insights(cluster, member.db_class, enabled=new["insights"])
    if spec.get("MonitoringInterval") is not None:
        new["monitoring_interval"], new["monitoring_role"] = clusters.monitoring_of(
            spec["MonitoringInterval"],
            spec.get("MonitoringRoleArn") or (spec["MonitoringInterval"] and cluster.monitoring_role),
        )
    for name, attribute in (
        ("DeletionProtection", "deletion_protection"),
        ("CopyTagsToSnapshot", "copy_tags"),
        ("AutoMinorVersionUpgrade", "auto_minor"),
        ("EnableHttpEndpoint", "http_endpoint"),
        ("DatabaseInsightsMode", "insights_mode"),
        ("NetworkType", "network"),
    ):
        if spec.get(name) is not None:
            new[attribute] = spec[name]
    clusters.network_of(new.get("network"))
    if new.keys() & {"insights_mode", "insights_days"}:
        clusters.check_insights_mode(
            new.get("insights_mode", cluster.insights_mode), new.get("insights_days", cluster.insights_days)
        )
    return {name: value for name, value in new.items() if value != getattr(cluster, name)}


# What happens.


def _steps_now(store: Store, cluster: Cluster, spec: dict[str, Any], new: dict[str, Any]) -> list[Step]:
    for name, value in new.items():
        setattr(cluster, name, value)
    steps: list[Step] = []
    quiet = {"deletion_protection", "copy_tags", "backup_window", "maintenance_window", "auto_minor", "http_endpoint"}
    if "logs" in new:
        steps.append(Step("modifying", settings.rds_configure_s, _nothing, "configuring-log-exports"))
    if "port" in new:
        store.plane.addresses_changed(cluster)
        steps.append(Step("modifying", settings.rds_reboot_s, _nothing, "rebooting", restarts=True))
    if {"insights", "insights_days", "monitoring_interval"} & new.keys():
        for member in store.members(cluster):
            member.insights, member.insights_days = cluster.insights, cluster.insights_days
            member.insights_key = cluster.insights_key
            if "monitoring_interval" in new:
                member.monitoring_interval, member.monitoring_role = (
                    cluster.monitoring_interval,
                    cluster.monitoring_role,
                )
        steps.append(Step("modifying", settings.rds_configure_s, _nothing, "modifying"))
    if "parameter_group" in new:
        for member in store.members(cluster):
            parametergroups.apply(store, member, "cluster", waits=True)
        steps.append(Step("modifying", settings.rds_cluster_modify_s, _nothing))
    if not steps and new.keys() - quiet:
        steps.append(Step("modifying", settings.rds_cluster_modify_s, _nothing))
    return steps + _password_steps(store, cluster, spec)


def _nothing(_: float) -> None:
    return


def _password_steps(store: Store, cluster: Cluster, spec: dict[str, Any]) -> list[Step]:
    from .secrets import MasterSecrets

    secret = cluster.secret
    managed = spec.get("ManageMasterUserPassword")
    if managed and secret is None:
        key = clusters.key_of(store, spec.get("MasterUserSecretKmsKeyId"), "alias/aws/secretsmanager")
        password = clusters.generated_password()

        def turned_on(at: float) -> None:
            set_password(store, cluster, password, at)
            clusters.manage_secret(store, cluster, key, at)

        return [_reset(turned_on)]
    if spec.get("RotateMasterUserPassword") and secret is not None:
        password = clusters.generated_password()
        secret.status = "rotating"
        rotating = secret

        def rotated(at: float) -> None:
            MasterSecrets(store.account, store.region).rotate(rotating.arn, password)
            rotating.status = "active"
            set_password(store, cluster, password, at)

        return [_reset(rotated)]
    password = spec.get("MasterUserPassword") or ""
    if not password:
        return []
    if managed is False and secret is not None:
        MasterSecrets(store.account, store.region).delete(secret.arn)
        cluster.secret = None
    cluster.pending["MasterUserPassword"] = "****"
    return [_reset(lambda at: set_password(store, cluster, password, at))]


def _reset(done: Callable[[float], None]) -> Step:
    return Step("resetting-master-credentials", settings.rds_password_s, done, "resetting-master-credentials")


def set_password(store: Store, cluster: Cluster, password: str, at: float) -> None:
    cluster.password = password
    cluster.pending.pop("MasterUserPassword", None)
    store.plane.password_changed(cluster)
    store.events.emit("RDS-EVENT-0016", cluster.identifier, at, tags=cluster.tags)


def pending_steps(store: Store, cluster: Cluster) -> list[Step]:
    """What applies everything that waits."""
    steps: list[Step] = []
    waiting = cluster.pending

    def take(name: str, attribute: str) -> Callable[[float], None]:
        def taken(at: float) -> None:
            if name in waiting:
                setattr(cluster, attribute, waiting.pop(name))
                if name == "StorageType" and cluster.storage == "aurora-iopt1":
                    # Going back to standard storage is free at any time, and counts for nothing.
                    cluster.storage_changed = at

        return taken

    if "BackupRetentionPeriod" in waiting:
        take("BackupRetentionPeriod", "retention")(clock.now())
    if "EnableIAMDatabaseAuthentication" in waiting:
        done = take("EnableIAMDatabaseAuthentication", "iam")
        steps.append(Step("modifying", settings.rds_configure_s, done, "configuring-iam-database-auth"))
    if "StorageType" in waiting:
        steps.append(Step("modifying", settings.rds_cluster_modify_s, take("StorageType", "storage")))
    if "EngineVersion" in waiting:
        steps.append(upgrade_step(store, cluster, waiting["EngineVersion"]))
    if "NewDBClusterIdentifier" in waiting:
        steps.append(Step("renaming", settings.rds_cluster_modify_s, lambda at: _rename(store, cluster, at)))
    return steps


def upgrade_step(store: Store, cluster: Cluster, version: str) -> Step:
    target = clusters.engine_of(cluster.engine, version)
    major = target.family != cluster.family

    def upgraded(at: float) -> None:
        cluster.pending.pop("EngineVersion", None)
        cluster.version, cluster.family = target.version, target.family
        for member in store.members(cluster):
            member.version = target.version
            if major:
                member.parameter_group = parametergroups.of_family(
                    store, "instance", cluster.upgrade_groups[1], target.family
                ).name
                member.parameters = member.cluster_parameters = "in-sync"
        if major:
            cluster.parameter_group = parametergroups.of_family(
                store, "cluster", cluster.upgrade_groups[0], target.family
            ).name
        event = "RDS-EVENT-0176" if major else "RDS-EVENT-0173"
        store.events.emit(event, cluster.identifier, at, tags=cluster.tags)

    return Step("upgrading", settings.rds_upgrade_s, upgraded, "upgrading", restarts=True)


def _rename(store: Store, cluster: Cluster, at: float) -> None:
    old, new = cluster.identifier, cluster.pending.pop("NewDBClusterIdentifier")
    if new in store.clusters:
        # Somebody took the name while it waited for the window.
        return
    del store.clusters[old]
    cluster.identifier = new
    store.clusters[new] = cluster
    for member in store.members(cluster):
        member.cluster = new
    store.plane.addresses_changed(cluster)
    store.events.emit("RDS-EVENT-0172", new, at, tags=cluster.tags, old=old, new=new)


def run(store: Store, cluster: Cluster, steps: list[Step], now: float) -> None:
    """One step after the other, each on the available instances too; the cluster is available in the end."""
    if not steps:
        return
    step, rest = steps[0], steps[1:]
    if step.status == "upgrading":
        store.plane.upgrading(cluster, str(cluster.pending.get("EngineVersion", cluster.version)))
        store.events.emit("RDS-EVENT-0177", cluster.identifier, now, tags=cluster.tags)
    touched = [m for m in store.members(cluster) if m.status == "available"] if step.members else []
    for member in touched:
        if step.restarts:
            instances.restart(store, cluster, member, str(step.members), step.seconds, now)
        else:
            store.during(member, str(step.members), step.seconds, now=now)

    def done(at: float) -> None:
        step.done(at)
        run(store, cluster, rest, at)

    store.during(
        cluster,
        step.status,
        step.seconds,
        done,
        now=now,
        when=lambda: all(store.instances.get(m.identifier) is not m or m.status != step.members for m in touched),
    )
