"""What an Aurora cluster costs a month: its shape, the shape that a plan's step makes of it, and the estimate. Pure.

Rules are those of the Aurora user guide, "DB instance billing for Aurora", "Storage configurations for Amazon Aurora DB clusters" and "Amazon RDS
Extended Support".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from penstock.api import engine_version
from penstock.api.auroracluster import AuroraClusterSpec, ExpectedUsage, instance_identifier, ordinal_of
from penstock.aws.rds import AUTOSCALED, IO_OPTIMIZED, Cluster, Instance
from penstock.cost.estimate import Bill, Estimate, money, plain, rounded
from penstock.cost.prices import AURORA_GB, HOURS, SECONDS, Catalogue
from penstock.engine import hibernation

SERVERLESS: Final = "db.serverless"
# A serverless instance that is awake has no less.
_LEAST = Decimal("0.5")
_FREE_INSIGHTS_DAYS = 7
ALWAYS: Final = Decimal(1)

EXTENDED_SUPPORT: Final[Mapping[tuple[str, str], date]] = {
    ("aurora-postgresql", "11"): date(2024, 4, 1),
    ("aurora-postgresql", "12"): date(2025, 3, 1),
    ("aurora-postgresql", "13"): date(2026, 3, 1),
    ("aurora-postgresql", "14"): date(2027, 3, 1),
    ("aurora-postgresql", "15"): date(2028, 3, 1),
    ("aurora-mysql", "5.7"): date(2024, 12, 1),
    ("aurora-mysql", "8.0"): date(2027, 5, 1),
}
"""The month in which extended support begins, by engine and major version; a third year, which costs more, begins two years later for PostgreSQL."""


@dataclass(frozen=True)
class ClusterShape:
    """A cluster as far as it is paid for.

    classes: by instance identifier. capacity: least and most ACUs of a serverless instance. storage: bytes; None when nobody told.
    insights_days: retention of Performance Insights, 0 when it is off. awake: the part of a month in which it does not hibernate, 0 to 1.
    writer_class: of the writer that runs, '' without one.
    """

    engine: str = ""
    version: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    io_optimized: bool = False
    capacity: tuple[Decimal, Decimal] | None = None
    stopped: bool = False
    insights_days: int = 0
    awake: Decimal = ALWAYS
    writer_class: str = ""


def running(cluster: Cluster, instances: Collection[Instance]) -> ClusterShape:
    """The shape of a cluster as AWS has it. Instances that are being deleted are no longer paid for."""
    watched = [
        i for i in (cluster.performance_insights, *(i.performance_insights for i in instances)) if i and i.enabled
    ]
    range_ = cluster.serverless
    return ClusterShape(
        engine=cluster.engine,
        version=cluster.version,
        classes={i.identifier: i.instance_class for i in instances if i.status != "deleting"},
        io_optimized=cluster.storage_type == IO_OPTIMIZED,
        capacity=(_decimal(range_.minimum), _decimal(range_.maximum)) if range_ else None,
        stopped=cluster.status == "stopped",
        insights_days=max((i.retention or _FREE_INSIGHTS_DAYS for i in watched), default=0),
        writer_class=next((i.instance_class for i in instances if i.identifier == cluster.writer), ""),
    )


def declared(spec: AuroraClusterSpec, identifier: str, now: ClusterShape | None = None) -> ClusterShape:
    """The shape that the spec asks for. now: the running shape, which gives what the spec leaves unmanaged; None while there is no cluster."""
    have = now or ClusterShape()
    range_ = spec.instances.serverless
    insights = spec.performance_insights
    days = have.insights_days
    if insights is not None:
        days = (insights.retention_days or have.insights_days or _FREE_INSIGHTS_DAYS) if insights.enabled else 0
    storage = spec.storage_type
    return ClusterShape(
        engine=spec.engine.aws_name,
        version=_version(spec.engine.version, have.version),
        classes=_instances(spec, identifier, have),
        io_optimized=have.io_optimized if storage is None else storage == "aurora-iopt1",
        capacity=(_decimal(range_.min_capacity), _decimal(range_.max_capacity)) if range_ else have.capacity,
        stopped=_stopped(spec, have),
        insights_days=days,
        awake=hibernation.awake(spec.hibernation),
        writer_class=have.writer_class,
    )


def estimate(shape: ClusterShape, usage: ExpectedUsage | None, catalogue: Catalogue, today: date) -> Estimate:
    """What a cluster of that shape costs a month. usage: what it is expected to carry; None when the spec does not say."""
    bill = Bill(catalogue, today)
    prefix = "aurora-io-optimized" if shape.io_optimized else "aurora"
    if shape.stopped:
        bill.assume(
            "The cluster is stopped: its instances are not counted, its storage is. AWS starts it after 7 days."
        )
    else:
        _instance_hours(bill, prefix, shape, usage)
        _extended_support(bill, shape, today)
        if shape.awake < ALWAYS:
            _hibernates(bill, shape.awake)
    if usage is not None and usage.storage is not None:
        bill.add("storage", f"{prefix}.storage", Decimal(usage.storage.value) / AURORA_GB)
    else:
        bill.assume("Storage is not counted: write spec.cost.expectedUsage.storage to have it in the estimate.")
    if not shape.io_optimized:
        if usage is not None and usage.io_per_second is not None:
            bill.add("I/O requests", f"{prefix}.io", _decimal(usage.io_per_second) * SECONDS)
        else:
            bill.assume(
                "I/O requests are not counted: write spec.cost.expectedUsage.ioPerSecond to have them in the estimate."
            )
    if shape.insights_days > _FREE_INSIGHTS_DAYS:
        bill.miss(
            f"Performance Insights for {shape.insights_days} days: its price by class is not known (7 days are free)"
        )
    if usage is not None and usage.backups is not None:
        free = usage.storage.value if usage.storage is not None else 0
        bill.add("backups", "aurora.backup", Decimal(max(0, usage.backups.value - free)) / AURORA_GB)
        bill.assume("Of backups and snapshots as much as the volume is free; the rest is counted.")
    else:
        bill.assume("Backups are taken to stay within the free share, the size of the cluster.")
    bill.assume("Not counted: the master password in Secrets Manager, KMS keys, logs and data transfer.")
    return bill.estimate()


def after(
    shape: ClusterShape | None, operation: str, parameters: Mapping[str, Any], spec: AuroraClusterSpec, identifier: str
) -> ClusterShape | None:
    """The shape after one AWS call, which is as botocore takes it; None when there is no cluster. shape: before it."""
    if operation in ("CreateDBCluster", "RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime"):
        return replace(declared(spec, identifier), classes={}, stopped=False)
    if shape is None or operation == "DeleteDBCluster":
        return None
    instance = str(parameters.get("DBInstanceIdentifier", ""))
    if operation in ("CreateDBInstance", "ModifyDBInstance") and instance:
        cls = str(parameters.get("DBInstanceClass") or shape.classes.get(instance, ""))
        return replace(
            shape, classes={**shape.classes, instance: cls}, insights_days=_insights(shape.insights_days, parameters)
        )
    if operation == "DeleteDBInstance":
        return replace(shape, classes={k: v for k, v in shape.classes.items() if k != instance})
    if operation in ("StopDBCluster", "StartDBCluster") and spec.hibernation is None:
        return replace(shape, stopped=operation == "StopDBCluster")
    if operation == "ModifyDBCluster":
        return _modified(shape, parameters)
    return shape


def _stopped(spec: AuroraClusterSpec, have: ClusterShape) -> bool:
    if spec.hibernation is not None:
        # Stopped and started by the clock: the hours say for how much of the month.
        return False
    return have.stopped if spec.stopped is None else spec.stopped


def _hibernates(bill: Bill, awake: Decimal) -> None:
    """Say what hibernation saves; the lines so far are what stands still with the cluster."""
    runs = bill.exact
    hours = plain(rounded(HOURS * awake, Decimal("0.1")))
    saved = money(runs / awake - runs)
    bill.assume(
        f"The cluster hibernates: its instances are counted for {hours} of {plain(HOURS)} hours a month, which saves ${saved}; "
        "its storage goes on."
    )


def _modified(shape: ClusterShape, parameters: Mapping[str, Any]) -> ClusterShape:
    storage = parameters.get("StorageType")
    range_ = parameters.get("ServerlessV2ScalingConfiguration") or {}
    capacity = shape.capacity
    if "MinCapacity" in range_ and "MaxCapacity" in range_:
        capacity = (_decimal(range_["MinCapacity"]), _decimal(range_["MaxCapacity"]))
    return replace(
        shape,
        version=str(parameters.get("EngineVersion") or shape.version),
        io_optimized=shape.io_optimized if storage is None else storage == "aurora-iopt1",
        capacity=capacity,
        insights_days=_insights(shape.insights_days, parameters),
    )


def _insights(days: int, parameters: Mapping[str, Any]) -> int:
    """Retention of Performance Insights after a call that may name it."""
    if "EnablePerformanceInsights" not in parameters and "PerformanceInsightsRetentionPeriod" not in parameters:
        return days
    on = parameters.get("EnablePerformanceInsights", days > 0)
    return int(parameters.get("PerformanceInsightsRetentionPeriod") or days or _FREE_INSIGHTS_DAYS) if on else 0


def _instances(spec: AuroraClusterSpec, identifier: str, shape: ClusterShape) -> dict[str, str]:
    """The instances that there must be, with their classes. Readers that Application Auto Scaling made are on top, as they are.

    One that is still to be made is like the writer where the spec names no class.
    """
    instances, have = spec.instances, shape.classes
    numbered = sorted(n for n in (ordinal_of(identifier, name) for name in have) if n is not None)
    others = {name: cls for name, cls in have.items() if ordinal_of(identifier, name) is None}
    count = spec.instance_count
    if count is None:
        ordinals = numbered or ([] if others else [1])
    else:
        free = (n for n in range(1, len(numbered) + count + 1) if n not in numbered)
        # An adopted instance of another name counts as well.
        count = max(0, count - sum(1 for name in others if not name.startswith(AUTOSCALED)))
        ordinals = [*numbered[:count], *(next(free) for _ in range(count - len(numbered)))]
    names = {n: instance_identifier(identifier, n) for n in ordinals}
    classes = {
        names[n]: instances.class_of(n) or have[names[n]]
        if names[n] in have
        else instances.class_of_new(n, shape.writer_class)
        for n in ordinals
    }
    return {**classes, **others}


def _instance_hours(bill: Bill, prefix: str, shape: ClusterShape, usage: ExpectedUsage | None) -> None:
    counts: dict[str, int] = {}
    for cls in shape.classes.values():
        counts[cls] = counts.get(cls, 0) + 1
    for cls, count in sorted(counts.items()):
        if cls == SERVERLESS:
            _capacity_hours(bill, prefix, shape, usage, count)
        elif not cls:
            bill.miss(f"{count} instances: their class is not known yet")
        else:
            bill.add(f"{count} × {cls}", f"{prefix}.instance.{cls}", count * HOURS * shape.awake)
    if any(cls.startswith("db.t") for cls in counts):
        bill.assume("CPU credits beyond the baseline of burstable classes are not counted.")


def _capacity_hours(bill: Bill, prefix: str, shape: ClusterShape, usage: ExpectedUsage | None, count: int) -> None:
    key = f"{prefix}.serverless"
    if shape.capacity is None:
        bill.miss(f"{count} serverless instances: their capacity range is not known yet")
        return
    least, most = max(shape.capacity[0], _LEAST), shape.capacity[1]
    mean = _mean(usage, shape.capacity)
    bill.add(f"{count} × {SERVERLESS}", key, count * (least if mean is None else mean) * HOURS * shape.awake)
    price = bill.catalogue.price(key)
    if mean is not None:
        bill.assume(
            f"Each serverless instance is taken to have {plain(mean)} ACUs on average, as spec.cost.expectedUsage says."
        )
    elif price is not None:
        dearest = money(count * most * HOURS * shape.awake * price.each)
        pauses = ", pauses left out" if shape.capacity[0] < _LEAST else ""
        bill.assume(
            f"Each serverless instance is taken to have its least capacity, {plain(least)} ACUs, all month{pauses}; "
            f"at the most, {plain(most)} ACUs, they cost ${dearest}. Write spec.cost.expectedUsage.averageCapacity."
        )


def _mean(usage: ExpectedUsage | None, range_: tuple[Decimal, Decimal]) -> Decimal | None:
    """The expected mean capacity, within what the range allows."""
    if usage is None or usage.average_capacity is None:
        return None
    return min(max(_decimal(usage.average_capacity), range_[0]), range_[1])


def _extended_support(bill: Bill, shape: ClusterShape, today: date) -> None:
    try:
        major = engine_version.parse(shape.version).major_text
    except ValueError:
        return
    begins = EXTENDED_SUPPORT.get((shape.engine, major))
    if begins is None or today < begins:
        return
    third = shape.engine == "aurora-postgresql" and today >= begins.replace(year=begins.year + 2)
    key = f"aurora.extended-support.{'year-3' if third else 'years-1-2'}"
    name = f"extended support of {major}"
    cores = 0
    for cls in shape.classes.values():
        found = _cores(cls)
        if cls == SERVERLESS:
            bill.miss(f"{name}: its price for serverless instances is not known")
        elif found is None:
            bill.miss(f"{name}: the vCPUs of {cls or 'an instance'} are not known")
        else:
            cores += found
    if cores:
        bill.add(name, key, cores * HOURS * shape.awake)
        bill.assume("Extended support is taken to begin with the month that AWS names, and not to be turned off.")


def _cores(cls: str) -> int | None:
    """vCPUs of a class: 2 up to large, then by size (Aurora guide, "Hardware specifications for DB instance classes")."""
    size = cls.rpartition(".")[2]
    if size in ("small", "medium", "large"):
        return 2
    if not size.endswith("xlarge"):
        return None
    times = size.removesuffix("xlarge")
    if times == "":
        return 4
    return 4 * int(times) if times.isdigit() else None


def _version(wanted: str | None, runs: str) -> str:
    """The version that will run: a lower one than what runs is never gone back to, and a bare major says no more than it."""
    if not wanted or not runs:
        return wanted or runs
    try:
        return runs if engine_version.satisfies(runs, wanted) else wanted
    except ValueError:
        # AWS named what runs in a form that is not known.
        return wanted


def _decimal(number: float) -> Decimal:
    # By its text: a float that a person wrote as 0.1 is 0.1.
    return Decimal(str(number))
