"""An hour of chaos: many tables and clusters, random edits, drift, faults, kills and outages; afterwards everything must be as declared.

    python bench/chaos.py [--minutes 60] [--objects 200] [--seed 1] [--steps-per-minute 40] [--settle SECONDS] [--keep]

What is done is chosen by the seed before it begins: edits of objects, changes in AWS behind the operator's back, deleted tables and instances,
renamed clusters, objects deleted and made again, two objects of one identifier, faults of AWS, SIGKILL and SIGSTOP of the leader (of two replicas),
and an API server that is away or hangs. Then all faults are lifted, and after a bounded time must hold: every object is Ready and in sync, AWS is as
declared (read by this program, not by the operator), nothing in AWS is without its object or there twice, nothing of strangers was touched, no log
has a traceback; and when all objects are deleted, nothing is left. Prints what does not hold, and the steps, and ends with 1 when something does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from penstock_lab.aws.fast import FAST
from penstock_lab.chaos.run import Chaos, Outcome
from penstock_lab.lab import Lab

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def watch(chaos: Chaos, run: threading.Thread) -> None:
    """Show how far it is until it ends: a table on a terminal, a line every ten seconds elsewhere."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=2) as live:
            while run.is_alive():
                live.update(_state(chaos.state))
                time.sleep(0.5)
                chaos.read_logs()
        return
    while run.is_alive():
        chaos.read_logs()
        print("  ".join(f"{name} {value}" for name, value in chaos.state.items()), flush=True)
        run.join(10)


def _state(state: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    for name, value in state.items():
        table.add_row(name, str(value))
    return table


def result(outcome: Outcome) -> Table:
    """Each promise, and how often it does not hold."""
    table = Table(title=f"chaos, seed {outcome.seed}, {outcome.subjects} objects", box=None)
    for title in ("PROMISE", "HOLDS", "FOUND"):
        table.add_column(title)
    for promise, lines in outcome.problems.items():
        table.add_row(promise, "[red]no[/]" if lines else "[green]yes[/]", str(len(lines)) if lines else "")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps-per-minute", type=float, default=40)
    parser.add_argument(
        "--settle", type=float, default=600, help="seconds after the last fault until all must be as declared"
    )
    parser.add_argument("--steps", type=Path, help="write the steps, with what came of each, into this file")
    parser.add_argument("--keep", action="store_true", help="leave the lab up when something does not hold")
    options = parser.parse_args()
    name = f"chaos-{os.getpid()}"
    values = {"replicas": 2, "aws": {"rdsRequestsPerSecond": 40}}
    lab = Lab.up(name, aws_settings=FAST, values=values, postgres=False, owner=None if options.keep else os.getpid(), tell=print)  # fmt: skip
    holds = False
    try:
        chaos = Chaos(lab, seed=options.seed, objects=options.objects, seconds=options.minutes * 60, per_minute=options.steps_per_minute)  # fmt: skip
        failure: list[BaseException] = []

        def run() -> None:
            try:
                chaos.run(options.settle)
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        watch(chaos, thread)
        thread.join()
        outcome = chaos.outcome
        if options.steps:
            options.steps.write_text("\n".join(outcome.steps) + "\n")
        if failure:
            raise failure[0]
        holds = outcome.holds
        report(chaos)
    finally:
        if holds or not options.keep:
            lab.down()
        else:
            print(f"The lab {name} is still up; `penstock lab down --name {name}` takes it down.")
    return 0 if holds else 1


def report(chaos: Chaos) -> None:
    """The table; and where something does not hold, what, with the steps on the objects that it is about."""
    outcome = chaos.outcome
    console.print(result(outcome))
    print(f"{sum(outcome.actions.values())} steps: " + ", ".join(f"{n} {a}" for a, n in outcome.actions.items()))
    print(f"As declared {outcome.settled_s:.0f} s after the last fault; deleted in {outcome.removed_s:.0f} s.")
    if outcome.holds:
        return
    lines = [f"{promise}: {line}" for promise, found in outcome.problems.items() for line in found]
    print("\n" + "\n".join(lines))
    for subject in chaos.subjects:
        if any(f"{subject.title}:" in line or f"{subject.title}," in line for line in lines):
            print(f"\n{subject.title}\n" + "\n".join(subject.history))
    print(
        f"\nAgain: python bench/chaos.py --seed {outcome.seed} --objects {outcome.subjects} --minutes {chaos.seconds / 60:g}"
    )


if __name__ == "__main__":
    sys.exit(main())
