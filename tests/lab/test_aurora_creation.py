"""Aurora clusters as the API's example declares them: made, ready, told on the object, and then left in peace."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from declared import unharmed
from declared_cluster import SUBNETS, DeclaredCluster
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab

EXAMPLE: dict[str, Any] = {
    "region": "us-east-1",
    "adopt": False,
    "deletionPolicy": "Snapshot",
    "deletionProtection": True,
    "engine": {"type": "AuroraPostgreSQL", "version": "15.10"},
    "allowMajorUpgrade": False,
    "instances": {
        "class": "db.r6g.large",
        "readers": 2,
        "readerAutoscaling": {"max": 5, "targetCPU": 60},
        "overrides": [{"ordinal": 2, "class": "db.r6g.xlarge", "promotionTier": 15, "zone": "us-east-1c"}],
    },
    "network": {
        "subnetIds": ["subnet-c", "subnet-a", "subnet-b"],
        "securityGroupIds": ["sg-lab"],
        "port": 5433,
        "publiclyAccessible": False,
    },
    "credentials": {"masterUsername": "owner", "managed": True, "iamAuthentication": True},
    "encryption": {"kmsKey": "alias/lab"},
    "requireTLS": True,
    "storage": {"type": "IOOptimized"},
    "backup": {"retentionDays": 7, "window": "03:00-04:00"},
    "maintenance": {"window": "Sun:05:00-Sun:06:00", "apply": "InWindow"},
    "parameters": {"log_min_duration_statement": "500", "shared_preload_libraries": "pg_stat_statements,pg_cron"},
    "logs": ["postgresql"],
    "performanceInsights": {"enabled": True, "retentionDays": 31},
    "databaseName": "ledger",
    "tags": {"team": "shop"},
    "probe": {"enabled": True, "interval": "1s"},
    "objectives": {"availability": "99.99", "failover": "60s", "recoveryPoint": "5m"},
    "cost": {"monthlyBudget": "800"},
}


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


@scenario
def test_every_declared_field_is_in_aws_and_what_aws_chose_is_in_the_status(lab: Lab, namespace: str) -> None:
    ledger = DeclaredCluster(lab, namespace, EXAMPLE)
    lab.kubectl("wait", "-n", namespace, "--for=condition=Ready", "aurora/ledger", "--timeout=90s")
    ledger.settled()
    # No database stands behind this one.
    ledger.wait("Bound", reason="NotProven")
    _holds_what_was_declared(ledger)
    _tells_what_aws_chose(ledger)
    _is_told_as_kstatus_asks(ledger)
    _is_left_in_peace(ledger)
    ledger.edit(deletionProtection=False, deletionPolicy="Delete").settled()


def _holds_what_was_declared(ledger: DeclaredCluster) -> None:
    aws, instances = ledger.aws, ledger.aws_instances
    key = ledger.lab.boto("kms").describe_key(KeyId="alias/lab")["KeyMetadata"]["Arn"]
    assert (aws["Engine"], aws["EngineVersion"], aws["Port"]) == ("aurora-postgresql", "15.10", 5433)
    assert (aws["DatabaseName"], aws["MasterUsername"]) == ("ledger", "owner")
    assert (aws["StorageEncrypted"], aws["KmsKeyId"], aws["StorageType"]) == (True, key, "aurora-iopt1")
    assert (aws["BackupRetentionPeriod"], aws["PreferredBackupWindow"]) == (7, "03:00-04:00")
    assert aws["PreferredMaintenanceWindow"] == "sun:05:00-sun:06:00"
    assert aws["DeletionProtection"] is True
    assert aws["IAMDatabaseAuthenticationEnabled"] is True
    assert aws["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert [g["VpcSecurityGroupId"] for g in aws["VpcSecurityGroups"]] == ["sg-lab"]
    assert aws["MasterUserSecret"]["SecretStatus"] == "active"
    assert aws["CopyTagsToSnapshot"] is True
    group = ledger.rds.describe_db_subnet_groups(DBSubnetGroupName=aws["DBSubnetGroup"])["DBSubnetGroups"][0]
    assert sorted(s["SubnetIdentifier"] for s in group["Subnets"]) == SUBNETS
    assert ledger.cluster_parameters == {
        "log_min_duration_statement": "500",
        "shared_preload_libraries": "pg_stat_statements,pg_cron",
        "rds.force_ssl": "1",
    }
    assert sorted(instances) == [ledger.instance(n) for n in (1, 2, 3)]
    classes = {name: i["DBInstanceClass"] for name, i in instances.items()}
    assert list(classes.values()) == ["db.r6g.large", "db.r6g.xlarge", "db.r6g.large"]
    assert instances[ledger.instance(2)]["AvailabilityZone"] == "us-east-1c"
    assert instances[ledger.instance(2)]["PromotionTier"] == 15
    assert len({i["AvailabilityZone"] for i in instances.values()}) == 3, "the zones of the subnets are all used"
    for instance in instances.values():
        assert (instance["PubliclyAccessible"], instance["PerformanceInsightsEnabled"]) == (False, True)
        assert instance["PerformanceInsightsRetentionPeriod"] == 31
        assert {t["Key"] for t in instance["TagList"]} == {"team", "penstock.dev/owner"}
    scaling = ledger.lab.boto("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="rds", ResourceIds=[f"cluster:{ledger.cluster}"])
    assert [(t["MinCapacity"], t["MaxCapacity"]) for t in targets["ScalableTargets"]] == [(2, 5)]
    owner = ledger.aws_tags["penstock.dev/owner"]
    assert re.fullmatch(rf"[0-9a-f-]{{36}}/{ledger.namespace}/AuroraCluster/ledger/{ledger.uid}", owner)
    assert ledger.aws_tags["team"] == "shop"


def _tells_what_aws_chose(ledger: DeclaredCluster) -> None:
    aws, status = ledger.aws, ledger.status
    assert status["observedGeneration"] == ledger.object["metadata"]["generation"]
    assert (status["clusterArn"], status["resourceId"]) == (aws["DBClusterArn"], aws["DbClusterResourceId"])
    assert (status["clusterIdentifier"], status["region"], status["state"]) == (
        ledger.cluster,
        "us-east-1",
        "available",
    )
    assert status["engineVersion"] == "15.10"
    assert status["endpoint"] == {"host": aws["Endpoint"], "port": 5433}
    assert status["readerEndpoint"] == {"host": aws["ReaderEndpoint"], "port": 5433}
    assert status["writer"] == ledger.writer == ledger.instance(1)
    assert status["readersReady"] == "2/2"
    members = status["members"]
    assert [m["name"] for m in members] == [ledger.instance(n) for n in (1, 2, 3)]
    assert [m["role"] for m in members] == ["Writer", "Reader", "Reader"]
    assert {m["state"] for m in members} == {"available"}
    second = ledger.members[ledger.instance(2)]
    assert (second["class"], second["zone"], second["promotionTier"]) == ("db.r6g.xlarge", "us-east-1c", 15)
    assert (second["ordinal"], second["parameterStatus"]) == (2, "in-sync")
    assert datetime.fromisoformat(status["restorable"]["earliest"])
    assert datetime.fromisoformat(status["restorable"]["latest"])
    assert status["credentials"]["secretArn"] == aws["MasterUserSecret"]["SecretArn"]
    assert status["credentials"]["masterUsername"] == "owner"
    assert status["observed"]["kmsKeyArn"] == aws["KmsKeyId"]
    assert status["parameterGroups"]["cluster"] == aws["DBClusterParameterGroup"]
    assert status["subnetGroup"] == aws["DBSubnetGroup"]
    managed = status["managed"]
    assert (managed["tags"], managed["logs"], managed["readerAutoscaling"]) == (["team"], ["postgresql"], True)
    assert managed["instances"] == sorted(ledger.aws_instances)
    assert not {"plan", "pending", "transition"} & status.keys()


def _is_told_as_kstatus_asks(ledger: DeclaredCluster) -> None:
    found = {c["type"]: c for c in ledger.status["conditions"]}
    # What the probe finds has tests of its own.
    told = {k: (c["status"], c["reason"]) for k, c in found.items() if k != "ObjectivesMet"}
    assert told == {
        "Ready": ("True", "Available"),
        "Synced": ("True", "InSync"),
        "Reconciling": ("False", "NotProgressing"),
        "Stalled": ("False", "NotStalled"),
        "Recoverable": ("True", "RestorePointFresh"),
        "Bound": ("True", "NotProven"),
        # It costs more than its own budget.
        "WithinBudget": ("False", "OverBudget"),
    }
    for condition in found.values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", condition["lastTransitionTime"])
        assert condition["message"].endswith("."), "a sentence"
    assert found["Ready"]["message"] == f"Cluster {ledger.cluster} serves; its writer is {ledger.instance(1)}."
    header, row = ledger.lab.kubectl("get", "aurora", "-n", ledger.namespace).stdout.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "WRITER", "READERS", "LAG", "CLASS", "COST/MO", "AGE"]
    assert row.split()[:5] == ["ledger", "True", "Available", ledger.instance(1), "2/2"]
    assert "db.r6g.large" in row
    wide = ledger.lab.kubectl("get", "penstock", "-n", ledger.namespace, "-o", "wide").stdout
    assert all(word in wide for word in ("AuroraPostgreSQL", "15.10", "available", "serves; its writer is"))
    told = " ".join(ledger.lab.kubectl("describe", "aurora", "ledger", "-n", ledger.namespace).stdout.split())
    assert f"Making cluster {ledger.cluster} (AuroraPostgreSQL 15.10)." in told
    assert ledger.object["metadata"]["finalizers"] == ["penstock.dev/finalizer"]


def _is_left_in_peace(ledger: DeclaredCluster) -> None:
    # What nobody can reach is told once, a few seconds after the first try.
    ledger.until(lambda: ledger.status.get("probe", {}).get("state") == "Failing", "the probe's word")
    ledger.wait("ObjectivesMet", "Unknown", reason="ProbeFailing")
    written = ledger.writes(only_done=False)
    assert sorted(written) == sorted(
        [
            "CreateDBSubnetGroup",
            "CreateDBClusterParameterGroup",
            "ModifyDBClusterParameterGroup",
            "CreateDBCluster",
            *["CreateDBInstance"] * 3,
            "RegisterScalableTarget",
            "PutScalingPolicy",
        ]
    ), "each once, and nothing to correct"
    before, told = ledger.object, ledger.events
    # Longer than until its metrics are first asked for, a minute after the object came: that there are none yet stands in its status already.
    time.sleep(75)
    after = ledger.object
    assert after.get("status") == before.get("status"), "what is written is seen first"
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    ledger.apply().look()
    assert ledger.writes(only_done=False) == written
    assert ledger.events == told


@scenario
def test_mysql_without_a_reader(lab: Lab, namespace: str) -> None:
    spec = {
        "engine": {"type": "AuroraMySQL", "version": "8.0"},
        "instances": {"class": "db.t4g.medium", "readers": 0},
        "logs": ["audit", "error", "slowquery"],
        "parameters": {"slow_query_log": "1", "max_connections": "200"},
    }
    cluster = DeclaredCluster(lab, namespace, spec).settled()
    aws = cluster.aws
    assert (aws["Engine"], aws["MasterUsername"], aws["Port"]) == ("aurora-mysql", "admin", 3306)
    assert aws["EngineVersion"].startswith("8.0.mysql_aurora.3.")
    assert aws["EnabledCloudwatchLogsExports"] == ["audit", "error", "slowquery"]
    assert cluster.cluster_parameters == {
        "slow_query_log": "1",
        "max_connections": "200",
        "require_secure_transport": "ON",
    }
    assert list(cluster.aws_instances) == [cluster.instance(1)]
    assert cluster.status["readersReady"] == "0/0"
    assert cluster.status["engineVersion"] == aws["EngineVersion"]


@scenario
def test_serverless_of_both_engines(lab: Lab, namespace: str) -> None:
    pausing = DeclaredCluster.small(
        lab,
        namespace,
        {
            "engine": {"type": "AuroraPostgreSQL", "version": "16"},
            "instances": {
                "class": "db.serverless",
                "serverless": {"minCapacity": 0, "maxCapacity": 4, "autoPause": "10m"},
            },
        },
        name="pausing",
    )
    mixed = DeclaredCluster.small(
        lab,
        namespace,
        {
            "engine": {"type": "AuroraMySQL"},
            "instances": {
                "class": "db.serverless",
                "readers": 1,
                "serverless": {"minCapacity": 0.5, "maxCapacity": 8.5},
                "overrides": [{"ordinal": 2, "class": "db.r6g.large"}],
            },
        },
        name="mixed",
    )
    pausing.settled()
    assert pausing.aws["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0.0,
        "MaxCapacity": 4.0,
        "SecondsUntilAutoPause": 600,
    }
    assert pausing.aws["EngineVersion"].startswith("16.")
    mixed.settled()
    scaling = mixed.aws["ServerlessV2ScalingConfiguration"]
    assert (scaling["MinCapacity"], scaling["MaxCapacity"]) == (0.5, 8.5)
    classes = [i["DBInstanceClass"] for _, i in sorted(mixed.aws_instances.items())]
    assert classes == ["db.serverless", "db.r6g.large"]


@scenario
def test_three_readers_spread_over_the_zones_and_told_as_they_come(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster(lab, namespace, {"requireTLS": False, "instances": {"readers": 3}})
    cluster.until(lambda: cluster.condition().get("reason") == "Creating", "Creating is told")
    creating = cluster.wait("Ready", "False", reason="Creating")
    assert creating["message"].endswith(".")
    assert cluster.condition("Reconciling")["status"] == "True"
    assert cluster.condition("Stalled")["status"] == "False"
    cluster.until(lambda: cluster.status["transition"]["state"] == "creating", "the transition is told")
    assert cluster.status["transition"]["usual"] == "15m"
    assert datetime.fromisoformat(cluster.status["transition"]["since"])
    cluster.settled()
    zones = [i["AvailabilityZone"] for i in cluster.aws_instances.values()]
    assert sorted(zones.count(z) for z in {*zones}) == [1, 1, 2]
    assert len({*zones}) == 3
    assert cluster.status["readersReady"] == "3/3"
    assert [m["role"] for m in cluster.status["members"]] == ["Writer", "Reader", "Reader", "Reader"]


@scenario
def test_the_smallest_cluster_is_named_after_its_object(lab: Lab, namespace: str) -> None:
    manifest = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "AuroraCluster",
        "metadata": {"name": "small", "namespace": namespace},
        "spec": {
            "deletionPolicy": "Delete",
            "engine": {"type": "AuroraPostgreSQL"},
            "instances": {"class": "db.t4g.medium"},
        },
    }
    lab.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    small = DeclaredCluster(lab, namespace, name="small", cluster=f"{namespace}-small", apply=False).settled()
    assert small.aws["StorageEncrypted"] is True
    assert small.aws["DBSubnetGroup"] == "default"
    assert small.aws["MasterUserSecret"]["SecretArn"] == small.status["credentials"]["secretArn"]
    assert list(small.aws_instances) == [f"{namespace}-small-1"]
    assert "rds.force_ssl" in small.cluster_parameters or small.aws["EngineVersion"] >= "17"
    chosen = small.status["observed"]
    assert {
        "backupRetentionDays",
        "backupWindow",
        "maintenanceWindow",
        "securityGroupIds",
        "storageType",
    } <= chosen.keys()
