"""The failovers of a cluster, from everything that tells of one: pure, and the same whatever came first, twice, late or never.

The describe answer is the truth about who the writer is; AWS's events say what happened between two looks, when and to whom; the probe says what it
cost. The list on the object is the only memory: a process that is killed in the middle of a failover leaves an open entry, and the next one ends it.

In a list two failovers that follow each other never go to the same instance. That is what tells a late event of a known failover from the event of
one that nobody saw: `_with_events`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from penstock.api.auroracluster_status import Cause, MeasuredBy
from penstock.api.auroracluster_status import Failover as Told
from penstock.aws import rds
from penstock.aws.rds import Event
from penstock.engine.conditions import timestamp
from penstock.postgres.record import Outage

KEPT = 10
# AWS says what a failover did within seconds; what it does not say by then is told without.
SETTLES = timedelta(seconds=10)
_EXPLAINS = timedelta(seconds=12)
# An event that no describe answer bears out by now was overtaken by something that no event told.
_BORNE_OUT = timedelta(seconds=30)
# How far the clocks of AWS and of this process may differ, and AWS's whole seconds.
_SKEW = timedelta(seconds=2)
_NEAR = timedelta(seconds=60)
# What is cut so soon after AWS told the end still belongs to it.
_BLIP = timedelta(seconds=5)
SAME = timedelta(seconds=10)
"""So far apart a failover and the outage that it was may be told to begin."""
# For so long the end of a failover waits for a probe that has not reached the database yet.
_TRIED = timedelta(seconds=15)
# The object has whole seconds, cut off.
_SECOND = timedelta(seconds=1)
# For so long a finished failover may still be told better.
_REFINED = timedelta(hours=1)
# The Aurora guide once promised a failover within 120 s, and with a reader it usually takes less than 60.
USUAL = timedelta(seconds=60)
LIMIT = timedelta(seconds=120)

# What AWS tells of the old writer when it maintained or recovered it.
_BY_AWS = (
    "applying off-line patches",
    "database instance patched",
    "database instance upgrade is in progress",
    "recovery of the db instance",
)
_STARTED = (rds.FAILOVER_SAME_ZONE, rds.FAILOVER_CROSS_ZONE)


@dataclass(frozen=True)
class Failover:
    """One failover. finished: None while it lasts. to: '' while not known; as from_ when it failed. outage: seconds."""

    started: datetime
    from_: str
    to: str = ""
    finished: datetime | None = None
    cause: Cause = Cause.UNKNOWN
    outage: float | None = None
    measured_by: MeasuredBy | None = None
    lost: int | None = None


@dataclass(frozen=True)
class Asked:
    """A failover that was asked for through the object. to: '' for any."""

    by: Cause
    to: str
    at: datetime


@dataclass(frozen=True)
class Drill:
    """What a FailoverDrill knows of its failover. finished: None while it runs."""

    started: datetime
    finished: datetime | None = None
    to: str = ""
    outage: float | None = None
    lost: int | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of one cluster at one moment."""

    writer: str
    """Of the describe answer."""
    state: str
    """Of the describe answer."""
    read_at: datetime
    """When the read of that answer began."""
    previous: str
    """The writer that the object names; '' before the first."""
    since: datetime
    """What is older is nobody's business: when the object was made."""
    events: tuple[Event, ...] = ()
    """Of the cluster and its instances."""
    outages: tuple[Outage, ...] = ()
    """Of the writer endpoint, oldest first, the last one perhaps lasting."""
    serving: str = ""
    """Who answers at the writer endpoint as the writer now; '' when nobody does or nobody asks."""
    claimed: str = ""
    """The instance that answers as a writer at its own endpoint."""
    probed: bool = False
    """Whether the writer endpoint is asked and has answered."""
    trying: bool = False
    """Whether it has only begun to be asked, and may answer any moment."""
    zone_open: bool = False
    """Whether it is still being asked whether the writer was lost with its zone."""
    begun: datetime | None = None
    """When this process looked at the cluster first."""
    sighted: datetime | None = None
    """When this process last saw the previous writer described as it; None when it did not."""
    asked: Asked | None = None
    drills: tuple[Drill, ...] = ()
    deleting: frozenset[str] = frozenset()
    """Instances that are being deleted."""

    @property
    def lasting(self) -> Outage | None:
        """The outage that lasts."""
        return self.outages[-1] if self.outages and self.outages[-1].ended is None else None


@dataclass
class _List:
    """The failovers, oldest first, the last one perhaps open."""

    known: list[Failover] = field(default_factory=list)

    @property
    def closed(self) -> list[Failover]:
        return self.known if self.open is None else self.known[:-1]

    @property
    def open(self) -> Failover | None:
        return self.known[-1] if self.known and self.known[-1].finished is None else None

    def last_writer(self, otherwise: str) -> str:
        """Who the writer is when the closed ones are all there is."""
        if self.open is not None:
            return self.open.from_
        return self.known[-1].to if self.known else otherwise


def known(told: Iterable[Told]) -> tuple[Failover, ...]:
    """The failovers that a status tells, newest first as there."""
    return tuple(
        Failover(
            started=t.started_at,
            from_=t.from_ or "",
            to=t.to or "",
            finished=t.finished_at,
            cause=t.cause or Cause.UNKNOWN,
            outage=t.outage_seconds,
            measured_by=t.measured_by,
            lost=t.commits_lost,
        )
        for t in told
    )


def as_status(failovers: Iterable[Failover]) -> list[dict[str, object]]:
    """status.failovers."""
    return [
        {
            name: value
            for name, value in (
                ("startedAt", timestamp(f.started)),
                ("finishedAt", timestamp(f.finished) if f.finished else None),
                ("from", f.from_),
                ("to", f.to),
                ("cause", f.cause.value),
                ("outageSeconds", None if f.outage is None else round(f.outage, 2)),
                ("measuredBy", f.measured_by.value if f.measured_by else None),
                ("commitsLost", f.lost),
            )
            if value not in (None, "")
        }
        for f in failovers
    ]


def record(before: Sequence[Failover], evidence: Evidence, now: datetime) -> tuple[Failover, ...]:
    """The failovers that there were, newest first, at most KEPT; before: those that were known, likewise."""
    found = _List(list(reversed(before)))
    if not evidence.previous and not found.known:
        # Whoever is seen first was made the writer by nobody.
        return ()
    _with_events(found, evidence, len(before) >= KEPT)
    _with_truth(found, evidence, now)
    _opened(found, evidence, now)
    if found.open is not None:
        # What a process before this one felt says why, and goes when it ends.
        found.known[-1] = _refined(found.open, _before(found.known, len(found.known) - 1), evidence, now)
        found.known[-1] = _continued(found, evidence, now)
    found.known = [_refined(f, _before(found.known, n), evidence, now) for n, f in enumerate(found.known)]
    return tuple(reversed(found.known[-KEPT:]))


def lasting(failovers: Sequence[Failover]) -> Failover | None:
    """The failover that goes on; failovers newest first."""
    return failovers[0] if failovers and failovers[0].finished is None else None


def limit(objective: timedelta | None) -> timedelta:
    """After how long a failover that does not end is stalled."""
    return max(LIMIT, 2 * objective) if objective is not None else LIMIT


# What events tell.


def _with_events(found: _List, evidence: Evidence, full: bool) -> None:
    """Put in what AWS says was completed and is not known yet; what is known is left where it stands."""
    oldest = min((f.started for f in found.known), default=evidence.since) if full else evidence.since
    floor = max(oldest - _SKEW, evidence.since)
    completed = sorted({(e.time, e.instance) for e in _of(evidence, rds.FAILOVER_COMPLETED) if e.instance})
    completed = [c for c in completed if c[0] >= floor]
    found.known = [f for f in found.known if not _was_completed(f, completed, evidence)]
    closed = found.closed
    same = _aligned(closed, completed)
    # The writer changes with each: what makes nobody else the writer is a repetition of the one before, or of the one after it.
    made: list[Failover] = []
    tail: list[tuple[datetime, str]] = []
    place = 0
    for number, (at, who) in enumerate(completed):
        if number in same:
            made += closed[place : same[number] + 1]
            place = same[number] + 1
            continue
        least = min((index for n, index in same.items() if n > number), default=len(closed))
        while place < least and _over_by(closed[place], at):
            made.append(closed[place])
            place += 1
        if place == len(closed):
            tail.append((at, who))
            continue
        before = made[-1].to if made else closed[place].from_
        if who != before:
            made.append(_completed(Failover(started=at, from_=before), at, who, evidence))
    made += closed[place:]
    found.known = [*_chained(made), *found.known[len(closed) :]]
    _at_the_end(found, tail, evidence)


def _was_completed(failover: Failover, completed: Sequence[tuple[datetime, str]], evidence: Evidence) -> bool:
    """Whether one that was only taken for failed, because nothing came of it for long, came about after all: AWS tells so later."""
    if failover.finished is None or failover.to != failover.from_:
        return False
    begin, end = failover.started, failover.finished
    failed = _of(evidence, rds.FAILOVER_FAILED, rds.FAILOVER_BACK)
    if any(begin - _SKEW <= e.time <= end + _SKEW for e in failed):
        return False
    return any(begin <= at <= end for at, _ in completed)


def _over_by(failover: Failover, at: datetime) -> bool:
    return failover.finished is not None and failover.finished + timedelta(seconds=1) <= at


def _chained(failovers: Sequence[Failover]) -> list[Failover]:
    """Each from where the one before ended; what was put in before one that ends alike is that one."""
    kept: list[Failover] = []
    for failover in failovers:
        if kept and kept[-1].to == failover.to != failover.from_:
            kept.pop()
        kept.append(failover)
    return [
        replace(f, from_=kept[n - 1].to, to=kept[n - 1].to if f.to == f.from_ else f.to) if n else f
        for n, f in enumerate(kept)
    ]


def _aligned(closed: Sequence[Failover], completed: Sequence[tuple[datetime, str]]) -> dict[int, int]:
    """Which event tells the end of which known failover: as many as can be in one order, and of those the nearest."""
    # best[i][j]: of the first i events and j failovers, how many pairs, and the sum of what lies between their times.
    best: list[list[tuple[int, float]]] = [[(0, 0.0)] * (len(closed) + 1) for _ in range(len(completed) + 1)]
    for i, (at, who) in enumerate(completed, 1):
        for j, failover in enumerate(closed, 1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            if _may_tell(at, who, failover):
                assert failover.finished is not None
                pairs, apart = best[i - 1][j - 1]
                best[i][j] = max(best[i][j], (pairs + 1, apart - abs((at - failover.finished).total_seconds())))
    found: dict[int, int] = {}
    i, j = len(completed), len(closed)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found[i] = j
    return found


def _may_tell(at: datetime, who: str, failover: Failover) -> bool:
    """Whether it may be this one whose completion AWS tells: what was only described was over at the latest when it was noticed."""
    if who != failover.to or failover.finished is None:
        return False
    late = at - failover.finished
    if failover.measured_by is MeasuredBy.PROBE:
        return -2 * _NEAR <= late <= _NEAR
    return late <= _SKEW


def _at_the_end(found: _List, tail: Sequence[tuple[datetime, str]], evidence: Evidence) -> None:
    """What completed after all that is known to be over."""
    last = found.last_writer(evidence.previous)
    news: list[tuple[datetime, str]] = []
    for at, who in tail:
        if who != (news[-1][1] if news else last):
            news.append((at, who))
    borne_out = max((n for n, (_, who) in enumerate(news) if who == evidence.writer), default=-1)
    # Events are hints: the next describe answer says whether it is so, or that something else came after it.
    news = [c for n, c in enumerate(news) if n <= borne_out or evidence.read_at >= c[0] + _BORNE_OUT]
    for number, (at, who) in enumerate(news):
        opened = found.open or Failover(started=_began(evidence, at, who) or at, from_=last)
        if found.open is not None:
            found.known.pop()
        if number == len(news) - 1 and who == evidence.writer:
            # When that one is over the probe knows better.
            found.known.append(replace(opened, from_=last, to=who))
        else:
            found.known.append(_completed(replace(opened, from_=last), at, who, evidence))
        last = who


def _completed(failover: Failover, at: datetime, to: str, evidence: Evidence) -> Failover:
    """One that was over when its events came."""
    began = _began(evidence, at, to)
    over = replace(failover, started=min(failover.started, began or at), to=to, finished=at)
    return _measured(over, None, evidence)


def _began(evidence: Evidence, completed: datetime, to: str) -> datetime | None:
    """When AWS says that a failover began which it completed then."""
    others = [e.time for e in _of(evidence, rds.FAILOVER_COMPLETED) if e.time < completed]
    starts = [
        e.time
        for e in _of(evidence, *_STARTED)
        if e.time <= completed and e.instance in ("", to) and not any(e.time < o for o in others)
    ]
    return max(starts, default=None)


# What the describe answer tells.


def _with_truth(found: _List, evidence: Evidence, now: datetime) -> None:
    """The writer is whom AWS describes as it; when nothing that is known made it so, something that nobody saw did."""
    writer, opened = evidence.writer, found.open
    if not writer:
        return
    if opened is not None:
        if writer == opened.to:
            return
        if opened.to and evidence.previous == opened.to and evidence.read_at >= opened.started:
            # That one was borne out before, and this is the next.
            found.known[-1] = _ended(found, opened, evidence, now)
            found.known.append(Failover(started=now, from_=opened.to, to=writer))
        elif writer != opened.from_:
            found.known[-1] = replace(opened, to=writer)
        return
    last = found.last_writer(evidence.previous)
    newest = found.known[-1].finished if found.known else None
    if writer == last or not last or (newest is not None and evidence.read_at < newest - _SKEW):
        return
    found.known.append(Failover(started=now, from_=last, to=writer))


def _opened(found: _List, evidence: Evidence, now: datetime) -> None:
    """A failover that has begun and made nobody the writer yet."""
    if found.open is not None:
        return
    last = found.last_writer(evidence.previous)
    newest = found.known[-1].finished if found.known else evidence.since
    assert newest is not None
    start = _unanswered(evidence, newest, now)
    claimed = evidence.claimed if evidence.claimed not in ("", last) and evidence.lasting is not None else ""
    if start is not None:
        found.known.append(Failover(started=start.time, from_=last, to=""))
    elif evidence.state == "failing-over" or claimed:
        found.known.append(Failover(started=now, from_=last, to=""))


def _unanswered(evidence: Evidence, newest: datetime, now: datetime) -> Event | None:
    """The beginning of a failover whose end AWS has not told, and that is no older than an end that is known."""
    starts = _of(evidence, *_STARTED)
    ends = _of(evidence, rds.FAILOVER_COMPLETED, rds.FAILOVER_FAILED, rds.FAILOVER_BACK)
    open_ = [e for e in starts if e.time > newest + timedelta(seconds=1) and now - e.time < LIMIT]
    open_ = [e for e in open_ if e.time >= evidence.since and not any(end.time >= e.time for end in ends)]
    # An answer that was read well after it, and shows nothing of the kind, is the truth.
    seen = evidence.state == "failing-over" or evidence.lasting is not None
    open_ = [e for e in open_ if seen or evidence.read_at < e.time + _BORNE_OUT]
    return open_[-1] if open_ else None


# What becomes of the one that is open.


def _continued(found: _List, evidence: Evidence, now: datetime) -> Failover:
    opened = found.open
    assert opened is not None
    opened = _earliest(found, opened, evidence)
    newest = _before(found.known, len(found.known) - 1)
    if not opened.to:
        failed = [e for e in _of(evidence, rds.FAILOVER_FAILED, rds.FAILOVER_BACK) if e.time >= opened.started - _SKEW]
        back = (
            evidence.writer == opened.from_
            and evidence.state == "available"
            and evidence.lasting is None
            and min(evidence.read_at, now) - opened.started > _BORNE_OUT
        )
        if failed or back:
            end = failed[-1].time if failed else now
            return _measured(replace(opened, to=opened.from_, finished=max(end, opened.started)), newest, evidence)
        return opened
    if _over(opened, newest, evidence, now):
        return _ended(found, opened, evidence, now)
    return opened


def _earliest(found: _List, opened: Failover, evidence: Evidence) -> Failover:
    """It began when the first sign of it was there."""
    newest = _before(found.known, len(found.known) - 1)
    start = _start_of(opened, newest, evidence)
    signs = [o.started for o in _outages(opened, newest, evidence)]
    if start is not None:
        signs.append(start.time)
    return replace(opened, started=min([opened.started, *signs])) if signs else opened


def _over(opened: Failover, newest: datetime | None, evidence: Evidence, now: datetime) -> bool:
    """Whether the new writer takes writes, as far as anybody can tell."""
    if evidence.writer != opened.to or evidence.state == "failing-over":
        return False
    completion = _completion_of(opened, newest, evidence)
    # A process that has only begun to look has read none of AWS's events yet.
    looked = max(opened.started, evidence.begun or opened.started)
    if evidence.probed:
        if evidence.lasting is None and evidence.serving == opened.to:
            # AWS's events are about to say why, and the Event that tells the end is written once.
            felt = _ends(_outages(opened, newest, evidence))
            told = opened.cause is not Cause.UNKNOWN or _start_of(opened, newest, evidence) is not None
            told = told or completion is not None
            if evidence.zone_open and opened.cause in (Cause.UNKNOWN, Cause.AWS):
                told = False
            return told or now - max([looked, *felt]) >= _EXPLAINS
        # Who cannot reach it need not keep it open for ever.
        return completion is not None and now - completion > LIMIT
    if evidence.trying and (completion is None or now - completion < _TRIED):
        # The writer endpoint leads to the new writer seconds after AWS has made it one.
        return False
    return completion is not None or now - looked >= SETTLES


def _ended(found: _List, opened: Failover, evidence: Evidence, now: datetime) -> Failover:
    newest = _before(found.known, len(found.known) - 1)
    ends = _ends(_outages(opened, newest, evidence))
    completion = _completion_of(opened, newest, evidence)
    end = max(ends) if ends else completion or now
    return _measured(replace(opened, finished=max(end, opened.started)), newest, evidence)


def _measured(over: Failover, newest: datetime | None, evidence: Evidence) -> Failover:
    """With how long no write was taken, by the best that is known. newest: the end of the one before."""
    assert over.finished is not None
    felt = [o for o in _outages(over, newest, evidence) if o.ended is not None]
    start, completion = _start_of(over, newest, evidence), _completion_of(over, newest, evidence)
    if felt:
        seconds = _cost(over, felt)
        before = evidence.begun is None or over.started < evidence.begun
        if before and over.measured_by is MeasuredBy.PROBE and over.started < min(o.started for o in felt) - _SKEW:
            # A process before this one felt it begin.
            seconds = max(seconds, (over.finished - over.started).total_seconds())
        return replace(over, outage=seconds, measured_by=MeasuredBy.PROBE)
    if over.measured_by is MeasuredBy.PROBE and over.outage is not None:
        return over
    if over.measured_by is MeasuredBy.PROBE and completion is not None and completion > over.started:
        # A process before this one felt it begin, and nobody felt it end.
        return replace(over, outage=(completion - over.started).total_seconds(), measured_by=MeasuredBy.EVENTS)
    if start is not None and completion is not None and completion >= start.time:
        return replace(over, outage=(completion - start.time).total_seconds(), measured_by=MeasuredBy.EVENTS)
    if evidence.sighted is not None and over.finished > evidence.sighted:
        bound = (over.finished - max(evidence.sighted, over.started)).total_seconds()
        return replace(over, outage=bound or None, measured_by=MeasuredBy.TOPOLOGY)
    return replace(over, measured_by=MeasuredBy.TOPOLOGY)


# What refines one.


def _refined(failover: Failover, newest: datetime | None, evidence: Evidence, now: datetime) -> Failover:
    """Its cause, and what a drill measured; what is known better than before takes the place of what was."""
    drill = next((d for d in evidence.drills if _is_drilled(failover, d)), None)
    if drill is not None:
        lost = drill.lost if drill.lost is not None else failover.lost
        return replace(failover, cause=Cause.DRILL, lost=lost)
    if failover.finished is not None and now - failover.finished > _REFINED:
        return failover
    if failover.finished is None:
        failover = _felt(failover, newest, evidence)
    if failover.finished is not None and failover.outage is None and failover.to != failover.from_:
        start, completion = _start_of(failover, newest, evidence), _completion_of(failover, newest, evidence)
        if start is not None and completion is not None and completion >= start.time:
            seconds = (completion - start.time).total_seconds()
            failover = replace(failover, outage=seconds, measured_by=MeasuredBy.EVENTS)
    if failover.finished is not None and failover.measured_by is not MeasuredBy.PROBE and failover.to != failover.from_:
        failover = _felt_after_all(failover, newest, evidence)
    if failover.cause in (Cause.UNKNOWN, Cause.AWS):
        found = _cause(failover, newest, evidence)
        if found is not Cause.UNKNOWN:
            failover = replace(failover, cause=found)
    return failover


def _felt(opened: Failover, newest: datetime | None, evidence: Evidence) -> Failover:
    """With what is felt of it: should this process be killed now, the next one knows that the beginning was not guessed, and what it cost."""
    felt = _outages(opened, newest, evidence)
    if not felt:
        return opened
    if evidence.lasting is not None:
        return replace(opened, measured_by=MeasuredBy.PROBE)
    return replace(opened, measured_by=MeasuredBy.PROBE, outage=_cost(opened, felt))


def _felt_after_all(over: Failover, newest: datetime | None, evidence: Evidence) -> Failover:
    """One whose end was told before the probe reached the database: what it then felt is the better measure."""
    assert over.finished is not None
    felt = [o for o in _outages(over, newest, evidence) if o.ended is not None]
    if not felt:
        return over
    finished = max([over.finished, *_ends(felt)])
    return replace(over, finished=finished, outage=_cost(over, felt), measured_by=MeasuredBy.PROBE)


def _cause(failover: Failover, newest: datetime | None, evidence: Evidence) -> Cause:
    end = failover.finished or evidence.read_at
    asked = evidence.asked
    if (
        asked is not None
        and asked.to in ("", failover.to)
        and asked.at - _NEAR <= max(failover.started, end)
        and failover.started - asked.at < timedelta(minutes=10)
        and end >= asked.at - _SKEW
    ):
        return asked.by
    near = [
        e
        for e in evidence.events
        if e.source_type == "db-instance"
        and e.source.lower() == failover.from_.lower()
        and failover.started - 2 * _NEAR <= e.time <= end + _NEAR
    ]
    words = [e.message.lower() for e in near]
    if failover.from_ in evidence.deleting or any(w.startswith("db instance deleted") for w in words):
        return Cause.USER
    if any(w.startswith(_BY_AWS) for w in words):
        return Cause.AWS
    start = _start_of(failover, newest, evidence)
    felt = _outages(failover, newest, evidence)
    if start is None:
        return Cause.UNKNOWN
    # The probe's time is by this clock and AWS's by another: what lies within their skew proves neither order.
    before = evidence.begun is None or failover.started < evidence.begun
    earlier = not felt or failover.started < felt[0].started - _SKEW
    if before and earlier and failover.measured_by is MeasuredBy.PROBE:
        # A process before this one felt it begin.
        return Cause.AWS if failover.started + _SECOND <= start.time - _SKEW else Cause.UNKNOWN
    if not felt:
        return Cause.UNKNOWN
    if min(o.noticed for o in felt) <= start.time - _SKEW:
        return Cause.AWS
    # AWS had begun before anybody was cut off: it was asked to. Whose beginning it is, is certain only when it is known to whom it goes.
    asked_for = failover.to and felt[0].started >= start.time + _SKEW
    return Cause.USER if asked_for else Cause.UNKNOWN


def _is_drilled(failover: Failover, drill: Drill) -> bool:
    end = drill.finished or failover.started + _NEAR
    return drill.started - _SKEW <= failover.started <= end + _SKEW and drill.to in ("", failover.to)


# The parts of the evidence that belong to one failover.


def _of(evidence: Evidence, *ids: str) -> list[Event]:
    return [e for e in evidence.events if e.source_type == "db-cluster" and e.id in ids]


def _before(failovers: Sequence[Failover], index: int) -> datetime | None:
    """The end of the one before."""
    return failovers[index - 1].finished if index > 0 else None


def _start_of(failover: Failover, newest: datetime | None, evidence: Evidence) -> Event | None:
    completion = _completion_of(failover, newest, evidence) or failover.finished
    # What was completed by the end of the failover before belongs to that one.
    ends = _of(evidence, rds.FAILOVER_COMPLETED)
    found = [
        e
        for e in _of(evidence, *_STARTED)
        if (newest is None or e.time > newest - timedelta(seconds=1))
        and (newest is None or not any(e.time <= c.time <= newest + _SKEW for c in ends))
        and e.instance in ("", failover.to or e.instance)
        # Whoever is the writer already was made it by the failover before.
        and (failover.from_ == "" or e.instance != failover.from_)
        and failover.started - 2 * _NEAR <= e.time
        and (completion is None or e.time <= completion)
    ]
    return found[-1] if found else None


def _completion_of(failover: Failover, newest: datetime | None, evidence: Evidence) -> datetime | None:
    found = [
        e.time
        for e in _of(evidence, rds.FAILOVER_COMPLETED)
        if e.instance == failover.to
        and (newest is None or e.time > newest)
        and e.time >= failover.started - 2 * _NEAR
        and (failover.finished is None or e.time <= failover.finished + 2 * _NEAR)
    ]
    if failover.finished is not None and found:
        finished = failover.finished
        return min(found, key=lambda at: abs(at - finished))
    return found[-1] if found else None


def _outages(failover: Failover, newest: datetime | None, evidence: Evidence) -> list[Outage]:
    """The outages that it made: not over with the failover before, near to it, and ended by no other's writer."""
    completion = _completion_of(failover, newest, evidence) if failover.to else None
    end = completion or failover.finished or evidence.read_at
    return [
        o
        for o in evidence.outages
        # The object has whole seconds, cut off.
        if (newest is None or o.ended is None or o.ended > newest + timedelta(seconds=1))
        and o.started <= end + _BLIP
        and o.after in ("", failover.to or o.after)
        # Not reached at first, and then served by the writer that was failed over from: that was before.
        and not (o.before == "" and o.ended is not None and o.after == failover.from_ != failover.to)
        and (o.ended is None or o.ended >= failover.started - _NEAR)
    ]


def _ends(outages: Iterable[Outage]) -> list[datetime]:
    return [o.ended for o in outages if o.ended is not None]


def _cost(failover: Failover, felt: Iterable[Outage]) -> float:
    """Seconds without a write: as this process felt them, or as a process before it did and wrote on the object, whichever is more."""
    return max(failover.outage or 0.0, sum(o.seconds for o in felt))


def consistent(failovers: Sequence[Failover]) -> bool:
    """Whether each began where the one before it ended; newest first. Held by tests over all orders of evidence."""
    return all(later.from_ == earlier.to for later, earlier in pairwise(failovers))


def finished_since(before: Sequence[Failover], after: Sequence[Failover]) -> tuple[Failover, ...]:
    """Those that are over now and were not, oldest first."""
    return tuple(f for f, _ in news(before, after) if f.finished is not None)


def news(before: Sequence[Failover], after: Sequence[Failover]) -> list[tuple[Failover, Failover | None]]:
    """What was not over before, oldest first, with the open one that it was; newest first, both."""
    over = [f for f in before if f.finished is not None]
    opened = lasting(before)
    found: list[tuple[Failover, Failover | None]] = []
    for failover in reversed(after):
        if any(_same_end(f, failover) for f in over):
            continue
        was = opened if opened is not None and opened.from_ == failover.from_ else None
        if was is not None:
            opened = None
        found.append((failover, was))
    return found


def explained_since(before: Sequence[Failover], after: Sequence[Failover]) -> tuple[Failover, ...]:
    """Those that were over already and have another cause now, oldest first; a drill tells of its own."""
    return tuple(
        f
        for f in reversed(after)
        if f.cause is not Cause.DRILL and any(_same_end(b, f) and b.cause is not f.cause for b in before)
    )


def _same_end(before: Failover, after: Failover) -> bool:
    if before.finished is None or after.finished is None:
        return False
    return before.to == after.to and abs(before.finished - after.finished) <= timedelta(seconds=1)
