"""What a cluster and each step of its plan cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from penstock.api.auroracluster import AuroraCluster
from penstock.api.parsing import parse_as
from penstock.aurora.ownership import claim
from penstock.aurora.state import Desired, Observed
from penstock.cost import aurora as rates
from penstock.cost import spend as spends
from penstock.cost.aurora import ClusterShape
from penstock.cost.estimate import Estimate, difference
from penstock.cost.prices import Catalogue
from penstock.engine import hibernation
from penstock.engine.money import Money
from penstock.engine.plan import Plan, Refusal


def declared(obj: Mapping[str, Any], today: date, prices: Callable[[str], Catalogue], region: str) -> Money | None:
    """What an object that is not there yet costs by its manifest alone; None when it is wrong, or takes over what is there.

    prices: of a region. region: where what names none is created.
    """
    found = parse_as(AuroraCluster, {**obj, "status": {}})
    if isinstance(found, list) or found.spec.adopt or hibernation.problems(found.spec.hibernation):
        return None
    usage = found.spec.cost.expected_usage if found.spec.cost else None
    shape = rates.declared(found.spec, found.cluster_identifier.lower())
    return spends.as_money(rates.estimate(shape, usage, prices(found.spec.region or region), today), None)


def estimate(desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Estimate:
    """What the cluster costs a month as it is declared; what the spec leaves unmanaged is counted as AWS has it."""
    shape = rates.declared(desired.spec, desired.identifier, _running(desired, observed))
    return _estimate(desired, shape, catalogue, today)


def whole(observed: Observed) -> bool:
    """Whether all that is paid for was seen: a cluster lists its members before they have been read."""
    return observed.cluster is None or all(m.identifier in observed.instances for m in observed.cluster.members)


def runs(desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Estimate | None:
    """What the cluster costs a month as it is in AWS, without anything that is only expected; None where there is none of ours."""
    if observed.cluster is None or isinstance(claim(desired, observed), Refusal):
        return None
    return rates.estimate(rates.running(observed.cluster, observed.instances.values()), None, catalogue, today)


def priced(plan: Plan, desired: Desired, observed: Observed, catalogue: Catalogue, today: date) -> Plan:
    """The plan with what each step adds to the cost of a month, in the order in which they run."""
    if not plan.steps:
        return plan
    shape = _running(desired, observed)
    before = _estimate(desired, shape, catalogue, today) if shape is not None else None
    steps = []
    for step in plan.steps:
        if step.service == "rds":
            shape = rates.after(shape, step.operation, step.parameters, desired.spec, desired.identifier)
        after = _estimate(desired, shape, catalogue, today) if shape is not None else None
        steps.append(replace(step, cost_delta=difference(before, after)))
        before = after
    return replace(plan, steps=tuple(steps))


def _running(desired: Desired, observed: Observed) -> ClusterShape | None:
    """The shape of the cluster that is there and ours."""
    if observed.cluster is None or isinstance(claim(desired, observed), Refusal):
        return None
    shape = rates.running(observed.cluster, observed.instances.values())
    if desired.spec.hibernation is None:
        return shape
    # To be stopped at night and started in the morning is no change of what a month costs.
    return replace(shape, stopped=False, awake=hibernation.awake(desired.spec.hibernation))


def _estimate(desired: Desired, shape: ClusterShape, catalogue: Catalogue, today: date) -> Estimate:
    usage = desired.spec.cost.expected_usage if desired.spec.cost else None
    return rates.estimate(shape, usage, catalogue, today)
