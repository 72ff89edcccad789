"""CloudWatch's metrics, read in batches: GetMetricData costs $0.01 for each 1,000 metrics that are asked for, so what is asked is counted and no
metric is asked for twice in a read.

Limits are those of the CloudWatch API reference (GetMetricData): 500 queries a call, 100,800 values a page, 50 calls a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from penstock.api.conditions import Reason
from penstock.aws.account import Account
from penstock.aws.series import Point, Query
from penstock.engine import metrics
from penstock.engine.errors import Meaning, Trouble, unavailable
from penstock.engine.queue import Priority

__all__ = ["BATCH", "Metrics", "Point", "Query"]

BATCH: Final = 500
"""Metrics a call."""
_OPERATION = "GetMetricData"
# Endless pages are a defect of the endpoint: 1,000 of them are 100 million values.
_PAGES = 1000


class Metrics:
    """Reads metrics of the account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def read(
        self,
        region: str,
        queries: Sequence[Query],
        start: datetime,
        end: datetime,
        *,
        priority: Priority = Priority.BACKGROUND,
    ) -> dict[Query, tuple[Point, ...]]:
        """The points of each query from start up to end, oldest first; none where AWS has none, which for counts means zero.

        start, end: aware; AWS keeps periods of 60 s for 15 days, of 300 s for 63 and of 3,600 s for 455, and has the last minutes only in part.
        region: '' for the operator's. Raises Trouble: all of it was read or nothing is answered.
        """
        found: dict[Query, list[Point]] = {query: [] for query in queries}
        asked = list(found)
        for first in range(0, len(asked), BATCH):
            await self._batch(region, asked[first : first + BATCH], found, start, end, priority)
        return {query: tuple(sorted(points)) for query, points in found.items()}

    async def _batch(
        self,
        region: str,
        queries: Sequence[Query],
        found: dict[Query, list[Point]],
        start: datetime,
        end: datetime,
        priority: Priority,
    ) -> None:
        request: dict[str, Any] = {
            "MetricDataQueries": [_asked(f"q{n}", query) for n, query in enumerate(queries)],
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        for _ in range(_PAGES):
            # Before the answer: AWS charges for what is asked.
            metrics.CLOUDWATCH_METRICS.labels(region or self._account.region).inc(len(queries))
            answer = await self._account.call("cloudwatch", _OPERATION, request, region=region, priority=priority)
            for result in answer.get("MetricDataResults") or ():
                _check(result)
                query = _which(result, queries)
                found[query] += _points(result)
            token = answer.get("NextToken")
            if not token or token == request.get("NextToken"):
                return
            request = {**request, "NextToken": token}
        raise _unreadable("it has no last page")


def _asked(identifier: str, query: Query) -> dict[str, Any]:
    metric = {
        "Namespace": query.namespace,
        "MetricName": query.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
    }
    return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": query.period, "Stat": query.stat}}


def _which(result: dict[str, Any], queries: Sequence[Query]) -> Query:
    identifier = str(result.get("Id", ""))
    number = identifier.removeprefix("q")
    if not number.isdecimal() or int(number) >= len(queries):
        raise _unreadable(f"nothing was asked as {identifier!r}")
    return queries[int(number)]


def _points(result: dict[str, Any]) -> list[Point]:
    times, values = result.get("Timestamps") or (), result.get("Values") or ()
    if len(times) != len(values) or not all(isinstance(t, datetime) and t.tzinfo is not None for t in times):
        raise _unreadable("times and values do not match")
    return [Point(time, float(value)) for time, value in zip(times, values, strict=True)]


def _check(result: dict[str, Any]) -> None:
    """What AWS says of one metric of an answer that is else well."""
    code = result.get("StatusCode") or "Complete"
    if code == "Forbidden":
        raise Trouble(
            Meaning.DENIED,
            Reason.ACCESS_DENIED,
            "AWS denies cloudwatch:GetMetricData: allow it in the operator's IAM policy.",
            code=code,
            operation=_OPERATION,
        )
    if code == "InternalError":
        raise unavailable("CloudWatch fails on its side (GetMetricData)", code=code, operation=_OPERATION)


def _unreadable(why: str) -> Trouble:
    return unavailable(f"cloudwatch:GetMetricData gave an answer that cannot be read ({why})", operation=_OPERATION)
