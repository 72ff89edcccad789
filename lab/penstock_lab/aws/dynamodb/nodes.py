"""What expressions are made of, once parsed: paths, operands, conditions, and the actions of an update.

Conditions of every form come to these: expressions, the parameters from before there were expressions, and PartiQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..errors import validation
from . import values
from .values import Attributes, Value


class Operand(Protocol):
    def get(self, item: Attributes) -> Value | None: ...


class Condition(Protocol):
    def holds(self, item: Attributes) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """An attribute's name, then names and positions of what is nested in it."""

    parts: tuple[str | int, ...]

    def get(self, item: Attributes) -> Value | None:
        value: Value | None = item.get(str(self.parts[0]))
        for part in self.parts[1:]:
            if value is None:
                return None
            if isinstance(part, str):
                value = value["M"].get(part) if "M" in value else None
            else:
                value = value["L"][part] if "L" in value and part < len(value["L"]) else None
        return value

    def __str__(self) -> str:
        """As AWS writes paths in its sentences."""
        return f"[{', '.join(f'[{p}]' if isinstance(p, int) else p for p in self.parts)}]"


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    value: Value

    def get(self, item: Attributes) -> Value | None:
        return self.value


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    of: Operand

    def get(self, item: Attributes) -> Value | None:
        return values.length(self.of.get(item))


@dataclasses.dataclass(frozen=True, slots=True)
class Sum:
    left: Operand
    right: Operand
    sign: int

    def get(self, item: Attributes) -> Value | None:
        left, right = _there(self.left, item), _there(self.right, item)
        if "N" not in left or "N" not in right:
            raise wrong_type()
        return {"N": values.added(left["N"], right["N"], self.sign)}


@dataclasses.dataclass(frozen=True, slots=True)
class IfNotExists:
    path: Path
    otherwise: Operand

    def get(self, item: Attributes) -> Value | None:
        value = self.path.get(item)
        return self.otherwise.get(item) if value is None else value


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """The function list_append()."""

    left: Operand
    right: Operand

    def get(self, item: Attributes) -> Value | None:
        left, right = _there(self.left, item), _there(self.right, item)
        if "L" not in left or "L" not in right:
            raise wrong_type()
        return {"L": [*left["L"], *right["L"]]}


def _there(operand: Operand, item: Attributes) -> Value:
    value = operand.get(item)
    if value is None:
        raise validation("The provided expression refers to an attribute that does not exist in the item")
    return value


def wrong_type() -> Exception:
    return validation("An operand in the update expression has an incorrect data type")


@dataclasses.dataclass(frozen=True, slots=True)
class Test:
    """A comparison or a function of operands."""

    operator: str
    operands: tuple[Operand, ...]

    def holds(self, item: Attributes) -> bool:
        return _TESTS[self.operator]([operand.get(item) for operand in self.operands])


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    of: Condition

    def holds(self, item: Attributes) -> bool:
        return not self.of.holds(item)


@dataclasses.dataclass(frozen=True, slots=True)
class All:
    """Conditions joined by AND; none of them holds always."""

    of: tuple[Condition, ...]

    def holds(self, item: Attributes) -> bool:
        return all(condition.holds(item) for condition in self.of)


@dataclasses.dataclass(frozen=True, slots=True)
class Any_:
    """Conditions joined by OR."""

    of: tuple[Condition, ...]

    def holds(self, item: Attributes) -> bool:
        return any(condition.holds(item) for condition in self.of)


@dataclasses.dataclass(frozen=True, slots=True)
class Grouped:
    """Conditions in parentheses, which say the same; a parser needs to know of them."""

    of: Condition

    def holds(self, item: Attributes) -> bool:
        return self.of.holds(item)


def _ordered(accepts: Callable[[int], bool]) -> Callable[[list[Value | None]], bool]:
    def test(operands: list[Value | None]) -> bool:
        order = values.compare(*operands)
        return order is not None and accepts(order)

    return test


def _between(operands: list[Value | None]) -> bool:
    value, low, high = operands
    above, below = values.compare(value, low), values.compare(value, high)
    return above is not None and below is not None and above >= 0 and below <= 0


_TESTS: dict[str, Callable[[list[Value | None]], bool]] = {
    "=": lambda o: o[0] is not None and values.equal(o[0], o[1]),
    "<>": lambda o: o[0] is None or o[1] is None or not values.equal(o[0], o[1]),
    "<": _ordered(lambda order: order < 0),
    "<=": _ordered(lambda order: order <= 0),
    ">": _ordered(lambda order: order > 0),
    ">=": _ordered(lambda order: order >= 0),
    "BETWEEN": _between,
    "IN": lambda o: o[0] is not None and any(values.equal(o[0], one) for one in o[1:]),
    "attribute_exists": lambda o: o[0] is not None,
    "attribute_not_exists": lambda o: o[0] is None,
    "attribute_type": lambda o: o[0] is not None and o[1] is not None and values.kind_of(o[0]) == o[1].get("S"),
    "begins_with": lambda o: values.begins_with(o[0], o[1]),
    "contains": lambda o: values.contains(o[0], o[1]),
}


def flat(condition: Condition) -> list[Condition]:
    """The conditions that all have to hold for this one."""
    match condition:
        case Grouped(of):
            return flat(of)
        case All(of):
            return [one for part in of for one in flat(part)]
    return [condition]


def project(paths: Iterable[Path], item: Attributes) -> Attributes:
    """What of an item lies on the paths: maps keep their names, lists close up."""
    tree: dict[Any, Any] = {}
    for path in paths:
        branch = tree
        for part in path.parts:
            branch = branch.setdefault(part, {})
    return {name: kept for name in tree if name in item and (kept := _cut(tree[name], item[name])) is not None}


def _cut(tree: dict[Any, Any], value: Value) -> Value | None:
    if not tree:
        return value
    if "M" in value:
        inner = value["M"]
        kept = {n: cut for n in tree if n in inner and (cut := _cut(tree[n], inner[n])) is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        members = value["L"]
        positions = sorted(p for p in tree if isinstance(p, int) and p < len(members))
        cuts = [cut for p in positions if (cut := _cut(tree[p], members[p])) is not None]
        return {"L": cuts} if cuts else None
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """One change of an update: SET, REMOVE, ADD or DELETE at a path."""

    kind: str
    path: Path
    operand: Operand | None = None


_GONE: Value = {"gone": None}


def applied(actions: Iterable[Action], item: Attributes) -> Attributes:
    """The item after an update. Every operand is read from the item as it was."""
    changes: list[tuple[Action, Value | None]] = []
    for action in actions:
        changes.append((action, None if action.operand is None else _there(action.operand, item)))
    # Positions past a list's end close up in their order; so does what REMOVE takes out of a list.
    changes.sort(key=lambda change: [(0, p, "") if isinstance(p, int) else (1, 0, p) for p in change[0].path.parts])
    new = {"M": item}
    for action, operand in changes:
        new = _changed(new, action.path.parts, action, operand)
    return {name: _closed(value) for name, value in new["M"].items()}


def _changed(container: Value, parts: tuple[str | int, ...], action: Action, operand: Value | None) -> Value:
    part, rest = parts[0], parts[1:]
    if isinstance(part, str) and "M" in container:
        inner = dict(container["M"])
        old = inner.get(part)
        new = _changed_at(old, rest, action, operand)
        if new is None or new is _GONE:
            inner.pop(part, None)
        else:
            inner[part] = new
        return {"M": inner}
    if isinstance(part, int) and "L" in container:
        members = list(container["L"])
        old = members[part] if part < len(members) else None
        new = _changed_at(old, rest, action, operand)
        if part < len(members):
            members[part] = _GONE if new is None else new
        elif new is not None and new is not _GONE:
            members.append(new)
        return {"L": members}
    raise validation("The document path provided in the update expression is invalid for update")


def _changed_at(old: Value | None, rest: tuple[str | int, ...], action: Action, operand: Value | None) -> Value | None:
    if rest:
        if old is None:
            raise validation("The document path provided in the update expression is invalid for update")
        return _changed(old, rest, action, operand)
    match action.kind:
        case "SET":
            return operand
        case "REMOVE":
            return _GONE
        case "ADD":
            return _added(old, operand or {})
    return _deleted(old, operand or {})


def _added(old: Value | None, operand: Value) -> Value:
    if old is None:
        return operand
    kind = values.kind_of(operand)
    if values.kind_of(old) != kind:
        raise wrong_type()
    if kind == "N":
        return {"N": values.added(old["N"], operand["N"])}
    return {kind: [*old[kind], *(member for member in operand[kind] if member not in old[kind])]}


def _deleted(old: Value | None, operand: Value) -> Value | None:
    if old is None:
        return None
    kind = values.kind_of(operand)
    if values.kind_of(old) != kind:
        raise wrong_type()
    left = [member for member in old[kind] if member not in operand[kind]]
    return {kind: left} if left else None


def _closed(value: Value) -> Value:
    if "L" in value:
        return {"L": [_closed(member) for member in value["L"] if member is not _GONE]}
    if "M" in value:
        return {"M": {name: _closed(member) for name, member in value["M"].items()}}
    return value
