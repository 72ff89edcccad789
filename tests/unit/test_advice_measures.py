"""What CloudWatch's numbers say of the load, and how they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.advice import asking, measures
from penstock.advice.asking import Advisor, Standing, Subject
from penstock.advice.clusters import Demand, Sleep
from penstock.advice.measures import Member, cluster_queries, table_queries
from penstock.advice.report import Advice, Findings, told
from penstock.api.conditions import Reason
from penstock.aws.series import Point, Query
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.kind import Key

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
MEMBERS = [Member("shop-1", "db.r6g.large", True), Member("shop-2", "db.r6g.large", False)]


def hourly(values: Iterable[float], now: datetime = NOW) -> tuple[Point, ...]:
    found = list(values)
    return tuple(Point(now - timedelta(hours=len(found) - n), v) for n, v in enumerate(found))


def series(days: int = 14, **values: Any) -> dict[Query, Sequence[Point]]:
    """Of both instances and the volume; a value that is a number stands for all hours."""
    found: dict[Query, Sequence[Point]] = {}
    for query in cluster_queries("shop", MEMBERS):
        value = values.get(f"{query.metric}_{query.stat}", values.get(query.metric))
        if value is not None:
            found[query] = hourly(value if isinstance(value, list) else [value] * (24 * days))
    return found


def read(days: int = 14, members: Sequence[Member] = MEMBERS, probed: bool = False, **values: Any) -> measures.Measured:
    return measures.cluster("shop", members, series(days, **values), NOW, Demand(ceiling=Decimal(8)), probed=probed)


def test_the_load_of_a_cluster() -> None:
    found = read(
        CPUUtilization_Average=10,
        CPUUtilization_Maximum=[*([20] * 333), 99, 99, 99],
        FreeableMemory=2 * 2**30,
        DatabaseConnections=[40] * 335 + [90],
        VolumeReadIOPs=3600,
        VolumeWriteIOPs=7200,
        VolumeBytesUsed=50 * 2**30,
    )
    demand = found.demand
    assert demand is not None
    assert demand.writer is not None
    # 10 % and 20 % of two vCPUs; the three hours at 99 % are accidents. 0.2 vCPUs at 70 % are 0.2 / 0.7 * 4 ACUs.
    assert (demand.writer.cpu_mean, demand.writer.cpu) == (Decimal("0.2"), Decimal("0.4"))
    assert demand.writer.capacity_mean == Decimal("1.1429")
    assert demand.writer.connections == 40
    assert demand.readers.cpu == Decimal("0.4")
    # 14 GiB in use, of which the page cache has 68 % of 16.
    assert demand.memory == Decimal("3.12")
    # 1 read and 2 writes a second.
    assert demand.io == Decimal("3")
    assert demand.storage == 50 * 2**30
    assert demand.ceiling == 8
    assert demand.sleep is None


def test_too_little_is_too_little() -> None:
    assert read(2, CPUUtilization=5).demand is None
    assert read(3, CPUUtilization=5).demand is not None
    assert read(14, DatabaseConnections=5).demand is None, "without its processor nothing is known"
    assert measures.cluster("shop", MEMBERS, {}, NOW, Demand()).span == timedelta()


def test_a_serverless_cluster_tells_its_capacity() -> None:
    members = [Member("shop-1", "db.serverless", True)]
    found: dict[Query, Sequence[Point]] = {}
    for query in cluster_queries("shop", members):
        level = {"ServerlessDatabaseCapacity": {"Average": 1.5, "Maximum": 6.0}}.get(query.metric, {}).get(
            query.stat, 3.0
        )
        found[query] = hourly([level] * 336)
    demand = measures.cluster("shop", members, found, NOW, Demand()).demand
    assert demand is not None
    assert demand.writer is not None
    assert (demand.writer.capacity_mean, demand.writer.capacity, demand.memory) == (Decimal("1.5"), Decimal(6), None)


def test_nights_without_anybody() -> None:
    def at(hour: datetime) -> float:
        return 0 if hour.hour >= 20 or hour.hour < 6 else 5

    start = NOW - timedelta(days=14)
    values = [at(start + timedelta(hours=h)) for h in range(336)]
    demand = read(CPUUtilization=5, DatabaseConnections=values).demand
    assert demand is not None
    assert demand.sleep is not None
    assert (demand.sleep.schedule, demand.sleep.wake, demand.sleep.awake) == (
        "0 20 * * *",
        "0 6 * * *",
        Decimal(14 * 7) / 168,
    )


def test_the_probe_is_nobody() -> None:
    """Both instances have half of its one connection on average: it follows the writer, wherever that is."""

    def nights(user: float) -> Sleep | None:
        start = NOW - timedelta(days=14)
        hours = [start + timedelta(hours=h) for h in range(336)]
        average = [0.51 + (0.0 if h.hour >= 20 or h.hour < 6 else user) for h in hours]
        found = read(CPUUtilization=5, probed=True, DatabaseConnections_Average=average, DatabaseConnections_Maximum=3)
        assert found.demand is not None
        return found.demand.sleep

    found = nights(1.0)
    assert found is not None
    assert (found.schedule, found.wake) == ("0 20 * * *", "0 6 * * *")
    # Three minutes of an hour are somebody.
    assert nights(0.05 / 2 + 0.01) == found
    every = nights(0.0)
    assert every is not None
    assert every.awake < found.awake
    unprobed = read(CPUUtilization=5, DatabaseConnections_Average=0.5, DatabaseConnections_Maximum=1).demand
    assert unprobed is not None
    assert unprobed.sleep is None


def test_weekends_too() -> None:
    def at(hour: datetime) -> float:
        return 0 if hour.hour >= 20 or hour.hour < 6 or hour.weekday() > 4 else 5

    start = NOW - timedelta(days=14)
    demand = read(CPUUtilization=5, DatabaseConnections=[at(start + timedelta(hours=h)) for h in range(336)]).demand
    assert demand is not None
    assert demand.sleep is not None
    assert (demand.sleep.schedule, demand.sleep.wake) == ("0 20 * * 1-5", "0 6 * * 1-5")
    assert demand.sleep.awake == Decimal(14 * 5) / 168


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 23)), max_size=168))
def test_it_never_sleeps_when_somebody_is_there(busy: set[tuple[int, int]]) -> None:
    start = NOW - timedelta(days=14)
    hours = [start + timedelta(hours=h) for h in range(336)]
    demand = read(CPUUtilization=5, DatabaseConnections=[5.0 * ((h.weekday(), h.hour) in busy) for h in hours]).demand
    assert demand is not None
    if demand.sleep is None:
        return
    from penstock.api.schedules import Hours, Schedule

    asleep = Hours(Schedule(demand.sleep.schedule), Schedule(demand.sleep.wake))
    assert abs(1 - asleep.share - demand.sleep.awake) < Decimal("1e-20")
    # A week from a Monday: every hour in which it sleeps is one in which nobody was there.
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    for number in range(168):
        hour = monday + timedelta(hours=number)
        assert not (asleep.within(hour) and (hour.weekday(), hour.hour) in busy)


# Tables


def five_minutes(values: Iterable[float]) -> tuple[Point, ...]:
    found = list(values)
    return tuple(Point(NOW - timedelta(minutes=5 * (len(found) - n)), v) for n, v in enumerate(found))


def test_the_load_of_a_table() -> None:
    own, index = table_queries("orders", ["by-status"])[:2], table_queries("orders", ["by-status"])[2:]
    # 300 units each five minutes are one a second; one of them has ten times as much.
    data = {
        own[0]: five_minutes([300.0] * 4031 + [3000.0]),
        own[1]: five_minutes([30.0] * 4032),
        index[1]: five_minutes([30.0] * 4032),
    }
    found = measures.table("orders", {"by-status": None}, data, None, NOW)
    assert found.span == timedelta(days=14)
    reads = found.uses[""].read
    assert (reads.mean, reads.peak, len(reads.hours)) == (Decimal("1.0022"), Decimal(10), 336)
    assert max(reads.needed) == 15
    assert found.uses["by-status"].unused
    assert not found.uses[""].unused
    young = measures.table("orders", {"by-status": NOW - timedelta(days=3)}, data, None, NOW)
    assert not young.uses["by-status"].unused, "an index of three days was not unread for fourteen"


def test_a_table_that_nobody_uses_tells_by_its_age() -> None:
    assert measures.table("orders", {}, {}, NOW - timedelta(days=30), NOW).span == timedelta(days=14)
    assert measures.table("orders", {}, {}, NOW - timedelta(hours=5), NOW).span == timedelta(hours=5)
    assert measures.table("orders", {}, {}, None, NOW).span == timedelta()


# Asking


class Cloud:
    """CloudWatch in place of the account's: says what is asked, and fails as told."""

    def __init__(self, trouble: Trouble | None = None) -> None:
        self.trouble = trouble
        self.calls: list[int] = []

    async def read(self, region: str, queries: Sequence[Query], start: datetime, end: datetime, **_: Any) -> Any:
        self.calls.append(len(queries))
        if self.trouble is not None:
            raise self.trouble
        return dict.fromkeys(queries, ())


def subject(number: int, queries: int, standing: Standing | None = None, why: str = "so") -> Subject:
    found = tuple(
        Query("AWS/RDS", f"m{n}", (("DBInstanceIdentifier", str(number)),), "Sum", 3600) for n in range(queries)
    )
    return Subject(
        Key("AuroraCluster", "shop", str(number)),
        "us-east-1",
        1,
        standing or Standing(),
        found,
        lambda *_: Findings("", why=why),
    )


async def ask(cloud: Cloud, subjects: list[Subject]) -> list[Key]:
    woken: list[Key] = []
    advisor = Advisor.__new__(Advisor)
    advisor._metrics, advisor._every, advisor._subjects = cloud, 86400.0, lambda: subjects  # type: ignore[assignment]
    await advisor.once(woken.append, NOW)
    return woken


async def test_many_are_asked_for_together_and_no_answer_is_two_pages() -> None:
    cloud = Cloud()
    subjects = [subject(n, 13) for n in range(100)]
    assert len(await ask(cloud, subjects)) == 100
    # 300 metrics of 336 hours are the 100,800 values of a page.
    assert max(cloud.calls) <= 300
    assert len(cloud.calls) == 5
    assert all(not asking.due(s.standing, 1, __import__("time").monotonic()) for s in subjects)


async def test_what_is_the_same_wakes_nobody() -> None:
    standing = Standing()
    assert len(await ask(Cloud(), [subject(1, 3, standing)])) == 1
    assert await ask(Cloud(), [subject(1, 3, standing)]) == []
    assert len(await ask(Cloud(), [subject(1, 3, standing, "otherwise")])) == 1


async def test_a_denial_is_told_and_throttling_is_not() -> None:
    denied = Trouble(Meaning.DENIED, Reason.ACCESS_DENIED, "AWS denies cloudwatch:GetMetricData: allow it.")
    standing = Standing()
    assert len(await ask(Cloud(denied), [subject(1, 3, standing)])) == 1
    assert standing.status(None, 1) == {
        "summary": "Nothing is advised: AWS denies cloudwatch:GetMetricData: allow it.",
        "basis": "",
    }
    throttled = Trouble(Meaning.THROTTLED, Reason.THROTTLED, "Slow.")
    quiet = Standing()
    assert await ask(Cloud(throttled), [subject(1, 3, quiet)]) == []
    assert quiet.status({"summary": "before"}, 1) == {"summary": "before"}


async def test_an_object_that_cannot_be_advised_on_keeps_no_other_from_it() -> None:
    def fails(*_: Any) -> Findings:
        raise ArithmeticError("a defect")

    bad = Subject(Key("AuroraCluster", "shop", "bad"), "us-east-1", 1, Standing(), subject(1, 2).queries, fails)
    assert [k.name for k in await ask(Cloud(), [bad, subject(2, 2)])] == ["2"]


# What stands on the object


def findings(monthly: str, saving: str, words: str = "1 × db.t4g.medium in place of 1 × db.r6g.large") -> Findings:
    item = Advice("Cheapest", words, Decimal(monthly), Decimal(saving), "Small.", ("load: little",), {"spec": {}})
    return Findings("metrics of 14 days", Decimal(monthly) + Decimal(saving), (item,))


def test_a_hair_more_or_less_is_not_written() -> None:
    first = told(findings("100", "50"), None)
    assert first["saving"] == "50.00"
    assert told(findings("100.4", "50.2"), first) == first
    assert told(findings("110", "40"), first) != first
    assert told(findings("100", "50", "other words"), first) != first
    assert told(Findings("metrics of 14 days", Decimal(150)), first) != first


@pytest.mark.parametrize(
    "known", [{}, {"items": [{}]}, {"items": "x"}, {"monthly": "many", "basis": "metrics of 14 days"}]
)
def test_what_somebody_else_wrote_there_is_replaced(known: dict[str, Any]) -> None:
    assert told(findings("100", "50"), known)["saving"] == "50.00"
