"""Hypothesis strategies for the spec of an AuroraCluster, and for what happens to a cluster behind the operator's back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aurora_model import ARN, WINDOW, ZONES, World, tick
from aurora_world import NAME
from hypothesis import strategies as st

from penstock.api.meta import OWNER_TAG
from penstock.aurora.state import Group, Scaling
from penstock.aws.rds import IO_OPTIMIZED, Cluster, Insights, Instance, Member, Serverless

CLASSES = ("db.t4g.medium", "db.r6g.large")
FOREIGN = "somebody-elses"
FOREIGN_TAG = "their-tag"

_maybe = st.sampled_from([None, True, False])


@st.composite
def _instances(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from([*CLASSES, *CLASSES, "db.serverless"]))
    readers = draw(st.integers(0, 3))
    found: dict[str, Any] = {"class": kind, "readers": readers}
    if kind == "db.serverless":
        found["serverless"] = draw(
            st.sampled_from(
                [
                    {"minCapacity": 0.5, "maxCapacity": 4},
                    {"minCapacity": 2, "maxCapacity": 8.5},
                    {"minCapacity": 0, "maxCapacity": 2, "autoPause": "10m"},
                ]
            )
        )
    if draw(st.booleans()):
        most = draw(st.integers(max(readers, 1), 5))
        found["readerAutoscaling"] = {"max": most, **draw(st.sampled_from([{}, {"targetCPU": 40}]))}
    overrides = [
        {"ordinal": 1, "promotionTier": 3},
        {"ordinal": 2, "class": "db.r6g.xlarge", "promotionTier": 15},
        {"ordinal": 3, "zone": "us-east-1c"},
        {"ordinal": 1, "class": "db.r6g.xlarge"},
    ]
    chosen = draw(st.lists(st.sampled_from(overrides), max_size=2, unique_by=lambda o: o["ordinal"]))
    return found | ({"overrides": chosen} if chosen else {})


_PARAMETERS = {
    "AuroraPostgreSQL": [
        {"log_min_duration_statement": "500"},
        {"rds.logical_replication": "1"},
        {"rds.logical_replication": "0", "max_connections": "200"},
        {"max_connections": "300"},
        {},
        None,
        None,
    ],
    "AuroraMySQL": [{"long_query_time": "2"}, {"binlog_format": "ROW", "performance_schema": "1"}, {}, None, None],
}
_VERSIONS = {
    "AuroraPostgreSQL": ["14", "14.9", "15.4", "15.10", "15", "16.6", None],
    "AuroraMySQL": ["8.0", "8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.08.0", None],
}
_LOGS = {"AuroraPostgreSQL": ["postgresql", "instance"], "AuroraMySQL": ["audit", "error", "slowquery"]}
_SUBNETS = [["subnet-a", "subnet-b"], ["subnet-a", "subnet-b", "subnet-c"]]


@st.composite
def specs(draw: st.DrawFn, engine: str = "", **fixed: Any) -> dict[str, Any]:
    """A good spec. engine: its type, any when ''; fixed: fields that are as given. Subnets are always ours: they cannot be added later."""
    kind = engine or draw(st.sampled_from(["AuroraPostgreSQL", "AuroraPostgreSQL", "AuroraMySQL"]))
    version = draw(st.sampled_from(_VERSIONS[kind]))
    network: dict[str, Any] = {"subnetIds": draw(st.sampled_from(_SUBNETS))}
    network |= draw(st.sampled_from([{}, {"port": 7000}, {"port": 7001, "securityGroupIds": ["sg-2", "sg-1"]}]))
    network |= draw(st.sampled_from([{}, {"publiclyAccessible": False}, {"publiclyAccessible": True}]))
    spec = {
        "clusterIdentifier": NAME,
        "engine": {"type": kind, **({"version": version} if version else {})},
        "allowMajorUpgrade": True,
        "instances": draw(_instances()),
        "network": network,
        "credentials": draw(
            st.sampled_from(
                [
                    None,
                    {"managed": True},
                    {"passwordSecretRef": {"name": "master"}},
                    {"managed": True, "iamAuthentication": True},
                    {"passwordSecretRef": {"name": "master"}, "iamAuthentication": False},
                ]
            )
        ),
        "requireTLS": draw(_maybe),
        "storage": draw(st.sampled_from([None, {"type": "Standard"}, {"type": "IOOptimized"}])),
        "backup": draw(st.sampled_from([None, {"retentionDays": 7}, {"retentionDays": 3, "window": "03:00-04:00"}])),
        "maintenance": {"window": WINDOW, "apply": draw(st.sampled_from(["Immediately", "Immediately", "InWindow"]))},
        "parameters": draw(st.sampled_from(_PARAMETERS[kind])),
        "logs": draw(st.one_of(st.none(), st.lists(st.sampled_from(_LOGS[kind]), unique=True))),
        "performanceInsights": draw(st.sampled_from([None, {"enabled": False}, {"retentionDays": 31}])),
        "deletionProtection": draw(_maybe),
        "tags": draw(
            st.one_of(st.none(), st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from(["a", "b"])))
        ),
        "stopped": draw(st.sampled_from([None, False, False, True])),
        **fixed,
    }
    return {k: v for k, v in spec.items() if v is not None}


# What somebody else does, past AWS's own rules


def _on_cluster(**values: Any) -> Callable[[World], World]:
    def change(world: World) -> World:
        assert world.cluster is not None
        return replace(world, cluster=replace(world.cluster, **values))

    return change


def _each(**values: Any) -> Callable[[World], World]:
    def change(world: World) -> World:
        return replace(world, instances={n: replace(i, **values) for n, i in world.instances.items()})

    return change


def _gone(*, writer: bool) -> Callable[[World], World]:
    def change(world: World) -> World:
        assert world.cluster is not None
        name = next((m.identifier for m in world.cluster.members if m.writer is writer), None)
        if name is None or world.instances[name].status != "available":
            return world
        members = tuple(m for m in world.cluster.members if m.identifier != name)
        if writer and members:
            members = (replace(members[0], writer=True), *members[1:])
        left = {n: i for n, i in world.instances.items() if n != name}
        return replace(world, cluster=replace(world.cluster, members=members), instances=left)

    return change


def _failed_over(world: World) -> World:
    assert world.cluster is not None
    reader = next((m for m in reversed(world.cluster.members) if not m.writer), None)
    if reader is None:
        return world
    members = (replace(m, writer=m is reader) for m in world.cluster.members)
    ordered = tuple(sorted(members, key=lambda m: (not m.writer, m.identifier)))
    return replace(world, cluster=replace(world.cluster, members=ordered))


def add(world: World, name: str) -> World:
    """An instance that somebody else made."""
    cluster = world.cluster
    assert cluster is not None
    if name in world.instances:
        return world
    group = next((i.parameter_group for i in world.instances.values()), f"default.{cluster.engine}15")
    theirs = Instance(
        name,
        arn=f"{ARN}:db:{name}",
        cluster=cluster.identifier,
        status="available",
        instance_class=CLASSES[0],
        zone=ZONES["subnet-a"],
        tier=1,
        parameter_group=group,
        parameter_apply_status="in-sync",
        publicly_accessible=False,
        performance_insights=Insights(False),
        tags={FOREIGN_TAG: "x"},
    )
    members = (*cluster.members, Member(name, not cluster.writer, 1, "in-sync"))
    return replace(world, cluster=replace(cluster, members=members), instances={**world.instances, name: theirs})


def _parameters(world: World) -> World:
    values = {"cluster": {"log_min_duration_statement": "9"}, "instance": {"max_connections": "9"}}
    if world.cluster is not None and world.cluster.engine == "aurora-mysql":
        values = {"cluster": {"long_query_time": "9"}, "instance": {"performance_schema": "0"}}
    changed = {k: Group(g.group, {**g.values, **values[k[0]]}) for k, g in world.groups.items()}
    return replace(world, groups=changed)


def _default_group(world: World) -> World:
    cluster = world.cluster
    assert cluster is not None
    family = cluster.engine + ("8.0" if cluster.engine == "aurora-mysql" else cluster.version.split(".")[0])
    return replace(world, cluster=replace(cluster, parameter_group=f"default.{family}"))


def _without_tags(world: World) -> World:
    assert world.cluster is not None
    instances = {n: replace(i, tags={}) for n, i in world.instances.items()}
    return replace(world, cluster=replace(world.cluster, tags={}), instances=instances)


def _started_by_aws(world: World) -> World:
    assert world.cluster is not None
    if world.cluster.status != "stopped":
        return world
    return replace(_each(status="available")(world), cluster=replace(world.cluster, status="available"))


MEDDLING: dict[str, Callable[[World], World]] = {
    "the writer is deleted": _gone(writer=True),
    "a reader is deleted": _gone(writer=False),
    "a failover": _failed_over,
    "another class": _each(instance_class="db.r6g.2xlarge"),
    "another tier": _each(tier=7),
    "a reader by hand": lambda world: add(world, FOREIGN),
    "a reader with our name": lambda world: add(world, f"{NAME}-7"),
    "an autoscaled reader": lambda world: add(world, "application-autoscaling-1"),
    "other parameters": _parameters,
    "the default group": _default_group,
    "a pending reboot": _each(parameter_apply_status="pending-reboot"),
    "no tags": _without_tags,
    "a tag": _on_cluster(tags={FOREIGN_TAG: "x", OWNER_TAG: "k1/shop/AuroraCluster/ledger/u-1", "team": "theirs"}),
    "other settings": _on_cluster(retention_days=9, deletion_protection=True, iam_authentication=True, port=9999),
    "other logs": _on_cluster(log_exports=("error", "postgresql")),
    "IOOptimized": _on_cluster(storage_type=IO_OPTIMIZED),
    "another capacity": _on_cluster(serverless=Serverless(1.0, 64.0)),
    "insights": _each(performance_insights=Insights(True, 731), publicly_accessible=True),
    "no subnet group": lambda world: replace(world, subnet_groups={}),
    "autoscaling": lambda world: replace(world, scaling=(Scaling(0, 15, 90.0),)) if world.scaling else world,
    "no autoscaling": lambda world: replace(world, scaling=()),
    "started by AWS": _started_by_aws,
}


def meddle(world: World, what: str) -> World:
    """What somebody did to a cluster that is at rest; transitions are let end first, as AWS would not take it before."""
    for _ in range(30):
        if world.quiet:
            break
        world = tick(world)
    cluster: Cluster | None = world.cluster
    if cluster is None or cluster.status not in ("available", "stopped"):
        return world
    if cluster.status == "stopped" and what != "started by AWS":
        return world
    return MEDDLING[what](world)
