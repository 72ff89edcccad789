"""An unextended moto server, which forgets half of what it is told about RDS: clusters become Ready, are taken over and go, and nothing runs hot."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from declared import adoptable_by, client
from declared_cluster import DeclaredCluster
from test_dynamo_moto import calls, moto, operator  # noqa: F401 - fixtures

from penstock_lab.deployment import OperatorProcess
from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


def cluster_at(url: str, identifier: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client(url, "rds").describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "DBClusterNotFoundFault":
            raise
        return None
    return found


def instances_at(url: str, identifier: str) -> list[str]:
    found = client(url, "rds").describe_db_instances()["DBInstances"]
    return sorted(i["DBInstanceIdentifier"] for i in found if i.get("DBClusterIdentifier") == identifier)


def network(url: str) -> dict[str, Any]:
    """The subnets of moto's default network."""
    ec2 = client(url, "ec2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    return {"subnetIds": [s["SubnetId"] for s in subnets]}


SPECS: dict[str, dict[str, Any]] = {
    "smallest": {"instances": {"readers": 0}},
    "fuller": {
        "parameters": {"log_min_duration_statement": "500"},
        "backup": {"retentionDays": 9, "window": "03:00-04:00"},
        "maintenance": {"window": "sun:05:00-sun:06:00", "apply": "Immediately"},
        "logs": ["postgresql"],
        "performanceInsights": {"enabled": True},
        "tags": {"team": "till"},
    },
    "mysql": {"engine": {"type": "AuroraMySQL"}, "instances": {"readers": 2, "class": "db.r6g.large"}},
    "serverless": {
        "instances": {"class": "db.serverless", "serverless": {"minCapacity": 0.5, "maxCapacity": 4}, "readers": 0},
        "deletionPolicy": "Snapshot",
    },
}


def test_clusters_become_ready_and_are_deleted(
    lab: Lab,
    namespace: str,
    moto: str,  # noqa: F811
    operator: OperatorProcess,  # noqa: F811
) -> None:
    clusters = {
        name: DeclaredCluster(lab, namespace, {"network": network(moto), **spec}, name=name)
        for name, spec in SPECS.items()
    }
    for name, cluster in clusters.items():
        cluster.wait("Ready", timeout=60)
        assert cluster_at(moto, cluster.cluster) is not None
        wanted = [cluster.instance(n + 1) for n in range(1 + SPECS[name].get("instances", {}).get("readers", 1))]
        cluster.until(lambda c=cluster, w=wanted: instances_at(moto, c.cluster) == w, "all instances")
    taken = clusters["taken"] = DeclaredCluster(
        lab, namespace, {"network": network(moto), "instances": {"readers": 0}}, name="taken", apply=False
    )
    client(moto, "rds").create_db_cluster(
        DBClusterIdentifier=taken.cluster,
        Engine="aurora-postgresql",
        EngineVersion="15.10",
        MasterUsername="app",
        MasterUserPassword="password-of-app",
        Tags=adoptable_by(namespace),
    )
    taken.apply().wait("Ready", "False", reason="AlreadyExists")
    # It is in the default subnet group, which cannot be changed.
    taken.edit(adopt=True, network=None).wait("Ready")
    before = calls(operator)
    time.sleep(8)
    assert calls(operator) - before <= 40, "no more than a few calls a second for what moto does not show"
    for cluster in clusters.values():
        cluster.edit(tags={"team": "shop"})
    for cluster in clusters.values():
        cluster.until(lambda c=cluster: c.object["metadata"]["generation"] == c.status.get("observedGeneration"))
    for cluster in clusters.values():
        cluster.delete()
    rds = client(moto, "rds")
    for cluster in clusters.values():
        cluster.gone(90)
        assert cluster_at(moto, cluster.cluster) is None
        assert instances_at(moto, cluster.cluster) == []
    groups = [g["DBSubnetGroupName"] for g in rds.describe_db_subnet_groups()["DBSubnetGroups"]]
    parameters = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    groups += [g["DBClusterParameterGroupName"] for g in parameters]
    assert [g for g in groups if any(c.cluster in g for c in clusters.values())] == []
    kept = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    assert [s["DBClusterIdentifier"] for s in kept] == [clusters["serverless"].cluster]
