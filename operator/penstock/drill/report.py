"""What goes onto a drill after a pass. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import ConditionType, Reason
from penstock.api.failoverdrill_status import FailoverDrillStatus, Past, Report, Run, Verdict
from penstock.drill import timing
from penstock.drill.guards import seconds
from penstock.drill.state import Desired, Observed
from penstock.engine import conditions, reporting
from penstock.engine.conditions import Condition
from penstock.engine.errors import Trouble
from penstock.engine.events import Note
from penstock.engine.kind import Object, Outcome
from penstock.engine.kind import Report as Told
from penstock.engine.plan import Plan

_GOING = 1.0
_GUARDED = 10.0
_REASONS = {
    Verdict.PASSED: Reason.DRILL_PASSED,
    Verdict.FAILED: Reason.DRILL_FAILED,
    Verdict.ABORTED: Reason.DRILL_ABORTED,
    Verdict.SKIPPED: Reason.DRILL_SKIPPED,
    Verdict.RUNNING: Reason.DRILLING,
}


@dataclass(frozen=True)
class Written:
    """What a pass tells: the report for the loop, and the run that ended with it, if one did."""

    told: Told
    ended: Report | None = None


def report(obj: Object, desired: Desired, outcome: Outcome[Observed], now: datetime) -> Written:
    """From the outcome of a pass."""
    observed, plan, trouble = outcome.observed, outcome.plan, outcome.trouble
    # What the pass wrote by itself counts from here on.
    status = desired.status
    ended = _ended(desired, observed, now)
    skipped = _skipped(desired, obj, now) if ended is None and status.run is None else ()
    run = None if ended is not None else _advanced(status.run, observed)
    last, history = _remembered(status, ended, skipped, desired.spec.history_kept)
    verdict = Verdict.RUNNING if run is not None else last.verdict if last is not None else None
    due = timing.due(desired, now) if ended is None else None
    guarded = run is None and due is not None and not due.late
    fields: dict[str, Any] = {
        "verdict": verdict,
        "outage": _outage(last),
        "commitsLost": last.commits_lost if last is not None else None,
        "nextRun": _stamp(timing.following(desired, now)),
        "lastScheduledAt": _stamp(_answered(desired, skipped, now)),
        "schedule": desired.clock or None,
        "due": _stamp(due.slot) if guarded and due is not None else None,
        "run": run.manifest() if run is not None else None,
        "report": (ended or _latest(status)).manifest() if (ended or status.report) is not None else None,
        "history": [past.manifest() for past in history] or None,
        "plan": plan.as_status() if not plan.runnable or run is None else None,
    }
    told = (
        *_conditions(desired, plan, trouble, run is not None, last, guarded, now),
        reporting.reconciling(plan, trouble),
        _stalled(plan, trouble, last if run is None and not guarded else None),
    )
    notes = (
        *_notes(obj, told[0], plan, trouble),
        *(_note(past) for past in ((ended,) if ended else ())),
        *(_note(p) for p in skipped),
    )
    again = _GOING if run is not None or ended is not None else _GUARDED if guarded else timing.until(desired, now)
    return Written(Told(told, {k: v for k, v in fields.items() if v is not None}, notes, again), ended)


def _ended(desired: Desired, observed: Observed | None, now: datetime) -> Report | None:
    """The run that is over with this pass, with its final words; None while it goes on, or while something is left of it."""
    run = desired.status.run
    if run is None or observed is None:
        return None
    subject = observed.subject
    if observed.going is not None:
        result = observed.going.result
        if result is None or not (result.clean or observed.nothing_left):
            return None
        sentence = result.report.sentence
        if result.report.verdict is Verdict.ABORTED:
            sentence += _left(result.clean or observed.cleaned)
        return result.report.model_copy(update={"finished_at": now, "sentence": sentence})
    if not observed.nothing_left:
        return None
    writer = subject.writer if subject is not None else ""
    if run.requested_at is None:
        what = "before the failover was asked for"
    elif writer and writer != run.from_:
        what = (
            f"after the failover was asked for, which went from {run.from_} to {writer}; what it cost was not measured"
        )
    else:
        what = "after the failover was asked for; whether there was one is not known"
    sentence = f"Aborted: the operator ended {what}.{_left(observed.cleaned)}"
    return Report(
        uid=run.uid,
        verdict=Verdict.ABORTED,
        sentence=sentence,
        scheduled_for=run.scheduled_for,
        started_at=run.started_at,
        finished_at=now,
        from_=run.from_,
        to=writer or None,
    )


def _left(dropped: bool) -> str:
    return " Its table is dropped." if dropped else " Its table is gone with the database."


def _skipped(desired: Desired, obj: Object, now: datetime) -> tuple[Past, ...]:
    """Scheduled times that passed: one whose guards did not hold until the next was due, and one that is too late."""
    status = desired.status
    due = timing.due(desired, now)
    found = []
    if desired.schedule is not None and status.due is not None and (due is None or due.slot != status.due):
        found.append(_skip(status.due, _why(obj, "the next scheduled time came"), now))
    elif due is not None and due.slot is not None and due.late:
        limit = seconds(desired.spec.deadline.total_seconds())
        late = f"its time was {due.slot:%Y-%m-%d %H:%M} UTC, and startingDeadline is {limit}"
        reason = (
            _why(obj, late)
            if status.due == due.slot
            else f"{late}; nobody looked at it in time (the operator was away or the drill paused)"
        )
        found.append(_skip(due.slot, reason, now))
    return tuple(found)


def _why(obj: Object, end: str) -> str:
    """Why a run that waited never began: the last thing that was told of it."""
    ready = conditions.find(obj.get("status") or {}, ConditionType.READY) or {}
    return f"{end}. It waited for this: {ready.get('message', 'its guards did not hold')}"


def _skip(slot: datetime, why: str, now: datetime) -> Past:
    uid = f"skipped-{slot:%Y%m%d%H%M}"
    return Past(uid=uid, verdict=Verdict.SKIPPED, sentence=f"Skipped: {why}", scheduled_for=slot, started_at=now)


def _advanced(run: Run | None, observed: Observed | None) -> Run | None:
    """The run with the phase that it has come to."""
    if run is None or observed is None or observed.going is None:
        return run
    return run.model_copy(update={"phase": observed.going.phase})


def _remembered(
    status: FailoverDrillStatus, ended: Report | None, skipped: tuple[Past, ...], kept: int
) -> tuple[Past | None, tuple[Past, ...]]:
    """The last run, and all that are kept, the latest first."""
    new = [*reversed(skipped)] + ([_past(ended)] if ended is not None else [])
    known = {past.uid for past in new}
    history = (*new, *(p for p in status.history if p.uid not in known))[:kept]
    return (history[0] if history else None), history


def _past(ended: Report) -> Past:
    return Past(
        uid=ended.uid,
        verdict=ended.verdict,
        sentence=ended.sentence,
        scheduled_for=ended.scheduled_for,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
        from_=ended.from_,
        to=ended.to,
        outage_seconds=ended.outage_seconds,
        commits_lost=ended.commits_lost,
    )


def _latest(status: FailoverDrillStatus) -> Report:
    assert status.report is not None
    return status.report


def _outage(last: Past | None) -> str | None:
    return seconds(last.outage_seconds) if last is not None and last.outage_seconds is not None else None


def _answered(desired: Desired, skipped: tuple[Past, ...], now: datetime) -> datetime | None:
    slots = [p.scheduled_for for p in skipped if p.scheduled_for is not None]
    if timing.rescheduled(desired) and desired.schedule is not None:
        slots.append(desired.schedule.last(now))
    if desired.status.last_scheduled_at is not None:
        slots.append(desired.status.last_scheduled_at)
    return max(slots, default=None)


def _stamp(moment: datetime | None) -> str | None:
    return conditions.timestamp(moment) if moment is not None else None


def _conditions(
    desired: Desired,
    plan: Plan,
    trouble: Trouble | None,
    running: bool,
    last: Past | None,
    guarded: bool,
    now: datetime,
) -> tuple[Condition, Condition]:
    """Ready: the last run held its limits, or none has run yet and nothing keeps the first from its time. Passed: the last run's verdict."""
    passed = _passed(running, last)
    if desired.absent:
        return Condition(ConditionType.READY, False, Reason.DELETING, _deleting(desired, plan, trouble)), passed
    told = reporting.first(plan, trouble)
    if running:
        reason, sentence = told or (Reason.DRILLING, f"The drill of cluster {desired.cluster} runs.")
        return Condition(
            ConditionType.READY, False, reason if trouble is not None else Reason.DRILLING, sentence
        ), passed
    if guarded:
        reason, sentence = told or (
            Reason.DRILLING,
            f"The drill of cluster {desired.cluster} begins: {reporting.todo(plan)}.",
        )
        return Condition(ConditionType.READY, False, reason, sentence), passed
    if trouble is not None and last is None:
        return Condition(ConditionType.READY, False, trouble.reason, trouble.sentence), passed
    coming = timing.following(desired, now)
    later = f" It runs next {coming:%Y-%m-%d %H:%M} UTC." if coming is not None else ""
    if last is None:
        return Condition(ConditionType.READY, True, Reason.SCHEDULED, f"Waits for its time.{later}"), passed
    good = last.verdict is Verdict.PASSED or (last.verdict is Verdict.SKIPPED and desired.schedule is not None)
    return Condition(ConditionType.READY, good, _REASONS[last.verdict], f"{last.sentence}{later}"), passed


def _passed(running: bool, last: Past | None) -> Condition:
    kind = ConditionType.PASSED
    if running:
        return Condition(kind, None, Reason.DRILLING, "The run is not over.")
    if last is None:
        return Condition(kind, None, Reason.NOT_DRILLED, "No run has ended yet.")
    verdict = {Verdict.PASSED: True, Verdict.FAILED: False}.get(last.verdict)
    return Condition(kind, verdict, _REASONS[last.verdict], last.sentence)


def _deleting(desired: Desired, plan: Plan, trouble: Trouble | None) -> str:
    told = reporting.first(plan, trouble)
    words = told[1] if told is not None else reporting.todo(plan)
    return f"The drill of cluster {desired.cluster} is being taken down: {words}"


def _stalled(plan: Plan, trouble: Trouble | None, last: Past | None) -> Condition:
    if last is not None and last.verdict in (Verdict.FAILED, Verdict.ABORTED) and trouble is None:
        return Condition(ConditionType.STALLED, True, _REASONS[last.verdict], last.sentence)
    return reporting.stalled(plan, trouble)


def _notes(obj: Object, ready: Condition, plan: Plan, trouble: Trouble | None) -> tuple[Note, ...]:
    """Told once, when it begins: what the drill waits for, and what went wrong."""
    known: Mapping[str, Any] = conditions.find(obj.get("status") or {}, ConditionType.READY) or {}
    if trouble is not None and known.get("message") != trouble.sentence:
        return (Note(trouble.reason, trouble.sentence, warning=True, action=trouble.operation or "Drill"),)
    if ready.reason == Reason.GUARDED and known.get("reason") != Reason.GUARDED:
        return (Note(Reason.GUARDED, ready.message, warning=any(r.blocking for r in plan.refusals), action="Drill"),)
    return ()


def _note(past: Past | Report) -> Note:
    return Note(_REASONS[past.verdict], past.sentence, warning=past.verdict is not Verdict.PASSED, action="Drill")
