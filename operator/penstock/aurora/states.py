"""The states of a cluster and of its instances in AWS's words: what each means for its users, and how long AWS usually takes. Pure.

Words from the Aurora guide, "Viewing DB cluster status" and "Viewing DB instance status in an Aurora cluster".
"""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.api.conditions import Reason
from penstock.api.windows import weekly
from penstock.aurora import hibernation
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AVAILABLE, Cluster
from penstock.engine.plan import Step, Wait

# Seconds after which a transition is told to be longer than usual. From experience with the service, since AWS publishes no figures but for failover.
USUAL: dict[str, float] = {
    "creating": 900,
    "restoring": 3600,
    "modifying": 900,
    "upgrading": 1800,
    "rebooting": 300,
    "failing-over": 60,
    "starting": 900,
    "stopping": 900,
    "backing-up": 1800,
    "deleting": 900,
    "resetting-master-credentials": 300,
    "maintenance": 1800,
}
OTHERWISE = 900.0
AT_REST = (AVAILABLE, "stopped")
SERVING = (
    AVAILABLE,
    "backing-up",
    "modifying",
    "maintenance",
    "resetting-master-credentials",
    "backtracking",
    "storage-optimization",
    "configuring-iam-database-auth",
    "configuring-enhanced-monitoring",
    "configuring-log-exports",
    "update-iam-db-auth",
    "promoting",
    "renaming",
    "scaling-compute",
    "storage-full",
)
BROKEN: dict[str, str] = {
    "inaccessible-encryption-credentials": "cannot reach its KMS key; enable the key or its grant, then start the cluster",
    "inaccessible-encryption-credentials-recoverable": "cannot reach its KMS key; enable the key, then start the cluster",
    "cloning-failed": "could not be cloned; delete it and make it again",
    "migration-failed": "could not be migrated; see its events in RDS",
    "failed": "has failed, and AWS cannot repair it; restore it from a snapshot or to a point in time",
    "incompatible-network": "has no room in its subnets or security groups; see its events in RDS",
    "incompatible-parameters": "cannot start with its parameters; correct spec.parameters, or reset the parameter group",
    "incompatible-restore": "cannot be restored in this form; see its events in RDS",
    "incompatible-option-group": "cannot start with its option group; see its events in RDS",
    "insufficient-capacity": "has no capacity of its class in its zone; choose another class or zone",
}
_REASONS: dict[str, Reason] = {
    "creating": Reason.CREATING,
    "restoring": Reason.RESTORING,
    "deleting": Reason.DELETING,
    "failing-over": Reason.FAILING_OVER,
    "upgrading": Reason.UPGRADING,
    "rebooting": Reason.REBOOTING,
    "stopping": Reason.STOPPING,
    "stopped": Reason.STOPPED,
    "starting": Reason.STARTING,
    "backing-up": Reason.BACKING_UP,
}


def serves(state: str) -> bool:
    """Whether a cluster or an instance in that state takes connections."""
    return state in SERVING or state.startswith("configuring-")


def usual(state: str) -> float:
    """Seconds that AWS usually takes for a transition at most."""
    return USUAL.get(state, OTHERWISE)


def reason(state: str) -> Reason:
    """The reason of a condition for a state that is not at rest."""
    return _REASONS.get(state, Reason.UPDATING)


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 12 min, 3 h."""
    if seconds < 120:
        return f"{int(seconds)} s"
    return f"{int(seconds // 60)} min" if seconds < 7200 else f"{int(seconds // 3600)} h"


def waits(desired: Desired, observed: Observed, cluster: Cluster, now: datetime) -> list[Wait]:
    """What AWS is doing with the cluster and its instances, what of it a person must see to, and since when."""
    found = []
    state, name = cluster.status, f"Cluster {cluster.identifier}"
    if state in BROKEN:
        found.append(Wait(Reason.DEGRADED, f"{name} {BROKEN[state]}.", 60.0))
    elif state == "deleting":
        found.append(Wait(Reason.DELETING, f"{name} is being deleted by somebody; it is made again afterwards.", 10.0))
    elif state not in AT_REST:
        found.append(_transition(name, _being(state, desired), observed, now))
    if state == "stopped":
        return found
    for instance in sorted(observed.instances.values(), key=lambda i: i.identifier):
        if instance.status in BROKEN:
            found.append(Wait(Reason.DEGRADED, f"Instance {instance.identifier} {BROKEN[instance.status]}.", 60.0))
        elif instance.status not in (AVAILABLE, "stopped") and not (found and state == instance.status):
            found.append(_transition(f"Instance {instance.identifier}", instance.status, observed, now))
    missing = [m.identifier for m in cluster.members if m.identifier not in observed.instances]
    if not found and cluster.members and not cluster.writer:
        found.append(Wait(Reason.FAILING_OVER, f"{name} has no writer at the moment.", 5.0))
    elif not found and missing:
        found.append(Wait(Reason.PROGRESSING, f"Reading the instances {', '.join(sorted(missing))}.", 5.0))
    elif not found:
        found += _applying(observed, cluster)
    return found


def _applying(observed: Observed, cluster: Cluster) -> list[Wait]:
    """Only when the new parameters are in force is it known whether one of them still waits for a reboot."""
    names = {m.identifier for m in cluster.members if m.parameter_status == "applying"}
    names |= {i.identifier for i in observed.instances.values() if i.parameter_apply_status == "applying"}
    if not names:
        return []
    return [Wait(Reason.UPDATING, f"AWS applies the changed parameters to {', '.join(sorted(names))}.", 5.0)]


def window_wait(desired: Desired, cluster: Cluster, step: Step, now: datetime) -> Wait:
    """What waits for the maintenance window, and when that opens."""
    text = (desired.spec.maintenance.window if desired.spec.maintenance else None) or cluster.maintenance_window
    opens = weekly(text).opens_after(now)
    sentence = (
        f"To {step.summary} waits for the maintenance window {text}, which opens {opens:%Y-%m-%d %H:%M} UTC; "
        f"spec.maintenance.apply: Immediately does it at once{hibernation.never_open(desired, text, now)}."
    )
    # Not to be late for it, and not to look every few seconds for a week.
    return Wait(Reason.WAITING_FOR_WINDOW, sentence, min(300.0, max(1.0, (opens - now).total_seconds())))


def _being(state: str, desired: Desired) -> str:
    return "restoring" if state == "creating" and desired.spec.restore_from is not None else state


def _words(state: str) -> str:
    passive = {
        "creating": "created",
        "restoring": "restored",
        "modifying": "modified",
        "upgrading": "upgraded",
        "deleting": "deleted",
        "backing-up": "backed up",
        "resetting-master-credentials": "given new master credentials",
        "maintenance": "maintained",
        "renaming": "renamed",
    }
    if state in passive:
        return f"being {passive[state]} by AWS"
    if state.startswith("configuring-"):
        return f"being configured by AWS ({state.removeprefix('configuring-').replace('-', ' ')})"
    return state.replace("-", " ")


def _transition(name: str, state: str, observed: Observed, now: datetime) -> Wait:
    """What is going on, and since when: that stays the same while it lasts, or a status would be written every second."""
    if observed.since is None:
        return Wait(reason(state), f"{name} is {_words(state)}.", 10.0)
    sentence = f"{name} is {_words(state)} since {observed.since:%H:%M:%S} UTC"
    if now - observed.since <= timedelta(seconds=usual(state)):
        return Wait(reason(state), f"{sentence}.", 10.0)
    slow = f"{sentence}, longer than the {duration(usual(state))} that AWS usually takes at most."
    return Wait(Reason.SLOWER_THAN_USUAL, slow, 10.0)
