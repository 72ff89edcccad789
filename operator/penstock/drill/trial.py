"""One run, carried out: writers, the failover followed, the commits read back, the schema dropped. It decides nothing but when a part is over.

The pass that began it comes back and sees how far it is; it never waits for it. A run ends by itself in every case: each part has a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg

from penstock.api.failoverdrill import FailoverDrillSpec
from penstock.api.failoverdrill_status import AwsEvent, Moment, Phase, PhaseTime, Report, Run, Verdict
from penstock.aws.rds import FAILOVER_BACK, FAILOVER_FAILED, event_id
from penstock.drill import database, load, measure
from penstock.drill.load import LOST, Watch, Writer
from penstock.drill.measure import Figures
from penstock.drill.state import Going, Result
from penstock.drill.subject import Subject
from penstock.engine.errors import Trouble
from penstock.postgres.login import Login, refusal

log = logging.getLogger(__name__)
T = TypeVar("T")

# Seconds: for the table and the first commit of every writer; until the failover must have been asked for; for reading back; for dropping.
_PREPARES = 30.0
_ASKED = 120.0
_READS = 60.0
_DROPS = 60.0
# And for one try of it: a server without the replica that a commit waits for hangs.
_WORK = 20.0
# Between two looks at AWS while the failover goes on, and for how long the writers go on once all are back.
_LOOKS = 0.5
_SETTLES = 2.0
_AGAIN = 0.5
# After an answer that was lost: until then something must show that AWS has begun.
_DOUBTS = 30.0


@dataclass(frozen=True)
class Surroundings:
    """What a run needs of the operator. subject: the cluster as AWS has it now. login: by the cluster endpoint. doubt: the password did not log in.
    woken: something changed."""

    subject: Callable[[], Awaitable[Subject | None]]
    login: Callable[[], Awaitable[Login]]
    doubt: Callable[[], Awaitable[None]]
    hurry: Callable[[float], None]
    woken: Callable[[], None]


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The run is cut off. Its text says why."""


class Trial:
    """A run in this process. start() it once; going tells how far it is."""

    def __init__(
        self, run: Run, spec: FailoverDrillSpec, schema: str, subject: Subject, surroundings: Surroundings
    ) -> None:
        self.uid = run.uid
        self._run, self._spec, self._schema, self._subject = run, spec, schema, subject
        self._around = surroundings
        self._watch = Watch(run.from_ or "", schema, surroundings.login, surroundings.doubt)
        self._writers = [Writer(n + 1, self._watch) for n in range(spec.writers)]
        self._phase = Phase.PREPARING
        self._ready = False
        self._lag: timedelta | None = None
        self._why = ""
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()
        self._doubtful = False
        self._result: Result | None = None
        self._task: asyncio.Task[None] | None = None
        self._to = ""
        self._events: tuple[AwsEvent, ...] = ()
        self._requested_at: datetime | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._carry_out(), name=f"drill-{self.uid}")

    @property
    def going(self) -> Going:
        result = self._result
        if result is None and self._task is not None and self._task.done():
            # A task that ended without a result would keep the drill running for ever.
            result = Result(self._aborted("the task of the drill ended"), clean=False)
        return Going(self.uid, self._phase, self._ready, self._asked.is_set(), self._stop.is_set(), self._lag, result)

    def stop(self, why: str) -> None:
        """End it, and clean up; going.result follows within a minute or so. why: a clause for the report."""
        if not self._stop.is_set():
            self._why = why
            self._stop.set()

    def requesting(self, old: str) -> None:
        """AWS is about to be asked. From here on commits and cuts count."""
        self._watch.old = old
        self._watch.requested = asyncio.get_running_loop().time()
        self._requested_at = datetime.now(UTC)

    def requested(self, *, doubtful: bool = False) -> None:
        """AWS took the request. doubtful: the answer was lost, so perhaps it did."""
        self._doubtful = doubtful
        self._phase = Phase.FAILING_OVER
        self._watch.saw(Moment.REQUESTED)
        self._asked.set()

    def withdrawn(self) -> None:
        """AWS did not take the request; it is going to be asked again."""
        self._watch.requested = None
        self._watch.seen.clear()

    def cancel(self) -> None:
        """Drop everything at once: the process ends, or the object is gone. The next process cleans up."""
        if self._task is not None:
            self._task.cancel()

    async def _carry_out(self) -> None:
        report: Report | None = None
        tasks: set[asyncio.Task[None]] = set()
        began = asyncio.get_running_loop().time()
        try:
            await self._or_stopped(self._prepare(tasks))
            await self._or_stopped(self._lead(began))
            ended = await self._or_stopped(self._follow(tasks, began))
            await _end(tasks)
            self._to_phase(Phase.CHECKING)
            report = await self._or_stopped(self._judge(ended))
        except _Stopped as stopped:
            report = self._aborted(str(stopped))
        except Exception as error:
            # Whatever it is, the schema must go and somebody must be told.
            log.exception("the drill's run failed")
            report = self._aborted(
                f"the drill itself failed ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            )
        finally:
            await _end(tasks)
        self._to_phase(Phase.CLEANING_UP)
        clean = await self._drop()
        self._result = Result(report, clean)
        self._around.woken()

    async def _or_stopped(self, work: Awaitable[T]) -> T:
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped(self._why)
        finally:
            for one in (task, stop):
                one.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def _to_phase(self, phase: Phase) -> None:
        self._phase = phase
        self._around.woken()

    async def _prepare(self, tasks: set[asyncio.Task[None]]) -> None:
        """The table, and the first commit of every writer."""
        deadline = asyncio.get_running_loop().time() + _PREPARES
        await self._with_connection(lambda c: database.make(c, self._schema), deadline, "its table could not be made")
        tasks |= {asyncio.create_task(writer.run(), name=f"writer-{writer.log.writer}") for writer in self._writers}
        while any(writer.log.last is None for writer in self._writers):
            _raise_failed(tasks)
            if asyncio.get_running_loop().time() > deadline:
                told = (
                    refusal(self._watch.refused)[1]
                    if self._watch.refused is not None
                    else "no commit was acknowledged."
                )
                raise _Stopped(f"not every writer could commit within {_PREPARES:.0f} seconds: {told}")
            await asyncio.sleep(0.05)

    async def _lead(self, began: float) -> None:
        """Write for a while, look at the lag under that load, and wait for the failover to be asked for."""
        self._to_phase(Phase.WRITING)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began + self._spec.lead.total_seconds() - loop.time()))
        with contextlib.suppress(*LOST, Trouble):
            async with await self._watch.connection() as connection:
                self._lag = await database.lag(connection)
        self._ready = True
        self._around.woken()
        try:
            await asyncio.wait_for(self._asked.wait(), _ASKED)
        except TimeoutError:
            raise _Stopped(
                f"the failover was not asked for within {_ASKED:.0f} seconds; the drill was paused, or AWS did not take requests"
            ) from None

    async def _follow(self, tasks: set[asyncio.Task[None]], began: float) -> float | None:
        """Until the failover is over and the load's time too. Returns when it was over, None when it did not end in time."""
        self._to_phase(Phase.FAILING_OVER)
        loop, watch = asyncio.get_running_loop(), self._watch
        requested = watch.requested
        assert requested is not None
        with contextlib.suppress(Trouble):
            tasks |= await self._askers()
        limit = requested + self._spec.failover_limit.total_seconds()
        end = began + self._spec.load_duration.total_seconds()
        ended: float | None = None
        while True:
            _raise_failed(tasks)
            await self._look()
            back = [writer.log.back_at for writer in self._writers]
            now = loop.time()
            if all(at is not None for at in back):
                watch.seen.setdefault(Moment.ALL_WRITERS_BACK, max(at for at in back if at is not None))
                if Moment.TOLD_BY_AWS in watch.seen and ended is None:
                    ended = max(watch.seen[Moment.ALL_WRITERS_BACK], watch.seen[Moment.TOLD_BY_AWS])
                    self._to_phase(Phase.SETTLING)
            if ended is not None and now >= max(end, ended + _SETTLES):
                return ended
            if ended is None and (now > limit or self._fell_back()):
                return None
            if (
                self._doubtful
                and now > requested + _DOUBTS
                and not {Moment.OLD_WRITER_GONE, Moment.TOLD_BY_AWS} & watch.seen.keys()
            ):
                raise _Stopped("AWS did not answer the request, and no failover began")
            await asyncio.sleep(_LOOKS)

    async def _askers(self) -> set[asyncio.Task[None]]:
        """One for each reader that may take over."""
        login = await self._around.login()
        found = set()
        for name in (
            [self._run.target or self._spec.wanted_target] if self._spec.wanted_target else self._subject.readers
        ):
            instance = self._subject.instances.get(name)
            if instance is not None and instance.host:
                direct = Login(
                    instance.host,
                    instance.port or login.port,
                    login.username,
                    login.password,
                    login.database,
                    login.ca_file,
                )
                found.add(asyncio.create_task(load.ask(direct, name, self._watch), name=f"ask-{name}"))
        return found

    async def _look(self) -> None:
        """What AWS says of the cluster now. What cannot be read is looked at again."""
        self._around.hurry(30.0)
        try:
            subject = await self._around.subject()
        except Trouble:
            return
        if subject is None or subject.cluster is None:
            return
        if self._requested_at is not None:
            # RDS tells whole seconds.
            since = self._requested_at.replace(microsecond=0)
            self._events = tuple(AwsEvent(at=e.time, message=e.message) for e in subject.events if e.time >= since)[
                -10:
            ]
        writer = subject.cluster.writer
        if writer and writer != self._watch.old:
            self._to = writer
            self._watch.saw(Moment.TOLD_BY_AWS)
        elif writer:
            self._to = self._to or writer

    def _fell_back(self) -> bool:
        """Whether AWS says that the failover failed."""
        return any(event_id("db-cluster", e.message) in (FAILOVER_FAILED, FAILOVER_BACK) for e in self._events)

    async def _judge(self, ended: float | None) -> Report:
        loop, watch, run = asyncio.get_running_loop(), self._watch, self._run
        assert watch.requested is not None
        logs = [writer.log for writer in self._writers]
        now = loop.time()
        found: database.ReadBack | None = None
        with contextlib.suppress(_Stopped):
            found = await self._with_connection(
                lambda c: database.read_back(c, self._schema, logs), now + _READS, "the commits could not be read back"
            )
        written = max((log.last for log in logs if log.last is not None), default=now)
        figures = Figures(
            outages={log.writer: measure.outage(log, watch.requested, written) for log in logs},
            acknowledged=sum(log.count for log in logs),
            lost=found.lost if found is not None else None,
            unknown=sum(len(log.unknown) for log in logs),
            unknown_found=found.found if found is not None else None,
            cuts=sum(log.cuts for log in logs),
            ended=ended is not None,
            waited=now - watch.requested,
            from_=watch.old,
            to=self._to,
            examples=found.examples if found is not None else (),
        )
        verdict, sentence = measure.judge(self._spec, figures)
        return Report(
            uid=run.uid,
            verdict=verdict,
            sentence=sentence,
            scheduled_for=run.scheduled_for,
            started_at=run.started_at,
            from_=watch.old,
            to=self._to or None,
            outage_seconds=measure.rounded(figures.longest),
            outage_p50_seconds=measure.rounded(figures.median),
            commits_acknowledged=figures.acknowledged,
            commits_lost=figures.lost,
            commits_unknown=figures.unknown,
            commits_unknown_found=figures.unknown_found,
            connections_cut=figures.cuts,
            replica_lag_milliseconds=measure.milliseconds(self._lag),
            phases=self._phases(),
            writers=measure.writers(logs, watch.requested, written),
            events=self._events,
            series=measure.series(logs, watch.requested, written),
        )

    def _phases(self) -> tuple[PhaseTime, ...]:
        watch = self._watch
        if watch.requested is None or self._requested_at is None:
            return ()
        return tuple(
            PhaseTime(name=moment, at=self._requested_at + timedelta(seconds=after), after_seconds=round(after, 3))
            for moment, after in measure.moments({Moment.REQUESTED: watch.requested} | watch.seen, watch.requested)
        )

    def _aborted(self, why: str) -> Report:
        run = self._run
        return Report(
            uid=run.uid,
            verdict=Verdict.ABORTED,
            sentence=f"Aborted: {why.rstrip('.')}.",
            scheduled_for=run.scheduled_for,
            started_at=run.started_at,
            from_=self._watch.old or None,
            to=self._to or None,
            phases=self._phases(),
            events=self._events,
        )

    async def _drop(self) -> bool:
        """Whether the schema is gone for sure."""
        deadline = asyncio.get_running_loop().time() + (5.0 if self._stop.is_set() else _DROPS)
        try:
            await self._with_connection(
                lambda c: database.drop(c, self._schema), deadline, "the table could not be dropped"
            )
        except _Stopped:
            return False
        return True

    async def _with_connection(
        self, work: Callable[[database.Connection], Awaitable[T]], deadline: float, lament: str
    ) -> T:
        """Do something over a connection to a server that takes writes, again and again until the deadline. Raises _Stopped."""
        loop = asyncio.get_running_loop()
        told = "no server takes writes."
        while True:
            try:
                connection = await self._watch.connection()
                async with asyncio.timeout(_WORK), connection:
                    if (await database.server(connection)).writes:
                        return await work(connection)
            except Trouble as trouble:
                told = trouble.sentence
            except LOST as error:
                told = (
                    refusal(error)[1]
                    if not isinstance(error, psycopg.ProgrammingError)
                    else " ".join(str(error).split())
                )
            if loop.time() > deadline:
                raise _Stopped(f"{lament}: {told}")
            await asyncio.sleep(_AGAIN)


def _raise_failed(tasks: set[asyncio.Task[None]]) -> None:
    """A task that ended by an error is a defect, and must not pass for a writer that is cut off."""
    for task in tasks:
        if task.done():
            task.result()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()
