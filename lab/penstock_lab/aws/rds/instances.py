"""DB instances of a cluster: creation, what a describe shows, reboot and deletion."""

from __future__ import annotations

import collections
from typing import Any

from ..clock import clock
from ..request import Request
from ..settings import settings
from . import catalog, clusters, failover, network, pages, parametergroups, subnetgroups, tags, validate, windows
from .refusals import bad_combination, bad_value, cluster_state, fault, instance_state
from .store import Cluster, Instance, Store, SubnetGroup, short_name

_FILTERS = ("db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine")
_LICENSE = {"aurora-postgresql": "postgresql-license", "aurora-mysql": "general-public-license"}
_HOSTED_ZONE = "Z2R2ITUGPM61AM"
# States of a cluster in which instances can be added to it.
_GROWING = ("available", "creating", "modifying", "backing-up", "upgrading")
# What belongs to the cluster and cannot be said of a member (CreateDBInstance in the API reference: "Aurora").
_OF_CLUSTER = {
    "MasterUsername": "master user name",
    "MasterUserPassword": "master user password",
    "ManageMasterUserPassword": "master user password",
    "BackupRetentionPeriod": "backup retention period",
    "PreferredBackupWindow": "backup window",
    "DBName": "database name",
    "Port": "database endpoint port",
    "VpcSecurityGroupIds": "vpc security group",
    "KmsKeyId": "KMS key",
    "StorageEncrypted": "storage encryption",
    "EnableIAMDatabaseAuthentication": "IAM database authentication",
    "EnableCloudwatchLogsExports": "CloudWatch Logs exports",
    "AllocatedStorage": "allocated storage",
    "DeletionProtection": "deletion protection",
}


def refuse_cluster_settings(spec: dict[str, Any], *, new: bool) -> None:
    for name, what in _OF_CLUSTER.items():
        if spec.get(name) not in (None, False, []):
            raise bad_combination(
                f"The requested DB Instance will be a member of a DB Cluster. Set {what} for the DB Cluster."
                if new
                else f"The specified DB Instance is a member of a cluster. Modify {what} for the DB Cluster using the "
                "ModifyDbCluster API"
            )


def create_db_instance(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    if not spec.get("DBClusterIdentifier"):
        raise bad_combination("The lab has instances of Aurora clusters alone: set DBClusterIdentifier.")
    refuse_cluster_settings(spec, new=True)
    cluster = store.cluster(spec["DBClusterIdentifier"])
    name = validate.identifier("DBInstanceIdentifier", spec["DBInstanceIdentifier"])
    check_name(store, name)
    if spec["Engine"] != cluster.engine:
        raise bad_combination(
            f"The engine name requested for your DB instance ({spec['Engine']}) doesn't match the engine name of your "
            f"DB cluster ({cluster.engine})."
        )
    if spec.get("EngineVersion") not in (None, cluster.version):
        raise bad_combination(
            f"The engine version that you requested for your DB instance ({spec['EngineVersion']}) does not match the "
            f"engine version of your DB cluster ({cluster.version})."
        )
    if cluster.status not in _GROWING:
        raise cluster_state(f"DB cluster {cluster.identifier} is in {cluster.status} state.")
    if len(store.instances) >= settings.rds_max_instances:
        raise fault("InstanceQuotaExceededFault", "The request would exceed the quota of DB instances.")
    if len(cluster.members) > settings.rds_max_readers:
        raise fault(
            "InstanceQuotaExceededFault",
            f"The cluster {cluster.identifier} already has {settings.rds_max_readers} Aurora Replicas, the most it may have.",
        )
    instance = _build(store, cluster, name, spec)
    begin(store, cluster, instance)
    return {"DBInstance": describe(store, instance)}


def _build(store: Store, cluster: Cluster, name: str, spec: dict[str, Any]) -> Instance:
    group = subnetgroups.find(store, cluster.subnet_group)
    if spec.get("DBSubnetGroupName") and spec["DBSubnetGroupName"].lower() != cluster.subnet_group:
        raise bad_combination(
            "The requested DB Instance will be a member of a DB Cluster. Set the DB subnet group for the DB Cluster."
        )
    zone = spec.get("AvailabilityZone")
    # A cluster's instances are in the zones of its storage alone (API reference, CreateDBInstance.AvailabilityZone).
    zones = [one for one in group.zones if one in cluster.zones]
    target = zone or (zones or cluster.zones)[0]
    if target not in zones:
        raise fault(
            "InvalidVPCNetworkStateFault",
            f"Cannot create a {spec['DBInstanceClass']} database instance because there is not a subnet in {target}, the "
            f"targeted availability zone. Create a new subnet in {target} and target that availability zone again, or "
            f"retry the launch with no availability zone, or choose from these availability zones: {', '.join(zones)}.",
        )
    public = spec.get("PubliclyAccessible", spec.get("DBSubnetGroupName") == subnetgroups.DEFAULT)
    if public:
        check_public(store, group)
    check_class(cluster, spec["DBInstanceClass"], zone)
    tier = spec.get("PromotionTier", 1)
    check_tier(tier)
    own = parametergroups.of_family(store, "instance", spec.get("DBParameterGroupName"), cluster.family)
    window = spec.get("PreferredMaintenanceWindow")
    if window:
        window = validate.windows(cluster.backup_window, window)[1]
    instance = Instance(
        identifier=name,
        cluster=cluster.identifier,
        db_class=spec["DBInstanceClass"],
        zone=zone or _roomiest(store, cluster, spec["DBInstanceClass"], zones),
        tier=tier,
        parameter_group=own.name,
        maintenance_window=window or windows.default_maintenance(name),
        created=clock.now(),
        version=cluster.version,
        tags=tags.from_list(spec.get("Tags")),
        public=public,
        auto_minor=spec.get("AutoMinorVersionUpgrade", cluster.auto_minor),
        copy_tags=bool(spec.get("CopyTagsToSnapshot")),
    )
    enabled = spec.get("EnablePerformanceInsights")
    if enabled is None and cluster.insights:
        instance.insights, instance.insights_days, instance.insights_key = (
            True,
            cluster.insights_days,
            cluster.insights_key,
        )
    else:
        instance.insights, instance.insights_days, instance.insights_key = clusters.insights_of(
            store, enabled, spec.get("PerformanceInsightsRetentionPeriod"), spec.get("PerformanceInsightsKMSKeyId")
        )
    check_insights(cluster, instance.db_class, instance.insights)
    if spec.get("CACertificateIdentifier"):
        check_certificate(spec["CACertificateIdentifier"])
        instance.certificate = spec["CACertificateIdentifier"]
    instance.monitoring_interval, instance.monitoring_role = clusters.monitoring_of(
        spec.get("MonitoringInterval"), spec.get("MonitoringRoleArn")
    )
    if not instance.monitoring_interval:
        instance.monitoring_interval, instance.monitoring_role = cluster.monitoring_interval, cluster.monitoring_role
    return instance


def begin(store: Store, cluster: Cluster, instance: Instance) -> None:
    """The instance is a member from now on; the first is the writer."""
    store.instances[instance.identifier] = instance
    cluster.members.append(instance.identifier)
    if cluster.writer is None:
        cluster.writer = instance.identifier
    store.plane.instance_created(cluster, instance)

    def available(at: float) -> None:
        store.events.emit("RDS-EVENT-0005", instance.identifier, at, tags=instance.tags)
        if cluster.writer is None:
            failover.adopt(store, cluster, instance, at)

    def created(at: float) -> None:
        if instance.monitoring_interval:
            store.during(instance, "configuring-enhanced-monitoring", settings.rds_configure_s, available, now=at)
        else:
            available(at)

    store.during(
        instance,
        "creating",
        settings.rds_instance_create_s,
        created,
        when=lambda: cluster.status not in ("creating", "upgrading"),
    )


def check_tier(tier: int) -> None:
    if not 0 <= tier <= 15:
        raise bad_value(f"Invalid promotion tier: {tier}. Valid values are 0 to 15.")


def check_class(cluster: Cluster, db_class: str, zone: str | None) -> None:
    validate.class_for(cluster.engine, cluster.version, db_class, zone)
    if db_class == "db.serverless" and cluster.serverless is None:
        raise cluster_state(
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB "
            "instance."
        )


def check_insights(cluster: Cluster, db_class: str, enabled: bool) -> None:
    if not enabled:
        return
    offer = next(
        (
            o
            for o in catalog.orderable(cluster.engine, cluster.version, cluster.region)
            if o.db_instance_class == db_class
        ),
        None,
    )
    if offer is not None and not offer.supports_performance_insights:
        raise bad_combination("Performance Insights not supported for this configuration.")


def check_name(store: Store, name: str) -> None:
    """Raises AwsError where an instance has the name, or is being renamed to it."""
    renamed = (one for one in store.instances.values() if one.status == "renaming")
    if name in store.instances or any(one.pending.get("NewDBInstanceIdentifier") == name for one in renamed):
        raise fault("DBInstanceAlreadyExistsFault", "DB instance already exists")


def check_public(store: Store, group: SubnetGroup) -> None:
    """Raises AwsError where an instance of the subnet group cannot have a public address."""
    problem = None
    if not network.has_internet_gateway(store.account, store.region, group.vpc):
        problem = " The specified VPC has no internet gateway attached."
    elif not network.has_dns_names(store.account, store.region, group.vpc):
        problem = "  The specified VPC does not support DNS resolution, DNS hostnames, or both. "
    if problem:
        raise fault(
            "InvalidVPCNetworkStateFault",
            f"Cannot create a publicly accessible DBInstance.{problem}Update the VPC and then try again",
        )


def check_certificate(name: str) -> None:
    from .account import CERTIFICATES

    if name not in CERTIFICATES:
        raise fault("CertificateNotFoundFault", f"Certificate not found: {name}")


def _roomiest(store: Store, cluster: Cluster, db_class: str, zones: list[str]) -> str:
    """The zone with the fewest members of the cluster, of those that have the class."""
    offered = next(
        o.zones
        for o in catalog.orderable(cluster.engine, cluster.version, cluster.region)
        if o.db_instance_class == db_class
    )
    usable = [zone for zone in zones if zone in offered]
    if not usable:
        # As AWS, which tries the group's zones and finds none.
        validate.class_for(cluster.engine, cluster.version, db_class, zones[0])
    taken = collections.Counter(member.zone for member in store.members(cluster))
    return min(usable, key=lambda zone: (taken[zone], zone))


# What a describe shows.


def describe(store: Store, instance: Instance, now: float | None = None) -> dict[str, Any]:
    cluster = store.clusters[instance.cluster]
    answer: dict[str, Any] = {
        "DBInstanceIdentifier": instance.identifier,
        "DBInstanceClass": instance.db_class,
        "Engine": cluster.engine,
        "DBInstanceStatus": instance.status,
        "MasterUsername": cluster.username,
        "DBName": cluster.database,
        "AllocatedStorage": 1,
        "InstanceCreateTime": instance.created,
        "PreferredBackupWindow": cluster.backup_window,
        "BackupRetentionPeriod": cluster.retention,
        "DBSecurityGroups": [],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": one, "Status": "active"} for one in cluster.security_groups],
        "DBParameterGroups": [
            {"DBParameterGroupName": instance.parameter_group, "ParameterApplyStatus": instance.parameters}
        ],
        "AvailabilityZone": instance.zone,
        "DBSubnetGroup": subnetgroups.describe(store.subnet_groups[cluster.subnet_group]),
        "PreferredMaintenanceWindow": instance.maintenance_window,
        "PendingModifiedValues": pending(instance),
        "MultiAZ": False,
        "EngineVersion": instance.version,
        "AutoMinorVersionUpgrade": instance.auto_minor,
        "ReadReplicaDBInstanceIdentifiers": [],
        "LicenseModel": _LICENSE[cluster.engine],
        "OptionGroupMemberships": [
            {
                "OptionGroupName": f"default:{cluster.family.removesuffix('.0').replace('.', '-')}",
                "Status": "in-sync",
            }
        ],
        "PubliclyAccessible": instance.public,
        "StorageType": cluster.storage,
        "DbInstancePort": 0,
        "DBClusterIdentifier": cluster.identifier,
        "StorageEncrypted": cluster.encrypted,
        "KmsKeyId": cluster.key,
        "DbiResourceId": instance.resource,
        "CACertificateIdentifier": instance.certificate,
        "DomainMemberships": [],
        "CopyTagsToSnapshot": instance.copy_tags,
        "MonitoringInterval": instance.monitoring_interval,
        "PromotionTier": instance.tier,
        "DBInstanceArn": store.instance_arn(instance.identifier),
        "IAMDatabaseAuthenticationEnabled": cluster.iam,
        "PerformanceInsightsEnabled": instance.insights,
        "DeletionProtection": False,
        "AssociatedRoles": [],
        "TagList": tags.to_list(instance.tags),
        "CustomerOwnedIpEnabled": False,
        "NetworkType": cluster.network,
        "BackupTarget": "region",
        "DedicatedLogVolume": False,
        "DatabaseInsightsMode": cluster.insights_mode,
        "EngineLifecycleSupport": cluster.lifecycle_support,
    }
    if instance.status != "creating":
        address = store.plane.instance_address(cluster, instance)
        answer["Endpoint"] = {
            "Address": address.host,
            "Port": address.port or cluster.port,
            "HostedZoneId": _HOSTED_ZONE,
        }
    if cluster.logs:
        answer["EnabledCloudwatchLogsExports"] = cluster.logs
    if instance.insights:
        answer["PerformanceInsightsKMSKeyId"] = instance.insights_key
        answer["PerformanceInsightsRetentionPeriod"] = instance.insights_days
    if instance.monitoring_interval:
        answer["MonitoringRoleArn"] = instance.monitoring_role
    return answer


def pending(instance: Instance) -> dict[str, Any]:
    shown = dict(instance.pending)
    if "NewDBInstanceIdentifier" in shown:
        shown["DBInstanceIdentifier"] = shown.pop("NewDBInstanceIdentifier")
    return shown


def describe_db_instances(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    wanted = pages.filters(spec, _FILTERS)
    if spec.get("DBInstanceIdentifier"):
        names = [store.instance(spec["DBInstanceIdentifier"]).identifier]
    elif "db-cluster-id" in wanted:
        found = {short_name(value) for value in wanted["db-cluster-id"]}
        names = sorted(
            member for cluster in found if cluster in store.clusters for member in store.clusters[cluster].members
        )
    else:
        names = sorted(store.instances)
    if wanted:
        names = [name for name in names if _fits(store, store.instances[name], wanted)]
    shown, marker = pages.named_page(names, spec)
    now = clock.now()
    return {"Marker": marker, "DBInstances": [describe(store, store.instances[name], now) for name in shown]}


def _fits(store: Store, instance: Instance, wanted: dict[str, set[str]]) -> bool:
    for name, values in wanted.items():
        own = {
            "db-cluster-id": instance.cluster,
            "db-instance-id": instance.identifier,
            "dbi-resource-id": instance.resource.lower(),
            "domain": "",
            "engine": store.clusters[instance.cluster].engine,
        }[name]
        if own not in ({short_name(v) for v in values} if name.startswith("db-") else values):
            return False
    return True


# Reboot and deletion.


def check_available(store: Store, instance: Instance) -> Cluster:
    """The instance's cluster. Raises AwsError while either is in transition or stopped."""
    cluster = store.clusters[instance.cluster]
    if cluster.status in ("stopped", "stopping", "starting"):
        raise cluster_state(f"Db cluster {cluster.identifier} is in {cluster.status} state")
    if instance.status != "available":
        raise instance_state(f"Database instance {instance.identifier} is not in available state.")
    return cluster


def reboot_db_instance(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    instance = store.instance(spec["DBInstanceIdentifier"])
    cluster = store.clusters[instance.cluster]
    if spec.get("ForceFailover"):
        raise bad_combination(
            "ForceFailover is not supported for DB instances in a DB cluster; use FailoverDBCluster instead."
        )
    if instance.status != "available" or cluster.status in ("failing-over", "upgrading"):
        raise instance_state("Instance cannot currently reboot due to an in-progress management operation.")
    restart(store, cluster, instance, "rebooting", settings.rds_reboot_s)
    return {"DBInstance": describe(store, instance)}


def restart(
    store: Store, cluster: Cluster, instance: Instance, status: str, seconds: float, now: float | None = None
) -> None:
    """The engine goes down and comes up, after which everything of the parameter groups is in force."""
    now = clock.now() if now is None else now
    store.plane.instance_restarting(cluster, instance)
    store.events.emit("RDS-EVENT-0004", instance.identifier, now, tags=instance.tags)
    store.during(instance, status, seconds, lambda at: restarted(store, instance, at), now=now)


def restarted(store: Store, instance: Instance, at: float) -> None:
    instance.parameters = instance.cluster_parameters = "in-sync"
    store.events.emit("RDS-EVENT-0006", instance.identifier, at, tags=instance.tags)


def delete_db_instance(store: Store, request: Request) -> dict[str, Any]:
    spec = request.parameters or {}
    instance = store.instance(spec["DBInstanceIdentifier"])
    cluster = store.clusters[instance.cluster]
    if spec.get("FinalDBSnapshotIdentifier"):
        raise bad_combination("FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance")
    if instance.status == "deleting":
        raise instance_state(f"Instance {instance.identifier} is already being deleted.")
    if cluster.status in ("stopped", "stopping", "starting", "upgrading", "failing-over"):
        raise cluster_state(f"Db cluster {cluster.identifier} is in {cluster.status} state")
    if instance.status not in ("available", "failed"):
        raise instance_state(
            f"Instance {instance.identifier} is currently {instance.status}: it can be deleted once it is available."
        )
    store.window_closed(instance)
    instance.pending.clear()
    store.during(
        instance, "deleting", settings.rds_instance_delete_s, lambda at: _gone(store, instance, at), after="deleting"
    )
    if cluster.writer == instance.identifier:
        failover.writer_leaves(store, cluster, instance)
    return {"DBInstance": describe(store, instance)}


def _gone(store: Store, instance: Instance, at: float) -> None:
    cluster = store.clusters[instance.cluster]
    store.instances.pop(instance.identifier, None)
    cluster.members.remove(instance.identifier)
    store.plane.instance_deleted(cluster, instance)
    store.events.emit("RDS-EVENT-0003", instance.identifier, at, tags=instance.tags)
    if cluster.writer == instance.identifier and cluster.failing_to is None:
        failover.elect(store, cluster, at)
    if not cluster.members and cluster.when_empty is not None:
        cluster.when_empty(at)
