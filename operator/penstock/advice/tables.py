"""The ways to pay for a table, what each costs with the load that was measured, and the cheapest that serves it. Pure.

The search is exact over the capacity mode, the table class and which unused indexes go. Of the ranges that autoscaling could have not all are looked
at: the cheapest lets the units fall as low as the load does, and rise as high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from typing import Final

from penstock.cost.dynamo import INFREQUENT_ACCESS, STANDARD
from penstock.cost.prices import DYNAMODB_GB, HOURS, SECONDS, Catalogue

TARGET: Final = Decimal("0.7")
"""The utilisation that autoscaling aims at: what people take, and Penstock when nothing is said."""
READ, WRITE = "read", "write"
DIRECTIONS: Final = (READ, WRITE)
ITSELF: Final = ""
"""The name of the table itself among its indexes."""


@dataclass(frozen=True)
class Flow:
    """Capacity units that one direction of the table or an index consumes. mean: a second. hours: the highest rate a second of each hour."""

    mean: Decimal = Decimal(0)
    hours: tuple[Decimal, ...] = ()

    @cached_property
    def peak(self) -> Decimal:
        return max(self.hours, default=self.mean)

    @cached_property
    def needed(self) -> tuple[int, ...]:
        """Units that autoscaling has in each hour, so that what is consumed is the part of them that it aims at."""
        return tuple(
            max(1, int((rate / TARGET).to_integral_value(ROUND_CEILING))) for rate in self.hours or (self.mean,)
        )


@dataclass(frozen=True)
class Use:
    """The table itself, or one of its indexes. size: bytes as they are billed. unused: nobody read it for as long as was looked."""

    read: Flow = Flow()
    write: Flow = Flow()
    size: int = 0
    unused: bool = False

    def flow(self, direction: str) -> Flow:
        return self.read if direction == READ else self.write


@dataclass(frozen=True)
class Units:
    """Provisioned units: the fewest and the most that autoscaling may set; the same number twice is a number that does not move."""

    least: int
    most: int

    @property
    def fixed(self) -> bool:
        return self.least == self.most


@dataclass(frozen=True)
class Way:
    """A way to have the table. units: by (name, direction), of mode Provisioned; None on demand. dropped: indexes that are gone."""

    table_class: str = STANDARD
    units: Mapping[tuple[str, str], Units] | None = None
    dropped: frozenset[str] = frozenset()

    @property
    def provisioned(self) -> bool:
        return self.units is not None


@dataclass(frozen=True)
class Ask:
    """What is asked. uses: the table itself under '', and its indexes by name. recovery: point-in-time recovery is on.

    latency: an objective that throttling would break, as a clause; then units must never be fewer than the highest rate.
    """

    uses: Mapping[str, Use]
    catalogue: Catalogue
    recovery: bool = False
    latency: str = ""
    classes: tuple[str, ...] = (STANDARD, INFREQUENT_ACCESS)
    modes: tuple[bool, ...] = (False, True)
    droppable: frozenset[str] = field(default_factory=frozenset)

    def cost(self, way: Way) -> Decimal | None:
        """US dollars a month, exact; None when a price is not known."""
        prefix = f"dynamodb.{'infrequent-access' if way.table_class == INFREQUENT_ACCESS else 'standard'}"
        storage = self._rate(f"{prefix}.storage")
        if storage is None:
            return None
        kept = {name: use for name, use in self.uses.items() if name not in way.dropped}
        total = storage * sum(use.size for use in kept.values()) / DYNAMODB_GB
        if self.recovery:
            rate = self._rate(f"{prefix}.point-in-time-recovery")
            if rate is None:
                return None
            total += rate * self.uses[ITSELF].size / DYNAMODB_GB
        for direction in DIRECTIONS:
            rate = self._rate(f"{prefix}.{direction}-{'capacity' if way.provisioned else 'request'}")
            if rate is None:
                return None
            for name, use in kept.items():
                flow = use.flow(direction)
                units = way.units[name, direction] if way.units is not None else None
                total += rate * (flow.mean * SECONDS if units is None else HOURS * paid(flow, units))
        return total

    def lacks(self, way: Way) -> list[str]:
        """What the way does not serve, each as a clause; nothing when it will do."""
        found = [f"index {name} is read" for name in sorted(way.dropped) if not self.uses[name].unused]
        if way.units is None:
            return found
        for (name, direction), units in way.units.items():
            what = f"the {direction}s of index {name}" if name else f"the {direction}s of the table"
            flow = self.uses[name].flow(direction)
            if units.most < max(flow.needed):
                found.append(f"{what} need {max(flow.needed)} units at peak, and the most is {units.most}")
            elif self.latency and units.least < flow.peak:
                found.append(
                    f"{self.latency} needs units for the peak of {what} all the time, so that nothing is throttled"
                )
        return found

    def units(self, flow: Flow) -> Units:
        """The cheapest units that serve a flow."""
        most = max(flow.needed)
        least = min(flow.needed)
        if self.latency:
            least = max(least, int(flow.peak.to_integral_value(ROUND_CEILING)), 1)
        return Units(min(least, most), most)

    def _rate(self, key: str) -> Decimal | None:
        price = self.catalogue.price(key)
        return price.each if price is not None else None


def paid(flow: Flow, units: Units) -> Decimal:
    """Units that are paid for on average over the hours: what autoscaling sets, within its range."""
    hours = flow.needed
    return Decimal(sum(min(max(needed, units.least), units.most) for needed in hours)) / len(hours)


def search(ask: Ask) -> list[tuple[Way, Decimal]]:
    """Every way that will do, the cheapest first; of two at the same price the one that changes less."""
    found = [(way, cost) for way in _ways(ask) if (cost := ask.cost(way)) is not None and not ask.lacks(way)]
    return sorted(found, key=lambda one: (one[1], one[0].provisioned, one[0].table_class, sorted(one[0].dropped)))


def _ways(ask: Ask) -> Iterator[Way]:
    for table_class in ask.classes:
        # An index costs nothing or something and never saves: of what may go, all or none is as cheap as any part of it.
        for dropped in {frozenset(), ask.droppable}:
            if False in ask.modes:
                yield Way(table_class, None, dropped)
            if True in ask.modes:
                kept = {name: use for name, use in ask.uses.items() if name not in dropped}
                units = {(n, d): ask.units(use.flow(d)) for n, use in kept.items() for d in DIRECTIONS}
                yield Way(table_class, units, dropped)
