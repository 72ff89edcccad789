"""Times that come again, as cron writes them: five fields in a time zone, read as Debian's cron reads them (cron(8), crontab(5)); and the hours
between two of them. Pure; the present is always an argument.

On days on which the clocks change, what falls into the hour that is left out comes at its end, and what falls into the hour that is there twice
comes once, the first time.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from penstock.api.model import matching

EXAMPLE: Final = "0 4 * * 0"
_WEEK: Final = timedelta(days=7)
# A Monday, and four years with one leap day: every pattern of days and months comes in them as often as it does on average.
_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)
_YEARS: Final = timedelta(days=1461)
# How far back the last time is looked for; each step is tried when the one before held none. From one 29 February to the next can be eight years.
_BACK: Final = tuple(timedelta(hours=hours) for hours in (2, 26, 8 * 24, 32 * 24, 370 * 24, 3300 * 24, 26300 * 24))
# Times in a row that fall together with what ends the hours; after more of them the hours are taken never to begin.
_TIES: Final = 1000


def _field(value: str) -> str:
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


PATTERN: Final = " +".join(
    _field(value)
    for value in (
        "[0-5]?[0-9]",
        "[01]?[0-9]|2[0-3]",
        "0?[1-9]|[12][0-9]|3[01]",
        "0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
        "0?[0-7]|(?i:sun|mon|tue|wed|thu|fri|sat)",
    )
)
CRON = matching(
    PATTERN,
    "must be a time in cron's five fields (minute 0-59, hour 0-23, day 1-31, month 1-12, day of the week 0-7), "
    f'for example "{EXAMPLE}"',
)
ZONE = matching(
    r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}",
    'must be a time zone as the IANA names it, for example "Europe/Berlin"',
)


class Schedule:
    """When something comes again. zone: as the IANA names it; '' for UTC.

    Raises ValueError with a sentence for what no rule of the API server can see: a range that runs backwards, a day that no month has, an unknown
    zone.
    """

    def __init__(self, cron: str, zone: str = "") -> None:
        self.cron = cron
        try:
            self.zone = ZoneInfo(zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            near = difflib.get_close_matches(zone, sorted(available_timezones()), n=1, cutoff=0.5)
            example = near[0] if near else "Europe/Berlin"
            raise ValueError(f"{zone!r} is no time zone that the IANA knows; write one such as {example}") from error
        try:
            next(CronSim(cron, datetime(2000, 1, 1, tzinfo=self.zone)))
        except (CronSimError, StopIteration) as error:
            why = str(error) or "it never comes"
            raise ValueError(f'{cron!r} is no time that comes ({why}); write one such as "{EXAMPLE}"') from error

    def after(self, moment: datetime) -> datetime:
        """The first time after a moment, in UTC."""
        # In the hour that is there twice a time of the first pass is found again in the second.
        return next(found for found in self._times(moment) if found > moment)

    def last(self, moment: datetime) -> datetime:
        """The last time that is not after a moment, in UTC."""
        # Forwards from before it: walking back, cronsim meets the hours of a change otherwise than walking forwards.
        for back in _BACK:
            latest = None
            for found in self._times(moment - back):
                if found > moment:
                    break
                latest = found
            if latest is not None:
                return latest
        raise AssertionError(f"{self.cron} did not come within 72 years")

    def _times(self, moment: datetime) -> Iterator[datetime]:
        for found in CronSim(self.cron, moment.astimezone(self.zone)):
            yield found.astimezone(UTC)


@dataclass(frozen=True)
class Hours:
    """The hours from each time of `begin` to the next of `end`; where both fall together, it is their end."""

    begin: Schedule
    end: Schedule

    def within(self, moment: datetime) -> bool:
        """Whether a moment is in them."""
        return self.begin.last(moment) > self.end.last(moment)

    def changes(self, moment: datetime) -> datetime | None:
        """When that is next otherwise than at a moment; None when it never is."""
        if self.within(moment):
            return self.end.after(moment)
        for _ in range(_TIES):
            moment = self.begin.after(moment)
            if self.within(moment):
                return moment
        return None

    @property
    def share(self) -> Decimal:
        """The part of all time that they are, 0 to 1; that days on which the clocks change are longer or shorter is left out."""
        return _share(self.begin.cron, self.end.cron)


@cache
def _share(begin: str, end: str) -> Decimal:
    weekly = all(cron.split()[2:4] == ["*", "*"] for cron in (begin, end))
    length = _WEEK if weekly else _YEARS
    hours, moment, until, total = Hours(Schedule(begin), Schedule(end)), _MONDAY, _MONDAY + length, timedelta()
    while moment < until:
        within, changes = hours.within(moment), hours.changes(moment)
        ends = until if changes is None else min(changes, until)
        total += (ends - moment) if within else timedelta()
        moment = ends
    return Decimal(int(total.total_seconds())) / int(length.total_seconds())
