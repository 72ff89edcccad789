"""What AWS billed, as Cost Explorer tells it through the lab's endpoint, and every answer that is none."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.aws.account import Account
from penstock.cost.bills import Bills, asked_at
from penstock_lab.aws.client import LabAWS

OWNER = "c1/shop/DynamoTable/orders/u1"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
async def account(endpoint: str, lab: LabAWS, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALAB")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = Account("us-east-1")
    yield made
    made.close()


def bills(endpoint: str, *groups: tuple[str, str, str]) -> None:
    """The next answer of Cost Explorer: (tag's value, amount, unit)."""
    found = [
        {"Keys": [f"penstock.dev/owner${value}"], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": unit}}}
        for value, amount, unit in groups
    ]
    answer = {
        "ResultsByTime": [{"TimePeriod": {"Start": "2026-11-01", "End": "2026-11-29"}, "Total": {}, "Groups": found}],
        "DimensionValueAttributes": [],
    }
    request = urllib.request.Request(
        f"{endpoint}/moto-api/static/ce/cost-and-usage-results",
        data=json.dumps({"results": [answer]}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    assert urllib.request.urlopen(request).status == 201


class Clock:
    """Each test asks about another day: moto goes on giving the same answer to the same question."""

    days = 0

    def __init__(self) -> None:
        Clock.days += 1
        self.now = NOON - timedelta(days=40 * Clock.days)

    def __call__(self) -> datetime:
        return self.now


async def test_what_was_billed_stands_beside_the_owner(account: Account, endpoint: str, lab: LabAWS) -> None:
    bills(endpoint, (OWNER, "12.3456", "USD"), ("", "99", "USD"))
    clock = Clock()
    book = Bills(account, lambda: None, clock)
    await book.ask()
    cost = book.onto({"monthlyEstimate": "20.00"}, OWNER)
    assert cost["billed"] == "12.35"
    assert cost["billedAt"] == f"{clock.now:%Y-%m-%dT%H:%M:%SZ}"
    assert book.onto({"a": "b"}, "somebody else") == {"a": "b"}
    assert lab.calls()["counts"]["ce.GetCostAndUsage"] == 1


async def test_less_than_one_percent_is_not_told_again(account: Account, endpoint: str) -> None:
    bills(endpoint, (OWNER, "100", "USD"))
    clock = Clock()
    book = Bills(account, lambda: None, clock)
    await book.ask()
    first = book.onto({}, OWNER)
    clock.now += timedelta(days=1)
    bills(endpoint, ("other", "5", "USD"), (OWNER, "100.9", "USD"))
    await book.ask()
    book.onto({}, "other")
    assert book.onto(first, OWNER) == first
    clock.now += timedelta(days=1)
    bills(endpoint, (OWNER, "102", "USD"))
    await book.ask()
    assert book.onto(first, OWNER)["billed"] == "102.00"


async def test_one_object_says_when_it_was_asked_though_nothing_moved_so_that_a_restart_asks_no_sooner(
    account: Account, endpoint: str
) -> None:
    bills(endpoint, (OWNER, "100", "USD"), ("other", "5", "USD"))
    clock = Clock()
    clock.now = clock.now.replace(day=14)
    book = Bills(account, lambda: None, clock)
    await book.ask()
    told = {owner: book.onto({}, owner) for owner in (OWNER, "other")}
    clock.now += timedelta(days=1)
    bills(endpoint, (OWNER, "100", "USD"), ("other", "5", "USD"))
    await book.ask()
    again = {owner: book.onto(told[owner], owner) for owner in (OWNER, "other")}
    assert [again[owner] != told[owner] for owner in (OWNER, "other")] == [True, False], "one write a day"
    assert asked_at(again[OWNER]) == clock.now.replace(microsecond=0)
    assert {owner: book.onto(again[owner], owner) for owner in again} == again
    assert [asked_at({"billedAt": text}) for text in ("soon", 7, None)] == [None] * 3


@pytest.mark.parametrize(
    ("amount", "unit", "says"),
    [("5", "EUR", "only US dollars"), ("NaN", "USD", "only US dollars"), ("x", "USD", "cannot be read")],
)
async def test_an_answer_that_is_none_is_noted(
    account: Account, endpoint: str, amount: str, unit: str, says: str
) -> None:
    bills(endpoint, (OWNER, amount, unit))
    book = Bills(account, lambda: None, Clock())
    await book.ask()
    assert says in book.note
    assert book.onto({}, OWNER) == {}


async def test_a_right_that_lacks_is_noted(account: Account, lab: LabAWS) -> None:
    lab.add_fault(kind="error", operation="GetCostAndUsage", code="AccessDeniedException", status=400)
    book = Bills(account, lambda: None, Clock())
    await book.ask()
    assert book.note.startswith("Cost Explorer could not be read: AWS denies ce:GetCostAndUsage: allow it")
