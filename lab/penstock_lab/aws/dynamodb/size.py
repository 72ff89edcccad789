"""How many bytes an item has, by the rules of the developer guide ("DynamoDB item sizes and formats")."""

from __future__ import annotations

from typing import Any

from .values import Attributes


def item_size(attributes: Attributes, names: frozenset[str] | None = None) -> int:
    """Bytes of an item, or of those of its attributes that are in ``names``."""
    return sum(
        len(name.encode()) + _size(value) for name, value in attributes.items() if names is None or name in names
    )


def _size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            # About one byte for two significant digits, plus one.
            digits = content.lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + content.startswith("-")
        case "B":
            return len(content) // 4 * 3 - content.count("=", -2)
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(_size({kind[0]: member}) for member in content)
        case "L":
            return 3 + sum(1 + _size(member) for member in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(member) for name, member in content.items())
    return len(str(content))
