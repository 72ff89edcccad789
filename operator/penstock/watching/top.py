"""`penstock top`: the clusters, live in a terminal, the worst first; or once, as plain text for a pipe."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock.engine.kind import Object
from penstock.engine.kube import Kube, KubeError
from penstock.watching.reading import CLUSTERS, DRILLS
from penstock.watching.rows import Health, Line, Sort, lines, ordered

_STYLE = {Health.GOOD: "", Health.ODD: "yellow", Health.BAD: "bold red"}
_HEAD = (
    "CLUSTER",
    "READY",
    "REASON",
    "WRITER",
    "READERS",
    "LAG",
    "CONNECT",
    "LAST FAILOVER",
    "OBJECTIVES",
    "DRILL",
    "COST/MO",
)
_RIGHT = ("READERS", "LAG", "CONNECT", "COST/MO")
# Reading must never take more than this part of the time: with a thousand clusters the view gets slower, not the API server.
_SHARE = 0.2
# On a narrow terminal these columns go, one after the other, before any is cut.
_SPARED = ("CONNECT", "DRILL", "OBJECTIVES", "COST/MO", "READERS", "READY")
# Lines of the screen that are not clusters: title, head, its rule, the end.
_AROUND = 5


@dataclass(frozen=True)
class View:
    """What to show. namespace: '' for all. selector: as kubectl -l takes it. interval: seconds between two looks, at least."""

    namespace: str = ""
    selector: str = ""
    sort: Sort = Sort.STATE
    interval: float = 2.0


async def top(view: View, *, once: bool) -> None:
    """Show until interrupted, or once. Raises KubeError when the first look fails; later ones are told and tried again."""
    kube = await Kube.connect()
    try:
        console = Console(highlight=False)
        found = await _read(kube, view)
        if once or not console.is_terminal:
            plain(found)
            return
        await _live(kube, view, console, found)
    finally:
        await kube.close()


def plain(found: Sequence[Line]) -> None:
    """All clusters, one a line, in columns that a script can cut."""
    if not found:
        Console(highlight=False, soft_wrap=True).print("no AuroraCluster found", style="dim")
        return
    rows = [_HEAD, *(_cells(line) for line in found)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for row in rows:
        out.print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def _read(kube: Kube, view: View) -> list[Line]:
    clusters = await kube.list_all(CLUSTERS, view.namespace, selector=view.selector)
    drills: list[Object] = []
    # Whoever may see clusters need not see drills.
    with contextlib.suppress(KubeError):
        drills = await kube.list_all(DRILLS, view.namespace)
    return ordered(lines(clusters, drills, datetime.now(UTC)), view.sort)


async def _live(kube: Kube, view: View, console: Console, found: list[Line]) -> None:
    loop = asyncio.get_running_loop()
    trouble = ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(found, view, *console.size, trouble), refresh=True)
            began = loop.time()
            try:
                found, trouble = await _read(kube, view), ""
            except KubeError as error:
                trouble = str(error)
            took = loop.time() - began
            await asyncio.sleep(max(view.interval - took, took * (1 / _SHARE - 1), 0.1))


def screen(found: Sequence[Line], view: View, width: int, height: int, trouble: str = "") -> RenderableType:
    """What fits on the screen: a line that sums up, and the first clusters in their order."""
    counts = Counter(line.health for line in found)
    room = max(1, height - _AROUND - (1 if trouble else 0))
    shown = found[:room]
    cells = [_cells(line) for line in shown]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True, header_style="bold")
    columns = _fitting(cells, width)
    for n in columns:
        justify: Literal["left", "right"] = "right" if _HEAD[n] in _RIGHT else "left"
        table.add_column(_HEAD[n], justify=justify, no_wrap=True, overflow="ellipsis")
    for line, row in zip(shown, cells, strict=True):
        table.add_row(*(Text(row[n], style=_STYLE[line.health]) for n in columns))
    where = view.namespace or "all namespaces"
    title = Text.assemble(
        ("penstock top  ", "bold"),
        f"{len(found)} clusters in {where}",
        f" with {view.selector}" if view.selector else "",
        "   ",
        (f"{counts[Health.BAD]} not ready", _STYLE[Health.BAD] if counts[Health.BAD] else "dim"),
        "  ",
        (f"{counts[Health.ODD]} to look at", _STYLE[Health.ODD] if counts[Health.ODD] else "dim"),
        "  ",
        (f"{counts[Health.GOOD]} well", "green"),
        ("   by " + view.sort, "dim"),
        (f"   the first {len(shown)} shown", "dim") if len(shown) < len(found) else "",
    )
    parts: list[RenderableType] = [title]
    if trouble:
        parts.append(Text(f"what is shown is old: {trouble}", style="bold red"))
    return Group(*parts, table)


def _fitting(rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """The columns that a terminal of that width has room for."""
    wide = {name: max(len(row[n]) for row in (_HEAD, *rows)) + 3 for n, name in enumerate(_HEAD)}
    for name in _SPARED:
        if sum(wide.values()) <= width:
            break
        del wide[name]
    return [n for n, name in enumerate(_HEAD) if name in wide]


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.full_name,
        line.ready,
        line.reason or "–",
        line.writer,
        line.readers,
        line.lag,
        line.connect,
        line.failover,
        line.objectives,
        line.drill,
        line.cost,
    )
