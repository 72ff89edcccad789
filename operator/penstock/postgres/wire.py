"""One connection that is asked the same short question for days: cheap for a thousand of them, and told at once when somebody cuts it.

psycopg makes the connection (login.py); asking goes through its libpq handle, because a cursor, its locks and its waiting cost ten times what the
question does, and between two queries nobody would read that the connection is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import pq

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Cut(Exception):  # noqa: N818
    """The connection is gone. at: when, as a time of the event loop."""

    def __init__(self, at: float, words: str) -> None:
        super().__init__(words)
        self.at = at


class Refused(Exception):  # noqa: N818
    """The server answered that it will not. state: SQLSTATE."""

    def __init__(self, state: str, words: str) -> None:
        super().__init__(words)
        self.state = state


class Wire:
    """Owns a connection. cut: called once, with the time, when it is lost while nobody asks."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], cut: Callable[[float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._handle = connection.pgconn
        self._cut = cut
        self._socket = self._handle.socket
        self._answer: asyncio.Future[list[str]] | None = None
        self._rows: list[str] = []
        self._error: Exception | None = None
        self.lost: float | None = None
        self._loop.add_reader(self._socket, self._read)

    async def ask(self, query: bytes, seconds: float) -> list[str]:
        """The first row, as text. Raises Cut, Refused, or TimeoutError, after which the connection must be closed."""
        if self.lost is not None:
            raise Cut(self.lost, "the connection was cut")
        self._answer, self._rows, self._error = self._loop.create_future(), [], None
        try:
            self._handle.send_query(query)
            self._flush()
        except psycopg.Error as error:
            self._lose(str(error))
        handle = self._loop.call_later(seconds, self._late)
        try:
            return await self._answer
        finally:
            handle.cancel()
            self._answer = None

    def close(self) -> None:
        """End it without a word to the server that could be waited for."""
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
        self.lost = self.lost if self.lost is not None else self._loop.time()
        self._handle.finish()

    def _flush(self) -> None:
        if self._handle.flush() == 0:
            self._loop.remove_writer(self._socket)
        else:
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._lose(str(error))

    def _late(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TimeoutError())

    def _read(self) -> None:
        try:
            self._handle.consume_input()
            while self._answer is not None and not self._handle.is_busy():
                result = self._handle.get_result()
                if result is None:
                    self._done()
                    return
                self._take(result)
        except psycopg.Error as error:
            self._lose(str(error))
            return
        if self._handle.status == pq.ConnStatus.BAD:
            self._lose("the connection was cut")

    def _take(self, result: Any) -> None:
        if result.status not in _OK:
            state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            self._error = Refused(state, result.error_message.decode(errors="replace").strip())
        elif result.ntuples:
            self._rows = [(result.get_value(0, n) or b"").decode() for n in range(result.nfields)]

    def _done(self) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        if self._error is not None:
            answer.set_exception(self._error)
        else:
            answer.set_result(self._rows)

    def _lose(self, words: str) -> None:
        if self.lost is not None:
            return
        self.lost = self._loop.time()
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Cut(self.lost, words))
        else:
            self._cut(self.lost)
