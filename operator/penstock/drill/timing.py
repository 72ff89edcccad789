"""When a drill is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api.failoverdrill_status import Verdict
from penstock.drill.state import Desired

# So close to a scheduled time it is slept through at once, in seconds; before, the way is gone in steps, since one that is too long is late.
_NEAR = 3.0
_LONGEST = 3600.0


@dataclass(frozen=True)
class Due:
    """A run that should begin. slot: its scheduled time; None for a drill that runs once. late: it is too late for it to begin."""

    slot: datetime | None
    late: bool = False


def due(desired: Desired, now: datetime) -> Due | None:
    """The run that should begin now, or None. Of scheduled times that passed unanswered only the newest counts."""
    if desired.absent:
        return None
    if desired.schedule is None:
        return None if desired.status.verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.ABORTED) else Due(None)
    slot = desired.schedule.last(now)
    if rescheduled(desired) or slot <= answered(desired):
        return None
    return Due(slot, now - slot > desired.spec.deadline)


def answered(desired: Desired) -> datetime:
    """Up to when scheduled times need no answer any more; before the object was made there were none."""
    last = desired.status.last_scheduled_at
    return max(last, desired.created_at) if last is not None else desired.created_at


def rescheduled(desired: Desired) -> bool:
    """Whether the schedule is another one than the status speaks of: its times that are past were never asked for."""
    return bool(desired.clock and desired.status.schedule and desired.status.schedule != desired.clock)


def following(desired: Desired, now: datetime) -> datetime | None:
    """The next scheduled time; None for a drill that runs once."""
    return desired.schedule.after(now) if desired.schedule is not None else None


def until(desired: Desired, now: datetime) -> float:
    """Seconds until the next look at a drill that waits for its time."""
    coming = following(desired, now)
    if coming is None:
        return _LONGEST
    left = max(0.5, (coming - now) / timedelta(seconds=1))
    # The loop spreads its delays by a tenth; nine tenths of the way never overshoot.
    return left + 0.3 if left <= _NEAR else min(_LONGEST, left * 0.9)
