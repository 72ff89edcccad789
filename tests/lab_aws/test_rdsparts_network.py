"""The lab's network, as a client of EC2 sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT

from penstock_lab.aws.rds import network

REGION = "us-east-1"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    with moto.mock_aws():
        network.provide(ACCOUNT, REGION)
        yield boto3.client("ec2", region_name=REGION)


def test_clients_find_subnets_by_id(ec2: Any) -> None:
    subnets = ec2.describe_subnets(SubnetIds=[*network.SUBNETS])["Subnets"]
    assert {s["SubnetId"]: s["AvailabilityZone"] for s in subnets} == {
        "subnet-a": "us-east-1a",
        "subnet-b": "us-east-1b",
        "subnet-c": "us-east-1c",
    }
    (vpc,) = {s["VpcId"] for s in subnets}
    (other,) = ec2.describe_subnets(SubnetIds=["subnet-other"])["Subnets"]
    assert (other["AvailabilityZone"], other["VpcId"] == vpc) == ("us-east-1a", False)
    (group,) = ec2.describe_security_groups(GroupIds=["sg-lab"])["SecurityGroups"]
    assert group["VpcId"] == vpc
    assert {v["VpcId"] for v in ec2.describe_vpcs(VpcIds=[vpc, other["VpcId"]])["Vpcs"]} == {vpc, other["VpcId"]}
    assert network.subnet(ACCOUNT, REGION, "subnet-b") == (vpc, "us-east-1b")
    assert network.subnet(ACCOUNT, REGION, "subnet-other") == (other["VpcId"], "us-east-1a")
    assert network.security_group(ACCOUNT, REGION, "sg-lab") == vpc


def test_providing_again_changes_nothing(ec2: Any) -> None:
    before = [
        ec2.describe_subnets()["Subnets"],
        ec2.describe_vpcs()["Vpcs"],
        ec2.describe_security_groups()["SecurityGroups"],
    ]
    for _ in range(100):
        network.provide(ACCOUNT, REGION)
    assert before == [
        ec2.describe_subnets()["Subnets"],
        ec2.describe_vpcs()["Vpcs"],
        ec2.describe_security_groups()["SecurityGroups"],
    ]


def test_what_users_make_is_found_too(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1d")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    assert network.subnet(ACCOUNT, REGION, subnet) == (vpc, "us-east-1d")
    assert network.security_group(ACCOUNT, REGION, group) == vpc
    assert network.subnet(ACCOUNT, REGION, "subnet-nowhere") is None
    assert network.security_group(ACCOUNT, REGION, "sg-nowhere") is None


def test_another_region_has_its_own_zones(ec2: Any) -> None:
    network.provide(ACCOUNT, "eu-west-1")
    assert [network.subnet(ACCOUNT, "eu-west-1", s)[1] for s in network.SUBNETS] == [
        "eu-west-1a",
        "eu-west-1b",
        "eu-west-1c",
    ]
