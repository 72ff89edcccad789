"""What the neighbour or AWS has counts where the spec says nothing; edits that change nothing pass; names at AWS's limits (F9 to F16)."""

from __future__ import annotations

import pytest
from declared_cluster import ENGINE, NOW, SUBNETS, DeclaredCluster, made_by_hand
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@scenario
def test_a_reader_of_an_adopted_cluster_is_like_its_writer(lab: Lab, namespace: str) -> None:
    spec = {"adopt": True, "instances": {"class": None, "readers": 1}}
    cluster = DeclaredCluster.small(lab, namespace, spec, apply=False)
    made_by_hand(cluster)
    cluster.rds.modify_db_instance(
        DBInstanceIdentifier=cluster.instance(1),
        DBInstanceClass="db.r6g.4xlarge",
        EnablePerformanceInsights=True,
        ApplyImmediately=True,
    )
    first = cluster.instance(1)
    cluster.until(lambda: cluster.aws_instances[first]["DBInstanceClass"] == "db.r6g.4xlarge")
    cluster.apply().settled()
    assert {i["DBInstanceClass"] for i in cluster.aws_instances.values()} == {"db.r6g.4xlarge"}
    assert cluster.aws_instances[cluster.instance(2)]["PerformanceInsightsEnabled"] is True
    assert "2 × db.r6g.4xlarge" in str(cluster.status["cost"])


@scenario
def test_a_version_below_what_runs_can_be_reverted_to(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, {"engine": {**ENGINE, "version": "15.4"}}).settled()
    cluster.by_hand(EngineVersion="15.10", ApplyImmediately=True)
    cluster.until(lambda: cluster.status["engineVersion"] == "15.10", "AWS went on by itself")
    cluster.edit(engine={**ENGINE, "version": "15.8"}).edit(engine={**ENGINE, "version": "15.4"}).settled()
    assert "runs 15.10, which is newer than 15.4" in cluster.condition("Synced")["message"]
    with pytest.raises(Exception, match="must not be lower than what runs"):
        cluster.edit(engine={**ENGINE, "version": "14.15"})


@scenario
def test_a_writer_is_rebooted_behind_a_failover(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "instances": {"readers": 1}, "parameters": {"rds.logical_replication": "0"}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    before = cluster.writer
    cluster.edit(parameters={"rds.logical_replication": "1"}).settled()
    cluster.until(lambda: {m["DBClusterParameterGroupStatus"] for m in cluster.aws["DBClusterMembers"]} == {"in-sync"})
    assert cluster.writer != before
    done = [w for w in cluster.written() if w[0] in ("RebootDBInstance", "FailoverDBCluster")]
    # The failover restarts the old writer, after which it may have the new value already.
    assert done[:2] == [("RebootDBInstance", "2"), ("FailoverDBCluster", "")]
    assert done[2:] in ([], [("RebootDBInstance", "1")])


@scenario
def test_a_cluster_with_an_identifier_of_63_characters_is_adopted(lab: Lab, namespace: str) -> None:
    identifier = (f"c{namespace}-" + "x" * 63)[:63]
    cluster = DeclaredCluster.small(lab, namespace, {"adopt": True}, cluster=identifier, apply=False)
    made_by_hand(cluster, ["by-hand-" + namespace])
    cluster.spec["instances"]["readers"] = 1
    cluster.apply().settled()
    assert len(cluster.aws_instances) == 2
    assert all(len(name) <= 63 for name in cluster.aws_instances)


@scenario
def test_performance_insights_and_a_zone_are_told_as_what_they_are(lab: Lab, namespace: str) -> None:
    network = {"subnetIds": SUBNETS[:2], "securityGroupIds": ["sg-lab"]}
    override = {"ordinal": 2, "zone": "us-east-1d"}
    spec = {"network": network, "instances": {"readers": 1, "overrides": [override]}}
    zoned = DeclaredCluster.small(lab, namespace, spec, name="zoned")
    engine = {"type": "AuroraMySQL", "version": "8.0"}
    watched = {"network": network, "engine": engine, "performanceInsights": {"enabled": True}}
    insights = DeclaredCluster.small(lab, namespace, watched, name="insights")
    told = zoned.wait("Synced", "False", reason="Invalid", words="zone")["message"]
    assert told.startswith(
        "The zone us-east-1d of ordinal 2 in spec.instances.overrides is not one of the cluster's zones"
    )
    told = insights.wait("Ready", "False", reason="Invalid", words="Performance Insights")["message"]
    assert told.startswith("AWS refuses Performance Insights with class db.t4g.medium of aurora-mysql")
