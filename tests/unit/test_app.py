"""The process as a whole: when it counts as ready, and what may end it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from fake_kube import Cluster, FakeKube

from penstock.api import meta
from penstock.app import Operator, Options
from penstock.budget.books import RESOURCE as BUDGETS
from penstock.budget.books import Books
from penstock.dynamo import kind as tables


@pytest.mark.parametrize(("watching", "listed"), [(False, False), (True, False), (False, True), (True, True)])
async def test_a_leader_is_synced_once_it_watches_and_every_kind_was_listed(watching: bool, listed: bool) -> None:
    operator = Operator(Options("eu-west-1"))
    queue = SimpleNamespace(overdue=0, last_activity=0.0)
    loop: Any = SimpleNamespace(store=SimpleNamespace(echo_overdue=0.0), running={}, queue=queue)
    operator._loop, operator._leading = loop, True
    operator._watches, operator._informer = SimpleNamespace(ready=watching), SimpleNamespace(listed=listed)  # type: ignore[assignment]
    assert operator._vitals().synced is (watching and listed)


def table(name: str, **more: Any) -> dict[str, Any]:
    """10 RCU and 10 WCU are 5.69 a month."""
    units = {"mode": "Provisioned", "read": {"units": 10}, "write": {"units": 10}}
    spec = {"key": {"partition": {"name": "id", "type": "String"}}, "capacity": units}
    spec["pointInTimeRecovery"] = {"enabled": False}
    return {
        "apiVersion": meta.API_VERSION,
        "kind": tables.NAME,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
        **more,
    }


@pytest.mark.parametrize("leads", [False, True], ids=["a standby", "a leader that has not listed its objects yet"])
async def test_every_replica_judges_a_creation_by_what_it_reads(leads: bool) -> None:
    cluster = Cluster(clock=lambda: datetime.now(UTC))
    kube = FakeKube(cluster)
    operator = Operator(Options("us-east-1"))
    if leads:
        operator._leading, operator._books = True, Books(kube, {})
    assert await operator._refusal(kube, tables.NAME, table("orders")) == ""
    spec = {"monthlyLimit": "10", "policy": "Hold"}
    cluster.create(BUDGETS, "shop", {"metadata": {"name": "lab"}, "spec": spec})
    assert await operator._refusal(kube, tables.NAME, table("orders")) == ""
    cost = {"monthlyEstimate": "5.69", "basis": "Estimate"}
    cluster.create(tables.RESOURCE, "shop", table("orders", status={"tableArn": "arn", "cost": cost}))
    refused = await operator._refusal(kube, tables.NAME, table("other"))
    assert "CostBudget lab allows $10.00 a month and this would bring it to $11.38: $5.69 is there" in refused
    cluster.create(BUDGETS, "lab", {"metadata": {"name": "lab"}, "spec": {"monthlyLimit": "1", "policy": "Hold"}})
    elsewhere = table("other")
    elsewhere["metadata"]["namespace"] = "other"
    assert await operator._refusal(kube, tables.NAME, elsewhere) == ""


@pytest.mark.parametrize("writing", [0, 1])
async def test_the_lease_is_given_back_only_when_no_write_may_still_have_its_effect(writing: int) -> None:
    released: list[bool] = []

    async def release() -> None:
        released.append(True)

    operator = Operator(Options("eu-west-1"))
    operator._account = SimpleNamespace(writing=writing)  # type: ignore[assignment]
    await operator._release(SimpleNamespace(release=release))  # type: ignore[arg-type]
    assert bool(released) is (writing == 0)
