"""The two windows of an Aurora cluster, in UTC: the daily one of backups and the weekly one of maintenance.

Their forms are those of the RDS API reference (CreateDBCluster): `hh:mm-hh:mm` and `ddd:hh:mm-ddd:hh:mm`. Either may go
over midnight, the weekly one over the end of the week.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
SHORTEST: Final = 30
"""Minutes that a window has at least."""
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_TIME: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DAY: Final = "([Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)"
DAILY: Final = f"{_TIME}-{_TIME}"
"""The form of a daily window, as a pattern."""
WEEKLY: Final = f"{_DAY}:{_TIME}-{_DAY}:{_TIME}"
"""The form of a weekly window, as a pattern."""


@dataclass(frozen=True)
class Window:
    """A window that comes again: start, length and period in minutes; start counts from Monday 00:00 UTC, or from midnight."""

    start: int
    length: int
    period: int

    def overlaps(self, other: Window) -> bool:
        """Whether two windows ever meet. One of them may be daily and the other weekly: then the day does not matter."""
        period = min(self.period, other.period)
        return (other.start - self.start) % period < self.length or (self.start - other.start) % period < other.length

    def open_at(self, now: datetime) -> bool:
        """Whether it is open at a moment."""
        return (self._minute(now) - self.start) % self.period < self.length

    def opens_after(self, now: datetime) -> datetime:
        """When it opens next; a minute that is its first counts as the one of the next period."""
        ahead = (self.start - self._minute(now) - 1) % self.period + 1
        return now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=ahead)

    def _minute(self, now: datetime) -> int:
        utc = now.astimezone(UTC)
        return (utc.weekday() * DAY + utc.hour * 60 + utc.minute) % self.period


def daily(text: str) -> Window:
    """A window like "03:00-04:00". Raises ValueError when it has another form."""
    return _window(text, DAILY, DAY)


def weekly(text: str) -> Window:
    """A window like "sun:05:00-sun:06:00". Raises ValueError when it has another form."""
    return _window(text, WEEKLY, WEEK)


def _window(text: str, form: str, period: int) -> Window:
    if re.fullmatch(form, text) is None:
        raise ValueError(f"{text!r} is no window of the form that RDS takes")
    begin, end = (_minutes(part) for part in text.split("-"))
    return Window(begin, (end - begin) % period, period)


def _minutes(text: str) -> int:
    *day, hour, minute = text.split(":")
    return (DAYS.index(day[0].lower()) * DAY if day else 0) + int(hour) * 60 + int(minute)
