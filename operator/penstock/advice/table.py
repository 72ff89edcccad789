"""What is advised for a table: the cheapest way to pay for it, what can be had by one change alone, and what fits a budget. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from penstock.advice import tables
from penstock.advice.report import Advice, Findings, joined, worth
from penstock.advice.tables import DIRECTIONS, ITSELF, READ, Ask, Flow, Units, Use, Way
from penstock.api.dynamotable import DynamoTableSpec, IndexCapacity, TableClass, Throughput
from penstock.cost.dynamo import INFREQUENT_ACCESS, TableShape
from penstock.cost.estimate import money
from penstock.cost.prices import DYNAMODB_GB, SECONDS, Catalogue

# Reserved capacity is sold by the hundred units.
_RESERVED = 100
# Storage that is more of the cost than this is worth a word on TTL.
_STORED = Decimal("0.25")
_HEADROOM = 2


def ask(spec: DynamoTableSpec, shape: TableShape, uses: Mapping[str, Use], catalogue: Catalogue) -> Ask:
    """What is asked of the search. shape: the declared shape, which gives the sizes. uses: the load, measured or expected."""
    sized = {ITSELF: replace(uses.get(ITSELF, Use()), size=shape.size)}
    for name, index in shape.indexes.items():
        sized[name] = replace(uses.get(name, Use()), size=index.size)
    named = {i.name for i in spec.global_indexes or ()}
    # Only an index that the spec names can be taken out of it.
    droppable = frozenset(name for name, use in sized.items() if use.unused and name in named)
    return Ask(sized, catalogue, shape.recovery, _latency(spec), droppable=droppable)


def expected(spec: DynamoTableSpec, shape: TableShape) -> dict[str, Use]:
    """The load as far as spec.cost.expectedUsage tells it: even over the month, every write in every index."""
    usage = spec.cost.expected_usage if spec.cost else None
    if usage is None:
        return {}
    reads, writes = (Decimal(str(x or 0)) for x in (usage.reads_per_second, usage.writes_per_second))
    item = usage.item_size.value if usage.item_size else 1024
    whole = Flow(writes * max(1, -(-item // 1024)))
    found = {ITSELF: Use(Flow(reads * max(1, -(-item // 4096))), whole)}
    return found | {name: Use(write=whole if i.whole else Flow(writes)) for name, i in shape.indexes.items()}


def present(spec: DynamoTableSpec, shape: TableShape) -> Way:
    """The declared way; what the spec leaves unmanaged is as the shape has it."""
    if not shape.provisioned:
        return Way(shape.table_class)
    units = {(ITSELF, d): _units(_of(spec.capacity, d), getattr(shape.units, d)) for d in DIRECTIONS}
    capacities = {i.name: i.capacity for i in spec.global_indexes or ()}
    for name, index in shape.indexes.items():
        units |= {(name, d): _units(_of(capacities.get(name), d), getattr(index.units, d)) for d in DIRECTIONS}
    return Way(shape.table_class, units)


def advise(spec: DynamoTableSpec, asked: Ask, now: Way, basis: str) -> Findings:
    """What is advised for a table that is paid for as `now`."""
    paid = asked.cost(now)
    if paid is None:
        return Findings(
            basis, why=f"Nothing is advised: the prices of DynamoDB in {asked.catalogue.region} are not known."
        )
    items: dict[str, Advice] = {}
    for kind, best in _ways(asked, now):
        if best is None or not worth(paid - best[1], paid):
            continue
        way, cost = best
        text = f"{words(way)} in place of {words(now)}"
        if text not in items:
            items[text] = Advice(
                kind,
                text,
                cost,
                paid - cost,
                joined(_risk(now, way)),
                _checked(asked, way),
                patch(spec, now, way),
            )
    return Findings(
        basis, paid, tuple(items.values()), tuple(_notes(spec, asked, now, paid)), breaks=tuple(asked.lacks(now))
    )


def _ways(asked: Ask, now: Way) -> Iterator[tuple[str, tuple[Way, Decimal] | None]]:
    """The cheapest of all, and the cheapest by each change alone."""
    yield "Cheapest", next(iter(tables.search(asked)), None)
    kept = replace(asked, droppable=frozenset(), classes=(now.table_class,))
    yield "Capacity", next(iter(tables.search(kept)), None)
    for table_class in asked.classes:
        if table_class != now.table_class:
            yield "TableClass", _priced(asked, replace(now, table_class=table_class))
    if asked.droppable:
        units = now.units and {k: v for k, v in now.units.items() if k[0] not in asked.droppable}
        yield "Indexes", _priced(asked, replace(now, units=units, dropped=asked.droppable))


def _priced(asked: Ask, way: Way) -> tuple[Way, Decimal] | None:
    cost = asked.cost(way)
    return (way, cost) if cost is not None and not asked.lacks(way) else None


def words(way: Way) -> str:
    """A way in words: "provisioned with 1–40 reads and 5 writes, Standard-IA, without index by-status"."""
    if way.units is None:
        parts = ["on demand"]
    else:
        own = [f"{_range(way.units[ITSELF, d])} {d}s" for d in DIRECTIONS]
        parts = [f"provisioned with {' and '.join(own)}"]
    if way.table_class == INFREQUENT_ACCESS:
        parts.append("Standard-IA")
    if way.dropped:
        parts.append(f"without index {' and '.join(sorted(way.dropped))}")
    return ", ".join(parts)


def patch(spec: DynamoTableSpec, now: Way, way: Way) -> dict[str, Any]:
    """The JSON merge patch of the object that makes it so; null takes a field away. A list is replaced as a whole, as merge patches do."""
    found: dict[str, Any] = {}
    moved = way.provisioned != now.provisioned or (way.units or {}) != {
        k: v for k, v in (now.units or {}).items() if k[0] not in way.dropped
    }
    if moved:
        found["capacity"] = _capacity(way, ITSELF, before=spec.capacity)
        found["capacity"]["mode"] = "Provisioned" if way.provisioned else "OnDemand"
    if way.table_class != now.table_class:
        ia = way.table_class == INFREQUENT_ACCESS
        found["tableClass"] = str((TableClass.STANDARD_INFREQUENT_ACCESS if ia else TableClass.STANDARD).value)
    if spec.global_indexes is not None and (moved or way.dropped):
        found["globalIndexes"] = []
        for index in spec.global_indexes:
            if index.name in way.dropped:
                continue
            body = index.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
            if moved:
                body.pop("capacity", None)
                if way.provisioned:
                    body["capacity"] = _capacity(way, index.name)
            found["globalIndexes"].append(body)
    return {"spec": found}


def _capacity(way: Way, name: str, before: IndexCapacity | None = None) -> dict[str, Any]:
    if way.units is None:
        return {d: None for d in DIRECTIONS if before is not None and _of(before, d) is not None}
    found: dict[str, Any] = {}
    if before is not None and before.has_caps:
        found = {"maxReadUnits": None, "maxWriteUnits": None}
    for direction in DIRECTIONS:
        units = way.units[name, direction]
        have = _of(before, direction)
        one: dict[str, Any] = {"units": units.least} if units.fixed else {"min": units.least, "max": units.most}
        if have is not None:
            # A merge patch keeps what it does not name.
            stale = {"min", "max", "targetUtilization"} if units.fixed else {"units", "targetUtilization"}
            dumped = have.model_dump(by_alias=True, exclude_none=True)
            one |= {field: None for field in sorted(stale) if field in dumped}
        found[direction] = one
    return found


def _of(capacity: IndexCapacity | None, direction: str) -> Throughput | None:
    if capacity is None:
        return None
    return capacity.read if direction == READ else capacity.write


def _units(throughput: Throughput | None, have: int) -> Units:
    if throughput is not None and throughput.min is not None and throughput.max is not None:
        return Units(throughput.min, throughput.max)
    told = throughput.units if throughput is not None else None
    return Units(told or have or 1, told or have or 1)


def _latency(spec: DynamoTableSpec) -> str:
    asked = spec.objectives
    if asked is None:
        return ""
    found = [f"{name} {value}" for name, value in (("readP95", asked.read_p95), ("writeP95", asked.write_p95)) if value]
    return " and ".join(found)


def _range(units: Units) -> str:
    return str(units.least) if units.fixed else f"{units.least}–{units.most}"


def _risk(now: Way, way: Way) -> list[str]:
    found = []
    if way.provisioned:
        found.append("what comes faster than autoscaling, which takes minutes, is throttled beyond five minutes' burst")
    if now.provisioned and not way.provisioned:
        found.append("the cost follows the requests without an end, unless maxReadUnits and maxWriteUnits say one")
    if way.table_class != now.table_class:
        ia = way.table_class == INFREQUENT_ACCESS
        cause = "each request costs about a quarter more" if ia else "storage costs 2.5 times as much"
        found.append(f"{cause} from then on; AWS allows two changes in 30 days")
    if way.dropped:
        names = " and ".join(sorted(way.dropped))
        found.append(
            f"nobody read {names} in the last 14 days; what reads it once a month would fail, and to make it again takes a backfill"
        )
    return found


def _checked(asked: Ask, way: Way) -> tuple[str, ...]:
    found = []
    if asked.latency:
        found.append(
            f"{asked.latency}: {'units for the peak at all times' if way.provisioned else 'on demand takes the peaks'}"
        )
    for direction in DIRECTIONS:
        flow = asked.uses[ITSELF].flow(direction)
        found.append(f"load: {_short(flow.mean)} {direction} units a second on average, {_short(flow.peak)} at peak")
    return tuple(found)


def _notes(spec: DynamoTableSpec, asked: Ask, now: Way, paid: Decimal) -> Iterator[str]:
    prefix = "infrequent-access" if now.table_class == INFREQUENT_ACCESS else "standard"
    rate = asked.catalogue.price(f"dynamodb.{prefix}.storage")
    size = asked.uses[ITSELF].size
    if spec.ttl is None and rate is not None and paid and rate.each * size / DYNAMODB_GB > paid * _STORED:
        stored = money(rate.each * size / DYNAMODB_GB)
        yield f"Storage is ${stored} of it, and nothing expires: with spec.ttl each GB that goes saves ${money(rate.each)} a month."
    if not now.provisioned and (spec.capacity is None or not spec.capacity.has_caps):
        yield from _cap(asked, prefix)
    if now.units is not None and sum(u.least for u in now.units.values()) >= _RESERVED:
        yield (
            "At least 100 units are paid for at all times: reserved capacity, bought for the account for one year or three, costs less; it is not in "
            "these figures."
        )


def _cap(asked: Ask, prefix: str) -> Iterator[str]:
    use = asked.uses[ITSELF]
    caps = {d: max(1, int(use.flow(d).peak * _HEADROOM) + 1) for d in DIRECTIONS}
    if not any(use.flow(d).peak for d in DIRECTIONS):
        return
    prices = {d: asked.catalogue.price(f"dynamodb.{prefix}.{d}-request") for d in DIRECTIONS}
    most = sum((p.each * caps[d] * SECONDS for d, p in prices.items() if p is not None), Decimal(0))
    yield (
        f"No cap bounds the cost: capacity.maxReadUnits: {caps['read']} and maxWriteUnits: {caps['write']}, twice the highest rate, would keep a "
        f"client that has gone wild within ${money(most)} a month."
    )


def _short(value: Decimal) -> str:
    text = f"{value.quantize(Decimal('0.01')):f}"
    return text.rstrip("0").rstrip(".")


# What fits a budget


@dataclass(frozen=True)
class Fit:
    """What fits a budget: the ways that do, the cheapest first; nearest: the cheapest of all."""

    ways: tuple[tuple[Way, Decimal], ...]
    nearest: tuple[Way, Decimal] | None


def fit(asked: Ask, budget: Decimal | None, storage_budget: Decimal | None) -> Fit:
    """Which ways serve the load within the budget. budget: US dollars a month for all, storage_budget: for storage alone; None: any."""
    found = tables.search(asked)
    fitting = [
        (way, cost)
        for way, cost in found
        if (budget is None or cost <= budget) and (storage_budget is None or stored(asked, way) <= storage_budget)
    ]
    return Fit(tuple(fitting), found[0] if found else None)


def stored(asked: Ask, way: Way) -> Decimal:
    """US dollars a month of the storage of table and indexes."""
    prefix = "infrequent-access" if way.table_class == INFREQUENT_ACCESS else "standard"
    rate = asked.catalogue.price(f"dynamodb.{prefix}.storage")
    size = sum(use.size for name, use in asked.uses.items() if name not in way.dropped)
    return rate.each * size / DYNAMODB_GB if rate is not None else Decimal(0)
