"""Which metrics are asked for, and what they say of the load. Pure; CloudWatch is asked elsewhere.

Metrics are those of the Aurora guide, "Amazon CloudWatch metrics for Amazon Aurora", and of the DynamoDB guide, "DynamoDB metrics and dimensions".
Where CloudWatch has no value of a count, there was nothing to count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from penstock.advice.classes import SERVERLESS, facts
from penstock.advice.clusters import CPU_ROOM, OUTSIDE_CACHE, Demand, Load, Sleep
from penstock.advice.tables import DIRECTIONS, ITSELF, READ, Flow, Use
from penstock.aws.series import Point, Query

DAYS: Final = 14
WINDOW: Final = timedelta(days=DAYS)
ENOUGH: Final = timedelta(days=3)
"""With less than this nothing is advised: a weekend or a month's end would be the whole truth."""
_WHOLE: Final = timedelta(days=13)
HOUR, FIVE_MINUTES = 3600, 300
_RDS, _DYNAMODB = "AWS/RDS", "AWS/DynamoDB"
_ACU_A_VCPU: Final = Decimal(4)
# The hours that are busier than this part of all hours count as accidents: three of two weeks.
_PEAK: Final = Decimal("0.99")
_GIB: Final = Decimal(2**30)
# The probe keeps one connection to the writer, and opens others for an instant: CloudWatch sees one of these in a minute or two of an hour. Who else
# is there for three minutes is somebody.
_PROBE = 1.05
# A night is worth stopping for when it is at least this long.
_LEAST_SLEEP = 4

Series = Mapping[Query, Sequence[Point]]


@dataclass(frozen=True)
class Member:
    """An instance of a cluster, as far as its metrics must be read: its class, and whether it takes the writes."""

    name: str
    instance_class: str
    writer: bool


@dataclass(frozen=True)
class Measured:
    """What the metrics of a cluster say. span: how much time they cover. demand: None when that is too little."""

    span: timedelta = timedelta()
    demand: Demand | None = None


@dataclass(frozen=True)
class TableMeasured:
    """What the metrics of a table say. uses: the table under '', its indexes by name; sizes are to be filled in."""

    span: timedelta = timedelta()
    uses: Mapping[str, Use] = field(default_factory=dict)


def cluster_queries(cluster: str, members: Iterable[Member]) -> list[Query]:
    """The metrics of a cluster: five to seven of each instance, three of the volume."""
    found = []
    for member in members:
        names = [("CPUUtilization", "Average"), ("CPUUtilization", "Maximum"), ("FreeableMemory", "Minimum")]
        names += [("DatabaseConnections", "Maximum"), ("DatabaseConnections", "Average")]
        if member.instance_class == SERVERLESS:
            names += [("ServerlessDatabaseCapacity", "Average"), ("ServerlessDatabaseCapacity", "Maximum")]
        found += [_instance(member.name, name, stat) for name, stat in names]
    volume = [("VolumeReadIOPs", "Sum"), ("VolumeWriteIOPs", "Sum"), ("VolumeBytesUsed", "Average")]
    return [*found, *(_cluster(cluster, name, stat) for name, stat in volume)]


def cluster(
    identifier: str,
    members: Sequence[Member],
    series: Series,
    now: datetime,
    declared: Demand,
    *,
    probed: bool = False,
) -> Measured:
    """What the metrics of a cluster say. declared: what the spec told of the load; the metrics count more. probed: the probe is connected to it."""
    cpu = [p.time for m in members for p in series.get(_instance(m.name, "CPUUtilization", "Average"), ())]
    span = now - min(cpu) if cpu else timedelta()
    if span < ENOUGH or not any(m.writer for m in members):
        return Measured(span)
    loads = {m.name: _load(m, series) for m in members}
    writer = next(loads[m.name] for m in members if m.writer)
    readers = Load()
    for member in members:
        if not member.writer:
            readers = readers.plus(loads[member.name])
    memory = [x for m in members if (x := _memory(m, series)) is not None]
    seconds = Decimal(int(span.total_seconds()))
    counted = [series.get(_cluster(identifier, name, "Sum"), ()) for name in ("VolumeReadIOPs", "VolumeWriteIOPs")]
    requests = sum((_decimal(p.value) for points in counted for p in points), Decimal(0)) / seconds
    size = _mean(series.get(_cluster(identifier, "VolumeBytesUsed", "Average"), ()))
    return Measured(
        span,
        replace(
            declared,
            writer=writer,
            readers=readers,
            memory=max(memory) if memory else None,
            io=requests.quantize(Decimal("0.0001")) if any(counted) else declared.io,
            storage=size.quantize(Decimal(1)) if size is not None else declared.storage,
            sleep=sleep(members, series, probed=probed),
        ),
    )


def _load(member: Member, series: Series) -> Load:
    average = series.get(_instance(member.name, "CPUUtilization", "Average"), ())
    highest = series.get(_instance(member.name, "CPUUtilization", "Maximum"), ())
    open_ = _peak(series.get(_instance(member.name, "DatabaseConnections", "Maximum"), ()))
    known = facts(member.instance_class)
    if known is not None:
        cores = Decimal(known.processors) / 100
        mean, peak = (_mean(average) or Decimal(0)) * cores, _peak(highest) * cores
        return Load(_fine(peak), _fine(mean), open_, Decimal(0), _fine(mean / CPU_ROOM * _ACU_A_VCPU))
    capacity = _mean(series.get(_instance(member.name, "ServerlessDatabaseCapacity", "Average"), ())) or Decimal(0)
    peak = _peak(series.get(_instance(member.name, "ServerlessDatabaseCapacity", "Maximum"), ()))
    return Load(Decimal(0), Decimal(0), open_, _fine(peak), _fine(capacity))


def _memory(member: Member, series: Series) -> Decimal | None:
    """GiB in use beside the page cache; None where the memory of the class is not known, or the metric is not there."""
    known = facts(member.instance_class)
    free = [p.value for p in series.get(_instance(member.name, "FreeableMemory", "Minimum"), ())]
    if known is None or not free:
        return None
    used = known.memory - _decimal(min(free)) / _GIB
    return _fine(max(Decimal(0), used - known.memory * (1 - OUTSIDE_CACHE)))


def sleep(members: Sequence[Member], series: Series, *, probed: bool = False) -> Sleep | None:
    """The longest nights, or nights and weekends, in which nobody was connected in all the hours that were seen; None when there are none.

    Exact: every pair of full hours is looked at, every day alike and working days apart. Times are UTC. probed: the probe is nobody.
    """
    stat, allowed = ("Average", _PROBE) if probed else ("Maximum", 0.0)
    together: dict[datetime, float] = defaultdict(float)
    for member in members:
        for point in series.get(_instance(member.name, "DatabaseConnections", stat), ()):
            together[point.time.astimezone(UTC)] += point.value
    seen = {(at.weekday(), at.hour) for at in together}
    busy = {(at.weekday(), at.hour) for at, count in together.items() if count > allowed}
    idle = seen - busy
    best: Sleep | None = None
    for days, pattern in ((range(7), "*"), (range(5), "1-5")):
        for begin in range(24):
            for length in range(_LEAST_SLEEP, 24):
                end = (begin + length) % 24
                hours = _hours(begin, end, days)
                if hours <= idle:
                    awake = Decimal(168 - len(hours)) / 168
                    found = Sleep(f"0 {begin} * * {pattern}", f"0 {end} * * {pattern}", awake)
                    if best is None or found.awake < best.awake:
                        best = found
    return best


def _hours(begin: int, end: int, days: Collection[int]) -> set[tuple[int, int]]:
    """The hours of the week that such a sleep covers; from the last of the days it goes on to the first."""
    found: set[tuple[int, int]] = set()
    asleep = False
    # Twice round, so that what Friday began is known on Monday.
    for hour in range(2 * 168):
        day, at = divmod(hour % 168, 24)
        if day in days and at == begin:
            asleep = True
        if day in days and at == end:
            asleep = False
        if asleep and hour >= 168:
            found.add((day, at))
    return found


def table_queries(table: str, indexes: Iterable[str]) -> list[Query]:
    """The metrics of a table: two of itself and of each index."""
    return [_consumed(table, index, direction) for index in (ITSELF, *indexes) for direction in DIRECTIONS]


def table(
    name: str, indexes: Mapping[str, datetime | None], series: Series, created: datetime | None, now: datetime
) -> TableMeasured:
    """What the metrics of a table say. indexes: since when each is known to be there; None for as long as the table. created: when the table was."""
    times = [
        p.time for index in (ITSELF, *indexes) for d in DIRECTIONS for p in series.get(_consumed(name, index, d), ())
    ]
    spans = [now - min(times)] if times else []
    spans += [now - created] if created is not None else []
    span = min(max(spans, default=timedelta()), WINDOW)
    uses = {}
    for index in (ITSELF, *indexes):
        flows = {d: _flow(series.get(_consumed(name, index, d), ()), span, now) for d in DIRECTIONS}
        since = indexes.get(index)
        old = span >= _WHOLE and (since is None or now - since >= _WHOLE)
        unused = bool(index) and old and not any(p.value for p in series.get(_consumed(name, index, READ), ()))
        uses[index] = Use(flows["read"], flows["write"], unused=unused)
    return TableMeasured(span, uses)


def _flow(points: Sequence[Point], span: timedelta, now: datetime) -> Flow:
    """Units a second, on average and in the busiest five minutes of each hour that the span has; no value is no unit."""
    hours = max(1, int(span.total_seconds()) // HOUR)
    first = now - timedelta(hours=hours)
    busiest: dict[int, float] = defaultdict(float)
    total = 0.0
    for point in points:
        hour = int((point.time - first).total_seconds()) // HOUR
        if 0 <= hour < hours:
            total += point.value
            busiest[hour] = max(busiest[hour], point.value / FIVE_MINUTES)
    mean = _decimal(total) / (hours * HOUR)
    return Flow(_fine(mean), tuple(_fine(_decimal(busiest.get(hour, 0.0))) for hour in range(hours)))


def _instance(name: str, metric: str, stat: str) -> Query:
    return Query(_RDS, metric, (("DBInstanceIdentifier", name),), stat, HOUR)


def _cluster(name: str, metric: str, stat: str) -> Query:
    return Query(_RDS, metric, (("DBClusterIdentifier", name),), stat, HOUR)


def _consumed(table_name: str, index: str, direction: str) -> Query:
    metric = "ConsumedReadCapacityUnits" if direction == READ else "ConsumedWriteCapacityUnits"
    where = (("TableName", table_name), *((("GlobalSecondaryIndexName", index),) if index else ()))
    return Query(_DYNAMODB, metric, where, "Sum", FIVE_MINUTES)


def _mean(points: Sequence[Point]) -> Decimal | None:
    return _decimal(sum(p.value for p in points) / len(points)) if points else None


def _peak(points: Sequence[Point]) -> Decimal:
    """The value that all but the busiest hundredth of the hours stay within."""
    ordered = sorted(p.value for p in points)
    return _decimal(ordered[int((len(ordered) - 1) * _PEAK)]) if ordered else Decimal(0)


def _decimal(value: float) -> Decimal:
    return Decimal(str(value)) if value == value and abs(value) != float("inf") else Decimal(0)


def _fine(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.0001"))
