"""What a DynamoDB table costs a month: its shape, the shape that a plan's step makes of it, and the estimate. Pure.

Rules of units are those of the DynamoDB developer guide, "Read and write capacity mode" and "Understanding your billing and usage reports".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any, Final

from penstock.api.dynamotable import CapacityMode, DynamoTableSpec, ExpectedUsage, IndexCapacity, TableClass, Throughput
from penstock.aws.dynamodb import PROVISIONED, Table, Units
from penstock.cost.estimate import Bill, Estimate, money, plain, rounded
from penstock.cost.prices import DYNAMODB_GB, HOURS, SECONDS, Catalogue
from penstock.engine import hibernation

STANDARD: Final = "STANDARD"
INFREQUENT_ACCESS: Final = "STANDARD_INFREQUENT_ACCESS"
# Bytes that DynamoDB bills with each item and DescribeTable does not count.
_OVERHEAD = 100
_READ_UNIT, _WRITE_UNIT = 4096, 1024
_DEFAULT_ITEM = 1024
NONE: Final = Units()
ALWAYS: Final = Decimal(1)


@dataclass(frozen=True)
class IndexShape:
    """A global index as far as it is paid for.

    whole: it copies whole items. size: bytes, as they are billed. rules: of Contributor Insights. floor: units while the table hibernates.
    """

    units: Units = NONE
    whole: bool = True
    size: int = 0
    rules: int = 0
    floor: Units = NONE


@dataclass(frozen=True)
class TableShape:
    """A table as far as it is paid for.

    size: bytes of items and local indexes, as they are billed. rules: Contributor Insights rules that watch the table itself. warmed: warm throughput
    is to be raised above what AWS gives. awake: the part of a month in which it does not hibernate, 0 to 1; floor: units while it does.
    """

    table_class: str = STANDARD
    provisioned: bool = False
    units: Units = NONE
    indexes: Mapping[str, IndexShape] = field(default_factory=dict, hash=False)
    size: int = 0
    recovery: bool = False
    rules: int = 0
    warmed: bool = False
    awake: Decimal = ALWAYS
    floor: Units = NONE


def running(table: Table, recovery: bool = False, watched: Iterable[str] = ()) -> TableShape:
    """The shape of a table as AWS has it. watched: what Contributor Insights watches, '' for the table itself, else indexes by name."""
    seen = set(watched)
    return TableShape(
        table_class=table.table_class or STANDARD,
        provisioned=table.billing == PROVISIONED,
        units=table.units,
        indexes={
            i.name: IndexShape(
                i.units, i.projection == "ALL", _billed(i.size, i.items), _rules(bool(i.key.sort), i.name in seen)
            )
            for i in table.indexes
            if i.status != "DELETING"
        },
        size=_billed(table.size, table.items) + sum(_billed(i.size, i.items) for i in table.local_indexes),
        recovery=recovery,
        rules=_rules(bool(table.key.sort), "" in seen),
    )


def declared(spec: DynamoTableSpec, now: TableShape | None = None) -> TableShape:
    """The shape that the spec asks for. now: the running shape, which gives what the spec leaves unmanaged; None while there is no table."""
    have = now or TableShape()
    capacity = spec.capacity
    provisioned = have.provisioned if capacity is None else capacity.mode is CapacityMode.PROVISIONED
    usage = spec.cost.expected_usage if spec.cost else None
    indexes = dict(have.indexes) if spec.global_indexes is None else {}
    for index in spec.global_indexes or ():
        known = have.indexes.get(index.name, IndexShape())
        whole = index.projection.type == "All"
        watched = index.contributor_insights
        rules = known.rules if watched is None else _rules(index.sort is not None, watched)
        rates = _unit_rates(usage, whole, index=True)
        # An index is read at a rate of its own, which no expected usage tells.
        units = _units(index.capacity, known.units, Units(0, rates.write) if rates else None)
        indexes[index.name] = IndexShape(units if provisioned else Units(), whole, known.size, rules)
    recovery = spec.wants_pitr
    watched = spec.contributor_insights
    shape = TableShape(
        table_class=have.table_class if spec.table_class is None else _class(spec.table_class),
        provisioned=provisioned,
        units=_units(capacity, have.units, _unit_rates(usage, True)) if provisioned else Units(),
        indexes=indexes,
        size=max(have.size, usage.storage.value if usage and usage.storage else 0),
        recovery=have.recovery if recovery is None else recovery,
        rules=have.rules if watched is None else _rules(spec.key.sort is not None, watched),
        warmed=spec.warm_throughput is not None or any(i.warm_throughput for i in spec.global_indexes or ()),
    )
    return hibernating(shape, spec)


def hibernating(shape: TableShape, spec: DynamoTableSpec) -> TableShape:
    """The shape with the hours in which it is awake, and what is left of its units in the others."""
    asked = spec.hibernation
    if asked is None or spec.capacity is None:
        return shape

    def floor(capacity: IndexCapacity | None) -> Units:
        if capacity is None or capacity.read is None or capacity.write is None:
            return NONE
        return Units(capacity.read.floor(asked.read_units), capacity.write.floor(asked.write_units))

    capacities = {i.name: i.capacity for i in spec.global_indexes or ()}
    indexes = {name: replace(i, floor=floor(capacities.get(name))) for name, i in shape.indexes.items()}
    return replace(shape, awake=hibernation.awake(asked), floor=floor(spec.capacity), indexes=indexes)


# A pass asks for the same few shapes again and again, and a thousand tables are often of a few.
@lru_cache(maxsize=4096)
def estimate(shape: TableShape, usage: ExpectedUsage | None, catalogue: Catalogue, today: date) -> Estimate:
    """What a table of that shape costs a month. usage: what it is expected to carry; None when the spec does not say."""
    bill = Bill(catalogue, today)
    prefix = f"dynamodb.{'infrequent-access' if shape.table_class == INFREQUENT_ACCESS else 'standard'}"
    if shape.provisioned:
        _provisioned(bill, prefix, shape)
    else:
        _on_demand(bill, prefix, shape, usage)
    bill.add("storage", f"{prefix}.storage", _gigabytes(shape.size))
    copied = sum(i.size for i in shape.indexes.values())
    if shape.indexes:
        bill.add("storage of global indexes", f"{prefix}.storage", _gigabytes(copied))
    if shape.recovery:
        bill.add("point-in-time recovery", f"{prefix}.point-in-time-recovery", _gigabytes(shape.size))
    if usage is not None and usage.backups is not None:
        bill.add("backups", "dynamodb.backup", _gigabytes(usage.backups.value))
    if usage is not None and usage.stream_reads_per_second:
        reads = _decimal(usage.stream_reads_per_second) * SECONDS
        bill.add("stream reads", "dynamodb.stream-read", reads)
    rules = shape.rules + sum(i.rules for i in shape.indexes.values())
    if rules:
        bill.add("Contributor Insights rules", "dynamodb.contributor-insights", Decimal(rules))
        bill.assume("The events that Contributor Insights counts are not counted here ($0.03 a million).")
    if shape.warmed:
        bill.miss("warm throughput: it is charged once, when it is raised, at a price that is not known")
    bill.assume("The free tier is left out: it is one for all tables of an account.")
    untold = (
        *(("on-demand backups",) if usage is None or usage.backups is None else ()),
        "restores, exports",
        *(("stream reads",) if usage is None or usage.stream_reads_per_second is None else ()),
    )
    bill.assume(f"Not counted: {', '.join(untold)} and data transfer.")
    if usage and usage.storage:
        bill.assume(f"Storage is at least the {usage.storage} of spec.cost.expectedUsage.")
    return bill.estimate()


def after(
    shape: TableShape | None, operation: str, parameters: Mapping[str, Any], spec: DynamoTableSpec
) -> TableShape | None:
    """The shape after one AWS call, which is as botocore takes it; None when there is no table. shape: before it."""
    if operation in ("CreateTable", "RestoreTableFromBackup", "RestoreTableToPointInTime"):
        # Recovery and insights come with calls of their own.
        made = declared(spec)
        indexes = {name: replace(i, rules=0) for name, i in made.indexes.items()}
        return replace(made, recovery=False, rules=0, indexes=indexes)
    if operation == "DeleteTable" or shape is None:
        return None
    if operation == "UpdateTable":
        return _updated(shape, parameters)
    if operation == "UpdateContinuousBackups":
        on = (parameters.get("PointInTimeRecoverySpecification") or {}).get("PointInTimeRecoveryEnabled")
        return replace(shape, recovery=bool(on))
    if operation == "UpdateContributorInsights":
        on = parameters.get("ContributorInsightsAction") == "ENABLE"
        name = parameters.get("IndexName")
        if not name:
            return replace(shape, rules=_rules(spec.key.sort is not None, on))
        if name in shape.indexes:
            sort = any(i.name == name and i.sort for i in spec.global_indexes or ())
            return replace(shape, indexes={**shape.indexes, name: replace(shape.indexes[name], rules=_rules(sort, on))})
    return shape


def _updated(shape: TableShape, parameters: Mapping[str, Any]) -> TableShape:
    """UpdateTable: the units, mode and class that it names, and the indexes that it adds, changes and removes."""
    indexes = dict(shape.indexes)
    for change in parameters.get("GlobalSecondaryIndexUpdates") or ():
        for verb, index in change.items():
            name = str(index.get("IndexName", ""))
            if verb == "Delete":
                indexes.pop(name, None)
                continue
            known = indexes.get(name, IndexShape())
            projection = (index.get("Projection") or {}).get("ProjectionType")
            indexes[name] = replace(
                known,
                units=_named(index.get("ProvisionedThroughput"), known.units),
                whole=known.whole if projection is None else projection == "ALL",
            )
    mode = parameters.get("BillingMode")
    provisioned = shape.provisioned if mode is None else mode == PROVISIONED
    units = _named(parameters.get("ProvisionedThroughput"), shape.units)
    if not provisioned:
        units = Units()
        indexes = {name: replace(i, units=Units()) for name, i in indexes.items()}
    return replace(
        shape,
        table_class=str(parameters.get("TableClass") or shape.table_class),
        provisioned=provisioned,
        units=units,
        indexes=indexes,
    )


def _named(throughput: Mapping[str, Any] | None, have: Units) -> Units:
    if not throughput:
        return have
    return Units(
        int(throughput.get("ReadCapacityUnits", have.read)), int(throughput.get("WriteCapacityUnits", have.write))
    )


def _provisioned(bill: Bill, prefix: str, shape: TableShape) -> None:
    def hours(awake: int, floor: int) -> Decimal:
        return awake * HOURS * shape.awake + floor * HOURS * (ALWAYS - shape.awake)

    before = bill.exact
    bill.add("provisioned writes", f"{prefix}.write-capacity", hours(shape.units.write, shape.floor.write))
    bill.add("provisioned reads", f"{prefix}.read-capacity", hours(shape.units.read, shape.floor.read))
    if shape.indexes:
        writes = sum((hours(i.units.write, i.floor.write) for i in shape.indexes.values()), Decimal(0))
        reads = sum((hours(i.units.read, i.floor.read) for i in shape.indexes.values()), Decimal(0))
        bill.add("provisioned writes of global indexes", f"{prefix}.write-capacity", writes)
        bill.add("provisioned reads of global indexes", f"{prefix}.read-capacity", reads)
    if shape.awake < ALWAYS:
        _saves(bill, shape, bill.exact - before, prefix)
    bill.assume("Provisioned units are counted as they are now all month; autoscaling moves them with the load.")


def _saves(bill: Bill, shape: TableShape, paid: Decimal, prefix: str) -> None:
    """Say what hibernation saves."""
    units = [shape.units, *(i.units for i in shape.indexes.values())]
    always = Decimal(0)
    for direction, count in (("write", sum(u.write for u in units)), ("read", sum(u.read for u in units))):
        price = bill.catalogue.price(f"{prefix}.{direction}-capacity")
        always += price.each * count * HOURS if price is not None else 0
    hours = plain(rounded(HOURS * shape.awake, Decimal("0.1")))
    bill.assume(
        f"The table hibernates: its units are counted for {hours} of {plain(HOURS)} hours a month and its floor for the others, which "
        f"saves ${money(always - paid)}."
    )


def _on_demand(bill: Bill, prefix: str, shape: TableShape, usage: ExpectedUsage | None) -> None:
    reads = _decimal(usage.reads_per_second) if usage and usage.reads_per_second is not None else None
    writes = _decimal(usage.writes_per_second) if usage and usage.writes_per_second is not None else None
    if reads is None and writes is None:
        bill.assume("Requests are not counted: write spec.cost.expectedUsage to have them in the estimate.")
        return
    item, twice = _item(usage), _twice(usage)
    if usage is not None and usage.item_size is None:
        bill.assume("An item is taken to have 1Ki: write spec.cost.expectedUsage.itemSize.")
    if writes is not None:
        bill.add("on-demand writes", f"{prefix}.write-request", writes * SECONDS * _steps(item, _WRITE_UNIT) * twice)
        copies = sum(_steps(item, _WRITE_UNIT) if i.whole else 1 for i in shape.indexes.values())
        if shape.indexes:
            bill.add("on-demand writes of global indexes", f"{prefix}.write-request", writes * SECONDS * copies)
            bill.assume("Every write is taken to change every global index once, none of them a key of it.")
    if reads is not None:
        bill.add("on-demand reads", f"{prefix}.read-request", reads * SECONDS * _steps(item, _READ_UNIT) * twice)
        bill.assume("Reads are taken to be strongly consistent and of one item; eventually consistent ones cost half.")


def _unit_rates(usage: ExpectedUsage | None, whole: bool, *, index: bool = False) -> Units | None:
    """Units a second that the expected usage consumes; None when it is not told."""
    if usage is None or (usage.reads_per_second is None and usage.writes_per_second is None):
        return None
    item = _item(usage)
    reads = _decimal(usage.reads_per_second or 0) * _steps(item, _READ_UNIT) * _twice(usage)
    # An index is filled from the table by plain writes, whole or not.
    steps = _steps(item, _WRITE_UNIT) if whole else 1
    writes = _decimal(usage.writes_per_second or 0) * steps * (1 if index else _twice(usage))
    return Units(_up(reads), _up(writes))


def _units(capacity: IndexCapacity | None, have: Units, expected: Units | None) -> Units:
    """Units that are paid for: those of the spec; between min and max the ones that the expected usage needs, else the present ones."""
    if capacity is None:
        return have

    def one(throughput: Throughput | None, now: int, rate: int | None) -> int:
        if throughput is None:
            return now
        if not throughput.autoscaled or throughput.min is None or throughput.max is None:
            return throughput.units or now or 1
        wanted = now or throughput.initial_units
        if rate:
            wanted = _up(Decimal(rate) * 100 / throughput.target)
        return min(max(wanted, throughput.min), throughput.max)

    rates = expected or Units()
    return Units(one(capacity.read, have.read, rates.read), one(capacity.write, have.write, rates.write))


def _rules(sort_key: bool, watched: bool) -> int:
    """Contributor Insights makes two rules, four where there is a sort key (DynamoDB guide, "Contributor Insights: how it works")."""
    return (4 if sort_key else 2) if watched else 0


def _class(table_class: TableClass) -> str:
    return STANDARD if table_class is TableClass.STANDARD else INFREQUENT_ACCESS


def _billed(size: int, items: int) -> int:
    return size + _OVERHEAD * items


def _gigabytes(size: int) -> Decimal:
    return Decimal(size) / DYNAMODB_GB


def _item(usage: ExpectedUsage | None) -> int:
    return usage.item_size.value if usage and usage.item_size else _DEFAULT_ITEM


def _twice(usage: ExpectedUsage | None) -> Decimal:
    """How much more a request costs on average because some are transactional: 1 without, 2 when all are."""
    return 1 + _decimal(usage.transactional_share or 0) if usage is not None else Decimal(1)


def _steps(size: int, step: int) -> int:
    """Units for one item: each unit is up to `step` bytes, and an empty item takes one."""
    return max(1, -(-size // step))


def _decimal(number: float) -> Decimal:
    # By its text: a float that a person wrote as 0.1 is 0.1.
    return Decimal(str(number))


def _up(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_CEILING))
