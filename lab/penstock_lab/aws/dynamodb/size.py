"""How many bytes an item has, by the rules of the developer guide ("DynamoDB item sizes and formats")."""

from __future__ import annotations

import base64
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item


def item_size(item: Item, names: frozenset[str] | None = None) -> int:
    """Bytes of the item, or of those of its attributes that are in ``names``."""
    return sum(
        len(name.encode()) + _size(value.type, value.value)
        for name, value in item.attrs.items()
        if names is None or name in names
    )


def wire_size(attributes: dict[str, Any]) -> int:
    """The same for attributes as they are in a request."""
    return sum(len(name.encode()) + _size(*next(iter(value.items()))) for name, value in attributes.items())


def _size(kind: str, value: Any) -> int:
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            # About one byte for two significant digits, plus one.
            digits = value.lstrip("+-").split("e")[0].split("E")[0].replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + (1 if value.startswith("-") else 0)
        case "B":
            return len(value) if isinstance(value, bytes) else len(base64.b64decode(value))
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(_size(kind[0], member) for member in value)
        case "L":
            return 3 + sum(1 + _nested(member) for member in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _nested(member) for name, member in value.items())
    return len(str(value))


def _nested(value: Any) -> int:
    if isinstance(value, DynamoType):
        return _size(value.type, value.value)
    return _size(*next(iter(value.items())))
