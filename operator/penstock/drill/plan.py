"""What a drill does next. Pure: the drill as declared, what is known, and the time give the steps.

A run goes through these states, each on the status before what follows it is done, so that whoever comes after a crash finds what there is to clean:

    due → inspected → reserved → (status.run) Preparing → Writing → (requestedAt) FailingOver → Settling → Checking → CleaningUp → (report)

- The guards come first and cost nothing: no connection is made to a database that must not be drilled.
- The database is looked into before anything is on the status: a password that does not log in is something to wait for and no run that failed.
- The cluster is reserved in this process, and the other drills are read from the API server, before the run is on the status: of two drills that are
  due at once one waits.
- status.run is written before the schema is made: after a crash nobody else would know its name. A run that this process does not carry out was cut
  off by the end of another; its schema is dropped, and it is told as Aborted.
- requestedAt is written before AWS is asked: from then on a changed writer may be the drill's doing.
- The report is written, and the run taken away, in one write, after the schema is gone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from penstock.api.conditions import Reason
from penstock.api.failoverdrill_status import Phase, Run
from penstock.drill import guards, timing
from penstock.drill.guards import seconds
from penstock.drill.state import Desired, Going, Observed
from penstock.drill.timing import Due
from penstock.engine.conditions import timestamp
from penstock.engine.plan import Effect, Plan, Refusal, Step, Wait

INSPECT, RESERVE, BEGIN, STOP, CLEAN = "InspectDatabase", "ReserveCluster", "BeginDrill", "StopDrill", "DropSchema"
FAILOVER = "FailoverDBCluster"
_DATABASE = "postgresql"
# Seconds between two looks at guards that do not hold, and at a run that goes on.
_GUARDED = 10.0
_GOING = 1.0


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """The next steps."""
    run = desired.status.run
    if run is not None:
        return _going_on(desired, observed, run, now)
    if desired.absent:
        return Plan(gone=True)
    due = timing.due(desired, now)
    if due is None or due.late:
        return Plan()
    unmet = guards.unmet(desired, observed, now)
    if unmet:
        return Plan(
            waits=tuple(Wait(Reason.GUARDED, u.sentence) for u in unmet if not u.hopeless),
            refusals=tuple(Refusal(Reason.GUARDED, u.sentence, again=_GUARDED) for u in unmet if u.hopeless),
        )
    return Plan(steps=_beginning(desired, observed, due, now))


def outlook(desired: Desired, observed: Observed, now: datetime) -> tuple[str, ...]:
    """What is to be said of a drill that begins nothing now, a sentence each: that it runs, has run, or when it does and what would keep it."""
    status, run = desired.status, desired.status.run
    if run is not None:
        return (
            f"A run goes on since {run.started_at:%Y-%m-%d %H:%M:%S} UTC ({run.phase}); an edit counts from the next run on.",
        )
    coming = timing.following(desired, now)
    if coming is not None:
        kept = tuple(
            f"As things are now it would not begin then: {u.sentence}" for u in guards.unmet(desired, observed, now)
        )
        return (f"It runs next {coming:%Y-%m-%d %H:%M} UTC.", *kept)
    if timing.due(desired, now) is None and status.history:
        return (
            f"It has run and does not run again; make another FailoverDrill for another run. {status.history[0].sentence}",
        )
    return ()


def _beginning(desired: Desired, observed: Observed, due: Due, now: datetime) -> tuple[Step, ...]:
    spec, name = desired.spec, desired.cluster
    what = (
        f"fail cluster {name} over to {spec.wanted_target or 'the reader that AWS chooses'} while {spec.writers} writers commit for"
        f" {seconds(spec.load_duration.total_seconds())}"
    )
    if observed.inspection is None:
        return (
            Step(
                _DATABASE,
                INSPECT,
                {},
                f"log in to cluster {name} and look how far its readers are behind; then {what}",
                Effect.FAILOVER,
            ),
        )
    if not observed.reserved:
        return (
            Step(
                _DATABASE, RESERVE, {}, f"see that no other drill runs on cluster {name}; then {what}", Effect.FAILOVER
            ),
        )
    uid = hashlib.sha256(f"{desired.uid}/{due.slot}/{now.isoformat()}".encode()).hexdigest()[:12]
    subject = observed.subject
    run = Run(
        uid=uid,
        phase=Phase.PREPARING,
        started_at=now,
        scheduled_for=due.slot,
        schema_=schema(uid),
        from_=subject.writer if subject else None,
        cluster_uid=subject.uid if subject else None,
    )
    intent: dict[str, object] = {"run": run.manifest(), "verdict": "Running"}
    if due.slot is not None:
        # Answered from now on: a run that is cut off is not made up for.
        intent["lastScheduledAt"] = timestamp(due.slot)
    told = ("DrillStarted", f"Drilling cluster {name}: {what}.")
    return (Step(_DATABASE, BEGIN, {"uid": uid}, what, Effect.FAILOVER, intent=intent, told=told),)


def schema(uid: str) -> str:
    """The schema of a run's table; a person who finds it sees whose it is."""
    return f"penstock_drill_{uid}"


def _going_on(desired: Desired, observed: Observed, run: Run, now: datetime) -> Plan:
    going = observed.going
    if going is None:
        return _left_behind(desired, observed, run)
    if going.result is not None:
        if going.result.clean or observed.nothing_left:
            return Plan(gone=desired.absent)
        return Plan(steps=(_clean(desired, run),))
    why = guards.interruption(desired, observed)
    if why and not going.stopping:
        return Plan(steps=(Step(_DATABASE, STOP, {"why": why}, f"stop the drill of cluster {desired.cluster}: {why}"),))
    if going.phase is Phase.WRITING and going.ready and not going.asked and not going.stopping:
        unmet = guards.unmet(desired, observed, now, running=True)
        if unmet:
            why = f"just before the failover a guard did not hold any more: {unmet[0].sentence}"
            return Plan(
                steps=(Step(_DATABASE, STOP, {"why": why}, f"stop the drill of cluster {desired.cluster}: {why}"),)
            )
        return Plan(steps=(_failover(desired, observed, run, now),))
    return Plan(waits=(Wait(Reason.DRILLING, _progress(desired, going), _GOING),))


def _failover(desired: Desired, observed: Observed, run: Run, now: datetime) -> Step:
    subject = observed.subject
    assert subject is not None
    target = desired.spec.wanted_target
    asked = run.model_copy(
        update={"phase": Phase.FAILING_OVER, "requested_at": now, "from_": subject.writer, "target": target or None}
    )
    whom = target or "the reader that AWS chooses"
    parameters = {"DBClusterIdentifier": subject.identifier}
    return Step(
        "rds",
        FAILOVER,
        parameters | ({"TargetDBInstanceIdentifier": target} if target else {}),
        f"fail cluster {desired.cluster} over from {subject.writer} to {whom}",
        Effect.FAILOVER,
        intent={"run": asked.manifest()},
        told=(
            "FailoverRequested",
            f"Asked AWS to fail cluster {desired.cluster} over from {subject.writer} to {whom}.",
        ),
    )


def _left_behind(desired: Desired, observed: Observed, run: Run) -> Plan:
    """A run of a process that is no more: what it made is dropped, if there still is a database to drop it from."""
    if observed.nothing_left:
        return Plan(gone=desired.absent)
    return Plan(steps=(_clean(desired, run),))


def _clean(desired: Desired, run: Run) -> Step:
    return Step(
        _DATABASE,
        CLEAN,
        # Never a name that stands on the object: whoever can write there would have any schema dropped.
        {"schema": schema(run.uid)},
        f"drop what the drill made in cluster {desired.cluster}",
    )


_WORDS = {
    Phase.PREPARING: "its table is being made and the writers connect",
    Phase.WRITING: "the writers write",
    Phase.FAILING_OVER: "AWS was asked for the failover",
    Phase.SETTLING: "the new writer takes commits; the writers go on until the load is over",
    Phase.CHECKING: "the acknowledged commits are read back",
    Phase.CLEANING_UP: "the table is being dropped",
}


def _progress(desired: Desired, going: Going) -> str:
    return f"The drill of cluster {desired.cluster} runs: {_WORDS[going.phase]}."
