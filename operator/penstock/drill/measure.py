"""From what the writers saw to the figures of a report, and from the figures to a verdict. Pure.

Times are seconds of one monotonic clock. An outage is the longest time between two acknowledged commits of one writer that ends after the failover
was requested: what an application that commits all the time would have felt, its reconnecting included.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from penstock.api.failoverdrill import FailoverDrillSpec
from penstock.api.failoverdrill_status import Moment, Series, Verdict, WriterReport, WriterSeries
from penstock.drill.guards import seconds

BUCKET = 0.1
"""Seconds: the finest that commits are counted in."""
NUMBERS = 4000
"""Numbers of a series at most, of all writers together: a status must stay small."""
_MARGIN = 10.0
_WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass
class Log:
    """What one writer saw. Bounded: commits are ranges and counts, not a list.

    ranges: acknowledged numbers as [first, last]. unknown: numbers whose answer was lost. cuts: connections that broke. buckets: acknowledged commits
    by the bucket of the monotonic clock. back_at: the first acknowledged commit on another instance than the old writer.
    """

    writer: int
    ranges: list[list[int]] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    cuts: int = 0
    buckets: Counter[int] = field(default_factory=Counter)
    last: float | None = None
    longest: float = 0.0
    cut_at: float | None = None
    back_at: float | None = None

    def acknowledged(self, number: int, at: float, *, since: float | None, moved: bool) -> None:
        """A commit was acknowledged. since: when the failover was requested. moved: another instance than the old writer took it."""
        if self.ranges and self.ranges[-1][1] == number - 1:
            self.ranges[-1][1] = number
        else:
            self.ranges.append([number, number])
        if since is not None and self.last is not None and at > since:
            self.longest = max(self.longest, at - self.last)
        if moved and since is not None and self.back_at is None:
            self.back_at = at
        self.last = at
        self.buckets[int(at / BUCKET)] += 1

    def cut(self, at: float, *, since: float | None, number: int | None = None) -> None:
        """A connection broke, perhaps before the answer to a commit came."""
        self.cuts += 1
        if number is not None:
            self.unknown.append(number)
        if since is not None and self.cut_at is None:
            self.cut_at = at

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True)
class Figures:
    """What a run is judged by. outages: of each writer, None for one that never committed again. lost: None when it could not be read back. ended:
    whether the failover ended. to: who was the writer then."""

    outages: Mapping[int, float | None]
    acknowledged: int
    lost: int | None
    unknown: int
    unknown_found: int | None
    cuts: int
    ended: bool
    waited: float
    from_: str
    to: str
    examples: tuple[str, ...] = ()

    @property
    def longest(self) -> float | None:
        """The longest outage; None when some writer never came back."""
        felt = [o for o in self.outages.values() if o is not None]
        return max(felt) if felt and len(felt) == len(self.outages) else None

    @property
    def median(self) -> float | None:
        felt = [o for o in self.outages.values() if o is not None]
        return statistics.median(felt) if felt else None


def judge(spec: FailoverDrillSpec, figures: Figures) -> tuple[Verdict, str]:
    """Passed or Failed, and the sentence that names the figures; of a failed run each limit that did not hold."""
    wrong = list(_wrong(spec, figures))
    if wrong:
        return Verdict.FAILED, f"Failed: {'; '.join(wrong)}."
    longest = figures.longest
    assert longest is not None
    return Verdict.PASSED, (
        f"Passed: {figures.from_} handed over to {figures.to}; a writer waited {seconds(longest)} at most"
        f" (limit {seconds(spec.outage_limit.total_seconds())}), {figures.lost} of {figures.acknowledged} acknowledged commits were lost"
        f" (limit {spec.commits_lost_limit})."
    )


def _wrong(spec: FailoverDrillSpec, figures: Figures) -> Iterable[str]:
    if not figures.ended:
        yield (
            f"the failover had not ended after {seconds(figures.waited)}, limits.failover is {seconds(spec.failover_limit.total_seconds())}"
            f" (AWS named {figures.to or 'no instance'} as the writer)"
        )
    away = sorted(writer for writer, outage in figures.outages.items() if outage is None)
    if away:
        yield f"{len(away)} of {len(figures.outages)} writers never committed again"
    felt = [o for o in figures.outages.values() if o is not None]
    limit = spec.outage_limit.total_seconds()
    if felt and max(felt) > limit:
        yield f"the outage was {seconds(max(felt))}, limits.outage is {seconds(limit)}"
    if figures.lost is None:
        yield "the acknowledged commits could not be read back, so that none of them counts as kept"
    elif figures.lost > spec.commits_lost_limit:
        which = f" (writer/commit {', '.join(figures.examples)})" if figures.examples else ""
        yield (
            f"{figures.lost} of {figures.acknowledged} acknowledged commits were lost{which}, limits.commitsLost is {spec.commits_lost_limit}"
        )


def outage(log: Log, requested: float, ended: float) -> float | None:
    """What one writer felt, in seconds; None when it was cut off and never committed on the new writer."""
    if log.back_at is None:
        return None
    silent = ended - log.last if log.last is not None else 0.0
    return max(log.longest, 0.0 if silent < 1 else silent) if log.last is not None and log.last > requested else None


def writers(logs: Iterable[Log], requested: float, ended: float) -> tuple[WriterReport, ...]:
    """The report of each writer."""
    return tuple(
        WriterReport(
            writer=log.writer,
            acknowledged=log.count,
            outage_seconds=rounded(outage(log, requested, ended)),
            cuts=log.cuts,
        )
        for log in logs
    )


def series(logs: list[Log], requested: float, ended: float) -> Series | None:
    """Commits over time, from ten seconds before the request to ten seconds after all were back, in buckets wide enough to stay small."""
    counted = [bucket for log in logs for bucket in log.buckets]
    if not counted:
        return None
    back = max((log.back_at for log in logs if log.back_at is not None), default=ended)
    begin = max(min(counted), int((requested - _MARGIN) / BUCKET))
    end = min(int(ended / BUCKET), int((back + _MARGIN) / BUCKET))
    fine = max(1, end - begin + 1)
    width = next((w for w in _WIDTHS if -(-fine // w) * len(logs) <= NUMBERS), _WIDTHS[-1])
    length = min(-(-fine // width), NUMBERS // len(logs))
    told = []
    for log in logs:
        commits = [0] * length
        for bucket, count in log.buckets.items():
            place = (bucket - begin) // width
            if 0 <= place < length:
                commits[place] += count
        told.append(WriterSeries(writer=log.writer, commits=" ".join(map(str, commits))))
    return Series(
        starts_at_seconds=round(begin * BUCKET - requested, 3),
        bucket_milliseconds=round(width * BUCKET * 1000),
        writers=tuple(told),
    )


def moments(seen: Mapping[Moment, float], requested: float) -> tuple[tuple[Moment, float], ...]:
    """What happened when, in seconds after the request, in that order."""
    after = {moment: max(0.0, at - requested) for moment, at in seen.items()}
    return tuple(sorted(after.items(), key=lambda pair: (pair[1], list(Moment).index(pair[0]))))


def milliseconds(length: timedelta | None) -> int | None:
    return round(length / timedelta(milliseconds=1)) if length is not None else None


def rounded(value: float | None) -> float | None:
    """Seconds to the millisecond."""
    return None if value is None else round(value, 3)
