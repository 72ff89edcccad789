"""Messages of AWS as they were reported by users of other tools, and what the object then says. None may name a field that it is not about."""

from __future__ import annotations

from typing import Any

import pytest
from aurora_world import NAME, Operator, spec
from botocore.exceptions import ClientError

from penstock.api.conditions import Reason
from penstock.aurora.refusals import refine
from penstock.aws.errors import trouble
from penstock.engine.errors import Trouble
from penstock.engine.plan import Step

INSTANCE = {"DBInstanceIdentifier": f"{NAME}-2", "DBInstanceClass": "db.r6g.large"}
ZONED = {**INSTANCE, "AvailabilityZone": "us-east-1d"}


def told(operation: str, asked: dict[str, Any], code: str, words: str, status: int = 400) -> Trouble:
    answer = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    overrides = [{"ordinal": 2, "zone": "us-east-1d"}]
    wanted = spec(instances={"class": "db.r6g.large", "readers": 1, "overrides": overrides})
    found = trouble(ClientError(answer, operation), "rds", operation)  # type: ignore[arg-type]
    return refine(Operator(wanted).desired, Step("rds", operation, asked, "do it"), found)


@pytest.mark.parametrize(
    ("operation", "asked", "code", "words", "reason", "says"),
    [
        (
            "CreateDBInstance",
            ZONED,
            "InvalidVPCNetworkStateFault",
            "Cannot create a db.r6g.large database instance because there is not a subnet in us-east-1d, the targeted "
            "availability zone. Create a new subnet in us-east-1d and target that availability zone again, or retry the "
            "launch with no availability zone, or choose from these availability zones: us-east-1a, us-east-1b.",
            Reason.INVALID,
            "The zone us-east-1d of ordinal 2 in spec.instances.overrides is not one of the cluster's zones",
        ),
        (
            "CreateDBCluster",
            {},
            "InvalidVPCNetworkStateFault",
            "Availability zone '[us-east-1c]' is unavailable in this region, please choose another zone set.",
            Reason.INVALID,
            "AWS finds no zone for it",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidVPCNetworkStateFault",
            "Cannot create a publicly accessible DBInstance.  The specified VPC does not support DNS resolution, DNS "
            "hostnames, or both. Update the VPC and then try again",
            Reason.WAITING_FOR_DEPENDENCY,
            "spec.network.publiclyAccessible",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidParameterCombination",
            "Performance Insights not supported for this configuration.",
            Reason.INVALID,
            "AWS refuses Performance Insights with class db.r6g.large of aurora-postgresql: change spec.performanceInsights",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination: DBInstanceClass=db.r4.large, "
            "Engine=aurora-postgresql, EngineVersion=14.4, LicenseModel=postgresql-license. For supported combinations of "
            "instance class and database engine version, see the documentation.",
            Reason.INVALID,
            "AWS does not offer class db.r6g.large",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidParameterCombination",
            "The requested instance class is not supported by global databases: db.t4g.medium",
            Reason.INVALID,
            "AWS does not offer class db.r6g.large",
        ),
        (
            "CreateDBSubnetGroup",
            {},
            "InvalidParameterValue",
            "Some input subnets in :[subnet-0bf13cb9, subnet-0f57a0d7] are invalid.",
            Reason.WAITING_FOR_DEPENDENCY,
            "AWS cannot use the subnets of spec.network.subnetIds",
        ),
        (
            "CreateDBCluster",
            {},
            "InvalidSubnet",
            "No default subnet detected in VPC. Please contact AWS Support to recreate default Subnets.",
            Reason.WAITING_FOR_DEPENDENCY,
            "us-east-1 has no default VPC with subnets: name subnets in spec.network.subnetIds",
        ),
        (
            "CreateDBCluster",
            {"VpcSecurityGroupIds": ["sg-1"]},
            "InvalidVPCNetworkStateFault",
            "The DB instance and EC2 security group are in different VPCs. The DB instance is in vpc-1 and the EC2 security "
            "group is in vpc-2",
            Reason.WAITING_FOR_DEPENDENCY,
            "A security group of spec.network.securityGroupIds (sg-1)",
        ),
        (
            "AddTagsToResource",
            {},
            "InvalidParameterValue",
            "The number of tags exceeds the limit of 50.",
            Reason.INVALID,
            "AWS allows 50 tags on a resource",
        ),
        (
            "ModifyDBCluster",
            {"MasterUserPassword": "x"},
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password because it is longer than 41 characters.",
            Reason.SECRET_INVALID,
            "AWS refuses the password",
        ),
    ],
)
def test_what_aws_says_is_told_of_the_field_that_it_is_about(
    operation: str, asked: dict[str, Any], code: str, words: str, reason: str, says: str
) -> None:
    found = told(operation, asked, code, words)
    assert (found.reason, says in found.sentence) == (reason, True), found.sentence
    assert " ".join(words.split())[:100].rstrip(".") in found.sentence


@pytest.mark.parametrize(
    ("operation", "asked", "code", "words"),
    [
        # A tag's value: the operation has "subnet" in its name, and so may the value have any word.
        (
            "CreateDBSubnetGroup",
            {},
            "InvalidParameterValue",
            "Tag values may only contain unicode letters, digits, whitespace, or one of these symbols: _ . : / = + \\ - @",
        ),
        ("CreateDBCluster", {}, "InvalidParameterValue", "Invalid value for tag kms-owner: subnet security group"),
        (
            "CreateDBCluster",
            {},
            "InvalidParameterCombination",
            "KmsKeyId can be specified only for an encrypted cluster",
        ),
        (
            "ModifyDBCluster",
            {"EngineVersion": "16.1"},
            "InvalidParameterCombination",
            "Cannot upgrade aurora-postgresql from 11.9 to 16.1",
        ),
        (
            "ModifyDBCluster",
            {"EngineVersion": "16.1"},
            "InvalidParameterCombination",
            "Cannot modify engine version without a healthy primary instance in DB cluster: shop-ledger",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidParameterCombination",
            "The engine version that you requested for your DB instance (15.4) does not match the engine version of your "
            "DB cluster (15.10).",
        ),
        (
            "CreateDBInstance",
            INSTANCE,
            "InvalidParameterCombination",
            "Enhanced Monitoring is not supported for this configuration.",
        ),
        (
            "ModifyDBCluster",
            {"ManageMasterUserPassword": True},
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled.",
        ),
        (
            "CreateDBCluster",
            {},
            "InvalidParameterCombination",
            "Storage type aurora-iopt1 is not supported for aurora-postgresql 13.9 in a class-free cluster.",
        ),
        ("ModifyDBSubnetGroup", {}, "SubnetAlreadyInUse", "The specified subnets are already in use: subnet-1"),
    ],
)
def test_where_the_wording_is_not_known_aws_speaks_for_itself(
    operation: str, asked: dict[str, Any], code: str, words: str
) -> None:
    found = told(operation, asked, code, words)
    assert found.reason == Reason.REFUSED
    assert found.sentence == f"AWS refuses rds:{operation}: {words}"
