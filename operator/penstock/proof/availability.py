"""How much of the time a database took writes: an error budget over thirty days, kept in a day's buckets. Pure.

What counts (architecture.md, "Availability"): the time in which the probe had reached the database before and asks it. Down is from the last success
before to the first success after, as a client feels it, maintenance and drills included. A database that never answered this process, one that the
spec keeps stopped, and the time in which nobody asked are neither up nor down.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from penstock.postgres.record import BUCKETS, Day, Days, Outage, Uptime

WINDOW: Final = timedelta(days=30)
# What probing alone adds to the buckets is written this rarely: an idle cluster is written four times a day.
REWRITTEN: Final = 6 * 3600
FIRST: Final = 10.0
# An outage is told while it lasts once it has lasted so long; shorter ones are told when they are over.
TOLD_AFTER: Final = timedelta(seconds=5)
# A burn rate over less than this would say more of the clock than of the database.
_LEAST_PROBED: Final = 3600.0


def together(base: Days, more: Days, now: datetime) -> dict[str, Day]:
    """Both, without what is older than the window."""
    oldest = (now - WINDOW).astimezone(UTC).date().isoformat()
    names = sorted(d for d in {*base, *more} if d >= oldest)[-BUCKETS:]
    found = {}
    for name in names:
        one, other = base.get(name, Day()), more.get(name, Day())
        found[name] = Day(one.probed + other.probed, one.down + other.down)
    return found


def days_of(status: Mapping[str, Any]) -> dict[str, Day]:
    """The buckets that a status.availability holds; what does not read as one is left out."""
    found = {}
    for entry in status.get("days") or ():
        try:
            found[str(entry["day"])] = Day(float(entry.get("probedSeconds", 0)), float(entry.get("downSeconds", 0)))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def budget(objective: float) -> float:
    """Seconds that an availability objective (percent) allows to be down in the window."""
    return WINDOW.total_seconds() * (1 - objective / 100)


def told(
    before: Mapping[str, Any],
    base: Days,
    seen: Uptime,
    outage: Outage | None,
    objective: float | None,
    now: datetime,
    *,
    anyhow: bool = False,
) -> dict[str, Any] | None:
    """status.availability; None when nothing was ever seen. anyhow: the object is written in any case.

    before: what stands there. base: the buckets that stood there when this process began. outage: the one that lasts. What stands there is left
    as it is unless an outage ended or lasts, the objective is another, or six hours were probed: an outage is never lost by a crash after it, and
    a quiet cluster is not written for the clock's sake.
    """
    since = before.get("since") or (_seconds(seen.since) if seen.since else None)
    if since is None:
        return None
    days = together(base, seen.days, now)
    down = sum(d.down for d in days.values())
    probed = sum(d.probed for d in days.values())
    stood = days_of(before)
    if not before and probed < FIRST:
        return None
    rewritten = _rewritten(sum(d.probed for d in stood.values()))
    lasting = _seconds(outage.started) if outage is not None and now - outage.started >= TOLD_AFTER else None
    same = (
        not anyhow
        and bool(before)
        and (outage is not None or abs(sum(d.down for d in stood.values()) - down) < 0.01)
        and 0 <= probed - sum(d.probed for d in stood.values()) < rewritten
        and before.get("downSince") == lasting
        and (before.get("budgetSeconds") is None) == (objective is None)
        and (objective is None or abs(before["budgetSeconds"] - budget(objective)) < 0.01)
    )
    if same:
        return dict(before)
    found: dict[str, Any] = {"window": "30d", "downSeconds": round(down, 2), "since": since}
    if probed > 0:
        found["attained"] = percent(100 * (1 - down / probed))
    if objective is not None:
        found["budgetSeconds"] = round(budget(objective), 2)
        found["budgetLeftSeconds"] = round(budget(objective) - down, 2)
        found["burnRate"] = round(burn_rate(days, objective, now), 2)
    if lasting is not None:
        found["downSince"] = lasting
    found["days"] = [
        {"day": name, "probedSeconds": round(d.probed), "downSeconds": round(d.down, 2)} for name, d in days.items()
    ]
    return found


def _rewritten(stood: float) -> float:
    """After how many more probed seconds the buckets are written: a young database's sooner, since a crash loses them."""
    return 590.0 if stood < 590 else min(REWRITTEN, max(3000.0, stood))


def burn_rate(days: Days, objective: float, now: datetime) -> float:
    """How fast the budget was spent yesterday and today: 1 would spend all of it in exactly the window."""
    recent = {now.astimezone(UTC).date().isoformat(), (now - timedelta(days=1)).astimezone(UTC).date().isoformat()}
    probed = sum(d.probed for name, d in days.items() if name in recent)
    down = sum(d.down for name, d in days.items() if name in recent)
    allowed = (1 - objective / 100) * max(probed, _LEAST_PROBED)
    if allowed <= 0:
        return 0.0 if down <= 0 else 1e6
    return down / allowed


def percent(value: float) -> str:
    """A percentage with as many nines as it has: never rounded up to 100."""
    if value >= 100:
        return "100"
    return f"{int(max(0.0, value) * 10000) / 10000:.4f}".rstrip("0").rstrip(".")


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
