"""AWS's price list as the operator reads it from the lab's endpoint, and every list that it must not take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.aws import pricing
from penstock.aws.account import Account
from penstock.cost.book import PriceBook
from penstock.cost.prices import bundled
from penstock_lab.aws.client import LabAWS

REGION = "us-east-1"


@pytest.fixture
async def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALAB")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = Account(REGION)
    yield made
    made.close()


async def test_the_list_is_read_page_by_page_and_says_the_same_as_the_catalogue_that_it_is_of(
    account: Account, lab: LabAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pricing, "_PAGE", 30)
    book = PriceBook(account)
    assert not book.of(REGION).settled
    assert book.of(REGION).source.startswith("Bundled 20")
    await book.refresh(REGION)
    live, ours = book.of(REGION), bundled(REGION)
    assert live.settled
    assert live.source == f"PriceList {datetime.now(UTC):%Y-%m-%d}"
    assert live.note == ""
    assert {k: p.each for k, p in live.prices.items()} == {k: p.each for k, p in ours.prices.items()}
    assert live.prices["aurora.instance.db.r7g.large"].page.startswith("AWS Price List API, GetProducts, AmazonRDS")
    assert "not in AWS's price list" in live.prices["dynamodb.contributor-insights"].doubt
    assert lab.calls()["counts"]["pricing.GetProducts"] >= 6, "page by page"


async def test_a_region_that_has_no_list_is_cut_and_has_no_prices(account: Account) -> None:
    book = PriceBook(account)
    await book.refresh("eu-west-1")
    found = book.of("eu-west-1")
    assert found.prices == {}
    assert "no price for eu-west-1 was found" in found.note


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "error", "code": "AccessDeniedException", "status": 400}, "AWS denies pricing:GetProducts: allow it"),
        ({"kind": "throttle"}, "AWS throttles pricing:GetProducts"),
        ({"kind": "error", "code": "InternalErrorException", "status": 500}, "AWS fails on its side"),
        ({"kind": "drop"}, "AWS cannot be reached (pricing:GetProducts"),
    ],
)
async def test_without_the_list_the_bundled_prices_are_used_and_it_is_said(
    account: Account, lab: LabAWS, fault: dict[str, Any], says: str
) -> None:
    lab.add_fault(operation="GetProducts", **fault)
    book = PriceBook(account)
    await book.refresh(REGION)
    found = book.of(REGION)
    assert found.settled
    assert found.source == bundled(REGION).source
    assert found.note.startswith("AWS's price list was not taken: ")
    assert says in found.note


def product(edit: Callable[[dict[str, Any]], Any]) -> Callable[[list[str]], list[str]]:
    """Every product of a page edited; one for which edit gives False is left out."""

    def change(page: list[str]) -> list[str]:
        found = []
        for text in page:
            entry = json.loads(text)
            if edit(entry) is not False:
                found.append(json.dumps(entry))
        return found

    return change


def dimensions(entry: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (d for term in entry["terms"]["OnDemand"].values() for d in term["priceDimensions"].values())


def usage(entry: dict[str, Any]) -> str:
    return str(entry["product"]["attributes"]["usagetype"])


def priced(amount: str, only: str = "") -> Callable[[list[str]], list[str]]:
    def edit(entry: dict[str, Any]) -> None:
        if only in usage(entry):
            for dimension in dimensions(entry):
                dimension["pricePerUnit"] = {"USD": amount}

    return product(edit)


def in_euros(entry: dict[str, Any]) -> None:
    for dimension in dimensions(entry):
        dimension["pricePerUnit"] = {"EUR": dimension["pricePerUnit"]["USD"]}


def millionfold(entry: dict[str, Any]) -> None:
    for dimension in dimensions(entry):
        if "RequestUnits" in usage(entry):
            dimension["pricePerUnit"]["USD"] = str(float(dimension["pricePerUnit"]["USD"]) * 10**6)


BAD: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "empty": (lambda page: [], "no price for us-east-1 was found"),
    "cut in the middle of a product": (lambda page: [page[0][:100], *page[1:]], "cannot be read"),
    "no JSON": (lambda page: ["<html>"], "cannot be read"),
    "a list instead of a product": (lambda page: ["[]"], "cannot be read"),
    "a product without terms": (product(lambda e: e.pop("terms") and None), "cannot be read"),
    "terms of another type": (product(lambda e: e.update(terms="x")), "cannot be read"),
    "without storage": (product(lambda e: "Storage" not in usage(e)), "is cut: it has no dynamodb.standard.storage"),
    "without instances": (product(lambda e: "InstanceUsage" not in usage(e)), "is cut: it has no aurora.instance"),
    "stale": (product(lambda e: e.update(publicationDate="2024-01-01T00:00:00Z")), "too old to be in force"),
    "of the day after tomorrow": (
        product(lambda e: e.update(publicationDate=f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}")),
        "is of 20",
    ),
    "in euros": (product(in_euros), "no price for us-east-1 was found"),
    "words for prices": (priced("free"), "which is no number"),
    "negative": (priced("-1"), "which is no price"),
    "infinite": (priced("Infinity"), "which is no price"),
    "free of charge": (priced("0.0000000000"), "no price for us-east-1 was found"),
    "per million and not per unit": (product(millionfold), "a unit that was misread"),
    "of another region": (
        product(lambda e: e["product"]["attributes"].update(regionCode="us-west-2")),
        "no price for us-east-1 was found",
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_list_that_is_wrong_is_refused_and_the_former_prices_stay(
    account: Account, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    book = PriceBook(account)
    await book.refresh(REGION)
    before = book.of(REGION)
    call, (change, says) = account.call, BAD[what]

    async def changed(*args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = await call(*args, **kwargs)
        return {**answer, "PriceList": change(answer["PriceList"])}

    monkeypatch.setattr(account, "call", changed)
    await book.refresh(REGION)
    after = book.of(REGION)
    assert says in after.note
    assert after.prices == before.prices
    assert after.source == before.source


async def test_a_list_that_loses_a_tenth_of_its_prices_is_cut(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = PriceBook(account)
    await book.refresh(REGION)
    call = account.call

    async def last_page_lost(*args: Any, **kwargs: Any) -> dict[str, Any]:
        answer = await call(*args, **kwargs)
        answer.pop("NextToken", None)
        return {**answer, "PriceList": answer["PriceList"][:40]}

    monkeypatch.setattr(account, "call", last_page_lost)
    await book.refresh(REGION)
    assert "is cut" in book.of(REGION).note
    assert "aurora.instance.db.r7g.large" in book.of(REGION).prices


async def test_without_an_account_the_bundled_prices_are_all_there_is() -> None:
    book = PriceBook()
    await book.refresh(REGION)
    assert book.of(REGION) == bundled(REGION)
