"""What a request consumes, and when a table has no capacity left.

Units from the developer guide, "Read and write capacity units": a write unit is 1 KB, a read unit 4 KB (half for an
eventually consistent read), twice that in transactions. An index is written when what it holds of the item changes.
Burst: unused capacity of the last 300 seconds.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import AwsError
from ..metrics import metrics
from ..settings import settings
from .size import item_size
from .values import Attributes, equal

_NAMESPACE = "AWS/DynamoDB"
_KINDS = {"read": "ReadCapacityUnits", "write": "WriteCapacityUnits"}
_CAPS = {"read": "MaxReadRequestUnits", "write": "MaxWriteRequestUnits"}
_WARM = {"read": ("ReadUnitsPerSecond", 12_000), "write": ("WriteUnitsPerSecond", 4_000)}


def read_units(size: int, *, consistent: bool) -> float:
    """For one item, or for a page of a query: at least one 4 KB block."""
    blocks = max(1, math.ceil(size / 4096))
    return float(blocks) if consistent else blocks / 2


def write_units(old_size: int | None, new_size: int | None) -> float:
    """The larger of before and after counts; writing nothing over nothing still costs one."""
    return float(max(1, math.ceil(max(old_size or 0, new_size or 0) / 1024)))


class Tally:
    """What one request consumed of one table."""

    def __init__(self) -> None:
        self.table: dict[str, float] = {"read": 0.0, "write": 0.0}
        self.local: dict[str, dict[str, float]] = {}
        self.global_: dict[str, dict[str, float]] = {}

    def add(self, kind: str, units: float, index: str | None = None, *, local: bool = False) -> None:
        if index is None:
            self.table[kind] += units
        else:
            into = self.local if local else self.global_
            into.setdefault(index, {"read": 0.0, "write": 0.0})[kind] += units

    def describe(self, table_name: str, detail: str, *, split: bool = False) -> dict[str, Any]:
        """A ConsumedCapacity for ReturnConsumedCapacity ``TOTAL`` or ``INDEXES``; ``split`` as transactions have it."""
        parts = [self.table, *self.local.values(), *self.global_.values()]
        reads, writes = sum(p["read"] for p in parts), sum(p["write"] for p in parts)
        answer: dict[str, Any] = {"TableName": table_name, "CapacityUnits": reads + writes}
        if split:
            answer |= _split(reads, writes)
        if detail == "INDEXES":
            answer["Table"] = _capacity(self.table, split)
            for name, into in (("LocalSecondaryIndexes", self.local), ("GlobalSecondaryIndexes", self.global_)):
                if into:
                    answer[name] = {index: _capacity(part, split) for index, part in into.items()}
        return answer


def _capacity(part: dict[str, float], split: bool) -> dict[str, float]:
    answer = {"CapacityUnits": part["read"] + part["write"]}
    return answer | _split(part["read"], part["write"]) if split else answer


def _split(reads: float, writes: float) -> dict[str, float]:
    return {n: v for n, v in (("ReadCapacityUnits", reads), ("WriteCapacityUnits", writes)) if v}


class Bucket:
    """Tokens of one kind of one table or index."""

    __slots__ = ("at", "peak", "rate", "second", "tokens", "used")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.tokens, self.at = rate, rate * burst, now
        # For the previous-peak rule: this second's use, and the peaks of the last half hour.
        self.second, self.used = int(now), 0.0
        self.peak: list[tuple[int, float]] = []

    def refill(self, rate: float, burst: float, now: float) -> None:
        limit = rate * burst
        self.tokens = min(limit, self.tokens + max(0.0, now - self.at) * rate)
        self.rate, self.at = rate, now

    def note(self, units: float, now: float) -> None:
        second = int(now)
        if second != self.second:
            while self.peak and (self.peak[-1][1] <= self.used or self.peak[0][0] < second - 1800):
                self.peak.pop(-1 if self.peak[-1][1] <= self.used else 0)
            self.peak.append((self.second, self.used))
            self.second, self.used = second, 0.0
        self.used += units


class Meter:
    """Charges tables and indexes. One a backend, used under its lock; ``begin`` starts the tally of a request."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.factor = 1.0
        self.free = False

    def begin(self, factor: float = 1.0) -> None:
        self.tallies = {}
        self.factor = factor

    def tally(self, table: Any) -> Tally:
        return self.tallies.setdefault(table.name, Tally())

    def read(self, table: Any, index_name: str | None, size: int, consistent: bool) -> None:
        """Charges a read of that many bytes. Raises AwsError when the table or index is out of capacity."""
        units = read_units(size, consistent=consistent) * self.factor
        index = table.index(index_name) if index_name else None
        self._charge(table, [(index, units)], "read")
        self.tally(table).add("read", units, index_name, local=index_name is not None and index is None)

    def write(self, table: Any, old: Any, new: Any, now: float) -> None:
        """Charges a write, before it happens. Raises AwsError when the table or one of its indexes is out."""
        if self.free:
            return
        units = write_units(item_size(old) if old is not None else None, item_size(new) if new is not None else None)
        charges: list[tuple[Any, float]] = [(None, units * self.factor)]
        local: list[tuple[str, float]] = []
        for index in table.indexes:
            cost = _index_units(index, old, new) * self.factor
            if cost:
                local.append((index.name, cost))
        extra = sum(cost for _, cost in local)
        charges[0] = (None, charges[0][1] + extra)
        for index in table.global_indexes:
            # Filled from the table afterwards, by plain writes: a transaction doubles the table's own alone (measured on AWS by its own
            # toolkit, agent-toolkit-for-aws, skills for DynamoDB's costs).
            cost = _index_units(index, old, new)
            if cost:
                charges.append((index, cost))
        self._charge(table, charges, "write")
        tally = self.tally(table)
        tally.add("write", units * self.factor)
        for name, cost in local:
            tally.add("write", cost, name, local=True)
        for index, cost in charges[1:]:
            tally.add("write", cost, index.name)

    def _charge(self, table: Any, charges: list[tuple[Any, float]], kind: str) -> None:
        from ..clock import clock

        now = clock.now()
        taken = []
        for index, units in charges:
            bucket, cap = self._bucket(table, index, kind, now)
            if bucket is not None:
                limit = bucket.rate * (1.0 if cap else settings.burst_s)
                # What is larger than the whole bucket gets through when the bucket is full.
                if bucket.tokens < units and bucket.tokens < limit:
                    self._throttled(table, index, kind, now)
                    raise _exceeded(table, index, kind)
                taken.append((bucket, units))
            if settings.throttle_previous_peak and table.on_demand_mode:
                self._check_peak(table, index, kind, units, now)
        for bucket, units in taken:
            bucket.tokens -= units
        for index, units in charges:
            dimensions = {"TableName": table.name}
            if index is not None:
                dimensions["GlobalSecondaryIndexName"] = index.name
            metrics.add(table.region_name, _NAMESPACE, f"Consumed{_KINDS[kind]}", dimensions, units, now)

    def _bucket(self, table: Any, index: Any, kind: str, now: float) -> tuple[Bucket | None, bool]:
        owner = index if index is not None else table
        if table.on_demand_mode:
            cap = (owner.on_demand or {}).get(_CAPS[kind], -1)
            if cap < 0:
                return None, False
            rate, burst = float(cap), 1.0
        elif settings.throttle_provisioned:
            rate, burst = float(owner.provisioned[_KINDS[kind]]), settings.burst_s
        else:
            return None, False
        bucket = owner.buckets.get(kind)
        if bucket is None:
            bucket = owner.buckets[kind] = Bucket(rate, burst, now)
        bucket.refill(rate, burst, now)
        return bucket, table.on_demand_mode

    def _check_peak(self, table: Any, index: Any, kind: str, units: float, now: float) -> None:
        owner = index if index is not None else table
        name, least = _WARM[kind]
        bucket = owner.peaks.setdefault(kind, Bucket(0.0, 0.0, now))
        bucket.note(0.0, now)
        peak = max((used for second, used in bucket.peak if second >= now - 1800), default=0.0)
        allowed = max(float(least), float(owner.warm.get(name, 0)), 2 * peak)
        if bucket.used + units > allowed:
            self._throttled(table, index, kind, now)
            raise AwsError(
                "ThrottlingException",
                "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling "
                "your table or index so please try again shortly. If exceptions persist, check if you have a hot key: "
                "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
                throttlingReasons=[_reason(table, index, kind, "KeyRangeThroughputExceeded")],
            )
        bucket.note(units, now)

    def _throttled(self, table: Any, index: Any, kind: str, now: float) -> None:
        dimensions = {"TableName": table.name}
        if index is not None:
            dimensions["GlobalSecondaryIndexName"] = index.name
        name = "ReadThrottleEvents" if kind == "read" else "WriteThrottleEvents"
        metrics.add(table.region_name, _NAMESPACE, name, dimensions, 1.0, now)


def _reason(table: Any, index: Any, kind: str, what: str) -> dict[str, str]:
    where = "Index" if index is not None else "Table"
    return {
        "reason": f"{where}{kind.capitalize()}{what}",
        "resource": index.arn if index is not None else table.table_arn,
    }


def _exceeded(table: Any, index: Any, kind: str) -> AwsError:
    if table.on_demand_mode:
        return AwsError(
            "ThrottlingException",
            "Throughput exceeds the maximum OnDemandThroughput configured on table or index",
            throttlingReasons=[_reason(table, index, kind, "MaxOnDemandThroughputExceeded")],
        )
    what = (
        "the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."
        if index is None
        else "one or more global secondary indexes of the table was exceeded. Consider increasing your provisioning "
        "level for the under-provisioned global secondary indexes with the UpdateTable API"
    )
    return AwsError(
        "ProvisionedThroughputExceededException",
        f"The level of configured provisioned throughput for {what}",
        ThrottlingReasons=[_reason(table, index, kind, "ProvisionedThroughputExceeded")],
    )


def _index_units(index: Any, old: Attributes | None, new: Attributes | None) -> float:
    """Developer guide, "Provisioned throughput considerations for global secondary indexes"."""
    from .store import holds, projected_names

    was, will = holds(index, old), holds(index, new)
    if not was and not will:
        return 0.0
    names = projected_names(index)
    old, new = old or {}, new or {}
    before = item_size(old, names) if was else None
    after = item_size(new, names) if will else None
    if was and will:
        if any(old[name] != new[name] for name in index.schema_key_attrs):
            # A changed key is a delete and a put.
            return write_units(before, None) + write_units(None, after)
        if all(equal(old.get(name), new.get(name)) for name in (old.keys() | new.keys() if names is None else names)):
            return 0.0
    return write_units(before, after)
