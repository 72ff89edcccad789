"""Which objects a budget covers: labels as Kubernetes compares them ("Labels and selectors"). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.api.costbudget import Expression, Operator, Selector


def selects(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is covered; no selector covers all."""
    if selector is None:
        return True
    wanted = selector.match_labels or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.match_expressions or ()
    )


def _holds(expression: Expression, labels: Mapping[str, str]) -> bool:
    values = expression.values or ()
    match expression.operator:
        case Operator.IN:
            return labels.get(expression.key) in values
        case Operator.NOT_IN:
            # Kubernetes: an object without the label is not in any list.
            return labels.get(expression.key) not in values
        case Operator.EXISTS:
            return expression.key in labels
        case _:
            return expression.key not in labels
