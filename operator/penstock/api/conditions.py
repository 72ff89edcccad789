"""Conditions: their types and the closed list of reasons (metav1.Condition; kstatus for Reconciling and Stalled)."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from penstock.api.model import StatusModel, Timestamp


class ConditionType(StrEnum):
    """The conditions of every kind."""

    READY = "Ready"
    """The database serves requests as the spec asks."""
    SYNCED = "Synced"
    """AWS is as the spec says: nothing is left to do."""
    RECONCILING = "Reconciling"
    """Work goes on (kstatus)."""
    STALLED = "Stalled"
    """No progress until somebody acts (kstatus)."""
    OBJECTIVES_MET = "ObjectivesMet"
    """Every declared objective is reached now."""
    WITHIN_BUDGET = "WithinBudget"
    """The forecast of the month's cost is under the budget."""
    RECOVERABLE = "Recoverable"
    """A restore is possible within the recovery point."""
    BOUND = "Bound"
    """The connection Secret is there and holds what logs in."""
    PASSED = "Passed"
    """The last run of a drill held its limits."""


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is. The list is closed: alerts and people may rely on each word."""

    # Ready: the life of the resource.
    AVAILABLE = "Available"
    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"
    DELETED = "Deleted"
    RESTORING = "Restoring"
    BACKING_UP = "BackingUp"
    BACKFILLING = "Backfilling"
    ARCHIVED = "Archived"
    UPGRADING = "Upgrading"
    REBOOTING = "Rebooting"
    FAILING_OVER = "FailingOver"
    STARTING = "Starting"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    HIBERNATING = "Hibernating"
    DEGRADED = "Degraded"
    SLOWER_THAN_USUAL = "SlowerThanUsual"
    OBSERVATION_STALE = "ObservationStale"

    # What it waits for.
    WAITING_FOR_CONSENT = "WaitingForConsent"
    WAITING_FOR_SECRET = "WaitingForSecret"  # noqa: S105 - a word, not a password
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    WAITING_FOR_WINDOW = "WaitingForWindow"
    BUSY = "Busy"
    THROTTLED = "Throttled"
    UNAVAILABLE = "Unavailable"
    LIMIT_REACHED = "LimitReached"
    DELETION_PROTECTED = "DeletionProtected"
    FAILOVER_REFUSED = "FailoverRefused"

    # What somebody must mend.
    INVALID = "Invalid"
    NOT_OWNED = "NotOwned"
    ALREADY_EXISTS = "AlreadyExists"
    FORBIDDEN = "Forbidden"
    RENAMED = "Renamed"
    IN_USE = "InUse"
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a word, not a password
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_EXPIRED = "CredentialsExpired"
    REFUSED = "Refused"

    # Bound, and what keeps the operator out of a database.
    BOUND = "Bound"
    NOT_PROVEN = "NotProven"
    DATABASE_UNREACHABLE = "DatabaseUnreachable"
    LOGIN_FAILED = "LoginFailed"
    TLS_NOT_VERIFIED = "TLSNotVerified"
    TOO_MANY_CONNECTIONS = "TooManyConnections"
    DATABASE_MISSING = "DatabaseMissing"
    RIGHTS_MISSING = "RightsMissing"
    PASSWORD_UNKNOWN = "PasswordUnknown"  # noqa: S105 - a word, not a password

    # Modes.
    PAUSED = "Paused"
    PLANNED = "Planned"
    OBSERVING = "Observing"

    # Synced.
    IN_SYNC = "InSync"
    DRIFTED = "Drifted"
    OUT_OF_SYNC = "OutOfSync"

    # Reconciling and Stalled.
    PROGRESSING = "Progressing"
    NOT_PROGRESSING = "NotProgressing"
    STALLED = "Stalled"
    NOT_STALLED = "NotStalled"

    # Recoverable.
    RESTORE_POINT_FRESH = "RestorePointFresh"
    RESTORE_POINT_STALE = "RestorePointStale"
    POINT_IN_TIME_RECOVERY_DISABLED = "PointInTimeRecoveryDisabled"

    # Drills.
    DRILLING = "Drilling"
    SCHEDULED = "Scheduled"
    GUARDED = "Guarded"
    DRILL_PASSED = "DrillPassed"
    DRILL_FAILED = "DrillFailed"
    DRILL_ABORTED = "DrillAborted"
    DRILL_SKIPPED = "DrillSkipped"
    NOT_DRILLED = "NotDrilled"
    # WithinBudget, and what a budget keeps from being done.
    BUDGET_KEPT = "BudgetKept"
    OVER_BUDGET = "OverBudget"
    NOTHING_SELECTED = "NothingSelected"

    # ObjectivesMet.
    OBJECTIVES_REACHED = "ObjectivesReached"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    OBJECTIVE_UNREACHABLE = "ObjectiveUnreachable"
    MEASURING = "Measuring"
    PROBE_FAILING = "ProbeFailing"
    NOT_MEASURED = "NotMeasured"

    UNKNOWN = "Unknown"


class Condition(StatusModel):
    """One aspect of the object's state, with a reason from a closed list and one sentence for a person."""

    merge_key: ClassVar[str | None] = "type"
    type: ConditionType
    """Which aspect: Ready, Synced, Reconciling, Stalled, ObjectivesMet, WithinBudget, Recoverable, Bound or, of a drill, Passed."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: int | None = None
    """The metadata.generation that this condition speaks of."""
    last_transition_time: Timestamp
    """When `status` last changed (RFC 3339)."""
    reason: Reason
    """A word from a closed list."""
    message: str
    """One sentence for a person."""
