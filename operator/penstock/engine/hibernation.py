"""Whether a database hibernates at a moment, and until when: by its hours, and by the annotation that wakes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final

from penstock.api.hibernation import Hibernation, HibernationStatus
from penstock.api.model import Problem
from penstock.api.quantities import Duration
from penstock.api.schedules import Hours, Schedule
from penstock.engine.conditions import timestamp

HIBERNATING: Final = "Hibernating"
AWAKE: Final = "Awake"
# A value of the annotation goes onto the status; nobody needs more of it.
_LONGEST = 128
# A look that comes early is repeated; one that comes late leaves people waiting for their database.
_EARLY: Final = 0.9
_SOON: Final = 60.0
# For ever, as far as a person who writes the year 9999 is concerned; no calendar has the next time of a schedule after that year.
_LONG: Final = timedelta(days=36_525)


@dataclass(frozen=True)
class Rest:
    """Whether it hibernates.

    until: when that changes by the clock; None when it never does. local: until in the words of the schedule's own time zone. word: the value of
    penstock.dev/wake that was acted on, '' without, and woken_until: until when it keeps the database awake. by_hand: only that keeps it awake now.
    """

    asleep: bool
    until: datetime | None
    local: str
    word: str = ""
    woken_until: datetime | None = None
    by_hand: bool = False

    def as_status(self) -> dict[str, Any]:
        """status.hibernation."""
        found = {
            "state": HIBERNATING if self.asleep else AWAKE,
            "until": timestamp(self.until) if self.until else None,
            "wake": self.word,
            "wakeUntil": timestamp(self.woken_until) if self.word and self.woken_until else None,
        }
        return {name: value for name, value in found.items() if value}

    def seconds(self, now: datetime) -> float:
        """Seconds until the next look that must not miss the change: a little early, since looks come with a jitter of a tenth."""
        if self.until is None:
            return float("inf")
        left = (self.until - now).total_seconds()
        return max(1.0, left if left <= _SOON else left * _EARLY)


def hours(hibernation: Hibernation) -> Hours:
    """The hours in which it hibernates. The schedules must have been checked by problems()."""
    return _hours(hibernation.schedule, hibernation.wake, hibernation.timezone or "")


@cache
def _hours(begin: str, end: str, zone: str) -> Hours:
    return Hours(Schedule(begin, zone), Schedule(end, zone))


def problems(hibernation: Hibernation | None, path: str = "spec.hibernation") -> list[Problem]:
    """What no pattern can tell of the two schedules: times that never come, zones that do not exist, hours that never end or never begin."""
    if hibernation is None:
        return []
    found = list(_unreadable(hibernation, path))
    if found:
        return found
    share = hours(hibernation).share
    if share == 0:
        return [
            Problem(
                f"{path}.schedule", "never lets it hibernate: it always falls together with wake; write another time"
            )
        ]
    if share == 1:
        return [Problem(f"{path}.wake", "never wakes it; write a time that comes between two of schedule")]
    return []


def _unreadable(hibernation: Hibernation, path: str) -> Iterator[Problem]:
    for name in ("schedule", "wake"):
        try:
            Schedule(getattr(hibernation, name))
        except ValueError as error:
            yield Problem(f"{path}.{name}", str(error))
    try:
        Schedule("0 0 * * *", hibernation.timezone or "")
    except ValueError as error:
        yield Problem(f"{path}.timezone", str(error))


def awake(hibernation: Hibernation | None) -> Decimal:
    """The part of a month in which it is awake, 0 to 1."""
    return Decimal(1) - hours(hibernation).share if hibernation is not None else Decimal(1)


def rest(hibernation: Hibernation, annotation: str, before: HibernationStatus | None, now: datetime) -> Rest:
    """Whether it hibernates now.

    annotation: what penstock.dev/wake says, '' without: a time in RFC 3339, a duration from when it was first seen, or any other word, which wakes it
    until the hours begin the next time. A value counts once: when it is over, only another one wakes the database again; without it the hours count.
    before: what stands on the status.
    """
    found = hours(hibernation)
    word = annotation.strip()[:_LONGEST]
    woken = None
    if word:
        same = before is not None and before.wake == word
        woken = _aware(before.wake_until) if same and before is not None else _until(word, found, now)
    by_hand = woken is not None and now < woken
    due = found.within(now)
    asleep = due and not by_hand
    start = woken if woken is not None and now < woken else now
    until = start if start > now and found.within(start) else found.changes(start)
    local = ""
    if until is not None:
        local = f"{until.astimezone(found.begin.zone):%a %Y-%m-%d %H:%M %Z}"
    return Rest(asleep, until, local, word, woken, by_hand and due)


def _until(word: str, found: Hours, now: datetime) -> datetime | None:
    try:
        return now + min(Duration(word).value, _LONG)
    except OverflowError:
        return now + _LONG
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return found.begin.after(now)
    # A time of a zone may be in no year that UTC has.
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max(local, now - _LONG), now + _LONG).astimezone(UTC)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
