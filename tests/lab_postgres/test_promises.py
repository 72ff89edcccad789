"""What a user may rely on as on AWS: a commit is on two machines, TLS is verified, what is restorable is never old."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import psycopg
import pytest

from penstock_lab.pki import Authority

from .rig import Rig, wait_for


def test_a_commit_waits_for_one_reader_and_for_none_while_there_is_none(rig: Rig) -> None:
    aurora = rig.cluster(readers=2)
    aurora.ask("create table t (id int)")
    assert aurora.ask("show synchronous_standby_names")[0][0].startswith("ANY 1 (")
    # One of two is enough.
    rig.lab("fault", cluster=aurora.name, kind="freeze", instance=f"{aurora.name}-1")
    aurora.ask("insert into t values (1)", options="-c statement_timeout=4s")
    aurora.wait()
    # None of two is not: the commit waits until one is back, or the lab no longer counts on them.
    rig.control.settings(rds_detect_s=3.0)
    for number in (1, 2):
        rig.lab("fault", cluster=aurora.name, kind="freeze", instance=f"{aurora.name}-{number}")
    began = time.monotonic()
    aurora.ask("insert into t values (2)")
    assert time.monotonic() - began > 1.5
    aurora.wait()
    for role in (f"{aurora.name}-1", f"{aurora.name}-2"):
        wait_for(lambda role=role: aurora.ask("select id from t order by 1", role) == [(1,), (2,)])


def test_every_endpoint_is_verified_by_the_labs_authority_and_by_no_other(rig: Rig, tmp_path: Path) -> None:
    aurora = rig.cluster(readers=1)
    stranger = str(Authority(tmp_path).cert)
    for role in ("writer", "reader", f"{aurora.name}-0", f"{aurora.name}-1"):
        with aurora.connect(role) as connection:
            assert connection.pgconn.ssl_in_use
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            aurora.connect(role, sslrootcert=stranger)
        # Another name than the certificate's.
        address = aurora.login(role)["host"]
        with pytest.raises(psycopg.OperationalError, match="does not match host name"):
            aurora.connect(role, host="database.example.com", hostaddr=address)


def test_connections_without_tls_are_refused_where_the_parameter_group_says_so(rig: Rig) -> None:
    group = f"tls-{time.monotonic_ns()}"
    rig.rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-postgresql15", Description="TLS alone"
    )
    rig.rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=group,
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    aurora = rig.cluster(DBClusterParameterGroupName=group, EngineVersion="15.10")
    assert aurora.ask("select 1") == [(1,)]
    with pytest.raises(psycopg.OperationalError):
        aurora.connect(sslmode="disable")


def test_what_is_restorable_is_never_older_than_five_minutes(rig: Rig) -> None:
    """By the lab's clock, with the default of the archive's pace, when nothing is written, and after a failover."""
    rig.control.settings(rds_archive_s=60.0)
    aurora = rig.cluster(readers=1)

    def age() -> datetime.timedelta:
        now = datetime.datetime.fromtimestamp(rig.control.clock()["now"], datetime.UTC)
        return now - aurora.facts["LatestRestorableTime"]

    limit = datetime.timedelta(minutes=5)

    def oldest(seconds: float) -> datetime.timedelta:
        """Within so many seconds of the lab's clock."""
        began, most = rig.control.clock()["now"], age()
        while rig.control.clock()["now"] - began < seconds:
            most = max(most, age())
            time.sleep(0.2)
        return most

    assert age() < limit
    try:
        # Five minutes are ten seconds now.
        rig.control.clock(speed=30.0)
        assert oldest(120) < limit
        aurora.ask("create table t (id int)")
        rig.lab("fault", cluster=aurora.name, kind="kill")
        assert oldest(330) < limit
        assert aurora.writer == f"{aurora.name}-1"
    finally:
        rig.control.clock(speed=1.0)
    rig.control.clock(advance=7200)
    wait_for(lambda: age() < limit, 10)
