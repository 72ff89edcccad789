"""The cluster that is drilled, as far as a drill needs to know it. Pure: a drill imports nothing of the cluster's own kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.api import meta
from penstock.api.windows import Window, weekly
from penstock.aws.rds import Cluster, Event, Instance
from penstock.engine import conditions

POSTGRESQL = "aurora-postgresql"


@dataclass(frozen=True)
class Subject:
    """A cluster: its object, and what AWS has of it.

    name: the object's. cluster: None when AWS has none. problem: why the object cannot be carried out, '' when it can.
    """

    name: str
    obj: Mapping[str, Any]
    region: str = ""
    identifier: str = ""
    cluster: Cluster | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    problem: str = ""

    @property
    def uid(self) -> str:
        return str(self.obj["metadata"].get("uid", ""))

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.obj["metadata"]

    @property
    def mode(self) -> str:
        """What the operator may do with the cluster, as its annotation says."""
        return str((self.obj["metadata"].get("annotations") or {}).get(meta.MODE) or meta.Mode.RECONCILE)

    @property
    def status(self) -> Mapping[str, Any]:
        return self.obj.get("status") or {}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One of the object's conditions; empty when it has none of that type."""
        return conditions.find(self.status, kind) or {}

    @property
    def current(self) -> bool:
        """Whether the object's status speaks of the spec as it is now."""
        return bool(self.status.get("observedGeneration") == self.obj["metadata"].get("generation"))

    @property
    def writer(self) -> str:
        return self.cluster.writer if self.cluster else ""

    @property
    def readers(self) -> tuple[str, ...]:
        """Members that are not the writer."""
        return tuple(m.identifier for m in self.cluster.members if not m.writer) if self.cluster else ()

    @property
    def window(self) -> Window | None:
        """The maintenance window that AWS has."""
        try:
            return weekly(self.cluster.maintenance_window) if self.cluster else None
        except ValueError:
            return None

    @property
    def budget_left(self) -> float | None:
        """Seconds of the error budget of availability; None when nobody tells."""
        left = (self.status.get("availability") or {}).get("budgetLeftSeconds")
        return float(left) if isinstance(left, int | float) else None

    @property
    def last_failover(self) -> datetime | None:
        """When the last failover that was seen ended, or began where its end was not seen."""
        for failover in self.status.get("failovers") or ():
            moment = parsed(failover.get("finishedAt") or failover.get("startedAt"))
            if moment is not None:
                return moment
        return None


def parsed(text: Any) -> datetime | None:
    """A time of a status; None for what is none."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
