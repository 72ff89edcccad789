"""What is advised for a table that is there: what is asked of CloudWatch, and what is made of the answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from penstock.advice import measures
from penstock.advice import table as advisor
from penstock.advice.measures import ENOUGH
from penstock.advice.report import NOTHING_YET, Findings
from penstock.aws.series import Point, Query
from penstock.cost import dynamo as rates
from penstock.cost.prices import Catalogue
from penstock.dynamo import costing
from penstock.dynamo.state import Desired, Observed


def queries(desired: Desired, observed: Observed) -> tuple[Query, ...]:
    """The metrics to ask for; () while there is no table of ours, or not all of it was read."""
    table = observed.table
    if table is None or desired.absent or observed.partial or costing.running(desired, observed) is None:
        return ()
    return tuple(measures.table_queries(table.name, [i.name for i in table.indexes]))


def findings(
    desired: Desired,
    observed: Observed,
    series: Mapping[Query, Sequence[Point]],
    now: datetime,
    catalogue: Catalogue,
) -> Findings:
    """What is advised, by the metrics of the last two weeks up to now."""
    table = observed.table
    assert table is not None
    since = {i.name: i.since for i in desired.status.indexes}
    indexes = {i.name: since.get(i.name) for i in table.indexes}
    measured = measures.table(table.name, indexes, series, table.created_at, now)
    days = max(0, measured.span.days)
    if measured.span < ENOUGH:
        return NOTHING_YET
    spec = desired.spec
    if spec.hibernation is not None:
        return Findings(
            "", why="Nothing is advised: with spec.hibernation the load of half the hours says little of the others."
        )
    shape = rates.declared(spec, costing.running(desired, observed))
    asked = advisor.ask(spec, shape, measured.uses, catalogue)
    return advisor.advise(spec, asked, advisor.present(spec, shape), f"metrics of {min(days, measures.DAYS)} days")
