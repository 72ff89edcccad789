"""What is asked of CloudWatch, and what it answers, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True)
class Query:
    """One statistic of one metric. dimensions: (name, value) pairs. stat: Sum, Average, Maximum, p95 and so on. period: seconds, a multiple of 60."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str
    period: int


class Point(NamedTuple):
    """The value of a period that begins at time (UTC)."""

    time: datetime
    value: float
