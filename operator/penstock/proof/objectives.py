"""What a cluster must achieve: whether its declared shape can, whether it does now, and whether a drill proved it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from penstock.api.auroracluster import Objectives
from penstock.api.conditions import ConditionType, Reason
from penstock.api.quantities import Duration
from penstock.engine.conditions import Condition

# Aurora guide, "High availability for Amazon Aurora": without a reader a lost writer is made anew, usually within ten minutes.
_WITHOUT_READER: Final = timedelta(minutes=10)
# Ten minutes without a writer in thirty days are more than this objective allows.
_ONE_INSTANCE: Final = 99.9
# Aurora guide, "Backing up and restoring": the latest restorable time is within the last five minutes.
_RESTORABLE: Final = timedelta(minutes=5)
# Aurora guide, "Scaling to zero ACUs with automatic pause and resume": about 15 seconds.
_RESUMES: Final = timedelta(seconds=15)
# The clusters are looked at this rarely while nothing happens.
_LOOKED: Final = timedelta(minutes=1)
_NEED_PROBE: Final = ("availability", "replicaLag", "connect", "queryP95")


@dataclass(frozen=True)
class Shape:
    """What of a cluster decides which objectives it can attain.

    readers: how many there are to be at least. zones: of writer and readers, as far as they are known. tiers: of the readers, likewise. placed:
    whether zones and tiers are those of all instances. pauses: whether it pauses itself when idle.
    """

    readers: int
    zones: frozenset[str] = frozenset()
    tiers: tuple[int, ...] = ()
    placed: bool = False
    pauses: bool = False


@dataclass(frozen=True)
class Measured:
    """What is measured now; None where it is not known. Seconds: lag, connect and query, each what 95 % of the measurements are within.

    problem: why the probe measures nothing, a sentence; '' when it does. availability: status.availability. failover: seconds without a writer of the
    last failover; failing_for: of the one that lasts. proven: of the last drill that passed. unrestorable: how much a restore would lose.
    """

    lag: float | None = None
    connect: float | None = None
    query: float | None = None
    problem: str = ""
    availability: Mapping[str, Any] = field(default_factory=dict)
    failover: float | None = None
    failing_for: float | None = None
    proven: float | None = None
    unrestorable: float | None = None


@dataclass(frozen=True)
class Judgement:
    """One objective."""

    name: str
    target: str
    observed: str | None = None
    """In the unit of the target; None while not known."""
    met: bool | None = None
    """None while not known."""
    proven: str | None = None
    figure: float | None = None
    """The number that met is decided by; of availability the seconds that are left of the error budget."""
    judged: str | None = None
    """What met is decided by, where that is not what was observed."""
    since: str | None = None
    """Since when it was observed."""

    def as_status(self) -> dict[str, Any]:
        """The entry in status.objectives."""
        entry = {
            "name": self.name,
            "target": self.target,
            "judged": self.judged,
            "observed": self.observed,
            "since": self.since,
            "proven": self.proven,
            "met": self.met,
        }
        return {k: v for k, v in entry.items() if v is not None}


def unattainable(wanted: Objectives | None, shape: Shape) -> tuple[str, ...]:
    """What the shape cannot attain, a sentence each: what, why, and what to write instead."""
    if wanted is None:
        return ()
    found: list[str] = []
    share = _share(wanted)
    high = share is not None and share > _ONE_INSTANCE
    quick = wanted.failover is not None and wanted.failover.value < _WITHOUT_READER
    asked = _asked(wanted, high=high, quick=quick)
    if (high or quick) and shape.readers < 1:
        found.append(
            f"{asked} cannot be attained without a reader: a lost writer is made anew within about ten minutes; "
            "write instances.readers: 1 or more."
        )
    elif (high or quick) and shape.placed and len(shape.zones) == 1:
        found.append(
            f"{asked} cannot be attained with all instances in zone {next(iter(shape.zones))}: when it is lost nobody can take over; "
            "put a reader into another zone (instances.overrides[].zone, network.subnetIds)."
        )
    elif (high or quick) and shape.tiers and min(shape.tiers) > 1:
        found.append(
            f"{asked} is not safe with no reader in promotion tier 0 or 1: who takes over need not be of the writer's size; "
            "write instances.overrides[].promotionTier: 1 for one of them."
        )
    if shape.pauses:
        for name, limit in (("connect", wanted.connect), ("queryP95", wanted.query_p95)):
            if limit is not None and limit.value < _RESUMES:
                found.append(
                    f"objectives.{name}: {limit} cannot be attained by a cluster that pauses: it takes about 15 s to resume; "
                    "take instances.serverless.autoPause out and write minCapacity: 0.5 or more."
                )
    if wanted.recovery_point is not None and wanted.recovery_point.value < _RESTORABLE:
        found.append(
            f"objectives.recoveryPoint: {wanted.recovery_point} cannot be attained: Aurora restores up to about five minutes ago; write 5m or more."
        )
    if wanted.replica_lag is not None and shape.readers < 1:
        found.append(
            f"objectives.replicaLag: {wanted.replica_lag} says nothing without a reader; write instances.readers: 1 or more, or take it out."
        )
    return tuple(found)


def _asked(wanted: Objectives, *, high: bool, quick: bool) -> str:
    asked = [f"objectives.availability: {wanted.availability}"] if high else []
    asked += [f"objectives.failover: {wanted.failover}"] if quick else []
    return " and ".join(asked)


def judge(wanted: Objectives | None, measured: Measured) -> tuple[Judgement, ...]:
    """Every objective that the spec names, in the order of the spec."""
    if wanted is None:
        return ()
    found = []
    if wanted.availability is not None:
        found.append(_availability(wanted.availability, measured))
    if wanted.failover is not None:
        found.append(_failover(wanted.failover, measured))
    for name, limit, figure in (
        ("replicaLag", wanted.replica_lag, measured.lag),
        ("connect", wanted.connect, measured.connect),
        ("queryP95", wanted.query_p95, measured.query),
    ):
        if limit is not None:
            found.append(_within(name, limit, figure))
    if wanted.recovery_point is not None:
        found.append(_recovery(wanted.recovery_point, measured))
    return tuple(found)


def _availability(target: str, measured: Measured) -> Judgement:
    """A young database with one outage has a low percentage and nearly all of its budget: the budget of the whole window is judged."""
    known = measured.availability
    left, attained, budget = known.get("budgetLeftSeconds"), known.get("attained"), known.get("budgetSeconds")
    if left is None or attained is None:
        return Judgement("availability", target)
    judged = None if budget is None else f"error budget of 30 days: {seconds(budget - left)} of {seconds(budget)} spent"
    return Judgement("availability", target, f"{attained}", left >= 0, figure=left, judged=judged, since=_since(known))


def _since(availability: Mapping[str, Any]) -> str | None:
    """Since when the percentage was observed: the first success, or the first day that is still in the window."""
    since, days = availability.get("since"), availability.get("days") or ()
    first = f"{days[0]['day']}T00:00:00Z" if days else ""
    return max(str(since), first) if since else None


def _failover(limit: Duration, measured: Measured) -> Judgement:
    proven = None if measured.proven is None else seconds(measured.proven)
    most = limit.value.total_seconds()
    if measured.failing_for is not None and measured.failing_for > most:
        # The figure would be another one with every look.
        return Judgement("failover", limit, f"over {limit}", False, proven, measured.failing_for)
    if measured.failover is None:
        return Judgement("failover", limit, None, None, proven)
    return Judgement(
        "failover", limit, seconds(measured.failover), measured.failover <= most, proven, measured.failover
    )


def _within(name: str, limit: Duration, figure: float | None) -> Judgement:
    if figure is None:
        return Judgement(name, limit)
    return Judgement(name, limit, seconds(figure), figure <= limit.value.total_seconds(), figure=figure)


def _recovery(limit: Duration, measured: Measured) -> Judgement:
    age = measured.unrestorable
    if age is None:
        return Judgement("recoveryPoint", limit)
    whole = 60 * math.ceil(max(age, 1) / 60)
    met = age <= (limit.value + _LOOKED).total_seconds()
    # Told in steps of five minutes: it moves with every look.
    shown = f"{5 * math.ceil(whole / 300)}m"
    return Judgement("recoveryPoint", limit, shown, met, figure=age)


_WHAT_TO_DO: Final = {
    "availability": "see status.failovers and status.availability for what was down; more readers in more zones make outages shorter",
    "failover": "see status.failovers; readers in promotion tier 0 or 1 of the writer's class take over fastest",
    "replicaLag": "look for long transactions and load on the readers, or take a larger class",
    "connect": "look at the connections in use, at DNS, and at the network between the operator and the database; a pool or a larger class helps",
    "queryP95": "look at the load of the writer (Performance Insights), or take a larger class",
    "recoveryPoint": "open a case with AWS: automated backups are behind",
}
_CALLED: Final = {
    "failover": "the last failover",
    "replicaLag": "replica lag",
    "connect": "the time to connect",
    "queryP95": "a query's round trip",
    "recoveryPoint": "what a restore would lose",
}


def condition(
    judged: Sequence[Judgement],
    impossible: Sequence[str],
    problem: str,
    *,
    off: str = "",
    lag_problem: str = "",
    down_since: str = "",
) -> Condition | None:
    """ObjectivesMet; None without objectives. problem: why the probe measures nothing; off: why nobody is asked; lag_problem: why not the lag.
    down_since: since when no write is taken, which counts against the availability; '' while one is."""
    kind = ConditionType.OBJECTIVES_MET
    if not judged:
        return None
    missed = [j for j in judged if j.met is False]
    if missed:
        worst = missed[0]
        others = f" So are {', '.join(j.name for j in missed[1:])}." if len(missed) > 1 else ""
        sentence = f"objectives.{worst.name} is missed: {_missed(worst)}; {_WHAT_TO_DO[worst.name]}.{others}"
        return Condition(kind, False, Reason.OBJECTIVE_MISSED, sentence)
    if impossible:
        return Condition(kind, False, Reason.OBJECTIVE_UNREACHABLE, impossible[0])
    needing = [j.name for j in judged if j.name in _NEED_PROBE]
    if needing and problem:
        counted = down_since and any(j.name == "availability" and j.met is not None for j in judged)
        silent = [name for name in needing if not counted or name != "availability"]
        sentence = f"{', '.join(silent)} cannot be measured: {problem}" if silent else problem
        if counted:
            sentence = f"No write is taken since {down_since}, which counts against the availability; {sentence}"
        return Condition(kind, None, Reason.PROBE_FAILING, sentence)
    unknown = [j.name for j in judged if j.met is None and j.name != "failover"]
    if "replicaLag" in unknown and lag_problem:
        return Condition(kind, None, Reason.PROBE_FAILING, lag_problem)
    if unknown:
        how = f"is not measured: {off}" if off else "is being measured."
        sentence = f"{', '.join(unknown)} {how}"
        return Condition(kind, None, Reason.MEASURING, sentence)
    budget = next((j.figure for j in judged if j.name == "availability" and j.figure is not None), None)
    unproven = [j for j in judged if j.name == "failover" and j.met is None]
    if len(unproven) == len(judged):
        sentence = (
            "No failover was seen yet, so nothing shows that objectives.failover is reached; a FailoverDrill would."
        )
        return Condition(kind, None, Reason.NOT_PROVEN, sentence)
    sentence = "Every objective is reached"
    sentence += f", and {budget:.0f} s of the error budget of 30 days are left" if budget is not None else ""
    sentence += "; no failover was seen yet, and a FailoverDrill would prove it." if unproven else "."
    return Condition(kind, True, Reason.OBJECTIVES_REACHED, sentence)


def _missed(judged: Judgement) -> str:
    if judged.judged is None:
        return f"{_CALLED[judged.name]} is {judged.observed}, and {judged.target} is asked for"
    since = f" since {judged.since}" if judged.since else ""
    attained = f"writes were possible in {judged.observed} % of the probed time{since}"
    return f"{judged.judged}; {attained}, and {judged.target} % is asked for"


def seconds(value: float) -> str:
    """Seconds as a duration that people read: 12ms, 1.3s, 75s."""
    if value < 0.9995:
        return f"{round(value * 1000)}ms"
    return f"{value:.1f}s" if value < 10 else f"{round(value)}s"


def parsed(text: str) -> float | None:
    """What seconds() wrote, in seconds; None for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s)", text)
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found is not None else None


def p95(values: Iterable[float], least: int) -> float | None:
    """What 95 % of the values are within; None with fewer than so many."""
    found = sorted(values)
    if len(found) < max(1, least):
        return None
    return found[math.ceil(0.95 * len(found)) - 1]


def share(wanted: Objectives | None) -> float | None:
    """The availability objective in percent; None without."""
    return _share(wanted) if wanted is not None else None


def _share(wanted: Objectives) -> float | None:
    try:
        return float(wanted.availability) if wanted.availability is not None else None
    except ValueError:
        return None


# Figures that move by themselves.

_LITTLE: Final = 0.02
_MUCH: Final = 0.1
_QUICK: Final = 10.0
SLOW: Final = 300.0
"""Seconds after which a figure that has fallen is told, or noise would be."""
_RARE: Final = 900.0


@dataclass
class Damper:
    """Which figure stands on an object, so that noise writes none: at once when it begins or ceases to reach its objective; within seconds when it
    is three times what it was and 100 ms more, within minutes when it is as much less; every quarter of an hour at most when it moved by half.

    Times are of any clock in seconds that no one sets.
    """

    told: dict[str, tuple[float, bool | None, float]] = field(default_factory=dict)

    def stands(self, name: str, figure: float, met: bool | None, now: float) -> float:
        """The figure to show, which may be the one that was told before."""
        before = self.told.get(name)
        if before is None or moved(before, figure, met, now):
            self.told[name] = (figure, met, now)
            return figure
        return before[0]

    def moves(self, name: str, figure: float, met: bool | None, now: float) -> bool:
        """Whether stands() would show another one."""
        before = self.told.get(name)
        return before is None or moved(before, figure, met, now)


def much(was: float, figure: float) -> bool:
    """Whether a figure in seconds is another order than it was."""
    return max(figure, was) / max(min(figure, was), 0.005) >= 3 and abs(figure - was) >= _MUCH


def moved(before: tuple[float, bool | None, float], figure: float, met: bool | None, now: float) -> bool:
    """Whether a figure differs from the one that was told by so much that it is worth a write."""
    was, was_met, at = before
    if met is not was_met:
        return True
    apart, ratio = abs(figure - was), max(figure, was) / max(min(figure, was), 0.005)
    if much(was, figure):
        return now - at >= (_QUICK if figure > was else SLOW)
    return ratio >= 1.5 and apart >= _LITTLE and now - at >= _RARE
