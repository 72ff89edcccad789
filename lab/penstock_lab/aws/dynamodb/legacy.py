"""The parameters from before there were expressions, as what expressions come to.

Developer guide, "Legacy conditional parameters": AttributesToGet, AttributeUpdates, Expected, KeyConditions, QueryFilter,
ScanFilter, ConditionalOperator.
"""

from __future__ import annotations

from typing import Any

from ..errors import invalid, validation
from . import values
from .nodes import Action, All, Any_, Condition, Literal, Not, Path, Test

_OPERATORS = {
    "EQ": "=",
    "NE": "<>",
    "LE": "<=",
    "LT": "<",
    "GE": ">=",
    "GT": ">",
    "NOT_NULL": "attribute_exists",
    "NULL": "attribute_not_exists",
    "CONTAINS": "contains",
    "NOT_CONTAINS": "contains",
    "BEGINS_WITH": "begins_with",
    "IN": "IN",
    "BETWEEN": "BETWEEN",
}
# How many values an operator takes; one where it is not here, any number for IN.
_COUNTS = {"NOT_NULL": 0, "NULL": 0, "BETWEEN": 2}


def paths(names: list[str] | None) -> list[Path] | None:
    """AttributesToGet."""
    if names is None:
        return None
    if len(set(names)) < len(names):
        raise invalid(f"Duplicate value in attribute name: {next(n for n in names if names.count(n) > 1)}")
    return [Path((name,)) for name in names]


def conditions(given: dict[str, Any] | None, operator: str | None) -> Condition:
    """KeyConditions, QueryFilter, ScanFilter."""
    return _joined([_condition(name, one) for name, one in (given or {}).items()], operator)


def expected(given: dict[str, Any] | None, operator: str | None) -> Condition:
    """Expected, in both of its forms: a comparison, or a value and whether the attribute exists."""
    parts: list[Condition] = []
    for name, one in (given or {}).items():
        if "ComparisonOperator" in one:
            parts.append(_condition(name, one))
        elif one.get("Exists", True):
            if "Value" not in one:
                raise invalid(f"Value must be provided when Exists is {_java(one.get('Exists'))} for Attribute: {name}")
            parts.append(Test("=", (Path((name,)), Literal(values.checked(one["Value"])))))
        else:
            if "Value" in one:
                raise invalid(f"Value cannot be used when Exists is false for Attribute: {name}")
            parts.append(Test("attribute_not_exists", (Path((name,)),)))
    return _joined(parts, operator)


def _java(flag: bool | None) -> str:
    return "null" if flag is None else str(flag).lower()


def _joined(parts: list[Condition], operator: str | None) -> Condition:
    if operator == "OR" and parts:
        return Any_(tuple(parts))
    return All(tuple(parts))


def _condition(name: str, given: dict[str, Any]) -> Condition:
    operator = given.get("ComparisonOperator")
    if operator not in _OPERATORS:
        raise validation(
            f"1 validation error detected: Value '{operator}' at 'comparisonOperator' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_OPERATORS)}]"
        )
    given_values = [values.checked(value) for value in given.get("AttributeValueList") or ()]
    if (operator == "IN" and not given_values) or (operator != "IN" and len(given_values) != _COUNTS.get(operator, 1)):
        raise invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    test = Test(_OPERATORS[operator], (Path((name,)), *(Literal(value) for value in given_values)))
    return Not(test) if operator == "NOT_CONTAINS" else test


def actions(given: dict[str, Any]) -> list[Action]:
    """AttributeUpdates."""
    answer = []
    for name, change in given.items():
        kind = change.get("Action") or "PUT"
        value = values.checked(change["Value"]) if change.get("Value") is not None else None
        if value is None and kind != "DELETE":
            raise invalid("Only DELETE action is allowed when no attribute value is specified")
        path = Path((name,))
        if value is None:
            answer.append(Action("REMOVE", path))
            continue
        if kind == "DELETE" and values.kind_of(value) not in ("SS", "NS", "BS"):
            raise invalid("DELETE action with value is not supported for the type " + values.kind_of(value))
        if kind == "ADD" and values.kind_of(value) not in ("N", "SS", "NS", "BS"):
            raise invalid("ADD action is not supported for the type " + values.kind_of(value))
        answer.append(Action({"PUT": "SET"}.get(kind, kind), path, Literal(value)))
    return answer
