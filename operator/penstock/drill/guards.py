"""What must hold before a failover is asked for. Pure: each guard that does not hold is a sentence that says what is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api import meta
from penstock.api.failoverdrill import FailoverDrillSpec
from penstock.aws.rds import AVAILABLE
from penstock.drill.state import Desired, Observed
from penstock.drill.subject import POSTGRESQL, Subject

# DBCluster states in which somebody must act before a failover can ever be asked for are told like the others: they may be mended at any time.
_STOPPED = ("stopped", "stopping", "starting")


@dataclass(frozen=True)
class Unmet:
    """A guard that does not hold. hopeless: it will not by itself, so that somebody must edit something."""

    sentence: str
    hopeless: bool = False


def unmet(desired: Desired, observed: Observed, now: datetime, *, running: bool = False) -> tuple[Unmet, ...]:
    """Every guard that does not hold, the most telling first. running: the drill's own run goes on, so that only the cluster itself is judged."""
    subject = observed.subject
    if subject is None:
        return (
            Unmet(
                f"AuroraCluster {desired.cluster} does not exist in namespace {desired.namespace}; it is waited for."
            ),
        )
    found = list(_there(subject))
    if found:
        return tuple(found)
    found += _calm(subject, running)
    found += _target(desired.spec, subject)
    found += _readers(desired.spec, subject)
    found += _lag(desired.spec, observed)
    found += _window(desired.spec, subject, now)
    if not running:
        found += _apart(desired, observed, subject, now)
        found += _budget(desired.spec, subject)
    return tuple(found)


def _there(subject: Subject) -> Iterator[Unmet]:
    """Whether there is a cluster to speak of at all."""
    name = f"Cluster {subject.name}"
    cluster = subject.cluster
    if subject.deleting:
        yield Unmet(f"{name} is being deleted.")
    elif subject.mode != meta.Mode.RECONCILE:
        yield Unmet(
            f"{name} is to be left alone: its annotation {meta.MODE} says {subject.mode[:40]}; the drill waits until that is Reconcile, or gone."
        )
    elif subject.problem:
        yield Unmet(f"{name} cannot be carried out: {subject.problem}", hopeless=True)
    elif cluster is None:
        yield Unmet(f"{name} is not there in AWS yet: {_why(subject)}")
    elif cluster.engine != POSTGRESQL:
        yield Unmet(
            f"{name} is {cluster.engine}: drills write through PostgreSQL; only clusters of AuroraPostgreSQL can be drilled.",
            hopeless=True,
        )


def _calm(subject: Subject, running: bool) -> Iterator[Unmet]:
    """Whether nothing goes on with the cluster. running: what its object would change is held back by the run, so that AWS's word alone counts."""
    name, cluster = f"Cluster {subject.name}", subject.cluster
    assert cluster is not None
    if cluster.status in _STOPPED:
        yield Unmet(f"{name} is {cluster.status}; the drill waits until it runs.")
        return
    if cluster.status != AVAILABLE:
        yield Unmet(f"{name} is {cluster.status} in AWS; the drill waits until it is available.")
    ready, reconciling = subject.condition("Ready"), subject.condition("Reconciling")
    if running:
        pass
    elif ready.get("status") != "True":
        yield Unmet(f"{name} is not Ready: {_why(subject)}")
    elif not subject.current:
        yield Unmet(f"{name} was just edited; the drill waits until that is done.")
    elif reconciling.get("status") == "True":
        # What waits for a window or for consent, or is refused, changes nothing by itself and keeps no drill.
        yield Unmet(f"{name} is being changed; the drill waits until that is done: {reconciling.get('message', '')}")
    busy = sorted(
        f"{m.identifier} is {subject.instances[m.identifier].status}"
        if m.identifier in subject.instances
        else f"{m.identifier} is not there"
        for m in cluster.members
        if m.identifier not in subject.instances or subject.instances[m.identifier].status != AVAILABLE
    )
    if busy and cluster.status == AVAILABLE:
        yield Unmet(f"Not all instances of {name[0].lower()}{name[1:]} are available: {', '.join(busy[:5])}.")
    if not cluster.writer:
        yield Unmet(f"{name} has no writer at the moment.")


def _target(spec: FailoverDrillSpec, subject: Subject) -> Iterator[Unmet]:
    wanted, cluster = spec.wanted_target, subject.cluster
    assert cluster is not None
    if not wanted:
        return
    readers = ", ".join(subject.readers) or "none"
    if wanted == cluster.writer:
        yield Unmet(
            f"{wanted} is the writer of cluster {subject.name} already; write another target (readers: {readers}), or Any.",
            hopeless=True,
        )
    elif cluster.member(wanted) is None:
        yield Unmet(
            f"Cluster {subject.name} has no instance {wanted}; write one of its readers ({readers}), or Any.",
            hopeless=True,
        )


def _readers(spec: FailoverDrillSpec, subject: Subject) -> Iterator[Unmet]:
    serving = [r for r in subject.readers if r in subject.instances and subject.instances[r].status == AVAILABLE]
    if len(serving) >= spec.healthy_readers:
        return
    if not subject.readers:
        yield Unmet(
            f"Cluster {subject.name} has no reader, so nobody could take over; give it one (spec.instances.readers: 1).",
            hopeless=True,
        )
        return
    yield Unmet(
        f"Cluster {subject.name} has {len(serving)} available readers; guards.minHealthyReaders is {spec.healthy_readers}."
    )


def _lag(spec: FailoverDrillSpec, observed: Observed) -> Iterator[Unmet]:
    lag = observed.going.lag if observed.going else observed.inspection.lag if observed.inspection else None
    if lag is not None and lag > spec.replica_lag:
        most = seconds(spec.replica_lag.total_seconds())
        yield Unmet(f"The slowest reader is {seconds(lag.total_seconds())} behind; guards.maxReplicaLag is {most}.")


def _window(spec: FailoverDrillSpec, subject: Subject, now: datetime) -> Iterator[Unmet]:
    window = subject.window
    if not spec.only_in_window or window is None or window.open_at(now):
        return
    yield Unmet(
        f"The maintenance window of cluster {subject.name} is closed; it opens {window.opens_after(now):%Y-%m-%d %H:%M} UTC, and"
        " guards.inMaintenanceWindow asks for it."
    )


def _apart(desired: Desired, observed: Observed, subject: Subject, now: datetime) -> Iterator[Unmet]:
    """Whether no other drill runs, and the last failover is past."""
    if observed.others:
        yield Unmet(
            f"FailoverDrill {observed.others[0]} runs on cluster {subject.name}; there is never more than one at a time."
        )
    latest = max((m for m in (subject.last_failover, observed.last_drill) if m is not None), default=None)
    if latest is None or now - latest >= desired.spec.not_within:
        return
    until = latest + desired.spec.not_within
    yield Unmet(
        f"The last failover was {latest:%Y-%m-%d %H:%M:%S} UTC; guards.notWithin {seconds(desired.spec.not_within.total_seconds())}"
        f" is over {until:%Y-%m-%d %H:%M:%S} UTC."
    )


def _budget(spec: FailoverDrillSpec, subject: Subject) -> Iterator[Unmet]:
    left = subject.budget_left
    if spec.needs_error_budget and left is not None and left <= 0:
        yield Unmet(
            f"The error budget of cluster {subject.name} is used up ({seconds(-left)} over); the drill waits until there is some, or runs all the"
            " same with guards.errorBudgetLeft: false."
        )


def interruption(desired: Desired, observed: Observed) -> str:
    """Why a run that goes on must not; '' when it may."""
    run, subject = desired.status.run, observed.subject
    if desired.absent:
        return "the drill was deleted"
    if subject is None:
        return f"AuroraCluster {desired.cluster} was deleted"
    if subject.deleting:
        return f"AuroraCluster {desired.cluster} is being deleted"
    if run is not None and run.cluster_uid and run.cluster_uid != subject.uid:
        return f"AuroraCluster {desired.cluster} is another object than when the run began"
    if subject.cluster is None:
        return f"cluster {subject.identifier} is gone from AWS"
    if subject.cluster.status in ("deleting", "stopping", "stopped"):
        return f"cluster {subject.identifier} is {subject.cluster.status}"
    return ""


def _why(subject: Subject) -> str:
    """What the cluster's own object says."""
    return str(subject.condition("Ready").get("message") or "it has not been looked at yet.")


def seconds(value: float) -> str:
    """A length of time for people, in the form of the API's durations: 12ms, 7.3s, 1m30s, 24h."""
    if value < 1:
        return f"{value * 1000:.0f}ms"
    if value < 60:
        return f"{value:.1f}".rstrip("0").rstrip(".") + "s"
    whole = timedelta(seconds=round(value))
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n)
