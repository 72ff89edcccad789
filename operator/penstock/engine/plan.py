"""Plans: what a kind decided, as data. A plan can be printed, put on an object, or acted on; deciding and doing never mix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from penstock.api.plan import Effect, When

__all__ = ["Effect", "Plan", "Refusal", "Step", "Wait", "When", "consent_hash", "consents", "monthly_delta"]


KUBERNETES = "kubernetes"
"""Step.service of a write to the API server."""

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Step:
    """One AWS write, or one to Kubernetes that is made with them (service KUBERNETES).

    service, operation, parameters: the request as botocore takes it. summary: the line that people read. facet: which part of the observed state
    the answer refreshes. drift: the field and its values before and after, when the step takes back somebody else's change. told: an Event
    (reason, sentence) when the step has been done. intent: status fields that are written before the step runs, because AWS cannot carry our mark in
    the same call and a crash in between must be recognised afterwards. cost_delta: US dollars a month
    that it adds; None when not known. subject: what an approval says yes to, never a sentence; '' for the id. before: the values that the request
    replaces, so that to correct another drift is no repetition of it.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    summary: str
    effect: Effect = Effect.IMMEDIATE
    when: When = When.NOW
    facet: str = ""
    drift: str = ""
    told: tuple[str, str] | None = None
    intent: Mapping[str, Any] | None = None
    cost_delta: Decimal | None = None
    subject: str = ""
    before: Any = None

    @cached_property
    def id(self) -> str:
        """The request itself: backoff and consent are keyed by it, so that a reworded summary changes neither."""
        request = json.dumps([self.service, self.parameters, self.before], sort_keys=True, default=str)
        return f"{self.operation}/{hashlib.sha256(request.encode()).hexdigest()[:12]}"

    @property
    def approval(self) -> str:
        """What consent to the step is consent to."""
        return self.subject or self.id

    @property
    def cost(self) -> str:
        """What it adds to a month, for people ("+$53.29/month"); '' when that is not known or less than a cent."""
        return monthly_delta(self.cost_delta) if self.cost_delta and abs(self.cost_delta) >= _CENT / 2 else ""

    def as_status(self) -> dict[str, Any]:
        """The step as it appears in status.plan.steps."""
        told = {"summary": self.summary, "effect": str(self.effect), "when": str(self.when)}
        return {**told, "costDelta": self.cost} if self.cost else told


@dataclass(frozen=True)
class Wait:
    """Something that AWS or a person has to finish first: a condition reason and its sentence, and how soon to look again (seconds)."""

    reason: str
    sentence: str
    poll: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Something that the plan will not do, with what the user should write or do instead. blocking: the desired state cannot be reached.

    again: seconds until it is worth another look.
    """

    reason: str
    sentence: str
    blocking: bool = True
    again: float = 60.0


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they run, what is being waited for, and what is refused. An empty plan means: as desired.

    left: sentences about what a deletion leaves behind although it was ours; each becomes a Warning Event when the object goes.

    notes: sentences that keep nothing from being done and are worth knowing before it is, such as an objective that the declared shape cannot attain.
    """

    steps: tuple[Step, ...] = ()
    waits: tuple[Wait, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    gone: bool = False
    notes: tuple[str, ...] = field(default=())
    left: tuple[str, ...] = ()

    @property
    def runnable(self) -> tuple[Step, ...]:
        return tuple(s for s in self.steps if s.when is When.NOW)

    @property
    def needs_consent(self) -> bool:
        return any(s.when is When.AFTER_CONSENT for s in self.steps)

    @property
    def empty(self) -> bool:
        return not (self.steps or self.waits or self.refusals)

    @property
    def of_aws(self) -> Plan:
        """The plan without what is written to Kubernetes alone: what an object, its Synced condition and status.plan tell is about AWS."""
        return replace(self, steps=tuple(s for s in self.steps if s.service != KUBERNETES))

    @property
    def hash(self) -> str:
        """What `penstock.dev/approve` must carry to let the steps run that need consent."""
        return consent_hash([s.approval for s in self.steps if s.when is When.AFTER_CONSENT])

    def as_status(self) -> dict[str, Any] | None:
        """The plan as status.plan, or None when there is nothing to tell. Notes are told with the steps that they are about."""
        if self.empty:
            return None
        status: dict[str, Any] = {}
        if self.needs_consent:
            status["hash"] = self.hash
        if self.steps:
            status["steps"] = [s.as_status() for s in self.steps]
        if self.waits:
            status["waiting"] = [w.sentence for w in self.waits]
        if self.refusals:
            status["refused"] = [r.sentence for r in self.refusals]
        if self.notes:
            status["notes"] = list(self.notes)
        return status


def monthly_delta(amount: Decimal) -> str:
    """What a change adds to the cost of a month, in US dollars to the cent: "+$53.29/month", "-$53.29/month"."""
    shown = amount.quantize(_CENT, ROUND_HALF_UP)
    return f"{'-' if shown < 0 else '+'}${abs(shown):f}/month"


def consent_hash(subjects: list[str]) -> str:
    """The approval token for what the subjects say: twelve hex digits for each, joined by '.'.

    Only what is consented to goes in, so that an unrelated edit does not void an approval; and each on its own, so that what was approved together
    stays approved while it is carried out one after the other. What several steps share is said once.
    """
    return ".".join(
        hashlib.sha256(json.dumps([subject]).encode()).hexdigest()[:12] for subject in dict.fromkeys(subjects)
    )


def consents(approved: str, subjects: list[str]) -> bool:
    """Whether an approval token covers all that the subjects say."""
    return set(consent_hash(subjects).split(".")) <= set(approved.split("."))
