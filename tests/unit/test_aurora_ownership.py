"""Whose the things around a cluster are: groups by their owner tag, autoscaling by its metric, a snapshot by its cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aurora_model import ARN, World
from aurora_world import NAME, OWN, OWNER, Operator, settled, spec

from penstock.api.meta import OWNER_TAG
from penstock.aurora.plan import plan
from penstock.aurora.state import Group, Scaling
from penstock.aws.rds import ParameterGroup, Snapshot, Subnet, SubnetGroup
from penstock.engine.plan import Plan

SUBNETS = {"subnetIds": ["subnet-a", "subnet-b"]}
OTHER = "k1/shop/AuroraCluster/other/u-9"
EARLIER = "k1/shop/AuroraCluster/ledger/u-0"
LEGACY = f"penstock-{NAME}"
FAMILY = "aurora-postgresql15"


def subnets(name: str, owner: str, *ids: str) -> SubnetGroup:
    tags = {OWNER_TAG: owner} if owner else {}
    return SubnetGroup(name, f"{ARN}:subgrp:{name}", subnets=tuple(Subnet(i) for i in ids), tags=tags)


def parameters(name: str, owner: str, **values: str) -> Group:
    tags = {OWNER_TAG: owner} if owner else {}
    return Group(ParameterGroup(name, FAMILY, f"{ARN}:cluster-pg:{name}", tags=tags), values)


def legacy(owner: str) -> Operator:
    """A cluster that is as desired, of a version of Penstock that called groups by the identifier alone."""
    operator = settled(network=SUBNETS, parameters={"log_min_duration_statement": "500"})
    world = operator.world
    assert world.cluster is not None
    group = f"{LEGACY}-{FAMILY}"
    operator.world = replace(
        world,
        cluster=replace(world.cluster, subnet_group=LEGACY, parameter_group=group),
        subnet_groups={LEGACY: subnets(LEGACY, owner, "subnet-a", "subnet-b")},
        groups={("cluster", group): parameters(group, owner, log_min_duration_statement="500")},
    )
    operator.status |= {"subnetGroup": LEGACY, "parameterGroups": {"cluster": group}}
    return operator


def writes(operator: Operator) -> list[str]:
    return [s.operation for s in operator.done]


def told(found: Plan) -> list[tuple[str, str]]:
    return [(r.reason, r.sentence) for r in found.refusals]


def test_two_objects_with_the_same_identifier_never_have_the_same_group() -> None:
    one, two = Operator(spec(network=SUBNETS)), Operator(spec(network=SUBNETS), uid="u-2")
    assert one.desired.own_subnet_group != two.desired.own_subnet_group
    assert one.desired.own_parameter_group(FAMILY) != two.desired.own_parameter_group(FAMILY)


@pytest.mark.parametrize(
    ("owner", "whose"), [(OTHER, "belongs to AuroraCluster shop/other of cluster k1"), ("", "has no tag")]
)
def test_a_group_of_that_name_that_is_not_ours_keeps_the_cluster_from_being_created(owner: str, whose: str) -> None:
    theirs = subnets(OWN, owner, "subnet-a", "subnet-c")
    operator = Operator(spec(network=SUBNETS), world=World(subnet_groups={OWN: theirs}))
    for _ in range(3):
        found = operator.one_pass()
        operator.time()
    assert operator.world.subnet_groups == {OWN: theirs}
    assert writes(operator) == []
    [(reason, sentence)] = told(found)
    assert reason == "NotOwned"
    assert sentence.startswith(f"Subnet group {OWN} {whose}")
    operator.absent = True
    assert operator.converge().gone
    assert operator.world.subnet_groups == {OWN: theirs}, "what is not ours is not deleted"


def test_a_group_that_was_created_before_a_crash_is_used() -> None:
    operator = Operator(
        spec(network=SUBNETS), world=World(subnet_groups={OWN: subnets(OWN, OWNER, "subnet-a", "subnet-b")})
    )
    operator.converge()
    assert "CreateDBSubnetGroup" not in writes(operator)
    assert operator.world.cluster is not None
    assert operator.world.cluster.subnet_group == OWN


def test_groups_of_an_earlier_version_stay_in_use_and_go_with_the_cluster() -> None:
    operator = legacy(OWNER)
    before = operator.world
    assert operator.one_pass().empty
    assert operator.world == before
    operator.change(parameters={"log_min_duration_statement": "900"})
    operator.converge()
    assert operator.world.groups["cluster", f"{LEGACY}-{FAMILY}"].values == {"log_min_duration_statement": "900"}
    assert len(operator.world.groups) == 1
    operator.change(deletionPolicy="Delete", deletionProtection=False)
    operator.absent = True
    assert operator.converge().gone
    assert (operator.world.groups, operator.world.subnet_groups) == ({}, {})


@pytest.mark.parametrize("owner", [OTHER, ""])
def test_groups_in_force_that_are_not_ours_are_neither_changed_nor_deleted(owner: str) -> None:
    operator = legacy(owner)
    theirs = (dict(operator.world.groups), dict(operator.world.subnet_groups))
    assert operator.one_pass().empty, "they give what the spec asks for"
    operator.change(network={"subnetIds": ["subnet-a", "subnet-b", "subnet-c"]})
    operator.one_pass()
    assert [r for r, _ in told(operator.plan())] == ["NotOwned"]
    assert (dict(operator.world.groups), dict(operator.world.subnet_groups)) == theirs
    operator.change(deletionPolicy="Delete", deletionProtection=False)
    operator.absent = True
    assert operator.converge().gone
    assert (dict(operator.world.groups), dict(operator.world.subnet_groups)) == theirs


def test_the_groups_of_an_earlier_object_of_this_name_go_over_with_the_cluster() -> None:
    operator = legacy(EARLIER)
    world = operator.world
    assert world.cluster is not None
    operator.world = replace(world, cluster=replace(world.cluster, tags={OWNER_TAG: EARLIER}))
    operator.edit({**operator.wanted, "adopt": True})
    operator.status = {}
    operator.converge()
    after = operator.world
    assert {g.group.tags[OWNER_TAG] for g in after.groups.values() if g.group} == {OWNER}
    assert {g.tags[OWNER_TAG] for g in after.subnet_groups.values()} == {OWNER}
    assert set(writes(operator)) == {"AddTagsToResource"}


def taker(**changes: Any) -> Operator:
    """An object that takes over a cluster that nobody marked."""
    there = settled().world
    assert there.cluster is not None
    there = replace(there, cluster=replace(there.cluster, tags={}))
    return Operator(spec(adopt=True, **changes), world=there)


def test_a_takeover_shows_its_plan_then_marks_the_cluster_alone_then_changes_it() -> None:
    operator = taker(backup={"retentionDays": 9})
    operator.one_pass()
    assert writes(operator) == []
    operator.time()
    operator.one_pass()
    [marked] = operator.done
    assert marked.parameters["Tags"] == [{"Key": OWNER_TAG, "Value": OWNER}]
    operator.converge()
    assert "ModifyDBCluster" in writes(operator)
    assert operator.world.cluster is not None
    assert operator.status["resourceId"] == operator.world.cluster.resource_id


def test_a_cluster_that_cannot_be_marked_is_neither_changed_nor_deleted() -> None:
    # It has 50 tags, or the right to tag it is denied.
    operator = taker(backup={"retentionDays": 9}, deletionPolicy="Delete")
    operator.refusing = {f"tag cluster {NAME} with the mark that it is ours": 99}
    cluster = operator.world.cluster
    for _ in range(4):
        operator.one_pass()
        operator.time()
    assert writes(operator) == []
    assert "resourceId" not in operator.status
    operator.absent = True
    operator.one_pass()
    assert operator.world.cluster == cluster


def test_of_two_that_take_over_one_cluster_the_one_that_was_overwritten_changes_nothing() -> None:
    operator = taker(backup={"retentionDays": 9})
    for _ in range(2):
        operator.one_pass()
        operator.time()
    cluster = operator.world.cluster
    assert cluster is not None
    operator.world = replace(operator.world, cluster=replace(cluster, tags={OWNER_TAG: OTHER}))
    assert [reason for reason, _ in told(operator.one_pass())] == ["NotOwned"]
    assert writes(operator) == ["AddTagsToResource"]


def test_the_loser_of_a_race_leaves_the_winners_and_takes_its_own_down() -> None:
    winner = settled(network=SUBNETS, parameters={"log_min_duration_statement": "1"})
    wanted = {**winner.wanted, "parameters": {"log_min_duration_statement": "2"}}
    loser = Operator(wanted, owner="k1/shop-ledger/AuroraCluster/x/u-2", uid="u-2")
    mine = loser.desired.own_subnet_group
    groups = {**winner.world.subnet_groups, mine: subnets(mine, loser.owner, "subnet-a", "subnet-b")}
    loser.world = replace(winner.world, subnet_groups=groups)
    for _ in range(3):
        found = loser.one_pass()
        loser.time()
    assert [r for r, _ in told(found)] == ["NotOwned"]
    assert writes(loser) == []
    loser.absent = True
    assert loser.converge().gone
    assert writes(loser) == ["DeleteDBSubnetGroup"]
    assert loser.world.subnet_groups == winner.world.subnet_groups


def test_an_object_that_is_not_the_oldest_waits_before_anything_is_created() -> None:
    operator = Operator(spec(network=SUBNETS))
    desired = replace(operator.desired, rival="a/b-c")
    found = plan(desired, operator.observe(), operator.now)
    assert found.steps == ()
    assert told(found) == [
        (
            "NotOwned",
            f"AuroraCluster a/b-c, which is older, asks for cluster {NAME} too: write another spec.clusterIdentifier, "
            "or delete one of the two objects.",
        )
    ]


def test_a_policy_of_another_name_is_changed_and_keeps_what_the_spec_does_not_name() -> None:
    operator = settled(instances={"class": "db.t4g.medium", "readers": 1, "readerAutoscaling": {"max": 3}})
    theirs = {"TargetValue": 70.0, "ScaleInCooldown": 900, "DisableScaleIn": True}
    operator.world = replace(operator.world, scaling=(Scaling(1, 3, 70.0, "console", theirs),))
    [step] = operator.plan().steps
    assert step.parameters["PolicyName"] == "console"
    tracking = step.parameters["TargetTrackingScalingPolicyConfiguration"]
    assert {k: tracking[k] for k in theirs} == {**theirs, "TargetValue": 60.0}


def test_a_snapshot_of_another_cluster_never_counts_as_the_final_one() -> None:
    operator = settled(deletionPolicy="Snapshot", deletionProtection=False)
    operator.absent = True
    name = operator.desired.final_snapshot
    stranger = Snapshot(name, "else", f"{ARN}:cluster-snapshot:{name}", "available", cluster_resource_id="cluster-99")
    operator.world = replace(operator.world, snapshots={name: stranger})
    for _ in range(20):
        found = operator.one_pass()
        operator.time()
    assert operator.world.cluster is not None, "the data is kept"
    [(reason, sentence)] = told(found)
    assert (reason, sentence.partition(".")[0]) == (
        "NotOwned",
        f"Deletion waits: snapshot {name} has the name of the final snapshot and is of another cluster (else)",
    )
    operator.world = replace(operator.world, snapshots={})
    assert operator.converge().gone
    assert operator.world.snapshots[name].cluster == NAME


def tagged(operator: Operator, name: str, tags: dict[str, Any]) -> None:
    instances = {**operator.world.instances, name: replace(operator.world.instances[name], tags=tags)}
    operator.world = replace(operator.world, instances=instances)


def test_the_tag_of_another_object_on_an_instance_is_never_replaced() -> None:
    operator = settled()
    tagged(operator, f"{NAME}-2", {OWNER_TAG: OTHER})
    operator.one_pass()
    assert operator.world.instances[f"{NAME}-2"].tags == {OWNER_TAG: OTHER}


# Renamed


def swap(operator: Operator, name: str, there: dict[str, Any] | None = None) -> None:
    """Somebody renames the cluster. there: what the cluster that then has its name is like; None for no cluster."""
    world = operator.world
    assert world.cluster is not None
    renamed = replace(world.cluster, identifier=name, arn=f"{ARN}:cluster:{name}")
    other = None if there is None else replace(world.cluster, resource_id="cluster-99", **there)
    operator.world = replace(world, cluster=other, instances={}, elsewhere=renamed)


@pytest.mark.parametrize("there", [None, {}, {"tags": {}}, {"tags": {OWNER_TAG: OTHER}}])
@pytest.mark.parametrize("adopt", [True, False])
def test_nothing_is_created_or_changed_while_the_cluster_has_another_name(
    there: dict[str, Any] | None, *, adopt: bool
) -> None:
    operator = settled(network=SUBNETS)
    swap(operator, "prod-main-old", there)
    operator.edit({**operator.wanted, "adopt": adopt, "backup": {"retentionDays": 9}})
    before, status = operator.world, dict(operator.status)
    for _ in range(5):
        found = operator.one_pass()
        operator.time()
    [(reason, sentence)] = told(found)
    assert reason == "Renamed"
    assert sentence.startswith(f"Cluster {NAME} was renamed to prod-main-old in AWS")
    assert ("another cluster" in sentence) == (there is not None)
    assert (operator.world, operator.status) == (before, status)


@pytest.mark.parametrize("there", [None, {}])
@pytest.mark.parametrize("policy", ["Delete", "Snapshot", "Retain"])
def test_a_deletion_takes_neither_the_renamed_cluster_nor_the_one_that_has_its_name(
    policy: str, there: dict[str, Any] | None
) -> None:
    operator = settled(network=SUBNETS, deletionPolicy=policy, deletionProtection=False)
    swap(operator, "prod-main-old", there)
    operator.absent = True
    before = operator.world
    for _ in range(3):
        found = operator.one_pass()
        operator.time()
    if policy != "Retain":
        assert [r for r, _ in told(found)] == ["Renamed"]
        assert operator.world == before
        operator.wanted = {**operator.wanted, "deletionPolicy": "Retain"}
        found = operator.one_pass()
    assert found.gone
    assert operator.world.cluster == before.cluster
    assert operator.world.elsewhere is not None
    assert OWNER_TAG not in operator.world.elsewhere.tags


def test_the_spec_follows_a_rename_and_nothing_is_created_again() -> None:
    operator = settled(network=SUBNETS, parameters={"log_min_duration_statement": "500"})
    world = operator.world
    assert world.cluster is not None
    operator.world = replace(world, cluster=replace(world.cluster, identifier="prod-new"))
    operator.identifier = "prod-new"
    operator.edit({**operator.wanted, "clusterIdentifier": "prod-new"})
    assert operator.one_pass().empty
    assert writes(operator) == []
    assert operator.status["clusterIdentifier"] == "prod-new"


def test_another_identifier_in_the_spec_alone_renames_nothing() -> None:
    operator = settled()
    there = operator.world
    operator.identifier = "prod-new"
    operator.edit({**operator.wanted, "clusterIdentifier": "prod-new"})
    operator.world = replace(there, cluster=None, instances={}, elsewhere=there.cluster)
    found = operator.one_pass()
    assert found.steps == ()
    [(reason, sentence)] = told(found)
    assert reason == "Renamed"
    assert f"Write spec.clusterIdentifier: {NAME}, or rename the cluster: aws rds modify-db-cluster" in sentence


def test_a_renamed_instance_stays_and_none_is_created_or_deleted_for_it() -> None:
    operator = settled()
    world = operator.world
    assert world.cluster is not None
    name = f"{NAME}-1"
    members = tuple(replace(m, identifier="writer-x") if m.identifier == name else m for m in world.cluster.members)
    instances = {n: i for n, i in world.instances.items() if n != name}
    instances["writer-x"] = replace(world.instances[name], identifier="writer-x")
    operator.world = replace(world, cluster=replace(world.cluster, members=members), instances=instances)
    for _ in range(3):
        operator.one_pass()
        operator.time()
    assert set(operator.world.instances) == set(instances)
    assert not [w for w in writes(operator) if w.startswith(("Create", "Delete"))]


# Groups that something else uses


@pytest.mark.parametrize("known", [True, False])
def test_a_group_that_a_clone_uses_is_left_to_it_after_a_while(*, known: bool) -> None:
    operator = settled(
        network=SUBNETS,
        parameters={"log_min_duration_statement": "500"},
        deletionPolicy="Delete",
        deletionProtection=False,
    )
    operator.world = replace(operator.world, users={OWN: ("clone",), f"{OWN}-{FAMILY}": ("clone",)})
    operator.knows_users = known
    operator.absent = True
    for _ in range(60):
        found = operator.one_pass()
        if operator.world.cluster is None and found.refusals:
            break
        operator.time()
    reasons = {(r.reason, r.blocking) for r in found.refusals}
    assert reasons == {("InUse", True)}, "somebody must act"
    assert ("clone" in found.refusals[0].sentence) is known
    assert not found.gone
    for _ in range(22):
        operator.time()
    found = operator.one_pass()
    assert found.gone
    assert [s.partition(" behind")[0] for s in found.left] == [
        f"Left cluster parameter group {OWN}-{FAMILY}",
        f"Left subnet group {OWN}",
    ]
    assert OWN in operator.world.subnet_groups


def test_a_group_that_is_free_again_goes() -> None:
    operator = settled(network=SUBNETS, deletionPolicy="Delete", deletionProtection=False)
    operator.world = replace(operator.world, users={OWN: ("clone",)})
    operator.absent = True
    for _ in range(20):
        operator.one_pass()
        operator.time()
    operator.world = replace(operator.world, users={})
    assert operator.converge().gone
    assert operator.world.subnet_groups == {}
