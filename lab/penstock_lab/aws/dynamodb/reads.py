"""Query and Scan: which items of a table or an index, in which order, in pages."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import invalid, validation
from . import values
from .nodes import Any_, Condition, Literal, Not, Path, Size, Test, flat, project
from .size import item_size
from .store import LabTable, holds, projected_names
from .values import Attributes
from .writes import check_not_empty

# A page is at most 1 MB of what was read, before any filter.
_PAGE = 1024 * 1024
_RANGES = ("=", "<", "<=", ">", ">=", "BETWEEN", "begins_with")


@dataclasses.dataclass
class Page:
    """What a read went through: the whole items, in their order, and the key of the last one if there may be more."""

    items: list[Attributes]
    size: int
    last: Attributes | None


def find_index(table: LabTable, name: str | None, *, consistent: bool) -> Any:
    """The index to read, None for the table. Raises AwsError when there is none or it cannot be read now."""
    if name is None:
        return None
    index = next((index for index in table.all_indexes() if index.name == name), None)
    if index is None:
        raise validation(f"The table does not have the specified index: {name}")
    if index in table.global_indexes:
        if consistent:
            raise validation("Consistent reads are not supported on global secondary indexes")
        if index.status == "CREATING":
            raise validation(f"Cannot read from backfilling global secondary index: {name}")
    return index


def key_tests(table: LabTable, index: Any, condition: Condition, *, expression: bool) -> list[Test]:
    """The tests on the key that a query asks for, the partition key's first. Raises AwsError as AWS does.

    Every partition key attribute by equality, sort key attributes from the left, all but the last by equality: developer
    guide, "Key condition expressions for the Query operation" and "Multi-attribute keys".
    """
    tests = [_key_test(part) for part in flat(condition)] if expression else [p for p in flat(condition) if _test(p)]
    by_name: dict[str, Test] = {}
    for test in tests:
        name = str(_path(test).parts[0])
        if name in by_name:
            raise validation("KeyConditionExpressions must only contain one condition per key")
        by_name[name] = test
    schema = index.schema if index is not None else table.schema
    answer: list[Test] = []
    for kind in ("HASH", "RANGE"):
        names = [element["AttributeName"] for element in schema if element["KeyType"] == kind]
        skipped: str | None = None
        for number, name in enumerate(names):
            found = by_name.pop(name, None)
            if found is None:
                if kind == "HASH":
                    raise validation(f"Query condition missed key schema element: {name}")
                skipped = skipped or name
                continue
            if skipped:
                raise validation(
                    f"RANGE key attributes {skipped} must have equality conditions specified in the query because a "
                    f"condition is present on key attribute {name}"
                )
            last = kind == "RANGE" and not any(later in by_name for later in names[number + 1 :])
            if found.operator not in _RANGES or (found.operator != "=" and not last):
                raise validation("Query key condition not supported")
            answer.append(found)
    if by_name:
        missing = [e["AttributeName"] for e in schema if e["AttributeName"] not in {_path(t).parts[0] for t in answer}]
        if missing:
            raise validation(f"Query condition missed key schema element: {missing[0]}")
        raise validation("Query key condition not supported")
    for test in answer:
        _check_operands(table, test)
    return answer


def _test(condition: Condition) -> Test | None:
    return condition if isinstance(condition, Test) else None


def _path(test: Test) -> Path:
    assert isinstance(test.operands[0], Path)
    return test.operands[0]


def _key_test(part: Condition) -> Test:
    """One part of a KeyConditionExpression: one key attribute against values."""
    if not isinstance(part, Test):
        raise validation(f"Invalid operator used in KeyConditionExpression: {'NOT' if isinstance(part, Not) else 'OR'}")
    if part.operator not in _RANGES:
        raise validation(f"Invalid operator used in KeyConditionExpression: {part.operator}")
    paths = [operand for operand in part.operands if isinstance(operand, Path)]
    if not paths:
        raise validation("Invalid condition in KeyConditionExpression: No key attribute specified")
    if len(paths) > 1:
        raise validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
    if len(paths[0].parts) > 1:
        raise validation("KeyConditionExpressions cannot have conditions on nested attributes")
    if part.operands[0] is not paths[0]:
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
        if len(part.operands) != 2 or part.operator == "begins_with":
            raise validation("Query key condition not supported")
        return Test(mirrored.get(part.operator, part.operator), (part.operands[1], part.operands[0]))
    return part


def _check_operands(table: LabTable, test: Test) -> None:
    name = str(_path(test).parts[0])
    for operand in test.operands[1:]:
        if isinstance(operand, Literal):
            if values.kind_of(operand.value) != table.types[name]:
                raise invalid("Condition parameter type does not match schema type")
            if test.operator == "=":
                check_not_empty(name, operand.value)


def check_filter(table: LabTable, index: Any, condition: Condition, kind: str) -> None:
    """A query's filter is about what is not in the key that it asks for."""
    keys = index.schema_key_attrs if index is not None else table.table_key_attrs
    for name in _names(condition):
        if name in keys:
            raise validation(f"{kind} can only contain non-primary key attributes: Primary key attribute: {name}")


def _names(part: Any) -> Iterable[str]:
    match part:
        case Path(parts):
            yield str(parts[0])
        case Size(of) | Not(of):
            yield from _names(of)
        case Test(_, operands):
            for operand in operands:
                yield from _names(operand)
        case Any_(parts):
            for one in parts:
                yield from _names(one)
        case Literal():
            return
        case _:
            for one in flat(part):
                yield from _names(one)


def query(
    table: LabTable, index: Any, tests: list[Test], *, forward: bool, limit: int | None, start: Attributes | None
) -> Page:
    if index is None and isinstance(tests[0].operands[1], Literal):
        candidates: Iterable[Attributes] = table.items.get(values.sortable(tests[0].operands[1].value), {}).values()
    else:
        candidates = (item for item in table.each_item() if holds(index, item))
    found = [item for item in candidates if all(test.holds(item) for test in tests)]
    return _page(table, index, found, forward=forward, limit=limit, start=start)


def scan(
    table: LabTable,
    index: Any,
    *,
    segment: int | None,
    segments: int | None,
    limit: int | None,
    start: Attributes | None,
) -> Page:
    found = table.each_item() if index is None else [item for item in table.each_item() if holds(index, item)]
    if segment is not None and segments is not None:
        found = [item for item in found if _segment(table, item) % segments == segment]
    return _page(table, index, found, forward=True, limit=limit, start=start)


def _segment(table: LabTable, item: Attributes) -> int:
    """The same for items of one partition, and evenly spread."""
    return hashlib.md5(str(values.sortable(item[table.hash_key_attr])).encode(), usedforsecurity=False).digest()[0]


def _order(table: LabTable, index: Any) -> Callable[[Attributes], tuple[Any, ...]]:
    names = [*(index.schema_key_attrs if index is not None else ()), *table.table_key_attrs]
    return lambda item: tuple(values.sortable(item[name]) for name in names)


def _page(
    table: LabTable, index: Any, found: list[Attributes], *, forward: bool, limit: int | None, start: Attributes | None
) -> Page:
    order = _order(table, index)
    found.sort(key=order, reverse=not forward)
    if start is not None:
        at = order(_start(table, index, start))
        found = [item for item in found if (order(item) > at if forward else order(item) < at)]
    names = projected_names(index) if index is not None else None
    page = Page([], 0, None)
    for item in found:
        size = item_size(item, names)
        if page.items and page.size + size > _PAGE:
            page.last = page.items[-1]
            break
        page.items.append(item)
        page.size += size
        if len(page.items) == limit:
            # AWS does not look whether another one follows.
            page.last = item
            break
    if page.last is not None:
        page.last = {name: page.last[name] for name in _key_names(table, index)}
    return page


def _key_names(table: LabTable, index: Any) -> list[str]:
    return list(dict.fromkeys([*table.table_key_attrs, *(index.schema_key_attrs if index is not None else ())]))


def _start(table: LabTable, index: Any, start: Attributes) -> Attributes:
    types = table.types
    if start.keys() != set(_key_names(table, index)):
        raise validation("The provided starting key is invalid")
    if any(values.kind_of(value) != types[name] for name, value in start.items()):
        raise validation("The provided starting key is invalid: The provided key element does not match the schema")
    return start


def check_select(table: LabTable, index: Any, select: str | None, paths: list[Path] | None, given: str | None) -> None:
    """``given``: the parameter that names the attributes to get, if any."""
    if select == "SPECIFIC_ATTRIBUTES" and paths is None:
        raise validation(
            "1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES"
        )
    if select not in (None, "SPECIFIC_ATTRIBUTES") and paths is not None:
        what = "only the Count" if select == "COUNT" else select
        raise validation(f"1 validation error detected: Cannot specify the {given} when choosing to get {what}")
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise validation(
            "1 validation error detected: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
        )
    if index is None or index not in table.global_indexes:
        return
    names = projected_names(index)
    if names is None:
        return
    if select == "ALL_ATTRIBUTES":
        raise invalid(
            f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because its projection "
            "type is not ALL"
        )
    if outside := [str(path.parts[0]) for path in paths or () if path.parts[0] not in names]:
        raise invalid(f"Global secondary index {index.name} does not project [{', '.join(outside)}]")


def shown(
    table: LabTable, index: Any, select: str | None, paths: list[Path] | None
) -> Callable[[Attributes], Attributes]:
    """What of each item a read answers with."""
    if paths is not None:
        return lambda item: project(paths, item)
    names = projected_names(index) if index is not None and select != "ALL_ATTRIBUTES" else None
    if names is None:
        return lambda item: item
    return lambda item: {name: value for name, value in item.items() if name in names}
