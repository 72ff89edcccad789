"""CostBudget as the loop knows it: nothing is made for it in AWS, so its plan is always empty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from penstock.api.conditions import ConditionType
from penstock.api.costbudget import CostBudget, CostBudgetSpec
from penstock.api.parsing import parse_as
from penstock.budget import sums
from penstock.budget.books import NAME, RESOURCE, Books
from penstock.budget.sums import Sums
from penstock.engine import conditions, metrics
from penstock.engine.kind import Invalid, Key, Look, Money, Object, Outcome, Report
from penstock.engine.plan import Plan, Step


@dataclass(frozen=True)
class Desired:
    """One budget."""

    namespace: str
    name: str
    spec: CostBudgetSpec
    absent: bool = False


class CostBudgets:
    """All CostBudgets of one operator."""

    name = NAME
    resource = RESOURCE

    def __init__(self, books: Books) -> None:
        self._books = books
        self._specs: dict[Key, CostBudgetSpec] = {}

    def desired(self, obj: Object) -> Desired:
        metadata = obj["metadata"]
        found = parse_as(CostBudget, {**obj, "status": {}})
        if isinstance(found, list):
            raise Invalid(found)
        key = Key(NAME, metadata["namespace"], metadata["name"])
        if self._specs.get(key) != found.spec:
            self._specs[key] = found.spec
            self._books.changed(key.namespace)
        return Desired(key.namespace, key.name, found.spec, "deletionTimestamp" in metadata)

    def owns_nothing(self, obj: Object) -> bool:  # noqa: ARG002
        return True

    async def observe(self, desired: Desired, look: Look) -> Sums:  # noqa: ARG002
        return sums.added(self._books.covered(desired.namespace, desired.spec.selector))

    def plan(self, desired: Desired, observed: Sums, now: datetime) -> Plan:  # noqa: ARG002
        return Plan(gone=desired.absent)

    async def act(self, desired: Desired, step: Step) -> str | None:  # noqa: ARG002
        return None

    def report(self, obj: Object, desired: Desired, outcome: Outcome[Sums], now: datetime) -> Report:
        found = sums.report(obj, desired.spec, outcome.observed or Sums(), now)
        known = conditions.find(obj.get("status") or {}, ConditionType.WITHIN_BUDGET) or {}
        within = next(c for c in found.conditions if c.type == ConditionType.WITHIN_BUDGET)
        if known.get("status") != str(within.status):
            self._books.flipped(desired.namespace, desired.spec.selector)
        _measure(desired, outcome.observed or Sums())
        return found

    def money(self, desired: Desired, observed: Sums, now: datetime) -> Money | None:  # noqa: ARG002
        return None

    def forget(self, key: Key) -> None:
        self._specs.pop(key, None)
        for gauge in (metrics.BUDGET_LIMIT, metrics.BUDGET_ESTIMATE, metrics.BUDGET_SPENT, metrics.BUDGET_HELD):
            gauge.remove_by_labels({"namespace": key.namespace, "budget": key.name})


def _measure(desired: Desired, found: Sums) -> None:
    labels = (desired.namespace, desired.name)
    limit = desired.spec.monthly_limit
    if limit is not None:
        metrics.BUDGET_LIMIT.labels(*labels).set(float(limit.value))
    metrics.BUDGET_ESTIMATE.labels(*labels).set(float(found.estimate))
    metrics.BUDGET_HELD.labels(*labels).set(len(found.holding))
    if found.spent is not None:
        metrics.BUDGET_SPENT.labels(*labels).set(float(found.spent))
