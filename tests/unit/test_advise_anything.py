"""`penstock advise` over whatever manifests the models take: an answer or a sentence, never an exception."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import aurora_specs
import dynamo_specs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.advise import _answer

TODAY = date(2026, 11, 28)
budgets = st.one_of(st.none(), st.decimals(0, 10**9, places=2))
rates = st.one_of(st.integers(0, 10**9), st.floats(0, 10**9, allow_nan=False))
sizes = st.sampled_from(["0", "1", "1Ki", "10Gi", "999Ti", "1Ei"])


def answer(kind: str, spec: dict[str, Any], budget: Decimal | None, storage: Decimal | None) -> dict[str, Any]:
    body = {"apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": {"name": "orders"}, "spec": spec}
    return _answer(body, "us-east-1", budget, storage, TODAY)


def _whole(found: dict[str, Any], budget: Decimal | None) -> None:
    if "problems" in found:
        assert all(isinstance(p, str) and p for p in found["problems"])
        return
    assert found["fits"] or found["gives"] or found["nearest"] is None or budget is not None
    for shape in found["fits"]:
        assert budget is None or Decimal(shape["monthly"]) <= budget + Decimal("0.005")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    aurora_specs.specs(),
    budgets,
    budgets,
    st.fixed_dictionaries(
        {}, optional={"storage": sizes, "ioPerSecond": rates, "averageCapacity": st.sampled_from([0, 0.5, 3, 256])}
    ),
)
def test_any_cluster(
    spec: dict[str, Any], budget: Decimal | None, storage: Decimal | None, usage: dict[str, Any]
) -> None:
    _whole(answer("AuroraCluster", {**spec, "cost": {"expectedUsage": usage}}, budget, storage), budget)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    dynamo_specs.specs(),
    budgets,
    budgets,
    st.fixed_dictionaries(
        {}, optional={"storage": sizes, "readsPerSecond": rates, "writesPerSecond": rates, "itemSize": sizes}
    ),
)
def test_any_table(
    spec: dict[str, Any], budget: Decimal | None, storage: Decimal | None, usage: dict[str, Any]
) -> None:
    _whole(answer("DynamoTable", {**spec, "cost": {"expectedUsage": usage}}, budget, storage), budget)


@pytest.mark.parametrize(
    "instances",
    [
        {},
        {"readers": 3},
        {
            "class": "db.serverless",
            "serverless": {"minCapacity": 1, "maxCapacity": 8},
            "overrides": [{"ordinal": 2, "class": "db.r6g.large"}],
            "readers": 1,
        },
    ],
)
def test_a_cluster_that_is_adopted_or_mixed(instances: dict[str, Any]) -> None:
    found = answer(
        "AuroraCluster", {"adopt": True, "engine": {"type": "AuroraMySQL"}, "instances": instances}, Decimal(100), None
    )
    _whole(found, Decimal(100))
