"""The probe: asks every database that is watched whether it takes writes, who it is, how far its readers are behind, and how long that takes.

One connection is kept to the writer endpoint of each database and asked once an interval; it is made anew now and then, which measures connecting.
The reader endpoint and the instances are asked on connections that are closed again. So there is never more than one connection to an endpoint, and
a thousand databases cost a thousand connections. While the writer endpoint takes no write it is tried several times a second, and every instance is
asked whether it has become the writer, because names in DNS move later than databases do.

An answer that takes longer than ANSWERS is none. Lengths are measured by the event loop's clock, which nobody sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from penstock.api.conditions import Reason
from penstock.engine import metrics
from penstock.engine.errors import Trouble
from penstock.engine.kind import Key
from penstock.postgres.login import Login, connect, refusal
from penstock.postgres.record import Ledger, Picture
from penstock.postgres.wire import Cut, Refused, Wire

log = logging.getLogger(__name__)

ANSWERS: Final = 2.5
"""Seconds within which an answer counts as one."""
_CONNECTS: Final = 4.0
# Attempts to connect at the same time, for all databases; each takes a file and, while TLS is agreed on, a millisecond or more of processor time.
_AT_ONCE: Final = 100
# Seconds between two attempts while no write is taken: at first, after a minute, after ten.
_RETRIES: Final = ((60.0, 0.2), (600.0, 1.0), (float("inf"), 10.0))
# Seconds between two attempts to reach what never answered: half a second for a minute, for it may be in the middle of a failover, whose end is
# to be seen when it comes; with many that do not answer after a restart so much more rarely that their attempts stay within two hundred a second.
_UNREACHED: Final = (1.0, 60.0)
_UNREACHED_FIRST: Final = 60.0
_UNREACHED_PAUSE: Final = 0.5
_UNREACHED_EACH: Final = 0.005
_LAGS: Final = 2.0
# A connection is made anew this often, and the other endpoints are asked half as often; with many databases more rarely, since each costs TLS.
_RENEWED: Final = 30.0
_RENEWED_EACH: Final = 0.3
# A process that was held up for so long must not take it for an outage.
_STALL: Final = 1.5
_TICK: Final = 0.25
# How long a failure lasts before it is told as one that somebody must look at.
_TOLD: Final = 30.0
_WINDOW: Final = 30
_APPLICATION: Final = "penstock-probe"
_ROLE = b"select pg_is_in_recovery() or current_setting('transaction_read_only')::bool, aurora_db_instance_identifier()"
_WITH_LAGS = (
    _ROLE + b", (select json_object_agg(server_id, replica_lag_in_msec) from aurora_replica_status()"
    b" where session_id <> 'MASTER_SESSION_ID' and replica_lag_in_msec is not null)"
)
# SQLSTATE: a right or a function that is not there. The role can be asked all the same, by what every PostgreSQL has.
_PLAIN = b"select pg_is_in_recovery() or current_setting('transaction_read_only')::bool, ''"
_MISSING = ("42501", "42883", "42P01", "0A000")
# These answers come from the database itself: it is not down, it lets nobody in.
_LETS_NOBODY_IN = (
    Reason.LOGIN_FAILED,
    Reason.TLS_NOT_VERIFIED,
    Reason.DATABASE_MISSING,
    Reason.RIGHTS_MISSING,
    Reason.PASSWORD_UNKNOWN,
)

Credentials = Callable[[bool], Awaitable[tuple[str, str]]]
"""Gives user name and password; with True after the ones before did not log in. Raises Trouble."""


@dataclass(frozen=True)
class Endpoint:
    """A DNS name and a port."""

    host: str
    port: int


@dataclass(frozen=True)
class Target:
    """One database. interval: seconds. instances: by identifier."""

    writer: Endpoint
    reader: Endpoint | None = None
    instances: tuple[tuple[str, Endpoint], ...] = ()
    interval: float = 1.0
    database: str = "postgres"


class Prober:
    """The probe of one operator. ca_file: see login.Login. news: called when something is worth telling, with whether AWS may know of it as well: an
    outage that begins or ends, another writer. measured: called every few seconds for a database whose figures may have moved."""

    def __init__(self, ca_file: str, news: Callable[[Key, bool], None], measured: Callable[[Key], None]) -> None:
        self._ca_file = ca_file
        self._news = news
        self._measured = measured
        self._databases: dict[Key, _Database] = {}
        self._off: dict[Key, str] = {}
        self._ledgers: dict[Key, Ledger] = {}
        self._connecting: asyncio.Semaphore | None = None
        self._running = False
        self.stalled = float("-inf")

    def watch(self, key: Key, target: Target, credentials: Credentials) -> None:
        """Ask this database from now on; the same again changes nothing."""
        self._off.pop(key, None)
        database = self._databases.get(key)
        if database is None:
            ledger = self._ledgers.setdefault(key, Ledger())
            database = self._databases[key] = _Database(key, self, target, credentials, ledger)
        database.target, database.credentials = target, credentials
        if self._running:
            database.start()

    def pause(self, key: Key, why: str) -> None:
        """Ask it no more until watch() is called. why: a sentence. Only what was measured is kept."""
        self._off[key] = why
        self._stop(key)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._off.pop(key, None)
        self._stop(key)
        self._ledgers.pop(key, None)

    def _stop(self, key: Key) -> None:
        database = self._databases.pop(key, None)
        if database is not None:
            database.stop()

    def ask(self, key: Key) -> None:
        """Ask its instances now whether they answer, and not when it is their turn."""
        database = self._databases.get(key)
        if database is not None and self._running:
            database.ask_others()

    def picture(self, key: Key) -> Picture:
        """What is known of it now."""
        database = self._databases.get(key)
        if database is not None:
            return database.picture()
        ledger = self._ledgers.get(key, Ledger())
        return Picture(
            off=self._off.get(key, ""),
            outages=ledger.outages,
            uptime=ledger.uptime,
            found_down=ledger.found_down,
        )

    @property
    def renewed(self) -> float:
        """Seconds between two measured connects."""
        return max(_RENEWED, _RENEWED_EACH * len(self._databases))

    @property
    def patience(self) -> float:
        """Seconds between two attempts to reach what has only begun not to answer."""
        return max(_UNREACHED_PAUSE, _UNREACHED_EACH * len(self._databases))

    async def run(self) -> None:
        """Ask until cancelled."""
        self._running = True
        self._connecting = asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()
        try:
            while True:
                # One whose task has ended, for whatever reason, is asked again.
                for database in self._databases.values():
                    database.start()
                before = loop.time()
                await asyncio.sleep(_TICK)
                if loop.time() - before > _TICK + _STALL:
                    self.stalled = loop.time()
                    for database in self._databases.values():
                        database.held_up(self.stalled)
        finally:
            self._running = False
            for database in self._databases.values():
                database.stop()

    def measure(self) -> None:
        """Set the gauges that a scrape reads."""
        counts = {"probing": 0, "failing": 0, "off": len(self._off)}
        for database in self._databases.values():
            counts["failing" if database.problem or database.ledger.lasting else "probing"] += 1
        for state, count in counts.items():
            metrics.PROBES.labels(state).set(count)

    async def connect(self, login: Login) -> psycopg.AsyncConnection[Any]:
        """A connection, when it is its turn."""
        assert self._connecting is not None
        async with self._connecting:
            try:
                made = await connect(login, timeout=_CONNECTS, application=_APPLICATION)
            except (psycopg.Error, OSError, TimeoutError):
                metrics.PROBE_CONNECTS.labels("failed").inc()
                raise
        metrics.PROBE_CONNECTS.labels("ok").inc()
        return made

    def tell(self, key: Key, *, happened: bool = False) -> None:
        self._news(key, happened)

    def tell_measured(self, key: Key) -> None:
        self._measured(key)

    def login(self, endpoint: Endpoint, database: str, user: str, password: str) -> Login:
        return Login(endpoint.host, endpoint.port, user, password, database, self._ca_file)


@dataclass
class _Database:
    """One database while it is asked. ledger: outlives that. problem: as Picture's."""

    key: Key
    prober: Prober
    target: Target
    credentials: Credentials
    ledger: Ledger
    problem: str = ""
    lag_problem: str = ""
    claimed: str = ""
    deaf: set[str] = field(default_factory=set)
    asked: datetime | None = None
    lags: dict[str, deque[float]] = field(default_factory=dict)
    connects: deque[float] = field(default_factory=lambda: deque(maxlen=10))
    queries: deque[float] = field(default_factory=lambda: deque(maxlen=60))

    def __post_init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._others: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._made = 0.0
        self._renew_after = 0.0
        self._lagged = float("-inf")
        self._compared = float("-inf")
        self._asked_others = float("-inf")
        self._failing_since: float | None = None
        self._login: tuple[str, str] | None = None
        self._query_lags, self._query_role = _WITH_LAGS, _ROLE
        self._poked = asyncio.Event()
        self._delay = _UNREACHED[0]

    def start(self) -> None:
        """Ask until stop(); safe to repeat."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"probe-{self.key}")

    def stop(self) -> None:
        """For good."""
        for task in (self._task, self._others):
            if task is not None:
                task.cancel()
        self._drop()
        with contextlib.suppress(RuntimeError):
            self.ledger.blind(asyncio.get_running_loop().time(), datetime.now(UTC))

    def ask_others(self) -> None:
        self._ask_others(asyncio.get_running_loop().time())

    def held_up(self, now: float) -> None:
        self.ledger.resume(now)

    def picture(self) -> Picture:
        return Picture(
            problem=self.problem,
            reached=self.ledger.reached,
            trying=not self.ledger.reached and self._since_failing() < _UNREACHED_FIRST,
            outages=self.ledger.outages,
            serving=self.ledger.serving,
            claimed=self.claimed,
            uptime=self.ledger.uptime,
            lags={name: found for name, values in self.lags.items() if (found := _p95(values, 3)) is not None},
            connect=_p95(self.connects, 1),
            query=_p95(self.queries, 10),
            deaf=frozenset(self.deaf),
            asked=self.asked,
            lag_problem=self.lag_problem,
            found_down=self.ledger.found_down,
        )

    def _since_failing(self) -> float:
        """Seconds for which no attempt has come to anything; 0 when none has failed."""
        return asyncio.get_running_loop().time() - self._failing_since if self._failing_since is not None else 0.0

    # The writer endpoint.

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        # Many that begin together, after a restart, are spread over their interval.
        await asyncio.sleep(random.uniform(0, min(self.target.interval, 2.0)))
        while True:
            began = loop.time()
            try:
                pause = await self._once(began)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("the probe of %s failed", self.key)
                pause = 10.0
            self._poked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause - (loop.time() - began))):
                    await self._poked.wait()

    async def _once(self, began: float) -> float:
        """One question to the writer endpoint. Returns the seconds from its beginning to the next."""
        try:
            if self._wire is None or began - self._made > self._renew_after:
                await self._connect()
            wire = self._wire
            assert wire is not None
            lagging = began - self._lagged >= _LAGS
            asked = asyncio.get_running_loop().time()
            row = await wire.ask(self._query_lags if lagging else self._query_role, ANSWERS)
        except (psycopg.Error, OSError, TimeoutError, Cut) as error:
            return self._failed(began, error)
        except Refused as refused:
            return self._refused(began, refused)
        except Trouble as trouble:
            return self._let_nobody_in(trouble.sentence)
        metrics.PROBE_ROUND_TRIPS.labels("ok").inc()
        return self._answered(asked, row, lagging)

    async def _connect(self) -> None:
        self._drop()
        if self._login is None:
            self._login = await self.credentials(False)
        target, loop = self.target, asyncio.get_running_loop()
        login = self.prober.login(target.writer, target.database, *self._login)
        began = loop.time()
        try:
            connection = await self.prober.connect(login)
        except psycopg.Error as error:
            if refusal(error, login)[0] is not Reason.LOGIN_FAILED:
                raise
            # It may have been rotated.
            newer = await self.credentials(True)
            if newer == self._login:
                raise
            self._login = newer
            connection = await self.prober.connect(self.prober.login(target.writer, target.database, *newer))
        self._wire = Wire(connection, self._was_cut)
        # What was not there or not allowed may be by now: a database that has just been made gets its functions last.
        self._query_lags, self._query_role = _WITH_LAGS, _ROLE
        self._made = loop.time()
        self._renew_after = self.prober.renewed * random.uniform(0.8, 1.2)
        self.connects.append(self._made - began)

    def _was_cut(self, at: float) -> None:
        """While nobody asked: what is known at once need not wait for the next question."""
        now = asyncio.get_running_loop().time()
        self._drop()
        if self.ledger.failure(at, at, now, datetime.now(UTC)):
            self._down(now)
        self._poked.set()

    def _answered(self, asked: float, row: list[str], lagging: bool) -> float:
        now = asyncio.get_running_loop().time()
        self.queries.append(now - asked)
        read_only, name = row[0] == "t", row[1]
        if read_only:
            # The name leads to one that takes no writes, as it does for a while after a failover.
            self._drop()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= _TOLD:
                self._trouble(f"The writer endpoint {self.target.writer.host} leads to {name}, which takes no writes.")
            if self.ledger.failure(asked, None, now, datetime.now(UTC)):
                self._down(now)
            return self._pause_while_down(now)
        self._settled()
        if lagging:
            self._lagged = now
            if self._query_lags is _WITH_LAGS:
                self.lag_problem = ""
            self._take_lags(row[2] if len(row) > 2 else "")
        if self.ledger.success(now, datetime.now(UTC), name):
            self.claimed = ""
            self.prober.tell(self.key, happened=True)
        if now - self._compared >= 2 * _LAGS:
            self._compared = now
            self.prober.tell_measured(self.key)
        if now - self._asked_others > 2 * self.prober.renewed:
            self._ask_others(now)
        return self.target.interval * random.uniform(0.95, 1.05)

    def _take_lags(self, text: str) -> None:
        if not text:
            self.lags.clear()
            return
        told = json.loads(text)
        for name in self.lags.keys() - told.keys():
            del self.lags[name]
        for name, milliseconds in told.items():
            self.lags.setdefault(name, deque(maxlen=_WINDOW)).append(float(milliseconds) / 1000)

    def _settled(self) -> None:
        self._failing_since, self._delay = None, _UNREACHED[0]
        if self.problem:
            self.problem = ""
            self.prober.tell(self.key)

    def _failed(self, began: float, error: BaseException) -> float:
        metrics.PROBE_ROUND_TRIPS.labels("failed").inc()
        now = asyncio.get_running_loop().time()
        login = self.prober.login(self.target.writer, self.target.database, (self._login or ("", ""))[0], "")
        if isinstance(error, TimeoutError) and self.prober.stalled >= began:
            # It was this process that was late.
            self._drop()
            return 0.0
        reason, sentence = refusal(error, login)
        if reason in _LETS_NOBODY_IN:
            return self._let_nobody_in(sentence)
        cut = error.at if isinstance(error, Cut) else None
        self._drop()
        first = self.ledger.failure(began, cut, now, datetime.now(UTC))
        if first:
            self._down(now)
        self._failing_since = self._failing_since or now
        if self.ledger.reached:
            if now - self._failing_since >= _TOLD:
                self._trouble(sentence)
            return self._pause_while_down(now)
        if now - self._failing_since >= 2:
            self._trouble(sentence)
        if now - self._failing_since < _UNREACHED_FIRST:
            return self.prober.patience * random.uniform(0.9, 1.1)
        self._delay = min(_UNREACHED[1], self._delay * 1.5)
        return self._delay * random.uniform(0.9, 1.1)

    def _let_nobody_in(self, sentence: str) -> float:
        """The database answers, and nothing can be measured until somebody acts."""
        now = asyncio.get_running_loop().time()
        self._drop()
        self._login = None
        self._failing_since = self._failing_since or now
        if self.ledger.blind(now, datetime.now(UTC)):
            self.prober.tell(self.key)
        self._trouble(sentence)
        self._delay = min(_UNREACHED[1], self._delay * 1.5)
        return self._delay

    def _refused(self, began: float, refused: Refused) -> float:
        """The question itself was not answered."""
        if refused.state in _MISSING and self._query_lags is not _PLAIN:
            why = " ".join(str(refused).split())[:200]
            self.lag_problem = (
                f"Replica lag is not measured: the database says {why!r}; let the user call aurora_replica_status()."
            )
            self._query_lags = _ROLE if self._query_role is _ROLE and self._query_lags is not _ROLE else _PLAIN
            self._query_role = self._query_lags
            self._renew_after = min(self._renew_after, 5.0)
            return 0.1
        return self._failed(began, psycopg.OperationalError(str(refused)))

    def _trouble(self, sentence: str) -> None:
        self._forget_figures()
        if self.problem != sentence:
            self.problem = sentence
            self.prober.tell(self.key)

    def _forget_figures(self) -> None:
        self.lags.clear()
        self.connects.clear()
        self.queries.clear()

    def _down(self, now: float) -> None:
        """An outage has begun."""
        self._failing_since = self._failing_since or now
        self.prober.tell(self.key, happened=True)
        self._ask_others(now)

    def _pause_while_down(self, now: float) -> float:
        lasts = now - (self._failing_since or now)
        if now - self._asked_others > (1.0 if lasts < 60 else 10.0):
            self._ask_others(now)
        return next(pause for until, pause in _RETRIES if lasts < until) * random.uniform(0.9, 1.1)

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    # Everything else.

    def _ask_others(self, now: float) -> None:
        if self._others is None or self._others.done():
            self._asked_others = now
            self._others = asyncio.create_task(self._others_answer(), name=f"probe-others-{self.key}")

    async def _others_answer(self) -> None:
        """Ask the reader endpoint and each instance, at the same time, on connections that are closed again."""
        # It may be doubted while they are asked.
        credentials = self._login
        if credentials is None:
            return
        began = datetime.now(UTC)
        places = list(self.target.instances)
        if self.target.reader is not None:
            places.append(("", self.target.reader))
        answers = await asyncio.gather(*(self._ask_one(place, credentials) for _, place in places))
        claimed = ""
        deaf = set()
        for (name, _), answer in zip(places, answers, strict=True):
            if not name:
                continue
            if answer is None:
                deaf.add(name)
            elif answer and self.ledger.lasting is not None:
                claimed = name
        moved, news = claimed not in ("", self.claimed), deaf != self.deaf
        self.claimed, self.deaf, self.asked = claimed, deaf, began
        if moved or news:
            self.prober.tell(self.key, happened=moved)

    async def _ask_one(self, place: Endpoint, credentials: tuple[str, str]) -> bool | None:
        """Whether an endpoint takes writes; None when it does not answer."""
        wire = None
        try:
            login = self.prober.login(place, self.target.database, *credentials)
            wire = Wire(await self.prober.connect(login), lambda _: None)
            return (await wire.ask(_PLAIN, ANSWERS))[0] == "f"
        except (psycopg.Error, OSError, TimeoutError, Cut, Refused, IndexError):
            return None
        finally:
            if wire is not None:
                wire.close()


def _p95(values: deque[float], least: int) -> float | None:
    found = sorted(values)
    return found[-1 - (len(found) // 20)] if len(found) >= least else None
