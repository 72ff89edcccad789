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
    owner = cluster.tags.get(OWNER_TAG, "")
    if owner == desired.owner:
        return Claim.OURS
    if owner and not earlier_self(owner, desired.owner):
        return Refusal(
            Reason.NOT_OWNED,
            f"Cluster {cluster.identifier} belongs to {who(owner)}: delete that object with deletionPolicy Retain, "
            "or delete this one, which leaves the cluster alone, and make it with another spec.clusterIdentifier.",
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
        "or delete this object, which leaves the cluster alone, and make it with another spec.clusterIdentifier.",
    )


def taken_over(cluster: Cluster) -> Source:
    """The cluster as the subject of a permission."""
    return Source("cluster", cluster.identifier, cluster.tags, tagging(cluster.arn))


def tagging(arn: str) -> str:
    """The AWS command that tags a resource of RDS, up to its tags."""
    return f"aws rds add-tags-to-resource --resource-name {arn} --tags"


def restored_from(desired: Desired, observed: Observed) -> Refusal | None:
    """Why nothing may be restored from what the spec names."""
    if observed.source is None or not observed.source.exists:
        # AWS says best what it lacks.
        return None
    return desired.tenancy.refusal(desired.owner, observed.source, "restore from")


def doubts(desired: Desired, observed: Observed) -> list[str]:
    """What a printed plan cannot judge of the permissions that the object needs."""
    notes = (
        [desired.tenancy.note(desired.owner, observed.source, "restore from")]
        if observed.source and observed.source.exists
        else []
    )
    if desired.spec.adopt and observed.cluster is not None and not knows(desired, observed):
        notes.append(desired.tenancy.note(desired.owner, taken_over(observed.cluster), "take over"))
    return [note for note in notes if note]


def made(desired: Desired, instance: Instance) -> bool:
    """Whether the operator made the instance for this object, or took it over with its cluster."""
    managed = desired.status.managed.instances if desired.status.managed else ()
    return instance.tags.get(OWNER_TAG) == desired.owner or instance.identifier in managed


def as_marked(desired: Desired, observed: Observed) -> Desired:
    """The same object under the owner that its cluster's tag names, when that is this very object; see engine.owners.marked."""
    theirs = observed.cluster.tags.get(OWNER_TAG, "") if observed.cluster else ""
    return replace(desired, owner=marked(theirs, desired.owner, desired.uid))
