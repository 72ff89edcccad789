"""What is advised for a cluster that runs: what is asked of CloudWatch, and what is made of the answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from penstock.advice import cluster as advisor
from penstock.advice import measures
from penstock.advice.measures import Member
from penstock.advice.report import NOTHING_YET, Findings
from penstock.api.auroracluster import EngineType
from penstock.aurora.ownership import claim
from penstock.aurora.state import Desired, Observed
from penstock.aws.series import Point, Query
from penstock.cost import aurora as rates
from penstock.cost.prices import Catalogue
from penstock.engine.plan import Refusal


def queries(desired: Desired, observed: Observed) -> tuple[Query, ...]:
    """The metrics to ask for; () while there is no cluster of ours, or it is to be stopped for good."""
    cluster = observed.cluster
    if cluster is None or desired.absent or desired.spec.stopped or isinstance(claim(desired, observed), Refusal):
        return ()
    members = _members(observed)
    return tuple(measures.cluster_queries(cluster.identifier, members)) if members else ()


def findings(
    desired: Desired,
    observed: Observed,
    series: Mapping[Query, Sequence[Point]],
    now: datetime,
    catalogue: Catalogue,
) -> Findings:
    """What is advised, by the metrics of the last two weeks up to now."""
    cluster = observed.cluster
    assert cluster is not None
    spec = desired.spec
    members = _members(observed)
    measured = measures.cluster(
        cluster.identifier, members, series, now, advisor.expected(spec), probed=_probed(desired)
    )
    days = max(0, measured.span.days)
    if measured.demand is None:
        return NOTHING_YET
    shape = rates.declared(spec, desired.identifier, rates.running(cluster, observed.instances.values()))
    present = advisor.present(spec, shape)
    if present is None:
        return Findings(
            "", why="Nothing is advised: the instances are of more than one class, or of one that is not known."
        )
    version = spec.model_copy(update={"engine": spec.engine.model_copy(update={"version": cluster.version or None})})
    asked = advisor.question(version, measured.demand, catalogue, now.date())
    return advisor.advise(
        asked,
        present,
        f"metrics of {min(days, measures.DAYS)} days of {len(members)} instance{'s' if len(members) > 1 else ''}",
    )


def _probed(desired: Desired) -> bool:
    """Whether the probe keeps a connection to it: as watching.target decides, which knows more than is needed here."""
    spec = desired.spec
    if spec.engine.type is not EngineType.POSTGRESQL:
        return False
    if spec.probe is not None:
        return spec.probe.enabled
    return spec.instances.serverless is None or spec.instances.serverless.auto_pause is None


def _members(observed: Observed) -> list[Member]:
    writer = observed.cluster.writer if observed.cluster is not None else ""
    return [
        Member(i.identifier, i.instance_class, i.identifier == writer)
        for i in sorted(observed.instances.values(), key=lambda i: i.identifier)
        if i.status != "deleting"
    ]
