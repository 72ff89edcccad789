"""The shapes that a cluster could have, what each costs, which of them carry the load and keep the objectives, and the cheapest of these. Pure.

The search is exact: every class that has a price, every number of readers and both storage types are looked at. Only of serverless capacity, of
whose ranges there are 131,000, not all are: more than the least that carries the load costs more or the same, so the least is the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import Final

from penstock.advice.classes import ACU_MEMORY, ACU_PROCESSOR, SERVERLESS, Facts, connections, facts, offered
from penstock.advice.promises import Promises, breaches
from penstock.api.auroracluster import MAX_READERS, AuroraClusterSpec, ExpectedUsage
from penstock.cost.aurora import EXTENDED_SUPPORT, ClusterShape
from penstock.cost.prices import AURORA_GB, HOURS, SECONDS, Catalogue

# Of what an instance has, the load may take so much: what is over is for the hour that is busier than any before, and for a failover.
CPU_ROOM: Final = Decimal("0.7")
CONNECTION_ROOM: Final = Decimal("0.8")
# The part of the memory that is not page cache: shared_buffers is about two thirds (Aurora guide, "Tuning memory parameters for Aurora PostgreSQL").
OUTSIDE_CACHE: Final = Decimal("0.32")
STEP: Final = Decimal("0.5")
LEAST, MOST = Decimal("0.5"), Decimal(256)
_ONE = Decimal(1)


@dataclass(frozen=True)
class Load:
    """What the writer, or all readers together, carry. Peaks but for the means: vCPUs, connections, Aurora capacity units."""

    cpu: Decimal = Decimal(0)
    cpu_mean: Decimal = Decimal(0)
    connections: Decimal = Decimal(0)
    capacity: Decimal = Decimal(0)
    capacity_mean: Decimal = Decimal(0)

    def plus(self, other: Load) -> Load:
        return Load(
            self.cpu + other.cpu,
            self.cpu_mean + other.cpu_mean,
            self.connections + other.connections,
            self.capacity + other.capacity,
            self.capacity_mean + other.capacity_mean,
        )

    def each(self, others: Load, among: int) -> Load:
        """The larger of this and of an equal part of the others, of everything."""
        return Load(
            max(self.cpu, others.cpu / among),
            max(self.cpu_mean, others.cpu_mean / among),
            max(self.connections, others.connections / among),
            max(self.capacity, others.capacity / among),
            max(self.capacity_mean, others.capacity_mean / among),
        )


@dataclass(frozen=True)
class Sleep:
    """Hours in which the cluster may be stopped, as spec.hibernation writes them. awake: the part of a month that is left, 0 to 1."""

    schedule: str
    wake: str
    awake: Decimal
    timezone: str = "UTC"


@dataclass(frozen=True)
class Demand:
    """What the cluster must carry. None: nobody told, and nothing is refused for it.

    memory: GiB that an instance needs beside its page cache. storage: bytes. io: requests to the volume a second. ceiling: capacity units that a
    serverless instance must be allowed although no load needs them.
    """

    writer: Load | None = None
    readers: Load = Load()
    memory: Decimal | None = None
    storage: Decimal | None = None
    io: Decimal | None = None
    sleep: Sleep | None = None
    ceiling: Decimal = _ONE

    def each(self, readers: int) -> Load | None:
        """What every instance must carry: a reader may become the writer, and the writer alone carries all."""
        if self.writer is None:
            return None
        return self.writer.plus(self.readers) if readers == 0 else self.writer.each(self.readers, readers)


@dataclass(frozen=True)
class Choice:
    """A shape. capacity: least and most of a serverless instance; least 0 pauses. sleep: the hours in which it is stopped."""

    instance_class: str
    readers: int
    io_optimized: bool = False
    capacity: tuple[Decimal, Decimal] | None = None
    sleep: Sleep | None = None

    @property
    def pauses(self) -> bool:
        return self.capacity is not None and self.capacity[0] == 0

    @property
    def awake(self) -> Decimal:
        return self.sleep.awake if self.sleep is not None else _ONE


@dataclass(frozen=True)
class Cost:
    """A month of a choice in US dollars: exact."""

    instances: Decimal
    storage: Decimal
    io: Decimal
    support: Decimal

    @cached_property
    def total(self) -> Decimal:
        return self.instances + self.storage + self.io + self.support


@dataclass(frozen=True)
class Space:
    """Where is looked. classes: those that have a price of the region. readers: from the fewest to the most. storages: whether I/O-Optimized.

    serverless: whether capacity units are one of the ways. sleeps: hours of hibernation, None for none.
    """

    classes: tuple[str, ...]
    readers: tuple[int, ...]
    storages: tuple[bool, ...] = (False, True)
    serverless: bool = True
    pauses: tuple[bool, ...] = (False, True)
    sleeps: tuple[Sleep | None, ...] = (None,)


@dataclass(frozen=True)
class Question:
    """What is asked: a spec with its objectives, the load, and the prices. fixed: classes of instances that overrides settle, by ordinal."""

    spec: AuroraClusterSpec
    asked: Promises
    demand: Demand
    catalogue: Catalogue
    today: date
    fixed: Mapping[int, str] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        return self.spec.engine.aws_name

    @property
    def version(self) -> str:
        return self.spec.engine.version or ""

    def classes(self, choice: Choice) -> dict[str, int]:
        """How many instances there are of each class."""
        own = choice.instance_class
        if not self.fixed:
            return {own: choice.readers + 1}
        counts: dict[str, int] = {}
        for ordinal in range(1, choice.readers + 2):
            cls = self.fixed.get(ordinal, own)
            counts[cls] = counts.get(cls, 0) + 1
        return counts

    def each(self, readers: int) -> Load | None:
        """What every instance must carry, with so many readers."""
        if readers not in self._each:
            self._each[readers] = self.demand.each(readers)
        return self._each[readers]

    @cached_property
    def _each(self) -> dict[int, Load | None]:
        return {}

    def shape(self, choice: Choice) -> ClusterShape:
        """The shape as the estimates take it."""
        return ClusterShape(
            engine=self.engine,
            version=self.version,
            classes={f"{cls}-{n}": cls for cls, count in self.classes(choice).items() for n in range(count)},
            io_optimized=choice.io_optimized,
            capacity=choice.capacity,
            awake=choice.awake,
        )

    def usage(self, choice: Choice) -> ExpectedUsage:
        """The usage as the estimates take it."""
        mean, demand = self.mean(choice.readers), self.demand
        return ExpectedUsage.model_validate(
            {
                "storage": str(demand.storage) if demand.storage is not None else None,
                "ioPerSecond": float(demand.io) if demand.io is not None else None,
                "averageCapacity": float(mean) if mean is not None else None,
            }
        )

    def mean(self, readers: int) -> Decimal | None:
        """Capacity units that each serverless instance has on average; None when nobody told."""
        each = self.each(readers)
        return each.capacity_mean if each is not None else None

    def cost(self, choice: Choice) -> Cost | None:
        """What a choice costs a month; None when a price of it is not known."""
        prefix = "aurora-io-optimized" if choice.io_optimized else "aurora"
        hours, support = HOURS * choice.awake, self._support
        storage = self._rate(f"{prefix}.storage")
        io = Decimal(0) if choice.io_optimized else self._rate("aurora.io")
        if support is None or storage is None or io is None:
            return None
        instances, cores = Decimal(0), 0
        for cls, count in self.classes(choice).items():
            known = facts(cls)
            if cls == SERVERLESS:
                rate, units = self._rate(f"{prefix}.serverless"), self.units(choice)
            else:
                rate, units = self._rate(f"{prefix}.instance.{cls}"), _ONE
            if rate is None or units is None or (support and known is None):
                return None
            instances += rate * units * count
            cores += known.processors * count if known is not None else 0
        return Cost(
            instances * hours,
            storage * (self.demand.storage or 0) / AURORA_GB,
            io * (self.demand.io or 0) * SECONDS,
            support * cores * hours if support else support,
        )

    def units(self, choice: Choice) -> Decimal | None:
        """Capacity units that are paid for of each serverless instance; None without a range."""
        if choice.capacity is None:
            return None
        mean = self.mean(choice.readers)
        least, most = choice.capacity
        return max(least, LEAST) if mean is None else min(max(mean, least), most)

    def _rate(self, key: str) -> Decimal | None:
        if key not in self._rates:
            price = self.catalogue.price(key)
            self._rates[key] = price.each if price is not None else None
        return self._rates[key]

    @cached_property
    def _rates(self) -> dict[str, Decimal | None]:
        return {}

    @cached_property
    def _support(self) -> Decimal | None:
        """US dollars for a vCPU-hour of extended support; 0 where there is none."""
        major = (
            "8.0"
            if self.engine == "aurora-mysql" and self.version.startswith("8.0")
            else self.version.partition(".")[0]
        )
        if self.engine == "aurora-mysql" and self.version.startswith("5.7"):
            major = "5.7"
        begins = EXTENDED_SUPPORT.get((self.engine, major))
        if begins is None or self.today < begins:
            return Decimal(0)
        third = self.engine == "aurora-postgresql" and self.today >= begins.replace(year=begins.year + 2)
        return self._rate(f"aurora.extended-support.{'year-3' if third else 'years-1-2'}")

    @property
    def supported(self) -> bool:
        """Whether the version is in extended support, which is paid for by the vCPU."""
        return self._support != 0

    def lacks(self, choice: Choice) -> list[str]:
        """What the choice breaks or cannot carry, each as a clause; nothing when it will do."""
        found = breaches(
            self.asked, self.spec, choice.readers, pauses=choice.pauses, hibernates=choice.sleep is not None
        )
        each = self.each(choice.readers)
        for cls in sorted(self.classes(choice)):
            known = facts(cls)
            if cls == SERVERLESS:
                found += self._too_small(choice)
            elif known is not None:
                found += _overloaded(known, self.engine, each, self.demand.memory)
                if not offered(self.engine, self.version, cls.split(".")[1]):
                    found.append(f"{cls} needs a later version than {self.version}")
        if choice.pauses and not offered(self.engine, self.version, "pause"):
            found.append(f"version {self.version} cannot pause")
        return found

    def _too_small(self, choice: Choice) -> list[str]:
        if choice.capacity is None:
            return ["db.serverless needs a range"]
        most = choice.capacity[1]
        needed = self.ceiling(choice.readers)
        if most < needed:
            return [f"{needed.normalize():f} ACUs are needed, and the most is {most.normalize():f}"]
        return []

    def ceiling(self, readers: int) -> Decimal:
        """The fewest capacity units that a serverless instance must be allowed, in its steps."""
        if readers not in self._ceilings:
            self._ceilings[readers] = self._ceiling(readers)
        return self._ceilings[readers]

    @cached_property
    def _ceilings(self) -> dict[int, Decimal]:
        return {}

    def _ceiling(self, readers: int) -> Decimal:
        each, memory = self.each(readers), self.demand.memory
        needs = [self.demand.ceiling, _ONE]
        if each is not None:
            needs += [each.capacity, each.capacity_mean, each.cpu / CPU_ROOM / ACU_PROCESSOR]
            needs.append(_memory_for(self.engine, each.connections / CONNECTION_ROOM) / ACU_MEMORY)
        if memory is not None:
            needs.append(memory / OUTSIDE_CACHE / ACU_MEMORY)
        return (max(needs) / STEP).to_integral_value(ROUND_CEILING) * STEP


def search(question: Question, space: Space) -> list[tuple[Choice, Cost]]:
    """Every choice that will do, the cheapest first; of two at the same price the one that promises more comes first."""
    found = [
        (choice, cost)
        for choice in _choices(question, space)
        if (cost := question.cost(choice)) is not None and not question.lacks(choice)
    ]
    return sorted(found, key=lambda one: (one[1].total, _taste(one[0])))


def space(catalogue: Catalogue, readers: Iterable[int] = range(MAX_READERS + 1), **narrowed: object) -> Space:
    """All that can be looked at with the prices of a region."""
    prefix = "aurora.instance."
    named = (key.removeprefix(prefix) for key in catalogue.prices if key.startswith(prefix))
    classes = tuple(sorted(cls for cls in named if facts(cls) is not None))
    return Space(classes, tuple(readers), **narrowed)  # type: ignore[arg-type]


def _choices(question: Question, where: Space) -> Iterator[Choice]:
    for readers in where.readers:
        for io_optimized in where.storages:
            for sleep in where.sleeps:
                for cls in where.classes:
                    yield Choice(cls, readers, io_optimized, None, sleep)
                if where.serverless:
                    yield from _serverless(question, where, readers, io_optimized, sleep)


def _serverless(
    question: Question, where: Space, readers: int, io_optimized: bool, sleep: Sleep | None
) -> Iterator[Choice]:
    most = question.ceiling(readers)
    if most > MOST:
        return
    for pauses in where.pauses:
        yield Choice(SERVERLESS, readers, io_optimized, (Decimal(0) if pauses else LEAST, most), sleep)


def _taste(choice: Choice) -> tuple[object, ...]:
    """Among equals: what never pauses, more memory, the newer generation, the plainer storage, more readers."""
    known = facts(choice.instance_class)
    memory = known.memory if known is not None else 0
    generation = next((int(c) for c in choice.instance_class if c.isdigit()), 0)
    return (choice.pauses, -memory, -generation, choice.io_optimized, -choice.readers, choice.instance_class)


def _overloaded(known: Facts, engine: str, each: Load | None, memory: Decimal | None) -> list[str]:
    found = []
    if each is not None:
        # A load that came from capacity units needs their memory and their processor.
        cpu = max(each.cpu, each.capacity * ACU_PROCESSOR)
        steady = max(each.cpu_mean, each.capacity_mean * ACU_PROCESSOR)
        if cpu > known.processors * CPU_ROOM:
            found.append(f"{known.name} has {known.processors} vCPUs, and at peak {_round(cpu)} are in use")
        if steady > known.steady:
            found.append(
                f"{known.name} lends {_round(known.steady)} vCPUs all the time, and {_round(steady)} are in use on average"
            )
        if each.capacity * ACU_MEMORY > known.memory:
            found.append(
                f"{known.name} has {known.memory} GiB, and {_round(each.capacity * ACU_MEMORY)} GiB are in use"
            )
        if each.connections > connections(engine, Decimal(known.memory)) * CONNECTION_ROOM:
            found.append(
                f"{known.name} takes {connections(engine, Decimal(known.memory))} connections, and {_round(each.connections)} were open"
            )
    if memory is not None and memory > known.memory * OUTSIDE_CACHE:
        found.append(f"{known.name} has {known.memory} GiB, and {_round(memory)} GiB are in use beside the page cache")
    return found


def _memory_for(engine: str, count: Decimal) -> Decimal:
    """GiB that so many connections need, in whole capacity units."""
    size = Decimal(0)
    while connections(engine, size) < count and size < MOST * ACU_MEMORY:
        size += ACU_MEMORY * STEP
    return size


def _round(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.1')):f}" if number % 1 else f"{number.to_integral_value():f}"
