"""Time to live: the setting, its pace, and the deletion of what has expired."""

from __future__ import annotations

import time
from typing import Any

from ..clock import clock
from ..errors import invalid, validation
from ..metrics import metrics
from ..request import Request
from ..settings import settings
from . import refusals
from .backend import LabDynamoDB
from .store import LabTable
from .tables import check_idle, find
from .values import Attributes

# Developer guide, "Working with expired items": an item whose time lies more than five years back is left alone.
_FIVE_YEARS = 5 * 365 * 86400


def update_time_to_live(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    parameters = request.parameters or {}
    table = find(backend, parameters["TableName"])
    wanted = parameters["TimeToLiveSpecification"]
    enabled, attribute = bool(wanted.get("Enabled")), wanted.get("AttributeName", "")
    if not 1 <= len(attribute) <= 255:
        raise refusals.constraint(
            attribute,
            "timeToLiveSpecification.attributeName",
            f"Member must have length {'less' if attribute else 'greater'} than or equal to {255 if attribute else 1}",
        )
    check_idle(table)
    now = clock.now()
    on = table.ttl_status in ("ENABLED", "ENABLING")
    if table.ttl_changed is not None and now - table.ttl_changed < settings.ttl_interval_s:
        raise validation("Time to live has been modified multiple times within a fixed interval")
    if enabled and on:
        if attribute != table.ttl_attribute:
            raise invalid(
                f"TimeToLive is active on a different AttributeName: current AttributeName is {table.ttl_attribute}"
            )
        raise validation("TimeToLive is already enabled")
    if not enabled and not on:
        raise validation("TimeToLive is already disabled")
    if not enabled and attribute != table.ttl_attribute:
        raise invalid(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {table.ttl_attribute}"
        )
    table.ttl_changed = now
    table.ttl_status = "ENABLING" if enabled else "DISABLING"
    table.ttl_attribute = attribute

    def changed(_: float) -> None:
        if table.ttl_status == "ENABLING":
            table.ttl_status = "ENABLED"
        elif table.ttl_status == "DISABLING":
            table.ttl_status, table.ttl_attribute = "DISABLED", None

    backend.at(now + settings.ttl_change_s, changed)
    return {"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}


def describe(table: LabTable) -> dict[str, Any]:
    answer = {"TimeToLiveStatus": table.ttl_status}
    if table.ttl_attribute is not None:
        answer["AttributeName"] = table.ttl_attribute
    return answer


def describe_time_to_live(backend: LabDynamoDB, request: Request) -> dict[str, Any]:
    return {"TimeToLiveDescription": describe(find(backend, request.parameters["TableName"]))}


class Sweeper:
    """Deletes expired items: each table every ``ttl_delete_s``, at no cost in capacity."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], float] = {}

    def sweep(self, backend: LabDynamoDB) -> None:
        now = clock.now()
        for table in [t for t in list(backend.tables.values()) if t.ttl_status == "ENABLED"]:
            key = (backend.region_name, table.name)
            if self._next.get(key, 0.0) > now or not table.count:
                continue
            self._next[key] = now + settings.ttl_delete_s
            with backend.lock:
                self._sweep_table(backend, table, now)

    def _sweep_table(self, backend: LabDynamoDB, table: LabTable, now: float) -> None:
        started = time.monotonic()
        expired = [item for item in table.each_item() if _expired(item, table.ttl_attribute or "", now)]
        for item in expired:
            backend.meter.free = True
            try:
                table.commit(table.key(item), None)
            finally:
                backend.meter.free = False
            if table.stream_shard is not None and table.stream_shard.items:
                # Developer guide, "DynamoDB Streams and Time to Live": how a reader tells an expiry from a delete.
                table.stream_shard.items[-1].record["userIdentity"] = {
                    "Type": "Service",
                    "PrincipalId": "dynamodb.amazonaws.com",
                }
            if time.monotonic() - started > 0.05:
                self._next[backend.region_name, table.name] = now
                break
        if expired:
            metrics.add(
                backend.region_name,
                "AWS/DynamoDB",
                "TimeToLiveDeletedItemCount",
                {"TableName": table.name},
                float(len(expired)),
                now,
            )


def _expired(item: Attributes, attribute: str, now: float) -> bool:
    at = item.get(attribute, {}).get("N")
    return at is not None and now - _FIVE_YEARS < float(at) <= now
