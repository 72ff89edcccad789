"""A table that hibernates goes down to its floor by the clock and comes back, and nobody is blamed for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cost_specs import index, table
from dynamo_specs import TABLE_KEY
from dynamo_world import Operator, planned, settled

from penstock.api.dynamotable import DynamoTable
from penstock.api.parsing import parse

FIXED = {"mode": "Provisioned", "read": {"units": 100}, "write": {"units": 40}}
SCALED = {"mode": "Provisioned", "read": {"min": 5, "max": 100}, "write": {"units": 40}}


def hours(operator: Operator | None = None, begin: int = 1, end: int = 9) -> dict[str, Any]:
    """Hours that begin and end so many hours after the model's present."""
    now = operator.aws.clock() if operator is not None else datetime(2026, 11, 2, 12)
    return {f: f"0 {(now + timedelta(hours=h)).hour} * * *" for f, h in (("schedule", begin), ("wake", end))}


def hibernating(capacity: dict[str, Any], **spec: Any) -> Operator:
    """Awake, an hour before its hours begin at the most."""
    operator = settled({"capacity": capacity, **{k: v for k, v in spec.items() if k != "floor"}})
    body = operator.body["spec"]
    operator.edit({**body, "hibernation": {**hours(operator), **spec.get("floor", {})}})
    operator.converge()
    operator.performed.clear()
    return operator


def later(operator: Operator, count: float) -> Operator:
    operator.aws.advance(count * 3600)
    operator.converge(hours=1)
    return operator


def units(operator: Operator) -> tuple[int, int]:
    found = operator.aws.describe(operator.table)["ProvisionedThroughput"]
    return found["ReadCapacityUnits"], found["WriteCapacityUnits"]


def caps(operator: Operator) -> tuple[int, int]:
    found = operator.aws.describe(operator.table).get("OnDemandThroughput", {})
    return found.get("MaxReadRequestUnits", -1), found.get("MaxWriteRequestUnits", -1)


def ready(operator: Operator) -> tuple[str, str, str]:
    found = next(c for c in operator.status["conditions"] if c["type"] == "Ready")
    return found["status"], found["reason"], found["message"]


def test_fixed_units_go_down_and_come_back_and_are_no_drift() -> None:
    operator = hibernating(FIXED)
    assert planned(operator).empty
    operator.aws.advance(3600)
    (step,) = planned(operator).steps
    assert (step.summary, step.drift, step.cost) == ("set provisioned units: table 100/40 to 1/1 read/write", "", "")
    later(operator, 0)
    assert units(operator) == (1, 1)
    status, reason, message = ready(operator)
    assert (status, reason) == ("True", "Hibernating")
    assert "it serves requests as far as its floor goes" in message
    assert operator.status["hibernation"]["state"] == "Hibernating"
    later(operator, 8)
    assert units(operator) == (100, 40)
    assert ready(operator)[1] == "Available"
    assert not any(s.drift for s in operator.performed)
    # What somebody changes in between is drift as ever.
    operator.aws.call(
        "dynamodb",
        "UpdateTable",
        {"TableName": operator.table.name, "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 40}},
    )
    operator.aws.advance(60)
    assert "set back" in planned(operator).steps[0].drift


def test_a_floor_of_its_own_for_the_table_and_its_indexes() -> None:
    operator = hibernating(
        FIXED,
        floor={"readUnits": 10, "writeUnits": 500},
        globalIndexes=[index("by-status", "KeysOnly", capacity={"read": {"units": 8}, "write": {"units": 40}})],
    )
    later(operator, 1)
    # Never more than there are outside of the hours.
    assert units(operator) == (10, 40)
    (found,) = operator.aws.describe(operator.table)["GlobalSecondaryIndexes"]
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 8


def test_autoscaling_is_held_to_its_least() -> None:
    operator = hibernating(SCALED)
    later(operator, 1)
    (target,) = operator.aws.targets.values()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 5)
    later(operator, 8)
    (target,) = operator.aws.targets.values()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 100)


def test_on_demand_is_capped_and_the_caps_go_again() -> None:
    operator = hibernating({"mode": "OnDemand", "maxReadUnits": 200})
    later(operator, 1)
    assert caps(operator) == (1, 1)
    later(operator, 8)
    assert caps(operator) == (200, -1)


@pytest.mark.parametrize("capacity", [FIXED, {"mode": "OnDemand"}])
def test_hours_that_are_taken_out_of_the_spec_leave_no_floor_behind(capacity: dict[str, Any]) -> None:
    operator = hibernating(capacity)
    later(operator, 1)
    assert 1 in (*units(operator), *caps(operator))
    operator.edit({k: v for k, v in operator.body["spec"].items() if k != "hibernation"})
    operator.converge(hours=1)
    assert units(operator) == ((100, 40) if capacity is FIXED else units(operator))
    assert caps(operator) == (-1, -1)
    assert "hibernation" not in operator.status


def test_an_annotation_wakes_it() -> None:
    operator = hibernating(FIXED)
    later(operator, 1)
    operator.body = {
        **operator.body,
        "metadata": {**operator.body["metadata"], "annotations": {"penstock.dev/wake": "2h"}},
    }
    object_ = operator.obj
    object_["metadata"]["annotations"] = {"penstock.dev/wake": "2h"}
    desired = operator.kind.desired(object_)
    found = operator.kind.plan(desired, operator.observed(desired), operator.aws.clock())
    assert [s.summary for s in found.steps] == ["set provisioned units: table 1/1 to 100/40 read/write"]


def test_the_saving_is_in_the_estimate() -> None:
    nights = {"schedule": "0 20 * * *", "wake": "0 8 * * *"}
    found = table({"capacity": FIXED, "hibernation": nights})
    # Half of the hours 100 and 40 units, half of them one each: (50.5 x 0.00013 + 20.5 x 0.00065) x 730.
    assert found.exact == (Decimal("50.5") * Decimal("0.00013") + Decimal("20.5") * Decimal("0.00065")) * 730
    assert any("which saves $13.95" in a for a in found.assumptions), found.assumptions


def test_hours_need_a_capacity_that_is_managed() -> None:
    body = {
        "kind": "DynamoTable",
        "metadata": {"name": "orders"},
        "spec": {"key": TABLE_KEY, "hibernation": {"schedule": "0 20 * * *", "wake": "0 8 * * *"}},
    }
    found = parse(body)
    assert not isinstance(found, DynamoTable)
    assert [str(p) for p in found] == [  # type: ignore[union-attr]
        "spec.hibernation: needs capacity: only units and caps that are managed can go down and come back; say its mode"
    ]
