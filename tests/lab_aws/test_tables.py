"""A table's life: what it shows while it is made, changed and deleted, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import schema

GSI = {
    "IndexName": "by-status",
    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
STATUS = {"AttributeName": "status", "AttributeType": "S"}
PK = {"AttributeName": "pk", "AttributeType": "S"}


def shown(ddb: Any, name: str) -> dict[str, Any]:
    return ddb.describe_table(TableName=name)["Table"]


def test_a_table_is_creating_then_active_then_deleting_then_gone(ddb, lab, name, refused):
    made = ddb.create_table(TableName=name, **schema())["TableDescription"]
    assert made["TableStatus"] == "CREATING"
    assert shown(ddb, name)["TableStatus"] == "CREATING"
    assert "being created" in refused("ResourceInUseException", ddb.delete_table, TableName=name)
    assert "already exists" in refused("ResourceInUseException", ddb.create_table, TableName=name, **schema())
    refused("ResourceInUseException", ddb.update_table, TableName=name, DeletionProtectionEnabled=True)
    refused("ResourceNotFoundException", ddb.put_item, TableName=name, Item={"pk": {"S": "a"}})
    lab.clock(advance=11)
    assert shown(ddb, name)["TableStatus"] == "ACTIVE"
    assert ddb.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    assert shown(ddb, name)["TableStatus"] == "DELETING"
    assert ddb.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    refused("ResourceInUseException", ddb.update_table, TableName=name, DeletionProtectionEnabled=True)
    lab.clock(advance=11)
    message = refused("ResourceNotFoundException", ddb.describe_table, TableName=name)
    assert message == f"Requested resource not found: Table: {name} not found"
    assert name not in ddb.list_tables()["TableNames"]


def test_everything_given_at_creation_is_shown(ddb, lab, make):
    name = make(
        AttributeDefinitions=[PK, STATUS],
        GlobalSecondaryIndexes=[GSI | {"OnDemandThroughput": {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6}}],
        TableClass="STANDARD_INFREQUENT_ACCESS",
        OnDemandThroughput={"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 200},
        WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000},
        DeletionProtectionEnabled=True,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/lab"},
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    table = shown(ddb, name)
    assert re.fullmatch(r"[0-9a-f-]{36}", table["TableId"])
    assert table["TableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 200}
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000, "Status": "ACTIVE"}
    assert table["SSEDescription"]["KMSMasterKeyArn"].startswith("arn:aws:kms:us-east-1:123456789012:key/")
    assert table["DeletionProtectionEnabled"] is True
    assert table["LatestStreamArn"].startswith(f"{table['TableArn']}/stream/20")
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "LastUpdateToPayPerRequestDateTime" in table["BillingModeSummary"]
    index = table["GlobalSecondaryIndexes"][0]
    assert index["IndexStatus"] == "ACTIVE"
    assert index["OnDemandThroughput"] == {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6}
    assert ddb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_a_plain_table_shows_what_aws_leaves_out(ddb, make):
    table = shown(
        ddb, make(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    )
    for absent in (
        "SSEDescription",
        "TableClassSummary",
        "OnDemandThroughput",
        "StreamSpecification",
        "BillingModeSummary",
    ):
        assert absent not in table


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"TableName": "ab"}, "greater than or equal to 3"),
        ({"TableName": "a" * 256}, "less than or equal to 255"),
        ({"TableName": "no spaces"}, r"[a-zA-Z0-9_.-]+"),
        ({"AttributeDefinitions": [STATUS]}, "Some index key attribute have no definition"),
        ({"AttributeDefinitions": [PK, STATUS]}, "does not exactly match"),
        ({"AttributeDefinitions": [PK, {**PK, "AttributeType": "N"}]}, "Duplicate AttributeName"),
        ({"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "M"}]}, "enum value set"),
        ({"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}, "not a HASH"),
        (
            {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}]},
            "Some index key attribute have no definition",
        ),
        ({"BillingMode": "PROVISIONED"}, "must both be specified"),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}, "PAY_PER_REQUEST"),
        ({"BillingMode": "FREE"}, "enum value set"),
        (
            {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}},
            "greater than or equal to 1",
        ),
        ({"GlobalSecondaryIndexes": []}, "List of GlobalSecondaryIndexes is empty"),
        ({"GlobalSecondaryIndexes": [GSI]}, "not defined in AttributeDefinitions"),
        ({"GlobalSecondaryIndexes": [GSI, GSI], "AttributeDefinitions": [PK, STATUS]}, "Duplicate index name"),
        (
            {
                "GlobalSecondaryIndexes": [GSI | {"IndexName": f"index-{n}"} for n in range(21)],
                "AttributeDefinitions": [PK, STATUS],
            },
            "limit of 20",
        ),
        (
            {"GlobalSecondaryIndexes": [GSI | {"IndexName": "a!"}], "AttributeDefinitions": [PK, STATUS]},
            "indexName",
        ),
        (
            {
                "GlobalSecondaryIndexes": [GSI | {"Projection": {"ProjectionType": "INCLUDE"}}],
                "AttributeDefinitions": [PK, STATUS],
            },
            "NonKeyAttributes is not specified",
        ),
        (
            {
                "GlobalSecondaryIndexes": [GSI | {"Projection": {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]}}],
                "AttributeDefinitions": [PK, STATUS],
            },
            "NonKeyAttributes is specified",
        ),
        (
            {
                "LocalSecondaryIndexes": [
                    {
                        "IndexName": "local",
                        "KeySchema": [
                            {"AttributeName": "pk", "KeyType": "HASH"},
                            {"AttributeName": "status", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                ],
                "AttributeDefinitions": [PK, STATUS],
            },
            "does not have a range key",
        ),
        ({"StreamSpecification": {"StreamEnabled": True}}, "StreamViewType"),
        ({"SSESpecification": {"Enabled": True, "SSEType": "AES256"}}, "AES256"),
        ({"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "alias/lab"}}, "SSEType KMS is required"),
        ({"TableClass": "GLACIER"}, "enum value set"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 0}}, "MaxReadRequestUnits"),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 5}}, "lower than"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "limit of 50"),
        ({"Tags": [{"Key": "aws:mine", "Value": ""}]}, "reserved"),
    ],
)
def test_a_definition_that_aws_refuses(client, name, refused, wrong, words):
    ddb = client(validate=False)
    assert words in refused("ValidationException", ddb.create_table, **({"TableName": name} | schema() | wrong))


def test_updates_take_time_and_exclude_each_other(ddb, lab, make, refused):
    name = make()
    answer = ddb.update_table(TableName=name, TableClass="STANDARD_INFREQUENT_ACCESS")["TableDescription"]
    assert answer["TableStatus"] == "UPDATING"
    assert "being updated" in refused(
        "ResourceInUseException", ddb.update_table, TableName=name, OnDemandThroughput={"MaxReadRequestUnits": 5}
    )
    refused("ResourceInUseException", ddb.delete_table, TableName=name)
    lab.clock(advance=11)
    table = shown(ddb, name)
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert "LastUpdateDateTime" in table["TableClassSummary"]
    ddb.update_table(TableName=name, OnDemandThroughput={"MaxReadRequestUnits": 5})
    lab.clock(advance=11)
    assert shown(ddb, name)["OnDemandThroughput"] == {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": -1}
    ddb.update_table(TableName=name, OnDemandThroughput={"MaxReadRequestUnits": -1})
    lab.clock(advance=11)
    assert shown(ddb, name)["OnDemandThroughput"]["MaxReadRequestUnits"] == -1
    refused("ValidationException", ddb.update_table, TableName=name)


def test_encryption_changes_and_bad_keys(ddb, client, lab, make, refused, name):
    kms = client("kms")
    table = make()
    ddb.update_table(
        TableName=table, SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/lab"}
    )
    assert shown(ddb, table)["SSEDescription"]["Status"] == "UPDATING"
    lab.clock(advance=11)
    assert shown(ddb, table)["SSEDescription"]["Status"] == "ENABLED"
    again = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/lab"}
    assert "already encrypted" in refused(
        "ValidationException", ddb.update_table, TableName=table, SSESpecification=again
    )
    ddb.update_table(TableName=table, SSESpecification={"Enabled": False})
    lab.clock(advance=11)
    assert "SSEDescription" not in shown(ddb, table)
    key = kms.create_key()["KeyMetadata"]["KeyId"]

    def words(key_id: str) -> str:
        sse = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key_id}
        return refused("ValidationException", ddb.create_table, TableName=name, **schema(SSESpecification=sse))

    assert "NotFoundException" in words("alias/nothing")
    assert "NotFoundException" in words("12345678-1234-1234-1234-123456789012")
    kms.disable_key(KeyId=key)
    assert "DisabledException" in words(key)
    with pytest.raises(kms.exceptions.DisabledException):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert "KMSInvalidStateException" in words(key)


def test_encryption_changes_are_rationed(ddb, client, lab, make, refused):
    """Developer guide, "Quotas in Amazon DynamoDB", encryption at rest."""
    kms = client("kms")
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(3)]
    table = make()

    def change(number: int) -> dict[str, Any]:
        return {
            "TableName": table,
            "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": keys[number % 3]},
        }

    for number in range(4):
        ddb.update_table(**change(number))
        lab.clock(advance=11)
    assert "4 times" in refused("LimitExceededException", ddb.update_table, **change(4))
    lab.clock(advance=6 * 3600)
    ddb.update_table(**change(4))
    lab.clock(advance=11)
    refused("LimitExceededException", ddb.update_table, **change(5))
    # To the key that AWS owns at any time, and everything again in the next 24 hours of the table's life.
    ddb.update_table(TableName=table, SSESpecification={"Enabled": False})
    lab.clock(advance=18 * 3600)
    ddb.update_table(**change(5))
    lab.clock(advance=11)
    ddb.update_table(**change(6))


def test_the_class_changes_alone(ddb, lab, make, refused):
    """In AWS's words, from public reports: terraform-provider-aws, pull request 29816."""
    table = make()
    for more in ({"DeletionProtectionEnabled": True}, {"BillingMode": "PAY_PER_REQUEST"}):
        for table_class in ("STANDARD_INFREQUENT_ACCESS", "STANDARD"):
            words = refused("ValidationException", ddb.update_table, TableName=table, TableClass=table_class, **more)
            assert words.endswith("TableClass modification must be the only operation in the request")
    assert "TableClassSummary" not in shown(ddb, table)
    ddb.update_table(TableName=table, TableClass="STANDARD_INFREQUENT_ACCESS")


def test_projected_attributes_come_in_an_order_of_their_own(ddb, make):
    """Seen on AWS, cdk-real-drift 328 and aws-sdk-java 1145: a set, whatever order it was given in."""

    def index(name: str, *attributes: str) -> dict[str, Any]:
        return {
            "IndexName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": name, "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(attributes)},
        }

    table = make(
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "global", "local")],
        GlobalSecondaryIndexes=[index("global", "quebec", "foxtrot", "tango", "golf")],
        LocalSecondaryIndexes=[index("local", "b", "a")],
    )
    description = shown(ddb, table)
    orders = [
        description[kind][0]["Projection"]["NonKeyAttributes"]
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    ]
    assert orders == [["golf", "foxtrot", "tango", "quebec"], ["a", "b"]]


def test_a_table_whose_key_is_disabled_becomes_inaccessible(ddb, client, lab, make):
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    name = make(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
    kms.disable_key(KeyId=key)
    assert _eventually(lab, lambda: shown(ddb, name)["TableStatus"]) == "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
    assert "InaccessibleEncryptionDateTime" in shown(ddb, name)["SSEDescription"]
    kms.enable_key(KeyId=key)
    assert _eventually(lab, lambda: shown(ddb, name)["TableStatus"], "ACTIVE") == "ACTIVE"


def _eventually(lab: Any, look: Any, wanted: str = "INACCESSIBLE_ENCRYPTION_CREDENTIALS") -> str:
    import time

    for _ in range(50):
        lab.clock(advance=2)
        if look() == wanted:
            break
        time.sleep(0.1)
    return str(look())


def test_streams_go_on_and_off(ddb, client, lab, make, refused):
    name = make()
    on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    refused("ValidationException", ddb.update_table, TableName=name, StreamSpecification={"StreamEnabled": False})
    ddb.update_table(TableName=name, StreamSpecification=on)
    lab.clock(advance=11)
    assert "already has an enabled stream" in refused(
        "ValidationException", ddb.update_table, TableName=name, StreamSpecification=on
    )
    arn = shown(ddb, name)["LatestStreamArn"]
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}})
    ddb.update_item(
        TableName=name,
        Key={"pk": {"S": "b"}},
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    streams = client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=start["ShardIterator"])["Records"]
    assert [r["eventName"] for r in records] == ["INSERT", "INSERT"]
    ddb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    lab.clock(advance=11)
    table = shown(ddb, name)
    assert "StreamSpecification" not in table
    assert table["LatestStreamArn"] == arn


def test_deletion_protection(ddb, lab, make, refused):
    name = make(DeletionProtectionEnabled=True)
    assert "protected against deletion" in refused("ValidationException", ddb.delete_table, TableName=name)
    ddb.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert shown(ddb, name)["DeletionProtectionEnabled"] is False
    assert shown(ddb, name)["TableStatus"] == "ACTIVE"


def test_capacity_decreases_are_rationed(ddb, lab, make, refused):
    units = {"ReadCapacityUnits": 100, "WriteCapacityUnits": 100}
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=units)
    now = lab.clock()["now"]
    lab.clock(advance=86400 - now % 86400 + 5)

    def decrease(by: int = 1) -> None:
        units["ReadCapacityUnits"] -= by
        ddb.update_table(TableName=name, ProvisionedThroughput=units)
        lab.clock(advance=11)

    for _ in range(4):
        decrease()
    table = shown(ddb, name)
    assert table["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 4
    assert "LastDecreaseDateTime" in table["ProvisionedThroughput"]
    less = units | {"WriteCapacityUnits": 1}
    message = refused("LimitExceededException", ddb.update_table, TableName=name, ProvisionedThroughput=less)
    assert "Number of decreases today: 4" in message
    more = units | {"WriteCapacityUnits": 101}
    ddb.update_table(TableName=name, ProvisionedThroughput=more)
    lab.clock(advance=11)
    assert "LastIncreaseDateTime" in shown(ddb, name)["ProvisionedThroughput"]
    units["WriteCapacityUnits"] = 101
    lab.clock(advance=3600)
    decrease()
    assert "will not change" in refused(
        "ValidationException", ddb.update_table, TableName=name, ProvisionedThroughput=units
    )
    lab.clock(advance=86400)
    decrease()
    assert shown(ddb, name)["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 1


def test_billing_switches_are_rationed(ddb, lab, make, refused):
    name = make()
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    for _ in range(4):
        ddb.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=units)
        lab.clock(advance=11)
        assert shown(ddb, name)["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
        ddb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
        lab.clock(advance=11)
    ddb.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    lab.clock(advance=11)
    assert "4 times" in refused(
        "LimitExceededException", ddb.update_table, TableName=name, BillingMode="PAY_PER_REQUEST"
    )
    refused("ValidationException", ddb.update_table, TableName=name, OnDemandThroughput={"MaxReadRequestUnits": 5})
    lab.clock(advance=86400)
    ddb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")


def test_warm_throughput_only_rises(ddb, lab, make, refused):
    name = make()
    ddb.update_table(TableName=name, WarmThroughput={"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 8000})
    lab.clock(advance=11)
    assert shown(ddb, name)["WarmThroughput"]["ReadUnitsPerSecond"] == 20000
    assert "decreasing WarmThroughput is not supported" in refused(
        "ValidationException",
        ddb.update_table,
        TableName=name,
        WarmThroughput={"ReadUnitsPerSecond": 15000, "WriteUnitsPerSecond": 8000},
    )


def test_tables_are_listed_in_pages(ddb, make):
    names = sorted(make() for _ in range(5))
    first = ddb.list_tables(Limit=3)
    assert first["LastEvaluatedTableName"] == first["TableNames"][-1]
    listed = [
        n
        for page in ddb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 2})
        for n in page["TableNames"]
    ]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)


def test_limits_of_the_account(ddb, lab, make, refused, name):
    make()
    lab.settings(max_tables=len(ddb.list_tables()["TableNames"]))
    assert "Subscriber limit exceeded" in refused(
        "LimitExceededException", ddb.create_table, TableName=name, **schema()
    )
    lab.settings(max_tables=2500, max_control_plane_operations=1)
    ddb.create_table(TableName=name, **schema())
    refused("LimitExceededException", ddb.create_table, TableName=f"{name}-b", **schema())
    lab.clock(advance=11)
    lab.settings(max_control_plane_operations=500)
    ddb.delete_table(TableName=name)
    lab.clock(advance=11)
