"""What this process remembers of one cluster between passes: facets with their age, what it wrote, refused steps, and since when a transition runs.

Nothing here must survive a restart: an empty memory is read again, and that is all.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.aws.rds import Cluster, Instance
from penstock.engine.holds import Holds

MISSING = object()
NEVER = float("-inf")


@dataclass
class Memory:
    """Times are of the event loop, in seconds.

    facets: name → (value, time). must_look: an AWS answer said that something is there, or gone, that was not known; the next look reads all anew.
    clusters_written, instances_written: when AWS last took a write that a read of clusters, or of instances, must show. made, made_instances: what
    AWS answered to a creation, until a read shows it. perhaps_made: when the answer to the cluster's creation was lost. acted: the last write of any
    kind. met: the first look. password: the master password that the Secret holds; given: the one that AWS has, as far as is known. misses: how often
    in a row AWS failed to tell a facet. doubted: steps of which AWS said that their end is reached already. jitter: spreads the long cycles of a
    thousand clusters.
    handout: what the connection Secret is to hold. handout_doubted: its password may have become another. handout_reset: when AWS last said so.
    handout_refused: why the API server did not take the Secret, and until when it rests.
    failover_asked: the value of penstock.dev/failover-to that was looked at anew for.
    """

    facets: dict[str, tuple[Any, float]] = field(default_factory=dict)
    held: Holds = field(default_factory=Holds)
    misses: dict[str, int] = field(default_factory=dict)
    must_look: bool = False
    clusters_written: float = NEVER
    instances_written: float = NEVER
    made: tuple[Cluster, float] | None = None
    made_instances: dict[str, tuple[Instance, float]] = field(default_factory=dict)
    perhaps_made: float = NEVER
    acted: float = NEVER
    met: float = NEVER
    password: str | None = field(default=None, repr=False)
    given: str | None = field(default=None, repr=False)
    handout: Any = field(default=None, repr=False)
    handout_doubted: bool = False
    handout_reset: datetime | None = None
    handout_refused: tuple[tuple[str, str] | None, float] | None = None
    failover_asked: str = ""
    signature: tuple[Any, ...] = ()
    since: datetime | None = None
    generation: int = 0
    doubted: set[str] = field(default_factory=set)
    jitter: float = field(default_factory=lambda: random.uniform(0.9, 1.1))

    def get(self, facet: str) -> Any:
        return self.facets[facet][0] if facet in self.facets else MISSING

    def age(self, facet: str, now: float) -> float:
        return now - self.facets[facet][1] if facet in self.facets else float("inf")

    def put(self, facet: str, value: Any, now: float) -> None:
        self.facets[facet] = (value, now)

    def drop(self, *facets: str) -> None:
        for facet in facets:
            self.facets.pop(facet, None)

    def clear(self) -> None:
        """Forget what was read; what was written still has to show."""
        self.facets.clear()
        self.held.clear()
        self.misses.clear()
        self.doubted.clear()

    def note_state(self, cluster: Cluster | None, instances: dict[str, Instance], now: datetime) -> None:
        """Remember when the cluster or an instance last changed its state."""
        signature: tuple[Any, ...] = (
            cluster.status if cluster else None,
            *((name, instances[name].status) for name in sorted(instances)),
        )
        if signature != self.signature or self.since is None:
            self.signature, self.since = signature, now


def group_facet(level: str, name: str) -> str:
    """The facet of a parameter group; level: cluster or instance."""
    return f"groups:{level}:{name}"


def subnets_facet(name: str) -> str:
    """The facet of a subnet group."""
    return f"subnets:{name}"
