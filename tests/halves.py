"""The lab tests in two halves at the same time, each in a lab of its own: they mostly wait, and one after the other they would take twice as long.

    python tests/halves.py [OPTIONS OF PYTEST]

The first half prints as it goes; what the second one printed follows. What failed is run once more when both are over, and must hold then: lab tests
wait for real processes with wide bounds, and what a busy machine makes fail must hold when it runs alone. Exits with 0 only if all of it held.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

LAB = Path(__file__).parent / "lab"
# About as long as the rest.
BESIDE = (
    "test_dynamo_*.py",
    "test_tables_*.py",
    "test_lab_*.py",
    "test_lost_lease.py",
    "test_ghosts.py",
    "test_chaos.py",
    "test_plan_command.py",
    "test_spend.py",
)
NOTHING_SELECTED = 5


def pytest(half: str, *arguments: str) -> list[str]:
    """The command of one half; each remembers by itself what failed."""
    return [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir=.pytest_cache/{half}", *arguments]


def held(half: str, status: int) -> bool:
    if status in (0, NOTHING_SELECTED):
        return True
    print(f"\n--- once more and alone: what failed in the {half} half", flush=True)
    again = pytest(half, "--last-failed", "--last-failed-no-failures", "none", str(LAB))
    return subprocess.run(again, check=False).returncode == 0


def main(options: list[str]) -> int:
    beside = sorted(str(path) for pattern in BESIDE for path in LAB.rglob(pattern))
    rest = sorted(str(path) for path in LAB.rglob("test_*.py") if str(path) not in beside)
    with tempfile.TemporaryFile("w+") as printed:
        second = subprocess.Popen(
            pytest("second", "--durations=10", *beside, *options), stdout=printed, stderr=subprocess.STDOUT
        )
        try:
            first = subprocess.run(pytest("first", "--durations=10", *rest, *options), check=False).returncode
        finally:
            print("\n--- the second half, which ran beside it", flush=True)
            # Ctrl-C reaches both; each takes its lab down before it ends.
            second.wait()
            printed.seek(0)
            print(printed.read(), flush=True)
    kept = [held("first", first), held("second", second.returncode)]
    return 0 if all(kept) and not first == second.returncode == NOTHING_SELECTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
