"""What is told of failovers: Events, an annotation, and what one cost, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.api.auroracluster_status import Cause, MeasuredBy
from penstock.aurora import failovers
from penstock.aurora.failovers import Failover
from penstock.engine.conditions import timestamp
from penstock.engine.events import Note


def notes(before: Sequence[Failover], after: Sequence[Failover], name: str) -> tuple[Note, ...]:
    """One Event when a failover begins and one when it is over; both at once for one that was seen only then. One more for one whose cause is known
    only later, so that the Events and the object say the same. Newest first, both."""
    found = [_finished(failover, name) for failover in failovers.explained_since(before, after)]
    for failover, was in failovers.news(before, after):
        if was is None:
            found.append(Note("FailoverStarted", _begins(failover, name), warning=True, action="Failover"))
        if failover.finished is not None:
            found.append(_finished(failover, name))
    return tuple(found)


def _finished(failover: Failover, name: str) -> Note:
    wanted = failover.cause in (Cause.DRILL, Cause.USER, Cause.OPERATOR) and failover.to != failover.from_
    return Note("FailoverFinished", ends(failover, name), warning=not wanted, action="Failover")


_WORDS = {
    Cause.DRILL: "asked for by a drill",
    Cause.USER: "asked for by somebody",
    Cause.OPERATOR: "asked for by the operator",
    Cause.AWS: "because the writer was lost or maintained by AWS",
    Cause.ZONE_LOSS: "because its availability zone was lost",
    Cause.UNKNOWN: "for an unknown reason",
}


def _begins(failover: Failover, name: str) -> str:
    """To whom is known for certain only at the end. The time keeps two failovers from the same writer two Events."""
    return f"Cluster {name} has been failing over from {failover.from_} since {failover.started:%H:%M:%S} UTC."


def ends(failover: Failover, name: str) -> str:
    """What a failover did and cost, in one sentence. What a drill lost is known only later, and told by the drill."""
    if failover.to == failover.from_:
        return f"The failover of cluster {name} failed; its writer is {failover.from_} as before."
    what = f"Cluster {name} failed over from {failover.from_} to {failover.to}, {_WORDS[failover.cause]}"
    return f"{what}; {cost_of(failover)}."


def cost_of(failover: Failover) -> str:
    """How long no write was taken, as a clause."""
    if failover.outage is None:
        return "for how long no write was taken was not measured"
    by = {
        MeasuredBy.PROBE: "measured by the probe",
        MeasuredBy.EVENTS: "by the times of AWS's events",
        MeasuredBy.TOPOLOGY: "at most, as the operator saw it",
        None: "",
    }
    return f"no write was taken for {failover.outage:.1f} s ({by[failover.measured_by]})"


def annotation(failovers: Sequence[Failover]) -> str | None:
    """penstock.dev/last-failover: the last one that is over; None without one."""
    last = next((f for f in failovers if f.finished is not None), None)
    if last is None or last.finished is None:
        return None
    cost = "" if last.outage is None else f" {last.outage:.1f}s"
    return f"{timestamp(last.finished)} {last.from_} -> {last.to} {last.cause.value}{cost}"
