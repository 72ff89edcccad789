"""Reading a cluster: the cluster and its instances from what is read for all (inventory.py), the rest rarely and only what the spec asks for
(facets.py), and what AWS offers once a day for all clusters of a region (catalogue.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from penstock.api.conditions import Reason
from penstock.api.meta import OWNER_TAG
from penstock.aurora.catalogue import Catalogue
from penstock.aurora.facets import Facets, cycle
from penstock.aurora.inventory import Inventory, View
from penstock.aurora.memory import MISSING, NEVER, Memory, group_facet, subnets_facet
from penstock.aurora.state import Desired, Observed
from penstock.aws import rds
from penstock.aws.account import Account
from penstock.aws.rds import Cluster, Instance
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Look
from penstock.engine.kube import Kube

RESTING = frozenset(
    {
        "available",
        "stopped",
        "storage-full",
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-create",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
        "cloning-failed",
        "migration-failed",
    }
)
"""States that AWS does not leave by itself soon (Aurora guide, "Viewing cluster status" and "Viewing DB instance status")."""

# Seconds within which a describe call shows what was made, as dynamo's: RDS promises no figure.
_APPEARS = 20.0
# Seconds for which a transition, and a write, keep the inventory hurrying without another pass.
HURRY = 90.0
_SETTLES = 15.0


@dataclass
class Observer:
    """Reads clusters of one account. kube: for Secrets; None without a cluster. clock: the present time in UTC, for tests.

    assume_absent: whether a new object's groups are taken for absent without a look, since making them tells.
    """

    account: Account
    inventory: Inventory
    kube: Kube | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    assume_absent: bool = True
    catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        self.catalogue = Catalogue(self.account)

    async def observe(self, desired: Desired, memory: Memory, look: Look) -> Observed:
        """What the plan needs to know. Raises Trouble when the cluster itself cannot be read, KubeError when the Secret cannot."""
        if look.fresh:
            memory.clear()
        if desired.generation != memory.generation:
            # An edit may mend what AWS refused.
            memory.held.clear()
            memory.generation = desired.generation
        if memory.get("identifier") not in (MISSING, desired.identifier):
            # It follows a rename: what was known by the old name is not known of the new one.
            memory.clear()
        memory.put("identifier", desired.identifier, 0.0)
        view, cluster, instances = await self._cluster(desired, memory, look)
        renamed = view.renamed
        missing = cluster is None or cluster.resource_id != desired.status.resource_id
        if renamed is None and missing and desired.status.resource_id:
            renamed = await self._by_id(desired, look)
        memory.note_state(cluster, instances, self.clock())
        self._hurry(desired, memory, cluster, instances)
        facets = Facets(
            self.account,
            self.catalogue,
            self.kube,
            desired,
            memory,
            look,
            cluster,
            instances,
            self.assume_absent,
            cycle(self.inventory.watched(desired.region)),
            renamed=renamed,
        )
        observed = await facets.observed(self.inventory.age(desired.region))
        memory.must_look = False
        since = asyncio.get_running_loop().time() - view.cluster_read_at
        read_at = self.clock() - timedelta(seconds=since) if view.cluster_read_at > NEVER else None
        users = self._users(desired, observed) if desired.absent else {}
        elsewhere = frozenset(i for i in view.elsewhere if desired.ordinal(i) is not None)
        return replace(observed, events=view.events, read_at=read_at, renamed=renamed, users=users, elsewhere=elsewhere)

    def _users(self, desired: Desired, observed: Observed) -> dict[str, tuple[str, ...]]:
        kept = [("subnets", name) for name in observed.subnet_groups]
        asked = {group_facet(level, name): (level, name) for level, name in observed.groups}
        asked |= {subnets_facet(name): (level, name) for level, name in kept}
        found = {facet: self.inventory.users(desired.region, *group) for facet, group in asked.items()}
        return {facet: users for facet, users in found.items() if users}

    async def _by_id(self, desired: Desired, look: Look) -> Cluster | None:
        """The object's cluster under whatever name. Before one is created in its place, a list that may lack it for a moment is not enough."""
        wanted = {"Name": "db-cluster-resource-id", "Values": [desired.status.resource_id]}
        try:
            answer = await self.account.call(
                "rds", "DescribeDBClusters", {"Filters": [wanted]}, region=desired.region, priority=look.priority
            )
        except Trouble as trouble:
            # An emulator may not know the filter.
            if trouble.meaning not in (Meaning.INVALID, Meaning.UNKNOWN, Meaning.MISSING):
                raise
            return None
        found = map(rds.cluster, answer.get("DBClusters") or ())
        ours = next((c for c in found if c.resource_id == desired.status.resource_id), None)
        if ours is not None and ours.identifier.lower() == desired.identifier:
            sentence = f"AWS lists cluster {desired.identifier} in one answer and not in another; reading again."
            raise Trouble(Meaning.BUSY, Reason.BUSY, sentence, operation="DescribeDBClusters", retry_after=2.0)
        return ours

    def _met(self, desired: Desired) -> float:
        """When the object came, in time of the event loop: a second after its creation by the API server's clock, and not later than now.

        Many that came together share the first read after that; each of them waiting for one of its own would keep all workers waiting.
        """
        now = asyncio.get_running_loop().time()
        try:
            created = datetime.fromisoformat(desired.created_at)
        except ValueError:
            return now
        # Timestamps of the API server have whole seconds, cut off.
        return min(now, now - (self.clock() - created).total_seconds() + 1.0)

    async def _cluster(
        self, desired: Desired, memory: Memory, look: Look
    ) -> tuple[View, Cluster | None, dict[str, Instance]]:
        if memory.met == NEVER:
            memory.met = self._met(desired)
        clusters_newer_than = memory.clusters_written
        if not desired.absent and not desired.status.resource_id:
            # Whoever took the name a moment ago is seen before anything is made beside their cluster.
            clusters_newer_than = max(clusters_newer_than, memory.met)
        view = await self.inventory.view(
            desired.region,
            desired.identifier,
            fresh=look.fresh or memory.must_look,
            clusters_newer_than=None if clusters_newer_than == NEVER else clusters_newer_than,
            instances_newer_than=None if memory.instances_written == NEVER else memory.instances_written,
            priority=look.priority,
            known_as=partial(_is_meant, desired),
        )
        unreadable = self.inventory.trouble(desired.region)
        if unreadable is not None and unreadable.meaning is Meaning.DENIED:
            # No pace and no patience ends that: it is told at once, and not once what is known has become old.
            raise unreadable
        now = asyncio.get_running_loop().time()
        cluster = _with_made(memory, view, now)
        if cluster is None and desired.absent and now - memory.perhaps_made < _APPEARS:
            sentence = f"AWS does not show cluster {desired.identifier} yet, which it may have made; looking again."
            raise Trouble(Meaning.BUSY, Reason.BUSY, sentence, operation="DescribeDBClusters", retry_after=2.0)
        if cluster is not None:
            memory.perhaps_made = NEVER
        before = memory.get("resource_id")
        if cluster is not None and cluster.resource_id:
            if before is not MISSING and before != cluster.resource_id:
                # Another cluster of the same name: nothing that was known of the old one holds.
                memory.clear()
            memory.put("resource_id", cluster.resource_id, now)
        return view, cluster, _with_made_instances(memory, view, now)

    def _hurry(
        self, desired: Desired, memory: Memory, cluster: Cluster | None, instances: Mapping[str, Instance]
    ) -> None:
        now = asyncio.get_running_loop().time()
        seconds = HURRY if in_transition(cluster, instances) else max(0.0, memory.acted + _SETTLES - now)
        self.inventory.hurry(desired.region, desired.identifier, seconds)


def in_transition(cluster: Cluster | None, instances: Mapping[str, Instance]) -> bool:
    """Whether AWS is in the middle of something with the cluster or an instance of it."""
    if cluster is not None and cluster.status not in RESTING:
        return True
    if any(i.status not in RESTING for i in instances.values()):
        return True
    # An instance that is listed by its cluster and not yet shown itself, or the other way round.
    return cluster is not None and any(m.identifier not in instances for m in cluster.members)


def _is_meant(desired: Desired, cluster: Cluster) -> bool:
    """Whether it is the object's cluster: by AWS's id once that is known, else by the owner tag that it was created with."""
    known = desired.status.resource_id
    return cluster.resource_id == known if known else cluster.tags.get(OWNER_TAG) == desired.owner


def _with_made(memory: Memory, view: View, now: float) -> Cluster | None:
    """The cluster, as AWS answered to its creation until a read shows it."""
    if memory.made is None:
        return view.cluster
    cluster, at = memory.made
    if view.cluster_read_at < at or (view.cluster is None and now - at < _APPEARS):
        return cluster
    memory.made = None
    return view.cluster


def _with_made_instances(memory: Memory, view: View, now: float) -> dict[str, Instance]:
    found = dict(view.instances)
    for name, (instance, at) in list(memory.made_instances.items()):
        if name not in found and (view.instances_read_at < at or now - at < _APPEARS):
            found[name] = instance
        elif view.instances_read_at >= at:
            del memory.made_instances[name]
    return found
