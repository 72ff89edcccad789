"""What a month has cost and will have cost: months of every length, restarts, changes in the middle, clocks that go back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.aws.cloudwatch import Point, Query
from penstock.cost import spend
from penstock.cost.estimate import Estimate, Item
from penstock.cost.prices import bundled
from penstock.cost.spend import DAY, TIMED, How, Meter, Reading, Spend

D = Decimal
PRICES = bundled("us-east-1")
WRITES = Query("AWS/DynamoDB", "ConsumedWriteCapacityUnits", (("TableName", "orders"),), "Sum", DAY)
METER = Meter("on-demand writes", "dynamodb.standard.write-request", (WRITES,), How.COUNT)
INSTANCE = Item("1 × db.t4g.medium", D(730), "instance-hour", D("0.073"), 1)
STORAGE = Item("storage", D(100), "GB-month", D("0.25"), 1)
ACUS = Item("1 × db.serverless", D(365), "ACU-hour", D("0.12"), 1)


def at(day: int, hour: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def shape(*items: Item) -> Estimate:
    return Estimate(items, (), (), "Bundled")


def test_an_hour_of_an_instance_costs_its_rate_and_one_of_storage_its_part_of_the_month() -> None:
    assert spend.hourly(shape(INSTANCE), at(5)) == D("0.073")
    assert spend.hourly(shape(STORAGE), at(5)) == D(25) / 720
    assert spend.hourly(shape(STORAGE), at(5, month=12)) == D(25) / 744
    assert spend.hourly(shape(STORAGE), at(5, month=2)) == D(25) / 672
    assert spend.hourly(shape(ACUS), at(5)) == 0, "what serverless instances have is measured"


def test_a_database_is_paid_from_the_month_on_or_from_its_own_beginning() -> None:
    rate = D("0.073")
    assert spend.advanced(None, at(1, month=3), at(11), rate).timed == 240 * rate
    assert spend.advanced(None, at(10, 12), at(11), rate).timed == 12 * rate
    assert spend.advanced(None, None, at(11), rate).timed == 240 * rate
    assert spend.advanced(None, at(12), at(11), rate).timed == 0, "AWS's clock is ahead of ours"


def test_a_change_of_the_class_counts_from_when_it_is_seen() -> None:
    ledger = spend.advanced(None, at(10), at(11), D("0.073"))
    ledger = spend.advanced(ledger, at(10), at(12), D("0.260"))
    assert ledger.timed == 24 * D("0.073") + 24 * D("0.260")


def test_a_new_month_begins_with_nothing() -> None:
    ledger = spend.advanced(None, at(1), at(30, 23), D(1))
    assert ledger.timed == 719
    december = spend.advanced(ledger, at(1), at(1, 2, month=12), D(1))
    assert (december.month, december.timed) == (at(1, month=12), D(2))


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    ledger = spend.advanced(None, at(1), at(11), D(1))
    assert spend.advanced(ledger, at(1), at(10, 23), D(1)) == ledger


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=20), st.integers(0, 10**6))
def test_it_makes_no_difference_how_often_it_is_looked_at(steps: list[int], begin: int) -> None:
    created = at(2) + timedelta(seconds=begin)
    now, ledger = created, None
    for seconds in steps:
        now += timedelta(seconds=seconds)
        ledger = spend.advanced(ledger, created, now, D("0.073"))
    once = spend.advanced(None, created, now, D("0.073"))
    assert ledger is not None
    assert abs(ledger.timed - once.timed) < D("0.0001")


def reading(days: dict[datetime, float], until: datetime) -> Reading:
    return Reading(until, {WRITES: tuple(Point(t, v) for t, v in sorted(days.items()))})


def test_what_was_used_is_counted_day_by_day_and_the_last_month_only_for_the_pace() -> None:
    created, now = at(1, month=3), at(3, 12)
    days = {at(27, month=10): 1e6, at(1): 2e6, at(2): 2e6, at(3): 1e6}
    ledger = spend.advanced(None, created, now, D(0))
    found = spend.spend(ledger, D(0), [METER], reading(days, now), PRICES, created)
    assert found.to_date == 5 * D("0.625")
    # 6 million in 7.5 days.
    per_hour = 6 * D("0.625") / (7 * 24 + 12)
    assert found.pace == pytest.approx(730 * per_hour)
    assert found.forecast == pytest.approx(found.to_date + per_hour * (27 * 24 + 12))
    assert dict(found.lines) == {TIMED: D(0), "on-demand writes": 5 * D("0.625")}


def test_half_an_hour_of_use_is_no_pace() -> None:
    created = at(20, 10)
    now = created + timedelta(minutes=30)
    ledger = spend.advanced(None, created, now, D(0))
    found = spend.spend(ledger, D(0), [METER], reading({at(20): 1e6}, now), PRICES, created)
    assert found.young
    assert found.to_date == D("0.625")
    assert spend.as_money(shape(), found).actual is None


def test_means_count_with_their_hours_and_from_when_the_instance_was_made() -> None:
    query = Query("AWS/RDS", "ServerlessDatabaseCapacity", (("DBInstanceIdentifier", "a"),), "Average", DAY)
    meter = Meter("capacity of a", "aurora.serverless", (query,), How.HOURS, since=at(10, 18))
    now = at(12, 6)
    points = Reading(now, {query: (Point(at(10), 2.0), Point(at(11), 1.0), Point(at(12), 0.5))})
    found = spend.spend(spend.advanced(None, at(1), now, D(0)), D(0), [meter], points, PRICES, at(1))
    assert found.to_date == (6 * D(2) + 24 * D(1) + 6 * D("0.5")) * D("0.12")


def test_a_volume_counts_with_its_part_of_the_month() -> None:
    query = Query("AWS/RDS", "VolumeBytesUsed", (("DBClusterIdentifier", "a"),), "Average", DAY)
    meter = Meter("storage", "aurora.storage", (query,), How.MONTHS, D(1) / 2**30)
    now = at(16)
    points = Reading(now, {query: tuple(Point(at(d), 720.0 * 2**30) for d in range(1, 16))})
    found = spend.spend(spend.advanced(None, None, now, D(0)), D(0), [meter], points, PRICES, None)
    assert found.to_date == 360 * D("0.10"), "half of the month"
    assert found.forecast == pytest.approx(D(72))


def test_what_has_no_price_is_named_and_no_pace_is_told() -> None:
    meter = Meter("on-demand writes", "dynamodb.standard.nothing", (WRITES,), How.COUNT)
    now = at(11)
    found = spend.spend(spend.advanced(None, None, now, D(0)), D(0), [meter], reading({at(3): 1e6}, now), PRICES, None)
    assert found.missing == ("on-demand writes: no price of dynamodb.standard.nothing in us-east-1 is known",)
    assert spend.as_money(shape(), found).actual is None


def found(to_date: str, forecast: str, hour: int = 0, **more: Any) -> Spend:
    amounts = D(to_date), D(forecast), D(forecast)
    return Spend(at(11, hour), *amounts, lines=((TIMED, D(to_date)),), source="CloudWatch", **more)


def told(known: dict[str, Any], what: Spend, *, now: bool = False) -> dict[str, Any]:
    estimate = {"monthlyEstimate": "100.00", "basis": "Estimate"}
    return spend.told(estimate, known, what, D("0.0146"), now=now)


def test_it_is_told_with_the_estimate_beside_it() -> None:
    cost = told({}, found("40", "112"))
    assert cost["monthlyEstimate"] == "100.00"
    assert (cost["monthToDate"], cost["forecast"], cost["pace"]) == ("40.00", "112.00", "112.00")
    assert cost["againstEstimate"] == "+12 %"
    assert cost["measuredAt"] == "2026-11-11T00:00:00Z"
    assert cost["watching"] == "0.0146"
    assert cost["spent"] == [{"name": TIMED, "amount": "40.00"}]


@pytest.mark.parametrize(
    ("what", "again"),
    [
        (found("40.30", "112.9", 12), False),
        (found("41", "112", 3), False),
        (found("41", "112", 6), True),
        (found("45", "112", 0), False),
        (found("45", "112", 1), True),
        (found("40", "125", 1), True),
        (found("400", "112", 1, young=True), False),
    ],
)
def test_amounts_that_grow_by_themselves_are_not_told_all_the_time(what: Spend, again: bool) -> None:
    first = told({}, found("40", "112"))
    assert (told(first, what) != first) is again


def test_who_asks_is_told_what_moved_by_one_percent() -> None:
    first = told({}, found("40", "112"))
    assert told(first, found("40.30", "112", 1), now=True) == first
    assert told(first, found("41", "112", 1), now=True)["monthToDate"] == "41.00"


def test_an_hour_old_database_is_told_of_only_when_somebody_asks() -> None:
    new = found("0.40", "999", young=True)
    assert told({}, new) == {"monthlyEstimate": "100.00", "basis": "Estimate"}
    cost = told({}, new, now=True)
    assert cost["monthToDate"] == "0.40"
    assert "forecast" not in cost


def test_less_than_a_cent_is_nothing() -> None:
    first = told({}, found("0.01", "0.05"))
    assert told(first, found("0.014", "0.058", 23)) == first
    assert told(first, found("0.02", "0.05", 23)) != first


def test_what_could_not_be_read_leaves_the_amounts_and_says_why() -> None:
    first = told({}, found("40", "112"))
    why = "CloudWatch could not be read: AWS denies cloudwatch:GetMetricData"
    blind = Spend(at(11, 1), D(1), D(1), D(1), source=why, unread=True)
    cost = told(first, blind)
    assert (cost["monthToDate"], cost["spendSource"]) == ("40.00", why)
    assert told({}, blind) == {"monthlyEstimate": "100.00", "basis": "Estimate", "spendSource": why}
    assert spend.as_money(shape(INSTANCE), blind).spent is None


def test_another_process_goes_on_from_what_the_object_says() -> None:
    cost = told({}, found("40", "112"))
    ledger = spend.remembered(cost, at(12))
    assert ledger is not None
    assert spend.advanced(ledger, at(1), at(12), D(1)).timed == D(64)
    assert spend.remembered(cost, at(1, month=12)) is None, "of another month"
    assert spend.remembered({**cost, "measuredAt": "2027-01-01T00:00:00Z"}, at(12)) is None, "of the future"
    for broken in ({}, {"measuredAt": "x"}, {**cost, "spent": [{"name": TIMED, "amount": "x"}]}, {**cost, "spent": 3}):
        assert spend.remembered(broken, at(12)) is None
