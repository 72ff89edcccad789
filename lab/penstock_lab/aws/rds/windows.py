"""Backup and maintenance windows on the lab's clock, in UTC: when one comes next, and whether one is open.

Forms: ``hh24:mi-hh24:mi`` a day, ``ddd:hh24:mi-ddd:hh24:mi`` a week (API reference, PreferredBackupWindow and
PreferredMaintenanceWindow).
"""

from __future__ import annotations

import datetime
import zlib

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 86400.0
WEEK = 7 * DAY
# 1970-01-01 was a Thursday: the Monday of that week lies three days before the epoch.
_MONDAY = -3 * DAY


def next_start(window: str, now: float) -> float:
    """When a window opens next; ``now`` while it is open. Epoch seconds."""
    start, length, period, origin = _read(window)
    since = (now - origin - start) % period
    return now if since < length else now - since + period


def after(window: str, now: float) -> float:
    """When a window opens the next time after the one that may be open now."""
    start, _, period, origin = _read(window)
    return now - (now - origin - start) % period + period


def default_backup(identifier: str) -> str:
    """A half hour of the night, as RDS picks one at random; here by the name, so that it stays the same."""
    half = zlib.crc32(f"backup {identifier}".encode()) % 16
    start = 3 * 60 + half * 30
    return f"{start // 60:02d}:{start % 60:02d}-{(start + 30) // 60:02d}:{(start + 30) % 60:02d}"


def default_maintenance(identifier: str) -> str:
    half = zlib.crc32(f"maintenance {identifier}".encode()) % 16
    # Never over the backup window: it lies between 03:00 and 11:30, this one between 12:00 and 20:30.
    start, day = 12 * 60 + half * 30, _DAYS[zlib.crc32(f"day {identifier}".encode()) % 7]
    return f"{day}:{start // 60:02d}:{start % 60:02d}-{day}:{(start + 30) // 60:02d}:{(start + 30) % 60:02d}"


def _read(window: str) -> tuple[float, float, float, float]:
    """Start after the origin, length, period and origin, in seconds."""
    left, _, right = window.lower().partition("-")
    if left[:3] in _DAYS:
        start, end, period, origin = _weekly(left), _weekly(right), WEEK, _MONDAY
    else:
        start, end, period, origin = _daily(left), _daily(right), DAY, 0.0
    return start, (end - start) % period or period, period, origin


def _weekly(text: str) -> float:
    return _DAYS.index(text[:3]) * DAY + _daily(text[4:])


def _daily(text: str) -> float:
    hours, _, minutes = text.partition(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def moment(at: float) -> str:
    """A time as RDS writes it into its sentences."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
