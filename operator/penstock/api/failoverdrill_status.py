"""The status of a FailoverDrill: what runs, what the last run measured, the runs before it, and when the next one is due."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.conditions import Condition
from penstock.api.model import StatusModel, Timestamp
from penstock.api.plan import PlanStatus


class Verdict(StrEnum):
    """What a run came to."""

    RUNNING = "Running"
    """It is not over."""
    PASSED = "Passed"
    """Every limit held."""
    FAILED = "Failed"
    """A limit did not hold; the sentence names the figure."""
    ABORTED = "Aborted"
    """It was cut off (the operator was restarted, the cluster or the drill was deleted) and cleaned up."""
    SKIPPED = "Skipped"
    """Its time came, and a guard did not hold until it was too late to begin."""


class Phase(StrEnum):
    """How far a run has come."""

    PREPARING = "Preparing"
    """The table is made and the writers connect."""
    WRITING = "Writing"
    """The writers write, so that there is something to compare with."""
    FAILING_OVER = "FailingOver"
    """AWS was asked for the failover; the writers go on."""
    SETTLING = "Settling"
    """The new writer takes commits; the writers go on until the load's duration is over."""
    CHECKING = "Checking"
    """The writers are done; every acknowledged commit is read back."""
    CLEANING_UP = "CleaningUp"
    """The table is dropped."""


class Moment(StrEnum):
    """What happens in a failover, in the order in which it usually does."""

    REQUESTED = "Requested"
    """AWS took the request."""
    OLD_WRITER_GONE = "OldWriterGone"
    """The first writer lost its connection, or its commit was refused."""
    NEW_WRITER_ACCEPTING = "NewWriterAccepting"
    """An instance other than the old writer answered that it takes writes."""
    ENDPOINT_MOVED = "EndpointMoved"
    """A connection to the cluster endpoint reached another instance than the old writer, and it takes writes."""
    FIRST_COMMIT = "FirstCommit"
    """The first commit was acknowledged by the new writer."""
    ALL_WRITERS_BACK = "AllWritersBack"
    """Every writer has committed again."""
    TOLD_BY_AWS = "ToldByAWS"
    """DescribeDBClusters named another writer than before."""


class PhaseTime(StatusModel):
    """When something happened."""

    merge_key: ClassVar[str | None] = "name"
    name: Moment
    """Requested, OldWriterGone, NewWriterAccepting, EndpointMoved, FirstCommit, AllWritersBack or ToldByAWS."""
    at: Timestamp
    """The time, to the second."""
    after_seconds: float
    """Seconds after the failover was requested."""


class WriterReport(StatusModel):
    """What one writer felt."""

    merge_key: ClassVar[str | None] = "writer"
    writer: int
    """Its number, from 1."""
    acknowledged: int
    """Commits that were acknowledged to it."""
    outage_seconds: float | None = None
    """The longest time between two of its acknowledged commits around the failover; absent when it never came back."""
    cuts: int = 0
    """Connections that it lost."""


class AwsEvent(StatusModel):
    """What RDS told of the cluster while the run went on."""

    at: Timestamp
    """When, by AWS."""
    message: str
    """AWS's words."""


class Series(StatusModel):
    """Acknowledged commits of each writer over time, for a plot. At most 4,000 numbers, whatever the load."""

    starts_at_seconds: float
    """Where the first bucket begins, in seconds after the request (negative: before it)."""
    bucket_milliseconds: int
    """The width of a bucket."""
    writers: tuple[WriterSeries, ...] = ()
    """One for each writer."""


class WriterSeries(StatusModel):
    """One writer's commits, bucket by bucket."""

    merge_key: ClassVar[str | None] = "writer"
    writer: int
    """Its number, from 1."""
    commits: str
    """Acknowledged commits in each bucket, as numbers with spaces between them."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The same as numbers; empty when they are no such text."""
        parts = self.commits.split()
        return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


class Report(StatusModel):
    """What a run measured."""

    uid: str
    """The run's own id."""
    verdict: Verdict
    """Passed, Failed, Aborted or Skipped."""
    sentence: str
    """What it came to, for a person; of a failed run the figure that failed and its limit."""
    scheduled_for: Timestamp | None = None
    """The scheduled time; absent for a run that no schedule asked for."""
    started_at: Timestamp
    """When it began."""
    finished_at: Timestamp | None = None
    """When it was over and cleaned up."""
    from_: str | None = Field(default=None, alias="from")
    """The writer before."""
    to: str | None = None
    """The writer after."""
    outage_seconds: float | None = None
    """The longest outage that a writer felt."""
    outage_p50_seconds: float | None = None
    """The median of what the writers felt."""
    commits_acknowledged: int | None = None
    """Commits that were acknowledged to a writer."""
    commits_lost: int | None = None
    """Acknowledged commits that are not there any more."""
    commits_unknown: int | None = None
    """Commits whose answer was lost with the connection: they may or may not be there."""
    commits_unknown_found: int | None = None
    """Of these, the ones that are there."""
    connections_cut: int | None = None
    """Connections that broke."""
    replica_lag_milliseconds: int | None = None
    """How far the slowest reader was behind just before the failover; absent when nobody could tell."""
    phases: tuple[PhaseTime, ...] = ()
    """When what happened."""
    writers: tuple[WriterReport, ...] = ()
    """What each writer felt."""
    events: tuple[AwsEvent, ...] = ()
    """What RDS told meanwhile."""
    series: Series | None = None
    """Commits over time."""


class Past(StatusModel):
    """One run of the history, in short."""

    uid: str
    """The run's own id."""
    verdict: Verdict
    """Passed, Failed, Aborted or Skipped."""
    sentence: str
    """What it came to."""
    scheduled_for: Timestamp | None = None
    """The scheduled time."""
    started_at: Timestamp
    """When it began, or was given up."""
    finished_at: Timestamp | None = None
    """When it was over."""
    from_: str | None = Field(default=None, alias="from")
    """The writer before."""
    to: str | None = None
    """The writer after."""
    outage_seconds: float | None = None
    """The longest outage that a writer felt."""
    commits_lost: int | None = None
    """Acknowledged commits that are not there any more."""


class Run(StatusModel):
    """The run that goes on: written before each step, so that a crash leaves nothing unknown."""

    uid: Annotated[str, Field(pattern=r"^[a-z0-9]{1,12}$")]
    """The run's own id; the name of its schema follows from it."""
    phase: Phase
    """How far it has come."""
    started_at: Timestamp
    """When it began."""
    scheduled_for: Timestamp | None = None
    """The scheduled time."""
    schema_: str | None = Field(default=None, alias="schema")
    """The schema in the database that holds the run's table, for people: the one that is dropped at the end follows from the uid."""
    database: str | None = None
    """The database that it is in."""
    from_: str | None = Field(default=None, alias="from")
    """The writer when the failover was asked for."""
    target: str | None = None
    """The instance that AWS was asked to promote; absent when AWS chooses."""
    requested_at: Timestamp | None = None
    """When AWS was about to be asked for the failover; absent before."""
    cluster_uid: str | None = None
    """The uid of the AuroraCluster object: another one of that name is another cluster."""


class FailoverDrillStatus(StatusModel):
    """What the operator knows of the drill."""

    observed_generation: int | None = None
    """The generation of the spec that this status speaks of."""
    conditions: tuple[Condition, ...] = ()
    """Ready, Passed, Reconciling and Stalled."""
    verdict: Verdict | None = None
    """What the last run came to, or Running."""
    outage: str | None = None
    """The longest outage that a writer of the last run felt, for people: "7.3s"."""
    commits_lost: int | None = None
    """Acknowledged commits that the last run lost."""
    next_run: Timestamp | None = None
    """When the schedule comes next."""
    last_scheduled_at: Timestamp | None = None
    """The last scheduled time that was answered, by a run or by skipping it."""
    schedule: str | None = None
    """The schedule and time zone that these speak of: times of another one that are past are not made up for."""
    due: Timestamp | None = None
    """The scheduled time whose run waits for its guards."""
    run: Run | None = None
    """The run that goes on."""
    report: Report | None = None
    """What the last run measured."""
    history: tuple[Past, ...] = ()
    """The runs, the latest first."""
    plan: PlanStatus | None = None
    """What the operator would do next."""
    last_reconcile_at: str | None = None
    """The value of the penstock.dev/reconcile-at annotation that was last acted on."""
