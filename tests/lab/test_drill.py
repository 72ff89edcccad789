"""Failover drills against real PostgreSQL: what they measure, that they can fail, what keeps them from beginning, and that they leave nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from declared import fault, slower, unharmed
from declared_drill import TINY, DeclaredDrill, DrilledCluster
from together import Together, scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

# Without the Lease, which would keep the next process waiting for fifteen seconds; takeovers have tests of their own.
ALONE = ("--no-leader-elect",)


@pytest.fixture(scope="module", autouse=True)
def without_a_traceback(lab: Lab, together: Together) -> Iterator[None]:
    with unharmed(lab, same_process=False):
        yield


@scenario
def test_a_drill_passes_another_fails_with_its_figure_and_two_at_once_take_turns(lab: Lab, namespace: str) -> None:
    def run(*words: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(lab.state.folder / "kubeconfig")}
        command = [str(Path(sys.executable).with_name("penstock")), *words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    cluster = DrilledCluster(lab, namespace, readers=2).settled()
    old = cluster.writer
    drill = DeclaredDrill(lab, namespace, {"load": {"writers": 3, "duration": "6s"}}, name="good")
    report = drill.ended("Passed")
    assert drill.condition("Passed")["status"] == drill.condition()["status"] == "True"
    assert (report["from"], report["to"]) == (old, cluster.writer)
    assert old != cluster.writer
    assert report["commitsLost"] == 0 < report["commitsAcknowledged"]
    assert 0 < report["outageP50Seconds"] <= report["outageSeconds"] < 30
    assert report["connectionsCut"] >= 3
    order = [phase["name"] for phase in report["phases"]]
    assert order[0] == "Requested"
    assert order.index("OldWriterGone") < order.index("FirstCommit") <= order.index("AllWritersBack")
    assert {"NewWriterAccepting", "EndpointMoved", "ToldByAWS"} <= set(order)
    counted = sum(int(n) for writer in report["series"]["writers"] for n in writer["commits"].split())
    assert 0 < counted <= report["commitsAcknowledged"]
    assert len(drill.told("DrillPassed")) == 1
    assert cluster.schemas == []

    # The cluster itself has it in its own history, as the drill's doing, with what was lost.
    mine = cluster.until(lambda: cluster.status["failovers"][0].get("commitsLost") == 0, "told", 30).status[
        "failovers"
    ][0]
    assert (mine["cause"], mine["from"], mine["to"]) == ("Drill", old, report["to"])
    page = run("report", "drill", "good", "-n", namespace)
    assert page.startswith("<!doctype html>")
    assert report["sentence"] in page
    assert "<svg" in page
    assert "Failover drill good: Passed" in run("report", "drill", "good", "-n", namespace, "-o", "md")
    (line,) = [
        row for row in run("top", "--once", "-n", namespace).splitlines() if row.startswith(f"{namespace}/ledger")
    ]
    assert cluster.writer in line
    assert "Passed" in line

    # Once is once; what cannot hold is told with the figure.
    strict = {"limits": {"outage": "1ms"}, "load": TINY}
    DeclaredDrill(lab, namespace, strict, name="strict").ended("Failed")
    strictly = DeclaredDrill(lab, namespace, strict, name="strict", apply=False)
    ready = strictly.wait(status="False", reason="DrillFailed")
    assert "limits.outage is 1ms" in ready["message"]
    assert strictly.condition("Stalled")["status"] == "True"

    # Two that are due at the same instant: one runs, the other waits for it.
    listed = [DeclaredDrill(lab, namespace, {"load": TINY}, name=name, apply=False) for name in ("left", "right")]
    lab.kubectl(
        "apply",
        "-f",
        "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [d.manifest for d in listed]}),
    )
    both = [d.ended("Passed", 90) for d in listed]
    first, second = sorted(both, key=lambda r: r["startedAt"])
    assert datetime.fromisoformat(first["finishedAt"]) <= datetime.fromisoformat(second["startedAt"])
    assert drill.status["report"]["uid"] == report["uid"]
    assert cluster.schemas == []


@scenario
def test_commits_that_a_stale_promotion_loses_are_counted(lab: Lab, namespace: str) -> None:
    cluster = DrilledCluster(lab, namespace, readers=2).settled()
    drill = DeclaredDrill(
        lab, namespace, {"load": {"writers": 2, "duration": "20s"}, "guards": {"maxReplicaLag": "1h"}}
    )
    drill.reached("Writing", "FailingOver")
    readers = sorted(set(cluster.aws_instances) - {cluster.writer})
    stale = readers[-1]
    lab.aws.postgres("fault", cluster=cluster.cluster, kind="partition", instance=stale)
    drill.reached("Settling")
    # The control of the drill: the one that lacks commits is promoted, as no failover may do.
    lab.aws.postgres("fault", cluster=cluster.cluster, kind="stale", instance=stale)
    report = drill.ended("Failed", 90)
    assert report["commitsLost"] > 0
    assert (
        f"{report['commitsLost']} of {report['commitsAcknowledged']} acknowledged commits were lost"
        in report["sentence"]
    )
    assert drill.status["commitsLost"] == report["commitsLost"]
    assert "limits.commitsLost is 0" in drill.condition("Passed")["message"]


@scenario
def test_what_keeps_a_drill_from_beginning_is_told_and_passes(lab: Lab, namespace: str) -> None:
    drill = DeclaredDrill(lab, namespace)
    drill.wait(status="False", reason="Guarded", words="AuroraCluster ledger does not exist")
    cluster = DrilledCluster(lab, namespace, readers=0).settled()
    drill.wait(status="False", reason="Guarded", words="has no reader, so nobody could take over")
    assert drill.condition("Stalled")["status"] == "True"
    named = DeclaredDrill(lab, namespace, {"target": cluster.writer}, name="named")
    named.wait(status="False", reason="Guarded", words="is the writer of cluster ledger already")
    named.edit(target="somebody-elses-1")
    named.wait(status="False", reason="Guarded", words="has no instance somebody-elses-1")
    lab.kubectl("delete", "fdrill", "named", "-n", namespace)

    # A password that somebody changed beside the operator does not log in: waited for, and no run.
    cluster.by_hand(MasterUserPassword="Another-Horse-8")
    cluster.until(lambda: not cluster.aws.get("PendingModifiedValues"), "the password is another")
    cluster.instances(readers=1).settled()
    drill.wait(status="False", reason="LoginFailed", timeout=60)
    assert "history" not in drill.status
    cluster.by_hand(MasterUserPassword="Correct-Horse-7")

    # AWS refuses: the run is over, nothing of it is left, and it says why.
    with fault(
        lab,
        kind="error",
        service="rds",
        operation="FailoverDBCluster",
        key=cluster.cluster,
        code="InvalidDBClusterStateFault",
        count=1,
    ):
        report = drill.ended("Aborted", 90)
    assert "AWS refused the failover" in report["sentence"]
    assert cluster.schemas == []


@scenario
def test_a_cluster_or_a_drill_deleted_in_the_middle(lab: Lab, namespace: str) -> None:
    cluster = DrilledCluster(lab, namespace).settled()
    drill = DeclaredDrill(lab, namespace, {"load": {"writers": 2, "duration": "1m"}}, name="short-lived")
    drill.reached("Writing")
    assert cluster.schemas
    drill.delete().gone(60)
    assert cluster.schemas == []
    assert cluster.drilling == 0
    other = DeclaredDrill(lab, namespace, {"load": {"writers": 2, "duration": "1m"}}, name="orphan")
    other.reached("Writing")
    cluster.delete()
    report = other.ended("Aborted", 90)
    assert "AuroraCluster ledger is being deleted" in report["sentence"]
    cluster.gone(120)
    assert other.condition("Stalled")["reason"] == "DrillAborted"


@scenario
def test_a_schedule_runs_in_time_and_skips_what_cannot_begin(lab: Lab, namespace: str) -> None:
    cluster = DrilledCluster(lab, namespace).settled()
    drill = DeclaredDrill(lab, namespace, {"schedule": "* * * * *", "startingDeadline": "30s", "historyLimit": 3})
    drill.wait(reason="Scheduled")
    following = drill.status["nextRun"]
    report = drill.ended("Passed", 100)
    assert report["scheduledFor"] == drill.status["lastScheduledAt"] == following
    assert (datetime.fromisoformat(report["startedAt"]) - datetime.fromisoformat(following)).total_seconds() < 15
    # Now its guard cannot hold: the next time is skipped, and told once.
    drill.edit(target=cluster.writer)
    drill.ended("Skipped", 130)
    assert drill.status["history"][0]["scheduledFor"] == drill.status["lastScheduledAt"] > following
    assert "is the writer of cluster ledger already" in drill.status["history"][0]["sentence"]
    assert [past["verdict"] for past in drill.status["history"]] == ["Skipped", "Passed"]
    assert len(drill.told("DrillSkipped")) == 1


@pytest.mark.slow
def test_killed_in_the_middle_it_is_found_again_and_one_that_never_ends_is_told(lab: Lab, namespace: str) -> None:
    with lab.run_operator(args=ALONE) as operator:
        operator.wait_ready()
        cluster = DrilledCluster(lab, namespace).settled()
        early = DeclaredDrill(lab, namespace, {"load": {"writers": 2, "duration": "1m"}}, name="early").reached(
            "Writing"
        )
        operator.kill()
        operator.wait()
        assert cluster.schemas
        second = lab.run_operator(args=ALONE)
        report = early.ended("Aborted", 60)
        assert "the operator ended before the failover was asked for" in report["sentence"]
        assert cluster.schemas == []

        # A failover that does not end within its limit is told as such.
        with slower(lab, rds_failover_s=20.0):
            endless = DeclaredDrill(lab, namespace, {"limits": {"failover": "5s"}}, name="endless")
            report = endless.ended("Failed", 60)
        assert "the failover had not ended after" in report["sentence"]
        assert "limits.failover is 5s" in endless.condition("Stalled")["message"]
        cluster.until(lambda: cluster.aws["Status"] == "available", "it is over after all")

        old = cluster.writer
        late = DeclaredDrill(lab, namespace, {"load": {"writers": 2, "duration": "20s"}}, name="late")
        late.reached("FailingOver", "Settling")
        second.kill()
        second.wait()
        third = lab.run_operator(args=ALONE)
        report = late.ended("Aborted", 60)
        assert report["from"] == old
        assert "the operator ended after the failover was asked for" in report["sentence"]
        assert len(late.told("DrillAborted")) == 1
        assert cluster.schemas == []
        assert cluster.drilling == 0
        third.stop()
    lab.wait_operator()
