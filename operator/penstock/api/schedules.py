"""Times that come again, as cron writes them: five fields in a time zone, read as Debian's cron reads them (cron(8), crontab(5))."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from penstock.api.model import matching

EXAMPLE: Final = "0 4 * * 0"


def _field(value: str) -> str:
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_PATTERN: Final = " +".join(
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
    _PATTERN,
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
        self._cron = cron
        try:
            self._zone = ZoneInfo(zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{zone!r} is no time zone that the IANA knows; write one such as Europe/Berlin"
            ) from error
        try:
            next(CronSim(cron, datetime(2000, 1, 1, tzinfo=self._zone)))
        except (CronSimError, StopIteration) as error:
            why = str(error) or "it never comes"
            raise ValueError(f'{cron!r} is no time that comes ({why}); write one such as "{EXAMPLE}"') from error

    def after(self, moment: datetime) -> datetime:
        """The first time after a moment, in UTC."""
        return next(CronSim(self._cron, moment.astimezone(self._zone))).astimezone(UTC)

    def last(self, moment: datetime) -> datetime:
        """The last time that is not after a moment, in UTC."""
        # A walk back leaves out the minute that it begins with, and cron knows no seconds.
        began = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return next(CronSim(self._cron, began.astimezone(self._zone), reverse=True)).astimezone(UTC)
