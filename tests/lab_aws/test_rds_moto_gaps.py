"""What stock moto still lacks in RDS. A test here fails on the day that moto fills the gap."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from .test_moto_gaps import stock

__all__ = ["stock"]


@pytest.fixture
def rds(stock: Any) -> Any:
    return stock("rds")


def make(rds: Any, name: str = "one", instances: int = 0, **extra: Any) -> dict[str, Any]:
    made = rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="postgres",
        **({"MasterUserPassword": "correct-horse"} | extra),
    )["DBCluster"]
    for number in range(1, instances + 1):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{number}",
            DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
    return made


def shown(rds: Any, name: str = "one") -> dict[str, Any]:
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]


def test_lifecycles(rds):
    make(rds, instances=1)
    assert shown(rds)["Status"] == "available"
    assert rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == "available"


def test_failover_takes_time_and_tells(rds):
    make(rds, instances=2)
    rds.failover_db_cluster(DBClusterIdentifier="one")
    assert shown(rds)["Status"] == "available"
    assert rds.describe_events(SourceType="db-cluster", Duration=60)["Events"] == []


def test_failover_to_another_clusters_instance(rds):
    make(rds, "one", 2)
    make(rds, "two", 1)
    rds.failover_db_cluster(DBClusterIdentifier="one", TargetDBInstanceIdentifier="two-1")


def test_pages(rds):
    for number in range(21):
        make(rds, f"c{number}")
    assert len(rds.describe_db_clusters(MaxRecords=20)["DBClusters"]) == 21


def test_versions_that_do_not_exist(rds):
    assert make(rds, EngineVersion="99.9")["EngineVersion"] == "99.9"


def test_what_waits_for_the_window(rds):
    make(rds)
    rds.modify_db_cluster(DBClusterIdentifier="one", BackupRetentionPeriod=9)
    assert shown(rds)["BackupRetentionPeriod"] == 9


def test_iam_authentication_off(rds):
    make(rds, EnableIAMDatabaseAuthentication=True)
    rds.modify_db_cluster(DBClusterIdentifier="one", EnableIAMDatabaseAuthentication=False, ApplyImmediately=True)
    assert shown(rds)["IAMDatabaseAuthenticationEnabled"] is True


def test_performance_insights_of_a_cluster(rds):
    make(rds, EnablePerformanceInsights=True)
    assert "PerformanceInsightsEnabled" not in shown(rds)


def test_io_optimised_storage(rds):
    with pytest.raises(Exception, match="aurora-iopt1"):
        make(rds, StorageType="aurora-iopt1")


def test_the_master_secret_is_not_the_users(stock, rds):
    made = rds.create_db_cluster(
        DBClusterIdentifier="managed",
        Engine="aurora-postgresql",
        MasterUsername="postgres",
        ManageMasterUserPassword=True,
    )["DBCluster"]
    held = stock("secretsmanager").get_secret_value(SecretId=made["MasterUserSecret"]["SecretArn"])["SecretString"]
    assert '"admin"' in held


def test_all_parameters_of_a_group(rds):
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="own", DBParameterGroupFamily="aurora-postgresql15", Description="x"
    )
    assert rds.describe_db_cluster_parameters(DBClusterParameterGroupName="own")["Parameters"] == []


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("describe_db_engine_versions", {}),
        ("describe_event_categories", {}),
        ("describe_account_attributes", {}),
        ("describe_certificates", {}),
        ("describe_pending_maintenance_actions", {}),
        ("describe_db_cluster_automated_backups", {}),
        ("describe_engine_default_cluster_parameters", {"DBParameterGroupFamily": "aurora-postgresql15"}),
        ("reboot_db_cluster", {"DBClusterIdentifier": "one"}),
        ("modify_event_subscription", {"SubscriptionName": "one"}),
        ("delete_db_cluster_automated_backup", {"DbClusterResourceId": "cluster-1"}),
    ],
)
def test_operations(rds, operation, arguments):
    with pytest.raises((NotImplementedError, ClientError, ResponseParserError)):
        getattr(rds, operation)(**arguments)
