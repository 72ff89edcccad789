"""Times that come again: held against a clock that is looked at every minute, on the days on which the clocks change above all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.schedules import Hours, Schedule

BERLIN = "Europe/Berlin"
ZONES = (
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "UTC",
    "Africa/Casablanca",
)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def nightly(zone: str = BERLIN, begin: str = "0 20 * * 1-5", end: str = "0 7 * * 1-5") -> Hours:
    return Hours(Schedule(begin, zone), Schedule(end, zone))


def test_the_hours_of_working_days() -> None:
    hours = nightly()
    # 2026-11-27 is a Friday.
    assert not hours.within(at("2026-11-27T19:59", BERLIN))
    assert hours.changes(at("2026-11-27T19:59", BERLIN)) == at("2026-11-27T20:00", BERLIN)
    assert hours.within(at("2026-11-27T20:00", BERLIN))
    assert hours.within(at("2026-11-29T12:00", BERLIN))
    assert hours.changes(at("2026-11-28T03:00", BERLIN)) == at("2026-11-30T07:00", BERLIN)
    assert not hours.within(at("2026-11-30T07:00", BERLIN))


def test_the_share_of_a_week() -> None:
    # Four nights of eleven hours, and from Friday 20:00 to Monday 07:00: 44 + 59 of 168.
    assert nightly().share == Decimal(44 + 59) / 168
    assert Hours(Schedule("0 0 1 * *"), Schedule("0 0 2 * *")).share == Decimal(48) / 1461


def test_a_tie_is_the_end() -> None:
    assert nightly(begin="0 7 * * *", end="00 07 * * *").share == 0
    assert nightly(begin="0 7 * * *", end="00 07 * * *").changes(at("2026-11-27T19:59")) is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        # The clocks go from 02:00 to 03:00 on 2026-03-29: what is due at 02:30 comes at 03:00.
        ("2026-03-28T12:00", "2026-03-29T03:00"),
        ("2026-03-29T12:00", "2026-03-30T02:30"),
    ],
)
def test_the_hour_that_is_left_out(moment: str, expected: str) -> None:
    assert Schedule("30 2 * * *", BERLIN).after(at(moment, BERLIN)) == at(expected, BERLIN)


def test_the_hour_that_comes_twice() -> None:
    daily = Schedule("30 2 * * *", BERLIN)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert daily.after(datetime(2026, 10, 25, 0, 29, tzinfo=UTC)) == first
    # 02:15 for the second time: the occurrence of the first time is over.
    assert daily.after(datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == at("2026-10-26T02:30", BERLIN)
    assert daily.last(datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == first


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(str)


expressions = st.builds(
    lambda minute, hour, days: f"{minute} {hour} * * {days}",
    _field(0, 59),
    _field(0, 23),
    st.sampled_from(["*", "1-5", "0,6", "SUN", "MON-FRI", "3"]),
)
# Around the changes of the clocks, and anywhere.
moments = st.one_of(
    st.sampled_from(
        ["2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2026-04-04T15:00"]
    )
    .map(at)
    .flatmap(lambda t: st.integers(-3000, 3000).map(lambda m: t + timedelta(minutes=m))),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),
)


@settings(max_examples=150, deadline=None)
@given(expressions, st.sampled_from(ZONES), moments)
def test_the_next_is_after_and_the_last_is_not(expression: str, zone: str, moment: datetime) -> None:
    found = Schedule(expression, zone)
    following, before = found.after(moment), found.last(moment)
    assert before <= moment < following
    # There is nothing between the two, and each knows the other.
    assert found.last(following - timedelta(seconds=1)) == before
    assert found.after(before) == following
    assert found.last(following) == following


@settings(max_examples=100, deadline=None)
@given(expressions, st.sampled_from(ZONES), moments)
def test_it_comes_once_on_every_day_of_its_own(expression: str, zone: str, moment: datetime) -> None:
    found = Schedule(expression.rsplit(" ", 1)[0] + " *", zone)
    day = moment.astimezone(found.zone).date()
    times = [moment - timedelta(days=2)]
    while times[-1] < moment + timedelta(days=3):
        times.append(found.after(times[-1]))
    days = [t.astimezone(found.zone).date() for t in times[1:]]
    # Midnight may be left out too (Santiago): then it comes at one o'clock, of the same day.
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert day in days


@settings(max_examples=60, deadline=None)
@given(expressions, expressions, st.sampled_from(ZONES), moments)
def test_hours_change_when_they_say_and_not_before(begin: str, end: str, zone: str, moment: datetime) -> None:
    hours = Hours(Schedule(begin, zone), Schedule(end, zone))
    changes = hours.changes(moment)
    if changes is None:
        assert hours.share in (0, 1)
        return
    assert changes > moment
    assert hours.within(changes) is not hours.within(moment)
    assert hours.within(changes - timedelta(seconds=1)) is hours.within(moment)
    middle = moment + (changes - moment) / 2
    assert hours.within(middle) is hours.within(moment)


@settings(max_examples=60, deadline=None)
@given(expressions, expressions)
def test_the_share_is_what_a_clock_counts(begin: str, end: str) -> None:
    hours = Hours(Schedule(begin), Schedule(end))
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    starts, ends = (_minutes(e, monday) for e in (begin, end))
    inside = hours.within(monday - timedelta(minutes=1))
    counted = 0
    for minute in range(7 * 24 * 60):
        if minute in starts:
            inside = True
        if minute in ends:
            inside = False
        counted += inside
    assert hours.share == Decimal(counted) / (7 * 24 * 60)


def _minutes(expression: str, monday: datetime) -> set[int]:
    minute, hour, _, _, days = expression.split()
    named = {"*": range(7), "1-5": range(5), "MON-FRI": range(5), "0,6": (5, 6), "SUN": (6,), "3": (2,)}[days]
    return {day * 1440 + int(hour) * 60 + int(minute) for day in named}


def test_the_29th_of_february() -> None:
    leap = Schedule("0 0 29 2 *")
    assert leap.after(at("2026-01-01T00:00")) == at("2028-02-29T00:00")
    assert leap.last(at("2028-01-01T00:00")) == at("2024-02-29T00:00")
