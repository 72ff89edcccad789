"""The prices of all regions that objects live in: AWS's price list where it can be read, else the bundled catalogue; never a mixture without a word.

A list is taken whole or not at all: one that is cut, stale, of another currency or off by orders of magnitude is refused with a sentence, and the
prices that were there stay. Nothing waits for it: estimates use what there is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final

from penstock.aws.account import Account, known_regions
from penstock.aws.pricing import PriceList
from penstock.cost import pricelist
from penstock.cost.pricelist import Row
from penstock.cost.prices import STALE_DAYS, Catalogue, CatalogueError, Price, bundled, parse
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble

log = logging.getLogger(__name__)

LISTED: Final = "PriceList"
# Seconds. AWS changes prices a few times a year and publishes anew every few days.
_DAY, _HOUR = 86_400.0, 3600.0
_LATER = {Meaning.DENIED: 6 * _HOUR}
# What a list of any region must have; without one of these it is cut.
_NEEDED = (
    "dynamodb.standard.read-request",
    "dynamodb.standard.write-request",
    "dynamodb.standard.storage",
    "aurora.storage",
    "aurora.io",
)
_ENGINES = ("Aurora PostgreSQL", "Aurora MySQL", "Any")
# A price that is so many times another one is of another unit.
_LEAP = 20
# Of the prices that a list had before, so many may be gone: AWS retires classes, one at a time.
_GONE = 0.1


@dataclass
class _Region:
    catalogue: Catalogue
    read_at: float | None = None
    due: float = 0.0


class PriceBook:
    """Prices by region. account: None for the bundled ones alone. today: for tests."""

    def __init__(
        self, account: Account | None = None, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        self._list = PriceList(account) if account is not None else None
        self._today = today
        self._regions: dict[str, _Region] = {}
        self._wanted = asyncio.Event()

    def of(self, region: str) -> Catalogue:
        """The prices of a region, at once. While its list is read for the first time they are the bundled ones, and not settled."""
        known = self._regions.get(region)
        if known is None and region not in known_regions():
            # Nothing is kept or read of a region that somebody invented.
            return bundled(region)
        if known is None:
            known = self._regions[region] = _Region(replace(bundled(region), settled=self._list is None))
            self._wanted.set()
        return known.catalogue

    async def run(self) -> None:
        """Read the lists of the regions that were asked for, each once a day, for ever."""
        while True:
            self._wanted.clear()
            now = time.monotonic()
            for region, known in list(self._regions.items()):
                if known.due <= now:
                    await self.refresh(region)
            due = min((known.due for known in self._regions.values()), default=now + _DAY)
            try:
                async with asyncio.timeout(max(1.0, due - time.monotonic())):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def refresh(self, region: str) -> None:
        """Read one region's list now; what is wrong with it becomes a note on the catalogue that stays."""
        self.of(region)
        known = self._regions.get(region)
        if self._list is None or known is None:
            return
        try:
            found = await self._read(region)
            former, older = known.catalogue, bundled(region)
            known.catalogue = await asyncio.to_thread(accepted, found, former, older, self._today())
            known.read_at = time.monotonic()
            known.due = known.read_at + _DAY
            log.info("prices of %s are those of AWS's price list of %s", region, known.catalogue.collected)
        except (Trouble, CatalogueError) as error:
            cause = error.cause if isinstance(error, Trouble) else str(error)
            later = _LATER.get(error.meaning, _HOUR) if isinstance(error, Trouble) else _DAY
            known.due = time.monotonic() + later
            note = f"AWS's price list was not taken: {cause.rstrip('.')}."
            known.catalogue = replace(known.catalogue, settled=True, note=note)
            log.warning("prices of %s stay those of %s: %s", region, known.catalogue.source, cause)
        except Exception as error:
            # Of one region; the others are read all the same.
            known.due = time.monotonic() + _HOUR
            known.catalogue = replace(known.catalogue, settled=True, note=f"AWS's price list was not taken: {error!r}.")
            log.exception("prices of %s were not read", region)

    def measure(self) -> None:
        """Set the metrics; to be called before they are read."""
        for region, known in self._regions.items():
            if known.read_at is not None:
                metrics.PRICES_AGE.labels(region).set(time.monotonic() - known.read_at)

    async def _read(self, region: str) -> list[Row]:
        assert self._list is not None
        asked = [("AmazonDynamoDB", {"regionCode": region})]
        asked += [("AmazonRDS", {"regionCode": region, "databaseEngine": engine}) for engine in _ENGINES]
        listed: list[Row] = []
        for service, filters in asked:
            async for page in self._list.products(service, filters):
                # Thousands of products: what is not used here goes page by page, off the operator's loop.
                listed += await asyncio.to_thread(pricelist.known, page, f"the price list of {service}")
        return listed


def accepted(listed: list[Row], former: Catalogue, older: Catalogue, today: date) -> Catalogue:
    """The catalogue of a list. former: the one in use. older: the bundled one, for what no list of AWS's has. Raises CatalogueError. Pure."""
    region = former.region
    name = f"the price list of {region}"
    found = pricelist.catalogue(
        listed, region, lambda row: f"AWS Price List API, GetProducts, {row.service}, {region}", today
    )
    fresh = parse(json.dumps(found), name)
    published = max(price.read_on for price in fresh.prices.values())
    if (today - published).days > STALE_DAYS:
        raise CatalogueError(f"{name} is of {published.isoformat()}, which is too old to be in force")
    lacking = [key for key in _NEEDED if key not in fresh.prices]
    if not any(key.startswith("aurora.instance.") for key in fresh.prices):
        lacking.append("aurora.instance")
    if lacking:
        raise CatalogueError(f"{name} is cut: it has no {', '.join(lacking)}")
    if former.origin == LISTED:
        had = [key for key, price in former.prices.items() if not price.doubt]
        gone = [key for key in had if key not in fresh.prices]
        if len(gone) > _GONE * len(had):
            raise CatalogueError(f"{name} is cut: {len(gone)} of {len(had)} prices are gone, for example {gone[0]}")
    for key, price in fresh.prices.items():
        before = former.price(key)
        if before is not None and not before.each / _LEAP <= price.each <= before.each * _LEAP:
            raise CatalogueError(
                f"{name} says {price.amount} for {price.per:,} of {key}, and it was {before.amount} for {before.per:,}: "
                "such a leap is a unit that was misread"
            )
    kept: dict[str, Price] = {
        key: replace(price, doubt=f"not in AWS's price list, but of {price.read_on.isoformat()}")
        for key, price in older.prices.items()
        if key not in fresh.prices
    }
    return Catalogue(region, published, {**kept, **fresh.prices}, origin=LISTED)
