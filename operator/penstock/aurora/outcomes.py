"""What a cluster achieves, on its object: failovers, availability, objectives, replica lag. Pure but for what it is given to remember."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from penstock.api import meta
from penstock.api.auroracluster_status import Cause
from penstock.api.conditions import ConditionType, Reason
from penstock.aurora import failover_words, failovers, states, zones
from penstock.aurora.failovers import Asked, Drill, Evidence, Failover
from penstock.aurora.state import Desired, Observed
from penstock.aurora.zones import Loss
from penstock.aws.rds import Cluster
from penstock.engine import conditions
from penstock.engine.conditions import Condition
from penstock.engine.events import Note
from penstock.engine.kind import Object, Report
from penstock.postgres.record import Days, Outage, Picture, Uptime
from penstock.proof import availability, objectives
from penstock.proof.availability import Left
from penstock.proof.drillbook import DrillResult
from penstock.proof.objectives import Damper, Measured, Shape

# Seconds until the next look while a failover goes on: what ends it may be told by nobody.
_SOON = 2.0
# A request to fail over that came to nothing is forgotten after this.
_ASKED = 900.0
PASSED = "Passed"
# What of the status does not say whether it will be written: who else writes it adds it after this.
_BESIDE = frozenset({"availability", "conditions", "observedGeneration", "cost", "advice", "plan", "lastReconcileAt"})
# Aurora guide, "Backing up and restoring": the latest restorable time is usually within five minutes.
_USUAL_LAG = 300.0


@dataclass
class Achieved:
    """What one process remembers of one cluster's outcomes.

    base: the days of availability that stood on the object when it was first seen. left: the outage that stood there as lasting. begun: when it was
    first looked at. sighted: when AWS was last read with the writer that the object names. counted: the failovers that the metrics have. shown: the
    lags that stand on the object. availability: whether it stands there. connected: when the time to connect was last written,
    on the event loop's clock.
    """

    damper: Damper = field(default_factory=Damper)
    base: Days | None = None
    left: Left | None = None
    connected: float = float("-inf")
    begun: datetime | None = None
    sighted: datetime | None = None
    counted: set[tuple[datetime, str]] = field(default_factory=set)
    shown: dict[str, float] = field(default_factory=dict)
    availability: bool = False


@dataclass(frozen=True)
class Seen:
    """What is known beside the describe answer. clock: seconds of the event loop. drills: newest first. losses: outages in which the writer's zone
    was lost. zone_open: whether it is still being asked whether it was."""

    picture: Picture
    now: datetime
    clock: float
    drills: Sequence[DrillResult] = ()
    losses: Sequence[Loss] = ()
    zone_open: bool = False


def added(
    report: Report, obj: Object, desired: Desired, observed: Observed | None, seen: Seen, memory: Achieved
) -> tuple[Report, tuple[Failover, ...]]:
    """The report with all that this module tells, and the failovers that have ended since the object was told last, oldest first."""
    status: Mapping[str, Any] = obj.get("status") or {}
    cluster = observed.cluster if observed is not None else None
    if observed is None or desired.absent:
        return report, ()
    if cluster is None or report.fields.get("resourceId") != cluster.resource_id:
        return _before_it_is_made(report, status, desired, observed), ()
    if memory.base is None:
        stood = status.get("availability") or {}
        memory.base, memory.left = availability.days_of(stood), availability.left(stood)
    if memory.begun is None:
        memory.begun = seen.now
    before = failovers.known(desired.status.failovers)
    evidence = _evidence(desired, status, observed, cluster, seen, memory)
    after = zones.explained(failovers.record(before, evidence, seen.now), seen.losses)
    if cluster.writer and cluster.writer == evidence.previous:
        memory.sighted = evidence.read_at
    _settle(memory, seen.picture, after)
    fields = dict(report.fields)
    _put(fields, "failovers", failovers.as_status(after))
    _put(fields, "failoverAsked", _request(status, desired, after, seen.now))
    _put(fields, "probe", _probe(desired, seen.picture, status))
    _lags(fields, seen, memory, desired)
    told: tuple[objectives.Judgement, ...] = ()
    for anyhow in (False, True):
        # When the object is written in any case, what moves by itself goes along.
        if anyhow and all(fields.get(k) == status.get(k) for k in {*fields, *status} - _BESIDE):
            break
        kept = _kept(status, desired, seen, memory, anyhow=anyhow)
        _put(fields, "connect", _connect(seen, status, memory, anyhow=anyhow))
        _put(fields, "availability", kept)
        measured = _measured(observed, cluster, seen, kept or {}, after)
        told = _damped(objectives.judge(desired.spec.objectives, measured), memory, seen.clock)
        _put(fields, "objectives", [j.as_status() for j in told])
    impossible = objectives.unattainable(desired.spec.objectives, shape(desired, observed))
    met = objectives.condition(
        told,
        impossible,
        seen.picture.problem,
        off=seen.picture.off,
        lag_problem=seen.picture.lag_problem,
        down_since=str((fields.get("availability") or {}).get("downSince") or ""),
    )
    notes = failover_words.notes(before, after, cluster.identifier)
    found = _with_lasting(report, desired, evidence, failovers.lasting(after), status)
    found = _with_silence(found, desired, seen.picture)
    extra = found.notes if failovers.lasting(after) is None else _without_ready(found.notes)
    if met is not None:
        notes = (*notes, *_missed(status, met))
        found = replace(found, conditions=(*found.conditions, met))
    annotation = failover_words.annotation(after)
    return (
        replace(
            found,
            fields=fields,
            notes=(*notes, *extra),
            again=min(found.again, *_again(fields, memory, seen, after)),
            annotations={meta.LAST_FAILOVER: annotation} if annotation else {},
        ),
        failovers.finished_since(before, after),
    )


def _kept(
    status: Mapping[str, Any], desired: Desired, seen: Seen, memory: Achieved, *, anyhow: bool
) -> dict[str, Any] | None:
    share = objectives.share(desired.spec.objectives)
    picture = seen.picture
    found = availability.told(
        status.get("availability") or {},
        memory.base or {},
        picture.uptime,
        _lasts(memory, picture),
        share,
        seen.now,
        anyhow=anyhow,
    )
    memory.availability = found is not None
    return found


def _again(fields: Mapping[str, Any], memory: Achieved, seen: Seen, after: Sequence[Failover]) -> tuple[float, ...]:
    """Seconds until there may be more to tell; infinite for nothing."""
    more = availability.again(fields.get("availability") or {}, _lasts(memory, seen.picture), seen.now)
    return _SOON if failovers.lasting(after) is not None else math.inf, more if more is not None else math.inf


def _lasts(memory: Achieved, picture: Picture) -> Outage | None:
    """The outage that lasts: as the probe sees it, or as a process before this one saw it begin."""
    if picture.lasting is not None or memory.left is None:
        return picture.lasting
    return memory.left.seen(picture.found_down)


def _settle(memory: Achieved, picture: Picture, after: Sequence[Failover]) -> None:
    """Charge the outage that a process before this one left behind, once its end is known or nobody asks for it any more."""
    left, first = memory.left, picture.uptime.since
    if left is None:
        return
    if not picture.off and (first is None or (failovers.lasting(after) is not None and picture.lasting is None)):
        # Whoever closes the failover knows better how long it was.
        return
    ended = [f.finished for f in after if f.finished is not None and abs(f.started - left.since) <= failovers.SAME]
    lasted = availability.settled(left, first, picture.found_down, ended[0] if ended else None)
    charged = Uptime()
    charged.add(left.since + lasted, lasted.total_seconds(), down=True)
    memory.base = availability.together(memory.base or {}, charged.days, left.since + lasted)
    memory.left = None


def _before_it_is_made(report: Report, status: Mapping[str, Any], desired: Desired, observed: Observed) -> Report:
    """What can be known of objectives while there is no cluster: whether the declared shape can attain them."""
    impossible = unattainable(desired, observed)
    judged = objectives.judge(desired.spec.objectives, Measured())
    met = objectives.condition(judged, impossible, "") if impossible else None
    if met is None:
        return report
    return replace(report, conditions=(*report.conditions, met), notes=(*_missed(status, met), *report.notes))


def shape(desired: Desired, observed: Observed | None) -> Shape:
    """What of the cluster decides which objectives it can attain: as AWS has it where all instances are there, else as the spec says."""
    spec = desired.spec.instances
    cluster = observed.cluster if observed is not None else None
    instances = list(observed.instances.values()) if observed is not None else []
    readers = spec.readers if spec.readers is not None else max(0, len(instances) - 1)
    pauses = spec.serverless is not None and spec.serverless.auto_pause is not None
    if cluster is not None and len(instances) > readers and all(i.zone for i in instances):
        zones = frozenset(i.zone for i in instances)
        tiers = tuple(m.tier for m in cluster.members if not m.writer)
        return Shape(readers, zones, tiers, True, pauses)
    ordinals = range(1, readers + 2)
    placed = [spec.override(n).zone for n in ordinals]
    tiers = tuple(t if (t := spec.override(n).promotion_tier) is not None else 1 for n in ordinals if n > 1)
    named = frozenset(z for z in placed if z)
    subnets = observed.subnet_group if observed is not None else None
    if subnets is not None and not all(placed):
        # Whoever is placed by AWS is placed in one of these.
        zones = frozenset(s.zone for s in subnets.subnets if s.zone)
        return Shape(readers, zones | named, tiers, bool(zones), pauses)
    return Shape(readers, named, tiers, all(placed), pauses)


def unattainable(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """What the plan says: objectives that the shape cannot attain."""
    return objectives.unattainable(desired.spec.objectives, shape(desired, observed))


def moves(desired: Desired, picture: Picture, memory: Achieved, clock: float) -> bool:
    """Whether what the probe measured is worth a pass: a figure would be told anew."""
    limits = desired.spec.objectives
    if not memory.availability and sum(d.probed for d in picture.uptime.days.values()) >= availability.FIRST:
        return True
    lag = max(picture.lags.values(), default=None) if picture.lags else None
    for name, figure, limit in (
        ("replicaLag", lag, limits.replica_lag if limits else None),
        ("connect", picture.connect, limits.connect if limits else None),
        ("queryP95", picture.query, limits.query_p95 if limits else None),
    ):
        if figure is None or (limit is None and name != "replicaLag"):
            continue
        met = None if limit is None else figure <= limit.value.total_seconds()
        if memory.damper.moves(name, figure, met, clock):
            return True
    return set(memory.shown) != set(picture.lags)


def _evidence(
    desired: Desired,
    status: Mapping[str, Any],
    observed: Observed,
    cluster: Cluster,
    seen: Seen,
    memory: Achieved,
) -> Evidence:
    takes_part = observed.instances.get(cluster.writer)
    writer = "" if takes_part is not None and takes_part.status == "creating" else cluster.writer
    asked = desired.status.failover_asked
    picture = seen.picture
    return Evidence(
        writer=writer,
        state=cluster.status,
        read_at=observed.read_at or seen.now,
        previous=str(status.get("writer") or ""),
        since=datetime.fromisoformat(desired.created_at) if desired.created_at else seen.now,
        events=observed.events,
        outages=picture.outages,
        serving=picture.serving,
        claimed=picture.claimed,
        probed=picture.reached and not picture.off,
        trying=picture.trying and not picture.off,
        zone_open=seen.zone_open,
        begun=memory.begun,
        sighted=memory.sighted,
        asked=Asked(asked.by, asked.to or "", asked.requested_at) if asked is not None else None,
        drills=tuple(Drill(d.started_at, d.finished_at, d.to, d.outage_seconds, d.commits_lost) for d in seen.drills),
        deleting=frozenset(i.identifier for i in observed.instances.values() if i.status == "deleting"),
    )


def _request(
    status: Mapping[str, Any], desired: Desired, after: Sequence[Failover], now: datetime
) -> dict[str, Any] | None:
    """What was asked for stays until its failover is over, or it came to nothing."""
    asked = desired.status.failover_asked
    if asked is None:
        return None
    over = any(f.finished is not None and f.finished >= asked.requested_at for f in after)
    old = (now - asked.requested_at).total_seconds() > _ASKED
    return None if over or old else status.get("failoverAsked")


def _probe(desired: Desired, picture: Picture, status: Mapping[str, Any]) -> dict[str, str] | None:
    if picture.off:
        wanted = desired.spec.probe is not None or desired.spec.objectives is not None
        return {"state": "Off", "message": picture.off} if wanted else None
    if picture.problem:
        return {"state": "Failing", "message": picture.problem}
    if picture.reached:
        return {"state": "Probing"}
    # Asked and not answered yet: what was the case before it was asked is no longer.
    known = status.get("probe")
    return dict(known) if known and known.get("state") != "Off" else None


def _connect(seen: Seen, status: Mapping[str, Any], memory: Achieved, *, anyhow: bool) -> str:
    """How long it takes to connect: what stands there, unless it is another order by now, or the object is written in any case."""
    picture, stood = seen.picture, str(status.get("connect") or "")
    figure, was = picture.connect, objectives.parsed(stood)
    if picture.off or picture.problem:
        return ""
    if figure is None or not (stood or anyhow or memory.availability):
        # The first one goes along with the first of the error budget.
        return stood
    if was is not None and not anyhow:
        soon = figure < was and seen.clock - memory.connected < objectives.SLOW
        if soon or not objectives.much(was, figure):
            return stood
    memory.connected = seen.clock
    return objectives.seconds(figure)


def _lags(fields: dict[str, Any], seen: Seen, memory: Achieved, desired: Desired) -> None:
    """status.lag and status.members[].lagMilliseconds, all of one moment, and only when the slowest moved."""
    picture, lags = seen.picture, seen.picture.lags
    if picture.off or not lags:
        if picture.off or picture.problem or picture.reached:
            memory.shown = {}
            fields.pop("lag", None)
        return
    worst = max(lags.values())
    limit = desired.spec.objectives.replica_lag if desired.spec.objectives else None
    met = None if limit is None else worst <= limit.value.total_seconds()
    if set(memory.shown) != set(lags) or memory.damper.moves("replicaLag", worst, met, seen.clock):
        memory.damper.told["replicaLag"] = (worst, met, seen.clock)
        memory.shown = dict(lags)
    fields["lag"] = objectives.seconds(max(memory.shown.values()))
    fields["members"] = [
        {**m, "lagMilliseconds": round(memory.shown[m["name"]] * 1000)} if m.get("name") in memory.shown else m
        for m in fields.get("members") or ()
    ]


def _measured(
    observed: Observed,
    cluster: Cluster,
    seen: Seen,
    kept: Mapping[str, Any],
    after: Sequence[Failover],
) -> Measured:
    last = next((f for f in after if f.finished is not None and f.outage is not None), None)
    opened = failovers.lasting(after)
    proven = next((d.outage_seconds for d in seen.drills if d.verdict == PASSED and d.outage_seconds is not None), None)
    latest, earliest = cluster.latest_restorable, cluster.earliest_restorable
    lost = None
    if latest is not None and observed.age < 60 and states.serves(cluster.status):
        lost = (seen.now - latest).total_seconds() - observed.age
        if (earliest is None or latest <= earliest) and lost > _USUAL_LAG:
            # A time that never moved is an emulator's.
            lost = None
    picture = seen.picture
    # One that waits only for what explains it is over for whoever writes.
    served = (
        opened is not None
        and picture.lasting is None
        and picture.serving in (opened.to, *((opened.from_,) if not opened.to else ()))
    )
    return Measured(
        lag=max(picture.lags.values()) if picture.lags else None,
        connect=picture.connect,
        query=picture.query,
        problem=picture.problem,
        availability=kept,
        failover=last.outage if last is not None else None,
        failing_for=(seen.now - opened.started).total_seconds() if opened is not None and not served else None,
        proven=proven,
        unrestorable=lost,
    )


def _damped(judged: Sequence[objectives.Judgement], memory: Achieved, clock: float) -> tuple[objectives.Judgement, ...]:
    """With the figures that stand on the object where they moved by nothing that is worth a write."""
    found = []
    for one in judged:
        if one.name in ("replicaLag", "connect", "queryP95") and one.figure is not None:
            figure = memory.damper.stands(one.name, one.figure, one.met, clock)
            one = replace(one, observed=objectives.seconds(figure), figure=figure)
        elif one.figure is None:
            # What is measured again after this is news, whatever it is.
            memory.damper.told.pop(one.name, None)
        found.append(one)
    return tuple(found)


def _with_lasting(
    report: Report, desired: Desired, evidence: Evidence, opened: Failover | None, status: Mapping[str, Any]
) -> Report:
    """Ready and Stalled while a failover goes on."""
    if opened is None:
        return report
    down = evidence.lasting is not None or evidence.state == "failing-over"
    to = f" to {opened.to}" if opened.to else ""
    name, since = desired.identifier, f"{opened.started:%H:%M:%S} UTC"
    wanted = desired.spec.objectives.failover if desired.spec.objectives else None
    limit = failovers.limit(wanted.value if wanted is not None else None)
    late = evidence.read_at - opened.started > limit
    told = []
    for condition in report.conditions:
        if condition.type == ConditionType.READY and down and condition.reason != Reason.DELETING:
            sentence = f"Cluster {name} fails over from {opened.from_}{to} since {since} and takes no writes."
            condition = Condition(ConditionType.READY, False, Reason.FAILING_OVER, sentence)
        if condition.type == ConditionType.STALLED and late and down:
            sentence = (
                f"The failover of cluster {name} from {opened.from_}{to} does not end: it lasts since {since}, and "
                f"{states.duration(limit.total_seconds())} is what it may take at most; look at the events and instances of the "
                "cluster in RDS, ask for a failover again (penstock.dev/failover-to), or open a case with AWS."
            )
            condition = Condition(ConditionType.STALLED, True, Reason.FAILING_OVER, sentence)
        told.append(condition)
    notes = report.notes
    stalled = next((c for c in told if c.type == ConditionType.STALLED), None)
    known = conditions.find(status, ConditionType.STALLED) or {}
    if stalled is not None and stalled.reason == Reason.FAILING_OVER and known.get("reason") != Reason.FAILING_OVER:
        notes = (*notes, Note("FailoverStalled", stalled.message, warning=True, action="Failover"))
    return replace(report, conditions=tuple(told), notes=notes)


def _with_silence(report: Report, desired: Desired, picture: Picture) -> Report:
    """Ready stays what AWS says, since the probe may be cut off alone; but it must not say that a database serves which takes no write."""
    outage = picture.lasting
    if outage is None or not picture.problem:
        return report
    sentence = (
        f"Cluster {desired.identifier} is available as AWS says, but the probe has seen no write taken since {outage.started:%Y-%m-%d %H:%M:%S} UTC: "
        f"{picture.problem}"
    )
    told = tuple(
        replace(c, message=sentence)
        if c.type == ConditionType.READY and c.status and c.reason == Reason.AVAILABLE
        else c
        for c in report.conditions
    )
    return replace(report, conditions=told)


def _without_ready(told: Sequence[Note]) -> tuple[Note, ...]:
    """That it began has an Event of its own."""
    return tuple(n for n in told if n.reason != Reason.FAILING_OVER)


def _missed(status: Mapping[str, Any], met: Condition) -> tuple[Note, ...]:
    """Told once when an objective begins to be missed."""
    known = conditions.find(status, ConditionType.OBJECTIVES_MET) or {}
    if met.status is False and (known.get("status") != "False" or known.get("reason") != met.reason):
        return (Note(met.reason, met.message, warning=True, action="Probe"),)
    return ()


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if value:
        fields[name] = value
    else:
        fields.pop(name, None)


def by_operator(to: str, now: datetime, *, user: bool) -> dict[str, Any]:
    """The intent that goes before a FailoverDBCluster of ours, so that a process that is killed in between is followed by one that knows why."""
    asked: dict[str, Any] = {"by": (Cause.USER if user else Cause.OPERATOR).value}
    if to:
        asked["to"] = to
    return {"failoverAsked": {**asked, "requestedAt": conditions.timestamp(now)}}
