"""Prices, spend, bills and advice: what nobody foresaw in one region keeps no other one waiting, and nothing holds the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from virtual_time import virtual

from penstock.advice.asking import Advisor, Standing, Subject
from penstock.advice.report import Findings
from penstock.aws import costexplorer
from penstock.aws.series import Query
from penstock.cost.bills import Bills
from penstock.cost.book import PriceBook
from penstock.cost.estimate import Estimate
from penstock.cost.meters import Meters
from penstock.cost.spend import How, Meter
from penstock.engine.kind import Key

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
# The one that fails comes first.
BAD, GOOD = "ap-east-1", "eu-west-1"


class Account:
    """Answers that make the reader stumble in one region."""

    region = GOOD

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, service: str, operation: str, *_: Any, **more: Any) -> dict[str, Any]:
        raise LookupError(f"{service} in {more}")


def account() -> Any:
    return Account()


@virtual
async def test_every_region_is_asked_for_its_prices_whatever_one_answers() -> None:
    book = PriceBook(account())
    for region in (BAD, GOOD):
        book.of(region)
    task = asyncio.create_task(book.run())
    await asyncio.sleep(1)
    assert not task.done()
    for region in (BAD, GOOD):
        assert book.of(region).settled
        assert "LookupError" in book.of(region).note
    task.cancel()


def test_nothing_is_kept_of_a_region_that_somebody_invented() -> None:
    book = PriceBook(account())
    for number in range(1, 100):
        assert not book.of(f"xx-invented-{number}").prices
    assert book._regions == {}


async def test_what_is_used_is_read_in_every_region_whatever_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = Meters(account(), PriceBook(), clock=lambda: NOW)
    queries = {
        region: Query("AWS/DynamoDB", "Consumed", (("TableName", region),), "Sum", 86400) for region in (BAD, GOOD)
    }

    async def read(region: str, asked: Any, *_: Any, **__: Any) -> Mapping[Query, list[Any]]:
        if region == BAD:
            raise LookupError("one unrelated record")
        return {query: [] for query in asked}

    monkeypatch.setattr(meters._metrics, "read", read)
    for region in (BAD, GOOD):
        known = [Meter("Reads", "dynamodb.standard.read-request", (queries[region],), How.COUNT)]
        meters.spend(Key("DynamoTable", "shop", region), region, NOW, Estimate((), (), (), ""), known, {}, NOW)
    await meters.read()
    found = {key.name: entry for key, entry in meters._known.items()}
    assert found[GOOD].reading is not None
    assert "LookupError" in found[BAD].note


async def test_a_bill_that_cannot_be_read_is_not_asked_for_again_before_its_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def billed(*_: Any) -> Any:
        raise LookupError("an answer that nobody foresaw")

    monkeypatch.setattr(costexplorer, "billed", billed)
    bills = Bills(account(), lambda: None)
    await bills.ask()
    assert "LookupError" in bills.note


async def test_a_search_does_not_hold_the_event_loop() -> None:
    def searches(*_: Any) -> Findings:
        time.sleep(0.5)
        return Findings("", why="Nothing better.")

    subject = Subject(Key("AuroraCluster", "shop", "a"), GOOD, 1, Standing(), (), searches)
    advisor = Advisor(account(), 86_400, lambda: [])
    woken: list[Key] = []

    async def read(*_: Any, **__: Any) -> Any:
        return {}

    advisor._metrics.read = read  # type: ignore[method-assign]
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    await advisor._ask(GOOD, [subject], NOW, woken.append)
    await asyncio.sleep(0.05)
    watching.cancel()
    assert woken == [subject.key]
    assert longest < 0.25
