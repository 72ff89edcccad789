"""What belongs to somebody else, or was renamed, is never touched; what somebody set is never lost (F1, F2, F3, F7)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from declared_cluster import NOW, SUBNETS, DeclaredCluster, abandon, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

OURS: dict[str, Any] = {"network": {"subnetIds": SUBNETS[:2], "securityGroupIds": ["sg-lab"]}, "requireTLS": None}


def subnets(cluster: DeclaredCluster, group: str) -> list[str]:
    found = cluster.rds.describe_db_subnet_groups(DBSubnetGroupName=group)["DBSubnetGroups"][0]["Subnets"]
    return sorted(s["SubnetIdentifier"] for s in found)


def groups(cluster: DeclaredCluster) -> set[str]:
    """All groups of the lab's account."""
    rds = cluster.rds
    found = {g["DBSubnetGroupName"] for g in rds.describe_db_subnet_groups()["DBSubnetGroups"]}
    answer = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    return found | {g["DBClusterParameterGroupName"] for g in answer}


def parameters(cluster: DeclaredCluster, group: str, **values: str) -> str:
    """Somebody's own cluster parameter group."""
    rds = cluster.rds
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-postgresql15", Description="theirs"
    )
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=group,
        Parameters=[
            {"ParameterName": n.replace("__", "."), "ParameterValue": v, "ApplyMethod": "pending-reboot"}
            for n, v in values.items()
        ],
    )
    return group


def renamed(cluster: DeclaredCluster, name: str) -> None:
    cluster.by_hand(NewDBClusterIdentifier=name, ApplyImmediately=True)
    cluster.until(lambda: not cluster.exists, "it has another name")


@scenario
def test_two_objects_with_one_identifier_share_nothing(lab: Lab, namespace: str) -> None:
    tail = uuid.uuid4().hex[:4]
    other = f"{namespace}-{tail}"
    lab.kubectl("create", "namespace", other)
    try:
        spec = {"clusterIdentifier": None, "parameters": {"log_min_duration_statement": "500"}}
        name = f"{namespace}-{tail}-c"
        first = DeclaredCluster.small(lab, namespace, {**OURS, **spec}, name=f"{tail}-c", cluster=name, apply=False)
        spec["parameters"] = {"log_statement": "all"}
        second = DeclaredCluster.small(lab, other, {**OURS, **spec}, name="c", cluster=name, apply=False)
        second.spec["network"] = {"subnetIds": [SUBNETS[0], SUBNETS[2]], "securityGroupIds": ["sg-lab"]}
        both = {"apiVersion": "v1", "kind": "List", "items": [first.manifest, second.manifest]}
        lab.kubectl("apply", "-f", "-", input=json.dumps(both))
        first.uid, second.uid = (c.object["metadata"]["uid"] for c in (first, second))
        first.until(lambda: "NotOwned" in {c.condition().get("reason") for c in (first, second)}, "one of them waits")
        winner, loser = (first, second) if second.condition().get("reason") == "NotOwned" else (second, first)
        winner.settled()
        assert "spec.clusterIdentifier" in loser.wait("Ready", "False", reason="NotOwned")["message"]
        loser.wait("Stalled", "True")
        values = winner.cluster_parameters
        assert set(winner.spec["parameters"]) <= set(values)
        assert not set(loser.spec["parameters"]) & set(values)
        assert winner.aws["DBSubnetGroup"] == winner.own_group
        assert subnets(winner, winner.own_group) == sorted(winner.spec["network"]["subnetIds"])
        loser.delete().gone()
        assert {g for g in groups(winner) if winner.own_group in g} == {
            winner.own_group,
            f"{winner.own_group}-aurora-postgresql15",
        }
        assert not [g for g in groups(winner) if loser.own_group in g]
    finally:
        abandon(lab, [other])


@scenario
def test_an_adopted_cluster_keeps_its_parameter_group_or_what_it_holds(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "adopt": True, "requireTLS": True, "instances": {"class": None, "readers": None}}
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    theirs = {"log_min_duration_statement": "250", "rds__logical_replication": "1", "rds__force_ssl": "0"}
    custom = parameters(cluster, f"{cluster.cluster}-custom", **theirs)
    made_by_hand(cluster, DBClusterParameterGroupName=custom)
    told = cluster.apply().wait("Synced", "False", reason="WaitingForConsent")["message"]
    assert "it takes over log_min_duration_statement = 250, rds.logical_replication = 1" in told
    cluster.look()
    assert cluster.aws["DBClusterParameterGroup"] == custom
    assert not [g for g in groups(cluster) if cluster.own_group in g], "nothing is created before the consent"
    cluster.annotate("approve", cluster.plan["hash"]).settled()
    assert cluster.aws["DBClusterParameterGroup"] == f"{cluster.own_group}-aurora-postgresql15"
    assert cluster.cluster_parameters == {
        "log_min_duration_statement": "250",
        "rds.logical_replication": "1",
        "rds.force_ssl": "1",
    }
    answer = cluster.rds.describe_db_cluster_parameters(DBClusterParameterGroupName=custom, Source="user")
    assert {p["ParameterName"]: p["ParameterValue"] for p in answer["Parameters"]} == {
        n.replace("__", "."): v for n, v in theirs.items()
    }


@scenario
def test_a_parameter_group_that_gives_what_the_spec_asks_for_stays(lab: Lab, namespace: str) -> None:
    spec = {
        **NOW,
        "adopt": True,
        "requireTLS": True,
        "parameters": {"log_min_duration_statement": "250"},
        "instances": {"class": None, "readers": None},
    }
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    theirs = {"log_min_duration_statement": "250", "rds__force_ssl": "1", "work_mem": "9000"}
    custom = parameters(cluster, f"{cluster.cluster}-custom", **theirs)
    made_by_hand(cluster, DBClusterParameterGroupName=custom)
    cluster.apply().settled()
    assert cluster.aws["DBClusterParameterGroup"] == custom
    assert not [g for g in groups(cluster) if cluster.own_group in g]


@scenario
def test_a_renamed_cluster_is_followed_and_never_created_again(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, OURS).settled()
    before, old = cluster.aws["DbClusterResourceId"], cluster.cluster
    new = f"{old}-new"
    renamed(cluster, new)
    told = cluster.wait("Ready", "False", reason="Renamed")["message"]
    assert told.startswith(
        f"Cluster {old} was renamed to {new} in AWS. To follow it, set spec.clusterIdentifier: {new}."
    )
    cluster.wait("Stalled", "True")
    cluster.look()
    assert not cluster.exists
    cluster.delete()
    cluster.wait("Ready", "False", reason="Renamed", words="nothing of it is deleted")
    cluster.cluster = new
    assert cluster.aws["DbClusterResourceId"] == before
    # It can still be said what becomes of it.
    cluster.patch(deletionPolicy="Retain").gone()
    assert cluster.exists
    assert "penstock.dev/owner" not in cluster.aws_tags


@scenario
def test_the_spec_follows_a_renamed_cluster(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, OURS).settled()
    before, old = cluster.aws, cluster.cluster
    new = f"{old}-new"
    renamed(cluster, new)
    cluster.wait("Ready", "False", reason="Renamed")
    cluster.cluster = new
    cluster.edit(clusterIdentifier=new).settled()
    cluster.wait("Ready", "True")
    for field in ("DbClusterResourceId", "DBSubnetGroup", "DBClusterParameterGroup"):
        assert cluster.aws[field] == before[field]
    assert len(cluster.aws_instances) == 1
    cluster.delete().gone()
    assert not cluster.exists
    assert not [g for g in groups(cluster) if before["DBSubnetGroup"] in g]


@scenario
def test_another_cluster_under_the_old_name_is_left_alone(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, OURS).settled()
    old, tags = cluster.cluster, [{"Key": k, "Value": v} for k, v in cluster.aws_tags.items()]
    cluster.annotate("mode", "Paused").wait("Synced", "False", reason="Paused")
    renamed(cluster, f"{old}-old")
    # A restored copy carries our own tag.
    made_by_hand(cluster, [f"{old}-9"], Tags=tags, BackupRetentionPeriod=3)
    theirs = {k: v for k, v in cluster.aws.items() if "RestorableTime" not in k}
    cluster.annotate("mode", None).edit(backup={"retentionDays": 9})
    told = cluster.wait("Ready", "False", reason="Renamed")["message"]
    assert f"was renamed to {old}-old in AWS, and another cluster is called {old} now" in told
    cluster.delete()
    cluster.wait("Ready", "False", reason="Renamed", words="nothing of it is deleted")
    assert {k: v for k, v in cluster.aws.items() if "RestorableTime" not in k} == theirs
    cluster.patch(deletionPolicy="Retain").gone()
    assert cluster.exists


@scenario
def test_groups_that_a_clone_uses_are_told_with_its_name(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {**OURS, "parameters": {"work_mem": "9000"}}).settled()
    clone = DeclaredCluster.small(lab, namespace, name="clone", apply=False)
    group = f"{cluster.own_group}-aurora-postgresql15"
    made_by_hand(clone, [], DBSubnetGroupName=cluster.own_group, DBClusterParameterGroupName=group)
    cluster.delete()
    told = cluster.wait("Ready", "False", reason="InUse")["message"]
    assert f"{clone.cluster} still uses it" in told
    cluster.wait("Stalled", "True")
    clone.by_hand("delete_db_cluster", SkipFinalSnapshot=True)
    cluster.gone()
    assert not [g for g in groups(cluster) if cluster.own_group in g]
