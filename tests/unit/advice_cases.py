"""Random questions to the advisor, and what answers them by trying everything: written apart from the advisor, from the rules as they are documented.

A case is small enough that every shape of it can be looked at: a few classes, a few readers, a few steps of capacity.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, combinations, product
from typing import Any

from penstock.advice import clusters, tables
from penstock.advice.clusters import Choice, Demand, Load, Question, Sleep, Space
from penstock.advice.promises import promises
from penstock.advice.tables import Ask, Flow, Units, Use, Way
from penstock.api.auroracluster import AuroraClusterSpec
from penstock.cost import aurora as rates
from penstock.cost.prices import bundled

TODAY = date(2026, 11, 23)
CATALOGUE = bundled("us-east-1")
# vCPUs, GiB, and the part of a vCPU that a burstable class may use for ever: as the Aurora guide's table of hardware has them.
HARDWARE = {
    "db.t3.medium": (2, 4, "0.2"),
    "db.t4g.medium": (2, 4, "0.2"),
    "db.t4g.large": (2, 8, "0.3"),
    "db.r5.large": (2, 16, "1"),
    "db.r6g.large": (2, 16, "1"),
    "db.r6g.xlarge": (4, 32, "1"),
    "db.r6g.2xlarge": (8, 64, "1"),
    "db.r7g.large": (2, 16, "1"),
    "db.r8g.xlarge": (4, 32, "1"),
    "db.r6g.4xlarge": (16, 128, "1"),
}
STEPS = [Decimal(s) / 2 for s in (0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)]
NIGHTS = Sleep("0 21 * * *", "0 6 * * *", Decimal("0.625"))


def _decimal(random_: random.Random, most: str, digits: int = 2) -> Decimal:
    scale = 10**digits
    return Decimal(random_.randint(0, int(Decimal(most) * scale))) / scale


def objectives(random_: random.Random) -> dict[str, str]:
    found = {
        "availability": random_.choice(["99", "99.9", "99.95", "99.99", "99.999"]),
        "failover": random_.choice(["30s", "60s", "5m", "15m"]),
        "connect": random_.choice(["500ms", "1m"]),
        "replicaLag": "100ms",
        "queryP95": random_.choice(["50ms", "2m"]),
    }
    told = {k: v for k, v in found.items() if random_.random() < 0.3}
    return told | ({"recoveryPoint": random_.choice(["4m", "5m", "1h"])} if random_.random() < 0.1 else {})


def cluster_case(random_: random.Random) -> tuple[Question, Space]:
    """One question, and where to look."""
    engine = random_.choice(["AuroraPostgreSQL", "AuroraMySQL"])
    version = random_.choice(
        [None, "16.6", "15.10", "13.8", "14.11"]
        if engine == "AuroraPostgreSQL"
        else [None, "8.0", "8.0.mysql_aurora.3.08.0", "8.0.mysql_aurora.3.02.0"]
    )
    asked = objectives(random_)
    tiers = [{"ordinal": n, "promotionTier": random_.choice([0, 1, 2, 15])} for n in (2, 3) if random_.random() < 0.2]
    zones = random_.random() < 0.1
    if zones:
        tiers = [{"ordinal": n, "zone": "us-east-1a", "promotionTier": 1} for n in (1, 2, 3, 4)]
    body: dict[str, Any] = {
        "engine": {"type": engine, **({"version": version} if version else {})},
        "instances": {"class": "db.r6g.large", "readers": 0, **({"overrides": tiers} if tiers else {})},
        **({"objectives": asked} if asked else {}),
        **({"probe": {"interval": "1s"}} if random_.random() < 0.1 else {}),
    }
    spec = AuroraClusterSpec.model_validate(body)
    writer = None
    if random_.random() < 0.8:
        big = random_.choice(["0.5", "2", "8"])
        peak, steady = sorted((_decimal(random_, big), _decimal(random_, big)), reverse=True)
        high, mean = sorted((_decimal(random_, "20"), _decimal(random_, "20")), reverse=True)
        units = random_.random() < 0.5
        writer = Load(
            cpu=Decimal(0) if units else peak,
            cpu_mean=Decimal(0) if units else steady,
            connections=Decimal(random_.choice([0, 5, 90, 400, 1500, 3000])),
            capacity=high if units else Decimal(0),
            capacity_mean=mean if units else steady * 4,
        )
    readers = Load()
    if writer is not None and random_.random() < 0.4:
        readers = Load(cpu=_decimal(random_, "6"), cpu_mean=_decimal(random_, "1"), connections=Decimal(300))
    demand = Demand(
        writer,
        readers,
        memory=_decimal(random_, "12", 1) if random_.random() < 0.5 else None,
        storage=Decimal(random_.randint(0, 2000) * 2**30) if random_.random() < 0.8 else None,
        io=_decimal(random_, random_.choice(["1", "100", "3000"]), 1) if random_.random() < 0.8 else None,
        ceiling=Decimal(random_.choice([1, 2, 8])),
    )
    fixed = {1: "db.r6g.xlarge"} if random_.random() < 0.1 else {}
    question = Question(spec, promises(spec), demand, CATALOGUE, random_.choice([TODAY, date(2029, 6, 1)]), fixed)
    classes = tuple(sorted(random_.sample(sorted(HARDWARE), random_.randint(1, 5))))
    where = Space(
        classes,
        tuple(range(random_.randint(0, 1), random_.randint(1, 4) + 1)),
        storages=random_.choice([(False,), (True,), (False, True)]),
        serverless=random_.random() < 0.8,
        pauses=random_.choice([(False,), (False, True)]),
        sleeps=random_.choice([(None,), (None, NIGHTS)]),
    )
    return question, where


def every_cluster(question: Question, where: Space) -> Iterator[Choice]:
    """Every shape of the space, whatever it is good for: of serverless every range of the steps."""
    ranges = [
        (low, high)
        for low in STEPS
        for high in [*STEPS, Decimal(256)]
        if low <= high and high >= 1 and (low > 0 or True in where.pauses)
    ]
    # Where the least that carries the load is between two of the steps, it is one of them.
    exact = question.ceiling(where.readers[0]) if where.readers else Decimal(1)
    extra = {question.ceiling(n) for n in where.readers} | {exact}
    ranges += [
        (low, high) for low in STEPS for high in extra if low <= high <= 256 and (low > 0 or True in where.pauses)
    ]
    for readers, io, sleep in product(where.readers, where.storages, where.sleeps):
        for cls in where.classes:
            yield Choice(cls, readers, io, None, sleep)
        if where.serverless:
            for range_ in ranges:
                yield Choice("db.serverless", readers, io, range_, sleep)


def price(question: Question, choice: Choice) -> Decimal | None:
    """By the estimate that stands on objects, which knows nothing of the advisor."""
    found = rates.estimate(question.shape(choice), question.usage(choice), question.catalogue, question.today)
    return None if found.missing else found.exact


def keeps(question: Question, choice: Choice) -> bool:
    """Whether a shape keeps the objectives and carries the load, by the rules of docs/operations.md, "The cheaper shape"."""
    spec, demand, n = question.spec, question.demand, choice.readers
    asked = spec.objectives
    overrides = {o.ordinal: o for o in spec.instances.overrides}
    if asked is not None:
        nines = Decimal(asked.availability or 0)
        within = asked.failover.value if asked.failover is not None else None
        if nines > Decimal("99.99") or (nines and choice.sleep is not None):
            return False
        if asked.replica_lag is not None and n == 0:
            return False
        if asked.recovery_point is not None and asked.recovery_point.value < timedelta(minutes=5):
            return False
        if nines > Decimal("99.9") or (within is not None and within < timedelta(minutes=10)):
            zones = [overrides[k].zone if k in overrides and overrides[k].zone else k for k in range(1, n + 2)]
            # Tiers cost nothing: they are held of what a patch makes (takes_over), not of a shape.
            if n == 0 or len(set(zones)) == 1:
                return False
        if asked.connect is not None and choice.sleep is not None:
            return False
        quick = [t for t in (asked.connect, asked.query_p95) if t is not None and t.value < timedelta(seconds=30)]
        if quick and choice.pauses:
            return False
    if choice.pauses and spec.probe is not None and spec.probe.enabled:
        return False
    return _carries(question, choice, demand, n)


def takes_over(spec: AuroraClusterSpec) -> bool:
    """Whether a reader is of tier 0 or 1 where an objective needs one that takes over."""
    asked = spec.objectives
    quick = asked is not None and asked.failover is not None and asked.failover.value < timedelta(minutes=10)
    high = asked is not None and Decimal(asked.availability or 0) > Decimal("99.9")
    overrides = {o.ordinal: o.promotion_tier for o in spec.instances.overrides}
    tiers = [overrides.get(n) for n in range(2, (spec.instances.readers or 0) + 2)]
    return not (quick or high) or any(t in (None, 0, 1) for t in tiers)


def _carries(question: Question, choice: Choice, demand: Demand, n: int) -> bool:
    each = None
    if demand.writer is not None:
        parts = {}
        for name in ("cpu", "cpu_mean", "connections", "capacity", "capacity_mean"):
            w, r = getattr(demand.writer, name), getattr(demand.readers, name)
            parts[name] = w + r if n == 0 else max(w, r / n)
        each = Load(**parts)
    postgres = question.engine == "aurora-postgresql"
    version = question.spec.engine.version or ""
    for ordinal in range(1, n + 2):
        cls = question.fixed.get(ordinal, choice.instance_class)
        if cls == "db.serverless":
            if choice.capacity is None or not _enough(question, choice.capacity[1], each, demand, postgres):
                return False
            continue
        cores, memory, baseline = HARDWARE[cls]
        if each is not None:
            peak = max(each.cpu, each.capacity / 4)
            steady = max(each.cpu_mean, each.capacity_mean / 4)
            if peak > cores * Decimal("0.7") or steady > cores * Decimal(baseline) or each.capacity * 2 > memory:
                return False
            if each.connections > _connections(postgres, Decimal(memory)) * Decimal("0.8"):
                return False
        if demand.memory is not None and demand.memory > memory * Decimal("0.32"):
            return False
        if not _runs(postgres, version, cls.split(".")[1]):
            return False
    return not choice.pauses or _runs(postgres, version, "pause")


def _enough(question: Question, most: Decimal, each: Load | None, demand: Demand, postgres: bool) -> bool:
    if most < demand.ceiling or most < 1:
        return False
    if demand.memory is not None and demand.memory > most * 2 * Decimal("0.32"):
        return False
    if each is None:
        return True
    return (
        each.capacity <= most
        and each.capacity_mean <= most
        and each.cpu <= most / 4 * Decimal("0.7")
        and each.connections <= _connections(postgres, most * 2) * Decimal("0.8")
    )


def _connections(postgres: bool, memory: Decimal) -> int:
    if postgres:
        return min(5000, int(memory * 1073741824 / 9531392))
    steps = {4: 90, 8: 135, 16: 1000, 32: 2000, 64: 3000, 128: 4000, 192: 5000, 256: 6000, 512: 7000}
    return max((count for size, count in steps.items() if memory >= size), default=45)


def _runs(postgres: bool, version: str, what: str) -> bool:
    if what not in ("r7g", "r8g", "pause") or not version:
        return True
    if not postgres:
        if "mysql_aurora.3." not in version:
            return True
        return int(version.split(".")[-2]) >= (3 if what == "r7g" else 8)
    major, _, minor = version.partition(".")
    needed = {"r7g": {"13": 10, "14": 7, "15": 2}}.get(what, {"13": 15, "14": 12, "15": 7, "16": 3}).get(major, 0)
    return int(minor or 99) >= needed


def best_cluster(question: Question, where: Space) -> Decimal | None:
    """The price of the cheapest shape that will do, by trying all."""
    prices = [price(question, c) for c in every_cluster(question, where) if keeps(question, c)]
    return min((p for p in prices if p is not None), default=None)


# Tables


def table_case(random_: random.Random) -> Ask:
    """One table with up to three indexes, and four hours of load."""

    def flow() -> Flow:
        if random_.random() < 0.3:
            return Flow(Decimal(0), (Decimal(0),) * 4)
        high = random_.choice(["0.5", "4", "9"])
        hours = tuple(_decimal(random_, high, 1) for _ in range(4))
        return Flow(sum(hours, Decimal(0)) / 4 * Decimal(random_.choice(["1", "0.5", "0.1"])), hours)

    uses = {"": Use(flow(), flow(), random_.randint(0, 10**12))}
    for n in range(random_.choice([0, 0, 1, 2])):
        read = flow()
        uses[f"index-{n}"] = Use(read, flow(), random_.randint(0, 10**11), unused=max(read.hours) == 0)
    droppable = frozenset(name for name, use in uses.items() if use.unused and name)
    return Ask(
        uses,
        CATALOGUE,
        recovery=random_.random() < 0.5,
        latency="readP95 9ms" if random_.random() < 0.3 else "",
        droppable=droppable if random_.random() < 0.8 else frozenset(),
    )


def best_table(ask: Ask) -> Decimal:
    """The price of the cheapest way, by trying every range of units one direction after the other (their prices add up), and every set of indexes."""
    found = []
    names = sorted(ask.droppable)
    for gone in chain.from_iterable(combinations(names, n) for n in range(len(names) + 1)):
        kept = {name: use for name, use in ask.uses.items() if name not in gone}
        for word in ("standard", "infrequent-access"):

            def rate(key: str, word: str = word) -> Decimal:
                known = CATALOGUE.price(f"dynamodb.{word}.{key}")
                assert known is not None
                return known.amount / known.per

            size = sum(use.size for use in kept.values())
            fixed = rate("storage") * size / 10**9
            if ask.recovery:
                fixed += rate("point-in-time-recovery") * ask.uses[""].size / 10**9
            flows = [(direction, getattr(use, direction)) for use in kept.values() for direction in ("read", "write")]
            found.append(fixed + sum(rate(f"{d}-request") * f.mean * 730 * 3600 for d, f in flows))
            found.append(fixed + sum(rate(f"{d}-capacity") * 730 * _cheapest_units(ask, f) for d, f in flows))
    return min(found)


def _cheapest_units(ask: Ask, flow: Flow) -> Decimal:
    """Units an hour on average, of the cheapest range that serves."""
    prices = []
    for most in range(1, 16):
        if any(rate > most * Decimal("0.7") for rate in flow.hours):
            continue
        for least in range(1, most + 1):
            if ask.latency and any(rate > least for rate in flow.hours):
                continue
            hours = []
            for rate in flow.hours:
                units = least
                while units < most and rate > units * Decimal("0.7"):
                    units += 1
                hours.append(units)
            prices.append(Decimal(sum(hours)) / len(hours))
    return min(prices)


def breaks_table(ask: Ask, way: Way) -> bool:
    """Whether a way serves less than the load, or drops what is read."""
    if any(not ask.uses[name].unused for name in way.dropped):
        return True
    for (name, direction), units in (way.units or {}).items():
        flow: Flow = getattr(ask.uses[name], direction)
        if any(rate > units.most * Decimal("0.7") for rate in flow.hours):
            return True
        if ask.latency and any(rate > units.least for rate in flow.hours):
            return True
    return False


__all__ = ["Units", "clusters", "replace", "tables"]
