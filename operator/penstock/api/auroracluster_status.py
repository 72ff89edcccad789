"""The status of an AuroraCluster: what the operator saw, did, plans and waits for, and what it must know after a crash."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.api.advice import AdviceStatus
from penstock.api.conditions import Condition
from penstock.api.cost import CostStatus
from penstock.api.hibernation import HibernationStatus
from penstock.api.model import StatusModel, Timestamp
from penstock.api.plan import PlanStatus

# Rules compare these with the spec, and CEL's cost limits need bounds.
SettledText = Annotated[str, Field(max_length=400)]
VersionText = Annotated[str, Field(max_length=64)]


class Endpoint(StatusModel):
    """Where connections go."""

    host: str
    """The DNS name; it follows a failover."""
    port: int
    """The port."""


class Member(StatusModel):
    """One instance of the cluster, as AWS has it."""

    merge_key: ClassVar[str | None] = "name"
    name: str
    """The instance's identifier."""
    role: str | None = None
    """Writer or Reader."""
    instance_class: str | None = Field(default=None, alias="class")
    """The instance class that runs."""
    zone: str | None = None
    """The availability zone."""
    promotion_tier: int | None = None
    """The order of promotion, 0 first."""
    state: str | None = None
    """AWS's word: available, creating, modifying, rebooting and so on."""
    lag_milliseconds: int | None = None
    """How far the reader is behind the writer."""
    ordinal: int | None = None
    """The number in a name of the form <clusterIdentifier>-<ordinal>; absent for an instance that somebody else named."""
    parameter_status: str | None = None
    """in-sync, applying or pending-reboot, of the cluster's and of the instance's own parameters: the one that waits longest."""


class Restorable(StatusModel):
    """The window of point-in-time recovery."""

    earliest: Timestamp | None = None
    """The earliest moment that can be restored."""
    latest: Timestamp | None = None
    """The latest moment that can be restored."""


class ParameterGroups(StatusModel):
    """The parameter groups in force."""

    cluster: str | None = None
    """The cluster's."""
    instance: str | None = None
    """The instances'."""


class CredentialsStatus(StatusModel):
    """The master user, and which password AWS was last given. No secret stands here."""

    secret_arn: str | None = None
    """The Secrets Manager secret with the password that AWS manages."""
    secret_version: str | None = None
    """The uid and resourceVersion of the Secret whose password AWS was last given; another one is a rotation."""
    master_username: SettledText | None = None
    """The master user's name."""


class Managed(StatusModel):
    """What once stood in the spec: only that is removed when it no longer stands there."""

    tags: tuple[str, ...] = ()
    """Keys of tags."""
    parameters: tuple[str, ...] = ()
    """Names of parameters."""
    logs: tuple[str, ...] = ()
    """Log types that are exported."""
    reader_autoscaling: bool | None = None
    """Whether the operator registered the readers with Application Auto Scaling."""
    instances: tuple[str, ...] = ()
    """Identifiers of the instances that the operator made or adopted: it removes no others."""
    parameter_groups: tuple[str, ...] = ()
    """Parameter groups of ours that were in force: another one in their place is drift."""


class FinalSnapshot(StatusModel):
    """The snapshot that was taken before the cluster was deleted."""

    identifier: str
    """The snapshot's identifier, for restoreFrom.snapshotIdentifier."""
    arn: str | None = None
    """The snapshot's ARN."""
    created_at: Timestamp | None = None
    """When it was taken."""


class Restore(StatusModel):
    """The restore that makes this cluster, written before AWS is asked for it."""

    source: str
    """A snapshot's or a cluster's identifier."""
    started_at: Timestamp
    """When it was asked for."""


class RestoreFrom(StatusModel):
    """What spec.restoreFrom said while there was no cluster."""

    snapshot_identifier: SettledText | None = None
    """The identifier or ARN of a cluster snapshot."""
    cluster_identifier: SettledText | None = None
    """The identifier of a cluster."""
    time: SettledText | None = None
    """The moment to restore."""


class Transition(StatusModel):
    """What the cluster is in the middle of."""

    state: str
    """AWS's word for it: creating, failing-over, upgrading and so on."""
    since: Timestamp
    """When the operator first saw it."""
    usual: str | None = None
    """How long AWS usually takes, as a duration; past it the sentence says so."""
    member: str | None = None
    """The instance that it is about; absent for the cluster as a whole."""


class Cause(StrEnum):
    """Why a failover happened."""

    DRILL = "Drill"
    """A FailoverDrill asked for it."""
    USER = "User"
    """Somebody asked for it: the annotation penstock.dev/failover-to, or AWS's own tools."""
    OPERATOR = "Operator"
    """Penstock asked for it, so that the writer could be changed as a reader."""
    AWS = "AWS"
    """The writer was lost, or AWS maintained it."""
    ZONE_LOSS = "ZoneLoss"
    """The writer was lost with everything else that is known in its availability zone."""
    UNKNOWN = "Unknown"
    """There was no evidence."""


class MeasuredBy(StrEnum):
    """What the length of an outage is known from."""

    PROBE = "Probe"
    """Penstock's own connections to the database: what its users felt."""
    EVENTS = "Events"
    """AWS's events: from the beginning of the failover to its end."""
    TOPOLOGY = "Topology"
    """The descriptions of the cluster: an upper bound, or no figure at all."""


class Failover(StatusModel):
    """A failover that was seen."""

    started_at: Timestamp
    """When it began."""
    finished_at: Timestamp | None = None
    """When the new writer took writes."""
    from_: str | None = Field(default=None, alias="from")
    """The writer before."""
    to: str | None = None
    """The writer after; the same as before when the failover failed."""
    cause: Cause | None = None
    """Why, as far as it is known: Drill, User, Operator, AWS, ZoneLoss or Unknown."""
    outage_seconds: float | None = None
    """How long no write was taken."""
    measured_by: MeasuredBy | None = None
    """Probe, Events or Topology: what the outage was measured by."""
    commits_lost: int | None = None
    """Commits that were acknowledged and are gone."""


class ObjectiveStatus(StatusModel):
    """One objective, and whether it is reached."""

    merge_key: ClassVar[str | None] = "name"
    name: str
    """The objective's name in the spec."""
    target: str | None = None
    """What the spec asks for."""
    judged: str | None = None
    """What is judged, where that is not the figure observed: of availability the error budget of thirty days, as "60s of 1296s spent"."""
    observed: str | None = None
    """What is reached now; of availability the percent of the probed time since `since` in which a write was possible."""
    since: Timestamp | None = None
    """Since when that was observed; absent for what was measured just now."""
    proven: str | None = None
    """What was reached when it mattered."""
    met: bool | None = None
    """Whether the target is reached; of availability whether the error budget is not overspent."""


class RequestResult(StrEnum):
    """What came of a request."""

    ASKED = "Asked"
    """AWS is asked, and does not show it yet."""
    DONE = "Done"
    """There is another writer."""
    REFUSED = "Refused"
    """It could not be done when it was asked for, and is not made up for."""
    FAILED = "Failed"
    """AWS did not do it."""


class FailoverRequest(StatusModel):
    """The failover that the annotation penstock.dev/failover-to last asked for."""

    value: str
    """The annotation's value."""
    result: RequestResult
    """Asked, Done, Refused or Failed."""
    message: str
    """One sentence for a person."""
    from_: str | None = Field(default=None, alias="from")
    """The writer when it was asked for."""
    to: str | None = None
    """The instance that is to take over."""
    at: Timestamp
    """When it was asked for or refused."""


class FailoverAsked(StatusModel):
    """A failover that was asked for through this object, written before AWS is asked."""

    by: Cause
    """Who: User (the annotation penstock.dev/failover-to), Operator or Drill."""
    to: str | None = None
    """Which instance; absent when AWS may choose."""
    requested_at: Timestamp
    """When."""


class AvailabilityDay(StatusModel):
    """One day (UTC) of the last thirty, as the probe saw it."""

    merge_key: ClassVar[str | None] = "day"
    day: str
    """The date: 2026-11-28."""
    probed_seconds: int = 0
    """How long it was probed; written every six hours and after an outage."""
    down_seconds: float = 0.0
    """How long no write was taken."""


class Availability(StatusModel):
    """The error budget of the last thirty days, as the probe keeps it. It is written after an outage, and else every six hours."""

    window: str | None = None
    """How far back it looks: 30d."""
    attained: str | None = None
    """Percent of the probed time in which a write was possible: "99.991"."""
    budget_seconds: float | None = None
    """How long the objective allows to be down in the window; absent without spec.objectives.availability."""
    budget_left_seconds: float | None = None
    """What is left of it; negative when it is overdrawn."""
    burn_rate: float | None = None
    """How fast the budget was spent yesterday and today: 1 spends all of it in exactly thirty days."""
    down_seconds: float = 0.0
    """How long no write was taken within the window."""
    since: Timestamp | None = None
    """When the probe first reached the database."""
    down_since: Timestamp | None = None
    """Since when no write is taken; absent while the database serves."""
    down_for_seconds: float | None = None
    """How long that was seen to last, written each time it has doubled: what is known of it should nobody see its end."""
    days: tuple[AvailabilityDay, ...] = ()
    """What it is made of, at most 31 days."""


class ProbeState(StrEnum):
    """What becomes of the probe."""

    PROBING = "Probing"
    """The database is asked."""
    FAILING = "Failing"
    """The operator does not reach the database, or may not log in: nothing is measured."""
    OFF = "Off"
    """The database is not asked."""


class ProbeStatus(StatusModel):
    """Whether Penstock measures the database itself."""

    state: ProbeState
    """Probing, Failing or Off."""
    message: str | None = None
    """Why, and what to do."""


class BindingStatus(StatusModel):
    """The Secret that applications mount (Service Binding specification, "Provisioned Service")."""

    name: str
    """The Secret's name."""


class AuroraClusterStatus(StatusModel):
    """What the operator saw, did, plans and waits for."""

    observed_generation: int | None = None
    """The metadata.generation that the status speaks of."""
    conditions: tuple[Condition, ...] = ()
    """Ready, Synced, Reconciling, Stalled, Recoverable and more."""
    cluster_identifier: str | None = None
    """The cluster's identifier in AWS."""
    cluster_arn: str | None = None
    """The cluster's ARN."""
    resource_id: str | None = None
    """AWS's id of this very cluster: another cluster of the same identifier has another."""
    region: str | None = None
    """The AWS region."""
    created_at: Timestamp | None = None
    """When AWS made the cluster."""
    engine_version: VersionText | None = None
    """The engine version that runs."""
    state: str | None = None
    """AWS's word: available, creating, failing-over, stopped and so on."""
    endpoint: Endpoint | None = None
    """Where writes go."""
    reader_endpoint: Endpoint | None = None
    """Where reads are spread over the readers."""
    writer: str | None = None
    """The instance that takes writes now."""
    members: tuple[Member, ...] = ()
    """The instances."""
    readers_ready: str | None = None
    """Readers that serve, of those that are wanted: "1/1"."""
    lag: str | None = None
    """How far the slowest reader is behind, for people: "12ms"."""
    connect: str | None = None
    """How long it takes the probe to connect to the writer endpoint, for people: "12ms". Written when that has become another order."""
    restorable: Restorable | None = None
    """The window of point-in-time recovery."""
    pending: dict[str, str] | None = None
    """What AWS holds for the maintenance window or a reboot: field, or instance/field, and its value to come."""
    parameter_groups: ParameterGroups | None = None
    """The parameter groups in force."""
    subnet_group: SettledText | None = None
    """The subnet group in force."""
    database_name: SettledText | None = None
    """The database that was made with the cluster."""
    kms_key_arn: SettledText | None = None
    """The KMS key that encrypts the cluster."""
    credentials: CredentialsStatus | None = None
    """The master user."""
    observed: dict[str, Any] | None = None
    """What AWS chose where the spec does not say: free-form, for people and tools."""
    managed: Managed | None = None
    """What the operator may remove."""
    restore_from: RestoreFrom | None = None
    """What spec.restoreFrom said while there was no cluster: without it an empty one is made with consent only."""
    restore: Restore | None = None
    """The restore that made this cluster."""
    transition: Transition | None = None
    """What the cluster is in the middle of."""
    stopped_at: Timestamp | None = None
    """When the cluster was last seen to stop: AWS starts it again after seven days."""
    hibernation: HibernationStatus | None = None
    """Whether the cluster hibernates, and until when."""
    plan: PlanStatus | None = None
    """What the operator would do next."""
    failovers: tuple[Failover, ...] = ()
    """The failovers that were seen, the latest first."""
    failover_asked: FailoverAsked | None = None
    """The failover that was last asked for through this object, until it is over."""
    probe: ProbeStatus | None = None
    """Whether the database itself is asked."""
    availability: Availability | None = None
    """How much of the time the database took writes."""
    objectives: tuple[ObjectiveStatus, ...] = ()
    """The objectives."""
    cost: CostStatus | None = None
    """Money."""
    advice: AdviceStatus | None = None
    """The cheaper shape that keeps the objectives, from the metrics of the last two weeks."""
    binding: BindingStatus | None = None
    """The Secret that applications mount."""
    final_snapshot: FinalSnapshot | None = None
    """The snapshot that was taken before the cluster was deleted."""
    last_reconcile_at: str | None = None
    """The value of the penstock.dev/reconcile-at annotation that was last acted on."""
    last_failover_to: str | None = None
    """The value of the penstock.dev/failover-to annotation that was last answered."""
    failover_request: FailoverRequest | None = None
    """What was answered."""
