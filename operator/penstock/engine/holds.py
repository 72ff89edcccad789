"""Steps that rest: what AWS refused, or accepted and does not show. A plan lays them aside, so that they do not keep the others from running.

Nothing here must survive a restart: a step that does not rest is tried, and that is all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock.api.conditions import Reason
from penstock.engine.errors import Meaning, Trouble, retry_delay
from penstock.engine.plan import Plan, Refusal, Step, Wait, When

_FORGOTTEN = timedelta(minutes=10)
# Refusals in a row for the resource's state, which take about ten minutes at the pace of Meaning.BUSY.
_LASTING = 14
# Seconds that an accepted step rests, by how often it was accepted. The first is what AWS's eventual consistency needs.
_RESTS = (5.0, 20.0, 60.0, 300.0)
# Refused by these meanings, a step rests while others go on; everything else is met by the pace of the whole object.
_HOLDS = (Meaning.INVALID, Meaning.DENIED, Meaning.BUSY, Meaning.MISSING, Meaning.CONFLICT)


@dataclass(frozen=True)
class Held:
    """A step that AWS refused: why (a condition reason and its sentence), until when it rests, and how often it was refused.

    accepted: AWS took it instead, so that it must show before the step is worth repeating.
    """

    reason: str
    sentence: str
    until: datetime
    count: int = 1
    stalled: bool = False
    accepted: bool = False


class Holds(dict[str, Held]):
    """The held steps of one object, by their ids."""

    def accept(self, step: Step, now: datetime) -> None:
        """AWS took the step. If it is planned again all the same, AWS does not show it: repeating it at once would be a storm of writes."""
        before = self.get(step.id)
        recent = before is not None and before.accepted and now - before.until < _FORGOTTEN
        count = before.count + 1 if before is not None and recent else 1
        rest = _RESTS[min(count, len(_RESTS)) - 1]
        sentence = (
            f"AWS accepted {count} requests to {step.summary}, but does not show the change yet. Penstock repeats the request "
            "every five minutes at most."
        )
        self[step.id] = Held(Reason.OUT_OF_SYNC, sentence, now + timedelta(seconds=rest), count, accepted=True)

    def refuse(self, step: Step, trouble: Trouble, now: datetime, jitter: float) -> None:
        """Let a refused step rest, longer each time. jitter: a number in 0..1."""
        if trouble.meaning not in _HOLDS:
            return
        before = self.get(step.id)
        count = before.count + 1 if before and not before.accepted else 1
        delay = trouble.retry_after if trouble.retry_after is not None else retry_delay(trouble.meaning, count, jitter)
        # A state that AWS does not leave for so long is none that ends by itself.
        lasting = trouble.meaning is Meaning.BUSY and count >= _LASTING
        stalled = trouble.meaning in (Meaning.INVALID, Meaning.DENIED, Meaning.CONFLICT) or lasting
        self[step.id] = Held(trouble.reason, trouble.sentence, now + timedelta(seconds=delay), count, stalled)


def rests(step: Step, held: Mapping[str, Held], now: datetime) -> bool:
    """Whether the step must not run now."""
    entry = held.get(step.id)
    return entry is not None and entry.until > now


def rest(
    steps: Iterable[Step],
    held: Mapping[str, Held],
    now: datetime,
    waits: Iterable[Wait] = (),
    refusals: Iterable[Refusal] = (),
) -> Plan:
    """The plan with the steps that rest put off to later, and told."""
    kept: list[Step] = []
    told, awaited = list(refusals), list(waits)
    for step in steps:
        entry = held.get(step.id)
        if entry is None or entry.until <= now or step.when is When.AFTER_CONSENT:
            kept.append(step)
            continue
        remaining = (entry.until - now).total_seconds()
        if entry.accepted and entry.count > 1:
            told.append(Refusal(entry.reason, entry.sentence, blocking=False, again=remaining))
            continue
        kept.append(replace(step, when=When.LATER))
        if entry.accepted:
            awaited.append(
                Wait(Reason.UPDATING, f"AWS was asked to {step.summary} and does not show it yet.", remaining)
            )
        else:
            told.append(Refusal(entry.reason, entry.sentence, blocking=entry.stalled, again=remaining))
    return Plan(tuple(kept), tuple(awaited), tuple(told))
