"""What the cost of 1,000 objects takes: CPU of one pass over all of them, and the writes that an idle hour makes.

    python bench/cost.py [--count N] [--out FILE.json]

A cost pass is what every pass over an object does for money: the estimate as it is declared, what was spent by its hours and by CloudWatch's metrics,
what goes onto the status, whether an annotation is due, and the position in the books of a budget that covers all. 700 tables and 300 clusters.
Exits 1 when it takes a second of CPU or more, or when anything would be written though nothing moved by more than 1 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from penstock.api.auroracluster import AuroraClusterSpec
from penstock.api.costbudget import CostBudgetSpec
from penstock.api.dynamotable import DynamoTableSpec
from penstock.aurora import spending as cluster_spending
from penstock.aws.rds import Cluster, Instance
from penstock.aws.series import Point, Query
from penstock.budget import sums
from penstock.budget.hold import Position, Subject, judge
from penstock.cost import aurora, dynamo, spend
from penstock.cost import estimate as estimates
from penstock.cost.prices import bundled
from penstock.cost.spend import Ledger, Meter, Reading
from penstock.engine.annotations import CostAnnotations
from penstock.engine.kind import Key
from penstock.engine.plan import Plan

CREATED = datetime(2026, 9, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
USAGE = {"cost": {"expectedUsage": {"readsPerSecond": 50, "writesPerSecond": 10, "itemSize": "1Ki", "storage": "10Gi"}}}
KEY = {"partition": {"name": "id", "type": "String"}}


class Thing:
    """One object with all that its pass has at hand."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.table = number % 10 < 7
        self.key = Key("DynamoTable" if self.table else "AuroraCluster", "shop", f"o{number}")
        self.obj: dict[str, Any] = {
            "metadata": {"name": self.key.name, "namespace": "shop", "generation": 1, "annotations": {}},
            "status": {"observedGeneration": 1},
        }
        self.ledger: Ledger | None = None
        self.position = Position()
        if self.table:
            index = {"name": "a", "partition": {"name": "a", "type": "String"}, "projection": {"type": "All"}}
            self.spec: Any = DynamoTableSpec.model_validate({"key": KEY, "globalIndexes": [index], **USAGE})
            self.shape: Any = dynamo.declared(self.spec)
            query = spend_query(self.key.name)
            self.meters: tuple[Meter, ...] = (
                Meter("on-demand writes", "dynamodb.standard.write-request", (query[0],), spend.How.COUNT),
                Meter("on-demand reads", "dynamodb.standard.read-request", (query[1],), spend.How.COUNT),
            )
        else:
            engine = {"type": "AuroraPostgreSQL", "version": "15.10"}
            self.spec = AuroraClusterSpec.model_validate(
                {"engine": engine, "instances": {"class": "db.t4g.medium", "readers": 1}}
            )
            self.shape = aurora.declared(self.spec, self.key.name)
            members = [Instance(identifier=f"{self.key.name}-{n}", instance_class="db.t4g.medium") for n in (1, 2)]
            self.meters = cluster_spending.meters(Cluster(identifier=self.key.name), members)

    def reading(self, at: datetime, factor: float) -> Reading:
        first = spend.window(at)
        days = [first + timedelta(days=n) for n in range((at - first).days + 1)]
        return Reading(at, {q: tuple(Point(d, 1e6 * factor) for d in days) for m in self.meters for q in m.queries})


def spend_query(name: str) -> list[Any]:
    return [
        Query("AWS/DynamoDB", metric, (("TableName", name),), "Sum", spend.DAY)
        for metric in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits")
    ]


def passes(things: list[Thing], readings: dict[int, Reading], now: datetime, annotations: CostAnnotations) -> int:
    """One pass over each. Returns how many writes it would make."""
    writes = 0
    catalogue, today = bundled("us-east-1"), date(2026, 11, 20)
    for thing in things:
        usage = thing.spec.cost.expected_usage if thing.spec.cost else None
        module: Any = dynamo if thing.table else aurora
        declared = module.estimate(thing.shape, usage, catalogue, today)
        running = module.estimate(thing.shape, None, catalogue, today)
        rate = spend.hourly(running, now)
        thing.ledger = spend.advanced(thing.ledger, CREATED, now, rate)
        found = spend.spend(thing.ledger, rate, thing.meters, readings[thing.number], catalogue, CREATED)
        known = thing.obj["status"].get("cost") or {}
        cost = estimates.told(declared, thing.obj["status"], 1)
        cost = spend.told(cost, known, found, Decimal("0.0292"), now=False)
        if cost != known:
            writes += 1
            thing.obj["status"]["cost"] = cost
        money = spend.as_money(declared, found)
        thing.position = judge(Subject("x", "x"), Plan(), money, thing.position, []).position
        due = annotations.due(thing.key, thing.obj, money, Decimal(0), now)
        if due:
            writes += 1
            thing.obj["metadata"]["annotations"].update({k: v for k, v in due.items() if v is not None})
            annotations.wrote(thing.key, now)
    return writes


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--out", type=Path)
    told = options.parse_args()
    things = [Thing(n) for n in range(told.count)]
    annotations = CostAnnotations()
    budget = CostBudgetSpec.model_validate({"monthlyLimit": "1000000"})
    status: dict[str, Any] = {}

    def summed(now: datetime) -> int:
        nonlocal status
        covered = sums.added((t.key, t.position) for t in things)
        report = sums.report({"metadata": {}, "status": status}, budget, covered, now)
        changed = dict(report.fields) != {k: status[k] for k in report.fields if k in status}
        status = dict(report.fields)
        return int(changed)

    first = {t.number: t.reading(NOON, 1.0) for t in things}
    made = passes(things, first, NOON, annotations) + summed(NOON)
    # Half of a percent more was used, and seven minutes passed.
    later = NOON + timedelta(minutes=7)
    moved = {t.number: t.reading(later, 1.005) for t in things}
    began = time.process_time()
    idle = passes(things, moved, later, annotations) + summed(later)
    seconds = time.process_time() - began
    found = {
        "objects": told.count,
        "cpuSeconds": round(seconds, 3),
        "writesAtFirst": made,
        "writesWhenNothingMovedByMoreThanOnePercent": idle,
    }
    print(json.dumps(found, indent=2))
    if told.out:
        told.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if seconds < 1 and idle == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
