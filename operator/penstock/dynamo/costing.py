"""What a table and each step of its plan cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from penstock.api.dynamotable import DynamoTable
from penstock.api.parsing import parse_as
from penstock.cost import dynamo as rates
from penstock.cost import spend as spends
from penstock.cost.dynamo import TableShape
from penstock.cost.estimate import Estimate, difference
from penstock.cost.prices import Catalogue
from penstock.dynamo.ownership import claim, unread
from penstock.dynamo.state import Desired, Observed
from penstock.engine.hibernation import problems
from penstock.engine.money import Money
from penstock.engine.plan import Plan, Refusal


def declared(obj: Mapping[str, Any], today: date, prices: Callable[[str], Catalogue], region: str) -> Money | None:
    """What an object that is not there yet costs by its manifest alone; None when it is wrong, or takes over what is there.

    prices: of a region. region: where what names none is created.
    """
    found = parse_as(DynamoTable, {**obj, "status": {}})
    if isinstance(found, list) or found.spec.adopt or problems(found.spec.hibernation):
        return None
    usage = found.spec.cost.expected_usage if found.spec.cost else None
    catalogue = prices(found.spec.region or region)
    return spends.as_money(rates.estimate(rates.declared(found.spec), usage, catalogue, today), None)


def estimate(desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Estimate:
    """What the table costs a month as it is declared; what the spec leaves unmanaged is counted as AWS has it."""
    return _estimate(desired, rates.declared(desired.spec, running(desired, observed)), catalogue, today)


def runs(desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Estimate | None:
    """What the table costs a month as it is in AWS, without anything that is only expected; None where there is none of ours."""
    shape = running(desired, observed)
    return rates.estimate(shape, None, catalogue, today) if shape is not None else None


def priced(plan: Plan, desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Plan:
    """The plan with what each step adds to the cost of a month, in the order in which they run."""
    if not plan.steps:
        return plan
    shape = running(desired, observed)
    before = _estimate(desired, shape, catalogue, today) if shape is not None else None
    steps = []
    for step in plan.steps:
        shape = (
            rates.after(shape, step.operation, step.parameters, desired.spec) if step.service == "dynamodb" else shape
        )
        after = _estimate(desired, shape, catalogue, today) if shape is not None else None
        steps.append(replace(step, cost_delta=difference(before, after)))
        before = after
    return replace(plan, steps=tuple(steps))


def unmoved(plan: Plan) -> Plan:
    """The plan of a change that the clock made, and that the estimate has in it already."""
    moves = ("UpdateTable", "RegisterScalableTarget")
    steps = (replace(s, cost_delta=Decimal(0)) if s.operation in moves else s for s in plan.steps)
    return replace(plan, steps=tuple(steps))


def running(desired: Desired, observed: Observed) -> TableShape | None:
    """The shape of the table that is there and ours."""
    table = observed.table
    if table is None or unread(desired, observed) or isinstance(claim(desired, observed), Refusal):
        return None
    insights = observed.insights.statuses if observed.insights is not None else {}
    watched = [name for name, status in insights.items() if status in ("ENABLED", "ENABLING")]
    shape = rates.running(table, bool(observed.backups and observed.backups.enabled), watched)
    return rates.hibernating(shape, desired.spec)


def _estimate(desired: Desired, shape: TableShape, catalogue: Catalogue, today: date) -> Estimate:
    usage = desired.spec.cost.expected_usage if desired.spec.cost else None
    return rates.estimate(shape, usage, catalogue, today)
