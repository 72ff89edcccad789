"""What this process remembers of one table between passes: facets with their age, refused steps, and since when a transition runs.

Nothing here must survive a restart: an empty memory is read again, and that is all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.aws.dynamodb import Table
from penstock.engine.holds import Holds

MISSING = object()


@dataclass
class Memory:
    """facets: name → (value, time of the event loop in seconds). due: those that the next reconciliation reads, whatever their age.

    must_look: an AWS answer said that the table exists.

    misses: how often in a row AWS failed to tell a facet. made, perhaps_made: when AWS said that the table exists although no look has shown it yet,
    and when the answer of its creation was lost; times of the event loop. made_id: AWS's id of the table that we made. made_name: name and region
    of the table that we made or may have made. refused: AWS refused our last restore. lost: its answer to a restore of ours was lost.
    marked: when our owner tag was last written.
    """

    facets: dict[str, tuple[Any, float]] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    held: Holds = field(default_factory=Holds)
    misses: dict[str, int] = field(default_factory=dict)
    must_look: bool = False
    made: float = float("-inf")
    perhaps_made: float = float("-inf")
    made_id: str = ""
    made_name: str = ""
    refused: bool = False
    lost: bool = False
    marked: float = float("-inf")
    signature: tuple[Any, ...] = ()
    since: datetime | None = None
    generation: int = 0

    def get(self, facet: str) -> Any:
        return self.facets[facet][0] if facet in self.facets else MISSING

    def age(self, facet: str, now: float) -> float:
        return now - self.facets[facet][1] if facet in self.facets and facet not in self.due else float("inf")

    def put(self, facet: str, value: Any, now: float) -> None:
        self.facets[facet] = (value, now)
        self.due.discard(facet)

    def drop(self, *facets: str) -> None:
        for facet in facets:
            self.facets.pop(facet, None)

    def expire(self, facet: str) -> None:
        """Have the facet read again with the next reconciliation that has tokens, also one that is usually read for all tables at once."""
        self.due.add(facet)

    def clear(self) -> None:
        self.facets.clear()
        self.held.clear()

    def note_made(self, now: float, *, sure: bool = True) -> None:
        """AWS took the table's creation or, not sure, may have taken it."""
        if sure:
            self.made = now
        else:
            self.perhaps_made = now

    def seen(self) -> None:
        """A look has shown the table, or AWS took its deletion."""
        self.made = self.perhaps_made = float("-inf")

    def note_state(self, table: Table | None, now: datetime) -> None:
        """Remember when the table or an index last changed its state."""
        signature = (table.status, *((i.name, i.status, i.backfilling) for i in table.indexes)) if table else ()
        if signature != self.signature or self.since is None:
            self.signature, self.since = signature, now
