"""A cluster as one line of `penstock top`. Pure: objects in, cells out, the worst first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from penstock.api import meta


class Sort(StrEnum):
    """What the clusters are ordered by. State: the worst first."""

    STATE = "state"
    NAME = "name"
    LAG = "lag"
    FAILOVER = "failover"
    COST = "cost"


class Health(StrEnum):
    """How a line is coloured, the worst last."""

    GOOD = "good"
    ODD = "odd"
    BAD = "bad"


@dataclass(frozen=True)
class Line:
    """What is shown of a cluster. lag, cost: as numbers for sorting, None when not known. failed_over: when the last failover began."""

    namespace: str
    name: str
    ready: str
    reason: str
    writer: str
    readers: str
    lag: str
    connect: str
    failover: str
    objectives: str
    drill: str
    cost: str
    health: Health
    lag_milliseconds: float | None = None
    monthly: float | None = None
    failed_over: datetime | None = field(default=None)

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


def lines(clusters: Iterable[Mapping[str, Any]], drills: Iterable[Mapping[str, Any]], now: datetime) -> list[Line]:
    """One line a cluster."""
    latest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for drill in drills:
        about = ((drill.get("spec") or {}).get("clusterRef") or {}).get("name", "")
        key = drill["metadata"].get("namespace", ""), about
        if key not in latest or _drilled(drill) > _drilled(latest[key]):
            latest[key] = drill
    return [_line(cluster, latest.get((_namespace(cluster), cluster["metadata"]["name"])), now) for cluster in clusters]


def ordered(found: Sequence[Line], by: Sort) -> list[Line]:
    """In that order; the same order each time."""
    worst = {Health.BAD: 0, Health.ODD: 1, Health.GOOD: 2}

    def key(one: Line) -> float:
        match by:
            case Sort.STATE:
                return worst[one.health]
            case Sort.LAG:
                return -(one.lag_milliseconds or 0.0)
            case Sort.FAILOVER:
                return -one.failed_over.timestamp() if one.failed_over else 0.0
            case Sort.COST:
                return -(one.monthly or 0.0)
        return 0.0

    return sorted(found, key=lambda one: (key(one), one.namespace, one.name))


def _line(obj: Mapping[str, Any], drill: Mapping[str, Any] | None, now: datetime) -> Line:
    status = obj.get("status") or {}
    ready = _condition(status, "Ready")
    failovers = status.get("failovers") or ()
    failed_over = moment(failovers[0].get("startedAt")) if failovers else None
    objectives = [o for o in status.get("objectives") or () if isinstance(o, Mapping)]
    missed = [str(o.get("name")) for o in objectives if o.get("met") is False]
    connect = next((str(o.get("observed") or "") for o in objectives if o.get("name") == "connect"), "")
    connect = connect or str(status.get("connect") or "")
    cost, monthly = _cost(obj)
    lag = str(status.get("lag") or "")
    return Line(
        namespace=_namespace(obj),
        name=obj["metadata"]["name"],
        ready=str(ready.get("status") or "Unknown"),
        reason=str(ready.get("reason") or ""),
        writer=str(status.get("writer") or "–"),
        readers=str(status.get("readersReady") or "–"),
        lag=lag or "–",
        connect=connect or "–",
        failover=_failover(failovers[0], now) if failovers else "–",
        objectives=_objectives(objectives, missed),
        drill=_drill(drill, now),
        cost=cost,
        health=_health(ready, missed, drill, down="downSince" in (status.get("availability") or {})),
        lag_milliseconds=milliseconds(lag),
        monthly=monthly,
        failed_over=failed_over,
    )


def _health(
    ready: Mapping[str, Any], missed: Sequence[str], drill: Mapping[str, Any] | None, *, down: bool = False
) -> Health:
    if ready.get("status") != "True":
        return Health.BAD
    failed = drill is not None and (drill.get("status") or {}).get("verdict") == "Failed"
    return Health.ODD if down or missed or failed or ready.get("reason") != "Available" else Health.GOOD


def _failover(failover: Mapping[str, Any], now: datetime) -> str:
    """When, how long no write was taken, and why: "3h ago, 5.6s, Drill"."""
    began = moment(failover.get("startedAt"))
    parts = [f"{ago(now, began)} ago" if began else "some time ago"]
    if not failover.get("finishedAt"):
        parts.append("goes on")
    outage = failover.get("outageSeconds")
    if isinstance(outage, int | float):
        parts.append(f"{outage:.1f}s")
    if failover.get("cause"):
        parts.append(str(failover["cause"]))
    return ", ".join(parts)


def _objectives(objectives: Sequence[Mapping[str, Any]], missed: Sequence[str]) -> str:
    judged = [o for o in objectives if o.get("met") is not None]
    if not objectives:
        return "–"
    told = f"{len(judged) - len(missed)}/{len(objectives)}"
    return f"{told} ({', '.join(missed)})" if missed else told


def _drill(drill: Mapping[str, Any] | None, now: datetime) -> str:
    if drill is None:
        return "–"
    status = drill.get("status") or {}
    verdict = str(status.get("verdict") or "–")
    if verdict == "Running":
        return f"Running ({(status.get('run') or {}).get('phase', '')})"
    ended = _drilled(drill)
    return f"{verdict} {ago(now, ended)} ago" if ended > _NEVER else verdict


_NEVER = datetime.fromtimestamp(0, UTC)


def _drilled(drill: Mapping[str, Any]) -> datetime:
    """When the last run of a drill began; a run that goes on is the newest there is."""
    status = drill.get("status") or {}
    past: Mapping[str, Any] = next(iter(status.get("history") or ()), {})
    times = [moment((status.get("run") or {}).get("startedAt")), moment(past.get("startedAt"))]
    return max((t for t in times if t is not None), default=_NEVER)


def _cost(obj: Mapping[str, Any]) -> tuple[str, float | None]:
    """What a month costs: as spent and forecast where that is known, else the estimate."""
    cost = (obj.get("status") or {}).get("cost") or {}
    text = cost.get("forecast") or cost.get("monthlyEstimate")
    text = text or (obj["metadata"].get("annotations") or {}).get(meta.MONTHLY_COST)
    try:
        return f"${float(text or ''):,.2f}", float(text or "")
    except (TypeError, ValueError):
        return "–", None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _namespace(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("namespace", ""))


def milliseconds(text: str) -> float | None:
    """A length of time such as "12ms" or "1.5s"; None for anything else."""
    found = re.fullmatch(r"([0-9.]+)\s?(ms|s|m)", text)
    if found is None:
        return None
    try:
        return float(found[1]) * {"ms": 1, "s": 1000, "m": 60000}[found[2]]
    except ValueError:
        return None


def moment(text: Any) -> datetime | None:
    """A time in RFC 3339; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def ago(now: datetime, then: datetime) -> str:
    """How long ago, in its largest unit, as kubectl writes ages: 45s, 12m, 3h, 9d. A clock that is behind gives 0s."""
    passed = max(0, int((now - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if passed >= 2 * size or (unit != "m" and passed >= size):
            return f"{passed // size}{unit}"
    return f"{passed}s"
