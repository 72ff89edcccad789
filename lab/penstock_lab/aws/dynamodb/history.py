"""The history of provisioned capacity: what changed when, and how often it may still go down today."""

from __future__ import annotations

import datetime

from ..errors import AwsError, validation
from .refusals import next_decrease
from .store import ThroughputHistory


def throughput_change(
    what: str, current: dict[str, int], wanted: dict[str, int], history: ThroughputHistory, now: float, *, alone: bool
) -> bool:
    """Whether capacity changes. Raises AwsError when nothing would, or when the day's decreases are used up.

    ``alone`` says that the request changes nothing else.
    """
    if wanted == current:
        if not alone:
            return False
        raise validation(
            f"The provisioned throughput for {what} will not change. The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for the table: {current['ReadCapacityUnits']}. "
            f"Requested ReadCapacityUnits: {wanted['ReadCapacityUnits']}. "
            f"Current WriteCapacityUnits provisioned for the table: {current['WriteCapacityUnits']}. "
            f"Requested WriteCapacityUnits: {wanted['WriteCapacityUnits']}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )
    if _decreases(current, wanted):
        today = history.today(now)
        at = next_decrease(today, now)
        if at is not None:
            raise AwsError(
                "LimitExceededException",
                "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "
                "After the first 4 decreases, each subsequent decrease in the same UTC day can be performed at most "
                f"once every 3600 seconds. Number of decreases today: {len(today)}. "
                f"Last decrease at {moment(today[-1])}. Next decrease can be made at {moment(at)}",
            )
    return True


def _decreases(current: dict[str, int], wanted: dict[str, int]) -> bool:
    return any(wanted[name] < current[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits"))


def note_decrease(history: ThroughputHistory, current: dict[str, int], wanted: dict[str, int], now: float) -> None:
    """Counts against the day at once, so that the next request sees it."""
    if _decreases(current, wanted):
        history.decreases = [*history.today(now), now]


def record_change(history: ThroughputHistory, current: dict[str, int], wanted: dict[str, int], due: float) -> None:
    if _decreases(current, wanted):
        history.decreased = due
    if any(wanted[name] > current[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits")):
        history.increased = due


def moment(at: float) -> str:
    """A time as DynamoDB writes it into its sentences."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%A, %B %-d, %Y %-I:%M:%S %p UTC")
