"""The status of a DynamoTable: what the operator saw, did, plans and waits for."""

from __future__ import annotations

from typing import Any

from penstock.api.advice import AdviceStatus
from penstock.api.conditions import Condition
from penstock.api.cost import CostStatus
from penstock.api.hibernation import HibernationStatus
from penstock.api.model import StatusModel, Timestamp
from penstock.api.plan import PlanStatus


class IndexStatus(StatusModel):
    """One global index as AWS has it."""

    name: str
    """The index's name."""
    state: str | None = None
    """Creating, Updating, Deleting or Active."""
    backfilling: bool | None = None
    """Whether AWS still copies items into it."""
    item_count: int | None = None
    """Items, as AWS counts them about every six hours."""
    size_bytes: int | None = None
    """Bytes, as AWS counts them about every six hours."""
    since: Timestamp | None = None
    """When the index came into this state, as the operator saw it."""


class Restorable(StatusModel):
    """The window of point-in-time recovery."""

    earliest: Timestamp | None = None
    """The earliest moment that can be restored."""
    latest: Timestamp | None = None
    """The latest moment that can be restored."""


class FinalBackup(StatusModel):
    """The backup that was taken before the table was deleted."""

    arn: str
    """The backup's ARN, for restoreFrom.backupArn."""
    name: str | None = None
    """The backup's name."""
    created_at: Timestamp | None = None
    """When it was taken."""


class Managed(StatusModel):
    """What once stood in the spec: only that is removed when it no longer stands there."""

    indexes: tuple[str, ...] = ()
    """Names of global indexes."""
    tags: tuple[str, ...] = ()
    """Keys of tags."""
    scaling: tuple[str, ...] = ()
    """Scalable targets: resource id and dimension of each."""


class Restore(StatusModel):
    """The restore that makes this table. `startedAt` is written before AWS is asked for it, and goes when AWS refuses."""

    source: str
    """A backup's ARN, or a table's name."""
    started_at: Timestamp | None = None
    """When it was asked for."""


class Adoption(StatusModel):
    """The takeover that the plan shows, and that is carried out next."""

    table: str
    """AWS's id of the table."""
    generation: int
    """The metadata.generation that it was shown for."""


class DynamoTableStatus(StatusModel):
    """What the operator saw, did, plans and waits for."""

    observed_generation: int | None = None
    """The metadata.generation that the status speaks of."""
    conditions: tuple[Condition, ...] = ()
    """Ready, Synced, Reconciling, Stalled, Recoverable and more."""
    table_name: str | None = None
    """The table's name in AWS."""
    table_arn: str | None = None
    """The table's ARN."""
    table_id: str | None = None
    """AWS's id of this very table: another table of the same name has another."""
    table_status: str | None = None
    """Creating, Active, Updating, Deleting, InaccessibleEncryptionCredentials or Archived."""
    created_at: Timestamp | None = None
    """When AWS made the table."""
    mode: str | None = None
    """The capacity mode that AWS has: OnDemand or Provisioned."""
    item_count: int | None = None
    """Items, as AWS counts them about every six hours."""
    size_bytes: int | None = None
    """Bytes, as AWS counts them about every six hours."""
    size: str | None = None
    """sizeBytes for people, for example 1.2Gi."""
    indexes: tuple[IndexStatus, ...] = ()
    """The global indexes as AWS has them."""
    restorable: Restorable | None = None
    """The window of point-in-time recovery."""
    last_billing_mode_switch: Timestamp | None = None
    """When the table last became on demand."""
    capacity_decreases_left: int | None = None
    """How many decreases of provisioned capacity AWS still allows today (UTC)."""
    stream_arn: str | None = None
    """The ARN of the stream in force."""
    observed: dict[str, Any] | None = None
    """What AWS chose where the spec does not say: free-form, for people and tools."""
    managed: Managed | None = None
    """What the operator may remove: indexes, tags and autoscaling that came from the spec."""
    restore: Restore | None = None
    """The restore that made this table."""
    adoption: Adoption | None = None
    """The takeover that is shown and still to be carried out."""
    hibernation: HibernationStatus | None = None
    """Whether the table hibernates, and until when."""
    cost: CostStatus | None = None
    """Money."""
    advice: AdviceStatus | None = None
    """The cheaper shape that keeps the objectives, from the metrics of the last two weeks."""
    plan: PlanStatus | None = None
    """What the operator would do next."""
    final_backup: FinalBackup | None = None
    """The backup that was taken before the table was deleted."""
    last_reconcile_at: str | None = None
    """The value of the penstock.dev/reconcile-at annotation that was last acted on."""
