"""Prices of a region: what each is for, its unit, the page that it was read from and that page's date. Decimal throughout; never a silent zero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib import resources
from typing import Any, Final

HOURS: Final = Decimal(730)
"""Hours of a month, as AWS's calculator takes them; a real month has 672 to 744."""
SECONDS: Final = HOURS * 3600
CURRENCY: Final = "USD"
DYNAMODB_GB: Final = Decimal(10**9)
"""Bytes of a gigabyte on a DynamoDB bill. Sources differ (the other is 2³⁰): this one gives the higher estimate."""
AURORA_GB: Final = Decimal(2**30)
"""Bytes of a gigabyte on an Aurora bill (Aurora guide, "DB instance billing": gibibytes)."""
STALE_DAYS: Final = 400
"""A price that is older is told to be old."""
# No listed price is near it: a figure beyond it is a unit that was misread.
_HIGHEST = Decimal(10**6)


class CatalogueError(ValueError):
    """A catalogue that cannot be used; its text is a sentence that says what is wrong and what to do."""


@dataclass(frozen=True)
class Price:
    """One price: `amount` US dollars for `per` units, as the page told it on a day. doubt: why it may be off, as a clause; '' when sources agree."""

    key: str
    amount: Decimal
    unit: str
    per: int
    page: str
    read_on: date
    doubt: str = ""

    @property
    def each(self) -> Decimal:
        """US dollars for one unit."""
        return self.amount / self.per

    def is_stale(self, today: date) -> bool:
        """Whether it is so old that it should be told."""
        return (today - self.read_on).days > STALE_DAYS


@dataclass(frozen=True)
class Catalogue:
    """The prices of one region by key.

    collected: when, and no price is newer; None where nothing is known of the region. origin: Bundled or PriceList. settled: False while another list
    is awaited for the first time, so that nothing that was told is changed for now. note: a sentence about the list that was not taken.
    """

    region: str
    collected: date | None
    prices: Mapping[str, Price] = field(hash=False)
    origin: str = "Bundled"
    settled: bool = True
    note: str = ""

    def price(self, key: str) -> Price | None:
        """The price, or None when it is not known: whoever asks must then say what is missing."""
        return self.prices.get(key)

    @property
    def source(self) -> str:
        """Where the prices come from, for status.cost.priceSource: "Bundled 2026-09-20", "PriceList 2026-11-27", or that there are none."""
        return (
            f"{self.origin} {self.collected.isoformat()}" if self.collected is not None else f"None for {self.region}"
        )


# Objects may name regions that there are not.
@lru_cache(maxsize=64)
def bundled(region: str) -> Catalogue:
    """The catalogue that comes with the operator; an empty one for a region that has none, since prices of another region do not hold there."""
    found = resources.files(__package__) / "catalogue" / f"{region}.json"
    if not found.is_file():
        return Catalogue(region, None, {})
    return parse(found.read_text(encoding="utf-8"), f"catalogue/{region}.json")


def parse(text: str, name: str) -> Catalogue:
    """A catalogue from its JSON text. Raises CatalogueError with a sentence; name: what the sentence calls it."""
    if not text.strip():
        raise CatalogueError(f"{name} is empty; {_REMEDY}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CatalogueError(f"{name} is no whole JSON ({error}); {_REMEDY}") from error
    if not isinstance(found, dict):
        raise CatalogueError(f"{name} holds no JSON object; {_REMEDY}")
    region = found.get("region")
    if not isinstance(region, str) or not region:
        raise CatalogueError(f'{name} names no region; write "region": "us-east-1"')
    if found.get("currency") != CURRENCY:
        raise CatalogueError(
            f"{name} is in {found.get('currency')!r}; only {CURRENCY} is read, since amounts of several currencies cannot be summed"
        )
    sources = _sources(found.get("sources"), name)
    prices = found.get("prices")
    if not isinstance(prices, dict) or not prices:
        raise CatalogueError(f"{name} holds no prices; {_REMEDY}")
    read = {key: _price(key, entry, sources, name) for key, entry in prices.items()}
    try:
        collected = date.fromisoformat(str(found.get("date")))
    except ValueError as error:
        raise CatalogueError(f'{name} has no date; write when the prices were collected, like "2026-11-23"') from error
    late = next((p for p in read.values() if p.read_on > collected), None)
    if late is not None:
        raise CatalogueError(f"{name} is of {collected}, but {late.key} is of {late.read_on}; {_REMEDY}")
    return Catalogue(region, collected, read)


_REMEDY = "make it again with `python -m penstock.cost.pricelist`"


def _sources(value: Any, name: str) -> dict[str, tuple[str, date]]:
    if not isinstance(value, dict):
        raise CatalogueError(f'{name} has no "sources"; every price must name the page that it was read from')
    found = {}
    for key, source in value.items():
        page = source.get("page") if isinstance(source, dict) else None
        if not isinstance(page, str) or not page:
            raise CatalogueError(f"{name}: source {key} has no page; write where the price was read")
        try:
            found[key] = (page, date.fromisoformat(str(source.get("date"))))
        except ValueError as error:
            raise CatalogueError(f'{name}: source {key} has no date; write one like "2026-09-20"') from error
    return found


def _price(key: str, entry: Any, sources: Mapping[str, tuple[str, date]], name: str) -> Price:
    if not isinstance(entry, dict):
        raise CatalogueError(f"{name}: {key} is no price; write an object with price, unit and source")
    unit, source, per = entry.get("unit"), entry.get("source"), entry.get("per", 1)
    if not isinstance(unit, str) or not unit:
        raise CatalogueError(f'{name}: {key} has no unit; write one like "instance-hour"')
    if not isinstance(source, str) or source not in sources:
        raise CatalogueError(f"{name}: {key} names the source {source!r}, which is not in sources")
    if not isinstance(per, int) or isinstance(per, bool) or per < 1:
        raise CatalogueError(f"{name}: {key} is for {per!r} units; write a whole number of 1 or more")
    page, day = sources[source]
    return Price(key, amount(entry.get("price"), f"{name}: {key}"), unit, per, page, day, str(entry.get("doubt", "")))


def amount(value: Any, what: str) -> Decimal:
    """A price as written, which must be text. Raises CatalogueError."""
    if not isinstance(value, str):
        raise CatalogueError(f'{what} costs {value!r}; write the price as text, like "0.073"')
    try:
        found = Decimal(value)
    except InvalidOperation as error:
        raise CatalogueError(f'{what} costs {value!r}, which is no number; write one like "0.073"') from error
    if not found.is_finite() or found <= 0 or found > _HIGHEST:
        raise CatalogueError(
            f"{what} costs {value}; a price is more than 0 and at most {_HIGHEST}. Leave it out when it is not known: "
            "the estimate then says so"
        )
    return found
