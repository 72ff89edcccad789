"""`penstock report drill`: what a drill measured, as a page on standard output."""

from __future__ import annotations

import sys
from typing import Literal

import click

from penstock import __version__
from penstock.api.failoverdrill import FailoverDrill
from penstock.api.failoverdrill_status import FailoverDrillStatus
from penstock.api.parsing import parse_as
from penstock.engine.kube import Kube
from penstock.watching import drillpage
from penstock.watching.reading import DRILLS, one


async def report(name: str, namespace: str, output: Literal["html", "md"]) -> None:
    """Print the page of the drill's last run. Raises KubeError, and ClickException when there is no run to tell of."""
    kube = await Kube.connect()
    try:
        obj = await one(kube, DRILLS, namespace, name)
    finally:
        await kube.close()
    sys.stdout.write(page(obj, output))


def page(obj: dict[str, object], output: Literal["html", "md"]) -> str:
    """The page of an object as read from the API. Raises ClickException."""
    drill = parse_as(FailoverDrill, obj)
    if isinstance(drill, list):
        raise click.ClickException("; ".join(str(problem) for problem in drill))
    found = drill.status.report
    if found is None:
        raise click.ClickException(_nothing(drill.metadata.name, drill.status))
    render = drillpage.html if output == "html" else drillpage.markdown
    return render(drill, found, __version__)


def _nothing(name: str, status: FailoverDrillStatus) -> str:
    if status.run is not None:
        return f"drill {name} runs ({status.run.phase}); ask again when it is over"
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    why = f": {ready.message}" if ready is not None else ""
    return f"drill {name} has measured nothing yet{why}"
