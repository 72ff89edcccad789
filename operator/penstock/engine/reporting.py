"""What the reports of all kinds share: the one thing that is told first, the conditions of kstatus, and the Events of a pass. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.api.conditions import ConditionType, Reason
from penstock.engine import conditions
from penstock.engine.conditions import Condition
from penstock.engine.errors import Meaning, Trouble
from penstock.engine.events import Note
from penstock.engine.plan import Plan, Refusal, Wait


def first(plan: Plan, trouble: Trouble | None) -> tuple[str, str] | None:
    """The one thing that is told: what went wrong, what is refused, what a person must do, what AWS is doing; in this order."""
    if trouble is not None:
        return trouble.reason, trouble.sentence
    ordered: list[Refusal | Wait] = [r for r in plan.refusals if r.blocking]
    ordered += [w for w in plan.waits if w.poll is not None]
    ordered += [w for w in plan.waits if w.poll is None]
    ordered += [r for r in plan.refusals if not r.blocking]
    return (ordered[0].reason, ordered[0].sentence) if ordered else None


def todo(plan: Plan) -> str:
    """The first steps of the plan, as a clause."""
    return (
        "; ".join(s.summary for s in plan.steps[:3])
        + (f" and {len(plan.steps) - 3} more" if len(plan.steps) > 3 else "")
        or "nothing"
    )


def reconciling(plan: Plan, trouble: Trouble | None) -> Condition:
    """Whether work goes on (kstatus)."""
    kind = ConditionType.RECONCILING
    moving = [w for w in plan.waits if w.poll is not None]
    going_on = bool(moving or plan.runnable) or (
        trouble is not None and trouble.meaning not in (Meaning.INVALID, Meaning.DENIED, Meaning.CONFLICT)
    )
    if not going_on:
        return Condition(kind, False, Reason.NOT_PROGRESSING, "No work goes on.")
    sentence = moving[0].sentence if moving else trouble.sentence if trouble is not None else f"To do: {todo(plan)}."
    return Condition(kind, True, Reason.PROGRESSING, sentence)


def stalled(plan: Plan, trouble: Trouble | None) -> Condition:
    """True when nothing goes on until a person acts (kstatus)."""
    kind = ConditionType.STALLED
    if trouble is not None and trouble.meaning in (Meaning.INVALID, Meaning.DENIED, Meaning.CONFLICT):
        return Condition(kind, True, trouble.reason, trouble.sentence)
    blocking = next((r for r in plan.refusals if r.blocking), None)
    if blocking is not None:
        return Condition(kind, True, blocking.reason, blocking.sentence)
    consent = next((w for w in plan.waits if w.reason == Reason.WAITING_FOR_CONSENT), None)
    if consent is not None and not any(w.poll is not None for w in plan.waits):
        return Condition(kind, True, consent.reason, consent.sentence)
    return Condition(kind, False, Reason.NOT_STALLED, "Nothing keeps the work from going on.")


def notes(status: Mapping[str, Any], ready: Condition, plan: Plan, trouble: Trouble | None) -> tuple[Note, ...]:
    """Told once, when it begins: what keeps the object from its desired state, and that it no longer serves."""
    known = conditions.find(status, ConditionType.READY)
    stalled = conditions.find(status, ConditionType.STALLED)
    found = []
    if trouble is not None and (stalled is None or stalled.get("message") != trouble.sentence):
        found.append(Note(trouble.reason, trouble.sentence, warning=True, action=trouble.operation or "Reconcile"))
    if (
        known is not None
        and known.get("status") == "True"
        and ready.status is not True
        and ready.reason not in (Reason.DELETING, Reason.BACKING_UP)
        and trouble is None
    ):
        found.append(Note(ready.reason, ready.message, warning=True))
    before = (status.get("plan") or {}).get("refused") or ()
    found += [
        Note(r.reason, r.sentence, warning=True)
        for r in plan.refusals
        if r.sentence not in before and r.reason != Reason.BUSY
    ]
    return tuple(found)
