"""What the failover drills of each cluster came to, newest first: in memory, and made again from the FailoverDrill objects after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from penstock.engine.kind import Key

KEPT: Final = 10
"""Results that are kept of a cluster."""

RUNNING: Final = "Running"


@dataclass(frozen=True)
class DrillResult:
    """One run of a drill. drill: the object's name; uid: of the run. from_, to: the writer before and after, '' while not known.

    started_at: when the failover was asked for, or the run began. verdict: Running, Passed, Failed or Aborted. outage_seconds: how long no write
    was taken, as the writer felt it that waited longest. commits_lost: acknowledged and gone. Both None while nobody measured them.
    """

    drill: str
    uid: str
    started_at: datetime
    finished_at: datetime | None
    verdict: str
    from_: str = ""
    to: str = ""
    outage_seconds: float | None = None
    commits_lost: int | None = None


class DrillBook:
    """The results by cluster. Lives in one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._results: dict[Key, dict[str, DrillResult]] = {}

    def record(self, cluster: Key, result: DrillResult) -> None:
        """Put a result down, in place of what was known of the same run. Only the newest are kept."""
        known = self._results.setdefault(cluster, {})
        known[result.uid] = result
        for old in self.of(cluster, len(known))[KEPT:]:
            del known[old.uid]

    def of(self, cluster: Key, most: int = KEPT) -> tuple[DrillResult, ...]:
        """The cluster's results, newest first."""
        known = self._results.get(cluster, {}).values()
        return tuple(sorted(known, key=lambda r: (r.started_at, r.uid), reverse=True)[:most])

    def running(self, cluster: Key) -> DrillResult | None:
        """The drill that runs on the cluster now; the newest, should there be several."""
        return next((r for r in self.of(cluster) if r.verdict == RUNNING), None)

    def forget(self, cluster: Key, uid: str) -> None:
        """A run that came to nothing."""
        known = self._results.get(cluster, {})
        known.pop(uid, None)
        if not known:
            self._results.pop(cluster, None)
