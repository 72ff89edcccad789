"""DynamoTable: one Amazon DynamoDB table, its indexes and everything around it.

Limits are those of the DynamoDB API reference and of "Quotas in Amazon DynamoDB" unless a docstring says otherwise.

*Unset means unmanaged*: an absent optional field is left as AWS has it, never read as "none". Off must be said:
`ttl: {attribute: x, enabled: false}`, `stream: {enabled: false}`, `contributorInsights: false`, `maxReadUnits: -1`,
`encryption: {}` (the AWS owned key), `tags: {}`, `globalIndexes: []`, `resourcePolicy: {}` (none).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from penstock.api import dynamotable_rules, hibernation
from penstock.api.dynamotable_status import DynamoTableStatus
from penstock.api.forms import RATE, REGION, SHARE, TIME, DeletionPolicy, Tags
from penstock.api.kind import AGE, Column, Kind, condition_column
from penstock.api.meta import ObjectMeta
from penstock.api.model import ApiModel, Distinct, Problem, Rule, Says, between, problems
from penstock.api.quantities import Duration, Money, Quantity


class AttributeType(StrEnum):
    """The three types that a key attribute may have."""

    STRING = "String"
    NUMBER = "Number"
    BINARY = "Binary"


class CapacityMode(StrEnum):
    """How throughput is paid: for each request, or reserved (BillingMode)."""

    ON_DEMAND = "OnDemand"
    PROVISIONED = "Provisioned"


class ProjectionType(StrEnum):
    """What an index copies of each item."""

    ALL = "All"
    KEYS_ONLY = "KeysOnly"
    INCLUDE = "Include"


class StreamView(StrEnum):
    """What a stream record holds of the changed item."""

    KEYS_ONLY = "KeysOnly"
    NEW_IMAGE = "NewImage"
    OLD_IMAGE = "OldImage"
    NEW_AND_OLD_IMAGES = "NewAndOldImages"


class TableClass(StrEnum):
    """The price class of the table's storage."""

    STANDARD = "Standard"
    STANDARD_INFREQUENT_ACCESS = "StandardInfrequentAccess"


DEFAULT_TARGET: Final = 70
"""Percent of the units in use that autoscaling aims at where the spec does not say: what the AWS console proposes."""

ResourceName = Annotated[StrictStr, Field(max_length=255), dynamotable_rules.NAME]
AttributeName = Annotated[StrictStr, Field(max_length=255), Says("self != ''", bool, "must not be empty")]
Units = Annotated[StrictInt, dynamotable_rules.UNITS]
Cap = Annotated[StrictInt, dynamotable_rules.CAP]


class KeyAttribute(ApiModel):
    """An attribute that is part of a key."""

    name: AttributeName
    """The attribute's name, 1 to 255 characters."""
    type: AttributeType
    """String, Number or Binary. One attribute has one type in all keys of a table and its indexes."""


class TableKey(ApiModel):
    """The primary key of the table."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.KEY
    partition: KeyAttribute
    """The partition (hash) key."""
    sort: KeyAttribute | None = None
    """The sort (range) key."""


class Throughput(ApiModel):
    """Provisioned units in one direction; with `min` and `max`, Application Auto Scaling moves them between the two."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.THROUGHPUT
    units: Units | None = None
    """Capacity units. With autoscaling: where it starts (default: min); afterwards autoscaling decides."""
    min: Units | None = None
    """The fewest units that autoscaling may set."""
    max: Units | None = None
    """The most units that autoscaling may set."""
    target_utilization: (
        Annotated[StrictInt, between(20, 90, "must be from 20 to 90 percent, as Application Auto Scaling allows")]
        | None
    ) = None
    """Percent of the units in use that autoscaling aims at, 20 to 90. Absent: 70, except that an adopted table's policy
    keeps its own."""

    @property
    def autoscaled(self) -> bool:
        """Whether Application Auto Scaling owns the number of units."""
        return self.min is not None and self.max is not None

    @property
    def initial_units(self) -> int:
        """The units at creation."""
        return self.units or self.min or 1

    @property
    def target(self) -> int:
        """The utilisation to aim at, in percent."""
        return self.target_utilization or DEFAULT_TARGET

    def floor(self, units: int | None) -> int:
        """The units that hibernation leaves. units: what it says itself. Never more than there are outside of it."""
        if units is not None:
            return min(units, self.max or self.units or units)
        return self.min if self.autoscaled and self.min is not None else 1


class IndexCapacity(ApiModel):
    """Throughput of a global index, in the table's capacity mode: read and write when provisioned, caps on demand."""

    read: Throughput | None = None
    """Read units, of a table with capacity mode Provisioned."""
    write: Throughput | None = None
    """Write units, of a table with capacity mode Provisioned."""
    max_read_units: Cap | None = None
    """The most read request units a second, of a table with capacity mode OnDemand; -1 removes the cap."""
    max_write_units: Cap | None = None
    """The most write request units a second, of a table with capacity mode OnDemand; -1 removes the cap."""

    @property
    def has_units(self) -> bool:
        """Whether provisioned units are named."""
        return self.read is not None or self.write is not None

    @property
    def has_caps(self) -> bool:
        """Whether on-demand caps are named."""
        return self.max_read_units is not None or self.max_write_units is not None


class Capacity(IndexCapacity):
    """The table's capacity mode and its throughput."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.CAPACITY
    mode: CapacityMode
    """OnDemand (pay for each request) or Provisioned (pay for reserved units)."""


class Projection(ApiModel):
    """Which attributes an index copies."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.PROJECTION
    type: ProjectionType
    """All, KeysOnly, or Include (the keys and the named attributes)."""
    attributes: Annotated[tuple[AttributeName, ...], Field(max_length=20), Distinct()] = ()
    """The attributes of type Include: at most 20 an index and 100 over all indexes of the table."""


class WarmThroughput(ApiModel):
    """What the table or index must be able to serve at once. AWS never lowers it."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.WARM_THROUGHPUT
    read_units: Units | None = None
    """Read units a second."""
    write_units: Units | None = None
    """Write units a second."""


class GlobalIndex(ApiModel):
    """A global secondary index."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.KEY
    merge_key: ClassVar[str | None] = "name"
    name: ResourceName
    """The index's name, 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'."""
    partition: KeyAttribute
    """The partition (hash) key of the index."""
    sort: KeyAttribute | None = None
    """The sort (range) key of the index."""
    projection: Projection
    """Which attributes the index copies. A change replaces the index, after consent."""
    capacity: IndexCapacity | None = None
    """Throughput of the index: needed when the table's capacity mode is Provisioned."""
    warm_throughput: WarmThroughput | None = None
    """What the index must be able to serve at once."""
    contributor_insights: StrictBool | None = None
    """Whether CloudWatch Contributor Insights watches the index."""


class LocalIndex(ApiModel):
    """A local secondary index: the table's partition key with another sort key. Only at creation of the table."""

    merge_key: ClassVar[str | None] = "name"
    name: ResourceName
    """The index's name, 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'."""
    sort: KeyAttribute
    """The sort (range) key of the index."""
    projection: Projection
    """Which attributes the index copies."""


class TimeToLive(ApiModel):
    """Expiry of items. AWS allows one change an hour."""

    attribute: AttributeName
    """The attribute with the expiry time, a Number in seconds of the Unix epoch."""
    enabled: StrictBool = True
    """False turns expiry off."""


class Stream(ApiModel):
    """The stream of changes."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.STREAM
    view: StreamView | None = None
    """What a record holds. Changing it makes a new stream with a new ARN."""
    enabled: StrictBool = True
    """False turns the stream off."""


class PointInTimeRecovery(ApiModel):
    """Continuous backups."""

    enabled: StrictBool = True
    """False turns continuous backups off, and their history is gone at once."""
    days: Annotated[StrictInt, between(1, 35, "must be from 1 to 35 days")] | None = None
    """How far back a restore is possible, 1 to 35 days; AWS starts with 35."""


class Encryption(ApiModel):
    """The key that encrypts the table at rest."""

    kms_key: Annotated[StrictStr, Field(max_length=400), dynamotable_rules.KMS_KEY] | None = None
    """A KMS alias, key id or ARN; `alias/aws/dynamodb` is the AWS managed key. Absent: the key that AWS owns."""


class PolicyDocument(ApiModel):
    """A resource-based policy, as AWS writes it. An empty document means that the table must have no policy."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.POLICY
    version: Literal["2012-10-17", "2008-10-17"] | None = Field(default=None, alias="Version")
    """The version of the policy language."""
    id: Annotated[StrictStr, Field(max_length=128)] | None = Field(default=None, alias="Id")
    """A name for the policy."""
    statement: Annotated[tuple[dict[str, Any], ...], Field(max_length=100)] | None = Field(
        default=None, alias="Statement"
    )
    """The statements, each as in the IAM policy reference."""

    @property
    def document(self) -> dict[str, Any] | None:
        """The document to put on the table; None when there must be none."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True) if self.statement else None


class RestoreFrom(ApiModel):
    """Where the table's first items come from. Read only when the table is made."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.RESTORE
    backup_arn: Annotated[StrictStr, Field(max_length=400), dynamotable_rules.BACKUP_ARN] | None = None
    """The ARN of a backup."""
    table_name: ResourceName | None = None
    """The name in AWS of a table with point-in-time recovery, in the same account and region."""
    time: Annotated[StrictStr, Field(max_length=40), TIME] | None = None
    """The moment to restore, RFC 3339. Absent: the latest that AWS can restore."""


class Objectives(ApiModel):
    """What the table must achieve, as its users see it. Penstock does not measure it; the condition ObjectivesMet says so."""

    read_p95: Duration | None = Field(default=None, alias="readP95")
    """95 % of the reads are answered within this time."""
    write_p95: Duration | None = Field(default=None, alias="writeP95")
    """95 % of the writes are answered within this time."""


class ExpectedUsage(ApiModel):
    """What the table is expected to carry, for the estimate before there is any traffic."""

    reads_per_second: Annotated[StrictInt | StrictFloat, RATE] | None = None
    """Reads a second, on average over the month."""
    writes_per_second: Annotated[StrictInt | StrictFloat, RATE] | None = None
    """Writes a second, on average over the month."""
    item_size: Quantity | None = None
    """The size of an average item, in bytes ("1Ki")."""
    storage: Quantity | None = None
    """The size of the table, in bytes ("10Gi")."""
    transactional_share: Annotated[StrictInt | StrictFloat, SHARE] | None = None
    """The share of reads and writes that are transactional (0.25), which cost twice; indexes are filled by plain writes."""
    backups: Quantity | None = None
    """The size of all backups that are kept, in bytes ("100Gi")."""
    stream_reads_per_second: Annotated[StrictInt | StrictFloat, RATE] | None = None
    """GetRecords requests to the table's stream a second; those of Lambda triggers are free."""


class Hibernation(hibernation.Hibernation):
    """Outside its hours the table goes down to a floor: few provisioned units, or caps on demand."""

    rules: ClassVar[tuple[Rule, ...]] = hibernation.RULES
    schedule: hibernation.Time
    """When it goes down, in cron's five fields: "0 20 * * 1-5"."""
    wake: hibernation.Time
    """When it is as capacity says again: "0 7 * * 1-5"."""
    read_units: Units | None = None
    """The read units that are left, of the table and of each of its global indexes; absent: autoscaling's min, else 1.
    On demand it is a cap."""
    write_units: Units | None = None
    """The write units that are left; absent: autoscaling's min, else 1. On demand it is a cap."""


class Cost(ApiModel):
    """Money."""

    monthly_budget: Money | None = None
    """The most that the table should cost a month, in US dollars ("20")."""
    expected_usage: ExpectedUsage | None = None
    """What the estimate is made of."""


class DynamoTableSpec(ApiModel):
    """The table as it must be. An absent optional field is left as AWS has it."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.SPEC

    region: Annotated[StrictStr, Field(max_length=32), REGION] | None = None
    """The AWS region; the operator's own when absent. Immutable once the table exists."""
    table_name: ResourceName | None = None
    """The table's name in AWS, 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'; metadata.name when absent.
    Immutable once the table exists."""
    adopt: StrictBool = False
    """Take over an existing table of that name. Without it, a table that is not ours is never touched."""
    deletion_policy: DeletionPolicy = DeletionPolicy.SNAPSHOT
    """What deleting this object does to the table: Snapshot (a final backup, then delete), Retain (leave it), Delete
    (no backup)."""
    deletion_protection: StrictBool | None = None
    """AWS refuses to delete the table while true."""
    key: TableKey
    """The primary key. Immutable once the table exists."""
    capacity: Capacity | None = None
    """Capacity mode and throughput. Absent: the table is made on demand, and its capacity is yours afterwards."""
    global_indexes: Annotated[tuple[GlobalIndex, ...], Field(max_length=20)] | None = None
    """Global secondary indexes, at most 20, added and removed one at a time. Absent: left alone. An index that is taken
    out of the spec is deleted; one that somebody else made stays."""
    local_indexes: Annotated[tuple[LocalIndex, ...], Field(max_length=5)] | None = None
    """Local secondary indexes, at most 5. Immutable once the table exists."""
    ttl: TimeToLive | None = None
    """Expiry of items."""
    stream: Stream | None = None
    """The stream of changes."""
    point_in_time_recovery: PointInTimeRecovery | None = None
    """Continuous backups. Absent: on, except that an adopted table is left as it is."""
    encryption: Encryption | None = None
    """The key that encrypts the table at rest. {}: the key that AWS owns."""
    table_class: TableClass | None = None
    """The price class of the storage. AWS allows two changes in 30 days."""
    contributor_insights: StrictBool | None = None
    """Whether CloudWatch Contributor Insights watches the table."""
    warm_throughput: WarmThroughput | None = None
    """What the table must be able to serve at once."""
    resource_policy: PolicyDocument | None = None
    """The resource-based policy. {}: none."""
    tags: Tags | None = None
    """AWS tags, at most 48 (of AWS's 50, two are Penstock's). Absent: left alone. A tag that is taken out of the spec goes;
    one that somebody else put on the table stays."""
    restore_from: RestoreFrom | None = None
    """Make the table from a backup or from another table's past. Once the table exists it may be removed, never added or
    changed. Removed before that, the table is made empty only with consent."""
    objectives: Objectives | None = None
    """What the table must achieve."""
    cost: Cost | None = None
    """Budget and expected usage."""
    hibernation: Hibernation | None = None
    """Outside its hours the table goes down to a floor."""

    @property
    def wants_pitr(self) -> bool | None:
        """Whether continuous backups must be on; None when they are not managed.

        An absent field means on: a table without a way back is a mistake that shows too late. Only with `adopt: true`
        is it left alone, because adoption changes nothing that the spec does not name.
        """
        if self.point_in_time_recovery is not None:
            return self.point_in_time_recovery.enabled
        return None if self.adopt else True

    @property
    def pitr_days(self) -> int | None:
        """How many days back; None when AWS's own choice (35) stands."""
        return self.point_in_time_recovery.days if self.point_in_time_recovery else None

    @property
    def capacity_mode(self) -> CapacityMode | None:
        """The managed capacity mode; None when capacity is not managed."""
        return self.capacity.mode if self.capacity else None

    def key_attributes(self) -> Iterator[KeyAttribute]:
        """The attributes of every key, of the table first; one may come several times."""
        yield self.key.partition
        if self.key.sort:
            yield self.key.sort
        for index in self.global_indexes or ():
            yield index.partition
            if index.sort:
                yield index.sort
        for local in self.local_indexes or ():
            yield local.sort

    def index_capacities(self) -> list[IndexCapacity]:
        """The throughput that is named for global indexes."""
        return [index.capacity for index in self.global_indexes or () if index.capacity]

    def included(self) -> int:
        """How many attributes the indexes include by name, counted once for each index."""
        projections = [i.projection for i in self.global_indexes or ()] + [
            i.projection for i in self.local_indexes or ()
        ]
        return sum(len(projection.attributes) for projection in projections)


class DynamoTable(ApiModel):
    """An Amazon DynamoDB table."""

    rules: ClassVar[tuple[Rule, ...]] = dynamotable_rules.TABLE
    api_version: Literal["penstock.dev/v1alpha1"] = "penstock.dev/v1alpha1"
    kind: Literal["DynamoTable"] = "DynamoTable"
    metadata: ObjectMeta
    spec: DynamoTableSpec
    status: DynamoTableStatus = Field(default_factory=DynamoTableStatus)

    @property
    def table_name(self) -> str:
        """The table's name in AWS."""
        return self.spec.table_name or self.metadata.name

    def with_status(self, status: DynamoTableStatus) -> Self:
        """The same table with another status."""
        return self.model_copy(update={"status": status})


KIND: Final = Kind(
    model=DynamoTable,
    plural="dynamotables",
    short_names=("ddb",),
    columns=(
        condition_column("Ready", "Ready", "status", "Whether the table serves requests as the spec asks."),
        condition_column("Reason", "Ready", "reason", "Why, in a word from a closed list."),
        Column("Mode", ".status.mode", "The capacity mode that AWS has: OnDemand or Provisioned."),
        Column("Items", ".status.itemCount", "Items, as AWS counts them about every six hours.", type="integer"),
        Column("Size", ".status.size", "Size of the items, as AWS measures it about every six hours."),
        Column(
            "Cost/mo",
            ".status.cost.monthlyEstimate",
            "What the table as declared costs a month, in US dollars.",
        ),
        Column(
            "Saving/mo",
            ".status.advice.saving",
            "What the cheapest shape that keeps the objectives would save.",
            priority=1,
        ),
        condition_column("Message", "Ready", "message", "Why, in one sentence.", priority=1),
        AGE,
    ),
)


def validate_table(spec: DynamoTableSpec) -> list[Problem]:
    """Every rule that a spec breaks, with paths from `spec`; empty when it is good."""
    return list(problems(spec, "spec"))
