"""A drill and its cluster, as a test wants them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.api.failoverdrill import FailoverDrill
from penstock.api.failoverdrill_status import FailoverDrillStatus, Phase, Report, Run, Verdict
from penstock.api.parsing import parse_as
from penstock.api.schedules import Schedule
from penstock.aws.rds import Cluster, Instance, Member
from penstock.drill.state import Desired, Going, Inspection, Observed, Result
from penstock.drill.subject import Subject

NOW = datetime(2026, 11, 1, 4, 0, 30, tzinfo=UTC)
"""A Sunday."""
LEDGER = Cluster(
    identifier="shop-ledger",
    status="available",
    engine="aurora-postgresql",
    members=(Member("shop-ledger-1", True), Member("shop-ledger-2", False), Member("shop-ledger-3", False)),
    maintenance_window="sun:05:00-sun:06:00",
)


def desired(
    status: dict[str, Any] | None = None, *, absent: bool = False, made: timedelta = timedelta(days=30), **spec: Any
) -> Desired:
    """made: how long ago the object was made."""
    manifest = {
        "kind": "FailoverDrill",
        "metadata": {"name": "weekly", "namespace": "shop"},
        "spec": {"clusterRef": {"name": "ledger"}, **spec},
    }
    found = parse_as(FailoverDrill, manifest)
    assert isinstance(found, FailoverDrill), found
    schedule = Schedule(found.spec.schedule, found.spec.timezone or "") if found.spec.schedule else None
    return Desired(
        namespace="shop",
        name="weekly",
        uid="d1",
        spec=found.spec,
        status=FailoverDrillStatus.model_validate(status or {}),
        cluster="ledger",
        schedule=schedule,
        created_at=NOW - made,
        generation=1,
        absent=absent,
    )


def conditions(**of: str) -> list[dict[str, Any]]:
    found = {"Ready": "True", "Synced": "True", "Reconciling": "False", **of}
    return [{"type": t, "status": s, "reason": "Available", "message": f"{t} is {s}."} for t, s in found.items()]


def subject(cluster: Cluster | None = LEDGER, *, instances: dict[str, str] | None = None, **more: Any) -> Subject:
    """instances: other states than available. more: status fields, or deleting=True, stale=True, conditions=[…]."""
    metadata: dict[str, Any] = {"name": "ledger", "namespace": "shop", "uid": "c1", "generation": 2}
    if more.pop("deleting", False):
        metadata["deletionTimestamp"] = "2026-11-01T03:00:00Z"
    if mode := more.pop("mode", ""):
        metadata["annotations"] = {"penstock.dev/mode": mode}
    generation = 1 if more.pop("stale", False) else 2
    status = {"observedGeneration": generation, "conditions": conditions(), **more}
    members = cluster.members if cluster else ()
    found = {m.identifier: Instance(m.identifier, status="available", host=f"{m.identifier}.rds") for m in members}
    for name, state in (instances or {}).items():
        found[name] = replace(found[name], status=state)
    return Subject("ledger", {"metadata": metadata, "status": status}, "us-east-1", "shop-ledger", cluster, found)


def observed(seen: Subject | str | None = "", **more: Any) -> Observed:
    return Observed(subject() if seen == "" else seen, **more)  # type: ignore[arg-type]


def run(phase: Phase = Phase.WRITING, **more: Any) -> dict[str, Any]:
    return Run(
        uid="r1",
        phase=phase,
        started_at=NOW,
        **{"schema_": "penstock_drill_r1", "from_": "shop-ledger-1", "cluster_uid": "c1", **more},
    ).manifest()


def going(phase: Phase = Phase.WRITING, **more: Any) -> Going:
    return Going("r1", phase, **more)


def result(verdict: Verdict = Verdict.PASSED, *, clean: bool = True, **more: Any) -> Result:
    told = Report(uid="r1", verdict=verdict, sentence=f"{verdict}: so it was.", started_at=NOW, **more)
    return Result(told, clean)


INSPECTED = Inspection(timedelta(milliseconds=20))
