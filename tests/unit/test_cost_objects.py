"""What objects show of their cost: status.cost, and what each step of a plan adds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from aurora_specs import specs as cluster_specs
from aurora_world import Operator as ClusterOperator
from aurora_world import settled as settled_cluster
from aurora_world import spec as cluster_spec
from cost_specs import TODAY
from dynamo_model import Aws
from dynamo_specs import examples
from dynamo_specs import specs as table_specs
from dynamo_world import Operator as TableOperator
from dynamo_world import manifest
from hypothesis import given

from penstock.aurora import costing as cluster_costing
from penstock.cost.prices import bundled
from penstock.dynamo import costing as table_costing
from penstock.engine.kind import Outcome
from penstock.engine.plan import Plan

PRICES = bundled("us-east-1")
USAGE = {"expectedUsage": {"writesPerSecond": 10, "itemSize": "1Ki", "storage": "10G"}}
OFF = {"enabled": False}


def priced(operator: ClusterOperator) -> Plan:
    return cluster_costing.priced(operator.plan(), operator.desired, operator.observe(), PRICES, TODAY)


def added(plan: Plan) -> Decimal:
    return sum((s.cost_delta or Decimal(0) for s in plan.steps), Decimal(0))


def costly(plan: Plan) -> list[tuple[str, str]]:
    return [(s.summary, s.cost) for s in plan.steps if s.cost]


def test_making_a_cluster_shows_what_each_instance_adds() -> None:
    assert costly(priced(ClusterOperator())) == [
        ("make instance shop-ledger-1 (db.t4g.medium)", "+$53.29/month"),
        ("make instance shop-ledger-2 (db.t4g.medium)", "+$53.29/month"),
    ]


def test_a_change_of_a_cluster_shows_what_it_adds() -> None:
    operator = settled_cluster()
    operator.change(instances={"class": "db.r6g.large", "readers": 1})
    found = costly(priced(operator))
    # 730 x (0.260 - 0.073)
    assert [cost for _, cost in found] == ["+$136.51/month", "+$136.51/month"], found
    operator.change(instances={"class": "db.t4g.medium", "readers": 0})
    assert [cost for _, cost in costly(priced(operator))] == ["-$53.29/month"]


def test_a_cluster_whose_instances_were_not_all_read_keeps_what_was_told() -> None:
    operator = settled_cluster()
    assert cluster_costing.whole(operator.observe())
    assert not cluster_costing.whole(replace(operator.observe(), instances={}))


def test_a_class_without_a_price_is_said_to_add_nothing_known() -> None:
    operator = ClusterOperator(cluster_spec(instances={"class": "db.r7i.large", "readers": 0}))
    assert costly(priced(operator)) == []
    assert all(s.cost_delta is None for s in priced(operator).steps if s.operation == "CreateDBInstance")


@given(cluster_specs())
@examples(60)
def test_what_the_steps_of_a_new_cluster_add_is_what_it_costs(wanted: dict[str, Any]) -> None:
    operator = ClusterOperator(wanted)
    plan = priced(operator)
    declared = cluster_costing.estimate(operator.desired, operator.observe(), PRICES, TODAY)
    # Without a family that AWS told, or once stopped, the plan ends before the instances.
    if (
        not declared.missing
        and sum(s.operation == "CreateDBInstance" for s in plan.steps)
        and not operator.spec.stopped
    ):
        assert added(plan) == declared.exact


def table(**spec: Any) -> TableOperator:
    return TableOperator(Aws(), manifest(**spec))


@given(table_specs())
@examples(60)
def test_what_the_steps_of_a_new_table_add_is_what_it_costs(wanted: dict[str, Any]) -> None:
    operator = TableOperator(Aws(), manifest(wanted))
    desired, observed, plan = operator.look()
    declared = table_costing.estimate(desired, observed, PRICES, TODAY)
    if not declared.missing and any(s.operation == "CreateTable" for s in plan.steps):
        assert added(plan) == declared.exact


@given(table_specs(encryption={}))
@examples(30)
def test_a_table_that_is_made_costs_what_was_declared(wanted: dict[str, Any]) -> None:
    operator = TableOperator(Aws(), manifest(wanted))
    desired, observed, _ = operator.look()
    before = table_costing.estimate(desired, observed, PRICES, TODAY)
    operator.converge()
    desired, observed, _ = operator.look()
    assert table_costing.estimate(desired, observed, PRICES, TODAY).exact == before.exact


def test_a_table_tells_its_cost_from_its_first_status_on_and_the_steps_that_make_it() -> None:
    operator = table(cost=USAGE, pointInTimeRecovery=OFF)
    _, _, plan = operator.look()
    # 26.28 M writes x 0.625 = 16.425; 10 GB x 0.25 = 2.50
    assert [s.cost for s in plan.steps if s.operation == "CreateTable"] == ["+$18.93/month"]
    _, report = operator.one_pass()
    told = report.fields["cost"]
    assert told["monthlyEstimate"] == "18.93"
    assert told["basis"] == "Estimate"
    assert told["priceSource"].startswith("Bundled 20")
    operator.converge()
    assert operator.status["cost"] == told


def grown(operator: TableOperator, gigabytes: int) -> dict[str, Any]:
    """What the status tells of a table of that size after a pass."""
    desired, observed, plan = operator.look()
    assert observed.table is not None
    observed = replace(observed, table=replace(observed.table, size=gigabytes * 10**9))
    report = operator.kind.report(operator.obj, desired, Outcome(observed, plan), operator.aws.clock())
    operator.status = operator.told(report)
    told: dict[str, Any] = operator.status["cost"]
    return told


def test_what_a_table_costs_is_written_again_only_when_it_moved_by_more_than_one_percent() -> None:
    operator = table(pointInTimeRecovery=OFF)
    operator.converge()
    told = grown(operator, 100)
    assert told["monthlyEstimate"] == "25.00"
    assert grown(operator, 101) == told
    assert grown(operator, 102)["monthlyEstimate"] == "25.50"


def test_what_was_spent_stays_beside_a_new_estimate() -> None:
    operator = table(pointInTimeRecovery=OFF)
    operator.converge()
    operator.status["cost"]["monthToDate"] = "7.10"
    assert grown(operator, 100)["monthToDate"] == "7.10"


def test_an_edit_is_told_however_little_it_changes() -> None:
    spec = manifest(pointInTimeRecovery=OFF)["spec"]
    operator = TableOperator(Aws(), manifest({**spec, "cost": {"expectedUsage": {"storage": "1000G"}}}))
    operator.converge()
    assert operator.status["cost"]["monthlyEstimate"] == "250.00"
    operator.edit({**spec, "cost": {"expectedUsage": {"storage": "1001G"}}})
    operator.one_pass()
    assert operator.status["cost"]["monthlyEstimate"] == "250.25"


def test_taking_a_table_down_gives_back_what_it_cost() -> None:
    # 10 x 730 x 0.00065 + 10 x 730 x 0.00013
    units = {"read": {"units": 10}, "write": {"units": 10}}
    operator = table(deletionPolicy="Delete", capacity={"mode": "Provisioned", **units})
    operator.converge()
    operator.delete()
    _, _, plan = operator.look()
    assert [s.cost for s in plan.steps if s.operation == "DeleteTable"] == ["-$5.69/month"]
