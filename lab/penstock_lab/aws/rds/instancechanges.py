"""ModifyDBInstance for members of a cluster: class, certificate and name may wait for the window, the rest does not."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import clusters, instances, parametergroups, subnetgroups, validate
from .refusals import bad_combination, cluster_state
from .store import Cluster, Instance, Store

_WAITING = ("DBInstanceClass", "CACertificateIdentifier", "NewDBInstanceIdentifier")
_OF_CLUSTER = (
    "AllowMajorVersionUpgrade",
    "DBPortNumber",
    "RotateMasterUserPassword",
    "CloudwatchLogsExportConfiguration",
)


def modify_db_instance(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    instance = store.instance(spec["DBInstanceIdentifier"])
    cluster = instances.check_available(store, instance)
    if cluster.status in ("upgrading", "failing-over", "deleting"):
        raise cluster_state(f"DB cluster {cluster.identifier} is in {cluster.status} state.")
    instances.refuse_cluster_settings(spec, new=False)
    for name in _OF_CLUSTER:
        if spec.get(name):
            raise bad_combination(f"{name} is a setting of the DB cluster: use ModifyDBCluster.")
    if spec.get("EngineVersion") not in (None, instance.version):
        raise bad_combination(
            "The specified DB Instance is a member of a cluster. Modify the DB engine version for the DB Cluster using the "
            "ModifyDbCluster API"
        )
    _check(store, cluster, instance, spec)
    new = _prepare(store, cluster, instance, spec)
    waiting = {name: spec[name] for name in _WAITING if spec.get(name) is not None}
    for name, value in waiting.items():
        if value == _current(instance, name):
            instance.pending.pop(name, None)
        else:
            instance.pending[name] = value
    _now(store, instance, new)
    if spec.get("ApplyImmediately"):
        store.window_closed(instance)
        apply_pending(store, instance, clock.now())
    elif instance.pending:
        store.in_window(instance, lambda at: apply_pending(store, instance, at))
    if instance.status == "available" and new.keys() - {"tier", "maintenance_window", "auto_minor", "copy_tags"}:
        store.during(instance, "modifying", settings.rds_instance_modify_s)
    return {"DBInstance": instances.describe(store, instance)}


def _current(instance: Instance, name: str) -> str:
    return {
        "DBInstanceClass": instance.db_class,
        "CACertificateIdentifier": instance.certificate,
        "NewDBInstanceIdentifier": instance.identifier,
    }[name]


def _check(store: Store, cluster: Cluster, instance: Instance, spec: dict[str, Any]) -> None:
    if spec.get("DBInstanceClass"):
        instances.check_class(cluster, spec["DBInstanceClass"], instance.zone)
    if spec.get("CACertificateIdentifier"):
        instances.check_certificate(spec["CACertificateIdentifier"])
    if spec.get("NewDBInstanceIdentifier"):
        name = spec["NewDBInstanceIdentifier"] = validate.identifier(
            "NewDBInstanceIdentifier", spec["NewDBInstanceIdentifier"]
        )
        if name != instance.identifier:
            instances.check_name(store, name)
    if spec.get("PubliclyAccessible") and not instance.public:
        instances.check_public(store, subnetgroups.find(store, cluster.subnet_group))


def _prepare(store: Store, cluster: Cluster, instance: Instance, spec: dict[str, Any]) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if spec.get("PromotionTier") is not None:
        instances.check_tier(spec["PromotionTier"])
        new["tier"] = spec["PromotionTier"]
    if spec.get("DBParameterGroupName"):
        new["parameter_group"] = parametergroups.of_family(
            store, "instance", spec["DBParameterGroupName"], cluster.family
        ).name
    if spec.get("PreferredMaintenanceWindow"):
        new["maintenance_window"] = validate.windows(cluster.backup_window, spec["PreferredMaintenanceWindow"])[1]
    names = ("EnablePerformanceInsights", "PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId")
    if any(spec.get(name) is not None for name in names):
        new["insights"], new["insights_days"], new["insights_key"] = clusters.insights_of(
            store,
            spec.get("EnablePerformanceInsights"),
            spec.get("PerformanceInsightsRetentionPeriod"),
            spec.get("PerformanceInsightsKMSKeyId"),
            instance,
        )
    if new.get("insights", instance.insights):
        instances.check_insights(cluster, spec.get("DBInstanceClass") or instance.db_class, enabled=True)
    if spec.get("MonitoringInterval") is not None:
        new["monitoring_interval"], new["monitoring_role"] = clusters.monitoring_of(
            spec["MonitoringInterval"],
            spec.get("MonitoringRoleArn") or (spec["MonitoringInterval"] and instance.monitoring_role),
        )
    for name, attribute in (
        ("PubliclyAccessible", "public"),
        ("AutoMinorVersionUpgrade", "auto_minor"),
        ("CopyTagsToSnapshot", "copy_tags"),
    ):
        if spec.get(name) is not None:
            new[attribute] = spec[name]
    return {name: value for name, value in new.items() if value != getattr(instance, name)}


def _now(store: Store, instance: Instance, new: dict[str, Any]) -> None:
    for name, value in new.items():
        setattr(instance, name, value)
    if "parameter_group" in new:
        parametergroups.apply(store, instance, "instance", waits=True)
        store.events.emit(
            "RDS-EVENT-0011", instance.identifier, clock.now(), tags=instance.tags, name=instance.parameter_group
        )
    if "maintenance_window" in new and instance.pending:
        store.in_window(instance, lambda at: apply_pending(store, instance, at))


def apply_pending(store: Store, instance: Instance, at: float) -> None:
    """A new class or name takes a restart; Aurora does not fail over for it by itself."""
    waiting = instance.pending
    cluster = store.clusters[instance.cluster]
    if "CACertificateIdentifier" in waiting:
        # Aurora PostgreSQL and MySQL take a new certificate without a restart.
        instance.certificate = waiting.pop("CACertificateIdentifier")
    if "DBInstanceClass" in waiting:
        store.events.emit("RDS-EVENT-0012", instance.identifier, at, tags=instance.tags)
        store.events.emit("RDS-EVENT-0004", instance.identifier, at, tags=instance.tags)
        store.plane.instance_restarting(cluster, instance)

        def resized(due: float) -> None:
            instance.db_class = waiting.pop("DBInstanceClass", instance.db_class)
            _rename(store, cluster, instance)
            instances.restarted(store, instance, due)
            store.events.emit("RDS-EVENT-0014", instance.identifier, due, tags=instance.tags)

        store.during(instance, "modifying", settings.rds_instance_class_s, resized, now=at)
    elif "NewDBInstanceIdentifier" in waiting:
        store.events.emit("RDS-EVENT-0004", instance.identifier, at, tags=instance.tags)
        store.plane.instance_restarting(cluster, instance)

        def renamed(due: float) -> None:
            _rename(store, cluster, instance)
            instances.restarted(store, instance, due)

        store.during(instance, "renaming", settings.rds_reboot_s, renamed, now=at)


def _rename(store: Store, cluster: Cluster, instance: Instance) -> None:
    new = instance.pending.pop("NewDBInstanceIdentifier", None)
    if new is None or new in store.instances:
        return
    old = instance.identifier
    del store.instances[old]
    instance.identifier = new
    store.instances[new] = instance
    cluster.members[cluster.members.index(old)] = new
    if cluster.writer == old:
        cluster.writer = new
    store.plane.addresses_changed(cluster)
