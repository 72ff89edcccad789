"""What a budget adds up to, and the sentences about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from penstock.api.conditions import ConditionType, Reason
from penstock.api.costbudget import ALERT_AT, CostBudgetSpec
from penstock.budget.hold import ZERO, Position
from penstock.cost.estimate import amount_told, moved
from penstock.engine.conditions import Condition, find
from penstock.engine.events import Note
from penstock.engine.kind import Key, Object, Report

# Seconds between two looks: labels of objects and the month move without a word. Nothing is asked of anybody.
AGAIN: Final = 60.0
_AMOUNTS = ("estimate", "storage", "monthToDate", "forecast", "held")
_NAMED = 3


@dataclass(frozen=True)
class Sums:
    """What a budget covers, in US dollars a month. spent, forecast: None when no object knows its own."""

    objects: int = 0
    incomplete: int = 0
    estimate: Decimal = ZERO
    storage: Decimal = ZERO
    kept: Decimal = ZERO
    holding: tuple[str, ...] = ()
    spent: Decimal | None = None
    forecast: Decimal | None = None


def added(covered: Iterable[tuple[Key, Position]]) -> Sums:
    """The sums of objects."""
    found = list(covered)
    positions = [p for _, p in found]
    spent = [p.spent for p in positions if p.spent is not None]
    forecast = [p.forecast for p in positions if p.forecast is not None]
    return Sums(
        objects=len(found),
        incomplete=sum(p.incomplete for p in positions),
        estimate=sum((p.counted for p in positions), ZERO),
        storage=sum((p.storage for p in positions), ZERO),
        kept=sum((p.kept for p in positions), ZERO),
        holding=tuple(sorted(f"{k.kind}/{k.name}" for k, p in found if p.kept)),
        spent=sum(spent, ZERO) if spent else None,
        forecast=sum(forecast, ZERO) if forecast else None,
    )


def report(obj: Object, spec: CostBudgetSpec, sums: Sums, now: datetime) -> Report:
    """What goes onto the budget: amounts that moved by no more than 1 % stay as they were told, so that an idle budget writes nothing."""
    status: Mapping[str, Any] = obj.get("status") or {}
    spending = _spending(status.get("spending") or {}, sums)
    used = _used(spec, spending)
    within = _within(spec, sums, spending)
    alerts, notes = _alerts(obj, spec, used, spending, now)
    fields: dict[str, Any] = {
        "objects": sums.objects,
        "spending": spending,
        "used": f"{used} %",
        **({"incomplete": sums.incomplete} if sums.incomplete else {}),
        **({"holding": list(sums.holding)} if sums.holding else {}),
        **({"alerts": alerts} if alerts else {}),
    }
    nothing = "It covers no DynamoTable and no AuroraCluster of this namespace"
    if spec.selector is not None:
        nothing += ": none has the labels of spec.selector"
    ready = (
        Condition(ConditionType.READY, True, Reason.AVAILABLE, f"It covers {_count(sums.objects)}.")
        if sums.objects
        else Condition(ConditionType.READY, True, Reason.NOTHING_SELECTED, f"{nothing}.")
    )
    known = find(status, ConditionType.WITHIN_BUDGET) or {}
    if within.status is not True and known.get("status") != "False":
        notes = (*notes, Note(Reason.OVER_BUDGET, within.message, warning=True))
    return Report((ready, within), fields, notes, AGAIN)


def within(
    held: str, own: Decimal | None, cost: Mapping[str, Any], budgets: Sequence[str], over: Sequence[str]
) -> Condition:
    """The condition of an object. held: why its plan is kept back, ''. own: its own budget. over: which of the budgets are over a limit."""
    kind = ConditionType.WITHIN_BUDGET
    if held:
        return Condition(kind, False, Reason.OVER_BUDGET, held)
    wrong, right = [], []
    if own is not None:
        told = [(w, d) for w, n in (("is estimated at", "monthlyEstimate"), ("is heading for", "forecast"))
                if (d := amount_told(cost.get(n))) is not None]  # fmt: skip
        word, most = max(told, key=lambda t: t[1], default=("has no known price", None))
        if most is None:
            right.append(f"It {word}; its own budget of ${own:.2f} cannot be held against anything")
        elif most > own:
            wrong.append(f"It {word} ${most:.2f} a month, more than its own budget of ${own:.2f}")
        else:
            right.append(f"It {word} ${most:.2f} a month, within its own budget of ${own:.2f}")
    if over:
        wrong.append(f"CostBudget {', '.join(over)} is over a limit")
    elif budgets:
        right.append(f"CostBudget {', '.join(budgets)} {'are' if len(budgets) > 1 else 'is'} kept")
    sentence = "; ".join(wrong or right) + "."
    return Condition(kind, not wrong, Reason.OVER_BUDGET if wrong else Reason.BUDGET_KEPT, sentence)


def _spending(known: Mapping[str, Any], sums: Sums) -> dict[str, str]:
    fresh: dict[str, Decimal | None] = {
        "estimate": sums.estimate,
        "storage": sums.storage,
        "monthToDate": sums.spent,
        "forecast": sums.forecast,
        "held": sums.kept or None,
    }
    before = {name: amount_told(known.get(name)) for name in _AMOUNTS}
    if not any(moved(before[name], fresh[name]) for name in _AMOUNTS):
        return dict(known)
    return {name: f"{amount:.2f}" for name, amount in fresh.items() if amount is not None}


def _used(spec: CostBudgetSpec, spending: Mapping[str, str]) -> int:
    """Percent of the limit that is nearest."""
    shares = [
        100 * Decimal(spending[name]) / spec.monthly_limit.value
        for name in ("estimate", "monthToDate", "forecast")
        if spec.monthly_limit is not None and name in spending
    ]
    if spec.storage_limit is not None:
        shares.append(100 * Decimal(spending.get("storage", "0")) / spec.storage_limit.value)
    return int(max(shares, default=ZERO).to_integral_value(ROUND_FLOOR))


def _within(spec: CostBudgetSpec, sums: Sums, spending: Mapping[str, str]) -> Condition:
    kind = ConditionType.WITHIN_BUDGET
    wrong, right = [], []
    if spec.monthly_limit is not None:
        limit = spec.monthly_limit.value
        named = (
            ("the estimate", "estimate"),
            ("the forecast", "forecast"),
            ("what was spent this month", "monthToDate"),
        )
        for words, name in named:
            if name in spending and Decimal(spending[name]) > limit:
                wrong.append(f"{words} is ${spending[name]} of ${limit:.2f} a month")
        right.append(f"${spending.get('estimate', '0.00')} of ${limit:.2f} a month")
    if spec.storage_limit is not None:
        limit = spec.storage_limit.value
        stored = spending.get("storage", "0.00")
        (wrong if Decimal(stored) > limit else right).append(f"storage is ${stored} of ${limit:.2f}")
    held = ""
    if sums.holding:
        more = len(sums.holding) - _NAMED
        named_ = ", ".join(sums.holding[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        held = f"; {named_} {'is' if len(sums.holding) == 1 else 'are'} held"
    if wrong:
        return Condition(kind, False, Reason.OVER_BUDGET, _sentence("; ".join(wrong) + held))
    lacking = f"; something of {_count(sums.incomplete)} has no known price" if sums.incomplete else ""
    return Condition(kind, True, Reason.BUDGET_KEPT, _sentence("; ".join(right) + held + lacking))


def _alerts(
    obj: Object, spec: CostBudgetSpec, used: int, spending: Mapping[str, str], now: datetime
) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Which thresholds were told this month, and the Events of those that are reached now."""
    known = (obj.get("status") or {}).get("alerts") or {}
    month = f"{now:%Y-%m}"
    told = list(known.get("reached") or ()) if known.get("month") == month else []
    new = [p for p in spec.alert_at or ALERT_AT if used >= p and p not in told]
    notes = tuple(
        Note(
            "BudgetAlert", f"{p} % of a limit is reached: {used} %, {_amounts(spending)}.", warning=True, action="Alert"
        )
        for p in new
    )
    reached = sorted({*told, *new})
    return ({"month": month, "reached": reached} if reached else {}), notes


def _amounts(spending: Mapping[str, str]) -> str:
    words = {
        "estimate": "estimated",
        "monthToDate": "spent this month",
        "forecast": "forecast",
        "storage": "for storage",
    }
    return ", ".join(f"${spending[name]} {word}" for name, word in words.items() if name in spending)


def _count(number: int) -> str:
    return f"{number} object{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
