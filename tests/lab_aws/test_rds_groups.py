"""Subnet groups, parameter groups and tags."""

from __future__ import annotations

from typing import Any

import pytest

from .test_rds_clusters import instance, shown

PG15 = {"DBParameterGroupFamily": "aurora-postgresql15", "Description": "x"}


def values(rds: Any, group: str, **more: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for page in rds.get_paginator("describe_db_cluster_parameters").paginate(DBClusterParameterGroupName=group, **more):
        found |= {p["ParameterName"]: p for p in page["Parameters"]}
    return found


def parameter(name: str, value: str, method: str = "pending-reboot") -> dict[str, str]:
    return {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}


def test_subnet_group(rds, cluster, refused):
    made = rds.create_db_subnet_group(
        DBSubnetGroupName="Two", DBSubnetGroupDescription="x", SubnetIds=["subnet-a", "subnet-b"]
    )["DBSubnetGroup"]
    assert made["DBSubnetGroupName"] == "two"
    assert [s["SubnetAvailabilityZone"]["Name"] for s in made["Subnets"]] == ["us-east-1a", "us-east-1b"]
    again = {"DBSubnetGroupName": "two", "DBSubnetGroupDescription": "x", "SubnetIds": ["subnet-a", "subnet-b"]}
    refused("DBSubnetGroupAlreadyExists", rds.create_db_subnet_group, **again)
    changed = rds.modify_db_subnet_group(DBSubnetGroupName="two", SubnetIds=["subnet-b", "subnet-c"])["DBSubnetGroup"]
    assert {s["SubnetIdentifier"] for s in changed["Subnets"]} == {"subnet-b", "subnet-c"}
    name = cluster(DBSubnetGroupName="two")
    assert "is still using it" in refused(
        "InvalidDBSubnetGroupStateFault", rds.delete_db_subnet_group, DBSubnetGroupName="two"
    )
    zone = instance(rds, f"{name}-1")["AvailabilityZone"]
    without = ["subnet-a", "subnet-c"] if zone == "us-east-1b" else ["subnet-a", "subnet-b"]
    refused("SubnetAlreadyInUse", rds.modify_db_subnet_group, DBSubnetGroupName="two", SubnetIds=without)


def test_a_subnet_group_goes(rds, refused):
    rds.create_db_subnet_group(
        DBSubnetGroupName="goes", DBSubnetGroupDescription="x", SubnetIds=["subnet-a", "subnet-b"]
    )
    rds.delete_db_subnet_group(DBSubnetGroupName="goes")
    refused("DBSubnetGroupNotFoundFault", rds.describe_db_subnet_groups, DBSubnetGroupName="goes")
    refused("DBSubnetGroupNotFoundFault", rds.delete_db_subnet_group, DBSubnetGroupName="goes")


@pytest.mark.parametrize(
    ("code", "subnets"),
    [
        ("DBSubnetGroupDoesNotCoverEnoughAZs", ["subnet-a"]),
        ("InvalidSubnet", ["subnet-a", "subnet-zzz"]),
        ("InvalidSubnet", []),
    ],
)
def test_subnets_that_do_not_do(rds, refused, code, subnets):
    refused(code, rds.create_db_subnet_group, DBSubnetGroupName="bad", DBSubnetGroupDescription="x", SubnetIds=subnets)


def test_subnets_of_two_vpcs(client, rds, refused):
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]["SubnetId"]
    refused(
        "InvalidSubnet",
        rds.create_db_subnet_group,
        DBSubnetGroupName="bad",
        DBSubnetGroupDescription="x",
        SubnetIds=["subnet-a", other],
    )


def test_parameter_group(rds, refused):
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="pg", **PG15, Tags=[{"Key": "a", "Value": "b"}])
    refused(
        "DBParameterGroupAlreadyExists", rds.create_db_cluster_parameter_group, DBClusterParameterGroupName="PG", **PG15
    )
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName="pg",
        Parameters=[parameter("log_min_duration_statement", "500", "immediate"), parameter("rds.force_ssl", "1")],
    )
    own = values(rds, "pg", Source="user")
    assert {name: p["ParameterValue"] for name, p in own.items()} == {
        "log_min_duration_statement": "500",
        "rds.force_ssl": "1",
    }
    told = rds.describe_events(SourceType="db-parameter-group", SourceIdentifier="pg", Duration=1)["Events"]
    assert "Updated parameter rds.force_ssl to 1 with apply method pending-reboot" in [e["Message"] for e in told]
    assert told[0]["SourceArn"].endswith(":cluster-pg:pg")
    everything = values(rds, "pg")
    assert len(everything) > 100
    assert everything["rds.force_ssl"]["Source"] == "user"
    first = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="pg", MaxRecords=20)
    assert len(first["Parameters"]) == 20
    assert "Marker" in first
    rds.reset_db_cluster_parameter_group(
        DBClusterParameterGroupName="pg",
        Parameters=[{"ParameterName": "rds.force_ssl", "ApplyMethod": "pending-reboot"}],
    )
    assert set(values(rds, "pg", Source="user")) == {"log_min_duration_statement"}
    rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName="pg", ResetAllParameters=True)
    assert values(rds, "pg", Source="user") == {}
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="pg")
    refused("DBParameterGroupNotFound", rds.delete_db_cluster_parameter_group, DBClusterParameterGroupName="pg")


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("InvalidParameterValue", parameter("no_such_parameter", "1")),
        ("InvalidParameterValue", parameter("log_min_duration_statement", "often")),
        ("InvalidParameterCombination", parameter("shared_preload_libraries", "pg_stat_statements", "immediate")),
        ("InvalidParameterValue", parameter("rds.force_ssl", "2")),
    ],
)
def test_parameters_that_do_not_do(rds, refused, code, wrong):
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="pg", **PG15)
    modify = rds.modify_db_cluster_parameter_group
    refused(code, modify, DBClusterParameterGroupName="pg", Parameters=[wrong])
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="pg")


def test_default_groups_stay_as_they_are(rds, refused):
    name = "default.aurora-postgresql15"
    one = parameter("log_min_duration_statement", "500")
    modify = rds.modify_db_cluster_parameter_group
    refused("InvalidDBParameterGroupState", modify, DBClusterParameterGroupName=name, Parameters=[one])
    refused("InvalidDBParameterGroupState", rds.delete_db_parameter_group, DBParameterGroupName=name)
    refused(
        "InvalidParameterValue",
        rds.create_db_parameter_group,
        DBParameterGroupName="x",
        DBParameterGroupFamily="oracle19",
        Description="x",
    )


def test_parameters_of_a_cluster_come_into_force(rds, lab, cluster, refused):
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="force", **PG15)
    name = cluster(instances=2, DBClusterParameterGroupName="force")
    assert "are still members" in refused(
        "InvalidDBParameterGroupState", rds.delete_db_cluster_parameter_group, DBClusterParameterGroupName="force"
    )

    def states() -> list[str]:
        return [m["DBClusterParameterGroupStatus"] for m in shown(rds, name)["DBClusterMembers"]]

    def modify(*parameters: dict[str, str]) -> None:
        rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName="force", Parameters=list(parameters))

    assert states() == ["in-sync", "in-sync"]
    modify(parameter("log_min_duration_statement", "250", "immediate"))
    assert states() == ["applying", "applying"]
    lab.clock(advance=11)
    assert states() == ["in-sync", "in-sync"]
    modify(parameter("shared_preload_libraries", "pg_stat_statements,auto_explain"))
    lab.clock(advance=11)
    assert states() == ["pending-reboot", "pending-reboot"]
    # A dynamic change in between does not make the static one true.
    modify(parameter("log_min_duration_statement", "100", "immediate"))
    lab.clock(advance=11)
    assert states() == ["pending-reboot", "pending-reboot"]
    rds.reboot_db_instance(DBInstanceIdentifier=f"{name}-2")
    lab.clock(advance=11)
    assert states() == ["pending-reboot", "in-sync"]
    # The same value again is no change.
    modify(parameter("shared_preload_libraries", "pg_stat_statements,auto_explain"))
    assert states() == ["pending-reboot", "in-sync"]


def test_another_group_waits_for_a_reboot(rds, lab, cluster):
    rds.create_db_parameter_group(DBParameterGroupName="mine", **PG15)
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="ours", **PG15)
    name = cluster()
    one = {"DBInstanceIdentifier": f"{name}-1"}
    rds.modify_db_instance(**one, DBParameterGroupName="mine")
    rds.modify_db_cluster(DBClusterIdentifier=name, DBClusterParameterGroupName="ours")
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["DBParameterGroups"] == [
        {"DBParameterGroupName": "mine", "ParameterApplyStatus": "pending-reboot"}
    ]
    (member,) = shown(rds, name)["DBClusterMembers"]
    assert member["DBClusterParameterGroupStatus"] == "pending-reboot"
    rds.reboot_db_instance(**one)
    lab.clock(advance=11)
    assert instance(rds, f"{name}-1")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    assert shown(rds, name)["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"
    rds.modify_db_parameter_group(
        DBParameterGroupName="mine", Parameters=[parameter("log_min_duration_statement", "5", "immediate")]
    )
    assert instance(rds, f"{name}-1")["DBParameterGroups"][0]["ParameterApplyStatus"] == "applying"


def test_engine_defaults(rds, refused):
    for operation in (rds.describe_engine_default_cluster_parameters, rds.describe_engine_default_parameters):
        defaults = operation(DBParameterGroupFamily="aurora-postgresql16")["EngineDefaults"]
        assert defaults["DBParameterGroupFamily"] == "aurora-postgresql16"
        assert defaults["Parameters"]
        refused("InvalidParameterValue", operation, DBParameterGroupFamily="none")


def test_tags(rds, cluster, refused):
    name = cluster(Tags=[{"Key": "a", "Value": "1"}])
    rds.create_db_parameter_group(DBParameterGroupName="tagged", **PG15)
    arns = [
        shown(rds, name)["DBClusterArn"],
        instance(rds, f"{name}-1")["DBInstanceArn"],
        rds.describe_db_subnet_groups(DBSubnetGroupName="lab-net")["DBSubnetGroups"][0]["DBSubnetGroupArn"],
        rds.describe_db_parameter_groups(DBParameterGroupName="tagged")["DBParameterGroups"][0]["DBParameterGroupArn"],
    ]
    for arn in arns:
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "c", "Value": ""}])
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["c", "never-there"])
        assert {"Key": "b", "Value": "2"} in rds.list_tags_for_resource(ResourceName=arn)["TagList"]
    assert shown(rds, name)["TagList"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    gone = arns[0].replace(name, "none")
    refused("DBClusterNotFoundFault", rds.list_tags_for_resource, ResourceName=gone)
    refused("InvalidParameterValue", rds.list_tags_for_resource, ResourceName="nonsense")
    refused(
        "InvalidParameterValue", rds.add_tags_to_resource, ResourceName=arns[0], Tags=[{"Key": "rds:x", "Value": ""}]
    )
    many = [{"Key": f"k{n}", "Value": ""} for n in range(49)]
    refused("InvalidParameterValue", rds.add_tags_to_resource, ResourceName=arns[0], Tags=many)
