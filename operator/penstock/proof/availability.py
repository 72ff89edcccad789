"""How much of the time a database took writes: an error budget over thirty days, kept in a day's buckets. Pure.

What counts (architecture.md, "Availability"): the time in which the probe had reached the database before and asks it. Down is from the last success
before to the first success after, as a client feels it, maintenance and drills included. A database that never answered this process, one that the
spec keeps stopped, and the time in which nobody asked are neither up nor down. An outage that a process saw begin and did not live to see the end of
is charged by the next one: settled().
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from penstock.postgres.record import BUCKETS, Day, Days, Outage, Uptime

WINDOW: Final = timedelta(days=30)
# What probing alone adds to the buckets is written this rarely: an idle cluster is written four times a day.
REWRITTEN: Final = 6 * 3600
FIRST: Final = 10.0
# An outage is told while it lasts once it has lasted so long; shorter ones are told when they are over.
TOLD_AFTER: Final = timedelta(seconds=5)
# How long it lasts is told anew when that has doubled, and this often at least.
_TOLD_AGAIN: Final = timedelta(minutes=10)
# A process that is killed is followed by another within so long: its lease must run out, and it must start.
_FOLLOWS: Final = timedelta(minutes=2)
# A burn rate over less than this would say more of the clock than of the database.
_LEAST_PROBED: Final = 3600.0


@dataclass(frozen=True)
class Left:
    """An outage that stands on the object as lasting, and that this process did not see begin. known: for how long it was seen to last, the least
    that the process before saw of it."""

    since: datetime
    known: timedelta

    @property
    def followed(self) -> datetime:
        """Until when a process that took over at once has asked for the first time."""
        return self.since + _next(self.known) + _FOLLOWS

    def seen(self, found_down: datetime | None) -> Outage:
        """As far as it is known: it lasts while this process, which took over at once, asks in vain; else it is known up to what was seen of it."""
        if found_down is not None and found_down <= self.followed:
            return Outage(self.since, self.since)
        return Outage(self.since, self.since, self.since + self.known, self.known.total_seconds())


def _next(known: timedelta) -> timedelta:
    """How long an outage lasts when that is told again."""
    least = max(known, TOLD_AFTER)
    return least + min(least, _TOLD_AGAIN)


def left(status: Mapping[str, Any]) -> Left | None:
    """The outage that a status.availability tells as lasting; None without one."""
    try:
        since = datetime.fromisoformat(str(status["downSince"]))
        known = timedelta(seconds=max(0.0, float(status.get("downForSeconds") or 0)))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return Left(since if since.tzinfo else since.replace(tzinfo=UTC), min(known, WINDOW))


def settled(
    outage: Left, first: datetime | None, found_down: datetime | None = None, failed_over: datetime | None = None
) -> timedelta:
    """How long an outage was whose end nobody saw.

    first: the first success after it, None where nobody asks any more. found_down: when this process first asked in vain, None when it was answered
    at once. failed_over: the end of the failover that it was, as AWS tells it. Without that it lasted until the first success when somebody asked
    soon after the process before; else only what was seen of it counts, since nobody knows about the time in which nobody asked.
    """
    if first is None:
        return outage.known
    if failed_over is not None and outage.since < failed_over <= first and found_down is None:
        return max(outage.known, failed_over - outage.since)
    asked = found_down if found_down is not None else first
    if asked <= outage.followed:
        return max(outage.known, first - outage.since)
    return outage.known + (first - found_down if found_down is not None else timedelta(0))


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

    before: what stands there. base: the buckets that stood there when this process began. outage: the one that lasts; with an end when nobody knows
    of it beyond that. What stands there is left
    as it is unless an outage ended or lasts, the objective is another, or six hours were probed: an outage is never lost by a crash after it, and
    a quiet cluster is not written for the clock's sake. While an outage lasts the object says for how long, again each time that has doubled and
    every ten minutes: by a crash in the middle of it no more than that can be lost. It counts already, but stands in no bucket before it is over.
    """
    since = before.get("since") or (_seconds(seen.since) if seen.since else None)
    if since is None:
        return None
    days = together(base, seen.days, now)
    down = sum(d.down for d in days.values())
    probed = sum(d.probed for d in days.values())
    stood = days_of(before)
    rewritten = _rewritten(sum(d.probed for d in stood.values()))
    lasting, lasted = _lasting(before, outage, now, anyhow=anyhow)
    if not before and probed + (lasted or 0) < FIRST:
        return None
    same = (
        not anyhow
        and bool(before)
        and (outage is not None or abs(sum(d.down for d in stood.values()) - down) < 0.01)
        and 0 <= probed - sum(d.probed for d in stood.values()) < rewritten
        and before.get("downSince") == lasting
        and before.get("downForSeconds") == lasted
        and (before.get("budgetSeconds") is None) == (objective is None)
        and (objective is None or abs(before["budgetSeconds"] - budget(objective)) < 0.01)
    )
    if same:
        return dict(before)
    if lasted is not None and outage is not None:
        counted = Uptime(days=dict(days))
        counted.add(outage.started + timedelta(seconds=lasted), lasted, down=True)
        burnt, down, probed = counted.days, down + lasted, probed + lasted
    else:
        burnt = days
    found: dict[str, Any] = {"window": "30d", "downSeconds": round(down, 2), "since": since}
    if probed > 0:
        found["attained"] = percent(100 * (1 - down / probed))
    if objective is not None:
        found["budgetSeconds"] = round(budget(objective), 2)
        found["budgetLeftSeconds"] = round(budget(objective) - down, 2)
        found["burnRate"] = round(burn_rate(burnt, objective, now), 2)
    if lasting is not None:
        found |= {"downSince": lasting, "downForSeconds": lasted}
    found["days"] = [
        {"day": name, "probedSeconds": round(d.probed), "downSeconds": round(d.down, 2)} for name, d in days.items()
    ]
    return found


def _lasting(
    before: Mapping[str, Any], outage: Outage | None, now: datetime, *, anyhow: bool
) -> tuple[str | None, float | None]:
    """Since when the outage lasts, and how long that is, as the object is to say it: a figure that stands there does so until it has doubled."""
    if outage is None:
        return None, None
    since, lasts = _seconds(outage.started), (outage.ended or now) - outage.started
    stood = before.get("downForSeconds") if before.get("downSince") == since else None
    if stood is None and lasts < TOLD_AFTER and not anyhow:
        return None, None
    lasted = max(0.0, round(lasts.total_seconds(), 1))
    if stood is not None and not (anyhow and lasted > stood) and lasts < _next(timedelta(seconds=float(stood))):
        lasted = float(stood)
    return since, lasted


def again(status: Mapping[str, Any], outage: Outage | None, now: datetime) -> float | None:
    """Seconds until there is more to tell of an outage that lasts; None without one."""
    if outage is None or outage.ended is not None:
        return None
    known = left(status) if status.get("downSince") == _seconds(outage.started) else None
    due = TOLD_AFTER if known is None else _next(known.known)
    return max(1.0, (due - (now - outage.started)).total_seconds())


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
