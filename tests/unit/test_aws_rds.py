"""RDS's answers become records: complete ones, half ones and odd ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.aws import rds

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

CLUSTER: dict[str, Any] = {
    "DBClusterIdentifier": "shop-ledger",
    "DBClusterArn": "arn:aws:rds:us-east-1:123456789012:cluster:shop-ledger",
    "DbClusterResourceId": "cluster-ABC",
    "Status": "available",
    "Engine": "aurora-postgresql",
    "EngineVersion": "15.10",
    "EngineMode": "provisioned",
    "Endpoint": "shop-ledger.cluster-x.us-east-1.rds.amazonaws.com",
    "ReaderEndpoint": "shop-ledger.cluster-ro-x.us-east-1.rds.amazonaws.com",
    "Port": 5432,
    "DBClusterMembers": [
        {"DBInstanceIdentifier": "a", "IsClusterWriter": False, "PromotionTier": 0},
        {
            "DBInstanceIdentifier": "b",
            "IsClusterWriter": True,
            "PromotionTier": 15,
            "DBClusterParameterGroupStatus": "pending-reboot",
        },
    ],
    "TagList": [{"Key": "team", "Value": "shop"}, {"Key": "empty"}],
    "ClusterCreateTime": NOON,
    "EarliestRestorableTime": NOON,
    "LatestRestorableTime": NOON.astimezone(timezone(timedelta(hours=1))),
    "BackupRetentionPeriod": 7,
    "PreferredBackupWindow": "03:00-04:00",
    "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
    "DBClusterParameterGroup": "ledger",
    "DBSubnetGroup": "lab",
    "VpcSecurityGroups": [
        {"VpcSecurityGroupId": "sg-2", "Status": "active"},
        {"VpcSecurityGroupId": "sg-1", "Status": "adding"},
        {"VpcSecurityGroupId": "sg-0", "Status": "removing"},
    ],
    "AvailabilityZones": ["us-east-1b", "us-east-1a"],
    "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1",
    "StorageEncrypted": True,
    "StorageType": "aurora-iopt1",
    "IAMDatabaseAuthenticationEnabled": True,
    "EnabledCloudwatchLogsExports": ["postgresql"],
    "DeletionProtection": True,
    "CopyTagsToSnapshot": False,
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 4.0, "SecondsUntilAutoPause": 600},
    "MasterUsername": "postgres",
    "MasterUserSecret": {"SecretArn": "arn:secret", "SecretStatus": "active", "KmsKeyId": "key"},
    "PendingModifiedValues": {"EngineVersion": "15.12", "MasterUserPassword": "", "RdsCustomClusterConfiguration": {}},
    "DatabaseName": "ledger",
    "PerformanceInsightsEnabled": True,
    "PerformanceInsightsRetentionPeriod": 7,
    "AutoMinorVersionUpgrade": True,
    "AutomaticRestartTime": NOON,
    "PercentProgress": "42",
}


def test_a_whole_cluster() -> None:
    found = rds.cluster(CLUSTER)
    assert found.identifier == "shop-ledger"
    assert found.writer == "b"
    assert found.members == (rds.Member("b", True, 15, "pending-reboot"), rds.Member("a", False, 0))
    assert found.member("a") == rds.Member("a", False, 0)
    assert found.member("c") is None
    assert found.tags == {"team": "shop", "empty": ""}
    assert found.security_groups == ("sg-1", "sg-2"), "one that is being taken off is not there any more"
    assert found.zones == ("us-east-1a", "us-east-1b")
    assert found.storage_type == rds.IO_OPTIMIZED
    assert found.serverless == rds.Serverless(0.0, 4.0, 600)
    assert found.master_secret == rds.MasterSecret("arn:secret", "active", "key")
    assert found.pending == {"EngineVersion": "15.12"}
    assert found.performance_insights == rds.Insights(True, 7)
    assert found.latest_restorable == NOON
    assert found.latest_restorable.utcoffset() == timedelta(0)
    assert (found.deletion_protection, found.copy_tags, found.progress) == (True, False, 42)


def test_what_is_not_told_is_not_off() -> None:
    found = rds.cluster({"DBClusterIdentifier": "c"})
    assert found == rds.Cluster("c")
    assert found.iam_authentication is None
    assert found.performance_insights is None
    assert found.master_secret is None
    assert found.serverless is None
    assert found.retention_days is None
    assert found.storage_type == rds.STANDARD
    assert found.writer == ""


def test_what_moves_by_itself_is_no_change() -> None:
    later = {**CLUSTER, "LatestRestorableTime": NOON + timedelta(minutes=5), "PercentProgress": "50"}
    assert rds.cluster(CLUSTER) == rds.cluster(later)
    assert rds.cluster(CLUSTER) != rds.cluster({**CLUSTER, "Status": "modifying"})


def test_the_order_in_which_aws_lists_is_no_change() -> None:
    turned = {
        **CLUSTER,
        "DBClusterMembers": CLUSTER["DBClusterMembers"][::-1],
        "VpcSecurityGroups": CLUSTER["VpcSecurityGroups"][::-1],
        "TagList": CLUSTER["TagList"][::-1],
    }
    assert rds.cluster(CLUSTER) == rds.cluster(turned)


@pytest.mark.parametrize("kind", ["aurora", "", "gp2", None])
def test_every_other_storage_type_is_standard(kind: str | None) -> None:
    assert rds.cluster({**CLUSTER, "StorageType": kind}).storage_type == rds.STANDARD


def test_a_whole_instance() -> None:
    found = rds.instance(
        {
            "DBInstanceIdentifier": "b",
            "DBClusterIdentifier": "shop-ledger",
            "DBInstanceStatus": "available",
            "DBInstanceClass": "db.r6g.large",
            "AvailabilityZone": "us-east-1a",
            "PromotionTier": 0,
            "Endpoint": {"Address": "b.x.us-east-1.rds.amazonaws.com", "Port": 5432},
            "DbInstancePort": 0,
            "DBParameterGroups": [{"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}],
            "PubliclyAccessible": False,
            "PerformanceInsightsEnabled": False,
            "PerformanceInsightsRetentionPeriod": 7,
            "PendingModifiedValues": {"DBInstanceClass": "db.r6g.xlarge"},
            "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        }
    )
    assert (found.host, found.port) == ("b.x.us-east-1.rds.amazonaws.com", 5432)
    assert (found.parameter_group, found.parameter_apply_status) == ("g", "pending-reboot")
    assert found.tier == 0
    assert found.performance_insights == rds.Insights(False)
    assert found.pending == {"DBInstanceClass": "db.r6g.xlarge"}


def test_an_instance_that_is_being_made_has_no_place_yet() -> None:
    found = rds.instance({"DBInstanceIdentifier": "b", "DBInstanceStatus": "creating", "DbInstancePort": 0})
    assert (found.host, found.port, found.zone, found.tier, found.cluster) == ("", None, "", None, "")


@pytest.mark.parametrize(
    ("kind", "message", "number", "instance"),
    [
        ("db-cluster", "Started cross AZ failover to DB instance: b", rds.FAILOVER_CROSS_ZONE, "b"),
        ("db-cluster", "Started same AZ failover to DB instance: b.", rds.FAILOVER_SAME_ZONE, "b"),
        ("db-cluster", "Completed failover to DB instance: b", rds.FAILOVER_COMPLETED, "b"),
        ("db-cluster", "Completed failover to instance.", rds.FAILOVER_COMPLETED, ""),
        ("db-cluster", "Promoting previous primary again: a.", rds.FAILOVER_BACK, "a"),
        (
            "db-cluster",
            "Cluster failover failed, check the health of your cluster instances and try again.",
            rds.FAILOVER_FAILED,
            "",
        ),
        (
            "db-cluster",
            "DB cluster is being started due to it exceeding the maximum allowed time being stopped.",
            rds.RESTARTED_BY_AWS,
            "",
        ),
        ("db-cluster", "DB cluster stop failed.", "RDS-EVENT-0152", ""),
        ("db-instance", "DB instance restarted", "RDS-EVENT-0006", ""),
        ("db-instance", "Completed failover to DB instance: b", "", ""),
        ("db-snapshot", "Automated snapshot created", "", ""),
    ],
)
def test_an_event_is_known_by_its_wording(kind: str, message: str, number: str, instance: str) -> None:
    found = rds.event({"SourceIdentifier": "x", "SourceType": kind, "Message": message, "Date": NOON})
    assert found is not None
    assert (found.id, found.instance) == (number, instance)


def test_an_event_without_time_or_source_is_none() -> None:
    assert rds.event({"SourceIdentifier": "x"}) is None
    assert rds.event({"Date": NOON}) is None


def test_groups_and_snapshots() -> None:
    group = rds.subnet_group(
        {
            "DBSubnetGroupName": "lab",
            "VpcId": "vpc-1",
            "Subnets": [
                {"SubnetIdentifier": "subnet-b", "SubnetAvailabilityZone": {"Name": "us-east-1b"}},
                {"SubnetIdentifier": "subnet-a", "SubnetStatus": "Active"},
            ],
        }
    )
    assert group.subnets == (rds.Subnet("subnet-a", "", "Active"), rds.Subnet("subnet-b", "us-east-1b"))
    assert rds.parameter_group({"DBClusterParameterGroupName": "c"}).name == "c"
    assert rds.parameter_group({"DBParameterGroupName": "i", "DBParameterGroupFamily": "f"}).family == "f"
    assert rds.parameter({"ParameterName": "p"}) == rds.Parameter("p")
    assert rds.parameter({"ParameterName": "p", "ParameterValue": 1, "IsModifiable": False}).value == "1"
    taken = rds.snapshot({"DBClusterSnapshotIdentifier": "s", "Status": "available", "PercentProgress": 100})
    assert (taken.identifier, taken.status, taken.progress) == ("s", "available", 100)


PARSERS = {
    "DBCluster": rds.cluster,
    "DBInstance": rds.instance,
    "Event": rds.event,
    "DBSubnetGroup": rds.subnet_group,
    "DBClusterParameterGroup": rds.parameter_group,
    "DBParameterGroup": rds.parameter_group,
    "Parameter": rds.parameter,
    "DBClusterSnapshot": rds.snapshot,
}
MODEL = botocore.session.get_session().get_service_model("rds")


def values(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Any answer that fits botocore's model, members left out or None at will."""
    if shape.type_name == "structure":
        members = {name: values(member, depth + 1) for name, member in shape.members.items()} if depth < 4 else {}
        return st.fixed_dictionaries({}, optional={n: st.one_of(st.none(), v) for n, v in members.items()})
    if shape.type_name == "list":
        return st.lists(values(shape.member, depth + 1), max_size=2)
    plain = {
        "string": st.text(max_size=3),
        "integer": st.integers(0, 9),
        "long": st.integers(0, 9),
        "double": st.floats(0, 9),
        "boolean": st.booleans(),
        "timestamp": st.just(NOON),
    }
    return plain[shape.type_name]


@pytest.mark.parametrize("name", PARSERS)
def test_anything_that_fits_the_model_becomes_a_record(name: str) -> None:
    @settings(max_examples=20)
    @given(values(MODEL.shape_for(name)))
    def holds(answer: dict[str, Any]) -> None:
        PARSERS[name](answer)

    holds()
