"""Items: consumed capacity, throttling, transactions, atomicity."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

KEYS = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "status", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-status",
            "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "status", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def item(sk: int, size: int = 0, **more: Any) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"N": str(sk)}} | ({"body": {"S": "x" * size}} if size else {}) | more


def test_writes_cost_by_the_kilobyte_and_by_the_index(ddb, make):
    name = make(**KEYS)
    big = item(1, 9000, status={"S": "new"})
    cost = ddb.put_item(TableName=name, Item=big, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert cost["Table"]["CapacityUnits"] == 9
    assert cost["GlobalSecondaryIndexes"]["by-status"]["CapacityUnits"] == 1
    assert cost["LocalSecondaryIndexes"]["local"]["CapacityUnits"] == 9
    assert cost["CapacityUnits"] == 19

    def update(expression: str, **values: Any) -> dict[str, Any]:
        return ddb.update_item(
            TableName=name,
            Key={"pk": {"S": "p"}, "sk": {"N": "1"}},
            UpdateExpression=expression,
            ExpressionAttributeNames={"#s": "status"} if "#s" in expression else {"#n": "n"},
            ExpressionAttributeValues=values,
            ReturnConsumedCapacity="INDEXES",
        )["ConsumedCapacity"]

    unprojected = update("SET #n = :n", **{":n": {"N": "1"}})
    assert "GlobalSecondaryIndexes" not in unprojected
    moved = update("SET #s = :s", **{":s": {"S": "old"}})
    assert moved["GlobalSecondaryIndexes"]["by-status"]["CapacityUnits"] == 2
    gone = ddb.delete_item(TableName=name, Key={"pk": {"S": "p"}, "sk": {"N": "1"}}, ReturnConsumedCapacity="TOTAL")[
        "ConsumedCapacity"
    ]
    assert gone == {"TableName": name, "CapacityUnits": 19.0}


def test_reads_cost_by_four_kilobytes_half_when_eventual(ddb, make):
    name = make(**KEYS)
    for sk in range(4):
        ddb.put_item(TableName=name, Item=item(sk, 3000, status={"S": "new"}))
    key = {"pk": {"S": "p"}, "sk": {"N": "1"}}

    def get(**more: Any) -> float:
        answer = ddb.get_item(TableName=name, Key=key, ReturnConsumedCapacity="TOTAL", **more)
        return answer["ConsumedCapacity"]["CapacityUnits"]

    assert get() == 0.5
    assert get(ConsistentRead=True) == 1.0
    assert get(ProjectionExpression="pk") == 0.5
    query = {
        "TableName": name,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "p"}},
        "ReturnConsumedCapacity": "INDEXES",
    }
    answer = ddb.query(**query, ConsistentRead=True)
    assert answer["ConsumedCapacity"]["Table"]["CapacityUnits"] == 3.0
    assert ddb.query(**query)["ConsumedCapacity"]["CapacityUnits"] == 1.5
    filtered = ddb.query(
        **(query | {"ExpressionAttributeValues": {":p": {"S": "p"}, ":z": {"S": "z"}}}), FilterExpression="body = :z"
    )
    assert (filtered["Count"], filtered["ScannedCount"]) == (0, 4)
    assert filtered["ConsumedCapacity"]["CapacityUnits"] == 1.5
    index = ddb.query(
        TableName=name,
        IndexName="by-status",
        KeyConditionExpression="#s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "new"}},
        ReturnConsumedCapacity="INDEXES",
    )
    assert index["ConsumedCapacity"]["GlobalSecondaryIndexes"] == {"by-status": {"CapacityUnits": 0.5}}
    assert set(index["Items"][0]) == {"pk", "sk", "status"}
    assert ddb.scan(TableName=name, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"] == 1.5
    first = ddb.scan(TableName=name, Limit=3)
    rest = ddb.scan(TableName=name, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert (first["Count"], rest["Count"]) == (3, 1)


def test_batches_and_transactions_say_what_they_cost(ddb, make):
    name = make(**KEYS)
    wrote = ddb.batch_write_item(
        RequestItems={name: [{"PutRequest": {"Item": item(n, 1500)}} for n in range(3)]}, ReturnConsumedCapacity="TOTAL"
    )
    assert wrote["ConsumedCapacity"] == [{"TableName": name, "CapacityUnits": 6.0}]
    keys = [{"pk": {"S": "p"}, "sk": {"N": str(n)}} for n in range(3)]
    read = ddb.batch_get_item(RequestItems={name: {"Keys": keys}}, ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"] == [{"TableName": name, "CapacityUnits": 1.5}]
    assert len(read["Responses"][name]) == 3
    put = {"Put": {"TableName": name, "Item": item(9, 1500)}}
    done = ddb.transact_write_items(TransactItems=[put], ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"][0]
    assert (done["CapacityUnits"], done["WriteCapacityUnits"]) == (4.0, 4.0)
    got = ddb.transact_get_items(
        TransactItems=[{"Get": {"TableName": name, "Key": keys[0]}}], ReturnConsumedCapacity="TOTAL"
    )
    assert got["ConsumedCapacity"][0]["CapacityUnits"] == 2.0
    assert got["Responses"][0]["Item"]["sk"] == {"N": "0"}


def test_a_transaction_is_all_or_nothing(ddb, lab, make, refused):
    name = make(**KEYS)
    ddb.put_item(TableName=name, Item=item(1))
    entries = [
        {"Put": {"TableName": name, "Item": item(2)}},
        {"Delete": {"TableName": name, "Key": {"pk": {"S": "p"}, "sk": {"N": "1"}}}},
        {"Put": {"TableName": name, "Item": item(1), "ConditionExpression": "attribute_not_exists(pk)"}},
    ]
    assert "multiple operations on one item" in refused(
        "ValidationException", ddb.transact_write_items, TransactItems=entries
    )
    entries[1] = {
        "ConditionCheck": {
            "TableName": name,
            "Key": {"pk": {"S": "p"}, "sk": {"N": "7"}},
            "ConditionExpression": "attribute_exists(pk)",
        }
    }
    with pytest.raises(ddb.exceptions.TransactionCanceledException) as caught:
        ddb.transact_write_items(TransactItems=entries)
    reasons = [r["Code"] for r in caught.value.response["CancellationReasons"]]
    assert reasons == ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]
    assert ddb.scan(TableName=name)["Count"] == 1
    token = {"ClientRequestToken": "once"}
    add = {
        "Update": {
            "TableName": name,
            "Key": {"pk": {"S": "p"}, "sk": {"N": "1"}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    for _ in range(2):
        ddb.transact_write_items(TransactItems=[add], **token)
    stored = ddb.get_item(TableName=name, Key={"pk": {"S": "p"}, "sk": {"N": "1"}})["Item"]
    assert stored["n"] == {"N": "1"}
    refused("IdempotentParameterMismatchException", ddb.transact_write_items, TransactItems=[entries[0]], **token)


def until_refused(function: Any, times: int, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """How often it went well before it was refused, and the refusal."""
    for done in range(times):
        try:
            function(**arguments)
        except ClientError as error:
            return done, error.response
    pytest.fail(f"{times} calls were never refused")


def test_a_provisioned_table_throttles_when_its_burst_is_used(ddb, lab, make):
    name = make(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    big = {"pk": {"S": "a"}, "body": {"S": "x" * 10_000}}
    lab.clock(speed=0.001)
    puts, refusal = until_refused(ddb.put_item, 100, TableName=name, Item=big)
    assert 29 <= puts <= 31
    assert refusal["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert refusal["ThrottlingReasons"][0]["reason"] == "TableWriteProvisionedThroughputExceeded"
    lab.clock(advance=1)
    left = ddb.batch_write_item(
        RequestItems={name: [{"PutRequest": {"Item": {"pk": {"S": "s"}}}}, {"PutRequest": {"Item": big}}]}
    )
    assert left["UnprocessedItems"] == {name: [{"PutRequest": {"Item": big}}]}
    lab.clock(advance=20)
    ddb.put_item(TableName=name, Item=big)
    _, refusal = until_refused(ddb.get_item, 700, TableName=name, Key={"pk": {"S": "a"}})
    assert refusal["Error"]["Code"] == "ProvisionedThroughputExceededException"


def test_an_index_throttles_the_table(ddb, lab, make):
    units = {"ReadCapacityUnits": 100, "WriteCapacityUnits": 100}
    index = KEYS["GlobalSecondaryIndexes"][0] | {
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    }
    name = make(
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        **{k: v for k, v in KEYS.items() if k not in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")},
        GlobalSecondaryIndexes=[index],
    )
    lab.clock(speed=0.001)
    for number in range(150):
        ddb.put_item(TableName=name, Item=item(number, status={"S": "a"}))
    moved = {
        "TableName": name,
        "Key": {"pk": {"S": "p"}, "sk": {"N": "0"}},
        "UpdateExpression": "SET #s = :new",
        "ExpressionAttributeNames": {"#s": "status"},
    }
    values = iter(range(100))

    def move() -> None:
        ddb.update_item(**moved, ExpressionAttributeValues={":new": {"S": str(next(values))}})

    _, refusal = until_refused(move, 100)
    assert refusal["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert "global secondary indexes" in refusal["Error"]["Message"]
    assert refusal["ThrottlingReasons"][0]["resource"].endswith("/index/by-status")
    ddb.put_item(TableName=name, Item=item(1000))


def test_a_cap_on_an_on_demand_table_throttles(ddb, lab, make, refused):
    name = make(OnDemandThroughput={"MaxWriteRequestUnits": 5, "MaxReadRequestUnits": 5})
    lab.clock(speed=0.001)
    for n in range(5):
        ddb.put_item(TableName=name, Item={"pk": {"S": str(n)}})
    assert "maximum OnDemandThroughput" in refused(
        "ThrottlingException", ddb.put_item, TableName=name, Item={"pk": {"S": "x"}}
    )


def test_the_previous_peak_limits_an_on_demand_table(ddb, lab, make):
    lab.settings(throttle_previous_peak=True)
    name = make()
    lab.clock(speed=0.0001)
    big = {"pk": {"S": "a"}, "body": {"S": "x" * 399_000}}
    done, refusal = until_refused(ddb.put_item, 15, TableName=name, Item=big)
    assert done == 10
    assert "current capacity" in refusal["Error"]["Message"]


def test_conditional_writes_are_atomic(client, make):
    name = make()
    clients = [client() for _ in range(8)]

    def race(number: int) -> int:
        own, wins = clients[number % 8], 0
        for n in range(20):
            own.update_item(
                TableName=name,
                Key={"pk": {"S": "counter"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
            try:
                own.put_item(
                    TableName=name, Item={"pk": {"S": f"lock-{n}"}}, ConditionExpression="attribute_not_exists(pk)"
                )
                wins += 1
            except own.exceptions.ConditionalCheckFailedException:
                continue
        return wins

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 20
    counted = clients[0].get_item(TableName=name, Key={"pk": {"S": "counter"}}, ConsistentRead=True)["Item"]
    assert counted["n"] == {"N": "160"}


def test_a_failed_update_changes_nothing(ddb, make, refused):
    name = make()
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "n": {"N": "1"}, "s": {"S": "text"}})
    refused(
        "ValidationException",
        ddb.update_item,
        TableName=name,
        Key={"pk": {"S": "a"}},
        UpdateExpression="SET n = :five, s = s + :five",
        ExpressionAttributeValues={":five": {"N": "5"}},
    )
    assert ddb.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"]["n"] == {"N": "1"}


def test_every_type_survives(ddb, make):
    name = make()
    stored = {
        "pk": {"S": "a"},
        "b": {"B": b"\x00\xff"},
        "bs": {"BS": [b"a", b"b"]},
        "ns": {"NS": ["1", "2.5"]},
        "ss": {"SS": ["x", "y"]},
        "m": {"M": {"l": {"L": [{"BOOL": True}, {"NULL": True}, {"B": b"z"}]}}},
    }
    ddb.put_item(TableName=name, Item=stored)
    assert ddb.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"] == stored
    assert ddb.scan(TableName=name)["Items"] == [stored]


def test_partiql_reads(ddb, make):
    name = make()
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "n": {"N": "1"}})
    found = ddb.execute_statement(Statement=f"SELECT * FROM \"{name}\" WHERE pk = 'a'")["Items"]
    assert found == [{"pk": {"S": "a"}, "n": {"N": "1"}}]


def test_expired_items_are_deleted_and_the_stream_says_by_whom(ddb, client, lab, make):
    name = make(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    ddb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "at"})
    lab.clock(advance=2)
    now = int(lab.clock()["now"])
    for key, at in (("old", now - 10), ("ancient", now - 6 * 365 * 86400), ("young", now + 10**6)):
        ddb.put_item(TableName=name, Item={"pk": {"S": key}, "at": {"N": str(at)}})
    ddb.put_item(TableName=name, Item={"pk": {"S": "text"}, "at": {"S": "1"}})
    for _ in range(50):
        lab.clock(advance=31)
        left = {i["pk"]["S"] for i in ddb.scan(TableName=name)["Items"]}
        if "old" not in left:
            break
        time.sleep(0.1)
    assert left == {"ancient", "young", "text"}
    streams = client("dynamodbstreams")
    arn = ddb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    removed = [
        r for r in streams.get_records(ShardIterator=start["ShardIterator"])["Records"] if r["eventName"] == "REMOVE"
    ]
    assert [r["userIdentity"] for r in removed] == [{"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}]
