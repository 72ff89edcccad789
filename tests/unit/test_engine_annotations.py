"""The annotations that tell the cost: with the finalizer at first, then at most hourly, and only when the amount moved by more than 1 %."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_harness import Bench, Things, operating
from virtual_time import virtual

from penstock.api.meta import COST_BASIS, COST_DELTA, MONTHLY_COST
from penstock.engine.annotations import CostAnnotations, pending
from penstock.engine.kind import Key, Money
from penstock.engine.plan import Step, When

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = Key("Thing", "shop", "a")


def costs(bench: Bench, name: str = "a") -> dict[str, str]:
    found = bench.get(name)["metadata"].get("annotations") or {}
    return {k: v for k, v in found.items() if "cost" in k}


def priced(**amounts: str) -> Things:
    things = Things()
    things.cost = {name: Money(Decimal(amount), "Estimate") for name, amount in amounts.items()}
    return things


@virtual
async def test_the_first_cost_goes_with_the_finalizer_and_an_idle_object_is_not_written() -> None:
    things = priced(a="53.29")
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        assert costs(bench) == {MONTHLY_COST: "53.29", COST_BASIS: "Estimate"}
        # The watch tells subresources apart by their name.
        assert len([w for w in bench.writes() if "status" not in w]) == 1
        written = len(bench.kube.writes)
        await asyncio.sleep(7200)
        assert len(bench.kube.writes) == written


@virtual
async def test_a_price_that_moves_is_told_hourly_and_not_for_one_percent() -> None:
    things = priced(a="100.00")
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        things.cost["a"] = Money(Decimal("150.00"), "Estimate")
        await asyncio.sleep(3000)
        assert costs(bench)[MONTHLY_COST] == "100.00"
        await asyncio.sleep(1000)
        assert costs(bench)[MONTHLY_COST] == "150.00"
        things.cost["a"] = Money(Decimal("151.00"), "Estimate")
        written = len(bench.kube.writes)
        await asyncio.sleep(20000)
        assert len(bench.kube.writes) == written


@virtual
async def test_an_operator_that_starts_again_writes_nothing_of_what_is_told() -> None:
    things = priced(a="53.29")
    bench = Bench([things])
    async with operating(bench):
        bench.create("a")
        await asyncio.sleep(2)
    async with operating(Bench([things], bench.cluster)) as again:
        await asyncio.sleep(700)
        assert again.writes() == []


@virtual
async def test_a_cost_that_somebody_takes_away_comes_back() -> None:
    things = priced(a="53.29")
    async with operating(Bench([things])) as bench:
        bench.create("a")
        await asyncio.sleep(2)
        bench.annotate("a", monthly_cost_usd=None, team="shop")
        await asyncio.sleep(4000)
        assert costs(bench)[MONTHLY_COST] == "53.29"
        assert bench.get("a")["metadata"]["annotations"]["penstock.dev/team"] == "shop"


def due(
    have: dict[str, Any], money: Money | None, adds: str = "0", after: float | None = None
) -> dict[str, str | None]:
    told = CostAnnotations()
    if after is not None:
        told.wrote(KEY, NOW - timedelta(minutes=after))
    return told.due(KEY, {"metadata": {"annotations": have}}, money, Decimal(adds), NOW)


TOLD = {MONTHLY_COST: "53.29", COST_BASIS: "Estimate"}
SAME = Money(Decimal("53.29"), "Estimate")


@pytest.mark.parametrize(
    ("have", "money", "adds", "wanted"),
    [
        ({}, SAME, "0", TOLD),
        (TOLD, SAME, "0", {}),
        (TOLD, None, "0", {}),
        (TOLD, SAME, "53.29", {COST_DELTA: "+53.29"}),
        ({**TOLD, COST_DELTA: "+53.29"}, SAME, "-10", {COST_DELTA: "-10.00"}),
        ({**TOLD, COST_DELTA: "+53.29"}, SAME, "0", {COST_DELTA: None}),
        (TOLD, Money(Decimal("53.30"), "Estimate"), "0", {}),
        (TOLD, Money(Decimal("53.29"), "Partial"), "0", {COST_BASIS: "Partial"}),
        (TOLD, Money(None, "Partial"), "0", {MONTHLY_COST: None, COST_BASIS: None}),
        ({}, Money(None, "Partial"), "0", {}),
        ({**TOLD, MONTHLY_COST: "cheap"}, SAME, "0", {MONTHLY_COST: "53.29"}),
        ({**TOLD, MONTHLY_COST: "NaN"}, SAME, "0", {MONTHLY_COST: "53.29"}),
        (
            {MONTHLY_COST: "0.00", COST_BASIS: "Estimate"},
            Money(Decimal("0.01"), "Estimate"),
            "0",
            {MONTHLY_COST: "0.01"},
        ),
    ],
)
def test_what_is_due(have: dict[str, Any], money: Money | None, adds: str, wanted: dict[str, Any]) -> None:
    assert due(have, money, adds) == wanted


def test_nothing_is_due_within_an_hour() -> None:
    assert due({}, SAME, after=59) == {}
    assert due({}, SAME, after=60) == TOLD


def test_only_what_waits_is_told_as_the_difference_to_come() -> None:
    steps = [
        Step("rds", "CreateDBInstance", {}, "now", cost_delta=Decimal(5)),
        Step("rds", "ModifyDBInstance", {}, "later", when=When.MAINTENANCE_WINDOW, cost_delta=Decimal(10)),
        Step("rds", "ModifyDBCluster", {}, "unknown", when=When.AFTER_CONSENT),
    ]
    assert pending(steps, run=True) == 10
    assert pending(steps, run=False) == 15


def test_a_step_shows_what_it_adds_and_keeps_silent_of_nothing() -> None:
    step = Step("rds", "CreateDBInstance", {}, "make instance b", cost_delta=Decimal("53.29"))
    assert step.as_status()["costDelta"] == "+$53.29/month"
    for nothing in (None, Decimal(0), Decimal("0.001")):
        assert "costDelta" not in Step("rds", "x", {}, "y", cost_delta=nothing).as_status()
