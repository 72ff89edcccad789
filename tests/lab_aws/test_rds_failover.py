"""Failover: order, duration, events, refusals, and crashes from AWS's side."""

from __future__ import annotations

from typing import Any

from .test_rds_clusters import instance, shown
from .test_rds_instances import writer


def messages(rds: Any, kind: str, name: str) -> list[str]:
    events = rds.describe_events(SourceType=kind, SourceIdentifier=name, Duration=5)["Events"]
    return [e["Message"] for e in events]


def test_the_lowest_tier_takes_over_after_a_while(rds, lab, cluster, refused):
    name = cluster(instances=3)
    rds.modify_db_instance(DBInstanceIdentifier=f"{name}-3", PromotionTier=0)
    assert rds.failover_db_cluster(DBClusterIdentifier=name)["DBCluster"]["Status"] == "failing-over"
    assert writer(rds, name) == f"{name}-1"
    refused("InvalidDBClusterStateFault", rds.failover_db_cluster, DBClusterIdentifier=name)
    refused("InvalidDBClusterStateFault", rds.delete_db_instance, DBInstanceIdentifier=f"{name}-2")
    lab.clock(advance=11)
    assert shown(rds, name)["Status"] == "available"
    assert writer(rds, name) == f"{name}-3"
    told = messages(rds, "db-cluster", name)[-2:]
    assert told == [
        f"Started cross AZ failover to DB instance: {name}-3",
        f"Completed failover to DB instance: {name}-3",
    ]
    for one in (1, 3):
        assert messages(rds, "db-instance", f"{name}-{one}")[-1] == "DB instance restarted"


def test_the_larger_class_wins_within_a_tier(rds, lab, cluster):
    name = cluster(instances=3)
    rds.modify_db_instance(DBInstanceIdentifier=f"{name}-3", DBInstanceClass="db.r6g.2xlarge", ApplyImmediately=True)
    lab.clock(advance=11)
    rds.failover_db_cluster(DBClusterIdentifier=name)
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-3"


def test_a_named_target(rds, lab, cluster):
    name = cluster(instances=3)
    rds.failover_db_cluster(DBClusterIdentifier=name, TargetDBInstanceIdentifier=f"{name}-2")
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-2"


def test_refusals(rds, lab, cluster, refused):
    one, other = cluster(instances=2), cluster(instances=1)

    def failover(code: str, **arguments: Any) -> str:
        return refused(code, rds.failover_db_cluster, **arguments)

    failover("DBClusterNotFoundFault", DBClusterIdentifier="none")
    failover("InvalidDBClusterStateFault", DBClusterIdentifier=other)
    failover("InvalidDBInstanceState", DBClusterIdentifier=one, TargetDBInstanceIdentifier=f"{other}-1")
    failover("InvalidDBInstanceState", DBClusterIdentifier=one, TargetDBInstanceIdentifier=f"{one}-1")
    rds.reboot_db_instance(DBInstanceIdentifier=f"{one}-2")
    failover("InvalidDBInstanceState", DBClusterIdentifier=one, TargetDBInstanceIdentifier=f"{one}-2")
    failover("InvalidDBClusterStateFault", DBClusterIdentifier=one)
    lab.clock(advance=11)
    assert (writer(rds, one), writer(rds, other)) == (f"{one}-1", f"{other}-1")


def test_a_crashed_writer_is_failed_over_from(rds, lab, cluster):
    name = cluster(instances=2)
    assert lab.rds_crash(cluster=name) == f"{name}-2"
    assert shown(rds, name)["Status"] == "failing-over"
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-2"


def test_a_crashed_instance_without_a_successor_recovers(rds, lab, cluster):
    name = cluster(instances=1)
    assert lab.rds_crash(f"{name}-1") is None
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "rebooting"
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["DBInstanceStatus"] == "available"
    assert writer(rds, name) == f"{name}-1"


def test_a_crashed_reader_changes_no_writer(rds, lab, cluster):
    name = cluster(instances=2)
    assert lab.rds_crash(f"{name}-2") is None
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-1"


def test_aws_fails_over_by_itself(rds, lab, cluster):
    name = cluster(instances=3)
    assert lab.rds_failover(name, f"{name}-3") == f"{name}-3"
    lab.clock(advance=11)
    assert writer(rds, name) == f"{name}-3"


def test_a_target_that_is_deleted_on_the_way(rds, lab, cluster):
    name = cluster(instances=3)
    # A cluster that is being modified keeps that status through a failover, and its instances can be deleted.
    rds.modify_db_cluster(
        DBClusterIdentifier=name, ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 2}
    )
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert shown(rds, name)["Status"] == "modifying"
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-2")
    lab.clock(advance=25)
    assert writer(rds, name) == f"{name}-3"
    assert shown(rds, name)["Status"] == "available"
