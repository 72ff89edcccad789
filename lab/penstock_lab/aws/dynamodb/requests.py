"""What AWS refuses of an operation on items before it looks at the table: members, enumerations, mixed parameters.

Sentences, and which check comes first, measured against AWS by the public suite dynamodb-conformance.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import AwsError, validation
from .expressions import Scope
from .refusals import NAME

_ENUMS = {
    "ReturnConsumedCapacity": ("INDEXES", "TOTAL", "NONE"),
    "ReturnItemCollectionMetrics": ("SIZE", "NONE"),
    "ReturnValues": ("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"),
    "Select": ("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"),
    "ConditionalOperator": ("OR", "AND"),
    "ReturnValuesOnConditionCheckFailure": ("ALL_OLD", "NONE"),
}
# By kind of operation: parameters that are expressions, and those from before there were any.
_PARAMETERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Get": (("ProjectionExpression",), ("AttributesToGet",)),
    "Write": (("ConditionExpression",), ("Expected", "ConditionalOperator")),
    "Update": (("UpdateExpression", "ConditionExpression"), ("AttributeUpdates", "Expected", "ConditionalOperator")),
    "Query": (
        ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
        ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    ),
    "Scan": (
        ("ProjectionExpression", "FilterExpression"),
        ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    ),
}
_PLACEHOLDERS = {"Names": re.compile(r"#[A-Za-z0-9_]+"), "Values": re.compile(r":[A-Za-z0-9_]+")}


def check_members(operation: str, body: dict[str, Any]) -> None:
    """Raises AwsError for members outside their bounds: the table's name alone, all others together."""
    problems = _name_problems(body["TableName"])
    if not problems:
        problems = [
            f"Value '{body[name]}' at '{name[:1].lower()}{name[1:]}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
            for name, allowed in _ENUMS.items()
            if body.get(name) is not None and body[name] not in allowed
        ]
        for name, least in (("Limit", 1), ("Segment", 0), ("TotalSegments", 1)):
            if (value := body.get(name)) is not None and value < least:
                where = "at 'Limit'" if operation == "Query" else f"'{value}' at '{name[:1].lower()}{name[1:]}'"
                problems.append(
                    f"Value {where} failed to satisfy constraint: Member must have value greater than or equal to {least}"
                )
    if problems:
        count = len(problems)
        raise validation(f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(problems)}")


def _name_problems(name: Any) -> list[str]:
    if not isinstance(name, str):
        raise AwsError("SerializationException", "Unexpected value type in payload")
    bounds = []
    if not name:
        bounds.append("Member must have length greater than or equal to 1")
    if name and not name.startswith("arn:"):
        if len(name) > 255:
            bounds.append("Member must have length less than or equal to 255")
        if not NAME.fullmatch(name):
            bounds.append("Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    return [f"Value '{name}' at 'tableName' failed to satisfy constraint: {bound}" for bound in bounds]


def scope_of(kind: str, body: dict[str, Any]) -> Scope:
    """The names and values for a request's expressions, once it is clear that it may have them."""
    expressions, others = _PARAMETERS[kind]
    given = [name for name in expressions if body.get(name) is not None]
    old = [name for name in others if body.get(name) is not None]
    if given and old:
        raise validation(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(given)}}}"
        )
    names, values = body.get("ExpressionAttributeNames"), body.get("ExpressionAttributeValues")
    if names is not None and not given:
        raise validation("ExpressionAttributeNames can only be specified when using expressions")
    with_values = [name for name in expressions if name != "ProjectionExpression"]
    if values is not None and with_values and not any(name in given for name in with_values):
        are = "are" if len(with_values) > 1 else "is"
        raise validation(
            "ExpressionAttributeValues can only be specified when using expressions: "
            f"{' and '.join(with_values)} {are} null"
        )
    for what, entries in (("Names", names), ("Values", values)):
        if entries == {}:
            raise validation(f"ExpressionAttribute{what} must not be empty")
        for key in entries or ():
            if not _PLACEHOLDERS[what].fullmatch(key):
                raise validation(f'ExpressionAttribute{what} contains invalid key: Syntax error; key: "{key}"')
    return Scope(names, values)


def check_segments(body: dict[str, Any]) -> None:
    """A parallel scan names its segment and how many there are."""
    segment, total = body.get("Segment"), body.get("TotalSegments")
    if segment is not None and total is None:
        raise validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
        )
    if total is not None and segment is None:
        raise validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
        )
    if segment is not None and total is not None and segment >= total:
        raise validation(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )


def check_count(given: list[Any], member: str, most: int) -> None:
    """Raises AwsError for a list that is empty or too long."""
    if not 1 <= len(given) <= most:
        bound = f"less than or equal to {most}" if given else "greater than or equal to 1"
        raise validation(
            f"1 validation error detected: Value '[{', '.join(map(str, given))}]' at '{member}' failed to satisfy "
            f"constraint: Member must have length {bound}"
        )
