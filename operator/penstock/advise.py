"""`penstock advise -f`: which shapes keep the objectives of manifests within a budget, before anything exists; asks neither AWS nor a cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.advice import changes
from penstock.advice import cluster as clusters
from penstock.advice import table as tables
from penstock.advice.clusters import Choice, Cost, Question
from penstock.advice.tables import Way
from penstock.api.auroracluster import AuroraCluster
from penstock.api.dynamotable import DynamoTable
from penstock.api.model import Problem
from penstock.api.parsing import parse
from penstock.api.quantities import Money
from penstock.cost import aurora as cluster_rates
from penstock.cost import dynamo as table_rates
from penstock.cost.estimate import money
from penstock.cost.prices import bundled
from penstock.engine import hibernation
from penstock.engine.kind import Object
from penstock.manifests import manifests

FITS, FAILED, NONE_FITS = 0, 1, 3
_KINDS = ("DynamoTable", "AuroraCluster")
_SHOWN = 10
# Of a table that goes into a file.
_WIDTH = 160


def advise(
    files: Sequence[str], region: str, budget: Decimal | None, storage_budget: Decimal | None, output: str, today: date
) -> int:
    """Print what fits for every object of the files. Returns the exit status: 0 something fits, 3 nothing does, 1 an error."""
    answers = []
    for source, manifest in manifests(files, _KINDS):
        if isinstance(manifest, Problem):
            answers.append({"object": source, "problems": [str(manifest)]})
        else:
            answers.append(_answer(manifest, region, budget, storage_budget, today))
    if output == "json":
        sys.stdout.write(json.dumps([{k: v for k, v in a.items() if k != "columns"} for a in answers], indent=2) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)
        for number, answer in enumerate(answers):
            if number:
                console.print()
            _print(console, answer)
    if any("problems" in a for a in answers):
        return FAILED
    return FITS if all(a["fits"] for a in answers) else NONE_FITS


def _answer(
    manifest: Object, region: str, budget: Decimal | None, storage_budget: Decimal | None, today: date
) -> dict[str, Any]:
    name = f"{manifest['kind']}/{manifest['metadata'].get('namespace', 'default')}/{manifest['metadata']['name']}"
    found = parse(manifest)
    if isinstance(found, list):
        return {"object": name, "problems": [str(p) for p in found]}
    assert isinstance(found, AuroraCluster | DynamoTable), "only these kinds are read from the files"
    spec = found.spec
    unclear = hibernation.problems(spec.hibernation)
    if unclear:
        return {"object": name, "problems": [str(p) for p in unclear]}
    own = spec.cost.monthly_budget if spec.cost else None
    limit = budget if budget is not None else _amount(own)
    where = spec.region or region
    if bundled(where).collected is None:
        sentence = (
            f"No prices of {where} are known: there is a catalogue for us-east-1 only. Write --region us-east-1, or spec.region, to see "
            "its figures."
        )
        return {"object": name, "problems": [sentence]}
    head = {
        "object": name,
        "region": where,
        "priceSource": bundled(where).source,
        "budget": money(limit) if limit is not None else None,
        "storageBudget": money(storage_budget) if storage_budget is not None else None,
    }
    if isinstance(found, AuroraCluster):
        return {**head, **_cluster(found, where, limit, storage_budget, today)}
    return {**head, **_table(found, where, limit, storage_budget)}


def _amount(text: Money | None) -> Decimal | None:
    return text.value if text is not None else None


def _cluster(
    found: AuroraCluster, region: str, budget: Decimal | None, storage_budget: Decimal | None, today: date
) -> dict[str, Any]:
    spec, catalogue = found.spec, bundled(region)
    asked = clusters.question(spec, clusters.expected(spec), catalogue, today)
    now = clusters.present(spec, cluster_rates.declared(spec, found.cluster_identifier))
    fit = clusters.fit(asked, now, budget, storage_budget)
    cost = asked.cost(now) if now is not None else None
    lacks = list(clusters.lacks(asked, now)) if now is not None else []
    return {
        "objectives": list(asked.asked.names),
        "declared": _declared(asked, now, cost, lacks, budget, storage_budget),
        "fits": [_shape(asked, now, c, paid, budget) for c, paid in fit.shapes],
        "nearest": _shape(asked, now, *fit.nearest, budget) if fit.nearest else None,
        "gives": _cluster_gives(asked, now, fit, budget, storage_budget),
        "assumptions": _assumptions(asked),
        "columns": ["INSTANCES", "STORAGE", "I/O"],
    }


def _declared(
    asked: Question,
    now: Choice | None,
    cost: Cost | None,
    lacks: list[str],
    budget: Decimal | None,
    storage_budget: Decimal | None,
) -> dict[str, Any] | None:
    if now is None:
        return None
    if cost is None:
        return {"shape": changes.words(now), "lacks": [clusters.unpriced(asked, now), *lacks]}
    short = _short(cost.total, cost.storage, budget, storage_budget)
    return {
        "shape": changes.words(now),
        "monthly": money(cost.total),
        **changes.arithmetic(asked, now, cost),
        "lacks": [*lacks, *short],
    }


def _short(total: Decimal, storage: Decimal, budget: Decimal | None, storage_budget: Decimal | None) -> list[str]:
    """How much of a budget is lacking, in clauses."""
    found = []
    if budget is not None and total > budget:
        found.append(f"it is ${money(total - budget)} over the budget of ${money(budget)}")
    if storage_budget is not None and storage > storage_budget:
        found.append(f"its storage is ${money(storage - storage_budget)} over the ${money(storage_budget)} for storage")
    return found


def _shape(asked: Question, now: Choice | None, choice: Choice, cost: Cost, budget: Decimal | None) -> dict[str, Any]:
    left = {"left": money(budget - cost.total)} if budget is not None else {}
    return {
        "shape": changes.words(choice),
        "monthly": money(cost.total),
        **left,
        **changes.arithmetic(asked, choice, cost),
        "checked": list(changes.checked(asked, choice)),
        "patch": changes.patch(asked, now, choice) if now is not None else {},
    }


def _cluster_gives(
    asked: Question,
    now: Choice | None,
    fit: clusters.Fit,
    budget: Decimal | None,
    storage_budget: Decimal | None,
) -> list[str]:
    if fit.shapes:
        return []
    found = []
    if asked.asked.impossible:
        found.append(f"{asked.asked.impossible}.")
    if fit.nearest is not None:
        choice, cost = fit.nearest
        if budget is not None and cost.total > budget:
            found.append(f"A budget of ${money(cost.total)} instead of ${money(budget)}: {changes.words(choice)}.")
        if storage_budget is not None and cost.storage > storage_budget:
            found.append(
                f"Storage: {changes.arithmetic(asked, choice, cost)['storage']}, ${money(cost.storage - storage_budget)} too much."
            )
    elif not asked.asked.impossible and now is not None:
        found += [f"{reason}." for reason in dict.fromkeys(asked.lacks(now))]
    if fit.awake is not None and now is not None:
        choice, mean = fit.awake
        told = changes.number(mean)
        found.append(
            f"A cluster that pauses: {changes.words(choice)} fits if each instance has at most {told} ACUs on average; if so, write "
            f"spec.cost.expectedUsage.averageCapacity: {told}."
        )
    for give in fit.gives:
        verdict = (
            "fits"
            if give.fits
            else f"still ${money(give.cost.total - budget)} over"
            if budget is not None and give.cost.total > budget
            else "still too much storage"
        )
        found.append(
            f"{give.what[0].upper()}{give.what[1:]}: {changes.words(give.choice)}, ${money(give.cost.total)} a month, {verdict}."
        )
    return found


def _assumptions(asked: Question) -> list[str]:
    demand, found = asked.demand, []
    if asked.asked.measured:
        told = ", ".join(asked.asked.measured)
        found.append(
            f"AWS promises {told} for no shape: whether a shape keeps it only spec.probe and a FailoverDrill show."
        )
    if demand.writer is None:
        found.append(
            "No load is told, so every class is taken to carry it, and serverless instances to have their least capacity all month: "
            "write spec.cost.expectedUsage.averageCapacity (Aurora capacity units, 2 GiB each)."
        )
    if demand.storage is None:
        found.append("Storage is not counted: write spec.cost.expectedUsage.storage.")
    if demand.io is None:
        found.append("I/O requests are not counted: write spec.cost.expectedUsage.ioPerSecond.")
    found.append("Not counted: backups beyond the size of the cluster, logs, data transfer, CPU credits.")
    return found


def _table(found: DynamoTable, region: str, budget: Decimal | None, storage_budget: Decimal | None) -> dict[str, Any]:
    spec, catalogue = found.spec, bundled(region)
    shape = table_rates.declared(spec)
    if spec.cost is not None and spec.cost.expected_usage is not None and spec.cost.expected_usage.storage is not None:
        shape = table_rates.declared(spec, shape)
    asked = tables.ask(spec, shape, tables.expected(spec, shape), catalogue)
    now = tables.present(spec, shape)
    cost = asked.cost(now)
    fit = tables.fit(asked, budget, storage_budget)

    def told(way: Way, paid: Decimal) -> dict[str, Any]:
        left = {"left": money(budget - paid)} if budget is not None else {}
        stored = tables.stored(asked, way)
        return {
            "shape": tables.words(way),
            "monthly": money(paid),
            **left,
            "capacity": money(paid - stored),
            "storage": money(stored),
            "patch": tables.patch(spec, now, way),
        }

    gives = []
    if not fit.ways and fit.nearest is not None:
        stored = tables.stored(asked, fit.nearest[0])
        gives = [
            f"{c[0].upper()}{c[1:]}: {tables.words(fit.nearest[0])}."
            for c in _short(fit.nearest[1], stored, budget, storage_budget)
        ]
    assumptions = [
        "The load is taken to be even over the month: what comes in bursts needs more provisioned units, and then on demand costs less."
    ]
    if not (spec.cost and spec.cost.expected_usage):
        assumptions = ["No load is told, so requests are not counted: write spec.cost.expectedUsage."]
    lacks = asked.lacks(now)
    if cost is not None:
        lacks = [*lacks, *_short(cost, tables.stored(asked, now), budget, storage_budget)]
    return {
        "objectives": [asked.latency] if asked.latency else [],
        "declared": {"shape": tables.words(now), "monthly": money(cost) if cost is not None else None, "lacks": lacks},
        "fits": [told(way, paid) for way, paid in fit.ways],
        "nearest": told(*fit.nearest) if fit.nearest else None,
        "gives": gives,
        "assumptions": [
            *assumptions,
            "Not counted: backups, streams, Contributor Insights, warm throughput, the free tier.",
        ],
        "columns": ["CAPACITY", "STORAGE"],
    }


def _print(console: Console, answer: dict[str, Any]) -> None:
    console.print(Text(answer["object"], style="bold"))
    if "problems" in answer:
        for problem in answer["problems"]:
            console.print(Text(f"  ! {problem}", style="red"))
        return
    console.print(f"  asked for   {_asked(answer)}")
    declared = answer["declared"]
    if declared is not None:
        amount = f", ${declared['monthly']} a month" if declared.get("monthly") else ""
        verdict = f": {'; '.join(declared['lacks'])}" if declared["lacks"] else ": it fits"
        console.print(
            Text(f"  declared    {declared['shape']}{amount}{verdict}", style="red" if declared["lacks"] else "green")
        )
    if answer["fits"]:
        console.print(f"  {len(answer['fits'])} fit{'s' if len(answer['fits']) == 1 else ''}, the cheapest first:")
        _print_shapes(console, answer, answer["fits"][:_SHOWN])
        more = len(answer["fits"]) - _SHOWN
        if more > 0:
            console.print(f"  and {more} more; -o json prints all of them")
        if answer["fits"][0]["patch"].get("spec"):
            console.print(f"  the first, as a merge patch of the manifest: {json.dumps(answer['fits'][0]['patch'])}")
    else:
        console.print(Text("  None fits." + (" The nearest:" if answer["nearest"] else ""), style="red"))
        if answer["nearest"]:
            _print_shapes(console, answer, [answer["nearest"]])
        if answer["gives"]:
            console.print("  What would have to give:")
            for sentence in answer["gives"]:
                console.print(f"  - {sentence}")
    for sentence in answer["assumptions"]:
        console.print(Text(f"  {sentence}", style="dim"))
    console.print(Text(f"  Prices of {answer['region']}: {answer['priceSource']}.", style="dim"))


def _asked(answer: dict[str, Any]) -> str:
    limits = [f"${answer['budget']} a month"] if answer["budget"] else []
    limits += [f"${answer['storageBudget']} a month for storage"] if answer["storageBudget"] else []
    return ", ".join([*answer["objectives"], *limits]) or "nothing: no objectives and no budget"


def _print_shapes(console: Console, answer: dict[str, Any], shapes: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("SHAPE")
    for head in answer["columns"]:
        table.add_column(head)
    table.add_column("USD/MONTH", justify="right")
    if answer["budget"]:
        table.add_column("LEFT", justify="right")
    names = {"INSTANCES": "instances", "STORAGE": "storage", "I/O": "io", "CAPACITY": "capacity"}
    for shape in shapes:
        row = [" ", shape["shape"], *(shape[names[head]] for head in answer["columns"]), shape["monthly"]]
        table.add_row(*row, *([shape["left"]] if answer["budget"] else []))
    console.print(table)
