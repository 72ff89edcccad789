"""The tables and backups of an account and region: moto's backend with a clock, a lock and whole writes."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

import moto.dynamodb.models as models
import moto.dynamodb.models.table as table_models
from moto.core.base_backend import BackendDict

from ..clock import clock
from ..errors import AwsError
from .capacity import Meter
from .store import LabIndex, LabTable

_Backend = models.DynamoDBBackend


class _Untracked(list[Any]):
    """moto keeps a reference to every model object for its own tests; a server that runs for long must not."""

    def append(self, _: Any) -> None:
        return


class LabDynamoDB(_Backend):
    """The tables and backups of an account and region. ``lock`` guards all of it."""

    __module__ = "moto.dynamodb.models"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.meter = Meter()
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        # Target table to the backup that is being restored into it.
        self.restoring: dict[str, str] = {}
        self.transactions: dict[str, tuple[float, str, dict[str, Any]]] = {}
        self.backups_by_arn: dict[str, Any] = {}
        # Tables that AWS counts as being worked on, for the limit on simultaneous operations.
        self.in_progress: set[str] = set()

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """Has ``action(due)`` happen once the clock has reached ``due``."""
        heapq.heappush(self._due, (due, next(self._order), action))

    def settle(self, now: float) -> None:
        """Lets everything happen that is due by ``now``, in its order."""
        while self._due and self._due[0][0] <= now:
            due, _, action = heapq.heappop(self._due)
            action(due)

    def get_table(self, table_name: str) -> LabTable:
        if table_name.startswith("arn:"):
            table_name = table_name.split("/", 1)[-1].split("/", 1)[0]
        table = self.tables.get(table_name)
        if table is None:
            raise AwsError("ResourceNotFoundException", "Requested resource not found")
        return table

    def active_table(self, table_name: str) -> LabTable:
        """A table that items can be read from and written to: not one that is being made or deleted."""
        table = self.get_table(table_name)
        if table.status in ("CREATING", "DELETING"):
            raise AwsError("ResourceNotFoundException", "Requested resource not found")
        return table

    def create_table(self, name: str, schema: Any, attr: Any, **more: Any) -> LabTable:
        """For moto's own callers, ImportTable and CloudFormation: the table is ACTIVE at once."""
        spec = {
            "KeySchema": schema,
            "AttributeDefinitions": attr,
            "BillingMode": more.get("billing_mode"),
            "ProvisionedThroughput": more.get("throughput"),
            "GlobalSecondaryIndexes": more.get("global_indexes"),
            "LocalSecondaryIndexes": more.get("indexes"),
            "Tags": more.get("tags"),
            "DeletionProtectionEnabled": more.get("deletion_protection_enabled"),
        }
        with self.lock:
            if name in self.tables:
                raise AwsError("ResourceInUseException", f"Table already exists: {name}")
            table = LabTable(self, name, spec, clock.now())
            table.status = "ACTIVE"
            if more.get("streams"):
                table.start_stream(more["streams"], table.created)
            self.tables[name] = table
            return table

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        self.get_table(arn).tag_map.update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        for key in tag_keys:
            self.get_table(arn).tag_map.pop(key, None)


def install() -> BackendDict[LabDynamoDB]:
    """Puts these classes in moto's place, everywhere it keeps a reference."""
    import moto.dynamodb.responses as responses
    import moto.dynamodbstreams.models as streams

    for tracked in (
        table_models.Table,
        table_models.GlobalSecondaryIndex,
        table_models.StreamRecord,
        streams.ShardIterator,
        LabTable,
        LabIndex,
    ):
        tracked.instances_tracked = _Untracked()
    table_models.utcnow = clock.utcnow
    backends = BackendDict(LabDynamoDB, "dynamodb")
    models.dynamodb_backends = responses.dynamodb_backends = streams.dynamodb_backends = backends
    return backends
