"""Expressions and the older parameters: what they find, change and refuse.

Where a test names no page of AWS's documentation, its rule was measured against AWS by the public suite
dynamodb-conformance (see architecture.md, "The lab").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

KEY = {"pk": {"S": "a"}}
ITEM = {
    **KEY,
    "n": {"N": "5"},
    "s": {"S": "straße"},
    "b": {"B": b"\x01\x02\xff"},
    "tags": {"SS": ["x", "y"]},
    "ns": {"NS": ["1", "2.5"]},
    "l": {"L": [{"S": "zero"}, {"M": {"name": {"S": "one"}, "more": {"N": "1"}}}, {"N": "2"}]},
    "m": {"M": {"nest": {"M": {"deep": {"BOOL": True}}}, "many": {"L": [{"N": "1"}]}}},
    "nil": {"NULL": True},
}
WORDS = {":five": {"N": "5"}, ":s": {"S": "str"}, ":b": {"B": b"\x01\x02"}, ":x": {"S": "x"}, ":list": {"L": []}}


def used(expression: str, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that the expression names."""
    named = {name: given[name] for name in re.findall(r":\w+", expression) if name in given}
    return {"ExpressionAttributeValues": named} if named else {}


@pytest.fixture
def table(ddb: Any, make: Callable[..., str]) -> str:
    name = make()
    ddb.put_item(TableName=name, Item=ITEM)
    return name


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        # Developer guide, "Condition and filter expressions, operators, and functions".
        ("n = :five AND NOT n <> :five", True),
        ("n < :five OR n >= :five", True),
        ("n = :s", False),
        ("absent = :s", False),
        ("absent <> :s", True),
        ("absent < :five", False),
        ("n BETWEEN :five AND :five", True),
        ("n IN (:s, :five)", True),
        ("attribute_exists(m.nest.deep) AND attribute_not_exists(m.nest.extra)", True),
        ("attribute_exists(l[1].more) AND attribute_not_exists(l[7])", True),
        ("begins_with(s, :s)", True),
        ("begins_with(b, :b)", True),
        ("begins_with(n, :s)", False),
        ("contains(tags, :x) AND contains(ns, :five)", False),
        ("contains(tags, :x)", True),
        ("contains(b, :b)", True),
        ("size(b) < :five AND size(s) > :five", True),
        ("size(absent) < :five", False),
        ("size(n) < :five", False),
        ("((n = :five) OR (n = :s)) AND (attribute_exists(s))", True),
    ],
)
def test_conditions(ddb, table, condition, holds):
    found = ddb.scan(TableName=table, FilterExpression=condition, **used(condition, WORDS))
    assert (found["Count"], found["ScannedCount"]) == (int(holds), 1)
    try:
        ddb.put_item(TableName=table, Item=ITEM, ConditionExpression=condition, **used(condition, WORDS))
        assert holds
    except ddb.exceptions.ConditionalCheckFailedException:
        assert not holds


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("((n = :five))", "The expression has redundant parentheses;"),
        ("n = ", 'Syntax error; token: "<EOF>", near: "="'),
        ("n == :five", 'Syntax error; token: "=", near: "== :five"'),
        ("n ! :five", 'Syntax error; token: "!", near: "n ! "'),
        ("name = :five", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("#n = :five", "An expression attribute name used in the document path is not defined; attribute name: #n"),
        ("n = :nothing", "An expression attribute value used in expression is not defined; attribute value: :nothing"),
        ("starts(n, :five)", "Invalid function name; function: starts"),
        ("n = contains(s, :s)", "not allowed to be used this way in an expression; function: contains"),
        ("begins_with(n)", "operator or function: begins_with, number of operands: 1"),
        ("begins_with(n, :five)", "operator or function: begins_with, operand type: N"),
        ("attribute_type(n, :x)", "Invalid attribute type name found; type: x, valid types: "),
        ("n BETWEEN :five AND :s", "requires same data type for lower and upper bounds"),
        ("s BETWEEN :x AND :s", "requires upper bound to be greater than or equal to lower bound"),
        ("n < :list", "operator or function: <, operand type: L"),
        ("n = n", "The first operand must be distinct from the remaining operands"),
        ("(" * 200 + "n = :five" + ")" * 200, "nested too deeply"),
        ("n = :five OR " * 500 + "n = :five", "Expression size has exceeded the maximum allowed size"),
    ],
)
def test_conditions_that_are_refused(ddb, table, refused, condition, words):
    given = {"Key": KEY, "ConditionExpression": condition, **used(condition, WORDS)}
    said = refused("ValidationException", ddb.delete_item, TableName=table, **given)
    assert said.startswith("Invalid ConditionExpression: ")
    assert words in said


@pytest.mark.parametrize(
    ("paths", "names", "wanted"),
    [
        # Developer guide, "Using projection expressions" and "Referring to item attributes".
        ("l[1]", {}, {"l": {"L": [ITEM["l"]["L"][1]]}}),
        ("#l[2], #l[0]", {"#l": "l"}, {"l": {"L": [{"S": "zero"}, {"N": "2"}]}}),
        ("l[1].#n, m.nest", {"#n": "name"}, {"l": {"L": [{"M": {"name": {"S": "one"}}}]}, "m": None}),
        ("l[9], absent, m.nest.nothing", {}, {}),
        ("pk,n", {}, {**KEY, "n": {"N": "5"}}),
    ],
)
def test_projections_follow_maps_and_lists(ddb, table, paths, names, wanted):
    if "m" in wanted:
        wanted = {**wanted, "m": {"M": {"nest": ITEM["m"]["M"]["nest"]}}}
    given = {"ProjectionExpression": paths, **({"ExpressionAttributeNames": names} if names else {})}
    assert ddb.get_item(TableName=table, Key=KEY, **given)["Item"] == wanted
    assert ddb.scan(TableName=table, **given)["Items"] == [wanted]
    assert ddb.batch_get_item(RequestItems={table: {"Keys": [KEY], **given}})["Responses"][table] == [wanted]
    got = ddb.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": KEY, **given}}])
    assert got["Responses"] == [{"Item": wanted}]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ("", "The expression can not be empty;"),
        ("!!!", 'Syntax error; token: "!", near: "!!"'),
        ("l[x]", 'Syntax error; token: "x", near: "[x]"'),
        ("n, l, n", "Two document paths overlap with each other"),
        ("m, m.nest", "path one: [m], path two: [m, nest]"),
    ],
)
def test_projections_that_are_refused(ddb, table, refused, paths, words):
    for call, more in ((ddb.get_item, {"Key": KEY}), (ddb.scan, {})):
        said = refused("ValidationException", call, TableName=table, ProjectionExpression=paths, **more)
        assert said.startswith("Invalid ProjectionExpression: ")
        assert words in said


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        # Developer guide, "Using update expressions in DynamoDB": every operand is read from the item as it was.
        ("SET n = n + :five, s = :s REMOVE nil", {"n": {"N": "10"}, "s": {"S": "str"}, "nil": None}),
        ("SET n = :five - n", {"n": {"N": "0"}}),
        ("SET extra = n, n = :s", {"extra": {"N": "5"}, "n": {"S": "str"}}),
        ("SET fresh = if_not_exists(fresh, :five) + :five", {"fresh": {"N": "10"}}),
        ("SET m.added = :s REMOVE m.many", {"m": {"M": {"nest": ITEM["m"]["M"]["nest"], "added": {"S": "str"}}}}),
        ("SET l[1].more = l[1].more + :five", {"l": None}),
        ("REMOVE l[0], l[2]", {"l": {"L": [ITEM["l"]["L"][1]]}}),
        ("SET l[9] = :five, l[7] = :s", {"l": {"L": [*ITEM["l"]["L"], {"S": "str"}, {"N": "5"}]}}),
        ("SET l = list_append(if_not_exists(nothing, :list), l)", {"l": ITEM["l"]}),
        ("ADD n :five, fresh :five, tags :set", {"n": {"N": "10"}, "fresh": {"N": "5"}, "tags": None}),
        ("DELETE tags :set", {"tags": {"SS": ["y"]}}),
        ("DELETE tags :both", {"tags": None}),
    ],
)
def test_updates(ddb, table, expression, changed):
    given = {**WORDS, ":set": {"SS": ["x", "z"]}, ":both": {"SS": ["x", "y"]}}
    changed = dict(changed)
    if "more" in expression:
        changed["l"] = {"L": [{"S": "zero"}, {"M": {"name": {"S": "one"}, "more": {"N": "6"}}}, {"N": "2"}]}
    if "ADD" in expression:
        changed["tags"] = {"SS": ["x", "y", "z"]}
    answer = ddb.update_item(
        TableName=table, Key=KEY, UpdateExpression=expression, ReturnValues="ALL_NEW", **used(expression, given)
    )
    wanted = {name: value for name, value in {**ITEM, **changed}.items() if value is not None}
    assert answer["Attributes"] == wanted == ddb.get_item(TableName=table, Key=KEY)["Item"]


def test_an_update_answers_with_what_it_touched(ddb, table):
    """API reference, UpdateItem, ReturnValues: the updated attributes, of nested ones only the part that was named."""

    def update(show: str) -> dict[str, Any]:
        return ddb.update_item(
            TableName=table,
            Key=KEY,
            UpdateExpression="SET m.nest.deep = :b, fresh = :b REMOVE l[0]",
            ExpressionAttributeValues={":b": {"BOOL": False}},
            ReturnValues=show,
        ).get("Attributes", {})

    assert update("UPDATED_OLD") == {
        "m": {"M": {"nest": {"M": {"deep": {"BOOL": True}}}}},
        "l": {"L": [{"S": "zero"}]},
    }
    new = update("UPDATED_NEW")
    assert new["fresh"] == {"BOOL": False}
    assert new["m"] == {"M": {"nest": {"M": {"deep": {"BOOL": False}}}}}
    assert update("NONE") == {}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (" ", "Invalid UpdateExpression: The expression can not be empty;"),
        ("INVALID SYNTAX", 'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
        ("SET n = :five SET s = :s", 'The "SET" section can only be used once in an update expression;'),
        ("SET m.nest = :s, m = :five", "path one: [m, nest], path two: [m]"),
        ("SET pk = :s", "Cannot update attribute pk. This attribute is part of the key"),
        ("SET n = absent", "refers to an attribute that does not exist in the item"),
        ("SET absent.part = :s", "The document path provided in the update expression is invalid for update"),
        ("SET n = n + s", "An operand in the update expression has an incorrect data type"),
        ("SET n = n + :s", "operator or function: +, operand type: S"),
        ("ADD n :s", "operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"),
        ("ADD s :five", "An operand in the update expression has an incorrect data type"),
        ("SET n = sum(n, :five)", "Invalid function name; function: sum"),
    ],
)
def test_updates_that_are_refused_change_nothing(ddb, table, refused, expression, words):
    given = {"Key": KEY, "UpdateExpression": expression, **used(expression, WORDS)}
    assert words in refused("ValidationException", ddb.update_item, TableName=table, **given)
    assert ddb.get_item(TableName=table, Key=KEY)["Item"] == ITEM


def test_names_and_values_are_used_and_belong_to_an_expression(ddb, table, refused):
    def said(**more: Any) -> str:
        return refused("ValidationException", ddb.update_item, TableName=table, Key=KEY, **more)

    one = {"UpdateExpression": "SET #n = :v", "ExpressionAttributeNames": {"#n": "n"}}
    assert said(**one, ExpressionAttributeValues={":v": {"N": "1"}, ":w": {"N": "2"}}) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"
    )
    one["ExpressionAttributeNames"] = {"#n": "n", "#o": "o"}
    assert said(**one, ExpressionAttributeValues={":v": {"N": "1"}}) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#o}"
    )
    assert said(ExpressionAttributeNames={"#n": "n"}) == (
        "ExpressionAttributeNames can only be specified when using expressions"
    )
    assert said(ExpressionAttributeValues={":n": {"N": "1"}}).endswith(
        "UpdateExpression and ConditionExpression are null"
    )
    assert "contains invalid key" in said(UpdateExpression="REMOVE n", ExpressionAttributeNames={"n": "n"})


@pytest.mark.parametrize(
    ("operation", "given", "sentence"),
    [
        (
            "put_item",
            {"Item": KEY, "Expected": {"n": {"Exists": False}}, "ConditionExpression": "attribute_exists(n)"},
            "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
        (
            "get_item",
            {"Key": KEY, "AttributesToGet": ["n"], "ProjectionExpression": "n"},
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            "scan",
            {"ScanFilter": {"n": {"ComparisonOperator": "NULL"}}, "FilterExpression": "attribute_exists(n)"},
            "Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}",
        ),
        (
            "query",
            {
                "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}},
                "KeyConditionExpression": "pk = :s",
                "ExpressionAttributeValues": {":s": {"S": "a"}},
            },
            "Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}",
        ),
    ],
)
def test_old_and_new_parameters_do_not_mix(ddb, table, refused, operation, given, sentence):
    said = refused("ValidationException", getattr(ddb, operation), TableName=table, **given)
    assert said == (f"Can not use both expression and non-expression parameters in the same request: {sentence}")


@pytest.mark.parametrize(
    ("expected", "operator", "holds"),
    [
        # Developer guide, "Legacy conditional parameters".
        ({"n": {"Value": {"N": "5"}}}, "AND", True),
        ({"n": {"Exists": False}}, "AND", False),
        ({"other": {"Exists": False}}, "AND", True),
        ({"n": {"ComparisonOperator": "LT", "AttributeValueList": [{"N": "6"}]}}, "AND", True),
        ({"n": {"Value": {"N": "6"}}, "s": {"ComparisonOperator": "NOT_NULL"}}, "OR", True),
        ({"n": {"Value": {"N": "6"}}, "s": {"ComparisonOperator": "NOT_NULL"}}, "AND", False),
        ({"tags": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "x"}]}}, "AND", True),
        ({"tags": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [{"S": "x"}]}}, "AND", False),
        ({"b": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"B": b"\x01"}]}}, "AND", True),
    ],
)
def test_expected_of_every_write(ddb, table, refused, expected, operator, holds):
    more = {"Expected": expected, **({"ConditionalOperator": operator} if operator == "OR" else {})}
    calls = [
        (ddb.put_item, {"Item": ITEM}),
        (ddb.update_item, {"Key": KEY, "AttributeUpdates": {"new": {"Action": "PUT", "Value": {"N": "1"}}}}),
        (ddb.delete_item, {"Key": KEY}),
    ]
    for call, given in calls:
        if holds:
            call(TableName=table, **given, **more)
        else:
            refused("ConditionalCheckFailedException", call, TableName=table, **given, **more)


def test_attribute_updates_and_attributes_to_get(ddb, table, refused):
    change = {
        "n": {"Action": "ADD", "Value": {"N": "2"}},
        "tags": {"Action": "DELETE", "Value": {"SS": ["x"]}},
        "s": {"Action": "DELETE"},
        "b": {"Value": {"B": b"z"}},
    }
    ddb.update_item(TableName=table, Key=KEY, AttributeUpdates=change)
    wanted = {"n": {"N": "7"}, "tags": {"SS": ["y"]}, "b": {"B": b"z"}}
    asked = ["n", "tags", "s", "b"]
    assert ddb.get_item(TableName=table, Key=KEY, AttributesToGet=asked)["Item"] == wanted
    assert ddb.scan(TableName=table, AttributesToGet=asked)["Items"] == [wanted]
    said = refused(
        "ValidationException", ddb.update_item, TableName=table, Key=KEY, AttributeUpdates={"pk": {"Value": {"S": "b"}}}
    )
    assert "This attribute is part of the key" in said


def test_a_failed_condition_shows_the_item_when_asked(ddb, table):
    with pytest.raises(ddb.exceptions.ConditionalCheckFailedException) as caught:
        ddb.delete_item(
            TableName=table,
            Key=KEY,
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"]["n"] == {"N": "5"}
