"""Runs the public suite dynamodb-conformance against the lab's AWS endpoint and prints what passed, by tier.

    git clone https://github.com/nubo-db/dynamodb-conformance /somewhere/else && (cd /somewhere/else && npm install)
    python bench/conformance.py --suite /somewhere/else [--failures] [tests/tier2/partiql …]

The suite is no part of this repository. What its last run gave stands in architecture.md, "The lab".
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

TIERS = {"tier1": "core", "tier2": "complete", "tier3": "strict"}
# States last long enough to be seen and no longer. The suite switches time to live on and off within a test.
SETTINGS = {
    "table_create_s": 0.3,
    "table_update_s": 0.3,
    "table_delete_s": 0.3,
    "index_allocate_s": 0.2,
    "index_create_s": 0.5,
    "index_delete_s": 0.3,
    "stream_enable_s": 0.2,
    "ttl_change_s": 0.1,
}


def run(suite: Path, filters: list[str]) -> list[tuple[str, str, str, str]]:
    """Each test's tier, file, name, and why it failed ("" for passed, "skipped")."""
    with tempfile.TemporaryDirectory() as folder:
        (settings := Path(folder, "settings.json")).write_text(json.dumps(SETTINGS))
        endpoint = subprocess.Popen(
            [sys.executable, "-m", "penstock_lab.aws", "--port", "0", "--settings", str(settings)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert endpoint.stdout is not None
        try:
            url = json.loads(endpoint.stdout.readline())["url"]
            report = Path(folder, "report.json")
            subprocess.run(
                ["npx", "vitest", "run", "--reporter=json", f"--outputFile={report}", *filters],
                cwd=suite,
                env=os.environ | {"DYNAMODB_ENDPOINT": url},
                stdout=subprocess.DEVNULL,
                check=False,
            )
            return [
                _test(suite, file["name"], test)
                for file in json.loads(report.read_text())["testResults"]
                for test in file["assertionResults"]
            ]
        finally:
            endpoint.send_signal(signal.SIGTERM)
            endpoint.wait(timeout=10)


def _test(suite: Path, file: str, test: dict[str, Any]) -> tuple[str, str, str, str]:
    path = Path(file).relative_to(suite.resolve())
    why = "" if test["status"] == "passed" else "\n".join(test["failureMessages"]) or "skipped"
    return TIERS.get(path.parts[1], path.parts[1]), str(path), test["fullName"], why


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, required=True, help="a checkout of the suite, its packages installed")
    parser.add_argument("--failures", action="store_true", help="name each test that failed, and why")
    parser.add_argument("filters", nargs="*", help="only the test files whose path contains one of these")
    options = parser.parse_args()
    tests = run(options.suite, options.filters)
    console = Console()
    if options.failures:
        for tier, path, name, why in tests:
            if why:
                print(f"{tier} {path}\n  {name}\n    {why.splitlines()[0] if why else ''}")
    table = Table("tier", "tests", "passed", "failed", "skipped", "share")
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for tier, _, _, why in tests:
        for row in (tier, "all"):
            counts[row, "tests"] += 1
            counts[row, "skipped" if why == "skipped" else "failed" if why else "passed"] += 1
    for row in (*TIERS.values(), "all"):
        if total := counts[row, "tests"]:
            numbers = [str(counts[row, kind]) for kind in ("tests", "passed", "failed", "skipped")]
            table.add_row(row, *numbers, f"{counts[row, 'passed'] / total:.1%}")
    console.print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
