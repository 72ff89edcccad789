"""Edits of a running Aurora cluster: what nobody notices is done at once and in one request, the rest in its time and told before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from declared import unharmed
from declared_cluster import ENGINE, NOW, DeclaredCluster, daily, made_by_hand, weekly
from together import scenario

from penstock_lab.lab import Lab, LabError

pytestmark = pytest.mark.lab

DISTURBING = {"RebootDBInstance", "FailoverDBCluster", "StopDBCluster"}


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def plans(cluster: DeclaredCluster) -> dict[str, tuple[str, str]]:
    """The planned steps: summary to effect and time."""
    return {s["summary"]: (s["effect"], s["when"]) for s in cluster.plan.get("steps", ())}


@scenario
def test_what_nobody_notices_is_done_together_and_at_once(lab: Lab, namespace: str) -> None:
    spec = {"backup": {"retentionDays": 3, "window": daily(6)}, "tags": {"team": "shop", "old": "yes"}}
    cluster = DeclaredCluster(lab, namespace, {**spec, "requireTLS": False, "instances": {"readers": 1}}).settled()
    group = lab.boto("ec2").create_security_group(
        GroupName=namespace,
        Description="Another",
        VpcId=cluster.rds.describe_db_subnet_groups()["DBSubnetGroups"][0]["VpcId"],
    )["GroupId"]
    cluster.rds.add_tags_to_resource(ResourceName=cluster.aws["DBClusterArn"], Tags=[{"Key": "theirs", "Value": "1"}])
    before = len(cluster.writes())
    # First only planned: what each step does to the running database is told.
    cluster.annotate("mode", "Plan")
    cluster.edit(
        backup={"retentionDays": 9, "window": daily(7)},
        maintenance={"window": weekly(40)},
        deletionProtection=True,
        credentials={"iamAuthentication": True},
        network={
            "subnetIds": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["sg-lab", group],
            "publiclyAccessible": True,
        },
        logs=["postgresql"],
        performanceInsights={"enabled": True, "retentionDays": 31},
        tags={"team": "till", "new": "yes"},
    )
    cluster.instances(overrides=[{"ordinal": 2, "promotionTier": 7}])
    cluster.wait("Synced", "False", reason="Planned")
    assert {effect for effect, _ in plans(cluster).values()} == {"Immediate"}
    words = " ".join(plans(cluster))
    for part in (
        "backup retention 3 → 9",
        "IAM authentication off → on",
        "log exports none → postgresql",
        "tier 1 → 7",
    ):
        assert part in words, words
    assert len(cluster.writes()) == before
    cluster.annotate("mode", None).settled()
    done = [w for w in cluster.writes()[before:] if w != "AddTagsToResource"]
    assert done.count("ModifyDBCluster") == 1, done
    assert not DISTURBING & set(done)
    aws, instances = cluster.aws, cluster.aws_instances
    assert (aws["BackupRetentionPeriod"], aws["PreferredBackupWindow"]) == (9, cluster.spec["backup"]["window"])
    assert aws["PreferredMaintenanceWindow"] == cluster.spec["maintenance"]["window"]
    assert aws["DeletionProtection"] is True
    assert aws["IAMDatabaseAuthenticationEnabled"] is True
    assert {g["VpcSecurityGroupId"] for g in aws["VpcSecurityGroups"]} == {"sg-lab", group}
    assert aws["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert {i["PubliclyAccessible"] for i in instances.values()} == {True}
    assert {i["PerformanceInsightsRetentionPeriod"] for i in instances.values()} == {31}
    assert instances[cluster.instance(2)]["PromotionTier"] == 7
    subnets = cluster.rds.describe_db_subnet_groups(DBSubnetGroupName=aws["DBSubnetGroup"])["DBSubnetGroups"][0]
    assert sorted(s["SubnetIdentifier"] for s in subnets["Subnets"]) == ["subnet-a", "subnet-b"]
    tags = {k: v for k, v in cluster.aws_tags.items() if k != "penstock.dev/owner"}
    assert tags == {"team": "till", "new": "yes", "theirs": "1"}, (
        "what stood in the spec goes, what others put there stays"
    )
    assert not cluster.told("DriftCorrected"), "an edit is no drift"
    # Off must be said; what is unset is left as it is.
    cluster.edit(
        logs=[], performanceInsights={"enabled": False}, backup=None, credentials=None, deletionProtection=False
    )
    cluster.settled()
    assert not cluster.aws.get("EnabledCloudwatchLogsExports")
    assert {i["PerformanceInsightsEnabled"] for i in cluster.aws_instances.values()} == {False}
    assert cluster.aws["BackupRetentionPeriod"] == 9
    assert cluster.aws["IAMDatabaseAuthenticationEnabled"] is True
    assert cluster.status["observed"]["backupRetentionDays"] == 9


@scenario
def test_parameters_take_effect_and_static_ones_by_a_reboot_of_its_own(lab: Lab, namespace: str) -> None:
    parameters = {"log_min_duration_statement": "500"}
    cluster = DeclaredCluster(lab, namespace, {"parameters": parameters, **NOW, "network": None}).settled()
    before = len(cluster.written())
    cluster.edit(parameters={"log_min_duration_statement": "250", "work_mem": "8192"}).settled()
    assert cluster.cluster_parameters == {
        "log_min_duration_statement": "250",
        "work_mem": "8192",
        "rds.force_ssl": "1",
    }
    assert not DISTURBING & {w for w, _ in cluster.written()[before:]}, "a dynamic parameter disturbs nobody"
    before = len(cluster.written())
    cluster.edit(parameters={"log_min_duration_statement": "250", "max_connections": "300"})
    cluster.until(lambda: cluster.told("Rebooting"), "a reboot is told")
    cluster.settled()
    done = [(w, whose) for w, whose in cluster.written()[before:] if w in DISTURBING]
    assert done[:2] == [("RebootDBInstance", "2"), ("FailoverDBCluster", "")], "the reader first, which then takes over"
    # The failover restarts the old writer, which may leave nothing to reboot.
    assert done[2:] in ([], [("RebootDBInstance", "1")])
    assert "work_mem" not in cluster.cluster_parameters, "what is taken out goes back to its default"
    assert {m["DBClusterParameterGroupStatus"] for m in cluster.aws["DBClusterMembers"]} == {"in-sync"}
    assert {m["parameterStatus"] for m in cluster.members.values()} == {"in-sync"}
    assert f"Rebooting {cluster.instance(2)}, so that its static parameters take effect." in cluster.told("Rebooting")


@scenario
def test_a_wrong_parameter_is_told_and_keeps_the_rest_from_nothing(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace, NOW).settled()
    cluster.edit(parameters={"log_min_duration_statment": "500", "work_mem": "4096"})
    told = cluster.wait("Synced", "False", reason="Invalid")
    assert told["message"] == (
        "There is no parameter log_min_duration_statment in aurora-postgresql15: take it out of spec.parameters; "
        "did you mean log_min_duration_statement?"
    )
    assert cluster.condition("Stalled")["status"] == "True"
    cluster.wait("Ready", "True")
    cluster.until(lambda: cluster.cluster_parameters.get("work_mem") == "4096", "the right one is set")
    # Refused by its value, which only AWS knows.
    cluster.edit(parameters={"work_mem": "lots"})
    told = cluster.wait("Synced", "False", words="work_mem")
    assert told["message"].startswith(
        "AWS refuses rds:ModifyDBClusterParameterGroup: Invalid parameter value: lots for: work_mem"
    )
    cluster.edit(parameters={"work_mem": "4096"}).settled()


@scenario
def test_what_restarts_waits_for_the_window_and_is_told_meanwhile(lab: Lab, namespace: str) -> None:
    closed, opened = weekly(40), weekly(-1)
    spec = {"maintenance": {"window": closed, "apply": "InWindow"}, "backup": {"window": daily(12)}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    before = cluster.writes()
    cluster.instances(**{"class": "db.r6g.large"})
    told = cluster.wait("Synced", "False", reason="WaitingForWindow")
    name = cluster.instance(1)
    summary = f"change the class of {name} from db.t4g.medium to db.r6g.large"
    assert told["message"].startswith(f"To {summary} waits for the maintenance window {closed}, which opens ")
    assert told["message"].endswith("spec.maintenance.apply: Immediately does it at once.")
    assert plans(cluster) == {summary: ("Restart", "MaintenanceWindow")}
    assert cluster.condition()["status"] == "True"
    assert cluster.condition("Stalled")["status"] == "False"
    # What nobody notices waits for nothing.
    cluster.edit(backup={"retentionDays": 5, "window": cluster.spec["backup"]["window"]})
    cluster.until(lambda: cluster.aws["BackupRetentionPeriod"] == 5, "the retention is changed")
    assert cluster.writes() == [*before, "ModifyDBCluster"]
    # The window opens.
    cluster.edit(maintenance={"window": opened}).settled()
    assert cluster.aws_instances[name]["DBInstanceClass"] == "db.r6g.large"
    assert cluster.status["members"][0]["class"] == "db.r6g.large"


@scenario
def test_port_range_and_storage(lab: Lab, namespace: str) -> None:
    spec = {
        **NOW,
        "engine": {"type": "AuroraPostgreSQL", "version": "16.8"},
        "instances": {"class": "db.serverless", "serverless": {"minCapacity": 0.5, "maxCapacity": 2}},
    }
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    cluster.edit(network={"port": 5499})
    cluster.instances(serverless={"minCapacity": 0, "maxCapacity": 4, "autoPause": "5m"})
    cluster.edit(storage={"type": "IOOptimized"})
    cluster.settled()
    assert cluster.aws["Port"] == cluster.status["endpoint"]["port"] == 5499
    assert cluster.aws["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0.0,
        "MaxCapacity": 4.0,
        "SecondsUntilAutoPause": 300,
    }
    assert cluster.aws["StorageType"] == "aurora-iopt1"
    # Back at any time, but to I/O-optimised again only after 30 days: that is told, and keeps nothing else waiting.
    cluster.edit(storage={"type": "Standard"}).settled()
    cluster.edit(storage={"type": "IOOptimized"}, backup={"retentionDays": 4})
    told = cluster.wait("Synced", "False", words="30 days")
    assert "Storage becomes IOOptimized once every 30 days" in told["message"]
    cluster.until(lambda: cluster.aws["BackupRetentionPeriod"] == 4, "the rest is done")
    assert cluster.condition()["status"] == "True"
    assert cluster.condition("Stalled")["status"] == "False"


@scenario
def test_minors_go_up_and_never_down(lab: Lab, namespace: str) -> None:
    raised = DeclaredCluster.small(lab, namespace, NOW, name="raised")
    asked = DeclaredCluster.small(lab, namespace, {**NOW, "instances": {"readers": 1}}, name="asked")
    older = DeclaredCluster.small(
        lab, namespace, {"engine": {**ENGINE, "version": "14.17"}, "adopt": True}, name="older", apply=False
    )
    made_by_hand(older)
    raised.settled()
    # AWS raises the minor by itself: the status tells it, and nothing is taken back.
    version = lab.aws.rds_upgrade(raised.cluster)
    raised.until(lambda: raised.status["engineVersion"] == version, "the new version is seen")
    raised.settled()
    assert "ModifyDBCluster" not in raised.writes()
    # A lower minor may be written, as a revert does, and nothing is lowered; another major may not.
    raised.edit(engine={**ENGINE, "version": "15.8"}).settled()
    assert f"runs {version}, which is newer than 15.8" in raised.condition("Synced")["message"]
    with pytest.raises(LabError, match="Aurora has no downgrade; restore a snapshot into another AuroraCluster"):
        raised.edit(engine={**ENGINE, "version": "14.15"})
    # What the API server cannot know is refused on the object.
    told = older.apply().wait("Synced", "False", reason="Invalid")
    assert told["message"] == (
        f'Cluster {older.cluster} runs 15.10, and AWS never lowers a version: write spec.engine.version: "15.10", '
        "or restore a snapshot into a new cluster of the older version."
    )
    # What is asked for is done, on the whole cluster.
    asked.settled().edit(engine={**ENGINE, "version": "15.12"})
    asked.until(lambda: asked.told("Upgrading"), "the upgrade is told")
    asked.settled()
    assert asked.aws["EngineVersion"] == asked.status["engineVersion"] == "15.12"
    assert {i["EngineVersion"] for i in asked.aws_instances.values()} == {"15.12"}
    assert asked.told("Upgrading")[0] == f"Upgrading cluster {asked.cluster} from 15.10 to 15.12."
    assert raised.aws["EngineVersion"] == version
    assert older.aws["EngineVersion"] == "15.10"


@scenario
def test_a_major_upgrade_is_planned_where_it_is_allowed_and_done_with_consent(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "network": None, "parameters": {"log_min_duration_statement": "500"}, "instances": {"readers": 0}}
    cluster = DeclaredCluster(lab, namespace, spec).settled()
    refused = lab.kubectl(
        "patch",
        "aurora",
        "ledger",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        '{"spec":{"engine":{"version":"16.8"}}}',
        check=False,
    )
    if refused.returncode == 0:
        told = cluster.wait("Synced", "False", reason="WaitingForConsent")
        assert "set spec.allowMajorUpgrade: true to have it planned" in told["message"]
    else:
        assert "allowMajorUpgrade" in refused.stderr
    cluster.edit(allowMajorUpgrade=True, engine={**ENGINE, "version": "16.8"})
    told = cluster.wait("Synced", "False", reason="WaitingForConsent")
    assert (
        f"kubectl annotate auroracluster {cluster.name} penstock.dev/approve={cluster.plan['hash']}" in told["message"]
    )
    summary = "upgrade the major version from 15.10 to 16.8"
    assert plans(cluster)[summary] == ("Restart", "AfterConsent")
    assert cluster.aws["EngineVersion"] == "15.10"
    cluster.annotate("approve", cluster.plan["hash"]).settled()
    assert cluster.aws["EngineVersion"] == "16.8"
    assert cluster.aws["DBClusterParameterGroup"].endswith("aurora-postgresql16")
    assert cluster.cluster_parameters["log_min_duration_statement"] == "500", "the parameters came along"
    assert cluster.status["engineVersion"] == "16.8"
