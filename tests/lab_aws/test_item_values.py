"""Values, keys and members of requests on items: what AWS stores of them and what it refuses.

Where a test names no page of AWS's documentation, its rule was measured against AWS by the public suite
dynamodb-conformance (see architecture.md, "The lab").
"""

from __future__ import annotations

from typing import Any

import pytest

NAMED = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "B"), ("g", "S"))
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        # Developer guide, "Naming rules and data types", numbers.
        ("00042", "42"),
        ("-0", "0"),
        ("1.0", "1"),
        ("3.1400", "3.14"),
        ("1.5E2", "150"),
        ("-2.50e-2", "-0.025"),
        (".5", "0.5"),
        ("100", "100"),
        ("9" * 38, "9" * 38),
        ("1E125", "1" + "0" * 125),
    ],
)
def test_numbers_are_kept_plain(ddb, make, given, kept):
    name = make()
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "n": {"N": given}, "l": {"L": [{"NS": [given]}]}})
    item = ddb.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"]
    assert (item["n"], item["l"]) == ({"N": kept}, {"L": [{"NS": [kept]}]})
    found = ddb.scan(
        TableName=name, FilterExpression="n = :n", ExpressionAttributeValues={":n": {"N": given}}, Select="COUNT"
    )
    assert found["Count"] == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"N": "1" * 39}, "more than 38 significant digits"),
        ({"N": "1E126"}, "Number overflow"),
        ({"N": "-1E-131"}, "Number underflow"),
        ({"N": "1_0"}, "cannot be converted to a numeric value: 1_0"),
        ({"N": ""}, "cannot be converted to a numeric value"),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        ({"NS": ["1", "1.0"]}, "contains duplicates"),
        ({"NULL": False}, "Null attribute value types must have the value of true"),
        ({}, "Supplied AttributeValue is empty"),
        ({"S": "a", "N": "1"}, "more than one datatypes set"),
    ],
)
def test_values_that_are_refused_wherever_they_stand(client, make, refused, value, words):
    ddb, name = client(validate=False), make()
    for item in ({"v": value}, {"v": {"L": [value]}}, {"v": {"M": {"in": {"L": [value]}}}}):
        said = refused("ValidationException", ddb.put_item, TableName=name, Item={"pk": {"S": "a"}, **item})
        assert words in said
    said = refused(
        "ValidationException",
        ddb.update_item,
        TableName=name,
        Key={"pk": {"S": "a"}},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": value},
    )
    assert said.startswith("ExpressionAttributeValues contains invalid value: ")
    assert ddb.scan(TableName=name)["Count"] == 0


def test_values_are_nested_32_deep(ddb, make, refused):
    """Developer guide, "Quotas in Amazon DynamoDB", nested attribute depth."""
    name = make()

    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {"N": "1"}
        for _ in range(depth):
            value = {"L": [value]}
        return {"pk": {"S": "a"}, "v": value}

    ddb.put_item(TableName=name, Item=nested(32))
    said = refused("ValidationException", ddb.put_item, TableName=name, Item=nested(33))
    assert said == "Nesting Levels have exceeded supported limits"


def test_an_item_has_400_kilobytes(ddb, make, refused):
    """Developer guide, "Quotas in Amazon DynamoDB", item size."""
    name = make()
    ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "b": {"B": b"x" * (400 * 1024 - 4)}})
    large = {"pk": {"S": "a"}, "b": {"B": b"x" * (400 * 1024 - 3)}}
    assert refused("ValidationException", ddb.put_item, TableName=name, Item=large) == (
        "Item size has exceeded the maximum allowed size"
    )
    said = refused(
        "ValidationException",
        ddb.update_item,
        TableName=name,
        Key={"pk": {"S": "a"}},
        UpdateExpression="SET c = :c",
        ExpressionAttributeValues={":c": {"S": "y"}},
    )
    assert said == "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"pk": {"S": "a"}}, "One or more parameter values were invalid: Missing the key sk in the item"),
        ({"pk": {"N": "1"}, "sk": {"B": b"a"}}, "Type mismatch for key pk expected: S actual: N"),
        ({"pk": {"S": ""}, "sk": {"B": b"a"}}, "cannot contain an empty string value. Key: pk"),
        ({"pk": {"S": "a"}, "sk": {"B": b""}}, "cannot contain an empty binary value. Key: sk"),
        (
            {"pk": {"S": "a" * 2049}, "sk": {"B": b"a"}},
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
        ({"pk": {"S": "a"}, "sk": {"B": b"a" * 1025}}, "Aggregated size of all range keys has exceeded the size limit"),
        ({"pk": {"S": "a"}, "sk": {"B": b"a"}, "g": {"N": "1"}}, "Type mismatch for Index Key g Expected: S Actual: N"),
        ({"pk": {"S": "a"}, "sk": {"B": b"a"}, "g": {"S": ""}}, "IndexName: by-g, IndexKey: g"),
    ],
)
def test_items_need_the_keys_of_table_and_indexes(ddb, make, refused, item, words):
    name = make(**NAMED)
    assert words in refused("ValidationException", ddb.put_item, TableName=name, Item=item)
    batch = {name: [{"PutRequest": {"Item": item}}]}
    assert words in refused("ValidationException", ddb.batch_write_item, RequestItems=batch)


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"B": b"a"}, "g": {"S": "x"}},
    ],
)
def test_a_key_is_the_tables_and_nothing_else(ddb, make, refused, key):
    name = make(**NAMED)
    words = "The provided key element does not match the schema"
    for call in (ddb.get_item, ddb.delete_item, ddb.update_item):
        assert refused("ValidationException", call, TableName=name, Key=key) == words
    assert refused("ValidationException", ddb.batch_get_item, RequestItems={name: {"Keys": [key]}}) == words
    # In a transaction it is the reason of the part that has it.
    for call, kind in ((ddb.transact_get_items, "Get"), (ddb.transact_write_items, "Delete")):
        with pytest.raises(ddb.exceptions.TransactionCanceledException) as caught:
            call(TransactItems=[{kind: {"TableName": name, "Key": key}}])
        (reason,) = caught.value.response["CancellationReasons"]
        assert (reason["Code"], reason["Message"]) == ("ValidationError", words)


def test_members_are_checked_before_anything_else(client, refused):
    ddb = client(validate=False)
    wrong = {"ReturnValues": "X", "ReturnConsumedCapacity": "Y", "ReturnItemCollectionMetrics": "Z"}
    said = refused("ValidationException", ddb.put_item, TableName="nothing", Item={}, **wrong)
    assert said.startswith("3 validation errors detected: ")
    assert all(f"at '{n[0].lower()}{n[1:]}' failed" in said for n in wrong)
    for name, words in (
        (
            "",
            "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            "a!",
            "Value 'a!' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern",
        ),
        ("a" * 256, "Member must have length less than or equal to 255"),
    ):
        said = refused("ValidationException", ddb.put_item, TableName=name, Item={}, **wrong)
        assert said.startswith("1 validation error detected: ")
        assert words in said
    assert "at 'limit'" in refused("ValidationException", ddb.scan, TableName="nothing", Limit=0)
    assert "at 'Limit'" in refused("ValidationException", ddb.query, TableName="nothing", Limit=0)


def test_batches_are_neither_empty_nor_too_large_nor_double(client, make, refused):
    ddb, name = client(validate=False), make()
    for operation in ("batch_get_item", "batch_write_item"):
        call = getattr(ddb, operation)
        words = f"The requestItems parameter is required for {''.join(w.capitalize() for w in operation.split('_'))}"
        assert refused("ValidationException", call, RequestItems={}) == words
    keys = [{"pk": {"S": str(number)}} for number in range(101)]
    assert "Member must have length less than or equal to 100" in refused(
        "ValidationException", ddb.batch_get_item, RequestItems={name: {"Keys": keys}}
    )
    puts = [{"PutRequest": {"Item": key}} for key in keys]
    assert "Member must have length less than or equal to 25" in refused(
        "ValidationException", ddb.batch_write_item, RequestItems={name: puts[:26]}
    )
    double = [puts[0], {"DeleteRequest": {"Key": keys[0]}}]
    words = "Provided list of item keys contains duplicates"
    assert refused("ValidationException", ddb.batch_write_item, RequestItems={name: double}) == words
    assert refused("ValidationException", ddb.batch_get_item, RequestItems={name: {"Keys": keys[:1] * 2}}) == words


def test_transactions_are_neither_empty_nor_too_large_nor_double(client, make, refused):
    ddb, name = client(validate=False), make()
    gets = [{"Get": {"TableName": name, "Key": {"pk": {"S": str(number)}}}} for number in range(101)]
    puts = [{"Put": {"TableName": name, "Item": entry["Get"]["Key"]}} for entry in gets]
    for call, entries in ((ddb.transact_get_items, gets), (ddb.transact_write_items, puts)):
        assert "greater than or equal to 1" in refused("ValidationException", call, TransactItems=[])
        assert "less than or equal to 100" in refused("ValidationException", call, TransactItems=entries)
        said = refused("ValidationException", call, TransactItems=[entries[0], entries[1], entries[0]])
        assert said == "Transaction request cannot include multiple operations on one item"
    # API reference, TransactWriteItems: 4 MB over all items.
    large = [{"Put": {"TableName": name, "Item": {"pk": {"S": str(n)}, "b": {"B": b"x" * 380_000}}}} for n in range(12)]
    refused("ValidationException", ddb.transact_write_items, TransactItems=large)
    assert ddb.scan(TableName=name)["Count"] == 0


def test_item_collections_are_measured_where_there_are_local_indexes(ddb, make):
    """API reference, ItemCollectionMetrics: of tables with local secondary indexes."""
    local = {
        "IndexName": "local",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    plain = make(**NAMED)
    name = make(
        KeySchema=NAMED["KeySchema"], AttributeDefinitions=NAMED["AttributeDefinitions"], LocalSecondaryIndexes=[local]
    )
    key = {"pk": {"S": "a"}, "sk": {"B": b"a"}}
    wanted = {"ItemCollectionKey": {"pk": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    for table, found in ((name, wanted), (plain, None)):
        more: dict[str, Any] = {"TableName": table, "ReturnItemCollectionMetrics": "SIZE"}
        for answer in (
            ddb.put_item(Item=key, **more),
            ddb.update_item(Key=key, **more),
            ddb.delete_item(Key=key, **more),
        ):
            assert answer.get("ItemCollectionMetrics") == found
    batch = ddb.batch_write_item(
        RequestItems={name: [{"PutRequest": {"Item": key}}], plain: [{"PutRequest": {"Item": key}}]},
        ReturnItemCollectionMetrics="SIZE",
    )
    written = ddb.transact_write_items(
        TransactItems=[{"Put": {"TableName": name, "Item": key}}], ReturnItemCollectionMetrics="SIZE"
    )
    assert batch["ItemCollectionMetrics"] == written["ItemCollectionMetrics"] == {name: [wanted]}
    assert "ItemCollectionMetrics" not in ddb.put_item(TableName=name, Item=key)
