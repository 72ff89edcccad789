"""Snapshots, restores, and backups that outlive their cluster."""

from __future__ import annotations

import datetime
from typing import Any

from .conftest import aurora
from .test_rds_clusters import shown


def names(rds: Any, **wanted: Any) -> list[str]:
    found = rds.describe_db_cluster_snapshots(**wanted)["DBClusterSnapshots"]
    return [s["DBClusterSnapshotIdentifier"] for s in found]


def test_snapshots_of_aws_backup(rds, lab, cluster, refused):
    """RDS user guide, "Using AWS Backup": manual ones with names of their own, which AWS Backup alone deletes."""
    name = cluster(instances=0)
    backup = lab.rds_backup(name)
    assert backup.startswith("awsbackup:job-")
    lab.clock(advance=11)
    assert backup in names(rds)
    assert names(rds, DBClusterIdentifier=name, SnapshotType="awsbackup") == [backup]
    assert names(rds, DBClusterIdentifier=name, SnapshotType="manual") == []
    (shown_backup,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=backup)["DBClusterSnapshots"]
    arn = shown_backup["DBClusterSnapshotArn"]
    assert arn.endswith(f":cluster-snapshot:{backup}")
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "b"}])
    for number, identifier in enumerate((backup, arn)):
        cluster.made.append(f"{name}-{number}")
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier=f"{name}-{number}",
            SnapshotIdentifier=identifier,
            Engine="aurora-postgresql",
            DBSubnetGroupName="lab-net",
        )
    refused("InvalidDBClusterSnapshotStateFault", rds.delete_db_cluster_snapshot, DBClusterSnapshotIdentifier=backup)


def test_a_manual_snapshot_and_a_restore_from_it(rds, lab, cluster, refused):
    name = cluster(
        instances=0,
        DatabaseName="ledger",
        CopyTagsToSnapshot=True,
        Tags=[{"Key": "team", "Value": "shop"}],
        KmsKeyId="alias/lab",
    )
    made = rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier="manual")
    assert made["DBClusterSnapshot"]["Status"] == "creating"
    assert shown(rds, name)["Status"] == "backing-up"
    again = {"DBClusterIdentifier": name, "DBClusterSnapshotIdentifier": "manual"}
    refused("DBClusterSnapshotAlreadyExistsFault", rds.create_db_cluster_snapshot, **again)
    restore = {"DBClusterIdentifier": "restored", "SnapshotIdentifier": "manual", "Engine": "aurora-postgresql"}
    refused("InvalidDBClusterSnapshotStateFault", rds.restore_db_cluster_from_snapshot, **restore)
    refused("InvalidDBClusterSnapshotStateFault", rds.delete_db_cluster_snapshot, DBClusterSnapshotIdentifier="manual")
    lab.clock(advance=11)
    (snapshot,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="manual")["DBClusterSnapshots"]
    assert (snapshot["Status"], snapshot["PercentProgress"]) == ("available", 100)
    assert snapshot["TagList"] == [{"Key": "team", "Value": "shop"}]
    cluster.made.append("restored")
    restored = rds.restore_db_cluster_from_snapshot(**restore, DBSubnetGroupName="lab-net")["DBCluster"]
    assert restored["Status"] == "creating"
    assert restored["DBClusterMembers"] == []
    assert restored["MasterUsername"] == "postgres"
    assert int(restored["PercentProgress"]) < 50
    lab.clock(advance=11)
    after = shown(rds, "restored")
    assert "PercentProgress" not in after
    assert (after["Status"], after["DatabaseName"], after["EngineVersion"]) == ("available", "ledger", "15.10")
    assert after["KmsKeyId"] == shown(rds, name)["KmsKeyId"]
    assert lab.rds_password("restored") == lab.rds_password(name)
    refused("DBClusterAlreadyExistsFault", rds.restore_db_cluster_from_snapshot, **restore)
    refused(
        "DBClusterSnapshotNotFoundFault",
        rds.restore_db_cluster_from_snapshot,
        **(restore | {"DBClusterIdentifier": "x", "SnapshotIdentifier": "none"}),
    )
    refused(
        "InvalidParameterCombination",
        rds.restore_db_cluster_from_snapshot,
        **(restore | {"DBClusterIdentifier": "x", "Engine": "aurora-mysql"}),
    )
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="manual")
    assert names(rds, DBClusterIdentifier=name, SnapshotType="manual") == []


def test_a_snapshot_of_a_cluster_with_a_managed_password_can_be_restored(rds, lab, cluster):
    name = cluster(instances=0, MasterUserPassword=None, ManageMasterUserPassword=True)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier="managed")
    lab.clock(advance=11)
    cluster.made.append("from-managed")
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="from-managed", SnapshotIdentifier="managed", Engine="aurora-postgresql"
    )
    lab.clock(advance=11)
    assert "MasterUserSecret" not in shown(rds, "from-managed")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="managed")


def test_restore_to_a_point_in_time(rds, lab, cluster, refused):
    name = cluster(instances=0, BackupRetentionPeriod=2)
    lab.clock(advance=7200)
    source = shown(rds, name)
    inside = source["LatestRestorableTime"] - datetime.timedelta(minutes=30)
    restore = {"DBClusterIdentifier": "past", "SourceDBClusterIdentifier": name}
    call = rds.restore_db_cluster_to_point_in_time
    hour = datetime.timedelta(hours=1)
    refused("InvalidParameterValue", call, **restore, RestoreToTime=source["LatestRestorableTime"] + hour)
    refused("InvalidParameterValue", call, **restore, RestoreToTime=source["EarliestRestorableTime"] - hour)
    refused("InvalidParameterCombination", call, **restore)
    refused("InvalidParameterCombination", call, **restore, RestoreToTime=inside, UseLatestRestorableTime=True)
    refused("DBClusterNotFoundFault", call, DBClusterIdentifier="past", SourceDBClusterIdentifier="none")
    cluster.made.extend(["past", "latest", "clone"])
    assert call(**restore, RestoreToTime=inside)["DBCluster"]["Status"] == "creating"
    call(**(restore | {"DBClusterIdentifier": "latest"}), UseLatestRestorableTime=True)
    clone = call(
        **(restore | {"DBClusterIdentifier": "clone"}), RestoreType="copy-on-write", UseLatestRestorableTime=True
    )["DBCluster"]
    assert clone["CloneGroupId"] == shown(rds, name)["CloneGroupId"]
    lab.clock(advance=11)
    assert [shown(rds, one)["Status"] for one in ("past", "latest", "clone")] == ["available"] * 3
    assert shown(rds, "past")["BackupRetentionPeriod"] == 2


def test_automated_snapshots_come_daily_and_go_with_retention(rds, lab, cluster, refused):
    name = cluster(instances=0, BackupRetentionPeriod=3)
    (first,) = names(rds, DBClusterIdentifier=name, SnapshotType="automated")
    assert first.startswith(f"rds:{name}-20")
    refused("InvalidDBClusterSnapshotStateFault", rds.delete_db_cluster_snapshot, DBClusterSnapshotIdentifier=first)
    lab.clock(advance=10 * 86400)
    kept = names(rds, DBClusterIdentifier=name, SnapshotType="automated")
    assert 3 <= len(kept) <= 4
    assert first not in kept
    # What the clock has jumped over happened at its own time.
    snapshots = rds.describe_db_cluster_snapshots(DBClusterIdentifier=name)["DBClusterSnapshots"]
    assert {(s["SnapshotCreateTime"].hour, s["SnapshotCreateTime"].minute) for s in snapshots} == {(3, 0)}


def test_backups_that_are_kept(rds, lab, cluster, refused):
    name = cluster(instances=0, BackupRetentionPeriod=2)
    lab.clock(advance=3600)
    resource = shown(rds, name)["DbClusterResourceId"]
    (active,) = rds.describe_db_cluster_automated_backups(DBClusterIdentifier=name)["DBClusterAutomatedBackups"]
    assert active["Status"] == "active"
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    lab.clock(advance=11)
    refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier=name)
    (kept,) = rds.describe_db_cluster_automated_backups(DbClusterResourceId=resource)["DBClusterAutomatedBackups"]
    assert kept["Status"] == "retained"
    assert names(rds, DBClusterIdentifier=name, SnapshotType="automated")
    cluster.made.append("revived")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="revived",
        SourceDbClusterResourceId=resource,
        RestoreToTime=kept["RestoreWindow"]["LatestTime"],
    )
    lab.clock(advance=11)
    assert shown(rds, "revived")["Status"] == "available"
    lab.clock(advance=3 * 86400)
    refused(
        "DBClusterAutomatedBackupNotFoundFault",
        rds.describe_db_cluster_automated_backups,
        DbClusterResourceId=resource,
    )
    assert names(rds, DBClusterIdentifier=name, SnapshotType="automated") == []


def test_snapshot_quota_and_filters(rds, lab, cluster, refused):
    name = cluster(instances=0)
    manual = names(rds, SnapshotType="manual")
    lab.settings(rds_max_snapshots=len(manual))
    one = {"DBClusterIdentifier": name, "DBClusterSnapshotIdentifier": "over"}
    refused("SnapshotQuotaExceeded", rds.create_db_cluster_snapshot, **one)
    filters = [{"Name": "db-cluster-id", "Values": [name]}]
    assert names(rds, Filters=filters) == names(rds, DBClusterIdentifier=name)
    refused("DBClusterSnapshotNotFoundFault", rds.describe_db_cluster_snapshots, DBClusterSnapshotIdentifier="none")
    refused("DBClusterNotFoundFault", rds.create_db_cluster_snapshot, **(one | {"DBClusterIdentifier": "none"}))


def test_a_name_can_be_had_again(rds, lab, cluster):
    name = cluster(instances=0)
    first = shown(rds, name)["DbClusterResourceId"]
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    lab.clock(advance=11)
    rds.create_db_cluster(**aurora(name))
    assert shown(rds, name)["DbClusterResourceId"] != first
    lab.clock(advance=11)
