"""Global secondary indexes of a table that exists: made, changed and deleted, one at a time."""

from __future__ import annotations

from typing import Any

from ..errors import AwsError, invalid, validation
from ..settings import settings
from . import history, refusals
from .backend import LabDynamoDB
from .store import LabIndex, LabTable, units_of


def plan(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    """Checks the index part of an UpdateTable; gives back what begins it.

    Developer guide, "Managing global secondary indexes": one index is created or deleted at a time; an index that
    backfills can be deleted.
    """
    updates = spec["GlobalSecondaryIndexUpdates"]
    for update in updates:
        if len(update) != 1 or next(iter(update)) not in ("Create", "Update", "Delete"):
            raise invalid("One of GlobalSecondaryIndexUpdate Update, Create or Delete must be specified")
    structural = [u for u in updates if "Update" not in u]
    if len(structural) > 1:
        raise _one_at_a_time()
    if structural and (len(updates) > 1 or "ProvisionedThroughput" in spec or "BillingMode" in spec):
        raise validation(
            "One or more parameter values were invalid: An index cannot be created or deleted in the same request as "
            "a change of throughput or billing mode"
        )
    if structural:
        kind, index_spec = next(iter(structural[0].items()))
        return (_create if kind == "Create" else _delete)(backend, table, index_spec, spec, now)
    return _update(backend, table, [u["Update"] for u in updates], spec, now)


def _one_at_a_time() -> AwsError:
    return AwsError(
        "LimitExceededException",
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
    )


def _missing(table: LabTable, name: str) -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Requested resource not found: Index: {name} of table: {table.name} not found",
    )


def _create(backend: LabDynamoDB, table: LabTable, index_spec: dict[str, Any], spec: dict[str, Any], now: float) -> Any:
    name = index_spec["IndexName"]
    if any(index.status in ("CREATING", "DELETING") for index in table.global_indexes):
        raise _one_at_a_time()
    if any(index.name == name for index in table.all_indexes()):
        raise validation("Attempting to create an index which already exists")
    if len(table.global_indexes) >= settings.max_gsi:
        raise invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {settings.max_gsi}")
    refusals.check_index(index_spec, "globalSecondaryIndexUpdates.1.member.create")
    refusals.check_index_capacity(index_spec, on_demand=table.on_demand_mode)
    attributes = _attributes(table, index_spec, spec.get("AttributeDefinitions") or [])

    def begin() -> float:
        table.attr = attributes
        index = LabIndex(index_spec, table, "CREATING")
        index.recount()
        whole = max(settings.index_create_s, settings.index_allocate_s)
        if settings.backfill_items_per_s:
            whole = max(whole, settings.index_allocate_s + table.count / settings.backfill_items_per_s)
        index.backfill_from, index.backfill_until = now + settings.index_allocate_s, now + whole
        table.global_indexes.append(index)
        table.building = True

        def backfilled(_: float) -> None:
            if index.status == "CREATING":
                index.status = "ACTIVE"

        backend.at(now + whole, backfilled)
        return settings.index_allocate_s

    return begin


def _attributes(table: LabTable, index_spec: dict[str, Any], given: list[dict[str, str]]) -> list[dict[str, str]]:
    """The table's attribute definitions with the index's own; one type an attribute."""
    known = {a["AttributeName"]: a["AttributeType"] for a in table.attr}
    new = refusals.check_definitions(given)
    for name, kind in new.items():
        if known.get(name, kind) != kind:
            raise invalid(f"Attribute definitions cannot be modified: {name} is of type {known[name]}")
    both = known | new
    keys = [e["AttributeName"] for e in index_spec["KeySchema"]]
    if missing := [name for name in keys if name not in both]:
        raise invalid(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(missing)}], AttributeDefinitions: [{', '.join(both)}]"
        )
    used = {*keys, *table.attribute_keys}
    if any(name not in used for name in new):
        raise invalid(
            "Some AttributeDefinitions are not used. "
            f"AttributeDefinitions: [{', '.join(both)}], keys used: [{', '.join(sorted(used))}]"
        )
    return [{"AttributeName": n, "AttributeType": t} for n, t in both.items()]


def _delete(backend: LabDynamoDB, table: LabTable, index_spec: dict[str, Any], spec: dict[str, Any], now: float) -> Any:
    index = table.index(index_spec["IndexName"])
    if index is None:
        raise _missing(table, index_spec["IndexName"])
    if any(i is not index and i.status in ("CREATING", "DELETING") for i in table.global_indexes):
        raise _one_at_a_time()

    def begin() -> float:
        index.status = "DELETING"

        def deleted(_: float) -> None:
            if index in table.global_indexes:
                table.global_indexes.remove(index)
                used = set(table.attribute_keys)
                table.attr = [a for a in table.attr if a["AttributeName"] in used]

        backend.at(now + settings.index_delete_s, deleted)
        return settings.index_delete_s

    return begin


Change = tuple[LabIndex, dict[str, Any], dict[str, int] | None]


def _update(
    backend: LabDynamoDB, table: LabTable, updates: list[dict[str, Any]], spec: dict[str, Any], now: float
) -> Any:
    alone = len(updates) == 1 and "ProvisionedThroughput" not in spec
    changes = [_check_update(table, update, spec, now, alone=alone) for update in updates]

    def begin() -> float:
        for index, _, throughput in changes:
            if index.status == "ACTIVE":
                index.status = "UPDATING"
            if throughput is not None:
                history.note_decrease(index.throughput_history, index.provisioned, throughput, now)
        backend.at(now + settings.table_update_s, lambda due: _apply(changes, due))
        return settings.table_update_s

    return begin


def _check_update(table: LabTable, update: dict[str, Any], spec: dict[str, Any], now: float, *, alone: bool) -> Change:
    """Refuses what cannot be; gives the index, its update, and its new throughput if that changes."""
    mode = spec.get("BillingMode", table.billing_mode)
    on_demand, switching = mode == "PAY_PER_REQUEST", mode != table.billing_mode
    index = table.index(update["IndexName"])
    if index is None:
        raise _missing(table, update["IndexName"])
    if index.status == "DELETING":
        raise AwsError("ResourceInUseException", f"Attempt to change a resource which is still in use: {index.name}")
    throughput = None if switching else update.get("ProvisionedThroughput")
    if throughput is not None:
        refusals.check_index_capacity(
            {"IndexName": index.name, "ProvisionedThroughput": throughput}, on_demand=on_demand
        )
        if not history.throughput_change(
            f"the index: {index.name}", index.provisioned, throughput, index.throughput_history, now, alone=alone
        ):
            throughput = None
    refusals.check_caps(update.get("OnDemandThroughput"), on_demand=on_demand)
    if update.get("WarmThroughput"):
        own = refusals.floor(index.provisioned, table.on_demand_mode)
        least = {n: max(v, index.warm.get(n, 0)) for n, v in own.items()}
        refusals.check_warm(update["WarmThroughput"], least, f"index {index.name}", new=False)
    return index, update, throughput


def _apply(changes: list[Change], due: float) -> None:
    for index, update, throughput in changes:
        if throughput is not None:
            history.record_change(index.throughput_history, index.provisioned, throughput, due)
            index.provisioned = units_of(throughput)
        if update.get("OnDemandThroughput"):
            index.on_demand = {**(index.on_demand or {}), **update["OnDemandThroughput"]}
        if update.get("WarmThroughput"):
            index.warm = {**index.warm, **update["WarmThroughput"]}
        if index.status == "UPDATING":
            index.status = "ACTIVE"
