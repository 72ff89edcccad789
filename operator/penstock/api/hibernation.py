"""Hibernation: a database that rests outside its hours. The words that all kinds share."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final

from pydantic import Field, StrictStr

from penstock.api.model import ApiModel, Rule, Says, StatusModel, Timestamp, matching
from penstock.api.schedules import PATTERN, ZONE

CRON: Final = matching(
    PATTERN,
    'must be a time in cron\'s five fields (minute, hour, day, month, day of the week), for example "0 20 * * 1-5"',
)
ONE_MINUTE: Final = Says(
    "!self.matches('^[0-9]*[*/,-].* ')",
    lambda text: re.match(r"[0-9]*[*/,-].* ", text) is None,
    'must name one minute of the hour, for example "0 20 * * 1-5": it is the time at which the hours begin or end',
)
RULES: Final = (
    Rule(
        "must be another time than schedule: the cluster would stop and start at once",
        cel="self.wake != self.schedule",
        holds=lambda h: h.wake != h.schedule,
        at="wake",
    ),
)


Time = Annotated[StrictStr, Field(max_length=100), CRON, ONE_MINUTE]


class Hibernation(ApiModel):
    """The cluster is stopped and started by the clock."""

    rules: ClassVar[tuple[Rule, ...]] = RULES
    schedule: Time
    """When it stops, in cron's five fields: "0 20 * * 1-5"."""
    wake: Time
    """When it starts again: "0 7 * * 1-5"."""
    timezone: Annotated[StrictStr, Field(max_length=64), ZONE] | None = None
    """The time zone of both, as the IANA names it; UTC when absent."""


class HibernationStatus(StatusModel):
    """Whether it hibernates, and until when."""

    state: str | None = None
    """Hibernating or Awake."""
    until: Timestamp | None = None
    """When that changes by the clock."""
    wake: str | None = None
    """The value of the penstock.dev/wake annotation that was last acted on."""
    wake_until: Timestamp | None = None
    """Until when that value keeps it awake."""
