"""What goes onto the object after a pass: pure, and written so that a tired person knows what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock.api import meta
from penstock.api.conditions import ConditionType, Reason
from penstock.aurora import binding, hibernation, settled, states, versions
from penstock.aurora.fields import fields
from penstock.aurora.ownership import Claim, claim, made
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AUTOSCALED, Cluster
from penstock.engine import conditions
from penstock.engine.conditions import Condition, timestamp
from penstock.engine.errors import Trouble
from penstock.engine.events import Note
from penstock.engine.kind import Object, Outcome, Report
from penstock.engine.plan import Plan, When
from penstock.engine.reporting import first, notes, reconciling, stalled, todo

# Seconds until an object that is as desired is passed over again: what changes in AWS wakes it, and a pass that reads nothing costs nothing.
_IDLE = 90.0
# The same where a Secret holds the password, whose change nobody tells.
_SECRET = 15.0
_SOON = 10.0
# Seconds after which what is known of AWS is told to be old.
_OLD = 60.0
# Aurora guide, "Backing up and restoring": the latest restorable time is usually within five minutes; an alarm needs some room beyond the objective.
_USUAL_LAG = timedelta(minutes=5)
_ROOM = timedelta(minutes=10)
# Why a cluster that once served does not at the moment: when it serves again it is Ready, whatever else is left to do.
_INTERRUPTED = frozenset(
    {
        Reason.FAILING_OVER,
        Reason.REBOOTING,
        Reason.UPGRADING,
        Reason.STARTING,
        Reason.STOPPING,
        Reason.STOPPED,
        Reason.HIBERNATING,
        Reason.UPDATING,
        Reason.DEGRADED,
        Reason.SLOWER_THAN_USUAL,
    }
)
# These keep a plan from being empty, and no user from working.
_PATIENT = (Reason.WAITING_FOR_WINDOW, Reason.WAITING_FOR_CONSENT)


def report(
    obj: Object,
    desired: Desired,
    outcome: Outcome[Observed],
    now: datetime,
    unreadable: Trouble | None = None,
) -> Report:
    """unreadable: why AWS's clusters or instances could not be read last."""
    # The connection Secret is told of by its own condition and Events.
    observed, plan, trouble = outcome.observed, outcome.plan.of_aws, outcome.trouble
    status: Mapping[str, Any] = obj.get("status") or {}
    cluster = observed.cluster if observed is not None else None
    claimed = claim(desired, observed) if observed is not None and cluster is not None else None
    # Until an adoption may begin the status names no cluster, or the spec would be frozen by what it must be changed to.
    ours = claimed is Claim.OURS or (claimed is Claim.ADOPT and _adoptable(desired, observed, cluster))
    ready = _ready(desired, status, observed, cluster if ours else None, plan, trouble, now)
    told = (
        ready,
        _synced(desired, observed, plan, trouble, ours, ready, now, unreadable),
        reconciling(plan, trouble),
        stalled(plan, trouble),
        *_recoverable(desired, status, observed, cluster if ours else None, now),
    )
    bound = binding.condition(desired, status, observed.binding if observed is not None else None)
    told = (*told, bound) if bound is not None else told
    found = fields(desired, status, observed, cluster if ours else None, claimed is Claim.ADOPT, now)
    handed = binding.told(desired, status, observed.binding if observed is not None else None)
    if handed is not None:
        found["binding"] = handed
    # Where nothing is run, all that would be is told.
    planned = (plan if desired.mode == meta.Mode.RECONCILE else outcome.plan).as_status()
    if planned is not None:
        found["plan"] = planned
    # What the spec itself asks for is no warning.
    asked = (Reason.STOPPING, Reason.STOPPED, Reason.HIBERNATING) if hibernation.stopped(desired, now) else ()
    worth = (n for n in notes(status, ready, plan, trouble) if n.reason not in asked)
    unbound = _unbound(status, bound)
    again = min([_again(desired, outcome.plan, ready, now), *_bind_again(observed)])
    return Report(told, found, (*worth, *unbound), again)


def _adoptable(desired: Desired, observed: Observed | None, cluster: Cluster | None) -> bool:
    return observed is not None and cluster is not None and not settled.unadoptable(desired, observed, cluster)


def _ready(
    desired: Desired,
    status: Mapping[str, Any],
    observed: Observed | None,
    cluster: Cluster | None,
    plan: Plan,
    trouble: Trouble | None,
    now: datetime,
) -> Condition:
    """True from when the cluster first is all that the spec asks, for as long as its writer serves."""
    kind = ConditionType.READY
    known = conditions.find(status, kind) or {}
    was_ready = known.get("status") == "True"
    told = first(plan, trouble)
    name = f"Cluster {desired.identifier}"
    if desired.absent:
        reason, sentence = told or (Reason.DELETING, f"{name} is being taken down.")
        return Condition(kind, False, reason, sentence)
    if cluster is None or observed is None:
        if trouble is not None and observed is None and was_ready:
            # AWS could not be asked; what served a minute ago serves most likely still.
            return Condition(kind, True, known["reason"], known["message"])
        reason, sentence = told or (Reason.CREATING, f"{name} is about to be made.")
        return Condition(kind, False, reason, sentence)
    once = was_ready or known.get("reason") in _INTERRUPTED or _took_over(desired, observed, cluster)
    interruption = _interruption(desired, observed, cluster, now)
    if interruption is not None:
        reason, sentence = interruption
        plain = told if told is not None and (told[0] == reason or not once) else None
        if plain is not None:
            reason, sentence = plain
        if not once and reason in _INTERRUPTED and reason not in (Reason.STOPPED, Reason.HIBERNATING):
            reason = Reason.RESTORING if desired.spec.restore_from is not None else Reason.CREATING
        return Condition(kind, False, reason, sentence)
    lacking = _lacking(desired, observed, cluster)
    if once or (trouble is None and not lacking and _as_good_as_empty(plan)):
        if lacking:
            return Condition(kind, True, Reason.DEGRADED, f"{name} serves, but {lacking}.")
        return Condition(kind, True, Reason.AVAILABLE, f"{name} serves; its writer is {cluster.writer}.")
    default = Reason.CREATING, f"{name} is there; what else it needs is being made: {lacking or todo(plan)}."
    reason, sentence = told or default
    return Condition(kind, False, Reason.CREATING if reason in _INTERRUPTED else reason, sentence)


def _took_over(desired: Desired, observed: Observed, cluster: Cluster) -> bool:
    """Whether the cluster served before its object was created, and has our mark: what is still to be changed keeps nobody from using it."""
    if not desired.spec.adopt or not desired.created_at or cluster.created is None:
        return False
    older = cluster.created < datetime.fromisoformat(desired.created_at)
    return older and claim(desired, observed) is Claim.OURS


def _interruption(desired: Desired, observed: Observed, cluster: Cluster, now: datetime) -> tuple[Reason, str] | None:
    """Why the cluster takes no writes; None when it does."""
    name, state = f"Cluster {cluster.identifier}", cluster.status
    if state == "stopped":
        reason = Reason.HIBERNATING if _hibernates(desired, now) else Reason.STOPPED
        return reason, f"{name} is stopped, {hibernation.why(desired, now)}."
    if state in states.BROKEN:
        return Reason.DEGRADED, f"{name} {states.BROKEN[state]}."
    if not states.serves(state):
        return states.reason(state), f"{name} is {state} and does not serve."
    if not cluster.writer:
        if not cluster.members:
            return Reason.CREATING, f"{name} has no instance yet."
        return Reason.FAILING_OVER, f"{name} has no writer at the moment."
    writer = observed.instances.get(cluster.writer)
    if writer is None:
        return None
    if writer.status in states.BROKEN:
        return Reason.DEGRADED, f"Writer {writer.identifier} {states.BROKEN[writer.status]}."
    if not states.serves(writer.status):
        return states.reason(writer.status), f"Writer {writer.identifier} is {writer.status} and does not serve."
    return None


def _hibernates(desired: Desired, now: datetime) -> bool:
    found = hibernation.rest(desired, now)
    return found is not None and found.asleep


def _lacking(desired: Desired, observed: Observed, cluster: Cluster) -> str:
    """Which readers that the spec asks for do not serve, as a clause; ''."""
    down = sorted(
        f"reader {i.identifier} is {i.status}"
        for i in observed.instances.values()
        if i.identifier != cluster.writer and i.status != "deleting" and not states.serves(i.status)
    )
    readers = [i for i in observed.instances if i != cluster.writer]
    short = (desired.spec.instances.readers or 0) - len(readers)
    if short > 0:
        down.append(f"{short} reader{' is' if short == 1 else 's are'} still to be made")
    return " and ".join(down[:3]) + (f" and {len(down) - 3} more" if len(down) > 3 else "")


def _as_good_as_empty(plan: Plan) -> bool:
    """Nothing is left but what waits for a window or a consent."""
    later = all(s.when in (When.MAINTENANCE_WINDOW, When.AFTER_CONSENT) for s in plan.steps)
    patient = all(w.reason in _PATIENT for w in plan.waits)
    return later and patient and not any(r.blocking for r in plan.refusals)


def _synced(
    desired: Desired,
    observed: Observed | None,
    plan: Plan,
    trouble: Trouble | None,
    ours: bool,
    ready: Condition,
    now: datetime,
    unreadable: Trouble | None,
) -> Condition:
    kind = ConditionType.SYNCED
    if trouble is not None and (observed is None or (ours and not desired.absent)):
        return Condition(kind, False, trouble.reason, trouble.sentence)
    if observed is not None and observed.age > _OLD:
        # The minute stays the same while nothing is read; an age would be another one with every look.
        at = now - timedelta(seconds=observed.age)
        why = f" {unreadable.sentence}" if unreadable is not None else ""
        sentence = f"AWS was last read at {at:%H:%M} UTC, and what stands here may have changed since.{why}"
        return Condition(kind, None, Reason.OBSERVATION_STALE, sentence)
    if desired.absent or not ours:
        return Condition(kind, False, ready.reason, ready.message)
    if plan.empty:
        return Condition(kind, True, Reason.IN_SYNC, _in_sync(desired, observed))
    told = first(plan, None)
    if told is None:
        return Condition(kind, False, Reason.OUT_OF_SYNC, f"To do: {todo(plan)}.")
    return Condition(kind, False, told[0], told[1])


def _in_sync(desired: Desired, observed: Observed | None) -> str:
    foreign = sorted(
        i.identifier
        for i in (observed.instances.values() if observed is not None else ())
        if not made(desired, i) and not i.identifier.startswith(AUTOSCALED)
    )
    newer = _newer(desired, observed)
    if not foreign:
        return f"AWS is as the spec says.{newer}"
    are = "are instances" if len(foreign) > 1 else "is instance"
    return f"AWS is as the spec says; so {are} {', '.join(foreign[:5])}, which somebody else made.{newer}"


def _newer(desired: Desired, observed: Observed | None) -> str:
    """That a higher minor runs than the spec names; ''."""
    wanted = desired.spec.engine.version
    running = observed.cluster.version if observed is not None and observed.cluster is not None else ""
    if not wanted or not versions.beyond(wanted, running):
        return ""
    return (
        f" Cluster {desired.identifier} runs {running}, which is newer than {wanted} in spec.engine.version: "
        "AWS never lowers a version."
    )


def _recoverable(
    desired: Desired, status: Mapping[str, Any], observed: Observed | None, cluster: Cluster | None, now: datetime
) -> tuple[Condition, ...]:
    kind = ConditionType.RECOVERABLE
    latest = cluster.latest_restorable if cluster is not None else None
    if (
        observed is None
        or cluster is None
        or latest is None
        or observed.age > _OLD
        or not states.serves(cluster.status)
        or desired.absent
    ):
        known = conditions.find(status, kind)
        if known is None or desired.absent:
            return ()
        word = {"True": True, "False": False}.get(known.get("status", ""))
        return (Condition(kind, word, known["reason"], known["message"]),)
    objective = desired.spec.objectives.recovery_point if desired.spec.objectives else None
    target = objective.value if objective is not None else _USUAL_LAG
    # A time that never moved is an emulator's.
    moves = cluster.earliest_restorable is not None and latest > cluster.earliest_restorable
    if moves and now - latest > max(target, _USUAL_LAG) + _ROOM:
        asked = f" spec.objectives.recoveryPoint asks for {objective}." if objective is not None else ""
        sentence = (
            f"The latest restorable time is {timestamp(latest)}: what was written since cannot be restored.{asked}"
        )
        return (Condition(kind, False, Reason.RESTORE_POINT_STALE, sentence),)
    days = (
        f" of the last {cluster.retention_days} days" if cluster.retention_days and cluster.retention_days > 1 else ""
    )
    sentence = f"Any second{days} can be restored, up to about five minutes ago."
    return (Condition(kind, True, Reason.RESTORE_POINT_FRESH, sentence),)


def _unbound(status: Mapping[str, Any], now: Condition | None) -> tuple[Note, ...]:
    """Told once, when it begins: what keeps the Secret from being handed out. A refusal of the plan is told as such."""
    before = conditions.find(status, ConditionType.BOUND) or {}
    if now is None or now.status is not False or now.reason == Reason.ALREADY_EXISTS:
        return ()
    same = before.get("status") == "False" and before.get("reason") == now.reason
    return () if same else (Note(now.reason, now.message, warning=True, action="Bind"),)


def _bind_again(observed: Observed | None) -> tuple[float, ...]:
    """Seconds until another look at the connection Secret is worth it."""
    again = observed.binding.again if observed is not None and observed.binding is not None else None
    return (max(1.0, again),) if again is not None else ()


def _again(desired: Desired, plan: Plan, ready: Condition, now: datetime) -> float:
    soon = [w.poll for w in plan.waits if w.poll is not None] + [r.again for r in plan.refusals]
    if plan.runnable:
        soon.append(1.0)
    if desired.spec.password_secret is not None and not desired.absent:
        soon.append(_SECRET)
    if plan.empty and ready.status is not True and ready.reason not in (Reason.STOPPED, Reason.HIBERNATING):
        # Nothing is left to do, and AWS does not show all of it yet.
        soon.append(_SOON)
    found = hibernation.rest(desired, now)
    if found is not None:
        soon.append(found.seconds(now))
    return max(1.0, min([*soon, _IDLE]))
