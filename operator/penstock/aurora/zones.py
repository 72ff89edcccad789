"""Whether the writer was lost with its whole availability zone, as far as the probe can tell: pure.

One cluster cannot tell: its writer alone is down in any case. So the other clusters with instances in that zone are asked when an outage begins, and
the zone counts as lost when at least two instances of it are known to be silent and none is known to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from penstock.api.auroracluster_status import Cause
from penstock.aurora.failovers import SAME, Failover
from penstock.postgres.record import Outage, Picture

MOST: Final = 20
"""Databases that are asked about a zone: that many are silent together only when the zone is, and a failover must not ask a thousand."""
# What is asked while an outage lasts may be answered after it.
_LATE: Final = timedelta(seconds=15)


@dataclass(frozen=True)
class There:
    """A database with instances in the zone: which, and what the probe knows of it."""

    instances: frozenset[str]
    picture: Picture


@dataclass(frozen=True)
class Loss:
    """An outage in which a zone was seen to be lost. instance: the writer before it."""

    instance: str
    started: datetime


def outage(picture: Picture, now: datetime) -> Outage | None:
    """The outage that is to be judged: the one that lasts, or one that has just ended."""
    found = picture.outages[-1] if picture.outages else None
    if found is None or (found.ended is not None and now - found.ended > _LATE):
        return None
    return found


def to_ask(there: Sequence[There], since: datetime) -> tuple[int, ...]:
    """The places of the databases of which nothing is known since then and that ought to be asked."""
    return tuple(n for n, t in enumerate(there) if not _asked(t, since))


def lost(there: Sequence[There], since: datetime) -> bool:
    """Whether all instances of the zone were asked since then and are silent, two at least."""
    silent = sum(len(t.instances & t.picture.deaf) for t in there)
    answering = any(t.instances - t.picture.deaf or t.picture.serving in t.instances for t in there)
    return silent >= 2 and not answering and not to_ask(there, since)


def undecided(there: Sequence[There], since: datetime) -> bool:
    """Whether an answer may still show that the zone is lost: nobody has answered since then, and not everybody was asked."""
    answering = any(_asked(t, since) and t.instances - t.picture.deaf for t in there)
    serving = any(t.picture.serving in t.instances for t in there)
    return bool(to_ask(there, since)) and not answering and not serving


def _asked(one: There, since: datetime) -> bool:
    return one.picture.asked is not None and one.picture.asked >= since


def explained(failovers: Sequence[Failover], losses: Sequence[Loss]) -> tuple[Failover, ...]:
    """The failovers, those that nobody is known to have asked for and whose writer was lost with its zone told as that."""
    return tuple(
        replace(f, cause=Cause.ZONE_LOSS)
        if f.cause in (Cause.AWS, Cause.UNKNOWN)
        and any(f.from_ == o.instance and abs(f.started - o.started) <= SAME for o in losses)
        else f
        for f in failovers
    )
