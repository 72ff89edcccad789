"""The operator's reads of CloudWatch against the lab's: batches, pages, what is charged, and what AWS refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from penstock.aws.account import Account
from penstock.aws.cloudwatch import BATCH, Metrics, Query
from penstock.engine.errors import Meaning, Trouble
from penstock_lab.aws.client import LabAWS

REGION = "us-east-1"
COUNTER = "penstock_cloudwatch_metrics_requested_total"


def asked() -> float:
    return REGISTRY.get_sample_value(COUNTER, {"region": REGION}) or 0.0


def query(number: int, period: int = 60) -> Query:
    return Query("Penstock/Test", "Used", (("Thing", f"t{number}"),), "Sum", period)


@pytest.fixture
async def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALAB")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = Account(REGION)
    yield made
    made.close()


async def test_more_metrics_than_a_call_takes(account: Account, client: Any, lab: LabAWS) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_data(
        Namespace="Penstock/Test",
        MetricData=[
            {"MetricName": "Used", "Dimensions": [{"Name": "Thing", "Value": f"t{n}"}], "Timestamp": at, "Value": n + 1}
            for n in (0, BATCH, BATCH + 1)
            for at in (start + timedelta(minutes=1), start)
        ],
    )
    before = asked()
    queries = [query(n) for n in range(BATCH + 2)]
    # The same thing asked twice is charged once.
    found = await Metrics(account).read("", [*queries, query(0)], start, start + timedelta(minutes=5))
    assert asked() - before == BATCH + 2
    assert len(found) == BATCH + 2
    assert found[query(BATCH)] == ((start, BATCH + 1), (start + timedelta(minutes=1), BATCH + 1)), "oldest first"
    assert found[query(7)] == (), "nothing is known, which is no error"
    assert lab.calls()["counts"]["cloudwatch.GetMetricData"] == 2


async def test_pages_are_put_together(account: Account, client: Any, lab: LabAWS, monkeypatch: Any) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
    client("cloudwatch").put_metric_data(
        Namespace="Penstock/Test",
        MetricData=[
            {
                "MetricName": "Paged",
                "Dimensions": [{"Name": "Thing", "Value": str(n)}],
                "Timestamp": start + timedelta(minutes=m),
                "Value": 100 * n + m,
            }
            for n in (1, 2, 3)
            for m in range(10)
        ],
    )
    call = account.call

    async def small(service: str, operation: str, parameters: Any = None, **kwargs: Any) -> dict[str, Any]:
        return await call(service, operation, {**parameters, "MaxDatapoints": 7}, **kwargs)

    monkeypatch.setattr(account, "call", small)
    queries = [Query("Penstock/Test", "Paged", (("Thing", str(n)),), "Sum", 60) for n in (1, 2, 3)]
    found = await Metrics(account).read(REGION, queries, start, start + timedelta(minutes=10))
    assert [[p.value for p in found[q]] for q in queries] == [[100 * n + m for m in range(10)] for n in (1, 2, 3)]


async def test_what_fails_is_told_by_its_meaning(account: Account, lab: LabAWS) -> None:
    now = datetime.now(UTC)
    for error, status, meaning in (
        ("AccessDenied", 403, Meaning.DENIED),
        ("Throttling", 400, Meaning.THROTTLED),
        ("InternalFailure", 500, Meaning.UNAVAILABLE),
    ):
        lab.clear_faults()
        lab.add_fault(kind="error", operation="GetMetricData", code=error, status=status)
        with pytest.raises(Trouble) as met:
            await Metrics(account).read("", [query(0)], now - timedelta(hours=1), now)
        assert met.value.meaning is meaning
        assert "GetMetricData" in met.value.sentence


async def test_many_values_at_once_are_taken_although_botocore_compresses_them(account: Account, client: Any) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=13)
    hours = [start + timedelta(hours=n) for n in range(300)]
    named = {"MetricName": "Used", "Dimensions": [{"Name": "Thing", "Value": "many"}]}
    data = [{**named, "Timestamp": at, "Value": float(n)} for n, at in enumerate(hours)]
    client("cloudwatch").put_metric_data(Namespace="Penstock/Test", MetricData=data)
    asked = Query("Penstock/Test", "Used", (("Thing", "many"),), "Sum", 3600)
    found = await Metrics(account).read(REGION, [asked], start, start + timedelta(days=13))
    assert [p.value for p in found[asked]] == [float(n) for n in range(300)]
