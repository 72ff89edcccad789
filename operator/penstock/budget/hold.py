"""Whether a plan fits the budgets that hold, and the plan with what does not fit kept back. Pure: no clock, no memory, no I/O.

A plan is costly when the object would cost more than it may already: what it was let grow to once, or what of it runs. Then the sum of all objects of
each budget is made with the whole plan carried out; when that is over a limit, the costly steps wait for consent. Never kept back are steps that cost
nothing or less, what was let through before and is made again after somebody deleted it, and the start of what is only stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

from penstock.api.conditions import Reason
from penstock.engine.money import Money
from penstock.engine.plan import Effect, Plan, Refusal, Step, When, consent_hash, consents

ZERO: Final = Decimal(0)
_HAIR = Decimal("0.005")
# A stopped cluster is nothing new: AWS itself starts it after seven days.
_RESUMES = ("StartDBCluster",)


@dataclass(frozen=True)
class Position:
    """What one object counts for, in US dollars a month.

    monthly, storage: as it runs, or as it was let grow, whichever is more. kept: what a plan that is kept back would add. planned: what one adds that
    is neither let through yet nor kept back. more_storage: the part of both that is storage. incomplete: something of it has no known price.
    beyond: by how much its actual cost is above the estimate. spent, forecast: of this month; None when not known.
    """

    monthly: Decimal = ZERO
    storage: Decimal = ZERO
    kept: Decimal = ZERO
    incomplete: bool = False
    beyond: Decimal = ZERO
    spent: Decimal | None = None
    forecast: Decimal | None = None
    planned: Decimal = ZERO
    more_storage: Decimal = ZERO

    @property
    def counted(self) -> Decimal:
        """What it counts for: the estimate, or the actual cost when that is more."""
        return self.monthly + self.beyond

    def asking(self, money: Money) -> Position:
        """The same with a plan that is not judged yet. money: what the object costs when it is carried out."""
        if money.monthly is None:
            return self
        return replace(
            self, planned=max(money.monthly - self.monthly, ZERO), more_storage=max(money.storage - self.storage, ZERO)
        )


@dataclass(frozen=True)
class Room:
    """One budget that holds, as one object meets it. others, storage_others: what all its other objects count for."""

    budget: str
    limit: Decimal | None
    storage_limit: Decimal | None
    others: Decimal = ZERO
    storage_others: Decimal = ZERO


@dataclass(frozen=True)
class Subject:
    """The object. who: for the approval. command: what a person types before the approval's hash. approved: the annotation's value.

    new: nothing of it can exist in AWS yet. acting: the plan will be run.
    """

    who: str
    command: str
    approved: str = ""
    new: bool = False
    acting: bool = True


@dataclass(frozen=True)
class Verdict:
    """The plan as it may run, what the object counts for from now on, and why something is kept back ('' when nothing is)."""

    plan: Plan
    position: Position
    sentence: str = ""


def judge(subject: Subject, plan: Plan, money: Money, before: Position, rooms: Sequence[Room]) -> Verdict:
    """Let a plan through, or keep its costly steps back.

    money: what the object costs when the plan is carried out. before: what it counts for so far.
    """
    adds = sum((s.cost_delta for s in plan.steps if s.cost_delta is not None), ZERO)
    runs = ZERO if subject.new else _runs(money, before, adds)
    target = money.monthly if money.monthly is not None else runs + max(adds, ZERO)
    allowed = max(before.monthly, runs)
    position = Position(
        incomplete=bool(money.missing) or money.monthly is None,
        beyond=max(ZERO, (money.actual or ZERO) - target),
        spent=money.spent,
        forecast=money.forecast,
    )
    grown = replace(position, monthly=max(runs, target), storage=money.storage)
    as_before = replace(position, monthly=allowed, storage=before.storage)
    sentence = _why_not(plan, money, before, _Sums(target, runs, allowed, adds, position.beyond), rooms)
    if not sentence or _approved(subject, target):
        waits = not subject.acting and target > allowed
        return Verdict(plan, as_before.asking(money) if waits else grown)
    steps, kept = _without(subject, plan.steps, runs, allowed, target)
    if not kept:
        return Verdict(plan, grown)
    token = consent_hash([_consent(subject, target)])
    sentence = (
        f"{sentence} Nothing that runs is touched. Lower the cost, raise the limit, or let it pass: "
        f"{subject.command} penstock.dev/approve={token} --overwrite"
    )
    refusal = Refusal(Reason.OVER_BUDGET, sentence)
    more = max(money.storage - before.storage, ZERO)
    position = replace(as_before, kept=max(target - allowed, ZERO), more_storage=more)
    return Verdict(replace(plan, steps=steps, refusals=(refusal, *plan.refusals)), position, sentence)


def unjudged(subject: Subject, plan: Plan, money: Money, before: Position) -> Position:
    """What the object counts for while its plan cannot be judged yet. Arguments as for judge()."""
    adds = sum((s.cost_delta for s in plan.steps if s.cost_delta is not None), ZERO)
    runs = ZERO if subject.new else _runs(money, before, adds)
    return replace(before, monthly=max(before.monthly, runs)).asking(money)


@dataclass(frozen=True)
class _Sums:
    """Of one object, in US dollars a month: with the plan carried out, as it runs, what it may cost already, what the steps add, actual above it."""

    target: Decimal
    runs: Decimal
    allowed: Decimal
    adds: Decimal
    beyond: Decimal


def _runs(money: Money, before: Position, adds: Decimal) -> Decimal:
    """What the object costs as it runs: what it is to cost without what the steps add."""
    return max(money.monthly - adds, ZERO) if money.monthly is not None else before.monthly


def _why_not(plan: Plan, money: Money, before: Position, sums: _Sums, rooms: Sequence[Room]) -> str:
    """The first budget that the plan would break, as a sentence; ''."""
    dear = sums.target > sums.allowed + _HAIR
    stores_more = sums.adds > _HAIR and money.storage > before.storage + _HAIR
    # A target of which every part has a price is known to the cent, whatever a single step of the way there adds.
    lacking = bool(money.missing) or money.monthly is None
    unpriced = lacking and any(s.cost_delta is None and s.effect is not Effect.DESTROY for s in plan.steps)
    for room in rooms if plan.steps else ():
        there, total = room.others + sums.runs + sums.beyond, room.others + sums.target + sums.beyond
        if dear and room.limit is not None and total > room.limit + _HAIR:
            return (
                f"CostBudget {room.budget} allows ${room.limit:.2f} a month and this would bring it to ${total:.2f}: "
                f"${there:.2f} is there and this adds ${sums.target - sums.runs:.2f}."
            )
        stored = room.storage_others + money.storage
        if stores_more and room.storage_limit is not None and stored > room.storage_limit + _HAIR:
            return (
                f"CostBudget {room.budget} allows ${room.storage_limit:.2f} a month for storage and this would bring it to "
                f"${stored:.2f}: ${room.storage_others:.2f} for what else is there and ${money.storage:.2f} for this."
            )
        if unpriced:
            what = money.missing[0] if money.missing else "a step of the plan has no known price"
            return f"CostBudget {room.budget} keeps back what cannot be shown to fit ({what})."
    return ""


def _without(
    subject: Subject, steps: Sequence[Step], runs: Decimal, allowed: Decimal, target: Decimal
) -> tuple[tuple[Step, ...], int]:
    """The steps with the costly ones waiting for consent, and how many these are. Of what is new nothing is begun."""
    consent = _consent(subject, target)
    sum_, kept, found = runs, 0, []
    for step in steps:
        adds = step.cost_delta
        fits = sum_ + adds <= allowed + _HAIR if adds is not None and adds > 0 else adds is not None
        harmless = (adds is None and step.effect is Effect.DESTROY) or step.operation in _RESUMES
        if (subject.new and not allowed) or not (fits or harmless):
            found.append(replace(step, when=When.AFTER_CONSENT, subject=consent))
            kept += 1
            continue
        found.append(step)
        sum_ += adds or ZERO
    if kept:
        # Another writer is asked for only so that something larger can take its place.
        found = [
            replace(s, when=When.AFTER_CONSENT, subject=consent)
            if s.effect is Effect.FAILOVER and not s.cost_delta
            else s
            for s in found
        ]
    return tuple(found), kept


def _approved(subject: Subject, target: Decimal) -> bool:
    return bool(subject.approved) and consents(subject.approved, [_consent(subject, target)])


def _consent(subject: Subject, target: Decimal) -> str:
    """What an approval says yes to: this object at this price. To the next dollar, since sizes move by cents."""
    return f"{subject.who} costs {target.to_integral_value(ROUND_CEILING)} a month"
