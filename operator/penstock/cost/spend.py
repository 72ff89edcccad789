"""What a month has cost so far and will have cost: what is paid by time is added up as it runs, what is paid by use comes from CloudWatch. Pure.

By time: instance and capacity hours, and gigabyte-months whose size is known; an hour of them costs what the estimate of the present shape says. By
use: requests, I/O, serverless capacity, and the volume of clusters, in days of UTC as CloudWatch sums them.
Months are AWS's: in UTC, of 672 to 744 hours.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from penstock.api.cost import MOVED
from penstock.aws.series import Point, Query
from penstock.cost.estimate import CENT, GIGABYTE_MONTH, SPENT, Estimate, Item, amount_told, money, rounded
from penstock.cost.prices import HOURS, Catalogue
from penstock.engine.money import Money

ZERO: Final = Decimal(0)
DAY: Final = 86_400
TIMED: Final = "what is paid by the hour and month"
"""The line of what is paid by time; also how a later process finds it again."""
# The pace is the mean of so many days, so that weekends are in it.
_PACE: Final = timedelta(days=7)
# Less than an hour of use says nothing about a month.
_LEAST: Final = timedelta(hours=1)
# Amounts of a running month move all the time: they are told again after so long when they moved by 1 %, after an hour when they moved by 10 %.
_EVERY: Final = timedelta(hours=6)
_LEAP: Final = Decimal("0.10")
_MONTHLY = (GIGABYTE_MONTH, "rule-month")


class How(StrEnum):
    """How the days of a metric become a quantity that has a price."""

    COUNT = "Count"
    """They are summed up."""
    HOURS = "Hours"
    """The mean of each, times its hours."""
    MONTHS = "Months"
    """The mean of each, times its part of the month."""


@dataclass(frozen=True)
class Meter:
    """One line that is paid by use.

    key: of its price. queries: metrics that are added up. scale: priced units in one of the metric's units. since: when what it measures was made.
    """

    name: str
    key: str
    queries: tuple[Query, ...]
    how: How
    scale: Decimal = Decimal(1)
    since: datetime | None = None


@dataclass(frozen=True)
class Reading:
    """What CloudWatch told. at: until when it reaches."""

    at: datetime
    points: Mapping[Query, tuple[Point, ...]]


@dataclass(frozen=True)
class Ledger:
    """What has been paid by time. month: its first moment. up_to: until when it is added up."""

    month: datetime
    up_to: datetime
    timed: Decimal


@dataclass(frozen=True)
class Spend:
    """In US dollars. to_date, forecast: of this month. pace: of 730 hours as it runs and is used. lines: of to_date.

    at: until when. unread: what is used could not be read, so that nothing of this may be told. young: it is too new to say anything about a month.
    missing: what is used and has no known price. source: a word or sentence for status.cost.spendSource.
    """

    at: datetime
    to_date: Decimal
    forecast: Decimal
    pace: Decimal
    lines: tuple[tuple[str, Decimal], ...] = ()
    young: bool = False
    unread: bool = False
    missing: tuple[str, ...] = ()
    source: str = ""


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The first moments of this month and of the next, in UTC."""
    here = now.astimezone(UTC)
    first = here.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, first + timedelta(days=calendar.monthrange(first.year, first.month)[1])


def window(now: datetime) -> datetime:
    """From when metrics are needed: this month, and what the pace needs of the last one."""
    return min(month_of(now)[0], _recent(now))


def _recent(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _PACE


def hourly(running: Estimate, now: datetime) -> Decimal:
    """US dollars for an hour of what is paid by time, as it runs now."""
    first, end = month_of(now)
    hours = _hours(end - first)
    return sum((_an_hour(item, hours) for item in running.items if _timed(item)), ZERO)


def advanced(ledger: Ledger | None, created: datetime | None, now: datetime, rate: Decimal) -> Ledger:
    """The ledger up to now, at a rate in US dollars an hour. None begins one: with the month, or with the database when that is younger."""
    first, _ = month_of(now)
    if ledger is None or ledger.month != first:
        begin = max(first, created) if created is not None else first
        return Ledger(first, now, _hours(max(now - begin, timedelta(0))) * rate)
    if now <= ledger.up_to:
        # A clock that was set back.
        return ledger
    return Ledger(first, now, ledger.timed + _hours(now - ledger.up_to) * rate)


def spend(
    ledger: Ledger,
    rate: Decimal,
    meters: Sequence[Meter],
    reading: Reading | None,
    catalogue: Catalogue,
    created: datetime | None,
) -> Spend:
    """What it comes to. rate: as for the ledger. created: when the database was made; None when that is not known."""
    now = ledger.up_to
    first, end = month_of(now)
    lines = [(TIMED, ledger.timed)]
    missing, per_hour = [], ZERO
    begin = max(window(now), created) if created is not None else window(now)
    for meter in meters:
        price = catalogue.price(meter.key)
        points = [p for q in meter.queries for p in (reading.points.get(q, ()) if reading is not None else ())]
        if price is None:
            if points:
                missing.append(f"{meter.name}: no price of {meter.key} in {catalogue.region} is known")
            continue
        if reading is None:
            continue
        used = _quantity(meter, points, max(first, begin), min(end, reading.at))
        lines.append((meter.name, used * price.each))
        recent = max(begin, _recent(reading.at))
        span = max(reading.at - recent, _LEAST)
        per_hour += _quantity(meter, points, recent, reading.at) * price.each / _hours(span)
    to_date = sum((amount for _, amount in lines), ZERO)
    left = _hours(end - now)
    return Spend(
        at=now,
        to_date=to_date,
        forecast=to_date + left * (rate + per_hour),
        pace=HOURS * (rate + per_hour),
        lines=tuple(lines),
        young=created is not None and now - created < _LEAST,
        missing=tuple(missing),
    )


def remembered(cost: Mapping[str, Any], now: datetime) -> Ledger | None:
    """The ledger that an object's status.cost tells of; None when it tells of none, or of another month."""
    first, _ = month_of(now)
    try:
        up_to = datetime.fromisoformat(str(cost.get("measuredAt")))
        timed = next(Decimal(line["amount"]) for line in cost.get("spent") or () if line.get("name") == TIMED)
    except (ValueError, InvalidOperation, KeyError, TypeError, StopIteration):
        return None
    return Ledger(first, up_to, timed) if first <= up_to <= now and timed.is_finite() and timed >= 0 else None


def as_money(estimate: Estimate, found: Spend | None) -> Money:
    """What an object costs, for its annotations and for budgets."""
    if found is None or found.unread or found.young:
        return Money(estimate.monthly, estimate.basis, estimate.storage, estimate.missing)
    return Money(
        estimate.monthly,
        estimate.basis,
        estimate.storage,
        estimate.missing,
        None if found.missing else rounded(found.pace),
        found.to_date,
        found.forecast,
    )


def told(
    cost: Mapping[str, Any], known: Mapping[str, Any], found: Spend, watching: Decimal, *, now: bool
) -> dict[str, Any]:
    """status.cost with what was spent.

    cost: with the estimate. known: as it stands on the object. now: somebody asked for a look. watching: US dollars a month that reading the metrics
    costs.
    """
    rest = {k: v for k, v in cost.items() if k not in _NAMES}
    before = {k: known[k] for k in _NAMES if k in known}
    if found.unread:
        # Half of the truth would be taken for all of it.
        return {**rest, **before, "spendSource": found.source}
    if (found.young and not now) or _stands(before, found, now=now):
        return {**rest, **before}
    estimate = amount_told(cost.get("monthlyEstimate"))
    fresh: dict[str, Any] = {
        "monthToDate": money(found.to_date),
        "measuredAt": f"{found.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "spent": [{"name": name, "amount": money(amount, Decimal("0.000001"))} for name, amount in found.lines],
        "spendSource": found.source,
    }
    if not found.young:
        fresh |= {"forecast": money(found.forecast), "pace": money(found.pace)}
        if estimate:
            fresh["againstEstimate"] = f"{100 * (found.pace - estimate) / estimate:+.0f} %"
    if watching:
        fresh["watching"] = money(watching, Decimal("0.0001"))
    return {**rest, **fresh}


_NAMES: Final = tuple(name for name in SPENT if not name.startswith("billed"))


def _stands(before: Mapping[str, Any], found: Spend, *, now: bool) -> bool:
    """Whether what was told is still near enough."""
    try:
        at = datetime.fromisoformat(str(before["measuredAt"]))
    except (KeyError, ValueError):
        return False
    if before.get("spendSource") != found.source or ("pace" not in before) != found.young:
        return False
    if month_of(at)[0] != month_of(found.at)[0]:
        return False
    pairs = [(amount_told(before.get("monthToDate")), found.to_date)]
    pairs += [] if found.young else [(amount_told(before.get("forecast")), found.forecast)]
    most, passed = max(_movement(was, amount) for was, amount in pairs), found.at - at
    return most <= MOVED or not (now or passed >= _EVERY or (most > _LEAP and passed >= _LEAST))


def _movement(was: Decimal | None, amount: Decimal) -> Decimal:
    """By what part of itself an amount moved; less than a cent is nothing."""
    if was is None:
        return Decimal(1)
    by = abs(amount - was)
    return ZERO if by < CENT else by / was if was else Decimal(1)


def _quantity(meter: Meter, points: Iterable[Point], begin: datetime, end: datetime) -> Decimal:
    """Priced units between two moments. A day that lies there in part counts whole when it is a count, and with its hours when it is a mean."""
    total = ZERO
    begin = max(begin, meter.since) if meter.since is not None else begin
    for point in points:
        start, stop = max(point.time, begin), min(point.time + timedelta(seconds=DAY), end)
        if stop <= start:
            continue
        value = Decimal(repr(point.value)) * meter.scale
        if meter.how is How.COUNT:
            total += value
        elif meter.how is How.HOURS:
            total += value * _hours(stop - start)
        else:
            first, last = month_of(point.time)
            total += value * _hours(stop - start) / _hours(last - first)
    return total


def _an_hour(item: Item, hours: Decimal) -> Decimal:
    return item.monthly / (hours if item.unit in _MONTHLY else HOURS)


def _timed(item: Item) -> bool:
    # What serverless instances have is measured.
    return (item.unit.endswith("-hour") and item.unit != "ACU-hour") or item.unit in _MONTHLY


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(seconds=1)) / 3600
