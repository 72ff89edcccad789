"""An event loop whose clock jumps: when nothing is ready, time() goes on to the next timer at once.

So an hour of retries takes a millisecond, every delay is exact, and a test that would wait for ever says so instead.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 11, 1, 12, tzinfo=UTC)
_BEGIN = 1000.0
# Real seconds that a thread or a socket may take before the loop is declared stuck.
_PATIENCE = 10.0


class Stuck(Exception):
    """Every task waits for something that no timer, thread or socket will bring."""


class _Jumping(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            ready = super().select(_PATIENCE)
            if not ready:
                raise Stuck
            return ready
        self.loop.moment += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """moment: what time() returns, in seconds."""

    def __init__(self) -> None:
        self.moment = _BEGIN
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.moment


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a coroutine function a test that runs on a virtual clock."""

    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return wrapper


def now() -> datetime:
    """The virtual moment as a time in UTC."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time() - _BEGIN)


def elapsed() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time() - _BEGIN
