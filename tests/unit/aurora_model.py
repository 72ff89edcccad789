"""A small pure model of RDS over the operator's own records: a step becomes a new world or a refusal, and transitions end by ticks.

The rules are those of the RDS API reference and of the Aurora guide; where AWS is silent the model is the stricter: nothing is taken while the
cluster is not available. Every request is checked against botocore's own service model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dynamo_records import problems

from penstock.api import engine_version
from penstock.aurora.state import Family, Group, Scaling
from penstock.aws.rds import (
    IO_OPTIMIZED,
    STANDARD,
    Cluster,
    Insights,
    Instance,
    MasterSecret,
    Member,
    Parameter,
    ParameterGroup,
    Serverless,
    Snapshot,
    Subnet,
    SubnetGroup,
)
from penstock.engine.plan import Step

WINDOW = "sun:05:00-sun:06:00"
ARN = "arn:aws:rds:us-east-1:123456789012"
# Ticks that things take.
CREATING, MODIFYING, UPGRADING, REBOOTING, FAILING_OVER, DELETING, STOPPING, STARTING = 3, 1, 4, 2, 1, 2, 2, 2
_BUSY = "InvalidDBClusterStateFault"


def _parameters(**found: tuple[str, str]) -> dict[str, Parameter]:
    """name → (default, apply type); 'fixed' is one that cannot be set. An underscored name stands for one with a dot."""
    return {
        name.replace("__", "."): Parameter(
            name.replace("__", "."), value, "engine-default", kind.removeprefix("fixed "), kind[:5] != "fixed"
        )
        for name, (value, kind) in found.items()
    }


def _postgresql(major: int) -> Family:
    return Family(
        f"aurora-postgresql{major}",
        _parameters(
            rds__force_ssl=("1" if major >= 15 else "0", "dynamic"),
            log_min_duration_statement=("-1", "dynamic"),
            rds__logical_replication=("0", "static"),
            server_version=("", "fixed static"),
        ),
        _parameters(log_min_duration_statement=("-1", "dynamic"), max_connections=("100", "static")),
    )


_MYSQL = Family(
    "aurora-mysql8.0",
    _parameters(
        require_secure_transport=("OFF", "dynamic"),
        long_query_time=("10", "dynamic"),
        binlog_format=("OFF", "static"),
    ),
    _parameters(performance_schema=("0", "static")),
)
FAMILIES: dict[str, Family] = {f.name: f for f in (*map(_postgresql, (13, 14, 15, 16)), _MYSQL)}
VERSIONS = {
    "aurora-postgresql": ("13.9", "14.9", "14.13", "15.4", "15.10", "16.3", "16.6"),
    "aurora-mysql": ("8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.08.0"),
}
ZONES = {"subnet-a": "us-east-1a", "subnet-b": "us-east-1b", "subnet-c": "us-east-1c"}


class Refused(Exception):
    """What AWS refuses, by its code."""

    def __init__(self, code: str, words: str = "") -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


@dataclass(frozen=True)
class World:
    """One cluster and what stands around it. ends: ticks until a transition ends, by "cluster" or the instance. password: whose the master's is.

    users: what else uses a group, by the group's name. elsewhere: the cluster where somebody gave it another name.
    changing: the class that an instance gets when its change ends. heir: who becomes the writer.
    """

    cluster: Cluster | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], Group] = field(default_factory=dict)
    subnet_groups: Mapping[str, SubnetGroup] = field(default_factory=dict)
    scaling: tuple[Scaling, ...] = ()
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    password: str = ""
    ends: Mapping[str, int] = field(default_factory=dict)
    heir: str = ""
    serial: int = 0
    elsewhere: Cluster | None = None
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        return not self.ends


def apply(world: World, step: Step) -> World:
    """The world after AWS took the step; raises Refused."""
    service = {"rds": "rds", "application-autoscaling": "application-autoscaling"}[step.service]
    wrong = problems(service, step.operation, step.parameters)
    assert not wrong, f"{step.operation} {dict(step.parameters)}: {wrong}"
    return _OPERATIONS[step.operation](world, step.parameters)


def tick(world: World) -> World:
    """What has become of the world some seconds later."""
    ends = {name: left - 1 for name, left in world.ends.items()}
    due = [name for name, left in ends.items() if left <= 0]
    world = replace(world, ends={name: left for name, left in ends.items() if left > 0})
    # Instances first: a cluster is at rest when they are.
    for name in sorted(due, key=lambda n: (n == "cluster", n)):
        world = _end_cluster(world) if name == "cluster" else _end_instance(world, name)
    return world


# Transitions


def _end_cluster(world: World) -> World:
    cluster = world.cluster
    assert cluster is not None
    if cluster.status == "deleting":
        return replace(world, cluster=None)
    if cluster.status == "stopping":
        stopped = {n: replace(i, status="stopped") for n, i in world.instances.items()}
        return replace(world, cluster=replace(cluster, status="stopped"), instances=stopped)
    if cluster.status in ("starting", "upgrading"):
        up = {
            n: replace(i, status="available", parameter_apply_status="in-sync") if i.status != "deleting" else i
            for n, i in world.instances.items()
        }
        members = tuple(replace(m, parameter_status="in-sync") for m in cluster.members)
        return replace(world, cluster=replace(cluster, status="available", members=members), instances=up)
    if cluster.status == "failing-over":
        cluster, world = _promoted(cluster, world.heir), replace(world, heir="")
    return replace(world, cluster=replace(cluster, status="available"))


def _end_instance(world: World, name: str) -> World:
    cluster, instance = world.cluster, world.instances[name]
    assert cluster is not None
    if instance.status == "deleting":
        members = tuple(m for m in cluster.members if m.identifier != name)
        left = {n: i for n, i in world.instances.items() if n != name}
        return replace(world, cluster=replace(cluster, members=members), instances=left)
    if instance.status == "creating":
        member = Member(name, not cluster.writer, 1 if instance.tier is None else instance.tier, "in-sync")
        world = replace(world, cluster=replace(cluster, members=_ordered((*cluster.members, member))))
    elif instance.status in ("rebooting", "modifying"):
        members = tuple(replace(m, parameter_status="in-sync") if m.identifier == name else m for m in cluster.members)
        world = replace(world, cluster=replace(cluster, members=members))
        instance = replace(instance, parameter_apply_status="in-sync")
    return _instance(world, replace(instance, status="available"))


def _promoted(cluster: Cluster, heir: str) -> Cluster:
    return replace(cluster, members=_ordered(tuple(replace(m, writer=m.identifier == heir) for m in cluster.members)))


def _ordered(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda m: (not m.writer, m.identifier)))


def _instance(world: World, instance: Instance, ticks: int = 0) -> World:
    ends = {**world.ends, instance.identifier: ticks} if ticks else world.ends
    return replace(world, instances={**world.instances, instance.identifier: instance}, ends=ends)


def _cluster(world: World, cluster: Cluster, ticks: int = 0) -> World:
    return replace(world, cluster=cluster, ends={**world.ends, "cluster": ticks} if ticks else world.ends)


def _known(world: World, parameters: Mapping[str, Any], status: str | None = "available") -> Cluster:
    cluster = world.cluster
    if cluster is None or cluster.identifier != parameters["DBClusterIdentifier"]:
        raise Refused("DBClusterNotFoundFault")
    if status is not None and cluster.status != status:
        raise Refused(_BUSY, f"cluster is {cluster.status}")
    return cluster


def _member(world: World, parameters: Mapping[str, Any], *busy: str) -> Instance:
    instance = world.instances.get(parameters["DBInstanceIdentifier"])
    if instance is None:
        raise Refused("DBInstanceNotFound")
    if instance.status in busy or (not busy and instance.status != "available"):
        raise Refused("InvalidDBInstanceState", f"instance is {instance.status}")
    return instance


def tags(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in parameters.get("Tags") or ()}


# Clusters


def _create(world: World, p: Mapping[str, Any]) -> World:
    if world.cluster is not None:
        raise Refused("DBClusterAlreadyExistsFault")
    engine = p.get("Engine", "aurora-postgresql")
    version = _exact(engine, p.get("EngineVersion", "15.10" if "postgresql" in engine else "8.0"))
    group = _group(world, "cluster", p.get("DBClusterParameterGroupName", ""), engine, version)
    subnets = p.get("DBSubnetGroupName", "default")
    if subnets not in ("default", *world.subnet_groups):
        raise Refused("DBSubnetGroupNotFoundFault", subnets)
    managed, serial = p.get("ManageMasterUserPassword", False), world.serial + 1
    if p.get("MasterUserPassword") and managed:
        raise Refused("InvalidParameterCombination", "password and managed")
    scaling = p.get("ServerlessV2ScalingConfiguration")
    found = Cluster(
        p["DBClusterIdentifier"],
        arn=f"{ARN}:cluster:{p['DBClusterIdentifier']}",
        resource_id=f"cluster-{serial}",
        status="creating",
        engine=engine,
        version=version,
        engine_mode="provisioned",
        endpoint="writer.example",
        port=p.get("Port", 5432 if "postgresql" in engine else 3306),
        tags=tags(p),
        master_username=p.get("MasterUsername", "postgres"),
        master_secret=MasterSecret(f"{ARN}:secret", "active") if managed else None,
        parameter_group=group,
        subnet_group=subnets,
        security_groups=tuple(sorted(p.get("VpcSecurityGroupIds") or ("sg-default",))),
        database_name=p.get("DatabaseName", ""),
        encrypted=True,
        storage_type=_storage(p.get("StorageType", "aurora")),
        iam_authentication=p.get("EnableIAMDatabaseAuthentication", False),
        log_exports=tuple(sorted(p.get("EnableCloudwatchLogsExports") or ())),
        deletion_protection=p.get("DeletionProtection", False),
        retention_days=p.get("BackupRetentionPeriod", 1),
        backup_window=p.get("PreferredBackupWindow", "07:00-07:30"),
        maintenance_window=p.get("PreferredMaintenanceWindow", "sat:06:00-sat:06:30"),
        serverless=_capacity(scaling) if scaling else None,
    )
    password = "AWS" if managed else p.get("MasterUserPassword", "the source's")
    return replace(_cluster(world, found, CREATING), password=password, serial=serial)


def _restore_snapshot(world: World, p: Mapping[str, Any]) -> World:
    source = world.snapshots.get(p["SnapshotIdentifier"])
    if source is None:
        raise Refused("DBClusterSnapshotNotFoundFault")
    return _create(world, {**p, "EngineVersion": p.get("EngineVersion", source.version)})


def _restore_time(world: World, p: Mapping[str, Any]) -> World:
    if ("RestoreToTime" in p) == bool(p.get("UseLatestRestorableTime")):
        raise Refused("InvalidParameterCombination")
    return _create(world, {**p, "Engine": "aurora-postgresql", "EngineVersion": "15.4"})


def _modify(world: World, p: Mapping[str, Any]) -> World:
    cluster = _known(world, p)
    assert p["ApplyImmediately"] is True, "what runs is due"
    if len(p) == 2:
        raise Refused("InvalidParameterCombination", "nothing to change")
    if p.get("EngineVersion"):
        return _upgrade(world, cluster, p)
    secret, password = cluster.master_secret, world.password
    if p.get("ManageMasterUserPassword"):
        secret, password = MasterSecret(f"{ARN}:secret", "active"), "AWS"
    elif "MasterUserPassword" in p:
        if secret is not None and p.get("ManageMasterUserPassword") is not False:
            raise Refused("InvalidParameterCombination", "AWS manages the password")
        secret, password = None, p["MasterUserPassword"]
    exports = p.get("CloudwatchLogsExportConfiguration") or {}
    logs = {*cluster.log_exports, *exports.get("EnableLogTypes", ())} - {*exports.get("DisableLogTypes", ())}
    group = p.get("DBClusterParameterGroupName", cluster.parameter_group)
    members = cluster.members
    if group != cluster.parameter_group:
        _group(world, "cluster", group, cluster.engine, cluster.version)
        members = tuple(replace(m, parameter_status="pending-reboot") for m in members)
    scaling = p.get("ServerlessV2ScalingConfiguration")
    found = replace(
        cluster,
        status="modifying",
        retention_days=p.get("BackupRetentionPeriod", cluster.retention_days),
        backup_window=p.get("PreferredBackupWindow", cluster.backup_window),
        maintenance_window=p.get("PreferredMaintenanceWindow", cluster.maintenance_window),
        deletion_protection=p.get("DeletionProtection", cluster.deletion_protection),
        iam_authentication=p.get("EnableIAMDatabaseAuthentication", cluster.iam_authentication),
        security_groups=tuple(sorted(p.get("VpcSecurityGroupIds", cluster.security_groups))),
        port=p.get("Port", cluster.port),
        storage_type=_storage(p["StorageType"]) if "StorageType" in p else cluster.storage_type,
        serverless=_capacity(scaling) if scaling else cluster.serverless,
        log_exports=tuple(sorted(logs)),
        parameter_group=group,
        master_secret=secret,
        members=members,
    )
    return replace(_cluster(world, found, MODIFYING), password=password)


def _upgrade(world: World, cluster: Cluster, p: Mapping[str, Any]) -> World:
    target = _exact(cluster.engine, p["EngineVersion"])
    if engine_version.is_lower(target, cluster.version):
        raise Refused("InvalidParameterCombination", "Cannot downgrade")
    major = not engine_version.same_major(target, cluster.version)
    if major and not p.get("AllowMajorVersionUpgrade"):
        raise Refused("InvalidParameterCombination", "AllowMajorVersionUpgrade must be present")
    names = {"cluster": cluster.parameter_group, "instance": ""}
    for level, parameter in (
        ("cluster", "DBClusterParameterGroupName"),
        ("instance", "DBInstanceParameterGroupName"),
    ):
        before = (
            {cluster.parameter_group} if level == "cluster" else {i.parameter_group for i in world.instances.values()}
        )
        custom = any(not name.startswith("default.") for name in before if name)
        if major and custom and parameter not in p:
            raise Refused("InvalidParameterCombination", f"a custom {level} group needs one of the new family")
        if parameter in p:
            names[level] = _group(world, level, p[parameter], cluster.engine, target)
        elif major:
            names[level] = _group(world, level, "", cluster.engine, target)
    up = {
        n: replace(i, status="upgrading", parameter_group=names["instance"] or i.parameter_group, engine_version=target)
        for n, i in world.instances.items()
    }
    found = replace(cluster, status="upgrading", version=target, parameter_group=names["cluster"])
    return replace(_cluster(world, found, UPGRADING), instances=up)


def _failover(world: World, p: Mapping[str, Any]) -> World:
    cluster, heir = _known(world, p), p["TargetDBInstanceIdentifier"]
    if cluster.member(heir) is None or heir == cluster.writer or world.instances[heir].status != "available":
        raise Refused("InvalidDBInstanceState", f"{heir} cannot take over")
    return replace(_cluster(world, replace(cluster, status="failing-over"), FAILING_OVER), heir=heir)


def _stop(world: World, p: Mapping[str, Any]) -> World:
    return _cluster(world, replace(_known(world, p), status="stopping"), STOPPING)


def _start(world: World, p: Mapping[str, Any]) -> World:
    return _cluster(world, replace(_known(world, p, "stopped"), status="starting"), STARTING)


def _delete(world: World, p: Mapping[str, Any]) -> World:
    cluster = _known(world, p)
    if cluster.deletion_protection:
        raise Refused("InvalidParameterCombination", "Cannot delete protected Cluster")
    if world.instances:
        raise Refused(_BUSY, "Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
    final = p.get("FinalDBSnapshotIdentifier")
    if bool(final) == bool(p.get("SkipFinalSnapshot")):
        raise Refused("InvalidParameterCombination", "a final snapshot, or none")
    snapshots = dict(world.snapshots)
    if final:
        if final in snapshots:
            raise Refused("DBClusterSnapshotAlreadyExistsFault")
        arn = f"{ARN}:cluster-snapshot:{final}"
        taken = Snapshot(final, cluster.identifier, arn, "available", "manual", cluster_resource_id=cluster.resource_id)
        snapshots[final] = taken
    gone = replace(_cluster(world, replace(cluster, status="deleting"), DELETING), snapshots=snapshots)
    # A scalable target outlives its cluster.
    return gone


# Instances


def _create_instance(world: World, p: Mapping[str, Any]) -> World:
    cluster, name = _known(world, p), p["DBInstanceIdentifier"]
    if name in world.instances:
        raise Refused("DBInstanceAlreadyExists")
    if p["DBInstanceClass"] == "db.serverless" and cluster.serverless is None:
        raise Refused("InvalidParameterCombination", "no ServerlessV2ScalingConfiguration")
    group = _group(world, "instance", p.get("DBParameterGroupName", ""), cluster.engine, cluster.version)
    made = Instance(
        name,
        arn=f"{ARN}:db:{name}",
        cluster=cluster.identifier,
        status="creating",
        instance_class=p["DBInstanceClass"],
        engine_version=cluster.version,
        zone=p.get("AvailabilityZone", "us-east-1a"),
        tier=p.get("PromotionTier", 1),
        parameter_group=group,
        parameter_apply_status="in-sync",
        publicly_accessible=p.get("PubliclyAccessible", False),
        performance_insights=_insights(p, Insights(False)),
        tags=tags(p),
    )
    return _instance(world, made, CREATING)


def _modify_instance(world: World, p: Mapping[str, Any]) -> World:
    instance = _member(world, p)
    assert world.cluster is not None
    assert p["ApplyImmediately"] is True, "what runs is due"
    wanted = p.get("DBInstanceClass", instance.instance_class)
    if wanted == "db.serverless" and world.cluster.serverless is None:
        raise Refused("InvalidParameterCombination", "no ServerlessV2ScalingConfiguration")
    group, status = p.get("DBParameterGroupName", instance.parameter_group), instance.parameter_apply_status
    if group != instance.parameter_group:
        group = _group(world, "instance", group, world.cluster.engine, world.cluster.version)
        status = "pending-reboot"
    tier = p.get("PromotionTier", instance.tier)
    found = replace(
        instance,
        instance_class=wanted,
        parameter_group=group,
        parameter_apply_status=status,
        tier=tier,
        publicly_accessible=p.get("PubliclyAccessible", instance.publicly_accessible),
        performance_insights=_insights(p, instance.performance_insights),
    )
    members = tuple(replace(m, tier=tier) if m.identifier == instance.identifier else m for m in world.cluster.members)
    world = replace(world, cluster=replace(world.cluster, members=members))
    if wanted != instance.instance_class:
        return _instance(world, replace(found, status="modifying"), REBOOTING)
    return _instance(world, replace(found, status="configuring"), MODIFYING)


def _reboot(world: World, p: Mapping[str, Any]) -> World:
    return _instance(world, replace(_member(world, p), status="rebooting"), REBOOTING)


def _delete_instance(world: World, p: Mapping[str, Any]) -> World:
    instance, cluster = _member(world, p, "creating", "deleting"), world.cluster
    assert cluster is not None
    world = _instance(world, replace(instance, status="deleting"), DELETING)
    if cluster.writer != instance.identifier:
        return world
    readers = [m for m in cluster.members if not m.writer and world.instances[m.identifier].status != "deleting"]
    heir = min(readers, key=lambda m: (m.tier, m.identifier), default=None)
    return replace(world, cluster=_promoted(cluster, heir.identifier if heir else ""))


# Groups, tags and scaling


def _group(world: World, level: str, name: str, engine: str, version: str) -> str:
    """The group in force; raises Refused when it is not there, or of another family."""
    family = f"{engine}{engine_version.parse(version).major_text}"
    if not name or name == f"default.{family}":
        return f"default.{family}"
    group = world.groups.get((level, name), Group()).group
    if group is None:
        raise Refused("DBClusterParameterGroupNotFound" if level == "cluster" else "DBParameterGroupNotFound", name)
    if group.family != family:
        raise Refused("InvalidParameterCombination", f"{name} is of {group.family}, not of {family}")
    return name


def _groups(level: str) -> dict[str, Callable[[World, Mapping[str, Any]], World]]:
    kind = "DBCluster" if level == "cluster" else "DB"
    key = f"{kind}ParameterGroupName"

    def create(world: World, p: Mapping[str, Any]) -> World:
        if (level, p[key]) in world.groups:
            raise Refused("DBParameterGroupAlreadyExists")
        arn = f"{ARN}:{'cluster-pg' if level == 'cluster' else 'pg'}:{p[key]}"
        made = Group(ParameterGroup(p[key], p["DBParameterGroupFamily"], arn, tags=tags(p)))
        return replace(world, groups={**world.groups, (level, p[key]): made})

    def change(world: World, p: Mapping[str, Any], *, reset: bool = False) -> World:
        group = world.groups.get((level, p[key]))
        if group is None or group.group is None:
            raise Refused("DBParameterGroupNotFound", p[key])
        family, values = FAMILIES[group.group.family], dict(group.values)
        known = family.cluster if level == "cluster" else family.instance
        if len(p["Parameters"]) > 20:
            raise Refused("InvalidParameterValue", "at most 20")
        static = False
        for one in p["Parameters"]:
            parameter = known.get(one["ParameterName"])
            if parameter is None or not parameter.modifiable:
                raise Refused("InvalidParameterValue", f"Could not find parameter with name: {one['ParameterName']}")
            if parameter.apply_type == "static" and one["ApplyMethod"] != "pending-reboot":
                raise Refused("InvalidParameterCombination", "cannot use immediate apply method for static parameter")
            static = static or parameter.apply_type == "static"
            if reset:
                values.pop(parameter.name, None)
            else:
                values[parameter.name] = one["ParameterValue"]
        world = replace(world, groups={**world.groups, (level, p[key]): Group(group.group, values)})
        return _pending(world, level, p[key]) if static else world

    def delete(world: World, p: Mapping[str, Any]) -> World:
        used = {world.cluster.parameter_group} if world.cluster else set()
        if p[key] in world.users or p[key] in used | {i.parameter_group for i in world.instances.values()}:
            raise Refused("InvalidDBParameterGroupState", "in use")
        return replace(world, groups={k: v for k, v in world.groups.items() if k != (level, p[key])})

    return {
        f"Create{kind}ParameterGroup": create,
        f"Modify{kind}ParameterGroup": change,
        f"Reset{kind}ParameterGroup": lambda world, p: change(world, p, reset=True),
        f"Delete{kind}ParameterGroup": delete,
    }


def _pending(world: World, level: str, name: str) -> World:
    """A static parameter of a group that is in force waits for the reboot of whoever uses it."""
    waiting = "pending-reboot"
    if level == "cluster" and world.cluster is not None and world.cluster.parameter_group == name:
        members = tuple(replace(m, parameter_status=waiting) for m in world.cluster.members)
        return replace(world, cluster=replace(world.cluster, members=members))
    told = {
        n: replace(i, parameter_apply_status=waiting) if i.parameter_group == name else i
        for n, i in world.instances.items()
    }
    return replace(world, instances=told)


def _create_subnets(world: World, p: Mapping[str, Any]) -> World:
    name = p["DBSubnetGroupName"]
    if name in world.subnet_groups:
        raise Refused("DBSubnetGroupAlreadyExists")
    made = SubnetGroup(name, f"{ARN}:subgrp:{name}", subnets=_subnets(p), tags=tags(p))
    return replace(world, subnet_groups={**world.subnet_groups, name: made})


def _modify_subnets(world: World, p: Mapping[str, Any]) -> World:
    name = p["DBSubnetGroupName"]
    if name not in world.subnet_groups:
        raise Refused("DBSubnetGroupNotFoundFault", name)
    changed = replace(world.subnet_groups[name], subnets=_subnets(p))
    return replace(world, subnet_groups={**world.subnet_groups, name: changed})


def _subnets(p: Mapping[str, Any]) -> tuple[Subnet, ...]:
    return tuple(Subnet(s, ZONES[s], "Active") for s in sorted(p["SubnetIds"]))


def _delete_subnets(world: World, p: Mapping[str, Any]) -> World:
    name = p["DBSubnetGroupName"]
    if name in world.users or (world.cluster is not None and world.cluster.subnet_group == name):
        raise Refused("InvalidDBSubnetGroupStateFault", "in use")
    left = {k: v for k, v in world.subnet_groups.items() if k != p["DBSubnetGroupName"]}
    return replace(world, subnet_groups=left)


def _tag(world: World, p: Mapping[str, Any]) -> World:
    gone = set(p.get("TagKeys") or ())

    def tagged(have: Mapping[str, str]) -> dict[str, str]:
        return {k: v for k, v in {**have, **tags(p)}.items() if k not in gone}

    if world.elsewhere is not None and world.elsewhere.arn == p["ResourceName"]:
        return replace(world, elsewhere=replace(world.elsewhere, tags=tagged(world.elsewhere.tags)))
    if world.cluster is not None and world.cluster.arn == p["ResourceName"]:
        return replace(world, cluster=replace(world.cluster, tags=tagged(world.cluster.tags)))
    for key, group in world.groups.items():
        if group.group is not None and group.group.arn == p["ResourceName"]:
            tagged_group = replace(group, group=replace(group.group, tags=tagged(group.group.tags)))
            return replace(world, groups={**world.groups, key: tagged_group})
    for name, subnets in world.subnet_groups.items():
        if subnets.arn == p["ResourceName"]:
            tagged_subnets = replace(subnets, tags=tagged(subnets.tags))
            return replace(world, subnet_groups={**world.subnet_groups, name: tagged_subnets})
    found = next(i for i in world.instances.values() if i.arn == p["ResourceName"])
    return _instance(world, replace(found, tags=tagged(found.tags)))


def _register(world: World, p: Mapping[str, Any]) -> World:
    target = world.scaling[0].target if world.scaling else 0.0
    return replace(world, scaling=(Scaling(p["MinCapacity"], p["MaxCapacity"], target),))


def _policy(world: World, p: Mapping[str, Any]) -> World:
    if not world.scaling:
        raise Refused("ObjectNotFoundException", "no target")
    target = p["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
    return replace(world, scaling=(replace(world.scaling[0], target=target),))


# Values


def _exact(engine: str, version: str) -> str:
    exact = [v for v in VERSIONS[engine] if engine_version.satisfies(v, version)]
    if version not in VERSIONS[engine] and (engine_version.parse(version).exact or not exact):
        raise Refused("InvalidParameterCombination", f"Cannot find version {version} for {engine}")
    return version if version in VERSIONS[engine] else max(exact, key=engine_version.parse)


def _storage(aws: str) -> str:
    return IO_OPTIMIZED if aws == "aurora-iopt1" else STANDARD


def _capacity(found: Mapping[str, Any]) -> Serverless:
    return Serverless(found["MinCapacity"], found["MaxCapacity"], found.get("SecondsUntilAutoPause"))


def _insights(p: Mapping[str, Any], before: Insights | None) -> Insights | None:
    if "EnablePerformanceInsights" not in p:
        return before
    enabled = p["EnablePerformanceInsights"]
    return Insights(enabled, p.get("PerformanceInsightsRetentionPeriod", 7) if enabled else None)


_OPERATIONS: dict[str, Callable[[World, Mapping[str, Any]], World]] = {
    "CreateDBCluster": _create,
    "RestoreDBClusterFromSnapshot": _restore_snapshot,
    "RestoreDBClusterToPointInTime": _restore_time,
    "ModifyDBCluster": _modify,
    "FailoverDBCluster": _failover,
    "StopDBCluster": _stop,
    "StartDBCluster": _start,
    "DeleteDBCluster": _delete,
    "CreateDBInstance": _create_instance,
    "ModifyDBInstance": _modify_instance,
    "RebootDBInstance": _reboot,
    "DeleteDBInstance": _delete_instance,
    **_groups("cluster"),
    **_groups("instance"),
    "CreateDBSubnetGroup": _create_subnets,
    "ModifyDBSubnetGroup": _modify_subnets,
    "DeleteDBSubnetGroup": _delete_subnets,
    "AddTagsToResource": _tag,
    "RemoveTagsFromResource": _tag,
    "RegisterScalableTarget": _register,
    "PutScalingPolicy": _policy,
    "DeregisterScalableTarget": lambda world, p: replace(world, scaling=()),
}
