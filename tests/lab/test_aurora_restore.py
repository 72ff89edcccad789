"""Clusters made from a snapshot and from another cluster's past."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from declared import unharmed
from declared_cluster import DeclaredCluster, daily, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def snapshot(cluster: DeclaredCluster, name: str) -> str:
    cluster.by_hand("create_db_cluster_snapshot", DBClusterSnapshotIdentifier=name)

    def taken() -> bool:
        found = cluster.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
        return bool(found[0]["Status"] == "available")

    cluster.until(taken, "the snapshot is taken")
    return name


@scenario
def test_from_a_snapshot_with_the_settings_of_the_spec(lab: Lab, namespace: str) -> None:
    source = DeclaredCluster.small(lab, namespace, name="source", apply=False)
    made_by_hand(source, MasterUsername="keeper", DatabaseName="books", BackupRetentionPeriod=3)
    taken = snapshot(source, f"{namespace}-monday")
    spec = {
        "restoreFrom": {"snapshotIdentifier": taken},
        "backup": {"retentionDays": 9, "window": daily(6)},
        "parameters": {"work_mem": "8192"},
        "maintenance": {"apply": "Immediately"},
        "tags": {"team": "shop"},
        "instances": {"readers": 1},
    }
    cluster = DeclaredCluster(lab, namespace, spec)
    told = cluster.wait("Ready", "False", reason="Restoring")
    assert told["message"].endswith(".")
    cluster.settled()
    assert cluster.told("Restoring")[0] == f"Restoring cluster {cluster.cluster} from snapshot {taken}."
    aws = cluster.aws
    assert (aws["MasterUsername"], aws["DatabaseName"]) == ("keeper", "books")
    # What a restore does not take is changed afterwards.
    assert (aws["BackupRetentionPeriod"], aws["PreferredBackupWindow"]) == (9, spec["backup"]["window"])
    assert cluster.cluster_parameters["work_mem"] == "8192"
    assert {m["DBClusterParameterGroupStatus"] for m in aws["DBClusterMembers"]} == {"in-sync"}
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(2)]
    assert cluster.aws_tags["penstock.dev/owner"].endswith(cluster.uid)
    operations = cluster.writes()
    assert operations.count("RestoreDBClusterFromSnapshot") == 1
    assert "CreateDBCluster" not in operations
    assert not cluster.told("DriftCorrected"), "what a restore brings along is no drift"
    # Where it came from may be forgotten; it is read when the cluster is made.
    cluster.edit(restoreFrom=None).settled()
    assert cluster.writes() == operations, "not even the password, which is the source's"


@scenario
def test_to_a_point_in_time_and_to_the_latest(lab: Lab, namespace: str) -> None:
    source = DeclaredCluster.small(
        lab, namespace, {"credentials": {"masterUsername": "keeper"}}, name="source"
    ).settled()
    moment = source.status["restorable"]["earliest"]
    source.until(lambda: source.aws["LatestRestorableTime"] > datetime.fromisoformat(moment), "the window has a second")
    then = DeclaredCluster.small(
        lab,
        namespace,
        {"restoreFrom": {"clusterIdentifier": source.cluster, "time": moment}},
        name="then",
    )
    latest = DeclaredCluster.small(
        lab,
        namespace,
        {"restoreFrom": {"clusterIdentifier": source.cluster}, "credentials": {"managed": True}},
        name="latest",
    )
    then.settled()
    latest.settled()
    for cluster in (then, latest):
        assert cluster.writes().count("RestoreDBClusterToPointInTime") == 1
        assert cluster.aws["MasterUsername"] == "keeper"
        assert cluster.aws["DbClusterResourceId"] != source.aws["DbClusterResourceId"]
    assert then.told("Restoring")[0] == f"Restoring cluster {then.cluster} from cluster {source.cluster} at {moment}."
    assert latest.told("Restoring")[0] == f"Restoring cluster {latest.cluster} from cluster {source.cluster}."
    assert latest.aws["MasterUserSecret"]["SecretStatus"] == "active"


@scenario
def test_a_snapshot_that_is_not_there_yet(lab: Lab, namespace: str) -> None:
    name = f"{namespace}-later"
    cluster = DeclaredCluster.small(lab, namespace, {"restoreFrom": {"snapshotIdentifier": name}})
    nowhere = DeclaredCluster.small(
        lab, namespace, {"restoreFrom": {"clusterIdentifier": f"{namespace}-none"}}, name="nowhere"
    )
    told = cluster.wait("Ready", "False", reason="WaitingForDependency")
    assert told["message"].startswith(
        f"There is no snapshot {name} to restore from: check spec.restoreFrom.snapshotIdentifier."
    )
    told = nowhere.wait("Ready", "False", reason="WaitingForDependency")
    assert told["message"].startswith(
        f"There is no cluster {namespace}-none to restore from: check spec.restoreFrom.clusterIdentifier, or name a snapshot."
    )
    source = made_by_hand(DeclaredCluster.small(lab, namespace, name="source", apply=False))
    snapshot(source, name)
    cluster.settled()
    nowhere.delete().gone()


@scenario
def test_a_moment_that_cannot_be_restored_is_told(lab: Lab, namespace: str) -> None:
    source = DeclaredCluster.small(lab, namespace, name="source").settled()
    spec = {"restoreFrom": {"clusterIdentifier": source.cluster, "time": "2020-02-29T12:00:00Z"}}
    cluster = DeclaredCluster.small(lab, namespace, spec)
    told = cluster.wait("Ready", "False", words="restor")
    cluster.until(lambda: cluster.condition("Stalled")["status"] == "True", "a person must act")
    assert "2020-02-29T12:00:00Z" in cluster.condition()["message"], told["message"]
    assert not cluster.exists
    cluster.delete().gone()
