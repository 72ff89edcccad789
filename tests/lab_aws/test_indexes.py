"""Global secondary indexes of a living table: one at a time, with a backfill that can be watched."""

from __future__ import annotations

import datetime
import time
from typing import Any

ON_X = {"AttributeName": "x", "AttributeType": "S"}


def create(index: str, attribute: str = "x") -> dict[str, Any]:
    return {
        "AttributeDefinitions": [{"AttributeName": attribute, "AttributeType": "S"}],
        "GlobalSecondaryIndexUpdates": [
            {
                "Create": {
                    "IndexName": index,
                    "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            }
        ],
    }


def delete(index: str) -> dict[str, Any]:
    return {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": index}}]}


def shown(ddb: Any, name: str) -> tuple[str, dict[str, Any]]:
    table = ddb.describe_table(TableName=name)["Table"]
    return table["TableStatus"], {i["IndexName"]: i for i in table.get("GlobalSecondaryIndexes", [])}


def test_an_index_is_allocated_backfilled_and_active(ddb, lab, make, refused):
    name = make()
    for n in range(100):
        ddb.put_item(TableName=name, Item={"pk": {"S": str(n)}, "x": {"S": "same"}})
    ddb.update_table(TableName=name, **create("by-x"))
    status, indexes = shown(ddb, name)
    assert status == "UPDATING"
    assert (indexes["by-x"]["IndexStatus"], indexes["by-x"]["Backfilling"]) == ("CREATING", False)
    refused("ResourceInUseException", ddb.update_table, TableName=name, **create("by-y", "y"))
    lab.clock(advance=15)
    status, indexes = shown(ddb, name)
    assert status == "ACTIVE"
    assert (indexes["by-x"]["IndexStatus"], indexes["by-x"]["Backfilling"]) == ("CREATING", True)
    first = indexes["by-x"]["ItemCount"]
    assert 0 < first < 100
    assert "Only 1 online index" in refused(
        "LimitExceededException", ddb.update_table, TableName=name, **create("by-y", "y")
    )
    refused("ResourceInUseException", ddb.delete_table, TableName=name)
    assert "backfilling" in refused(
        "ValidationException",
        ddb.query,
        TableName=name,
        IndexName="by-x",
        KeyConditionExpression="x = :x",
        ExpressionAttributeValues={":x": {"S": "same"}},
    )
    ddb.update_table(TableName=name, OnDemandThroughput={"MaxReadRequestUnits": 500})
    lab.clock(advance=11)
    assert shown(ddb, name)[1]["by-x"]["ItemCount"] > first
    lab.clock(advance=30)
    index = shown(ddb, name)[1]["by-x"]
    assert (index["IndexStatus"], index["ItemCount"]) == ("ACTIVE", 100)
    assert index["IndexSizeBytes"] > 0
    assert "Backfilling" not in index
    assert "already exists" in refused("ValidationException", ddb.update_table, TableName=name, **create("by-x"))


def test_the_backfill_is_published_as_a_percentage(ddb, client, lab, make):
    name = make()
    ddb.update_table(TableName=name, **create("by-x"))
    cloudwatch = client("cloudwatch")
    dimensions = [
        {"Name": "TableName", "Value": name},
        {"Name": "GlobalSecondaryIndexName", "Value": "by-x"},
    ]
    values: list[float] = []
    for _ in range(40):
        lab.clock(advance=2)
        time.sleep(0.12)
        now = datetime.datetime.fromtimestamp(lab.clock()["now"], datetime.UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/DynamoDB",
            MetricName="OnlineIndexPercentageProgress",
            Dimensions=dimensions,
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now + datetime.timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        values += [p["Maximum"] for p in points]
        if values and 0 < max(values) < 100:
            break
    assert 0 < max(values) <= 100


def test_two_indexes_in_one_call_are_refused(ddb, make, refused):
    name = make()
    both = create("by-x")["GlobalSecondaryIndexUpdates"] + create("by-y", "y")["GlobalSecondaryIndexUpdates"]
    attributes = [ON_X, {"AttributeName": "y", "AttributeType": "S"}]
    assert "Only 1 online index" in refused(
        "LimitExceededException",
        ddb.update_table,
        TableName=name,
        AttributeDefinitions=attributes,
        GlobalSecondaryIndexUpdates=both,
    )
    assert shown(ddb, name) == ("ACTIVE", {})


def test_what_an_index_needs(ddb, make, refused):
    name = make()
    bare = create("by-x") | {"AttributeDefinitions": []}
    assert "not defined" in refused("ValidationException", ddb.update_table, TableName=name, **bare)
    twice = create("by-pk", "pk") | {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "N"}]}
    assert "cannot be modified" in refused("ValidationException", ddb.update_table, TableName=name, **twice)
    extra = create("by-x")
    extra["AttributeDefinitions"].append({"AttributeName": "unused", "AttributeType": "S"})
    assert "not used" in refused("ValidationException", ddb.update_table, TableName=name, **extra)
    refused("ResourceNotFoundException", ddb.update_table, TableName=name, **delete("nothing"))


def test_an_index_is_deleted_even_while_it_backfills(ddb, lab, make):
    name = make()
    ddb.update_table(TableName=name, **create("by-x"))
    lab.clock(advance=15)
    ddb.update_table(TableName=name, **delete("by-x"))
    status, indexes = shown(ddb, name)
    assert (status, indexes["by-x"]["IndexStatus"]) == ("UPDATING", "DELETING")
    lab.clock(advance=60)
    table = ddb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert "GlobalSecondaryIndexes" not in table
    assert table["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "S"}]


def test_an_index_of_a_provisioned_table_has_its_own_capacity(ddb, lab, make, refused):
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput=units)
    assert "must both be specified" in refused(
        "ValidationException", ddb.update_table, TableName=name, **create("by-x")
    )
    wanted = create("by-x")
    wanted["GlobalSecondaryIndexUpdates"][0]["Create"]["ProvisionedThroughput"] = units
    ddb.update_table(TableName=name, **wanted)
    lab.clock(advance=60)
    change = {"IndexName": "by-x", "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 3}}
    ddb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Update": change}])
    status, indexes = shown(ddb, name)
    assert (status, indexes["by-x"]["IndexStatus"]) == ("UPDATING", "UPDATING")
    lab.clock(advance=11)
    throughput = shown(ddb, name)[1]["by-x"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["NumberOfDecreasesToday"]) == (7, 1)
    assert "ProvisionedThroughput must be specified for index" in _switch(ddb, lab, name, refused)


def _switch(ddb: Any, lab: Any, name: str, refused: Any) -> str:
    ddb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    lab.clock(advance=11)
    return refused(
        "ValidationException",
        ddb.update_table,
        TableName=name,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
