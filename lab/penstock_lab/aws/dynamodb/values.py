"""Attribute values as requests carry them: what AWS refuses, how it keeps numbers, how two of them compare.

A value is its wire form everywhere, ``{"S": "x"}``; an item is a dict of them. Nothing changes one in place. Rules from
the developer guide, "Naming rules and data types"; sentences measured against AWS by the public suite
dynamodb-conformance.
"""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Context, Decimal
from typing import Any

from ..errors import AwsError, invalid, validation

Value = dict[str, Any]
Attributes = dict[str, Value]

TYPES = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
_SETS = {"SS": "An string set  may not be empty", "NS": "An number set  may not be empty"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Sums and differences are exact; number() then refuses what has more than 38 digits.
_EXACT = Context(prec=300)
_DEEPEST = 32


def checked(value: Any, depth: int = 0) -> Value:
    """The value as AWS stores it. Raises AwsError for what it refuses."""
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "Unexpected value type in payload")
    if len(value) != 1:
        raise validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
            if value
            else "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
    ((kind, content),) = value.items()
    match kind:
        case "S":
            _check_text(content)
            return value
        case "N":
            return {"N": number(content)}
        case "B":
            return {"B": _binary(content)}
        case "BOOL":
            if not isinstance(content, bool):
                raise AwsError("SerializationException", "Unexpected token received from parser")
            return value
        case "NULL":
            if content is not True:
                raise invalid("Null attribute value types must have the value of true")
            return value
        case "M" | "L":
            return _nested(kind, content, depth)
        case "SS" | "NS" | "BS":
            return {kind: _members(kind, content)}
    raise validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")


def checked_all(attributes: Any) -> Attributes:
    """Each of an item's values, checked."""
    if not isinstance(attributes, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected")
    return {name: checked(value) for name, value in attributes.items()}


def _check_text(content: Any) -> None:
    if not isinstance(content, str):
        raise AwsError(
            "SerializationException",
            "NUMBER_VALUE cannot be converted to String"
            if isinstance(content, int | float)
            else "Start of structure or map found where not expected",
        )


def _binary(content: Any) -> str:
    _check_text(content)
    try:
        return base64.b64encode(base64.b64decode(content, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise AwsError("SerializationException", "Invalid base64 content") from None


def _nested(kind: str, content: Any, depth: int) -> Value:
    if not isinstance(content, dict if kind == "M" else list):
        raise AwsError("SerializationException", "Unexpected value type in payload")
    if depth >= _DEEPEST:
        raise validation("Nesting Levels have exceeded supported limits")
    if kind == "M":
        return {"M": {name: checked(member, depth + 1) for name, member in content.items()}}
    return {"L": [checked(member, depth + 1) for member in content]}


def _members(kind: str, content: Any) -> list[str]:
    if not isinstance(content, list):
        raise AwsError("SerializationException", "Unexpected value type in payload")
    if not content:
        raise invalid(_SETS.get(kind, "Binary sets should not be empty"))
    for member in content:
        _check_text(member)
    members = [{"SS": str, "NS": number, "BS": _binary}[kind](member) for member in content]
    if len(set(members)) < len(members):
        given = "" if kind == "NS" else f" [{', '.join(members)}]"
        raise invalid(f"Input collection{given} contains duplicates.")
    return members


def number(text: Any) -> str:
    """A number as AWS gives it back: plain digits, no leading or trailing zeros, at most 38 of them that count."""
    _check_text(text)
    if len(text) < 39 and text.isascii() and text.isdigit() and (text[0] != "0" or text == "0"):
        return str(text)
    if not _NUMBER.fullmatch(text):
        what = f": {text}" if text else ""
        raise validation(f"The parameter cannot be converted to a numeric value{what}")
    return plain(Decimal(text))


def plain(value: Decimal) -> str:
    if not value:
        return "0"
    if value.adjusted() > 125:
        raise validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if value.adjusted() < -130:
        raise validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).strip("0")
    if len(text) > 38:
        raise validation("Attempting to store more than 38 significant digits in a Number")
    normal = format(Decimal((sign, digits, exponent)), "f")
    return normal.rstrip("0").rstrip(".") if "." in normal else normal


def added(one: str, other: str, sign: int = 1) -> str:
    return plain(_EXACT.add(Decimal(one), sign * Decimal(other)))


def sortable(value: Value) -> Any:
    """What orders values of one scalar type: text by its UTF-8, numbers by size, binaries bytewise, as unsigned."""
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    return base64.b64decode(content) if kind == "B" else content


def kind_of(value: Value) -> str:
    return next(iter(value))


def content_of(value: Value) -> Any:
    return next(iter(value.values()))


def equal(one: Value | None, other: Value | None) -> bool:
    if one is None or other is None:
        return one is other
    kind = kind_of(one)
    if kind != kind_of(other):
        return False
    a, b = one[kind], other[kind]
    match kind:
        case "SS" | "NS" | "BS":
            return set(a) == set(b)
        case "L":
            return len(a) == len(b) and all(map(equal, a, b))
        case "M":
            return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    return bool(a == b)


def same(one: Attributes, other: Attributes) -> bool:
    return equal({"M": one}, {"M": other})


def compare(one: Value | None, other: Value | None) -> int | None:
    """-1, 0 or 1; None for values that have no order between them."""
    if one is None or other is None or (kind := kind_of(one)) != kind_of(other) or kind not in ("S", "N", "B"):
        return None
    a, b = sortable(one), sortable(other)
    return int(a > b) - int(a < b)


def begins_with(value: Value | None, start: Value | None) -> bool:
    if value is None or start is None or (kind := kind_of(value)) != kind_of(start) or kind not in ("S", "B"):
        return False
    return bool(sortable(value).startswith(sortable(start)))


def contains(value: Value | None, part: Value | None) -> bool:
    if value is None or part is None:
        return False
    kind, content = kind_of(value), content_of(value)
    if kind in ("S", "B"):
        return kind_of(part) == kind and sortable(part) in sortable(value)
    if kind in ("SS", "NS", "BS"):
        return kind_of(part) == kind[0] and content_of(part) in content
    return kind == "L" and any(equal(member, part) for member in content)


def length(value: Value | None) -> Value | None:
    """What the function size() gives: characters, bytes or members; None for what has no size."""
    if value is None or kind_of(value) in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(len(sortable(value)))}
