"""What AWS refuses can be edited until the cluster exists, and what AWS settled otherwise than the spec says is told (F4, F6)."""

from __future__ import annotations

import pytest
from declared_cluster import NOW, SUBNETS, DeclaredCluster, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@scenario
def test_a_subnet_group_that_aws_does_not_know_is_edited_away(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"network": {"subnetGroup": "does-not-exist"}})
    cluster.wait("Ready", "False", words="does-not-exist")
    cluster.edit(network={"subnetIds": SUBNETS}, credentials={"masterUsername": "owner"}, databaseName="books")
    cluster.settled()
    assert cluster.aws["MasterUsername"] == "owner"
    # From now on they are for ever, but for what AWS has.
    with pytest.raises(Exception, match="may be taken away, but not added or changed"):
        cluster.edit(databaseName="other")
    cluster.edit(databaseName=None).edit(databaseName="books").edit(network=None).edit(network={"subnetIds": SUBNETS})
    cluster.settled()


@scenario
def test_a_key_that_does_not_exist_is_edited(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"encryption": {"kmsKey": "alias/typo"}})
    cluster.wait("Ready", "False", words="alias/typo")
    cluster.edit(encryption={"kmsKey": "alias/lab"}).settled()


@scenario
def test_what_was_to_be_restored_is_made_empty_with_consent_only(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"restoreFrom": {"snapshotIdentifier": "typo-in-name"}})
    cluster.wait("Ready", "False", words="typo-in-name")
    cluster.edit(restoreFrom=None)
    told = cluster.wait("Ready", "False", reason="WaitingForConsent")
    assert "empty instead of restored from typo-in-name" in told["message"]
    cluster.look()
    assert not cluster.exists
    cluster.annotate("approve", cluster.plan["hash"]).settled()
    assert "CreateDBCluster" in cluster.writes()


@scenario
def test_another_snapshot_is_named_after_a_typo(lab: Lab, namespace: str) -> None:
    source = DeclaredCluster.small(lab, namespace, name="source").settled()
    snapshot = f"{source.cluster}-by-hand"
    source.by_hand("create_db_cluster_snapshot", DBClusterSnapshotIdentifier=snapshot)
    cluster = DeclaredCluster.small(lab, namespace, {"restoreFrom": {"snapshotIdentifier": "typo-in-name"}})
    cluster.wait("Ready", "False", words="typo-in-name")
    cluster.edit(restoreFrom={"snapshotIdentifier": snapshot}).settled()
    assert "RestoreDBClusterFromSnapshot" in cluster.writes()


@scenario
def test_a_cluster_that_can_never_be_as_the_spec_says_is_not_adopted(lab: Lab, namespace: str) -> None:
    spec = {
        **NOW,
        "adopt": True,
        "encryption": {"kmsKey": "alias/lab"},
        "credentials": {"masterUsername": "someoneelse"},
        "databaseName": "nosuchdb",
        "network": {"subnetIds": SUBNETS},
    }
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    made_by_hand(cluster, StorageEncrypted=False)
    written = cluster.writes()
    told = cluster.apply().wait("Ready", "False", reason="Invalid")["message"]
    for words in (
        f"spec.credentials.masterUsername says someoneelse, cluster {cluster.cluster} has postgres: write postgres or leave it out",
        "spec.databaseName says nosuchdb",
        "spec.encryption.kmsKey says alias/lab",
        "is not encrypted",
        "is in subnet group default: write subnetGroup: default instead or leave it out",
    ):
        assert words in told
    assert cluster.condition("Stalled")["status"] == "True"
    cluster.look()
    assert cluster.writes() == written, "nothing of it is touched, and no group is made that nothing uses"
    cluster.edit(encryption=None, credentials={"masterUsername": "postgres"}, databaseName=None)
    cluster.edit(network={"subnetGroup": "default"}).settled()


@scenario
def test_an_alias_is_resolved_before_it_is_compared(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"adopt": True, "encryption": {"kmsKey": "alias/lab"}}, apply=False)
    made_by_hand(cluster, StorageEncrypted=True)
    told = cluster.apply().wait("Ready", "False", reason="Invalid")["message"]
    assert "spec.encryption.kmsKey says alias/lab, which is arn:" in told
    assert cluster.aws["KmsKeyId"] in told
    cluster.edit(encryption={"kmsKey": cluster.aws["KmsKeyId"]}).settled()
