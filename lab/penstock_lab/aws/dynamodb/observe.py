"""Metrics that come from the state of tables and not from requests: provisioned capacity, account use, backfills.

Names and dimensions from the developer guide, "DynamoDB metrics and dimensions". AWS publishes the provisioned ones
every five minutes; so does the lab, on its clock.
"""

from __future__ import annotations

from typing import Any

from .. import kms
from ..clock import clock
from ..metrics import metrics
from ..settings import settings
from .backend import LabDynamoDB
from .store import LabTable

_NAMESPACE = "AWS/DynamoDB"
_PERIOD = 300
_UNITS = ("ReadCapacityUnits", "WriteCapacityUnits")


class Observer:
    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self._keys: dict[tuple[str, str], float] = {}

    def observe(self, backend: LabDynamoDB) -> None:
        now = clock.now()
        tables: list[Any] = list(backend.tables.values())
        for table in tables:
            if table.building:
                self._progress(table, now)
        where = (backend.account_id, backend.region_name)
        if abs(now - self._keys.get(where, 0.0)) >= 1.0:
            self._keys[where] = now
            self._check_keys(backend, [t for t in tables if t.sse is not None], now)
        step = int(now // _PERIOD)
        if self._last.get(where) != step:
            self._last[where] = step
            self._publish(backend, tables, now)

    def _progress(self, table: LabTable, now: float) -> None:
        with table.backend.lock:
            for index in table.global_indexes:
                if index.status == "CREATING":
                    whole = max(0.001, index.backfill_until - index.backfill_from)
                    share = min(1.0, max(0.0, (now - index.backfill_from) / whole))
                    dimensions = {"TableName": table.name, "GlobalSecondaryIndexName": index.name}
                    metrics.add(
                        table.region_name, _NAMESPACE, "OnlineIndexPercentageProgress", dimensions, share * 100, now
                    )
            table.building = any(index.status == "CREATING" for index in table.global_indexes)

    def _check_keys(self, backend: LabDynamoDB, tables: list[LabTable], now: float) -> None:
        """A table whose key cannot be used becomes inaccessible, and accessible again with the key."""
        for table in tables:
            with backend.lock:
                if table.status not in ("ACTIVE", "INACCESSIBLE_ENCRYPTION_CREDENTIALS") or table.sse is None:
                    continue
                works = kms.key_works(backend.account_id, backend.region_name, table.sse["KMSMasterKeyArn"])
                if works and table.status != "ACTIVE":
                    table.status = "ACTIVE"
                    table.sse.pop("InaccessibleEncryptionDateTime", None)
                elif not works and table.status == "ACTIVE":
                    table.status = "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
                    table.sse["InaccessibleEncryptionDateTime"] = now

    def _publish(self, backend: LabDynamoDB, tables: list[LabTable], now: float) -> None:
        region = backend.region_name
        totals = dict.fromkeys(_UNITS, 0)
        largest = dict.fromkeys(_UNITS, 0)
        with backend.lock:
            for table in tables:
                if table.on_demand_mode:
                    for name, value in (table.on_demand or {}).items():
                        if value > 0:
                            metrics.add(
                                region, _NAMESPACE, f"OnDemand{name}", {"TableName": table.name}, float(value), now
                            )
                    continue
                owners: list[tuple[dict[str, str], dict[str, int]]] = [({"TableName": table.name}, table.provisioned)]
                owners += [
                    ({"TableName": table.name, "GlobalSecondaryIndexName": i.name}, i.provisioned)
                    for i in table.global_indexes
                ]
                for dimensions, provisioned in owners:
                    for unit in _UNITS:
                        totals[unit] += provisioned[unit]
                        largest[unit] = max(largest[unit], provisioned[unit])
                        metrics.add(region, _NAMESPACE, f"Provisioned{unit}", dimensions, float(provisioned[unit]), now)
        for unit, short, limit in (
            ("ReadCapacityUnits", "Read", settings.table_max_read_units),
            ("WriteCapacityUnits", "Write", settings.table_max_write_units),
        ):
            for name, value in (
                (f"AccountMax{short}s", 2.0 * limit),
                (f"AccountMaxTableLevel{short}s", float(limit)),
                (f"AccountProvisioned{short}CapacityUtilization", 100.0 * totals[unit] / (2 * limit)),
                (f"MaxProvisionedTable{short}CapacityUtilization", 100.0 * largest[unit] / limit),
            ):
                metrics.add(region, _NAMESPACE, name, {}, value, now)
