"""Taking clusters down: what is kept, in which order, what blocks it, and that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import unharmed
from declared_cluster import NOW, DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def left(cluster: DeclaredCluster) -> list[str]:
    """What AWS still has under the cluster's identifier."""
    rds, found = cluster.rds, []
    listings = {
        "describe_db_clusters": ("DBClusters", "DBClusterIdentifier"),
        "describe_db_instances": ("DBInstances", "DBInstanceIdentifier"),
        "describe_db_subnet_groups": ("DBSubnetGroups", "DBSubnetGroupName"),
        "describe_db_cluster_parameter_groups": ("DBClusterParameterGroups", "DBClusterParameterGroupName"),
        "describe_db_parameter_groups": ("DBParameterGroups", "DBParameterGroupName"),
        "describe_db_cluster_snapshots": ("DBClusterSnapshots", "DBClusterSnapshotIdentifier"),
        "describe_db_cluster_automated_backups": ("DBClusterAutomatedBackups", "DBClusterIdentifier"),
    }
    for operation, (rows, name) in listings.items():
        for page in rds.get_paginator(operation).paginate():
            found += [row[name] for row in page[rows] if cluster.cluster in row[name]]
    targets = cluster.lab.boto("application-autoscaling").describe_scalable_targets(ServiceNamespace="rds")
    found += [t["ResourceId"] for t in targets["ScalableTargets"] if cluster.cluster in t["ResourceId"]]
    return sorted(found)


@scenario
def test_delete_takes_instances_first_and_leaves_nothing(lab: Lab, namespace: str) -> None:
    spec = {
        **NOW,
        "parameters": {"work_mem": "8192"},
        "instances": {"readers": 2, "readerAutoscaling": {"max": 4}},
        "deletionPolicy": "Delete",
    }
    cluster = DeclaredCluster(lab, namespace, spec).settled()
    arn = cluster.status["credentials"]["secretArn"]
    assert len(left(cluster)) >= 8
    before = len(cluster.written())
    cluster.delete().gone()
    assert left(cluster) == []
    kept = lab.boto("secretsmanager").list_secrets()["SecretList"]
    assert arn not in [s["ARN"] for s in kept]
    done = cluster.written()[before:]
    operations = [operation for operation, _ in done]
    assert operations[0] == "DeregisterScalableTarget"
    assert done[1:4] == [("DeleteDBInstance", "2"), ("DeleteDBInstance", "3"), ("DeleteDBInstance", "1")], (
        "the writer last"
    )
    assert operations[4] == "DeleteDBCluster"
    assert sorted(operations[5:]) == ["DeleteDBClusterParameterGroup", "DeleteDBSubnetGroup"]


@scenario
def test_snapshot_takes_one_final_snapshot_and_keeps_the_backups(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"deletionPolicy": "Snapshot", "tags": {"team": "shop"}}).settled()
    resource = cluster.status["resourceId"]
    cluster.delete()
    cluster.until(
        lambda: cluster.status["finalSnapshot"]["identifier"], "the snapshot's name is told before it is taken"
    )
    name = cluster.status["finalSnapshot"]["identifier"]
    notes: list[str] = []
    cluster.until(lambda: notes.extend(cluster.told("Deleting")) or notes, "the deletion is told")
    cluster.gone()
    assert name.startswith(f"{cluster.cluster}-final-")
    assert f"Deleting cluster {cluster.cluster}, with the final snapshot {name}." in notes
    (snapshot,) = cluster.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
    assert (snapshot["Status"], snapshot["DBClusterIdentifier"]) == ("available", cluster.cluster)
    assert {"Key": "team", "Value": "shop"} in snapshot["TagList"]
    backups = cluster.rds.describe_db_cluster_automated_backups(DbClusterResourceId=resource)
    assert len(backups["DBClusterAutomatedBackups"]) == 1, "whoever wants a last snapshot wants the days before it too"
    assert not cluster.exists
    assert cluster.writes().count("DeleteDBCluster") == 1


@scenario
def test_retain_leaves_all_and_takes_the_mark_off(lab: Lab, namespace: str) -> None:
    spec = {
        "deletionPolicy": "Retain",
        "deletionProtection": True,
        "tags": {"team": "shop"},
        "instances": {"readers": 0},
    }
    cluster = DeclaredCluster(lab, namespace, spec).settled()
    before = left(cluster)
    notes: list[str] = []
    cluster.delete()
    cluster.gone()
    assert left(cluster) == before
    assert cluster.aws_tags == {"team": "shop", "penstock.dev/adoptable-by": namespace}
    assert {t["Key"] for t in cluster.aws_instances[cluster.instance(1)]["TagList"]} == {"team"}
    notes = cluster.told("Retained")
    assert notes == [f"Cluster {cluster.cluster} stays in AWS, as deletionPolicy Retain says."]
    assert not [w for w in cluster.writes() if w.startswith(("Delete", "Stop"))]


@scenario
def test_protection_blocks_with_a_sentence_and_an_edit_releases_it(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"deletionProtection": True}).settled()
    by_hand = DeclaredCluster.small(lab, namespace, name="by-hand").settled()
    by_hand.by_hand(DeletionProtection=True, ApplyImmediately=True)
    cluster.delete()
    by_hand.delete()
    told = cluster.wait("Ready", "False", reason="DeletionProtected")
    assert told["message"] == (
        f"Deletion waits: AWS deletion protection of cluster {cluster.cluster} is on; set spec.deletionProtection: false "
        "to let it go."
    )
    assert cluster.condition("Stalled")["status"] == "True"
    by_hand.wait("Ready", "False", reason="DeletionProtected")
    assert cluster.instance(1) in cluster.aws_instances, "not one instance goes before the cluster may"
    cluster.patch(deletionProtection=False)
    # What somebody protected by hand is released by hand too, or by a changed mind.
    by_hand.patch(deletionPolicy="Retain")
    cluster.gone()
    by_hand.gone()
    assert not cluster.exists
    assert by_hand.exists


@scenario
def test_a_stopped_cluster_is_started_to_be_deleted(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"stopped": True})
    cluster.until(lambda: cluster.aws["Status"] == "stopped", "it is stopped")
    cluster.until(lambda: cluster.status["state"] == "stopped", "that is known")
    cluster.delete().gone()
    assert not cluster.exists
    tail = [w for w in cluster.writes() if w.startswith(("Start", "Delete"))]
    assert tail == ["StartDBCluster", "DeleteDBInstance", "DeleteDBCluster"]


@scenario
def test_deletion_in_the_middle_of_a_creation(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster(lab, namespace, {"instances": {"readers": 1}})
    last = cluster.instance(2)
    cluster.until(lambda: last in cluster.aws_instances, "it is being made")
    # AWS takes its time with one of the instances.
    lab.aws.rds_status(last, "deleting")
    cluster.delete()
    told = cluster.wait(
        "Ready", "False", reason="Deleting", words=f"The instances of cluster {cluster.cluster} go first:"
    )
    assert last in told["message"]
    assert cluster.object["metadata"]["finalizers"] == ["penstock.dev/finalizer"]
    assert "DeleteDBCluster" not in cluster.writes(only_done=False)
    lab.aws.rds_status(last, "available")
    cluster.gone()
    assert left(cluster) == []


@scenario
def test_made_again_at_once_under_the_same_name(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace).settled()
    before = cluster.status["resourceId"]
    lab.kubectl("delete", "aurora", "ledger", "-n", namespace, "--timeout=80s", timeout=90)
    cluster.apply().settled()
    assert cluster.status["resourceId"] != before


@scenario
def test_an_object_that_made_nothing_goes_at_once(lab: Lab, namespace: str) -> None:
    reference = {"credentials": {"passwordSecretRef": {"name": "missing"}}}
    waiting = DeclaredCluster.small(lab, namespace, reference, name="waiting")
    waiting.wait("Ready", "False", reason="WaitingForSecret")
    waiting.delete().gone(30)
    assert left(waiting) == []
