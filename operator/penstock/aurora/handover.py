"""A failover that a person asks for with the annotation penstock.dev/failover-to: carried out or refused at once, and once for each value. Pure.

The value is an instance's identifier, or any; what stands after an @ only makes it another value, so that the same may be asked for again
("any@2026-11-01"). What cannot be done now is refused with a sentence and never made up for later: whoever asks is awake now.

The request is written to the status before AWS hears of it, with the instance that is to take over. A process that is killed in between leaves it
there, and the next one sends it (again): a failover to a named instance that has happened is seen, and happens no second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.api import meta
from penstock.api.auroracluster_status import FailoverRequest, RequestResult
from penstock.api.conditions import Reason
from penstock.aurora.ownership import Claim, claim
from penstock.aurora.state import Desired, Observed
from penstock.aws.rds import AUTOSCALED, AVAILABLE, Cluster
from penstock.engine.conditions import timestamp
from penstock.engine.plan import Effect, Refusal, Step

ANY = "any"
LIMIT = timedelta(minutes=5)
"""After which a failover that AWS does not show has failed; the Aurora guide speaks of less than two minutes."""


@dataclass(frozen=True)
class Answer:
    """What the object is told: status fields, and an Event (reason, sentence) when it is bad news."""

    fields: Mapping[str, Any]
    warning: tuple[str, str] | None = None


def unanswered(desired: Desired) -> str:
    """The value that nothing has come of yet; ''."""
    return desired.failover_to if desired.failover_to != (desired.status.last_failover_to or "") else ""


def plan(desired: Desired, observed: Observed, cluster: Cluster, now: datetime) -> tuple[list[Step], list[Refusal]]:
    """The failover that is to be asked of AWS now. Refused where the plan is only shown; else the answer tells it once."""
    value = unanswered(desired)
    if value:
        heir, refused = _heir(observed, cluster, value)
        if refused:
            shown = desired.mode == meta.Mode.PLAN
            return [], [Refusal(Reason.FAILOVER_REFUSED, refused, blocking=False)] if shown else []
        return [_step(desired, cluster.writer, heir, value, now)], []
    request = desired.status.failover_request
    if request is None or request.result is not RequestResult.ASKED or _late(request, now):
        return [], []
    # Nobody knows whether AWS heard of it; where it did, the cluster is not as it was.
    old, new = request.from_ or "", request.to or ""
    same = cluster.status == AVAILABLE and cluster.writer == old and _ready(observed, cluster, new)
    return ([_step(desired, old, new, request.value, now)] if same else []), []


def answer(desired: Desired, observed: Observed, now: datetime) -> Answer | None:
    """What came of the request, where that is known and not told yet."""
    cluster, value = observed.cluster, unanswered(desired)
    if desired.absent or desired.mode != meta.Mode.RECONCILE:
        return None
    if value:
        if cluster is None:
            refused = f"There is no cluster {desired.identifier} yet that could fail over."
        elif claim(desired, observed) is not Claim.OURS:
            refused = f"Cluster {desired.identifier} is not managed by this object."
        else:
            refused = _heir(observed, cluster, value)[1]
        if not refused:
            return None
        sentence = f"{refused} Ask again with another value, such as {value.partition('@')[0] or ANY}@2."
        request = {"value": value, "result": RequestResult.REFUSED.value, "message": sentence, "at": timestamp(now)}
        fields = {"lastFailoverTo": value, "failoverRequest": request}
        return Answer(fields, (Reason.FAILOVER_REFUSED, sentence))
    asked = desired.status.failover_request
    if asked is None or asked.result is not RequestResult.ASKED or cluster is None:
        return None
    told = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    if cluster.writer and cluster.writer != asked.from_ and cluster.status == AVAILABLE:
        instead = "" if cluster.writer == asked.to else f", and not {asked.to}: AWS chose it"
        done = {"result": RequestResult.DONE.value, "message": f"{cluster.writer} is the writer{instead}."}
        return Answer({"failoverRequest": {**told, **done}})
    if not _late(asked, now):
        return None
    sentence = (
        f"The failover from {asked.from_} to {asked.to} that was asked for did not happen within {LIMIT.seconds // 60} minutes; "
        "the cluster's events in RDS say more. It is not tried again."
    )
    failed = {"result": RequestResult.FAILED.value, "message": sentence}
    return Answer({"failoverRequest": {**told, **failed}}, ("FailoverFailed", sentence))


def _heir(observed: Observed, cluster: Cluster, value: str) -> tuple[str, str]:
    """The instance that takes over; or '' and why none does."""
    name = value.partition("@")[0].strip().lower()
    readers = [m.identifier for m in cluster.members if not m.writer]
    able = [r for r in readers if _ready(observed, cluster, r)]
    listed = ", ".join(sorted(readers)) or "none"
    where = f"Cluster {cluster.identifier}"
    if not name:
        return "", f"The annotation {meta.FAILOVER_TO} names no instance: write one of {listed}, or any."
    if cluster.status != AVAILABLE:
        return "", f"{where} is {cluster.status}, and AWS fails over only what is available."
    if observed.drill:
        return "", f"FailoverDrill {observed.drill} runs on cluster {cluster.identifier}, and fails it over itself."
    if not cluster.members:
        return "", f"{where} has no instance yet that could fail over."
    if not cluster.writer:
        return "", f"{where} has no writer at the moment: it is failing over by itself."
    if not readers:
        return "", f"{where} has no reader that could take over; spec.instances.readers: 1 adds one."
    if name == ANY:
        if not able:
            return "", f"{where} has no reader that is available: {_states(observed, readers)}."
        return min(able, key=lambda r: (r.startswith(AUTOSCALED), _tier(cluster, r), r)), ""
    if name == cluster.writer.lower():
        return "", f"{name} is the writer already; the readers are {listed}."
    if name not in readers:
        return "", f"{name} is no instance of cluster {cluster.identifier}; its readers are {listed}."
    if name not in able:
        return "", f"Reader {_states(observed, [name])}, and AWS fails over only to one that is available."
    return name, ""


def _step(desired: Desired, old: str, new: str, value: str, now: datetime) -> Step:
    request = {
        "value": value,
        "result": RequestResult.ASKED.value,
        "from": old,
        "to": new,
        "message": f"AWS is asked to fail over from {old} to {new}.",
        "at": timestamp(now),
    }
    known = desired.status.failover_request
    if known is not None and known.value == value and known.result is RequestResult.ASKED:
        request = known.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Step(
        "rds",
        "FailoverDBCluster",
        {"DBClusterIdentifier": desired.identifier, "TargetDBInstanceIdentifier": new},
        f"fail over from {old} to {new}, as the annotation asks",
        effect=Effect.FAILOVER,
        facet="instances",
        told=("FailingOver", f"Failing over from {old} to {new}, as {meta.FAILOVER_TO} asks."),
        intent={"lastFailoverTo": value, "failoverRequest": request},
    )


def _late(request: FailoverRequest, now: datetime) -> bool:
    return now - request.at > LIMIT


def _ready(observed: Observed, cluster: Cluster, name: str) -> bool:
    instance = observed.instances.get(name)
    return cluster.member(name) is not None and instance is not None and instance.status == AVAILABLE


def _tier(cluster: Cluster, name: str) -> int:
    member = cluster.member(name)
    return member.tier if member is not None else 15


def _states(observed: Observed, names: list[str]) -> str:
    return ", ".join(
        f"{n} is {observed.instances[n].status if n in observed.instances else 'not there yet'}" for n in sorted(names)
    )
