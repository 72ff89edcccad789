"""Whether the advisor finds the cheapest shape, against trying everything, on 10,000 random clusters and 10,000 random tables; and how long it takes.

    python bench/advice.py [--cases N] [--out FILE.json]

Whoever tries everything is written apart from the advisor (tests/unit/advice_cases.py): it prices by the estimate that stands on objects and judges
by the rules that docs/operations.md documents. A case must agree to the last digit. Times are those of a search over all that there is: every class
of the catalogue, 0 to 15 readers, both storage types and serverless of a cluster, 336 hours and five indexes of a table. The cases that are tried are
smaller, so that all of each can be tried. Time is that of the processor: the advisor waits for nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "unit"))

from advice_cases import (  # noqa: E402
    CATALOGUE,
    best_cluster,
    best_table,
    breaks_table,
    cluster_case,
    every_cluster,
    keeps,
    price,
    table_case,
)

from penstock.advice import clusters, tables  # noqa: E402

BOUND_MILLISECONDS = 100


def of_clusters(cases: int) -> dict[str, Any]:
    """Every case both ways, and its search over the whole price table."""
    wrong, without, shapes, times = [], 0, 0, []
    whole = clusters.space(CATALOGUE)
    for seed in range(cases):
        question, where = cluster_case(random.Random(seed))
        found = clusters.search(question, where)
        best = best_cluster(question, where)
        shapes += sum(1 for _ in every_cluster(question, where))
        without += best is None
        if (found[0][1].total if found else None) != best or any(not keeps(question, c) for c, _ in found):
            wrong.append(seed)
        if found and found[0][1].total != price(question, found[0][0]):
            wrong.append(seed)
        began = time.process_time()
        clusters.search(question, whole)
        times.append(time.process_time() - began)
    return {"cases": cases, "shapesTried": shapes, "nothingFits": without, "wrong": wrong, **_milliseconds(times)}


def of_tables(cases: int) -> dict[str, Any]:
    wrong = []
    for seed in range(cases):
        ask = table_case(random.Random(seed))
        found = tables.search(ask)
        if not found or found[0][1] != best_table(ask) or any(breaks_table(ask, way) for way, _ in found):
            wrong.append(seed)
    whole = []
    for seed in range(100):
        ask = _large(random.Random(seed))
        began = time.process_time()
        tables.search(ask)
        whole.append(time.process_time() - began)
    return {"cases": cases, "wrong": wrong, **_milliseconds(whole)}


def _large(random_: random.Random) -> tables.Ask:
    """A table with five indexes and two weeks of hours."""

    def flow() -> tables.Flow:
        hours = tuple(Decimal(random_.randint(0, 9000)) / 10 for _ in range(336))
        return tables.Flow(sum(hours, Decimal(0)) / 336, hours)

    names = ("", *(f"index-{n}" for n in range(5)))
    uses = {name: tables.Use(flow(), flow(), random_.randint(0, 10**12)) for name in names}
    return tables.Ask(uses, CATALOGUE, recovery=True)


def _milliseconds(times: list[float]) -> dict[str, Any]:
    ordered = sorted(times)
    return {
        "milliseconds": {
            "median": round(ordered[len(ordered) // 2] * 1000, 2),
            "p99": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
            "most": round(ordered[-1] * 1000, 2),
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "advice.json")
    options = parser.parse_args()
    found = {
        "boundMilliseconds": BOUND_MILLISECONDS,
        "clusters": of_clusters(options.cases),
        "tables": of_tables(options.cases),
    }
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if found["clusters"]["wrong"] or found["tables"]["wrong"]:
        raise SystemExit("the advisor and trying everything disagree")
    if any(found[kind]["milliseconds"]["most"] > BOUND_MILLISECONDS for kind in ("clusters", "tables")):
        raise SystemExit(f"a case takes more than {BOUND_MILLISECONDS} ms")


if __name__ == "__main__":
    main()
