"""`penstock cost`: what the tables and clusters of a Kubernetes cluster cost a month, from the objects; asks nothing of AWS."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.aurora import kind as aurora
from penstock.cost.estimate import money
from penstock.dynamo import kind as dynamo
from penstock.engine.kind import Object
from penstock.engine.kube import Kube, KubeError, Resource

_KINDS: Final[Sequence[tuple[str, Resource]]] = ((aurora.NAME, aurora.RESOURCE), (dynamo.NAME, dynamo.RESOURCE))
_PAGE = "500"
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Line:
    """One object. monthly: US dollars, None when no price of it is known or no pass has told one. label: the value of the label asked for."""

    namespace: str
    kind: str
    name: str
    label: str = ""
    monthly: Decimal | None = None
    basis: str = ""
    source: str = ""
    budget: str = ""

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
        return sum((line.monthly or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def lacking(self) -> int:
        """Objects of which something, or all, is not in the sum."""
        return sum(not line.whole for line in self.lines)


async def costs(namespace: str, selector: str, label: str, output: str) -> None:
    """Print the cost of every object. namespace: '' for all. selector: as kubectl -l takes it. label: group by this label. Raises KubeError."""
    kube = await Kube.connect()
    try:
        found = [
            line(obj, kind, label)
            for kind, resource in _KINDS
            for obj in await _list(kube, resource, namespace, selector)
        ]
    finally:
        await kube.close()
    lines = sorted(found, key=lambda one: (one.label, one.namespace, one.kind, one.name))
    if output == "csv":
        _csv(lines, label)
    elif output == "json":
        sys.stdout.write(json.dumps(as_json(lines, label), indent=2) + "\n")
    else:
        _table(Console(highlight=False, soft_wrap=True), lines, label)


def line(obj: Object, kind: str, label: str) -> Line:
    """What an object tells of its cost."""
    metadata, cost = obj["metadata"], (obj.get("status") or {}).get("cost") or {}
    try:
        monthly = Decimal(cost["monthlyEstimate"])
    except (KeyError, TypeError, InvalidOperation):
        monthly = None
    return Line(
        metadata["namespace"],
        kind,
        metadata["name"],
        (metadata.get("labels") or {}).get(label, "") if label else "",
        monthly if monthly is not None and monthly.is_finite() else None,
        str(cost.get("basis") or ""),
        str(cost.get("priceSource") or ""),
        str(((obj.get("spec") or {}).get("cost") or {}).get("monthlyBudget") or ""),
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
            {**key, "objects": len(group.lines), "monthlyEstimate": money(group.monthly), "incomplete": group.lacking}
            for key, group in sums(lines, label)
        ],
        "monthlyEstimate": money(Sum(tuple(lines)).monthly),
        "incomplete": Sum(tuple(lines)).lacking,
        "currency": "USD",
    }


async def _list(kube: Kube, resource: Resource, namespace: str, selector: str) -> list[Object]:
    items: list[Object] = []
    query = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
    while True:
        try:
            page = await kube.request("GET", resource, namespace, query=query)
        except KubeError as error:
            if error.status == 404:
                raise KubeError(
                    404,
                    "NotFound",
                    f"the cluster knows no {resource.plural}: install the CRDs with `penstock crds | kubectl apply --server-side -f -`",
                ) from error
            raise
        items += page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue")
        if not token or token == query.get("continue"):
            return items
        query = {**query, "continue": token}


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
        table.add_column(head)
    table.add_column("USD/MONTH", justify="right")
    table.add_column("BUDGET", justify="right")
    table.add_column("BASIS")
    blank = ("",) if label else ()
    for key, group in sums(lines, label):
        for one in group.lines:
            amount = money(one.monthly) if one.monthly is not None else _UNKNOWN
            over = one.budget and one.monthly is not None and one.monthly > _amount(one.budget)
            table.add_row(
                *((one.label or "-",) if label else ()),
                one.namespace,
                one.kind,
                one.name,
                Text(amount, style="red" if over else "" if one.whole else "yellow"),
                one.budget,
                one.basis,
            )
        if len(group.lines) > 1:
            table.add_row(
                *blank,
                "",
                "",
                f"{' '.join(_words(key))}: {len(group.lines)} together",
                money(group.monthly),
                "",
                "",
                style="dim",
            )
    everything = Sum(tuple(lines))
    table.add_row(*blank, "", "", "total", money(everything.monthly), "", "", style="bold")
    console.print(table)
    if everything.lacking:
        console.print(
            f"{everything.lacking} of {len(lines)} lack a price or have not been looked at: status.cost.missing says what."
        )


def _words(key: Mapping[str, str]) -> Iterable[str]:
    return (text or "without label" for text in key.values())


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")
