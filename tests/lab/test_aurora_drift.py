"""What somebody changes of a cluster in AWS is set back where the spec speaks of it, told, and left where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from declared import unharmed
from declared_cluster import NOW, SUBNETS, DeclaredCluster, daily, weekly
from together import scenario

from penstock_lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def steady(lab: Lab) -> Iterator[None]:
    with unharmed(lab):
        yield


def undone(cluster: DeclaredCluster, words: str, back: Callable[[], bool], *, look: bool = True) -> None:
    """The change that was just made is set back, and told with these words. look: not to wait until it is read anyway."""
    if look:
        cluster.look()
    cluster.until(
        lambda: back() and any(words in note for note in cluster.told("DriftCorrected")), f"set back: {words}"
    )
    cluster.settled()


def meddled(cluster: DeclaredCluster, **changes: Any) -> None:
    """Somebody changes the cluster, and AWS takes it."""
    cluster.until(lambda: cluster.aws["Status"] == "available", "AWS takes a change")
    cluster.by_hand(**changes, ApplyImmediately=True)


@scenario
def test_backups_windows_and_protection(lab: Lab, namespace: str) -> None:
    backup, maintenance, other = daily(6), weekly(40), daily(9)
    spec = {
        "backup": {"retentionDays": 7, "window": backup},
        "maintenance": {"window": maintenance},
        "deletionProtection": False,
    }
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    meddled(
        cluster,
        BackupRetentionPeriod=3,
        PreferredBackupWindow=other,
        PreferredMaintenanceWindow=weekly(70),
        DeletionProtection=True,
        CopyTagsToSnapshot=False,
    )

    def back() -> bool:
        aws = cluster.aws
        windows = (aws["PreferredBackupWindow"], aws["PreferredMaintenanceWindow"])
        return (aws["BackupRetentionPeriod"], windows, aws["DeletionProtection"]) == (7, (backup, maintenance), False)

    undone(
        cluster,
        f"backup retention 3 → 7; backup window {other} → {backup}; maintenance window",
        back,
        look=False,
    )
    assert "deletion protection on → off" in cluster.told("DriftCorrected")[0]
    assert cluster.aws["CopyTagsToSnapshot"] is False, "the spec does not speak of it"
    assert cluster.writes()[-2:] == ["ModifyDBCluster"] * 2, "theirs, and one for all of it"


@scenario
def test_access_and_logs(lab: Lab, namespace: str) -> None:
    spec = {
        "credentials": {"iamAuthentication": True},
        "network": {"securityGroupIds": ["sg-lab"]},
        "logs": ["postgresql"],
    }
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    vpc = lab.boto("ec2").describe_security_groups(GroupIds=["sg-lab"])["SecurityGroups"][0]["VpcId"]
    group = lab.boto("ec2").create_security_group(GroupName=namespace, Description="Another", VpcId=vpc)["GroupId"]
    # One by one: what is changed while it is set back is set back later.
    meddled(cluster, EnableIAMDatabaseAuthentication=False)
    undone(cluster, "IAM authentication off → on", lambda: cluster.aws["IAMDatabaseAuthenticationEnabled"] is True)
    meddled(
        cluster,
        VpcSecurityGroupIds=[group],
        CloudwatchLogsExportConfiguration={"DisableLogTypes": ["postgresql"]},
    )
    undone(
        cluster,
        f"security groups {group} → sg-lab; log exports none → postgresql",
        lambda: cluster.aws.get("EnabledCloudwatchLogsExports") == ["postgresql"],
    )
    assert [g["VpcSecurityGroupId"] for g in cluster.aws["VpcSecurityGroups"]] == ["sg-lab"]


@scenario
def test_port_and_storage(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "network": {"port": 5433}, "storage": {"type": "Standard"}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    meddled(cluster, Port=5466)
    undone(cluster, "port 5466 → 5433", lambda: cluster.aws["Port"] == 5433)
    meddled(cluster, StorageType="aurora-iopt1")
    undone(cluster, "storage IOOptimized → Standard", lambda: cluster.aws.get("StorageType") != "aurora-iopt1")


@scenario
def test_instances(lab: Lab, namespace: str) -> None:
    spec = {
        **NOW,
        "instances": {
            "readers": 1,
            "overrides": [{"ordinal": 2, "promotionTier": 3}],
            "readerAutoscaling": {"max": 4, "targetCPU": 60},
        },
        "network": {"publiclyAccessible": False},
        "performanceInsights": {"enabled": True, "retentionDays": 31},
        "tags": {"team": "shop"},
    }
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    name = cluster.instance(2)

    def second() -> dict[str, Any]:
        return cluster.aws_instances[name]

    def by_hand(**parameters: Any) -> None:
        cluster.rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **parameters)

    by_hand(PromotionTier=9, PubliclyAccessible=True, EnablePerformanceInsights=False)
    undone(
        cluster,
        f"Drift corrected on instance {name}: promotion tier 9 → 3; public address off; "
        "Performance Insights on, 31 days.",
        lambda: second()["PromotionTier"] == 3 and second()["PerformanceInsightsEnabled"],
    )
    assert second()["PubliclyAccessible"] is False
    by_hand(DBInstanceClass="db.r6g.large")
    undone(
        cluster,
        f"Instance {name} had become db.r6g.large; set back to db.t4g.medium.",
        lambda: second()["DBInstanceClass"] == "db.t4g.medium",
    )
    cluster.rds.remove_tags_from_resource(ResourceName=second()["DBInstanceArn"], TagKeys=["team"])
    undone(
        cluster,
        f"Tags of instance {name} were changed; set back team=shop.",
        lambda: any(t["Key"] == "team" for t in second()["TagList"]),
    )
    scaling = lab.boto("application-autoscaling")
    where = {"ServiceNamespace": "rds", "ResourceId": f"cluster:{cluster.cluster}"}
    dimension = {"ScalableDimension": "rds:cluster:ReadReplicaCount"}
    scaling.register_scalable_target(**where, **dimension, MinCapacity=1, MaxCapacity=12)

    def most() -> int:
        found = scaling.describe_scalable_targets(ServiceNamespace="rds", ResourceIds=[where["ResourceId"]])
        return int(found["ScalableTargets"][0]["MaxCapacity"])

    undone(cluster, "Reader autoscaling was changed; set back to 1–4 readers.", lambda: most() == 4)


@scenario
def test_groups_and_parameters(lab: Lab, namespace: str) -> None:
    spec = {**NOW, "parameters": {"work_mem": "8192"}, "instances": {"readers": 0}}
    cluster = DeclaredCluster(lab, namespace, spec).settled()
    group, subnets = cluster.aws["DBClusterParameterGroup"], cluster.aws["DBSubnetGroup"]

    def by_hand(name: str, value: str) -> None:
        parameter = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
        cluster.rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[parameter])

    by_hand("work_mem", "65536")
    undone(
        cluster,
        f"Parameters of {group} were changed: work_mem 65536 → 8192.",
        lambda: cluster.cluster_parameters["work_mem"] == "8192",
    )
    by_hand("rds.force_ssl", "0")
    undone(cluster, "rds.force_ssl 0 → 1", lambda: cluster.cluster_parameters["rds.force_ssl"] == "1")
    by_hand("log_statement", "ddl")
    cluster.look().settled()
    assert cluster.cluster_parameters["log_statement"] == "ddl", "what never stood in the spec is left"
    cluster.by_hand(DBClusterParameterGroupName="default.aurora-postgresql15", ApplyImmediately=True)
    undone(
        cluster,
        f"cluster parameter group default.aurora-postgresql15 → {group}",
        lambda: cluster.aws["DBClusterParameterGroup"] == group,
    )
    assert {m["DBClusterParameterGroupStatus"] for m in cluster.aws["DBClusterMembers"]} == {"in-sync"}
    cluster.rds.modify_db_subnet_group(DBSubnetGroupName=subnets, SubnetIds=SUBNETS[:2])

    def has() -> list[str]:
        found = cluster.rds.describe_db_subnet_groups(DBSubnetGroupName=subnets)["DBSubnetGroups"][0]["Subnets"]
        return sorted(s["SubnetIdentifier"] for s in found)

    undone(
        cluster,
        f"Subnet group {subnets} had subnet-a, subnet-b; set back to subnet-a, subnet-b, subnet-c.",
        lambda: has() == SUBNETS,
    )


@scenario
def test_capacity_and_tags(lab: Lab, namespace: str) -> None:
    instances = {"class": "db.serverless", "serverless": {"minCapacity": 0.5, "maxCapacity": 2}}
    cluster = DeclaredCluster.small(lab, namespace, {"instances": instances, "tags": {"team": "shop"}}).settled()
    cluster.by_hand(ServerlessV2ScalingConfiguration={"MinCapacity": 8, "MaxCapacity": 64}, ApplyImmediately=True)
    undone(
        cluster,
        "capacity 8–64 ACU → 0.5–2 ACU",
        lambda: cluster.aws["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 2.0,
        look=False,
    )
    arn = cluster.aws["DBClusterArn"]
    tags = [{"Key": "team", "Value": "x"}, {"Key": "theirs", "Value": "1"}]
    cluster.rds.add_tags_to_resource(ResourceName=arn, Tags=tags)
    undone(cluster, "set back team=shop", lambda: cluster.aws_tags["team"] == "shop")
    assert cluster.aws_tags["theirs"] == "1", "a tag of somebody else stays"
    cluster.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["penstock.dev/owner"])
    undone(cluster, "the mark that it is ours", lambda: cluster.aws_tags["penstock.dev/owner"].endswith(cluster.uid))


@scenario
def test_what_would_disturb_waits_for_the_window(lab: Lab, namespace: str) -> None:
    spec = {"backup": {"window": daily(12)}, "maintenance": {"window": weekly(40)}}
    cluster = DeclaredCluster.small(lab, namespace, spec).settled()
    name = cluster.instance(1)
    cluster.rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.r6g.large", ApplyImmediately=True)
    told = cluster.wait("Synced", "False", reason="WaitingForWindow")
    assert f"change the class of {name} from db.r6g.large to db.t4g.medium" in told["message"]
    assert cluster.condition()["status"] == "True"
    cluster.edit(maintenance={"window": weekly(40), "apply": "Immediately"}).settled()
    assert cluster.aws_instances[name]["DBInstanceClass"] == "db.t4g.medium"


@scenario
def test_a_cluster_that_somebody_deleted_is_made_again(lab: Lab, namespace: str) -> None:
    cluster = DeclaredCluster.small(lab, namespace).settled()
    before = cluster.status["resourceId"]
    cluster.annotate("mode", "Paused").wait("Synced", "False", reason="Paused")
    cluster.rds.delete_db_instance(DBInstanceIdentifier=cluster.instance(1))
    cluster.until(lambda: not cluster.aws["DBClusterMembers"], "the instance is gone")
    cluster.by_hand("delete_db_cluster", SkipFinalSnapshot=True)
    cluster.until(lambda: not cluster.exists, "the cluster is gone")
    cluster.annotate("mode", None)
    cluster.until(lambda: cluster.told("Recreating"), "it is told")
    assert cluster.told("Recreating") == [f"Cluster {cluster.cluster} was gone; making it again, empty."]
    cluster.settled()
    assert cluster.status["resourceId"] != before
