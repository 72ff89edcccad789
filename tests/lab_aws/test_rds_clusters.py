"""A cluster's life: what it shows while it is made, stopped and deleted, and what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import aurora, member


def shown(rds: Any, name: str) -> dict[str, Any]:
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]


def instance(rds: Any, name: str) -> dict[str, Any]:
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


@pytest.fixture
def group(cluster: Any, rds: Any) -> str:
    """The subnet group that ``aurora`` names."""
    cluster(instances=0)
    return "lab-net"


def test_creating_then_available_then_deleting_then_gone(rds, lab, group, refused):
    made = rds.create_db_cluster(**aurora("life"))["DBCluster"]
    assert made["Status"] == "creating"
    assert "EarliestRestorableTime" not in made
    message = refused("DBClusterAlreadyExistsFault", rds.create_db_cluster, **aurora("Life"))
    assert message == "DB Cluster already exists"
    assert rds.create_db_instance(**member("life", 1))["DBInstance"]["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in instance(rds, "life-1")
    refused("InvalidDBClusterStateFault", rds.modify_db_cluster, DBClusterIdentifier="life", BackupRetentionPeriod=3)
    refused("DBInstanceAlreadyExists", rds.create_db_instance, **member("life", 1))
    lab.clock(advance=11)
    assert shown(rds, "life")["Status"] == "available"
    assert [m["IsClusterWriter"] for m in shown(rds, "life")["DBClusterMembers"]] == [True]
    lab.clock(advance=11)
    assert instance(rds, "life-1")["DBInstanceStatus"] == "available"
    assert re.fullmatch(r"life-1\.c\w+\.us-east-1\.rds\.amazonaws\.com", instance(rds, "life-1")["Endpoint"]["Address"])
    skip = {"DBClusterIdentifier": "life", "SkipFinalSnapshot": True}
    assert (
        refused("InvalidDBClusterStateFault", rds.delete_db_cluster, **skip)
        == "Cluster cannot be deleted, it still contains DB instances in non-deleting state."
    )
    assert rds.delete_db_instance(DBInstanceIdentifier="life-1")["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert (
        refused("InvalidDBInstanceState", rds.delete_db_instance, DBInstanceIdentifier="life-1")
        == "Instance life-1 is already being deleted."
    )
    assert rds.delete_db_cluster(**skip)["DBCluster"]["Status"] == "deleting"
    refused("InvalidDBClusterStateFault", rds.delete_db_cluster, **skip)
    lab.clock(advance=25)
    refused("DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier="life-1")
    assert (
        refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier="life")
        == "DBCluster life not found."
    )


def test_everything_given_at_creation_is_shown(rds, cluster):
    name = cluster(
        instances=0,
        DatabaseName="ledger",
        Port=5433,
        BackupRetentionPeriod=7,
        KmsKeyId="alias/lab",
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["postgresql"],
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        AutoMinorVersionUpgrade=False,
        StorageType="aurora-iopt1",
        EnablePerformanceInsights=True,
        PerformanceInsightsRetentionPeriod=93,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 600},
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    made = shown(rds, name)
    assert made["DatabaseName"] == "ledger"
    assert made["Port"] == 5433
    assert made["BackupRetentionPeriod"] == 7
    assert made["KmsKeyId"].startswith("arn:aws:kms:us-east-1:123456789012:key/")
    assert made["IAMDatabaseAuthenticationEnabled"] is True
    assert made["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert made["DeletionProtection"] is made["CopyTagsToSnapshot"] is True
    assert made["AutoMinorVersionUpgrade"] is False
    assert made["StorageType"] == "aurora-iopt1"
    assert made["PerformanceInsightsEnabled"] is True
    assert made["PerformanceInsightsRetentionPeriod"] == 93
    assert made["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0.0,
        "MaxCapacity": 4.0,
        "SecondsUntilAutoPause": 600,
    }
    assert made["TagList"] == [{"Key": "team", "Value": "shop"}]
    assert made["PreferredMaintenanceWindow"] == "sun:05:00-sun:06:00"
    assert made["DBClusterParameterGroup"] == "default.aurora-postgresql15"
    assert made["Endpoint"].startswith(f"{name}.cluster-c")
    assert made["ReaderEndpoint"].startswith(f"{name}.cluster-ro-c")
    assert re.fullmatch(r"cluster-[A-Z0-9]{26}", made["DbClusterResourceId"])
    assert "MasterUserPassword" not in json.dumps(made, default=str)


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("InvalidParameterValue", {"DBClusterIdentifier": "9lives"}),
        ("InvalidParameterValue", {"DBClusterIdentifier": "a--b"}),
        ("InvalidParameterValue", {"DBClusterIdentifier": "a" * 64}),
        ("InvalidParameterValue", {"Engine": "oracle"}),
        ("InvalidParameterCombination", {"EngineVersion": "15.99"}),
        ("InvalidParameterValue", {"MasterUsername": "rdsadmin"}),
        ("InvalidParameterValue", {"MasterUserPassword": "short"}),
        ("InvalidParameterValue", {"MasterUserPassword": "has/slash-in-it"}),
        ("InvalidParameterCombination", {"ManageMasterUserPassword": True}),
        ("InvalidParameterValue", {"MasterUserPassword": None}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 0}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 36}),
        (
            "InvalidParameterValue",
            {"PreferredBackupWindow": "05:15-05:45", "PreferredMaintenanceWindow": "sun:05:00-sun:06:00"},
        ),
        ("InvalidParameterValue", {"PreferredBackupWindow": "03:00-03:10"}),
        ("InvalidParameterValue", {"Port": 80}),
        ("DBSubnetGroupNotFoundFault", {"DBSubnetGroupName": "nowhere"}),
        ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-none"]}),
        ("DBClusterParameterGroupNotFound", {"DBClusterParameterGroupName": "none"}),
        ("InvalidParameterCombination", {"DBClusterParameterGroupName": "default.aurora-postgresql14"}),
        ("KMSKeyNotAccessibleFault", {"KmsKeyId": "alias/none"}),
        ("InvalidParameterCombination", {"StorageType": "gp3"}),
        ("InvalidParameterCombination", {"EnableCloudwatchLogsExports": ["slowquery"]}),
        ("InvalidParameterValue", {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.25, "MaxCapacity": 4}}),
        ("InvalidParameterCombination", {"ServerlessV2ScalingConfiguration": {"MinCapacity": 8, "MaxCapacity": 4}}),
        (
            "InvalidParameterValue",
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 60}},
        ),
        ("InvalidParameterValue", {"DatabaseName": "1st"}),
        ("InvalidParameterValue", {"Tags": [{"Key": "aws:x", "Value": "y"}]}),
        ("InvalidParameterValue", {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 8}),
        ("InvalidParameterCombination", {"EngineMode": "serverless"}),
    ],
)
def test_refused_at_creation(rds, group, refused, code, extra):
    refused(code, rds.create_db_cluster, **aurora("wrong", **extra))
    refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier="wrong")


def test_a_parameter_that_is_missing_or_of_the_wrong_type(client, refused):
    loose = client("rds", validate=False)
    assert "DBClusterIdentifier" in refused("MissingParameter", loose.create_db_cluster, Engine="aurora-postgresql")
    refused("MalformedInput", loose.describe_db_clusters, MaxRecords="many")


def test_quotas(rds, lab, cluster, refused):
    name = cluster(instances=1)
    used = len(rds.describe_db_clusters()["DBClusters"])
    lab.settings(rds_max_clusters=used, rds_max_instances=len(rds.describe_db_instances()["DBInstances"]))
    refused("DBClusterQuotaExceededFault", rds.create_db_cluster, **aurora("one-more"))
    refused("InstanceQuotaExceeded", rds.create_db_instance, **member(name, 2))
    quotas = {q["AccountQuotaName"]: q for q in rds.describe_account_attributes()["AccountQuotas"]}
    assert quotas["DBClusters"]["Used"] == quotas["DBClusters"]["Max"] == used
    lab.settings(rds_max_instances=40, rds_max_readers=1)
    rds.create_db_instance(**member(name, 2))
    refused("InstanceQuotaExceeded", rds.create_db_instance, **member(name, 3))


def test_pages_and_filters(rds, lab, cluster):
    lab.settings(rds_max_clusters=100)
    names = [cluster(f"page-{number:02}", instances=0) for number in range(23)]
    first = rds.describe_db_clusters(MaxRecords=20)
    assert len(first["DBClusters"]) == 20
    second = rds.describe_db_clusters(MaxRecords=20, Marker=first["Marker"])
    both = [c["DBClusterIdentifier"] for c in first["DBClusters"] + second["DBClusters"]]
    assert both == sorted(both)
    assert set(names) <= set(both)
    assert "Marker" not in second

    def found(**one: Any) -> list[str]:
        filters = [{"Name": k.replace("_", "-"), "Values": v} for k, v in one.items()]
        return [c["DBClusterIdentifier"] for c in rds.describe_db_clusters(Filters=filters)["DBClusters"]]

    arn = shown(rds, "page-01")["DBClusterArn"]
    assert found(db_cluster_id=["page-00", arn]) == ["page-00", "page-01"]
    assert set(names) <= set(found(engine=["aurora-postgresql"]))
    assert found(engine=["aurora-mysql"]) == []
    assert found(db_cluster_id=["nothing"]) == []
    assert shown(rds, arn)["DBClusterIdentifier"] == "page-01"


def test_bad_pages_and_filters(rds, refused):
    refused("InvalidParameterValue", rds.describe_db_clusters, MaxRecords=19)
    refused("InvalidParameterValue", rds.describe_db_clusters, MaxRecords=101)
    refused("InvalidParameterValue", rds.describe_db_clusters, Filters=[{"Name": "colour", "Values": ["red"]}])


def test_deletion_protection_and_final_snapshots(rds, lab, cluster, refused):
    name = cluster(instances=0, DeletionProtection=True)
    refused("InvalidParameterCombination", rds.delete_db_cluster, DBClusterIdentifier=name)
    refused(
        "InvalidParameterCombination",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        SkipFinalSnapshot=True,
        FinalDBSnapshotIdentifier="x",
    )
    message = refused(
        "InvalidParameterCombination", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True
    )
    assert message == "Cannot delete protected Cluster, please disable deletion protection and try again."
    rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False)
    assert shown(rds, name)["DeletionProtection"] is False
    assert shown(rds, name)["Status"] == "available"
    final = f"{name}-final"
    rds.delete_db_cluster(DBClusterIdentifier=name, FinalDBSnapshotIdentifier=final)
    assert shown(rds, name)["Status"] == "deleting"
    lab.clock(advance=25)
    refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier=name)
    (snapshot,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=final)["DBClusterSnapshots"]
    assert (snapshot["Status"], snapshot["SnapshotType"]) == ("available", "manual")
    # The automated ones went with the cluster.
    assert (
        rds.describe_db_cluster_snapshots(DBClusterIdentifier=name, SnapshotType="automated")["DBClusterSnapshots"]
        == []
    )
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final)


def test_stop_and_start(rds, lab, cluster, refused):
    name = cluster(instances=2)
    assert rds.stop_db_cluster(DBClusterIdentifier=name)["DBCluster"]["Status"] == "stopping"
    assert instance(rds, f"{name}-2")["DBInstanceStatus"] == "stopping"
    refused("InvalidDBClusterStateFault", rds.stop_db_cluster, DBClusterIdentifier=name)
    lab.clock(advance=11)
    assert shown(rds, name)["Status"] == "stopped"
    assert "AutomaticRestartTime" in shown(rds, name)
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "stopped"
    for call in (rds.modify_db_cluster, rds.failover_db_cluster):
        refused("InvalidDBClusterStateFault", call, DBClusterIdentifier=name)
    message = refused(
        "InvalidDBClusterStateFault", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True
    )
    assert message == f"Db cluster {name} is in stopped state"
    refused("InvalidDBClusterStateFault", rds.delete_db_instance, DBInstanceIdentifier=f"{name}-1")
    refused("InvalidDBClusterStateFault", rds.create_db_instance, **member(name, 3))
    assert rds.start_db_cluster(DBClusterIdentifier=name)["DBCluster"]["Status"] == "starting"
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "starting"
    lab.clock(advance=11)
    assert shown(rds, name)["Status"] == "available"
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "available"
    refused("InvalidDBClusterStateFault", rds.start_db_cluster, DBClusterIdentifier=name)


def test_a_stopped_cluster_starts_by_itself_after_seven_days(rds, lab, cluster):
    name = cluster()
    rds.stop_db_cluster(DBClusterIdentifier=name)
    lab.clock(advance=7 * 86400 - 60)
    assert shown(rds, name)["Status"] == "stopped"
    lab.clock(advance=75)
    assert shown(rds, name)["Status"] == "starting"
    lab.clock(advance=10)
    assert shown(rds, name)["Status"] == "available"
    events = rds.describe_events(SourceType="db-cluster", SourceIdentifier=name, Duration=60)["Events"]
    assert any("exceeding the maximum allowed time" in e["Message"] for e in events)


def test_what_is_not_for_aurora(rds, cluster, refused):
    name = cluster()
    refused("InvalidParameterCombination", rds.reboot_db_cluster, DBClusterIdentifier=name)
    refused("InvalidParameterCombination", rds.stop_db_instance, DBInstanceIdentifier=f"{name}-1")
    refused("InvalidParameterCombination", rds.create_db_cluster, **aurora("multi", Engine="postgres"))


def test_restorable_times_move_with_the_clock(rds, lab, cluster):
    name = cluster(instances=0, BackupRetentionPeriod=1)
    born = shown(rds, name)
    assert born["EarliestRestorableTime"] == born["LatestRestorableTime"]
    lab.clock(advance=3600)
    later = shown(rds, name)
    assert later["EarliestRestorableTime"] == born["EarliestRestorableTime"]
    assert 3000 < (later["LatestRestorableTime"] - born["LatestRestorableTime"]).total_seconds() < 3600
    lab.clock(advance=3 * 86400)
    old = shown(rds, name)
    window = (old["LatestRestorableTime"] - old["EarliestRestorableTime"]).total_seconds()
    assert 86400 - 400 < window < 86400


def test_the_managed_secret_holds_the_real_password(client, rds, lab, cluster, refused):
    secrets = client("secretsmanager")
    name = cluster(instances=0, MasterUserPassword=None, ManageMasterUserPassword=True)
    secret = shown(rds, name)["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    assert secret["KmsKeyId"].startswith("arn:aws:kms:")

    def held() -> dict[str, str]:
        return json.loads(secrets.get_secret_value(SecretId=secret["SecretArn"])["SecretString"])

    first = held()
    assert first == {"username": "postgres", "password": lab.rds_password(name)}
    one = {"DBClusterIdentifier": name}
    refused("InvalidParameterCombination", rds.modify_db_cluster, **one, MasterUserPassword="another-one")
    refused("InvalidParameterCombination", rds.modify_db_cluster, **one, RotateMasterUserPassword=True)
    refused("InvalidParameterCombination", rds.modify_db_cluster, **one, ManageMasterUserPassword=False)
    rotating = rds.modify_db_cluster(**one, RotateMasterUserPassword=True, ApplyImmediately=True)["DBCluster"]
    assert rotating["Status"] == "resetting-master-credentials"
    assert rotating["MasterUserSecret"]["SecretStatus"] == "rotating"
    lab.clock(advance=11)
    assert shown(rds, name)["MasterUserSecret"]["SecretStatus"] == "active"
    second = held()["password"]
    assert second == lab.rds_password(name) != first["password"]
    # Secrets Manager has RDS do it; it makes no version of its own.
    secrets.rotate_secret(SecretId=secret["SecretArn"])
    assert shown(rds, name)["MasterUserSecret"]["SecretStatus"] == "rotating"
    with pytest.raises(ClientError):
        secrets.rotate_secret(SecretId=secret["SecretArn"])
    assert held()["password"] == second
    lab.clock(advance=11)
    assert shown(rds, name)["MasterUserSecret"]["SecretStatus"] == "active"
    assert held()["password"] == lab.rds_password(name) != second
    rds.modify_db_cluster(**one, ManageMasterUserPassword=False, MasterUserPassword="my-own-one", ApplyImmediately=True)
    lab.clock(advance=11)
    assert "MasterUserSecret" not in shown(rds, name)
    assert lab.rds_password(name) == "my-own-one"
    rds.modify_db_cluster(**one, ManageMasterUserPassword=True, ApplyImmediately=True)
    lab.clock(advance=25)
    assert shown(rds, name)["MasterUserSecret"]["SecretStatus"] == "active"
    assert lab.rds_password(name) != "my-own-one"
