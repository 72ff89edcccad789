"""Who becomes the writer: pure decisions.

An acknowledged commit is on the writer's disk and on at least one reader's (`synchronous_standby_names = ANY 1 (*)`), not on every
reader's. Whoever takes over must first have all that any reader has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reader that answered: its promotion tier, and the byte of WAL up to which it has everything on disk."""

    name: str
    tier: int
    received: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`winner` is to be promoted; where `catch_up_from` is set only after it has received what that one has."""

    winner: str
    catch_up_from: str | None
    at_least: int


def choose(candidates: Collection[Candidate], wanted: str | None = None) -> Choice | None:
    """`wanted` if it is a candidate, else the lowest tier, of equals the one that received most; None without candidates.

    The Aurora guide's order is by tier. One that lacks WAL is not passed over: it gets what it lacks first.
    """
    if not candidates:
        return None
    most = max(candidates, key=lambda one: (one.received, -one.tier))
    winner = next((one for one in candidates if one.name == wanted), None) or min(
        candidates, key=lambda one: (one.tier, -one.received, one.name)
    )
    behind = winner.received < most.received
    return Choice(winner.name, most.name if behind else None, most.received)


def way(
    *, alive: bool, protected: bool, readers: Mapping[str, bool]
) -> Literal["orderly", "promote", "recover", "stay"]:
    """How the writer is replaced without losing a commit.

    alive: the writer answers. protected: each commit it acknowledged waited for a reader. readers: whether each answers.
    `orderly`: the writer sends all it has and ends. `promote`: it is killed, and the readers have all that was acknowledged.
    `recover`: some commits may be on its disk alone, so it has to come up again before it can hand over. `stay`: it is well, and
    there is nobody to hand over to.
    """
    if not any(readers.values()):
        return "stay" if alive else "recover"
    if protected and all(readers.values()):
        return "promote"
    return "orderly" if alive else "recover"
