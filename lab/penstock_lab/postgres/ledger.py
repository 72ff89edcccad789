"""A user who writes numbered rows through an endpoint without pause, and remembers which of them were acknowledged.

What tests and benches judge failovers by: a row that was acknowledged and is not there is a lost commit; the longest time between two
acknowledgements is the outage that a writer felt.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

_PAUSE_S = 0.02
_CONNECT_S = 2


class Ledger(threading.Thread):
    """One writer. `login` is what psycopg.connect takes, of a writer endpoint; several share a `table` by different `first` numbers.

    A context manager: it writes until the block ends. Times are those of time.monotonic().
    """

    def __init__(
        self, login: Mapping[str, Any], table: str = "ledger", *, first: int = 1, pause: float = 0.0, payload: str = ""
    ) -> None:
        super().__init__(daemon=True)
        self._login = {"connect_timeout": _CONNECT_S, "autocommit": True} | dict(login)
        self._table = sql.Identifier(table)
        self._first = first
        self._pause = pause
        self._payload = payload
        self.acknowledged: list[tuple[float, int]] = []
        self.unknown: list[int] = []
        self.failures: list[str] = []
        self._end = threading.Event()
        with psycopg.connect(**self._login) as connection:
            connection.execute(
                sql.SQL("create table if not exists {} (id bigint primary key, payload text)").format(self._table)
            )

    def run(self) -> None:
        connection = None
        insert = sql.SQL("insert into {} values (%s, %s)").format(self._table)
        for number in itertools.count(self._first):
            if self._end.is_set():
                break
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(**self._login)
            except psycopg.Error as failure:
                self.failures.append(str(failure))
                time.sleep(_PAUSE_S)
                continue
            try:
                connection.execute(insert, (number, self._payload))
                self.acknowledged.append((time.monotonic(), number))
            except psycopg.Error as failure:
                self.unknown.append(number)
                self.failures.append(str(failure))
                with contextlib.suppress(psycopg.Error):
                    connection.close()
                connection = None
                # A writer that has become a reader refuses at once: without a pause this would ask it in a tight loop.
                time.sleep(_PAUSE_S)
            if self._pause:
                time.sleep(self._pause)
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def __enter__(self) -> Ledger:
        self.start()
        self.more(20, 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join(30)

    def more(self, count: int = 30, timeout: float = 30) -> None:
        """Until so many more were acknowledged. Raises AssertionError when the time is up."""
        reached = len(self.acknowledged) + count
        deadline = time.monotonic() + timeout
        while len(self.acknowledged) < reached:
            last = self.failures[-1] if self.failures else "nothing failed"
            assert time.monotonic() < deadline, f"no {count} commits within {timeout:g} s: {last}"
            time.sleep(0.02)

    def lost(self, login: Mapping[str, Any] | None = None) -> list[int]:
        """Acknowledged, and not there."""
        with psycopg.connect(**(self._login | dict(login or {}))) as connection:
            there = {row[0] for row in connection.execute(sql.SQL("select id from {}").format(self._table))}
        return [number for _, number in self.acknowledged if number not in there]

    def outage(self, start: float = 0.0, end: float = float("inf")) -> float:
        """The longest time between two acknowledgements, in seconds, of those of which one at least lies between the two times."""
        times = [at for at, _ in self.acknowledged]
        return max((b - a for a, b in itertools.pairwise(times) if b >= start and a <= end), default=0.0)

    def resumed(self, after: float) -> float | None:
        """When the first commit was acknowledged that ended the longest pause after a time."""
        times = [at for at, _ in self.acknowledged]
        pauses = [(b - a, b) for a, b in itertools.pairwise(times) if b >= after]
        return max(pauses)[1] if pauses else None
