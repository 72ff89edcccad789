"""New names for clusters and instances: what stays, what follows, and a swap of names after a restore.

From the API reference (ModifyDBCluster.NewDBClusterIdentifier, ModifyDBInstance.NewDBInstanceIdentifier) and the user
guide, "Renaming a DB instance" and "Renaming a Multi-AZ DB cluster": endpoints change, tags and snapshots stay, events stay
with the name, and an instance restarts for its new name. The cluster's event is in the Aurora guide's list (0172); for an
instance there is none in it but those of the restart.
"""

from __future__ import annotations

from typing import Any

from .conftest import aurora, member
from .test_rds_clusters import instance, shown


def messages(rds: Any, kind: str, source: str) -> list[str]:
    found = rds.describe_events(SourceType=kind, SourceIdentifier=source, Duration=5)["Events"]
    return [e["Message"] for e in found]


def rename_cluster(rds: Any, lab: Any, old: str, new: str) -> None:
    made = rds.modify_db_cluster(DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True)
    assert made["DBCluster"]["Status"] == "renaming"
    assert made["DBCluster"]["PendingModifiedValues"] == {"DBClusterIdentifier": new.lower()}
    lab.clock(advance=11)


def rename_instance(rds: Any, lab: Any, old: str, new: str) -> None:
    made = rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True)
    assert made["DBInstance"]["DBInstanceStatus"] == "renaming"
    lab.clock(advance=11)


def test_a_renamed_cluster_is_the_same_cluster(rds, lab, cluster, refused):
    name = cluster(instances=2, Tags=[{"Key": "a", "Value": "b"}], DeletionProtection=True)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-manual")
    lab.clock(advance=11)
    before, new = shown(rds, name), f"{name}-New"
    cluster.made.append(new.lower())
    rename_cluster(rds, lab, name, new)
    refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier=name)
    after = shown(rds, new.lower())
    moved = {"DBClusterIdentifier", "DBClusterArn", "Endpoint", "ReaderEndpoint"}
    times = {"EarliestRestorableTime", "LatestRestorableTime"}
    assert {k for k in before if before[k] != after.get(k)} - times == moved
    assert "PendingModifiedValues" not in after
    assert after["DBClusterArn"].endswith(f":cluster:{new.lower()}")
    assert after["Endpoint"].startswith(f"{new.lower()}.cluster-c")
    assert after["ReaderEndpoint"].startswith(f"{new.lower()}.cluster-ro-c")
    assert rds.list_tags_for_resource(ResourceName=after["DBClusterArn"])["TagList"] == [{"Key": "a", "Value": "b"}]
    refused("DBClusterNotFoundFault", rds.list_tags_for_resource, ResourceName=before["DBClusterArn"])
    for number in (1, 2):
        one = instance(rds, f"{name}-{number}")
        assert (one["DBClusterIdentifier"], one["DBInstanceStatus"]) == (new.lower(), "available")
    own = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [new.lower()]}])["DBInstances"]
    assert [i["DBInstanceIdentifier"] for i in own] == [f"{name}-1", f"{name}-2"]
    by_id = [{"Name": "db-cluster-resource-id", "Values": [before["DbClusterResourceId"]]}]
    assert [c["DBClusterIdentifier"] for c in rds.describe_db_clusters(Filters=by_id)["DBClusters"]] == [new.lower()]
    assert messages(rds, "db-cluster", new.lower()) == [f"Renamed cluster from {name} to {new.lower()}."]
    assert "DB cluster created" in messages(rds, "db-cluster", name), "events stay with the name"
    kept = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-manual")["DBClusterSnapshots"]
    assert kept[0]["DbClusterResourceId"] == before["DbClusterResourceId"]
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-manual")


def test_a_renamed_instance_is_the_same_instance_and_restarts(rds, lab, cluster, refused):
    name = cluster(instances=2)
    before = instance(rds, f"{name}-1")
    rds.add_tags_to_resource(ResourceName=before["DBInstanceArn"], Tags=[{"Key": "a", "Value": "b"}])
    rename_instance(rds, lab, f"{name}-1", f"{name}-Green")
    refused("DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier=f"{name}-1")
    after = instance(rds, f"{name}-green")
    assert after["DbiResourceId"] == before["DbiResourceId"]
    assert after["DBInstanceArn"].endswith(f":db:{name}-green")
    assert after["Endpoint"]["Address"].startswith(f"{name}-green.c")
    assert after["TagList"] == [{"Key": "a", "Value": "b"}]
    assert after["PendingModifiedValues"] == {}
    members = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in shown(rds, name)["DBClusterMembers"]}
    assert members == {f"{name}-green": True, f"{name}-2": False}
    assert messages(rds, "db-instance", f"{name}-1")[-1] == "DB instance shutdown"
    assert messages(rds, "db-instance", f"{name}-green") == ["DB instance restarted"]


def test_a_new_name_waits_for_the_window(rds, lab, cluster):
    name = cluster()
    cluster.made.append(f"{name}-later")
    rds.modify_db_cluster(DBClusterIdentifier=name, NewDBClusterIdentifier=f"{name}-later")
    rds.modify_db_instance(DBInstanceIdentifier=f"{name}-1", NewDBInstanceIdentifier=f"{name}-one")
    assert shown(rds, name)["PendingModifiedValues"] == {"DBClusterIdentifier": f"{name}-later"}
    assert instance(rds, f"{name}-1")["PendingModifiedValues"] == {"DBInstanceIdentifier": f"{name}-one"}
    lab.clock(advance=8 * 86400)
    assert [m["DBInstanceIdentifier"] for m in shown(rds, f"{name}-later")["DBClusterMembers"]] == [f"{name}-one"]
    assert "DB instance restarted" in messages_since(rds, f"{name}-one")


def messages_since(rds: Any, source: str) -> list[str]:
    found = rds.describe_events(SourceType="db-instance", SourceIdentifier=source, Duration=20160)["Events"]
    return [e["Message"] for e in found]


def test_a_name_that_is_taken_or_promised(rds, lab, cluster, refused):
    """That a name is promised while somebody is being renamed to it: by analogy to one that is being created."""
    one, two = cluster(), cluster()
    to_two = {"DBClusterIdentifier": one, "NewDBClusterIdentifier": two, "ApplyImmediately": True}
    refused("DBClusterAlreadyExistsFault", rds.modify_db_cluster, **to_two)
    to_second = {"DBInstanceIdentifier": f"{one}-1", "NewDBInstanceIdentifier": f"{two}-1", "ApplyImmediately": True}
    refused("DBInstanceAlreadyExists", rds.modify_db_instance, **to_second)
    refused("InvalidParameterValue", rds.modify_db_cluster, **to_two | {"NewDBClusterIdentifier": "a--b"})
    cluster.made.append("promised")
    rds.modify_db_cluster(**to_two | {"NewDBClusterIdentifier": "promised"})
    rds.modify_db_instance(**to_second | {"DBInstanceIdentifier": f"{two}-1", "NewDBInstanceIdentifier": "promised-1"})
    refused("DBClusterAlreadyExistsFault", rds.create_db_cluster, **aurora("promised"))
    refused("DBInstanceAlreadyExists", rds.create_db_instance, **member(two, 2, DBInstanceIdentifier="promised-1"))
    late = {"DBClusterIdentifier": two, "NewDBClusterIdentifier": "promised", "ApplyImmediately": True}
    refused("DBClusterAlreadyExistsFault", rds.modify_db_cluster, **late)
    lab.clock(advance=11)
    assert shown(rds, "promised")["Status"] == "available"
    assert instance(rds, "promised-1")["DBInstanceStatus"] == "available"


def test_names_are_swapped_after_a_restore(rds, lab, cluster):
    name = cluster(instances=2)
    old = shown(rds, name)
    cluster.made += [f"{name}-old", f"{name}-restored"]
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=f"{name}-restored",
        SourceDBClusterIdentifier=name,
        UseLatestRestorableTime=True,
        DBSubnetGroupName="lab-net",
        VpcSecurityGroupIds=["sg-lab"],
    )
    rds.create_db_instance(**member(f"{name}-restored", 1))
    lab.clock(advance=35)
    restored = shown(rds, f"{name}-restored")
    rename_cluster(rds, lab, name, f"{name}-old")
    for number in (1, 2):
        rename_instance(rds, lab, f"{name}-{number}", f"{name}-old-{number}")
    rename_cluster(rds, lab, f"{name}-restored", name)
    rename_instance(rds, lab, f"{name}-restored-1", f"{name}-1")
    now, before = shown(rds, name), shown(rds, f"{name}-old")
    assert now["DbClusterResourceId"] == restored["DbClusterResourceId"]
    assert before["DbClusterResourceId"] == old["DbClusterResourceId"]
    assert now["Endpoint"] == old["Endpoint"]
    assert [m["DBInstanceIdentifier"] for m in now["DBClusterMembers"]] == [f"{name}-1"]
    assert [m["DBInstanceIdentifier"] for m in before["DBClusterMembers"]] == [f"{name}-old-1", f"{name}-old-2"]
    # Each goes its own way from here on.
    rds.failover_db_cluster(DBClusterIdentifier=f"{name}-old")
    lab.clock(advance=11)
    writers = {m["DBInstanceIdentifier"] for m in shown(rds, f"{name}-old")["DBClusterMembers"] if m["IsClusterWriter"]}
    assert writers == {f"{name}-old-2"}
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    lab.clock(advance=25)
    assert shown(rds, f"{name}-old")["Status"] == "available"
