"""What RDS refuses, with its code and in its words. Each test names where they come from.

"API reference" is the RDS API reference, "Aurora guide" the Amazon Aurora user guide; a number after a repository is an
issue or pull request there that quotes AWS's answer. "By analogy" stands where no report quotes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import aurora, member
from .test_rds_clusters import instance, shown

READERS = "rds:cluster:ReadReplicaCount"
MYSQL = {
    "Engine": "aurora-mysql",
    "EngineVersion": "8.0.mysql_aurora.3.08.2",
    "MasterUsername": "admin",
    "VpcSecurityGroupIds": ["sg-lab"],
}


@pytest.fixture
def group(cluster: Any) -> str:
    """The subnet group that ``aurora`` names."""
    cluster(instances=0)
    return "lab-net"


@pytest.fixture
def mysql(rds: Any, lab: Any, cluster: Any, group: str) -> Callable[..., str]:
    """Creates an available cluster of Aurora MySQL; its writer is of ``db_class``."""

    def create(name: str, db_class: str | None = None, **extra: Any) -> str:
        rds.create_db_cluster(**aurora(name, **MYSQL, **extra))
        cluster.made.append(name)
        if db_class:
            rds.create_db_instance(**member(name, 1, Engine="aurora-mysql", DBInstanceClass=db_class))
        lab.clock(advance=35)
        return name

    return create


def many(count: int) -> list[dict[str, str]]:
    one = {"ParameterName": "log_min_duration_statement", "ParameterValue": "1", "ApplyMethod": "immediate"}
    return [one] * count


# ---- Application Auto Scaling


def policy(name: str, metric: str, **more: Any) -> dict[str, Any]:
    tracking = {"TargetValue": 60.0, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}} | more
    return {"PolicyName": name, "PolicyType": "TargetTrackingScaling"} | {
        "TargetTrackingScalingPolicyConfiguration": tracking
    }


def test_one_metric_has_one_policy(client, cluster, refused):
    """hashicorp/terraform-provider-aws 41179; claranet/terraform-aws-aurora 38 says the same of Aurora's metrics."""
    scaling, name = client("application-autoscaling"), cluster(instances=2)
    target = {"ServiceNamespace": "rds", "ResourceId": f"cluster:{name}", "ScalableDimension": READERS}
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    cpu, connections = "RDSReaderAverageCPUUtilization", "RDSReaderAverageDatabaseConnections"
    scaling.put_scaling_policy(**target, **policy("cpu", cpu))
    said = refused("ValidationException", scaling.put_scaling_policy, **target, **policy("cpu-2", cpu))
    assert said == "Only one TargetTrackingScaling policy for a given metric specification is allowed."
    # The same policy again, and another metric, are no second policy of a metric.
    scaling.put_scaling_policy(**target, **policy("cpu", cpu, ScaleInCooldown=60))
    scaling.put_scaling_policy(**target, **policy("connections", connections))
    own = {
        "PredefinedMetricSpecification": None,
        "CustomizedMetricSpecification": {"MetricName": "Load", "Namespace": "Shop", "Statistic": "Average"},
    }
    custom = {k: v for k, v in policy("own", cpu, **own)["TargetTrackingScalingPolicyConfiguration"].items() if v}
    own_policy = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": custom}
    scaling.put_scaling_policy(**target, **own_policy, PolicyName="own")
    refused("ValidationException", scaling.put_scaling_policy, **target, **own_policy, PolicyName="own-2")
    for one in ("cpu", "connections", "own"):
        scaling.delete_scaling_policy(**target, PolicyName=one)
    scaling.deregister_scalable_target(**target)


def test_bounds_of_readers_are_held_against_those_in_force(client, cluster, refused):
    """Application Auto Scaling API reference, RegisterScalableTarget; the sentences are those for DynamoDB, by analogy."""
    register, name = client("application-autoscaling").register_scalable_target, cluster(instances=0)
    target = {"ServiceNamespace": "rds", "ResourceId": f"cluster:{name}", "ScalableDimension": READERS}
    assert "required" in refused("ValidationException", register, **target, MinCapacity=1)
    register(**target, MinCapacity=1, MaxCapacity=3)
    said = refused("ValidationException", register, **target, MinCapacity=4)
    assert said == "Maximum capacity cannot be less than minimum capacity"
    register(**target, MaxCapacity=5)
    client("application-autoscaling").deregister_scalable_target(**target)


# ---- zones and the network


def test_a_cluster_has_three_zones_whatever_its_subnets(rds, cluster):
    """API reference, CreateDBInstance.AvailabilityZone; hashicorp/terraform-provider-aws 29067: RDS assigns three."""
    three = ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert shown(rds, cluster(instances=0))["AvailabilityZones"] == three
    rds.create_db_subnet_group(
        DBSubnetGroupName="two-zones", DBSubnetGroupDescription="x", SubnetIds=["subnet-b", "subnet-c"]
    )
    made = shown(rds, cluster(instances=2, DBSubnetGroupName="two-zones"))
    assert made["AvailabilityZones"] == three
    zones = {instance(rds, m["DBInstanceIdentifier"])["AvailabilityZone"] for m in made["DBClusterMembers"]}
    assert zones == {"us-east-1b", "us-east-1c"}
    some = cluster(instances=0, AvailabilityZones=["us-east-1c", "us-east-1b"])
    assert set(shown(rds, some)["AvailabilityZones"]) >= {"us-east-1b", "us-east-1c"}
    assert len(shown(rds, some)["AvailabilityZones"]) == 3


def test_zones_of_a_cluster(rds, group, refused):
    """tmobile/jazz-installer 525, inspec/inspec-aws 188; more than three: badmintoncryer/cdk-preflight."""
    said = refused(
        "InvalidVPCNetworkStateFault", rds.create_db_cluster, **aurora("z", AvailabilityZones=["us-east-1f"])
    )
    assert said == "Availability zone '[us-east-1f]' is unavailable in this region, please choose another zone set."
    both = ["us-east-1f", "us-east-1d"]
    said = refused("InvalidVPCNetworkStateFault", rds.create_db_cluster, **aurora("z", AvailabilityZones=both))
    assert said == (
        "Availability zones '[us-east-1d, us-east-1f]' are unavailable in this region, please choose another zone set."
    )
    four = [f"us-east-1{letter}" for letter in "abcd"]
    said = refused("InvalidParameterValue", rds.create_db_cluster, **aurora("z", AvailabilityZones=four))
    assert said == "You cannot specify more than 3 availability zones."


def test_a_zone_without_a_subnet(rds, cluster, refused):
    """hashicorp/terraform-provider-aws 20712."""
    name = cluster(instances=0)
    wrong = member(name, 1, AvailabilityZone="us-east-1d")
    assert refused("InvalidVPCNetworkStateFault", rds.create_db_instance, **wrong) == (
        "Cannot create a db.r6g.large database instance because there is not a subnet in us-east-1d, the targeted "
        "availability zone. Create a new subnet in us-east-1d and target that availability zone again, or retry the "
        "launch with no availability zone, or choose from these availability zones: us-east-1a, us-east-1b, us-east-1c."
    )


def test_a_zone_that_does_not_hold_the_clusters_storage(client, rds, lab, cluster, refused):
    """API reference, CreateDBInstance.AvailabilityZone: one of the three of the cluster's storage. Words by analogy."""
    ec2 = client("ec2")
    name = cluster(instances=0)
    vpc = ec2.describe_subnets(SubnetIds=["subnet-a"])["Subnets"][0]["VpcId"]
    fourth = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.80.0/20", AvailabilityZone="us-east-1d")["Subnet"]
    four = ["subnet-a", "subnet-b", "subnet-c", fourth["SubnetId"]]
    rds.create_db_subnet_group(DBSubnetGroupName="four-zones", DBSubnetGroupDescription="x", SubnetIds=four)
    name = cluster(instances=4, DBSubnetGroupName="four-zones")
    assert shown(rds, name)["AvailabilityZones"] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    placed = {instance(rds, f"{name}-{n}")["AvailabilityZone"] for n in range(1, 5)}
    assert placed == {"us-east-1a", "us-east-1b", "us-east-1c"}
    refused("InvalidVPCNetworkStateFault", rds.create_db_instance, **member(name, 5, AvailabilityZone="us-east-1d"))


def private_group(client: Any, rds: Any, name: str) -> str:
    """A subnet group in a VPC of its own; gives the VPC."""
    ec2 = client("ec2")
    vpc = str(ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"])
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.99.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for n, zone in enumerate("ab")
    ]
    rds.create_db_subnet_group(
        DBSubnetGroupName=name, DBSubnetGroupDescription="x", SubnetIds=[s["SubnetId"] for s in subnets]
    )
    return vpc


def test_a_public_instance_needs_an_internet_gateway(client, rds, lab, cluster, refused):
    """API reference, CreateDBInstance.PubliclyAccessible; hackoregon/civic-devops 281 for the VPC without host names."""
    ec2 = client("ec2")
    vpc = private_group(client, rds, "private")
    name = cluster(DBSubnetGroupName="private", VpcSecurityGroupIds=None)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    assert [g["VpcSecurityGroupId"] for g in shown(rds, name)["VpcSecurityGroups"]] == [groups[0]["GroupId"]]
    public = {"DBInstanceIdentifier": f"{name}-1", "PubliclyAccessible": True}
    no_gateway = (
        "Cannot create a publicly accessible DBInstance. The specified VPC has no internet gateway attached.Update the "
        "VPC and then try again"
    )
    another = member(name, 2, PubliclyAccessible=True)
    assert refused("InvalidVPCNetworkStateFault", rds.create_db_instance, **another) == no_gateway
    assert refused("InvalidVPCNetworkStateFault", rds.modify_db_instance, **public) == no_gateway
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refused("InvalidVPCNetworkStateFault", rds.modify_db_instance, **public) == (
        "Cannot create a publicly accessible DBInstance.  The specified VPC does not support DNS resolution, DNS "
        "hostnames, or both. Update the VPC and then try again"
    )
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    rds.modify_db_instance(**public)
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["PubliclyAccessible"] is True


def test_subnets_of_a_group(rds, refused):
    """terraform-aws-modules/terraform-aws-rds 326; the most: API reference, DBSubnetQuotaExceededFault, words by analogy."""
    create = {"DBSubnetGroupName": "none", "DBSubnetGroupDescription": "x"}
    assert refused("InvalidSubnet", rds.create_db_subnet_group, **create, SubnetIds=[]) == "Subnet IDs are required."
    many_subnets = ["subnet-a", "subnet-b", *(f"subnet-{n}" for n in range(19))]
    refused("DBSubnetQuotaExceededFault", rds.create_db_subnet_group, **create, SubnetIds=many_subnets)


# ---- words that were measured


MEASURED = [
    ("InvalidParameterValue", {"Port": 100}, "Invalid endpoint port 100. Valid range is: 1150-65535"),
    ("InvalidParameterCombination", {"StorageType": "gp3"}, "You can't use the gp3 storage type."),
    (
        "InvalidParameterCombination",
        {"AllocatedStorage": 100},
        "AllocatedStorage isn't supported for DB engine aurora-postgresql.",
    ),
    (
        "InvalidParameterCombination",
        {"DBClusterInstanceClass": "db.r6gd.large"},
        "DBClusterInstanceClass isn't supported for DB engine aurora-postgresql.",
    ),
    (
        "InvalidParameterCombination",
        {"PubliclyAccessible": True},
        "PubliclyAccessible isn't supported for DB engine aurora-postgresql.",
    ),
    (
        "InvalidParameterCombination",
        {"ManageMasterUserPassword": True},
        "MasterUserPassword and ManageMasterUserPassword are mutually exclusive. Specify only one of these parameters.",
    ),
    ("InvalidParameterValue", {"MasterUsername": "a" * 64}, "Invalid master user name"),
    (
        "InvalidParameterValue",
        {"MonitoringInterval": 7},
        "Invalid monitoring interval, please enter a value in [0, 1, 5, 10, 15, 30, 60]",
    ),
    (
        "InvalidParameterValue",
        {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 94},
        "Invalid Performance Insights retention period. Valid values are: [7, 31, 62, 93, 124, 155, 186, 217, 248, 279, "
        "310, 341, 372, 403, 434, 465, 496, 527, 558, 589, 620, 651, 682, 713, 731]",
    ),
    (
        "InvalidParameterCombination",
        {"PerformanceInsightsRetentionPeriod": 93},
        "To enable Performance Insights, EnablePerformanceInsights must be set to 'true'",
    ),
    (
        "InvalidParameterCombination",
        {"DatabaseInsightsMode": "advanced"},
        "You can't enable the Advanced mode of Database Insights until you enable Performance Insights and set the "
        "retention period for Performance Insights to at least 31 days.",
    ),
    (
        "InvalidParameterValue",
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.3, "MaxCapacity": 4}},
        "Serverless v2 capacity value 0.3 is not valid. It must be a multiple of 0.5.",
    ),
    (
        "InvalidParameterValue",
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 1, "MaxCapacity": 257}},
        "Serverless v2 capacity value 257.0 is not valid. The valid scaling range for this cluster is 0.0 to 256.0.",
    ),
    (
        "InvalidParameterCombination",
        {"DBClusterParameterGroupName": "default.aurora-postgresql14"},
        "The Parameter Group default.aurora-postgresql14 with DBParameterGroupFamily aurora-postgresql14 cannot be used "
        "for this instance. Please use a Parameter Group with DBParameterGroupFamily aurora-postgresql15",
    ),
]


@pytest.mark.parametrize(("code", "extra", "words"), MEASURED)
def test_words_for_a_cluster(rds, group, refused, code, extra, words):
    """badmintoncryer/cdk-preflight, rules/rds: deployments of September 2026. The codes are not in them: by analogy."""
    assert refused(code, rds.create_db_cluster, **aurora("words", **extra)) == words


def test_words_for_groups_and_instances(client, rds, cluster, refused):
    """As above; security groups: fog/fog-aws 279 and many reports; static parameters: many reports."""
    subnets = {"DBSubnetGroupDescription": "x", "SubnetIds": ["subnet-a", "subnet-b"]}
    create = rds.create_db_subnet_group
    said = refused("InvalidParameterValue", create, **subnets, DBSubnetGroupName="default")
    assert said == "Subnet group name default is reserved. Please specify another name."
    assert (
        refused("InvalidParameterValue", create, **subnets, DBSubnetGroupName="a/b")
        == "Invalid subnet group name:  a/b"
    )
    described = subnets | {"DBSubnetGroupDescription": "größer", "DBSubnetGroupName": "x"}
    assert refused("InvalidParameterValue", create, **described) == (
        "The parameter DBSubnetGroupDescription must not contain non-printable control characters."
    )
    family = {"DBParameterGroupFamily": "aurora-postgresql15", "DBParameterGroupName": "words"}
    said = refused("InvalidParameterValue", rds.create_db_parameter_group, **family, Description="größer")
    assert said == "The parameter Description must not contain non-printable control characters."
    rds.create_db_parameter_group(**family, Description="x")
    static = {"ParameterName": "shared_preload_libraries", "ParameterValue": "pgaudit", "ApplyMethod": "immediate"}
    modify = {"DBParameterGroupName": "words", "Parameters": [static]}
    said = refused("InvalidParameterCombination", rds.modify_db_parameter_group, **modify)
    assert said == "cannot use immediate apply method for static parameter"
    rds.delete_db_parameter_group(DBParameterGroupName="words")
    name = cluster(instances=0)
    wrong = member(name, 1, DBParameterGroupName="default.aurora-postgresql14")
    assert refused("InvalidParameterCombination", rds.create_db_instance, **wrong) == (
        "The parameter group default.aurora-postgresql14 with DBParameterGroupFamily aurora-postgresql14 can't be used "
        "for this instance. Use a parameter group with DBParameterGroupFamily aurora-postgresql15."
    )
    ec2 = client("ec2")
    own = shown(rds, name)["DBSubnetGroup"]
    vpc = rds.describe_db_subnet_groups(DBSubnetGroupName=own)["DBSubnetGroups"][0]["VpcId"]
    other = str(ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"])
    stranger = ec2.create_security_group(GroupName="strange", Description="x", VpcId=other)["GroupId"]
    change = {"DBClusterIdentifier": name, "VpcSecurityGroupIds": [stranger]}
    assert refused("InvalidParameterCombination", rds.modify_db_cluster, **change) == (
        f"The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc} and the EC2 security "
        f"group is in {other}"
    )


def test_io_optimized_storage_of_old_versions(rds, cluster, group, refused):
    """Aurora guide, "Storage configurations for Aurora DB clusters": 14.7 and higher. Code and words by analogy."""
    older = aurora("older-storage", EngineVersion="14.6", StorageType="aurora-iopt1")
    said = refused("InvalidParameterCombination", rds.create_db_cluster, **older)
    assert said.startswith("You can't use the aurora-iopt1 storage type")
    name = cluster(instances=0, EngineVersion="14.6")
    change = {"DBClusterIdentifier": name, "StorageType": "aurora-iopt1"}
    refused("InvalidParameterCombination", rds.modify_db_cluster, **change)
    paginate = rds.get_paginator("describe_orderable_db_instance_options").paginate
    offers = paginate(Engine="aurora-postgresql", EngineVersion="14.6").build_full_result()
    assert {o["StorageType"] for o in offers["OrderableDBInstanceOptions"]} == {"aurora"}


# ---- what is not there


def test_what_is_not_there(rds, group, refused):
    """Subnet group: cloudtools/troposphere 1383. Key: hashicorp/terraform-provider-aws 16362. Parameter group and
    snapshot: aws-cloudformation/aws-cloudformation-templates 226. Source cluster: the words that getmoto/moto has of AWS."""
    create, restore = rds.create_db_cluster, rds.restore_db_cluster_to_point_in_time
    said = refused("DBSubnetGroupNotFoundFault", create, **aurora("x", DBSubnetGroupName="Nowhere"))
    assert said == "DB subnet group 'nowhere' does not exist."
    said = refused("KMSKeyNotAccessibleFault", create, **aurora("x", KmsKeyId="alias/none"))
    assert said == (
        "The specified KMS key [alias/none] does not exist, is not enabled or you do not have permissions to access it."
    )
    said = refused("DBClusterParameterGroupNotFound", create, **aurora("x", DBClusterParameterGroupName="none"))
    assert said == "DBClusterParameterGroup not found: none"
    wrong = {"DBClusterIdentifier": "x", "SnapshotIdentifier": "none", "Engine": "aurora-postgresql"}
    said = refused("DBClusterSnapshotNotFoundFault", rds.restore_db_cluster_from_snapshot, **wrong)
    assert said == "DBClusterSnapshot not found: none"
    wrong = {"DBClusterIdentifier": "x", "SourceDBClusterIdentifier": "none", "UseLatestRestorableTime": True}
    said = refused("DBClusterNotFoundFault", restore, **wrong)
    assert said == "The source cluster could not be found or cannot be accessed: none"


def test_groups_that_a_clone_uses(rds, lab, cluster, refused):
    """Subnet group: anomalyco/sst 4026, anomalyco/ion 1187. Parameter group: terraform-aws-modules/terraform-aws-rds-aurora
    466 quotes it for DeleteDBParameterGroup; of a cluster's group by analogy."""
    family = {"DBParameterGroupFamily": "aurora-postgresql15", "Description": "x"}
    rds.create_db_subnet_group(
        DBSubnetGroupName="shared", DBSubnetGroupDescription="x", SubnetIds=["subnet-a", "subnet-b"]
    )
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="shared", **family)
    rds.create_db_parameter_group(DBParameterGroupName="shared", **family)
    name = cluster(instances=0, DBSubnetGroupName="shared", DBClusterParameterGroupName="shared")
    cluster.made.append("its-clone")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="its-clone",
        SourceDBClusterIdentifier=name,
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        DBSubnetGroupName="shared",
        DBClusterParameterGroupName="shared",
    )
    lab.clock(advance=11)
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    lab.clock(advance=11)

    def delete_all() -> list[str]:
        return [
            refused("InvalidDBSubnetGroupStateFault", rds.delete_db_subnet_group, DBSubnetGroupName="shared"),
            refused(
                "InvalidDBParameterGroupState",
                rds.delete_db_cluster_parameter_group,
                DBClusterParameterGroupName="shared",
            ),
        ]

    still = "because at least one database {} is still using it."
    members = "One or more database instances are still members of this parameter group shared, so the group cannot be deleted"
    one = "Cannot delete the subnet group 'shared' " + still
    assert delete_all() == [one.format("cluster: its-clone"), members]
    rds.create_db_instance(**member("its-clone", 1, DBParameterGroupName="shared"))
    assert delete_all() == [one.format("instance: its-clone-1"), members]
    assert members == refused(
        "InvalidDBParameterGroupState", rds.delete_db_parameter_group, DBParameterGroupName="shared"
    )


def test_groups_that_an_upgrade_waits_for(rds, lab, cluster, refused):
    """By analogy to groups in use: the maintenance window would find them gone."""
    family = {"DBParameterGroupFamily": "aurora-postgresql16", "Description": "x"}
    ours, own = {"DBClusterParameterGroupName": "next"}, {"DBParameterGroupName": "next"}
    rds.create_db_cluster_parameter_group(**ours, **family)
    rds.create_db_parameter_group(**own, **family)
    one = {"DBClusterIdentifier": cluster()}
    upgrade = {"EngineVersion": "16.8", "AllowMajorVersionUpgrade": True, "DBInstanceParameterGroupName": "Next"}
    rds.modify_db_cluster(**one, **upgrade, DBClusterParameterGroupName="Next")
    refused("InvalidDBParameterGroupState", rds.delete_db_cluster_parameter_group, **ours)
    refused("InvalidDBParameterGroupState", rds.delete_db_parameter_group, **own)
    lab.clock(advance=8 * 86400)
    made = shown(rds, one["DBClusterIdentifier"])
    assert (made["EngineVersion"], made["DBClusterParameterGroup"]) == ("16.8", "next")


# ---- parameters


def test_at_most_twenty_parameters_at_once(rds, refused):
    """hashicorp/terraform-provider-aws 1298, crossplane-contrib/provider-aws 1681; of a reset API reference, words by analogy."""
    family = {"DBParameterGroupFamily": "aurora-postgresql15", "Description": "x"}
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="twenty", **family)
    rds.create_db_parameter_group(DBParameterGroupName="twenty", **family)
    ours, own = {"DBClusterParameterGroupName": "twenty"}, {"DBParameterGroupName": "twenty"}
    most = "Cannot modify more than 20 parameters in a single request"
    code = "InvalidParameterCombination"
    assert refused(code, rds.modify_db_cluster_parameter_group, **ours, Parameters=many(21)) == most
    assert refused(code, rds.modify_db_parameter_group, **own, Parameters=many(21)) == most
    assert refused(code, rds.reset_db_parameter_group, **own, Parameters=many(21)) == most
    assert refused(code, rds.reset_db_cluster_parameter_group, **ours, Parameters=many(21)) == most
    rds.modify_db_parameter_group(**own, Parameters=many(20))
    rds.reset_db_parameter_group(**own, Parameters=many(20))
    rds.delete_db_parameter_group(**own)
    rds.delete_db_cluster_parameter_group(**ours)


def test_case_of_table_names_is_settled_at_creation(rds, lab, cluster, mysql, refused):
    """RDS user guide, "Parameter exceptions for MySQL DB instances"; aws-cloudformation-resource-providers-rds 309 for
    restores. The code and the first words by analogy."""
    family = {"DBParameterGroupFamily": "aurora-mysql8.0", "Description": "x"}
    lower = [{"ParameterName": "lower_case_table_names", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}]
    modify = rds.modify_db_cluster_parameter_group
    for name in ("lower", "as-given"):
        rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=name, **family)
    modify(DBClusterParameterGroupName="lower", Parameters=lower)
    name = mysql("cased", DBClusterParameterGroupName="lower")
    change = {"DBClusterParameterGroupName": "lower", "Parameters": [lower[0] | {"ParameterValue": "0"}]}
    said = refused("InvalidParameterCombination", modify, **change)
    assert said.endswith("lower_case_table_names setting isn't supported for MySQL 8.0 and higher versions.")
    # The same value is no change, and other parameters may be changed.
    modify(DBClusterParameterGroupName="lower", Parameters=lower)
    reset = {"DBClusterParameterGroupName": "lower", "ResetAllParameters": True}
    refused("InvalidParameterCombination", rds.reset_db_cluster_parameter_group, **reset)
    to_other = {"DBClusterIdentifier": name, "DBClusterParameterGroupName": "as-given"}
    assert refused("InvalidParameterCombination", rds.modify_db_cluster, **to_other) == said
    clone = {
        "DBClusterIdentifier": "cased-clone",
        "SourceDBClusterIdentifier": name,
        "UseLatestRestorableTime": True,
        "DBSubnetGroupName": "lab-net",
    }
    assert refused("InvalidParameterCombination", rds.restore_db_cluster_to_point_in_time, **clone) == said
    cluster.made.append("cased-clone")
    rds.restore_db_cluster_to_point_in_time(**clone, DBClusterParameterGroupName="lower")


# ---- tags


@pytest.mark.parametrize("value", ["a,b", "#1", "this & that", "(x)", "tab\tin", "line\nbreak", "e\u0301"])
def test_characters_of_tags(rds, group, refused, value):
    """API reference, Tag (``\\p{L}\\p{Z}\\p{N}_.:/=+\\-@``); cloud-custodian/cloud-custodian 4674, of keys by analogy."""
    said = refused("InvalidParameterValue", rds.create_db_cluster, **aurora("t", Tags=[{"Key": "a", "Value": value}]))
    may = "may only contain unicode letters, digits, whitespace, or one of these symbols: _ . : / = + \\ - @"
    assert said == f"Tag values {may}"
    said = refused("InvalidParameterValue", rds.create_db_cluster, **aurora("t", Tags=[{"Key": value, "Value": "a"}]))
    assert said == f"Tag keys {may}"


def test_tags_of_awss_own(rds, cluster, refused):
    """API reference, Tag: neither key nor value may begin with ``aws:`` or ``rds:``. Words by analogy."""
    arn = shown(rds, cluster(instances=0))["DBClusterArn"]
    for tag in ({"Key": "a", "Value": "aws:b"}, {"Key": "RDS:a", "Value": "b"}, {"Key": "a", "Value": "rds:b"}):
        refused("InvalidParameterValue", rds.add_tags_to_resource, ResourceName=arn, Tags=[tag])
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "größe", "Value": "1\u00a0½ _.:/=+-@"}])


# ---- engines, log types, Performance Insights, users


def test_a_version_other_than_the_clusters(rds, cluster, refused):
    """aws-cloudformation/rain, check F0006, and aws/aws-cdk 22180 for the change."""
    name = cluster()
    assert refused("InvalidParameterCombination", rds.create_db_instance, **member(name, 2, EngineVersion="15.12")) == (
        "The engine version that you requested for your DB instance (15.12) does not match the engine version of your "
        "DB cluster (15.10)."
    )
    one = {"DBInstanceIdentifier": f"{name}-1"}
    assert refused("InvalidParameterCombination", rds.modify_db_instance, **one, EngineVersion="15.12") == (
        "The specified DB Instance is a member of a cluster. Modify the DB engine version for the DB Cluster using the "
        "ModifyDbCluster API"
    )
    rds.modify_db_instance(**one, EngineVersion="15.10")
    rds.create_db_instance(**member(name, 2, EngineVersion="15.10"))


def test_log_types(rds, lab, group, cluster, mysql, refused):
    """API reference, CreateDBCluster.EnableCloudwatchLogsExports; the sentence: awsdocs/amazon-rds-user-guide 80."""
    wrong = {"EnableCloudwatchLogsExports": ["postgresql", "upgrade", "audit"]}
    assert refused("InvalidParameterCombination", rds.create_db_cluster, **aurora("logs", **wrong)) == (
        "You cannot use the log types 'upgrade', 'audit' with engine version aurora-postgresql 15.10. For supported log "
        "types, see the documentation."
    )
    every = ["iam-db-auth-error", "instance", "postgresql"]
    name = cluster(instances=0, EnableCloudwatchLogsExports=every)
    assert shown(rds, name)["EnabledCloudwatchLogsExports"] == every
    change = {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["slowquery"]}}
    refused("InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=name, **change)
    every = ["audit", "error", "general", "iam-db-auth-error", "instance", "slowquery"]
    name = mysql("mysql-logs", EnableCloudwatchLogsExports=every)
    assert shown(rds, name)["EnabledCloudwatchLogsExports"] == every


def test_the_instance_log_comes_with_pausing(rds, group, refused):
    """Aurora guide, "Aurora PostgreSQL database log files": instance.log says why an instance with auto-pause does not
    pause, so that versions that cannot pause have none. That it is refused for them: by analogy."""
    older = aurora("older", EngineVersion="15.4", EnableCloudwatchLogsExports=["instance"])
    said = refused("InvalidParameterCombination", rds.create_db_cluster, **older)
    assert said.startswith("You cannot use the log types 'instance' with engine version aurora-postgresql 15.4.")
    (version,) = rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="15.4")["DBEngineVersions"]
    assert version["ExportableLogTypes"] == ["postgresql", "iam-db-auth-error"]


def test_insights_on_a_class_without_them(rds, lab, mysql, refused):
    """Aurora guide, "Performance Insights: engine, Region, and instance class support"; the sentence is quoted in many
    reports. Switched on for the cluster: by analogy."""
    said = "Performance Insights not supported for this configuration."
    name = mysql("insights", "db.t4g.medium")
    one = {"DBInstanceIdentifier": f"{name}-1"}
    code = "InvalidParameterCombination"
    assert refused(code, rds.modify_db_instance, **one, EnablePerformanceInsights=True) == said
    on = {"DBClusterIdentifier": name, "EnablePerformanceInsights": True}
    assert refused(code, rds.modify_db_cluster, **on) == said
    other = member(name, 2, Engine="aurora-mysql", DBInstanceClass="db.t3.medium", EnablePerformanceInsights=True)
    assert refused(code, rds.create_db_instance, **other) == said
    rds.modify_db_instance(**one, DBInstanceClass="db.r6g.large", ApplyImmediately=True)
    lab.clock(advance=11)
    rds.modify_db_cluster(**on)
    lab.clock(advance=11)
    smaller = one | {"DBInstanceClass": "db.t4g.medium"}
    assert refused(code, rds.modify_db_instance, **smaller) == said


def test_names_of_the_master_user(rds, group, refused):
    """aws/aws-cdk 5076 (the sentence), aws-cloudformation/cfn-lint 4425 (which), floci-io/floci 3729 (lengths on AWS: 63 and 32)."""
    for wrong in ({"MasterUsername": "admin"}, {"MasterUsername": "rdsadmin"}, MYSQL | {"MasterUsername": "rdsadmin"}):
        said = refused("InvalidParameterValue", rds.create_db_cluster, **aurora("user", **wrong))
        assert (
            said
            == f"MasterUsername {wrong['MasterUsername']} cannot be used as it is a reserved word used by the engine"
        )
    for wrong in ({"MasterUsername": "a" * 64}, MYSQL | {"MasterUsername": "a" * 33}):
        refused("InvalidParameterValue", rds.create_db_cluster, **aurora("user", **wrong))
