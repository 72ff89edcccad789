"""The instances: how many, of which class, in which order they change. Pure.

Invariants (tests/unit/test_aurora_plan_properties.py): the writer, whoever it is, is never removed by scaling in; at most one instance at a time is
disturbed, and only when all others serve; readers go first, and a writer that has a healthy reader is relieved by a failover before it is touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from penstock.api.conditions import Reason
from penstock.aurora import groups, requests
from penstock.aurora.changes import Change, combined, moves_group, tag_steps
from penstock.aurora.groups import CLUSTER, INSTANCE
from penstock.aurora.ownership import made
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AUTOSCALED, AVAILABLE, Cluster, Insights, Instance
from penstock.engine.plan import Effect, Refusal, Step, Wait, When

DELETING = "deleting"
FAILED = (
    "failed",
    "incompatible-network",
    "incompatible-parameters",
    "incompatible-restore",
    "inaccessible-encryption-credentials",
)


@dataclass
class Found:
    """What there is to do with the instances, and what is waited for or refused."""

    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def present(desired: Desired, observed: Observed) -> list[Instance]:
    """The instances that count: there, not going, and not made by Application Auto Scaling where that decides on its own. By name."""
    autoscaled = desired.spec.instances.reader_autoscaling is not None or bool(
        desired.status.managed and desired.status.managed.reader_autoscaling
    )
    return [
        i
        for _, i in sorted(observed.instances.items(), key=lambda pair: _place(desired, pair[0]))
        if i.status != DELETING and not (autoscaled and i.identifier.startswith(AUTOSCALED))
    ]


def readers_ready(desired: Desired, observed: Observed) -> tuple[int, int]:
    """Readers that serve, and readers that are wanted (those that there are, where the spec does not say)."""
    cluster = observed.cluster
    if cluster is None:
        return 0, desired.spec.instances.readers or 0
    readers = [i for i in present(desired, observed) if i.identifier != cluster.writer]
    ready = sum(1 for i in readers if i.status == AVAILABLE and cluster.member(i.identifier) is not None)
    wanted = desired.spec.instances.readers
    return ready, len(readers) if wanted is None else wanted


def steps(desired: Desired, observed: Observed, cluster: Cluster, family: str, values: groups.Wanted) -> Found:
    """In the order in which they are to be done. The caller says which of them may run now."""
    found = Found()
    there = present(desired, observed)
    group = None
    if not moves_group(desired, observed, cluster, INSTANCE):
        group = groups.name_of(desired, observed, INSTANCE, family, values.instance, "")
    # How many there are is not known while one that the cluster lists was not seen itself.
    if all(m.identifier in observed.instances for m in cluster.members):
        _scale_out(desired, observed, there, _group_of_new(desired, observed, cluster, group, values), found)
        _scale_in(desired, cluster, there, found)
    going = {s.parameters.get("DBInstanceIdentifier") for s in found.steps if s.operation == "DeleteDBInstance"}
    staying = [i for i in there if i.identifier not in going]
    for instance in staying:
        if made(desired, instance):
            found.steps += tag_steps(desired, instance.arn, instance.tags, f"instance {instance.identifier}")
        moves = bool(group and instance.parameter_group and group != instance.parameter_group)
        move = (
            [_group_change(instance, group or "")] if moves and not instance.identifier.startswith(AUTOSCALED) else []
        )
        taken = INSTANCE in values.taken
        found.steps += _quiet(desired, observed, cluster, instance, [] if taken else move)
        if taken:
            steps = _modification(desired, observed, instance, move)
            found.steps += groups.exchange(desired, observed, INSTANCE, family, values, steps)
    _disturbing(desired, observed, cluster, staying, found)
    return found


def _scale_out(desired: Desired, observed: Observed, there: list[Instance], group: str | None, found: Found) -> None:
    wanted = desired.spec.instance_count
    if wanted is None:
        # Readers are not managed, but a cluster without any instance serves nobody.
        wanted = max(1, len(there))
    going = {n for n, i in observed.instances.items() if i.status == DELETING and there}
    taken = (set(observed.instances) - going) | observed.elsewhere
    writer = observed.instances.get(observed.cluster.writer) if observed.cluster else None
    placed = Counter(i.zone for i in observed.instances.values() if i.zone and i.status != DELETING)
    ordinal = 0
    for _ in range(wanted - len(there)):
        ordinal += 1
        while desired.instance(ordinal) in taken:
            ordinal += 1
        name = desired.instance(ordinal)
        if name in going:
            # It is made again under its own name, which an override may be for; while others serve there is time for that.
            continue

        def create(zone: str | None, name: str = name) -> Step:
            return _creation(desired, name, zone, group, writer)

        zone = _zone(desired, observed, ordinal, placed, create)
        if zone:
            placed[zone] += 1
        found.steps.append(create(zone))


def _creation(desired: Desired, name: str, zone: str | None, group: str | None, writer: Instance | None) -> Step:
    parameters = requests.create_instance(desired, name, zone, group, writer)
    where = f" in {zone}" if zone else ""
    again = (
        ("Recreating", f"Instance {name} was gone; making it again.")
        if desired.status.managed is not None and name in desired.status.managed.instances
        else None
    )
    return Step(
        "rds",
        "CreateDBInstance",
        parameters,
        f"make instance {name} ({parameters['DBInstanceClass']}{where})",
        facet="instances",
        told=again,
    )


def _zone(
    desired: Desired, observed: Observed, ordinal: int, placed: Counter[str], create: Callable[[str], Step]
) -> str | None:
    """The zone of a new instance: the spec's, else the one of the subnets' zones with the fewest; None leaves it to AWS.

    AWS takes only the three zones of the cluster's storage (API reference, CreateDBInstance.AvailabilityZone).
    """
    own = desired.spec.instances.override(ordinal).zone
    if own or observed.subnet_group is None:
        return own
    covered = {s.zone for s in observed.subnet_group.subnets if s.zone}
    storage = set(observed.cluster.zones) if observed.cluster else set()
    zones = sorted(covered & storage or covered)

    def refused(zone: str) -> bool:
        # A class that is not to be had in one zone may be in another.
        held = observed.held.get(create(zone).id)
        return held is not None and not held.accepted

    free = [z for z in zones if not refused(z)] or zones
    return min(free, key=lambda z: (placed[z], z), default=None)


def _scale_in(desired: Desired, cluster: Cluster, there: list[Instance], found: Found) -> None:
    wanted = desired.spec.instance_count
    if wanted is None or len(there) <= wanted:
        return
    if not cluster.writer:
        found.waits.append(
            Wait(Reason.FAILING_OVER, f"Readers are removed once cluster {cluster.identifier} has a writer again.", 5.0)
        )
        return
    readers = [i for i in there if i.identifier != cluster.writer]

    def ours(instance: Instance) -> bool:
        # What was taken over under a name of its own is not lightly given up.
        return made(desired, instance) and desired.ordinal(instance.identifier) is not None

    def order(instance: Instance) -> tuple[bool, bool, bool, int]:
        """What others added before ours, and ours before what was taken over; whoever does not serve before who does, the highest ordinal first.

        A reader that somebody adds by hand must not cost one that the spec asked for.
        """
        ordinal = desired.ordinal(instance.identifier)
        known = made(desired, instance)
        return (known, known and ordinal is None, instance.status == AVAILABLE, -(ordinal or 0))

    readers.sort(key=order)
    for instance in readers[: len(there) - wanted]:
        own = ours(instance)
        # AWS refuses an instance that is being made.
        when = When.LATER if instance.status == "creating" else When.NOW
        found.steps.append(
            Step(
                "rds",
                "DeleteDBInstance",
                {"DBInstanceIdentifier": instance.identifier},
                f"delete reader {instance.identifier}" + ("" if own else ", which somebody else made"),
                effect=Effect.DESTROY,
                when=when if own else When.AFTER_CONSENT,
                facet="instances",
                told=("ScalingIn", f"Deleting reader {instance.identifier}."),
            )
        )


def _group_of_new(
    desired: Desired, observed: Observed, cluster: Cluster, group: str | None, values: groups.Wanted
) -> str | None:
    """The parameter group of a new instance: where the others have somebody else's, theirs, since a failover may lead to it."""
    if group is not None and INSTANCE not in values.taken:
        return group
    writer = observed.instances.get(cluster.writer)
    theirs = writer.parameter_group if writer is not None else ""
    return theirs if theirs and groups.is_foreign(desired, observed, INSTANCE, theirs) else None


def _quiet(
    desired: Desired, observed: Observed, cluster: Cluster, instance: Instance, exchanged: list[Change]
) -> list[Step]:
    """What nobody notices: tier, Performance Insights, addresses, the parameter group. Not of what Application Auto Scaling made."""
    spec, changes = desired.spec, []
    if instance.identifier.startswith(AUTOSCALED):
        return []
    ordinal = desired.ordinal(instance.identifier)
    tier = spec.instances.override(ordinal).promotion_tier if ordinal is not None else None
    member = cluster.member(instance.identifier)
    have = instance.tier if instance.tier is not None else member.tier if member else None
    if tier is not None and have is not None and tier != have:
        changes.append(Change(f"promotion tier {have} → {tier}", {"PromotionTier": tier}, have))
    public = spec.network.publicly_accessible if spec.network else None
    if public is not None and instance.publicly_accessible is not None and public != instance.publicly_accessible:
        changes.append(Change(f"public address {'on' if public else 'off'}", {"PubliclyAccessible": public}))
    changes += _insights(desired, instance.performance_insights)
    return _modification(desired, observed, instance, [*changes, *exchanged])


def _group_change(instance: Instance, group: str) -> Change:
    words = f"instance parameter group {instance.parameter_group} → {group}"
    return Change(words, {"DBParameterGroupName": group}, instance.parameter_group)


def _modification(desired: Desired, observed: Observed, instance: Instance, changes: list[Change]) -> list[Step]:
    return combined(
        desired,
        "ModifyDBInstance",
        {"DBInstanceIdentifier": instance.identifier},
        "instances",
        changes,
        observed.held,
        whose=f"instance {instance.identifier}",
    )


def _insights(desired: Desired, have: Insights | None) -> list[Change]:
    wanted = desired.spec.performance_insights
    if wanted is None or have is None:
        return []
    retention = wanted.retention_days
    if wanted.enabled == have.enabled and (not wanted.enabled or retention in (None, have.retention)):
        return []
    words = f"on, {retention} days" if wanted.enabled and retention else "on" if wanted.enabled else "off"
    return [Change(f"Performance Insights {words}", requests.insights(wanted))]


def _disturbing(desired: Desired, observed: Observed, cluster: Cluster, staying: list[Instance], found: Found) -> None:
    """Class changes and reboots: readers first, the writer last, and relieved by a failover where a reader can take over."""
    ordered = sorted(staying, key=lambda i: i.identifier == cluster.writer)
    owed = False
    for instance in ordered:
        writer = instance.identifier == cluster.writer
        # Of those that autoscaling made only they are here that count as readers of the spec: their class is as autoscaling chose it, but a
        # parameter of the spec holds for all that count.
        wanted = None if instance.identifier.startswith(AUTOSCALED) else desired.class_of(instance.identifier)
        steps: list[Step] = []
        if wanted and instance.instance_class and wanted != instance.instance_class:
            steps = [_class_change(desired, instance, wanted)]
        elif _must_reboot(desired, observed, cluster, instance):
            steps = [_reboot(instance, writer=writer)]
        if steps and writer and not owed:
            steps = _relieved(desired, instance, steps[0], _heir(desired, cluster, staying))
        if writer and owed:
            # A reader's step may rest because AWS refused it, and then takes nobody's place: the writer's must wait all the same.
            steps = [replace(s, when=When.LATER) for s in steps]
        owed = owed or bool(steps)
        found.steps += steps


def _class_change(desired: Desired, instance: Instance, wanted: str) -> Step:
    name = instance.identifier
    summary = f"change the class of {name} from {instance.instance_class} to {wanted}"
    return Step(
        "rds",
        "ModifyDBInstance",
        {"DBInstanceIdentifier": name, "DBInstanceClass": wanted, "ApplyImmediately": True},
        summary,
        effect=Effect.RESTART,
        facet="instances",
        before=instance.instance_class,
        drift=f"Instance {name} had become {instance.instance_class}; set back to {wanted}." if desired.settled else "",
        told=("Modifying", f"Changing the class of {name} from {instance.instance_class} to {wanted}."),
    )


def _relieved(desired: Desired, writer: Instance, change: Step, heir: Instance | None) -> list[Step]:
    """The change of the writer behind a failover; without a reader that can take over, in place, which the summary says."""
    name, changes_class = writer.identifier, change.operation == "ModifyDBInstance"
    if heir is None:
        return [change if changes_class else replace(change, summary=f"{change.summary}; no reader can take over")]
    so_that = f"the class of {name} can change" if changes_class else f"{name} can be rebooted"
    before = f"the class of {name} changes" if changes_class else f"{name} is rebooted"
    failover = Step(
        "rds",
        "FailoverDBCluster",
        {"DBClusterIdentifier": desired.identifier, "TargetDBInstanceIdentifier": heir.identifier},
        f"fail over from {name} to {heir.identifier}, so that {so_that}",
        effect=Effect.FAILOVER,
        facet="instances",
        before=name,
        told=("FailingOver", f"Failing over from {name} to {heir.identifier} before {before}."),
    )
    # Once the failover is done the old writer is a reader like the others.
    return [failover, replace(change, when=When.LATER)]


def _heir(desired: Desired, cluster: Cluster, staying: Iterable[Instance]) -> Instance | None:
    """The reader that takes over: it serves, has the class that is wanted of it already, and comes first in the order of promotion.

    One that autoscaling made comes last: it would never be given the class of the spec.
    """
    able = [
        i
        for i in staying
        if i.identifier != cluster.writer
        and i.status == AVAILABLE
        and cluster.member(i.identifier) is not None
        and desired.class_of(i.identifier) in (None, i.instance_class)
    ]

    def tier(instance: Instance) -> int:
        member = cluster.member(instance.identifier)
        return member.tier if member else 15

    return min(able, key=lambda i: (i.identifier.startswith(AUTOSCALED), tier(i), i.identifier), default=None)


def _must_reboot(desired: Desired, observed: Observed, cluster: Cluster, instance: Instance) -> bool:
    """A static parameter of ours waits for it. What others wait for is theirs to decide; it is on the status."""
    member = cluster.member(instance.identifier)
    waiting = "pending-reboot"
    of_cluster = member is not None and member.parameter_status == waiting
    of_instance = instance.parameter_apply_status == waiting
    return groups.managed(desired) and (
        (of_cluster and not groups.is_foreign(desired, observed, CLUSTER, cluster.parameter_group))
        or (of_instance and not groups.is_foreign(desired, observed, INSTANCE, instance.parameter_group))
    )


def _reboot(instance: Instance, *, writer: bool) -> Step:
    name = instance.identifier
    return Step(
        "rds",
        "RebootDBInstance",
        {"DBInstanceIdentifier": name},
        f"reboot {'writer' if writer else 'reader'} {name}, so that its static parameters take effect",
        effect=Effect.RESTART,
        facet="instances",
        told=("Rebooting", f"Rebooting {name}, so that its static parameters take effect."),
    )


def _place(desired: Desired, name: str) -> tuple[int, int, str]:
    """Ours by their ordinals, then what others named."""
    ordinal = desired.ordinal(name)
    return (0, ordinal, name) if ordinal is not None else (1, 0, name)
