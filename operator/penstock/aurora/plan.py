"""What to do about an Aurora cluster: a pure function of what is wanted, what was seen, and the time.

Invariants (tests/unit/test_aurora_plan_properties.py holds them over random states): repeated plan and act reach an empty plan; the writer is never
removed by scaling in; at most one instance at a time is disturbed, and only when everything else serves; nothing is deleted that was not asked for;
an unset field is never touched; a version is never lowered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from penstock.api.conditions import Reason
from penstock.aurora import (
    binding,
    changes,
    creation,
    groups,
    handover,
    hibernation,
    removal,
    scaling,
    settled,
    states,
    topology,
    versions,
)
from penstock.aurora.consent import consented
from penstock.aurora.ownership import Claim, claim, knows, renamed, shown
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AVAILABLE, Cluster
from penstock.engine.holds import rest, rests
from penstock.engine.plan import Effect, Plan, Refusal, Step, Wait, When

_DISTURBING = (Effect.RESTART, Effect.FAILOVER)


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """The plan for one cluster. See engine.plan for its parts."""
    if desired.absent:
        removed = removal.plan(desired, observed, now)
        if not removed.steps:
            return removed
        return rest(removed.steps, observed.held, now, removed.waits, removed.refusals)
    cluster = observed.cluster
    if observed.renamed is not None:
        return Plan(refusals=(renamed(desired, observed, observed.renamed),))
    if cluster is None:
        if observed.instances:
            names = ", ".join(sorted(observed.instances))
            sentence = f"Instances {names} of an older cluster {desired.identifier} are still being deleted."
            return Plan(waits=(Wait(Reason.DELETING, sentence, 10.0),))
        if desired.rival:
            return Plan(refusals=(_later_than(desired),))
        return creation.plan(desired, observed, now)
    claimed = claim(desired, observed)
    if isinstance(claimed, Refusal):
        if cluster.status == topology.DELETING:
            sentence = (
                f"An older cluster {cluster.identifier} is still being deleted by AWS; this one is made afterwards."
            )
            return Plan(waits=(Wait(Reason.DELETING, sentence, 10.0),))
        return Plan(refusals=(claimed,))
    never = settled.unmanageable(desired, cluster)
    if claimed is Claim.ADOPT:
        never = settled.unadoptable(desired, observed, cluster)
    if never:
        return Plan(refusals=never)
    if claimed is Claim.OURS and desired.spec.adopt and cluster.resource_id and not knows(desired, observed):
        sentence = (
            f"Cluster {cluster.identifier} was marked a moment ago; the mark is read back before anything changes."
        )
        return Plan(waits=(Wait(Reason.UPDATING, sentence, 2.0),))
    return _present(desired, observed, cluster, claimed, now)


def _present(desired: Desired, observed: Observed, cluster: Cluster, claimed: Claim, now: datetime) -> Plan:
    waits = states.waits(desired, observed, cluster, now)
    refusals = [Refusal(r, sentence) for r, sentence in observed.unread if r != Reason.UNAVAILABLE]
    refusals += settled.refusals(desired, observed, cluster)
    waits += [Wait(Reason(r), sentence, 30.0) for r, sentence in observed.unread if r == Reason.UNAVAILABLE]
    if cluster.status == topology.DELETING:
        return Plan((), tuple(waits), tuple(refusals))
    adopted = ("Adopted", f"Took over cluster {cluster.identifier}.") if desired.spec.adopt else None
    steps = changes.tag_steps(desired, cluster.arn, cluster.tags, f"cluster {cluster.identifier}", adopted=adopted)
    power = hibernation.power(desired, observed, cluster, now)
    family = versions.family_in_force(cluster.engine or desired.spec.engine.aws_name, cluster.version)
    values = groups.Wanted()
    if groups.managed(desired) and family:
        known = observed.families.get(family)
        if known is None:
            # Whether a parameter is right is not known, and what is not known is not decided.
            waits.append(Wait(Reason.PROGRESSING, f"Reading the parameters of {family}.", 10.0))
        else:
            values = groups.settle(desired, observed, known, groups.wanted(desired, known))
            mended, foreign = groups.group_steps(desired, observed, family, values)
            refusals += [*values.refusals, *foreign]
            steps += mended
    subnets, foreign = groups.subnet_steps(desired, observed)
    steps += subnets
    refusals += foreign
    made_first = groups.missing(desired, observed, family, values) if family else False
    found = changes.cluster_steps(desired, observed, cluster, family, values, now)
    members = topology.steps(desired, observed, cluster, family, values)
    refusals += [*found.refusals, *members.refusals]
    waits += [*found.waits, *members.waits]
    later = [*found.steps, *members.steps]
    if made_first:
        # A group must be there before anything can refer to it.
        later = [_later(s) if _names_group(s) else s for s in later]
    steps += [*later, *scaling.steps(desired, observed), *power]
    if claimed is Claim.ADOPT:
        # Adoption shows its plan on the object first. Then the mark is written, alone, and read back: AWS compares nothing when it tags, so of two
        # objects that take over one cluster the last to write it has the cluster.
        sentence = f"Taking over cluster {cluster.identifier}: this plan is carried out next."
        waits.append(Wait(Reason.UPDATING, sentence, 3.0))
        marks = [changes.mark_step(desired, cluster, adopted)] if shown(desired, cluster) else []
        planned = (*marks, *(_later(s) for s in steps if not (marks and changes.marks(s, cluster))))
        return rest(planned, observed.held, now, waits, refusals)
    steps = consented(desired, steps, waits)
    if cluster.status == "stopped" and not power:
        steps = _stopped(desired, steps, waits, now)
        return rest(steps, observed.held, now, waits, refusals)
    handed, withheld = binding.plan(desired, observed.binding)
    asked, refused = handover.plan(desired, observed, cluster, now)
    refusals += refused
    if asked:
        # Whoever asks does not wait for a window, and whatever else is to be done waits for that.
        steps = [*asked, *handed, *(s if s.facet == "tags" else _later(s) for s in steps)]
        return rest(steps, observed.held, now, waits, [*refusals, *withheld])
    steps = [*handed, *_arranged(desired, observed, cluster, steps, waits, now)]
    return rest(steps, observed.held, now, waits, [*refusals, *withheld])


def _stopped(desired: Desired, steps: list[Step], waits: list[Wait], now: datetime) -> list[Step]:
    """AWS changes nothing of a stopped cluster but its tags and its groups; the rest is told, and made once it is started."""
    arranged = [s if s.facet == "tags" or s.facet.startswith(("groups", "subnets")) else _later(s) for s in steps]
    put_off = sum(1 for s in arranged if s.when is When.LATER)
    changes_wait = f"; {put_off} change{'s wait' if put_off > 1 else ' waits'} for that" if put_off else ""
    if hibernation.stopped(desired, now) is None:
        sentence = (
            f"Cluster {desired.identifier} is stopped, and was not stopped by its spec: "
            f"set spec.stopped: false to have it started{changes_wait}."
        )
        waits.append(Wait(Reason.STOPPED, sentence))
    elif put_off:
        found = hibernation.rest(desired, now)
        reason = Reason.STOPPED if found is None else Reason.HIBERNATING
        until = f"{put_off} change{'s wait' if put_off > 1 else ' waits'} until it runs"
        sentence = f"Cluster {desired.identifier} is stopped, {hibernation.why(desired, now)}; {until}."
        waits.append(Wait(reason, sentence))
    return arranged


def _arranged(
    desired: Desired, observed: Observed, cluster: Cluster, steps: Iterable[Step], waits: list[Wait], now: datetime
) -> list[Step]:
    """Which of the steps may run now: one change of the cluster at a time, one of each instance, and what its users notice alone and in its window.

    A step that rests takes nobody's place.
    """
    cluster_free = cluster.status == AVAILABLE
    busy = {i.identifier for i in observed.instances.values() if i.status != AVAILABLE}
    timely = changes.in_time(desired, cluster, now)
    disturbed, quiet = False, True
    arranged: list[Step] = []
    for step in steps:
        if step.when is not When.NOW or rests(step, observed.held, now):
            arranged.append(step)
            continue
        allowed = step
        # Stopping is asked for by the spec itself, in so many words, and needs no window.
        if step.effect in _DISTURBING and step.operation != "StopDBCluster" and not timely:
            arranged.append(replace(step, when=When.MAINTENANCE_WINDOW))
            continue
        if step.effect in _DISTURBING:
            free = _serves(step, observed, cluster) and not disturbed and quiet
            disturbed = disturbed or free
        elif step.operation == "ModifyDBCluster":
            free, cluster_free = cluster_free and not disturbed, False
        elif step.operation == "ModifyDBInstance":
            name = step.parameters["DBInstanceIdentifier"]
            free = cluster_free and name not in busy and not disturbed
            busy.add(name)
        elif step.operation in ("CreateDBInstance", "DeleteDBInstance"):
            free = cluster_free and not disturbed
        else:
            free = True
        if not free:
            allowed = _later(step)
        elif step.service == "rds" and not step.facet.startswith(("tags", "subnets")):
            # What the cluster is in the middle of must end before anybody is disturbed.
            quiet = quiet and step.effect in _DISTURBING
        arranged.append(allowed)
    windowed = next((s for s in arranged if s.when is When.MAINTENANCE_WINDOW), None)
    if windowed is not None:
        waits.append(states.window_wait(desired, cluster, windowed, now))
    return arranged


def _serves(step: Step, observed: Observed, cluster: Cluster) -> bool:
    """Whether everything serves, so that one may be disturbed; what is broken itself is disturbed by no step that is to mend it."""
    mended = observed.instances.get(step.parameters.get("DBInstanceIdentifier", ""))
    broken = mended is not None and mended.status in states.BROKEN
    return cluster.status == AVAILABLE and all(
        i.status == AVAILABLE or (broken and i.status in states.BROKEN) for i in observed.instances.values()
    )


def _names_group(step: Step) -> bool:
    return any(
        name in step.parameters
        for name in ("DBClusterParameterGroupName", "DBParameterGroupName")
        if step.operation in ("ModifyDBCluster", "CreateDBInstance", "ModifyDBInstance")
    )


def _later(step: Step) -> Step:
    return step if step.when is When.AFTER_CONSENT else replace(step, when=When.LATER)


def _later_than(desired: Desired) -> Refusal:
    sentence = (
        f"AuroraCluster {desired.rival}, which is older, asks for cluster {desired.identifier} too: "
        "write another spec.clusterIdentifier, or delete one of the two objects."
    )
    return Refusal(Reason.NOT_OWNED, sentence, again=30.0)
