"""`penstock lab fault kill|freeze|partition|delay|fill-connections|heal` and `penstock lab nodes`, for the databases of a lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

Decorator = Callable[[Any], Any]
# Of the faults' names on the command line: the kind, what it does, and what --seconds means there.
_FAULTS = {
    "kill": ("kill", "kill -9 of a database node; by default the writer.", None),
    "freeze": ("freeze", "SIGSTOP of a database node; by default the writer.", "End by itself after so long."),
    "partition": ("partition", "Cut a node from everybody; by default a reader.", "End by itself after so long."),
    "delay": ("delay", "Readers show what they receive later; by default all of them.", "How much later."),
    "fill-connections": (
        "connections",
        "Take all connection slots of a node; by default the writer's.",
        "End by itself after so long.",
    ),
}


def add_commands(
    lab: click.Group, fault: click.Group, control: Callable[[str, str, dict[str, Any]], Any], common: Decorator
) -> None:
    """Adds them to the groups. ``control(lab, action, body)`` asks the lab; ``common`` is what each command has."""
    screen = Console(highlight=False, soft_wrap=True)
    for command, (kind, text, meaning) in _FAULTS.items():
        _add_fault(fault, command, kind, text, meaning, control, common, screen)

    @fault.command(help="End what was done to a cluster's nodes: thaw, connect, catch up, let go.")
    @click.argument("cluster")
    @click.option("--instance", help="This one alone.")
    @common
    def heal(name: str, cluster: str, instance: str | None) -> None:
        answer = control(name, "heal", {"cluster": cluster, "instance": instance})
        screen.print(f"healed: {', '.join(answer['healed']) or 'nothing'}")

    @lab.command(help="The database nodes behind an Aurora cluster: roles, processes, addresses, lag.")
    @click.argument("cluster")
    @common
    def nodes(name: str, cluster: str) -> None:
        answer = control(name, "nodes", {"cluster": cluster})
        screen.print(f"Cluster [bold]{answer['cluster']}[/]: writer {answer['writer_endpoint']}, ", end="")
        screen.print(f"readers {answer['reader_endpoint']}\n")
        table = Table(box=None, show_edge=False, pad_edge=False, header_style="bold")
        for title in ("INSTANCE", "ROLE", "PID", "PORT", "ENDPOINT", "LAG", "STATE"):
            table.add_column(title, no_wrap=True)
        for one in answer["nodes"]:
            lag = "" if one["lag_ms"] is None or one["role"] == "writer" else f"{one['lag_ms']:.0f} ms"
            table.add_row(
                one["instance"], one["role"], str(one["pid"] or ""), str(one["port"]), one["endpoint"], lag, _state(one)
            )
        screen.print(table)


def _state(one: dict[str, Any]) -> str:
    if one["frozen"] or one["partitioned"]:
        return "[red]frozen[/]" if one["frozen"] else "[red]partitioned[/]"
    if one["pid"] is None:
        return "[red]ended[/]"
    if not one["joined"]:
        return "[yellow]joining[/]"
    return "[green]serves[/]" if one["answers"] else "[red]silent[/]"


def _add_fault(
    fault: click.Group,
    command: str,
    kind: str,
    text: str,
    meaning: str | None,
    control: Callable[[str, str, dict[str, Any]], Any],
    common: Decorator,
    screen: Console,
) -> None:
    def run(name: str, cluster: str, instance: str | None, seconds: float | None = None) -> None:
        body = {"cluster": cluster, "kind": kind, "instance": instance, "seconds": seconds}
        answer = control(name, "fault", {key: value for key, value in body.items() if value is not None})
        screen.print(f"{kind}: {answer.get('instance', answer['cluster'])}")

    options = [click.argument("cluster"), click.option("--instance", help="This one, such as orders-1.")]
    if meaning:
        flag = "--seconds" if kind == "delay" else "--for"
        options.append(click.option(flag, "seconds", type=click.FloatRange(0), required=kind == "delay", help=meaning))
    decorated = common(run)
    for option in reversed(options):
        decorated = option(decorated)
    fault.command(name=command, help=text)(decorated)
