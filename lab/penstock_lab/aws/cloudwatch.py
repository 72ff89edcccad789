"""CloudWatch's reads: statistics, percentiles and metric math over the lab's metrics and over put metric data."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from typing import Any

import moto.cloudwatch.responses as responses
from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.core.responses import ActionResult

from .metricmath import MathError, Series, evaluate
from .metrics import metrics

_STATISTICS = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
# Values a page of GetMetricData (API reference).
_PAGE = 100_800
_UNITS = {"SuccessfulRequestLatency": "Milliseconds", "OnlineIndexPercentageProgress": "Percent"}


class Bin:
    """The samples of one period."""

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.samples: list[float] = []

    def add(self, count: float, total: float, low: float, high: float, samples: Iterable[float]) -> None:
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.samples.extend(samples)

    def statistic(self, name: str) -> float:
        match name:
            case "Sum":
                return self.total
            case "Average":
                return self.total / self.count if self.count else 0.0
            case "Minimum":
                return self.low
            case "Maximum":
                return self.high
            case "SampleCount":
                return self.count
        found = _PERCENTILE.fullmatch(name)
        if not found:
            raise InvalidParameterValue(f"The value {name} for parameter Stat is not supported.")
        return _percentile(sorted(self.samples), float(found.group(1)))


def _percentile(ordered: list[float], share: float) -> float:
    if not ordered:
        return 0.0
    place = (len(ordered) - 1) * share / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _bins(
    backend: Any, namespace: str, name: str, dimensions: list[dict[str, str]], start: float, end: float, period: int
) -> dict[float, Bin]:
    """Period start to samples, periods aligned as CloudWatch aligns them."""
    start = start - start % period
    wanted = {d["Name"]: d["Value"] for d in dimensions}
    bins: dict[float, Bin] = {}

    def into(at: float) -> Bin:
        return bins.setdefault(at - at % period, Bin())

    for minute, slot in metrics.series((backend.region_name, namespace, name, tuple(sorted(wanted.items())))):
        if start <= minute * 60 < end:
            # A minute too old to have kept its samples counts with its mean.
            samples = slot.samples or [slot.total / slot.count]
            into(minute * 60.0).add(slot.count, slot.total, slot.low, slot.high, samples)
    for datum in backend.get_all_metrics():
        if datum.namespace != namespace or datum.name != name:
            continue
        if {d.name: d.value for d in datum.dimensions} != wanted:
            continue
        at = _epoch(datum.timestamp)
        if start <= at < end:
            if hasattr(datum, "value"):
                into(at).add(1, datum.value, datum.value, datum.value, [datum.value])
            else:
                count = datum.sample_count
                mean = datum.sum / count if count else 0.0
                into(at).add(count, datum.sum, datum.min, datum.max, [mean])
    return bins


def _epoch(moment: datetime.datetime) -> float:
    return moment.replace(tzinfo=datetime.UTC).timestamp() if moment.tzinfo is None else moment.timestamp()


def _moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).replace(tzinfo=None)


def get_metric_statistics(self: Any) -> ActionResult:
    name, namespace = self._get_param("MetricName"), self._get_param("Namespace")
    start, end = _epoch(self._get_param("StartTime")), _epoch(self._get_param("EndTime"))
    period = self._get_int_param("Period")
    statistics = self._get_param("Statistics", []) or []
    extended = self._get_param("ExtendedStatistics", []) or []
    if not statistics and not extended:
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    if start >= end:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    if not period or (period % 60 and period not in (1, 5, 10, 20, 30)):
        raise InvalidParameterValue("The parameter Period must be a multiple of 60, or 1, 5, 10, 20, 30.")
    if (end - start) / period > 1440:
        raise InvalidParameterCombination(
            "You have requested up to "
            f"{math.ceil((end - start) / period):,} datapoints, which exceeds the limit of 1,440. You may reduce the "
            "datapoints requested by increasing Period, or decreasing the time range."
        )
    for statistic in (*statistics, *extended):
        if statistic not in _STATISTICS and not _PERCENTILE.fullmatch(statistic):
            raise InvalidParameterValue(f"The value {statistic} for parameter Statistics is not supported.")
    points = []
    bins = _bins(self.cloudwatch_backend, namespace, name, self._get_param("Dimensions", []) or [], start, end, period)
    for at, found in sorted(bins.items()):
        point: dict[str, Any] = {"Timestamp": _moment(at), "Unit": _UNITS.get(name, "Count")}
        point |= {statistic: found.statistic(statistic) for statistic in statistics}
        if extended:
            point["ExtendedStatistics"] = {statistic: found.statistic(statistic) for statistic in extended}
        points.append(point)
    return ActionResult({"Label": name, "Datapoints": points})


def get_metric_data(self: Any) -> ActionResult:
    params = self._get_params()
    start, end = _epoch(params["StartTime"]), _epoch(params["EndTime"])
    if start > end:
        raise ValidationError("The parameter EndTime must be greater than StartTime.")
    if start == end:
        raise ValidationError("The parameter StartTime must not equal parameter EndTime.")
    queries = params.get("MetricDataQueries", [])
    if len(queries) > 500:
        raise ValidationError("The collection MetricDataQueries must not have a size greater than 500.")
    found: dict[str, Series] = {}
    periods: dict[str, int] = {}
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            metric, period = stat["Metric"], int(stat["Period"])
            bins = _bins(
                self.cloudwatch_backend,
                metric["Namespace"],
                metric["MetricName"],
                metric.get("Dimensions", []) or [],
                start,
                end,
                period,
            )
            found[query["Id"]] = {at: b.statistic(stat["Stat"]) for at, b in bins.items()}
            periods[query["Id"]] = period
        elif "Expression" not in query:
            raise ValidationError("The parameter MetricDataQueries.member.1.MetricStat is required.\n")
    _evaluate(queries, found, periods, start, end)
    newest_first = (params.get("ScanBy") or "TimestampDescending") == "TimestampDescending"
    limit = int(params.get("MaxDatapoints") or _PAGE)
    skipped = int(params.get("NextToken") or 0)
    results, room, more = [], limit, False
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        series = sorted(found[query["Id"]].items(), reverse=newest_first)
        skip = min(skipped, len(series))
        skipped -= skip
        page = series[skip : skip + room]
        room -= len(page)
        partial = skip + len(page) < len(series)
        more |= partial
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or _label(query),
                "Timestamps": [_moment(at) for at, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "PartialData" if partial else "Complete",
            }
        )
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    if more:
        answer["NextToken"] = str(int(params.get("NextToken") or 0) + limit)
    return ActionResult(answer)


def _evaluate(queries: list[Any], found: dict[str, Series], periods: dict[str, int], start: float, end: float) -> None:
    """Expressions may use one another, in any order."""
    waiting = [q for q in queries if "Expression" in q]
    raw = dict(found)
    while waiting:
        still = []
        for query in waiting:
            period = int(query.get("Period") or min(periods.values(), default=60))
            try:
                found[query["Id"]] = evaluate(query["Expression"], found, raw, period, start, end)
            except KeyError:
                still.append(query)
            except MathError as error:
                raise ValidationError(f"Error in expression '{query['Id']}': {error}") from None
        if len(still) == len(waiting):
            raise ValidationError(f"Error in expression '{still[0]['Id']}': it uses an id that no query has")
        waiting = still


def _label(query: dict[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"])


def list_metrics(self: Any) -> ActionResult:
    namespace, name = self._get_param("Namespace"), self._get_param("MetricName")
    wanted = self._get_param("Dimensions", []) or []
    start = int(self._get_param("NextToken") or 0)
    keys = {key[1:] for key in metrics.keys(self.cloudwatch_backend.region_name)}
    for datum in self.cloudwatch_backend.get_all_metrics():
        keys.add((datum.namespace, datum.name, tuple(sorted((d.name, d.value) for d in datum.dimensions))))
    rows = [
        {"Namespace": ns, "MetricName": metric, "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions]}
        for ns, metric, dimensions in sorted(keys)
        if namespace in (None, ns) and name in (None, metric) and _has(dict(dimensions), wanted)
    ]
    answer: dict[str, Any] = {"Metrics": rows[start : start + 500]}
    if len(rows) > start + 500:
        answer["NextToken"] = str(start + 500)
    return ActionResult(answer)


def _has(dimensions: dict[str, str], wanted: list[dict[str, str]]) -> bool:
    return all(d["Name"] in dimensions and d.get("Value") in (None, dimensions[d["Name"]]) for d in wanted)


def install() -> None:
    """Puts these in place of moto's, so that every protocol the clients speak serves them."""
    response = responses.CloudWatchResponse
    response.get_metric_statistics = get_metric_statistics
    response.get_metric_data = get_metric_data
    response.list_metrics = list_metrics
