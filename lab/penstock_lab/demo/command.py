"""The command: plays the chapters in order, stops at the first that does not hold, and always takes the lab down."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .. import processes
from ..aws.client import LabAWSError
from ..kubelet import requirements
from ..lab import Lab
from ..state import LabError, State
from . import clusters, crash, failover, money, opening, tables
from .stage import NotHeld, Stage


@dataclass(frozen=True)
class Chapter:
    """One part of the story. play: raises NotHeld or LabError when it does not hold."""

    title: str
    play: Callable[[Stage], None]


CHAPTERS = (
    Chapter("What is missing is built", opening.binaries),
    Chapter("A lab comes up, the operator in it", opening.lab),
    Chapter("Manifests become tables", tables.creation),
    Chapter("An edit becomes a plan, and then a change", tables.edit),
    Chapter("What somebody else deletes comes back", tables.drift),
    Chapter("Mistakes are refused with sentences", tables.refusal),
    Chapter("Deleted with a final backup, and restored from it", tables.restore),
    Chapter("A manifest becomes an Aurora cluster", clusters.creation),
    Chapter("What somebody does in the console is seen, and set back", clusters.console),
    Chapter("A larger class waits for its window, or goes reader by reader", clusters.classes),
    Chapter("Readers come and go, the writer stays", clusters.scaling),
    Chapter("The writer is killed, and the application loses nothing", failover.application),
    Chapter("A drill proves it", failover.drill),
    Chapter("Killed in the middle of two creations", crash.creation),
    Chapter("Deleted with a final snapshot, and restored from it", clusters.restore),
    Chapter("A cluster with four mistakes", clusters.refusal),
    Chapter("A budget holds what would break it", money.budget),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--name", default="demo", show_default=True, help="The lab's name; one of that name goes first.")
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@click.option(
    "--kubelet/--no-kubelet",
    default=None,
    envvar="PENSTOCK_LAB_WITH_KUBELET",
    help="The operator in a container on a real kubelet, or as a process.  [default: a kubelet where root can have one]",
)
def demo(name: str, keep: bool, kubelet: bool | None) -> None:
    """Tell the whole story on a lab of its own, every step checked. Exits 1 at the first step that does not hold."""
    console = Console(highlight=False, soft_wrap=True)
    # Ctrl-C and a plain kill both end in the same way: with the lab taken down.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    obstacle = requirements.obstacle() if kubelet is None else ""
    stage = Stage(console, name=name, keep=keep, kubelet=not obstacle if kubelet is None else kubelet)
    if obstacle:
        console.print(f"The operator runs as a process: {obstacle}")
    try:
        code = _play(stage)
    except KeyboardInterrupt:
        console.print("\nInterrupted.")
        code = 130
    finally:
        _leave(stage)
    sys.exit(code)


def _play(stage: Stage) -> int:
    console = stage.console
    began, times = time.monotonic(), []
    for number, chapter in enumerate(CHAPTERS, 1):
        console.print()
        _heading(console, f"{number}/{len(CHAPTERS)}  {chapter.title}")
        start = time.monotonic()
        try:
            chapter.play(stage)
        except (NotHeld, LabError, LabAWSError) as failure:
            _tell_failure(stage, chapter, failure)
            return 1
        times.append((chapter.title, time.monotonic() - start))
    console.print()
    _heading(console, "Every step held")
    _summary(stage, times, time.monotonic() - began)
    return 0


def _heading(console: Console, text: str) -> None:
    if console.is_terminal:
        console.print(Rule(Text(text, style="bold magenta"), align="left", style="magenta"))
    else:
        console.print(f"== {text}")


def _summary(stage: Stage, times: list[tuple[str, float]], total: float) -> None:
    shown = Table(box=None, show_edge=False, pad_edge=False, header_style="bold")
    shown.add_column("CHAPTER", no_wrap=True)
    shown.add_column("SECONDS", justify="right")
    for title, seconds in times:
        shown.add_row(title, f"{seconds:.1f}")
    shown.add_row("All", f"{total:.1f}", style="bold")
    stage.console.print(shown)
    calls = stage.lab.aws.calls()
    stage.console.print(
        Text.assemble(
            ("\n✔ ", "bold green"),
            f"{stage.checks} checks in {stage.steps} steps held in {total:.0f} s; AWS was asked {calls['total']} times.",
        )
    )


def _tell_failure(stage: Stage, chapter: Chapter, failure: Exception) -> None:
    """What was expected, what was seen, and what helps to find out why."""
    console = stage.console
    if isinstance(failure, NotHeld):
        console.print(Text.assemble(("    ✘ ", "bold red"), failure.expected))
        console.print(Text(f"      {failure.got}", style="red"))
    else:
        console.print(Text.assemble(("    ✘ ", "bold red"), str(failure)))
    if stage.has_lab:
        with _best_effort():
            console.print("\nThe objects:")
            stage.show(stage.lab.kubectl("get", "ddb,aurora", "-A", "-o", "wide", check=False).stdout)
        with _best_effort():
            log = stage.lab.operator_logs()[-1]
            console.print("\nThe operator's last words:")
            for line in processes.tail(log, 15).splitlines():
                stage.show(_sentence(line))
    console.print(Text(f"\n✘ «{chapter.title}» does not hold.", style="bold red"))


@contextlib.contextmanager
def _best_effort() -> Iterator[None]:
    """The failure that is told must not be hidden by another one on the way."""
    with contextlib.suppress(LabError, OSError, IndexError):
        yield


def _sentence(line: str) -> str:
    """A JSON log line as a person reads it."""
    try:
        # containerd writes time, stream and a flag before the line.
        entry = json.loads(line[line.index("{") :])
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    facts = (entry.get(key) for key in ("time", "level", "object", "message"))
    return "  ".join(str(fact) for fact in facts if fact)


def _leave(stage: Stage) -> None:
    """Take the lab down, however the story ended; a second Ctrl-C does not leave half of it."""
    if State.load(stage.name) is None:
        return
    if stage.keep:
        stage.console.print(
            f'\nThe lab {stage.name} stays: eval "$(penstock lab env --name {stage.name})"; penstock lab down --name {stage.name}'
        )
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Lab.load(stage.name).down()
        stage.console.print(Text(f"The lab {stage.name} is down; nothing is left running.", style="dim"))
    except LabError as error:
        stage.console.print(Text(str(error), style="red"))
    finally:
        signal.signal(signal.SIGINT, before)
