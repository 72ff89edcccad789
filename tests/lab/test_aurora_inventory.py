"""One inventory for all clusters: what somebody else does is on the object within seconds, and idling costs the same few reads and no write."""

from __future__ import annotations

import collections
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from declared import apply_all, client, kubernetes_writes, slower, unharmed
from declared_cluster import DeclaredCluster

from penstock_lab import deployment
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

QUICK = {"rds_cluster_create_s": 1.0, "rds_instance_create_s": 1.0, "rds_instance_delete_s": 0.5, "rds_failover_s": 0.5}
IDLE = 60.0


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with slower(lab, **QUICK), unharmed(lab, same_process=False):
        yield


@pytest.fixture(scope="module")
def clusters(lab: Lab) -> Iterator[list[DeclaredCluster]]:
    """Six clusters of two instances, settled."""
    lab.kubectl("create", "namespace", "inventory")
    found = [
        DeclaredCluster.small(lab, "inventory", {"instances": {"readers": 1}}, name=f"n{n}", apply=False)
        for n in range(6)
    ]
    apply_all(lab, found)
    for cluster in found:
        cluster.settled(60).uid = cluster.object["metadata"]["uid"]
        cluster.wait("Bound")
    yield found
    lab.kubectl("delete", "namespace", "inventory", "--wait=false")


def metric(lab: Lab, pattern: str) -> float:
    """The value of the leader's metric that the pattern matches."""
    leader = deployment.leader(lab)
    assert leader is not None
    (pod,) = (p for p in lab.pods(deployment.NAMESPACE) if p["pid"] == leader[1])
    with urllib.request.urlopen(f"{pod['url']}/metrics", timeout=10) as answer:
        found = re.search(rf"^{pattern} (\S+)$", answer.read().decode(), re.M)
    assert found is not None, pattern
    return float(found[1])


def test_idling_writes_nothing_and_reads_by_the_clock(lab: Lab, clusters: list[DeclaredCluster]) -> None:
    # The last transitions keep the reads hurrying for a while.
    time.sleep(16)
    writes = kubernetes_writes(lab)
    lab.aws.reset_calls()
    time.sleep(IDLE)
    counts = collections.Counter(lab.aws.calls()["counts"])
    assert kubernetes_writes(lab) == writes
    asked = {name.partition(".")[2]: count for name, count in counts.items() if name.startswith("rds.")}
    # Every 5, 20 and 30 s, however many clusters there are; with room for the moment at which the minute begins.
    expected = {"DescribeDBClusters": (10, 15), "DescribeDBInstances": (2, 5), "DescribeEvents": (1, 4)}
    assert {n: c for n, c in asked.items() if not expected[n][0] <= c <= expected[n][1]} == {}
    assert metric(lab, r'penstock_inventory_age_seconds\{[^}]*"clusters"[^}]*\}') < 8


def test_another_writer_is_on_the_object_within_seconds(lab: Lab, clusters: list[DeclaredCluster]) -> None:
    cluster = clusters[0]
    before, after = cluster.writer, cluster.instance(2)
    assert cluster.status["writer"] == before
    cluster.by_hand("failover_db_cluster", TargetDBInstanceIdentifier=after)
    cluster.until(lambda: cluster.status["writer"] == after, f"{after} is the writer on the object", timeout=10)
    cluster.settled()
    roles = {m["name"]: m["role"] for m in cluster.status["members"]}
    assert roles == {before: "Reader", after: "Writer"}
    assert "FailoverDBCluster" not in cluster.writes()[1:]


def test_what_somebody_deleted_is_made_again(lab: Lab, clusters: list[DeclaredCluster]) -> None:
    cluster, short = clusters[1:3]
    first, reader = cluster.aws["DbClusterResourceId"], short.instance(2)
    for name in sorted(cluster.aws_instances, key=lambda i: i == cluster.writer):
        cluster.rds.delete_db_instance(DBInstanceIdentifier=name)
    cluster.by_hand("delete_db_cluster", SkipFinalSnapshot=True)
    short.rds.delete_db_instance(DBInstanceIdentifier=reader)
    cluster.wait("Ready", "False", words=cluster.cluster, timeout=15)
    cluster.until(lambda: cluster.aws["DbClusterResourceId"] != first, "another cluster", timeout=60)
    short.until(lambda: reader in short.aws_instances, "the reader is made again", timeout=40)
    for made in (cluster, short):
        made.settled(60)
        assert sorted(made.aws_instances) == [made.instance(1), made.instance(2)]
    assert f"Cluster {cluster.cluster} was gone; making it again, empty." in cluster.told("Recreating")
    assert any(reader in note for note in short.told("Recreating"))


def test_a_queue_of_events_tells_sooner(lab: Lab, clusters: list[DeclaredCluster]) -> None:
    """With a hint the reads need not wait for their turn, so what changed is told within a second or two."""
    sqs, sns, rds = (client(lab.aws_url, service) for service in ("sqs", "sns", "rds"))
    url = sqs.create_queue(QueueName="rds-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="rds-events")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    rds.create_event_subscription(SubscriptionName="penstock", SnsTopicArn=topic, Enabled=True)
    try:
        with lab.run_operator(args=["--events-queue", url]) as operator:
            operator.wait_ready()
            cluster = clusters[3].look().settled(60)
            lab.aws.reset_calls()
            began = time.monotonic()
            writer = lab.aws.rds_failover(cluster.cluster)
            cluster.until(lambda: cluster.status["writer"] == writer, "the new writer", timeout=10)
            took = time.monotonic() - began
            log: list[dict[str, Any]] = lab.aws.calls(log=True)["log"]
            received = [e for e in log if e["operation"] == "sqs.DeleteMessageBatch"]
            assert received, "the queue was read and its messages deleted"
            assert took < 10, json.dumps([e["operation"] for e in log])
            assert "Traceback" not in operator.logs()
    finally:
        rds.delete_event_subscription(SubscriptionName="penstock")
        sqs.delete_queue(QueueUrl=url)
