"""RDS's answers as small frozen records, as far as Aurora clusters need them. Field meanings are those of the RDS API reference: DBCluster,
DBInstance, Event, DBSubnetGroup, DBClusterParameterGroup and DBClusterSnapshot.

What an answer leaves out is None where "not told" differs from "off" or "none" (an emulator tells less than AWS, and a plan must not correct what it
cannot see), else empty. What moves by itself with every answer takes no part in comparisons: two equal records mean that nothing happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

AUTOSCALED = "application-autoscaling-"
"""What Application Auto Scaling calls the readers that it makes (Aurora guide, "Amazon Aurora Auto Scaling with Aurora Replicas")."""
AVAILABLE = "available"
STANDARD = "Standard"
IO_OPTIMIZED = "IOOptimized"
_IO_OPTIMIZED = "aurora-iopt1"
_NONE: Mapping[str, Any] = MappingProxyType({})

FAILOVER_FAILED = "RDS-EVENT-0069"
FAILOVER_BACK = "RDS-EVENT-0070"
FAILOVER_COMPLETED = "RDS-EVENT-0071"
FAILOVER_SAME_ZONE = "RDS-EVENT-0072"
FAILOVER_CROSS_ZONE = "RDS-EVENT-0073"
RESTARTED_BY_AWS = "RDS-EVENT-0153"
PASSWORD_RESET = "RDS-EVENT-0016"  # noqa: S105 - an event's number
# DescribeEvents gives no id, only the wording: Aurora guide, "Amazon RDS event categories and event messages for Aurora". The longer beginning first.
_CLUSTER_MESSAGES = (
    ("cluster failover failed", FAILOVER_FAILED),
    ("promoting previous primary again", FAILOVER_BACK),
    ("completed failover to", FAILOVER_COMPLETED),
    ("started same az failover to", FAILOVER_SAME_ZONE),
    ("started cross az failover to", FAILOVER_CROSS_ZONE),
    ("db cluster is being started due to", RESTARTED_BY_AWS),
    ("db cluster stop failed", "RDS-EVENT-0152"),
    ("db cluster stopped", "RDS-EVENT-0150"),
    ("db cluster started", "RDS-EVENT-0151"),
    ("db cluster created", "RDS-EVENT-0170"),
    ("db cluster deleted", "RDS-EVENT-0171"),
    ("reset master credentials", PASSWORD_RESET),
    ("database cluster engine version has been upgraded", "RDS-EVENT-0173"),
    ("database cluster is in a state that cannot be upgraded", "RDS-EVENT-0174"),
    ("database cluster engine major version has been upgraded", "RDS-EVENT-0176"),
    ("database cluster upgrade is in progress", "RDS-EVENT-0177"),
)
_INSTANCE_MESSAGES = (
    ("db instance shutdown", "RDS-EVENT-0004"),
    ("db instance restarted", "RDS-EVENT-0006"),
    ("db instance created", "RDS-EVENT-0005"),
    ("db instance deleted", "RDS-EVENT-0003"),
    ("applying modification to database instance class", "RDS-EVENT-0012"),
    ("finished applying modification to db instance class", "RDS-EVENT-0014"),
)


@dataclass(frozen=True)
class Member:
    """An instance as its cluster lists it. tier: 0–15, the lowest is promoted first. parameter_status: in-sync, pending-reboot or applying."""

    identifier: str
    writer: bool
    tier: int = 1
    parameter_status: str = ""


@dataclass(frozen=True)
class Serverless:
    """Capacity range of Aurora Serverless v2 in ACUs. pause: idle seconds until it pauses itself, None without (or not told)."""

    minimum: float
    maximum: float
    pause: int | None = None


@dataclass(frozen=True)
class MasterSecret:
    """The secret in Secrets Manager that RDS keeps the master password in. status: creating, active, rotating or impaired."""

    arn: str
    status: str = ""
    kms_key: str = ""


@dataclass(frozen=True)
class Insights:
    """Performance Insights. retention: days."""

    enabled: bool
    retention: int | None = None
    kms_key: str = ""


@dataclass(frozen=True)
class Cluster:
    """A DB cluster. Windows are as AWS writes them (UTC).

    security_groups, zones and log_exports are sorted. members: the writer first, then by name. storage_type: Standard or IOOptimized.
    pending: PendingModifiedValues without what is empty. automatic_restart: when AWS starts the stopped cluster again. progress: percent of a
    restore.
    """

    identifier: str
    arn: str = ""
    resource_id: str = ""
    status: str = ""
    engine: str = ""
    version: str = ""
    engine_mode: str = ""
    endpoint: str = ""
    reader_endpoint: str = ""
    port: int | None = None
    members: tuple[Member, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    database_name: str = ""
    master_username: str = ""
    master_secret: MasterSecret | None = None
    parameter_group: str = ""
    subnet_group: str = ""
    security_groups: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    kms_key: str = ""
    encrypted: bool | None = None
    storage_type: str = STANDARD
    iam_authentication: bool | None = None
    log_exports: tuple[str, ...] = ()
    deletion_protection: bool | None = None
    copy_tags: bool | None = None
    retention_days: int | None = None
    backup_window: str = ""
    maintenance_window: str = ""
    auto_minor_upgrade: bool | None = None
    serverless: Serverless | None = None
    performance_insights: Insights | None = None
    monitoring_interval: int | None = None
    pending: Mapping[str, Any] = field(default_factory=dict)
    automatic_restart: datetime | None = None
    storage_change_allowed: datetime | None = None
    global_cluster: str = ""
    replication_source: str = ""
    earliest_restorable: datetime | None = field(default=None, compare=False)
    latest_restorable: datetime | None = field(default=None, compare=False)
    progress: int | None = field(default=None, compare=False)

    @property
    def writer(self) -> str:
        """The writer's identifier; '' while there is none."""
        return next((m.identifier for m in self.members if m.writer), "")

    def member(self, identifier: str) -> Member | None:
        return next((m for m in self.members if m.identifier == identifier), None)


@dataclass(frozen=True)
class Instance:
    """A DB instance. cluster: '' for one that belongs to none. tier: 0–15. zone: '' until AWS has placed it. parameter_apply_status: in-sync,
    pending-reboot or applying."""

    identifier: str
    arn: str = ""
    resource_id: str = ""
    cluster: str = ""
    status: str = ""
    instance_class: str = ""
    engine: str = ""
    engine_version: str = ""
    zone: str = ""
    tier: int | None = None
    host: str = ""
    port: int | None = None
    parameter_group: str = ""
    parameter_apply_status: str = ""
    publicly_accessible: bool | None = None
    performance_insights: Insights | None = None
    monitoring_interval: int | None = None
    pending: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    monitoring_role: str = ""
    maintenance_window: str = ""
    auto_minor_upgrade: bool | None = None
    copy_tags: bool | None = None
    ca: str = ""
    storage_type: str = ""
    kms_key: str = ""
    encrypted: bool | None = None


@dataclass(frozen=True)
class Event:
    """Something that AWS says happened, kept for 14 days and told at its best effort: a hint, not the truth.

    id: as the Aurora guide numbers it ("RDS-EVENT-0071"), found by its wording; '' for other wordings. source_type: db-cluster, db-instance, ….
    """

    id: str
    time: datetime
    source: str
    source_type: str
    message: str
    categories: tuple[str, ...] = ()

    @property
    def instance(self) -> str:
        """The instance that the message of a failover names; ''."""
        if not self.id.startswith("RDS-EVENT-007"):
            return ""
        return self.message.rpartition(":")[2].strip().rstrip(".") if ":" in self.message else ""


@dataclass(frozen=True)
class Subnet:
    """A subnet of a subnet group. status: Active, or why it is not."""

    identifier: str
    zone: str = ""
    status: str = ""


@dataclass(frozen=True)
class SubnetGroup:
    """A DB subnet group; subnets in order of their ids. tags: as ListTagsForResource tells them, since no answer of a group has them."""

    name: str
    arn: str = ""
    description: str = ""
    vpc: str = ""
    status: str = ""
    subnets: tuple[Subnet, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ParameterGroup:
    """A DB cluster parameter group or a DB parameter group (of instances). tags: see SubnetGroup."""

    name: str
    family: str = ""
    arn: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a group. source: user, system or engine-default. apply_type: static (a reboot is needed) or dynamic."""

    name: str
    value: str | None = None
    source: str = ""
    apply_type: str = ""
    modifiable: bool = True
    allowed: str = ""
    data_type: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A DB cluster snapshot. type: manual, automated or awsbackup. status: creating, available, copying, failed or deleting. size: GiB."""

    identifier: str
    cluster: str = ""
    arn: str = ""
    status: str = ""
    type: str = ""
    created: datetime | None = None
    cluster_resource_id: str = ""
    engine: str = ""
    version: str = ""
    master_username: str = ""
    encrypted: bool | None = None
    kms_key: str = ""
    port: int | None = None
    size: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: int | None = field(default=None, compare=False)


def cluster(answer: Mapping[str, Any]) -> Cluster:
    """A DBCluster (DescribeDBClusters, CreateDBCluster, ModifyDBCluster, …)."""
    groups = (g for g in answer.get("VpcSecurityGroups") or () if g.get("Status") != "removing")
    return Cluster(
        identifier=_text(answer.get("DBClusterIdentifier")),
        arn=_text(answer.get("DBClusterArn")),
        resource_id=_text(answer.get("DbClusterResourceId")),
        status=_text(answer.get("Status")),
        engine=_text(answer.get("Engine")),
        version=_text(answer.get("EngineVersion")),
        engine_mode=_text(answer.get("EngineMode")),
        endpoint=_text(answer.get("Endpoint")),
        reader_endpoint=_text(answer.get("ReaderEndpoint")),
        port=_number(answer.get("Port")),
        members=_members(answer.get("DBClusterMembers") or ()),
        tags=tags(answer),
        created=_moment(answer.get("ClusterCreateTime")),
        database_name=_text(answer.get("DatabaseName")),
        master_username=_text(answer.get("MasterUsername")),
        master_secret=_secret(answer.get("MasterUserSecret") or _NONE),
        parameter_group=_text(answer.get("DBClusterParameterGroup")),
        subnet_group=_text(answer.get("DBSubnetGroup")),
        security_groups=_sorted(g.get("VpcSecurityGroupId") for g in groups),
        zones=_sorted(answer.get("AvailabilityZones") or ()),
        kms_key=_text(answer.get("KmsKeyId")),
        encrypted=_flag(answer.get("StorageEncrypted")),
        storage_type=IO_OPTIMIZED if answer.get("StorageType") == _IO_OPTIMIZED else STANDARD,
        iam_authentication=_flag(answer.get("IAMDatabaseAuthenticationEnabled")),
        log_exports=_sorted(answer.get("EnabledCloudwatchLogsExports") or ()),
        deletion_protection=_flag(answer.get("DeletionProtection")),
        copy_tags=_flag(answer.get("CopyTagsToSnapshot")),
        retention_days=_number(answer.get("BackupRetentionPeriod")),
        backup_window=_text(answer.get("PreferredBackupWindow")),
        maintenance_window=_text(answer.get("PreferredMaintenanceWindow")),
        auto_minor_upgrade=_flag(answer.get("AutoMinorVersionUpgrade")),
        serverless=_serverless(answer.get("ServerlessV2ScalingConfiguration") or _NONE),
        performance_insights=_insights(answer),
        monitoring_interval=_number(answer.get("MonitoringInterval")),
        pending=_pending(answer),
        automatic_restart=_moment(answer.get("AutomaticRestartTime")),
        storage_change_allowed=_moment(answer.get("IOOptimizedNextAllowedModificationTime")),
        global_cluster=_text(answer.get("GlobalClusterIdentifier")),
        replication_source=_text(answer.get("ReplicationSourceIdentifier")),
        earliest_restorable=_moment(answer.get("EarliestRestorableTime")),
        latest_restorable=_moment(answer.get("LatestRestorableTime")),
        progress=_number(answer.get("PercentProgress")),
    )


def instance(answer: Mapping[str, Any]) -> Instance:
    """A DBInstance (DescribeDBInstances, CreateDBInstance, …)."""
    endpoint = answer.get("Endpoint") or _NONE
    group: Mapping[str, Any] = next(iter(answer.get("DBParameterGroups") or ()), _NONE)
    return Instance(
        identifier=_text(answer.get("DBInstanceIdentifier")),
        arn=_text(answer.get("DBInstanceArn")),
        resource_id=_text(answer.get("DbiResourceId")),
        cluster=_text(answer.get("DBClusterIdentifier")),
        status=_text(answer.get("DBInstanceStatus")),
        instance_class=_text(answer.get("DBInstanceClass")),
        engine=_text(answer.get("Engine")),
        engine_version=_text(answer.get("EngineVersion")),
        zone=_text(answer.get("AvailabilityZone")),
        tier=_number(answer.get("PromotionTier")),
        host=_text(endpoint.get("Address")),
        # DbInstancePort is 0 for instances of a cluster; the endpoint tells the port.
        port=_number(endpoint.get("Port")) or _number(answer.get("DbInstancePort")) or None,
        parameter_group=_text(group.get("DBParameterGroupName")),
        parameter_apply_status=_text(group.get("ParameterApplyStatus")),
        publicly_accessible=_flag(answer.get("PubliclyAccessible")),
        performance_insights=_insights(answer),
        monitoring_interval=_number(answer.get("MonitoringInterval")),
        pending=_pending(answer),
        tags=tags(answer),
        created=_moment(answer.get("InstanceCreateTime")),
        maintenance_window=_text(answer.get("PreferredMaintenanceWindow")),
        auto_minor_upgrade=_flag(answer.get("AutoMinorVersionUpgrade")),
        copy_tags=_flag(answer.get("CopyTagsToSnapshot")),
        ca=_text(answer.get("CACertificateIdentifier")),
        monitoring_role=_text(answer.get("MonitoringRoleArn")),
        storage_type=_text(answer.get("StorageType")),
        kms_key=_text(answer.get("KmsKeyId")),
        encrypted=_flag(answer.get("StorageEncrypted")),
    )


def event(answer: Mapping[str, Any]) -> Event | None:
    """An Event of DescribeEvents; None for one without a time or a source, which nothing can be made of."""
    time, source = _moment(answer.get("Date")), _text(answer.get("SourceIdentifier"))
    if time is None or not source:
        return None
    message, kind = _text(answer.get("Message")), _text(answer.get("SourceType"))
    return Event(
        id=event_id(kind, message),
        time=time,
        source=source,
        source_type=kind,
        message=message,
        categories=tuple(str(c) for c in answer.get("EventCategories") or ()),
    )


def event_id(source_type: str, message: str) -> str:
    """The id that the Aurora guide gives to a message; '' when it is none of those that the operator tells apart."""
    messages = {"db-cluster": _CLUSTER_MESSAGES, "db-instance": _INSTANCE_MESSAGES}.get(source_type, ())
    lowered = message.lower()
    return next((number for beginning, number in messages if lowered.startswith(beginning)), "")


def subnet_group(answer: Mapping[str, Any]) -> SubnetGroup:
    """A DBSubnetGroup."""
    subnets = (
        Subnet(
            identifier=_text(s.get("SubnetIdentifier")),
            zone=_text((s.get("SubnetAvailabilityZone") or _NONE).get("Name")),
            status=_text(s.get("SubnetStatus")),
        )
        for s in answer.get("Subnets") or ()
    )
    return SubnetGroup(
        name=_text(answer.get("DBSubnetGroupName")),
        arn=_text(answer.get("DBSubnetGroupArn")),
        description=_text(answer.get("DBSubnetGroupDescription")),
        vpc=_text(answer.get("VpcId")),
        status=_text(answer.get("SubnetGroupStatus")),
        subnets=tuple(sorted(subnets, key=lambda s: s.identifier)),
    )


def parameter_group(answer: Mapping[str, Any]) -> ParameterGroup:
    """A DBClusterParameterGroup or a DBParameterGroup."""
    return ParameterGroup(
        name=_text(answer.get("DBClusterParameterGroupName") or answer.get("DBParameterGroupName")),
        family=_text(answer.get("DBParameterGroupFamily")),
        arn=_text(answer.get("DBClusterParameterGroupArn") or answer.get("DBParameterGroupArn")),
        description=_text(answer.get("Description")),
    )


def parameter(answer: Mapping[str, Any]) -> Parameter:
    """A Parameter of DescribeDBClusterParameters or DescribeDBParameters."""
    value = answer.get("ParameterValue")
    return Parameter(
        name=_text(answer.get("ParameterName")),
        value=None if value is None else str(value),
        source=_text(answer.get("Source")),
        apply_type=_text(answer.get("ApplyType")),
        modifiable=answer.get("IsModifiable") is not False,
        allowed=_text(answer.get("AllowedValues")),
        data_type=_text(answer.get("DataType")),
    )


def snapshot(answer: Mapping[str, Any]) -> Snapshot:
    """A DBClusterSnapshot."""
    return Snapshot(
        identifier=_text(answer.get("DBClusterSnapshotIdentifier")),
        cluster=_text(answer.get("DBClusterIdentifier")),
        arn=_text(answer.get("DBClusterSnapshotArn")),
        status=_text(answer.get("Status")),
        type=_text(answer.get("SnapshotType")),
        created=_moment(answer.get("SnapshotCreateTime")),
        cluster_resource_id=_text(answer.get("DbClusterResourceId")),
        engine=_text(answer.get("Engine")),
        version=_text(answer.get("EngineVersion")),
        master_username=_text(answer.get("MasterUsername")),
        encrypted=_flag(answer.get("StorageEncrypted")),
        kms_key=_text(answer.get("KmsKeyId")),
        port=_number(answer.get("Port")),
        size=_number(answer.get("AllocatedStorage")) or 0,
        tags=tags(answer),
        progress=_number(answer.get("PercentProgress")),
    )


def _members(answer: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    tiers = ((m, _number(m.get("PromotionTier"))) for m in answer)
    members = (
        Member(
            identifier=_text(m.get("DBInstanceIdentifier")),
            writer=bool(m.get("IsClusterWriter")),
            # The API's default for an instance that was made without one.
            tier=1 if tier is None else tier,
            parameter_status=_text(m.get("DBClusterParameterGroupStatus")),
        )
        for m, tier in tiers
    )
    return tuple(sorted(members, key=lambda m: (not m.writer, m.identifier)))


def _secret(answer: Mapping[str, Any]) -> MasterSecret | None:
    arn = _text(answer.get("SecretArn"))
    return MasterSecret(arn, _text(answer.get("SecretStatus")), _text(answer.get("KmsKeyId"))) if arn else None


def _serverless(answer: Mapping[str, Any]) -> Serverless | None:
    low, high = answer.get("MinCapacity"), answer.get("MaxCapacity")
    if low is None or high is None:
        return None
    return Serverless(float(low), float(high), _number(answer.get("SecondsUntilAutoPause")))


def _insights(answer: Mapping[str, Any]) -> Insights | None:
    enabled = _flag(answer.get("PerformanceInsightsEnabled"))
    if enabled is None:
        return None
    retention = _number(answer.get("PerformanceInsightsRetentionPeriod")) if enabled else None
    return Insights(enabled, retention, _text(answer.get("PerformanceInsightsKMSKeyId")) if enabled else "")


def _pending(answer: Mapping[str, Any]) -> dict[str, Any]:
    pending = answer.get("PendingModifiedValues") or _NONE
    return {name: value for name, value in pending.items() if value is not None and value not in ("", [], {})}


def tags(answer: Mapping[str, Any]) -> dict[str, str]:
    """The TagList of a description or of ListTagsForResource."""
    return {str(t["Key"]): _text(t.get("Value")) for t in answer.get("TagList") or () if "Key" in t}


def _sorted(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(v) for v in values if v}))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _moment(value: Any) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) else None
