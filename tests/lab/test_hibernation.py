"""Hibernation on a real API server: by the clock, by a word, and against AWS, which starts a stopped cluster after seven days."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from declared import Declared
from declared_cluster import DeclaredCluster

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

WEEK = 7 * 86400


def daily(moment: datetime) -> str:
    """Cron's fields of a moment's minute, every day, in UTC."""
    return f"{moment.minute} {moment.hour} * * *"


def asleep(**more: str) -> dict[str, str]:
    """Hours that began an hour ago and end in three."""
    now = datetime.now(UTC)
    return {"schedule": daily(now - timedelta(hours=1)), "wake": daily(now + timedelta(hours=3)), **more}


def test_a_cluster_and_a_table_sleep_and_wake_by_a_word_and_by_the_clock(lab: Lab, namespace: str) -> None:
    units = {"mode": "Provisioned", "read": {"units": 20}, "write": {"units": 10}}
    cluster = DeclaredCluster.small(lab, namespace, {"hibernation": asleep()})
    table = Declared(lab, namespace, {"capacity": units, "hibernation": asleep(timezone="Etc/UTC")})
    found = cluster.wait("Ready", "False", reason="Hibernating")
    assert f"until {datetime.now(UTC) + timedelta(hours=3):%a %Y-%m-%d %H:%M}"[:20] in found["message"]
    assert "penstock.dev/wake=2h --overwrite wakes it now" in found["message"]
    assert cluster.writes()[-1] == "StopDBCluster"
    table.wait("Ready", "True", reason="Hibernating")

    def throughput() -> tuple[int, int]:
        now = table.aws["ProvisionedThroughput"]
        return now["ReadCapacityUnits"], now["WriteCapacityUnits"]

    table.until(lambda: throughput() == (1, 1), "it is at its floor")
    # Nobody asked for less than that, so nobody is warned.
    warned = [e for e in (*cluster.events, *table.events) if e.type == "Warning"]
    assert warned == []

    # By a word, and asleep again by itself when its time is over.
    for one in (cluster, table):
        one.annotate("wake", "25s")
    cluster.wait("Ready", "True", reason="Available")
    table.wait("Ready", "True", reason="Available")
    table.until(lambda: throughput() == (20, 10), "it has its units")
    cluster.wait("Ready", "False", reason="Hibernating")
    table.wait("Ready", "True", reason="Hibernating")
    assert cluster.status["hibernation"]["wake"] == "25s"

    # By the clock, in a minute or so.
    wakes = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    for one in (cluster, table):
        one.edit(hibernation=asleep(wake=daily(wakes)))
    cluster.wait("Ready", "False", reason="Hibernating")
    cluster.until(lambda: cluster.condition()["status"] == "True", "it wakes by the clock", timeout=150)
    assert wakes <= datetime.now(UTC)
    table.until(lambda: throughput() == (20, 10), "so does the table", timeout=60)
    assert cluster.status["hibernation"]["state"] == table.status["hibernation"]["state"] == "Awake"
    assert cluster.writes().count("StopDBCluster") == cluster.writes().count("StartDBCluster") == 2


@pytest.mark.leaps
def test_a_cluster_that_hibernates_is_stopped_again_when_aws_starts_it(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"hibernation": asleep()})
    cluster.wait("Ready", "False", reason="Hibernating")
    time.sleep(1)
    lab.aws.clock(advance=WEEK + 60)
    again = f"Stopping cluster {cluster.cluster} again, it hibernates until"
    cluster.until(lambda: any(n.startswith(again) for n in cluster.told("Stopping")), "it is stopped again")
    cluster.wait("Ready", "False", reason="Hibernating")
    assert "StartDBCluster" not in cluster.writes()
