"""`penstock cost`: what the tables and clusters of a Kubernetes cluster cost a month, from the objects; asks nothing of AWS."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.aurora import kind as aurora
from penstock.budget.books import RESOURCE as BUDGETS
from penstock.cost.estimate import amount_told, money
from penstock.costpage import Bar, Saver, page
from penstock.dynamo import kind as dynamo
from penstock.engine.kind import Object
from penstock.engine.kube import Kube, KubeError, Resource

_KINDS: Final[Sequence[tuple[str, Resource]]] = ((aurora.NAME, aurora.RESOURCE), (dynamo.NAME, dynamo.RESOURCE))
_UNKNOWN = "unknown"
# Of a table that goes into a file: two names of 63 characters and the figures.
_WIDTH = 240


@dataclass(frozen=True)
class Line:
    """One object. monthly: US dollars, None when no price of it is known or no pass has told one. label: the value of the label asked for.

    spent, forecast: of this month, None when not known. advice: status.advice. held: the part of monthly that is not there, because a CostBudget
    keeps it back or nobody runs the plan.
    """

    namespace: str
    kind: str
    name: str
    label: str = ""
    monthly: Decimal | None = None
    basis: str = ""
    source: str = ""
    budget: str = ""
    spent: Decimal | None = None
    forecast: Decimal | None = None
    advice: Mapping[str, Any] = field(default_factory=dict)
    held: Decimal = Decimal(0)

    @property
    def running(self) -> Decimal | None:
        """The part of monthly that is there, or was let through."""
        return max(self.monthly - self.held, Decimal(0)) if self.monthly is not None else None

    @property
    def whole(self) -> bool:
        """Whether the amount has everything in it."""
        return self.monthly is not None and self.basis != "Partial"


@dataclass(frozen=True)
class Sum:
    """The lines of one namespace and kind, or of one label's value, together."""

    lines: tuple[Line, ...]

    @property
    def monthly(self) -> Decimal:
        """Of what is there, or was let through."""
        return sum((line.running or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def held(self) -> Decimal:
        """What is in no sum."""
        return sum((line.held for line in self.lines), Decimal(0))

    @property
    def spent(self) -> Decimal | None:
        """Of those that know it."""
        known = [line.spent for line in self.lines if line.spent is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def forecast(self) -> Decimal | None:
        """Of those that know it."""
        known = [line.forecast for line in self.lines if line.forecast is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def lacking(self) -> int:
        """Objects of which something, or all, is not in the sum."""
        return sum(not line.whole for line in self.lines)


async def costs(namespace: str, selector: str, label: str, output: str, html: str = "") -> None:
    """Print the cost of every object. namespace: '' for all. selector: as kubectl -l takes it. label: group by this label. Raises KubeError.

    html: a file that gets the figures as a page with plots instead; raises OSError.
    """
    kube = await Kube.connect()
    try:
        found = [
            line(obj, kind, label)
            for kind, resource in _KINDS
            for obj in await kube.list_all(resource, namespace, selector=selector)
        ]
        budgets = await _budgets(kube, namespace) if html else []
    finally:
        await kube.close()
    lines = sorted(found, key=lambda one: (one.label, one.namespace, one.kind, one.name))
    if html:
        Path(html).write_text(_page(lines, budgets), encoding="utf-8")
        sys.stdout.write(f"{html} has {_count(len(lines), 'object')} and {_count(len(budgets), 'budget')}.\n")
    elif output == "csv":
        _csv(lines, label)
    elif output == "json":
        sys.stdout.write(json.dumps(as_json(lines, label), indent=2) + "\n")
    else:
        # Into a pipe goes every name whole.
        _table(Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH), lines, label)


def line(obj: Object, kind: str, label: str) -> Line:
    """What an object tells of its cost."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    cost = status.get("cost") or {}
    return Line(
        metadata["namespace"],
        kind,
        metadata["name"],
        (metadata.get("labels") or {}).get(label, "") if label else "",
        amount_told(cost.get("monthlyEstimate")),
        str(cost.get("basis") or ""),
        str(cost.get("priceSource") or ""),
        str(((obj.get("spec") or {}).get("cost") or {}).get("monthlyBudget") or ""),
        amount_told(cost.get("monthToDate")),
        amount_told(cost.get("forecast")),
        status.get("advice") or {},
        amount_told(cost.get("held")) or Decimal(0),
    )


def sums(lines: Sequence[Line], label: str) -> list[tuple[dict[str, str], Sum]]:
    """The lines together by namespace and kind, or by the label's value; lines come in that order."""

    def of(one: Line) -> tuple[tuple[str, str], ...]:
        return (("label", one.label),) if label else (("namespace", one.namespace), ("kind", one.kind))

    return [(dict(key), Sum(tuple(group))) for key, group in groupby(lines, key=of)]


def as_json(lines: Sequence[Line], label: str) -> dict[str, Any]:
    """Objects, sums and the total, amounts as text."""
    return {
        "objects": [_fields(one, label) for one in lines],
        "sums": [
            {
                **key,
                "objects": len(group.lines),
                "monthlyEstimate": money(group.monthly),
                "held": money(group.held),
                "incomplete": group.lacking,
            }
            for key, group in sums(lines, label)
        ],
        "monthlyEstimate": money(Sum(tuple(lines)).monthly),
        "held": money(Sum(tuple(lines)).held),
        "incomplete": Sum(tuple(lines)).lacking,
        "currency": "USD",
    }


async def _budgets(kube: Kube, namespace: str) -> list[Bar]:
    """Every CostBudget; none where their kind is not installed or may not be read."""
    try:
        found = await kube.list_all(BUDGETS, namespace)
    except KubeError as error:
        if error.status in (403, 404):
            return []
        raise
    return [_budget(obj) for obj in found]


def _budget(obj: Object) -> Bar:
    metadata, spending = obj["metadata"], (obj.get("status") or {}).get("spending") or {}
    policy = str((obj.get("spec") or {}).get("policy") or "Warn")
    return Bar(
        f"{metadata['namespace']}/{metadata['name']}",
        f"CostBudget, {policy}",
        amount_told(spending.get("estimate")),
        amount_told(spending.get("monthToDate")),
        amount_told(spending.get("forecast")),
        amount_told((obj.get("spec") or {}).get("monthlyLimit")),
    )


def _page(lines: Sequence[Line], budgets: Sequence[Bar]) -> str:
    bars = [
        Bar(
            f"{one.namespace}/{one.name}",
            f"{one.kind}, {_basis(one) or 'not looked at yet'}",
            one.running,
            one.spent,
            one.forecast,
            amount_told(one.budget),
        )
        for one in lines
    ]
    savers = []
    for one in lines:
        best = next(iter(one.advice.get("items") or ()), None)
        saving = amount_told(best.get("saving")) if isinstance(best, Mapping) else None
        if best is not None and saving is not None and saving > 0:
            told = (str(best.get(name) or "") for name in ("summary", "risk"))
            savers.append(Saver(f"{one.namespace}/{one.name}", next(told), saving, next(told)))
    return page(bars, budgets, savers, datetime.now(UTC))


def _fields(one: Line, label: str) -> dict[str, str]:
    return {
        "namespace": one.namespace,
        "kind": one.kind,
        "name": one.name,
        **({"label": one.label} if label else {}),
        "monthlyEstimate": money(one.monthly) if one.monthly is not None else "",
        "basis": one.basis,
        "priceSource": one.source,
        "monthlyBudget": one.budget,
        "monthToDate": money(one.spent) if one.spent is not None else "",
        "forecast": money(one.forecast) if one.forecast is not None else "",
        "held": money(one.held) if one.held else "",
    }


def _csv(lines: Iterable[Line], label: str) -> None:
    names = list(_fields(Line("", "", ""), label))
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_fields(one, label) for one in lines)


def _table(console: Console, lines: Sequence[Line], label: str) -> None:
    if not lines:
        console.print("There is no DynamoTable and no AuroraCluster here.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in (*((label.upper(),) if label else ()), "NAMESPACE", "KIND", "NAME"):
        table.add_column(head, overflow="fold")
    table.add_column("USD/MONTH", justify="right", no_wrap=True)
    # Only where something is known of it: most people's terminals are narrow.
    actual = any(one.spent is not None for one in lines)
    for head in ("TO-DATE", "FORECAST") if actual else ():
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("BUDGET", justify="right", no_wrap=True)
    table.add_column("BASIS")
    blank = ("",) if label else ()
    for key, group in sums(lines, label):
        for one in group.lines:
            amount = money(one.monthly) if one.monthly is not None else _UNKNOWN
            budget = amount_told(one.budget)
            over = budget is not None and one.monthly is not None and one.monthly > budget
            table.add_row(
                *((one.label or "-",) if label else ()),
                one.namespace,
                one.kind,
                one.name,
                Text(amount, style="red" if over else "" if one.whole else "yellow"),
                *((_told(one.spent), _told(one.forecast)) if actual else ()),
                one.budget,
                _basis(one),
            )
        if len(group.lines) > 1:
            table.add_row(
                *blank,
                "",
                "",
                f"{' '.join(_words(key))}: {len(group.lines)} together",
                money(group.monthly),
                *((_told(group.spent), _told(group.forecast)) if actual else ()),
                "",
                "",
                style="dim",
            )
    everything = Sum(tuple(lines))
    sums_ = (_told(everything.spent), _told(everything.forecast)) if actual else ()
    table.add_row(*blank, "", "", "total", money(everything.monthly), *sums_, "", "", style="bold")
    console.print(table)
    if everything.held:
        console.print(f"${money(everything.held)} a month is held or only planned, and in no sum.")
    if everything.lacking:
        console.print(
            f"{everything.lacking} of {len(lines)} lack a price or have not been looked at: status.cost.missing says what."
        )


def _basis(one: Line) -> str:
    if not one.held:
        return one.basis
    return f"{one.basis}, {'held' if not one.running else f'{money(one.held)} held'}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _told(amount: Decimal | None) -> str:
    return money(amount) if amount is not None else "-"


def _words(key: Mapping[str, str]) -> Iterable[str]:
    return (text or "without label" for text in key.values())
