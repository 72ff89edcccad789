"""CostBudget: what the tables and clusters of a namespace, or those with some labels, may cost a month."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StrictInt, StrictStr

from penstock.api import costbudget_rules
from penstock.api.conditions import Condition
from penstock.api.kind import AGE, Column, Kind, condition_column
from penstock.api.meta import ObjectMeta
from penstock.api.model import ApiModel, Distinct, Rule, StatusModel, between
from penstock.api.quantities import Money

ALERT_AT: Final = (80, 100)
"""Percent of the limit at which it is told, where the spec names none."""


class Policy(StrEnum):
    """What a budget does beside telling."""

    WARN = "Warn"
    """Nothing."""
    HOLD = "Hold"
    """Keeps a creation or an enlargement that would break a limit as a plan, until there is room or somebody approves it."""


class Operator(StrEnum):
    """How an expression of a selector compares (Kubernetes: labels and selectors)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Expression(ApiModel):
    """One requirement of a selector."""

    rules: ClassVar[tuple[Rule, ...]] = costbudget_rules.EXPRESSION
    key: Annotated[StrictStr, Field(max_length=317), costbudget_rules.LABEL]
    """The label's key."""
    operator: Operator
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[Annotated[StrictStr, Field(max_length=63)], ...], Field(max_length=50)] | None = None
    """The values of In and NotIn."""


class Selector(ApiModel):
    """Which objects of the namespace it covers, as everywhere in Kubernetes; all requirements must hold."""

    match_labels: (
        Annotated[
            dict[StrictStr, Annotated[StrictStr, Field(max_length=63)]], Field(max_length=20), costbudget_rules.LABELS
        ]
        | None
    ) = None
    """Labels that the objects must have."""
    match_expressions: Annotated[tuple[Expression, ...], Field(max_length=20)] | None = None
    """Requirements on labels."""


class CostBudgetSpec(ApiModel):
    """The limits."""

    rules: ClassVar[tuple[Rule, ...]] = costbudget_rules.SPEC
    monthly_limit: Annotated[Money, costbudget_rules.LIMIT] | None = None
    """The most that all of them together should cost a month, in US dollars ("80")."""
    storage_limit: Annotated[Money, costbudget_rules.LIMIT] | None = None
    """The most of that for storage: all that AWS bills by the gigabyte and month, backups included ("20")."""
    selector: Selector | None = None
    """Which DynamoTables and AuroraClusters of this namespace it covers. Absent or {}: all."""
    alert_at: (
        Annotated[
            tuple[Annotated[StrictInt, between(1, 1000, "must be a percentage from 1 to 1000")], ...],
            Field(max_length=10),
            Distinct(),
        ]
        | None
    ) = None
    """Percentages of a limit, in rising order, at which an Event tells that it was reached, each once a month. Absent: 80 and 100."""
    policy: Policy = Policy.WARN
    """Warn tells only. Hold also keeps what would break a limit as a plan on its object; what runs is never touched."""


class Spending(StatusModel):
    """What is covered, in US dollars a month."""

    estimate: str | None = None
    """What the objects cost a month as they run and as they were let grow."""
    storage: str | None = None
    """The part of the estimate that is storage."""
    month_to_date: str | None = None
    """What this month has cost so far, of those objects whose actual cost is known."""
    forecast: str | None = None
    """What this month will have cost, of those objects whose actual cost is known."""
    held: str | None = None
    """What the plans that are held would add."""


class Alerts(StatusModel):
    """Which thresholds were told this month, so that none is told twice."""

    month: str | None = None
    """The month in UTC ("2026-11")."""
    reached: tuple[int, ...] = ()
    """Percentages."""


class CostBudgetStatus(StatusModel):
    """What the operator found."""

    observed_generation: int | None = None
    """The metadata.generation that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Ready, WithinBudget, Stalled."""
    objects: int | None = None
    """How many objects it covers."""
    incomplete: int | None = None
    """Of how many of them something has no known price."""
    holding: tuple[str, ...] = ()
    """The objects that are held, as Kind/name."""
    spending: Spending | None = None
    """Sums."""
    used: str | None = None
    """How much of a limit is used, in percent: the highest of estimate, forecast and month to date, and of storage."""
    alerts: Alerts | None = None
    """Thresholds."""
    last_reconcile_at: str | None = None
    """The last value of the annotation penstock.dev/reconcile-at that was answered."""


class CostBudget(ApiModel):
    """A limit on what tables and clusters cost a month."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    api_version: Literal["penstock.dev/v1alpha1"] = "penstock.dev/v1alpha1"
    kind: Literal["CostBudget"] = "CostBudget"
    metadata: ObjectMeta
    spec: CostBudgetSpec
    status: CostBudgetStatus = Field(default_factory=CostBudgetStatus)

    def with_status(self, status: CostBudgetStatus) -> Self:
        """The same budget with another status."""
        return self.model_copy(update={"status": status})


KIND: Final = Kind(
    model=CostBudget,
    plural="costbudgets",
    short_names=("budget",),
    columns=(
        condition_column("Within", "WithinBudget", "status", "Whether what it covers stays within its limits."),
        condition_column("Reason", "WithinBudget", "reason", "Why, in a word from a closed list."),
        Column("Limit", ".spec.monthlyLimit", "US dollars a month."),
        Column("Estimate", ".status.spending.estimate", "What the objects are estimated to cost a month."),
        Column("Used", ".status.used", "Percent of the limit that is nearest."),
        Column("To-date", ".status.spending.monthToDate", "What this month has cost so far.", priority=1),
        Column("Forecast", ".status.spending.forecast", "What this month will have cost.", priority=1),
        Column("Storage", ".status.spending.storage", "The part that is storage.", priority=1),
        Column("Objects", ".status.objects", "How many objects it covers.", type="integer"),
        Column("Policy", ".spec.policy", "Warn or Hold."),
        condition_column("Message", "WithinBudget", "message", "Why, in one sentence.", priority=1),
        AGE,
    ),
)
