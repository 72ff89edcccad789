"""Clusters with real databases: made, logged into, asked, changed."""

from __future__ import annotations

import json
import urllib.error
import uuid

import psycopg
import pytest

from penstock_lab.postgres.binaries import find

from .rig import PASSWORD, Rig, wait_for


def test_a_cluster_is_a_database_with_tls_roles_and_endpoints(rig: Rig) -> None:
    aurora = rig.cluster(readers=2)
    writer = aurora.writer
    aurora.ask("create table t (id int); insert into t values (1)")
    # Whoever speaks it, the server or the endpoint for it.
    assert aurora.ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == [(find().tls,)]
    with aurora.connect() as connection:
        assert connection.pgconn.ssl_in_use
    assert aurora.ask("select pg_is_in_recovery(), aurora_db_instance_identifier()") == [(False, writer)]
    readers = {aurora.ask("select aurora_db_instance_identifier()", "reader")[0][0] for _ in range(6)}
    assert readers == {f"{aurora.name}-1", f"{aurora.name}-2"}
    wait_for(lambda: aurora.ask("select * from t", "reader") == [(1,)])
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        aurora.ask("insert into t values (2)", "reader")
    for one in readers | {writer}:
        assert aurora.ask("select aurora_db_instance_identifier()", one) == [(one,)]
    assert aurora.ask("select aurora_version()")[0][0].startswith(aurora.facts["EngineVersion"])
    with pytest.raises(psycopg.OperationalError):
        aurora.connect(password="wrong")
    assert aurora.ask("select rolsuper from pg_roles where rolname = current_user") == [(False,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        aurora.ask("select pg_read_file('/etc/passwd')")

    for role in ("writer", "reader"):
        rows = wait_for(
            lambda role=role: (
                (
                    found := aurora.ask(
                        "select server_id, session_id, replica_lag_in_msec from aurora_replica_status() order by 1",
                        role,
                    )
                )
                and len(found) == 3
                and found
            )
        )
        assert [row[0] for row in rows] == [f"{aurora.name}-{number}" for number in range(3)]
        assert [row[0] for row in rows if row[1] == "MASTER_SESSION_ID"] == [writer]
        assert all(row[2] is not None and row[2] < 1000 for row in rows if row[0] != writer)


def test_a_managed_password_is_the_one_that_logs_in_and_rotates(rig: Rig) -> None:
    aurora = rig.cluster(ManageMasterUserPassword=True)
    secrets = rig.client("secretsmanager")

    def password() -> str:
        arn = aurora.facts["MasterUserSecret"]["SecretArn"]
        return json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])["password"]

    first = password()
    assert aurora.ask("select 1", password=first) == [(1,)]
    rig.rds.modify_db_cluster(DBClusterIdentifier=aurora.name, RotateMasterUserPassword=True, ApplyImmediately=True)
    wait_for(lambda: password() != first)
    second = password()
    assert wait_for(lambda: aurora.ask("select 1", password=second)) == [(1,)]
    with pytest.raises(psycopg.OperationalError):
        aurora.connect(password=first)


def test_reboot_stop_start_and_new_password(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    aurora.ask("create table t (id int); insert into t values (7)")
    before = aurora.nodes
    for name in before:
        rig.rds.reboot_db_instance(DBInstanceIdentifier=name)
    aurora.wait()
    after = aurora.nodes
    assert all(after[name]["pid"] != before[name]["pid"] for name in before)
    assert aurora.writer == f"{aurora.name}-0"

    rig.rds.stop_db_cluster(DBClusterIdentifier=aurora.name)
    wait_for(lambda: aurora.facts["Status"] == "stopped")
    assert all(one["pid"] is None for one in aurora.nodes.values())
    with pytest.raises(psycopg.OperationalError):
        aurora.connect()
    rig.rds.start_db_cluster(DBClusterIdentifier=aurora.name)
    aurora.wait()
    assert aurora.ask("select * from t") == [(7,)]

    rig.rds.modify_db_cluster(
        DBClusterIdentifier=aurora.name, MasterUserPassword="Another-Horse-8", ApplyImmediately=True
    )
    assert wait_for(lambda: aurora.ask("select * from t", password="Another-Horse-8")) == [(7,)]
    with pytest.raises(psycopg.OperationalError):
        aurora.connect(password=PASSWORD)


def test_readers_come_and_go(rig: Rig) -> None:
    aurora = rig.cluster()
    aurora.ask("create table t (id int); insert into t values (1)")
    for number in (1, 2, 3):
        aurora.add(number)
    aurora.wait()
    assert {aurora.ask("select aurora_db_instance_identifier()", "reader")[0][0] for _ in range(9)} == {
        f"{aurora.name}-{number}" for number in (1, 2, 3)
    }
    for number in (1, 2, 3):
        rig.rds.delete_db_instance(DBInstanceIdentifier=f"{aurora.name}-{number}")
    wait_for(lambda: len(aurora.instances) == 1 and len(aurora.nodes) == 1)
    aurora.ask("insert into t values (2)")
    assert aurora.ask("select count(*) from t", "reader") == [(2,)]
    # Without instances the volume stays.
    rig.rds.delete_db_instance(DBInstanceIdentifier=f"{aurora.name}-0")
    wait_for(lambda: not aurora.instances and not aurora.nodes)
    aurora.add(4)
    aurora.wait()
    assert aurora.ask("select count(*) from t") == [(2,)]


def test_a_cluster_has_no_databases_where_it_is_told_so(rig: Rig) -> None:
    rig.control.settings(rds_databases=False)
    try:
        bare = rig.adopt(f"c{uuid.uuid4().hex[:8]}")
        real = rig.adopt(f"c{uuid.uuid4().hex[:8]}")
        for aurora, tags in ((bare, []), (real, [{"Key": "lab/postgres", "Value": "nodes"}])):
            rig.rds.create_db_cluster(
                DBClusterIdentifier=aurora.name,
                Engine="aurora-postgresql",
                MasterUsername="boss",
                MasterUserPassword=PASSWORD,
                DatabaseName="shop",
                Tags=tags,
            )
            aurora.add(0)
        real.wait()
        assert real.ask("select 1") == [(1,)]
    finally:
        rig.control.settings(rds_databases=True)
    wait_for(lambda: bare.instances[0]["DBInstanceStatus"] == "available")
    assert bare.facts["Endpoint"].endswith(".rds.amazonaws.com")
    with pytest.raises(urllib.error.HTTPError) as refused:
        rig.lab("nodes", cluster=bare.name)
    assert "has no PostgreSQL behind it" in refused.value.read().decode()
    # What is restored from it has none either.
    copy = rig.adopt(f"{bare.name}-copy")
    rig.rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=bare.name, DBClusterIdentifier=copy.name, UseLatestRestorableTime=True
    )
    assert copy.facts["Endpoint"].endswith(".rds.amazonaws.com")
