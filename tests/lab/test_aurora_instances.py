"""The instances of a cluster: how many, which class, in which order they change, and who writes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from declared import unharmed
from declared_cluster import NOW, DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


@scenario
def test_readers_are_added_and_taken_away_but_never_the_writer(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace).settled()
    cluster.instances(readers=2)
    cluster.wait("Ready", "True", reason="Degraded", words="serves, but ")
    cluster.settled()
    assert sorted(cluster.aws_instances) == [cluster.instance(n) for n in (1, 2, 3)]
    assert cluster.status["readersReady"] == "2/2"
    # The writer is the highest ordinal by now.
    cluster.by_hand("failover_db_cluster", TargetDBInstanceIdentifier=cluster.instance(3))
    cluster.until(lambda: cluster.status["writer"] == cluster.instance(3), "the new writer is seen")
    cluster.settled()
    cluster.instances(readers=1).settled()
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(3)]
    assert cluster.told("ScalingIn") == [f"Deleting reader {cluster.instance(2)}."]
    cluster.instances(readers=0).settled()
    assert list(cluster.aws_instances) == [cluster.instance(3)]
    assert cluster.writer == cluster.status["writer"] == cluster.instance(3)
    # The gap is filled before a new number is given.
    cluster.instances(readers=1).settled()
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(3)]
    assert not cluster.told("DriftCorrected")


@scenario
def test_a_class_changes_readers_first_then_the_writer_relieved_by_a_failover(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {**NOW, "instances": {"readers": 2}}).settled()
    before = len(cluster.written())
    cluster.annotate("mode", "Plan").instances(**{"class": "db.r6g.large"})
    cluster.wait("Synced", "False", reason="Planned")
    change = "change the class of {} from db.t4g.medium to db.r6g.large"
    assert [(s["summary"], s["effect"], s["when"]) for s in cluster.plan["steps"]] == [
        (change.format(cluster.instance(2)), "Restart", "Now"),
        (change.format(cluster.instance(3)), "Restart", "Later"),
        (change.format(cluster.instance(1)), "Restart", "Later"),
    ], "one at a time, and the writer last"
    cluster.annotate("mode", None)
    cluster.settled()
    assert cluster.written()[before:] == [
        ("ModifyDBInstance", "2"),
        ("ModifyDBInstance", "3"),
        ("FailoverDBCluster", ""),
        ("ModifyDBInstance", "1"),
    ]
    assert {i["DBInstanceClass"] for i in cluster.aws_instances.values()} == {"db.r6g.large"}
    assert cluster.writer == cluster.status["writer"] == cluster.instance(2)
    first, second = cluster.instance(1), cluster.instance(2)
    assert (
        cluster.told("FailingOver")[0] == f"Failing over from {first} to {second} before the class of {first} changes."
    )
    cluster.until(lambda: cluster.told("FailoverFinished"), "the failover is told")
    (sentence,) = cluster.told("FailoverFinished")
    assert sentence.startswith(
        f"Cluster {cluster.cluster} failed over from {first} to {second}, asked for by the operator; no write was taken for "
    )
    (failover,) = cluster.status["failovers"]
    assert (failover["from"], failover["to"], failover["cause"]) == (first, second, "Operator")
    assert "failoverAsked" not in cluster.status
    assert len(cluster.told("Modifying")) == 3
    assert cluster.status["readersReady"] == "2/2"
    assert {c["reason"] for c in cluster.status["conditions"] if c["type"] == "Ready"} == {"Available"}


@scenario
def test_an_override_makes_one_instance_different(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "network": {"subnetIds": ["subnet-a", "subnet-b", "subnet-c"]}, "instances": {"readers": 1}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    overrides = [
        {"ordinal": 2, "class": "db.r6g.large"},
        {"ordinal": 3, "class": "db.r7g.large", "promotionTier": 15, "zone": "us-east-1a"},
    ]
    cluster.instances(readers=2, overrides=overrides).settled()
    found = cluster.aws_instances
    classes = [found[cluster.instance(n)]["DBInstanceClass"] for n in (1, 2, 3)]
    assert classes == ["db.t4g.medium", "db.r6g.large", "db.r7g.large"]
    third = found[cluster.instance(3)]
    assert (third["AvailabilityZone"], third["PromotionTier"]) == ("us-east-1a", 15)
    cluster.instances(overrides=[]).settled()
    assert {i["DBInstanceClass"] for i in cluster.aws_instances.values()} == {"db.t4g.medium"}


@scenario
def test_readers_under_load_are_autoscalings_affair(lab: Lab, namespace: str) -> None:
    spec = {"instances": {"readers": 1, "readerAutoscaling": {"max": 3, "targetCPU": 50}}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    scaling = lab.boto("application-autoscaling")

    def target() -> list[tuple[int, int]]:
        found = scaling.describe_scalable_targets(ServiceNamespace="rds", ResourceIds=[f"cluster:{cluster.cluster}"])
        return [(t["MinCapacity"], t["MaxCapacity"]) for t in found["ScalableTargets"]]

    assert target() == [(1, 3)]
    # What Application Auto Scaling adds under load: neither counted, nor changed, nor removed, nor said to be too many.
    added = f"application-autoscaling-{namespace}"
    cluster.rds.create_db_instance(
        DBInstanceIdentifier=added,
        DBClusterIdentifier=cluster.cluster,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
        PromotionTier=15,
    )
    cluster.until(lambda: cluster.members[added]["state"] == "available", "it is seen")
    cluster.settled()
    assert cluster.status["readersReady"] == "2/2"
    before = cluster.writes()
    cluster.look().settled()
    assert cluster.writes() == before
    assert sorted(cluster.aws_instances) == [added, cluster.instance(1), cluster.instance(2)]
    cluster.instances(readerAutoscaling={"max": 4})
    cluster.until(lambda: target() == [(1, 4)], "the bounds follow the spec")
    policy = scaling.describe_scaling_policies(ServiceNamespace="rds", ResourceId=f"cluster:{cluster.cluster}")
    cluster.settled()
    policy = scaling.describe_scaling_policies(ServiceNamespace="rds", ResourceId=f"cluster:{cluster.cluster}")
    (found,) = policy["ScalingPolicies"]
    assert found["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    # Taken out of the spec it ends.
    cluster.instances(readerAutoscaling=None)
    cluster.until(lambda: target() == [], "the target is gone")


@scenario
def test_a_failover_is_told_within_seconds_as_event_and_status(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    first, second = cluster.instance(1), cluster.instance(2)
    began = time.monotonic()
    lab.aws.rds_crash(cluster=cluster.cluster)
    cluster.until(lambda: cluster.status["writer"] == second and cluster.status.get("failovers"), "it is told")
    assert time.monotonic() - began < 10
    cluster.until(lambda: "finishedAt" in cluster.status["failovers"][0], "and when it is over")
    (failover,) = cluster.status["failovers"]
    assert (failover["from"], failover["to"]) == (first, second)
    cluster.until(lambda: cluster.told("FailoverFinished"), "and in an Event")
    assert f"failed over from {first} to {second}" in cluster.told("FailoverFinished")[0]
    assert len(cluster.told("FailoverStarted")) == 1
    assert [m["role"] for m in cluster.settled().status["members"]] == ["Writer", "Reader"]
    assert cluster.status["members"][0]["name"] == second
    assert cluster.condition()["message"] == f"Cluster {cluster.cluster} serves; its writer is {second}."


@scenario
def test_a_long_failover_is_told_while_it_lasts(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    began = time.monotonic()
    lab.aws.rds_status(cluster.cluster, "failing-over")
    told = cluster.wait("Ready", "False", reason="FailingOver")
    cluster.until(lambda: cluster.told("FailoverStarted"), "an Event")
    assert time.monotonic() - began < 10
    assert "fails over" in told["message"]
    assert cluster.status["transition"]["state"] == "failing-over"
    assert cluster.status["state"] == "failing-over"
    lab.aws.rds_status(cluster.cluster, "available")
    cluster.settled()
    assert "transition" not in cluster.status


@scenario
def test_an_instance_that_somebody_deleted_is_made_again(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    cluster.rds.delete_db_instance(DBInstanceIdentifier=cluster.instance(1))
    name = cluster.instance(1)
    cluster.until(lambda: f"Instance {name} was gone; making it again." in cluster.told("Recreating"), "it is told")
    cluster.settled()
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(2)]
    assert cluster.status["writer"] == cluster.instance(2)


@scenario
def test_an_instance_that_somebody_added_is_not_taken_away_unasked(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    foreign = f"reports-{namespace}"
    cluster.rds.create_db_instance(
        DBInstanceIdentifier=foreign,
        DBClusterIdentifier=cluster.cluster,
        Engine="aurora-postgresql",
        DBInstanceClass="db.t4g.medium",
    )
    told = cluster.wait("Synced", "False", reason="WaitingForConsent")
    assert f"delete reader {foreign}, which somebody else made" in told["message"]
    assert cluster.condition()["status"] == "True"
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(2), foreign]
    cluster.annotate("approve", cluster.plan["hash"]).settled()
    assert sorted(cluster.aws_instances) == [cluster.instance(1), cluster.instance(2)]
