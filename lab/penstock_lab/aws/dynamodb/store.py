"""Tables, indexes and items: moto's classes with the state and the one commit point that it lacks.

Items are never changed in place: a write replaces the whole item, so backups, the journal for point-in-time recovery
and stale reads are shallow copies. Every change of an item goes through :meth:`LabTable.commit`.
"""

from __future__ import annotations

import collections
import copy
import datetime
import itertools
import uuid
from typing import TYPE_CHECKING, Any

import moto.dynamodb.models.table as table_models
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from ..clock import clock
from ..errors import AwsError
from ..settings import settings
from .size import item_size

if TYPE_CHECKING:
    from .backend import LabDynamoDB

_Table = table_models.Table
_Index = table_models.GlobalSecondaryIndex


class LabIndex(_Index):
    """A global secondary index with a state, sizes, and its own throughput."""

    __module__ = "moto.dynamodb.models.table"  # moto's metaclass reads the service's name from here

    def __init__(self, spec: dict[str, Any], table: LabTable, status: str = "ACTIVE") -> None:
        super().__init__(spec["IndexName"], spec["KeySchema"], spec["Projection"], table.table_key_attrs, status)
        self.table = table
        self.throughput_history = ThroughputHistory()
        self.provisioned = units_of(spec.get("ProvisionedThroughput"))
        self.on_demand: dict[str, int] | None = spec.get("OnDemandThroughput")
        self.warm: dict[str, int] = dict(spec.get("WarmThroughput") or {})
        self.insights = Insights()
        self.buckets: dict[str, Any] = {}
        self.peaks: dict[str, Any] = {}
        self.backfill_from = 0.0
        self.backfill_until = 0.0
        self.count = 0
        self.bytes = 0

    @property
    def arn(self) -> str:
        return f"{self.table.table_arn}/index/{self.name}"

    def holds(self, item: Item | None) -> bool:
        """An item is in an index only if it has all of the index's key attributes."""
        return item is not None and all(name in item.attrs for name in self.schema_key_attrs)

    def projected_size(self, item: Item) -> int:
        return item_size(item, self.projected_names())

    def projected_names(self) -> frozenset[str] | None:
        """The attributes in the index; None for all."""
        if self.projection.get("ProjectionType") == "ALL":
            return None
        extra = self.projection.get("NonKeyAttributes", ()) if self.projection["ProjectionType"] == "INCLUDE" else ()
        return frozenset((*self.table_key_attrs, *self.schema_key_attrs, *extra))

    def recount(self) -> None:
        held = [item for item in self.table.each_item() if self.holds(item)]
        self.count = len(held)
        self.bytes = sum(self.projected_size(item) for item in held)

    def visible(self, now: float) -> tuple[int, int]:
        """Items and bytes as DescribeTable gives them: they grow while the index backfills."""
        if self.status != "CREATING" or now >= self.backfill_until:
            return self.count, self.bytes
        if now <= self.backfill_from:
            return 0, 0
        share = (now - self.backfill_from) / (self.backfill_until - self.backfill_from)
        return int(self.count * share), int(self.bytes * share)


class ThroughputHistory:
    """When provisioned capacity went up and down, and how many decreases this UTC day has seen."""

    def __init__(self) -> None:
        self.increased: float | None = None
        self.decreased: float | None = None
        self.decreases: list[float] = []

    def today(self, now: float) -> list[float]:
        start = now - now % 86400
        return [at for at in self.decreases if at >= start]

    def describe(self, units: dict[str, int], now: float) -> dict[str, Any]:
        answer: dict[str, Any] = {"NumberOfDecreasesToday": len(self.today(now)), **units}
        if self.increased is not None:
            answer["LastIncreaseDateTime"] = self.increased
        if self.decreased is not None:
            answer["LastDecreaseDateTime"] = self.decreased
        return answer


class Insights:
    """The state of CloudWatch contributor insights for a table or an index."""

    def __init__(self) -> None:
        self.status = "DISABLED"
        self.mode = "ACCESSED_AND_THROTTLED_KEYS"
        self.updated: float | None = None


class LabTable(_Table):
    """A table. ``items`` maps as in moto: hash key to item, or to range key to item."""

    __module__ = "moto.dynamodb.models.table"

    def __init__(self, backend: LabDynamoDB, name: str, spec: dict[str, Any], now: float) -> None:
        super().__init__(
            name,
            account_id=backend.account_id,
            region=backend.region_name,
            schema=spec["KeySchema"],
            attr=spec["AttributeDefinitions"],
            billing_mode=spec.get("BillingMode") or "PROVISIONED",
            indexes=spec.get("LocalSecondaryIndexes"),
            tags=[],
        )
        self.backend = backend
        self.id = str(uuid.uuid4())
        self.created = now
        self.status = "CREATING"
        # What an UpdateTable in progress is changing, so that the next one is refused with the right words.
        self.busy_with: str | None = None
        self.provisioned = units_of(spec.get("ProvisionedThroughput"))
        self.history = ThroughputHistory()
        self.on_demand: dict[str, int] | None = spec.get("OnDemandThroughput")
        self.warm: dict[str, int] = dict(spec.get("WarmThroughput") or {})
        self.on_demand_since: float | None = None
        self.billing_switches: list[float] = []
        self.active_since: float | None = None
        self.table_class = spec.get("TableClass", "STANDARD")
        # DescribeTable shows the class only of tables for which somebody named one.
        self.table_class_named = "TableClass" in spec
        self.class_changes: list[float] = []
        self.class_updated: float | None = None
        self.sse: dict[str, Any] | None = None
        self.key_changes: list[float] = []
        self.deletion_protection_enabled = bool(spec.get("DeletionProtectionEnabled"))
        self.tag_map: dict[str, str] = {t["Key"]: t["Value"] for t in spec.get("Tags") or ()}
        self.ttl_status = "DISABLED"
        self.ttl_attribute: str | None = None
        self.ttl_changed: float | None = None
        self.pitr: Pitr | None = None
        self.insights = Insights()
        self.policy: tuple[str, str] | None = None
        self.restore: dict[str, Any] | None = None
        # An index is being made: its progress is published.
        self.building = False
        self.replicas: list[dict[str, Any]] = []
        self.buckets: dict[str, Any] = {}
        self.peaks: dict[str, Any] = {}
        self.count = 0
        self.bytes = 0
        self.journal: collections.deque[tuple[float, DynamoType, DynamoType | None, Item | None]] = collections.deque()
        # The oldest moment the journal can go back to; None while nothing is kept.
        self.journal_from: float | None = None
        self.global_indexes: list[LabIndex] = [LabIndex(s, self) for s in spec.get("GlobalSecondaryIndexes") or ()]

    def start_stream(self, specification: dict[str, Any], now: float) -> None:
        self.stream_specification = {"StreamEnabled": True, "StreamViewType": specification["StreamViewType"]}
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        self.latest_stream_label = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
        self.stream_shard = table_models.StreamShard(self.account_id, self)

    def stop_stream(self) -> None:
        self.stream_specification = {"StreamEnabled": False}
        self.stream_shard = None

    # moto's own code (streams, tagging, CloudFormation) reads these as attributes.
    @property
    def tags(self) -> list[dict[str, str]]:
        return [{"Key": k, "Value": v} for k, v in self.tag_map.items()]

    @tags.setter
    def tags(self, _: Any) -> None:
        return

    @property
    def continuous_backups(self) -> dict[str, Any]:
        status = "DISABLED" if self.pitr is None else "ENABLED"
        return {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status}}

    @continuous_backups.setter
    def continuous_backups(self, _: Any) -> None:
        return

    def describe(self, base_key: str = "TableDescription") -> dict[str, Any]:
        from .tables import describe

        return {base_key: describe(self, clock.now())}

    @property
    def on_demand_mode(self) -> bool:
        return self.billing_mode == "PAY_PER_REQUEST"

    def index(self, name: str) -> LabIndex | None:
        return next((i for i in self.global_indexes if i.name == name), None)

    def each_item(self) -> Any:
        if self.has_range_key:
            return itertools.chain.from_iterable(by_range.values() for by_range in list(self.items.values()))
        return list(self.items.values())

    def __len__(self) -> int:
        return self.count

    def get_item(
        self,
        hash_key: DynamoType,
        range_key: DynamoType | None = None,
        projection_expression: list[list[str]] | None = None,
    ) -> Item | None:
        # moto leaves an empty partition behind for every miss.
        if hash_key not in self.items:
            if self.has_range_key and not range_key:
                return super().get_item(hash_key, range_key)
            return None
        return super().get_item(hash_key, range_key, projection_expression)

    def put_item(self, item_attrs: dict[str, Any], *args: Any, **kwargs: Any) -> Item:
        # moto checks everything and stores at the end; it stores into a draft, and the draft is committed.
        draft = copy.copy(self)
        draft.items = _Draft(self.items)
        draft.stream_shard = None
        item = _Table.put_item(draft, item_attrs, *args, **kwargs)
        self.commit(item.hash_key, item.range_key, item)
        return item

    def delete_item(self, hash_key: DynamoType, range_key: DynamoType | None) -> Item | None:
        old = self.get_item(hash_key, range_key)
        self.commit(hash_key, range_key, None)
        return old

    def commit(self, hash_key: DynamoType, range_key: DynamoType | None, new: Item | None) -> None:
        """The one place where an item changes: metered, journalled, streamed. Raises AwsError when throttled."""
        now = clock.now()
        old = self.get_item(hash_key, range_key)
        self.backend.meter.write(self, old, new, now)
        self._store(hash_key, range_key, new)
        if old is not None or new is not None:
            self._account(old, new)
            if self.journal_from is not None:
                self.journal.append((now, hash_key, range_key, old))
                while len(self.journal) > settings.pitr_journal_max:
                    self.journal_from = self.journal.popleft()[0]
            if self.stream_shard is not None and not (old is not None and new is not None and old == new):
                self.stream_shard.add(old, new)

    def _store(self, hash_key: DynamoType, range_key: DynamoType | None, new: Item | None) -> None:
        if new is not None:
            if self.has_range_key:
                self.items[hash_key][range_key] = new
            else:
                self.items[hash_key] = new
        elif self.has_range_key:
            partition = self.items.get(hash_key)
            if partition is not None:
                partition.pop(range_key, None)
                if not partition:
                    del self.items[hash_key]
        else:
            self.items.pop(hash_key, None)

    def _account(self, old: Item | None, new: Item | None) -> None:
        self.count += (new is not None) - (old is not None)
        self.bytes += (item_size(new) if new is not None else 0) - (item_size(old) if old is not None else 0)
        for index in self.global_indexes:
            was, will = index.holds(old), index.holds(new)
            index.count += will - was
            if was:
                index.bytes -= index.projected_size(old)
            if will:
                index.bytes += index.projected_size(new)

    def roll_back(self, hash_key: DynamoType, range_key: DynamoType | None, old: Item | None) -> None:
        """Takes back a commit of a transaction that failed, without a trace in journal, stream or meter."""
        current = self.get_item(hash_key, range_key)
        self._store(hash_key, range_key, old)
        if old is not None or current is not None:
            self._account(current, old)
            if self.journal_from is not None and self.journal:
                self.journal.pop()

    def fill(self, items: Any) -> None:
        """Puts copies of ``items`` in, for a restore: free of charge, not journalled, not streamed."""
        self.items = collections.defaultdict(dict)
        self.count = self.bytes = 0
        for item in items:
            self._store(item.hash_key, item.range_key, item)
            self.count += 1
            self.bytes += item_size(item)
        for index in self.global_indexes:
            index.recount()

    def items_at(self, when: float) -> list[Item]:
        """The items as they were at ``when``, which must not lie before ``journal_from``."""
        state = {(i.hash_key, i.range_key): i for i in self.each_item()}
        for at, hash_key, range_key, old in reversed(self.journal):
            if at <= when:
                break
            if old is None:
                state.pop((hash_key, range_key), None)
            else:
                state[hash_key, range_key] = old
        return list(state.values())

    def query(self, hash_key: DynamoType | None, *args: Any, **kwargs: Any) -> Any:
        """As moto, after looking at one partition only, and telling the meter what was read before any filter."""
        arguments = dict(zip(_QUERY_ARGUMENTS, args, strict=False)) | kwargs
        return self._metered_read(_Table.query, arguments, hash_key, narrow=not arguments.get("index_name"))

    def scan(self, *args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip(_SCAN_ARGUMENTS, args, strict=False)) | kwargs
        return self._metered_read(_Table.scan, arguments)

    def _metered_read(self, read: Any, arguments: dict[str, Any], *hash_key: Any, narrow: bool = False) -> Any:
        index_name = arguments.get("index_name")
        index = self.index(index_name) if index_name else None
        if index is not None and index.status == "CREATING":
            raise AwsError("ValidationException", f"Cannot read from backfilling global secondary index: {index_name}")
        source = self
        if narrow:
            source = copy.copy(self)
            source.items = {}
            partition = self.items.get(hash_key[0])
            if partition:
                source.items[hash_key[0]] = partition
        condition = arguments.pop("filter_expression", None)
        projection = None
        for name in ("projection_expressions", "projection_expression"):
            if name in arguments:
                projection, arguments[name] = arguments[name], None
        items, scanned, last = read(source, *hash_key, **arguments)
        names = index.projected_names() if index else None
        self.backend.meter.read(
            self, index_name, sum(item_size(i, names) for i in items), bool(arguments.get("consistent_read"))
        )
        if condition is not None:
            items = [item for item in items if condition.expr(item)]
        if projection:
            items = [item.project(projection) for item in items]
        return items, scanned, last


_QUERY_ARGUMENTS = (
    "range_comparison",
    "range_objs",
    "limit",
    "exclusive_start_key",
    "scan_index_forward",
    "projection_expressions",
    "index_name",
    "consistent_read",
    "filter_expression",
)
_SCAN_ARGUMENTS = (
    "filters",
    "limit",
    "exclusive_start_key",
    "filter_expression",
    "index_name",
    "consistent_read",
    "projection_expression",
    "segments",
)


class _Draft(dict[Any, Any]):
    """Reads through to a table's items, keeps what is written."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __missing__(self, key: Any) -> Any:
        value = self._items.get(key, {})
        return dict(value) if isinstance(value, dict) else value


class Pitr:
    """Point-in-time recovery that is on."""

    def __init__(self, since: float, days: int) -> None:
        self.since = since
        self.days = days

    def window(self, table: LabTable, now: float) -> tuple[float, float]:
        """The earliest and the latest restorable second."""
        earliest = max(self.since, now - self.days * 86400, table.journal_from or 0.0)
        return earliest, max(self.since, now - settings.pitr_lag_s)


def units_of(throughput: dict[str, int] | None) -> dict[str, int]:
    throughput = throughput or {}
    return {
        "ReadCapacityUnits": throughput.get("ReadCapacityUnits", 0),
        "WriteCapacityUnits": throughput.get("WriteCapacityUnits", 0),
    }
