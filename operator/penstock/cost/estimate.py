"""An estimate: what is paid for, how much of it and at which price; the sum is exact, and what has no price is named. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

from penstock.api.cost import MOVED
from penstock.cost.prices import Catalogue

CENT: Final = Decimal("0.01")
GIGABYTE_MONTH: Final = "GB-month"
"""The unit of whatever is stored."""
SPENT: Final = (
    "monthToDate",
    "forecast",
    "pace",
    "againstEstimate",
    "measuredAt",
    "spent",
    "spendSource",
    "watching",
    "billed",
    "billedAt",
)
"""The fields of status.cost that are no part of the estimate."""
# Texts on an object: beyond these digits nobody reads.
_FINE = Decimal("0.0001")
# A petabyte a second would still be rounded, not refused.
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_UP)
_MOST = Decimal(10) ** 18


@dataclass(frozen=True)
class Item:
    """One line: `quantity` of `unit` a month at `price` US dollars for `per` of them. monthly: exact, in US dollars."""

    name: str
    quantity: Decimal
    unit: str
    price: Decimal
    per: int

    @property
    def monthly(self) -> Decimal:
        return self.quantity * self.price / self.per

    def as_status(self) -> dict[str, Any]:
        """The line as an item of status.cost.breakdown."""
        per = f" per {self.per:,}" if self.per > 1 else ""
        return {
            "name": self.name,
            "quantity": plain(rounded(self.quantity, _FINE)),
            "unit": self.unit,
            "price": f"{plain(self.price)}{per}",
            "monthly": money(self.monthly, _FINE),
        }


@dataclass(frozen=True)
class Estimate:
    """What something costs a month.

    items: the lines. assumptions: what was taken to be so, a sentence each. missing: what is paid for and has no known price.
    source: where the prices come from, with their date. settled: whether no better ones are awaited right now.
    """

    items: tuple[Item, ...]
    assumptions: tuple[str, ...]
    missing: tuple[str, ...]
    source: str
    settled: bool = True

    @property
    def exact(self) -> Decimal:
        """The sum of the lines."""
        return sum((i.monthly for i in self.items), Decimal(0))

    @property
    def monthly(self) -> Decimal | None:
        """The sum to the cent; None when no line of what is paid for has a price."""
        if not self.items and self.missing:
            return None
        return rounded(self.exact)

    @property
    def storage(self) -> Decimal:
        """The part of the sum that AWS bills by the gigabyte and month, backups included."""
        return sum((i.monthly for i in self.items if i.unit == GIGABYTE_MONTH), Decimal(0))

    @property
    def partial(self) -> bool:
        """Whether something that is paid for is not in the sum."""
        return bool(self.missing)

    @property
    def basis(self) -> str:
        """The word of the annotation penstock.dev/cost-basis."""
        return "Partial" if self.partial else "Estimate"

    def as_status(self) -> dict[str, Any]:
        """The estimate as status.cost."""
        found: dict[str, Any] = {"basis": self.basis, "priceSource": self.source}
        if self.monthly is not None:
            found["monthlyEstimate"] = money(self.monthly)
        if self.items:
            found["breakdown"] = [i.as_status() for i in self.items]
        if self.assumptions:
            found["assumptions"] = list(self.assumptions)
        if self.missing:
            found["missing"] = list(self.missing)
        return found


@dataclass
class Bill:
    """Collects the lines of one estimate. today: against which a price is old."""

    catalogue: Catalogue
    today: date
    _items: list[Item] = field(default_factory=list)
    _assumptions: dict[str, None] = field(default_factory=dict)
    _missing: dict[str, None] = field(default_factory=dict)

    def add(self, name: str, key: str, quantity: Decimal) -> None:
        """Add a line; what has no price is missing, unless there is none of it."""
        price = self.catalogue.price(key)
        if price is None:
            if quantity:
                self._missing[f"{name}: no price of {key} in {self.catalogue.region} is known"] = None
            return
        self._items.append(Item(name, quantity, price.unit, price.amount, price.per))
        if not quantity:
            return
        if price.doubt:
            self.assume(f"{name}: the price is {price.doubt}.")
        if price.is_stale(self.today):
            self.assume(f"{name}: the price is of {price.read_on.isoformat()}.")

    def assume(self, sentence: str) -> None:
        """Say what was taken to be so."""
        self._assumptions[sentence] = None

    def miss(self, what: str) -> None:
        """Say what is paid for and not in the sum."""
        self._missing[what] = None

    @property
    def exact(self) -> Decimal:
        """The sum of the lines so far."""
        return sum((i.monthly for i in self._items), Decimal(0))

    def estimate(self) -> Estimate:
        if self.catalogue.note:
            self.assume(self.catalogue.note)
        return Estimate(
            tuple(self._items),
            tuple(self._assumptions),
            tuple(self._missing),
            self.catalogue.source,
            self.catalogue.settled,
        )


def difference(before: Estimate | None, after: Estimate | None) -> Decimal | None:
    """US dollars that the change adds to a month; None where a price is missing, of which nothing can be said. An absent estimate is of nothing."""
    lacks = [set(e.missing) if e is not None else set() for e in (before, after)]
    if lacks[0] != lacks[1]:
        return None
    zero = Decimal(0)
    return (after.exact if after is not None else zero) - (before.exact if before is not None else zero)


def told(estimate: Estimate, status: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """status.cost: the estimate, or what stands there already as long as it is of the same spec and did not move by more than 1 %.

    Sizes and units move all the time, and every word on an object is a write.
    """
    fresh, known = estimate.as_status(), status.get("cost") or {}
    current = status.get("observedGeneration") == generation
    if current and known and not estimate.settled:
        # For some seconds after a start, until AWS's list has been read: what was told came from it, most likely.
        return dict(known)
    # The date of a list moves with every publication; where the prices come from matters.
    origins = [str(d.get("priceSource", "")).partition(" ")[0] for d in (known, fresh)]
    same = current and origins[0] == origins[1] and all(known.get(n) == fresh.get(n) for n in ("basis", "missing"))
    if not same or [i.get("name") for i in known.get("breakdown") or ()] != [i.name for i in estimate.items]:
        return {**_actual(known), **fresh}
    try:
        before = Decimal(known["monthlyEstimate"]) if "monthlyEstimate" in known else None
    except (InvalidOperation, TypeError):
        return {**_actual(known), **fresh}
    return {**_actual(known), **fresh} if moved(before, estimate.monthly) else dict(known)


def _actual(known: Mapping[str, Any]) -> dict[str, Any]:
    """What was spent is not the estimate's to change."""
    return {name: known[name] for name in SPENT if name in known}


def moved(before: Decimal | None, after: Decimal | None) -> bool:
    """Whether an amount moved by more than 1 %, or came or went."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) > abs(before) * MOVED


def rounded(amount: Decimal, step: Decimal = CENT) -> Decimal:
    """Half away from zero, as a bill is rounded."""
    return amount.quantize(step, context=_ROUNDING)


def amount_told(text: Any) -> Decimal | None:
    """An amount of US dollars as an object tells it; None for none, and for what is no amount that anybody pays."""
    try:
        found = Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and abs(found) < _MOST else None


def money(amount: Decimal, step: Decimal = CENT) -> str:
    """An amount of US dollars as text, with two digits after the point at least: "53.29", "0.0004"."""
    whole, _, digits = f"{rounded(amount, step):f}".partition(".")
    text = f"{whole}.{digits.rstrip('0'):0<2}"
    # Without the sign that a negative hair leaves on a zero.
    return "0.00" if text == "-0.00" else text


def plain(number: Decimal) -> str:
    """A number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
