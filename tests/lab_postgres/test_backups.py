"""Snapshots are base backups, point-in-time restores replay the archive to the moment asked for."""

from __future__ import annotations

import datetime
import time

from .rig import Aurora, Ledger, Rig, wait_for


def restored(rig: Rig, name: str) -> Aurora:
    aurora = rig.adopt(name)
    aurora.add(0)
    aurora.wait()
    return aurora


def moment(aurora: Aurora) -> datetime.datetime:
    return aurora.ask("select clock_timestamp()")[0][0]


def to_time(rig: Rig, source: Aurora, name: str, at: datetime.datetime) -> Aurora:
    wait_for(lambda: source.facts["LatestRestorableTime"] >= at, 30)
    rig.rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=source.name, DBClusterIdentifier=name, RestoreToTime=at
    )
    return restored(rig, name)


def test_a_row_deleted_at_t_is_there_a_second_before_and_not_after(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    aurora.ask("create table t (id int); insert into t values (1), (2)")
    rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
    wait_for(lambda: aurora.writer == f"{aurora.name}-1")
    time.sleep(1.2)
    aurora.ask("delete from t where id = 2")
    deleted = moment(aurora)
    time.sleep(1.2)
    aurora.ask("insert into t values (3)")
    second = datetime.timedelta(seconds=1)
    before = to_time(rig, aurora, f"{aurora.name}-before", deleted - second)
    assert before.ask("select id from t order by 1") == [(1,), (2,)]
    after = to_time(rig, aurora, f"{aurora.name}-after", deleted + second)
    assert after.ask("select id from t order by 1") == [(1,)]
    # What was restored has a past of its own.
    before.ask("insert into t values (9)")
    again = to_time(rig, before, f"{aurora.name}-again", moment(before))
    assert again.ask("select id from t order by 1") == [(1,), (2,), (9,)]
    # It is a cluster of its own: neither saw the other's changes.
    assert aurora.ask("select id from t order by 1") == [(1,), (3,)]


def test_what_is_restorable_follows_what_is_written(rig: Rig) -> None:
    aurora = rig.cluster()
    with Ledger(aurora) as ledger:
        started = aurora.facts["LatestRestorableTime"]
        wait_for(lambda: aurora.facts["LatestRestorableTime"] > started, 30)
        age = datetime.datetime.now(datetime.UTC) - aurora.facts["LatestRestorableTime"]
        assert age < datetime.timedelta(seconds=20)
        before = {number for _, number in ledger.acknowledged}
        at = moment(aurora) + datetime.timedelta(seconds=1)
        copy = to_time(rig, aurora, f"{aurora.name}-l", at)
        ledger.more()
    there = {row[0] for row in copy.ask("select id from ledger")}
    assert before <= there
    assert len(there) < len(ledger.acknowledged)


def test_a_snapshot_is_a_database_and_a_clone_has_everything(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    aurora.ask("create table t (id int); insert into t values (1)")
    rig.rds.create_db_cluster_snapshot(DBClusterIdentifier=aurora.name, DBClusterSnapshotIdentifier=f"{aurora.name}-s")
    snapshots = rig.rds.get_waiter("db_cluster_snapshot_available")
    snapshots.wait(DBClusterSnapshotIdentifier=f"{aurora.name}-s", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    aurora.ask("insert into t values (2)")
    rig.rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=f"{aurora.name}-r",
        SnapshotIdentifier=f"{aurora.name}-s",
        Engine="aurora-postgresql",
    )
    assert restored(rig, f"{aurora.name}-r").ask("select id from t") == [(1,)]
    rig.rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=aurora.name,
        DBClusterIdentifier=f"{aurora.name}-c",
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
    )
    assert restored(rig, f"{aurora.name}-c").ask("select id from t order by 1") == [(1,), (2,)]


def test_backups_that_are_kept_outlive_their_cluster(rig: Rig) -> None:
    aurora = rig.cluster()
    aurora.ask("create table t (id int); insert into t values (5)")
    resource = aurora.facts["DbClusterResourceId"]
    rig.rds.delete_db_instance(DBInstanceIdentifier=f"{aurora.name}-0")
    rig.rds.delete_db_cluster(DBClusterIdentifier=aurora.name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    gone = rig.rds.get_waiter("db_cluster_deleted")
    gone.wait(DBClusterIdentifier=aurora.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    rig.rds.restore_db_cluster_to_point_in_time(
        SourceDbClusterResourceId=resource, DBClusterIdentifier=f"{aurora.name}-k", UseLatestRestorableTime=True
    )
    assert restored(rig, f"{aurora.name}-k").ask("select id from t") == [(5,)]
