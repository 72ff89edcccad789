"""What a namespace may take over and restore from: only what somebody with rights to it, or the administrator, allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import Declared, adoptable_by, unharmed
from declared_cluster import DeclaredCluster, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


@scenario
def test_a_cluster_that_nobody_offered_is_neither_taken_over_nor_handed_out(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(
        lab, namespace, {"adopt": True, "deletionPolicy": "Delete", "deletionProtection": False}, apply=False
    )
    made_by_hand(cluster, adoptable=False)
    before = cluster.writes(only_done=False)
    told = cluster.apply().wait("Ready", "False", reason="Forbidden")
    assert f"Namespace {namespace} may not take over cluster {cluster.cluster}." in told["message"]
    assert f"Key=penstock.dev/adoptable-by,Value={namespace}" in told["message"]
    assert cluster.condition("Stalled")["status"] == "True"
    assert not lab.kubectl(
        "get", "secret", f"{cluster.name}-binding", "-n", namespace, "--ignore-not-found"
    ).stdout.strip()
    assert cluster.writes(only_done=False) == before
    cluster.rds.add_tags_to_resource(
        ResourceName=cluster.aws["DBClusterArn"], Tags=adoptable_by(f"elsewhere {namespace}/{cluster.name}")
    )
    cluster.settled()
    assert cluster.told("Adopted")


@scenario
def test_what_was_never_taken_over_stays_when_its_object_goes(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(
        lab, namespace, {"adopt": True, "deletionPolicy": "Delete", "deletionProtection": False}, apply=False
    )
    made_by_hand(cluster, adoptable=False)
    before = cluster.writes(only_done=False)
    cluster.apply().wait("Ready", "False", reason="Forbidden")
    cluster.delete().gone()
    assert cluster.aws["Status"] == "available"
    assert cluster.writes(only_done=False) == before


@scenario
def test_snapshots_and_clusters_of_others_are_not_restored_from(lab: Lab, namespace: str) -> None:
    source = made_by_hand(DeclaredCluster.small(lab, namespace, name="source", apply=False), adoptable=False)
    snapshot = f"{namespace}-kept"
    source.by_hand("create_db_cluster_snapshot", DBClusterSnapshotIdentifier=snapshot)
    source.until(
        lambda: (
            source.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"][0][
                "Status"
            ]
            == "available"
        ),
        "the snapshot is taken",
    )
    copies = [
        DeclaredCluster.small(lab, namespace, {"restoreFrom": {"snapshotIdentifier": snapshot}}, name="one"),
        DeclaredCluster.small(lab, namespace, {"restoreFrom": {"clusterIdentifier": source.cluster}}, name="two"),
    ]
    for copy, what in zip(copies, (f"snapshot {snapshot}", f"cluster {source.cluster}"), strict=True):
        told = copy.wait("Ready", "False", reason="Forbidden")
        assert f"may not restore from {what}" in told["message"]
        assert copy.writes() == []
    arn = source.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot)["DBClusterSnapshots"][0]
    source.rds.add_tags_to_resource(ResourceName=arn["DBClusterSnapshotArn"], Tags=adoptable_by(namespace))
    copies[0].settled()
    copies[1].delete().gone()


def test_a_table_and_its_past_are_for_whom_they_are_offered(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"adopt": True}, apply=False)
    table.dynamodb.create_table(
        TableName=table.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.until(lambda: table.aws["TableStatus"] == "ACTIVE", "the table is there")
    table.dynamodb.update_continuous_backups(
        TableName=table.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    backup = table.dynamodb.create_backup(TableName=table.table, BackupName="theirs")["BackupDetails"]["BackupArn"]
    made = table.writes(only_done=False)
    told = table.apply().wait("Ready", "False", reason="Forbidden")
    assert f"Key=penstock.dev/adoptable-by,Value={namespace}" in told["message"]
    sources = ({"tableName": table.table}, {"backupArn": backup})
    copies = [Declared(lab, namespace, {"restoreFrom": s}, name=f"copy-{n}") for n, s in enumerate(sources)]
    for copy in copies:
        told = copy.wait("Ready", "False", reason="Forbidden")
        assert "may not restore from" in told["message"]
        assert not copy.exists
    assert table.writes(only_done=False) == made
    table.dynamodb.tag_resource(ResourceArn=table.aws["TableArn"], Tags=adoptable_by(namespace))
    table.annotate("reconcile-at", "1").settled()
    for copy in copies:
        copy.settled()


def test_a_final_backup_is_for_the_namespace_that_made_it(lab: Lab, namespace: str, another: str) -> None:
    first = Declared(lab, namespace, {"deletionPolicy": "Snapshot"}).settled()
    first.delete().gone()
    (arn,) = (b["BackupArn"] for b in first.aws_backups)
    theirs = Declared(lab, another, {"restoreFrom": {"backupArn": arn}}, name="theirs")
    theirs.wait("Ready", "False", reason="Forbidden")
    Declared(lab, namespace, {"restoreFrom": {"backupArn": arn}}, name="again").settled()
    assert not theirs.exists
    theirs.delete().gone()


def test_a_region_that_is_not_allowed(lab: Lab, namespace: str) -> None:
    table = Declared(lab, namespace, {"region": "eu-west-3"})
    told = table.wait("Ready", "False", reason="Invalid")
    assert "eu-west-3 is not allowed here: write one of us-east-1, or leave it out" in told["message"]
    table.delete().gone()
