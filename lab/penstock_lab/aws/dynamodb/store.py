"""Tables, indexes and items: moto's classes for tables with the state, the items and the one commit point of our own.

Items are never changed in place: a write replaces the whole item, so backups, the journal for point-in-time recovery
and stale reads are shallow copies. Every change of an item goes through :meth:`LabTable.commit`.
"""

from __future__ import annotations

import collections
import datetime
import itertools
import uuid
from typing import TYPE_CHECKING, Any

import moto.dynamodb.models.table as table_models
from moto.dynamodb.models.dynamo_type import DynamoType

from ..clock import clock
from ..settings import settings
from . import values
from .size import item_size
from .values import Attributes

if TYPE_CHECKING:
    from .backend import LabDynamoDB

_Table = table_models.Table
_Index = table_models.GlobalSecondaryIndex

# What values.sortable gives of the partition key, and of the sort key or None.
Key = tuple[Any, Any]


class _Seen:
    """An item as moto's streams and exports read it."""

    def __init__(self, attributes: Attributes, hash_name: str, range_name: str | None) -> None:
        self._attributes = attributes
        self.hash_key = DynamoType(attributes[hash_name])
        self.range_key = DynamoType(attributes[range_name]) if range_name else None

    def to_json(self, root_attr_name: str = "Attributes") -> dict[str, Any]:
        return {root_attr_name: self._attributes}


def holds(index: Any, item: Attributes | None) -> bool:
    """An item is in an index only if it has all of the index's key attributes."""
    return item is not None and all(name in item for name in index.schema_key_attrs)


def projected_names(index: Any) -> frozenset[str] | None:
    """The attributes in an index, local or global; None for all."""
    kind = index.projection.get("ProjectionType")
    if kind == "ALL":
        return None
    extra = index.projection.get("NonKeyAttributes", ()) if kind == "INCLUDE" else ()
    return frozenset((*index.table_key_attrs, *index.schema_key_attrs, *extra))


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

    def recount(self) -> None:
        held = [item for item in self.table.each_item() if holds(self, item)]
        names = projected_names(self)
        self.count = len(held)
        self.bytes = sum(item_size(item, names) for item in held)

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
    """A table. ``items`` maps the partition key to sort key to item; the sort key is None where the table has none."""

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
        self.items: dict[Any, dict[Any, Attributes]] = {}
        self.journal: collections.deque[tuple[float, Key, Attributes | None]] = collections.deque()
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

    @property
    def types(self) -> dict[str, str]:
        """The type of each attribute that is part of a key."""
        return {a["AttributeName"]: a["AttributeType"] for a in self.attr}

    def each_item(self) -> list[Attributes]:
        return list(itertools.chain.from_iterable(partition.values() for partition in list(self.items.values())))

    def __len__(self) -> int:
        return self.count

    def all_items(self) -> list[Any]:
        """For moto's export."""
        return [_Seen(item, self.hash_key_attr, self.range_key_attr) for item in self.each_item()]

    def put_item(self, item_attrs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """For moto's import, whose items are mappings of its parser's own."""
        from .writes import put

        return put(self, values.checked_all(_plain(item_attrs)))

    def key(self, attributes: Attributes) -> Key:
        """The key of an item or of a request's ``Key``, which has been checked."""
        sort = values.sortable(attributes[self.range_key_attr]) if self.range_key_attr else None
        return values.sortable(attributes[self.hash_key_attr]), sort

    def find(self, key: Key) -> Attributes | None:
        return self.items.get(key[0], {}).get(key[1])

    def commit(self, key: Key, new: Attributes | None) -> None:
        """The one place where an item changes: metered, journalled, streamed. Raises AwsError when throttled."""
        now = clock.now()
        old = self.find(key)
        self.backend.meter.write(self, old, new, now)
        self._store(key, new)
        if old is not None or new is not None:
            self._account(old, new)
            if self.journal_from is not None:
                self.journal.append((now, key, old))
                while len(self.journal) > settings.pitr_journal_max:
                    self.journal_from = self.journal.popleft()[0]
            if self.stream_shard is not None and not (old is not None and new is not None and values.same(old, new)):
                seen = [
                    None if one is None else _Seen(one, self.hash_key_attr, self.range_key_attr) for one in (old, new)
                ]
                self.stream_shard.add(*seen)

    def _store(self, key: Key, new: Attributes | None) -> None:
        if new is not None:
            self.items.setdefault(key[0], {})[key[1]] = new
        elif (partition := self.items.get(key[0])) is not None:
            partition.pop(key[1], None)
            if not partition:
                del self.items[key[0]]

    def _account(self, old: Attributes | None, new: Attributes | None) -> None:
        self.count += (new is not None) - (old is not None)
        self.bytes += (item_size(new) if new is not None else 0) - (item_size(old) if old is not None else 0)
        for index in self.global_indexes:
            names = projected_names(index)
            for item, sign in ((old, -1), (new, 1)):
                if item is not None and holds(index, item):
                    index.count += sign
                    index.bytes += sign * item_size(item, names)

    def roll_back(self, key: Key, old: Attributes | None) -> None:
        """Takes back a commit of a transaction that failed, without a trace in journal, stream or meter."""
        current = self.find(key)
        self._store(key, old)
        if old is not None or current is not None:
            self._account(current, old)
            if self.journal_from is not None and self.journal:
                self.journal.pop()

    def fill(self, items: Any) -> None:
        """Puts ``items`` in, for a restore: free of charge, not journalled, not streamed."""
        self.items = {}
        self.count = self.bytes = 0
        for item in items:
            self._store(self.key(item), item)
            self.count += 1
            self.bytes += item_size(item)
        for index in self.global_indexes:
            index.recount()

    def items_at(self, when: float) -> list[Attributes]:
        """The items as they were at ``when``, which must not lie before ``journal_from``."""
        state = {self.key(item): item for item in self.each_item()}
        for at, key, old in reversed(self.journal):
            if at <= when:
                break
            if old is None:
                state.pop(key, None)
            else:
                state[key] = old
        return list(state.values())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return {name: _plain(member) for name, member in value.items()} if hasattr(value, "items") else value


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
