"""What only shows while a cluster is made or runs: each trouble has its sentence, the rest goes on, and it passes. Modes, plans and power."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from declared import fault, slower, unharmed
from declared_cluster import ENGINE, NOW, SUBNETS, DeclaredCluster
from test_plan_command import plan
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

WEEK = 7 * 86400


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def refused(cluster: DeclaredCluster, reason: str, words: str) -> str:
    """The sentence with which the cluster does not come to be."""
    message: str = cluster.wait("Ready", "False", reason=reason, words=words)["message"]
    cluster.until(lambda: cluster.told(reason), "an Event")
    return message


# ---- what AWS refuses


@scenario
def test_a_class_that_is_not_to_be_had(lab: Lab, namespace: str) -> None:
    override = {"ordinal": 2, "class": "db.x2g.large", "zone": "us-east-1b"}
    spec = {**NOW, "instances": {"readers": 1, "overrides": [override]}, "network": {"subnetIds": SUBNETS}}
    zoned = DeclaredCluster.small(lab, namespace, spec, name="zoned")
    spec = {"engine": {**ENGINE, "version": "15.4"}, "instances": {"class": "db.r8g.large"}}
    older = DeclaredCluster.small(lab, namespace, spec, name="older")
    spec = {"instances": {"class": "db.x2g.large", "readers": 2}, "network": {"subnetIds": SUBNETS}}
    spread = DeclaredCluster.small(lab, namespace, spec, name="spread")
    told = zoned.wait("Synced", "False", reason="Invalid")
    assert told["message"].startswith(
        "AWS does not offer class db.x2g.large in zone us-east-1b for this engine version: write another "
        "spec.instances.class, or another zone or class in spec.instances.overrides. (AWS: RDS does not support creating"
    )
    assert zoned.writer == zoned.instance(1), "the writer is made all the same"
    told = older.wait("Synced", "False", reason="Invalid")
    assert told["message"].startswith("AWS does not offer class db.r8g.large")
    assert older.condition("Stalled")["status"] == "True"
    # Where the spec names no zone, one that has the class is found.
    spread.settled()
    assert {i["AvailabilityZone"] for i in spread.aws_instances.values()} == {"us-east-1a", "us-east-1c"}
    zoned.instances(overrides=[{**override, "zone": "us-east-1c"}]).settled()
    older.instances(**{"class": "db.r6g.large"}).settled()


@scenario
def test_a_network_that_does_not_fit(lab: Lab, namespace: str) -> None:
    wrong = {
        "vpcs": {"subnetIds": ["subnet-a", "subnet-other"]},
        "unknown": {"subnetIds": ["subnet-a", "subnet-0123456789abcdef0"]},
        "zone": {"subnetGroup": f"{namespace}-group"},
        "group": {"securityGroupIds": ["sg-0123456789abcdef0"]},
    }
    made = {n: DeclaredCluster.small(lab, namespace, {"network": w}, name=n) for n, w in wrong.items()}
    for name in ("vpcs", "unknown"):
        said = refused(made[name], "WaitingForDependency", "AWS cannot use the subnets of spec.network.subnetIds")
        assert "all of them must exist, in one VPC. (AWS: " in said
    said = refused(made["zone"], "WaitingForDependency", "There is no subnet group")
    assert said.startswith(
        f"There is no subnet group {namespace}-group in us-east-1: make it, or name subnets in spec.network.subnetIds."
    )
    said = refused(made["group"], "WaitingForDependency", "security group")
    assert "sg-0123456789abcdef0" in said
    assert "make it, or write another" in said
    # What is missing appears.
    made["zone"].rds.create_db_subnet_group(
        DBSubnetGroupName=f"{namespace}-group", DBSubnetGroupDescription="Somebody's", SubnetIds=SUBNETS
    )
    made["zone"].settled()
    # What is wrong is mended.
    made["group"].edit(network={"securityGroupIds": ["sg-lab"]}).settled()
    made["vpcs"].edit(network={"subnetIds": SUBNETS[:2]}).settled()
    made["unknown"].delete().gone()


@scenario
def test_other_things_that_are_not_there(lab: Lab, namespace: str) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "key": {"encryption": {"kmsKey": "alias/nobodys"}},
        "version": {"engine": {**ENGINE, "version": "15.99"}},
        "parameters": {"requireTLS": None, "parameterGroups": {"cluster": f"{namespace}-parameters"}},
    }
    made = {n: DeclaredCluster.small(lab, namespace, w, name=n) for n, w in wrong.items()}
    said = refused(made["key"], "WaitingForDependency", "KMS key")
    assert "alias/nobodys (spec.encryption.kmsKey) cannot be used" in said
    said = refused(made["version"], "Invalid", "15.99")
    assert said.startswith(
        "AWS does not offer version 15.99 of aurora-postgresql in us-east-1: write another spec.engine.version."
    )
    said = refused(made["parameters"], "WaitingForDependency", "spec.parameterGroups is not there")
    made["parameters"].rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{namespace}-parameters",
        DBParameterGroupFamily="aurora-postgresql15",
        Description="Somebody's",
    )
    made["parameters"].settled()
    assert made["parameters"].aws["DBClusterParameterGroup"] == f"{namespace}-parameters"
    made["version"].edit(engine={**ENGINE, "version": "15.12"}).settled()
    made["key"].delete().gone()


@scenario
def test_what_aws_has_no_room_for_is_told_and_passes(lab: Lab, namespace: str) -> None:
    sentences = {
        "InsufficientDBInstanceCapacity": ("Unavailable", "AWS has no capacity for db.t4g.medium in these zones"),
        "InstanceQuotaExceededFault": (
            "LimitReached",
            'The account\'s quota "DB instances" of Amazon RDS in us-east-1 is reached',
        ),
    }
    made = {}
    for number, (code, (reason, words)) in enumerate(sentences.items()):
        cluster = made[code] = DeclaredCluster.small(lab, namespace, name=f"full-{number}", apply=False)
        rule = {"service": "rds", "operation": "CreateDBInstance", "key": f"{cluster.cluster}*"}
        with fault(lab, kind="error", code=code, status=400, message="There is no more room.", **rule):
            cluster.apply()
            told = cluster.wait("Ready", "False", reason=reason)
            assert told["message"].startswith(words)
            assert "it is tried again by itself" in told["message"]
            assert told["message"].endswith("(AWS: There is no more room.)")
            assert cluster.condition("Stalled")["status"] == "False", "nobody must touch the object"
    for cluster in made.values():
        cluster.settled()


# ---- permissions


@scenario
def test_denied_actions_are_named_one_by_one_and_the_rest_goes_on(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster(lab, namespace, {"instances": {"readers": 0}}, apply=False)
    rules = {"service": "rds", "key": f"*{cluster.cluster}*"}
    for operation in ("CreateDBSubnetGroup", "CreateDBCluster", "CreateDBInstance"):
        with fault(lab, kind="deny", operation=operation, **rules):
            cluster.apply()
            told = cluster.wait("Ready", "False", reason="AccessDenied", words=f"rds:{operation}")
            assert told["message"].startswith(f"AWS denies rds:{operation}: allow it in the operator's IAM policy."), (
                told["message"]
            )
            assert cluster.condition("Stalled")["status"] == "True"
        cluster.annotate("reconcile-at", operation)
    cluster.settled()
    with fault(lab, kind="deny", operation="ModifyDBCluster", **rules):
        cluster.edit(backup={"retentionDays": 5}, tags={"team": "shop"})
        cluster.wait("Synced", "False", reason="AccessDenied", words="rds:ModifyDBCluster")
        cluster.until(lambda: cluster.aws_tags.get("team") == "shop", "the tag is set")
        assert cluster.condition()["status"] == "True"
        assert any("backup retention 1 → 5" in step for step in cluster.steps)
    cluster.annotate("reconcile-at", "again").settled()
    assert cluster.aws["BackupRetentionPeriod"] == 5
    with fault(lab, kind="deny", operation="Delete*", **rules):
        cluster.delete()
        cluster.wait("Ready", "False", reason="AccessDenied", words="rds:DeleteDBInstance")
    cluster.annotate("reconcile-at", "deleted").gone()


# ---- modes and plans


@scenario
def test_a_new_cluster_is_planned_shown_and_only_then_made(lab: Lab, namespace: str) -> None:
    spec = {"instances": {"readers": 1}, "parameters": {"work_mem": "8192"}}
    cluster = DeclaredCluster(lab, namespace, spec, annotations={"penstock.dev/mode": "Plan"})
    told = cluster.wait("Synced", "False", reason="Planned")
    assert told["message"] == "6 steps planned and not run: the annotation penstock.dev/mode says Plan."
    name = cluster.own_group
    assert cluster.steps == [
        f"make subnet group {name}",
        f"make cluster parameter group {name}-aurora-postgresql15",
        "set rds.force_ssl = 1, work_mem = 8192 in the parameters of aurora-postgresql15",
        f"make cluster {cluster.cluster} (AuroraPostgreSQL 15.10)",
        f"make instance {cluster.instance(1)} (db.t4g.medium)",
        f"make instance {cluster.instance(2)} (db.t4g.medium)",
    ]
    assert cluster.condition()["status"] == "False"
    assert cluster.writes(only_done=False) == []
    assert cluster.events == []
    cluster.annotate("mode", None).settled()
    assert "plan" not in cluster.status
    # A deletion is only planned too.
    written = cluster.writes(only_done=False)
    cluster.annotate("mode", "Plan").delete()
    cluster.until(lambda: f"delete instance {cluster.instance(1)}" in cluster.steps, "the deletion is planned")
    assert {s["effect"] for s in cluster.plan["steps"]} == {"Destroy"}
    time.sleep(3)
    assert cluster.writes(only_done=False) == written
    cluster.annotate("mode", None).gone()


@scenario
def test_observed_and_paused_clusters_are_let_be(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"tags": {"team": "shop"}, "instances": {"readers": 1}}).settled()
    written = cluster.writes(only_done=False)
    cluster.annotate("mode", "Observe").edit(tags={"team": "till"})
    told = cluster.wait("Synced", "False", reason="Observing")
    assert told["message"] == "Observed only, as the annotation penstock.dev/mode says; nothing is changed."
    assert "plan" not in cluster.status
    # What it sees is told all the same.
    lab.aws.rds_failover(cluster.cluster)
    cluster.until(lambda: cluster.status["writer"] == cluster.instance(2), "the new writer is seen")
    assert cluster.writes(only_done=False) == written
    cluster.annotate("mode", "Paused").wait("Synced", "False", reason="Paused")
    cluster.edit(tags={"team": "bank"})
    told = cluster.wait("Synced", "False", reason="Paused")
    assert told["message"] == "Paused by the annotation penstock.dev/mode; remove it to go on."
    assert cluster.condition()["status"] == "True"
    cluster.annotate("mode", "paused").wait("Stalled", "True", reason="Invalid", words="says 'paused'; write one of")
    assert cluster.writes(only_done=False) == written
    cluster.annotate("mode", None).settled()
    assert cluster.aws_tags["team"] == "bank"


@scenario
def test_the_plan_command_knows_clusters(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"tags": {"team": "shop"}}, apply=False)
    told = plan(lab, cluster.manifest)
    assert told.returncode == 2, told.stdout + told.stderr
    assert f"make cluster {cluster.cluster} (AuroraPostgreSQL 15.10)" in told.stdout
    assert not cluster.exists
    cluster.apply().settled()
    same = plan(lab, cluster.manifest)
    assert (same.returncode, "nothing to do" in same.stdout) == (0, True), same.stdout + same.stderr
    edited = copy.deepcopy(cluster.manifest)
    edited["spec"] |= {"tags": {"team": "till"}, "backup": {"retentionDays": 9}}
    edited["spec"]["instances"] |= {"class": "db.r6g.large", "readers": 1}
    changed = plan(lab, edited, "-o", "json")
    assert changed.returncode == 2
    steps = {s["summary"]: (s["effect"], s["when"]) for s in json.loads(changed.stdout)[0]["plan"]["steps"]}
    change = f"change the class of {cluster.instance(1)} from db.t4g.medium to db.r6g.large"
    assert steps[change][0] == "Restart"
    assert steps["set backup retention 1 → 9"][0] == "Immediate"
    assert any(s.startswith(f"make instance {cluster.instance(2)} (db.r6g.large") for s in steps)
    # The cluster is away: its own mark still tells whose it is.
    assert plan(lab, cluster.manifest, cluster=False).returncode == 0
    other = plan(lab, {**cluster.manifest, "metadata": {"name": "other", "namespace": namespace}})
    assert other.returncode == 1
    assert "belongs to" in other.stdout
    wrong = copy.deepcopy(cluster.manifest)
    wrong["spec"]["instances"]["readers"] = 16
    assert plan(lab, wrong).returncode == 1
    assert cluster.aws["BackupRetentionPeriod"] == 1, "a plan changes nothing"


# ---- power


@scenario
def test_stop_and_start(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"instances": {"readers": 1}}).settled()
    cluster.edit(stopped=True)
    told = cluster.wait("Ready", "False", reason="Stopped")
    assert told["message"] == (
        f"Cluster {cluster.cluster} is stopped, as spec.stopped says; set spec.stopped: false to start it."
    )
    assert (cluster.aws["Status"], cluster.status["state"]) == ("stopped", "stopped")
    assert cluster.condition("Stalled")["status"] == "False"
    assert cluster.status["stoppedAt"]
    assert cluster.told("Stopping")[0] == f"Stopping cluster {cluster.cluster}, as spec.stopped says."
    cluster.edit(stopped=False).settled()
    assert cluster.told("Starting") == [f"Starting cluster {cluster.cluster}."]
    assert "stoppedAt" not in cluster.status
    # Unset is unmanaged: what somebody stops stays so, and the object says what to do.
    cluster.edit(stopped=None).settled()
    cluster.by_hand("stop_db_cluster")
    told = cluster.wait("Ready", "False", reason="Stopped")
    assert "was not stopped by its spec: set spec.stopped: false to have it started" in told["message"]
    cluster.edit(stopped=False).settled()


# What follows changes what all clusters of the lab see, and so comes last and alone.


def test_clusters_that_may_not_be_read_and_a_quota_that_is_reached(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, apply=False)
    with slower(lab, rds_max_clusters=0):
        with fault(lab, kind="deny", service="rds", operation="DescribeDBClusters"):
            cluster.apply().annotate("reconcile-at", "1")
            cluster.wait("Ready", "False", reason="AccessDenied", words="AWS denies rds:DescribeDBClusters: allow it")
        cluster.annotate("reconcile-at", "2")
        told = cluster.wait("Ready", "False", reason="LimitReached")
        assert told["message"].startswith(
            'The account\'s quota "DB clusters" of Amazon RDS in us-east-1 is reached: raise it in Service Quotas, or '
            "delete what nobody needs; it is tried again by itself. (AWS: "
        )
    cluster.annotate("reconcile-at", "3").settled()


@pytest.mark.leaps
def test_a_cluster_that_aws_starts_after_seven_days_is_stopped_again(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"stopped": True})
    cluster.wait("Ready", "False", reason="Stopped")
    before = cluster.status["stoppedAt"]
    assert cluster.writes().count("StopDBCluster") == 1
    time.sleep(1)
    lab.aws.clock(advance=WEEK + 60)
    again = f"Stopping cluster {cluster.cluster} again, as spec.stopped says."
    cluster.until(lambda: again in cluster.told("Stopping"), "it is stopped again")
    cluster.until(lambda: cluster.aws["Status"] == "stopped" and cluster.status["stoppedAt"] > before, "it is stopped")
    cluster.wait("Ready", "False", reason="Stopped")
    assert cluster.writes().count("StopDBCluster") == 2
    assert "StartDBCluster" not in cluster.writes()
