"""When the cluster must be stopped: as spec.stopped says, or as its hours and penstock.dev/wake say. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.api.meta import WAKE
from penstock.api.windows import weekly
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AVAILABLE, Cluster
from penstock.engine import hibernation
from penstock.engine.hibernation import HIBERNATING, Rest
from penstock.engine.plan import Effect, Step

STOPPED = "stopped"
# Weeks in which a maintenance window is looked for that is open while the cluster runs: hours by the month come again in these.
_WEEKS = 5


def rest(desired: Desired, now: datetime) -> Rest | None:
    """Whether the cluster hibernates; None when its spec has no hours, or it is to go."""
    asked = desired.spec.hibernation
    if asked is None or desired.absent:
        return None
    return hibernation.rest(asked, desired.wake, desired.status.hibernation, now)


def stopped(desired: Desired, now: datetime) -> bool | None:
    """Whether the cluster must be stopped; None when nobody says. Hours that were taken out of the spec leave nothing stopped behind."""
    found = rest(desired, now)
    if found is not None:
        return found.asleep
    before = desired.status.hibernation
    if desired.spec.stopped is None and before is not None and before.state == HIBERNATING:
        return False
    return desired.spec.stopped


def power(desired: Desired, observed: Observed, cluster: Cluster, now: datetime) -> list[Step]:
    """Stop and start; also again, when AWS has started the cluster after seven days (Aurora guide, "Stopping and starting")."""
    wanted, parameters = stopped(desired, now), {"DBClusterIdentifier": desired.identifier}
    found = rest(desired, now)
    if wanted is False and cluster.status == STOPPED:
        why = f": {_awake(found)}" if found is not None else ""
        told = ("Starting", f"Starting cluster {desired.identifier}{why}.")
        return [
            Step("rds", "StartDBCluster", parameters, f"start cluster {desired.identifier}", facet="cluster", told=told)
        ]
    if wanted and cluster.status == AVAILABLE and observed.instances:
        again = " again" if desired.status.stopped_at is not None else ""
        why = f"it hibernates until {found.local}" if found is not None else "as spec.stopped says"
        summary = f"stop cluster {desired.identifier}{again}"
        told = ("Stopping", f"Stopping cluster {desired.identifier}{again}, {why}.")
        return [Step("rds", "StopDBCluster", parameters, summary, effect=Effect.RESTART, facet="cluster", told=told)]
    return []


def why(desired: Desired, now: datetime) -> str:
    """Why the cluster is stopped and what starts it, as a clause after "is stopped, "."""
    found = rest(desired, now)
    if found is not None and found.asleep:
        return f"as spec.hibernation says, until {found.local}; {to_wake(desired)} wakes it now"
    if desired.spec.stopped:
        return "as spec.stopped says; set spec.stopped: false to start it"
    if stopped(desired, now) is False:
        return "and is about to be started"
    return "and spec.stopped did not ask for it; set spec.stopped: false to start it"


def to_wake(desired: Desired) -> str:
    """The command that wakes the cluster for two hours."""
    return f"kubectl annotate -n {desired.namespace} auroracluster {desired.name} {WAKE}=2h --overwrite"


def never_open(desired: Desired, window: str, now: datetime) -> str:
    """A clause for the sentence of what waits for a maintenance window that is open only while the cluster hibernates; '' when it is not."""
    asked = desired.spec.hibernation
    try:
        opens = weekly(window)
    except ValueError:
        return ""
    if asked is None:
        return ""
    hours, moment = hibernation.hours(asked), now
    for _ in range(_WEEKS):
        moment = opens.opens_after(moment)
        closes = moment + timedelta(minutes=opens.length)
        if not hours.within(moment) or (hours.changes(moment) or closes) < closes:
            return ""
    return "; by spec.hibernation the cluster is then always stopped: move one of the two"


def _awake(found: Rest) -> str:
    if found.by_hand:
        return f"{WAKE} keeps it awake" + (f" until {found.local}" if found.until else "")
    return "its hours of hibernation are over"
