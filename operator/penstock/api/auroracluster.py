"""AuroraCluster: one Amazon Aurora cluster with its instances, groups and master credentials.

Limits are those of the Amazon RDS API reference and of the Aurora user guide unless a docstring says otherwise.

*Unset means unmanaged*: an absent optional field is left as AWS has it, never read as "none". Off must be said:
`performanceInsights: {enabled: false}`, `logs: []`, `iamAuthentication: false`, `tags: {}`, `parameters: {}`.
What AWS must be told at creation and the spec does not say is Penstock's choice, given by the properties here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from penstock.api import auroracluster_forms as forms
from penstock.api import auroracluster_rules as rules_of
from penstock.api.auroracluster_status import AuroraClusterStatus
from penstock.api.forms import RATE, REGION, TIME, DeletionPolicy, Tags
from penstock.api.hibernation import Hibernation
from penstock.api.kind import AGE, Column, Kind, condition_column
from penstock.api.meta import ObjectMeta
from penstock.api.model import ApiModel, Distinct, Problem, Rule, between, problems
from penstock.api.quantities import Duration, Money, Quantity
from penstock.api.windows import Window, daily, weekly

MAX_READERS: Final = 15
"""Readers that AWS allows in a cluster; with the writer there are 16 instances."""
_LONGEST_STEM: Final = 60


class EngineType(StrEnum):
    """The two engines of Aurora."""

    POSTGRESQL = "AuroraPostgreSQL"
    MYSQL = "AuroraMySQL"


class StorageType(StrEnum):
    """How storage is paid: requests apart (Standard) or included (IOOptimized)."""

    STANDARD = "Standard"
    IO_OPTIMIZED = "IOOptimized"


class Apply(StrEnum):
    """When a change that its users notice is made."""

    IMMEDIATELY = "Immediately"
    IN_WINDOW = "InWindow"


ClusterIdentifier = Annotated[StrictStr, Field(max_length=63), forms.CLUSTER_IDENTIFIER]
InstanceClass = Annotated[StrictStr, Field(max_length=40), forms.NOT_EC2, forms.INSTANCE_CLASS]
Units = Annotated[StrictInt | StrictFloat, forms.ACU, forms.ACU_STEPS]
Ordinal = Annotated[StrictInt, between(1, MAX_READERS + 1, "must be from 1 to 16: 1 is the first instance made")]
GroupName = Annotated[StrictStr, Field(max_length=255), forms.GROUP_NAME]
ParameterValue = Annotated[StrictStr, Field(max_length=2048)]


class Engine(ApiModel):
    """The database engine."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.ENGINE
    type: EngineType
    """AuroraPostgreSQL or AuroraMySQL. Immutable."""
    version: Annotated[StrictStr, Field(max_length=64)] | None = None
    """The version: a major ("15", "8.0") or a minor ("15.10", "8.0.mysql_aurora.3.08.0"). A lower running minor is raised,
    a higher one is left. Absent: AWS's default at creation, and unmanaged afterwards."""

    @property
    def aws_name(self) -> str:
        """The engine as the RDS API calls it."""
        return "aurora-postgresql" if self.type is EngineType.POSTGRESQL else "aurora-mysql"

    @property
    def default_port(self) -> int:
        """The port that AWS takes when none is said."""
        return 5432 if self.type is EngineType.POSTGRESQL else 3306

    @property
    def tls_parameter(self) -> tuple[str, str, str]:
        """The cluster parameter that requires TLS, its value for yes and its value for no."""
        if self.type is EngineType.POSTGRESQL:
            return "rds.force_ssl", "1", "0"
        return "require_secure_transport", "ON", "OFF"


class Serverless(ApiModel):
    """Serverless v2: the range in which AWS scales each instance of class db.serverless."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.SERVERLESS
    min_capacity: Units
    """The fewest Aurora capacity units (ACUs), in halves: 0.5 or more, or 0 to pause."""
    max_capacity: Units
    """The most ACUs, in halves: 1 to 256."""
    auto_pause: Annotated[Duration, forms.AUTO_PAUSE] | None = None
    """How long an instance must be idle before it pauses, 5m to 24h; with minCapacity 0 only."""

    @property
    def seconds_until_auto_pause(self) -> int | None:
        """autoPause as AWS takes it."""
        return int(self.auto_pause.value.total_seconds()) if self.auto_pause else None


class ReaderAutoscaling(ApiModel):
    """Application Auto Scaling adds and removes readers by their processor load."""

    max: Annotated[StrictInt, between(1, MAX_READERS, "must be from 1 to 15 readers, as Aurora allows")]
    """The most readers; the fewest are instances.readers."""
    target_cpu: Annotated[StrictInt, forms.TARGET_CPU] | None = Field(default=None, alias="targetCPU")
    """Percent of processor time that it aims at, 10 to 90; 60 when absent."""

    @property
    def target(self) -> int:
        """The load to aim at, in percent."""
        return self.target_cpu or 60


class Override(ApiModel):
    """What is different with one instance."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.OVERRIDE
    merge_key: ClassVar[str | None] = "ordinal"
    ordinal: Ordinal
    """Which instance: the number at the end of its name, 1 for the first that was made."""
    instance_class: InstanceClass | None = Field(default=None, alias="class")
    """Its class."""
    promotion_tier: Annotated[StrictInt, between(0, 15, "must be from 0 (promoted first) to 15")] | None = None
    """Its place in the order of promotion, 0 to 15."""
    zone: Annotated[StrictStr, Field(max_length=40), forms.ZONE] | None = None
    """Its availability zone. Read only when the instance is made."""


class Instances(ApiModel):
    """The writer and its readers."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.INSTANCES
    instance_class: InstanceClass | None = Field(default=None, alias="class")
    """The class of the instances, for example db.t4g.medium, or db.serverless. Needed unless the cluster is adopted."""
    serverless: Serverless | None = None
    """The range of class db.serverless."""
    readers: Annotated[StrictInt, forms.READERS] | None = None
    """How many readers, 0 to 15. Absent: none are made or removed."""
    reader_autoscaling: ReaderAutoscaling | None = None
    """More readers under load."""
    overrides: Annotated[tuple[Override, ...], Field(max_length=16)] = ()
    """Instances that are different."""

    def override(self, ordinal: int) -> Override:
        """What is different with the instance of that ordinal."""
        return next((o for o in self.overrides if o.ordinal == ordinal), Override(ordinal=ordinal))

    def class_of(self, ordinal: int | None) -> str | None:
        """The class that the instance of that ordinal must have; None when it is not managed."""
        own = self.override(ordinal).instance_class if ordinal is not None else None
        return own or self.instance_class

    def class_of_new(self, ordinal: int | None, writer: str) -> str:
        """The class of an instance that is made. writer: the writer's class, which counts where the spec names none; ''
        without a writer: then the smallest that runs both engines in production."""
        return self.class_of(ordinal) or writer or ("db.serverless" if self.serverless else "db.t4g.medium")


class Network(ApiModel):
    """Where the cluster is, and who reaches it."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.NETWORK
    subnet_ids: (
        Annotated[
            tuple[Annotated[StrictStr, Field(max_length=48), forms.SUBNET], ...],
            Field(max_length=20),
            Distinct(),
            forms.SUBNETS,
        ]
        | None
    ) = None
    """Subnets of one VPC in two or more zones; Penstock makes a subnet group of them."""
    subnet_group: Annotated[StrictStr, Field(max_length=255), forms.SUBNET_GROUP] | None = None
    """An existing subnet group. Neither this nor subnetIds: the group "default". Immutable."""
    security_group_ids: (
        Annotated[
            tuple[Annotated[StrictStr, Field(max_length=48), forms.SECURITY_GROUP], ...],
            Field(max_length=16),
            Distinct(),
            forms.SECURITY_GROUPS,
        ]
        | None
    ) = None
    """Security groups. Absent: the VPC's own at creation."""
    port: Annotated[StrictInt, forms.PORT] | None = None
    """The port, 1150 to 65535; AWS's default is 5432 for PostgreSQL and 3306 for MySQL."""
    publicly_accessible: StrictBool | None = None
    """Whether the instances have public addresses."""


class SecretKeyRef(ApiModel):
    """A key of a Secret in the same namespace."""

    name: Annotated[StrictStr, Field(max_length=253), forms.OBJECT_NAME]
    """The Secret's name."""
    key: Annotated[StrictStr, Field(max_length=253), forms.SECRET_KEY] = "password"
    """The key that holds the password."""


class Credentials(ApiModel):
    """The master user."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.CREDENTIALS
    master_username: Annotated[StrictStr, Field(max_length=63), forms.USERNAME] | None = None
    """The master user's name; "postgres" or, of MySQL, "admin" when absent. Immutable."""
    managed: StrictBool | None = None
    """Whether AWS makes, keeps and rotates the password in Secrets Manager. Absent: true at creation unless
    passwordSecretRef is there."""
    password_secret_ref: SecretKeyRef | None = None
    """The Secret with the password. It is watched: another content is a rotation."""
    password: Annotated[StrictStr, Field(max_length=128)] | None = Field(default=None, repr=False)
    """Always refused: a password does not belong in a manifest. Use passwordSecretRef."""
    iam_authentication: StrictBool | None = None
    """Whether users may log in with IAM tokens."""


class Encryption(ApiModel):
    """The key that encrypts storage, which is always encrypted."""

    kms_key: Annotated[StrictStr, Field(max_length=400), forms.KMS_KEY] | None = None
    """A KMS alias, key id or ARN. Absent: the key alias/aws/rds. Immutable."""
    encrypted: Annotated[StrictBool, forms.ENCRYPTED] | None = None
    """Nothing but true: storage is always encrypted."""


class Storage(ApiModel):
    """The cluster's volume."""

    type: StorageType
    """Standard (requests are paid apart) or IOOptimized (they are included). AWS allows a change to IOOptimized once in
    30 days."""


class Backup(ApiModel):
    """Automated backups, which Aurora always makes."""

    retention_days: Annotated[StrictInt, forms.RETENTION] | None = None
    """How far back a restore is possible, 1 to 35 days."""
    window: Annotated[StrictStr, Field(max_length=32), forms.BACKUP_WINDOW, forms.BACKUP_WINDOW_LENGTH] | None = None
    """The daily window in UTC, 30 minutes or more: "03:00-04:00"."""

    @property
    def daily(self) -> Window | None:
        """The window's meaning."""
        return daily(self.window) if self.window else None


class Maintenance(ApiModel):
    """When AWS and Penstock may disturb the database."""

    window: (
        Annotated[StrictStr, Field(max_length=32), forms.MAINTENANCE_WINDOW, forms.MAINTENANCE_WINDOW_LENGTH] | None
    ) = None
    """The weekly window in UTC, 30 minutes or more: "sun:05:00-sun:06:00"."""
    apply: Apply | None = None
    """When a change is made that restarts or fails over: Immediately or InWindow; InWindow when absent."""

    @property
    def weekly(self) -> Window | None:
        """The window's meaning."""
        return weekly(self.window) if self.window else None


class ParameterGroups(ApiModel):
    """Parameter groups that somebody else keeps."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.PARAMETER_GROUPS
    cluster: GroupName | None = None
    """An existing cluster parameter group."""
    instance: GroupName | None = None
    """An existing parameter group of instances."""


class PerformanceInsights(ApiModel):
    """Performance Insights."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.PERFORMANCE_INSIGHTS
    enabled: StrictBool = True
    """False turns it off."""
    retention_days: Annotated[StrictInt, forms.INSIGHTS_RETENTION] | None = None
    """How long its data is kept: 7 days, a multiple of 31 up to 713, or 731."""


class RestoreFrom(ApiModel):
    """Where the cluster's first data comes from. Read only when the cluster is made."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.RESTORE
    snapshot_identifier: Annotated[StrictStr, Field(max_length=400), forms.SNAPSHOT] | None = None
    """The identifier or ARN of a cluster snapshot."""
    cluster_identifier: ClusterIdentifier | None = None
    """The identifier in AWS of a cluster in the same account and region."""
    time: Annotated[StrictStr, Field(max_length=40), TIME] | None = None
    """The moment to restore, RFC 3339. Absent: the latest that AWS can restore."""


class Probe(ApiModel):
    """A connection that Penstock keeps to the database, to know whether it serves."""

    enabled: StrictBool = True
    """False turns it off."""
    interval: Annotated[Duration, forms.PROBE_INTERVAL] | None = None
    """How often it asks, 100ms to 1m; 1s when absent."""


class Objectives(ApiModel):
    """What the cluster must achieve, as its users see it."""

    availability: Annotated[StrictStr, Field(max_length=16), forms.AVAILABILITY] | None = None
    """Percent of the time in which a write succeeds: "99.99"."""
    failover: Duration | None = None
    """The longest time without a writer at a failover."""
    replica_lag: Duration | None = None
    """The most that a reader may be behind."""
    connect: Duration | None = None
    """A connection is made within this time."""
    query_p95: Duration | None = Field(default=None, alias="queryP95")
    """95 % of the queries are answered within this time."""
    recovery_point: Duration | None = None
    """The most that a restore may lose."""


class ExpectedUsage(ApiModel):
    """What the cluster is expected to carry, for the estimate before there is any traffic."""

    storage: Quantity | None = None
    """The size of the volume, in bytes ("100Gi")."""
    io_per_second: Annotated[StrictInt | StrictFloat, RATE] | None = None
    """Requests a second to the volume, on average over the month."""
    average_capacity: Annotated[StrictInt | StrictFloat, forms.ACU] | None = None
    """Aurora capacity units of a serverless instance, on average over the month."""
    backups: Quantity | None = None
    """The size of automated backups and snapshots together, in bytes ("300Gi"); as much as the volume is free."""


class Cost(ApiModel):
    """Money."""

    monthly_budget: Money | None = None
    """The most that the cluster should cost a month, in US dollars ("80")."""
    expected_usage: ExpectedUsage | None = None
    """What the estimate is made of."""


class AuroraClusterSpec(ApiModel):
    """The cluster as it must be. An absent optional field is left as AWS has it."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.SPEC

    region: Annotated[StrictStr, Field(max_length=32), REGION] | None = None
    """The AWS region; the operator's own when absent. Immutable."""
    cluster_identifier: ClusterIdentifier | None = None
    """The cluster's identifier in AWS; namespace-name when absent. New instances are called <clusterIdentifier>-<ordinal>;
    of an identifier of 61 to 63 characters the last ones give way to a checksum. Change it to follow a rename in AWS: the
    cluster itself is known by AWS's id, and Penstock renames nothing."""
    adopt: StrictBool = False
    """Take over an existing cluster of that identifier. Without it, a cluster that is not ours is never touched."""
    deletion_policy: DeletionPolicy = DeletionPolicy.SNAPSHOT
    """What deleting this object does to the cluster: Snapshot (a final snapshot, then delete), Retain (leave it), Delete
    (no snapshot)."""
    deletion_protection: StrictBool | None = None
    """AWS refuses to delete the cluster while true."""
    engine: Engine
    """The database engine."""
    allow_major_upgrade: StrictBool = False
    """Whether a major version upgrade may be planned; it still needs consent to the plan."""
    instances: Instances
    """The writer and its readers."""
    network: Network | None = None
    """Where the cluster is, and who reaches it."""
    credentials: Credentials | None = None
    """The master user. Absent: at creation AWS manages the password of the usual user."""
    encryption: Encryption | None = None
    """The key that encrypts storage, which is always encrypted."""
    require_tls: StrictBool | None = Field(default=None, alias="requireTLS")
    """Whether connections without TLS are refused. Absent: true, except that an adopted cluster, and one whose cluster
    parameter group somebody else keeps, is left as it is."""
    storage: Storage | None = None
    """The cluster's volume."""
    backup: Backup | None = None
    """Automated backups."""
    maintenance: Maintenance | None = None
    """When AWS and Penstock may disturb the database."""
    parameters: Annotated[dict[StrictStr, ParameterValue], Field(max_length=100), *forms.PARAMETERS] | None = None
    """Engine parameters, of the cluster and of its instances in one map; Penstock puts each where AWS has it. A parameter
    that is taken out of the spec goes back to its default."""
    parameter_groups: ParameterGroups | None = None
    """Parameter groups that somebody else keeps, instead of parameters."""
    logs: Annotated[tuple[Annotated[StrictStr, Field(max_length=32)], ...], Field(max_length=8), Distinct()] | None = (
        None
    )
    """Logs that go to CloudWatch: postgresql for AuroraPostgreSQL; audit, error, general and slowquery for AuroraMySQL;
    instance and iam-db-auth-error for both."""
    performance_insights: PerformanceInsights | None = None
    """Performance Insights."""
    database_name: Annotated[StrictStr, Field(max_length=64), forms.DATABASE_NAME] | None = None
    """The database that is made with the cluster. Immutable."""
    tags: Annotated[Tags, forms.NO_RDS_TAGS] | None = None
    """AWS tags of the cluster and its instances, at most 48 (of AWS's 50, two are Penstock's). Absent: left alone. A tag
    that is taken out of the spec goes; one that somebody else put there stays."""
    restore_from: RestoreFrom | None = None
    """Make the cluster from a snapshot or from another cluster's past. May be removed afterwards, never added or changed."""
    stopped: StrictBool | None = None
    """True stops the cluster and keeps it stopped, although AWS starts it after seven days; false starts it."""
    probe: Probe | None = None
    """A connection that Penstock keeps to the database, to know whether it serves."""
    objectives: Objectives | None = None
    """What the cluster must achieve."""
    cost: Cost | None = None
    """Budget and expected usage."""
    hibernation: Hibernation | None = None
    """The cluster is stopped and started by the clock."""

    @property
    def requires_tls(self) -> bool | None:
        """Whether TLS must be required; None when that is not managed."""
        if self.require_tls is not None:
            return self.require_tls
        kept_elsewhere = self.parameter_groups is not None and self.parameter_groups.cluster is not None
        return None if self.adopt or kept_elsewhere else True

    @property
    def master_username(self) -> str:
        """The master user of a new cluster."""
        if self.credentials and self.credentials.master_username:
            return self.credentials.master_username
        return "postgres" if self.engine.type is EngineType.POSTGRESQL else "admin"

    @property
    def manages_password(self) -> bool | None:
        """Whether AWS must manage the master password; None when that is left as it is."""
        if self.credentials and self.credentials.password_secret_ref:
            return False
        if self.credentials and self.credentials.managed is not None:
            return self.credentials.managed
        return None if self.adopt or self.restore_from else True

    @property
    def password_secret(self) -> SecretKeyRef | None:
        """The Secret with the master password."""
        return self.credentials.password_secret_ref if self.credentials else None

    @property
    def apply(self) -> Apply:
        """When a change is made that its users notice."""
        return (self.maintenance.apply if self.maintenance else None) or Apply.IN_WINDOW

    @property
    def storage_type(self) -> str | None:
        """The storage type as AWS writes it; None when it is not managed."""
        if self.storage is None:
            return None
        return "aurora" if self.storage.type is StorageType.STANDARD else "aurora-iopt1"

    @property
    def instance_count(self) -> int | None:
        """Writer and readers that must be there; None when the readers are not managed."""
        return None if self.instances.readers is None else self.instances.readers + 1

    def classes(self) -> Iterator[str]:
        """Every class that is named."""
        if self.instances.instance_class:
            yield self.instances.instance_class
        yield from (o.instance_class for o in self.instances.overrides if o.instance_class)


class AuroraCluster(ApiModel):
    """An Amazon Aurora cluster."""

    rules: ClassVar[tuple[Rule, ...]] = rules_of.CLUSTER
    api_version: Literal["penstock.dev/v1alpha1"] = "penstock.dev/v1alpha1"
    kind: Literal["AuroraCluster"] = "AuroraCluster"
    metadata: ObjectMeta
    spec: AuroraClusterSpec
    status: AuroraClusterStatus = Field(default_factory=AuroraClusterStatus)

    @property
    def cluster_identifier(self) -> str:
        """The cluster's identifier in AWS."""
        return self.spec.cluster_identifier or f"{self.metadata.namespace or 'default'}-{self.metadata.name}"

    def instance_identifier(self, ordinal: int) -> str:
        """The identifier of the instance of that ordinal."""
        return instance_identifier(self.cluster_identifier, ordinal)

    def with_status(self, status: AuroraClusterStatus) -> Self:
        """The same cluster with another status."""
        return self.model_copy(update={"status": status})


def instance_identifier(cluster_identifier: str, ordinal: int) -> str:
    """The identifier of the instance of that ordinal, 1 for the first that is made."""
    return f"{_stem(cluster_identifier)}-{ordinal}"


def _stem(cluster_identifier: str) -> str:
    """What the names of the instances begin with: RDS allows 63 characters, of which "-16" needs three."""
    if len(cluster_identifier) <= _LONGEST_STEM:
        return cluster_identifier
    digest = hashlib.sha256(cluster_identifier.encode()).hexdigest()[:8]
    return f"{cluster_identifier[: _LONGEST_STEM - 9].rstrip('-')}-{digest}"


def ordinal_of(cluster_identifier: str, instance: str) -> int | None:
    """The ordinal in an instance's identifier; None when somebody else named it."""
    head, _, number = instance.rpartition("-")
    if head != _stem(cluster_identifier) or not (number.isascii() and number.isdigit()) or number.startswith("0"):
        return None
    return int(number)


KIND: Final = Kind(
    model=AuroraCluster,
    plural="auroraclusters",
    short_names=("aurora",),
    columns=(
        condition_column("Ready", "Ready", "status", "Whether the cluster serves requests as the spec asks."),
        condition_column("Reason", "Ready", "reason", "Why, in a word from a closed list."),
        Column("Writer", ".status.writer", "The instance that takes writes now."),
        Column("Readers", ".status.readersReady", "Readers that serve, of those that are wanted."),
        Column("Lag", ".status.lag", "How far the slowest reader is behind."),
        Column("Class", ".spec.instances.class", "The class of the instances that the spec asks for."),
        Column(
            "Cost/mo",
            ".status.cost.monthlyEstimate",
            "What the cluster as declared costs a month, in US dollars.",
        ),
        Column(
            "Saving/mo",
            ".status.advice.saving",
            "What the cheapest shape that keeps the objectives would save.",
            priority=1,
        ),
        Column("Engine", ".spec.engine.type", "The engine.", priority=1),
        Column("Version", ".status.engineVersion", "The engine version that runs.", priority=1),
        Column("State", ".status.state", "AWS's word for what the cluster is doing.", priority=1),
        condition_column("Message", "Ready", "message", "Why, in one sentence.", priority=1),
        AGE,
    ),
)


def validate_cluster(spec: AuroraClusterSpec) -> list[Problem]:
    """Every rule that a spec breaks, with paths from `spec`; empty when it is good."""
    return list(problems(spec, "spec"))
