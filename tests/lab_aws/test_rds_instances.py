"""Instances of a cluster: creation, changes, reboots, deletion."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import member
from .test_rds_clusters import instance, shown


def writer(rds: Any, name: str) -> str:
    return next(m["DBInstanceIdentifier"] for m in shown(rds, name)["DBClusterMembers"] if m["IsClusterWriter"])


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("InvalidParameterValue", {"DBInstanceClass": "m5.large"}),
        ("InvalidParameterCombination", {"DBInstanceClass": "db.m5.large"}),
        ("InvalidParameterCombination", {"DBInstanceClass": "db.x2g.large", "AvailabilityZone": "us-east-1b"}),
        ("InvalidDBClusterStateFault", {"DBInstanceClass": "db.serverless"}),
        ("InvalidVPCNetworkStateFault", {"AvailabilityZone": "us-east-1f"}),
        ("InvalidParameterValue", {"PromotionTier": 16}),
        ("InvalidParameterCombination", {"Engine": "aurora-mysql"}),
        ("InvalidParameterCombination", {"EngineVersion": "15.12"}),
        ("InvalidParameterCombination", {"MasterUserPassword": "not-for-me"}),
        ("InvalidParameterCombination", {"BackupRetentionPeriod": 3}),
        ("DBParameterGroupNotFound", {"DBParameterGroupName": "none"}),
        ("InvalidParameterCombination", {"DBParameterGroupName": "default.aurora-postgresql14"}),
        ("DBClusterNotFoundFault", {"DBClusterIdentifier": "none"}),
        ("CertificateNotFound", {"CACertificateIdentifier": "rds-ca-1999"}),
        ("InvalidParameterCombination", {"MonitoringInterval": 10}),
    ],
)
def test_refused_at_creation(rds, cluster, refused, code, extra):
    refused(code, rds.create_db_instance, **member(cluster(instances=0), 1, **extra))


def test_zones_are_spread_and_everything_is_shown(rds, lab, cluster):
    name = cluster(instances=3)
    zones = {instance(rds, f"{name}-{n}")["AvailabilityZone"] for n in (1, 2, 3)}
    assert zones == {"us-east-1a", "us-east-1b", "us-east-1c"}
    rds.create_db_instance(
        **member(
            name,
            4,
            AvailabilityZone="us-east-1b",
            PromotionTier=7,
            EnablePerformanceInsights=True,
            MonitoringInterval=30,
            MonitoringRoleArn="arn:aws:iam::123456789012:role/monitoring",
            PubliclyAccessible=True,
            AutoMinorVersionUpgrade=False,
            Tags=[{"Key": "a", "Value": "b"}],
        )
    )
    lab.clock(advance=11)
    assert instance(rds, f"{name}-4")["DBInstanceStatus"] == "configuring-enhanced-monitoring"
    lab.clock(advance=11)
    made = instance(rds, f"{name}-4")
    assert made["DBInstanceStatus"] == "available"
    assert (made["AvailabilityZone"], made["PromotionTier"], made["MonitoringInterval"]) == ("us-east-1b", 7, 30)
    assert made["PerformanceInsightsRetentionPeriod"] == 7
    assert made["PubliclyAccessible"] is True
    assert made["AutoMinorVersionUpgrade"] is False
    assert made["TagList"] == [{"Key": "a", "Value": "b"}]
    assert made["DBSubnetGroup"]["DBSubnetGroupName"] == "lab-net"


def test_filters(rds, cluster):
    one, two = cluster(instances=2), cluster(instances=1)

    def found(filter_name: str, *values: str) -> list[str]:
        filters = [{"Name": filter_name, "Values": list(values)}]
        return [i["DBInstanceIdentifier"] for i in rds.describe_db_instances(Filters=filters)["DBInstances"]]

    assert found("db-cluster-id", one) == [f"{one}-1", f"{one}-2"]
    assert found("db-cluster-id", one, two) == sorted([f"{one}-1", f"{one}-2", f"{two}-1"])
    assert found("db-cluster-id", shown(rds, two)["DBClusterArn"]) == [f"{two}-1"]
    assert found("db-instance-id", f"{one}-2") == [f"{one}-2"]
    assert found("dbi-resource-id", instance(rds, f"{one}-1")["DbiResourceId"]) == [f"{one}-1"]
    assert found("db-cluster-id", "none") == []


def test_a_class_change_waits_for_the_window_or_restarts_now(rds, lab, cluster):
    name = cluster(instances=2)
    one = f"{name}-1"
    later = rds.modify_db_instance(DBInstanceIdentifier=one, DBInstanceClass="db.r6g.xlarge")["DBInstance"]
    assert later["DBInstanceStatus"] == "available"
    assert later["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"}
    lab.clock(advance=8 * 86400)
    assert instance(rds, one)["DBInstanceClass"] == "db.r6g.xlarge"
    assert instance(rds, one)["PendingModifiedValues"] == {}
    now = rds.modify_db_instance(DBInstanceIdentifier=one, DBInstanceClass="db.r6g.2xlarge", ApplyImmediately=True)
    assert now["DBInstance"]["DBInstanceStatus"] == "modifying"
    assert instance(rds, one)["DBInstanceClass"] == "db.r6g.xlarge"
    lab.clock(advance=11)
    assert instance(rds, one)["DBInstanceClass"] == "db.r6g.2xlarge"
    # The writer restarts; Aurora does not fail over for it.
    assert writer(rds, name) == one
    events = rds.describe_events(SourceType="db-instance", SourceIdentifier=one, Duration=5)["Events"]
    texts = [e["Message"] for e in events]
    assert "Finished applying modification to DB instance class" in texts
    assert texts.count("DB instance restarted") == 1


def test_a_change_is_taken_back_before_its_window(rds, lab, cluster):
    name = cluster()
    one = {"DBInstanceIdentifier": f"{name}-1"}
    rds.modify_db_instance(**one, DBInstanceClass="db.r6g.xlarge")
    rds.modify_db_instance(**one, DBInstanceClass="db.r6g.large")
    assert instance(rds, f"{name}-1")["PendingModifiedValues"] == {}
    lab.clock(advance=8 * 86400)
    assert instance(rds, f"{name}-1")["DBInstanceClass"] == "db.r6g.large"


def test_what_is_modified_at_once(rds, lab, cluster, refused):
    name = cluster()
    one = {"DBInstanceIdentifier": f"{name}-1"}
    changed = rds.modify_db_instance(**one, PromotionTier=3)["DBInstance"]
    assert (changed["PromotionTier"], changed["DBInstanceStatus"]) == (3, "available")
    changed = rds.modify_db_instance(**one, EnablePerformanceInsights=True)["DBInstance"]
    assert (changed["PerformanceInsightsEnabled"], changed["DBInstanceStatus"]) == (True, "modifying")
    message = refused("InvalidDBInstanceState", rds.modify_db_instance, **one, PromotionTier=4)
    assert "is not in available state" in message
    refused("InvalidDBInstanceState", rds.reboot_db_instance, **one)
    lab.clock(advance=11)
    rds.modify_db_instance(**one, EnablePerformanceInsights=False)
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["PerformanceInsightsEnabled"] is False
    refused("InvalidParameterCombination", rds.modify_db_instance, **one, EngineVersion="15.12")
    refused("InvalidParameterCombination", rds.modify_db_instance, **one, MasterUserPassword="for-the-cluster")
    refused("DBInstanceNotFound", rds.modify_db_instance, DBInstanceIdentifier="none", PromotionTier=1)


def test_reboot(rds, lab, cluster, refused):
    name = cluster()
    one = {"DBInstanceIdentifier": f"{name}-1"}
    refused("InvalidParameterCombination", rds.reboot_db_instance, **one, ForceFailover=True)
    assert rds.reboot_db_instance(**one)["DBInstance"]["DBInstanceStatus"] == "rebooting"
    assert shown(rds, name)["Status"] == "available"
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "available"
    events = rds.describe_events(SourceType="db-instance", SourceIdentifier=f"{name}-1", Duration=5)["Events"]
    assert [e["Message"] for e in events][-2:] == ["DB instance shutdown", "DB instance restarted"]


def test_deleting_the_writer_promotes_a_reader(rds, lab, cluster, refused):
    name = cluster(instances=3)
    rds.modify_db_instance(DBInstanceIdentifier=f"{name}-3", PromotionTier=0)
    refused(
        "InvalidParameterCombination",
        rds.delete_db_instance,
        DBInstanceIdentifier=f"{name}-1",
        FinalDBSnapshotIdentifier="x",
    )
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert shown(rds, name)["Status"] == "failing-over"
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-3"
    assert [m["DBInstanceIdentifier"] for m in shown(rds, name)["DBClusterMembers"]] == [f"{name}-2", f"{name}-3"]


def test_the_next_instance_of_an_empty_cluster_is_the_writer(rds, lab, cluster):
    name = cluster()
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    lab.clock(advance=11)
    assert shown(rds, name)["DBClusterMembers"] == []
    assert shown(rds, name)["Status"] == "available"
    rds.create_db_instance(**member(name, 2))
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-2"


def test_a_reader_that_is_restarting_is_the_writer_when_the_writer_is_gone(rds, lab, cluster):
    name = cluster(instances=2)
    lab.settings(rds_reboot_s=60)
    rds.reboot_db_instance(DBInstanceIdentifier=f"{name}-2")
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert shown(rds, name)["Status"] == "available"
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-2"
    lab.settings(rds_reboot_s=10)
    lab.clock(advance=60)


def test_a_snapshot_shows_on_cluster_and_instances(rds, lab, cluster, refused):
    name = cluster(instances=2)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-snap")
    assert shown(rds, name)["Status"] == instance(rds, f"{name}-1")["DBInstanceStatus"] == "backing-up"
    refused("InvalidDBInstanceState", rds.modify_db_instance, DBInstanceIdentifier=f"{name}-1", PromotionTier=3)
    # A writer that dies then is failed over from all the same.
    assert lab.rds_crash(cluster=name) == f"{name}-2"
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-2"
    assert shown(rds, name)["Status"] == "available"
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-snap")


def test_a_serverless_mysql_cluster(rds, lab, cluster):
    name = cluster(
        instances=0,
        Engine="aurora-mysql",
        EngineVersion=None,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 2},
        EnableCloudwatchLogsExports=["slowquery", "audit"],
    )
    made = shown(rds, name)
    assert made["EngineVersion"].startswith("8.0.mysql_aurora.3")
    assert (made["Port"], made["DBClusterParameterGroup"]) == (3306, "default.aurora-mysql8.0")
    assert made["EnabledCloudwatchLogsExports"] == ["audit", "slowquery"]
    rds.create_db_instance(**member(name, 1, Engine="aurora-mysql", DBInstanceClass="db.serverless"))
    lab.clock(advance=11)
    one = instance(rds, f"{name}-1")
    assert (one["DBInstanceClass"], one["DBInstanceStatus"]) == ("db.serverless", "available")
    assert one["DBParameterGroups"][0]["DBParameterGroupName"] == "default.aurora-mysql8.0"
    assert one["LicenseModel"] == "general-public-license"
