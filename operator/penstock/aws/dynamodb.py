"""DynamoDB's answers as small frozen records. Field meanings are those of the DynamoDB API reference, TableDescription and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ON_DEMAND = "PAY_PER_REQUEST"
PROVISIONED = "PROVISIONED"


@dataclass(frozen=True)
class KeySchema:
    """Names of the partition and of the sort attributes, each in AWS's order. A global index may have up to four of each."""

    partition: tuple[str, ...]
    sort: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.partition, *self.sort)

    @property
    def several(self) -> bool:
        """Whether a part of the key has several attributes, which Penstock does not support yet."""
        return len(self.partition) > 1 or len(self.sort) > 1


@dataclass(frozen=True)
class Units:
    """Read and write units; -1 or 0 where AWS has no figure."""

    read: int = 0
    write: int = 0


@dataclass(frozen=True)
class Index:
    """A secondary index. status: CREATING, UPDATING, DELETING or ACTIVE. attributes: of projection INCLUDE."""

    name: str
    key: KeySchema
    projection: str
    attributes: frozenset[str] = frozenset()
    status: str = "ACTIVE"
    backfilling: bool = False
    units: Units = Units()
    caps: Units = Units(-1, -1)
    warm: Units = Units()
    items: int = 0
    size: int = 0


@dataclass(frozen=True)
class Table:
    """A table. size: bytes.

    sse_key: ARN of the KMS key, '' for the key that AWS owns.
    restored_from: ARN of the backup or table, '' when made empty.
    """

    name: str
    arn: str
    id: str
    status: str
    created_at: datetime | None
    key: KeySchema
    types: Mapping[str, str]
    billing: str
    units: Units = Units()
    caps: Units = Units(-1, -1)
    warm: Units = Units()
    decreases_today: int = 0
    indexes: tuple[Index, ...] = ()
    local_indexes: tuple[Index, ...] = ()
    stream_view: str = ""
    stream_arn: str = ""
    sse_type: str = ""
    sse_key: str = ""
    sse_status: str = ""
    table_class: str = "STANDARD"
    protected: bool = False
    items: int = 0
    size: int = 0
    on_demand_since: datetime | None = None
    restored_from: str = ""
    restoring: bool = False

    def index(self, name: str) -> Index | None:
        return next((i for i in self.indexes if i.name == name), None)


@dataclass(frozen=True)
class TimeToLive:
    """status: ENABLING, ENABLED, DISABLING or DISABLED. attribute: '' when AWS does not tell it."""

    status: str
    attribute: str = ""


@dataclass(frozen=True)
class ContinuousBackups:
    """Point-in-time recovery. days: 0 when AWS does not tell it."""

    enabled: bool
    days: int = 0
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True)
class Backup:
    """An on-demand backup. status: CREATING, AVAILABLE or DELETED."""

    arn: str
    name: str
    status: str
    created_at: datetime | None = None


@dataclass(frozen=True)
class ScalingPolicy:
    """A scaling policy. metric: the predefined metric that it tracks, or empty. tracking: its configuration as AWS tells it."""

    name: str
    metric: str = ""
    tracking: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> float:
        """Percent."""
        return float(self.tracking.get("TargetValue") or 0)


@dataclass(frozen=True)
class ScalingTarget:
    """A scalable target of Application Auto Scaling, with all its policies and the names of its scheduled actions."""

    resource: str
    dimension: str
    minimum: int
    maximum: int
    policies: tuple[ScalingPolicy, ...] = ()
    scheduled: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.resource, self.dimension

    @property
    def metric(self) -> str:
        """The predefined metric of the dimension's utilisation."""
        return utilisation(self.dimension)

    @property
    def tracking(self) -> ScalingPolicy | None:
        """The policy that tracks the utilisation. AWS allows one of a metric; of more, the first by name."""
        return min((p for p in self.policies if p.metric == self.metric), key=lambda p: p.name, default=None)

    @property
    def others(self) -> tuple[str, ...]:
        """What moves the capacity beside that policy: other policies, and scheduled actions."""
        policies = [f"scaling policy {p.name}" for p in self.policies if p is not self.tracking]
        return (*sorted(policies), *(f"scheduled action {name}" for name in sorted(self.scheduled)))


def utilisation(dimension: str) -> str:
    """The predefined metric that a target-tracking policy of the dimension follows."""
    return f"DynamoDB{'Read' if 'Read' in dimension else 'Write'}CapacityUtilization"


@dataclass(frozen=True)
class KmsKey:
    """A customer key as DescribeKey tells it. state: Enabled, Disabled, PendingDeletion, …, or Missing."""

    name: str
    arn: str
    state: str


@dataclass(frozen=True)
class Insights:
    """Which resources Contributor Insights watches: '' is the table, else an index's name; the value is AWS's status."""

    statuses: Mapping[str, str] = field(default_factory=dict)


def table(description: Mapping[str, Any]) -> Table:
    """A TableDescription (DescribeTable, CreateTable, UpdateTable, DeleteTable, Restore…)."""
    billing = description.get("BillingModeSummary") or {}
    throughput = description.get("ProvisionedThroughput") or {}
    units = _units(throughput)
    # Only tables that were on demand once have the summary.
    mode = billing.get("BillingMode") or (PROVISIONED if units.read or units.write else ON_DEMAND)
    stream = description.get("StreamSpecification") or {}
    sse = description.get("SSEDescription") or {}
    restore = description.get("RestoreSummary") or {}
    on_stream = bool(stream.get("StreamEnabled"))
    # AWS names no key for the one that it owns, and drops the description once SSE by KMS is off.
    by_kms = sse.get("SSEType") == "KMS" and sse.get("Status") in ("ENABLING", "ENABLED", "UPDATING")
    return Table(
        name=str(description["TableName"]),
        arn=str(description.get("TableArn", "")),
        id=str(description.get("TableId", "")),
        status=str(description.get("TableStatus", "ACTIVE")),
        created_at=_moment(description.get("CreationDateTime")),
        key=_key(description.get("KeySchema") or ()),
        types={a["AttributeName"]: a["AttributeType"] for a in description.get("AttributeDefinitions") or ()},
        billing=mode,
        units=units,
        caps=_caps(description),
        warm=_warm(description),
        decreases_today=int(throughput.get("NumberOfDecreasesToday") or 0),
        indexes=tuple(_index(i) for i in description.get("GlobalSecondaryIndexes") or ()),
        local_indexes=tuple(_index(i) for i in description.get("LocalSecondaryIndexes") or ()),
        stream_view=str(stream.get("StreamViewType") or "") if on_stream else "",
        stream_arn=str(description.get("LatestStreamArn") or "") if on_stream else "",
        sse_type="KMS" if by_kms else "",
        sse_key=str(sse.get("KMSMasterKeyArn") or "") if by_kms else "",
        sse_status=str(sse.get("Status") or ""),
        table_class=str((description.get("TableClassSummary") or {}).get("TableClass") or "STANDARD"),
        protected=bool(description.get("DeletionProtectionEnabled")),
        items=int(description.get("ItemCount") or 0),
        size=int(description.get("TableSizeBytes") or 0),
        on_demand_since=_moment(billing.get("LastUpdateToPayPerRequestDateTime")),
        restored_from=str(restore.get("SourceBackupArn") or restore.get("SourceTableArn") or ""),
        restoring=bool(restore.get("RestoreInProgress")),
    )


def time_to_live(description: Mapping[str, Any]) -> TimeToLive:
    """A TimeToLiveDescription."""
    return TimeToLive(str(description.get("TimeToLiveStatus", "DISABLED")), str(description.get("AttributeName") or ""))


def continuous_backups(description: Mapping[str, Any]) -> ContinuousBackups:
    """A ContinuousBackupsDescription."""
    recovery = description.get("PointInTimeRecoveryDescription") or {}
    return ContinuousBackups(
        enabled=recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
        days=int(recovery.get("RecoveryPeriodInDays") or 0),
        earliest=_moment(recovery.get("EarliestRestorableDateTime")),
        latest=_moment(recovery.get("LatestRestorableDateTime")),
    )


def scaling_targets(
    targets: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]], scheduled: Sequence[Mapping[str, Any]]
) -> tuple[ScalingTarget, ...]:
    """ScalableTargets with the ScalingPolicies and ScheduledActions of the same resources."""

    def of(entries: Sequence[Mapping[str, Any]], target: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        key = target["ResourceId"], target["ScalableDimension"]
        return [e for e in entries if (e.get("ResourceId"), e.get("ScalableDimension")) == key]

    return tuple(
        ScalingTarget(
            str(target["ResourceId"]),
            str(target["ScalableDimension"]),
            int(target["MinCapacity"]),
            int(target["MaxCapacity"]),
            tuple(_scaling_policy(p) for p in of(policies, target)),
            tuple(str(s["ScheduledActionName"]) for s in of(scheduled, target)),
        )
        for target in targets
    )


def _scaling_policy(description: Mapping[str, Any]) -> ScalingPolicy:
    tracking = description.get("TargetTrackingScalingPolicyConfiguration") or {}
    metric = (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    return ScalingPolicy(str(description["PolicyName"]), str(metric or ""), tracking)


def backup(details: Mapping[str, Any]) -> Backup:
    """BackupDetails or a BackupSummary."""
    return Backup(
        arn=str(details["BackupArn"]),
        name=str(details["BackupName"]),
        status=str(details.get("BackupStatus", "")),
        created_at=_moment(details.get("BackupCreationDateTime")),
    )


def _index(description: Mapping[str, Any]) -> Index:
    projection = description.get("Projection") or {}
    return Index(
        name=str(description["IndexName"]),
        key=_key(description.get("KeySchema") or ()),
        projection=str(projection.get("ProjectionType", "ALL")),
        attributes=frozenset(projection.get("NonKeyAttributes") or ()),
        status=str(description.get("IndexStatus", "ACTIVE")),
        backfilling=bool(description.get("Backfilling")),
        units=_units(description.get("ProvisionedThroughput") or {}),
        caps=_caps(description),
        warm=_warm(description),
        items=int(description.get("ItemCount") or 0),
        size=int(description.get("IndexSizeBytes") or 0),
    )


def _key(schema: Any) -> KeySchema:
    def named(role: str) -> tuple[str, ...]:
        return tuple(entry["AttributeName"] for entry in schema if entry["KeyType"] == role)

    return KeySchema(named("HASH"), named("RANGE"))


def _units(throughput: Mapping[str, Any]) -> Units:
    return Units(int(throughput.get("ReadCapacityUnits") or 0), int(throughput.get("WriteCapacityUnits") or 0))


def _caps(description: Mapping[str, Any]) -> Units:
    caps = description.get("OnDemandThroughput") or {}
    return Units(int(caps.get("MaxReadRequestUnits") or -1), int(caps.get("MaxWriteRequestUnits") or -1))


def _warm(description: Mapping[str, Any]) -> Units:
    warm = description.get("WarmThroughput") or {}
    return Units(int(warm.get("ReadUnitsPerSecond") or 0), int(warm.get("WriteUnitsPerSecond") or 0))


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int | float) and value > 0:
        return datetime.fromtimestamp(value, UTC)
    return None
