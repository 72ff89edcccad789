"""Whose cluster it is. A cluster is ours when it carries our owner tag, or is the very cluster (by its resource id) that the status says we made."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import Cluster, Instance
from penstock.engine.owners import earlier_self, marked, who
from penstock.engine.plan import Refusal
from penstock.engine.tenancy import Source


class Claim(StrEnum):
    """Ours; to be adopted now that the spec says so; or adopted, and still to be marked."""

    OURS = "Ours"
    ADOPT = "Adopt"


def knows(desired: Desired, observed: Observed) -> bool:
    """Whether the status already names this very cluster: AWS gives each a resource id that no other cluster of that name ever has."""
    cluster = observed.cluster
    return cluster is not None and bool(cluster.resource_id) and desired.status.resource_id == cluster.resource_id


def claim(desired: Desired, observed: Observed) -> Claim | Refusal:
    """Whether the plan may touch the cluster, or the sentence that says why not."""
    cluster = observed.cluster
    assert cluster is not None
    if observed.renamed is not None:
        # A restored copy may carry our tag as well: the id decides.
        return renamed(desired, observed, observed.renamed)
    owner = cluster.tags.get(OWNER_TAG, "")
    if owner == desired.owner:
        return Claim.OURS
    if owner and not earlier_self(owner, desired.owner):
        return Refusal(
            Reason.NOT_OWNED,
            f"Cluster {cluster.identifier} belongs to {who(owner)}: delete that object with deletionPolicy Retain, "
            "or write another spec.clusterIdentifier here.",
        )
    if knows(desired, observed):
        return Claim.OURS
    if desired.spec.adopt:
        forbidden = desired.tenancy.refusal(desired.owner, taken_over(cluster), "take over")
        return forbidden or Claim.ADOPT
    before = "an earlier object of this name" if owner else "somebody else"
    return Refusal(
        Reason.ALREADY_EXISTS,
        f"Cluster {cluster.identifier} exists already and was made by {before}: set spec.adopt: true to take it over, "
        "or write another spec.clusterIdentifier.",
    )


def shown(desired: Desired, cluster: Cluster) -> bool:
    """Whether the status shows already what taking over this very cluster comes to; its id is written only once the cluster is ours."""
    shown_of, made = (t and int(t.timestamp()) for t in (desired.status.created_at, cluster.created))
    return bool(cluster.arn) and desired.status.cluster_arn == cluster.arn and shown_of == made


def taken_over(cluster: Cluster) -> Source:
    """The cluster as the subject of a permission."""
    return Source("cluster", cluster.identifier, cluster.tags, tagging(cluster.arn))


def tagging(arn: str) -> str:
    """The AWS command that tags a resource of RDS, up to its tags."""
    return f"aws rds add-tags-to-resource --resource-name {arn} --tags"


def doubts(desired: Desired, observed: Observed) -> list[str]:
    """What a printed plan cannot judge of the permissions that the object needs."""
    cluster = observed.cluster
    adopted = cluster if desired.spec.adopt and not knows(desired, observed) else None
    return desired.tenancy.notes(desired.owner, observed.source, taken_over(adopted) if adopted is not None else None)


def renamed(desired: Desired, observed: Observed, ours: Cluster) -> Refusal:
    """Where the object's cluster is, and what to write: nothing is created, changed or deleted meanwhile."""
    name, there = desired.identifier, ours.identifier
    rename = f"aws rds modify-db-cluster --db-cluster-identifier {there} --new-db-cluster-identifier {name} --apply-immediately"
    if desired.status.cluster_identifier in (None, there):
        return Refusal(
            Reason.RENAMED,
            f"spec.clusterIdentifier asks for {name}, but the cluster of this object is called {there} in AWS. "
            f"Write spec.clusterIdentifier: {there}, or rename the cluster: {rename}",
        )
    if observed.cluster is None:
        return Refusal(
            Reason.RENAMED,
            f"Cluster {name} was renamed to {there} in AWS. To follow it, set spec.clusterIdentifier: {there}. To rename it back: {rename}",
        )
    return Refusal(
        Reason.RENAMED,
        f"Cluster {name} was renamed to {there} in AWS, and another cluster is called {name} now. Penstock changes neither. "
        f"To keep the one that Penstock has, set spec.clusterIdentifier: {there}. To take the other one, set "
        f"spec.deletionPolicy: Retain, delete this object, and apply it again with spec.adopt: true.",
    )


def made(desired: Desired, instance: Instance) -> bool:
    """Whether the operator made the instance for this object, or took it over with its cluster; never one that another object's tag stands on."""
    managed = desired.status.managed.instances if desired.status.managed else ()
    owner = instance.tags.get(OWNER_TAG, "")
    return owner == desired.owner or (
        instance.identifier in managed and (not owner or earlier_self(owner, desired.owner))
    )


def as_marked(desired: Desired, observed: Observed) -> Desired:
    """The same object under the owner that its cluster's tag names, when that is this very object; see engine.owners.marked."""
    theirs = observed.cluster.tags.get(OWNER_TAG, "") if observed.cluster else ""
    return replace(desired, owner=marked(theirs, desired.owner, desired.uid))
