"""The writers of a run, and those who ask each reader whether it takes writes: psycopg, and nothing that decides.

A writer commits a numbered row, waits for the answer, and goes on; when its connection breaks it makes another one, as a well-made application would,
by the cluster endpoint. What it saw goes into its Log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from penstock.api.conditions import Reason
from penstock.api.failoverdrill_status import Moment
from penstock.drill import database
from penstock.drill.database import APPLICATION, Connection
from penstock.drill.measure import Log
from penstock.engine.errors import Trouble
from penstock.postgres.login import Login, connect, refusal

# Seconds. Between two commits of one writer: so fine can an outage be measured, and so much load is a drill at most.
PACE = 0.01
# Until a commit counts as unanswered, until a connection does, and between two tries.
_COMMIT = 3.0
_CONNECT = 2.0
_AGAIN = 0.05
_ASK = 0.1
LOST = (psycopg.Error, TimeoutError, OSError)


@dataclass
class Watch:
    """What all of a run share. old: the writer when the failover was requested. requested: when, on the loop's clock; None before."""

    old: str
    schema: str
    login: Callable[[], Awaitable[Login]]
    doubt: Callable[[], Awaitable[None]]
    requested: float | None = None
    seen: dict[Moment, float] = field(default_factory=dict)
    refused: BaseException | None = None

    def saw(self, moment: Moment) -> None:
        """The first time counts, and only after the request."""
        if self.requested is not None:
            self.seen.setdefault(moment, asyncio.get_running_loop().time())

    async def connection(self) -> Connection:
        """A connection by the cluster endpoint. Raises Trouble and what connect() raises."""
        try:
            return await connect(await self.login(), timeout=_CONNECT, application=APPLICATION)
        except LOST as error:
            self.refused = error
            if refusal(error)[0] is Reason.LOGIN_FAILED:
                # Rotated while the run went on: the next try looks for another password.
                await self.doubt()
            raise


class Writer:
    """One of the connections that write."""

    def __init__(self, number: int, watch: Watch) -> None:
        self.log = Log(number)
        self._watch = watch
        self._next = 1
        self._connection: Connection | None = None
        self._moved = False
        self._abandoned: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        statement = database.insert(self._watch.schema)
        try:
            while True:
                if self._connection is None and not await self._connect():
                    await asyncio.sleep(_AGAIN)
                    continue
                began = asyncio.get_running_loop().time()
                await self._commit(statement)
                await asyncio.sleep(max(0.0, began + PACE - asyncio.get_running_loop().time()))
        finally:
            await self._close()
            for task in self._abandoned:
                task.cancel()

    async def _commit(self, statement: sql.Composed) -> None:
        assert self._connection is not None
        number, self._next = self._next, self._next + 1
        watch, loop = self._watch, asyncio.get_running_loop()
        task: asyncio.Task[object] = asyncio.create_task(self._connection.execute(statement, (self.log.writer, number)))
        try:
            done, _ = await asyncio.wait({task}, timeout=_COMMIT)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            # A server that hangs gives no answer to a cancellation either: it is left alone, and another connection made.
            self._leave(task)
            await self._lost(number)
            return
        error = task.exception()
        if error is None:
            self.log.acknowledged(number, loop.time(), since=watch.requested, moved=self._moved)
            if self._moved:
                watch.saw(Moment.FIRST_COMMIT)
            return
        if isinstance(error, database.GONE):
            # Even the table was lost. Made anew it shows when commits are taken again; what was acknowledged before stays lost.
            with contextlib.suppress(*LOST):
                await database.make(self._connection, watch.schema)
            return
        if not isinstance(error, LOST):
            raise error
        # A refusal by SQL (a reader takes no writes) has committed nothing for sure; only a broken connection leaves a doubt.
        await self._lost(None if isinstance(error, psycopg.errors.ReadOnlySqlTransaction) else number)

    async def _connect(self) -> bool:
        watch = self._watch
        try:
            self._connection = await watch.connection()
            async with asyncio.timeout(_CONNECT):
                server = await database.server(self._connection)
        except (*LOST, Trouble):
            await self._close()
            return False
        if not server.writes:
            await self._close()
            return False
        self._moved = watch.requested is not None and (
            server.instance != watch.old if server.instance else self.log.cut_at is not None
        )
        if self._moved:
            watch.saw(Moment.ENDPOINT_MOVED)
        return True

    async def _lost(self, number: int | None) -> None:
        self.log.cut(asyncio.get_running_loop().time(), since=self._watch.requested, number=number)
        self._watch.saw(Moment.OLD_WRITER_GONE)
        await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*LOST):
                await asyncio.wait_for(connection.close(), 1)

    def _leave(self, task: asyncio.Task[object]) -> None:
        self._abandoned.add(task)
        task.cancel()
        task.add_done_callback(self._abandoned.discard)
        task.add_done_callback(lambda t: t.cancelled() or t.exception())


async def ask(login: Login, instance: str, watch: Watch) -> None:
    """Ask an instance, at its own endpoint, until it takes writes; then that is told, and it is over."""
    connection: Connection | None = None
    try:
        while True:
            try:
                async with asyncio.timeout(_CONNECT):
                    if connection is None:
                        connection = await connect(login, timeout=_CONNECT, application=APPLICATION)
                    found = await database.server(connection)
            except LOST:
                if connection is not None:
                    with contextlib.suppress(*LOST):
                        await asyncio.wait_for(connection.close(), 1)
                connection = None
            else:
                if found.writes and found.instance in ("", instance):
                    watch.saw(Moment.NEW_WRITER_ACCEPTING)
                    return
            await asyncio.sleep(_ASK)
    finally:
        if connection is not None:
            with contextlib.suppress(*LOST):
                await asyncio.wait_for(connection.close(), 1)
