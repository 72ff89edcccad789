"""A third of all RDS calls fails, AWS throttles, denies or knows the credentials no more: told, waited for, and never answered with more calls."""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from declared import apply_all, fault, slower, unharmed
from declared_cluster import DeclaredCluster
from test_dynamo_credentials import access
from test_dynamo_faults import overruns

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

# Half of what AWS takes of an account in a minute, and the most that the operator asks.
MOST_A_MINUTE = 360
# The tests' lab gives the operator a faster one.
USUAL_PACE = "--rds-rate=5.5"
QUICK = {"rds_cluster_create_s": 1.0, "rds_instance_create_s": 1.0, "rds_instance_delete_s": 0.5}


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with slower(lab, **QUICK), unharmed(lab, same_process=False):
        yield


def ready(clusters: Sequence[DeclaredCluster]) -> list[str]:
    """The names of those that are Ready for their present generation; all are of one namespace."""
    path = f"/apis/penstock.dev/v1alpha1/namespaces/{clusters[0].namespace}/auroraclusters"
    found: Any = clusters[0].lab.api.json(path) or {}
    return [
        o["metadata"]["name"]
        for o in found.get("items", ())
        if any(
            c["type"] == "Ready"
            and c["status"] == "True"
            and c.get("observedGeneration") == o["metadata"]["generation"]
            for c in (o.get("status") or {}).get("conditions") or ()
        )
    ]


def busiest_minute(log: Sequence[dict[str, Any]]) -> int:
    """The most RDS requests in any sixty seconds of the log."""
    times = [entry["time"] for entry in log if entry["operation"].startswith("rds.")]
    first = most = 0
    for last, moment in enumerate(times):
        while moment - times[first] > 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_ten_clusters_while_a_third_of_the_calls_fails(lab: Lab, namespace: str) -> None:
    clusters = [
        DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}, name=f"n{n}", apply=False)
        for n in range(10)
    ]
    with ExitStack() as faults:
        for kind in ("throttle", "error", "drop"):
            faults.enter_context(fault(lab, kind=kind, service="rds", rate=0.1))
        faults.enter_context(fault(lab, kind="drop", service="rds", when="after", rate=0.02))
        operator = faults.enter_context(lab.run_operator(args=[USUAL_PACE]))
        operator.wait_ready()
        lab.aws.reset_calls()
        apply_all(lab, clusters)
        clusters[0].until(lambda: len(ready(clusters)) == len(clusters), "all ten are Ready", timeout=120)
        log = lab.aws.calls(log=True)["log"]
    mine = [entry for entry in log if entry["operation"].startswith("rds.")]
    assert sum(entry["status"] >= 400 or not entry["status"] for entry in mine) > len(mine) / 6, "the faults were real"
    assert busiest_minute(log) <= MOST_A_MINUTE
    assert overruns(log) == []
    for cluster in clusters:
        # An answer that was lost after it had its effect is not counted by the endpoint.
        done = collections.Counter(cluster.writes())
        assert done["CreateDBCluster"] <= 1, done
        assert done["CreateDBInstance"] <= 2, done
        assert done["DeleteDBInstance"] == done["ModifyDBCluster"] == 0, done
        assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(2)]
    for cluster in clusters[::4]:
        cluster.settled(60)
        assert [e.note for e in cluster.events if e.reason in ("DriftCorrected", "Recreating")] == []


def test_throttled_reads_back_off_and_the_cluster_stays_ready(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace).settled()
    with lab.run_operator(args=[USUAL_PACE]) as operator:
        operator.wait_ready()
        # It has read everything once.
        cluster.edit(tags={"a": "a"})
        cluster.settled()
        with fault(lab, kind="throttle", operation="DescribeDB*"):
            lab.aws.reset_calls()
            began = time.monotonic()
            cluster.edit(tags={"a": "b"})
            told = cluster.wait("Synced", "False", reason="Throttled")
            assert told["message"].startswith("AWS throttles rds:DescribeDBClusters")
            assert cluster.condition("Ready")["status"] == "True"
            assert cluster.condition("Stalled")["status"] == "False"
            # Unthrottled, an edit has clusters and instances read every other second; the bucket's burst is not spent on tries.
            counts = lab.aws.calls()["counts"]
            asked = sum(count for name, count in counts.items() if name.startswith("rds.DescribeDB"))
            assert asked <= 12 + 0.6 * (time.monotonic() - began)
    cluster.settled()
    assert cluster.aws_tags["a"] == "b"


def test_denied_actions_are_told_and_what_they_kept_goes_on_when_they_are_allowed(lab: Lab, namespace: str) -> None:
    denied = ("CreateDBCluster", "CreateDBInstance", "CreateDBSubnetGroup")
    clusters = {o: DeclaredCluster.small(lab, namespace, name=o.lower(), apply=False) for o in denied}
    clusters["CreateDBSubnetGroup"].spec["network"] = {"subnetIds": ["subnet-a", "subnet-b"]}
    with ExitStack() as faults:
        for operation, cluster in clusters.items():
            faults.enter_context(fault(lab, kind="deny", operation=operation, key=f"*{cluster.cluster}*"))
            cluster.apply()
        for operation, cluster in clusters.items():
            told = cluster.wait("Ready", "False", reason="AccessDenied")
            assert f"AWS denies rds:{operation}: allow it in the operator's IAM policy." in told["message"]
            assert cluster.condition("Stalled")["status"] == "True"
        lab.aws.reset_calls()
        time.sleep(5)
        for operation in denied:
            assert lab.aws.calls()["counts"].get(f"rds.{operation}", 0) <= 2, "what is denied is not tried every second"
    for cluster in clusters.values():
        cluster.annotate("reconcile-at", "again")
    for cluster in clusters.values():
        cluster.settled()


def test_denied_reads_are_told_and_read_again_when_they_are_allowed(lab: Lab, namespace: str) -> None:
    operation = "DescribeDBClusters"
    before = DeclaredCluster.small(lab, namespace, name="before").settled()
    with fault(lab, kind="deny", operation=operation):
        before.edit(tags={"a": "b"})
        new = DeclaredCluster.small(lab, namespace, name="new")
        for cluster, condition in ((before, "Synced"), (new, "Ready")):
            told = cluster.wait(condition, "False", reason="AccessDenied")
            assert f"AWS denies rds:{operation}: allow it in the operator's IAM policy." in told["message"]
            assert cluster.condition("Stalled")["status"] == "True"
        assert before.condition("Ready")["status"] == "True", "it serves most likely still"
    for cluster in (before, new):
        cluster.settled()
    assert before.aws_tags["a"] == "b"


def test_expired_credentials_are_told_and_nothing_is_left(lab: Lab, namespace: str) -> None:
    with lab.run_operator(access("AKIAEXPIRED0000000")) as operator:
        cluster = DeclaredCluster.small(lab, namespace)
        told = cluster.wait("Ready", "False", reason="CredentialsExpired", timeout=40)
        assert "have expired: renew them" in told["message"]
        assert cluster.condition("Stalled")["status"] == "True"
        cluster.delete()
        time.sleep(1)
        assert operator.running
        assert "Traceback" not in operator.logs()
    cluster.gone()
    assert not cluster.exists
