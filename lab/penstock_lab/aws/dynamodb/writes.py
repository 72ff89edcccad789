"""Writes of single items: what AWS refuses of an item or a key, conditions, and the change itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import AwsError, invalid, validation
from . import values
from .nodes import Action, All, Condition, applied
from .size import item_size
from .store import Key, LabTable
from .values import Attributes, Value

ALWAYS: Condition = All(())
# Quotas: 400 KB an item, 2048 bytes a partition key, 1024 bytes a sort key.
_LARGEST = 400 * 1024
_LONGEST = (
    (2048, "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
    (1024, "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
)


def put(table: LabTable, item: Attributes, condition: Condition = ALWAYS, *, show: bool = False) -> Attributes | None:
    """Stores the item; gives the one that it replaces."""
    key = check_item(table, item)
    old = checked_for(table, key, condition, show)
    table.commit(key, item)
    return old


def delete(table: LabTable, key: Key, condition: Condition = ALWAYS, *, show: bool = False) -> Attributes | None:
    old = checked_for(table, key, condition, show)
    table.commit(key, None)
    return old


def update(
    table: LabTable,
    given: Attributes,
    actions: Iterable[Action],
    condition: Condition = ALWAYS,
    *,
    show: bool = False,
) -> tuple[Attributes | None, Attributes]:
    """Changes the item of that key, or makes it; gives it as it was and as it is."""
    key = check_key(table, given)
    for action in actions:
        if action.path.parts[0] in given:
            raise invalid(f"Cannot update attribute {action.path.parts[0]}. This attribute is part of the key")
    old = checked_for(table, key, condition, show)
    new = applied(actions, old if old is not None else given)
    _check_index_keys(table, new, {str(action.path.parts[0]) for action in actions})
    if item_size(new) > _LARGEST:
        raise validation("Item size to update has exceeded the maximum allowed size")
    table.commit(key, new)
    return old, new


def checked_for(table: LabTable, key: Key, condition: Condition, show: bool) -> Attributes | None:
    """The item of that key. Raises AwsError when the condition does not hold for it, with the item if ``show``."""
    old = table.find(key)
    if not condition.holds(old or {}):
        members = {"Item": old} if show and old is not None else {}
        raise AwsError("ConditionalCheckFailedException", "The conditional request failed", **members)
    return old


def check_key(table: LabTable, given: Attributes) -> Key:
    """The key in a request's ``Key``: the table's key attributes, all of them and nothing else."""
    types = table.types
    if given.keys() != set(table.table_key_attrs) or any(values.kind_of(v) != types[n] for n, v in given.items()):
        raise validation("The provided key element does not match the schema")
    _check_sizes(table, given)
    return table.key(given)


def check_item(table: LabTable, item: Attributes) -> Key:
    """The key of a whole item. Raises AwsError for what cannot be stored in this table."""
    types = table.types
    for name in table.table_key_attrs:
        if name not in item:
            raise invalid(f"Missing the key {name} in the item")
        if (kind := values.kind_of(item[name])) != types[name]:
            raise invalid(f"Type mismatch for key {name} expected: {types[name]} actual: {kind}")
    _check_sizes(table, item)
    _check_index_keys(table, item)
    if item_size(item) > _LARGEST:
        raise validation("Item size has exceeded the maximum allowed size")
    return table.key(item)


def check_not_empty(name: str, value: Value) -> None:
    kind = values.kind_of(value)
    if kind in ("S", "B") and not value[kind]:
        raise validation(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
            f"{'string' if kind == 'S' else 'binary'} value. Key: {name}"
        )


def _check_sizes(table: LabTable, item: Attributes) -> None:
    for name, (longest, words) in zip(table.table_key_attrs, _LONGEST, strict=False):
        check_not_empty(name, item[name])
        if item_size({"": item[name]}) > longest:
            raise invalid(words)


def _check_index_keys(table: LabTable, item: Attributes, updated: set[str] | None = None) -> None:
    """``updated``: the attributes that an update changes; None for a whole item."""
    types = table.types
    for index in table.all_indexes():
        for name in index.schema_key_attrs:
            if name not in item or name in table.table_key_attrs or (updated is not None and name not in updated):
                continue
            kind = values.kind_of(item[name])
            if kind != types[name]:
                raise (
                    invalid(
                        f"Type mismatch for Index Key {name} Expected: {types[name]} Actual: {kind} "
                        f"IndexName: {index.name}"
                    )
                    if updated is None
                    else validation(
                        "The update expression attempted to update the secondary index key to unsupported type"
                    )
                )
            if kind in ("S", "B") and not item[name][kind]:
                what = (
                    "A value specified for a secondary index key is not supported."
                    if updated is None
                    else "The update expression attempted to update a secondary index key to a value that is not supported."
                )
                raise validation(
                    f"One or more parameter values are not valid. {what} The AttributeValue for a key attribute cannot "
                    f"contain an empty {'string' if kind == 'S' else 'binary'} value. "
                    f"IndexName: {index.name}, IndexKey: {name}"
                )


def collection_metrics(table: LabTable, item: Attributes) -> dict[str, Any] | None:
    """ItemCollectionMetrics: of tables with local indexes only; no collection of the lab reaches a gigabyte."""
    if not table.indexes:
        return None
    return {
        "ItemCollectionKey": {table.hash_key_attr: item[table.hash_key_attr]},
        "SizeEstimateRangeGB": [0.0, 1.0],
    }
