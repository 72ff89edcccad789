"""Taking a cluster down: instances first, then the cluster with its final snapshot, then the groups that were made for it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from penstock.api.conditions import Reason
from penstock.api.forms import DeletionPolicy
from penstock.api.meta import ADOPTABLE_BY, OWNER_TAG
from penstock.aurora import groups, scaling
from penstock.aurora.ownership import Claim, claim
from penstock.aurora.state import Desired, Observed
from penstock.aurora.topology import DELETING
from penstock.aws.rds import AVAILABLE, Cluster, Snapshot
from penstock.engine.plan import Effect, Plan, Refusal, Step, Wait, When

# For how long a group that something else uses keeps the object.
_PATIENCE = timedelta(minutes=10)
# States in which AWS deletes neither a cluster nor an instance; what it says of others is met by the pace of the step.
_UNTOUCHABLE = ("creating", "starting", "stopping", "failing-over", "upgrading", "renaming", "migrating")


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """gone is set once nothing is left that the operator has to take down."""
    cluster = observed.cluster
    if observed.renamed is not None:
        return _renamed(desired, observed.renamed)
    if cluster is None:
        return _groups(desired, observed, now)
    if claim(desired, observed) is not Claim.OURS:
        # What was created for a cluster that then became somebody else's is still ours.
        note = f"cluster {cluster.identifier} was never ours and stays"
        return replace(_around(observed, now, groups.deletion_steps(desired, observed)), notes=(note,))
    if desired.spec.deletion_policy is DeletionPolicy.RETAIN:
        return _retain(desired, observed, cluster)
    if cluster.status == DELETING:
        sentence = f"Cluster {cluster.identifier} is being deleted by AWS{_kept(desired)}."
        return Plan(waits=(Wait(Reason.DELETING, sentence, 10.0),))
    if cluster.deletion_protection and desired.spec.deletion_protection is not False:
        sentence = (
            f"Deletion waits: AWS deletion protection of cluster {cluster.identifier} is on; "
            "set spec.deletionProtection: false to let it go."
        )
        return Plan(refusals=(Refusal(Reason.DELETION_PROTECTED, sentence, again=15.0),))
    if cluster.status == "stopped":
        return Plan((_start(desired, "so that it can be deleted: AWS deletes no stopped cluster"),))
    if cluster.status in _UNTOUCHABLE:
        sentence = f"Deletion waits: cluster {cluster.identifier} is {cluster.status}, and AWS deletes it afterwards."
        return Plan(waits=(Wait(Reason.DELETING, sentence, 10.0),))
    before = [
        *scaling.deregistration(desired, observed),
        *_mark_snapshot(desired, cluster),
        *_unprotect(desired, cluster),
    ]
    if before:
        return Plan(tuple(before), (), ())
    return _down(desired, observed, cluster)


def _down(desired: Desired, observed: Observed, cluster: Cluster) -> Plan:
    instances = sorted(observed.instances.values(), key=lambda i: (i.identifier == cluster.writer, i.identifier))
    if not instances:
        return _delete(desired, observed, cluster)
    steps = [
        Step(
            "rds",
            "DeleteDBInstance",
            {"DBInstanceIdentifier": i.identifier},
            f"delete instance {i.identifier}",
            effect=Effect.DESTROY,
            # AWS refuses an instance that is being made; everything else it takes, or says why not.
            when=When.LATER if i.status == "creating" else When.NOW,
            facet="instances",
        )
        for i in instances
        if i.status != DELETING
    ]
    names = ", ".join(i.identifier for i in instances)
    wait = Wait(Reason.DELETING, f"The instances of cluster {cluster.identifier} go first: {names}.", 10.0)
    return Plan(tuple(steps), (wait,))


def _delete(desired: Desired, observed: Observed, cluster: Cluster) -> Plan:
    parameters: dict[str, object] = {"DBClusterIdentifier": cluster.identifier}
    snapshot = desired.spec.deletion_policy is DeletionPolicy.SNAPSHOT
    if not snapshot:
        parameters["SkipFinalSnapshot"] = True
        kept = ", without a final snapshot, as deletionPolicy Delete says"
    elif not observed.snapshot_read:
        sentence = f"Looking for the final snapshot of cluster {cluster.identifier}."
        return Plan(waits=(Wait(Reason.BACKING_UP, sentence, 5.0),))
    elif observed.snapshot is not None and not _of(cluster, observed.snapshot):
        return Plan(refusals=(_stranger(observed.snapshot),))
    elif observed.snapshot is not None:
        # An earlier try took it and then failed; AWS refuses a second one of that name.
        if observed.snapshot.status != AVAILABLE:
            sentence = (
                f"The final snapshot {observed.snapshot.identifier} is {observed.snapshot.status or 'being taken'}."
            )
            return Plan(waits=(Wait(Reason.BACKING_UP, sentence, 10.0),))
        parameters["SkipFinalSnapshot"] = True
        kept = f"; its data is in snapshot {observed.snapshot.identifier}"
    else:
        parameters["FinalDBSnapshotIdentifier"] = desired.final_snapshot
        kept = f", with the final snapshot {desired.final_snapshot}"
    if snapshot:
        # Whoever wants a last snapshot wants the days before it too, for as long as their retention lasts.
        parameters["DeleteAutomatedBackups"] = False
    step = Step(
        "rds",
        "DeleteDBCluster",
        parameters,
        f"delete cluster {cluster.identifier}{kept}",
        effect=Effect.DESTROY,
        when=When.NOW if cluster.status != "backing-up" else When.LATER,
        facet="cluster",
        told=("Deleting", f"Deleting cluster {cluster.identifier}{kept}."),
        intent={"finalSnapshot": {"identifier": desired.final_snapshot}} if snapshot else None,
    )
    if step.when is When.LATER:
        sentence = f"Deletion waits: AWS is backing cluster {cluster.identifier} up."
        return Plan((step,), (Wait(Reason.BACKING_UP, sentence, 10.0),))
    return Plan((step,))


def _of(cluster: Cluster, snapshot: Snapshot) -> bool:
    """Whether the snapshot holds this very cluster's data; an emulator may tell no resource id."""
    if snapshot.cluster_resource_id and cluster.resource_id:
        return snapshot.cluster_resource_id == cluster.resource_id
    return snapshot.cluster in ("", cluster.identifier)


def _stranger(snapshot: Snapshot) -> Refusal:
    sentence = (
        f"Deletion waits: snapshot {snapshot.identifier} has the name of the final snapshot and is of another cluster "
        f"({snapshot.cluster or 'unknown'}). Delete it, or copy it under another name and delete it then: "
        f"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {snapshot.identifier}"
    )
    return Refusal(Reason.NOT_OWNED, sentence, again=30.0)


def _groups(desired: Desired, observed: Observed, now: datetime) -> Plan:
    if observed.instances:
        names = ", ".join(sorted(observed.instances))
        return Plan(waits=(Wait(Reason.DELETING, f"The instances {names} are being deleted by AWS.", 10.0),))
    if desired.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Plan(gone=True)
    steps = [*scaling.deregistration(desired, observed), *groups.deletion_steps(desired, observed)]
    return _around(observed, now, steps)


def _around(observed: Observed, now: datetime, steps: list[Step]) -> Plan:
    """Take down what stood around the cluster; what something else uses is told, and after a while left to that."""
    free, told, left = [], [], []
    until = (observed.since or now) + _PATIENCE
    for step in steps:
        users, held = observed.users.get(step.facet, ()), observed.held.get(step.id)
        refused = held.sentence if held is not None and held.reason == Reason.IN_USE else ""
        what = step.summary.removeprefix("delete ")
        if (users or refused) and now >= until:
            why = f"{', '.join(users)} still uses it" if users else refused
            left.append(f"Left {what} behind. {why.rstrip('.')}.")
        elif users:
            sentence = (
                f"Deletion waits: {what} was created for this object, and {', '.join(users)} still uses it. "
                f"It is deleted when nothing uses it, or left behind at {until:%H:%M} UTC."
            )
            told.append(Refusal(Reason.IN_USE, sentence, again=min(30.0, max(1.0, (until - now).total_seconds()))))
        else:
            free.append(step)
    gone = not free and not told
    return Plan(tuple(free), (), tuple(told), gone=gone, left=tuple(left) if gone else ())


def _renamed(desired: Desired, ours: Cluster) -> Plan:
    """Of a cluster with another name nothing is deleted before somebody says so; to leave it is always right."""
    if desired.spec.deletion_policy is DeletionPolicy.RETAIN:
        return _retain(desired, Observed(ours), ours)
    sentence = (
        f"Deletion waits: cluster {desired.identifier} was renamed to {ours.identifier} in AWS, and nothing of it is deleted. "
        f"To delete it, set spec.clusterIdentifier: {ours.identifier}. To keep it, set spec.deletionPolicy: Retain."
    )
    return Plan(refusals=(Refusal(Reason.RENAMED, sentence, again=30.0),))


def _retain(desired: Desired, observed: Observed, cluster: Cluster) -> Plan:
    """The cluster stays as it is; only our marks go, so that somebody else may adopt it."""
    marked = [("cluster " + cluster.identifier, cluster.arn, cluster.tags)]
    marked += [(f"instance {i.identifier}", i.arn, i.tags) for i in observed.instances.values()]
    steps = [
        Step(
            "rds",
            "RemoveTagsFromResource",
            {"ResourceName": arn, "TagKeys": [OWNER_TAG]},
            f"let go of {whose}",
            facet="tags",
            told=("Retained", f"Cluster {cluster.identifier} stays in AWS, as deletionPolicy Retain says.")
            if whose.startswith("cluster")
            else None,
        )
        for whose, arn, tags in reversed(marked)
        if tags.get(OWNER_TAG) == desired.owner
    ]
    if steps and ADOPTABLE_BY not in cluster.tags:
        # An object of the same namespace may take it over again.
        tag = {"Key": ADOPTABLE_BY, "Value": desired.namespace}
        summary = f"let namespace {desired.namespace} take cluster {cluster.identifier} over again"
        parameters = {"ResourceName": cluster.arn, "Tags": [tag]}
        steps = [Step("rds", "AddTagsToResource", parameters, summary, facet="tags"), *steps]
    return Plan(tuple(steps)) if steps else Plan(gone=True)


def _mark_snapshot(desired: Desired, cluster: Cluster) -> list[Step]:
    """Without our tag on the final snapshot, nobody could tell that it is this namespace's and may be restored there."""
    if desired.spec.deletion_policy is not DeletionPolicy.SNAPSHOT or cluster.copy_tags is not False:
        return []
    parameters = {"DBClusterIdentifier": desired.identifier, "CopyTagsToSnapshot": True, "ApplyImmediately": True}
    summary = f"copy the tags of {desired.identifier} to its final snapshot"
    return [Step("rds", "ModifyDBCluster", parameters, summary, facet="cluster")]


def _unprotect(desired: Desired, cluster: Cluster) -> list[Step]:
    if not cluster.deletion_protection:
        return []
    parameters = {"DBClusterIdentifier": desired.identifier, "DeletionProtection": False, "ApplyImmediately": True}
    summary = f"turn off deletion protection of {desired.identifier}"
    return [Step("rds", "ModifyDBCluster", parameters, summary, facet="cluster")]


def _start(desired: Desired, why: str) -> Step:
    parameters = {"DBClusterIdentifier": desired.identifier}
    return Step("rds", "StartDBCluster", parameters, f"start cluster {desired.identifier}, {why}", facet="cluster")


def _kept(desired: Desired) -> str:
    if desired.spec.deletion_policy is DeletionPolicy.SNAPSHOT:
        return f", with the final snapshot {desired.final_snapshot}"
    return ""
