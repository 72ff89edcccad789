"""UpdateTable: what it refuses, what it changes, and for how long the table is UPDATING."""

from __future__ import annotations

from typing import Any

from ..clock import clock
from ..errors import AwsError, invalid, validation
from ..request import Request
from ..settings import settings
from . import history, indexes, refusals
from .backend import LabDynamoDB
from .store import LabTable, units_of
from .tables import check_idle, check_room, describe, encryption, find, warm_throughput

_CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "GlobalSecondaryIndexUpdates",
    "SSESpecification",
    "ReplicaUpdates",
    "TableClass",
    "DeletionProtectionEnabled",
    "OnDemandThroughput",
    "WarmThroughput",
)


def update_table(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    """Refuses first, changes after: a refused UpdateTable leaves nothing behind."""
    spec, now = request.parameters or {}, clock.now()
    table = find(backend, spec["TableName"])
    if not any(name in spec for name in _CHANGES):
        raise validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    refusals.check_enum(spec.get("BillingMode"), "billingMode", refusals.BILLING_MODES)
    refusals.check_enum(spec.get("TableClass"), "tableClass", refusals.TABLE_CLASSES)
    if "TableClass" in spec and any(name in spec for name in _CHANGES if name != "TableClass"):
        # In AWS's words, from public reports (terraform-provider-aws, pull request 29816).
        raise invalid("TableClass modification must be the only operation in the request")
    if spec.get("ReplicaUpdates"):
        raise validation("The lab has one region: replicas of a table cannot be made in it")
    check_idle(table)
    check_room(backend, new_table=False)
    steps = [
        step
        for make in (
            _billing_step,
            _throughput_step,
            _index_step,
            _stream_step,
            _sse_step,
            _class_step,
            _caps_step,
            _warm_step,
            _protection_step,
        )
        if (step := make(backend, table, spec, now)) is not None
    ]
    seconds = 0.0
    for begin in steps:
        seconds = max(seconds, begin())
    if seconds > 0:
        table.status = "UPDATING"
        backend.in_progress.add(table.name)

        def updated(_: float) -> None:
            backend.in_progress.discard(table.name)
            if table.status == "UPDATING":
                table.status = "ACTIVE"

        backend.at(now + seconds, updated)
    return {"TableDescription": describe(table, now)}


# Each of these checks its part of an UpdateTable and gives back what begins it, or None when it is not asked for.
# What begins it answers for how many seconds the table is UPDATING.


def _billing_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    mode = spec.get("BillingMode")
    if mode is None or mode == table.billing_mode:
        return None
    updates = {
        u["Update"]["IndexName"]: u["Update"] for u in spec.get("GlobalSecondaryIndexUpdates") or () if "Update" in u
    }
    if mode == "PAY_PER_REQUEST":
        refusals.check_capacity(spec.get("ProvisionedThroughput"), on_demand=True)
        recent = [at for at in table.billing_switches if at > now - 86400]
        if len(recent) >= settings.max_billing_switches:
            raise AwsError(
                "LimitExceededException",
                "Subscriber limit exceeded: Update to PayPerRequest mode are limited to "
                f"{settings.max_billing_switches} times in a 24 hours window. Last update at {history.moment(recent[-1])}. "
                f"Next update can be made at {history.moment(recent[0] + 86400)}",
            )
    else:
        refusals.check_capacity(spec.get("ProvisionedThroughput"), on_demand=False)
        for index in table.global_indexes:
            throughput = updates.get(index.name, {}).get("ProvisionedThroughput")
            if throughput is None:
                raise invalid(f"ProvisionedThroughput must be specified for index: {index.name}")
            refusals.check_units(throughput, "globalSecondaryIndexUpdates.provisionedThroughput")

    def begin() -> float:
        def switched(due: float) -> None:
            table.billing_mode = mode
            if mode == "PAY_PER_REQUEST":
                table.on_demand_since = due
                table.provisioned = units_of(None)
            else:
                table.provisioned = units_of(spec["ProvisionedThroughput"])
            for index in table.global_indexes:
                throughput = updates.get(index.name, {}).get("ProvisionedThroughput")
                index.provisioned = units_of(throughput if mode == "PROVISIONED" else None)
                index.status = "ACTIVE" if index.status == "UPDATING" else index.status

        if mode == "PAY_PER_REQUEST":
            table.billing_switches.append(now)
        for index in table.global_indexes:
            index.status = "UPDATING" if index.status == "ACTIVE" else index.status
        backend.at(now + settings.table_update_s, switched)
        return settings.table_update_s

    return begin


def _throughput_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    throughput = spec.get("ProvisionedThroughput")
    if throughput is None or spec.get("BillingMode", table.billing_mode) != table.billing_mode:
        return None
    if table.on_demand_mode:
        refusals.check_capacity(throughput, on_demand=True)
        return None
    refusals.check_units(throughput, "provisionedThroughput")
    changed = history.throughput_change(
        f"the table: {table.name}",
        table.provisioned,
        throughput,
        table.history,
        now,
        alone=not spec.get("GlobalSecondaryIndexUpdates"),
    )
    if not changed:
        return None

    def begin() -> float:
        def applied(due: float) -> None:
            history.record_change(table.history, table.provisioned, throughput, due)
            table.provisioned = units_of(throughput)

        history.note_decrease(table.history, table.provisioned, throughput, now)
        backend.at(now + settings.table_update_s, applied)
        return settings.table_update_s

    return begin


def _index_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    if not spec.get("GlobalSecondaryIndexUpdates"):
        return None
    return indexes.plan(backend, table, spec, now)


def _stream_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    stream = spec.get("StreamSpecification")
    if stream is None:
        return None
    refusals.check_stream(stream)
    on = bool(table.stream_specification and table.stream_specification.get("StreamEnabled"))
    if stream.get("StreamEnabled") and on:
        raise validation(f"Table already has an enabled stream: TableName: {table.name}")
    if not stream.get("StreamEnabled") and not on:
        raise validation(f"Table has no enabled stream: TableName: {table.name}")

    def begin() -> float:
        if stream.get("StreamEnabled"):
            table.start_stream(stream, now)
        else:
            table.stop_stream()
        return settings.stream_enable_s

    return begin


def _sse_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    if spec.get("SSESpecification") is None:
        return None
    wanted = encryption(backend, spec["SSESpecification"])
    current = table.sse["KMSMasterKeyArn"] if table.sse else None
    if (wanted["KMSMasterKeyArn"] if wanted else None) == current:
        raise invalid("Table is already encrypted by given KMSMasterKeyId" if current else "SSE is already disabled")
    if wanted is not None and (next_at := refusals.next_key_change(table.created, table.key_changes, now)):
        raise AwsError(
            "LimitExceededException",
            "Subscriber limit exceeded: The encryption key of a table can be changed up to 4 times in a 24 hours window, "
            f"and then once in 6 hours. Next update can be made at {history.moment(next_at)}",
        )

    def begin() -> float:
        table.key_changes.append(now)
        table.sse = {**(table.sse or wanted or {}), "Status": "UPDATING"}

        def encrypted(_: float) -> None:
            table.sse = wanted

        backend.at(now + settings.table_update_s, encrypted)
        return settings.table_update_s

    return begin


def _class_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    wanted = spec.get("TableClass")
    if wanted is None or wanted == table.table_class:
        return None
    recent = [at for at in table.class_changes if at > now - 30 * 86400]
    if len(recent) >= settings.max_class_updates:
        raise AwsError(
            "LimitExceededException",
            "Subscriber limit exceeded: Table class updates are limited to "
            f"{settings.max_class_updates} in a 30 days window. Next update can be made at "
            f"{history.moment(recent[0] + 30 * 86400)}",
        )

    def begin() -> float:
        table.class_changes.append(now)

        def changed(due: float) -> None:
            table.table_class, table.class_updated, table.table_class_named = wanted, due, True

        backend.at(now + settings.table_update_s, changed)
        return settings.table_update_s

    return begin


def _caps_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    caps = spec.get("OnDemandThroughput")
    if caps is None:
        return None
    refusals.check_caps(caps, on_demand=spec.get("BillingMode", table.billing_mode) == "PAY_PER_REQUEST")

    def begin() -> float:
        def capped(_: float) -> None:
            table.on_demand = merge_caps(table.on_demand, caps)

        backend.at(now + settings.table_update_s, capped)
        return settings.table_update_s

    return begin


def merge_caps(current: dict[str, int] | None, wanted: dict[str, int]) -> dict[str, int]:
    """A cap that is not named stays as it is; -1 takes one away."""
    return {**(current or {}), **wanted}


def _warm_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    warm = spec.get("WarmThroughput")
    if warm is None:
        return None
    current = warm_throughput(table.warm, table.provisioned, table.on_demand_mode, table.status)
    refusals.check_warm(warm, {k: v for k, v in current.items() if k != "Status"}, "table", new=False)

    def begin() -> float:
        def warmed(_: float) -> None:
            table.warm = {**table.warm, **warm}

        backend.at(now + settings.table_update_s, warmed)
        return settings.table_update_s

    return begin


def _protection_step(backend: LabDynamoDB, table: LabTable, spec: dict[str, Any], now: float) -> Any:
    wanted = spec.get("DeletionProtectionEnabled")
    if wanted is None:
        return None

    def begin() -> float:
        table.deletion_protection_enabled = bool(wanted)
        return 0.0

    return begin
