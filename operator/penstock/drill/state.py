"""What a pass over a drill decides on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api.failoverdrill import FailoverDrillSpec
from penstock.api.failoverdrill_status import FailoverDrillStatus, Phase, Report
from penstock.api.schedules import Schedule
from penstock.drill.subject import Subject


@dataclass(frozen=True)
class Desired:
    """A drill as it was declared. cluster: the name of the AuroraCluster object. schedule: None for a drill that runs once."""

    namespace: str
    name: str
    uid: str
    spec: FailoverDrillSpec
    status: FailoverDrillStatus
    cluster: str
    schedule: Schedule | None
    created_at: datetime
    generation: int = 0
    absent: bool = False

    @property
    def clock(self) -> str:
        """What tells whether the schedule is another than before; '' without one."""
        return f"{self.spec.schedule} {self.spec.timezone or 'UTC'}" if self.spec.schedule else ""


@dataclass(frozen=True)
class Inspection:
    """What the database said just before a run. lag: of the slowest reader; None when the database does not tell."""

    lag: timedelta | None = None


@dataclass(frozen=True)
class Result:
    """What a run in this process came to. report: without verdict's final times. clean: the table is dropped, so nothing is left."""

    report: Report
    clean: bool


@dataclass(frozen=True)
class Going:
    """A run that this process carries out. ready: the writers have written long enough for the failover to be asked for. asked: AWS took
    the request, or perhaps did. lag: of the slowest reader under that load."""

    uid: str
    phase: Phase
    ready: bool = False
    asked: bool = False
    stopping: bool = False
    lag: timedelta | None = None
    result: Result | None = None


@dataclass(frozen=True)
class Observed:
    """subject: None when there is no such cluster. going: the run of status.run, when this process carries it out. others: drills that run on the
    cluster, or are about to. reserved: the cluster is kept for this drill. inspection: None until the database was looked into, or when that is long
    ago. cleaned: what a run before this process left behind is gone. last_drill: when the last drill of the cluster ended."""

    subject: Subject | None
    going: Going | None = None
    others: tuple[str, ...] = ()
    reserved: bool = False
    inspection: Inspection | None = None
    cleaned: bool = False
    last_drill: datetime | None = None

    @property
    def nothing_left(self) -> bool:
        """Whether nothing of a run can be in the database any more: it was dropped, or the database is gone."""
        return (
            self.cleaned
            or self.subject is None
            or self.subject.cluster is None
            or self.subject.cluster.status == "deleting"
        )
