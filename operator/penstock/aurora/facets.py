"""The parts of an observation that are an object's own: groups, autoscaling, its Secret, its final snapshot, and what AWS offers for its engine.

They are read when they are not known, after a refusal, and on a long cycle; what our own writes answer needs no read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from penstock.api.auroracluster import RestoreFrom
from penstock.api.conditions import Reason
from penstock.api.forms import DeletionPolicy
from penstock.aurora import groups, ownership, password, versions
from penstock.aurora.catalogue import Catalogue
from penstock.aurora.memory import MISSING, Memory, group_facet, subnets_facet
from penstock.aurora.ownership import Claim, claim
from penstock.aurora.requests import METRIC
from penstock.aurora.state import AWS_DEFAULT, Desired, Engine, Family, Group, Observed, Scaling
from penstock.aws import rds
from penstock.aws.account import Account
from penstock.aws.errors import UNSUPPORTED
from penstock.aws.rds import Cluster, Instance, ParameterGroup, Snapshot, SubnetGroup
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Look
from penstock.engine.kube import Kube
from penstock.engine.plan import Refusal
from penstock.engine.queue import Priority
from penstock.engine.tenancy import Source

# Seconds between two reads of groups and autoscaling that nobody said had changed.
_CYCLE = 660.0
# RDS reads of that kind of one cluster, and the seconds that each of them has to itself: all clusters of a region share one such call a minute,
# so that a hundred cost the account no more than one. With a hundred, a group is then read every eight hours; see architecture.md.
_READS, _SHARE = 5, 60.0
# An answer has no more pages than this, or its markers go round in circles.
_PAGES = 100
_SOURCES = {
    "snapshot": ("DescribeDBClusterSnapshots", "DBClusterSnapshotIdentifier", "DBClusterSnapshots"),
    "cluster": ("DescribeDBClusters", "DBClusterIdentifier", "DBClusters"),
}
# A permission that somebody gives is seen within so many seconds.
_SOURCE_CYCLE = 15.0
# Passes in a row in which AWS fails to tell a facet, after which the rest goes on without it.
_MISSES = 3


def cycle(clusters: int) -> float:
    """Seconds between two reads of a cluster's groups that nobody said had changed, in a region with so many clusters."""
    return max(_CYCLE, clusters * _READS * _SHARE)


@dataclass
class Facets:
    """One pass's reads: which facets are wanted follows from the cluster, the spec and what the status says was made.

    assume_absent: whether a new object's groups are taken for absent without a look, since making them tells. cycle: seconds between two reads of
    groups that nobody said had changed, see cycle().
    """

    account: Account
    catalogue: Catalogue
    kube: Kube | None
    desired: Desired
    memory: Memory
    look: Look
    cluster: Cluster | None
    instances: Mapping[str, Instance]
    assume_absent: bool = True
    cycle: float = _CYCLE
    renamed: Cluster | None = None
    unread: list[Trouble] = field(default_factory=list)

    async def observed(self, age: float) -> Observed:
        """What was seen. age: seconds since the account was last read. Raises Trouble for what cannot be done without, and KubeError."""
        engine = await self._try("engine", self._engine)
        families = await self._families(engine)
        parameter_groups = await self._groups(families)
        subnet_groups = await self._subnet_groups()
        scaling = await self._scaling()
        snapshot, snapshot_read = await self._snapshot()
        kms_key = await self._kms_key()
        source = await self._source()
        memory, desired = self.memory, self.desired
        return Observed(
            cluster=self.cluster,
            instances=self.instances,
            engine=engine,
            families=families,
            groups=parameter_groups,
            subnet_groups=subnet_groups,
            scaling=scaling,
            password=await password.read(self.kube, desired, memory, fresh=self.look.fresh),
            snapshot=snapshot,
            snapshot_read=snapshot_read,
            source=source,
            since=memory.since,
            held=dict(memory.held),
            age=age,
            unread=tuple((trouble.reason, trouble.sentence) for trouble in self.unread),
            kms_key=kms_key,
        )

    # Which facets are wanted

    @property
    def _aws_engine(self) -> str:
        return self.desired.spec.engine.aws_name

    @property
    def _gone(self) -> bool:
        """The object is being deleted and has no cluster, or no more: what stood around it goes now."""
        if not self.desired.absent or self.cluster is None:
            return self.desired.absent
        return claim(self.desired, Observed(cluster=self.cluster, renamed=self.renamed)) is not Claim.OURS

    @property
    def _manages_parameters(self) -> bool:
        spec, managed = self.desired.spec, self.desired.status.managed
        if spec.parameter_groups is not None and spec.parameter_groups.cluster is not None:
            return False
        asked = spec.requires_tls is not None or spec.parameters is not None
        return asked or bool(managed and managed.parameters)

    @property
    def _first_creation(self) -> bool:
        """Whether nothing of this object's can be there yet; what is there all the same is told by the attempt to make it."""
        return (
            self.assume_absent
            and not self.look.only
            and not self.look.fresh
            and not self.memory.must_look
            and not self.desired.absent
            and not self.desired.spec.adopt
            and self.cluster is None
            and not self.desired.status.cluster_arn
        )

    async def _engine(self) -> Engine | None:
        desired, catalogue = self.desired, self.catalogue
        if self.cluster is None:
            if desired.absent or desired.spec.engine.version is not None or desired.spec.restore_from is not None:
                return None
            return await catalogue.default(desired.region, self._aws_engine, self.look.priority)
        running = self.cluster.version
        if desired.absent or not versions.behind(desired.spec, running):
            return None
        return await catalogue.version(desired.region, self._aws_engine, running, self.look.priority)

    async def _families(self, engine: Engine | None) -> dict[str, Family]:
        if self.desired.absent or not self._manages_parameters:
            return {}
        found = {}
        for name in self._family_names(engine):
            read = partial(self.catalogue.family, self.desired.region, name, self.look.priority)
            family = await self._try(f"family/{name}", read)
            if family is not None:
                found[name] = family
        return found

    def _family_names(self, engine: Engine | None) -> list[str]:
        """The family of the version that runs, or will, and of the one that it is upgraded to."""
        desired = self.desired
        running = self.cluster.version if self.cluster else versions.creation_version(desired.spec, engine)
        targets = [running]
        if self.cluster is not None:
            target = versions.upgrade(desired.spec, running, engine, desired.identifier)
            if isinstance(target, str) and not isinstance(target, Refusal) and versions.is_major(running, target):
                targets.append(target)
        names = []
        for version in targets:
            try:
                names.append(versions.family(self._aws_engine, version))
            except ValueError:
                # Nothing was told, or nothing that can be read: then no group can be made either.
                continue
        return names

    # Groups

    async def _groups(self, families: Mapping[str, Family]) -> dict[tuple[str, str], Group]:
        if self.desired.absent:
            return await self._groups_left() if self._gone else {}
        found: dict[tuple[str, str], Group] = {}

        async def read(level: str, name: str) -> None:
            facet = group_facet(level, name)
            if self.memory.get(facet) is MISSING and self._first_creation:
                found[level, name] = Group()
                return
            group = await self._facet(facet, partial(self._group, level, name))
            if group is not None:
                found[level, name] = group

        for level, name in self._group_names(families):
            await read(level, name)
        if self.cluster is None:
            return found
        seen = Observed(cluster=self.cluster, instances=self.instances, groups=found)
        for family in families.values():
            # One that an earlier version of Penstock named is still to be found.
            name = self.desired.own_parameter_group(family.name)
            for level in ("cluster", "instance"):
                known = found.get((level, name))
                if (
                    known is not None
                    and known.group is None
                    and groups.own(self.desired, seen, level, family.name) == name
                ):
                    await read(level, self.desired.legacy_parameter_group(family.name))
        return found

    def _group_names(self, families: Mapping[str, Family]) -> list[tuple[str, str]]:
        """Our groups, and those in force, which may be ours under another name."""
        kept, found = self.desired.status.parameter_groups, []
        if families and self.cluster is not None:
            in_force = [("cluster", self.cluster.parameter_group)]
            in_force += [("instance", i.parameter_group) for i in self.instances.values()]
            found += [(lv, n) for lv, n in dict.fromkeys(in_force) if n and not n.startswith(AWS_DEFAULT)]
        for family in families.values():
            own = self.desired.own_parameter_group(family.name)
            found.append(("cluster", own))
            if (kept is not None and kept.instance == own) or self._of_instances(family):
                found.append(("instance", own))
        return list(dict.fromkeys(found))

    async def _groups_left(self) -> dict[tuple[str, str], Group]:
        """Every group that was made for the cluster, of whichever version: upgrades leave some behind."""
        kept = self.desired.status.parameter_groups
        named = [g for g in (kept.cluster, kept.instance) if g and self.desired.may_be_own(g)] if kept else []
        if not named and not self._manages_parameters:
            return {}
        # A group of instances that was ever in force still is; without a status nobody told.
        of_instances = kept is None or (kept.instance is not None and self.desired.may_be_own(kept.instance))
        found = {}
        for level in ("cluster", "instance") if of_instances else ("cluster",):
            left: list[ParameterGroup] = await self._facet(f"groups-left:{level}", partial(self._list, level)) or []
            for group in left:
                known = self.memory.get(group_facet(level, group.name))
                deleted = isinstance(known, Group) and known.group is None
                found[level, group.name] = Group() if deleted else Group(group)
        return found

    async def _list(self, level: str) -> list[ParameterGroup]:
        describe, _, _, listed = _GROUP_READS[level]
        all_groups = [rds.parameter_group(a) async for a in self._paged(describe, {}, listed)]
        return [replace(g, tags=await self._tags(g.arn)) for g in all_groups if self.desired.may_be_own(g.name)]

    async def _tags(self, arn: str) -> dict[str, str]:
        return rds.tags(await self._call("ListTagsForResource", {"ResourceName": arn})) if arn else {}

    def _of_instances(self, family: Family) -> bool:
        """Whether a parameter is wanted that only the instances' group has, or one was set there before."""
        managed = self.desired.status.managed
        wanted = {*(self.desired.spec.parameters or ()), *(managed.parameters if managed else ())}
        return family.known and any(name not in family.cluster and name in family.instance for name in wanted)

    async def _group(self, level: str, name: str) -> Group:
        describe, parameters, key, listed = _GROUP_READS[level]
        try:
            answer = await self._call(describe, {key: name})
        except Trouble as trouble:
            if trouble.meaning is Meaning.MISSING:
                return Group()
            raise
        group = next((rds.parameter_group(g) for g in answer.get(listed) or ()), None)
        if group is None:
            return Group()
        values: dict[str, str] = {}
        async for told in self._paged(parameters, {key: name, "Source": "user"}, "Parameters"):
            parameter = rds.parameter(told)
            # An emulator may list the defaults as well, whatever the source that is asked for.
            if parameter.value is not None and parameter.source in ("user", ""):
                values[parameter.name] = parameter.value
        return Group(replace(group, tags=await self._tags(group.arn)), values)

    async def _subnet_groups(self) -> dict[str, SubnetGroup | None]:
        found: dict[str, SubnetGroup | None] = {}
        for name in self._subnet_group_names():
            facet = subnets_facet(name)
            if self.memory.get(facet) is MISSING and self._first_creation:
                found[name] = None
                continue
            group: SubnetGroup | None = await self._facet(facet, partial(self._read_subnet_group, name))
            if self.memory.get(facet) is not MISSING:
                found[name] = group
        return found

    def _subnet_group_names(self) -> list[str]:
        desired = self.desired
        named = desired.spec.network is not None and desired.spec.network.subnet_ids is not None
        if not desired.absent:
            current = self.cluster.subnet_group if self.cluster is not None else ""
            return [current or desired.own_subnet_group] if named else []
        kept = desired.status.subnet_group or ""
        if not self._gone or not (named or desired.may_be_own(kept)):
            return []
        names = (desired.own_subnet_group, desired.legacy_subnet_group, kept)
        return [name for name in dict.fromkeys(names) if desired.may_be_own(name)]

    async def _read_subnet_group(self, name: str) -> SubnetGroup | None:
        try:
            answer = await self._call("DescribeDBSubnetGroups", {"DBSubnetGroupName": name})
        except Trouble as trouble:
            if trouble.meaning is Meaning.MISSING:
                return None
            raise
        group = next((rds.subnet_group(g) for g in answer.get("DBSubnetGroups") or ()), None)
        return replace(group, tags=await self._tags(group.arn)) if group is not None else None

    # The rest

    async def _scaling(self) -> tuple[Scaling, ...] | None:
        desired = self.desired
        asked = desired.spec.instances.reader_autoscaling is not None
        if not asked and not (desired.status.managed and desired.status.managed.reader_autoscaling):
            return None
        if self.cluster is None and not desired.absent:
            return ()
        found: tuple[Scaling, ...] | None = await self._facet("scaling", self._read_scaling, _CYCLE)
        return found

    async def _read_scaling(self) -> tuple[Scaling, ...]:
        desired = self.desired
        resource = f"cluster:{desired.identifier}"
        dimension = "rds:cluster:ReadReplicaCount"
        of_rds = {"ServiceNamespace": "rds", "ScalableDimension": dimension}
        answer = await self._call(
            "DescribeScalableTargets", {**of_rds, "ResourceIds": [resource]}, service="application-autoscaling"
        )
        targets = [t for t in answer.get("ScalableTargets") or () if t.get("ResourceId") == resource]
        if not targets:
            return ()
        answer = await self._call(
            "DescribeScalingPolicies", {**of_rds, "ResourceId": resource}, service="application-autoscaling"
        )
        # Of processor time there is one policy, however it is called; those of other metrics are somebody else's.
        policy: Mapping[str, Any] = next((p for p in answer.get("ScalingPolicies") or () if _metric(p) == METRIC), {})
        tracking, name = _tracking(policy), str(policy.get("PolicyName", ""))
        target = float(tracking.get("TargetValue") or 0)
        return tuple(Scaling(int(t["MinCapacity"]), int(t["MaxCapacity"]), target, name, tracking) for t in targets)

    async def _snapshot(self) -> tuple[Snapshot | None, bool]:
        desired, memory = self.desired, self.memory
        if not desired.absent or desired.spec.deletion_policy is not DeletionPolicy.SNAPSHOT:
            return None, False
        if self.cluster is None:
            told = desired.status.final_snapshot is not None and desired.status.final_snapshot.arn
            if told or not desired.status.cluster_arn:
                return None, False
        elif self.instances:
            return None, False
        known = memory.get("snapshot")
        # Once it is available it stays so; while it is taken, and while AWS deletes the cluster, each pass looks.
        settled = isinstance(known, Snapshot) and known.status == "available"

        async def read() -> Snapshot | None:
            try:
                answer = await self._call(
                    "DescribeDBClusterSnapshots", {"DBClusterSnapshotIdentifier": desired.final_snapshot}
                )
            except Trouble as trouble:
                if trouble.meaning is Meaning.MISSING:
                    return None
                raise
            return next((rds.snapshot(s) for s in answer.get("DBClusterSnapshots") or ()), None)

        found: Snapshot | None = await self._facet("snapshot", read, cycle=float("inf") if settled else 0.5)
        return found, memory.get("snapshot") is not MISSING

    async def _kms_key(self) -> str | None:
        encryption = self.desired.spec.encryption
        name = encryption.kms_key if encryption is not None else None
        if name is None or "alias/" not in name or self.desired.absent or self.cluster is None:
            return None

        async def read() -> str:
            try:
                answer = await self._call("DescribeKey", {"KeyId": name}, service="kms")
            except Trouble as trouble:
                if trouble.meaning is Meaning.MISSING:
                    return ""
                raise
            return str((answer.get("KeyMetadata") or {}).get("Arn", ""))

        found: str | None = await self._facet(f"kms_key:{name}", read)
        return found

    async def _source(self) -> Source | None:
        """What the spec restores from, with the tags that tell who may; None when nothing is to be restored, or it cannot be read."""
        wanted = self.desired.spec.restore_from
        if wanted is None or self.cluster is not None or self.desired.absent:
            return None
        found: Source | None = await self._facet("source", partial(self._read_source, wanted), cycle=_SOURCE_CYCLE)
        return found

    async def _read_source(self, wanted: RestoreFrom) -> Source:
        what = "snapshot" if wanted.snapshot_identifier else "cluster"
        name = wanted.snapshot_identifier or wanted.cluster_identifier or ""
        operation, parameter, listed = _SOURCES[what]
        try:
            answer = await self._call(operation, {parameter: name})
        except Trouble as trouble:
            if trouble.meaning is not Meaning.MISSING:
                raise
            return Source(what, name, {}, exists=False)
        for item in answer.get(listed) or ():
            found = rds.snapshot(item) if what == "snapshot" else rds.cluster(item)
            return Source(what, name, found.tags, ownership.tagging(found.arn))
        return Source(what, name, {}, exists=False)

    # How facets are read

    async def _facet(self, facet: str, read: Callable[[], Awaitable[Any]], cycle: float | None = None) -> Any:
        """Read one facet if it is not known, old, or doubted. What is known stands in for what cannot be read."""
        now = asyncio.get_running_loop().time()
        known = self.memory.get(facet)
        if (
            known is not MISSING
            and not self.memory.must_look
            and self.memory.age(facet, now) < (self.cycle if cycle is None else cycle) * self.memory.jitter
        ):
            return known

        async def anew() -> Any:
            try:
                value = await read()
            except Trouble as trouble:
                if trouble.code != UNSUPPORTED:
                    raise
                value = None
            self.memory.put(facet, value, asyncio.get_running_loop().time())
            return value

        missed = len(self.unread)
        value = await self._try(facet, anew)
        if len(self.unread) > missed:
            return None if known is MISSING else known
        return value

    async def _try(self, facet: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """None for a facet that may be done without; raises Trouble for one that may not."""
        try:
            value = await read()
        except Trouble as trouble:
            if not self._dispensable(facet, trouble):
                raise
            self.unread.append(trouble)
            return None
        self.memory.misses.pop(facet, None)
        return value

    def _dispensable(self, facet: str, trouble: Trouble) -> bool:
        if self.desired.absent:
            return False
        if trouble.meaning is Meaning.UNAVAILABLE:
            self.memory.misses[facet] = self.memory.misses.get(facet, 0) + 1
            return self.memory.misses[facet] >= _MISSES
        return trouble.meaning is Meaning.DENIED and trouble.reason == Reason.ACCESS_DENIED

    async def _paged(
        self, operation: str, parameters: Mapping[str, Any], listed: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        asked: dict[str, Any] = {**parameters, "MaxRecords": 100}
        for _ in range(_PAGES):
            page = await self._call(operation, asked)
            for item in page.get(listed) or ():
                yield item
            marker = page.get("Marker")
            if not marker or marker == asked.get("Marker"):
                return
            asked["Marker"] = marker

    async def _call(self, operation: str, parameters: Mapping[str, Any], service: str = "rds") -> dict[str, Any]:
        priority = Priority.URGENT if self.desired.absent else self.look.priority
        return await self.account.call(service, operation, parameters, region=self.desired.region, priority=priority)


def _tracking(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = policy.get("TargetTrackingScalingPolicyConfiguration") or {}
    return found


def _metric(policy: Mapping[str, Any]) -> str:
    return str((_tracking(policy).get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", ""))


# By level: describe the group, list its parameters, the parameter that names it, and the list in the answer.
_GROUP_READS = {
    "cluster": (
        "DescribeDBClusterParameterGroups",
        "DescribeDBClusterParameters",
        "DBClusterParameterGroupName",
        "DBClusterParameterGroups",
    ),
    "instance": (
        "DescribeDBParameterGroups",
        "DescribeDBParameters",
        "DBParameterGroupName",
        "DBParameterGroups",
    ),
}
