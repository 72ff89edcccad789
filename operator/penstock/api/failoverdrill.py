"""FailoverDrill: a real failover of an AuroraCluster under a real load, measured, and judged by its limits.

An absent optional field of a drill means the default that its property here gives; unlike those of a database nothing is left unmanaged.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from penstock.api import schedules
from penstock.api.failoverdrill_status import FailoverDrillStatus
from penstock.api.forms import lasting
from penstock.api.kind import AGE, Column, Kind, condition_column
from penstock.api.meta import ObjectMeta
from penstock.api.model import ApiModel, Problem, Rule, between, matching, problems
from penstock.api.quantities import Duration

ANY: Final = "Any"
MAX_WRITERS: Final = 32

_WRITERS = between(
    1,
    MAX_WRITERS,
    "must be from 1 to 32: each writer keeps one connection to the writer endpoint and commits up to 100 times a second",
)
_LOAD_DURATION = lasting("5s", "30m", 'must be from 5 seconds to 30 minutes, for example "2m"')
_OUTAGE = lasting("1ms", "1h", 'must be from 1 millisecond to 1 hour, for example "60s"')
_FAILOVER = lasting("5s", "1h", 'must be from 5 seconds to 1 hour, for example "5m"')
_LAG = lasting("1ms", "1h", 'must be from 1 millisecond to 1 hour, for example "1s"')
_NOT_WITHIN = lasting("0s", "8760h", 'must be from 0 seconds to a year, for example "24h"')
_DEADLINE = lasting("10s", "24h", 'must be from 10 seconds to 24 hours, for example "10m"')
_COMMITS = between(0, 1_000_000, "must be from 0 to 1000000 commits")
_READERS = between(
    1,
    15,
    "must be from 1 to 15: without a reader Aurora makes a new writer instead of failing over, which takes minutes",
)
_HISTORY = between(1, 20, "must be from 1 to 20 runs")
_CLUSTER_NAME = matching(
    r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
    "must be the name of an AuroraCluster in the same namespace: lower-case letters, digits, '-' and '.'",
)
_TARGET = matching(
    r"Any|[a-z][a-z0-9]*(-[a-z0-9]+)*",
    'must be "Any", or the identifier of a reader of the cluster in lower-case letters, digits and single hyphens, '
    'for example "shop-ledger-2"',
)


class ClusterRef(ApiModel):
    """An AuroraCluster in the same namespace."""

    name: Annotated[StrictStr, Field(max_length=253), _CLUSTER_NAME]
    """The object's name."""


class Load(ApiModel):
    """What writes while the failover goes on."""

    writers: Annotated[StrictInt, _WRITERS] | None = None
    """How many connections commit, each up to 100 times a second, 1 to 32; 4 when absent."""
    duration: Annotated[Duration, _LOAD_DURATION] | None = None
    """How long they write in all, 5s to 30m; 2m when absent. The failover is asked for after a quarter of it, 30 seconds at most;
    when it takes longer than the rest, the writers go on until they have committed again."""


class Limits(ApiModel):
    """What the run must hold to pass."""

    outage: Annotated[Duration, _OUTAGE] | None = None
    """The longest time that any writer may wait for a commit; 60s when absent."""
    commits_lost: Annotated[StrictInt, _COMMITS] | None = None
    """How many acknowledged commits may be gone; 0 when absent."""
    failover: Annotated[Duration, _FAILOVER] | None = None
    """How long to wait for a failover that does not end before the run is given up as failed; 5m when absent."""


class Guards(ApiModel):
    """What must hold before the failover is asked for. Beside these always: the cluster is Ready, its plan is done, all its instances are available,
    and no other drill runs on it."""

    min_healthy_readers: Annotated[StrictInt, _READERS] | None = None
    """Readers that must be available; 1 when absent."""
    max_replica_lag: Annotated[Duration, _LAG] | None = None
    """The most that a reader may be behind; 1s when absent."""
    not_within: Annotated[Duration, _NOT_WITHIN] | None = None
    """How long the last failover and the last drill must be past. Absent: only one that goes on is waited for."""
    in_maintenance_window: StrictBool | None = None
    """True: only while the cluster's maintenance window is open."""
    error_budget_left: StrictBool | None = None
    """False drills although the cluster's error budget of availability is used up; true when absent."""


class FailoverDrillSpec(ApiModel):
    """The drill."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "must not change: the drill's history is that of one cluster; make another FailoverDrill",
            cel="self.clusterRef.name == oldSelf.clusterRef.name",
            keeps=lambda new, old: new.cluster_ref.name == old.cluster_ref.name,
            at="clusterRef",
        ),
        Rule(
            "belongs to schedule: leave it out, or write a schedule",
            cel="!has(self.timezone) || has(self.schedule)",
            holds=lambda s: s.timezone is None or s.schedule is not None,
            at="timezone",
        ),
        Rule(
            "belongs to schedule: leave it out, or write a schedule; a drill without one waits until its guards hold",
            cel="!has(self.startingDeadline) || has(self.schedule)",
            holds=lambda s: s.starting_deadline is None or s.schedule is not None,
            at="startingDeadline",
        ),
    )
    cluster_ref: ClusterRef
    """The cluster. Immutable."""
    target: Annotated[StrictStr, Field(max_length=63), _TARGET] | None = None
    """Any: AWS chooses who is promoted. Else the identifier of a reader of the cluster. Any when absent."""
    schedule: Annotated[StrictStr, Field(max_length=100), schedules.CRON] | None = None
    """When it runs, in cron's five fields: "0 4 * * 0". Absent: once, as soon as the guards hold."""
    timezone: Annotated[StrictStr, Field(max_length=64), schedules.ZONE] | None = None
    """The schedule's time zone, as the IANA names it; UTC when absent."""
    starting_deadline: Annotated[Duration, _DEADLINE] | None = None
    """How late a scheduled run may begin, for example because a guard does not hold yet; 10m when absent. Later, or once the next one is
    due, it is skipped."""
    load: Load | None = None
    """What writes while the failover goes on."""
    limits: Limits | None = None
    """What the run must hold to pass."""
    guards: Guards | None = None
    """What must hold before the failover is asked for."""
    history_limit: Annotated[StrictInt, _HISTORY] | None = None
    """How many runs the status keeps, 1 to 20; 5 when absent."""

    @property
    def wanted_target(self) -> str:
        """The instance to promote; '' when AWS chooses."""
        return "" if self.target in (None, ANY) else str(self.target)

    @property
    def writers(self) -> int:
        """How many connections write."""
        return (self.load.writers if self.load else None) or 4

    @property
    def load_duration(self) -> timedelta:
        """How long they write in all."""
        return _meant(self.load.duration if self.load else None, timedelta(minutes=2))

    @property
    def lead(self) -> timedelta:
        """How long they write before the failover is asked for."""
        return min(self.load_duration / 4, timedelta(seconds=30))

    @property
    def outage_limit(self) -> timedelta:
        """The longest outage of a writer."""
        return _meant(self.limits.outage if self.limits else None, timedelta(seconds=60))

    @property
    def commits_lost_limit(self) -> int:
        """How many acknowledged commits may be gone."""
        return (self.limits.commits_lost if self.limits else None) or 0

    @property
    def failover_limit(self) -> timedelta:
        """How long a failover may take before the run is given up."""
        return _meant(self.limits.failover if self.limits else None, timedelta(minutes=5))

    @property
    def deadline(self) -> timedelta:
        """How late a scheduled run may begin."""
        return _meant(self.starting_deadline, timedelta(minutes=10))

    @property
    def healthy_readers(self) -> int:
        """Readers that must be available."""
        return (self.guards.min_healthy_readers if self.guards else None) or 1

    @property
    def replica_lag(self) -> timedelta:
        """The most that a reader may be behind."""
        return _meant(self.guards.max_replica_lag if self.guards else None, timedelta(seconds=1))

    @property
    def not_within(self) -> timedelta:
        """How long the last failover must be past."""
        return _meant(self.guards.not_within if self.guards else None, timedelta(0))

    @property
    def only_in_window(self) -> bool:
        """Whether the maintenance window must be open."""
        return bool(self.guards and self.guards.in_maintenance_window)

    @property
    def needs_error_budget(self) -> bool:
        """Whether the error budget must not be used up."""
        return self.guards is None or self.guards.error_budget_left is not False

    @property
    def history_kept(self) -> int:
        """How many runs the status keeps."""
        return self.history_limit or 5


def _meant(written: Duration | None, default: timedelta) -> timedelta:
    return default if written is None else written.value


class FailoverDrill(ApiModel):
    """A failover of an AuroraCluster under load, once or by the clock, judged by its limits."""

    api_version: Literal["penstock.dev/v1alpha1"] = "penstock.dev/v1alpha1"
    kind: Literal["FailoverDrill"] = "FailoverDrill"
    metadata: ObjectMeta
    spec: FailoverDrillSpec
    status: FailoverDrillStatus = Field(default_factory=FailoverDrillStatus)


KIND: Final = Kind(
    model=FailoverDrill,
    plural="failoverdrills",
    short_names=("fdrill",),
    absent="An absent optional field has the default that its line names.",
    columns=(
        Column("Cluster", ".spec.clusterRef.name", "The cluster."),
        Column("Verdict", ".status.verdict", "What the last run came to: Running, Passed, Failed, Aborted or Skipped."),
        Column("Outage", ".status.outage", "The longest outage that a writer of the last run felt."),
        Column("Lost", ".status.commitsLost", "Acknowledged commits that the last run lost.", type="integer"),
        Column("Phase", ".status.run.phase", "How far the run has come that goes on."),
        condition_column("Reason", "Ready", "reason", "Why, in a word from a closed list."),
        Column("Next", ".status.nextRun", "When the schedule comes next."),
        condition_column("Message", "Ready", "message", "Why, in one sentence.", priority=1),
        AGE,
    ),
)


def validate_drill(spec: FailoverDrillSpec) -> list[Problem]:
    """Every rule that a spec breaks, with paths from `spec`; empty when it is good."""
    return list(problems(spec, "spec"))
