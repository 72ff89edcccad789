"""Query and Scan: order, keys, pages, projections of indexes, segments.

Where a test names no page of AWS's documentation, its rule was measured against AWS by the public suite
dynamodb-conformance (see architecture.md, "The lab").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def keys(kind: str, **more: Any) -> dict[str, Any]:
    """A table whose sort key is of that type."""
    return {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": kind},
        ],
    } | more


def index(name: str, *schema: tuple[str, str], **projection: Any) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": attribute, "KeyType": kind} for attribute, kind in schema],
        "Projection": projection or {"ProjectionType": "ALL"},
    }


ORDERS = keys(
    "N",
    AttributeDefinitions=[
        {"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"), ("h", "N"))
    ],
    GlobalSecondaryIndexes=[
        index("by-g", ("g", "HASH"), ("h", "RANGE")),
        index("narrow", ("g", "HASH"), ProjectionType="INCLUDE", NonKeyAttributes=["kept"]),
    ],
    LocalSecondaryIndexes=[index("local", ("pk", "HASH"), ("h", "RANGE"), ProjectionType="KEYS_ONLY")],
)


@pytest.fixture
def orders(ddb: Any, make: Callable[..., str]) -> str:
    """Twelve items of two partitions; the last of each partition is in no index."""
    name = make(**ORDERS)
    for partition in ("a", "b"):
        for number in range(6):
            item = {"pk": {"S": partition}, "sk": {"N": str(number)}, "kept": {"S": "k"}, "left": {"S": "l"}}
            if number < 5:
                item |= {"g": {"S": "even" if number % 2 == 0 else "odd"}, "h": {"N": str(-number)}}
            ddb.put_item(TableName=name, Item=item)
    return name


def asked(**values: Any) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        # Developer guide, "Naming rules and data types": binaries bytewise and unsigned, text by its UTF-8, numbers by size.
        ("B", [b"\x01", b"\x01\x02", b"\x02", b"\x7f", b"\x80", b"\xff", b"\xff\x00"]),
        ("S", ["", "A", "Z", "a", "a!", "é", "～", "😀"][1:]),
        ("N", ["-10", "-2.5", "0", "0.1", "2", "10"]),
    ],
)
def test_sort_keys_have_the_order_of_their_type(ddb, make, kind, given):
    name = make(**keys(kind))
    for value in reversed(given):
        ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "sk": {kind: value}})

    def found(condition: str, forward: bool = True, **values: Any) -> list[Any]:
        answer = ddb.query(
            TableName=name,
            KeyConditionExpression=f"pk = :pk{condition}",
            ScanIndexForward=forward,
            **asked(pk={"S": "a"}, **values),
        )
        return [item["sk"][kind] for item in answer["Items"]]

    assert found("") == given
    assert found("", forward=False) == given[::-1]
    assert found(" AND sk > :v", v={kind: given[1]}) == given[2:]
    assert found(" AND sk <= :v", v={kind: given[1]}) == given[:2]
    assert found(" AND sk BETWEEN :v AND :w", v={kind: given[2]}, w={kind: given[4]}) == given[2:5]
    if kind != "N":
        start = given[0][:1]
        assert found(" AND begins_with(sk, :v)", v={kind: start}) == [v for v in given if v[:1] == start]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("", "Invalid KeyConditionExpression: The expression can not be empty;"),
        ("sk = :n", "Query condition missed key schema element: pk"),
        ("pk > :s", "Query key condition not supported"),
        ("pk = :s AND kept = :s", "Query condition missed key schema element: sk"),
        ("pk = :s AND sk = :n AND kept = :s", "Query key condition not supported"),
        ("pk = :s OR sk = :n", "Invalid operator used in KeyConditionExpression: OR"),
        ("pk = :s AND NOT sk = :n", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk = :s AND sk <> :n", "Invalid operator used in KeyConditionExpression: <>"),
        ("pk = :s AND contains(sk, :n)", "Invalid operator used in KeyConditionExpression: contains"),
        ("pk = :s AND sk > :n AND sk < :n", "KeyConditionExpressions must only contain one condition per key"),
        ("pk = sk", "Multiple attribute names used in one condition"),
        ("pk.part = :s", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("pk = :n", "Condition parameter type does not match schema type"),
        ("pk = :empty", "cannot contain an empty string value. Key: pk"),
    ],
)
def test_key_conditions_that_are_refused(ddb, orders, refused, condition, words):
    given = {":s": {"S": "a"}, ":n": {"N": "1"}, ":empty": {"S": ""}}
    named = {name: value for name, value in given.items() if name in condition}
    more = {"ExpressionAttributeValues": named} if named else {}
    assert words in refused(
        "ValidationException", ddb.query, TableName=orders, KeyConditionExpression=condition, **more
    )


def test_key_conditions_in_parentheses_and_in_any_order(ddb, orders):
    for condition in (
        "(pk = :s) AND (sk < :n)",
        "sk < :n AND pk = :s",
        "((pk = :s) AND sk < :n)",
        ":n > sk AND :s = pk",
    ):
        found = ddb.query(
            TableName=orders, KeyConditionExpression=condition, **asked(s={"S": "b"}, n={"N": "2"}), Select="COUNT"
        )
        assert (found["Count"], "Items" in found) == (2, False)


def test_a_filter_is_not_about_the_key_and_comes_after_the_page(ddb, orders, refused):
    """Developer guide, "Filter expressions for the Query operation"."""
    query = {"TableName": orders, "KeyConditionExpression": "pk = :s"}
    said = refused(
        "ValidationException",
        ddb.query,
        **query,
        FilterExpression="sk > :n",
        **asked(s={"S": "a"}, n={"N": "1"}),
    )
    assert said == "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"
    page = ddb.query(**query, FilterExpression="g = :g", Limit=4, **asked(s={"S": "a"}, g={"S": "odd"}))
    assert (page["Count"], page["ScannedCount"]) == (2, 4)
    assert page["LastEvaluatedKey"] == {"pk": {"S": "a"}, "sk": {"N": "3"}}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_hold_everything_once(ddb, orders, limit, forward):
    """Developer guide, "Paginating table query results": the last key may come with nothing behind it."""

    def pages(operation: str, **more: Any) -> list[dict[str, Any]]:
        found = list(
            ddb.get_paginator(operation).paginate(TableName=orders, PaginationConfig={"PageSize": limit}, **more)
        )
        assert all(page["ScannedCount"] <= limit for page in found)
        assert all("LastEvaluatedKey" in page for page in found if page["ScannedCount"] == limit)
        return [item for page in found for item in page["Items"]]

    table = {"KeyConditionExpression": "pk = :s", "ScanIndexForward": forward, **asked(s={"S": "a"})}
    assert [item["sk"]["N"] for item in pages("query", **table)] == [
        str(n) for n in sorted(range(6), reverse=not forward)
    ]
    by_g = {
        "IndexName": "by-g",
        "KeyConditionExpression": "g = :s",
        "ScanIndexForward": forward,
        **asked(s={"S": "even"}),
    }
    found = [(item["h"]["N"], item["pk"]["S"]) for item in pages("query", **by_g)]
    assert sorted(found, key=lambda pair: (float(pair[0]), pair[1]), reverse=not forward) == found
    assert len(set(found)) == 6
    for name, count in ((None, 12), ("by-g", 10), ("local", 10)):
        scanned = pages("scan", **({"IndexName": name} if name else {}))
        assert len({(item["pk"]["S"], item["sk"]["N"]) for item in scanned}) == len(scanned) == count


def test_a_start_is_a_key(ddb, orders, refused):
    for start in (
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "g": {"S": "x"}},
        {"pk": {"S": "a"}, "sk": {"S": "1"}},
    ):
        said = refused("ValidationException", ddb.scan, TableName=orders, ExclusiveStartKey=start)
        assert said.startswith("The provided starting key is invalid")


def test_an_index_answers_with_what_it_projects(ddb, orders, refused):
    """Developer guide, "Attribute projections"; API reference, Query, Select."""
    narrow = {"TableName": orders, "IndexName": "narrow", "KeyConditionExpression": "g = :g", **asked(g={"S": "odd"})}
    local = {"TableName": orders, "IndexName": "local", "KeyConditionExpression": "pk = :p", **asked(p={"S": "a"})}
    assert {frozenset(item) for item in ddb.query(**narrow)["Items"]} == {frozenset(("pk", "sk", "g", "kept"))}
    assert {frozenset(item) for item in ddb.query(**local)["Items"]} == {frozenset(("pk", "sk", "h"))}
    # A local index fetches the rest from its table; a global one cannot.
    assert "left" in ddb.query(**local, Select="ALL_ATTRIBUTES")["Items"][0]
    assert ddb.query(**local, ProjectionExpression="#l", ExpressionAttributeNames={"#l": "left"})["Items"][0] == {
        "left": {"S": "l"}
    }
    assert "ALL_ATTRIBUTES is not supported" in refused(
        "ValidationException", ddb.query, **narrow, Select="ALL_ATTRIBUTES"
    )
    more = {"ProjectionExpression": "#l", "ExpressionAttributeNames": {"#l": "left"}}
    assert refused("ValidationException", ddb.query, **narrow, **more).endswith("does not project [left]")
    assert refused("ValidationException", ddb.query, **narrow, ConsistentRead=True) == (
        "Consistent reads are not supported on global secondary indexes"
    )
    for call, given in ((ddb.scan, {"TableName": orders}), (ddb.query, narrow)):
        said = refused("ValidationException", call, **{**given, "IndexName": "nothing"})
        assert said == "The table does not have the specified index: nothing"


def test_segments_are_a_scan_in_parts(ddb, make, refused):
    """Developer guide, "Parallel scan"."""
    name = make()
    for number in range(40):
        ddb.put_item(TableName=name, Item={"pk": {"S": f"k{number}"}})
    parts = [ddb.scan(TableName=name, Segment=part, TotalSegments=4)["Items"] for part in range(4)]
    assert sorted(item["pk"]["S"] for part in parts for item in part) == sorted(f"k{number}" for number in range(40))
    assert all(parts)
    said = refused("ValidationException", ddb.scan, TableName=name, Segment=4, TotalSegments=4)
    assert said.endswith("Segment: 4 is not less than TotalSegments: 4")
    refused("ValidationException", ddb.scan, TableName=name, Segment=0)


def test_a_page_is_a_megabyte(ddb, make):
    """Developer guide, "Paginating table query results": at most 1 MB is read for a page."""
    name = make(**keys("N"))
    for number in range(6):
        ddb.put_item(TableName=name, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "b": {"B": b"x" * 300_000}})
    page = ddb.query(TableName=name, KeyConditionExpression="pk = :s", **asked(s={"S": "a"}))
    assert (page["Count"], page["LastEvaluatedKey"]["sk"]) == (3, {"N": "2"})
    assert ddb.scan(TableName=name, ExclusiveStartKey=page["LastEvaluatedKey"])["Count"] == 3


def test_the_older_parameters_read_the_same(ddb, orders, refused):
    """Developer guide, "Legacy conditional parameters": KeyConditions, QueryFilter, ScanFilter."""

    def one(operator: str, *values: Any) -> dict[str, Any]:
        return {"ComparisonOperator": operator, "AttributeValueList": list(values)}

    found = ddb.query(
        TableName=orders,
        KeyConditions={"pk": one("EQ", {"S": "a"}), "sk": one("BETWEEN", {"N": "1"}, {"N": "4"})},
        QueryFilter={"g": one("EQ", {"S": "odd"}), "absent": one("NOT_NULL")},
        ConditionalOperator="OR",
    )
    assert [item["sk"]["N"] for item in found["Items"]] == ["1", "3"]
    filters = {"g": one("IN", {"S": "odd"}, {"S": "none"}), "h": one("LT", {"N": "-1"})}
    assert ddb.scan(TableName=orders, ScanFilter=filters)["Count"] == 2
    said = refused("ValidationException", ddb.scan, TableName=orders, ScanFilter={"g": one("BETWEEN", {"S": "a"})})
    assert "Invalid number of argument(s) for the BETWEEN ComparisonOperator" in said
