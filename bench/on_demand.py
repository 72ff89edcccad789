"""Whether the actual cost on the object follows what was used: a million mixed reads and writes of mixed sizes in the lab, against the exact sum.

    python bench/on_demand.py [--operations N] [--out FILE.json]

The sum is worked out item by item from DynamoDB's published rules (tests/lab/mixed.py), beside the lab, which counts consumed capacity by itself,
and the operator, which reads it from CloudWatch. Exits 1 when they are further apart than 2 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lab"))

from declared import Declared, client, index
from mixed import INDEX, load

from penstock_lab.lab import Lab

ALLOWED = Decimal("0.02")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--operations", type=int, default=1_000_000)
    options.add_argument("--threads", type=int, default=8)
    options.add_argument("--out", type=Path)
    told = options.parse_args()
    lab = Lab.up("bench-on-demand")
    try:
        table = Declared(
            lab, "default", {"globalIndexes": [index(INDEX, "kind")], "pointInTimeRecovery": {"enabled": False}}
        )
        table.settled()
        began = time.monotonic()
        units = load(client(lab.aws_url, "dynamodb"), table.table, told.operations, threads=told.threads)
        seconds = time.monotonic() - began
        table.look()
        cost = table.until(lambda: "monthToDate" in table.status["cost"], "it is told").status["cost"]
        used = sum((Decimal(line["amount"]) for line in cost["spent"] if "on-demand" in line["name"]), Decimal(0))
        found = {
            "operations": units.operations,
            "seconds": round(seconds, 1),
            "writeUnits": str(units.writes),
            "indexWriteUnits": str(units.index_writes),
            "readUnits": str(units.reads),
            "exactUsd": f"{units.usd:.6f}",
            "onTheObjectUsd": f"{used:.6f}",
            "monthToDate": cost["monthToDate"],
            "apartPercent": f"{100 * abs(used - units.usd) / units.usd:.4f}",
        }
    finally:
        lab.down()
    print(json.dumps(found, indent=2))
    if told.out:
        told.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if abs(used - units.usd) <= ALLOWED * units.usd else 1


if __name__ == "__main__":
    sys.exit(main())
