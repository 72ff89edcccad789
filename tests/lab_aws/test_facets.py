"""What a table has beside its definition: TTL, tags, policies, insights."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .conftest import schema


def ttl(enabled: bool, attribute: str = "at") -> dict[str, object]:
    return {"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}


def test_ttl_changes_once_an_hour(ddb, lab, make, refused):
    name = make()

    def shown() -> dict[str, str]:
        return ddb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]

    assert shown() == {"TimeToLiveStatus": "DISABLED"}
    assert "already disabled" in refused("ValidationException", ddb.update_time_to_live, TableName=name, **ttl(False))
    ddb.update_time_to_live(TableName=name, **ttl(True))
    assert shown() == {"TimeToLiveStatus": "ENABLING", "AttributeName": "at"}
    lab.clock(advance=2)
    assert shown()["TimeToLiveStatus"] == "ENABLED"
    assert "multiple times within a fixed interval" in refused(
        "ValidationException", ddb.update_time_to_live, TableName=name, **ttl(False)
    )
    lab.clock(advance=3600)
    assert "already enabled" in refused("ValidationException", ddb.update_time_to_live, TableName=name, **ttl(True))
    assert "different AttributeName" in refused(
        "ValidationException", ddb.update_time_to_live, TableName=name, **ttl(True, "other")
    )
    ddb.update_time_to_live(TableName=name, **ttl(False))
    assert shown()["TimeToLiveStatus"] == "DISABLING"
    lab.clock(advance=2)
    assert shown() == {"TimeToLiveStatus": "DISABLED"}


def test_tags(ddb, client, lab, make, refused):
    name = make(Tags=[{"Key": "team", "Value": "shop"}])
    arn = ddb.describe_table(TableName=name)["Table"]["TableArn"]
    ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "web"}, {"Key": "b", "Value": ""}])
    ddb.untag_resource(ResourceArn=arn, TagKeys=["b", "nothing"])
    assert ddb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "web"}]
    many = [{"Key": f"k{n}", "Value": str(n)} for n in range(50)]
    assert "limit of 50" in refused("ValidationException", ddb.tag_resource, ResourceArn=arn, Tags=many)
    ddb.tag_resource(ResourceArn=arn, Tags=many[:25])
    paged = [t for page in ddb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn) for t in page["Tags"]]
    assert len(paged) == 26
    refused("ValidationException", ddb.tag_resource, ResourceArn=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    # Measured against AWS by the public suite dynamodb-conformance: what is not there is answered as what is not allowed.
    words = refused("AccessDeniedException", ddb.list_tags_of_resource, ResourceArn=f"{arn}-nothing")
    assert f"dynamodb:ListTagsOfResource on resource: {arn}-nothing" in words


@pytest.mark.parametrize("text", ["a,b", "#1", "r&d", "tab\there", "x|y", "50%", "(x)"])
def test_tags_have_letters_digits_blanks_and_few_signs(ddb, make, refused, name, text):
    """Developer guide, "Tagging restrictions in DynamoDB"."""
    table = make()
    arn = ddb.describe_table(TableName=table)["Table"]["TableArn"]
    for tag in ({"Key": text, "Value": ""}, {"Key": "k", "Value": text}):
        words = refused("ValidationException", ddb.tag_resource, ResourceArn=arn, Tags=[tag])
        assert "regular expression pattern" in words
        assert f"Value '{text}' at 'tags.1.member." in words
        refused("ValidationException", ddb.create_table, TableName=name, **schema(Tags=[tag]))
    ddb.tag_resource(ResourceArn=arn, Tags=[{"Key": "k:/=+-@._ ü", "Value": "Straße 12 :/=+-@._"}])


def test_tags_of_a_table_that_is_being_made(ddb, lab, name, refused):
    arn = ddb.create_table(TableName=name, **schema(Tags=[{"Key": "a", "Value": "b"}]))["TableDescription"]["TableArn"]
    assert refused("ResourceNotFoundException", ddb.tag_resource, ResourceArn=arn, Tags=[]) == (
        f"Requested resource not found: ResourcArn: {arn} not found"
    )
    assert len(ddb.list_tags_of_resource(ResourceArn=arn)["Tags"]) == 1
    lab.settings(tags_while_creating=False)
    refused("ResourceNotFoundException", ddb.list_tags_of_resource, ResourceArn=arn)
    lab.clock(advance=11)
    assert len(ddb.list_tags_of_resource(ResourceArn=arn)["Tags"]) == 1
    ddb.delete_table(TableName=name)


def test_tagged_tables_come_in_pages(ddb, client, lab, make):
    names = [make(Tags=[{"Key": "set", "Value": "a" if n % 2 else "b"}]) for n in range(7)]
    make()
    tagging = client("resourcegroupstaggingapi")
    pages = tagging.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["dynamodb:table"], PaginationConfig={"PageSize": 3}
    )
    rows = [row for page in pages for row in page["ResourceTagMappingList"]]
    assert {row["ResourceARN"].rpartition("/")[2] for row in rows} == set(names)
    only = tagging.get_resources(
        ResourceTypeFilters=["dynamodb"], TagFilters=[{"Key": "set", "Values": ["a"]}], ResourcesPerPage=100
    )
    assert len(only["ResourceTagMappingList"]) == 3
    arn = rows[0]["ResourceARN"]
    assert len(tagging.get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]) == 1
    every = tagging.get_resources()["ResourceTagMappingList"]
    assert arn in {row["ResourceARN"] for row in every}
    tagging.tag_resources(ResourceARNList=[arn], Tags={"more": "tags"})
    assert {"Key": "more", "Value": "tags"} in ddb.list_tags_of_resource(ResourceArn=arn)["Tags"]


def test_policies_have_revisions(ddb, make, refused):
    name = make()
    arn = ddb.describe_table(TableName=name)["Table"]["TableArn"]
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": arn}],
        }
    )
    refused("PolicyNotFoundException", ddb.get_resource_policy, ResourceArn=arn)
    assert "not valid JSON" in refused("ValidationException", ddb.put_resource_policy, ResourceArn=arn, Policy="{")
    revision = ddb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
    assert ddb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"] == revision
    assert ddb.get_resource_policy(ResourceArn=arn)["Policy"] == policy
    for expected in ("NO_POLICY", "12345"):
        refused(
            "PolicyNotFoundException",
            ddb.put_resource_policy,
            ResourceArn=arn,
            Policy=policy,
            ExpectedRevisionId=expected,
        )
    assert ddb.delete_resource_policy(ResourceArn=arn, ExpectedRevisionId=revision)["RevisionId"] == revision
    ddb.delete_resource_policy(ResourceArn=arn)
    given = make(ResourcePolicy=policy)
    assert ddb.get_resource_policy(ResourceArn=arn.replace(name, given))["Policy"] == policy
    refused("ResourceNotFoundException", ddb.get_resource_policy, ResourceArn=f"{arn}-nothing")


def _statement(**more: Any) -> str:
    given = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"} | more
    return json.dumps({"Version": "2012-10-17", "Statement": [given]})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"Action": "s3:GetObject"}, 'The following action names are invalid: "s3:GetObject"'),
        (
            {"Action": ["dynamodb:GetItem", "dynamodb:ListStreams", "dynamodb:Nothing"]},
            '"dynamodb:ListStreams", "dynamodb:Nothing"',
        ),
        ({"Principal": {"Service": "lambda.amazonaws.com"}}, "Policy contains invalid service principal"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/nobody"}}, "Invalid principal in policy document."),
        ({"Principal": {"AWS": ["*", "arn:aws:iam::123456789012:user/nobody"]}}, "Invalid principal"),
        ({"Principal": {"AWS": "somebody"}}, "Invalid principal"),
        ({"Principal": "somebody"}, "valid principal"),
    ],
)
def test_policies_name_what_aws_knows(ddb, make, refused, name, wrong, words):
    """AWS's sentences from public reports: aws-cdk 32230 and 37273, terraform-provider-aws 42933."""
    arn = ddb.describe_table(TableName=make())["Table"]["TableArn"]
    policy = _statement(**wrong)
    assert words in refused("ValidationException", ddb.put_resource_policy, ResourceArn=arn, Policy=policy)
    refused("ValidationException", ddb.create_table, TableName=name, **schema(ResourcePolicy=policy))


def test_policies_for_roles_users_accounts_and_services_that_exist(ddb, client, make):
    arn = ddb.describe_table(TableName=make())["Table"]["TableArn"]
    iam = client("iam")
    role = iam.create_role(RoleName="reader", Path="/team/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    user = iam.create_user(UserName="rita")["User"]["Arn"]
    for principal in (
        {"AWS": [role, user, "210987654321", "arn:aws:iam::210987654321:root"]},
        {"Service": "redshift.amazonaws.com"},
    ):
        ddb.put_resource_policy(ResourceArn=arn, Policy=_statement(Principal=principal, Action="dynamodb:Describe*"))


def test_insights_of_a_table_and_of_an_index(ddb, lab, make, refused):
    name = make(
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "x", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-x",
                "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    assert ddb.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "DISABLED"
    for target in ({"TableName": name}, {"TableName": name, "IndexName": "by-x"}):
        changed = ddb.update_contributor_insights(**target, ContributorInsightsAction="ENABLE")
        assert changed["ContributorInsightsStatus"] == "ENABLING"
        lab.clock(advance=2)
        shown = ddb.describe_contributor_insights(**target)
        assert shown["ContributorInsightsStatus"] == "ENABLED"
        assert shown["ContributorInsightsRuleList"]
    assert len(ddb.list_contributor_insights(TableName=name)["ContributorInsightsSummaries"]) == 2
    ddb.update_contributor_insights(TableName=name, ContributorInsightsAction="DISABLE")
    lab.clock(advance=2)
    assert ddb.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "DISABLED"
    refused("ResourceNotFoundException", ddb.describe_contributor_insights, TableName=name, IndexName="nothing")


@pytest.mark.parametrize("operation", ["describe_limits", "describe_endpoints"])
def test_the_account_answers(ddb, operation):
    assert getattr(ddb, operation)()


def test_an_imported_table_is_a_table_of_the_lab(ddb, client, lab, name):
    s3 = client("s3")
    s3.create_bucket(Bucket="exports")
    s3.put_object(Bucket="exports", Key="one.json", Body=b'{"Item": {"pk": {"S": "a"}}}\n')
    ddb.import_table(
        S3BucketSource={"S3Bucket": "exports"},
        InputFormat="DYNAMODB_JSON",
        TableCreationParameters={
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    for _ in range(50):
        if name in ddb.list_tables()["TableNames"] and ddb.scan(TableName=name)["Count"]:
            break
        time.sleep(0.1)
    assert ddb.scan(TableName=name)["Items"] == [{"pk": {"S": "a"}}]
    assert ddb.describe_table(TableName=name)["Table"]["TableId"]
    ddb.delete_table(TableName=name)


def test_other_services_answer(client):
    assert client("kms").describe_key(KeyId="alias/lab")["KeyMetadata"]["KeyState"] == "Enabled"
    assert client("sts").get_caller_identity()["Account"] == "123456789012"
    client("rds").describe_db_clusters()
    client("s3").list_buckets()
    client("sqs").list_queues()
    secrets = client("secretsmanager")
    secrets.create_secret(Name="lab-secret", SecretString="x")
    assert secrets.get_secret_value(SecretId="lab-secret")["SecretString"] == "x"
