"""Failovers under write load, through the endpoints: nothing that was acknowledged is lost, except where the control says so."""

from __future__ import annotations

import itertools
import time

import psycopg
import pytest

from .rig import Aurora, Ledger, Rig, wait_for


def back(aurora: Aurora, writer: str) -> None:
    """``writer`` is the writer, and everybody else its reader again."""
    wait_for(lambda: aurora.writer == writer and aurora.nodes[writer]["role"] == "writer", 60)
    aurora.wait()


def test_failovers_asked_for_and_suffered_lose_nothing(rig: Rig) -> None:
    aurora = rig.cluster(readers=2, tiers=[2, 1, 0])
    names = [f"{aurora.name}-{number}" for number in range(3)]
    with Ledger(aurora) as ledger:
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
        ledger.more()
        back(aurora, names[2])  # by tier
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name, TargetDBInstanceIdentifier=names[0])
        ledger.more()
        back(aurora, names[0])
        rig.lab("fault", cluster=aurora.name, kind="kill")
        ledger.more()
        back(aurora, names[2])
        rig.lab("fault", cluster=aurora.name, kind="freeze")
        ledger.more()
        back(aurora, names[1])
    assert ledger.lost() == []
    assert ledger.outage() < 20
    for name in (names[0], names[2]):
        assert wait_for(
            lambda name=name: (
                aurora.ask("select count(*) from ledger", name) == aurora.ask("select count(*) from ledger")
            )
        )
    # As the Aurora guide words them, in their order; which of the two begins depends on the zones.
    zones = {one["DBInstanceIdentifier"]: one["AvailabilityZone"] for one in aurora.instances}
    expected = []
    for old, new in itertools.pairwise([names[0], names[2], names[0], names[2], names[1]]):
        across = "same" if zones[old] == zones[new] else "cross"
        expected.append(f"Started {across} AZ failover to DB instance: {new}")
        expected.append(f"Completed failover to DB instance: {new}")
    assert aurora.events() == expected


def test_a_writer_that_nobody_reaches_is_replaced_and_comes_back_as_a_reader(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    old = f"{aurora.name}-0"
    with Ledger(aurora) as ledger:
        rig.lab("fault", cluster=aurora.name, kind="partition", instance=old)
        back_to = f"{aurora.name}-1"
        wait_for(lambda: aurora.writer == back_to)
        # The endpoint leads to the new one while the old one is still away.
        ledger.more()
        with pytest.raises(psycopg.OperationalError):
            aurora.connect(old, connect_timeout=2)
        rig.lab("heal", cluster=aurora.name)
        back(aurora, back_to)
    assert ledger.lost() == []
    assert aurora.ask("select pg_is_in_recovery()", old) == [(True,)]


def test_a_lone_writer_that_dies_comes_up_again_with_everything(rig: Rig) -> None:
    aurora = rig.cluster()
    with Ledger(aurora) as ledger:
        rig.lab("fault", cluster=aurora.name, kind="kill")
        ledger.more()
    aurora.wait()
    assert ledger.lost() == []
    assert aurora.writer == f"{aurora.name}-0"


def test_deleting_the_writer_hands_over_without_loss(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    with Ledger(aurora) as ledger:
        rig.rds.delete_db_instance(DBInstanceIdentifier=f"{aurora.name}-0")
        wait_for(lambda: len(aurora.nodes) == 1 and aurora.writer == f"{aurora.name}-1", 60)
        ledger.more()
    assert ledger.lost() == []


def test_control_promoting_a_stale_reader_is_seen_to_lose_commits(rig: Rig) -> None:
    """The same ledger, the same check: what the tests above would tell if a failover chose wrongly."""
    aurora = rig.cluster(readers=2)
    stale = f"{aurora.name}-2"
    with Ledger(aurora) as ledger:
        rig.lab("fault", cluster=aurora.name, kind="partition", instance=stale)
        ledger.more(300)
        rig.lab("fault", cluster=aurora.name, kind="stale", instance=stale)
        ledger.more(5, 60)
    assert len(ledger.lost()) > 100
    # Nobody may be left who has what is lost: all follow the new writer in the end.
    wait_for(lambda: all(one["joined"] for one in aurora.nodes.values()), 90)
    # Nobody told the control plane: it finds out who writes.
    wait_for(lambda: aurora.writer == stale, 30)
    assert aurora.events() == [f"Completed failover to DB instance: {stale}"]


def test_a_reader_that_is_far_behind_is_not_promoted_before_it_has_caught_up(rig: Rig) -> None:
    aurora = rig.cluster(readers=2, tiers=[1, 1, 0])
    best_tier = f"{aurora.name}-2"
    with Ledger(aurora) as ledger:
        rig.lab("fault", cluster=aurora.name, kind="partition", instance=best_tier)
        ledger.more(200)
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name, TargetDBInstanceIdentifier=best_tier)
        wait_for(lambda: aurora.writer == best_tier, 60)
        rig.lab("heal", cluster=aurora.name)
        ledger.more()
    assert ledger.lost() == []


def test_a_failover_that_would_lose_commits_does_not_come_about(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    reader = f"{aurora.name}-1"
    with Ledger(aurora) as ledger:
        rig.lab("fault", cluster=aurora.name, kind="partition", instance=reader)
        # Nobody but the writer has these, once the lab no longer waits for the reader.
        ledger.more(200, 60)
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
        wait_for(lambda: aurora.facts["Status"] == "available", 60)
        assert aurora.writer == f"{aurora.name}-0"
        ledger.more()
        assert aurora.events()[-2:] == [
            f"Promoting previous primary again: {aurora.name}-0.",
            "Cluster failover failed, check the health of your cluster instances and try again.",
        ]
        rig.lab("heal", cluster=aurora.name)
        aurora.wait()
        rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
        back(aurora, reader)
    assert ledger.lost() == []


def test_delay_and_partition_of_readers_are_seen_as_lag(rig: Rig) -> None:
    aurora = rig.cluster(readers=2)

    def lags() -> dict[str, float]:
        rows = aurora.ask("select server_id, replica_lag_in_msec from aurora_replica_status()")
        return {name: lag for name, lag in rows if lag is not None}

    with Ledger(aurora):
        wait_for(lambda: len(found := lags()) == 2 and max(found.values()) < 200)
        rig.lab("fault", cluster=aurora.name, kind="delay", seconds=0.5)
        wait_for(lambda: len(found := lags()) == 2 and min(found.values()) > 400)
        rig.lab("heal", cluster=aurora.name)
        wait_for(lambda: max(lags().values()) < 200)


def test_names_move_later_when_they_have_a_ttl(rig: Rig) -> None:
    aurora = rig.cluster(readers=1)
    rig.control.settings(rds_dns_s=3.0)
    began = time.monotonic()
    rig.rds.failover_db_cluster(DBClusterIdentifier=aurora.name)
    assert aurora.facts["Status"] == "failing-over"
    assert aurora.writer == f"{aurora.name}-0"
    wait_for(lambda: aurora.writer == f"{aurora.name}-1")
    assert aurora.facts["Status"] == "available"
    assert aurora.ask("select pg_is_in_recovery()", f"{aurora.name}-1") == [(False,)]
    wait_for(lambda: aurora.ask("select aurora_db_instance_identifier()") == [(f"{aurora.name}-1",)])
    assert time.monotonic() - began > 2.5


@pytest.mark.slow
def test_connection_slots_can_be_filled_and_freed(rig: Rig) -> None:
    aurora = rig.cluster()
    rig.lab("fault", cluster=aurora.name, kind="connections")
    with pytest.raises(Exception, match=r"too many clients|remaining connection slots"):
        aurora.connect()
    rig.lab("heal", cluster=aurora.name)
    assert wait_for(lambda: aurora.ask("select 1")) == [(1,)]
